//! What both networks are made of: parameters, batch norm, and strided convolutions in both directions.

use std::convert::Infallible;

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::{MaxPoolOptions, PadMode};
use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

use super::choices::{InitialWeights, Statistics};
use super::config::ModelConfig;
use super::kernels::{self, Geometry};
use crate::device::Operands;

/// Standard deviations beyond which TensorFlow's `truncated_normal` draws again.
const TRUNCATED: f32 = 2.0;

/// One learnt tensor. Its values are kept flat; its shape is given to them where they are used, so that optimiser and
/// files need no case per rank.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in files: `up1.weight`.
    pub name: String,
    /// The shape they stand for.
    pub shape: Vec<usize>,
    /// The values, row-major.
    pub value: Tensor<1>,
}

impl Parameter {
    /// The values in their shape.
    pub fn tensor<const D: usize>(&self) -> Tensor<D> {
        let mut shape = [0; D];
        shape.copy_from_slice(&self.shape);
        self.value.clone().reshape(shape)
    }

    /// How many values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a parameter is before the first step.
#[derive(Clone, Copy)]
pub(super) enum Initial {
    /// A convolution's.
    Kernel,
    /// A matrix's.
    Weight,
    Gain,
    Zeros,
    Ones,
}

/// Where the parameters of a network come from.
pub(super) trait Parameters {
    /// What may go wrong with one.
    type Error;

    /// The parameter called `name`, of `shape`; asked for once each, in file order.
    fn parameter(&mut self, name: String, shape: Vec<usize>, initial: Initial) -> Result<Parameter, Self::Error>;
}

/// Draws initial parameters on the CPU, so that a seed gives the same networks on every device.
pub(super) struct Initialiser<'a> {
    rng: ChaCha8Rng,
    device: &'a Device,
    from: InitialWeights,
}

impl<'a> Initialiser<'a> {
    /// `stream` keeps the two networks' draws apart.
    pub fn new(seed: u64, stream: u64, device: &'a Device) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { rng, device, from: InitialWeights::default() }
    }

    /// Draws from other distributions.
    pub fn drawing(self, from: InitialWeights) -> Self {
        Self { from, ..self }
    }

    fn normal(&mut self, length: usize, mean: f32, deviation: f64, truncated: bool) -> Tensor<1> {
        let deviation = deviation as f32;
        let normal = Normal::new(mean, deviation).expect("the config's deviations are checked");
        let near = |value: &f32| !truncated || (value - mean).abs() <= TRUNCATED * deviation;
        let values: Vec<f32> = normal.sample_iter(&mut self.rng).filter(near).take(length).collect();
        Tensor::from_data(TensorData::from(values.as_slice()), self.device)
    }
}

impl Parameters for Initialiser<'_> {
    type Error = Infallible;

    fn parameter(&mut self, name: String, shape: Vec<usize>, initial: Initial) -> Result<Parameter, Infallible> {
        let length = shape.iter().product();
        let value = match initial {
            Initial::Kernel => self.normal(length, 0.0, self.from.weights, self.from.truncated),
            Initial::Weight => self.normal(length, 0.0, self.from.weights, false),
            Initial::Gain => self.normal(length, 1.0, self.from.gains, false),
            Initial::Zeros => Tensor::zeros([length], self.device),
            Initial::Ones => Tensor::ones([length], self.device),
        };
        Ok(Parameter { name, shape, value })
    }
}

/// Batch norm of one layer.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Learnt gain, `[maps]`.
    pub gain: Parameter,
    /// Learnt shift, `[maps]`.
    pub shift: Parameter,
    /// Running mean, `[maps]`: kept, not learnt.
    pub mean: Parameter,
    /// Running variance, `[maps]`: kept, not learnt.
    pub variance: Parameter,
}

/// How a forward pass treats batch norm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    /// Batch statistics, which also move the running ones.
    Train,
    /// Batch statistics; the running ones become the means over this batch and as many before as the number says.
    Measure(usize),
    /// Batch statistics; the running ones become exactly those, so that sampling with them draws this batch again.
    Freeze,
    /// Nothing is changed.
    Sample(Statistics),
}

impl Norm {
    /// Batch norm of `x` with the config's epsilon and momentum, then the rectifier of `slope`.
    fn forward(&mut self, x: Tensor<4>, config: &ModelConfig, slope: f64, pass: Pass) -> Tensor<4> {
        let epsilon = config.norm_epsilon;
        let (gain, shift) = (self.gain.value.clone(), self.shift.value.clone());
        if pass == Pass::Sample(Statistics::Running) {
            let scale = gain / (self.variance.value.clone() + epsilon).sqrt();
            let shift = shift - self.mean.value.clone() * scale.clone();
            return kernels::rectify(x, scale, shift, slope);
        }
        let [batch, _, height, width] = x.dims();
        let count = (batch * height * width) as f64;
        let (y, mean, variance) = kernels::norm(x, gain, shift, epsilon, slope);
        let share = match pass {
            Pass::Train => Some(config.norm_momentum),
            Pass::Measure(before) => Some(1.0 / (before as f64 + 1.0)),
            Pass::Freeze => {
                (self.mean.value, self.variance.value) = (mean.inner(), variance.inner());
                return y;
            }
            Pass::Sample(_) => None,
        };
        if let Some(share) = share {
            let toward =
                |old: &Tensor<1>, new: Tensor<1>| old.clone().mul_scalar(1.0 - share) + new.inner().mul_scalar(share);
            // The running variance is the unbiased one, as PyTorch keeps it.
            let unbiased = variance.mul_scalar(count / (count - 1.0).max(1.0));
            self.mean.value = toward(&self.mean.value, mean);
            self.variance.value = toward(&self.variance.value, unbiased);
        }
        y
    }
}

/// A weight, its bias, and the batch norm after it.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The convolution's kernel (or the projection's matrix).
    pub weight: Parameter,
    /// Only where the preset has biases, `[maps]`.
    pub bias: Option<Parameter>,
    /// Only where the paper has batch norm.
    pub norm: Option<Norm>,
    /// How a convolution is made; none in a fully connected layer.
    pub(super) convolution: Option<Convolution>,
    /// Whether no rectifier follows it, where one follows the others.
    pub(super) linear: bool,
    /// What its convolution multiplies.
    pub(super) operands: Operands,
}

/// What a layer called so is: the fully connected one that [`ModelConfig::hidden`] asks for.
pub(super) const HIDDEN: &str = "hidden";

/// How a convolution is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Convolution {
    /// Where its kernel lies.
    pub geometry: Geometry,
    /// Whether a strided one is followed by 2x2 max pooling, and a fractionally-strided one goes by after each position was repeated
    /// 2x2 times.
    pub pooled: bool,
    /// The side of its result, where that does not follow from its stride.
    pub window: Option<Window>,
}

/// What is left of a convolution's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Side of the result.
    pub side: usize,
    /// Padding beyond what the geometry has: rows and columns cut before the large map that is made, or zeros added before the
    /// one that is seen.
    pub cut: usize,
}

impl Convolution {
    /// One of stride 2, padded as PyTorch does.
    pub const fn strided(kernel: usize) -> Self {
        Self { geometry: Geometry::symmetric(kernel, 2), pooled: false, window: None }
    }
}

/// Maps with so many rows and columns of zeros before and behind them.
fn padded(x: Tensor<4>, before: usize, behind: usize) -> Tensor<4> {
    if before + behind == 0 { x } else { x.pad((before, behind, before, behind), PadMode::Constant(0.0)) }
}

/// `side` rows and columns of maps from `first` on.
fn cut(x: Tensor<4>, first: usize, side: usize) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    if first == 0 && height == side && width == side { x } else { x.narrow(2, first, side).narrow(3, first, side) }
}

/// Each position 2x2 times.
fn repeated(x: Tensor<4>) -> Tensor<4> {
    let [batch, maps, height, width] = x.dims();
    let spread = x.reshape([batch, maps, height, 1, width, 1]).expand([batch, maps, height, 2, width, 2]);
    spread.reshape([batch, maps, 2 * height, 2 * width])
}

impl Layer {
    /// A layer called `name` whose weight has `shape`: a convolution made so or a fully connected layer, with so many biases
    /// and so many values in batch norm, or none.
    ///
    /// # Errors
    /// What `from` says.
    pub(super) fn build<P: Parameters>(
        from: &mut P,
        name: &str,
        shape: Vec<usize>,
        convolution: Option<Convolution>,
        bias: Option<usize>,
        norm: Option<usize>,
    ) -> Result<Self, P::Error> {
        let mut a = |part: &str, shape, initial| from.parameter(format!("{name}.{part}"), shape, initial);
        let weight = a("weight", shape, if convolution.is_some() { Initial::Kernel } else { Initial::Weight })?;
        let bias = bias.map(|count| a("bias", vec![count], Initial::Zeros)).transpose()?;
        let norm = norm
            .map(|count| {
                let mut values = |part, initial| a(part, vec![count], initial);
                Ok(Norm {
                    gain: values("norm.gain", Initial::Gain)?,
                    shift: values("norm.shift", Initial::Zeros)?,
                    mean: values("norm.mean", Initial::Zeros)?,
                    variance: values("norm.variance", Initial::Ones)?,
                })
            })
            .transpose()?;
        Ok(Self { weight, bias, norm, convolution, linear: false, operands: Operands::F32 })
    }

    /// `[batch, in, h, w]` to `[batch, out, 2h, 2w]`, or as large in a layer of stride 1: fractionally-strided convolution, weight
    /// `[in, out, k, k]`.
    pub(super) fn up(&self, x: Tensor<4>) -> Tensor<4> {
        let Convolution { geometry, pooled, window } = self.convolves();
        let small = if pooled { repeated(x) } else { x };
        let Some(Window { side, cut: first }) = window else {
            return kernels::up(small, self.weight.tensor(), geometry, self.operands);
        };
        // Zeros behind the small map add nothing, and give the large map the rows that the kernel reaches beyond it.
        let [_, _, height, _] = small.dims();
        let more = (side + first).div_ceil(geometry.stride).saturating_sub(height);
        cut(kernels::up(padded(small, 0, more), self.weight.tensor(), geometry, self.operands), first, side)
    }

    /// `[batch, in, 2h, 2w]` to `[batch, out, h, w]`, or as large in a layer of stride 1: strided convolution, weight
    /// `[out, in, k, k]`. The fully connected hidden layer gives `[batch, out, 1, 1]`.
    pub(super) fn down(&self, x: Tensor<4>) -> Tensor<4> {
        if self.is_hidden() {
            let [batch, ..] = x.dims();
            let (units, inputs) = (self.weight.shape[0], self.weight.len() / self.weight.shape[0]);
            let matrix = self.weight.value.clone().reshape([units, inputs]).transpose();
            return x.reshape([batch, inputs]).matmul(matrix).reshape([batch, units, 1, 1]);
        }
        let Convolution { geometry, pooled, window } = self.convolves();
        let convolved = match window {
            None => kernels::down(x, self.weight.tensor(), geometry, self.operands),
            Some(Window { side, cut: before }) => {
                // The whole map is seen, in whole strides.
                let [_, _, height, _] = x.dims();
                let whole = (height + before).next_multiple_of(geometry.stride).max(geometry.stride * side);
                let large = padded(x, before, whole - height - before);
                cut(kernels::down(large, self.weight.tensor(), geometry, self.operands), 0, side)
            }
        };
        if pooled { max_pool2d(convolved, MaxPoolOptions::new([2, 2]).with_stride([2, 2])) } else { convolved }
    }

    /// Has its convolution multiply `operands`; a fully connected layer multiplies in single precision.
    pub fn multiply(&mut self, operands: Operands) {
        self.operands = operands;
    }

    fn convolves(&self) -> Convolution {
        self.convolution.expect("a layer between maps is a convolution")
    }

    /// Whether it is the fully connected hidden layer.
    pub(super) fn is_hidden(&self) -> bool {
        self.weight.name.split_once('.').is_some_and(|(name, _)| name == HIDDEN)
    }

    /// Adds the bias, where this layer has one: of each map, or of each unit.
    pub(super) fn biased(&self, x: Tensor<4>) -> Tensor<4> {
        let [_, maps, height, width] = x.dims();
        match &self.bias {
            Some(bias) if bias.len() == maps => x + bias.value.clone().reshape([1, maps, 1, 1]),
            Some(bias) => x + bias.value.clone().reshape([1, maps, height, width]),
            None => x,
        }
    }

    /// What comes after the convolution in a hidden layer: bias and batch norm, where this layer has them, then ReLU
    /// (`slope` 0) or LeakyReLU.
    pub(super) fn activate(&mut self, x: Tensor<4>, config: &ModelConfig, slope: f64, pass: Pass) -> Tensor<4> {
        let [batch, maps, height, width] = x.dims();
        let biased = self.biased(x);
        match &mut self.norm {
            Some(norm) if norm.gain.len() == maps => norm.forward(biased, config, slope, pass),
            Some(norm) => {
                let units = biased.reshape([batch, maps * height * width, 1, 1]);
                norm.forward(units, config, slope, pass).reshape([batch, maps, height, width])
            }
            None => kernels::leaky(biased, slope),
        }
    }

    /// The learnt parameters, in file order.
    pub fn learnt(&self) -> impl Iterator<Item = &Parameter> {
        let norm = self.norm.iter().flat_map(|norm| [&norm.gain, &norm.shift]);
        std::iter::once(&self.weight).chain(&self.bias).chain(norm)
    }

    /// The learnt parameters, in file order.
    pub fn learnt_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let norm = self.norm.iter_mut().flat_map(|norm| [&mut norm.gain, &mut norm.shift]);
        std::iter::once(&mut self.weight).chain(&mut self.bias).chain(norm)
    }

    /// Everything a file holds: what is learnt, and the running statistics.
    pub fn kept(&self) -> impl Iterator<Item = &Parameter> {
        self.learnt().chain(self.norm.iter().flat_map(|norm| [&norm.mean, &norm.variance]))
    }

    /// As [`Self::kept`].
    pub(super) fn kept_mut(&mut self) -> impl Iterator<Item = &mut Parameter> {
        let norm = self.norm.iter_mut();
        let norm = norm.flat_map(|norm| [&mut norm.gain, &mut norm.shift, &mut norm.mean, &mut norm.variance]);
        std::iter::once(&mut self.weight).chain(&mut self.bias).chain(norm)
    }
}
