//! Changes of settings in the middle of a run.

use std::fmt;

use super::checkpoint::TrainingState;
use super::config::TrainConfig;
use super::messages::LearningRates;

/// A change of settings in the middle of a run. `None` leaves a setting alone.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SettingsChange {
    /// First roll back to the checkpoint of this step.
    pub back_to: Option<u64>,
    /// Learning rates.
    pub rates: Option<LearningRates>,
    /// Standard deviation of the instance noise, and the number of steps over which it fades from now on; 0 steps for
    /// never.
    pub noise: Option<(f32, u64)>,
    /// Whether pictures are mirrored.
    pub mirror: Option<bool>,
}

impl SettingsChange {
    /// Records the change in the state that checkpoints store, so that later sessions keep it.
    pub(super) fn apply(&self, state: &mut TrainingState) {
        if let Some(rates) = self.rates {
            (state.generator_rate, state.discriminator_rate) = (rates.generator, rates.discriminator);
        }
        if let Some((deviation, steps)) = self.noise {
            state.noise = Some((deviation, steps, state.step));
        }
        state.mirror = self.mirror.or(state.mirror);
    }
}

impl fmt::Display for SettingsChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if let Some(LearningRates { generator, discriminator }) = self.rates {
            parts.push(format!("learning rates {generator} (generator) and {discriminator} (discriminator)"));
        }
        if let Some((deviation, steps)) = self.noise {
            parts.push(format!("instance noise of {deviation}, fading over {steps} steps"));
        }
        if let Some(mirror) = self.mirror {
            parts.push(if mirror { "mirrored pictures added" } else { "no mirrored pictures" }.to_owned());
        }
        if parts.is_empty() { f.write_str("settings unchanged") } else { f.write_str(&parts.join(", ")) }
    }
}

/// Sets those of the settings in `train` that can change in the middle of a run to the values in force: the run began
/// with `initial`, and
/// `state` records what was changed since.
pub(super) fn set_in_force(train: &mut TrainConfig, initial: &TrainConfig, state: &TrainingState) {
    (train.noise, train.noise_steps, train.noise_from) =
        state.noise.unwrap_or((initial.noise, initial.noise_steps, initial.noise_from));
    train.mirror = state.mirror.unwrap_or(initial.mirror);
    train.precision = state.precision.unwrap_or(initial.precision);
}
