//! The generator: z to pictures (section 3, figure 1).

use burn::tensor::{Device, Tensor};

use super::ablation::Ablation;
use super::config::{ModelConfig, Output, Statistics};
use super::kernels;
use super::layer::{Initialiser, Layer, Parameter, Parameters, Pass};
use super::layout::Per;

/// z, projected to `[maps, 4, 4]` (up to 7x7), then doubled by fractionally-strided convolutions to the picture; batch norm and ReLU
/// everywhere but at the output, which is tanh. Networks of other programs may have LeakyReLU and a sigmoid.
#[derive(Clone, Debug)]
pub struct Generator {
    config: ModelConfig,
    /// `project`, then `up1`, `up2`, ... to the picture.
    pub layers: Vec<Layer>,
    ablations: Vec<Ablation>,
}

impl Generator {
    /// A generator with weights drawn by `seed`.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let Ok(drawn) = Self::build(config, &mut Initialiser::new(seed, 1, device));
        drawn
    }

    /// A generator of the parameters that `from` gives.
    ///
    /// # Errors
    /// What `from` says.
    pub(super) fn build<P: Parameters>(config: &ModelConfig, from: &mut P) -> Result<Self, P::Error> {
        let mut layers = Vec::new();
        let mut inputs = config.z_dim;
        for (i, plan) in config.layers().generator.iter().enumerate() {
            let name = if i == 0 { "project".to_owned() } else { format!("up{i}") };
            let shape = vec![inputs, plan.maps, plan.kernel, plan.kernel];
            let count = |per: Per| per.count(plan.maps, plan.maps * config.start().pow(2));
            layers.push(Layer::build(from, &name, shape, count(plan.bias), count(plan.norm))?);
            inputs = plan.maps;
        }
        Ok(Self { config: config.clone(), layers, ablations: Vec::new() })
    }

    /// The config it was built from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same generator, sampling under these ablations and no others. Training knows none.
    pub fn under(&self, ablations: &[Ablation]) -> Self {
        Self { ablations: ablations.to_vec(), ..self.clone() }
    }

    /// The same generator with rectifiers of another slope below zero.
    pub(super) fn leaking(&self, leak: f64) -> Self {
        Self { config: ModelConfig { leak, ..self.config.clone() }, ..self.clone() }
    }

    /// What it samples under.
    pub fn ablations(&self) -> &[Ablation] {
        &self.ablations
    }

    /// Pictures `[batch, channels, size, size]` in [-1, 1] of `z` `[batch, z_dim]`.
    pub fn sample(&self, z: Tensor<2>, statistics: Statistics) -> Tensor<4> {
        // A clone shares the tensors: nothing is copied, and sampling leaves the running statistics alone.
        self.clone().forward(z, Pass::Sample(statistics), |_, _| ())
    }

    /// Like [`Self::sample`] with batch statistics, which also move the running ones.
    pub fn train(&mut self, z: Tensor<2>) -> Tensor<4> {
        self.forward(z, Pass::Train, |_, _| ())
    }

    /// Sets the running statistics to those of the batch `z` `[batch, z_dim]`: for networks that come without.
    pub(super) fn measure(&mut self, z: Tensor<2>) {
        self.forward(z, Pass::Measure(0), |_, _| ());
    }

    /// Feature maps `[batch, maps, side, side]` after the rectifier of hidden layer `layer` (0 is the projection).
    ///
    /// # Panics
    /// If there is no such hidden layer.
    pub fn features(&self, z: Tensor<2>, layer: usize, statistics: Statistics) -> Tensor<4> {
        assert!(layer + 1 < self.layers.len(), "layer {layer} is not a hidden one");
        let mut part = self.clone();
        part.layers.truncate(layer + 1);
        let mut seen = None;
        part.forward(z, Pass::Sample(statistics), |_, maps| seen = Some(maps.clone()));
        seen.expect("at least the projection was applied")
    }

    /// The same generator on the tape as a constant: gradients flow through it to z, and none are computed for its weights.
    pub fn on_tape(&self) -> Self {
        let mut lifted = self.clone();
        for parameter in lifted.layers.iter_mut().flat_map(Layer::kept_mut) {
            parameter.value = parameter.value.clone().autodiff();
        }
        lifted
    }

    /// Pictures of feature maps such as [`Self::features`] gives of the same layer.
    ///
    /// # Panics
    /// If there is no such hidden layer.
    pub fn finish(&self, maps: Tensor<4>, layer: usize, statistics: Statistics) -> Tensor<4> {
        assert!(layer + 1 < self.layers.len(), "layer {layer} is not a hidden one");
        self.clone().through(Signal::Maps(maps), layer + 1, Pass::Sample(statistics), |_, _| ())
    }

    /// `seen` is told every hidden layer's number and what it gives.
    pub(super) fn forward(&mut self, z: Tensor<2>, pass: Pass, seen: impl FnMut(usize, &Tensor<4>)) -> Tensor<4> {
        self.through(Signal::Latent(z), 0, pass, seen)
    }

    /// What layer `first` and those after it make of `signal`.
    fn through(
        &mut self,
        mut signal: Signal,
        first: usize,
        pass: Pass,
        mut seen: impl FnMut(usize, &Tensor<4>),
    ) -> Tensor<4> {
        let (config, hidden) = (&self.config, self.config.stages());
        for (i, layer) in self.layers.iter_mut().enumerate().skip(first) {
            let linear = match signal {
                Signal::Latent(z) => project(layer, z),
                Signal::Maps(maps) => layer.up(maps),
            };
            if i == hidden {
                let last = layer.biased(linear);
                return match config.output {
                    Output::Tanh => kernels::tanh(last),
                    // 0..=1 as -1..=1: twice the sigmoid less one.
                    Output::Sigmoid => kernels::tanh(last.mul_scalar(0.5)),
                };
            }
            let mut maps = layer.activate(linear, config, config.leak, pass);
            if matches!(pass, Pass::Sample(_)) {
                for ablation in self.ablations.iter().filter(|ablation| ablation.on && ablation.layer == i) {
                    maps = ablation.apply(maps);
                }
            }
            seen(i, &maps);
            signal = Signal::Maps(maps);
        }
        match signal {
            Signal::Maps(maps) => maps,
            Signal::Latent(_) => unreachable!("a generator has layers"),
        }
    }

    /// The learnt parameters, in file order.
    pub fn learnt(&self) -> impl Iterator<Item = &Parameter> {
        self.layers.iter().flat_map(Layer::learnt)
    }

    /// How many values are learnt.
    pub fn parameter_count(&self) -> usize {
        self.learnt().map(Parameter::len).sum()
    }
}

/// What goes into a layer.
enum Signal {
    /// z `[batch, z_dim]`, into the projection.
    Latent(Tensor<2>),
    /// Feature maps `[batch, maps, side, side]`.
    Maps(Tensor<4>),
}

/// A fractionally-strided convolution of a 1x1 map is a matrix product.
fn project(layer: &Layer, z: Tensor<2>) -> Tensor<4> {
    let [batch, _] = z.dims();
    let &[z_dim, maps, height, width] = layer.weight.shape.as_slice() else {
        unreachable!("the projection has rank 4")
    };
    let matrix = layer.weight.value.clone().reshape([z_dim, maps * height * width]);
    z.matmul(matrix).reshape([batch, maps, height, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    #[test]
    fn what_a_layer_gives_is_finished_to_the_same_picture() {
        let config = ModelConfig { size: 16, base: 4, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let generator = Generator::new(&config, 4, &device);
        let z = Tensor::ones([2, 8], &device) * 0.3;
        let whole = generator.sample(z.clone(), Statistics::Running).into_data();
        for layer in 0..config.stages() {
            let maps = generator.features(z.clone(), layer, Statistics::Running);
            assert_eq!(generator.finish(maps, layer, Statistics::Running).into_data(), whole, "layer {layer}");
        }
    }
}
