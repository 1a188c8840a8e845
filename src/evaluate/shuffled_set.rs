//! [`ShuffledSet`]: a whole data set in shuffled batches, decoded on demand, so that it need not fit in memory.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::labeled::{DECODE_BATCH, decode};
use crate::data::Dataset;
use crate::image::Picture;

/// The images of a data set in random order, with or without classes: batch norm statistics are measured on them.
#[derive(Debug, Clone)]
pub struct ShuffledSet<'a> {
    dataset: &'a Dataset,
    order: Vec<u64>,
}

impl<'a> ShuffledSet<'a> {
    /// All images of `dataset`, or at most `limit` of them; an endless data set needs a limit.
    ///
    /// Folders are sorted by class. Without the shuffle each batch would have one class, and the statistics would lack the
    /// variance between classes.
    pub fn new(dataset: &'a Dataset, limit: Option<usize>, seed: u64) -> Self {
        let length = dataset.len().unwrap_or(limit.unwrap_or(0));
        let mut order: Vec<u64> = (0..length as u64).collect();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        order.truncate(limit.unwrap_or(length));
        Self { dataset, order }
    }

    /// The number of images, including those that cannot be read.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// The readable images in batches of `size`; the last may be smaller.
    pub(super) fn batches(&self, size: usize) -> impl Iterator<Item = Vec<Picture>> + '_ {
        let mut chunks = self.order.chunks(DECODE_BATCH);
        let mut decoded: Vec<Picture> = Vec::new();
        std::iter::from_fn(move || {
            while decoded.len() < size {
                let Some(chunk) = chunks.next() else { break };
                decoded.extend(decode(self.dataset, chunk).0.into_iter().map(|(_, picture)| picture));
            }
            let rest = decoded.split_off(decoded.len().min(size));
            Some(std::mem::replace(&mut decoded, rest)).filter(|batch| !batch.is_empty())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::PictureFormat;

    #[test]
    fn every_image_comes_once_in_full_batches_of_mixed_classes() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..30u8 {
            let class = if i < 15 { "dark" } else { "light" };
            let path = folder.path().join(format!("{class}/{i:02}.png"));
            Picture::new(8, 8, 1, vec![i * 8; 64]).write_png(&path).unwrap();
        }
        std::fs::write(folder.path().join("light/broken.png"), "no picture").unwrap();
        let set = Dataset::open(&Source::from(&folder.path().to_string_lossy()), PictureFormat::new(8, 1), 1).unwrap();
        let batches: Vec<_> = ShuffledSet::new(&set, None, 1).batches(8).collect();
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
        assert_eq!(ShuffledSet::new(&set, Some(5), 1).batches(8).map(|batch| batch.len()).sum::<usize>(), 5);
    }
}
