//! Metrics over the checkpoints of a run, as [`Curve`]s.

use super::distances::SetMetrics;
use super::reference_set::{InceptionMetrics, SetComparison};
use super::statistics::Estimate;
use crate::image::plot::{Curve, PlotValue};

/// One of the [`SetMetrics`].
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Name in headings.
    pub name: &'static str,
    /// Name of its columns in tables.
    pub short: &'static str,
    /// Its meaning, in a sentence.
    pub about: &'static str,
    /// Reads its value.
    pub of: fn(&SetMetrics) -> Estimate,
}

/// The metrics of every feature space.
pub const METRICS: [Metric; 6] = [
    Metric {
        name: "Sliced Wasserstein distance",
        short: "sliced",
        about: "Between the sets' shadows on random directions: the less the better; real pictures are not at 0, \
                since sets are finite",
        of: |m| m.sliced,
    },
    Metric {
        name: "Kernel distance",
        short: "kernel",
        about: "The squared mean discrepancy with a cubic kernel, as KID has it: the less the better; real pictures are at 0 on \
                average",
        of: |m| m.kernel,
    },
    Metric {
        name: "Precision",
        short: "precision",
        about: "Share of the samples that lie among real pictures: do they look real?",
        of: |m| m.precision,
    },
    Metric {
        name: "Recall",
        short: "recall",
        about: "Share of the real pictures that lie among samples: can all be drawn?",
        of: |m| m.recall,
    },
    Metric {
        name: "Density",
        short: "density",
        about: "As precision, but not fooled by outliers; 1 for real pictures",
        of: |m| m.density,
    },
    Metric {
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

/// One curve per metric: its value by training step, with a mark at the value of real images.
pub fn curves<'a>(
    floor: &SetComparison,
    measured: impl Iterator<Item = (u64, &'a SetComparison)> + Clone,
) -> Vec<Curve> {
    let curve = |name, about, of: &dyn Fn(&SetComparison) -> Option<Estimate>| {
        let value = |comparison| of(comparison).map(|Estimate { value, low, high }| PlotValue { value, low, high });
        let points =
            measured.clone().filter_map(|(step, comparison)| Some((step as f64, value(comparison)?))).collect();
        Some(Curve { name, about, points, mark: value(floor)? })
    };
    let kid = |InceptionMetrics { kid, .. }: InceptionMetrics| {
        let kid = kid?;
        Some(Estimate { value: kid.mean, low: kid.mean - kid.deviation, high: kid.mean + kid.deviation })
    };
    let fid = |InceptionMetrics { fid, .. }: InceptionMetrics| Estimate { value: fid, low: fid, high: fid };
    let in_any_space =
        METRICS.iter().map(|metric| curve(metric.name, metric.about, &|of| Some((metric.of)(&of.metrics))));
    let by_inception =
        [curve("FID", FID, &|of| of.inception.map(fid)), curve("KID", KID, &|of| of.inception.and_then(kid))];
    in_any_space.chain(by_inception).flatten().collect()
}
