//! How far a long command is, on standard error, and what it had to leave out.

use indicatif::{ProgressBar, ProgressStyle};

use crate::data::Problem;
use crate::progress::Cancelled;

/// Pictures that could not be read of which each is named; of more, only how many.
const NAMED: usize = 5;

/// A bar for work that comes in parts.
pub(super) struct Telling(ProgressBar);

impl Telling {
    pub fn new() -> Self {
        Self(ProgressBar::new(0))
    }

    /// A progress callback that draws the bar. It never cancels: a command is interrupted by its signal.
    pub fn callback(&self) -> impl FnMut(&'static str, usize, usize) -> Result<(), Cancelled> + use<> {
        let bar = self.0.clone();
        move |what, done, of| {
            if bar.message() != what {
                let template =
                    if of == 0 { "{msg:>40} {spinner}" } else { "{msg:>40} {bar:30} {pos}/{len} {eta} left" };
                let style = ProgressStyle::with_template(template);
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.reset();
                bar.set_message(what);
            }
            bar.set_length(of as u64);
            bar.set_position(done as u64);
            Ok(())
        }
    }

    /// Says which pictures were passed over.
    pub fn skipped(&self, problems: &[Problem]) {
        self.0.suspend(|| {
            for problem in problems.iter().take(NAMED) {
                eprintln!("skipped {}: {}", problem.name, problem.cause);
            }
            if problems.len() > NAMED {
                eprintln!("skipped {} more that cannot be read", problems.len() - NAMED);
            }
        });
    }

    /// Says something above the bar.
    pub fn say(&self, text: &str) {
        self.0.suspend(|| eprintln!("{text}"));
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
