//! The effect of an ablation: how much of an object disappears, and how much the rest of the picture changes.
//!
//! An [`AblationExperiment`] fixes the samples, [`AblationExperiment::effect`] measures one ablation, and [`dose`]
//! one point of a dose-response curve with its controls.

use std::ops::Range;

use burn::tensor::Device;

use super::object::ObjectFilters;
use super::window_finder::WindowFinder;
use crate::device::ComputeError;
use crate::image::{Area, Picture};
use crate::latent;
use crate::model::{Ablation, Generator};

/// How an ablation changes some pictures.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct AblationEffect {
    /// The share of the object's area, over all pictures, that disappeared. `None` if it was not measured, or if
    /// there was no object.
    pub removed: Option<f32>,
    /// Whether the position of the object is known in any picture. If not, all change counts as outside.
    pub known: bool,
    /// Mean absolute change of the pixels inside the boxes around the object, in [0, 1].
    pub inside: f32,
    /// Mean absolute change of all other pixels.
    pub outside: f32,
}

/// The samples on which ablations are compared, and where the object is in each.
#[derive(Debug, Clone)]
pub struct AblationExperiment {
    generator: Generator,
    z: Vec<Vec<f32>>,
    finder: Option<WindowFinder>,
    device: Device,
    /// The pictures without an ablation.
    pub before: Vec<Picture>,
    /// The area of the object in each picture.
    pub objects: Vec<Area>,
}

impl AblationExperiment {
    /// Generates the pictures of `z`. The areas of the object are `objects`, or `finder` detects them.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn new(
        generator: &Generator,
        z: Vec<Vec<f32>>,
        objects: Option<Vec<Area>>,
        finder: Option<&WindowFinder>,
        device: &Device,
    ) -> Result<Self, ComputeError> {
        let before = latent::generate_pictures(generator, &z, device)?;
        let objects = match (objects, finder) {
            (Some(objects), _) => objects,
            (None, Some(finder)) => finder.areas(&before)?,
            (None, None) => vec![Area::none(generator.config().size); z.len()],
        };
        Ok(Self { generator: generator.clone(), z, finder: finder.cloned(), device: device.clone(), before, objects })
    }

    /// Generates the same samples under an ablation.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn ablated(&self, ablation: &Ablation) -> Result<Vec<Picture>, ComputeError> {
        latent::generate_pictures(&self.generator.with_ablations(std::slice::from_ref(ablation)), &self.z, &self.device)
    }

    /// Measures the effect between the original pictures and `after`, for each of several ranges of samples.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    ///
    /// # Panics
    /// If a range exceeds the number of pictures.
    pub fn measure<const N: usize>(
        &self,
        after: &[Picture],
        ranges: [Range<usize>; N],
    ) -> Result<[AblationEffect; N], ComputeError> {
        let remaining = self.detect(after)?;
        Ok(ranges.map(|range| {
            let remaining = remaining.as_ref().map(|areas| &areas[range.clone()]);
            effect(&self.before[range.clone()], &after[range.clone()], &self.objects[range], remaining)
        }))
    }

    /// Detects the object in `after`. `None` without a finder.
    fn detect(&self, after: &[Picture]) -> Result<Option<Vec<Area>>, ComputeError> {
        self.finder.as_ref().map(|finder| finder.areas(after)).transpose()
    }

    /// Measures the effect of an ablation.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn effect(&self, ablation: &Ablation) -> Result<AblationEffect, ComputeError> {
        let after = self.ablated(ablation)?;
        Ok(effect(&self.before, &after, &self.objects, self.detect(&after)?.as_deref()))
    }
}

/// Measures the change from `before` to `after`. `objects` is the area of the object before, `remaining` afterwards.
pub fn effect(before: &[Picture], after: &[Picture], objects: &[Area], remaining: Option<&[Area]>) -> AblationEffect {
    // Sums of changes, and numbers of values, outside and inside the boxes.
    let mut sums = [(0u64, 0u64); 2];
    for ((before, after), object) in before.iter().zip(after).zip(objects) {
        let boxed = Area::of_boxes(object.side(), &object.boxes(1));
        let pixels = before.pixels().chunks(before.channels()).zip(after.pixels().chunks(after.channels()));
        for ((before, after), &inside) in pixels.zip(boxed.pixels()) {
            let sum = &mut sums[usize::from(inside)];
            sum.0 += before.iter().zip(after).map(|(a, b)| u64::from(a.abs_diff(*b))).sum::<u64>();
            sum.1 += before.len() as u64;
        }
    }
    let mean = |(sum, count): (u64, u64)| sum as f32 / 255.0 / count.max(1) as f32;
    let area = |areas: &[Area]| areas.iter().map(Area::count).sum::<usize>() as f32;
    let total = area(objects);
    let removed = remaining.filter(|_| total > 0.0).map(|remaining| 1.0 - area(remaining) / total);
    AblationEffect { removed, known: total > 0.0, inside: mean(sums[1]), outside: mean(sums[0]) }
}

/// One point of a dose-response curve, with the effects of two controls.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct DosePoint {
    /// The number of dropped filters.
    pub dropped: usize,
    /// The filters of the largest weights dropped.
    pub found: AblationEffect,
    /// As many random other filters dropped.
    pub random: AblationEffect,
    /// Other filters of equal mean activation dropped.
    pub matched: AblationEffect,
}

/// The numbers of filters to drop along a dose-response curve up to `most`, roughly logarithmic.
pub fn doses(most: usize) -> Vec<usize> {
    let steps = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];
    steps.into_iter().filter(|&step| step < most).chain([most]).filter(|&step| step > 0).collect()
}

/// Measures one point of the dose-response curve: `dropped` filters under an ablation like `like`.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub fn dose(
    experiment: &AblationExperiment,
    filters: &ObjectFilters,
    like: &Ablation,
    dropped: usize,
    seed: u64,
) -> Result<DosePoint, ComputeError> {
    let chosen: Vec<usize> = filters.ranked().into_iter().take(dropped).collect();
    let effect = |maps: &[usize]| experiment.effect(&like.of(maps));
    Ok(DosePoint {
        dropped,
        found: effect(&chosen)?,
        random: effect(&filters.random_control(&chosen, seed))?,
        matched: effect(&filters.matched_control(&chosen))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_separate_changes_inside_and_outside_the_boxes() {
        let before = vec![Picture::new(4, 4, 1, vec![100; 16])];
        let mut pixels = vec![100; 16];
        pixels[0] = 202; // inside
        pixels[15] = 151; // outside
        let after = vec![Picture::new(4, 4, 1, pixels)];
        let objects = vec![Area::of_boxes(4, &[[0, 0, 2, 2]])];
        let remaining = vec![Area::of_boxes(4, &[[0, 0, 1, 1]])];
        let measured = effect(&before, &after, &objects, Some(&remaining));
        assert_eq!(measured.removed, Some(0.75));
        assert!((measured.inside - 102.0 / 255.0 / 4.0).abs() < 1e-6);
        assert!((measured.outside - 51.0 / 255.0 / 12.0).abs() < 1e-6);
        let nowhere = effect(&before, &after, &[Area::none(4)], Some(&remaining));
        assert!(measured.known && !nowhere.known && nowhere.removed.is_none());
    }

    #[test]
    fn doses_increase_to_the_maximum() {
        assert_eq!(doses(5), [1, 2, 3, 4, 5]);
        assert_eq!(doses(16), [1, 2, 3, 4, 6, 8, 12, 16]);
        assert!(doses(0).is_empty());
    }
}
