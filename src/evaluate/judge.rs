//! The network that tells a face's attributes.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;

use super::attributes::{Attribute, COINS, HAIRS, MEASURES, OUTPUTS, Verdict};
use super::disturb::disturb;
use super::statistics::{Share, pearson};
use crate::data::synth::{Scene, Truth};
use crate::data::to_channels;
use crate::image::Picture;
use crate::latent::{DrawError, read};
use crate::model::{Adam, Classifier, ModelConfig, Optimiser, Preset, keep_statistics, track};

/// Feature maps of the first layer.
const BASE: usize = 16;
/// Faces in a step.
const BATCH: usize = 64;
/// The largest learning rate; it falls as a cosine.
const RATE: f64 = 1e-3;
/// What an error of skin or turn counts beside an error of kind.
const MEASURE: f32 = 0.3;
/// Pictures judged at a time.
const JUDGED: usize = 256;
/// Keeps the faces that are learnt from apart from those that are held out, and both from anybody's training set.
const LEARNT: u64 = 0x6a75_6467_6521_0001;
const HELD: u64 = 0x6a75_6467_6521_0002;

/// How a judge is made.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Fitting {
    /// Most rendered faces that it learns from, and a quarter of which it is tried on.
    pub faces: usize,
    /// Steps of 64 faces.
    pub steps: usize,
    /// Probability from which on it is sure of what is of kinds.
    pub sure: f32,
    /// Decides faces, weights and disturbances.
    pub seed: u64,
}

impl Default for Fitting {
    fn default() -> Self {
        Self { faces: 8192, steps: 700, sure: 0.95, seed: 1 }
    }
}

impl Fitting {
    /// Faces that so many steps see.
    fn used(&self) -> usize {
        self.faces.min(self.steps * BATCH).max(1)
    }
}

/// Rendered faces and what is true of them.
struct Faces {
    pictures: Vec<Picture>,
    truths: Vec<Verdict>,
}

impl Faces {
    fn render(seed: u64, count: usize, config: &ModelConfig) -> Self {
        let one = |index: usize| {
            let sample = Scene::Faces.draw(seed, index as u64, config.size);
            let Truth::Face(face) = &sample.truth else { unreachable!("faces are faces") };
            (to_channels(&sample.picture, config.channels).into_owned(), Verdict::truth(face))
        };
        let (pictures, truths) = (0..count).into_par_iter().map(one).unzip();
        Self { pictures, truths }
    }
}

/// A network that was taught faces.
pub struct Judge {
    network: Classifier,
    config: ModelConfig,
    fitting: Fitting,
    device: Device,
}

impl Judge {
    /// Teaches one about pictures of `size` and `channels`. `progress` hears how many of the steps are done.
    ///
    /// The loss is cross entropy for what is of kinds, and the squared error for skin and turn; Adam.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn fit(
        size: usize,
        channels: usize,
        fitting: Fitting,
        device: &Device,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, DrawError> {
        let config = ModelConfig { size, channels, base: BASE, bias: true, ..ModelConfig::preset(Preset::Pytorch) };
        let faces = Faces::render(fitting.seed ^ LEARNT, fitting.used(), &config);
        let mut network = Classifier::new(&config, OUTPUTS, fitting.seed, device);
        let mut optimiser = Optimiser::new(Adam::default(), &network.layers);
        for step in 0..fitting.steps {
            let chosen: Vec<usize> = (0..BATCH).map(|i| (step * BATCH + i) % faces.pictures.len()).collect();
            let pictures = chosen.iter().map(|&i| &faces.pictures[i]);
            let first = (step * BATCH) as u64;
            let values = self::values(pictures, &config, |values, i| {
                disturb(values, size, fitting.seed ^ LEARNT, first + i as u64);
            });
            let wanted: Vec<f32> = chosen.iter().flat_map(|&i| faces.truths[i].wanted()).collect();
            let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [BATCH, OUTPUTS]), device);
            let mut tracked = network.clone();
            track(&mut tracked.layers);
            let given = tracked.train(tensor(values, &config, device).autodiff());
            let mut grads = loss(given, wanted.autodiff()).backward();
            keep_statistics(&mut network.layers, &tracked.layers);
            let share = step as f64 / fitting.steps as f64;
            let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
            optimiser.update(&mut network.layers, &tracked.layers, &mut grads, rate);
            progress(step + 1);
        }
        Ok(Self { network, config, fitting, device: device.clone() })
    }

    /// What each picture shows. They must be of the judge's size and channels.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn verdicts(&self, pictures: &[Picture]) -> Result<Vec<Verdict>, DrawError> {
        self.judge(pictures, &|_, _| {})
    }

    fn judge(
        &self,
        pictures: &[Picture],
        change: &(dyn Fn(&mut [f32], usize) + Sync),
    ) -> Result<Vec<Verdict>, DrawError> {
        let mut verdicts = Vec::with_capacity(pictures.len());
        for (part, pictures) in pictures.chunks(JUDGED).enumerate() {
            let values = values(pictures.iter(), &self.config, |values, i| change(values, part * JUDGED + i));
            let outputs = read(self.network.judge(tensor(values, &self.config, &self.device)))?;
            verdicts.extend(outputs.chunks_exact(OUTPUTS).map(|row| Verdict::told(row, self.fitting.sure)));
        }
        Ok(verdicts)
    }

    /// How right it is about faces that it did not learn from: as rendered, and disturbed.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn held_out(&self) -> Result<HeldOut, DrawError> {
        let count = self.fitting.used().div_ceil(4);
        let seed = self.fitting.seed ^ HELD;
        let faces = Faces::render(seed, count, &self.config);
        let clean = self.verdicts(&faces.pictures)?;
        let size = self.config.size;
        let disturbed = self.judge(&faces.pictures, &|values, i| disturb(values, size, seed, i as u64))?;
        let told = |&attribute: &Attribute| Told::compare(attribute, &faces.truths, &clean, &disturbed);
        Ok(HeldOut { faces: count, told: Attribute::ALL.iter().map(told).collect() })
    }
}

/// `[pictures, channels, size, size]` in [-1, 1], each changed by its number.
fn values<'a>(
    pictures: impl Iterator<Item = &'a Picture>,
    config: &ModelConfig,
    change: impl Fn(&mut [f32], usize) + Sync,
) -> Vec<f32> {
    let pictures: Vec<_> = pictures.collect();
    let mut values = vec![0.0; pictures.len() * config.values()];
    values.par_chunks_exact_mut(config.values()).zip(&pictures).enumerate().for_each(|(i, (values, picture))| {
        picture.write_chw(values);
        change(values, i);
    });
    values
}

fn tensor(values: Vec<f32>, config: &ModelConfig, device: &Device) -> Tensor<4> {
    let count = values.len() / config.values();
    Tensor::from_data(TensorData::new(values, [count, config.channels, config.size, config.size]), device)
}

/// The sum of all attributes' losses, each a mean over the pictures.
fn loss(given: Tensor<2>, wanted: Tensor<2>) -> Tensor<1> {
    let [count, _] = given.dims();
    let part = |of: &Tensor<2>, columns: std::ops::Range<usize>| of.clone().slice([0..count, columns]);
    let coins = log_sigmoid(part(&given, COINS) * part(&wanted, COINS)).sum().neg();
    let styles = (log_softmax(part(&given, HAIRS), 1) * part(&wanted, HAIRS)).sum().neg();
    let measures = (part(&given, MEASURES) - part(&wanted, MEASURES)).square().sum() * MEASURE;
    (coins + styles + measures) / count as f32
}

/// How right a judge is about faces that it did not learn from.
#[derive(Debug, Clone, Serialize)]
pub struct HeldOut {
    /// How many there were.
    pub faces: usize,
    /// By attribute.
    pub told: Vec<Told>,
}

/// How right it is about one attribute.
#[derive(Debug, Clone, Serialize)]
pub struct Told {
    /// Which.
    pub attribute: Attribute,
    /// Right, of faces as rendered.
    pub clean: Share,
    /// Right, of faces that were blurred, tinted and stained.
    pub disturbed: Share,
    /// Right, of those disturbed ones of which it was sure.
    pub sure: Share,
    /// Correlation of a continuous attribute with the truth, disturbed.
    pub correlation: Option<f64>,
}

impl Told {
    fn compare(attribute: Attribute, truths: &[Verdict], clean: &[Verdict], disturbed: &[Verdict]) -> Self {
        let right = |told: &[Verdict], sure: bool| {
            let mut share = Share::default();
            for (told, truth) in told.iter().zip(truths) {
                if !sure || told.sure_value(attribute).is_some() {
                    share.count(told.value(attribute) == truth.value(attribute));
                }
            }
            share
        };
        let measure = |verdicts: &[Verdict]| -> Option<Vec<f64>> {
            match attribute {
                Attribute::Skin => Some(verdicts.iter().map(|verdict| f64::from(verdict.skin)).collect()),
                Attribute::Turn => Some(verdicts.iter().map(|verdict| f64::from(verdict.turn)).collect()),
                _ => None,
            }
        };
        let correlation = measure(truths).zip(measure(disturbed)).and_then(|(truth, told)| pearson(&truth, &told));
        Self {
            attribute,
            clean: right(clean, false),
            disturbed: right(disturbed, false),
            sure: right(disturbed, true),
            correlation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_small_where_the_outputs_are_right_and_large_where_they_are_not() {
        let truth = Faces::render(1, 1, &ModelConfig { size: 16, ..ModelConfig::preset(Preset::Pytorch) }).truths[0];
        let device = Device::flex();
        let row =
            |values: [f32; OUTPUTS]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [1, OUTPUTS]), &device);
        let wanted = truth.wanted();
        let mut right = wanted.map(|v| v * 20.0);
        right[MEASURES].copy_from_slice(&wanted[MEASURES]);
        let of = |given: [f32; OUTPUTS]| loss(row(given), row(wanted)).into_scalar::<f32>();
        assert!(of(right) < 1e-3, "{}", of(right));
        let mut wrong = right;
        wrong[0] = -right[0];
        assert!((of(wrong) - 20.0).abs() < 0.1, "{}", of(wrong));
        let mut off = right;
        off[10] += 0.5;
        assert!((of(off) - of(right) - MEASURE * 0.25).abs() < 1e-3);
    }

    #[test]
    fn a_short_teaching_tells_what_is_large() {
        let fitting = Fitting { faces: 2048, steps: 90, ..Fitting::default() };
        for channels in [1, 3] {
            let mut heard = 0;
            let judge = Judge::fit(16, channels, fitting, &Device::flex(), &mut |step| heard = step).unwrap();
            assert_eq!(heard, 90);
            let held = judge.held_out().unwrap();
            assert_eq!(held.faces, 512);
            let told = |attribute: Attribute| &held.told[attribute.index()];
            let hair = told(Attribute::Hair).clean.wilson().unwrap();
            assert!(hair.low > 0.4, "{hair:?}, where chance gives a sixth");
            assert!(told(Attribute::Turn).correlation.unwrap() > 0.3, "{:?}", told(Attribute::Turn));
            assert!(told(Attribute::Smile).correlation.is_none());
        }
    }
}
