//! The thread that looks inside the explored networks. It has a copy of its own, so that what takes long never stands
//! before what the pointer waits for in the explorer.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::mem::discriminant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use crossbeam_channel::{Receiver, Sender, unbounded};

use super::jobs::{Comparing, Curving, Hunt, Job, Step};
use super::judge::Judge;
use crate::data::read_fitted;
use crate::dissect::calibration::NormStatistics;
use crate::dissect::effect::{Dose, Effect};
use crate::dissect::figure::Parts;
use crate::dissect::guided::{Feature, Verdict, verdicts};
use crate::dissect::layers::{self, LayerMaps, judged_peaks, lit, peaks};
use crate::dissect::object::{Activations, Found, find};
use crate::dissect::segment::Finder;
use crate::image::{Picture, Rectangle};
use crate::latent::boxes::Boxes;
use crate::latent::{self, samples};
use crate::model::{Ablation, Model, ModelConfig, Rule, TensorFile};

/// Samples that a map's top samples are looked for among, and how many are told.
const LOOKED_AT: u64 = 256;
const TOPS: usize = 10;

/// A layer of either network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Network {
    Generator,
    Discriminator,
}

/// A feature map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub network: Network,
    pub layer: usize,
    pub map: usize,
}

/// A sample under what is dropped, and which batch-norm statistics the discriminator uses on it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Subject {
    pub z: Vec<f32>,
    pub seed: u64,
    pub ablations: Vec<Ablation>,
    pub norms: Norms,
}

/// Which batch-norm statistics the discriminator is asked to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Norms {
    /// Those of pictures of this source, where they can be read.
    Data(String),
    /// The running statistics of the training.
    Running,
}

/// What filters are found with.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Study {
    pub samples: u64,
    pub layer: usize,
    pub boxes: Boxes,
}

/// z's with and without: each ablation is drawn, then measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub boxes: Boxes,
    pub numbers: Vec<u64>,
    /// Which of them the filters were found with.
    pub parts: Parts,
    pub ablations: Vec<Ablation>,
    /// Whether windows are looked for, to measure what is removed.
    pub looks: bool,
}

/// Whose verdict is asked for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Judged {
    Sample(Subject),
    File(PathBuf),
}

pub(super) enum Ask {
    Open(PathBuf),
    Follow(PathBuf, Arc<TensorFile>),
    /// The maps of every layer of the generator.
    Layers(Subject),
    /// The maps of every layer of the discriminator.
    Responses(Subject),
    /// A map in all detail.
    Focus(Subject, Place),
    /// The samples that are boxed, as the generator draws them with everything in place.
    Samples {
        seed: u64,
        count: u64,
    },
    Fit(Box<Study>),
    Compare(Box<Comparison>),
    /// Where windows are on the samples.
    Propose {
        seed: u64,
        count: u64,
    },
    /// A dose-response curve of what was found.
    Curve(Box<Comparison>, Box<Found>),
    /// The strongest answers of features: data, how many pictures, convolution, features.
    Hunt {
        data: String,
        count: u64,
        layer: usize,
        maps: Vec<usize>,
        norms: Norms,
    },
    Judge(Judged, Rule, Norms),
    /// Nothing long goes on.
    Stop,
}

impl Ask {
    /// The discriminator's statistics that this needs.
    fn norms(&self) -> Option<&Norms> {
        match self {
            Self::Responses(subject) => Some(&subject.norms),
            Self::Focus(subject, place) if place.network == Network::Discriminator => Some(&subject.norms),
            Self::Judge(_, _, norms) => Some(norms),
            _ => None,
        }
    }
}

pub(super) struct Opened {
    pub path: PathBuf,
    pub config: ModelConfig,
    /// What it was trained on, where that is known.
    pub data: Option<String>,
    pub judges: bool,
}

/// What a map does: with it as it is, dropped, and doubled.
pub(super) enum Trial {
    /// The generator's pictures.
    Drawn(Vec<Picture>),
    /// The discriminator's logits.
    Judged([f32; 3]),
}

pub(super) enum Told {
    Opened(Opened),
    Layers {
        picture: Picture,
        maps: Vec<LayerMaps>,
    },
    Responses {
        maps: Vec<LayerMaps>,
        logit: f32,
    },
    /// How many pictures the discriminator's batch-norm statistics are taken from so far, and of how many.
    Calibrating {
        done: usize,
        all: usize,
    },
    /// The batch-norm statistics that the discriminator now uses.
    Calibrated(NormStatistics),
    Focus {
        place: Place,
        lit: Picture,
        tops: Vec<(u64, f32, Picture)>,
        trial: Trial,
    },
    Samples {
        seed: u64,
        pictures: Vec<Picture>,
    },
    Fitted(Box<Study>, Result<Found, String>),
    /// The z's as they are, and then under each ablation.
    Drawn {
        which: Option<usize>,
        pictures: Vec<Picture>,
        parts: Parts,
    },
    /// What an ablation did to the samples that the filters were found with, and to the fresh ones.
    Measured {
        which: usize,
        effects: [Effect; 2],
    },
    Proposed {
        seed: u64,
        boxes: BTreeMap<u64, Vec<Rectangle>>,
    },
    Dose(Dose),
    /// How far something long is, and whether it goes on.
    Progress {
        done: u64,
        all: u64,
    },
    Hunted {
        random: Vec<Feature>,
        learnt: Vec<Feature>,
    },
    Judged {
        picture: Picture,
        verdict: Verdict,
    },
    Failed(String),
}

/// A handle to the thread, which ends with it.
pub(super) struct Inspector {
    asks: Sender<Ask>,
    pub told: Receiver<Told>,
}

impl Inspector {
    pub fn start(device: Device, ctx: &egui::Context) -> Self {
        let (asks, inbox) = unbounded();
        let (outbox, told) = unbounded();
        let (ctx, failed) = (ctx.clone(), outbox.clone());
        let work = move || {
            let tell = |told| {
                let _ = outbox.send(told);
                ctx.request_repaint();
            };
            Desk {
                device,
                model: None,
                waiting: Vec::new(),
                judge: Judge::default(),
                activations: None,
                finder: None,
                quick: None,
                compared: None,
                slow: None,
            }
            .serve(&inbox, &tell);
        };
        if let Err(cause) = std::thread::Builder::new().name("inspector".into()).spawn(work) {
            let _ = failed.send(Told::Failed(format!("the inspector's thread cannot be started: {cause}")));
        }
        Self { asks, told }
    }

    pub fn ask(&self, ask: Ask) {
        let _ = self.asks.send(ask);
    }
}

struct Desk {
    device: Device,
    model: Option<Model>,
    /// Of each kind the newest, the oldest first.
    waiting: Vec<Ask>,
    judge: Judge,
    /// Those of the last study, by seed, samples and layer.
    activations: Option<((u64, u64, usize), Activations)>,
    finder: Option<Finder>,
    /// What a person waits for, and what may take long: both go on step by step.
    quick: Option<Comparing>,
    /// The last comparison, done: the next toggle is of the same z's.
    compared: Option<Comparing>,
    slow: Option<Box<dyn Job>>,
}

impl Desk {
    fn serve(&mut self, inbox: &Receiver<Ask>, tell: &dyn Fn(Told)) {
        loop {
            let idle = self.waiting.is_empty() && self.quick.is_none() && self.slow.is_none();
            let next = if idle {
                match inbox.recv() {
                    Ok(ask) => Some(ask),
                    Err(_) => return,
                }
            } else {
                inbox.try_recv().ok()
            };
            let done = catch_unwind(AssertUnwindSafe(|| match next {
                Some(ask) => self.take(ask, tell),
                None => self.work(tell),
            }));
            if let Ok(Err(error)) = done {
                tell(Told::Failed(format!("{error:#}")));
            } else if done.is_err() {
                (self.quick, self.slow, self.judge) = (None, None, Judge::default());
                tell(Told::Failed("the device failed while looking inside the model; open it again".to_owned()));
            }
        }
    }

    fn take(&mut self, ask: Ask, tell: &dyn Fn(Told)) -> anyhow::Result<()> {
        match ask {
            Ask::Open(path) => {
                let model = Model::open(&path, &self.device)?;
                self.open(path, model, tell);
            }
            Ask::Follow(path, file) => {
                let model = Model::from_file(TensorFile::clone(&file), &path, &self.device)?;
                self.open(path, model, tell);
            }
            Ask::Stop => self.slow = None,
            ask => {
                self.waiting.retain(|other| discriminant(other) != discriminant(&ask));
                self.waiting.push(ask);
            }
        }
        Ok(())
    }

    fn open(&mut self, path: PathBuf, model: Model, tell: &dyn Fn(Told)) {
        let (config, judges) = (model.config().clone(), model.discriminator.is_some());
        let data = model.provenance.source().map(str::to_owned);
        self.model = Some(model);
        self.waiting.clear();
        self.judge = Judge::default();
        (self.activations, self.quick, self.compared, self.slow) = (None, None, None, None);
        tell(Told::Opened(Opened { path, config, data, judges }));
    }

    /// What was asked first, then a step of what goes on.
    fn work(&mut self, tell: &dyn Fn(Told)) -> anyhow::Result<()> {
        let Some(model) = self.model.clone() else {
            self.waiting.clear();
            return Ok(());
        };
        // What needs the discriminator waits for its statistics; the rest need not.
        let discriminator = model.discriminator.as_ref();
        let ready = |ask: &Ask| ask.norms().is_none_or(|norms| discriminator.is_none() || self.judge.uses(norms));
        if let Some(ready) = self.waiting.iter().position(ready) {
            let ask = self.waiting.remove(ready);
            return self.answer(&model, ask, tell);
        }
        if let (Some(discriminator), Some(norms)) = (discriminator, self.waiting.iter().find_map(Ask::norms)) {
            return self.judge.calibrate(discriminator, &norms.clone(), &self.device, tell);
        }
        if let Some(mut job) = self.quick.take() {
            match job.step(&model, &self.device, tell)? {
                Step::GoOn => self.quick = Some(job),
                Step::Done => self.compared = Some(job),
            }
        } else if let Some(mut job) = self.slow.take()
            && job.step(&model, &self.device, tell)? == Step::GoOn
        {
            self.slow = Some(job);
        }
        Ok(())
    }

    fn finder(&mut self) -> anyhow::Result<Finder> {
        if self.finder.is_none() {
            self.finder = Some(Finder::bundled(&self.device)?);
        }
        Ok(self.finder.clone().expect("it was just loaded"))
    }

    fn answer(&mut self, model: &Model, ask: Ask, tell: &dyn Fn(Told)) -> anyhow::Result<()> {
        let whole = &model.generator;
        match ask {
            Ask::Layers(subject) => {
                let generator = whole.under(&subject.ablations);
                let (maps, picture) = layers::of_generator(&generator, &subject.z, &self.device)?;
                tell(Told::Layers { picture, maps });
            }
            Ask::Responses(subject) => {
                let Some(discriminator) = self.judge.discriminator() else { return Ok(()) };
                let picture = self.picture(model, &subject)?;
                let (maps, logit) = layers::of_discriminator(discriminator, &picture, &self.device)?;
                tell(Told::Responses { maps, logit });
            }
            Ask::Focus(subject, place) => self.focus(model, &subject, place, tell)?,
            Ask::Samples { seed, count } => {
                let pictures = latent::pictures(whole, &samples(model.config(), seed, 0..count), &self.device)?;
                tell(Told::Samples { seed, pictures });
            }
            Ask::Fit(study) => {
                let key = (study.boxes.seed, study.samples, study.layer);
                if self.activations.as_ref().is_none_or(|(of, _)| *of != key) {
                    let z = samples(model.config(), study.boxes.seed, 0..study.samples);
                    self.activations = Some((key, Activations::of(whole, &z, study.layer, &self.device)?));
                }
                let found = match (study.boxes.check(model.config()), &self.activations) {
                    (Err(error), _) => Err(error.to_string()),
                    (Ok(()), Some((_, activations))) => {
                        find(activations, &study.boxes.areas(), study.boxes.seed).map_err(|error| error.to_string())
                    }
                    (Ok(()), None) => return Ok(()),
                };
                tell(Told::Fitted(study, found));
            }
            Ask::Compare(comparison) => {
                let finder = if comparison.looks { Some(self.finder()?) } else { None };
                // Only which filters are dropped changes from one toggle to the next.
                let trial = self.quick.take().or(self.compared.take()).and_then(|job| job.trial_of(&comparison));
                self.quick = Some(Comparing::new(*comparison, finder, trial));
            }
            Ask::Propose { seed, count } => {
                let finder = self.finder()?;
                let pictures = latent::pictures(whole, &samples(model.config(), seed, 0..count), &self.device)?;
                let areas = finder.areas(&pictures)?;
                let boxes = (0..).zip(areas.iter().map(|area| area.boxes(1))).collect();
                tell(Told::Proposed { seed, boxes });
            }
            Ask::Curve(comparison, found) => {
                let finder = if comparison.looks { Some(self.finder()?) } else { None };
                self.slow = Some(Box::new(Curving::new(*comparison, *found, finder)));
            }
            Ask::Hunt { data, count, layer, maps, norms } => match &model.discriminator {
                Some(judge) => {
                    tell(Told::Progress { done: 0, all: count });
                    let measured = norms != Norms::Running;
                    let hunt = Hunt::new(&data, count, layer, &maps, measured, judge, &self.device)?;
                    self.slow = Some(Box::new(hunt));
                }
                None => tell(Told::Failed("this model has no discriminator".to_owned())),
            },
            Ask::Judge(judged, rule, _) => {
                let Some(discriminator) = self.judge.discriminator() else { return Ok(()) };
                let config = model.config();
                let picture = match judged {
                    Judged::File(path) => read_fitted(&path, config.pictures())?,
                    Judged::Sample(subject) => self.picture(model, &subject)?,
                };
                let pictures = std::slice::from_ref(&picture);
                let verdict = verdicts(discriminator, pictures, rule, &self.device)?.remove(0);
                tell(Told::Judged { picture, verdict });
            }
            Ask::Open(_) | Ask::Follow(..) | Ask::Stop => {}
        }
        Ok(())
    }

    /// The picture of a sample under what is dropped.
    fn picture(&self, model: &Model, subject: &Subject) -> Result<Picture, latent::DrawError> {
        let generator = model.generator.under(&subject.ablations);
        Ok(latent::pictures(&generator, std::slice::from_ref(&subject.z), &self.device)?.remove(0))
    }

    fn focus(&self, model: &Model, subject: &Subject, place: Place, tell: &dyn Fn(Told)) -> anyhow::Result<()> {
        let generator = model.generator.under(&subject.ablations);
        let all = samples(model.config(), subject.seed, 0..LOOKED_AT);
        let pictures = latent::pictures(&generator, &all, &self.device)?;
        let (maps, picture) = layers::of_generator(&generator, &subject.z, &self.device)?;
        let (layer, strengths, trial) = match (place.network, self.judge.discriminator()) {
            (Network::Generator, _) => {
                let layer = maps.into_iter().nth(place.layer);
                let mut drawn = vec![picture.clone()];
                for gain in [0.0, 2.0] {
                    let more = [&subject.ablations[..], &[Ablation::scale(place.layer, &[place.map], gain)]].concat();
                    let z = std::slice::from_ref(&subject.z);
                    drawn.extend(latent::pictures(&generator.under(&more), z, &self.device)?);
                }
                (layer, peaks(&generator, &all, place.layer, &self.device)?, Trial::Drawn(drawn))
            }
            (Network::Discriminator, Some(discriminator)) => {
                let judged = layers::of_discriminator(discriminator, &picture, &self.device)?;
                let Some(layer) = judged.0.into_iter().nth(place.layer).filter(|layer| place.map < layer.maps.len())
                else {
                    return Ok(());
                };
                let strengths = judged_peaks(discriminator, &pictures, place.layer, &self.device)?;
                let at = (place.layer, place.map);
                let logits = layers::without_map(discriminator, &picture, at, &self.device)?;
                (Some(layer), strengths, Trial::Judged(logits))
            }
            (Network::Discriminator, None) => return Ok(()),
        };
        let Some(layer) = layer.filter(|layer| place.map < layer.maps.len()) else { return Ok(()) };
        let mut order: Vec<usize> = (0..strengths.len()).collect();
        order.sort_by(|&a, &b| strengths[b][place.map].total_cmp(&strengths[a][place.map]));
        let top = |&i: &usize| (i as u64, strengths[i][place.map], pictures[i].clone());
        let tops = order.iter().take(TOPS).map(top).collect();
        tell(Told::Focus { place, lit: lit(&picture, &layer.maps[place.map], layer.side), tops, trial });
        Ok(())
    }
}
