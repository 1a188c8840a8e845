//! Measuring takes long: each measure is taken on a thread of its own, tells how far it is, and can be stopped.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender, unbounded};
use egui::Ui;

use crate::device;
use crate::progress::Cancelled;

/// What a thread does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doing {
    /// `done` of `of` parts of `what` are done; 0 of 0 for what has no parts.
    Part { what: &'static str, done: usize, of: usize },
    /// There is nothing to do until something comes, which this names.
    Waiting(&'static str),
}

impl Doing {
    fn what(self) -> &'static str {
        match self {
            Self::Part { what, .. } | Self::Waiting(what) => what,
        }
    }
}

enum Word<T> {
    Doing(Doing),
    Told(T),
    Ended(Result<(), String>),
}

/// How the thread tells.
pub(super) struct Teller<T> {
    words: Sender<Word<T>>,
    ctx: egui::Context,
    stopped: Arc<AtomicBool>,
}

impl<T> Teller<T> {
    /// Hands over something that was found.
    pub fn tell(&self, told: T) {
        self.word(Word::Told(told));
    }

    /// Says that `done` of `of` parts of `what` are done; 0 of 0 for what has no parts.
    ///
    /// # Errors
    /// [`Cancelled`] when the work was stopped.
    pub fn progress(&self, what: &'static str, done: usize, of: usize) -> Result<(), Cancelled> {
        self.doing(Doing::Part { what, done, of })
    }

    /// Says that there is nothing to do until something comes, which `what` names; as [`Self::progress`] otherwise.
    pub fn wait(&self, what: &'static str) -> Result<(), Cancelled> {
        self.doing(Doing::Waiting(what))
    }

    fn doing(&self, doing: Doing) -> Result<(), Cancelled> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Cancelled);
        }
        self.word(Word::Doing(doing));
        Ok(())
    }

    fn word(&self, word: Word<T>) {
        let _ = self.words.send(word);
        self.ctx.request_repaint();
    }
}

/// Something that is measured on a thread of its own, which is stopped when this is dropped.
pub(super) struct Work<T> {
    words: Receiver<Word<T>>,
    stopped: Arc<AtomicBool>,
    doing: Doing,
}

impl<T: Send + 'static> Work<T> {
    pub fn start(ctx: &egui::Context, work: impl FnOnce(&Teller<T>) -> anyhow::Result<()> + Send + 'static) -> Self {
        let (sender, words) = unbounded();
        let stopped = Arc::new(AtomicBool::new(false));
        let teller = Teller { words: sender.clone(), ctx: ctx.clone(), stopped: stopped.clone() };
        let failed = sender;
        let body = move || {
            // Training and the window go first.
            device::give_way();
            let ended = match catch_unwind(AssertUnwindSafe(|| work(&teller))) {
                Ok(done) => done.map_err(|error| format!("{error:#}")),
                Err(_) => {
                    Err("the device failed while measuring; try again, with fewer pictures if it does so again".into())
                }
            };
            teller.word(Word::Ended(ended));
        };
        if let Err(cause) = std::thread::Builder::new().name("measure".into()).spawn(body) {
            let _ = failed.send(Word::Ended(Err(format!("a thread to measure on cannot be started: {cause}"))));
        }
        Self { words, stopped, doing: Doing::Part { what: "starting", done: 0, of: 0 } }
    }
}

impl<T> Work<T> {
    /// Whether it has done all that there is, and waits for more.
    pub fn waits(&self) -> bool {
        matches!(self.doing, Doing::Waiting(_))
    }
}

impl<T> Drop for Work<T> {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Takes in what a thread told since the last time; one that has ended is let go of, and `error` says why it failed.
pub(super) fn receive<T>(work: &mut Option<Work<T>>, error: &mut Option<String>) -> Vec<T> {
    let mut told = Vec::new();
    let Some(going) = work else { return told };
    while let Ok(word) = going.words.try_recv() {
        match word {
            Word::Doing(doing) => going.doing = doing,
            Word::Told(found) => told.push(found),
            Word::Ended(ended) => {
                *error = ended.err();
                *work = None;
                return told;
            }
        }
    }
    told
}

/// The button that begins; once it goes on, how far it is, and the button that stops it. True when it is to begin.
pub(super) fn controls<T>(
    ui: &mut Ui,
    work: &mut Option<Work<T>>,
    name: &str,
    tip: &str,
    obstacle: Option<&str>,
) -> bool {
    let Some(Work { doing, .. }) = work else {
        let button = egui::Button::new(egui::RichText::new(name).strong().size(16.0));
        let clicked = ui
            .add_enabled_ui(obstacle.is_none(), |ui| {
                ui.add_sized([ui.available_width(), 34.0], button).on_hover_text(tip).clicked()
            })
            .inner;
        if let Some(obstacle) = obstacle {
            ui.weak(obstacle);
        }
        return clicked;
    };
    match *doing {
        Doing::Part { what, done, of } if of > 0 => {
            let share = done as f32 / of as f32;
            ui.add(egui::ProgressBar::new(share).text(format!("{what}: {done} of {of}")));
        }
        doing => {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(doing.what());
            });
        }
    }
    if ui.button("Stop").on_hover_text("What was measured so far stays").clicked() {
        *work = None;
    }
    false
}

/// What stands where results will: what to do, or that it is being done.
pub(super) fn until<T>(ui: &mut Ui, work: Option<&Work<T>>, hint: &str) {
    match work {
        None => ui.label(hint),
        Some(Work { doing, .. }) => {
            ui.label(format!("Results come here as soon as there are some. Now: {}.", doing.what()))
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    fn wait(what: &str, mut done: impl FnMut() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn a_thread_tells_and_ends_with_its_error() {
        let ctx = egui::Context::default();
        let mut work = Some(Work::start(&ctx, |teller| {
            teller.progress("counting", 1, 2)?;
            teller.tell(7);
            anyhow::bail!("set.zip is damaged")
        }));
        let (mut told, mut error) = (Vec::new(), None);
        wait("it ends", || {
            told.extend(receive(&mut work, &mut error));
            work.is_none()
        });
        assert_eq!((told, error.as_deref()), (vec![7], Some("set.zip is damaged")));
        let mut work: Option<Work<u8>> = Some(Work::start(&ctx, |_| panic!("a device was lost")));
        wait("a panic is an error", || {
            receive(&mut work, &mut error);
            work.is_none()
        });
        assert!(error.unwrap().contains("the device failed"));
    }

    #[test]
    fn a_thread_that_waits_is_known_by_that_and_not_by_its_words() {
        let ctx = egui::Context::default();
        let (go, hold) = unbounded::<()>();
        let mut work: Option<Work<u8>> = Some(Work::start(&ctx, move |teller| {
            teller.progress("waiting for a disk", 0, 0)?;
            hold.recv()?;
            teller.wait("waiting for more")?;
            hold.recv()?;
            Ok(())
        }));
        let mut error = None;
        wait("it is at work", || {
            receive(&mut work, &mut error);
            work.as_ref().is_some_and(|work| work.doing.what() == "waiting for a disk")
        });
        assert!(!work.as_ref().unwrap().waits());
        go.send(()).unwrap();
        wait("it waits", || {
            receive(&mut work, &mut error);
            work.as_ref().is_some_and(Work::waits)
        });
        go.send(()).unwrap();
        wait("it ends", || {
            receive(&mut work, &mut error);
            work.is_none()
        });
        assert_eq!(error, None);
    }

    #[test]
    fn what_is_dropped_stops_at_its_next_word() {
        let ended = Arc::new(());
        let held = ended.clone();
        let work: Work<u8> = Work::start(&egui::Context::default(), move |teller| {
            let _held = held;
            loop {
                teller.progress("going on", 0, 0)?;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        drop(work);
        wait("the thread ends", || Arc::strong_count(&ended) == 1);
    }
}
