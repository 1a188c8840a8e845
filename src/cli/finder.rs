//! `zscape finder`: trains what `forget --find windows` looks with.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::Common;
use super::dissect::bar;
use crate::dissect::segment::Finder;

/// Rooms that the finder is judged on, of a seed it never saw.
const JUDGED_ON: u64 = 1000;

#[derive(Args, Debug)]
pub(super) struct Train {
    #[command(flatten)]
    common: Common,
    /// Steps of 32 rooms
    #[arg(long, default_value_t = 4000)]
    steps: u64,
    /// Names the rooms it learns from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where it is written
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

impl Train {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let began = Instant::now();
        let bar = bar(self.steps, "steps");
        let finder = Finder::train(self.steps, self.seed, &compute.device, |step, _| bar.set_position(step))?;
        bar.finish_and_clear();
        let seconds = began.elapsed().as_secs_f64();
        finder.to_file()?.write(&self.out, true)?;
        let overlap = finder.overlap(JUDGED_ON, self.seed ^ 0x6f_7468_6572)?;
        let summary = serde_json::json!({ "out": self.out, "iou": overlap, "seconds": seconds });
        self.common.print(&summary, || {
            format!(
                "{}: IoU {overlap:.3} on {JUDGED_ON} rooms it has not seen, after {seconds:.0} s",
                self.out.display()
            )
        })
    }
}
