//! `zscape layers`: shows the feature maps of every layer.

use std::path::PathBuf;

use clap::Args;

use super::dissect::NormStatisticsArgs;
use super::{ModelArgs, outputs};
use crate::dissect::layers::{LayerMaps, discriminator_maps, generator_maps, render_layers};

#[derive(Args, Debug)]
pub(super) struct LayersArgs {
    #[command(flatten)]
    model_args: ModelArgs,
    /// Number of the sample
    #[arg(long, default_value_t = 0)]
    sample: u64,
    /// Pictures whose batch-norm statistics the discriminator uses [default: the training data]
    #[arg(long, value_name = "SRC", conflicts_with = "running_stats")]
    data: Option<String>,
    #[command(flatten)]
    norm_statistics: NormStatisticsArgs,
    /// Most pixels of the figure's width, at least 128
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u16).range(128..))]
    width: u16,
    /// Figure to write, as .png, .jpg, .webp, .bmp or .tif: the sample, and below it the feature maps of each layer
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl LayersArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.model_args.open()?;
        let (model, device) = (&exploration.model, &exploration.compute.device);
        let z = exploration.samples([self.sample]).remove(0);
        let (mut layers, picture) = generator_maps(&model.generator, &z, device)?;
        let generator = layers.len();
        let mut discriminated = None;
        if let Some(discriminator) = &model.discriminator {
            let (discriminator, statistics) =
                self.norm_statistics.on_training_data(model, discriminator, self.data.as_deref(), device)?;
            let (maps, logit) = discriminator_maps(&discriminator, &picture, device)?;
            layers.extend(maps);
            discriminated = Some((logit, statistics));
        }
        let logit = discriminated.as_ref().map(|(logit, _)| *logit);
        render_layers(&picture, &layers, usize::from(self.width)).write(&self.out)?;
        let network = |i: usize| if i < generator { "generator" } else { "discriminator" };
        let summaries: Vec<_> = layers
            .iter()
            .enumerate()
            .map(|(i, layer)| {
                let (maps, side, summary) = (layer.maps.len(), layer.side, layer.summary());
                serde_json::json!({
                    "network": network(i), "layer": layer.name, "maps": maps, "side": side, "summary": summary,
                })
            })
            .collect();
        let summary = serde_json::json!({
            "out": self.out, "sample": self.sample, "layers": summaries, "logit": logit,
            "statistics": model.config().sampling, "discriminator_statistics": discriminated.as_ref().map(|(_, statistics)| statistics.name()),
        });
        self.model_args.common.print(&summary, || {
            let row = |(i, layer): (usize, &LayerMaps)| line(network(i), layer);
            let mut text: Vec<String> = layers.iter().enumerate().map(row).collect();
            text.push(match &discriminated {
                Some((logit, statistics)) => {
                    format!("discriminator's logit: {logit:+.2} (above 0: real); {statistics}")
                }
                None => "this model has no discriminator".to_owned(),
            });
            format!("{}\n{}", self.out.display(), text.join("\n"))
        })
    }
}

fn line(network: &str, layer: &LayerMaps) -> String {
    let summary = layer.summary();
    format!(
        "{network:13} {:8} {:4} maps {:2}x{:<2}  mean {:7.3}  largest {:7.2}  {:3.0} % active  {} silent",
        layer.name,
        layer.maps.len(),
        layer.side,
        layer.side,
        summary.mean,
        summary.largest,
        100.0 * summary.active,
        summary.silent
    )
}
