//! What a user does, end to end. One binary: each would link the whole program again.

mod cards;
#[cfg(unix)]
mod child;
mod command_line;
mod decoding;
mod devices;
mod dialogs;
mod drawable;
mod dropping;
mod epochs;
mod exploring;
mod failing;
mod formats;
mod hyperparameters;
mod inside;
mod killing;
mod measures;
mod measuring;
mod models;
mod normalization;
mod pictures;
mod preparing;
mod presets;
mod readings;
mod refusals;
mod report;
mod resuming;
mod window;

use std::path::Path;

use zscape::model::{ModelConfig, Preset};
use zscape::train::{RunConfig, TrainConfig, TrainerOptions};

/// A run so small that a step takes milliseconds.
fn tiny(run: &Path, seed: u64) -> TrainerOptions {
    let config = RunConfig {
        data: "synth:rooms".into(),
        seed,
        skip: Vec::new(),
        model: ModelConfig { size: 16, base: 4, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) },
        train: TrainConfig { batch: 4, ..TrainConfig::preset(Preset::Pytorch) },
    };
    TrainerOptions { preview_count: 4, ..TrainerOptions::new(config, run) }
}
