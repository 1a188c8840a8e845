//! All that can be told to a training run, and all that it tells. The window and the command line read the same stream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::alarm::{Change, Health};
use super::checkpoint::EpochEnd;
use super::metrics::Metrics;
use crate::data::{Problem, Report};
use crate::image::Picture;
use crate::model::TensorFile;

/// Adam's learning rates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// For the generator.
    pub generator: f64,
    /// For the discriminator.
    pub discriminator: f64,
}

/// What a person may ask of the trainer; obeyed between steps.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Command {
    /// Tell the newest generator with every preview, or no longer.
    Follow(bool),
    /// Tell both networks now, and after every so many steps; 0 for no longer.
    Networks(u64),
    /// Wait.
    Pause,
    /// Go on.
    Resume,
    /// Take one step, then wait.
    Step,
    /// Write a checkpoint now.
    Save,
    /// Write a checkpoint and end.
    Stop,
    /// End without writing one.
    Abandon,
    /// Use other learning rates from the next step on.
    Rates(Rates),
    /// Use other settings from the next step on, or go back to an earlier step with them.
    Change(Change),
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// This step's numbers.
    pub metrics: Metrics,
    /// Real pictures shown so far, over all sessions of the run.
    pub images: u64,
    /// Passes through the data; `None` for endless data.
    pub epoch: Option<f64>,
    /// Real pictures a second, over the last seconds; 0 until known.
    pub images_per_second: f64,
    /// Seconds until the last step, if there is one.
    pub seconds_left: Option<f64>,
}

/// The fixed preview z's, drawn by the newest generator.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The step after which they were drawn.
    pub step: u64,
    /// When that step had ended: from then on they are late.
    pub taken: Instant,
    /// Samples 0, 1, 2, ... of the run's seed.
    pub pictures: Vec<Picture>,
    /// Whether this one belongs to the filmstrip and is kept in the run's `samples/`: denser at the start of a run,
    /// where much happens, and ever sparser, so that a long run's strip stays short. The ends of epochs belong to it too.
    pub kept: bool,
    /// The epoch that ended with this step, where the run keeps those.
    pub epoch_end: Option<u64>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All steps were taken.
    Finished,
    /// Somebody asked for it.
    Stopped,
    /// Somebody asked for it, and that nothing more is saved.
    Abandoned,
    /// Something went wrong; the message says what, and whether the run could be saved.
    Failed(String),
}

/// What the trainer tells.
#[derive(Debug, Clone)]
pub enum Event {
    /// The run is open: its first step will be `step + 1`.
    Started {
        /// Steps already taken.
        step: u64,
        /// The last step, if there is one.
        last: Option<u64>,
        /// Where everything is kept.
        folder: PathBuf,
        /// The device that computes.
        device: String,
    },
    /// The learning rates that it begins with: a resumed run's may have been changed since its settings were written.
    Rates(Rates),
    /// A step was taken.
    Stepped(Progress),
    /// The preview z's were drawn.
    Previewed(Preview),
    /// The generator as it is now, as the file that would hold it: finished data, which any thread can take up.
    Generator(Arc<TensorFile>),
    /// Both networks as they are now, for whoever measures them.
    Networks(Arc<TensorFile>),
    /// It waits for [`Command::Resume`] or [`Command::Step`].
    Paused,
    /// It goes on.
    Resumed,
    /// A checkpoint is whole on disk.
    Saved {
        /// The step it holds.
        step: u64,
        /// Its folder.
        folder: PathBuf,
    },
    /// An epoch ended, and its sample grid and checkpoint were written.
    EpochEnded(EpochEnd),
    /// Pictures that were skipped since the last such message, and how many in all.
    Problems {
        /// The newest ones.
        new: Vec<Problem>,
        /// All of them, counted.
        total: u64,
    },
    /// What is done to the pictures.
    Report(Arc<Report>),
    /// The card's kernels are being tuned, as when a training of this size is started on it for the first time: how many this program has
    /// tuned so far.
    Tuning(u64),
    /// What the pictures are that it learns from, or what was guessed of them.
    Note(String),
    /// Something went wrong that the run survives.
    Warning(String),
    /// The training fails, or no longer does.
    Health(Health),
    /// The run went back to an earlier step, which is the last one taken now.
    WentBack(u64),
    /// Nothing follows.
    Ended(Ending),
}
