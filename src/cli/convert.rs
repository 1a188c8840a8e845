//! `zscape convert`: writes a model in another format.

use std::path::PathBuf;

use anyhow::bail;
use burn::tensor::Device;
use clap::Args;

use super::CommonArgs;
use crate::model::{ExportFormat, Model};

#[derive(Args, Debug)]
pub(super) struct ConvertArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model to convert: a model file of zscape or PyTorch, safetensors, a folder of .npy arrays, a checkpoint, or a
    /// run folder
    ///
    /// Settings that the file does not store are inferred, and can be changed after its name:
    /// netG.pth@prior=uniform,sampling=batch,output=sigmoid,leak=0.2,flipped=true,crop=108,fit=pad,resize=area.
    /// RUN@average=20 averages the generators of the 20 newest checkpoints, whose samples have fewer artifacts;
    /// `zscape train --keep-last` sets how many checkpoints are kept.
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// File to write: .safetensors (zscape's format), .pth or .pt (PyTorch state dicts with the names of its DCGAN
    /// tutorial; the discriminator goes to a second file), or .onnx (only the generator)
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Omit the discriminator
    #[arg(long)]
    generator_only: bool,
    /// Store float16: half the size, nearly the same samples (only .safetensors)
    #[arg(long)]
    half: bool,
}

impl ConvertArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let format = ExportFormat::of(&self.output)?;
        if self.half && format != ExportFormat::Zscape {
            bail!("--half is for .safetensors; {} holds 32-bit floats", self.output.display());
        }
        let device = Device::flex();
        let mut model = Model::open(&self.input, &device)?;
        if self.generator_only {
            model.discriminator = None;
        }
        let written = model.write(&self.output, self.half)?;
        let averaged = model.provenance.averaged;
        let summary = serde_json::json!({ "out": written, "averaged": averaged });
        self.common.print(&summary, || {
            let names: Vec<_> = written.iter().map(|file| file.display().to_string()).collect();
            let of = if averaged > 0 { format!(", the average of {averaged} checkpoints") } else { String::new() };
            format!("wrote {}{of}", names.join(" and "))
        })
    }
}
