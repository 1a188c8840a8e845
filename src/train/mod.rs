//! Training: one step, the thread that takes it again and again, and the run folder it keeps.

mod alarm;
mod change;
mod checkpoint;
mod config;
mod health;
mod job;
mod making;
mod memory;
mod messages;
mod metrics;
mod noise;
#[cfg(test)]
mod peers;
mod pictures;
mod rebuild;
mod run;
mod scale;
mod step;
mod trainer;
mod trial;
mod upload;

pub use alarm::{Alarm, FailureMode, HealthEvent, Remedy};
pub use change::SettingsChange;
pub use checkpoint::{Checkpoint, CheckpointError, EpochEnd, epoch_ends};
pub use config::{MAX_UPDATES, RunConfig, Schedule, TrainConfig, TrainConfigError};
pub use messages::{Ending, Event, LearningRates, Preview, TrainerCommand, TrainingProgress};
pub use metrics::{Metrics, MetricsLog};
pub use pictures::{Difference, Fingerprint};
pub use run::{Run, RunError};
pub use scale::LossScale;
pub use step::{Networks, StepReport};
pub use trainer::{TrainError, Trainer, TrainerOptions};
pub use trial::Trial;
