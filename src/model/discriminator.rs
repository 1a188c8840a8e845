//! The discriminator: pictures to one logit each (section 3).

use burn::tensor::{Device, Tensor};

use super::choices::Statistics;
use super::config::ModelConfig;
use super::kernels;
use super::layer::{HIDDEN, Initialiser, Layer, Parameter, Parameters, Pass};

/// Slope of LeakyReLU below zero (section 3).
pub(super) const LEAK: f64 = 0.2;

/// Strided convolutions with LeakyReLU, batch norm everywhere but on the first, flattened to one logit.
#[derive(Clone, Debug)]
pub struct Discriminator {
    config: ModelConfig,
    /// `down1`, `down2`, ... to the narrowest maps, the fully connected `hidden` layer where there is one, then `head`.
    pub layers: Vec<Layer>,
}

impl Discriminator {
    /// A discriminator with weights drawn by `seed`.
    pub fn new(config: &ModelConfig, seed: u64, device: &Device) -> Self {
        let Ok(drawn) = Self::build(config, &mut Initialiser::new(seed, 2, device).drawing(config.initial));
        drawn
    }

    /// A discriminator of the parameters that `from` gives.
    ///
    /// # Errors
    /// What `from` says.
    pub(super) fn build<P: Parameters>(config: &ModelConfig, from: &mut P) -> Result<Self, P::Error> {
        Ok(Self { config: config.clone(), layers: build_layers(config, 1, from)? })
    }

    /// The config it was built from.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Logits `[batch]` that pictures `[batch, channels, size, size]` are real, with batch statistics, which also move
    /// the running ones.
    pub fn train(&mut self, pictures: Tensor<4>) -> Tensor<1> {
        let [batch, ..] = pictures.dims();
        forward(&mut self.layers, &self.config, pictures, Pass::Train).reshape([batch])
    }

    /// [`Self::train`] that leaves the running statistics alone.
    pub fn batch_logits(&mut self, pictures: Tensor<4>) -> Tensor<1> {
        let [batch, ..] = pictures.dims();
        forward(&mut self.layers, &self.config, pictures, Pass::Sample(Statistics::Batch)).reshape([batch])
    }

    /// Takes the running statistics anew from pictures `[batch, channels, size, size]`: given batch after batch, numbered
    /// from 0, they become the means of the batches' own, as the authors take them before they use the features (5.2).
    pub fn measure(&mut self, pictures: Tensor<4>, number: usize) {
        forward(&mut self.layers, &self.config, pictures, Pass::Measure(number));
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

/// The layers of a network that gives `outputs` numbers a picture.
///
/// # Errors
/// What `from` says.
pub(super) fn build_layers<P: Parameters>(
    config: &ModelConfig,
    outputs: usize,
    from: &mut P,
) -> Result<Vec<Layer>, P::Error> {
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
            layers.push(Layer::build(from, HIDDEN, shape, None, bias, norm)?);
            (inputs, kernel) = (config.hidden, 1);
        }
        let shape = vec![maps, inputs, kernel, kernel];
        let convolution = (!last).then(|| config.convolution(plan));
        let [bias, norm] = [plan.bias, plan.norm].map(|per| per.count(maps, maps));
        layers.push(Layer::build(from, &name, shape, convolution, bias, norm)?);
        inputs = maps;
    }
    Ok(layers)
}

/// Pictures `[batch, channels, size, size]` to `[batch, outputs]`.
pub(super) fn forward(layers: &mut [Layer], config: &ModelConfig, pictures: Tensor<4>, pass: Pass) -> Tensor<2> {
    let (head, convolutions) = layers.split_last_mut().expect("there is a head at least");
    let mut x = config.judged(pictures);
    for layer in convolutions {
        x = layer.activate(layer.down(x), config, LEAK, pass);
    }
    let given = kernels::gather(x, head.weight.tensor(), head.operands);
    match &head.bias {
        Some(bias) => given + bias.value.clone().reshape([1, bias.len()]),
        None => given,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Generator, Preset};

    #[test]
    fn the_paper_preset_has_the_papers_shapes_and_counts() {
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
    fn the_pytorch_preset_has_the_tutorials_counts() {
        let device = Device::flex();
        let config = ModelConfig::preset(Preset::Pytorch);
        assert_eq!(Generator::new(&config, 1, &device).parameter_count(), 3_576_704);
        assert_eq!(Discriminator::new(&config, 1, &device).parameter_count(), 2_765_568);
    }

    #[test]
    fn every_size_kernel_and_channel_count_draws_and_judges_pictures_of_its_shape() {
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
    fn weights_and_gains_are_drawn_as_the_paper_says() {
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
