//! `zscape directions`.

use std::path::PathBuf;

use clap::Args;

use super::{Explored, numpy, outputs};
use crate::image::grid;
use crate::latent::directions::{self, Method};

/// A strip's positions, in standard deviations.
const STRIP: [f32; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];

#[derive(Args, Debug)]
pub(super) struct Directions {
    #[command(flatten)]
    explored: Explored,
    /// How they are found
    #[arg(long, value_enum, default_value = "ganspace")]
    method: Method,
    /// How many
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// The sample that they are shown on
    #[arg(long, default_value_t = 0)]
    number: u64,
    /// Also write the directions as a NumPy file, [n, z_dim] float32, one standard deviation long
    #[arg(long, value_name = "OUT.npy")]
    vectors: Option<PathBuf>,
    /// A strip from -3 to +3 standard deviations for each, as .png, .jpg, .webp, .bmp or .tif
    #[arg(long, value_name = "FIGURE.png", value_parser = outputs::picture)]
    out: PathBuf,
}

impl Directions {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let exploration = self.explored.open()?;
        let (generator, device) = (&exploration.model.generator, &exploration.compute.device);
        let found = directions::find(generator, self.method, usize::from(self.count), exploration.seed, device)?;
        let start = exploration.samples([self.number]).concat();
        let z: Vec<_> = found.iter().flat_map(|found| directions::strip(&start, &found.vector, STRIP)).collect();
        grid(&exploration.draw(&z)?, STRIP.len(), 2).write(&self.out)?;
        if let Some(path) = &self.vectors {
            let values: Vec<f32> = found.iter().flat_map(|found| found.vector.clone()).collect();
            numpy::write(path, &[found.len() as u64, start.len() as u64], &values)?;
        }
        let summary = serde_json::json!({ "out": self.out, "directions": found });
        self.explored.common.print(&summary, || {
            let line = |found: &directions::Direction| format!("{:<12} {:.4}", found.name, found.weight);
            let lines: Vec<String> = found.iter().map(line).collect();
            format!("{}\n{} rows in {}", lines.join("\n"), found.len(), self.out.display())
        })
    }
}
