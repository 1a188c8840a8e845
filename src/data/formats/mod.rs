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
mod names;
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
use std::io::Read;
use std::path::Path;

pub(super) use cache::{Reading, Writing};
pub(super) use drawn::draw;
pub use labels::ClassesFrom;
pub(super) use labels::Labels;
pub(super) use parts::TEST_PARTS;
pub(super) use picked::picked;

use self::cache::Cache;
use self::shelf::Shelf;
use self::slice::Slice;
use super::left_out::LeftOut;
use super::source::DataError;
use crate::image::{Picture, Range, Samples};
use crate::sniff;

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
    /// What a file is: by its first bytes, and by its name where these say nothing.
    fn of(path: &Path) -> Result<Self, DataError> {
        let slice = Slice::open(path)?;
        let head = slice
            .beginning(sniff::HEADER_BYTES as u64)
            .map_err(|cause| DataError::Io { path: path.to_owned(), cause })?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        let by_name = Self::of_name(&name);
        match Self::of_bytes(&head) {
            // Records of pixels may begin with any bytes.
            Some(Self::Idx | Self::CifarPython) if by_name == Some(Self::Cifar) => {}
            Some(Self::Npz) if by_name == Some(Self::Zip) => return Ok(Self::Zip),
            Some(kind) => return Ok(kind),
            None => {}
        }
        let other = |what: &str| DataError::OtherKind { path: path.to_owned(), what: what.to_owned() };
        if sniff::picture_format(&head).is_some() {
            return Err(other("a single picture; give the folder that it is in"));
        }
        // A file without anything in it is for the reader of what it is called to refuse.
        let nothing =
            head.iter().all(|&byte| byte == 0) || head.starts_with(b"\x1f\x8b") || head.starts_with(b"\x89HDF");
        match (by_name, sniff::describe(&head)) {
            (Some(kind), Some(what)) if nothing || what == sniff::TEXT => Ok(kind),
            (_, Some(what)) => Err(other(what)),
            (Some(kind), None) => Ok(kind),
            (None, None) => Err(DataError::UnknownKind { path: path.to_owned() }),
        }
    }

    /// What a file's name says that it is.
    fn of_name(name: &str) -> Option<Self> {
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
        by_name.map(|(_, kind)| kind).or_else(|| idx::is_pictures(name).then_some(Self::Idx))
    }

    /// The kind that a file's first bytes prove.
    fn of_bytes(head: &[u8]) -> Option<Self> {
        let at = |place: usize, bytes: &[u8]| head.get(place..).is_some_and(|rest| rest.starts_with(bytes));
        if at(0, b"PK\x03\x04") {
            // The name of its first file stands behind thirty bytes, after its length.
            let length = head.get(26..28).map_or(0, |two| usize::from(u16::from_le_bytes([two[0], two[1]])));
            let first = head.get(30..30 + length).unwrap_or_default();
            return Some(if first.ends_with(b".npy") { Self::Npz } else { Self::Zip });
        }
        if at(0, b"\x1f\x8b") {
            let mut inside = Vec::new();
            // What there is of it: the rest is cut off here.
            let _ = flate2::read::GzDecoder::new(head).take(512).read_to_end(&mut inside);
            return Self::of_bytes(&inside).filter(|kind| matches!(kind, Self::Tar | Self::Idx));
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

/// Whether a file is of a kind that can be opened, or a path that goes on into an archive or to a part of a set.
pub(super) fn check(path: &Path) -> Result<(), DataError> {
    match archive::split(path) {
        Some((archive, _)) => Kind::of(archive).map(|_| ()),
        None if path.exists() => Kind::of(path).map(|_| ()),
        None if parts::of(path).is_some() => Ok(()),
        None => Err(DataError::NotFound { path: path.to_owned() }),
    }
}

/// Opens a file.
pub(super) fn open_file(path: &Path) -> Result<Opened, DataError> {
    match archive::split(path) {
        // It may be no archive, whatever its name says.
        Some((archive, _)) if archive == path => {}
        Some(_) => return archive::open(path),
        None => {}
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
