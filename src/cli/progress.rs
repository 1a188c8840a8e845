//! Progress of a long command on standard error.

use indicatif::{ProgressBar, ProgressStyle};

use crate::data::Problem;
use crate::progress::Cancelled;

/// Skipped pictures that are named; more are only counted.
const MAX_NAMED: usize = 5;

/// A progress bar for work in several stages. Dropping it removes the bar.
pub(super) struct StageProgress(ProgressBar);

impl StageProgress {
    pub fn new() -> Self {
        Self(ProgressBar::new(0))
    }

    /// A callback for long-running functions that draws the bar; a total of 0 shows a spinner. It never cancels,
    /// since a command is interrupted by a signal.
    pub fn callback(&self) -> impl FnMut(&'static str, usize, usize) -> Result<(), Cancelled> + use<> {
        let bar = self.0.clone();
        move |stage, done, total| {
            if bar.message() != stage {
                let template =
                    if total == 0 { "{msg:>40} {spinner}" } else { "{msg:>40} {bar:30} {pos}/{len} {eta} left" };
                let style = ProgressStyle::with_template(template);
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.reset();
                bar.set_message(stage);
            }
            bar.set_length(total as u64);
            bar.set_position(done as u64);
            Ok(())
        }
    }

    /// Prints which pictures were skipped.
    pub fn print_skipped(&self, problems: &[Problem]) {
        self.0.suspend(|| {
            for problem in problems.iter().take(MAX_NAMED) {
                eprintln!("skipped {}: {}", problem.name, problem.cause);
            }
            if problems.len() > MAX_NAMED {
                eprintln!("skipped {} more that cannot be read", problems.len() - MAX_NAMED);
            }
        });
    }

    /// Prints a line above the bar.
    pub fn print(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }
}

impl Drop for StageProgress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar with a constant message for `length` parts.
pub(super) fn bar(length: u64, message: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>24} {bar:24} {pos}/{len}");
    ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_message(message)
}
