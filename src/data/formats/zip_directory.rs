//! A fast reader of a zip's central directory.
//!
//! The zip crate stores half a kilobyte per entry and visits every local header: with a million entries that takes
//! seconds and most of a gigabyte. This reader handles the usual case and leaves anything unusual to the crate.

use std::fs::File;
use std::io;

use super::archive::{ArchiveEntry, EntryStorage, check_bounds};
use super::file_slice::read_at;
use super::name_encoding::{self, RawNames};

/// Bytes to read at a time.
const CHUNK: usize = 1 << 18;
/// Bytes of the end record, of the zip64 locator, of the zip64 end record, and of an entry's central and local
/// headers.
const END: usize = 22;
const LOCATOR: usize = 20;
const END64: usize = 56;
const HEADER: usize = 46;
pub(super) const LOCAL_HEADER: usize = 30;
/// Marks a number that is in the zip64 extra field.
const IN_ZIP64_FIELD: u64 = u32::MAX as u64;

fn uint(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes.get(at..at + width).unwrap_or_default().iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Position and length of the central directory.
#[derive(Debug, Clone, Copy)]
struct CentralDirectory {
    start: u64,
    end: u64,
    count: u64,
}

impl CentralDirectory {
    fn find(file: &File, length: u64) -> io::Result<Option<Self>> {
        let mut tail = vec![0; length.min((END + LOCATOR) as u64 + u64::from(u16::MAX)) as usize];
        let from = length - tail.len() as u64;
        read_at(file, &mut tail, from)?;
        let is_end = |&at: &usize| {
            tail[at..].starts_with(b"PK\x05\x06") && at + END + uint(&tail, at + 20, 2) as usize == tail.len()
        };
        let Some(at) = (0..(tail.len() + 1).saturating_sub(END)).rev().find(is_end) else { return Ok(None) };
        let end = &tail[at..];
        let end_at = length - (tail.len() - at) as u64;
        let (disks, counts) = (uint(end, 4, 4), [uint(end, 8, 2), uint(end, 10, 2)]);
        let (size, start) = (uint(end, 12, 4), uint(end, 16, 4));
        if disks != 0 || counts[0] != counts[1] {
            return Ok(None);
        }
        let locator = at.checked_sub(LOCATOR).map(|from| &tail[from..at]).filter(|l| l.starts_with(b"PK\x06\x07"));
        let Some(locator) = locator else { return Ok(Self::checked(start, size, end_at, counts[0])) };
        let record = uint(locator, 8, 8);
        let mut end64 = [0; END64];
        if record.checked_add((END64 + LOCATOR) as u64).is_none_or(|end| end > end_at) {
            return Ok(None);
        }
        read_at(file, &mut end64, record)?;
        let counts = [uint(&end64, 24, 8), uint(&end64, 32, 8)];
        if !end64.starts_with(b"PK\x06\x06") || uint(&end64, 16, 8) != 0 || counts[0] != counts[1] {
            return Ok(None);
        }
        Ok(Self::checked(uint(&end64, 48, 8), uint(&end64, 40, 8), record, counts[0]))
    }

    /// With bytes before the archive, or after the directory, positions are shifted; the crate handles that.
    fn checked(start: u64, size: u64, end: u64, count: u64) -> Option<Self> {
        let fits = start.checked_add(size) == Some(end) && count <= size / HEADER as u64;
        fits.then_some(Self { start, end, count })
    }
}

/// Files, and a note on the encoding of names.
pub(super) type EntryList = (Vec<ArchiveEntry>, Option<String>);

/// The files of a zip in the order of its directory; `None` if the zip crate should read it.
pub(super) fn list(file: &File) -> io::Result<Option<EntryList>> {
    let length = file.metadata()?.len();
    let Some(directory) = CentralDirectory::find(file, length)? else { return Ok(None) };
    let (mut entries, mut undecoded) = (Vec::new(), RawNames::new());
    let (mut buffer, mut from, mut at) = (Vec::new(), directory.start, 0);
    // Fills the buffer until it has `length` bytes from `at` on.
    let mut need = |buffer: &mut Vec<u8>, at: &mut usize, length: usize| -> io::Result<bool> {
        if buffer.len() - *at < length {
            buffer.drain(..*at);
            *at = 0;
            let more = (directory.end - from).min(CHUNK as u64) as usize;
            let have = buffer.len();
            buffer.resize(have + more, 0);
            read_at(file, &mut buffer[have..], from)?;
            from += more as u64;
        }
        Ok(buffer.len() - *at >= length)
    };
    for _ in 0..directory.count {
        if !need(&mut buffer, &mut at, HEADER)? || !buffer[at..].starts_with(b"PK\x01\x02") {
            return Ok(None);
        }
        let lengths = [28, 30, 32].map(|field| uint(&buffer, at + field, 2) as usize);
        let whole = HEADER + lengths.iter().sum::<usize>();
        if !need(&mut buffer, &mut at, whole)? {
            return Ok(None);
        }
        match entry(&buffer[at..at + whole], lengths) {
            DirectoryRecord::File(entry, raw) => {
                let place = check_bounds(entry.start, u64::from(entry.packed) + LOCAL_HEADER as u64, directory.start);
                // Only pictures must be within the file.
                match place {
                    Err(error) if entry.picture => return Err(error),
                    Err(_) => {}
                    Ok(()) => {
                        undecoded.extend(raw.map(|raw| (entries.len(), raw)));
                        entries.push(*entry);
                    }
                }
            }
            DirectoryRecord::Other => {}
            DirectoryRecord::Unsupported => return Ok(None),
        }
        at += whole;
    }
    let undecoded = name_encoding::foreign(undecoded);
    if undecoded.is_empty() {
        return Ok(Some((entries, None)));
    }
    // By the specification, such names are in code page 437, which the crate decodes.
    Ok(name_encoding::decode(&mut entries, &undecoded).map(|note| (entries, Some(note))))
}

enum DirectoryRecord {
    /// The raw name is included if it is not ASCII and not marked as Unicode.
    File(Box<ArchiveEntry>, Option<Vec<u8>>),
    Other,
    Unsupported,
}

fn entry(header: &[u8], [name, extra, _]: [usize; 3]) -> DirectoryRecord {
    let (flags, method) = (uint(header, 8, 2), uint(header, 10, 2));
    let (name, extra) = (&header[HEADER..HEADER + name], &header[HEADER + name..HEADER + name + extra]);
    // Names without the mark are in the encoding of the packer's machine; some programs forget the mark.
    let marked = flags & 1 << 11 != 0 || name.is_ascii();
    let (mut name, mut raw) = match std::str::from_utf8(name) {
        Ok(readable) => (readable.replace('\\', "/"), (!marked).then(|| name.to_vec())),
        Err(_) => (String::from_utf8_lossy(name).into_owned(), Some(name.to_vec())),
    };
    let is_link = uint(header, 5, 1) == 3 && uint(header, 40, 2) & 0o170_000 == 0o120_000;
    if name.ends_with('/') || is_link {
        return DirectoryRecord::Other;
    }
    let mut numbers = [uint(header, 24, 4), uint(header, 20, 4), uint(header, 42, 4)];
    let mut rest = extra;
    while rest.len() >= 4 {
        let (kind, length) = (uint(rest, 0, 2), uint(rest, 2, 2) as usize);
        let Some(field) = rest.get(4..4 + length) else { return DirectoryRecord::Unsupported };
        rest = &rest[4 + length..];
        match kind {
            1 => {
                let mut wide = field.chunks_exact(8);
                for to in numbers.iter_mut().filter(|to| **to == IN_ZIP64_FIELD) {
                    match wide.next() {
                        Some(bytes) => *to = uint(bytes, 0, 8),
                        None => return DirectoryRecord::Unsupported,
                    }
                }
            }
            // Info-ZIP's Unicode path: version, checksum, name.
            0x7075 => {
                let Some(again) = field.get(5..).and_then(|again| std::str::from_utf8(again).ok()) else {
                    return DirectoryRecord::Unsupported;
                };
                (name, raw) = (again.replace('\\', "/"), None);
            }
            _ => {}
        }
    }
    let [size, packed, start] = numbers;
    let storage = match method {
        _ if flags & 1 != 0 => EntryStorage::Encrypted,
        0 => EntryStorage::Stored,
        8 => EntryStorage::Deflated,
        _ => EntryStorage::Unsupported,
    };
    let entry = ArchiveEntry::with_local_header(&name, start, [packed, size], storage, uint(header, 16, 4) as u32);
    DirectoryRecord::File(Box::new(entry), raw)
}
