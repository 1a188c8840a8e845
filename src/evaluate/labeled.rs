//! [`LabeledSet`]: images and their classes in memory, in a class-balanced selection.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::error::EvaluationError;
use crate::data::{Dataset, Problem};
use crate::image::Picture;
use crate::progress::{Cancelled, Progress};

/// Images decoded between two reports of progress.
pub(super) const DECODE_BATCH: usize = 512;

/// Images and their classes.
#[derive(Debug, Clone)]
pub struct LabeledSet {
    /// The images.
    pub pictures: Vec<Picture>,
    /// The class of each image, an index into `classes`.
    pub labels: Vec<usize>,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Files that cannot be read.
    pub skipped: Vec<Problem>,
}

impl LabeledSet {
    /// Reads up to `count` images of a data set, as equally many of each class as possible, selected by `seed`.
    ///
    /// # Errors
    /// [`EvaluationError::NoClasses`]; [`EvaluationError::TooFew`] when no image can be read; `progress` cancels.
    pub fn read(dataset: &Dataset, count: usize, seed: u64, progress: &mut Progress) -> Result<Self, EvaluationError> {
        let classes = dataset.classes().to_vec();
        let source_name = dataset.source().to_string();
        if classes.len() < 2 {
            return Err(EvaluationError::NoClasses { source_name });
        }
        let mut by_class = vec![Vec::new(); classes.len()];
        for index in 0..dataset.len().unwrap_or(0) as u64 {
            if let Some(class) = dataset.class(index) {
                by_class[class].push(index);
            }
        }
        let selection = sample_balanced(&by_class, count, &mut ChaCha8Rng::seed_from_u64(seed));
        let (decoded, skipped) = read(dataset, &selection, progress)?;
        let (labels, pictures): (Vec<_>, Vec<_>) =
            decoded.into_iter().filter_map(|(index, picture)| Some((dataset.class(index)?, picture))).unzip();
        if pictures.is_empty() {
            let hint = "see why the first skipped file was skipped";
            return Err(EvaluationError::TooFew { source_name, class: None, have: 0, need: 1, hint });
        }
        Ok(Self { pictures, labels, classes, skipped })
    }

    /// Renumbers the labels so that they are indices into `known`, the classes of another set.
    ///
    /// # Errors
    /// [`EvaluationError::UnknownClass`].
    pub fn with_classes(mut self, known: &[String], source_name: String) -> Result<Self, EvaluationError> {
        let place = |class: &String| known.iter().position(|known| known == class).ok_or_else(|| class.clone());
        let places: Result<Vec<usize>, String> = self.classes.iter().map(place).collect();
        let places =
            places.map_err(|class| EvaluationError::UnknownClass { source_name, class, known: known.join(", ") })?;
        for label in &mut self.labels {
            *label = places[*label];
        }
        self.classes = known.to_vec();
        Ok(self)
    }

    /// Splits off about `count` of the images, the same share of each class; returns them and the rest.
    pub fn split_stratified(self, count: usize) -> [Self; 2] {
        let (all, by_class) = (self.pictures.len(), self.by_class());
        let mut passed = vec![0; by_class.len()];
        let empty = |skipped| Self { pictures: Vec::new(), labels: Vec::new(), classes: self.classes.clone(), skipped };
        let mut splits = [empty(self.skipped.clone()), empty(Vec::new())];
        for (picture, label) in self.pictures.into_iter().zip(self.labels) {
            passed[label] += 1;
            let split = &mut splits[usize::from(passed[label] * all > count * by_class[label].len())];
            split.pictures.push(picture);
            split.labels.push(label);
        }
        splits
    }

    /// The images' indices by class.
    pub fn by_class(&self) -> Vec<Vec<usize>> {
        let mut by_class = vec![Vec::new(); self.classes.len()];
        for (number, &label) in self.labels.iter().enumerate() {
            by_class[label].push(number);
        }
        by_class
    }
}

/// Up to `count` members, taken at random from each class in turn as long as it has some left.
pub(super) fn sample_balanced<T: Copy>(by_class: &[Vec<T>], count: usize, rng: &mut ChaCha8Rng) -> Vec<T> {
    let mut left = by_class.to_vec();
    for class in &mut left {
        class.shuffle(rng);
    }
    let count = count.min(left.iter().map(Vec::len).sum());
    let mut selection = Vec::with_capacity(count);
    while selection.len() < count {
        for class in &mut left {
            if selection.len() < count {
                selection.extend(class.pop());
            }
        }
    }
    selection
}

/// Decodes images of a data set, [`DECODE_BATCH`] at a time; returns what [`decode`] does.
///
/// # Errors
/// [`Cancelled`] when `progress` cancels.
pub(crate) fn read(dataset: &Dataset, indices: &[u64], progress: &mut Progress) -> Result<DecodedImages, Cancelled> {
    let (mut pictures, mut skipped) = (Vec::with_capacity(indices.len()), Vec::new());
    for batch in indices.chunks(DECODE_BATCH) {
        let (decoded, problems) = decode(dataset, batch);
        pictures.extend(decoded);
        skipped.extend(problems);
        progress("reading pictures", pictures.len() + skipped.len(), indices.len())?;
    }
    Ok((pictures, skipped))
}

/// Decoded images with their indices, and the files that cannot be read.
type DecodedImages = (Vec<(u64, Picture)>, Vec<Problem>);

/// Decodes images of a data set on all threads.
pub(crate) fn decode(dataset: &Dataset, indices: &[u64]) -> DecodedImages {
    let decoded: Vec<_> = indices.par_iter().map(|&index| (index, dataset.picture(index))).collect();
    let (mut pictures, mut skipped) = (Vec::with_capacity(indices.len()), Vec::new());
    for (index, decoded) in decoded {
        match decoded {
            Ok(picture) => pictures.push((index, picture)),
            Err(problem) => skipped.push(problem),
        }
    }
    (pictures, skipped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::PictureFormat;

    #[test]
    fn selection_is_balanced_and_decided_by_the_seed() {
        let by_class = vec![(0..50).collect(), (50..60).collect(), (60..100).collect::<Vec<usize>>()];
        let sample = |count, seed| sample_balanced(&by_class, count, &mut ChaCha8Rng::seed_from_u64(seed));
        let counts = |selection: &[usize]| {
            let of = |from: usize, to: usize| selection.iter().filter(|&&i| i >= from && i < to).count();
            [of(0, 50), of(50, 60), of(60, 100)]
        };
        assert_eq!(counts(&sample(21, 1)), [7, 7, 7]);
        assert_eq!(counts(&sample(60, 1)), [25, 10, 25]);
        assert_eq!(sample(1000, 1).len(), 100);
        assert_eq!(sample(21, 1), sample(21, 1));
        assert_ne!(sample(21, 1), sample(21, 2));
    }

    #[test]
    fn images_keep_their_classes_and_broken_files_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        for (class, shade) in [("a", 10u8), ("b", 20), ("c", 30)] {
            for i in 0..4 {
                let path = folder.path().join(format!("{class}/{i}.png"));
                Picture::new(8, 8, 1, vec![shade; 64]).write_png(&path).unwrap();
            }
        }
        std::fs::write(folder.path().join("b/broken.png"), "no picture").unwrap();
        let source = Source::from(&folder.path().to_string_lossy());
        let dataset = Dataset::open(&source, PictureFormat::new(8, 1), 1).unwrap();
        let read = LabeledSet::read(&dataset, 100, 1, &mut |_, _, _| Ok(())).unwrap();
        assert_eq!((read.pictures.len(), read.skipped.len()), (12, 1));
        for (picture, label) in read.pictures.iter().zip(&read.labels) {
            assert_eq!(usize::from(picture.pixels()[0]), 10 + 10 * label);
        }
        let [first, rest] = read.clone().split_stratified(9);
        assert_eq!((first.pictures.len(), rest.pictures.len()), (9, 3));
        assert_eq!(rest.by_class().iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        let known = ["c", "b", "a"].map(str::to_owned);
        let reversed = read.clone().with_classes(&known, String::new()).unwrap();
        assert!(reversed.labels.iter().zip(&read.labels).all(|(new, old)| new + old == 2));
        let error = read.with_classes(&known[..2], "the test".into()).unwrap_err().to_string();
        assert!(error.contains("the test has a class \"a\""), "{error}");
    }
}
