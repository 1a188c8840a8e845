//! Seeds name pictures: sample number i of seed s is the same z everywhere, on every device.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::model::{ModelConfig, Prior};

/// Keeps the z's of training apart from the gallery's of the same seed.
const TRAINING: u64 = 0x7a73_6361_7065_2121;

/// `count` z's of the prior, row-major `[count, z_dim]`, from stream `stream` of `seed`.
fn stream(prior: Prior, z_dim: usize, seed: u64, stream: u64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    prior.draw(z_dim * count, &mut rng)
}

/// The z of sample number `number` of `seed`, `[z_dim]`.
pub fn numbered(prior: Prior, z_dim: usize, seed: u64, number: u64) -> Vec<f32> {
    stream(prior, z_dim, seed, number, 1)
}

/// The z's of samples `numbers` of `seed` for a model, `[z_dim]` each.
pub fn samples(config: &ModelConfig, seed: u64, numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<f32>> {
    numbers.into_iter().map(|number| numbered(config.prior, config.z_dim, seed, number)).collect()
}

/// The z's of samples `numbers` of `seed` as a tensor `[numbers, z_dim]`.
pub fn draw(
    prior: Prior,
    z_dim: usize,
    seed: u64,
    numbers: impl IntoIterator<Item = u64>,
    device: &Device,
) -> Tensor<2> {
    let rows: Vec<_> = numbers.into_iter().map(|number| numbered(prior, z_dim, seed, number)).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows.concat(), [count, z_dim]), device)
}

/// The z's `[count, z_dim]` that training step `step` of `seed` draws: a function of its arguments alone, so that a
/// resumed run needs no stored random state.
pub fn training(prior: Prior, z_dim: usize, seed: u64, step: u64, count: usize, device: &Device) -> Tensor<2> {
    let values = stream(prior, z_dim, seed ^ TRAINING, step, count);
    Tensor::from_data(TensorData::new(values, [count, z_dim]), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_names_the_same_z_in_any_company() {
        let together = draw(Prior::Normal, 10, 7, 0..4, &Device::flex()).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(together[20..30], numbered(Prior::Normal, 10, 7, 2));
        assert_ne!(numbered(Prior::Normal, 10, 7, 2), numbered(Prior::Normal, 10, 8, 2));
    }

    #[test]
    fn z_is_spread_as_the_prior_says() {
        let moments = |values: &[f32]| {
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32)
        };
        let uniform = stream(Prior::Uniform, 100, 1, 1, 300);
        assert!(uniform.iter().all(|v| (-1.0..=1.0).contains(v)));
        let (mean, variance) = moments(&uniform);
        assert!(mean.abs() < 0.02 && (variance - 1.0 / 3.0).abs() < 0.02, "{mean} {variance}");
        let (mean, variance) = moments(&stream(Prior::Normal, 100, 1, 1, 300));
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
