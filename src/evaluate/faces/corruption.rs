//! Random corruption of rendered faces: a classifier trained on clean images fails on generated ones, which are imperfect.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// The largest shift along an axis, in pixels of 64.
const MAX_SHIFT: f32 = 2.0;

/// Shifts, blurs, tints and blotches values `[channels, size, size]` in [-1, 1], and adds noise. `seed` and `number` decide how.
pub(super) fn corrupt(values: &mut [f32], size: usize, seed: u64, number: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    let reach = (MAX_SHIFT * size as f32 / 64.0).round() as i32;
    let (right, down) = (rng.random_range(-reach..=reach), rng.random_range(-reach..=reach));
    let blurs = rng.random_range(0..3);
    let blur_weight = rng.random_range(0.05..0.33);
    let noise = rng.random_range(0.0..0.1);
    let blotch = rng.random_range(0.0..0.15);
    let cell = size / rng.random_range(4..=12);
    for plane in values.chunks_exact_mut(size * size) {
        shift(plane, size, right, down);
        for _ in 0..blurs {
            blur(plane, size, blur_weight);
        }
        let (gain, offset) = (rng.random_range(0.88..1.12), rng.random_range(-0.08..0.08));
        let blotches = coarse_noise(&mut rng, size, cell.max(1));
        for (value, coarse) in plane.iter_mut().zip(blotches) {
            let fine: f32 = rng.sample(StandardNormal);
            *value = (*value * gain + offset + blotch * coarse + noise * fine).clamp(-1.0, 1.0);
        }
    }
}

/// Shifts a plane, extending its edges.
fn shift(plane: &mut [f32], size: usize, right: i32, down: i32) {
    let old = plane.to_vec();
    let from = |at: usize, by: i32| (at as i32 - by).clamp(0, size as i32 - 1) as usize;
    for y in 0..size {
        for x in 0..size {
            plane[y * size + x] = old[from(y, down) * size + from(x, right)];
        }
    }
}

/// A three-tap blur along rows, then columns, with `weight` on each neighbor.
fn blur(plane: &mut [f32], size: usize, weight: f32) {
    for (along, across) in [(1, size), (size, 1)] {
        let old = plane.to_vec();
        for line in 0..size {
            for i in 0..size {
                let at = |i: usize| old[line * across + i * along];
                let (before, after) = (at(i.saturating_sub(1)), at((i + 1).min(size - 1)));
                plane[line * across + i * along] = at(i) * (1.0 - 2.0 * weight) + weight * (before + after);
            }
        }
    }
}

/// Normal noise on a grid of `cell` pixels, bilinearly interpolated.
fn coarse_noise(rng: &mut ChaCha8Rng, size: usize, cell: usize) -> Vec<f32> {
    let knots = size / cell + 2;
    let knot: Vec<f32> = (0..knots * knots).map(|_| rng.sample(StandardNormal)).collect();
    let mut plane = Vec::with_capacity(size * size);
    for y in 0..size {
        for x in 0..size {
            let (kx, ky) = (x / cell, y / cell);
            let (tx, ty) = ((x % cell) as f32 / cell as f32, (y % cell) as f32 / cell as f32);
            let at = |dx: usize, dy: usize| knot[(ky + dy) * knots + kx + dx];
            let (top, bottom) = (at(0, 0) + (at(1, 0) - at(0, 0)) * tx, at(0, 1) + (at(1, 1) - at(0, 1)) * tx);
            plane.push(top + (bottom - top) * ty);
        }
    }
    plane
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blur_keeps_the_mean_and_smooths() {
        let mut plane: Vec<f32> = (0..64).map(|i| if (i % 8 + i / 8) % 2 == 0 { 1.0 } else { -1.0 }).collect();
        blur(&mut plane, 8, 0.25);
        assert!(plane.iter().sum::<f32>().abs() < 1e-4);
        assert!(plane[9..15].iter().all(|v| v.abs() < 0.6));
    }

    #[test]
    fn shift_moves_right_and_down() {
        let mut plane = vec![0.0; 16];
        plane[5] = 1.0;
        shift(&mut plane, 4, 1, 2);
        assert_eq!(plane.iter().position(|&v| v == 1.0), Some(14));
    }

    #[test]
    fn corruption_is_small_and_reproducible() {
        let clean: Vec<f32> = (0..3 * 256).map(|i| ((i / 16 % 16) as f32 / 8.0 - 1.0) * 0.8).collect();
        let run = |number| {
            let mut values = clean.clone();
            corrupt(&mut values, 16, 1, number);
            values
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
        for number in 0..50 {
            let off = run(number).iter().zip(&clean).map(|(a, b)| (a - b).abs()).sum::<f32>() / 768.0;
            assert!(off > 0.0 && off < 0.35, "{off}");
        }
    }
}
