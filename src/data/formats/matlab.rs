//! MATLAB's files of version 5, as SVHN's cropped digits come: `X` is `[32, 32, 3, n]` of bytes, `y` the digits, where 10
//! is 0.

use std::io::{BufReader, Read};

use flate2::read::ZlibDecoder;

use super::Opened;
use super::array::{Array, Arrays, Element, Shape};
use super::labels::Gather;
use super::shelf::Shelf;
use super::slice::Slice;
use crate::data::DataError;

const KIND: &str = "a MATLAB file";
/// Bytes before the first variable.
const HEADER: u64 = 128;
/// Variables in a file; a set has two.
const MOST_VARIABLES: usize = 256;
/// Bytes of a variable's name or dimensions.
const MOST_SUBELEMENT: u64 = 1024;

/// Kinds of elements.
const BYTES: u32 = 2;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// One variable: what it is, and where its values lie.
struct Matrix {
    name: String,
    sides: Vec<u64>,
    /// How its values are stored, and how many bytes they have.
    stored: u32,
    bytes: u64,
    /// The element that it is in, and how many bytes of that come before the values.
    element: Slice,
    compressed: bool,
    before: u64,
}

/// Whether a file of a folder or archive is one of SVHN's.
pub(super) fn is_set(name: &str) -> bool {
    name.ends_with("_32x32.mat")
}

/// Opens the files called `names` as one set.
pub(super) fn open(shelf: &Shelf, names: &[&str]) -> Result<Opened, DataError> {
    let mut gather = Gather::default();
    let mut arrays = Vec::new();
    for slice in names.iter().filter_map(|name| shelf.get(name).transpose()) {
        let slice = slice?;
        arrays.push(set(&slice, &mut gather).map_err(|cause| slice.damaged(KIND, cause))?);
    }
    Ok(Opened { pictures: Box::new(Arrays(arrays)), labels: gather.finish(), notes: Vec::new() })
}

fn set(slice: &Slice, gather: &mut Gather) -> Result<Array, String> {
    let matrices = variables(slice)?;
    let pictures = matrices.iter().find(|m| m.stored == BYTES && matches!(m.sides.len(), 3 | 4) && m.sides[2] == 3);
    let Some(pictures) = pictures else {
        let found: Vec<_> = matrices.iter().map(|m| format!("{} {:?}", m.name, m.sides)).collect();
        return Err(format!("it has no pictures [height, width, 3, n] of bytes, but: {}", found.join(", ")));
    };
    // MATLAB drops a last side of 1.
    let count = pictures.sides.get(3).copied().unwrap_or(1);
    let sides = [pictures.sides[0], pictures.sides[1], 3];
    let bytes = sides.iter().try_fold(count, |bytes, &side| bytes.checked_mul(side));
    if bytes != Some(pictures.bytes) {
        return Err(format!(
            "its {} has {} bytes, not those of its sides {:?}",
            pictures.name, pictures.bytes, pictures.sides
        ));
    }
    let values = pictures.values().map_err(|cause| format!("{}: {cause}", pictures.name))?;
    let array = Array::new(slice.file_name(), values, count, sides, Shape::column_major, Element::Byte)?;
    let of_all = |m: &&Matrix| m.sides.iter().try_fold(1u64, |product, &side| product.checked_mul(side)) == Some(count);
    match matrices.iter().filter(|m| m.name.eq_ignore_ascii_case("y")).find(of_all) {
        None => gather.push_none(count),
        Some(labels) => {
            let labels = labels.numbers(count).map_err(|cause| format!("{}: {cause}", labels.name))?;
            labels.into_iter().for_each(|label| gather.push_number(if label == 10 { 0 } else { label }));
        }
    }
    Ok(array)
}

fn variables(slice: &Slice) -> Result<Vec<Matrix>, String> {
    let header = slice.bytes::<{ HEADER as usize }>(0)?;
    match (&header[124..], header.starts_with(b"MATLAB 7.3")) {
        (_, true) | (&[0, 2, ..], _) => {
            return Err("it is of version 7.3; save it with the option -v7".to_owned());
        }
        (&[0, 1, b'I', b'M'], _) => {}
        (&[_, _, b'M', b'I'], _) => {
            return Err("its numbers have their highest byte first; save it on a common machine".to_owned());
        }
        _ => return Err("it does not begin as MATLAB's files of version 5 do".to_owned()),
    }
    let mut found = Vec::new();
    let mut at = HEADER;
    while at + 8 <= slice.length() {
        if found.len() == MOST_VARIABLES {
            return Err(format!("it has more than {MOST_VARIABLES} variables"));
        }
        let named = |cause: String| format!("at byte {at}: {cause}");
        let tag = slice.bytes::<8>(at)?;
        let (kind, length) = (word(&tag[..4]), u64::from(word(&tag[4..])));
        let element = slice.part(at + 8, length).map_err(named)?;
        match kind {
            COMPRESSED => {
                let mut from = ZlibDecoder::new(BufReader::with_capacity(1 << 12, element.reader()));
                let tag = take::<8>(&mut from).map_err(named)?;
                if word(&tag[..4]) == MATRIX {
                    found.extend(Matrix::read(&mut from, element, true).map_err(named)?);
                }
            }
            MATRIX => found.extend(Matrix::read(&mut element.reader(), element.clone(), false).map_err(named)?),
            1..=18 => {}
            _ => return Err(named(format!("there is no kind {kind} of elements; it is damaged"))),
        }
        // Only compressed elements are not filled up to eight bytes.
        at += 8 + if kind == COMPRESSED { length } else { length.next_multiple_of(8) };
    }
    if at < slice.length() || found.is_empty() {
        return Err(format!("it ends at byte {} with no whole variable", slice.length()));
    }
    Ok(found)
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn take<const N: usize>(from: &mut impl Read) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|e| format!("it ends or breaks in a variable's header ({e})")).map(|()| bytes)
}

/// The kind and length of the next sub-element, and how many bytes its tag has. Short ones lie in their tag.
fn tag(from: &mut impl Read) -> Result<(u32, u64, Option<[u8; 4]>), String> {
    let bytes = take::<8>(from)?;
    let first = word(&bytes[..4]);
    match first >> 16 {
        0 => Ok((first, word(&bytes[4..]).into(), None)),
        short @ 1..=4 => Ok((first & 0xffff, short.into(), Some([bytes[4], bytes[5], bytes[6], bytes[7]]))),
        long => Err(format!("a short element of it has {long} bytes; it is damaged")),
    }
}

/// A small sub-element of kind `wanted`, and how many bytes of the file it took.
fn small(from: &mut impl Read, wanted: u32) -> Result<(Vec<u8>, u64), String> {
    let (kind, length, short) = tag(from)?;
    if kind != wanted || length > MOST_SUBELEMENT {
        return Err(format!("it has {length} bytes of kind {kind} where a few of kind {wanted} belong; it is damaged"));
    }
    if let Some(bytes) = short {
        return Ok((bytes[..length as usize].to_vec(), 8));
    }
    let mut bytes = vec![0; length.next_multiple_of(8) as usize];
    from.read_exact(&mut bytes).map_err(|e| format!("it ends or breaks in a variable's header ({e})"))?;
    let taken = 8 + bytes.len() as u64;
    bytes.truncate(length as usize);
    Ok((bytes, taken))
}

impl Matrix {
    /// What `from` says of a variable; `None` for cells, structures and the like. The tag of a compressed one is read.
    fn read(from: &mut impl Read, element: Slice, compressed: bool) -> Result<Option<Self>, String> {
        const FLAGS: u32 = 6;
        const SIDES: u32 = 5;
        const NAME: u32 = 1;
        let (flags, flag_bytes) = small(from, FLAGS)?;
        let (sides, side_bytes) = small(from, SIDES)?;
        let (name, name_bytes) = small(from, NAME)?;
        // Numbers: doubles, singles and integers of any width.
        if !matches!(flags.first(), Some(6..=15)) {
            return Ok(None);
        }
        let (stored, bytes, short) = tag(from)?;
        let data = if short.is_some() { 4 } else { 8 };
        let before = flag_bytes + side_bytes + name_bytes + data + if compressed { 8 } else { 0 };
        let sides = sides.chunks_exact(4).map(|side| u64::from(word(side))).collect();
        let name = String::from_utf8_lossy(&name).into_owned();
        Ok(Some(Self { name, sides, stored, bytes, element, compressed, before }))
    }

    /// Its values: where they lie, or unpacked.
    fn values(&self) -> Result<Slice, String> {
        if !self.compressed {
            return self.element.part(self.before, self.bytes);
        }
        self.element.may_inflate_to(self.bytes)?;
        let mut from = ZlibDecoder::new(BufReader::new(self.element.reader()));
        std::io::copy(&mut from.by_ref().take(self.before), &mut std::io::sink()).map_err(|e| e.to_string())?;
        self.element.unpack(from, self.bytes)
    }

    /// `count` whole numbers, however they are stored.
    fn numbers(&self, count: u64) -> Result<Vec<i64>, String> {
        let size = match self.stored {
            1 | 2 => 1,
            3 | 4 => 2,
            5..=7 => 4,
            9 | 12 | 13 => 8,
            kind => return Err(format!("its values are of kind {kind}; numbers are read")),
        };
        if count.checked_mul(size) != Some(self.bytes) {
            return Err(format!("it has {} bytes for {count} pictures", self.bytes));
        }
        let values = self.values()?;
        let mut bytes = vec![0; values.length() as usize];
        values.read(&mut bytes, 0).map_err(|e| e.to_string())?;
        let number = |bytes: &[u8]| match (self.stored, bytes) {
            (7, &[a, b, c, d]) => f32::from_le_bytes([a, b, c, d]) as i64,
            (9, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]) as i64,
            _ => bytes.iter().rev().fold(0, |number, &byte| number << 8 | i64::from(byte)),
        };
        Ok(bytes.chunks_exact(size as usize).map(number).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, damages, decoded, open, refusal, survives};
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn element(kind: u32, bytes: &[u8]) -> Vec<u8> {
        let mut element = [&kind.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
        element.resize(element.len().next_multiple_of(8), 0);
        element
    }

    fn matrix(name: &str, class: u32, sides: &[u32], values: Vec<u8>) -> Vec<u8> {
        let sides: Vec<u8> = sides.iter().flat_map(|side| side.to_le_bytes()).collect();
        // Names of up to four letters lie in their tag.
        let mut short = [&1u16.to_le_bytes()[..], &(name.len() as u16).to_le_bytes(), name.as_bytes()].concat();
        short.resize(8, 0);
        let flags = [class.to_le_bytes(), [0; 4]].concat();
        element(MATRIX, &[element(6, &flags), element(5, &sides), short, values].concat())
    }

    fn file(variables: &[Vec<u8>], compressed: bool) -> Vec<u8> {
        let mut file = format!("{:<124}", "MATLAB 5.0 MAT-file, by hand").into_bytes();
        file.extend(b"\0\x01IM");
        for variable in variables {
            if compressed {
                let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
                zlib.write_all(variable).unwrap();
                let packed = zlib.finish().unwrap();
                file.extend([COMPRESSED.to_le_bytes(), (packed.len() as u32).to_le_bytes()].concat());
                file.extend(packed);
            } else {
                file.extend(variable);
            }
        }
        file
    }

    /// Two pictures of 2 x 2 (columns first, a plane a colour) and their digits.
    fn svhn(compressed: bool) -> Vec<u8> {
        let x: Vec<u8> = (0..24).collect();
        let y = matrix("y", 6, &[2, 1], element(2, &[10, 3]));
        file(&[matrix("X", 9, &[2, 2, 3, 2], element(2, &x)), y], compressed)
    }

    #[test]
    fn digits_are_read_upright_and_ten_is_nought() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("train_32x32.mat");
        for compressed in [true, false] {
            std::fs::write(&path, svhn(compressed)).unwrap();
            for path in [path.as_path(), place.path()] {
                let opened = open(path).unwrap();
                assert_eq!(classes(&opened, 2), (vec!["0".into(), "3".into()], vec![Some(0), Some(1)]));
                assert_eq!(decoded(&opened, 0).pixels(), [0, 4, 8, 2, 6, 10, 1, 5, 9, 3, 7, 11]);
                assert_eq!(decoded(&opened, 1).pixels()[..3], [12, 16, 20]);
            }
        }
        let doubles = element(9, &[10f64, 3.0].map(f64::to_le_bytes).concat());
        let x: Vec<u8> = (0..24).collect();
        let variables = [matrix("y", 6, &[1, 2], doubles), matrix("X", 9, &[2, 2, 3, 2], element(2, &x))];
        std::fs::write(&path, file(&variables, true)).unwrap();
        assert_eq!(classes(&open(&path).unwrap(), 2).1, [Some(0), Some(1)]);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.mat");
        let huge = matrix("X", 9, &[u32::MAX, u32::MAX, 3, u32::MAX], element(2, &[0; 24]));
        let mut bomb = matrix("X", 9, &[32, 32, 3, 300_000], element(2, &[0; 8]));
        let at = bomb.len() - 12;
        bomb[at..at + 4].copy_from_slice(&(3072u32 * 300_000).to_le_bytes());
        for (bytes, expected) in [
            (Vec::new(), "header"),
            (svhn(true)[..140].to_vec(), "half copied"),
            (svhn(false)[..200].to_vec(), "half copied"),
            (file(&[], true), "no whole variable"),
            (file(&[matrix("z", 6, &[1, 1], element(9, &[0; 8]))], true), "z [1, 1]"),
            (file(std::slice::from_ref(&huge), true), "not those of its sides"),
            (file(&[bomb], true), "announces"),
            (format!("{:<126}IM", "MATLAB 7.3 MAT-file").into_bytes(), "-v7"),
            (vec![b'x'; 200], "version 5"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let message = refusal(&path);
            assert!(message.contains("a.mat") && message.contains(expected), "{message}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_damaged_file_is_refused_or_read(damage in damages()) {
            survives("a.mat", &svhn(true), &damage)?;
            survives("a.mat", &svhn(false), &damage)?;
        }
    }
}
