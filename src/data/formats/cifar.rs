//! CIFAR-10 and CIFAR-100, binary version: records of one or two labels and a picture.

use std::io::{BufReader, Read};

use super::array::{ElementType, PictureArray, PictureArrays, PixelLayout};
use super::file_set::FileSet;
use super::file_slice::FileSlice;
use super::labels::LabelBuilder;
use super::{PictureSet, class_names};
use crate::data::DataError;

const KIND: &str = "a CIFAR batch";
const SIDE: u64 = 32;
const PIXELS: u64 = 3 * SIDE * SIDE;

/// Whether a file is a batch, by its name.
pub(super) fn is_batch(name: &str) -> bool {
    let stem = name.strip_suffix(".bin").unwrap_or_default();
    matches!(stem, "train" | "test" | "test_batch") || stem.starts_with("data_batch_")
}

/// Opens these batches as one set.
pub(super) fn open(file_set: &FileSet, names: &[&str]) -> Result<PictureSet, DataError> {
    let mut builder = LabelBuilder::default();
    let (mut arrays, mut most_labels) = (Vec::new(), 0);
    let mut last = None;
    for slice in names.iter().filter_map(|name| file_set.get(name).transpose()) {
        let slice = slice?;
        let (array, labels) = batch(&slice, &mut builder).map_err(|cause| slice.format_error(KIND, cause))?;
        arrays.push(array);
        most_labels = most_labels.max(labels);
        last = Some(slice);
    }
    let Some(last) = last else { return Err(DataError::Empty { path: names.join(", ").into() }) };
    let names = match most_labels {
        1 => class_names::lines(file_set, "batches.meta.txt")?,
        _ => class_names::lines(file_set, "fine_label_names.txt")?,
    };
    let labels = builder.finish_with_names(names).map_err(|cause| last.format_error(KIND, cause))?;
    Ok(PictureSet { pictures: Box::new(PictureArrays(arrays)), labels, notes: Vec::new() })
}

/// The pictures of one file, and the labels per record: one in CIFAR-10; coarse and fine in CIFAR-100.
fn batch(slice: &FileSlice, builder: &mut LabelBuilder) -> Result<(PictureArray, u64), String> {
    let length = slice.length();
    let fits = |labels: &u64| length > 0 && length.is_multiple_of(PIXELS + labels);
    // If the length fits both, labels above 9 exclude CIFAR-10.
    let labels = [1, 2].into_iter().filter(fits).find(|&labels| read_labels(slice, labels).is_ok());
    let labels = labels.ok_or_else(|| match [1, 2].iter().find(|labels| fits(labels)) {
        Some(&labels) => read_labels(slice, labels).err().unwrap_or_default(),
        None => format!(
            "its {length} bytes are not a multiple of {} (CIFAR-10) or {} (CIFAR-100); it may be only half copied",
            PIXELS + 1,
            PIXELS + 2
        ),
    })?;
    read_labels(slice, labels)?.into_iter().for_each(|label| builder.push_integer(label.into()));
    let count = length / (PIXELS + labels);
    let array = PictureArray::new(
        slice.file_name(),
        slice.clone(),
        count,
        [SIDE, SIDE, 3],
        PixelLayout::channels_first,
        ElementType::Byte,
    )?;
    Ok((array.records(labels)?, labels))
}

fn read_labels(slice: &FileSlice, per_record: u64) -> Result<Vec<u8>, String> {
    let classes = if per_record == 1 { 10 } else { 100 };
    let mut reader = BufReader::with_capacity(1 << 16, slice.reader());
    let mut record = vec![0; (PIXELS + per_record) as usize];
    let mut labels = Vec::new();
    for number in 0..slice.length() / (PIXELS + per_record) {
        reader.read_exact(&mut record).map_err(|e| e.to_string())?;
        let label = record[per_record as usize - 1];
        if label >= classes {
            return Err(format!(
                "its picture {number} has label {label}, where labels are below {classes}; it is damaged or not a CIFAR batch"
            ));
        }
        labels.push(label);
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{classes, damages, decoded, open, refusal, survives};
    use super::*;
    use proptest::prelude::*;

    /// A record whose picture is red in its first pixel, green in its second and blue in its third.
    fn record(labels: &[u8]) -> Vec<u8> {
        let mut pixels = vec![0; PIXELS as usize];
        (pixels[0], pixels[1024 + 1], pixels[2048 + 2]) = (255, 254, 253);
        [labels, &pixels].concat()
    }

    #[test]
    fn both_splits_are_read_with_class_names() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("data_batch_2.bin"), [record(&[1]), record(&[0])].concat()).unwrap();
        std::fs::write(place.path().join("test_batch.bin"), record(&[1])).unwrap();
        std::fs::write(place.path().join("batches.meta.txt"), "airplane\nautomobile\n\n").unwrap();
        std::fs::write(place.path().join("readme.html"), "no batch").unwrap();
        let opened = open(place.path()).unwrap();
        let names = vec!["airplane".to_owned(), "automobile".into()];
        assert_eq!(classes(&opened, 2), (names.clone(), vec![Some(1), Some(0)]));
        assert_eq!(decoded(&opened, 1).pixels()[..12], [255, 0, 0, 0, 254, 0, 0, 0, 253, 0, 0, 0]);
        assert_eq!(opened.pictures.name(1), "data_batch_2.bin#1");
        assert!(opened.notes[0].contains("test_batch.bin"), "{:?}", opened.notes);
        for (test, notes) in [("test_batch.bin", 1), ("test", 0)] {
            let alone = open(&place.path().join(test)).unwrap();
            assert_eq!((classes(&alone, 1), alone.notes.len()), ((names.clone(), vec![Some(1)]), notes), "{test}");
        }
        assert!(refusal(&place.path().join("validation")).contains("validation"));

        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("train.bin"), [record(&[9, 99]), record(&[3, 7])].concat()).unwrap();
        let opened = open(place.path()).unwrap();
        assert_eq!(classes(&opened, 2), (vec!["7".into(), "99".into()], vec![Some(1), Some(0)]));
        assert_eq!(decoded(&opened, 1).pixels()[..3], [255, 0, 0]);
    }

    #[test]
    fn archive_of_batches_opens_like_their_folder() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("cifar-10-binary.tar.gz");
        let gz = flate2::write::GzEncoder::new(std::fs::File::create(&path).unwrap(), flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        let names = b"cat\ndog\n".to_vec();
        let batches =
            [("data_batch_1.bin", record(&[1])), ("test_batch.bin", record(&[0])), ("batches.meta.txt", names)];
        for (name, bytes) in batches {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, format!("cifar-10-batches-bin/{name}"), bytes.as_slice()).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap();
        let opened = open(&path).unwrap();
        assert_eq!(classes(&opened, 1), (vec!["cat".into(), "dog".into()], vec![Some(1)]));
        assert_eq!(decoded(&opened, 0).pixels()[..3], [255, 0, 0]);
        let test = open(&path.join("cifar-10-batches-bin/test")).unwrap();
        assert_eq!(classes(&test, 1), (vec!["cat".into(), "dog".into()], vec![Some(0)]));
        assert!(refusal(&path.join("cifar-10-batches-bin/validation")).contains("no pictures"));
    }

    #[test]
    fn invalid_batch_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("data_batch_1.bin");
        for (bytes, expected) in [
            (Vec::new(), "0 bytes"),
            (record(&[1])[..900].to_vec(), "half copied"),
            ([record(&[1]), record(&[10])].concat(), "picture 1 has label 10"),
            (record(&[1, 100]), "label 100"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let message = refusal(&path);
            assert!(message.contains("data_batch_1.bin") && message.contains(expected), "{message}");
        }
        std::fs::write(&path, record(&[7])).unwrap();
        std::fs::write(place.path().join("batches.meta.txt"), "airplane\nautomobile\n").unwrap();
        assert!(refusal(&path).contains("label 7"), "a label without a name");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        #[test]
        fn damaged_batch_is_refused_or_read(damage in damages()) {
            survives("data_batch_1.bin", &[record(&[1]), record(&[0])].concat(), &damage)?;
        }
    }
}
