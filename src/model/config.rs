//! One config for both networks.

use std::borrow::Cow;

use burn::tensor::Tensor;

use super::choices::{Activation, InitialWeights, Norms, Output, Padding, Prior, Resampling, Statistics};
use super::kernels::Geometry;
use super::layer::{Convolution, Window};
use super::layout::{LayerPlan, Layout, Per, Placed};
use super::preset::Preset;
use crate::files::is_default;
use crate::image::{PictureFormat, Preparation, PreparationError};

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

/// Most convolutions of a stage: the paper's 32x32 network has two.
const MAX_PER_STAGE: usize = 2;
/// Most units of the fully connected hidden layer: eight times the 1024 of the authors' MNIST code.
const MAX_HIDDEN: usize = 8 * 1024;
/// Largest deviation of initial weights: fifty times the paper's, with which no network of these has learnt.
const MAX_DEVIATION: f64 = 1.0;
/// Share of the newest batch in the running statistics, as in PyTorch.
pub(super) const NORM_MOMENTUM: f64 = 0.1;

fn norm_momentum() -> f64 {
    NORM_MOMENTUM
}

fn is_norm_momentum(value: &f64) -> bool {
    *value == NORM_MOMENTUM
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
    #[error("a {0}x{0} kernel is not known: --kernel is 3 (the paper's 32x32 network), 4 (PyTorch) or 5 (the paper)")]
    Kernel(usize),
    /// Stages of no convolution, or of many.
    #[error("{0} convolutions in a stage are not possible: --per-stage is 1 to {MAX_PER_STAGE}")]
    PerStage(usize),
    /// A hidden layer wider than the widest maps.
    #[error("a hidden layer of {0} units is not possible: --hidden is 0 (none) to {MAX_HIDDEN}")]
    Hidden(usize),
    /// A slope for rectifiers that are not there.
    #[error("a slope of {0} below zero is a rectifier's, and the generator ends its hidden layers in tanh")]
    LeakOfTanh(f64),
    /// Initial weights that are all alike, or not finite.
    #[error("initial weights of deviation {0} are not possible: it is above 0 and {MAX_DEVIATION} at the most")]
    Deviation(f64),
    /// The networks would have no width, or more than any machine trains.
    #[error("{0} base filters are not possible: --base is 1 to {MAX_BASE}")]
    Base(usize),
    /// The latent space would have no dimension, or more than anyone explores.
    #[error("a z of {0} coordinates is not possible: --z-dim is 1 to {MAX_Z_DIM}")]
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
    /// Nothing, or too much, added to the variance.
    #[error("--norm-epsilon {0} is not possible: it is above 0 and at most 1 (PyTorch: 1e-5, the authors: 1e-8)")]
    NormEpsilon(f64),
    /// Running statistics that never move.
    #[error("--norm-momentum {0} is not possible: it is above 0 and at most 1 (PyTorch: 0.1)")]
    NormMomentum(f64),
    /// Pictures cannot be prepared like this.
    #[error(transparent)]
    Preparation(#[from] PreparationError),
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
    /// Side of the convolution kernels: 3, 4 or 5.
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
    /// Share of the newest batch in batch norm's running statistics, in (0, 1]: PyTorch's momentum, one minus TensorFlow's.
    #[serde(default = "norm_momentum", skip_serializing_if = "is_norm_momentum")]
    pub norm_momentum: f64,
    /// Statistics used when sampling.
    pub sampling: Statistics,
    /// What the generator ends in.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: Output,
    /// Slope of the generator's rectifiers below zero: 0 is ReLU (the paper), anything else LeakyReLU.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leak: f64,
    /// Convolutions in each stage, which doubles or halves the maps: 1, of stride 2; or 2, of which the discriminator's first and
    /// the generator's second have stride 1 (the paper's 32x32 network).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub per_stage: usize,
    /// Whether batch norm after the projection of z is of each unit, as after any fully connected layer, and not of each map.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit_norm: bool,
    /// Whether the projection of z has a bias for each unit, where there are biases, and not for each map.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit_bias: bool,
    /// Where the convolutions' zeros are added.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Which layers have batch norm.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norms: Norms,
    /// What follows the generator's hidden layers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// How the sides of maps are doubled and halved.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resampling: Resampling,
    /// Units of a fully connected hidden layer in both networks, before the generator's projection and before the verdict; 0 for
    /// none (the paper).
    #[serde(default, skip_serializing_if = "is_default")]
    pub hidden: usize,
    /// What weights are drawn from before training.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initial: InitialWeights,
    /// How pictures are prepared for these networks: in training, and wherever real pictures are read for them afterwards.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preparation: Preparation,
    /// The layers one by one, where they are not what the numbers above say. Networks of other programs have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

impl ModelConfig {
    /// Sides that pictures can have: 4 to 7, doubled twice or more. The paper's are 32 and 64; MNIST's 28.
    pub const SIZES: [usize; 13] = [16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128];
    /// Sides that pictures of other programs' networks can have.
    pub(super) const IMPORTED: std::ops::RangeInclusive<usize> = 16..=128;
    /// The largest of them.
    pub const LARGEST: usize = Self::SIZES[Self::SIZES.len() - 1];

    /// Doublings between the narrowest maps and the picture: 2 for 16x16 and 28x28, 5 for 128x128.
    pub fn doublings(&self) -> usize {
        self.size.ilog2() as usize - 2
    }

    /// Convolutions of the discriminator.
    pub fn judging_stages(&self) -> usize {
        self.layout.as_ref().map_or_else(|| self.stages(), |layout| layout.discriminator.len() - 1)
    }

    /// Hidden layers of the generator, the projection of z among them.
    pub fn stages(&self) -> usize {
        self.layout.as_ref().map_or_else(|| self.doublings() * self.per_stage, |layout| layout.generator.len() - 1)
    }

    /// Side of the narrowest maps, which z is projected to and which are judged: 4 in the paper, up to 7.
    pub fn start(&self) -> usize {
        let projection = self.layout.as_ref().and_then(|layout| layout.generator.first());
        projection.map_or_else(|| self.size >> self.doublings(), |plan| plan.kernel)
    }

    /// Side of the feature maps of the generator's hidden layer `layer`, 0 the projection: 7 and 14 for pictures of 28x28, 4 and 8
    /// for 16x16.
    pub fn side(&self, layer: usize) -> usize {
        self.layers().generator[1..=layer].iter().fold(self.start(), |side, plan| plan.grown(side))
    }

    /// How a convolution of this plan is made.
    pub(super) fn convolution(&self, plan: &LayerPlan) -> Convolution {
        if let Some(Placed { padding, side, repeated: pooled }) = plan.placed {
            let stride = if pooled { 1 } else { plan.stride };
            let before = padding.min(plan.kernel - stride);
            let window = Some(Window { side, cut: padding - before });
            return Convolution { geometry: Geometry { stride, before }, pooled, window };
        }
        let pooled = self.resampling == Resampling::Pooling && plan.stride == 2;
        let stride = if pooled { 1 } else { plan.stride };
        let geometry = match self.padding {
            Padding::Symmetric => Geometry::symmetric(plan.kernel, stride),
            Padding::Same => Geometry::same(plan.kernel, stride),
        };
        Convolution { geometry, pooled, window: None }
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

    /// The feature maps of the generator's hidden layer `layer`, 0 the projection; the picture itself is not among them.
    pub fn maps(&self, layer: usize) -> usize {
        self.layers().generator[layer].maps
    }

    /// The discriminator's feature maps after convolution `layer`, 0 the widest.
    pub fn seen(&self, layer: usize) -> usize {
        self.layers().discriminator[layer].maps
    }

    /// Whether the projection has biases or batch norm of single units, and so is no convolution.
    pub(super) fn projects_units(&self) -> bool {
        let layers = self.layers();
        let projection = &layers.generator[0];
        projection.bias == Per::Unit || projection.norm == Per::Unit
    }

    /// Values of the batch norm of the fully connected hidden layer.
    pub(super) fn hidden_norm(&self) -> Option<usize> {
        (self.norms != Norms::Off).then_some(self.hidden)
    }

    /// What the generator's weights are drawn from, of which none are truncated.
    pub(super) fn untruncated(&self) -> InitialWeights {
        InitialWeights { truncated: false, ..self.initial }
    }

    /// What real pictures become for these networks.
    pub fn pictures(&self) -> PictureFormat {
        PictureFormat { size: self.size, channels: self.channels, preparation: self.preparation }
    }

    /// Values of one picture.
    pub fn values(&self) -> usize {
        self.channels * self.size * self.size
    }

    /// The generator's rectifiers, for people.
    pub fn rectifiers(&self) -> String {
        if self.activation == Activation::Tanh {
            return "tanh".to_owned();
        }
        if self.leak == 0.0 { "ReLU".to_owned() } else { format!("LeakyReLU {}", self.leak) }
    }

    /// Where the networks break the paper's rules or differ from its plan of stages, for people; empty where they do not.
    pub fn departures(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.norms != Norms::On {
            told.push(format!("batch norm {}", self.norms));
        }
        if self.resampling != Resampling::Strided {
            told.push("pooling instead of strides".to_owned());
        }
        if self.hidden > 0 {
            told.push(format!("a fully connected hidden layer of {} units", self.hidden));
        }
        if self.per_stage > 1 {
            told.push(format!("{} convolutions in each stage", self.per_stage));
        }
        if self.padding != Padding::Symmetric {
            told.push("TensorFlow's SAME padding".to_owned());
        }
        told
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
        let laid_out = self.layout.is_some();
        if !(Self::SIZES.contains(&self.size) || laid_out && Self::IMPORTED.contains(&self.size)) {
            return Err(ConfigError::Size(self.size));
        }
        if self.channels != 1 && self.channels != 3 {
            return Err(ConfigError::Channels(self.channels));
        }
        if !laid_out && !(3..=5).contains(&self.kernel) {
            return Err(ConfigError::Kernel(self.kernel));
        }
        if !(1..=MAX_PER_STAGE).contains(&self.per_stage) {
            return Err(ConfigError::PerStage(self.per_stage));
        }
        if self.hidden > MAX_HIDDEN {
            return Err(ConfigError::Hidden(self.hidden));
        }
        if self.activation == Activation::Tanh && self.leak != 0.0 {
            return Err(ConfigError::LeakOfTanh(self.leak));
        }
        let InitialWeights { weights, gains, .. } = self.initial;
        if !(weights > 0.0 && weights <= MAX_DEVIATION) {
            return Err(ConfigError::Deviation(weights));
        }
        if !(0.0..=MAX_DEVIATION).contains(&gains) {
            return Err(ConfigError::Deviation(gains));
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
        let possible = |value: f64| value > 0.0 && value <= 1.0;
        if !possible(self.norm_epsilon) {
            return Err(ConfigError::NormEpsilon(self.norm_epsilon));
        }
        if !possible(self.norm_momentum) {
            return Err(ConfigError::NormMomentum(self.norm_momentum));
        }
        self.preparation.check()?;
        self.layout.as_ref().map_or(Ok(()), |layout| layout.check(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!((4..8).contains(&config.start()) && config.start() << config.doublings() == size);
        }
        let config = ModelConfig { channels: 4, ..ModelConfig::preset(Preset::Paper) };
        assert_eq!(config.check(), Err(ConfigError::Channels(4)));
        for base in [0, 1025] {
            let config = ModelConfig { base, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("--base is 1 to 1024"));
        }
        for value in [0.0, -1.0, 1.5, f64::NAN] {
            let config = ModelConfig { norm_epsilon: value, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("--norm-epsilon"), "{value}");
            let config = ModelConfig { norm_momentum: value, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("--norm-momentum"), "{value}");
        }
        for z_dim in [0, 4097] {
            let config = ModelConfig { z_dim, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("1 to 4096"));
        }
    }
}
