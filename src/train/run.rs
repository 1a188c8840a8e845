//! A run folder: `run.toml`, `metrics.csv`, `samples/`, `checkpoints/`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::config::RunConfig;
use crate::data::Report;
use crate::{files, model};
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
    /// There are checkpoints, but none that can be read.
    #[error("none of this run's checkpoints can be read; the newest, {path}: {cause}")]
    Damaged {
        /// The newest one's folder.
        path: PathBuf,
        /// What is wrong with it.
        cause: CheckpointError,
    },
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

    /// Adds what is done to the pictures to `run.toml`, behind the settings, unless it is there. It is for people and takes no part
    /// in a resumption.
    ///
    /// # Errors
    /// [`RunError::Io`] when it cannot be written.
    pub fn write_report(&self, report: &Report) -> Result<(), RunError> {
        #[derive(serde::Serialize)]
        struct Section {
            report: Report,
        }
        let path = self.folder.join("run.toml");
        let write = || -> std::io::Result<()> {
            let section = toml::to_string(&Section { report: report.shortened() }).map_err(std::io::Error::other)?;
            let text = fs::read_to_string(&path)?;
            // What the program draws has no end, and nothing is done to it.
            if report.pictures.is_none() || text.lines().any(|line| line == "[report]") {
                return Ok(());
            }
            let text = format!("{text}\n{section}");
            files::write(&path, |file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()))
        };
        write().map_err(|cause| RunError::Io { path: path.clone(), cause })
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

    /// `health.log`: a line for each time that the training failed, or no longer did.
    pub fn health(&self) -> PathBuf {
        self.folder.join("health.log")
    }

    /// The file that is there while the run is being trained, and stays where it is ended without notice.
    pub fn unfinished(&self) -> PathBuf {
        self.folder.join("unfinished.txt")
    }

    /// The folder of checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.folder.join("checkpoints")
    }

    /// The picture of the preview grid after `step`.
    pub fn sample(&self, step: u64) -> PathBuf {
        self.folder.join("samples").join(format!("step-{step:08}.png"))
    }

    /// The newest checkpoint that can be read, or nothing if none was ever finished. Damaged ones that are newer are
    /// renamed out of the way of the run, which comes by their steps again; `damaged` is told of each.
    ///
    /// # Errors
    /// [`RunError::Damaged`] when there are some but none can be read; [`RunError::Io`] when one cannot be renamed.
    pub fn newest(&self, device: &Device, damaged: impl Fn(String)) -> Result<Option<Checkpoint>, RunError> {
        let mut broken: Vec<(PathBuf, CheckpointError)> = Vec::new();
        for (_, folder) in model::checkpoints(&self.checkpoints()).into_iter().rev() {
            match Checkpoint::read(&folder, &self.config.train, device) {
                Ok(checkpoint) => {
                    for (path, cause) in broken {
                        let aside = checkpoint::set_aside(&path).map_err(|cause| RunError::Io { path, cause })?;
                        damaged(format!("a damaged checkpoint is now {}: {cause}", aside.display()));
                    }
                    return Ok(Some(checkpoint));
                }
                Err(cause) => broken.push((folder, cause)),
            }
        }
        match broken.into_iter().next() {
            Some((path, cause)) => Err(RunError::Damaged { path, cause }),
            None => Ok(None),
        }
    }
}
