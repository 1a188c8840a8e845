//! A model's latent space, scored.

use burn::tensor::Device;
use serde::Serialize;

use super::attributes::{Attribute, Verdict};
use super::judge::{Fitting, HeldOut, Judge};
use super::linear;
use super::statistics::Share;
use super::triples::{self, Outcome, Tally, Triple};
use super::turn::{self, STEPS, Turning};
use crate::image::Picture;
use crate::latent::arithmetic::{self, ArithmeticError, Term};
use crate::latent::{self, DrawError};
use crate::model::Model;

/// Pictures drawn at a time.
const DRAWN: usize = 256;
/// The source whose attributes are known.
const FACES: &str = "synth:faces";

/// What is scored.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Settings {
    /// Triples of concepts.
    pub triples: usize,
    /// Exemplars of a concept whose average is tried beside a single one; the paper averages three.
    pub exemplars: usize,
    /// Turn vectors, of five rows each.
    pub turns: usize,
    /// Samples that exemplars are chosen from: numbers 0 and up of the seed.
    pub samples: usize,
    /// The samples' seed; it also decides which are chosen.
    pub seed: u64,
    /// How the judge is made.
    pub fitting: Fitting,
}

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The model learnt something else.
    #[error(
        "only what a model of {FACES} draws can be scored, since the judge knows no other faces; this one was trained on {0}"
    )]
    Foreign(String),
    /// There are no exemplars of anything.
    #[error(
        "among {samples} samples there are not {exemplars} exemplars of the concepts of any triple that the judge is sure of: \
         the model draws too little like faces yet (or the judge was taught too few steps)"
    )]
    Unsure {
        /// Samples that were looked through.
        samples: usize,
        /// Exemplars of each concept that are wanted.
        exemplars: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// A sum could not be made.
    #[error(transparent)]
    Arithmetic(#[from] ArithmeticError),
}

/// A way to do arithmetic with concepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// In Z.
    Z,
    /// In Z, the result brought back to the prior's length.
    ZBack,
    /// With the feature maps that a hidden layer of the generator makes of the exemplars; 0 is the projection.
    Layer(usize),
    /// With the exemplars' pixels.
    Pixels,
}

impl Way {
    /// All that there are for a generator of so many hidden layers.
    pub fn all(hidden: usize) -> Vec<Self> {
        let layers = (0..hidden).map(Self::Layer);
        [Self::Z, Self::ZBack].into_iter().chain(layers).chain([Self::Pixels]).collect()
    }

    /// What it is called.
    pub fn name(self) -> String {
        match self {
            Self::Z => "Z".to_owned(),
            Self::ZBack => "Z, back to the prior's length".to_owned(),
            Self::Layer(layer) => format!("maps of layer {layer}"),
            Self::Pixels => "pixels".to_owned(),
        }
    }
}

/// How well one way did with so many exemplars.
#[derive(Debug, Clone, Serialize)]
pub struct Scored {
    /// The way.
    pub way: Way,
    /// Exemplars of a concept that were averaged.
    pub exemplars: usize,
    /// Counted outcomes.
    #[serde(flatten)]
    pub tally: Tally,
    /// The outcome of each triple.
    pub outcomes: Vec<Outcome>,
    /// The results' pictures.
    #[serde(skip)]
    pub pictures: Vec<Picture>,
}

/// What the judge sees of one attribute in the samples. A model that draws one value only has nothing to add or to take.
#[derive(Debug, Clone, Serialize)]
pub struct Seen {
    /// Which.
    pub attribute: Attribute,
    /// Samples of which the judge is sure.
    pub sure: Share,
    /// How many of these have each value.
    pub values: Vec<usize>,
    /// Those whose value planes in Z tell: what arithmetic can move at best.
    pub linear: Option<Share>,
}

impl Seen {
    fn count(attribute: Attribute, samples: &Samples) -> Self {
        let (mut sure, mut values) = (Share::default(), vec![0; attribute.values().len()]);
        for verdict in &samples.verdicts {
            let value = verdict.sure_value(attribute);
            sure.count(value.is_some());
            if let Some(value) = value {
                values[value] += 1;
            }
        }
        Self { attribute, sure, values, linear: linear::planes(attribute, &samples.z, &samples.verdicts) }
    }
}

/// All that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// What was asked for.
    pub settings: Settings,
    /// How right the judge is.
    pub judge: HeldOut,
    /// What the judge sees in the samples, by attribute.
    pub seen: Vec<Seen>,
    /// Ordered pairs of attributes, of thirty, for which there are exemplars.
    pub pairs: usize,
    /// The triples.
    pub triples: Vec<Triple>,
    /// What each result must show, by attribute.
    pub expected: Vec<[Option<usize>; 6]>,
    /// By way and number of exemplars.
    pub scored: Vec<Scored>,
    /// How evenly faces turn; none where fewer than four samples face one of the sides.
    pub turn: Option<Turning>,
    /// The pictures of the first turn's rows.
    #[serde(skip)]
    pub turned: Vec<Picture>,
    /// The samples' pictures, by number.
    #[serde(skip)]
    pub pictures: Vec<Picture>,
}

/// What is being done, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doing {
    /// The judge learns.
    Teaching,
    /// Samples are drawn and judged.
    Sampling,
    /// Sums are drawn and judged.
    Adding,
    /// Faces are turned.
    Turning,
}

/// The model and the judge of its pictures.
struct Court<'a> {
    model: &'a Model,
    judge: Judge,
    device: &'a Device,
}

impl Court<'_> {
    fn draw(&self, z: &[Vec<f32>]) -> Result<Vec<Picture>, DrawError> {
        let mut pictures = Vec::with_capacity(z.len());
        for part in z.chunks(DRAWN) {
            pictures.extend(latent::pictures(&self.model.generator, part, self.device)?);
        }
        Ok(pictures)
    }

    /// Adds up the first `exemplars` of each triple in one way.
    fn add(
        &self,
        way: Way,
        exemplars: usize,
        triples: &[Triple],
        samples: &Samples,
    ) -> Result<Vec<Picture>, ScoreError> {
        let signed = |triple: &Triple| {
            let first = triple.samples.each_ref().map(|numbers| numbers[..exemplars].to_vec());
            [false, true, false].into_iter().zip(first)
        };
        if way == Way::Pixels {
            let sum = |triple| {
                let terms: Vec<_> = signed(triple)
                    .map(|(minus, numbers)| (minus, numbers.iter().map(|&i| samples.pictures[i].clone()).collect()))
                    .collect();
                arithmetic::in_pixels(&terms).ok_or(ArithmeticError::Nothing)
            };
            return Ok(triples.iter().map(sum).collect::<Result<_, _>>()?);
        }
        let term = |(minus, numbers): (bool, Vec<usize>)| Term {
            minus,
            exemplars: numbers.into_iter().map(|i| samples.z[i].clone()).collect(),
        };
        let sums: Vec<Vec<Term>> = triples.iter().map(|triple| signed(triple).map(term).collect()).collect();
        if let Way::Layer(layer) = way {
            let mut pictures = Vec::with_capacity(sums.len());
            for part in sums.chunks((DRAWN / (3 * exemplars)).max(1)) {
                let part: Vec<&[Term]> = part.iter().map(Vec::as_slice).collect();
                pictures.extend(latent::in_maps(&self.model.generator, &part, layer, self.device)?);
            }
            return Ok(pictures);
        }
        let prior = self.model.config().prior;
        let result = |terms: &Vec<Term>| {
            let z = arithmetic::result(terms)?;
            Ok(if way == Way::ZBack { arithmetic::back_to_prior(prior, &z) } else { z })
        };
        let z = sums.iter().map(result).collect::<Result<Vec<_>, ArithmeticError>>()?;
        Ok(self.draw(&z)?)
    }
}

struct Samples {
    z: Vec<Vec<f32>>,
    pictures: Vec<Picture>,
    verdicts: Vec<Verdict>,
}

/// Teaches a judge and scores a model's arithmetic and its turn. `progress` hears what is done and how much of how much.
///
/// # Errors
/// [`ScoreError`], before anything is computed where the model draws no known faces.
pub fn score(
    model: &Model,
    settings: Settings,
    device: &Device,
    progress: &mut dyn FnMut(Doing, usize, usize),
) -> Result<Report, ScoreError> {
    if model.provenance.data != FACES {
        return Err(ScoreError::Foreign(model.provenance.data.clone()));
    }
    let config = model.config();
    let steps = settings.fitting.steps;
    let judge = Judge::fit(config.size, config.channels, settings.fitting, device, &mut |done| {
        progress(Doing::Teaching, done, steps);
    })?;
    let held_out = judge.held_out()?;
    let court = Court { model, judge, device };

    let z = latent::samples(config, settings.seed, 0..settings.samples as u64);
    let mut samples = Samples { pictures: Vec::new(), verdicts: Vec::new(), z };
    for part in samples.z.chunks(DRAWN) {
        let pictures = court.draw(part)?;
        samples.verdicts.extend(court.judge.verdicts(&pictures)?);
        samples.pictures.extend(pictures);
        progress(Doing::Sampling, samples.pictures.len(), settings.samples);
    }
    let seen = Attribute::ALL.map(|attribute| Seen::count(attribute, &samples));
    let triples = triples::choose(&samples.verdicts, settings.triples, settings.exemplars, settings.seed);
    if triples.is_empty() {
        return Err(ScoreError::Unsure { samples: settings.samples, exemplars: settings.exemplars });
    }
    let expected: Vec<_> = triples.iter().map(|triple| triples::expected(triple, &samples.verdicts)).collect();
    let mut scored = Vec::new();
    let ways: Vec<_> = [1, settings.exemplars]
        .iter()
        .flat_map(|&count| Way::all(config.stages()).into_iter().map(move |way| (way, count)))
        .collect();
    for (i, &(way, exemplars)) in ways.iter().enumerate() {
        let pictures = court.add(way, exemplars, &triples, &samples)?;
        let verdicts = court.judge.verdicts(&pictures)?;
        let outcome = |((triple, expected), verdict): ((&Triple, &_), &Verdict)| {
            Outcome::new(triple.concepts.target, expected, verdict)
        };
        let outcomes: Vec<_> = triples.iter().zip(&expected).zip(&verdicts).map(outcome).collect();
        let tally = Tally::new(triples.iter().map(|triple| &triple.concepts).zip(&outcomes));
        scored.push(Scored { way, exemplars, tally, outcomes, pictures });
        progress(Doing::Adding, i + 1, ways.len());
    }

    let (turn, turned) = turning(&court, &samples, settings, progress)?;
    Ok(Report {
        settings,
        judge: held_out,
        seen: seen.to_vec(),
        pairs: triples::pairs(&samples.verdicts, settings.exemplars),
        triples,
        expected,
        scored,
        turn,
        turned,
        pictures: samples.pictures,
    })
}

/// Measures the turn, and gives the pictures of the first one's rows.
fn turning(
    court: &Court,
    samples: &Samples,
    settings: Settings,
    progress: &mut dyn FnMut(Doing, usize, usize),
) -> Result<(Option<Turning>, Vec<Picture>), ScoreError> {
    let of = |numbers: &[usize]| -> Vec<Vec<f32>> { numbers.iter().map(|&i| samples.z[i].clone()).collect() };
    let draws = turn::choose(&samples.verdicts, settings.turns, settings.seed);
    let mut first = Vec::new();
    let mut turns = Vec::with_capacity(draws.len());
    for draw in &draws {
        let rows = arithmetic::turn(&of(&draw.left), &of(&draw.right), &of(&draw.rows), STEPS)?;
        let pictures = court.draw(&rows.concat())?;
        let measured: Vec<f64> = court.judge.verdicts(&pictures)?.iter().map(|verdict| verdict.turn.into()).collect();
        turns.push(measured.chunks(STEPS).map(<[f64]>::to_vec).collect());
        if first.is_empty() {
            first = pictures;
        }
        progress(Doing::Turning, turns.len(), draws.len());
    }
    Ok((turn::measure(&turns, settings.seed), first))
}
