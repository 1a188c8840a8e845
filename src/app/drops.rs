//! What is dropped on the window, and what becomes of it: everything is taken, or it is said why not.

use std::path::{Path, PathBuf};

use egui::Id;

use super::dialogs::{PICTURES, ends_in};
use super::explore::Takes;
use super::{App, View};
use crate::model::is_model;

/// What a dropped file or folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Session,
    /// Boxes over samples.
    Boxes,
    Model,
    /// A file that is called like a picture.
    Picture,
    Folder,
    /// Data to train on, perhaps.
    Other,
}

impl What {
    /// Looks at the file, so not for the window's thread.
    pub fn of(path: &Path) -> Self {
        match path {
            _ if ends_in(path, &["zscape"]) => Self::Session,
            _ if is_model(path) => Self::Model,
            _ if path.is_dir() => Self::Folder,
            _ if ends_in(path, &["json"]) => Self::Boxes,
            _ if ends_in(path, &PICTURES) => Self::Picture,
            _ => Self::Other,
        }
    }
}

/// What is done with a dropped file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Open a session.
    Session(PathBuf),
    /// Show boxes over samples.
    Boxes(PathBuf),
    /// Look for a picture in Z, or have the discriminator judge it.
    Picture(PathBuf),
    /// Explore a model.
    Explore(PathBuf),
    /// Train on pictures.
    Train(PathBuf),
    /// Measure with a network (true) or with pictures.
    Measure(PathBuf, bool),
}

/// What becomes of things that were dropped together while `view` was shown, whose explorer `takes` something for a picture;
/// and why of the others nothing does.
pub(super) fn plan(view: View, takes: Takes, dropped: Vec<(PathBuf, What)>) -> (Vec<Action>, Vec<String>) {
    let mut actions: Vec<Action> = Vec::new();
    let mut refused = Vec::new();
    for (path, what) in dropped {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let picture = |takes: Takes| match takes {
            Takes::Judgement => "the discriminator judges one picture",
            Takes::Photo | Takes::Nothing => "Photo looks for one picture",
        };
        let action = match (what, view) {
            (What::Session, _) => Action::Session(path),
            (What::Model, View::Measure) => Action::Measure(path, true),
            (What::Model, _) => Action::Explore(path),
            (_, View::Measure) => Action::Measure(path, false),
            (What::Boxes, View::Explore) => Action::Boxes(path),
            (What::Picture, View::Explore) => Action::Picture(path),
            (What::Folder, View::Explore) if takes != Takes::Nothing => {
                refused.push(format!(
                    "{name} is a folder: {}, such as a .png or .jpg. To train on a folder, drop it on Train",
                    picture(takes)
                ));
                continue;
            }
            // Its first bytes may say that it is a picture.
            (What::Other, View::Explore) if takes != Takes::Nothing => Action::Picture(path),
            (What::Picture, View::Train) => {
                refused.push(format!(
                    "{name} is one picture: training takes a folder of them. Drop the folder that they are in"
                ));
                continue;
            }
            (What::Folder | What::Other | What::Boxes, _) => Action::Train(path),
        };
        let taken = |kind: fn(&Action) -> bool| actions.iter().any(kind);
        let why = match &action {
            Action::Session(_) if taken(|a| matches!(a, Action::Session(_))) => Some("one session is open at a time"),
            Action::Boxes(_) if taken(|a| matches!(a, Action::Boxes(_))) => {
                Some("one file of boxes is shown at a time")
            }
            Action::Picture(_) if taken(|a| matches!(a, Action::Picture(_))) => Some(if takes == Takes::Judgement {
                "one picture is judged at a time"
            } else {
                "Photo looks for one picture at a time"
            }),
            Action::Explore(_) if taken(|a| matches!(a, Action::Explore(_))) => Some("one model is explored at a time"),
            Action::Explore(_) if taken(|a| matches!(a, Action::Session(_))) => Some("the session opens its own model"),
            Action::Train(_) if taken(|a| matches!(a, Action::Train(_))) => {
                Some("one set is trained on at a time; put the pictures into one folder to train on all")
            }
            Action::Measure(_, true) if taken(|a| matches!(a, Action::Measure(_, true))) => {
                Some("one network is measured at a time")
            }
            _ => None,
        };
        match why {
            Some(why) => refused.push(format!("{name} is not used: {why}")),
            None => actions.push(action),
        }
    }
    if refused.len() > SAID {
        let more = refused.len() - SAID;
        refused.truncate(SAID);
        refused.push(format!("and {more} more"));
    }
    // A session closes what was open, so it comes first.
    actions.sort_by_key(|action| !matches!(action, Action::Session(_)));
    (actions, refused)
}

/// Refusals that are shown one by one; of more, the rest are counted.
const SAID: usize = 4;

/// Says whether files can be dropped on the window.
pub(super) fn offer(ctx: &egui::Context, offered: bool) {
    ctx.data_mut(|data| data.insert_temp(Id::unique("drops"), offered));
}

/// Whether files can be dropped on the window: texts promise it only then.
pub(super) fn offered(ctx: &egui::Context) -> bool {
    ctx.data(|data| data.get_temp(Id::unique("drops"))).unwrap_or(true)
}

/// `text`, and `more` where files can be dropped.
pub(super) fn with_drops(ctx: &egui::Context, text: &str, more: &str) -> String {
    if offered(ctx) { format!("{text}{more}") } else { text.to_owned() }
}

impl App {
    /// Takes in what was dropped on the window. What comes together is looked at together.
    pub(super) fn dropped(&mut self, ctx: &egui::Context) {
        let paths: Vec<PathBuf> =
            ctx.input(|input| input.raw.dropped_files.iter().map(|file| file.path().to_owned()).collect());
        if !paths.is_empty() {
            // Some desktops hand them over one by one.
            self.fallen.extend(paths);
            ctx.request_repaint();
        } else if !self.fallen.is_empty() {
            self.notice = None;
            self.explorer.ask_what(std::mem::take(&mut self.fallen));
        }
        let Some(dropped) = self.explorer.dropped() else { return };
        let (actions, refused) = plan(self.view, self.explorer.takes(), dropped);
        for action in actions {
            match action {
                Action::Session(path) => {
                    self.view = View::Explore;
                    self.explorer.open_session(path);
                }
                Action::Boxes(path) => self.explorer.open_boxes(path),
                Action::Picture(path) => self.explorer.project(path),
                Action::Explore(path) => {
                    self.view = View::Explore;
                    self.explorer.open(path);
                }
                Action::Train(path) => {
                    self.view = View::Train;
                    self.settings.use_data(path.to_string_lossy().into_owned());
                }
                Action::Measure(path, model) => self.measures.take_dropped(path, model),
            }
        }
        if !refused.is_empty() {
            self.notice = Some(refused.join(". "));
        }
    }

    /// What there is to be said about the last drop.
    pub(super) fn notice(&mut self, ui: &mut egui::Ui) {
        let Some(notice) = self.notice.clone() else { return };
        egui::Panel::top("notice").show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(ui.visuals().warn_fg_color, notice);
                if ui.small_button("OK").clicked() {
                    self.notice = None;
                }
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(view: View, takes: Takes, names: &[(&str, What)]) -> (Vec<Action>, String) {
        let dropped = names.iter().map(|(name, what)| (PathBuf::from(name), *what)).collect();
        let (actions, refused) = plan(view, takes, dropped);
        (actions, refused.join("\n"))
    }

    #[test]
    fn what_comes_together_is_taken_or_explained() {
        use View::{Explore, Measure, Train};
        let pictures = [("a/1.png", What::Picture), ("a/2.png", What::Picture), ("3.png", What::Picture)];
        let (actions, refused) = planned(Explore, Takes::Photo, &pictures);
        assert_eq!(actions, [Action::Picture("a/1.png".into())]);
        assert!(
            refused.contains("2.png is not used: Photo looks for one picture at a time") && refused.contains("3.png")
        );
        let (actions, refused) = planned(Train, Takes::Nothing, &pictures);
        assert!(actions.is_empty() && refused.contains("1.png is one picture: training takes a folder"), "{refused}");

        let (actions, refused) = planned(
            Explore,
            Takes::Nothing,
            &[("m.pth", What::Model), ("s.zscape", What::Session), ("b.json", What::Boxes)],
        );
        assert_eq!(
            actions,
            [Action::Session("s.zscape".into()), Action::Explore("m.pth".into()), Action::Boxes("b.json".into())]
        );
        assert_eq!(refused, "");
        let (actions, refused) =
            planned(Explore, Takes::Nothing, &[("s.zscape", What::Session), ("m.pth", What::Model)]);
        assert!(
            actions.len() == 1 && refused.contains("m.pth is not used: the session opens its own model"),
            "{refused}"
        );

        let sets = [("train", What::Folder), ("test", What::Folder), ("run", What::Model)];
        let (actions, refused) = planned(Measure, Takes::Nothing, &sets);
        assert_eq!(actions.len(), 3, "all have a place: {refused}");
        let (actions, refused) = planned(Train, Takes::Nothing, &sets);
        assert_eq!(actions, [Action::Train("train".into()), Action::Explore("run".into())]);
        assert!(refused.contains("test is not used: one set is trained on at a time"), "{refused}");
    }

    #[test]
    fn a_folder_on_photo_is_told_what_photo_takes() {
        let folder = [("pics", What::Folder)];
        let (actions, refused) = planned(View::Explore, Takes::Photo, &folder);
        assert!(
            actions.is_empty() && refused.contains("pics is a folder: Photo looks for one picture, such as a .png"),
            "{refused}"
        );
        let (_, refused) = planned(View::Explore, Takes::Judgement, &folder);
        assert!(refused.contains("the discriminator judges one picture"), "{refused}");
        assert_eq!(planned(View::Explore, Takes::Nothing, &folder).0, [Action::Train("pics".into())]);
        // Whatever it is called, a file may be a picture.
        assert_eq!(planned(View::Explore, Takes::Photo, &[("x", What::Other)]).0, [Action::Picture("x".into())]);
    }

    #[test]
    fn many_refusals_are_counted() {
        let names: Vec<String> = (0..30).map(|i| format!("{i}.png")).collect();
        let pictures: Vec<_> = names.iter().map(|name| (name.as_str(), What::Picture)).collect();
        let (_, refused) = planned(View::Train, Takes::Nothing, &pictures);
        assert!(refused.lines().count() == SAID + 1 && refused.ends_with("and 26 more"), "{refused}");
    }

    #[test]
    fn drops_are_promised_only_where_they_come() {
        let ctx = egui::Context::default();
        assert_eq!(with_drops(&ctx, "Open one", ", or drop it"), "Open one, or drop it");
        offer(&ctx, false);
        assert_eq!(with_drops(&ctx, "Open one", ", or drop it"), "Open one");
    }
}
