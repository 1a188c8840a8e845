//! What dropping filters does to the object, and to the rest of the picture.

use std::ops::Range;

use burn::tensor::Device;

use super::object::Found;
use super::segment::Finder;
use crate::image::{Area, Picture};
use crate::latent::{self, DrawError};
use crate::model::{Ablation, Generator};

/// The change an ablation makes to some pictures.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Effect {
    /// The share of the object's area that is gone from all pictures together; `None` if nobody looked, or there was none.
    pub removed: Option<f32>,
    /// Whether it is known of any pixel that the object is there. Otherwise all change is that of other pixels.
    pub known: bool,
    /// Mean change of a pixel inside the boxes around the object, as a share of the full range.
    pub inside: f32,
    /// Mean change of any other pixel.
    pub outside: f32,
}

/// Some z's, what they show, and where the object is on them.
#[derive(Debug, Clone)]
pub struct Trial {
    generator: Generator,
    z: Vec<Vec<f32>>,
    finder: Option<Finder>,
    device: Device,
    /// The pictures as they are.
    pub before: Vec<Picture>,
    /// Where the object is on each.
    pub objects: Vec<Area>,
}

impl Trial {
    /// Draws `z`; `objects` says where the object is on each, or `finder` looks for it.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn new(
        generator: &Generator,
        z: Vec<Vec<f32>>,
        objects: Option<Vec<Area>>,
        finder: Option<&Finder>,
        device: &Device,
    ) -> Result<Self, DrawError> {
        let before = latent::pictures(generator, &z, device)?;
        let objects = match (objects, finder) {
            (Some(objects), _) => objects,
            (None, Some(finder)) => finder.areas(&before)?,
            (None, None) => vec![Area::none(generator.config().size); z.len()],
        };
        Ok(Self { generator: generator.clone(), z, finder: finder.cloned(), device: device.clone(), before, objects })
    }

    /// The same z's under an ablation.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn draw(&self, ablation: &Ablation) -> Result<Vec<Picture>, DrawError> {
        latent::pictures(&self.generator.under(std::slice::from_ref(ablation)), &self.z, &self.device)
    }

    /// What was done to the pictures that are now `after`, to each of their `parts` by itself.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    ///
    /// # Panics
    /// If a part reaches beyond the pictures.
    pub fn measure<const N: usize>(
        &self,
        after: &[Picture],
        parts: [Range<usize>; N],
    ) -> Result<[Effect; N], DrawError> {
        let left = self.left(after)?;
        Ok(parts.map(|part| {
            let left = left.as_ref().map(|areas| &areas[part.clone()]);
            effect(&self.before[part.clone()], &after[part.clone()], &self.objects[part], left)
        }))
    }

    /// Where the object still is, if somebody looks.
    fn left(&self, after: &[Picture]) -> Result<Option<Vec<Area>>, DrawError> {
        self.finder.as_ref().map(|finder| finder.areas(after)).transpose()
    }

    /// An ablation's effect.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn effect(&self, ablation: &Ablation) -> Result<Effect, DrawError> {
        let after = self.draw(ablation)?;
        Ok(effect(&self.before, &after, &self.objects, self.left(&after)?.as_deref()))
    }
}

/// Measures what was done to `before`, where the object was at `objects` and is at `left` afterwards.
pub fn effect(before: &[Picture], after: &[Picture], objects: &[Area], left: Option<&[Area]>) -> Effect {
    // Sums of changes and their counts, outside and inside.
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
    let was = area(objects);
    let removed = left.filter(|_| was > 0.0).map(|left| 1.0 - area(left) / was);
    Effect { removed, known: was > 0.0, inside: mean(sums[1]), outside: mean(sums[0]) }
}

/// A point of a dose-response curve.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Dose {
    /// Filters dropped.
    pub dropped: usize,
    /// The filters of the largest weights.
    pub found: Effect,
    /// Random others.
    pub random: Effect,
    /// Others as loud.
    pub matched: Effect,
}

/// How many filters are dropped at each point of a curve that ends at `most`: small doses close together.
pub fn doses(most: usize) -> Vec<usize> {
    let steps = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768];
    steps.into_iter().filter(|&step| step < most).chain([most]).filter(|&step| step > 0).collect()
}

/// One point of the curve.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn dose(trial: &Trial, found: &Found, like: &Ablation, dropped: usize, seed: u64) -> Result<Dose, DrawError> {
    let chosen: Vec<usize> = found.ranked().into_iter().take(dropped).collect();
    let under = |maps: &[usize]| trial.effect(&like.of(maps));
    Ok(Dose {
        dropped,
        found: under(&chosen)?,
        random: under(&found.random(&chosen, seed))?,
        matched: under(&found.matched(&chosen))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn change_is_told_inside_the_boxes_and_outside_and_area_that_is_gone_is_counted() {
        let before = vec![Picture::new(4, 4, 1, vec![100; 16])];
        let mut pixels = vec![100; 16];
        pixels[0] = 202; // inside
        pixels[15] = 151; // outside
        let after = vec![Picture::new(4, 4, 1, pixels)];
        let objects = vec![Area::of_boxes(4, &[[0, 0, 2, 2]])];
        let left = vec![Area::of_boxes(4, &[[0, 0, 1, 1]])];
        let told = effect(&before, &after, &objects, Some(&left));
        assert_eq!(told.removed, Some(0.75));
        assert!((told.inside - 102.0 / 255.0 / 4.0).abs() < 1e-6);
        assert!((told.outside - 51.0 / 255.0 / 12.0).abs() < 1e-6);
        let nowhere = effect(&before, &after, &[Area::none(4)], Some(&left));
        assert!(told.known && !nowhere.known && nowhere.removed.is_none());
    }

    #[test]
    fn doses_grow_to_the_last() {
        assert_eq!(doses(5), [1, 2, 3, 4, 5]);
        assert_eq!(doses(16), [1, 2, 3, 4, 6, 8, 12, 16]);
        assert!(doses(0).is_empty());
    }
}
