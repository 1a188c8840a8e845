//! A report on a data set: what is skipped and why, and how the pictures are changed.
//!
//! The skipped files are known for the whole set. What happens to a picture is known only after decoding it, so a
//! sample is examined: all pictures of a small set, evenly spread ones of a large set.

mod sentences;

use rayon::prelude::*;

use super::dataset::Dataset;
use super::error::Problem;
use super::formats::ClassSource;
use super::skipped::{SkipReason, SkippedGroup};
use crate::image::{Background, Fit, Picture, Preparation, Samples, Treatment};

/// Pictures to examine at most.
const MAX_EXAMINED: u64 = 512;
/// File pixels after which no more pictures are examined: about thirty large photographs.
const MAX_PIXELS: u64 = 400_000_000;
/// Pictures to examine in parallel; at least so many are examined, whatever it takes.
const GROUP: usize = 32;
/// Cropping more of the area than this is reported.
const LARGE_CROP: f64 = 1.0 / 3.0;
/// A picture with a smaller standard deviation (of values 0 to 255) counts as a single color.
const FLAT: f64 = 4.0;
/// Names per reason in `run.toml`.
const MAX_NAMES: usize = 10;

/// How much of the pictures' area is cropped away.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct CropStats {
    /// Mean share, 0 to 1.
    pub mean: f64,
    /// Median share.
    pub median: f64,
    /// Largest share.
    pub most: f64,
    /// Number of pictures that lose more than a third.
    pub over_a_third: u64,
}

/// The classes of a set, summarized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ClassSummary {
    /// Number of classes.
    pub count: u64,
    /// Origin of the labels.
    pub from: ClassSource,
}

/// A report on a data set. Counts refer to the examined pictures, except for `skipped`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct DatasetReport {
    /// Number of pictures; `None` for endless data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<u64>,
    /// Number of examined pictures.
    #[serde(rename = "looked_at")]
    pub examined: u64,
    /// Pictures with transparency, composited on the background.
    pub flattened: u64,
    /// The background color.
    pub background: Background,
    /// Transparent pictures that are a single color on that background.
    pub blank: u64,
    /// Pictures of nearly a single color, including blank ones.
    pub flat: u64,
    /// Pictures rotated or mirrored according to EXIF or XMP.
    pub turned: u64,
    /// Pictures enlarged in width or height.
    pub enlarged: u64,
    /// Pictures stretched to a square.
    pub stretched: u64,
    /// Pictures padded with black.
    pub padded: u64,
    /// Gray pictures converted to color.
    pub gray_to_color: u64,
    /// Color pictures converted to gray.
    pub color_to_gray: u64,
    /// Pictures with more than 8 bits per value; the notes name the values of black and white.
    pub deep: u64,
    /// Standard deviation of all values, 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
    /// Whether all examined pictures are identical.
    pub all_alike: bool,
    /// Assumptions and findings of opening the set.
    pub notes: Vec<String>,
    /// How much is cropped away; `None` if nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cropped: Option<CropStats>,
    /// The classes, if there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassSummary>,
    /// Skipped files of the whole set.
    #[serde(rename = "left_out")]
    pub skipped: Vec<SkippedGroup>,
    /// Examined pictures that cannot be used.
    pub unusable: Vec<SkippedGroup>,
}

/// Measurements of one picture.
struct PictureStats {
    treatment: Treatment,
    /// Of its values: count, sum, and sum of squares.
    sums: [f64; 3],
    /// Whether it equals the first examined picture.
    like_first: bool,
}

impl DatasetReport {
    /// Examines a set. Stops early if `cancelled` returns true, which is checked between groups of pictures.
    pub fn examine(dataset: &Dataset, cancelled: &dyn Fn() -> bool) -> Self {
        let mut report = Self {
            pictures: dataset.len().map(|length| length as u64),
            background: dataset.format().preparation.background,
            notes: dataset.notes().to_vec(),
            skipped: dataset.skipped().to_vec(),
            ..Self::default()
        };
        let count = dataset.classes().len() as u64;
        report.classes = (count > 0).then(|| ClassSummary { count, from: dataset.classes_from() });
        // Synthetic pictures need no examination.
        let Some(length) = report.pictures else { return report };
        let sample = spread(length, length.min(MAX_EXAMINED));
        let mut first: Option<Picture> = None;
        let (mut stats, mut problems): (Vec<PictureStats>, Vec<(SkipReason, Problem)>) = (Vec::new(), Vec::new());
        let mut pixels = 0;
        for group in sample.chunks(GROUP) {
            if cancelled() || pixels > MAX_PIXELS {
                break;
            }
            let results: Vec<_> = group.par_iter().map(|&index| examine_picture(dataset, index)).collect();
            report.examined += results.len() as u64;
            for result in results {
                match result {
                    Ok((picture, treatment)) => {
                        let like_first = first.as_ref().is_none_or(|first| nearly_equal(first, &picture));
                        first.get_or_insert_with(|| picture.clone());
                        pixels += treatment.full.map(|side| side as u64).iter().product::<u64>();
                        stats.push(PictureStats { treatment, sums: sums(&picture), like_first });
                    }
                    Err((problem, None)) => problems.push((SkipReason::Unreadable, problem)),
                    Err((problem, Some(small))) => {
                        pixels += small;
                        problems.push((SkipReason::TooSmall, problem));
                    }
                }
            }
        }
        report.unusable = SkippedGroup::of_problems(problems);
        report.count(&stats, dataset);
        report
    }

    fn count(&mut self, stats: &[PictureStats], dataset: &Dataset) {
        let format = dataset.format();
        let Preparation { crop, fit, .. } = format.preparation;
        let count = |is: &dyn Fn(&Treatment) -> bool| stats.iter().filter(|one| is(&one.treatment)).count() as u64;
        self.flattened = count(&|t| t.flattened);
        self.turned = count(&|t| t.turned);
        self.enlarged = count(&|t| t.enlarged);
        self.deep = count(&|t| t.samples != Samples::U8);
        self.gray_to_color = count(&|t| t.channels < format.channels);
        self.color_to_gray = count(&|t| t.channels > format.channels);
        self.stretched = count(&|t| fit == Fit::Stretch && t.full[0] != t.full[1]);
        let beyond = |[width, height]: [usize; 2]| match crop {
            Some(side) => width.min(height) < side,
            None => width != height,
        };
        self.padded = count(&|t| fit == Fit::Pad && beyond(t.full));
        self.blank =
            stats.iter().filter(|one| one.treatment.flattened && deviation([&one.sums].into_iter()) <= FLAT).count()
                as u64;
        self.flat = stats.iter().filter(|one| deviation([&one.sums].into_iter()) <= FLAT).count() as u64;
        self.cropped = CropStats::of(stats.iter().map(|one| one.treatment.cropped).collect());
        self.deviation =
            (!stats.is_empty()).then(|| (deviation(stats.iter().map(|one| &one.sums)) * 100.0).round() / 100.0);
        self.all_alike = stats.len() > 1 && stats.iter().all(|one| one.like_first);
    }

    /// Whether all pictures have nearly the same single color.
    pub fn is_nearly_one_color(&self) -> bool {
        self.deviation.is_some_and(|deviation| deviation <= FLAT)
    }

    /// Whether every picture was examined.
    pub fn is_whole(&self) -> bool {
        self.pictures.is_none_or(|pictures| self.examined >= pictures)
    }

    /// A copy with few names, for a file that people read.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let short = |groups: &[SkippedGroup]| groups.iter().map(|group| group.shortened(MAX_NAMES)).collect();
        Self { skipped: short(&self.skipped), unusable: short(&self.unusable), ..self.clone() }
    }
}

impl CropStats {
    fn of(mut shares: Vec<f64>) -> Option<Self> {
        shares.sort_by(f64::total_cmp);
        let most = shares.last().copied().filter(|&most| most > 0.0005)?;
        Some(Self {
            mean: shares.iter().sum::<f64>() / shares.len() as f64,
            median: shares[shares.len() / 2],
            most,
            over_a_third: shares.iter().filter(|&&share| share > LARGE_CROP).count() as u64,
        })
    }
}

/// `count` indices, evenly spread over `length`, ordered so that every prefix is spread evenly as well.
fn spread(length: u64, count: u64) -> Vec<u64> {
    let bits = u64::BITS - count.saturating_sub(1).leading_zeros();
    let mut order: Vec<u64> = (0..count).collect();
    order.sort_by_key(|&i| i.reverse_bits() >> (u64::BITS - bits.max(1)));
    order.into_iter().map(|i| (u128::from(i) * u128::from(length) / u128::from(count)) as u64).collect()
}

fn sums(picture: &Picture) -> [f64; 3] {
    picture.pixels().iter().fold([0.0; 3], |[count, sum, squares], &value| {
        let value = f64::from(value);
        [count + 1.0, sum + value, squares + value * value]
    })
}

/// Standard deviation of the values of all these pictures.
fn deviation<'a>(sums: impl Iterator<Item = &'a [f64; 3]>) -> f64 {
    let [count, sum, squares] = sums.fold([0.0; 3], |all, one| [0, 1, 2].map(|i| all[i] + one[i]));
    let mean = sum / f64::max(count, 1.0);
    (squares / f64::max(count, 1.0) - mean * mean).max(0.0).sqrt()
}

/// Whether two prepared pictures are equal up to rounding.
fn nearly_equal(a: &Picture, b: &Picture) -> bool {
    a.pixels().iter().zip(b.pixels()).all(|(a, b)| a.abs_diff(*b) <= 1)
}

/// Prepares a picture. If it is smaller than the crop, the error includes its number of pixels.
fn examine_picture(dataset: &Dataset, index: u64) -> Result<(Picture, Treatment), (Problem, Option<u64>)> {
    dataset.picture_with_treatment(index).map_err(|problem| {
        let format = dataset.format();
        let whole = format.preparation.crop.and_then(|_| dataset.original(index).ok());
        let small = whole.map(|whole| [whole.width(), whole.height()]);
        let small = small.filter(|sides| format.preparation.frame(*sides, format.size).is_err());
        (problem, small.map(|[width, height]| (width * height) as u64))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::PictureFormat;
    use std::path::Path;

    fn report(folder: &Path, format: PictureFormat) -> DatasetReport {
        let dataset = Dataset::open(&Source::Path(folder.to_owned()), format, 1).unwrap();
        DatasetReport::examine(&dataset, &|| false)
    }

    /// White lines on transparency.
    fn drawing(path: &Path, shade: u8) {
        let pixel = |x: u32, _| image::Rgba([shade, shade, shade, if x % 8 < 2 { 255 } else { 0 }]);
        image::RgbaImage::from_fn(32, 32, pixel).save(path).unwrap();
    }

    #[test]
    fn every_prefix_of_a_sample_is_spread_evenly() {
        assert_eq!(spread(8, 8), [0, 4, 2, 6, 1, 5, 3, 7]);
        assert_eq!(spread(1000, 4), [0, 500, 250, 750]);
        assert_eq!((spread(1, 1), spread(0, 0)), (vec![0], vec![]));
        let mut all = spread(513, 513);
        all.sort_unstable();
        assert_eq!(all, (0..513).collect::<Vec<_>>());
    }

    #[test]
    fn white_drawings_on_white_cause_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        (0..4).for_each(|i| drawing(&folder.path().join(format!("{i}.png")), 255 - i));
        let white = report(folder.path(), PictureFormat::new(16, 3));
        assert_eq!((white.flattened, white.blank, white.background), (4, 4, Background::WHITE));
        assert!(white.is_nearly_one_color());
        let warnings = white.warnings();
        assert!(warnings[0].contains("laid on white") && warnings[0].contains("--background black"), "{warnings:?}");
        let preparation = Preparation { background: Background::BLACK, ..Preparation::default() };
        let black = report(folder.path(), PictureFormat { preparation, ..PictureFormat::new(16, 3) });
        assert_eq!((black.flattened, black.blank, black.warnings().len()), (4, 0, 0), "{black}");
        assert!(black.facts()[0].contains("laid on black"), "{black}");
        // One blank picture among visible ones.
        drawing(&folder.path().join("dark.png"), 0);
        let mixed = report(folder.path(), PictureFormat::new(16, 3));
        assert!(mixed.warnings()[0].starts_with("4 of the 5 transparent pictures show nothing on white"), "{mixed}");
    }

    #[test]
    fn treatments_of_pictures_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, picture: Picture| picture.write_png(&folder.path().join(name)).unwrap();
        let shades = |count: usize| (0..count).map(|i| (i * 7) as u8).collect::<Vec<_>>();
        save("a/wide.png", Picture::new(40, 20, 3, shades(40 * 20 * 3)));
        save("a/square.png", Picture::new(20, 20, 3, shades(20 * 20 * 3)));
        save("b/gray.png", Picture::new(20, 20, 1, shades(400)));
        save("b/small.png", Picture::new(8, 8, 3, shades(8 * 8 * 3)));
        std::fs::write(folder.path().join("b/broken.png"), "text").unwrap();
        std::fs::write(folder.path().join("b/photo.heic"), "").unwrap();
        std::fs::write(folder.path().join("b/notes.txt"), "").unwrap();
        let format = PictureFormat::new(16, 3);
        let found = report(folder.path(), format);
        assert_eq!((found.pictures, found.examined, found.is_whole()), (Some(5), 5, true));
        assert_eq!((found.enlarged, found.gray_to_color, found.color_to_gray), (1, 1, 0));
        let cropped = found.cropped.unwrap();
        assert_eq!((cropped.most, cropped.median, cropped.over_a_third), (0.5, 0.0, 1));
        assert_eq!(found.classes, Some(ClassSummary { count: 2, from: ClassSource::Folders }));
        let warnings = found.warnings();
        assert!(warnings[0].starts_with("1 picture cannot be read (b/broken.png): "), "{warnings:?}");
        assert!(warnings[1].starts_with("1 HEIC file left out"), "{warnings:?}");
        assert!(found.facts().iter().any(|fact| fact == "1 other file left out (.txt)"), "{found}");
        assert!(found.facts().iter().any(|fact| fact == "2 classes from its folders"), "{found}");

        let preparation = Preparation { crop: Some(12), ..Preparation::default() };
        let cropped = report(folder.path(), PictureFormat { preparation, ..format });
        let reasons: Vec<_> = cropped.unusable.iter().map(|group| (group.reason, group.names.clone())).collect();
        let name = |name: &str| vec![name.to_owned()];
        assert_eq!(
            reasons,
            [(SkipReason::Unreadable, name("b/broken.png")), (SkipReason::TooSmall, name("b/small.png"))]
        );
        let preparation = Preparation { fit: Fit::Pad, ..Preparation::default() };
        let padded = report(folder.path(), PictureFormat { preparation, channels: 1, ..format });
        assert_eq!((padded.padded, padded.cropped, padded.color_to_gray), (1, None, 3));

        // Round trip.
        let toml = toml::to_string(&found.shortened()).unwrap();
        assert_eq!(toml::from_str::<DatasetReport>(&toml).unwrap(), found, "{toml}");
        let stopped = DatasetReport::examine(
            &Dataset::open(&Source::Path(folder.path().to_owned()), format, 1).unwrap(),
            &|| true,
        );
        assert_eq!((stopped.examined, stopped.skipped.len()), (0, 2));
    }

    #[test]
    fn identical_pictures_cause_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..3 {
            let picture = Picture::new(16, 16, 1, (0..256).map(|i| i as u8).collect());
            picture.write_png(&folder.path().join(format!("{i}.png"))).unwrap();
        }
        assert_eq!(
            report(folder.path(), PictureFormat::new(16, 1)).warnings(),
            ["all 3 examined pictures are identical"]
        );
        for i in 0..4 {
            Picture::new(16, 16, 1, vec![i * 60; 256]).write_png(&folder.path().join(format!("flat/{i}.png"))).unwrap();
        }
        assert_eq!(
            report(folder.path(), PictureFormat::new(16, 1)).warnings(),
            ["4 of 7 pictures have nearly one color each"]
        );
    }
}
