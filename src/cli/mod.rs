//! The command line: everything that the window does, without a window and repeatable. One file per command.
//!
//! Each command is a struct of arguments with a `run` method. Results go to standard output, as JSON with `--json`;
//! progress and warnings go to standard error.

/// Overwrites fields of a settings struct with the flags of the same names that were given.
macro_rules! apply_flags {
    ($flags:expr => $settings:expr; $($field:ident),+) => {
        $(if let Some(value) = $flags.$field {
            $settings.$field = value;
        })+
    };
}

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

use crate::device::{Compute, DeviceChoice, Precision, tuning};
use crate::image::Picture;
use crate::latent::{self, session::Session};
use crate::model::Model;
use crate::panics;

/// Printed when the first kernel is tuned.
const TUNING_NOTICE: &str = "Tuning kernels for this GPU";

/// Train DCGANs and explore their latent space
#[derive(Parser, Debug)]
#[command(name = "zscape", version, about, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    gui: gui::GuiArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Open the window (the default without a command)
    Gui {
        #[command(flatten)]
        common: CommonArgs,
        #[command(flatten)]
        gui: gui::GuiArgs,
    },
    /// Train a DCGAN without a window
    Train(Box<train::TrainArgs>),
    /// Show pictures of a data set before and after they are cropped and resized for training
    Preview(preview::PreviewArgs),
    /// Generate samples
    Sample(sample::SampleArgs),
    /// Interpolate between samples in latent space
    #[command(visible_alias = "interpolate")]
    Walk(walk::WalkArgs),
    /// Do vector arithmetic on averaged samples in latent space
    Arithmetic(arithmetic::ArithmeticArgs),
    /// Find directions in latent space that change the picture
    Directions(directions::DirectionsArgs),
    /// Find the latent vector of a picture (GAN inversion)
    #[command(visible_alias = "invert")]
    Project(project::ProjectArgs),
    /// Find the generator's filters that draw an object, and generate samples without them
    #[command(visible_alias = "ablate")]
    Forget(forget::ForgetArgs),
    /// Visualize the discriminator's features by guided backpropagation, or what decides its output for a picture
    #[command(visible_alias = "guided-backprop")]
    Guided(guided::GuidedArgs),
    /// Show every layer's feature maps for a sample
    #[command(visible_alias = "feature-maps")]
    Layers(layers::LayersArgs),
    /// Classify pictures with linear probes on the discriminator's features, and compare with random weights, pixels
    /// and supervised training
    #[command(visible_alias = "linear-probe")]
    Classify(classify::ClassifyArgs),
    /// Find the training pictures nearest to samples, and test whether the model memorized them
    #[command(visible_alias = "nearest")]
    Neighbours(neighbours::NeighboursArgs),
    /// Measure distances between samples and real pictures: Frechet distance, kernel distance, sliced Wasserstein
    /// distance, precision, recall
    Distances(distances::DistancesArgs),
    /// Find duplicate pictures in a data set
    #[command(visible_alias = "duplicates")]
    Dedup(dedup::DedupArgs),
    /// Train the window detector of `forget --find windows`
    #[command(visible_alias = "train-segmenter")]
    Finder(finder::FinderArgs),
    /// Show the settings, origin and layers of a model, a checkpoint or a run
    Info(info::InfoArgs),
    /// Convert a model to a smaller file, PyTorch or ONNX, or average checkpoints
    Convert(convert::ConvertArgs),
    /// Render synthetic pictures with their ground truth
    #[command(visible_alias = "render")]
    Synth(synth::SynthArgs),
    /// Measure the speed of training and sampling on this machine
    #[command(visible_alias = "benchmark")]
    Bench(bench::BenchArgs),
    /// Check which devices can compute and show a window, and what is missing
    Doctor(doctor::DoctorArgs),
}

/// `--precision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PrecisionChoice {
    /// float32, until mixed precision has been measured on a card
    Auto,
    /// float32
    F32,
    /// float16 or bfloat16, with sums in float32
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

/// Flags of every command.
#[derive(Args, Debug, Clone)]
struct CommonArgs {
    /// Compute device: auto (the best graphics card, or the CPU if there is none), cpu, gpu, gpu:1 for a card by its
    /// number in
    /// `zscape doctor`, or part of a card's name [default: auto; the window remembers its last choice]
    #[arg(long, value_name = "auto|cpu|gpu|gpu:N|NAME")]
    device: Option<DeviceChoice>,
    /// Print one JSON object on standard output
    #[arg(long)]
    json: bool,
}

impl CommonArgs {
    /// The value of `--device`, or its default.
    fn device(&self) -> DeviceChoice {
        self.device.clone().unwrap_or_default()
    }

    fn compute(&self) -> anyhow::Result<Compute> {
        let compute = Compute::open(&self.device())?;
        tracing::info!("computing on {}", compute.name);
        Ok(compute)
    }

    /// Prints `value` as one line of JSON with `--json`, and `text` otherwise.
    fn print(&self, value: &impl serde::Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let line = if self.json { serde_json::to_string(value)? } else { text() };
        // A closed pipe (`| head`) is no failure.
        match std::io::Write::write_all(&mut std::io::stdout(), format!("{}\n", line.trim_end()).as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// A sentence about tuned kernels.
fn tuned_notice(kernels: u64) -> String {
    let saved = if tuning::cache_folder().is_some() { "; saved for the next start" } else { "" };
    format!("{kernels} kernels are tuned for this GPU{saved}")
}

/// Prints on standard error that kernels are being tuned, and when dropped how many were.
struct TuningNotice {
    subscription: tuning::TuningSubscription,
}

impl TuningNotice {
    fn new() -> Self {
        let subscription = tuning::subscribe(|kernels| {
            if kernels == 1 {
                eprintln!("{TUNING_NOTICE}");
            }
        });
        Self { subscription }
    }
}

impl Drop for TuningNotice {
    fn drop(&mut self) {
        if let Some(kernels) = self.subscription.count() {
            eprintln!("{}", tuned_notice(kernels));
        }
    }
}

/// Flags of every command that explores a model.
#[derive(Args, Debug, Clone)]
struct ModelArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Model file, checkpoint, run folder (its newest checkpoint; RUN@average=20 averages its 20 newest),
    /// bundled:rooms or bundled:faces
    #[arg(long, value_name = "FILE|DIR", required_unless_present = "session")]
    model: Option<PathBuf>,
    /// Replay a session that was saved in the window: its model and seed, and its walk or arithmetic
    #[arg(long, value_name = "FILE")]
    session: Option<PathBuf>,
    /// Seed of the samples: sample i of seed s is the same z in every command [default: 1, or the session's]
    #[arg(long)]
    seed: Option<u64>,
    #[command(flatten)]
    ablation: dissect::AblationArgs,
}

/// An open model, with the session that it belongs to.
struct Exploration {
    compute: Compute,
    model: Model,
    session: Option<Session>,
    seed: u64,
}

impl ModelArgs {
    fn open(&self) -> anyhow::Result<Exploration> {
        let compute = self.common.compute()?;
        let session = self.session.as_deref().map(Session::read).transpose()?;
        let path = self.model.as_ref().or(session.as_ref().map(|session| &session.model));
        let path = path.ok_or_else(|| anyhow::anyhow!("give a --model or a --session"))?;
        let mut model = Model::open(path, &compute.device)?;
        let mut ablations = self.ablation.read(model.config())?;
        if let Some(session) = &session {
            session.check(model.config())?;
            ablations.extend(session.ablations.iter().cloned());
            let same = session.model == *path;
            if let Some(changed) = session.training_difference(&model.provenance).filter(|_| same) {
                tracing::warn!("{changed}");
            }
        }
        model.generator = model.generator.with_ablations(&ablations);
        let seed = self.seed.or(session.as_ref().map(|session| session.seed)).unwrap_or(1);
        Ok(Exploration { compute, model, session, seed })
    }
}

impl Exploration {
    /// The z's of samples, by their numbers.
    fn samples(&self, numbers: impl IntoIterator<Item = u64>) -> Vec<Vec<f32>> {
        latent::sample_zs(self.model.config(), self.seed, numbers)
    }

    fn generate(&self, z: &[Vec<f32>]) -> anyhow::Result<Vec<Picture>> {
        Ok(latent::generate_pictures(&self.model.generator, z, &self.compute.device)?)
    }
}

/// A list of numbers such as `3,17,42`.
#[derive(Debug, Clone)]
struct NumberList(Vec<u64>);

impl std::str::FromStr for NumberList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |part: &str| part.trim().parse().map_err(|_error| format!("{part:?} is not a number"));
        text.split(',').map(number).collect::<Result<_, _>>().map(Self)
    }
}

/// Runs the command line. Exit codes: 0 success, 1 failure with a message, 2 wrong usage.
pub fn main() -> ExitCode {
    let began = Instant::now();
    panics::install();
    let filter = tracing_subscriber::EnvFilter::try_from_env("ZSCAPE_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new(
            "warn,wgpu_hal=error,tiny_skia=error,egui_wgpu=error,winit=error,eframe=off,cubecl_environment=error,cubecl_runtime=error",
        )
    });
    // Warnings are for people at a terminal: without module names, and without colors in files.
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).without_time().with_target(false);
    let log = log.with_ansi(std::io::stderr().is_terminal()).with_filter(filter);
    tracing_subscriber::registry().with(log).with(tuning::log_layer()).init();
    let cli = Cli::parse();
    let outcome = panics::catch(|| match cli.command {
        None => cli.gui.run(&cli.common),
        Some(command) => dispatch(command, began),
    });
    let outcome = outcome.unwrap_or_else(|panic| Err(anyhow::anyhow!(panics::bug_report(&panic))));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zscape: {}", panics::without_source_locations(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn dispatch(command: Command, began: Instant) -> anyhow::Result<()> {
    // These print the notice among their other output, or compute in other processes.
    let has_own_notice = matches!(command, Command::Gui { .. } | Command::Train(_) | Command::Doctor(_));
    let _notice = (!has_own_notice).then(TuningNotice::new);
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
