//! The gradient of the weights of both convolutions on the CPU: sums over all positions, by pointer and without im2col too.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::shape::{Grid, Shape};

/// Positions of the weight gradient whose gathered values stay in the first-level cache.
const BLOCK: usize = 192;

/// Gradient of the weights of both: sums over all positions of small times large.
pub fn weight_gradient(shape: Shape, small: &[f32], large: &[f32], gradient: &mut [f32]) {
    assert_eq!((large.len(), gradient.len(), small.len()), (shape.large_len(), shape.weights_len(), shape.small_len()));
    Arch::new().dispatch(WeightGradient { shape, small, large, gradient });
}

struct WeightGradient<'a> {
    shape: Shape,
    small: &'a [f32],
    large: &'a [f32],
    gradient: &'a mut [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.run::<S, 12, 2>(simd);
        } else {
            self.run::<S, 6, 2>(simd);
        }
    }
}

impl WeightGradient<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, _: S) {
        let Self { shape, small, large, gradient } = self;
        let lanes = V * S::F32_LANES;
        let (taps, padding, maps) = (shape.taps(), shape.padding(), shape.large);
        let positions = shape.positions();
        let strips = shape.small.div_ceil(R);
        // The small map, transposed in strips of `R` maps: `[strips][positions][R]`.
        let mut packed = vec![0.0f32; strips * positions * R];
        packed.par_chunks_mut(positions * R).enumerate().for_each(|(strip, packed)| {
            let first = strip * R;
            let used = R.min(shape.small - first);
            for (to, from) in packed.chunks_exact_mut(R).zip(small.chunks_exact(shape.small)) {
                to[..used].copy_from_slice(&from[first..first + used]);
            }
        });
        let grid = shape.over_large();
        let offset = |tap: usize| ((tap / shape.kernel) as isize - padding, (tap % shape.kernel) as isize - padding);
        // Columns of the product, in groups of at most `lanes` maps, each group tap by tap: `(tap, first map, count)`.
        let mut panels: Vec<Vec<(usize, usize, usize)>> = Vec::new();
        for group in (0..maps).step_by(lanes) {
            let width = lanes.min(maps - group);
            let per_panel = lanes / width;
            for first in (0..taps).step_by(per_panel) {
                panels.push((first..(first + per_panel).min(taps)).map(|tap| (tap, group, width)).collect());
            }
        }
        let sums: Vec<Vec<f32>> = panels
            .par_iter()
            .map(|panel| {
                let panel = Panel { runs: panel, packed: &packed, large, grid, strips, offset: &offset };
                Arch::new().dispatch(panel)
            })
            .collect();
        // Each map's taps lie together in the weights: written map by map, read panel by panel.
        gradient.par_chunks_mut(maps * taps).enumerate().for_each(|(to, row)| {
            for (runs, sums) in panels.iter().zip(&sums) {
                let mut lane = 0;
                for &(tap, first, count) in runs {
                    for i in 0..count {
                        row[(first + i) * taps + tap] = sums[to * lanes + lane + i];
                    }
                    lane += count;
                }
            }
        });
    }
}

struct Panel<'a, F> {
    runs: &'a [(usize, usize, usize)],
    packed: &'a [f32],
    large: &'a [f32],
    grid: Grid,
    strips: usize,
    offset: &'a F,
}

impl<F: Fn(usize) -> (isize, isize)> WithSimd for Panel<'_, F> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Vec<f32> {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 12, 2>(simd) } else { self.run::<S, 6, 2>(simd) }
    }
}

impl<F: Fn(usize) -> (isize, isize)> Panel<'_, F> {
    /// Sums `[strips * R][V vectors]`.
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(&self, simd: S) -> Vec<f32> {
        let lanes = V * S::F32_LANES;
        let positions = self.grid.len();
        let mut sums = vec![[[simd.splat_f32s(0.0); V]; R]; self.strips];
        let mut gathered = vec![0.0f32; BLOCK * lanes];
        for from in (0..positions).step_by(BLOCK) {
            let count = BLOCK.min(positions - from);
            for (i, row) in gathered.chunks_exact_mut(lanes).take(count).enumerate() {
                let place = self.grid.place(from + i);
                let mut lane = 0;
                for &(tap, first, width) in self.runs {
                    match self.grid.input(place, (self.offset)(tap)) {
                        Some(at) => row[lane..lane + width].copy_from_slice(&self.large[at + first..][..width]),
                        None => row[lane..lane + width].fill(0.0),
                    }
                    lane += width;
                }
            }
            for (strip, sums) in sums.iter_mut().enumerate() {
                let mut kept = *sums;
                let small = &self.packed[(strip * positions + from) * R..][..count * R];
                let (large, _) = S::as_simd_f32s(&gathered);
                for (small, large) in small.chunks_exact(R).zip(large.chunks_exact(V)) {
                    for r in 0..R {
                        let x = simd.splat_f32s(small[r]);
                        for v in 0..V {
                            kept[r][v] = simd.mul_add_f32s(x, large[v], kept[r][v]);
                        }
                    }
                }
                *sums = kept;
            }
        }
        pulp::bytemuck::cast_slice(sums.as_flattened().as_flattened()).to_vec()
    }
}
