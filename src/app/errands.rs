//! Whatever asks a person or touches a file, on threads of its own: the window only hears the answers.

use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, unbounded};

use super::dialogs::Dialog;
use super::pending::{Pending, Writing};

/// Sends for answers; each wakes the window.
pub(super) struct Errands<A> {
    ctx: egui::Context,
    channel: (Sender<A>, Receiver<A>),
}

impl<A: Send + 'static> Errands<A> {
    pub fn new(ctx: &egui::Context) -> Self {
        Self { ctx: ctx.clone(), channel: unbounded() }
    }

    pub fn answers(&self) -> &Receiver<A> {
        &self.channel.1
    }

    /// Does `work` on a thread of its own; it may answer as often as it likes.
    pub fn send(&self, work: impl FnOnce(&dyn Fn(A)) + Send + 'static) {
        let (sender, ctx) = (self.channel.0.clone(), self.ctx.clone());
        std::thread::spawn(move || {
            work(&|answer| {
                let _ = sender.send(answer);
                ctx.request_repaint();
            });
        });
    }

    /// As [`Self::send`], for one answer or none.
    pub fn ask(&self, work: impl FnOnce() -> Option<A> + Send + 'static) {
        self.send(|answer| work().into_iter().for_each(answer));
    }

    /// As [`Self::ask`], of something that is written: the window does not close before.
    pub fn write(&self, work: impl FnOnce() -> Option<A> + Send + 'static) {
        let writing = self.begin();
        self.ask(move || {
            let answer = work();
            drop(writing);
            answer
        });
    }

    /// Something begins to be written: the window does not close before what is returned is dropped.
    pub fn begin(&self) -> Writing {
        Pending::of(&self.ctx).begin()
    }

    /// Asks for a path, and answers with what `then` makes of it. Nothing is answered where none is chosen.
    pub fn choose(&self, dialog: Dialog, then: impl FnOnce(PathBuf) -> A + Send + 'static) {
        let ctx = self.ctx.clone();
        self.ask(move || dialog.answer(&ctx).map(then));
    }

    /// Asks where to, or takes a free name in `exports`, and answers with what `then` makes of it, or of none. Once it is known
    /// where to, the window does not close before `then` is done.
    pub fn place(
        &self,
        exports: Option<PathBuf>,
        dialog: Dialog,
        then: impl FnOnce(Option<PathBuf>) -> Option<A> + Send + 'static,
    ) {
        let ctx = self.ctx.clone();
        let known = exports.is_some().then(|| self.begin());
        self.ask(move || {
            let path = dialog.place(exports.as_deref(), &ctx);
            let _writing = known.or_else(|| path.is_some().then(|| Pending::of(&ctx).begin()));
            then(path)
        });
    }
}
