//! Vector arithmetic on concepts, A - B + C, and its score (section 6.3.2, figure 7).
//!
//! A triple has a target and a base attribute, with two values each. A has the first target value and the first base value, B the
//! second target value and the first base value, C the second of both: "smiling woman - neutral woman + neutral man". The result
//! should have the first target value and the second base value: a smiling man.
//!
//! Exemplars are samples whose two attributes the classifier is confident of. Their other attributes are left to chance, as they
//! are for a person who picks three smiling women. Exemplars are never selected by their result.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::attributes::{Attribute, FaceAttributes};
use crate::evaluate::statistics::Proportion;

/// Two attributes and the values of the three concepts A, B and C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Concepts {
    /// The attribute to transfer.
    pub target: Attribute,
    /// The target value of A, and of a successful result.
    #[serde(rename = "wanted")]
    pub target_to: usize,
    /// The target value of B and C.
    #[serde(rename = "without")]
    pub target_from: usize,
    /// The attribute that differs between C and the other two.
    pub base: Attribute,
    /// The base value of A and B.
    #[serde(rename = "here")]
    pub base_from: usize,
    /// The base value of C, and of a successful result.
    #[serde(rename = "there")]
    pub base_to: usize,
}

impl Concepts {
    /// As a formula: `smile, no beard - no smile, no beard + no smile, beard`.
    pub fn name(&self) -> String {
        let concept =
            |target: usize, base: usize| format!("{}, {}", self.target.values()[target], self.base.values()[base]);
        let [a, b, c] = self.values().map(|(target, base)| concept(target, base));
        format!("{a} - {b} + {c}")
    }

    /// The target and base value of A, B and C.
    fn values(&self) -> [(usize, usize); 3] {
        [(self.target_to, self.base_from), (self.target_from, self.base_from), (self.target_from, self.base_to)]
    }

    fn holds(&self, sample: &FaceAttributes, target: usize, base: usize) -> bool {
        sample.confident_value(self.target) == Some(target) && sample.confident_value(self.base) == Some(base)
    }

    /// The indices of the samples that are confident exemplars of A, B and C.
    fn exemplars(&self, samples: &[FaceAttributes]) -> [Vec<usize>; 3] {
        self.values()
            .map(|(target, base)| (0..samples.len()).filter(|&i| self.holds(&samples[i], target, base)).collect())
    }
}

/// Concepts and their exemplars.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Triple {
    /// The concepts.
    pub concepts: Concepts,
    /// Indices of the exemplars of A, B and C, equally many of each.
    pub samples: [Vec<usize>; 3],
}

/// Selects triples with so many `exemplars` per concept, from each pair of attributes in turn that has enough. Fewer than `count`,
/// or none, if there is no such pair.
pub fn select(samples: &[FaceAttributes], count: usize, exemplars: usize, seed: u64) -> Vec<Triple> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pairs = all_candidates(samples, exemplars);
    let mut triples = Vec::with_capacity(count);
    while triples.len() < count && !pairs.is_empty() {
        pairs.shuffle(&mut rng);
        for candidates in pairs.iter().take(count - triples.len()) {
            let (concepts, all) = &candidates[rng.random_range(0..candidates.len())];
            let samples = all.each_ref().map(|numbers| numbers.sample(&mut rng, exemplars).copied().collect());
            triples.push(Triple { concepts: *concepts, samples });
        }
    }
    triples
}

/// The number of ordered pairs of attributes, at most thirty, with enough exemplars of some values.
pub fn pairs(samples: &[FaceAttributes], exemplars: usize) -> usize {
    all_candidates(samples, exemplars).len()
}

/// Concepts and all their exemplars.
type TripleCandidate = (Concepts, [Vec<usize>; 3]);

fn all_candidates(samples: &[FaceAttributes], exemplars: usize) -> Vec<Vec<TripleCandidate>> {
    let pairs = Attribute::ALL.iter().flat_map(|&target| Attribute::ALL.map(|base| (target, base)));
    pairs
        .filter(|(target, base)| target != base)
        .map(|(target, base)| candidates(samples, exemplars, target, base))
        .filter(|candidates| !candidates.is_empty())
        .collect()
}

/// The candidates of a pair of attributes that have at least so many exemplars per concept.
fn candidates(
    samples: &[FaceAttributes],
    exemplars: usize,
    target: Attribute,
    base: Attribute,
) -> Vec<TripleCandidate> {
    let ordered = |attribute: Attribute| {
        let values = 0..attribute.values().len();
        values.clone().flat_map(move |a| values.clone().map(move |b| (a, b))).filter(|(a, b)| a != b)
    };
    ordered(target)
        .flat_map(|targets| ordered(base).map(move |bases| (targets, bases)))
        .map(|((target_to, target_from), (base_from, base_to))| Concepts {
            target,
            target_to,
            target_from,
            base,
            base_from,
            base_to,
        })
        .map(|concepts| (concepts, concepts.exemplars(samples)))
        .filter(|(_, all)| all.iter().all(|numbers| numbers.len() >= exemplars))
        .collect()
}

/// The value that a result must have of each attribute: the target's, C's base value, and values that are confident in all
/// exemplars of C. `None` for attributes that are free.
pub fn expected(triple: &Triple, samples: &[FaceAttributes]) -> [Option<usize>; 6] {
    let Triple { concepts, samples: [_, _, c] } = triple;
    Attribute::ALL.map(|attribute| match attribute {
        _ if attribute == concepts.target => Some(concepts.target_to),
        _ if attribute == concepts.base => Some(concepts.base_to),
        _ => {
            let first = samples[c[0]].confident_value(attribute)?;
            c.iter().all(|&i| samples[i].confident_value(attribute) == Some(first)).then_some(first)
        }
    })
}

/// Whether a result has the expected attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TripleOutcome {
    /// Whether each attribute has the expected value; `None` if it is free.
    #[serde(rename = "met")]
    pub as_expected: [Option<bool>; 6],
    /// Whether the target has the expected value.
    pub obtained: bool,
    /// Whether all others do.
    pub kept: bool,
}

impl TripleOutcome {
    /// Compares a result's attributes with the expected ones. The most probable value counts, confident or not.
    pub fn new(target: Attribute, expected: &[Option<usize>; 6], result: &FaceAttributes) -> Self {
        let as_expected =
            Attribute::ALL.map(|attribute| expected[attribute.index()].map(|value| result.value(attribute) == value));
        let kept = Attribute::ALL.iter().all(|&other| other == target || as_expected[other.index()] != Some(false));
        Self { as_expected, obtained: as_expected[target.index()] == Some(true), kept }
    }

    /// Whether the target was obtained and the others kept.
    pub fn success(&self) -> bool {
        self.obtained && self.kept
    }
}

/// The outcomes of one arithmetic space, counted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OutcomeCounts {
    /// Results with the expected target value.
    pub obtained: Proportion,
    /// Results with all other expected values.
    pub kept: Proportion,
    /// Results with both.
    pub success: Proportion,
    /// By attribute, in the order of [`Attribute::ALL`].
    pub by_attribute: Vec<AttributeOutcomes>,
}

/// How often an attribute has the expected value.
#[derive(Debug, Clone, Serialize)]
pub struct AttributeOutcomes {
    /// The attribute.
    pub attribute: Attribute,
    /// As the target.
    pub obtained: Proportion,
    /// As the base.
    pub base: Proportion,
    /// As another attribute that C's exemplars agree in.
    pub other: Proportion,
}

impl OutcomeCounts {
    /// Counts the outcomes of triples.
    pub fn new<'a>(outcomes: impl IntoIterator<Item = (&'a Concepts, &'a TripleOutcome)>) -> Self {
        let none = |attribute| AttributeOutcomes {
            attribute,
            obtained: Proportion::default(),
            base: Proportion::default(),
            other: Proportion::default(),
        };
        let mut counts = Self { by_attribute: Attribute::ALL.map(none).to_vec(), ..Self::default() };
        for (concepts, outcome) in outcomes {
            counts.obtained.count(outcome.obtained);
            counts.kept.count(outcome.kept);
            counts.success.count(outcome.success());
            for of in &mut counts.by_attribute {
                let Some(hit) = outcome.as_expected[of.attribute.index()] else { continue };
                let proportion = match of.attribute {
                    attribute if attribute == concepts.target => &mut of.obtained,
                    attribute if attribute == concepts.base => &mut of.base,
                    _ => &mut of.other,
                };
                proportion.count(hit);
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attributes that are all confident.
    fn confident(values: [usize; 6]) -> FaceAttributes {
        FaceAttributes { values, confident: [true; 6], skin: 0.0, turn: 0.0 }
    }

    fn smile_on_beard() -> Concepts {
        Concepts {
            target: Attribute::Smile,
            target_to: 1,
            target_from: 0,
            base: Attribute::Beard,
            base_from: 0,
            base_to: 1,
        }
    }

    /// All combinations of values, a few times.
    fn all_combinations() -> Vec<FaceAttributes> {
        let mut all = Vec::new();
        for i in 0..192 * 4 {
            all.push(confident([i % 2, i / 2 % 2, i / 4 % 2, i / 8 % 6, i / 48 % 2, i / 96 % 2]));
        }
        all
    }

    #[test]
    fn expected_values_are_the_target_the_base_and_those_common_to_c() {
        let mut samples = vec![confident([0; 6]); 6];
        samples.push(confident([0, 1, 1, 2, 0, 1]));
        samples.push(confident([0, 1, 1, 3, 0, 1]));
        samples.push(confident([0, 1, 1, 2, 0, 1]));
        samples[8].confident[5] = false;
        let triple = Triple { concepts: smile_on_beard(), samples: [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]] };
        let expected = expected(&triple, &samples);
        // Hair differs, and the turn of one is not confident: both are free.
        assert_eq!(expected, [Some(1), Some(1), Some(1), None, Some(0), None]);

        let outcome = |values| TripleOutcome::new(Attribute::Smile, &expected, &confident(values));
        assert!(outcome([1, 1, 1, 0, 0, 0]).success());
        let lost = outcome([0, 1, 1, 0, 0, 0]);
        assert!(!lost.obtained && lost.kept && !lost.success());
        let shaved = outcome([1, 1, 0, 0, 0, 0]);
        assert!(shaved.obtained && !shaved.kept && !shaved.success());
        let dark = outcome([1, 1, 1, 0, 1, 0]);
        assert!(dark.obtained && !dark.kept);
        assert_eq!(dark.as_expected, [Some(true), Some(true), Some(true), None, Some(false), None]);

        let concepts = smile_on_beard();
        let outcomes = [outcome([1, 1, 1, 0, 0, 0]), lost, shaved, dark];
        let counts = OutcomeCounts::new(outcomes.iter().map(|outcome| (&concepts, outcome)));
        assert_eq!((counts.obtained.hits, counts.kept.hits, counts.success.hits), (3, 2, 1));
        let of = |attribute: Attribute| &counts.by_attribute[attribute.index()];
        assert_eq!(of(Attribute::Smile).obtained, Proportion { hits: 3, total: 4 });
        assert_eq!(of(Attribute::Beard).base, Proportion { hits: 3, total: 4 });
        assert_eq!(of(Attribute::Skin).other, Proportion { hits: 3, total: 4 });
        assert_eq!(of(Attribute::Hair).other, Proportion::default());
    }

    #[test]
    fn exemplars_are_confident_and_all_pairs_of_attributes_take_turns() {
        let mut samples = all_combinations();
        for sample in samples.iter_mut().step_by(3) {
            sample.confident = [false; 6];
        }
        let triples = select(&samples, 65, 4, 3);
        assert_eq!(triples.len(), 65);
        for Triple { concepts, samples: [a, b, c] } in &triples {
            assert_ne!(concepts.target, concepts.base);
            for (numbers, target, base) in [
                (a, concepts.target_to, concepts.base_from),
                (b, concepts.target_from, concepts.base_from),
                (c, concepts.target_from, concepts.base_to),
            ] {
                assert!(numbers.iter().all(|&i| concepts.holds(&samples[i], target, base)));
                let mut distinct = numbers.clone();
                distinct.sort_unstable();
                distinct.dedup();
                assert_eq!(distinct.len(), 4);
            }
        }
        let pair = |triple: &Triple| (triple.concepts.target as usize, triple.concepts.base as usize);
        let mut pairs: Vec<_> = triples[..30].iter().map(pair).collect();
        pairs.sort_unstable();
        pairs.dedup();
        assert_eq!(pairs.len(), 30, "the first thirty are all ordered pairs of six attributes");
        assert_eq!(super::pairs(&samples, 4), 30);
        assert_eq!(super::pairs(&samples, 400), 0, "no value has so many exemplars");
        assert_eq!(triples, select(&samples, 65, 4, 3));
        assert_ne!(triples, select(&samples, 65, 4, 4));
    }

    #[test]
    fn without_confident_samples_there_are_no_triples() {
        let mut samples = all_combinations();
        for sample in &mut samples {
            sample.confident = [false; 6];
        }
        assert!(select(&samples, 10, 3, 1).is_empty());
        assert!(select(&[], 10, 3, 1).is_empty());
    }

    #[test]
    fn concepts_are_named_by_a_formula() {
        assert_eq!(smile_on_beard().name(), "smile, no beard - no smile, no beard + no smile, beard");
    }
}
