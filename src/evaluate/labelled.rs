//! Pictures and their classes, in memory, chosen so that all classes have as many.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::error::MeasureError;
use crate::data::{Dataset, Problem};
use crate::image::Picture;
use crate::progress::{Cancelled, Progress};

/// Pictures that are decoded between two words of progress.
pub(super) const AT_ONCE: usize = 512;

/// Pictures of known classes.
#[derive(Debug, Clone)]
pub struct Labelled {
    /// The pictures.
    pub pictures: Vec<Picture>,
    /// The class of each.
    pub labels: Vec<usize>,
    /// The classes' names.
    pub classes: Vec<String>,
    /// What could not be read.
    pub skipped: Vec<Problem>,
}

impl Labelled {
    /// Up to `count` pictures of a set, as many of each class as there are, chosen by `seed`.
    ///
    /// # Errors
    /// [`MeasureError::NoClasses`], or that nothing can be read.
    pub fn read(dataset: &Dataset, count: usize, seed: u64, progress: &mut Progress) -> Result<Self, MeasureError> {
        let classes = dataset.classes().to_vec();
        let source_name = dataset.source().to_string();
        if classes.len() < 2 {
            return Err(MeasureError::NoClasses { source_name });
        }
        let mut by_class = vec![Vec::new(); classes.len()];
        for index in 0..dataset.len().unwrap_or(0) as u64 {
            if let Some(class) = dataset.class(index) {
                by_class[class].push(index);
            }
        }
        let chosen = balanced(&by_class, count, &mut ChaCha8Rng::seed_from_u64(seed));
        let (read, skipped) = read(dataset, &chosen, progress)?;
        let (labels, pictures): (Vec<_>, Vec<_>) =
            read.into_iter().filter_map(|(index, picture)| Some((dataset.class(index)?, picture))).unzip();
        if pictures.is_empty() {
            let hint = "look at the first of the files that were skipped";
            return Err(MeasureError::TooFew { source_name, class: None, have: 0, need: 1, hint });
        }
        Ok(Self { pictures, labels, classes, skipped })
    }

    /// Renumbers the classes as `known` has them.
    ///
    /// # Errors
    /// [`MeasureError::UnknownClass`].
    pub fn renumbered(mut self, known: &[String], source_name: String) -> Result<Self, MeasureError> {
        let place = |class: &String| known.iter().position(|known| known == class).ok_or_else(|| class.clone());
        let places: Result<Vec<usize>, String> = self.classes.iter().map(place).collect();
        let places =
            places.map_err(|class| MeasureError::UnknownClass { source_name, class, known: known.join(", ") })?;
        for label in &mut self.labels {
            *label = places[*label];
        }
        self.classes = known.to_vec();
        Ok(self)
    }

    /// About `count` of the pictures, the same share of each class, and the others.
    pub fn parted(self, count: usize) -> [Self; 2] {
        let (all, of) = (self.pictures.len(), self.by_class());
        let mut seen = vec![0; of.len()];
        let part = |skipped| Self { pictures: Vec::new(), labels: Vec::new(), classes: self.classes.clone(), skipped };
        let mut parts = [part(self.skipped.clone()), part(Vec::new())];
        for (picture, label) in self.pictures.into_iter().zip(self.labels) {
            seen[label] += 1;
            let part = &mut parts[usize::from(seen[label] * all > count * of[label].len())];
            part.pictures.push(picture);
            part.labels.push(label);
        }
        parts
    }

    /// The pictures' numbers by their class.
    pub fn by_class(&self) -> Vec<Vec<usize>> {
        let mut by_class = vec![Vec::new(); self.classes.len()];
        for (number, &label) in self.labels.iter().enumerate() {
            by_class[label].push(number);
        }
        by_class
    }
}

/// Up to `count` of all members, in turn one of each class that has some left, at random.
pub(super) fn balanced<T: Copy>(by_class: &[Vec<T>], count: usize, rng: &mut ChaCha8Rng) -> Vec<T> {
    let mut left = by_class.to_vec();
    for class in &mut left {
        class.shuffle(rng);
    }
    let count = count.min(left.iter().map(Vec::len).sum());
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        for class in &mut left {
            if chosen.len() < count {
                chosen.extend(class.pop());
            }
        }
    }
    chosen
}

/// Decodes the images `chosen` of a data set [`AT_ONCE`] at a time; returns what [`decode`] does.
///
/// # Errors
/// [`Cancelled`] when `progress` cancels.
pub(crate) fn read(dataset: &Dataset, chosen: &[u64], progress: &mut Progress) -> Result<Decoded, Cancelled> {
    let (mut pictures, mut skipped) = (Vec::with_capacity(chosen.len()), Vec::new());
    for part in chosen.chunks(AT_ONCE) {
        let (more, problems) = decode(dataset, part);
        pictures.extend(more);
        skipped.extend(problems);
        progress("reading pictures", pictures.len() + skipped.len(), chosen.len())?;
    }
    Ok((pictures, skipped))
}

/// Decoded images with their indices, and the files that cannot be read.
type Decoded = (Vec<(u64, Picture)>, Vec<Problem>);

/// Decodes images of a data set on all threads.
pub(crate) fn decode(dataset: &Dataset, indices: &[u64]) -> Decoded {
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
    fn classes_are_drawn_evenly_and_by_the_seed() {
        let by_class = vec![(0..50).collect(), (50..60).collect(), (60..100).collect::<Vec<usize>>()];
        let draw = |count, seed| balanced(&by_class, count, &mut ChaCha8Rng::seed_from_u64(seed));
        let counts = |chosen: &[usize]| {
            let of = |from: usize, to: usize| chosen.iter().filter(|&&i| i >= from && i < to).count();
            [of(0, 50), of(50, 60), of(60, 100)]
        };
        assert_eq!(counts(&draw(21, 1)), [7, 7, 7]);
        assert_eq!(counts(&draw(60, 1)), [25, 10, 25]);
        assert_eq!(draw(1000, 1).len(), 100);
        assert_eq!(draw(21, 1), draw(21, 1));
        assert_ne!(draw(21, 1), draw(21, 2));
    }

    #[test]
    fn pictures_keep_their_classes_and_what_is_broken_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (class, shade) in [("a", 10u8), ("b", 20), ("c", 30)] {
            for i in 0..4 {
                let path = folder.path().join(format!("{class}/{i}.png"));
                Picture::new(8, 8, 1, vec![shade; 64]).write_png(&path).unwrap();
            }
        }
        std::fs::write(folder.path().join("b/broken.png"), "no picture").unwrap();
        let source = Source::parse(&folder.path().to_string_lossy()).unwrap();
        let dataset = Dataset::open(&source, PictureFormat::new(8, 1), 1).unwrap();
        let read = Labelled::read(&dataset, 100, 1, &mut |_, _, _| Ok(())).unwrap();
        assert_eq!((read.pictures.len(), read.skipped.len()), (12, 1));
        for (picture, label) in read.pictures.iter().zip(&read.labels) {
            assert_eq!(usize::from(picture.pixels()[0]), 10 + 10 * label);
        }
        let [first, rest] = read.clone().parted(9);
        assert_eq!((first.pictures.len(), rest.pictures.len()), (9, 3));
        assert_eq!(rest.by_class().iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        let known = ["c", "b", "a"].map(str::to_owned);
        let turned = read.clone().renumbered(&known, String::new()).unwrap();
        assert!(turned.labels.iter().zip(&read.labels).all(|(new, old)| new + old == 2));
        let error = read.renumbered(&known[..2], "the test".into()).unwrap_err().to_string();
        assert!(error.contains("the test has a class called a"), "{error}");
    }
}
