//! The window as a stopwatch sees it: when its first picture is there, and how long its frames take while it trains.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{App, Start, View, open};
use crate::device::Compute;
use crate::model::Preset;
use crate::train::{RunConfig, TrainerOptions};

/// Steps that warm the trainer up before its frames are counted.
const WARM: usize = 2;
/// Steps from one preview to the next: often, so that there are some to time.
const PREVIEWED: u64 = 4;
/// Longest wait for what a working window does in a moment.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was measured.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    /// From the program's start until the first samples were handed to the screen.
    pub first_picture: Option<Duration>,
    /// From one frame to the next while training, the window being painted without a pause.
    pub intervals: Vec<Duration>,
    /// What each of these frames took, without waiting for the screen.
    pub work: Vec<Duration>,
    /// From the end of a training step until the samples drawn after it were handed to the screen.
    pub previews: Vec<Duration>,
    /// Training steps taken meanwhile.
    pub steps: usize,
}

struct Measured {
    app: App,
    began: Instant,
    train_for: Duration,
    options: Option<TrainerOptions>,
    training_since: Option<Instant>,
    last: Option<Instant>,
    /// The step's end of the preview that was seen last.
    seen: Option<Instant>,
    frames: Arc<Mutex<Frames>>,
}

impl eframe::App for Measured {
    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        self.app.ui(ui);
        // Painting without a pause: what would be late is seen to be.
        ctx.request_repaint();
        let now = Instant::now();
        let mut frames = self.frames.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if frames.first_picture.is_none() {
            if self.app.explorer.shows_samples() {
                frames.first_picture = Some(now - self.began);
                if let Some(options) = self.options.take() {
                    self.app.view = View::Train;
                    self.app.begin(options, &ctx);
                }
            } else if now - self.began > PATIENCE {
                ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            return;
        }
        let steps = self.app.history.metrics.len();
        match self.training_since {
            None if steps >= WARM => self.training_since = Some(now),
            None if self.app.history.ended() || now - self.began > PATIENCE => {
                ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            None => {}
            Some(since) => {
                frames.steps = steps - WARM;
                frames.intervals.extend(self.last.map(|last| now - last));
                let newest = self.app.history.taken;
                if self.seen != newest {
                    frames.previews.extend(self.seen.and(newest).map(|taken| now - taken));
                    self.seen = newest;
                }
                frames.work.extend(frame.info().cpu_usage.map(Duration::from_secs_f32));
                if now - since > self.train_for {
                    // Nothing of this run is to be kept, so nobody is asked.
                    self.app.trainer = None;
                    ctx.send_viewport_cmd(egui::ViewportCommand::Close);
                }
                self.last = Some(now);
            }
        }
    }
}

/// Opens the window, waits for its first pictures, and trains in it on rooms for a while, in a run folder at `folder`.
/// `began` is when the program did.
///
/// # Errors
/// When no window can be opened.
pub fn measure(compute: Compute, began: Instant, train_for: Duration, folder: &Path) -> anyhow::Result<Frames> {
    let frames = Arc::new(Mutex::new(Frames::default()));
    let mut config = RunConfig::preset(Preset::Pytorch, "synth:rooms");
    // What the window proposes.
    config.model.base = super::training_form::DEFAULT_BASE;
    let options = Some(TrainerOptions { preview_every: PREVIEWED, ..TrainerOptions::new(config, folder) });
    let shared = frames.clone();
    open(compute, move |compute, painter, ctx| {
        let app = App::with_painter(compute, Start::default(), painter, ctx);
        Box::new(Measured {
            app,
            began,
            train_for,
            options,
            training_since: None,
            last: None,
            seen: None,
            frames: shared,
        })
    })?;
    let frames = frames.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(frames.clone())
}
