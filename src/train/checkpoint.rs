//! A checkpoint: both networks, both optimisers, the step, and the place in the data. It is written as a folder beside
//! its place and renamed, so that a folder with a checkpoint's name is always whole.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::config::TrainConfig;
use super::messages::LearningRates;
use super::scale::LossScale;
use super::step::Networks;
use crate::data::Place;
use crate::device::Precision;
use crate::model::{self, Model, ModelError, Moments, Optimiser, Provenance, TensorFile, TensorFileError};

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// The model cannot be read.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A tensor file is at fault.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// `state.json` cannot be read.
    #[error("{path} cannot be read: {cause}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// There is no checkpoint of a step to go back to.
    #[error("{path} has no checkpoint of step {step} to go back to; it has {steps}")]
    NoSuchStep {
        /// The folder of checkpoints.
        path: PathBuf,
        /// The step.
        step: u64,
        /// Those that there are.
        steps: String,
    },
    /// The model has no discriminator to go on training with.
    #[error("{path} holds only a generator; training goes on from checkpoints alone")]
    NoDiscriminator {
        /// The folder.
        path: PathBuf,
    },
}

/// Where training stood.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainingState {
    /// Steps taken.
    pub step: u64,
    /// Real pictures shown.
    pub images: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Where the next batch starts.
    pub place: Place,
    /// Learning rates in force, which may have been changed by hand.
    pub generator_rate: f64,
    /// As above, for the discriminator.
    pub discriminator_rate: f64,
    /// The epoch that ended with this step, where the run keeps those: such a checkpoint is never removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_end: Option<u64>,
    /// Noise that was changed in the middle of the run: its deviation, the steps over which it fades, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<(f32, u64, u64)>,
    /// Mirroring that was changed in the middle of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<bool>,
    /// Precision that was changed in the middle of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// The scaled loss of a training that multiplies half floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

/// The end of an epoch whose checkpoint and sample grid are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct EpochEnd {
    /// The epoch, from 1 on.
    pub epoch: u64,
    /// The first step after which all of its pictures were shown.
    pub step: u64,
}

/// The ends of epochs that are kept in a run's folder `checkpoints`, the earliest first.
pub fn epoch_ends(checkpoints: &Path) -> Vec<EpochEnd> {
    let end =
        |(step, folder): (u64, PathBuf)| Some(EpochEnd { epoch: TrainingState::read(&folder).ok()?.epoch_end?, step });
    model::checkpoints(checkpoints).into_iter().filter_map(end).collect()
}

impl TrainingState {
    /// Reads the state in a checkpoint's `folder`.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join("state.json");
        let text = fs::read_to_string(&path).map_err(|cause| CheckpointError::Io { path: path.clone(), cause })?;
        serde_json::from_str(&text).map_err(|cause| CheckpointError::State { path, cause: cause.to_string() })
    }

    /// Learning rates in force.
    pub fn rates(&self) -> LearningRates {
        LearningRates { generator: self.generator_rate, discriminator: self.discriminator_rate }
    }
}

/// Everything a run needs to go on bit for bit.
pub struct Checkpoint {
    /// Both networks and their optimisers.
    pub networks: Networks,
    /// Where training stood.
    pub state: TrainingState,
}

fn name(step: u64) -> String {
    format!("step-{step:08}")
}

impl Checkpoint {
    /// Writes the checkpoint into `checkpoints` and returns its folder. `settings` is the text of the run's `run.toml`, which is
    /// rebuilt from it where that is lost.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the file; checkpoints that were there before are untouched.
    pub fn write(
        &self,
        checkpoints: &Path,
        provenance: Provenance,
        settings: &str,
    ) -> Result<PathBuf, CheckpointError> {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |cause| CheckpointError::Io { path, cause }
        };
        fs::create_dir_all(checkpoints).map_err(io(checkpoints))?;
        let place = checkpoints.join(name(self.state.step));
        if place.exists() {
            return Ok(place);
        }
        let beside = checkpoints.join(format!(".writing-{}", name(self.state.step)));
        if beside.exists() {
            fs::remove_dir_all(&beside).map_err(io(&beside))?;
        }
        fs::create_dir(&beside).map_err(io(&beside))?;
        let model = Model {
            generator: self.networks.generator.clone(),
            discriminator: Some(self.networks.discriminator.clone()),
            provenance,
        };
        model.to_file()?.write(&beside.join("model.safetensors"), false)?;
        let mut optimisers = TensorFile::default();
        let mut times = Times::new();
        store("generator", &self.networks.optimiser_g, &mut optimisers, &mut times)?;
        store("discriminator", &self.networks.optimiser_d, &mut optimisers, &mut times)?;
        optimisers.note = Some(serde_json::to_string(&times).expect("a map of numbers is always JSON"));
        optimisers.write(&beside.join("optimisers.safetensors"), false)?;
        let copy = beside.join("run.toml");
        fs::write(&copy, settings).and_then(|()| fs::File::open(&copy)?.sync_all()).map_err(io(&copy))?;
        let state = beside.join("state.json");
        let json = serde_json::to_vec_pretty(&self.state).expect("plain structs are always JSON");
        fs::write(&state, json).and_then(|()| fs::File::open(&state)?.sync_all()).map_err(io(&state))?;
        sync_folder(&beside).map_err(io(&beside))?;
        fs::rename(&beside, &place).map_err(io(&place))?;
        sync_folder(checkpoints).map_err(io(checkpoints))?;
        Ok(place)
    }

    /// Reads the checkpoint in `folder`.
    ///
    /// # Errors
    /// [`CheckpointError`] naming the file.
    pub fn read(folder: &Path, train: &TrainConfig, device: &Device) -> Result<Self, CheckpointError> {
        let state = TrainingState::read(folder)?;
        let model = Model::open(folder, device)?;
        let Some(discriminator) = model.discriminator else {
            return Err(CheckpointError::NoDiscriminator { path: folder.to_owned() });
        };
        let mut networks = Networks::from_networks(model.generator, discriminator, train);
        let path = folder.join("optimisers.safetensors");
        let mut file = TensorFile::read(&path)?;
        let times: Times = serde_json::from_str(file.note.as_deref().unwrap_or_default())
            .map_err(|cause| TensorFileError::Damaged { path: path.clone(), cause: cause.to_string() })?;
        let lengths = networks.generator.learnt().map(|p| p.len()).collect();
        load("generator", lengths, &mut networks.optimiser_g, (&mut file, &times), &path, device)?;
        let lengths = networks.discriminator.learnt().map(|p| p.len()).collect();
        load("discriminator", lengths, &mut networks.optimiser_d, (&mut file, &times), &path, device)?;
        Ok(Self { networks, state })
    }
}

/// The file that marks a checkpoint from before an alarm; it says which.
const MARK: &str = "before-alarm.txt";

/// Marks the checkpoint in `folder` as one from before an alarm, so that it is never removed.
///
/// # Errors
/// What the file system says.
pub(super) fn mark(folder: &Path, alarm: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut file = fs::OpenOptions::new().create(true).append(true).open(folder.join(MARK))?;
    writeln!(file, "{alarm}")
}

/// The newest checkpoint from before `step`.
pub(super) fn before(checkpoints: &Path, step: u64) -> Option<(u64, PathBuf)> {
    model::checkpoints(checkpoints).into_iter().rfind(|(at, _)| *at < step)
}

/// Removes what is neither among the newest `keep_last` nor at a multiple of `keep_every` steps nor the end of an epoch nor from
/// before an alarm, and what a killed writer left behind. For each step of `suspected`, with which a trouble
/// may have begun, the newest one from before it stays.
///
/// # Errors
/// What the file system says.
pub fn tidy(checkpoints: &Path, keep_last: usize, keep_every: u64, suspected: &[u64]) -> std::io::Result<()> {
    let found = model::checkpoints(checkpoints);
    let old = found.len().saturating_sub(keep_last.max(1));
    let healthy: Vec<u64> =
        suspected.iter().filter_map(|&step| before(checkpoints, step)).map(|(step, _)| step).collect();
    for (step, folder) in &found[..old] {
        let milestone = keep_every > 0 && step.is_multiple_of(keep_every);
        let marked = healthy.contains(step) || folder.join(MARK).exists();
        if !milestone && !marked && TrainingState::read(folder).map_or(true, |state| state.epoch_end.is_none()) {
            // Renamed first, so that a kill in the middle of removing leaves no half checkpoint under a whole one's name.
            let doomed = checkpoints.join(format!(".removing-{}", name(*step)));
            fs::rename(folder, &doomed)?;
            fs::remove_dir_all(&doomed)?;
        }
    }
    for entry in fs::read_dir(checkpoints)?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".writing-") || name.starts_with(".removing-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Takes a damaged checkpoint out of the list, under a name of its own beside the others, which is returned.
///
/// # Errors
/// What the file system says.
pub fn set_aside(checkpoint: &Path) -> std::io::Result<PathBuf> {
    rename(checkpoint, "damaged")
}

/// The checkpoint of `step`.
///
/// # Errors
/// [`CheckpointError::NoSuchStep`] with the steps that there are.
pub(super) fn at(checkpoints: &Path, step: u64) -> Result<PathBuf, CheckpointError> {
    let found = model::checkpoints(checkpoints);
    if let Some((_, place)) = found.iter().find(|(at, _)| *at == step) {
        return Ok(place.clone());
    }
    let steps: Vec<String> = found.iter().map(|(at, _)| at.to_string()).collect();
    let steps = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
    Err(CheckpointError::NoSuchStep { path: checkpoints.to_owned(), step, steps })
}

/// Makes the checkpoint of `step` the newest one: those after it are taken out of the list, as `abandoned-step-...`.
///
/// # Errors
/// [`CheckpointError::NoSuchStep`] where it is not there; what the file system says.
pub(super) fn go_back(checkpoints: &Path, step: u64) -> Result<(), CheckpointError> {
    at(checkpoints, step)?;
    for (_, later) in model::checkpoints(checkpoints).iter().filter(|(at, _)| *at > step) {
        rename(later, "abandoned").map_err(|cause| CheckpointError::Io { path: later.clone(), cause })?;
    }
    Ok(())
}

fn rename(checkpoint: &Path, why: &str) -> std::io::Result<PathBuf> {
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let aside = checkpoint.with_file_name(format!("{why}-{name}"));
    if aside.exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(checkpoint, &aside)?;
    Ok(aside)
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Updates so far of every parameter that was ever updated: `generator.0` to its count.
type Times = BTreeMap<String, u32>;

fn store(
    network: &str,
    optimiser: &Optimiser,
    file: &mut TensorFile,
    times: &mut Times,
) -> Result<(), TensorFileError> {
    for (i, moments) in optimiser.moments.iter().enumerate() {
        let Some(Moments { first, second, time }) = moments else { continue };
        for (which, tensor) in [("first", first), ("second", second)] {
            file.put(format!("{network}.{i}.{which}"), &tensor.dims(), tensor)?;
        }
        times.insert(format!("{network}.{i}"), *time);
    }
    Ok(())
}

/// Reads what [`store`] wrote for one network; `lengths` are its parameters'.
fn load(
    network: &str,
    lengths: Vec<usize>,
    optimiser: &mut Optimiser,
    (file, times): (&mut TensorFile, &Times),
    path: &Path,
    device: &Device,
) -> Result<(), TensorFileError> {
    for (i, (moments, length)) in optimiser.moments.iter_mut().zip(lengths).enumerate() {
        // A parameter that was never updated has no state.
        let Some(&time) = times.get(&format!("{network}.{i}")) else { continue };
        let mut take = |which| -> Result<Tensor<1>, TensorFileError> {
            let values = file.take(&format!("{network}.{i}.{which}"), &[length], path)?;
            Ok(Tensor::from_data(TensorData::from(values.as_slice()), device))
        };
        let (first, second) = (take("first")?, take("second")?);
        *moments = Some(Moments { first, second, time });
    }
    Ok(())
}
