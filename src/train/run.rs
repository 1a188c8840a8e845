//! A run folder: `run.toml`, `metrics.csv`, `samples/`, `checkpoints/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::config::RunConfig;
use crate::files;
use burn::tensor::Device;

/// Why a run folder could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// `run.toml` cannot be read.
    #[error("{path} cannot be read: {cause}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A new run was to start where another one is.
    #[error("{path} already holds a run; add --resume to go on with it, or choose another --run folder")]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// A resumed run was asked for with other settings.
    #[error("{path} was started with other settings: {}. Use the run's own, or start a new run", differences.join("; "))]
    Differs {
        /// The folder.
        path: PathBuf,
        /// `field: the run's, not the asked one`.
        differences: Vec<String>,
    },
    /// The checkpoint is at fault.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

/// An opened run folder.
#[derive(Debug, Clone)]
pub struct Run {
    folder: PathBuf,
    config: RunConfig,
}

impl Run {
    /// Starts a run in an empty or new folder.
    ///
    /// # Errors
    /// [`RunError::Exists`] when another run is there, [`RunError::Io`] when it cannot be written.
    pub fn create(folder: &Path, config: RunConfig) -> Result<Self, RunError> {
        let path = folder.join("run.toml");
        if path.exists() {
            return Err(RunError::Exists { path: folder.to_owned() });
        }
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(folder.join("samples"))?;
            fs::create_dir_all(folder.join("checkpoints"))?;
            let text = toml::to_string(&config).map_err(std::io::Error::other)?;
            files::write(&path, |file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        };
        write().map_err(|cause| RunError::Io { path: path.clone(), cause })?;
        Ok(Self { folder: folder.to_owned(), config })
    }

    /// Opens a run that was started before.
    ///
    /// # Errors
    /// [`RunError`] naming the file.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join("run.toml");
        let text = fs::read_to_string(&path).map_err(|cause| RunError::Io { path: path.clone(), cause })?;
        let config =
            toml::from_str(&text).map_err(|cause| RunError::Config { path, cause: cause.message().to_owned() })?;
        Ok(Self { folder: folder.to_owned(), config })
    }

    /// Opens a run only if its settings are `config`'s.
    ///
    /// # Errors
    /// [`RunError::Differs`] naming each field that differs.
    pub fn resume(folder: &Path, config: &RunConfig) -> Result<Self, RunError> {
        let run = Self::open(folder)?;
        let differences = run.config.differences(config);
        if differences.is_empty() { Ok(run) } else { Err(RunError::Differs { path: folder.to_owned(), differences }) }
    }

    /// The settings it was started with.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `metrics.csv`.
    pub fn metrics(&self) -> PathBuf {
        self.folder.join("metrics.csv")
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// The picture of the preview grid after `step`.
    pub fn sample(&self, step: u64) -> PathBuf {
        self.folder.join("samples").join(format!("step-{step:08}.png"))
    }

    /// The newest whole checkpoint, or nothing if none was ever finished.
    ///
    /// # Errors
    /// [`RunError::Checkpoint`] when it is there but cannot be read.
    pub fn newest(&self, device: &Device) -> Result<Option<Checkpoint>, RunError> {
        match checkpoint::list(&self.checkpoints()).last() {
            Some((_, folder)) => Ok(Some(Checkpoint::read(folder, &self.config.train, device)?)),
            None => Ok(None),
        }
    }
}
