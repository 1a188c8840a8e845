//! The explorer's thread: owns the explored generator, opens models, and generates the images that panels request.
//!
//! [`ExplorerWorker`] is its handle. Panels request images by [`Slot`]; of each slot only the newest request is served.

mod queue;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use queue::RenderQueue;

use crate::app::service::{Handler, Outbox, Service};
use crate::app::tensor_texture::TexturePainter;
use crate::app::texture::{PictureSheet, Pictures};
use crate::data;
use crate::image::{DecodeOptions, Decoded, Picture};
use crate::latent;
use crate::latent::arithmetic::Term;
use crate::latent::directions::{CoordinateSearch, DirectionMethod, LatentDirection, find_directions};
use crate::latent::project::{Encoder, EncoderBuilder, Projection, ProjectionProgress, ProjectionSettings};
use crate::latent::session::Session;
use crate::model::{Ablation, Model, ModelConfig, Provenance, TensorFile, base_path, sibling_checkpoints};

/// Samples on a texture of the gallery, and its columns.
pub(super) const CHUNK: u64 = 64;
pub(super) const COLUMNS: usize = 8;
/// Optimization steps of a projection between two checks for new requests.
const PROJECTION_STEPS: usize = 2;
/// Directions that are found, and the seed of the samples from which they are found.
const DIRECTIONS: usize = 12;
const SEED: u64 = 1;

/// Latents to generate images from, shared with the panel that requests them.
pub(super) type Zs = Arc<[Vec<f32>]>;

/// The use of a set of images. Of each slot only the newest request is served; slots are listed by descending priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Slot {
    /// The latent that the pointer drags or hovers over.
    Pointer,
    /// The current frame of the walk.
    Playhead,
    /// A sample with a concept applied, and without.
    Applied,
    /// The result of the arithmetic and its neighbors.
    Result,
    /// Each tray's average.
    Averages,
    /// The exemplars of all trays.
    Exemplars,
    /// The points of the pad.
    Pins,
    /// Points on the shelf.
    Shelf,
    /// The corners of the pad.
    Corners,
    /// The walk's keyframes.
    Keyframes,
    /// A strip along the chosen direction.
    Strip,
    /// The exemplars of the turn vector, and the samples that are turned.
    Sides,
    /// The figure of the turn.
    Turn,
    /// The pad's background.
    Land,
    /// Strips along all directions.
    Strips,
    /// All frames of the walk.
    Film,
}

pub(super) enum ExplorerRequest {
    /// Opens a file, a folder, or a bundled model by its name. A session comes with it if it must fit the model.
    Open(PathBuf, Option<Box<Session>>),
    /// Opens the newest generator of a run folder in training.
    Follow(PathBuf, Arc<TensorFile>),
    /// Generates the samples from `chunk * CHUNK` on of a seed.
    GalleryChunk {
        seed: u64,
        chunk: u64,
    },
    /// Drops all waiting requests of the gallery.
    ClearGallery,
    /// Generates the images of a slot.
    Render {
        slot: Slot,
        z: Zs,
    },
    /// Generates the images of a slot in memory, to save or compare them.
    ReadBack {
        slot: Slot,
        z: Zs,
    },
    /// Adds and subtracts exemplars in the feature maps of each layer. Only the newest request is served.
    FeatureArithmetic(Vec<Term>),
    /// Finds the strongest directions.
    FindDirections(DirectionMethod),
    /// Applies ablations to all that is generated from now on.
    Ablate(Vec<Ablation>),
    /// Projects an image file into the latent space.
    Project(PathBuf),
    CancelProjection,
}

pub(super) enum ExplorerResponse {
    /// A model is being opened, which may take seconds.
    Opening,
    /// A model was opened. `siblings` are the checkpoints of its run by step.
    Opened {
        path: PathBuf,
        config: ModelConfig,
        provenance: Provenance,
        siblings: Vec<(u64, PathBuf)>,
        session: Option<Box<Session>>,
        /// Notes on how the file was read.
        notes: Vec<String>,
    },
    /// A model was not opened; the last one stays. `gone` means that the file does not exist.
    NotOpened {
        error: String,
        gone: bool,
    },
    /// The newest generator of a training was opened: all images must be requested again.
    Followed {
        path: PathBuf,
        config: ModelConfig,
        provenance: Provenance,
    },
    GalleryChunk {
        seed: u64,
        chunk: u64,
        sheet: PictureSheet,
    },
    Rendered {
        slot: Slot,
        z: Zs,
        pictures: Pictures,
    },
    /// The images of a slot in memory.
    ReadBack {
        slot: Slot,
        z: Zs,
        pictures: Vec<Picture>,
    },
    /// The result of feature arithmetic in each layer.
    FeatureArithmetic {
        terms: Vec<Term>,
        pictures: Pictures,
    },
    DirectionsFound {
        method: DirectionMethod,
        directions: Vec<LatentDirection>,
    },
    /// The progress of a projection.
    Projecting(ProjectionUpdate),
    /// The projection failed.
    NotProjected(String),
    Failed(String),
}

/// The progress of projecting an image into the latent space.
pub(super) enum ProjectionUpdate {
    /// The encoder is being fitted on the generator's own samples: path and image, and the share of samples that is generated.
    Fitting(PathBuf, Picture, f32),
    /// How the image file was converted when it was read.
    Remarks(Vec<String>),
    /// The best reconstruction so far.
    Best(Picture, ProjectionProgress),
}

/// The handle of the explorer's thread.
pub(super) type ExplorerWorker = Service<ExplorerRequest, ExplorerResponse>;

impl ExplorerWorker {
    /// Starts the thread; with a `painter` where the window draws with the device that computes.
    pub fn start(device: Device, painter: Option<TexturePainter>, ctx: &egui::Context) -> Self {
        Self::spawn("explorer", ctx, move || ExplorerState {
            device,
            painter,
            model: None,
            encoder: None,
            queue: RenderQueue::default(),
            coordinates: None,
            projection: ProjectionState::Idle,
            ablations: Vec::new(),
        })
    }
}

/// The state of a projection.
enum ProjectionState {
    Idle,
    FittingEncoder(Picture, Box<EncoderBuilder>),
    Projecting(Box<Projection>),
}

/// What the thread owns.
struct ExplorerState {
    device: Device,
    painter: Option<TexturePainter>,
    model: Option<Model>,
    encoder: Option<Encoder>,
    queue: RenderQueue,
    /// The search for the strongest coordinates, which takes seconds.
    coordinates: Option<CoordinateSearch>,
    projection: ProjectionState,
    /// Applied to whatever is generated.
    ablations: Vec<Ablation>,
}

impl Handler for ExplorerState {
    type Request = ExplorerRequest;
    type Response = ExplorerResponse;

    fn handle(&mut self, request: ExplorerRequest, outbox: &Outbox<ExplorerResponse>) -> anyhow::Result<()> {
        self.serve(request, outbox)
    }

    fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.coordinates.is_some() || !matches!(self.projection, ProjectionState::Idle)
    }

    fn step(&mut self, outbox: &Outbox<ExplorerResponse>) -> anyhow::Result<()> {
        self.work(outbox)
    }

    /// A slider dragged through checkpoints asks for many models: only the last is wanted.
    fn supersedes(newer: &ExplorerRequest, older: &ExplorerRequest) -> bool {
        let is_model =
            |request: &ExplorerRequest| matches!(request, ExplorerRequest::Open(_, None) | ExplorerRequest::Follow(..));
        is_model(newer) && is_model(older)
    }

    fn activity(request: Option<&ExplorerRequest>) -> &'static str {
        match request {
            Some(ExplorerRequest::Open(..) | ExplorerRequest::Follow(..)) => "opening the model",
            Some(ExplorerRequest::Project(_)) => "reading the picture",
            Some(ExplorerRequest::FindDirections(_)) => "finding directions",
            _ => "drawing",
        }
    }

    fn recover(&mut self) {
        (self.projection, self.encoder, self.coordinates) = (ProjectionState::Idle, None, None);
        self.queue.clear();
    }

    fn failure(error: String) -> ExplorerResponse {
        ExplorerResponse::Failed(error)
    }
}

impl ExplorerState {
    /// Applies the ablations that fit the model. Unfinished images are started again.
    fn ablate(&mut self) {
        let Some(model) = &mut self.model else { return };
        let applicable = self.ablations.iter().filter(|ablation| ablation.check(model.config()).is_ok());
        model.generator = model.generator.with_ablations(&applicable.cloned().collect::<Vec<_>>());
        self.queue.restart();
    }

    fn serve(&mut self, request: ExplorerRequest, outbox: &Outbox<ExplorerResponse>) -> anyhow::Result<()> {
        match request {
            ExplorerRequest::Open(path, session) => {
                outbox.send(ExplorerResponse::Opening);
                let path = absolute(&path);
                outbox.send(self.open(&path, session).unwrap_or_else(|error| ExplorerResponse::NotOpened {
                    error: format!("{error:#}"),
                    gone: !path.starts_with("bundled:") && !base_path(&path).exists(),
                }));
            }
            ExplorerRequest::Follow(path, file) => {
                let path = absolute(&path);
                let model = Model::from_file(TensorFile::clone(&file), &path, &self.device)?;
                let (config, provenance) = (model.config().clone(), model.provenance.clone());
                // A running projection continues with the generator that it started with.
                (self.model, self.encoder) = (Some(model), None);
                self.ablate();
                outbox.send(ExplorerResponse::Followed { path, config, provenance });
            }
            ExplorerRequest::GalleryChunk { seed, chunk } => {
                if let Some(config) = self.model.as_ref().map(Model::config) {
                    let z = latent::sample_zs(config, seed, chunk * CHUNK..(chunk + 1) * CHUNK);
                    self.queue.gallery_chunk(seed, chunk, z.into());
                }
            }
            ExplorerRequest::ClearGallery => self.queue.clear_gallery(),
            ExplorerRequest::Render { slot, z } => self.queue.render(slot, z),
            ExplorerRequest::ReadBack { slot, z } => self.queue.read_back(slot, z),
            ExplorerRequest::FeatureArithmetic(terms) => self.queue.feature_arithmetic(terms),
            ExplorerRequest::FindDirections(DirectionMethod::Raw) => {
                self.coordinates = self.model.as_ref().map(|model| CoordinateSearch::new(model.config(), SEED));
            }
            ExplorerRequest::FindDirections(method) => {
                if let Some(model) = &self.model {
                    let directions = find_directions(&model.generator, method, DIRECTIONS, SEED, &self.device)?;
                    outbox.send(ExplorerResponse::DirectionsFound { method, directions });
                }
            }
            ExplorerRequest::Project(path) => {
                if let Err(error) = self.project(path, outbox) {
                    outbox.send(ExplorerResponse::NotProjected(format!("{error:#}")));
                }
            }
            ExplorerRequest::Ablate(ablations) => {
                self.ablations = ablations;
                self.ablate();
            }
            ExplorerRequest::CancelProjection => self.projection = ProjectionState::Idle,
        }
        Ok(())
    }

    /// Opens a model. The last one stays open if this fails or if the session does not fit.
    fn open(&mut self, path: &Path, session: Option<Box<Session>>) -> anyhow::Result<ExplorerResponse> {
        let mut notes = Vec::new();
        let model = Model::open_noting(path, &self.device, &mut |note| notes.push(note))?;
        let (config, provenance) = (model.config().clone(), model.provenance.clone());
        if let Some(session) = &session {
            session.check(&config)?;
        }
        (self.model, self.encoder, self.projection) = (Some(model), None, ProjectionState::Idle);
        self.ablate();
        self.queue.clear();
        self.coordinates = None;
        let siblings = sibling_checkpoints(path);
        Ok(ExplorerResponse::Opened { path: path.to_owned(), config, provenance, siblings, session, notes })
    }

    fn project(&mut self, path: PathBuf, outbox: &Outbox<ExplorerResponse>) -> anyhow::Result<()> {
        let Some(model) = &self.model else { anyhow::bail!("no model is open") };
        let config = model.config();
        let Decoded { picture: original, treatment } =
            data::read_with_treatment(&path, config.pictures(), &DecodeOptions::default())?;
        outbox.send(ExplorerResponse::Projecting(ProjectionUpdate::Fitting(path, original.clone(), 0.0)));
        outbox.send(ExplorerResponse::Projecting(ProjectionUpdate::Remarks(treatment.remarks())));
        let settings = ProjectionSettings::default();
        self.projection = match &self.encoder {
            Some(encoder) => {
                let projection = Projection::new(&model.generator, encoder, &original, settings, &self.device)?;
                ProjectionState::Projecting(Box::new(projection))
            }
            None => ProjectionState::FittingEncoder(
                original,
                Box::new(EncoderBuilder::new(&model.generator, settings.seed)),
            ),
        };
        Ok(())
    }

    /// Does the most urgent piece of work: images first, then searches.
    fn work(&mut self, outbox: &Outbox<ExplorerResponse>) -> anyhow::Result<()> {
        let Some(model) = &self.model else {
            self.queue.clear();
            return Ok(());
        };
        if !self.queue.is_empty() {
            if let Some(response) = self.queue.step(model, self.painter.as_ref(), &self.device)? {
                outbox.send(response);
            }
        } else if let Some(mut search) = self.coordinates.take() {
            if search.step(&model.generator, &self.device)? {
                outbox.send(ExplorerResponse::DirectionsFound {
                    method: DirectionMethod::Raw,
                    directions: search.strongest(DIRECTIONS),
                });
            } else {
                self.coordinates = Some(search);
            }
        } else if let Err(error) = self.continue_projection(outbox) {
            outbox.send(ExplorerResponse::NotProjected(format!("{error:#}")));
        }
        Ok(())
    }

    /// Does a step of the projection.
    fn continue_projection(&mut self, outbox: &Outbox<ExplorerResponse>) -> anyhow::Result<()> {
        let Some(model) = &self.model else { return Ok(()) };
        match std::mem::replace(&mut self.projection, ProjectionState::Idle) {
            ProjectionState::Idle => {}
            ProjectionState::FittingEncoder(original, mut builder) => {
                let share = builder.step(&self.device)?;
                outbox.send(ExplorerResponse::Projecting(ProjectionUpdate::Fitting(
                    PathBuf::new(),
                    original.clone(),
                    share,
                )));
                if share < 1.0 {
                    self.projection = ProjectionState::FittingEncoder(original, builder);
                } else {
                    let encoder = builder.finish();
                    let settings = ProjectionSettings::default();
                    let projection = Projection::new(&model.generator, &encoder, &original, settings, &self.device)?;
                    (self.encoder, self.projection) =
                        (Some(encoder), ProjectionState::Projecting(Box::new(projection)));
                }
            }
            ProjectionState::Projecting(mut projection) => {
                let mut progress = projection.step()?;
                for _ in 1..PROJECTION_STEPS {
                    if !projection.done() {
                        progress = projection.step()?;
                    }
                }
                let reconstruction =
                    latent::generate_pictures(projection.generator(), &[progress.z.clone()], &self.device)?.remove(0);
                outbox.send(ExplorerResponse::Projecting(ProjectionUpdate::Best(reconstruction, progress)));
                if !projection.done() {
                    self.projection = ProjectionState::Projecting(projection);
                } else if let Some(encoder) = &mut self.encoder {
                    encoder.store_own_error(&projection);
                }
            }
        }
        Ok(())
    }
}

/// The absolute path of a model. The name of a bundled model is not a path and stays.
fn absolute(path: &Path) -> PathBuf {
    match path.to_str() {
        Some(name) if name.starts_with("bundled:") => path.to_owned(),
        _ => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}
