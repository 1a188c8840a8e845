//! Near-duplicates in a data set by semantic hashes (section 4.1), and the precision and recall of their detection.
//!
//! [`HashedDataset::new`] fits the hash and hashes the set; [`HashedDataset::groups`] lists duplicates for any [`DuplicateCriterion`];
//! [`HashedDataset::evaluate`] measures how many planted duplicates are detected.

use burn::tensor::Device;
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::error::EvaluationError;
use super::hash::{BITS, HashPair, SemanticHasher, groups, near_pairs};
use super::labeled::{decode, read};
use super::neighbors::sample_indices;
use super::similarity::same_content;
use super::statistics::Proportion;
use crate::data::{Dataset, Problem, fit};
use crate::image::Picture;
use crate::progress::Progress;

/// The most images to train the autoencoder on; they are in memory.
const MAX_TRAINING: usize = 50_000;
/// Images hashed between two reports of progress.
const HASH_BATCH: usize = 2048;
/// The largest Hamming distance at which detection is measured.
const MAX_RADIUS: u32 = 24;

/// When two images count as duplicates. It applies to hashes that are computed already, so changing it takes a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DuplicateCriterion {
    /// The largest Hamming distance between hashes of duplicates.
    pub radius: u32,
    /// Whether images with different hashes must also show the same content, at a shift of up to two pixels.
    pub confirm: bool,
}

impl Default for DuplicateCriterion {
    /// Finds copies, and images that were encoded anew or cropped by a few pixels.
    fn default() -> Self {
        Self { radius: 12, confirm: true }
    }
}

/// Options of [`HashedDataset::new`].
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DedupSettings {
    /// Training steps of the autoencoder.
    pub steps: usize,
    /// Decides everything random.
    pub seed: u64,
}

impl Default for DedupSettings {
    fn default() -> Self {
        Self { steps: 2000, seed: 1 }
    }
}

/// Duplicates of one image, by index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HashGroup {
    /// Indices of the images: the one to keep first, then those nearest to it.
    pub members: Vec<u64>,
    /// Hamming distance of each to the first.
    pub bits: Vec<u32>,
}

/// A data set with its hashes.
pub struct HashedDataset {
    /// Indices of the images that can be read.
    pub numbers: Vec<u64>,
    /// Their hashes.
    pub hashes: Vec<u128>,
    /// Files that cannot be read.
    pub skipped: Vec<Problem>,
    hasher: SemanticHasher,
}

impl HashedDataset {
    /// Fits a hash to a data set of 32x32 color images, and hashes it.
    ///
    /// # Errors
    /// [`EvaluationError`]: fewer than two images, a device that fails, or `progress` cancels.
    pub fn new(
        data: &Dataset,
        settings: DedupSettings,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, EvaluationError> {
        let (decoded, _) = read(data, &sample_indices(data, MAX_TRAINING, settings.seed), progress)?;
        let pictures: Vec<Picture> = decoded.into_iter().map(|(_, picture)| picture).collect();
        if pictures.len() < 2 {
            let hint = "duplicates need at least two";
            let source_name = data.source().to_string();
            return Err(EvaluationError::TooFew { source_name, class: None, have: pictures.len(), need: 2, hint });
        }
        let steps = settings.steps;
        let hasher = SemanticHasher::fit(&pictures, steps, settings.seed, device, &mut |done| {
            progress("training the hash", done, steps)
        })?;
        drop(pictures);
        let all = sample_indices(data, usize::MAX, settings.seed);
        let mut hashed = Self { numbers: Vec::new(), hashes: Vec::new(), skipped: Vec::new(), hasher };
        for batch in all.chunks(HASH_BATCH) {
            let (decoded, problems) = decode(data, batch);
            let (numbers, pictures): (Vec<u64>, Vec<Picture>) = decoded.into_iter().unzip();
            hashed.hashes.extend(hashed.hasher.hashes(&pictures)?);
            hashed.numbers.extend(numbers);
            hashed.skipped.extend(problems);
            progress("hashing", hashed.numbers.len() + hashed.skipped.len(), all.len())?;
        }
        Ok(hashed)
    }

    /// Groups of images that are duplicates of their first, the largest group first.
    pub fn groups(&self, data: &Dataset, criterion: DuplicateCriterion) -> Vec<HashGroup> {
        let mut pairs = near_pairs(&self.hashes, criterion.radius);
        if criterion.confirm {
            let picture = |number: usize| data.picture(self.numbers[number]).ok();
            let confirmed = |pair: &HashPair| {
                let same = || Some(same_content(&picture(pair.a)?, &picture(pair.b)?));
                pair.bits == 0 || same().unwrap_or(false)
            };
            pairs = pairs.into_par_iter().filter(confirmed).collect();
        }
        let group = |mut members: Vec<usize>| {
            let first = self.hashes[members[0]];
            let distance = |&member: &usize| (self.hashes[member] ^ first).count_ones();
            members[1..].sort_by_key(distance);
            HashGroup {
                bits: members.iter().map(distance).collect(),
                members: members.into_iter().map(|member| self.numbers[member]).collect(),
            }
        };
        groups(self.hashes.len(), &pairs).into_iter().map(group).collect()
    }

    /// The number of informative bits: those set in more than 1 % and less than 99 % of the hashes.
    pub fn used_bits(&self) -> usize {
        let few = self.hashes.len() / 100;
        let ones = |bit: usize| self.hashes.iter().filter(|&&hash| hash >> bit & 1 == 1).count();
        (0..BITS).into_par_iter().filter(|&bit| (few + 1..self.hashes.len() - few).contains(&ones(bit))).count()
    }

    /// Plants duplicates of `count` images of the set, one for each `Distortion`, and measures at each Hamming distance how many
    /// are detected, and how many of all detections near the originals are planted ones.
    ///
    /// # Errors
    /// [`EvaluationError`] when the device fails.
    pub fn evaluate(&self, data: &Dataset, count: usize, seed: u64) -> Result<DedupEvaluation, EvaluationError> {
        let mut rng = ChaCha8Rng::seed_from_u64(!seed);
        let originals: Vec<usize> =
            index::sample(&mut rng, self.hashes.len(), count.min(self.hashes.len())).into_iter().collect();
        // By distortion, then by image: its Hamming distance to the original, and whether the two show the same content.
        let mut planted: Vec<Vec<(u32, bool)>> = Vec::new();
        for distortion in Distortion::ALL {
            let seeds: Vec<u64> = originals.iter().map(|_| rng.random()).collect();
            let distorted: Vec<(usize, bool, Picture)> = (originals.par_iter().zip(seeds))
                .filter_map(|(&i, seed)| {
                    let distorted = distortion.apply(&data.original(self.numbers[i]).ok()?, seed)?;
                    let distorted = fit(&distorted, data.format()).ok()?;
                    Some((i, same_content(&data.picture(self.numbers[i]).ok()?, &distorted), distorted))
                })
                .collect();
            let pictures: Vec<Picture> = distorted.iter().map(|(.., picture)| picture.clone()).collect();
            let hashes = self.hasher.hashes(&pictures)?;
            let distances = distorted.iter().zip(hashes).map(|(&(i, same, _), hash)| {
                let bits = (self.hashes[i] ^ hash).count_ones();
                (bits, same || bits == 0)
            });
            planted.push(distances.collect());
        }
        // Other images of the set near an original.
        let near = |&i: &usize| -> Vec<(u32, bool)> {
            let own = data.picture(self.numbers[i]).ok();
            let others = (0..self.hashes.len()).filter(|&j| j != i);
            let distances = others.map(|j| (j, (self.hashes[i] ^ self.hashes[j]).count_ones()));
            let same = |j: usize| Some(same_content(own.as_ref()?, &data.picture(self.numbers[j]).ok()?));
            let near = distances.filter(|&(_, bits)| bits <= MAX_RADIUS);
            near.map(|(j, bits)| (bits, bits == 0 || same(j).unwrap_or(false))).collect()
        };
        let others: Vec<(u32, bool)> = originals.par_iter().flat_map_iter(near).collect();
        let count = |radius: u32, confirm: bool| {
            let hits =
                |of: &[(u32, bool)]| of.iter().filter(|&&(bits, same)| bits <= radius && (same || !confirm)).count();
            let recall: Vec<Proportion> =
                planted.iter().map(|of| Proportion { hits: hits(of), total: of.len() }).collect();
            let true_positives = recall.iter().map(|recall| recall.hits).sum::<usize>();
            let detections = true_positives + hits(&others);
            PrecisionRecall { precision: Proportion { hits: true_positives, total: detections }, recall }
        };
        let at_radius =
            |radius| DetectionAtRadius { radius, by_hash: count(radius, false), confirmed: count(radius, true) };
        Ok(DedupEvaluation {
            originals: originals.len(),
            distortions: Distortion::ALL.map(Distortion::name).to_vec(),
            by_radius: (0..=MAX_RADIUS).map(at_radius).collect(),
        })
    }
}

/// How a planted duplicate differs from its original.
#[derive(Debug, Clone, Copy)]
enum Distortion {
    Copy,
    Jpeg,
    SmallCrop,
    LargeCrop,
}

impl Distortion {
    const ALL: [Self; 4] = [Self::Copy, Self::Jpeg, Self::SmallCrop, Self::LargeCrop];

    fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Jpeg => "JPEG of quality 50 to 90",
            Self::SmallCrop => "3 % of the sides cut off",
            Self::LargeCrop => "6 % of the sides cut off",
        }
    }

    /// `None` if the image cannot be encoded.
    fn apply(self, picture: &Picture, seed: u64) -> Option<Picture> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Copy => Some(picture.clone()),
            Self::Jpeg => reencode(picture, rng.random_range(50..=90)),
            Self::SmallCrop => Some(crop(picture, 0.03, &mut rng)),
            Self::LargeCrop => Some(crop(picture, 0.06, &mut rng)),
        }
    }
}

fn reencode(picture: &Picture, quality: u8) -> Option<Picture> {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let mut jpeg = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, quality);
    encoder.encode(&picture.to_rgb(), width, height, image::ExtendedColorType::Rgb8).ok()?;
    Some(Picture::from_dynamic(image::load_from_memory(&jpeg).ok()?))
}

/// Crops `share` of the width and of the height, at least one pixel, divided at random between opposite sides.
fn crop(picture: &Picture, share: f64, rng: &mut ChaCha8Rng) -> Picture {
    let cut = |side: usize| ((side as f64 * share).round() as usize).max(1).min(side - 1);
    let (across, down) = (cut(picture.width()), cut(picture.height()));
    let (left, top) = (rng.random_range(0..=across), rng.random_range(0..=down));
    let (width, height, depth) = (picture.width() - across, picture.height() - down, picture.channels());
    let rows = picture.pixels().chunks_exact(picture.width() * depth).skip(top).take(height);
    let pixels = rows.flat_map(|row| &row[left * depth..(left + width) * depth]).copied().collect();
    Picture::new(width, height, depth, pixels)
}

/// How well planted duplicates are detected.
#[derive(Debug, Clone, Serialize)]
pub struct DedupEvaluation {
    /// Images with planted duplicates.
    pub originals: usize,
    /// Names of the distortions.
    #[serde(rename = "kinds")]
    pub distortions: Vec<&'static str>,
    /// Detection at Hamming distances of up to 0, 1, 2 ... bits.
    #[serde(rename = "found")]
    pub by_radius: Vec<DetectionAtRadius>,
}

/// Detection within a Hamming distance.
#[derive(Debug, Clone, Serialize)]
pub struct DetectionAtRadius {
    /// The largest Hamming distance.
    pub radius: u32,
    /// By the hash alone, as in the paper.
    #[serde(rename = "hash")]
    pub by_hash: PrecisionRecall,
    /// By the hash, and confirmed by the same content.
    pub confirmed: PrecisionRecall,
}

/// Precision and recall of a detection.
#[derive(Debug, Clone, Serialize)]
pub struct PrecisionRecall {
    /// Share of the planted duplicates that are detected, by distortion.
    pub recall: Vec<Proportion>,
    /// Share of all detections near an original that were planted. The set's own duplicates count as mistakes.
    pub precision: Proportion,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::data::synth::Scene;
    use crate::evaluate::hash::{CHANNELS, SIDE};
    use crate::image::PictureFormat;

    #[test]
    fn planted_duplicates_are_detected_and_own_ones_listed() {
        let folder = tempfile::tempdir().unwrap();
        let rooms: Vec<Picture> = (0..60).map(|i| Scene::Rooms.draw(1, i, 48).picture).collect();
        for (i, room) in rooms.iter().enumerate() {
            room.write_png(&folder.path().join(format!("{i:02}.png"))).unwrap();
        }
        for i in [3, 40] {
            rooms[i].write_png(&folder.path().join(format!("copy-{i}.png"))).unwrap();
        }
        let source = Source::from(&folder.path().to_string_lossy());
        let data = Dataset::open(&source, PictureFormat::new(SIDE, CHANNELS), 1).unwrap();
        let settings = DedupSettings { steps: 60, seed: 1 };
        let device = Device::flex();
        let hashed = HashedDataset::new(&data, settings, &device, &mut |_, _, _| Ok(())).unwrap();
        assert!(hashed.used_bits() > 60, "{}", hashed.used_bits());
        let groups = |radius: u32, confirm: bool| hashed.groups(&data, DuplicateCriterion { radius, confirm });
        let names: Vec<Vec<String>> = groups(8, true)
            .iter()
            .map(|group| group.members.iter().map(|&number| data.name(number)).collect())
            .collect();
        for i in [3, 40] {
            assert!(names.contains(&vec![format!("{i:02}.png"), format!("copy-{i}.png")]), "{names:?}");
        }
        let total = |groups: Vec<HashGroup>| groups.iter().map(|group| group.members.len()).sum::<usize>();
        let [equal, confirmed, near] = [(0, true), (40, true), (40, false)].map(|(r, c)| total(groups(r, c)));
        assert!(
            equal >= 4 && confirmed >= equal && near > confirmed,
            "both settings count: {equal} {confirmed} {near}"
        );
        let evaluation = hashed.evaluate(&data, 20, 1).unwrap();
        let recall = |radius: usize, kind: usize| evaluation.by_radius[radius].by_hash.recall[kind].hits;
        assert_eq!((evaluation.originals, recall(0, 0)), (20, 20), "copies have the same hash");
        let first = &evaluation.by_radius[8];
        assert!(first.confirmed.recall[1].hits <= first.by_hash.recall[1].hits, "{first:?}");
        assert!(recall(24, 1) >= 15 && recall(24, 1) >= recall(0, 1), "{:?}", evaluation.by_radius);
    }
}
