//! The *Measure* view: evaluates what a network has learned and generates against real images, and finds duplicates among these. Every
//! evaluation is a [`Job`](super::service::Job), whose newest results are shown.

mod classes;
mod clustering;
mod confusion;
mod controls;
mod distances;
mod duplicates;
mod memorization;
mod probing;
mod sources;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use egui::{Key, Modifiers, Ui};

use super::action::Action;
use crate::model::TensorFile;
use classes::ClassesPanel;
use distances::DistancesPanel;
use duplicates::DuplicatesPanel;
use memorization::MemorizationPanel;
use sources::{Field, OpenNetworks, Sources};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EvaluationTab {
    Classes,
    Memorization,
    Distances,
    Duplicates,
}

impl EvaluationTab {
    /// All tabs with their names, tool tips and keys.
    const ALL: [(Self, &'static str, &'static str, Key); 4] = [
        (
            Self::Classes,
            "Classes",
            "How well the discriminator's features tell classes, live while it trains (the paper's section 5)",
            Key::Num1,
        ),
        (
            Self::Memorization,
            "Memorising",
            "The training pictures nearest to samples, and how many distinct samples there are (sections 4.1 and 6.1)",
            Key::Num2,
        ),
        (Self::Distances, "Distances", "How far samples are from real pictures, over a run's checkpoints", Key::Num3),
        (
            Self::Duplicates,
            "Duplicates",
            "Pictures that a set has more than once, to be left out of training (section 4.1)",
            Key::Num4,
        ),
    ];
}

pub(super) struct EvaluationView {
    tab: EvaluationTab,
    sources: Sources,
    /// The data that was suggested last. It is suggested once, so that the user can change it.
    suggested: Option<String>,
    classes: ClassesPanel,
    memorization: MemorizationPanel,
    distances: DistancesPanel,
    duplicates: DuplicatesPanel,
}

impl EvaluationView {
    pub fn new(device: &Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            tab: EvaluationTab::Classes,
            sources: Sources::new(ctx),
            suggested: None,
            classes: ClassesPanel::new(device.clone()),
            memorization: MemorizationPanel::new(device.clone()),
            distances: DistancesPanel::new(device.clone(), exports.clone(), ctx),
            duplicates: DuplicatesPanel::new(device.clone(), exports, ctx),
        }
    }

    /// Takes a network or images that were dropped on the window.
    pub fn take_dropped(&mut self, path: PathBuf, model: bool) {
        match model {
            true => self.sources.use_network(&path, None),
            false => self.sources.drop_pictures(path),
        }
    }

    /// Suggests the data that is chosen for training.
    pub fn suggest(&mut self, data: &str, test: Option<&str>) {
        if self.suggested.as_deref() != Some(data) {
            self.suggested = Some(data.to_owned());
            self.sources.suggest(Field::Training, data);
            self.sources.suggest(Field::Test, test.unwrap_or_default());
        }
    }

    /// Suggests the network of a run folder that is opened.
    pub fn opened_run(&mut self, run: &Path) {
        self.sources.suggest(Field::Network, &run.to_string_lossy());
    }

    /// A training has started in `run`; `classes` is whether its images have classes.
    pub fn training_began(&mut self, ctx: &egui::Context, run: &Path, classes: bool) {
        self.sources.suggest(Field::Network, &run.to_string_lossy());
        if classes && Path::new(&self.sources.network) == run {
            self.classes.training_began(ctx, &self.sources);
        }
    }

    /// Evaluates networks in training.
    pub fn take_networks(&mut self, file: Arc<TensorFile>) {
        self.classes.take_networks(file);
    }

    /// The training has ended.
    pub fn training_ended(&mut self) {
        self.classes.training_ended();
    }

    /// The number of training steps after which the trainer is to publish its networks; 0 for never.
    pub fn snapshot_interval(&self) -> u64 {
        self.classes.snapshot_interval()
    }

    /// Takes the results of background threads.
    pub fn receive(&mut self, ctx: &egui::Context) {
        self.sources.receive();
        self.classes.receive();
        self.memorization.receive(ctx);
        self.distances.receive();
        self.duplicates.receive(ctx);
    }

    /// Draws the curve of probe accuracies, for the view of the training.
    pub fn accuracy(&self, ui: &mut Ui) {
        self.classes.curve(ui);
    }

    /// Draws the view. `run` is the folder of this window's training and whether it is running, `explored` the explored model and its
    /// training data. Returns the images to leave out of training when the button for that was clicked.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        run: Option<(&Path, bool)>,
        explored: Option<(PathBuf, String)>,
    ) -> Option<Action> {
        if !ui.ctx().text_edit_focused() {
            for (tab, _, _, key) in EvaluationTab::ALL {
                if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
                    self.tab = tab;
                }
            }
        }
        egui::Panel::top("measures").show(ui, |ui| {
            ui.add_space(4.0);
            ui.horizontal_wrapped(|ui| {
                for (tab, name, about, key) in EvaluationTab::ALL {
                    ui.selectable_value(&mut self.tab, tab, name)
                        .on_hover_text(format!("{about} ({})", key.symbol_or_name()));
                }
            });
            ui.add_space(4.0);
        });
        let networks = OpenNetworks { explored, run: run.map(|(run, _)| run.to_owned()) };
        let training = run.filter(|(_, going)| *going).map(|(run, _)| run);
        egui::Panel::left("measured").default_size(320.0).size_range(280.0..=460.0).show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.add_space(6.0);
                self.sources.ui(ui, &networks);
                ui.separator();
                match self.tab {
                    EvaluationTab::Classes => self.classes.settings(ui, &self.sources, training),
                    EvaluationTab::Memorization => self.memorization.settings(ui, &self.sources),
                    EvaluationTab::Distances => self.distances.settings(ui, &self.sources),
                    EvaluationTab::Duplicates => self.duplicates.settings(ui, &self.sources),
                }
            });
        });
        let central = egui::CentralPanel::default().show(ui, |ui| match self.tab {
            EvaluationTab::Classes => {
                self.classes.results(ui);
                None
            }
            EvaluationTab::Memorization => {
                self.memorization.results(ui);
                None
            }
            EvaluationTab::Distances => {
                self.distances.results(ui);
                None
            }
            EvaluationTab::Duplicates => self.duplicates.results(ui),
        });
        central.inner
    }
}
