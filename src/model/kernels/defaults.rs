//! Convolutions by Burn's own operations: the reference that tests compare the kernels with, and the fallback for
//! second derivatives.
//!
//! Burn pads both ends equally. Surplus zeros before the map do no harm, since the remainder at the end is not
//! visited; for more zeros at the end the map is padded first.

use burn::backend::ops::ConvOptions;
#[cfg(test)]
use burn::backend::ops::ConvTransposeOptions;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::{Shape, Slice};

use super::Geometry;

/// [`super::Kernels::down`] with unpacked weights.
#[cfg(test)]
pub fn down<B: Backend>(large: FloatTensor<B>, weights: FloatTensor<B>, geometry: Geometry) -> FloatTensor<B> {
    let beyond = geometry.beyond(weights.shape()[2]);
    B::conv2d(widened::<B>(large, beyond), weights, None, options(geometry))
}

/// [`super::Kernels::up`] with unpacked weights.
#[cfg(test)]
pub fn up<B: Backend>(small: FloatTensor<B>, weights: FloatTensor<B>, geometry: Geometry) -> FloatTensor<B> {
    let Geometry { stride, before } = geometry;
    let kernel = weights.shape()[2];
    let short = before.saturating_sub(geometry.behind(kernel));
    let options = ConvTransposeOptions::new([stride; 2], [before; 2], [short; 2], [1, 1], 1);
    let [batch, _, height, width] = small.shape().dims();
    let large = B::conv_transpose2d(small, weights, None, options);
    if geometry.beyond(kernel) == 0 {
        return large;
    }
    let maps = large.shape()[1];
    B::float_slice(large, &slices([batch, maps, stride * height, stride * width]))
}

/// [`super::Kernels::weight_gradient`].
pub fn weight_gradient<B: Backend>(
    small: FloatTensor<B>,
    large: FloatTensor<B>,
    kernel: usize,
    geometry: Geometry,
) -> FloatTensor<B> {
    // Only its shape is used.
    let shape = Shape::new([small.shape()[1], large.shape()[1], kernel, kernel]);
    let weights = B::float_empty(shape, &large.device(), large.dtype().into());
    B::conv2d_weight_backward(widened::<B>(large, geometry.beyond(kernel)), weights, small, options(geometry))
}

fn options(geometry: Geometry) -> ConvOptions<2> {
    ConvOptions::new([geometry.stride; 2], [geometry.before; 2], [1, 1], 1)
}

/// Pads the large map with `more` rows and columns of zeros at the end.
fn widened<B: Backend>(large: FloatTensor<B>, more: usize) -> FloatTensor<B> {
    if more == 0 {
        return large;
    }
    let [batch, maps, height, width] = large.shape().dims();
    let wide = Shape::new([batch, maps, height + more, width + more]);
    let zeros = B::float_zeros(wide, &large.device(), large.dtype().into());
    B::float_slice_assign(zeros, &slices([batch, maps, height, width]), large)
}

fn slices(sides: [usize; 4]) -> [Slice; 4] {
    sides.map(|side| Slice::from(0..side))
}

#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn::backend::flex::{FlexTensor, Layout};
    use burn::tensor::{Bytes, DType};

    use super::*;
    use crate::device::Operands;
    use crate::model::kernels::{ConvSpec, Kernels};

    fn noise(sides: [usize; 4], seed: usize) -> FlexTensor {
        let count: usize = sides.iter().product();
        let values: Vec<f32> = (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect();
        FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Shape::new(sides)), DType::F32)
    }

    fn assert_near(found: FlexTensor, exact: FlexTensor, what: &str) {
        assert_eq!(found.shape(), exact.shape(), "{what}");
        let (found, exact) = (found.to_contiguous(), exact.to_contiguous());
        let values = |tensor: &FlexTensor| tensor.as_slice::<f32>().unwrap().to_vec();
        for (a, b) in values(&found).iter().zip(values(&exact)) {
            assert!((a - b).abs() < 1e-4 * (1.0 + b.abs()), "{what}: {a} is not {b}");
        }
    }

    #[test]
    fn burns_operations_and_the_cpus_kernels_pad_alike() {
        for (kernel, geometry) in Geometry::tried() {
            let what = format!("{kernel}x{kernel}, {geometry:?}");
            let small = noise([2, 6, 3, 5], 1);
            let large = noise([2, 4, 3 * geometry.stride, 5 * geometry.stride], 2);
            let weights = noise([6, 4, kernel, kernel], 3);
            let spec = ConvSpec { kernel, geometry, operands: Operands::F32, whole_batch: true };
            let ours = down::<Flex>(large.clone(), weights.clone(), geometry);
            assert_near(ours, Flex::down(large.clone(), weights.clone(), spec), &what);
            let ours = up::<Flex>(small.clone(), weights.clone(), geometry);
            assert_near(ours, Flex::up(small.clone(), weights.clone(), spec), &what);
            let ours = weight_gradient::<Flex>(small.clone(), large.clone(), kernel, geometry);
            assert_near(ours, Flex::weight_gradient(small, large, spec), &what);
        }
    }
}
