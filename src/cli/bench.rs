//! `zscape bench`.

use std::time::Instant;

use burn::tensor::{Distribution, Tensor};
use clap::Args;

use super::Common;
use crate::latent;
use crate::model::{Generator, ModelConfig, Preset};
use crate::train::{Networks, Rates, TrainConfig};

/// Steps and drawings that warm caches up and are not counted.
const WARM: usize = 3;

#[derive(Args, Debug)]
pub(super) struct Bench {
    #[command(flatten)]
    common: Common,
    /// Whose numbers to start from
    #[arg(long, value_enum, default_value = "pytorch")]
    preset: Preset,
    /// Feature maps of the widest-resolution hidden layer
    #[arg(long)]
    base: Option<usize>,
    /// Side of the convolution kernels: 4 or 5
    #[arg(long)]
    kernel: Option<usize>,
    /// Pictures in a training step
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Training steps that are timed
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
}

impl Bench {
    /// Training steps and drawing, timed; medians are told. Initial weights and random pictures do, since the work is the
    /// same whatever the numbers are.
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        let preset = ModelConfig::preset(self.preset);
        let config = ModelConfig {
            base: self.base.unwrap_or(preset.base),
            kernel: self.kernel.unwrap_or(preset.kernel),
            ..preset
        };
        config.check()?;
        let batch = usize::from(self.batch);
        let train = TrainConfig { batch, ..TrainConfig::preset(self.preset) };
        let rates = Rates { generator: train.generator_rate, discriminator: train.discriminator_rate };
        let mut networks = Networks::new(&config, &train, 1, &compute.device);
        let shape = [batch, config.channels, config.size, config.size];
        let real = Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &compute.device);
        let mut step = 0;
        let step_ms = median(usize::from(self.steps), || {
            step += 1;
            networks.step(real.clone(), step, 1, &train, rates).read().map(drop).map_err(|cause| anyhow::anyhow!(cause))
        })?;
        let generator = Generator::new(&config, 1, &compute.device);
        let draw = |count: u64| {
            let z: Vec<_> = (0..count).map(|i| latent::numbered(config.prior, config.z_dim, 1, i)).collect();
            median(25, || Ok(latent::pictures(&generator, &z, &compute.device).map(drop)?))
        };
        let (one, many) = (draw(1)?, draw(64)?);
        let rate = batch as f64 / step_ms * 1e3;
        let summary = serde_json::json!({
            "device": compute.name, "preset": self.preset, "base": config.base, "kernel": config.kernel, "batch": batch,
            "step_ms": step_ms, "images_per_s": rate, "infer1_ms": one, "infer64_ms": many,
        });
        self.common.print(&summary, || {
            format!(
                "{}, {}, base {}, {k}x{k} kernels\ntraining step of {batch}  {step_ms:9.1} ms  {rate:.1} images/s\n\
                 one picture drawn      {one:9.2} ms\n64 pictures drawn      {many:9.1} ms",
                compute.name,
                self.preset,
                config.base,
                k = config.kernel
            )
        })
    }
}

/// The median time of `count` runs after a few that are not counted, in milliseconds.
fn median(count: usize, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(count);
    for i in 0..WARM + count {
        let began = Instant::now();
        run()?;
        if i >= WARM {
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
