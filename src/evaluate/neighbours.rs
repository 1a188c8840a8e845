//! Does it memorise (sections 4.1 and 6.1)? The training pictures nearest to what a generator draws, by pixels and by the
//! discriminator's features, and whether they are nearer than they are to pictures that were never trained on.

use std::collections::HashMap;

use burn::tensor::Device;
use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::birthday::Birthday;
use super::error::MeasureError;
use super::features::{By, Kind, Space, distances};
use super::labelled::{decode, read};
use super::statistics::{self, Estimate, Share};
use super::svm::Table;
use crate::data::{Dataset, Problem};
use crate::image::{Picture, grid};
use crate::latent::{self, DrawError};
use crate::model::Model;
use crate::progress::Progress;

/// Training pictures that are looked at together.
const AT_ONCE: usize = 1024;
/// Samples that are drawn together.
const DRAWN: usize = 256;
/// Neighbours that are kept of each sample.
pub const KEPT: usize = 4;
/// The share of held-out pictures that are nearer to a training picture than the limit of what is suspicious.
const SUSPICIOUS: f64 = 0.05;

/// How it is measured.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Settings {
    /// Samples.
    pub samples: usize,
    /// Training pictures at most.
    pub count: usize,
    /// Held-out pictures at most.
    pub held: usize,
    /// Names the samples and picks the pictures.
    pub seed: u64,
}

/// A training picture beside a sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Nearest {
    /// The training picture.
    pub number: u64,
    /// Euclidean.
    pub distance: f32,
}

/// What is near in one space.
#[derive(Debug, Clone, Serialize)]
pub struct InSpace {
    /// Which.
    pub space: Kind,
    /// The four nearest training pictures of each sample, the nearest first.
    pub nearest: Vec<Vec<Nearest>>,
    /// Samples whose nearest, of as many training and held-out pictures, is a training one: a half without memorising. None
    /// where nothing was held out.
    pub sides: Option<Sides>,
    /// How often a sample is nearer to the training pictures than a held-out picture is: more than a half for what was
    /// memorised, but also for what is smooth, since that is near to everything.
    pub nearer: Option<Estimate>,
    /// Samples that are nearer than all but 5 % of the held-out pictures.
    pub suspicious: Share,
    /// How many distinct samples there are.
    pub birthday: Birthday,
}

/// How many samples are nearer to the first of two sets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Sides {
    /// Those that are.
    pub hits: usize,
    /// All samples.
    pub of: usize,
    /// Their share. Some pictures are the nearest of many samples, which therefore count as one in the interval.
    #[serde(flatten)]
    pub share: Estimate,
}

impl Sides {
    /// Of each sample's nearest in both sets.
    fn count(pairs: impl Iterator<Item = [Nearest; 2]>) -> Self {
        let (mut share, mut crowds) = (Share::default(), HashMap::<(bool, u64), f64>::new());
        for [first, second] in pairs {
            let hit = first.distance < second.distance;
            share.count(hit);
            *crowds.entry((hit, if hit { first.number } else { second.number })).or_default() += 1.0;
        }
        let Share { hits, of } = share;
        let value = hits as f64 / of.max(1) as f64;
        let error = |(&(hit, _), size): (&(bool, u64), &f64)| (size * (f64::from(u8::from(hit)) - value)).powi(2);
        let half = 1.96 * crowds.iter().map(error).sum::<f64>().sqrt() / of.max(1) as f64;
        let share = Estimate { value, low: (value - half).max(0.0), high: (value + half).min(1.0) };
        Self { hits, of, share }
    }
}

/// Everything that was measured.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// As asked.
    pub settings: Settings,
    /// Training pictures looked at.
    pub training: usize,
    /// Held-out pictures; where there were none, training pictures of which each is compared with all others.
    pub held: usize,
    /// Whether they were held out.
    pub held_out: bool,
    /// By pixels, then by features.
    pub spaces: Vec<InSpace>,
    /// The samples.
    #[serde(skip)]
    pub samples: Vec<Picture>,
    /// What could not be read.
    #[serde(skip)]
    pub skipped: Vec<Problem>,
}

/// Looks for the nearest of a set that comes in parts.
struct Search {
    queries: Table,
    /// The number of a query that is in the set itself, and not its own neighbour.
    own: Vec<Option<u64>>,
    nearest: Vec<Vec<Nearest>>,
}

impl Search {
    fn new(queries: Table, own: Vec<Option<u64>>) -> Self {
        Self { nearest: vec![Vec::new(); queries.len()], queries, own }
    }

    fn look(&mut self, numbers: &[u64], table: &Table, device: &Device) -> Result<(), DrawError> {
        let found = distances(&self.queries, table, device)?;
        let rows = found.par_chunks_exact(numbers.len().max(1)).zip(&self.own);
        self.nearest.par_iter_mut().zip(rows).for_each(|(nearest, (row, own))| {
            for (&number, &square) in numbers.iter().zip(row) {
                let distance = square.sqrt();
                let full = nearest.len() == KEPT && nearest.last().is_some_and(|last| last.distance <= distance);
                if full || *own == Some(number) {
                    continue;
                }
                let at = nearest.partition_point(|other| other.distance <= distance);
                nearest.insert(at, Nearest { number, distance });
                nearest.truncate(KEPT);
            }
        });
        Ok(())
    }
}

/// Looks for the training pictures nearest to samples of `model` in `data`, by pixels and in the space that `by` makes, and
/// compares with pictures of `held`, or, where there are none, with training pictures that are compared with all others.
///
/// # Errors
/// [`MeasureError`]: too few pictures, a device that fails.
pub fn neighbours(
    model: &Model,
    by: By,
    data: &Dataset,
    held: Option<&Dataset>,
    settings: Settings,
    device: &Device,
    progress: &mut Progress,
) -> Result<Report, MeasureError> {
    let samples = draw(model, settings.samples, settings.seed, device, progress)?;
    let chosen = pick(data, settings.count, settings.seed);
    let mut skipped = Vec::new();
    let (queries, own) = match held {
        Some(held) => {
            let (read, problems) = read(held, &pick(held, settings.held, settings.seed), progress)?;
            skipped.extend(problems);
            let pictures: Vec<Picture> = read.into_iter().map(|(_, picture)| picture).collect();
            let own = vec![None; pictures.len()];
            (pictures, own)
        }
        None => {
            let among = index::sample(
                &mut ChaCha8Rng::seed_from_u64(settings.seed),
                chosen.len(),
                settings.held.min(chosen.len()),
            );
            let numbers: Vec<u64> = among.iter().map(|i| chosen[i]).collect();
            let (read, _) = read(data, &numbers, progress)?;
            read.into_iter().map(|(number, picture)| (picture, Some(number))).unzip()
        }
    };
    let few = |dataset: &Dataset, have, hint| MeasureError::TooFew {
        source_name: dataset.source().to_string(),
        class: None,
        have,
        need: KEPT + 1,
        hint,
    };
    if queries.len() <= KEPT {
        return Err(few(held.unwrap_or(data), queries.len(), "give more pictures to compare with"));
    }
    // Statistics of the batch norm are taken from real pictures, before distances are.
    let spaces = [By::Pixels(model.config()), by].map(|by| Space::new(by, &queries, settings.seed, device));
    let mut searches = Vec::new();
    for space in &spaces {
        let of_samples = Search::new(space.features(&samples, &mut |_| Ok(()))?, vec![None; samples.len()]);
        let of_held = Search::new(space.features(&queries, &mut |_| Ok(()))?, own.clone());
        searches.push([of_samples, of_held]);
    }
    let mut training = 0;
    for part in chosen.chunks(AT_ONCE) {
        let (read, problems) = decode(data, part);
        skipped.extend(problems);
        training += read.len();
        let (numbers, pictures): (Vec<u64>, Vec<Picture>) = read.into_iter().unzip();
        for (space, searches) in spaces.iter().zip(&mut searches) {
            let table = space.features(&pictures, &mut |_| Ok(()))?;
            for search in searches.iter_mut().filter(|_| !numbers.is_empty()) {
                search.look(&numbers, &table, device)?;
            }
        }
        progress("looking for neighbours", training, chosen.len())?;
    }
    if training <= KEPT {
        return Err(few(data, training, "give more pictures to look in"));
    }
    let sides = match held {
        None => vec![None; spaces.len()],
        Some(held) => {
            let count = held.len().unwrap_or(settings.count).min(chosen.len());
            let among = index::sample(&mut ChaCha8Rng::seed_from_u64(settings.seed), chosen.len(), count);
            let sets = [(data, among.iter().map(|i| chosen[i]).collect()), (held, pick(held, count, settings.seed))];
            let tables: Vec<&Table> = searches.iter().map(|[of_samples, _]| &of_samples.queries).collect();
            sides(sets, &tables, &spaces, device, progress)?.into_iter().map(Some).collect()
        }
    };
    let mut told = Vec::new();
    for ((space, [of_samples, of_held]), sides) in spaces.iter().zip(searches).zip(sides) {
        let least = |search: &Search| -> Vec<f64> {
            search.nearest.iter().filter_map(|nearest| Some(f64::from(nearest.first()?.distance))).collect()
        };
        let (near, mut far) = (least(&of_samples), least(&of_held));
        let nearer = statistics::less(&near, &far, settings.seed);
        far.sort_by(f64::total_cmp);
        let limit = far[((far.len() - 1) as f64 * SUSPICIOUS).floor() as usize];
        let mut suspicious = Share::default();
        near.iter().for_each(|&distance| suspicious.count(distance < limit));
        let birthday = Birthday::count(&of_samples.queries, &of_held.queries, device)?;
        told.push(InSpace { space: space.kind, nearest: of_samples.nearest, sides, nearer, suspicious, birthday });
    }
    let held_out = held.is_some();
    Ok(Report { settings, training, held: queries.len(), held_out, spaces: told, samples, skipped })
}

/// For each space, how many samples are nearer to the first set than to the second.
fn sides(
    sets: [(&Dataset, Vec<u64>); 2],
    samples: &[&Table],
    spaces: &[Space],
    device: &Device,
    progress: &mut Progress,
) -> Result<Vec<Sides>, MeasureError> {
    let search = |table: &Table| Search::new(table.clone(), vec![None; table.len()]);
    let mut searches: Vec<[Search; 2]> = samples.iter().map(|table| [search(table), search(table)]).collect();
    for (side, (data, numbers)) in sets.iter().enumerate() {
        for (number, part) in numbers.chunks(AT_ONCE).enumerate() {
            let (numbers_read, pictures): (Vec<u64>, Vec<Picture>) = decode(data, part).0.into_iter().unzip();
            for (space, searches) in spaces.iter().zip(&mut searches).filter(|_| !pictures.is_empty()) {
                searches[side].look(&numbers_read, &space.features(&pictures, &mut |_| Ok(()))?, device)?;
            }
            progress("comparing with held-out pictures", number * AT_ONCE + part.len(), numbers.len())?;
        }
    }
    let count = |[first, second]: &[Search; 2]| {
        let both = first.nearest.iter().zip(&second.nearest);
        Sides::count(both.filter_map(|(first, second)| Some([*first.first()?, *second.first()?])))
    };
    Ok(searches.iter().map(count).collect())
}

/// Samples 0 to `count` of `seed`.
///
/// # Errors
/// [`MeasureError`]: the device fails, or `progress` cancels.
pub(crate) fn draw(
    model: &Model,
    count: usize,
    seed: u64,
    device: &Device,
    progress: &mut Progress,
) -> Result<Vec<Picture>, MeasureError> {
    let mut samples = Vec::with_capacity(count);
    while samples.len() < count {
        let numbers = samples.len() as u64..(samples.len() + DRAWN).min(count) as u64;
        let z = latent::samples(model.config(), seed, numbers);
        samples.extend(latent::pictures(&model.generator, &z, device)?);
        progress("drawing samples", samples.len(), count)?;
    }
    Ok(samples)
}

/// Up to `count` numbers of a set's pictures, by `seed`; the first ones of a set without end.
pub(crate) fn pick(dataset: &Dataset, count: usize, seed: u64) -> Vec<u64> {
    match dataset.len() {
        None => (0..count as u64).collect(),
        Some(length) if length <= count => (0..length as u64).collect(),
        Some(length) => {
            let picked = index::sample(&mut ChaCha8Rng::seed_from_u64(seed), length, count);
            let mut picked: Vec<u64> = picked.iter().map(|i| i as u64).collect();
            picked.sort_unstable();
            picked
        }
    }
}

impl Report {
    /// The first `rows` samples, then as many of those that are nearest to a training picture by features. On each row the
    /// sample, its four nearest by pixels, the sample again, its four nearest by features. Then the closest pairs of
    /// samples: on the left by pixels, on the right by features.
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
                let near = (0..KEPT).map(|i| space.nearest[sample].get(i));
                cells.extend(near.map(|near| near.and_then(|n| data.picture(n.number).ok()).unwrap_or_else(blank)));
            }
        }
        for row in 0..rows.div_ceil(2) {
            for space in [pixels, features] {
                for pair in 0..2 {
                    let pair = space.birthday.closest.get(2 * row + pair);
                    cells.extend((0..2).map(|i| pair.map_or_else(blank, |pair| self.samples[pair.samples[i]].clone())));
                }
                cells.push(blank());
            }
        }
        grid(&cells, 2 * (KEPT + 1), 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_crowd_around_one_picture_count_as_one() {
        let pair = |hit: bool, number: u64| {
            let far = Nearest { number: 9, distance: 2.0 };
            let near = Nearest { number, distance: 1.0 };
            if hit { [near, far] } else { [far, near] }
        };
        let spread = Sides::count((0..40).map(|i| pair(i % 2 == 0, i)));
        let crowded = Sides::count((0..40).map(|i| pair(i % 2 == 0, i % 4)));
        assert_eq!((spread.hits, spread.of, crowded.hits), (20, 40, 20));
        // By hand: 1.96 * sqrt(40 / 4) / 40, and 1.96 * sqrt(4 * 100 / 4) / 40.
        assert!((spread.share.high - 0.5 - 0.155).abs() < 1e-3, "{spread:?}");
        assert!((crowded.share.high - 0.5 - 0.49).abs() < 1e-3, "{crowded:?}");
    }
}
