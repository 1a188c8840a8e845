//! Sampling: z by seed and sample number, and generated pictures.
//!
//! Sample `number` of `seed` is the same z on every machine and device, so a seed and a number name a picture of a
//! model. [`sample_zs`] gives the z's, [`generate_pictures`] the pictures that a generator makes of them.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::device::{ComputeError, read_tensor};
use crate::image::Picture;
use crate::model::{Generator, ModelConfig, Prior, pictures_from_values};

/// Pictures generated at a time. Larger batches are no faster and need more memory; the pictures do not depend on it.
pub(crate) const BATCH: usize = 64;

/// Separates the random streams of training from those of samples with the same seed.
const TRAINING_SEED_MASK: u64 = 0x7a73_6361_7065_2121;

/// `count` z's of the prior, row-major `[count, z_dim]`, from random stream `stream` of `seed`.
fn stream_values(prior: Prior, z_dim: usize, seed: u64, stream: u64, count: usize) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    prior.draw(z_dim * count, &mut rng)
}

/// The z `[z_dim]` of sample `number` of `seed`.
pub fn sample_z(prior: Prior, z_dim: usize, seed: u64, number: u64) -> Vec<f32> {
    stream_values(prior, z_dim, seed, number, 1)
}

/// The z's of samples `numbers` of `seed` for a model, `[z_dim]` each.
pub fn sample_zs(config: &ModelConfig, seed: u64, numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<f32>> {
    numbers.into_iter().map(|number| sample_z(config.prior, config.z_dim, seed, number)).collect()
}

/// The z's of samples `numbers` of `seed` as a tensor `[numbers, z_dim]`.
pub fn sample_z_tensor(
    prior: Prior,
    z_dim: usize,
    seed: u64,
    numbers: impl IntoIterator<Item = u64>,
    device: &Device,
) -> Tensor<2> {
    let rows: Vec<_> = numbers.into_iter().map(|number| sample_z(prior, z_dim, seed, number)).collect();
    let count = rows.len();
    Tensor::from_data(TensorData::new(rows.concat(), [count, z_dim]), device)
}

/// The z's `[count, z_dim]` of training step `step` of `seed`. They depend on the arguments alone, so that a resumed
/// run needs no stored random state.
pub fn training_z_tensor(prior: Prior, z_dim: usize, seed: u64, step: u64, count: usize, device: &Device) -> Tensor<2> {
    let values = stream_values(prior, z_dim, seed ^ TRAINING_SEED_MASK, step, count);
    Tensor::from_data(TensorData::new(values, [count, z_dim]), device)
}

/// z's as a tensor `[count, z_dim]`.
pub fn z_tensor(z: &[Vec<f32>], device: &Device) -> Tensor<2> {
    let z_dim = z.first().map_or(0, Vec::len);
    Tensor::from_data(TensorData::new(z.concat(), [z.len(), z_dim]), device)
}

/// The values `[count, channels, size, size]` in [-1, 1] of the pictures that the generator makes of `z`.
///
/// # Errors
/// [`ComputeError`] if the device fails.
pub fn generate_values(generator: &Generator, z: &[Vec<f32>], device: &Device) -> Result<Vec<f32>, ComputeError> {
    let mut values = Vec::with_capacity(z.len() * generator.config().values());
    for batch in z.chunks(BATCH) {
        values.extend(read_tensor(generator.sample(z_tensor(batch, device)))?);
    }
    Ok(values)
}

/// The pictures that the generator makes of `z`, in order.
///
/// # Errors
/// [`ComputeError`] if the device fails.
pub fn generate_pictures(generator: &Generator, z: &[Vec<f32>], device: &Device) -> Result<Vec<Picture>, ComputeError> {
    Ok(pictures_from_values(&generate_values(generator, z, device)?, generator.config()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_z_does_not_depend_on_the_rest_of_the_batch() {
        let together =
            sample_z_tensor(Prior::Normal, 10, 7, 0..4, &Device::flex()).into_data().try_to_vec::<f32>().unwrap();
        assert_eq!(together[20..30], sample_z(Prior::Normal, 10, 7, 2));
        assert_ne!(sample_z(Prior::Normal, 10, 7, 2), sample_z(Prior::Normal, 10, 8, 2));
    }

    #[test]
    fn samples_have_the_moments_of_the_prior() {
        let moments = |values: &[f32]| {
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            (mean, values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32)
        };
        let uniform = stream_values(Prior::Uniform, 100, 1, 1, 300);
        assert!(uniform.iter().all(|v| (-1.0..=1.0).contains(v)));
        let (mean, variance) = moments(&uniform);
        assert!(mean.abs() < 0.02 && (variance - 1.0 / 3.0).abs() < 0.02, "{mean} {variance}");
        let (mean, variance) = moments(&stream_values(Prior::Normal, 100, 1, 1, 300));
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
    }
}
