//! What can be chosen of the networks, each with its few values.

use std::fmt;

use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

/// The distribution that z is drawn from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prior {
    /// Every coordinate uniform in [-1, 1] (the paper).
    Uniform,
    /// Every coordinate standard normal (the PyTorch tutorial).
    Normal,
}

impl Prior {
    /// `length` coordinates.
    pub fn draw(self, length: usize, rng: &mut impl Rng) -> Vec<f32> {
        match self {
            Self::Uniform => (0..length).map(|_| rng.random::<f32>() * 2.0 - 1.0).collect(),
            Self::Normal => (0..length).map(|_| rng.sample(StandardNormal)).collect(),
        }
    }
}

impl fmt::Display for Prior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uniform => "uniform",
            Self::Normal => "normal",
        })
    }
}

/// Which statistics the generator's batch norm uses outside training. The choice changes every sampled picture; under both a z
/// is the same picture whatever is drawn beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// Those of a fixed reference batch ([`REFERENCE_BATCH`](super::REFERENCE_BATCH) samples), which stand for the batches that
    /// the authors draw.
    Batch,
    /// Averages over the training, as in the PyTorch tutorial.
    Running,
}

impl Statistics {
    /// What pictures are normalized by, for people.
    pub fn describe(self) -> String {
        match self {
            Self::Batch => format!("batch statistics (of a reference batch of {} samples)", super::REFERENCE_BATCH),
            Self::Running => "running statistics of the training".to_owned(),
        }
    }
}

impl fmt::Display for Statistics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Batch => "batch",
            Self::Running => "running",
        })
    }
}

/// What the generator's last layer does to its values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Output {
    /// To -1..=1 (the paper).
    #[default]
    Tanh,
    /// To 0..=1, black to white.
    Sigmoid,
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
        })
    }
}

/// Where a convolution's zeros are added, where its kernel does not allow as many on either side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// One more before than behind, as PyTorch and cuDNN do with a padding of half the kernel.
    #[default]
    Symmetric,
    /// One more behind than before: TensorFlow's SAME.
    Same,
}

impl fmt::Display for Padding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Symmetric => "symmetric",
            Self::Same => "same",
        })
    }
}

/// The distributions that weights are drawn from before training.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct InitialWeights {
    /// Standard deviation of the weights, whose mean is 0. The paper: 0.02.
    pub weights: f64,
    /// Standard deviation of batch norm's gains, whose mean is 1. The authors: 0.02.
    pub gains: f64,
    /// Whether weights of the discriminator's convolutions farther from 0 than two standard deviations are drawn again, as
    /// TensorFlow's `truncated_normal` does.
    pub truncated: bool,
}

impl Default for InitialWeights {
    /// Section 4, and the authors' code for the gains.
    fn default() -> Self {
        Self { weights: 0.02, gains: 0.02, truncated: false }
    }
}

/// Which layers have batch norm. The paper's rule: all but the generator's output and the discriminator's input.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norms {
    /// None.
    Off,
    /// All but the generator's output and the discriminator's input, as the paper says.
    #[default]
    On,
    /// These two as well, which the paper found to oscillate and to become unstable.
    Everywhere,
}

impl fmt::Display for Norms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::On => "on",
            Self::Everywhere => "everywhere",
        })
    }
}

/// What follows each of the generator's hidden layers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// A rectifier, whose slope below zero is [`super::ModelConfig::leak`].
    #[default]
    Rectifier,
    /// The hyperbolic tangent, a bounded one such as section 3 found to learn more slowly.
    Tanh,
}

/// How the sides of maps are doubled and halved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resampling {
    /// By the strides of the convolutions, as the paper says.
    #[default]
    Strided,
    /// By 2x2 max pooling after the discriminator's convolutions, and by repeating each position 2x2 times before the generator's,
    /// which all have stride 1.
    Pooling,
}

impl fmt::Display for Resampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Strided => "strided",
            Self::Pooling => "pooling",
        })
    }
}
