//! Which pictures of a set are there more than once (section 4.1), and how well that is told where it is known.

use burn::tensor::Device;
use rand::seq::index;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::alike::alike;
use super::error::MeasureError;
use super::hash::{BITS, Hasher, Link, groups, links};
use super::labelled::{decode, read};
use super::neighbours::pick;
use super::statistics::Share;
use crate::data::{Dataset, Problem, fit};
use crate::image::Picture;
use crate::progress::Progress;

/// Pictures that the autoencoder learns from at most, which are in memory.
const LEARNT_FROM: usize = 50_000;
/// Pictures that are hashed between two words of progress.
const AT_ONCE: usize = 2048;
/// Most bits that a table of planted duplicates goes to.
const FURTHEST: u32 = 24;

/// When pictures are taken for one. It is asked of hashes that are there, so that another answer takes a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Alike {
    /// Bits by which hashes of duplicates may differ.
    pub radius: u32,
    /// Whether those that are not equal must show the same besides, moved by up to two pixels.
    pub confirm: bool,
}

/// How the hash is learnt.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Settings {
    /// Steps that the autoencoder learns for.
    pub steps: usize,
    /// Decides all that is random.
    pub seed: u64,
}

/// A group of pictures that are taken for one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Their numbers: the first, which is kept, then those nearest to it.
    pub members: Vec<u64>,
    /// By how many bits each differs from the first.
    pub bits: Vec<u32>,
}

/// The hashes of a set.
pub struct Hashed {
    /// What was read.
    pub numbers: Vec<u64>,
    /// Its hashes.
    pub hashes: Vec<u128>,
    /// What could not be read.
    pub skipped: Vec<Problem>,
    hasher: Hasher,
}

impl Hashed {
    /// Learns to hash from a set of 32x32 colour pictures, and hashes it.
    ///
    /// # Errors
    /// [`MeasureError`]: fewer than two pictures, or a device that fails.
    pub fn new(
        data: &Dataset,
        settings: Settings,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, MeasureError> {
        let (learnt, _) = read(data, &pick(data, LEARNT_FROM, settings.seed), progress)?;
        let pictures: Vec<Picture> = learnt.into_iter().map(|(_, picture)| picture).collect();
        if pictures.len() < 2 {
            let hint = "duplicates need two at least";
            let source_name = data.source().to_string();
            return Err(MeasureError::TooFew { source_name, class: None, have: pictures.len(), need: 2, hint });
        }
        let steps = settings.steps;
        let hasher = Hasher::learn(&pictures, steps, settings.seed, device, &mut |done| {
            progress("learning to hash", done, steps)
        })?;
        drop(pictures);
        let all = pick(data, usize::MAX, settings.seed);
        let mut hashed = Self { numbers: Vec::new(), hashes: Vec::new(), skipped: Vec::new(), hasher };
        for part in all.chunks(AT_ONCE) {
            let (read, problems) = decode(data, part);
            let (numbers, pictures): (Vec<u64>, Vec<Picture>) = read.into_iter().unzip();
            hashed.hashes.extend(hashed.hasher.hashes(&pictures)?);
            hashed.numbers.extend(numbers);
            hashed.skipped.extend(problems);
            progress("hashing", hashed.numbers.len() + hashed.skipped.len(), all.len())?;
        }
        Ok(hashed)
    }

    /// Groups of pictures that are `wanted` to count as one with their first, the largest first.
    pub fn groups(&self, data: &Dataset, wanted: Alike) -> Vec<Group> {
        let Alike { radius, confirm } = wanted;
        let mut links = links(&self.hashes, radius);
        if confirm {
            let picture = |number: usize| data.picture(self.numbers[number]).ok();
            let sure = |link: &Link| {
                let both = || Some(alike(&picture(link.a)?, &picture(link.b)?));
                link.bits == 0 || both().unwrap_or(false)
            };
            links = links.into_par_iter().filter(sure).collect();
        }
        let found = groups(self.hashes.len(), &links);
        let group = |mut members: Vec<usize>| {
            let first = self.hashes[members[0]];
            let off = |&member: &usize| (self.hashes[member] ^ first).count_ones();
            members[1..].sort_by_key(off);
            Group {
                bits: members.iter().map(off).collect(),
                members: members.into_iter().map(|member| self.numbers[member]).collect(),
            }
        };
        found.into_iter().map(group).collect()
    }

    /// How many of the bits vary, so that they can tell pictures apart: are one for at least 1 % and zero for as many.
    pub fn used_bits(&self) -> usize {
        let few = self.hashes.len() / 100;
        let ones = |bit: usize| self.hashes.iter().filter(|&&hash| hash >> bit & 1 == 1).count();
        (0..BITS).into_par_iter().filter(|&bit| (few + 1..self.hashes.len() - few).contains(&ones(bit))).count()
    }

    /// Plants duplicates of `count` pictures of the set (of each a copy, a re-encoded one and slightly cropped ones), and tells how many of them are found within each number of bits, and how many of those that are found
    /// are not theirs.
    ///
    /// # Errors
    /// [`MeasureError`] when the device fails.
    pub fn plant(&self, data: &Dataset, count: usize, seed: u64) -> Result<Planted, MeasureError> {
        let mut rng = ChaCha8Rng::seed_from_u64(!seed);
        let among = index::sample(&mut rng, self.hashes.len(), count.min(self.hashes.len()));
        let originals: Vec<usize> = among.into_iter().collect();
        // For each change, and for each picture: by how many bits it differs, and whether it shows the same.
        let mut planted: Vec<Vec<(u32, bool)>> = Vec::new();
        for change in Change::ALL {
            let seeds: Vec<u64> = originals.iter().map(|_| rng.random()).collect();
            let changed: Vec<(usize, bool, Picture)> = (originals.par_iter().zip(seeds))
                .filter_map(|(&i, seed)| {
                    let changed = change.apply(&data.original(self.numbers[i]).ok()?, seed)?;
                    let changed = fit(&changed, data.format()).ok()?;
                    Some((i, alike(&data.picture(self.numbers[i]).ok()?, &changed), changed))
                })
                .collect();
            let pictures: Vec<Picture> = changed.iter().map(|(.., picture)| picture.clone()).collect();
            let hashes = self.hasher.hashes(&pictures)?;
            let told = changed.iter().zip(hashes).map(|(&(i, same, _), hash)| {
                let bits = (self.hashes[i] ^ hash).count_ones();
                (bits, same || bits == 0)
            });
            planted.push(told.collect());
        }
        // What is near an original without having been planted.
        let near = |&i: &usize| -> Vec<(u32, bool)> {
            let own = data.picture(self.numbers[i]).ok();
            let others = (0..self.hashes.len()).filter(|&j| j != i);
            let bits = others.map(|j| (j, (self.hashes[i] ^ self.hashes[j]).count_ones()));
            let same = |j: usize| Some(alike(own.as_ref()?, &data.picture(self.numbers[j]).ok()?));
            let near = bits.filter(|&(_, bits)| bits <= FURTHEST);
            near.map(|(j, bits)| (bits, bits == 0 || same(j).unwrap_or(false))).collect()
        };
        let strangers: Vec<(u32, bool)> = originals.par_iter().flat_map_iter(near).collect();
        let counted = |radius: u32, confirmed: bool| {
            let hits =
                |of: &[(u32, bool)]| of.iter().filter(|&&(bits, same)| bits <= radius && (same || !confirmed)).count();
            let recall: Vec<Share> = planted.iter().map(|of| Share { hits: hits(of), of: of.len() }).collect();
            let theirs = recall.iter().map(|share| share.hits).sum::<usize>();
            Counted { precision: Share { hits: theirs, of: theirs + hits(&strangers) }, recall }
        };
        let of_radius = |radius| Found { radius, hash: counted(radius, false), confirmed: counted(radius, true) };
        let found = (0..=FURTHEST).map(of_radius).collect();
        Ok(Planted { originals: originals.len(), kinds: Change::ALL.map(Change::name).to_vec(), found })
    }
}

/// How a duplicate differs from its original.
#[derive(Debug, Clone, Copy)]
enum Change {
    Copy,
    Encoded,
    CroppedLittle,
    CroppedMore,
}

impl Change {
    const ALL: [Self; 4] = [Self::Copy, Self::Encoded, Self::CroppedLittle, Self::CroppedMore];

    fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Encoded => "JPEG of quality 50 to 90",
            Self::CroppedLittle => "3 % of the sides cut off",
            Self::CroppedMore => "6 % of the sides cut off",
        }
    }

    /// None where the picture cannot be encoded, which no decoded one is.
    fn apply(self, picture: &Picture, seed: u64) -> Option<Picture> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        match self {
            Self::Copy => Some(picture.clone()),
            Self::Encoded => encoded(picture, rng.random_range(50..=90)),
            Self::CroppedLittle => Some(cropped(picture, 0.03, &mut rng)),
            Self::CroppedMore => Some(cropped(picture, 0.06, &mut rng)),
        }
    }
}

fn encoded(picture: &Picture, quality: u8) -> Option<Picture> {
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let mut jpeg = Vec::new();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, quality);
    encoder.encode(&picture.to_rgb(), width, height, image::ExtendedColorType::Rgb8).ok()?;
    Some(Picture::from_dynamic(image::load_from_memory(&jpeg).ok()?))
}

/// Without a share of its width and height, one pixel at least, cut off at random between the sides.
fn cropped(picture: &Picture, share: f64, rng: &mut ChaCha8Rng) -> Picture {
    let cut = |side: usize| ((side as f64 * share).round() as usize).max(1).min(side - 1);
    let (across, down) = (cut(picture.width()), cut(picture.height()));
    let (left, top) = (rng.random_range(0..=across), rng.random_range(0..=down));
    let (width, height, depth) = (picture.width() - across, picture.height() - down, picture.channels());
    let rows = picture.pixels().chunks_exact(picture.width() * depth).skip(top).take(height);
    let pixels = rows.flat_map(|row| &row[left * depth..(left + width) * depth]).copied().collect();
    Picture::new(width, height, depth, pixels)
}

/// How well planted duplicates are found.
#[derive(Debug, Clone, Serialize)]
pub struct Planted {
    /// Pictures of which there were planted some.
    pub originals: usize,
    /// What was done to them.
    pub kinds: Vec<&'static str>,
    /// For hashes that differ by no more than 0 bits, 1, 2 ...
    pub found: Vec<Found>,
}

/// What is found within some bits.
#[derive(Debug, Clone, Serialize)]
pub struct Found {
    /// The bits.
    pub radius: u32,
    /// By the hash alone, as in the paper.
    pub hash: Counted,
    /// Of those, what shows the same.
    pub confirmed: Counted,
}

/// How much is found, and how much of it rightly.
#[derive(Debug, Clone, Serialize)]
pub struct Counted {
    /// Of the planted ones, by what was done to them.
    pub recall: Vec<Share>,
    /// Of all that is found beside an original, what was planted there. The set's own duplicates count as mistakes.
    pub precision: Share,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::data::synth::Scene;
    use crate::evaluate::hash::{CHANNELS, SIDE};
    use crate::image::PictureFormat;

    #[test]
    fn planted_duplicates_are_found_and_listed() {
        let folder = tempfile::tempdir().unwrap();
        let rooms: Vec<Picture> = (0..60).map(|i| Scene::Rooms.draw(1, i, 48).picture).collect();
        for (i, room) in rooms.iter().enumerate() {
            room.write_png(&folder.path().join(format!("{i:02}.png"))).unwrap();
        }
        for i in [3, 40] {
            rooms[i].write_png(&folder.path().join(format!("copy-{i}.png"))).unwrap();
        }
        let source = Source::parse(&folder.path().to_string_lossy()).unwrap();
        let data = Dataset::open(&source, PictureFormat::new(SIDE, CHANNELS), 1).unwrap();
        let settings = Settings { steps: 60, seed: 1 };
        let device = Device::flex();
        let hashed = Hashed::new(&data, settings, &device, &mut |_, _, _| Ok(())).unwrap();
        assert!(hashed.used_bits() > 60, "{}", hashed.used_bits());
        let groups = |radius: u32, confirm: bool| hashed.groups(&data, Alike { radius, confirm });
        let names: Vec<Vec<String>> = groups(8, true)
            .iter()
            .map(|group| group.members.iter().map(|&number| data.name(number)).collect())
            .collect();
        for i in [3, 40] {
            assert!(names.contains(&vec![format!("{i:02}.png"), format!("copy-{i}.png")]), "{names:?}");
        }
        let pictures = |groups: Vec<Group>| groups.iter().map(|group| group.members.len()).sum::<usize>();
        let [equal, confirmed, near] = [(0, true), (40, true), (40, false)].map(|(r, c)| pictures(groups(r, c)));
        assert!(
            equal >= 4 && confirmed >= equal && near > confirmed,
            "both settings count: {equal} {confirmed} {near}"
        );
        let planted = hashed.plant(&data, 20, 1).unwrap();
        let recall = |radius: usize, kind: usize| planted.found[radius].hash.recall[kind].hits;
        assert_eq!((planted.originals, recall(0, 0)), (20, 20), "copies have the same hash");
        let first = &planted.found[8];
        assert!(first.confirmed.recall[1].hits <= first.hash.recall[1].hits, "{first:?}");
        assert!(recall(24, 1) >= 15 && recall(24, 1) >= recall(0, 1), "{:?}", planted.found);
    }
}
