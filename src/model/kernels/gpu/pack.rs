//! Transposes between the weight layout of the products, `[kernel, kernel, large, small]`, and the public layout
//! `[small, large, kernel, kernel]`.
//!
//! Both directions transpose a matrix with small-map channels on one side and large-map channels times taps on the
//! other, in squares through shared memory, so that global memory is accessed in whole rows.

use cubecl::prelude::*;

/// Side of the squares, and units per row of a cube.
pub const SIDE: usize = 32;
/// Rows of units per cube.
pub const ROWS: usize = 8;

/// Weights `[small, large * taps]` to `[taps * large, small]`.
#[cube(launch_unchecked)]
pub fn pack<E: Float>(weights: &[f32], out: &mut [E], small: u32, large: u32, taps: u32) {
    let (small, large, taps) = (small as usize, large as usize, taps as usize);
    let mut square = Shared::<[f32]>::new_slice(comptime!(SIDE * (SIDE + 1)));
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let first_inner = CUBE_POS_X as usize * SIDE;
    let first_small = CUBE_POS_Y as usize * SIDE;
    let inner = large * taps;
    #[unroll]
    for i in 0..comptime!(SIDE / ROWS) {
        let (row, column) = (first_small + y + i * ROWS, first_inner + x);
        if row < small && column < inner {
            square[(y + i * ROWS) * comptime!(SIDE + 1) + x] = weights[row * inner + column];
        }
    }
    sync_cube();
    #[unroll]
    for i in 0..comptime!(SIDE / ROWS) {
        let (row, column) = (first_small + x, first_inner + y + i * ROWS);
        if row < small && column < inner {
            let map = column / taps;
            let tap = column - map * taps;
            out[(tap * large + map) * small + row] = E::cast_from(square[x * comptime!(SIDE + 1) + y + i * ROWS]);
        }
    }
}

/// Sums gradients `[pieces, taps * large, small]` over pieces and transposes them to `[small, large * taps]`.
#[cube(launch_unchecked)]
pub fn unpack(gradients: &[f32], out: &mut [f32], small: u32, large: u32, taps: u32, pieces: u32) {
    let (small, large, taps, pieces) = (small as usize, large as usize, taps as usize, pieces as usize);
    let mut square = Shared::<[f32]>::new_slice(comptime!(SIDE * (SIDE + 1)));
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    let first_inner = CUBE_POS_X as usize * SIDE;
    let first_small = CUBE_POS_Y as usize * SIDE;
    let inner = large * taps;
    #[unroll]
    for i in 0..comptime!(SIDE / ROWS) {
        let (row, column) = (first_small + x, first_inner + y + i * ROWS);
        if row < small && column < inner {
            let map = column / taps;
            let tap = column - map * taps;
            let mut sum = 0.0f32;
            for piece in 0..pieces {
                sum += gradients[(piece * inner + tap * large + map) * small + row];
            }
            square[x * comptime!(SIDE + 1) + y + i * ROWS] = sum;
        }
    }
    sync_cube();
    #[unroll]
    for i in 0..comptime!(SIDE / ROWS) {
        let (row, column) = (first_small + y + i * ROWS, first_inner + x);
        if row < small && column < inner {
            out[row * inner + column] = square[(y + i * ROWS) * comptime!(SIDE + 1) + x];
        }
    }
}
