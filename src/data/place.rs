//! Where a set lies, whatever it was called: `./pics`, `pics/` and `/home/me/pics` are one place.

use std::path::{Component, Path, PathBuf};

/// A source's name that means the same from every working folder: an absolute path, also of a part inside an archive
/// (`/home/me/a.zip/train`). What the program draws is named as it is.
pub fn absolute(data: &str) -> String {
    if data.is_empty() || data.starts_with("synth:") {
        return data.to_owned();
    }
    let Ok(path) = std::path::absolute(data) else { return data.to_owned() };
    // `..` after a link is not the folder that the text says, so the file system has to say which.
    let climbs = path.components().any(|part| part == Component::ParentDir);
    let path = if climbs { resolved(&path) } else { path.components().collect() };
    path.into_os_string().into_string().unwrap_or_else(|_| data.to_owned())
}

/// Whether two names are of one place, links followed.
pub fn same_place(one: &str, other: &str) -> bool {
    let drawn = |data: &str| data.starts_with("synth:");
    one == other || (!drawn(one) && !drawn(other) && resolved(Path::new(one)) == resolved(Path::new(other)))
}

/// The path with its links followed as far as there is something, and the rest after it.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for there in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (there.canonicalize(), path.strip_prefix(there)) {
            return real.join(rest).components().collect();
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_place_are_one_and_absolute() {
        // Tests run in the package's folder.
        let here = std::env::current_dir().unwrap().join("src");
        let here = here.to_str().unwrap();
        for spelling in ["src", "./src", "src/", "src/.", "src/../src", "src/app/..", here] {
            assert!(same_place(spelling, "src"), "{spelling}");
            assert_eq!(Path::new(&absolute(spelling)).canonicalize().unwrap(), Path::new(here).canonicalize().unwrap());
        }
        for spelling in ["src", "./src", "src/"] {
            assert_eq!(absolute(spelling), here);
        }
        assert_eq!(absolute("./a.zip/train/"), absolute("a.zip/train"), "there need be nothing");
        assert!(!same_place("src", "tests") && !same_place("synth:rooms", "synth:faces"));
        assert_eq!(absolute("synth:rooms"), "synth:rooms");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_the_place_that_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        std::fs::create_dir_all(path("real/pics")).unwrap();
        std::os::unix::fs::symlink(path("real"), path("link")).unwrap();
        assert!(same_place(&path("link/pics"), &path("real/pics")));
        assert!(same_place(&path("link/a.zip/train"), &path("real/a.zip/train")));
        assert_eq!(absolute(&path("link/pics")), path("link/pics"), "the person's own name stays");
    }
}
