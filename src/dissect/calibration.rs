//! Batch-norm statistics of real pictures, for a discriminator that is to be looked into.
//!
//! The running statistics of a training mix real and generated batches. The paper takes them anew from real pictures before it
//! uses the features (section 5), and so does everything here that asks what the discriminator sees. They are taken once and
//! are the same for all pictures looked at afterwards, so that a response and what is propagated back from it agree.

use std::fmt;

use burn::tensor::Device;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::layers::tensor;
use crate::data::Dataset;
use crate::image::Picture;
use crate::latent::DrawError;
use crate::model::Discriminator;

/// Pictures of a batch, as the paper trains.
const BATCH: usize = 128;
/// Pictures that statistics are taken from: the mean over ten batches varies a third as much as a training batch's.
const PICTURES: u64 = 10 * BATCH as u64;
/// Seed of the choice among a larger set's pictures.
const SEED: u64 = 0;

/// Which batch-norm statistics a discriminator uses.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase", tag = "of")]
pub enum NormStatistics {
    /// Those of pictures of a data set.
    Data {
        /// The data set, as `--data` names it.
        data: String,
        /// How many of its pictures.
        pictures: u64,
    },
    /// The running statistics of the training.
    Running {
        /// Why they are used, if pictures were wanted.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
}

impl NormStatistics {
    /// `data` or `running`, for scripts.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Data { .. } => "data",
            Self::Running { .. } => "running",
        }
    }
}

impl fmt::Display for NormStatistics {
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

/// Takes the statistics of discriminators from pictures of a data set, batch by batch.
#[derive(Debug)]
pub struct Calibration {
    networks: Vec<Discriminator>,
    /// The pictures' numbers, in random order so that no batch is of one class.
    numbers: Vec<u64>,
    next: usize,
    waiting: Vec<Picture>,
    batches: usize,
}

impl Calibration {
    /// For `networks` of one config, from up to 1,280 pictures of `data`.
    pub fn new(networks: Vec<Discriminator>, data: &Dataset) -> Self {
        let numbers = match data.len() {
            Some(length) => {
                let count = length.min(PICTURES as usize);
                let mut rng = ChaCha8Rng::seed_from_u64(SEED);
                index::sample(&mut rng, length, count).into_iter().map(|number| number as u64).collect()
            }
            None => (0..PICTURES).collect(),
        };
        Self { networks, numbers, next: 0, waiting: Vec::new(), batches: 0 }
    }

    /// Pictures that are to be read.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether the data set has no pictures.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Pictures that have been read, or could not be.
    pub fn done(&self) -> usize {
        self.next
    }

    /// Reads the next pictures and takes the statistics of a batch, once one is full. True when all are read.
    pub fn step(&mut self, data: &Dataset, device: &Device) -> bool {
        let numbers = &self.numbers[self.next..(self.next + BATCH).min(self.numbers.len())];
        let read: Vec<Picture> = numbers.par_iter().filter_map(|&number| data.picture(number).ok()).collect();
        self.next += numbers.len();
        self.waiting.extend(read);
        if self.waiting.len() >= BATCH {
            let batch: Vec<_> = self.waiting.drain(..BATCH).collect();
            self.measure(&batch, device);
        }
        self.next >= self.numbers.len()
    }

    fn measure(&mut self, batch: &[Picture], device: &Device) {
        for network in &mut self.networks {
            let pictures = tensor(batch, network.config(), device);
            network.measure(pictures, self.batches);
        }
        self.batches += 1;
    }

    /// The networks with the statistics in place, and of how many pictures they are. A short batch counts only where it is the
    /// only one, since the mean is over batches. None if no picture could be read.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn finish(mut self, device: &Device) -> Result<Option<(Vec<Discriminator>, u64)>, DrawError> {
        let rest = std::mem::take(&mut self.waiting);
        let mut pictures = (self.batches * BATCH) as u64;
        if self.batches == 0 && !rest.is_empty() {
            pictures = rest.len() as u64;
            self.measure(&rest, device);
        }
        Ok((pictures > 0).then_some((self.networks, pictures)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::dissect::layers::{of_discriminator, tensor};
    use crate::image::PictureFormat;
    use crate::latent::read;
    use crate::model::{ModelConfig, Preset, Statistics};

    fn config() -> ModelConfig {
        // What the networks sample with must make no difference here.
        ModelConfig { size: 16, base: 4, sampling: Statistics::Batch, ..ModelConfig::preset(Preset::Pytorch) }
    }

    #[test]
    fn statistics_are_those_of_the_data_and_a_picture_has_one_response() {
        let device = Device::flex();
        let data = Dataset::open(&Source::parse("synth:rooms").unwrap(), PictureFormat::new(16, 3), 1).unwrap();
        let judge = Discriminator::new(&config(), 3, &device);
        let mut calibration = Calibration::new(vec![judge.clone()], &data);
        assert_eq!(calibration.len(), 1280);
        while !calibration.step(&data, &device) {}
        assert_eq!(calibration.done(), 1280);
        let (networks, pictures) = calibration.finish(&device).unwrap().unwrap();
        assert_eq!(pictures, 1280);
        // The last convolution's maps, before gain and shift, have mean 0 and variance 1 over the data.
        let (layers, _) = networks[0].inside(tensor(
            &(0..256).map(|number| data.picture(number).unwrap()).collect::<Vec<_>>(),
            &config(),
            &device,
        ));
        let norm = networks[0].layers[1].norm.as_ref().unwrap();
        let before = judge.layers[1].norm.as_ref().unwrap();
        assert_eq!(read(before.mean.value.clone()).unwrap(), [0.0; 8], "the original is not touched");
        assert!(read(norm.variance.value.clone()).unwrap().iter().all(|v| *v > 0.0 && (*v - 1.0).abs() > 1e-3));
        let values = read(layers[1].clone()).unwrap();
        // LeakyReLU of a standard normal has mean 0.4 x 0.8 = 0.32; the running statistics 0 and 1 would leave values near 0.
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        assert!((0.15..0.5).contains(&mean), "{mean}");
        let picture = data.picture(5).unwrap();
        let (alone, _) = of_discriminator(&networks[0], &picture, &device).unwrap();
        for (i, value) in alone[1].maps.concat().iter().enumerate() {
            assert!((value - values[5 * 8 * 16 + i]).abs() < 1e-5);
        }
    }

    #[test]
    fn where_nothing_can_be_read_there_are_no_statistics() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.png"), b"no picture").unwrap();
        let source = Source::parse(folder.path().to_str().unwrap()).unwrap();
        let data = Dataset::open(&source, PictureFormat::new(16, 3), 1).unwrap();
        let mut calibration = Calibration::new(vec![Discriminator::new(&config(), 3, &device)], &data);
        while !calibration.step(&data, &device) {}
        assert!(calibration.finish(&device).unwrap().is_none());
    }
}
