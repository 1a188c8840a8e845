//! Linear probe of the discriminator's features (section 5): how accurately a linear classifier recognizes classes by features
//! that were learned without labels, compared with random weights, raw pixels, and a network trained on the labels.
//!
//! [`run_probe`] measures all four; a [`ProbeExperiment`] measures one at a time.

use std::time::Instant;

use burn::tensor::Device;
use rayon::prelude::*;
use serde::Serialize;

use super::confusion::ConfusionMatrix;
use super::error::EvaluationError;
use super::features::{FeatureExtractor, FeatureKind, FeatureSource, check_memory, feature_width};
use super::labeled::LabeledSet;
use super::penalty::select_c;
use super::shuffled_set::ShuffledSet;
use super::split::ProbeSplit;
use super::statistics::{self, Estimate, Proportion};
use super::supervised::SupervisedBaseline;
use super::svm::{Svm, SvmTrainer};
use crate::data::Dataset;
use crate::model::{Discriminator, ModelConfig};
use crate::progress::{Cancelled, Progress};

/// Test images whose features are in memory at a time.
const TEST_BATCH: usize = 1024;

/// The feature spaces that are compared.
const KINDS: [FeatureKind; 3] = [FeatureKind::Discriminator, FeatureKind::Random, FeatureKind::Pixels];
/// Default of the validation images: a fifth of the training images, at most the paper's number for street view digits.
const MAX_VALIDATION: usize = 10_000;
const VALIDATION_SHARE: usize = 5;

/// Options of a linear probe.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct ProbeSettings {
    /// Number of labels in total, equally many of each class; `None` for all.
    pub labels: Option<usize>,
    /// How often that many labels are drawn.
    pub draws: usize,
    /// Training images that C is selected on.
    pub validation: usize,
    /// Draws that the supervised network is trained on; 0 leaves it out.
    pub supervised: usize,
    /// Epochs of the supervised network.
    pub epochs: usize,
    /// Random training images, labeled or not, for batch norm statistics; `None` for all, as in the authors' code.
    pub statistics: Option<usize>,
    /// Memory limit of a feature table in GiB.
    pub memory: f64,
    /// Seed of draws, random weights and orders.
    pub seed: u64,
}

impl ProbeSettings {
    /// Default number of training and of test images.
    pub const COUNT: usize = 10_000;
    /// Default of [`Self::draws`]; the authors draw 100 times.
    pub const DRAWS: usize = 10;
    /// Default of [`Self::epochs`].
    pub const EPOCHS: usize = 20;
    /// Default of [`Self::memory`].
    pub const MEMORY: f64 = 8.0;
}

/// The default number of validation images: a fifth of the training images, at most 10,000.
pub fn default_validation_count(training: usize) -> usize {
    (training / VALIDATION_SHARE).min(MAX_VALIDATION)
}

/// A classifier of the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMethod {
    /// An L2-SVM on features.
    Svm(FeatureKind),
    /// A network of the discriminator's architecture trained on the labels.
    Supervised,
}

impl ProbeMethod {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Svm(kind) => kind.name(),
            Self::Supervised => "supervised network",
        }
    }
}

/// Accuracy of one classifier.
#[derive(Debug, Clone, Serialize)]
pub struct ProbeScore {
    /// The classifier.
    #[serde(rename = "way")]
    pub method: ProbeMethod,
    /// Features per image.
    pub features: Option<usize>,
    /// The C with the best validation accuracy.
    pub c: Option<f64>,
    /// The accuracy on the validation images with that C.
    pub validation: f64,
    /// The accuracy on the test images, for each draw of labels.
    #[serde(rename = "right")]
    pub by_draw: Vec<Proportion>,
    /// The mean accuracy on the test images: with Wilson's interval for one draw, with the bootstrap's over draws for more.
    pub accuracy: Estimate,
    /// Half the width of the range of 95 % of the draws (1.96 standard deviations), which the authors report.
    pub spread: Option<f64>,
    /// Whether the fit of every machine converged.
    #[serde(rename = "settled")]
    pub converged: bool,
    /// Duration in seconds.
    pub seconds: f64,
}

/// The result of [`run_probe`].
#[derive(Debug, Clone, Serialize)]
pub struct ProbeReport {
    /// The options used.
    pub settings: ProbeSettings,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Labeled training images, including the validation images.
    pub training: usize,
    /// Training images, labeled or not, that batch norm statistics were measured on.
    pub statistics: usize,
    /// Test images.
    pub test: usize,
    /// The discriminator's features first, then the baselines.
    #[serde(rename = "scored")]
    pub scores: Vec<ProbeScore>,
    /// Confusion matrix of the discriminator's features with the labels of the first draw.
    pub confusion: ConfusionMatrix,
}

/// Training and test images, their split and options: set up once to score several classifiers.
pub struct ProbeExperiment<'a> {
    training: &'a LabeledSet,
    test: &'a LabeledSet,
    statistics_images: ShuffledSet<'a>,
    settings: ProbeSettings,
    split: ProbeSplit,
}

impl<'a> ProbeExperiment<'a> {
    /// An experiment with training images, which were read from `dataset`, and test images, at the size and channels of `config`.
    ///
    /// # Errors
    /// [`EvaluationError`]: too few images of a class, or features beyond the memory limit.
    pub fn new(
        config: &ModelConfig,
        [training, test]: [&'a LabeledSet; 2],
        dataset: &'a Dataset,
        settings: ProbeSettings,
    ) -> Result<Self, EvaluationError> {
        let split = ProbeSplit::new(training, &settings, &dataset.source().to_string())?;
        for kind in KINDS {
            check_memory(training.pictures.len(), feature_width(kind, config), settings.memory)?;
        }
        let statistics_images = ShuffledSet::new(dataset, settings.statistics, settings.seed);
        Ok(Self { training, test, statistics_images, settings, split })
    }

    /// The number of images that batch norm statistics are measured on.
    pub fn statistics(&self) -> usize {
        self.statistics_images.len()
    }

    /// Accuracy of an SVM on the features of `source`, and its confusion matrix.
    ///
    /// # Errors
    /// [`EvaluationError`]: the device fails, or `progress` cancels.
    pub fn score_features(
        &self,
        source: FeatureSource,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<(ProbeScore, ConfusionMatrix), EvaluationError> {
        let Self { training, test, statistics_images, settings, split } = self;
        let start = Instant::now();
        let extractor = FeatureExtractor::over(source, statistics_images, settings.seed, device, progress)?;
        let all = training.pictures.len();
        let table = extractor.features(&training.pictures, &mut |done| progress("extracting features", done, all))?;
        let (c, validation) = select_c(&table, training, split, settings.seed, progress)?;
        let machines: Vec<Svm> = (split.draws.iter().enumerate())
            .map(|(number, rows)| {
                progress("fitting classifiers", number, split.draws.len())?;
                Ok(SvmTrainer::new(&table, rows, &training.labels, training.classes.len()).fit(c, settings.seed))
            })
            .collect::<Result<_, Cancelled>>()?;
        drop(table);
        let predictions = predict(&extractor, &machines, test, progress)?;
        let first = predictions.first().map_or(&[][..], Vec::as_slice);
        let confusion = ConfusionMatrix::new(test.classes.len(), &test.labels, first);
        let by_draw = predictions.iter().map(|predictions| accuracy(predictions, &test.labels)).collect();
        let score = ProbeScore {
            features: Some(extractor.width()),
            c: Some(c),
            converged: machines.iter().all(|machine| machine.converged),
            ..ProbeScore::new(ProbeMethod::Svm(extractor.kind), validation, by_draw, settings.seed, start)
        };
        Ok((score, confusion))
    }

    /// Accuracy of a network of the discriminator's architecture trained on the labels; `None` if the settings leave it out.
    ///
    /// # Errors
    /// [`EvaluationError`]: the device fails, or `progress` cancels.
    pub fn score_supervised(
        &self,
        config: &ModelConfig,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Option<ProbeScore>, EvaluationError> {
        let Self { training, test, settings, split, .. } = self;
        let draws = split.draws.len().min(settings.supervised);
        if draws == 0 {
            return Ok(None);
        }
        let start = Instant::now();
        let rows: Vec<usize> = (0..test.labels.len()).collect();
        let (mut by_draw, mut validation) = (Vec::new(), 0.0);
        // The draw of all labels includes the validation images, which decide when this network stops.
        let sets = if settings.labels.is_some() { &split.draws } else { &split.selection };
        for (number, set) in sets[..draws].iter().enumerate() {
            let indices = [set.as_slice(), split.validation.as_slice()];
            let options = (settings.epochs, settings.seed + number as u64);
            let network = SupervisedBaseline::fit(config, training, indices, options, device, progress)?;
            validation += share(network.validation) / draws as f64;
            by_draw.push(network.accuracy(test, &rows)?);
        }
        Ok(Some(ProbeScore::new(ProbeMethod::Supervised, validation, by_draw, settings.seed, start)))
    }
}

/// Runs a linear probe of `discriminator` and its baselines, with training images, which were read from `dataset`, and test images.
///
/// # Errors
/// [`EvaluationError`]: too few images of a class, features beyond the memory limit, a device that fails, or `progress` cancels.
pub fn run_probe(
    discriminator: &Discriminator,
    [training, test]: [&LabeledSet; 2],
    dataset: &Dataset,
    settings: ProbeSettings,
    device: &Device,
    progress: &mut Progress,
) -> Result<ProbeReport, EvaluationError> {
    let config = discriminator.config();
    let experiment = ProbeExperiment::new(config, [training, test], dataset, settings)?;
    let (first, confusion) =
        experiment.score_features(FeatureSource::Discriminator(discriminator), device, progress)?;
    let mut scores = vec![first];
    for source in [FeatureSource::Random(config), FeatureSource::Pixels(config)] {
        scores.push(experiment.score_features(source, device, progress)?.0);
    }
    scores.extend(experiment.score_supervised(config, device, progress)?);
    Ok(ProbeReport {
        settings,
        classes: training.classes.clone(),
        training: training.pictures.len(),
        statistics: experiment.statistics(),
        test: test.pictures.len(),
        scores,
        confusion,
    })
}

impl ProbeScore {
    fn new(method: ProbeMethod, validation: f64, by_draw: Vec<Proportion>, seed: u64, start: Instant) -> Self {
        let values: Vec<f64> = by_draw.iter().map(|&accuracy| share(accuracy)).collect();
        let accuracy =
            if let [only] = by_draw.as_slice() { only.wilson() } else { statistics::bootstrap_mean(&values, seed) };
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64;
        Self {
            method,
            features: None,
            c: None,
            validation,
            accuracy: accuracy.unwrap_or(Estimate { value: 0.0, low: 0.0, high: 1.0 }),
            spread: (by_draw.len() > 1).then(|| 1.96 * variance.sqrt()),
            by_draw,
            converged: true,
            seconds: start.elapsed().as_secs_f64(),
        }
    }
}

fn share(of: Proportion) -> f64 {
    of.hits as f64 / of.total.max(1) as f64
}

fn accuracy(predictions: &[(usize, f32)], labels: &[usize]) -> Proportion {
    let hits = predictions.iter().zip(labels).filter(|((class, _), label)| class == *label).count();
    Proportion { hits, total: labels.len() }
}

/// The prediction of each machine for each test image, with its decision value. Features are in memory for some images at a time.
fn predict(
    extractor: &FeatureExtractor,
    machines: &[Svm],
    test: &LabeledSet,
    progress: &mut Progress,
) -> Result<Vec<Vec<(usize, f32)>>, EvaluationError> {
    let mut all = vec![Vec::with_capacity(test.pictures.len()); machines.len()];
    for (number, pictures) in test.pictures.chunks(TEST_BATCH).enumerate() {
        let table = extractor.features(pictures, &mut |_| Ok(()))?;
        for (predictions, machine) in all.iter_mut().zip(machines) {
            let rows: Vec<_> = (0..table.len()).into_par_iter().map(|row| machine.predict(table.row(row))).collect();
            predictions.extend(rows);
        }
        progress("classifying test pictures", number * TEST_BATCH + pictures.len(), test.pictures.len())?;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::super::table::FeatureTable;
    use super::*;
    use crate::data::Source;
    use crate::image::{Picture, PictureFormat};
    use crate::model::Preset;

    /// Horizontal or vertical stripes in noise: two classes with the same mean image.
    fn stripes(count: usize, first: usize) -> LabeledSet {
        let one = |i: usize| {
            let (shift, along) = (i * 7 % 4, i % 2 == 1);
            let pixel = |p: usize| {
                let at = if along { p / 16 } else { p % 16 };
                let noise = ((p * 7919 + i * 104_729 + p * p * i) % 97) as u8;
                if (at + shift) % 4 < 2 { 30 + noise } else { 130 + noise }
            };
            Picture::new(16, 16, 1, (0..256).map(pixel).collect())
        };
        LabeledSet {
            pictures: (first..first + count).map(one).collect(),
            labels: (first..first + count).map(|i| i % 2).collect(),
            classes: vec!["across".into(), "along".into()],
            skipped: Vec::new(),
        }
    }

    fn settings() -> ProbeSettings {
        let (statistics, memory) = (None, 1.0);
        ProbeSettings { labels: None, draws: 1, validation: 24, supervised: 1, epochs: 1, statistics, memory, seed: 1 }
    }

    /// The images as a data set, in a folder.
    fn dataset(pictures: &LabeledSet) -> (tempfile::TempDir, Dataset) {
        let folder = tempfile::tempdir().unwrap();
        for (number, (picture, &label)) in pictures.pictures.iter().zip(&pictures.labels).enumerate() {
            let place = folder.path().join("stripes").join(&pictures.classes[label]);
            picture.write_png(&place.join(format!("{number}.png"))).unwrap();
        }
        let source = Source::from(&folder.path().join("stripes").to_string_lossy());
        let set = Dataset::open(&source, PictureFormat::new(16, 1), 1).unwrap();
        (folder, set)
    }

    fn discriminator() -> Discriminator {
        let config = ModelConfig { size: 16, base: 4, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        Discriminator::new(&config, 1, &Device::flex())
    }

    fn run(settings: ProbeSettings, training: &LabeledSet, test: &LabeledSet) -> Result<ProbeReport, EvaluationError> {
        let (_folder, dataset) = dataset(training);
        run_probe(&discriminator(), [training, test], &dataset, settings, &Device::flex(), &mut |_, _, _| Ok(()))
    }

    #[test]
    fn features_separate_classes_that_pixels_do_not() {
        let report = run(settings(), &stripes(96, 0), &stripes(60, 96)).unwrap();
        let value = |i: usize| report.scores[i].accuracy.value;
        assert_eq!(report.scores.len(), 4);
        assert!(value(0) > 0.9, "{:?}", report.scores);
        assert!(value(3) > 0.9, "a network trained on the labels: {:?}", report.scores[3]);
        assert_eq!(report.scores[0].features, Some((4 + 8) * 16));
        assert_eq!(report.confusion.counts.iter().flatten().sum::<usize>(), 60);
        let again = run(settings(), &stripes(96, 0), &stripes(60, 96)).unwrap();
        assert_eq!(again.scores[0].by_draw, report.scores[0].by_draw, "a seed decides everything");
    }

    #[test]
    fn few_labels_are_drawn_several_times() {
        let few = ProbeSettings { labels: Some(16), draws: 5, supervised: 0, ..settings() };
        let report = run(few, &stripes(96, 0), &stripes(40, 96)).unwrap();
        assert_eq!(report.scores.len(), 3);
        let score = &report.scores[0];
        assert_eq!((score.by_draw.len(), score.by_draw[0].total), (5, 40));
        assert!(score.accuracy.low <= score.accuracy.value && score.accuracy.value <= score.accuracy.high);
        assert!(score.spread.is_some());
    }

    #[test]
    fn statistics_are_those_of_all_training_images_however_few_have_labels() {
        let (all, test, device) = (stripes(400, 0), stripes(20, 400), Device::flex());
        let (_folder, dataset) = dataset(&all);
        let [labeled, _] = all.split_stratified(60);
        let measured = |statistics: Option<usize>| {
            let settings = ProbeSettings { labels: Some(16), draws: 2, supervised: 0, statistics, ..settings() };
            let experiment =
                ProbeExperiment::new(discriminator().config(), [&labeled, &test], &dataset, settings).unwrap();
            let discriminator = discriminator();
            let source = FeatureSource::Discriminator(&discriminator);
            let extractor = FeatureExtractor::over(
                source,
                &experiment.statistics_images,
                settings.seed,
                &device,
                &mut |_, _, _| Ok(()),
            )
            .unwrap();
            (experiment.statistics(), extractor.features(&test.pictures, &mut |_| Ok(())).unwrap())
        };
        let (count, by_all) = measured(None);
        let (fewer, by_few) = measured(Some(60));
        assert_eq!((count, fewer), (400, 60));
        // The order decides which pictures the last batch lacks, and nothing else.
        let shuffled: Vec<Picture> = ShuffledSet::new(&dataset, None, 1).batches(400).flatten().collect();
        let expected = FeatureExtractor::new(FeatureSource::Discriminator(&discriminator()), &shuffled, 1, &device);
        let expected = expected.features(&test.pictures, &mut |_| Ok(())).unwrap();
        let difference = |a: &FeatureTable, b: &FeatureTable| {
            a.rows().flatten().zip(b.rows().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert_eq!(difference(&by_all, &expected), 0.0);
        assert!(
            difference(&by_few, &expected) > 1e-4,
            "sixty images have other statistics: {}",
            difference(&by_few, &expected)
        );
    }

    #[test]
    fn errors_name_what_is_missing() {
        let many = ProbeSettings { labels: Some(90), ..settings() };
        let error = run(many, &stripes(96, 0), &stripes(40, 96)).unwrap_err().to_string();
        assert!(
            error.contains("stripes") && error.contains("of class across") && error.contains("--labels"),
            "{error}"
        );
        let none = ProbeSettings { validation: 0, ..settings() };
        assert!(run(none, &stripes(96, 0), &stripes(40, 96)).unwrap_err().to_string().contains("--validation"));
        let small = ProbeSettings { memory: 1e-6, ..settings() };
        assert!(run(small, &stripes(96, 0), &stripes(40, 96)).unwrap_err().to_string().contains("--memory"));
    }
}
