//! The newest of a run's checkpoints that can be read: a kill or a full disk may have damaged the last one.

use std::path::{Path, PathBuf};

use super::ModelError;

/// What `open` makes of the newest of these checkpoints that it can open; `note` is given what was passed over.
///
/// # Errors
/// [`ModelError::Damaged`] where there are several and none can be opened; of a single one, its own error.
pub(super) fn whole<T>(
    checkpoints: Vec<(u64, PathBuf)>,
    note: &mut dyn FnMut(String),
    open: impl Fn(&Path) -> Result<T, ModelError>,
) -> Result<T, ModelError> {
    let count = checkpoints.len();
    let mut broken: Vec<(PathBuf, ModelError)> = Vec::new();
    for (step, checkpoint) in checkpoints.into_iter().rev() {
        match open(&checkpoint) {
            Ok(opened) => {
                for (path, cause) in broken {
                    note(format!("{} cannot be read ({cause}): step {step} is used instead", path.display()));
                }
                return Ok(opened);
            }
            // It is not the checkpoint that is at fault.
            Err(cause @ (ModelError::NotForeign { .. } | ModelError::Choice(_))) => return Err(cause),
            Err(cause) => broken.push((checkpoint, cause)),
        }
    }
    match broken.into_iter().next() {
        Some((path, newest)) if count > 1 => {
            let path = path.parent().unwrap_or(&path).to_owned();
            Err(ModelError::Damaged { path, count, newest: Box::new(newest) })
        }
        Some((_, only)) => Err(only),
        None => Err(ModelError::NoCheckpoints { path: PathBuf::new() }),
    }
}
