//! File dialogs and files. Everything runs on background threads and ends with a [`FileResponse`].

use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::app::background::BackgroundTasks;
use crate::app::dialogs::Dialog;
use crate::app::pending::Writing;
use crate::app::service::recv_latest;
use crate::extensions;
use crate::files;
use crate::image::Picture;
use crate::latent::session::Session;

/// Extension of session files.
const SESSION: &str = "zscape";
/// Length of the list of recent sessions.
const RECENT: usize = 8;

/// The result of a background task.
pub(super) enum FileResponse {
    /// A model was chosen.
    Model(PathBuf),
    /// A photo to project was chosen.
    Photo(PathBuf),
    /// A session was read; the path is `None` for the autosaved one.
    Session(Option<PathBuf>, Box<Session>),
    /// The session was saved to this file.
    Saved(PathBuf),
    /// A figure or film was written.
    Written(PathBuf),
    /// The dialog that asked where to write was cancelled.
    NotWritten,
    /// Sessions that earlier windows opened or saved.
    Recent(Vec<PathBuf>),
    /// A session file no longer exists.
    Gone(PathBuf, String),
    /// Autosaving failed; the work goes on.
    NotAutosaved(String),
    Failed(String),
}

/// Opens, saves and exports on background threads.
pub(super) struct FileTasks {
    tasks: BackgroundTasks<FileResponse>,
    /// The file of the autosaved session.
    autosave: Option<PathBuf>,
    /// A folder where figures and films are written without a dialog.
    exports: Option<PathBuf>,
    sessions: Autosaver<Session>,
    lists: Autosaver<Vec<PathBuf>>,
    recent: Vec<PathBuf>,
    /// The name of the file that is being written.
    pub writing: Option<String>,
}

/// Writes the newest of the values that it is sent, on a background thread.
struct Autosaver<T>(Sender<(T, Writing)>);

impl<T: Send + 'static> Autosaver<T> {
    /// Starts the thread. An error that repeats is reported once, since every change is written.
    fn start(
        tasks: &BackgroundTasks<FileResponse>,
        what: &'static str,
        write: impl Fn(&T) -> Result<(), String> + Send + 'static,
    ) -> Self {
        let (sender, inbox) = unbounded::<(T, Writing)>();
        tasks.stream(move |respond| {
            let mut reported = None;
            while let Some((newest, writing)) = recv_latest(&inbox) {
                let failure = write(&newest).err();
                drop(writing);
                if let Some(error) = failure.as_ref().filter(|_| failure != reported) {
                    respond(FileResponse::NotAutosaved(format!("{what} cannot be saved for the next start: {error}")));
                }
                reported = failure;
            }
        });
        Self(sender)
    }

    fn send(&self, value: T, writing: Writing) {
        let _ = self.0.send((value, writing));
    }
}

impl FileTasks {
    /// `autosave` is the file that the session is autosaved to, if it is; `exports` a folder for everything that is written.
    pub fn new(ctx: &egui::Context, autosave: Option<PathBuf>, exports: Option<PathBuf>) -> Self {
        let tasks = BackgroundTasks::new(ctx, FileResponse::Failed);
        let file = autosave.clone();
        let sessions = Autosaver::start(&tasks, "The session", move |session: &Session| {
            file.as_ref().map_or(Ok(()), |file| session.write(file)).map_err(|error| error.to_string())
        });
        let list = autosave.as_ref().map(|path| path.with_file_name("recent.json"));
        let file = list.clone();
        let lists = Autosaver::start(&tasks, "The list of recent sessions", move |recent: &Vec<PathBuf>| {
            let Some(file) = &file else { return Ok(()) };
            let json = serde_json::to_vec_pretty(recent).map_err(|error| error.to_string())?;
            files::write(file, |file| std::io::Write::write_all(file, &json)).map_err(|error| error.to_string())
        });
        if let Some(list) = list {
            tasks.run(move || Some(FileResponse::Recent(serde_json::from_slice(&std::fs::read(list).ok()?).ok()?)));
        }
        Self { tasks, autosave, exports, sessions, lists, recent: Vec::new(), writing: None }
    }

    pub fn responses(&self) -> &Receiver<FileResponse> {
        self.tasks.responses()
    }

    /// Sessions that were opened or saved, newest first.
    pub fn recent(&self) -> &[PathBuf] {
        &self.recent
    }

    /// Appends what earlier windows remembered.
    pub fn append_recent(&mut self, earlier: Vec<PathBuf>) {
        for path in earlier {
            if !self.recent.contains(&path) {
                self.recent.push(path);
            }
        }
        self.recent.truncate(RECENT);
    }

    /// Puts a session first in the list of recent ones.
    pub fn remember(&mut self, path: &Path) {
        self.recent.retain(|recent| recent != path);
        self.recent.insert(0, path.to_owned());
        self.recent.truncate(RECENT);
        self.lists.send(self.recent.clone(), self.tasks.begin_writing());
    }

    /// Removes a session from the list of recent ones.
    pub fn forget(&mut self, path: &Path) {
        self.recent.retain(|recent| recent != path);
        self.lists.send(self.recent.clone(), self.tasks.begin_writing());
    }

    /// Reads the autosaved session, if there is one.
    pub fn restore(&self) {
        let Some(path) = self.autosave.clone() else { return };
        self.tasks.run(move || {
            if !path.exists() {
                return None;
            }
            Some(match Session::read(&path) {
                Ok(session) => FileResponse::Session(None, Box::new(session)),
                // Copied before the next change overwrites it.
                Err(error) => FileResponse::Failed(not_restored(&error.to_string(), &backup(&path), |backup| {
                    std::fs::copy(&path, backup).is_ok()
                })),
            })
        });
    }

    /// Saves an autosaved session that does not fit its model to a backup, before the next change overwrites it.
    pub fn back_up(&self, session: Session, why: String) {
        let Some(backup) = self.autosave.as_deref().map(backup) else { return };
        self.tasks.write(move || {
            Some(FileResponse::Failed(not_restored(&why, &backup, |backup| session.write(backup).is_ok())))
        });
    }

    pub fn autosave(&self, session: Session) {
        self.sessions.send(session, self.tasks.begin_writing());
    }

    pub fn ask_model(&self) {
        let dialog = Dialog::file("Open a model").filter("Models", &extensions::MODELS).filter("All files", &["*"]);
        self.tasks.choose(dialog, FileResponse::Model);
    }

    pub fn ask_run(&self) {
        self.tasks.choose(Dialog::folder("Open a run folder, or a folder of .npy arrays"), FileResponse::Model);
    }

    pub fn ask_photo(&self) {
        self.tasks
            .choose(Dialog::file("Open a picture").filter("Pictures", &extensions::PICTURES), FileResponse::Photo);
    }

    pub fn ask_session(&self) {
        self.tasks.choose(Dialog::file("Open a session").filter("Sessions", &[SESSION]), read);
    }

    pub fn read(&self, path: PathBuf) {
        self.tasks.run(move || Some(read(path)));
    }

    /// Writes the session to `path`, or asks for a path.
    pub fn save_session(&self, session: Session, path: Option<PathBuf>) {
        let write = move |path: PathBuf| match session.write(&path) {
            Ok(()) => FileResponse::Saved(path),
            Err(error) => FileResponse::Failed(error.to_string()),
        };
        match path {
            Some(path) => self.tasks.write(move || Some(write(path))),
            None => self.ask("Save the session", "session.zscape", Some(SESSION), write),
        }
    }

    /// Asks for a path, and writes a picture there: as PNG unless the extension says otherwise.
    pub fn save_png(&mut self, name: &str, picture: impl FnOnce() -> Picture + Send + 'static) {
        self.save("Save the figure", name, Some("png"), move |path| {
            picture().write(path).map_err(|error| error.to_string())
        });
    }

    /// Asks for the path of a file with this extension, or without one of a folder; then calls `write` with it.
    pub fn save(
        &mut self,
        title: &'static str,
        name: &str,
        extension: Option<&'static str>,
        write: impl FnOnce(&Path) -> Result<(), String> + Send + 'static,
    ) {
        self.writing = Some(name.to_owned());
        self.ask(title, name, extension, move |path| match write(&path) {
            Ok(()) => FileResponse::Written(path),
            Err(error) => FileResponse::Failed(error),
        });
    }

    fn ask(
        &self,
        title: &'static str,
        name: &str,
        extension: Option<&'static str>,
        write: impl FnOnce(PathBuf) -> FileResponse + Send + 'static,
    ) {
        let mut dialog = Dialog::save(title, name);
        if let Some(extension) = extension {
            dialog = dialog.filter(extension, &[extension]);
        }
        self.tasks.choose_destination(self.exports.clone(), dialog, |path| {
            Some(path.map_or(FileResponse::NotWritten, write))
        });
    }
}

/// The backup of an autosaved session that cannot be restored.
fn backup(autosave: &Path) -> PathBuf {
    autosave.with_file_name("not-restored.zscape")
}

/// Has `save` write the backup, and says why it was needed.
fn not_restored(why: &str, backup: &Path, save: impl FnOnce(&Path) -> bool) -> String {
    let place = if save(backup) { format!(". A copy is in {}", backup.display()) } else { String::new() };
    format!("The last session cannot be restored: {why}{place}")
}

/// Reads a session file.
fn read(path: PathBuf) -> FileResponse {
    match Session::read(&path) {
        Ok(session) => FileResponse::Session(Some(path), Box::new(session)),
        Err(error) if !path.exists() => FileResponse::Gone(path, error.to_string()),
        Err(error) => FileResponse::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_sessions_are_unique_and_newest_first() {
        let mut files = FileTasks::new(&egui::Context::default(), None, None);
        for i in 0..10 {
            files.remember(Path::new(&format!("{i}.zscape")));
        }
        files.remember(Path::new("8.zscape"));
        assert_eq!(files.recent().len(), RECENT);
        assert_eq!(files.recent()[..2], [PathBuf::from("8.zscape"), "9.zscape".into()]);
        files.forget(Path::new("8.zscape"));
        files.append_recent(vec!["9.zscape".into(), "old.zscape".into()]);
        assert_eq!(files.recent().last().unwrap(), Path::new("old.zscape"));
    }
}
