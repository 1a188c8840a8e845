//! Some pictures of a set.

use super::{Found, Labels, Opened, Pictures};
use crate::data::left_out::{LeftOut, Reason, Tally};
use crate::image::{Range, Samples};

#[derive(Debug)]
struct Picked {
    all: Box<dyn Pictures>,
    /// The number in the whole set of each.
    kept: Vec<u32>,
    left_out: Vec<LeftOut>,
}

/// The pictures `kept` of a set, numbers in their order.
pub(in crate::data) fn picked(opened: Opened, kept: Vec<u32>) -> Opened {
    let classes = kept.iter().map(|&i| opened.labels.of(u64::from(i)));
    let labels = Labels::new(opened.labels.names().to_vec(), classes).from(opened.labels.source());
    let mut skipped = Tally::default();
    let mut next = kept.iter().peekable();
    for index in 0..opened.pictures.len().unwrap_or(0) as u32 {
        if next.next_if_eq(&&index).is_none() {
            skipped.add(Reason::Skipped, "pictures", &opened.pictures.name(index.into()));
        }
    }
    let left_out = [opened.pictures.left_out(), &skipped.finish()].concat();
    Opened { labels, pictures: Box::new(Picked { all: opened.pictures, kept, left_out }), notes: opened.notes }
}

impl Picked {
    fn at(&self, index: u64) -> Option<u64> {
        self.kept.get(usize::try_from(index).ok()?).copied().map(u64::from)
    }
}

impl Pictures for Picked {
    fn len(&self) -> Option<u64> {
        Some(self.kept.len() as u64)
    }

    fn name(&self, index: u64) -> String {
        self.at(index).map(|at| self.all.name(at)).unwrap_or_default()
    }

    fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    fn read(&self, index: u64, size: usize) -> Result<Found, String> {
        self.at(index).map_or_else(|| Err("there is no such picture".to_owned()), |at| self.all.read(at, size))
    }

    fn samples(&self) -> (Samples, Option<Range>) {
        self.all.samples()
    }
}
