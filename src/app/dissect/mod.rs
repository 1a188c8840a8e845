//! The panels that look inside the explored networks: feature maps of all layers, the filters that draw an object and samples
//! without them (section 6.3.1), and what the discriminator's features respond to (section 6.2).

mod atlas;
mod calibrated;
mod canvas;
mod dialogs;
mod discriminator;
mod forget;
mod layers;
mod results;
mod statistics;
mod tasks;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use egui::Ui;

use crate::latent::boxes::Boxes;
use crate::latent::session::Session;
use crate::model::TensorFile;
pub(super) use atlas::{Atlas, cell};
use dialogs::{DialogResponse, InspectorDialogs};
use statistics::StatisticsChoice;
use worker::{InspectedSample, InspectorRequest, InspectorResponse, InspectorWorker, OpenedModel, StatisticsSource};

/// A panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InspectorTab {
    /// The feature maps of all layers.
    Layers,
    /// Filters that draw an object, and samples without them.
    Forget,
    /// What the discriminator responds to.
    Discriminator,
}

pub(super) struct Inspector {
    inspector: InspectorWorker,
    dialogs: InspectorDialogs,
    requested: Option<PathBuf>,
    opened: Option<OpenedModel>,
    error: Option<String>,
    statistics: StatisticsChoice,
    layers: layers::LayersPanel,
    forget: forget::ForgetPanel,
    discriminator: discriminator::DiscriminatorPanel,
}

impl Inspector {
    pub fn new(device: Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            inspector: InspectorWorker::start(device, ctx),
            dialogs: InspectorDialogs::new(ctx, exports),
            requested: None,
            opened: None,
            error: None,
            statistics: StatisticsChoice::default(),
            layers: layers::LayersPanel::default(),
            forget: forget::ForgetPanel::default(),
            discriminator: discriminator::DiscriminatorPanel::default(),
        }
    }

    /// Opens the newest networks of a run in training, if the inside is looked at.
    pub fn follow(&mut self, run: PathBuf, generator: Arc<TensorFile>) {
        if self.requested.is_some() {
            // The explorer's session names it by its absolute path.
            let run = std::path::absolute(&run).unwrap_or(run);
            self.requested = Some(run.clone());
            self.inspector.send(InspectorRequest::Follow(run, generator));
        }
    }

    /// Opens the model again: another one was written to its path.
    pub fn reopen(&mut self) {
        self.requested = None;
    }

    /// Takes the responses of background threads.
    pub fn receive(&mut self, ctx: &egui::Context, session: &mut Session) {
        while let Ok(response) = self.dialogs.responses().try_recv() {
            match response {
                DialogResponse::Boxes(boxes) => self.take_boxes(*boxes, session),
                DialogResponse::Picture(path) => self.discriminator.classify(path),
                DialogResponse::Data(path) => self.discriminator.data = path.to_string_lossy().into_owned(),
                DialogResponse::Written(path) => self.forget.written = Some(path),
                DialogResponse::Failed(error) => self.error = Some(error),
            }
        }
        while let Ok(response) = self.inspector.responses.try_recv() {
            match response {
                InspectorResponse::Opened(opened) => {
                    // A model in training is opened again and again: the panels keep their state and ask for the new results.
                    let same = |old: &OpenedModel| old.path == opened.path && old.config == opened.config;
                    if self.opened.as_ref().is_some_and(same) {
                        self.layers.refresh();
                        self.forget.refresh();
                        self.discriminator.refresh();
                    } else {
                        self.statistics.reopened(&opened);
                        self.layers = layers::LayersPanel::default();
                        self.forget.reopened();
                        self.discriminator.reopened(&opened);
                    }
                    self.opened = Some(opened);
                }
                InspectorResponse::Layers { picture, maps } => self.layers.take(ctx, &picture, &maps),
                InspectorResponse::Responses { maps, logit } => self.layers.take_responses(ctx, &maps, logit),
                InspectorResponse::Calibrating { done, total } => self.statistics.take_progress(done, total),
                InspectorResponse::Calibrated(statistics) => self.statistics.take(statistics),
                InspectorResponse::Focus { map, overlay, top_samples, effect } => {
                    self.layers.take_focus(ctx, map, &overlay, top_samples, effect);
                }
                InspectorResponse::Samples { seed, pictures } => self.forget.take_samples(ctx, seed, &pictures),
                InspectorResponse::Fitted(query, found) => self.forget.take_found(*query, found),
                InspectorResponse::Generated { ablation, pictures, parts } => {
                    self.forget.results.take_pictures(ctx, ablation, pictures, parts);
                }
                InspectorResponse::Measured { ablation, effects } => {
                    self.forget.results.take_effects(ablation, effects);
                }
                InspectorResponse::WindowsDetected { seed, boxes } => {
                    let size = self.opened.as_ref().map_or(0, |opened| opened.config.size);
                    self.forget.stop_detecting();
                    session.forget.boxes = Boxes { size, seed, boxes };
                }
                InspectorResponse::Dose(dose) => self.forget.results.curve.push(dose),
                InspectorResponse::Progress { done, total } => {
                    self.forget.results.progress = Some((done, total));
                    self.discriminator.progress = Some((done, total));
                }
                InspectorResponse::FeaturesFound { random, trained } => {
                    self.discriminator.take_features(ctx, random, trained);
                }
                InspectorResponse::Discriminated { picture, verdict } => {
                    self.discriminator.take_verdict(ctx, &picture, &verdict);
                }
                InspectorResponse::Failed(error) => {
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

    /// Has the discriminator classify an image file.
    pub fn judge(&mut self, path: PathBuf) {
        self.error = None;
        self.discriminator.classify(path);
    }

    fn take_boxes(&mut self, boxes: Boxes, session: &mut Session) {
        match self.opened.as_ref().map(|opened| boxes.check(&opened.config)) {
            Some(Err(error)) => self.error = Some(error.to_string()),
            _ => session.forget.boxes = boxes,
        }
    }

    /// Draws a panel.
    pub fn ui(&mut self, ui: &mut Ui, part: InspectorTab, session: &mut Session) {
        if self.requested.as_ref() != Some(&session.model) {
            self.requested = Some(session.model.clone());
            self.error = None;
            self.inspector.send(InspectorRequest::Open(session.model.clone()));
        }
        if let Some(error) = self.error.clone() {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(ui.visuals().error_fg_color, error);
                if ui.small_button("Close").clicked() {
                    self.error = None;
                }
            });
        }
        let Some(opened) = self.opened.as_ref().filter(|opened| Some(&opened.path) == self.requested.as_ref()) else {
            if self.error.is_none() {
                ui.spinner();
            }
            return;
        };
        match part {
            InspectorTab::Layers => self.layers.ui(ui, &self.inspector, opened, session, &mut self.statistics),
            InspectorTab::Forget => self.forget.ui(ui, &self.inspector, &self.dialogs, opened, session),
            InspectorTab::Discriminator => {
                self.discriminator.ui(ui, &self.inspector, &self.dialogs, opened, session, &mut self.statistics);
            }
        }
    }
}

/// The session's subject under its ablations.
fn inspected(session: &Session, opened: &OpenedModel, statistics: StatisticsSource) -> InspectedSample {
    InspectedSample {
        z: session.subject.z(&opened.config),
        seed: session.seed,
        ablations: session.ablations.clone(),
        statistics,
    }
}

/// Draws a check box for each named ablation set, which turns it on and off; nothing where there are none.
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
