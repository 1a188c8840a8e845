//! The discriminator: images to logits (section 3).
//!
//! [`Discriminator`] is built from a [`ModelConfig`]; [`build_layers`] and [`forward`] are shared with
//! [`Classifier`](super::Classifier).

use burn::tensor::{Device, Tensor};

use super::config::ModelConfig;
use super::kernels;
use super::layer::{HIDDEN, Initializer, Layer, Parameter, ParameterSource, Pass};
use super::options::SamplingStatistics;

/// Negative slope of LeakyReLU (section 3).
pub(super) const LEAK: f64 = 0.2;

/// Strided convolutions with LeakyReLU and batch norm (except after the first), then a linear head that gives one
/// logit.
#[derive(Clone, Debug)]
pub struct Discriminator {
    config: ModelConfig,
    /// `down1`, `down2`, ... to the smallest maps, the optional fully connected `hidden` layer, then `head`.
    pub layers: Vec<Layer>,
}

impl Discriminator {
    /// A discriminator with random weights initialized from `seed`.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let Ok(discriminator) =
            Self::build(config, &mut Initializer::new(seed, 2, device).with_weights(config.initial));
        discriminator
    }

    /// A discriminator with parameters from `source`.
    ///
    /// # Errors
    /// Any error of `source`.
    pub(super) fn build<S: ParameterSource>(config: &ModelConfig, source: &mut S) -> Result<Self, S::Error> {
        Ok(Self { config: config.clone(), layers: build_layers(config, 1, source)? })
    }

    /// The config that the discriminator was built from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Logits `[batch]` of images `[batch, channels, size, size]` (positive: real) with batch statistics; updates the
    /// running statistics.
    pub fn train(&mut self, pictures: Tensor<4>) -> Tensor<1> {
        let [batch, ..] = pictures.dims();
        forward(&mut self.layers, &self.config, pictures, Pass::Train).reshape([batch])
    }

    /// As [`Self::train`], without updating the running statistics.
    pub fn batch_logits(&mut self, pictures: Tensor<4>) -> Tensor<1> {
        let [batch, ..] = pictures.dims();
        forward(&mut self.layers, &self.config, pictures, Pass::Infer(SamplingStatistics::Batch)).reshape([batch])
    }

    /// Recomputes the running statistics from images `[batch, channels, size, size]`. Call it for batch after batch,
    /// numbered from 0: the statistics become the mean over the batches, as the authors compute them before they use
    /// the features (5.2).
    pub fn calibrate(&mut self, pictures: Tensor<4>, number: usize) {
        forward(&mut self.layers, &self.config, pictures, Pass::Calibrate(number));
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

/// The layers of a network with `outputs` values per image.
///
/// # Errors
/// Any error of `source`.
pub(super) fn build_layers<S: ParameterSource>(
    config: &ModelConfig,
    outputs: usize,
    source: &mut S,
) -> Result<Vec<Layer>, S::Error> {
    let plans = &config.layers().discriminator;
    let mut layers = Vec::with_capacity(plans.len() + 1);
    let mut inputs = config.channels;
    for (i, plan) in plans.iter().enumerate() {
        let last = i + 1 == plans.len();
        let name = if last { "head".to_owned() } else { format!("down{}", i + 1) };
        let maps = if last { outputs } else { plan.maps };
        let mut kernel = plan.kernel;
        if last && config.hidden > 0 {
            let (bias, norm) = (config.bias.then_some(config.hidden), config.hidden_norm());
            let shape = vec![config.hidden, inputs, kernel, kernel];
            layers.push(Layer::build(source, HIDDEN, shape, None, bias, norm)?);
            (inputs, kernel) = (config.hidden, 1);
        }
        let shape = vec![maps, inputs, kernel, kernel];
        let convolution = (!last).then(|| config.convolution(plan));
        let [bias, norm] = [plan.bias, plan.norm].map(|scope| scope.count(maps, maps));
        layers.push(Layer::build(source, &name, shape, convolution, bias, norm)?);
        inputs = maps;
    }
    Ok(layers)
}

/// Images `[batch, channels, size, size]` to `[batch, outputs]`.
pub(super) fn forward(layers: &mut [Layer], config: &ModelConfig, pictures: Tensor<4>, pass: Pass) -> Tensor<2> {
    let (head, convolutions) = layers.split_last_mut().expect("a network has a head");
    let mut x = config.discriminator_input(pictures);
    for layer in convolutions {
        x = layer.activate(layer.down(x), config, LEAK, pass);
    }
    let logits = kernels::gather(x, head.weight.tensor(), head.operands);
    match &head.bias {
        Some(bias) => logits + bias.value.clone().reshape([1, bias.len()]),
        None => logits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generator, Preset};

    #[test]
    fn the_paper_preset_has_the_papers_shapes_and_parameter_counts() {
        let device = Device::flex();
        let config = ModelConfig::preset(Preset::Paper);
        let generator = Generator::new(&config, 1, &device);
        let shapes: Vec<_> = generator.layers().iter().map(|layer| layer.weight.shape.clone()).collect();
        assert_eq!(
            shapes,
            [
                vec![100, 1024, 4, 4],
                vec![1024, 512, 5, 5],
                vec![512, 256, 5, 5],
                vec![256, 128, 5, 5],
                vec![128, 3, 5, 5]
            ]
        );
        assert_eq!(generator.parameter_count(), 18_855_040);
        let discriminator = Discriminator::new(&config, 1, &device);
        let shapes: Vec<_> = discriminator.layers.iter().map(|layer| layer.weight.shape.clone()).collect();
        assert_eq!(
            shapes,
            [
                vec![128, 3, 5, 5],
                vec![256, 128, 5, 5],
                vec![512, 256, 5, 5],
                vec![1024, 512, 5, 5],
                vec![1, 1024, 4, 4]
            ]
        );
        assert_eq!(discriminator.parameter_count(), 17_232_768);
        let normed: Vec<_> = discriminator.layers.iter().map(|layer| layer.norm.is_some()).collect();
        assert_eq!(normed, [false, true, true, true, false], "no batch norm on the input layer");
    }

    #[test]
    fn the_pytorch_preset_has_the_tutorials_parameter_counts() {
        let device = Device::flex();
        let config = ModelConfig::preset(Preset::Pytorch);
        assert_eq!(Generator::new(&config, 1, &device).parameter_count(), 3_576_704);
        assert_eq!(Discriminator::new(&config, 1, &device).parameter_count(), 2_765_568);
    }

    #[test]
    fn every_size_kernel_and_channel_count_gives_images_and_logits_of_the_right_shape() {
        let device = Device::flex();
        for size in [16, 28, 32, 48, 64, 112, 128] {
            for (kernel, channels, bias) in [(4, 1, false), (5, 3, true)] {
                let preset = ModelConfig::preset(Preset::Pytorch);
                let config = ModelConfig { size, kernel, channels, bias, base: 2, z_dim: 5, ..preset };
                let generator = Generator::new(&config, 3, &device);
                let pictures = generator.sample(Tensor::ones([2, 5], &device));
                assert_eq!(pictures.dims(), [2, channels, size, size]);
                assert_eq!(Discriminator::new(&config, 3, &device).train(pictures).dims(), [2]);
            }
        }
    }

    #[test]
    fn initial_weights_and_gains_have_the_papers_distribution() {
        let config = ModelConfig { base: 16, ..ModelConfig::preset(Preset::Pytorch) };
        let discriminator = Discriminator::new(&config, 9, &Device::flex());
        let spread = |parameter: &Parameter| {
            let values = parameter.value.to_data().try_to_vec::<f32>().unwrap();
            let mean = values.iter().sum::<f32>() / values.len() as f32;
            let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / values.len() as f32;
            (mean, variance.sqrt())
        };
        let (mean, deviation) = spread(&discriminator.layers[3].weight);
        assert!(mean.abs() < 5e-4 && (deviation - 0.02).abs() < 5e-4, "{mean} {deviation}");
        let (mean, deviation) = spread(&discriminator.layers[3].norm.as_ref().unwrap().gain);
        assert!((mean - 1.0).abs() < 0.01 && (deviation - 0.02).abs() < 0.006, "{mean} {deviation}");
    }
}
