//! Both convolutions: products of gathered inputs and weights, and the sums of them that are the outputs.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::super::shape::{Grid, Shape};
use super::super::tile::{multiply, with_tile};
use super::gather::{Map, Tiles, gather};
use super::scheme::outputs;
use super::weights::{Group, Weights};

/// Tiles one task takes, at most, unless a picture has more.
const TILES: usize = 128;
/// Numbers that a task gathers at a time, at most, unless a picture has more.
const GATHERED: usize = 1 << 19;

/// Strided convolution: the large map to the small one. `weights` are [`super::pack_down`]'s.
pub fn down(shape: Shape, large: &[f32], weights: &Weights, small: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    run(shape.over_large(), large, weights, 1, small);
}

/// Fractionally-strided convolution: the small map to the large one. `weights` are [`super::pack_up`]'s.
pub fn up(shape: Shape, small: &[f32], weights: &Weights, large: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    run(shape.over_small(), small, weights, 2, large);
}

/// Each position of `grid` makes `scale x scale` positions of the output.
fn run(grid: Grid, input: &[f32], weights: &Weights, scale: usize, output: &mut [f32]) {
    let tiles = Tiles::new(grid);
    // What is shared out: rows of tiles, or pictures where the last row is half a one.
    let (unit, units) = if grid.height.is_multiple_of(2) {
        (tiles.columns, grid.batch * tiles.rows)
    } else {
        (tiles.columns * tiles.rows, grid.batch)
    };
    let widest = weights.groups.iter().map(Group::row).max().unwrap_or(1);
    let most = (TILES.min(GATHERED / widest) / unit).max(1);
    // Tasks of even length, as many for each thread.
    let tasks = units.div_ceil(most).next_multiple_of(rayon::current_num_threads());
    let together = units.div_ceil(tasks);
    let size = output.len() / units;
    let arch = Arch::new();
    output.par_chunks_mut(together * size).enumerate().for_each(|(i, output)| {
        let (first, count) = (i * together * unit, output.len() / size * unit);
        let start = i * together * size;
        arch.dispatch(Task { tiles, input, weights, scale, first, count, start, output });
    });
}

/// Some whole rows of tiles: `count` tiles from `first` on.
struct Task<'a> {
    tiles: Tiles,
    input: &'a [f32],
    weights: &'a Weights,
    scale: usize,
    first: usize,
    count: usize,
    /// Where its part of the output begins.
    start: usize,
    output: &'a mut [f32],
}

impl WithSimd for Task<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_tile!(self.weights.outputs, simd, self.run)
    }
}

impl Task<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(mut self, simd: S) {
        let weights = self.weights;
        debug_assert_eq!(weights.lanes, V * S::F32_LANES);
        let (panels, blocks) = (weights.panels(), self.count.div_ceil(R));
        let widest = weights.groups.iter().map(Group::row).max().unwrap_or(0);
        let most = weights.groups.iter().map(|group| group.starts.len() - 1).max().unwrap_or(0);
        let zeros = vec![0.0f32; self.tiles.grid.maps];
        let mut gathered = vec![0.0f32; blocks * R * widest];
        let mut sums = vec![[[simd.splat_f32s(0.0); V]; R]; most * panels * blocks];
        for group in &weights.groups {
            let length = group.row();
            let input = Map { values: self.input, grid: self.tiles.grid, zeros: &zeros };
            for (i, row) in gathered.chunks_exact_mut(length).take(self.count).enumerate() {
                let place = self.tiles.place(self.first + i);
                for stretch in &group.stretches {
                    gather(simd, input, stretch.halves.each_ref(), place, row, &stretch.to);
                }
            }
            for (product, sums) in group.starts.windows(2).zip(sums.chunks_exact_mut(panels * blocks)) {
                let &[start, end] = product else { unreachable!("windows of two") };
                sums.fill([[simd.splat_f32s(0.0); V]; R]);
                for (panel, sums) in sums.chunks_exact_mut(blocks).enumerate() {
                    let (weights, _) = S::as_simd_f32s(weights.of(panel, group));
                    multiply(simd, gathered.chunks_exact(R * length), length, start..end, weights, sums);
                }
            }
            for i in 0..self.count {
                for panel in 0..panels {
                    let sum = |product: usize, v: usize| sums[(product * panels + panel) * blocks + i / R][i % R][v];
                    self.put::<S, V>(simd, group, i, panel, sum);
                }
            }
        }
    }

    /// Puts the four outputs of a tile, for one panel of maps, to their places.
    //
    // Loops by index, which the lint would have written otherwise, since the closures of `map` and `from_fn` are compiled without
    // the machine's vector instructions.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn put<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        group: &Group,
        i: usize,
        panel: usize,
        sum: impl Fn(usize, usize) -> S::f32s,
    ) {
        let [rows, columns] = group.points;
        let zero = simd.splat_f32s(0.0);
        let mut made = [[[zero; V]; 2]; 2];
        for v in 0..V {
            let mut along = [[zero; 4]; 2];
            for y in 0..rows {
                let mut products = [zero; 4];
                for x in 0..columns {
                    products[x] = sum(y * columns + x, v);
                }
                let pair = outputs(simd, columns, products);
                (along[0][y], along[1][y]) = (pair[0], pair[1]);
            }
            for x in 0..2 {
                let pair = outputs(simd, rows, along[x]);
                (made[0][x][v], made[1][x][v]) = (pair[0], pair[1]);
            }
        }
        let (picture, row, column) = self.tiles.place(self.first + i);
        let from = panel * self.weights.lanes;
        let used = self.weights.lanes.min(self.weights.outputs - from);
        let (height, width) = (self.tiles.grid.height, self.tiles.grid.width);
        for (y, made) in made.iter().enumerate().take(height - row) {
            for (x, made) in made.iter().enumerate().take(width - column) {
                let down = (picture * height + row + y) * self.scale + group.place[0];
                let place = (down * width + column + x) * self.scale + group.place[1];
                let values: &[f32] = pulp::bytemuck::cast_slice(made);
                self.output[place * self.weights.outputs + from - self.start..][..used]
                    .copy_from_slice(&values[..used]);
            }
        }
    }
}
