//! The kernels for GPUs, implemented below fusion. Operations that Burn fuses well keep their defaults.

use burn::backend::TensorMetadata;
use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

use super::gpu::{self, ProductShape, SavedNorm};
use super::{AdamStep, ConvSpec, Kernels};
use crate::device::Operands;

/// ProductShape of a convolution whose small map is `[batch, small, height, width]`.
fn shapes([batch, height, width]: [usize; 3], small: usize, large: usize, spec: ConvSpec) -> ProductShape {
    let ConvSpec { kernel, geometry, .. } = spec;
    ProductShape { batch, height, width, small, large, kernel, stride: geometry.stride, before: geometry.before }
}

impl Kernels for CubeBackend {
    fn pack(weights: CubeTensor, operands: Operands) -> CubeTensor {
        gpu::packed(weights, operands)
    }

    fn down(large: CubeTensor, packed: CubeTensor, spec: ConvSpec) -> CubeTensor {
        let [batch, maps, height, width] = large.shape().dims();
        let stride = spec.geometry.stride;
        let shapes = shapes([batch, height / stride, width / stride], packed.shape()[3], maps, spec);
        gpu::down(large, packed, shapes, spec.operands)
    }

    fn up(small: CubeTensor, packed: CubeTensor, spec: ConvSpec) -> CubeTensor {
        let [batch, maps, height, width] = small.shape().dims();
        let shapes = shapes([batch, height, width], maps, packed.shape()[2], spec);
        gpu::up(small, packed, shapes, spec.operands)
    }

    fn weight_gradient(small: CubeTensor, large: CubeTensor, spec: ConvSpec) -> CubeTensor {
        let [batch, maps, height, width] = small.shape().dims();
        let shapes = shapes([batch, height, width], maps, large.shape()[1], spec);
        gpu::weight_gradient(small, large, shapes, spec.operands)
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
        gpu::norm_backward(SavedNorm { x, y, gain, mean, variance }, gradient, epsilon, slope).into()
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
