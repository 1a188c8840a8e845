//! Where pictures come from: the value of `--data`, of the window's data picker and of `data` in `run.toml`.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::error::DataError;
use super::formats;
use super::synth::Scene;

/// Begins the names of synthetic sets: `synth:rooms`.
const SYNTHETIC: &str = "synth:";

/// Where pictures come from. Written as text everywhere: a path, or `synth:` and the name of a scene.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Source {
    /// A folder of pictures, an archive of them or a folder in one (`pictures.zip/train`), a data set's own file or folder,
    /// or a split of a data set (`mnist/t10k`).
    Path(PathBuf),
    /// Rendered by the program, endless.
    Synthetic(Scene),
}

impl Source {
    /// Whether the program renders the pictures itself.
    pub fn is_synthetic(&self) -> bool {
        matches!(self, Self::Synthetic(_))
    }

    /// Checks that the source exists and is of a known kind, without listing its pictures.
    ///
    /// # Errors
    /// [`DataError`] with what is wrong and what can be given instead.
    pub fn check(&self) -> Result<(), DataError> {
        match self {
            Self::Synthetic(_) => Ok(()),
            Self::Path(path) if path.is_dir() => Ok(()),
            Self::Path(path) => match path.to_str() {
                Some(name) if name.starts_with(SYNTHETIC) => Err(DataError::UnknownScene { name: name.to_owned() }),
                _ => formats::check(path),
            },
        }
    }

    /// The same source under a name that does not depend on the working folder. Links are not resolved, except where the path
    /// has a `..` after one.
    #[must_use]
    pub fn absolute(&self) -> Self {
        match self {
            Self::Path(path) if !path.as_os_str().is_empty() => Self::Path(absolute(path)),
            _ => self.clone(),
        }
    }

    /// Whether both name the same place on disk, after resolving links (`./pics`, `pics/`, `/home/me/pics`), or the same scene.
    pub fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Path(one), Self::Path(other)) => one == other || resolved(one) == resolved(other),
            _ => self == other,
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    let Ok(path) = std::path::absolute(path) else { return path.to_owned() };
    // After a link, `..` is not the folder that the text suggests, so the file system has to resolve it.
    match path.components().any(|component| component == Component::ParentDir) {
        true => resolved(&path),
        false => path.components().collect(),
    }
}

/// The path with links resolved as far as it exists, followed by the rest.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for existing in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (existing.canonicalize(), path.strip_prefix(existing)) {
            return real.join(rest).components().collect();
        }
    }
    path
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Synthetic(scene) => write!(f, "{SYNTHETIC}{scene}"),
        }
    }
}

/// A name of an unknown scene becomes a path, which [`Source::check`] and `Dataset::open` refuse.
impl<T: AsRef<str> + ?Sized> From<&T> for Source {
    fn from(text: &T) -> Self {
        let text = text.as_ref();
        match text.strip_prefix(SYNTHETIC).and_then(|name| name.parse().ok()) {
            Some(scene) => Self::Synthetic(scene),
            None => Self::Path(text.into()),
        }
    }
}

impl From<String> for Source {
    fn from(text: String) -> Self {
        Self::from(&text)
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unusable_source_is_refused_with_what_can_be_given() {
        for text in ["no/such/folder", "synth:gardens", "Cargo.toml"] {
            let message = Source::from(text).check().unwrap_err().to_string();
            assert!(message.contains(text) && message.contains("synth:rooms"), "{message}");
        }
    }

    #[test]
    fn a_source_is_written_as_it_was_given() {
        for text in ["synth:rooms", "synth:faces", "src", "./src/", "a.zip/train", ""] {
            assert_eq!(Source::from(text).to_string(), text);
            assert_eq!(serde_json::to_string(&Source::from(text)).unwrap(), format!("{text:?}"));
            assert_eq!(serde_json::from_str::<Source>(&format!("{text:?}")).unwrap(), Source::from(text));
        }
        assert!(Source::from("synth:rooms").is_synthetic() && !Source::from("rooms").is_synthetic());
    }

    #[test]
    fn spellings_of_one_place_are_the_same_place_and_become_absolute() {
        // Tests run in the package's folder.
        let here = std::env::current_dir().unwrap().join("src");
        let same_place = |one: &str, other: &str| Source::from(one).is_same_place(&other.into());
        let absolute = |text: &str| PathBuf::from(Source::from(text).absolute().to_string());
        for spelling in ["src", "./src", "src/", "src/.", "src/../src", "src/app/..", here.to_str().unwrap()] {
            assert!(same_place(spelling, "src"), "{spelling}");
            assert_eq!(absolute(spelling).canonicalize().unwrap(), here.canonicalize().unwrap());
        }
        for spelling in ["src", "./src", "src/"] {
            assert_eq!(absolute(spelling).as_os_str(), here.as_os_str());
        }
        assert_eq!(absolute("./a.zip/train/").as_os_str(), absolute("a.zip/train").as_os_str(), "it need not exist");
        assert!(!same_place("src", "tests") && !same_place("synth:rooms", "synth:faces"));
        assert_eq!(absolute("synth:rooms"), Path::new("synth:rooms"));
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_the_same_place_as_its_target() {
        let folder = tempfile::tempdir().unwrap();
        let source = |name: &str| Source::from(folder.path().join(name));
        fs_err::create_dir_all(folder.path().join("real/pics")).unwrap();
        std::os::unix::fs::symlink(folder.path().join("real"), folder.path().join("link")).unwrap();
        assert!(source("link/pics").is_same_place(&source("real/pics")));
        assert!(source("link/a.zip/train").is_same_place(&source("real/a.zip/train")));
        assert_eq!(source("link/pics").absolute(), source("link/pics"), "the name that was given stays");
    }
}
