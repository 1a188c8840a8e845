//! The filters that draw an object, found as the paper found them (section 6.3.1): a logistic regression tells places on
//! the object from others by a layer's activations.

use std::collections::BTreeMap;

use burn::tensor::Device;
use rand::seq::SliceRandom;
use rand::{SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;

use super::logistic::{Logistic, auc};
use crate::image::Area;
use crate::latent::{self, DrawError};
use crate::model::Generator;

/// Places off the object for each on it.
const OFF: usize = 3;
/// Parts that the pictures are split into, each judged by a regression fitted on the others.
const FOLDS: usize = 4;

/// Why no filters can be found.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ObjectError {
    /// Nothing is marked.
    #[error("no box marks the object on any sample; draw some, or let them be proposed")]
    NoBoxes,
    /// Everything is marked.
    #[error(
        "the boxes cover their pictures wholly: nothing is left to tell the object from; draw them closer around it"
    )]
    Everything,
    /// The layer says nothing.
    #[error(
        "no filter of layer {layer} is ever active on these samples, so none can be found there; choose another layer"
    )]
    Dead {
        /// The layer.
        layer: usize,
    },
    /// A mark on a sample that was not looked at.
    #[error("sample {number} has boxes, but only samples 0 to {last} are looked at; raise the number of samples")]
    Beyond {
        /// The sample.
        number: u64,
        /// The last that is looked at.
        last: u64,
    },
}

/// What a hidden layer gives for some samples.
#[derive(Debug, Clone)]
pub struct Activations {
    /// The hidden layer.
    pub layer: usize,
    /// Its width and height.
    pub side: usize,
    /// How many maps.
    pub maps: usize,
    /// For each sample `[side, side, maps]`.
    samples: Vec<Vec<f32>>,
}

impl Activations {
    /// Those of the samples at `z`, `[z_dim]` each.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn of(generator: &Generator, z: &[Vec<f32>], layer: usize, device: &Device) -> Result<Self, DrawError> {
        let (mut side, mut maps, mut samples) = (1, 1, Vec::with_capacity(z.len()));
        for part in z.chunks(latent::BATCH) {
            let features = generator.features(latent::tensor(part, device), layer);
            [_, maps, side, _] = features.dims();
            let read = latent::read(features.permute([0, 2, 3, 1]))?;
            samples.extend(read.chunks_exact(side * side * maps).map(<[f32]>::to_vec));
        }
        Ok(Self { layer, side, maps, samples })
    }

    fn rows(&self, sample: usize) -> impl Iterator<Item = &[f32]> {
        self.samples[sample].chunks_exact(self.maps)
    }

    /// Each map's mean activation.
    pub fn means(&self) -> Vec<f32> {
        let mut sums = vec![0.0f64; self.maps];
        for row in (0..self.samples.len()).flat_map(|sample| self.rows(sample)) {
            sums.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        let count = (self.samples.len() * self.side * self.side).max(1) as f64;
        sums.into_iter().map(|sum| (sum / count) as f32).collect()
    }
}

/// Fits every place of all samples at once, on the object or not: the largest regression there can be, for its time.
pub fn fit_everything(activations: &Activations, objects: &BTreeMap<u64, Area>) -> Logistic {
    let nowhere = Area::none(activations.side);
    let truth: Vec<bool> = (0..activations.samples.len() as u64)
        .flat_map(|number| objects.get(&number).unwrap_or(&nowhere).shares(activations.side))
        .map(|share| share >= 0.5)
        .collect();
    Logistic::fit(&activations.samples.concat(), activations.maps, &truth)
}

/// A filter's part in the object.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Filter {
    /// Its map.
    pub map: usize,
    /// Its weight in the regression, per standard deviation.
    pub weight: f32,
    /// Its mean activation on all samples.
    pub mean: f32,
}

/// What the regression found in a layer.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Found {
    /// The hidden layer.
    pub layer: usize,
    /// Its width and height.
    pub side: usize,
    /// All its filters, the largest weight first.
    pub filters: Vec<Filter>,
    /// How well places on the object are told from all others on pictures that the regression has not seen; `None` with
    /// the object on one picture only.
    pub auc: Option<f32>,
    /// Places on the object.
    pub on: usize,
    /// Random other places of the same pictures that it was told from.
    pub off: usize,
    /// Pictures that show the object: all that is used.
    pub pictures: usize,
    /// Pictures that were looked at and do not show it. The paper takes places off the object from the same pictures as those
    /// on it, so that the filters tell the object and not the scenes that have it; these are not used.
    pub unused: usize,
}

/// One picture's places.
struct Places {
    sample: usize,
    on: Vec<usize>,
    /// Not a bit on the object.
    off: Vec<usize>,
}

/// Finds the filters that tell places on the object from random other places of the same pictures (section 6.3.1). `objects`
/// says by sample number where the object is on each sample that was looked at; pictures where it is nowhere are not used.
///
/// # Errors
/// [`ObjectError`] saying what is missing.
pub fn find(activations: &Activations, objects: &BTreeMap<u64, Area>, seed: u64) -> Result<Found, ObjectError> {
    let count = activations.samples.len() as u64;
    if let Some(&number) = objects.keys().find(|&&number| number >= count) {
        return Err(ObjectError::Beyond { number, last: count.saturating_sub(1) });
    }
    let means = activations.means();
    if means.iter().all(|&mean| mean == 0.0) {
        return Err(ObjectError::Dead { layer: activations.layer });
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let of = |(&number, area): (&u64, &Area)| places(number as usize, area, activations.side);
    let mut pictures: Vec<Places> = objects.iter().map(of).filter(|picture| !picture.on.is_empty()).collect();
    let shown = pictures.len();
    if shown == 0 {
        return Err(ObjectError::NoBoxes);
    }
    if pictures.iter().all(|picture| picture.off.is_empty()) {
        return Err(ObjectError::Everything);
    }
    pictures.shuffle(&mut rng);
    let chosen: Vec<(&Places, Vec<usize>)> = pictures
        .iter()
        .map(|picture| {
            let wanted = (OFF * picture.on.len()).min(picture.off.len());
            let off = index::sample(&mut rng, picture.off.len(), wanted).into_iter().map(|i| picture.off[i]);
            (picture, off.collect())
        })
        .collect();
    let folds = FOLDS.min(shown);
    let judged: Vec<f32> = (0..if folds > 1 { folds } else { 0 })
        .filter_map(|fold| {
            let fitted =
                fit(activations, chosen.iter().enumerate().filter(|(i, _)| i % folds != fold).map(|(_, c)| c))?;
            let held = pictures.iter().enumerate().filter(|(i, _)| i % folds == fold).map(|(_, picture)| picture);
            auc(&held.flat_map(|picture| scores(activations, &fitted, picture)).collect::<Vec<_>>())
        })
        .collect();
    let fitted = fit(activations, &chosen).ok_or(ObjectError::Everything)?;
    let mut filters: Vec<Filter> =
        (0..activations.maps).map(|map| Filter { map, weight: fitted.weights[map], mean: means[map] }).collect();
    filters.sort_by(|a, b| b.weight.total_cmp(&a.weight));
    Ok(Found {
        layer: activations.layer,
        side: activations.side,
        filters,
        auc: (!judged.is_empty()).then(|| judged.iter().sum::<f32>() / judged.len() as f32),
        on: chosen.iter().map(|(picture, _)| picture.on.len()).sum(),
        off: chosen.iter().map(|(_, off)| off.len()).sum(),
        pictures: shown,
        unused: objects.len() - shown,
    })
}

/// Places at least half on the object, or most on it where it is smaller than that; and those not at all on it.
fn places(sample: usize, area: &Area, side: usize) -> Places {
    let shares = area.shares(side);
    let largest = shares.iter().copied().fold(0.0, f32::max);
    let enough = largest.min(0.5);
    let of = |wanted: &dyn Fn(f32) -> bool| (0..shares.len()).filter(|&i| wanted(shares[i])).collect();
    Places {
        sample,
        on: if largest > 0.0 { of(&|share| share >= enough) } else { Vec::new() },
        off: of(&|share| share == 0.0),
    }
}

/// Fits the places on the object against the chosen others; `None` without both.
fn fit<'a>(
    activations: &Activations,
    chosen: impl IntoIterator<Item = &'a (&'a Places, Vec<usize>)>,
) -> Option<Logistic> {
    let (mut values, mut truth) = (Vec::new(), Vec::new());
    for (picture, off) in chosen {
        let row = |place: usize| &activations.samples[picture.sample][place * activations.maps..][..activations.maps];
        for (places, on) in [(&picture.on, true), (off, false)] {
            for &place in places {
                values.extend_from_slice(row(place));
                truth.push(on);
            }
        }
    }
    let both = truth.contains(&true) && truth.contains(&false);
    both.then(|| Logistic::fit(&values, activations.maps, &truth))
}

/// The scores of all places of a picture that are on the object or not at all on it.
fn scores<'a>(
    activations: &'a Activations,
    fitted: &'a Logistic,
    picture: &'a Places,
) -> impl Iterator<Item = (f32, bool)> + 'a {
    let score = |place: usize| {
        fitted.score(&activations.samples[picture.sample][place * activations.maps..][..activations.maps])
    };
    let on = picture.on.iter().map(move |&place| (score(place), true));
    on.chain(picture.off.iter().map(move |&place| (score(place), false)))
}

impl Found {
    /// How many filters have a positive weight: those the paper drops.
    pub fn positive(&self) -> usize {
        self.filters.iter().take_while(|filter| filter.weight > 0.0).count()
    }

    /// The maps in the order of their weights.
    pub fn ranked(&self) -> Vec<usize> {
        self.filters.iter().map(|filter| filter.map).collect()
    }

    /// As many other maps as `chosen` has, at random: the control that the paper lacks. Where too few others are left, all
    /// of them.
    pub fn random(&self, chosen: &[usize], seed: u64) -> Vec<usize> {
        let mut others: Vec<usize> = self.others(chosen).map(|filter| filter.map).collect();
        others.sort_unstable();
        others.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        others.truncate(chosen.len());
        others
    }

    /// For each of `chosen` the other map whose mean activation is nearest, each taken once: a control that is as loud.
    pub fn matched(&self, chosen: &[usize]) -> Vec<usize> {
        let mut others: Vec<&Filter> = self.others(chosen).collect();
        let mut taken = Vec::new();
        for filter in self.filters.iter().filter(|filter| chosen.contains(&filter.map)) {
            let apart = |other: &Filter| (other.mean - filter.mean).abs();
            let nearest = (0..others.len()).min_by(|&a, &b| apart(others[a]).total_cmp(&apart(others[b])));
            taken.extend(nearest.map(|i| others.swap_remove(i).map));
        }
        taken
    }

    fn others<'a>(&'a self, chosen: &'a [usize]) -> impl Iterator<Item = &'a Filter> {
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
            for (place, &on) in area.pixels().iter().enumerate() {
                let noise = |i: usize| ((place * 31 + i * 17 + sample as usize * 7) % 13) as f32 / 13.0;
                let on = f32::from(u8::from(on));
                values.extend([noise(0), noise(1), on + noise(2), 0.0, 1.0 - on + noise(3), noise(4)]);
            }
            samples.push(values);
            objects.insert(u64::from(sample), area);
        }
        (Activations { layer: 1, side: 8, maps: 6, samples }, objects)
    }

    #[test]
    fn the_filter_that_draws_the_object_is_first_and_the_controls_are_others() {
        let (activations, objects) = activations();
        let found = find(&activations, &objects, 1).unwrap();
        assert_eq!(found.filters[0].map, 2, "{found:?}");
        assert_eq!(found.filters.last().unwrap().map, 4);
        assert!(found.auc.unwrap() > 0.9, "{:?}", found.auc);
        assert_eq!((found.on, found.pictures), (72, 12));
        assert_eq!(found, find(&activations, &objects, 1).unwrap());
        let random = found.random(&[2, 0], 3);
        assert!(random.len() == 2 && !random.contains(&2) && !random.contains(&0), "{random:?}");
        let matched = found.matched(&[0]);
        let mean = |map: usize| found.filters.iter().find(|f| f.map == map).unwrap().mean;
        let nearest = [1, 2, 3, 4, 5].into_iter().map(|m| (mean(m) - mean(0)).abs()).fold(f32::MAX, f32::min);
        assert_eq!((mean(matched[0]) - mean(0)).abs(), nearest);
    }

    #[test]
    fn places_off_the_object_come_from_the_pictures_that_show_it() {
        let (activations, objects) = activations();
        let expected = find(&activations, &objects, 1).unwrap();
        // More samples whose map 0 is bright everywhere: told from them, map 0 would seem to keep the object away.
        let mut samples = activations.samples.clone();
        let bright = |values: &Vec<f32>| {
            values.chunks(6).flat_map(|row| [&[row[0] + 9.0], &row[1..]].concat()).collect::<Vec<f32>>()
        };
        samples.extend(activations.samples.iter().map(bright));
        let with_others = Activations { samples, ..activations };
        let mut looked_at = objects.clone();
        looked_at.extend((12..24).map(|number| (number, Area::none(8))));
        let found = find(&with_others, &looked_at, 1).unwrap();
        assert_eq!((found.pictures, found.unused, expected.unused), (12, 12, 0));
        assert_eq!((found.on, found.off, found.auc), (expected.on, expected.off, expected.auc));
        let weights = |found: &Found| found.filters.iter().map(|f| (f.map, f.weight)).collect::<Vec<_>>();
        assert_eq!(weights(&found), weights(&expected), "pictures without the object change nothing");
    }

    #[test]
    fn boxes_are_needed_and_may_not_be_everything() {
        let (activations, mut objects) = activations();
        let none: BTreeMap<u64, Area> = objects.keys().map(|&n| (n, Area::none(8))).collect();
        assert_eq!(find(&activations, &BTreeMap::new(), 1), Err(ObjectError::NoBoxes));
        assert_eq!(find(&activations, &none, 1), Err(ObjectError::NoBoxes));
        let all = [(0, Area::of_boxes(8, &[[0, 0, 8, 8]]))].into();
        assert_eq!(find(&activations, &all, 1), Err(ObjectError::Everything));
        objects.insert(99, Area::none(8));
        assert!(find(&activations, &objects, 1).unwrap_err().to_string().contains("sample 99"));
        let dead = Activations { samples: vec![vec![0.0; 8 * 8 * 6]; 12], ..activations };
        objects.remove(&99);
        assert_eq!(find(&dead, &objects, 1), Err(ObjectError::Dead { layer: 1 }));
        let one: BTreeMap<u64, Area> = objects.into_iter().take(1).collect();
        let (activations, _) = self::activations();
        assert_eq!(find(&activations, &one, 1).unwrap().auc, None, "one picture cannot be held out");
    }
}
