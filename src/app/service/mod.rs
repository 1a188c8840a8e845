//! Background threads of the window.
//!
//! [`Service`] is a thread that owns its state and serves requests until its handle is dropped; a [`Handler`] implements the requests.
//! [`Job`] is a thread for one long piece of work, which reports its progress and can be cancelled. Both answer through an
//! [`Outbox`], which has the window repainted for every response, and both turn a panic into an error message with the panic's text.

mod job;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use crossbeam_channel::{Receiver, Sender, TryRecvError, unbounded};

use crate::panics;

pub(super) use job::{Activity, Job, Reporter};

/// The sending end of a background thread: every message has the window repainted.
pub(super) struct Outbox<T> {
    sender: Sender<T>,
    ctx: egui::Context,
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), ctx: self.ctx.clone() }
    }
}

impl<T> Outbox<T> {
    pub fn new(ctx: &egui::Context) -> (Self, Receiver<T>) {
        let (sender, receiver) = unbounded();
        (Self { sender, ctx: ctx.clone() }, receiver)
    }

    /// Sends a message. Nothing happens when nobody can receive it any more.
    pub fn send(&self, message: T) {
        let _ = self.sender.send(message);
        self.ctx.request_repaint();
    }
}

/// What a [`Service`] does: the state of its thread and the requests that it serves.
pub(super) trait Handler {
    type Request: Send + 'static;
    type Response: Send + 'static;

    /// Serves a request. An error becomes [`Self::failure`].
    fn handle(&mut self, request: Self::Request, outbox: &Outbox<Self::Response>) -> anyhow::Result<()>;

    /// Whether there is unfinished work, on which [`Self::step`] goes on whenever no request waits.
    fn is_busy(&self) -> bool {
        false
    }

    /// Does a small part of the unfinished work, so that new requests are never far from being served.
    fn step(&mut self, _outbox: &Outbox<Self::Response>) -> anyhow::Result<()> {
        Ok(())
    }

    /// Whether a waiting request is obsolete once a newer one has come.
    fn supersedes(_newer: &Self::Request, _older: &Self::Request) -> bool {
        false
    }

    /// Names what is done for a request, or in a step, for error messages: "drawing samples".
    fn activity(request: Option<&Self::Request>) -> &'static str;

    /// Discards what a panic may have left half done.
    fn recover(&mut self);

    /// The response that reports an error.
    fn failure(error: String) -> Self::Response;
}

/// The handle of a service thread, which ends when the handle is dropped.
pub(super) struct Service<Request, Response> {
    requests: Sender<Request>,
    pub responses: Receiver<Response>,
}

impl<Request: Send + 'static, Response: Send + 'static> Service<Request, Response> {
    /// Starts a thread called `name`. The handler is made on it, so it need not be [`Send`].
    pub fn spawn<H: Handler<Request = Request, Response = Response>>(
        name: &str,
        ctx: &egui::Context,
        handler: impl FnOnce() -> H + Send + 'static,
    ) -> Self {
        let (requests, inbox) = unbounded();
        let (outbox, responses) = Outbox::new(ctx);
        let failed = outbox.clone();
        if let Err(error) = spawn(name, move || serve(&mut handler(), &inbox, &outbox)) {
            failed.send(H::failure(error));
        }
        Self { requests, responses }
    }

    pub fn send(&self, request: Request) {
        let _ = self.requests.send(request);
    }
}

/// Serves requests, oldest first, and does unfinished work in between, until the service's handle is dropped.
fn serve<H: Handler>(handler: &mut H, inbox: &Receiver<H::Request>, outbox: &Outbox<H::Response>) {
    let mut waiting = VecDeque::new();
    loop {
        if waiting.is_empty() && !handler.is_busy() {
            match inbox.recv() {
                Ok(request) => waiting.push_back(request),
                Err(_) => return,
            }
        }
        loop {
            match inbox.try_recv() {
                Ok(request) => push_latest(&mut waiting, request, H::supersedes),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        let request = waiting.pop_front();
        let activity = H::activity(request.as_ref());
        let result = guarded(activity, || match request {
            Some(request) => handler.handle(request, outbox),
            None => handler.step(outbox),
        });
        match result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => outbox.send(H::failure(format!("{error:#}"))),
            Err(panic) => {
                handler.recover();
                outbox.send(H::failure(panic));
            }
        }
    }
}

/// Appends an item to a queue and removes those that it supersedes: the newest wins.
pub(super) fn push_latest<T>(queue: &mut VecDeque<T>, item: T, supersedes: impl Fn(&T, &T) -> bool) {
    queue.retain(|older| !supersedes(&item, older));
    queue.push_back(item);
}

/// Waits for a message and returns the newest one that has come; `None` once no more can come.
pub(super) fn recv_latest<T>(inbox: &Receiver<T>) -> Option<T> {
    let first = inbox.recv().ok()?;
    Some(inbox.try_iter().last().unwrap_or(first))
}

/// Starts a named thread.
///
/// # Errors
/// Why the system cannot start one.
pub(super) fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), String> {
    match std::thread::Builder::new().name(name.to_owned()).spawn(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("cannot start the {name} thread: {error}")),
    }
}

/// Runs `work` and turns a panic into an error that says what was being done and what the panic said.
pub(super) fn guarded<T>(activity: &str, work: impl FnOnce() -> T) -> Result<T, String> {
    panics::catch(work).map_err(|panic| failed(activity, &panic))
}

/// The message of a panic during an activity.
fn failed(activity: &str, panic: &str) -> String {
    format!("{activity} failed unexpectedly: {panic}. Try again; if it fails again, restart zscape")
}
