//! Pictures in an archive: indexed once, then read by position, by many threads at a time.
//!
//! Reading needs no lock and no handle per thread, since every read names its own position in the one open file.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::folder::{is_picture, shown};
use super::source::DataError;

/// The most bytes that one picture's file may have; more is a mistake or malice, and would only fill the memory.
pub(super) const FILE_LIMIT: u64 = 1 << 30;

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

/// How an entry's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Stored,
    Deflated,
    /// Not readable here, and why; a set may be fine without this picture.
    Unreadable(&'static str),
}

/// One picture of an archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its path inside, parted by `/`.
    pub name: String,
    start: u64,
    packed: u64,
    size: u64,
    packing: Packing,
    /// The CRC-32 of its bytes, which only zips keep.
    crc: Option<u32>,
}

/// An opened archive.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
    /// Its pictures, sorted by name. Where a tar holds a name twice, the later one counts, as when it is unpacked.
    pub entries: Vec<Entry>,
}

impl Archive {
    /// Opens and indexes a zip or tar, or one folder in it ([`split`]). A compressed tar cannot be read by position: it is unpacked once into an
    /// unnamed temporary file, which the system removes by itself.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let damaged = |e: io::Error| DataError::Archive { path: path.to_owned(), cause: e.to_string() };
        let (packed, inside) = split(path).unwrap_or((path, Path::new("")));
        let name = packed.to_string_lossy().to_ascii_lowercase();
        let mut file = File::open(packed).map_err(|cause| DataError::Io { path: path.to_owned(), cause })?;
        let mut entries = if name.ends_with(".zip") {
            index_zip(&file).map_err(damaged)?
        } else {
            if name.ends_with("gz") {
                file = unpack(path, file)?;
            }
            index_tar(&mut file).map_err(damaged)?
        };
        entries.retain(|entry| is_picture(&entry.name) && Path::new(&entry.name).starts_with(inside));
        // The sort is stable, so that from behind the first of equal names is the later one.
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        entries.reverse();
        entries.dedup_by(|a, b| a.name == b.name);
        entries.reverse();
        Ok(Self { file, entries })
    }

    /// The bytes of an entry.
    pub fn read(&self, entry: &Entry) -> io::Result<Vec<u8>> {
        if entry.size.max(entry.packed) > FILE_LIMIT {
            return Err(io::Error::other("it is larger than 1 GiB"));
        }
        let mut packed = vec![0; entry.packed as usize];
        let bytes = match entry.packing {
            Packing::Unreadable(cause) => return Err(io::Error::other(cause)),
            Packing::Stored => {
                read_at(&self.file, &mut packed, entry.start)?;
                packed
            }
            Packing::Deflated => {
                read_at(&self.file, &mut packed, entry.start)?;
                let mut bytes = Vec::new();
                // A little more than announced, so that a lying header is an error and not a full memory.
                flate2::read::DeflateDecoder::new(packed.as_slice()).take(entry.size + 1).read_to_end(&mut bytes)?;
                bytes
            }
        };
        if bytes.len() as u64 != entry.size {
            return Err(io::Error::other("its size is not what the archive says"));
        }
        let sum = |bytes| {
            let mut crc = flate2::Crc::new();
            crc.update(bytes);
            crc.sum()
        };
        match entry.crc {
            Some(crc) if crc != sum(&bytes) => Err(io::Error::other("its bytes are not those that were packed")),
            _ => Ok(bytes),
        }
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

fn index_zip(file: &File) -> io::Result<Vec<Entry>> {
    let length = file.metadata()?.len();
    // Every entry's own header is visited for where its bytes start: a small buffer reads no more than that.
    let mut archive = zip::ZipArchive::new(BufReader::with_capacity(512, file))?;
    let mut entries = Vec::with_capacity(archive.len());
    for i in 0..archive.len() {
        let inner = archive.by_index_raw(i)?;
        let name = inner.name()?.replace('\\', "/");
        if !inner.is_file() || !is_picture(&name) {
            continue;
        }
        let packing = match inner.compression() {
            _ if inner.encrypted() => Packing::Unreadable("it is locked with a password; unpack the archive first"),
            zip::CompressionMethod::Stored => Packing::Stored,
            zip::CompressionMethod::Deflated => Packing::Deflated,
            _ => Packing::Unreadable("it is neither stored nor deflated; unpack the archive first"),
        };
        let (packed, size, crc) = (inner.compressed_size(), inner.size(), Some(inner.crc32()));
        let start = inner.data_start().ok_or_else(|| io::Error::other(format!("{name} has no place in it")))?;
        within(start, packed, length)?;
        entries.push(Entry { name, start, packed, size, packing, crc });
    }
    Ok(entries)
}

fn index_tar(file: &mut File) -> io::Result<Vec<Entry>> {
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
    let mut archive = tar::Archive::new(BufReader::new(&*file));
    let mut entries = Vec::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let (start, size) = (entry.raw_file_position(), entry.size());
            within(start, size, length)?;
            let name = shown(&entry.path()?);
            entries.push(Entry { name, start, packed: size, size, packing: Packing::Stored, crc: None });
        }
    }
    Ok(entries)
}

/// Checked when indexing, so that a header which lies about lengths never becomes an allocation.
fn within(start: u64, bytes: u64, length: u64) -> io::Result<()> {
    match start.checked_add(bytes) {
        Some(end) if end <= length => Ok(()),
        _ => Err(io::Error::other("it ends in the middle of a file")),
    }
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut buffer[done..], offset + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::{CompressionMethod, write::SimpleFileOptions};

    fn zip_of(path: &Path, method: CompressionMethod, files: &[(&str, &[u8])]) {
        let mut zip = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, bytes) in files {
            zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    #[test]
    fn a_changed_byte_in_a_zip_is_noticed() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.zip");
        zip_of(&path, CompressionMethod::Stored, &[("a.png", b"some bytes of a picture")]);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(4).position(|w| w == b"some").unwrap();
        bytes[at] = b'S';
        std::fs::write(&path, bytes).unwrap();
        let archive = Archive::open(&path).unwrap();
        assert!(archive.read(&archive.entries[0]).unwrap_err().to_string().contains("packed"));
    }

    #[test]
    fn lengths_beyond_the_file_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.zip");
        zip_of(&path, CompressionMethod::Deflated, &[("a.png", b"bytes"), ("b.png", b"bytes")]);
        let mut bytes = std::fs::read(&path).unwrap();
        let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
        bytes[directory + 20..directory + 24].copy_from_slice(&0xf000_0000u32.to_le_bytes());
        std::fs::write(&path, bytes).unwrap();
        assert!(Archive::open(&path).unwrap_err().to_string().contains("a.zip"));
        assert!(within(u64::MAX, 1, 10).is_err());
    }

    #[test]
    fn of_equal_names_in_a_tar_the_later_counts() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.tar");
        let mut tar = tar::Builder::new(File::create(&path).unwrap());
        for bytes in [b"early", b"later"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(5);
            tar.append_data(&mut header, "./a.png", bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap();
        let archive = Archive::open(&path).unwrap();
        assert_eq!(archive.entries.len(), 1);
        assert_eq!(archive.entries[0].name, "a.png");
        assert_eq!(archive.read(&archive.entries[0]).unwrap(), b"later");
    }
}
