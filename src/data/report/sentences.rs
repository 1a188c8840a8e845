//! A [`DatasetReport`] in sentences.

use std::fmt;

use super::{ClassSummary, CropStats, DatasetReport};
use crate::data::skipped::{SkipReason, SkippedGroup};
use crate::image::Background;

impl DatasetReport {
    /// What the user should know before training starts, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.is_nearly_one_color() {
            let deviation = self.deviation.unwrap_or_default();
            let why = if self.flattened > 0 {
                format!(
                    ": {} of {} pictures are transparent and laid on {}. {}",
                    self.flattened,
                    self.examined,
                    self.background,
                    self.other_background()
                )
            } else {
                ". Check that these are the intended training images".to_owned()
            };
            warnings.push(format!("the pictures are nearly of one color (deviation {deviation:.1} of 255){why}"));
        } else if self.blank > 0 {
            warnings.push(format!(
                "{} of the {} transparent pictures show nothing on {}. {}",
                self.blank,
                self.flattened,
                self.background,
                self.other_background()
            ));
        } else if self.flat * 2 > self.examined {
            warnings.push(format!("{} of {} pictures have nearly one color each", self.flat, self.examined));
        } else if self.all_alike {
            warnings.push(format!("all {} examined pictures are identical", self.examined));
        }
        warnings.extend(self.unusable.iter().map(|group| format!("{group}{}", self.of_examined())));
        warnings.extend(self.skipped.iter().filter(|group| group.reason.is_warning()).map(ToString::to_string));
        warnings
    }

    fn other_background(&self) -> String {
        let other = if self.background == Background::WHITE { Background::BLACK } else { Background::WHITE };
        format!("Choose another background: --background {other}")
    }

    /// Names the sample that a count refers to, if it is not the whole set.
    fn of_examined(&self) -> String {
        match self.is_whole() {
            true => String::new(),
            false => format!(" among the {} examined pictures", self.examined),
        }
    }

    /// What is done to the pictures, one sentence each, without [`Self::warnings`].
    pub fn facts(&self) -> Vec<String> {
        let mut facts = Vec::new();
        if let Some(pictures) = self.pictures.filter(|_| !self.is_whole()) {
            facts.push(format!("examined {} of {pictures} pictures, spread over the set", self.examined));
        }
        let mut say = |count: u64, what: String| {
            if count > 0 {
                facts.push(format!("{count} of {} pictures {what}", self.examined));
            }
        };
        say(self.flattened, format!("are transparent and laid on {} (--background)", self.background));
        say(self.turned, "are rotated according to EXIF or XMP".to_owned());
        say(self.deep, "have more than 8 bits per value".to_owned());
        say(self.gray_to_color, "are converted from gray to color".to_owned());
        say(self.color_to_gray, "are converted from color to gray".to_owned());
        say(self.enlarged, "are enlarged to the networks' size".to_owned());
        say(self.stretched, "are stretched to a square".to_owned());
        say(self.padded, "are padded with black".to_owned());
        if let Some(CropStats { mean, median, most, over_a_third }) = self.cropped {
            let [mean, median, most] = [mean, median, most].map(|share| format!("{:.0} %", share * 100.0));
            let mut line = format!("{mean} of the area is cropped away (median {median}, at most {most})");
            if over_a_third > 0 {
                line += &format!("; {over_a_third} of {} pictures lose more than a third", self.examined);
            }
            facts.push(line);
        }
        if let Some(ClassSummary { count, from }) = self.classes {
            facts.push(format!("{count} classes from {from}"));
        }
        let quiet = |group: &&SkippedGroup| !group.reason.is_warning() && group.reason != SkipReason::Skipped;
        facts.extend(self.skipped.iter().filter(quiet).map(ToString::to_string));
        facts
    }
}

impl fmt::Display for DatasetReport {
    /// One line each, warnings first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let warnings = self.warnings().into_iter().map(|warning| format!("warning: {warning}"));
        let lines: Vec<String> = warnings.chain(self.facts()).collect();
        f.write_str(&lines.join("\n"))
    }
}
