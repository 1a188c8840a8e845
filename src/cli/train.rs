//! `zscape train`: trains a run without a window.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{Context, bail};
use clap::Args;

use super::hyperparameters::HyperparameterArgs;
use super::prepared::PreparationArgs;
use super::rules::{DetailArgs, RuleArgs};
use super::{CommonArgs, PrecisionChoice};
use crate::data::read_skip_list;
use crate::model::{Preset, Prior, SamplingStatistics};
use crate::train::{Run, RunConfig, RunError, SettingsChange, Trainer, TrainerCommand, TrainerOptions};

mod console;

use console::Console;

#[derive(Args, Debug)]
pub(super) struct TrainArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    run: RunArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    network: NetworkArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    details: DetailArgs,
    #[command(flatten)]
    optimization: OptimizationArgs,
    #[command(flatten)]
    hyperparameters: HyperparameterArgs,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Run")]
struct RunArgs {
    /// The run folder, for settings, checkpoints, metrics and sample grids
    #[arg(long = "run", value_name = "DIR")]
    folder: PathBuf,
    /// Resume the run in --run from its newest checkpoint
    #[arg(long)]
    resume: bool,
    /// With --resume: first roll back to the checkpoint of this step; later ones become checkpoints/abandoned-step-...
    #[arg(long, value_name = "STEP", requires = "resume")]
    back_to: Option<u64>,
    /// Train up to this step [default: until stopped with Ctrl-C]
    #[arg(long, conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Train for this many epochs; a sample grid and a checkpoint are kept at the end of each
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// With --epochs: keep only every N-th epoch, and the last; 0 keeps none
    #[arg(long, value_name = "N", default_value_t = TrainerOptions::KEEP_EPOCHS, requires = "epochs")]
    keep_epochs: u64,
    /// Seed of the weights, the order of pictures and every z [default: 1]
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Data")]
struct DataArgs {
    /// Training pictures: a folder (subfolders are classes), a .zip or .tar of one, CIFAR batches, an SVHN .mat, IDX
    /// files, WebDataset tars, Parquet, an LMDB, .npy or .npz, synth:rooms or synth:faces
    ///
    /// With --resume: the new place of the run's pictures, if they were moved. Their names and number must be the same.
    #[arg(long = "data", value_name = "SRC", required_unless_present = "resume")]
    source: Option<String>,
    /// Skip the pictures in this list: the output of `zscape dedup --list`, or one name per line
    #[arg(long, value_name = "FILE")]
    skip: Option<PathBuf>,
    /// Mirror pictures horizontally, each in half of the epochs
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    mirror: Option<bool>,
    #[command(flatten)]
    preparation: PreparationArgs,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Networks")]
struct NetworkArgs {
    /// Published settings to start from [default: pytorch]
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Side of the pictures in pixels: 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112 or 128
    #[arg(long)]
    size: Option<usize>,
    /// Color channels: 1 (gray) or 3 (color)
    #[arg(long)]
    channels: Option<usize>,
    /// Side of the convolution kernels: 3, 4 or 5
    #[arg(long)]
    kernel: Option<usize>,
    /// Filters of the hidden layer with the highest resolution; deeper layers have multiples of it
    #[arg(long)]
    base: Option<usize>,
    /// Distribution of z
    #[arg(long, value_enum)]
    prior: Option<Prior>,
    /// Normalize samples with the batch statistics of a fixed reference batch of 128 samples, as the authors do
    #[arg(long, conflicts_with = "running_stats")]
    batch_stats: bool,
    /// Normalize samples with batch norm's running statistics
    #[arg(long)]
    running_stats: bool,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Optimization")]
struct OptimizationArgs {
    /// Batch size
    #[arg(long)]
    batch: Option<usize>,
    /// Precision of multiplications in convolutions on a graphics card: f32; mixed (float16 or bfloat16 with sums in
    /// float32); or auto, which is f32 until mixed has been measured on a card [default: auto]
    #[arg(long, value_enum)]
    precision: Option<PrecisionChoice>,
    /// Adam's learning rate for both networks, above 0 and at most 1 (the paper: 2e-4; 1e-3 is too high)
    #[arg(long, value_parser = learning_rate)]
    lr: Option<f64>,
    /// Learning rate of the generator, instead of --lr
    #[arg(long, value_name = "RATE", value_parser = learning_rate)]
    generator_lr: Option<f64>,
    /// Learning rate of the discriminator, instead of --lr
    #[arg(long, value_name = "RATE", value_parser = learning_rate)]
    discriminator_lr: Option<f64>,
    /// Standard deviation of instance noise on the discriminator's input, 0 to 1. It keeps the discriminator
    /// uncertain, and so useful to the generator, on pictures without noise of their own [default: 0.2 fading over
    /// 3000 steps for synth:, otherwise 0 as in the paper]
    #[arg(long, value_name = "DEVIATION", value_parser = noise_deviation)]
    noise: Option<f32>,
    /// Steps over which the instance noise fades to 0; 0 for never
    #[arg(long, value_name = "STEPS")]
    noise_steps: Option<u64>,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Output")]
struct OutputArgs {
    /// Steps between checkpoints
    #[arg(long, default_value_t = TrainerOptions::SAVE_EVERY, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    /// Steps between sample grids
    #[arg(long, default_value_t = TrainerOptions::PREVIEW_EVERY, value_parser = clap::value_parser!(u64).range(1..))]
    preview_every: u64,
    /// Keep the newest N checkpoints, besides those at the ends of epochs
    #[arg(long, value_name = "N", default_value_t = TrainerOptions::KEEP_LAST)]
    keep_last: usize,
    /// Also keep checkpoints at multiples of N steps; 0 for none
    #[arg(long, value_name = "N", default_value_t = TrainerOptions::KEEP_EVERY)]
    keep_every: u64,
}

fn learning_rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    if rate > 0.0 && rate <= 1.0 { Ok(rate) } else { Err("a learning rate must be above 0 and at most 1".to_owned()) }
}

fn noise_deviation(text: &str) -> Result<f32, String> {
    let deviation = text.parse::<f32>().map_err(|error| error.to_string())?;
    if (0.0..=1.0).contains(&deviation) { Ok(deviation) } else { Err("it must be from 0 to 1".to_owned()) }
}

impl TrainArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let options = TrainerOptions {
            resume: self.run.resume,
            steps: self.run.steps,
            epochs: self.run.epochs,
            keep_epochs: self.run.keep_epochs,
            save_every: self.output.save_every,
            preview_every: self.output.preview_every,
            keep_last: self.output.keep_last,
            keep_every: self.output.keep_every,
            change: SettingsChange { back_to: self.run.back_to, ..SettingsChange::default() },
            ..TrainerOptions::new(self.config()?, &self.run.folder)
        };
        let trainer = Arc::new(Mutex::new(Trainer::start(options, self.common.compute()?, || ())));
        let events = lock(&trainer).events().clone();
        let (stopping, interrupted_trainer) = (AtomicBool::new(false), trainer);
        ctrlc::set_handler(move || {
            if stopping.swap(true, Ordering::SeqCst) {
                // Finished checkpoints are on disk already, and the user is in a hurry.
                std::process::exit(130);
            }
            eprintln!("\nsaving and stopping; press Ctrl-C again to stop without saving");
            lock(&interrupted_trainer).send(TrainerCommand::Stop);
        })
        .context("cannot watch for Ctrl-C")?;
        let mut console = Console::new();
        for event in events {
            if let Some(ending) = console.report(event) {
                return console.finish(ending, &self.run.folder, &self.common);
            }
        }
        bail!("the training thread exited without a result")
    }

    /// The settings of the resumed run, or of a preset, changed by the given flags.
    fn config(&self) -> anyhow::Result<RunConfig> {
        let mut config = if self.run.resume {
            match Run::open(&self.run.folder) {
                Err(error) if is_missing(&error) => {
                    Err(error).context("there is no run to resume; omit --resume to start one")?
                }
                run => run?.config().clone(),
            }
        } else {
            let preset = self.network.preset.unwrap_or(Preset::Pytorch);
            RunConfig::preset(preset, self.data.source.clone().unwrap_or_default())
        };
        let RunConfig { model, train, .. } = &mut config;
        if let (true, Some(preset)) = (self.run.resume, self.network.preset) {
            model.preset = preset;
        }
        apply_flags!(self.network => model; size, channels, kernel, base, prior);
        self.rules.apply(model);
        self.details.apply(model, train);
        model.preparation = self.data.preparation.over(model.preparation);
        apply_flags!(self.data => train; mirror);
        let OptimizationArgs { precision, lr, generator_lr, discriminator_lr, .. } = self.optimization;
        train.precision = precision.map_or(train.precision, PrecisionChoice::resolved);
        train.generator_rate = generator_lr.or(lr).unwrap_or(train.generator_rate);
        train.discriminator_rate = discriminator_lr.or(lr).unwrap_or(train.discriminator_rate);
        apply_flags!(self.optimization => train; batch, noise, noise_steps);
        if self.network.batch_stats {
            model.sampling = SamplingStatistics::Batch;
        }
        if self.network.running_stats {
            model.sampling = SamplingStatistics::Running;
        }
        if let Some(source) = &self.data.source {
            // Not `use_data`, which would forget the skipped pictures: a resumed run's pictures may have moved.
            config.data = source.into();
        }
        if let Some(list) = &self.data.skip {
            config.skip = read_skip_list(list)?;
        }
        apply_flags!(self.run => config; seed);
        self.hyperparameters.apply(&mut config);
        config.model.check()?;
        config.train.check()?;
        Ok(config)
    }
}

fn is_missing(error: &RunError) -> bool {
    matches!(error, RunError::Io(error) if error.kind() == ErrorKind::NotFound)
}

fn lock(trainer: &Mutex<Trainer>) -> std::sync::MutexGuard<'_, Trainer> {
    trainer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
