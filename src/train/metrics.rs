//! One step's numbers, and the file that keeps them.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use crate::files;

/// What one step measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Metrics {
    /// Steps taken, this one included.
    pub step: u64,
    /// The discriminator's loss, real and generated added.
    pub loss_d: f32,
    /// The generator's non-saturating loss.
    pub loss_g: f32,
    /// Mean D(x): how sure the discriminator is of real pictures, 0 to 1.
    pub d_real: f32,
    /// Mean D(G(z)) before the generator's update, 0 to 1.
    pub d_fake: f32,
    /// Euclidean norm of the discriminator's gradient.
    pub norm_d: f32,
    /// Euclidean norm of the generator's gradient.
    pub norm_g: f32,
    /// Seconds of training up to here, over all sessions of the run.
    pub seconds: f64,
}

impl Metrics {
    /// Whether training still computes with numbers.
    pub fn finite(&self) -> bool {
        [self.loss_d, self.loss_g, self.norm_d, self.norm_g].iter().all(|value| value.is_finite())
    }
}

/// `metrics.csv`: a line a step.
#[derive(Debug)]
pub struct MetricsLog {
    writer: csv::Writer<File>,
}

impl MetricsLog {
    /// Opens the file to go on after `step`: later lines, written by a session that never saved them, are cut off.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(path: &Path, step: u64) -> std::io::Result<Self> {
        let mut kept = String::new();
        if step > 0 && path.exists() {
            for (i, line) in BufReader::new(File::open(path)?).lines().enumerate() {
                let line = line?;
                let number = line.split(',').next().and_then(|first| first.parse::<u64>().ok());
                // A kill can leave half a line; a whole one has every column.
                let whole = line.split(',').count() == 8;
                if (i == 0 || number.is_some_and(|number| number <= step)) && whole {
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
        }
        let fresh = kept.is_empty();
        files::write(path, |file| file.write_all(kept.as_bytes()))?;
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Self { writer: csv::WriterBuilder::new().has_headers(fresh).from_writer(file) })
    }

    /// Adds a line and hands it to the system, so that others can read along.
    ///
    /// # Errors
    /// What the file system says.
    pub fn write(&mut self, metrics: &Metrics) -> std::io::Result<()> {
        self.writer.serialize(metrics)?;
        self.writer.flush()
    }

    /// Every line of a file; a damaged one ends the list.
    ///
    /// # Errors
    /// What the file system says.
    pub fn read(path: &Path) -> std::io::Result<Vec<Metrics>> {
        let reader = csv::Reader::from_reader(File::open(path)?);
        Ok(reader.into_deserialize().map_while(Result::ok).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_goes_on_after_the_saved_step() {
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
