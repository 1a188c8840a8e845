//! What earlier sessions left of a run that is resumed: metrics, preview grids and ends of epochs, read on a background thread.

use std::path::{Path, PathBuf};

use super::background::BackgroundTasks;
use crate::image::Picture;
use crate::train::{EpochEnd, Metrics, MetricsLog, epoch_ends};

pub(super) enum RunPast {
    /// The metrics of every step, in order.
    Metrics(Vec<Metrics>),
    /// A preview grid.
    Frame {
        step: u64,
        sheet: Picture,
    },
    /// The ends of epochs whose checkpoints are kept.
    Epochs(Vec<EpochEnd>),
    Failed(String),
}

/// Reads runs' pasts.
pub(super) struct RunPastReader(BackgroundTasks<(PathBuf, RunPast)>);

impl RunPastReader {
    pub fn new(ctx: &egui::Context) -> Self {
        Self(BackgroundTasks::new(ctx, |error| (PathBuf::new(), RunPast::Failed(error))))
    }

    /// Reads the past of a run up to step `last`.
    pub fn read(&self, run: PathBuf, last: u64) {
        self.0.stream(move |respond| {
            let send = |past| respond((run.clone(), past));
            if let Ok(mut metrics) = MetricsLog::read(&run.join("metrics.csv")) {
                // The resumed run appends to the file meanwhile.
                metrics.retain(|metrics| metrics.step <= last);
                send(RunPast::Metrics(metrics));
            }
            let mut ends = epoch_ends(&run.join("checkpoints"));
            ends.retain(|end| end.step <= last);
            send(RunPast::Epochs(ends));
            for (step, path) in frames(&run.join("samples"), last) {
                if let Ok(sheet) = Picture::read(&path) {
                    send(RunPast::Frame { step, sheet });
                }
            }
        });
    }

    /// Takes what has been read, with the run's folder.
    pub fn receive(&self) -> Vec<(PathBuf, RunPast)> {
        self.0.responses().try_iter().collect()
    }
}

/// The preview grids up to step `last`, in order.
fn frames(folder: &Path, last: u64) -> Vec<(u64, PathBuf)> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut frames: Vec<(u64, PathBuf)> = files
        .filter_map(|file| {
            let path = file.path();
            let step = path.file_stem()?.to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some((step, path))
        })
        .filter(|(step, _)| *step <= last)
        .collect();
    frames.sort();
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::history::History;
    use crate::train::Event;

    #[test]
    fn the_plots_of_a_resumed_run_begin_where_the_run_began() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().to_owned();
        let mut log = MetricsLog::open(&run.join("metrics.csv"), 0).unwrap();
        for step in 1..=7 {
            log.write(&Metrics { step, ..Metrics::default() }).unwrap();
        }
        for step in [0, 5, 6] {
            Picture::new(8, 8, 1, vec![0; 64]).write_png(&run.join(format!("samples/step-{step:08}.png"))).unwrap();
        }
        let state = r#"{"step": 5, "images": 20, "seconds": 1, "place": {"epoch": 0, "used": 20}, "epoch_end": 1,
            "generator_rate": 1, "discriminator_rate": 1}"#;
        let checkpoint = run.join("checkpoints/step-00000005");
        std::fs::create_dir_all(&checkpoint).unwrap();
        std::fs::write(checkpoint.join("state.json"), state).unwrap();
        let mut history = History::default();
        history.take(Event::Started { step: 5, last: None, folder: run.clone(), device: String::new() });
        history.metrics.push(Metrics { step: 6, ..Metrics::default() });
        let ctx = egui::Context::default();
        let reader = RunPastReader::new(&ctx);
        reader.read(run, 5);
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while history.frames.len() < 2 {
            assert!(std::time::Instant::now() < deadline, "the past is read");
            for (run, past) in reader.receive() {
                history.add_past(Path::new("another"), RunPast::Metrics(vec![Metrics::default()]));
                history.add_past(&run, past);
            }
        }
        assert_eq!(history.metrics.iter().map(|line| line.step).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(
            history.frames.keys().copied().collect::<Vec<_>>(),
            [0, 5],
            "a frame that was never saved is missing"
        );
        assert_eq!([0, 5].map(|step| history.name(step)), ["step 0", "step 5, the end of epoch 1"]);
    }
}
