//! `zscape synth`: renders synthetic data sets.

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::CommonArgs;
use crate::data::synth::{Scene, write_set};

#[derive(Args, Debug)]
pub(super) struct SynthArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Scene: rooms or faces
    scene: Scene,
    /// Number of pictures
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Folder to write to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Side of the pictures in pixels, 8 to 1024
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(8..=1024))]
    size: u16,
    /// Seed of the scenes
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl SynthArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let style = ProgressStyle::with_template("{bar:40} {pos}/{len} pictures  {eta} left");
        let bar = ProgressBar::new(self.count).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        write_set(self.scene, self.count, self.size.into(), self.seed, &self.out, &mut |done| bar.set_position(done))?;
        bar.finish_and_clear();
        let summary = serde_json::json!({ "out": self.out, "count": self.count, "scene": self.scene });
        self.common.print(&summary, || {
            format!(
                "{} pictures of {} in {}, with their ground truth in truth.jsonl",
                self.count,
                self.scene,
                self.out.display()
            )
        })
    }
}
