//! Prints the events of a training: a progress bar and lines above it on standard error, a summary on standard output.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{CommonArgs, TUNING_NOTICE, tuned_notice};
use crate::data::DatasetReport;
use crate::train::{Alarm, Ending, EpochEnd, Event, HealthEvent, TrainingProgress};

/// What was reported so far.
pub(super) struct Console {
    bar: ProgressBar,
    progress: Option<TrainingProgress>,
    report: Option<Arc<DatasetReport>>,
    health: Vec<HealthEvent>,
    tuning: TuningProgress,
}

/// Progress of kernel tuning.
#[derive(Default)]
struct TuningProgress {
    /// Number of tuned kernels.
    tuned: u64,
    /// The number that was last reported as complete.
    reported: u64,
    /// Whether a step was trained since the last kernel was tuned.
    step_since: bool,
}

/// The JSON output.
#[derive(serde::Serialize)]
struct TrainSummary<'a> {
    run: &'a Path,
    finished: bool,
    step: Option<u64>,
    images_per_second: Option<f64>,
    loss_d: Option<f32>,
    loss_g: Option<f32>,
    report: Option<&'a DatasetReport>,
    /// Failures and recoveries, in their order.
    health: &'a [HealthEvent],
    /// Failures that are not over.
    failing: Vec<String>,
}

impl Console {
    pub fn new() -> Self {
        let (bar, tuning) = (ProgressBar::hidden(), TuningProgress::default());
        Self { bar, progress: None, report: None, health: Vec::new(), tuning }
    }

    /// Prints an event. Returns how the training ended if this is the last one.
    pub fn report(&mut self, event: Event) -> Option<Ending> {
        match event {
            Event::Started { step, last, folder, device } => {
                self.bar.set_draw_target(ProgressDrawTarget::stderr());
                self.bar.set_style(style(last.is_some()));
                self.bar.set_length(last.unwrap_or(0));
                self.bar.set_position(step);
                self.bar.reset_eta();
                self.bar.enable_steady_tick(Duration::from_millis(500));
                self.print(&format!("training on {device}, in {}", folder.display()));
                if step > 0 {
                    self.print(&format!("resumed after step {step}"));
                }
            }
            Event::LearningRates(rates) => {
                let (generator, discriminator) = (rates.generator, rates.discriminator);
                self.print(&format!("learning rates: generator {generator}, discriminator {discriminator}"));
            }
            Event::Tuning(kernels) => {
                if self.tuning.tuned == 0 {
                    self.print(TUNING_NOTICE);
                }
                self.tuning = TuningProgress { tuned: kernels, step_since: false, ..self.tuning };
                self.bar.set_message(format!("{TUNING_NOTICE}: {kernels} so far"));
            }
            Event::Stepped(progress) => {
                // After a whole step without tuning, all kernels are tuned.
                if self.tuning.tuned > self.tuning.reported && self.tuning.step_since {
                    self.tuning.reported = self.tuning.tuned;
                    self.print(&tuned_notice(self.tuning.tuned));
                }
                self.tuning.step_since = true;
                self.bar.set_position(progress.metrics.step);
                self.bar.set_message(status(&progress));
                self.progress = Some(progress);
            }
            Event::Problems { new, total } => {
                for problem in new {
                    self.print(&format!("skipped {}: {}", problem.name, problem.cause));
                }
                self.print(&format!("{total} pictures skipped so far"));
            }
            Event::EpochEnded(EpochEnd { epoch, step }) => {
                self.print(&format!("epoch {epoch} ended with step {step}; its samples and checkpoint are kept"));
            }
            Event::DatasetReport(report) => {
                report.to_string().lines().for_each(|line| self.print(line));
                self.report = Some(report);
            }
            Event::Note(text) => self.print(&text),
            Event::Warning(text) => self.print(&format!("warning: {text}")),
            Event::Health(event) => {
                self.print(&format!("warning: {event}"));
                self.health.push(event);
            }
            Event::Ended(ending) => {
                self.bar.finish_and_clear();
                return Some(ending);
            }
            Event::Previewed(_)
            | Event::GeneratorSnapshot(_)
            | Event::NetworksSnapshot(_)
            | Event::Saved { .. }
            | Event::RolledBack(_)
            | Event::Paused
            | Event::Resumed => {}
        }
        None
    }

    /// Prints the summary.
    ///
    /// # Errors
    /// The training's error, if it failed.
    pub fn finish(self, ending: Ending, run: &Path, common: &CommonArgs) -> anyhow::Result<()> {
        if let Ending::Failed(error) = ending {
            bail!("{error}");
        }
        let finished = ending == Ending::Finished;
        let (last, failing) = (self.progress.as_ref(), HealthEvent::failing(&self.health).map(Alarm::to_string));
        let summary = TrainSummary {
            run,
            finished,
            step: last.map(|last| last.metrics.step),
            images_per_second: last.map(|last| last.images_per_second),
            loss_d: last.map(|last| last.metrics.loss_d),
            loss_g: last.map(|last| last.metrics.loss_g),
            report: self.report.as_deref(),
            health: &self.health,
            failing: failing.collect(),
        };
        common.print(&summary, || {
            let mut text = if finished { "finished" } else { "stopped" }.to_owned();
            if let Some(last) = last {
                text += &format!(" after step {}; {}", last.metrics.step, status(last));
            }
            if !summary.failing.is_empty() {
                text += "\nthe training is failing:";
            }
            for alarm in &summary.failing {
                text += &format!("\n  {alarm}");
            }
            format!("{text}\nsaved in {}", run.display())
        })
    }

    /// Prints a line above the bar, or without it if standard error is no terminal.
    fn print(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }
}

fn style(has_end: bool) -> ProgressStyle {
    let template = if has_end { "{bar:24} {pos}/{len}  {wide_msg}" } else { "step {pos}  {wide_msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn status(progress: &TrainingProgress) -> String {
    let m = &progress.metrics;
    let mut status = format!("loss D {:.3} G {:.3}  D(x) {:.2} D(G(z)) {:.2}", m.loss_d, m.loss_g, m.d_real, m.d_fake);
    if progress.images_per_second > 0.0 {
        status += &format!("  {:.1} images/s", progress.images_per_second);
    }
    if let Some(left) = progress.seconds_left {
        status += &format!("  {} left", indicatif::HumanDuration(Duration::from_secs_f64(left)));
    }
    status
}
