//! The inspector's thread, which looks inside the explored networks.
//!
//! It opens the model a second time, so that work of seconds (fits, dose-response curves, searches through data) never delays what
//! the pointer waits for in the explorer. Long work is divided into steps; newer requests are served in between.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::mem::discriminant;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;

use super::calibrated::CalibratedDiscriminator;
use super::tasks::{ComparisonTask, DoseCurveTask, FeatureSearchTask, Task};
use crate::app::service::{Handler, Outbox, Service, push_latest};
use crate::data::read_prepared;
use crate::dissect::calibration::NormStatisticsSource;
use crate::dissect::effect::{AblationEffect, DosePoint};
use crate::dissect::guided::FeatureResponses;
use crate::dissect::layers::{self, LayerMaps, discriminator_peaks, generator_peaks, highlight};
use crate::dissect::object::{Activations, ObjectFilters, find_object_filters};
use crate::dissect::removal_figure::SampleSplit;
use crate::dissect::saliency::{LogitSaliency, logit_saliency};
use crate::dissect::window_finder::WindowFinder;
use crate::image::{Picture, Rectangle};
use crate::latent::boxes::Boxes;
use crate::latent::{self, sample_zs};
use crate::model::{Ablation, BackwardRule, Model, ModelConfig, TensorFile};

/// Samples among which those that activate a map most are searched for, and how many of these are shown.
const SEARCHED: u64 = 256;
const TOP_SAMPLES: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NetworkKind {
    Generator,
    Discriminator,
}

/// Names a feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MapId {
    pub network: NetworkKind,
    pub layer: usize,
    pub map: usize,
}

/// A sample under ablations, and the batch-norm statistics that the discriminator uses on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct InspectedSample {
    pub z: Vec<f32>,
    pub seed: u64,
    pub ablations: Vec<Ablation>,
    pub statistics: StatisticsSource,
}

/// Where the discriminator's batch-norm statistics come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StatisticsSource {
    /// Images of this data set, where they can be read.
    Data(String),
    /// The running statistics of the training.
    Running,
}

/// What the filters of an object are found from: boxes over it on the first `samples` samples.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FilterQuery {
    pub samples: u64,
    pub layer: usize,
    pub boxes: Boxes,
}

/// Samples that are generated without and with each ablation, and the ablations' effects.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct AblationComparison {
    pub boxes: Boxes,
    pub numbers: Vec<u64>,
    /// Which of them the filters were found with.
    pub parts: SampleSplit,
    pub ablations: Vec<Ablation>,
    /// Whether windows are detected, to measure how much is removed.
    pub detects_windows: bool,
}

/// The image that the discriminator classifies.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum DiscriminatorInput {
    Sample(InspectedSample),
    File(PathBuf),
}

/// Of each kind only the newest request is served, but for models, which are opened in turn.
pub(super) enum InspectorRequest {
    Open(PathBuf),
    /// Opens the newest networks of a run folder in training.
    Follow(PathBuf, Arc<TensorFile>),
    /// The feature maps of all layers of the generator.
    Layers(InspectedSample),
    /// The feature maps of all layers of the discriminator.
    Responses(InspectedSample),
    /// A feature map in detail.
    Focus(InspectedSample, MapId),
    /// The samples that boxes are drawn on, without ablations.
    Samples {
        seed: u64,
        count: u64,
    },
    Fit(Box<FilterQuery>),
    Compare(Box<AblationComparison>),
    /// Boxes around the windows on samples.
    DetectWindows {
        seed: u64,
        count: u64,
    },
    DoseCurve(Box<AblationComparison>, Box<ObjectFilters>),
    /// The images to which features respond most strongly.
    FindFeatures {
        data: String,
        /// Images that are searched.
        count: u64,
        layer: usize,
        maps: Vec<usize>,
        statistics: StatisticsSource,
    },
    Discriminate(DiscriminatorInput, BackwardRule, StatisticsSource),
    /// Cancels a dose-response curve or a search for features.
    Cancel,
}

impl InspectorRequest {
    /// The discriminator's statistics that must be measured first.
    fn statistics(&self) -> Option<&StatisticsSource> {
        match self {
            Self::Responses(sample) => Some(&sample.statistics),
            Self::Focus(sample, map) if map.network == NetworkKind::Discriminator => Some(&sample.statistics),
            Self::Discriminate(_, _, statistics) => Some(statistics),
            _ => None,
        }
    }
}

pub(super) struct OpenedModel {
    pub path: PathBuf,
    pub config: ModelConfig,
    /// The data set that it was trained on, if known.
    pub data: Option<String>,
    pub has_discriminator: bool,
}

/// The effect of a feature map: with the map as it is, dropped, and doubled.
pub(super) enum MapEffect {
    /// The generator's images.
    Images(Vec<Picture>),
    /// The discriminator's logits.
    Logits([f32; 3]),
}

pub(super) enum InspectorResponse {
    Opened(OpenedModel),
    Layers {
        picture: Picture,
        maps: Vec<LayerMaps>,
    },
    Responses {
        maps: Vec<LayerMaps>,
        logit: f32,
    },
    /// Images from which the discriminator's batch-norm statistics have been measured.
    Calibrating {
        done: usize,
        total: usize,
    },
    /// The batch-norm statistics that the discriminator uses from now on.
    Calibrated(NormStatisticsSource),
    Focus {
        map: MapId,
        /// The map over the sample's image.
        overlay: Picture,
        /// Number, activation and image of the samples that activate the map most.
        top_samples: Vec<(u64, f32, Picture)>,
        effect: MapEffect,
    },
    Samples {
        seed: u64,
        pictures: Vec<Picture>,
    },
    Fitted(Box<FilterQuery>, Result<ObjectFilters, String>),
    /// The samples of a comparison without ablation (`None`), then under each ablation.
    Generated {
        ablation: Option<usize>,
        pictures: Vec<Picture>,
        parts: SampleSplit,
    },
    /// The effect of an ablation on the samples that the filters were found with, and on fresh ones.
    Measured {
        ablation: usize,
        effects: [AblationEffect; 2],
    },
    WindowsDetected {
        seed: u64,
        boxes: BTreeMap<u64, Vec<Rectangle>>,
    },
    Dose(DosePoint),
    /// The progress of a curve or a search.
    Progress {
        done: u64,
        total: u64,
    },
    FeaturesFound {
        random: Vec<FeatureResponses>,
        trained: Vec<FeatureResponses>,
    },
    Discriminated {
        picture: Picture,
        verdict: LogitSaliency,
    },
    Failed(String),
}

/// The handle of the inspector's thread.
pub(super) type InspectorWorker = Service<InspectorRequest, InspectorResponse>;

impl InspectorWorker {
    pub fn start(device: Device, ctx: &egui::Context) -> Self {
        Self::spawn("inspector", ctx, || InspectorState {
            device,
            model: None,
            waiting: VecDeque::new(),
            discriminator: CalibratedDiscriminator::default(),
            activations: None,
            finder: None,
            comparison: None,
            compared: None,
            long_task: None,
        })
    }
}

/// What the thread owns.
struct InspectorState {
    device: Device,
    model: Option<Model>,
    /// The newest request of each kind, oldest first.
    waiting: VecDeque<InspectorRequest>,
    discriminator: CalibratedDiscriminator,
    /// Those of the last fit, by seed, samples and layer.
    activations: Option<((u64, u64, usize), Activations)>,
    finder: Option<WindowFinder>,
    /// The comparison that is being computed, which goes before the long task.
    comparison: Option<ComparisonTask>,
    /// The last comparison: the next one is often of the same samples.
    compared: Option<ComparisonTask>,
    long_task: Option<Box<dyn Task>>,
}

impl Handler for InspectorState {
    type Request = InspectorRequest;
    type Response = InspectorResponse;

    fn handle(&mut self, request: InspectorRequest, outbox: &Outbox<InspectorResponse>) -> anyhow::Result<()> {
        match request {
            InspectorRequest::Open(path) => {
                let model = Model::open(&path, &self.device)?;
                self.open(path, model, outbox);
            }
            InspectorRequest::Follow(path, file) => {
                let model = Model::from_file(TensorFile::clone(&file), &path, &self.device)?;
                self.open(path, model, outbox);
            }
            InspectorRequest::Cancel => self.long_task = None,
            request => {
                push_latest(&mut self.waiting, request, |newer, older| discriminant(newer) == discriminant(older));
            }
        }
        Ok(())
    }

    fn is_busy(&self) -> bool {
        !self.waiting.is_empty() || self.comparison.is_some() || self.long_task.is_some()
    }

    /// Serves the oldest request that is ready; where none is, does a step of what goes on.
    fn step(&mut self, outbox: &Outbox<InspectorResponse>) -> anyhow::Result<()> {
        let Some(model) = self.model.clone() else {
            self.waiting.clear();
            return Ok(());
        };
        // Requests that use the discriminator wait for its statistics; the others need not.
        let stored = model.discriminator.as_ref();
        let is_ready = |request: &InspectorRequest| {
            let wanted = request.statistics();
            wanted.is_none_or(|statistics| stored.is_none() || self.discriminator.uses(statistics))
        };
        if let Some(request) = self.waiting.iter().position(is_ready).and_then(|at| self.waiting.remove(at)) {
            return self.serve(&model, request, outbox);
        }
        if let (Some(stored), Some(statistics)) = (stored, self.waiting.iter().find_map(InspectorRequest::statistics)) {
            return self.discriminator.calibrate(stored, &statistics.clone(), &self.device, outbox);
        }
        if let Some(mut task) = self.comparison.take() {
            match task.step(&model, &self.device, outbox)? {
                ControlFlow::Continue(()) => self.comparison = Some(task),
                ControlFlow::Break(()) => self.compared = Some(task),
            }
        } else if let Some(mut task) = self.long_task.take()
            && task.step(&model, &self.device, outbox)?.is_continue()
        {
            self.long_task = Some(task);
        }
        Ok(())
    }

    fn activity(request: Option<&InspectorRequest>) -> &'static str {
        match request {
            Some(InspectorRequest::Open(_) | InspectorRequest::Follow(..)) => "opening the model",
            _ => "inspecting the model",
        }
    }

    fn recover(&mut self) {
        (self.comparison, self.long_task) = (None, None);
        self.discriminator = CalibratedDiscriminator::default();
    }

    fn failure(error: String) -> InspectorResponse {
        InspectorResponse::Failed(error)
    }
}

impl InspectorState {
    fn open(&mut self, path: PathBuf, model: Model, outbox: &Outbox<InspectorResponse>) {
        let (config, has_discriminator) = (model.config().clone(), model.discriminator.is_some());
        let data = model.provenance.source().map(str::to_owned);
        self.model = Some(model);
        self.waiting.clear();
        self.discriminator = CalibratedDiscriminator::default();
        (self.activations, self.comparison, self.compared, self.long_task) = (None, None, None, None);
        outbox.send(InspectorResponse::Opened(OpenedModel { path, config, data, has_discriminator }));
    }

    fn finder(&mut self) -> anyhow::Result<WindowFinder> {
        if let Some(finder) = &self.finder {
            return Ok(finder.clone());
        }
        let finder = WindowFinder::bundled(&self.device)?;
        self.finder = Some(finder.clone());
        Ok(finder)
    }

    fn serve(
        &mut self,
        model: &Model,
        request: InspectorRequest,
        outbox: &Outbox<InspectorResponse>,
    ) -> anyhow::Result<()> {
        let generator = &model.generator;
        match request {
            InspectorRequest::Layers(sample) => {
                let ablated = generator.with_ablations(&sample.ablations);
                let (maps, picture) = layers::generator_maps(&ablated, &sample.z, &self.device)?;
                outbox.send(InspectorResponse::Layers { picture, maps });
            }
            InspectorRequest::Responses(sample) => {
                let Some(discriminator) = self.discriminator.ready() else { return Ok(()) };
                let picture = self.generate(model, &sample)?;
                let (maps, logit) = layers::discriminator_maps(discriminator, &picture, &self.device)?;
                outbox.send(InspectorResponse::Responses { maps, logit });
            }
            InspectorRequest::Focus(sample, map) => self.focus(model, &sample, map, outbox)?,
            InspectorRequest::Samples { seed, count } => {
                let pictures =
                    latent::generate_pictures(generator, &sample_zs(model.config(), seed, 0..count), &self.device)?;
                outbox.send(InspectorResponse::Samples { seed, pictures });
            }
            InspectorRequest::Fit(query) => {
                let key = (query.boxes.seed, query.samples, query.layer);
                if self.activations.as_ref().is_none_or(|(of, _)| *of != key) {
                    let z = sample_zs(model.config(), query.boxes.seed, 0..query.samples);
                    self.activations = Some((key, Activations::of(generator, &z, query.layer, &self.device)?));
                }
                let found = match (query.boxes.check(model.config()), &self.activations) {
                    (Err(error), _) => Err(error.to_string()),
                    (Ok(()), Some((_, activations))) => {
                        find_object_filters(activations, &query.boxes.areas(), query.boxes.seed)
                            .map_err(|error| error.to_string())
                    }
                    (Ok(()), None) => return Ok(()),
                };
                outbox.send(InspectorResponse::Fitted(query, found));
            }
            InspectorRequest::Compare(comparison) => {
                let finder = if comparison.detects_windows { Some(self.finder()?) } else { None };
                // From one comparison to the next often only the ablations change.
                let last = self.comparison.take().or(self.compared.take());
                let trial = last.and_then(|task| task.reusable_for(&comparison));
                self.comparison = Some(ComparisonTask::new(*comparison, finder, trial));
            }
            InspectorRequest::DetectWindows { seed, count } => {
                let finder = self.finder()?;
                let pictures =
                    latent::generate_pictures(generator, &sample_zs(model.config(), seed, 0..count), &self.device)?;
                let areas = finder.areas(&pictures)?;
                let boxes = (0..).zip(areas.iter().map(|area| area.boxes(1))).collect();
                outbox.send(InspectorResponse::WindowsDetected { seed, boxes });
            }
            InspectorRequest::DoseCurve(comparison, found) => {
                let finder = if comparison.detects_windows { Some(self.finder()?) } else { None };
                self.long_task = Some(Box::new(DoseCurveTask::new(*comparison, *found, finder)));
            }
            InspectorRequest::FindFeatures { data, count, layer, maps, statistics } => {
                let Some(discriminator) = &model.discriminator else {
                    anyhow::bail!("this model has no discriminator");
                };
                outbox.send(InspectorResponse::Progress { done: 0, total: count });
                let calibrates = statistics != StatisticsSource::Running;
                let task = FeatureSearchTask::new(&data, count, layer, &maps, calibrates, discriminator, &self.device)?;
                self.long_task = Some(Box::new(task));
            }
            InspectorRequest::Discriminate(input, rule, _) => {
                let Some(discriminator) = self.discriminator.ready() else { return Ok(()) };
                let config = model.config();
                let picture = match input {
                    DiscriminatorInput::File(path) => read_prepared(&path, config.pictures())?,
                    DiscriminatorInput::Sample(sample) => self.generate(model, &sample)?,
                };
                let pictures = std::slice::from_ref(&picture);
                let verdict = logit_saliency(discriminator, pictures, rule, &self.device)?.remove(0);
                outbox.send(InspectorResponse::Discriminated { picture, verdict });
            }
            InspectorRequest::Open(_) | InspectorRequest::Follow(..) | InspectorRequest::Cancel => {}
        }
        Ok(())
    }

    /// The image of a sample under its ablations.
    fn generate(&self, model: &Model, sample: &InspectedSample) -> Result<Picture, crate::device::ComputeError> {
        let generator = model.generator.with_ablations(&sample.ablations);
        Ok(latent::generate_pictures(&generator, std::slice::from_ref(&sample.z), &self.device)?.remove(0))
    }

    fn focus(
        &self,
        model: &Model,
        sample: &InspectedSample,
        id: MapId,
        outbox: &Outbox<InspectorResponse>,
    ) -> anyhow::Result<()> {
        let generator = model.generator.with_ablations(&sample.ablations);
        let searched = sample_zs(model.config(), sample.seed, 0..SEARCHED);
        let pictures = latent::generate_pictures(&generator, &searched, &self.device)?;
        let (maps, picture) = layers::generator_maps(&generator, &sample.z, &self.device)?;
        let (layer, activations, effect) = match (id.network, self.discriminator.ready()) {
            (NetworkKind::Generator, _) => {
                let layer = maps.into_iter().nth(id.layer);
                let mut images = vec![picture.clone()];
                for gain in [0.0, 2.0] {
                    let ablations = [&sample.ablations[..], &[Ablation::scale(id.layer, &[id.map], gain)]].concat();
                    let z = std::slice::from_ref(&sample.z);
                    images.extend(latent::generate_pictures(&generator.with_ablations(&ablations), z, &self.device)?);
                }
                (layer, generator_peaks(&generator, &searched, id.layer, &self.device)?, MapEffect::Images(images))
            }
            (NetworkKind::Discriminator, Some(discriminator)) => {
                let (maps, _) = layers::discriminator_maps(discriminator, &picture, &self.device)?;
                let Some(layer) = maps.into_iter().nth(id.layer).filter(|layer| id.map < layer.maps.len()) else {
                    return Ok(());
                };
                let activations = discriminator_peaks(discriminator, &pictures, id.layer, &self.device)?;
                let logits = layers::logits_with_scaled_map(discriminator, &picture, (id.layer, id.map), &self.device)?;
                (Some(layer), activations, MapEffect::Logits(logits))
            }
            (NetworkKind::Discriminator, None) => return Ok(()),
        };
        let Some(layer) = layer.filter(|layer| id.map < layer.maps.len()) else { return Ok(()) };
        let mut order: Vec<usize> = (0..activations.len()).collect();
        order.sort_by(|&a, &b| activations[b][id.map].total_cmp(&activations[a][id.map]));
        let top_sample = |&i: &usize| (i as u64, activations[i][id.map], pictures[i].clone());
        let top_samples = order.iter().take(TOP_SAMPLES).map(top_sample).collect();
        let overlay = highlight(&picture, &layer.maps[id.map], layer.side);
        outbox.send(InspectorResponse::Focus { map: id, overlay, top_samples, effect });
        Ok(())
    }
}
