//! What the trainer does about its health: it says what is wrong, keeps a checkpoint from before, goes back to one, and refuses what
//! no memory holds.

use super::{Job, load, multiply};
use crate::device::{Compute, Kind};
use crate::image::Picture;
use crate::train::alarm::{Alarm, Change, Health, in_effect};
use crate::train::checkpoint::{self, Checkpoint, CheckpointError};
use crate::train::config::RunConfig;
use crate::train::health;
use crate::train::memory::{self, Verdict};
use crate::train::messages::Event;
use crate::train::metrics::MetricsLog;
use crate::train::trainer::TrainError;

/// Checks that the memory does, where the CPU computes; what to say where it hardly does.
pub(super) fn fits(config: &RunConfig, compute: &Compute) -> Result<Option<String>, TrainError> {
    if compute.kind != Kind::Cpu {
        return Ok(None);
    }
    let (now, base) = (config.train.batch, config.model.base);
    match memory::verdict(&config.model, &config.train, memory::available()) {
        Verdict::Enough => Ok(None),
        Verdict::Tight(text) => Ok(Some(text)),
        Verdict::TooMuch { needed, available, batch } => {
            Err(TrainError::Memory { needed, available, batch, now, base })
        }
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
    pub(super) fn fails(&mut self, found: impl IntoIterator<Item = Health>) {
        for mut health in found {
            if let Health::Failing(alarm) = &mut health {
                match self.keep_before(alarm) {
                    Ok(kept) => alarm.kept = kept,
                    Err(error) => self.warn(format!("no checkpoint from before is kept: {error}")),
                }
            }
            self.announce(health);
        }
    }

    fn announce(&mut self, health: Health) {
        self.write_down(&health);
        (self.emit)(Event::Health(health));
    }

    pub(super) fn write_down(&mut self, health: &Health) {
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
        checkpoint::mark(&folder, &alarm.trouble.to_string()).map_err(|cause| io(&folder, cause))?;
        Ok(Some(step))
    }

    /// Goes on with other settings, where that is asked for from an earlier step.
    pub(super) fn change(&mut self, change: Change) -> Result<(), TrainError> {
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
            (self.emit)(Event::WentBack(step));
        }
        change.apply(&mut self.state);
        in_effect(&mut config.train, &self.run.config().train, &self.state);
        if change.back_to.is_some() || change.mirror.is_some() {
            (self.loader, self.ahead) = (load(&self.dataset, config, &self.state)?, None);
            self.problems = 0;
        }
        (self.emit)(Event::Rates(self.state.rates()));
        (self.emit)(Event::Note(format!("from step {} on: {}", self.state.step, change)));
        if change.back_to.is_some() { self.preview(true) } else { Ok(()) }
    }
}
