//! Dialogs and files, on threads of their own.

use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::image::Picture;
use crate::latent::session::Session;

/// Ending of session files.
const SESSION: &str = "zscape";

pub(super) enum Answer {
    Model(PathBuf),
    Photo(PathBuf),
    Session(Box<Session>),
    Written(PathBuf),
    Failed(String),
}

pub(super) struct Files {
    ctx: egui::Context,
    channel: (Sender<Answer>, Receiver<Answer>),
    /// Where the session is kept between starts.
    kept: Option<PathBuf>,
    autosaves: Sender<Session>,
    /// What was written last, to tell the person.
    pub written: Option<PathBuf>,
}

impl Files {
    /// `kept` is where the session is kept between starts, if anywhere.
    pub fn new(ctx: &egui::Context, kept: Option<PathBuf>) -> Self {
        let (autosaves, waiting) = unbounded::<Session>();
        let place = kept.clone();
        std::thread::spawn(move || {
            while let Ok(mut session) = waiting.recv() {
                // Only the newest of a burst is written.
                while let Ok(newer) = waiting.try_recv() {
                    session = newer;
                }
                if let Some(Err(error)) = place.as_ref().map(|path| session.write(path)) {
                    tracing::warn!("the session could not be kept: {error}");
                }
            }
        });
        Self { ctx: ctx.clone(), channel: unbounded(), kept, autosaves, written: None }
    }

    pub fn answers(&self) -> &Receiver<Answer> {
        &self.channel.1
    }

    fn spawn(&self, work: impl FnOnce() -> Option<Answer> + Send + 'static) {
        let (sender, ctx) = (self.channel.0.clone(), self.ctx.clone());
        std::thread::spawn(move || {
            if let Some(answer) = work() {
                let _ = sender.send(answer);
                ctx.request_repaint();
            }
        });
    }

    /// Brings the last session back, if there is one.
    pub fn restore(&self) {
        let Some(path) = self.kept.clone() else { return };
        self.spawn(move || path.exists().then(|| read(&path)));
    }

    pub fn autosave(&self, session: Session) {
        let _ = self.autosaves.send(session);
    }

    pub fn ask_model(&self) {
        self.spawn(|| {
            let dialog = rfd::FileDialog::new().set_title("Open a model").add_filter("Models", &["safetensors"]);
            dialog.pick_file().map(Answer::Model)
        });
    }

    pub fn ask_photo(&self) {
        self.spawn(|| {
            let endings = ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "ppm"];
            let dialog = rfd::FileDialog::new().set_title("Open a picture").add_filter("Pictures", &endings);
            dialog.pick_file().map(Answer::Photo)
        });
    }

    pub fn ask_session(&self) {
        self.spawn(|| {
            let dialog = rfd::FileDialog::new().set_title("Open a session").add_filter("Sessions", &[SESSION]);
            dialog.pick_file().map(|path| read(&path))
        });
    }

    pub fn read(&self, path: PathBuf) {
        self.spawn(move || Some(read(&path)));
    }

    pub fn save_session(&self, session: Session) {
        self.save("Save the session", "session.zscape", SESSION, move |path| {
            session.write(path).map_err(|e| e.to_string())
        });
    }

    /// Asks where to, and writes a picture as PNG.
    pub fn save_png(&self, name: &str, picture: impl FnOnce() -> Picture + Send + 'static) {
        self.save("Save the figure", name, "png", move |path| picture().write_png(path).map_err(|e| e.to_string()));
    }

    /// Asks where to, and has `write` write it there.
    pub fn save(
        &self,
        title: &'static str,
        name: &str,
        ending: &'static str,
        write: impl FnOnce(&Path) -> Result<(), String> + Send + 'static,
    ) {
        let name = name.to_owned();
        self.spawn(move || {
            let dialog = rfd::FileDialog::new().set_title(title).set_file_name(name).add_filter(ending, &[ending]);
            let path = dialog.save_file()?;
            Some(match write(&path) {
                Ok(()) => Answer::Written(path),
                Err(error) => Answer::Failed(error),
            })
        });
    }
}

fn read(path: &Path) -> Answer {
    match Session::read(path) {
        Ok(session) => Answer::Session(Box::new(session)),
        Err(error) => Answer::Failed(error.to_string()),
    }
}
