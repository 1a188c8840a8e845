//! What is measured: a network, the pictures it was trained on, and others. All measures share them.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use egui::{RichText, Ui};

use crate::app::dialogs::Dialog;
use crate::app::drops::with_drops;
use crate::app::errands::Errands;
use crate::app::preparation;
use crate::data::{Dataset, FILE_ENDINGS, Source, TEST_PARTS};
use crate::image::{PictureFormat, Preparation};
use crate::train::Run;

/// One of the things that are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Network,
    Training,
    Test,
}

impl Field {
    const ALL: [Self; 3] = [Self::Network, Self::Training, Self::Test];

    fn name(self) -> &'static str {
        match self {
            Self::Network => "Network",
            Self::Training => "Training pictures",
            Self::Test => "Test pictures",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Network => "A run folder, a checkpoint, or a model file with a discriminator in it",
            Self::Training => {
                "What the network was trained on: a folder, an archive, a part of one (set.zip/train), or a data set's own file. \
                 Classes are its sub-folders, or what the set says"
            }
            Self::Test => {
                "Pictures like these that were not trained on, of the same classes. Without them some of the training pictures \
                 are held out"
            }
        }
    }
}

enum Answer {
    Chosen(Field, PathBuf),
    /// What a run was trained on.
    TrainedOn(String, Option<String>),
}

/// What the rest of the window knows.
#[derive(Default)]
pub(super) struct Known {
    /// The model that is explored, and what it was trained on.
    pub explored: Option<(PathBuf, String)>,
    /// The run of the training that goes on, or that went on last.
    pub run: Option<PathBuf>,
}

pub(super) struct Sources {
    pub network: String,
    pub training: String,
    pub test: String,
    /// Decides which pictures are taken, samples, and random weights.
    pub seed: u64,
    /// How pictures are prepared; `None` as the network's run had it.
    pub preparation: Option<Preparation>,
    /// Those that a person chose, and nothing else may change.
    chosen: [bool; 3],
    errands: Errands<Answer>,
    /// Pictures that were dropped, of which it is not said yet what they are.
    dropped: VecDeque<PathBuf>,
}

impl Sources {
    pub fn new(ctx: &egui::Context) -> Self {
        Self {
            network: String::new(),
            training: String::new(),
            test: String::new(),
            seed: 1,
            preparation: None,
            chosen: [false; 3],
            errands: Errands::new(ctx),
            dropped: VecDeque::new(),
        }
    }

    fn text(&mut self, field: Field) -> &mut String {
        match field {
            Field::Network => &mut self.network,
            Field::Training => &mut self.training,
            Field::Test => &mut self.test,
        }
    }

    /// Fills a field that nobody has chosen.
    pub fn suggest(&mut self, field: Field, text: &str) {
        if !self.chosen[field as usize] {
            text.clone_into(self.text(field));
        }
    }

    /// Chooses the network, and suggests what it was trained on: `data`, or what its run says.
    pub fn use_network(&mut self, path: &Path, data: Option<String>) {
        self.choose(Field::Network, path);
        let path = path.to_owned();
        self.errands.ask(move || {
            // A checkpoint lies two folders deep in its run.
            let run = || {
                let folders = [Some(path.as_path()), path.parent().and_then(Path::parent)].into_iter().flatten();
                folders.filter_map(|folder| Run::open(folder).ok()).next()
            };
            let data = data.or_else(|| Some(run()?.config().data.clone()))?;
            let held_out = held_out(&data);
            Some(Answer::TrainedOn(data, held_out))
        });
    }

    fn choose(&mut self, field: Field, path: &Path) {
        *self.text(field) = path.to_string_lossy().into_owned();
        self.chosen[field as usize] = true;
    }

    /// Pictures were dropped on the window.
    pub fn drop_pictures(&mut self, path: PathBuf) {
        self.dropped.push_back(path);
    }

    /// Takes in what dialogs chose.
    pub fn receive(&mut self) {
        while let Ok(answer) = self.errands.answers().try_recv() {
            match answer {
                Answer::Chosen(Field::Network, path) => self.use_network(&path, None),
                Answer::Chosen(field, path) => self.choose(field, &path),
                Answer::TrainedOn(data, held_out) => {
                    self.suggest(Field::Training, &data);
                    self.suggest(Field::Test, &held_out.unwrap_or_default());
                }
            }
        }
    }

    pub fn ui(&mut self, ui: &mut Ui, known: &Known) {
        self.dropped_ui(ui);
        for field in Field::ALL {
            self.field(ui, field, known);
        }
        ui.horizontal(|ui| {
            let label = ui.label("Seed");
            ui.add(egui::DragValue::new(&mut self.seed))
                .labelled_by(label.id)
                .on_hover_text("Decides which pictures are taken, the samples, and the random weights");
        });
        let mut own = self.preparation.is_some();
        ui.checkbox(&mut own, "Crop and resize otherwise").on_hover_text(
            "Pictures are cropped and resized as the network's run had it (for duplicates: the center square). Here it is chosen",
        );
        match (own, &mut self.preparation) {
            (false, chosen) => *chosen = None,
            (true, chosen) => {
                egui::Grid::new("preparation").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
                    preparation::rows(ui, chosen.get_or_insert_default());
                });
            }
        }
    }

    fn field(&mut self, ui: &mut Ui, field: Field, known: &Known) {
        let about = with_drops(ui.ctx(), field.about(), ". It can also be dropped here");
        let label = ui.strong(field.name()).on_hover_text(&about);
        let hint = if field == Field::Test { "held out of the training pictures" } else { "a path" };
        let text = egui::TextEdit::singleline(self.text(field)).hint_text(hint).desired_width(f32::INFINITY);
        if ui.add(text).labelled_by(label.id).on_hover_text(about).changed() {
            self.chosen[field as usize] = true;
        }
        ui.horizontal_wrapped(|ui| {
            if ui.button("Folder...").on_hover_text("Choose a folder").clicked() {
                self.errands.choose(Dialog::folder(field.name()), move |path| Answer::Chosen(field, path));
            }
            if ui.button("File...").on_hover_text("Choose a file").clicked() {
                let dialog = match field {
                    Field::Network => {
                        Dialog::file(field.name()).filter("Models", &["safetensors", "pth", "pt", "tar", "ckpt"])
                    }
                    _ => Dialog::file(field.name()).filter("Pictures", &FILE_ENDINGS),
                };
                self.errands.choose(dialog.filter("All files", &["*"]), move |path| Answer::Chosen(field, path));
            }
            if field == Field::Network {
                if let Some(path) = &known.run {
                    let tip = format!("The run of this window's training: {}", path.display());
                    if ui.button("The training").on_hover_text(tip).clicked() {
                        self.use_network(path, None);
                    }
                }
                if let Some((path, data)) = &known.explored {
                    let tip = format!("What Explore shows: {}", path.display());
                    if ui.button("The explored model").on_hover_text(tip).clicked() {
                        self.use_network(path, Some(data.clone()));
                    }
                }
            }
        });
        ui.add_space(6.0);
    }

    /// Asks what dropped pictures are.
    fn dropped_ui(&mut self, ui: &mut Ui) {
        let Some(path) = self.dropped.front().cloned() else { return };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        egui::Frame::group(ui.style()).show(ui, |ui| {
            ui.label(RichText::new(format!("{name} was dropped. It holds the")).strong());
            ui.horizontal_wrapped(|ui| {
                for field in [Field::Training, Field::Test] {
                    if ui.button(field.name()).on_hover_text(field.about()).clicked() {
                        self.choose(field, &path);
                        self.dropped.pop_front();
                    }
                }
                if ui.button("Cancel").on_hover_text("Use it for nothing").clicked() {
                    self.dropped.pop_front();
                }
            });
        });
        ui.add_space(6.0);
    }
}

/// The test pictures that lie beside training pictures: `set.zip/test` beside `set.zip/train`. Opens files.
pub(in crate::app) fn held_out(data: &str) -> Option<String> {
    let path = Path::new(data);
    let name = path.file_name()?.to_str()?;
    // What is beside the training pictures, or the part that a set's folder leaves out.
    let parts: Vec<PathBuf> = match ["training", "train"].into_iter().find(|word| name.contains(word)) {
        Some(word) => TEST_PARTS.iter().map(|part| path.with_file_name(name.replacen(word, part, 1))).collect(),
        None if path.is_dir() => TEST_PARTS.iter().map(|part| path.join(part)).filter(|part| !part.exists()).collect(),
        None => Vec::new(),
    };
    // A file is not opened: a packed one would be unpacked for it.
    let opens = |part: &PathBuf| {
        let source = Source::parse(&part.to_string_lossy());
        source.is_ok_and(|source| part.is_file() || Dataset::open(&source, PictureFormat::new(16, 1), 1).is_ok())
    };
    parts.into_iter().find(opens).map(|part| part.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Picture;

    #[test]
    fn test_pictures_are_found_beside_the_training_pictures() {
        let folder = tempfile::tempdir().unwrap();
        for part in ["train", "val"] {
            Picture::new(8, 8, 1, vec![0; 64]).write_png(&folder.path().join(part).join("a/1.png")).unwrap();
        }
        let path = |part: &str| folder.path().join(part).to_string_lossy().into_owned();
        assert_eq!(held_out(&path("train")), Some(path("val")));
        assert_eq!(held_out(&path("val")), None);
        assert_eq!(held_out(&folder.path().to_string_lossy()), None, "its pictures are all learnt from");
        assert_eq!(held_out("synth:rooms"), None);
        std::fs::create_dir(folder.path().join("test")).unwrap();
        assert_eq!(held_out(&path("train")), Some(path("val")), "an empty folder is no set of pictures");

        let batches = tempfile::tempdir().unwrap();
        for part in ["data_batch_1.bin", "test_batch.bin"] {
            std::fs::write(batches.path().join(part), vec![0; 3073]).unwrap();
        }
        let path = |part: &str| batches.path().join(part).to_string_lossy().into_owned();
        assert_eq!(held_out(&path("")), Some(path("test")));
    }

    #[test]
    fn what_a_person_chose_is_not_changed_by_suggestions() {
        let mut sources = Sources::new(&egui::Context::default());
        sources.suggest(Field::Training, "synth:rooms");
        assert_eq!(sources.training, "synth:rooms");
        sources.choose(Field::Training, Path::new("my/pictures"));
        sources.suggest(Field::Training, "synth:faces");
        assert_eq!(sources.training, "my/pictures");
    }
}
