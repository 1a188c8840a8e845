//! Checkpoints of a run: listing them, and opening the newest readable one, since a kill or a full disk may have
//! damaged the last.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::{ModelError, import_settings};

/// Lists the checkpoints in a run's folder `checkpoints`, oldest first, with their training steps. A missing folder has
/// none.
pub fn checkpoints(checkpoints: &Path) -> Vec<(u64, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(checkpoints)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some((step, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// Lists the checkpoints of the run that `name` (a run folder or one of its checkpoints) belongs to; empty for other
/// models.
pub fn sibling_checkpoints(name: &Path) -> Vec<(u64, PathBuf)> {
    let path = import_settings::base_path(name);
    let folder = path.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "checkpoints"));
    checkpoints(folder.unwrap_or(&path.join("checkpoints")))
}

/// Calls `open` on these checkpoints, newest first, and returns the first success; `note` receives a message for each
/// damaged one.
///
/// # Errors
/// [`ModelError::Damaged`] if there are several and none can be opened; for a single checkpoint its own error.
pub(super) fn open_newest_readable<T>(
    checkpoints: Vec<(u64, PathBuf)>,
    note: &mut dyn FnMut(String),
    open: impl Fn(&Path) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let count = checkpoints.len();
    let mut damaged: Vec<(PathBuf, ModelError)> = Vec::new();
    for (step, checkpoint) in checkpoints.into_iter().rev() {
        match open(&checkpoint) {
            Ok(model) => {
                for (path, error) in damaged {
                    note(format!("{} cannot be read ({error}): step {step} is used instead", path.display()));
                }
                return Ok(model);
            }
            // The settings after the path are wrong, not the checkpoint.
            Err(error @ (ModelError::NotImported { .. } | ModelError::Settings(_))) => return Err(error),
            Err(error) => damaged.push((checkpoint, error)),
        }
    }
    match damaged.into_iter().next() {
        Some((path, newest)) if count > 1 => {
            let path = path.parent().unwrap_or(&path).to_owned();
            Err(ModelError::Damaged { path, count, newest: Box::new(newest) })
        }
        Some((_, only)) => Err(only),
        None => Err(ModelError::NoCheckpoints { path: PathBuf::new() }),
    }
}
