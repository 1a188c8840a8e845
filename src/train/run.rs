//! A run folder: `run.toml`, `pictures.txt`, `metrics.csv`, `samples/`, `checkpoints/`.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Checkpoint, CheckpointError};
use super::config::RunConfig;
use super::pictures::{Difference, Fingerprint, Pictures};
use super::{making, rebuild};
use crate::data::{Report, absolute, same_place};
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
    /// `run.toml` cannot be read, and no checkpoint says what was in it.
    #[error("{path} cannot be read: {cause}; there is no checkpoint to rebuild it from, so start a new run")]
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
    /// Another program trains it now.
    #[error("{path} is being trained by another zscape at this moment; wait for it, or choose another --run folder")]
    Busy {
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
    /// A resumed run was asked for with the pictures of another place, and they are others.
    #[error(
        "{data} does not hold the pictures that {path} was trained on: {difference}. Name the place that those are in now, or \
         start a new run"
    )]
    OtherPictures {
        /// The folder.
        path: PathBuf,
        /// The place that was named.
        data: String,
        /// What is there instead.
        difference: Difference,
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

/// What `run.toml` holds besides the settings.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct Beside {
    /// What the pictures were called when they were last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pictures: Option<Fingerprint>,
}

/// An opened run folder.
#[derive(Debug, Clone)]
pub struct Run {
    folder: PathBuf,
    config: RunConfig,
    pictures: Option<Fingerprint>,
    rebuilt: Option<String>,
    /// Whether `run.toml` lacks what is known here.
    unwritten: bool,
}

/// The text of `run.toml`.
fn written(config: &RunConfig, pictures: Option<&Fingerprint>) -> String {
    let beside = Beside { pictures: pictures.cloned() };
    let [config, beside] =
        [toml::to_string(config), toml::to_string(&beside)].map(|text| text.expect("plain structs are always TOML"));
    format!("{config}\n{beside}")
}

/// The settings in the text of a `run.toml`, and what the pictures are called.
pub(super) fn read(text: &str) -> Result<(RunConfig, Option<Fingerprint>), toml::de::Error> {
    Ok((toml::from_str(text)?, toml::from_str::<Beside>(text)?.pictures))
}

impl Run {
    /// Starts a run in an empty or new folder, or in that of a run that never took a step, which is then removed.
    ///
    /// # Errors
    /// [`RunError::Exists`] when another run is there, [`RunError::Io`] when it cannot be written; what was made is then
    /// removed again.
    pub(super) fn create(
        folder: &Path,
        config: RunConfig,
        pictures: Option<&Pictures>,
    ) -> Result<(Self, making::Made), RunError> {
        Self::vacant(folder)?;
        let io = |cause| RunError::Io { path: folder.to_owned(), cause };
        let made = making::Made::begin(folder).map_err(io)?;
        let run = Self {
            folder: folder.to_owned(),
            config,
            pictures: pictures.map(|pictures| pictures.fingerprint.clone()),
            rebuilt: None,
            unwritten: true,
        };
        fs::create_dir_all(folder.join("samples")).map_err(io)?;
        fs::create_dir_all(run.checkpoints()).map_err(io)?;
        let run = run.written_down(pictures)?;
        Ok((run, made))
    }

    /// Whether a new run may start in `folder`: none is there, or one that never took a step.
    ///
    /// # Errors
    /// [`RunError::Exists`] otherwise, and [`RunError::Io`] where there is a file.
    pub(super) fn vacant(folder: &Path) -> Result<(), RunError> {
        if folder.exists() && !folder.is_dir() {
            let cause = std::io::Error::other("it is a file; --run names a folder");
            return Err(RunError::Io { path: folder.to_owned(), cause });
        }
        if making::begun(folder) { Err(RunError::Exists { path: folder.to_owned() }) } else { Ok(()) }
    }

    /// Opens a run that was started before. Settings that cannot be read are rebuilt from its newest checkpoint;
    /// [`Self::rebuilt`] then says from what.
    ///
    /// # Errors
    /// [`RunError`] naming the file.
    pub fn open(folder: &Path) -> Result<Self, RunError> {
        let path = folder.join("run.toml");
        let text = fs::read_to_string(&path).map_err(|cause| RunError::Io { path: path.clone(), cause });
        let wrong = match text {
            Ok(text) => match read(&text) {
                Ok((config, pictures)) => {
                    let folder = folder.to_owned();
                    return Ok(Self { folder, config, pictures, rebuilt: None, unwritten: false });
                }
                Err(_) if text.trim().is_empty() => RunError::Config { path, cause: "it is empty".to_owned() },
                Err(cause) => RunError::Config { path, cause: cause.message().to_owned() },
            },
            Err(unread) => unread,
        };
        let Some(rebuilt) = rebuild::settings(&folder.join("checkpoints")) else { return Err(wrong) };
        let rebuild::Rebuilt { config, pictures, from } = rebuilt;
        let cause = match &wrong {
            RunError::Config { cause, .. } => cause.clone(),
            other => other.to_string(),
        };
        let rebuilt = Some(format!("run.toml cannot be read ({cause}): {from}"));
        Ok(Self { folder: folder.to_owned(), config, pictures, rebuilt, unwritten: true })
    }

    /// Opens a run only if its settings are `config`'s; where the pictures are is another matter ([`Self::meet`]), unless the
    /// program draws them.
    ///
    /// # Errors
    /// [`RunError::Differs`] naming each field that differs.
    pub fn resume(folder: &Path, config: &RunConfig) -> Result<Self, RunError> {
        let run = Self::open(folder)?;
        let drawn = [&run.config, config].iter().any(|config| config.data.starts_with("synth:"));
        let data = if drawn { config.data.clone() } else { run.config.data.clone() };
        let differences = run.config.differences(&RunConfig { data, ..config.clone() });
        if differences.is_empty() { Ok(run) } else { Err(RunError::Differs { path: folder.to_owned(), differences }) }
    }

    /// Takes in that the run goes on with the `pictures` at `data`. Returns what should be known of it.
    ///
    /// # Errors
    /// [`RunError::OtherPictures`] where that is another place than before and they are others.
    pub(super) fn meet(&mut self, data: &str, pictures: Option<&Pictures>) -> Result<Vec<String>, RunError> {
        let mut notes: Vec<String> = self.rebuilt.take().into_iter().collect();
        let moved = !same_place(data, &self.config.data);
        let difference = match (pictures, &self.pictures) {
            (Some(now), Some(then)) => now.difference(then, &self.list()),
            (Some(now), None) if moved => {
                notes.push(format!(
                    "this run has no list of its pictures' names, as an older version started it, so nobody can tell whether the \
                     {} in {data} are the same ones",
                    now.fingerprint.count
                ));
                None
            }
            _ => None,
        };
        if let Some(difference) = difference {
            if moved && !difference.only_order() {
                let (path, data) = (self.folder.clone(), data.to_owned());
                return Err(RunError::OtherPictures { path, data, difference });
            }
            notes.push(format!(
                "the pictures in {data} are not those of before: {difference}. The run goes on with what is there, in another \
                 order than it would have had"
            ));
        } else if moved {
            notes.push(format!("the pictures have moved from {} to {data}", self.config.data));
        }
        let place = absolute(data);
        let fingerprint = pictures.map(|pictures| pictures.fingerprint.clone());
        self.unwritten |= place != self.config.data || fingerprint != self.pictures;
        (self.config.data, self.pictures) = (place, fingerprint);
        Ok(notes)
    }

    /// Writes `run.toml`, and the names of the `pictures`, where they lack something.
    ///
    /// # Errors
    /// [`RunError::Io`] naming the file.
    pub(super) fn written_down(mut self, pictures: Option<&Pictures>) -> Result<Self, RunError> {
        if !std::mem::take(&mut self.unwritten) {
            return Ok(self);
        }
        let io = |path: PathBuf| move |cause| RunError::Io { path, cause };
        if let Some(pictures) = pictures {
            pictures.write(&self.list()).map_err(io(self.list()))?;
        }
        let path = self.folder.join("run.toml");
        let text = self.text();
        files::write(&path, |file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all())).map_err(io(path))?;
        Ok(self)
    }

    /// Takes a run's folder for as long as what is returned lives. Nothing is taken where there is no folder yet, or its file
    /// system knows no locks.
    ///
    /// # Errors
    /// [`RunError::Busy`] when another program trains in it.
    pub(super) fn lock(folder: &Path) -> Result<Option<File>, RunError> {
        // Only Unix opens folders as files.
        let Ok(file) = File::open(folder) else { return Ok(None) };
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Err(RunError::Busy { path: folder.to_owned() }),
            Err(TryLockError::Error(_)) => Ok(None),
        }
    }

    /// What `run.toml` holds; every checkpoint has it too.
    pub(super) fn text(&self) -> String {
        written(&self.config, self.pictures.as_ref())
    }

    /// From what the settings were rebuilt, where `run.toml` could not be read.
    pub fn rebuilt(&self) -> Option<&str> {
        self.rebuilt.as_deref()
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

    /// The names of the pictures.
    fn list(&self) -> PathBuf {
        self.folder.join("pictures.txt")
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
