//! What a training publishes and writes: previews, network snapshots, checkpoints.

use std::sync::Arc;
use std::time::Instant;

use super::TrainingLoop;
use crate::image::{self, Picture};
use crate::latent;
use crate::model::{Model, Provenance, TensorFile};
use crate::train::checkpoint::{self, TrainingState};
use crate::train::error::TrainError;
use crate::train::messages::{Event, Preview};
use crate::train::step::Networks;
use crate::train::trainer::TrainerOptions;

/// Pictures in a row of the preview grid.
const PREVIEW_COLUMNS: usize = 8;

impl TrainingLoop<'_> {
    /// Generates and reports a preview. Those of single steps, `single`, stay out of the filmstrip.
    pub(super) fn preview(&mut self, single: bool) -> Result<(), TrainError> {
        let (step, step_ended) = (self.state.step, Instant::now());
        let pictures = self.generate_samples(self.options.preview_count)?;
        self.check_samples(&pictures);
        let epoch_end = self.state.epoch_end;
        let in_filmstrip = !single && (epoch_end.is_some() || is_in_filmstrip(step, self.options.preview_every.max(1)));
        let sheet = in_filmstrip.then(|| image::grid(&pictures, PREVIEW_COLUMNS, 2));
        (self.emit)(Event::Previewed(Preview { step, step_ended, pictures, in_filmstrip, epoch_end }));
        self.publish_generator();
        if let Some(Err(error)) = sheet.map(|sheet| sheet.write_png(&self.run.sample_grid(step))) {
            self.warn(format!("cannot save a preview: {error}"));
        }
        Ok(())
    }

    /// Samples 0 to `count` of the run's seed.
    pub(super) fn generate_samples(&self, count: usize) -> Result<Vec<Picture>, TrainError> {
        let (step, seed) = (self.state.step, self.options.config.seed);
        let z = latent::sample_zs(&self.options.config.model, seed, 0..count as u64);
        latent::generate_pictures(&self.networks.generator, &z, &self.compute.device)
            .map_err(|error| TrainError::Device { step, cause: error.to_string() })
    }

    /// Publishes the generator, if somebody explores it during training.
    pub(super) fn publish_generator(&mut self) {
        if self.publish_generator {
            self.publish(false, Event::GeneratorSnapshot);
        }
    }

    /// Publishes both networks, if somebody evaluates them during training.
    pub(super) fn publish_networks(&mut self) {
        if self.snapshot_interval > 0 {
            self.publish(true, Event::NetworksSnapshot);
        }
    }

    fn publish(&mut self, both: bool, event: fn(Arc<TensorFile>) -> Event) {
        let Networks { generator, discriminator, .. } = &self.networks;
        let discriminator = both.then(|| discriminator.clone());
        let provenance = self.provenance(&self.state);
        let model = Model { generator: generator.clone(), discriminator, provenance };
        match model.to_file() {
            Ok(file) => (self.emit)(event(Arc::new(file))),
            Err(error) => self.warn(format!("cannot publish the networks during training: {error}")),
        }
    }

    pub(super) fn provenance(&self, state: &TrainingState) -> Provenance {
        Provenance {
            data: self.options.config.data.to_string(),
            steps: state.step,
            images: state.images,
            seed: self.options.config.seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Provenance::default()
        }
    }

    /// Writes a checkpoint and returns whether that worked. If it fails, the run warns and continues, and can be
    /// saved later.
    pub(super) fn save_or_warn(&mut self) -> bool {
        let saved = self.save();
        if let Err(error) = &saved {
            self.warn(format!("cannot save step {}: {error}", self.state.step));
        }
        saved.is_ok()
    }

    /// Writes a checkpoint and removes old ones.
    pub(super) fn save(&mut self) -> Result<(), TrainError> {
        let checkpoints = self.run.checkpoints();
        let folder = self.checkpoint().write(&checkpoints, self.provenance(&self.state), &self.run.text())?;
        let TrainerOptions { keep_last, keep_every, .. } = self.options;
        if let Err(error) = checkpoint::remove_old(&checkpoints, keep_last, keep_every, &self.health.suspected()) {
            self.warn(format!("cannot remove old checkpoints: {error}"));
        }
        (self.emit)(Event::Saved { step: self.state.step, folder });
        Ok(())
    }
}

/// Whether the preview of `step` belongs to the filmstrip: about twenty previews in each doubling of the steps.
fn is_in_filmstrip(step: u64, preview_every: u64) -> bool {
    let octave = (step / (preview_every * 20)).checked_ilog2().map_or(0, |doublings| doublings + 1);
    step.is_multiple_of(preview_every << octave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filmstrip_thins_out_as_a_run_grows() {
        let count = |steps: std::ops::Range<u64>| steps.filter(|&step| is_in_filmstrip(step, 25)).count();
        assert_eq!(count(0..500), 20);
        assert_eq!(count(500..1000), 10);
        assert!(count(0..1_000_000) < 200);
        assert!(is_in_filmstrip(0, 25), "the filmstrip starts with the untrained generator");
    }
}
