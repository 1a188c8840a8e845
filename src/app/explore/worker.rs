//! The thread that owns the explored generator: opens models, turns requests into pictures.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::data;
use crate::image::{Picture, grid};
use crate::latent;
use crate::latent::directions::{self, Direction, Method};
use crate::latent::project::{Encoder, Progress, Projection, Settings};
use crate::model::{Ablation, Model, ModelConfig, Provenance, TensorFile, siblings};

/// Samples of one texture, and its columns.
pub(super) const CHUNK: u64 = 64;
pub(super) const COLUMNS: usize = 8;
/// Steps of a photograph's projection between two looks at the inbox.
const SLICE: usize = 4;
/// Directions found at once.
const DIRECTIONS: usize = 12;

/// What a set of pictures is for. Of each, only the newest request counts; the first of the list are drawn first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Slot {
    /// What the pointer drags.
    Pointer,
    /// The walk where it is.
    Playhead,
    /// The result of the arithmetic and its neighbours.
    Result,
    /// Each tray's average.
    Averages,
    /// The exemplars of all trays.
    Exemplars,
    /// Points that were kept.
    Shelf,
    /// The corners of the pad.
    Corners,
    /// The walk's keyframes.
    Keyframes,
    /// A strip of the direction chosen.
    Strip,
    /// The turn between two trays.
    Turn,
    /// The pad's background.
    Land,
    /// The whole walk.
    Film,
}

pub(super) enum Request {
    /// A file, a folder, or a bundled model's name.
    Open(PathBuf),
    /// The generator that is in training in this run folder, as it is now.
    Follow(PathBuf, Arc<TensorFile>),
    /// Samples `chunk * CHUNK ..` of a seed.
    Draw { seed: u64, chunk: u64 },
    /// Nothing asked of the gallery before this still counts.
    Forget,
    /// Pictures of these z's.
    Render { slot: Slot, z: Vec<Vec<f32>> },
    /// The strongest directions.
    Find(Method),
    /// Draw everything under these.
    Ablate(Vec<Ablation>),
    /// Look for the z of a picture.
    Project(PathBuf),
    /// Stop looking.
    Cancel,
}

pub(super) enum Reply {
    /// A model is open; `siblings` are the checkpoints of its run.
    Opened {
        path: PathBuf,
        config: ModelConfig,
        provenance: Provenance,
        siblings: Vec<(u64, PathBuf)>,
    },
    /// The model in training has learnt; everything is to be drawn again.
    Followed {
        path: PathBuf,
        config: ModelConfig,
        provenance: Provenance,
    },
    Drawn {
        seed: u64,
        chunk: u64,
        sheet: Picture,
    },
    Rendered {
        slot: Slot,
        pictures: Vec<Picture>,
    },
    Found {
        method: Method,
        directions: Vec<Direction>,
    },
    /// The original, the best picture so far, and how far it is; without them the encoder is being fitted.
    Projecting(Option<(Picture, Picture, Progress)>),
    Failed(String),
}

/// A handle to the thread, which ends with it.
pub(super) struct Worker {
    requests: Sender<Request>,
    pub replies: Receiver<Reply>,
}

impl Worker {
    pub fn start(device: Device, ctx: &egui::Context) -> Self {
        let (requests, inbox) = unbounded();
        let (outbox, replies) = unbounded();
        let ctx = ctx.clone();
        let answer = outbox.clone();
        let work = move || {
            let reply = |reply| {
                let _ = outbox.send(reply);
                ctx.request_repaint();
            };
            Desk {
                device,
                model: None,
                encoder: None,
                gallery: Vec::new(),
                slots: Vec::new(),
                photo: None,
                ablations: Vec::new(),
            }
            .serve(&inbox, &reply);
        };
        if let Err(cause) = std::thread::Builder::new().name("explorer".into()).spawn(work) {
            let _ = answer.send(Reply::Failed(format!("the explorer's thread cannot be started: {cause}")));
        }
        Self { requests, replies }
    }

    pub fn send(&self, request: Request) {
        let _ = self.requests.send(request);
    }
}

/// What the thread has to do.
struct Desk {
    device: Device,
    model: Option<Model>,
    encoder: Option<Encoder>,
    gallery: Vec<(u64, u64)>,
    slots: Vec<(Slot, Vec<Vec<f32>>)>,
    photo: Option<(Picture, Projection)>,
    ablations: Vec<Ablation>,
}

impl Desk {
    /// Has the generator draw under the ablations that are its model's.
    fn ablate(&mut self) {
        if let Some(model) = &mut self.model {
            let fitting = self.ablations.iter().filter(|ablation| ablation.check(model.config()).is_ok());
            model.generator = model.generator.under(&fitting.cloned().collect::<Vec<_>>());
        }
    }

    fn serve(&mut self, inbox: &Receiver<Request>, reply: &dyn Fn(Reply)) {
        loop {
            let idle = self.gallery.is_empty() && self.slots.is_empty() && self.photo.is_none();
            let next = if idle {
                match inbox.recv() {
                    Ok(request) => Some(request),
                    Err(_) => return,
                }
            } else {
                inbox.try_recv().ok()
            };
            // A device that is lost in the middle must not take the window's explorer with it unsaid.
            let done = catch_unwind(AssertUnwindSafe(|| match next {
                Some(request) => self.take(request, reply),
                None => self.work(reply),
            }));
            match done {
                Ok(Ok(())) => {}
                Ok(Err(error)) => reply(Reply::Failed(format!("{error:#}"))),
                Err(_) => {
                    (self.photo, self.encoder) = (None, None);
                    reply(Reply::Failed("the device failed while drawing; open the model again".to_owned()));
                }
            }
        }
    }

    fn take(&mut self, request: Request, reply: &dyn Fn(Reply)) -> anyhow::Result<()> {
        match request {
            Request::Open(path) => {
                let model = Model::open(&path, &self.device)?;
                let (config, provenance) = (model.config().clone(), model.provenance.clone());
                (self.model, self.encoder, self.photo) = (Some(model), None, None);
                self.ablate();
                self.gallery.clear();
                self.slots.clear();
                let siblings = siblings(&path);
                reply(Reply::Opened { path, config, provenance, siblings });
            }
            Request::Follow(path, file) => {
                let model = Model::from_file(TensorFile::clone(&file), &path, &self.device)?;
                let (config, provenance) = (model.config().clone(), model.provenance.clone());
                // A photograph's search goes on with the generator it began with.
                (self.model, self.encoder) = (Some(model), None);
                self.ablate();
                reply(Reply::Followed { path, config, provenance });
            }
            Request::Draw { seed, chunk } => self.gallery.push((seed, chunk)),
            Request::Forget => self.gallery.clear(),
            Request::Render { slot, z } => {
                self.slots.retain(|(waiting, _)| *waiting != slot);
                self.slots.push((slot, z));
            }
            Request::Find(method) => {
                if let Some(model) = &self.model {
                    let directions = directions::find(&model.generator, method, DIRECTIONS, 1, &self.device)?;
                    reply(Reply::Found { method, directions });
                }
            }
            Request::Project(path) => {
                reply(Reply::Projecting(None));
                if let Some(model) = &self.model {
                    let config = model.config();
                    let picture = data::read_fitted(&path, config.size, config.channels)?;
                    let settings = Settings::default();
                    let encoder = match self.encoder.take() {
                        Some(encoder) => encoder,
                        None => Encoder::fit(&model.generator, settings.seed, &self.device)?,
                    };
                    let photo = Projection::new(&model.generator, &encoder, &picture, settings, &self.device);
                    self.encoder = Some(encoder);
                    self.photo = Some((picture, photo?));
                }
            }
            Request::Ablate(ablations) => {
                self.ablations = ablations;
                self.ablate();
            }
            Request::Cancel => self.photo = None,
        }
        Ok(())
    }

    /// The most urgent piece of work: what the pointer waits for, then the gallery, then a photograph.
    fn work(&mut self, reply: &dyn Fn(Reply)) -> anyhow::Result<()> {
        let Some(model) = &self.model else {
            self.gallery.clear();
            self.slots.clear();
            return Ok(());
        };
        let urgent = (0..self.slots.len()).min_by_key(|&i| self.slots[i].0);
        if let Some((slot, z)) = urgent.map(|i| self.slots.swap_remove(i)) {
            let pictures = latent::pictures(&model.generator, &z, &self.device)?;
            reply(Reply::Rendered { slot, pictures });
        } else if let Some((seed, chunk)) = self.gallery.pop() {
            let config = model.config();
            let numbers = chunk * CHUNK..(chunk + 1) * CHUNK;
            let z: Vec<_> = numbers.map(|n| latent::numbered(config.prior, config.z_dim, seed, n)).collect();
            let sheet = grid(&latent::pictures(&model.generator, &z, &self.device)?, COLUMNS, 0);
            reply(Reply::Drawn { seed, chunk, sheet });
        } else if let Some((original, mut photo)) = self.photo.take() {
            let mut progress = photo.step()?;
            for _ in 1..SLICE {
                if !photo.done() {
                    progress = photo.step()?;
                }
            }
            let drawn = latent::pictures(&model.generator, &[progress.z.clone()], &self.device)?.remove(0);
            reply(Reply::Projecting(Some((original.clone(), drawn, progress))));
            if !photo.done() {
                self.photo = Some((original, photo));
            }
        }
        Ok(())
    }
}
