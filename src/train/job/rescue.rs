//! What the trainer does about its health: it says what is wrong, keeps a checkpoint from before, goes back to one, and refuses what
//! no memory holds.

use super::{Job, load, multiply};
use crate::device::{Compute, Kind, Shortage, shortage};
use crate::image::Picture;
use crate::train::alarm::{Alarm, HealthEvent};
use crate::train::change::{SettingsChange, set_in_force};
use crate::train::checkpoint::{self, Checkpoint, CheckpointError};
use crate::train::config::RunConfig;
use crate::train::health;
use crate::train::memory::{self, Verdict};
use crate::train::messages::Event;
use crate::train::metrics::MetricsLog;
use crate::train::trainer::TrainError;

/// Checks that the memory does, of the computer or of the card; what to say where it hardly does.
pub(super) fn fits(config: &RunConfig, compute: &Compute) -> Result<Option<String>, TrainError> {
    let (now, base) = (config.train.batch, config.model.base);
    if compute.kind == Kind::Gpu {
        let name = compute.name.clone();
        return match memory::on_card(&config.model, &config.train, &name, compute.memory) {
            Verdict::Enough => Ok(None),
            Verdict::Tight(text) => Ok(Some(text)),
            Verdict::TooMuch { needed, available, batch } => {
                Err(TrainError::CardMemory { name, needed, has: available, batch, now, base })
            }
        };
    }
    match memory::verdict(&config.model, &config.train, memory::available()) {
        Verdict::Enough => Ok(None),
        Verdict::Tight(text) => Ok(Some(text)),
        Verdict::TooMuch { needed, available, batch } => {
            Err(TrainError::Memory { needed, available, batch, now, base })
        }
    }
}

/// An error of a device as what a person can do about it, where its memory is full.
pub(in crate::train) fn explained(error: TrainError, config: &RunConfig, compute: &Compute) -> TrainError {
    let (TrainError::Device { cause, .. } | TrainError::Broke { cause }) = &error else { return error };
    let (now, base) = (config.train.batch, config.model.base);
    match shortage(cause).filter(|_| compute.kind != Kind::Cpu) {
        None => error,
        Some(Shortage::Piece) => TrainError::TooLarge { name: compute.name.clone(), now, base },
        Some(Shortage::Memory) => TrainError::CardFull {
            name: compute.name.clone(),
            needed: memory::needed_on_card(&config.model, &config.train),
            has: compute.memory,
            now,
            base,
        },
    }
}

impl Job<'_> {
    /// Looks at the health of samples.
    pub(super) fn look(&mut self, pictures: &[Picture]) {
        let (step, rates) = (self.state.step, self.state.rates());
        let found = self.health.preview(step, pictures, &self.options.config.train, rates);
        self.fails(found);
    }

    /// Says what is new about the run's health, and sees to a checkpoint from before.
    pub(super) fn fails(&mut self, found: impl IntoIterator<Item = HealthEvent>) {
        for mut health in found {
            if let HealthEvent::Failing(alarm) = &mut health {
                match self.keep_before(alarm) {
                    Ok(kept) => alarm.checkpoint = kept,
                    Err(error) => self.warn(format!("no checkpoint from before is kept: {error}")),
                }
            }
            self.announce(health);
        }
    }

    fn announce(&mut self, health: HealthEvent) {
        self.write_down(&health);
        (self.emit)(Event::Health(health));
    }

    pub(super) fn write_down(&mut self, health: &HealthEvent) {
        let path = self.run.health();
        let write = || -> std::io::Result<()> {
            use std::io::Write;
            writeln!(std::fs::OpenOptions::new().create(true).append(true).open(&path)?, "{health}")
        };
        if let Err(cause) = write() {
            self.warn(format!("{}: {cause}", path.display()));
        }
    }

    /// Keeps the newest checkpoint from before an alarm for good, writing it where only the memory has it; returns its step.
    fn keep_before(&mut self, alarm: &Alarm) -> Result<Option<u64>, TrainError> {
        let checkpoints = self.run.checkpoints();
        let io = |path: &std::path::Path, cause| CheckpointError::Io { path: path.to_owned(), cause };
        let written = checkpoint::before(&checkpoints, alarm.since.max(1));
        let (step, folder) = match (written, &self.healthy) {
            (Some((step, folder)), Some(healthy)) if step >= healthy.state.step => (step, folder),
            (Some((step, folder)), None) => (step, folder),
            (_, Some(healthy)) => {
                let step = healthy.state.step;
                (step, healthy.write(&checkpoints, self.provenance(&healthy.state), &self.run.text())?)
            }
            (None, None) => return Ok(None),
        };
        checkpoint::mark(&folder, &alarm.failure.to_string()).map_err(|cause| io(&folder, cause))?;
        Ok(Some(step))
    }

    /// Goes on with other settings, where that is asked for from an earlier step.
    pub(super) fn change(&mut self, change: SettingsChange) -> Result<(), TrainError> {
        let config = &mut self.options.config;
        if let Some(step) = change.back_to {
            let checkpoints = self.run.checkpoints();
            let folder = checkpoint::at(&checkpoints, step)?;
            let Checkpoint { mut networks, mut state } =
                Checkpoint::read(&folder, &config.train, &self.compute.device)?;
            checkpoint::go_back(&checkpoints, step)?;
            multiply(self.operands, &mut networks, &mut state);
            let path = self.run.metrics();
            self.log = MetricsLog::open(&path, step).map_err(|cause| TrainError::Metrics { path, cause })?;
            (self.networks, self.state) = (networks, state);
            (self.health, self.healthy, self.speed) = (health::Monitor::default(), None, super::Speed::default());
            (self.emit)(Event::RolledBack(step));
        }
        change.apply(&mut self.state);
        set_in_force(&mut config.train, &self.run.config().train, &self.state);
        if change.back_to.is_some() || change.mirror.is_some() {
            (self.loader, self.ahead) = (load(&self.dataset, config, &self.state)?, None);
            self.problems = 0;
        }
        (self.emit)(Event::LearningRates(self.state.rates()));
        (self.emit)(Event::Note(format!("from step {} on: {}", self.state.step, change)));
        if change.back_to.is_some() { self.preview(true) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    #[test]
    fn a_card_is_refused_what_it_cannot_hold_and_explains_what_it_could_not() {
        let mut config = RunConfig::preset(Preset::Pytorch, "synth:rooms");
        config.train.batch = 128;
        let card = |memory| Compute { kind: Kind::Gpu, name: "RTX 3050".to_owned(), memory, ..Compute::cpu() };
        let refused = fits(&config, &card(Some(1 << 30))).unwrap_err().to_string();
        assert!(refused.contains("on the card, RTX 3050 has 1.0 GiB: use --batch 64 or less (now 128)"), "{refused}");
        assert!(fits(&config, &card(None)).unwrap().is_none(), "nobody knows");

        let full = || TrainError::Device { step: 7, cause: "out of device memory allocating 9 bytes".to_owned() };
        let said = explained(full(), &config, &card(Some(8 << 30))).to_string();
        assert!(said.starts_with("RTX 3050 ran out of memory:") && said.contains("the card has 8.0 GiB"), "{said}");
        let panicked = TrainError::Broke { cause: "wgpu error: Out of Memory".to_owned() };
        assert!(explained(panicked, &config, &card(None)).to_string().contains("smaller --batch (now 128)"));
        let large = TrainError::Broke { cause: "can't allocate buffer of size: 268435456".to_owned() };
        assert!(explained(large, &config, &card(None)).to_string().contains("in one piece"));
        assert!(matches!(explained(full(), &config, &Compute::cpu()), TrainError::Device { .. }));
        let lost = TrainError::Device { step: 7, cause: "Parent device is lost".to_owned() };
        assert!(matches!(explained(lost, &config, &card(None)), TrainError::Device { .. }));
    }
}
