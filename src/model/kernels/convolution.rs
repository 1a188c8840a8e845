//! Strided and fractionally-strided convolutions on the CPU, channels last, without im2col.
//!
//! Both, and the gradient of their weights ([`super::gradient`]), are matrix products whose rows are gathered by pointer: a
//! tile of a few positions by a few vectors of output maps stays in registers while the kernel's taps go by. A
//! fractionally-strided convolution is four small stride-1 ones, one for each parity of the output's row and column, so no
//! multiplication by an inserted zero is ever made.
//!
//! Each sum is made by one thread in one order, so results do not depend on the number of threads.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Numbers of a weight panel that stay in the first-level cache while positions go by.
const DEPTH: usize = 192;
/// Positions one task takes.
const ROWS: usize = 192;

/// What a convolution joins: a small map `[batch, height, width, small]` and a large one
/// `[batch, 2 height, 2 width, large]`, both channels last, by weights `[small, large, kernel, kernel]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Pictures.
    pub batch: usize,
    /// Rows of the small map.
    pub height: usize,
    /// Columns of the small map.
    pub width: usize,
    /// Maps on the small side.
    pub small: usize,
    /// Maps on the large side.
    pub large: usize,
    /// Side of the kernel: 4 or 5.
    pub kernel: usize,
}

impl Shape {
    pub(super) fn positions(&self) -> usize {
        self.batch * self.height * self.width
    }

    pub(super) fn padding(&self) -> isize {
        if self.kernel == 5 { 2 } else { 1 }
    }

    pub(super) fn taps(&self) -> usize {
        self.kernel * self.kernel
    }

    /// Values of the small map.
    pub fn small_len(&self) -> usize {
        self.positions() * self.small
    }

    /// Values of the large map.
    pub fn large_len(&self) -> usize {
        4 * self.positions() * self.large
    }

    /// Number of weights.
    pub fn weights_len(&self) -> usize {
        self.small * self.large * self.taps()
    }

    /// The small map's positions, reading from the small map.
    fn over_small(&self) -> Grid {
        let Self { batch, height, width, small, .. } = *self;
        Grid { batch, height, width, step: 1, rows: height, columns: width, maps: small }
    }

    /// The small map's positions, reading from the large map.
    pub(super) fn over_large(&self) -> Grid {
        let Self { batch, height, width, large, .. } = *self;
        Grid { batch, height, width, step: 2, rows: 2 * height, columns: 2 * width, maps: large }
    }
}

/// A grid of positions, and where the rows of the product come from and go to.
#[derive(Clone, Copy)]
pub(super) struct Grid {
    batch: usize,
    height: usize,
    width: usize,
    /// Rows and columns between neighbours in the input, and the input's own rows, columns and maps.
    step: usize,
    rows: usize,
    columns: usize,
    maps: usize,
}

impl Grid {
    pub(super) fn len(&self) -> usize {
        self.batch * self.height * self.width
    }

    /// Picture, row and column of a position.
    pub(super) fn place(&self, position: usize) -> (usize, usize, usize) {
        (position / (self.height * self.width), position / self.width % self.height, position % self.width)
    }

    /// Where the input of a tap lies for a position, unless it is padding.
    pub(super) fn input(&self, (picture, row, column): (usize, usize, usize), tap: (isize, isize)) -> Option<usize> {
        let row = (row * self.step).checked_add_signed(tap.0).filter(|&row| row < self.rows)?;
        let column = (column * self.step).checked_add_signed(tap.1).filter(|&column| column < self.columns)?;
        Some(((picture * self.rows + row) * self.columns + column) * self.maps)
    }
}

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
    /// `at(tap, depth, output)` finds the weight of a tap, or none where the tap does not reach that output. Weights of
    /// one (depth, output) pair lie together in memory, so all their taps are fetched at once.
    fn new(
        taps: Vec<(isize, isize)>,
        depth: usize,
        outputs: usize,
        lanes: usize,
        at: impl Fn(usize, usize, usize) -> Option<f32> + Sync,
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
                        row[lane] = at(tap, d, first + lane).unwrap_or(0.0);
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

/// How many positions (rows of a tile) and vectors of outputs keep the machine's registers full.
fn tile_of<S: Simd>(outputs: usize) -> (usize, usize) {
    let lanes = S::F32_LANES;
    match (S::REGISTER_COUNT >= 32, outputs.div_ceil(lanes)) {
        (true, 1) => (14, 1),
        (true, 2) => (12, 2),
        (true, n) if n % 4 == 0 => (6, 4),
        (true, n) if n % 3 == 0 => (8, 3),
        (true, _) => (12, 2),
        (false, 1) => (10, 1),
        (false, _) => (6, 2),
    }
}

/// Sums of products for `R` positions and `V` vectors of outputs, added to `sums`: `inputs` are `depth` numbers each,
/// `weights` `depth` times `V` vectors.
#[inline(always)]
fn tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    inputs: &[&[f32]; R],
    weights: &[S::f32s],
    depth: usize,
    sums: &mut [[S::f32s; V]; R],
) {
    // Cut to one length here, so that no index is checked in the loop.
    let inputs = inputs.map(|input| &input[..depth]);
    for (d, weights) in weights.chunks_exact(V).take(depth).enumerate() {
        for r in 0..R {
            let x = simd.splat_f32s(inputs[r][d]);
            for v in 0..V {
                sums[r][v] = simd.mul_add_f32s(x, weights[v], sums[r][v]);
            }
        }
    }
}

/// One of the products a convolution is made of, its weights packed.
pub struct Part {
    weights: Packed,
    /// Where outputs go: `(first, count, row, column)`, the latter two within the position's place in the output map.
    pieces: Vec<(usize, usize, usize, usize)>,
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
            for &(from, outputs, y, x) in &part.pieces {
                let (start, end) = (from.max(done.start), (from + outputs).min(done.end));
                if start < end {
                    let place = ((row * scale + y) * width * scale + column * scale + x) * maps;
                    output[place + start - from..place + end - from]
                        .copy_from_slice(&sums[start - done.start..end - done.start]);
                }
            }
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
        match tile_of::<S>(self.part.weights.outputs) {
            (14, 1) => self.run::<S, 14, 1>(simd),
            (12, 2) => self.run::<S, 12, 2>(simd),
            (8, 3) => self.run::<S, 8, 3>(simd),
            (6, 4) => self.run::<S, 6, 4>(simd),
            (10, 1) => self.run::<S, 10, 1>(simd),
            _ => self.run::<S, 6, 2>(simd),
        }
    }
}

/// Lanes of a panel for so many outputs on this machine.
fn panel_lanes(outputs: usize) -> usize {
    struct Lanes(usize);
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            tile_of::<S>(self.0).1 * S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes(outputs))
}

/// Weights `[small, large, kernel, kernel]` as [`down`] reads them.
pub fn pack_down(shape: Shape, weights: &[f32]) -> Vec<Part> {
    assert_eq!(weights.len(), shape.weights_len());
    let (padding, kernel, taps) = (shape.padding(), shape.kernel, shape.taps());
    let offsets = (0..taps).map(|t| ((t / kernel) as isize - padding, (t % kernel) as isize - padding)).collect();
    let packed = Packed::new(offsets, shape.large, shape.small, panel_lanes(shape.small), |tap, from, to| {
        Some(weights[(to * shape.large + from) * taps + tap])
    });
    vec![Part { weights: packed, pieces: vec![(0, shape.small, 0, 0)] }]
}

/// Strided convolution: the large map to the small one. `weights` are [`pack_down`]'s.
pub fn down(shape: Shape, large: &[f32], weights: &[Part], small: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    Product { grid: shape.over_large(), input: large, parts: weights, scale: 1, maps: shape.small }.run(small);
}

/// The kernel's row (or column) that joins output parity `parity` with the input `offset` steps away, if there is one.
fn tap_of(parity: usize, offset: isize, padding: isize, kernel: usize) -> Option<usize> {
    usize::try_from(parity as isize + padding - 2 * offset).ok().filter(|&tap| tap < kernel)
}

/// Weights `[small, large, kernel, kernel]` as [`up`] reads them.
pub fn pack_up(shape: Shape, weights: &[f32]) -> Vec<Part> {
    assert_eq!(weights.len(), shape.weights_len());
    let (padding, kernel, taps) = (shape.padding(), shape.kernel, shape.taps());
    let maps = shape.large;
    let weight = |from: usize, to: usize, tap: usize| weights[(from * maps + to) * taps + tap];
    if maps <= 4 {
        // A picture has too few maps to fill a vector: all four parities are made at once, from a 3x3 neighbourhood.
        let offsets: Vec<_> = (0..9).map(|t| (t / 3 - 1, t % 3 - 1)).collect();
        let packed = Packed::new(offsets.clone(), shape.small, 4 * maps, panel_lanes(4 * maps), |tap, from, output| {
            let (parity, to) = (output / maps, output % maps);
            let (y, x) = offsets[tap];
            let row = tap_of(parity / 2, y, padding, kernel)?;
            let column = tap_of(parity % 2, x, padding, kernel)?;
            Some(weight(from, to, row * kernel + column))
        });
        vec![Part { weights: packed, pieces: vec![(0, 2 * maps, 0, 0), (2 * maps, 2 * maps, 1, 0)] }]
    } else {
        let parity = |y: usize, x: usize| {
            let reach =
                |parity| (-1..=1).filter_map(move |offset| Some((offset, tap_of(parity, offset, padding, kernel)?)));
            let (offsets, kernels): (Vec<_>, Vec<_>) = reach(y)
                .flat_map(|(dy, row)| reach(x).map(move |(dx, column)| ((dy, dx), row * kernel + column)))
                .unzip();
            let packed = Packed::new(offsets, shape.small, maps, panel_lanes(maps), |tap, from, to| {
                Some(weight(from, to, kernels[tap]))
            });
            Part { weights: packed, pieces: vec![(0, maps, y, x)] }
        };
        vec![parity(0, 0), parity(0, 1), parity(1, 0), parity(1, 1)]
    }
}

/// Fractionally-strided convolution: the small map to the large one. `weights` are [`pack_up`]'s.
pub fn up(shape: Shape, small: &[f32], weights: &[Part], large: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    Product { grid: shape.over_small(), input: small, parts: weights, scale: 2, maps: shape.large }.run(large);
}

#[cfg(test)]
mod tests {
    use super::super::gradient::weight_gradient;
    use super::*;
    use proptest::prelude::*;

    /// Calls `visit(small index, large index, weight index)` for every product the convolution is made of.
    fn products(shape: Shape, mut visit: impl FnMut(usize, usize, usize)) {
        let Shape { batch, height, width, small, large, kernel } = shape;
        let padding = shape.padding();
        for position in 0..batch * height * width {
            let (n, row, column) = (position / (height * width), position / width % height, position % width);
            for tap in 0..kernel * kernel {
                let y = (2 * row + tap / kernel) as isize - padding;
                let x = (2 * column + tap % kernel) as isize - padding;
                if y < 0 || x < 0 || y >= 2 * height as isize || x >= 2 * width as isize {
                    continue;
                }
                let at = (n * 2 * height + y as usize) * 2 * width + x as usize;
                for s in 0..small {
                    for l in 0..large {
                        let weight = (s * large + l) * kernel * kernel + tap;
                        visit(position * small + s, at * large + l, weight);
                    }
                }
            }
        }
    }

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    fn assert_close(found: &[f32], exact: &[f64]) {
        let scale = exact.iter().fold(0.0f64, |most, v| most.max(v.abs())).max(1e-3);
        for (i, (found, exact)) in found.iter().zip(exact).enumerate() {
            assert!((f64::from(*found) - exact).abs() <= 1e-4 * scale, "{i}: {found} is not {exact}");
        }
    }

    fn check(shape: Shape) {
        let (small, large) = (noise(shape.small_len(), 1), noise(shape.large_len(), 2));
        let weights = noise(shape.weights_len(), 3);
        let mut exact = [small.len(), large.len(), weights.len()].map(|len| vec![0.0f64; len]);
        products(shape, |s, l, w| {
            exact[0][s] += f64::from(large[l]) * f64::from(weights[w]);
            exact[1][l] += f64::from(small[s]) * f64::from(weights[w]);
            exact[2][w] += f64::from(small[s]) * f64::from(large[l]);
        });
        let [mut to_small, mut to_large, mut gradient] =
            [small.len(), large.len(), weights.len()].map(|len| vec![f32::NAN; len]);
        down(shape, &large, &pack_down(shape, &weights), &mut to_small);
        up(shape, &small, &pack_up(shape, &weights), &mut to_large);
        weight_gradient(shape, &small, &large, &mut gradient);
        assert_close(&to_small, &exact[0]);
        assert_close(&to_large, &exact[1]);
        assert_close(&gradient, &exact[2]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn all_directions_agree_with_the_definition(
            batch in 1usize..4, height in 1usize..6, width in 1usize..6,
            small in 1usize..70, large in 1usize..40, kernel in 4usize..6,
        ) {
            check(Shape { batch, height, width, small, large, kernel });
        }
    }

    #[test]
    fn maps_deeper_and_grids_larger_than_one_block_agree_too() {
        check(Shape { batch: 1, height: 2, width: 3, small: 65, large: 200, kernel: 4 });
        check(Shape { batch: 3, height: 9, width: 11, small: 5, large: 3, kernel: 5 });
        check(Shape { batch: 2, height: 2, width: 2, small: 230, large: 17, kernel: 5 });
    }
}
