//! Adam on the CPU: one pass over a parameter, its gradient and its moments.

use pulp::Arch;
use rayon::prelude::*;

use super::AdamStep;
use super::memory::zeros;

/// Values per parallel task.
const CHUNK: usize = 1 << 14;

/// Returns the updated values and updates both moments in place. All slices have the same length.
pub fn adam(value: &[f32], gradient: &[f32], [first, second]: [&mut [f32]; 2], step: AdamStep) -> Vec<f32> {
    let mut new = zeros(value.len());
    let moments = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
    let old = value.par_chunks(CHUNK).zip(gradient.par_chunks(CHUNK));
    let [keep1, keep2, rate, floor, decay] =
        [step.beta1, step.beta2, step.rate, step.floor, step.decay].map(|number| number as f32);
    new.par_chunks_mut(CHUNK).zip(old.zip(moments)).for_each(|(new, ((value, gradient), (first, second)))| {
        Arch::new().dispatch(|| {
            let old = value.iter().zip(gradient).zip(first.iter_mut().zip(second));
            for (new, ((value, gradient), (first, second))) in new.iter_mut().zip(old) {
                let gradient = gradient + decay * value;
                *first = keep1 * *first + (1.0 - keep1) * gradient;
                *second = keep2 * *second + (1.0 - keep2) * gradient * gradient;
                *new = value - rate * *first / (second.sqrt() + floor);
            }
        });
    });
    new
}

/// Independent partial sums, so that additions do not wait for each other.
const SIDES: usize = 64;

/// Sum of squares. Chunks have a fixed length and are combined in order, so the result does not depend on the number
/// of threads.
pub fn squares(x: &[f32]) -> f32 {
    let of = |chunk: &[f32]| {
        Arch::new().dispatch(|| {
            let mut sums = [0.0f32; SIDES];
            let (whole, rest) = chunk.as_chunks::<SIDES>();
            for values in whole {
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value * value;
                }
            }
            for (sum, value) in sums.iter_mut().zip(rest) {
                *sum += value * value;
            }
            sums.iter().map(|&sum| f64::from(sum)).sum::<f64>()
        })
    };
    let parts: Vec<f64> = x.par_chunks(CHUNK).map(of).collect();
    parts.iter().sum::<f64>() as f32
}
