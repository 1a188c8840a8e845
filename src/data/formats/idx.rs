//! IDX, the format of MNIST and similar sets, plain or gzipped.

use std::io::{BufReader, Read};

use flate2::read::MultiGzDecoder;

use super::PictureSet;
use super::array::{ElementType, PictureArray, PictureArrays, PixelLayout};
use super::file_set::FileSet;
use super::file_slice::FileSlice;
use super::labels::LabelBuilder;
use crate::data::DataError;

const KIND: &str = "an IDX file";
/// Bytes before the pictures: magic number, count, rows, columns.
const HEADER: u64 = 16;
/// Bytes before the labels.
const LABEL_HEADER: u64 = 8;

/// Whether a file contains pictures, by its name.
pub(super) fn is_pictures(name: &str) -> bool {
    plain(name).contains("idx3-ubyte")
}

/// A name without `.gz`: a folder may have both variants.
fn plain(name: &str) -> &str {
    name.strip_suffix(".gz").unwrap_or(name)
}

/// Opens these picture files as one set, each with the label file beside it.
pub(super) fn open(file_set: &FileSet, names: &[&str]) -> Result<PictureSet, DataError> {
    let mut builder = LabelBuilder::default();
    let mut arrays = Vec::new();
    for name in names {
        // The uncompressed variant opens faster.
        if plain(name) != *name && names.contains(&plain(name)) {
            continue;
        }
        let Some(slice) = file_set.get(name)? else { continue };
        let array = pictures(&slice).map_err(|cause| slice.format_error(KIND, cause))?;
        let labels = plain(name).replace("images", "labels").replace("idx3", "idx1");
        let labels = match file_set.get(&labels)? {
            None => file_set.get(&format!("{labels}.gz"))?,
            found => found,
        };
        match labels.filter(|labels| plain(labels.file_name()) != plain(name)) {
            Some(slice) => {
                let labels = read_labels(&slice, array.count()).map_err(|cause| slice.format_error(KIND, cause))?;
                labels.into_iter().for_each(|label| builder.push_integer(label.into()));
            }
            None => builder.push_none(array.count()),
        }
        arrays.push(array);
    }
    Ok(PictureSet { pictures: Box::new(PictureArrays(arrays)), labels: builder.finish(), notes: Vec::new() })
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.iter().skip(at).take(4).fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// The header and the whole of a file, decompressed if necessary. `length` computes the file's length from its
/// header.
fn whole(
    slice: &FileSlice,
    header: u64,
    length: impl Fn(&[u8]) -> Result<u64, String>,
) -> Result<(Vec<u8>, FileSlice), String> {
    let packed = slice.bytes::<2>(0).is_ok_and(|two| two == [0x1f, 0x8b]);
    let unpacked = || MultiGzDecoder::new(BufReader::new(slice.reader()));
    let mut beginning = vec![0; header as usize];
    if packed {
        let read = unpacked().read_exact(&mut beginning);
        read.map_err(|e| format!("it cannot be unpacked ({e}); it is damaged or half copied"))?;
    } else {
        let read = slice.read(&mut beginning, 0);
        read.map_err(|_error| format!("it has {} bytes, fewer than its header needs", slice.length()))?;
    }
    let length = length(&beginning)?;
    if packed {
        slice.check_inflated_size(length)?;
        return Ok((beginning, slice.unpack(unpacked(), length)?));
    }
    Ok((beginning, slice.part(0, length)?))
}

fn pictures(slice: &FileSlice) -> Result<PictureArray, String> {
    let length = |header: &[u8]| {
        if number(header, 0) != 0x0803 {
            return Err(format!("it begins with {:02x?}; pictures begin with 00 00 08 03", &header[..4]));
        }
        let sides = [number(header, 4), number(header, 8), number(header, 12)];
        let bytes = sides.iter().try_fold(1u64, |bytes, &side| bytes.checked_mul(side));
        bytes.and_then(|bytes| bytes.checked_add(HEADER)).ok_or_else(|| format!("its header announces {sides:?} bytes"))
    };
    let (header, whole) = whole(slice, HEADER, length)?;
    let values = whole.part(HEADER, whole.length() - HEADER)?;
    let sides = [number(&header, 8), number(&header, 12), 1];
    PictureArray::new(
        plain(slice.file_name()),
        values,
        number(&header, 4),
        sides,
        PixelLayout::channels_last,
        ElementType::Byte,
    )
}

fn read_labels(slice: &FileSlice, count: u64) -> Result<Vec<u8>, String> {
    let length = |header: &[u8]| {
        if number(header, 0) != 0x0801 {
            return Err(format!("it begins with {:02x?}; labels begin with 00 00 08 01", &header[..4]));
        }
        match number(header, 4) {
            labels if labels == count => Ok(LABEL_HEADER + count),
            labels => Err(format!("it has {labels} labels for {count} pictures")),
        }
    };
    let (_, whole) = whole(slice, LABEL_HEADER, length)?;
    let mut labels = vec![0; count as usize];
    whole.read(&mut labels, LABEL_HEADER).map_err(|e| e.to_string())?;
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Damage, classes, damages, decoded, open, refusal, survives};
    use crate::image::Picture;
    use proptest::prelude::*;
    use std::io::Write;
    use std::path::Path;

    fn pictures(count: u32, height: u32, width: u32, values: &[u8]) -> Vec<u8> {
        [&[0, 0, 8, 3], &count.to_be_bytes()[..], &height.to_be_bytes(), &width.to_be_bytes(), values].concat()
    }

    fn labels(labels: &[u8]) -> Vec<u8> {
        [&[0, 0, 8, 1], &(labels.len() as u32).to_be_bytes()[..], labels].concat()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(bytes).unwrap();
        gz.finish().unwrap()
    }

    fn write(place: &Path, name: &str, bytes: &[u8]) {
        std::fs::write(place.join(name), bytes).unwrap();
    }

    #[test]
    fn pictures_are_read_with_labels_gzipped_or_not() {
        let place = tempfile::tempdir().unwrap();
        let train = pictures(2, 2, 3, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        write(place.path(), "train-images-idx3-ubyte", &train);
        write(place.path(), "train-images-idx3-ubyte.gz", &gz(&train));
        write(place.path(), "train-labels-idx1-ubyte.gz", &gz(&labels(&[7, 2])));
        write(place.path(), "t10k-images-idx3-ubyte.gz", &gz(&pictures(2, 2, 3, &[9; 12])));
        write(place.path(), "t10k-labels-idx1-ubyte", &labels(&[2, 7]));
        let opened = open(place.path()).unwrap();
        assert_eq!(classes(&opened, 2), (vec!["2".into(), "7".into()], vec![Some(1), Some(0)]));
        assert_eq!(decoded(&opened, 1), Picture::new(3, 2, 1, vec![7, 8, 9, 10, 11, 12]));
        assert_eq!(opened.pictures.name(1), "train-images-idx3-ubyte#1");
        let opened = open(&place.path().join("t10k")).unwrap();
        assert_eq!(classes(&opened, 2), (vec!["2".into(), "7".into()], vec![Some(0), Some(1)]));
        assert_eq!(decoded(&opened, 0), Picture::new(3, 2, 1, vec![9; 6]));
        for name in ["train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"] {
            let opened = open(&place.path().join(name)).unwrap();
            assert_eq!((opened.pictures.len(), opened.labels.class(0)), (Some(2), Some(1)), "{name}");
        }
        let alone = tempfile::tempdir().unwrap();
        write(alone.path(), "train-images.idx3-ubyte", &train);
        assert_eq!(classes(&open(alone.path()).unwrap(), 1), (vec![], vec![None]));
    }

    #[test]
    fn invalid_header_is_refused() {
        let place = tempfile::tempdir().unwrap();
        let name = "train-images-idx3-ubyte";
        for (bytes, expected) in [
            (Vec::new(), "0 bytes"),
            (pictures(3, 2, 2, &[0; 8]), "half copied"),
            (pictures(u32::MAX, u32::MAX, u32::MAX, &[0; 8]), "announces"),
            (pictures(1, u32::MAX, 1, &[0; 8]), "half copied"),
            (pictures(0, 2, 2, &[]), "0 pictures"),
            (labels(&[0; 20]), "begins with"),
            (gz(&pictures(900_000, 100, 100, &[0; 8])), "announces"),
            (gz(&pictures(90, 2, 2, &[0; 8])), "should unpack"),
            (gz(&[0; 3]), "cannot be unpacked"),
        ] {
            write(place.path(), name, &bytes);
            let message = refusal(&place.path().join(name));
            assert!(message.contains(name) && message.contains(expected), "{message}");
        }
        write(place.path(), name, &pictures(1, 1, 1, &[0]));
        write(place.path(), "train-labels-idx1-ubyte", &labels(&[1, 2]));
        assert!(refusal(&place.path().join(name)).contains("2 labels for 1 pictures"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn damaged_file_is_refused_or_read(damage in damages()) {
            let bytes = pictures(2, 4, 4, &[7; 32]);
            survives("a-images-idx3-ubyte", &bytes, &damage)?;
            survives("a-images-idx3-ubyte.gz", &gz(&bytes), &damage)?;
            survives("a-images-idx3-ubyte.gz", &gz(&bytes), &Damage::Cut(990))?;
        }
    }
}
