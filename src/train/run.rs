//! A run folder: `run.toml`, `pictures.txt`, `metrics.csv`, `health.log`, `samples/`, `checkpoints/`.
//!
//! [`Run::create`] starts one, [`Run::open`] and [`Run::resume`] open an existing one.

use std::fs::TryLockError;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use fs_err as fs;

use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::config::RunConfig;
use super::fingerprint::{DatasetDifference, Fingerprint, PictureNames};
use super::new_folder::{NewRunFolder, has_steps};
use super::recovery::{RecoveredSettings, recover_settings};
use crate::data::{DatasetReport, Source};
use crate::{files, model};

/// Why a run folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file system failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// `run.toml` cannot be read, and there is no checkpoint to recover it from.
    #[error("cannot read {path}: {cause}; there is no checkpoint to restore it from, so start a new run")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A new run was started in the folder of another one.
    #[error("{path} already holds a run; add --resume to continue it, or choose another --run folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// Another process trains this run.
    #[error("another zscape is training {path}; wait for it to end, or choose another --run folder")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// A run was resumed with other settings.
    #[error("{path} was started with other settings: {}. Use the run's own settings, or start a new run", differences.join("; "))]
    Differs {
        /// The folder.
        path: PathBuf,
        /// The differences, as `field: the run's value, not the requested one`.
        differences: Vec<String>,
    },
    /// A run was resumed with a data set in another place that has other pictures.
    #[error(
        "{data} does not hold the pictures that {path} was trained on: {difference}. Name the new place of those pictures, or start a new \
         run"
    )]
    OtherPictures {
        /// The folder.
        path: PathBuf,
        /// The data set that was named.
        data: String,
        /// How it differs.
        difference: DatasetDifference,
    },
    /// No checkpoint can be read.
    #[error("none of this run's checkpoints can be read; the newest, {path}: {cause}")]
    Damaged {
        /// The folder of the newest one.
        path: PathBuf,
        /// What is wrong with it.
        cause: CheckpointError,
    },
}

/// The part of `run.toml` besides the settings.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct DataSection {
    /// The data set as it was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pictures: Option<Fingerprint>,
}

/// An open run folder.
#[derive(Debug, Clone)]
pub struct Run {
    folder: PathBuf,
    config: RunConfig,
    fingerprint: Option<Fingerprint>,
    /// Where recovered settings come from.
    recovered: Option<String>,
    /// Whether `run.toml` differs from the settings here.
    unsaved: bool,
}

/// Formats `run.toml`.
fn format(config: &RunConfig, fingerprint: Option<&Fingerprint>) -> String {
    let data = DataSection { pictures: fingerprint.cloned() };
    let [config, data] =
        [toml::to_string(config), toml::to_string(&data)].map(|text| text.expect("plain structs are always TOML"));
    format!("{config}\n{data}")
}

/// Parses the settings and the fingerprint of the data set in the text of a `run.toml`.
pub(super) fn parse(text: &str) -> Result<(RunConfig, Option<Fingerprint>), toml::de::Error> {
    Ok((toml::from_str(text)?, toml::from_str::<DataSection>(text)?.pictures))
}

/// Writes a file and syncs it to disk.
fn write_synced(path: &Path, text: &str) -> io::Result<()> {
    files::write(path, |file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
}

impl Run {
    /// Starts a run in a new folder, an empty one, or one with a run without steps, which is then removed. Dropping
    /// the returned [`NewRunFolder`] undoes that.
    ///
    /// # Errors
    /// [`RunError::Exists`] if the folder holds another run, [`RunError::Io`] if it cannot be written. The folder is
    /// then left as it was.
    pub(super) fn create(
        folder: &Path,
        config: RunConfig,
        names: Option<&PictureNames>,
    ) -> Result<(Self, NewRunFolder), RunError> {
        Self::ensure_vacant(folder)?;
        let new_folder = NewRunFolder::create(folder)?;
        let run = Self {
            folder: folder.to_owned(),
            config,
            fingerprint: names.map(|names| names.fingerprint.clone()),
            recovered: None,
            unsaved: true,
        };
        fs::create_dir_all(folder.join("samples"))?;
        fs::create_dir_all(run.checkpoints())?;
        Ok((run.save(names)?, new_folder))
    }

    /// Checks that a new run may start in `folder`: it holds no run, or one without steps.
    ///
    /// # Errors
    /// [`RunError::Exists`] if it holds another run, [`RunError::Io`] if it is a file.
    pub(super) fn ensure_vacant(folder: &Path) -> Result<(), RunError> {
        if folder.exists() && !folder.is_dir() {
            let error = io::Error::new(io::ErrorKind::NotADirectory, "it is a file; --run names a folder");
            return Err(files::with_path(folder, error).into());
        }
        if has_steps(folder) { Err(RunError::Exists { path: folder.to_owned() }) } else { Ok(()) }
    }

    /// Opens an existing run. Settings that cannot be read are recovered from its newest checkpoint.
    ///
    /// # Errors
    /// [`RunError`] with the file's path.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join("run.toml");
        let error = match fs::read_to_string(&path) {
            Ok(text) => match parse(&text) {
                Ok((config, fingerprint)) => {
                    let folder = folder.to_owned();
                    return Ok(Self { folder, config, fingerprint, recovered: None, unsaved: false });
                }
                Err(_) if text.trim().is_empty() => RunError::Config { path, cause: "it is empty".to_owned() },
                Err(error) => RunError::Config { path, cause: error.message().to_owned() },
            },
            Err(error) => error.into(),
        };
        let Some(recovered) = recover_settings(&folder.join("checkpoints")) else { return Err(error) };
        let RecoveredSettings { config, fingerprint, origin } = recovered;
        let cause = match &error {
            RunError::Config { cause, .. } => cause.clone(),
            other => other.to_string(),
        };
        let recovered = Some(format!("cannot read run.toml ({cause}): {origin}"));
        Ok(Self { folder: folder.to_owned(), config, fingerprint, recovered, unsaved: true })
    }

    /// Opens an existing run and checks that its settings are `config`'s. The place of the pictures may differ, since
    /// `use_data` compares them, except for rendered pictures, whose place is their name.
    ///
    /// # Errors
    /// [`RunError::Differs`] with each field that differs.
    pub fn resume(folder: &Path, config: &RunConfig) -> Result<Self, RunError> {
        let run = Self::open(folder)?;
        let rendered = [&run.config, config].iter().any(|config| config.data.is_synthetic());
        let data = if rendered { config.data.clone() } else { run.config.data.clone() };
        let differences = run.config.differences(&RunConfig { data, ..config.clone() });
        if differences.is_empty() { Ok(run) } else { Err(RunError::Differs { path: folder.to_owned(), differences }) }
    }

    /// Continues the run with the pictures at `data`. Returns warnings.
    ///
    /// # Errors
    /// [`RunError::OtherPictures`] if that is another place than before with other pictures.
    pub(super) fn use_data(&mut self, data: &Source, names: Option<&PictureNames>) -> Result<Vec<String>, RunError> {
        let mut warnings: Vec<String> = self.recovered.take().into_iter().collect();
        let moved = !data.is_same_place(&self.config.data);
        let difference = match (names, &self.fingerprint) {
            (Some(now), Some(earlier)) => now.difference(earlier, &self.picture_list()),
            (Some(now), None) if moved => {
                warnings.push(format!(
                    "this run was started by an older version and has no list of its pictures' names, so it cannot be checked whether the \
                     {} pictures in {data} are the same",
                    now.fingerprint.count
                ));
                None
            }
            _ => None,
        };
        if let Some(difference) = difference {
            if moved && !difference.only_order() {
                let (path, data) = (self.folder.clone(), data.to_string());
                return Err(RunError::OtherPictures { path, data, difference });
            }
            warnings.push(format!(
                "the pictures in {data} have changed: {difference}. Training continues with the present ones, in another order than before"
            ));
        } else if moved {
            warnings.push(format!("the pictures have moved from {} to {data}", self.config.data));
        }
        let place = data.absolute();
        let fingerprint = names.map(|names| names.fingerprint.clone());
        self.unsaved |= place != self.config.data || fingerprint != self.fingerprint;
        (self.config.data, self.fingerprint) = (place, fingerprint);
        Ok(warnings)
    }

    /// Writes `run.toml` and the names of the pictures, if they changed.
    ///
    /// # Errors
    /// [`RunError::Io`] with the file's path.
    pub(super) fn save(mut self, names: Option<&PictureNames>) -> Result<Self, RunError> {
        if !std::mem::take(&mut self.unsaved) {
            return Ok(self);
        }
        if let Some(names) = names {
            names.write(&self.picture_list())?;
        }
        write_synced(&self.folder.join("run.toml"), &self.text())?;
        Ok(self)
    }

    /// Locks a run's folder until the returned file is dropped. Returns `None` if the folder does not exist yet, or
    /// its file system has no locks.
    ///
    /// # Errors
    /// [`RunError::Busy`] if another process trains the run.
    pub(super) fn lock(folder: &Path) -> Result<Option<std::fs::File>, RunError> {
        // Only Unix can open folders as files.
        let Ok(file) = std::fs::File::open(folder) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(RunError::Busy { path: folder.to_owned() }),
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// The text of `run.toml`, of which every checkpoint has a copy.
    pub(super) fn text(&self) -> String {
        format(&self.config, self.fingerprint.as_ref())
    }

    /// Appends the data set's report to `run.toml`, unless it has one. It is for people only; resuming ignores it.
    ///
    /// # Errors
    /// [`RunError::Io`] with the file's path.
    pub fn write_report(&self, report: &DatasetReport) -> Result<(), RunError> {
        #[derive(serde::Serialize)]
        struct ReportSection {
            report: DatasetReport,
        }
        let path = self.folder.join("run.toml");
        let section = toml::to_string(&ReportSection { report: report.shortened() }).map_err(io::Error::other)?;
        let text = fs::read_to_string(&path)?;
        // Rendered pictures are endless and used as they are, so there is nothing to report.
        if report.pictures.is_none() || text.lines().any(|line| line == "[report]") {
            return Ok(());
        }
        Ok(write_synced(&path, &format!("{text}\n{section}"))?)
    }

    /// The settings that the run was started with.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// The run folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `metrics.csv`.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.csv")
    }

    /// `pictures.txt`.
    fn picture_list(&self) -> PathBuf {
        self.folder.join("pictures.txt")
    }

    /// `health.log`: one line per training failure and recovery.
    pub fn health_log(&self) -> PathBuf {
        self.folder.join("health.log")
    }

    /// `unfinished.txt`, which exists while the run is trained and remains if the process is killed.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join("unfinished.txt")
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// The sample grid of `step`.
    pub fn sample_grid(&self, step: u64) -> PathBuf {
        self.folder.join("samples").join(format!("step-{step:08}.png"))
    }

    /// The newest readable checkpoint; `None` if the run has no checkpoint. Newer ones that are damaged are renamed,
    /// since the run will write those steps again; `warn` is called for each.
    ///
    /// # Errors
    /// [`RunError::Damaged`] if no checkpoint can be read; [`RunError::Io`] if a damaged one cannot be renamed.
    pub fn newest_checkpoint(&self, device: &Device, warn: impl Fn(String)) -> Result<Option<Checkpoint>, RunError> {
        let mut damaged: Vec<(PathBuf, CheckpointError)> = Vec::new();
        for (_, folder) in model::checkpoints(&self.checkpoints()).into_iter().rev() {
            match Checkpoint::read(&folder, &self.config.train, device) {
                Ok(checkpoint) => {
                    for (folder, cause) in damaged {
                        let renamed = checkpoint::set_aside(&folder)?;
                        warn(format!("a damaged checkpoint was renamed to {}: {cause}", renamed.display()));
                    }
                    return Ok(Some(checkpoint));
                }
                Err(cause) => damaged.push((folder, cause)),
            }
        }
        match damaged.into_iter().next() {
            Some((path, cause)) => Err(RunError::Damaged { path, cause }),
            None => Ok(None),
        }
    }
}
