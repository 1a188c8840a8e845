//! `zscape layers`.

use std::path::PathBuf;

use clap::Args;

use super::dissect::Normed;
use super::{Explored, outputs};
use crate::dissect::layers::{LayerMaps, of_discriminator, of_generator, sheet};

#[derive(Args, Debug)]
pub(super) struct Layers {
    #[command(flatten)]
    explored: Explored,
    /// The sample's number
    #[arg(long, default_value_t = 0)]
    sample: u64,
    /// Pictures whose batch-norm statistics the discriminator uses [default: what the model was trained on]
    #[arg(long, value_name = "SRC", conflicts_with = "running_stats")]
    data: Option<String>,
    #[command(flatten)]
    normed: Normed,
    /// Pixels that the figure is wide, at most
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u16).range(128..))]
    width: u16,
    /// The figure, as .png, .jpg, .webp, .bmp or .tif: the picture, and under it a strip of maps for each layer
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl Layers {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.explored.open()?;
        let (model, device) = (&exploration.model, &exploration.compute.device);
        let z = exploration.samples([self.sample]).remove(0);
        let (mut layers, picture) = of_generator(&model.generator, &z, device)?;
        let generator = layers.len();
        let mut judged = None;
        if let Some(judge) = &model.discriminator {
            let (judge, statistics) = self.normed.on_training_data(model, judge, self.data.as_deref(), device)?;
            let (maps, logit) = of_discriminator(&judge, &picture, device)?;
            layers.extend(maps);
            judged = Some((logit, statistics));
        }
        let logit = judged.as_ref().map(|(logit, _)| *logit);
        sheet(&picture, &layers, usize::from(self.width)).write(&self.out)?;
        let network = |i: usize| if i < generator { "generator" } else { "discriminator" };
        let told: Vec<_> = layers
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
            "out": self.out, "sample": self.sample, "layers": told, "logit": logit,
            "statistics": model.config().sampling, "discriminator_statistics": judged.as_ref().map(|(_, statistics)| statistics.name()),
        });
        self.explored.common.print(&summary, || {
            let row = |(i, layer): (usize, &LayerMaps)| line(network(i), layer);
            let mut text: Vec<String> = layers.iter().enumerate().map(row).collect();
            text.push(match &judged {
                Some((logit, statistics)) => {
                    format!("discriminator's logit: {logit:+.2}, above zero for real pictures; {statistics}")
                }
                None => "this model has no discriminator".to_owned(),
            });
            format!("{}\n{}", self.out.display(), text.join("\n"))
        })
    }
}

fn line(network: &str, layer: &LayerMaps) -> String {
    let told = layer.summary();
    format!(
        "{network:13} {:8} {:4} maps {:2}x{:<2}  mean {:7.3}  largest {:7.2}  {:3.0} % active  {} silent",
        layer.name,
        layer.maps.len(),
        layer.side,
        layer.side,
        told.mean,
        told.largest,
        100.0 * told.active,
        told.silent
    )
}
