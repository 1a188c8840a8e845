//! The range of pixel values in sets with more than 8 bits per value: which are black and white.

use std::collections::BTreeMap;

use super::formats::{PictureData, PictureStore};
use crate::image::{Ranges, Samples, Spread, spread};

/// Pictures that are probed for more than 8 bits.
const PROBED: u64 = 8;
/// Pictures whose values are measured if there are some.
const SAMPLED: u64 = 64;

/// The ranges of a set, measured on pictures spread over it, and a note for each. Unreadable pictures are ignored.
pub(super) fn measure_ranges(pictures: &dyn PictureStore) -> (Ranges, Vec<String>) {
    let Some(length) = pictures.len() else { return Default::default() };
    let mut spreads: BTreeMap<Samples, (u64, Spread)> = BTreeMap::new();
    let mut sample = |index: u64| {
        let Ok(PictureData::Encoded(bytes)) = pictures.read(index, 0) else { return false };
        let Ok(Some((samples, spread))) = spread(&bytes) else { return false };
        let (count, all) = spreads.entry(samples).or_insert((0, Spread::NONE));
        (*count, *all) = (*count + 1, all.and(spread));
        true
    };
    let spread_out =
        |count: u64| (0..count).map(move |i| (u128::from(i) * u128::from(length) / u128::from(count)) as u64);
    let first: Vec<u64> = spread_out(length.min(PROBED)).collect();
    if first.iter().filter(|&&index| sample(index)).count() > 0 {
        spread_out(length.min(SAMPLED)).filter(|index| !first.contains(index)).for_each(|index| {
            sample(index);
        });
    }
    let mut ranges = Ranges::default();
    let mut notes = Vec::new();
    for (samples, (count, spread)) in spreads {
        let range = spread.range(samples);
        match samples {
            Samples::U8 => continue,
            Samples::U16 => ranges.words = Some(range),
            Samples::I16 => ranges.signed = Some(range),
            Samples::F32 => ranges.floats = Some(range),
        }
        let Spread { least, most } = spread;
        notes.push(format!("{samples} pictures: values from {least} to {most} in {count} of them, taken as {range}"));
    }
    (ranges, notes)
}

#[cfg(test)]
mod tests {
    use crate::data::{Dataset, Source};
    use crate::image::{PictureFormat, Samples};

    fn deep(values: [u16; 4]) -> image::DynamicImage {
        image::ImageBuffer::<image::Luma<u16>, _>::from_raw(2, 2, values.to_vec())
            .map(image::DynamicImage::ImageLuma16)
            .unwrap()
    }

    #[test]
    fn value_range_is_measured_over_the_whole_set() {
        let folder = tempfile::tempdir().unwrap();
        for (name, values) in [("0.png", [0, 100, 200, 255]), ("1.tif", [0, 0, 0, 3000]), ("2.png", [4095, 0, 0, 0])] {
            let picture = deep(values);
            // The crate writes no gray TIFF; one in color does as well.
            let picture = if name.ends_with("tif") { picture.into_rgb16().into() } else { picture };
            picture.save(folder.path().join(name)).unwrap();
        }
        image::GrayImage::from_pixel(2, 2, image::Luma([9])).save(folder.path().join("3.png")).unwrap();
        let dataset = Dataset::open(&Source::Path(folder.path().to_owned()), PictureFormat::new(2, 1), 1).unwrap();
        let (picture, treatment) = dataset.picture_with_treatment(0).unwrap();
        assert_eq!(picture.pixels(), [0, 6, 12, 16]);
        assert_eq!((treatment.samples, treatment.range.map(|range| range.white)), (Samples::U16, Some(4095.0)));
        assert_eq!(dataset.picture(1).unwrap().pixels()[3], 187);
        assert_eq!(
            (dataset.picture(3).unwrap().pixels()[0], dataset.picture_with_treatment(3).unwrap().1.range),
            (9, None)
        );
        assert_eq!(
            dataset.notes(),
            ["16-bit pictures: values from 0 to 4095 in 3 of them, taken as 0 (black) to 4095 (white)"]
        );
    }

    #[test]
    fn eight_bit_sets_have_no_notes() {
        let folder = tempfile::tempdir().unwrap();
        image::GrayImage::from_pixel(2, 2, image::Luma([9])).save(folder.path().join("0.png")).unwrap();
        std::fs::write(folder.path().join("1.png"), "no picture").unwrap();
        let dataset = Dataset::open(&Source::Path(folder.path().to_owned()), PictureFormat::new(2, 1), 1).unwrap();
        assert!(dataset.notes().is_empty(), "{:?}", dataset.notes());
    }
}
