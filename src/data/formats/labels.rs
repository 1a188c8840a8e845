//! Which class each picture is of, at four bytes a picture.

use std::collections::HashMap;
use std::{fmt, io};

use super::cache::{Reading, Writing};

/// A picture that has no class.
const NONE: u32 = u32::MAX;
/// More classes than this are no classes but numbers of pictures.
const MOST: usize = 1 << 16;

/// Where the classes of a set are from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassesFrom {
    /// The labels in the set's own files.
    #[default]
    Labels,
    /// The folders that the pictures lie in.
    Folders,
    /// A `dataset.json`, as StyleGAN's tools write it.
    DatasetJson,
}

impl ClassesFrom {
    const ALL: [Self; 3] = [Self::Labels, Self::Folders, Self::DatasetJson];
}

impl fmt::Display for ClassesFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Labels => "the set's labels",
            Self::Folders => "its folders",
            Self::DatasetJson => "dataset.json",
        })
    }
}

/// The classes of a set, and each picture's.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::data) struct Labels {
    names: Vec<String>,
    of: Vec<u32>,
    from: ClassesFrom,
}

impl Labels {
    /// Classes by name, and each picture's as an index into them.
    pub fn new(names: Vec<String>, of: impl Iterator<Item = Option<usize>>) -> Self {
        let of = of.map(|class| class.map_or(NONE, |class| class as u32)).collect();
        Self { names, of, from: ClassesFrom::default() }
    }

    /// The same, said to be from somewhere.
    pub fn from(self, from: ClassesFrom) -> Self {
        Self { from, ..self }
    }

    /// Where they are from.
    pub fn source(&self) -> ClassesFrom {
        self.from
    }

    /// Writes them to a list that is kept.
    pub(super) fn write(&self, to: &mut Writing) -> io::Result<()> {
        to.u64(self.names.len() as u64)?;
        self.names.iter().try_for_each(|name| to.bytes(name.as_bytes()))?;
        to.u64(self.of.len() as u64)?;
        self.of.iter().try_for_each(|&class| to.u32(class))?;
        to.all(&[self.from as u8])
    }

    /// Reads what [`Self::write`] wrote.
    pub(super) fn read(from: &mut Reading) -> Option<Self> {
        let names: Vec<String> = (0..from.count(8)?).map(|_| from.text()).collect::<Option<_>>()?;
        let of: Vec<u32> = (0..from.count(4)?).map(|_| from.u32()).collect::<Option<_>>()?;
        let from = *ClassesFrom::ALL.get(usize::from(from.byte()?))?;
        let known = |&class: &u32| class == NONE || (class as usize) < names.len();
        of.iter().all(known).then_some(Self { names, of, from })
    }

    /// The classes' names; empty with fewer than two.
    pub fn names(&self) -> &[String] {
        if self.names.len() < 2 { &[] } else { &self.names }
    }

    /// The class of picture `index`, as an index into the names.
    pub fn of(&self, index: u64) -> Option<usize> {
        let class = *self.of.get(usize::try_from(index).ok()?)?;
        (class != NONE && self.names.len() > 1).then_some(class as usize)
    }
}

/// Collects the classes of pictures, one after another.
#[derive(Debug, Default)]
pub(super) struct Gather {
    known: HashMap<String, u32>,
    of: Vec<u32>,
}

impl Gather {
    /// The next picture's class.
    pub fn push(&mut self, class: Option<&str>) {
        let number = match class {
            None => NONE,
            Some(class) => match self.known.get(class) {
                Some(&number) => number,
                // One past the limit is kept, so that `finish` sees there were too many.
                None if self.known.len() > MOST => NONE,
                None => {
                    let number = self.known.len() as u32;
                    self.known.insert(class.to_owned(), number);
                    number
                }
            },
        };
        self.of.push(number);
    }

    /// The next picture's class where classes are numbers.
    pub fn push_number(&mut self, class: i64) {
        self.push(Some(&class.to_string()));
    }

    /// The next picture's class, if it has one.
    pub fn push_some(&mut self, class: Option<String>) {
        self.push(class.as_deref());
    }

    /// The next `count` pictures have none.
    pub fn push_none(&mut self, count: u64) {
        self.of.resize(self.of.len() + count as usize, NONE);
    }

    /// The classes under the names that were pushed: by number where all are numbers, by name otherwise.
    pub fn finish(self) -> Labels {
        if self.known.len() > MOST {
            return Labels::default();
        }
        let mut sorted: Vec<(String, u32)> = self.known.into_iter().collect();
        sorted.sort_by_cached_key(|(name, _)| (name.parse::<i64>().unwrap_or(i64::MAX), name.clone()));
        let mut place = vec![NONE; sorted.len()];
        for (i, (_, number)) in (0..).zip(&sorted) {
            place[*number as usize] = i;
        }
        let of = self.of.into_iter().map(|number| place.get(number as usize).copied().unwrap_or(NONE)).collect();
        let from = ClassesFrom::default();
        Labels { names: sorted.into_iter().map(|(name, _)| name).collect(), of, from }
    }

    /// The classes where the numbers that were pushed are indices into `names`; without names they are the names.
    pub fn named(self, names: Vec<String>) -> Result<Labels, String> {
        if names.is_empty() {
            return Ok(self.finish());
        }
        let mut place = vec![NONE; self.known.len()];
        for (class, number) in &self.known {
            let index = class.parse().ok().filter(|&index: &usize| index < names.len());
            let index = index.ok_or_else(|| {
                let at = self.of.iter().position(|of| of == number).unwrap_or_default();
                format!("picture {at} has label {class}, and there are {} class names", names.len())
            })?;
            place[*number as usize] = index as u32;
        }
        let of = self.of.into_iter().map(|number| place.get(number as usize).copied().unwrap_or(NONE)).collect();
        Ok(Labels { names, of, from: ClassesFrom::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_by_number_where_all_are_numbers() {
        let gather = |classes: &[&str]| {
            let mut gather = Gather::default();
            classes.iter().for_each(|class| gather.push(Some(class)));
            gather.push(None);
            gather
        };
        let labels = gather(&["10", "9", "10"]).finish();
        assert_eq!(
            (labels.names(), labels.of(0), labels.of(1)),
            (&["9".to_owned(), "10".into()][..], Some(1), Some(0))
        );
        assert_eq!((labels.of(3), labels.of(9)), (None, None));
        assert_eq!(gather(&["b", "a"]).finish().names(), ["a", "b"]);
        assert!(gather(&["b", "b"]).finish().names().is_empty(), "one class is none");
        let labels = gather(&["1", "0"]).named(vec!["cat".into(), "dog".into(), "newt".into()]).unwrap();
        assert_eq!((labels.names().len(), labels.of(0)), (3, Some(1)));
        let cause = gather(&["0", "7"]).named(vec!["cat".into(), "dog".into()]).unwrap_err();
        assert!(cause.contains("picture 1 has label 7"), "{cause}");
    }
}
