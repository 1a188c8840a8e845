//! What goes into the products of a tile: sums and differences of neighbouring positions, map by map.

use std::ops::Range;

use pulp::{NullaryFnOnce, Simd};

use super::super::shape::Grid;
use super::scheme::{BackToPoints, Half, Line, POINTS, ToPoints};

/// The tiles of a grid: each is two rows and two columns of positions, or four and four.
#[derive(Clone, Copy)]
pub struct Tiles {
    pub grid: Grid,
    /// Rows and columns of a tile.
    pub side: usize,
    /// Rows and columns of tiles in a picture.
    pub rows: usize,
    pub columns: usize,
}

impl Tiles {
    pub fn new(grid: Grid, side: usize) -> Self {
        Self { grid, side, rows: grid.height.div_ceil(side), columns: grid.width.div_ceil(side) }
    }

    /// How many a picture has.
    pub fn of_picture(&self) -> usize {
        self.rows * self.columns
    }

    /// Picture, and row and column of the first position.
    #[inline(always)]
    pub fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (row, column) = (tile / self.columns % self.rows, tile % self.columns);
        (tile / self.of_picture(), row * self.side, column * self.side)
    }
}

/// A map that is gathered from: its values and how they lie, and at least as many zeros as it has maps.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    pub values: &'a [f32],
    pub grid: Grid,
    pub zeros: &'a [f32],
}

/// What some tiles are gathered to: a row each.
pub struct Gathered<'a> {
    pub tiles: Tiles,
    /// The first of them.
    pub first: usize,
    /// How many.
    pub count: usize,
    pub rows: &'a mut [f32],
    /// Numbers of a row.
    pub length: usize,
}

/// The maps around tiles at every pair of points of some halves, each to its offset in a row: the third of each item.
pub struct Inputs<'a, S, I> {
    pub simd: S,
    pub map: Map<'a>,
    pub gathered: Gathered<'a>,
    /// Pairs of halves, and where the maps at each pair of points go in a row.
    pub stretches: I,
}

impl<'a, S: Simd, I: Iterator<Item = ([&'a Half; 2], &'a [usize])> + Clone> NullaryFnOnce for Inputs<'a, S, I> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, map, gathered, stretches } = self;
        let (tiles, side) = (gathered.tiles, gathered.tiles.side);
        for (i, row) in gathered.rows.chunks_exact_mut(gathered.length).take(gathered.count).enumerate() {
            let place = tiles.place(gathered.first + i);
            for (halves, to) in stretches.clone() {
                let points = halves.map(|half| half.points(side));
                let patch = around(map, halves, points, place);
                spread::<S, ToPoints>(simd, points, &patch, row, to);
            }
        }
    }
}

/// Inputs that a tile has: at most as many as points, in rows and columns.
type Patch<'a> = [[&'a [f32]; POINTS]; POINTS];

/// What a pair of halves sees around a tile; outside the picture all is zero.
#[inline(always)]
fn around<'a>(map: Map<'a>, halves: [&Half; 2], points: [usize; 2], place: (usize, usize, usize)) -> Patch<'a> {
    let Map { values, grid, zeros } = map;
    // In a map that is not interleaved the parity says where outputs go, not where inputs lie.
    let step = grid.step;
    let [y, x] = halves.map(|half| half.first * step as isize + (half.parity * (step - 1)) as isize);
    let mut patch = [[&zeros[..grid.maps]; POINTS]; POINTS];
    for (i, patch) in patch.iter_mut().enumerate().take(points[0]) {
        for (j, patch) in patch.iter_mut().enumerate().take(points[1]) {
            let tap = (y + (i * step) as isize, x + (j * step) as isize);
            if let Some(at) = grid.input(place, tap) {
                *patch = &values[at..at + grid.maps];
            }
        }
    }
    patch
}

/// Gradients of tiles' outputs as they come back to the products at every pair of points: the transposed scheme.
pub struct Outputs<'a, S> {
    pub simd: S,
    pub map: Map<'a>,
    pub gathered: Gathered<'a>,
    pub points: [usize; 2],
    /// Which maps, and where those at each pair of points go in a row.
    pub maps: Range<usize>,
    pub to: &'a [usize],
}

impl<S: Simd> NullaryFnOnce for Outputs<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, map: Map { values, grid, zeros }, gathered, points, maps, to } = self;
        let side = gathered.tiles.side;
        for (i, row) in gathered.rows.chunks_exact_mut(gathered.length).take(gathered.count).enumerate() {
            let place = gathered.tiles.place(gathered.first + i);
            let mut patch = [[&zeros[..maps.len()]; POINTS]; POINTS];
            for (i, patch) in patch.iter_mut().enumerate().take(side) {
                for (j, patch) in patch.iter_mut().enumerate().take(side) {
                    if let Some(at) = grid.input(place, (i as isize, j as isize)) {
                        *patch = &values[at + maps.start..at + maps.end];
                    }
                }
            }
            spread::<S, BackToPoints>(simd, points, &patch, row, to);
        }
    }
}

/// A line along rows, then along columns, for so many points of each.
#[inline(always)]
fn spread<S: Simd, L: Line>(simd: S, points: [usize; 2], patch: &Patch, row: &mut [f32], to: &[usize]) {
    match points {
        [3, 3] => spread_to::<S, L, 3, 3>(simd, patch, row, to),
        [3, 4] => spread_to::<S, L, 3, 4>(simd, patch, row, to),
        [4, 3] => spread_to::<S, L, 4, 3>(simd, patch, row, to),
        [4, 4] => spread_to::<S, L, 4, 4>(simd, patch, row, to),
        [5, 5] => spread_to::<S, L, 5, 5>(simd, patch, row, to),
        [5, _] => spread_to::<S, L, 5, 6>(simd, patch, row, to),
        [_, 5] => spread_to::<S, L, 6, 5>(simd, patch, row, to),
        _ => spread_to::<S, L, 6, 6>(simd, patch, row, to),
    }
}

/// [`spread`] for `Y` by `X` points.
//
// Loops by index: the closures of `map` and `from_fn` are compiled without the machine's vector instructions.
#[allow(clippy::needless_range_loop)]
#[inline(always)]
fn spread_to<S: Simd, L: Line, const Y: usize, const X: usize>(simd: S, patch: &Patch, row: &mut [f32], to: &[usize]) {
    let (height, width) = (L::values(Y), L::values(X));
    let (maps, lanes) = (patch[0][0].len(), S::F32_LANES);
    let zero = simd.splat_f32s(0.0);
    // Out here, since they would be cleared for each vector of maps.
    let mut along = [[zero; POINTS]; POINTS];
    let mut values = [zero; POINTS];
    for from in (0..maps).step_by(lanes) {
        let whole = from + lanes <= maps;
        for y in 0..height {
            for x in 0..width {
                let maps = &patch[y][x][from..];
                values[x] = if whole { S::as_simd_f32s(&maps[..lanes]).0[0] } else { simd.partial_load_f32s(maps) };
            }
            along[y] = L::line(simd, X, values);
        }
        for x in 0..X {
            for y in 0..height {
                values[y] = along[y][x];
            }
            let down = L::line(simd, Y, values);
            for y in 0..Y {
                let to = &mut row[to[y * X + x] + from..];
                if whole {
                    S::as_mut_simd_f32s(&mut to[..lanes]).0[0] = down[y];
                } else {
                    simd.partial_store_f32s(&mut to[..maps - from], down[y]);
                }
            }
        }
    }
}
