//! `zscape info`: describes a model.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Args;

use super::CommonArgs;
use crate::model::{Layer, Model, ModelConfig, Provenance};
use crate::train::{EpochEnd, epoch_ends};

#[derive(Args, Debug)]
pub(super) struct InfoArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model file of zscape or PyTorch, safetensors, folder of .npy arrays, checkpoint, or run folder
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
}

#[derive(serde::Serialize)]
struct LayerEntry {
    name: String,
    shape: Vec<usize>,
    batch_norm: bool,
}

fn shapes(layers: &[Layer]) -> Vec<LayerEntry> {
    let shape = |layer: &Layer| LayerEntry {
        name: layer.weight.name.clone(),
        shape: layer.weight.shape.clone(),
        batch_norm: layer.norm.is_some(),
    };
    layers.iter().map(shape).collect()
}

fn training(provenance: &Provenance) -> String {
    let mean = match provenance.averaged {
        0 => String::new(),
        count => format!("its generator is the average of {count} checkpoints\n"),
    };
    format!(
        "trained on {} for {} steps, {} pictures (seed {}, zscape {})\n{mean}",
        provenance.data, provenance.steps, provenance.images, provenance.seed, provenance.version
    )
}

/// The distinct kernel sizes of the generator.
fn kernels(config: &ModelConfig) -> String {
    let mut sides: Vec<usize> = config.layers().generator[1..].iter().map(|plan| plan.kernel).collect();
    sides.dedup();
    let sides: Vec<String> = sides.iter().map(|side| format!("{side}x{side}")).collect();
    sides.join(", ")
}

impl InfoArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let mut warnings = Vec::new();
        let model = Model::open_noting(&self.path, &Device::flex(), &mut |warning| {
            tracing::warn!("{warning}");
            warnings.push(warning);
        })?;
        let (config, origin) = (model.config(), &model.provenance.origin);
        let generator = shapes(model.generator.layers());
        let discriminator = model.discriminator.as_ref().map(|d| shapes(&d.layers));
        let epochs = epoch_ends(&self.path.join("checkpoints"));
        let learned_d = model.discriminator.as_ref().map(|d| d.parameter_count());
        let mut provenance = serde_json::to_value(&model.provenance)?;
        let mut guesses = serde_json::json!([]);
        if let Some(origin) = origin {
            // In JSON, remarks are sentences.
            let sentences: Vec<_> = origin.notes.iter().map(ToString::to_string).collect();
            provenance["origin"]["remarks"] = serde_json::json!(sentences);
            guesses =
                serde_json::json!(origin.notes.iter().filter(|remark| remark.inferred.is_some()).collect::<Vec<_>>());
        }
        let value = serde_json::json!({
            "config": config,
            "provenance": provenance,
            "guesses": guesses,
            "epochs": epochs,
            "warnings": warnings,
            "generator": { "parameters": model.generator.parameter_count(), "layers": generator },
            "discriminator": discriminator.as_ref().map(|layers| {
                serde_json::json!({ "parameters": learned_d, "layers": layers })
            }),
        });
        self.common.print(&value, || {
            let mut text = format!(
                "DCGAN, preset {}: {}x{}, {}, {} base filters, {} kernels{}\n",
                config.preset,
                config.size,
                config.size,
                if config.channels == 1 { "gray" } else { "color" },
                config.base,
                kernels(config),
                if config.bias { " with biases" } else { "" },
            );
            text += &format!("z: {} coordinates, {} prior; {}; ", config.z_dim, config.prior, config.hidden_activation());
            text += &format!("sampled with {}\n", config.sampling.describe());
            text += &format!("real pictures: {}\n", config.preparation);
            let departures = config.deviations_from_paper();
            if !departures.is_empty() {
                text += &format!("unlike the paper's plan: {}\n", departures.join(", "));
            }
            if let Some(origin) = origin {
                text += &format!("opened from {}\n", origin.format);
                for remark in &origin.notes {
                    text += &format!("  {remark}\n");
                }
                for (what, names) in [("tensors not used", &origin.unused), ("objects skipped", &origin.skipped)] {
                    if !names.is_empty() {
                        text += &format!("  {} {what}:\n    {}\n", names.len(), names.join("\n    "));
                    }
                }
                text += "change an inferred setting in the window, or after the file name: FILE@prior=uniform,sampling=batch,output=sigmoid,leak=0.2,flipped=true,crop=108,fit=pad,resize=area\n";
                text += "in the same way: FILE@strides=1,2,2 (from z to the picture), FILE@size=28, FILE@eps=1e-3 (of batch norm), FILE@class=3\n";
            } else {
                text += &training(&model.provenance);
            }
            for EpochEnd { epoch, step } in &epochs {
                text += &format!("epoch {epoch} ended with step {step}: checkpoints/step-{step:08}\n");
            }
            for (name, count, layers) in [
                ("generator", Some(model.generator.parameter_count()), Some(&generator)),
                ("discriminator", learned_d, discriminator.as_ref()),
            ] {
                let (Some(count), Some(layers)) = (count, layers) else {
                    text += &format!("no {name} in this file\n");
                    continue;
                };
                text += &format!("{name}: {count} parameters\n");
                for layer in layers {
                    let norm = if layer.batch_norm { "  batch norm" } else { "" };
                    text += &format!("  {:<16} {:?}{norm}\n", layer.name, layer.shape);
                }
            }
            text
        })
    }
}
