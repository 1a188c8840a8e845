//! A zip's directory, read from one end to the other and kept as nothing but entries.
//!
//! The zip crate keeps half a kilobyte of every entry and visits each one's own header: of a million entries that takes
//! seconds and most of a gigabyte. What is not as it nearly always is, is left to it.

use std::fs::File;
use std::io;

use super::archive::{Entry, Packing, within};
use super::names::{self, Undecoded};
use super::slice::read_at;

/// Bytes of the directory that are read at a time.
const CHUNK: usize = 1 << 18;
/// Bytes of the record that ends a zip, of its zip64 companion's place, of that companion, and of an entry's header in the
/// directory and before its bytes.
const END: usize = 22;
const LOCATOR: usize = 20;
const END64: usize = 56;
const HEADER: usize = 46;
pub(super) const OWN_HEADER: usize = 30;
/// What stands for a number that is in the zip64 extra field.
const ELSEWHERE: u64 = u32::MAX as u64;

fn number(bytes: &[u8], at: usize, width: usize) -> u64 {
    bytes.get(at..at + width).unwrap_or_default().iter().rev().fold(0, |sum, &byte| sum << 8 | u64::from(byte))
}

/// Where the directory lies, and how many entries it has.
#[derive(Debug, Clone, Copy)]
struct Directory {
    start: u64,
    end: u64,
    count: u64,
}

impl Directory {
    fn find(file: &File, length: u64) -> io::Result<Option<Self>> {
        let mut tail = vec![0; length.min((END + LOCATOR) as u64 + u64::from(u16::MAX)) as usize];
        let from = length - tail.len() as u64;
        read_at(file, &mut tail, from)?;
        let is_end = |&at: &usize| {
            tail[at..].starts_with(b"PK\x05\x06") && at + END + number(&tail, at + 20, 2) as usize == tail.len()
        };
        let Some(at) = (0..(tail.len() + 1).saturating_sub(END)).rev().find(is_end) else { return Ok(None) };
        let end = &tail[at..];
        let end_at = length - (tail.len() - at) as u64;
        let (disks, counts) = (number(end, 4, 4), [number(end, 8, 2), number(end, 10, 2)]);
        let (size, start) = (number(end, 12, 4), number(end, 16, 4));
        if disks != 0 || counts[0] != counts[1] {
            return Ok(None);
        }
        let locator = at.checked_sub(LOCATOR).map(|from| &tail[from..at]).filter(|l| l.starts_with(b"PK\x06\x07"));
        let Some(locator) = locator else { return Ok(Self::checked(start, size, end_at, counts[0])) };
        let record = number(locator, 8, 8);
        let mut end64 = [0; END64];
        if record.checked_add((END64 + LOCATOR) as u64).is_none_or(|end| end > end_at) {
            return Ok(None);
        }
        read_at(file, &mut end64, record)?;
        let counts = [number(&end64, 24, 8), number(&end64, 32, 8)];
        if !end64.starts_with(b"PK\x06\x06") || number(&end64, 16, 8) != 0 || counts[0] != counts[1] {
            return Ok(None);
        }
        Ok(Self::checked(number(&end64, 48, 8), number(&end64, 40, 8), record, counts[0]))
    }

    /// With anything before the archive, or between the directory and its end, places are not what they seem.
    fn checked(start: u64, size: u64, end: u64, count: u64) -> Option<Self> {
        let fits = start.checked_add(size) == Some(end) && count <= size / HEADER as u64;
        fits.then_some(Self { start, end, count })
    }
}

/// Files, and what was guessed of their names.
pub(super) type Listed = (Vec<Entry>, Option<String>);

/// The files of a zip in the order of its directory; none where the zip crate should look at it.
pub(super) fn list(file: &File) -> io::Result<Option<Listed>> {
    let length = file.metadata()?.len();
    let Some(directory) = Directory::find(file, length)? else { return Ok(None) };
    let (mut entries, mut undecoded) = (Vec::new(), Undecoded::new());
    let (mut buffer, mut from, mut at) = (Vec::new(), directory.start, 0);
    // Fills the buffer so that `wanted` bytes are there from `at` on.
    let mut need = |buffer: &mut Vec<u8>, at: &mut usize, wanted: usize| -> io::Result<bool> {
        if buffer.len() - *at < wanted {
            buffer.drain(..*at);
            *at = 0;
            let more = (directory.end - from).min(CHUNK as u64) as usize;
            let have = buffer.len();
            buffer.resize(have + more, 0);
            read_at(file, &mut buffer[have..], from)?;
            from += more as u64;
        }
        Ok(buffer.len() - *at >= wanted)
    };
    for _ in 0..directory.count {
        if !need(&mut buffer, &mut at, HEADER)? || !buffer[at..].starts_with(b"PK\x01\x02") {
            return Ok(None);
        }
        let lengths = [28, 30, 32].map(|field| number(&buffer, at + field, 2) as usize);
        let whole = HEADER + lengths.iter().sum::<usize>();
        if !need(&mut buffer, &mut at, whole)? {
            return Ok(None);
        }
        match entry(&buffer[at..at + whole], lengths) {
            Found::File(entry, raw) => {
                let place = within(entry.start, u64::from(entry.packed) + OWN_HEADER as u64, directory.start);
                // Only a picture has to be where it should.
                match place {
                    Err(error) if entry.picture => return Err(error),
                    Err(_) => {}
                    Ok(()) => {
                        undecoded.extend(raw.map(|raw| (entries.len(), raw)));
                        entries.push(*entry);
                    }
                }
            }
            Found::Other => {}
            Found::Doubt => return Ok(None),
        }
        at += whole;
    }
    let undecoded = names::foreign(undecoded);
    if undecoded.is_empty() {
        return Ok(Some((entries, None)));
    }
    // By the book such names are in code page 437, which the crate has.
    Ok(names::decode(&mut entries, &undecoded).map(|note| (entries, Some(note))))
}

enum Found {
    /// With the bytes of its name where these are not marked as Unicode and have other letters than ASCII's.
    File(Box<Entry>, Option<Vec<u8>>),
    Other,
    Doubt,
}

fn entry(header: &[u8], [name, extra, _]: [usize; 3]) -> Found {
    let (flags, method) = (number(header, 8, 2), number(header, 10, 2));
    let (name, extra) = (&header[HEADER..HEADER + name], &header[HEADER + name..HEADER + name + extra]);
    // Names that are not marked as Unicode are in whatever the packer's machine spoke; some programs forget the mark.
    let marked = flags & 1 << 11 != 0 || name.is_ascii();
    let (mut name, mut raw) = match std::str::from_utf8(name) {
        Ok(readable) => (readable.replace('\\', "/"), (!marked).then(|| name.to_vec())),
        Err(_) => (String::from_utf8_lossy(name).into_owned(), Some(name.to_vec())),
    };
    let is_link = number(header, 5, 1) == 3 && number(header, 40, 2) & 0o170_000 == 0o120_000;
    if name.ends_with('/') || is_link {
        return Found::Other;
    }
    let mut numbers = [number(header, 24, 4), number(header, 20, 4), number(header, 42, 4)];
    let mut rest = extra;
    while rest.len() >= 4 {
        let (kind, length) = (number(rest, 0, 2), number(rest, 2, 2) as usize);
        let Some(field) = rest.get(4..4 + length) else { return Found::Doubt };
        rest = &rest[4 + length..];
        match kind {
            1 => {
                let mut wide = field.chunks_exact(8);
                for to in numbers.iter_mut().filter(|to| **to == ELSEWHERE) {
                    match wide.next() {
                        Some(bytes) => *to = number(bytes, 0, 8),
                        None => return Found::Doubt,
                    }
                }
            }
            // The name once more, in Unicode, behind a version and a checksum.
            0x7075 => {
                let Some(again) = field.get(5..).and_then(|again| std::str::from_utf8(again).ok()) else {
                    return Found::Doubt;
                };
                (name, raw) = (again.replace('\\', "/"), None);
            }
            _ => {}
        }
    }
    let [size, packed, start] = numbers;
    let packing = match method {
        _ if flags & 1 != 0 => Packing::Locked,
        0 => Packing::Stored,
        8 => Packing::Deflated,
        _ => Packing::Unknown,
    };
    let entry = Entry::headed(&name, start, [packed, size], packing, number(header, 16, 4) as u32);
    Found::File(Box::new(entry), raw)
}
