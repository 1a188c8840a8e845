//! The job that fits linear probes to the discriminator's features: of one network, or of all checkpoints of a run and of the networks
//! in training as they come.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use burn::tensor::Device;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use crate::app::service::Reporter;
use crate::data::{Dataset, Source};
use crate::evaluate::features::FeatureSource;
use crate::evaluate::probe::{ProbeExperiment, ProbeScore, ProbeSettings, default_validation_count};
use crate::evaluate::{ConfusionMatrix, LabeledSet, require_discriminator};
use crate::image::Preparation;
use crate::model::{Model, ModelConfig, TensorFile, checkpoints};

/// Time between two searches of a run folder for new checkpoints.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// What is evaluated, and how.
#[derive(Debug, Clone)]
pub(super) struct ProbeTask {
    pub network: PathBuf,
    pub training: String,
    /// Empty to hold out some of the training images.
    pub test: String,
    /// Numbers of training and test images.
    pub counts: [usize; 2],
    /// The few-label protocol: how many labels are drawn, and how often.
    pub few: Option<[usize; 2]>,
    /// Training images from which batch-norm statistics are measured; `None` for all.
    pub statistics: Option<usize>,
    /// Label draws on which a supervised network is trained too; 0 for none.
    pub supervised: usize,
    pub seed: u64,
    /// How images are prepared; `None` as the network was trained.
    pub preparation: Option<Preparation>,
    /// Whether all checkpoints of a run are evaluated, and new ones as they come.
    pub follow: bool,
}

pub(super) enum ProbeEvent {
    /// The images are read. `training` is the number of training images, `statistics` the number from which batch-norm statistics are
    /// measured, `skipped` the number of files that cannot be read.
    Read { test: Arc<LabeledSet>, training: usize, settings: ProbeSettings, statistics: usize, skipped: usize },
    /// The accuracy of the discriminator's features after a training step.
    Evaluated { step: u64, scored: Box<ProbeScore>, confusion: ConfusionMatrix },
    /// The accuracy of a baseline.
    Baseline(Box<ProbeScore>),
}

/// Runs the job. `inbox` receives networks in training, and is closed when the training ends.
pub(super) fn run(
    task: &ProbeTask,
    inbox: Option<&Receiver<Arc<TensorFile>>>,
    device: &Device,
    reporter: &Reporter<ProbeEvent>,
) -> anyhow::Result<()> {
    let path = task.network.as_path();
    // A run that has just started has no checkpoint yet, but sends its networks at once.
    let first = match inbox.and_then(|inbox| inbox.recv().ok()) {
        Some(file) => Model::from_file(TensorFile::clone(&file), path, device)?,
        None => Model::open(path, device)?,
    };
    let config = first.config().clone();
    let set = open(task, &task.training, &config).context("training pictures")?;
    let [training, test] = read(task, &set, &config, reporter)?;
    let settings = ProbeSettings {
        labels: task.few.map(|[labels, _]| labels),
        draws: task.few.map_or(1, |[_, draws]| draws),
        validation: default_validation_count(training.pictures.len()),
        supervised: task.supervised,
        epochs: ProbeSettings::EPOCHS,
        statistics: task.statistics,
        memory: ProbeSettings::MEMORY,
        seed: task.seed,
    };
    let test = Arc::new(test);
    let skipped = training.skipped.len() + test.skipped.len();
    let experiment = ProbeExperiment::new(&config, [&training, &test], &set, settings)?;
    let count = training.pictures.len();
    reporter.send(ProbeEvent::Read {
        test: test.clone(),
        training: count,
        settings,
        statistics: experiment.statistics(),
        skipped,
    });
    let mut progress = |what, done, total| reporter.report(what, done, total);
    let mut evaluated = BTreeSet::new();
    let mut evaluate = |model: &Model, evaluated: &mut BTreeSet<u64>| -> anyhow::Result<()> {
        let step = model.provenance.steps;
        let (scored, confusion) = experiment.score_features(
            FeatureSource::Discriminator(require_discriminator(model, path)?),
            device,
            &mut progress,
        )?;
        reporter.send(ProbeEvent::Evaluated { step, scored: Box::new(scored), confusion });
        evaluated.insert(step);
        Ok(())
    };
    evaluate(&first, &mut evaluated)?;
    for by in [FeatureSource::Random(&config), FeatureSource::Pixels(&config)] {
        let (scored, _) =
            experiment.score_features(by, device, &mut |what, done, total| reporter.report(what, done, total))?;
        reporter.send(ProbeEvent::Baseline(Box::new(scored)));
    }
    let supervised =
        experiment.score_supervised(&config, device, &mut |what, done, total| reporter.report(what, done, total))?;
    supervised.into_iter().for_each(|scored| reporter.send(ProbeEvent::Baseline(Box::new(scored))));
    let checkpoint_folder = path.join("checkpoints");
    if !task.follow || (inbox.is_none() && !checkpoint_folder.is_dir()) {
        return Ok(());
    }
    loop {
        let Some(model) = next(&checkpoint_folder, &evaluated, inbox, device, reporter)? else { return Ok(()) };
        if !evaluated.contains(&model.provenance.steps) {
            evaluate(&model, &mut evaluated)?;
        }
    }
}

/// Waits for the newest network that is not evaluated yet; `None` once the training has ended and all its checkpoints are evaluated.
fn next(
    checkpoint_folder: &Path,
    evaluated: &BTreeSet<u64>,
    inbox: Option<&Receiver<Arc<TensorFile>>>,
    device: &Device,
    reporter: &Reporter<ProbeEvent>,
) -> anyhow::Result<Option<Model>> {
    let mut training_ended = false;
    loop {
        if let Some(file) = inbox.and_then(|inbox| inbox.try_iter().last()) {
            return Ok(Some(Model::from_file(TensorFile::clone(&file), checkpoint_folder, device)?));
        }
        let mut saved = checkpoints(checkpoint_folder).into_iter().rev().filter(|(step, _)| !evaluated.contains(step));
        // The training removes old checkpoints, perhaps while they are read.
        if let Some(model) = saved.find_map(|(_, folder)| Model::open(&folder, device).ok()) {
            return Ok(Some(model));
        }
        if training_ended {
            return Ok(None);
        }
        reporter.waiting("waiting for the next step to measure")?;
        match inbox.map(|inbox| inbox.recv_timeout(POLL_INTERVAL)) {
            Some(Ok(file)) => return Ok(Some(Model::from_file(TensorFile::clone(&file), checkpoint_folder, device)?)),
            // Its last checkpoint is still to be evaluated.
            Some(Err(RecvTimeoutError::Disconnected)) => training_ended = true,
            Some(Err(RecvTimeoutError::Timeout)) => {}
            None => std::thread::sleep(POLL_INTERVAL),
        }
    }
}

fn open(task: &ProbeTask, text: &str, config: &ModelConfig) -> anyhow::Result<Dataset> {
    Ok(Dataset::open(&Source::from(text), config.pictures().prepared(task.preparation)?, task.seed)?)
}

/// Reads training images from `set`, and test images.
fn read(
    task: &ProbeTask,
    set: &Dataset,
    config: &ModelConfig,
    reporter: &Reporter<ProbeEvent>,
) -> anyhow::Result<[LabeledSet; 2]> {
    let [training, test] = task.counts;
    let read = |set: &Dataset, count: usize| {
        LabeledSet::read(set, count, task.seed, &mut |what, done, total| reporter.report(what, done, total))
    };
    if task.test.is_empty() {
        let all = read(set, training + test)?;
        let count = all.pictures.len() * training / (training + test).max(1);
        return Ok(all.split_stratified(count));
    }
    let training = read(set, training).context("training pictures")?;
    let test_set = open(task, &task.test, config).context("test pictures")?;
    let test = read(&test_set, test).context("test pictures")?;
    let test = test.with_classes(&training.classes, task.test.clone())?;
    Ok([training, test])
}
