//! Distances as published, on features of Inception: FID (Heusel et al. 2017) and KID (Binkowski et al. 2018).
//!
//! FID: fit a [`Gaussian`] to the features of each set, prepare the real one as a [`FidReference`], and take its
//! [`FidReference::distance`] to the other. KID: [`kid`].

use burn::tensor::Device;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par, Side};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::table::{FeatureTable, products};
use crate::device::ComputeError;
use crate::model::INCEPTION_FEATURES;

/// Rows of a covariance that are summed at a time.
const ROWS: usize = 1024;
/// Subsets that KID is averaged over, and images of each set in one.
const SUBSETS: usize = 100;
const SUBSET_SIZE: usize = 1000;
/// The least number of images for FID: with fewer than features the covariance is singular, and FID much too large.
pub const MIN_IMAGES: usize = INCEPTION_FEATURES;
/// The least number of images that published FIDs use.
pub const USUAL_IMAGES: usize = 10_000;

/// A normal distribution fitted to rows of features.
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: Vec<f64>,
    covariance: Mat<f64>,
}

impl Gaussian {
    /// The mean and the unbiased covariance of the rows, at least two.
    pub fn of(table: &FeatureTable) -> Self {
        let (count, width) = (table.len(), table.width());
        let mut mean = vec![0.0; width];
        for row in table.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= count.max(1) as f64);
        let mut covariance = Mat::zeros(width, width);
        let scale = 1.0 / count.saturating_sub(1).max(1) as f64;
        for first in (0..count).step_by(ROWS) {
            let rows = ROWS.min(count - first);
            let centered = Mat::from_fn(width, rows, |i, row| f64::from(table.row(first + row)[i]) - mean[i]);
            matmul(&mut covariance, Accum::Add, &centered, centered.transpose(), scale, Par::Seq);
        }
        Self { mean, covariance }
    }
}

/// The distribution of real images, prepared for distances to others.
#[derive(Debug, Clone)]
pub struct FidReference {
    gaussian: Gaussian,
    /// The square root of the covariance.
    root: Mat<f64>,
}

impl FidReference {
    /// Computes the square root of the covariance, which takes some seconds for Inception's features.
    pub fn new(gaussian: Gaussian) -> Self {
        let width = gaussian.mean.len();
        let is_finite = gaussian.covariance.sum().is_finite();
        let eigen = is_finite.then(|| gaussian.covariance.self_adjoint_eigen(Side::Lower));
        let root = match eigen {
            Some(Ok(eigen)) => {
                let (vectors, values) = (eigen.U(), eigen.S().column_vector());
                // Rounding makes the zero eigenvalues of a singular covariance negative.
                Mat::from_fn(width, width, |i, j| vectors[(i, j)] * values[j].max(0.0).sqrt()) * vectors.transpose()
            }
            // If a feature is NaN, so are all distances.
            _ => Mat::full(width, width, f64::NAN),
        };
        Self { gaussian, root }
    }

    /// The squared Frechet distance to another distribution, which is FID:
    /// `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2)`. NaN if any feature is.
    pub fn distance(&self, other: &Gaussian) -> f64 {
        let inner = &self.root * &other.covariance * &self.root;
        if !inner.sum().is_finite() {
            return f64::NAN;
        }
        let width = other.mean.len();
        // The product is symmetric except for rounding.
        let inner = Mat::from_fn(width, width, |i, j| (inner[(i, j)] + inner[(j, i)]) / 2.0);
        let Ok(eigenvalues) = inner.self_adjoint_eigenvalues(Side::Lower) else { return f64::NAN };
        let roots: f64 = eigenvalues.iter().map(|value| value.max(0.0).sqrt()).sum();
        let means: f64 = self.gaussian.mean.iter().zip(&other.mean).map(|(a, b)| (a - b).powi(2)).sum();
        let trace = |of: &Mat<f64>| (0..width).map(|i| of[(i, i)]).sum::<f64>();
        means + trace(&self.gaussian.covariance) + trace(&other.covariance) - 2.0 * roots
    }
}

/// KID, and the subsets that it is averaged over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kid {
    /// Mean over subsets of the unbiased squared maximum mean discrepancy with the kernel `(x.y / width + 1)^3`.
    pub mean: f64,
    /// Standard deviation over subsets.
    pub deviation: f64,
    /// Number of subsets.
    pub subsets: usize,
    /// Images of each set in a subset.
    pub size: usize,
}

/// KID of two sets: 100 subsets of 1,000 images, or of half the smaller set where that has fewer than 2,000. `seed` decides the
/// subsets. `None` if a set has fewer than four images.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub fn kid(
    generated: &FeatureTable,
    real: &FeatureTable,
    seed: u64,
    device: &Device,
) -> Result<Option<Kid>, ComputeError> {
    let size = SUBSET_SIZE.min(generated.len().min(real.len()) / 2);
    if size < 2 {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(SUBSETS);
    for number in 0..SUBSETS as u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let mut subset = |table: &FeatureTable| {
            let rows = index::sample(&mut rng, table.len(), size);
            FeatureTable::new(rows.iter().flat_map(|row| table.row(row)).copied().collect(), table.width())
        };
        values.push(discrepancy(&subset(generated), &subset(real), device)?);
    }
    let mean = values.iter().sum::<f64>() / SUBSETS as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / SUBSETS as f64;
    Ok(Some(Kid { mean, deviation: variance.sqrt(), subsets: SUBSETS, size }))
}

/// The unbiased squared maximum mean discrepancy of two tables with as many rows.
fn discrepancy(a: &FeatureTable, b: &FeatureTable, device: &Device) -> Result<f64, ComputeError> {
    let (size, width) = (a.len(), a.width() as f64);
    let kernel = |product: f32| (f64::from(product) / width + 1.0).powi(3);
    let within = |table: &FeatureTable| -> Result<f64, ComputeError> {
        let all = products(table, table, device)?;
        let pairs = all.iter().enumerate().filter(|(i, _)| i / size != i % size);
        Ok(pairs.map(|(_, &product)| kernel(product)).sum::<f64>() / (size * (size - 1)) as f64)
    };
    let across = products(a, b, device)?.into_iter().map(kernel).sum::<f64>() / (size * size) as f64;
    Ok(within(a)? + within(b)? - 2.0 * across)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sample_z;
    use crate::model::Prior;

    fn normal(seed: u64, rows: u64, width: usize) -> Vec<Vec<f32>> {
        (0..rows).map(|i| sample_z(Prior::Normal, width, seed, i)).collect()
    }

    #[test]
    fn fid_of_known_normal_distributions_is_the_closed_form() {
        // Covariances that do not commute: S1 = [[2, 1], [1, 2]], S2 = diag(1, 4). tr sqrt(S1 S2) is
        // sqrt(tr(S1 S2) + 2 sqrt(det(S1 S2))) for 2x2, with tr = 10 and det = 12.
        let gaussian = |mean: [f64; 2], covariance: [f64; 4]| Gaussian {
            mean: mean.to_vec(),
            covariance: Mat::from_fn(2, 2, |i, j| covariance[2 * i + j]),
        };
        let (a, b) = (gaussian([1.0, 2.0], [2.0, 1.0, 1.0, 2.0]), gaussian([4.0, -2.0], [1.0, 0.0, 0.0, 4.0]));
        let expected = 25.0 + 4.0 + 5.0 - 2.0 * (10.0 + 2.0 * 12f64.sqrt()).sqrt();
        assert!((FidReference::new(a.clone()).distance(&b) - expected).abs() < 1e-10);
        assert!((FidReference::new(b).distance(&a) - expected).abs() < 1e-10);
        assert!(FidReference::new(a.clone()).distance(&a).abs() < 1e-10);
        // A singular covariance.
        let flat = gaussian([1.0, 2.0], [1.0, 1.0, 1.0, 1.0]);
        // S1 S = [[3, 3], [3, 3]], whose root has the trace sqrt(6).
        let distance = FidReference::new(flat).distance(&a);
        assert!((distance - (2.0 + 4.0 - 2.0 * 6f64.sqrt())).abs() < 1e-7, "{distance}");
    }

    #[test]
    fn mean_and_covariance_are_those_of_the_rows() {
        let rows = normal(3, 1500, 3);
        let gaussian = Gaussian::of(&FeatureTable::new(rows.concat(), 3));
        let mean = |i: usize| rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / 1500.0;
        for (i, j) in [(0, 0), (0, 2), (2, 1)] {
            let products = rows.iter().map(|row| (f64::from(row[i]) - mean(i)) * (f64::from(row[j]) - mean(j)));
            assert!((gaussian.covariance[(i, j)] - products.sum::<f64>() / 1499.0).abs() < 1e-9);
        }
        assert!((gaussian.mean[1] - mean(1)).abs() < 1e-12);
    }

    #[test]
    fn kid_is_the_formula_by_hand_and_the_seed_decides_its_subsets() {
        let device = Device::flex();
        let (a, b) = (normal(1, 7, 4), normal(2, 7, 4));
        let k = |x: &[f32], y: &[f32]| {
            let product: f64 = x.iter().zip(y).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            (product / 4.0 + 1.0).powi(3)
        };
        let within = |rows: &[Vec<f32>]| {
            let pairs = (0..7).flat_map(|i| (0..7).map(move |j| (i, j))).filter(|(i, j)| i != j);
            pairs.map(|(i, j)| k(&rows[i], &rows[j])).sum::<f64>() / 42.0
        };
        let across = a.iter().flat_map(|x| b.iter().map(|y| k(x, y))).sum::<f64>() / 49.0;
        let expected = within(&a) + within(&b) - 2.0 * across;
        let [a, b] = [a, b].map(|rows| FeatureTable::new(rows.concat(), 4));
        assert!((discrepancy(&a, &b, &device).unwrap() - expected).abs() < 1e-5);
        let estimate = kid(&a, &b, 1, &device).unwrap().unwrap();
        assert_eq!((estimate.subsets, estimate.size), (100, 3));
        assert_eq!(Some(estimate), kid(&a, &b, 1, &device).unwrap());
        assert_ne!(Some(estimate), kid(&a, &b, 2, &device).unwrap());
        // Random subsets have the discrepancy of the whole sets on average.
        assert!((estimate.mean - expected).abs() < 4.0 * estimate.deviation / 10.0 + 1e-9, "{estimate:?} {expected}");
        assert_eq!(kid(&FeatureTable::new(vec![0.0; 12], 4), &b, 1, &device).unwrap(), None, "three are too few");
    }
}
