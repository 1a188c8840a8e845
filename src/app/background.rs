//! Background tasks: file access and dialogs run on separate threads, so the window never blocks.

use std::path::PathBuf;

use crossbeam_channel::Receiver;

use super::dialogs::Dialog;
use super::pending::{Pending, Writing};
use super::service::{Outbox, guarded, spawn};

/// Starts tasks and receives their responses; each response has the window repainted. Every panel that needs files has one.
pub(super) struct BackgroundTasks<Response> {
    ctx: egui::Context,
    outbox: Outbox<Response>,
    responses: Receiver<Response>,
    /// Makes the response that reports a panic.
    failure: fn(String) -> Response,
}

impl<Response: Send + 'static> BackgroundTasks<Response> {
    /// `failure` makes the response that reports a task that panicked.
    pub fn new(ctx: &egui::Context, failure: fn(String) -> Response) -> Self {
        let (outbox, responses) = Outbox::new(ctx);
        Self { ctx: ctx.clone(), outbox, responses, failure }
    }

    pub fn responses(&self) -> &Receiver<Response> {
        &self.responses
    }

    /// Starts a task that may respond any number of times.
    pub fn stream(&self, task: impl FnOnce(&dyn Fn(Response)) + Send + 'static) {
        let (outbox, failure) = (self.outbox.clone(), self.failure);
        let body = move || {
            if let Err(error) = guarded("a file task", || task(&|response| outbox.send(response))) {
                outbox.send(failure(error));
            }
        };
        if let Err(error) = spawn("file task", body) {
            self.outbox.send(failure(error));
        }
    }

    /// Starts a task that responds once or not at all.
    pub fn run(&self, task: impl FnOnce() -> Option<Response> + Send + 'static) {
        self.stream(|respond| task().into_iter().for_each(respond));
    }

    /// As [`Self::run`], for a task that writes a file: the window does not close before it is done.
    pub fn write(&self, task: impl FnOnce() -> Option<Response> + Send + 'static) {
        let writing = self.begin_writing();
        self.run(move || {
            let response = task();
            drop(writing);
            response
        });
    }

    /// Keeps the window from closing until the returned guard is dropped.
    pub fn begin_writing(&self) -> Writing {
        Pending::of(&self.ctx).begin()
    }

    /// Asks for a path and responds with what `then` makes of it; does not respond where none is chosen.
    pub fn choose(&self, dialog: Dialog, then: impl FnOnce(PathBuf) -> Response + Send + 'static) {
        let ctx = self.ctx.clone();
        self.run(move || dialog.answer(&ctx).map(then));
    }

    /// Asks for a file to write, or takes an unused name in `exports`, and responds with what `then` makes of the path, or of `None`
    /// where none is chosen. Once the path is known, the window does not close before `then` has returned.
    pub fn choose_destination(
        &self,
        exports: Option<PathBuf>,
        dialog: Dialog,
        then: impl FnOnce(Option<PathBuf>) -> Option<Response> + Send + 'static,
    ) {
        let ctx = self.ctx.clone();
        let writing = exports.is_some().then(|| self.begin_writing());
        self.run(move || {
            let path = dialog.place(exports.as_deref(), &ctx);
            let _writing = writing.or_else(|| path.is_some().then(|| Pending::of(&ctx).begin()));
            then(path)
        });
    }
}
