//! What the inspector does step by step, so that something newer can come between.

use burn::tensor::Device;

use super::desk::{Comparison, Told};
use crate::data::{Dataset, Source};
use crate::dissect::calibration::Calibration;
use crate::dissect::effect::{Trial, dose, doses};
use crate::dissect::guided::{PICTURES, RANDOM, Search};
use crate::dissect::object::Found;
use crate::dissect::segment::Finder;
use crate::image::{Area, Picture};
use crate::latent::samples;
use crate::model::{Discriminator, Model};

/// Pictures of a step of the hunt.
const BATCH: u64 = 64;

#[derive(PartialEq, Eq)]
pub(super) enum Step {
    GoOn,
    Done,
}

/// Something that goes on.
pub(super) trait Job {
    fn step(&mut self, model: &Model, device: &Device, tell: &dyn Fn(Told)) -> anyhow::Result<Step>;
}

/// Draws the z's as they are and under each ablation, then measures each.
pub(super) struct Comparing {
    comparison: Comparison,
    finder: Option<Finder>,
    trial: Option<Trial>,
    drawn: Vec<Vec<Picture>>,
    measured: usize,
}

impl Comparing {
    pub fn new(comparison: Comparison, finder: Option<Finder>, trial: Option<Trial>) -> Self {
        Self { comparison, finder, trial, drawn: Vec::new(), measured: 0 }
    }

    /// What was drawn and found already, if another comparison is of the same z's.
    pub fn trial_of(self, other: &Comparison) -> Option<Trial> {
        let mine = &self.comparison;
        let same = mine.numbers == other.numbers && mine.boxes == other.boxes && mine.looks == other.looks;
        self.trial.filter(|_| same)
    }
}

/// Samples of a comparison; where windows are not looked for, the object is where the boxes are.
fn trial(
    comparison: &Comparison,
    numbers: &[u64],
    finder: Option<&Finder>,
    model: &Model,
    device: &Device,
) -> Result<Trial, crate::latent::DrawError> {
    let config = model.config();
    let boxed = |number: &u64| {
        let boxes = comparison.boxes.boxes.get(number).map_or(&[][..], Vec::as_slice);
        Area::of_boxes(config.size, boxes)
    };
    let objects = finder.is_none().then(|| numbers.iter().map(boxed).collect());
    let z = samples(config, comparison.boxes.seed, numbers.iter().copied());
    Trial::new(&model.generator, z, objects, finder, device)
}

impl Job for Comparing {
    fn step(&mut self, model: &Model, device: &Device, tell: &dyn Fn(Told)) -> anyhow::Result<Step> {
        let parts = self.comparison.parts.clone();
        let Some(trial) = &self.trial else {
            let made = trial(&self.comparison, &self.comparison.numbers, self.finder.as_ref(), model, device)?;
            tell(Told::Drawn { which: None, pictures: made.before.clone(), parts });
            self.trial = Some(made);
            return Ok(Step::GoOn);
        };
        if let Some(ablation) = self.comparison.ablations.get(self.drawn.len()) {
            let pictures = trial.draw(ablation)?;
            tell(Told::Drawn { which: Some(self.drawn.len()), pictures: pictures.clone(), parts });
            self.drawn.push(pictures);
        } else if let Some(pictures) = self.drawn.get(self.measured) {
            let effects = trial.measure(pictures, parts.ranges())?;
            tell(Told::Measured { which: self.measured, effects });
            self.measured += 1;
        }
        Ok(if self.measured < self.comparison.ablations.len() { Step::GoOn } else { Step::Done })
    }
}

/// A dose-response curve: on fresh samples where the object is looked for, and on those with boxes otherwise, since only there
/// it is known where the object is.
pub(super) struct Curving {
    comparison: Comparison,
    found: Found,
    finder: Option<Finder>,
    trial: Option<Trial>,
    doses: Vec<usize>,
    done: usize,
}

impl Curving {
    pub fn new(comparison: Comparison, found: Found, finder: Option<Finder>) -> Self {
        let doses = doses(found.positive());
        Self { comparison, found, finder, trial: None, doses, done: 0 }
    }
}

impl Job for Curving {
    fn step(&mut self, model: &Model, device: &Device, tell: &dyn Fn(Told)) -> anyhow::Result<Step> {
        let all = self.doses.len() as u64;
        let (Some(trial), Some(like)) = (&self.trial, self.comparison.ablations.first()) else {
            let comparison = &self.comparison;
            let [fitted, fresh] = comparison.parts.ranges();
            let numbers = &comparison.numbers[if self.finder.is_some() { fresh } else { fitted }];
            self.trial = Some(trial(comparison, numbers, self.finder.as_ref(), model, device)?);
            tell(Told::Progress { done: 0, all });
            return Ok(if self.comparison.ablations.is_empty() { Step::Done } else { Step::GoOn });
        };
        if let Some(&count) = self.doses.get(self.done) {
            tell(Told::Dose(dose(trial, &self.found, like, count, 1)?));
            self.done += 1;
        }
        tell(Told::Progress { done: self.done as u64, all });
        Ok(if self.done < self.doses.len() { Step::GoOn } else { Step::Done })
    }
}

/// The strongest responses of trained features and of random ones.
pub(super) struct Hunt {
    data: Dataset,
    count: u64,
    next: u64,
    /// The trained discriminator and the random one.
    networks: Vec<Discriminator>,
    /// Their batch-norm statistics, where those of the data are used.
    calibration: Option<Calibration>,
    unlearnt: Search,
    learnt: Search,
}

impl Hunt {
    pub fn new(
        data: &str,
        count: u64,
        layer: usize,
        maps: &[usize],
        measured: bool,
        judge: &Discriminator,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let config = judge.config();
        let data = Dataset::open(&Source::parse(data)?, config.pictures(), 1)?;
        let count = data.len().map_or(count, |length| count.min(length as u64));
        let search = Search::new(layer, maps.iter().copied(), PICTURES);
        let networks = vec![judge.clone(), Discriminator::new(config, RANDOM, device)];
        let calibration = measured.then(|| Calibration::new(networks.clone(), &data));
        Ok(Self { data, count, next: 0, networks, calibration, unlearnt: search.clone(), learnt: search })
    }
}

impl Job for Hunt {
    fn step(&mut self, _model: &Model, device: &Device, tell: &dyn Fn(Told)) -> anyhow::Result<Step> {
        if let Some(mut calibration) = self.calibration.take() {
            if !calibration.step(&self.data, device) {
                self.calibration = Some(calibration);
            } else if let Some((networks, _)) = calibration.finish(device)? {
                self.networks = networks;
            }
            return Ok(Step::GoOn);
        }
        let [learnt, random] = &self.networks[..] else { return Ok(Step::Done) };
        if self.next < self.count {
            let numbers = self.next..(self.next + BATCH).min(self.count);
            self.next = numbers.end;
            let pictures: Vec<_> =
                numbers.filter_map(|number| Some((number, self.data.picture(number).ok()?))).collect();
            if !pictures.is_empty() {
                self.learnt.look(learnt, &pictures, device)?;
                self.unlearnt.look(random, &pictures, device)?;
            }
            tell(Told::Progress { done: self.next, all: self.count });
            return Ok(Step::GoOn);
        }
        let random = self.unlearnt.clone().finish(random, device)?;
        let learnt = self.learnt.clone().finish(learnt, device)?;
        anyhow::ensure!(
            learnt.iter().any(|feature| !feature.responses.is_empty()),
            "none of the {} pictures of {} can be read",
            self.count,
            self.data.source()
        );
        tell(Told::Hunted { random, learnt });
        Ok(Step::Done)
    }
}
