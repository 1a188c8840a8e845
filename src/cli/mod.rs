//! The command line: everything the window does, headless and repeatable. One file a command.

mod arithmetic;
mod bench;
mod classify;
mod convert;
mod dedup;
mod directions;
mod dissect;
mod distances;
mod doctor;
mod finder;
mod forget;
mod gui;
mod guided;
mod hyperparameters;
mod info;
mod layers;
mod neighbours;
mod numpy;
mod outputs;
mod prepared;
mod preview;
mod progress;
mod project;
mod rules;
mod sample;
mod score;
mod synth;
mod train;
mod walk;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::device::{Choice, Compute, Precision, tuning};
use crate::image::Picture;
use crate::latent::{self, session::Session};
use crate::model::Model;
use crate::panics;

/// What is said while kernels are tuned.
const TUNING: &str = "Tuning kernels for this GPU";

/// Explore the latent space of a DCGAN, and watch it learn.
#[derive(Parser, Debug)]
#[command(name = "zscape", version, about, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    gui: gui::Gui,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Open the window (also what `zscape` alone does)
    Gui {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        gui: gui::Gui,
    },
    /// Train a DCGAN on pictures, without a window
    Train(Box<train::Train>),
    /// Show pictures of a set before and after they are cropped and resized for the networks
    Preview(preview::Preview),
    /// Draw pictures with a trained generator
    Sample(sample::Sample),
    /// Walk from sample to sample through Z
    Walk(walk::Walk),
    /// Add and take away concepts: averages of samples
    Arithmetic(arithmetic::Arithmetic),
    /// Find directions of Z that change the picture
    Directions(directions::Directions),
    /// Find the z that draws a picture
    Project(project::Project),
    /// Find the filters that draw an object, and draw without them
    Forget(forget::Forget),
    /// Show what the discriminator's features look for, and what decides its verdict
    Guided(guided::Guided),
    /// Show every layer's feature maps for a sample
    Layers(layers::Layers),
    /// Tell classes by the discriminator's features, beside random weights, pixels and a supervised network
    Classify(classify::Classify),
    /// Find the training pictures nearest to samples, and tell whether the model memorises
    Neighbours(neighbours::Neighbours),
    /// Measure how far samples are from real pictures, as sets
    Distances(distances::Distances),
    /// Find the pictures that a set has more than once
    Dedup(dedup::Dedup),
    /// Train what finds windows for `forget`
    Finder(finder::Train),
    /// Tell what a model, a checkpoint or a run folder is
    Info(info::Info),
    /// Write a model as a smaller file
    Convert(convert::Convert),
    /// Write synthetic pictures with their ground truth
    Synth(synth::Synth),
    /// Time training steps and drawing on this machine
    Bench(bench::Bench),
    /// Tell what this machine can compute and draw on, and what is missing
    Doctor(doctor::Doctor),
}

/// What every command understands.
/// What `--precision` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PrecisionChoice {
    /// Single precision, until mixed precision has been measured beside it on a card
    Auto,
    /// Single precision
    F32,
    /// Half floats or brain floats, added up in single precision
    Mixed,
}

impl PrecisionChoice {
    fn resolved(self) -> Precision {
        match self {
            Self::Auto | Self::F32 => Precision::F32,
            Self::Mixed => Precision::Mixed,
        }
    }
}

#[derive(Args, Debug, Clone)]
struct Common {
    /// Where to compute: auto (the best graphics card, or the CPU where there is none), cpu, gpu, gpu:1 for a card by its
    /// number in `zscape doctor`, or part of a card's name [default: auto; the window remembers what was chosen in it]
    #[arg(long, value_name = "auto|cpu|gpu|gpu:N|NAME")]
    device: Option<Choice>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

impl Common {
    /// What `--device` asks for.
    fn device(&self) -> Choice {
        self.device.clone().unwrap_or_default()
    }

    fn compute(&self) -> anyhow::Result<Compute> {
        let compute = Compute::choose(&self.device())?;
        tracing::info!("computing on {}", compute.name);
        Ok(compute)
    }

    /// Prints `value` as JSON when that was asked for, `text` otherwise.
    fn print(&self, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let line = if self.json { serde_json::to_string(value)? } else { text() };
        // A reader that has seen enough (`| head`) is no failure.
        match std::io::Write::write_all(&mut std::io::stdout(), format!("{}\n", line.trim_end()).as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// What to say of tuned kernels.
fn tuned(kernels: u64) -> String {
    let kept = if tuning::folder().is_some() { "; the next start finds them" } else { "" };
    format!("{kernels} kernels are tuned for this GPU{kept}")
}

/// Says on standard error when kernels are tuned, and at its end how many were.
struct Announced {
    counts: crossbeam_channel::Receiver<u64>,
    _watch: tuning::Watch,
}

impl Announced {
    fn new() -> Self {
        let (sender, counts) = crossbeam_channel::unbounded();
        let watch = tuning::watch(move |kernels| {
            if kernels == 1 {
                eprintln!("{TUNING}");
            }
            let _ = sender.send(kernels);
        });
        Self { counts, _watch: watch }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        if let Some(kernels) = self.counts.try_iter().last() {
            eprintln!("{}", tuned(kernels));
        }
    }
}

/// What every command that explores a model understands.
#[derive(Args, Debug, Clone)]
struct Explored {
    #[command(flatten)]
    common: Common,
    /// A model file, a checkpoint, a run folder (its newest checkpoint; RUN@average=20 is the mean of
    /// its 20 newest), bundled:rooms or bundled:faces
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "session")]
    model: Option<PathBuf>,
    /// Replay what was saved in the window: its model and seed, and the walk or the arithmetic in it
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Names the samples: sample number i of seed s is the same z everywhere [default: 1, or the session's]
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    ablated: dissect::Ablated,
}

/// An open model, and what of a session goes with it.
struct Exploration {
    compute: Compute,
    model: Model,
    session: Option<Session>,
    seed: u64,
}

impl Explored {
    fn open(&self) -> anyhow::Result<Exploration> {
        let compute = self.common.compute()?;
        let session = self.session.as_deref().map(Session::read).transpose()?;
        let path = self.model.as_ref().or(session.as_ref().map(|session| &session.model));
        let path = path.ok_or_else(|| anyhow::anyhow!("name a --model or a --session"))?;
        let mut model = Model::open(path, &compute.device)?;
        let mut ablations = self.ablated.read(model.config())?;
        if let Some(session) = &session {
            session.check(model.config())?;
            ablations.extend(session.ablations.iter().cloned());
            let same = session.model == *path;
            if let Some(changed) = session.learnt_since(&model.provenance).filter(|_| same) {
                tracing::warn!("{changed}");
            }
        }
        model.generator = model.generator.under(&ablations);
        let seed = self.seed.or(session.as_ref().map(|session| session.seed)).unwrap_or(1);
        Ok(Exploration { compute, model, session, seed })
    }
}

impl Exploration {
    /// The z's of samples of the seed.
    fn samples(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<f32>> {
        latent::samples(self.model.config(), self.seed, numbers)
    }

    fn draw(&self, z: &[Vec<f32>]) -> anyhow::Result<Vec<Picture>> {
        Ok(latent::pictures(&self.model.generator, z, &self.compute.device)?)
    }
}

/// Sample numbers as the command line takes them: `3,17,42`.
#[derive(Debug, Clone)]
struct Numbers(Vec<u64>);

impl std::str::FromStr for Numbers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse().map_err(|_| format!("{part:?} is no sample number"));
        text.split(',').map(number).collect::<Result<_, _>>().map(Self)
    }
}

/// Runs the command line; 0 done, 1 failed with a message, 2 wrong usage.
pub fn main() -> ExitCode {
    let began = Instant::now();
    panics::install();
    let filter = tracing_subscriber::EnvFilter::try_from_env("ZSCAPE_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(
            "warn,wgpu_hal=error,tiny_skia=error,egui_wgpu=error,winit=error,eframe=off,cubecl_environment=error,cubecl_runtime=error",
        )
    });
    // A warning is for the person at the terminal: no module's name in it, and no colors in a file.
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time().with_target(false);
    let log = log.with_ansi(std::io::stderr().is_terminal()).with_filter(filter);
    tracing_subscriber::registry().with(log).with(tuning::listener()).init();
    let cli = Cli::parse();
    let outcome = panics::caught(|| match cli.command {
        None => cli.gui.run(&cli.common),
        Some(command) => dispatch(command, began),
    });
    let outcome = outcome.unwrap_or_else(|panic| Err(anyhow::anyhow!(panics::sentence(&panic))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zscape: {}", panics::plain(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command, began: Instant) -> anyhow::Result<()> {
    // A training and the window say it among what else they say, and a doctor tries in other processes.
    let own = matches!(command, Command::Gui { .. } | Command::Train(_) | Command::Doctor(_));
    let _announced = (!own).then(Announced::new);
    match command {
        Command::Gui { common, gui } => gui.run(&common),
        Command::Train(command) => command.run(),
        Command::Preview(command) => command.run(),
        Command::Sample(command) => command.run(),
        Command::Walk(command) => command.run(),
        Command::Arithmetic(command) => command.run(),
        Command::Directions(command) => command.run(),
        Command::Project(command) => command.run(),
        Command::Forget(command) => command.run(),
        Command::Guided(command) => command.run(),
        Command::Layers(command) => command.run(),
        Command::Classify(command) => command.run(),
        Command::Neighbours(command) => command.run(),
        Command::Distances(command) => command.run(),
        Command::Dedup(command) => command.run(),
        Command::Finder(command) => command.run(),
        Command::Info(command) => command.run(),
        Command::Convert(command) => command.run(),
        Command::Synth(command) => command.run(),
        Command::Bench(command) => command.run(began),
        Command::Doctor(command) => command.run(),
    }
}
