//! Recovers the settings of a run with a missing or damaged `run.toml` from its checkpoints.

use std::path::Path;

use burn::tensor::Device;
use fs_err as fs;

use super::checkpoint::TrainingState;
use super::config::RunConfig;
use super::fingerprint::Fingerprint;
use super::run;
use crate::model::{self, Model};

/// Recovered settings.
pub(super) struct RecoveredSettings {
    pub config: RunConfig,
    pub fingerprint: Option<Fingerprint>,
    /// A sentence for the user about where they come from.
    pub origin: String,
}

/// The settings in the newest readable checkpoint of a run; `None` if there is none.
pub(super) fn recover_settings(checkpoints: &Path) -> Option<RecoveredSettings> {
    let all = model::checkpoints(checkpoints);
    let copy = all.iter().rev().find_map(|(step, folder)| {
        let (config, fingerprint) = run::parse(&fs::read_to_string(folder.join("run.toml")).ok()?).ok()?;
        let origin = format!("the settings were restored from the checkpoint of step {step}");
        Some(RecoveredSettings { config, fingerprint, origin })
    });
    copy.or_else(|| all.iter().rev().find_map(|(step, folder)| infer_settings(*step, folder)))
}

/// Infers settings from a checkpoint of an older version, without a copy of `run.toml`: from its model's header and
/// its state.
fn infer_settings(step: u64, folder: &Path) -> Option<RecoveredSettings> {
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
    let origin = format!(
        "{known} were restored from the checkpoint of step {step}. Everything else is set to the preset {}: Adam's betas and epsilon, L2, the \
         schedule, instance noise, mirroring; and no pictures are skipped. If the run was started with other settings, write them into \
         run.toml",
        config.model.preset
    );
    Some(RecoveredSettings { config, fingerprint: None, origin })
}
