//! Sessions as files: opened, saved, remembered, restored; and the models they go with.

use std::path::{Path, PathBuf};

use egui::Ui;

use super::files::Answer;
use super::tool::{OPEN, SAVE, SAVE_AS};
use super::worker::{Reply, Request};
use super::{Explorer, directions};
use crate::latent::removal::ObjectRemoval;
use crate::latent::session::{Session, SessionModel};
use crate::model::{ModelConfig, Provenance, bundled, file_of};

/// A session that is waiting for its model.
pub(super) struct Opening {
    session: Session,
    /// Its file; none for the one that is kept between starts.
    file: Option<PathBuf>,
}

impl Explorer {
    /// Explores another model, keeping what of the session fits it.
    pub fn open(&mut self, path: PathBuf) {
        self.error = None;
        self.notice = None;
        self.following = false;
        self.worker.send(Request::Open(path, None));
    }

    /// Opens a session file.
    pub fn open_session(&mut self, path: PathBuf) {
        self.error = None;
        self.notice = None;
        self.files.read(path);
    }

    pub(super) fn save_session(&mut self, ask: bool) {
        let file = self.file.clone().filter(|_| !ask);
        self.files.save_session(self.session.clone(), file);
    }

    /// Takes in what the threads that touch files finished.
    pub(super) fn answers(&mut self) {
        while let Ok(answer) = self.files.answers().try_recv() {
            match answer {
                Answer::Model(path) => self.open(path),
                Answer::Photo(path) => self.project(path),
                Answer::Dropped(dropped) => self.dropped = Some(dropped),
                Answer::Session(file, session) => {
                    self.following = false;
                    // The worker opens the model only if the session fits it: until then all is as it was.
                    self.worker.send(Request::Open(session.model.clone(), Some(session.clone())));
                    self.opening = Some(Opening { session: *session, file });
                }
                Answer::Saved(path) => {
                    self.files.remember(&path);
                    self.file = Some(path.clone());
                    self.files.written = Some(path);
                }
                Answer::Written(path) => {
                    self.files.writing = None;
                    self.files.written = Some(path);
                }
                Answer::NotWritten => self.files.writing = None,
                Answer::Recent(paths) => self.files.remembered(paths),
                Answer::Gone(path, error) => {
                    self.files.forget(&path);
                    self.error = Some(error);
                }
                Answer::NotKept(error) => self.notice = Some(error),
                Answer::Failed(error) => {
                    self.files.writing = None;
                    self.error = Some(error);
                }
            }
        }
    }

    /// A model could not be opened, or is `gone`: all is as it was.
    pub(super) fn not_opened(&mut self, error: String, gone: bool) {
        match self.opening.take() {
            Some(Opening { file: Some(file), .. }) => {
                let hint = match gone {
                    true => ". Put its model back in its place, or change the file's first line, to open it",
                    false => "",
                };
                self.error = Some(format!("{} was not opened: {error}{hint}", file.display()));
            }
            Some(Opening { file: None, session }) => self.files.put_aside(session, error),
            None => {
                self.error = Some(error);
                self.back_to_what_fits();
                if self.model.is_none() {
                    self.worker.send(Request::Open(bundled().next().map(PathBuf::from).unwrap_or_default(), None));
                }
            }
        }
    }

    /// A change was undone, or done again, that was of a model that is gone: it is taken back.
    fn back_to_what_fits(&mut self) {
        let Some((config, _)) = self.model.clone() else { return };
        self.undo.redo(&mut self.session);
        if !self.fits(&config) {
            self.undo.undo(&mut self.session);
            self.undo.undo(&mut self.session);
        }
        if let (false, Some(path)) = (self.fits(&config), self.explored.clone()) {
            self.session = Session::new(path);
        }
    }

    /// A model was opened.
    pub(super) fn on_opened(&mut self, reply: Reply) {
        let Reply::Opened { path, config, provenance, siblings, session, notes } = reply else { return };
        let mut undoable = true;
        if let Some(session) = session {
            let file = self.opening.take().and_then(|opening| opening.file);
            self.notice = session.training_difference(&provenance);
            if let Some(file) = &file {
                // The session before can be gone back to; there is none before the one that is restored at the start.
                self.undo.note(&self.session);
                self.files.remember(file);
            } else {
                undoable = false;
            }
            // Its model may have been named from where the file lies.
            self.session = Session { model: path.clone(), ..*session };
            self.file = file;
        } else if self.model.is_none() {
            undoable = false;
        }
        self.opened(path, config, provenance);
        if !undoable {
            self.undo.rebase(&self.session);
        }
        self.siblings = siblings;
        if !notes.is_empty() {
            self.notice = Some(notes.join(". "));
        }
    }

    /// The generator in training has learnt.
    pub(super) fn followed(&mut self, path: PathBuf, config: ModelConfig, provenance: Provenance) {
        let same = self.model.as_ref().is_some_and(|(old, _)| *old == config);
        if same && self.session.model == path {
            self.model = Some((config, provenance));
            self.refresh();
        } else if self.following {
            self.opened(path, config, provenance);
            self.siblings.clear();
        }
    }

    fn opened(&mut self, path: PathBuf, config: ModelConfig, provenance: Provenance) {
        if let Err(error) = self.session.check_dimensions(config.z_dim) {
            // The z's of another model mean nothing to this one.
            self.notice = Some(format!("A new session was begun, since {error}. Undo brings the old one back"));
            self.session = Session { seed: self.session.seed, ..Session::new(path.clone()) };
            self.file = None;
        }
        // Sample numbers go on naming z's; what was found in another model's layers does not, save in another checkpoint
        // of the same run.
        let run = |path: &Path| path.ancestors().find(|folder| folder.ends_with("checkpoints")).map(Path::to_owned);
        let same_run = |one: &Path, other: &Path| {
            file_of(one) == file_of(other) || run(one).is_some_and(|of| run(other) == Some(of))
        };
        if self.session.model != path {
            if !same_run(&path, &self.session.model) {
                self.session.sliders.clear();
                self.session.axes = None;
                self.session.ablations.clear();
                self.session.forget = ObjectRemoval::default();
            }
            self.session.model.clone_from(&path);
        }
        if let Err(error) = self.session.check_ablations(&config) {
            self.notice = Some(format!("{error}. What was dropped and boxed is let go; undo brings it back"));
            self.session.ablations.clear();
            self.session.forget = ObjectRemoval::default();
        }
        self.inside.reopen();
        let made_with = Some(SessionModel { config: config.clone(), provenance: provenance.clone() });
        if self.session == *self.undo.now() {
            // Only what the model is was learnt: nobody changed anything.
            self.session.made_with = made_with;
            self.undo.rebase(&self.session);
        } else {
            self.session.made_with = made_with;
        }
        let alike = self.model.as_ref().is_some_and(|(old, _)| *old == config)
            && self.explored.as_ref().is_some_and(|explored| same_run(&path, explored));
        self.explored = Some(path);
        self.model = Some((config, provenance));
        self.directions = directions::Found::default();
        self.photo.model_changed();
        if alike {
            self.refresh();
        } else {
            self.views.forget();
            self.gallery.forget(&self.worker);
            self.comparison.forget();
        }
    }

    pub(super) fn session_menu(&mut self, ui: &mut Ui) {
        let keys = |ui: &Ui, shortcut| ui.ctx().format_shortcut(shortcut);
        if ui.button("New").on_hover_text("An empty session with the same model; undo brings this one back").clicked() {
            let made_with = self.session.made_with.clone();
            self.session = Session { made_with, ..Session::new(self.session.model.clone()) };
            self.file = None;
            ui.close();
        }
        let shortcut = keys(ui, &OPEN);
        if ui.add(egui::Button::new("Open a session...").shortcut_text(shortcut)).clicked() {
            self.files.ask_session();
            ui.close();
        }
        let recent = self.files.recent().to_vec();
        ui.add_enabled_ui(!recent.is_empty(), |ui| {
            ui.menu_button("Recent", |ui| {
                for path in recent {
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    if ui.button(name).on_hover_text(path.display().to_string()).clicked() {
                        self.open_session(path);
                        ui.close();
                    }
                }
            });
        });
        let shortcut = keys(ui, &SAVE);
        let save = ui.add(egui::Button::new("Save").shortcut_text(shortcut));
        let place = match &self.file {
            Some(path) => path.display().to_string(),
            None => "Asks for a file".to_owned(),
        };
        if save.on_hover_text(place).clicked() {
            self.save_session(false);
            ui.close();
        }
        let shortcut = keys(ui, &SAVE_AS);
        if ui.add(egui::Button::new("Save as...").shortcut_text(shortcut)).clicked() {
            self.save_session(true);
            ui.close();
        }
        ui.weak("Kept by itself after every change,\nand restored at the next start");
    }
}
