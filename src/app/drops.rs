//! Files and folders that are dropped on the window: each leads to an action, or to a notice that says why it is not used.

use std::path::{Path, PathBuf};

use egui::Id;

use super::View;
use super::action::Action;
use super::background::BackgroundTasks;
use super::tool::ImageUse;
use crate::extensions;
use crate::model::is_model;

/// What a dropped file or folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Session,
    /// Boxes over samples.
    Boxes,
    Model,
    /// A file with the extension of an image.
    Picture,
    Folder,
    /// Any other file, such as an archive of images.
    Other,
}

impl FileKind {
    /// Inspects the file; too slow for the window's thread.
    pub fn of(path: &Path) -> Self {
        match path {
            _ if extensions::matches(path, &["zscape"]) => Self::Session,
            _ if is_model(path) => Self::Model,
            _ if path.is_dir() => Self::Folder,
            _ if extensions::matches(path, &["json"]) => Self::Boxes,
            _ if extensions::matches(path, &extensions::PICTURES) => Self::Picture,
            _ => Self::Other,
        }
    }
}

/// Collects what is dropped on the window, and inspects it on another thread.
pub(super) struct Drops {
    /// Dropped in the last frames. Some desktops hand files over one by one; those that come together are treated together.
    collected: Vec<PathBuf>,
    tasks: BackgroundTasks<Result<Vec<(PathBuf, FileKind)>, String>>,
}

impl Drops {
    pub fn new(ctx: &egui::Context) -> Self {
        Self { collected: Vec::new(), tasks: BackgroundTasks::new(ctx, Err) }
    }

    /// Takes in what was dropped in this frame; returns what was dropped together once it is inspected.
    pub fn receive(&mut self, ctx: &egui::Context) -> Option<Result<Vec<(PathBuf, FileKind)>, String>> {
        let paths: Vec<PathBuf> =
            ctx.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect());
        if !paths.is_empty() {
            self.collected.extend(paths);
            ctx.request_repaint();
        } else if !self.collected.is_empty() {
            let paths = std::mem::take(&mut self.collected);
            let inspect = |path: PathBuf| (path.clone(), FileKind::of(&path));
            self.tasks.run(move || Some(Ok(paths.into_iter().map(inspect).collect())));
        }
        self.tasks.responses().try_recv().ok()
    }
}

/// Actions for files that were dropped together while `view` was shown, and for each of the others the reason why it is not used.
/// `image_use` is what the explorer's tool does with a single image.
pub(super) fn plan(
    view: View,
    image_use: Option<ImageUse>,
    dropped: Vec<(PathBuf, FileKind)>,
) -> (Vec<Action>, Vec<String>) {
    let mut actions: Vec<Action> = Vec::new();
    let mut refusals = Vec::new();
    for (path, kind) in dropped {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let action = match (kind, view, image_use) {
            (FileKind::Session, _, _) => Action::OpenSession(path),
            (FileKind::Model, View::Measure, _) => Action::MeasureNetwork(path),
            (FileKind::Model, _, _) => Action::OpenModel(path),
            (_, View::Measure, _) => Action::MeasureImages(path),
            (FileKind::Boxes, View::Explore, _) => Action::OpenBoxes(path),
            (FileKind::Picture, View::Explore, _) => Action::OpenPhoto(path),
            (FileKind::Folder, View::Explore, Some(image_use)) => {
                let takes = match image_use {
                    ImageUse::Discriminate => "the discriminator judges one picture",
                    ImageUse::Project => "Photo looks for one picture",
                };
                refusals.push(format!(
                    "{name} is a folder: {takes}, such as a .png or .jpg. To train on a folder, drop it on Train"
                ));
                continue;
            }
            // An image may have any name: it is recognized by its first bytes.
            (FileKind::Other, View::Explore, Some(_)) => Action::OpenPhoto(path),
            (FileKind::Picture, View::Train, _) => {
                refusals.push(format!(
                    "{name} is one picture: training takes a folder of them. Drop the folder that they are in"
                ));
                continue;
            }
            (FileKind::Folder | FileKind::Other | FileKind::Boxes, _, _) => {
                Action::ChooseData(path.to_string_lossy().into_owned())
            }
        };
        match conflict(&action, &actions, image_use) {
            Some(reason) => refusals.push(format!("{name} is not used: {reason}")),
            None => actions.push(action),
        }
    }
    if refusals.len() > REFUSALS {
        let more = refusals.len() - REFUSALS;
        refusals.truncate(REFUSALS);
        refusals.push(format!("and {more} more"));
    }
    // A session replaces what is open, so it comes first.
    actions.sort_by_key(|action| !matches!(action, Action::OpenSession(_)));
    (actions, refusals)
}

/// Why an action cannot follow those that files dropped together led to already.
fn conflict(action: &Action, before: &[Action], image_use: Option<ImageUse>) -> Option<&'static str> {
    let same_kind = |other: &Action| std::mem::discriminant(other) == std::mem::discriminant(action);
    let repeated = before.iter().any(same_kind);
    match action {
        Action::OpenModel(_) if !repeated && before.iter().any(|other| matches!(other, Action::OpenSession(_))) => {
            Some("the session opens its own model")
        }
        _ if !repeated => None,
        Action::OpenSession(_) => Some("one session is open at a time"),
        Action::OpenBoxes(_) => Some("one file of boxes is shown at a time"),
        Action::OpenPhoto(_) if image_use == Some(ImageUse::Discriminate) => Some("one picture is judged at a time"),
        Action::OpenPhoto(_) => Some("Photo looks for one picture at a time"),
        Action::OpenModel(_) => Some("one model is explored at a time"),
        Action::ChooseData(_) => {
            Some("one set is trained on at a time; put the pictures into one folder to train on all")
        }
        Action::MeasureNetwork(_) => Some("one network is measured at a time"),
        _ => None,
    }
}

/// Refusals that are shown one by one; the rest are counted.
const REFUSALS: usize = 4;

/// Sets whether files can be dropped on the window.
pub(super) fn offer(ctx: &egui::Context, offered: bool) {
    ctx.data_mut(|data| data.insert_temp(Id::unique("drops"), offered));
}

/// Whether files can be dropped on the window: hints mention it only then.
pub(super) fn offered(ctx: &egui::Context) -> bool {
    ctx.data(|data| data.get_temp(Id::unique("drops"))).unwrap_or(true)
}

/// `text`, followed by `more` where files can be dropped.
pub(super) fn with_drops(ctx: &egui::Context, text: &str, more: &str) -> String {
    if offered(ctx) { format!("{text}{more}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(view: View, image_use: Option<ImageUse>, names: &[(&str, FileKind)]) -> (Vec<Action>, String) {
        let dropped = names.iter().map(|(name, what)| (PathBuf::from(name), *what)).collect();
        let (actions, refused) = plan(view, image_use, dropped);
        (actions, refused.join("\n"))
    }

    #[test]
    fn every_dropped_file_leads_to_an_action_or_a_reason() {
        use View::{Explore, Measure, Train};
        let pictures = [("a/1.png", FileKind::Picture), ("a/2.png", FileKind::Picture), ("3.png", FileKind::Picture)];
        let (actions, refused) = planned(Explore, Some(ImageUse::Project), &pictures);
        assert_eq!(actions, [Action::OpenPhoto("a/1.png".into())]);
        assert!(
            refused.contains("2.png is not used: Photo looks for one picture at a time") && refused.contains("3.png")
        );
        let (actions, refused) = planned(Train, None, &pictures);
        assert!(actions.is_empty() && refused.contains("1.png is one picture: training takes a folder"), "{refused}");

        let (actions, refused) = planned(
            Explore,
            None,
            &[("m.pth", FileKind::Model), ("s.zscape", FileKind::Session), ("b.json", FileKind::Boxes)],
        );
        assert_eq!(
            actions,
            [
                Action::OpenSession("s.zscape".into()),
                Action::OpenModel("m.pth".into()),
                Action::OpenBoxes("b.json".into())
            ]
        );
        assert_eq!(refused, "");
        let (actions, refused) = planned(Explore, None, &[("s.zscape", FileKind::Session), ("m.pth", FileKind::Model)]);
        assert!(
            actions.len() == 1 && refused.contains("m.pth is not used: the session opens its own model"),
            "{refused}"
        );

        let sets = [("train", FileKind::Folder), ("test", FileKind::Folder), ("run", FileKind::Model)];
        let (actions, refused) = planned(Measure, None, &sets);
        assert_eq!(actions.len(), 3, "all have a place: {refused}");
        let (actions, refused) = planned(Train, None, &sets);
        assert_eq!(actions, [Action::ChooseData("train".into()), Action::OpenModel("run".into())]);
        assert!(refused.contains("test is not used: one set is trained on at a time"), "{refused}");
    }

    #[test]
    fn a_folder_dropped_on_photo_is_refused_with_a_hint() {
        let folder = [("pics", FileKind::Folder)];
        let (actions, refused) = planned(View::Explore, Some(ImageUse::Project), &folder);
        assert!(
            actions.is_empty() && refused.contains("pics is a folder: Photo looks for one picture, such as a .png"),
            "{refused}"
        );
        let (_, refused) = planned(View::Explore, Some(ImageUse::Discriminate), &folder);
        assert!(refused.contains("the discriminator judges one picture"), "{refused}");
        assert_eq!(planned(View::Explore, None, &folder).0, [Action::ChooseData("pics".into())]);
        // Whatever it is called, a file may be a picture.
        assert_eq!(
            planned(View::Explore, Some(ImageUse::Project), &[("x", FileKind::Other)]).0,
            [Action::OpenPhoto("x".into())]
        );
    }

    #[test]
    fn refusals_beyond_the_first_four_are_counted() {
        let names: Vec<String> = (0..30).map(|i| format!("{i}.png")).collect();
        let pictures: Vec<_> = names.iter().map(|name| (name.as_str(), FileKind::Picture)).collect();
        let (_, refused) = planned(View::Train, None, &pictures);
        assert!(refused.lines().count() == REFUSALS + 1 && refused.ends_with("and 26 more"), "{refused}");
    }

    #[test]
    fn hints_mention_drops_only_where_they_work() {
        let ctx = egui::Context::default();
        assert_eq!(with_drops(&ctx, "Open one", ", or drop it"), "Open one, or drop it");
        offer(&ctx, false);
        assert_eq!(with_drops(&ctx, "Open one", ", or drop it"), "Open one");
    }
}
