//! `zscape layers`.

use std::path::PathBuf;

use clap::Args;

use super::Explored;
use super::inside::Normed;
use crate::dissect::layers::{LayerMaps, of_discriminator, of_generator, sheet};
use crate::model::Statistics;

/// Samples that keep the chosen one company where batch statistics are used.
const COMPANY: u64 = 64;

#[derive(Args, Debug)]
pub(super) struct Layers {
    #[command(flatten)]
    explored: Explored,
    /// The sample's number
    #[arg(long, default_value_t = 0)]
    sample: u64,
    #[command(flatten)]
    normed: Normed,
    /// Pixels that the figure is wide, at most
    #[arg(long, default_value_t = 1200, value_parser = clap::value_parser!(u16).range(128..))]
    width: u16,
    /// The figure, a PNG: the picture, and under it a strip of maps for each layer
    #[arg(long, value_name = "FIGURE.png")]
    out: PathBuf,
}

impl Layers {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.explored.open()?;
        let (model, device) = (&exploration.model, &exploration.compute.device);
        let company = (0..COMPANY).filter(|&number| number != self.sample);
        let z = exploration.samples(std::iter::once(self.sample).chain(company));
        let (mut layers, picture) = of_generator(&model.generator, &z, device)?;
        let generator = layers.len();
        let statistics = self.normed.choose(model.config());
        let mut logit = None;
        if let Some(discriminator) = &model.discriminator {
            let pictures = if statistics == Statistics::Batch { exploration.draw(&z)? } else { vec![picture.clone()] };
            let (judged, verdict) = of_discriminator(discriminator, &pictures, statistics, device)?;
            layers.extend(judged);
            logit = Some(verdict);
        }
        sheet(&picture, &layers, usize::from(self.width)).write_png(&self.out)?;
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
        let judged = model.discriminator.as_ref().map(|_| statistics);
        let summary = serde_json::json!({
            "out": self.out, "sample": self.sample, "layers": told, "logit": logit,
            "statistics": model.config().sampling, "discriminator_statistics": judged,
        });
        self.explored.common.print(&summary, || {
            let row = |(i, layer): (usize, &LayerMaps)| line(network(i), layer);
            let mut text: Vec<String> = layers.iter().enumerate().map(row).collect();
            text.push(match logit {
                Some(logit) => {
                    format!("verdict: logit {logit:+.2} with {statistics} statistics; above zero the discriminator takes it for real")
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
