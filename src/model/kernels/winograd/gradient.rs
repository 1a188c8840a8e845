//! Weight gradient by the transposed Winograd scheme, summed over all tiles before the taps are recovered.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::memory::{Scratch, at_least, with_scratch};
use super::super::shape::ConvShape;
use super::super::tile::{Rows, outer};
use super::gather::{Gathered, Inputs, Map, Outputs, Tiles};
use super::scheme::AxisHalf;

/// Tiles per block, for 2x2 and 4x4 tiles: enough to amortize a pass over the sums, few enough for the caches.
const TILES: [usize; 2] = [64, 24];
/// Maximum small-map channels per task.
const MAPS: usize = 128;
/// Small-map channels are split into multiples of this: 12 and 6 are the row counts of register tiles.
const STRIP: usize = 12;

/// Gradient of the weights in either direction: the sum over all positions of small times large.
pub fn weight_gradient(shape: ConvShape, side: usize, small: &[f32], large: &[f32], gradient: &mut [f32]) {
    assert_eq!((large.len(), gradient.len(), small.len()), (shape.large_len(), shape.weights_len(), shape.small_len()));
    let halves = AxisHalf::of_inputs(shape);
    let pairs: Vec<_> = halves.iter().flat_map(|y| halves.iter().map(move |x| [y, x])).collect();
    // The split does not affect any sum, so it may depend on the number of threads.
    let ranges = shape.small.div_ceil(MAPS).max(rayon::current_num_threads().div_ceil(pairs.len()));
    let maps = shape.small.div_ceil(ranges).next_multiple_of(STRIP);
    let arch = Arch::new();
    let firsts: Vec<usize> = (0..shape.small).step_by(maps).collect();
    let tasks: Vec<_> = firsts.iter().flat_map(|&first| pairs.iter().map(move |&pair| (first, pair))).collect();
    let sums: Vec<ProductSums> = tasks
        .par_iter()
        .map(|&(first, halves)| {
            let maps = first..(first + maps).min(shape.small);
            with_scratch(|scratch| arch.dispatch(GradientTask { shape, side, small, large, halves, maps, scratch }))
        })
        .collect();
    // The taps of a channel are adjacent in the weights: written channel by channel, read product by product.
    let taps = shape.taps();
    gradient.par_chunks_mut(shape.large * taps).enumerate().for_each(|(to, row)| {
        let mut planes = vec![0.0f32; taps * shape.large];
        let sums = &sums[to / maps * pairs.len()..][..pairs.len()];
        arch.dispatch(|| {
            for (halves, sums) in pairs.iter().zip(sums) {
                let factors = halves.map(|half| half.factors(side));
                let points = factors[0].iter().flat_map(|a| factors[1].iter().map(move |b| (a, b)));
                for (product, (a, b)) in points.enumerate() {
                    for (y, a) in halves[0].taps.iter().zip(*a) {
                        for (x, b) in halves[1].taps.iter().zip(*b).filter(|(_, b)| *a * **b != 0.0) {
                            let plane = &mut planes[(y * shape.kernel + x) * shape.large..][..shape.large];
                            sums.add_row(product, to % maps, a * b, plane);
                        }
                    }
                }
            }
            for (tap, plane) in planes.chunks_exact(shape.large).enumerate() {
                for (value, weights) in plane.iter().zip(row.chunks_exact_mut(taps)) {
                    weights[tap] = *value;
                }
            }
        });
    });
}

/// ProductSums over tiles of small times large: `[products][small padded][large padded]`.
struct ProductSums {
    values: Vec<f32>,
    small: usize,
    large: usize,
}

impl ProductSums {
    /// Adds the sums of one small-map channel with all large-map channels.
    #[inline(always)]
    fn add_row(&self, product: usize, small: usize, factor: f32, plane: &mut [f32]) {
        let sums = &self.values[(product * self.small + small) * self.large..];
        for (sum, value) in plane.iter_mut().zip(sums) {
            *sum += factor * value;
        }
    }
}

/// Computes all products of a pair of halves for some of the small-map channels.
struct GradientTask<'a> {
    shape: ConvShape,
    /// Rows and columns per tile.
    side: usize,
    small: &'a [f32],
    large: &'a [f32],
    halves: [&'a AxisHalf; 2],
    maps: Range<usize>,
    scratch: &'a mut Scratch,
}

impl WithSimd for GradientTask<'_> {
    type Output = ProductSums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> ProductSums {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 12, 2>(simd) } else { self.run::<S, 6, 2>(simd) }
    }
}

impl GradientTask<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S) -> ProductSums {
        let (shape, side) = (self.shape, self.side);
        let tiles = Tiles::new(shape.over_small(), side);
        let together = TILES[usize::from(side == 4)];
        let points = self.halves.map(|half| half.points(side));
        let products = points[0] * points[1];
        let zeros = vec![0.0f32; shape.large.max(shape.small)];
        let small = Map { values: self.small, grid: shape.over_small(), zeros: &zeros };
        let large = Map { values: self.large, grid: shape.over_large(), zeros: &zeros };
        // An odd number of cache lines per row, so that one channel does not map to a few cache sets only.
        let odd = |length: usize| length / 32 * 32 + 48;
        let widths = [self.maps.len().next_multiple_of(R), shape.large.next_multiple_of(V * S::F32_LANES)];
        let lengths = widths.map(|width| odd(products * width));
        let to = widths.map(|width| (0..products).map(|product| product * width).collect::<Vec<_>>());
        let [smalls, larges] = self.scratch;
        let (smalls, larges) = (at_least(smalls, together * lengths[0]), at_least(larges, together * lengths[1]));
        let mut values = vec![0.0f32; products * widths[0] * widths[1]];
        let total = shape.batch * tiles.of_picture();
        for from in (0..total).step_by(together) {
            let count = together.min(total - from);
            let gathered = |rows, length| Gathered { tiles, first: from, count, rows, length };
            let gathered = [gathered(&mut *smalls, lengths[0]), gathered(&mut *larges, lengths[1])];
            let [to_small, to_large] = gathered;
            let maps = self.maps.clone();
            simd.vectorize(Outputs { simd, map: small, gathered: to_small, points, maps, to: &to[0] });
            let ranges = std::iter::once((self.halves, &to[1][..]));
            simd.vectorize(Inputs { simd, map: large, gathered: to_large, ranges });
            for (product, sums) in values.chunks_exact_mut(widths[0] * widths[1]).enumerate() {
                let [left, right] = [0, 1].map(|side| {
                    let values: &[f32] = if side == 0 { smalls } else { larges };
                    let (length, from, width) = (lengths[side], to[side][product], widths[side]);
                    Rows { values: &values[..count * length], length, from, width }
                });
                outer::<S, R, V>(simd, left, right, sums);
            }
        }
        ProductSums { values, small: widths[0], large: widths[1] }
    }
}
