//! What is evaluated: a network, its training images, and test images. All tabs share these choices.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use egui::{RichText, Ui};

use crate::app::background::BackgroundTasks;
use crate::app::dialogs::Dialog;
use crate::app::drops::with_drops;
use crate::app::preparation;
use crate::data::find_test_split;
use crate::image::Preparation;
use crate::train::Run;

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

enum SourceResponse {
    Chosen(Field, PathBuf),
    /// The training data of the chosen network, and test data beside it.
    TrainedOn(String, Option<String>),
    Failed(String),
}

/// Networks that other views of the window use.
#[derive(Default)]
pub(super) struct OpenNetworks {
    /// The explored model, and its training data.
    pub explored: Option<(PathBuf, String)>,
    /// The folder of the running or last training.
    pub run: Option<PathBuf>,
}

pub(super) struct Sources {
    pub network: String,
    pub training: String,
    pub test: String,
    /// Decides which images are taken, the samples, and random weights.
    pub seed: u64,
    /// How images are prepared; `None` as the network was trained.
    pub preparation: Option<Preparation>,
    /// Whether the user has filled each [`Field`], which suggestions then leave alone.
    chosen: [bool; 3],
    tasks: BackgroundTasks<SourceResponse>,
    /// Dropped images, until the user says whether they are for training or test.
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
            tasks: BackgroundTasks::new(ctx, SourceResponse::Failed),
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

    /// Fills a field that the user has not filled.
    pub fn suggest(&mut self, field: Field, text: &str) {
        if !self.chosen[field as usize] {
            text.clone_into(self.text(field));
        }
    }

    /// Chooses the network, and suggests its training data: `data`, or that of its run.
    pub fn use_network(&mut self, path: &Path, data: Option<String>) {
        self.choose(Field::Network, path);
        let path = path.to_owned();
        self.tasks.run(move || {
            // A checkpoint lies two folders deep in its run.
            let run = || {
                let mut folders = [Some(path.as_path()), path.parent().and_then(Path::parent)].into_iter().flatten();
                folders.find_map(|folder| Run::open(folder).ok())
            };
            let data = data.or_else(|| Some(run()?.config().data.to_string()))?;
            let test = find_test_split(&data);
            Some(SourceResponse::TrainedOn(data, test))
        });
    }

    fn choose(&mut self, field: Field, path: &Path) {
        *self.text(field) = path.to_string_lossy().into_owned();
        self.chosen[field as usize] = true;
    }

    /// Asks what images that were dropped on the window are.
    pub fn drop_pictures(&mut self, path: PathBuf) {
        self.dropped.push_back(path);
    }

    /// Takes the responses of dialogs and files.
    pub fn receive(&mut self) {
        while let Ok(response) = self.tasks.responses().try_recv() {
            match response {
                SourceResponse::Chosen(Field::Network, path) => self.use_network(&path, None),
                SourceResponse::Chosen(field, path) => self.choose(field, &path),
                SourceResponse::Failed(error) => tracing::error!("{error}"),
                SourceResponse::TrainedOn(data, test) => {
                    self.suggest(Field::Training, &data);
                    self.suggest(Field::Test, &test.unwrap_or_default());
                }
            }
        }
    }

    pub fn ui(&mut self, ui: &mut Ui, networks: &OpenNetworks) {
        self.dropped_ui(ui);
        for field in Field::ALL {
            self.field(ui, field, networks);
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

    fn field(&mut self, ui: &mut Ui, field: Field, networks: &OpenNetworks) {
        let about = with_drops(ui.ctx(), field.about(), ". It can also be dropped here");
        let label = ui.strong(field.name()).on_hover_text(&about);
        let hint = if field == Field::Test { "held out of the training pictures" } else { "a path" };
        let text = egui::TextEdit::singleline(self.text(field)).hint_text(hint).desired_width(f32::INFINITY);
        if ui.add(text).labelled_by(label.id).on_hover_text(about).changed() {
            self.chosen[field as usize] = true;
        }
        ui.horizontal_wrapped(|ui| {
            if ui.button("Folder...").on_hover_text("Choose a folder").clicked() {
                self.tasks.choose(Dialog::folder(field.name()), move |path| SourceResponse::Chosen(field, path));
            }
            if ui.button("File...").on_hover_text("Choose a file").clicked() {
                let dialog = match field {
                    Field::Network => Dialog::file(field.name()).filter("Models", &crate::extensions::MODELS),
                    _ => Dialog::file(field.name()).filter("Pictures", &crate::extensions::DATA_SETS),
                };
                self.tasks.choose(dialog.filter("All files", &["*"]), move |path| SourceResponse::Chosen(field, path));
            }
            if field == Field::Network {
                if let Some(path) = &networks.run {
                    let tip = format!("The run of this window's training: {}", path.display());
                    if ui.button("The training").on_hover_text(tip).clicked() {
                        self.use_network(path, None);
                    }
                }
                if let Some((path, data)) = &networks.explored {
                    let tip = format!("What Explore shows: {}", path.display());
                    if ui.button("The explored model").on_hover_text(tip).clicked() {
                        self.use_network(path, Some(data.clone()));
                    }
                }
            }
        });
        ui.add_space(6.0);
    }

    /// Draws the question what dropped images are.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_do_not_replace_what_the_user_chose() {
        let mut sources = Sources::new(&egui::Context::default());
        sources.suggest(Field::Training, "synth:rooms");
        assert_eq!(sources.training, "synth:rooms");
        sources.choose(Field::Training, Path::new("my/pictures"));
        sources.suggest(Field::Training, "synth:faces");
        assert_eq!(sources.training, "my/pictures");
    }
}
