//! How far what a generator draws is from real pictures, as sets of points of a space that is named: sliced Wasserstein
//! distance, kernel distance, and precision, recall, density and coverage.

use burn::tensor::Device;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;

use super::features::products;
use super::statistics::{self, Estimate};
use super::svm::{Table, dot};
use crate::latent::DrawError;

/// Directions that the sliced distance is a mean over.
const DIRECTIONS: usize = 128;
/// The neighbour that a point's ball reaches to (Naeem et al. 2020).
pub const NEIGHBOUR: usize = 5;
/// Resamples of the bootstrap of distances.
const RESAMPLES: usize = 400;

/// How far two sets are apart, with 95 % intervals.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measures {
    /// Sliced Wasserstein distance: the root of the mean over random directions of the squared distance W2 between the
    /// sets' shadows on them (Bonneel et al. 2015). Not zero even for sets of one kind, since they are finite.
    pub sliced: Estimate,
    /// Kernel distance (Binkowski et al. 2018): the unbiased squared mean discrepancy with the kernel (x.y / width + 1)^3,
    /// so that sets of one kind give zero on average, and values below zero occur.
    pub kernel: Estimate,
    /// Share of the drawn pictures within the real ones' balls: do they look real (Kynkaanniemi et al. 2019)?
    pub precision: Estimate,
    /// Share of the real pictures within the drawn ones' balls: can all be drawn?
    pub recall: Estimate,
    /// Real balls that a drawn picture is in, by the number that is expected: as precision, but not fooled by outliers
    /// (Naeem et al. 2020).
    pub density: Estimate,
    /// Share of the real pictures in whose ball a drawn one is.
    pub coverage: Estimate,
}

/// Compares drawn with real pictures, as many of each, by their features; `seed` decides directions and resamples.
///
/// Intervals are of the bootstrap over pictures; for the shares and the density over the pictures that are asked about, the
/// balls of the others taken as they are.
///
/// # Errors
/// [`DrawError`] when the device fails.
///
/// # Panics
/// If there are not as many of each, more than five.
pub fn compare(drawn: &Table, real: &Table, seed: u64, device: &Device) -> Result<Measures, DrawError> {
    let count = drawn.len();
    assert!(count == real.len() && count > NEIGHBOUR, "{count} drawn and {} real pictures", real.len());
    let among_drawn = products(drawn, drawn, device)?;
    let among_real = products(real, real, device)?;
    let between = products(drawn, real, device)?;
    let [square_drawn, square_real] =
        [&among_drawn, &among_real].map(|all| -> Vec<f32> { (0..count).map(|i| all[i * count + i]).collect() });
    let balls = |all: &[f32]| -> Vec<f32> { (0..count).into_par_iter().map(|i| radius(all, count, i)).collect() };
    let (of_drawn, of_real) = (balls(&among_drawn), balls(&among_real));
    let square = |i: usize, j: usize| square_drawn[i] + square_real[j] - 2.0 * between[i * count + j];
    let rows = |of: &(dyn Fn(usize) -> f64 + Sync)| -> Vec<f64> { (0..count).into_par_iter().map(of).collect() };
    let holding = rows(&|i| (0..count).filter(|&j| square(i, j) <= of_real[j]).count() as f64);
    let recalled = rows(&|j| f64::from(u8::from((0..count).any(|i| square(i, j) <= of_drawn[i]))));
    let covered = rows(&|j| f64::from(u8::from((0..count).any(|i| square(i, j) <= of_real[j]))));
    let within: Vec<f64> = holding.iter().map(|&balls| f64::from(u8::from(balls > 0.0))).collect();
    let dense: Vec<f64> = holding.iter().map(|&balls| balls / NEIGHBOUR as f64).collect();
    let mean = |values: &[f64]| statistics::mean(values, seed).expect("there are pictures");
    Ok(Measures {
        sliced: sliced(drawn, real, seed, device)?,
        kernel: kernel([among_drawn, among_real, between], count, drawn.width(), seed),
        precision: mean(&within),
        recall: mean(&recalled),
        density: mean(&dense),
        coverage: mean(&covered),
    })
}

/// The squared distance of point `i` to its fifth nearest of the same set.
fn radius(products: &[f32], count: usize, i: usize) -> f32 {
    let square = |j: usize| products[i * count + i] + products[j * count + j] - 2.0 * products[i * count + j];
    let mut squares: Vec<f32> = (0..count).filter(|&j| j != i).map(square).collect();
    *squares.select_nth_unstable_by(NEIGHBOUR - 1, f32::total_cmp).1
}

/// How often each picture is in each resample.
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

/// A value with 1.96 standard errors of the bootstrap to each side. Not its percentiles: resampled sets have pictures twice,
/// which adds to distances.
fn sure(value: f64, resampled: &[f64]) -> Estimate {
    let mean = resampled.iter().sum::<f64>() / resampled.len() as f64;
    let variance = resampled.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (resampled.len() - 1) as f64;
    let half = 1.96 * variance.sqrt();
    Estimate { value, low: value - half, high: value + half }
}

fn kernel(products: [Vec<f32>; 3], count: usize, width: usize, seed: u64) -> Estimate {
    let [drawn, real, between] = products.map(|mut products| {
        products.par_iter_mut().for_each(|value| *value = (*value / width as f32 + 1.0).powi(3));
        products
    });
    // The mean over pairs of different pictures, each counted as often as it is there.
    let inside = |kernel: &[f32], times: &[f32]| {
        let (mut sum, mut pairs) = (0.0f64, 0.0f64);
        for (i, row) in kernel.chunks_exact(count).enumerate().filter(|(i, _)| times[*i] > 0.0) {
            let own = times[i];
            sum += f64::from(own * (dot(row, times) - own * row[i]));
            pairs += f64::from(own * (count as f32 - own));
        }
        sum / pairs.max(1.0)
    };
    let across = |a: &[f32], b: &[f32]| {
        let rows = between.chunks_exact(count).zip(a);
        rows.map(|(row, &times)| f64::from(times * dot(row, b))).sum::<f64>() / (count * count) as f64
    };
    let distance = |a: &[f32], b: &[f32]| inside(&drawn, a) + inside(&real, b) - 2.0 * across(a, b);
    let once = vec![1.0; count];
    let (a, b) = (resamples(count, seed), resamples(count, !seed));
    let resampled: Vec<f64> = a.par_iter().zip(&b).map(|(a, b)| distance(a, b)).collect();
    sure(distance(&once, &once), &resampled)
}

fn sliced(drawn: &Table, real: &Table, seed: u64, device: &Device) -> Result<Estimate, DrawError> {
    let (count, width) = (drawn.len(), drawn.width());
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut directions: Vec<f32> = (0..DIRECTIONS * width).map(|_| rng.sample(StandardNormal)).collect();
    for direction in directions.chunks_exact_mut(width) {
        let length = dot(direction, direction).sqrt();
        direction.iter_mut().for_each(|value| *value /= length);
    }
    let directions = Table::new(directions, width);
    // Each set's shadow on each direction, from one end to the other, with the picture's number.
    let shadows = |table: &Table| -> Result<Vec<Vec<(f32, usize)>>, DrawError> {
        let all = products(&directions, table, device)?;
        let sorted = |row: &[f32]| {
            let mut shadow: Vec<_> = row.iter().copied().zip(0..).collect();
            shadow.sort_by(|a, b| a.0.total_cmp(&b.0));
            shadow
        };
        Ok(all.par_chunks_exact(count).map(sorted).collect())
    };
    let (drawn, real) = (shadows(drawn)?, shadows(real)?);
    let repeated = |shadow: &[(f32, usize)], times: &[f32]| -> Vec<f32> {
        shadow.iter().flat_map(|&(value, i)| std::iter::repeat_n(value, times[i] as usize)).collect()
    };
    let distance = |a: &[f32], b: &[f32]| {
        let squares = drawn.iter().zip(&real).map(|(drawn, real)| {
            let pairs = repeated(drawn, a).into_iter().zip(repeated(real, b));
            pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>() / count as f64
        });
        (squares.sum::<f64>() / DIRECTIONS as f64).sqrt()
    };
    let once = vec![1.0; count];
    let (a, b) = (resamples(count, seed), resamples(count, !seed));
    let resampled: Vec<f64> = a.par_iter().zip(&b).map(|(a, b)| distance(a, b)).collect();
    let Estimate { value, low, high } = sure(distance(&once, &once), &resampled);
    Ok(Estimate { value, low: low.max(0.0), high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::numbered;
    use crate::model::Prior;

    /// Normal points, moved and stretched.
    fn points(seed: u64, shift: f32, stretch: f32) -> Table {
        let all = (0..300).flat_map(|i| numbered(Prior::Normal, 12, seed, i));
        Table::new(all.map(|value| value * stretch + shift).collect(), 12)
    }

    #[test]
    fn sets_of_one_kind_are_near_and_others_are_as_far_as_they_are() {
        let device = Device::flex();
        let real = points(1, 0.0, 1.0);
        let same = compare(&points(2, 0.0, 1.0), &real, 1, &device).unwrap();
        assert!(same.kernel.low < 0.0 && same.kernel.high > 0.0, "{same:?}");
        assert!(same.sliced.value < 0.25, "{same:?}");
        assert!(same.precision.value > 0.6 && same.recall.value > 0.6 && same.coverage.value > 0.8, "{same:?}");
        assert!((same.density.value - 1.0).abs() < 0.3, "{same:?}");
        // Moved by 1.5 along all coordinates: along a random direction by 1.5 in the root mean square.
        let moved = compare(&points(2, 1.5, 1.0), &real, 1, &device).unwrap();
        assert!((moved.sliced.value - 1.5).abs() < 0.3, "{moved:?}");
        assert!(moved.kernel.low > 0.0 && moved.coverage.value < 0.2, "{moved:?}");
        assert!(moved.sliced.low <= moved.sliced.value && moved.sliced.value <= moved.sliced.high);
        // All samples alike: they look real, and show little of what there is.
        let alike = compare(&points(2, 0.0, 0.05), &real, 1, &device).unwrap();
        assert!(alike.precision.value > 0.99 && alike.recall.value < 0.05, "{alike:?}");
    }

    #[test]
    fn the_kernel_distance_is_the_one_by_hand() {
        let (a, b) = ([[1.0f32, 0.0], [0.0, 1.0], [1.0, 1.0]], [[0.0f32, 0.0], [2.0, 0.0], [0.0, 0.0]]);
        let k = |x: [f32; 2], y: [f32; 2]| f64::from((x[0] * y[0] + x[1] * y[1]) / 2.0 + 1.0).powi(3);
        let inside = |of: &[[f32; 2]; 3]| {
            let pairs = (0..3).flat_map(|i| (0..3).map(move |j| (i, j))).filter(|(i, j)| i != j);
            pairs.map(|(i, j)| k(of[i], of[j])).sum::<f64>() / 6.0
        };
        let between: f64 = a.iter().flat_map(|&x| b.iter().map(move |&y| k(x, y))).sum::<f64>() / 9.0;
        let expected = inside(&a) + inside(&b) - 2.0 * between;
        let device = Device::flex();
        let [a, b] = [a, b].map(|points| Table::new(points.concat(), 2));
        let all = [(&a, &a), (&b, &b), (&a, &b)].map(|(a, b)| products(a, b, &device).unwrap());
        let told = kernel(all, 3, 2, 1);
        assert!((told.value - expected).abs() < 1e-5, "{told:?} {expected}");
    }
}
