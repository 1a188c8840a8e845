//! The discriminator's convolutions with outputs of another meaning: for networks that measure pictures.

use burn::tensor::{Device, Tensor};

use super::choices::Statistics;
use super::config::ModelConfig;
use super::discriminator::{build_layers, forward};
use super::layer::{Initialiser, Layer, Pass};

/// Strided convolutions as the discriminator's, and a head of several outputs.
#[derive(Clone, Debug)]
pub struct Classifier {
    config: ModelConfig,
    /// `down1`, `down2`, ... to 4x4, then `head`.
    pub layers: Vec<Layer>,
}

impl Classifier {
    /// A classifier of pictures of `config`'s size and channels, with weights drawn by `seed`.
    pub fn new(config: &ModelConfig, outputs: usize, seed: u64, device: &Device) -> Self {
        let Ok(layers) = build_layers(config, outputs, &mut Initialiser::new(seed, 3, device));
        Self { config: config.clone(), layers }
    }

    /// Outputs `[batch, outputs]` of pictures `[batch, channels, size, size]` with batch statistics, which also move the
    /// running ones.
    pub fn train(&mut self, pictures: Tensor<4>) -> Tensor<2> {
        forward(&mut self.layers, &self.config, pictures, Pass::Train)
    }

    /// Outputs `[batch, outputs]` with running statistics: each picture's own, whatever is beside it.
    pub fn judge(&self, pictures: Tensor<4>) -> Tensor<2> {
        forward(&mut self.layers.clone(), &self.config, pictures, Pass::Sample(Statistics::Running))
    }
}
