//! Nearest training images of samples: does the generator memorize (sections 4.1 and 6.1)?
//!
//! [`find_neighbors`] searches in raw pixels and in a feature space, and compares the distances with those of images that were
//! not trained on. [`NeighborReport::diagnosis`] puts the result into words, [`NeighborReport::figure`] into an image.

use std::collections::HashMap;

use burn::tensor::Device;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::birthday::BirthdayTest;
use super::error::EvaluationError;
use super::features::{FeatureExtractor, FeatureKind, FeatureSource};
use super::labeled::{decode, read};
use super::statistics::{self, Estimate, Proportion};
use super::table::{FeatureTable, squared_distances};
use crate::data::{Dataset, Problem};
use crate::device::ComputeError;
use crate::image::{Picture, grid};
use crate::latent;
use crate::model::Model;
use crate::progress::Progress;

/// Training images that are searched at a time.
const SEARCH_BATCH: usize = 1024;
/// Samples that are generated at a time.
const SAMPLE_BATCH: usize = 256;
/// Neighbors found of each sample.
pub const NEIGHBORS: usize = 4;
/// A sample is suspicious if it is nearer to the training images than all but this share of the held-out images.
const SUSPICIOUS: f64 = 0.05;

/// Options of [`find_neighbors`].
#[derive(Debug, Clone, Copy, Serialize)]
pub struct NeighborSettings {
    /// Number of samples.
    pub samples: usize,
    /// The most training images.
    pub count: usize,
    /// The most held-out images.
    #[serde(rename = "held")]
    pub held_out: usize,
    /// Seed of the samples and of the selection of images.
    pub seed: u64,
}

impl Default for NeighborSettings {
    fn default() -> Self {
        Self { samples: 1000, count: 100_000, held_out: 1000, seed: 1 }
    }
}

/// A training image near a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Neighbor {
    /// Index of the training image.
    pub number: u64,
    /// Euclidean distance of the features.
    pub distance: f32,
}

/// The search in one feature space.
#[derive(Debug, Clone, Serialize)]
pub struct SpaceNeighbors {
    /// The feature space.
    pub space: FeatureKind,
    /// The four nearest training images of each sample, the nearest first.
    pub nearest: Vec<Vec<Neighbor>>,
    /// Samples whose nearest image, of equally many training and held-out ones, is a training image: one half without
    /// memorization. `None` without held-out images.
    #[serde(rename = "sides")]
    pub nearest_is_training: Option<NearestSetShare>,
    /// The probability that a sample is nearer to the training images than a held-out image is. Above one half for a generator
    /// that memorizes, but also for one of smooth images, which are near to everything.
    pub nearer: Option<Estimate>,
    /// Samples that are nearer than all but 5 % of the held-out images.
    pub suspicious: Proportion,
    /// The number of distinct samples.
    pub birthday: BirthdayTest,
}

/// The share of samples that are nearer to the first of two sets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct NearestSetShare {
    /// Samples nearer to the first set.
    pub hits: usize,
    /// All samples.
    #[serde(rename = "of")]
    pub total: usize,
    /// `hits / total`. Samples with the same nearest image count as one observation for the interval.
    #[serde(flatten)]
    pub share: Estimate,
}

impl NearestSetShare {
    /// Of each sample's nearest neighbor in both sets.
    fn count(pairs: impl Iterator<Item = [Neighbor; 2]>) -> Self {
        let (mut share, mut clusters) = (Proportion::default(), HashMap::<(bool, u64), f64>::new());
        for [first, second] in pairs {
            let hit = first.distance < second.distance;
            share.count(hit);
            *clusters.entry((hit, if hit { first.number } else { second.number })).or_default() += 1.0;
        }
        let Proportion { hits, total } = share;
        let value = hits as f64 / total.max(1) as f64;
        let error = |(&(hit, _), size): (&(bool, u64), &f64)| (size * (f64::from(u8::from(hit)) - value)).powi(2);
        let half = 1.96 * clusters.iter().map(error).sum::<f64>().sqrt() / total.max(1) as f64;
        let share = Estimate { value, low: (value - half).max(0.0), high: (value + half).min(1.0) };
        Self { hits, total, share }
    }
}

/// The result of [`find_neighbors`].
#[derive(Debug, Clone, Serialize)]
pub struct NeighborReport {
    /// The options used.
    pub settings: NeighborSettings,
    /// Training images that were searched.
    pub training: usize,
    /// Images whose distances the samples' are compared with: held-out images, or else training images, each against all others.
    #[serde(rename = "held")]
    pub compared: usize,
    /// Whether these were held out.
    pub held_out: bool,
    /// Results in pixels, then in the feature space.
    pub spaces: Vec<SpaceNeighbors>,
    /// The samples.
    #[serde(skip)]
    pub samples: Vec<Picture>,
    /// Files that cannot be read.
    #[serde(skip)]
    pub skipped: Vec<Problem>,
}

/// The nearest neighbors of query rows in a set that comes in batches.
struct NeighborSearch {
    queries: FeatureTable,
    /// The index of a query that is itself in the set, and not its own neighbor.
    own: Vec<Option<u64>>,
    nearest: Vec<Vec<Neighbor>>,
}

impl NeighborSearch {
    fn new(queries: FeatureTable, own: Vec<Option<u64>>) -> Self {
        Self { nearest: vec![Vec::new(); queries.len()], queries, own }
    }

    /// Searches another batch: rows of images with these indices.
    fn add(&mut self, numbers: &[u64], table: &FeatureTable, device: &Device) -> Result<(), ComputeError> {
        let squares = squared_distances(&self.queries, table, device)?;
        let rows = squares.par_chunks_exact(numbers.len().max(1)).zip(&self.own);
        self.nearest.par_iter_mut().zip(rows).for_each(|(nearest, (row, own))| {
            for (&number, &square) in numbers.iter().zip(row) {
                let distance = square.sqrt();
                let full = nearest.len() == NEIGHBORS && nearest.last().is_some_and(|last| last.distance <= distance);
                if full || *own == Some(number) {
                    continue;
                }
                let at = nearest.partition_point(|other| other.distance <= distance);
                nearest.insert(at, Neighbor { number, distance });
                nearest.truncate(NEIGHBORS);
            }
        });
        Ok(())
    }
}

/// Finds the training images of `data` nearest to samples of `model`, in pixels and in the feature space of `source`. Compares
/// their distances with those of images of `held_out`, or else with those of training images to all others.
///
/// # Errors
/// [`EvaluationError`]: too few images, a device that fails, or `progress` cancels.
pub fn find_neighbors(
    model: &Model,
    source: FeatureSource,
    data: &Dataset,
    held_out: Option<&Dataset>,
    settings: NeighborSettings,
    device: &Device,
    progress: &mut Progress,
) -> Result<NeighborReport, EvaluationError> {
    let samples = generate_samples(model, settings.samples, settings.seed, device, progress)?;
    let selection = sample_indices(data, settings.count, settings.seed);
    let mut skipped = Vec::new();
    let (queries, own) = match held_out {
        Some(held_out) => {
            let indices = sample_indices(held_out, settings.held_out, settings.seed);
            let (decoded, problems) = read(held_out, &indices, progress)?;
            skipped.extend(problems);
            let pictures: Vec<Picture> = decoded.into_iter().map(|(_, picture)| picture).collect();
            let own = vec![None; pictures.len()];
            (pictures, own)
        }
        None => {
            let subset = index::sample(
                &mut ChaCha8Rng::seed_from_u64(settings.seed),
                selection.len(),
                settings.held_out.min(selection.len()),
            );
            let numbers: Vec<u64> = subset.iter().map(|i| selection[i]).collect();
            let (decoded, _) = read(data, &numbers, progress)?;
            decoded.into_iter().map(|(number, picture)| (picture, Some(number))).unzip()
        }
    };
    let too_few = |dataset: &Dataset, have, hint| EvaluationError::TooFew {
        source_name: dataset.source().to_string(),
        class: None,
        have,
        need: NEIGHBORS + 1,
        hint,
    };
    if queries.len() <= NEIGHBORS {
        return Err(too_few(held_out.unwrap_or(data), queries.len(), "give more pictures to compare with"));
    }
    // Batch norm statistics are measured on real images before any distance.
    let extractors = [FeatureSource::Pixels(model.config()), source]
        .map(|source| FeatureExtractor::new(source, &queries, settings.seed, device));
    let mut searches = Vec::new();
    for extractor in &extractors {
        let of_samples = NeighborSearch::new(extractor.features(&samples, &mut |_| Ok(()))?, vec![None; samples.len()]);
        let of_queries = NeighborSearch::new(extractor.features(&queries, &mut |_| Ok(()))?, own.clone());
        searches.push([of_samples, of_queries]);
    }
    let mut training = 0;
    for batch in selection.chunks(SEARCH_BATCH) {
        let (decoded, problems) = decode(data, batch);
        skipped.extend(problems);
        training += decoded.len();
        let (numbers, pictures): (Vec<u64>, Vec<Picture>) = decoded.into_iter().unzip();
        for (extractor, searches) in extractors.iter().zip(&mut searches) {
            let table = extractor.features(&pictures, &mut |_| Ok(()))?;
            for search in searches.iter_mut().filter(|_| !numbers.is_empty()) {
                search.add(&numbers, &table, device)?;
            }
        }
        progress("looking for neighbours", training, selection.len())?;
    }
    if training <= NEIGHBORS {
        return Err(too_few(data, training, "give more training pictures"));
    }
    let shares = match held_out {
        None => vec![None; extractors.len()],
        Some(held_out) => {
            let count = held_out.len().unwrap_or(settings.count).min(selection.len());
            let subset = index::sample(&mut ChaCha8Rng::seed_from_u64(settings.seed), selection.len(), count);
            let sets = [
                (data, subset.iter().map(|i| selection[i]).collect()),
                (held_out, sample_indices(held_out, count, settings.seed)),
            ];
            let tables: Vec<&FeatureTable> = searches.iter().map(|[of_samples, _]| &of_samples.queries).collect();
            nearest_set_shares(sets, &tables, &extractors, device, progress)?.into_iter().map(Some).collect()
        }
    };
    let mut spaces = Vec::new();
    for ((extractor, [of_samples, of_queries]), nearest_is_training) in extractors.iter().zip(searches).zip(shares) {
        let nearest_distances = |search: &NeighborSearch| -> Vec<f64> {
            search.nearest.iter().filter_map(|nearest| Some(f64::from(nearest.first()?.distance))).collect()
        };
        let (distances, mut expected) = (nearest_distances(&of_samples), nearest_distances(&of_queries));
        let nearer = statistics::probability_less(&distances, &expected, settings.seed);
        expected.sort_by(f64::total_cmp);
        let limit = expected[((expected.len() - 1) as f64 * SUSPICIOUS).floor() as usize];
        let mut suspicious = Proportion::default();
        distances.iter().for_each(|&distance| suspicious.count(distance < limit));
        let birthday = BirthdayTest::count(&of_samples.queries, &of_queries.queries, device)?;
        let (space, nearest) = (extractor.kind, of_samples.nearest);
        spaces.push(SpaceNeighbors { space, nearest, nearest_is_training, nearer, suspicious, birthday });
    }
    let (compared, held_out) = (queries.len(), held_out.is_some());
    Ok(NeighborReport { settings, training, compared, held_out, spaces, samples, skipped })
}

/// In each feature space, how many samples are nearer to the first set than to the second.
fn nearest_set_shares(
    sets: [(&Dataset, Vec<u64>); 2],
    samples: &[&FeatureTable],
    extractors: &[FeatureExtractor],
    device: &Device,
    progress: &mut Progress,
) -> Result<Vec<NearestSetShare>, EvaluationError> {
    let search = |table: &FeatureTable| NeighborSearch::new(table.clone(), vec![None; table.len()]);
    let mut searches: Vec<[NeighborSearch; 2]> = samples.iter().map(|table| [search(table), search(table)]).collect();
    for (side, (data, indices)) in sets.iter().enumerate() {
        for (batch_number, batch) in indices.chunks(SEARCH_BATCH).enumerate() {
            let (numbers, pictures): (Vec<u64>, Vec<Picture>) = decode(data, batch).0.into_iter().unzip();
            for (extractor, searches) in extractors.iter().zip(&mut searches).filter(|_| !pictures.is_empty()) {
                searches[side].add(&numbers, &extractor.features(&pictures, &mut |_| Ok(()))?, device)?;
            }
            let done = batch_number * SEARCH_BATCH + batch.len();
            progress("comparing with held-out pictures", done, indices.len())?;
        }
    }
    let count = |[first, second]: &[NeighborSearch; 2]| {
        let both = first.nearest.iter().zip(&second.nearest);
        NearestSetShare::count(both.filter_map(|(first, second)| Some([*first.first()?, *second.first()?])))
    };
    Ok(searches.iter().map(count).collect())
}

/// Generates the samples 0 to `count` of `seed`.
///
/// # Errors
/// [`EvaluationError`]: the device fails, or `progress` cancels.
pub(crate) fn generate_samples(
    model: &Model,
    count: usize,
    seed: u64,
    device: &Device,
    progress: &mut Progress,
) -> Result<Vec<Picture>, EvaluationError> {
    let mut samples = Vec::with_capacity(count);
    while samples.len() < count {
        let numbers = samples.len() as u64..(samples.len() + SAMPLE_BATCH).min(count) as u64;
        let z = latent::sample_zs(model.config(), seed, numbers);
        samples.extend(latent::generate_pictures(&model.generator, &z, device)?);
        progress("generating samples", samples.len(), count)?;
    }
    Ok(samples)
}

/// Up to `count` random indices of a data set, in ascending order; the first ones of an endless data set.
pub(crate) fn sample_indices(dataset: &Dataset, count: usize, seed: u64) -> Vec<u64> {
    match dataset.len() {
        None => (0..count as u64).collect(),
        Some(length) if length <= count => (0..length as u64).collect(),
        Some(length) => {
            let sample = index::sample(&mut ChaCha8Rng::seed_from_u64(seed), length, count);
            let mut indices: Vec<u64> = sample.iter().map(|i| i as u64).collect();
            indices.sort_unstable();
            indices
        }
    }
}

impl NeighborReport {
    /// A row each for the first `rows` samples, then for as many of those nearest to a training image by features: the sample, its
    /// four nearest in pixels, the sample again, its four nearest by features. Below, the closest pairs of samples: in pixels on
    /// the left, by features on the right.
    pub fn figure(&self, data: &Dataset, rows: usize) -> Picture {
        let [pixels, features] = self.spaces.as_slice() else { return grid(&[], 1, 0) };
        let mut order: Vec<usize> = (0..self.samples.len()).collect();
        let least = |&i: &usize| features.nearest[i].first().map_or(f32::INFINITY, |nearest| nearest.distance);
        order.sort_by(|a, b| least(a).total_cmp(&least(b)));
        let shown = (0..self.samples.len().min(rows)).chain(order.into_iter().take(rows));
        let mut cells = Vec::new();
        let blank = || {
            let side = self.samples[0].width();
            Picture::new(side, side, 1, vec![255; side * side])
        };
        for sample in shown {
            for space in [pixels, features] {
                cells.push(self.samples[sample].clone());
                let nearest = (0..NEIGHBORS).map(|i| space.nearest[sample].get(i));
                let picture = |neighbor: Option<&Neighbor>| data.picture(neighbor?.number).ok();
                cells.extend(nearest.map(|neighbor| picture(neighbor).unwrap_or_else(blank)));
            }
        }
        for row in 0..rows.div_ceil(2) {
            for space in [pixels, features] {
                for column in 0..2 {
                    let pair = space.birthday.closest.get(2 * row + column);
                    cells.extend((0..2).map(|i| pair.map_or_else(blank, |pair| self.samples[pair.samples[i]].clone())));
                }
                cells.push(blank());
            }
        }
        grid(&cells, 2 * (NEIGHBORS + 1), 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_with_the_same_nearest_image_count_as_one_observation() {
        let pair = |hit: bool, number: u64| {
            let far = Neighbor { number: 9, distance: 2.0 };
            let near = Neighbor { number, distance: 1.0 };
            if hit { [near, far] } else { [far, near] }
        };
        let spread = NearestSetShare::count((0..40).map(|i| pair(i % 2 == 0, i)));
        let crowded = NearestSetShare::count((0..40).map(|i| pair(i % 2 == 0, i % 4)));
        assert_eq!((spread.hits, spread.total, crowded.hits), (20, 40, 20));
        // By hand: 1.96 * sqrt(40 / 4) / 40, and 1.96 * sqrt(4 * 100 / 4) / 40.
        assert!((spread.share.high - 0.5 - 0.155).abs() < 1e-3, "{spread:?}");
        assert!((crowded.share.high - 0.5 - 0.49).abs() < 1e-3, "{crowded:?}");
    }
}
