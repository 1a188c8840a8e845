//! The generator: latent vectors to images (section 3, figure 1).
//!
//! [`Generator::sample`] is inference, [`Generator::train`] the forward pass of a training step,
//! [`Generator::features`] and [`Generator::forward_from`] stop and resume at a hidden layer.

use std::sync::{Arc, OnceLock};

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::ablation::Ablation;
use super::config::ModelConfig;
use super::kernels;
use super::layer::{HIDDEN, Initializer, Layer, Parameter, ParameterSource, Pass};
use super::layout::ParameterScope;
use super::options::{Activation, OutputActivation, SamplingStatistics};

/// Samples of the reference batch, whose batch-norm statistics replace those of any other batch. The paper trains in
/// batches of 128, so a batch of this size has the statistics, and their noise, that the weights were trained with. A
/// larger batch would delay the first image of a wide network by seconds on a CPU.
pub const REFERENCE_BATCH: usize = 128;
/// Seed of the reference batch's z's. It is constant, so that a z gives the same image in every process and on every
/// device.
const REFERENCE_SEED: u64 = 0x7265_6665_7265_6e63;

/// Projects z to `[maps, 4, 4]` (up to 7x7) and doubles the side with fractionally-strided convolutions up to the
/// image. Batch norm and ReLU follow every layer but the last, which ends in tanh. Imported networks may have LeakyReLU
/// and a sigmoid.
///
/// # Batch norm outside training
///
/// The image of a z does not depend on the rest of its batch. With [`SamplingStatistics::Running`] batch norm uses the
/// running averages of the training. With [`SamplingStatistics::Batch`] it uses the statistics of one fixed reference
/// batch of [`REFERENCE_BATCH`] z's, computed for the first image and cached until the weights change. Ablations do not
/// change them, so that normalization cannot compensate for what an ablation removes. Only [`Self::sample_batch`]
/// normalizes by its own batch.
#[derive(Clone, Debug)]
pub struct Generator {
    config: ModelConfig,
    /// `project`, then `up1`, `up2`, ... to the image; last the optional fully connected `hidden` layer between z and
    /// `project`.
    layers: Vec<Layer>,
    ablations: Vec<Ablation>,
    /// The layers with the reference batch's statistics as running statistics; clones share the cached value.
    frozen: Arc<OnceLock<Vec<Layer>>>,
}

impl Generator {
    /// A generator with random weights initialized from `seed`.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let Ok(generator) =
            Self::build(config, &mut Initializer::new(seed, 1, device).with_weights(config.untruncated()));
        generator
    }

    /// A generator with parameters from `source`.
    ///
    /// # Errors
    /// Any error of `source`.
    pub(super) fn build<S: ParameterSource>(config: &ModelConfig, source: &mut S) -> Result<Self, S::Error> {
        let mut layers = Vec::new();
        let mut inputs = if config.hidden > 0 { config.hidden } else { config.z_dim };
        for (i, plan) in config.layers().generator.iter().enumerate() {
            let name = if i == 0 { "project".to_owned() } else { format!("up{i}") };
            let shape = vec![inputs, plan.maps, plan.kernel, plan.kernel];
            let count = |scope: ParameterScope| scope.count(plan.maps, plan.maps * config.smallest_side().pow(2));
            let convolution = (i > 0).then(|| config.convolution(plan));
            let layer = Layer::build(source, &name, shape, convolution, count(plan.bias), count(plan.norm))?;
            layers.push(Layer { linear: plan.linear, ..layer });
            inputs = plan.maps;
        }
        if config.hidden > 0 {
            let (bias, norm) = (config.bias.then_some(config.hidden), config.hidden_norm());
            layers.push(Layer::build(source, HIDDEN, vec![config.z_dim, config.hidden, 1, 1], None, bias, norm)?);
        }
        Ok(Self { config: config.clone(), layers, ablations: Vec::new(), frozen: Arc::default() })
    }

    /// `project`, then `up1`, `up2`, ... to the image; last the optional fully connected `hidden` layer between z and
    /// `project`.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layer that takes z: the fully connected hidden layer if there is one, otherwise the projection. Its weight
    /// is a matrix `[z_dim, units]`.
    pub fn first_layer(&self) -> &Layer {
        self.layers.last().filter(|layer| layer.is_hidden()).unwrap_or(&self.layers[0])
    }

    /// Mutable layers. Discards the cached statistics of the reference batch.
    pub fn layers_mut(&mut self) -> &mut [Layer] {
        self.frozen = Arc::default();
        &mut self.layers
    }

    /// The config that the generator was built from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// A generator with the same weights that samples with these ablations instead of its own. Training ignores
    /// ablations.
    pub fn with_ablations(&self, ablations: &[Ablation]) -> Self {
        Self { ablations: ablations.to_vec(), ..self.clone() }
    }

    /// A generator with the same weights that samples with these batch-norm statistics.
    pub fn with_sampling_statistics(&self, sampling: SamplingStatistics) -> Self {
        Self { config: ModelConfig { sampling, ..self.config.clone() }, ..self.clone() }
    }

    /// The ablations applied when sampling.
    pub fn ablations(&self) -> &[Ablation] {
        &self.ablations
    }

    /// Images `[batch, channels, size, size]` in [-1, 1] for `z` `[batch, z_dim]`. The image of a z does not depend on
    /// the rest of the batch.
    pub fn sample(&self, z: Tensor<2>) -> Tensor<4> {
        self.frozen().forward(z, Pass::Infer(SamplingStatistics::Running), |_, _| ())
    }

    /// As [`Self::sample`], but normalized by this batch's own statistics, as in the authors' sample sheets: the image
    /// of a z depends on the rest of the batch.
    pub fn sample_batch(&self, z: Tensor<2>) -> Tensor<4> {
        self.clone().forward(z, Pass::Infer(SamplingStatistics::Batch), |_, _| ())
    }

    /// As [`Self::sample_batch`], and updates the running statistics.
    pub fn train(&mut self, z: Tensor<2>) -> Tensor<4> {
        self.forward(z, Pass::Train, |_, _| ())
    }

    /// A generator whose running statistics are those that this one samples with: the reference batch's with
    /// [`SamplingStatistics::Batch`]. Tensors are shared, not copied.
    pub(super) fn frozen(&self) -> Self {
        match self.config.sampling {
            SamplingStatistics::Running => self.clone(),
            SamplingStatistics::Batch => {
                Self { layers: self.frozen.get_or_init(|| self.reference()).clone(), ..self.clone() }
            }
        }
    }

    /// The layers with the statistics of the reference batch as running statistics.
    fn reference(&self) -> Vec<Layer> {
        let mut plain = self.with_ablations(&[]);
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

    /// Feature maps `[batch, maps, side, side]` of hidden layer `layer` (0 is the projection) after its activation, as
    /// in [`Self::sample`].
    ///
    /// # Panics
    /// If `layer` is not a hidden layer.
    pub fn features(&self, z: Tensor<2>, layer: usize) -> Tensor<4> {
        assert!(layer < self.config.stages(), "layer {layer} is not a hidden layer");
        let mut truncated = self.frozen();
        let connected = truncated.layers.pop_if(|layer| layer.is_hidden());
        truncated.layers.truncate(layer + 1);
        truncated.layers.extend(connected);
        let mut features = None;
        truncated.forward(z, Pass::Infer(SamplingStatistics::Running), |_, maps| features = Some(maps.clone()));
        features.expect("at least the projection was applied")
    }

    /// The generator on the autodiff tape as a constant: gradients flow through it to z, but none are computed for its
    /// weights.
    pub fn on_tape(&self) -> Self {
        let mut lifted = self.frozen();
        for parameter in lifted.layers.iter_mut().flat_map(Layer::state_mut) {
            parameter.value = parameter.value.clone().autodiff();
        }
        lifted.frozen = Arc::new(OnceLock::from(lifted.layers.clone()));
        lifted
    }

    /// Images from feature maps of hidden layer `layer`, such as [`Self::features`] returns: runs the layers after it.
    ///
    /// # Panics
    /// If `layer` is not a hidden layer.
    pub fn forward_from(&self, maps: Tensor<4>, layer: usize) -> Tensor<4> {
        assert!(layer < self.config.stages(), "layer {layer} is not a hidden layer");
        let pass = Pass::Infer(SamplingStatistics::Running);
        self.frozen().run(LayerInput::Maps(maps), layer + 1, pass, |_, _| ())
    }

    /// Runs all layers; `observe` receives each hidden layer's index and feature maps.
    pub(super) fn forward(&mut self, z: Tensor<2>, pass: Pass, observe: impl FnMut(usize, &Tensor<4>)) -> Tensor<4> {
        self.run(LayerInput::Latent(z), 0, pass, observe)
    }

    /// Runs the layers from `first` on.
    fn run(
        &mut self,
        mut input: LayerInput,
        first: usize,
        pass: Pass,
        mut observe: impl FnMut(usize, &Tensor<4>),
    ) -> Tensor<4> {
        let (config, hidden) = (&self.config, self.config.stages());
        let (layers, connected) = match self.layers.split_last_mut() {
            Some((last, others)) if last.is_hidden() => (others, Some(last)),
            _ => (&mut self.layers[..], None),
        };
        if let (LayerInput::Latent(z), Some(connected)) = (&input, connected) {
            let [batch, _] = z.dims();
            let units = hidden_layer(connected, project(connected, z.clone()), config, pass);
            input = LayerInput::Latent(units.reshape([batch, config.hidden]));
        }
        for (i, layer) in layers.iter_mut().enumerate().skip(first) {
            let linear = match input {
                LayerInput::Latent(z) => project(layer, z),
                LayerInput::Maps(maps) => layer.up(maps),
            };
            if i == hidden {
                // A negative slope of 1 is the identity.
                let last = match layer.norm {
                    Some(_) => layer.activate(linear, config, 1.0, pass),
                    None => layer.add_bias(linear),
                };
                return match config.output {
                    OutputActivation::Tanh => kernels::tanh(last),
                    // [0, 1] scaled to [-1, 1]: 2 sigmoid(x) - 1 = tanh(x / 2).
                    OutputActivation::Sigmoid => kernels::tanh(last.mul_scalar(0.5)),
                };
            }
            let mut maps = hidden_layer(layer, linear, config, pass);
            if matches!(pass, Pass::Infer(_)) {
                for ablation in self.ablations.iter().filter(|ablation| ablation.on && ablation.layer == i) {
                    maps = ablation.apply(maps);
                }
            }
            observe(i, &maps);
            input = LayerInput::Maps(maps);
        }
        match input {
            LayerInput::Maps(maps) => maps,
            LayerInput::Latent(_) => unreachable!("a generator has layers"),
        }
    }

    /// The trainable parameters, in file order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.layers.iter().flat_map(Layer::parameters)
    }

    /// Number of trainable values.
    pub fn parameter_count(&self) -> usize {
        self.parameters().map(Parameter::len).sum()
    }
}

/// Input of a layer.
enum LayerInput {
    /// z `[batch, z_dim]`, for the projection.
    Latent(Tensor<2>),
    /// Feature maps `[batch, maps, side, side]`.
    Maps(Tensor<4>),
}

/// Bias, batch norm and activation of a hidden layer.
fn hidden_layer(layer: &mut Layer, linear: Tensor<4>, config: &ModelConfig, pass: Pass) -> Tensor<4> {
    match config.activation {
        Activation::Rectifier => {
            // A negative slope of 1 is the identity.
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

    fn generator(sampling: SamplingStatistics) -> Generator {
        let config = ModelConfig { size: 16, base: 4, z_dim: 8, sampling, ..ModelConfig::preset(Preset::Pytorch) };
        let mut generator = Generator::new(&config, 4, &Device::flex());
        // Initial weights generate gray images; larger ones generate images that differ.
        for layer in generator.layers_mut() {
            layer.weight.value = layer.weight.value.clone() * 12.0;
        }
        generator
    }

    fn z(count: usize) -> Tensor<2> {
        let values = Prior::Normal.draw(count * 8, &mut ChaCha8Rng::seed_from_u64(2));
        Tensor::from_data(TensorData::new(values, [count, 8]), &Device::flex())
    }

    fn max_difference<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> f32 {
        (a - b).abs().max().into_scalar::<f32>()
    }

    #[test]
    fn resuming_from_a_hidden_layer_gives_the_same_image() {
        for sampling in [SamplingStatistics::Running, SamplingStatistics::Batch] {
            let generator = generator(sampling);
            let whole = generator.sample(z(2)).into_data();
            for layer in 0..generator.config().stages() {
                let maps = generator.features(z(2), layer);
                assert_eq!(generator.forward_from(maps, layer).into_data(), whole, "layer {layer}");
            }
        }
    }

    #[test]
    fn a_z_gives_the_same_image_alone_and_in_a_batch() {
        for sampling in [SamplingStatistics::Running, SamplingStatistics::Batch] {
            let generator = generator(sampling);
            let among = generator.sample(z(9));
            let (maps, pictures) = generator.forward_features(z(9));
            for i in 0..9 {
                let one = z(9).narrow(0, i, 1);
                let alone = generator.sample(one.clone());
                assert!(max_difference(alone.clone(), among.clone().narrow(0, i, 1)) < 1e-5, "{sampling} {i}");
                assert!(max_difference(alone, pictures.clone().narrow(0, i, 1)) < 1e-5);
                for (layer, maps) in maps.iter().enumerate() {
                    let maps = maps.clone().narrow(0, i, 1);
                    assert!(
                        max_difference(generator.features(one.clone(), layer), maps) < 1e-4,
                        "{sampling} {layer} {i}"
                    );
                }
                let lifted = generator.on_tape().sample(one.autodiff()).inner();
                assert!(max_difference(lifted, among.clone().narrow(0, i, 1)) < 1e-5, "{sampling} on the tape");
            }
            // With batch statistics, images depend on the batch.
            let pair = generator.sample_batch(z(9).narrow(0, 0, 2));
            assert!(max_difference(pair, generator.sample_batch(z(9)).narrow(0, 0, 2)) > 0.05);
        }
    }

    #[test]
    fn the_reference_batch_equals_itself_sampled_with_batch_statistics() {
        let generator = generator(SamplingStatistics::Batch);
        let values = Prior::Normal.draw(REFERENCE_BATCH * 8, &mut ChaCha8Rng::seed_from_u64(REFERENCE_SEED));
        let z = Tensor::from_data(TensorData::new(values, [REFERENCE_BATCH, 8]), &Device::flex());
        assert!(max_difference(generator.sample(z.clone()), generator.sample_batch(z)) < 1e-4);
    }

    #[test]
    fn reference_statistics_are_recomputed_when_weights_change_and_not_for_ablations() {
        let plain = generator(SamplingStatistics::Batch);
        let before = plain.sample(z(2));
        let mut changed = plain.clone();
        for layer in changed.layers_mut() {
            layer.weight.value = layer.weight.value.clone() * 2.0;
        }
        let Some(frozen) = changed.frozen().layers[1].norm.clone() else { panic!("a hidden layer has batch norm") };
        let old = plain.frozen().layers[1].norm.clone().unwrap().variance.value;
        // The projection is normalized, so twice the weights of the next layer are four times its variance.
        assert!(max_difference(frozen.variance.value, old * 4.0) < 1e-3);
        assert!(max_difference(plain.sample(z(2)), before.clone()) == 0.0, "the original keeps its statistics");
        let cut = plain.with_ablations(&[Ablation::drop(0, &[1])]);
        assert!(Arc::ptr_eq(&plain.frozen, &cut.frozen), "an ablation shares the cached statistics");
        assert!(max_difference(cut.sample(z(2)), before.clone()) > 0.01);
        let mut trained = plain.clone();
        trained.train(z(9));
        assert!(max_difference(trained.sample(z(2)), before) == 0.0, "sampling ignores the running statistics");
    }
}
