//! [`GeneratorDiagnosis`]: whether a generator has collapsed or memorizes, from the search for nearest neighbors.

use serde::Serialize;

use super::birthday::BirthdayTest;
use super::neighbors::{NeighborReport, SpaceNeighbors};

/// A generator has collapsed if its number of distinct samples is at most this share of the samples ...
const COLLAPSED: f64 = 0.5;
/// ... and it has this many times as many near-duplicates as real images would.
const BEYOND_REAL: f64 = 8.0;
/// It memorizes if this share of samples has a training image as the nearest, of equally many training and held-out ones ...
const MEMORIZES: f64 = 0.65;
/// ... or if this share is nearer to a training image than any two real images are to each other.
const COPIES: f64 = 0.3;

/// Mode collapse and memorization of a generator.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GeneratorDiagnosis {
    /// Whether the generator has collapsed; `None` if the real images are all the same and give no threshold.
    pub collapsed: Option<bool>,
    /// Whether it memorizes; `None` if there are no held-out images and not enough copies.
    pub memorizes: Option<bool>,
    /// Share of samples that are nearer to a training image than any two real images to each other, by features.
    pub copies: f64,
    /// Both results as a sentence, with numbers and thresholds.
    pub text: String,
}

impl NeighborReport {
    /// Diagnoses mode collapse and memorization.
    pub fn diagnosis(&self) -> GeneratorDiagnosis {
        let samples = self.settings.samples;
        let spaces: Vec<&SpaceNeighbors> = self.spaces.iter().filter(|space| space.birthday.threshold > 0.0).collect();
        let fewest = spaces.iter().filter(|space| collapsed(&space.birthday, samples)).min_by(|a, b| {
            let distinct = |space: &SpaceNeighbors| space.birthday.distinct.unwrap_or(f64::INFINITY);
            distinct(a).total_cmp(&distinct(b))
        });
        let mut clauses = Vec::new();
        if let Some(space) = fewest {
            let distinct = space.birthday.distinct.unwrap_or(1.0).max(1.0);
            let noun = if distinct < 1.5 { "sample" } else { "samples" };
            clauses.push(format!(
                "about {distinct:.0} distinct {noun} among {samples}, by {}: the generator has collapsed",
                space.space.name()
            ));
        }
        // The last space is that of the features, which depend on content more than pixels do.
        let copies = self.spaces.last().map_or(0.0, copies);
        let share = self.spaces.last().and_then(|space| space.nearest_is_training).map(|training| training.share);
        let memorizes_by_share = share.is_some_and(|share| share.value >= MEMORIZES && share.low > 0.5);
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        if let Some(share) = share.filter(|_| memorizes_by_share) {
            clauses.push(format!(
                "{} of samples are nearest to training pictures, where 50 % is none: it memorizes",
                percent(share.value)
            ));
        } else if copies >= COPIES {
            clauses.push(format!(
                "{} of samples are nearer to a training picture than any two of these are to one another: it memorizes",
                percent(copies)
            ));
        }
        let memorizes = memorizes_by_share || copies >= COPIES;
        if fewest.is_none() && !spaces.is_empty() {
            let distinct = |birthday: &BirthdayTest| birthday.distinct.unwrap_or(birthday.at_least);
            let least = spaces.iter().map(|space| distinct(&space.birthday)).fold(f64::INFINITY, f64::min);
            clauses.push(format!(
                "no collapse is seen (about {least:.0} distinct samples or more; below {:.0} would be one)",
                samples as f64 * COLLAPSED
            ));
        } else if spaces.is_empty() {
            clauses.push("the real pictures are all the same, so a collapse cannot be detected".to_owned());
        }
        if !memorizes {
            clauses.push(match share {
                Some(share) => format!(
                    "no memorizing is seen ({} of samples are nearest to training pictures; from {} on it would be)",
                    percent(share.value),
                    percent(MEMORIZES)
                ),
                None => format!(
                    "no copies are seen ({} of samples; from {} on they would be), and whether it memorizes needs held-out \
                     pictures",
                    percent(copies),
                    percent(COPIES)
                ),
            });
        }
        let text = clauses.join("; ");
        let text = text[..1].to_uppercase() + &text[1..] + ".";
        GeneratorDiagnosis {
            collapsed: (!spaces.is_empty()).then_some(fewest.is_some()),
            memorizes: (memorizes || share.is_some()).then_some(memorizes),
            copies,
            text,
        }
    }
}

/// Whether there are few distinct samples, and far more near-duplicates than among real images, whose closest pair is the
/// threshold.
fn collapsed(birthday: &BirthdayTest, samples: usize) -> bool {
    let real_pairs = (birthday.real * birthday.real.saturating_sub(1) / 2).max(1);
    let expected = birthday.pairs as f64 / real_pairs as f64;
    birthday.at_most.is_some_and(|most| most < samples as f64 * COLLAPSED)
        && birthday.near_duplicates as f64 > BEYOND_REAL * expected
}

/// The share of samples that are nearer to a training image than the closest two real images to each other.
fn copies(space: &SpaceNeighbors) -> f64 {
    let nearest = space.nearest.iter().filter_map(|nearest| nearest.first());
    let hits = nearest.filter(|nearest| nearest.distance < space.birthday.threshold).count();
    hits as f64 / space.nearest.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::features::FeatureKind;
    use super::super::neighbors::{NearestSetShare, Neighbor, NeighborSettings};
    use super::super::statistics::{Estimate, Proportion};
    use super::*;

    /// A report of 100 samples with so many near-duplicates, copies, and a share that is nearest to training images.
    fn report(near_duplicates: usize, copies: usize, nearest: Option<f64>) -> NeighborReport {
        let birthday = BirthdayTest {
            pairs: 4950,
            near_duplicates,
            threshold: 1.0,
            real: 100,
            distinct: (near_duplicates > 0).then(|| 4950.0 / near_duplicates as f64),
            at_least: 4950.0 / (near_duplicates as f64 * 1.3 + 4.0),
            at_most: (near_duplicates > 0).then(|| 4950.0 / (near_duplicates as f64 * 0.8)),
            closest: Vec::new(),
        };
        let distance = |i| Neighbor { number: 0, distance: if i < copies { 0.5 } else { 2.0 } };
        let estimate = |value: f64| Estimate { value, low: value - 0.1, high: value + 0.1 };
        let space = SpaceNeighbors {
            space: FeatureKind::Pixels,
            nearest: (0..100).map(|i| vec![distance(i)]).collect(),
            nearest_is_training: nearest.map(|value| NearestSetShare { hits: 0, total: 100, share: estimate(value) }),
            nearer: None,
            suspicious: Proportion::default(),
            birthday,
        };
        NeighborReport {
            settings: NeighborSettings { samples: 100, count: 100, held_out: 100, seed: 1 },
            training: 100,
            compared: 100,
            held_out: nearest.is_some(),
            spaces: vec![space.clone(), space],
            samples: Vec::new(),
            skipped: Vec::new(),
        }
    }

    #[test]
    fn each_diagnosis_is_a_sentence_with_its_number() {
        let collapsed = report(550, 0, Some(0.5)).diagnosis();
        assert_eq!((collapsed.collapsed, collapsed.memorizes), (Some(true), Some(false)));
        assert!(collapsed.text.starts_with("About 9 distinct samples among 100"), "{}", collapsed.text);
        assert!(collapsed.text.contains("the generator has collapsed"));
        let memorizes = report(2, 0, Some(0.92)).diagnosis();
        assert_eq!((memorizes.collapsed, memorizes.memorizes), (Some(false), Some(true)));
        assert!(memorizes.text.starts_with("92 % of samples are nearest to training pictures"), "{}", memorizes.text);
        let copies = report(0, 80, None).diagnosis();
        assert_eq!(copies.memorizes, Some(true));
        assert!(copies.text.contains("80 % of samples are nearer"), "{}", copies.text);
    }

    #[test]
    fn absent_problems_are_named_with_their_threshold() {
        let healthy = report(2, 1, Some(0.55)).diagnosis();
        assert_eq!((healthy.collapsed, healthy.memorizes), (Some(false), Some(false)));
        assert!(
            healthy.text.contains("below 50 would be one") && healthy.text.contains("from 65 % on"),
            "{}",
            healthy.text
        );
        let unknown = report(2, 1, None).diagnosis();
        assert_eq!(unknown.memorizes, None);
        assert!(unknown.text.contains("needs held-out pictures"), "{}", unknown.text);
    }

    #[test]
    fn few_real_images_do_not_suggest_a_collapse() {
        // Eight real pictures have 28 pairs: of 4,950 pairs of samples 177 may be as close as the closest of them.
        let mut few = report(200, 0, None);
        few.spaces.iter_mut().for_each(|space| space.birthday.real = 8);
        assert_eq!(few.diagnosis().collapsed, Some(false));
    }
}
