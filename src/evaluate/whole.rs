//! A whole training set, a few pictures at a time: what the discriminator's batch norm statistics are taken from.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::labelled::{AT_ONCE, decode};
use crate::data::Dataset;
use crate::image::Picture;

/// The pictures of a set, with classes or without, in an order that a seed decides; decoded as they are wanted, so that the set
/// need not fit in memory.
#[derive(Debug, Clone)]
pub struct Whole<'a> {
    set: &'a Dataset,
    chosen: Vec<u64>,
}

impl<'a> Whole<'a> {
    /// All pictures of `set`, or `most` of them at random. Of a set without end there must be a `most`.
    ///
    /// The order is shuffled: folders are sorted by class, and in batches of one class each the variance between classes would be
    /// missing from the statistics.
    pub fn new(set: &'a Dataset, most: Option<usize>, seed: u64) -> Self {
        let length = set.len().unwrap_or(most.unwrap_or(0));
        let mut chosen: Vec<u64> = (0..length as u64).collect();
        chosen.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        chosen.truncate(most.unwrap_or(length));
        Self { set, chosen }
    }

    /// The set.
    pub fn set(&self) -> &Dataset {
        self.set
    }

    /// How many pictures there are, those that cannot be read among them.
    pub fn len(&self) -> usize {
        self.chosen.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// The pictures that can be read, in batches of `size`; the last may be smaller.
    pub(super) fn batches(&self, size: usize) -> impl Iterator<Item = Vec<Picture>> + '_ {
        let mut parts = self.chosen.chunks(AT_ONCE);
        let mut ready: Vec<Picture> = Vec::new();
        std::iter::from_fn(move || {
            while ready.len() < size {
                let Some(part) = parts.next() else { break };
                ready.extend(decode(self.set, part).0.into_iter().map(|(_, picture)| picture));
            }
            let rest = ready.split_off(ready.len().min(size));
            Some(std::mem::replace(&mut ready, rest)).filter(|batch| !batch.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::PictureFormat;

    #[test]
    fn every_picture_comes_once_in_whole_batches_and_classes_are_mixed() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..30u8 {
            let class = if i < 15 { "dark" } else { "light" };
            let path = folder.path().join(format!("{class}/{i:02}.png"));
            Picture::new(8, 8, 1, vec![i * 8; 64]).write_png(&path).unwrap();
        }
        std::fs::write(folder.path().join("light/broken.png"), "no picture").unwrap();
        let set = Dataset::open(&Source::parse(&folder.path().to_string_lossy()).unwrap(), PictureFormat::new(8, 1), 1)
            .unwrap();
        let batches: Vec<_> = Whole::new(&set, None, 1).batches(8).collect();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [8, 8, 8, 6]);
        let shades = |batch: &[Picture]| batch.iter().map(|picture| picture.pixels()[0]).collect::<Vec<_>>();
        let mut all = shades(&batches.concat());
        assert!(
            batches[..3]
                .iter()
                .all(|batch| shades(batch).iter().any(|&s| s < 120) && shades(batch).iter().any(|&s| s >= 120))
        );
        all.sort_unstable();
        assert_eq!(all, (0..30).map(|i| i * 8).collect::<Vec<u8>>());
        assert_eq!(Whole::new(&set, Some(5), 1).batches(8).map(|batch| batch.len()).sum::<usize>(), 5);
    }
}
