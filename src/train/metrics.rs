//! Metrics of a training step ([`Metrics`]), and `metrics.csv` ([`MetricsLog`]).

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use fs_err::{File, OpenOptions};

use crate::files;

/// Metrics of one step: a row of `metrics.csv`.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Metrics {
    /// The step, counted from 1.
    pub step: u64,
    /// Loss of the discriminator, real and generated pictures added.
    pub loss_d: f32,
    /// Non-saturating loss of the generator.
    pub loss_g: f32,
    /// Mean D(x), the discriminator's probability for real pictures, 0 to 1.
    pub d_real: f32,
    /// Mean D(G(z)), its probability for generated pictures before the generator's update, 0 to 1.
    pub d_fake: f32,
    /// Euclidean norm of the discriminator's gradient.
    pub norm_d: f32,
    /// Euclidean norm of the generator's gradient.
    pub norm_g: f32,
    /// Seconds of training so far, over all sessions of the run.
    pub seconds: f64,
}

impl Metrics {
    /// Whether losses and gradient norms are neither infinite nor NaN.
    pub fn finite(&self) -> bool {
        [self.loss_d, self.loss_g, self.norm_d, self.norm_g].iter().all(|value| value.is_finite())
    }
}

/// Columns of `metrics.csv`: the fields of [`Metrics`].
const COLUMNS: usize = 8;

/// A `metrics.csv` that is open for appending; one row per step.
#[derive(Debug)]
pub struct MetricsLog {
    writer: csv::Writer<File>,
}

impl MetricsLog {
    /// Opens or creates the file to continue after `step`. Rows of later steps, which a session logged and never
    /// saved, are removed.
    ///
    /// # Errors
    /// Errors of the file system, with the path.
    pub fn open(path: &Path, step: u64) -> io::Result<Self> {
        let mut kept = String::new();
        if step > 0 && path.exists() {
            for (i, line) in BufReader::new(File::open(path)?).lines().enumerate() {
                let line = line?;
                let row_step = line.split(',').next().and_then(|first| first.parse::<u64>().ok());
                // A killed process can leave half a row.
                let complete = line.split(',').count() == COLUMNS;
                if (i == 0 || row_step.is_some_and(|row_step| row_step <= step)) && complete {
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
        }
        let has_headers = kept.is_empty();
        files::write(path, |file| file.write_all(kept.as_bytes()))?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { writer: csv::WriterBuilder::new().has_headers(has_headers).from_writer(file) })
    }

    /// Appends a row and flushes it, so that other programs can read the file during training.
    ///
    /// # Errors
    /// Errors of the file system.
    pub fn write(&mut self, metrics: &Metrics) -> io::Result<()> {
        self.writer.serialize(metrics)?;
        self.writer.flush()
    }

    /// Reads the rows of a file, up to the first damaged one.
    ///
    /// # Errors
    /// Errors of the file system, with the path.
    pub fn read(path: &Path) -> io::Result<Vec<Metrics>> {
        let reader = csv::Reader::from_reader(File::open(path)?);
        Ok(reader.into_deserialize().map_while(Result::ok).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_continues_after_the_saved_step() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let at = |step| Metrics { step, loss_d: 0.25, ..Metrics::default() };
        let mut log = MetricsLog::open(&path, 0).unwrap();
        for step in 1..=5 {
            log.write(&at(step)).unwrap();
        }
        drop(log);
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("6,0.2");
        std::fs::write(&path, text).unwrap();
        let mut log = MetricsLog::open(&path, 3).unwrap();
        log.write(&at(4)).unwrap();
        let steps: Vec<_> = MetricsLog::read(&path).unwrap().iter().map(|m| m.step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }
}
