//! [`SupervisedBaseline`]: the discriminator's architecture trained on the labels, the baseline of section 5.2.

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::error::EvaluationError;
use super::labeled::LabeledSet;
use super::statistics::Proportion;
use super::svm::argmax;
use crate::device::{ComputeError, read_tensor};
use crate::image::Picture;
use crate::model::{Classifier, FitSchedule, ModelConfig, fit, picture_tensor};
use crate::progress::Progress;

/// Training images per step.
const BATCH: usize = 64;
/// Learning rate of the first step; it decays as a cosine.
const RATE: f64 = 5e-4;
/// The least number of steps, however few labels there are.
const MIN_STEPS: usize = 600;
/// How often accuracy is measured on the validation images, and on how many of them at most.
const VALIDATIONS: usize = 20;
const VALIDATION_IMAGES: usize = 2000;
/// Images classified at a time.
const TEST_BATCH: usize = 256;

/// A network of the discriminator's architecture with an output per class.
#[derive(Clone)]
pub(super) struct SupervisedBaseline {
    network: Classifier,
    config: ModelConfig,
    device: Device,
    /// Accuracy on the validation images.
    pub validation: Proportion,
}

impl SupervisedBaseline {
    /// Trains on the images `rows` for `epochs`, but at least 600 steps, and returns the network with the best accuracy on the
    /// `validation` images. Cross entropy loss, Adam, no augmentation.
    ///
    /// # Errors
    /// [`EvaluationError`]: the device fails, or `progress` cancels.
    pub fn fit(
        config: &ModelConfig,
        set: &LabeledSet,
        [rows, validation]: [&[usize]; 2],
        (epochs, seed): (usize, u64),
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, EvaluationError> {
        let classes = set.classes.len();
        let mut network = Classifier::new(config, classes, seed, device);
        let (mut rng, mut order) = (ChaCha8Rng::seed_from_u64(seed), rows.to_vec());
        let per_epoch = rows.len().div_ceil(BATCH).max(1);
        let steps = (epochs * per_epoch).max(MIN_STEPS);
        let interval = steps.div_ceil(VALIDATIONS);
        let validation: Vec<usize> = validation.iter().copied().take(VALIDATION_IMAGES).collect();
        let loss = |step: usize, network: &mut Classifier| {
            let first = step % per_epoch * BATCH;
            if first == 0 {
                order.shuffle(&mut rng);
            }
            let batch = &order[first..(first + BATCH).min(order.len())];
            let pictures: Vec<Picture> = batch.iter().map(|&row| set.pictures[row].clone()).collect();
            let mut targets = vec![0.0f32; batch.len() * classes];
            for (i, &row) in batch.iter().enumerate() {
                targets[i * classes + set.labels[row]] = 1.0;
            }
            let targets = Tensor::<2>::from_data(TensorData::new(targets, [batch.len(), classes]), device).autodiff();
            let logits = network.train(picture_tensor(&pictures, config, device).autodiff());
            (log_softmax(logits, 1) * targets).sum().neg() / batch.len() as f32
        };
        let mut best = None::<Self>;
        fit(&mut network, FitSchedule { steps, rate: RATE, floor: 0.0 }, loss, |step, network, _| {
            progress("training a supervised network", step, steps)?;
            if step % interval == 0 || step == steps {
                let (network, config, device) = (network.clone(), config.clone(), device.clone());
                let mut newest = Self { network, config, device, validation: Proportion::default() };
                newest.validation = newest.accuracy(set, &validation)?;
                if best.as_ref().is_none_or(|best| best.validation.hits < newest.validation.hits) {
                    best = Some(newest);
                }
            }
            Ok::<_, EvaluationError>(())
        })?;
        Ok(best.expect("the network is validated after the last step"))
    }

    /// Accuracy on the images `rows`.
    pub fn accuracy(&self, set: &LabeledSet, rows: &[usize]) -> Result<Proportion, ComputeError> {
        let mut accuracy = Proportion::default();
        for rows in rows.chunks(TEST_BATCH) {
            let pictures: Vec<Picture> = rows.iter().map(|&row| set.pictures[row].clone()).collect();
            let logits = read_tensor(self.network.logits(picture_tensor(&pictures, &self.config, &self.device)))?;
            for (logits, &row) in logits.chunks_exact(set.classes.len()).zip(rows) {
                accuracy.count(argmax(logits).0 == set.labels[row]);
            }
        }
        Ok(accuracy)
    }
}
