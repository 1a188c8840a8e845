//! Latency of the explorer's worker, from a request to its response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;

use super::worker::{CHUNK, ExplorerRequest, ExplorerResponse, ExplorerWorker, Slot};
use crate::latent;
use crate::model::{Model, TensorFileError};

/// Requests that warm the worker up and are not measured.
const WARMUP: usize = 10;
/// Longest wait for one response.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Samples of a gallery that fills a window.
pub const GALLERY: u64 = 256;

/// Why the latency could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum LatencyError {
    /// The model could not be converted.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// The worker failed.
    #[error("the explorer cannot draw: {0}")]
    Failed(String),
    /// The worker did not respond in time.
    #[error("the explorer did not answer within {} seconds", TIMEOUT.as_secs())]
    Silent,
}

/// Measured latencies.
#[derive(Debug, Clone)]
pub struct Latency {
    /// From the request of one image, as dragging sends it, to the response; each of another z.
    pub one: Vec<Duration>,
    /// From the request of [`GALLERY`] samples until the last of them; each time of another seed.
    pub gallery: Vec<Duration>,
}

/// Starts a worker as the window does, and measures `ones` single samples and `galleries` whole galleries of `model`.
///
/// # Errors
/// [`LatencyError`] when the worker fails or does not respond.
pub fn latency(model: &Model, device: &Device, ones: usize, galleries: usize) -> Result<Latency, LatencyError> {
    let worker = ExplorerWorker::start(device.clone(), None, &egui::Context::default());
    let config = model.config();
    worker.send(ExplorerRequest::Follow("measured".into(), Arc::new(model.to_file()?)));
    wait_for(&worker, 1, |response| matches!(response, ExplorerResponse::Followed { .. }))?;
    let mut one = Vec::with_capacity(ones);
    for number in 0..WARMUP + ones {
        let z = [latent::sample_z(config.prior, config.z_dim, 1, number as u64)].into();
        let began = Instant::now();
        worker.send(ExplorerRequest::Render { slot: Slot::Pointer, z });
        wait_for(&worker, 1, |response| matches!(response, ExplorerResponse::Rendered { .. }))?;
        one.push(began.elapsed());
    }
    let mut gallery = Vec::with_capacity(galleries);
    for seed in 0..=galleries as u64 {
        let began = Instant::now();
        for chunk in 0..GALLERY / CHUNK {
            worker.send(ExplorerRequest::GalleryChunk { seed, chunk });
        }
        wait_for(&worker, (GALLERY / CHUNK) as usize, |response| {
            matches!(response, ExplorerResponse::GalleryChunk { .. })
        })?;
        gallery.push(began.elapsed());
    }
    Ok(Latency { one: one.split_off(WARMUP), gallery: gallery.split_off(1) })
}

/// Waits for `count` responses of a kind.
fn wait_for(
    worker: &ExplorerWorker,
    count: usize,
    wanted: impl Fn(&ExplorerResponse) -> bool,
) -> Result<(), LatencyError> {
    let mut received = 0;
    while received < count {
        match worker.responses.recv_timeout(TIMEOUT) {
            Ok(ExplorerResponse::Failed(cause)) => return Err(LatencyError::Failed(cause)),
            Ok(response) => received += usize::from(wanted(&response)),
            Err(_) => return Err(LatencyError::Silent),
        }
    }
    Ok(())
}
