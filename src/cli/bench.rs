//! `zscape bench`: measures the speed of training, sampling, the explorer, and the window.

use std::time::{Duration, Instant};

use anyhow::bail;
use burn::tensor::{Distribution, Tensor};
use clap::Args;
use indicatif::ProgressBar;

use super::{CommonArgs, PrecisionChoice};
use crate::app;
use crate::data::read_prepared;
use crate::data::synth::Scene;
use crate::device::{Compute, Hardware, Operands};
use crate::image::PictureFormat;
use crate::latent;
use crate::model::benchmark::{self, KernelOperation, LayerShape, Timing};
use crate::model::{Generator, Model, ModelConfig, Preset, Provenance};
use crate::train::{LearningRates, Networks, TrainConfig};

/// Runs before the measured ones, to warm up caches.
const WARM_UP: usize = 3;
/// Requests to the explorer: single samples, and whole galleries.
const SINGLE_REQUESTS: usize = 300;
const GALLERY_REQUESTS: usize = 5;
/// Megabytes to copy and side of the matrices to multiply, to measure the peak rates of a graphics card and of a CPU.
const CARD_PEAK: (usize, usize) = (256, 4096);
const CPU_PEAK: (usize, usize) = (64, 512);
/// Sides of JPEG files to decode, the side that they are resized to, and the number of runs.
const JPEG_SIDES: [usize; 2] = [250, 1000];
const RESIZED_SIDE: usize = 64;
const JPEG_RUNS: usize = 100;

#[derive(Args, Debug)]
pub(super) struct BenchArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Published settings of the networks
    #[arg(long, value_enum, default_value = "pytorch")]
    preset: Preset,
    /// Filters of the hidden layer with the highest resolution [default: the preset's]
    #[arg(long)]
    base: Option<usize>,
    /// Side of the convolution kernels: 3, 4 or 5 [default: the preset's]
    #[arg(long)]
    kernel: Option<usize>,
    /// Batch size
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Training steps to time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    steps: u16,
    /// Precision of multiplications in convolutions on a graphics card
    #[arg(long, value_enum, default_value = "auto")]
    precision: PrecisionChoice,
    /// Time each operation of a training step, relative to the device's copy and multiplication speed
    #[arg(long)]
    per_op: bool,
    /// Compare the results of the device's kernels with the CPU's, in difficult shapes and those of all presets
    #[arg(long, conflicts_with = "per_op")]
    check: bool,
    /// Time the window instead: until its first picture, and its frames during this many seconds of training
    #[arg(long, value_name = "SECONDS", conflicts_with_all = ["preset", "base", "kernel", "batch", "steps", "precision", "per_op", "check"])]
    window: Option<u16>,
}

impl BenchArgs {
    /// Times training steps, sampling, the explorer's replies, and decoding of JPEG files, and prints medians.
    /// Untrained networks and random pictures suffice, since the time does not depend on the values.
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
        let (operands, fallback) = compute.operands(self.precision.resolved());
        if let Some(reason) = fallback {
            eprintln!("{reason}");
        }
        if self.check {
            return self.check(&compute, operands);
        }
        if self.per_op {
            return self.operations(&compute, operands, &LayerShape::of(&config, batch));
        }
        let train = TrainConfig { batch, ..TrainConfig::preset(self.preset) };
        let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
        let mut networks = Networks::new(&config, &train, 1, &compute.device);
        networks.multiply(operands);
        let shape = [batch, config.channels, config.size, config.size];
        let real = Tensor::<4>::random(shape, Distribution::Uniform(-1.0, 1.0), &compute.device);
        let mut step = 0;
        let step_ms = median(usize::from(self.steps), || {
            step += 1;
            networks.step(real.clone(), step, 1, &train, rates).read().map(drop).map_err(|cause| anyhow::anyhow!(cause))
        })?;
        let memory = compute.memory_in_use().map(|bytes| bytes as f64 / f64::from(1 << 20));
        let mut generator = Generator::new(&config, 1, &compute.device);
        generator.layers_mut().iter_mut().for_each(|layer| layer.set_operands(operands));
        let sample = |count: u64| {
            let z = latent::sample_zs(&config, 1, 0..count);
            median(25, || Ok(latent::generate_pictures(&generator, &z, &compute.device).map(drop)?))
        };
        let (one, many) = (sample(1)?, sample(64)?);
        let model = Model { generator: generator.clone(), discriminator: None, provenance: Provenance::default() };
        let latency = app::latency(&model, &compute.device, SINGLE_REQUESTS, GALLERY_REQUESTS)?;
        let (replies, galleries) = (sorted(&latency.one), sorted(&latency.gallery));
        let rate = batch as f64 / step_ms * 1e3;
        let [small, large] = decoding_speed()?;
        let summary = serde_json::json!({
            "device": compute.name, "compiler": compute.compiler(), "preset": self.preset, "base": config.base,
            "kernel": config.kernel, "batch": batch, "operands": operands,
            "step_ms": step_ms, "images_per_s": rate, "memory_mib": memory, "infer1_ms": one, "infer64_ms": many,
            "latency_ms_median": quantile(&replies, 0.5), "latency_ms_95": quantile(&replies, 0.95),
            "gallery256_ms": quantile(&galleries, 0.5), "read250_per_s": small, "read1000_per_s": large,
        });
        self.common.print(&summary, || {
            let memory = memory.map(|mib| format!(", {mib:.0} MiB on the card")).unwrap_or_default();
            format!(
                "{}, {}, base {}, {k}x{k} kernels, operands {operands:?}\ntraining step of {batch}  {step_ms:9.1} ms  {rate:.1} images/s{memory}\n\
                 one sample             {one:9.2} ms\n64 samples             {many:9.1} ms\n\
                 explorer's reply       {:9.2} ms for one sample, 95 % below {:.2} ms\n\
                 gallery of {}         {:9.1} ms\n\
                 JPEG files decoded     {small:9.0} per second and core of 250x250, {large:.0} of 1000x1000, resized to 64x64",
                compute.name,
                self.preset,
                config.base,
                quantile(&replies, 0.5),
                quantile(&replies, 0.95),
                app::GALLERY,
                quantile(&galleries, 0.5),
                k = config.kernel
            )
        })
    }

    /// Compares the device's kernels with the CPU's, and fails if a result differs by more than rounding.
    fn check(&self, compute: &Compute, operands: Operands) -> anyhow::Result<()> {
        let presets: Vec<_> = Preset::ALL.iter().map(|&preset| ModelConfig::preset(preset)).collect();
        let mut shapes = LayerShape::odd();
        for shape in presets.iter().flat_map(|config| LayerShape::of(config, 2)) {
            if !shapes.contains(&shape) {
                shapes.push(shape);
            }
        }
        let bar = progress((shapes.len() * KernelOperation::ALL.len()) as u64);
        let mut agreements = Vec::new();
        for shape in &shapes {
            for operation in KernelOperation::ALL {
                let agreement = shape.compare(operation, operands, &compute.device).map_err(anyhow::Error::msg)?;
                if !agreement.holds() {
                    bar.suspend(|| eprintln!("differs: {agreement:?}"));
                }
                agreements.push(agreement);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let wrong = agreements.iter().filter(|agreement| !agreement.holds()).count();
        let largest = agreements.iter().map(|agreement| agreement.error).fold(0.0, f64::max);
        let summary = serde_json::json!({
            "device": compute.name, "compiler": compute.compiler(), "operands": operands, "compared": agreements.len(),
            "differ": wrong, "largest": largest, "agreements": agreements,
        });
        self.common.print(&summary, || {
            format!(
                "{}, operands {operands:?}: {} of {} results agree with the CPU's; the largest difference is {largest:.1e}",
                compute.name,
                agreements.len() - wrong,
                agreements.len()
            )
        })?;
        if wrong > 0 {
            bail!("{wrong} of {} results of this device differ from the CPU's by more than rounding", agreements.len());
        }
        Ok(())
    }

    /// Times each operation of a training step.
    fn operations(&self, compute: &Compute, operands: Operands, shapes: &[LayerShape]) -> anyhow::Result<()> {
        let card = compute.kind == Hardware::Gpu;
        let (megabytes, side) = if card { CARD_PEAK } else { CPU_PEAK };
        let rates = benchmark::peak_rates(&compute.device, megabytes, side).map_err(anyhow::Error::msg)?;
        let mut timings = Vec::new();
        let bar = progress((shapes.len() * KernelOperation::ALL.len()) as u64);
        for shape in shapes {
            for operation in KernelOperation::ALL {
                timings.push(shape.time(operation, operands, &compute.device).map_err(anyhow::Error::msg)?);
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        let product = match operands {
            Operands::F32 | Operands::Rounded => rates.product_f32,
            Operands::F16 | Operands::Bf16 => rates.product_f16.unwrap_or(rates.product_f32),
        };
        // An operation is limited by whichever share is larger.
        let share = |timing: &Timing| {
            (timing.flop / timing.ms / 1e9 / product).max(timing.bytes / timing.ms / 1e6 / rates.copy)
        };
        let rows: Vec<_> = timings
            .iter()
            .map(|timing| serde_json::json!({ "timing": timing, "share_of_ceiling": share(timing) }))
            .collect();
        let summary = serde_json::json!({
            "device": compute.name, "compiler": compute.compiler(), "operands": operands, "ceilings": rates,
            "operations": rows,
        });
        self.common.print(&summary, || {
            let mut text = format!(
                "{}, operands {operands:?}; copies {:.0} GB/s, multiplies {:.2} TFLOP/s in single precision{}\n\
                 {:15} {:>24} {:>9} {:>9} {:>9} {:>8}",
                compute.name,
                rates.copy,
                rates.product_f32,
                rates.product_f16.map(|half| format!(", {half:.2} in half")).unwrap_or_default(),
                "operation",
                "maps, side, kernel",
                "ms",
                "TFLOP/s",
                "GB/s",
                "ceiling"
            );
            for timing in &timings {
                let LayerShape { small, large, side, kernel, .. } = timing.shape;
                text += &format!(
                    "\n{:15} {:>24} {:9.3} {:9.2} {:9.0} {:7.0}%",
                    format!("{:?}", timing.operation),
                    format!("{small}, {large}, {side}, {kernel}"),
                    timing.ms,
                    timing.flop / timing.ms / 1e9,
                    timing.bytes / timing.ms / 1e6,
                    share(timing) * 100.0
                );
            }
            text
        })
    }
}

/// A progress bar on standard error.
fn progress(steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps);
    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    bar
}

impl BenchArgs {
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
            "frame_ms_median": quantile(&work, 0.5), "frame_ms_95": quantile(&work, 0.95), "under_20_ms": within,
            "interval_ms_median": quantile(&intervals, 0.5), "interval_ms_95": quantile(&intervals, 0.95),
            "previews": previews.len(), "preview_ms_median": quantile(&previews, 0.5), "preview_ms_95": quantile(&previews, 0.95),
        });
        self.common.print(&summary, || {
            format!(
                "{device}\nfirst picture         {:9.0} ms\n{} frames during {} training steps, {:.1} % of them \
                 below 20 ms\nframe                 {:9.1} ms, 95 % below {:.1} ms\n\
                 frame to frame        {:9.1} ms, 95 % below {:.1} ms\n\
                 step to screen        {:9.1} ms, 95 % below {:.1} ms, of {} previews",
                first.as_secs_f64() * 1e3,
                work.len(),
                frames.steps,
                within * 1e2,
                quantile(&work, 0.5),
                quantile(&work, 0.95),
                quantile(&intervals, 0.5),
                quantile(&intervals, 0.95),
                quantile(&previews, 0.5),
                quantile(&previews, 0.95),
                previews.len()
            )
        })
    }
}

/// JPEG files of each size that one thread decodes and resizes per second. They are rendered here, always the same.
fn decoding_speed() -> anyhow::Result<[f64; 2]> {
    let folder = tempfile::tempdir()?;
    let mut rates = [0.0; 2];
    for (rate, side) in rates.iter_mut().zip(JPEG_SIDES) {
        let path = folder.path().join(format!("{side}.jpg"));
        let room = Scene::Rooms.draw(1, 0, side).picture;
        image::save_buffer(&path, room.pixels(), side as u32, side as u32, image::ExtendedColorType::Rgb8)?;
        *rate = 1e3 / median(JPEG_RUNS, || Ok(read_prepared(&path, PictureFormat::new(RESIZED_SIDE, 3)).map(drop)?))?;
    }
    Ok(rates)
}

/// Times in milliseconds, in ascending order.
fn sorted(times: &[Duration]) -> Vec<f64> {
    let mut times: Vec<_> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    times
}

/// A quantile of sorted times.
fn quantile(times: &[f64], share: f64) -> f64 {
    times[(times.len() as f64 * share) as usize]
}

/// The median time of `count` runs after a few warm-up runs, in milliseconds.
fn median(count: usize, mut run: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<f64> {
    let mut times = Vec::with_capacity(count);
    for i in 0..WARM_UP + count {
        let began = Instant::now();
        run()?;
        if i >= WARM_UP {
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}
