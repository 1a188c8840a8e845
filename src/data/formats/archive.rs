//! Zip and tar archives, indexed once and then read by position.
//!
//! Any number of threads read from the one open file: every read gives its own position, so there is no lock and no
//! handle per thread.

mod index;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

pub(super) use self::index::{ArchiveIndex, check_bounds, index};
use super::classes::{JSON_LIMIT, classes, is_dataset_json};
use super::file_names::{self, count_skipped, is_picture, may_be_unnamed_picture, starts_like_picture};
use super::file_set::{FileSet, MemberFile};
use super::file_slice::read_at;
use super::labels::{ClassLabels, LabelBuilder};
use super::{FILE_LIMIT, PictureData, PictureSet, PictureStore, open_known_set, splits, webdataset, zip_directory};
use crate::data::DataError;
use crate::data::cache::{CacheReader, CacheWriter, ListCache, ListStamp};
use crate::data::skipped::{self, SkipTally, SkippedGroup};
use crate::extensions;

/// The archive in `path`, and the folder inside it: `pictures.zip/train` is the folder `train` of `pictures.zip`.
pub(super) fn split_path(path: &Path) -> Option<(&Path, &Path)> {
    let is_archive = |file: &&Path| extensions::matches(file, &extensions::ARCHIVES) && file.is_file();
    let file = path.ancestors().find(is_archive)?;
    Some((file, path.strip_prefix(file).ok()?))
}

/// How an entry's bytes are stored. Unreadable entries do not make a set unusable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryStorage {
    Stored,
    Deflated,
    Encrypted,
    Unsupported,
    TooLarge,
}

/// One file of an archive. There may be millions, so names have no spare capacity and sizes are limited to 4 GiB.
#[derive(Debug, Clone)]
pub(super) struct ArchiveEntry {
    /// Path inside the archive, separated by `/`.
    pub name: Box<str>,
    /// Position of its bytes, or of the local header before them ([`ArchiveEntry::with_local_header`]).
    pub start: u64,
    /// Stored size, in bytes.
    pub packed: u32,
    /// Size after decompression, in bytes.
    size: u32,
    /// CRC-32 of its bytes; only zips have it.
    crc: Option<u32>,
    /// Index of its archive.
    pub shard: u32,
    storage: EntryStorage,
    with_local_header: bool,
    /// Whether it is a picture, by its name or its first bytes.
    pub picture: bool,
}

impl ArchiveEntry {
    pub fn new(name: &str, start: u64, [packed, size]: [u64; 2], storage: EntryStorage) -> Self {
        let storage = if packed.max(size) > FILE_LIMIT { EntryStorage::TooLarge } else { storage };
        let [packed, size] = [packed, size].map(|bytes| bytes.min(FILE_LIMIT) as u32);
        let picture = is_picture(name);
        Self { name: name.into(), start, packed, size, crc: None, shard: 0, storage, with_local_header: false, picture }
    }

    /// An entry of a zip, given the position of its local header, which is read only together with the entry.
    pub fn with_local_header(name: &str, start: u64, sizes: [u64; 2], storage: EntryStorage, crc: u32) -> Self {
        Self { crc: Some(crc), with_local_header: true, ..Self::new(name, start, sizes, storage) }
    }

    /// Position of its bytes.
    fn data_start(&self, file: &File) -> io::Result<u64> {
        if !self.with_local_header {
            return Ok(self.start);
        }
        let mut header = [0; zip_directory::LOCAL_HEADER];
        read_at(file, &mut header, self.start)?;
        let [name, extra] = [26, 28].map(|at| u64::from(u16::from_le_bytes([header[at], header[at + 1]])));
        if !header.starts_with(b"PK\x03\x04") {
            return Err(io::Error::other("it is not at the position that the archive states; the archive is damaged"));
        }
        Ok(self.start + header.len() as u64 + name + extra)
    }
}

/// An archive to read from: open, or its path if there are more than may be open at a time.
#[derive(Debug)]
pub(super) enum ShardFile {
    Open(File),
    Path(PathBuf),
}

/// The pictures of one archive, or of several that form one set.
#[derive(Debug)]
pub(super) struct ArchivePictures {
    pub shards: Vec<ShardFile>,
    /// Sorted by archive and name.
    pub entries: Vec<ArchiveEntry>,
    pub skipped: Vec<SkippedGroup>,
}

/// Opens an archive of pictures, or of a known data set's files.
pub(super) fn open(path: &Path) -> Result<PictureSet, DataError> {
    open_with(path, &ListCache::of_user())
}

/// [`open`] with this cache.
pub(super) fn open_with(path: &Path, cache: &ListCache) -> Result<PictureSet, DataError> {
    // Only plain tars are worth caching: their headers are spread over the file. A zip's are in one place, and a
    // compressed tar has to be unpacked anyway.
    let tar = split_path(path).map(|(file, _)| file);
    let tar = tar.filter(|file| webdataset::is_shard(&file.to_string_lossy()) && !is_compressed(file));
    let stamp = tar.and_then(|file| ListStamp::of(path, std::iter::once(file)));
    let shard = || tar.and_then(|file| File::open(file).ok()).map(ShardFile::Open);
    let cached = stamp
        .as_ref()
        .zip(shard())
        .and_then(|(stamp, shard)| cache.load(path, stamp, |from| ArchivePictures::read(vec![shard], from)));
    if let Some((archive, labels, notes)) = cached {
        return Ok(PictureSet { pictures: Box::new(archive), labels, notes });
    }
    let started = SystemTime::now();
    let mut tally = SkipTally::within(split_path(path).map_or(Path::new(""), |(_, inside)| inside));
    let ArchiveIndex { file, mut entries, note } = index(path, &mut tally)?;
    let skipped = tally.finish();
    let json = take_dataset_json(&file, &mut entries);
    let split = split_path(path).and_then(|(_, inside)| retain_folder(&mut entries, inside));
    if !entries.iter().any(|entry| entry.picture) {
        let stored = entries.into_iter().filter(|entry| entry.storage == EntryStorage::Stored);
        let members =
            stored.map(|e| MemberFile { name: e.name.into(), start: e.start, length: e.size.into() }).collect();
        let opened = open_known_set(&FileSet::archive(path, Arc::new(file), members), split)?;
        return opened.ok_or_else(|| skipped::nothing_readable(path, &skipped));
    }
    if let Some(split) = split {
        entries.retain(|entry| splits::split_name(&entry.name) == split);
    }
    if entries.is_empty() {
        return Err(skipped::nothing_readable(path, &skipped));
    }
    let mut builder = LabelBuilder::default();
    let labeled = webdataset::take_class_files(&file, &mut entries, &mut builder);
    let (labels, mut notes) = match labeled {
        true => (builder.finish(), Vec::new()),
        false => classes(entries.iter().map(|entry| &*entry.name), &json),
    };
    notes.extend(note.into_iter().chain(unnamed_pictures_note(&entries)));
    let archive = ArchivePictures { shards: vec![ShardFile::Open(file)], entries, skipped };
    if let Some(stamp) = &stamp {
        cache.store(path, stamp, [archive.entries.len() as u64, 0], started, |to| archive.write(&labels, &notes, to));
    }
    Ok(PictureSet { pictures: Box::new(archive), labels, notes })
}

/// Removes each `dataset.json` from the entries and returns its path and contents.
fn take_dataset_json(file: &File, entries: &mut Vec<ArchiveEntry>) -> Vec<(String, Vec<u8>)> {
    let is = |entry: &ArchiveEntry| is_dataset_json(&entry.name) && u64::from(entry.size) <= JSON_LIMIT;
    let json = entries.iter().filter(|entry| is(entry));
    let json = json.map(|entry| (entry.name.to_string(), read(file, entry).unwrap_or_default())).collect();
    entries.retain(|entry| !is(entry));
    json
}

/// A note on pictures whose names do not end like a picture's.
pub(super) fn unnamed_pictures_note(entries: &[ArchiveEntry]) -> Option<String> {
    let mut by_bytes = entries.iter().filter(|entry| !is_picture(&entry.name));
    let first = by_bytes.next()?;
    file_names::unnamed_pictures_note(1 + by_bytes.count() as u64, &first.name)
}

/// Keeps the entries in the folder `inside`. If there are none, keeps those in the parent folder and returns the last
/// component of `inside`, which may name a split of the set there.
fn retain_folder<'a>(entries: &mut Vec<ArchiveEntry>, inside: &'a Path) -> Option<&'a str> {
    let is_inside = |entry: &ArchiveEntry| Path::new(&*entry.name).starts_with(inside);
    if entries.iter().any(is_inside) {
        entries.retain(is_inside);
        return None;
    }
    entries.retain(|entry| Path::new(&*entry.name).parent() == inside.parent());
    inside.file_name().and_then(|split| split.to_str())
}

/// Whether a file is gzipped or a zip, whatever its name.
pub(super) fn is_compressed(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = File::open(path).and_then(|file| read_at(&file, &mut head, 0));
    read.is_ok() && (head.starts_with(b"\x1f\x8b") || head.starts_with(b"PK"))
}

/// Reads and decompresses an entry of `file`.
pub(super) fn read(file: &File, entry: &ArchiveEntry) -> io::Result<Vec<u8>> {
    let refused = |cause| Err(io::Error::other(cause));
    let packed = || {
        let mut packed = vec![0; entry.packed as usize];
        read_at(file, &mut packed, entry.data_start(file)?).map(|()| packed)
    };
    let bytes = match entry.storage {
        EntryStorage::Encrypted => return refused("it is encrypted; unpack the archive first"),
        EntryStorage::Unsupported => {
            return refused(
                "its compression is not supported (only stored and deflated are); unpack the archive first",
            );
        }
        EntryStorage::TooLarge => return refused("it is larger than 1 GiB"),
        EntryStorage::Stored => packed()?,
        EntryStorage::Deflated => {
            let mut bytes = Vec::new();
            // Slightly more than announced, so that a wrong header is an error and does not exhaust the memory.
            let most = u64::from(entry.size) + 1;
            flate2::read::DeflateDecoder::new(packed()?.as_slice()).take(most).read_to_end(&mut bytes)?;
            bytes
        }
    };
    if bytes.len() != entry.size as usize {
        return refused("its size differs from the one that the archive states");
    }
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    match entry.crc {
        Some(expected) if expected != crc.sum() => refused("its checksum is wrong; the archive is damaged"),
        _ => Ok(bytes),
    }
}

impl ArchivePictures {
    /// Writes entries, labels and notes to a cached list.
    pub fn write(&self, labels: &ClassLabels, notes: &[String], to: &mut CacheWriter) -> io::Result<()> {
        to.u64(self.entries.len() as u64)?;
        let mut before = "";
        for entry in &self.entries {
            to.name(before.as_bytes(), entry.name.as_bytes())?;
            to.u64(entry.start)?;
            to.u32(entry.packed)?;
            to.u32(entry.shard)?;
            to.raw(&[u8::from(entry.storage == EntryStorage::TooLarge)])?;
            before = &entry.name;
        }
        labels.write(to)?;
        SkippedGroup::write_all(&self.skipped, to)?;
        to.texts(notes)
    }

    /// Reads what [`Self::write`] wrote; for tars only.
    pub fn read(shards: Vec<ShardFile>, from: &mut CacheReader) -> Option<(Self, ClassLabels, Vec<String>)> {
        let mut entries = Vec::with_capacity(from.count(25)?);
        let mut name = Vec::new();
        for _ in 0..entries.capacity() {
            from.name(&mut name)?;
            let (start, size, shard) = (from.u64()?, u64::from(from.u32()?), from.u32()?);
            let storage = if from.byte()? == 0 { EntryStorage::Stored } else { EntryStorage::TooLarge };
            entries.push(ArchiveEntry {
                shard,
                ..ArchiveEntry::new(std::str::from_utf8(&name).ok()?, start, [size; 2], storage)
            });
        }
        let labels = ClassLabels::read(from)?;
        Some((Self { shards, entries, skipped: SkippedGroup::read_all(from)? }, labels, from.texts()?))
    }
}

/// Whether an entry has the signature of a picture. Reads only as many bytes as needed.
fn is_picture_inside(file: &File, entry: &ArchiveEntry) -> bool {
    // Enough compressed bytes for the signature.
    const PACKED: usize = 512;
    let first = || -> io::Result<Vec<u8>> {
        let mut packed = vec![0; (entry.packed as usize).min(PACKED)];
        read_at(file, &mut packed, entry.data_start(file)?)?;
        match entry.storage {
            EntryStorage::Stored => {
                packed.truncate(file_names::SIGNATURE_BYTES);
                Ok(packed)
            }
            EntryStorage::Deflated => {
                let mut first = Vec::new();
                let most = file_names::SIGNATURE_BYTES as u64;
                flate2::read::DeflateDecoder::new(packed.as_slice()).take(most).read_to_end(&mut first)?;
                Ok(first)
            }
            _ => Ok(Vec::new()),
        }
    };
    first().is_ok_and(|first| starts_like_picture(&entry.name, &first))
}

/// Whether an entry is listed: a picture, by its name or its first bytes, or a file with class labels. Counts any
/// other.
fn is_listed(file: &File, entry: &mut ArchiveEntry, tally: &mut SkipTally) -> bool {
    if entry.picture || is_dataset_json(&entry.name) || webdataset::is_class(&entry.name) {
        return true;
    }
    entry.picture = may_be_unnamed_picture(&entry.name) && is_picture_inside(file, entry);
    if !entry.picture {
        count_skipped(&entry.name, tally);
    }
    entry.picture
}

/// An entry's text, if it has at most `limit` bytes.
pub(super) fn read_text(file: &File, entry: &ArchiveEntry, limit: usize) -> Option<String> {
    let bytes = (entry.size as usize <= limit).then(|| read(file, entry).ok())??;
    String::from_utf8(bytes).ok()
}

impl PictureStore for ArchivePictures {
    fn len(&self) -> Option<u64> {
        Some(self.entries.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        let Some(entry) = self.entries.get(index as usize) else { return String::new() };
        match self.shards.get(entry.shard as usize) {
            Some(ShardFile::Path(path)) => format!("{}/{}", path.display(), entry.name),
            _ => entry.name.to_string(),
        }
    }

    fn skipped(&self) -> &[SkippedGroup] {
        &self.skipped
    }

    fn read(&self, index: u64, _size: usize) -> Result<PictureData, String> {
        let entry = self.entries.get(index as usize).ok_or("there is no such picture")?;
        let bytes = match self.shards.get(entry.shard as usize).ok_or("there is no such archive")? {
            ShardFile::Open(file) => read(file, entry),
            ShardFile::Path(path) => File::open(path).and_then(|file| read(&file, entry)),
        };
        bytes.map(PictureData::Encoded).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests;
