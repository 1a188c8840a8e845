//! [`score`]: vector arithmetic and turn of a face model, measured with an [`AttributeClassifier`].

use burn::tensor::Device;
use serde::Serialize;

use super::attributes::{Attribute, FaceAttributes};
use super::classifier::{AttributeClassifier, AttributeClassifierSettings, ClassifierAccuracy};
use super::linearity::linear_separability;
use super::triples::{self, OutcomeCounts, Triple, TripleOutcome};
use super::turn::{self, STEPS, TurnScore};
use crate::data::Source;
use crate::data::synth::Scene;
use crate::device::ComputeError;
use crate::evaluate::statistics::Proportion;
use crate::image::Picture;
use crate::latent;
use crate::latent::arithmetic::{self, ArithmeticError, Term};
use crate::model::Model;

/// Images generated at a time.
const BATCH: usize = 256;
/// The data set whose attributes the classifier knows.
const FACES: Source = Source::Synthetic(Scene::Faces);

/// Options of [`score`].
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ScoreSettings {
    /// Number of triples.
    pub triples: usize,
    /// Exemplars to average per concept, compared with a single one; the paper averages three.
    pub exemplars: usize,
    /// Number of turn vectors, with five rows each.
    pub turns: usize,
    /// Samples that exemplars are selected from.
    pub samples: usize,
    /// Seed of the samples and of the selection.
    pub seed: u64,
    /// How the classifier is trained.
    #[serde(rename = "fitting")]
    pub classifier: AttributeClassifierSettings,
}

/// Why a model cannot be scored.
#[derive(Debug, thiserror::Error)]
pub enum ScoreError {
    /// The model was not trained on the faces whose attributes are known.
    #[error(
        "only models trained on {FACES} can be scored, since the attribute classifier knows no other faces; this one was \
         trained on {0}"
    )]
    Foreign(String),
    /// No concept has enough exemplars.
    #[error(
        "the classifier is confident of too few of the {samples} samples: no triple has {exemplars} exemplars of each concept; train \
         the model longer, or the classifier for more steps"
    )]
    Unsure {
        /// Samples that were classified.
        samples: usize,
        /// Exemplars of each concept.
        exemplars: usize,
    },
    /// The device failed.
    #[error(transparent)]
    Draw(#[from] ComputeError),
    /// The arithmetic failed.
    #[error(transparent)]
    Arithmetic(#[from] ArithmeticError),
}

/// Where vector arithmetic is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArithmeticSpace {
    /// In Z.
    Z,
    /// In Z, with the result normalized to the prior's typical length.
    #[serde(rename = "z-back")]
    NormalizedZ,
    /// On the exemplars' feature maps in a hidden layer of the generator; 0 is the projection.
    Layer(usize),
    /// On the exemplars' pixels.
    Pixels,
}

impl ArithmeticSpace {
    /// All spaces for a generator with so many hidden layers.
    pub fn all(hidden: usize) -> Vec<Self> {
        let layers = (0..hidden).map(Self::Layer);
        [Self::Z, Self::NormalizedZ].into_iter().chain(layers).chain([Self::Pixels]).collect()
    }

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::Z => "Z".to_owned(),
            Self::NormalizedZ => "Z, back to the prior's length".to_owned(),
            Self::Layer(layer) => format!("maps of layer {layer}"),
            Self::Pixels => "pixels".to_owned(),
        }
    }
}

/// The score of arithmetic in one space, with so many exemplars.
#[derive(Debug, Clone, Serialize)]
pub struct ArithmeticScore {
    /// The space.
    #[serde(rename = "way")]
    pub space: ArithmeticSpace,
    /// Exemplars averaged per concept.
    pub exemplars: usize,
    /// Counted outcomes.
    #[serde(flatten)]
    pub counts: OutcomeCounts,
    /// The outcome of each triple.
    pub outcomes: Vec<TripleOutcome>,
    /// The results' images.
    #[serde(skip)]
    pub pictures: Vec<Picture>,
}

/// The values of one attribute among the samples. Arithmetic cannot change an attribute of which the model generates one value.
#[derive(Debug, Clone, Serialize)]
pub struct AttributeCounts {
    /// The attribute.
    pub attribute: Attribute,
    /// Samples whose value is confident.
    #[serde(rename = "sure")]
    pub confident: Proportion,
    /// The number of these with each value.
    pub values: Vec<usize>,
    /// Accuracy of a linear classifier on z: an upper bound of what arithmetic can change.
    pub linear: Option<Proportion>,
}

impl AttributeCounts {
    fn count(attribute: Attribute, samples: &ClassifiedSamples) -> Self {
        let (mut confident, mut values) = (Proportion::default(), vec![0; attribute.values().len()]);
        for sample in &samples.attributes {
            let value = sample.confident_value(attribute);
            confident.count(value.is_some());
            if let Some(value) = value {
                values[value] += 1;
            }
        }
        let linear = linear_separability(attribute, &samples.z, &samples.attributes);
        Self { attribute, confident, values, linear }
    }
}

/// The result of [`score`].
#[derive(Debug, Clone, Serialize)]
pub struct ScoreReport {
    /// The options used.
    pub settings: ScoreSettings,
    /// Accuracy of the attribute classifier.
    #[serde(rename = "judge")]
    pub classifier: ClassifierAccuracy,
    /// Attributes of the samples.
    #[serde(rename = "seen")]
    pub attributes: Vec<AttributeCounts>,
    /// Ordered pairs of attributes, of thirty, with enough exemplars.
    pub pairs: usize,
    /// The triples.
    pub triples: Vec<Triple>,
    /// The attributes that the result of each triple must have.
    pub expected: Vec<[Option<usize>; 6]>,
    /// By number of exemplars and space.
    #[serde(rename = "scored")]
    pub scores: Vec<ArithmeticScore>,
    /// How evenly faces turn; `None` if fewer than four samples look to one side.
    pub turn: Option<TurnScore>,
    /// The images of the first turn vector's rows.
    #[serde(skip)]
    pub turned: Vec<Picture>,
    /// The samples' images.
    #[serde(skip)]
    pub pictures: Vec<Picture>,
}

/// The stages of [`score`], for reports of progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScoreStage {
    /// The classifier is trained.
    TrainingClassifier,
    /// Samples are generated and classified.
    Sampling,
    /// Results of arithmetic are generated and classified.
    Arithmetic,
    /// Faces are turned.
    Turning,
}

/// The model and the classifier of its images.
struct Scorer<'a> {
    model: &'a Model,
    classifier: AttributeClassifier,
    device: &'a Device,
}

impl Scorer<'_> {
    fn generate(&self, z: &[Vec<f32>]) -> Result<Vec<Picture>, ComputeError> {
        let mut pictures = Vec::with_capacity(z.len());
        for batch in z.chunks(BATCH) {
            pictures.extend(latent::generate_pictures(&self.model.generator, batch, self.device)?);
        }
        Ok(pictures)
    }

    /// The images of the triples' results, computed in `space` with the first `exemplars` of each concept.
    fn results(
        &self,
        space: ArithmeticSpace,
        exemplars: usize,
        triples: &[Triple],
        samples: &ClassifiedSamples,
    ) -> Result<Vec<Picture>, ScoreError> {
        let signed = |triple: &Triple| {
            let first = triple.samples.each_ref().map(|numbers| numbers[..exemplars].to_vec());
            [false, true, false].into_iter().zip(first)
        };
        if space == ArithmeticSpace::Pixels {
            let sum = |triple| {
                let terms: Vec<_> = signed(triple)
                    .map(|(minus, numbers)| (minus, numbers.iter().map(|&i| samples.pictures[i].clone()).collect()))
                    .collect();
                arithmetic::pixel_arithmetic(&terms).ok_or(ArithmeticError::NoExemplars)
            };
            return Ok(triples.iter().map(sum).collect::<Result<_, _>>()?);
        }
        let term = |(minus, numbers): (bool, Vec<usize>)| Term {
            minus,
            exemplars: numbers.into_iter().map(|i| samples.z[i].clone()).collect(),
        };
        let sums: Vec<Vec<Term>> = triples.iter().map(|triple| signed(triple).map(term).collect()).collect();
        if let ArithmeticSpace::Layer(layer) = space {
            let mut pictures = Vec::with_capacity(sums.len());
            for batch in sums.chunks((BATCH / (3 * exemplars)).max(1)) {
                let batch: Vec<&[Term]> = batch.iter().map(Vec::as_slice).collect();
                pictures.extend(latent::generate_from_feature_sums(&self.model.generator, &batch, layer, self.device)?);
            }
            return Ok(pictures);
        }
        let prior = self.model.config().prior;
        let normalize = space == ArithmeticSpace::NormalizedZ;
        let result = |terms: &Vec<Term>| {
            let z = arithmetic::sum_terms(terms)?;
            Ok(if normalize { prior.normalize_length(&z) } else { z })
        };
        let z = sums.iter().map(result).collect::<Result<Vec<_>, ArithmeticError>>()?;
        Ok(self.generate(&z)?)
    }
}

struct ClassifiedSamples {
    z: Vec<Vec<f32>>,
    pictures: Vec<Picture>,
    attributes: Vec<FaceAttributes>,
}

/// Trains an attribute classifier, and scores a model's vector arithmetic and turn with it. `progress` gets the stage, and how many
/// of how many units of it are done.
///
/// # Errors
/// [`ScoreError`]: at once if the model was trained on other images than the faces.
pub fn score(
    model: &Model,
    settings: ScoreSettings,
    device: &Device,
    progress: &mut dyn FnMut(ScoreStage, usize, usize),
) -> Result<ScoreReport, ScoreError> {
    if Source::from(&model.provenance.data) != FACES {
        return Err(ScoreError::Foreign(model.provenance.data.clone()));
    }
    let config = model.config();
    let steps = settings.classifier.steps;
    let classifier =
        AttributeClassifier::fit(config.size, config.channels, settings.classifier, device, &mut |done| {
            progress(ScoreStage::TrainingClassifier, done, steps);
        })?;
    let accuracy = classifier.accuracy()?;
    let scorer = Scorer { model, classifier, device };

    let z = latent::sample_zs(config, settings.seed, 0..settings.samples as u64);
    let mut samples = ClassifiedSamples { pictures: Vec::new(), attributes: Vec::new(), z };
    for batch in samples.z.chunks(BATCH) {
        let pictures = scorer.generate(batch)?;
        samples.attributes.extend(scorer.classifier.classify(&pictures)?);
        samples.pictures.extend(pictures);
        progress(ScoreStage::Sampling, samples.pictures.len(), settings.samples);
    }
    let attributes = Attribute::ALL.map(|attribute| AttributeCounts::count(attribute, &samples));
    let triples = triples::select(&samples.attributes, settings.triples, settings.exemplars, settings.seed);
    if triples.is_empty() {
        return Err(ScoreError::Unsure { samples: settings.samples, exemplars: settings.exemplars });
    }
    let expected: Vec<_> = triples.iter().map(|triple| triples::expected(triple, &samples.attributes)).collect();
    let mut scores = Vec::new();
    let variants: Vec<_> = [1, settings.exemplars]
        .iter()
        .flat_map(|&count| ArithmeticSpace::all(config.stages()).into_iter().map(move |space| (space, count)))
        .collect();
    for (i, &(space, exemplars)) in variants.iter().enumerate() {
        let pictures = scorer.results(space, exemplars, &triples, &samples)?;
        let results = scorer.classifier.classify(&pictures)?;
        let outcome = |((triple, expected), result): ((&Triple, &_), &FaceAttributes)| {
            TripleOutcome::new(triple.concepts.target, expected, result)
        };
        let outcomes: Vec<_> = triples.iter().zip(&expected).zip(&results).map(outcome).collect();
        let counts = OutcomeCounts::new(triples.iter().map(|triple| &triple.concepts).zip(&outcomes));
        scores.push(ArithmeticScore { space, exemplars, counts, outcomes, pictures });
        progress(ScoreStage::Arithmetic, i + 1, variants.len());
    }

    let (turn, turned) = score_turn(&scorer, &samples, settings, progress)?;
    Ok(ScoreReport {
        settings,
        classifier: accuracy,
        attributes: attributes.to_vec(),
        pairs: triples::pairs(&samples.attributes, settings.exemplars),
        triples,
        expected,
        scores,
        turn,
        turned,
        pictures: samples.pictures,
    })
}

/// Scores turn vectors; returns the images of the first one's rows as well.
fn score_turn(
    scorer: &Scorer,
    samples: &ClassifiedSamples,
    settings: ScoreSettings,
    progress: &mut dyn FnMut(ScoreStage, usize, usize),
) -> Result<(Option<TurnScore>, Vec<Picture>), ScoreError> {
    let of = |numbers: &[usize]| -> Vec<Vec<f32>> { numbers.iter().map(|&i| samples.z[i].clone()).collect() };
    let trials = turn::select(&samples.attributes, settings.turns, settings.seed);
    let mut first = Vec::new();
    let mut turns = Vec::with_capacity(trials.len());
    for trial in &trials {
        let rows = arithmetic::turn_rows(&of(&trial.left), &of(&trial.right), &of(&trial.rows), STEPS)?;
        let pictures = scorer.generate(&rows.concat())?;
        let measured: Vec<f64> = scorer.classifier.classify(&pictures)?.iter().map(|face| face.turn.into()).collect();
        turns.push(measured.chunks(STEPS).map(<[f64]>::to_vec).collect());
        if first.is_empty() {
            first = pictures;
        }
        progress(ScoreStage::Turning, turns.len(), trials.len());
    }
    Ok((turn::measure(&turns, settings.seed), first))
}
