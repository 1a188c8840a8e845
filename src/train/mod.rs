//! Training of a DCGAN.
//!
//! [`Trainer`] trains a run on its own thread: it takes [`TrainerCommand`]s and sends [`Event`]s. A run is a folder
//! ([`Run`]) with settings ([`RunConfig`]), checkpoints ([`Checkpoint`]), metrics ([`MetricsLog`]) and sample grids.
//! [`Networks::step`] is one training step.

mod alarm;
mod change;
mod checkpoint;
mod config;
mod error;
mod fingerprint;
mod health;
mod instance_noise;
mod loss_scale;
mod memory;
mod messages;
mod metrics;
mod new_folder;
#[cfg(test)]
mod pytorch_reference;
mod recovery;
mod run;
mod schedule;
mod self_test;
mod step;
mod step_metrics;
mod trainer;
mod training_loop;
mod upload;
mod variety;

pub use alarm::{Alarm, FailureMode, HealthEvent, Remedy};
pub use change::SettingsChange;
pub use checkpoint::{Checkpoint, CheckpointError, EpochEnd, epoch_ends};
pub use config::{RunConfig, TrainConfig, TrainConfigError};
pub use error::TrainError;
pub use fingerprint::{DatasetDifference, Fingerprint};
pub use loss_scale::LossScale;
pub use messages::{Ending, Event, LearningRates, Preview, TrainerCommand, TrainingProgress};
pub use metrics::{Metrics, MetricsLog};
pub use run::{Run, RunError};
pub use schedule::{MAX_UPDATES, Schedule};
pub use self_test::SelfTest;
pub use step::Networks;
pub use step_metrics::StepMetrics;
pub use trainer::{Trainer, TrainerOptions};
