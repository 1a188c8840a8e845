//! The convolutions product by product.
//!
//! Rows of the matrix products are gathered by pointer: a tile of a few positions by a few vectors of output maps stays in
//! registers while the kernel's taps go by.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::shape::{Grid, Shape};
use super::tile::{DEPTH, Rows, outer, panel_lanes, tile, with_tile};

/// Positions one task takes.
const ROWS: usize = 192;

/// Weights as the tiles read them: `[panels][taps][depth][lanes]`, the last panel filled up with zeros.
struct Packed {
    values: Vec<f32>,
    /// Offset of each tap's input from a position.
    taps: Vec<(isize, isize)>,
    depth: usize,
    outputs: usize,
    lanes: usize,
}

impl Packed {
    /// `at(tap, depth, output)` finds the weight of a tap. Weights of one (depth, output) pair lie together in memory, so all
    /// their taps are fetched at once.
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
            // Read map by map, written tap by tap: the block in between stays in the first-level cache.
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

/// One of the products a convolution is made of, its weights packed.
pub struct Part {
    weights: Packed,
    /// Row and column of its outputs among those of a position.
    place: [usize; 2],
}

/// A convolution: each position of `grid` makes `scale x scale` positions of an output of `maps` maps.
struct Product<'a> {
    grid: Grid,
    input: &'a [f32],
    parts: &'a [Part],
    scale: usize,
    maps: usize,
}

impl Product<'_> {
    fn run(&self, output: &mut [f32]) {
        let row = self.grid.width * self.maps * self.scale * self.scale;
        let rows = self.grid.batch * self.grid.height;
        let arch = Arch::new();
        if self.grid.len() <= ROWS {
            // Too few positions to share out: the panels are shared out instead, and put into place afterwards.
            let panels = self.parts.iter().flat_map(|part| (0..part.weights.panels()).map(move |panel| (part, panel)));
            let panels: Vec<_> = panels.collect();
            let all = Task { product: self, first: 0, count: self.grid.len() };
            let sums = panels.par_iter().map(|&(part, panel)| {
                let mut found = Vec::new();
                let put = |_, sums: &[f32]| found.extend_from_slice(sums);
                arch.dispatch(Sums { task: all, part, panels: panel..panel + 1, put });
                found
            });
            let sums: Vec<_> = sums.collect();
            for ((part, panel), sums) in panels.into_iter().zip(sums) {
                all.put(part, panel, &sums, output);
            }
            return;
        }
        // Tasks of even length, as many for each thread.
        let tasks = self.grid.len().div_ceil(ROWS).next_multiple_of(rayon::current_num_threads());
        let rows = rows.div_ceil(tasks);
        output.par_chunks_mut(rows * row).enumerate().for_each(|(i, output)| {
            let count = output.len() / (self.maps * self.scale * self.scale);
            let task = Task { product: self, first: i * rows * self.grid.width, count };
            for part in self.parts {
                let put = |panel, sums: &[f32]| task.put(part, panel, sums, output);
                arch.dispatch(Sums { task, part, panels: 0..part.weights.panels(), put });
            }
        });
    }
}

/// Some whole rows of the grid: `count` positions from `first` on.
#[derive(Clone, Copy)]
struct Task<'a> {
    product: &'a Product<'a>,
    first: usize,
    count: usize,
}

impl Task<'_> {
    /// Puts a panel's sums `[positions, lanes]` to their places in the task's part of the output.
    fn put(&self, part: &Part, panel: usize, sums: &[f32], output: &mut [f32]) {
        let (width, scale, maps) = (self.product.grid.width, self.product.scale, self.product.maps);
        let lanes = part.weights.lanes;
        let done = panel * lanes..(panel * lanes + lanes).min(part.weights.outputs);
        for (i, sums) in sums.chunks_exact(lanes).take(self.count).enumerate() {
            let (row, column) = (i / width, i % width);
            let place = ((row * scale + part.place[0]) * width * scale + column * scale + part.place[1]) * maps;
            output[place + done.start..place + done.end].copy_from_slice(&sums[..done.len()]);
        }
    }
}

/// A part's sums for the positions of a task; each panel's `[positions filled up to whole tiles, lanes]` go to `put`.
struct Sums<'a, F> {
    task: Task<'a>,
    part: &'a Part,
    panels: Range<usize>,
    put: F,
}

impl<F: FnMut(usize, &[f32])> Sums<'_, F> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(mut self, simd: S) {
        let (packed, grid) = (&self.part.weights, &self.task.product.grid);
        let (lanes, depth, taps) = (V * S::F32_LANES, packed.depth, packed.taps.len());
        debug_assert_eq!(lanes, packed.lanes);
        let tiles = self.task.count.div_ceil(R);
        let padding = vec![0.0f32; depth];
        // Every tile's and tap's inputs, found once for all panels.
        let mut inputs = vec![[padding.as_slice(); R]; tiles * taps];
        for i in 0..self.task.count {
            let place = grid.place(self.task.first + i);
            for (t, &tap) in packed.taps.iter().enumerate() {
                if let Some(at) = grid.input(place, tap) {
                    inputs[i / R * taps + t][i % R] = &self.task.product.input[at..at + depth];
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
                        let mut kept = *sums;
                        for tap in first..(first + together).min(taps) {
                            let inputs = inputs[t * taps + tap].map(|input| &input[from..from + deep]);
                            let weights = &weights[(tap * depth + from) * V..][..deep * V];
                            tile::<S, R, V>(simd, &inputs, weights, deep, &mut kept);
                        }
                        *sums = kept;
                    }
                }
            }
            (self.put)(panel, pulp::bytemuck::cast_slice(sums.as_flattened().as_flattened()));
        }
    }
}

impl<F: FnMut(usize, &[f32])> WithSimd for Sums<'_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_tile!(self.part.weights.outputs, simd, self.run)
    }
}

/// Weights `[small, large, kernel, kernel]` as [`down`] reads them.
pub fn pack_down(shape: Shape, weights: &[f32]) -> Vec<Part> {
    assert_eq!(weights.len(), shape.weights_len());
    let (padding, kernel, taps) = (shape.padding(), shape.kernel, shape.taps());
    let offsets = (0..taps).map(|t| ((t / kernel) as isize - padding, (t % kernel) as isize - padding)).collect();
    let packed = Packed::new(offsets, shape.large, shape.small, panel_lanes(shape.small), |tap, from, to| {
        weights[(to * shape.large + from) * taps + tap]
    });
    vec![Part { weights: packed, place: [0, 0] }]
}

/// Strided convolution: the large map to the small one. `weights` are [`pack_down`]'s.
pub fn down(shape: Shape, large: &[f32], weights: &[Part], small: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    Product { grid: shape.over_large(), input: large, parts: weights, scale: 1, maps: shape.small }.run(small);
}

/// The kernel's row (or column) that joins output parity `parity` with the input `offset` steps away, if there is one.
fn tap_of(shape: Shape, parity: usize, offset: isize) -> Option<usize> {
    let tap = parity as isize + shape.padding() - shape.stride as isize * offset;
    usize::try_from(tap).ok().filter(|&tap| tap < shape.kernel)
}

/// Weights `[small, large, kernel, kernel]` as [`up`] reads them.
pub fn pack_up(shape: Shape, weights: &[f32]) -> Vec<Part> {
    assert_eq!(weights.len(), shape.weights_len());
    let (kernel, taps) = (shape.kernel, shape.taps());
    let offsets = -(kernel as isize)..=kernel as isize;
    let maps = shape.large;
    let weight = |from: usize, to: usize, tap: usize| weights[(from * maps + to) * taps + tap];
    let parity = |y: usize, x: usize| {
        let reach = |parity| offsets.clone().filter_map(move |offset| Some((offset, tap_of(shape, parity, offset)?)));
        let (offsets, kernels): (Vec<_>, Vec<_>) =
            reach(y).flat_map(|(dy, row)| reach(x).map(move |(dx, column)| ((dy, dx), row * kernel + column))).unzip();
        let packed =
            Packed::new(offsets, shape.small, maps, panel_lanes(maps), |tap, from, to| weight(from, to, kernels[tap]));
        Part { weights: packed, place: [y, x] }
    };
    (0..shape.stride).flat_map(|y| (0..shape.stride).map(move |x| (y, x))).map(|(y, x)| parity(y, x)).collect()
}

/// Fractionally-strided convolution: the small map to the large one. `weights` are [`pack_up`]'s.
pub fn up(shape: Shape, small: &[f32], weights: &[Part], large: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    Product { grid: shape.over_small(), input: small, parts: weights, scale: shape.stride, maps: shape.large }
        .run(large);
}

/// Positions whose rows are summed at a time: both sides stay in the second-level cache.
const SUMMED: usize = 128;

/// Gradient of the weights of both: sums over all positions of small times large, tap by tap. It is made where a kernel is too large
/// for [`super::winograd`].
pub fn weight_gradient(shape: Shape, small: &[f32], large: &[f32], gradient: &mut [f32]) {
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

/// How long a filled up row of large maps is, and the sums `[small, filled up][large, filled up]`.
type Gradient = (usize, Vec<f32>);

/// The sums of one tap over all positions.
struct TapGradient<'a> {
    shape: Shape,
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
