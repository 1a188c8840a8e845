//! The thread that owns the explored generator: opens models, turns requests into pictures.

mod queue;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use queue::Queue;

use crate::app::service::{Handler, Outbox, Service};
use crate::app::tensor_texture::TexturePainter;
use crate::app::texture::{Pictures, Sheet};
use crate::data;
use crate::image::{DecodeOptions, Decoded, Picture};
use crate::latent;
use crate::latent::arithmetic::Term;
use crate::latent::directions::{CoordinateSearch, DirectionMethod, LatentDirection, find_directions};
use crate::latent::project::{Encoder, EncoderBuilder, Projection, ProjectionProgress, ProjectionSettings};
use crate::latent::session::Session;
use crate::model::{Ablation, Model, ModelConfig, Provenance, TensorFile, base_path, sibling_checkpoints};

/// Samples of one texture, and its columns.
pub(super) const CHUNK: u64 = 64;
pub(super) const COLUMNS: usize = 8;
/// Steps of a photograph's projection between two looks at the inbox.
const SLICE: usize = 2;
/// Directions found at once, and the seed of the samples they are found on.
const DIRECTIONS: usize = 12;
const SEED: u64 = 1;

/// z's to be drawn, shared with whoever asked for them.
pub(super) type Zs = Arc<[Vec<f32>]>;

/// What a set of pictures is for. Of each, only the newest request counts; the first of the list are drawn first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Slot {
    /// What the pointer drags, or is over.
    Pointer,
    /// The walk where it is.
    Playhead,
    /// A sample with a concept, and as it was.
    Applied,
    /// The result of the arithmetic and its neighbours.
    Result,
    /// Each tray's average.
    Averages,
    /// The exemplars of all trays.
    Exemplars,
    /// The points of the pad.
    Pins,
    /// Points that were kept.
    Shelf,
    /// The corners of the pad.
    Corners,
    /// The walk's keyframes.
    Keyframes,
    /// A strip of the direction chosen.
    Strip,
    /// The exemplars of the turn, and what is turned.
    Sides,
    /// The turn's figure.
    Turn,
    /// The pad's background.
    Land,
    /// A strip of every direction.
    Strips,
    /// The whole walk.
    Film,
}

pub(super) enum Request {
    /// A file, a folder, or a bundled model's name; with a session, only if it fits the model.
    Open(PathBuf, Option<Box<Session>>),
    /// The generator that is in training in this run folder, as it is now.
    Follow(PathBuf, Arc<TensorFile>),
    /// Samples `chunk * CHUNK ..` of a seed.
    Draw { seed: u64, chunk: u64 },
    /// Nothing asked of the gallery before this still counts.
    Forget,
    /// Pictures of these z's.
    Render { slot: Slot, z: Zs },
    /// The pictures of a slot's z's in memory, to save or compare them.
    Read { slot: Slot, z: Zs },
    /// A sum made of each hidden layer's feature maps; only the newest counts.
    Add(Vec<Term>),
    /// The strongest directions.
    Find(DirectionMethod),
    /// Draw everything under these.
    Ablate(Vec<Ablation>),
    /// Look for the z of a picture.
    Project(PathBuf),
    /// Stop looking.
    Cancel,
}

pub(super) enum Reply {
    /// A model is being opened, which may take a while.
    Opening,
    /// A model is open; `siblings` are the checkpoints of its run.
    Opened {
        path: PathBuf,
        config: ModelConfig,
        provenance: Provenance,
        siblings: Vec<(u64, PathBuf)>,
        session: Option<Box<Session>>,
        /// What should be known of it.
        notes: Vec<String>,
    },
    /// It is not, and everything is as it was; perhaps because there is nothing at its place.
    NotOpened {
        error: String,
        gone: bool,
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
        sheet: Sheet,
    },
    Rendered {
        slot: Slot,
        z: Zs,
        pictures: Pictures,
    },
    /// A slot's pictures in memory.
    Read {
        slot: Slot,
        z: Zs,
        pictures: Vec<Picture>,
    },
    /// A sum's picture, made of each hidden layer's feature maps.
    Added {
        terms: Vec<Term>,
        pictures: Pictures,
    },
    Found {
        method: DirectionMethod,
        directions: Vec<LatentDirection>,
    },
    /// How far the search for a picture's z is.
    Projecting(Search),
    /// The picture cannot be looked for.
    NotProjected(String),
    Failed(String),
}

/// Looking for the z of a picture.
pub(super) enum Search {
    /// The encoder is fitted first, on the generator's own samples; the share that is drawn.
    Fitting(PathBuf, Picture, f32),
    /// What was done to the picture when it was read.
    Seen(Vec<String>),
    /// The best picture so far, and how far it is.
    Best(Picture, ProjectionProgress),
}

/// The handle of the explorer's thread.
pub(super) type Worker = Service<Request, Reply>;

impl Worker {
    /// Starts the thread; with a `painter` where the window draws with the device that computes.
    pub fn start(device: Device, painter: Option<TexturePainter>, ctx: &egui::Context) -> Self {
        Self::spawn("explorer", ctx, move || State {
            device,
            painter,
            model: None,
            encoder: None,
            queue: Queue::default(),
            effects: None,
            photo: Photo::None,
            ablations: Vec::new(),
        })
    }
}

/// The search for a picture's z.
enum Photo {
    None,
    Fitting(Picture, Box<EncoderBuilder>),
    Projecting(Box<Projection>),
}

/// What the thread owns.
struct State {
    device: Device,
    painter: Option<TexturePainter>,
    model: Option<Model>,
    encoder: Option<Encoder>,
    queue: Queue,
    /// The search for the coordinates that matter, which takes a while.
    effects: Option<CoordinateSearch>,
    photo: Photo,
    /// Applied to whatever is generated.
    ablations: Vec<Ablation>,
}

impl Handler for State {
    type Request = Request;
    type Response = Reply;

    fn handle(&mut self, request: Request, outbox: &Outbox<Reply>) -> anyhow::Result<()> {
        self.take(request, outbox)
    }

    fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.effects.is_some() || !matches!(self.photo, Photo::None)
    }

    fn step(&mut self, outbox: &Outbox<Reply>) -> anyhow::Result<()> {
        self.work(outbox)
    }

    /// A slider dragged through checkpoints asks for many models: only the last is wanted.
    fn supersedes(newer: &Request, older: &Request) -> bool {
        let is_model = |request: &Request| matches!(request, Request::Open(_, None) | Request::Follow(..));
        is_model(newer) && is_model(older)
    }

    fn activity(request: Option<&Request>) -> &'static str {
        match request {
            Some(Request::Open(..) | Request::Follow(..)) => "opening the model",
            Some(Request::Project(_)) => "reading the picture",
            Some(Request::Find(_)) => "finding directions",
            _ => "drawing",
        }
    }

    fn recover(&mut self) {
        (self.photo, self.encoder, self.effects) = (Photo::None, None, None);
        self.queue.clear();
    }

    fn failure(error: String) -> Reply {
        Reply::Failed(error)
    }
}

impl State {
    /// Has the generator draw under the ablations that are its model's; what is half drawn begins anew.
    fn ablate(&mut self) {
        let Some(model) = &mut self.model else { return };
        let fitting = self.ablations.iter().filter(|ablation| ablation.check(model.config()).is_ok());
        model.generator = model.generator.with_ablations(&fitting.cloned().collect::<Vec<_>>());
        self.queue.begin_anew();
    }

    fn take(&mut self, request: Request, outbox: &Outbox<Reply>) -> anyhow::Result<()> {
        match request {
            Request::Open(path, session) => {
                outbox.send(Reply::Opening);
                let path = whole(&path);
                outbox.send(self.open(&path, session).unwrap_or_else(|error| Reply::NotOpened {
                    error: format!("{error:#}"),
                    gone: !path.starts_with("bundled:") && !base_path(&path).exists(),
                }));
            }
            Request::Follow(path, file) => {
                let path = whole(&path);
                let model = Model::from_file(TensorFile::clone(&file), &path, &self.device)?;
                let (config, provenance) = (model.config().clone(), model.provenance.clone());
                // A photograph's search goes on with the generator it began with; what is half drawn begins anew.
                (self.model, self.encoder) = (Some(model), None);
                self.ablate();
                outbox.send(Reply::Followed { path, config, provenance });
            }
            Request::Draw { seed, chunk } => {
                if let Some(config) = self.model.as_ref().map(Model::config) {
                    let z = latent::sample_zs(config, seed, chunk * CHUNK..(chunk + 1) * CHUNK);
                    self.queue.draw(seed, chunk, z.into());
                }
            }
            Request::Forget => self.queue.forget(),
            Request::Render { slot, z } => self.queue.render(slot, z),
            Request::Read { slot, z } => self.queue.read(slot, z),
            Request::Add(terms) => self.queue.add(terms),
            Request::Find(DirectionMethod::Raw) => {
                self.effects = self.model.as_ref().map(|model| CoordinateSearch::new(model.config(), SEED));
            }
            Request::Find(method) => {
                if let Some(model) = &self.model {
                    let directions = find_directions(&model.generator, method, DIRECTIONS, SEED, &self.device)?;
                    outbox.send(Reply::Found { method, directions });
                }
            }
            Request::Project(path) => {
                if let Err(error) = self.project(path, outbox) {
                    outbox.send(Reply::NotProjected(format!("{error:#}")));
                }
            }
            Request::Ablate(ablations) => {
                self.ablations = ablations;
                self.ablate();
            }
            Request::Cancel => self.photo = Photo::None,
        }
        Ok(())
    }

    /// Opens a model, unless a session comes with it that does not fit.
    fn open(&mut self, path: &Path, session: Option<Box<Session>>) -> anyhow::Result<Reply> {
        let mut notes = Vec::new();
        let model = Model::open_noting(path, &self.device, &mut |note| notes.push(note))?;
        let (config, provenance) = (model.config().clone(), model.provenance.clone());
        if let Some(session) = &session {
            session.check(&config)?;
        }
        (self.model, self.encoder, self.photo) = (Some(model), None, Photo::None);
        self.ablate();
        self.queue.clear();
        self.effects = None;
        let siblings = sibling_checkpoints(path);
        Ok(Reply::Opened { path: path.to_owned(), config, provenance, siblings, session, notes })
    }

    fn project(&mut self, path: PathBuf, outbox: &Outbox<Reply>) -> anyhow::Result<()> {
        let Some(model) = &self.model else { anyhow::bail!("no model is open") };
        let config = model.config();
        let Decoded { picture: original, treatment } =
            data::read_with_treatment(&path, config.pictures(), &DecodeOptions::default())?;
        outbox.send(Reply::Projecting(Search::Fitting(path, original.clone(), 0.0)));
        outbox.send(Reply::Projecting(Search::Seen(treatment.remarks())));
        let settings = ProjectionSettings::default();
        self.photo = match &self.encoder {
            Some(encoder) => {
                let projection = Projection::new(&model.generator, encoder, &original, settings, &self.device)?;
                Photo::Projecting(Box::new(projection))
            }
            None => Photo::Fitting(original, Box::new(EncoderBuilder::new(&model.generator, settings.seed))),
        };
        Ok(())
    }

    /// The most urgent piece of work: what the pointer waits for, then the gallery, then what takes long.
    fn work(&mut self, outbox: &Outbox<Reply>) -> anyhow::Result<()> {
        let Some(model) = &self.model else {
            self.queue.clear();
            return Ok(());
        };
        if !self.queue.is_empty() {
            if let Some(done) = self.queue.work(model, self.painter.as_ref(), &self.device)? {
                outbox.send(done);
            }
        } else if let Some(mut effects) = self.effects.take() {
            if effects.step(&model.generator, &self.device)? {
                outbox.send(Reply::Found { method: DirectionMethod::Raw, directions: effects.strongest(DIRECTIONS) });
            } else {
                self.effects = Some(effects);
            }
        } else if let Err(error) = self.search(outbox) {
            outbox.send(Reply::NotProjected(format!("{error:#}")));
        }
        Ok(())
    }

    /// A step of the search for a picture's z.
    fn search(&mut self, outbox: &Outbox<Reply>) -> anyhow::Result<()> {
        let Some(model) = &self.model else { return Ok(()) };
        match std::mem::replace(&mut self.photo, Photo::None) {
            Photo::None => {}
            Photo::Fitting(original, mut fitting) => {
                let share = fitting.step(&self.device)?;
                outbox.send(Reply::Projecting(Search::Fitting(PathBuf::new(), original.clone(), share)));
                if share < 1.0 {
                    self.photo = Photo::Fitting(original, fitting);
                } else {
                    let encoder = fitting.finish();
                    let settings = ProjectionSettings::default();
                    let projection = Projection::new(&model.generator, &encoder, &original, settings, &self.device)?;
                    (self.encoder, self.photo) = (Some(encoder), Photo::Projecting(Box::new(projection)));
                }
            }
            Photo::Projecting(mut projection) => {
                let mut progress = projection.step()?;
                for _ in 1..SLICE {
                    if !projection.done() {
                        progress = projection.step()?;
                    }
                }
                let drawn =
                    latent::generate_pictures(projection.generator(), &[progress.z.clone()], &self.device)?.remove(0);
                outbox.send(Reply::Projecting(Search::Best(drawn, progress)));
                if !projection.done() {
                    self.photo = Photo::Projecting(projection);
                } else if let Some(encoder) = &mut self.encoder {
                    encoder.store_own_error(&projection);
                }
            }
        }
        Ok(())
    }
}

/// A model's path as it will still be found from elsewhere; bundled models' names are no paths.
fn whole(path: &Path) -> PathBuf {
    match path.to_str() {
        Some(name) if name.starts_with("bundled:") => path.to_owned(),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}
