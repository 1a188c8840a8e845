//! Enumerated architecture options of the networks: prior, activations, padding, placement of batch norm.

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// Distribution of the latent vector z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Prior {
    /// Every coordinate uniform in [-1, 1] (the paper).
    Uniform,
    /// Every coordinate standard normal (the PyTorch tutorial).
    Normal,
}

impl Prior {
    /// Samples `length` coordinates.
    pub fn draw(self, length: usize, rng: &mut impl Rng) -> Vec<f32> {
        match self {
            Self::Uniform => (0..length).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect(),
            Self::Normal => (0..length).map(|_| rng.sample(StandardNormal)).collect(),
        }
    }
}

/// Statistics that the generator's batch norm uses outside training. The choice changes every sampled image; with
/// either, the image of a z does not depend on the rest of its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::Display, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum SamplingStatistics {
    /// Statistics of a fixed reference batch of [`REFERENCE_BATCH`](super::REFERENCE_BATCH) samples. They replace those
    /// of the batches that the authors sample.
    Batch,
    /// Running averages over the training, as in the PyTorch tutorial.
    Running,
}

impl SamplingStatistics {
    /// Display text: which statistics normalize the images.
    pub fn describe(self) -> String {
        match self {
            Self::Batch => format!("batch statistics (of a reference batch of {} samples)", super::REFERENCE_BATCH),
            Self::Running => "running statistics of the training".to_owned(),
        }
    }
}

/// Activation of the generator's last layer.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, strum::Display, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum OutputActivation {
    /// Images in [-1, 1] (the paper).
    #[default]
    Tanh,
    /// Images in [0, 1], black to white.
    Sigmoid,
}

/// Which side gets more zero padding where the kernel does not allow equal padding on both.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, strum::Display, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Padding {
    /// One more row and column before the map than behind it, as PyTorch and cuDNN do with a padding of half the
    /// kernel.
    #[default]
    Symmetric,
    /// One more behind than before: TensorFlow's SAME.
    Same,
}

/// Distributions of the initial weights.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct InitialWeights {
    /// Standard deviation of the weights; their mean is 0. The paper: 0.02.
    pub weights: f64,
    /// Standard deviation of batch norm's gains; their mean is 1. The authors: 0.02.
    pub gains: f64,
    /// Whether weights of the discriminator's convolutions beyond two standard deviations are resampled, as
    /// TensorFlow's `truncated_normal` does.
    pub truncated: bool,
}

impl Default for InitialWeights {
    /// Section 4 of the paper, and the authors' code for the gains.
    fn default() -> Self {
        Self { weights: 0.02, gains: 0.02, truncated: false }
    }
}

/// Which layers have batch norm. The paper's rule: all but the generator's output and the discriminator's input.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, strum::Display, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum NormPlacement {
    /// No layer.
    Off,
    /// All layers but the generator's output and the discriminator's input, as in the paper.
    #[default]
    On,
    /// All layers. The paper found that this makes samples oscillate and training unstable.
    Everywhere,
}

/// Activation of the generator's hidden layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// ReLU or LeakyReLU with negative slope [`super::ModelConfig::leak`].
    #[default]
    Rectifier,
    /// The hyperbolic tangent, a bounded activation; section 3 found that such networks learn more slowly.
    Tanh,
}

/// How feature maps are up- and downsampled.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, strum::Display, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Resampling {
    /// Strided and fractionally-strided convolutions, as in the paper.
    #[default]
    Strided,
    /// 2x2 max pooling after the discriminator's convolutions and nearest-neighbor upsampling before the generator's;
    /// all convolutions have stride 1.
    Pooling,
}
