//! Recalibration of the discriminator's batch-norm statistics on real pictures.
//!
//! The running statistics of training mix real and generated batches. Like the paper (section 5), everything here
//! that inspects the discriminator first measures the statistics of real pictures. They are then fixed, so that the
//! features of a picture and the gradients through them do not depend on the other pictures. [`Calibration`] measures
//! them batch by batch.

use std::fmt;

use burn::tensor::Device;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::data::Dataset;
use crate::device::ComputeError;
use crate::image::Picture;
use crate::model::{Discriminator, picture_tensor};

/// The batch size of the paper's training.
const BATCH: usize = 128;
/// The maximum number of pictures. The mean over ten batches varies a third as much as that of one batch.
const MAX_PICTURES: u64 = 10 * BATCH as u64;
/// The seed that selects pictures of a larger data set.
const SEED: u64 = 0;

/// The source of a discriminator's batch-norm statistics.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase", tag = "of")]
pub enum NormStatisticsSource {
    /// Pictures of a data set.
    Data {
        /// The data set, as in `--data`.
        data: String,
        /// The number of pictures.
        pictures: u64,
    },
    /// The running statistics of training.
    Running {
        /// Why no pictures were used, if they were requested.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl NormStatisticsSource {
    /// `data` or `running`, as in JSON output.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Data { .. } => "data",
            Self::Running { .. } => "running",
        }
    }
}

impl fmt::Display for NormStatisticsSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data { data, pictures } => write!(f, "batch-norm statistics of {pictures} pictures of {data}"),
            Self::Running { reason: None } => f.write_str("running batch-norm statistics of the training"),
            Self::Running { reason: Some(reason) } => {
                write!(f, "running batch-norm statistics of the training, since {reason}")
            }
        }
    }
}

/// Measures the batch-norm statistics of discriminators on a data set, batch by batch.
#[derive(Debug)]
pub struct Calibration {
    networks: Vec<Discriminator>,
    /// The numbers of the pictures, shuffled so that batches mix classes.
    numbers: Vec<u64>,
    next: usize,
    pending: Vec<Picture>,
    batches: usize,
}

impl Calibration {
    /// Prepares to calibrate `networks` of the same config on up to 1,280 pictures of `data`.
    pub fn new(networks: Vec<Discriminator>, data: &Dataset) -> Self {
        let numbers = match data.len() {
            Some(length) => {
                let count = length.min(MAX_PICTURES as usize);
                let mut rng = ChaCha8Rng::seed_from_u64(SEED);
                index::sample(&mut rng, length, count).into_iter().map(|number| number as u64).collect()
            }
            None => (0..MAX_PICTURES).collect(),
        };
        Self { networks, numbers, next: 0, pending: Vec::new(), batches: 0 }
    }

    /// The number of pictures to read.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether the data set has no pictures.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The number of pictures read so far, including unreadable ones.
    pub fn done(&self) -> usize {
        self.next
    }

    /// Reads the next pictures and measures a batch if it is full. Returns true once all pictures are read.
    pub fn step(&mut self, data: &Dataset, device: &Device) -> bool {
        let numbers = &self.numbers[self.next..(self.next + BATCH).min(self.numbers.len())];
        let pictures: Vec<Picture> = numbers.par_iter().filter_map(|&number| data.picture(number).ok()).collect();
        self.next += numbers.len();
        self.pending.extend(pictures);
        if self.pending.len() >= BATCH {
            let batch: Vec<_> = self.pending.drain(..BATCH).collect();
            self.measure(&batch, device);
        }
        self.next >= self.numbers.len()
    }

    fn measure(&mut self, batch: &[Picture], device: &Device) {
        for network in &mut self.networks {
            let pictures = picture_tensor(batch, network.config(), device);
            network.calibrate(pictures, self.batches);
        }
        self.batches += 1;
    }

    /// The calibrated networks and the number of measured pictures. `None` if no picture could be read. A last,
    /// smaller batch counts only if it is the only one, because every batch has the same weight in the mean.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn finish(mut self, device: &Device) -> Result<Option<(Vec<Discriminator>, u64)>, ComputeError> {
        let last = std::mem::take(&mut self.pending);
        let mut pictures = (self.batches * BATCH) as u64;
        if self.batches == 0 && !last.is_empty() {
            pictures = last.len() as u64;
            self.measure(&last, device);
        }
        Ok((pictures > 0).then_some((self.networks, pictures)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::device::read_tensor;
    use crate::dissect::layers::discriminator_maps;
    use crate::image::PictureFormat;
    use crate::model::{ModelConfig, Preset, SamplingStatistics};

    fn config() -> ModelConfig {
        // Sampling with batch statistics must not affect the discriminator.
        ModelConfig { size: 16, base: 4, sampling: SamplingStatistics::Batch, ..ModelConfig::preset(Preset::Pytorch) }
    }

    #[test]
    fn calibrated_statistics_match_the_data_and_fix_the_response_to_a_picture() {
        let device = Device::flex();
        let data = Dataset::open(&Source::from("synth:rooms"), PictureFormat::new(16, 3), 1).unwrap();
        let discriminator = Discriminator::new(&config(), 3, &device);
        let mut calibration = Calibration::new(vec![discriminator.clone()], &data);
        assert_eq!(calibration.len(), 1280);
        while !calibration.step(&data, &device) {}
        assert_eq!(calibration.done(), 1280);
        let (networks, pictures) = calibration.finish(&device).unwrap().unwrap();
        assert_eq!(pictures, 1280);
        // The batch norm of the last convolution has mean 0 and variance 1 over the data before its gain and shift.
        let (layers, _) = networks[0].forward_features(picture_tensor(
            &(0..256).map(|number| data.picture(number).unwrap()).collect::<Vec<_>>(),
            &config(),
            &device,
        ));
        let norm = networks[0].layers[1].norm.as_ref().unwrap();
        let before = discriminator.layers[1].norm.as_ref().unwrap();
        assert_eq!(read_tensor(before.mean.value.clone()).unwrap(), [0.0; 8], "the original is unchanged");
        assert!(read_tensor(norm.variance.value.clone()).unwrap().iter().all(|v| *v > 0.0 && (*v - 1.0).abs() > 1e-3));
        let values = read_tensor(layers[1].clone()).unwrap();
        // LeakyReLU of a standard normal has mean 0.4 x 0.8 = 0.32. With the initial running statistics (0 and 1),
        // values would be near 0.
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((0.15..0.5).contains(&mean), "{mean}");
        let picture = data.picture(5).unwrap();
        let (alone, _) = discriminator_maps(&networks[0], &picture, &device).unwrap();
        for (i, value) in alone[1].maps.concat().iter().enumerate() {
            assert!((value - values[5 * 8 * 16 + i]).abs() < 1e-5);
        }
    }

    #[test]
    fn unreadable_data_gives_no_statistics() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), b"no picture").unwrap();
        let source = Source::from(folder.path().to_str().unwrap());
        let data = Dataset::open(&source, PictureFormat::new(16, 3), 1).unwrap();
        let mut calibration = Calibration::new(vec![Discriminator::new(&config(), 3, &device)], &data);
        while !calibration.step(&data, &device) {}
        assert!(calibration.finish(&device).unwrap().is_none());
    }
}
