//! The encoder that gives a projection its initial z's.

use burn::tensor::Device;
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::edges::edge_strength;
use super::{Projection, ProjectionSettings};
use crate::device::ComputeError;
use crate::latent::sampling::{generate_values, sample_zs};
use crate::model::{Generator, Prior};

/// Samples that the encoder is fitted on, against 768 inputs. More take proportionally longer to generate before the
/// first projection.
const SAMPLES: u64 = 2048;
/// Samples per step of [`EncoderBuilder`]. Fewer keep the caller responsive, more waste less time between steps.
const STEP_SAMPLES: usize = 16;
/// Samples whose neighbor distance and edge strength are measured. Their medians need few.
const MEASURED_SAMPLES: usize = 48;
/// The side of the downscaled pictures that the encoder sees. At 16, a color picture has 768 inputs; the matrix of the
/// normal equations grows with the fourth power of the side.
const INPUT_SIZE: usize = 16;
/// The ridge penalty, as a share of the mean variance of an input. It trades bias, which [`Prior::normalize_length`]
/// partly undoes, for variance: neighboring pixels are strongly correlated.
const RIDGE: f32 = 0.05;

/// A linear encoder from downscaled pictures to z, with the statistics of the generator's samples that it was fitted
/// on.
pub struct Encoder {
    z: Vec<Vec<f32>>,
    /// The downscaled sample pictures.
    small: Vec<Vec<f32>>,
    /// `[features, z_dim]`.
    weights: Mat<f32>,
    /// The mean downscaled picture.
    center: Vec<f32>,
    /// The median distance from a sample to the nearest other one.
    nearest_sample_rmse: f32,
    /// The average picture `[channels, size, size]`.
    pub(super) average: Vec<f32>,
    /// The median edge strength of samples.
    pub(super) edge_strength: f32,
    /// The median edge error of projected samples, and the settings it was measured with.
    pub(super) own_error: Option<(ProjectionSettings, f32)>,
}

/// Builds an [`Encoder`] step by step, so that the caller can do other work in between.
pub struct EncoderBuilder {
    generator: Generator,
    z: Vec<Vec<f32>>,
    /// The values of the sample pictures generated so far.
    values: Vec<f32>,
}

impl EncoderBuilder {
    /// Prepares to fit an encoder on samples of `seed`.
    pub fn new(generator: &Generator, seed: u64) -> Self {
        let config = generator.config();
        let z = sample_zs(config, seed, 0..SAMPLES);
        Self { generator: generator.clone(), z, values: Vec::new() }
    }

    /// Generates more samples. Returns the share of all samples generated so far.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn step(&mut self, device: &Device) -> Result<f32, ComputeError> {
        let config = self.generator.config();
        let done = self.values.len() / config.values();
        let batch = &self.z[done..(done + STEP_SAMPLES).min(self.z.len())];
        self.values.extend(generate_values(&self.generator, batch, device)?);
        Ok((done + batch.len()) as f32 / self.z.len() as f32)
    }

    /// Fits the encoder on the generated samples by ridge regression.
    pub fn finish(self) -> Encoder {
        let Self { generator, mut z, values: full } = self;
        let config = generator.config();
        z.truncate(full.len() / config.values());
        let small: Vec<Vec<f32>> =
            full.chunks_exact(config.values()).map(|values| downscale(values, config.channels, config.size)).collect();
        let features = small.first().map_or(0, Vec::len);
        let mut center = vec![0.0f32; features];
        for row in &small {
            for (center, value) in center.iter_mut().zip(row) {
                *center += value / small.len() as f32;
            }
        }
        let x = Mat::from_fn(small.len(), features, |i, j| small[i][j] - center[j]);
        let y = Mat::from_fn(z.len(), config.z_dim, |i, j| z[i][j]);
        let mut gram = x.transpose() * &x;
        let ridge = RIDGE * ((0..features).map(|i| gram[(i, i)]).sum::<f32>() / features.max(1) as f32).max(1e-6);
        for i in 0..features {
            gram[(i, i)] += ridge;
        }
        let weights = match gram.llt(Side::Lower) {
            Ok(cholesky) => cholesky.solve(x.transpose() * &y),
            // The generator ignores z: all pictures are equal.
            Err(_) => Mat::zeros(features, config.z_dim),
        };
        let nearest_sample_rmse = nearest_sample_rmse(&full, config.values());
        let mut average = vec![0.0; config.values()];
        for values in full.chunks_exact(config.values()) {
            average.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / z.len() as f32);
        }
        let few = full.chunks_exact(config.values()).take(MEASURED_SAMPLES);
        let edge_strength = median(few.map(|values| edge_strength(values, config.channels, config.size)).collect());
        Encoder { z, small, weights, center, nearest_sample_rmse, average, edge_strength, own_error: None }
    }
}

impl Encoder {
    /// Fits an encoder on samples of `seed`.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn fit(generator: &Generator, seed: u64, device: &Device) -> Result<Self, ComputeError> {
        let mut builder = EncoderBuilder::new(generator, seed);
        while builder.step(device)? < 1.0 {}
        Ok(builder.finish())
    }

    /// `count` initial z's for a picture: the encoder's, then the most similar samples.
    pub(super) fn initial_zs(
        &self,
        values: &[f32],
        channels: usize,
        size: usize,
        count: usize,
        prior: Prior,
    ) -> Vec<Vec<f32>> {
        let small = downscale(values, channels, size);
        let row = Mat::from_fn(1, small.len(), |_, j| small[j] - self.center[j]);
        let guess: Vec<f32> = (row * &self.weights).row(0).iter().copied().collect();
        let mut order: Vec<usize> = (0..self.small.len()).collect();
        order.sort_by(|&a, &b| mean_square(&self.small[a], &small).total_cmp(&mean_square(&self.small[b], &small)));
        // Ridge regression shrinks the norm; restore that of the prior's samples.
        let mut guesses = vec![prior.normalize_length(&guess)];
        guesses.extend(order.iter().take(count.saturating_sub(1)).map(|&i| self.z[i].clone()));
        guesses
    }

    /// Stores the error of the model's own samples that a finished projection measured, so that later ones need not
    /// measure it again.
    pub fn store_own_error(&mut self, projection: &Projection) {
        self.own_error = Some(projection.own_error());
    }

    /// The median root mean square distance from a sample to the nearest other one, in [0, 2].
    pub fn nearest_sample_rmse(&self) -> f32 {
        self.nearest_sample_rmse
    }
}

/// The median, over the first samples, of the root mean square distance to the nearest other sample.
fn nearest_sample_rmse(full: &[f32], length: usize) -> f32 {
    let rows: Vec<&[f32]> = full.chunks_exact(length).collect();
    let mut nearest: Vec<f32> = (0..rows.len().min(MEASURED_SAMPLES))
        .map(|i| {
            let others = (0..rows.len()).filter(|&j| j != i);
            others.map(|j| mean_square(rows[i], rows[j])).fold(f32::INFINITY, f32::min).sqrt()
        })
        .collect();
    nearest.retain(|distance| distance.is_finite());
    median(nearest)
}

pub(super) fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn mean_square(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / a.len() as f32
}

/// Averages `[channels, size, size]` to `[channels, INPUT_SIZE, INPUT_SIZE]`; smaller pictures are unchanged.
fn downscale(values: &[f32], channels: usize, size: usize) -> Vec<f32> {
    let block = (size / INPUT_SIZE).max(1);
    let side = size / block;
    let mut small = vec![0.0; channels * side * side];
    for c in 0..channels {
        for y in 0..side * block {
            for x in 0..side * block {
                small[(c * side + y / block) * side + x / block] += values[(c * size + y) * size + x];
            }
        }
    }
    small.iter().map(|v| v / (block * block) as f32).collect()
}
