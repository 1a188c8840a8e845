//! `zscape gui`, and `zscape` alone: the window.

use std::path::PathBuf;

use clap::Args;

use super::Common;
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
        let kept = eframe::storage_dir("zscape").map(|folder| folder.join("last-session.zscape"));
        let Self { model, data, run, session, exports } = self;
        app::run(common.compute()?, app::Start { model, data, run, session, kept, exports, desktop: true })
    }
}
