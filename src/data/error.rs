//! Errors of data sets, and of single pictures in them.

use std::path::PathBuf;

/// What `--data` and the window's data picker accept.
pub(super) const SUPPORTED: &str = "a folder of pictures or a .zip, .tar, .tar.gz or .tgz of one, CIFAR batches, an SVHN .mat, \
    IDX files, WebDataset tars, .parquet, an LMDB, .npy or .npz, synth:rooms or synth:faces";

/// A picture that was skipped because it cannot be read or prepared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The picture's name in the set.
    pub name: String,
    /// What is wrong with it.
    pub cause: String,
}

/// Why a data set cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// Nothing exists at the path.
    #[error("{path} does not exist; give {SUPPORTED}")]
    NotFound {
        /// The path.
        path: PathBuf,
    },
    /// The file is of no known kind.
    #[error("{path} is neither a folder nor a file of a known kind; give {SUPPORTED}")]
    UnknownKind {
        /// The path.
        path: PathBuf,
    },
    /// The file's first bytes are those of something other than a set of pictures.
    #[error("{path} is {what}; give {SUPPORTED}")]
    OtherKind {
        /// The path.
        path: PathBuf,
        /// What the file is, with an article: "a PDF document".
        what: String,
    },
    /// An unknown synthetic set.
    #[error("{name} is not a synthetic set; give synth:rooms or synth:faces")]
    UnknownScene {
        /// The name.
        name: String,
    },
    /// The folder or file has no pictures.
    #[error("{path} holds no pictures (png, jpg, webp, bmp, gif, tiff, ppm, pgm); check its contents")]
    Empty {
        /// The folder or archive.
        path: PathBuf,
    },
    /// None of the files in the folder or archive can be read as a picture.
    #[error("{path} holds no pictures that can be read (png, jpg, webp, bmp, gif, tiff, ppm, pgm): {found}")]
    NothingRead {
        /// The folder or archive.
        path: PathBuf,
        /// The files that were skipped, by reason and kind.
        found: String,
    },
    /// Only the test split of a set is present.
    #[error(
        "{path} holds only the test split of a set ({found}); its training split, {missing}, is missing. Add it, or give \
         {wanted} to open the test split"
    )]
    OnlyTestSplit {
        /// The folder or archive.
        path: PathBuf,
        /// The first file of the test split.
        found: String,
        /// The usual name of the training split's file.
        missing: String,
        /// The path that opens the test split.
        wanted: PathBuf,
    },
    /// None of the names in a skip list is in the set.
    #[error(
        "{source_name} has none of the {names} pictures to skip, such as {first}; the list belongs to another set or another \
         split of it"
    )]
    SkipsNone {
        /// The source.
        source_name: String,
        /// Number of names in the list.
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
        /// Pictures that cannot be read.
        skipped: u64,
        /// The first of these.
        first: Option<Problem>,
        /// The batch size.
        batch: usize,
    },
    /// The file system refused. The message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The archive is damaged.
    #[error("{path} is not a whole archive ({cause}); it may be damaged or only half copied")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// What the reader reported.
        cause: String,
    },
    /// A file does not follow its format.
    #[error("{path} cannot be read as {kind}: {cause}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The expected format, with an article: "an IDX file".
        kind: &'static str,
        /// What is wrong, where, and what to do.
        cause: String,
    },
    /// A compressed tar cannot be unpacked into the folder for temporary files.
    #[error(
        "{path} has to be unpacked into {folder}, which failed: {cause}; free some space there, set TMPDIR to another folder, or \
         give an unpacked folder or a .zip"
    )]
    Unpack {
        /// The archive.
        path: PathBuf,
        /// The folder for temporary files.
        folder: PathBuf,
        /// What the file system reported.
        cause: std::io::Error,
    },
    /// The decoding threads ended.
    #[error("the threads that decode pictures ended unexpectedly; start the run again with --resume")]
    ThreadsGone,
}

fn unread(skipped: u64, first: Option<&Problem>) -> String {
    match first {
        Some(Problem { name, cause }) => format!(" ({skipped} cannot be read, the first is {name}: {cause})"),
        None => String::new(),
    }
}
