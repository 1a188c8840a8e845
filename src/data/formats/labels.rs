//! Class labels, four bytes per picture.

use std::collections::HashMap;
use std::io;

use strum::{Display, VariantArray};

use crate::data::cache::{CacheReader, CacheWriter};

/// Marks a picture without a class.
const NO_CLASS: u32 = u32::MAX;
/// More classes than this are not classes but numbers of pictures.
const MAX_CLASSES: usize = 1 << 16;

/// Origin of class labels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, Display, VariantArray)]
#[serde(rename_all = "kebab-case")]
pub enum ClassSource {
    /// Labels in the set's own files.
    #[default]
    #[strum(to_string = "the set's labels")]
    Labels,
    /// Names of the pictures' folders.
    #[strum(to_string = "its folders")]
    Folders,
    /// StyleGAN's `dataset.json`.
    #[strum(to_string = "dataset.json")]
    DatasetJson,
}

/// The class names of a set, and the label of each picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::data) struct ClassLabels {
    names: Vec<String>,
    of: Vec<u32>,
    from: ClassSource,
}

impl ClassLabels {
    /// Class names, and the label of each picture as an index into them.
    pub fn new(names: Vec<String>, of: impl Iterator<Item = Option<usize>>) -> Self {
        let of = of.map(|class| class.map_or(NO_CLASS, |class| class as u32)).collect();
        Self { names, of, from: ClassSource::default() }
    }

    /// Sets the origin.
    pub fn with_source(self, from: ClassSource) -> Self {
        Self { from, ..self }
    }

    /// The origin.
    pub fn source(&self) -> ClassSource {
        self.from
    }

    /// Writes the labels to a cached list.
    pub(super) fn write(&self, to: &mut CacheWriter) -> io::Result<()> {
        to.u64(self.names.len() as u64)?;
        self.names.iter().try_for_each(|name| to.bytes(name.as_bytes()))?;
        to.u64(self.of.len() as u64)?;
        self.of.iter().try_for_each(|&class| to.u32(class))?;
        to.raw(&[self.from as u8])
    }

    /// Reads what [`Self::write`] wrote.
    pub(super) fn read(from: &mut CacheReader) -> Option<Self> {
        let names: Vec<String> = (0..from.count(8)?).map(|_| from.text()).collect::<Option<_>>()?;
        let of: Vec<u32> = (0..from.count(4)?).map(|_| from.u32()).collect::<Option<_>>()?;
        let from = *ClassSource::VARIANTS.get(usize::from(from.byte()?))?;
        let is_known = |&class: &u32| class == NO_CLASS || (class as usize) < names.len();
        of.iter().all(is_known).then_some(Self { names, of, from })
    }

    /// Class names; empty if there are fewer than two.
    pub fn names(&self) -> &[String] {
        if self.names.len() < 2 { &[] } else { &self.names }
    }

    /// The label of picture `index`, as an index into the names.
    pub fn class(&self, index: u64) -> Option<usize> {
        let class = *self.of.get(usize::try_from(index).ok()?)?;
        (class != NO_CLASS && self.names.len() > 1).then_some(class as usize)
    }
}

/// Collects the labels of pictures in sequence.
#[derive(Debug, Default)]
pub(super) struct LabelBuilder {
    numbers: HashMap<String, u32>,
    of: Vec<u32>,
}

impl LabelBuilder {
    /// Adds the class of the next picture.
    pub fn push(&mut self, class: Option<&str>) {
        let number = match class {
            None => NO_CLASS,
            Some(class) => match self.numbers.get(class) {
                Some(&number) => number,
                // One more than the limit is stored, so that `finish` detects the excess.
                None if self.numbers.len() > MAX_CLASSES => NO_CLASS,
                None => {
                    let number = self.numbers.len() as u32;
                    self.numbers.insert(class.to_owned(), number);
                    number
                }
            },
        };
        self.of.push(number);
    }

    /// Adds the next picture's class, a number.
    pub fn push_integer(&mut self, class: i64) {
        self.push(Some(&class.to_string()));
    }

    /// Adds the next picture's class, if it has one.
    pub fn push_owned(&mut self, class: Option<String>) {
        self.push(class.as_deref());
    }

    /// Adds `count` pictures without a class.
    pub fn push_none(&mut self, count: u64) {
        self.of.resize(self.of.len() + count as usize, NO_CLASS);
    }

    /// The labels, with the added classes as names: in numerical order if all are numbers, sorted otherwise.
    pub fn finish(self) -> ClassLabels {
        if self.numbers.len() > MAX_CLASSES {
            return ClassLabels::default();
        }
        let mut sorted: Vec<(String, u32)> = self.numbers.into_iter().collect();
        sorted.sort_by_cached_key(|(name, _)| (name.parse::<i64>().unwrap_or(i64::MAX), name.clone()));
        let mut place = vec![NO_CLASS; sorted.len()];
        for (i, (_, number)) in (0..).zip(&sorted) {
            place[*number as usize] = i;
        }
        let of = self.of.into_iter().map(|number| place.get(number as usize).copied().unwrap_or(NO_CLASS)).collect();
        let from = ClassSource::default();
        ClassLabels { names: sorted.into_iter().map(|(name, _)| name).collect(), of, from }
    }

    /// The labels, with the added numbers as indices into `names`. Without names, as [`Self::finish`].
    pub fn finish_with_names(self, names: Vec<String>) -> Result<ClassLabels, String> {
        if names.is_empty() {
            return Ok(self.finish());
        }
        let mut place = vec![NO_CLASS; self.numbers.len()];
        for (class, number) in &self.numbers {
            let index = class.parse().ok().filter(|&index: &usize| index < names.len());
            let index = index.ok_or_else(|| {
                let at = self.of.iter().position(|of| of == number).unwrap_or_default();
                format!("picture {at} has label {class}, and there are {} class names", names.len())
            })?;
            place[*number as usize] = index as u32;
        }
        let of = self.of.into_iter().map(|number| place.get(number as usize).copied().unwrap_or(NO_CLASS)).collect();
        Ok(ClassLabels { names, of, from: ClassSource::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_classes_are_sorted_by_number() {
        let builder = |classes: &[&str]| {
            let mut builder = LabelBuilder::default();
            classes.iter().for_each(|class| builder.push(Some(class)));
            builder.push(None);
            builder
        };
        let labels = builder(&["10", "9", "10"]).finish();
        assert_eq!(
            (labels.names(), labels.class(0), labels.class(1)),
            (&["9".to_owned(), "10".into()][..], Some(1), Some(0))
        );
        assert_eq!((labels.class(3), labels.class(9)), (None, None));
        assert_eq!(builder(&["b", "a"]).finish().names(), ["a", "b"]);
        assert!(builder(&["b", "b"]).finish().names().is_empty(), "one class is none");
        let labels = builder(&["1", "0"]).finish_with_names(vec!["cat".into(), "dog".into(), "newt".into()]).unwrap();
        assert_eq!((labels.names().len(), labels.class(0)), (3, Some(1)));
        let cause = builder(&["0", "7"]).finish_with_names(vec!["cat".into(), "dog".into()]).unwrap_err();
        assert!(cause.contains("picture 1 has label 7"), "{cause}");
    }
}
