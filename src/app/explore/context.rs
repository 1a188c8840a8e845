//! State that the panels of the explorer share.

use std::path::PathBuf;
use std::time::Instant;

use super::direction_search::DirectionSearch;
use super::files::FileTasks;
use super::messages::Messages;
use super::model_change::ModelChange;
use super::plans::Plans;
use super::undo::Undo;
use super::views::Views;
use super::worker::ExplorerWorker;
use crate::latent::session::Session;
use crate::model::{ModelConfig, Provenance};

/// The model that the worker has open.
pub(super) struct OpenModel {
    pub path: PathBuf,
    pub config: ModelConfig,
    pub provenance: Provenance,
    /// Step and path of every checkpoint of the run that the model belongs to; empty for other models.
    pub checkpoints: Vec<(u64, PathBuf)>,
}

/// State that the panels share: the session with its undo history, what is derived from it, the pictures on the screen, and
/// the threads that generate them and touch files.
pub(super) struct PanelContext {
    pub egui: egui::Context,
    pub worker: ExplorerWorker,
    pub files: FileTasks,
    pub session: Session,
    pub undo: Undo,
    /// The session's file, once it was opened from one or saved.
    pub session_file: Option<PathBuf>,
    pub model: Option<OpenModel>,
    /// When the worker began to open a model, while it does.
    pub opening_since: Option<Instant>,
    pub plans: Plans,
    pub views: Views,
    pub directions: DirectionSearch,
    pub messages: Messages,
    /// Whether a training runs in this window.
    pub training: bool,
    /// Whether the generator in training is explored while it learns.
    pub following: bool,
}

impl PanelContext {
    /// The context of an empty session; no model is open.
    pub fn new(egui: &egui::Context, worker: ExplorerWorker, files: FileTasks, session: Session) -> Self {
        Self {
            egui: egui.clone(),
            worker,
            files,
            undo: Undo::new(session.clone()),
            session,
            session_file: None,
            model: None,
            opening_since: None,
            plans: Plans::default(),
            views: Views::default(),
            directions: DirectionSearch::default(),
            messages: Messages::default(),
            training: false,
            following: false,
        }
    }

    /// Whether the session belongs to the open model. Undo may have brought back another model's, which the worker has still to open.
    pub fn session_fits_model(&self) -> bool {
        self.model.as_ref().is_some_and(|model| {
            model.path == self.session.model && self.session.check_dimensions(model.config.z_dim).is_ok()
        })
    }

    /// Computes the plans again if session or model changed; true when they did.
    pub fn update_plans(&mut self) -> bool {
        self.model.as_ref().is_some_and(|model| self.plans.update(&self.session, &model.config))
    }

    /// Discards what another model has made invalid.
    pub fn on_model_change(&mut self, change: ModelChange) {
        self.views.on_model_change(change);
        if change != ModelChange::Weights {
            self.directions = DirectionSearch::default();
        }
    }

    /// Saves the session to its file; asks for a file when it has none or `ask` is set.
    pub fn save_session(&mut self, ask: bool) {
        let file = self.session_file.clone().filter(|_| !ask);
        self.files.save_session(self.session.clone(), file);
    }

    /// Autosaves the session if it changed since the last autosave.
    pub fn autosave(&mut self) {
        if self.undo.record(&self.session) {
            self.files.autosave(self.session.clone());
        }
    }
}
