//! Adam on the CPU: one pass over a parameter, its gradient and its moments.

use pulp::Arch;
use rayon::prelude::*;

use super::AdamStep;

/// Values of one task.
const CHUNK: usize = 1 << 14;

/// The new value and moments, all of one length.
pub fn adam(
    value: &[f32],
    gradient: &[f32],
    first: &[f32],
    second: &[f32],
    step: AdamStep,
) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let empty = || vec![0.0f32; value.len()];
    let (mut new_value, mut new_first, mut new_second) = (empty(), empty(), empty());
    let new =
        new_value.par_chunks_mut(CHUNK).zip(new_first.par_chunks_mut(CHUNK).zip(new_second.par_chunks_mut(CHUNK)));
    let old = value.par_chunks(CHUNK).zip(gradient.par_chunks(CHUNK));
    let moments = first.par_chunks(CHUNK).zip(second.par_chunks(CHUNK));
    let [keep1, keep2, rate, floor, decay] =
        [step.beta1, step.beta2, step.rate, step.floor, step.decay].map(|number| number as f32);
    new.zip(old.zip(moments)).for_each(
        |((new_value, (new_first, new_second)), ((value, gradient), (first, second)))| {
            Arch::new().dispatch(|| {
                let new = new_value.iter_mut().zip(new_first.iter_mut().zip(new_second.iter_mut()));
                let old = value.iter().zip(gradient).zip(first.iter().zip(second));
                for ((new_value, (new_first, new_second)), ((value, gradient), (first, second))) in new.zip(old) {
                    let gradient = gradient + decay * value;
                    let first = keep1 * first + (1.0 - keep1) * gradient;
                    let second = keep2 * second + (1.0 - keep2) * gradient * gradient;
                    *new_value = value - rate * first / (second.sqrt() + floor);
                    *new_first = first;
                    *new_second = second;
                }
            });
        },
    );
    (new_value, new_first, new_second)
}
