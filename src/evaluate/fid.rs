//! Distances in the published convention, by the features of Inception: FID (Heusel et al. 2017) and KID (Binkowski et al.
//! 2018).

use burn::tensor::{Device, Tensor, TensorData};
use nalgebra::{DMatrix, DVector};
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::error::MeasureError;
use super::features::products;
use super::svm::Table;
use crate::image::Picture;
use crate::latent::{DrawError, read};
use crate::model::{FEATURES, Inception};
use crate::progress::Cancelled;

/// Pictures that go through the network at a time: at 299x299 its first maps are a gigabyte for 160 of them.
const BATCH: usize = 16;
/// Rows that a covariance is summed over at a time.
const ROWS: usize = 1024;
/// Subsets that KID is a mean over, and pictures of each.
const SUBSETS: usize = 100;
const SUBSET: usize = 1000;
/// With fewer pictures than features the covariance is singular, and FID much too large.
pub const FEWEST: usize = FEATURES;
/// As many as published numbers are of at the least.
pub const USUAL: usize = 10_000;

/// Inception's features `[pictures, 2048]` of pictures of one size. `progress` is called with the number done.
///
/// # Errors
/// [`MeasureError`]: the device fails, or `progress` cancels.
pub fn features(
    network: &Inception,
    pictures: &[Picture],
    device: &Device,
    progress: &mut dyn FnMut(usize) -> Result<(), Cancelled>,
) -> Result<Table, MeasureError> {
    let mut features = Vec::with_capacity(pictures.len() * FEATURES);
    let mut done = 0;
    for part in pictures.chunks(BATCH) {
        features.extend(read(network.features(tensor(part, device)))?);
        done += part.len();
        progress(done)?;
    }
    Ok(Table::new(features, FEATURES))
}

/// Values `[pictures, 3, height, width]` in [0, 1].
fn tensor(pictures: &[Picture], device: &Device) -> Tensor<4> {
    let [height, width] = pictures.first().map_or([0, 0], |picture| [picture.height(), picture.width()]);
    let plane = |rgb: &[u8], channel: usize| -> Vec<f32> {
        rgb.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte) / 255.0).collect()
    };
    let values = pictures.iter().flat_map(|picture| {
        let rgb = picture.to_rgb();
        [0, 1, 2].map(|channel| plane(&rgb, channel)).concat()
    });
    let values: Vec<f32> = values.collect();
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, height, width]), device)
}

/// The normal distribution that some rows of features are taken for.
#[derive(Debug, Clone)]
pub struct Gaussian {
    mean: DVector<f64>,
    covariance: DMatrix<f64>,
}

impl Gaussian {
    /// The mean and the unbiased covariance of a table of two rows at least.
    pub fn of(table: &Table) -> Self {
        let (count, width) = (table.len(), table.width());
        let mut mean = DVector::zeros(width);
        for row in table.rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean /= count.max(1) as f64;
        let mut covariance = DMatrix::zeros(width, width);
        for first in (0..count).step_by(ROWS) {
            let rows = ROWS.min(count - first);
            let centred = DMatrix::from_fn(width, rows, |i, row| f64::from(table.row(first + row)[i]) - mean[i]);
            covariance.gemm(1.0, &centred, &centred.transpose(), 1.0);
        }
        covariance /= count.saturating_sub(1).max(1) as f64;
        Self { mean, covariance }
    }
}

/// What others are compared with.
#[derive(Debug, Clone)]
pub struct Reference {
    gaussian: Gaussian,
    /// The root of its covariance.
    root: DMatrix<f64>,
}

impl Reference {
    /// Takes the root of the covariance: some ten seconds for Inception's features.
    pub fn new(gaussian: Gaussian) -> Self {
        if !gaussian.covariance.sum().is_finite() {
            // No root is found of what is no number, however long it is looked for.
            return Self { root: gaussian.covariance.clone(), gaussian };
        }
        let eigen = gaussian.covariance.clone().symmetric_eigen();
        let mut scaled = eigen.eigenvectors.clone();
        for (mut column, value) in scaled.column_iter_mut().zip(&eigen.eigenvalues) {
            // Rounding makes the zeros of a singular covariance negative.
            column *= value.max(0.0).sqrt();
        }
        let root = scaled * eigen.eigenvectors.transpose();
        Self { gaussian, root }
    }

    /// The squared Frechet distance to another normal distribution, which is what FID is:
    /// `|m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2)`. No number where a feature is none.
    pub fn distance(&self, other: &Gaussian) -> f64 {
        let inner = &self.root * &other.covariance * &self.root;
        // The product is symmetric but for rounding.
        let inner = (&inner + inner.transpose()) / 2.0;
        if !inner.sum().is_finite() {
            return f64::NAN;
        }
        let roots: f64 = inner.symmetric_eigenvalues().iter().map(|value| value.max(0.0).sqrt()).sum();
        let means = (&self.gaussian.mean - &other.mean).norm_squared();
        means + self.gaussian.covariance.trace() + other.covariance.trace() - 2.0 * roots
    }
}

/// KID, with what it was taken from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Kid {
    /// The mean over subsets of the unbiased squared mean discrepancy with the kernel (x.y / width + 1)^3.
    pub mean: f64,
    /// The subsets' standard deviation.
    pub deviation: f64,
    /// How many subsets.
    pub subsets: usize,
    /// Pictures in each, drawn and real ones.
    pub size: usize,
}

/// KID of as many drawn and real pictures, by 100 subsets of 1,000, or of half of them where there are fewer than 2,000;
/// `seed` picks the subsets. None of fewer than four.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn kid(drawn: &Table, real: &Table, seed: u64, device: &Device) -> Result<Option<Kid>, DrawError> {
    let size = SUBSET.min(drawn.len().min(real.len()) / 2);
    if size < 2 {
        return Ok(None);
    }
    let mut values = Vec::with_capacity(SUBSETS);
    for number in 0..SUBSETS as u64 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let mut subset = |table: &Table| {
            let rows = index::sample(&mut rng, table.len(), size);
            Table::new(rows.iter().flat_map(|row| table.row(row)).copied().collect(), table.width())
        };
        values.push(discrepancy(&subset(drawn), &subset(real), device)?);
    }
    let mean = values.iter().sum::<f64>() / SUBSETS as f64;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / SUBSETS as f64;
    Ok(Some(Kid { mean, deviation: variance.sqrt(), subsets: SUBSETS, size }))
}

/// The unbiased squared mean discrepancy of as many rows of each.
fn discrepancy(a: &Table, b: &Table, device: &Device) -> Result<f64, DrawError> {
    let (size, width) = (a.len(), a.width() as f64);
    let kernel = |product: f32| (f64::from(product) / width + 1.0).powi(3);
    let inside = |table: &Table| -> Result<f64, DrawError> {
        let all = products(table, table, device)?;
        let pairs = all.iter().enumerate().filter(|(i, _)| i / size != i % size);
        Ok(pairs.map(|(_, &product)| kernel(product)).sum::<f64>() / (size * (size - 1)) as f64)
    };
    let across = products(a, b, device)?.into_iter().map(kernel).sum::<f64>() / (size * size) as f64;
    Ok(inside(a)? + inside(b)? - 2.0 * across)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::numbered;
    use crate::model::Prior;

    fn normal(seed: u64, rows: u64, width: usize) -> Vec<Vec<f32>> {
        (0..rows).map(|i| numbered(Prior::Normal, width, seed, i)).collect()
    }

    #[test]
    fn the_distance_of_known_normal_distributions_is_the_one_in_closed_form() {
        // Covariances that do not commute: S1 = [[2, 1], [1, 2]], S2 = diag(1, 4). tr sqrt(S1 S2) is
        // sqrt(tr(S1 S2) + 2 sqrt(det(S1 S2))) for 2x2, with tr = 10 and det = 12.
        let gaussian = |mean: [f64; 2], covariance: [f64; 4]| Gaussian {
            mean: DVector::from_row_slice(&mean),
            covariance: DMatrix::from_row_slice(2, 2, &covariance),
        };
        let (a, b) = (gaussian([1.0, 2.0], [2.0, 1.0, 1.0, 2.0]), gaussian([4.0, -2.0], [1.0, 0.0, 0.0, 4.0]));
        let expected = 25.0 + 4.0 + 5.0 - 2.0 * (10.0 + 2.0 * 12f64.sqrt()).sqrt();
        assert!((Reference::new(a.clone()).distance(&b) - expected).abs() < 1e-10);
        assert!((Reference::new(b).distance(&a) - expected).abs() < 1e-10);
        assert!(Reference::new(a.clone()).distance(&a).abs() < 1e-10);
        // A singular one.
        let flat = gaussian([1.0, 2.0], [1.0, 1.0, 1.0, 1.0]);
        // S1 S = [[3, 3], [3, 3]], whose root has the trace sqrt(6).
        let told = Reference::new(flat).distance(&a);
        assert!((told - (2.0 + 4.0 - 2.0 * 6f64.sqrt())).abs() < 1e-7, "{told}");
    }

    #[test]
    fn mean_and_covariance_are_those_of_the_rows() {
        let rows = normal(3, 1500, 3);
        let told = Gaussian::of(&Table::new(rows.concat(), 3));
        let mean = |i: usize| rows.iter().map(|row| f64::from(row[i])).sum::<f64>() / 1500.0;
        for (i, j) in [(0, 0), (0, 2), (2, 1)] {
            let products = rows.iter().map(|row| (f64::from(row[i]) - mean(i)) * (f64::from(row[j]) - mean(j)));
            assert!((told.covariance[(i, j)] - products.sum::<f64>() / 1499.0).abs() < 1e-9);
        }
        assert!((told.mean[1] - mean(1)).abs() < 1e-12);
    }

    #[test]
    fn kid_is_the_naive_formula_and_its_subsets_are_of_the_seed() {
        let device = Device::flex();
        let (a, b) = (normal(1, 7, 4), normal(2, 7, 4));
        let k = |x: &[f32], y: &[f32]| {
            let product: f64 = x.iter().zip(y).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            (product / 4.0 + 1.0).powi(3)
        };
        let inside = |rows: &[Vec<f32>]| {
            let pairs = (0..7).flat_map(|i| (0..7).map(move |j| (i, j))).filter(|(i, j)| i != j);
            pairs.map(|(i, j)| k(&rows[i], &rows[j])).sum::<f64>() / 42.0
        };
        let across = a.iter().flat_map(|x| b.iter().map(|y| k(x, y))).sum::<f64>() / 49.0;
        let expected = inside(&a) + inside(&b) - 2.0 * across;
        let [a, b] = [a, b].map(|rows| Table::new(rows.concat(), 4));
        assert!((discrepancy(&a, &b, &device).unwrap() - expected).abs() < 1e-5);
        let told = kid(&a, &b, 1, &device).unwrap().unwrap();
        assert_eq!((told.subsets, told.size), (100, 3));
        assert_eq!(Some(told), kid(&a, &b, 1, &device).unwrap());
        assert_ne!(Some(told), kid(&a, &b, 2, &device).unwrap());
        // Subsets that are drawn at random have the whole's discrepancy on average.
        assert!((told.mean - expected).abs() < 4.0 * told.deviation / 10.0 + 1e-9, "{told:?} {expected}");
        assert_eq!(kid(&Table::new(vec![0.0; 12], 4), &b, 1, &device).unwrap(), None, "three are too few");
    }
}
