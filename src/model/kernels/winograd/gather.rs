//! What goes into the products of a tile: sums and differences of neighbouring positions, map by map.

use std::ops::Range;

use pulp::Simd;

use super::super::shape::Grid;
use super::scheme::{Half, inputs, outputs_backward};

/// The tiles of a grid: each is two rows and two columns of positions.
#[derive(Clone, Copy)]
pub struct Tiles {
    pub grid: Grid,
    /// Rows and columns of tiles in a picture.
    pub rows: usize,
    pub columns: usize,
}

impl Tiles {
    pub fn new(grid: Grid) -> Self {
        Self { grid, rows: grid.height.div_ceil(2), columns: grid.width.div_ceil(2) }
    }

    /// How many a picture has.
    pub fn of_picture(&self) -> usize {
        self.rows * self.columns
    }

    /// Picture, and row and column of the first of four positions.
    #[inline(always)]
    pub fn place(&self, tile: usize) -> (usize, usize, usize) {
        (tile / self.of_picture(), tile / self.columns % self.rows * 2, tile % self.columns * 2)
    }
}

/// A map that is gathered from: its values and how they lie, and at least as many zeros as it has maps.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    pub values: &'a [f32],
    pub grid: Grid,
    pub zeros: &'a [f32],
}

/// The input's maps `maps` around a tile at every pair of points of `halves`, each to its offset of `to` in `row`. Outside the
/// picture all is zero.
#[inline(always)]
pub fn gather<S: Simd>(
    simd: S,
    Map { values: input, grid, zeros }: Map,
    halves: [&Half; 2],
    place: (usize, usize, usize),
    row: &mut [f32],
    to: &[usize],
) {
    // In a map that is not interleaved the parity says where outputs go, not where inputs lie.
    let step = grid.step;
    let [y, x] = halves.map(|half| half.first * step as isize + (half.parity * (step - 1)) as isize);
    let mut patch = [[&zeros[..grid.maps]; 4]; 4];
    for (i, patch) in patch.iter_mut().enumerate().take(halves[0].points()) {
        for (j, patch) in patch.iter_mut().enumerate().take(halves[1].points()) {
            let tap = (y + (i * step) as isize, x + (j * step) as isize);
            if let Some(at) = grid.input(place, tap) {
                *patch = &input[at..at + grid.maps];
            }
        }
    }
    match halves.map(Half::points) {
        [3, 3] => spread::<S, 4, 3, 3>(simd, patch, inputs, row, to),
        [3, _] => spread::<S, 4, 3, 4>(simd, patch, inputs, row, to),
        [_, 3] => spread::<S, 4, 4, 3>(simd, patch, inputs, row, to),
        _ => spread::<S, 4, 4, 4>(simd, patch, inputs, row, to),
    }
}

/// The four outputs of a tile, or their gradients, as they come back to the products at every pair of points: the transposed scheme.
#[inline(always)]
pub fn gather_outputs<S: Simd>(
    simd: S,
    Map { values: small, grid, zeros }: Map,
    points: [usize; 2],
    place: (usize, usize, usize),
    maps: Range<usize>,
    row: &mut [f32],
    to: &[usize],
) {
    let mut patch = [[&zeros[..maps.len()]; 2]; 2];
    for (i, patch) in patch.iter_mut().enumerate() {
        for (j, patch) in patch.iter_mut().enumerate() {
            if let Some(at) = grid.input(place, (i as isize, j as isize)) {
                *patch = &small[at + maps.start..at + maps.end];
            }
        }
    }
    match points {
        [3, 3] => spread::<S, 2, 3, 3>(simd, patch, outputs_backward, row, to),
        [3, _] => spread::<S, 2, 3, 4>(simd, patch, outputs_backward, row, to),
        [_, 3] => spread::<S, 2, 4, 3>(simd, patch, outputs_backward, row, to),
        _ => spread::<S, 2, 4, 4>(simd, patch, outputs_backward, row, to),
    }
}

/// `line` along rows, then along columns, for `Y` by `X` points.
#[inline(always)]
fn spread<S: Simd, const N: usize, const Y: usize, const X: usize>(
    simd: S,
    patch: [[&[f32]; N]; N],
    line: impl Fn(S, usize, [S::f32s; N]) -> [S::f32s; 4] + Copy,
    row: &mut [f32],
    to: &[usize],
) {
    let maps = patch[0][0].len();
    let zero = simd.splat_f32s(0.0);
    let whole = maps / S::F32_LANES * S::F32_LANES;
    let mut values = [[zero; N]; N];
    for from in (0..whole).step_by(S::F32_LANES) {
        for (values, patch) in values.iter_mut().zip(&patch) {
            for (value, maps) in values.iter_mut().zip(patch) {
                *value = S::as_simd_f32s(&maps[from..from + S::F32_LANES]).0[0];
            }
        }
        let all = both::<S, N, Y, X>(simd, values, line);
        for y in 0..Y {
            for x in 0..X {
                let (to, _) = S::as_mut_simd_f32s(&mut row[to[y * X + x] + from..][..S::F32_LANES]);
                to[0] = all[y][x];
            }
        }
    }
    if whole < maps {
        for (values, patch) in values.iter_mut().zip(&patch) {
            for (value, maps) in values.iter_mut().zip(patch) {
                *value = simd.partial_load_f32s(&maps[whole..]);
            }
        }
        let all = both::<S, N, Y, X>(simd, values, line);
        for y in 0..Y {
            for x in 0..X {
                simd.partial_store_f32s(&mut row[to[y * X + x] + whole..][..maps - whole], all[y][x]);
            }
        }
    }
}

/// What is spread, of one vector of maps. Loops, since the closures of `map` and `from_fn` are compiled without the machine's
/// vector instructions.
#[inline(always)]
fn both<S: Simd, const N: usize, const Y: usize, const X: usize>(
    simd: S,
    values: [[S::f32s; N]; N],
    line: impl Fn(S, usize, [S::f32s; N]) -> [S::f32s; 4],
) -> [[S::f32s; 4]; 4] {
    let zero = simd.splat_f32s(0.0);
    let mut along = [[zero; 4]; N];
    for y in 0..N {
        along[y] = line(simd, X, values[y]);
    }
    let mut all = [[zero; 4]; 4];
    for x in 0..X {
        let mut column = [zero; N];
        for y in 0..N {
            column[y] = along[y][x];
        }
        let down = line(simd, Y, column);
        for y in 0..Y {
            all[y][x] = down[y];
        }
    }
    all
}
