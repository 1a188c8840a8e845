//! Batch norm with rectifier, and its gradients, on channels-last maps `[positions, maps]`.
//!
//! Each direction takes two passes: one for per-channel sums over ranges of positions, and one for the result, which
//! also adds up the sums of the ranges.

use cubecl::prelude::*;

/// Units per cube along the channels.
pub const ACROSS: usize = 32;
/// Units per cube along the positions.
pub const ALONG: usize = 8;

/// Reduces two values per channel over the units along the positions; unit 0 has the sums.
#[cube]
fn add_up(mut first: f32, mut second: f32) -> (f32, f32) {
    let mut sums = Shared::<[f32]>::new_slice(comptime!(2 * ALONG * ACROSS));
    let (x, y) = (UNIT_POS_X as usize, UNIT_POS_Y as usize);
    sums[2 * (y * ACROSS + x)] = first;
    sums[2 * (y * ACROSS + x) + 1] = second;
    sync_cube();
    first = 0.0;
    second = 0.0;
    if y == 0 {
        #[unroll]
        for i in 0..ALONG {
            first += sums[2 * (i * ACROSS + x)];
            second += sums[2 * (i * ACROSS + x) + 1];
        }
    }
    (first, second)
}

/// Per-channel sums and sums of squares over a range of positions, both relative to the first value of the channel to
/// avoid cancellation: `[ranges, 2, maps]`.
#[cube(launch_unchecked)]
pub fn moments(x: &[f32], sums: &mut [f32], positions: u32, stretch: u32, maps: u32) {
    let maps = maps as usize;
    let map = CUBE_POS_X as usize * ACROSS + UNIT_POS_X as usize;
    let from = CUBE_POS_Y as usize * stretch as usize;
    let mut to = from + stretch as usize;
    if to > positions as usize {
        to = positions as usize;
    }
    let mut sum = 0.0f32;
    let mut squares = 0.0f32;
    if map < maps {
        let pivot = x[map];
        let mut at = from + UNIT_POS_Y as usize;
        while at < to {
            let value = x[at * maps + map] - pivot;
            sum += value;
            squares += value * value;
            at += ALONG;
        }
    }
    let (sum, squares) = add_up(sum, squares);
    if UNIT_POS_Y == 0 && map < maps {
        let stretch = CUBE_POS_Y as usize;
        sums[2 * stretch * maps + map] = sum;
        sums[(2 * stretch + 1) * maps + map] = squares;
    }
}

/// Reduces the two sums of a channel over all ranges.
#[cube]
fn over_stretches(sums: &[f32], map: usize, stretches: u32, maps: usize) -> (f32, f32) {
    let mut first = 0.0f32;
    let mut second = 0.0f32;
    for i in 0..stretches as usize {
        first += sums[2 * i * maps + map];
        second += sums[(2 * i + 1) * maps + map];
    }
    (first, second)
}

/// Batch norm with the sums of [`moments`], then the rectifier; also writes mean and biased variance. Each cube
/// writes a range of positions of `ACROSS` channels.
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub fn normalize(
    x: &[f32],
    sums: &[f32],
    gain: &[f32],
    shift: &[f32],
    out: &mut [f32],
    mean: &mut [f32],
    variance: &mut [f32],
    positions: u32,
    stretch: u32,
    stretches: u32,
    epsilon: f32,
    slope: f32,
    maps: u32,
) {
    let maps = maps as usize;
    let map = CUBE_POS_X as usize * ACROSS + UNIT_POS_X as usize;
    let mut factors = Shared::<[f32]>::new_slice(comptime!(2 * ACROSS));
    let column = UNIT_POS_X as usize;
    if UNIT_POS_Y == 0 && map < maps {
        let (sum, squares) = over_stretches(sums, map, stretches, maps);
        let count = f32::cast_from(positions);
        let apart = sum / count;
        let own_mean = apart + x[map];
        let own_variance = max(squares / count - apart * apart, 0.0);
        let scale = gain[map] / (own_variance + epsilon).sqrt();
        factors[2 * column] = scale;
        factors[2 * column + 1] = shift[map] - own_mean * scale;
        if CUBE_POS_Y == 0 {
            mean[map] = own_mean;
            variance[map] = own_variance;
        }
    }
    sync_cube();
    if map < maps {
        let (scale, moved) = (factors[2 * column], factors[2 * column + 1]);
        let from = CUBE_POS_Y as usize * stretch as usize;
        let mut to = from + stretch as usize;
        if to > positions as usize {
            to = positions as usize;
        }
        let mut at = from + UNIT_POS_Y as usize;
        while at < to {
            let value = x[at * maps + map] * scale + moved;
            out[at * maps + map] = select(value > 0.0, value, value * slope);
            at += ALONG;
        }
    }
}

/// Sums over a range of positions of the gradient through the rectifier, and of its product with `x - mean`.
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub fn products(
    x: &[f32],
    y: &[f32],
    gradient: &[f32],
    mean: &[f32],
    sums: &mut [f32],
    positions: u32,
    stretch: u32,
    slope: f32,
    maps: u32,
) {
    let maps = maps as usize;
    let map = CUBE_POS_X as usize * ACROSS + UNIT_POS_X as usize;
    let from = CUBE_POS_Y as usize * stretch as usize;
    let mut to = from + stretch as usize;
    if to > positions as usize {
        to = positions as usize;
    }
    let mut plain = 0.0f32;
    let mut centered = 0.0f32;
    if map < maps {
        let middle = mean[map];
        let mut at = from + UNIT_POS_Y as usize;
        while at < to {
            let i = at * maps + map;
            let back = select(y[i] > 0.0, gradient[i], gradient[i] * slope);
            plain += back;
            centered += back * (x[i] - middle);
            at += ALONG;
        }
    }
    let (plain, centered) = add_up(plain, centered);
    if UNIT_POS_Y == 0 && map < maps {
        let stretch = CUBE_POS_Y as usize;
        sums[2 * stretch * maps + map] = plain;
        sums[(2 * stretch + 1) * maps + map] = centered;
    }
}

/// Gradients of `x`, gain and shift from the sums of [`products`].
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub fn back(
    x: &[f32],
    y: &[f32],
    gradient: &[f32],
    gain: &[f32],
    mean: &[f32],
    variance: &[f32],
    sums: &[f32],
    out: &mut [f32],
    gain_gradient: &mut [f32],
    shift_gradient: &mut [f32],
    positions: u32,
    stretch: u32,
    stretches: u32,
    epsilon: f32,
    slope: f32,
    maps: u32,
) {
    let maps = maps as usize;
    let map = CUBE_POS_X as usize * ACROSS + UNIT_POS_X as usize;
    let mut factors = Shared::<[f32]>::new_slice(comptime!(3 * ACROSS));
    let column = UNIT_POS_X as usize;
    if UNIT_POS_Y == 0 && map < maps {
        let (plain, centered) = over_stretches(sums, map, stretches, maps);
        let count = f32::cast_from(positions);
        let inverse = 1.0 / (variance[map] + epsilon).sqrt();
        // gain * inverse * (g - mean(g) - normalized * mean(g * normalized)), written as g * by + x * along + plus.
        let by = gain[map] * inverse;
        let along = 0.0 - by * inverse * inverse * centered / count;
        factors[3 * column] = by;
        factors[3 * column + 1] = along;
        factors[3 * column + 2] = 0.0 - by * plain / count - along * mean[map];
        if CUBE_POS_Y == 0 {
            gain_gradient[map] = centered * inverse;
            shift_gradient[map] = plain;
        }
    }
    sync_cube();
    if map < maps {
        let (by, along, plus) = (factors[3 * column], factors[3 * column + 1], factors[3 * column + 2]);
        let from = CUBE_POS_Y as usize * stretch as usize;
        let mut to = from + stretch as usize;
        if to > positions as usize {
            to = positions as usize;
        }
        let mut at = from + UNIT_POS_Y as usize;
        while at < to {
            let i = at * maps + map;
            let back = select(y[i] > 0.0, gradient[i], gradient[i] * slope);
            out[i] = back * by + x[i] * along + plus;
            at += ALONG;
        }
    }
}
