//! `zscape convert`.

use std::path::PathBuf;

use anyhow::bail;
use burn::tensor::Device;
use clap::Args;

use super::Common;
use crate::model::{Format, Model};

#[derive(Args, Debug)]
pub(super) struct Convert {
    #[command(flatten)]
    common: Common,
    /// A model file of zscape's, PyTorch's or safetensors, a folder of .npy arrays, a checkpoint, or a run folder. What such
    /// a file leaves open is chosen after it: netG.pth@prior=uniform,sampling=batch,output=sigmoid,leak=0.2,flipped=true,crop=108,fit=pad,resize=area.
    /// RUN@average=20 is the mean of the generators of 20 checkpoints, which draws with less grain; `zscape train --keep-last`
    /// says how many are kept
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write: .safetensors (zscape's own), .pth or .pt (PyTorch state dicts under the names of its DCGAN
    /// tutorial, the discriminator's in a second file beside it), or .onnx (the generator, z to pictures)
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Leave the discriminator out: the file then only samples
    #[arg(long)]
    generator_only: bool,
    /// Store 16-bit floats: half the size, pictures all but the same (.safetensors only)
    #[arg(long)]
    half: bool,
}

impl Convert {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let format = Format::of(&self.output)?;
        if self.half && format != Format::Own {
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
            let of = if averaged > 0 { format!(", the mean of {averaged} checkpoints") } else { String::new() };
            format!("written {}{of}", names.join(" and "))
        })
    }
}
