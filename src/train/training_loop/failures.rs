//! Reports training failures, and keeps a checkpoint from before each.

use std::io::Write;

use fs_err as fs;

use super::TrainingLoop;
use crate::image::Picture;
use crate::train::alarm::{Alarm, HealthEvent};
use crate::train::checkpoint;
use crate::train::error::TrainError;
use crate::train::messages::Event;

impl TrainingLoop<'_> {
    /// Checks samples of the fixed z's for mode collapse.
    pub(super) fn check_samples(&mut self, samples: &[Picture]) {
        let (step, rates) = (self.state.step, self.state.rates());
        let event = self.health.check_samples(step, samples, &self.options.config.train, rates);
        self.report_health(event);
    }

    /// Reports failures and recoveries. For each failure it keeps a checkpoint from before.
    pub(super) fn report_health(&mut self, events: impl IntoIterator<Item = HealthEvent>) {
        for mut event in events {
            if let HealthEvent::Failing(alarm) = &mut event {
                match self.keep_checkpoint_before(alarm) {
                    Ok(step) => alarm.checkpoint = step,
                    Err(error) => self.warn(format!("cannot keep a checkpoint from before the failure: {error}")),
                }
            }
            self.log_health(&event);
            (self.emit)(Event::Health(event));
        }
    }

    /// Adds a line to `health.log`.
    pub(super) fn log_health(&mut self, event: &HealthEvent) {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.run.health_log());
        if let Err(error) = log.and_then(|mut log| writeln!(log, "{event}")) {
            self.warn(error.to_string());
        }
    }

    /// Marks the newest checkpoint from before an alarm so that it is never removed, after writing the one in memory
    /// if that is newer. Returns its step; `None` if there is no such checkpoint.
    fn keep_checkpoint_before(&mut self, alarm: &Alarm) -> Result<Option<u64>, TrainError> {
        let checkpoints = self.run.checkpoints();
        let (step, folder) = match (checkpoint::newest_before(&checkpoints, alarm.since.max(1)), &self.healthy) {
            (Some((step, folder)), Some(healthy)) if step >= healthy.state.step => (step, folder),
            (Some((step, folder)), None) => (step, folder),
            (_, Some(healthy)) => {
                let step = healthy.state.step;
                (step, healthy.write(&checkpoints, self.provenance(&healthy.state), &self.run.text())?)
            }
            (None, None) => return Ok(None),
        };
        checkpoint::mark(&folder, &alarm.failure.to_string())?;
        Ok(Some(step))
    }
}
