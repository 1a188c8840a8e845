//! What is done to the pictures of a set: what is left out and why, and how those that are used are changed.
//!
//! What a listing leaves out is known of the whole set. What is done to pictures shows only when they are decoded, so some are
//! looked at: all of a small set, some spread evenly over a large one.

use std::fmt;

use rayon::prelude::*;

use super::dataset::{Dataset, Problem};
use super::formats::ClassesFrom;
use super::left_out::{LeftOut, Reason};
use crate::image::{Background, Fit, Picture, Preparation, Samples, Treatment};

/// Pictures that are looked at, at the most.
const MOST: u64 = 512;
/// Pixels of files after which no more are looked at: some thirty large photographs.
const MOST_PIXELS: u64 = 400_000_000;
/// Pictures that are looked at together; so many are looked at whatever they take.
const TOGETHER: usize = 32;
/// A share of the area that is much to lose.
const MUCH: f64 = 1.0 / 3.0;
/// Standard deviation of values of 0 to 255 up to which pictures show nothing.
const FLAT: f64 = 4.0;
/// Names of each reason that `run.toml` has.
const NAMES_KEPT: usize = 10;

/// How much of their area pictures lose.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Cropped {
    /// The mean share, from 0 to 1.
    pub mean: f64,
    /// The median share.
    pub median: f64,
    /// The largest share.
    pub most: f64,
    /// How many pictures lose more than a third.
    pub over_a_third: u64,
}

/// The classes of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Classes {
    /// How many.
    pub count: u64,
    /// Where they are from.
    pub from: ClassesFrom,
}

/// What is done to the pictures of a set. Counts are of the pictures that were looked at, but for `left_out`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Report {
    /// Pictures in the set; none where they never end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pictures: Option<u64>,
    /// How many of them were looked at.
    pub looked_at: u64,
    /// Laid on a background, since some of them is transparent.
    pub flattened: u64,
    /// The background.
    pub background: Background,
    /// Of these, how many show nothing on it.
    pub blank: u64,
    /// Of nearly one color each, blank ones too.
    pub flat: u64,
    /// Turned or mirrored as EXIF or XMP say.
    pub turned: u64,
    /// Enlarged to the networks' size, across or down.
    pub enlarged: u64,
    /// Squeezed to a square, since they are none.
    pub stretched: u64,
    /// Padded with black.
    pub padded: u64,
    /// Gray ones that become color.
    pub gray_to_color: u64,
    /// Color ones that become gray.
    pub color_to_gray: u64,
    /// Stored with more than 8 bits; the notes say which values became black and white.
    pub deep: u64,
    /// Standard deviation of all values, from 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deviation: Option<f64>,
    /// Whether all that were looked at show the same.
    pub all_alike: bool,
    /// What the set's reader guessed or left out, in words.
    pub notes: Vec<String>,
    /// The share of their area that is cut away; none where nothing is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cropped: Option<Cropped>,
    /// The classes, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    /// Files of the whole set that are left out.
    pub left_out: Vec<LeftOut>,
    /// Pictures that were looked at and cannot be used.
    pub unusable: Vec<LeftOut>,
}

/// What one picture says.
struct Seen {
    treatment: Treatment,
    /// Its values: how many, their sum, and that of their squares.
    sums: [f64; 3],
    /// Whether it is the first picture once more.
    like_first: bool,
}

impl Report {
    /// Looks at a set. `cancelled` is asked between groups of pictures; the report is then of those that were looked at.
    pub fn of(dataset: &Dataset, cancelled: &dyn Fn() -> bool) -> Self {
        let mut report = Self {
            pictures: dataset.len().map(|length| length as u64),
            background: dataset.format().preparation.background,
            notes: dataset.notes().to_vec(),
            left_out: dataset.left_out().to_vec(),
            ..Self::default()
        };
        let count = dataset.classes().len() as u64;
        report.classes = (count > 0).then(|| Classes { count, from: dataset.classes_from() });
        // What the program draws needs no look.
        let Some(length) = report.pictures else { return report };
        let sample = spread(length, length.min(MOST));
        let mut first: Option<Picture> = None;
        let (mut seen, mut problems): (Vec<Seen>, Vec<(Reason, Problem)>) = (Vec::new(), Vec::new());
        let mut pixels = 0;
        for group in sample.chunks(TOGETHER) {
            if cancelled() || pixels > MOST_PIXELS {
                break;
            }
            let looked: Vec<_> = group.par_iter().map(|&index| look(dataset, index)).collect();
            report.looked_at += looked.len() as u64;
            for found in looked {
                match found {
                    Ok((picture, treatment)) => {
                        let like_first = first.as_ref().is_none_or(|first| alike(first, &picture));
                        first.get_or_insert_with(|| picture.clone());
                        pixels += treatment.full.map(|side| side as u64).iter().product::<u64>();
                        seen.push(Seen { treatment, sums: sums(&picture), like_first });
                    }
                    Err((problem, None)) => problems.push((Reason::Unreadable, problem)),
                    Err((problem, Some(small))) => {
                        pixels += small;
                        problems.push((Reason::TooSmall, problem));
                    }
                }
            }
        }
        report.unusable = LeftOut::of_problems(problems);
        report.count(&seen, dataset);
        report
    }

    fn count(&mut self, seen: &[Seen], dataset: &Dataset) {
        let format = dataset.format();
        let Preparation { crop, fit, .. } = format.preparation;
        let count = |is: &dyn Fn(&Treatment) -> bool| seen.iter().filter(|seen| is(&seen.treatment)).count() as u64;
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
            seen.iter().filter(|s| s.treatment.flattened && deviation([&s.sums].into_iter()) <= FLAT).count() as u64;
        self.flat = seen.iter().filter(|seen| deviation([&seen.sums].into_iter()) <= FLAT).count() as u64;
        self.cropped = Cropped::of(seen.iter().map(|seen| seen.treatment.cropped).collect());
        self.deviation =
            (!seen.is_empty()).then(|| (deviation(seen.iter().map(|seen| &seen.sums)) * 100.0).round() / 100.0);
        self.all_alike = seen.len() > 1 && seen.iter().all(|seen| seen.like_first);
    }

    /// Whether nearly everything has one color.
    pub fn is_nearly_one_color(&self) -> bool {
        self.deviation.is_some_and(|deviation| deviation <= FLAT)
    }

    /// What somebody should know before the training starts, each in a sentence.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.is_nearly_one_color() {
            let deviation = self.deviation.unwrap_or_default();
            let why = if self.flattened > 0 {
                format!(
                    ": {} of {} pictures are transparent and laid on {}. {}",
                    self.flattened,
                    self.looked_at,
                    self.background,
                    self.other_background()
                )
            } else {
                ". Check that they are what you mean to learn from".to_owned()
            };
            found.push(format!("the pictures are nearly of one color (deviation {deviation:.1} of 255){why}"));
        } else if self.blank > 0 {
            found.push(format!(
                "{} of the {} transparent pictures show nothing on {}. {}",
                self.blank,
                self.flattened,
                self.background,
                self.other_background()
            ));
        } else if self.flat * 2 > self.looked_at {
            found.push(format!("{} of {} pictures have nearly one color each", self.flat, self.looked_at));
        } else if self.all_alike {
            found.push(format!("all {} pictures that were looked at are the same", self.looked_at));
        }
        found.extend(self.unusable.iter().map(|group| format!("{group}{}", self.among())));
        found.extend(self.left_out.iter().filter(|group| group.reason.is_warning()).map(ToString::to_string));
        found
    }

    fn other_background(&self) -> String {
        let other = if self.background == Background::WHITE { Background::BLACK } else { Background::WHITE };
        format!("Another background shows what is drawn: --background {other}")
    }

    /// Of how many counts are, where that is not all.
    fn among(&self) -> String {
        match self.is_whole() {
            true => String::new(),
            false => format!(" among the {} that were looked at", self.looked_at),
        }
    }

    /// Whether every picture was looked at.
    pub fn is_whole(&self) -> bool {
        self.pictures.is_none_or(|pictures| self.looked_at >= pictures)
    }

    /// What is done to the pictures, each in a sentence; nothing that [`Self::warnings`] say.
    pub fn facts(&self) -> Vec<String> {
        let mut found = Vec::new();
        if let Some(pictures) = self.pictures.filter(|_| !self.is_whole()) {
            found.push(format!("looked at {} of {pictures} pictures, spread over the set", self.looked_at));
        }
        let mut say = |count: u64, what: String| {
            if count > 0 {
                found.push(format!("{count} of {} pictures {what}", self.looked_at));
            }
        };
        say(self.flattened, format!("are transparent and laid on {} (--background)", self.background));
        say(self.turned, "are turned as their EXIF or XMP notes say".to_owned());
        say(self.deep, "have more than 8 bits a value".to_owned());
        say(self.gray_to_color, "are gray and become color".to_owned());
        say(self.color_to_gray, "are in color and become gray".to_owned());
        say(self.enlarged, "are smaller than the networks' size and enlarged".to_owned());
        say(self.stretched, "are squeezed to a square".to_owned());
        say(self.padded, "are padded with black".to_owned());
        if let Some(Cropped { mean, median, most, over_a_third }) = self.cropped {
            let [mean, median, most] = [mean, median, most].map(|share| format!("{:.0} %", share * 100.0));
            let mut line = format!("{mean} of the area is cropped away (median {median}, at most {most})");
            if over_a_third > 0 {
                line += &format!("; {over_a_third} of {} pictures lose more than a third", self.looked_at);
            }
            found.push(line);
        }
        if let Some(Classes { count, from }) = self.classes {
            found.push(format!("{count} classes from {from}"));
        }
        let quiet = |group: &&LeftOut| !group.reason.is_warning() && group.reason != Reason::Skipped;
        found.extend(self.left_out.iter().filter(quiet).map(ToString::to_string));
        found
    }

    /// The same with few names, for a file that people read.
    #[must_use]
    pub fn shortened(&self) -> Self {
        let short = |groups: &[LeftOut]| groups.iter().map(|group| group.shortened(NAMES_KEPT)).collect();
        Self { left_out: short(&self.left_out), unusable: short(&self.unusable), ..self.clone() }
    }
}

impl fmt::Display for Report {
    /// Warnings first, a line each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warnings = self.warnings().into_iter().map(|warning| format!("warning: {warning}"));
        let lines: Vec<String> = warnings.chain(self.facts()).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl Cropped {
    fn of(mut shares: Vec<f64>) -> Option<Self> {
        shares.sort_by(f64::total_cmp);
        let most = shares.last().copied().filter(|&most| most > 0.0005)?;
        Some(Self {
            mean: shares.iter().sum::<f64>() / shares.len() as f64,
            median: shares[shares.len() / 2],
            most,
            over_a_third: shares.iter().filter(|&&share| share > MUCH).count() as u64,
        })
    }
}

/// `count` of `length` numbers, spread evenly, in an order of which every beginning is spread as well.
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

/// The standard deviation of all values of some pictures.
fn deviation<'a>(sums: impl Iterator<Item = &'a [f64; 3]>) -> f64 {
    let [count, sum, squares] = sums.fold([0.0; 3], |all, one| [0, 1, 2].map(|i| all[i] + one[i]));
    let mean = sum / f64::max(count, 1.0);
    (squares / f64::max(count, 1.0) - mean * mean).max(0.0).sqrt()
}

/// Whether two prepared pictures differ by no more than rounding.
fn alike(a: &Picture, b: &Picture) -> bool {
    a.pixels().iter().zip(b.pixels()).all(|(a, b)| a.abs_diff(*b) <= 1)
}

/// Looks at a picture. Of one that cannot be used since it is smaller than the crop, the number of pixels is beside the problem.
fn look(dataset: &Dataset, index: u64) -> Result<(Picture, Treatment), (Problem, Option<u64>)> {
    dataset.examined(index).map_err(|problem| {
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

    fn report(folder: &Path, format: PictureFormat) -> Report {
        let dataset = Dataset::open(&Source::Folder(folder.to_owned()), format, 1).unwrap();
        Report::of(&dataset, &|| false)
    }

    /// White lines on a transparent ground.
    fn drawing(path: &Path, shade: u8) {
        let pixel = |x: u32, _| image::Rgba([shade, shade, shade, if x % 8 < 2 { 255 } else { 0 }]);
        image::RgbaImage::from_fn(32, 32, pixel).save(path).unwrap();
    }

    #[test]
    fn a_beginning_of_a_sample_is_spread_like_the_whole() {
        assert_eq!(spread(8, 8), [0, 4, 2, 6, 1, 5, 3, 7]);
        assert_eq!(spread(1000, 4), [0, 500, 250, 750]);
        assert_eq!((spread(1, 1), spread(0, 0)), (vec![0], vec![]));
        let mut all = spread(513, 513);
        all.sort_unstable();
        assert_eq!(all, (0..513).collect::<Vec<_>>());
    }

    #[test]
    fn white_drawings_on_white_are_warned_of_until_the_background_is_another() {
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
        // One that is lost among others that are seen.
        drawing(&folder.path().join("dark.png"), 0);
        let mixed = report(folder.path(), PictureFormat::new(16, 3));
        assert!(mixed.warnings()[0].starts_with("4 of the 5 transparent pictures show nothing on white"), "{mixed}");
    }

    #[test]
    fn what_is_done_to_pictures_is_counted() {
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
        assert_eq!((found.pictures, found.looked_at, found.is_whole()), (Some(5), 5, true));
        assert_eq!((found.enlarged, found.gray_to_color, found.color_to_gray), (1, 1, 0));
        let cropped = found.cropped.unwrap();
        assert_eq!((cropped.most, cropped.median, cropped.over_a_third), (0.5, 0.0, 1));
        assert_eq!(found.classes, Some(Classes { count: 2, from: ClassesFrom::Folders }));
        let warnings = found.warnings();
        assert!(warnings[0].starts_with("1 picture cannot be read (b/broken.png): "), "{warnings:?}");
        assert!(warnings[1].starts_with("1 HEIC file left out"), "{warnings:?}");
        assert!(found.facts().iter().any(|fact| fact == "1 other file left out (.txt)"), "{found}");
        assert!(found.facts().iter().any(|fact| fact == "2 classes from its folders"), "{found}");

        let preparation = Preparation { crop: Some(12), ..Preparation::default() };
        let cropped = report(folder.path(), PictureFormat { preparation, ..format });
        let reasons: Vec<_> = cropped.unusable.iter().map(|group| (group.reason, group.names.clone())).collect();
        let name = |name: &str| vec![name.to_owned()];
        assert_eq!(reasons, [(Reason::Unreadable, name("b/broken.png")), (Reason::TooSmall, name("b/small.png"))]);
        let preparation = Preparation { fit: Fit::Pad, ..Preparation::default() };
        let padded = report(folder.path(), PictureFormat { preparation, channels: 1, ..format });
        assert_eq!((padded.padded, padded.cropped, padded.color_to_gray), (1, None, 3));

        // It is read as it is written.
        let toml = toml::to_string(&found.shortened()).unwrap();
        assert_eq!(toml::from_str::<Report>(&toml).unwrap(), found, "{toml}");
        let stopped =
            Report::of(&Dataset::open(&Source::Folder(folder.path().to_owned()), format, 1).unwrap(), &|| true);
        assert_eq!((stopped.looked_at, stopped.left_out.len()), (0, 2));
    }

    #[test]
    fn pictures_that_are_all_the_same_are_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..3 {
            let picture = Picture::new(16, 16, 1, (0..256).map(|i| i as u8).collect());
            picture.write_png(&folder.path().join(format!("{i}.png"))).unwrap();
        }
        assert_eq!(
            report(folder.path(), PictureFormat::new(16, 1)).warnings(),
            ["all 3 pictures that were looked at are the same"]
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
