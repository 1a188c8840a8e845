//! GPU kernels in CubeCL: one source for SPIR-V, WGSL and Metal.
//!
//! Maps stay channels last between layers; only their strides show it. Launches are unchecked: kernels check each
//! position against the shapes they are compiled for, and the functions here ensure that the tensors have those
//! shapes.

mod norm;
mod pack;
mod plan;
mod product;
mod small;
mod tiling;

use burn::backend::TensorMetadata;
use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::ops::{permute_nchw_to_nhwc, permute_nhwc_to_nchw};
use burn_cubecl::tensor::CubeTensor;
use half::{bf16, f16};

pub use plan::ProductShape;

use crate::device::Operands;
use small::UpdateLaunch;
use tiling::{ConvOperation, ProductPlan};

use super::AdamStep;

/// A map in the layout of the kernels: contiguous `[batch, height, width, maps]`.
fn channels_last(x: CubeTensor) -> CubeTensor {
    into_contiguous(permute_nchw_to_nhwc(x))
}

fn empty(like: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_device_contiguous_dtype(like.client.clone(), like.device.clone(), shape.into(), DType::F32)
}

/// Packs weights `[small, large, kernel, kernel]` as `[kernel, kernel, large, small]` in the precision of the
/// multiplication.
pub fn packed(weights: CubeTensor, operands: Operands) -> CubeTensor {
    let weights = into_contiguous(weights);
    let [small, large, kernel, _] = weights.shape().dims();
    let shape = Shape::new([kernel, kernel, large, small]);
    let (client, device) = (weights.client.clone(), weights.device.clone());
    let out = empty_device_contiguous_dtype(client.clone(), device, shape, operands.dtype());
    let inner = large * kernel * kernel;
    let count = CubeCount::Static(inner.div_ceil(pack::SIDE) as u32, small.div_ceil(pack::SIDE) as u32, 1);
    let dim = CubeDim::new_2d(pack::SIDE as u32, pack::ROWS as u32);
    let (from, to) = (weights.into_buffer_arg(), out.clone().into_buffer_arg());
    let taps = kernel * kernel;
    // SAFETY: the kernel checks its positions against the shape of both tensors.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        match operands {
            Operands::F32 | Operands::Rounded => pack::pack::launch_unchecked::<f32>(
                &client,
                count,
                dim,
                from,
                to,
                small as u32,
                large as u32,
                taps as u32,
            ),
            Operands::F16 => pack::pack::launch_unchecked::<f16>(
                &client,
                count,
                dim,
                from,
                to,
                small as u32,
                large as u32,
                taps as u32,
            ),
            Operands::Bf16 => pack::pack::launch_unchecked::<bf16>(
                &client,
                count,
                dim,
                from,
                to,
                small as u32,
                large as u32,
                taps as u32,
            ),
        }
    }
    out
}

/// Maximum cubes per launch dimension; WebGPU allows slightly more.
const MOST_CUBES: u32 = 1 << 15;

/// Vector width of loads from rows of `maps` values.
fn vector(maps: usize) -> usize {
    if maps.is_multiple_of(4) { 4 } else { 1 }
}

fn launch(plan: ProductPlan, operands: Operands, batch: usize, a: CubeTensor, b: CubeTensor, out: &CubeTensor) {
    let client: Client = a.client.clone();
    let a_width = vector(if plan.direction == ConvOperation::Up { plan.small } else { plan.large });
    let b_width = vector(plan.small);
    let rows = plan.rows(batch).div_ceil(plan.tile.rows) as u32;
    let columns = plan.columns().div_ceil(plan.tile.columns) as u32;
    let along = rows.min(MOST_CUBES);
    let count = CubeCount::Static(along, rows.div_ceil(along) * columns, (plan.phases() * plan.pieces) as u32);
    let dim = CubeDim::new_1d(plan.units() as u32);
    let batch = batch as u32;
    let (a, b, out) = (a.into_buffer_arg(), b.into_buffer_arg(), out.clone().into_buffer_arg());
    macro_rules! launch {
        ($e:ty, $b:ty) => {
            product::product::launch_unchecked::<$e, f32, $b>(
                &client, count, dim, a_width, b_width, a, b, out, batch, plan, a_width, b_width,
            )
        };
    }
    // SAFETY: the kernel checks its positions against the shapes it is compiled for, and the callers allocate
    // `out` with those shapes.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        match (operands, plan.direction) {
            (Operands::F32 | Operands::Rounded, _) => launch!(f32, f32),
            (Operands::F16, ConvOperation::WeightGradient) => launch!(f16, f32),
            (Operands::F16, _) => launch!(f16, f16),
            (Operands::Bf16, ConvOperation::WeightGradient) => launch!(bf16, f32),
            (Operands::Bf16, _) => launch!(bf16, bf16),
        }
    }
}

/// Strided convolution of `[batch, large, stride h, stride w]` by packed weights.
pub fn down(large: CubeTensor, packed: CubeTensor, shapes: ProductShape, operands: Operands) -> CubeTensor {
    let plan = shapes.plan(ConvOperation::Down, operands, &large.client);
    let out = empty(&large, [shapes.batch, shapes.height, shapes.width, shapes.small]);
    if shapes.small <= FEW {
        few(channels_last(large), packed, shapes, operands, &out);
    } else {
        launch(plan, operands, shapes.batch, channels_last(large), packed, &out);
    }
    permute_nhwc_to_nchw(out)
}

/// Fractionally-strided convolution of `[batch, small, h, w]` by packed weights.
pub fn up(small: CubeTensor, packed: CubeTensor, shapes: ProductShape, operands: Operands) -> CubeTensor {
    let plan = shapes.plan(ConvOperation::Up, operands, &small.client);
    let side = |small: usize| small * shapes.stride;
    let out = empty(&small, [shapes.batch, side(shapes.height), side(shapes.width), shapes.large]);
    launch(plan, operands, shapes.batch, channels_last(small), packed, &out);
    permute_nhwc_to_nchw(out)
}

/// Gradient of the weights in either direction, `[small, large, kernel, kernel]`.
pub fn weight_gradient(small: CubeTensor, large: CubeTensor, shapes: ProductShape, operands: Operands) -> CubeTensor {
    let client = large.client.clone();
    let plan = shapes.plan(ConvOperation::WeightGradient, operands, &client);
    let taps = shapes.kernel * shapes.kernel;
    let pieces = empty(&large, [plan.pieces, taps, shapes.large, shapes.small]);
    launch(plan, operands, shapes.batch, channels_last(large), channels_last(small), &pieces);
    let out = empty(&pieces, [shapes.small, shapes.large, shapes.kernel, shapes.kernel]);
    let inner = shapes.large * taps;
    let count = CubeCount::Static(inner.div_ceil(pack::SIDE) as u32, shapes.small.div_ceil(pack::SIDE) as u32, 1);
    let dim = CubeDim::new_2d(pack::SIDE as u32, pack::ROWS as u32);
    let (from, to) = (pieces.into_buffer_arg(), out.clone().into_buffer_arg());
    // SAFETY: the kernel checks its positions against the shape of both tensors.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        pack::unpack::launch_unchecked(
            &client,
            count,
            dim,
            from,
            to,
            shapes.small as u32,
            shapes.large as u32,
            taps as u32,
            plan.pieces as u32,
        );
    }
    out
}

/// Maximum small-map channels for which tiles would be mostly empty.
const FEW: usize = 4;

/// Strided convolution to very few channels.
fn few(large: CubeTensor, packed: CubeTensor, shapes: ProductShape, operands: Operands, out: &CubeTensor) {
    let client = large.client.clone();
    let ProductShape { batch, height, width, small, kernel, stride, before, .. } = shapes;
    let positions = (batch * height * width) as u32;
    let along = positions.min(MOST_CUBES);
    let count = CubeCount::Static(along, positions.div_ceil(along), small as u32);
    let dim = CubeDim::new_1d(small::UNITS as u32);
    let [height, width] = [height, width].map(|side| (side * stride) as u32);
    let (map, weights, out) = (large.into_buffer_arg(), packed.into_buffer_arg(), out.clone().into_buffer_arg());
    let (before, stride, maps) = (before as u32, stride as u32, shapes.large);
    macro_rules! launch {
        ($e:ty) => {
            small::few::launch_unchecked::<$e>(
                &client, count, dim, map, weights, out, positions, height, width, before, stride, small, maps, kernel,
            )
        };
    }
    // SAFETY: the kernel skips positions beyond the small map and reads none outside the large map.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        match operands {
            Operands::F32 | Operands::Rounded => launch!(f32),
            Operands::F16 => launch!(f16),
            Operands::Bf16 => launch!(bf16),
        }
    }
}

/// One Adam update: returns the new value, first and second moment, and the partial sums of squares `[SQUARES]` with
/// those of this gradient added.
pub fn adam([value, gradient, first, second, squares]: [CubeTensor; 5], step: AdamStep) -> [CubeTensor; 4] {
    let client = value.client.clone();
    let length = value.shape().num_elements();
    let [value, gradient, first, second, squares] = [value, gradient, first, second, squares].map(into_contiguous);
    let new = [length, length, length, SQUARES].map(|length| empty(&value, [length]));
    let cubes = length.div_ceil(small::UNITS).clamp(1, SQUARES) as u32;
    let [new_value, new_first, new_second, new_squares] = new.each_ref().map(|new| new.clone().into_buffer_arg());
    let [value, gradient, first, second, squares] =
        [value, gradient, first, second, squares].map(CubeTensor::into_buffer_arg);
    // SAFETY: all buffers have the given length, or that of the partial sums.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        small::adam::launch_unchecked(
            &client,
            CubeCount::Static(cubes, 1, 1),
            CubeDim::new_1d(small::UNITS as u32),
            value,
            gradient,
            first,
            second,
            squares,
            new_value,
            new_first,
            new_second,
            new_squares,
            length as u32,
            UpdateLaunch::from(step),
        );
    }
    new
}

/// Number of partial sums of squared gradients.
pub const SQUARES: usize = small::CUBES;

/// Mean binary cross-entropy of logits with target `real`, and their mean probability: `[1]` each.
pub fn logistic(logits: CubeTensor, real: bool) -> [CubeTensor; 2] {
    let client = logits.client.clone();
    let length = logits.shape().num_elements() as u32;
    let logits = into_contiguous(logits);
    let results = [1, 1].map(|length: usize| empty(&logits, [length]));
    let [loss, probability] = results.each_ref().map(|result| result.clone().into_buffer_arg());
    let (count, dim) = (CubeCount::Static(1, 1, 1), CubeDim::new_1d(small::UNITS as u32));
    // SAFETY: the kernel reads as many logits as there are, and writes one value each.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        small::logistic::launch_unchecked(
            &client,
            count,
            dim,
            logits.into_buffer_arg(),
            loss,
            probability,
            length,
            real,
        );
    }
    results
}

/// Launch configuration of the batch-norm kernels: cubes along the channels, ranges of positions, and positions per
/// range.
fn stretches(positions: usize, maps: usize) -> (u32, u32, u32) {
    /// Cubes that keep a large GPU busy.
    const CUBES: usize = 512;
    /// Minimum positions per cube.
    const LEAST: usize = 64;
    let across = maps.div_ceil(norm::ACROSS);
    let stretch = positions.div_ceil((CUBES / across).max(1)).max(LEAST);
    (across as u32, positions.div_ceil(stretch) as u32, stretch as u32)
}

/// Batch norm with batch statistics, then the rectifier; also returns the mean and the biased variance.
pub fn norm(x: CubeTensor, gain: CubeTensor, shift: CubeTensor, epsilon: f64, slope: f64) -> [CubeTensor; 3] {
    let client = x.client.clone();
    let [batch, maps, height, width] = x.shape().dims();
    let positions = batch * height * width;
    let x = channels_last(x);
    let (across, count, stretch) = stretches(positions, maps);
    let sums = empty(&x, [count as usize, 2, maps]);
    let (out, mean, variance) = (empty(&x, x.shape()), empty(&x, [maps]), empty(&x, [maps]));
    let cubes = CubeCount::Static(across, count, 1);
    let dim = CubeDim::new_2d(norm::ACROSS as u32, norm::ALONG as u32);
    let [x, sums, gain, shift] = [x, sums, into_contiguous(gain), into_contiguous(shift)];
    let arg = |x: &CubeTensor| x.clone().into_buffer_arg();
    let positions = positions as u32;
    // SAFETY: the kernels check positions and channels against the numbers given here, which are those of the
    // tensors.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        norm::moments::launch_unchecked(
            &client,
            cubes.clone(),
            dim,
            arg(&x),
            arg(&sums),
            positions,
            stretch,
            maps as u32,
        );
        norm::normalize::launch_unchecked(
            &client,
            cubes,
            dim,
            arg(&x),
            arg(&sums),
            arg(&gain),
            arg(&shift),
            arg(&out),
            arg(&mean),
            arg(&variance),
            positions,
            stretch,
            count,
            epsilon as f32,
            slope as f32,
            maps as u32,
        );
    }
    [permute_nhwc_to_nchw(out), mean, variance]
}

/// Tensors saved by [`norm`] for the backward pass.
pub struct SavedNorm {
    /// Input.
    pub x: CubeTensor,
    /// Output.
    pub y: CubeTensor,
    /// Gain.
    pub gain: CubeTensor,
    /// Mean per channel.
    pub mean: CubeTensor,
    /// Biased variance per channel.
    pub variance: CubeTensor,
}

/// Gradients of `x`, gain and shift of [`norm`].
pub fn norm_backward(saved: SavedNorm, gradient: CubeTensor, epsilon: f64, slope: f64) -> [CubeTensor; 3] {
    let client = gradient.client.clone();
    let [batch, maps, height, width] = gradient.shape().dims();
    let positions = batch * height * width;
    let [x, y, gradient] = [saved.x, saved.y, gradient].map(channels_last);
    let [gain, mean, variance] = [saved.gain, saved.mean, saved.variance].map(into_contiguous);
    let (across, count, stretch) = stretches(positions, maps);
    let sums = empty(&x, [count as usize, 2, maps]);
    let (out, gain_gradient, shift_gradient) = (empty(&x, x.shape()), empty(&x, [maps]), empty(&x, [maps]));
    let cubes = CubeCount::Static(across, count, 1);
    let dim = CubeDim::new_2d(norm::ACROSS as u32, norm::ALONG as u32);
    let arg = |x: &CubeTensor| x.clone().into_buffer_arg();
    let (positions, slope) = (positions as u32, slope as f32);
    // SAFETY: as in `norm`.
    #[expect(unsafe_code, reason = "CubeCL launches kernels by unsafe functions")]
    unsafe {
        norm::products::launch_unchecked(
            &client,
            cubes.clone(),
            dim,
            arg(&x),
            arg(&y),
            arg(&gradient),
            arg(&mean),
            arg(&sums),
            positions,
            stretch,
            slope,
            maps as u32,
        );
        norm::back::launch_unchecked(
            &client,
            cubes,
            dim,
            arg(&x),
            arg(&y),
            arg(&gradient),
            arg(&gain),
            arg(&mean),
            arg(&variance),
            arg(&sums),
            arg(&out),
            arg(&gain_gradient),
            arg(&shift_gradient),
            positions,
            stretch,
            count,
            epsilon as f32,
            slope,
            maps as u32,
        );
    }
    [permute_nhwc_to_nchw(out), gain_gradient, shift_gradient]
}
