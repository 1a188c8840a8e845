//! A byte range of a file, read by position: by any number of threads, without a lock, without loading it into
//! memory.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

use crate::data::DataError;

/// The highest compression ratio of deflate; a header that announces more is wrong.
const MAX_DEFLATE_RATIO: u64 = 1032;

/// A whole file, or a part of one.
#[derive(Debug, Clone)]
pub(super) struct FileSlice {
    /// Its name in messages.
    name: Arc<str>,
    file: Arc<File>,
    start: u64,
    length: u64,
}

impl FileSlice {
    /// Opens a whole file for reading.
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let file = fs_err::File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self { name: path.to_string_lossy().into(), file: Arc::new(file.into_file()), start: 0, length })
    }

    /// Bytes `start..start + length` of an open file.
    pub fn new(file: Arc<File>, name: &str, start: u64, length: u64) -> Self {
        Self { name: name.into(), file, start, length }
    }

    /// A part of this slice.
    pub fn part(&self, start: u64, length: u64) -> Result<Self, String> {
        match start.checked_add(length) {
            Some(end) if end <= self.length => Ok(Self { start: self.start + start, length, ..self.clone() }),
            _ => Err(format!(
                "it should have {length} bytes from byte {start} on but ends at byte {}; it may be only half copied",
                self.length
            )),
        }
    }

    /// File name without folders.
    pub fn file_name(&self) -> &str {
        self.name.rsplit(['/', '\\']).next().unwrap_or_default()
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fills `buffer` with the bytes at `at`.
    pub fn read(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match at.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.length => read_at(&self.file, buffer, self.start + at),
            _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("it ends before byte {at}"))),
        }
    }

    /// The `N` bytes at `at`.
    pub fn bytes<const N: usize>(&self, at: u64) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        let read = self.read(&mut bytes, at);
        read.map_err(|_error| format!("it ends at byte {}, in the middle of its header", self.length)).map(|()| bytes)
    }

    /// The first bytes, at most `limit`.
    pub fn head(&self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; self.length.min(limit) as usize];
        self.read(&mut bytes, 0).map(|()| bytes)
    }

    /// A sequential reader.
    pub fn reader(&self) -> SliceReader {
        SliceReader { slice: self.clone(), at: 0 }
    }

    /// Checks that this slice can decompress to `bytes` bytes.
    pub fn check_inflated_size(&self, bytes: u64) -> Result<(), String> {
        if bytes / MAX_DEFLATE_RATIO > self.length {
            return Err(format!(
                "its header announces {bytes} bytes, more than its {} compressed ones can contain; it is damaged",
                self.length
            ));
        }
        Ok(())
    }

    /// Decompresses `length` bytes from `unpacked` into an unnamed temporary file, since compressed data cannot be
    /// read by position.
    ///
    /// The system removes the file. Never writes more than `length` bytes.
    pub fn unpack(&self, unpacked: impl Read, length: u64) -> Result<Self, String> {
        let full = |e: io::Error| {
            format!(
                "it has to be unpacked into {}, which failed: {e}; free some space there or set TMPDIR to another folder",
                std::env::temp_dir().display()
            )
        };
        let mut file = tempfile::tempfile().map_err(full)?;
        let mut from = unpacked.take(length);
        let mut buffer = vec![0; 1 << 16];
        let mut done = 0;
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => file.write_all(&buffer[..read]).map_err(full)?,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(format!("it cannot be unpacked after byte {done} ({e}); it is damaged")),
            }
            done = length - from.limit();
        }
        if done < length {
            return Err(format!(
                "it should unpack to {length} bytes and gives only {done}; it may be damaged or half copied"
            ));
        }
        Ok(Self { name: self.name.clone(), file: Arc::new(file), start: 0, length })
    }

    /// The error that this file violates the format `kind`.
    pub fn format_error(&self, kind: &'static str, cause: impl ToString) -> DataError {
        DataError::Format { path: self.name.to_string().into(), kind, cause: cause.to_string() }
    }
}

/// Reads a [`FileSlice`] sequentially.
#[derive(Debug)]
pub(super) struct SliceReader {
    slice: FileSlice,
    at: u64,
}

impl Read for SliceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.slice.length.saturating_sub(self.at).min(buffer.len() as u64) as usize;
        self.slice.read(&mut buffer[..count], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for SliceReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.slice.length.checked_add_signed(by),
        };
        self.at = place.ok_or_else(|| io::Error::other("a position before the beginning"))?;
        Ok(self.at)
    }
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match std::os::windows::fs::FileExt::seek_read(file, &mut buffer[done..], offset + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}
