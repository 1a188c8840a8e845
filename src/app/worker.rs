//! The thread that owns the explored generator: opens models, turns sample numbers into pictures.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::image::{Picture, grid};
use crate::latent;
use crate::model::{Model, ModelConfig, Provenance};

/// Samples of one texture, and its columns.
pub(super) const CHUNK: u64 = 64;
pub(super) const COLUMNS: usize = 8;

/// Models that the program carries: trained by itself, see `assets/README.md`.
pub(super) const BUNDLED: [(&str, &[u8]); 2] = [
    ("Rooms", include_bytes!("../../assets/rooms.safetensors")),
    ("Faces", include_bytes!("../../assets/faces.safetensors")),
];

/// Which model to open.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Choice {
    Bundled(usize),
    File(PathBuf),
}

pub(super) enum Request {
    Open(Choice),
    /// Samples `chunk * CHUNK ..` of a seed; requests that were overtaken by newer ones are dropped.
    Draw {
        seed: u64,
        chunk: u64,
    },
    /// Nothing asked before this still counts.
    Forget,
}

pub(super) enum Reply {
    Opened { choice: Choice, config: ModelConfig, provenance: Provenance },
    Drawn { seed: u64, chunk: u64, sheet: Picture },
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
            serve(&inbox, &device, |reply| {
                let _ = outbox.send(reply);
                ctx.request_repaint();
            })
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

fn serve(inbox: &Receiver<Request>, device: &Device, reply: impl Fn(Reply)) {
    let mut model: Option<Model> = None;
    let mut waiting: Vec<(u64, u64)> = Vec::new();
    loop {
        // The newest request is drawn first; older ones only when nothing newer came.
        let next = if waiting.is_empty() { inbox.recv().ok() } else { inbox.try_recv().ok() };
        match next {
            Some(Request::Open(choice)) => {
                waiting.clear();
                match open(&choice, device) {
                    Ok(opened) => {
                        let (config, provenance) = (opened.config().clone(), opened.provenance.clone());
                        model = Some(opened);
                        reply(Reply::Opened { choice, config, provenance });
                    }
                    Err(error) => reply(Reply::Failed(error.to_string())),
                }
            }
            Some(Request::Draw { seed, chunk }) => waiting.push((seed, chunk)),
            Some(Request::Forget) => waiting.clear(),
            None => {
                let Some((seed, chunk)) = waiting.pop() else { return };
                if let Some(model) = &model {
                    reply(match draw(model, seed, chunk, device) {
                        Ok(sheet) => Reply::Drawn { seed, chunk, sheet },
                        Err(cause) => Reply::Failed(format!("the device failed while drawing: {cause}")),
                    });
                }
            }
        }
    }
}

fn open(choice: &Choice, device: &Device) -> Result<Model, crate::model::ModelError> {
    match choice {
        Choice::Bundled(i) => Model::from_bytes(BUNDLED[*i].1, Path::new(BUNDLED[*i].0), device),
        Choice::File(path) => Model::open(path, device),
    }
}

fn draw(model: &Model, seed: u64, chunk: u64, device: &Device) -> Result<Picture, String> {
    let config = model.config();
    let z = latent::draw(config.prior, config.z_dim, seed, chunk * CHUNK..(chunk + 1) * CHUNK, device);
    let drawn = model.generator.sample(z, config.sampling).try_into_data().map_err(|e| e.to_string())?;
    let values: Vec<f32> = drawn.iter::<f32>().collect();
    let picture = |values: &[f32]| Picture::from_chw(values, config.channels, config.size, config.size);
    let pictures: Vec<_> = values.chunks_exact(config.values()).map(picture).collect();
    Ok(grid(&pictures, COLUMNS, 0))
}
