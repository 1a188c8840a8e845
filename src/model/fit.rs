//! The training loop of the small networks that measure images: [`fit`] runs Adam with a learning rate that decays as a
//! cosine.
//!
//! GAN training has its own loop, in `train`: there two networks alternate, and the learning rate is constant.

use burn::tensor::Tensor;

use super::adam::{AdamOptimizer, AdamSettings, copy_running_statistics, require_grad};
use super::layer::Layer;
use super::{Autoencoder, Classifier, Segmenter};

/// A network that [`fit`] can train.
pub trait Trainable: Clone {
    /// The layers that hold the parameters and the running statistics.
    fn layers_mut(&mut self) -> &mut [Layer];
}

impl Trainable for Autoencoder {
    fn layers_mut(&mut self) -> &mut [Layer] {
        &mut self.layers
    }
}

impl Trainable for Classifier {
    fn layers_mut(&mut self) -> &mut [Layer] {
        &mut self.layers
    }
}

impl Trainable for Segmenter {
    fn layers_mut(&mut self) -> &mut [Layer] {
        &mut self.layers
    }
}

/// How many steps [`fit`] takes, and its learning rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FitSchedule {
    /// Parameter updates.
    pub steps: usize,
    /// Learning rate of the first step.
    pub rate: f64,
    /// Lower bound of the learning rate, as a share of `rate`.
    pub floor: f64,
}

impl FitSchedule {
    /// The learning rate of a step, the first being 0.
    fn rate(&self, step: usize) -> f64 {
        self.rate * cosine_decay(step as f64 / self.steps as f64).max(self.floor)
    }
}

/// Cosine decay without restarts (Loshchilov and Hutter 2017): 1 at the start of the training (`share` 0), 0 at its end
/// (1).
pub fn cosine_decay(share: f64) -> f64 {
    0.5 * (1.0 + (std::f64::consts::PI * share).cos())
}

/// Trains `network` in place.
///
/// `loss` gets the number of the step, from 0, and a copy of the network whose parameters are on the autodiff tape; it
/// returns the loss `[1]` of a batch. The caller draws the batches, so that their order is the caller's seed's.
/// `after_step` gets the number of steps taken, the updated network, and the loss without its tape.
///
/// # Errors
/// The first error of `after_step`, which ends the training.
pub fn fit<N: Trainable, E>(
    network: &mut N,
    schedule: FitSchedule,
    mut loss: impl FnMut(usize, &mut N) -> Tensor<1>,
    mut after_step: impl FnMut(usize, &N, Tensor<1>) -> Result<(), E>,
) -> Result<(), E> {
    let mut optimizer = AdamOptimizer::new(AdamSettings::default(), network.layers_mut());
    for step in 0..schedule.steps {
        let mut tracked = network.clone();
        require_grad(tracked.layers_mut());
        let loss = loss(step, &mut tracked);
        let mut gradients = loss.backward();
        copy_running_statistics(network.layers_mut(), tracked.layers_mut());
        optimizer.update(network.layers_mut(), tracked.layers_mut(), &mut gradients, schedule.rate(step));
        after_step(step + 1, network, loss.inner())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use burn::tensor::Device;

    use super::*;

    #[test]
    fn rate_decays_from_its_start_to_its_floor() {
        let schedule = FitSchedule { steps: 100, rate: 2.0, floor: 0.01 };
        assert_eq!(schedule.rate(0), 2.0);
        assert!((schedule.rate(50) - 1.0).abs() < 1e-12);
        assert_eq!(schedule.rate(99), 0.02);
    }

    #[test]
    fn fitting_lowers_the_loss_and_an_error_ends_it() {
        let device = Device::flex();
        let mut network = Autoencoder::new(6, 3, 1, &device);
        let batch = || Tensor::<2>::ones([4, 6], &device).autodiff();
        let loss = |_, network: &mut Autoencoder| {
            (network.reconstruct(batch(), Tensor::<2>::ones([4, 3], &device).autodiff()) - batch()).square().mean()
        };
        let schedule = FitSchedule { steps: 60, rate: 1e-2, floor: 0.0 };
        let mut losses = Vec::new();
        let Ok(()) = fit(&mut network, schedule, loss, |_, _, loss| {
            losses.push(loss.into_scalar::<f32>());
            Ok::<_, Infallible>(())
        });
        assert!(losses.len() == 60 && losses[59] < 0.8 * losses[0], "{losses:?}");
        let stopped = fit(&mut network, schedule, loss, |step, _, _| if step < 3 { Ok(()) } else { Err(step) });
        assert_eq!(stopped, Err(3));
    }
}
