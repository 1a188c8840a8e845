//! Dialogs and files, on threads of their own.

use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::app::background::BackgroundTasks;
use crate::app::dialogs::{Dialog, PICTURES};
use crate::app::drops::What;
use crate::app::pending::Writing;
use crate::files;
use crate::image::Picture;
use crate::latent::session::Session;

/// Endings of files that may hold a model.
const MODELS: [&str; 7] = ["safetensors", "pth", "pt", "tar", "ckpt", "npy", "pkl"];

/// Ending of session files.
const SESSION: &str = "zscape";
/// Sessions in the list of recent ones.
const RECENT: usize = 8;

pub(super) enum Answer {
    Model(PathBuf),
    Photo(PathBuf),
    /// What was dropped on the window.
    Dropped(Vec<(PathBuf, What)>),
    /// A session was read; `None` is where it is kept between starts.
    Session(Option<PathBuf>, Box<Session>),
    /// The session is in this file.
    Saved(PathBuf),
    Written(PathBuf),
    /// The person did not say where to.
    NotWritten,
    Recent(Vec<PathBuf>),
    /// A session that is not there any more.
    Gone(PathBuf, String),
    /// What is kept between starts was not; the work goes on.
    NotKept(String),
    Failed(String),
}

pub(super) struct Files {
    errands: BackgroundTasks<Answer>,
    /// Where the session is kept between starts.
    kept: Option<PathBuf>,
    /// Where figures and films go without being asked for.
    exports: Option<PathBuf>,
    autosaves: Keeper<Session>,
    lists: Keeper<Vec<PathBuf>>,
    recent: Vec<PathBuf>,
    /// What was written last, to tell the person.
    pub written: Option<PathBuf>,
    /// What is being written.
    pub writing: Option<String>,
}

/// Where what is to be kept goes.
struct Keeper<T>(Sender<(T, Writing)>);

impl<T> Keeper<T> {
    fn keep(&self, what: T, writing: Writing) {
        let _ = self.0.send((what, writing));
    }
}

/// Writes the newest of what arrives, on a thread of its own. An error is told once for as long as it stays the same: what is
/// kept is written at every change.
fn keeper<T: Send + 'static>(
    errands: &BackgroundTasks<Answer>,
    what: &'static str,
    write: impl Fn(&T) -> Result<(), String> + Send + 'static,
) -> Keeper<T> {
    let (sender, waiting) = unbounded::<(T, Writing)>();
    errands.send(move |answer| {
        let mut told = None;
        while let Ok(mut newest) = waiting.recv() {
            while let Ok(newer) = waiting.try_recv() {
                newest = newer;
            }
            let (newest, writing) = newest;
            let failed = write(&newest).err();
            drop(writing);
            if let Some(error) = failed.as_ref().filter(|_| failed != told) {
                answer(Answer::NotKept(format!("{what} cannot be kept for the next start: {error}")));
            }
            told = failed;
        }
    });
    Keeper(sender)
}

impl Files {
    /// `kept` is where the session is kept between starts, if anywhere; `exports` a folder for everything that is written.
    pub fn new(ctx: &egui::Context, kept: Option<PathBuf>, exports: Option<PathBuf>) -> Self {
        let errands = BackgroundTasks::new(ctx, Answer::Failed);
        let place = kept.clone();
        let autosaves = keeper(&errands, "What you explore", move |session: &Session| {
            place.as_ref().map_or(Ok(()), |path| session.write(path)).map_err(|error| error.to_string())
        });
        let list = kept.as_ref().map(|path| path.with_file_name("recent.json"));
        let place = list.clone();
        let lists = keeper(&errands, "The list of recent sessions", move |recent: &Vec<PathBuf>| {
            let Some(path) = &place else { return Ok(()) };
            let json = serde_json::to_vec_pretty(recent).map_err(|error| error.to_string())?;
            files::write(path, |file| std::io::Write::write_all(file, &json)).map_err(|error| error.to_string())
        });
        let new = Self { errands, kept, exports, autosaves, lists, recent: Vec::new(), written: None, writing: None };
        if let Some(list) = list {
            new.errands.ask(move || Some(Answer::Recent(serde_json::from_slice(&std::fs::read(list).ok()?).ok()?)));
        }
        new
    }

    pub fn answers(&self) -> &Receiver<Answer> {
        self.errands.answers()
    }

    /// Sessions that were opened or saved, the newest first.
    pub fn recent(&self) -> &[PathBuf] {
        &self.recent
    }

    /// What earlier windows remembered comes after what this one did.
    pub fn remembered(&mut self, earlier: Vec<PathBuf>) {
        for path in earlier {
            if !self.recent.contains(&path) {
                self.recent.push(path);
            }
        }
        self.recent.truncate(RECENT);
    }

    pub fn remember(&mut self, path: &Path) {
        self.recent.retain(|recent| recent != path);
        self.recent.insert(0, path.to_owned());
        self.recent.truncate(RECENT);
        self.lists.keep(self.recent.clone(), self.errands.begin());
    }

    pub fn forget(&mut self, path: &Path) {
        self.recent.retain(|recent| recent != path);
        self.lists.keep(self.recent.clone(), self.errands.begin());
    }

    /// Brings the last session back, if there is one.
    pub fn restore(&self) {
        let Some(path) = self.kept.clone() else { return };
        self.errands.ask(move || {
            if !path.exists() {
                return None;
            }
            Some(match Session::read(&path) {
                Ok(session) => Answer::Session(None, Box::new(session)),
                // Before the next change writes over it.
                Err(error) => Answer::Failed(not_restored(&error.to_string(), &aside(&path), |aside| {
                    std::fs::copy(&path, aside).is_ok()
                })),
            })
        });
    }

    /// Puts the session that was kept between starts aside, since it does not fit; tells where.
    pub fn put_aside(&self, session: Session, why: String) {
        let Some(aside) = self.kept.as_deref().map(aside) else { return };
        self.errands
            .write(move || Some(Answer::Failed(not_restored(&why, &aside, |aside| session.write(aside).is_ok()))));
    }

    pub fn autosave(&self, session: Session) {
        self.autosaves.keep(session, self.errands.begin());
    }

    pub fn ask_model(&self) {
        let dialog = Dialog::file("Open a model").filter("Models", &MODELS).filter("All files", &["*"]);
        self.errands.choose(dialog, Answer::Model);
    }

    /// Finds out what dropped files and folders are.
    pub fn ask_what(&self, paths: Vec<PathBuf>) {
        self.errands.ask(move || {
            let what = |path: PathBuf| (path.clone(), What::of(&path));
            Some(Answer::Dropped(paths.into_iter().map(what).collect()))
        });
    }

    pub fn ask_run(&self) {
        self.errands.choose(Dialog::folder("Open a run folder, or a folder of .npy arrays"), Answer::Model);
    }

    pub fn ask_photo(&self) {
        self.errands.choose(Dialog::file("Open a picture").filter("Pictures", &PICTURES), Answer::Photo);
    }

    pub fn ask_session(&self) {
        self.errands.choose(Dialog::file("Open a session").filter("Sessions", &[SESSION]), read);
    }

    pub fn read(&self, path: PathBuf) {
        self.errands.ask(move || Some(read(path)));
    }

    /// Writes the session to `path`, or asks where to.
    pub fn save_session(&self, session: Session, path: Option<PathBuf>) {
        let write = move |path: PathBuf| match session.write(&path) {
            Ok(()) => Answer::Saved(path),
            Err(error) => Answer::Failed(error.to_string()),
        };
        match path {
            Some(path) => self.errands.write(move || Some(write(path))),
            None => self.ask("Save the session", "session.zscape", Some(SESSION), write),
        }
    }

    /// Asks where to, and writes a picture: a PNG unless its name says otherwise.
    pub fn save_png(&mut self, name: &str, picture: impl FnOnce() -> Picture + Send + 'static) {
        self.save("Save the figure", name, Some("png"), move |path| {
            picture().write(path).map_err(|error| error.to_string())
        });
    }

    /// Asks where to, and has `write` write it there: a file of this ending, or without one a folder.
    pub fn save(
        &mut self,
        title: &'static str,
        name: &str,
        ending: Option<&'static str>,
        write: impl FnOnce(&Path) -> Result<(), String> + Send + 'static,
    ) {
        self.writing = Some(name.to_owned());
        self.ask(title, name, ending, move |path| match write(&path) {
            Ok(()) => Answer::Written(path),
            Err(error) => Answer::Failed(error),
        });
    }

    fn ask(
        &self,
        title: &'static str,
        name: &str,
        ending: Option<&'static str>,
        write: impl FnOnce(PathBuf) -> Answer + Send + 'static,
    ) {
        let mut dialog = Dialog::save(title, name);
        if let Some(ending) = ending {
            dialog = dialog.filter(ending, &[ending]);
        }
        self.errands.place(self.exports.clone(), dialog, |path| Some(path.map_or(Answer::NotWritten, write)));
    }
}

/// Where a session goes that was kept and cannot be restored.
fn aside(kept: &Path) -> PathBuf {
    kept.with_file_name("not-restored.zscape")
}

/// Keeps such a session and says so.
fn not_restored(why: &str, aside: &Path, keep: impl FnOnce(&Path) -> bool) -> String {
    let place = if keep(aside) { format!(". It is kept in {}", aside.display()) } else { String::new() };
    format!("The last session cannot be restored: {why}{place}")
}

fn read(path: PathBuf) -> Answer {
    match Session::read(&path) {
        Ok(session) => Answer::Session(Some(path), Box::new(session)),
        Err(error) if !path.exists() => Answer::Gone(path, error.to_string()),
        Err(error) => Answer::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_recent_session_comes_first_and_none_twice() {
        let mut files = Files::new(&egui::Context::default(), None, None);
        for i in 0..10 {
            files.remember(Path::new(&format!("{i}.zscape")));
        }
        files.remember(Path::new("8.zscape"));
        assert_eq!(files.recent().len(), RECENT);
        assert_eq!(files.recent()[..2], [PathBuf::from("8.zscape"), "9.zscape".into()]);
        files.forget(Path::new("8.zscape"));
        files.remembered(vec!["9.zscape".into(), "old.zscape".into()]);
        assert_eq!(files.recent().last().unwrap(), Path::new("old.zscape"));
    }
}
