//! [`SetMetrics`]: generated against real images in one feature space, by sliced Wasserstein distance, kernel distance, precision,
//! recall, density and coverage.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;

use super::statistics::{self, Estimate};
use super::table::{FeatureTable, dot, products};
use crate::device::ComputeError;

/// Random directions of the sliced distance.
const DIRECTIONS: usize = 128;
/// A point's ball reaches to its k-th nearest neighbor (Naeem et al. 2020).
pub const NEIGHBOR: usize = 5;
/// Bootstrap resamples of the distances.
const RESAMPLES: usize = 400;

/// Metrics of a generated set against a real one, with 95 % intervals.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SetMetrics {
    /// Sliced Wasserstein distance (Bonneel et al. 2015): the root of the mean squared W2 distance between the sets' projections on
    /// random directions. Above zero even for two sets of one distribution, since they are finite.
    pub sliced: Estimate,
    /// Kernel distance (Binkowski et al. 2018): the unbiased squared maximum mean discrepancy with the kernel
    /// `(x.y / width + 1)^3`. Zero on average for two sets of one distribution; it can be negative.
    pub kernel: Estimate,
    /// Share of generated images within a real image's ball: do they look real (Kynkaanniemi et al. 2019)?
    pub precision: Estimate,
    /// Share of real images within a generated image's ball: can the generator reach them?
    pub recall: Estimate,
    /// Real balls that contain a generated image, relative to the expected number: precision that is robust to outliers (Naeem
    /// et al. 2020).
    pub density: Estimate,
    /// Share of real images whose ball contains a generated image.
    pub coverage: Estimate,
}

/// Compares equally many generated and real images by their features; `seed` decides directions and resamples.
///
/// The intervals bootstrap over images; for the shares and the density over the images that are counted, with the other set's
/// balls fixed.
///
/// # Errors
/// [`ComputeError`] when the device fails.
///
/// # Panics
/// If the sets differ in size, or have no more than five images.
pub fn compare(
    generated: &FeatureTable,
    real: &FeatureTable,
    seed: u64,
    device: &Device,
) -> Result<SetMetrics, ComputeError> {
    let count = generated.len();
    assert!(count == real.len() && count > NEIGHBOR, "{count} generated and {} real images", real.len());
    let within_generated = products(generated, generated, device)?;
    let within_real = products(real, real, device)?;
    let across = products(generated, real, device)?;
    let [norms_generated, norms_real] =
        [&within_generated, &within_real].map(|all| -> Vec<f32> { (0..count).map(|i| all[i * count + i]).collect() });
    let radii =
        |all: &[f32]| -> Vec<f32> { (0..count).into_par_iter().map(|i| squared_radius(all, count, i)).collect() };
    let (radii_generated, radii_real) = (radii(&within_generated), radii(&within_real));
    // Squared distance of a generated image to a real one.
    let distance = |i: usize, j: usize| norms_generated[i] + norms_real[j] - 2.0 * across[i * count + j];
    let each = |of: &(dyn Fn(usize) -> f64 + Sync)| -> Vec<f64> { (0..count).into_par_iter().map(of).collect() };
    let balls = each(&|i| (0..count).filter(|&j| distance(i, j) <= radii_real[j]).count() as f64);
    let recalled = each(&|j| f64::from(u8::from((0..count).any(|i| distance(i, j) <= radii_generated[i]))));
    let covered = each(&|j| f64::from(u8::from((0..count).any(|i| distance(i, j) <= radii_real[j]))));
    let precise: Vec<f64> = balls.iter().map(|&balls| f64::from(u8::from(balls > 0.0))).collect();
    let dense: Vec<f64> = balls.iter().map(|&balls| balls / NEIGHBOR as f64).collect();
    let mean = |values: &[f64]| statistics::bootstrap_mean(values, seed).expect("the sets are not empty");
    Ok(SetMetrics {
        sliced: sliced_wasserstein(generated, real, seed, device)?,
        kernel: kernel_distance([within_generated, within_real, across], count, generated.width(), seed),
        precision: mean(&precise),
        recall: mean(&recalled),
        density: mean(&dense),
        coverage: mean(&covered),
    })
}

/// The squared distance of point `i` to its fifth nearest neighbor within its set.
fn squared_radius(products: &[f32], count: usize, i: usize) -> f32 {
    let square = |j: usize| products[i * count + i] + products[j * count + j] - 2.0 * products[i * count + j];
    let mut squares: Vec<f32> = (0..count).filter(|&j| j != i).map(square).collect();
    *squares.select_nth_unstable_by(NEIGHBOR - 1, f32::total_cmp).1
}

/// How often each image occurs in each bootstrap resample.
fn resamples(count: usize, seed: u64) -> Vec<Vec<f32>> {
    let one = |number: usize| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number as u64);
        let mut times = vec![0.0; count];
        (0..count).for_each(|_| times[rng.random_range(0..count)] += 1.0);
        times
    };
    (0..RESAMPLES).into_par_iter().map(one).collect()
}

/// A distance with 1.96 bootstrap standard errors to each side. Percentiles would be biased: resampled sets contain images twice,
/// which increases distances.
fn with_standard_error(value: f64, resampled: &[f64]) -> Estimate {
    let mean = resampled.iter().sum::<f64>() / resampled.len() as f64;
    let variance = resampled.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (resampled.len() - 1) as f64;
    let half = 1.96 * variance.sqrt();
    Estimate { value, low: value - half, high: value + half }
}

/// Of the products within the generated set, within the real set, and across.
fn kernel_distance(products: [Vec<f32>; 3], count: usize, width: usize, seed: u64) -> Estimate {
    let [generated, real, across] = products.map(|mut products| {
        products.par_iter_mut().for_each(|value| *value = (*value / width as f32 + 1.0).powi(3));
        products
    });
    // The mean over pairs of different images, weighted by how often the resample has them.
    let mean_within = |kernel: &[f32], times: &[f32]| {
        let (mut sum, mut pairs) = (0.0f64, 0.0f64);
        for (i, row) in kernel.chunks_exact(count).enumerate().filter(|(i, _)| times[*i] > 0.0) {
            let own = times[i];
            sum += f64::from(own * (dot(row, times) - own * row[i]));
            pairs += f64::from(own * (count as f32 - own));
        }
        sum / pairs.max(1.0)
    };
    let mean_across = |a: &[f32], b: &[f32]| {
        let rows = across.chunks_exact(count).zip(a);
        rows.map(|(row, &times)| f64::from(times * dot(row, b))).sum::<f64>() / (count * count) as f64
    };
    let distance = |a: &[f32], b: &[f32]| mean_within(&generated, a) + mean_within(&real, b) - 2.0 * mean_across(a, b);
    let once = vec![1.0; count];
    let (a, b) = (resamples(count, seed), resamples(count, !seed));
    let resampled: Vec<f64> = a.par_iter().zip(&b).map(|(a, b)| distance(a, b)).collect();
    with_standard_error(distance(&once, &once), &resampled)
}

fn sliced_wasserstein(
    generated: &FeatureTable,
    real: &FeatureTable,
    seed: u64,
    device: &Device,
) -> Result<Estimate, ComputeError> {
    let (count, width) = (generated.len(), generated.width());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<f32> = (0..DIRECTIONS * width).map(|_| rng.sample(StandardNormal)).collect();
    for direction in directions.chunks_exact_mut(width) {
        let length = dot(direction, direction).sqrt();
        direction.iter_mut().for_each(|value| *value /= length);
    }
    let directions = FeatureTable::new(directions, width);
    // A set's projections on each direction in ascending order, with the image's index.
    let projections = |table: &FeatureTable| -> Result<Vec<Vec<(f32, usize)>>, ComputeError> {
        let all = products(&directions, table, device)?;
        let sorted = |row: &[f32]| {
            let mut projection: Vec<_> = row.iter().copied().zip(0..).collect();
            projection.sort_by(|a, b| a.0.total_cmp(&b.0));
            projection
        };
        Ok(all.par_chunks_exact(count).map(sorted).collect())
    };
    let (generated, real) = (projections(generated)?, projections(real)?);
    let resample = |projection: &[(f32, usize)], times: &[f32]| -> Vec<f32> {
        projection.iter().flat_map(|&(value, i)| std::iter::repeat_n(value, times[i] as usize)).collect()
    };
    let distance = |a: &[f32], b: &[f32]| {
        let squares = generated.iter().zip(&real).map(|(generated, real)| {
            let pairs = resample(generated, a).into_iter().zip(resample(real, b));
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / count as f64
        });
        (squares.sum::<f64>() / DIRECTIONS as f64).sqrt()
    };
    let once = vec![1.0; count];
    let (a, b) = (resamples(count, seed), resamples(count, !seed));
    let resampled: Vec<f64> = a.par_iter().zip(&b).map(|(a, b)| distance(a, b)).collect();
    let Estimate { value, low, high } = with_standard_error(distance(&once, &once), &resampled);
    Ok(Estimate { value, low: low.max(0.0), high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sample_z;
    use crate::model::Prior;

    /// Normally distributed points, shifted and scaled.
    fn points(seed: u64, shift: f32, scale: f32) -> FeatureTable {
        let all = (0..300).flat_map(|i| sample_z(Prior::Normal, 12, seed, i));
        FeatureTable::new(all.map(|value| value * scale + shift).collect(), 12)
    }

    #[test]
    fn metrics_tell_equal_distributions_from_shifted_and_collapsed_ones() {
        let device = Device::flex();
        let real = points(1, 0.0, 1.0);
        let same = compare(&points(2, 0.0, 1.0), &real, 1, &device).unwrap();
        assert!(same.kernel.low < 0.0 && same.kernel.high > 0.0, "{same:?}");
        assert!(same.sliced.value < 0.25, "{same:?}");
        assert!(same.precision.value > 0.6 && same.recall.value > 0.6 && same.coverage.value > 0.8, "{same:?}");
        assert!((same.density.value - 1.0).abs() < 0.3, "{same:?}");
        // Shifted by 1.5 along all coordinates: by 1.5 in root mean square along a random direction.
        let shifted = compare(&points(2, 1.5, 1.0), &real, 1, &device).unwrap();
        assert!((shifted.sliced.value - 1.5).abs() < 0.3, "{shifted:?}");
        assert!(shifted.kernel.low > 0.0 && shifted.coverage.value < 0.2, "{shifted:?}");
        assert!(shifted.sliced.low <= shifted.sliced.value && shifted.sliced.value <= shifted.sliced.high);
        // All samples nearly the same: they look real, and cover little of the real set.
        let collapsed = compare(&points(2, 0.0, 0.05), &real, 1, &device).unwrap();
        assert!(collapsed.precision.value > 0.99 && collapsed.recall.value < 0.05, "{collapsed:?}");
    }

    #[test]
    fn kernel_distance_is_the_formula_by_hand() {
        let (a, b) = ([[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]], [[0.0f32, 0.0], [2.0, 0.0], [0.0, 0.0]]);
        let k = |x: [f32; 2], y: [f32; 2]| f64::from((x[0] * y[0] + x[1] * y[1]) / 2.0 + 1.0).powi(3);
        let within = |of: &[[f32; 2]; 3]| {
            let pairs = (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).filter(|(i, j)| i != j);
            pairs.map(|(i, j)| k(of[i], of[j])).sum::<f64>() / 6.0
        };
        let across: f64 = a.iter().flat_map(|&x| b.iter().map(move |&y| k(x, y))).sum::<f64>() / 9.0;
        let expected = within(&a) + within(&b) - 2.0 * across;
        let device = Device::flex();
        let [a, b] = [a, b].map(|points| FeatureTable::new(points.concat(), 2));
        let all = [(&a, &a), (&b, &b), (&a, &b)].map(|(a, b)| products(a, b, &device).unwrap());
        let estimate = kernel_distance(all, 3, 2, 1);
        assert!((estimate.value - expected).abs() < 1e-5, "{estimate:?} {expected}");
    }
}
