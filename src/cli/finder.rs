//! `zscape finder`: trains the window detector of `forget --find windows`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::CommonArgs;
use super::progress::bar;
use crate::dissect::window_finder::WindowFinder;

/// Test rooms, of another seed than the training rooms.
const TEST_ROOMS: u64 = 1000;

#[derive(Args, Debug)]
pub(super) struct FinderArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Training steps, with batches of 32 rooms
    #[arg(long, default_value_t = 4000)]
    steps: u64,
    /// Seed of the training rooms
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// File to write
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
}

impl FinderArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let began = Instant::now();
        let bar = bar(self.steps, "steps");
        let finder = WindowFinder::train(self.steps, self.seed, &compute.device, |step, _| bar.set_position(step))?;
        bar.finish_and_clear();
        let seconds = began.elapsed().as_secs_f64();
        finder.to_file()?.write(&self.out, true)?;
        let overlap = finder.iou(TEST_ROOMS, self.seed ^ 0x6f_7468_6572)?;
        let summary = serde_json::json!({ "out": self.out, "iou": overlap, "seconds": seconds });
        self.common.print(&summary, || {
            format!("{}: IoU {overlap:.3} on {TEST_ROOMS} test rooms, after {seconds:.0} s", self.out.display())
        })
    }
}
