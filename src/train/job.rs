//! The work of the trainer thread: it owns the networks in training, obeys commands between steps, and publishes what
//! happens.

use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Tensor;
use crossbeam_channel::Receiver;

use super::alarm::HealthEvent;
use super::change::set_in_force;
use super::checkpoint::{self, Checkpoint, EpochEnd, TrainingState};
use super::config::{RunConfig, TrainConfig};
use super::health;
use super::making::{Made, idle};
use super::memory;
use super::messages::{Ending, Event, Preview, TrainerCommand};
use super::metrics::{Metrics, MetricsLog};
use super::pictures::Pictures;
use super::run::Run;
use super::step::Networks;
use super::trainer::{TrainError, TrainerOptions, guarded};
use super::upload;
use crate::data::{Dataset, Loader, Place, Report, Source, absolute};
use crate::device::{Compute, Kind, Operands};
use crate::image::{self, Picture};
use crate::latent;
use crate::model::{Model, Provenance, TensorFile};

mod reading;
mod rescue;
mod start;

use reading::{Speed, Taken, Unread};
pub(super) use rescue::explained;
use rescue::fits;
use start::{moved, resumable};

/// Steps from one copy of healthy networks to the next.
const COPY_EVERY: u64 = 25;
/// Pictures in a row of the preview grid.
pub(super) const PREVIEW_COLUMNS: usize = 8;

/// Real pictures on the device.
struct Batch {
    real: Tensor<4>,
    count: usize,
    /// Where the next batch starts.
    next: Place,
}

pub(super) struct Job<'a> {
    options: TrainerOptions,
    compute: Compute,
    emit: &'a dyn Fn(Event),
    run: Run,
    dataset: Arc<Dataset>,
    loader: Loader,
    /// The next batch, uploaded while the device is busy with a step.
    ahead: Option<Result<Batch, TrainError>>,
    log: MetricsLog,
    /// The networks and the run after the last step, which may not be read yet.
    networks: Networks,
    state: TrainingState,
    unread: Unread<Checkpoint, Taken>,
    /// What the last step measured that was read.
    last: Metrics,
    problems: u64,
    speed: Speed,
    warned: Option<String>,
    /// Whether somebody explores the generator while it learns.
    followed: bool,
    operands: Operands,
    /// Steps from one telling of both networks to the next; 0 for none.
    told_every: u64,
    health: health::Monitor,
    /// The run as it was when nothing was suspected, in case it turns out to fail: what a step changes is new tensors, so this
    /// is kept, not copied.
    healthy: Option<Checkpoint>,
    /// What was said at the start and is logged with the first step: a start that fails leaves no log.
    unlogged: Option<HealthEvent>,
    /// The folder of a new run until its first step: what fails before leaves nothing behind. After the files in it.
    made: Option<Made>,
    _lock: Option<File>,
}

impl<'a> Job<'a> {
    pub fn open(mut options: TrainerOptions, compute: Compute, emit: &'a dyn Fn(Event)) -> Result<Self, TrainError> {
        options.config.model.check()?;
        options.config.train.check()?;
        // Whatever can be refused is, before anything is made.
        let lock = Run::lock(&options.folder)?;
        let mut resumed = match options.resume {
            true => resumable(&options)?,
            false => None,
        };
        if resumed.is_none() {
            Run::vacant(&options.folder)?;
        }
        let config = &options.config;
        let source = Source::parse(&config.data).map_err(|cause| moved(cause, resumed.is_some()))?;
        let dataset = Dataset::open(&source, config.model.pictures(), config.seed)?;
        let pictures = Pictures::of(&dataset);
        let mut notes = match &mut resumed {
            Some(run) => run.meet(&config.data, pictures.as_ref())?,
            None => Vec::new(),
        };
        let dataset = Arc::new(dataset.without(&config.skip)?);
        let tight = fits(config, &compute)?;
        if let Some(epochs) = options.epochs {
            let length = dataset.len().ok_or_else(|| TrainError::Endless { source_name: config.data.clone() })? as u64;
            // The last step at the latest: where pictures cannot be read the passes are over sooner.
            let last = epochs.saturating_mul(length).div_ceil(config.train.batch as u64);
            options.steps = Some(options.steps.map_or(last, |steps| steps.min(last)));
        }
        let report = Report::of(&dataset, &|| false);
        options.config.data = absolute(&options.config.data);
        let config = &mut options.config;
        if let (Some(step), Some(run)) = (options.change.back_to, &resumed) {
            checkpoint::go_back(&run.checkpoints(), step)?;
        }
        let warn = |text| emit(Event::Warning(text));
        let found = match &resumed {
            Some(run) => run.newest(&compute.device, warn)?,
            None => None,
        };
        let Checkpoint { mut networks, mut state } = match found {
            Some(checkpoint) => checkpoint,
            None => Checkpoint {
                networks: Networks::new(&config.model, &config.train, config.seed, &compute.device),
                state: TrainingState {
                    step: 0,
                    images: 0,
                    seconds: 0.0,
                    place: Place::default(),
                    generator_rate: config.train.generator_rate,
                    discriminator_rate: config.train.discriminator_rate,
                    epoch_end: None,
                    noise: None,
                    mirror: None,
                    precision: None,
                    loss_scale: None,
                },
            },
        };
        // LearningRates that were changed since the run began go on; those asked for with the resumption come first.
        let settings = config.clone();
        let begun = resumed.as_ref().map_or(&settings, Run::config).train.clone();
        let asked = &config.train;
        if asked.generator_rate != begun.generator_rate {
            state.generator_rate = asked.generator_rate;
        }
        if asked.discriminator_rate != begun.discriminator_rate {
            state.discriminator_rate = asked.discriminator_rate;
        }
        let noise = |train: &TrainConfig| (train.noise, train.noise_steps);
        let in_force = state.noise.map_or(noise(&begun), |(deviation, steps, _)| (deviation, steps));
        if noise(asked) != noise(&begun) && noise(asked) != in_force {
            state.noise = Some((asked.noise, asked.noise_steps, state.step));
        }
        if asked.mirror != begun.mirror {
            state.mirror = Some(asked.mirror);
        }
        if asked.precision != begun.precision {
            state.precision = Some(asked.precision);
        }
        options.change.apply(&mut state);
        set_in_force(&mut config.train, &begun, &state);
        let (operands, fallback) = compute.operands(config.train.precision);
        multiply(operands, &mut networks, &mut state);
        notes.extend(fallback);
        let loader = load(&dataset, config, &state)?;
        let (run, made) = match resumed {
            Some(run) => (run.written_down(pictures.as_ref())?, None),
            None => {
                if idle(&options.folder) {
                    let folder = options.folder.display();
                    notes.push(format!("{folder} held a run that never took a step: this one replaces it"));
                }
                let (run, made) = Run::create(&options.folder, settings, pictures.as_ref())?;
                (run, Some(made))
            }
        };
        let lock = lock.map_or_else(|| Run::lock(&options.folder), |lock| Ok(Some(lock)))?;
        let path = run.metrics();
        let log =
            MetricsLog::open(&path, state.step).map_err(|cause| TrainError::Metrics { path: path.clone(), cause })?;
        let last = MetricsLog::read(&path).ok().and_then(|lines| lines.last().copied()).unwrap_or_default();
        emit(Event::Started {
            step: state.step,
            last: options.steps,
            folder: options.folder.clone(),
            device: compute.name.clone(),
        });
        emit(Event::LearningRates(state.rates()));
        notes.into_iter().for_each(|note| emit(Event::Warning(note)));
        if let Some(estimate) = tight {
            emit(Event::Warning(estimate));
        }
        if options.resume && run.unfinished().exists() {
            emit(Event::Warning(format!(
                "the last session of this run was ended before it could save. Where the system ran out of memory, a smaller \
                 --batch or --base in a new run helps: this one needs about {}",
                memory::gib(memory::needed(&config.model, &config.train))
            )));
        }
        emit(Event::Note(format!("learning from {}", dataset.summary())));
        dataset.notes().iter().for_each(|note| emit(Event::Note(note.clone())));
        if let Err(error) = run.write_report(&report) {
            emit(Event::Warning(format!("the report on the pictures is not in run.toml: {error}")));
        }
        emit(Event::DatasetReport(Arc::new(report)));
        let speed = Speed::default();
        let (problems, warned) = (0, None);
        let (followed, told_every) = (false, 0);
        let few = health::Monitor::start(dataset.len(), &config.train).map(HealthEvent::Failing);
        few.iter().for_each(|few| emit(Event::Health(few.clone())));
        let job = Self {
            options,
            compute,
            emit,
            run,
            dataset,
            loader,
            ahead: None,
            log,
            networks,
            state,
            unread: Unread::default(),
            last,
            problems,
            speed,
            warned,
            followed,
            operands,
            told_every,
            health: health::Monitor::default(),
            healthy: None,
            unlogged: few,
            made,
            _lock: lock,
        };
        // The file is only a sign: a run without it trains as well.
        let _ = std::fs::write(
            job.run.unfinished(),
            "This run is being trained, or its last session was ended before it could save.\n",
        );
        Ok(job)
    }

    /// Tells of what the run survives; what is said again at every step, such as of a full disk, is told once.
    fn warn(&mut self, warning: String) {
        if self.warned.as_ref() != Some(&warning) {
            (self.emit)(Event::Warning(warning.clone()));
            self.warned = Some(warning);
        }
    }

    /// Trains to the end; whatever ends it, the last good step is saved first, unless nobody wants it.
    pub fn work(mut self, inbox: &Receiver<TrainerCommand>) -> Result<Ending, TrainError> {
        let outcome = guarded(|| self.steps(inbox));
        let outcome = outcome.map_err(|error| explained(error, &self.options.config, &self.compute));
        let unfinished = self.run.unfinished();
        if let Ok(Ending::Abandoned) = outcome {
            let _ = std::fs::remove_file(unfinished);
            return outcome;
        }
        // What failed may have done so with steps unread: they are saved only if their numbers are good.
        let unread = self.read();
        let outcome = outcome.and_then(|ending| unread.map(|()| ending));
        // A run that failed before its first step is one that could not be started: its folder goes. One whose numbers broke down
        // did start.
        let refused = outcome.as_ref().is_err_and(|error| !matches!(error, TrainError::Diverged { .. }));
        match (refused, self.made.take()) {
            (true, Some(made)) => {
                self.made = Some(made);
                return outcome;
            }
            (_, made) => made.into_iter().for_each(Made::keep),
        }
        let ending = self.end(outcome);
        let _ = std::fs::remove_file(unfinished);
        ending
    }

    fn end(&mut self, outcome: Result<Ending, TrainError>) -> Result<Ending, TrainError> {
        if let Err(TrainError::Diverged { step }) = outcome {
            self.fails([HealthEvent::Failing(health::diverged(step, self.state.rates()))]);
        }
        match (outcome, guarded(|| self.save())) {
            (Ok(ending), Ok(())) => Ok(ending),
            (Ok(_), Err(error)) => Err(error),
            (Err(error), Ok(())) => {
                let step = self.state.step;
                Ok(Ending::Failed(format!("{error} (the run is saved as it was after step {step})")))
            }
            (Err(error), Err(unsaved)) => Ok(Ending::Failed(format!("{error}; and it could not be saved: {unsaved}"))),
        }
    }

    fn steps(&mut self, inbox: &Receiver<TrainerCommand>) -> Result<Ending, TrainError> {
        let mut waiting = self.options.paused;
        self.preview(false)?;
        if waiting {
            (self.emit)(Event::Paused);
        }
        loop {
            let mut single = false;
            while let Some(command) = if waiting && !single { inbox.recv().ok() } else { inbox.try_recv().ok() } {
                if command == TrainerCommand::Abandon {
                    return Ok(Ending::Abandoned);
                }
                self.read()?;
                match command {
                    TrainerCommand::Stop => return Ok(Ending::Stopped),
                    TrainerCommand::Pause if !waiting => {
                        waiting = true;
                        (self.emit)(Event::Paused);
                    }
                    TrainerCommand::Resume if waiting => {
                        waiting = false;
                        self.speed = Speed::default();
                        (self.emit)(Event::Resumed);
                    }
                    TrainerCommand::Step if waiting => single = true,
                    TrainerCommand::Save => {
                        self.save_on_the_way();
                    }
                    TrainerCommand::PublishGenerator(follow) => {
                        self.followed = follow;
                        self.publish();
                    }
                    TrainerCommand::PublishNetworks(every) => {
                        self.told_every = every;
                        self.tell_networks();
                    }
                    TrainerCommand::SetLearningRates(rates) => {
                        self.state.generator_rate = rates.generator;
                        self.state.discriminator_rate = rates.discriminator;
                    }
                    TrainerCommand::ChangeSettings(change) => {
                        if let Err(error) = self.change(change) {
                            self.warn(format!("nothing was changed: {error}"));
                        }
                    }
                    TrainerCommand::Abandon | TrainerCommand::Pause | TrainerCommand::Resume | TrainerCommand::Step => {
                    }
                }
            }
            if waiting && !single {
                // The channel closed: whoever could say "go on" is gone.
                return Ok(Ending::Stopped);
            }
            let passes = self.state.place.passes(self.dataset.len());
            if self.options.steps.is_some_and(|last| self.state.step >= last)
                || self.options.epochs.is_some_and(|last| passes >= last)
            {
                self.read()?;
                return Ok(Ending::Finished);
            }
            self.step()?;
            if single {
                self.read()?;
                self.preview(true)?;
            }
        }
    }

    fn step(&mut self) -> Result<(), TrainError> {
        if self.state.step.is_multiple_of(COPY_EVERY) || self.healthy.is_none() {
            self.read()?;
            if self.health.suspected().is_empty() || self.healthy.is_none() {
                self.healthy = Some(self.checkpoint());
            }
        }
        let began = Instant::now();
        let step = self.state.step + 1;
        let Batch { real, count, next } = match self.ahead.take() {
            Some(batch) => batch?,
            None => self.batch()?,
        };
        // The networks of the last step, in case this one fails half-way. Tensors are shared, not copied.
        let before = self.checkpoint();
        let (train, seed, networks) = (&self.options.config.train, self.options.config.seed, &mut self.networks);
        let rates = self.state.rates();
        let report = match guarded(|| Ok(networks.step(real, step, seed, train, rates))) {
            Ok(report) => report,
            Err(error) => {
                self.networks = before.networks;
                return Err(error);
            }
        };
        self.state.step = step;
        self.state.images += count as u64;
        let passes = [self.state.place, next].map(|place| place.passes(self.dataset.len()));
        self.state.place = next;
        self.state.epoch_end = (passes[1] > passes[0] && self.keeps(passes[1])).then_some(passes[1]);
        if self.compute.kind != Kind::Cpu {
            self.ahead = Some(self.batch());
        }
        self.state.seconds += began.elapsed().as_secs_f64();
        self.unread.push(|| before, Taken { state: self.state.clone(), pictures: count, report });
        self.after(step)
    }

    /// The next batch, on the device.
    fn batch(&mut self) -> Result<Batch, TrainError> {
        let model = &self.options.config.model;
        let batch = self.loader.next_batch()?;
        if self.health.wants_real() {
            self.health.real(&batch.pixels, model.values());
        }
        let shape = [batch.count, model.channels, model.size, model.size];
        let real = upload::pictures(&batch.pixels, shape, &self.compute.device);
        Ok(Batch { real, count: batch.count, next: batch.next })
    }

    /// What is due after a step: it sees the run only once the step's numbers are read and good.
    fn after(&mut self, step: u64) -> Result<(), TrainError> {
        let epoch_end = self.state.epoch_end;
        let preview = step.is_multiple_of(self.options.preview_every.max(1)) || epoch_end.is_some();
        let look = step.is_multiple_of(health::LOOK_EVERY);
        let publish = self.told_every > 0 && step.is_multiple_of(self.told_every);
        let save = step.is_multiple_of(self.options.save_every.max(1)) || epoch_end.is_some();
        if preview || look || publish || save || self.unread.len() > self.lag() {
            self.read()?;
        }
        if preview {
            self.preview(false)?;
        } else if look {
            let pictures = self.draw(health::REAL)?;
            self.look(&pictures);
        }
        if publish {
            self.tell_networks();
        }
        if save
            && self.save_on_the_way()
            && let Some(epoch) = epoch_end
        {
            (self.emit)(Event::EpochEnded(EpochEnd { epoch, step }));
        }
        Ok(())
    }

    fn checkpoint(&self) -> Checkpoint {
        Checkpoint { networks: self.networks.clone(), state: self.state.clone() }
    }

    /// Whether the end of an epoch is kept.
    fn keeps(&self, epoch: u64) -> bool {
        let every = self.options.keep_epochs;
        self.options.epochs.is_some_and(|last| every > 0 && (epoch.is_multiple_of(every) || epoch >= last))
    }

    /// Draws the fixed z's; `extra` ones, shown for a single step, are not kept.
    fn preview(&mut self, extra: bool) -> Result<(), TrainError> {
        let (step, step_ended) = (self.state.step, Instant::now());
        let pictures = self.draw(self.options.preview_count)?;
        self.look(&pictures);
        let epoch_end = self.state.epoch_end;
        let listed = !extra && (epoch_end.is_some() || in_filmstrip(step, self.options.preview_every.max(1)));
        let sheet = listed.then(|| image::grid(&pictures, PREVIEW_COLUMNS, 2));
        (self.emit)(Event::Previewed(Preview { step, step_ended, pictures, in_filmstrip: listed, epoch_end }));
        self.publish();
        if let Some(Err(error)) = sheet.map(|sheet| sheet.write_png(&self.run.sample(step))) {
            self.warn(format!("a preview is not kept: {error}"));
        }
        Ok(())
    }

    /// The fixed z's pictures.
    fn draw(&self, count: usize) -> Result<Vec<Picture>, TrainError> {
        let (step, seed) = (self.state.step, self.options.config.seed);
        let z = latent::samples(&self.options.config.model, seed, 0..count as u64);
        latent::pictures(&self.networks.generator, &z, &self.compute.device)
            .map_err(|error| TrainError::Device { step, cause: error.to_string() })
    }

    /// Hands the generator to whoever explores it while it learns.
    fn publish(&mut self) {
        if self.followed {
            self.tell_weights(false, Event::GeneratorSnapshot);
        }
    }

    /// Hands both networks to whoever measures them while they learn.
    fn tell_networks(&mut self) {
        if self.told_every > 0 {
            self.tell_weights(true, Event::NetworksSnapshot);
        }
    }

    fn tell_weights(&mut self, both: bool, event: fn(Arc<TensorFile>) -> Event) {
        let Networks { generator, discriminator, .. } = &self.networks;
        let discriminator = both.then(|| discriminator.clone());
        let provenance = self.provenance(&self.state);
        let model = Model { generator: generator.clone(), discriminator, provenance };
        match model.to_file() {
            Ok(file) => (self.emit)(event(Arc::new(file))),
            Err(error) => self.warn(format!("the networks cannot be shown while they learn: {error}")),
        }
    }

    fn provenance(&self, state: &TrainingState) -> Provenance {
        Provenance {
            data: self.options.config.data.clone(),
            steps: state.step,
            images: state.images,
            seed: self.options.config.seed,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..Provenance::default()
        }
    }

    /// Saves, and says whether that worked; where it fails, the run goes on and can be saved later.
    fn save_on_the_way(&mut self) -> bool {
        let saved = self.save();
        if let Err(error) = &saved {
            self.warn(format!("step {} is not saved: {error}", self.state.step));
        }
        saved.is_ok()
    }

    fn save(&mut self) -> Result<(), TrainError> {
        let place = self.run.checkpoints();
        let folder = self.checkpoint().write(&place, self.provenance(&self.state), &self.run.text())?;
        let TrainerOptions { keep_last, keep_every, .. } = self.options;
        if let Err(cause) = checkpoint::tidy(&place, keep_last, keep_every, &self.health.suspected()) {
            self.warn(format!("old checkpoints in {} stay: {cause}", place.display()));
        }
        (self.emit)(Event::Saved { step: self.state.step, folder });
        Ok(())
    }
}

/// Has networks in training multiply `operands`, with a scaled loss where these need it.
fn multiply(operands: Operands, networks: &mut Networks, state: &mut TrainingState) {
    networks.multiply(operands);
    let scale = operands.needs_loss_scale().then(|| state.loss_scale.unwrap_or_default());
    networks.loss_scale = scale.map_or(1.0, |scale| scale.scale);
    state.loss_scale = scale;
}

fn load(dataset: &Arc<Dataset>, config: &RunConfig, state: &TrainingState) -> Result<Loader, TrainError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(8);
    let (batch, mirror) = (config.train.batch, config.train.mirror);
    Ok(Loader::start(dataset.clone(), batch, config.seed, state.place, mirror, threads)?)
}

/// Whether a preview belongs to the strip: about twenty in each doubling of the steps.
fn in_filmstrip(step: u64, every: u64) -> bool {
    let octave = (step / (every * 20)).checked_ilog2().map_or(0, |doublings| doublings + 1);
    step.is_multiple_of(every << octave)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filmstrip_thins_as_a_run_grows() {
        let kept = |range: std::ops::Range<u64>| range.filter(|&step| in_filmstrip(step, 25)).count();
        assert_eq!(kept(0..500), 20);
        assert_eq!(kept(500..1000), 10);
        assert!(kept(0..1_000_000) < 200);
        assert!(in_filmstrip(0, 25), "the strip starts with noise");
    }
}
