//! Batch norm and (leaky) ReLU on the CPU, channels last, each direction in one pass over the maps beyond the sums.
//!
//! Sums are made in chunks of fixed size and joined in order, so they do not depend on the number of threads.

use pulp::Arch;
use rayon::prelude::*;

/// Positions of one chunk.
const ROWS: usize = 512;

/// Mean and biased variance of every map of `x` `[positions, maps]`.
pub fn moments(x: &[f32], maps: usize) -> (Vec<f32>, Vec<f32>) {
    let parts: Vec<(usize, Vec<f32>, Vec<f32>)> = x
        .par_chunks(ROWS * maps)
        .map(|chunk| {
            let count = chunk.len() / maps;
            let (mut mean, mut spread) = (vec![0.0f32; maps], vec![0.0f32; maps]);
            Arch::new().dispatch(|| {
                for row in chunk.chunks_exact(maps) {
                    for (mean, x) in mean.iter_mut().zip(row) {
                        *mean += x;
                    }
                }
                for mean in &mut mean {
                    *mean /= count as f32;
                }
                for row in chunk.chunks_exact(maps) {
                    for ((spread, x), mean) in spread.iter_mut().zip(row).zip(&mean) {
                        *spread += (x - mean) * (x - mean);
                    }
                }
            });
            (count, mean, spread)
        })
        .collect();
    // Chan's rule joins the chunks without cancellation.
    let (mut total, mut mean, mut spread) = (0.0f64, vec![0.0f64; maps], vec![0.0f64; maps]);
    for (count, part_mean, part_spread) in &parts {
        let count = *count as f64;
        for i in 0..maps {
            let step = f64::from(part_mean[i]) - mean[i];
            mean[i] += step * count / (total + count);
            spread[i] += f64::from(part_spread[i]) + step * step * total * count / (total + count);
        }
        total += count;
    }
    (mean.iter().map(|&m| m as f32).collect(), spread.iter().map(|&s| (s / total) as f32).collect())
}

/// `scale * x + shift`, then times `slope` where negative; `x` is `[positions, maps]`.
pub fn rectify(x: &[f32], scale: &[f32], shift: &[f32], slope: f32) -> Vec<f32> {
    let maps = scale.len();
    let mut y = vec![0.0f32; x.len()];
    y.par_chunks_mut(ROWS * maps).zip(x.par_chunks(ROWS * maps)).for_each(|(y, x)| {
        Arch::new().dispatch(|| {
            for (y, x) in y.chunks_exact_mut(maps).zip(x.chunks_exact(maps)) {
                for (((y, x), scale), shift) in y.iter_mut().zip(x).zip(scale).zip(shift) {
                    let value = x * scale + shift;
                    *y = if value > 0.0 { value } else { value * slope };
                }
            }
        });
    });
    y
}

/// What goes back through the rectifier: `gradient` where `y` is positive, times `slope` elsewhere. Sums over positions of
/// that, and of that times `x - centre`, for every map.
pub fn sums(x: &[f32], y: &[f32], gradient: &[f32], centre: &[f32], slope: f32) -> (Vec<f32>, Vec<f32>) {
    let maps = centre.len();
    let size = ROWS * maps;
    let (plain, centred): (Vec<_>, Vec<_>) = x
        .par_chunks(size)
        .zip(y.par_chunks(size).zip(gradient.par_chunks(size)))
        .map(|(x, (y, gradient))| {
            let (mut plain, mut centred) = (vec![0.0f32; maps], vec![0.0f32; maps]);
            Arch::new().dispatch(|| {
                let rows = x.chunks_exact(maps).zip(y.chunks_exact(maps)).zip(gradient.chunks_exact(maps));
                for ((x, y), gradient) in rows {
                    let sums = plain.iter_mut().zip(&mut centred).zip(centre);
                    for ((((plain, centred), centre), x), (y, g)) in sums.zip(x).zip(y.iter().zip(gradient)) {
                        let g = if *y > 0.0 { *g } else { g * slope };
                        *plain += g;
                        *centred += g * (x - centre);
                    }
                }
            });
            (plain, centred)
        })
        .unzip();
    let total = |parts: &[Vec<f32>]| {
        let mut total = vec![0.0f64; maps];
        for part in parts {
            for (total, value) in total.iter_mut().zip(part) {
                *total += f64::from(*value);
            }
        }
        total.iter().map(|&t| t as f32).collect()
    };
    (total(&plain), total(&centred))
}

/// Gradient of `x`: what goes back through the rectifier, times `by`, plus `along * x + plus`, map by map.
pub fn back(x: &[f32], y: &[f32], gradient: &[f32], slope: f32, by: &[f32], along: &[f32], plus: &[f32]) -> Vec<f32> {
    let maps = by.len();
    let size = ROWS * maps;
    let mut out = vec![0.0f32; x.len()];
    out.par_chunks_mut(size).zip(x.par_chunks(size).zip(y.par_chunks(size).zip(gradient.par_chunks(size)))).for_each(
        |(out, (x, (y, gradient)))| {
            Arch::new().dispatch(|| {
                let rows = x.chunks_exact(maps).zip(y.chunks_exact(maps)).zip(gradient.chunks_exact(maps));
                for (out, ((x, y), gradient)) in out.chunks_exact_mut(maps).zip(rows) {
                    let factors = by.iter().zip(along).zip(plus);
                    for ((out, ((by, along), plus)), (x, (y, g))) in
                        out.iter_mut().zip(factors).zip(x.iter().zip(y.iter().zip(gradient)))
                    {
                        let g = if *y > 0.0 { *g } else { g * slope };
                        *out = g * by + x * along + plus;
                    }
                }
            });
        },
    );
    out
}
