//! The settings of a run whose `run.toml` is lost, from what its checkpoints know.

use std::fs;
use std::path::Path;

use burn::tensor::Device;

use super::checkpoint::TrainingState;
use super::config::RunConfig;
use super::pictures::Fingerprint;
use super::run;
use crate::model::{self, Model};

/// Settings, and where they come from.
pub(super) struct Rebuilt {
    pub config: RunConfig,
    pub pictures: Option<Fingerprint>,
    /// For people.
    pub from: String,
}

/// The settings that the newest of a run's checkpoints knows; nothing where none can be read.
pub(super) fn settings(checkpoints: &Path) -> Option<Rebuilt> {
    let found = model::checkpoints(checkpoints);
    let copied = found.iter().rev().find_map(|(step, folder)| {
        let (config, pictures) = run::read(&fs::read_to_string(folder.join("run.toml")).ok()?).ok()?;
        Some(Rebuilt {
            config,
            pictures,
            from: format!("the settings are those that the checkpoint of step {step} has"),
        })
    });
    copied.or_else(|| found.iter().rev().find_map(|(step, folder)| guessed(*step, folder)))
}

/// What a checkpoint of before it had a copy of the settings tells: its model's header and its state.
fn guessed(step: u64, folder: &Path) -> Option<Rebuilt> {
    let state = TrainingState::read(folder).ok()?;
    let model = Model::open(folder, &Device::flex()).ok()?;
    let mut config = RunConfig::preset(model.config().preset, model.provenance.data.clone());
    config.model = model.config().clone();
    config.seed = model.provenance.seed;
    config.train.generator_rate = state.generator_rate;
    config.train.discriminator_rate = state.discriminator_rate;
    let mut known = "the networks, the data, the seed and the learning rates";
    if let Some(batch) =
        state.images.checked_div(state.step).filter(|batch| batch * state.step == state.images && *batch > 0)
    {
        config.train.batch = batch as usize;
        known = "the networks, the data, the seed, the batch and the learning rates";
    }
    let from = format!(
        "{known} are those of the checkpoint of step {step}. What it does not know is taken from the preset {}: momenta, epsilon, \
         L2, the schedule, the noise, mirroring; and no pictures are skipped. If the run was started with others, write them \
         into run.toml",
        config.model.preset
    );
    Some(Rebuilt { config, pictures: None, from })
}
