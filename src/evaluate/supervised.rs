//! What the same convolutions learn from the labels alone: the supervised network that the paper compares with (5.2).

use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::error::MeasureError;
use super::features::tensor;
use super::labelled::Labelled;
use super::statistics::Share;
use super::svm::highest;
use crate::image::Picture;
use crate::latent::{DrawError, read};
use crate::model::{Adam, Classifier, ModelConfig, Optimiser, keep_statistics, track};
use crate::progress::Progress;

/// Pictures in a step.
const BATCH: usize = 64;
/// The largest learning rate; it falls as a cosine.
const RATE: f64 = 5e-4;
/// Fewest steps, however few labels there are.
const STEPS: usize = 600;
/// How often it is tried on the validation pictures, and on how many of them at most.
const TRIES: usize = 20;
const TRIED_ON: usize = 2000;
/// Pictures judged at a time.
const JUDGED: usize = 256;

/// A network of the discriminator's shape with an output for each class.
#[derive(Clone)]
pub(super) struct Supervised {
    network: Classifier,
    config: ModelConfig,
    device: Device,
    /// Right, of the validation pictures.
    pub validation: Share,
}

impl Supervised {
    /// Learns from the pictures `rows`, for `epochs` passes or 600 steps. What it was when it did best on those of
    /// `validation` is kept. Cross entropy, Adam, no augmentation.
    ///
    /// # Errors
    /// [`MeasureError`]: the device fails, or `progress` cancels.
    pub fn fit(
        config: &ModelConfig,
        set: &Labelled,
        [rows, validation]: [&[usize]; 2],
        (epochs, seed): (usize, u64),
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, MeasureError> {
        let classes = set.classes.len();
        let network = Classifier::new(config, classes, seed, device);
        let mut newest = Self { network, config: config.clone(), device: device.clone(), validation: Share::default() };
        let mut optimiser = Optimiser::new(Adam::default(), &newest.network.layers);
        let (mut rng, mut order) = (ChaCha8Rng::seed_from_u64(seed), rows.to_vec());
        let of_epoch = rows.len().div_ceil(BATCH).max(1);
        let steps = (epochs * of_epoch).max(STEPS);
        let every = steps.div_ceil(TRIES);
        let tried_on: Vec<usize> = validation.iter().copied().take(TRIED_ON).collect();
        let mut best = None::<Self>;
        for step in 0..steps {
            let first = step % of_epoch * BATCH;
            if first == 0 {
                order.shuffle(&mut rng);
            }
            let chosen = &order[first..(first + BATCH).min(order.len())];
            let pictures: Vec<Picture> = chosen.iter().map(|&row| set.pictures[row].clone()).collect();
            let mut wanted = vec![0.0f32; chosen.len() * classes];
            for (i, &row) in chosen.iter().enumerate() {
                wanted[i * classes + set.labels[row]] = 1.0;
            }
            let wanted = Tensor::<2>::from_data(TensorData::new(wanted, [chosen.len(), classes]), device).autodiff();
            let mut tracked = newest.network.clone();
            track(&mut tracked.layers);
            let given = tracked.train(tensor(&pictures, config, device).autodiff());
            let loss = (log_softmax(given, 1) * wanted).sum().neg() / chosen.len() as f32;
            let mut grads = loss.backward();
            keep_statistics(&mut newest.network.layers, &tracked.layers);
            let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
            optimiser.update(&mut newest.network.layers, &tracked.layers, &mut grads, rate);
            progress("training a supervised network", step + 1, steps)?;
            if (step + 1) % every == 0 || step + 1 == steps {
                newest.validation = newest.right(set, &tried_on)?;
                if best.as_ref().is_none_or(|best| best.validation.hits < newest.validation.hits) {
                    best = Some(newest.clone());
                }
            }
        }
        Ok(best.unwrap_or(newest))
    }

    /// How many of the pictures `rows` it tells right.
    pub fn right(&self, set: &Labelled, rows: &[usize]) -> Result<Share, DrawError> {
        let mut share = Share::default();
        for rows in rows.chunks(JUDGED) {
            let pictures: Vec<Picture> = rows.iter().map(|&row| set.pictures[row].clone()).collect();
            let outputs = read(self.network.judge(tensor(&pictures, &self.config, &self.device)))?;
            for (outputs, &row) in outputs.chunks_exact(set.classes.len()).zip(rows) {
                share.count(highest(outputs).0 == set.labels[row]);
            }
        }
        Ok(share)
    }
}
