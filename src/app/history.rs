//! The trainer's events so far: metrics, the filmstrip of preview grids, the log, and problems of the data.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::run_past::RunPast;
use crate::data::Problem;
use crate::image::{Picture, grid};
use crate::train::{Ending, EpochEnd, Event, FailureMode, HealthEvent, Metrics, TrainingProgress};

const COLUMNS: usize = 8;
const TUNING: &str = "tuning kernels for this GPU";
/// Most problems that are listed; all are counted.
const MAX_LISTED: usize = 500;

#[derive(Default)]
pub(super) struct History {
    pub metrics: Vec<Metrics>,
    pub frames: BTreeMap<u64, Picture>,
    /// The epochs whose checkpoints are kept, by their last step.
    pub epochs: BTreeMap<u64, u64>,
    /// The newest preview, whether or not it stays in the filmstrip.
    pub newest: Option<(u64, Picture)>,
    /// When the step of the newest preview ended.
    pub taken: Option<Instant>,
    pub log: Vec<String>,
    pub problems: Vec<Problem>,
    pub problem_count: u64,
    /// Alarms of the training, and recoveries from them.
    pub health: Vec<HealthEvent>,
    progress: Option<TrainingProgress>,
    folder: Option<PathBuf>,
    /// The step after which the training started or resumed.
    first: Option<u64>,
    last: Option<u64>,
    paused: bool,
    ending: Option<Ending>,
}

impl History {
    /// The run's folder.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Records an event.
    pub fn take(&mut self, event: Event) {
        match event {
            Event::Started { step, last, folder, device } => {
                (self.first, self.last) = (Some(step), last);
                let how = if step > 0 { format!("resumed after step {step}") } else { "started".to_owned() };
                self.log.push(format!("{how} on {device}, kept in {}", folder.display()));
                self.folder = Some(folder);
            }
            Event::Stepped(progress) => {
                self.metrics.push(progress.metrics);
                self.progress = Some(progress);
            }
            Event::Previewed(preview) => {
                self.epochs.extend(preview.epoch_end.map(|epoch| (preview.step, epoch)));
                let sheet = grid(&preview.pictures, COLUMNS, 2);
                if preview.in_filmstrip {
                    self.frames.insert(preview.step, sheet.clone());
                }
                self.newest = Some((preview.step, sheet));
                self.taken = Some(preview.step_ended);
            }
            // Handled by the explorer, the evaluation and the training form.
            Event::GeneratorSnapshot(_) | Event::NetworksSnapshot(_) | Event::LearningRates(_) => {}
            Event::Paused => {
                self.paused = true;
                self.log.push("paused".to_owned());
            }
            Event::Resumed => {
                self.paused = false;
                self.log.push("going on".to_owned());
            }
            Event::EpochEnded(EpochEnd { epoch, step }) => {
                self.log.push(format!("epoch {epoch} ended with step {step}; its samples and checkpoint are kept"));
            }
            Event::Saved { step, folder } => self.log.push(format!("step {step} saved in {}", folder.display())),
            Event::Problems { new, total } => {
                let room = MAX_LISTED.saturating_sub(self.problems.len());
                self.problems.extend(new.into_iter().take(room));
                self.problem_count = total;
            }
            Event::DatasetReport(report) => self.log.extend(report.to_string().lines().map(str::to_owned)),
            Event::Tuning(_) => {
                if self.log.last().is_none_or(|line| line != TUNING) {
                    self.log.push(TUNING.to_owned());
                }
            }
            Event::Note(text) => self.log.push(text),
            Event::Warning(text) => self.log.push(format!("warning: {text}")),
            Event::Health(health) => {
                self.log.push(format!("warning: {health}"));
                self.health.push(health);
            }
            Event::RolledBack(step) => {
                self.log.push(format!("went back to step {step}"));
                self.metrics.retain(|metrics| metrics.step <= step);
                self.frames.retain(|&at, _| at <= step);
                self.epochs.retain(|&at, _| at <= step);
                self.newest = None;
                // The data set is as small as before.
                self.health.retain(|health| match health {
                    HealthEvent::Failing(alarm) => matches!(alarm.failure, FailureMode::DatasetTooSmall { .. }),
                    HealthEvent::Recovered { .. } => false,
                });
            }
            Event::Ended(ending) => {
                self.log.push(match &ending {
                    Ending::Finished => "finished".to_owned(),
                    Ending::Stopped => "stopped".to_owned(),
                    Ending::Abandoned => "stopped without saving".to_owned(),
                    Ending::Failed(cause) => format!("failed: {cause}"),
                });
                self.ending = Some(ending);
            }
        }
    }

    /// Inserts what earlier sessions of the run left. The past of another run, which was opened before, is ignored.
    pub fn add_past(&mut self, run: &Path, past: RunPast) {
        if self.folder.as_deref() != Some(run) {
            return;
        }
        match past {
            RunPast::Metrics(mut lines) => {
                lines.append(&mut self.metrics);
                self.metrics = lines;
            }
            RunPast::Frame { step, sheet } => {
                self.frames.entry(step).or_insert(sheet);
            }
            RunPast::Failed(error) => self.log.push(format!("warning: {error}")),
            RunPast::Epochs(ends) => self.epochs.extend(ends.into_iter().map(|end| (end.step, end.epoch))),
        }
    }

    /// Names a step in words, with the epoch that it ended.
    pub fn name(&self, step: u64) -> String {
        match self.epochs.get(&step) {
            Some(epoch) => format!("step {step}, the end of epoch {epoch}"),
            None => format!("step {step}"),
        }
    }

    /// Whether a run was started that has not taken a step yet, in this session or before.
    pub fn untouched(&self) -> bool {
        self.first == Some(0) && self.progress.is_none()
    }

    pub fn paused(&self) -> bool {
        self.paused
    }

    pub fn ended(&self) -> bool {
        self.ending.is_some()
    }

    /// The error that ended the run.
    pub fn failure(&self) -> Option<&str> {
        match &self.ending {
            Some(Ending::Failed(cause)) => Some(cause),
            _ => None,
        }
    }

    /// The status bar's line.
    pub fn status(&self) -> String {
        let Some(progress) = &self.progress else {
            return if self.log.is_empty() { "not training" } else { "getting ready" }.to_owned();
        };
        let mut line = match self.last {
            Some(last) => format!("step {} of {last}", progress.metrics.step),
            None => format!("step {}", progress.metrics.step),
        };
        if let Some(epoch) = progress.epoch {
            line += &format!("   epoch {epoch:.2}");
        }
        if progress.images_per_second > 0.0 {
            line += &format!("   {:.1} images/s", progress.images_per_second);
        }
        match (&self.ending, self.paused, progress.seconds_left) {
            (Some(Ending::Finished), ..) => line += "   finished",
            (Some(Ending::Stopped), ..) => line += "   stopped",
            (Some(Ending::Abandoned), ..) => line += "   stopped without saving",
            (Some(Ending::Failed(_)), ..) => line += "   failed",
            (None, true, _) => line += "   paused",
            (None, false, Some(left)) => line += &format!("   {} left", duration(left)),
            (None, false, None) => {}
        }
        line
    }
}

fn duration(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}
