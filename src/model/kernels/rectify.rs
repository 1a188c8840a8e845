//! Batch norm and (leaky) ReLU on the CPU, channels last: one pass over the maps per direction, besides the sums.
//!
//! BackwardSums are computed in chunks of a fixed size and combined in order, so they do not depend on the number of threads.
//! The loops are vectorized by hand: the compiler turns the rectifier's choice into a branch that is mispredicted for
//! half of the values.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::memory::zeros;

/// Positions per chunk.
const ROWS: usize = 512;
/// Positions whose values fit in the L1 cache.
const BAND: usize = 16;

/// An operation on `B` vectors of adjacent channels. The last vector is partial unless `WHOLE`.
trait ChannelOp {
    fn run<S: Simd, const B: usize, const WHOLE: bool>(&mut self, simd: S, map: usize);
}

/// Applies an operation to all channels.
struct AllChannels<W>(usize, W);

impl<W: ChannelOp> WithSimd for AllChannels<W> {
    type Output = W;

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) -> W {
        let (maps, lanes) = (self.0, S::F32_LANES);
        let (fours, ones) = (maps / (4 * lanes) * 4 * lanes, maps / lanes * lanes);
        for map in (0..fours).step_by(4 * lanes) {
            self.1.run::<S, 4, true>(simd, map);
        }
        for map in (fours..ones).step_by(lanes) {
            self.1.run::<S, 1, true>(simd, map);
        }
        if ones < maps {
            self.1.run::<S, 1, false>(simd, ones);
        }
        self.1
    }
}

/// Loads the vector of channels that begins at `map`.
#[inline(always)]
fn load<S: Simd, const WHOLE: bool>(simd: S, row: &[f32], map: usize) -> S::f32s {
    if WHOLE { S::as_simd_f32s(&row[map..map + S::F32_LANES]).0[0] } else { simd.partial_load_f32s(&row[map..]) }
}

#[inline(always)]
fn store<S: Simd, const WHOLE: bool>(simd: S, row: &mut [f32], map: usize, value: S::f32s) {
    if WHOLE {
        S::as_mut_simd_f32s(&mut row[map..map + S::F32_LANES]).0[0] = value;
    } else {
        simd.partial_store_f32s(&mut row[map..], value);
    }
}

/// Gradient through the rectifier.
#[inline(always)]
fn unrectify<S: Simd>(simd: S, y: S::f32s, gradient: S::f32s, slope: S::f32s) -> S::f32s {
    let positive = simd.greater_than_f32s(y, simd.splat_f32s(0.0));
    simd.select_f32s(positive, gradient, simd.mul_f32s(gradient, slope))
}

/// Adds the rows of `x` `[positions, maps]` to `sum` `[maps]`.
struct AddRows<'a>(&'a [f32], &'a mut [f32]);

impl ChannelOp for AddRows<'_> {
    #[inline(always)]
    fn run<S: Simd, const B: usize, const WHOLE: bool>(&mut self, simd: S, map: usize) {
        let Self(x, sum) = self;
        let mut registers = [simd.splat_f32s(0.0); B];
        for (b, registers) in registers.iter_mut().enumerate() {
            *registers = load::<S, WHOLE>(simd, sum, map + b * S::F32_LANES);
        }
        for x in x.chunks_exact(sum.len()) {
            for (b, registers) in registers.iter_mut().enumerate() {
                *registers = simd.add_f32s(*registers, load::<S, WHOLE>(simd, x, map + b * S::F32_LANES));
            }
        }
        for (b, registers) in registers.iter().enumerate() {
            store::<S, WHOLE>(simd, sum, map + b * S::F32_LANES, *registers);
        }
    }
}

/// Adds the squares of `x - mean` to `sum`.
struct AddSquares<'a>(&'a [f32], &'a [f32], &'a mut [f32]);

impl ChannelOp for AddSquares<'_> {
    #[inline(always)]
    fn run<S: Simd, const B: usize, const WHOLE: bool>(&mut self, simd: S, map: usize) {
        let Self(x, mean, sum) = self;
        let (mut registers, mut middle) = ([simd.splat_f32s(0.0); B], [simd.splat_f32s(0.0); B]);
        for b in 0..B {
            registers[b] = load::<S, WHOLE>(simd, sum, map + b * S::F32_LANES);
            middle[b] = load::<S, WHOLE>(simd, mean, map + b * S::F32_LANES);
        }
        for x in x.chunks_exact(mean.len()) {
            for b in 0..B {
                let off = simd.sub_f32s(load::<S, WHOLE>(simd, x, map + b * S::F32_LANES), middle[b]);
                registers[b] = simd.mul_add_f32s(off, off, registers[b]);
            }
        }
        for (b, registers) in registers.iter().enumerate() {
            store::<S, WHOLE>(simd, sum, map + b * S::F32_LANES, *registers);
        }
    }
}

/// Mean and biased variance of each channel of `x` `[positions, maps]`.
pub fn moments(x: &[f32], maps: usize) -> (Vec<f32>, Vec<f32>) {
    let arch = Arch::new();
    let parts: Vec<(usize, Vec<f32>, Vec<f32>)> = x
        .par_chunks(ROWS * maps)
        .map(|chunk| {
            let count = chunk.len() / maps;
            let (mut mean, mut spread) = (vec![0.0f32; maps], vec![0.0f32; maps]);
            for band in chunk.chunks(BAND * maps) {
                arch.dispatch(AllChannels(maps, AddRows(band, &mut mean)));
            }
            for mean in &mut mean {
                *mean /= count as f32;
            }
            for band in chunk.chunks(BAND * maps) {
                arch.dispatch(AllChannels(maps, AddSquares(band, &mean, &mut spread)));
            }
            (count, mean, spread)
        })
        .collect();
    // Chan's formula combines the chunks without cancellation.
    let (mut total, mut mean, mut spread) = (0.0f64, vec![0.0f64; maps], vec![0.0f64; maps]);
    for (count, part_mean, part_spread) in &parts {
        let count = *count as f64;
        for i in 0..maps {
            let step = f64::from(part_mean[i]) - mean[i];
            mean[i] += step * count / (total + count);
            spread[i] += f64::from(part_spread[i]) + step * step * total * count / (total + count);
        }
        total += count;
    }
    (mean.iter().map(|&m| m as f32).collect(), spread.iter().map(|&s| (s / total) as f32).collect())
}

/// A scale and a shift per channel, then the rectifier, for `B` vectors.
struct Affine<S: Simd, const B: usize> {
    scale: [S::f32s; B],
    shift: [S::f32s; B],
    slope: S::f32s,
}

impl<S: Simd, const B: usize> Affine<S, B> {
    #[inline(always)]
    fn load<const WHOLE: bool>(simd: S, [scale, shift]: [&[f32]; 2], slope: f32, map: usize) -> Self {
        let slope = simd.splat_f32s(slope);
        let mut by = Self { scale: [slope; B], shift: [slope; B], slope };
        for b in 0..B {
            by.scale[b] = load::<S, WHOLE>(simd, scale, map + b * S::F32_LANES);
            by.shift[b] = load::<S, WHOLE>(simd, shift, map + b * S::F32_LANES);
        }
        by
    }

    #[inline(always)]
    fn of(&self, simd: S, b: usize, x: S::f32s) -> S::f32s {
        let value = simd.mul_add_f32s(x, self.scale[b], self.shift[b]);
        unrectify(simd, value, value, self.slope)
    }
}

/// `[positions, maps]`, and a number for every map.
struct RectifyOp<'a> {
    x: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    slope: f32,
    y: &'a mut [f32],
}

impl ChannelOp for RectifyOp<'_> {
    #[inline(always)]
    fn run<S: Simd, const B: usize, const WHOLE: bool>(&mut self, simd: S, map: usize) {
        let by = Affine::<S, B>::load::<WHOLE>(simd, [self.scale, self.shift], self.slope, map);
        let maps = self.scale.len();
        for (y, x) in self.y.chunks_exact_mut(maps).zip(self.x.chunks_exact(maps)) {
            for b in 0..B {
                let at = map + b * S::F32_LANES;
                store::<S, WHOLE>(simd, y, at, by.of(simd, b, load::<S, WHOLE>(simd, x, at)));
            }
        }
    }
}

/// `scale * x + shift`, then times `slope` where negative; `x` is `[positions, maps]`.
pub fn rectify(x: &[f32], scale: &[f32], shift: &[f32], slope: f32) -> Vec<f32> {
    let maps = scale.len();
    let mut y = zeros(x.len());
    y.par_chunks_mut(ROWS * maps).zip(x.par_chunks(ROWS * maps)).for_each(|(y, x)| {
        for (y, x) in y.chunks_mut(BAND * maps).zip(x.chunks(BAND * maps)) {
            Arch::new().dispatch(AllChannels(maps, RectifyOp { x, scale, shift, slope, y }));
        }
    });
    y
}

/// `[positions, maps]`, and a number for every map.
struct RectifyInPlace<'a> {
    x: &'a mut [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    slope: f32,
}

impl ChannelOp for RectifyInPlace<'_> {
    #[inline(always)]
    fn run<S: Simd, const B: usize, const WHOLE: bool>(&mut self, simd: S, map: usize) {
        let by = Affine::<S, B>::load::<WHOLE>(simd, [self.scale, self.shift], self.slope, map);
        for x in self.x.chunks_exact_mut(self.scale.len()) {
            for b in 0..B {
                let at = map + b * S::F32_LANES;
                store::<S, WHOLE>(simd, x, at, by.of(simd, b, load::<S, WHOLE>(simd, x, at)));
            }
        }
    }
}

/// [`rectify`] in place.
pub fn in_place(x: &mut [f32], scale: &[f32], shift: &[f32], slope: f32) {
    let maps = scale.len();
    x.par_chunks_mut(ROWS * maps).for_each(|x| {
        for x in x.chunks_mut(BAND * maps) {
            Arch::new().dispatch(AllChannels(maps, RectifyInPlace { x, scale, shift, slope }));
        }
    });
}

/// The tensors of a backward pass, `[positions, maps]` each.
#[derive(Clone, Copy)]
struct BackwardTensors<'a> {
    x: &'a [f32],
    y: &'a [f32],
    gradient: &'a [f32],
    slope: f32,
}

impl<'a> BackwardTensors<'a> {
    /// Splits into bands of `size` values.
    fn bands(self, size: usize) -> impl Iterator<Item = Self> {
        let slope = self.slope;
        let rest = self.y.chunks(size).zip(self.gradient.chunks(size));
        self.x.chunks(size).zip(rest).map(move |(x, (y, gradient))| Self { x, y, gradient, slope })
    }

    fn par_chunks(self, size: usize) -> impl IndexedParallelIterator<Item = Self> + 'a {
        let slope = self.slope;
        let rest = self.y.par_chunks(size).zip(self.gradient.par_chunks(size));
        self.x.par_chunks(size).zip(rest).map(move |(x, (y, gradient))| Self { x, y, gradient, slope })
    }

    /// `x` and the gradient through the rectifier, row by row.
    #[inline(always)]
    fn rows(self, maps: usize) -> impl Iterator<Item = (&'a [f32], &'a [f32], &'a [f32])> {
        let rest = self.y.chunks_exact(maps).zip(self.gradient.chunks_exact(maps));
        self.x.chunks_exact(maps).zip(rest).map(|(x, (y, gradient))| (x, y, gradient))
    }
}

/// Accumulates the gradient through the rectifier, and its product with `x - center`.
struct BackwardSums<'a> {
    of: BackwardTensors<'a>,
    center: &'a [f32],
    plain: &'a mut [f32],
    centered: &'a mut [f32],
}

impl ChannelOp for BackwardSums<'_> {
    #[inline(always)]
    fn run<S: Simd, const B: usize, const WHOLE: bool>(&mut self, simd: S, map: usize) {
        let slope = simd.splat_f32s(self.of.slope);
        let (mut center, mut plain, mut centered) = ([slope; B], [slope; B], [slope; B]);
        for b in 0..B {
            let at = map + b * S::F32_LANES;
            center[b] = load::<S, WHOLE>(simd, self.center, at);
            plain[b] = load::<S, WHOLE>(simd, self.plain, at);
            centered[b] = load::<S, WHOLE>(simd, self.centered, at);
        }
        for (x, y, gradient) in self.of.rows(self.center.len()) {
            for b in 0..B {
                let at = map + b * S::F32_LANES;
                let x = load::<S, WHOLE>(simd, x, at);
                let (y, gradient) = (load::<S, WHOLE>(simd, y, at), load::<S, WHOLE>(simd, gradient, at));
                let back = unrectify(simd, y, gradient, slope);
                plain[b] = simd.add_f32s(plain[b], back);
                centered[b] = simd.mul_add_f32s(back, simd.sub_f32s(x, center[b]), centered[b]);
            }
        }
        for b in 0..B {
            let at = map + b * S::F32_LANES;
            store::<S, WHOLE>(simd, self.plain, at, plain[b]);
            store::<S, WHOLE>(simd, self.centered, at, centered[b]);
        }
    }
}

/// Per-channel sums of the gradient through the rectifier (`gradient` where `y` is positive, times `slope` elsewhere)
/// and of its product with `x - center`.
pub fn sums(x: &[f32], y: &[f32], gradient: &[f32], center: &[f32], slope: f32) -> (Vec<f32>, Vec<f32>) {
    let maps = center.len();
    let (plain, centered): (Vec<_>, Vec<_>) = BackwardTensors { x, y, gradient, slope }
        .par_chunks(ROWS * maps)
        .map(|chunk| {
            let (mut plain, mut centered) = (vec![0.0f32; maps], vec![0.0f32; maps]);
            for of in chunk.bands(BAND * maps) {
                let (plain, centered) = (&mut plain, &mut centered);
                Arch::new().dispatch(AllChannels(maps, BackwardSums { of, center, plain, centered }));
            }
            (plain, centered)
        })
        .unzip();
    let total = |parts: &[Vec<f32>]| {
        let mut total = vec![0.0f64; maps];
        for part in parts {
            for (total, value) in total.iter_mut().zip(part) {
                *total += f64::from(*value);
            }
        }
        total.iter().map(|&t| t as f32).collect()
    };
    (total(&plain), total(&centered))
}

/// BackwardTensors pass; `[positions, maps]` and three factors per channel.
struct BackwardOp<'a> {
    x: &'a [f32],
    y: &'a [f32],
    slope: f32,
    /// `by`, `along` and `plus`.
    factors: [&'a [f32]; 3],
    gradient: &'a mut [f32],
}

impl ChannelOp for BackwardOp<'_> {
    #[inline(always)]
    fn run<S: Simd, const B: usize, const WHOLE: bool>(&mut self, simd: S, map: usize) {
        let slope = simd.splat_f32s(self.slope);
        let mut factors = [[slope; 3]; B];
        for (b, factors) in factors.iter_mut().enumerate() {
            for (factor, row) in factors.iter_mut().zip(self.factors) {
                *factor = load::<S, WHOLE>(simd, row, map + b * S::F32_LANES);
            }
        }
        let maps = self.factors[0].len();
        let rows = self.x.chunks_exact(maps).zip(self.y.chunks_exact(maps));
        for (gradient, (x, y)) in self.gradient.chunks_exact_mut(maps).zip(rows) {
            for (b, [by, along, plus]) in factors.iter().enumerate() {
                let at = map + b * S::F32_LANES;
                let (x, y) = (load::<S, WHOLE>(simd, x, at), load::<S, WHOLE>(simd, y, at));
                let back = unrectify(simd, y, load::<S, WHOLE>(simd, gradient, at), slope);
                let value = simd.mul_add_f32s(back, *by, simd.mul_add_f32s(x, *along, *plus));
                store::<S, WHOLE>(simd, gradient, at, value);
            }
        }
    }
}

/// Turns the gradient of `y` into the gradient of `x`: the gradient through the rectifier times `by`, plus `along * x
/// + plus`, per channel. `factors` are `by`, `along` and `plus`.
pub fn back(x: &[f32], y: &[f32], gradient: &mut [f32], slope: f32, factors: [&[f32]; 3]) {
    let maps = factors[0].len();
    let size = ROWS * maps;
    gradient.par_chunks_mut(size).zip(x.par_chunks(size).zip(y.par_chunks(size))).for_each(|(gradient, (x, y))| {
        let bands = x.chunks(BAND * maps).zip(y.chunks(BAND * maps));
        for (gradient, (x, y)) in gradient.chunks_mut(BAND * maps).zip(bands) {
            Arch::new().dispatch(AllChannels(maps, BackwardOp { x, y, slope, factors, gradient }));
        }
    });
}
