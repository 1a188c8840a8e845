//! What a generator's running statistics tell of how it was trained, which its shapes do not.
//!
//! Batch norm kept the mean and the variance of every map. Drawn from the right prior and through the right rectifiers a batch
//! has nearly the same ones, and from others it has not.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::model::{Generator, Norm, Parameter, Prior};

/// Samples of a batch.
const SAMPLES: usize = 128;
/// Slopes below zero that are tried besides ReLU's.
const LEAKS: [f64; 4] = [0.2, 0.1, 0.3, 0.01];
/// How far a batch that was drawn as in training may be from the running statistics: several times what sampling makes.
const FITS: f64 = 0.15;
/// A guess is given up for what is so many times nearer.
const NEARER: f64 = 2.0;
/// What one map adds to the distance at most: some never change.
const MOST: f64 = 4.0;

/// One way to have been trained, and how far what it draws is from the running statistics.
#[derive(Clone, Copy)]
struct Trial {
    prior: Prior,
    leak: f64,
    distance: f64,
}

impl Trial {
    /// The nearer one; what is guessed, ReLU, is kept unless the other is clearly so.
    fn or(self, other: Self) -> Self {
        let times = if self.leak == 0.0 { NEARER } else { 1.0 };
        if other.distance * times < self.distance { other } else { self }
    }
}

/// The prior and the slope of the rectifiers that fit the running statistics; none where nothing fits, or they are not there.
pub(in crate::model) fn told(generator: &Generator, device: &Device) -> Option<(Prior, f64)> {
    let trial = |prior, leak, norms| {
        let distance = distance(generator, (prior, leak), norms, device)?;
        Some(Trial { prior, leak, distance })
    };
    // The first norm is nearly always the projection's, which is before all rectifiers.
    let Trial { prior, .. } = trial(Prior::Normal, 0.0, 1)?.or(trial(Prior::Uniform, 0.0, 1)?);
    let mut best = trial(prior, 0.0, usize::MAX)?;
    for leak in LEAKS {
        best = best.or(trial(prior, leak, usize::MAX)?);
    }
    (best.distance < FITS).then_some((best.prior, best.leak))
}

/// How far the statistics of a batch are from the running ones of the first `norms`: over all maps, the mean square of what means differ by, in
/// deviations, and of what variances differ by, as logarithms. None without running statistics.
fn distance(generator: &Generator, (prior, leak): (Prior, f64), norms: usize, device: &Device) -> Option<f64> {
    let z_dim = generator.config().z_dim;
    let z = prior.draw(SAMPLES * z_dim, &mut ChaCha8Rng::seed_from_u64(0));
    let mut drawn = generator.leaking(leak);
    drawn.measure(Tensor::from_data(TensorData::new(z, [SAMPLES, z_dim]), device));
    let epsilon = generator.config().norm_epsilon;
    let all = |generator: &Generator| -> Vec<Norm> {
        generator.layers().iter().filter_map(|layer| layer.norm.clone()).collect()
    };
    let (mut sum, mut maps) = (0.0, 0);
    for (kept, drawn) in all(generator).iter().zip(all(&drawn)).take(norms) {
        let [mean, variance] = [values(&kept.mean)?, values(&kept.variance)?];
        let [mean_now, variance_now] = [values(&drawn.mean)?, values(&drawn.variance)?];
        for i in 0..mean.len() {
            let (variance, now) = (variance[i] + epsilon, variance_now[i] + epsilon);
            let off = (mean_now[i] - mean[i]).powi(2) / variance + (now / variance).ln().powi(2);
            // What is no number counts in full.
            sum += off.min(MOST);
        }
        maps += mean.len();
    }
    (maps > 0).then(|| sum / maps as f64)
}

fn values(parameter: &Parameter) -> Option<Vec<f64>> {
    let data = parameter.value.clone().try_into_data().ok()?;
    Some(data.iter::<f32>().map(f64::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelConfig, Preset};

    fn generator(seed: u64) -> Generator {
        let config = ModelConfig { size: 32, base: 8, z_dim: 20, ..ModelConfig::preset(Preset::Pytorch) };
        Generator::new(&config, seed, &Device::flex())
    }

    #[test]
    fn what_fits_the_running_statistics_is_told() {
        let device = Device::flex();
        for (prior, leak) in [(Prior::Normal, 0.0), (Prior::Uniform, 0.0), (Prior::Normal, 0.2), (Prior::Uniform, 0.3)]
        {
            let mut trained = generator(3).leaking(leak);
            let z = prior.draw(1000 * 20, &mut ChaCha8Rng::seed_from_u64(9));
            trained.measure(Tensor::from_data(TensorData::new(z, [1000, 20]), &device));
            // What a file holds says nothing of the leak.
            assert_eq!(told(&trained.leaking(0.0), &device), Some((prior, leak)));
        }
    }

    #[test]
    fn where_nothing_fits_nothing_is_told() {
        // The zeros and ones of a network that was never trained.
        assert_eq!(told(&generator(3), &Device::flex()), None);
    }
}
