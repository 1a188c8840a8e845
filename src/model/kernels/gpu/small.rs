//! Small operations that would otherwise take many launches: Adam, the loss, and a convolution to very few channels.

use cubecl::prelude::*;

use super::super::AdamStep;

/// Units per cube.
pub const UNITS: usize = 256;
/// Maximum cubes of [`adam`], each of which has a partial sum of squares.
pub const CUBES: usize = 256;

/// Sums a value over the units of a cube; every unit gets the sum.
#[cube]
fn cube_sum(own: f32) -> f32 {
    let mut sums = Shared::<[f32]>::new_slice(UNITS);
    let unit = UNIT_POS as usize;
    sums[unit] = own;
    sync_cube();
    #[unroll]
    for i in 0..comptime!(UNITS.ilog2()) {
        let half = comptime!(UNITS >> (i + 1));
        if unit < half {
            let sum = sums[unit] + sums[unit + half];
            sums[unit] = sum;
        }
        sync_cube();
    }
    let sum = sums[0];
    sync_cube();
    sum
}

/// Scalar arguments of an update.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub struct Update {
    beta1: f32,
    beta2: f32,
    rate: f32,
    floor: f32,
    decay: f32,
    unscale: f32,
}

impl From<AdamStep> for UpdateLaunch {
    fn from(step: AdamStep) -> Self {
        let AdamStep { beta1, beta2, rate, floor, decay, unscale } = step;
        Self::new(beta1 as f32, beta2 as f32, rate as f32, floor as f32, decay as f32, unscale as f32)
    }
}

/// One Adam update. Each cube adds the squares of its gradients to its partial sum.
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub fn adam(
    value: &[f32],
    gradient: &[f32],
    first: &[f32],
    second: &[f32],
    squares: &[f32],
    new_value: &mut [f32],
    new_first: &mut [f32],
    new_second: &mut [f32],
    new_squares: &mut [f32],
    length: u32,
    update: Update,
) {
    let cube = CUBE_POS_X as usize;
    let stride = CUBE_COUNT_X as usize * UNITS;
    let mut at = cube * UNITS + UNIT_POS as usize;
    let mut sum = 0.0f32;
    while at < length as usize {
        let plain = gradient[at] * update.unscale;
        sum += plain * plain;
        let old = value[at];
        let back = plain + update.decay * old;
        let mean = update.beta1 * first[at] + (1.0 - update.beta1) * back;
        let square = update.beta2 * second[at] + (1.0 - update.beta2) * back * back;
        new_first[at] = mean;
        new_second[at] = square;
        new_value[at] = old - update.rate * mean / (square.sqrt() + update.floor);
        at += stride;
    }
    let sum = cube_sum(sum);
    if UNIT_POS == 0 {
        new_squares[cube] = squares[cube] + sum;
    }
    // Cubes beyond the end of this parameter copy their partial sums.
    if cube == 0 {
        let mut other = CUBE_COUNT_X as usize + UNIT_POS as usize;
        while other < CUBES {
            new_squares[other] = squares[other];
            other += UNITS;
        }
    }
}

/// Mean binary cross-entropy `-log(sigmoid(l))`, or `-log(sigmoid(-l))` if not `real`, and the mean of `sigmoid(l)`.
#[cube(launch_unchecked)]
pub fn logistic(logits: &[f32], loss: &mut [f32], probability: &mut [f32], length: u32, #[comptime] real: bool) {
    let mut losses = 0.0f32;
    let mut probabilities = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < length as usize {
        let logit = logits[at];
        let toward = if comptime!(real) { logit } else { 0.0 - logit };
        // log(1 + exp(-x)) without overflow.
        let size = max(toward, 0.0 - toward);
        losses += (0.0 - size).exp().log1p() + max(0.0 - toward, 0.0);
        probabilities += 1.0 / (1.0 + (0.0 - logit).exp());
        at += UNITS;
    }
    let count = f32::cast_from(length);
    let losses = cube_sum(losses);
    let probabilities = cube_sum(probabilities);
    if UNIT_POS == 0 {
        loss[0] = losses / count;
        probability[0] = probabilities / count;
    }
}

/// Strided convolution to very few channels: one cube computes each output, where tiles would be mostly empty.
#[cube(launch_unchecked)]
#[expect(clippy::too_many_arguments, reason = "a kernel takes its buffers one by one")]
pub fn few<E: Float>(
    map: &[f32],
    weights: &[E],
    out: &mut [f32],
    positions: u32,
    height: u32,
    width: u32,
    before: u32,
    stride: u32,
    #[comptime] small: usize,
    #[comptime] large: usize,
    #[comptime] kernel: usize,
) {
    // Rows and columns of the large map.
    let (height, width, before, stride) = (height as usize, width as usize, before as usize, stride as usize);
    let position = CUBE_POS_Y as usize * CUBE_COUNT_X as usize + CUBE_POS_X as usize;
    let column = CUBE_POS_Z as usize;
    let (rows, columns) = (height / stride, width / stride);
    let picture = position / (rows * columns);
    let within = position - picture * rows * columns;
    let (top, left) = (within / columns * stride, within % columns * stride);
    let mut sum = 0.0f32;
    let mut at = UNIT_POS as usize;
    while at < comptime!(kernel * kernel * large) {
        let tap = at / large;
        let (y, x) = (top + tap / kernel, left + tap % kernel);
        let inside = y >= before && y < before + height && x >= before && x < before + width;
        if inside && position < positions as usize {
            let seen = ((picture * height + y - before) * width + x - before) * large + at - tap * large;
            sum += map[seen] * f32::cast_from(weights[at * small + column]);
        }
        at += UNITS;
    }
    let sum = cube_sum(sum);
    if UNIT_POS == 0 && position < positions as usize {
        out[position * small + column] = sum;
    }
}
