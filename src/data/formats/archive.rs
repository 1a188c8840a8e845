//! Pictures in an archive: indexed once, then read by position, by many threads at a time.
//!
//! Reading needs no lock and no handle per thread, since every read names its own position in the one open file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::cache::{Cache, Reading, Stamp, Writing};
use super::classes::{JSON_LIMIT, classes, is_dataset_json};
use super::directory::Listed;
use super::endings::{self, begins_a_picture, is_picture, may_be_picture, pass_over};
use super::folder::shown;
use super::labels::{Gather, Labels};
use super::names::{self, Undecoded};
use super::shelf::{Member, Shelf};
use super::slice::read_at;
use super::{FILE_LIMIT, Found, Opened, Pictures, directory, open_shelf, parts, shards};
use crate::data::DataError;
use crate::data::left_out::{LeftOut, Tally};

/// What the names of archives end in.
const ENDS: [&str; 4] = [".zip", ".tar", ".tar.gz", ".tgz"];

/// The archive that `path` names, and the folder in it that is meant: a path goes on into an archive as into a folder, so
/// that `pictures.zip/train` is the folder `train` of `pictures.zip`.
pub(super) fn split(path: &Path) -> Option<(&Path, &Path)> {
    let is_archive = |file: &&Path| {
        let name = file.to_string_lossy().to_ascii_lowercase();
        ENDS.iter().any(|end| name.ends_with(end)) && file.is_file()
    };
    let file = path.ancestors().find(is_archive)?;
    Some((file, path.strip_prefix(file).ok()?))
}

/// How an entry's bytes are stored; a set may be fine without those that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Stored,
    Deflated,
    Locked,
    Unknown,
    TooLarge,
}

/// One file of an archive. There may be millions: names have no spare room, and sizes beyond 4 GiB are not needed.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its path inside, parted by `/`.
    pub name: Box<str>,
    /// Where its bytes start, or its own header before them ([`Entry::headed`]).
    pub start: u64,
    pub packed: u32,
    size: u32,
    /// The CRC-32 of its bytes, which only zips keep.
    crc: Option<u32>,
    /// Which of the archives it is in.
    pub shard: u32,
    packing: Packing,
    headed: bool,
    /// Whether it is a picture, by its name or by its first bytes.
    pub picture: bool,
}

impl Entry {
    pub fn new(name: &str, start: u64, [packed, size]: [u64; 2], packing: Packing) -> Self {
        let packing = if packed.max(size) > FILE_LIMIT { Packing::TooLarge } else { packing };
        let [packed, size] = [packed, size].map(|bytes| bytes.min(FILE_LIMIT) as u32);
        let picture = is_picture(name);
        Self { name: name.into(), start, packed, size, crc: None, shard: 0, packing, headed: false, picture }
    }

    /// An entry of a zip by the place of its own header, which is looked at only when the entry is read.
    pub fn headed(name: &str, start: u64, sizes: [u64; 2], packing: Packing, crc: u32) -> Self {
        Self { crc: Some(crc), headed: true, ..Self::new(name, start, sizes, packing) }
    }

    /// Where its bytes start.
    fn place(&self, file: &File) -> io::Result<u64> {
        if !self.headed {
            return Ok(self.start);
        }
        let mut header = [0; directory::OWN_HEADER];
        read_at(file, &mut header, self.start)?;
        let [name, extra] = [26, 28].map(|at| u64::from(u16::from_le_bytes([header[at], header[at + 1]])));
        if !header.starts_with(b"PK\x03\x04") {
            return Err(io::Error::other("it is not where the archive says; the archive is damaged"));
        }
        Ok(self.start + header.len() as u64 + name + extra)
    }
}

/// An archive that pictures are read from: open, or by its path where there are more than may be open at a time.
#[derive(Debug)]
pub(super) enum Shard {
    Open(File),
    Path(PathBuf),
}

/// The pictures of one archive, or of several that are parts of one set.
#[derive(Debug)]
pub(super) struct Archive {
    pub shards: Vec<Shard>,
    /// Its pictures, sorted by archive and name.
    pub entries: Vec<Entry>,
    pub left_out: Vec<LeftOut>,
}

/// Opens an archive of pictures, or of a known set's files.
pub(super) fn open(path: &Path) -> Result<Opened, DataError> {
    open_with(path, &Cache::of_user())
}

pub(super) fn open_with(path: &Path, cache: &Cache) -> Result<Opened, DataError> {
    // A tar has its headers all over it; a zip has them in one place, and a compressed tar has to be unpacked anyway.
    let tar = split(path).map(|(file, _)| file);
    let tar = tar.filter(|file| shards::is_shard(&file.to_string_lossy()) && !is_packed(file));
    let stamp = tar.and_then(|file| Stamp::of(path, std::iter::once(file)));
    let shard = || tar.and_then(|file| File::open(file).ok()).map(Shard::Open);
    let recalled = stamp
        .as_ref()
        .zip(shard())
        .and_then(|(stamp, shard)| cache.recall(path, stamp, |from| Archive::read(vec![shard], from)));
    if let Some((archive, labels, notes)) = recalled {
        return Ok(Opened { pictures: Box::new(archive), labels, notes });
    }
    let began = SystemTime::now();
    let mut tally = Tally::within(split(path).map_or(Path::new(""), |(_, inside)| inside));
    let Index { file, mut entries, note } = index(path, &mut tally)?;
    let left_out = tally.finish();
    let json = take_json(&file, &mut entries);
    let part = split(path).and_then(|(_, inside)| keep_inside(&mut entries, inside));
    if !entries.iter().any(|entry| entry.picture) {
        let stored = entries.into_iter().filter(|entry| entry.packing == Packing::Stored);
        let members = stored.map(|e| Member { name: e.name.into(), start: e.start, length: e.size.into() }).collect();
        let opened = open_shelf(&Shelf::archive(path, Arc::new(file), members), part)?;
        return opened.ok_or_else(|| DataError::nothing(path, &left_out));
    }
    if let Some(part) = part {
        entries.retain(|entry| parts::word(&entry.name) == part);
    }
    if entries.is_empty() {
        return Err(DataError::nothing(path, &left_out));
    }
    let mut gather = Gather::default();
    let labelled = shards::take_classes(&file, &mut entries, &mut gather);
    let (labels, mut notes) = match labelled {
        true => (gather.finish(), Vec::new()),
        false => classes(entries.iter().map(|entry| &*entry.name), &json),
    };
    notes.extend(note.into_iter().chain(note_on_endings(&entries)));
    let archive = Archive { shards: vec![Shard::Open(file)], entries, left_out };
    if let Some(stamp) = &stamp {
        cache.keep(path, stamp, [archive.entries.len() as u64, 0], began, |to| archive.write(&labels, &notes, to));
    }
    Ok(Opened { pictures: Box::new(archive), labels, notes })
}

/// Takes the files of classes out of the entries: where each lies, and what is in it.
fn take_json(file: &File, entries: &mut Vec<Entry>) -> Vec<(String, Vec<u8>)> {
    let is = |entry: &Entry| is_dataset_json(&entry.name) && u64::from(entry.size) <= JSON_LIMIT;
    let json = entries.iter().filter(|entry| is(entry));
    let json = json.map(|entry| (entry.name.to_string(), read(file, entry).unwrap_or_default())).collect();
    entries.retain(|entry| !is(entry));
    json
}

/// What should be known of pictures that do not end as pictures.
pub(super) fn note_on_endings(entries: &[Entry]) -> Option<String> {
    let mut by_bytes = entries.iter().filter(|entry| !is_picture(&entry.name));
    let first = by_bytes.next()?;
    endings::note_on(1 + by_bytes.count() as u64, &first.name)
}

/// Leaves what is in the folder `inside`; where there is none, what is in the folder above it, and the part of that which is meant.
fn keep_inside<'a>(entries: &mut Vec<Entry>, inside: &'a Path) -> Option<&'a str> {
    let is_inside = |entry: &Entry| Path::new(&*entry.name).starts_with(inside);
    if entries.iter().any(is_inside) {
        entries.retain(is_inside);
        return None;
    }
    entries.retain(|entry| Path::new(&*entry.name).parent() == inside.parent());
    inside.file_name().and_then(|part| part.to_str())
}

/// Whether a file is packed as a whole, or a zip, whatever its name is.
pub(super) fn is_packed(path: &Path) -> bool {
    let mut head = [0; 4];
    let read = File::open(path).and_then(|file| read_at(&file, &mut head, 0));
    read.is_ok() && (head.starts_with(b"\x1f\x8b") || head.starts_with(b"PK"))
}

/// The files of an archive.
#[derive(Debug)]
pub(super) struct Index {
    /// What they are read from.
    pub file: File,
    /// Sorted by name.
    pub entries: Vec<Entry>,
    /// What was guessed of their names.
    pub note: Option<String>,
}

/// Opens a zip or tar ([`split`] off what is meant in it) and lists its files. Where it holds a name twice, the later one
/// counts, as when it is unpacked. A compressed tar cannot be read by position: it is unpacked once into an unnamed temporary
/// file, which the system removes by itself. Where there are pictures, only these and what names their classes are listed;
/// what is passed over is counted in `tally`.
pub(super) fn index(path: &Path, tally: &mut Tally) -> Result<Index, DataError> {
    let damaged = |e: io::Error| DataError::Archive { path: path.to_owned(), cause: e.to_string() };
    let packed = split(path).map_or(path, |(packed, _)| packed);
    let mut file = File::open(packed).map_err(|cause| DataError::Io { path: path.to_owned(), cause })?;
    // A zip may have anything before it, so that its name counts where its first bytes say nothing.
    let mut head = [0; 4];
    let known = read_at(&file, &mut head, 0).is_ok();
    let named_zip = packed.extension().is_some_and(|end| end.eq_ignore_ascii_case("zip"));
    let (mut entries, note) = if known && head.starts_with(b"\x1f\x8b") {
        file = unpack(path, file)?;
        index_tar(&mut file).map_err(damaged)?
    } else if known && head.starts_with(b"PK") || named_zip && !is_tar(&file) {
        index_zip(&file).map_err(damaged)?
    } else {
        index_tar(&mut file).map_err(damaged)?
    };
    // The sort is stable, so that from behind the first of equal names is the later one.
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries.reverse();
    entries.dedup_by(|a, b| a.name == b.name);
    entries.reverse();
    let staying: Vec<bool> = entries.iter_mut().map(|entry| stays(&file, entry, tally)).collect();
    // Without any picture they may be a known set's files.
    if entries.iter().any(|entry| entry.picture) {
        let mut staying = staying.into_iter();
        entries.retain(|_| staying.next().unwrap_or(false));
    }
    Ok(Index { file, entries, note })
}

fn is_tar(file: &File) -> bool {
    let mut mark = [0; 5];
    read_at(file, &mut mark, 257).is_ok() && mark == *b"ustar"
}

/// The bytes of an entry of `file`.
pub(super) fn read(file: &File, entry: &Entry) -> io::Result<Vec<u8>> {
    let refused = |cause| Err(io::Error::other(cause));
    let packed = || {
        let mut packed = vec![0; entry.packed as usize];
        read_at(file, &mut packed, entry.place(file)?).map(|()| packed)
    };
    let bytes = match entry.packing {
        Packing::Locked => return refused("it is locked with a password; unpack the archive first"),
        Packing::Unknown => return refused("it is neither stored nor deflated; unpack the archive first"),
        Packing::TooLarge => return refused("it is larger than 1 GiB"),
        Packing::Stored => packed()?,
        Packing::Deflated => {
            let mut bytes = Vec::new();
            // A little more than announced, so that a lying header is an error and not a full memory.
            let most = u64::from(entry.size) + 1;
            flate2::read::DeflateDecoder::new(packed()?.as_slice()).take(most).read_to_end(&mut bytes)?;
            bytes
        }
    };
    if bytes.len() != entry.size as usize {
        return refused("its size is not what the archive says");
    }
    let mut crc = flate2::Crc::new();
    crc.update(&bytes);
    match entry.crc {
        Some(expected) if expected != crc.sum() => refused("its bytes are not those that were packed"),
        _ => Ok(bytes),
    }
}

impl Archive {
    /// Writes it, its classes and what should be known of it to a list that is kept.
    pub fn write(&self, labels: &Labels, notes: &[String], to: &mut Writing) -> io::Result<()> {
        to.u64(self.entries.len() as u64)?;
        let mut before = "";
        for entry in &self.entries {
            to.name(before.as_bytes(), entry.name.as_bytes())?;
            to.u64(entry.start)?;
            to.u32(entry.packed)?;
            to.u32(entry.shard)?;
            to.all(&[u8::from(entry.packing == Packing::TooLarge)])?;
            before = &entry.name;
        }
        labels.write(to)?;
        LeftOut::write_all(&self.left_out, to)?;
        to.texts(notes)
    }

    /// Reads what [`Self::write`] wrote of archives that are tars.
    pub fn read(shards: Vec<Shard>, from: &mut Reading) -> Option<(Self, Labels, Vec<String>)> {
        let mut entries = Vec::with_capacity(from.count(25)?);
        let mut name = Vec::new();
        for _ in 0..entries.capacity() {
            from.name(&mut name)?;
            let (start, size, shard) = (from.u64()?, u64::from(from.u32()?), from.u32()?);
            let packing = if from.byte()? == 0 { Packing::Stored } else { Packing::TooLarge };
            entries.push(Entry { shard, ..Entry::new(std::str::from_utf8(&name).ok()?, start, [size; 2], packing) });
        }
        let labels = Labels::read(from)?;
        Some((Self { shards, entries, left_out: LeftOut::read_all(from)? }, labels, from.texts()?))
    }
}

/// Whether an entry begins as a picture. Only as many bytes are read as it takes.
fn is_picture_inside(file: &File, entry: &Entry) -> bool {
    // Enough of what is deflated for the first bytes.
    const PACKED: usize = 512;
    let first = || -> io::Result<Vec<u8>> {
        let mut packed = vec![0; (entry.packed as usize).min(PACKED)];
        read_at(file, &mut packed, entry.place(file)?)?;
        match entry.packing {
            Packing::Stored => {
                packed.truncate(endings::FIRST_BYTES);
                Ok(packed)
            }
            Packing::Deflated => {
                let mut first = Vec::new();
                let most = endings::FIRST_BYTES as u64;
                flate2::read::DeflateDecoder::new(packed.as_slice()).take(most).read_to_end(&mut first)?;
                Ok(first)
            }
            _ => Ok(Vec::new()),
        }
    };
    first().is_ok_and(|first| begins_a_picture(&entry.name, &first))
}

/// Whether a listed entry stays in the list: a picture, by its name or else by its first bytes, or a file of classes. Any
/// other is counted.
fn stays(file: &File, entry: &mut Entry, tally: &mut Tally) -> bool {
    if entry.picture || is_dataset_json(&entry.name) || shards::is_class(&entry.name) {
        return true;
    }
    entry.picture = may_be_picture(&entry.name) && is_picture_inside(file, entry);
    if !entry.picture {
        pass_over(&entry.name, tally);
    }
    entry.picture
}

/// The text of an entry of `limit` bytes at the most.
pub(super) fn read_short(file: &File, entry: &Entry, limit: usize) -> Option<String> {
    let bytes = (entry.size as usize <= limit).then(|| read(file, entry).ok())??;
    String::from_utf8(bytes).ok()
}

impl Pictures for Archive {
    fn len(&self) -> Option<u64> {
        Some(self.entries.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        let Some(entry) = self.entries.get(index as usize) else { return String::new() };
        match self.shards.get(entry.shard as usize) {
            Some(Shard::Path(path)) => format!("{}/{}", path.display(), entry.name),
            _ => entry.name.to_string(),
        }
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    fn read(&self, index: u64, _size: usize) -> Result<Found, String> {
        let entry = self.entries.get(index as usize).ok_or("there is no such picture")?;
        let bytes = match self.shards.get(entry.shard as usize).ok_or("there is no such archive")? {
            Shard::Open(file) => read(file, entry),
            Shard::Path(path) => File::open(path).and_then(|file| read(&file, entry)),
        };
        bytes.map(Found::Encoded).map_err(|e| e.to_string())
    }
}

/// What a gzip holds, in an unnamed temporary file.
fn unpack(path: &Path, packed: File) -> Result<File, DataError> {
    let full = |cause| DataError::Unpack { path: path.to_owned(), folder: std::env::temp_dir(), cause };
    let mut unpacked = tempfile::tempfile().map_err(full)?;
    let mut decoder = flate2::read::MultiGzDecoder::new(BufReader::new(packed));
    let mut buffer = vec![0; 1 << 16];
    loop {
        match decoder.read(&mut buffer) {
            Ok(0) => return Ok(unpacked),
            Ok(read) => unpacked.write_all(&buffer[..read]).map_err(full)?,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(DataError::Archive { path: path.to_owned(), cause: e.to_string() }),
        }
    }
}

fn index_zip(file: &File) -> io::Result<Listed> {
    if let Some(listed) = directory::list(file)? {
        return Ok(listed);
    }
    let length = file.metadata()?.len();
    // Every entry's own header is visited for where its bytes start: a small buffer reads no more than that.
    let mut archive = zip::ZipArchive::new(BufReader::with_capacity(512, file))?;
    let mut entries = Vec::with_capacity(archive.len());
    let mut undecoded = Undecoded::new();
    for i in 0..archive.len() {
        let inner = archive.by_index_raw(i)?;
        let name = match std::str::from_utf8(inner.name_raw()) {
            Ok(name) => name.replace('\\', "/"),
            Err(_) => inner.name()?.replace('\\', "/"),
        };
        if !inner.is_file() {
            continue;
        }
        let packing = match inner.compression() {
            _ if inner.encrypted() => Packing::Locked,
            zip::CompressionMethod::Stored => Packing::Stored,
            zip::CompressionMethod::Deflated => Packing::Deflated,
            _ => Packing::Unknown,
        };
        // Only a picture has to be where it should.
        let place = inner.data_start().ok_or_else(|| io::Error::other(format!("{name} has no place in it")));
        let start = match place.and_then(|start| within(start, inner.compressed_size(), length).map(|()| start)) {
            Ok(start) => start,
            Err(error) if is_picture(&name) => return Err(error),
            Err(_) => continue,
        };
        if !inner.name_raw().is_ascii() {
            undecoded.push((entries.len(), inner.name_raw().to_vec()));
        }
        let entry = Entry::new(&name, start, [inner.compressed_size(), inner.size()], packing);
        entries.push(Entry { crc: Some(inner.crc32()), ..entry });
    }
    let undecoded = names::foreign(undecoded);
    let note = if undecoded.is_empty() { None } else { names::decode(&mut entries, &undecoded) };
    Ok((entries, note))
}

fn index_tar(file: &mut File) -> io::Result<Listed> {
    let length = file.metadata()?.len();
    // A whole tar ends in blocks of zeros; one cut between two files would otherwise pass for a smaller set.
    let mut end = [1; 512];
    if length >= 512 {
        read_at(file, &mut end, length - 512)?;
    }
    if end.iter().any(|&byte| byte != 0) {
        return Err(io::Error::other("its end is missing"));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1024, &*file));
    let (mut entries, mut undecoded) = (Vec::new(), Undecoded::new());
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let (start, size) = (entry.raw_file_position(), entry.size());
            within(start, size, length)?;
            let raw = entry.path_bytes();
            let is_unicode = std::str::from_utf8(&raw).is_ok();
            // Its own letters come later; the slashes and the ending are the same in every encoding.
            let name = if is_unicode { shown(&entry.path()?) } else { String::from_utf8_lossy(&raw).into_owned() };
            if !raw.is_ascii() {
                undecoded.push((entries.len(), raw.strip_prefix(b"./").unwrap_or(&raw).to_vec()));
            }
            entries.push(Entry::new(&name, start, [size, size], Packing::Stored));
        }
    }
    let undecoded = names::foreign(undecoded);
    if undecoded.is_empty() {
        return Ok((entries, None));
    }
    let note = names::decode(&mut entries, &undecoded);
    let note = note.unwrap_or_else(|| names::escape(&mut entries, &undecoded));
    Ok((entries, Some(note)))
}

/// Checked when indexing, so that a header which lies about lengths never becomes an allocation.
pub(super) fn within(start: u64, bytes: u64, length: u64) -> io::Result<()> {
    match start.checked_add(bytes) {
        Some(end) if end <= length => Ok(()),
        _ => Err(io::Error::other("it ends in the middle of a file")),
    }
}

#[cfg(test)]
mod tests;
