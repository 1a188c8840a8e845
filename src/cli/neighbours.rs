//! `zscape neighbours`: nearest training pictures of samples, and tests for memorization.

use std::path::PathBuf;

use clap::Args;

use super::prepared::PreparationArgs;
use super::progress::StageProgress;
use super::{CommonArgs, outputs};
use crate::data::{Dataset, Source};
use crate::evaluate::birthday::BirthdayTest;
use crate::evaluate::features::FeatureSource;
use crate::evaluate::neighbors::{NearestSetShare, NeighborReport, NeighborSettings, SpaceNeighbors, find_neighbors};
use crate::evaluate::require_discriminator;
use crate::model::{Inception, Model};

#[derive(Args, Debug)]
pub(super) struct NeighboursArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model file, checkpoint, or run folder, with a discriminator unless --inception is given
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// Use Inception's features instead of the discriminator's: pytorch-fid's pt_inception-2015-12-05-6726825d.pth,
    /// or its tensors as safetensors
    #[arg(long, value_name = "FILE")]
    inception: Option<PathBuf>,
    /// Training pictures: a folder, an archive or a split of one (set.zip/train), synth:rooms or synth:faces
    #[arg(long, value_name = "SRC")]
    data: String,
    /// Held-out pictures of the same kind [default: training pictures, each compared with all others]
    #[arg(long, value_name = "SRC")]
    held_out: Option<String>,
    /// Number of samples, and of held-out pictures
    #[arg(long, default_value_t = NeighborSettings::default().samples as u16, value_parser = clap::value_parser!(u16).range(8..=4096))]
    samples: u16,
    /// Most training pictures to search
    #[arg(long, default_value_t = NeighborSettings::default().count as u64, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Rows of the figure: the first samples, and those nearest to a training picture
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    rows: u16,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// Seed of the samples and the choice of pictures
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Figure to write, as .png, .jpg, .webp, .bmp or .tif: samples with their nearest pictures by pixels and by
    /// features; below, the closest pairs of samples
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl NeighboursArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let model = Model::open(&self.model, &compute.device)?;
        let by = match &self.inception {
            Some(path) => FeatureSource::Inception(Inception::open(path, &compute.device)?),
            None => FeatureSource::Discriminator(require_discriminator(&model, &self.model)?),
        };
        let config = model.config();
        let open = |text: &String, seed| -> anyhow::Result<Dataset> {
            Ok(Dataset::open(&Source::from(text), self.preparation.on(config.pictures())?, seed)?)
        };
        let data = open(&self.data, self.seed)?;
        let held = self.held_out.as_ref().map(|text| open(text, !self.seed)).transpose()?;
        let samples = usize::from(self.samples);
        let settings = NeighborSettings { samples, count: self.count as usize, held_out: samples, seed: self.seed };
        let progress_bar = StageProgress::new();
        let mut progress = progress_bar.callback();
        let report = find_neighbors(&model, by, &data, held.as_ref(), settings, &compute.device, &mut progress)?;
        progress_bar.print_skipped(&report.skipped);
        drop(progress_bar);
        report.figure(&data, usize::from(self.rows)).write(&self.out)?;
        let named = |space: &SpaceNeighbors| -> Vec<_> {
            let names = space.nearest.iter().map(|nearest| nearest.first().map(|nearest| data.name(nearest.number)));
            names.collect()
        };
        let mut summary = serde_json::to_value(&report)?;
        summary["out"] = serde_json::to_value(&self.out)?;
        summary["verdict"] = serde_json::to_value(report.diagnosis())?;
        for (i, space) in report.spaces.iter().enumerate() {
            summary["spaces"][i]["names"] = named(space).into();
        }
        self.common.print(&summary, || self.text(&report))
    }

    fn text(&self, report: &NeighborReport) -> String {
        let reference = if report.held_out {
            format!("{} held-out pictures", report.compared)
        } else {
            format!("{} training pictures, each compared with all others (no --held-out was given)", report.compared)
        };
        let mut lines = vec![format!(
            "{}: {} samples of seed {} among {} training pictures; reference: {reference}",
            self.out.display(),
            report.settings.samples,
            report.settings.seed,
            report.training
        )];
        for SpaceNeighbors { space, nearest_is_training, nearer, suspicious, birthday, .. } in &report.spaces {
            lines.push(format!("\nBy {}", space.name()));
            if let Some(NearestSetShare { share, .. }) = nearest_is_training {
                lines.push(format!(
                    "  among equally many training and held-out pictures, a sample's nearest is a training picture: {:.1} % ({:.1} to {:.1}); \
                     50 % without memorization",
                    share.value * 1e2,
                    share.low * 1e2,
                    share.high * 1e2
                ));
            }
            if let Some(nearer) = nearer {
                lines.push(format!(
                    "  a sample is nearer to a training picture than a reference picture is: {:.1} % ({:.1} to {:.1}); above 50 % also if samples are smooth",
                    nearer.value * 1e2,
                    nearer.low * 1e2,
                    nearer.high * 1e2
                ));
            }
            if let Some(share) = suspicious.wilson() {
                lines.push(format!(
                    "  samples nearer than 95 % of the reference pictures: {:.1} % ({:.1} to {:.1}); 5 % without memorization",
                    share.value * 1e2,
                    share.low * 1e2,
                    share.high * 1e2
                ));
            }
            lines.push(format!("  {}", birthday_sentence(birthday)));
        }
        lines.push("\nIntervals are 95 %.".into());
        lines.push(report.diagnosis().text);
        lines.join("\n")
    }
}

fn birthday_sentence(birthday: &BirthdayTest) -> String {
    let BirthdayTest { pairs, near_duplicates, threshold, real, distinct, at_least, at_most, .. } = birthday;
    let alike = format!(
        "{near_duplicates} of {pairs} pairs of samples are closer than any two of {real} real pictures ({threshold:.2})"
    );
    match (distinct, at_most) {
        (Some(distinct), Some(at_most)) => {
            format!("{alike}: about {distinct:.0} distinct samples ({at_least:.0} to {at_most:.0})")
        }
        _ => format!("{alike}: at least {at_least:.0} distinct samples"),
    }
}
