//! `zscape gui`, and `zscape` alone: the window.

use std::path::PathBuf;

use clap::Args;

use super::Common;
use crate::device::{Choice, Compute};
use crate::{app, desktop};

#[derive(Args, Debug, Default)]
pub(super) struct Gui {
    /// Explore this model: a file, a checkpoint, or a run folder
    #[arg(long, value_name = "FILE|DIR")]
    model: Option<PathBuf>,
    /// Have these pictures ready for training
    #[arg(long, value_name = "SRC")]
    data: Option<String>,
    /// Keep the training in this folder; a run that is there can be resumed
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Open this session: what was explored, and with which model
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    session: Option<PathBuf>,
    /// Write figures and films into this folder, without asking for each
    #[arg(long, value_name = "DIR")]
    exports: Option<PathBuf>,
}

impl Gui {
    pub(super) fn run(self, common: &Common) -> anyhow::Result<()> {
        // Nothing is computed for a window that cannot open.
        desktop::backends().map_err(app::WindowError::from)?;
        let folder = eframe::storage_dir("zscape");
        let kept = folder.as_ref().map(|folder| folder.join("last-session.zscape"));
        let device_file = folder.map(|folder| folder.join("device"));
        let compute = match device_file.as_deref().and_then(app::remembered) {
            Some(chosen) if common.device.is_none() => remembered(&chosen)?,
            _ => common.compute()?,
        };
        let Self { model, data, run, session, exports } = self;
        let device = common.device.clone();
        let start = app::Start { model, data, run, session, kept, exports, device, device_file, desktop: true };
        app::run(compute, start)
    }
}

/// Opens what was chosen in the window; a card that is no longer there, or fails, does not keep the window from opening.
fn remembered(chosen: &Choice) -> anyhow::Result<Compute> {
    Ok(match Compute::choose(chosen) {
        Ok(compute) => compute,
        Err(error) => {
            tracing::warn!("the device chosen in the window, {chosen}, is not used: {error}");
            Compute::choose(&Choice::Auto)?
        }
    })
}
