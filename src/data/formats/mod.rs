//! Readers of data set formats, one module each.
//!
//! Opening a set determines the number, names and classes of its pictures without decoding any. A picture is then
//! read by position, by any number of threads. Readers never write to a set, and validate what they read: lengths
//! against the file's, and counts before allocating.

mod archive;
mod array;
mod cifar;
mod cifar_python;
mod class_names;
mod classes;
mod file_names;
mod file_set;
mod file_slice;
mod folder;
mod idx;
mod labels;
mod lmdb;
mod matlab;
mod name_encoding;
mod numpy;
mod parquet;
mod parquet_pages;
mod pickle;
mod splits;
mod subset;
mod synthetic;
#[cfg(test)]
mod tests;
mod webdataset;
mod zip_directory;

use std::fmt::Debug;
use std::io::Read;
use std::path::Path;

pub(super) use labels::ClassLabels;
pub use labels::ClassSource;
pub(super) use splits::TEST_SPLITS;
pub(super) use subset::subset;
pub(super) use synthetic::open_synthetic;

use self::file_set::FileSet;
use self::file_slice::FileSlice;
use super::cache::ListCache;
use super::error::DataError;
use super::skipped::SkippedGroup;
use crate::extensions;
use crate::files::with_path;
use crate::image::{Picture, Range, Samples};
use crate::sniff;

/// Limit of the size of one picture's file. A larger one is an error or an attack, and would only exhaust the memory.
const FILE_LIMIT: u64 = 1 << 30;

/// A picture as stored.
pub(super) enum PictureData {
    /// An encoded picture file.
    Encoded(Vec<u8>),
    /// Pixels.
    Decoded(Picture),
}

/// Random access to the pictures of a set.
pub(super) trait PictureStore: Debug + Send + Sync {
    /// Number of pictures; `None` for endless sets.
    fn len(&self) -> Option<u64>;

    /// Name of picture `index`.
    fn name(&self, index: u64) -> String;

    /// Reads picture `index`; a synthetic one is rendered at `size` x `size`. The error says what is wrong with it.
    fn read(&self, index: u64, size: usize) -> Result<PictureData, String>;

    /// Skipped files, by reason and kind.
    fn skipped(&self) -> &[SkippedGroup] {
        &[]
    }

    /// Stored type of [`PictureData::Decoded`] values, and the range mapped to black and white.
    fn samples(&self) -> (Samples, Option<Range>) {
        (Samples::U8, None)
    }
}

/// An opened set.
#[derive(Debug)]
pub(super) struct PictureSet {
    pub pictures: Box<dyn PictureStore>,
    pub labels: ClassLabels,
    /// Assumptions and findings of opening it, for the user.
    pub notes: Vec<String>,
}

/// File formats that are detected by first bytes and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DataFileKind {
    Zip,
    Tar,
    Npy,
    Npz,
    Cifar,
    CifarPython,
    Matlab,
    Lmdb,
    Parquet,
    Idx,
}

impl DataFileKind {
    /// The format of a file, by its first bytes, or its name if these are inconclusive.
    fn detect(path: &Path) -> Result<Self, DataError> {
        let slice = FileSlice::open(path)?;
        let head = slice.head(sniff::HEADER_BYTES as u64).map_err(|error| with_path(path, error))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let by_name = Self::from_name(&name);
        match Self::from_bytes(&head) {
            // Raw pixels may begin with any bytes.
            Some(Self::Idx | Self::CifarPython) if by_name == Some(Self::Cifar) => {}
            Some(Self::Npz) if by_name == Some(Self::Zip) => return Ok(Self::Zip),
            Some(kind) => return Ok(kind),
            None => {}
        }
        let other = |what: &str| DataError::OtherKind { path: path.to_owned(), what: what.to_owned() };
        if sniff::picture_format(&head).is_some() {
            return Err(other("a single picture; give the folder that it is in"));
        }
        // An empty file is refused by the reader of its format.
        let nothing =
            head.iter().all(|&byte| byte == 0) || head.starts_with(b"\x1f\x8b") || head.starts_with(b"\x89HDF");
        match (by_name, sniff::describe(&head)) {
            (Some(kind), Some(what)) if nothing || what == sniff::TEXT => Ok(kind),
            (_, Some(what)) => Err(other(what)),
            (Some(kind), None) => Ok(kind),
            (None, None) => Err(DataError::UnknownKind { path: path.to_owned() }),
        }
    }

    /// The format that a file name suggests.
    fn from_name(name: &str) -> Option<Self> {
        let kinds: [(&[&str], Self); 8] = [
            (&["zip"], Self::Zip),
            (&["tar", "tar.gz", "tgz"], Self::Tar),
            (&["npy"], Self::Npy),
            (&["npz"], Self::Npz),
            (&["bin"], Self::Cifar),
            (&["mat"], Self::Matlab),
            (&["mdb"], Self::Lmdb),
            (&["parquet"], Self::Parquet),
        ];
        let by_name = kinds.into_iter().find(|(known, _)| extensions::matches(Path::new(name), known));
        by_name.map(|(_, kind)| kind).or_else(|| idx::is_pictures(name).then_some(Self::Idx))
    }

    /// The format that a file's first bytes prove.
    fn from_bytes(head: &[u8]) -> Option<Self> {
        let at = |place: usize, bytes: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(bytes));
        if at(0, b"PK\x03\x04") {
            // The name of the first entry follows a header of thirty bytes, which has its length.
            let length = head.get(26..28).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
            let first = head.get(30..30 + length).unwrap_or_default();
            return Some(if first.ends_with(b".npy") { Self::Npz } else { Self::Zip });
        }
        if at(0, b"\x1f\x8b") {
            let mut inside = Vec::new();
            // The stream is truncated here, so an error at its end is expected.
            let _ = flate2::read::GzDecoder::new(head).take(512).read_to_end(&mut inside);
            return Self::from_bytes(&inside).filter(|kind| matches!(kind, Self::Tar | Self::Idx));
        }
        let idx = matches!(head, [0, 0, 8, 3, ..]);
        let pickle = matches!(head, [0x80, 2..=5, ..]);
        let kinds = [
            (at(0, b"\x93NUMPY"), Self::Npy),
            (at(0, b"PAR1"), Self::Parquet),
            (at(0, b"MATLAB 5.0"), Self::Matlab),
            (at(257, b"ustar"), Self::Tar),
            (at(16, &0xbeef_c0de_u32.to_le_bytes()), Self::Lmdb),
            (idx, Self::Idx),
            (pickle, Self::CifarPython),
        ];
        kinds.into_iter().find(|(is, _)| *is).map(|(_, kind)| kind)
    }
}

/// Checks that a path names a file of a known format, a folder in an archive, or a split of a set.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    match archive::split_path(path) {
        Some((archive, _)) => DataFileKind::detect(archive).map(|_| ()),
        None if path.exists() => DataFileKind::detect(path).map(|_| ()),
        None if splits::split_path(path).is_some() => Ok(()),
        None => Err(DataError::NotFound { path: path.to_owned() }),
    }
}

/// Opens a file, a folder in an archive, or a split of a set.
pub(super) fn open_file(path: &Path) -> Result<PictureSet, DataError> {
    match archive::split_path(path) {
        // Despite its extension it may be no archive.
        Some((archive, _)) if archive == path => {}
        Some(_) => return archive::open(path),
        None => {}
    }
    if let Some((folder, split)) = splits::split_path(path) {
        return open_split(folder, split);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut opened = match DataFileKind::detect(path)? {
        DataFileKind::Zip | DataFileKind::Tar => archive::open(path),
        DataFileKind::Npy => numpy::open_npy(path),
        DataFileKind::Npz => numpy::open_npz(path),
        DataFileKind::Cifar => cifar::open(&FileSet::containing(path)?, &[&name]),
        DataFileKind::CifarPython => cifar_python::open(&FileSet::containing(path)?, &[&name]),
        DataFileKind::Matlab => matlab::open(&FileSet::containing(path)?, &[&name]),
        DataFileKind::Lmdb => lmdb::open(&FileSlice::open(path)?),
        DataFileKind::Parquet => parquet::open(vec![path.to_owned()]),
        DataFileKind::Idx => idx::open(&FileSet::containing(path)?, &[&name]),
    }?;
    opened.notes.extend(splits::opened_by_name_note(&name));
    Ok(opened)
}

/// Opens a folder: a known data set, or pictures.
pub(super) fn open_folder(path: &Path) -> Result<PictureSet, DataError> {
    // Only folders of pictures have cached lists.
    let cache = ListCache::of_user();
    if let Some(opened) = folder::open_cached(path, &cache) {
        return Ok(opened);
    }
    let file_set = FileSet::folder(path)?;
    if let Some(opened) = open_known_set(&file_set, None)? {
        return Ok(opened);
    }
    // Known sets are often unpacked into a folder of their own.
    match folder::only_folder(path) {
        Some(inside) => match open_known_set(&FileSet::folder(&inside)?, None)? {
            Some(opened) => Ok(opened),
            None => folder::open(path, &cache),
        },
        None => folder::open(path, &cache),
    }
}

/// Whether a file belongs to a format's sets, by its name.
type NamePredicate = fn(&str) -> bool;
/// Opens the named files as one set.
type OpenFiles = fn(&FileSet, &[&str]) -> Result<PictureSet, DataError>;

/// Opens one split of the set in a folder.
fn open_split(folder: &Path, split: &str) -> Result<PictureSet, DataError> {
    let file_set = FileSet::folder(folder)?;
    if let Some(opened) = open_known_set(&file_set, Some(split))? {
        return Ok(opened);
    }
    let shards = |is: NamePredicate| {
        let names = file_set.names().into_iter().filter(|name| is(name) && splits::split_name(name) == split);
        names.map(|name| Path::new(name).into()).collect::<Vec<_>>()
    };
    match (shards(parquet::is_shard), shards(webdataset::is_shard)) {
        (tables, _) if !tables.is_empty() => parquet::open_folder(folder, &tables),
        (_, tars) if !tars.is_empty() => webdataset::open(folder, &tars),
        _ => Err(DataError::UnknownKind { path: folder.join(split) }),
    }
}

/// Opens a known data set, or one split of it; `None` if the files are no known set.
fn open_known_set(file_set: &FileSet, split: Option<&str>) -> Result<Option<PictureSet>, DataError> {
    if let Some(pages) = file_set.get("data.mdb")? {
        let mut opened = lmdb::open(&pages)?;
        opened.notes.extend(file_set.pictures_note());
        return Ok(Some(opened));
    }
    let names = file_set.names();
    let matching = |is: NamePredicate| names.iter().copied().filter(|name| is(name)).collect::<Vec<_>>();
    let kinds: [(NamePredicate, OpenFiles); 4] = [
        (cifar::is_batch, cifar::open),
        (cifar_python::is_batch, cifar_python::open),
        (idx::is_pictures, idx::open),
        (matlab::is_set, matlab::open),
    ];
    for (is, open) in kinds {
        let chosen = splits::choose(matching(is), split);
        let (files, notes) =
            chosen.map_err(|lone_test| lone_test.into_error(file_set.path(), |name| file_set.path_of(name)))?;
        if !files.is_empty() {
            let mut opened = open(file_set, &files)?;
            opened.notes.extend(notes);
            opened.notes.extend(file_set.pictures_note());
            return Ok(Some(opened));
        }
    }
    Ok(None)
}
