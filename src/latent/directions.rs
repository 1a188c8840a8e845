//! Directions in latent space: single coordinates sorted by their effect on the picture, GANSpace (Härkönen et al.
//! 2020: principal components of the first feature layer) and SeFa (Shen and Zhou 2021: closed-form directions of the
//! first layer's weights).
//!
//! [`find_directions`] runs any of the methods. [`CoordinateSearch`] measures the coordinates one step at a time.

use burn::tensor::Device;
use faer::{Mat, Side};

use super::change::picture_change;
use super::sampling::{generate_pictures, sample_zs, z_tensor};
use super::vector::{add_scaled, norm};
use crate::device::{ComputeError, read_tensor};
use crate::model::{Generator, ModelConfig};

/// Samples whose features GANSpace decomposes.
const GANSPACE_SAMPLES: u64 = 512;
/// Samples over which a coordinate's effect is averaged.
const COORDINATE_SAMPLES: u64 = 6;

/// How directions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DirectionMethod {
    /// The coordinates of z, those that change the picture most first.
    Raw,
    /// Principal components of the first feature layer, mapped back to z.
    Ganspace,
    /// Eigenvectors of the first layer's weights.
    Sefa,
}

/// A direction in latent space. Those that [`find_directions`] returns are as long as one standard deviation of the
/// prior's coordinates.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LatentDirection {
    /// Its name.
    pub name: String,
    /// `[z_dim]`.
    pub vector: Vec<f32>,
    /// Its strength in the units of its method: change of the picture, share of the variance, or eigenvalue.
    pub weight: f32,
}

/// The `count` strongest directions of a generator.
///
/// # Errors
/// [`ComputeError`] if the device fails.
pub fn find_directions(
    generator: &Generator,
    method: DirectionMethod,
    count: usize,
    seed: u64,
    device: &Device,
) -> Result<Vec<LatentDirection>, ComputeError> {
    match method {
        DirectionMethod::Raw => coordinates(generator, count, seed, device),
        DirectionMethod::Ganspace => ganspace(generator, count, seed, device),
        DirectionMethod::Sefa => sefa(generator, count),
    }
}

/// z moved along `direction` by each of `amounts`.
pub fn traverse(z: &[f32], direction: &[f32], amounts: impl IntoIterator<Item = f32>) -> Vec<Vec<f32>> {
    amounts.into_iter().map(|amount| add_scaled(z, direction, amount)).collect()
}

fn coordinates(
    generator: &Generator,
    count: usize,
    seed: u64,
    device: &Device,
) -> Result<Vec<LatentDirection>, ComputeError> {
    let mut search = CoordinateSearch::new(generator.config(), seed);
    while !search.step(generator, device)? {}
    Ok(search.strongest(count))
}

/// Measures how much each coordinate of z changes the picture, one coordinate per step, so that the caller can do
/// other work in between.
pub struct CoordinateSearch {
    samples: Vec<Vec<f32>>,
    /// How far a coordinate is moved to each side: one standard deviation.
    amount: f32,
    measured: Vec<LatentDirection>,
}

impl CoordinateSearch {
    /// Prepares to measure on samples of `seed`.
    pub fn new(config: &ModelConfig, seed: u64) -> Self {
        let samples = sample_zs(config, seed, 0..COORDINATE_SAMPLES);
        Self { samples, amount: config.prior.standard_deviation(), measured: Vec::with_capacity(config.z_dim) }
    }

    /// Measures the next coordinate. Returns true once all are measured.
    ///
    /// # Errors
    /// [`ComputeError`] if the device fails.
    pub fn step(&mut self, generator: &Generator, device: &Device) -> Result<bool, ComputeError> {
        let (i, z_dim) = (self.measured.len(), generator.config().z_dim);
        if i < z_dim {
            let vector: Vec<f32> = (0..z_dim).map(|j| if i == j { self.amount } else { 0.0 }).collect();
            let moved: Vec<_> = self.samples.iter().flat_map(|z| traverse(z, &vector, [-1.0, 1.0])).collect();
            let pictures = generate_pictures(generator, &moved, device)?;
            let change: f32 = pictures.chunks_exact(2).map(|pair| picture_change(&pair[0], &pair[1])).sum();
            let weight = change / COORDINATE_SAMPLES as f32;
            self.measured.push(LatentDirection { name: format!("z {i}"), vector, weight });
        }
        Ok(self.measured.len() >= z_dim)
    }

    /// The `count` strongest of the measured coordinates.
    pub fn strongest(mut self, count: usize) -> Vec<LatentDirection> {
        self.measured.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        self.measured.truncate(count);
        self.measured
    }
}

fn ganspace(
    generator: &Generator,
    count: usize,
    seed: u64,
    device: &Device,
) -> Result<Vec<LatentDirection>, ComputeError> {
    let config = generator.config();
    let z = sample_zs(config, seed, 0..GANSPACE_SAMPLES);
    let features = generator.features(z_tensor(&z, device), 0);
    let [rows, maps, height, width] = features.dims();
    let features = features.reshape([rows, maps * height * width]);
    let centered = features.clone() - features.mean_dim(0);
    // The eigenvectors of the Gram matrix are the components' scores. It is far smaller than the covariance matrix.
    let gram = read_tensor(centered.clone().matmul(centered.transpose()))?;
    let Some((eigenvalues, eigenvectors)) = symmetric_eigen(&gram, rows) else { return Ok(Vec::new()) };
    let total: f64 = eigenvalues.iter().map(|v| v.max(0.0)).sum();
    let order = descending_order(&eigenvalues);
    let direction = |(rank, &i): (usize, &usize)| {
        // Regression of z on the component's scores: the coordinates of z are independent and of equal variance.
        let mut vector = vec![0.0f32; config.z_dim];
        for (row, z) in z.iter().enumerate() {
            vector = add_scaled(&vector, z, eigenvectors[(row, i)] as f32);
        }
        LatentDirection {
            name: format!("GANSpace {}", rank + 1),
            vector: with_length(&vector, config.prior.standard_deviation()),
            weight: (eigenvalues[i] / total.max(f64::MIN_POSITIVE)) as f32,
        }
    };
    Ok(order.iter().take(count.min(config.z_dim)).enumerate().map(direction).collect())
}

fn sefa(generator: &Generator, count: usize) -> Result<Vec<LatentDirection>, ComputeError> {
    let config = generator.config();
    let weights = &generator.first_layer().weight;
    let columns = weights.len() / config.z_dim;
    let matrix = weights.value.clone().reshape([config.z_dim, columns]);
    let product = read_tensor(matrix.clone().matmul(matrix.transpose()))?;
    let Some((eigenvalues, eigenvectors)) = symmetric_eigen(&product, config.z_dim) else { return Ok(Vec::new()) };
    let order = descending_order(&eigenvalues);
    let direction = |(rank, &i): (usize, &usize)| {
        let vector: Vec<f32> = eigenvectors.col(i).iter().map(|&v| v as f32).collect();
        LatentDirection {
            name: format!("SeFa {}", rank + 1),
            vector: with_length(&vector, config.prior.standard_deviation()),
            weight: eigenvalues[i] as f32,
        }
    };
    Ok(order.iter().take(count).enumerate().map(direction).collect())
}

/// The eigenvalues of a symmetric matrix `[side, side]`, and its eigenvectors as columns; `None` if the decomposition does not
/// converge.
fn symmetric_eigen(matrix: &[f32], side: usize) -> Option<(Vec<f64>, Mat<f64>)> {
    let matrix = Mat::from_fn(side, side, |i, j| f64::from(matrix[i * side + j]));
    let eigen = matrix.self_adjoint_eigen(Side::Lower).ok()?;
    Some((eigen.S().column_vector().iter().copied().collect(), eigen.U().to_owned()))
}

/// The indices of `values` from the largest value to the smallest.
fn descending_order(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// Scales `vector` to `length`. The sign of its largest coordinate becomes positive, since the sign of an eigenvector
/// is arbitrary.
fn with_length(vector: &[f32], length: f32) -> Vec<f32> {
    let largest = vector.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
    let norm = norm(vector).max(f32::MIN_POSITIVE);
    vector.iter().map(|v| v * length / norm * largest.signum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Preset, Prior};

    /// A generator whose pictures depend on coordinate 3 far more than on any other.
    fn lopsided(prior: Prior, hidden: usize) -> Generator {
        let preset = ModelConfig::preset(Preset::Pytorch);
        let config = ModelConfig { size: 16, base: 4, z_dim: 6, channels: 1, prior, hidden, ..preset };
        let mut generator = Generator::new(&config, 3, &Device::flex());
        // The fully connected hidden layer is the last in the list and the first to process z.
        let entry = if hidden > 0 { generator.layers().len() - 1 } else { 0 };
        let weights = &mut generator.layers_mut()[entry].weight;
        let row = weights.len() / 6;
        let mut values: Vec<f32> = weights.value.to_data().iter::<f32>().collect();
        values[3 * row..4 * row].iter_mut().for_each(|v| *v *= 30.0);
        weights.value = burn::tensor::Tensor::from_floats(values.as_slice(), &Device::flex());
        generator
    }

    #[test]
    fn every_method_finds_the_dominant_coordinate() {
        for (prior, hidden) in [(Prior::Uniform, 0), (Prior::Normal, 0), (Prior::Normal, 10)] {
            let generator = lopsided(prior, hidden);
            for method in [DirectionMethod::Raw, DirectionMethod::Ganspace, DirectionMethod::Sefa] {
                let found = find_directions(&generator, method, 3, 1, &Device::flex()).unwrap();
                assert_eq!(found.len(), 3);
                let first = &found[0];
                assert!((norm(&first.vector) - prior.standard_deviation()).abs() < 1e-4, "{method:?}");
                assert!(first.vector[3].abs() > 0.95 * prior.standard_deviation(), "{method:?}: {:?}", first.vector);
                assert!(first.weight >= found[1].weight && found[1].weight >= found[2].weight);
                assert_eq!(
                    found,
                    find_directions(&generator, method, 3, 1, &Device::flex()).unwrap(),
                    "the result depends on the seed alone"
                );
            }
        }
    }

    #[test]
    fn traversals_pass_through_their_sample() {
        let moved = traverse(&[1.0, 2.0], &[0.0, 1.0], [-3.0, 0.0, 3.0]);
        assert_eq!(moved, [[1.0, -1.0], [1.0, 2.0], [1.0, 5.0]]);
    }
}
