//! `zscape bench`.

use std::time::{Duration, Instant};

use anyhow::bail;
use burn::tensor::{Distribution, Tensor};
use clap::Args;

use super::Common;
use crate::app;
use crate::data::read_fitted;
use crate::data::synth::Scene;
use crate::device::Compute;
use crate::image::PictureFormat;
use crate::latent;
use crate::model::{Generator, Model, ModelConfig, Preset, Provenance};
use crate::train::{Networks, Rates, TrainConfig};

/// Steps and drawings that warm caches up and are not counted.
const WARM: usize = 3;
/// Single samples that the explorer is asked for, and whole galleries.
const LATENCIES: usize = 300;
const GALLERIES: usize = 5;
/// Sides of the photographs that are read, and of what they are read as; and how often.
const PHOTOGRAPHS: [usize; 2] = [250, 1000];
const READ_AS: usize = 64;
const READ: usize = 100;

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
    /// Time the window instead: its first picture, and its frames while it trains for so many seconds
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["preset", "base", "kernel", "batch", "steps"])]
    window: Option<u16>,
}

impl Bench {
    /// Training steps, drawing, the explorer's replies, and reading photographs, timed; medians are told. Initial weights and random pictures do, since the work is the
    /// same whatever the numbers are.
    pub(super) fn run(&self, began: Instant) -> anyhow::Result<()> {
        let compute = self.common.compute()?;
        if let Some(seconds) = self.window {
            return self.window(compute, began, Duration::from_secs(seconds.into()));
        }
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
            let z = latent::samples(&config, 1, 0..count);
            median(25, || Ok(latent::pictures(&generator, &z, &compute.device).map(drop)?))
        };
        let (one, many) = (draw(1)?, draw(64)?);
        let model = Model { generator: generator.clone(), discriminator: None, provenance: Provenance::default() };
        let latency = app::latency(&model, &compute.device, LATENCIES, GALLERIES)?;
        let (replies, galleries) = (sorted(&latency.one), sorted(&latency.gallery));
        let rate = batch as f64 / step_ms * 1e3;
        let [small, large] = reading()?;
        let summary = serde_json::json!({
            "device": compute.name, "preset": self.preset, "base": config.base, "kernel": config.kernel, "batch": batch,
            "step_ms": step_ms, "images_per_s": rate, "infer1_ms": one, "infer64_ms": many,
            "latency_ms_median": at(&replies, 0.5), "latency_ms_95": at(&replies, 0.95),
            "gallery256_ms": at(&galleries, 0.5), "read250_per_s": small, "read1000_per_s": large,
        });
        self.common.print(&summary, || {
            format!(
                "{}, {}, base {}, {k}x{k} kernels\ntraining step of {batch}  {step_ms:9.1} ms  {rate:.1} images/s\n\
                 one picture drawn      {one:9.2} ms\n64 pictures drawn      {many:9.1} ms\n\
                 from request to reply  {:9.2} ms for one sample in the explorer, 95 % under {:.2} ms\n\
                 gallery of {}         {:9.1} ms\n\
                 JPEG files read        {small:9.0} a second of 250x250 on one core, {large:.0} of 1000x1000, as 64x64",
                compute.name,
                self.preset,
                config.base,
                at(&replies, 0.5),
                at(&replies, 0.95),
                app::GALLERY,
                at(&galleries, 0.5),
                k = config.kernel
            )
        })
    }
}

impl Bench {
    fn window(&self, compute: Compute, began: Instant, train_for: Duration) -> anyhow::Result<()> {
        let run = tempfile::tempdir()?;
        let device = compute.name.clone();
        let frames = app::measure(compute, began, train_for, &run.path().join("run"))?;
        let Some(first) = frames.first_picture else { bail!("the window was closed before it showed a picture") };
        if frames.work.is_empty() || frames.intervals.is_empty() || frames.previews.is_empty() {
            bail!("the window was closed before it had trained and shown a few previews; give it more seconds");
        }
        let (work, intervals, previews) = (sorted(&frames.work), sorted(&frames.intervals), sorted(&frames.previews));
        let within = work.iter().filter(|&&time| time < 20.0).count() as f64 / work.len() as f64;
        let summary = serde_json::json!({
            "device": device, "first_picture_ms": first.as_secs_f64() * 1e3, "frames": work.len(), "steps": frames.steps,
            "frame_ms_median": at(&work, 0.5), "frame_ms_95": at(&work, 0.95), "under_20_ms": within,
            "interval_ms_median": at(&intervals, 0.5), "interval_ms_95": at(&intervals, 0.95),
            "previews": previews.len(), "preview_ms_median": at(&previews, 0.5), "preview_ms_95": at(&previews, 0.95),
        });
        self.common.print(&summary, || {
            format!(
                "{device}\nfirst picture         {:9.0} ms\n{} frames while {} steps were trained, {:.1} % of them \
                 under 20 ms\na frame               {:9.1} ms, 95 % under {:.1} ms\n\
                 from frame to frame   {:9.1} ms, 95 % under {:.1} ms\n\
                 from step to screen   {:9.1} ms, 95 % under {:.1} ms, of {} previews",
                first.as_secs_f64() * 1e3,
                work.len(),
                frames.steps,
                within * 1e2,
                at(&work, 0.5),
                at(&work, 0.95),
                at(&intervals, 0.5),
                at(&intervals, 0.95),
                at(&previews, 0.5),
                at(&previews, 0.95),
                previews.len()
            )
        })
    }
}

/// Photographs of each size that one thread reads in a second, from the files' bytes to a picture for the networks. They are
/// drawn here, and are always the same.
fn reading() -> anyhow::Result<[f64; 2]> {
    let folder = tempfile::tempdir()?;
    let mut rates = [0.0; 2];
    for (rate, side) in rates.iter_mut().zip(PHOTOGRAPHS) {
        let path = folder.path().join(format!("{side}.jpg"));
        let room = Scene::Rooms.draw(1, 0, side).picture;
        image::save_buffer(&path, room.pixels(), side as u32, side as u32, image::ExtendedColorType::Rgb8)?;
        *rate = 1e3 / median(READ, || Ok(read_fitted(&path, PictureFormat::new(READ_AS, 3)).map(drop)?))?;
    }
    Ok(rates)
}

/// Times in milliseconds, the shortest first.
fn sorted(times: &[Duration]) -> Vec<f64> {
    let mut times: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The time that a share of some sorted times is under.
fn at(times: &[f64], share: f64) -> f64 {
    times[(times.len() as f64 * share) as usize]
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
