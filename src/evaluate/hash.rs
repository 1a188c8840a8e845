//! Semantic hashes of pictures (section 4.1): a 3072-128-3072 denoising autoencoder, dropout-regularised, with rectified
//! units, learns 32x32 centre crops; which units of the code are above zero makes 128 bits.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::error::MeasureError;
use crate::image::Picture;
use crate::latent::{DrawError, read};
use crate::model::{Adam, Autoencoder, Optimiser, track};
use crate::progress::Cancelled;

/// Side of the crops, and their colours.
pub const SIDE: usize = 32;
/// Colours of the crops.
pub const CHANNELS: usize = 3;
const VALUES: usize = SIDE * SIDE * CHANNELS;
/// Units of the code, and bits of a hash.
pub const BITS: usize = 128;
/// Pictures in a step, and hashed at a time.
const BATCH: usize = 128;
const RATE: f64 = 1e-3;
/// Share of the values that are hidden from it, and of the units that are dropped.
const HIDDEN: f64 = 0.2;
const DROPPED: f64 = 0.2;

/// Gives pictures hashes that are equal for equal pictures, and differ by few bits for those that look alike.
pub struct Hasher {
    network: Autoencoder,
    /// The mean picture, which says nothing about any one.
    mean: Vec<f32>,
    device: Device,
}

impl Hasher {
    /// Learns from 32x32 colour pictures, `steps` steps of 128. `seed` decides all that is random; `progress` hears how
    /// many steps are done.
    ///
    /// # Errors
    /// [`MeasureError`]: the device fails, or `progress` cancels.
    ///
    /// # Panics
    /// If there are no pictures.
    pub fn learn(
        pictures: &[Picture],
        steps: usize,
        seed: u64,
        device: &Device,
        progress: &mut dyn FnMut(usize) -> Result<(), Cancelled>,
    ) -> Result<Self, MeasureError> {
        let mut hasher =
            Self { network: Autoencoder::new(VALUES, BITS, seed, device), mean: Vec::new(), device: device.clone() };
        hasher.mean = mean(pictures);
        let mut optimiser = Optimiser::new(Adam::default(), &hasher.network.layers);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for step in 0..steps {
            let chosen: Vec<&Picture> = (0..BATCH).filter_map(|_| pictures.choose(&mut rng)).collect();
            let whole = hasher.values(&chosen);
            let hidden = whole.iter().map(|&value| if rng.random_bool(HIDDEN) { 0.0 } else { value }).collect();
            // Kept units count for the dropped ones, so that codes are as large as they will be without dropout.
            let kept = (1.0 / (1.0 - DROPPED)) as f32;
            let mask = (0..BATCH * BITS).map(|_| if rng.random_bool(DROPPED) { 0.0 } else { kept }).collect();
            let on_tape = |values: Vec<f32>, width: usize| {
                Tensor::<2>::from_data(TensorData::new(values, [BATCH, width]), device).autodiff()
            };
            let mut tracked = hasher.network.clone();
            track(&mut tracked.layers);
            let made = tracked.reconstruct(on_tape(hidden, VALUES), on_tape(mask, BITS));
            let mut grads = (made - on_tape(whole, VALUES)).square().sum().div_scalar(BATCH as f64).backward();
            let rate = RATE * 0.5 * (1.0 + (std::f64::consts::PI * step as f64 / steps as f64).cos());
            optimiser.update(&mut hasher.network.layers, &tracked.layers, &mut grads, rate);
            progress(step + 1)?;
        }
        Ok(hasher)
    }

    /// The hashes of 32x32 colour pictures.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn hashes(&self, pictures: &[Picture]) -> Result<Vec<u128>, DrawError> {
        let mut hashes = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(BATCH) {
            let values = self.values(&pictures.iter().collect::<Vec<_>>());
            let values = Tensor::from_data(TensorData::new(values, [pictures.len(), VALUES]), &self.device);
            let codes = read(self.network.encode(values))?;
            let hash = |code: &[f32]| code.iter().fold(0, |hash, &unit| hash << 1 | u128::from(unit > 0.0));
            hashes.extend(codes.chunks_exact(BITS).map(hash));
        }
        Ok(hashes)
    }

    /// `[pictures, 3072]` without the mean.
    fn values(&self, pictures: &[&Picture]) -> Vec<f32> {
        let mut values = vec![0.0; pictures.len() * VALUES];
        values.par_chunks_exact_mut(VALUES).zip(pictures).for_each(|(values, picture)| {
            picture.write_chw(values);
            values.iter_mut().zip(&self.mean).for_each(|(value, mean)| *value -= mean);
        });
        values
    }
}

fn mean(pictures: &[Picture]) -> Vec<f32> {
    let mut sum = vec![0.0f64; VALUES];
    let mut values = vec![0.0; VALUES];
    for picture in pictures {
        picture.write_chw(&mut values);
        sum.iter_mut().zip(&values).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sum.iter().map(|sum| (sum / pictures.len() as f64) as f32).collect()
}

/// Two numbers whose hashes differ by some bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Link {
    /// The bits that differ.
    pub bits: u32,
    /// The smaller number.
    pub a: usize,
    /// The larger one.
    pub b: usize,
}

/// All pairs of hashes that differ by at most `radius` bits, of which equal ones are linked in a chain only.
///
/// Two that differ by `radius` bits agree in one of `radius + 1` parts at least (multi-index hashing, Norouzi et al. 2012), so
/// that only those that share a part are compared: time grows as the number of pictures, as long as few share one by chance.
pub fn links(hashes: &[u128], radius: u32) -> Vec<Link> {
    // Equal hashes are compared once for all of them.
    let mut same: HashMap<u128, Vec<usize>> = HashMap::new();
    for (number, &hash) in hashes.iter().enumerate() {
        same.entry(hash).or_default().push(number);
    }
    let mut links: Vec<Link> = same
        .values()
        .flat_map(|members| members.windows(2).map(|pair| Link { bits: 0, a: pair[0], b: pair[1] }))
        .collect();
    let mut distinct: Vec<(u128, usize)> = same.iter().map(|(&hash, members)| (hash, members[0])).collect();
    distinct.sort_unstable();
    let parts = if radius == 0 { 0 } else { radius + 1 };
    let found: Vec<Vec<Link>> = (0..parts)
        .into_par_iter()
        .map(|part| {
            let ends = [part, part + 1].map(|i| BITS as u32 * i / parts);
            let key = |hash: u128| (hash >> ends[0]) & (u128::MAX >> (BITS as u32 - (ends[1] - ends[0])));
            let mut buckets: HashMap<u128, Vec<(u128, usize)>> = HashMap::new();
            for &(hash, number) in &distinct {
                buckets.entry(key(hash)).or_default().push((hash, number));
            }
            let mut found = Vec::new();
            for bucket in buckets.values() {
                for (i, &(one, a)) in bucket.iter().enumerate() {
                    for &(other, b) in &bucket[i + 1..] {
                        let bits = (one ^ other).count_ones();
                        if bits <= radius {
                            found.push(Link { bits, a: a.min(b), b: a.max(b) });
                        }
                    }
                }
            }
            found
        })
        .collect();
    links.extend(found.into_iter().flatten());
    links.sort_unstable();
    links.dedup();
    links
}

/// Groups of numbers below `count`, each sorted, the largest first. Whatever is in a group is linked with its first, or has the
/// hash of one that is: a chain of small differences, as between skies, makes no duplicates of its ends.
pub fn groups(count: usize, links: &[Link]) -> Vec<Vec<usize>> {
    // Equal hashes are one; the smallest number stands for them, which is the one that is linked with others.
    let mut stands: Vec<usize> = (0..count).collect();
    for link in links.iter().filter(|link| link.bits == 0) {
        stands[link.b] = stands[link.a];
    }
    let mut near: HashMap<usize, Vec<usize>> = HashMap::new();
    for link in links.iter().filter(|link| link.bits > 0) {
        near.entry(link.a).or_default().push(link.b);
    }
    let mut first: Vec<usize> = (0..count).collect();
    for number in 0..count {
        if first[number] == number {
            for &other in near.get(&number).into_iter().flatten() {
                // One that is somebody's duplicate already stays so.
                if first[other] == other {
                    first[other] = number;
                }
            }
        }
    }
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (number, &stands) in stands.iter().enumerate() {
        members.entry(first[stands]).or_default().push(number);
    }
    let mut groups: Vec<Vec<usize>> = members.into_values().filter(|group| group.len() > 1).collect();
    groups.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_within_the_radius_is_found() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut hashes: Vec<u128> = (0..300).map(|_| rng.random()).collect();
        for i in 0..100 {
            let bits = rng.random_range(0..10);
            let changed = (0..bits).fold(hashes[i], |hash, _| hash ^ 1 << rng.random_range(0..BITS));
            hashes.push(changed);
        }
        for radius in [0, 1, 3, 8] {
            let found = links(&hashes, radius);
            for a in 0..hashes.len() {
                for b in a + 1..hashes.len() {
                    let bits = (hashes[a] ^ hashes[b]).count_ones();
                    assert_eq!(found.contains(&Link { bits, a, b }), bits <= radius, "{radius}: {a} {b} {bits}");
                }
            }
        }
    }

    #[test]
    fn links_make_groups() {
        let hashes = [7, 7, 7, 1 << 90, (1 << 90) + 1, 0xffff << 40];
        let found = links(&hashes, 1);
        assert_eq!(groups(6, &found), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(groups(6, &links(&hashes, 0)), [vec![0, 1, 2]]);
    }

    #[test]
    fn a_chain_makes_no_duplicates_of_its_ends() {
        // Each differs from the next by one bit, 0 and 2 by two, and 3 has the hash of 1.
        let hashes = [0, 1, 3, 1, 7];
        assert_eq!(groups(5, &links(&hashes, 1)), [vec![0, 1, 3], vec![2, 4]]);
        assert_eq!(groups(5, &links(&hashes, 3)), [vec![0, 1, 2, 3, 4]]);
    }
}
