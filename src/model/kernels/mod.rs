//! Kernels for the operations that dominate training: strided and fractionally-strided convolutions, and batch norm
//! with its rectifier.
//!
//! A strided convolution maps a *large* feature map to a *small* one ([`down`]); its transpose, the
//! fractionally-strided convolution, maps small to large ([`up`]). Both use weights `[small channels, large channels,
//! kernel, kernel]`, so generator and discriminator share all kernels.
//!
//! Each kernel is one operation of the [`Kernels`] trait with its own backward pass. The CPU and GPUs implement what
//! takes most of the time; default bodies made of Burn's operations do the rest.

mod adam;
mod autodiff;
pub mod benchmark;
mod convolution;
mod cpu;
mod cube;
mod defaults;
mod direct;
mod gpu;
mod memory;
mod packed;
mod picture;
mod rectify;
mod shape;
mod tanh;
mod tile;
mod winograd;

use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Shape, Tensor};

use crate::device::{Operands, uses_wgpu};

/// Placement of a convolution kernel over the large map, whose sides are `stride` times those of the small map. The
/// large map is padded with `before` zeros at the start, and with as many as needed at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Stride: 1 or 2.
    pub stride: usize,
    /// Padding before the large map, in rows and columns.
    pub before: usize,
}

impl Geometry {
    /// Kernel sizes and geometries for tests: those of the presets and of imported networks.
    #[cfg(test)]
    pub(super) fn tried() -> [(usize, Self); 15] {
        [
            (4, Self::symmetric(4, 2)),
            (5, Self::symmetric(5, 2)),
            (5, Self::same(5, 2)),
            (3, Self::symmetric(3, 2)),
            (3, Self::same(3, 2)),
            (3, Self::symmetric(3, 1)),
            (5, Self::symmetric(5, 1)),
            (4, Self::same(4, 1)),
            (1, Self::symmetric(1, 1)),
            (2, Self::symmetric(2, 2)),
            (4, Self { stride: 2, before: 0 }),
            (4, Self { stride: 1, before: 0 }),
            (6, Self::symmetric(6, 2)),
            (7, Self::symmetric(7, 1)),
            (7, Self::symmetric(7, 2)),
        ]
    }

    /// Symmetric padding, with one more zero at the end if the total is odd, as in PyTorch and cuDNN.
    pub const fn symmetric(kernel: usize, stride: usize) -> Self {
        Self { stride, before: (kernel - 1) / 2 }
    }

    /// TensorFlow's SAME padding: if the total is odd, one more zero at the end.
    pub const fn same(kernel: usize, stride: usize) -> Self {
        Self { stride, before: (kernel - stride) / 2 }
    }

    /// Padding at the end of the large map.
    pub fn behind(self, kernel: usize) -> usize {
        kernel - self.stride - self.before
    }

    /// Padding at the end beyond that at the start. Burn and PyTorch have one padding for both ends and do not
    /// add it.
    pub fn beyond(self, kernel: usize) -> usize {
        self.behind(kernel).saturating_sub(self.before)
    }
}

/// A tensor of one value.
fn single(like: &TensorSpec) -> TensorSpec {
    TensorSpec::new(Shape::new([1]), like.dtype)
}

/// Gradient through a rectifier with output `y`.
fn unrectify<B: Backend>(y: FloatTensor<B>, gradient: FloatTensor<B>, slope: f64) -> FloatTensor<B> {
    let positive = B::relu_backward(y, gradient.clone());
    if slope == 0.0 {
        return positive;
    }
    B::float_add(B::float_mul_scalar(positive, (1.0 - slope).into()), B::float_mul_scalar(gradient, slope.into()))
}

fn rectified<B: Backend>(x: FloatTensor<B>, slope: f64) -> FloatTensor<B> {
    if slope == 0.0 { B::relu(x) } else { B::leaky_relu(x, slope.into()) }
}

/// Sums over everything but the channels: `[maps]`.
fn by_map<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let maps = x.shape()[1];
    B::float_reshape(B::float_sum_dims(x, &[0, 2, 3]), Shape::new([maps]))
}

fn per_map<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let maps = values.shape()[0];
    B::float_reshape(values, Shape::new([1, maps, 1, 1]))
}

/// Coefficients of one Adam update, with bias corrections included.
#[derive(Debug, Clone, Copy)]
pub struct AdamStep {
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Step size that multiplies the first moment.
    pub rate: f64,
    /// Epsilon, added to the root of the second moment.
    pub floor: f64,
    /// L2 penalty.
    pub decay: f64,
    /// Factor applied to gradients first: below 1 if the loss was scaled.
    pub unscale: f64,
}

/// Options of a convolution.
#[derive(Debug, Clone, Copy)]
pub struct ConvSpec {
    /// Kernel size.
    pub kernel: usize,
    /// Stride and padding.
    pub geometry: Geometry,
    /// Precision of the operands. The CPU always multiplies in single precision.
    pub operands: Operands,
    /// Whether the algorithm may depend on the batch size, and with it the last bits of each image. If not, an
    /// image is the same alone and in any batch.
    pub whole_batch: bool,
}

/// Shape of packed weights on a GPU, `[kernel, kernel, large, small]`.
fn packed_shape(weights: &Shape) -> Shape {
    let [small, large, kernel, _] = weights.dims();
    Shape::new([kernel, kernel, large, small])
}

/// Shape of the small map for a large map and packed weights.
fn small_shape(large: &Shape, packed: &Shape, spec: &ConvSpec) -> Shape {
    let ([batch, _, height, width], stride) = (large.dims(), spec.geometry.stride);
    Shape::new([batch, packed[3], height / stride, width / stride])
}

/// Shape of the large map for a small map and packed weights.
fn large_shape(small: &Shape, packed: &Shape, spec: &ConvSpec) -> Shape {
    let ([batch, _, height, width], stride) = (small.dims(), spec.geometry.stride);
    Shape::new([batch, packed[2], height * stride, width * stride])
}

/// Shape of the weights between a small and a large map.
fn weights_shape(small: &Shape, large: &Shape, spec: &ConvSpec) -> Shape {
    Shape::new([small[1], large[1], spec.kernel, spec.kernel])
}

/// The kernels as a Burn backend extension. Weights are `[small, large, kernel, kernel]`, the small map is `[batch,
/// small, h, w]` and the large map `[batch, large, stride * h, stride * w]`; [`Geometry`] places the kernel.
#[backend_extension(Flex, Cube, Fusion, Autodiff)]
pub trait Kernels: Backend {
    /// Packs weights for [`Self::down`] and [`Self::up`]; each device has its own layout.
    #[fusion(dtype = operands.dtype(), shape = packed_shape(weights))]
    fn pack(weights: FloatTensor<Self>, operands: Operands) -> FloatTensor<Self>;

    /// Strided convolution, large to small.
    #[fusion(dtype = large, shape = small_shape(large, packed, spec))]
    fn down(large: FloatTensor<Self>, packed: FloatTensor<Self>, spec: ConvSpec) -> FloatTensor<Self>;

    /// Fractionally-strided convolution, small to large.
    #[fusion(dtype = small, shape = large_shape(small, packed, spec))]
    fn up(small: FloatTensor<Self>, packed: FloatTensor<Self>, spec: ConvSpec) -> FloatTensor<Self>;

    /// Gradient of the weights in either direction, `[small, large, kernel, kernel]`.
    #[fusion(dtype = small, shape = weights_shape(small, large, spec))]
    fn weight_gradient(small: FloatTensor<Self>, large: FloatTensor<Self>, spec: ConvSpec) -> FloatTensor<Self> {
        defaults::weight_gradient::<Self>(small, large, spec.kernel, spec.geometry)
    }

    /// `scale * x + shift` per channel, then times `slope` where negative (0 is ReLU).
    #[fusion(default)]
    fn rectify(
        x: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        slope: f64,
    ) -> FloatTensor<Self> {
        let moved = Self::float_add(Self::float_mul(x, per_map::<Self>(scale)), per_map::<Self>(shift));
        rectified::<Self>(moved, slope)
    }

    /// Gradients of `x`, `scale` and `shift` of [`Self::rectify`].
    #[fusion(default)]
    fn rectify_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: FloatTensor<Self>,
        slope: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let gradient = unrectify::<Self>(y, gradient, slope);
        let along = by_map::<Self>(Self::float_mul(gradient.clone(), x));
        (Self::float_mul(gradient.clone(), per_map::<Self>(scale)), along, by_map::<Self>(gradient))
    }

    /// LeakyReLU: negative values times `slope` (0 is ReLU).
    #[fusion(default)]
    fn leaky(x: FloatTensor<Self>, slope: f64) -> FloatTensor<Self> {
        rectified::<Self>(x, slope)
    }

    /// Gradient of `x` of [`Self::leaky`].
    #[fusion(default)]
    fn leaky_backward(y: FloatTensor<Self>, gradient: FloatTensor<Self>, slope: f64) -> FloatTensor<Self> {
        unrectify::<Self>(y, gradient, slope)
    }

    /// Batch norm with batch statistics, then the rectifier; also returns the mean and the biased variance,
    /// `[maps]`.
    #[fusion(meta = |x, gain, _, _, _| (x.clone(), gain.clone(), gain.clone()))]
    fn norm(
        x: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        epsilon: f64,
        slope: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// Gradients of `x`, `gain` and `shift` of [`Self::norm`].
    #[fusion(meta = |x, _, _, gain, _, _, _, _| (x.clone(), gain.clone(), gain.clone()))]
    #[allow(
        clippy::allow_attributes,
        clippy::too_many_arguments,
        reason = "expected here, but not in the copies that the macro generates"
    )]
    fn norm_backward(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        gain: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
        slope: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let gradient = unrectify::<Self>(y, gradient, slope);
        let back = Self::batch_norm_train_backward(x, gain, mean, variance, epsilon, gradient);
        (back.x_grad, back.gamma_grad, back.beta_grad)
    }

    /// Hyperbolic tangent of `[batch, maps, height, width]`.
    #[fusion(default)]
    fn tanh(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_tanh(x)
    }

    /// Gradient of `x` of [`Self::tanh`].
    #[fusion(default)]
    fn tanh_backward(y: FloatTensor<Self>, gradient: FloatTensor<Self>) -> FloatTensor<Self> {
        let lost = Self::float_mul(Self::float_mul(y.clone(), y), gradient.clone());
        Self::float_sub(gradient, lost)
    }

    /// Mean binary cross-entropy of logits `[batch]` with target `real` (`-log D` or `-log(1 - D)`, Goodfellow et
    /// al. 2014, section 4), and their mean probability: `[1]` each.
    #[fusion(meta = |logits, _| (single(logits), single(logits)))]
    fn logistic(logits: FloatTensor<Self>, real: bool) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let toward = if real { logits.clone() } else { Self::float_neg(logits.clone()) };
        let loss = Self::float_neg(Self::float_mean(Self::log_sigmoid(toward)));
        (loss, Self::float_mean(Self::sigmoid(logits)))
    }

    /// Gradient of the logits of [`Self::logistic`]'s loss, whose own gradient is `gradient` `[1]`.
    #[fusion(default)]
    fn logistic_backward(logits: FloatTensor<Self>, gradient: FloatTensor<Self>, real: bool) -> FloatTensor<Self> {
        let count = logits.shape()[0] as f64;
        let off = Self::float_sub_scalar(Self::sigmoid(logits), f64::from(u8::from(real)).into());
        Self::float_mul(Self::float_div_scalar(off, count.into()), gradient)
    }

    /// One Adam update: returns the new value, first and second moment, and `squares`, the partial sums of
    /// squared gradients, with this gradient's added.
    #[fusion(meta = |value, _, _, _, squares, _| (value.clone(), value.clone(), value.clone(), squares.clone()))]
    fn adam(
        value: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        squares: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);
}

/// Number of partial sums of squared gradients.
pub const SQUARES: usize = gpu::SQUARES;

/// Strided convolution, `[batch, large, stride * h, stride * w]` to `[batch, small, h, w]`, by weights `[small,
/// large, kernel, kernel]`.
pub fn down(large: Tensor<4>, weights: Tensor<4>, geometry: Geometry, operands: Operands) -> Tensor<4> {
    let [_, _, kernel, _] = weights.dims();
    let spec = ConvSpec { kernel, geometry, operands, whole_batch: false };
    let packed = <Dispatch as Kernels>::pack(weights.into_dispatch(), operands);
    Tensor::from_dispatch(<Dispatch as Kernels>::down(large.into_dispatch(), packed, spec))
}

/// Fractionally-strided convolution, `[batch, small, h, w]` to `[batch, large, stride * h, stride * w]`, by weights
/// `[small, large, kernel, kernel]`.
pub fn up(small: Tensor<4>, weights: Tensor<4>, geometry: Geometry, operands: Operands) -> Tensor<4> {
    let [_, _, kernel, _] = weights.dims();
    let spec = ConvSpec { kernel, geometry, operands, whole_batch: false };
    let packed = <Dispatch as Kernels>::pack(weights.into_dispatch(), operands);
    Tensor::from_dispatch(<Dispatch as Kernels>::up(small.into_dispatch(), packed, spec))
}

/// `scale * x + shift` per channel, then times `slope` where negative; `x` is `[batch, maps, h, w]`, scale and shift
/// `[maps]`.
pub fn rectify(x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>, slope: f64) -> Tensor<4> {
    let y = <Dispatch as Kernels>::rectify(x.into_dispatch(), scale.into_dispatch(), shift.into_dispatch(), slope);
    Tensor::from_dispatch(y)
}

/// Batch norm of `x` `[batch, maps, h, w]` with batch statistics, then the rectifier; also returns the mean and the
/// biased variance `[maps]`.
pub fn norm(
    x: Tensor<4>,
    gain: Tensor<1>,
    shift: Tensor<1>,
    epsilon: f64,
    slope: f64,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let (y, mean, variance) =
        <Dispatch as Kernels>::norm(x.into_dispatch(), gain.into_dispatch(), shift.into_dispatch(), epsilon, slope);
    (Tensor::from_dispatch(y), Tensor::from_dispatch(mean), Tensor::from_dispatch(variance))
}

/// Hyperbolic tangent of `[batch, maps, height, width]`.
pub fn tanh(x: Tensor<4>) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::tanh(x.into_dispatch()))
}

/// LeakyReLU of `[batch, maps, height, width]`: negative values times `slope`.
pub fn leaky(x: Tensor<4>, slope: f64) -> Tensor<4> {
    Tensor::from_dispatch(<Dispatch as Kernels>::leaky(x.into_dispatch(), slope))
}

/// Mean binary cross-entropy of logits `[batch]` with target `real`, and their mean probability: `[1]` each. Only the
/// loss is differentiable.
pub fn logistic(logits: Tensor<1>, real: bool) -> (Tensor<1>, Tensor<1>) {
    let (loss, probability) = <Dispatch as Kernels>::logistic(logits.into_dispatch(), real);
    (Tensor::from_dispatch(loss), Tensor::from_dispatch(probability))
}

/// State of one parameter for an Adam update; all tensors have the same length.
pub struct AdamState {
    /// Parameter values.
    pub value: Tensor<1>,
    /// Gradient.
    pub gradient: Tensor<1>,
    /// First moment.
    pub first: Tensor<1>,
    /// Second moment.
    pub second: Tensor<1>,
}

/// One Adam update: the new value, first and second moment, and `squares` `[SQUARES]`, whose sum grows by the squared
/// norm of the gradient.
pub fn adam(of: AdamState, squares: Tensor<1>, step: AdamStep) -> [Tensor<1>; 4] {
    let [value, gradient, first, second, squares] =
        [of.value, of.gradient, of.first, of.second, squares].map(Tensor::into_dispatch);
    let (value, first, second, squares) = <Dispatch as Kernels>::adam(value, gradient, first, second, squares, step);
    [value, first, second, squares].map(Tensor::from_dispatch)
}

/// Projects z `[batch, z_dim]` by weights `[z_dim, maps, side, side]` to `[batch, maps, side, side]`: a
/// fractionally-strided convolution of a 1x1 map. On the CPU it is a matrix product.
pub fn project(z: Tensor<2>, weights: Tensor<4>, operands: Operands) -> Tensor<4> {
    let ([batch, z_dim], [_, maps, side, _]) = (z.dims(), weights.dims());
    if uses_wgpu(&z.device()) {
        let geometry = Geometry { stride: side, before: 0 };
        return up(z.reshape([batch, z_dim, 1, 1]), weights, geometry, operands);
    }
    z.matmul(weights.reshape([z_dim, maps * side * side])).reshape([batch, maps, side, side])
}

/// Projects maps `[batch, maps, side, side]` by weights `[outputs, maps, side, side]` to `[batch, outputs]`: the
/// transpose of [`project`].
pub fn gather(x: Tensor<4>, weights: Tensor<4>, operands: Operands) -> Tensor<2> {
    let ([batch, maps, side, _], [outputs, ..]) = (x.dims(), weights.dims());
    if uses_wgpu(&x.device()) {
        let geometry = Geometry { stride: side, before: 0 };
        return down(x, weights, geometry, operands).reshape([batch, outputs]);
    }
    let inputs = maps * side * side;
    x.reshape([batch, inputs]).matmul(weights.reshape([outputs, inputs]).transpose())
}

#[cfg(test)]
mod tests {
    use burn::backend::ops::{ConvOptions, ConvTransposeOptions};
    use burn::tensor::activation::leaky_relu;
    use burn::tensor::module::batch_norm_train;
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn noise<const D: usize>(dims: [usize; D], seed: usize) -> Tensor<D> {
        let count: usize = dims.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 500.0 - 1.0).collect();
        Tensor::from_data(TensorData::new(values, dims), &Device::flex())
    }

    fn assert_near<const D: usize>(a: Tensor<D>, b: Tensor<D>) {
        let (a, b) = (a.into_data(), b.into_data());
        for (a, b) in a.iter::<f32>().zip(b.iter::<f32>()) {
            assert!((a - b).abs() < 2e-4 * (1.0 + b.abs()), "{a} is not {b}");
        }
    }

    /// Gradients of the three inputs for a fixed, noisy output gradient.
    fn gradients(f: impl Fn(Tensor<4>, Tensor<1>, Tensor<1>) -> Tensor<4>) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
        let x = noise([3, 5, 7, 6], 1).autodiff().require_grad();
        let (gain, shift) = (noise([5], 2).autodiff().require_grad(), noise([5], 3).autodiff().require_grad());
        let y = f(x.clone(), gain.clone(), shift.clone());
        let grads = (y * noise([3, 5, 7, 6], 4).autodiff()).sum().backward();
        (x.grad(&grads).unwrap(), gain.grad(&grads).unwrap(), shift.grad(&grads).unwrap())
    }

    #[test]
    fn norm_and_its_gradients_are_burns() {
        for slope in [0.0, 0.2] {
            let burns = |x, gain, shift| leaky_relu(batch_norm_train(x, gain, shift, 1e-5).output, slope);
            let (x, gain, shift) = (noise([3, 5, 7, 6], 1), noise([5], 2), noise([5], 3));
            let (y, mean, variance) = norm(x.clone(), gain.clone(), shift.clone(), 1e-5, slope);
            let expected = batch_norm_train(x.clone(), gain.clone(), shift.clone(), 1e-5);
            assert_near(y, burns(x, gain, shift));
            assert_near(mean, expected.mean);
            assert_near(variance, expected.variance);
            let ours = gradients(|x, gain, shift| norm(x, gain, shift, 1e-5, slope).0);
            let theirs = gradients(burns);
            assert_near(ours.0, theirs.0);
            assert_near(ours.1, theirs.1);
            assert_near(ours.2, theirs.2);
        }
    }

    #[test]
    fn rectify_and_its_gradients_are_burns() {
        let burns = |x: Tensor<4>, scale: Tensor<1>, shift: Tensor<1>| {
            leaky_relu(x * scale.reshape([1, 5, 1, 1]) + shift.reshape([1, 5, 1, 1]), 0.2)
        };
        let ours = gradients(|x, scale, shift| rectify(x, scale, shift, 0.2));
        let theirs = gradients(burns);
        assert_near(ours.0, theirs.0);
        assert_near(ours.1, theirs.1);
        assert_near(ours.2, theirs.2);
        let (x, scale, shift) = (noise([3, 5, 7, 6], 1), noise([5], 2), noise([5], 3));
        assert_near(rectify(x.clone(), scale.clone(), shift.clone(), 0.2), burns(x, scale, shift));
    }

    #[test]
    fn squares_are_summed() {
        let x = noise([70_001], 1);
        let step = AdamStep { beta1: 0.5, beta2: 0.9, rate: 0.1, floor: 1e-8, decay: 0.0, unscale: 0.5 };
        let sum = |x: Tensor<1>| {
            let zeros = x.zeros_like();
            let of = AdamState { value: zeros.clone(), gradient: x, first: zeros.clone(), second: zeros };
            let [_, _, _, squares] = adam(of, Tensor::ones([SQUARES], &Device::flex()), step);
            squares.sum() - SQUARES as f32
        };
        assert_near(sum(x.clone()), x.clone().square().sum() / 4.0);
        assert_near(sum(x.clone().narrow(0, 3, 40_000)), x.narrow(0, 3, 40_000).square().sum() / 4.0);
    }

    #[test]
    fn leaky_and_its_gradient_are_burns() {
        // Avoid 0, where either slope is right.
        let x = || (noise([3, 5, 7, 6], 1) + 1e-4).autodiff().require_grad();
        let gradient = |f: fn(Tensor<4>) -> Tensor<4>| {
            let x = x();
            let grads = (f(x.clone()) * noise([3, 5, 7, 6], 2).autodiff()).sum().backward();
            x.grad(&grads).unwrap()
        };
        assert_near(gradient(|x| leaky(x, 0.2)), gradient(|x| leaky_relu(x, 0.2)));
        assert_near(leaky(x().inner(), 0.2), leaky_relu(x().inner(), 0.2));
    }

    #[test]
    fn the_logistic_loss_and_its_gradient_are_burns() {
        use burn::tensor::activation::{log_sigmoid, sigmoid};
        for real in [true, false] {
            let logits = || (noise([37], 1) * 8.0).autodiff().require_grad();
            let toward = |logits: Tensor<1>| if real { logits } else { logits.neg() };
            let (ours, theirs) = (logits(), logits());
            let (loss, probability) = logistic(ours.clone(), real);
            let expected = -log_sigmoid(toward(theirs.clone())).mean();
            assert_near(loss.clone().inner(), expected.clone().inner());
            assert_near(probability.inner(), sigmoid(theirs.clone().inner()).mean());
            let ours = ours.grad(&(loss * 3.0).backward()).unwrap();
            assert_near(ours, theirs.grad(&(expected * 3.0).backward()).unwrap());
        }
    }

    #[test]
    fn tanh_and_its_gradient_are_burns() {
        let x = || noise([3, 5, 7, 6], 1).autodiff().require_grad();
        let gradient = |f: fn(Tensor<4>) -> Tensor<4>| {
            let x = x();
            let y = f(x.clone()) * noise([3, 5, 7, 6], 4).autodiff();
            x.grad(&y.sum().backward()).unwrap()
        };
        assert_near(tanh(x()).inner(), x().tanh().inner());
        assert_near(gradient(tanh), gradient(Tensor::tanh));
        // Channels last, as the layers leave it.
        let turned = || noise([3, 7, 6, 5], 1).permute([0, 3, 1, 2]);
        assert_near(tanh(turned()), turned().tanh());
    }

    #[test]
    fn convolutions_and_their_gradients_are_burns() {
        use burn::tensor::module::{conv_transpose2d, conv2d};
        use burn::tensor::ops::PadMode;
        for (kernel, geometry) in Geometry::tried() {
            let Geometry { stride, before } = geometry;
            let weights = || noise([6, 4, kernel, kernel], 2).autodiff().require_grad();
            let large = || noise([2, 4, 3 * stride, 4 * stride], 1).autodiff().require_grad();
            let small = || noise([2, 6, 3, 4], 3).autodiff().require_grad();
            let (w1, w2, x1, x2) = (weights(), weights(), large(), large());
            let ours = down(x1.clone(), w1.clone(), geometry, Operands::F32);
            // The map is padded explicitly, so that padding need not be symmetric.
            let behind = geometry.behind(kernel);
            let padded = x2.clone().pad((before, behind, before, behind), PadMode::Constant(0.0));
            let theirs = conv2d(padded, w2.clone(), None, ConvOptions::new([stride; 2], [0, 0], [1, 1], 1));
            assert_near(ours.clone().inner(), theirs.clone().inner());
            let (g1, g2) = ((ours.clone() * ours).sum().backward(), (theirs.clone() * theirs).sum().backward());
            assert_near(x1.grad(&g1).unwrap(), x2.grad(&g2).unwrap());
            assert_near(w1.grad(&g1).unwrap(), w2.grad(&g2).unwrap());

            let (w1, w2, x1, x2) = (weights(), weights(), small(), small());
            let ours = up(x1.clone(), w1.clone(), geometry, Operands::F32);
            let options = ConvTransposeOptions::new([stride; 2], [0, 0], [0, 0], [1, 1], 1);
            let whole = conv_transpose2d(x2.clone(), w2.clone(), None, options);
            let theirs = whole.narrow(2, before, 3 * stride).narrow(3, before, 4 * stride);
            assert_near(ours.clone().inner(), theirs.clone().inner());
            let (g1, g2) = ((ours.clone() * ours).sum().backward(), (theirs.clone() * theirs).sum().backward());
            assert_near(x1.grad(&g1).unwrap(), x2.grad(&g2).unwrap());
            assert_near(w1.grad(&g1).unwrap(), w2.grad(&g2).unwrap());
        }
    }
}
