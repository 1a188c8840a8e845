//! `zscape sample`.

use std::path::PathBuf;

use clap::Args;

use super::{Common, dissect, numpy, outputs};
use crate::image::{grid, names_folder, write_numbered};
use crate::latent;
use crate::model::{Model, Statistics};

#[derive(Args, Debug)]
pub(super) struct Sample {
    #[command(flatten)]
    common: Common,
    /// A model file, a checkpoint, a run folder (its newest checkpoint; RUN@average=20 is the mean of
    /// its 20 newest), bundled:rooms or bundled:faces
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// How many pictures
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Names the pictures: sample number i of seed s is the same z everywhere
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The first sample's number
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Draw these z's instead: a NumPy file, [n, z_dim] float32
    #[arg(long, value_name = "FILE.npy", conflicts_with_all = ["count", "seed", "first"])]
    z: Option<PathBuf>,
    /// Also write the pictures as a NumPy file, [n, channels, height, width] float32 in [-1, 1]
    #[arg(long, value_name = "OUT.npy")]
    tensor: Option<PathBuf>,
    /// The grid of pictures, such as .png or .jpg; or a folder for single pictures: 000042.png is sample number 42, or
    /// number 42 of --z
    #[arg(long, value_name = "GRID.png|DIR", value_parser = outputs::pictures)]
    out: PathBuf,
    /// Pictures in a row
    #[arg(long, default_value_t = 8)]
    columns: usize,
    /// Draw all pictures as one batch, normalized by its own statistics, as the authors draw their sheets: pictures then
    /// depend on one another
    #[arg(long, conflicts_with = "running_stats")]
    batch_stats: bool,
    /// Use the running batch-norm statistics of the training
    #[arg(long)]
    running_stats: bool,
    #[command(flatten)]
    ablated: dissect::Ablated,
}

/// What the pictures were normalized by.
#[derive(Clone, Copy, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Norms {
    /// All of them, as one batch.
    Batch,
    /// The reference batch.
    Reference,
    /// The running statistics of the training.
    Running,
}

impl Sample {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let mut warnings = Vec::new();
        let model = Model::open_noting(&self.model, &compute.device, &mut |warning| {
            tracing::warn!("{warning}");
            warnings.push(warning);
        })?;
        let config = model.config().clone();
        let z: Vec<Vec<f32>> = match &self.z {
            Some(path) => numpy::read_z(path, config.z_dim)?,
            None => latent::samples(&config, self.seed, self.first..self.first + self.count),
        };
        let count = z.len();
        let generator = model.generator.under(&self.ablated.read(&config)?);
        let norms = match (self.batch_stats, self.running_stats, config.sampling) {
            (true, ..) => Norms::Batch,
            (_, false, Statistics::Batch) => Norms::Reference,
            _ => Norms::Running,
        };
        let values = match norms {
            Norms::Batch => latent::read(generator.sample_batch(latent::tensor(&z, &compute.device)))?,
            Norms::Reference => latent::values(&generator, &z, &compute.device)?,
            Norms::Running => latent::values(&generator.sampling_with(Statistics::Running), &z, &compute.device)?,
        };
        if let Some(path) = &self.tensor {
            let shape = [count as u64, config.channels as u64, config.size as u64, config.size as u64];
            numpy::write(path, &shape, &values)?;
        }
        let pictures = latent::unpacked(&values, &config);
        let single = names_folder(&self.out);
        match single {
            true => write_numbered(&self.out, (self.first..).zip(&pictures)).map(|_| ())?,
            false => grid(&pictures, self.columns, 2).write(&self.out)?,
        }
        let summary = serde_json::json!({
            "out": self.out, "count": count, "single": single, "statistics": norms, "warnings": warnings,
        });
        self.common.print(&summary, || {
            let norms = match norms {
                Norms::Batch => "normalized as one batch".to_owned(),
                Norms::Reference => format!("normalized by {}", Statistics::Batch.describe()),
                Norms::Running => format!("normalized by {}", Statistics::Running.describe()),
            };
            format!("{count} pictures in {}, {norms}", self.out.display())
        })
    }
}
