//! One config for both networks, and the published presets.

use std::borrow::Cow;
use std::fmt;

use burn::tensor::Tensor;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;

use super::layout::Layout;

/// A published DCGAN whose numbers are used as they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// Radford, Metz, Chintala 2015, section 3.
    Paper,
    /// The authors' released face code: alternating updates, L2 1e-5.
    AuthorsFaces,
    /// The PyTorch tutorial and dcgan.torch.
    Pytorch,
    /// carpedm20's TensorFlow code: two generator updates for each of the discriminator's.
    Tensorflow,
    /// The authors' released 32x32 street-number networks.
    AuthorsSvhn,
}

impl Preset {
    /// All presets, in the order they are shown.
    pub const ALL: [Self; 5] = [Self::Paper, Self::AuthorsFaces, Self::Pytorch, Self::Tensorflow, Self::AuthorsSvhn];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paper => "paper",
            Self::AuthorsFaces => "authors-faces",
            Self::Pytorch => "pytorch",
            Self::Tensorflow => "tensorflow",
            Self::AuthorsSvhn => "authors-svhn",
        }
    }

    /// One line on what it is, for tool tips.
    pub fn about(self) -> &'static str {
        match self {
            Self::Paper => {
                "As the paper has it: 5x5 kernels, 128 base filters, uniform z, batches of 128. Large and slow."
            }
            Self::AuthorsFaces => {
                "The authors' face code: as the paper, with alternating updates and L2 decay of 1e-5."
            }
            Self::Pytorch => {
                "The PyTorch tutorial and dcgan.torch: 4x4 kernels, 64 base filters, normal z, batches of 64."
            }
            Self::Tensorflow => {
                "carpedm20's code: 5x5 kernels with biases, two generator updates per discriminator update."
            }
            Self::AuthorsSvhn => "The authors' street numbers at 32x32: 64 base filters, batches of 64.",
        }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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

/// Whether a value need not be written, since reading gives it anyway.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Most filters of the widest-resolution hidden layer: eight times the paper's.
const MAX_BASE: usize = 1024;
/// Most coordinates of z.
const MAX_Z_DIM: usize = 4096;

/// Settings no network can be built from.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// The size is not one the stages can make.
    #[error(
        "pictures of {0}x{0} cannot be made: each stage doubles 4x4 to 7x7, so --size is one of {sizes}",
        sizes = ModelConfig::SIZES.map(|size| size.to_string()).join(", ")
    )]
    Size(usize),
    /// The number of channels is neither grey nor colour.
    #[error("{0} channels cannot be drawn: --channels is 1 (grey) or 3 (colour)")]
    Channels(usize),
    /// The kernel is not one of the published ones.
    #[error("a {0}x{0} kernel is not known: --kernel is 4 (PyTorch) or 5 (the paper)")]
    Kernel(usize),
    /// The networks would have no width, or more than any machine trains.
    #[error("{0} base filters are not possible: --base is 1 to {MAX_BASE}")]
    Base(usize),
    /// The latent space would have no dimension, or more than anyone explores.
    #[error("a z of {0} coordinates is not possible: its length is 1 to {MAX_Z_DIM}")]
    ZDim(usize),
    /// A rectifier that would not rectify.
    #[error("a rectifier with a slope of {0} below zero is none: it is 0 (ReLU) to 1")]
    Leak(f64),
    /// Layers given one by one that cannot be put together.
    #[error("the {network} cannot be built of these layers: {what}")]
    Layout {
        /// Which network.
        network: &'static str,
        /// Why.
        what: String,
    },
    /// A count that must be at least one.
    #[error("{0} must be at least 1")]
    Zero(&'static str),
}

/// Everything that decides the networks' shapes and how z is drawn.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ModelConfig {
    /// Where the other numbers came from.
    pub preset: Preset,
    /// Pictures are `size` x `size`: one of [`Self::SIZES`].
    pub size: usize,
    /// 1 (grey) or 3 (colour).
    pub channels: usize,
    /// Side of the convolution kernels: 4 or 5.
    pub kernel: usize,
    /// Feature maps of the widest-resolution hidden layer; each stage towards the narrowest doubles them.
    pub base: usize,
    /// Coordinates of z.
    pub z_dim: usize,
    /// Where z is drawn from.
    pub prior: Prior,
    /// Whether the convolutions have biases.
    pub bias: bool,
    /// Added to the variance in batch norm.
    pub norm_epsilon: f64,
    /// Statistics used when sampling.
    pub sampling: Statistics,
    /// What the generator ends in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Output,
    /// Slope of the generator's rectifiers below zero: 0 is ReLU (the paper), anything else LeakyReLU.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leak: f64,
    /// The layers one by one, where they are not what the numbers above say. Networks of other programs have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

impl ModelConfig {
    /// Sides that pictures can have: 4 to 7, doubled twice or more. The paper's are 32 and 64; MNIST's 28.
    pub const SIZES: [usize; 13] = [16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128];

    /// The preset's own numbers.
    pub fn preset(preset: Preset) -> Self {
        let paper = Self {
            preset,
            size: 64,
            channels: 3,
            kernel: 5,
            base: 128,
            z_dim: 100,
            prior: Prior::Uniform,
            bias: false,
            norm_epsilon: 1e-8,
            sampling: Statistics::Batch,
            output: Output::Tanh,
            leak: 0.0,
            layout: None,
        };
        match preset {
            Preset::Paper | Preset::AuthorsFaces => paper,
            Preset::Pytorch => Self {
                kernel: 4,
                base: 64,
                prior: Prior::Normal,
                norm_epsilon: 1e-5,
                sampling: Statistics::Running,
                ..paper
            },
            Preset::Tensorflow => {
                Self { base: 64, bias: true, norm_epsilon: 1e-5, sampling: Statistics::Running, ..paper }
            }
            Preset::AuthorsSvhn => Self { base: 64, size: 32, ..paper },
        }
    }

    /// Doublings between the narrowest maps and the picture: 2 for 16x16 and 28x28, 5 for 128x128.
    pub fn stages(&self) -> usize {
        self.size.ilog2() as usize - 2
    }

    /// Side of the narrowest maps, which z is projected to and which are judged: 4 in the paper, up to 7.
    pub fn start(&self) -> usize {
        self.size >> self.stages()
    }

    /// Side of the generator's hidden layer `layer`, 0 the projection: 7 and 14 for pictures of 28x28, 4 and 8 for 16x16.
    pub fn side(&self, layer: usize) -> usize {
        self.start() << layer
    }

    /// A hidden layer of the generator for people: `project (512 maps of 4x4)`, `up1 (256 maps of 8x8)` and so on.
    pub fn layer_name(&self, layer: usize) -> String {
        let name = if layer == 0 { "project".to_owned() } else { format!("up{layer}") };
        format!("{name} ({} maps of {1}x{1})", self.maps(layer), self.side(layer))
    }

    /// The layers one by one.
    pub fn layers(&self) -> Cow<'_, Layout> {
        self.layout.as_ref().map_or_else(|| Cow::Owned(Layout::of(self)), Cow::Borrowed)
    }

    /// The generator's feature maps at side `start * 2^level`, level 0 the narrowest; the picture itself is not among them.
    pub fn maps(&self, level: usize) -> usize {
        self.layers().generator[level].maps
    }

    /// The discriminator's feature maps after convolution `layer`, 0 the widest.
    pub fn seen(&self, layer: usize) -> usize {
        self.layers().discriminator[layer].maps
    }

    /// Values of one picture.
    pub fn values(&self) -> usize {
        self.channels * self.size * self.size
    }

    /// The generator's rectifiers, for people.
    pub fn rectifiers(&self) -> String {
        if self.leak == 0.0 { "ReLU".to_owned() } else { format!("LeakyReLU {}", self.leak) }
    }

    /// Pictures in -1..=1 as the discriminator has learnt to see them: beside a generator that ends in a sigmoid, in 0..=1.
    pub(super) fn judged(&self, pictures: Tensor<4>) -> Tensor<4> {
        match self.output {
            Output::Tanh => pictures,
            Output::Sigmoid => pictures.mul_scalar(self.judged_slope()).add_scalar(0.5),
        }
    }

    /// How much [`Self::judged`] changes with a picture.
    pub(super) fn judged_slope(&self) -> f32 {
        match self.output {
            Output::Tanh => 1.0,
            Output::Sigmoid => 0.5,
        }
    }

    /// Checks that networks can be built.
    ///
    /// # Errors
    /// The first setting that is impossible.
    pub fn check(&self) -> Result<(), ConfigError> {
        if !Self::SIZES.contains(&self.size) {
            return Err(ConfigError::Size(self.size));
        }
        if self.channels != 1 && self.channels != 3 {
            return Err(ConfigError::Channels(self.channels));
        }
        if self.kernel != 4 && self.kernel != 5 {
            return Err(ConfigError::Kernel(self.kernel));
        }
        if !(1..=MAX_BASE).contains(&self.base) {
            return Err(ConfigError::Base(self.base));
        }
        if !(1..=MAX_Z_DIM).contains(&self.z_dim) {
            return Err(ConfigError::ZDim(self.z_dim));
        }
        if !(0.0..=1.0).contains(&self.leak) {
            return Err(ConfigError::Leak(self.leak));
        }
        self.layout.as_ref().map_or(Ok(()), |layout| layout.check(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_can_be_built_and_is_named_as_in_files() {
        for preset in Preset::ALL {
            ModelConfig::preset(preset).check().unwrap();
            let json = serde_json::to_string(&preset).unwrap();
            assert_eq!(json, format!("\"{preset}\""));
        }
    }

    #[test]
    fn a_hidden_layer_is_named_with_the_size_that_its_maps_have() {
        for size in ModelConfig::SIZES {
            let config = ModelConfig { size, base: 2, z_dim: 3, ..ModelConfig::preset(Preset::Pytorch) };
            let device = burn::tensor::Device::flex();
            let generator = crate::model::Generator::new(&config, 1, &device);
            let z = burn::tensor::Tensor::zeros([1, 3], &device);
            for layer in 0..config.stages() {
                let [_, maps, side, _] = generator.features(z.clone(), layer).dims();
                let name = config.layer_name(layer);
                assert_eq!(config.side(layer), side, "{size}: {name}");
                assert!(name.ends_with(&format!("({maps} maps of {side}x{side})")), "{size}: {name}");
            }
        }
    }

    #[test]
    fn impossible_settings_are_refused_with_the_possible_ones() {
        for size in [0, 1, 8, 30, 127, 256] {
            let config = ModelConfig { size, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("16, 20, 24, 28, 32"), "{size}");
        }
        for size in ModelConfig::SIZES {
            let config = ModelConfig { size, ..ModelConfig::preset(Preset::Paper) };
            config.check().unwrap();
            assert!((4..8).contains(&config.start()) && config.side(config.stages()) == size);
        }
        let config = ModelConfig { channels: 4, ..ModelConfig::preset(Preset::Paper) };
        assert_eq!(config.check(), Err(ConfigError::Channels(4)));
        for base in [0, 1025] {
            let config = ModelConfig { base, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("--base is 1 to 1024"));
        }
        for z_dim in [0, 4097] {
            let config = ModelConfig { z_dim, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("1 to 4096"));
        }
    }
}
