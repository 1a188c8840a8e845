//! Whatever asks a person or touches a file, on threads of its own: the window only hears the answers.

use std::path::{Path, PathBuf};

use crossbeam_channel::{Receiver, Sender, unbounded};

/// Endings of pictures.
pub(super) const PICTURES: [&str; 11] =
    ["png", "jpg", "jpeg", "webp", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pnm"];

/// Sends for answers; each wakes the window.
pub(super) struct Errands<A> {
    ctx: egui::Context,
    channel: (Sender<A>, Receiver<A>),
}

impl<A: Send + 'static> Errands<A> {
    pub fn new(ctx: &egui::Context) -> Self {
        Self { ctx: ctx.clone(), channel: unbounded() }
    }

    pub fn answers(&self) -> &Receiver<A> {
        &self.channel.1
    }

    /// Does `work` on a thread of its own; it may answer as often as it likes.
    pub fn send(&self, work: impl FnOnce(&dyn Fn(A)) + Send + 'static) {
        let (sender, ctx) = (self.channel.0.clone(), self.ctx.clone());
        std::thread::spawn(move || {
            work(&|answer| {
                let _ = sender.send(answer);
                ctx.request_repaint();
            });
        });
    }

    /// As [`Self::send`], for one answer or none.
    pub fn ask(&self, work: impl FnOnce() -> Option<A> + Send + 'static) {
        self.send(|answer| work().into_iter().for_each(answer));
    }
}

/// Where a file of this ending goes, or without one a folder: into `exports` under a name that is free, or where the person
/// says. Waits for the person, so not for the window's thread.
pub(super) fn where_to(exports: Option<&Path>, title: &str, name: &str, ending: Option<&str>) -> Option<PathBuf> {
    if let Some(folder) = exports {
        return Some(free(folder, name));
    }
    let dialog = rfd::FileDialog::new().set_title(title).set_file_name(name);
    match ending {
        Some(ending) => dialog.add_filter(ending, &[ending]).save_file(),
        None => dialog.save_file(),
    }
}

/// A name in `folder` that is not taken: `walk.png`, `walk-2.png`, ...
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
