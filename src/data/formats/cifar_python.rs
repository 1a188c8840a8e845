//! CIFAR-10 and CIFAR-100, Python version, and downsampled ImageNet in the same layout: a pickled dictionary of an
//! array `[n, 3 * side * side]` and a list of labels.

use std::io::{self, BufReader, Read};

use super::PictureSet;
use super::array::{ElementType, PictureArray, PictureArrays, PixelLayout};
use super::file_set::FileSet;
use super::file_slice::FileSlice;
use super::labels::LabelBuilder;
use super::pickle::{BatchValue, NumericArray, PickledBatch};
use crate::data::DataError;

const KIND: &str = "a pickled CIFAR batch";
/// Keys of the labels, in order of preference.
const LABEL_KEYS: [&str; 2] = ["fine_labels", "labels"];

/// Whether a file is a batch, by its name.
pub(super) fn is_batch(name: &str) -> bool {
    matches!(name, "train" | "test" | "test_batch" | "val_data")
        || name.starts_with("data_batch_") && !name.contains('.')
        || name.starts_with("train_data_batch_") && !name.contains('.')
}

/// Opens these batches as one set.
pub(super) fn open(file_set: &FileSet, names: &[&str]) -> Result<PictureSet, DataError> {
    let mut builder = LabelBuilder::default();
    let mut arrays = Vec::new();
    let mut last = None;
    for slice in names.iter().filter_map(|name| file_set.get(name).transpose()) {
        let slice = slice?;
        arrays.push(batch(&slice, &mut builder).map_err(|cause| slice.format_error(KIND, cause))?);
        last = Some(slice);
    }
    let Some(last) = last else { return Err(DataError::Empty { path: names.join(", ").into() }) };
    let labels = builder.finish_with_names(class_names(file_set)?).map_err(|cause| last.format_error(KIND, cause))?;
    Ok(PictureSet { pictures: Box::new(PictureArrays(arrays)), labels, notes: Vec::new() })
}

/// Class names from the metadata file beside the batches; empty without one.
fn class_names(file_set: &FileSet) -> Result<Vec<String>, DataError> {
    for (file, key) in [("batches.meta", "label_names"), ("meta", "fine_label_names")] {
        if let Some(slice) = file_set.get(file)? {
            let pickle =
                PickledBatch::read(&slice).map_err(|cause| slice.format_error("a list of class names", cause))?;
            let names = pickle.get(key).and_then(|names| pickle.list(names)).unwrap_or_default();
            return Ok(names.iter().filter_map(|&name| pickle.text(name)).collect());
        }
    }
    Ok(Vec::new())
}

fn batch(slice: &FileSlice, builder: &mut LabelBuilder) -> Result<PictureArray, String> {
    let pickle = PickledBatch::read(slice)?;
    let data = pickle.get("data").ok_or("it has no entry \"data\"")?;
    let data = pickle.array(data).ok_or("its \"data\" is not an array of numbers")?;
    let (count, side) = match (&data.shape[..], data.element.as_str()) {
        (&[count, width], "u1") => match (width / 3).isqrt() {
            side if side > 0 && side.checked_mul(3 * side) == Some(width) => (count, side),
            _ => return Err(format!("its pictures have {width} values, which is not a square in red, green and blue")),
        },
        (shape, element) => {
            return Err(format!(
                "its \"data\" has shape {shape:?} of {element}; pictures are [n, 3 * side * side] of u1"
            ));
        }
    };
    let bytes = count.checked_mul(3 * side * side).ok_or("its shape is larger than any file")?;
    let values = values(slice, data.values, bytes)?;
    let name = slice.file_name();
    let array =
        PictureArray::new(name, values, count, [side, side, 3], PixelLayout::channels_first, ElementType::Byte)?;
    match LABEL_KEYS.iter().find_map(|key| pickle.get(key)) {
        None => builder.push_none(count),
        Some(labels) => {
            let labels = read_labels(slice, &pickle, labels, count)?;
            if labels.len() as u64 != count {
                return Err(format!("it has {} labels for {count} pictures", labels.len()));
            }
            labels.into_iter().for_each(|label| builder.push_integer(label));
        }
    }
    Ok(array)
}

/// The values of an array of `bytes` bytes: their position, or a decoded copy if Python stored them as text.
fn values(slice: &FileSlice, values: BatchValue, bytes: u64) -> Result<FileSlice, String> {
    match values {
        BatchValue::Bytes(region) if region.length == bytes => slice.part(region.start, region.length),
        BatchValue::Bytes(region) => {
            Err(format!("its array has {} bytes where its shape needs {bytes}", region.length))
        }
        BatchValue::Latin1(region) if region.length >= bytes && region.length / 2 <= bytes => {
            let text = slice.part(region.start, region.length)?;
            text.unpack(Latin1Decoder(BufReader::new(text.reader())), bytes)
        }
        _ => Err("its array has no values, or fewer than its shape needs".to_owned()),
    }
}

fn read_labels(slice: &FileSlice, pickle: &PickledBatch, labels: BatchValue, count: u64) -> Result<Vec<i64>, String> {
    if let Some(list) = pickle.list(labels) {
        let label = |value: &BatchValue| match value {
            BatchValue::Int(label) => Ok(*label),
            _ => Err("one of its labels is not a number".to_owned()),
        };
        return list.iter().map(label).collect();
    }
    let Some(NumericArray { shape, element, values: place }) = pickle.array(labels) else {
        return Err("its labels are neither a list nor an array".to_owned());
    };
    let size = match element.as_str() {
        "u1" | "i1" => 1,
        "i4" | "u4" => 4,
        "i8" | "u8" => 8,
        _ => return Err(format!("its labels have type {element}; only integers are supported")),
    };
    if shape.iter().try_fold(1, |product: u64, &side| product.checked_mul(side)) != Some(count) {
        return Err(format!("its labels have shape {shape:?} for {count} pictures"));
    }
    let labels = values(slice, *place, count * size)?;
    let mut bytes = vec![0; labels.length() as usize];
    labels.read(&mut bytes, 0).map_err(|e| e.to_string())?;
    // Labels are small and not negative, so the upper bytes are zero.
    let label = |bytes: &[u8]| bytes.iter().rev().fold(0, |label, &byte| label << 8 | i64::from(byte));
    Ok(bytes.chunks_exact(size as usize).map(label).collect())
}

/// Decodes UTF-8 whose characters each stand for one byte.
struct Latin1Decoder<R>(R);

impl<R: Read> Latin1Decoder<R> {
    fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        match self.0.read(&mut byte)? {
            0 => Ok(None),
            _ => Ok(Some(byte[0])),
        }
    }
}

impl<R: Read> Read for Latin1Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for (i, place) in buffer.iter_mut().enumerate() {
            *place = match self.byte()? {
                None => return Ok(i),
                Some(plain @ ..0x80) => plain,
                Some(first @ 0xc2..=0xc3) => match self.byte()? {
                    Some(second @ 0x80..0xc0) => first << 6 | second & 0x3f,
                    _ => return Err(io::Error::other("a character of it is cut")),
                },
                Some(_) => return Err(io::Error::other("a character of it is no byte")),
            };
        }
        Ok(buffer.len())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, damages, decoded, open, refusal, survives};
    use proptest::prelude::*;

    const PIXELS: usize = 3 * 32 * 32;

    fn pixels() -> Vec<u8> {
        (0..2 * PIXELS).map(|i| (i / 7) as u8).collect()
    }

    /// As the authors' Python 2 wrote `data_batch_1`, with byte strings as keys.
    fn original() -> Vec<u8> {
        let mut bytes = b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x15training batch 1 of 5q\x03U\x06labelsq\x04]q\x05(K\x06K\x09eU\x04dataq\x06".to_vec();
        bytes.extend(b"cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09");
        bytes.extend(b"(K\x01K\x02M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
        bytes.extend((2 * PIXELS as u32).to_le_bytes());
        bytes.extend(pixels());
        bytes.extend(b"tbU\tfilenamesq\x0c]q\x0d(U\x05a.pngq\x0eU\x05b.pngq\x0feu.");
        bytes
    }

    fn text(text: &str) -> Vec<u8> {
        [b"X".as_slice(), &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat()
    }

    /// The same as Python 3 writes it with protocol 2: bytes as text and a call that encodes it.
    fn second_protocol() -> Vec<u8> {
        let latin: String = pixels().into_iter().map(char::from).collect();
        let mut bytes = b"\x80\x02}q\x00(".to_vec();
        bytes.extend([text("labels"), b"q\x01]q\x02(K\x06K\x09e".to_vec(), text("data"), b"q\x03".to_vec()].concat());
        bytes.extend(
            b"cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85q\x06c_codecs\nencode\nq\x07",
        );
        bytes.extend(
            [text("b"), b"q\x08".to_vec(), text("latin1"), b"q\x09\x86q\x0aRq\x0b\x87q\x0cRq\x0d".to_vec()].concat(),
        );
        bytes.extend(
            [
                b"(K\x01K\x02M\x00\x0c\x86q\x0ecnumpy\ndtype\nq\x0f".to_vec(),
                text("u1"),
                b"q\x10\x89\x88\x87q\x11Rq\x12(K\x03".to_vec(),
            ]
            .concat(),
        );
        bytes.extend(
            [text("|"), b"q\x13NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x14b\x89h\x07".to_vec(), text(&latin)]
                .concat(),
        );
        bytes.extend(b"q\x15h\x09\x86q\x16Rq\x17tq\x18bu.");
        bytes
    }

    /// The same in protocol 5: a frame, globals by name from the stack, the array in one piece.
    fn fifth_protocol() -> Vec<u8> {
        let short = |text: &str| [&[0x8c, text.len() as u8], text.as_bytes(), &[0x94]].concat();
        let mut bytes = b"\x80\x05\x95\0\0\0\0\0\0\0\0}\x94(".to_vec();
        bytes.extend([short("labels"), b"]\x94(K\x06K\x09e".to_vec(), short("data")].concat());
        bytes.extend([short("numpy._core.numeric"), short("_frombuffer"), b"\x93\x94(\x96".to_vec()].concat());
        bytes.extend((2 * PIXELS as u64).to_le_bytes());
        bytes.extend(pixels());
        bytes.extend([b"\x94".to_vec(), short("numpy"), short("dtype"), b"\x93\x94".to_vec(), short("u1")].concat());
        bytes.extend(
            [
                b"\x89\x88\x87\x94R\x94(K\x03".to_vec(),
                short("|"),
                b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b".to_vec(),
            ]
            .concat(),
        );
        bytes.extend([b"K\x02M\x00\x0c\x86\x94".to_vec(), short("C"), b"t\x94R\x94u.".to_vec()].concat());
        bytes
    }

    fn names() -> Vec<u8> {
        b"\x80\x02}q\x01(U\x0blabel_namesq\x02]q\x03(U\x08airplaneq\x04U\x0aautomobileq\x05U\x04birdU\x03catU\x04deerU\x03dogU\x04frogU\x05horseU\x04shipU\x05truckeu.".to_vec()
    }

    #[test]
    fn every_protocol_gives_the_same_pictures() {
        for (bytes, protocol) in [(original(), "original"), (second_protocol(), "2"), (fifth_protocol(), "5")] {
            let place = tempfile::tempdir().unwrap();
            std::fs::write(place.path().join("data_batch_1"), bytes).unwrap();
            std::fs::write(place.path().join("batches.meta"), names()).unwrap();
            for path in [place.path().to_owned(), place.path().join("data_batch_1")] {
                let opened = open(&path).unwrap();
                let (names, of) = classes(&opened, 2);
                assert_eq!(
                    (names.len(), names[1].as_str(), of),
                    (10, "automobile", vec![Some(6), Some(9)]),
                    "{protocol}"
                );
                let (pixels, second) = (pixels(), decoded(&opened, 1));
                let planes = |i: usize| [PIXELS + i, PIXELS + 1024 + i, PIXELS + 2048 + i].map(|at| pixels[at]);
                assert_eq!(second.pixels()[..3], planes(0), "{protocol}");
                assert_eq!(second.pixels()[3 * 1023..], planes(1023), "{protocol}");
            }
        }
    }

    #[test]
    fn unknown_global_is_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data_batch_1");
        for (bytes, expected) in [
            (b"\x80\x02cposix\nsystem\nU\x02lsq\x01\x85R.".to_vec(), "posix.system"),
            (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.".to_vec(), "builtins.eval"),
            (b"\x80\x02c_codecs\nencode\nc_codecs\nencode\n\x85R.".to_vec(), "refused"),
            (b"\x80\x02}.".to_vec(), "data"),
            (b"\x80\x02(".to_vec(), "half copied"),
            (original()[..3000].to_vec(), "half copied"),
            (b"\x80\x02T\xff\xff\xff\xff".to_vec(), "half copied"),
            (b"\x80\x05\x8e\xff\xff\xff\xff\xff\xff\xff\xff".to_vec(), "half copied"),
            ([b"\x80\x02".to_vec(), vec![b']'; 5_000_000]].concat(), "instructions"),
            ([b"\x80\x02)".to_vec(), vec![0x85; 4_000_000], b".".to_vec()].concat(), "data"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let message = refusal(&path);
            assert!(message.contains("data_batch_1") && message.contains(expected), "{message}");
        }
        let mut bytes = original();
        let shape = bytes.windows(4).position(|four| four == b"K\x02M\x00").unwrap();
        bytes[shape + 1] = 3;
        std::fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains("needs 9216"), "{}", refusal(&path));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_pickle_is_refused_or_read(damage in damages()) {
            for bytes in [original(), second_protocol(), fifth_protocol()] {
                survives("data_batch_1.pkl", &bytes, &damage)?;
            }
        }

        #[test]
        fn random_instructions_are_refused_or_read(bytes in prop::collection::vec(
            prop::sample::select(b"\x80\x02\x04.N\x88\x89KMJGXTUBC(}])tld\x85\x86\x87aseu01qr\x94hjc\x93Rb\0\x01\n".to_vec()), 0..200)) {
            survives("data_batch_1.pkl", &[b"\x80\x02", bytes.as_slice()].concat(), &super::super::tests::Damage::Flip(vec![]))?;
        }
    }
}
