//! The Adam optimizer (Kingma and Ba 2014) for the trainable parameters of a network's layers.
//!
//! A training step: [`require_grad`] on a copy of the layers, forward and backward pass with the copy, then
//! [`AdamOptimizer::update`] on the layers and [`copy_running_statistics`] from the copy.

use burn::tensor::{Gradients, Tensor};

use super::kernels::{self, AdamState, AdamStep};
use super::layer::Layer;

/// Adam's hyperparameters. The learning rate is an argument of each update, since it may change during training.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamSettings {
    /// Decay rate of the first moment, in [0, 1).
    pub beta1: f32,
    /// Decay rate of the second moment, in [0, 1).
    pub beta2: f32,
    /// Added to the square root of the second moment.
    pub epsilon: f32,
    /// L2 penalty on all trainable parameters.
    pub decay: f32,
}

impl Default for AdamSettings {
    /// The usual values for classifiers, with `beta1` 0.9, which is too high for GANs.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0 }
    }
}

/// Adam's state of one parameter. Both moments have the parameter's length.
#[derive(Debug, Clone)]
pub struct Moments {
    /// First moment: running mean of the gradients.
    pub first: Tensor<1>,
    /// Second moment: running mean of the squared gradients.
    pub second: Tensor<1>,
    /// Number of updates so far.
    pub time: u32,
}

/// The Adam optimizer with the moments of each trainable parameter.
#[derive(Debug, Clone)]
pub struct AdamOptimizer {
    adam: AdamSettings,
    /// Moments by parameter in file order; `None` before a parameter's first update.
    pub moments: Vec<Option<Moments>>,
}

impl AdamOptimizer {
    /// An optimizer for the trainable parameters of `layers`, without moments.
    pub fn new(adam: AdamSettings, layers: &[Layer]) -> Self {
        Self { adam, moments: vec![None; layers.iter().flat_map(Layer::parameters).count()] }
    }

    /// Updates `layers` at learning rate `rate` with the gradients of `tracked`, their copies on the autodiff tape
    /// ([`require_grad`]). Returns the norm `[1]` of all gradients.
    pub fn update(&mut self, layers: &mut [Layer], tracked: &[Layer], grads: &mut Gradients, rate: f64) -> Tensor<1> {
        self.update_scaled(layers, tracked, grads, rate, 1.0)
    }

    /// As [`Self::update`], for a loss that was multiplied by `scale`. The gradients, and the returned norm, are
    /// unscaled.
    pub fn update_scaled(
        &mut self,
        layers: &mut [Layer],
        tracked: &[Layer],
        grads: &mut Gradients,
        rate: f64,
        scale: f32,
    ) -> Tensor<1> {
        let mut squares = Tensor::zeros([kernels::SQUARES], &layers[0].weight.value.device());
        let parameters = layers.iter_mut().flat_map(Layer::parameters_mut);
        let leaves = tracked.iter().flat_map(Layer::parameters);
        for ((parameter, leaf), moments) in parameters.zip(leaves).zip(&mut self.moments) {
            let Some(grad) = leaf.value.grad_remove(grads) else { continue };
            [parameter.value, squares] =
                self.adam.apply(parameter.value.clone(), grad, moments, squares, (rate, f64::from(scale)));
        }
        squares.sum().sqrt()
    }
}

impl AdamSettings {
    /// Updates a single tensor with its gradient at learning rate `rate`; `moments` is `None` before the first update.
    pub fn update(&self, value: Tensor<1>, gradient: Tensor<1>, moments: &mut Option<Moments>, rate: f64) -> Tensor<1> {
        let squares = Tensor::zeros([kernels::SQUARES], &value.device());
        let [value, _] = self.apply(value, gradient, moments, squares, (rate, 1.0));
        value
    }

    /// Returns the updated value, and `squares` plus the squares of `gradient`, which belongs to a loss multiplied by
    /// `scale`.
    fn apply(
        &self,
        value: Tensor<1>,
        gradient: Tensor<1>,
        moments: &mut Option<Moments>,
        squares: Tensor<1>,
        (rate, scale): (f64, f64),
    ) -> [Tensor<1>; 2] {
        let Moments { first, second, time } = moments.take().unwrap_or_else(|| {
            let zeros = gradient.zeros_like();
            Moments { first: zeros.clone(), second: zeros, time: 0 }
        });
        let step = AdamStep { unscale: 1.0 / scale, ..self.step(rate, time + 1) };
        let state = AdamState { value, gradient, first, second };
        let [value, first, second, squares] = kernels::adam(state, squares, step);
        *moments = Some(Moments { first, second, time: time + 1 });
        [value, squares]
    }

    /// The kernel's arguments for update number `time` (the first is 1), including the bias corrections.
    fn step(&self, rate: f64, time: u32) -> AdamStep {
        let [beta1, beta2] = [self.beta1, self.beta2].map(f64::from);
        let [mean, square] = [beta1, beta2].map(|beta| 1.0 - beta.powi(time as i32));
        AdamStep {
            beta1,
            beta2,
            rate: rate * square.sqrt() / mean,
            floor: f64::from(self.epsilon) * square.sqrt(),
            decay: self.decay.into(),
            unscale: 1.0,
        }
    }
}

/// Puts every trainable parameter of the layers on the autodiff tape as a leaf that requires a gradient.
pub fn require_grad(layers: &mut [Layer]) {
    for parameter in layers.iter_mut().flat_map(Layer::parameters_mut) {
        parameter.value = parameter.value.clone().autodiff().require_grad();
    }
}

/// Copies the running statistics of `from`, which its training pass updated, to `to`.
pub fn copy_running_statistics(to: &mut [Layer], from: &[Layer]) {
    for (to, from) in to.iter_mut().zip(from) {
        if let (Some(to), Some(from)) = (&mut to.norm, &from.norm) {
            to.mean.value = from.mean.value.clone();
            to.variance.value = from.variance.value.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::optim::{AdamConfig, Optimizer, decay::WeightDecayConfig};
    use burn::tensor::Device;

    use super::*;

    #[test]
    fn updates_agree_with_burns_adam() {
        let device = Device::flex();
        let noise = |seed: usize| {
            let values: Vec<f32> =
                (0..40_000).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1000.0 - 1.0).collect();
            Tensor::<1>::from_floats(values.as_slice(), &device)
        };
        for decay in [0.0, 1e-3] {
            let adam = AdamSettings { beta1: 0.5, beta2: 0.999, epsilon: 1e-8, decay };
            let mut config = AdamConfig::new().with_beta_1(0.5).with_beta_2(0.999).with_epsilon(1e-8);
            if decay > 0.0 {
                config = config.with_weight_decay(Some(WeightDecayConfig::new(decay)));
            }
            let burns = config.build();
            let (mut ours, mut theirs, mut state) = (noise(0), noise(0), None);
            let (mut first, mut second) = (ours.zeros_like(), ours.zeros_like());
            for time in 1..6 {
                let grad = noise(time);
                (theirs, state) = burns.step(2e-4, theirs, grad.clone(), state);
                let squares = Tensor::zeros([kernels::SQUARES], &device);
                let inputs = AdamState { value: ours, gradient: grad, first, second };
                [ours, first, second, _] = kernels::adam(inputs, squares, adam.step(2e-4, time as u32));
            }
            let (ours, theirs) = (ours.into_data(), theirs.into_data());
            for (ours, theirs) in ours.iter::<f32>().zip(theirs.iter::<f32>()) {
                assert!((ours - theirs).abs() < 1e-6, "{ours} is not {theirs}");
            }
        }
    }
}
