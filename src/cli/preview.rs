//! `zscape preview`: shows how pictures are prepared for the networks.

use std::path::PathBuf;

use anyhow::bail;
use burn::tensor::Device;
use clap::Args;

use super::prepared::PreparationArgs;
use super::{CommonArgs, outputs};
use crate::data::{Dataset, DatasetReport, Source, compare_preparation, comparison_figure};
use crate::image::PictureFormat;
use crate::model::Model;

/// Side of each picture in the figure, in pixels.
const SIDE: usize = 192;

#[derive(Args, Debug)]
pub(super) struct PreviewArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Pictures: any source that `train` reads
    #[arg(long, value_name = "SRC")]
    data: String,
    /// Prepare them as for this model: a model file, a checkpoint or a run folder
    #[arg(long, value_name = "FILE|DIR", conflicts_with_all = ["size", "channels"])]
    model: Option<PathBuf>,
    /// Side of the prepared pictures in pixels, 1 to 1024
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1024))]
    size: u16,
    /// Color channels: 1 (gray) or 3 (color)
    #[arg(long, default_value_t = 3, value_parser = channels)]
    channels: usize,
    #[command(flatten)]
    preparation: PreparationArgs,
    /// Mirror the pictures that a training with this seed mirrors in its first epoch
    #[arg(long)]
    mirror: bool,
    /// Number of pictures, 1 to 64
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    count: u16,
    /// Seed of the choice of pictures, and of rendered ones
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Figure to write, as .png, .jpg, .webp, .bmp or .tif: pictures with their crop above, prepared pictures below
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

fn channels(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("channels are 1 (gray) or 3 (color)".to_owned()),
    }
}

impl PreviewArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let format = match &self.model {
            Some(path) => Model::open(path, &Device::flex())?.config().pictures(),
            None => PictureFormat::new(self.size.into(), self.channels),
        };
        let format = self.preparation.on(format)?;
        let dataset = Dataset::open(&Source::from(&self.data), format, self.seed)?;
        dataset.notes().iter().for_each(|note| eprintln!("{note}"));
        let report = DatasetReport::examine(&dataset, &|| false);
        let mirror = self.mirror.then_some(self.seed);
        let (pictures, problems) = compare_preparation(&dataset, self.count.into(), self.seed, SIDE, mirror);
        for problem in &problems {
            eprintln!("cannot be used: {}: {}", problem.name, problem.cause);
        }
        if pictures.is_empty() {
            bail!("none of the {} pictures of {} that were examined can be used", problems.len(), self.data);
        }
        comparison_figure(&pictures, SIDE).write(&self.out)?;
        let preparation = dataset.format().preparation;
        let shown: Vec<_> = pictures
            .iter()
            .map(|compared| serde_json::json!({ "name": compared.name, "size": compared.size }))
            .collect();
        let unusable: Vec<_> = problems
            .iter()
            .map(|problem| serde_json::json!({ "name": problem.name, "cause": problem.cause }))
            .collect();
        let summary = serde_json::json!({
            "out": self.out, "size": format.size, "channels": format.channels, "preparation": preparation,
            "mirror": self.mirror, "pictures": shown, "unusable": unusable, "report": report,
        });
        self.common.print(&summary, || {
            let row = |compared: &crate::data::BeforeAfter| {
                let [width, height] = compared.size;
                format!("  {width}x{height}  {}", compared.name)
            };
            let rows: Vec<_> = pictures.iter().map(row).collect();
            let size = format.size;
            format!("{}: to {size}x{size}, {preparation}\n{}\n{report}", self.out.display(), rows.join("\n"))
        })
    }
}
