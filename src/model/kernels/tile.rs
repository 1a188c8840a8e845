//! Tiles: a few positions by a few vectors of outputs, whose sums stay in registers while products are added to them.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

/// Numbers of a weight panel that stay in the first-level cache while positions go by.
pub const DEPTH: usize = 192;

/// How many positions (rows of a tile) and vectors of outputs keep the machine's registers full.
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

/// Calls `$run::<S, R, V>($simd)` with the tile of so many outputs.
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

/// Sums of products for `R` positions and `V` vectors of outputs, added to `sums`: `inputs` are `depth` numbers each,
/// `weights` `depth` times `V` vectors.
#[inline(always)]
pub fn tile<S: Simd, const R: usize, const V: usize>(
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

/// Adds the products of rows, `R` to a tile and `length` numbers each, by a panel's weights to the tiles' sums, as far as
/// `depth` of a row goes; `weights` are those of the whole row.
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
            let mut kept = *sums;
            tile::<S, R, V>(simd, &inputs, weights, deep, &mut kept);
            *sums = kept;
        }
    }
}

/// Some columns of rows that follow one another in memory.
#[derive(Clone, Copy)]
pub struct Rows<'a> {
    pub values: &'a [f32],
    /// Numbers of a row.
    pub length: usize,
    /// The first of them that counts, and how many do.
    pub from: usize,
    pub width: usize,
}

/// Adds the sums over rows of each column of `left` times each of `right` to `sums` `[left, right]`. The width of `left` is a
/// multiple of `R`; that of `right`, its length and its first column are multiples of `V` vectors or one.
#[inline(always)]
pub fn outer<S: Simd, const R: usize, const V: usize>(simd: S, left: Rows, right: Rows, sums: &mut [f32]) {
    let lanes = S::F32_LANES;
    let ((sums, _), (values, _)) = (S::as_mut_simd_f32s(sums), S::as_simd_f32s(right.values));
    let across = right.width / lanes;
    for panel in (0..across).step_by(V) {
        for (strip, sums) in sums.chunks_exact_mut(R * across).enumerate() {
            let mut kept = [[simd.splat_f32s(0.0); V]; R];
            for (kept, sums) in kept.iter_mut().zip(sums.chunks_exact(across)) {
                kept.copy_from_slice(&sums[panel..panel + V]);
            }
            let (from_left, from_right) = (left.from + strip * R, right.from / lanes + panel);
            let lefts = left.values.chunks_exact(left.length).map(|row| &row[from_left..][..R]);
            let rights = values.chunks_exact(right.length / lanes).map(|row| &row[from_right..][..V]);
            for (left, right) in lefts.zip(rights) {
                for r in 0..R {
                    let x = simd.splat_f32s(left[r]);
                    for v in 0..V {
                        kept[r][v] = simd.mul_add_f32s(x, right[v], kept[r][v]);
                    }
                }
            }
            for (kept, sums) in kept.iter().zip(sums.chunks_exact_mut(across)) {
                sums[panel..panel + V].copy_from_slice(kept);
            }
        }
    }
}

/// Lanes of a panel for so many outputs on this machine.
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
