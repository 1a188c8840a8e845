//! Architecture settings of both networks.
//!
//! [`ModelConfig`] describes generator and discriminator; [`ModelConfig::check`] validates it, [`ModelConfig::layers`]
//! expands it to a [`Layout`], and [`ModelConfig::preset`] gives the published architectures.

use std::borrow::Cow;

use burn::tensor::Tensor;

use super::kernels::Geometry;
use super::layer::{LayerConvolution, OutputWindow};
use super::layout::{ConvPlacement, LayerPlan, Layout, ParameterScope};
use super::options::{
    Activation, InitialWeights, NormPlacement, OutputActivation, Padding, Prior, Resampling, SamplingStatistics,
};
use super::preset::Preset;
use crate::files::is_default;
use crate::image::{PictureFormat, Preparation, PreparationError};

fn one() -> usize {
    1
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

/// Maximum convolutions per stage: the paper's 32x32 network has two.
const MAX_PER_STAGE: usize = 2;
/// Maximum units of the fully connected hidden layer: eight times the 1024 of the authors' MNIST code.
const MAX_HIDDEN: usize = 8 * 1024;
/// Maximum standard deviation of initial weights: fifty times the paper's. No network trains with that.
const MAX_DEVIATION: f64 = 1.0;
/// Momentum of the running statistics: the weight of the newest batch, as in PyTorch.
pub(super) const NORM_MOMENTUM: f64 = 0.1;

fn norm_momentum() -> f64 {
    NORM_MOMENTUM
}

fn is_norm_momentum(value: &f64) -> bool {
    *value == NORM_MOMENTUM
}

/// Maximum filters of the hidden layer with the largest maps: eight times the paper's.
const MAX_BASE: usize = 1024;
/// Maximum dimension of z.
const MAX_Z_DIM: usize = 4096;

/// Settings from which no network can be built.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum ConfigError {
    /// The image size is not a small size doubled several times.
    #[error(
        "image size {0}x{0} is not supported: each stage doubles the size, starting at 4x4 to 7x7, so --size must be one of {sizes}",
        sizes = ModelConfig::SIZES.map(|size| size.to_string()).join(", ")
    )]
    Size(usize),
    /// Neither 1 nor 3 channels.
    #[error("{0} channels are not supported: --channels must be 1 (gray) or 3 (color)")]
    Channels(usize),
    /// A kernel size that no published DCGAN has.
    #[error(
        "{0}x{0} kernels are not supported: --kernel must be 3 (the paper's 32x32 network), 4 (PyTorch) or 5 (the paper)"
    )]
    Kernel(usize),
    /// No convolution in a stage, or too many.
    #[error("--per-stage must be 1 to {MAX_PER_STAGE} convolutions, got {0}")]
    PerStage(usize),
    /// The fully connected hidden layer is too wide.
    #[error("--hidden must be 0 (no hidden layer) to {MAX_HIDDEN} units, got {0}")]
    Hidden(usize),
    /// A negative slope for a network without rectifiers.
    #[error("a negative slope of {0} needs ReLU or LeakyReLU, but the generator's hidden layers use tanh")]
    LeakOfTanh(f64),
    /// The standard deviation of initial weights is zero, negative or too large.
    #[error("the standard deviation of initial weights must be above 0 and at most {MAX_DEVIATION}, got {0}")]
    Deviation(f64),
    /// No base filters, or too many.
    #[error("--base must be 1 to {MAX_BASE} filters, got {0}")]
    Base(usize),
    /// The latent space has no dimensions, or too many.
    #[error("--z-dim must be 1 to {MAX_Z_DIM}, got {0}")]
    ZDim(usize),
    /// The negative slope is out of range.
    #[error("negative slope must be between 0 (ReLU) and 1, got {0}")]
    Leak(f64),
    /// The explicit layers do not fit together.
    #[error("cannot build the {network} from its layers: {reason}")]
    Layout {
        /// `generator` or `discriminator`.
        network: &'static str,
        /// Which layer does not fit, and why.
        reason: String,
    },
    /// Batch norm's epsilon is out of range.
    #[error("--norm-epsilon must be above 0 and at most 1 (PyTorch: 1e-5, the authors: 1e-8), got {0}")]
    NormEpsilon(f64),
    /// Batch norm's momentum is out of range.
    #[error("--norm-momentum must be above 0 and at most 1 (PyTorch: 0.1), got {0}")]
    NormMomentum(f64),
    /// The image preparation is invalid.
    #[error(transparent)]
    Preparation(#[from] PreparationError),
}

/// Architecture of both networks, the prior of z, and how images are prepared.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ModelConfig {
    /// The preset from which the other settings started.
    pub preset: Preset,
    /// Side of the images in pixels: one of [`Self::SIZES`].
    pub size: usize,
    /// 1 (gray) or 3 (color).
    pub channels: usize,
    /// Side of the convolution kernels: 3, 4 or 5.
    pub kernel: usize,
    /// Feature maps of the hidden layer with the largest maps; each stage toward the smallest maps doubles the number.
    pub base: usize,
    /// Dimension of z.
    pub z_dim: usize,
    /// Distribution of z.
    pub prior: Prior,
    /// Whether the convolutions have biases.
    pub bias: bool,
    /// Added to the variance in batch norm.
    pub norm_epsilon: f64,
    /// Weight of the newest batch in batch norm's running statistics, in (0, 1]: PyTorch's momentum, one minus
    /// TensorFlow's.
    #[serde(default = "norm_momentum", skip_serializing_if = "is_norm_momentum")]
    pub norm_momentum: f64,
    /// Batch-norm statistics used when sampling.
    pub sampling: SamplingStatistics,
    /// The generator's output activation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output: OutputActivation,
    /// Negative slope of the generator's activations: 0 is ReLU (the paper), anything else LeakyReLU.
    #[serde(default, skip_serializing_if = "is_default")]
    pub leak: f64,
    /// Convolutions per stage (a stage doubles or halves the maps): 1, of stride 2; or 2, of which the discriminator's
    /// first and the generator's second have stride 1 (the paper's 32x32 network).
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub per_stage: usize,
    /// Whether batch norm after the projection of z is per unit, as after a fully connected layer, instead of per map.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit_norm: bool,
    /// Whether the projection's bias, if any, is per unit instead of per map.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unit_bias: bool,
    /// Which side gets the larger zero padding of the convolutions.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding: Padding,
    /// Which layers have batch norm.
    #[serde(default, skip_serializing_if = "is_default")]
    pub norms: NormPlacement,
    /// Activation of the generator's hidden layers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// How feature maps are up- and downsampled.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resampling: Resampling,
    /// Units of a fully connected hidden layer in both networks, before the generator's projection and before the
    /// discriminator's head; 0 for none (the paper).
    #[serde(default, skip_serializing_if = "is_default")]
    pub hidden: usize,
    /// Distribution of the initial weights.
    #[serde(default, skip_serializing_if = "is_default")]
    pub initial: InitialWeights,
    /// How images are prepared for these networks, in training and wherever real images are read for them afterward.
    #[serde(default, skip_serializing_if = "is_default")]
    pub preparation: Preparation,
    /// Explicit layers, if they differ from those that the settings above imply. Imported networks have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
}

impl ModelConfig {
    /// Supported image sizes: 4 to 7, doubled twice or more. The paper's are 32 and 64; MNIST's is 28.
    pub const SIZES: [usize; 13] = [16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128];
    /// Image sizes that imported networks may have.
    pub(super) const IMPORTED: std::ops::RangeInclusive<usize> = 16..=128;
    /// The largest supported image size.
    pub const LARGEST: usize = Self::SIZES[Self::SIZES.len() - 1];

    /// Doublings between the smallest maps and the image: 2 for 16x16 and 28x28, 5 for 128x128.
    pub fn doublings(&self) -> usize {
        self.size.ilog2() as usize - 2
    }

    /// Number of the discriminator's convolutions.
    pub fn discriminator_stages(&self) -> usize {
        self.layout.as_ref().map_or_else(|| self.stages(), |layout| layout.discriminator.len() - 1)
    }

    /// Number of the generator's hidden layers, including the projection of z.
    pub fn stages(&self) -> usize {
        self.layout.as_ref().map_or_else(|| self.doublings() * self.per_stage, |layout| layout.generator.len() - 1)
    }

    /// Side of the smallest maps, to which z is projected and which the discriminator's head sees: 4 in the paper, up
    /// to 7.
    pub fn smallest_side(&self) -> usize {
        let projection = self.layout.as_ref().and_then(|layout| layout.generator.first());
        projection.map_or_else(|| self.size >> self.doublings(), |plan| plan.kernel)
    }

    /// Side of the feature maps of the generator's hidden layer `layer` (0 is the projection): 7 and 14 for 28x28
    /// images, 4 and 8 for 16x16.
    pub fn side(&self, layer: usize) -> usize {
        self.layers().generator[1..=layer].iter().fold(self.smallest_side(), |side, plan| plan.output_side_up(side))
    }

    /// Stride, padding and resampling of a planned convolution.
    pub(super) fn convolution(&self, plan: &LayerPlan) -> LayerConvolution {
        if let Some(ConvPlacement { padding, side, upsampled: pooled }) = plan.placement {
            let stride = if pooled { 1 } else { plan.stride };
            let before = padding.min(plan.kernel - stride);
            let window = Some(OutputWindow { side, cut: padding - before });
            return LayerConvolution { geometry: Geometry { stride, before }, pooled, window };
        }
        let pooled = self.resampling == Resampling::Pooling && plan.stride == 2;
        let stride = if pooled { 1 } else { plan.stride };
        let geometry = match self.padding {
            Padding::Symmetric => Geometry::symmetric(plan.kernel, stride),
            Padding::Same => Geometry::same(plan.kernel, stride),
        };
        LayerConvolution { geometry, pooled, window: None }
    }

    /// Display name of a generator layer: `project (512 maps of 4x4)`, `up1 (256 maps of 8x8)` and so on.
    pub fn layer_name(&self, layer: usize) -> String {
        let name = if layer == 0 { "project".to_owned() } else { format!("up{layer}") };
        format!("{name} ({} maps of {1}x{1})", self.maps(layer), self.side(layer))
    }

    /// The layers of both networks: the explicit layout if there is one, otherwise the layout that the settings imply.
    pub fn layers(&self) -> Cow<'_, Layout> {
        self.layout.as_ref().map_or_else(|| Cow::Owned(Layout::of(self)), Cow::Borrowed)
    }

    /// Number of feature maps of the generator's hidden layer `layer`; 0 is the projection.
    pub fn maps(&self, layer: usize) -> usize {
        self.layers().generator[layer].maps
    }

    /// Number of feature maps of the discriminator's convolution `layer`; 0 is the one with the largest maps.
    pub fn discriminator_maps(&self, layer: usize) -> usize {
        self.layers().discriminator[layer].maps
    }

    /// Whether the projection has per-unit biases or batch norm, so that it cannot be written as a convolution.
    pub(super) fn projects_units(&self) -> bool {
        let layers = self.layers();
        let projection = &layers.generator[0];
        projection.bias == ParameterScope::Unit || projection.norm == ParameterScope::Unit
    }

    /// Length of the batch norm of the fully connected hidden layer; `None` without batch norm.
    pub(super) fn hidden_norm(&self) -> Option<usize> {
        (self.norms != NormPlacement::Off).then_some(self.hidden)
    }

    /// Distribution of the generator's initial weights, which are never truncated.
    pub(super) fn untruncated(&self) -> InitialWeights {
        InitialWeights { truncated: false, ..self.initial }
    }

    /// Format that real images are converted to for these networks.
    pub fn pictures(&self) -> PictureFormat {
        PictureFormat { size: self.size, channels: self.channels, preparation: self.preparation }
    }

    /// Number of values of one image: channels times pixels.
    pub fn values(&self) -> usize {
        self.channels * self.size * self.size
    }

    /// Display name of the generator's hidden activation: `tanh`, `ReLU` or `LeakyReLU 0.2`.
    pub fn hidden_activation(&self) -> String {
        if self.activation == Activation::Tanh {
            return "tanh".to_owned();
        }
        if self.leak == 0.0 { "ReLU".to_owned() } else { format!("LeakyReLU {}", self.leak) }
    }

    /// Deviations from the paper's architecture rules and stage plan, as display texts; empty if there are none.
    pub fn deviations_from_paper(&self) -> Vec<String> {
        let mut deviations = Vec::new();
        if self.norms != NormPlacement::On {
            deviations.push(format!("batch norm {}", self.norms));
        }
        if self.resampling != Resampling::Strided {
            deviations.push("pooling instead of strides".to_owned());
        }
        if self.hidden > 0 {
            deviations.push(format!("a fully connected hidden layer of {} units", self.hidden));
        }
        if self.per_stage > 1 {
            deviations.push(format!("{} convolutions in each stage", self.per_stage));
        }
        if self.padding != Padding::Symmetric {
            deviations.push("TensorFlow's SAME padding".to_owned());
        }
        deviations
    }

    /// Converts images from [-1, 1] to the discriminator's input range: [0, 1] if the generator's output is a sigmoid.
    pub(super) fn discriminator_input(&self, pictures: Tensor<4>) -> Tensor<4> {
        match self.output {
            OutputActivation::Tanh => pictures,
            OutputActivation::Sigmoid => pictures.mul_scalar(self.discriminator_input_scale()).add_scalar(0.5),
        }
    }

    /// Derivative of [`Self::discriminator_input`].
    pub(super) fn discriminator_input_scale(&self) -> f32 {
        match self.output {
            OutputActivation::Tanh => 1.0,
            OutputActivation::Sigmoid => 0.5,
        }
    }

    /// Checks that both networks can be built.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let explicit = self.layout.is_some();
        if !(Self::SIZES.contains(&self.size) || explicit && Self::IMPORTED.contains(&self.size)) {
            return Err(ConfigError::Size(self.size));
        }
        if self.channels != 1 && self.channels != 3 {
            return Err(ConfigError::Channels(self.channels));
        }
        if !explicit && !(3..=5).contains(&self.kernel) {
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
        let in_range = |value: f64| value > 0.0 && value <= 1.0;
        if !in_range(self.norm_epsilon) {
            return Err(ConfigError::NormEpsilon(self.norm_epsilon));
        }
        if !in_range(self.norm_momentum) {
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
    fn layer_names_give_the_actual_number_and_size_of_maps() {
        for size in ModelConfig::SIZES {
            let config = ModelConfig { size, base: 2, z_dim: 3, ..ModelConfig::preset(Preset::Pytorch) };
            let device = burn::tensor::Device::flex();
            let generator = crate::model::Generator::new(&config, 1, &device);
            let z = Tensor::zeros([1, 3], &device);
            for layer in 0..config.stages() {
                let [_, maps, side, _] = generator.features(z.clone(), layer).dims();
                let name = config.layer_name(layer);
                assert_eq!(config.side(layer), side, "{size}: {name}");
                assert!(name.ends_with(&format!("({maps} maps of {side}x{side})")), "{size}: {name}");
            }
        }
    }

    #[test]
    fn invalid_settings_are_rejected_with_the_valid_ones() {
        for size in [0, 1, 8, 30, 127, 256] {
            let config = ModelConfig { size, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("16, 20, 24, 28, 32"), "{size}");
        }
        for size in ModelConfig::SIZES {
            let config = ModelConfig { size, ..ModelConfig::preset(Preset::Paper) };
            config.check().unwrap();
            assert!((4..8).contains(&config.smallest_side()) && config.smallest_side() << config.doublings() == size);
        }
        let config = ModelConfig { channels: 4, ..ModelConfig::preset(Preset::Paper) };
        assert_eq!(config.check(), Err(ConfigError::Channels(4)));
        for base in [0, 1025] {
            let config = ModelConfig { base, ..ModelConfig::preset(Preset::Paper) };
            assert!(config.check().unwrap_err().to_string().contains("--base must be 1 to 1024"));
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
