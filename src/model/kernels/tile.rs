//! Register tiles: a few positions by a few vectors of outputs whose sums stay in registers while products are
//! accumulated.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Depth of a block of a weight panel that stays in the L1 cache.
pub const DEPTH: usize = 192;

/// Positions (rows of a tile) and vectors of outputs that fill the registers of this machine.
pub fn tile_of<S: Simd>(outputs: usize) -> (usize, usize) {
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

/// Calls `$run::<S, R, V>($simd)` with the tile size for the number of outputs.
macro_rules! with_tile {
    ($outputs:expr, $simd:ident, $self:ident . $run:ident) => {
        match $crate::model::kernels::tile::tile_of::<S>($outputs) {
            (14, 1) => $self.$run::<S, 14, 1>($simd),
            (12, 2) => $self.$run::<S, 12, 2>($simd),
            (8, 3) => $self.$run::<S, 8, 3>($simd),
            (6, 4) => $self.$run::<S, 6, 4>($simd),
            (10, 1) => $self.$run::<S, 10, 1>($simd),
            _ => $self.$run::<S, 6, 2>($simd),
        }
    };
}
pub(crate) use with_tile;

/// Adds products to `sums` for `R` positions and `V` vectors of outputs: `inputs` have `depth` values each, `weights`
/// `depth` times `V` vectors.
#[inline(always)]
pub fn tile<S: Simd, const R: usize, const V: usize>(
    simd: S,
    inputs: &[&[f32]; R],
    weights: &[S::f32s],
    depth: usize,
    sums: &mut [[S::f32s; V]; R],
) {
    // Equal lengths here remove the bounds checks in the loop.
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

/// Accumulates the products of rows (`R` per tile, `length` values each) with the weights of a panel, for the range
/// `depth` of each row; `weights` covers the whole row.
#[inline(always)]
pub fn multiply<'a, S: Simd, const R: usize, const V: usize>(
    simd: S,
    tiles: impl Iterator<Item = &'a [f32]> + Clone,
    length: usize,
    depth: Range<usize>,
    weights: &[S::f32s],
    sums: &mut [[[S::f32s; V]; R]],
) {
    for from in depth.clone().step_by(DEPTH) {
        let deep = DEPTH.min(depth.end - from);
        let weights = &weights[from * V..][..deep * V];
        for (rows, sums) in tiles.clone().zip(sums.iter_mut()) {
            let inputs: [&[f32]; R] = std::array::from_fn(|r| &rows[r * length + from..][..deep]);
            let mut registers = *sums;
            tile::<S, R, V>(simd, &inputs, weights, deep, &mut registers);
            *sums = registers;
        }
    }
}

/// A range of columns of contiguous rows.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub values: &'a [f32],
    /// Values per row.
    pub length: usize,
    /// First column and number of columns.
    pub from: usize,
    pub width: usize,
}

/// Adds the products of each column of `left` with each column of `right`, summed over rows, to `sums` `[left,
/// right]`. The width of `left` is a multiple of `R`; the width, length and first column of `right` are multiples of
/// `V` vectors or of one.
#[inline(always)]
pub fn outer<S: Simd, const R: usize, const V: usize>(simd: S, left: Rows, right: Rows, sums: &mut [f32]) {
    let lanes = S::F32_LANES;
    let ((sums, _), (values, _)) = (S::as_mut_simd_f32s(sums), S::as_simd_f32s(right.values));
    let across = right.width / lanes;
    for panel in (0..across).step_by(V) {
        for (strip, sums) in sums.chunks_exact_mut(R * across).enumerate() {
            let mut registers = [[simd.splat_f32s(0.0); V]; R];
            for (registers, sums) in registers.iter_mut().zip(sums.chunks_exact(across)) {
                registers.copy_from_slice(&sums[panel..panel + V]);
            }
            let (from_left, from_right) = (left.from + strip * R, right.from / lanes + panel);
            let lefts = left.values.chunks_exact(left.length).map(|row| &row[from_left..][..R]);
            let rights = values.chunks_exact(right.length / lanes).map(|row| &row[from_right..][..V]);
            for (left, right) in lefts.zip(rights) {
                for r in 0..R {
                    let x = simd.splat_f32s(left[r]);
                    for v in 0..V {
                        registers[r][v] = simd.mul_add_f32s(x, right[v], registers[r][v]);
                    }
                }
            }
            for (registers, sums) in registers.iter().zip(sums.chunks_exact_mut(across)) {
                sums[panel..panel + V].copy_from_slice(registers);
            }
        }
    }
}

/// Lanes per panel for the number of outputs on this machine.
pub fn panel_lanes(outputs: usize) -> usize {
    struct Lanes(usize);
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            tile_of::<S>(self.0).1 * S::F32_LANES
        }
    }
    Arch::new().dispatch(Lanes(outputs))
}
