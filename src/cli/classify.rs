//! `zscape classify`: linear probes on the discriminator's features (section 5).

use std::path::{Path, PathBuf};

use clap::Args;

use super::prepared::PreparationArgs;
use super::progress::StageProgress;
use super::{CommonArgs, outputs};
use crate::data::{Dataset, Source};
use crate::evaluate::features::{FeatureKind, feature_width};
use crate::evaluate::probe::{ProbeReport, ProbeScore, ProbeSettings, default_validation_count, run_probe};
use crate::evaluate::statistics::Estimate;
use crate::evaluate::{LabeledSet, require_discriminator};
use crate::model::{Model, ModelConfig};

#[derive(Args, Debug)]
pub(super) struct ClassifyArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model file, checkpoint, or run folder, with a discriminator
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// Labeled training pictures: a folder whose subfolders are classes, an archive, or a split of one: set.zip/train
    #[arg(long, value_name = "SRC")]
    train: String,
    /// Labeled test pictures of the same classes
    #[arg(long, value_name = "SRC")]
    test: String,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// Train with only this many labels, equally many per class, in several random subsets [default: all labels]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(2..))]
    labels: Option<u32>,
    /// Number of random subsets of labels [default: 10; the authors: 100]
    #[arg(long, value_name = "COUNT", requires = "labels", value_parser = clap::value_parser!(u32).range(1..))]
    draws: Option<u32>,
    /// Most training pictures, equally many per class
    #[arg(long, default_value_t = ProbeSettings::COUNT as u32, value_parser = clap::value_parser!(u32).range(2..))]
    count: u32,
    /// Most test pictures
    #[arg(long, default_value_t = ProbeSettings::COUNT as u32, value_parser = clap::value_parser!(u32).range(1..))]
    test_count: u32,
    /// Training pictures held out as validation set, to choose C [default: a fifth, at most 10000]
    #[arg(long, value_name = "COUNT")]
    validation: Option<u32>,
    /// Training pictures, labeled or not, for the batch-norm statistics [default: all of --train, as in the authors'
    /// code]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    statistics: Option<u32>,
    /// Label subsets on which a supervised network of the same architecture is trained for comparison; 0 for none
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    supervised: u32,
    /// Epochs of the supervised network
    #[arg(long, default_value_t = ProbeSettings::EPOCHS as u32, value_parser = clap::value_parser!(u32).range(1..))]
    epochs: u32,
    /// Most memory for features, in GiB
    #[arg(long, value_name = "GIB", default_value_t = ProbeSettings::MEMORY)]
    memory: f64,
    /// Seed of the choice of pictures and labels, random weights, and orders
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the confusion matrix with the pictures in each cell, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: Option<PathBuf>,
}

impl ClassifyArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let model = Model::open(&self.model, &compute.device)?;
        let discriminator = require_discriminator(&model, &self.model)?;
        let progress_bar = StageProgress::new();
        let set = self.open(&self.train, model.config())?;
        let training = self.read(&set, self.count, &progress_bar)?;
        let test = self.read(&self.open(&self.test, model.config())?, self.test_count, &progress_bar)?;
        let test = test.with_classes(&training.classes, self.test.clone())?;
        let pictures = training.pictures.len();
        let settings = ProbeSettings {
            labels: self.labels.map(|labels| labels as usize),
            draws: self.draws.map_or(ProbeSettings::DRAWS, |draws| draws as usize),
            validation: self.validation.map_or(default_validation_count(pictures), |count| count as usize),
            supervised: self.supervised as usize,
            epochs: self.epochs as usize,
            statistics: self.statistics.map(|count| count as usize),
            memory: self.memory,
            seed: self.seed,
        };
        let features = feature_width(FeatureKind::Discriminator, model.config());
        let gib = (pictures * features * size_of::<f32>()) as f64 / f64::from(1u32 << 30);
        progress_bar.print(&format!("{pictures} pictures of {features} features: {gib:.2} GiB of memory"));
        let mut progress = progress_bar.callback();
        let report = run_probe(discriminator, [&training, &test], &set, settings, &compute.device, &mut progress)?;
        drop(progress_bar);
        if let Some(out) = &self.out {
            report.confusion.figure(&test).write(out)?;
        }
        self.common.print(&report, || text(&report, self.out.as_deref()))
    }

    fn open(&self, text: &str, config: &ModelConfig) -> anyhow::Result<Dataset> {
        Ok(Dataset::open(&Source::from(text), self.preparation.on(config.pictures())?, self.seed)?)
    }

    fn read(&self, set: &Dataset, count: u32, progress_bar: &StageProgress) -> anyhow::Result<LabeledSet> {
        let read = LabeledSet::read(set, count as usize, self.seed, &mut progress_bar.callback())?;
        progress_bar.print_skipped(&read.skipped);
        Ok(read)
    }
}

fn text(report: &ProbeReport, out: Option<&Path>) -> String {
    let ProbeSettings { labels, draws, validation, seed, .. } = report.settings;
    let learned = match labels {
        Some(labels) => format!("{labels} labels, {draws} random subsets of {} pictures", report.training - validation),
        None => format!("all {} labels", report.training),
    };
    let mut lines = vec![
        format!(
            "{} classes; {learned}; C chosen on {validation} pictures; {} test pictures; seed {seed}",
            report.classes.len(),
            report.test
        ),
        format!("  batch-norm statistics of {} training pictures", report.statistics),
        format!(
            "  {:<26}{:>9}{:>10}{:>13}  {:<28}{:>9}",
            "", "features", "C", "validation", "test accuracy, 95 % interval", "seconds"
        ),
    ];
    lines.extend(report.scores.iter().map(row));
    if labels.is_some() {
        lines.push("  intervals of the mean over subsets; +- covers 95 % of single subsets, as in the paper".into());
    }
    if report.scores.iter().any(|scored| !scored.converged) {
        lines.push("  * stopped after 200 epochs, before it had converged".into());
    }
    lines.push(
        "\nConfusion matrix of the discriminator's features: one row per true class, one column per predicted class"
            .into(),
    );
    lines.push(report.confusion.table(&report.classes));
    if let Some(out) = out {
        lines.push(format!("\n{}: the same, with pictures", out.display()));
    }
    lines.join("\n")
}

fn row(scored: &ProbeScore) -> String {
    let Estimate { value, low, high } = scored.accuracy;
    let percent = |share: f64| format!("{:.1}", share * 1e2);
    let spread = scored.spread.map_or(String::new(), |spread| format!(" +-{}", percent(spread)));
    let accuracy = format!("{} % ({} to {}){spread}", percent(value), percent(low), percent(high));
    format!(
        "  {:<26}{:>9}{:>10}{:>11} %  {accuracy:<28}{:>9.0}{}",
        scored.method.name(),
        scored.features.map_or("-".to_owned(), |features| features.to_string()),
        scored.c.map_or("-".to_owned(), |c| format!("{c:.0e}")),
        percent(scored.validation),
        scored.seconds,
        if scored.converged { "" } else { " *" }
    )
}
