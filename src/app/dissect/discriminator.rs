//! What the discriminator's features look for (figure 5), and what decides its verdict on a picture.

use std::path::PathBuf;

use egui::Ui;

use super::atlas::{Atlas, cell};
use super::desk::{Ask, Inspector, Judged, Norms, Opened};
use super::dialogs::Dialogs;
use super::norms::NormsChoice;
use super::subject;
use crate::app::drops::offered;
use crate::dissect::guided::{FEATURES, Feature, Verdict, figure};
use crate::dissect::layers::lit;
use crate::image::Picture;
use crate::latent::session::Session;
use crate::model::Rule;

/// Side of a picture in the figure, and of the judged picture, in points.
const MOST: f32 = 56.0;
const LARGE: f32 = 224.0;

struct Shown {
    random: Vec<Feature>,
    learnt: Vec<Feature>,
    /// Signals and pictures, each of random and learnt features.
    atlases: [[Atlas; 2]; 2],
}

pub(super) struct Judge {
    /// Where the strongest answers are looked for.
    pub data: String,
    count: u64,
    layer: usize,
    first: usize,
    rule: Rule,
    hunting: bool,
    pub progress: Option<(u64, u64)>,
    shown: Option<Shown>,
    /// Whether the pictures themselves are shown instead of what is led back to them.
    pictures: bool,
    file: Option<PathBuf>,
    asked: Option<(Judged, Rule, Norms)>,
    verdict: Option<(f32, Atlas)>,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            data: String::new(),
            count: 2000,
            layer: usize::MAX,
            first: 0,
            rule: Rule::Plain,
            hunting: false,
            progress: None,
            shown: None,
            pictures: false,
            file: None,
            asked: None,
            verdict: None,
        }
    }
}

impl Judge {
    pub fn reopened(&mut self, opened: &Opened) {
        let file = self.file.take();
        *self = Self { data: opened.data.clone().unwrap_or_default(), file, ..Self::default() };
    }

    /// The model has learnt: the verdict is asked for again.
    pub fn refresh(&mut self) {
        self.asked = None;
    }

    pub fn failed(&mut self) {
        self.hunting = false;
    }

    /// The verdict on a picture of the person's own.
    pub fn judge(&mut self, path: PathBuf) {
        self.file = Some(path);
    }

    pub fn take(&mut self, ctx: &egui::Context, random: Vec<Feature>, learnt: Vec<Feature>) {
        self.hunting = false;
        let of = |name: &str, features: &[Feature]| {
            let signals = features.iter().flat_map(|feature| feature.signals.clone()).collect();
            let answers = features.iter().flat_map(|f| f.responses.iter().map(|r| r.picture.clone())).collect();
            [Atlas::new(ctx, &format!("signals {name}"), signals), Atlas::new(ctx, &format!("answers {name}"), answers)]
        };
        let atlases = [of("random", &random), of("learnt", &learnt)];
        self.shown = Some(Shown { random, learnt, atlases });
    }

    pub fn take_verdict(&mut self, ctx: &egui::Context, picture: &Picture, verdict: &Verdict) {
        let pictures = vec![picture.clone(), lit(picture, &verdict.saliency, picture.width())];
        self.verdict = Some((verdict.logit, Atlas::new(ctx, "verdict", pictures)));
    }

    pub fn ui(
        &mut self,
        ui: &mut Ui,
        inspector: &Inspector,
        dialogs: &Dialogs,
        opened: &Opened,
        session: &mut Session,
        norms: &mut NormsChoice,
    ) {
        if !opened.judges {
            ui.heading("This model has no discriminator");
            ui.label(
                "Bundled models, and files written with --generator-only, hold a generator only. Train a model (the button \
                 above begins at once), or open a run folder: both networks are kept there.",
            );
            return;
        }
        ui.horizontal_wrapped(|ui| norms.ui(ui));
        ui.separator();
        self.verdict_ui(ui, inspector, dialogs, opened, session, norms);
        ui.separator();
        self.hunt_ui(ui, inspector, dialogs, opened, norms);
    }

    fn verdict_ui(
        &mut self,
        ui: &mut Ui,
        inspector: &Inspector,
        dialogs: &Dialogs,
        opened: &Opened,
        session: &Session,
        norms: &NormsChoice,
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
            ui.selectable_value(&mut self.rule, Rule::Plain, "gradient");
            ui.selectable_value(&mut self.rule, Rule::Guided, "guided").on_hover_text(
                "Guided backpropagation: only what is positive on the way back (Springenberg et al. 2014)",
            );
        });
        let judged = match &self.file {
            Some(path) => Judged::File(path.clone()),
            None => Judged::Sample(subject(session, opened, norms.norms())),
        };
        let now = (judged, self.rule, norms.norms());
        if self.asked.as_ref() != Some(&now) {
            self.asked = Some(now.clone());
            inspector.ask(Ask::Judge(now.0, now.1, now.2));
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

    fn hunt_ui(
        &mut self,
        ui: &mut Ui,
        inspector: &Inspector,
        dialogs: &Dialogs,
        opened: &Opened,
        norms: &mut NormsChoice,
    ) {
        let stages = opened.config.judging_stages();
        self.layer = self.layer.min(stages - 1);
        let maps = opened.config.seen(self.layer);
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
            if self.hunting {
                let (done, all) = self.progress.unwrap_or((0, 1));
                let share = done as f32 / all.max(1) as f32;
                ui.add(egui::ProgressBar::new(share).desired_width(200.0).text(format!("{done} of {all} pictures")));
                if ui.button("Stop").clicked() {
                    inspector.ask(Ask::Stop);
                    self.hunting = false;
                }
            } else if ui
                .button("Look")
                .on_hover_text("The strongest responses of six features, of trained and of random filters")
                .clicked()
            {
                self.hunting = true;
                self.progress = None;
                norms.use_data(&self.data);
                inspector.ask(Ask::Hunt {
                    data: self.data.clone(),
                    count: self.count,
                    layer: self.layer,
                    maps: (self.first..(self.first + FEATURES).min(maps)).collect(),
                    norms: norms.norms(),
                });
            }
            if let Some(shown) = &self.shown {
                ui.selectable_value(&mut self.pictures, false, "what they see");
                ui.selectable_value(&mut self.pictures, true, "the pictures");
                if ui.button("Save figure...").clicked() {
                    let (random, learnt) = (shown.random.clone(), shown.learnt.clone());
                    dialogs.save_picture("guided.png", move || figure(&random, &learnt));
                }
            }
        });
        let Some(shown) = &self.shown else { return };
        let columns = shown.learnt.first().map_or(1, |feature| feature.responses.len()).max(1);
        let side = ((ui.available_width() - 112.0) / (2 * columns) as f32 - 2.0).clamp(20.0, MOST);
        ui.horizontal_top(|ui| {
            let both = [("random filters", &shown.random), ("trained filters", &shown.learnt)];
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
