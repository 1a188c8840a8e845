//! Adam (Kingma and Ba 2014) over the learnt parameters of some layers: of the networks in training, and of the small ones
//! that measure them.

use burn::tensor::{Gradients, Tensor};

use super::kernels::{self, AdamState, AdamStep};
use super::layer::Layer;

/// Adam's numbers. The learning rate is given with each update, since it may change meanwhile.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adam {
    /// Share of the mean that is kept in an update.
    pub beta1: f32,
    /// Share of the mean square that is kept.
    pub beta2: f32,
    /// Added to the root of the mean square.
    pub epsilon: f32,
    /// L2 penalty on the weights.
    pub decay: f32,
}

impl Default for Adam {
    /// What fits ordinary networks, and not GANs: a first momentum of 0.9.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decay: 0.0 }
    }
}

/// What Adam remembers of a parameter's gradients, each as long as the parameter.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean.
    pub first: Tensor<1>,
    /// Mean square.
    pub second: Tensor<1>,
    /// Updates so far.
    pub time: u32,
}

/// Adam, with the moments of each learnt parameter of its layers.
#[derive(Debug, Clone)]
pub struct Optimiser {
    adam: Adam,
    /// In file order; `None` before a parameter's first update.
    pub moments: Vec<Option<Moments>>,
}

impl Optimiser {
    /// A fresh one for `layers`.
    pub fn new(adam: Adam, layers: &[Layer]) -> Self {
        Self { adam, moments: vec![None; layers.iter().flat_map(Layer::learnt).count()] }
    }

    /// One update of `layers` by the gradients that were found at `tracked`, their copies on the tape ([`track`]);
    /// returns the gradients' norm `[1]`.
    pub fn update(&mut self, layers: &mut [Layer], tracked: &[Layer], grads: &mut Gradients, rate: f64) -> Tensor<1> {
        self.update_scaled(layers, tracked, grads, rate, 1.0)
    }

    /// [`Self::update`] by the gradients of a loss that was multiplied by `scale`; the norm is that of the loss itself.
    pub fn update_scaled(
        &mut self,
        layers: &mut [Layer],
        tracked: &[Layer],
        grads: &mut Gradients,
        rate: f64,
        scale: f32,
    ) -> Tensor<1> {
        let mut squares = Tensor::zeros([kernels::SQUARES], &layers[0].weight.value.device());
        let parameters = layers.iter_mut().flat_map(Layer::learnt_mut);
        let leaves = tracked.iter().flat_map(Layer::learnt);
        for ((parameter, leaf), moments) in parameters.zip(leaves).zip(&mut self.moments) {
            let Some(grad) = leaf.value.grad_remove(grads) else { continue };
            [parameter.value, squares] =
                self.adam.apply(parameter.value.clone(), grad, moments, squares, (rate, f64::from(scale)));
        }
        squares.sum().sqrt()
    }
}

impl Adam {
    /// One update of a single tensor by its gradient; `moments` is `None` before the first.
    pub fn update(&self, value: Tensor<1>, gradient: Tensor<1>, moments: &mut Option<Moments>, rate: f64) -> Tensor<1> {
        let squares = Tensor::zeros([kernels::SQUARES], &value.device());
        let [value, _] = self.apply(value, gradient, moments, squares, (rate, 1.0));
        value
    }

    /// The updated value, and `squares` with the squares of `gradient`, which is that of a loss multiplied by `scale`.
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
        let [value, first, second, squares] =
            kernels::adam(AdamState { value, gradient, first, second }, squares, step);
        *moments = Some(Moments { first, second, time: time + 1 });
        [value, squares]
    }

    /// The numbers of update `time` (the first is 1), its bias corrections among them.
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

/// Gives every learnt parameter of the layers its place on the tape.
pub fn track(layers: &mut [Layer]) {
    for parameter in layers.iter_mut().flat_map(Layer::learnt_mut) {
        parameter.value = parameter.value.clone().autodiff().require_grad();
    }
}

/// Copies the running statistics that a pass through `from` moved.
pub fn keep_statistics(to: &mut [Layer], from: &[Layer]) {
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
    fn updates_are_those_of_burns_adam() {
        let device = Device::flex();
        let noise = |seed: usize| {
            let values: Vec<f32> =
                (0..40_000).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1000.0 - 1.0).collect();
            Tensor::<1>::from_floats(values.as_slice(), &device)
        };
        for decay in [0.0, 1e-3] {
            let adam = Adam { beta1: 0.5, beta2: 0.999, epsilon: 1e-8, decay };
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
                let of = AdamState { value: ours, gradient: grad, first, second };
                [ours, first, second, _] = kernels::adam(of, squares, adam.step(2e-4, time as u32));
            }
            let (ours, theirs) = (ours.into_data(), theirs.into_data());
            for (ours, theirs) in ours.iter::<f32>().zip(theirs.iter::<f32>()) {
                assert!((ours - theirs).abs() < 1e-6, "{ours} is not {theirs}");
            }
        }
    }
}
