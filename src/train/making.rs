//! What a run's start makes, and how it is unmade where nothing comes of it: a refused start leaves nothing behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use crate::model;

/// What a run has in its folder.
const OWN_FILES: [&str; 5] = ["run.toml", "pictures.txt", "metrics.csv", "health.log", "unfinished.txt"];
const OWN_FOLDERS: [&str; 2] = ["samples", "checkpoints"];

/// Whether the run in `folder` ever took a step: it has a checkpoint of one, damaged or not, or a line of metrics.
pub(super) fn begun(folder: &Path) -> bool {
    let checkpoints = folder.join("checkpoints");
    let damaged = || {
        let mut names = fs::read_dir(&checkpoints).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with("damaged-step-"))
    };
    let measured = || {
        let file = File::open(folder.join("metrics.csv")).map(BufReader::new);
        file.is_ok_and(|file| file.lines().map_while(Result::ok).nth(1).is_some())
    };
    model::checkpoints(&checkpoints).iter().any(|(step, _)| *step > 0) || damaged() || measured()
}

/// Whether a run without steps lies in `folder`, which a new one replaces.
pub(super) fn idle(folder: &Path) -> bool {
    folder.join("run.toml").exists() && !begun(folder)
}

/// The folder of a run that starts. Dropped before [`Made::keep`], it is as it was: what was made is removed.
#[derive(Debug)]
pub(super) struct Made {
    folder: PathBuf,
    /// The folders that were not there before, the innermost first.
    new: Vec<PathBuf>,
    /// What a run makes and was not there before.
    own: Vec<PathBuf>,
    kept: bool,
}

impl Made {
    /// Makes the folder, and removes what a run without steps left in it.
    pub fn begin(folder: &Path) -> std::io::Result<Self> {
        let new = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let all = || OWN_FILES.iter().chain(&OWN_FOLDERS).map(|name| folder.join(name));
        let mut made =
            Self { folder: folder.to_owned(), new: new.map(Path::to_owned).collect(), own: Vec::new(), kept: false };
        fs::create_dir_all(folder)?;
        if idle(folder) {
            made.own = all().collect();
            made.clear()?;
        }
        made.own = all().filter(|path| !path.exists()).collect();
        Ok(made)
    }

    /// Something came of it: it stays.
    pub fn keep(mut self) {
        self.kept = true;
    }

    fn clear(&self) -> std::io::Result<()> {
        self.own.iter().filter(|path| path.exists()).try_for_each(|path| match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        })
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        let cleared = match &self.new[..] {
            [] => self.clear(),
            [own, around @ ..] => fs::remove_dir_all(own).map(|()| {
                // Somebody else may have put something beside it meanwhile: only what is empty goes.
                around.iter().all(|folder| fs::remove_dir(folder).is_ok());
            }),
        };
        if let Err(cause) = cleared {
            tracing::warn!("{} is not as it was before the refused start: {cause}", self.folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_and_what_was_there_stays() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("runs/faces-1");
        let made = Made::begin(&run).unwrap();
        fs::create_dir_all(run.join("samples")).unwrap();
        fs::write(run.join("run.toml"), "").unwrap();
        drop(made);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "not even the folder around it");

        let made = Made::begin(&run).unwrap();
        fs::create_dir(root.path().join("runs/faces-2")).unwrap();
        drop(made);
        assert!(!run.exists() && root.path().join("runs/faces-2").exists(), "what others made stays");

        fs::create_dir_all(&run).unwrap();
        fs::create_dir(run.join("samples")).unwrap();
        fs::write(run.join("samples/notes.txt"), "mine").unwrap();
        let made = Made::begin(&run).unwrap();
        fs::write(run.join("run.toml"), "").unwrap();
        drop(made);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 1);
        assert!(run.join("samples/notes.txt").exists(), "the person's own file");
        let made = Made::begin(&run).unwrap();
        fs::write(run.join("run.toml"), "").unwrap();
        made.keep();
        assert!(run.join("run.toml").exists());
    }

    #[test]
    fn a_run_without_steps_is_replaced_and_one_with_steps_is_not_idle() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("run.toml"), "old").unwrap();
        fs::create_dir_all(path("checkpoints/step-00000000")).unwrap();
        fs::write(path("metrics.csv"), "step,loss_d\n").unwrap();
        assert!(idle(root.path()) && !begun(root.path()));
        Made::begin(root.path()).unwrap().keep();
        assert!(!path("run.toml").exists() && !path("checkpoints").exists());
        for (file, text) in [("metrics.csv", "step,loss_d\n1,0.5\n"), ("checkpoints/damaged-step-00000009/x", "")] {
            fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            fs::write(path(file), text).unwrap();
            assert!(begun(root.path()), "{file}");
            fs::remove_file(path(file)).unwrap();
        }
    }
}
