//! Listing of the files in zips and tars.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::{ArchiveEntry, EntryStorage, is_listed, split_path};
use crate::data::DataError;
use crate::data::formats::file_names::is_picture;
use crate::data::formats::file_slice::read_at;
use crate::data::formats::folder::display_name;
use crate::data::formats::name_encoding::{self, RawNames};
use crate::data::formats::zip_directory::{self, EntryList};
use crate::data::skipped::SkipTally;

/// The files of an archive.
#[derive(Debug)]
pub(in crate::data::formats) struct ArchiveIndex {
    /// The file to read them from.
    pub file: File,
    pub entries: Vec<ArchiveEntry>,
    /// A note on the encoding of names.
    pub note: Option<String>,
}

/// Opens the zip or tar in `path` (see [`split_path`]) and lists its files. Of equal names the last counts, as when
/// unpacking. A compressed tar cannot be read by position: it is unpacked into an unnamed temporary file, which the
/// system removes. If there are pictures, only pictures and files with class labels are listed; the rest is counted
/// in `tally`.
pub(in crate::data::formats) fn index(path: &Path, tally: &mut SkipTally) -> Result<ArchiveIndex, DataError> {
    let damaged = |e: io::Error| DataError::Archive { path: path.to_owned(), cause: e.to_string() };
    let packed = split_path(path).map_or(path, |(packed, _)| packed);
    let mut file = fs_err::File::open(packed)?.into_file();
    // A zip may have any bytes before it, so its name counts if the first bytes are inconclusive.
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
    // The sort is stable: in reverse order, the first of equal names is the later one.
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    entries.reverse();
    entries.dedup_by(|a, b| a.name == b.name);
    entries.reverse();
    let listed: Vec<bool> = entries.iter_mut().map(|entry| is_listed(&file, entry, tally)).collect();
    // Without any picture, the files may belong to a known data set.
    if entries.iter().any(|entry| entry.picture) {
        let mut listed = listed.into_iter();
        entries.retain(|_| listed.next().unwrap_or(false));
    }
    Ok(ArchiveIndex { file, entries, note })
}

fn is_tar(file: &File) -> bool {
    let mut mark = [0; 5];
    read_at(file, &mut mark, 257).is_ok() && mark == *b"ustar"
}

/// Decompresses a gzip into an unnamed temporary file.
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

fn index_zip(file: &File) -> io::Result<EntryList> {
    if let Some(listed) = zip_directory::list(file)? {
        return Ok(listed);
    }
    let length = file.metadata()?.len();
    // The crate visits every local header, so a larger buffer would read more than necessary.
    let mut archive = zip::ZipArchive::new(BufReader::with_capacity(512, file))?;
    let mut entries = Vec::with_capacity(archive.len());
    let mut undecoded = RawNames::new();
    for i in 0..archive.len() {
        let inner = archive.by_index_raw(i)?;
        let name = match std::str::from_utf8(inner.name_raw()) {
            Ok(name) => name.replace('\\', "/"),
            Err(_) => inner.name()?.replace('\\', "/"),
        };
        if !inner.is_file() {
            continue;
        }
        let storage = match inner.compression() {
            _ if inner.encrypted() => EntryStorage::Encrypted,
            zip::CompressionMethod::Stored => EntryStorage::Stored,
            zip::CompressionMethod::Deflated => EntryStorage::Deflated,
            _ => EntryStorage::Unsupported,
        };
        // Only pictures must be within the file.
        let place = inner.data_start().ok_or_else(|| io::Error::other(format!("{name} has no position in it")));
        let start = match place.and_then(|start| check_bounds(start, inner.compressed_size(), length).map(|()| start)) {
            Ok(start) => start,
            Err(error) if is_picture(&name) => return Err(error),
            Err(_) => continue,
        };
        if !inner.name_raw().is_ascii() {
            undecoded.push((entries.len(), inner.name_raw().to_vec()));
        }
        let entry = ArchiveEntry::new(&name, start, [inner.compressed_size(), inner.size()], storage);
        entries.push(ArchiveEntry { crc: Some(inner.crc32()), ..entry });
    }
    let undecoded = name_encoding::foreign(undecoded);
    let note = if undecoded.is_empty() { None } else { name_encoding::decode(&mut entries, &undecoded) };
    Ok((entries, note))
}

fn index_tar(file: &mut File) -> io::Result<EntryList> {
    let length = file.metadata()?.len();
    // A whole tar ends in blocks of zeros. One truncated between two files would otherwise pass for a smaller set.
    let mut end = [1; 512];
    if length >= 512 {
        read_at(file, &mut end, length - 512)?;
    }
    if end.iter().any(|&byte| byte != 0) {
        return Err(io::Error::other("its end is missing"));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(BufReader::with_capacity(1024, &*file));
    let (mut entries, mut undecoded) = (Vec::new(), RawNames::new());
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let (start, size) = (entry.raw_file_position(), entry.size());
            check_bounds(start, size, length)?;
            let raw = entry.path_bytes();
            let is_unicode = std::str::from_utf8(&raw).is_ok();
            // The name is decoded later; slashes and extension are the same in every encoding.
            let name =
                if is_unicode { display_name(&entry.path()?) } else { String::from_utf8_lossy(&raw).into_owned() };
            if !raw.is_ascii() {
                undecoded.push((entries.len(), raw.strip_prefix(b"./").unwrap_or(&raw).to_vec()));
            }
            entries.push(ArchiveEntry::new(&name, start, [size, size], EntryStorage::Stored));
        }
    }
    let undecoded = name_encoding::foreign(undecoded);
    if undecoded.is_empty() {
        return Ok((entries, None));
    }
    let note = name_encoding::decode(&mut entries, &undecoded);
    let note = note.unwrap_or_else(|| name_encoding::escape(&mut entries, &undecoded));
    Ok((entries, Some(note)))
}

/// Checks a file's position while indexing, so that a wrong length never becomes an allocation.
pub(in crate::data::formats) fn check_bounds(start: u64, bytes: u64, length: u64) -> io::Result<()> {
    match start.checked_add(bytes) {
        Some(end) if end <= length => Ok(()),
        _ => Err(io::Error::other("it ends in the middle of a file")),
    }
}
