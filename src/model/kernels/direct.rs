//! Direct convolutions: one matrix product per kernel tap.
//!
//! Rows are gathered by pointer. A tile of a few positions by a few vectors of output channels stays in registers
//! while the taps are accumulated.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::shape::{ConvShape, Grid};
use super::tile::{DEPTH, Rows, outer, panel_lanes, tile, with_tile};

/// Positions per parallel range.
const ROWS: usize = 192;

/// TapPanels weights `[panels][taps][depth][lanes]`; the last panel is padded with zeros.
struct TapPanels {
    values: Vec<f32>,
    /// Offset of the input of each tap from the position.
    taps: Vec<(isize, isize)>,
    depth: usize,
    outputs: usize,
    lanes: usize,
}

impl TapPanels {
    /// `at(tap, depth, output)` returns the weight of a tap. All taps of a (depth, output) pair are adjacent in
    /// memory, so they are read together.
    fn new(
        taps: Vec<(isize, isize)>,
        depth: usize,
        outputs: usize,
        lanes: usize,
        at: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let count = taps.len();
        let mut values = vec![0.0; outputs.div_ceil(lanes) * count * depth * lanes];
        values.par_chunks_mut(count * depth * lanes).enumerate().for_each(|(panel, values)| {
            let first = panel * lanes;
            let used = lanes.min(outputs - first);
            // Read channel by channel, written tap by tap: the block in between fits in the L1 cache.
            let mut block = vec![0.0f32; count * lanes];
            for d in 0..depth {
                for lane in 0..used {
                    for (tap, row) in block.chunks_exact_mut(lanes).enumerate() {
                        row[lane] = at(tap, d, first + lane);
                    }
                }
                for (tap, row) in block.chunks_exact(lanes).enumerate() {
                    values[(tap * depth + d) * lanes..][..lanes].copy_from_slice(row);
                }
            }
        });
        Self { values, taps, depth, outputs, lanes }
    }

    fn panels(&self) -> usize {
        self.outputs.div_ceil(self.lanes)
    }
}

/// The packed weights of one phase.
pub struct PhaseWeights {
    weights: TapPanels,
    /// Row and column offset of the phase in the output.
    offset: [usize; 2],
}

/// A convolution: each position of `grid` produces `scale x scale` positions of an output with `maps` channels.
struct DirectProduct<'a> {
    grid: Grid,
    input: &'a [f32],
    phases: &'a [PhaseWeights],
    scale: usize,
    maps: usize,
}

impl DirectProduct<'_> {
    fn run(&self, output: &mut [f32]) {
        let row = self.grid.width * self.maps * self.scale * self.scale;
        let rows = self.grid.batch * self.grid.height;
        let arch = Arch::new();
        if self.grid.len() <= ROWS {
            // Too few positions to parallelize: distribute panels instead, and scatter them afterwards.
            let panels =
                self.phases.iter().flat_map(|phase| (0..phase.weights.panels()).map(move |panel| (phase, panel)));
            let panels: Vec<_> = panels.collect();
            let all = PositionRange { product: self, first: 0, count: self.grid.len() };
            let sums = panels.par_iter().map(|&(phase, panel)| {
                let mut result = Vec::new();
                let put = |_, sums: &[f32]| result.extend_from_slice(sums);
                arch.dispatch(RangeSums { range: all, phase, panels: panel..panel + 1, put });
                result
            });
            let sums: Vec<_> = sums.collect();
            for ((phase, panel), sums) in panels.into_iter().zip(sums) {
                all.put(phase, panel, &sums, output);
            }
            return;
        }
        // Equally long tasks, a multiple of the number of threads.
        let tasks = self.grid.len().div_ceil(ROWS).next_multiple_of(rayon::current_num_threads());
        let rows = rows.div_ceil(tasks);
        output.par_chunks_mut(rows * row).enumerate().for_each(|(i, output)| {
            let count = output.len() / (self.maps * self.scale * self.scale);
            let range = PositionRange { product: self, first: i * rows * self.grid.width, count };
            for phase in self.phases {
                let put = |panel, sums: &[f32]| range.put(phase, panel, sums, output);
                arch.dispatch(RangeSums { range, phase, panels: 0..phase.weights.panels(), put });
            }
        });
    }
}

/// Whole rows of the grid: `count` positions from `first`.
#[derive(Clone, Copy)]
struct PositionRange<'a> {
    product: &'a DirectProduct<'a>,
    first: usize,
    count: usize,
}

impl PositionRange<'_> {
    /// Scatters the sums of a panel, `[positions, lanes]`, into the output of this range.
    fn put(&self, phase: &PhaseWeights, panel: usize, sums: &[f32], output: &mut [f32]) {
        let (width, scale, maps) = (self.product.grid.width, self.product.scale, self.product.maps);
        let lanes = phase.weights.lanes;
        let done = panel * lanes..(panel * lanes + lanes).min(phase.weights.outputs);
        for (i, sums) in sums.chunks_exact(lanes).take(self.count).enumerate() {
            let (row, column) = (i / width, i % width);
            let place = ((row * scale + phase.offset[0]) * width * scale + column * scale + phase.offset[1]) * maps;
            output[place + done.start..place + done.end].copy_from_slice(&sums[..done.len()]);
        }
    }
}

/// Computes the sums of one phase for a range of positions. The sums of each panel, `[positions padded to whole
/// tiles, lanes]`, are passed to `put`.
struct RangeSums<'a, F> {
    range: PositionRange<'a>,
    phase: &'a PhaseWeights,
    panels: Range<usize>,
    put: F,
}

impl<F: FnMut(usize, &[f32])> RangeSums<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(mut self, simd: S) {
        let (packed, grid) = (&self.phase.weights, &self.range.product.grid);
        let (lanes, depth, taps) = (V * S::F32_LANES, packed.depth, packed.taps.len());
        debug_assert_eq!(lanes, packed.lanes);
        let tiles = self.range.count.div_ceil(R);
        let padding = vec![0.0f32; depth];
        // Input rows of every tile and tap, looked up once for all panels.
        let mut inputs = vec![[padding.as_slice(); R]; tiles * taps];
        for i in 0..self.range.count {
            let place = grid.place(self.range.first + i);
            for (t, &tap) in packed.taps.iter().enumerate() {
                if let Some(at) = grid.input(place, tap) {
                    inputs[i / R * taps + t][i % R] = &self.range.product.input[at..at + depth];
                }
            }
        }
        let together = (DEPTH / depth).max(1);
        let size = taps * depth * lanes;
        let mut sums = vec![[[simd.splat_f32s(0.0); V]; R]; tiles];
        for panel in self.panels {
            let (weights, _) = S::as_simd_f32s(&packed.values[panel * size..][..size]);
            sums.fill([[simd.splat_f32s(0.0); V]; R]);
            for first in (0..taps).step_by(together) {
                for from in (0..depth).step_by(DEPTH) {
                    let deep = DEPTH.min(depth - from);
                    for (t, sums) in sums.iter_mut().enumerate() {
                        let mut registers = *sums;
                        for tap in first..(first + together).min(taps) {
                            let inputs = inputs[t * taps + tap].map(|input| &input[from..from + deep]);
                            let weights = &weights[(tap * depth + from) * V..][..deep * V];
                            tile::<S, R, V>(simd, &inputs, weights, deep, &mut registers);
                        }
                        *sums = registers;
                    }
                }
            }
            (self.put)(panel, pulp::bytemuck::cast_slice(sums.as_flattened().as_flattened()));
        }
    }
}

impl<F: FnMut(usize, &[f32])> WithSimd for RangeSums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_tile!(self.phase.weights.outputs, simd, self.run);
    }
}

/// Packs weights `[small, large, kernel, kernel]` for [`down`].
pub fn pack_down(shape: ConvShape, weights: &[f32]) -> Vec<PhaseWeights> {
    assert_eq!(weights.len(), shape.weights_len());
    let (padding, kernel, taps) = (shape.padding(), shape.kernel, shape.taps());
    let offsets = (0..taps).map(|t| ((t / kernel) as isize - padding, (t % kernel) as isize - padding)).collect();
    let packed = TapPanels::new(offsets, shape.large, shape.small, panel_lanes(shape.small), |tap, from, to| {
        weights[(to * shape.large + from) * taps + tap]
    });
    vec![PhaseWeights { weights: packed, offset: [0, 0] }]
}

/// Strided convolution, large map to small map, with weights from [`pack_down`].
pub fn down(shape: ConvShape, large: &[f32], weights: &[PhaseWeights], small: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    DirectProduct { grid: shape.over_large(), input: large, phases: weights, scale: 1, maps: shape.small }.run(small);
}

/// The kernel row (or column) that connects output phase `parity` to the input `offset` steps away, if any.
fn tap_of(shape: ConvShape, parity: usize, offset: isize) -> Option<usize> {
    let tap = parity as isize + shape.padding() - shape.stride as isize * offset;
    usize::try_from(tap).ok().filter(|&tap| tap < shape.kernel)
}

/// Packs weights `[small, large, kernel, kernel]` for [`up`].
pub fn pack_up(shape: ConvShape, weights: &[f32]) -> Vec<PhaseWeights> {
    assert_eq!(weights.len(), shape.weights_len());
    let (kernel, taps) = (shape.kernel, shape.taps());
    let offsets = -(kernel as isize)..=kernel as isize;
    let maps = shape.large;
    let weight = |from: usize, to: usize, tap: usize| weights[(from * maps + to) * taps + tap];
    let parity = |y: usize, x: usize| {
        let reach = |parity| offsets.clone().filter_map(move |offset| Some((offset, tap_of(shape, parity, offset)?)));
        let (offsets, kernels): (Vec<_>, Vec<_>) =
            reach(y).flat_map(|(dy, row)| reach(x).map(move |(dx, column)| ((dy, dx), row * kernel + column))).unzip();
        let packed = TapPanels::new(offsets, shape.small, maps, panel_lanes(maps), |tap, from, to| {
            weight(from, to, kernels[tap])
        });
        PhaseWeights { weights: packed, offset: [y, x] }
    };
    (0..shape.stride).flat_map(|y| (0..shape.stride).map(move |x| (y, x))).map(|(y, x)| parity(y, x)).collect()
}

/// Fractionally-strided convolution, small map to large map, with weights from [`pack_up`].
pub fn up(shape: ConvShape, small: &[f32], weights: &[PhaseWeights], large: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    DirectProduct { grid: shape.over_small(), input: small, phases: weights, scale: shape.stride, maps: shape.large }
        .run(large);
}

/// Positions per block: both operands fit in the L2 cache.
const SUMMED: usize = 128;

/// Gradient of the weights in either direction, tap by tap: the sum over all positions of small times large. Used for
/// kernels that [`super::winograd`] does not support.
pub fn weight_gradient(shape: ConvShape, small: &[f32], large: &[f32], gradient: &mut [f32]) {
    assert_eq!((large.len(), gradient.len(), small.len()), (shape.large_len(), shape.weights_len(), shape.small_len()));
    let taps = shape.taps();
    let sums: Vec<Gradient> = (0..taps)
        .into_par_iter()
        .map(|tap| {
            let tap =
                ((tap / shape.kernel) as isize - shape.padding(), (tap % shape.kernel) as isize - shape.padding());
            Arch::new().dispatch(TapGradient { shape, small, large, tap })
        })
        .collect();
    for (to, row) in gradient.chunks_exact_mut(shape.large * taps).enumerate() {
        for (tap, (width, sums)) in sums.iter().enumerate() {
            for (from, value) in sums[to * width..][..shape.large].iter().enumerate() {
                row[from * taps + tap] = *value;
            }
        }
    }
}

/// Padded row length of the large map, and the sums `[small padded][large padded]`.
type Gradient = (usize, Vec<f32>);

/// The gradient of one tap.
struct TapGradient<'a> {
    shape: ConvShape,
    small: &'a [f32],
    large: &'a [f32],
    tap: (isize, isize),
}

impl WithSimd for TapGradient<'_> {
    type Output = Gradient;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Gradient {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 12, 2>(simd) } else { self.run::<S, 6, 2>(simd) }
    }
}

impl TapGradient<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S) -> Gradient {
        let Self { shape, small, large, tap } = self;
        let [left, right] = [shape.small.next_multiple_of(R), shape.large.next_multiple_of(V * S::F32_LANES)];
        let (mut smalls, mut larges) = (vec![0.0; SUMMED * left], vec![0.0; SUMMED * right]);
        let mut sums = vec![0.0; left * right];
        let grid = shape.over_large();
        for first in (0..shape.positions()).step_by(SUMMED) {
            let count = SUMMED.min(shape.positions() - first);
            for i in 0..count {
                let from = &small[(first + i) * shape.small..][..shape.small];
                smalls[i * left..][..shape.small].copy_from_slice(from);
                let to = &mut larges[i * right..][..shape.large];
                match grid.input(grid.place(first + i), tap) {
                    Some(at) => to.copy_from_slice(&large[at..at + shape.large]),
                    None => to.fill(0.0),
                }
            }
            let rows = |values, length| Rows { values, length, from: 0, width: length };
            let (lefts, rights) = (rows(&smalls[..count * left], left), rows(&larges[..count * right], right));
            outer::<S, R, V>(simd, lefts, rights, &mut sums);
        }
        (right, sums)
    }
}
