//! `zscape distances`: distances between sets of samples and real pictures.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use serde::Serialize;

use super::CommonArgs;
use super::prepared::PreparationArgs;
use super::progress::StageProgress;
use crate::data::{Dataset, Source};
use crate::evaluate::curves::{METRICS, curves};
use crate::evaluate::distances::{NEIGHBOR, SetMetrics};
use crate::evaluate::features::{FeatureKind, FeatureSource};
use crate::evaluate::fid::{self, Kid};
use crate::evaluate::reference_set::{InceptionMetrics, MAX_COMPARED, ReferenceSet, ReferenceSettings, SetComparison};
use crate::evaluate::statistics::Estimate;
use crate::files;
use crate::image::plot::{self, PlotFormat};
use crate::model::{Model, checkpoints};

#[derive(Args, Debug)]
pub(super) struct DistancesArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model file, checkpoint, or run folder
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "run")]
    model: Option<PathBuf>,
    /// Measure every checkpoint of a run instead, in the feature space of the newest one's discriminator
    #[arg(long, value_name = "DIR", conflicts_with = "model")]
    run: Option<PathBuf>,
    /// Real pictures: a folder, an archive or a split of one (set.zip/test), synth:rooms or synth:faces
    #[arg(long, value_name = "SRC")]
    data: String,
    /// Feature space in which pictures are compared
    #[arg(long, value_enum, default_value = "discriminator")]
    space: FeatureKind,
    /// Compare in Inception's feature space, and compute FID and KID as published: pytorch-fid's
    /// pt_inception-2015-12-05-6726825d.pth, or its tensors as safetensors
    #[arg(long, value_name = "FILE", conflicts_with = "space")]
    inception: Option<PathBuf>,
    /// Number of samples, of real pictures, and of other real pictures for the floor; half of the data set if that is
    /// smaller. Published FIDs use 10,000 to 50,000; without --inception at most 5,000
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u16).range(50..=50_000))]
    count: u16,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// Seed of the samples, the choice of pictures, projections and bootstrap
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the distances as a table, one row per model
    #[arg(long, value_name = "TABLE.csv")]
    out: Option<PathBuf>,
    /// Plot the distances over the steps, with intervals and the floor of real pictures
    #[arg(long, value_name = "CURVES.png|svg")]
    plot: Option<PathBuf>,
}

/// The distances of one model.
#[derive(Serialize)]
struct ModelDistances {
    model: PathBuf,
    steps: u64,
    #[serde(flatten)]
    measured: SetComparison,
}

impl DistancesArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let device = &compute.device;
        let models: Vec<PathBuf> = match (&self.run, &self.model) {
            (Some(run), _) => checkpoints(&run.join("checkpoints")).into_iter().map(|(_, path)| path).collect(),
            (None, model) => model.iter().cloned().collect(),
        };
        let newest = models.last().with_context(|| {
            let run = self.run.as_deref().unwrap_or(Path::new("")).display();
            format!("{run} holds no checkpoint yet; give a run that was saved at least once")
        })?;
        if self.inception.is_none() && usize::from(self.count) > MAX_COMPARED {
            bail!("--count is {}; without --inception it goes to {MAX_COMPARED}", self.count);
        }
        if let Some(path) = &self.plot {
            PlotFormat::of(path)?;
        }
        let model = Model::open(newest, device)?;
        let config = model.config();
        let (space, inception) =
            self.inception.as_deref().map_or((self.space, Path::new("")), |path| (FeatureKind::Inception, path));
        let by = FeatureSource::open(space, &model, newest, inception, device)?;
        let data = Dataset::open(&Source::from(&self.data), self.preparation.on(config.pictures())?, self.seed)?;
        let progress_bar = StageProgress::new();
        let mut progress = progress_bar.callback();
        let settings = ReferenceSettings { count: self.count.into(), seed: self.seed };
        let reference = ReferenceSet::new(by, &data, settings, device, &mut progress)?;
        progress_bar.print_skipped(&reference.skipped);
        let mut measured = Vec::new();
        for path in &models {
            let model = Model::open(path, device)?;
            let distances = reference.measure(&model, &mut progress)?;
            measured.push(ModelDistances { model: path.clone(), steps: model.provenance.steps, measured: distances });
        }
        drop(progress_bar);
        if let Some(out) = &self.out {
            write(out, &measured, &reference.floor)?;
        }
        let count = reference.count;
        if let Some(path) = &self.plot {
            let steps = measured.iter().map(|of| (of.steps, &of.measured));
            let title = format!(
                "{count} samples and {count} pictures of {}, by {}",
                self.data,
                reference.extractor.kind.name()
            );
            plot::write(path, &title, "step", &curves(&reference.floor, steps))?;
        }
        let warning = self.inception.as_ref().and_then(|_| few(count));
        let mut summary = serde_json::json!({
            "space": reference.extractor.kind, "features": reference.extractor.width(), "of": newest, "drawn": count, "real": count,
            "neighbour": NEIGHBOR, "seed": self.seed, "floor": reference.floor, "measured": measured,
        });
        if let Some(inception) = &self.inception {
            summary["inception"] = serde_json::to_value(inception)?;
            summary["warning"] = serde_json::to_value(&warning)?;
        }
        self.common.print(&summary, || {
            let mut lines = self.lines(&reference, newest, &measured);
            lines.extend(warning);
            lines.join("\n")
        })
    }

    fn lines(&self, reference: &ReferenceSet, newest: &Path, measured: &[ModelDistances]) -> Vec<String> {
        let (count, floor, width) = (reference.count, &reference.floor, reference.extractor.width());
        let of = self.inception.as_deref().unwrap_or(newest).display();
        let names = METRICS.map(|measure| measure.name.to_owned());
        let mut lines = vec![
            format!(
                "{count} samples and {count} real pictures of {}, by {} ({width}) of {of}; neighbor {NEIGHBOR}; seed {}",
                self.data,
                reference.extractor.kind.name(),
                self.seed
            ),
            row("", names),
            row("real vs. real", cells(&floor.metrics)),
        ];
        lines.extend(measured.iter().map(|of| row(&format!("step {}", of.steps), cells(&of.measured.metrics))));
        lines.push("Values with 95 % intervals; real vs. real is the floor, between two sets of real pictures.".into());
        let Some(inception) = floor.inception else { return lines };
        lines.push(String::new());
        lines.push(as_published("real vs. real", inception));
        let rows = measured.iter().filter_map(|of| Some((of.steps, of.measured.inception?)));
        lines.extend(rows.map(|(steps, inception)| as_published(&format!("step {steps}"), inception)));
        if let Some(Kid { subsets, size, .. }) = inception.kid {
            lines.push(format!(
                "KID is the mean of {subsets} subsets of {size} with their standard deviation. Pictures went from the \
                 network's size to 299x299 as pytorch-fid resizes them."
            ));
        }
        lines
    }
}

/// A warning if FID is not comparable with published values because of few pictures.
fn few(count: usize) -> Option<String> {
    let cause = if count < fid::MIN_IMAGES {
        format!(
            "fewer than the {} features, which makes the covariances singular and FID much too large",
            fid::MIN_IMAGES
        )
    } else if count < fid::USUAL_IMAGES {
        format!("fewer than {}, and FID falls with more pictures", fid::USUAL_IMAGES)
    } else {
        return None;
    };
    Some(format!(
        "Not to be compared with published FIDs: {count} pictures of each are {cause}. Use --count 10000 or more."
    ))
}

fn as_published(name: &str, InceptionMetrics { fid, kid }: InceptionMetrics) -> String {
    let kid = kid.map_or_else(|| "-".to_owned(), |kid| format!("{:.5} +- {:.5}", kid.mean, kid.deviation));
    format!("  {name:<17} FID {fid:<10.3} KID {kid}")
}

fn cells(metrics: &SetMetrics) -> [String; 6] {
    METRICS.map(|measure| {
        let Estimate { value, low, high } = (measure.of)(metrics);
        format!("{value:.3} ({low:.3} to {high:.3})")
    })
}

fn row(name: &str, cells: [String; 6]) -> String {
    let cells = cells.map(|cell| format!(" {cell:<28}"));
    format!("  {name:<17}{}", cells.concat()).trim_end().to_owned()
}

/// Writes one row per model and one for the floor; each distance with the ends of its interval.
fn write(path: &Path, measured: &[ModelDistances], floor: &SetComparison) -> std::io::Result<()> {
    files::write(path, |file| {
        let mut table = csv::Writer::from_writer(file);
        let heads =
            METRICS.iter().flat_map(|measure| ["", "_low", "_high"].map(|end| format!("{}{end}", measure.short)));
        // With Inception there are columns for FID and KID.
        let ends: &[&str] = if floor.inception.is_some() { &["fid", "kid", "kid_deviation"] } else { &[] };
        let heads = heads.chain(ends.iter().map(|&name| name.to_owned()));
        table.write_record(["model".to_owned(), "steps".to_owned()].into_iter().chain(heads))?;
        let numbers = |SetComparison { metrics, inception }: &SetComparison| -> Vec<String> {
            let estimates = METRICS.iter().map(|measure| (measure.of)(metrics));
            let mut all: Vec<_> = estimates.flat_map(|e| [e.value, e.low, e.high].map(Some)).collect();
            if let Some(InceptionMetrics { fid, kid }) = inception {
                all.extend([Some(*fid), kid.map(|kid| kid.mean), kid.map(|kid| kid.deviation)]);
            }
            all.into_iter().map(|value| value.map(|value| value.to_string()).unwrap_or_default()).collect()
        };
        table.write_record(["real".to_owned(), String::new()].into_iter().chain(numbers(floor)))?;
        for ModelDistances { model, steps, measured } in measured {
            let name = [model.display().to_string(), steps.to_string()];
            table.write_record(name.into_iter().chain(numbers(measured)))?;
        }
        table.flush()
    })
}
