//! What `--data` names.

use std::fmt;
use std::path::{Path, PathBuf};

use super::dataset::Problem;
use super::formats::{self, KINDS};
use super::left_out::LeftOut;
use super::synth::Scene;

/// Why pictures cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// There is nothing of that name.
    #[error("{path} does not exist; give {KINDS}")]
    NotFound {
        /// What was named.
        path: PathBuf,
    },
    /// It is a file of another kind.
    #[error("{path} is neither a folder nor a file of a known kind; give {KINDS}")]
    UnknownKind {
        /// What was named.
        path: PathBuf,
    },
    /// Its first bytes are those of something that is no set of pictures.
    #[error("{path} is {what}; what can be given is {KINDS}")]
    OtherKind {
        /// What was named.
        path: PathBuf,
        /// What it is, with its article.
        what: String,
    },
    /// An unknown synthetic set.
    #[error("{name} is not a synthetic set; there are synth:rooms and synth:faces")]
    UnknownScene {
        /// What was named.
        name: String,
    },
    /// No pictures in it.
    #[error("{path} holds no pictures (png, jpg, webp, bmp, gif, tiff, ppm, pgm); check what is inside")]
    Empty {
        /// The folder or archive.
        path: PathBuf,
    },
    /// Nothing in it that could be read, though there is something.
    #[error("{path} holds no pictures that can be read (png, jpg, webp, bmp, gif, tiff, ppm, pgm): {found}")]
    NothingRead {
        /// The folder or archive.
        path: PathBuf,
        /// What was left out.
        found: String,
    },
    /// A set of which there is only the part to test on.
    #[error(
        "{path} has the test part of a set only ({found}); what is to be learned from, {missing}, is missing. Put it beside, or \
         give {wanted} to open the test part on purpose"
    )]
    OnlyTestPart {
        /// The folder or archive.
        path: PathBuf,
        /// The first file of the test part.
        found: String,
        /// What the training part is usually called.
        missing: String,
        /// What opens the test part.
        wanted: PathBuf,
    },
    /// A list of pictures to skip names none of the set.
    #[error(
        "{source_name} has none of the {names} pictures that are to be skipped, such as {first}; the list is of another set, or \
         of another part of it"
    )]
    SkipsNone {
        /// The source.
        source_name: String,
        /// How many names there are.
        names: usize,
        /// The first of them.
        first: String,
    },
    /// Too few pictures to fill one batch.
    #[error("{source_name} has {pictures} usable pictures, fewer than one batch of {batch}{}; lower --batch or add pictures", unread(*skipped, first.as_ref()))]
    SmallerThanBatch {
        /// The source.
        source_name: String,
        /// Usable pictures.
        pictures: u64,
        /// Pictures that could not be read.
        skipped: u64,
        /// The first of these.
        first: Option<Problem>,
        /// The batch.
        batch: usize,
    },
    /// The file system refused.
    #[error("cannot read {path}: {cause}; check that it is still there and that you may read it")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// The archive is damaged.
    #[error("{path} is not a whole archive ({cause}); it may be damaged or only half copied")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What the reader said.
        cause: String,
    },
    /// A file does not hold what its kind demands.
    #[error("{path} cannot be read as {kind}: {cause}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What it was taken for: "an IDX file".
        kind: &'static str,
        /// What is wrong, where, and what can be done.
        cause: String,
    },
    /// A compressed tar found no room to be unpacked.
    #[error(
        "{path} has to be unpacked into {folder} and that failed: {cause}; make room there, set TMPDIR to a roomier folder, or give an unpacked folder or a .zip"
    )]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// The folder of temporary files.
        folder: PathBuf,
        /// What the file system said.
        cause: std::io::Error,
    },
    /// The decoding threads are gone.
    #[error("the threads that decode pictures ended unexpectedly; start the run again with --resume")]
    ThreadsGone,
}

impl DataError {
    /// That nothing at `path` can be read, with what was found instead.
    pub(super) fn nothing(path: &Path, left_out: &[LeftOut]) -> Self {
        let path = path.to_owned();
        match left_out {
            [] => Self::Empty { path },
            groups => {
                let found: Vec<String> = groups.iter().map(ToString::to_string).collect();
                Self::NothingRead { path, found: found.join("; ") }
            }
        }
    }
}

fn unread(skipped: u64, first: Option<&Problem>) -> String {
    match first {
        Some(Problem { name, cause }) => format!(" ({skipped} cannot be read, the first is {name}: {cause})"),
        None => String::new(),
    }
}

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder; sub-folders are classes.
    Folder(PathBuf),
    /// An archive of pictures, one folder in it (`pictures.zip/train`), or a data set's own file.
    File(PathBuf),
    /// Drawn by the program, endless.
    Synth(Scene),
}

impl Source {
    /// Understands what `--data` says.
    ///
    /// # Errors
    /// [`DataError`] saying what is wrong and what could be given instead.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        if let Some(name) = text.strip_prefix("synth:") {
            let scene = name.parse().map_err(|_| DataError::UnknownScene { name: text.to_owned() })?;
            return Ok(Self::Synth(scene));
        }
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Self::Folder(path.to_owned()));
        }
        formats::check(path)?;
        Ok(Self::File(path.to_owned()))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::File(path) => write!(f, "{}", path.display()),
            Self::Synth(scene) => write!(f, "synth:{scene}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_data_is_told_what_could_be() {
        for text in ["no/such/folder", "synth:gardens", "Cargo.toml"] {
            let message = Source::parse(text).unwrap_err().to_string();
            assert!(message.contains(text) && message.contains("synth:rooms"), "{message}");
        }
    }

    #[test]
    fn a_source_is_written_as_it_is_read() {
        for text in ["synth:rooms", "synth:faces", "src"] {
            assert_eq!(Source::parse(text).unwrap().to_string(), text);
        }
    }
}
