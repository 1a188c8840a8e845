//! `zscape gui`, and `zscape` alone: the window.

use std::path::PathBuf;

use clap::Args;

use super::CommonArgs;
use crate::device::{Compute, DeviceChoice};
use crate::{app, desktop};

#[derive(Args, Debug, Default)]
pub(super) struct GuiArgs {
    /// Open this model in the explorer: a file, a checkpoint, or a run folder
    #[arg(long, value_name = "FILE|DIR")]
    model: Option<PathBuf>,
    /// Training pictures
    #[arg(long, value_name = "SRC")]
    data: Option<String>,
    /// Run folder of the training; a run in it can be resumed
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Open this session: a model with its explored samples
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    session: Option<PathBuf>,
    /// Export figures and films to this folder, without a dialog for each
    #[arg(long, value_name = "DIR")]
    exports: Option<PathBuf>,
}

impl GuiArgs {
    pub(super) fn run(self, common: &CommonArgs) -> anyhow::Result<()> {
        // Checked first, since computing is useless if no window can open.
        desktop::available_servers().map_err(app::WindowError::from)?;
        let folder = eframe::storage_dir("zscape");
        let autosave = folder.as_ref().map(|folder| folder.join("last-session.zscape"));
        let device_file = folder.map(|folder| folder.join("device"));
        let compute = match device_file.as_deref().and_then(app::remembered) {
            Some(chosen) if common.device.is_none() => remembered(&chosen)?,
            _ => common.compute()?,
        };
        let Self { model, data, run, session, exports } = self;
        let device = common.device.clone();
        let start = app::Start { model, data, run, session, autosave, exports, device, device_file, desktop: true };
        app::run(compute, start)
    }
}

/// Opens the device that was last chosen in the window, or the default if that is missing or fails.
fn remembered(chosen: &DeviceChoice) -> anyhow::Result<Compute> {
    Ok(match Compute::open(chosen) {
        Ok(compute) => compute,
        Err(error) => {
            tracing::warn!("cannot use the device last chosen in the window, {chosen}: {error}");
            Compute::open(&DeviceChoice::Auto)?
        }
    })
}
