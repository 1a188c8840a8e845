//! Both convolutions: products of transformed inputs and weights, then the output transform.

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};
use rayon::prelude::*;

use super::super::memory::{Scratch, at_least, with_scratch};
use super::super::shape::{ConvShape, Grid};
use super::super::tile::{multiply, with_tile};
use super::gather::{Gathered, Inputs, Map, Tiles};
use super::scheme::{POINTS, outputs};
use super::weights::{ProductGroup, WinogradWeights};

/// Maximum positions per task, unless a row of tiles or an image has more.
const POSITIONS: usize = 512;
/// Maximum values that a task gathers at a time, unless an image has more.
const GATHERED: usize = 1 << 19;

/// Strided convolution, large map to small map, with weights from [`super::pack_down`].
pub fn down(shape: ConvShape, large: &[f32], weights: &WinogradWeights, small: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    run(shape.over_large(), large, weights, 1, small);
}

/// Fractionally-strided convolution, small map to large map, with weights from [`super::pack_up`].
pub fn up(shape: ConvShape, small: &[f32], weights: &WinogradWeights, large: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    run(shape.over_small(), small, weights, shape.stride, large);
}

/// Each position of `grid` produces `scale x scale` positions of the output.
fn run(grid: Grid, input: &[f32], weights: &WinogradWeights, scale: usize, output: &mut [f32]) {
    let tiles = Tiles::new(grid, weights.side);
    // The unit of work: rows of tiles, or whole images where the last row of tiles is partial.
    let (unit, units) = if grid.height.is_multiple_of(weights.side) {
        (tiles.columns, grid.batch * tiles.rows)
    } else {
        (tiles.columns * tiles.rows, grid.batch)
    };
    let widest = weights.groups.iter().map(ProductGroup::row).max().unwrap_or(1);
    let most = ((POSITIONS / weights.side.pow(2)).min(GATHERED / widest) / unit).max(1);
    // Equally long tasks, a multiple of the number of threads.
    let tasks = units.div_ceil(most).next_multiple_of(rayon::current_num_threads());
    let together = units.div_ceil(tasks);
    let size = output.len() / units;
    let arch = Arch::new();
    output.par_chunks_mut(together * size).enumerate().for_each(|(i, output)| {
        let (first, count) = (i * together * unit, output.len() / size * unit);
        let start = i * together * size;
        with_scratch(|scratch| {
            arch.dispatch(TileRange { tiles, input, weights, scale, first, count, start, output, scratch });
        });
    });
}

/// Whole rows of tiles: `count` tiles from `first`.
struct TileRange<'a> {
    tiles: Tiles,
    input: &'a [f32],
    weights: &'a WinogradWeights,
    scale: usize,
    first: usize,
    count: usize,
    /// Offset of its output.
    start: usize,
    output: &'a mut [f32],
    scratch: &'a mut Scratch,
}

impl WithSimd for TileRange<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_tile!(self.weights.outputs, simd, self.run);
    }
}

impl TileRange<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S) {
        let weights = self.weights;
        debug_assert_eq!(weights.lanes, V * S::F32_LANES);
        let (panels, blocks) = (weights.panels(), self.count.div_ceil(R));
        let widest = weights.groups.iter().map(ProductGroup::row).max().unwrap_or(0);
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
            let ranges = group.ranges.iter().map(|range| (range.halves.each_ref(), &range.to[..]));
            simd.vectorize(Inputs { simd, map: input, gathered: rows, ranges });
            for (product, sums) in group.starts.windows(2).zip(sums.chunks_exact_mut(panels * blocks)) {
                let &[start, end] = product else { unreachable!("windows of two") };
                sums.fill([[simd.splat_f32s(0.0); V]; R]);
                for (panel, sums) in sums.chunks_exact_mut(blocks).enumerate() {
                    let (weights, _) = S::as_simd_f32s(weights.of(panel, group));
                    multiply(simd, gathered.chunks_exact(R * length), length, start..end, weights, sums);
                }
            }
            let put = OutputBlock {
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
                2 => simd.vectorize(WriteTiles::<S, 2>(put)),
                _ => simd.vectorize(WriteTiles::<S, 4>(put)),
            }
        }
    }
}

/// ProductSums of products and where their outputs go.
struct OutputBlock<'a, S: Simd> {
    simd: S,
    tiles: Tiles,
    group: &'a ProductGroup,
    weights: &'a WinogradWeights,
    scale: usize,
    /// First tile and number of tiles.
    range: (usize, usize),
    /// `[products][panels][tiles, padded][vectors per panel]`
    sums: &'a [S::f32s],
    /// Vectors per panel (all tiles), and per tile.
    stride: usize,
    vectors: usize,
    start: usize,
    output: &'a mut [f32],
}

/// Transforms and writes the `M` by `M` outputs of each tile.
struct WriteTiles<'a, S: Simd, const M: usize>(OutputBlock<'a, S>);

impl<S: Simd, const M: usize> NullaryFnOnce for WriteTiles<'_, S, M> {
    type Output = ();

    // Loops by index: closures of `map` and `from_fn` are compiled without vector instructions.
    #[expect(clippy::needless_range_loop, reason = "indices keep the loop vectorized")]
    #[inline(always)]
    fn call(self) {
        let OutputBlock {
            simd,
            tiles,
            group,
            weights,
            scale,
            range: (first, count),
            sums,
            stride,
            vectors,
            start,
            output,
        } = self.0;
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
