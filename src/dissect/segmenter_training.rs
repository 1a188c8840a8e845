//! Training of the segmenter behind the window finder, on rendered rooms with known window masks.
//!
//! The rooms are corrupted to resemble generated pictures, whose windows fade and whose surfaces are noisy.

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::window_finder::SIZE;
use crate::data::synth::Scene;
use crate::device::{ComputeError, read_tensor};
use crate::image::{Area, Picture};
use crate::model::{FitSchedule, Segmenter, fit};

/// The batch size.
const BATCH: u64 = 32;
/// The initial learning rate, with cosine decay.
const LEARNING_RATE: f64 = 3e-3;
/// The final learning rate, as a share of the initial one.
const RATE_FLOOR: f64 = 0.01;

/// Room `number` of `seed` and the area of its window.
pub(super) fn render_room(seed: u64, number: u64) -> (Picture, Area) {
    let sample = Scene::Rooms.draw(seed, number, SIZE);
    let area = sample.mask.as_ref().and_then(Area::of_mask);
    (sample.picture, area.unwrap_or_else(|| Area::none(SIZE)))
}

/// Trains a segmenter for `steps` steps on rooms of `seed`. `report` receives the number of steps taken and the loss.
pub(super) fn train(
    steps: u64,
    seed: u64,
    device: &Device,
    mut report: impl FnMut(u64, f32),
) -> Result<Segmenter, ComputeError> {
    let mut segmenter = Segmenter::new(seed, device);
    let loss = |step: usize, network: &mut Segmenter| {
        let first = step as u64 * BATCH;
        let rooms: Vec<_> = (first..first + BATCH)
            .into_par_iter()
            .map(|number| {
                let (picture, area) = render_room(seed, number);
                let mut values = vec![0.0; 3 * SIZE * SIZE];
                picture.write_chw(&mut values);
                corrupt(&mut values, &area, seed, number);
                (values, area)
            })
            .collect();
        let pictures: Vec<f32> = rooms.iter().flat_map(|(values, _)| values).copied().collect();
        let truth: Vec<f32> =
            rooms.iter().flat_map(|(_, area)| area.pixels()).map(|&inside| f32::from(u8::from(inside))).collect();
        let shape = |channels| [BATCH as usize, channels, SIZE, SIZE];
        let pictures = Tensor::<4>::from_data(TensorData::new(pictures, shape(3)), device);
        let truth = Tensor::<4>::from_data(TensorData::new(truth, shape(1)), device).autodiff();
        segmentation_loss(network.train(pictures.autodiff()), truth)
    };
    let schedule = FitSchedule { steps: steps as usize, rate: LEARNING_RATE, floor: RATE_FLOOR };
    fit(&mut segmenter, schedule, loss, |step, _, loss| {
        report(step as u64, read_tensor(loss)?[0]);
        Ok::<_, ComputeError>(())
    })?;
    Ok(segmenter)
}

/// Pixel-wise cross entropy plus Dice loss. Dice compensates for the small area of windows.
fn segmentation_loss(logits: Tensor<4>, truth: Tensor<4>) -> Tensor<1> {
    let on = log_sigmoid(logits.clone()) * truth.clone();
    let off = log_sigmoid(logits.clone().neg()) * (-truth.clone() + 1.0);
    let probability = sigmoid(logits);
    let intersection = (probability.clone() * truth.clone()).sum() * 2.0 + 1.0;
    let total = probability.sum() + truth.sum() + 1.0;
    -(on + off).mean() - intersection / total + 1.0
}

/// Corrupts values `[3, SIZE, SIZE]` in [-1, 1] at random with blur, tint, noise, and the periodic artifacts of a
/// generator without some filters. Windows may fade, and patches of window color may appear on the wall, so that the
/// segmenter learns shapes rather than colors.
fn corrupt(values: &mut [f32], window: &Area, seed: u64, number: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    if rng.random_bool(0.5) {
        let color = [(); 3].map(|()| rng.random_range(-0.6..1.0));
        let strength = rng.random_range(0.0..0.6);
        fade(values, window.pixels(), color, strength);
    }
    if rng.random_bool(0.4) {
        let (width, height) = (rng.random_range(4..20), rng.random_range(4..20));
        let (x, y) = (rng.random_range(0..SIZE as u32 - width), rng.random_range(0..SIZE as u32 / 2));
        let patch = Area::of_boxes(SIZE, &[[x, y, x + width, y + height]]);
        let wall: Vec<bool> =
            patch.pixels().iter().zip(window.pixels()).map(|(patch, window)| *patch && !window).collect();
        let color = [rng.random_range(-0.5..1.0), rng.random_range(-0.2..1.0), rng.random_range(0.0..1.0)];
        let strength = rng.random_range(0.2..0.9);
        fade(values, &wall, color, strength);
    }
    let gray = if rng.random_bool(0.4) { rng.random_range(0.0..1.0) } else { 0.0 };
    for pixel in 0..SIZE * SIZE {
        let mean = (0..3).map(|c| values[c * SIZE * SIZE + pixel]).sum::<f32>() / 3.0;
        for c in 0..3 {
            let value = &mut values[c * SIZE * SIZE + pixel];
            *value += gray * (mean - *value);
        }
    }
    let passes = rng.random_range(0..3);
    let share = rng.random_range(0.0..0.3);
    let grain = rng.random_range(0.0..0.08);
    let period = [2, 4, 8][rng.random_range(0..3)];
    let (across, down) = (rng.random_bool(0.5), rng.random_bool(0.5));
    let patterned = rng.random_range(-0.12f32..0.12).clamp(-0.08, 0.08);
    for plane in values.chunks_exact_mut(SIZE * SIZE) {
        for _ in 0..passes {
            blur(plane, share);
        }
        let (gain, offset) = (rng.random_range(0.7..1.15), rng.random_range(-0.15..0.15));
        let pattern = patterned * rng.random_range(0.0..1.0);
        for (i, value) in plane.iter_mut().enumerate() {
            let noise: f32 = rng.sample(StandardNormal);
            let on = (across && (i % SIZE).is_multiple_of(period)) || (down && (i / SIZE).is_multiple_of(period));
            let dotted = if on { pattern } else { 0.0 };
            *value = (*value * gain + offset + grain * noise + dotted).clamp(-1.0, 1.0);
        }
    }
}

/// Blends pixels of a mask towards a color.
fn fade(values: &mut [f32], pixels: &[bool], color: [f32; 3], strength: f32) {
    for (plane, color) in values.chunks_exact_mut(SIZE * SIZE).zip(color) {
        for (value, _) in plane.iter_mut().zip(pixels).filter(|(_, inside)| **inside) {
            *value += strength * (color - *value);
        }
    }
}

/// Blurs horizontally and vertically: each pixel gives `share` of its value to each neighbor.
fn blur(plane: &mut [f32], share: f32) {
    for (along, across) in [(1, SIZE), (SIZE, 1)] {
        let old = plane.to_vec();
        for line in 0..SIZE {
            for i in 0..SIZE {
                let at = |i: usize| old[line * across + i * along];
                let beside = at(i.saturating_sub(1)) + at((i + 1).min(SIZE - 1));
                plane[line * across + i * along] = at(i) * (1.0 - 2.0 * share) + share * beside;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_lowers_the_loss_and_is_reproducible() {
        let run = || {
            let mut losses = Vec::new();
            train(6, 9, &Device::flex(), |_, loss| losses.push(loss)).unwrap();
            losses
        };
        let losses = run();
        assert!(losses[5] < 0.95 * losses[0], "{losses:?}");
        assert_eq!(losses, run());
    }

    #[test]
    fn corrupted_rooms_remain_recognizable() {
        let (picture, window) = render_room(1, 4);
        let mut clean = vec![0.0; 3 * SIZE * SIZE];
        picture.write_chw(&mut clean);
        let mut corrupted = clean.clone();
        corrupt(&mut corrupted, &window, 1, 4);
        let difference = clean.iter().zip(&corrupted).map(|(a, b)| (a - b).abs()).sum::<f32>() / clean.len() as f32;
        assert!(difference > 0.0 && difference < 0.6, "{difference}");
        assert!(corrupted.iter().all(|v| (-1.0..=1.0).contains(v)));
    }
}
