//! A subset of a set's pictures.

use super::{ClassLabels, PictureData, PictureSet, PictureStore};
use crate::data::skipped::{SkipReason, SkipTally, SkippedGroup};
use crate::image::{Range, Samples};

#[derive(Debug)]
struct Subset {
    whole: Box<dyn PictureStore>,
    /// Index of each picture in the whole set.
    indices: Vec<u32>,
    skipped: Vec<SkippedGroup>,
}

/// The pictures with these indices, which are ascending.
pub(in crate::data) fn subset(opened: PictureSet, indices: Vec<u32>) -> PictureSet {
    let classes = indices.iter().map(|&i| opened.labels.class(u64::from(i)));
    let labels = ClassLabels::new(opened.labels.names().to_vec(), classes).with_source(opened.labels.source());
    let mut skipped = SkipTally::default();
    let mut next = indices.iter().peekable();
    for index in 0..opened.pictures.len().unwrap_or(0) as u32 {
        if next.next_if_eq(&&index).is_none() {
            skipped.add(SkipReason::Skipped, "pictures", &opened.pictures.name(index.into()));
        }
    }
    let skipped = [opened.pictures.skipped(), &skipped.finish()].concat();
    PictureSet { labels, pictures: Box::new(Subset { whole: opened.pictures, indices, skipped }), notes: opened.notes }
}

impl Subset {
    fn original_index(&self, index: u64) -> Option<u64> {
        self.indices.get(usize::try_from(index).ok()?).copied().map(u64::from)
    }
}

impl PictureStore for Subset {
    fn len(&self) -> Option<u64> {
        Some(self.indices.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        self.original_index(index).map(|at| self.whole.name(at)).unwrap_or_default()
    }

    fn skipped(&self) -> &[SkippedGroup] {
        &self.skipped
    }

    fn read(&self, index: u64, size: usize) -> Result<PictureData, String> {
        self.original_index(index)
            .map_or_else(|| Err("there is no such picture".to_owned()), |at| self.whole.read(at, size))
    }

    fn samples(&self) -> (Samples, Option<Range>) {
        self.whole.samples()
    }
}
