//! The panel of the discriminator: the images that its features respond to (figure 5), and which pixels decide how it classifies an
//! image.

use std::path::PathBuf;

use egui::Ui;

use super::atlas::{Atlas, cell};
use super::dialogs::InspectorDialogs;
use super::inspected;
use super::statistics::StatisticsChoice;
use super::worker::{DiscriminatorInput, InspectorRequest, InspectorWorker, OpenedModel, StatisticsSource};
use crate::app::drops::offered;
use crate::dissect::guided::{FIGURE_FEATURES, FeatureResponses};
use crate::dissect::guided_figure::render_guided_figure;
use crate::dissect::layers::highlight;
use crate::dissect::saliency::LogitSaliency;
use crate::image::Picture;
use crate::latent::session::Session;
use crate::model::BackwardRule;

/// Largest side of an image in the figure, and side of the classified image, in points.
const MAX_SIDE: f32 = 56.0;
const LARGE: f32 = 224.0;

/// The result of a search for features.
struct ShownFeatures {
    random: Vec<FeatureResponses>,
    trained: Vec<FeatureResponses>,
    /// Of random and of trained features: the guided gradients, and the images themselves.
    atlases: [[Atlas; 2]; 2],
}

pub(super) struct DiscriminatorPanel {
    /// The data that is searched.
    pub data: String,
    count: u64,
    layer: usize,
    first: usize,
    rule: BackwardRule,
    searching: bool,
    pub progress: Option<(u64, u64)>,
    shown: Option<ShownFeatures>,
    /// Whether the images themselves are shown instead of the guided gradients.
    pictures: bool,
    file: Option<PathBuf>,
    requested: Option<(DiscriminatorInput, BackwardRule, StatisticsSource)>,
    verdict: Option<(f32, Atlas)>,
}

impl Default for DiscriminatorPanel {
    fn default() -> Self {
        Self {
            data: String::new(),
            count: 2000,
            layer: usize::MAX,
            first: 0,
            rule: BackwardRule::Plain,
            searching: false,
            progress: None,
            shown: None,
            pictures: false,
            file: None,
            requested: None,
            verdict: None,
        }
    }
}

impl DiscriminatorPanel {
    pub fn reopened(&mut self, opened: &OpenedModel) {
        let file = self.file.take();
        *self = Self { data: opened.data.clone().unwrap_or_default(), file, ..Self::default() };
    }

    /// Requests the classification again: the model has been trained further.
    pub fn refresh(&mut self) {
        self.requested = None;
    }

    pub fn failed(&mut self) {
        self.searching = false;
    }

    /// Classifies an image file.
    pub fn classify(&mut self, path: PathBuf) {
        self.file = Some(path);
    }

    pub fn take_features(
        &mut self,
        ctx: &egui::Context,
        random: Vec<FeatureResponses>,
        trained: Vec<FeatureResponses>,
    ) {
        self.searching = false;
        let atlases_of = |name: &str, features: &[FeatureResponses]| {
            let signals = features.iter().flat_map(|feature| feature.signals.clone()).collect();
            let images = features.iter().flat_map(|f| f.responses.iter().map(|r| r.picture.clone())).collect();
            [Atlas::new(ctx, &format!("signals {name}"), signals), Atlas::new(ctx, &format!("images {name}"), images)]
        };
        let atlases = [atlases_of("random", &random), atlases_of("trained", &trained)];
        self.shown = Some(ShownFeatures { random, trained, atlases });
    }

    pub fn take_verdict(&mut self, ctx: &egui::Context, picture: &Picture, verdict: &LogitSaliency) {
        let pictures = vec![picture.clone(), highlight(picture, &verdict.saliency, picture.width())];
        self.verdict = Some((verdict.logit, Atlas::new(ctx, "verdict", pictures)));
    }

    pub fn ui(
        &mut self,
        ui: &mut Ui,
        inspector: &InspectorWorker,
        dialogs: &InspectorDialogs,
        opened: &OpenedModel,
        session: &mut Session,
        statistics: &mut StatisticsChoice,
    ) {
        if !opened.has_discriminator {
            ui.heading("This model has no discriminator");
            ui.label(
                "Bundled models, and files written with --generator-only, hold a generator only. Train a model (the button \
                 above begins at once), or open a run folder: both networks are kept there.",
            );
            return;
        }
        ui.horizontal_wrapped(|ui| statistics.ui(ui));
        ui.separator();
        self.verdict_ui(ui, inspector, dialogs, opened, session, statistics);
        ui.separator();
        self.features_ui(ui, inspector, dialogs, opened, statistics);
    }

    fn verdict_ui(
        &mut self,
        ui: &mut Ui,
        inspector: &InspectorWorker,
        dialogs: &InspectorDialogs,
        opened: &OpenedModel,
        session: &Session,
        statistics: &StatisticsChoice,
    ) {
        ui.strong("What decides the verdict");
        ui.horizontal_wrapped(|ui| {
            if offered(ui.ctx()) {
                ui.label("Drop a picture on the window, ");
            }
            if ui.button("Open a picture...").clicked() {
                dialogs.ask_picture();
            }
            if self.file.is_some() {
                if ui.button("Back to the sample").clicked() {
                    self.file = None;
                }
            } else {
                ui.label(format!("or click a sample on the left: {} is judged", session.subject.name()));
            }
            ui.separator();
            ui.selectable_value(&mut self.rule, BackwardRule::Plain, "gradient");
            ui.selectable_value(&mut self.rule, BackwardRule::Guided, "guided").on_hover_text(
                "Guided backpropagation: only what is positive on the way back (Springenberg et al. 2014)",
            );
        });
        let input = match &self.file {
            Some(path) => DiscriminatorInput::File(path.clone()),
            None => DiscriminatorInput::Sample(inspected(session, opened, statistics.source())),
        };
        let request = (input, self.rule, statistics.source());
        if self.requested.as_ref() != Some(&request) {
            self.requested = Some(request.clone());
            inspector.send(InspectorRequest::Discriminate(request.0, request.1, request.2));
        }
        let Some((logit, atlas)) = &self.verdict else { return };
        ui.horizontal(|ui| {
            cell(ui, Some(atlas), 0, LARGE, "judged picture".to_owned());
            cell(ui, Some(atlas), 1, LARGE, "what decides the verdict".to_owned())
                .on_hover_text("Lit where a change of the pixel moves the verdict most");
            ui.vertical(|ui| {
                let class = if *logit > 0.0 { "real" } else { "generated" };
                ui.label(format!("classified as {class}"));
                ui.weak(format!("logit {logit:+.2}; {:.0} % real", 100.0 / (1.0 + (-logit).exp())));
                if let Some(path) = &self.file {
                    ui.weak(path.display().to_string());
                }
            });
        });
    }

    fn features_ui(
        &mut self,
        ui: &mut Ui,
        inspector: &InspectorWorker,
        dialogs: &InspectorDialogs,
        opened: &OpenedModel,
        statistics: &mut StatisticsChoice,
    ) {
        let stages = opened.config.discriminator_stages();
        self.layer = self.layer.min(stages - 1);
        let maps = opened.config.discriminator_maps(self.layer);
        ui.strong("What its features look for").on_hover_text(
            "The pictures that features answer to most, and what in them, by guided backpropagation (figure 5)",
        );
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("among");
            ui.add(egui::DragValue::new(&mut self.count).range(10..=1_000_000).speed(10)).labelled_by(label.id);
            let label = ui.label("pictures of");
            ui.add(egui::TextEdit::singleline(&mut self.data).desired_width(180.0)).labelled_by(label.id);
            if ui.button("Folder...").clicked() {
                dialogs.ask_data();
            }
            egui::ComboBox::from_label("convolution")
                .selected_text(format!("down{}", self.layer + 1))
                .width(80.0)
                .show_ui(ui, |ui| {
                    for layer in 0..stages {
                        let last = if layer == stages - 1 { ", the last" } else { "" };
                        ui.selectable_value(&mut self.layer, layer, format!("down{}{last}", layer + 1));
                    }
                });
            self.first = self.first.min(maps - 1);
            let label = ui.label("features from");
            ui.add(egui::DragValue::new(&mut self.first).range(0..=maps - 1)).labelled_by(label.id);
        });
        ui.horizontal_wrapped(|ui| {
            if self.searching {
                let (done, total) = self.progress.unwrap_or((0, 1));
                let share = done as f32 / total.max(1) as f32;
                ui.add(egui::ProgressBar::new(share).desired_width(200.0).text(format!("{done} of {total} pictures")));
                if ui.button("Stop").clicked() {
                    inspector.send(InspectorRequest::Cancel);
                    self.searching = false;
                }
            } else if ui
                .button("Look")
                .on_hover_text("The strongest responses of six features, of trained and of random filters")
                .clicked()
            {
                self.searching = true;
                self.progress = None;
                statistics.use_data(&self.data);
                inspector.send(InspectorRequest::FindFeatures {
                    data: self.data.clone(),
                    count: self.count,
                    layer: self.layer,
                    maps: (self.first..(self.first + FIGURE_FEATURES).min(maps)).collect(),
                    statistics: statistics.source(),
                });
            }
            if let Some(shown) = &self.shown {
                ui.selectable_value(&mut self.pictures, false, "what they see");
                ui.selectable_value(&mut self.pictures, true, "the pictures");
                if ui.button("Save figure...").clicked() {
                    let (random, trained) = (shown.random.clone(), shown.trained.clone());
                    dialogs.save_picture("guided.png", move || render_guided_figure(&random, &trained));
                }
            }
        });
        let Some(shown) = &self.shown else { return };
        let columns = shown.trained.first().map_or(1, |feature| feature.responses.len()).max(1);
        let side = ((ui.available_width() - 112.0) / (2 * columns) as f32 - 2.0).clamp(20.0, MAX_SIDE);
        ui.horizontal_top(|ui| {
            let both = [("random filters", &shown.random), ("trained filters", &shown.trained)];
            for (i, (title, features)) in both.into_iter().enumerate() {
                ui.vertical(|ui| {
                    ui.strong(title);
                    ui.spacing_mut().item_spacing = egui::Vec2::splat(2.0);
                    for (row, feature) in features.iter().enumerate() {
                        ui.horizontal(|ui| {
                            let number = egui::Label::new(egui::RichText::new(feature.map.to_string()).weak());
                            ui.add_sized([24.0, side], number).on_hover_text(format!("feature {}", feature.map));
                            for (column, response) in feature.responses.iter().enumerate() {
                                let atlas = &shown.atlases[i][usize::from(self.pictures)];
                                let name = format!("{title} feature {}, answer {column}", feature.map);
                                cell(ui, Some(atlas), row * columns + column, side, name).on_hover_text(format!(
                                    "feature {}, response {:.2} to picture {}",
                                    feature.map, response.value, response.number
                                ));
                            }
                        });
                    }
                });
                ui.add_space(12.0);
            }
        });
    }
}
