//! The generator: z to pictures (section 3, figure 1).

use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::ablation::Ablation;
use super::choices::{Activation, Output, Statistics};
use super::config::ModelConfig;
use super::kernels;
use super::layer::{HIDDEN, Initialiser, Layer, Parameter, Parameters, Pass};
use super::layout::Per;

/// Samples of the reference batch, whose batch-norm statistics stand in for those of any other batch. The paper trains in
/// batches of 128, so these are the statistics that the weights were fitted under, with the noise that they are used to. A
/// larger batch costs the first picture of a wide network seconds on a CPU.
pub const REFERENCE_BATCH: usize = 128;
/// Seed of the reference batch's z's. A constant, so that a z is the same picture in every program and on every device.
const REFERENCE_SEED: u64 = 0x7265_6665_7265_6e63;

/// z, projected to `[maps, 4, 4]` (up to 7x7), then doubled by fractionally-strided convolutions to the picture; batch norm and ReLU
/// everywhere but at the output, which is tanh. Networks of other programs may have LeakyReLU and a sigmoid.
///
/// # Batch norm outside training
///
/// A z is one picture, whatever is drawn beside it. With [`Statistics::Running`] batch norm uses the averages over the
/// training. With [`Statistics::Batch`] it uses the statistics of one fixed reference batch of [`REFERENCE_BATCH`] z's, which
/// are measured when the first picture is drawn and are kept until the weights change. Ablations do not change them: what an
/// ablation removes is not made up for by another normalization. [`Self::sample_batch`] alone normalizes by the batch it draws.
#[derive(Clone, Debug)]
pub struct Generator {
    config: ModelConfig,
    /// `project`, then `up1`, `up2`, ... to the picture; last the fully connected `hidden` layer between z and `project`, where
    /// there is one.
    layers: Vec<Layer>,
    ablations: Vec<Ablation>,
    /// The layers with the reference batch's statistics in place of the running ones; clones share what one has measured.
    frozen: Arc<OnceLock<Vec<Layer>>>,
}

impl Generator {
    /// A generator with weights drawn by `seed`.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let Ok(drawn) = Self::build(config, &mut Initialiser::new(seed, 1, device).drawing(config.untruncated()));
        drawn
    }

    /// A generator of the parameters that `from` gives.
    ///
    /// # Errors
    /// What `from` says.
    pub(super) fn build<P: Parameters>(config: &ModelConfig, from: &mut P) -> Result<Self, P::Error> {
        let mut layers = Vec::new();
        let mut inputs = if config.hidden > 0 { config.hidden } else { config.z_dim };
        for (i, plan) in config.layers().generator.iter().enumerate() {
            let name = if i == 0 { "project".to_owned() } else { format!("up{i}") };
            let shape = vec![inputs, plan.maps, plan.kernel, plan.kernel];
            let count = |per: Per| per.count(plan.maps, plan.maps * config.start().pow(2));
            let convolution = (i > 0).then(|| config.convolution(plan));
            let layer = Layer::build(from, &name, shape, convolution, count(plan.bias), count(plan.norm))?;
            layers.push(Layer { linear: plan.linear, ..layer });
            inputs = plan.maps;
        }
        if config.hidden > 0 {
            let (bias, norm) = (config.bias.then_some(config.hidden), config.hidden_norm());
            layers.push(Layer::build(from, HIDDEN, vec![config.z_dim, config.hidden, 1, 1], None, bias, norm)?);
        }
        Ok(Self { config: config.clone(), layers, ablations: Vec::new(), frozen: Arc::default() })
    }

    /// `project`, then `up1`, `up2`, ... to the picture; last the fully connected `hidden` layer between z and `project`, where
    /// there is one.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layer that z goes into: the fully connected hidden one, where there is one, otherwise the projection. Its weight is a
    /// matrix `[z_dim, units]`.
    pub fn entry(&self) -> &Layer {
        self.layers.last().filter(|layer| layer.is_hidden()).unwrap_or(&self.layers[0])
    }

    /// The layers, to be changed. The reference batch is measured again before the next picture.
    pub fn layers_mut(&mut self) -> &mut [Layer] {
        self.frozen = Arc::default();
        &mut self.layers
    }

    /// The config it was built from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The same generator, sampling under these ablations and no others. Training knows none.
    pub fn under(&self, ablations: &[Ablation]) -> Self {
        Self { ablations: ablations.to_vec(), ..self.clone() }
    }

    /// The same generator, sampling with these statistics.
    pub fn sampling_with(&self, sampling: Statistics) -> Self {
        Self { config: ModelConfig { sampling, ..self.config.clone() }, ..self.clone() }
    }

    /// What it samples under.
    pub fn ablations(&self) -> &[Ablation] {
        &self.ablations
    }

    /// Pictures `[batch, channels, size, size]` in [-1, 1] of `z` `[batch, z_dim]`. The picture of a z does not depend on the
    /// others.
    pub fn sample(&self, z: Tensor<2>) -> Tensor<4> {
        self.frozen().forward(z, Pass::Sample(Statistics::Running), |_, _| ())
    }

    /// Like [`Self::sample`], normalized by the statistics of this very batch, as the authors draw their sheets: the picture of a
    /// z depends on the others.
    pub fn sample_batch(&self, z: Tensor<2>) -> Tensor<4> {
        self.clone().forward(z, Pass::Sample(Statistics::Batch), |_, _| ())
    }

    /// Like [`Self::sample_batch`], which also moves the running statistics.
    pub fn train(&mut self, z: Tensor<2>) -> Tensor<4> {
        self.forward(z, Pass::Train, |_, _| ())
    }

    /// The generator whose running statistics are those that this one samples with: the reference batch's under
    /// [`Statistics::Batch`]. Tensors are shared, not copied.
    pub(super) fn frozen(&self) -> Self {
        match self.config.sampling {
            Statistics::Running => self.clone(),
            Statistics::Batch => Self { layers: self.frozen.get_or_init(|| self.reference()).clone(), ..self.clone() },
        }
    }

    /// The layers with the statistics of the reference batch.
    fn reference(&self) -> Vec<Layer> {
        let mut plain = self.under(&[]);
        let device = self.layers[0].weight.value.device();
        let z_dim = self.config.z_dim;
        let z = self.config.prior.draw(REFERENCE_BATCH * z_dim, &mut ChaCha8Rng::seed_from_u64(REFERENCE_SEED));
        plain.forward(
            Tensor::from_data(TensorData::new(z, [REFERENCE_BATCH, z_dim]), &device),
            Pass::Freeze,
            |_, _| (),
        );
        plain.layers
    }

    /// Feature maps `[batch, maps, side, side]` after the rectifier of hidden layer `layer` (0 is the projection), as
    /// [`Self::sample`] computes them.
    ///
    /// # Panics
    /// If there is no such hidden layer.
    pub fn features(&self, z: Tensor<2>, layer: usize) -> Tensor<4> {
        assert!(layer < self.config.stages(), "layer {layer} is not a hidden one");
        let mut part = self.frozen();
        let connected = part.layers.pop_if(|layer| layer.is_hidden());
        part.layers.truncate(layer + 1);
        part.layers.extend(connected);
        let mut seen = None;
        part.forward(z, Pass::Sample(Statistics::Running), |_, maps| seen = Some(maps.clone()));
        seen.expect("at least the projection was applied")
    }

    /// The same generator on the tape as a constant: gradients flow through it to z, and none are computed for its weights.
    pub fn on_tape(&self) -> Self {
        let mut lifted = self.frozen();
        for parameter in lifted.layers.iter_mut().flat_map(Layer::kept_mut) {
            parameter.value = parameter.value.clone().autodiff();
        }
        lifted.frozen = Arc::new(OnceLock::from(lifted.layers.clone()));
        lifted
    }

    /// Pictures of feature maps such as [`Self::features`] gives of the same layer.
    ///
    /// # Panics
    /// If there is no such hidden layer.
    pub fn finish(&self, maps: Tensor<4>, layer: usize) -> Tensor<4> {
        assert!(layer < self.config.stages(), "layer {layer} is not a hidden one");
        let pass = Pass::Sample(Statistics::Running);
        self.frozen().through(Signal::Maps(maps), layer + 1, pass, |_, _| ())
    }

    /// `seen` is called with every hidden layer's number and feature maps.
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
        let (layers, connected) = match self.layers.split_last_mut() {
            Some((last, others)) if last.is_hidden() => (others, Some(last)),
            _ => (&mut self.layers[..], None),
        };
        if let (Signal::Latent(z), Some(connected)) = (&signal, connected) {
            let [batch, _] = z.dims();
            let units = hidden_layer(connected, project(connected, z.clone()), config, pass);
            signal = Signal::Latent(units.reshape([batch, config.hidden]));
        }
        for (i, layer) in layers.iter_mut().enumerate().skip(first) {
            let linear = match signal {
                Signal::Latent(z) => project(layer, z),
                Signal::Maps(maps) => layer.up(maps),
            };
            if i == hidden {
                // A slope of one below zero rectifies nothing.
                let last = match layer.norm {
                    Some(_) => layer.activate(linear, config, 1.0, pass),
                    None => layer.biased(linear),
                };
                return match config.output {
                    Output::Tanh => kernels::tanh(last),
                    // 0..=1 as -1..=1: twice the sigmoid less one.
                    Output::Sigmoid => kernels::tanh(last.mul_scalar(0.5)),
                };
            }
            let mut maps = hidden_layer(layer, linear, config, pass);
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

/// What a hidden layer gives of what its weights make.
fn hidden_layer(layer: &mut Layer, linear: Tensor<4>, config: &ModelConfig, pass: Pass) -> Tensor<4> {
    match config.activation {
        Activation::Rectifier => {
            // A slope of one below zero rectifies nothing.
            let slope = if layer.linear { 1.0 } else { config.leak };
            layer.activate(linear, config, slope, pass)
        }
        Activation::Tanh => kernels::tanh(layer.activate(linear, config, 1.0, pass)),
    }
}

/// A fractionally-strided convolution of a 1x1 map is a matrix product.
fn project(layer: &Layer, z: Tensor<2>) -> Tensor<4> {
    kernels::project(z, layer.weight.tensor(), layer.operands)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Preset, Prior};

    fn generator(sampling: Statistics) -> Generator {
        let config = ModelConfig { size: 16, base: 4, z_dim: 8, sampling, ..ModelConfig::preset(Preset::Pytorch) };
        let mut generator = Generator::new(&config, 4, &Device::flex());
        // Untrained weights draw grey; larger ones draw pictures that differ.
        for layer in generator.layers_mut() {
            layer.weight.value = layer.weight.value.clone() * 12.0;
        }
        generator
    }

    fn z(count: usize) -> Tensor<2> {
        let values = Prior::Normal.draw(count * 8, &mut ChaCha8Rng::seed_from_u64(2));
        Tensor::from_data(TensorData::new(values, [count, 8]), &Device::flex())
    }

    fn farthest<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        (a - b).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn what_a_layer_gives_is_finished_to_the_same_picture() {
        for sampling in [Statistics::Running, Statistics::Batch] {
            let generator = generator(sampling);
            let whole = generator.sample(z(2)).into_data();
            for layer in 0..generator.config().stages() {
                let maps = generator.features(z(2), layer);
                assert_eq!(generator.finish(maps, layer).into_data(), whole, "layer {layer}");
            }
        }
    }

    #[test]
    fn a_z_is_the_same_picture_alone_and_among_others() {
        for sampling in [Statistics::Running, Statistics::Batch] {
            let generator = generator(sampling);
            let among = generator.sample(z(9));
            let (maps, pictures) = generator.inside(z(9));
            for i in 0..9 {
                let one = z(9).narrow(0, i, 1);
                let alone = generator.sample(one.clone());
                assert!(farthest(alone.clone(), among.clone().narrow(0, i, 1)) < 1e-5, "{sampling} {i}");
                assert!(farthest(alone, pictures.clone().narrow(0, i, 1)) < 1e-5);
                for (layer, maps) in maps.iter().enumerate() {
                    let maps = maps.clone().narrow(0, i, 1);
                    assert!(farthest(generator.features(one.clone(), layer), maps) < 1e-4, "{sampling} {layer} {i}");
                }
                let lifted = generator.on_tape().sample(one.autodiff()).inner();
                assert!(farthest(lifted, among.clone().narrow(0, i, 1)) < 1e-5, "{sampling} on the tape");
            }
            // Drawn as one batch, pictures do depend on one another.
            let pair = generator.sample_batch(z(9).narrow(0, 0, 2));
            assert!(farthest(pair, generator.sample_batch(z(9)).narrow(0, 0, 2)) > 0.05);
        }
    }

    #[test]
    fn the_reference_batch_is_drawn_as_one_batch_would_draw_it() {
        let generator = generator(Statistics::Batch);
        let values = Prior::Normal.draw(REFERENCE_BATCH * 8, &mut ChaCha8Rng::seed_from_u64(REFERENCE_SEED));
        let z = Tensor::from_data(TensorData::new(values, [REFERENCE_BATCH, 8]), &Device::flex());
        assert!(farthest(generator.sample(z.clone()), generator.sample_batch(z)) < 1e-4);
    }

    #[test]
    fn the_reference_is_measured_again_when_weights_change_and_not_for_ablations() {
        let plain = generator(Statistics::Batch);
        let before = plain.sample(z(2));
        let mut changed = plain.clone();
        for layer in changed.layers_mut() {
            layer.weight.value = layer.weight.value.clone() * 2.0;
        }
        let Some(frozen) = changed.frozen().layers[1].norm.clone() else { panic!("a hidden layer has batch norm") };
        let old = plain.frozen().layers[1].norm.clone().unwrap().variance.value;
        // The projection is normalized, so twice the weights of the next layer are four times its variance.
        assert!(farthest(frozen.variance.value, old * 4.0) < 1e-3);
        assert!(farthest(plain.sample(z(2)), before.clone()) == 0.0, "the original keeps its own");
        let cut = plain.under(&[Ablation::drop(0, &[1])]);
        assert!(Arc::ptr_eq(&plain.frozen, &cut.frozen), "an ablation shares the reference");
        assert!(farthest(cut.sample(z(2)), before.clone()) > 0.01);
        let mut trained = plain.clone();
        trained.train(z(9));
        assert!(farthest(trained.sample(z(2)), before) == 0.0, "running statistics are not sampled with");
    }
}
