//! Inside the explored networks: their layers, the filters that draw an object, the discriminator (sections 6.2, 6.3.1).

mod atlas;
mod canvas;
mod desk;
mod dialogs;
mod discriminator;
mod forget;
mod jobs;
mod judge;
mod layers;
mod norms;
mod results;

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use egui::Ui;

use crate::latent::boxes::Boxes;
use crate::latent::session::Session;
use crate::model::TensorFile;
pub(super) use atlas::{Atlas, cell};
use desk::{Ask, Inspector, Norms, Opened, Subject, Told};
use dialogs::{Answer, Dialogs};
use norms::NormsChoice;

/// What is shown of the inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Every layer's maps.
    Layers,
    /// Filters that draw an object, and pictures without them.
    Forget,
    /// What the discriminator looks for.
    Discriminator,
}

pub(super) struct Inside {
    inspector: Inspector,
    dialogs: Dialogs,
    /// The model that was asked for, and the one that is open.
    asked: Option<PathBuf>,
    opened: Option<Opened>,
    error: Option<String>,
    norms: NormsChoice,
    layers: layers::Layers,
    forget: forget::Forget,
    discriminator: discriminator::Judge,
}

impl Inside {
    pub fn new(device: Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            inspector: Inspector::start(device, ctx),
            dialogs: Dialogs::new(ctx, exports),
            asked: None,
            opened: None,
            error: None,
            norms: NormsChoice::default(),
            layers: layers::Layers::default(),
            forget: forget::Forget::default(),
            discriminator: discriminator::Judge::default(),
        }
    }

    /// The generator in training, as it is now; only where its inside is being looked at.
    pub fn follow(&mut self, run: PathBuf, generator: Arc<TensorFile>) {
        if self.asked.is_some() {
            // As the explorer's session names it.
            let run = std::path::absolute(&run).unwrap_or(run);
            self.asked = Some(run.clone());
            self.inspector.ask(Ask::Follow(run, generator));
        }
    }

    /// The same path holds another model now.
    pub fn reopen(&mut self) {
        self.asked = None;
    }

    /// Takes in what other threads finished.
    pub fn receive(&mut self, ctx: &egui::Context, session: &mut Session) {
        while let Ok(answer) = self.dialogs.answers().try_recv() {
            match answer {
                Answer::Boxes(boxes) => self.take_boxes(*boxes, session),
                Answer::Picture(path) => self.discriminator.judge(path),
                Answer::Data(path) => self.discriminator.data = path.to_string_lossy().into_owned(),
                Answer::Written(path) => self.forget.written = Some(path),
                Answer::Failed(error) => self.error = Some(error),
            }
        }
        while let Ok(told) = self.inspector.told.try_recv() {
            match told {
                Told::Opened(opened) => {
                    // A model in training comes again and again: what is looked at stays, and is looked at anew.
                    let same = |old: &Opened| old.path == opened.path && old.config == opened.config;
                    if self.opened.as_ref().is_some_and(same) {
                        self.layers.refresh();
                        self.forget.refresh();
                        self.discriminator.refresh();
                    } else {
                        self.norms.reopened(&opened);
                        self.layers = layers::Layers::default();
                        self.forget.reopened();
                        self.discriminator.reopened(&opened);
                    }
                    self.opened = Some(opened);
                }
                Told::Layers { picture, maps } => self.layers.take(ctx, &picture, &maps),
                Told::Responses { maps, logit } => self.layers.take_responses(ctx, &maps, logit),
                Told::Calibrating { done, all } => self.norms.take_progress(done, all),
                Told::Calibrated(statistics) => self.norms.take(statistics),
                Told::Focus { place, lit, tops, trial } => self.layers.focus(ctx, place, &lit, tops, trial),
                Told::Samples { seed, pictures } => self.forget.take_samples(ctx, seed, &pictures),
                Told::Fitted(study, found) => self.forget.take_found(*study, found),
                Told::Drawn { which, pictures, parts } => {
                    self.forget.results.take_drawn(ctx, which, pictures, parts);
                }
                Told::Measured { which, effects } => self.forget.results.take_effects(which, effects),
                Told::Proposed { seed, boxes } => {
                    let size = self.opened.as_ref().map_or(0, |opened| opened.config.size);
                    self.forget.proposed();
                    session.forget.boxes = Boxes { size, seed, boxes };
                }
                Told::Dose(dose) => self.forget.results.curve.push(dose),
                Told::Progress { done, all } => {
                    self.forget.results.progress = Some((done, all));
                    self.discriminator.progress = Some((done, all));
                }
                Told::Hunted { random, learnt } => self.discriminator.take(ctx, random, learnt),
                Told::Judged { picture, verdict } => self.discriminator.take_verdict(ctx, &picture, &verdict),
                Told::Failed(error) => {
                    self.forget.failed();
                    self.discriminator.failed();
                    self.error = Some(error);
                }
            }
        }
    }

    /// Reads a file of boxes.
    pub fn open_boxes(&self, path: PathBuf) {
        self.dialogs.read_boxes(path);
    }

    /// Asks for the verdict on a picture.
    pub fn judge(&mut self, path: PathBuf) {
        self.error = None;
        self.discriminator.judge(path);
    }

    fn take_boxes(&mut self, boxes: Boxes, session: &mut Session) {
        match self.opened.as_ref().map(|opened| boxes.check(&opened.config)) {
            Some(Err(error)) => self.error = Some(error.to_string()),
            _ => session.forget.boxes = boxes,
        }
    }

    /// Draws a part; true when a z's samples should be picked beside it.
    pub fn ui(&mut self, ui: &mut Ui, part: Part, session: &mut Session) {
        if self.asked.as_ref() != Some(&session.model) {
            self.asked = Some(session.model.clone());
            self.error = None;
            self.inspector.ask(Ask::Open(session.model.clone()));
        }
        if let Some(error) = self.error.clone() {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(ui.visuals().error_fg_color, error);
                if ui.small_button("Close").clicked() {
                    self.error = None;
                }
            });
        }
        let Some(opened) = self.opened.as_ref().filter(|opened| Some(&opened.path) == self.asked.as_ref()) else {
            if self.error.is_none() {
                ui.spinner();
            }
            return;
        };
        match part {
            Part::Layers => self.layers.ui(ui, &self.inspector, opened, session, &mut self.norms),
            Part::Forget => self.forget.ui(ui, &self.inspector, &self.dialogs, opened, session),
            Part::Discriminator => {
                self.discriminator.ui(ui, &self.inspector, &self.dialogs, opened, session, &mut self.norms);
            }
        }
    }
}

/// The session's subject under what is dropped.
fn subject(session: &Session, opened: &Opened, norms: Norms) -> Subject {
    Subject { z: session.subject.z(&opened.config), seed: session.seed, ablations: session.ablations.clone(), norms }
}

/// The named ablation sets, with a box each to turn them on and off; nothing where there are none.
pub(super) fn ablation_sets(ui: &mut Ui, session: &mut Session) {
    if session.ablations.is_empty() {
        return;
    }
    ui.label("Filters:")
        .on_hover_text("Sets of dropped or scaled filters; those that are on act in every tool and export");
    let mut removed = None;
    for (i, ablation) in session.ablations.iter_mut().enumerate() {
        let label = format!("{} ({})", ablation.name, ablation.gains.len());
        let toggle = ui.checkbox(&mut ablation.on, label);
        if toggle.secondary_clicked() {
            removed = Some(i);
        }
        toggle.on_hover_text(format!(
            "{} filters of layer {}; right click to remove the set",
            ablation.gains.len(),
            ablation.layer
        ));
    }
    removed.map(|i| session.ablations.remove(i));
}
