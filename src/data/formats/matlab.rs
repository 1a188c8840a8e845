//! MATLAB files of version 5, such as SVHN's cropped digits: `X` has shape `[32, 32, 3, n]`, `y` has the digits, with
//! 10 for 0.

use std::io::{BufReader, Read};

use flate2::read::ZlibDecoder;

use super::PictureSet;
use super::array::{ElementType, PictureArray, PictureArrays, PixelLayout};
use super::file_set::FileSet;
use super::file_slice::FileSlice;
use super::labels::LabelBuilder;
use crate::data::DataError;

const KIND: &str = "a MATLAB file";
/// Bytes before the first variable.
const HEADER: u64 = 128;
/// Limit of variables in a file; a set has two.
const MAX_VARIABLES: usize = 256;
/// Limit of the bytes of a variable's name or dimensions.
const MAX_SUBELEMENT: u64 = 1024;

/// Types of elements.
const BYTES: u32 = 2;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// One variable: its name and dimensions, and where its values are.
struct MatlabVariable {
    name: String,
    sides: Vec<u64>,
    /// Stored type and total bytes of the values.
    stored: u32,
    bytes: u64,
    /// The element that contains the variable, and the number of bytes before the values.
    element: FileSlice,
    compressed: bool,
    before: u64,
}

/// Whether a file is one of SVHN's, by its name.
pub(super) fn is_set(name: &str) -> bool {
    name.ends_with("_32x32.mat")
}

/// Opens these files as one set.
pub(super) fn open(file_set: &FileSet, names: &[&str]) -> Result<PictureSet, DataError> {
    let mut builder = LabelBuilder::default();
    let mut arrays = Vec::new();
    for slice in names.iter().filter_map(|name| file_set.get(name).transpose()) {
        let slice = slice?;
        arrays.push(set(&slice, &mut builder).map_err(|cause| slice.format_error(KIND, cause))?);
    }
    Ok(PictureSet { pictures: Box::new(PictureArrays(arrays)), labels: builder.finish(), notes: Vec::new() })
}

fn set(slice: &FileSlice, builder: &mut LabelBuilder) -> Result<PictureArray, String> {
    let matrices = variables(slice)?;
    let pictures = matrices.iter().find(|m| m.stored == BYTES && matches!(m.sides.len(), 3 | 4) && m.sides[2] == 3);
    let Some(pictures) = pictures else {
        let found: Vec<_> = matrices.iter().map(|m| format!("{} {:?}", m.name, m.sides)).collect();
        return Err(format!("it has no pictures [height, width, 3, n] of bytes, but: {}", found.join(", ")));
    };
    // MATLAB omits a trailing dimension of 1.
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
    let array =
        PictureArray::new(slice.file_name(), values, count, sides, PixelLayout::column_major, ElementType::Byte)?;
    let of_all =
        |m: &&MatlabVariable| m.sides.iter().try_fold(1u64, |product, &side| product.checked_mul(side)) == Some(count);
    match matrices.iter().filter(|m| m.name.eq_ignore_ascii_case("y")).find(of_all) {
        None => builder.push_none(count),
        Some(labels) => {
            let labels = labels.numbers(count).map_err(|cause| format!("{}: {cause}", labels.name))?;
            labels.into_iter().for_each(|label| builder.push_integer(if label == 10 { 0 } else { label }));
        }
    }
    Ok(array)
}

fn variables(slice: &FileSlice) -> Result<Vec<MatlabVariable>, String> {
    let header = slice.bytes::<{ HEADER as usize }>(0)?;
    match (&header[124..], header.starts_with(b"MATLAB 7.3")) {
        (_, true) | (&[0, 2, ..], _) => {
            return Err("it has version 7.3; save it with the option -v7".to_owned());
        }
        (&[0, 1, b'I', b'M'], _) => {}
        (&[_, _, b'M', b'I'], _) => {
            return Err("its numbers are big-endian; save it on a little-endian machine".to_owned());
        }
        _ => return Err("it does not begin like a MATLAB file of version 5".to_owned()),
    }
    let mut variables = Vec::new();
    let mut at = HEADER;
    while at + 8 <= slice.length() {
        if variables.len() == MAX_VARIABLES {
            return Err(format!("it has more than {MAX_VARIABLES} variables"));
        }
        let named = |cause: String| format!("at byte {at}: {cause}");
        let tag = slice.bytes::<8>(at)?;
        let (kind, length) = (u32_le(&tag[..4]), u64::from(u32_le(&tag[4..])));
        let element = slice.part(at + 8, length).map_err(named)?;
        match kind {
            COMPRESSED => {
                let mut from = ZlibDecoder::new(BufReader::with_capacity(1 << 12, element.reader()));
                let tag = read_array::<8>(&mut from).map_err(named)?;
                if u32_le(&tag[..4]) == MATRIX {
                    variables.extend(MatlabVariable::read(&mut from, element, true).map_err(named)?);
                }
            }
            MATRIX => {
                variables.extend(MatlabVariable::read(&mut element.reader(), element.clone(), false).map_err(named)?);
            }
            1..=18 => {}
            _ => return Err(named(format!("elements of type {kind} do not exist; it is damaged"))),
        }
        // All but compressed elements are padded to eight bytes.
        at += 8 + if kind == COMPRESSED { length } else { length.next_multiple_of(8) };
    }
    if at < slice.length() || variables.is_empty() {
        return Err(format!("it ends at byte {} with no whole variable", slice.length()));
    }
    Ok(variables)
}

fn u32_le(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
}

fn read_array<const N: usize>(from: &mut impl Read) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).map_err(|e| format!("it ends or breaks in a variable's header ({e})")).map(|()| bytes)
}

/// Type and length of the next sub-element, and its data if that is stored in the tag.
fn tag(from: &mut impl Read) -> Result<(u32, u64, Option<[u8; 4]>), String> {
    let bytes = read_array::<8>(from)?;
    let first = u32_le(&bytes[..4]);
    match first >> 16 {
        0 => Ok((first, u32_le(&bytes[4..]).into(), None)),
        short @ 1..=4 => Ok((first & 0xffff, short.into(), Some([bytes[4], bytes[5], bytes[6], bytes[7]]))),
        long => Err(format!("a short element of it has {long} bytes; it is damaged")),
    }
}

/// A small sub-element of type `wanted`, and the number of bytes it takes in the file.
fn read_small(from: &mut impl Read, wanted: u32) -> Result<(Vec<u8>, u64), String> {
    let (kind, length, short) = tag(from)?;
    if kind != wanted || length > MAX_SUBELEMENT {
        return Err(format!(
            "it has {length} bytes of type {kind} where a few of type {wanted} are expected; it is damaged"
        ));
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

impl MatlabVariable {
    /// Parses a variable; `None` for cells, structures and the like. Of a compressed one, the tag has been read
    /// already.
    fn read(from: &mut impl Read, element: FileSlice, compressed: bool) -> Result<Option<Self>, String> {
        const FLAGS: u32 = 6;
        const SIDES: u32 = 5;
        const NAME: u32 = 1;
        let (flags, flag_bytes) = read_small(from, FLAGS)?;
        let (sides, side_bytes) = read_small(from, SIDES)?;
        let (name, name_bytes) = read_small(from, NAME)?;
        // Numeric classes: doubles, singles, and integers of any width.
        if !matches!(flags.first(), Some(6..=15)) {
            return Ok(None);
        }
        let (stored, bytes, short) = tag(from)?;
        let data = if short.is_some() { 4 } else { 8 };
        let before = flag_bytes + side_bytes + name_bytes + data + if compressed { 8 } else { 0 };
        let sides = sides.chunks_exact(4).map(|side| u64::from(u32_le(side))).collect();
        let name = String::from_utf8_lossy(&name).into_owned();
        Ok(Some(Self { name, sides, stored, bytes, element, compressed, before }))
    }

    /// The values: their position, or a decompressed copy.
    fn values(&self) -> Result<FileSlice, String> {
        if !self.compressed {
            return self.element.part(self.before, self.bytes);
        }
        self.element.check_inflated_size(self.bytes)?;
        let mut from = ZlibDecoder::new(BufReader::new(self.element.reader()));
        std::io::copy(&mut from.by_ref().take(self.before), &mut std::io::sink()).map_err(|e| e.to_string())?;
        self.element.unpack(from, self.bytes)
    }

    /// `count` integers, of whatever stored type.
    fn numbers(&self, count: u64) -> Result<Vec<i64>, String> {
        let size = match self.stored {
            1 | 2 => 1,
            3 | 4 => 2,
            5..=7 => 4,
            9 | 12 | 13 => 8,
            kind => return Err(format!("its values have type {kind}, which is not numeric")),
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
        // Names of up to four letters are stored in the tag.
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

    /// Two pictures of 2 x 2 (column-major, one plane per color) and their digits.
    fn svhn(compressed: bool) -> Vec<u8> {
        let x: Vec<u8> = (0..24).collect();
        let y = matrix("y", 6, &[2, 1], element(2, &[10, 3]));
        file(&[matrix("X", 9, &[2, 2, 3, 2], element(2, &x)), y], compressed)
    }

    #[test]
    fn digits_are_read_and_ten_is_zero() {
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
    fn invalid_file_is_refused() {
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
        fn damaged_file_is_refused_or_read(damage in damages()) {
            survives("a.mat", &svhn(true), &damage)?;
            survives("a.mat", &svhn(false), &damage)?;
        }
    }
}
