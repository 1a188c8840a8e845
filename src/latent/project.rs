//! Projection of a picture into latent space: finding the z whose picture is most similar.
//!
//! [`Encoder::fit`] fits a linear encoder on samples of the generator; [`Projection::new`] starts from its guess,
//! similar samples and random z's, and [`Projection::step`] optimizes all of them side by side.
//! [`ProjectionProgress::quality`] tells whether the model can reproduce the picture.

mod edges;
mod encoder;
mod quality;

use burn::tensor::{Device, Tensor, TensorData};

use self::edges::EdgeComparison;
use self::encoder::median;
pub use self::encoder::{Encoder, EncoderBuilder};
pub use self::quality::{ProjectionProgress, REPRODUCIBLE_LIMIT, ReconstructionQuality, ReferenceErrors};
use super::sampling::{generate_values, sample_zs, z_tensor};
use crate::device::{ComputeError, read_tensor};
use crate::image::Picture;
use crate::model::{AdamSettings, Generator, Moments, Prior, cosine_decay};

/// The initial learning rate. With cosine decay over the default 250 steps, Adam can move each coordinate by up to 10
/// in total, a multiple of the prior's range.
const LEARNING_RATE: f64 = 0.08;
/// The final learning rate, as a share of the initial one.
const RATE_FLOOR: f64 = 0.01;
/// A short memory of squared gradients, because a projection takes only a few hundred steps.
const ADAM: AdamSettings = AdamSettings { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.0 };
/// The weight of the penalty for leaving the prior. At the norm of a normal prior's samples it costs 0.001, the
/// squared pixel error of a good reconstruction (0.03), so that it matters only between z's of similar pictures.
/// Under a uniform prior, exceeding the range by 0.07 in every coordinate costs the same.
const PRIOR_WEIGHT: f32 = 2e-3;
/// Own samples, unknown to the encoder, that are projected by the same search, and the z's optimized for each.
/// Together they are as many z's as the default restarts, so the first projection takes twice as long; the encoder
/// stores their error for the next one.
const OWN_SAMPLES: usize = 6;
const OWN_STARTS: usize = 2;
/// Steps between measurements of the edge error, which generates the best pictures again and blurs them on the CPU.
const COMPARE_EVERY: usize = 10;

/// The parameters of a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionSettings {
    /// The number of z's to optimize side by side: half from the encoder and similar samples, half random.
    pub restarts: usize,
    /// The number of optimization steps.
    pub steps: usize,
    /// The seed of the samples.
    pub seed: u64,
}

impl Default for ProjectionSettings {
    fn default() -> Self {
        Self { restarts: 12, steps: 250, seed: 1 }
    }
}

/// Why a picture cannot be projected.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The device failed.
    #[error(transparent)]
    Compute(#[from] ComputeError),
    /// The picture has another size than the generator's.
    #[error("the picture has {found} values, but the generator's have {wanted}")]
    Size {
        /// The number of values of the picture.
        found: usize,
        /// The number of values of a generated picture.
        wanted: usize,
    },
}

/// A picture to project, and the best z found for it.
struct ProjectionTarget {
    comparison: EdgeComparison,
    rmse: f32,
    z: Vec<f32>,
}

/// A projection in progress, step by step, so that the caller can display or stop it.
///
/// Besides the picture, it projects samples of the model by the same search, to know the error of pictures that the
/// model can reproduce.
pub struct Projection {
    generator: Generator,
    /// The picture that each z is optimized for, `[zs, channels, size, size]`.
    target: Tensor<4>,
    /// The index in `targets` for each z.
    target_of: Vec<usize>,
    /// The picture, then the model's own samples.
    targets: Vec<ProjectionTarget>,
    /// The z's that are optimized, `[zs, z_dim]`.
    z: Tensor<2>,
    moments: Option<Moments>,
    settings: ProjectionSettings,
    progress: ProjectionProgress,
    device: Device,
}

impl Projection {
    /// Prepares to project `picture`, which must have the generator's size.
    ///
    /// # Errors
    /// [`ProjectError::Size`] if it has another size, [`ProjectError::Compute`] if the device fails.
    pub fn new(
        generator: &Generator,
        encoder: &Encoder,
        picture: &Picture,
        settings: ProjectionSettings,
        device: &Device,
    ) -> Result<Self, ProjectError> {
        let config = generator.config();
        let (found, wanted) = (picture.pixels().len(), config.values());
        if found != wanted {
            return Err(ProjectError::Size { found, wanted });
        }
        let mut values = vec![0.0; wanted];
        picture.write_chw(&mut values);
        let initial_zs =
            |values: &[f32], count| encoder.initial_zs(values, config.channels, config.size, count, config.prior);
        let comparison =
            |values: &[f32]| EdgeComparison::new(values, config.channels, config.size, encoder.edge_strength);
        let mut starts = initial_zs(&values, settings.restarts.div_ceil(2));
        let random = settings.restarts.saturating_sub(starts.len()) as u64;
        starts.extend(sample_zs(config, settings.seed ^ 0x70_68_6f_74_6f, 0..random));
        let mut target_of = vec![0; starts.len()];
        let known = encoder.own_error.filter(|(used, _)| *used == settings).map(|(_, own)| own);
        let mut pictures = vec![values];
        if known.is_none() {
            let own = sample_zs(config, settings.seed ^ 0x6f_77_6e, 0..OWN_SAMPLES as u64);
            let own = generate_values(generator, &own, device)?;
            for values in own.chunks_exact(wanted) {
                let initial = initial_zs(values, OWN_STARTS);
                target_of.extend(initial.iter().map(|_| pictures.len()));
                starts.extend(initial);
                pictures.push(values.to_vec());
            }
        }
        let z = z_tensor(&starts, device);
        let target: Vec<f32> = target_of.iter().flat_map(|&picture| pictures[picture].iter().copied()).collect();
        let shape = [target_of.len(), config.channels, config.size, config.size];
        let target = Tensor::<4>::from_data(TensorData::new(target, shape), device);
        let first_start = |picture| target_of.iter().position(|&target| target == picture).unwrap_or(0);
        let targets: Vec<ProjectionTarget> = pictures
            .iter()
            .enumerate()
            .map(|(i, values)| ProjectionTarget {
                comparison: comparison(values),
                rmse: f32::INFINITY,
                z: starts[first_start(i)].clone(),
            })
            .collect();
        let photo = &targets[0].comparison;
        let references = ReferenceErrors {
            own_samples: known.unwrap_or_default(),
            average_picture: photo.edge_error(&encoder.average).min(1.0),
            blurred_copy: photo.blurred_error(),
        };
        Ok(Self {
            generator: generator.on_tape(),
            target: target.autodiff(),
            moments: None,
            z,
            settings,
            progress: ProjectionProgress {
                step: 0,
                steps: settings.steps,
                z: targets[0].z.clone(),
                rmse: f32::INFINITY,
                nearest_sample_rmse: encoder.nearest_sample_rmse(),
                edge_error: references.average_picture,
                references,
            },
            target_of,
            targets,
            device: device.clone(),
        })
    }

    /// The generator.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The settings, and the median edge error of the model's own samples under them.
    fn own_error(&self) -> (ProjectionSettings, f32) {
        (self.settings, self.progress.references.own_samples)
    }

    /// Whether all steps have been taken.
    pub fn done(&self) -> bool {
        self.progress.step >= self.settings.steps
    }

    /// Takes one step of Adam, with cosine learning-rate decay, on all z's. Returns the best so far.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn step(&mut self) -> Result<ProjectionProgress, ComputeError> {
        let z = self.z.clone().autodiff().require_grad();
        let pictures = self.generator.sample(z.clone());
        let [count, ..] = pictures.dims();
        let errors = (pictures - self.target.clone()).square().reshape([count as i32, -1]).mean_dim(1);
        let outside_prior = match self.generator.config().prior {
            Prior::Normal => z.clone().square().mean_dim(1) * 0.5,
            Prior::Uniform => (z.clone().abs() - 1.0).clamp_min(0.0).square().mean_dim(1) * 100.0,
        };
        let mut grads = (errors.clone() + outside_prior * PRIOR_WEIGHT).sum().backward();
        let errors = read_tensor(errors.inner())?;
        self.update_best(&errors)?;
        self.progress.step += 1;
        if let Some(grad) = z.grad_remove(&mut grads) {
            let share = self.progress.step as f64 / self.settings.steps.max(1) as f64;
            let (shape, rate) = (self.z.dims(), LEARNING_RATE * cosine_decay(share).max(RATE_FLOOR));
            let [z, grad] = [self.z.clone(), grad].map(|z| z.reshape([shape[0] * shape[1]]));
            self.z = ADAM.update(z, grad, &mut self.moments, rate).reshape(shape);
        }
        if self.progress.step == 1 || self.progress.step.is_multiple_of(COMPARE_EVERY) || self.done() {
            self.compare()?;
        }
        Ok(self.progress.clone())
    }

    /// Keeps the z's whose mean squared `errors` are lower than before.
    fn update_best(&mut self, errors: &[f32]) -> Result<(), ComputeError> {
        let mut values = None;
        for (index, target) in self.targets.iter_mut().enumerate() {
            let candidates = (0..errors.len()).filter(|&i| self.target_of[i] == index);
            let Some(best) = candidates.min_by(|&a, &b| errors[a].total_cmp(&errors[b])) else { continue };
            if errors[best].sqrt() < target.rmse {
                let values = match &values {
                    Some(values) => values,
                    None => values.insert(read_tensor(self.z.clone())?),
                };
                let z_dim = target.z.len();
                target.rmse = errors[best].sqrt();
                target.z = values[best * z_dim..(best + 1) * z_dim].to_vec();
            }
        }
        (self.progress.rmse, self.progress.z) = (self.targets[0].rmse, self.targets[0].z.clone());
        Ok(())
    }

    /// Measures the edge errors of the best z's.
    fn compare(&mut self) -> Result<(), ComputeError> {
        let best: Vec<Vec<f32>> = self.targets.iter().map(|target| target.z.clone()).collect();
        let values = generate_values(&self.generator, &best, &self.device)?;
        let pictures = values.chunks_exact(self.generator.config().values());
        let errors: Vec<f32> =
            self.targets.iter().zip(pictures).map(|(target, picture)| target.comparison.error(picture)).collect();
        self.progress.edge_error = errors[0];
        if errors.len() > 1 {
            self.progress.references.own_samples = median(errors[1..].to_vec());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sampling::generate_pictures;
    use crate::model::{ModelConfig, Preset};

    fn generator() -> Generator {
        let config = ModelConfig { size: 16, base: 8, z_dim: 8, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let mut generator = Generator::new(&config, 3, &Device::flex());
        // The pictures of an untrained generator are nearly gray; larger weights give them contrast.
        for layer in generator.layers_mut() {
            layer.weight.value = layer.weight.value.clone() * 12.0;
        }
        generator
    }

    #[test]
    fn own_samples_are_reproduced_and_noise_is_not() {
        let (device, generator) = (Device::flex(), generator());
        let config = generator.config().clone();
        let encoder = Encoder::fit(&generator, 1, &device).unwrap();
        let z = sample_zs(&config, 99, [5]).remove(0);
        let picture = generate_pictures(&generator, &[z], &device).unwrap().remove(0);
        let settings = ProjectionSettings { restarts: 8, steps: 120, seed: 1 };
        let run = |picture: &Picture| {
            let mut projection = Projection::new(&generator, &encoder, picture, settings, &device).unwrap();
            let mut last = None;
            while !projection.done() {
                last = Some(projection.step().unwrap());
            }
            last.unwrap()
        };
        let own = run(&picture);
        assert!(own.rmse < 0.5 * encoder.nearest_sample_rmse(), "{} of {}", own.rmse, own.nearest_sample_rmse);
        assert!(own.quality() == ReconstructionQuality::Faithful && own.relative_error() < 0.2, "{own:?}");
        assert_eq!(own, run(&picture), "the result depends on the seed alone");
        let noise = Picture::new(16, 16, 1, (0..256).map(|i: u32| ((i * 7919 + i * i * 31) % 256) as u8).collect());
        let foreign = run(&noise);
        assert!(!foreign.is_reproducible() && foreign.relative_error() > 0.7, "{foreign:?}");
        let blank = run(&Picture::new(16, 16, 1, vec![140; 256]));
        assert!(blank.quality() != ReconstructionQuality::Faithful, "{blank:?}");
        let small = Picture::new(4, 4, 1, vec![0; 16]);
        assert!(matches!(
            Projection::new(&generator, &encoder, &small, settings, &device),
            Err(ProjectError::Size { found: 16, wanted: 256 })
        ));
    }
}
