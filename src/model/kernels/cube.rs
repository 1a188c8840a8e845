//! The kernels on graphics cards, below fusion: what is fused there is left to the defaults.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::gpu::{self, Normed, Shapes};
use super::{AdamStep, Convolving, Kernels};
use crate::device::Operands;

/// The shapes of a convolution between a map of `[batch, _, height, width]` positions, small ones, and weights.
fn shapes([batch, height, width]: [usize; 3], small: usize, large: usize, convolving: Convolving) -> Shapes {
    let Convolving { kernel, geometry, .. } = convolving;
    Shapes { batch, height, width, small, large, kernel, stride: geometry.stride, before: geometry.before }
}

impl Kernels for CubeBackend {
    fn pack(weights: CubeTensor, operands: Operands) -> CubeTensor {
        gpu::packed(weights, operands)
    }

    fn down(large: CubeTensor, packed: CubeTensor, convolving: Convolving) -> CubeTensor {
        let [batch, maps, height, width] = large.shape().dims();
        let stride = convolving.geometry.stride;
        let shapes = shapes([batch, height / stride, width / stride], packed.shape()[3], maps, convolving);
        gpu::down(large, packed, shapes, convolving.operands)
    }

    fn up(small: CubeTensor, packed: CubeTensor, convolving: Convolving) -> CubeTensor {
        let [batch, maps, height, width] = small.shape().dims();
        let shapes = shapes([batch, height, width], maps, packed.shape()[2], convolving);
        gpu::up(small, packed, shapes, convolving.operands)
    }

    fn weight_gradient(small: CubeTensor, large: CubeTensor, convolving: Convolving) -> CubeTensor {
        let [batch, maps, height, width] = small.shape().dims();
        let shapes = shapes([batch, height, width], maps, large.shape()[1], convolving);
        gpu::weight_gradient(small, large, shapes, convolving.operands)
    }

    fn norm(
        x: CubeTensor,
        gain: CubeTensor,
        shift: CubeTensor,
        epsilon: f64,
        slope: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gpu::norm(x, gain, shift, epsilon, slope).into()
    }

    fn norm_backward(
        x: CubeTensor,
        y: CubeTensor,
        gradient: CubeTensor,
        gain: CubeTensor,
        mean: CubeTensor,
        variance: CubeTensor,
        epsilon: f64,
        slope: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gpu::norm_backward(Normed { x, y, gain, mean, variance }, gradient, epsilon, slope).into()
    }

    fn logistic(logits: CubeTensor, real: bool) -> (FloatTensor<Self>, FloatTensor<Self>) {
        gpu::logistic(logits, real).into()
    }

    fn adam(
        value: CubeTensor,
        gradient: CubeTensor,
        first: CubeTensor,
        second: CubeTensor,
        squares: CubeTensor,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        gpu::adam([value, gradient, first, second, squares], step).into()
    }
}
