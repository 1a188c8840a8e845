//! Which values are black and white in a set whose pictures are deeper than 8 bits.

use std::collections::BTreeMap;

use super::formats::{Found, Pictures};
use crate::image::{Ranges, Samples, Spread, spread};

/// Pictures by which a set is known to be an ordinary one.
const FIRST: u64 = 8;
/// Pictures whose values are looked at.
const LOOKED_AT: u64 = 64;

/// The ranges of a set by pictures spread over it, and what was found, for people. What cannot be read says nothing.
pub(super) fn find(pictures: &dyn Pictures) -> (Ranges, Vec<String>) {
    let Some(length) = pictures.len() else { return Default::default() };
    let mut found: BTreeMap<Samples, (u64, Spread)> = BTreeMap::new();
    let mut look = |index: u64| {
        let Ok(Found::Encoded(bytes)) = pictures.read(index, 0) else { return false };
        let Ok(Some((samples, spread))) = spread(&bytes) else { return false };
        let (count, all) = found.entry(samples).or_insert((0, Spread::NONE));
        (*count, *all) = (*count + 1, all.and(spread));
        true
    };
    let spread_out =
        |count: u64| (0..count).map(move |i| (u128::from(i) * u128::from(length) / u128::from(count)) as u64);
    let first: Vec<u64> = spread_out(length.min(FIRST)).collect();
    if first.iter().filter(|&&index| look(index)).count() > 0 {
        spread_out(length.min(LOOKED_AT)).filter(|index| !first.contains(index)).for_each(|index| {
            look(index);
        });
    }
    let mut ranges = Ranges::default();
    let mut notes = Vec::new();
    for (samples, (count, spread)) in found {
        let range = spread.range(samples);
        match samples {
            Samples::U8 => continue,
            Samples::U16 => ranges.words = Some(range),
            Samples::I16 => ranges.signed = Some(range),
            Samples::F32 => ranges.floats = Some(range),
        }
        let Spread { least, most } = spread;
        notes.push(format!("{samples} pictures: values from {least} to {most} in {count} of them, taken as {range}"));
    }
    (ranges, notes)
}
