//! Dialogs for files and folders: the desktop's own, or one inside the window where the desktop has none, as on a bare X server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use egui::{Rect, Vec2};
use egui_file::{FileDialog, State};

use crate::extensions;

/// Nobody closes a dialog sooner: if it returns nothing before, the desktop has none.
const SHORTEST_DIALOG: Duration = Duration::from_millis(250);

/// Size of a dialog inside the window, in points.
const SIZE: Vec2 = Vec2::new(560.0, 480.0);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DialogKind {
    File,
    Folder,
    Save,
}

/// Asks the user for a path.
#[derive(Debug, Clone)]
pub(super) struct Dialog {
    kind: DialogKind,
    title: &'static str,
    /// The proposed name of a new file.
    name: String,
    filters: Vec<(&'static str, Vec<&'static str>)>,
}

impl Dialog {
    /// Asks for a file.
    pub fn file(title: &'static str) -> Self {
        Self { kind: DialogKind::File, title, name: String::new(), filters: Vec::new() }
    }

    /// Asks for a folder.
    pub fn folder(title: &'static str) -> Self {
        Self { kind: DialogKind::Folder, ..Self::file(title) }
    }

    /// Asks where a file, or a folder of them, is to be written.
    pub fn save(title: &'static str, name: impl Into<String>) -> Self {
        Self { kind: DialogKind::Save, name: name.into(), ..Self::file(title) }
    }

    /// Shows files with these extensions, `*` for any. The first filter is the default.
    pub fn filter(mut self, name: &'static str, endings: &[&'static str]) -> Self {
        self.filters.push((name, endings.to_vec()));
        self
    }

    /// The path to write to: an unused name in `exports`, or what the user chooses. Blocks, so it must not run on the window's thread.
    pub fn place(self, exports: Option<&Path>, ctx: &egui::Context) -> Option<PathBuf> {
        match exports {
            Some(folder) => Some(free(folder, &self.name)),
            None => self.answer(ctx),
        }
    }

    /// The path that the user chooses; `None` if the dialog is closed. Blocks until then.
    pub fn answer(self, ctx: &egui::Context) -> Option<PathBuf> {
        let door = ctx.data(|data| data.get_temp::<DialogPort>(egui::Id::NULL))?;
        if !door.inside.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let chosen = self.of_the_desktop();
            if chosen.is_some() || asked.elapsed() >= SHORTEST_DIALOG {
                return chosen.map(|path| self.completed(path));
            }
            door.inside.store(true, Ordering::Relaxed);
        }
        let (kind, asked) = (self.kind, self.clone());
        let (answer, chosen) = bounded(1);
        door.requests.send(DialogRequest { dialog: self, answer }).ok()?;
        ctx.request_repaint();
        let path = asked.completed(chosen.recv().ok().flatten()?);
        // The dialog does not ask before it overwrites a file, so an unused name is taken.
        Some(match (kind, path.parent(), path.file_name()) {
            (DialogKind::Save, Some(folder), Some(name)) => free(folder, &name.to_string_lossy()),
            _ => path,
        })
    }

    /// Adds the extension to the name of a new file, if it has none.
    fn completed(&self, path: PathBuf) -> PathBuf {
        match &self.filters[..] {
            [(_, endings)] if self.kind == DialogKind::Save && path.extension().is_none() => match endings[..] {
                [ending] if ending != "*" => path.with_extension(ending),
                _ => path,
            },
            _ => path,
        }
    }

    fn of_the_desktop(&self) -> Option<PathBuf> {
        let mut dialog = rfd::FileDialog::new().set_title(self.title);
        if !self.name.is_empty() {
            dialog = dialog.set_file_name(&self.name);
        }
        for (name, endings) in &self.filters {
            dialog = dialog.add_filter(*name, endings);
        }
        match self.kind {
            DialogKind::File => dialog.pick_file(),
            DialogKind::Folder => dialog.pick_folder(),
            DialogKind::Save => dialog.save_file(),
        }
    }

    /// The dialog inside the window, which starts in `folder`.
    fn inside(&self, folder: Option<&Path>, window: Rect) -> FileDialog {
        let dialog = match self.kind {
            DialogKind::File => FileDialog::open_file(),
            DialogKind::Folder => FileDialog::select_folder(),
            DialogKind::Save => FileDialog::save_file().default_filename(self.name.clone()),
        };
        // The dialog has no choice of filters: all of them apply.
        let endings: Vec<&str> = self.filters.iter().flat_map(|(_, endings)| endings.iter().copied()).collect();
        let all = endings.is_empty() || endings.contains(&"*");
        let fits = move |path: &Path| all || extensions::matches(path, &endings);
        let dialog = dialog
            .title(self.title)
            .show_files_filter(Box::new(fits))
            .show_rename(false)
            .keep_on_top(true)
            .default_size(SIZE)
            .default_pos(window.center() - SIZE / 2.0);
        match folder {
            Some(folder) => dialog.initial_path(folder),
            None => dialog,
        }
    }
}

/// A dialog that a thread waits for.
struct DialogRequest {
    dialog: Dialog,
    answer: Sender<Option<PathBuf>>,
}

/// How threads open dialogs inside the window. Every egui context has one.
#[derive(Clone)]
struct DialogPort {
    requests: Sender<DialogRequest>,
    /// Whether dialogs inside the window are used, because the desktop has none or they were chosen.
    inside: Arc<AtomicBool>,
}

/// The dialogs inside the window, one at a time.
pub(super) struct Dialogs {
    requests: Receiver<DialogRequest>,
    open: Option<(FileDialog, DialogRequest)>,
    /// The folder of the last dialog.
    folder: Option<PathBuf>,
}

impl Dialogs {
    /// `desktop`: whether to try the desktop's dialogs first.
    pub fn new(ctx: &egui::Context, desktop: bool) -> Self {
        let (sender, requests) = unbounded();
        let door = DialogPort { requests: sender, inside: Arc::new(AtomicBool::new(!desktop)) };
        ctx.data_mut(|data| data.insert_temp(egui::Id::NULL, door));
        Self { requests, open: None, folder: None }
    }

    /// Draws the open dialog, or opens the next one.
    pub fn ui(&mut self, ctx: &egui::Context) {
        if self.open.is_none()
            && let Ok(request) = self.requests.try_recv()
        {
            let mut dialog = request.dialog.inside(self.folder.as_deref(), ctx.content_rect());
            dialog.open();
            self.open = Some((dialog, request));
        }
        let Some((dialog, request)) = &mut self.open else { return };
        let chosen = match dialog.show(ctx).state() {
            State::Open => return,
            State::Selected => dialog.path().map(Path::to_owned),
            State::Cancelled | State::Closed => None,
        };
        self.folder = Some(dialog.directory().to_owned());
        let _ = request.answer.send(chosen);
        self.open = None;
        ctx.request_repaint();
    }
}

/// An unused name in `folder`: `walk.png`, `walk-2.png`, ...
fn free(folder: &Path, name: &str) -> PathBuf {
    let (stem, ending) = name.rsplit_once('.').map_or((name, String::new()), |(stem, end)| (stem, format!(".{end}")));
    let names = std::iter::once(name.to_owned()).chain((2..).map(|i| format!("{stem}-{i}{ending}")));
    let mut paths = names.map(|name| folder.join(name));
    paths.find(|path| !path.exists()).unwrap_or_else(|| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_has_the_ending_of_its_kind() {
        let dialog = Dialog::save("Save the figure", "figure.png").filter("png", &["png"]);
        assert_eq!(dialog.completed("a/figure".into()), PathBuf::from("a/figure.png"));
        assert_eq!(dialog.completed("figure.jpg".into()), PathBuf::from("figure.jpg"));
        assert_eq!(Dialog::save("Save the frames", "frames").completed("frames".into()), PathBuf::from("frames"));
    }

    #[test]
    fn names_that_are_taken_are_counted_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        assert_eq!(free(folder.path(), "walk.png"), path("walk.png"));
        std::fs::write(path("walk.png"), "").unwrap();
        std::fs::write(path("walk-2.png"), "").unwrap();
        assert_eq!(free(folder.path(), "walk.png"), path("walk-3.png"));
        std::fs::create_dir(path("frames")).unwrap();
        assert_eq!(free(folder.path(), "frames"), path("frames-2"));
    }
}
