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
use crate::model::{Model, ModelConfig, TensorFile, checkpoints};

/// How often a run folder is looked through for new checkpoints.
const PATIENCE: Duration = Duration::from_secs(2);
/// GiB that a table of features may have.
const MEMORY: f64 = 8.0;

/// What is told while there is nothing to measure.
pub(super) const WAITING: &str = "waiting for the next step to measure";

/// What is measured.
#[derive(Debug, Clone)]
pub(super) struct Order {
    pub network: PathBuf,
    pub training: String,
    /// Nothing to hold some of the training pictures out.
    pub test: String,
    /// Training and test pictures.
    pub counts: [usize; 2],
    pub seed: u64,
    /// Whether all of a run is measured, and what comes to it.
    pub follow: bool,
}

pub(super) enum Told {
    /// The test pictures, how many there are to learn from, and how many cannot be read.
    Read { test: Arc<Labelled>, training: usize, skipped: usize },
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
    let [training, test] = read(order, &config, teller)?;
    let settings = Settings {
        labels: None,
        draws: 1,
        validation: validation_of(training.pictures.len()),
        supervised: 0,
        epochs: 0,
        memory: MEMORY,
        seed: order.seed,
    };
    let test = Arc::new(test);
    let skipped = training.skipped.len() + test.skipped.len();
    teller.tell(Told::Read { test: test.clone(), training: training.pictures.len(), skipped });
    let trial = Trial::new(&config, [&training, &test], settings, &order.training)?;
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
        teller.progress(WAITING, 0, 0);
        match inbox.map(|inbox| inbox.recv_timeout(PATIENCE)) {
            Some(Ok(file)) => return Ok(Some(Model::from_file(TensorFile::clone(&file), run, device)?)),
            // What it saved last is measured as well.
            Some(Err(RecvTimeoutError::Disconnected)) => over = true,
            Some(Err(RecvTimeoutError::Timeout)) => {}
            None => std::thread::sleep(PATIENCE),
        }
    }
}

/// Pictures to learn from and to be tried on.
fn read(order: &Order, config: &ModelConfig, teller: &Teller<Told>) -> anyhow::Result<[Labelled; 2]> {
    let [training, test] = order.counts;
    let read = |text: &str, count: usize| -> anyhow::Result<Labelled> {
        let dataset = Dataset::open(&Source::parse(text)?, config.size, config.channels, order.seed)?;
        Ok(Labelled::read(&dataset, count, order.seed, &mut |what, done, of| teller.progress(what, done, of))?)
    };
    if order.test.is_empty() {
        let all = read(&order.training, training + test)?;
        let count = all.pictures.len() * training / (training + test).max(1);
        return Ok(all.parted(count));
    }
    let learnt_from = read(&order.training, training).context("training pictures")?;
    let tried_on = read(&order.test, test).context("test pictures")?;
    let tried_on = tried_on.renumbered(&learnt_from.classes, order.test.clone())?;
    Ok([learnt_from, tried_on])
}
