//! `zscape convert`.

use std::path::PathBuf;

use anyhow::bail;
use burn::tensor::Device;
use clap::Args;

use super::Common;
use crate::model::Model;

#[derive(Args, Debug)]
pub(super) struct Convert {
    #[command(flatten)]
    common: Common,
    /// A model file, a checkpoint, or a run folder
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The model file to write, .safetensors
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Leave the discriminator out: the file then only samples
    #[arg(long)]
    generator_only: bool,
    /// Store 16-bit floats: half the size, pictures all but the same
    #[arg(long)]
    half: bool,
}

impl Convert {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        if self.output.extension().is_none_or(|end| end != "safetensors") {
            bail!("{}: only .safetensors files are written", self.output.display());
        }
        let mut model = Model::open(&self.input, &Device::flex())?;
        if self.generator_only {
            model.discriminator = None;
        }
        model.to_file()?.write(&self.output, self.half)?;
        let summary = serde_json::json!({ "out": self.output });
        self.common.print(&summary, || format!("written {}", self.output.display()))
    }
}
