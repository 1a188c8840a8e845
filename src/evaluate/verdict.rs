//! The sentence that a search for neighbours ends with: whether the generator has collapsed, and whether it memorizes.

use serde::Serialize;

use super::birthday::Birthday;
use super::neighbours::{InSpace, Report};

/// A generator has collapsed where it has at most so many distinct samples, as a share of those that were drawn ...
const COLLAPSED: f64 = 0.5;
/// ... and so many times more pairs that are alike than real pictures would have.
const BEYOND_REAL: f64 = 8.0;
/// It memorizes where this share of samples, of as many training and held-out pictures, is nearest to a training one, ...
const MEMORIZES: f64 = 0.65;
/// ... or where this share is nearer to a training picture than any two of these are to one another.
const COPIES: f64 = 0.3;

/// What a report comes to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether the generator has collapsed; none where the real pictures are no measure.
    pub collapsed: Option<bool>,
    /// Whether it memorizes; none where nothing was held out and no copies show it.
    pub memorizes: Option<bool>,
    /// The share of samples that are nearer to a training picture than any two real ones to one another, by features.
    pub copies: f64,
    /// Both, with their numbers and thresholds.
    pub text: String,
}

impl Report {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        let samples = self.settings.samples;
        let measured: Vec<&InSpace> = self.spaces.iter().filter(|space| space.birthday.limit > 0.0).collect();
        let fewest = measured.iter().filter(|space| collapsed(&space.birthday, samples)).min_by(|a, b| {
            let distinct = |space: &InSpace| space.birthday.distinct.unwrap_or(f64::INFINITY);
            distinct(a).total_cmp(&distinct(b))
        });
        let mut said = Vec::new();
        if let Some(space) = fewest {
            let distinct = space.birthday.distinct.unwrap_or(1.0).max(1.0);
            let noun = if distinct < 1.5 { "sample" } else { "samples" };
            said.push(format!(
                "about {distinct:.0} distinct {noun} among {samples}, by {}: the generator has collapsed",
                space.space.name()
            ));
        }
        // Features are the last space; the discriminator's see what pictures show.
        let copies = self.spaces.last().map_or(0.0, copies);
        let sides = self.spaces.last().and_then(|space| space.sides);
        let nearest = sides.map(|sides| sides.share.value);
        let by_sides = sides.is_some_and(|sides| sides.share.value >= MEMORIZES && sides.share.low > 0.5);
        let percent = |share: f64| format!("{:.0} %", share * 100.0);
        if let Some(nearest) = nearest.filter(|_| by_sides) {
            said.push(format!(
                "{} of samples are nearest to training pictures, where 50 % is none: it memorizes",
                percent(nearest)
            ));
        } else if copies >= COPIES {
            said.push(format!(
                "{} of samples are nearer to a training picture than any two of these are to one another: it memorizes",
                percent(copies)
            ));
        }
        let memorizes = by_sides || copies >= COPIES;
        if fewest.is_none() && !measured.is_empty() {
            let distinct = |birthday: &Birthday| birthday.distinct.unwrap_or(birthday.at_least);
            let least = measured.iter().map(|space| distinct(&space.birthday)).fold(f64::INFINITY, f64::min);
            said.push(format!(
                "no collapse is seen (about {least:.0} distinct samples or more; below {:.0} would be one)",
                samples as f64 * COLLAPSED
            ));
        } else if measured.is_empty() {
            said.push("the real pictures are all the same, so a collapse cannot be told".to_owned());
        }
        if !memorizes {
            said.push(match nearest {
                Some(nearest) => format!(
                    "no memorizing is seen ({} of samples are nearest to training pictures; from {} on it would be)",
                    percent(nearest),
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
        let text = said.join("; ");
        let text = text[..1].to_uppercase() + &text[1..] + ".";
        Verdict {
            collapsed: (!measured.is_empty()).then_some(fewest.is_some()),
            memorizes: (memorizes || nearest.is_some()).then_some(memorizes),
            copies,
            text,
        }
    }
}

/// Whether pairs are alike so often that there are few distinct samples, and far more often than among real pictures, of which the
/// closest pair is the limit.
fn collapsed(birthday: &Birthday, samples: usize) -> bool {
    let real_pairs = (birthday.real * birthday.real.saturating_sub(1) / 2).max(1);
    let expected = birthday.pairs as f64 / real_pairs as f64;
    birthday.at_most.is_some_and(|most| most < samples as f64 * COLLAPSED)
        && birthday.alike as f64 > BEYOND_REAL * expected
}

/// The share of samples that are nearer to a training picture than the closest two real pictures are to one another.
fn copies(space: &InSpace) -> f64 {
    let near = space.nearest.iter().filter_map(|nearest| nearest.first());
    let hits = near.filter(|nearest| nearest.distance < space.birthday.limit).count();
    hits as f64 / space.nearest.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::features::Kind;
    use super::super::neighbours::{Nearest, Settings, Sides};
    use super::super::statistics::{Estimate, Share};
    use super::*;

    /// A report of 100 samples: pairs that are alike, samples that are copies, and the share that is nearest to training pictures.
    fn report(alike: usize, copied: usize, nearest: Option<f64>) -> Report {
        let birthday = Birthday {
            pairs: 4950,
            alike,
            limit: 1.0,
            real: 100,
            distinct: (alike > 0).then(|| 4950.0 / alike as f64),
            at_least: 4950.0 / (alike as f64 * 1.3 + 4.0),
            at_most: (alike > 0).then(|| 4950.0 / (alike as f64 * 0.8)),
            closest: Vec::new(),
        };
        let distance = |i| Nearest { number: 0, distance: if i < copied { 0.5 } else { 2.0 } };
        let estimate = |value: f64| Estimate { value, low: value - 0.1, high: value + 0.1 };
        let space = InSpace {
            space: Kind::Pixels,
            nearest: (0..100).map(|i| vec![distance(i)]).collect(),
            sides: nearest.map(|value| Sides { hits: 0, of: 100, share: estimate(value) }),
            nearer: None,
            suspicious: Share::default(),
            birthday,
        };
        Report {
            settings: Settings { samples: 100, count: 100, held: 100, seed: 1 },
            training: 100,
            held: 100,
            held_out: nearest.is_some(),
            spaces: vec![space.clone(), space],
            samples: Vec::new(),
            skipped: Vec::new(),
        }
    }

    #[test]
    fn each_verdict_is_a_sentence_with_its_number() {
        let collapsed = report(550, 0, Some(0.5)).verdict();
        assert_eq!((collapsed.collapsed, collapsed.memorizes), (Some(true), Some(false)));
        assert!(collapsed.text.starts_with("About 9 distinct samples among 100"), "{}", collapsed.text);
        assert!(collapsed.text.contains("the generator has collapsed"));
        let memorizes = report(2, 0, Some(0.92)).verdict();
        assert_eq!((memorizes.collapsed, memorizes.memorizes), (Some(false), Some(true)));
        assert!(memorizes.text.starts_with("92 % of samples are nearest to training pictures"), "{}", memorizes.text);
        let copies = report(0, 80, None).verdict();
        assert_eq!(copies.memorizes, Some(true));
        assert!(copies.text.contains("80 % of samples are nearer"), "{}", copies.text);
    }

    #[test]
    fn what_is_not_seen_is_said_with_its_threshold() {
        let healthy = report(2, 1, Some(0.55)).verdict();
        assert_eq!((healthy.collapsed, healthy.memorizes), (Some(false), Some(false)));
        assert!(
            healthy.text.contains("below 50 would be one") && healthy.text.contains("from 65 % on"),
            "{}",
            healthy.text
        );
        let unknown = report(2, 1, None).verdict();
        assert_eq!(unknown.memorizes, None);
        assert!(unknown.text.contains("needs held-out pictures"), "{}", unknown.text);
    }

    #[test]
    fn few_real_pictures_are_no_sign_of_a_collapse() {
        // Eight real pictures have 28 pairs: of 4,950 pairs of samples 177 may be as close as the closest of them.
        let mut few = report(200, 0, None);
        few.spaces.iter_mut().for_each(|space| space.birthday.real = 8);
        assert_eq!(few.verdict().collapsed, Some(false));
    }
}
