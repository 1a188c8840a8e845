//! `zscape directions`: finds interpretable directions of latent space.

use std::path::PathBuf;

use clap::Args;

use super::{ModelArgs, numpy, outputs};
use crate::image::grid;
use crate::latent::directions::{DirectionMethod, LatentDirection, find_directions, traverse};

/// Positions along a direction, in standard deviations.
const STRIP: [f32; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];

#[derive(Args, Debug)]
pub(super) struct DirectionsArgs {
    #[command(flatten)]
    model_args: ModelArgs,
    /// Method
    #[arg(long, value_enum, default_value = "ganspace")]
    method: DirectionMethod,
    /// Number of directions
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// Number of the sample on which they are shown
    #[arg(long, default_value_t = 0)]
    number: u64,
    /// Also write the directions to a NumPy file: float32 [n, z_dim], one standard deviation long
    #[arg(long, value_name = "OUT.npy")]
    vectors: Option<PathBuf>,
    /// Figure to write, one row from -3 to +3 standard deviations per direction, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl DirectionsArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.model_args.open()?;
        let (generator, device) = (&exploration.model.generator, &exploration.compute.device);
        let found = find_directions(generator, self.method, usize::from(self.count), exploration.seed, device)?;
        let start = exploration.samples([self.number]).concat();
        let z: Vec<_> = found.iter().flat_map(|found| traverse(&start, &found.vector, STRIP)).collect();
        grid(&exploration.generate(&z)?, STRIP.len(), 2).write(&self.out)?;
        if let Some(path) = &self.vectors {
            let values: Vec<f32> = found.iter().flat_map(|found| found.vector.clone()).collect();
            numpy::write(path, &[found.len() as u64, start.len() as u64], &values)?;
        }
        let summary = serde_json::json!({ "out": self.out, "directions": found });
        self.model_args.common.print(&summary, || {
            let line = |found: &LatentDirection| format!("{:<12} {:.4}", found.name, found.weight);
            let lines: Vec<String> = found.iter().map(line).collect();
            format!("{}\n{} rows in {}", lines.join("\n"), found.len(), self.out.display())
        })
    }
}
