//! Pictures in an archive: indexed once, then read by position, by many threads at a time.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::source::DataError;

/// How an entry's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    Stored,
    Deflated,
}

/// One file of an archive.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// Its path inside.
    pub name: String,
    start: u64,
    packed: u64,
    size: u64,
    packing: Packing,
}

/// An opened archive.
#[derive(Debug)]
pub(super) struct Archive {
    file: File,
    /// Its files, in the archive's order.
    pub entries: Vec<Entry>,
}

impl Archive {
    /// Opens and indexes a zip or tar. A compressed tar cannot be read by position: it is unpacked once into an
    /// unnamed temporary file, which the system removes by itself.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let io = |cause| DataError::Io { path: path.to_owned(), cause };
        let damaged = |cause: String| DataError::Archive { path: path.to_owned(), cause };
        let name = path.to_string_lossy().to_ascii_lowercase();
        let mut file = File::open(path).map_err(io)?;
        if name.ends_with(".zip") {
            let entries = index_zip(&file).map_err(|e| damaged(e.to_string()))?;
            return Ok(Self { file, entries });
        }
        if name.ends_with("gz") {
            let mut unpacked = tempfile::tempfile().map_err(io)?;
            let mut decoder = flate2::read::MultiGzDecoder::new(BufReader::new(&file));
            std::io::copy(&mut decoder, &mut unpacked).map_err(|e| damaged(e.to_string()))?;
            file = unpacked;
        }
        let entries = index_tar(&mut file).map_err(|e| damaged(e.to_string()))?;
        Ok(Self { file, entries })
    }

    /// The bytes of an entry.
    pub fn read(&self, entry: &Entry) -> std::io::Result<Vec<u8>> {
        let mut packed = vec![0; usize::try_from(entry.packed).map_err(std::io::Error::other)?];
        read_at(&self.file, &mut packed, entry.start)?;
        match entry.packing {
            Packing::Stored => Ok(packed),
            Packing::Deflated => {
                let mut bytes = Vec::new();
                // A little more than announced, so that a lying header is an error and not a full memory.
                flate2::read::DeflateDecoder::new(packed.as_slice()).take(entry.size + 1).read_to_end(&mut bytes)?;
                if bytes.len() as u64 == entry.size {
                    Ok(bytes)
                } else {
                    Err(std::io::Error::other("its size is not what the archive says"))
                }
            }
        }
    }
}

fn index_zip(file: &File) -> zip::result::ZipResult<Vec<Entry>> {
    let mut archive = zip::ZipArchive::new(BufReader::with_capacity(512, file))?;
    let mut entries = Vec::with_capacity(archive.len());
    for i in 0..archive.len() {
        let inner = archive.by_index_raw(i)?;
        let packing = match inner.compression() {
            zip::CompressionMethod::Stored => Packing::Stored,
            zip::CompressionMethod::Deflated => Packing::Deflated,
            other => {
                let message = format!("{} is packed by {other}; stored and deflated are known", inner.name()?);
                return Err(std::io::Error::other(message).into());
            }
        };
        let (Some(start), name) = (inner.data_start(), inner.name()?.into_owned()) else { continue };
        if inner.is_file() && !inner.encrypted() {
            let (packed, size) = (inner.compressed_size(), inner.size());
            entries.push(Entry { name, start, packed, size, packing });
        }
    }
    Ok(entries)
}

fn index_tar(file: &mut File) -> std::io::Result<Vec<Entry>> {
    let length = file.metadata()?.len();
    // A whole tar ends in blocks of zeros; one cut between two files would otherwise pass for a smaller set.
    let mut end = [1; 512];
    if length >= 512 {
        read_at(file, &mut end, length - 512)?;
    }
    if end.iter().any(|&byte| byte != 0) {
        return Err(std::io::Error::other("its end is missing"));
    }
    file.seek(SeekFrom::Start(0))?;
    let mut archive = tar::Archive::new(BufReader::new(&*file));
    let mut entries = Vec::new();
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        if entry.header().entry_type().is_file() {
            let (start, size) = (entry.raw_file_position(), entry.size());
            if start + size > length {
                return Err(std::io::Error::other("it ends in the middle of a file"));
            }
            let name = entry.path()?.to_string_lossy().into_owned();
            entries.push(Entry { name, start, packed: size, size, packing: Packing::Stored });
        }
    }
    Ok(entries)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut buffer[done..], offset + done as u64)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}
