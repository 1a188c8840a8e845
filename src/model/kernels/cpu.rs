//! The kernels for Burn's CPU backend. Tensors stay channels last between layers; only their strides show it.

use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{Bytes, DType, Shape as Dims};

use super::convolution::{self, Algorithm, ConvDirection, ConvShape};
use super::memory::zeros;
use super::packed::packed;
use super::{AdamStep, ConvSpec, Geometry, Kernels, adam, rectify, tanh};
use crate::device::Operands;

/// `[batch, maps, height, width]` as contiguous `[batch, height, width, maps]`; copies only if the data is not
/// already channels last.
fn channels_last(x: FlexTensor) -> FlexTensor {
    x.permute(&[0, 2, 3, 1]).to_contiguous()
}

/// Mutable values of a contiguous tensor; copies them first if they are shared.
fn numbers_mut(x: &mut FlexTensor) -> &mut [f32] {
    let (start, end) = x.layout().contiguous_offsets().expect("the tensor was made contiguous");
    &mut x.storage_mut()[start..end]
}

/// Channels-last values as a tensor of shape `[batch, maps, height, width]`.
fn channels_first(values: Vec<f32>, [batch, height, width, maps]: [usize; 4]) -> FlexTensor {
    flat(values, &[batch, height, width, maps]).permute(&[0, 3, 1, 2])
}

fn flat(values: Vec<f32>, dims: &[usize]) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(values), Layout::contiguous(Dims::from(dims.to_vec())), DType::F32)
}

/// Values of a contiguous tensor.
fn numbers(x: &FlexTensor) -> &[f32] {
    x.as_slice().expect("the tensor was made contiguous")
}

fn dims(x: &FlexTensor) -> [usize; 4] {
    let shape = x.shape();
    [shape[0], shape[1], shape[2], shape[3]]
}

impl Kernels for Flex {
    /// The CPU packs weights per algorithm on first use and caches them ([`super::packed`]), so there is nothing
    /// to do here.
    fn pack(weights: FlexTensor, _: Operands) -> FlexTensor {
        weights
    }

    fn down(large: FlexTensor, weights: FlexTensor, spec: ConvSpec) -> FlexTensor {
        let ConvSpec { geometry: Geometry { stride, before }, kernel, whole_batch, .. } = spec;
        let [batch, maps, height, width] = dims(&large);
        let small = weights.shape()[0];
        let (height, width) = (height / stride, width / stride);
        let shape = ConvShape { batch, height, width, small, large: maps, kernel, stride, before };
        let mut out = zeros(shape.small_len());
        let weights = packed(shape, ConvDirection::Down, Algorithm::of(shape, whole_batch), &weights.to_contiguous());
        convolution::down(shape, numbers(&channels_last(large)), &weights, &mut out);
        channels_first(out, [batch, shape.height, shape.width, small])
    }

    fn up(small: FlexTensor, weights: FlexTensor, spec: ConvSpec) -> FlexTensor {
        let ConvSpec { geometry: Geometry { stride, before }, kernel, whole_batch, .. } = spec;
        let [batch, maps, height, width] = dims(&small);
        let large = weights.shape()[1];
        let shape = ConvShape { batch, height, width, small: maps, large, kernel, stride, before };
        let mut out = zeros(shape.large_len());
        let weights = packed(shape, ConvDirection::Up, Algorithm::of(shape, whole_batch), &weights.to_contiguous());
        convolution::up(shape, numbers(&channels_last(small)), &weights, &mut out);
        channels_first(out, [batch, stride * height, stride * width, large])
    }

    fn weight_gradient(small: FlexTensor, large: FlexTensor, spec: ConvSpec) -> FlexTensor {
        let ConvSpec { geometry: Geometry { stride, before }, kernel, .. } = spec;
        let [batch, maps, height, width] = dims(&small);
        let large_maps = large.shape()[1];
        let shape = ConvShape { batch, height, width, small: maps, large: large_maps, kernel, stride, before };
        let mut out = zeros(shape.weights_len());
        convolution::weight_gradient(
            shape,
            Algorithm::of(shape, true),
            numbers(&channels_last(small)),
            numbers(&channels_last(large)),
            &mut out,
        );
        flat(out, &[maps, large_maps, kernel, kernel])
    }

    fn rectify(x: FlexTensor, scale: FlexTensor, shift: FlexTensor, slope: f64) -> FlexTensor {
        let [batch, maps, height, width] = dims(&x);
        let (scale, shift) = (scale.to_contiguous(), shift.to_contiguous());
        let (mut x, scale, shift, slope) = (channels_last(x), numbers(&scale), numbers(&shift), slope as f32);
        if x.is_unique() {
            rectify::in_place(numbers_mut(&mut x), scale, shift, slope);
            return x.permute(&[0, 3, 1, 2]);
        }
        channels_first(rectify::rectify(numbers(&x), scale, shift, slope), [batch, height, width, maps])
    }

    fn rectify_backward(
        x: FlexTensor,
        y: FlexTensor,
        gradient: FlexTensor,
        scale: FlexTensor,
        slope: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [_, maps, _, _] = dims(&x);
        let (x, y, mut gradient) = (channels_last(x), channels_last(y), channels_last(gradient));
        let scale = scale.to_contiguous();
        let (zero, slope) = (vec![0.0; maps], slope as f32);
        let (plain, along) = rectify::sums(numbers(&x), numbers(&y), numbers(&gradient), &zero, slope);
        let factors = [numbers(&scale), &zero, &zero];
        rectify::back(numbers(&x), numbers(&y), numbers_mut(&mut gradient), slope, factors);
        (gradient.permute(&[0, 3, 1, 2]), flat(along, &[maps]), flat(plain, &[maps]))
    }

    fn leaky(x: FlexTensor, slope: f64) -> FlexTensor {
        let maps = x.shape()[1];
        Self::rectify(x, flat(vec![1.0; maps], &[maps]), flat(vec![0.0; maps], &[maps]), slope)
    }

    fn leaky_backward(y: FlexTensor, gradient: FlexTensor, slope: f64) -> FlexTensor {
        let maps = y.shape()[1];
        let (y, mut gradient) = (channels_last(y), channels_last(gradient));
        let (one, zero) = (vec![1.0; maps], vec![0.0; maps]);
        // The factor of `x` is zero, so any values will do.
        rectify::back(numbers(&y), numbers(&y), numbers_mut(&mut gradient), slope as f32, [&one, &zero, &zero]);
        gradient.permute(&[0, 3, 1, 2])
    }

    fn norm(
        x: FlexTensor,
        gain: FlexTensor,
        shift: FlexTensor,
        epsilon: f64,
        slope: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [batch, maps, height, width] = dims(&x);
        let x = channels_last(x);
        let (gain, shift) = (gain.to_contiguous(), shift.to_contiguous());
        let (mean, variance) = rectify::moments(numbers(&x), maps);
        let scale: Vec<f32> =
            numbers(&gain).iter().zip(&variance).map(|(gain, v)| gain / (v + epsilon as f32).sqrt()).collect();
        let moved: Vec<f32> =
            numbers(&shift).iter().zip(mean.iter().zip(&scale)).map(|(shift, (m, s))| shift - m * s).collect();
        let y = rectify::rectify(numbers(&x), &scale, &moved, slope as f32);
        (channels_first(y, [batch, height, width, maps]), flat(mean, &[maps]), flat(variance, &[maps]))
    }

    fn norm_backward(
        x: FlexTensor,
        y: FlexTensor,
        gradient: FlexTensor,
        gain: FlexTensor,
        mean: FlexTensor,
        variance: FlexTensor,
        epsilon: f64,
        slope: f64,
    ) -> (FlexTensor, FlexTensor, FlexTensor) {
        let [batch, maps, height, width] = dims(&x);
        let (x, y, mut gradient) = (channels_last(x), channels_last(y), channels_last(gradient));
        let (gain, mean, variance) = (gain.to_contiguous(), mean.to_contiguous(), variance.to_contiguous());
        let (gain, mean, slope) = (numbers(&gain), numbers(&mean), slope as f32);
        let (plain, centered) = rectify::sums(numbers(&x), numbers(&y), numbers(&gradient), mean, slope);
        let count = (batch * height * width) as f32;
        let inverse: Vec<f32> = numbers(&variance).iter().map(|v| 1.0 / (v + epsilon as f32).sqrt()).collect();
        // dx = gain * inverse * (g - mean(g) - normed * mean(g * normed)), written as g * by + x * along + plus.
        let by: Vec<f32> = gain.iter().zip(&inverse).map(|(gain, inverse)| gain * inverse).collect();
        let along: Vec<f32> = (0..maps).map(|i| -by[i] * inverse[i] * inverse[i] * centered[i] / count).collect();
        let plus: Vec<f32> = (0..maps).map(|i| -by[i] * plain[i] / count - along[i] * mean[i]).collect();
        rectify::back(numbers(&x), numbers(&y), numbers_mut(&mut gradient), slope, [&by, &along, &plus]);
        let gain_gradient = centered.iter().zip(&inverse).map(|(sum, inverse)| sum * inverse).collect();
        (gradient.permute(&[0, 3, 1, 2]), flat(gain_gradient, &[maps]), flat(plain, &[maps]))
    }

    fn tanh(x: FlexTensor) -> FlexTensor {
        // Elementwise: the memory layout does not matter.
        if !x.is_contiguous() {
            let dims = dims(&x);
            let x = channels_last(x);
            return channels_first(tanh::tanh(numbers(&x)), [dims[0], dims[2], dims[3], dims[1]]);
        }
        let dims = dims(&x);
        flat(tanh::tanh(numbers(&x)), &dims)
    }

    fn tanh_backward(y: FlexTensor, gradient: FlexTensor) -> FlexTensor {
        let (y, mut gradient) = (channels_last(y), channels_last(gradient));
        tanh::back(numbers(&y), numbers_mut(&mut gradient));
        gradient.permute(&[0, 3, 1, 2])
    }

    fn adam(
        value: FlexTensor,
        gradient: FlexTensor,
        first: FlexTensor,
        second: FlexTensor,
        squares: FlexTensor,
        step: AdamStep,
    ) -> (FlexTensor, FlexTensor, FlexTensor, FlexTensor) {
        let [value, mut gradient, mut first, mut second, mut squares] =
            [value, gradient, first, second, squares].map(|x| x.to_contiguous());
        if step.unscale != 1.0 {
            numbers_mut(&mut gradient).iter_mut().for_each(|number| *number *= step.unscale as f32);
        }
        numbers_mut(&mut squares)[0] += adam::squares(numbers(&gradient));
        let moments = [numbers_mut(&mut first), numbers_mut(&mut second)];
        let value = adam::adam(numbers(&value), numbers(&gradient), moments, step);
        let length = [value.len()];
        (flat(value, &length), first, second, squares)
    }
}
