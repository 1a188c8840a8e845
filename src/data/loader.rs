//! Batches for the trainer, decoded ahead by threads, in an order that a seed decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, unbounded};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::dataset::{Dataset, Problem};
use super::source::DataError;
use crate::image::PictureFormat;

/// Batches that are decoded ahead.
const AHEAD: usize = 4;
/// Bytes that may wait decoded ahead where those batches are large; one batch may always.
const AHEAD_BYTES: usize = 256 << 20;

/// A place in the data: the epoch's shuffled order, and how much of it is used. With the seed it decides all that follows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Place {
    /// Which pass through the data; each has an order of its own.
    pub epoch: u64,
    /// Pictures of that order already used, skipped ones counted.
    pub used: u64,
}

impl Place {
    /// Whole passes through a set of `length` pictures; none through endless data.
    pub fn passes(&self, length: Option<usize>) -> u64 {
        let whole = length.is_some_and(|length| self.used >= length as u64);
        self.epoch + u64::from(whole)
    }
}

/// Whether picture `index` is mirrored in an epoch: a fair coin that these three numbers toss, so that a resumed run tosses the
/// same ones.
pub fn mirrors(seed: u64, epoch: u64, index: u64) -> bool {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The epochs' orders are drawn from the streams from 0 on; these are the streams from the last one down.
    rng.set_stream(u64::MAX - epoch);
    rng.set_word_pos(index.into());
    rng.next_u32() & 1 == 1
}

/// Pictures for one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// `[count, channels, size, size]`: planes of bytes.
    pub pixels: Vec<u8>,
    /// How many pictures.
    pub count: usize,
    /// Where the next batch starts.
    pub next: Place,
}

/// Walks the epochs' orders.
struct Order {
    /// `None` for endless data, which comes as it is numbered.
    length: Option<usize>,
    seed: u64,
    place: Place,
    shuffled: Vec<u32>,
}

impl Order {
    fn new(length: Option<usize>, seed: u64, place: Place) -> Self {
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
            self.place = Place { epoch: self.place.epoch + 1, used: 0 };
            self.shuffle();
        }
        let at = self.place.used;
        self.place.used += 1;
        self.shuffled.get(at as usize).map_or(at, |&index| u64::from(index))
    }
}

/// A picture's planes `[channels, size, size]`, or why there are none.
type Planes = Result<Vec<u8>, Problem>;

/// A picture that is to be decoded: its number in the order, its index, and whether it is to be mirrored.
type Job = (u64, u64, bool);

/// Hands out batches; its threads end with it.
pub struct Loader {
    dataset: Arc<Dataset>,
    batch: usize,
    /// The seed by which pictures are mirrored; `None` for none.
    mirror: Option<u64>,
    /// Values of one picture.
    values: usize,
    /// Pictures asked for and not yet used, at most: this bounds the memory.
    window: u64,
    /// What has been asked for, and what has been used: the same order at two places.
    asked: Order,
    used: Order,
    sent: u64,
    taken: u64,
    early: BTreeMap<u64, Planes>,
    problems: Vec<Problem>,
    broken: std::collections::HashSet<u64>,
    jobs: Option<Sender<Job>>,
    decoded: Receiver<(u64, Planes)>,
    threads: Vec<JoinHandle<()>>,
}

impl Loader {
    /// Starts `threads` decoding threads (at least one) for batches of `batch` pictures (at least one), from `place` on.
    /// With `mirror`, each picture is mirrored or not in each epoch, as [`mirrors`] says.
    ///
    /// # Errors
    /// [`DataError::SmallerThanBatch`] when the set cannot fill one.
    pub fn start(
        dataset: Arc<Dataset>,
        batch: usize,
        seed: u64,
        place: Place,
        mirror: bool,
        threads: usize,
    ) -> Result<Self, DataError> {
        let batch = batch.max(1);
        let PictureFormat { size, channels, .. } = dataset.format();
        let values = size * size * channels;
        let window = (batch * AHEAD).min(AHEAD_BYTES / values.max(1)).max(batch) as u64;
        let (jobs, inbox) = unbounded::<Job>();
        let (outbox, decoded) = unbounded();
        let mut loader = Self {
            asked: Order::new(dataset.len(), seed, place),
            used: Order::new(dataset.len(), seed, place),
            dataset,
            batch,
            mirror: mirror.then_some(seed),
            values,
            window,
            sent: 0,
            taken: 0,
            early: BTreeMap::new(),
            problems: Vec::new(),
            broken: std::collections::HashSet::new(),
            jobs: Some(jobs),
            decoded,
            threads: Vec::new(),
        };
        loader.check()?;
        for i in 0..threads.max(1) {
            let (dataset, inbox, outbox) = (loader.dataset.clone(), inbox.clone(), outbox.clone());
            let work = move || {
                for (number, index, mirrored) in inbox {
                    // The trainer only copies: turning pixels into planes is done here too.
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
            loader.threads.push(spawned.map_err(|_| DataError::ThreadsGone)?);
        }
        Ok(loader)
    }

    fn check(&self) -> Result<(), DataError> {
        let skipped = self.broken.len() as u64;
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

    /// The next batch, waiting for the decoders if they are behind. The end of an epoch is not the end of a batch: it is
    /// filled from the next epoch's order.
    ///
    /// # Errors
    /// [`DataError::SmallerThanBatch`] when too many pictures turn out to be broken, then and ever after.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        // Without this, a caller that asks again after the error would wait for pictures that never come.
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
                    if self.broken.insert(index) {
                        self.problems.push(problem);
                        self.check()?;
                    }
                }
            }
        }
        Ok(Batch { pixels, count, next: self.used.place })
    }

    /// The next picture of the order with its index.
    fn decoded(&mut self) -> Result<(u64, Planes), DataError> {
        let Some(jobs) = &self.jobs else { return Err(DataError::ThreadsGone) };
        while self.sent < self.taken + self.window {
            let index = self.asked.next();
            let mirrored = self.mirror.is_some_and(|seed| mirrors(seed, self.asked.place.epoch, index));
            jobs.send((self.sent, index, mirrored)).map_err(|_| DataError::ThreadsGone)?;
            self.sent += 1;
        }
        loop {
            if let Some(found) = self.early.remove(&self.taken) {
                self.taken += 1;
                return Ok((self.used.next(), found));
            }
            let (number, found) = self.decoded.recv().map_err(|_| DataError::ThreadsGone)?;
            self.early.insert(number, found);
        }
    }

    /// The pictures skipped so far, each once, in the order they were met.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        self.jobs = None;
        // Jobs that are still queued are decoded into a channel nobody reads: drain it by dropping the receiver.
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

    fn set(good: usize, broken: &[usize]) -> (tempfile::TempDir, Arc<Dataset>) {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..good {
            let path = folder.path().join(format!("{i:03}.png"));
            if broken.contains(&i) {
                std::fs::write(&path, "broken").unwrap();
            } else {
                Picture::new(2, 2, 1, vec![i as u8; 4]).write_png(&path).unwrap();
            }
        }
        let source = Source::Folder(folder.path().to_owned());
        let dataset = Arc::new(Dataset::open(&source, PictureFormat::new(2, 1), 1).unwrap());
        (folder, dataset)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn a_place_reproduces_what_follows_with_any_number_of_threads(
            good in 6usize..20, batch in 1usize..4, skip in 0usize..9, seed: u64,
            broken in prop::collection::vec(0usize..20, 0..3),
            mirror: bool,
        ) {
            let (_folder, dataset) = set(good, &broken);
            let mut straight = Loader::start(dataset.clone(), batch, seed, Place::default(), mirror, 1).unwrap();
            let mut place = Place::default();
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
        let mut loader = Loader::start(dataset, 4, 7, Place::default(), false, 2).unwrap();
        for epoch in 0..3 {
            let mut seen: Vec<u8> = (0..3)
                .flat_map(|_| loader.next_batch().unwrap().pixels.chunks(4).map(|p| p[0]).collect::<Vec<_>>())
                .collect();
            let order = seen.clone();
            seen.sort_unstable();
            assert_eq!(seen, (0..12).collect::<Vec<u8>>(), "epoch {epoch}");
            assert_ne!(order, seen, "epoch {epoch} is shuffled");
        }
    }

    #[test]
    fn each_picture_is_mirrored_or_not_anew_in_each_epoch() {
        let folder = tempfile::tempdir().unwrap();
        for i in 0..40u8 {
            Picture::new(2, 2, 1, vec![i, 200, i, 200]).write_png(&folder.path().join(format!("{i:03}.png"))).unwrap();
        }
        let source = Source::Folder(folder.path().to_owned());
        let dataset = Arc::new(Dataset::open(&source, PictureFormat::new(2, 1), 1).unwrap());
        let epochs = |seed| {
            let mut loader = Loader::start(dataset.clone(), 40, seed, Place::default(), true, 2).unwrap();
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
    fn a_set_smaller_than_a_batch_says_so() {
        let (_folder, dataset) = set(3, &[]);
        let message = Loader::start(dataset, 8, 1, Place::default(), false, 1).err().unwrap().to_string();
        assert!(message.contains("3 usable pictures") && message.contains("--batch"), "{message}");
        let (_folder, dataset) = set(6, &[0, 1, 2, 3]);
        let mut loader = Loader::start(dataset, 4, 1, Place::default(), false, 1).unwrap();
        let message =
            (0..3).find_map(|_| loader.next_batch().err()).expect("an error, not an endless search").to_string();
        assert!(message.contains("cannot be read, the first is") && message.contains(".png: "), "{message}");
        assert!(!loader.problems().is_empty());
        assert!(loader.next_batch().is_err(), "asking again gives the error again");
    }

    #[test]
    fn a_loader_that_is_dropped_ends_its_threads_whatever_is_still_asked_for() {
        let (_folder, dataset) = set(12, &[]);
        for batches in 0..3 {
            let mut loader = Loader::start(dataset.clone(), 4, 7, Place::default(), false, 3).unwrap();
            for _ in 0..batches {
                loader.next_batch().unwrap();
            }
        }
        assert_eq!(Arc::strong_count(&dataset), 1, "no thread holds the set any more");
    }
}
