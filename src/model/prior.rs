//! The norm of z under the prior: its typical value, how far a z deviates from it, and normalizing a z to it.

use super::options::Prior;

/// Standard deviations beyond which a norm is an outlier. Samples of the prior hardly ever reach it.
const OUTLIER: f32 = 4.0;

/// The norm of a z compared with the norms of the prior's samples.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct NormFit {
    /// The Euclidean norm of the z.
    pub norm: f32,
    /// The typical norm of the prior's samples.
    pub expected: f32,
    /// The difference in standard deviations of the samples' norms.
    pub deviations: f32,
}

impl NormFit {
    /// Whether the prior hardly ever samples such a norm, so that the generator was not trained on such z's.
    pub fn is_outlier(&self) -> bool {
        self.deviations.abs() > OUTLIER
    }
}

impl Prior {
    /// The standard deviation of each coordinate.
    pub fn standard_deviation(self) -> f32 {
        match self {
            Self::Uniform => (1.0f32 / 3.0).sqrt(),
            Self::Normal => 1.0,
        }
    }

    /// Compares the norm of `z` with the norms of samples.
    pub fn norm_fit(self, z: &[f32]) -> NormFit {
        let dim = z.len() as f32;
        // The squared norm is a sum of independent squares, each of mean 1/3 and variance 4/45 (uniform) or 1 and 2
        // (normal).
        let (mean, variance) = match self {
            Self::Uniform => (1.0 / 3.0, 4.0 / 45.0),
            Self::Normal => (1.0, 2.0),
        };
        let expected = (mean * dim).sqrt();
        let spread = (variance * dim).sqrt() / (2.0 * expected);
        let norm = z.iter().map(|v| v * v).sum::<f32>().sqrt();
        NormFit { norm, expected, deviations: (norm - expected) / spread }
    }

    /// Scales `z` to the typical norm of samples. Under the uniform prior the coordinates are then clamped to [-1,
    /// 1].
    pub fn normalize_length(self, z: &[f32]) -> Vec<f32> {
        let fit = self.norm_fit(z);
        let factor = if fit.norm > 0.0 { fit.expected / fit.norm } else { 1.0 };
        let scaled = z.iter().map(|v| v * factor);
        match self {
            Self::Uniform => scaled.map(|v| v.clamp(-1.0, 1.0)).collect(),
            Self::Normal => scaled.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sample_z;

    #[test]
    fn samples_fit_their_prior_and_sums_of_samples_do_not() {
        for prior in [Prior::Uniform, Prior::Normal] {
            let z: Vec<_> = (0..200).map(|i| sample_z(prior, 100, 1, i)).collect();
            let deviations: Vec<f32> = z.iter().map(|z| prior.norm_fit(z).deviations).collect();
            let spread = (deviations.iter().map(|d| d * d).sum::<f32>() / 200.0).sqrt();
            assert!((spread - 1.0).abs() < 0.2, "{prior}: {spread}");
            let sum: Vec<f32> = (0..100).map(|i| z[0][i] + z[1][i] + z[2][i]).collect();
            assert!(prior.norm_fit(&sum).is_outlier());
            assert!(!prior.norm_fit(&prior.normalize_length(&sum)).is_outlier());
        }
    }
}
