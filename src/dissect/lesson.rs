//! What the window finder learns from: rendered rooms with their masks, made as imperfect as drawn ones.

use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor, TensorData};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;

use super::segment::SIZE;
use crate::data::synth::Scene;
use crate::image::{Area, Picture};
use crate::latent::{self, DrawError};
use crate::model::{FitSchedule, Segmenter, fit};

/// Rooms of a step.
const BATCH: u64 = 32;
/// Learning rate at the start; it decays as a cosine, to this share of it at the least.
const RATE: f64 = 3e-3;
const FLOOR: f64 = 0.01;

/// A rendered room and where its window is.
pub(super) fn room(seed: u64, number: u64) -> (Picture, Area) {
    let sample = Scene::Rooms.draw(seed, number, SIZE);
    let area = sample.mask.as_ref().and_then(Area::of_mask);
    (sample.picture, area.unwrap_or_else(|| Area::none(SIZE)))
}

/// Trains on endless rooms of `seed`.
pub(super) fn train(
    steps: u64,
    seed: u64,
    device: &Device,
    mut told: impl FnMut(u64, f32),
) -> Result<Segmenter, DrawError> {
    let mut segmenter = Segmenter::new(seed, device);
    let loss = |step: usize, network: &mut Segmenter| {
        let first = step as u64 * BATCH;
        let rooms: Vec<_> = (first..first + BATCH)
            .into_par_iter()
            .map(|number| {
                let (picture, area) = room(seed, number);
                let mut values = vec![0.0; 3 * SIZE * SIZE];
                picture.write_chw(&mut values);
                disturb(&mut values, &area, seed, number);
                (values, area)
            })
            .collect();
        let pictures: Vec<f32> = rooms.iter().flat_map(|(values, _)| values).copied().collect();
        let truth: Vec<f32> =
            rooms.iter().flat_map(|(_, area)| area.pixels()).map(|&inside| f32::from(u8::from(inside))).collect();
        let shape = |channels| [BATCH as usize, channels, SIZE, SIZE];
        let pictures = Tensor::<4>::from_data(TensorData::new(pictures, shape(3)), device);
        let truth = Tensor::<4>::from_data(TensorData::new(truth, shape(1)), device).autodiff();
        cost(network.train(pictures.autodiff()), truth)
    };
    let schedule = FitSchedule { steps: steps as usize, rate: RATE, floor: FLOOR };
    fit(&mut segmenter, schedule, loss, |step, _, loss| {
        told(step as u64, latent::read(loss)?[0]);
        Ok::<_, DrawError>(())
    })?;
    Ok(segmenter)
}

/// Cross entropy of every pixel, and what the overlap (Dice) lacks: windows are a small part of a room.
fn cost(logits: Tensor<4>, truth: Tensor<4>) -> Tensor<1> {
    let on = log_sigmoid(logits.clone()) * truth.clone();
    let off = log_sigmoid(logits.clone().neg()) * (-truth.clone() + 1.0);
    let chance = sigmoid(logits);
    let both = (chance.clone() * truth.clone()).sum() * 2.0 + 1.0;
    let each = chance.sum() + truth.sum() + 1.0;
    -(on + off).mean() - both / each + 1.0
}

/// Makes values `[3, SIZE, SIZE]` in [-1, 1] imperfect, as chance `number` of `seed` wants: blurred, tinted, grained, with
/// the patterns of a generator that lacks filters. A window whose colours fade is still one, and a patch of a window's
/// colour on the wall is none, so that what is found hangs on shapes.
fn disturb(values: &mut [f32], window: &Area, seed: u64, number: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    if rng.random_bool(0.5) {
        let colour = [(); 3].map(|()| rng.random_range(-0.6..1.0));
        let strength = rng.random_range(0.0..0.6);
        fade(values, window.pixels(), colour, strength);
    }
    if rng.random_bool(0.4) {
        let (width, height) = (rng.random_range(4..20), rng.random_range(4..20));
        let (x, y) = (rng.random_range(0..SIZE as u32 - width), rng.random_range(0..SIZE as u32 / 2));
        let patch = Area::of_boxes(SIZE, &[[x, y, x + width, y + height]]);
        let wall: Vec<bool> =
            patch.pixels().iter().zip(window.pixels()).map(|(patch, window)| *patch && !window).collect();
        let colour = [rng.random_range(-0.5..1.0), rng.random_range(-0.2..1.0), rng.random_range(0.0..1.0)];
        let strength = rng.random_range(0.2..0.9);
        fade(values, &wall, colour, strength);
    }
    let grey = if rng.random_bool(0.4) { rng.random_range(0.0..1.0) } else { 0.0 };
    for pixel in 0..SIZE * SIZE {
        let mean = (0..3).map(|c| values[c * SIZE * SIZE + pixel]).sum::<f32>() / 3.0;
        for c in 0..3 {
            let value = &mut values[c * SIZE * SIZE + pixel];
            *value += grey * (mean - *value);
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

/// Brings some pixels nearer to a colour.
fn fade(values: &mut [f32], pixels: &[bool], colour: [f32; 3], strength: f32) {
    for (plane, colour) in values.chunks_exact_mut(SIZE * SIZE).zip(colour) {
        for (value, _) in plane.iter_mut().zip(pixels).filter(|(_, inside)| **inside) {
            *value += strength * (colour - *value);
        }
    }
}

/// Gives a share of every pixel to each neighbour, across and then down.
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
    fn training_lowers_the_cost_and_repeats() {
        let run = || {
            let mut costs = Vec::new();
            train(6, 9, &Device::flex(), |_, cost| costs.push(cost)).unwrap();
            costs
        };
        let costs = run();
        assert!(costs[5] < 0.95 * costs[0], "{costs:?}");
        assert_eq!(costs, run());
    }

    #[test]
    fn disturbed_rooms_stay_rooms() {
        let (picture, window) = room(1, 4);
        let mut clean = vec![0.0; 3 * SIZE * SIZE];
        picture.write_chw(&mut clean);
        let mut disturbed = clean.clone();
        disturb(&mut disturbed, &window, 1, 4);
        let apart = clean.iter().zip(&disturbed).map(|(a, b)| (a - b).abs()).sum::<f32>() / clean.len() as f32;
        assert!(apart > 0.0 && apart < 0.6, "{apart}");
        assert!(disturbed.iter().all(|v| (-1.0..=1.0).contains(v)));
    }
}
