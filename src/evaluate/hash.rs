//! [`SemanticHasher`]: 128-bit semantic hashes of images (section 4.1), and the search for hashes that differ by few bits.
//!
//! A 3072-128-3072 denoising autoencoder with dropout and rectified units is fitted to 32x32 center crops. The hash of an image
//! has a bit for each code unit, set where the unit is positive.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::error::EvaluationError;
use crate::device::{ComputeError, read_tensor};
use crate::image::Picture;
use crate::model::{Autoencoder, FitSchedule, fit};
use crate::progress::Cancelled;

/// Side of the crops in pixels.
pub const SIDE: usize = 32;
/// Color channels of the crops.
pub const CHANNELS: usize = 3;
const VALUES: usize = SIDE * SIDE * CHANNELS;
/// Code units, and bits of a hash.
pub const BITS: usize = 128;
/// Images per training step, and per pass when hashing.
const BATCH: usize = 128;
/// Learning rate of the first step; it decays as a cosine.
const RATE: f64 = 1e-3;
/// Share of input values set to zero, and of code units dropped, in training.
const NOISE: f64 = 0.2;
const DROPOUT: f64 = 0.2;

/// Hashes images: equal images have equal hashes, similar images hashes that differ by few bits.
pub struct SemanticHasher {
    network: Autoencoder,
    /// The mean image, which is subtracted from all.
    mean: Vec<f32>,
    device: Device,
}

impl SemanticHasher {
    /// Trains the autoencoder on 32x32 color images for `steps` steps of 128. `seed` decides everything random; `progress` gets the
    /// number of steps taken.
    ///
    /// # Errors
    /// [`EvaluationError`]: the device fails, or `progress` cancels.
    ///
    /// # Panics
    /// If there are no images.
    pub fn fit(
        pictures: &[Picture],
        steps: usize,
        seed: u64,
        device: &Device,
        progress: &mut dyn FnMut(usize) -> Result<(), Cancelled>,
    ) -> Result<Self, EvaluationError> {
        let mut network = Autoencoder::new(VALUES, BITS, seed, device);
        let mean = mean_image(pictures);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let on_tape = |values: Vec<f32>, width: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [BATCH, width]), device).autodiff()
        };
        let loss = |_, network: &mut Autoencoder| {
            let batch: Vec<&Picture> = (0..BATCH).filter_map(|_| pictures.choose(&mut rng)).collect();
            let clean = centered(&batch, &mean);
            let noisy = clean.iter().map(|&value| if rng.random_bool(NOISE) { 0.0 } else { value }).collect();
            // The other units are scaled up, so that codes are as large as they will be without dropout.
            let scale = (1.0 / (1.0 - DROPOUT)) as f32;
            let mask = (0..BATCH * BITS).map(|_| if rng.random_bool(DROPOUT) { 0.0 } else { scale }).collect();
            let reconstruction = network.reconstruct(on_tape(noisy, VALUES), on_tape(mask, BITS));
            (reconstruction - on_tape(clean, VALUES)).square().sum().div_scalar(BATCH as f64)
        };
        fit(&mut network, FitSchedule { steps, rate: RATE, floor: 0.0 }, loss, |step, _, _| progress(step))?;
        Ok(Self { network, mean, device: device.clone() })
    }

    /// The hashes of 32x32 color images.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn hashes(&self, pictures: &[Picture]) -> Result<Vec<u128>, ComputeError> {
        let mut hashes = Vec::with_capacity(pictures.len());
        for pictures in pictures.chunks(BATCH) {
            let values = centered(&pictures.iter().collect::<Vec<_>>(), &self.mean);
            let values = Tensor::from_data(TensorData::new(values, [pictures.len(), VALUES]), &self.device);
            let codes = read_tensor(self.network.encode(values))?;
            let hash = |code: &[f32]| code.iter().fold(0, |hash, &unit| hash << 1 | u128::from(unit > 0.0));
            hashes.extend(codes.chunks_exact(BITS).map(hash));
        }
        Ok(hashes)
    }
}

/// Values `[pictures, 3072]` minus the mean image.
fn centered(pictures: &[&Picture], mean: &[f32]) -> Vec<f32> {
    let mut values = vec![0.0; pictures.len() * VALUES];
    values.par_chunks_exact_mut(VALUES).zip(pictures).for_each(|(values, picture)| {
        picture.write_chw(values);
        values.iter_mut().zip(mean).for_each(|(value, mean)| *value -= mean);
    });
    values
}

fn mean_image(pictures: &[Picture]) -> Vec<f32> {
    let mut sum = vec![0.0f64; VALUES];
    let mut values = vec![0.0; VALUES];
    for picture in pictures {
        picture.write_chw(&mut values);
        sum.iter_mut().zip(&values).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    sum.iter().map(|sum| (sum / pictures.len() as f64) as f32).collect()
}

/// Two images, by their indices, whose hashes differ by few bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashPair {
    /// Hamming distance of the hashes.
    pub bits: u32,
    /// The smaller index.
    pub a: usize,
    /// The larger index.
    pub b: usize,
}

/// All pairs of hashes within a Hamming distance of `radius`; of equal hashes only those of consecutive indices.
///
/// Two hashes that differ by at most `radius` bits agree in at least one of `radius + 1` substrings (multi-index hashing, Norouzi
/// et al. 2012). Only hashes with a common substring are compared, so the time is linear in the number of images as long as few
/// share a substring by chance.
pub fn near_pairs(hashes: &[u128], radius: u32) -> Vec<HashPair> {
    // Equal hashes are represented by their first index.
    let mut same: HashMap<u128, Vec<usize>> = HashMap::new();
    for (number, &hash) in hashes.iter().enumerate() {
        same.entry(hash).or_default().push(number);
    }
    let mut pairs: Vec<HashPair> = same
        .values()
        .flat_map(|members| members.windows(2).map(|pair| HashPair { bits: 0, a: pair[0], b: pair[1] }))
        .collect();
    let mut distinct: Vec<(u128, usize)> = same.iter().map(|(&hash, members)| (hash, members[0])).collect();
    distinct.sort_unstable();
    let substrings = if radius == 0 { 0 } else { radius + 1 };
    let near: Vec<Vec<HashPair>> = (0..substrings)
        .into_par_iter()
        .map(|substring| {
            let ends = [substring, substring + 1].map(|i| BITS as u32 * i / substrings);
            let key = |hash: u128| (hash >> ends[0]) & (u128::MAX >> (BITS as u32 - (ends[1] - ends[0])));
            let mut buckets: HashMap<u128, Vec<(u128, usize)>> = HashMap::new();
            for &(hash, number) in &distinct {
                buckets.entry(key(hash)).or_default().push((hash, number));
            }
            let mut near = Vec::new();
            for bucket in buckets.values() {
                for (i, &(one, a)) in bucket.iter().enumerate() {
                    for &(other, b) in &bucket[i + 1..] {
                        let bits = (one ^ other).count_ones();
                        if bits <= radius {
                            near.push(HashPair { bits, a: a.min(b), b: a.max(b) });
                        }
                    }
                }
            }
            near
        })
        .collect();
    pairs.extend(near.into_iter().flatten());
    pairs.sort_unstable();
    pairs.dedup();
    pairs
}

/// Groups of indices below `count`, each in ascending order, the largest group first. Every member is paired with the first of its
/// group, or has the hash of one that is: a chain of small differences, as between pictures of the sky, does not make its ends
/// duplicates.
pub fn groups(count: usize, pairs: &[HashPair]) -> Vec<Vec<usize>> {
    // The smallest index represents equal hashes; it is the one that is paired with others.
    let mut representative: Vec<usize> = (0..count).collect();
    for pair in pairs.iter().filter(|pair| pair.bits == 0) {
        representative[pair.b] = representative[pair.a];
    }
    let mut near: HashMap<usize, Vec<usize>> = HashMap::new();
    for pair in pairs.iter().filter(|pair| pair.bits > 0) {
        near.entry(pair.a).or_default().push(pair.b);
    }
    let mut first: Vec<usize> = (0..count).collect();
    for number in 0..count {
        if first[number] == number {
            for &other in near.get(&number).into_iter().flatten() {
                // A duplicate of an earlier image stays in that group.
                if first[other] == other {
                    first[other] = number;
                }
            }
        }
    }
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for (number, &representative) in representative.iter().enumerate() {
        members.entry(first[representative]).or_default().push(number);
    }
    let mut groups: Vec<Vec<usize>> = members.into_values().filter(|group| group.len() > 1).collect();
    groups.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_within_the_radius_is_returned() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut hashes: Vec<u128> = (0..300).map(|_| rng.random()).collect();
        for i in 0..100 {
            let bits = rng.random_range(0..10);
            let changed = (0..bits).fold(hashes[i], |hash, _| hash ^ 1 << rng.random_range(0..BITS));
            hashes.push(changed);
        }
        for radius in [0, 1, 3, 8] {
            let pairs = near_pairs(&hashes, radius);
            for a in 0..hashes.len() {
                for b in a + 1..hashes.len() {
                    let bits = (hashes[a] ^ hashes[b]).count_ones();
                    assert_eq!(pairs.contains(&HashPair { bits, a, b }), bits <= radius, "{radius}: {a} {b} {bits}");
                }
            }
        }
    }

    #[test]
    fn pairs_make_groups() {
        let hashes = [7, 7, 7, 1 << 90, (1 << 90) + 1, 0xffff << 40];
        let pairs = near_pairs(&hashes, 1);
        assert_eq!(groups(6, &pairs), [vec![0, 1, 2], vec![3, 4]]);
        assert_eq!(groups(6, &near_pairs(&hashes, 0)), [vec![0, 1, 2]]);
    }

    #[test]
    fn ends_of_a_chain_are_not_duplicates() {
        // Each differs from the next by one bit, 0 and 2 by two, and 3 has the hash of 1.
        let hashes = [0, 1, 3, 1, 7];
        assert_eq!(groups(5, &near_pairs(&hashes, 1)), [vec![0, 1, 3], vec![2, 4]]);
        assert_eq!(groups(5, &near_pairs(&hashes, 3)), [vec![0, 1, 2, 3, 4]]);
    }
}
