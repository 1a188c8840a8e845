//! The explorer's worker as a stopwatch sees it: from a request to its reply.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::worker::{CHUNK, Reply, Request, Slot, Worker};
use crate::latent;
use crate::model::{Model, TensorFileError};

/// Requests that warm the worker up and are not counted.
const WARM: usize = 10;
/// Longest wait for one reply.
const PATIENCE: Duration = Duration::from_secs(60);
/// Samples of a gallery that fills a window.
pub const GALLERY: u64 = 256;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum LatencyError {
    /// The model could not be handed over.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// The worker said so.
    #[error("the explorer cannot draw: {0}")]
    Failed(String),
    /// The worker said nothing.
    #[error("the explorer did not answer within {} seconds", PATIENCE.as_secs())]
    Silent,
}

/// What was measured.
#[derive(Debug, Clone)]
pub struct Latency {
    /// From asking for one sample's picture, as dragging does, until it is there; each with a z of its own.
    pub one: Vec<Duration>,
    /// From asking for [`GALLERY`] samples until all of them are there; each time with a seed of its own.
    pub gallery: Vec<Duration>,
}

/// Starts a worker as the window does, and times `ones` single samples and `galleries` whole galleries of `model`.
///
/// # Errors
/// [`LatencyError`] when the worker fails or is silent.
pub fn latency(model: &Model, device: &Device, ones: usize, galleries: usize) -> Result<Latency, LatencyError> {
    let worker = Worker::start(device.clone(), None, &egui::Context::default());
    let config = model.config();
    worker.send(Request::Follow("measured".into(), Arc::new(model.to_file()?)));
    answers(&worker, 1, |reply| matches!(reply, Reply::Followed { .. }))?;
    let mut one = Vec::with_capacity(ones);
    for number in 0..WARM + ones {
        let z = [latent::sample_z(config.prior, config.z_dim, 1, number as u64)].into();
        let began = Instant::now();
        worker.send(Request::Render { slot: Slot::Pointer, z });
        answers(&worker, 1, |reply| matches!(reply, Reply::Rendered { .. }))?;
        one.push(began.elapsed());
    }
    let mut gallery = Vec::with_capacity(galleries);
    for seed in 0..=galleries as u64 {
        let began = Instant::now();
        for chunk in 0..GALLERY / CHUNK {
            worker.send(Request::Draw { seed, chunk });
        }
        answers(&worker, (GALLERY / CHUNK) as usize, |reply| matches!(reply, Reply::Drawn { .. }))?;
        gallery.push(began.elapsed());
    }
    Ok(Latency { one: one.split_off(WARM), gallery: gallery.split_off(1) })
}

/// Waits for `count` replies of a kind.
fn answers(worker: &Worker, count: usize, wanted: impl Fn(&Reply) -> bool) -> Result<(), LatencyError> {
    let mut seen = 0;
    while seen < count {
        match worker.responses.recv_timeout(PATIENCE) {
            Ok(Reply::Failed(cause)) => return Err(LatencyError::Failed(cause)),
            Ok(reply) => seen += usize::from(wanted(&reply)),
            Err(_) => return Err(LatencyError::Silent),
        }
    }
    Ok(())
}
