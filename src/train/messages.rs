//! Messages to and from the training thread: [`TrainerCommand`] and [`Event`].
//!
//! The window and the command line read the same stream of events.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::alarm::HealthEvent;
use super::change::SettingsChange;
use super::checkpoint::EpochEnd;
use super::metrics::Metrics;
use crate::data::{DatasetReport, Problem};
use crate::image::Picture;
use crate::model::TensorFile;

/// Adam's learning rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRates {
    /// Learning rate of the generator.
    pub generator: f64,
    /// Learning rate of the discriminator.
    pub discriminator: f64,
}

/// A command to the training thread, which obeys it between two steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TrainerCommand {
    /// Publish the generator with every preview, or stop doing so.
    PublishGenerator(bool),
    /// Publish both networks now and every so many steps; 0 stops it.
    PublishNetworks(u64),
    /// Pause.
    Pause,
    /// Resume.
    Resume,
    /// While paused: train one step.
    Step,
    /// Write a checkpoint now.
    Save,
    /// Write a checkpoint and end the run.
    Stop,
    /// End the run without writing a checkpoint.
    Abandon,
    /// Use these learning rates from the next step on.
    SetLearningRates(LearningRates),
    /// Change other settings, optionally after rolling back to an earlier checkpoint.
    ChangeSettings(SettingsChange),
}

/// Progress of a run after a step.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainingProgress {
    /// Metrics of this step.
    pub metrics: Metrics,
    /// Real pictures shown so far, over all sessions of the run.
    pub images: u64,
    /// Epochs so far; `None` for endless data.
    pub epoch: Option<f64>,
    /// Real pictures per second, averaged over the last seconds; 0 until known.
    pub images_per_second: f64,
    /// Estimated seconds until the last step, if the run has one.
    pub seconds_left: Option<f64>,
}

/// Samples of the run's fixed preview z's.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The step after which they were generated.
    pub step: u64,
    /// When that step ended, to measure how late the preview reaches the screen.
    pub step_ended: Instant,
    /// Samples 0, 1, 2, ... of the run's seed.
    pub pictures: Vec<Picture>,
    /// Whether this preview belongs to the filmstrip and is saved in the run's `samples/`. The filmstrip is dense at
    /// the start of a run, where much changes, and ever sparser later, so that it stays short. Ends of epochs always
    /// belong to it.
    pub in_filmstrip: bool,
    /// The epoch that ended with this step, if the run keeps the ends of epochs.
    pub epoch_end: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It reached its last step.
    Finished,
    /// [`TrainerCommand::Stop`]; it was saved.
    Stopped,
    /// [`TrainerCommand::Abandon`]; it was not saved.
    Abandoned,
    /// An error. The message says which, and whether the run was saved.
    Failed(String),
}

/// An event from the training thread.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run is open; its first step is `step + 1`.
    Started {
        /// Steps trained before.
        step: u64,
        /// The last step, if the run has one.
        last: Option<u64>,
        /// The run folder.
        folder: PathBuf,
        /// Name of the device that computes.
        device: String,
    },
    /// The learning rates in force. Those of a resumed run may differ from its `run.toml`.
    LearningRates(LearningRates),
    /// A step was trained.
    Stepped(TrainingProgress),
    /// A preview was generated.
    Previewed(Preview),
    /// The current generator as a model file in memory, which any thread can load.
    GeneratorSnapshot(Arc<TensorFile>),
    /// Both current networks as a model file in memory.
    NetworksSnapshot(Arc<TensorFile>),
    /// Training waits for [`TrainerCommand::Resume`] or [`TrainerCommand::Step`].
    Paused,
    /// Training continues.
    Resumed,
    /// A checkpoint was written completely.
    Saved {
        /// Its step.
        step: u64,
        /// Its folder.
        folder: PathBuf,
    },
    /// An epoch ended, and its sample grid and checkpoint were written.
    EpochEnded(EpochEnd),
    /// Pictures that were skipped.
    Problems {
        /// Pictures skipped since the last such event.
        new: Vec<Problem>,
        /// Number of pictures skipped in all.
        total: u64,
    },
    /// How the pictures of the data set are prepared.
    DatasetReport(Arc<DatasetReport>),
    /// Kernels are being tuned for this graphics card, as on the first training of a size: the number tuned by this
    /// process so far.
    Tuning(u64),
    /// Information, such as what the data set contains and what was inferred about it.
    Note(String),
    /// A problem that the run survives.
    Warning(String),
    /// A training failure was detected, or is over.
    Health(HealthEvent),
    /// The run was rolled back to this step.
    RolledBack(u64),
    /// The run ended; no event follows.
    Ended(Ending),
}
