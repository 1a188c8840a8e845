//! The training loop, which runs on the trainer thread: [`TrainingLoop::open`] opens or creates a run,
//! [`TrainingLoop::run`] trains it to the end.
//!
//! It owns the networks, obeys commands between steps, and reports everything as [`Event`]s.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use crossbeam_channel::Receiver;

use super::alarm::HealthEvent;
use super::checkpoint::{Checkpoint, EpochEnd, TrainingState};
use super::config::RunConfig;
use super::error::{TrainError, catch_panic};
use super::health::{self, HealthMonitor};
use super::memory;
use super::messages::{Ending, Event, TrainerCommand};
use super::metrics::{Metrics, MetricsLog};
use super::new_folder::NewRunFolder;
use super::run::Run;
use super::step::Networks;
use super::trainer::TrainerOptions;
use super::upload;
use crate::data::{DataPosition, Dataset, Loader};
use crate::device::{Compute, Hardware, Operands};

mod failures;
mod open;
mod output;
mod readback;
mod settings;

use readback::{PendingStep, PendingSteps, Throughput};

/// Steps between two copies of the networks that are kept in memory while the training is healthy.
const HEALTHY_COPY_INTERVAL: u64 = 25;

/// A batch of real pictures on the device.
struct DeviceBatch {
    /// `[count, channels, size, size]` in [-1, 1].
    real: Tensor<4>,
    count: usize,
    /// Where the next batch starts.
    next: DataPosition,
}

/// A run in training.
pub(super) struct TrainingLoop<'a> {
    options: TrainerOptions,
    compute: Compute,
    emit: &'a dyn Fn(Event),
    run: Run,
    dataset: Arc<Dataset>,
    loader: Loader,
    /// The next batch, uploaded while the device still computes a step.
    prefetched: Option<Result<DeviceBatch, TrainError>>,
    log: MetricsLog,
    /// Networks after the last step, whose metrics may still be on the device.
    networks: Networks,
    /// The state after the last step.
    state: TrainingState,
    pending: PendingSteps<Checkpoint, PendingStep>,
    /// Metrics of the last step that was read back.
    last: Metrics,
    /// Number of skipped pictures that were reported.
    problems: usize,
    throughput: Throughput,
    /// The last warning, so that it is not repeated every step.
    last_warning: Option<String>,
    /// Whether the generator is published with every preview.
    publish_generator: bool,
    operands: Operands,
    /// Steps between two snapshots of both networks; 0 for none.
    snapshot_interval: u64,
    health: HealthMonitor,
    /// The run when no failure was suspected, in case one turns out to have begun since. Steps replace tensors and
    /// never write to them, so this keeps tensors alive but copies nothing.
    healthy: Option<Checkpoint>,
    /// An alarm of the start, logged with the first step: a start that fails leaves no log.
    unlogged: Option<HealthEvent>,
    /// The folder of a new run until its first step; dropping it removes the folder. Must come after the files in it.
    new_folder: Option<NewRunFolder>,
    _lock: Option<File>,
}

impl TrainingLoop<'_> {
    /// Reports a warning, unless it is the same as the last one: a full disk is reported once and not at every step.
    fn warn(&mut self, warning: String) {
        if self.last_warning.as_ref() != Some(&warning) {
            (self.emit)(Event::Warning(warning.clone()));
            self.last_warning = Some(warning);
        }
    }

    /// Trains to the end. However it ends, the last good step is saved first, unless the run is abandoned.
    pub fn run(mut self, inbox: &Receiver<TrainerCommand>) -> Result<Ending, TrainError> {
        let outcome = catch_panic(|| self.train(inbox));
        let outcome = outcome.map_err(|error| memory::explain(error, &self.options.config, &self.compute));
        let unfinished = self.run.unfinished();
        if matches!(outcome, Ok(Ending::Abandoned)) {
            let _ = std::fs::remove_file(unfinished);
            return outcome;
        }
        // After a failure, steps may be pending: they are saved only if their metrics are good.
        let read = self.read_back();
        let outcome = outcome.and_then(|ending| read.map(|()| ending));
        // A run that failed before its first step could not be started, so its folder is removed. One that diverged
        // did start.
        let refused = outcome.as_ref().is_err_and(|error| !matches!(error, TrainError::Diverged { .. }));
        match (refused, self.new_folder.take()) {
            (true, Some(folder)) => {
                self.new_folder = Some(folder);
                return outcome;
            }
            (_, folder) => folder.into_iter().for_each(NewRunFolder::keep),
        }
        let ending = self.save_at_end(outcome);
        let _ = std::fs::remove_file(unfinished);
        ending
    }

    fn save_at_end(&mut self, outcome: Result<Ending, TrainError>) -> Result<Ending, TrainError> {
        if let Err(TrainError::Diverged { step }) = outcome {
            self.report_health([HealthEvent::Failing(health::divergence(step, self.state.rates()))]);
        }
        match (outcome, catch_panic(|| self.save())) {
            (Ok(ending), Ok(())) => Ok(ending),
            (Ok(_), Err(error)) => Err(error),
            (Err(error), Ok(())) => {
                let step = self.state.step;
                Ok(Ending::Failed(format!("{error} (the run was saved after step {step})")))
            }
            (Err(error), Err(unsaved)) => Ok(Ending::Failed(format!("{error}; the run could not be saved: {unsaved}"))),
        }
    }

    fn train(&mut self, inbox: &Receiver<TrainerCommand>) -> Result<Ending, TrainError> {
        let mut paused = self.options.paused;
        self.preview(false)?;
        if paused {
            (self.emit)(Event::Paused);
        }
        loop {
            let mut single = false;
            while let Some(command) = if paused && !single { inbox.recv().ok() } else { inbox.try_recv().ok() } {
                if command == TrainerCommand::Abandon {
                    return Ok(Ending::Abandoned);
                }
                self.read_back()?;
                match command {
                    TrainerCommand::Stop => return Ok(Ending::Stopped),
                    TrainerCommand::Pause if !paused => {
                        paused = true;
                        (self.emit)(Event::Paused);
                    }
                    TrainerCommand::Resume if paused => {
                        paused = false;
                        self.throughput = Throughput::default();
                        (self.emit)(Event::Resumed);
                    }
                    TrainerCommand::Step if paused => single = true,
                    TrainerCommand::Save => {
                        self.save_or_warn();
                    }
                    TrainerCommand::PublishGenerator(publish) => {
                        self.publish_generator = publish;
                        self.publish_generator();
                    }
                    TrainerCommand::PublishNetworks(interval) => {
                        self.snapshot_interval = interval;
                        self.publish_networks();
                    }
                    TrainerCommand::SetLearningRates(rates) => {
                        self.state.generator_rate = rates.generator;
                        self.state.discriminator_rate = rates.discriminator;
                    }
                    TrainerCommand::ChangeSettings(change) => {
                        if let Err(error) = self.change_settings(change) {
                            self.warn(format!("no setting was changed: {error}"));
                        }
                    }
                    TrainerCommand::Abandon | TrainerCommand::Pause | TrainerCommand::Resume | TrainerCommand::Step => {
                    }
                }
            }
            if paused && !single {
                // The channel is closed, so nobody can resume the run.
                return Ok(Ending::Stopped);
            }
            let epochs = self.state.place.passes(self.dataset.len());
            if self.options.steps.is_some_and(|last| self.state.step >= last)
                || self.options.epochs.is_some_and(|last| epochs >= last)
            {
                self.read_back()?;
                return Ok(Ending::Finished);
            }
            self.step()?;
            if single {
                self.read_back()?;
                self.preview(true)?;
            }
        }
    }

    fn step(&mut self) -> Result<(), TrainError> {
        if self.state.step.is_multiple_of(HEALTHY_COPY_INTERVAL) || self.healthy.is_none() {
            self.read_back()?;
            if self.health.suspected().is_empty() || self.healthy.is_none() {
                self.healthy = Some(self.checkpoint());
            }
        }
        let began = Instant::now();
        let step = self.state.step + 1;
        let DeviceBatch { real, count, next } = match self.prefetched.take() {
            Some(batch) => batch?,
            None => self.next_batch()?,
        };
        // The networks before this step, in case it fails half-way. Tensors are shared, not copied.
        let before = self.checkpoint();
        let (train, seed, networks) = (&self.options.config.train, self.options.config.seed, &mut self.networks);
        let rates = self.state.rates();
        let metrics = match catch_panic(|| Ok(networks.step(real, step, seed, train, rates))) {
            Ok(metrics) => metrics,
            Err(error) => {
                self.networks = before.networks;
                return Err(error);
            }
        };
        self.state.step = step;
        self.state.images += count as u64;
        let epochs = [self.state.place, next].map(|place| place.passes(self.dataset.len()));
        self.state.place = next;
        self.state.epoch_end = (epochs[1] > epochs[0] && self.keeps_epoch(epochs[1])).then_some(epochs[1]);
        if self.compute.kind != Hardware::Cpu {
            self.prefetched = Some(self.next_batch());
        }
        self.state.seconds += began.elapsed().as_secs_f64();
        self.pending.push(|| before, PendingStep { state: self.state.clone(), pictures: count, metrics });
        self.after_step(step)
    }

    /// Loads the next batch and uploads it to the device.
    fn next_batch(&mut self) -> Result<DeviceBatch, TrainError> {
        let model = &self.options.config.model;
        let batch = self.loader.next_batch()?;
        if self.health.needs_real() {
            self.health.add_real(&batch.pixels, model.values());
        }
        let shape = [batch.count, model.channels, model.size, model.size];
        let real = upload::pictures(&batch.pixels, shape, &self.compute.device);
        Ok(DeviceBatch { real, count: batch.count, next: batch.next })
    }

    /// Does what is due after a step: previews, snapshots, checkpoints. Metrics are read back first, so that none of
    /// them shows a bad step.
    fn after_step(&mut self, step: u64) -> Result<(), TrainError> {
        let epoch_end = self.state.epoch_end;
        let preview = step.is_multiple_of(self.options.preview_every.max(1)) || epoch_end.is_some();
        let check = step.is_multiple_of(health::CHECK_INTERVAL);
        let publish = self.snapshot_interval > 0 && step.is_multiple_of(self.snapshot_interval);
        let save = step.is_multiple_of(self.options.save_every.max(1)) || epoch_end.is_some();
        if preview || check || publish || save || self.pending.len() > self.max_pending() {
            self.read_back()?;
        }
        if preview {
            self.preview(false)?;
        } else if check {
            let samples = self.generate_samples(health::SAMPLES)?;
            self.check_samples(&samples);
        }
        if publish {
            self.publish_networks();
        }
        if save
            && self.save_or_warn()
            && let Some(epoch) = epoch_end
        {
            (self.emit)(Event::EpochEnded(EpochEnd { epoch, step }));
        }
        Ok(())
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint { networks: self.networks.clone(), state: self.state.clone() }
    }

    /// Whether the checkpoint and sample grid at the end of this epoch are kept.
    fn keeps_epoch(&self, epoch: u64) -> bool {
        let every = self.options.keep_epochs;
        self.options.epochs.is_some_and(|last| every > 0 && (epoch.is_multiple_of(every) || epoch >= last))
    }
}

/// Sets the number format of the networks' convolutions, and the loss scale if the format needs one.
fn set_operands(operands: Operands, networks: &mut Networks, state: &mut TrainingState) {
    networks.multiply(operands);
    let scale = operands.needs_loss_scale().then(|| state.loss_scale.unwrap_or_default());
    networks.loss_scale = scale.map_or(1.0, |scale| scale.scale);
    state.loss_scale = scale;
}

fn start_loader(dataset: &Arc<Dataset>, config: &RunConfig, state: &TrainingState) -> Result<Loader, TrainError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let (batch, mirror) = (config.train.batch, config.train.mirror);
    Ok(Loader::start(dataset.clone(), batch, config.seed, state.place, mirror, threads)?)
}
