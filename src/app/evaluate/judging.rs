//! How well the discriminator's features tell classes, measured on a thread of its own: of one network, or of a run's
//! checkpoints and of the networks in training as they come.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use burn::tensor::Device;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::work::Teller;
use crate::data::{Dataset, Source};
use crate::evaluate::classify::{Scored, Settings, Trial, validation_of};
use crate::evaluate::features::By;
use crate::evaluate::{Confusion, Labelled, judging};
use crate::image::Preparation;
use crate::model::{Model, ModelConfig, TensorFile, checkpoints};

/// How often a run folder is looked through for new checkpoints.
const PATIENCE: Duration = Duration::from_secs(2);
/// GiB that a table of features may have.
const MEMORY: f64 = 8.0;
/// Passes of the supervised network through the pictures that it learns from, as the command line has them where nobody says it.
const EPOCHS: usize = 20;

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub network: PathBuf,
    pub training: String,
    /// Nothing to hold some of the training pictures out.
    pub test: String,
    /// Training and test pictures.
    pub counts: [usize; 2],
    /// Few labels: how many are drawn, and how often.
    pub few: Option<[usize; 2]>,
    /// Training pictures that batch norm's statistics are taken from; all of them without it.
    pub statistics: Option<usize>,
    /// Draws that a supervised network learns from too; 0 for none.
    pub supervised: usize,
    pub seed: u64,
    /// How pictures are prepared; `None` as for the network.
    pub preparation: Option<Preparation>,
    /// Whether all of a run is measured, and what comes to it.
    pub follow: bool,
}

pub(super) enum Told {
    /// The test pictures, how many there are to learn from, how it is measured, how many pictures batch norm's statistics are taken
    /// from, and how many cannot be read.
    Read { test: Arc<Labelled>, training: usize, settings: Settings, statistics: usize, skipped: usize },
    /// The discriminator's features after a step.
    Learnt { step: u64, scored: Box<Scored>, confusion: Confusion },
    /// What they are compared with.
    Beside(Box<Scored>),
}

/// Measures; `inbox` brings networks in training, and closes when the training ends.
pub(super) fn judge(
    order: &Order,
    inbox: Option<&Receiver<Arc<TensorFile>>>,
    device: &Device,
    teller: &Teller<Told>,
) -> anyhow::Result<()> {
    let path = order.network.as_path();
    // Nothing may be saved yet of a run that begins, but its networks come at once.
    let first = match inbox.and_then(|inbox| inbox.recv().ok()) {
        Some(file) => Model::from_file(TensorFile::clone(&file), path, device)?,
        None => Model::open(path, device)?,
    };
    let config = first.config().clone();
    let set = open(order, &order.training, &config).context("training pictures")?;
    let [training, test] = read(order, &set, &config, teller)?;
    let settings = Settings {
        labels: order.few.map(|[labels, _]| labels),
        draws: order.few.map_or(1, |[_, draws]| draws),
        validation: validation_of(training.pictures.len()),
        supervised: order.supervised,
        epochs: EPOCHS,
        statistics: order.statistics,
        memory: MEMORY,
        seed: order.seed,
    };
    let test = Arc::new(test);
    let skipped = training.skipped.len() + test.skipped.len();
    let trial = Trial::new(&config, [&training, &test], &set, settings)?;
    let count = training.pictures.len();
    teller.tell(Told::Read { test: test.clone(), training: count, settings, statistics: trial.statistics(), skipped });
    let mut progress = |what, done, of| teller.progress(what, done, of);
    let mut measured = BTreeSet::new();
    let mut learnt = |model: &Model, measured: &mut BTreeSet<u64>| -> anyhow::Result<()> {
        let step = model.provenance.steps;
        let (scored, confusion) = trial.by(By::Discriminator(judging(model, path)?), device, &mut progress)?;
        teller.tell(Told::Learnt { step, scored: Box::new(scored), confusion });
        measured.insert(step);
        Ok(())
    };
    learnt(&first, &mut measured)?;
    for by in [By::Random(&config), By::Pixels(&config)] {
        let (scored, _) = trial.by(by, device, &mut |what, done, of| teller.progress(what, done, of))?;
        teller.tell(Told::Beside(Box::new(scored)));
    }
    let supervised = trial.supervised(&config, device, &mut |what, done, of| teller.progress(what, done, of))?;
    supervised.into_iter().for_each(|scored| teller.tell(Told::Beside(Box::new(scored))));
    let run = path.join("checkpoints");
    if !order.follow || (inbox.is_none() && !run.is_dir()) {
        return Ok(());
    }
    loop {
        let model = match next(&run, &measured, inbox, device, teller)? {
            Some(model) => model,
            None => return Ok(()),
        };
        if !measured.contains(&model.provenance.steps) {
            learnt(&model, &mut measured)?;
        }
    }
}

/// The newest of what is not measured yet, waiting for it; nothing once a training has ended and all of it is measured.
fn next(
    run: &Path,
    measured: &BTreeSet<u64>,
    inbox: Option<&Receiver<Arc<TensorFile>>>,
    device: &Device,
    teller: &Teller<Told>,
) -> anyhow::Result<Option<Model>> {
    let mut over = false;
    loop {
        if let Some(file) = inbox.and_then(|inbox| inbox.try_iter().last()) {
            return Ok(Some(Model::from_file(TensorFile::clone(&file), run, device)?));
        }
        let saved = checkpoints(run).into_iter().rev().filter(|(step, _)| !measured.contains(step));
        // One that is removed while it is read, as old ones are, is none.
        if let Some(model) = saved.filter_map(|(_, folder)| Model::open(&folder, device).ok()).next() {
            return Ok(Some(model));
        }
        if over {
            return Ok(None);
        }
        teller.wait("waiting for the next step to measure")?;
        match inbox.map(|inbox| inbox.recv_timeout(PATIENCE)) {
            Some(Ok(file)) => return Ok(Some(Model::from_file(TensorFile::clone(&file), run, device)?)),
            // What it saved last is measured as well.
            Some(Err(RecvTimeoutError::Disconnected)) => over = true,
            Some(Err(RecvTimeoutError::Timeout)) => {}
            None => std::thread::sleep(PATIENCE),
        }
    }
}

fn open(order: &Order, text: &str, config: &ModelConfig) -> anyhow::Result<Dataset> {
    Ok(Dataset::open(&Source::parse(text)?, config.pictures().prepared(order.preparation)?, order.seed)?)
}

/// Pictures to learn from, of the training pictures in `set`, and others to be tried on.
fn read(order: &Order, set: &Dataset, config: &ModelConfig, teller: &Teller<Told>) -> anyhow::Result<[Labelled; 2]> {
    let [training, test] = order.counts;
    let read = |set: &Dataset, count: usize| {
        Labelled::read(set, count, order.seed, &mut |what, done, of| teller.progress(what, done, of))
    };
    if order.test.is_empty() {
        let all = read(set, training + test)?;
        let count = all.pictures.len() * training / (training + test).max(1);
        return Ok(all.parted(count));
    }
    let learnt_from = read(set, training).context("training pictures")?;
    let tried_on = open(order, &order.test, config).context("test pictures")?;
    let tried_on = read(&tried_on, test).context("test pictures")?;
    let tried_on = tried_on.renumbered(&learnt_from.classes, order.test.clone())?;
    Ok([learnt_from, tried_on])
}
