//! A training run on its own thread, as others see it: what to run, commands in, events out.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::change::SettingsChange;
use super::checkpoint::CheckpointError;
use super::config::{RunConfig, TrainConfigError};
use super::job::{Job, explained};
use super::memory;
use super::messages::{Ending, Event, TrainerCommand};
use super::run::RunError;
use crate::data::DataError;
use crate::device::{self, Compute};
use crate::model::ConfigError;
use crate::panics;

/// What to run, and how it is kept.
#[derive(Debug, Clone)]
pub struct TrainerOptions {
    /// The run's settings.
    pub config: RunConfig,
    /// The run folder.
    pub folder: PathBuf,
    /// Go on with the run that is there.
    pub resume: bool,
    /// The last step; `None` to go on until stopped.
    pub steps: Option<u64>,
    /// The last pass through the data, where that comes before the last step. Only with it a sample grid and a checkpoint are
    /// kept at the ends of epochs: a run by steps alone, or without end, may pass through a small set every few steps.
    pub epochs: Option<u64>,
    /// With `epochs`, from one epoch that is kept to the next; the last is kept too. 0 for none.
    pub keep_epochs: u64,
    /// Steps between checkpoints.
    pub save_every: u64,
    /// Steps between previews.
    pub preview_every: u64,
    /// Pictures in a preview.
    pub preview_count: usize,
    /// Newest checkpoints that are kept.
    pub keep_last: usize,
    /// Checkpoints at multiples of so many steps are kept as well; 0 for none.
    pub keep_every: u64,
    /// With `resume`, what is changed first.
    pub change: SettingsChange,
    /// Open the run, show its preview, and wait.
    pub paused: bool,
    /// Give way to whatever else wants the processor: a window is open.
    pub background: bool,
}

impl TrainerOptions {
    /// Sensible keeping for a run of `config` in `folder`.
    pub fn new(config: RunConfig, folder: impl Into<PathBuf>) -> Self {
        Self {
            config,
            folder: folder.into(),
            resume: false,
            steps: None,
            epochs: None,
            keep_epochs: 1,
            save_every: 500,
            preview_every: 25,
            preview_count: 64,
            keep_last: 3,
            keep_every: 5000,
            change: SettingsChange::default(),
            paused: false,
            background: false,
        }
    }
}

/// Why training ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The data is at fault.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A run's pictures are not where they were.
    #[error(
        "the run's pictures are not at {path} any more. If they were moved, say where they are now: --resume --data NEW, or Moved \
         to... in the window; the run goes on where their names and their number agree"
    )]
    Moved {
        /// Where they were.
        path: PathBuf,
    },
    /// The run folder is at fault.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A checkpoint could not be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The settings are impossible.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Passes through data that never ends.
    #[error("{source_name} never ends, so it has no epochs; use --steps")]
    Endless {
        /// The data.
        source_name: String,
    },
    /// The networks cannot be trained with these numbers.
    #[error(transparent)]
    Numbers(#[from] TrainConfigError),
    /// More memory is needed than there is.
    #[error(
        "this training needs about {} of memory, and {} are free; {}",
        memory::gib(*needed),
        memory::gib(*available),
        memory::smaller(*batch, *now, *base)
    )]
    Memory {
        /// Bytes, about.
        needed: u64,
        /// Bytes that are free.
        available: u64,
        /// A batch that would do, if any does.
        batch: Option<usize>,
        /// The batch that was asked for.
        now: usize,
        /// The base filters that were asked for.
        base: usize,
    },
    /// More memory is needed than a graphics card has.
    #[error(
        "this training needs about {} on the card, {name} has {}: {}",
        memory::gib(*needed),
        memory::gib(*has),
        memory::smaller(*batch, *now, *base)
    )]
    CardMemory {
        /// The card.
        name: String,
        /// Bytes, about.
        needed: u64,
        /// Bytes of its memory.
        has: u64,
        /// A batch that would do, if any does.
        batch: Option<usize>,
        /// The batch that was asked for.
        now: usize,
        /// The base filters that were asked for.
        base: usize,
    },
    /// The graphics card ran out of memory.
    #[error(
        "{name} ran out of memory: this training needs about {}{}. Use a smaller --batch (now {now}) or --base (now \
         {base}), or close what else uses the card",
        memory::gib(*needed),
        has.map(|has| format!(", and the card has {}", memory::gib(has))).unwrap_or_default()
    )]
    CardFull {
        /// The card.
        name: String,
        /// Bytes that the training needs, about.
        needed: u64,
        /// Bytes of the card's memory, where its driver says so.
        has: Option<u64>,
        /// The batch.
        now: usize,
        /// The base filters.
        base: usize,
    },
    /// A layer's maps are larger than the graphics card's driver gives in one piece.
    #[error(
        "the maps of a layer are larger than {name} can hold in one piece: use a smaller --batch (now {now}) or --base (now {base})"
    )]
    TooLarge {
        /// The card.
        name: String,
        /// The batch.
        now: usize,
        /// The base filters.
        base: usize,
    },
    /// `metrics.csv` could not be written.
    #[error("{path}: {cause}")]
    Metrics {
        /// The file.
        path: PathBuf,
        /// What the file system said.
        cause: std::io::Error,
    },
    /// The device failed.
    #[error("the device failed in step {step}: {cause}")]
    Device {
        /// The step that was not finished.
        step: u64,
        /// What it said.
        cause: String,
    },
    /// Something that never should panicked; a lost device is often behind it.
    #[error("training broke: {cause}")]
    Broke {
        /// What the panic said.
        cause: String,
    },
    /// The losses are no longer numbers.
    #[error(
        "training broke down in step {step}: the losses are no longer numbers. Lower the learning rates (the paper uses 2e-4) and resume"
    )]
    Diverged {
        /// The step that broke.
        step: u64,
    },
}

/// A training run on its own thread. Dropping it stops the run, saved, and waits for that.
pub struct Trainer {
    commands: Sender<TrainerCommand>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Trainer {
    /// Starts the thread. Everything that goes wrong arrives as [`Event::Ended`]; `notify` is called after every event.
    pub fn start(options: TrainerOptions, compute: Compute, notify: impl Fn() + Send + Sync + 'static) -> Self {
        let (commands, inbox) = unbounded();
        let (outbox, events) = unbounded();
        let failed = outbox.clone();
        let notify = Arc::new(notify);
        let tuning = compute.wgpu.is_some().then(|| {
            let (outbox, notify) = (outbox.clone(), notify.clone());
            device::tuning::watch(move |kernels| {
                let _ = outbox.send(Event::Tuning(kernels));
                notify();
            })
        });
        let work = move || {
            if options.background {
                device::give_way();
            }
            let emit = |event| {
                // Nobody listening is no reason to stop: the run folder has it all.
                let _ = outbox.send(event);
                notify();
            };
            let (config, card) = (options.config.clone(), compute.clone());
            let ending = guarded(|| Job::open(options, compute, &emit)?.work(&inbox))
                .map_err(|error| explained(error, &config, &card));
            drop(tuning);
            emit(Event::Ended(ending.unwrap_or_else(|error| Ending::Failed(error.to_string()))));
        };
        let thread = match std::thread::Builder::new().name("trainer".into()).spawn(work) {
            Ok(thread) => Some(thread),
            Err(cause) => {
                let message = format!("the system refused to start the trainer's thread: {cause}");
                let _ = failed.send(Event::Ended(Ending::Failed(message)));
                None
            }
        };
        Self { commands, events, thread }
    }

    /// Asks for something; a run that has ended does not hear it.
    pub fn send(&self, command: TrainerCommand) {
        let _ = self.commands.send(command);
    }

    /// What it tells.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Ends the run without saving it. The step at hand is not waited for: the thread ends by itself after it, or with the program.
    pub fn abandon(mut self) {
        self.send(TrainerCommand::Abandon);
        self.thread = None;
    }

    /// Whether the thread is still at work.
    pub fn running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        self.send(TrainerCommand::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Does `work`, a panic in which is an error.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T, TrainError>) -> Result<T, TrainError> {
    panics::caught(work).unwrap_or_else(|cause| Err(TrainError::Broke { cause }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_words() {
        let broken: Result<(), _> = guarded(|| panic!("the device is {}", "lost"));
        assert_eq!(broken.unwrap_err().to_string(), "training broke: the device is lost");
        assert_eq!(guarded(|| Ok(3)).unwrap(), 3);
    }
}
