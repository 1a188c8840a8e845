//! A long computation on a separate thread, with progress and cancellation.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Receiver;

use super::{Outbox, failed, spawn};
use crate::device;
use crate::panics;
use crate::progress::Cancelled;

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Activity {
    /// `done` of `total` units of `what` are done; 0 of 0 for work that is not counted.
    Working { what: &'static str, done: usize, total: usize },
    /// Nothing is left to do until something comes, which this names.
    Waiting(&'static str),
}

impl Activity {
    pub fn what(self) -> &'static str {
        match self {
            Self::Working { what, .. } | Self::Waiting(what) => what,
        }
    }
}

pub(super) enum JobEvent<T> {
    Activity(Activity),
    Result(T),
    Ended(Result<(), String>),
}

/// Sends a job's results and its progress to the window.
pub(in crate::app) struct Reporter<T> {
    outbox: Outbox<JobEvent<T>>,
    cancelled: Arc<AtomicBool>,
    /// Named where the job panics.
    last: Cell<&'static str>,
}

impl<T> Reporter<T> {
    /// Sends a result.
    pub fn send(&self, result: T) {
        if !self.is_cancelled() {
            self.outbox.send(JobEvent::Result(result));
        }
    }

    /// Reports that `done` of `total` units of `what` are done; 0 of 0 for work that is not counted.
    ///
    /// # Errors
    /// [`Cancelled`] once the job's handle was dropped. Return it with `?` to end the job.
    pub fn report(&self, what: &'static str, done: usize, total: usize) -> Result<(), Cancelled> {
        self.last.set(what);
        self.change(Activity::Working { what, done, total })
    }

    /// Reports that nothing is left to do until something comes, which `what` names.
    ///
    /// # Errors
    /// As [`Self::report`].
    pub fn waiting(&self, what: &'static str) -> Result<(), Cancelled> {
        self.change(Activity::Waiting(what))
    }

    fn change(&self, activity: Activity) -> Result<(), Cancelled> {
        if self.is_cancelled() {
            return Err(Cancelled);
        }
        self.outbox.send(JobEvent::Activity(activity));
        Ok(())
    }

    /// Whether the job's handle was dropped.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// The handle of a job, which is cancelled when the handle is dropped. `T` are its results.
pub(in crate::app) struct Job<T> {
    pub(super) events: Receiver<JobEvent<T>>,
    cancelled: Arc<AtomicBool>,
    activity: Activity,
}

impl<T: Send + 'static> Job<T> {
    /// Starts `work` on a thread called `name`, with a lower priority than training and the window.
    pub fn start(
        name: &'static str,
        ctx: &egui::Context,
        work: impl FnOnce(&Reporter<T>) -> anyhow::Result<()> + Send + 'static,
    ) -> Self {
        let (outbox, events) = Outbox::new(ctx);
        let cancelled = Arc::new(AtomicBool::new(false));
        let reporter = Reporter { outbox: outbox.clone(), cancelled: cancelled.clone(), last: Cell::new(name) };
        let body = move || {
            // Training and the window go first.
            device::lower_thread_priority();
            let ended = match panics::catch(|| work(&reporter)) {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(format!("{error:#}")),
                Err(panic) => Err(failed(reporter.last.get(), &panic)),
            };
            if !reporter.is_cancelled() {
                reporter.outbox.send(JobEvent::Ended(ended));
            }
        };
        if let Err(error) = spawn(name, body) {
            outbox.send(JobEvent::Ended(Err(error)));
        }
        Self { events, cancelled, activity: Activity::Working { what: "starting", done: 0, total: 0 } }
    }
}

impl<T> Job<T> {
    pub fn activity(&self) -> Activity {
        self.activity
    }

    /// Whether everything is done so far, and more may come.
    pub fn is_waiting(&self) -> bool {
        matches!(self.activity, Activity::Waiting(_))
    }

    /// Takes the results that have come since the last call. A job that has ended is removed, and `error` says why if it failed.
    pub fn receive(job: &mut Option<Self>, error: &mut Option<String>) -> Vec<T> {
        let mut results = Vec::new();
        let Some(running) = job else { return results };
        while let Ok(event) = running.events.try_recv() {
            match event {
                JobEvent::Activity(activity) => running.activity = activity,
                JobEvent::Result(result) => results.push(result),
                JobEvent::Ended(ended) => {
                    *error = ended.err();
                    *job = None;
                    return results;
                }
            }
        }
        results
    }
}

impl<T> Drop for Job<T> {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
    }
}
