//! NumPy arrays of pictures: `.npy`, and `.npz` with labels beside them.

use std::io::{BufReader, Read};
use std::path::Path;

use npyz::{DType, NpyHeader, Order};

use super::array::{Array, Arrays, Element, Shape};
use super::labels::Gather;
use super::slice::Slice;
use super::{Opened, Pictures, parts};
use crate::data::DataError;

const KIND: &str = "a NumPy file";
/// A header longer than this describes no pictures. NumPy's own are 128 bytes.
const MOST_HEADER: usize = 4096;
/// Brackets in brackets; an array of pictures has two.
const MOST_NESTED: usize = 8;
/// Members of an archive.
const MOST_MEMBERS: usize = 1024;
/// What labels are called when they are not called like their pictures.
const LABELS: [&str; 8] = ["y", "Y", "labels", "label", "targets", "target", "classes", "arr_1"];

/// What an array's header says.
struct Header {
    shape: Vec<u64>,
    order: Order,
    /// As NumPy writes it: `|u1`, `<f4`.
    element: String,
    /// Bytes before the values.
    length: u64,
}

impl Header {
    /// Reads the header that `bytes` begin with.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err("it does not begin as an array does".to_owned());
        }
        let cut = || "it ends in the middle of its header".to_owned();
        let length = match bytes.get(6).ok_or_else(cut)? {
            1 => bytes.get(8..10).map(|two| 10 + usize::from(u16::from_le_bytes([two[0], two[1]]))),
            2 | 3 => bytes
                .get(8..12)
                .map(|four| 12usize.saturating_add(u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize)),
            version => return Err(format!("it is of version {version}, and 1 to 3 are known")),
        };
        let length = length.ok_or_else(cut)?;
        if length > MOST_HEADER {
            return Err(format!("its header announces {length} bytes, more than an array of pictures needs"));
        }
        let text = bytes.get(..length).ok_or_else(cut)?;
        // The parser behind calls itself for each bracket.
        let mut nested = 0usize;
        for byte in text {
            match byte {
                b'(' | b'[' | b'{' => nested += 1,
                b')' | b']' | b'}' => nested = nested.saturating_sub(1),
                _ => {}
            }
            if nested > MOST_NESTED {
                return Err("its header has brackets in brackets as no array of pictures has".to_owned());
            }
        }
        let header = NpyHeader::from_reader(text).map_err(|e| format!("its header cannot be read: {e}"))?;
        let DType::Plain(element) = header.dtype() else {
            return Err("it is an array of records; give one of numbers".to_owned());
        };
        Ok(Self {
            shape: header.shape().to_vec(),
            order: header.order(),
            element: element.to_string(),
            length: length as u64,
        })
    }

    /// Bytes of all the values.
    fn bytes(&self) -> Result<u64, String> {
        let size = self.element.get(2..).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        let bytes = self.shape.iter().try_fold(size, |bytes, &side| bytes.checked_mul(side));
        bytes.ok_or_else(|| format!("its shape {:?} cannot be", self.shape))
    }

    /// Whether its shape is that of pictures.
    fn may_be_pictures(&self) -> bool {
        matches!(self.shape.len(), 3 | 4) && self.element().is_ok()
    }

    /// Whether it may be the labels of `count` pictures.
    fn may_be_labels(&self, count: u64) -> bool {
        matches!(self.shape[..], [n] | [n, 1] if n == count) && matches!(self.element.get(1..2), Some("u" | "i" | "b"))
    }

    fn element(&self) -> Result<Element, String> {
        match self.element.get(1..).unwrap_or_default() {
            "u1" => Ok(Element::Byte),
            "u2" => Ok(Element::Word),
            "f2" => Ok(Element::F16),
            "f4" => Ok(Element::F32),
            "f8" => Ok(Element::F64),
            _ => Err(format!("its values are {}; save it as uint8 or float32", self.element)),
        }
    }

    /// The pictures of `[n, h, w]`, `[n, h, w, channels]` or `[n, channels, h, w]`; `values` begin behind the header.
    fn pictures(&self, name: &str, values: Slice) -> Result<Array, String> {
        let (sides, shape): (_, fn(usize, usize, usize) -> Shape) = match self.shape[..] {
            [_, height, width] => ([height, width, 1], Shape::channels_last),
            [_, height, width, channels @ (1 | 3)] => ([height, width, channels], Shape::channels_last),
            [_, channels @ (1 | 3), height, width] => ([height, width, channels], Shape::channels_first),
            _ => {
                return Err(format!(
                    "its shape is {:?}; pictures are [n, h, w], [n, h, w, 1 or 3] or [n, 1 or 3, h, w]",
                    self.shape
                ));
            }
        };
        if self.order != Order::C {
            return Err("it is in Fortran order; save it with numpy.ascontiguousarray".to_owned());
        }
        let array = Array::new(name, values, self.shape[0], sides, shape, self.element()?)?;
        Ok(array.big_endian(self.element.starts_with('>')))
    }

    /// Integer values, as many as the shape says.
    fn integers(&self, values: &Slice) -> Result<Vec<i64>, String> {
        let mut bytes = vec![0; self.bytes()?.min(values.length()) as usize];
        values.read(&mut bytes, 0).map_err(|e| e.to_string())?;
        let size = self.element.get(2..).and_then(|size| size.parse::<usize>().ok()).unwrap_or(1).clamp(1, 8);
        let (big_endian, signed) = (self.element.starts_with('>'), self.element.get(1..2) == Some("i"));
        let integer = |bytes: &[u8]| {
            let mut eight = [0; 8];
            eight[..size].copy_from_slice(bytes);
            if big_endian {
                eight[..size].reverse();
            }
            let beyond = 64 - 8 * size as u32;
            let value = i64::from_le_bytes(eight) << beyond;
            if signed { value >> beyond } else { ((value as u64) >> beyond) as i64 }
        };
        Ok(bytes.chunks_exact(size).map(integer).collect())
    }
}

/// Opens a `.npy` of pictures.
pub(super) fn open_npy(path: &Path) -> Result<Opened, DataError> {
    let slice = Slice::open(path)?;
    let open = || {
        let beginning = slice.beginning(MOST_HEADER as u64).map_err(|e| e.to_string())?;
        let header = Header::read(&beginning)?;
        let mut array = header.pictures(slice.file_name(), slice.part(header.length, header.bytes()?)?)?;
        let notes = array.find_range()?.into_iter().collect();
        Ok(Opened { pictures: Box::new(Arrays(vec![array])), labels: Default::default(), notes })
    };
    open().map_err(|cause: String| slice.damaged(KIND, cause))
}

/// Opens a `.npz`: every array that has the shape of the largest one's pictures, with the labels that belong to each.
pub(super) fn open_npz(path: &Path) -> Result<Opened, DataError> {
    let slice = Slice::open(path)?;
    read_npz(&slice).map_err(|cause| slice.damaged("a NumPy archive", cause))
}

fn read_npz(slice: &Slice) -> Result<Opened, String> {
    let mut zip = zip::ZipArchive::new(BufReader::with_capacity(512, slice.reader())).map_err(|e| e.to_string())?;
    if zip.len() > MOST_MEMBERS {
        return Err(format!("it holds {} arrays; at most {MOST_MEMBERS} are looked at", zip.len()));
    }
    let mut members = Vec::new();
    for i in 0..zip.len() {
        let mut inner = zip.by_index(i).map_err(|e| e.to_string())?;
        let name = inner.name().map_err(|e| e.to_string())?.trim_end_matches(".npy").to_owned();
        let mut beginning = Vec::new();
        inner.by_ref().take(MOST_HEADER as u64).read_to_end(&mut beginning).map_err(|e| format!("{name}: {e}"))?;
        // Arrays of objects, texts and records stand beside pictures in some files.
        if let Ok(header) = Header::read(&beginning) {
            members.push((name, i, header));
        }
    }
    let area = |header: &Header| header.bytes().unwrap_or(0);
    let largest =
        members.iter().filter(|(.., header)| header.may_be_pictures()).max_by_key(|(.., header)| area(header));
    let Some(shape) = largest.map(|(.., header)| header.shape[1..].to_vec()) else {
        let found: Vec<_> =
            members.iter().map(|(name, _, header)| format!("{name} {:?} {}", header.shape, header.element)).collect();
        return Err(format!(
            "it holds no pictures ([n, h, w], [n, h, w, c] or [n, c, h, w]) but: {}",
            found.join(", ")
        ));
    };
    let mut gather = Gather::default();
    let (mut arrays, mut notes) = (Vec::new(), Vec::new());
    let mut used: Vec<&str> = Vec::new();
    for (name, i, header) in &members {
        if !header.may_be_pictures() {
            continue;
        }
        if header.shape[1..] != shape {
            if header.shape.len() == shape.len() + 1 {
                notes.push(format!("{name} {:?} is left out: its pictures are of another size", header.shape));
            }
            continue;
        }
        used.push(name);
        let named = |cause: String| format!("{name}: {cause}");
        let values = member(slice, &mut zip, *i, header).map_err(named)?;
        let mut array = header.pictures(name, values).map_err(named)?;
        notes.extend(array.find_range().map_err(named)?);
        let count = array.count();
        let fitting =
            |wanted: &str| members.iter().find(|(name, _, header)| name == wanted && header.may_be_labels(count));
        match labels_of(name).iter().find_map(|wanted| fitting(wanted)) {
            Some((name, i, header)) => {
                let named = |cause: String| format!("{name}: {cause}");
                let values = member(slice, &mut zip, *i, header).map_err(named)?;
                header.integers(&values).map_err(named)?.into_iter().for_each(|class| gather.push_number(class));
            }
            None => gather.push_none(count),
        }
        arrays.push(array);
    }
    if used.len() > 1 && used.iter().any(|name| parts::names_test(name)) {
        notes.push(format!(
            "it is all learned from, the arrays {} alike; save those for tests as another file",
            used.join(", ")
        ));
    }
    let pictures: Box<dyn Pictures> = Box::new(Arrays(arrays));
    Ok(Opened { pictures, labels: gather.finish(), notes })
}

/// What the labels of the pictures called `name` may be called: `x_train` has `y_train`, `test_images` `test_labels`.
fn labels_of(name: &str) -> Vec<String> {
    let mut names: Vec<String> = [("images", "labels"), ("image", "label"), ("imgs", "labels"), ("data", "labels")]
        .iter()
        .filter(|(pictures, _)| name.contains(pictures))
        .map(|(pictures, labels)| name.replace(pictures, labels))
        .collect();
    names.extend(name.strip_prefix(['x', 'X']).into_iter().flat_map(|rest| [format!("y{rest}"), format!("Y{rest}")]));
    names.extend(LABELS.map(str::to_owned));
    names
}

/// The values of an array in the archive: where they lie if they are stored, unpacked if they are deflated.
fn member(
    slice: &Slice,
    zip: &mut zip::ZipArchive<BufReader<super::slice::Reader>>,
    index: usize,
    header: &Header,
) -> Result<Slice, String> {
    let bytes = header.bytes()?;
    let mut inner = zip.by_index(index).map_err(|e| e.to_string())?;
    let start = inner.data_start().ok_or("it has no place in the archive")?;
    let packed = slice.part(start, inner.compressed_size())?;
    if inner.compression() == zip::CompressionMethod::Stored {
        return packed.part(header.length, bytes);
    }
    packed.may_inflate_to(bytes)?;
    std::io::copy(&mut inner.by_ref().take(header.length), &mut std::io::sink()).map_err(|e| e.to_string())?;
    packed.unpack(inner, bytes)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, damages, decoded, open, refusal, survives};
    use super::*;
    use crate::image::Picture;
    use proptest::prelude::*;
    use std::io::Write;

    /// An array as NumPy writes it.
    fn npy(element: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{element}', 'fortran_order': False, 'shape': ({shape}), }}");
        let text = format!("{text:<117}\n");
        [b"\x93NUMPY\x01\0".as_slice(), &(text.len() as u16).to_le_bytes(), text.as_bytes(), values].concat()
    }

    fn npz(path: &Path, method: zip::CompressionMethod, members: &[(&str, Vec<u8>)]) {
        let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
        for (name, bytes) in members {
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap();
    }

    fn write(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        (place, path)
    }

    #[test]
    fn every_layout_gives_the_same_picture() {
        // Two pictures of 2 x 4: red counts up, green is 100 more, blue 200.
        let last: Vec<u8> = (0..16).flat_map(|i| [i, 100 + i, 200 + i]).collect();
        let plane = |n: u8, c: u8| (0..8).map(move |i| c * 100 + n * 8 + i);
        let first: Vec<u8> = (0..2).flat_map(|n| (0..3).flat_map(move |c| plane(n, c))).collect();
        for (shape, values) in [("2, 2, 4, 3", &last), ("2, 3, 2, 4", &first)] {
            let (_place, path) = write("a.npy", &npy("|u1", shape, values));
            let opened = open(&path).unwrap();
            assert_eq!(opened.pictures.len(), Some(2));
            assert_eq!(decoded(&opened, 1), Picture::new(4, 2, 3, last[24..].to_vec()), "{shape}");
            assert_eq!(opened.pictures.name(1), "a.npy#1");
        }
        let (_place, path) = write("grey.npy", &npy("|u1", "2, 2, 4", &last[..16]));
        assert_eq!(decoded(&open(&path).unwrap(), 1), Picture::new(4, 2, 1, last[8..16].to_vec()));
    }

    #[test]
    fn the_bits_that_16_bit_arrays_use_are_found_and_said() {
        for (values, expected, said) in [
            ([0u16, 1024, 2048, 4095], [0, 64, 128, 255], "0 (black) to 4095 (white)"),
            ([0, 1024, 2048, 65535], [0, 4, 8, 255], "0 (black) to 65535 (white)"),
        ] {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
            let (_place, path) = write("a.npy", &npy(">u2", "1, 2, 2", &bytes));
            let opened = open(&path).unwrap();
            assert_eq!(decoded(&opened, 0).pixels(), expected);
            assert!(opened.notes[0].contains(said), "{:?}", opened.notes);
        }
    }

    #[test]
    fn what_floats_mean_is_found_and_said() {
        for (values, expected, said) in [
            ([0.0f32, 0.5, 1.0, 0.25], [0, 128, 255, 64], "0 (black) to 1 (white)"),
            ([-1.0, 0.0, 1.0, 0.5], [0, 128, 255, 191], "-1 (black) to 1 (white)"),
            ([0.0, 128.0, 255.0, 64.0], [0, 128, 255, 64], "0 (black) to 255 (white)"),
        ] {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            let swapped: Vec<u8> = values.iter().flat_map(|value| value.to_be_bytes()).collect();
            let doubles: Vec<u8> = values.iter().flat_map(|&value| f64::from(value).to_le_bytes()).collect();
            for (element, bytes) in [("<f4", bytes), (">f4", swapped), ("<f8", doubles)] {
                let (_place, path) = write("a.npy", &npy(element, "1, 2, 2", &bytes));
                let opened = open(&path).unwrap();
                assert_eq!(decoded(&opened, 0).pixels(), expected, "{element}");
                assert!(opened.notes[0].contains(said), "{:?}", opened.notes);
            }
        }
        let (_place, path) = write("a.npy", &npy("<f4", "1, 1, 1", &5000f32.to_le_bytes()));
        assert!(refusal(&path).contains("5000"));
        let nan = [f32::NAN, 0.0].map(f32::to_le_bytes).concat();
        let (_place, path) = write("a.npy", &npy("<f4", "1, 1, 2", &nan));
        assert!(open(&path).unwrap().pictures.read(0, 0).err().unwrap().contains("no number"));
    }

    #[test]
    fn an_archive_joins_its_parts_with_the_labels_that_are_theirs() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.npz");
        let labels: Vec<u8> = [3i64, 1].iter().flat_map(|label| label.to_le_bytes()).collect();
        for method in [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated] {
            npz(
                &path,
                method,
                &[
                    ("x_train", npy("|u1", "2, 2, 2", &[1, 2, 3, 4, 5, 6, 7, 8])),
                    ("y_train", npy("<i8", "2,", &labels)),
                    ("x_test", npy("|u1", "1, 2, 2", &[9; 4])),
                    ("y_test", npy("|u1", "1, 1", &[3])),
                    ("notes", npy("<U4", "1,", &[0; 16])),
                ],
            );
            let opened = open(&path).unwrap();
            assert_eq!(classes(&opened, 3), (vec!["1".into(), "3".into()], vec![Some(1), Some(0), Some(1)]));
            assert_eq!(decoded(&opened, 1).pixels(), [5, 6, 7, 8]);
            assert!(opened.notes[0].contains("x_test, x_train") || opened.notes[0].contains("x_train, x_test"));
            assert_eq!((decoded(&opened, 2).pixels(), opened.pictures.name(2).as_str()), (&[9; 4][..], "x_test#0"));
        }
        npz(&path, zip::CompressionMethod::Stored, &[("a", npy("<f8", "1,", &[0; 8]))]);
        assert!(refusal(&path).contains("holds no pictures"));
    }

    #[test]
    fn a_header_that_lies_is_refused() {
        for (bytes, expected) in [
            (npy("|u1", "9000000000, 9000000000, 9", &[0; 8]), "cannot be"),
            (npy("|u1", "9, 9, 9", &[0; 8]), "half copied"),
            (npy("|u1", "0, 9, 9", &[]), "0 pictures"),
            (npy("|u1", "5, 5", &[0; 25]), "[5, 5]"),
            (npy("<c8", "1, 1, 1", &[0; 8]), "<c8"),
            ([b"\x93NUMPY\x02\0\xff\xff\xff\xff".as_slice(), &[b'('; 9000]].concat(), "header"),
            ([b"\x93NUMPY\x01\0\x00\x0f".as_slice(), &[b'('; 9000]].concat(), "brackets"),
            (Vec::new(), "begin"),
        ] {
            let (_place, path) = write("a.npy", &bytes);
            let message = refusal(&path);
            assert!(message.contains("a.npy") && message.contains(expected), "{message}");
        }
        // A deflated array that announces far more than it can hold.
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.npz");
        npz(&path, zip::CompressionMethod::Deflated, &[("x", npy("|u1", "60000, 999, 999", &[0; 99]))]);
        assert!(refusal(&path).contains("announces"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_damaged_array_is_refused_or_read(damage in damages(), deflated: bool) {
            let array = npy("<f4", "2, 3, 4", &[0; 96]);
            survives("a.npy", &array, &damage)?;
            let place = tempfile::tempdir().unwrap();
            let path = place.path().join("whole.npz");
            let method = if deflated { zip::CompressionMethod::Deflated } else { zip::CompressionMethod::Stored };
            npz(&path, method, &[("x", array), ("y", npy("|u1", "2,", &[1, 2]))]);
            survives("a.npz", &std::fs::read(path).unwrap(), &damage)?;
        }
    }
}
