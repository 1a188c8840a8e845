//! Instance noise (Sønderby et al. 2017, "Amortised MAP inference for image super-resolution", section 3.3): what the
//! discriminator sees, real or drawn, is blurred by noise that fades as the run goes on.
//!
//! Pictures without any grain of their own, such as drawn ones, are told from a young generator's at a glance, and a
//! discriminator that is never in doubt teaches nothing.

use burn::tensor::{Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::config::TrainConfig;

/// Keeps the noise apart from everything else that is drawn by the same seed.
const NOISE: u64 = 0x6e6f_6973_655f_5f5f;

/// The noise of one step: a function of seed and step alone, so that a resumed run needs no stored random state.
pub(super) struct Noise {
    deviation: f32,
    seed: u64,
    step: u64,
}

impl Noise {
    pub fn new(train: &TrainConfig, seed: u64, step: u64) -> Self {
        let steps = (step - 1).saturating_sub(train.noise_from);
        let faded = if train.noise_steps == 0 { 0.0 } else { steps as f32 / train.noise_steps as f32 };
        Self { deviation: train.noise * (1.0 - faded).max(0.0), seed, step }
    }

    /// Adds noise to pictures `[batch, channels, size, size]`; `number` tells the step's batches apart.
    pub fn on(&self, pictures: Tensor<4>, number: u64) -> Tensor<4> {
        if self.deviation == 0.0 {
            return pictures;
        }
        let dims = pictures.dims();
        let picture = dims[1] * dims[2] * dims[3];
        let mut values = vec![0.0f32; dims[0] * picture];
        values.par_chunks_mut(picture).enumerate().for_each(|(i, values)| {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed ^ NOISE ^ number << 32 ^ i as u64);
            rng.set_stream(self.step);
            values.fill_with(|| rng.sample::<f32, _>(StandardNormal) * self.deviation);
        });
        let noise = Tensor::from_data(TensorData::new(values, dims), &pictures.device());
        pictures + noise
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::Preset;

    fn spread(train: &TrainConfig, step: u64, number: u64) -> (f32, Vec<f32>) {
        let values = Noise::new(train, 7, step).on(Tensor::zeros([4, 1, 32, 32], &Device::flex()), number);
        let values: Vec<f32> = values.into_data().iter::<f32>().collect();
        ((values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32).sqrt(), values)
    }

    #[test]
    fn noise_fades_and_is_the_same_for_the_same_step() {
        let train = TrainConfig { noise: 0.2, noise_steps: 100, ..TrainConfig::preset(Preset::Pytorch) };
        for (step, deviation) in [(1, 0.2), (51, 0.1), (101, 0.0), (5000, 0.0)] {
            let (found, _) = spread(&train, step, 0);
            assert!((found - deviation).abs() < 0.01, "step {step}: {found}");
        }
        let endless = TrainConfig { noise_steps: 0, ..train.clone() };
        assert!(spread(&endless, 1_000_000, 0).0 > 0.19, "0 steps never fade");
        assert_eq!(spread(&train, 9, 1).1, spread(&train, 9, 1).1);
        assert_ne!(spread(&train, 9, 1).1, spread(&train, 9, 2).1);
        assert_ne!(spread(&train, 9, 1).1, spread(&train, 10, 1).1);
        assert_eq!(spread(&TrainConfig::preset(Preset::Paper), 1, 0).0, 0.0, "the paper adds none");
    }
}
