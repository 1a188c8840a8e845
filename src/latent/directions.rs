//! Directions of Z that change the picture: raw coordinates by the size of their effect, principal directions of the
//! first feature layer (GANSpace, Härkönen et al. 2020), and closed-form directions of the first layer's weights (SeFa,
//! Shen and Zhou 2021).

use burn::tensor::Device;
use nalgebra::{DMatrix, SymmetricEigen};

use super::draw::{self, DrawError};
use super::vector::along;
use super::{samples, walk};
use crate::image::Picture;
use crate::model::{Generator, ModelConfig, Prior};

/// z's that GANSpace looks at.
const LOOKED_AT: u64 = 512;
/// z's that a raw coordinate's effect is averaged over.
const TRIED: u64 = 6;

/// How directions are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The coordinates of z themselves, those that change the picture most first.
    Raw,
    /// Principal components of the first feature layer, led back to z.
    Ganspace,
    /// Eigenvectors of the first layer's weights.
    Sefa,
}

/// A direction, one standard deviation of the prior long.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Direction {
    /// Its name.
    pub name: String,
    /// `[z_dim]`.
    pub vector: Vec<f32>,
    /// How much it matters by its method's own measure: change of the picture, share of the variance, eigenvalue.
    pub weight: f32,
}

/// One standard deviation of each coordinate.
pub fn deviation(prior: Prior) -> f32 {
    match prior {
        Prior::Uniform => (1.0f32 / 3.0).sqrt(),
        Prior::Normal => 1.0,
    }
}

/// The `count` strongest directions of a generator.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn find(
    generator: &Generator,
    method: Method,
    count: usize,
    seed: u64,
    device: &Device,
) -> Result<Vec<Direction>, DrawError> {
    match method {
        Method::Raw => raw(generator, count, seed, device),
        Method::Ganspace => ganspace(generator, count, seed, device),
        Method::Sefa => sefa(generator, count),
    }
}

/// z moved along a direction by `amounts` standard deviations: a strip.
pub fn strip(z: &[f32], direction: &[f32], amounts: impl IntoIterator<Item = f32>) -> Vec<Vec<f32>> {
    amounts.into_iter().map(|amount| along(z, direction, amount)).collect()
}

fn raw(generator: &Generator, count: usize, seed: u64, device: &Device) -> Result<Vec<Direction>, DrawError> {
    let mut effects = Effects::new(generator.config(), seed);
    while !effects.step(generator, device)? {}
    Ok(effects.strongest(count))
}

/// The search for the coordinates that matter, one coordinate at a time, so that whoever searches can do other things
/// between.
pub struct Effects {
    tried: Vec<Vec<f32>>,
    step: f32,
    found: Vec<Direction>,
}

impl Effects {
    /// The effects are to be measured on own samples of `seed`.
    pub fn new(config: &ModelConfig, seed: u64) -> Self {
        let tried = samples(config, seed, 0..TRIED);
        Self { tried, step: deviation(config.prior), found: Vec::with_capacity(config.z_dim) }
    }

    /// Measures the next coordinate; true when it was the last.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn step(&mut self, generator: &Generator, device: &Device) -> Result<bool, DrawError> {
        let (i, z_dim) = (self.found.len(), generator.config().z_dim);
        if i < z_dim {
            let vector: Vec<f32> = (0..z_dim).map(|j| if i == j { self.step } else { 0.0 }).collect();
            let moved: Vec<_> = self.tried.iter().flat_map(|z| strip(z, &vector, [-1.0, 1.0])).collect();
            let pictures: Vec<Picture> = draw::pictures(generator, &moved, device)?;
            let effect: f32 = pictures.chunks_exact(2).map(|pair| walk::change(&pair[0], &pair[1])).sum();
            self.found.push(Direction { name: format!("z {i}"), vector, weight: effect / TRIED as f32 });
        }
        Ok(self.found.len() >= z_dim)
    }

    /// The strongest of those that were measured.
    pub fn strongest(mut self, count: usize) -> Vec<Direction> {
        self.found.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        self.found.truncate(count);
        self.found
    }
}

fn ganspace(generator: &Generator, count: usize, seed: u64, device: &Device) -> Result<Vec<Direction>, DrawError> {
    let config = generator.config();
    let z = samples(config, seed, 0..LOOKED_AT);
    let features = generator.features(draw::tensor(&z, device), 0);
    let [rows, maps, height, width] = features.dims();
    let features = features.reshape([rows, maps * height * width]);
    let centred = features.clone() - features.mean_dim(0);
    // The Gram matrix has the components' scores as eigenvectors, and is far smaller than the covariance.
    let gram = draw::read(centred.clone().matmul(centred.transpose()))?;
    let eigen = SymmetricEigen::new(DMatrix::from_row_slice(rows, rows, &gram).map(f64::from));
    let total: f64 = eigen.eigenvalues.iter().map(|v| v.max(0.0)).sum();
    let order = by_size(&eigen.eigenvalues.iter().copied().collect::<Vec<_>>());
    let direction = |(rank, &i): (usize, &usize)| {
        // The z that goes with a score is the regression of z on it: z's are independent with one variance.
        let mut vector = vec![0.0f32; config.z_dim];
        for (row, z) in z.iter().enumerate() {
            vector = along(&vector, z, eigen.eigenvectors[(row, i)] as f32);
        }
        Direction {
            name: format!("GANSpace {}", rank + 1),
            vector: scaled(&vector, deviation(config.prior)),
            weight: (eigen.eigenvalues[i] / total.max(f64::MIN_POSITIVE)) as f32,
        }
    };
    Ok(order.iter().take(count.min(config.z_dim)).enumerate().map(direction).collect())
}

fn sefa(generator: &Generator, count: usize) -> Result<Vec<Direction>, DrawError> {
    let config = generator.config();
    let weights = &generator.entry().weight;
    let columns = weights.len() / config.z_dim;
    let matrix = weights.value.clone().reshape([config.z_dim, columns]);
    let product = draw::read(matrix.clone().matmul(matrix.transpose()))?;
    let eigen = SymmetricEigen::new(DMatrix::from_row_slice(config.z_dim, config.z_dim, &product).map(f64::from));
    let order = by_size(&eigen.eigenvalues.iter().copied().collect::<Vec<_>>());
    let direction = |(rank, &i): (usize, &usize)| {
        let vector: Vec<f32> = eigen.eigenvectors.column(i).iter().map(|&v| v as f32).collect();
        Direction {
            name: format!("SeFa {}", rank + 1),
            vector: scaled(&vector, deviation(config.prior)),
            weight: eigen.eigenvalues[i] as f32,
        }
    };
    Ok(order.iter().take(count).enumerate().map(direction).collect())
}

/// Indices from the largest value to the smallest.
fn by_size(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
    order
}

/// `vector` at length `length`, its largest coordinate positive so that a seed gives one sign.
fn scaled(vector: &[f32], length: f32) -> Vec<f32> {
    let largest = vector.iter().copied().max_by(|a, b| a.abs().total_cmp(&b.abs())).unwrap_or(1.0);
    let norm = super::vector::norm(vector).max(f32::MIN_POSITIVE);
    vector.iter().map(|v| v * length / norm * largest.signum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::vector::norm;
    use crate::model::Preset;

    /// A generator whose picture hangs on coordinate 3 far more than on any other.
    fn lopsided(prior: Prior, hidden: usize) -> Generator {
        let preset = ModelConfig::preset(Preset::Pytorch);
        let config = ModelConfig { size: 16, base: 4, z_dim: 6, channels: 1, prior, hidden, ..preset };
        let mut generator = Generator::new(&config, 3, &Device::flex());
        // The fully connected hidden layer is the last of the list, and the first that z meets.
        let entry = if hidden > 0 { generator.layers().len() - 1 } else { 0 };
        let weights = &mut generator.layers_mut()[entry].weight;
        let row = weights.len() / 6;
        let mut values: Vec<f32> = weights.value.to_data().iter::<f32>().collect();
        values[3 * row..4 * row].iter_mut().for_each(|v| *v *= 30.0);
        weights.value = burn::tensor::Tensor::from_floats(values.as_slice(), &Device::flex());
        generator
    }

    #[test]
    fn every_method_finds_the_coordinate_that_matters() {
        for (prior, hidden) in [(Prior::Uniform, 0), (Prior::Normal, 0), (Prior::Normal, 10)] {
            let generator = lopsided(prior, hidden);
            for method in [Method::Raw, Method::Ganspace, Method::Sefa] {
                let found = find(&generator, method, 3, 1, &Device::flex()).unwrap();
                assert_eq!(found.len(), 3);
                let first = &found[0];
                assert!((norm(&first.vector) - deviation(prior)).abs() < 1e-4, "{method:?}");
                assert!(first.vector[3].abs() > 0.95 * deviation(prior), "{method:?}: {:?}", first.vector);
                assert!(first.weight >= found[1].weight && found[1].weight >= found[2].weight);
                assert_eq!(found, find(&generator, method, 3, 1, &Device::flex()).unwrap(), "a seed gives one answer");
            }
        }
    }

    #[test]
    fn strips_pass_through_their_sample() {
        let strip = strip(&[1.0, 2.0], &[0.0, 1.0], [-3.0, 0.0, 3.0]);
        assert_eq!(strip, [[1.0, -1.0], [1.0, 2.0], [1.0, 5.0]]);
    }
}
