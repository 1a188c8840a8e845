//! [`Trainer`]: a training run on its own thread, with commands in and events out.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::change::SettingsChange;
use super::config::RunConfig;
use super::error::catch_panic;
use super::memory;
use super::messages::{Ending, Event, TrainerCommand};
use super::training_loop::TrainingLoop;
use crate::device::{self, Compute};

/// What to train, when to stop, and what to keep.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainerOptions {
    /// The run's settings.
    pub config: RunConfig,
    /// The run folder.
    pub folder: PathBuf,
    /// Resume the run in the folder.
    pub resume: bool,
    /// The last step; `None` to train until stopped.
    pub steps: Option<u64>,
    /// The last epoch, if that comes before the last step. Only with it are sample grids and checkpoints kept at the
    /// ends of epochs: a run by steps alone, or without an end, may pass through a small data set every few steps.
    pub epochs: Option<u64>,
    /// With `epochs`: keep every so many-th epoch, and the last one; 0 for none.
    pub keep_epochs: u64,
    /// Steps between checkpoints.
    pub save_every: u64,
    /// Steps between previews.
    pub preview_every: u64,
    /// Pictures in a preview.
    pub preview_count: usize,
    /// Number of the newest checkpoints that are kept.
    pub keep_last: usize,
    /// Also keep checkpoints at multiples of so many steps; 0 for none.
    pub keep_every: u64,
    /// With `resume`: changes to apply first.
    pub change: SettingsChange,
    /// Open the run, show its preview, and pause.
    pub paused: bool,
    /// Run at low priority, because a window is open.
    pub background: bool,
}

impl TrainerOptions {
    /// Default for [`Self::keep_epochs`].
    pub const KEEP_EPOCHS: u64 = 1;
    /// Default for [`Self::save_every`].
    pub const SAVE_EVERY: u64 = 500;
    /// Default for [`Self::preview_every`].
    pub const PREVIEW_EVERY: u64 = 25;
    /// Default for [`Self::keep_last`].
    pub const KEEP_LAST: usize = 3;
    /// Default for [`Self::keep_every`].
    pub const KEEP_EVERY: u64 = 5000;

    /// Default options for a new run of `config` in `folder`, without an end.
    pub fn new(config: RunConfig, folder: impl Into<PathBuf>) -> Self {
        Self {
            config,
            folder: folder.into(),
            resume: false,
            steps: None,
            epochs: None,
            keep_epochs: Self::KEEP_EPOCHS,
            save_every: Self::SAVE_EVERY,
            preview_every: Self::PREVIEW_EVERY,
            preview_count: 64,
            keep_last: Self::KEEP_LAST,
            keep_every: Self::KEEP_EVERY,
            change: SettingsChange::default(),
            paused: false,
            background: false,
        }
    }
}

/// A training run on its own thread. Dropping it saves and stops the run, and waits for that.
pub struct Trainer {
    commands: Sender<TrainerCommand>,
    events: Receiver<Event>,
    thread: Option<JoinHandle<()>>,
}

impl Trainer {
    /// Starts the thread. Every error arrives as [`Event::Ended`]. `notify` is called after every event.
    pub fn start(options: TrainerOptions, compute: Compute, notify: impl Fn() + Send + Sync + 'static) -> Self {
        let (commands, inbox) = unbounded();
        let (outbox, events) = unbounded();
        let failed = outbox.clone();
        let notify = Arc::new(notify);
        let tuning = compute.wgpu.is_some().then(|| {
            let (outbox, notify) = (outbox.clone(), notify.clone());
            device::tuning::subscribe(move |kernels| {
                let _ = outbox.send(Event::Tuning(kernels));
                notify();
            })
        });
        let work = move || {
            if options.background {
                device::lower_thread_priority();
            }
            let emit = |event| {
                // Training continues without a receiver: the run folder has everything.
                let _ = outbox.send(event);
                notify();
            };
            let (config, device) = (options.config.clone(), compute.clone());
            let ending = catch_panic(|| TrainingLoop::open(options, compute, &emit)?.run(&inbox))
                .map_err(|error| memory::explain(error, &config, &device));
            drop(tuning);
            emit(Event::Ended(ending.unwrap_or_else(|error| Ending::Failed(error.to_string()))));
        };
        let thread = match std::thread::Builder::new().name("trainer".into()).spawn(work) {
            Ok(thread) => Some(thread),
            Err(error) => {
                let message = format!("cannot start the training thread: {error}");
                let _ = failed.send(Event::Ended(Ending::Failed(message)));
                None
            }
        };
        Self { commands, events, thread }
    }

    /// Sends a command. A run that has ended ignores it.
    pub fn send(&self, command: TrainerCommand) {
        let _ = self.commands.send(command);
    }

    /// The channel of events.
    pub fn events(&self) -> &Receiver<Event> {
        &self.events
    }

    /// Ends the run without saving it and without waiting: the thread ends after its current step.
    pub fn abandon(mut self) {
        self.send(TrainerCommand::Abandon);
        self.thread = None;
    }

    /// Whether the thread is running.
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
