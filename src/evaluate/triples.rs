//! Arithmetic with concepts, scored (section 6.3.2, figure 7).
//!
//! A triple has a target attribute with two values and a base attribute with two values. A's exemplars have the target
//! value and the first base, B's the other target value and the first base, C's that other target value and the second
//! base: "smiling woman - neutral woman + neutral man". The result should be a smiling man.
//!
//! Exemplars are samples that the judge is sure of in both attributes; what else they show is left to chance, as it is for
//! a person who looks for three smiling women. Results are never looked at to choose exemplars.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::attributes::{Attribute, Verdict};
use super::statistics::Share;

/// Two attributes and the values that the three concepts have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Concepts {
    /// What is to be transferred.
    pub target: Attribute,
    /// The value that A has, and the result should.
    pub wanted: usize,
    /// The value that B and C have.
    pub without: usize,
    /// What tells C from A and B.
    pub base: Attribute,
    /// The value that A and B have.
    pub here: usize,
    /// The value that C has, and the result should.
    pub there: usize,
}

impl Concepts {
    /// In words: `smile, no beard - no smile, no beard + no smile, beard`.
    pub fn name(&self) -> String {
        let concept =
            |target: usize, base: usize| format!("{}, {}", self.target.values()[target], self.base.values()[base]);
        format!(
            "{} - {} + {}",
            concept(self.wanted, self.here),
            concept(self.without, self.here),
            concept(self.without, self.there)
        )
    }

    fn holds(&self, verdict: &Verdict, target: usize, base: usize) -> bool {
        verdict.sure_value(self.target) == Some(target) && verdict.sure_value(self.base) == Some(base)
    }

    /// The numbers of the samples that are sure exemplars of A, B and C.
    fn exemplars(&self, samples: &[Verdict]) -> [Vec<usize>; 3] {
        [(self.wanted, self.here), (self.without, self.here), (self.without, self.there)]
            .map(|(target, base)| (0..samples.len()).filter(|&i| self.holds(&samples[i], target, base)).collect())
    }
}

/// Concepts, and samples that stand for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Triple {
    /// What they are exemplars of.
    pub concepts: Concepts,
    /// Numbers of A's samples, which are added; then B's, taken away; then C's, added. As many of each.
    pub samples: [Vec<usize>; 3],
}

/// Chooses triples of so many `exemplars` a concept, going round all pairs of attributes for which there are enough. Fewer than
/// `count`, or none, where there are no such pairs.
pub fn choose(samples: &[Verdict], count: usize, exemplars: usize, seed: u64) -> Vec<Triple> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut pairs = all_possible(samples, exemplars);
    let mut triples = Vec::with_capacity(count);
    while triples.len() < count && !pairs.is_empty() {
        pairs.shuffle(&mut rng);
        for possible in pairs.iter().take(count - triples.len()) {
            let (concepts, all) = &possible[rng.random_range(0..possible.len())];
            let samples = all.each_ref().map(|numbers| numbers.sample(&mut rng, exemplars).copied().collect());
            triples.push(Triple { concepts: *concepts, samples });
        }
    }
    triples
}

/// Ordered pairs of attributes, of thirty, for which there are so many exemplars of some values.
pub fn pairs(samples: &[Verdict], exemplars: usize) -> usize {
    all_possible(samples, exemplars).len()
}

/// Concepts of some values, and the numbers of their exemplars.
type Possible = (Concepts, [Vec<usize>; 3]);

fn all_possible(samples: &[Verdict], exemplars: usize) -> Vec<Vec<Possible>> {
    let pairs = Attribute::ALL.iter().flat_map(|&target| Attribute::ALL.map(|base| (target, base)));
    pairs
        .filter(|(target, base)| target != base)
        .map(|(target, base)| possible(samples, exemplars, target, base))
        .filter(|possible| !possible.is_empty())
        .collect()
}

/// All values of a pair of attributes that have so many exemplars at least, and all of these.
fn possible(samples: &[Verdict], exemplars: usize, target: Attribute, base: Attribute) -> Vec<Possible> {
    let ordered = |attribute: Attribute| {
        let values = 0..attribute.values().len();
        values.clone().flat_map(move |a| values.clone().map(move |b| (a, b))).filter(|(a, b)| a != b)
    };
    ordered(target)
        .flat_map(|values| ordered(base).map(move |bases| (values, bases)))
        .map(|((wanted, without), (here, there))| Concepts { target, wanted, without, base, here, there })
        .map(|concepts| (concepts, concepts.exemplars(samples)))
        .filter(|(_, all)| all.iter().all(|numbers| numbers.len() >= exemplars))
        .collect()
}

/// What a result must show: the target's value; the base that C has; and of the other attributes those values that the
/// judge is sure of in every one of C's exemplars. The rest is free.
pub fn expected(triple: &Triple, samples: &[Verdict]) -> [Option<usize>; 6] {
    let Triple { concepts, samples: [_, _, onto] } = triple;
    Attribute::ALL.map(|attribute| match attribute {
        _ if attribute == concepts.target => Some(concepts.wanted),
        _ if attribute == concepts.base => Some(concepts.there),
        _ => {
            let first = samples[onto[0]].sure_value(attribute)?;
            onto.iter().all(|&i| samples[i].sure_value(attribute) == Some(first)).then_some(first)
        }
    })
}

/// How one result did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Whether each attribute is as it must be; none where it is free.
    pub met: [Option<bool>; 6],
    /// Whether the target's value was obtained.
    pub obtained: bool,
    /// Whether everything else that must be is as in C.
    pub kept: bool,
}

impl Outcome {
    /// Compares a verdict on a result with what it must show. The more likely value counts, sure or not.
    pub fn new(target: Attribute, expected: &[Option<usize>; 6], verdict: &Verdict) -> Self {
        let met =
            Attribute::ALL.map(|attribute| expected[attribute.index()].map(|value| verdict.value(attribute) == value));
        let kept = Attribute::ALL.iter().all(|&other| other == target || met[other.index()] != Some(false));
        Self { met, obtained: met[target.index()] == Some(true), kept }
    }

    /// The target was obtained and the rest kept.
    pub fn success(&self) -> bool {
        self.obtained && self.kept
    }
}

/// Outcomes of one way to do arithmetic, counted.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Tally {
    /// Results that have the target's value.
    pub obtained: Share,
    /// Results that keep all that they must.
    pub kept: Share,
    /// Results that do both.
    pub success: Share,
    /// By attribute.
    pub by_attribute: Vec<OfAttribute>,
}

/// Outcomes of one attribute.
#[derive(Debug, Clone, Serialize)]
pub struct OfAttribute {
    /// Which.
    pub attribute: Attribute,
    /// Where it was the target: obtained.
    pub obtained: Share,
    /// Where it was the base: kept.
    pub base: Share,
    /// Where it was neither and C's exemplars agree in it: kept.
    pub other: Share,
}

impl Tally {
    /// Counts outcomes of triples.
    pub fn new<'a>(outcomes: impl IntoIterator<Item = (&'a Concepts, &'a Outcome)>) -> Self {
        let none = |attribute| OfAttribute {
            attribute,
            obtained: Share::default(),
            base: Share::default(),
            other: Share::default(),
        };
        let mut tally = Self { by_attribute: Attribute::ALL.map(none).to_vec(), ..Self::default() };
        for (concepts, outcome) in outcomes {
            tally.obtained.count(outcome.obtained);
            tally.kept.count(outcome.kept);
            tally.success.count(outcome.success());
            for of in &mut tally.by_attribute {
                let Some(met) = outcome.met[of.attribute.index()] else { continue };
                let share = match of.attribute {
                    attribute if attribute == concepts.target => &mut of.obtained,
                    attribute if attribute == concepts.base => &mut of.base,
                    _ => &mut of.other,
                };
                share.count(met);
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sure verdict.
    fn sure(values: [usize; 6]) -> Verdict {
        Verdict { values, sure: [true; 6], skin: 0.0, turn: 0.0 }
    }

    fn smile_on_beard() -> Concepts {
        Concepts { target: Attribute::Smile, wanted: 1, without: 0, base: Attribute::Beard, here: 0, there: 1 }
    }

    /// Everything there is, a few times.
    fn everything() -> Vec<Verdict> {
        let mut all = Vec::new();
        for i in 0..192 * 4 {
            all.push(sure([i % 2, i / 2 % 2, i / 4 % 2, i / 8 % 6, i / 48 % 2, i / 96 % 2]));
        }
        all
    }

    #[test]
    fn a_result_must_have_the_target_the_base_and_what_cs_exemplars_agree_in() {
        let mut samples = vec![sure([0; 6]); 6];
        samples.push(sure([0, 1, 1, 2, 0, 1]));
        samples.push(sure([0, 1, 1, 3, 0, 1]));
        samples.push(sure([0, 1, 1, 2, 0, 1]));
        samples[8].sure[5] = false;
        let triple = Triple { concepts: smile_on_beard(), samples: [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7, 8]] };
        let wanted = expected(&triple, &samples);
        // They differ in hair, and of one the turn is not sure: both are free.
        assert_eq!(wanted, [Some(1), Some(1), Some(1), None, Some(0), None]);

        let outcome = |values| Outcome::new(Attribute::Smile, &wanted, &sure(values));
        assert!(outcome([1, 1, 1, 0, 0, 0]).success());
        let lost = outcome([0, 1, 1, 0, 0, 0]);
        assert!(!lost.obtained && lost.kept && !lost.success());
        let shaved = outcome([1, 1, 0, 0, 0, 0]);
        assert!(shaved.obtained && !shaved.kept && !shaved.success());
        let dark = outcome([1, 1, 1, 0, 1, 0]);
        assert!(dark.obtained && !dark.kept);
        assert_eq!(dark.met, [Some(true), Some(true), Some(true), None, Some(false), None]);

        let concepts = smile_on_beard();
        let outcomes = [outcome([1, 1, 1, 0, 0, 0]), lost, shaved, dark];
        let tally = Tally::new(outcomes.iter().map(|outcome| (&concepts, outcome)));
        assert_eq!((tally.obtained.hits, tally.kept.hits, tally.success.hits), (3, 2, 1));
        let of = |attribute: Attribute| &tally.by_attribute[attribute.index()];
        assert_eq!(of(Attribute::Smile).obtained, Share { hits: 3, of: 4 });
        assert_eq!(of(Attribute::Beard).base, Share { hits: 3, of: 4 });
        assert_eq!(of(Attribute::Skin).other, Share { hits: 3, of: 4 });
        assert_eq!(of(Attribute::Hair).other, Share::default());
    }

    #[test]
    fn exemplars_are_sure_and_of_their_concepts_and_all_pairs_come_in_turn() {
        let mut samples = everything();
        for sample in samples.iter_mut().step_by(3) {
            sample.sure = [false; 6];
        }
        let triples = choose(&samples, 65, 4, 3);
        assert_eq!(triples.len(), 65);
        for Triple { concepts, samples: [plus, minus, onto] } in &triples {
            assert_ne!(concepts.target, concepts.base);
            for (numbers, target, base) in [
                (plus, concepts.wanted, concepts.here),
                (minus, concepts.without, concepts.here),
                (onto, concepts.without, concepts.there),
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
        assert_eq!(super::pairs(&samples, 400), 0, "there are not so many of anything");
        assert_eq!(triples, choose(&samples, 65, 4, 3));
        assert_ne!(triples, choose(&samples, 65, 4, 4));
    }

    #[test]
    fn where_nothing_is_sure_there_are_no_triples() {
        let mut samples = everything();
        for sample in &mut samples {
            sample.sure = [false; 6];
        }
        assert!(choose(&samples, 10, 3, 1).is_empty());
        assert!(choose(&[], 10, 3, 1).is_empty());
    }

    #[test]
    fn concepts_are_named_as_the_paper_writes_them() {
        assert_eq!(smile_on_beard().name(), "smile, no beard - no smile, no beard + no smile, beard");
    }
}
