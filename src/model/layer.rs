//! Building blocks of both networks: parameters, batch norm, and layers with strided or fractionally-strided
//! convolutions.
//!
//! A [`Layer`] is a weight with optional bias and batch norm. [`Layer::build`] takes its parameters from a
//! [`ParameterSource`]: the random [`Initializer`], or a file.

use std::convert::Infallible;

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::{MaxPoolOptions, PadMode};
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::config::ModelConfig;
use super::kernels::{self, Geometry};
use super::options::{InitialWeights, SamplingStatistics};
use crate::device::Operands;

/// Standard deviations beyond which TensorFlow's `truncated_normal` resamples.
const TRUNCATION: f32 = 2.0;

/// A named tensor of a layer: a trainable parameter or a running statistic. The values are stored flat, with the shape
/// beside them, so that optimizer and files need no case per rank.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in files: `up1.weight`.
    pub name: String,
    /// The tensor's shape.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub value: Tensor<1>,
}

impl Parameter {
    /// The values as a tensor of the parameter's shape, which has rank `D`.
    pub fn tensor<const D: usize>(&self) -> Tensor<D> {
        let mut shape = [0; D];
        shape.copy_from_slice(&self.shape);
        self.value.clone().reshape(shape)
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the parameter has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Role of a parameter, which decides its initial distribution.
#[derive(Clone, Copy)]
pub(super) enum ParameterRole {
    /// Kernel of a convolution.
    Kernel,
    /// Matrix of a fully connected layer.
    Matrix,
    /// Batch norm's gain.
    Gain,
    /// A bias, shift or running mean: initially 0.
    Zeros,
    /// A running variance: initially 1.
    Ones,
}

/// Supplies a network's parameters: random initialization, or a file.
pub(super) trait ParameterSource {
    /// Error of a missing or misshapen parameter.
    type Error;

    /// The parameter `name` of `shape`. Each is requested once, in file order.
    fn parameter(&mut self, name: String, shape: Vec<usize>, role: ParameterRole) -> Result<Parameter, Self::Error>;
}

/// Initializes parameters randomly. Random numbers come from the CPU, so that a seed gives the same networks on every
/// device.
pub(super) struct Initializer<'a> {
    rng: ChaCha8Rng,
    device: &'a Device,
    weights: InitialWeights,
}

impl<'a> Initializer<'a> {
    /// `stream` separates the random numbers of networks with the same seed.
    pub fn new(seed: u64, stream: u64, device: &'a Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rng, device, weights: InitialWeights::default() }
    }

    /// Uses other initial distributions.
    pub fn with_weights(self, weights: InitialWeights) -> Self {
        Self { weights, ..self }
    }

    fn normal(&mut self, length: usize, mean: f32, deviation: f64, truncated: bool) -> Tensor<1> {
        let deviation = deviation as f32;
        let normal = Normal::new(mean, deviation).expect("the config's deviations are checked");
        let accept = |value: &f32| !truncated || (value - mean).abs() <= TRUNCATION * deviation;
        let values: Vec<f32> = normal.sample_iter(&mut self.rng).filter(accept).take(length).collect();
        Tensor::from_data(TensorData::from(values.as_slice()), self.device)
    }
}

impl ParameterSource for Initializer<'_> {
    type Error = Infallible;

    fn parameter(&mut self, name: String, shape: Vec<usize>, role: ParameterRole) -> Result<Parameter, Infallible> {
        let length = shape.iter().product();
        let InitialWeights { weights, gains, truncated } = self.weights;
        let value = match role {
            ParameterRole::Kernel => self.normal(length, 0.0, weights, truncated),
            ParameterRole::Matrix => self.normal(length, 0.0, weights, false),
            ParameterRole::Gain => self.normal(length, 1.0, gains, false),
            ParameterRole::Zeros => Tensor::zeros([length], self.device),
            ParameterRole::Ones => Tensor::ones([length], self.device),
        };
        Ok(Parameter { name, shape, value })
    }
}

/// Batch norm of one layer.
#[derive(Clone, Debug)]
pub struct BatchNorm {
    /// Trainable gain, `[maps]`.
    pub gain: Parameter,
    /// Trainable shift, `[maps]`.
    pub shift: Parameter,
    /// Running mean, `[maps]`; not trainable.
    pub mean: Parameter,
    /// Running variance, `[maps]`; not trainable.
    pub variance: Parameter,
}

/// How a forward pass uses and updates batch-norm statistics.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    /// Batch statistics; updates the running statistics with the config's momentum.
    Train,
    /// Batch statistics; the running statistics become the mean over this batch and the given number of earlier ones.
    Calibrate(usize),
    /// Batch statistics; the running statistics become exactly those of this batch, so that inference with them
    /// reproduces it.
    Freeze,
    /// Inference: the running statistics do not change.
    Infer(SamplingStatistics),
}

impl BatchNorm {
    /// Batch norm with the config's epsilon and momentum, then LeakyReLU with negative slope `slope` (0: ReLU, 1:
    /// none).
    fn forward(&mut self, x: Tensor<4>, config: &ModelConfig, slope: f64, pass: Pass) -> Tensor<4> {
        let epsilon = config.norm_epsilon;
        let (gain, shift) = (self.gain.value.clone(), self.shift.value.clone());
        if pass == Pass::Infer(SamplingStatistics::Running) {
            let scale = gain / (self.variance.value.clone() + epsilon).sqrt();
            let shift = shift - self.mean.value.clone() * scale.clone();
            return kernels::rectify(x, scale, shift, slope);
        }
        let [batch, _, height, width] = x.dims();
        let count = (batch * height * width) as f64;
        let (y, mean, variance) = kernels::norm(x, gain, shift, epsilon, slope);
        let momentum = match pass {
            Pass::Train => Some(config.norm_momentum),
            Pass::Calibrate(earlier) => Some(1.0 / (earlier as f64 + 1.0)),
            Pass::Freeze => {
                (self.mean.value, self.variance.value) = (mean.inner(), variance.inner());
                return y;
            }
            Pass::Infer(_) => None,
        };
        if let Some(momentum) = momentum {
            let updated = |old: &Tensor<1>, new: Tensor<1>| {
                old.clone().mul_scalar(1.0 - momentum) + new.inner().mul_scalar(momentum)
            };
            // PyTorch's running variance is unbiased, too.
            let unbiased = variance.mul_scalar(count / (count - 1.0).max(1.0));
            self.mean.value = updated(&self.mean.value, mean);
            self.variance.value = updated(&self.variance.value, unbiased);
        }
        y
    }
}

/// A weight with optional bias and batch norm.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Kernel of a convolution, or matrix of a fully connected layer.
    pub weight: Parameter,
    /// Bias, `[maps]` or `[units]`.
    pub bias: Option<Parameter>,
    /// Batch norm after the convolution.
    pub norm: Option<BatchNorm>,
    /// Stride and padding of a convolution; `None` for a fully connected layer.
    pub(super) convolution: Option<LayerConvolution>,
    /// Whether this hidden layer has no activation.
    pub(super) linear: bool,
    /// Number format of the convolution's operands.
    pub(super) operands: Operands,
}

/// Name of the fully connected hidden layer that [`ModelConfig::hidden`] adds.
pub(super) const HIDDEN: &str = "hidden";

/// Stride, padding and resampling of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LayerConvolution {
    /// Stride and leading padding.
    pub geometry: Geometry,
    /// Whether 2x2 max pooling follows (discriminator), or 2x2 nearest-neighbor upsampling precedes the convolution
    /// (generator).
    pub pooled: bool,
    /// Explicit output size, if it does not follow from the stride.
    pub window: Option<OutputWindow>,
}

/// The part of a convolution's output that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OutputWindow {
    /// Side of the output.
    pub side: usize,
    /// Padding beyond the geometry's: rows and columns cropped before the generator's large output map, or zeros added
    /// before the discriminator's large input map.
    pub cut: usize,
}

impl LayerConvolution {
    /// Stride 2, padded as in PyTorch.
    pub const fn strided(kernel: usize) -> Self {
        Self { geometry: Geometry::symmetric(kernel, 2), pooled: false, window: None }
    }
}

/// Pads maps with `before` rows and columns of zeros before them and `behind` after them.
fn pad(x: Tensor<4>, before: usize, behind: usize) -> Tensor<4> {
    if before + behind == 0 { x } else { x.pad((before, behind, before, behind), PadMode::Constant(0.0)) }
}

/// Crops maps to `side` rows and columns starting at `first`.
fn crop(x: Tensor<4>, first: usize, side: usize) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if first == 0 && height == side && width == side { x } else { x.narrow(2, first, side).narrow(3, first, side) }
}

/// 2x2 nearest-neighbor upsampling.
fn upsample(x: Tensor<4>) -> Tensor<4> {
    let [batch, maps, height, width] = x.dims();
    let spread = x.reshape([batch, maps, height, 1, width, 1]).expand([batch, maps, height, 2, width, 2]);
    spread.reshape([batch, maps, 2 * height, 2 * width])
}

impl Layer {
    /// Builds the layer `name` with a weight of `shape`: a convolution if `convolution` is given, otherwise a fully
    /// connected layer. `bias` and `norm` are the lengths of bias and batch norm.
    ///
    /// # Errors
    /// Any error of `source`.
    pub(super) fn build<S: ParameterSource>(
        source: &mut S,
        name: &str,
        shape: Vec<usize>,
        convolution: Option<LayerConvolution>,
        bias: Option<usize>,
        norm: Option<usize>,
    ) -> Result<Self, S::Error> {
        let mut parameter = |part: &str, shape, role| source.parameter(format!("{name}.{part}"), shape, role);
        let role = if convolution.is_some() { ParameterRole::Kernel } else { ParameterRole::Matrix };
        let weight = parameter("weight", shape, role)?;
        let bias = bias.map(|length| parameter("bias", vec![length], ParameterRole::Zeros)).transpose()?;
        let norm = norm
            .map(|length| {
                let mut vector = |part, role| parameter(part, vec![length], role);
                Ok(BatchNorm {
                    gain: vector("norm.gain", ParameterRole::Gain)?,
                    shift: vector("norm.shift", ParameterRole::Zeros)?,
                    mean: vector("norm.mean", ParameterRole::Zeros)?,
                    variance: vector("norm.variance", ParameterRole::Ones)?,
                })
            })
            .transpose()?;
        Ok(Self { weight, bias, norm, convolution, linear: false, operands: Operands::F32 })
    }

    /// Fractionally-strided convolution, weight `[in, out, k, k]`: `[batch, in, h, w]` to `[batch, out, 2h, 2w]`, or to
    /// `[batch, out, h, w]` with stride 1.
    pub(super) fn up(&self, x: Tensor<4>) -> Tensor<4> {
        let LayerConvolution { geometry, pooled, window } = self.convolution_spec();
        let small = if pooled { upsample(x) } else { x };
        let Some(OutputWindow { side, cut: first }) = window else {
            return kernels::up(small, self.weight.tensor(), geometry, self.operands);
        };
        // Zeros behind the small map add nothing to the result, and extend it by the rows that the kernel reaches
        // beyond the map.
        let [_, _, height, _] = small.dims();
        let more = (side + first).div_ceil(geometry.stride).saturating_sub(height);
        crop(kernels::up(pad(small, 0, more), self.weight.tensor(), geometry, self.operands), first, side)
    }

    /// Strided convolution, weight `[out, in, k, k]`: `[batch, in, 2h, 2w]` to `[batch, out, h, w]`, or to `[batch,
    /// out, 2h, 2w]` with stride 1. The fully connected hidden layer gives `[batch, out, 1, 1]`.
    pub(super) fn down(&self, x: Tensor<4>) -> Tensor<4> {
        if self.is_hidden() {
            let [batch, ..] = x.dims();
            let (units, inputs) = (self.weight.shape[0], self.weight.len() / self.weight.shape[0]);
            let matrix = self.weight.value.clone().reshape([units, inputs]).transpose();
            return x.reshape([batch, inputs]).matmul(matrix).reshape([batch, units, 1, 1]);
        }
        let LayerConvolution { geometry, pooled, window } = self.convolution_spec();
        let convolved = match window {
            None => kernels::down(x, self.weight.tensor(), geometry, self.operands),
            Some(OutputWindow { side, cut: before }) => {
                // The kernels need a large map whose side is a multiple of the stride.
                let [_, _, height, _] = x.dims();
                let whole = (height + before).next_multiple_of(geometry.stride).max(geometry.stride * side);
                let large = pad(x, before, whole - height - before);
                crop(kernels::down(large, self.weight.tensor(), geometry, self.operands), 0, side)
            }
        };
        if pooled { max_pool2d(convolved, MaxPoolOptions::new([2, 2]).with_stride([2, 2])) } else { convolved }
    }

    /// Sets the number format of the convolution's operands. Fully connected layers always use single precision.
    pub fn set_operands(&mut self, operands: Operands) {
        self.operands = operands;
    }

    fn convolution_spec(&self) -> LayerConvolution {
        self.convolution.expect("a layer between maps is a convolution")
    }

    /// Whether this is the fully connected hidden layer.
    pub(super) fn is_hidden(&self) -> bool {
        self.weight.name.split_once('.').is_some_and(|(name, _)| name == HIDDEN)
    }

    /// Adds the per-map or per-unit bias, if any.
    pub(super) fn add_bias(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, maps, height, width] = x.dims();
        match &self.bias {
            Some(bias) if bias.len() == maps => x + bias.value.clone().reshape([1, maps, 1, 1]),
            Some(bias) => x + bias.value.clone().reshape([1, maps, height, width]),
            None => x,
        }
    }

    /// The rest of a hidden layer after its convolution: bias and batch norm, if any, then LeakyReLU with negative
    /// slope `slope` (0: ReLU, 1: none).
    pub(super) fn activate(&mut self, x: Tensor<4>, config: &ModelConfig, slope: f64, pass: Pass) -> Tensor<4> {
        let [batch, maps, height, width] = x.dims();
        let biased = self.add_bias(x);
        match &mut self.norm {
            Some(norm) if norm.gain.len() == maps => norm.forward(biased, config, slope, pass),
            Some(norm) => {
                let units = biased.reshape([batch, maps * height * width, 1, 1]);
                norm.forward(units, config, slope, pass).reshape([batch, maps, height, width])
            }
            None => kernels::leaky(biased, slope),
        }
    }

    /// The trainable parameters, in file order.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        let norm = self.norm.iter().flat_map(|norm| [&norm.gain, &norm.shift]);
        std::iter::once(&self.weight).chain(&self.bias).chain(norm)
    }

    /// The trainable parameters, in file order.
    pub fn parameters_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let norm = self.norm.iter_mut().flat_map(|norm| [&mut norm.gain, &mut norm.shift]);
        std::iter::once(&mut self.weight).chain(&mut self.bias).chain(norm)
    }

    /// Everything that a file stores: trainable parameters and running statistics.
    pub fn state(&self) -> impl Iterator<Item = &Parameter> {
        self.parameters().chain(self.norm.iter().flat_map(|norm| [&norm.mean, &norm.variance]))
    }

    /// As [`Self::state`].
    pub(super) fn state_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let norm = self.norm.iter_mut();
        let norm = norm.flat_map(|norm| [&mut norm.gain, &mut norm.shift, &mut norm.mean, &mut norm.variance]);
        std::iter::once(&mut self.weight).chain(&mut self.bias).chain(norm)
    }
}
