//! Work of the inspector that is divided into steps, so that newer requests are served in between.

use std::ops::ControlFlow;

use burn::tensor::Device;

use super::worker::{AblationComparison, InspectorResponse};
use crate::app::service::Outbox;
use crate::data::{Dataset, Source};
use crate::dissect::calibration::Calibration;
use crate::dissect::effect::{AblationExperiment, dose, doses};
use crate::dissect::guided::{FIGURE_PICTURES, RANDOM_WEIGHTS_SEED, ResponseSearch};
use crate::dissect::object::ObjectFilters;
use crate::dissect::window_finder::WindowFinder;
use crate::image::{Area, Picture};
use crate::latent::sample_zs;
use crate::model::{Discriminator, Model};

/// Images that a step of the search for features reads.
const BATCH: u64 = 64;

pub(super) trait Task {
    /// Does the next step; [`ControlFlow::Break`] after the last one.
    fn step(
        &mut self,
        model: &Model,
        device: &Device,
        outbox: &Outbox<InspectorResponse>,
    ) -> anyhow::Result<ControlFlow<()>>;
}

fn continue_if(unfinished: bool) -> ControlFlow<()> {
    if unfinished { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Generates samples without and with each ablation, then measures each ablation's effect.
pub(super) struct ComparisonTask {
    comparison: AblationComparison,
    finder: Option<WindowFinder>,
    trial: Option<AblationExperiment>,
    generated: Vec<Vec<Picture>>,
    measured: usize,
}

impl ComparisonTask {
    pub fn new(
        comparison: AblationComparison,
        finder: Option<WindowFinder>,
        trial: Option<AblationExperiment>,
    ) -> Self {
        Self { comparison, finder, trial, generated: Vec::new(), measured: 0 }
    }

    /// The samples without ablation, if another comparison uses the same ones.
    pub fn reusable_for(self, other: &AblationComparison) -> Option<AblationExperiment> {
        let mine = &self.comparison;
        let same =
            mine.numbers == other.numbers && mine.boxes == other.boxes && mine.detects_windows == other.detects_windows;
        self.trial.filter(|_| same)
    }
}

/// Generates the samples `numbers` without ablation. Where windows are not detected, the object is where the boxes are.
fn trial(
    comparison: &AblationComparison,
    numbers: &[u64],
    finder: Option<&WindowFinder>,
    model: &Model,
    device: &Device,
) -> Result<AblationExperiment, crate::device::ComputeError> {
    let config = model.config();
    let boxed = |number: &u64| {
        let boxes = comparison.boxes.boxes.get(number).map_or(&[][..], Vec::as_slice);
        Area::of_boxes(config.size, boxes)
    };
    let objects = finder.is_none().then(|| numbers.iter().map(boxed).collect());
    let z = sample_zs(config, comparison.boxes.seed, numbers.iter().copied());
    AblationExperiment::new(&model.generator, z, objects, finder, device)
}

impl Task for ComparisonTask {
    fn step(
        &mut self,
        model: &Model,
        device: &Device,
        outbox: &Outbox<InspectorResponse>,
    ) -> anyhow::Result<ControlFlow<()>> {
        let parts = self.comparison.parts.clone();
        let Some(trial) = &self.trial else {
            let trial = trial(&self.comparison, &self.comparison.numbers, self.finder.as_ref(), model, device)?;
            outbox.send(InspectorResponse::Generated { ablation: None, pictures: trial.before.clone(), parts });
            self.trial = Some(trial);
            return Ok(ControlFlow::Continue(()));
        };
        if let Some(ablation) = self.comparison.ablations.get(self.generated.len()) {
            let pictures = trial.ablated(ablation)?;
            let ablation = Some(self.generated.len());
            outbox.send(InspectorResponse::Generated { ablation, pictures: pictures.clone(), parts });
            self.generated.push(pictures);
        } else if let Some(pictures) = self.generated.get(self.measured) {
            let effects = trial.measure(pictures, parts.ranges())?;
            outbox.send(InspectorResponse::Measured { ablation: self.measured, effects });
            self.measured += 1;
        }
        Ok(continue_if(self.measured < self.comparison.ablations.len()))
    }
}

/// Measures a dose-response curve: on fresh samples where windows are detected, and otherwise on those with boxes, since only there it
/// is known where the object is.
pub(super) struct DoseCurveTask {
    comparison: AblationComparison,
    found: ObjectFilters,
    finder: Option<WindowFinder>,
    trial: Option<AblationExperiment>,
    /// Numbers of dropped filters.
    doses: Vec<usize>,
    done: usize,
}

impl DoseCurveTask {
    pub fn new(comparison: AblationComparison, found: ObjectFilters, finder: Option<WindowFinder>) -> Self {
        let doses = doses(found.positive());
        Self { comparison, found, finder, trial: None, doses, done: 0 }
    }
}

impl Task for DoseCurveTask {
    fn step(
        &mut self,
        model: &Model,
        device: &Device,
        outbox: &Outbox<InspectorResponse>,
    ) -> anyhow::Result<ControlFlow<()>> {
        let total = self.doses.len() as u64;
        let (Some(trial), Some(like)) = (&self.trial, self.comparison.ablations.first()) else {
            let comparison = &self.comparison;
            let [fitted, fresh] = comparison.parts.ranges();
            let numbers = &comparison.numbers[if self.finder.is_some() { fresh } else { fitted }];
            self.trial = Some(trial(comparison, numbers, self.finder.as_ref(), model, device)?);
            outbox.send(InspectorResponse::Progress { done: 0, total });
            return Ok(continue_if(!self.comparison.ablations.is_empty()));
        };
        if let Some(&count) = self.doses.get(self.done) {
            outbox.send(InspectorResponse::Dose(dose(trial, &self.found, like, count, 1)?));
            self.done += 1;
        }
        outbox.send(InspectorResponse::Progress { done: self.done as u64, total });
        Ok(continue_if(self.done < self.doses.len()))
    }
}

/// Searches data for the images to which trained and random features respond most strongly.
pub(super) struct FeatureSearchTask {
    data: Dataset,
    count: u64,
    next: u64,
    /// The trained discriminator and the random one.
    networks: Vec<Discriminator>,
    /// Measures their batch-norm statistics, where those of the data are used.
    calibration: Option<Calibration>,
    random: ResponseSearch,
    trained: ResponseSearch,
}

impl FeatureSearchTask {
    pub fn new(
        data: &str,
        count: u64,
        layer: usize,
        maps: &[usize],
        calibrates: bool,
        discriminator: &Discriminator,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let config = discriminator.config();
        let data = Dataset::open(&Source::from(data), config.pictures(), 1)?;
        let count = data.len().map_or(count, |length| count.min(length as u64));
        let search = ResponseSearch::new(layer, maps.iter().copied(), FIGURE_PICTURES);
        let networks = vec![discriminator.clone(), Discriminator::new(config, RANDOM_WEIGHTS_SEED, device)];
        let calibration = calibrates.then(|| Calibration::new(networks.clone(), &data));
        Ok(Self { data, count, next: 0, networks, calibration, random: search.clone(), trained: search })
    }
}

impl Task for FeatureSearchTask {
    fn step(
        &mut self,
        _model: &Model,
        device: &Device,
        outbox: &Outbox<InspectorResponse>,
    ) -> anyhow::Result<ControlFlow<()>> {
        if let Some(mut calibration) = self.calibration.take() {
            if !calibration.step(&self.data, device) {
                self.calibration = Some(calibration);
            } else if let Some((networks, _)) = calibration.finish(device)? {
                self.networks = networks;
            }
            return Ok(ControlFlow::Continue(()));
        }
        let [trained, random] = &self.networks[..] else { return Ok(ControlFlow::Break(())) };
        if self.next < self.count {
            let numbers = self.next..(self.next + BATCH).min(self.count);
            self.next = numbers.end;
            let pictures: Vec<_> =
                numbers.filter_map(|number| Some((number, self.data.picture(number).ok()?))).collect();
            if !pictures.is_empty() {
                self.trained.scan(trained, &pictures, device)?;
                self.random.scan(random, &pictures, device)?;
            }
            outbox.send(InspectorResponse::Progress { done: self.next, total: self.count });
            return Ok(ControlFlow::Continue(()));
        }
        let random = self.random.clone().finish(random, device)?;
        let trained = self.trained.clone().finish(trained, device)?;
        anyhow::ensure!(
            trained.iter().any(|feature| !feature.responses.is_empty()),
            "cannot read any of the {} images of {}",
            self.count,
            self.data.source()
        );
        outbox.send(InspectorResponse::FeaturesFound { random, trained });
        Ok(ControlFlow::Break(()))
    }
}
