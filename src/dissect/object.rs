//! The filters that generate an object (section 6.3.1 of the paper): a logistic regression predicts from a layer's
//! activations whether a position lies on the object, and its weights rank the filters.
//!
//! [`Activations::of`] computes the activations of samples; [`find_object_filters`] fits the regression.

use std::collections::BTreeMap;

use burn::tensor::Device;
use rand::seq::SliceRandom;
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;

use super::logistic::{LogisticRegression, auc};
use crate::device::{ComputeError, read_tensor};
use crate::image::Area;
use crate::latent;
use crate::model::Generator;

/// Positions off the object for each position on it.
const OFF_PER_ON: usize = 3;
/// Folds of the cross-validation, split by picture.
const FOLDS: usize = 4;

/// Why object filters cannot be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// No sample has boxes.
    #[error("no sample has a box around the object; draw some, or let the window finder propose them")]
    NoBoxes,
    /// The boxes leave no positions off the object.
    #[error(
        "the boxes cover their pictures completely, so there is nothing to compare the object with; draw them closer around it"
    )]
    Everything,
    /// The activations of the layer are all zero.
    #[error("no filter of layer {layer} is active on these samples; choose another layer")]
    Dead {
        /// The layer.
        layer: usize,
    },
    /// A box belongs to a sample whose activations are missing.
    #[error("sample {number} has boxes, but only samples 0 to {last} are used; raise the number of samples")]
    Beyond {
        /// The sample.
        number: u64,
        /// The last sample.
        last: u64,
    },
}

/// The activations of a hidden layer for some samples.
#[derive(Debug, Clone)]
pub struct Activations {
    /// The hidden layer.
    pub layer: usize,
    /// Width and height of its feature maps.
    pub side: usize,
    /// The number of feature maps.
    pub maps: usize,
    /// `[side, side, maps]` for each sample.
    samples: Vec<Vec<f32>>,
}

impl Activations {
    /// Computes the activations for each of `z`.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn of(generator: &Generator, z: &[Vec<f32>], layer: usize, device: &Device) -> Result<Self, ComputeError> {
        let (mut side, mut maps, mut samples) = (1, 1, Vec::with_capacity(z.len()));
        for batch in z.chunks(latent::BATCH) {
            let features = generator.features(latent::z_tensor(batch, device), layer);
            [_, maps, side, _] = features.dims();
            let values = read_tensor(features.permute([0, 2, 3, 1]))?;
            samples.extend(values.chunks_exact(side * side * maps).map(<[f32]>::to_vec));
        }
        Ok(Self { layer, side, maps, samples })
    }

    fn rows(&self, sample: usize) -> impl Iterator<Item = &[f32]> {
        self.samples[sample].chunks_exact(self.maps)
    }

    /// The mean activation of each map.
    pub fn means(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.maps];
        for row in (0..self.samples.len()).flat_map(|sample| self.rows(sample)) {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let count = (self.samples.len() * self.side * self.side).max(1) as f64;
        sums.into_iter().map(|sum| (sum / count) as f32).collect()
    }
}

/// Fits a regression on every position of all samples. It is the largest possible fit, for timing.
pub fn fit_all_positions(activations: &Activations, objects: &BTreeMap<u64, Area>) -> LogisticRegression {
    let empty = Area::none(activations.side);
    let truth: Vec<bool> = (0..activations.samples.len() as u64)
        .flat_map(|number| objects.get(&number).unwrap_or(&empty).shares(activations.side))
        .map(|share| share >= 0.5)
        .collect();
    LogisticRegression::fit(&activations.samples.concat(), activations.maps, &truth)
}

/// A filter and its weight for the object.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ObjectFilter {
    /// The index of its feature map.
    pub map: usize,
    /// Its weight in the regression, per standard deviation of the activation.
    pub weight: f32,
    /// Its mean activation over all samples.
    pub mean: f32,
}

/// The filters of a layer, ranked by their weight for an object.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ObjectFilters {
    /// The hidden layer.
    pub layer: usize,
    /// Its width and height.
    pub side: usize,
    /// All filters of the layer, by descending weight.
    pub filters: Vec<ObjectFilter>,
    /// The area under the ROC curve on held-out pictures, from cross-validation. `None` if only one picture shows the
    /// object.
    pub auc: Option<f32>,
    /// Positions on the object.
    pub on: usize,
    /// Random positions off the object in the same pictures.
    pub off: usize,
    /// Pictures that show the object. Only these are used.
    pub pictures: usize,
    /// Inspected pictures that do not show the object. They are not used: as in the paper, positions on and off the
    /// object come from the same pictures, so that the filters distinguish the object and not the scenes that contain
    /// it.
    pub unused: usize,
}

/// The positions of one picture.
struct Positions {
    sample: usize,
    on: Vec<usize>,
    /// Positions that do not overlap the object at all.
    off: Vec<usize>,
}

/// Ranks the filters by how well they distinguish positions on the object from random other positions of the same
/// pictures (section 6.3.1). `objects` is the area of the object in each inspected sample, by sample number.
///
/// # Errors
/// [`ObjectError`] if the boxes or activations are insufficient.
pub fn find_object_filters(
    activations: &Activations,
    objects: &BTreeMap<u64, Area>,
    seed: u64,
) -> Result<ObjectFilters, ObjectError> {
    let count = activations.samples.len() as u64;
    if let Some(&number) = objects.keys().find(|&&number| number >= count) {
        return Err(ObjectError::Beyond { number, last: count.saturating_sub(1) });
    }
    let means = activations.means();
    if means.iter().all(|&mean| mean == 0.0) {
        return Err(ObjectError::Dead { layer: activations.layer });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let positions = |(&number, area): (&u64, &Area)| positions(number as usize, area, activations.side);
    let mut pictures: Vec<Positions> = objects.iter().map(positions).filter(|picture| !picture.on.is_empty()).collect();
    let shown = pictures.len();
    if shown == 0 {
        return Err(ObjectError::NoBoxes);
    }
    if pictures.iter().all(|picture| picture.off.is_empty()) {
        return Err(ObjectError::Everything);
    }
    pictures.shuffle(&mut rng);
    let training: Vec<(&Positions, Vec<usize>)> = pictures
        .iter()
        .map(|picture| {
            let wanted = (OFF_PER_ON * picture.on.len()).min(picture.off.len());
            let off = index::sample(&mut rng, picture.off.len(), wanted).into_iter().map(|i| picture.off[i]);
            (picture, off.collect())
        })
        .collect();
    let folds = FOLDS.min(shown);
    let fold_aucs: Vec<f32> = (0..if folds > 1 { folds } else { 0 })
        .filter_map(|fold| {
            let model =
                fit(activations, training.iter().enumerate().filter(|(i, _)| i % folds != fold).map(|(_, c)| c))?;
            let held_out = pictures.iter().enumerate().filter(|(i, _)| i % folds == fold).map(|(_, picture)| picture);
            auc(&held_out.flat_map(|picture| scores(activations, &model, picture)).collect::<Vec<_>>())
        })
        .collect();
    let model = fit(activations, &training).ok_or(ObjectError::Everything)?;
    let mut filters: Vec<ObjectFilter> =
        (0..activations.maps).map(|map| ObjectFilter { map, weight: model.weights[map], mean: means[map] }).collect();
    filters.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    Ok(ObjectFilters {
        layer: activations.layer,
        side: activations.side,
        filters,
        auc: (!fold_aucs.is_empty()).then(|| fold_aucs.iter().sum::<f32>() / fold_aucs.len() as f32),
        on: training.iter().map(|(picture, _)| picture.on.len()).sum(),
        off: training.iter().map(|(_, off)| off.len()).sum(),
        pictures: shown,
        unused: objects.len() - shown,
    })
}

/// The positions with at least half of their area on the object (if there are none, those with the largest share),
/// and those entirely off it.
fn positions(sample: usize, area: &Area, side: usize) -> Positions {
    let shares = area.shares(side);
    let largest = shares.iter().copied().fold(0.0, f32::max);
    let threshold = largest.min(0.5);
    let select = |wanted: &dyn Fn(f32) -> bool| (0..shares.len()).filter(|&i| wanted(shares[i])).collect();
    Positions {
        sample,
        on: if largest > 0.0 { select(&|share| share >= threshold) } else { Vec::new() },
        off: select(&|share| share == 0.0),
    }
}

/// Fits the regression on positions on the object and the sampled ones off it. `None` if either is missing.
fn fit<'a>(
    activations: &Activations,
    training: impl IntoIterator<Item = &'a (&'a Positions, Vec<usize>)>,
) -> Option<LogisticRegression> {
    let (mut values, mut truth) = (Vec::new(), Vec::new());
    for (picture, off) in training {
        let row =
            |position: usize| &activations.samples[picture.sample][position * activations.maps..][..activations.maps];
        for (positions, on) in [(&picture.on, true), (off, false)] {
            for &position in positions {
                values.extend_from_slice(row(position));
                truth.push(on);
            }
        }
    }
    let both = truth.contains(&true) && truth.contains(&false);
    both.then(|| LogisticRegression::fit(&values, activations.maps, &truth))
}

/// The logit and label of every position of a picture that is on the object or entirely off it.
fn scores<'a>(
    activations: &'a Activations,
    model: &'a LogisticRegression,
    picture: &'a Positions,
) -> impl Iterator<Item = (f32, bool)> + 'a {
    let score = |position: usize| {
        model.logit(&activations.samples[picture.sample][position * activations.maps..][..activations.maps])
    };
    let on = picture.on.iter().map(move |&position| (score(position), true));
    on.chain(picture.off.iter().map(move |&position| (score(position), false)))
}

impl ObjectFilters {
    /// The number of filters with a positive weight, which the paper drops.
    pub fn positive(&self) -> usize {
        self.filters.iter().take_while(|filter| filter.weight > 0.0).count()
    }

    /// The feature maps by descending weight.
    pub fn ranked(&self) -> Vec<usize> {
        self.filters.iter().map(|filter| filter.map).collect()
    }

    /// A random control for dropping `chosen`, which the paper lacks: as many other maps, or all others if there are
    /// fewer.
    pub fn random_control(&self, chosen: &[usize], seed: u64) -> Vec<usize> {
        let mut others: Vec<usize> = self.others(chosen).map(|filter| filter.map).collect();
        others.sort_unstable();
        others.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        others.truncate(chosen.len());
        others
    }

    /// A control of equal activation: for each of `chosen` the other map with the nearest mean activation, each used
    /// once.
    pub fn matched_control(&self, chosen: &[usize]) -> Vec<usize> {
        let mut others: Vec<&ObjectFilter> = self.others(chosen).collect();
        let mut control = Vec::new();
        for filter in self.filters.iter().filter(|filter| chosen.contains(&filter.map)) {
            let difference = |other: &ObjectFilter| (other.mean - filter.mean).abs();
            let nearest = (0..others.len()).min_by(|&a, &b| difference(others[a]).total_cmp(&difference(others[b])));
            control.extend(nearest.map(|i| others.swap_remove(i).map));
        }
        control
    }

    fn others<'a>(&'a self, chosen: &'a [usize]) -> impl Iterator<Item = &'a ObjectFilter> {
        self.filters.iter().filter(|filter| !chosen.contains(&filter.map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve samples of an 8x8 layer whose map 2 is bright where the object is, and map 4 where it is not.
    fn activations() -> (Activations, BTreeMap<u64, Area>) {
        let mut objects = BTreeMap::new();
        let mut samples = Vec::new();
        for sample in 0..12u32 {
            let (x, y) = (sample % 4 * 2, sample / 4 * 2);
            let area = Area::of_boxes(8, &[[x, y, x + 2, y + 3]]);
            let mut values = Vec::new();
            for (position, &on) in area.pixels().iter().enumerate() {
                let noise = |i: usize| ((position * 31 + i * 17 + sample as usize * 7) % 13) as f32 / 13.0;
                let on = f32::from(u8::from(on));
                values.extend([noise(0), noise(1), on + noise(2), 0.0, 1.0 - on + noise(3), noise(4)]);
            }
            samples.push(values);
            objects.insert(u64::from(sample), area);
        }
        (Activations { layer: 1, side: 8, maps: 6, samples }, objects)
    }

    #[test]
    fn the_object_filter_ranks_first_and_controls_exclude_the_chosen_filters() {
        let (activations, objects) = activations();
        let found = find_object_filters(&activations, &objects, 1).unwrap();
        assert_eq!(found.filters[0].map, 2, "{found:?}");
        assert_eq!(found.filters.last().unwrap().map, 4);
        assert!(found.auc.unwrap() > 0.9, "{:?}", found.auc);
        assert_eq!((found.on, found.pictures), (72, 12));
        assert_eq!(found, find_object_filters(&activations, &objects, 1).unwrap());
        let random = found.random_control(&[2, 0], 3);
        assert!(random.len() == 2 && !random.contains(&2) && !random.contains(&0), "{random:?}");
        let matched = found.matched_control(&[0]);
        let mean = |map: usize| found.filters.iter().find(|f| f.map == map).unwrap().mean;
        let nearest = [1, 2, 3, 4, 5].into_iter().map(|m| (mean(m) - mean(0)).abs()).fold(f32::MAX, f32::min);
        assert_eq!((mean(matched[0]) - mean(0)).abs(), nearest);
    }

    #[test]
    fn positions_off_the_object_come_from_pictures_that_show_it() {
        let (activations, objects) = activations();
        let expected = find_object_filters(&activations, &objects, 1).unwrap();
        // More samples, whose map 0 is bright everywhere: if they were used, map 0 would get a negative weight.
        let mut samples = activations.samples.clone();
        let bright = |values: &Vec<f32>| {
            values.chunks(6).flat_map(|row| [&[row[0] + 9.0], &row[1..]].concat()).collect::<Vec<f32>>()
        };
        samples.extend(activations.samples.iter().map(bright));
        let with_others = Activations { samples, ..activations };
        let mut inspected = objects;
        inspected.extend((12..24).map(|number| (number, Area::none(8))));
        let found = find_object_filters(&with_others, &inspected, 1).unwrap();
        assert_eq!((found.pictures, found.unused, expected.unused), (12, 12, 0));
        assert_eq!((found.on, found.off, found.auc), (expected.on, expected.off, expected.auc));
        let weights = |found: &ObjectFilters| found.filters.iter().map(|f| (f.map, f.weight)).collect::<Vec<_>>();
        assert_eq!(weights(&found), weights(&expected), "pictures without the object change nothing");
    }

    #[test]
    fn missing_and_total_boxes_are_errors() {
        let (activations, mut objects) = activations();
        let none: BTreeMap<u64, Area> = objects.keys().map(|&n| (n, Area::none(8))).collect();
        assert_eq!(find_object_filters(&activations, &BTreeMap::new(), 1), Err(ObjectError::NoBoxes));
        assert_eq!(find_object_filters(&activations, &none, 1), Err(ObjectError::NoBoxes));
        let all = [(0, Area::of_boxes(8, &[[0, 0, 8, 8]]))].into();
        assert_eq!(find_object_filters(&activations, &all, 1), Err(ObjectError::Everything));
        objects.insert(99, Area::none(8));
        assert!(find_object_filters(&activations, &objects, 1).unwrap_err().to_string().contains("sample 99"));
        let dead = Activations { samples: vec![vec![0.0; 8 * 8 * 6]; 12], ..activations };
        objects.remove(&99);
        assert_eq!(find_object_filters(&dead, &objects, 1), Err(ObjectError::Dead { layer: 1 }));
        let one: BTreeMap<u64, Area> = objects.into_iter().take(1).collect();
        let (activations, _) = self::activations();
        assert_eq!(find_object_filters(&activations, &one, 1).unwrap().auc, None, "one picture cannot be held out");
    }
}
