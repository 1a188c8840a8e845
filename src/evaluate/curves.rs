//! Measures over the checkpoints of a run, as curves.

use super::distances::Measures;
use super::statistics::Estimate;
use super::yardstick::{Measured, Published};
use crate::image::plot::{Curve, Value};

/// One of the measures.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// For heads.
    pub name: &'static str,
    /// For columns of tables.
    pub short: &'static str,
    /// What it means.
    pub about: &'static str,
    /// Reads it.
    pub of: fn(&Measures) -> Estimate,
}

/// Those that there are in any space.
pub const MEASURES: [Measure; 6] = [
    Measure {
        name: "Sliced Wasserstein distance",
        short: "sliced",
        about: "Between the sets' shadows on random directions: the less the better; real pictures are not at 0, \
                since sets are finite",
        of: |m| m.sliced,
    },
    Measure {
        name: "Kernel distance",
        short: "kernel",
        about: "The squared mean discrepancy with a cubic kernel, as KID has it: the less the better; real pictures are at 0 on \
                average",
        of: |m| m.kernel,
    },
    Measure {
        name: "Precision",
        short: "precision",
        about: "Share of the samples that lie among real pictures: do they look real?",
        of: |m| m.precision,
    },
    Measure {
        name: "Recall",
        short: "recall",
        about: "Share of the real pictures that lie among samples: can all be drawn?",
        of: |m| m.recall,
    },
    Measure {
        name: "Density",
        short: "density",
        about: "As precision, but not fooled by outliers; 1 for real pictures",
        of: |m| m.density,
    },
    Measure {
        name: "Coverage",
        short: "coverage",
        about: "Share of the real pictures that have a sample near by",
        of: |m| m.coverage,
    },
];

const FID: &str = "The Fréchet distance of Inception's features, as pytorch-fid takes it: the less the better; comparable only \
                   with numbers of as many pictures";
const KID: &str = "The kernel distance of Inception's features, a mean over subsets with their standard deviation: the less the \
                   better; 0 for real pictures on average";

/// A curve for each measure: its values after some steps, and what real pictures give.
pub fn curves<'a>(floor: &Measured, measured: impl Iterator<Item = (u64, &'a Measured)> + Clone) -> Vec<Curve> {
    let curve = |name, about, of: &dyn Fn(&Measured) -> Option<Estimate>| {
        let value = |told| of(told).map(|Estimate { value, low, high }| Value { value, low, high });
        let points = measured.clone().filter_map(|(step, told)| Some((step as f64, value(told)?))).collect();
        Some(Curve { name, about, points, mark: value(floor)? })
    };
    let kid = |Published { kid, .. }: Published| {
        let kid = kid?;
        Some(Estimate { value: kid.mean, low: kid.mean - kid.deviation, high: kid.mean + kid.deviation })
    };
    let fid = |Published { fid, .. }: Published| Estimate { value: fid, low: fid, high: fid };
    let any =
        MEASURES.iter().map(|measure| curve(measure.name, measure.about, &|told| Some((measure.of)(&told.measures))));
    let by_inception =
        [curve("FID", FID, &|told| told.published.map(fid)), curve("KID", KID, &|told| told.published.and_then(kid))];
    any.chain(by_inception).flatten().collect()
}
