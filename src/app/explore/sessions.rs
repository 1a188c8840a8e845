//! Session files, and the models that sessions belong to.

use std::path::{Path, PathBuf};

use egui::Ui;

use super::context::{OpenModel, PanelContext};
use super::model_change::ModelChange;
use super::worker::ExplorerRequest;
use crate::app::action::Action;
use crate::app::tool::{OPEN, SAVE, SAVE_AS};
use crate::latent::removal::ObjectRemoval;
use crate::latent::session::{Session, SessionModel};
use crate::model::{ModelConfig, Provenance, base_path, bundled};

/// A session that waits until the worker has opened its model.
struct PendingSession {
    session: Session,
    /// The session's file; `None` for the one that is restored at the start.
    file: Option<PathBuf>,
}

/// Brings sessions and models together: a session takes effect once its model is open, and keeps what fits when another model
/// is opened.
#[derive(Default)]
pub(super) struct SessionLoader {
    pending: Option<PendingSession>,
}

impl SessionLoader {
    /// Requests the model of a session that was read from `file`. Nothing changes unless the model opens and the session fits it.
    pub fn open(&mut self, file: Option<PathBuf>, session: Box<Session>, cx: &mut PanelContext) {
        cx.following = false;
        cx.worker.send(ExplorerRequest::Open(session.model.clone(), Some(session.clone())));
        self.pending = Some(PendingSession { session: *session, file });
    }

    /// A model did not open; `missing` when there is no file. Session and model stay as they are.
    pub fn on_refused(&mut self, error: String, missing: bool, cx: &mut PanelContext) {
        match self.pending.take() {
            Some(PendingSession { file: Some(file), .. }) => {
                let hint = if missing {
                    ". Move the model back to its place, or change the path in the file's first line"
                } else {
                    ""
                };
                cx.messages.error = Some(format!("{} was not opened: {error}{hint}", file.display()));
            }
            Some(PendingSession { file: None, session }) => cx.files.back_up(session, error),
            None => {
                cx.messages.error = Some(error);
                return_to_open_model(cx);
                if cx.model.is_none() {
                    cx.worker
                        .send(ExplorerRequest::Open(bundled().next().map(PathBuf::from).unwrap_or_default(), None));
                }
            }
        }
    }

    /// A model was opened, for the `session` that comes with it or else for the one on the screen.
    pub fn on_opened(
        &mut self,
        model: OpenModel,
        session: Option<Box<Session>>,
        notes: &[String],
        cx: &mut PanelContext,
    ) -> ModelChange {
        let mut undoable = true;
        if let Some(session) = session {
            let file = self.pending.take().and_then(|pending| pending.file);
            cx.messages.notice = session.training_difference(&model.provenance);
            if let Some(file) = &file {
                // Undo goes back to the session before. There is none before the one that is restored at the start.
                cx.undo.record(&cx.session);
                cx.files.remember(file);
            } else {
                undoable = false;
            }
            // The file may name its model relative to its own folder; the worker gives the absolute path.
            cx.session = Session { model: model.path.clone(), ..*session };
            cx.session_file = file;
        } else if cx.model.is_none() {
            undoable = false;
        }
        let change = adopt(model, cx);
        if !undoable {
            cx.undo.replace_current(&cx.session);
        }
        if !notes.is_empty() {
            cx.messages.notice = Some(notes.join(". "));
        }
        change
    }

    /// The followed training published its generator.
    pub fn on_followed(
        &mut self,
        path: PathBuf,
        config: ModelConfig,
        provenance: Provenance,
        cx: &mut PanelContext,
    ) -> Option<ModelChange> {
        match &mut cx.model {
            Some(model) if model.config == config && cx.session.model == path => {
                model.provenance = provenance;
                Some(ModelChange::Weights)
            }
            _ if cx.following => Some(adopt(OpenModel { path, config, provenance, checkpoints: Vec::new() }, cx)),
            _ => None,
        }
    }
}

/// Takes a change back that undo or redo made and that needs a model which does not open.
fn return_to_open_model(cx: &mut PanelContext) {
    let Some(open) = cx.model.as_ref().map(|model| model.path.clone()) else { return };
    cx.undo.redo(&mut cx.session);
    if !cx.session_fits_model() {
        cx.undo.undo(&mut cx.session);
        cx.undo.undo(&mut cx.session);
    }
    if !cx.session_fits_model() {
        cx.session = Session::new(open);
    }
}

/// Makes `model` the explored one, and removes from the session what does not fit it.
fn adopt(model: OpenModel, cx: &mut PanelContext) -> ModelChange {
    let session = &mut cx.session;
    if let Err(error) = session.check_dimensions(model.config.z_dim) {
        cx.messages.notice =
            Some(format!("A new session was started, because {error}. Undo restores the previous one"));
        *session = Session { seed: session.seed, ..Session::new(model.path.clone()) };
        cx.session_file = None;
    }
    if session.model != model.path {
        // Sample numbers name z's of any model. Directions and filters belong to the layers of one, or of one run.
        if !same_run(&model.path, &session.model) {
            session.sliders.clear();
            session.axes = None;
            session.ablations.clear();
            session.forget = ObjectRemoval::default();
        }
        session.model.clone_from(&model.path);
    }
    if let Err(error) = session.check_ablations(&model.config) {
        cx.messages.notice = Some(format!("{error}. Ablations and boxes were removed; undo restores them"));
        session.ablations.clear();
        session.forget = ObjectRemoval::default();
    }
    let made_with = SessionModel { config: model.config.clone(), provenance: model.provenance.clone() };
    let unchanged = session == cx.undo.current();
    session.made_with = Some(made_with);
    if unchanged {
        // That the session's model became known is no change that undo should take back.
        cx.undo.replace_current(session);
    }
    let alike = cx.model.as_ref().is_some_and(|old| old.config == model.config && same_run(&model.path, &old.path));
    cx.model = Some(model);
    if alike { ModelChange::Checkpoint } else { ModelChange::Model }
}

/// Whether two paths name one model file, perhaps read with other settings, or checkpoints of one run.
fn same_run(one: &Path, other: &Path) -> bool {
    let folder = |path: &Path| path.ancestors().find(|folder| folder.ends_with("checkpoints")).map(Path::to_owned);
    base_path(one) == base_path(other) || folder(one).is_some_and(|one| folder(other) == Some(one))
}

/// The menu *Session*.
pub(super) fn session_menu(ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
    let keys = |ui: &Ui, shortcut| ui.ctx().format_shortcut(shortcut);
    let mut action = None;
    if ui.button("New").on_hover_text("An empty session with the same model; undo brings this one back").clicked() {
        let made_with = cx.session.made_with.clone();
        cx.session = Session { made_with, ..Session::new(cx.session.model.clone()) };
        cx.session_file = None;
        ui.close();
    }
    let shortcut = keys(ui, &OPEN);
    if ui.add(egui::Button::new("Open a session...").shortcut_text(shortcut)).clicked() {
        cx.files.ask_session();
        ui.close();
    }
    let recent = cx.files.recent();
    ui.add_enabled_ui(!recent.is_empty(), |ui| {
        ui.menu_button("Recent", |ui| {
            for path in recent {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if ui.button(name).on_hover_text(path.display().to_string()).clicked() {
                    action = Some(Action::OpenSession(path.clone()));
                    ui.close();
                }
            }
        });
    });
    let shortcut = keys(ui, &SAVE);
    let save = ui.add(egui::Button::new("Save").shortcut_text(shortcut));
    let place = match &cx.session_file {
        Some(path) => path.display().to_string(),
        None => "Asks for a file".to_owned(),
    };
    if save.on_hover_text(place).clicked() {
        cx.save_session(false);
        ui.close();
    }
    let shortcut = keys(ui, &SAVE_AS);
    if ui.add(egui::Button::new("Save as...").shortcut_text(shortcut)).clicked() {
        cx.save_session(true);
        ui.close();
    }
    ui.weak("Kept by itself after every change,\nand restored at the next start");
    action
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::explore::testing::{context, sample};
    use crate::latent::directions::LatentDirection;
    use crate::latent::session::{Point, Slider};

    fn model(path: &str, z_dim: usize) -> OpenModel {
        let open = context().model.expect("the context has a model");
        OpenModel { path: path.into(), config: ModelConfig { z_dim, ..open.config }, ..open }
    }

    #[test]
    fn another_model_keeps_samples_but_not_directions_and_undo_restores_them() {
        let mut cx = context();
        cx.session.walk.keyframes = vec![sample(1)];
        let direction = LatentDirection { name: "first".into(), vector: vec![0.5; 4], weight: 1.0 };
        cx.session.sliders = vec![Slider { direction, amount: 1.0 }];
        cx.autosave();
        let change = SessionLoader::default().on_opened(model("other.safetensors", 4), None, &[], &mut cx);
        assert_eq!(change, ModelChange::Model);
        assert_eq!(cx.session.walk.keyframes, [sample(1)]);
        assert!(cx.session.sliders.is_empty() && cx.session_fits_model());
        cx.undo.undo(&mut cx.session);
        assert_eq!((cx.session.sliders.len(), cx.session_fits_model()), (1, false));
    }

    #[test]
    fn checkpoints_of_one_run_share_directions() {
        let mut cx = context();
        let mut loader = SessionLoader::default();
        loader.on_opened(model("run/checkpoints/step-10", 4), None, &[], &mut cx);
        let direction = LatentDirection { name: "first".into(), vector: vec![0.5; 4], weight: 1.0 };
        cx.session.sliders = vec![Slider { direction, amount: 1.0 }];
        let change = loader.on_opened(model("run/checkpoints/step-20", 4), None, &[], &mut cx);
        assert_eq!((change, cx.session.sliders.len()), (ModelChange::Checkpoint, 1));
    }

    #[test]
    fn a_z_of_another_width_begins_a_new_session() {
        let mut cx = context();
        cx.session.shelf.push(Point::Custom { name: "smile".into(), z: vec![0.5; 4] });
        SessionLoader::default().on_opened(model("wide.safetensors", 8), None, &[], &mut cx);
        assert!(cx.session.shelf.is_empty());
        assert!(cx.messages.notice.is_some_and(|notice| notice.contains("Undo restores")));
    }
}
