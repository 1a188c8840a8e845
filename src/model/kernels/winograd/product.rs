//! Both convolutions: products of gathered inputs and weights, and the sums of them that are the outputs.

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use rayon::prelude::*;

use super::super::memory::{Scratch, at_least, with_scratch};
use super::super::shape::{Grid, Shape};
use super::super::tile::{multiply, with_tile};
use super::gather::{Gathered, Inputs, Map, Tiles};
use super::scheme::{POINTS, outputs};
use super::weights::{Group, Weights};

/// Positions in the tiles that one task takes, at most, unless a row of them or a picture has more.
const POSITIONS: usize = 512;
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
    run(shape.over_small(), small, weights, shape.stride, large);
}

/// Each position of `grid` makes `scale x scale` positions of the output.
fn run(grid: Grid, input: &[f32], weights: &Weights, scale: usize, output: &mut [f32]) {
    let tiles = Tiles::new(grid, weights.side);
    // What is shared out: rows of tiles, or pictures where the last row is not a whole one.
    let (unit, units) = if grid.height.is_multiple_of(weights.side) {
        (tiles.columns, grid.batch * tiles.rows)
    } else {
        (tiles.columns * tiles.rows, grid.batch)
    };
    let widest = weights.groups.iter().map(Group::row).max().unwrap_or(1);
    let most = ((POSITIONS / weights.side.pow(2)).min(GATHERED / widest) / unit).max(1);
    // Tasks of even length, as many for each thread.
    let tasks = units.div_ceil(most).next_multiple_of(rayon::current_num_threads());
    let together = units.div_ceil(tasks);
    let size = output.len() / units;
    let arch = Arch::new();
    output.par_chunks_mut(together * size).enumerate().for_each(|(i, output)| {
        let (first, count) = (i * together * unit, output.len() / size * unit);
        let start = i * together * size;
        with_scratch(|scratch| {
            arch.dispatch(Task { tiles, input, weights, scale, first, count, start, output, scratch });
        });
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
    scratch: &'a mut Scratch,
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
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S) {
        let weights = self.weights;
        debug_assert_eq!(weights.lanes, V * S::F32_LANES);
        let (panels, blocks) = (weights.panels(), self.count.div_ceil(R));
        let widest = weights.groups.iter().map(Group::row).max().unwrap_or(0);
        let most = weights.groups.iter().map(|group| group.starts.len() - 1).max().unwrap_or(0);
        let zeros = vec![0.0f32; self.tiles.grid.maps];
        let [gathered, sums] = self.scratch;
        let gathered = at_least(gathered, blocks * R * widest);
        let sums = at_least(sums, most * panels * blocks * R * V * S::F32_LANES);
        let sums = S::as_mut_simd_f32s(sums).0.as_chunks_mut::<V>().0.as_chunks_mut::<R>().0;
        for group in &weights.groups {
            let length = group.row();
            let input = Map { values: self.input, grid: self.tiles.grid, zeros: &zeros };
            let rows =
                Gathered { tiles: self.tiles, first: self.first, count: self.count, rows: &mut *gathered, length };
            let stretches = group.stretches.iter().map(|stretch| (stretch.halves.each_ref(), &stretch.to[..]));
            simd.vectorize(Inputs { simd, map: input, gathered: rows, stretches });
            for (product, sums) in group.starts.windows(2).zip(sums.chunks_exact_mut(panels * blocks)) {
                let &[start, end] = product else { unreachable!("windows of two") };
                sums.fill([[simd.splat_f32s(0.0); V]; R]);
                for (panel, sums) in sums.chunks_exact_mut(blocks).enumerate() {
                    let (weights, _) = S::as_simd_f32s(weights.of(panel, group));
                    multiply(simd, gathered.chunks_exact(R * length), length, start..end, weights, sums);
                }
            }
            let put = Put {
                simd,
                tiles: self.tiles,
                group,
                weights,
                scale: self.scale,
                range: (self.first, self.count),
                sums: sums.as_flattened().as_flattened(),
                stride: blocks * R * V,
                vectors: V,
                start: self.start,
                output: self.output,
            };
            match weights.side {
                2 => simd.vectorize(PutTiles::<S, 2>(put)),
                _ => simd.vectorize(PutTiles::<S, 4>(put)),
            }
        }
    }
}

/// Sums that become outputs.
struct Put<'a, S: Simd> {
    simd: S,
    tiles: Tiles,
    group: &'a Group,
    weights: &'a Weights,
    scale: usize,
    /// The first tile, and how many.
    range: (usize, usize),
    /// `[products][panels][tiles, filled up][vectors of a panel]`
    sums: &'a [S::f32s],
    /// Vectors of all tiles of a panel, and of one.
    stride: usize,
    vectors: usize,
    start: usize,
    output: &'a mut [f32],
}

/// Puts the `M` by `M` outputs of each tile to their places.
struct PutTiles<'a, S: Simd, const M: usize>(Put<'a, S>);

impl<S: Simd, const M: usize> NullaryFnOnce for PutTiles<'_, S, M> {
    type Output = ();

    // Loops by index: the closures of `map` and `from_fn` are compiled without the machine's vector instructions.
    #[allow(clippy::needless_range_loop)]
    #[inline(always)]
    fn call(self) {
        let Put { simd, tiles, group, weights, scale, range: (first, count), sums, stride, vectors, start, output } =
            self.0;
        let [rows, columns] = group.points;
        let (height, width, lanes) = (tiles.grid.height, tiles.grid.width, S::F32_LANES);
        let zero = simd.splat_f32s(0.0);
        let (mut along, mut values) = ([[zero; POINTS]; M], [zero; POINTS]);
        for i in 0..count {
            let (picture, row, column) = tiles.place(first + i);
            for vector in 0..weights.outputs.div_ceil(lanes) {
                let sums = &sums[vector / vectors * stride + i * vectors + vector % vectors..];
                for y in 0..rows {
                    for x in 0..columns {
                        values[x] = sums[(y * columns + x) * weights.panels() * stride];
                    }
                    let made = outputs(simd, columns, values);
                    for x in 0..M {
                        along[x][y] = made[x];
                    }
                }
                for x in 0..M.min(width - column) {
                    let made = outputs(simd, rows, along[x]);
                    for y in 0..M.min(height - row) {
                        let down = (picture * height + row + y) * scale + group.place[0];
                        let place = (down * width + column + x) * scale + group.place[1];
                        let to = &mut output[place * weights.outputs + vector * lanes - start..];
                        if (vector + 1) * lanes <= weights.outputs {
                            S::as_mut_simd_f32s(&mut to[..lanes]).0[0] = made[y];
                        } else {
                            simd.partial_store_f32s(&mut to[..weights.outputs - vector * lanes], made[y]);
                        }
                    }
                }
            }
        }
    }
}
