//! From a picture to the z that draws it: a linear encoder fitted on the generator's own samples makes the first guess,
//! optimisation with restarts the rest.

use burn::tensor::{Device, Tensor, TensorData};
use nalgebra::{Cholesky, DMatrix};

use super::draw::{self, DrawError};
use super::samples;
use crate::image::Picture;
use crate::model::{Generator, Prior};

/// Own samples that the encoder is fitted on.
const FITTED_ON: u64 = 2048;
/// Own samples drawn at a time.
const DRAWN_AT_ONCE: usize = 16;
/// Side of the small pictures that the encoder sees.
const SMALL: usize = 16;
/// Strength of the encoder's ridge, as a share of the mean variance of a pixel.
const RIDGE: f32 = 0.05;
/// Learning rate of the optimisation at its start.
const RATE: f32 = 0.08;
/// What leaving the prior costs beside the picture's error.
const LEAVING: f32 = 2e-3;

/// What a projection starts from.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// z's tried side by side: the encoder's guess, the nearest own samples, and random ones.
    pub restarts: usize,
    /// Steps of optimisation.
    pub steps: usize,
    /// Seed of the own samples.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { restarts: 12, steps: 250, seed: 1 }
    }
}

/// Why a picture cannot be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The device failed.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// The picture has another size than the generator draws.
    #[error("a picture of {found} values was given where the generator draws {wanted}")]
    Size {
        /// What it has.
        found: usize,
        /// What is drawn.
        wanted: usize,
    },
}

/// The generator's own samples, as an encoder and a measure of what it can draw.
pub struct Encoder {
    z: Vec<Vec<f32>>,
    small: Vec<Vec<f32>>,
    /// `[features + 1, z_dim]`, the last row the constant.
    weights: DMatrix<f32>,
    centre: Vec<f32>,
    /// The median root mean square distance, in pixel values of [-1, 1], of an own sample to the nearest other one.
    apart: f32,
}

/// An encoder in the making: the generator's own samples are drawn a few at a time, so that whoever fits it can do other
/// things between.
pub struct Fitting {
    generator: Generator,
    z: Vec<Vec<f32>>,
    full: Vec<f32>,
}

impl Fitting {
    /// Own samples of `seed` are to be drawn.
    pub fn new(generator: &Generator, seed: u64) -> Self {
        let config = generator.config();
        let z = samples(config, seed, 0..FITTED_ON);
        Self { generator: generator.clone(), z, full: Vec::new() }
    }

    /// Draws some more; returns the share that is drawn.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn step(&mut self, device: &Device) -> Result<f32, DrawError> {
        let config = self.generator.config();
        let drawn = self.full.len() / config.values();
        let part = &self.z[drawn..(drawn + DRAWN_AT_ONCE).min(self.z.len())];
        self.full.extend(draw::values(&self.generator, part, device)?);
        Ok((drawn + part.len()) as f32 / self.z.len() as f32)
    }

    /// Fits the encoder on what was drawn, by ridge regression.
    pub fn finish(self) -> Encoder {
        let Self { generator, mut z, full } = self;
        let config = generator.config();
        z.truncate(full.len() / config.values());
        let small: Vec<Vec<f32>> =
            full.chunks_exact(config.values()).map(|values| shrink(values, config.channels, config.size)).collect();
        let features = small.first().map_or(0, Vec::len);
        let mut centre = vec![0.0f32; features];
        for row in &small {
            for (centre, value) in centre.iter_mut().zip(row) {
                *centre += value / small.len() as f32;
            }
        }
        let x = DMatrix::from_fn(small.len(), features, |i, j| small[i][j] - centre[j]);
        let y = DMatrix::from_fn(z.len(), config.z_dim, |i, j| z[i][j]);
        let mut gram = x.tr_mul(&x);
        let ridge = RIDGE * (gram.trace() / features.max(1) as f32).max(1e-6);
        for i in 0..features {
            gram[(i, i)] += ridge;
        }
        let right = x.tr_mul(&y);
        let weights = match Cholesky::new(gram) {
            Some(cholesky) => cholesky.solve(&right),
            // A generator that draws one picture whatever z is has nothing to regress on.
            None => DMatrix::zeros(features, config.z_dim),
        };
        let apart = nearest_apart(&full, config.values());
        Encoder { z, small, weights, centre, apart }
    }
}

impl Encoder {
    /// Draws the generator's own samples of `seed` and fits the encoder on them.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn fit(generator: &Generator, seed: u64, device: &Device) -> Result<Self, DrawError> {
        let mut fitting = Fitting::new(generator, seed);
        while fitting.step(device)? < 1.0 {}
        Ok(fitting.finish())
    }

    /// First guesses for a picture's values: the encoder's, then the own samples that look most like it.
    fn guesses(&self, values: &[f32], channels: usize, size: usize, count: usize, prior: Prior) -> Vec<Vec<f32>> {
        let small = shrink(values, channels, size);
        let row = DMatrix::from_fn(1, small.len(), |_, j| small[j] - self.centre[j]);
        let guess: Vec<f32> = (row * &self.weights).iter().copied().collect();
        let mut order: Vec<usize> = (0..self.small.len()).collect();
        order.sort_by(|&a, &b| mean_square(&self.small[a], &small).total_cmp(&mean_square(&self.small[b], &small)));
        // Regression shrinks towards the middle; the prior's own length is the better start.
        let mut guesses = vec![super::arithmetic::back_to_prior(prior, &guess)];
        guesses.extend(order.iter().take(count.saturating_sub(1)).map(|&i| self.z[i].clone()));
        guesses
    }

    /// The root mean square distance of an own sample to the nearest other one, in [0, 2].
    pub fn apart(&self) -> f32 {
        self.apart
    }
}

/// Medians over the first samples of the distance to the nearest of all.
fn nearest_apart(full: &[f32], length: usize) -> f32 {
    let rows: Vec<&[f32]> = full.chunks_exact(length).collect();
    let mut nearest: Vec<f32> = (0..rows.len().min(48))
        .map(|i| {
            let others = (0..rows.len()).filter(|&j| j != i);
            others.map(|j| mean_square(rows[i], rows[j])).fold(f32::INFINITY, f32::min).sqrt()
        })
        .collect();
    nearest.sort_by(f32::total_cmp);
    nearest.get(nearest.len() / 2).copied().unwrap_or(0.0)
}

fn mean_square(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / a.len() as f32
}

/// `[channels, size, size]` averaged to `[channels, SMALL, SMALL]`.
fn shrink(values: &[f32], channels: usize, size: usize) -> Vec<f32> {
    let block = (size / SMALL).max(1);
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

/// How far a projection has come.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Progress {
    /// Steps taken.
    pub step: usize,
    /// Steps in all.
    pub steps: usize,
    /// The best z so far.
    #[serde(skip)]
    pub z: Vec<f32>,
    /// Its picture's root mean square error, in pixel values of [-1, 1].
    pub error: f32,
    /// The same distance between neighbouring samples of the generator: an error beyond it means that the generator
    /// cannot draw the picture.
    pub apart: f32,
}

impl Progress {
    /// Whether the generator can draw the picture: it comes nearer than its samples are to one another.
    pub fn drawable(&self) -> bool {
        self.error <= self.apart
    }
}

/// An optimisation under way, taken step by step so that whoever runs it can stop or show it.
pub struct Projection {
    generator: Generator,
    target: Tensor<4>,
    z: Tensor<2>,
    first: Tensor<2>,
    second: Tensor<2>,
    settings: Settings,
    progress: Progress,
}

impl Projection {
    /// Prepares to look for the z of `picture`, which must have the generator's size.
    ///
    /// # Errors
    /// [`ProjectError::Size`] when it has not.
    pub fn new(
        generator: &Generator,
        encoder: &Encoder,
        picture: &Picture,
        settings: Settings,
        device: &Device,
    ) -> Result<Self, ProjectError> {
        let config = generator.config();
        let (found, wanted) = (picture.pixels().len(), config.values());
        if found != wanted {
            return Err(ProjectError::Size { found, wanted });
        }
        let mut values = vec![0.0; wanted];
        picture.write_chw(&mut values);
        let near = settings.restarts.div_ceil(2);
        let mut starts = encoder.guesses(&values, config.channels, config.size, near, config.prior);
        let random = settings.restarts.saturating_sub(starts.len()) as u64;
        starts.extend(samples(config, settings.seed ^ 0x70_68_6f_74_6f, 0..random));
        let z = draw::tensor(&starts, device);
        let shape = [1, config.channels, config.size, config.size];
        let target = Tensor::<4>::from_data(TensorData::new(values, shape), device);
        Ok(Self {
            generator: generator.on_tape(),
            target: target.autodiff(),
            first: Tensor::zeros(z.dims(), device),
            second: Tensor::zeros(z.dims(), device),
            z,
            settings,
            progress: Progress {
                step: 0,
                steps: settings.steps,
                z: starts[0].clone(),
                error: f32::INFINITY,
                apart: encoder.apart,
            },
        })
    }

    /// The generator that the z is looked for in.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// Whether all steps are taken.
    pub fn done(&self) -> bool {
        self.progress.step >= self.settings.steps
    }

    /// One step of Adam on every restart, its rate falling as a cosine; returns what is best so far.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn step(&mut self) -> Result<Progress, DrawError> {
        let z = self.z.clone().autodiff().require_grad();
        let drawn = self.generator.sample(z.clone());
        let [count, ..] = drawn.dims();
        let errors = (drawn - self.target.clone()).square().reshape([count as i32, -1]).mean_dim(1);
        let outside = match self.generator.config().prior {
            Prior::Normal => z.clone().square().mean_dim(1) * 0.5,
            Prior::Uniform => (z.clone().abs() - 1.0).clamp_min(0.0).square().mean_dim(1) * 100.0,
        };
        let mut grads = (errors.clone() + outside * LEAVING).sum().backward();
        let read = draw::read(errors.inner())?;
        let best = (0..count).min_by(|&a, &b| read[a].total_cmp(&read[b])).unwrap_or(0);
        if read[best].sqrt() < self.progress.error {
            let z_dim = self.z.dims()[1];
            self.progress.error = read[best].sqrt();
            self.progress.z = draw::read(self.z.clone())?[best * z_dim..(best + 1) * z_dim].to_vec();
        }
        self.progress.step += 1;
        if let Some(grad) = z.grad_remove(&mut grads) {
            let step = self.progress.step as i32;
            self.first = self.first.clone() * 0.9 + grad.clone() * 0.1;
            self.second = self.second.clone() * 0.99 + grad.square() * 0.01;
            let first = self.first.clone() / (1.0 - 0.9f32.powi(step));
            let second = self.second.clone() / (1.0 - 0.99f32.powi(step));
            let share = self.progress.step as f32 / self.settings.steps.max(1) as f32;
            let rate = RATE * 0.5 * (1.0 + (std::f32::consts::PI * share).cos()).max(0.02);
            self.z = self.z.clone() - first / (second.sqrt() + 1e-8) * rate;
        }
        Ok(self.progress.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ModelConfig, Preset};

    fn generator() -> Generator {
        let config = ModelConfig { size: 16, base: 8, z_dim: 8, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let mut generator = Generator::new(&config, 3, &Device::flex());
        // An untrained generator draws grey; larger weights give its pictures something to tell.
        for layer in generator.layers_mut() {
            layer.weight.value = layer.weight.value.clone() * 12.0;
        }
        generator
    }

    #[test]
    fn an_own_sample_is_found_again_and_noise_is_not() {
        let (device, generator) = (Device::flex(), generator());
        let config = generator.config().clone();
        let encoder = Encoder::fit(&generator, 1, &device).unwrap();
        let wanted = samples(&config, 99, [5]).remove(0);
        let picture = draw::pictures(&generator, &[wanted], &device).unwrap().remove(0);
        let settings = Settings { restarts: 8, steps: 120, seed: 1 };
        let run = |picture: &Picture| {
            let mut projection = Projection::new(&generator, &encoder, picture, settings, &device).unwrap();
            let mut last = None;
            while !projection.done() {
                last = Some(projection.step().unwrap());
            }
            last.unwrap()
        };
        let own = run(&picture);
        assert!(own.drawable() && own.error < 0.5 * encoder.apart(), "{} of {}", own.error, own.apart);
        assert_eq!(own, run(&picture), "the same seed finds the same z");
        let noise = Picture::new(16, 16, 1, (0..256).map(|i: u32| ((i * 7919 + i * i * 31) % 256) as u8).collect());
        let foreign = run(&noise);
        assert!(!foreign.drawable(), "{} of {}", foreign.error, foreign.apart);
        let small = Picture::new(4, 4, 1, vec![0; 16]);
        assert!(matches!(
            Projection::new(&generator, &encoder, &small, settings, &device),
            Err(ProjectError::Size { found: 16, wanted: 256 })
        ));
    }
}
