//! Errors that end a training.

use std::path::PathBuf;

use super::checkpoint::CheckpointError;
use super::config::TrainConfigError;
use super::memory::{advice, in_gib};
use super::run::RunError;
use crate::data::DataError;
use crate::model::ConfigError;
use crate::panics;

/// Why training ended early or could not start.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The pictures of a resumed run are gone.
    #[error(
        "the run's pictures are no longer at {path}. If they were moved, name their new place with --resume --data NEW, or with Moved \
         to... in the window; training continues if their names and number match"
    )]
    Moved {
        /// Where they were.
        path: PathBuf,
    },
    /// The run folder cannot be used.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The networks' settings are invalid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Epochs of endless data.
    #[error("{source_name} never ends, so it has no epochs; use --steps")]
    Endless {
        /// The data source.
        source_name: String,
    },
    /// The training's settings are invalid.
    #[error(transparent)]
    TrainConfig(#[from] TrainConfigError),
    /// The computer has too little memory.
    #[error(
        "this training needs about {} of memory, and only {} are free; {}",
        in_gib(*needed),
        in_gib(*available),
        advice(*fitting_batch, *batch, *base)
    )]
    Memory {
        /// Estimated need in bytes.
        needed: u64,
        /// Free bytes.
        available: u64,
        /// A batch size that fits, if any does.
        fitting_batch: Option<usize>,
        /// The requested batch size.
        batch: usize,
        /// The requested base filters.
        base: usize,
    },
    /// The graphics card has too little memory.
    #[error(
        "this training needs about {} on the card, {name} has {}: {}",
        in_gib(*needed),
        in_gib(*available),
        advice(*fitting_batch, *batch, *base)
    )]
    CardMemory {
        /// Name of the card.
        name: String,
        /// Estimated need in bytes.
        needed: u64,
        /// Memory of the card in bytes.
        available: u64,
        /// A batch size that fits, if any does.
        fitting_batch: Option<usize>,
        /// The requested batch size.
        batch: usize,
        /// The requested base filters.
        base: usize,
    },
    /// The graphics card ran out of memory during training.
    #[error(
        "{name} ran out of memory: this training needs about {}{}. Use a smaller --batch (now {batch}) or --base (now \
         {base}), or close other programs that use the card",
        in_gib(*needed),
        memory.map(|memory| format!(", and the card has {}", in_gib(memory))).unwrap_or_default()
    )]
    CardFull {
        /// Name of the card.
        name: String,
        /// Estimated need in bytes.
        needed: u64,
        /// Memory of the card in bytes, if its driver reports it.
        memory: Option<u64>,
        /// The batch size.
        batch: usize,
        /// The base filters.
        base: usize,
    },
    /// A buffer is larger than the graphics card's driver can allocate.
    #[error(
        "a layer's feature maps are larger than {name} can allocate in one piece: use a smaller --batch (now {batch}) or --base (now {base})"
    )]
    BufferTooLarge {
        /// Name of the card.
        name: String,
        /// The batch size.
        batch: usize,
        /// The base filters.
        base: usize,
    },
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The device failed.
    #[error("the device failed in step {step}: {cause}")]
    Device {
        /// The step that was not finished.
        step: u64,
        /// The device's message.
        cause: String,
    },
    /// A panic, which is often caused by a lost device.
    #[error("training failed unexpectedly: {cause}")]
    Panic {
        /// The panic's message.
        cause: String,
    },
    /// A metric is infinite or NaN.
    #[error(
        "training diverged in step {step}: the losses are no longer numbers. Lower the learning rates (the paper uses 2e-4) and resume"
    )]
    Diverged {
        /// The step.
        step: u64,
    },
}

/// Calls `work` and turns a panic into [`TrainError::Panic`].
pub(super) fn catch_panic<T>(work: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    panics::catch(work).unwrap_or_else(|cause| Err(TrainError::Panic { cause }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_message() {
        let panicked: Result<(), _> = catch_panic(|| panic!("the device is {}", "lost"));
        assert_eq!(panicked.unwrap_err().to_string(), "training failed unexpectedly: the device is lost");
        assert_eq!(catch_panic(|| Ok(3)).unwrap(), 3);
    }
}
