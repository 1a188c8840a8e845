//! *Measure*: what a network learnt and what it draws, measured against real pictures; and the pictures themselves. Every
//! measure is taken on a thread of its own and tells how far it is; the window shows what it was told last.

mod classes;
mod distances;
mod duplicates;
mod grouping;
mod heat;
mod judging;
mod memory;
mod sources;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use egui::{Key, Modifiers, Ui};

use super::look::{Look, Question};
use crate::model::TensorFile;
use classes::Classes;
use distances::Distances;
use duplicates::Duplicates;
pub(super) use duplicates::LeaveOut;
use memory::Memory;
pub(super) use sources::held_out;
use sources::{Field, Known, Sources};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tab {
    Classes,
    Memory,
    Distances,
    Duplicates,
}

impl Tab {
    /// With their names, what they are for, and their keys.
    const ALL: [(Self, &'static str, &'static str, Key); 4] = [
        (
            Self::Classes,
            "Classes",
            "How well the discriminator's features tell classes, live while it trains (the paper's section 5)",
            Key::Num1,
        ),
        (
            Self::Memory,
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

pub(super) struct Measures {
    tab: Tab,
    sources: Sources,
    /// The data of the last look, which is suggested once: what a person chose after it is not to be changed back.
    looked_at: Option<String>,
    classes: Classes,
    memory: Memory,
    distances: Distances,
    duplicates: Duplicates,
}

impl Measures {
    pub fn new(device: &Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            tab: Tab::Classes,
            sources: Sources::new(ctx),
            looked_at: None,
            classes: Classes::new(device.clone()),
            memory: Memory::new(device.clone()),
            distances: Distances::new(device.clone(), exports.clone(), ctx),
            duplicates: Duplicates::new(device.clone(), exports, ctx),
        }
    }

    /// A network, or pictures, were dropped on the window.
    pub fn take_dropped(&mut self, path: PathBuf, model: bool) {
        match model {
            true => self.sources.use_network(&path, None),
            false => self.sources.drop_pictures(path),
        }
    }

    /// Suggests what is chosen for training.
    pub fn suggest(&mut self, look: Option<&Look>) {
        if let Some(Look { question: Question { data, .. }, found: Ok(found), .. }) = look
            && self.looked_at.as_ref() != Some(data)
        {
            self.looked_at = Some(data.clone());
            self.sources.suggest(Field::Training, data);
            self.sources.suggest(Field::Test, found.held_out.as_deref().unwrap_or_default());
        }
    }

    /// Suggests the network of a run folder that is opened.
    pub fn opened_run(&mut self, run: &Path) {
        self.sources.suggest(Field::Network, &run.to_string_lossy());
    }

    /// A training began in `run`, on pictures that have classes or not.
    pub fn training_began(&mut self, ctx: &egui::Context, run: &Path, classes: bool) {
        self.sources.suggest(Field::Network, &run.to_string_lossy());
        if classes && Path::new(&self.sources.network) == run {
            self.classes.training_began(ctx, &self.sources);
        }
    }

    /// Networks in training came.
    pub fn take_networks(&mut self, file: Arc<TensorFile>) {
        self.classes.take_networks(file);
    }

    /// No more networks come.
    pub fn training_ended(&mut self) {
        self.classes.training_ended();
    }

    /// The steps of a training after which its networks are wanted; 0 for never.
    pub fn wants_every(&self) -> u64 {
        self.classes.wants_every()
    }

    /// Takes in what other threads found.
    pub fn receive(&mut self, ctx: &egui::Context) {
        self.sources.receive();
        self.classes.receive();
        self.memory.receive(ctx);
        self.distances.receive();
        self.duplicates.receive(ctx);
    }

    /// How well features tell classes over the steps, for those who watch the training.
    pub fn accuracy(&self, ui: &mut Ui) {
        self.classes.curve(ui);
    }

    /// Draws the view; `run` is the folder of this window's training and whether it goes on, `explored` the model that is
    /// explored with what it was trained on. Tells what a training is to leave out when that was asked for.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        run: Option<(&Path, bool)>,
        explored: Option<(PathBuf, String)>,
    ) -> Option<LeaveOut> {
        if !ui.ctx().text_edit_focused() {
            for (tab, _, _, key) in Tab::ALL {
                if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
                    self.tab = tab;
                }
            }
        }
        egui::Panel::top("measures").show(ui, |ui| {
            ui.add_space(4.0);
            ui.horizontal_wrapped(|ui| {
                for (tab, name, about, key) in Tab::ALL {
                    ui.selectable_value(&mut self.tab, tab, name)
                        .on_hover_text(format!("{about} ({})", key.symbol_or_name()));
                }
            });
            ui.add_space(4.0);
        });
        let known = Known { explored, run: run.map(|(run, _)| run.to_owned()) };
        let training = run.filter(|(_, going)| *going).map(|(run, _)| run);
        egui::Panel::left("measured").default_size(320.0).size_range(280.0..=460.0).show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
                ui.add_space(6.0);
                self.sources.ui(ui, &known);
                ui.separator();
                match self.tab {
                    Tab::Classes => self.classes.settings(ui, &self.sources, training),
                    Tab::Memory => self.memory.settings(ui, &self.sources),
                    Tab::Distances => self.distances.settings(ui, &self.sources),
                    Tab::Duplicates => self.duplicates.settings(ui, &self.sources),
                }
            });
        });
        let central = egui::CentralPanel::default().show(ui, |ui| match self.tab {
            Tab::Classes => {
                self.classes.results(ui);
                None
            }
            Tab::Memory => {
                self.memory.results(ui);
                None
            }
            Tab::Distances => {
                self.distances.results(ui);
                None
            }
            Tab::Duplicates => self.duplicates.results(ui),
        });
        central.inner
    }
}
