//! Changes settings in the middle of a run.

use super::readback::Throughput;
use super::{TrainingLoop, set_operands, start_loader};
use crate::train::change::{SettingsChange, set_in_force};
use crate::train::checkpoint::{self, Checkpoint};
use crate::train::error::TrainError;
use crate::train::health::HealthMonitor;
use crate::train::messages::Event;
use crate::train::metrics::MetricsLog;

impl TrainingLoop<'_> {
    /// Rolls back to an earlier checkpoint if `change` says so, and continues with its settings.
    pub(super) fn change_settings(&mut self, change: SettingsChange) -> Result<(), TrainError> {
        let config = &mut self.options.config;
        if let Some(step) = change.back_to {
            let checkpoints = self.run.checkpoints();
            let folder = checkpoint::find(&checkpoints, step)?;
            let Checkpoint { mut networks, mut state } =
                Checkpoint::read(&folder, &config.train, &self.compute.device)?;
            checkpoint::roll_back(&checkpoints, step)?;
            set_operands(self.operands, &mut networks, &mut state);
            self.log = MetricsLog::open(&self.run.metrics(), step)?;
            (self.networks, self.state) = (networks, state);
            (self.health, self.healthy, self.throughput) = (HealthMonitor::default(), None, Throughput::default());
            (self.emit)(Event::RolledBack(step));
        }
        change.apply(&mut self.state);
        set_in_force(&mut config.train, &self.run.config().train, &self.state);
        if change.back_to.is_some() || change.mirror.is_some() {
            (self.loader, self.prefetched) = (start_loader(&self.dataset, config, &self.state)?, None);
            self.problems = 0;
        }
        (self.emit)(Event::LearningRates(self.state.rates()));
        (self.emit)(Event::Note(format!("after step {}: {change}", self.state.step)));
        if change.back_to.is_some() { self.preview(true) } else { Ok(()) }
    }
}
