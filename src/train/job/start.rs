//! What comes before a run: which one is resumed, and where its pictures are.

use crate::data::{DataError, same_place};
use crate::train::making::idle;
use crate::train::run::{Run, RunError};
use crate::train::trainer::{TrainError, TrainerOptions};

/// The run that `options` resumes; none where it never took a step and was started with other settings: it starts anew.
pub(super) fn resumable(options: &TrainerOptions) -> Result<Option<Run>, TrainError> {
    let run = Run::resume(&options.folder, &options.config);
    let other = match &run {
        Err(RunError::Differs { .. }) => true,
        Err(_) => false,
        Ok(run) => !same_place(&run.config().data, &options.config.data),
    };
    if other && idle(&options.folder) { Ok(None) } else { Ok(Some(run?)) }
}

/// Pictures that are not there; those of a run may have moved.
pub(super) fn moved(cause: DataError, resumed: bool) -> TrainError {
    match cause {
        DataError::NotFound { path } if resumed => TrainError::Moved { path },
        cause => cause.into(),
    }
}
