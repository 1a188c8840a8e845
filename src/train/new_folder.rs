//! The folder of a new run, which is removed again if the run fails before its first step.

use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use fs_err::{self as fs, File};

use crate::model;

/// Files and folders of a run.
const RUN_FILES: [&str; 5] = ["run.toml", "pictures.txt", "metrics.csv", "health.log", "unfinished.txt"];
const RUN_FOLDERS: [&str; 2] = ["samples", "checkpoints"];

/// Whether the run in `folder` has trained at least one step: it has a checkpoint of one, even if damaged, or a row
/// of metrics.
pub(super) fn has_steps(folder: &Path) -> bool {
    let checkpoints = folder.join("checkpoints");
    let has_damaged = || {
        let mut names = fs::read_dir(&checkpoints).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().starts_with("damaged-step-"))
    };
    let has_metrics = || {
        let file = File::open(folder.join("metrics.csv")).map(BufReader::new);
        file.is_ok_and(|file| file.lines().map_while(Result::ok).nth(1).is_some())
    };
    model::checkpoints(&checkpoints).iter().any(|(step, _)| *step > 0) || has_damaged() || has_metrics()
}

/// Whether `folder` holds a run without any step, which a new run may replace.
pub(super) fn has_no_steps(folder: &Path) -> bool {
    folder.join("run.toml").exists() && !has_steps(folder)
}

/// The folder of a new run. Unless [`NewRunFolder::keep`] is called, dropping it restores what was there before.
#[derive(Debug)]
pub(super) struct NewRunFolder {
    folder: PathBuf,
    /// Folders that did not exist before, the innermost first.
    created: Vec<PathBuf>,
    /// Files and folders of a run that did not exist before.
    run_files: Vec<PathBuf>,
    keep: bool,
}

impl NewRunFolder {
    /// Creates the folder, and removes a run without steps from it.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let created = folder.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let created = created.map(Path::to_owned).collect();
        let all = || RUN_FILES.iter().chain(&RUN_FOLDERS).map(|name| folder.join(name));
        let mut new = Self { folder: folder.to_owned(), created, run_files: Vec::new(), keep: false };
        fs::create_dir_all(folder)?;
        if has_no_steps(folder) {
            new.run_files = all().collect();
            new.remove_run_files()?;
        }
        new.run_files = all().filter(|path| !path.exists()).collect();
        Ok(new)
    }

    /// Keeps the folder.
    pub fn keep(mut self) {
        self.keep = true;
    }

    fn remove_run_files(&self) -> io::Result<()> {
        self.run_files.iter().filter(|path| path.exists()).try_for_each(|path| match path.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        })
    }
}

impl Drop for NewRunFolder {
    fn drop(&mut self) {
        if self.keep {
            return;
        }
        let removed = match &self.created[..] {
            [] => self.remove_run_files(),
            [folder, parents @ ..] => fs::remove_dir_all(folder).map(|()| {
                // Other programs may have written to the parents since, so only empty ones are removed.
                parents.iter().all(|parent| fs::remove_dir(parent).is_ok());
            }),
        };
        if let Err(error) = removed {
            tracing::warn!("cannot clean up {} after the refused start: {error}", self.folder.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropping_removes_new_files_and_keeps_existing_ones() {
        let root = tempfile::tempdir().unwrap();
        let run = root.path().join("runs/faces-1");
        let folder = NewRunFolder::create(&run).unwrap();
        fs::create_dir_all(run.join("samples")).unwrap();
        fs::write(run.join("run.toml"), "").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "the parent is removed too");

        let folder = NewRunFolder::create(&run).unwrap();
        fs::create_dir(root.path().join("runs/faces-2")).unwrap();
        drop(folder);
        assert!(!run.exists() && root.path().join("runs/faces-2").exists(), "other folders stay");

        fs::create_dir_all(&run).unwrap();
        fs::create_dir(run.join("samples")).unwrap();
        fs::write(run.join("samples/notes.txt"), "mine").unwrap();
        let folder = NewRunFolder::create(&run).unwrap();
        fs::write(run.join("run.toml"), "").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(&run).unwrap().count(), 1);
        assert!(run.join("samples/notes.txt").exists(), "an existing file");
        let folder = NewRunFolder::create(&run).unwrap();
        fs::write(run.join("run.toml"), "").unwrap();
        folder.keep();
        assert!(run.join("run.toml").exists());
    }

    #[test]
    fn only_a_run_without_steps_is_replaced() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("run.toml"), "old").unwrap();
        fs::create_dir_all(path("checkpoints/step-00000000")).unwrap();
        fs::write(path("metrics.csv"), "step,loss_d\n").unwrap();
        assert!(has_no_steps(root.path()) && !has_steps(root.path()));
        NewRunFolder::create(root.path()).unwrap().keep();
        assert!(!path("run.toml").exists() && !path("checkpoints").exists());
        for (file, text) in [("metrics.csv", "step,loss_d\n1,0.5\n"), ("checkpoints/damaged-step-00000009/x", "")] {
            fs::create_dir_all(path(file).parent().unwrap()).unwrap();
            fs::write(path(file), text).unwrap();
            assert!(has_steps(root.path()), "{file}");
            fs::remove_file(path(file)).unwrap();
        }
    }
}
