//! Input transforms of Winograd tiles: sums and differences of neighboring positions, channel by channel.

use std::ops::Range;

use pulp::{NullaryFnOnce, Simd};

use super::super::shape::Grid;
use super::scheme::{AxisHalf, AxisTransform, BackToPoints, POINTS, ToPoints};

/// The tiles of a grid: 2x2 or 4x4 positions each.
#[derive(Clone, Copy)]
pub struct Tiles {
    pub grid: Grid,
    /// Rows and columns per tile.
    pub side: usize,
    /// Rows and columns of tiles per image.
    pub rows: usize,
    pub columns: usize,
}

impl Tiles {
    pub fn new(grid: Grid, side: usize) -> Self {
        Self { grid, side, rows: grid.height.div_ceil(side), columns: grid.width.div_ceil(side) }
    }

    /// Tiles per image.
    pub fn of_picture(&self) -> usize {
        self.rows * self.columns
    }

    /// Image, and row and column of the first position.
    #[inline(always)]
    pub fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (row, column) = (tile / self.columns % self.rows, tile % self.columns);
        (tile / self.of_picture(), row * self.side, column * self.side)
    }
}

/// A map to read from: its values, its layout, and at least one position of zeros.
#[derive(Clone, Copy)]
pub struct Map<'a> {
    pub values: &'a [f32],
    pub grid: Grid,
    pub zeros: &'a [f32],
}

/// Transformed inputs of some tiles, one row per tile.
pub struct Gathered<'a> {
    pub tiles: Tiles,
    /// First tile.
    pub first: usize,
    /// Number of tiles.
    pub count: usize,
    pub rows: &'a mut [f32],
    /// Values per row.
    pub length: usize,
}

/// Transforms the surroundings of tiles at every pair of points of some pairs of halves. The third of each item is
/// the offset in a row.
pub struct Inputs<'a, S, I> {
    pub simd: S,
    pub map: Map<'a>,
    pub gathered: Gathered<'a>,
    /// Pairs of halves, and the offset in a row for each pair of points.
    pub ranges: I,
}

impl<'a, S: Simd, I: Iterator<Item = ([&'a AxisHalf; 2], &'a [usize])> + Clone> NullaryFnOnce for Inputs<'a, S, I> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, map, gathered, ranges } = self;
        let (tiles, side) = (gathered.tiles, gathered.tiles.side);
        for (i, row) in gathered.rows.chunks_exact_mut(gathered.length).take(gathered.count).enumerate() {
            let place = tiles.place(gathered.first + i);
            for (halves, to) in ranges.clone() {
                let points = halves.map(|half| half.points(side));
                let patch = around(map, halves, points, place);
                spread::<S, ToPoints>(simd, points, &patch, row, to);
            }
        }
    }
}

/// Inputs of a tile: at most as many as points, in rows and columns.
type Patch<'a> = [[&'a [f32]; POINTS]; POINTS];

/// The inputs that a pair of halves sees around a tile; zero outside the image.
#[inline(always)]
fn around<'a>(map: Map<'a>, halves: [&AxisHalf; 2], points: [usize; 2], place: (usize, usize, usize)) -> Patch<'a> {
    let Map { values, grid, zeros } = map;
    // If the map is not interleaved, the parity selects outputs and does not affect the inputs.
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

/// Transforms output gradients of tiles to every pair of points: the transposed scheme.
pub struct Outputs<'a, S> {
    pub simd: S,
    pub map: Map<'a>,
    pub gathered: Gathered<'a>,
    pub points: [usize; 2],
    /// Channels, and the offset in a row for each pair of points.
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

/// Applies `L` along rows, then along columns, for the given numbers of points.
#[inline(always)]
fn spread<S: Simd, L: AxisTransform>(simd: S, points: [usize; 2], patch: &Patch, row: &mut [f32], to: &[usize]) {
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
// Loops by index: closures of `map` and `from_fn` are compiled without vector instructions.
#[inline(always)]
fn spread_to<S: Simd, L: AxisTransform, const Y: usize, const X: usize>(
    simd: S,
    patch: &Patch,
    row: &mut [f32],
    to: &[usize],
) {
    let (height, width) = (L::values(Y), L::values(X));
    let (maps, lanes) = (patch[0][0].len(), S::F32_LANES);
    let zero = simd.splat_f32s(0.0);
    // Declared outside the loop; inside it would be cleared for each vector of channels.
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
