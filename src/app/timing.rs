//! Benchmark of the window: time to the first samples, and frame times while it trains.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{App, Start, open};
use crate::device::Compute;
use crate::model::Preset;
use crate::train::{RunConfig, TrainerOptions};

/// Training steps before frames are counted.
const WARMUP_STEPS: usize = 2;
/// Training steps between previews: few, so that there are enough to time.
const PREVIEW_INTERVAL: u64 = 4;
/// Longest wait for the first samples and the first steps.
const PATIENCE: Duration = Duration::from_secs(120);

/// The measured times.
#[derive(Debug, Clone, Default)]
pub struct Frames {
    /// From the program's start until the first samples are submitted to the screen.
    pub first_picture: Option<Duration>,
    /// From frame to frame during training, while the window repaints without a pause.
    pub intervals: Vec<Duration>,
    /// CPU time of each of these frames, without waiting for the screen.
    pub work: Vec<Duration>,
    /// From the end of a training step until its preview is submitted to the screen.
    pub previews: Vec<Duration>,
    /// Training steps in that time.
    pub steps: usize,
}

struct Benchmark {
    app: App,
    began: Instant,
    train_for: Duration,
    options: Option<TrainerOptions>,
    training_since: Option<Instant>,
    last: Option<Instant>,
    /// When the step of the last preview ended.
    last_preview: Option<Instant>,
    frames: Arc<Mutex<Frames>>,
}

impl eframe::App for Benchmark {
    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        self.app.ui(ui);
        // Repaint without a pause, so that every delay is measured.
        ctx.request_repaint();
        let now = Instant::now();
        let mut frames = self.frames.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if frames.first_picture.is_none() {
            if self.app.shows_samples() {
                frames.first_picture = Some(now - self.began);
                if let Some(options) = self.options.take() {
                    self.app.start_training(options, &ctx);
                }
            } else if now - self.began > PATIENCE {
                ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            return;
        }
        let steps = self.app.history().metrics.len();
        match self.training_since {
            None if steps >= WARMUP_STEPS => self.training_since = Some(now),
            None if self.app.history().ended() || now - self.began > PATIENCE => {
                ctx.send_viewport_cmd(egui::ViewportCommand::Close);
            }
            None => {}
            Some(since) => {
                frames.steps = steps - WARMUP_STEPS;
                frames.intervals.extend(self.last.map(|last| now - last));
                let newest = self.app.history().taken;
                if self.last_preview != newest {
                    frames.previews.extend(self.last_preview.and(newest).map(|taken| now - taken));
                    self.last_preview = newest;
                }
                frames.work.extend(frame.info().cpu_usage.map(Duration::from_secs_f32));
                if now - since > self.train_for {
                    // The run is discarded, so the window closes without a question.
                    self.app.discard_training();
                    ctx.send_viewport_cmd(egui::ViewportCommand::Close);
                }
                self.last = Some(now);
            }
        }
    }
}

/// Opens the window, waits for its first samples, and trains on synthetic rooms for `train_for`, in the run folder `folder`. `began` is when
/// the program started.
///
/// # Errors
/// When no window can be opened.
pub fn measure(compute: Compute, began: Instant, train_for: Duration, folder: &Path) -> anyhow::Result<Frames> {
    let frames = Arc::new(Mutex::new(Frames::default()));
    let mut config = RunConfig::preset(Preset::Pytorch, "synth:rooms");
    // The window's default.
    config.model.base = super::training_form::DEFAULT_BASE;
    let options = Some(TrainerOptions { preview_every: PREVIEW_INTERVAL, ..TrainerOptions::new(config, folder) });
    let shared = frames.clone();
    open(compute, move |compute, painter, ctx| {
        let app = App::with_painter(compute, Start::default(), painter, ctx);
        Box::new(Benchmark {
            app,
            began,
            train_for,
            options,
            training_since: None,
            last: None,
            last_preview: None,
            frames: shared,
        })
    })?;
    let frames = frames.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    Ok(frames.clone())
}
