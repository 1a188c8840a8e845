//! Opens a new or resumed run for training.

use std::sync::Arc;

use super::readback::{PendingSteps, Throughput};
use super::{TrainingLoop, set_operands, start_loader};
use crate::data::{DataError, DataPosition, Dataset, DatasetReport};
use crate::device::Compute;
use crate::train::alarm::HealthEvent;
use crate::train::change::set_in_force;
use crate::train::checkpoint::{self, Checkpoint, TrainingState};
use crate::train::config::{RunConfig, TrainConfig};
use crate::train::error::TrainError;
use crate::train::fingerprint::PictureNames;
use crate::train::health::HealthMonitor;
use crate::train::memory::{self, in_gib};
use crate::train::messages::Event;
use crate::train::metrics::MetricsLog;
use crate::train::new_folder::has_no_steps;
use crate::train::run::{Run, RunError};
use crate::train::step::Networks;
use crate::train::trainer::TrainerOptions;

impl<'a> TrainingLoop<'a> {
    /// Opens the run of `options`. Everything that can be refused is, before anything is written.
    ///
    /// # Errors
    /// [`TrainError`] if the data, the settings, the run folder, a checkpoint, or the memory does not allow this
    /// training.
    pub fn open(mut options: TrainerOptions, compute: Compute, emit: &'a dyn Fn(Event)) -> Result<Self, TrainError> {
        options.config.model.check()?;
        options.config.train.check()?;
        let lock = Run::lock(&options.folder)?;
        let mut resumed = if options.resume { resumable(&options)? } else { None };
        if resumed.is_none() {
            Run::ensure_vacant(&options.folder)?;
        }
        let config = &options.config;
        let dataset = Dataset::open(&config.data, config.model.pictures(), config.seed);
        let dataset = dataset.map_err(|error| data_error(error, resumed.is_some()))?;
        let names = PictureNames::of(&dataset);
        let mut warnings = match &mut resumed {
            Some(run) => run.use_data(&config.data, names.as_ref())?,
            None => Vec::new(),
        };
        let dataset = Arc::new(dataset.without(&config.skip)?);
        let memory_warning = memory::check(config, &compute)?;
        if let Some(epochs) = options.epochs {
            let length =
                dataset.len().ok_or_else(|| TrainError::Endless { source_name: config.data.to_string() })? as u64;
            // An upper bound: if pictures cannot be read, the epochs end earlier.
            let last = epochs.saturating_mul(length).div_ceil(config.train.batch as u64);
            options.steps = Some(options.steps.map_or(last, |steps| steps.min(last)));
        }
        let report = DatasetReport::examine(&dataset, &|| false);
        options.config.data = options.config.data.absolute();
        if let (Some(step), Some(run)) = (options.change.back_to, &resumed) {
            checkpoint::roll_back(&run.checkpoints(), step)?;
        }
        let checkpoint = match &resumed {
            Some(run) => run.newest_checkpoint(&compute.device, |warning| emit(Event::Warning(warning)))?,
            None => None,
        };
        let Checkpoint { mut networks, mut state } = match checkpoint {
            Some(checkpoint) => checkpoint,
            None => untrained(&options.config, &compute),
        };
        let settings = options.config.clone();
        let initial = resumed.as_ref().map_or(&settings, Run::config).train.clone();
        apply_requested(&options.config.train, &initial, &mut state);
        options.change.apply(&mut state);
        set_in_force(&mut options.config.train, &initial, &state);
        let config = &options.config;
        let (operands, fallback) = compute.operands(config.train.precision);
        set_operands(operands, &mut networks, &mut state);
        warnings.extend(fallback);
        let loader = start_loader(&dataset, config, &state)?;
        let (run, new_folder) = match resumed {
            Some(run) => (run.save(names.as_ref())?, None),
            None => {
                if has_no_steps(&options.folder) {
                    let folder = options.folder.display();
                    warnings.push(format!("{folder} held a run without any step; this run replaces it"));
                }
                let (run, folder) = Run::create(&options.folder, settings, names.as_ref())?;
                (run, Some(folder))
            }
        };
        let lock = lock.map_or_else(|| Run::lock(&options.folder), |lock| Ok(Some(lock)))?;
        let path = run.metrics();
        let log = MetricsLog::open(&path, state.step)?;
        let last = MetricsLog::read(&path).ok().and_then(|lines| lines.last().copied()).unwrap_or_default();
        emit(Event::Started {
            step: state.step,
            last: options.steps,
            folder: options.folder.clone(),
            device: compute.name.clone(),
        });
        emit(Event::LearningRates(state.rates()));
        warnings.into_iter().chain(memory_warning).for_each(|warning| emit(Event::Warning(warning)));
        if options.resume && run.unfinished().exists() {
            emit(Event::Warning(format!(
                "the last session of this run ended before it could save. If the system ran out of memory, start a new run with a \
                 smaller --batch or --base: this one needs about {}",
                in_gib(memory::needed_on_cpu(&config.model, &config.train))
            )));
        }
        emit(Event::Note(format!("training on {}", dataset.summary())));
        dataset.notes().iter().for_each(|note| emit(Event::Note(note.clone())));
        if let Err(error) = run.write_report(&report) {
            emit(Event::Warning(format!("cannot write the data set's report to run.toml: {error}")));
        }
        emit(Event::DatasetReport(Arc::new(report)));
        let small = HealthMonitor::check_size(dataset.len(), &config.train).map(HealthEvent::Failing);
        small.iter().for_each(|alarm| emit(Event::Health(alarm.clone())));
        // Only a sign for the next session, so a failure to write it does not matter.
        let _ = std::fs::write(
            run.unfinished(),
            "This run is being trained, or its last session was ended before it could save.\n",
        );
        Ok(Self {
            options,
            compute,
            emit,
            run,
            dataset,
            loader,
            prefetched: None,
            log,
            networks,
            state,
            pending: PendingSteps::default(),
            last,
            problems: 0,
            throughput: Throughput::default(),
            last_warning: None,
            publish_generator: false,
            operands,
            snapshot_interval: 0,
            health: HealthMonitor::default(),
            healthy: None,
            unlogged: small,
            new_folder,
            _lock: lock,
        })
    }
}

/// The run that `options` resumes; `None` if that run has no step yet and other settings, so that a new run can
/// replace it.
fn resumable(options: &TrainerOptions) -> Result<Option<Run>, TrainError> {
    let run = Run::resume(&options.folder, &options.config);
    let differs = match &run {
        Err(RunError::Differs { .. }) => true,
        Err(_) => false,
        Ok(run) => !run.config().data.is_same_place(&options.config.data),
    };
    if differs && has_no_steps(&options.folder) { Ok(None) } else { Ok(Some(run?)) }
}

/// An error of the data source; for a resumed run it says how to name the new place of moved pictures.
fn data_error(error: DataError, resumed: bool) -> TrainError {
    match error {
        DataError::NotFound { path } if resumed => TrainError::Moved { path },
        error => error.into(),
    }
}

/// Initial networks and state of a new run.
fn untrained(config: &RunConfig, compute: &Compute) -> Checkpoint {
    Checkpoint {
        networks: Networks::new(&config.model, &config.train, config.seed, &compute.device),
        state: TrainingState {
            step: 0,
            images: 0,
            seconds: 0.0,
            place: DataPosition::default(),
            generator_rate: config.train.generator_rate,
            discriminator_rate: config.train.discriminator_rate,
            epoch_end: None,
            noise: None,
            mirror: None,
            precision: None,
            loss_scale: None,
        },
    }
}

/// Records in `state` those requested settings that differ from the run's initial ones; others keep the values that
/// they were changed to in earlier sessions.
fn apply_requested(requested: &TrainConfig, initial: &TrainConfig, state: &mut TrainingState) {
    if requested.generator_rate != initial.generator_rate {
        state.generator_rate = requested.generator_rate;
    }
    if requested.discriminator_rate != initial.discriminator_rate {
        state.discriminator_rate = requested.discriminator_rate;
    }
    let noise = |train: &TrainConfig| (train.noise, train.noise_steps);
    let in_force = state.noise.map_or(noise(initial), |(deviation, steps, _)| (deviation, steps));
    if noise(requested) != noise(initial) && noise(requested) != in_force {
        state.noise = Some((requested.noise, requested.noise_steps, state.step));
    }
    if requested.mirror != initial.mirror {
        state.mirror = Some(requested.mirror);
    }
    if requested.precision != initial.precision {
        state.precision = Some(requested.precision);
    }
}
