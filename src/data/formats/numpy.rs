//! NumPy arrays of pictures: `.npy`, and `.npz` with labels.

use std::io::{BufReader, Read};
use std::path::Path;

use npyz::{DType, NpyHeader, Order};

use super::array::{ElementType, PictureArray, PictureArrays, PixelLayout};
use super::file_slice::FileSlice;
use super::labels::LabelBuilder;
use super::{PictureSet, PictureStore, splits};
use crate::data::DataError;

const KIND: &str = "a NumPy file";
/// Limit of a header's length; NumPy's own have 128 bytes.
const MAX_HEADER: usize = 4096;
/// Limit of nested brackets in a header; an array of pictures has two levels.
const MAX_NESTING: usize = 8;
/// Limit of the arrays in an archive.
const MAX_MEMBERS: usize = 1024;
/// Names of label arrays that are not named after their pictures.
const LABELS: [&str; 8] = ["y", "Y", "labels", "label", "targets", "target", "classes", "arr_1"];

/// The header of an array.
struct ArrayHeader {
    shape: Vec<u64>,
    order: Order,
    /// NumPy's type: `|u1`, `<f4`.
    element: String,
    /// Bytes before the values.
    length: u64,
}

impl ArrayHeader {
    /// Parses the header at the beginning of `bytes`.
    fn read(bytes: &[u8]) -> Result<Self, String> {
        if !bytes.starts_with(b"\x93NUMPY") {
            return Err("it does not begin like an array".to_owned());
        }
        let cut = || "it ends in the middle of its header".to_owned();
        let length = match bytes.get(6).ok_or_else(cut)? {
            1 => bytes.get(8..10).map(|two| 10 + usize::from(u16::from_le_bytes([two[0], two[1]]))),
            2 | 3 => bytes
                .get(8..12)
                .map(|four| 12usize.saturating_add(u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize)),
            version => return Err(format!("it has version {version}; versions 1 to 3 are supported")),
        };
        let length = length.ok_or_else(cut)?;
        if length > MAX_HEADER {
            return Err(format!("its header announces {length} bytes, more than an array of pictures needs"));
        }
        let text = bytes.get(..length).ok_or_else(cut)?;
        // The parser of the crate is recursive.
        let mut nested = 0usize;
        for byte in text {
            match byte {
                b'(' | b'[' | b'{' => nested += 1,
                b')' | b']' | b'}' => nested = nested.saturating_sub(1),
                _ => {}
            }
            if nested > MAX_NESTING {
                return Err("the brackets in its header are nested too deeply for an array of pictures".to_owned());
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

    /// Total bytes of the values.
    fn bytes(&self) -> Result<u64, String> {
        let size = self.element.get(2..).and_then(|size| size.parse::<u64>().ok()).unwrap_or(0);
        let bytes = self.shape.iter().try_fold(size, |bytes, &side| bytes.checked_mul(side));
        bytes.ok_or_else(|| format!("its shape {:?} is impossible", self.shape))
    }

    /// Whether the shape is that of pictures.
    fn may_be_pictures(&self) -> bool {
        matches!(self.shape.len(), 3 | 4) && self.element().is_ok()
    }

    /// Whether these may be the labels of `count` pictures.
    fn may_be_labels(&self, count: u64) -> bool {
        matches!(self.shape[..], [n] | [n, 1] if n == count) && matches!(self.element.get(1..2), Some("u" | "i" | "b"))
    }

    fn element(&self) -> Result<ElementType, String> {
        match self.element.get(1..).unwrap_or_default() {
            "u1" => Ok(ElementType::Byte),
            "u2" => Ok(ElementType::Word),
            "f2" => Ok(ElementType::F16),
            "f4" => Ok(ElementType::F32),
            "f8" => Ok(ElementType::F64),
            _ => Err(format!("its values are {}; save it as uint8 or float32", self.element)),
        }
    }

    /// The pictures of an array `[n, h, w]`, `[n, h, w, channels]` or `[n, channels, h, w]`; `values` begin after the
    /// header.
    fn pictures(&self, name: &str, values: FileSlice) -> Result<PictureArray, String> {
        let (sides, shape): (_, fn(usize, usize, usize) -> PixelLayout) = match self.shape[..] {
            [_, height, width] => ([height, width, 1], PixelLayout::channels_last),
            [_, height, width, channels @ (1 | 3)] => ([height, width, channels], PixelLayout::channels_last),
            [_, channels @ (1 | 3), height, width] => ([height, width, channels], PixelLayout::channels_first),
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
        let array = PictureArray::new(name, values, self.shape[0], sides, shape, self.element()?)?;
        Ok(array.big_endian(self.element.starts_with('>')))
    }

    /// The values as integers.
    fn integers(&self, values: &FileSlice) -> Result<Vec<i64>, String> {
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
pub(super) fn open_npy(path: &Path) -> Result<PictureSet, DataError> {
    let slice = FileSlice::open(path)?;
    let open = || {
        let beginning = slice.head(MAX_HEADER as u64).map_err(|e| e.to_string())?;
        let header = ArrayHeader::read(&beginning)?;
        let mut array = header.pictures(slice.file_name(), slice.part(header.length, header.bytes()?)?)?;
        let notes = array.measure_range()?.into_iter().collect();
        Ok(PictureSet { pictures: Box::new(PictureArrays(vec![array])), labels: Default::default(), notes })
    };
    open().map_err(|cause: String| slice.format_error(KIND, cause))
}

/// Opens a `.npz`: all arrays of pictures of the same size as those of the largest one, with their labels.
pub(super) fn open_npz(path: &Path) -> Result<PictureSet, DataError> {
    let slice = FileSlice::open(path)?;
    open_npz_slice(&slice).map_err(|cause| slice.format_error("a NumPy archive", cause))
}

fn open_npz_slice(slice: &FileSlice) -> Result<PictureSet, String> {
    let mut zip = zip::ZipArchive::new(BufReader::with_capacity(512, slice.reader())).map_err(|e| e.to_string())?;
    if zip.len() > MAX_MEMBERS {
        return Err(format!("it holds {} arrays; at most {MAX_MEMBERS} are supported", zip.len()));
    }
    let mut members = Vec::new();
    for i in 0..zip.len() {
        let mut inner = zip.by_index(i).map_err(|e| e.to_string())?;
        let name = inner.name().map_err(|e| e.to_string())?.trim_end_matches(".npy").to_owned();
        let mut beginning = Vec::new();
        inner.by_ref().take(MAX_HEADER as u64).read_to_end(&mut beginning).map_err(|e| format!("{name}: {e}"))?;
        // Some files also have arrays of objects, texts or records.
        if let Ok(header) = ArrayHeader::read(&beginning) {
            members.push((name, i, header));
        }
    }
    let area = |header: &ArrayHeader| header.bytes().unwrap_or(0);
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
    let mut builder = LabelBuilder::default();
    let (mut arrays, mut notes) = (Vec::new(), Vec::new());
    let mut used: Vec<&str> = Vec::new();
    for (name, i, header) in &members {
        if !header.may_be_pictures() {
            continue;
        }
        if header.shape[1..] != shape {
            if header.shape.len() == shape.len() + 1 {
                notes.push(format!("skipped {name} {:?}: its pictures have another size", header.shape));
            }
            continue;
        }
        used.push(name);
        let named = |cause: String| format!("{name}: {cause}");
        let values = member(slice, &mut zip, *i, header).map_err(named)?;
        let mut array = header.pictures(name, values).map_err(named)?;
        notes.extend(array.measure_range().map_err(named)?);
        let count = array.count();
        let fitting =
            |wanted: &str| members.iter().find(|(name, _, header)| name == wanted && header.may_be_labels(count));
        match labels_of(name).iter().find_map(|wanted| fitting(wanted)) {
            Some((name, i, header)) => {
                let named = |cause: String| format!("{name}: {cause}");
                let values = member(slice, &mut zip, *i, header).map_err(named)?;
                header.integers(&values).map_err(named)?.into_iter().for_each(|class| builder.push_integer(class));
            }
            None => builder.push_none(count),
        }
        arrays.push(array);
    }
    if used.len() > 1 && used.iter().any(|name| splits::mentions_test_split(name)) {
        notes.push(format!(
            "all arrays are used for training, including those with test images ({}); save these in another file",
            used.join(", ")
        ));
    }
    let pictures: Box<dyn PictureStore> = Box::new(PictureArrays(arrays));
    Ok(PictureSet { pictures, labels: builder.finish(), notes })
}

/// Possible names of the labels of the pictures `name`: `x_train` has `y_train`, `test_images` has `test_labels`.
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

/// The values of an array in the archive: their position if stored, a decompressed copy if deflated.
fn member(
    slice: &FileSlice,
    zip: &mut zip::ZipArchive<BufReader<super::file_slice::SliceReader>>,
    index: usize,
    header: &ArrayHeader,
) -> Result<FileSlice, String> {
    let bytes = header.bytes()?;
    let mut inner = zip.by_index(index).map_err(|e| e.to_string())?;
    let start = inner.data_start().ok_or("it has no position in the archive")?;
    let packed = slice.part(start, inner.compressed_size())?;
    if inner.compression() == zip::CompressionMethod::Stored {
        return packed.part(header.length, bytes);
    }
    packed.check_inflated_size(bytes)?;
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
    fn every_memory_layout_gives_the_same_picture() {
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
    fn range_of_16_bit_arrays_is_measured() {
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
    fn range_of_float_arrays_is_measured() {
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
        assert!(open(&path).unwrap().pictures.read(0, 0).err().unwrap().contains("not a number"));
    }

    #[test]
    fn npz_arrays_are_joined_with_their_labels() {
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
    fn invalid_header_is_refused() {
        for (bytes, expected) in [
            (npy("|u1", "9000000000, 9000000000, 9", &[0; 8]), "impossible"),
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
        // A deflated array that announces more than it can contain.
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a.npz");
        npz(&path, zip::CompressionMethod::Deflated, &[("x", npy("|u1", "60000, 999, 999", &[0; 99]))]);
        assert!(refusal(&path).contains("announces"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_array_is_refused_or_read(damage in damages(), deflated: bool) {
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
