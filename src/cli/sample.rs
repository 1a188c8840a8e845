//! `zscape sample`: generates samples.

use std::path::PathBuf;

use clap::Args;

use super::{CommonArgs, dissect, numpy, outputs};
use crate::device::read_tensor;
use crate::image::{grid, names_folder, write_numbered};
use crate::latent;
use crate::model::{Model, SamplingStatistics, pictures_from_values};

#[derive(Args, Debug)]
pub(super) struct SampleArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model file, checkpoint, run folder (its newest checkpoint; RUN@average=20 averages its 20 newest),
    /// bundled:rooms or bundled:faces
    #[arg(long, value_name = "FILE|DIR")]
    model: PathBuf,
    /// Number of samples
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    count: u64,
    /// Seed of the samples: sample i of seed s is the same z in every command
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of the first sample
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Generate pictures of these z's instead: a NumPy file, float32 [n, z_dim]
    #[arg(long, value_name = "FILE.npy", conflicts_with_all = ["count", "seed", "first"])]
    z: Option<PathBuf>,
    /// Also write the samples to a NumPy file: float32 [n, channels, height, width] in [-1, 1]
    #[arg(long, value_name = "OUT.npy")]
    tensor: Option<PathBuf>,
    /// File for a grid of all samples, such as .png or .jpg; or a folder for single pictures, where 000042.png is
    /// sample 42, or number 42 of --z
    #[arg(long, value_name = "GRID.png|DIR", value_parser = outputs::pictures)]
    out: PathBuf,
    /// Columns of the grid
    #[arg(long, default_value_t = 8)]
    columns: usize,
    /// Normalize all samples as one batch with its own statistics, as the authors do for their figures; samples then
    /// depend on one another
    #[arg(long, conflicts_with = "running_stats")]
    batch_stats: bool,
    /// Normalize with batch norm's running statistics
    #[arg(long)]
    running_stats: bool,
    #[command(flatten)]
    ablation: dissect::AblationArgs,
}

/// The batch-norm statistics of the samples.
#[derive(Clone, Copy, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum NormalizedBy {
    /// Those of all samples as one batch.
    Batch,
    /// Those of the reference batch.
    Reference,
    /// The running statistics of the training.
    Running,
}

impl SampleArgs {
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
            None => latent::sample_zs(&config, self.seed, self.first..self.first + self.count),
        };
        let count = z.len();
        let generator = model.generator.with_ablations(&self.ablation.read(&config)?);
        let norms = match (self.batch_stats, self.running_stats, config.sampling) {
            (true, ..) => NormalizedBy::Batch,
            (_, false, SamplingStatistics::Batch) => NormalizedBy::Reference,
            _ => NormalizedBy::Running,
        };
        let values = match norms {
            NormalizedBy::Batch => read_tensor(generator.sample_batch(latent::z_tensor(&z, &compute.device)))?,
            NormalizedBy::Reference => latent::generate_values(&generator, &z, &compute.device)?,
            NormalizedBy::Running => latent::generate_values(
                &generator.with_sampling_statistics(SamplingStatistics::Running),
                &z,
                &compute.device,
            )?,
        };
        if let Some(path) = &self.tensor {
            let shape = [count as u64, config.channels as u64, config.size as u64, config.size as u64];
            numpy::write(path, &shape, &values)?;
        }
        let pictures = pictures_from_values(&values, &config);
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
                NormalizedBy::Batch => "normalized as one batch".to_owned(),
                NormalizedBy::Reference => format!("normalized by {}", SamplingStatistics::Batch.describe()),
                NormalizedBy::Running => format!("normalized by {}", SamplingStatistics::Running.describe()),
            };
            format!("{count} samples in {}, {norms}", self.out.display())
        })
    }
}
