//! [`AttributeClassifier`]: a small network that recognizes the attributes of faces.

use burn::tensor::activation::{log_sigmoid, log_softmax};
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;

use super::attributes::{Attribute, BINARY, CONTINUOUS, FaceAttributes, HAIR, OUTPUTS};
use super::corruption::corrupt;
use crate::data::synth::{Scene, Truth};
use crate::data::to_channels;
use crate::device::{ComputeError, read_tensor};
use crate::evaluate::statistics::{Proportion, pearson};
use crate::image::Picture;
use crate::model::{Classifier, FitSchedule, ModelConfig, Preset, fit};

/// Feature maps of the first layer.
const BASE: usize = 16;
/// Faces per training step.
const BATCH: usize = 64;
/// Learning rate of the first step; it decays as a cosine.
const RATE: f64 = 1e-3;
/// Weight of the squared error of skin and turn in the loss.
const CONTINUOUS_WEIGHT: f32 = 0.3;
/// Images classified at a time.
const CLASSIFY_BATCH: usize = 256;
/// Combined with the seed, so that training faces, test faces, and anyone's data set are different faces.
const TRAINING_SEED: u64 = 0x6a75_6467_6521_0001;
const TEST_SEED: u64 = 0x6a75_6467_6521_0002;

/// How an [`AttributeClassifier`] is trained.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct AttributeClassifierSettings {
    /// The most rendered training faces; a quarter as many test it.
    pub faces: usize,
    /// Training steps of 64 faces.
    pub steps: usize,
    /// The least probability of a confident prediction.
    #[serde(rename = "sure")]
    pub confidence: f32,
    /// Seed of faces, weights and corruption.
    pub seed: u64,
}

impl Default for AttributeClassifierSettings {
    fn default() -> Self {
        Self { faces: 8192, steps: 700, confidence: 0.95, seed: 1 }
    }
}

impl AttributeClassifierSettings {
    /// Training faces that so many steps see.
    fn used_faces(&self) -> usize {
        self.faces.min(self.steps * BATCH).max(1)
    }
}

/// Rendered faces and their true attributes.
struct Faces {
    pictures: Vec<Picture>,
    truths: Vec<FaceAttributes>,
}

impl Faces {
    fn render(seed: u64, count: usize, config: &ModelConfig) -> Self {
        let one = |index: usize| {
            let sample = Scene::Faces.draw(seed, index as u64, config.size);
            let Truth::Face(face) = &sample.truth else { unreachable!("faces are faces") };
            (to_channels(&sample.picture, config.channels).into_owned(), FaceAttributes::from_truth(face))
        };
        let (pictures, truths) = (0..count).into_par_iter().map(one).unzip();
        Self { pictures, truths }
    }
}

/// A network trained on rendered faces.
pub struct AttributeClassifier {
    network: Classifier,
    config: ModelConfig,
    settings: AttributeClassifierSettings,
    device: Device,
}

impl AttributeClassifier {
    /// Trains a classifier of images of `size` and `channels`. `progress` gets the number of steps taken.
    ///
    /// The loss is cross entropy, and squared error for skin and turn; the optimizer is Adam.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn fit(
        size: usize,
        channels: usize,
        settings: AttributeClassifierSettings,
        device: &Device,
        progress: &mut dyn FnMut(usize),
    ) -> Result<Self, ComputeError> {
        let config = ModelConfig { size, channels, base: BASE, bias: true, ..ModelConfig::preset(Preset::Pytorch) };
        let seed = settings.seed ^ TRAINING_SEED;
        let faces = Faces::render(seed, settings.used_faces(), &config);
        let mut network = Classifier::new(&config, OUTPUTS, settings.seed, device);
        let batch_loss = |step: usize, network: &mut Classifier| {
            let batch: Vec<usize> = (0..BATCH).map(|i| (step * BATCH + i) % faces.pictures.len()).collect();
            let pictures = batch.iter().map(|&i| &faces.pictures[i]);
            let first = (step * BATCH) as u64;
            let values = values(pictures, &config, |values, i| corrupt(values, size, seed, first + i as u64));
            let targets: Vec<f32> = batch.iter().flat_map(|&i| faces.truths[i].targets()).collect();
            let targets = Tensor::<2>::from_data(TensorData::new(targets, [BATCH, OUTPUTS]), device);
            loss(network.train(tensor(values, &config, device).autodiff()), targets.autodiff())
        };
        let schedule = FitSchedule { steps: settings.steps, rate: RATE, floor: 0.0 };
        fit(&mut network, schedule, batch_loss, |step, _, _| {
            progress(step);
            Ok::<_, ComputeError>(())
        })?;
        Ok(Self { network, config, settings, device: device.clone() })
    }

    /// The attributes of each image, which must have the classifier's size and channels.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn classify(&self, pictures: &[Picture]) -> Result<Vec<FaceAttributes>, ComputeError> {
        self.classify_changed(pictures, &|_, _| {})
    }

    /// The attributes of images whose values `change` modifies, by their index.
    fn classify_changed(
        &self,
        pictures: &[Picture],
        change: &(dyn Fn(&mut [f32], usize) + Sync),
    ) -> Result<Vec<FaceAttributes>, ComputeError> {
        let mut attributes = Vec::with_capacity(pictures.len());
        for (number, pictures) in pictures.chunks(CLASSIFY_BATCH).enumerate() {
            let first = number * CLASSIFY_BATCH;
            let values = values(pictures.iter(), &self.config, |values, i| change(values, first + i));
            let outputs = read_tensor(self.network.logits(tensor(values, &self.config, &self.device)))?;
            let rows = outputs.chunks_exact(OUTPUTS);
            attributes.extend(rows.map(|row| FaceAttributes::from_outputs(row, self.settings.confidence)));
        }
        Ok(attributes)
    }

    /// Its accuracy on faces it was not trained on: clean, and corrupted.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn accuracy(&self) -> Result<ClassifierAccuracy, ComputeError> {
        let count = self.settings.used_faces().div_ceil(4);
        let seed = self.settings.seed ^ TEST_SEED;
        let faces = Faces::render(seed, count, &self.config);
        let clean = self.classify(&faces.pictures)?;
        let size = self.config.size;
        let corrupted = self.classify_changed(&faces.pictures, &|values, i| corrupt(values, size, seed, i as u64))?;
        let of = |&attribute: &Attribute| AttributeAccuracy::new(attribute, &faces.truths, &clean, &corrupted);
        Ok(ClassifierAccuracy { faces: count, by_attribute: Attribute::ALL.iter().map(of).collect() })
    }
}

/// Values `[pictures, channels, size, size]` in [-1, 1]; `change` modifies each image's by its index.
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

/// The sum of all attributes' losses, averaged over the batch.
fn loss(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [count, _] = outputs.dims();
    let columns = |of: &Tensor<2>, columns: std::ops::Range<usize>| of.clone().slice([0..count, columns]);
    let binary = log_sigmoid(columns(&outputs, BINARY) * columns(&targets, BINARY)).sum().neg();
    let hair = (log_softmax(columns(&outputs, HAIR), 1) * columns(&targets, HAIR)).sum().neg();
    let error = columns(&outputs, CONTINUOUS) - columns(&targets, CONTINUOUS);
    (binary + hair + error.square().sum() * CONTINUOUS_WEIGHT) / count as f32
}

/// The accuracy of a classifier on faces it was not trained on.
#[derive(Debug, Clone, Serialize)]
pub struct ClassifierAccuracy {
    /// Test faces.
    pub faces: usize,
    /// Accuracy by attribute, in the order of [`Attribute::ALL`].
    #[serde(rename = "told")]
    pub by_attribute: Vec<AttributeAccuracy>,
}

/// The accuracy of one attribute.
#[derive(Debug, Clone, Serialize)]
pub struct AttributeAccuracy {
    /// The attribute.
    pub attribute: Attribute,
    /// Accuracy on rendered faces.
    pub clean: Proportion,
    /// Accuracy on corrupted faces.
    #[serde(rename = "disturbed")]
    pub corrupted: Proportion,
    /// Accuracy of the confident predictions on corrupted faces.
    #[serde(rename = "sure")]
    pub confident: Proportion,
    /// Correlation of a continuous attribute with the truth, on corrupted faces.
    pub correlation: Option<f64>,
}

impl AttributeAccuracy {
    fn new(
        attribute: Attribute,
        truths: &[FaceAttributes],
        clean: &[FaceAttributes],
        corrupted: &[FaceAttributes],
    ) -> Self {
        let accuracy = |predictions: &[FaceAttributes], confident_only: bool| {
            let mut accuracy = Proportion::default();
            for (predicted, truth) in predictions.iter().zip(truths) {
                if !confident_only || predicted.confident_value(attribute).is_some() {
                    accuracy.count(predicted.value(attribute) == truth.value(attribute));
                }
            }
            accuracy
        };
        let continuous = |faces: &[FaceAttributes]| -> Option<Vec<f64>> {
            match attribute {
                Attribute::Skin => Some(faces.iter().map(|face| f64::from(face.skin)).collect()),
                Attribute::Turn => Some(faces.iter().map(|face| f64::from(face.turn)).collect()),
                _ => None,
            }
        };
        let correlation =
            continuous(truths).zip(continuous(corrupted)).and_then(|(truth, predicted)| pearson(&truth, &predicted));
        Self {
            attribute,
            clean: accuracy(clean, false),
            corrupted: accuracy(corrupted, false),
            confident: accuracy(corrupted, true),
            correlation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_is_small_for_correct_outputs_and_large_for_wrong_ones() {
        let truth = Faces::render(1, 1, &ModelConfig { size: 16, ..ModelConfig::preset(Preset::Pytorch) }).truths[0];
        let device = Device::flex();
        let row =
            |values: [f32; OUTPUTS]| Tensor::<2>::from_data(TensorData::new(values.to_vec(), [1, OUTPUTS]), &device);
        let targets = truth.targets();
        let mut correct = targets.map(|v| v * 20.0);
        correct[CONTINUOUS].copy_from_slice(&targets[CONTINUOUS]);
        let of = |outputs: [f32; OUTPUTS]| loss(row(outputs), row(targets)).into_scalar::<f32>();
        assert!(of(correct) < 1e-3, "{}", of(correct));
        let mut wrong = correct;
        wrong[0] = -correct[0];
        assert!((of(wrong) - 20.0).abs() < 0.1, "{}", of(wrong));
        let mut off = correct;
        off[10] += 0.5;
        assert!((of(off) - of(correct) - CONTINUOUS_WEIGHT * 0.25).abs() < 1e-3);
    }

    #[test]
    fn short_training_recognizes_large_attributes() {
        let settings = AttributeClassifierSettings { faces: 2048, steps: 90, ..AttributeClassifierSettings::default() };
        for channels in [1, 3] {
            let mut steps = 0;
            let classifier =
                AttributeClassifier::fit(16, channels, settings, &Device::flex(), &mut |step| steps = step).unwrap();
            assert_eq!(steps, 90);
            let accuracy = classifier.accuracy().unwrap();
            assert_eq!(accuracy.faces, 512);
            let of = |attribute: Attribute| &accuracy.by_attribute[attribute.index()];
            let hair = of(Attribute::Hair).clean.wilson().unwrap();
            assert!(hair.low > 0.4, "{hair:?}; chance is one in six");
            assert!(of(Attribute::Turn).correlation.unwrap() > 0.3, "{:?}", of(Attribute::Turn));
            assert!(of(Attribute::Smile).correlation.is_none());
        }
    }
}
