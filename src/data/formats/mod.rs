//! The kinds of files that pictures come in: one file a kind.
//!
//! Opening one finds how many pictures there are, their names and their classes, and reads none; any picture is then read
//! from its own place in the file, by many threads at a time. Nothing here writes to what it reads. What the bytes say is
//! checked before it is believed: lengths against the file's, and counts before memory is asked for.

mod archive;
mod array;
mod cache;
mod cifar;
mod cifar_python;
mod classes;
mod directory;
mod drawn;
mod endings;
mod folder;
mod idx;
mod labels;
mod lmdb;
mod matlab;
mod numpy;
mod pages;
mod parquet;
mod parts;
mod picked;
mod pickle;
mod shards;
mod shelf;
mod slice;
#[cfg(test)]
mod tests;
mod text;

use std::fmt::Debug;
use std::path::Path;

pub(super) use cache::{Reading, Writing};
pub(super) use drawn::draw;
pub use labels::ClassesFrom;
pub(super) use labels::Labels;
pub(crate) use parts::TEST_PARTS;
pub(super) use picked::picked;

use self::cache::Cache;
use self::shelf::Shelf;
use self::slice::Slice;
use super::left_out::LeftOut;
use super::source::DataError;
use crate::image::{Picture, Range, Samples};

/// The most bytes that one picture's file may have; more is a mistake or malice, and would only fill the memory.
const FILE_LIMIT: u64 = 1 << 30;

/// What `--data` and the window's dialog understand, in words.
pub(super) const KINDS: &str = "a folder of pictures or a .zip, .tar, .tar.gz or .tgz of one, CIFAR batches, an SVHN .mat, \
    IDX files, WebDataset tars, .parquet, an LMDB, .npy or .npz, synth:rooms or synth:faces";

/// The ends of the names of files that can be opened, for a dialog; some have none.
pub const FILE_ENDINGS: [&str; 10] = ["zip", "tar", "gz", "tgz", "bin", "mat", "npy", "npz", "parquet", "mdb"];

/// One picture as a set gives it.
pub(super) enum Found {
    /// The bytes of a picture's file.
    Encoded(Vec<u8>),
    /// Its pixels.
    Decoded(Picture),
}

/// Pictures by number, read when they are asked for.
pub(super) trait Pictures: Debug + Send + Sync {
    /// How many there are; `None` when they never end.
    fn len(&self) -> Option<u64>;

    /// What picture `index` is called.
    fn name(&self, index: u64) -> String;

    /// Picture `index`; those that are drawn are drawn with `size` x `size` pixels. The error is what is wrong with it.
    fn read(&self, index: u64, size: usize) -> Result<Found, String>;

    /// The files that lie among the pictures and are left out.
    fn left_out(&self) -> &[LeftOut] {
        &[]
    }

    /// How the values of [`Found::Decoded`] pictures are stored, and which of them became black and white.
    fn samples(&self) -> (Samples, Option<Range>) {
        (Samples::U8, None)
    }
}

/// An opened set.
#[derive(Debug)]
pub(super) struct Opened {
    pub pictures: Box<dyn Pictures>,
    pub labels: Labels,
    /// What was guessed of it, for people.
    pub notes: Vec<String>,
}

/// The kinds of files that are told apart by their names and first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
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

impl Kind {
    fn of(path: &Path) -> Result<Self, DataError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let kinds: [(&[&str], Self); 8] = [
            (&[".zip"], Self::Zip),
            (&[".tar", ".tar.gz", ".tgz"], Self::Tar),
            (&[".npy"], Self::Npy),
            (&[".npz"], Self::Npz),
            (&[".bin"], Self::Cifar),
            (&[".mat"], Self::Matlab),
            (&[".mdb"], Self::Lmdb),
            (&[".parquet"], Self::Parquet),
        ];
        let by_name = kinds.into_iter().find(|(ends, _)| ends.iter().any(|end| name.ends_with(end)));
        match by_name {
            Some((_, kind)) => Ok(kind),
            None if idx::is_pictures(&name) => Ok(Self::Idx),
            None if cifar_python::is_pickle(&Slice::open(path)?) => Ok(Self::CifarPython),
            None => Err(DataError::UnknownKind { path: path.to_owned() }),
        }
    }
}

/// Whether a file is of a kind that can be opened, or a path that goes on into an archive or to a part of a set.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    match archive::split(path) {
        Some(_) => Ok(()),
        None if path.exists() => Kind::of(path).map(|_| ()),
        None if parts::of(path).is_some() => Ok(()),
        None => Err(DataError::NotFound { path: path.to_owned() }),
    }
}

/// Opens a file.
pub(super) fn open_file(path: &Path) -> Result<Opened, DataError> {
    if archive::split(path).is_some() {
        return archive::open(path);
    }
    if let Some((folder, part)) = parts::of(path) {
        return open_part(folder, part);
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut opened = match Kind::of(path)? {
        Kind::Zip | Kind::Tar => archive::open(path),
        Kind::Npy => numpy::open_npy(path),
        Kind::Npz => numpy::open_npz(path),
        Kind::Cifar => cifar::open(&Shelf::around(path)?, &[&name]),
        Kind::CifarPython => cifar_python::open(&Shelf::around(path)?, &[&name]),
        Kind::Matlab => matlab::open(&Shelf::around(path)?, &[&name]),
        Kind::Lmdb => lmdb::open(&Slice::open(path)?),
        Kind::Parquet => parquet::open(vec![path.to_owned()]),
        Kind::Idx => idx::open(&Shelf::around(path)?, &[&name]),
    }?;
    opened.notes.extend(parts::note_on(&name));
    Ok(opened)
}

/// Opens a folder: of a known set's files, or of pictures.
pub(super) fn open_folder(path: &Path) -> Result<Opened, DataError> {
    // A list that was kept is of a folder that was no known set's.
    let cache = Cache::of_user();
    if let Some(opened) = folder::recall(path, &cache) {
        return Ok(opened);
    }
    let shelf = Shelf::folder(path)?;
    if let Some(opened) = open_shelf(&shelf, None)? {
        return Ok(opened);
    }
    // Known sets are often unpacked into a folder that holds nothing but theirs.
    match folder::only_folder(path) {
        Some(inside) => match open_shelf(&Shelf::folder(&inside)?, None)? {
            Some(opened) => Ok(opened),
            None => folder::open(path, &cache),
        },
        None => folder::open(path, &cache),
    }
}

/// Whether a file is one of a set by its name.
type Is = fn(&str) -> bool;
/// Opens the files of these names as one set.
type Open = fn(&Shelf, &[&str]) -> Result<Opened, DataError>;

/// Opens a part of the set in a folder.
fn open_part(folder: &Path, part: &str) -> Result<Opened, DataError> {
    let shelf = Shelf::folder(folder)?;
    if let Some(opened) = open_shelf(&shelf, Some(part))? {
        return Ok(opened);
    }
    let shards = |is: Is| {
        let names = shelf.names().into_iter().filter(|name| is(name) && parts::word(name) == part);
        names.map(|name| Path::new(name).into()).collect::<Vec<_>>()
    };
    match (shards(parquet::is_shard), shards(shards::is_shard)) {
        (tables, _) if !tables.is_empty() => parquet::open_folder(folder, &tables),
        (_, tars) if !tars.is_empty() => shards::open(folder, &tars),
        _ => Err(DataError::UnknownKind { path: folder.join(part) }),
    }
}

/// Opens the files of a known set, or of a `part` of it, if these are some.
fn open_shelf(shelf: &Shelf, part: Option<&str>) -> Result<Option<Opened>, DataError> {
    if let Some(pages) = shelf.get("data.mdb")? {
        let mut opened = lmdb::open(&pages)?;
        opened.notes.extend(shelf.note_on_pictures());
        return Ok(Some(opened));
    }
    let names = shelf.names();
    let those = |is: Is| names.iter().copied().filter(|name| is(name)).collect::<Vec<_>>();
    let kinds: [(Is, Open); 4] = [
        (cifar::is_batch, cifar::open),
        (cifar_python::is_batch, cifar_python::open),
        (idx::is_pictures, idx::open),
        (matlab::is_set, matlab::open),
    ];
    for (is, open) in kinds {
        let chosen = parts::choose(those(is), part);
        let (files, notes) = chosen.map_err(|half| half.refused(shelf.place(), |name| shelf.place_of(name)))?;
        if !files.is_empty() {
            let mut opened = open(shelf, &files)?;
            opened.notes.extend(notes);
            opened.notes.extend(shelf.note_on_pictures());
            return Ok(Some(opened));
        }
    }
    Ok(None)
}
