//! `zscape sample`.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use burn::tensor::{Tensor, TensorData};
use clap::Args;
use npyz::WriterBuilder;

use super::Common;
use crate::files;
use crate::image::{Picture, grid};
use crate::latent;
use crate::model::{Model, Statistics};

/// Pictures drawn at a time with running statistics; they do not depend on one another.
const CHUNK: usize = 64;

#[derive(Args, Debug)]
pub(super) struct Sample {
    #[command(flatten)]
    common: Common,
    /// A model file, a checkpoint, or a run folder (its newest checkpoint)
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
    /// The grid of pictures, a PNG
    #[arg(long, value_name = "GRID.png")]
    out: PathBuf,
    /// Pictures in a row
    #[arg(long, default_value_t = 8)]
    columns: usize,
    /// Use the batch's own statistics, as the authors do: pictures then depend on one another
    #[arg(long, conflicts_with = "running_stats")]
    batch_stats: bool,
    /// Use the running statistics: a z is the same picture in any company
    #[arg(long)]
    running_stats: bool,
}

impl Sample {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let model = Model::open(&self.model, &compute.device)?;
        let config = model.config().clone();
        let statistics = match (self.batch_stats, self.running_stats) {
            (true, _) => Statistics::Batch,
            (_, true) => Statistics::Running,
            _ => config.sampling,
        };
        let rows: Vec<f32> = match &self.z {
            Some(path) => read_z(path, config.z_dim)?,
            None => (self.first..self.first + self.count)
                .flat_map(|number| latent::numbered(config.prior, config.z_dim, self.seed, number))
                .collect(),
        };
        let count = rows.len() / config.z_dim;
        let chunk = if statistics == Statistics::Batch { count } else { CHUNK };
        let mut values = Vec::with_capacity(count * config.values());
        for part in rows.chunks(chunk * config.z_dim) {
            let z = TensorData::new(part.to_vec(), [part.len() / config.z_dim, config.z_dim]);
            let drawn = model.generator.sample(Tensor::from_data(z, &compute.device), statistics);
            values.extend(drawn.try_into_data().context("the device failed while drawing")?.iter::<f32>());
        }
        if let Some(path) = &self.tensor {
            let shape = [count as u64, config.channels as u64, config.size as u64, config.size as u64];
            write_npy(path, &shape, &values)?;
        }
        let pictures: Vec<_> = values
            .chunks_exact(config.values())
            .map(|values| Picture::from_chw(values, config.channels, config.size, config.size))
            .collect();
        grid(&pictures, self.columns, 2).write_png(&self.out)?;
        let summary = serde_json::json!({ "out": self.out, "count": count, "statistics": statistics });
        self.common.print(&summary, || format!("{count} pictures in {}", self.out.display()))
    }
}

fn read_z(path: &Path, z_dim: usize) -> anyhow::Result<Vec<f32>> {
    let named = || format!("{} cannot be read as a NumPy file of float32", path.display());
    let file = File::open(path).with_context(named)?;
    let npy = npyz::NpyFile::new(BufReader::new(file)).with_context(named)?;
    let shape = npy.shape().to_vec();
    if shape.len() != 2 || shape[1] != z_dim as u64 || shape[0] == 0 {
        bail!("{} has shape {shape:?}; this model's z's are [n, {z_dim}]", path.display());
    }
    if npy.order() != npyz::Order::C {
        bail!("{} is in Fortran order; save it with numpy.ascontiguousarray", path.display());
    }
    npy.into_vec::<f32>().with_context(named)
}

fn write_npy(path: &Path, shape: &[u64], values: &[f32]) -> anyhow::Result<()> {
    let write = |file: &mut File| -> std::io::Result<()> {
        let mut out = BufWriter::new(file);
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut out).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()?;
        out.flush()
    };
    files::write(path, write).with_context(|| format!("{} cannot be written", path.display()))
}
