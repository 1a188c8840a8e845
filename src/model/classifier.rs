//! A classifier with the discriminator's convolutions and a head of several outputs, for networks that evaluate images.

use burn::tensor::{Device, Tensor};

use super::config::ModelConfig;
use super::discriminator::{build_layers, forward};
use super::layer::{Initializer, Layer, Pass};
use super::options::SamplingStatistics;

/// Strided convolutions like the discriminator's and a linear head with several outputs.
#[derive(Clone, Debug)]
pub struct Classifier {
    config: ModelConfig,
    /// `down1`, `down2`, ... to 4x4, then `head`.
    pub layers: Vec<Layer>,
}

impl Classifier {
    /// A classifier for images of `config`'s size and channels; `seed` initializes the weights.
    pub fn new(config: &ModelConfig, outputs: usize, seed: u64, device: &Device) -> Self {
        let Ok(layers) = build_layers(config, outputs, &mut Initializer::new(seed, 3, device));
        Self { config: config.clone(), layers }
    }

    /// Logits `[batch, outputs]` of images `[batch, channels, size, size]` with batch statistics; updates the running
    /// statistics.
    pub fn train(&mut self, pictures: Tensor<4>) -> Tensor<2> {
        forward(&mut self.layers, &self.config, pictures, Pass::Train)
    }

    /// Logits `[batch, outputs]` with running statistics, so that an image's logits do not depend on the rest of the
    /// batch.
    pub fn logits(&self, pictures: Tensor<4>) -> Tensor<2> {
        forward(&mut self.layers.clone(), &self.config, pictures, Pass::Infer(SamplingStatistics::Running))
    }
}
