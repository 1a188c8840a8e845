//! `zscape train`.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::hyperparameters::Hyperparameters;
use super::prepared::Prepared;
use super::rules::{Details, Rules};
use super::{Common, PrecisionChoice};
use crate::data::{Report, read_skipped};
use crate::model::{Preset, Prior, Statistics};
use crate::train::{
    Alarm, Ending, EpochEnd, Event, HealthEvent, Run, RunConfig, RunError, SettingsChange, Trainer, TrainerCommand,
    TrainerOptions, TrainingProgress,
};

#[derive(Args, Debug)]
pub(super) struct Train {
    #[command(flatten)]
    common: Common,
    /// A folder of pictures (sub-folders are classes), a .zip or .tar of one, CIFAR batches, an SVHN .mat, IDX files,
    /// WebDataset tars, Parquet, an LMDB, .npy or .npz, synth:rooms or synth:faces
    ///
    /// With --resume, where the run's pictures are now, if they were moved: their names and their number must be the same
    #[arg(long, value_name = "SRC", required_unless_present = "resume")]
    data: Option<String>,
    /// The run folder, where everything is kept
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Go on with the run in --run from its newest checkpoint
    #[arg(long)]
    resume: bool,
    /// With --resume, first go back to the checkpoint of this step; later ones become checkpoints/abandoned-step-...
    #[arg(long, value_name = "STEP", requires = "resume")]
    back_to: Option<u64>,
    /// The last step
    #[arg(long, conflicts_with = "epochs")]
    steps: Option<u64>,
    /// Passes through the data; a sample grid and a checkpoint are kept at the end of each
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    epochs: Option<u64>,
    /// Epochs from one that is kept to the next; the last one is kept too. 0 for none
    #[arg(long, value_name = "EPOCHS", default_value_t = TrainerOptions::KEEP_EPOCHS, requires = "epochs")]
    keep_epochs: u64,
    /// Whose numbers to start from
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Side of the pictures: 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112 or 128
    #[arg(long)]
    size: Option<usize>,
    /// 1 (grey) or 3 (colour)
    #[arg(long)]
    channels: Option<usize>,
    /// Side of the convolution kernels: 3, 4 or 5
    #[arg(long)]
    kernel: Option<usize>,
    /// Feature maps of the widest-resolution hidden layer
    #[arg(long)]
    base: Option<usize>,
    #[command(flatten)]
    rules: Rules,
    #[command(flatten)]
    details: Details,
    /// Where z is drawn from
    #[arg(long, value_enum)]
    prior: Option<Prior>,
    #[command(flatten)]
    prepared: Prepared,
    /// Mirror each picture in half of the epochs, left and right exchanged; which, the seed decides
    #[arg(long, num_args = 0..=1, default_missing_value = "true", value_name = "true|false")]
    mirror: Option<bool>,
    /// Pictures in a batch
    #[arg(long)]
    batch: Option<usize>,
    /// How precisely convolutions multiply on a graphics card: f32; mixed, half floats or brain floats with sums in single precision;
    /// or auto, which is f32 until mixed has been measured beside it on a card [default: auto]
    #[arg(long, value_enum)]
    precision: Option<PrecisionChoice>,
    /// Adam's learning rate, for both networks (the paper: 2e-4; 1e-3 is too high)
    #[arg(long, value_parser = rate)]
    lr: Option<f64>,
    /// The generator's learning rate alone
    #[arg(long, value_name = "RATE", value_parser = rate)]
    generator_lr: Option<f64>,
    /// The discriminator's learning rate alone
    #[arg(long, value_name = "RATE", value_parser = rate)]
    discriminator_lr: Option<f64>,
    #[command(flatten)]
    hyperparameters: Hyperparameters,
    /// Noise on what the discriminator sees, as a deviation in [0, 1]: keeps it in doubt, and so of use to the generator,
    /// where pictures have no grain of their own [default: 0.2 fading over 3000 steps for synth:, otherwise the paper's 0]
    #[arg(long, value_name = "DEVIATION", value_parser = deviation)]
    noise: Option<f32>,
    /// Steps over which that noise fades to nothing; 0 for never
    #[arg(long, value_name = "STEPS")]
    noise_steps: Option<u64>,
    /// Decides weights, order and every z
    #[arg(long)]
    seed: Option<u64>,
    /// Leave out the pictures that this list names: what `zscape dedup --list` wrote, or names, one a line
    #[arg(long, value_name = "FILE")]
    skip: Option<PathBuf>,
    /// Sample with batch statistics, as the authors do: those of a fixed reference batch of 128 samples
    #[arg(long, conflicts_with = "running_stats")]
    batch_stats: bool,
    /// Sample with the running statistics, averages over the training
    #[arg(long)]
    running_stats: bool,
    /// Steps between checkpoints
    #[arg(long, default_value_t = TrainerOptions::SAVE_EVERY, value_parser = clap::value_parser!(u64).range(1..))]
    save_every: u64,
    /// Steps between preview grids
    #[arg(long, default_value_t = TrainerOptions::PREVIEW_EVERY, value_parser = clap::value_parser!(u64).range(1..))]
    preview_every: u64,
    /// Newest checkpoints that are kept, besides those at the ends of epochs
    #[arg(long, default_value_t = TrainerOptions::KEEP_LAST)]
    keep_last: usize,
    /// Keep checkpoints at multiples of so many steps as well; 0 for none
    #[arg(long, default_value_t = TrainerOptions::KEEP_EVERY)]
    keep_every: u64,
}

/// A learning rate.
fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse::<f64>().map_err(|error| error.to_string())?;
    if rate > 0.0 && rate <= 1.0 { Ok(rate) } else { Err("a learning rate is above 0 and 1 at the most".to_owned()) }
}

/// A deviation of noise on pictures.
fn deviation(text: &str) -> Result<f32, String> {
    let deviation = text.parse::<f32>().map_err(|error| error.to_string())?;
    if (0.0..=1.0).contains(&deviation) { Ok(deviation) } else { Err("it must be from 0 to 1".to_owned()) }
}

impl Train {
    /// The run's own settings when it is resumed, a preset's otherwise, with what was said on the command line.
    fn config(&self) -> anyhow::Result<RunConfig> {
        let mut config = if self.resume {
            let gone = |error: &RunError| matches!(error, RunError::Io(error) if error.kind() == ErrorKind::NotFound);
            match Run::open(&self.run) {
                Err(error) if gone(&error) => {
                    Err(error).context("there is no run to resume; leave --resume out to start one")?
                }
                run => run?.config().clone(),
            }
        } else {
            RunConfig::preset(self.preset.unwrap_or(Preset::Pytorch), self.data.clone().unwrap_or_default())
        };
        if let (true, Some(preset)) = (self.resume, self.preset) {
            config.model.preset = preset;
        }
        let (model, train) = (&mut config.model, &mut config.train);
        fn set<T: Clone>(field: &mut T, said: &Option<T>) {
            if let Some(value) = said {
                *field = value.clone();
            }
        }
        set(&mut model.size, &self.size);
        set(&mut model.channels, &self.channels);
        set(&mut model.kernel, &self.kernel);
        self.rules.apply(model);
        self.details.apply(model, train);
        set(&mut model.base, &self.base);
        set(&mut model.prior, &self.prior);
        let Prepared { crop, fit, resize, background } = self.prepared;
        model.preparation = model.preparation.with(crop, fit, resize, background);
        set(&mut train.mirror, &self.mirror);
        set(&mut train.batch, &self.batch);
        set(&mut train.precision, &self.precision.map(PrecisionChoice::resolved));
        set(&mut train.generator_rate, &self.generator_lr.or(self.lr));
        set(&mut train.discriminator_rate, &self.discriminator_lr.or(self.lr));
        set(&mut train.noise, &self.noise);
        set(&mut train.noise_steps, &self.noise_steps);
        if self.batch_stats {
            model.sampling = Statistics::Batch;
        }
        if self.running_stats {
            model.sampling = Statistics::Running;
        }
        if let Some(data) = &self.data {
            // A run's own pictures may have moved; names to skip stay names of them.
            config.data = data.clone();
        }
        if let Some(list) = &self.skip {
            config.skip = read_skipped(list)?;
        }
        set(&mut config.seed, &self.seed);
        self.hyperparameters.put(&mut config);
        config.model.check()?;
        config.train.check()?;
        Ok(config)
    }

    pub(super) fn run(&self) -> anyhow::Result<()> {
        let config = self.config()?;
        let options = TrainerOptions {
            resume: self.resume,
            steps: self.steps,
            epochs: self.epochs,
            keep_epochs: self.keep_epochs,
            save_every: self.save_every,
            preview_every: self.preview_every,
            keep_last: self.keep_last,
            keep_every: self.keep_every,
            change: SettingsChange { back_to: self.back_to, ..SettingsChange::default() },
            ..TrainerOptions::new(config, &self.run)
        };
        let trainer = Arc::new(Mutex::new(Trainer::start(options, self.common.compute()?, || ())));
        let events = lock(&trainer).events().clone();
        let stopping = Arc::new(AtomicBool::new(false));
        let (hand, flag) = (trainer.clone(), stopping.clone());
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                // Asked twice: whole checkpoints are on disk already, and a person waits.
                std::process::exit(130);
            }
            eprintln!("\nsaving and stopping; press Ctrl-C again to stop without saving");
            lock(&hand).send(TrainerCommand::Stop);
        })
        .context("Ctrl-C cannot be watched")?;
        let bar = ProgressBar::hidden();
        let (mut last, mut report, mut health) = (None, None, Vec::new());
        // Kernels that are tuned, and those that were said to be; and whether a step was taken since.
        let (mut tuned, mut said, mut settled) = (0, 0, false);
        for event in events {
            match event {
                Event::Started { step, last, folder, device } => {
                    bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
                    bar.set_style(style(last.is_some()));
                    bar.set_length(last.unwrap_or(0));
                    bar.set_position(step);
                    bar.reset_eta();
                    bar.enable_steady_tick(Duration::from_millis(500));
                    say(&bar, &format!("training on {device}, in {}", folder.display()));
                    if step > 0 {
                        say(&bar, &format!("resumed after step {step}"));
                    }
                }
                Event::LearningRates(rates) => {
                    let (generator, discriminator) = (rates.generator, rates.discriminator);
                    say(&bar, &format!("learning rates: generator {generator}, discriminator {discriminator}"));
                }
                Event::Tuning(kernels) => {
                    if tuned == 0 {
                        say(&bar, super::TUNING);
                    }
                    (tuned, settled) = (kernels, false);
                    bar.set_message(format!("{}: {kernels} so far", super::TUNING));
                }
                Event::Stepped(progress) => {
                    // A step that tuned nothing more has found all that it needs.
                    if tuned > said && settled {
                        said = tuned;
                        say(&bar, &super::tuned(tuned));
                    }
                    settled = true;
                    bar.set_position(progress.metrics.step);
                    bar.set_message(line(&progress));
                    last = Some(progress);
                }
                Event::Problems { new, total } => {
                    for problem in new {
                        say(&bar, &format!("skipped {}: {}", problem.name, problem.cause));
                    }
                    say(&bar, &format!("{total} pictures skipped so far"));
                }
                Event::EpochEnded(EpochEnd { epoch, step }) => {
                    say(&bar, &format!("epoch {epoch} ended with step {step}; its samples and checkpoint are kept"));
                }
                Event::DatasetReport(told) => {
                    told.to_string().lines().for_each(|line| say(&bar, line));
                    report = Some(told);
                }
                Event::Note(text) => say(&bar, &text),
                Event::Warning(text) => say(&bar, &format!("warning: {text}")),
                Event::Health(new) => {
                    say(&bar, &format!("warning: {new}"));
                    health.push(new);
                }
                Event::Ended(ending) => {
                    bar.finish_and_clear();
                    return self.finish(ending, last.as_ref(), report.as_deref(), &health);
                }
                Event::Previewed(_)
                | Event::GeneratorSnapshot(_)
                | Event::NetworksSnapshot(_)
                | Event::Saved { .. }
                | Event::RolledBack(_)
                | Event::Paused
                | Event::Resumed => {}
            }
        }
        bail!("the trainer ended without a word")
    }

    fn finish(
        &self,
        ending: Ending,
        last: Option<&TrainingProgress>,
        report: Option<&Report>,
        health: &[HealthEvent],
    ) -> anyhow::Result<()> {
        if let Ending::Failed(cause) = ending {
            bail!("{cause}");
        }
        #[derive(serde::Serialize)]
        struct Summary<'a> {
            run: &'a std::path::Path,
            finished: bool,
            step: Option<u64>,
            images_per_second: Option<f64>,
            loss_d: Option<f32>,
            loss_g: Option<f32>,
            report: Option<&'a Report>,
            /// What was wrong and what no longer is, in the order it was found.
            health: &'a [HealthEvent],
            /// What still is.
            failing: Vec<String>,
        }
        let finished = ending == Ending::Finished;
        let summary = Summary {
            run: &self.run,
            finished,
            step: last.map(|last| last.metrics.step),
            images_per_second: last.map(|last| last.images_per_second),
            loss_d: last.map(|last| last.metrics.loss_d),
            loss_g: last.map(|last| last.metrics.loss_g),
            report,
            health,
            failing: HealthEvent::failing(health).map(Alarm::to_string).collect(),
        };
        self.common.print(&summary, || {
            let how = if finished { "finished" } else { "stopped" };
            let at = last.map(|last| format!(" after step {}; {}", last.metrics.step, line(last))).unwrap_or_default();
            let failing: Vec<_> = HealthEvent::failing(health).collect();
            let but: String = failing.iter().map(|alarm| format!("\n  {alarm}")).collect();
            let but = if failing.is_empty() { but } else { format!("\nbut the training fails:{but}") };
            format!("{how}{at}{but}\nsaved in {}", self.run.display())
        })
    }
}

/// A line above the bar, also where no bar is drawn.
fn say(bar: &ProgressBar, line: &str) {
    bar.suspend(|| eprintln!("{line}"));
}

fn lock(trainer: &Mutex<Trainer>) -> std::sync::MutexGuard<'_, Trainer> {
    trainer.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn style(ends: bool) -> ProgressStyle {
    let template = if ends { "{bar:24} {pos}/{len}  {wide_msg}" } else { "step {pos}  {wide_msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn line(progress: &TrainingProgress) -> String {
    let m = &progress.metrics;
    let mut line = format!("loss D {:.3} G {:.3}  D(x) {:.2} D(G(z)) {:.2}", m.loss_d, m.loss_g, m.d_real, m.d_fake);
    if progress.images_per_second > 0.0 {
        line += &format!("  {:.1} images/s", progress.images_per_second);
    }
    if let Some(left) = progress.seconds_left {
        line += &format!("  {} left", indicatif::HumanDuration(Duration::from_secs_f64(left)));
    }
    line
}
