//! The discriminator as a feature extractor (section 5): how well a linear classifier tells classes by features that were
//! learnt without labels, beside random weights, raw pixels, and a network that learns from the labels themselves.

use std::collections::BTreeMap;
use std::time::Instant;

use burn::tensor::Device;
use rayon::prelude::*;
use serde::Serialize;

use super::Whole;
use super::confusion::Confusion;
use super::error::MeasureError;
use super::features::{By, Kind, Space, fits, width};
use super::labelled::Labelled;
use super::split::Split;
use super::statistics::{self, Estimate, Share};
use super::supervised::Supervised;
use super::svm::{Learner, Svm, Table};
use crate::data::Dataset;
use crate::model::{Discriminator, ModelConfig};
use crate::progress::{Cancelled, Progress};

/// The first C on the ladder of 1, 2, 5, 10 ...: 1e-4, the authors' least.
const FIRST: i32 = -12;
/// The ends of the ladder: 1e-8 and 1e4.
const ENDS: [i32; 2] = [-24, 12];
/// How many Cs in a row may be no better before a direction is given up.
const PATIENCE: usize = 2;
/// Test pictures whose features are in memory at a time.
const TESTED: usize = 1024;

/// What features classes are told by: the discriminator's, then what these are compared with.
const KINDS: [Kind; 3] = [Kind::Discriminator, Kind::Random, Kind::Pixels];
/// Validation pictures at most, as the paper holds out of the street numbers, and their share of the training pictures.
const VALIDATION: usize = 10_000;
const VALIDATION_SHARE: usize = 5;

/// How it is measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Settings {
    /// Labels in all, as many of each class; without it all that there are.
    pub labels: Option<usize>,
    /// How often that many labels are drawn.
    pub draws: usize,
    /// Training pictures that C is chosen on.
    pub validation: usize,
    /// Draws that the supervised network learns from; 0 leaves it out.
    pub supervised: usize,
    /// Its passes through the training pictures.
    pub epochs: usize,
    /// Training pictures, at random, that batch norm's statistics are taken from: whether they have labels or not; without it all
    /// that there are, as in the authors' code.
    pub statistics: Option<usize>,
    /// GiB that a table of features may have.
    pub memory: f64,
    /// Decides draws, random weights and orders.
    pub seed: u64,
}

/// How many of so many training pictures C is chosen on, where nobody says it: a fifth, at most 10,000.
pub fn validation_of(training: usize) -> usize {
    (training / VALIDATION_SHARE).min(VALIDATION)
}

/// What the classes are told by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// An L2-SVM on features.
    Svm(Kind),
    /// A network of the discriminator's shape that learns from the labels.
    Supervised,
}

impl Way {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Svm(kind) => kind.name(),
            Self::Supervised => "supervised network",
        }
    }
}

/// How well one way does.
#[derive(Debug, Clone, Serialize)]
pub struct Scored {
    /// Which.
    pub way: Way,
    /// Features of a picture.
    pub features: Option<usize>,
    /// The C that did best on the validation pictures.
    pub c: Option<f64>,
    /// Right, of the validation pictures, with that C.
    pub validation: f64,
    /// Right, of the test pictures, for each draw.
    pub right: Vec<Share>,
    /// The share that is right: Wilson's interval of the test pictures for one draw, the bootstrap's of the mean for more.
    pub accuracy: Estimate,
    /// Half of the interval that 95 % of draws lie in, which the authors report.
    pub spread: Option<f64>,
    /// Whether each machine was learnt to its end.
    pub settled: bool,
    /// Seconds that it took.
    pub seconds: f64,
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// As asked.
    pub settings: Settings,
    /// The classes.
    pub classes: Vec<String>,
    /// Training pictures, the validation ones among them.
    pub training: usize,
    /// Training pictures, with labels or without, that batch norm's statistics were taken from.
    pub statistics: usize,
    /// Test pictures.
    pub test: usize,
    /// The discriminator first, then what it is compared with.
    pub scored: Vec<Scored>,
    /// What the discriminator's features, with the labels of the first draw, take for what.
    pub confusion: Confusion,
}

/// Pictures to learn from and others to be tried on, and how: made once, it scores one kind of features after another.
pub struct Trial<'a> {
    training: &'a Labelled,
    test: &'a Labelled,
    whole: Whole<'a>,
    settings: Settings,
    split: Split,
}

impl<'a> Trial<'a> {
    /// Learns from `training`, which was read from `set`, and is tried on `test`, all of networks of `config`.
    ///
    /// # Errors
    /// [`MeasureError`]: too few pictures of a class, or too little memory.
    pub fn new(
        config: &ModelConfig,
        [training, test]: [&'a Labelled; 2],
        set: &'a Dataset,
        settings: Settings,
    ) -> Result<Self, MeasureError> {
        let split = Split::new(training, &settings, &set.source().to_string())?;
        for kind in KINDS {
            fits(training.pictures.len(), width(kind, config), settings.memory)?;
        }
        let whole = Whole::new(set, settings.statistics, settings.seed);
        Ok(Self { training, test, whole, settings, split })
    }

    /// How many pictures batch norm's statistics are taken from.
    pub fn statistics(&self) -> usize {
        self.whole.len()
    }

    /// How well classes are told by the features of the space that `by` makes, and what is taken for what.
    ///
    /// # Errors
    /// [`MeasureError`] when the device fails.
    pub fn by(&self, by: By, device: &Device, progress: &mut Progress) -> Result<(Scored, Confusion), MeasureError> {
        let Self { training, test, whole, settings, split } = self;
        let began = Instant::now();
        let space = Space::over(by, whole, settings.seed, device, progress)?;
        let all = training.pictures.len();
        let table = space.features(&training.pictures, &mut |done| progress("taking features", done, all))?;
        let (c, validation) = choose(&table, training, split, settings.seed, progress)?;
        let machines: Vec<Svm> = (split.draws.iter().enumerate())
            .map(|(number, rows)| {
                progress("learning machines", number, split.draws.len())?;
                Ok(Learner::new(&table, rows, &training.labels, training.classes.len()).learn(c, settings.seed))
            })
            .collect::<Result<_, Cancelled>>()?;
        drop(table);
        let told = tell(&space, &machines, test, progress)?;
        let confusion = Confusion::new(test.classes.len(), &test.labels, told.first().map_or(&[], Vec::as_slice));
        let right: Vec<Share> = told.iter().map(|told| right(told, &test.labels)).collect();
        let scored = Scored {
            features: Some(space.width()),
            c: Some(c),
            settled: machines.iter().all(|machine| machine.settled),
            ..Scored::new(Way::Svm(space.kind), validation, right, settings.seed, began)
        };
        Ok((scored, confusion))
    }

    /// How well a network of the discriminator's shape does that learns from the labels themselves; nothing where the settings ask
    /// for none.
    ///
    /// # Errors
    /// [`MeasureError`] when the device fails.
    pub fn supervised(
        &self,
        config: &ModelConfig,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Option<Scored>, MeasureError> {
        let Self { training, test, settings, split, .. } = self;
        let draws = split.draws.len().min(settings.supervised);
        if draws == 0 {
            return Ok(None);
        }
        let began = Instant::now();
        let rows: Vec<usize> = (0..test.labels.len()).collect();
        let (mut shares, mut validation) = (Vec::new(), 0.0);
        // Where all labels are used, it stops by the validation pictures and so must not learn from them.
        let learnt_from = if settings.labels.is_some() { &split.draws } else { &split.choosing };
        for (number, learnt) in learnt_from[..draws].iter().enumerate() {
            let chosen = [learnt.as_slice(), split.validation.as_slice()];
            let fitting = (settings.epochs, settings.seed + number as u64);
            let network = Supervised::fit(config, training, chosen, fitting, device, progress)?;
            validation += share(network.validation) / draws as f64;
            shares.push(network.right(test, &rows)?);
        }
        Ok(Some(Scored::new(Way::Supervised, validation, shares, settings.seed, began)))
    }
}

/// Measures how well classes are told by `discriminator`'s features, learnt from `training`, which was read from `set`, and tried
/// on `test`, and by what they are compared with.
///
/// # Errors
/// [`MeasureError`]: too few pictures of a class, too little memory, a device that fails.
pub fn classify(
    discriminator: &Discriminator,
    [training, test]: [&Labelled; 2],
    set: &Dataset,
    settings: Settings,
    device: &Device,
    progress: &mut Progress,
) -> Result<Report, MeasureError> {
    let config = discriminator.config();
    let trial = Trial::new(config, [training, test], set, settings)?;
    let (first, confusion) = trial.by(By::Discriminator(discriminator), device, progress)?;
    let mut scored = vec![first];
    for by in [By::Random(config), By::Pixels(config)] {
        scored.push(trial.by(by, device, progress)?.0);
    }
    scored.extend(trial.supervised(config, device, progress)?);
    Ok(Report {
        settings,
        classes: training.classes.clone(),
        training: training.pictures.len(),
        statistics: trial.statistics(),
        test: test.pictures.len(),
        scored,
        confusion,
    })
}

impl Scored {
    fn new(way: Way, validation: f64, right: Vec<Share>, seed: u64, began: Instant) -> Self {
        let values: Vec<f64> = right.iter().map(|&right| share(right)).collect();
        let one = if let [only] = right.as_slice() { only.wilson() } else { statistics::mean(&values, seed) };
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len().max(1) as f64;
        Self {
            way,
            features: None,
            c: None,
            validation,
            accuracy: one.unwrap_or(Estimate { value: 0.0, low: 0.0, high: 1.0 }),
            spread: (right.len() > 1).then(|| 1.96 * variance.sqrt()),
            right,
            settled: true,
            seconds: began.elapsed().as_secs_f64(),
        }
    }
}

fn share(of: Share) -> f64 {
    of.hits as f64 / of.of.max(1) as f64
}

fn right(told: &[(usize, f32)], labels: &[usize]) -> Share {
    let hits = told.iter().zip(labels).filter(|((told, _), label)| told == *label).count();
    Share { hits, of: labels.len() }
}

/// The C that does best on the validation pictures, and how well: from the authors' least upwards, while that helps, and
/// downwards from there if the least was the best.
fn choose(
    table: &Table,
    set: &Labelled,
    split: &Split,
    seed: u64,
    progress: &mut Progress,
) -> Result<(f64, f64), Cancelled> {
    let learner = |rows| Learner::new(table, rows, &set.labels, set.classes.len());
    let mut learners: Vec<Learner> = split.choosing.iter().map(|rows| learner(rows)).collect();
    let mut found = BTreeMap::new();
    let mut best = (FIRST, 0.0);
    for direction in [1, -1] {
        let (mut rung, mut worse) = (if direction == 1 { FIRST } else { FIRST - 1 }, 0);
        while worse < PATIENCE && (ENDS[0]..=ENDS[1]).contains(&rung) && (direction == 1 || best.0 < FIRST + 1) {
            progress("choosing C", found.len(), found.len() + PATIENCE)?;
            let tried = learners.iter_mut().map(|learner| {
                let machine = learner.learn(ladder(rung), seed);
                let hit = |&&row: &&usize| machine.tell(table.row(row)).0 == set.labels[row];
                split.validation.par_iter().filter(|row| hit(row)).count() as f64
            });
            let share = tried.sum::<f64>() / (split.validation.len() * split.choosing.len()) as f64;
            found.insert(rung, share);
            worse = if share > best.1 { 0 } else { worse + 1 };
            if share > best.1 {
                best = (rung, share);
            }
            rung += direction;
        }
    }
    Ok((ladder(best.0), best.1))
}

/// 1, 2, 5, 10, 20 ... and downwards: rung 0 is 1, rung -12 is 1e-4.
fn ladder(rung: i32) -> f64 {
    [1.0, 2.0, 5.0][rung.rem_euclid(3) as usize] * 10f64.powi(rung.div_euclid(3))
}

/// What each machine takes each test picture for, and with how much confidence. Features are in memory for some pictures
/// at a time only.
fn tell(
    space: &Space,
    machines: &[Svm],
    test: &Labelled,
    progress: &mut Progress,
) -> Result<Vec<Vec<(usize, f32)>>, MeasureError> {
    let mut told = vec![Vec::with_capacity(test.pictures.len()); machines.len()];
    for (number, pictures) in test.pictures.chunks(TESTED).enumerate() {
        let table = space.features(pictures, &mut |_| Ok(()))?;
        for (told, machine) in told.iter_mut().zip(machines) {
            let rows: Vec<_> = (0..table.len()).into_par_iter().map(|row| machine.tell(table.row(row))).collect();
            told.extend(rows);
        }
        progress("telling test pictures", number * TESTED + pictures.len(), test.pictures.len())?;
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::{Picture, PictureFormat};
    use crate::model::Preset;

    /// Stripes across or along, in noise: two classes that no mean of pixels tells.
    fn stripes(count: usize, first: usize) -> Labelled {
        let one = |i: usize| {
            let (shift, along) = (i * 7 % 4, i % 2 == 1);
            let pixel = |p: usize| {
                let at = if along { p / 16 } else { p % 16 };
                let noise = ((p * 7919 + i * 104_729 + p * p * i) % 97) as u8;
                if (at + shift) % 4 < 2 { 30 + noise } else { 130 + noise }
            };
            Picture::new(16, 16, 1, (0..256).map(pixel).collect())
        };
        Labelled {
            pictures: (first..first + count).map(one).collect(),
            labels: (first..first + count).map(|i| i % 2).collect(),
            classes: vec!["across".into(), "along".into()],
            skipped: Vec::new(),
        }
    }

    fn settings() -> Settings {
        let (statistics, memory) = (None, 1.0);
        Settings { labels: None, draws: 1, validation: 24, supervised: 1, epochs: 1, statistics, memory, seed: 1 }
    }

    /// The same pictures as a set, in a folder.
    fn set(pictures: &Labelled) -> (tempfile::TempDir, Dataset) {
        let folder = tempfile::tempdir().unwrap();
        for (number, (picture, &label)) in pictures.pictures.iter().zip(&pictures.labels).enumerate() {
            let place = folder.path().join("stripes").join(&pictures.classes[label]);
            picture.write_png(&place.join(format!("{number}.png"))).unwrap();
        }
        let source = Source::parse(&folder.path().join("stripes").to_string_lossy()).unwrap();
        let set = Dataset::open(&source, PictureFormat::new(16, 1), 1).unwrap();
        (folder, set)
    }

    fn judge() -> Discriminator {
        let config = ModelConfig { size: 16, base: 4, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        Discriminator::new(&config, 1, &Device::flex())
    }

    fn run(settings: Settings, training: &Labelled, test: &Labelled) -> Result<Report, MeasureError> {
        let (_folder, set) = set(training);
        classify(&judge(), [training, test], &set, settings, &Device::flex(), &mut |_, _, _| Ok(()))
    }

    #[test]
    fn features_tell_what_pixels_do_not() {
        let report = run(settings(), &stripes(96, 0), &stripes(60, 96)).unwrap();
        let value = |i: usize| report.scored[i].accuracy.value;
        assert_eq!(report.scored.len(), 4);
        assert!(value(0) > 0.9, "{:?}", report.scored);
        assert!(value(3) > 0.9, "a network learns it from the labels: {:?}", report.scored[3]);
        assert_eq!(report.scored[0].features, Some((4 + 8) * 16));
        assert_eq!(report.confusion.counts.iter().flatten().sum::<usize>(), 60);
        let again = run(settings(), &stripes(96, 0), &stripes(60, 96)).unwrap();
        assert_eq!(again.scored[0].right, report.scored[0].right, "a seed decides everything");
    }

    #[test]
    fn few_labels_are_drawn_again_and_again() {
        let few = Settings { labels: Some(16), draws: 5, supervised: 0, ..settings() };
        let report = run(few, &stripes(96, 0), &stripes(40, 96)).unwrap();
        assert_eq!(report.scored.len(), 3);
        let told = &report.scored[0];
        assert_eq!((told.right.len(), told.right[0].of), (5, 40));
        assert!(told.accuracy.low <= told.accuracy.value && told.accuracy.value <= told.accuracy.high);
        assert!(told.spread.is_some());
    }

    #[test]
    fn batch_norm_s_statistics_are_those_of_all_training_pictures_however_few_have_labels() {
        let (all, test, device) = (stripes(400, 0), stripes(20, 400), Device::flex());
        let (_folder, set) = set(&all);
        let [labelled, _] = all.clone().parted(60);
        let measured = |statistics: Option<usize>| {
            let settings = Settings { labels: Some(16), draws: 2, supervised: 0, statistics, ..settings() };
            let trial = Trial::new(judge().config(), [&labelled, &test], &set, settings).unwrap();
            let by = By::Discriminator(&judge());
            let space = Space::over(by, &trial.whole, settings.seed, &device, &mut |_, _, _| Ok(())).unwrap();
            (trial.statistics(), space.features(&test.pictures, &mut |_| Ok(())).unwrap())
        };
        let (count, by_all) = measured(None);
        let (fewer, by_few) = measured(Some(60));
        assert_eq!((count, fewer), (400, 60));
        // The order decides which pictures the last batch lacks, and nothing else.
        let shuffled: Vec<Picture> = Whole::new(&set, None, 1).batches(400).flatten().collect();
        let expected = Space::new(By::Discriminator(&judge()), &shuffled, 1, &device);
        let expected = expected.features(&test.pictures, &mut |_| Ok(())).unwrap();
        let apart = |a: &Table, b: &Table| {
            a.rows().flatten().zip(b.rows().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        assert_eq!(apart(&by_all, &expected), 0.0);
        assert!(
            apart(&by_few, &expected) > 1e-4,
            "sixty pictures have other statistics: {}",
            apart(&by_few, &expected)
        );
    }

    #[test]
    fn what_is_missing_is_said() {
        let many = Settings { labels: Some(90), ..settings() };
        let error = run(many, &stripes(96, 0), &stripes(40, 96)).unwrap_err().to_string();
        assert!(
            error.contains("stripes") && error.contains("of class across") && error.contains("--labels"),
            "{error}"
        );
        let none = Settings { validation: 0, ..settings() };
        assert!(run(none, &stripes(96, 0), &stripes(40, 96)).unwrap_err().to_string().contains("--validation"));
        let small = Settings { memory: 1e-6, ..settings() };
        assert!(run(small, &stripes(96, 0), &stripes(40, 96)).unwrap_err().to_string().contains("--memory"));
    }

    #[test]
    fn the_ladder_has_the_authors_cs() {
        let cs: Vec<f64> = (FIRST..FIRST + 7).map(ladder).collect();
        for (ours, authors) in cs.iter().zip([1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]) {
            assert!((ours / authors - 1.0).abs() < 1e-9, "{cs:?}");
        }
    }
}
