//! Checkpoints: both networks, both optimizers, the step, and the place in the data.
//!
//! [`Checkpoint::write`] writes a hidden folder and renames it, so that a folder with a checkpoint's name is always
//! complete.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use fs_err as fs;

use super::config::TrainConfig;
use super::loss_scale::LossScale;
use super::messages::LearningRates;
use super::step::Networks;
use crate::data::DataPosition;
use crate::device::Precision;
use crate::model::{self, AdamOptimizer, Model, ModelError, Moments, Provenance, TensorFile, TensorFileError};

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The model cannot be read or written.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A tensor file cannot be read or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// `state.json` is damaged.
    #[error("cannot read {path}: {cause}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no checkpoint of the step to roll back to.
    #[error("{path} has no checkpoint of step {step}; it has {steps}")]
    NoSuchStep {
        /// The folder of checkpoints.
        path: PathBuf,
        /// The requested step.
        step: u64,
        /// The steps of all checkpoints, as a list.
        steps: String,
    },
    /// The model has no discriminator, so training cannot continue with it.
    #[error("{path} holds only a generator, and training needs both networks; resume from a checkpoint of a run")]
    NoDiscriminator {
        /// The folder.
        path: PathBuf,
    },
}

/// The state of a training besides networks and optimizers; `state.json`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrainingState {
    /// Steps trained.
    pub step: u64,
    /// Real pictures shown.
    pub images: u64,
    /// Seconds of training.
    pub seconds: f64,
    /// Where the next batch starts.
    pub place: DataPosition,
    /// Learning rate of the generator in force, which may have been changed since the run began.
    pub generator_rate: f64,
    /// Learning rate of the discriminator in force.
    pub discriminator_rate: f64,
    /// The epoch that ended with this step, if the run keeps the ends of epochs. Such a checkpoint is never removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_end: Option<u64>,
    /// Instance noise that was changed in the middle of the run: standard deviation, steps over which it fades, and
    /// the step of the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noise: Option<(f32, u64, u64)>,
    /// Mirroring, if it was changed in the middle of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<bool>,
    /// Precision, if it was changed in the middle of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Loss scale of a training with half floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
}

/// The end of an epoch with its own checkpoint and sample grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct EpochEnd {
    /// The epoch, counted from 1.
    pub epoch: u64,
    /// The first step after which all of its pictures were shown.
    pub step: u64,
}

/// The ends of epochs in a run's folder `checkpoints`, the earliest first.
pub fn epoch_ends(checkpoints: &Path) -> Vec<EpochEnd> {
    let end =
        |(step, folder): (u64, PathBuf)| Some(EpochEnd { epoch: TrainingState::read(&folder).ok()?.epoch_end?, step });
    model::checkpoints(checkpoints).into_iter().filter_map(end).collect()
}

impl TrainingState {
    /// Reads `state.json` in a checkpoint's folder.
    pub(super) fn read(folder: &Path) -> Result<Self, CheckpointError> {
        let path = folder.join("state.json");
        let text = fs::read_to_string(&path)?;
        serde_json::from_str(&text).map_err(|error| CheckpointError::State { path, cause: error.to_string() })
    }

    /// Learning rates in force.
    pub fn rates(&self) -> LearningRates {
        LearningRates { generator: self.generator_rate, discriminator: self.discriminator_rate }
    }
}

/// Everything a run needs to continue bit for bit.
pub struct Checkpoint {
    /// Both networks and their optimizers.
    pub networks: Networks,
    /// The rest.
    pub state: TrainingState,
}

fn folder_name(step: u64) -> String {
    format!("step-{step:08}")
}

impl Checkpoint {
    /// Writes the checkpoint into `checkpoints` and returns its folder. `settings` is the text of the run's
    /// `run.toml`, which can be restored from this copy.
    ///
    /// # Errors
    /// [`CheckpointError`] with the file's path. Existing checkpoints are never changed.
    pub fn write(
        &self,
        checkpoints: &Path,
        provenance: Provenance,
        settings: &str,
    ) -> Result<PathBuf, CheckpointError> {
        fs::create_dir_all(checkpoints)?;
        let folder = checkpoints.join(folder_name(self.state.step));
        if folder.exists() {
            return Ok(folder);
        }
        let unfinished = checkpoints.join(format!(".writing-{}", folder_name(self.state.step)));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished)?;
        }
        fs::create_dir(&unfinished)?;
        let model = Model {
            generator: self.networks.generator.clone(),
            discriminator: Some(self.networks.discriminator.clone()),
            provenance,
        };
        model.to_file()?.write(&unfinished.join("model.safetensors"), false)?;
        let mut optimizers = TensorFile::default();
        let mut update_counts = UpdateCounts::new();
        store_moments("generator", &self.networks.optimiser_g, &mut optimizers, &mut update_counts)?;
        store_moments("discriminator", &self.networks.optimiser_d, &mut optimizers, &mut update_counts)?;
        optimizers.note = Some(serde_json::to_string(&update_counts).expect("a map of numbers is always JSON"));
        optimizers.write(&unfinished.join("optimisers.safetensors"), false)?;
        write_synced(&unfinished.join("run.toml"), settings.as_bytes())?;
        let state = serde_json::to_vec_pretty(&self.state).expect("plain structs are always JSON");
        write_synced(&unfinished.join("state.json"), &state)?;
        sync_folder(&unfinished)?;
        fs::rename(&unfinished, &folder)?;
        sync_folder(checkpoints)?;
        Ok(folder)
    }

    /// Reads the checkpoint in `folder`.
    ///
    /// # Errors
    /// [`CheckpointError`] with the file's path.
    pub fn read(folder: &Path, train: &TrainConfig, device: &Device) -> Result<Self, CheckpointError> {
        let state = TrainingState::read(folder)?;
        let model = Model::open(folder, device)?;
        let Some(discriminator) = model.discriminator else {
            return Err(CheckpointError::NoDiscriminator { path: folder.to_owned() });
        };
        let mut networks = Networks::from_networks(model.generator, discriminator, train);
        let path = folder.join("optimisers.safetensors");
        let mut file = TensorFile::read(&path)?;
        let update_counts: UpdateCounts = serde_json::from_str(file.note.as_deref().unwrap_or_default())
            .map_err(|error| TensorFileError::Damaged { path: path.clone(), reason: error.to_string() })?;
        let lengths = networks.generator.parameters().map(|p| p.len()).collect();
        load_moments("generator", lengths, &mut networks.optimiser_g, (&mut file, &update_counts), &path, device)?;
        let lengths = networks.discriminator.parameters().map(|p| p.len()).collect();
        load_moments("discriminator", lengths, &mut networks.optimiser_d, (&mut file, &update_counts), &path, device)?;
        Ok(Self { networks, state })
    }
}

/// The file in a checkpoint from before an alarm; it contains the alarm.
const ALARM_MARK: &str = "before-alarm.txt";

/// Marks the checkpoint in `folder` as one from before an alarm, so that it is never removed.
pub(super) fn mark(folder: &Path, alarm: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().create(true).append(true).open(folder.join(ALARM_MARK))?;
    writeln!(file, "{alarm}")
}

/// The newest checkpoint from before `step`: its step and folder.
pub(super) fn newest_before(checkpoints: &Path, step: u64) -> Option<(u64, PathBuf)> {
    model::checkpoints(checkpoints).into_iter().rfind(|(saved, _)| *saved < step)
}

/// Removes old checkpoints, and what an interrupted writer left behind.
///
/// It keeps the newest `keep_last`, those at multiples of `keep_every` steps, ends of epochs, those from before an
/// alarm, and for each step in
/// `suspected`, at which a failure may have begun, the newest one from before it.
///
/// # Errors
/// Errors of the file system, with the path.
pub fn remove_old(checkpoints: &Path, keep_last: usize, keep_every: u64, suspected: &[u64]) -> io::Result<()> {
    let all = model::checkpoints(checkpoints);
    let old = all.len().saturating_sub(keep_last.max(1));
    let healthy: Vec<u64> =
        suspected.iter().filter_map(|&step| newest_before(checkpoints, step)).map(|(step, _)| step).collect();
    for (step, folder) in &all[..old] {
        let milestone = keep_every > 0 && step.is_multiple_of(keep_every);
        let before_failure = healthy.contains(step) || folder.join(ALARM_MARK).exists();
        if !milestone && !before_failure && TrainingState::read(folder).map_or(true, |state| state.epoch_end.is_none())
        {
            // Renamed first, so that an interruption leaves no half checkpoint under a complete one's name.
            let doomed = checkpoints.join(format!(".removing-{}", folder_name(*step)));
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

/// Renames a damaged checkpoint to `damaged-step-...`, so that it is no longer listed. Returns the new folder.
///
/// # Errors
/// Errors of the file system, with the path.
pub fn set_aside(checkpoint: &Path) -> io::Result<PathBuf> {
    rename(checkpoint, "damaged")
}

/// The folder of the checkpoint of `step`.
///
/// # Errors
/// [`CheckpointError::NoSuchStep`] with the steps of all checkpoints.
pub(super) fn find(checkpoints: &Path, step: u64) -> Result<PathBuf, CheckpointError> {
    let all = model::checkpoints(checkpoints);
    if let Some((_, folder)) = all.iter().find(|(saved, _)| *saved == step) {
        return Ok(folder.clone());
    }
    let steps: Vec<String> = all.iter().map(|(saved, _)| saved.to_string()).collect();
    let steps = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
    Err(CheckpointError::NoSuchStep { path: checkpoints.to_owned(), step, steps })
}

/// Makes the checkpoint of `step` the newest one by renaming later ones to `abandoned-step-...`.
///
/// # Errors
/// [`CheckpointError::NoSuchStep`] if it does not exist; errors of the file system.
pub(super) fn roll_back(checkpoints: &Path, step: u64) -> Result<(), CheckpointError> {
    find(checkpoints, step)?;
    for (_, later) in model::checkpoints(checkpoints).iter().filter(|(saved, _)| *saved > step) {
        rename(later, "abandoned")?;
    }
    Ok(())
}

fn rename(checkpoint: &Path, prefix: &str) -> io::Result<PathBuf> {
    let name = checkpoint.file_name().unwrap_or_default().to_string_lossy();
    let renamed = checkpoint.with_file_name(format!("{prefix}-{name}"));
    if renamed.exists() {
        fs::remove_dir_all(&renamed)?;
    }
    fs::rename(checkpoint, &renamed)?;
    Ok(renamed)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(unix)]
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Number of updates of each parameter that was ever updated, by names such as `generator.0`.
type UpdateCounts = BTreeMap<String, u32>;

fn store_moments(
    network: &str,
    optimiser: &AdamOptimizer,
    file: &mut TensorFile,
    update_counts: &mut UpdateCounts,
) -> Result<(), TensorFileError> {
    for (i, moments) in optimiser.moments.iter().enumerate() {
        let Some(Moments { first, second, time }) = moments else { continue };
        for (which, tensor) in [("first", first), ("second", second)] {
            file.put(format!("{network}.{i}.{which}"), &tensor.dims(), tensor)?;
        }
        update_counts.insert(format!("{network}.{i}"), *time);
    }
    Ok(())
}

/// Reads what [`store_moments`] wrote for one network; `lengths` are the lengths of its parameters.
fn load_moments(
    network: &str,
    lengths: Vec<usize>,
    optimiser: &mut AdamOptimizer,
    (file, update_counts): (&mut TensorFile, &UpdateCounts),
    path: &Path,
    device: &Device,
) -> Result<(), TensorFileError> {
    for (i, (moments, length)) in optimiser.moments.iter_mut().zip(lengths).enumerate() {
        // A parameter that was never updated has no moments.
        let Some(&time) = update_counts.get(&format!("{network}.{i}")) else { continue };
        let mut take = |which| -> Result<Tensor<1>, TensorFileError> {
            let values = file.take(&format!("{network}.{i}.{which}"), &[length], path)?;
            Ok(Tensor::from_data(TensorData::from(values.as_slice()), device))
        };
        let (first, second) = (take("first")?, take("second")?);
        *moments = Some(Moments { first, second, time });
    }
    Ok(())
}
