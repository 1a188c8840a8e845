//! CIFAR-10 and CIFAR-100 as their authors give them to Python programs, and the down-sampled ImageNet that took over
//! their layout: a pickled dictionary of an array `[n, 3 * side * side]` and a list of labels.

use std::io::{self, BufReader, Read};

use super::Opened;
use super::array::{Array, Arrays, Element, Shape};
use super::labels::Gather;
use super::pickle::{Numbers, Pickle, Value};
use super::shelf::Shelf;
use super::slice::Slice;
use crate::data::DataError;

const KIND: &str = "a pickled CIFAR batch";
/// Where labels are, the finer ones first.
const LABELS: [&str; 2] = ["fine_labels", "labels"];

/// Whether a file of a folder or archive is a batch by its name.
pub(super) fn is_batch(name: &str) -> bool {
    matches!(name, "train" | "test" | "test_batch" | "val_data")
        || name.starts_with("data_batch_") && !name.contains('.')
        || name.starts_with("train_data_batch_") && !name.contains('.')
}

/// Opens the batches called `names`.
pub(super) fn open(shelf: &Shelf, names: &[&str]) -> Result<Opened, DataError> {
    let mut gather = Gather::default();
    let mut arrays = Vec::new();
    let mut last = None;
    for slice in names.iter().filter_map(|name| shelf.get(name).transpose()) {
        let slice = slice?;
        arrays.push(batch(&slice, &mut gather).map_err(|cause| slice.damaged(KIND, cause))?);
        last = Some(slice);
    }
    let Some(last) = last else { return Err(DataError::Empty { path: names.join(", ").into() }) };
    let labels = gather.named(class_names(shelf)?).map_err(|cause| last.damaged(KIND, cause))?;
    Ok(Opened { pictures: Box::new(Arrays(arrays)), labels, notes: Vec::new() })
}

/// The names in the file that comes with the batches; none where it is missing.
fn class_names(shelf: &Shelf) -> Result<Vec<String>, DataError> {
    for (file, key) in [("batches.meta", "label_names"), ("meta", "fine_label_names")] {
        if let Some(slice) = shelf.get(file)? {
            let pickle = Pickle::read(&slice).map_err(|cause| slice.damaged("a list of class names", cause))?;
            let names = pickle.get(key).and_then(|names| pickle.list(names)).unwrap_or_default();
            return Ok(names.iter().filter_map(|&name| pickle.text(name)).collect());
        }
    }
    Ok(Vec::new())
}

fn batch(slice: &Slice, gather: &mut Gather) -> Result<Array, String> {
    let pickle = Pickle::read(slice)?;
    let data = pickle.get("data").ok_or("it has no entry \"data\"")?;
    let data = pickle.array(data).ok_or("its \"data\" is no array of numbers")?;
    let (count, side) = match (&data.shape[..], data.element.as_str()) {
        (&[count, width], "u1") => match (width / 3).isqrt() {
            side if side > 0 && side.checked_mul(3 * side) == Some(width) => (count, side),
            _ => return Err(format!("its pictures have {width} values, which are no red, green and blue square")),
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
    let array = Array::new(name, values, count, [side, side, 3], Shape::channels_first, Element::Byte)?;
    match LABELS.iter().find_map(|key| pickle.get(key)) {
        None => gather.push_none(count),
        Some(labels) => {
            let labels = read_labels(slice, &pickle, labels, count)?;
            if labels.len() as u64 != count {
                return Err(format!("it has {} labels for {count} pictures", labels.len()));
            }
            labels.into_iter().for_each(|label| gather.push_number(label));
        }
    }
    Ok(array)
}

/// The `bytes` bytes of an array: where they lie, or unpacked where Python wrote them as text.
fn values(slice: &Slice, values: Value, bytes: u64) -> Result<Slice, String> {
    match values {
        Value::Bytes(region) if region.length == bytes => slice.part(region.start, region.length),
        Value::Bytes(region) => Err(format!("its array has {} bytes where its shape needs {bytes}", region.length)),
        Value::Latin(region) if region.length >= bytes && region.length / 2 <= bytes => {
            let text = slice.part(region.start, region.length)?;
            text.unpack(FromLatin(BufReader::new(text.reader())), bytes)
        }
        _ => Err("its array has no values, or fewer than its shape needs".to_owned()),
    }
}

fn read_labels(slice: &Slice, pickle: &Pickle, labels: Value, count: u64) -> Result<Vec<i64>, String> {
    if let Some(list) = pickle.list(labels) {
        let label = |value: &Value| match value {
            Value::Int(label) => Ok(*label),
            _ => Err("one of its labels is no number".to_owned()),
        };
        return list.iter().map(label).collect();
    }
    let Some(Numbers { shape, element, values: place }) = pickle.array(labels) else {
        return Err("its labels are neither a list nor an array".to_owned());
    };
    let size = match element.as_str() {
        "u1" | "i1" => 1,
        "i4" | "u4" => 4,
        "i8" | "u8" => 8,
        _ => return Err(format!("its labels are {element}; integers are read")),
    };
    if shape.iter().try_fold(1, |product: u64, &side| product.checked_mul(side)) != Some(count) {
        return Err(format!("its labels have shape {shape:?} for {count} pictures"));
    }
    let labels = values(slice, *place, count * size)?;
    let mut bytes = vec![0; labels.length() as usize];
    labels.read(&mut bytes, 0).map_err(|e| e.to_string())?;
    // Labels are small and positive: the rest of a wider number is nothing.
    let label = |bytes: &[u8]| bytes.iter().rev().fold(0, |label, &byte| label << 8 | i64::from(byte));
    Ok(bytes.chunks_exact(size as usize).map(label).collect())
}

/// Bytes from text that has a character for each.
struct FromLatin<R>(R);

impl<R: Read> FromLatin<R> {
    fn byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        match self.0.read(&mut byte)? {
            0 => Ok(None),
            _ => Ok(Some(byte[0])),
        }
    }
}

impl<R: Read> Read for FromLatin<R> {
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

    /// Two pictures, which count up.
    fn pixels() -> Vec<u8> {
        (0..2 * PIXELS).map(|i| (i / 7) as u8).collect()
    }

    /// As the authors' Python 2 wrote `data_batch_1`: texts are its own strings.
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

    /// As Python 3 writes the same with protocol 2: bytes are text, a character each, that is to be encoded.
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

    /// As protocol 5 writes it: a frame, names on the stack, the array in one piece.
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
    fn an_unknown_global_is_refused_by_name() {
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
        // A shape that needs more than the file has.
        let mut bytes = original();
        let shape = bytes.windows(4).position(|four| four == b"K\x02M\x00").unwrap();
        bytes[shape + 1] = 3;
        std::fs::write(&path, bytes).unwrap();
        assert!(refusal(&path).contains("needs 9216"), "{}", refusal(&path));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_damaged_pickle_is_refused_or_read(damage in damages()) {
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
