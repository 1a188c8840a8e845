//! Adam over the learnt parameters of some layers: of the networks in training, and of the small ones that measure them.

use burn::optim::{Adam, AdamConfig, AdamState, Optimizer};
use burn::tensor::{Gradients, Tensor};

use super::layer::Layer;

/// Adam, with one state for each learnt parameter of its layers.
#[derive(Clone)]
pub struct Optimiser {
    adam: Adam,
    /// In file order; `None` before a parameter's first update.
    pub states: Vec<Option<AdamState<1>>>,
}

impl Optimiser {
    /// A fresh one for `layers`.
    pub fn new(config: &AdamConfig, layers: &[Layer]) -> Self {
        Self { adam: config.build(), states: vec![None; layers.iter().flat_map(Layer::learnt).count()] }
    }

    /// One update of `layers` by the gradients that were found at `tracked`, their copies on the tape ([`track`]);
    /// returns the gradients' norm `[1]`.
    pub fn update(&mut self, layers: &mut [Layer], tracked: &[Layer], grads: &mut Gradients, rate: f64) -> Tensor<1> {
        let mut squares = Tensor::zeros([1], &layers[0].weight.value.device());
        let parameters = layers.iter_mut().flat_map(Layer::learnt_mut);
        let leaves = tracked.iter().flat_map(Layer::learnt);
        for ((parameter, leaf), state) in parameters.zip(leaves).zip(&mut self.states) {
            let Some(grad) = leaf.value.grad_remove(grads) else { continue };
            squares = squares + grad.clone().square().sum();
            let (value, next) = self.adam.step(rate, parameter.value.clone(), grad, state.take());
            parameter.value = value;
            *state = next;
        }
        squares.sqrt()
    }
}

/// Gives every learnt parameter of the layers its place on the tape.
pub fn track(layers: &mut [Layer]) {
    for parameter in layers.iter_mut().flat_map(Layer::learnt_mut) {
        parameter.value = parameter.value.clone().autodiff().require_grad();
    }
}
