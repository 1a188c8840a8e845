//! From a picture to the z that draws it: a linear encoder fitted on the generator's own samples makes the first guess,
//! optimisation with restarts the rest.

use burn::tensor::{Device, Tensor, TensorData};
use nalgebra::{Cholesky, DMatrix};

use super::draw::{self, DrawError};
use super::fidelity::{Fidelity, strength};
use super::samples;
use crate::image::Picture;
use crate::model::{Adam, Generator, Moments, Prior, cosine_decay};

/// Own samples that the encoder is fitted on.
const FITTED_ON: u64 = 2048;
/// Own samples drawn at a time.
const DRAWN_AT_ONCE: usize = 16;
/// Side of the small pictures that the encoder sees.
const SMALL: usize = 16;
/// Strength of the encoder's ridge, as a share of the mean variance of a pixel.
const RIDGE: f32 = 0.05;
/// Learning rate of the optimisation at its start.
const RATE: f64 = 0.08;
/// The least that the learning rate decays to, as a share of it.
const FLOOR: f64 = 0.01;
/// A short memory of squared gradients: the search takes a few hundred steps only.
const ADAM: Adam = Adam { beta1: 0.9, beta2: 0.99, epsilon: 1e-8, decay: 0.0 };
/// What leaving the prior costs beside the picture's error.
const LEAVING: f32 = 2e-3;
/// Own samples, none of which the encoder saw, that are looked for by the same search, and the z's tried for each.
const OWN: usize = 6;
const OWN_STARTS: usize = 2;
/// Steps from one comparison of what is found to the next.
const COMPARED_EVERY: usize = 10;
/// How far from the model's own samples to its average picture a reconstruction may be: 200 pictures from inside and outside the
/// world of two models were told apart there (docs/MEASURES.md).
pub const LIMIT: f32 = 0.9;
/// Up to here it is drawn as well as own samples are.
const WELL: f32 = 0.25;

/// What a projection starts from.
#[derive(Debug, Clone, Copy, PartialEq)]
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
    /// The average picture, and how strong the edges of samples are.
    average: Vec<f32>,
    strength: f32,
    /// What the search lacks of own samples, once it has looked for them.
    own: Option<(Settings, f32)>,
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
        let mut average = vec![0.0; config.values()];
        for values in full.chunks_exact(config.values()) {
            average.iter_mut().zip(values).for_each(|(sum, value)| *sum += value / z.len() as f32);
        }
        let few = full.chunks_exact(config.values()).take(48);
        let strength = median(few.map(|values| strength(values, config.channels, config.size)).collect());
        Encoder { z, small, weights, centre, apart, average, strength, own: None }
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

    /// Keeps what a finished search found of own samples, which then need not be looked for again.
    pub fn remember(&mut self, projection: &Projection) {
        self.own = Some((projection.settings, projection.progress.scale.own));
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
    nearest.retain(|distance| distance.is_finite());
    median(nearest)
}

fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
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

/// What pictures lack of the one that is looked for: edges that are wrong or invented, 0 for none and about 1 for all.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct Scale {
    /// What the same search lacks of own samples, which the model surely can draw: the median of some.
    pub own: f32,
    /// What the model's average picture lacks, how wrong its edges are; at most 1, which a picture without any has.
    pub average: f32,
    /// What a blurred copy of the picture lacks.
    pub blurred: f32,
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
    /// The same distance between neighboring samples of the generator.
    pub apart: f32,
    /// What its picture lacks of the one that is looked for.
    pub lacking: f32,
    /// What that is to be compared with.
    pub scale: Scale,
}

/// Whether a model can draw a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As well as its own samples.
    Drawn,
    /// Recognizably, without every detail.
    Resembled,
    /// It cannot.
    Not,
}

impl Verdict {
    /// What to say of it.
    pub fn text(self) -> &'static str {
        match self {
            Self::Drawn => "the model can draw it",
            Self::Resembled => "the model can draw it, but not every detail",
            Self::Not => "the model cannot draw this picture",
        }
    }
}

impl Progress {
    /// Where the picture stands between the model's own samples, 0, and no better than its average picture, 1.
    pub fn position(&self) -> f32 {
        let span = (self.scale.average - self.scale.own).max(0.1);
        ((self.lacking - self.scale.own) / span).max(0.0)
    }

    /// The position for people.
    pub fn place(&self) -> String {
        match self.position() * 100.0 {
            place if place > 200.0 => "more than 200 %".to_owned(),
            place => format!("{place:.0} %"),
        }
    }

    /// Whether the model can draw the picture.
    pub fn verdict(&self) -> Verdict {
        match self.position() {
            place if place <= WELL => Verdict::Drawn,
            place if place <= LIMIT => Verdict::Resembled,
            _ => Verdict::Not,
        }
    }

    /// Whether the model can draw the picture, in every detail or not.
    pub fn drawable(&self) -> bool {
        self.verdict() != Verdict::Not
    }
}

/// A picture that is looked for, and what was found.
struct Wanted {
    fidelity: Fidelity,
    error: f32,
    z: Vec<f32>,
}

/// An optimisation under way, taken step by step so that whoever runs it can stop or show it. Beside the picture, own samples are
/// looked for by the same search, to know what it gives of pictures that the model can draw.
pub struct Projection {
    generator: Generator,
    target: Tensor<4>,
    /// Which of the wanted pictures each z is tried for.
    of: Vec<usize>,
    wanted: Vec<Wanted>,
    z: Tensor<2>,
    moments: Option<Moments>,
    settings: Settings,
    progress: Progress,
    device: Device,
}

impl Projection {
    /// Prepares to look for the z of `picture`, which must have the generator's size.
    ///
    /// # Errors
    /// [`ProjectError::Size`] when it has not, [`ProjectError::Draw`] when the device fails.
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
        let guesses =
            |values: &[f32], count| encoder.guesses(values, config.channels, config.size, count, config.prior);
        let fidelity = |values: &[f32]| Fidelity::new(values, config.channels, config.size, encoder.strength);
        let mut starts = guesses(&values, settings.restarts.div_ceil(2));
        let random = settings.restarts.saturating_sub(starts.len()) as u64;
        starts.extend(samples(config, settings.seed ^ 0x70_68_6f_74_6f, 0..random));
        let mut of = vec![0; starts.len()];
        let known = encoder.own.filter(|(used, _)| *used == settings).map(|(_, own)| own);
        let mut pictures = vec![values];
        if known.is_none() {
            let own = samples(config, settings.seed ^ 0x6f_77_6e, 0..OWN as u64);
            let drawn = draw::values(generator, &own, device)?;
            for values in drawn.chunks_exact(wanted) {
                let guessed = guesses(values, OWN_STARTS);
                of.extend(guessed.iter().map(|_| pictures.len()));
                starts.extend(guessed);
                pictures.push(values.to_vec());
            }
        }
        let z = draw::tensor(&starts, device);
        let target: Vec<f32> = of.iter().flat_map(|&picture| pictures[picture].iter().copied()).collect();
        let shape = [of.len(), config.channels, config.size, config.size];
        let target = Tensor::<4>::from_data(TensorData::new(target, shape), device);
        let first_of = |picture| of.iter().position(|&of| of == picture).unwrap_or(0);
        let wanted: Vec<Wanted> = pictures
            .iter()
            .enumerate()
            .map(|(i, values)| Wanted {
                fidelity: fidelity(values),
                error: f32::INFINITY,
                z: starts[first_of(i)].clone(),
            })
            .collect();
        let photo = &wanted[0].fidelity;
        let scale = Scale {
            own: known.unwrap_or_default(),
            average: photo.edges_lacking(&encoder.average).min(1.0),
            blurred: photo.blurred(),
        };
        Ok(Self {
            generator: generator.on_tape(),
            target: target.autodiff(),
            moments: None,
            z,
            settings,
            progress: Progress {
                step: 0,
                steps: settings.steps,
                z: wanted[0].z.clone(),
                error: f32::INFINITY,
                apart: encoder.apart,
                lacking: scale.average,
                scale,
            },
            of,
            wanted,
            device: device.clone(),
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
        self.take_best(&read)?;
        self.progress.step += 1;
        if let Some(grad) = z.grad_remove(&mut grads) {
            let share = self.progress.step as f64 / self.settings.steps.max(1) as f64;
            let (shape, rate) = (self.z.dims(), RATE * cosine_decay(share).max(FLOOR));
            let [z, grad] = [self.z.clone(), grad].map(|z| z.reshape([shape[0] * shape[1]]));
            self.z = ADAM.update(z, grad, &mut self.moments, rate).reshape(shape);
        }
        if self.progress.step == 1 || self.progress.step.is_multiple_of(COMPARED_EVERY) || self.done() {
            self.compare()?;
        }
        Ok(self.progress.clone())
    }

    /// Takes the z's whose squared errors are less than what was found before.
    fn take_best(&mut self, errors: &[f32]) -> Result<(), DrawError> {
        let mut values = None;
        for (picture, wanted) in self.wanted.iter_mut().enumerate() {
            let tried = (0..errors.len()).filter(|&i| self.of[i] == picture);
            let Some(best) = tried.min_by(|&a, &b| errors[a].total_cmp(&errors[b])) else { continue };
            if errors[best].sqrt() < wanted.error {
                let values = match &values {
                    Some(values) => values,
                    None => values.insert(draw::read(self.z.clone())?),
                };
                let z_dim = wanted.z.len();
                wanted.error = errors[best].sqrt();
                wanted.z = values[best * z_dim..(best + 1) * z_dim].to_vec();
            }
        }
        (self.progress.error, self.progress.z) = (self.wanted[0].error, self.wanted[0].z.clone());
        Ok(())
    }

    /// Compares what was found with what was wanted.
    fn compare(&mut self) -> Result<(), DrawError> {
        let found: Vec<Vec<f32>> = self.wanted.iter().map(|wanted| wanted.z.clone()).collect();
        let drawn = draw::values(&self.generator, &found, &self.device)?;
        let drawn = drawn.chunks_exact(self.generator.config().values());
        let lacking: Vec<f32> =
            self.wanted.iter().zip(drawn).map(|(wanted, drawn)| wanted.fidelity.lacking(drawn)).collect();
        self.progress.lacking = lacking[0];
        if lacking.len() > 1 {
            self.progress.scale.own = median(lacking[1..].to_vec());
        }
        Ok(())
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
        assert!(own.error < 0.5 * encoder.apart(), "{} of {}", own.error, own.apart);
        assert!(own.verdict() == Verdict::Drawn && own.position() < 0.2, "{own:?}");
        assert_eq!(own, run(&picture), "the same seed finds the same z");
        let noise = Picture::new(16, 16, 1, (0..256).map(|i: u32| ((i * 7919 + i * i * 31) % 256) as u8).collect());
        let foreign = run(&noise);
        assert!(!foreign.drawable() && foreign.position() > 0.7, "{foreign:?}");
        let blank = run(&Picture::new(16, 16, 1, vec![140; 256]));
        assert!(blank.verdict() != Verdict::Drawn, "{blank:?}");
        let small = Picture::new(4, 4, 1, vec![0; 16]);
        assert!(matches!(
            Projection::new(&generator, &encoder, &small, settings, &device),
            Err(ProjectError::Size { found: 16, wanted: 256 })
        ));
    }
}
