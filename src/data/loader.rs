//! Batches for the trainer, decoded ahead by threads, in a shuffled order that depends only on a seed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dataset::Dataset;
use super::error::DataError;
use super::error::Problem;
use crate::image::PictureFormat;

/// Batches to decode ahead.
const AHEAD_BATCHES: usize = 4;
/// Bytes to decode ahead at most if batches are large; one batch is always allowed.
const AHEAD_BYTES: usize = 256 << 20;

/// A position in the data: the epoch, and how much of its shuffled order is consumed. With the seed, it determines
/// all further batches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DataPosition {
    /// Number of the pass through the data; each pass has its own order.
    pub epoch: u64,
    /// Pictures of that order already consumed, including skipped ones.
    pub used: u64,
}

impl DataPosition {
    /// Completed passes through a set of `length` pictures; 0 for endless data.
    pub fn passes(&self, length: Option<usize>) -> u64 {
        let whole = length.is_some_and(|length| self.used >= length as u64);
        self.epoch + u64::from(whole)
    }
}

/// Whether picture `index` is mirrored in an epoch: a fair coin that depends on these three numbers alone, so that a
/// resumed run repeats it.
pub fn mirrors(seed: u64, epoch: u64, index: u64) -> bool {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The epochs' orders use the random streams from 0 up; mirroring uses those from the last one down.
    rng.set_stream(u64::MAX - epoch);
    rng.set_word_pos(index.into());
    rng.next_u32() & 1 == 1
}

/// The pictures of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[count, channels, size, size]`, bytes.
    pub pixels: Vec<u8>,
    /// Number of pictures.
    pub count: usize,
    /// Position after this batch.
    pub next: DataPosition,
}

/// Iterates over the shuffled orders of successive epochs.
struct EpochOrder {
    /// `None` for endless data, which is not shuffled.
    length: Option<usize>,
    seed: u64,
    place: DataPosition,
    shuffled: Vec<u32>,
}

impl EpochOrder {
    fn new(length: Option<usize>, seed: u64, place: DataPosition) -> Self {
        let mut order = Self { length, seed, place, shuffled: Vec::new() };
        order.shuffle();
        order
    }

    fn shuffle(&mut self) {
        if let Some(length) = self.length {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(self.place.epoch);
            self.shuffled = (0..length as u32).collect();
            self.shuffled.shuffle(&mut rng);
        }
    }

    fn next(&mut self) -> u64 {
        if self.length.is_some() && self.place.used >= self.shuffled.len() as u64 {
            self.place = DataPosition { epoch: self.place.epoch + 1, used: 0 };
            self.shuffle();
        }
        let at = self.place.used;
        self.place.used += 1;
        self.shuffled.get(at as usize).map_or(at, |&index| u64::from(index))
    }
}

/// A picture `[channels, size, size]`, or why it cannot be used.
type Planes = Result<Vec<u8>, Problem>;

/// A picture to decode: its number in the sequence, its index in the set, and whether to mirror it.
type DecodeRequest = (u64, u64, bool);

/// Delivers batches. Dropping it ends its threads.
pub struct Loader {
    dataset: Arc<Dataset>,
    batch: usize,
    /// Seed of the mirroring; `None` for no mirroring.
    mirror: Option<u64>,
    /// Values per picture.
    values: usize,
    /// Limit of pictures requested but not yet delivered, which bounds the memory.
    window: u64,
    /// The sequence of pictures at two positions: what has been requested, and what has been delivered.
    requested: EpochOrder,
    used: EpochOrder,
    sent: u64,
    delivered: u64,
    out_of_order: BTreeMap<u64, Planes>,
    problems: Vec<Problem>,
    unreadable: std::collections::HashSet<u64>,
    jobs: Option<Sender<DecodeRequest>>,
    decoded: Receiver<(u64, Planes)>,
    threads: Vec<JoinHandle<()>>,
}

impl Loader {
    /// Starts `threads` (at least 1) decoding threads for batches of `batch` (at least 1) pictures, beginning at
    /// `place`. With `mirror`, each picture is mirrored or not in each epoch, see [`mirrors`].
    ///
    /// # Errors
    /// [`DataError::SmallerThanBatch`] if the set cannot fill one batch.
    pub fn start(
        dataset: Arc<Dataset>,
        batch: usize,
        seed: u64,
        place: DataPosition,
        mirror: bool,
        threads: usize,
    ) -> Result<Self, DataError> {
        let batch = batch.max(1);
        let PictureFormat { size, channels, .. } = dataset.format();
        let values = size * size * channels;
        let window = (batch * AHEAD_BATCHES).min(AHEAD_BYTES / values.max(1)).max(batch) as u64;
        let (jobs, inbox) = unbounded::<DecodeRequest>();
        let (outbox, decoded) = unbounded();
        let mut loader = Self {
            requested: EpochOrder::new(dataset.len(), seed, place),
            used: EpochOrder::new(dataset.len(), seed, place),
            dataset,
            batch,
            mirror: mirror.then_some(seed),
            values,
            window,
            sent: 0,
            delivered: 0,
            out_of_order: BTreeMap::new(),
            problems: Vec::new(),
            unreadable: std::collections::HashSet::new(),
            jobs: Some(jobs),
            decoded,
            threads: Vec::new(),
        };
        loader.check()?;
        for i in 0..threads.max(1) {
            let (dataset, inbox, outbox) = (loader.dataset.clone(), inbox.clone(), outbox.clone());
            let work = move || {
                for (number, index, mirrored) in inbox {
                    // Conversion to planes happens here too, so that the trainer only copies.
                    let planes = dataset.picture(index).map(|picture| match mirrored {
                        true => picture.mirrored().planes(),
                        false => picture.planes(),
                    });
                    if outbox.send((number, planes)).is_err() {
                        return;
                    }
                }
            };
            let spawned = std::thread::Builder::new().name(format!("decode-{i}")).spawn(work);
            loader.threads.push(spawned.map_err(|_error| DataError::ThreadsGone)?);
        }
        Ok(loader)
    }

    fn check(&self) -> Result<(), DataError> {
        let skipped = self.unreadable.len() as u64;
        match self.dataset.len() {
            Some(length) if length as u64 - skipped < self.batch as u64 => Err(DataError::SmallerThanBatch {
                source_name: self.dataset.source().to_string(),
                pictures: length as u64 - skipped,
                skipped,
                first: self.problems.first().cloned(),
                batch: self.batch,
            }),
            _ => Ok(()),
        }
    }

    /// The next batch. Blocks until it is decoded. A batch may span two epochs.
    ///
    /// # Errors
    /// [`DataError::SmallerThanBatch`] if too many pictures turn out to be unreadable, from then on in every call.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        // After that error no pictures arrive: waiting for them would never end.
        self.check()?;
        let mut pixels = Vec::with_capacity(self.batch * self.values);
        let mut count = 0;
        while count < self.batch {
            match self.decoded()? {
                (_, Ok(planes)) => {
                    pixels.extend_from_slice(&planes);
                    count += 1;
                }
                (index, Err(problem)) => {
                    if self.unreadable.insert(index) {
                        self.problems.push(problem);
                        self.check()?;
                    }
                }
            }
        }
        Ok(Batch { pixels, count, next: self.used.place })
    }

    /// The next picture of the sequence, with its index.
    fn decoded(&mut self) -> Result<(u64, Planes), DataError> {
        let Some(jobs) = &self.jobs else { return Err(DataError::ThreadsGone) };
        while self.sent < self.delivered + self.window {
            let index = self.requested.next();
            let mirrored = self.mirror.is_some_and(|seed| mirrors(seed, self.requested.place.epoch, index));
            jobs.send((self.sent, index, mirrored)).map_err(|_error| DataError::ThreadsGone)?;
            self.sent += 1;
        }
        loop {
            if let Some(planes) = self.out_of_order.remove(&self.delivered) {
                self.delivered += 1;
                return Ok((self.used.next(), planes));
            }
            let (number, planes) = self.decoded.recv().map_err(|_error| DataError::ThreadsGone)?;
            self.out_of_order.insert(number, planes);
        }
    }

    /// The pictures skipped so far, each once, in the order of discovery.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.jobs = None;
        // Queued requests are still decoded, into a channel without a reader.
        self.decoded = crossbeam_channel::never();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::Picture;
    use proptest::prelude::*;

    fn set(good: usize, unreadable: &[usize]) -> (tempfile::TempDir, Arc<Dataset>) {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..good {
            let path = folder.path().join(format!("{i:03}.png"));
            if unreadable.contains(&i) {
                std::fs::write(&path, "broken").unwrap();
            } else {
                Picture::new(2, 2, 1, vec![i as u8; 4]).write_png(&path).unwrap();
            }
        }
        let source = Source::Path(folder.path().to_owned());
        let dataset = Arc::new(Dataset::open(&source, PictureFormat::new(2, 1), 1).unwrap());
        (folder, dataset)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn a_position_determines_all_further_batches_with_any_number_of_threads(
            good in 6usize..20, batch in 1usize..4, skip in 0usize..9, seed: u64,
            unreadable in prop::collection::vec(0usize..20, 0..3),
            mirror: bool,
        ) {
            let (_folder, dataset) = set(good, &unreadable);
            let mut straight = Loader::start(dataset.clone(), batch, seed, DataPosition::default(), mirror, 1).unwrap();
            let mut place = DataPosition::default();
            for _ in 0..skip {
                place = straight.next_batch().unwrap().next;
            }
            let mut resumed = Loader::start(dataset, batch, seed, place, mirror, 3).unwrap();
            for _ in 0..6 {
                prop_assert_eq!(straight.next_batch().unwrap(), resumed.next_batch().unwrap());
            }
        }
    }

    #[test]
    fn every_picture_is_used_once_an_epoch() {
        let (_folder, dataset) = set(12, &[]);
        let mut loader = Loader::start(dataset, 4, 7, DataPosition::default(), false, 2).unwrap();
        for epoch in 0..3 {
            let mut indices: Vec<u8> = (0..3)
                .flat_map(|_| loader.next_batch().unwrap().pixels.chunks(4).map(|p| p[0]).collect::<Vec<_>>())
                .collect();
            let order = indices.clone();
            indices.sort_unstable();
            assert_eq!(indices, (0..12).collect::<Vec<u8>>(), "epoch {epoch}");
            assert_ne!(order, indices, "epoch {epoch} is shuffled");
        }
    }

    #[test]
    fn each_epoch_mirrors_other_pictures() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..40u8 {
            Picture::new(2, 2, 1, vec![i, 200, i, 200]).write_png(&folder.path().join(format!("{i:03}.png"))).unwrap();
        }
        let source = Source::Path(folder.path().to_owned());
        let dataset = Arc::new(Dataset::open(&source, PictureFormat::new(2, 1), 1).unwrap());
        let epochs = |seed| {
            let mut loader = Loader::start(dataset.clone(), 40, seed, DataPosition::default(), true, 2).unwrap();
            let mut epoch = |number: u64| -> Vec<bool> {
                let pixels = loader.next_batch().unwrap().pixels;
                let rows = pixels.chunks(4).map(|planes| {
                    let [left, right] = [planes[0], planes[1]];
                    assert_eq!(&planes[..2], &planes[2..], "both rows are mirrored together");
                    let (index, mirrored) = if right == 200 { (left, false) } else { (right, true) };
                    assert_eq!(mirrored, mirrors(seed, number, index.into()));
                    (index, mirrored)
                });
                rows.collect::<BTreeMap<u8, bool>>().into_values().collect()
            };
            [0, 1].map(&mut epoch)
        };
        let [first, second] = epochs(7);
        let count = first.iter().filter(|&&mirrored| mirrored).count();
        assert!((10..=30).contains(&count), "{count} of 40");
        assert_ne!(first, second, "each epoch tosses its own coins");
        assert_eq!(epochs(7), [first.clone(), second], "the same seed tosses the same");
        assert_ne!(epochs(8)[0], first);
    }

    #[test]
    fn a_set_smaller_than_a_batch_is_refused() {
        let (_folder, dataset) = set(3, &[]);
        let message = Loader::start(dataset, 8, 1, DataPosition::default(), false, 1).err().unwrap().to_string();
        assert!(message.contains("3 usable pictures") && message.contains("--batch"), "{message}");
        let (_folder, dataset) = set(6, &[0, 1, 2, 3]);
        let mut loader = Loader::start(dataset, 4, 1, DataPosition::default(), false, 1).unwrap();
        let message =
            (0..3).find_map(|_| loader.next_batch().err()).expect("an error, not an endless search").to_string();
        assert!(message.contains("cannot be read, the first is") && message.contains(".png: "), "{message}");
        assert!(!loader.problems().is_empty());
        assert!(loader.next_batch().is_err(), "asking again gives the error again");
    }

    #[test]
    fn dropping_a_loader_ends_its_threads() {
        let (_folder, dataset) = set(12, &[]);
        for batches in 0..3 {
            let mut loader = Loader::start(dataset.clone(), 4, 7, DataPosition::default(), false, 3).unwrap();
            for _ in 0..batches {
                loader.next_batch().unwrap();
            }
        }
        assert_eq!(Arc::strong_count(&dataset), 1, "no thread holds the set any more");
    }
}
