//! Forgetting an object (section 6.3.1): boxes over it, the filters they lead to, and the samples without those.

use std::collections::HashSet;
use std::path::PathBuf;

use egui::{Color32, Key, Modifiers, RichText, Stroke, StrokeKind, Ui};

use super::atlas::{Atlas, cell};
use super::canvas::Canvas;
use super::desk::{Ask, Comparison, Inspector, Opened, Study};
use super::dialogs::Dialogs;
use super::results::Results;
use crate::app::drops::offered;
use crate::dissect::figure::Parts;
use crate::dissect::object::Found;
use crate::latent::boxes::{Boxes, second_highest};
use crate::latent::session::Session;
use crate::model::{Ablation, ModelConfig};

/// Samples that are compared, at most: so many that the filters were found with, and so many fresh ones.
const COMPARED: usize = 32;
/// What the bundled finder finds.
const FINDS: &str = "synth:rooms";

#[derive(Default)]
pub(super) struct Forget {
    canvas: Canvas,
    /// The sample that is boxed.
    at: u64,
    paints: bool,
    radius: f32,
    controls: bool,
    samples: Option<(u64, Atlas)>,
    samples_asked: Option<(u64, u64)>,
    fit_asked: Option<Study>,
    found: Option<(Study, Result<Found, String>)>,
    proposing: bool,
    compared: Option<Comparison>,
    pub results: Results,
    /// What the curve was measured for.
    curved: Option<Comparison>,
    name: String,
    /// What was written last, to tell the person.
    pub written: Option<PathBuf>,
}

impl Forget {
    /// Another model: all that was found is of the old one.
    pub fn reopened(&mut self) {
        *self = Self { written: self.written.take(), ..Self::default() };
    }

    /// The model has learnt: everything is asked for again.
    pub fn refresh(&mut self) {
        (self.samples_asked, self.fit_asked, self.compared, self.curved) = (None, None, None, None);
    }

    pub fn failed(&mut self) {
        self.proposing = false;
        self.curved = None;
    }

    pub fn take_samples(&mut self, ctx: &egui::Context, seed: u64, pictures: &[crate::image::Picture]) {
        self.samples = Some((seed, Atlas::new(ctx, "boxed samples", pictures.to_vec())));
    }

    pub fn take_found(&mut self, study: Study, found: Result<Found, String>) {
        self.found = Some((study, found));
    }

    pub fn proposed(&mut self) {
        self.proposing = false;
    }

    pub fn ui(
        &mut self,
        ui: &mut Ui,
        inspector: &Inspector,
        dialogs: &Dialogs,
        opened: &Opened,
        session: &mut Session,
    ) {
        let config = &opened.config;
        let mut boxes = session.forget.boxes.clone();
        if boxes.boxes.is_empty() {
            // Nothing is drawn yet: the samples are those of the gallery.
            (boxes.size, boxes.seed) = (config.size, session.seed);
        }
        let wanted = (boxes.seed, session.forget.samples);
        if self.samples_asked != Some(wanted) {
            self.samples_asked = Some(wanted);
            inspector.ask(Ask::Samples { seed: wanted.0, count: wanted.1 });
        }
        self.fit(ui, inspector, config, session, &boxes);
        let height = ui.available_height();
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                ui.set_width(416.0);
                ui.set_height(height);
                self.boxing(ui, inspector, dialogs, opened, session, &mut boxes);
            });
            ui.separator();
            ui.vertical(|ui| {
                egui::ScrollArea::vertical().id_salt("forgotten").auto_shrink(false).show(ui, |ui| {
                    self.filters(ui, config, session, &boxes);
                    self.compare(ui, inspector, dialogs, opened, session, &boxes);
                });
            });
        });
        if boxes.boxes != session.forget.boxes.boxes {
            session.forget.boxes = boxes;
        }
    }

    /// Refits as soon as a box is let go.
    fn fit(&mut self, ui: &Ui, inspector: &Inspector, config: &ModelConfig, session: &Session, boxes: &Boxes) {
        let forget = &session.forget;
        let study = Study { samples: forget.samples, layer: forget.layer(config), boxes: boxes.clone() };
        let busy = ui.input(|input| input.pointer.any_down());
        if self.fit_asked.as_ref() != Some(&study) && !busy && boxes.marked() > 0 {
            self.fit_asked = Some(study.clone());
            inspector.ask(Ask::Fit(Box::new(study)));
        }
        if boxes.marked() == 0 {
            (self.fit_asked, self.found) = (None, None);
        }
    }

    /// The sample with its boxes, and all samples small.
    fn boxing(
        &mut self,
        ui: &mut Ui,
        inspector: &Inspector,
        dialogs: &Dialogs,
        opened: &Opened,
        session: &mut Session,
        all: &mut Boxes,
    ) {
        let forget = &mut session.forget;
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("Object");
            ui.add(egui::TextEdit::singleline(&mut forget.object).desired_width(70.0)).labelled_by(label.id);
            let label = ui.label("on");
            ui.add(egui::DragValue::new(&mut forget.samples).range(2..=2000)).labelled_by(label.id);
            ui.label("samples");
            let propose = ui.add_enabled(!self.proposing, egui::Button::new("Propose boxes"));
            let mut about = "Finds the windows of rooms, with a small network trained on rendered rooms".to_owned();
            let data = opened.data.as_deref().unwrap_or("unknown pictures");
            if data != FINDS {
                about += &format!("; this model was trained on {data}, where it may find nothing");
            }
            if propose.on_hover_text(about).clicked() {
                self.proposing = true;
                inspector.ask(Ask::Propose { seed: all.seed, count: forget.samples });
            }
            if self.proposing {
                ui.spinner();
            }
            ui.menu_button("Boxes", |ui| {
                if ui.button("Open...").clicked() {
                    dialogs.ask_boxes();
                }
                if ui.button("Save as...").clicked() {
                    dialogs.save_boxes(all.clone());
                }
                if ui.button("Clear all").clicked() {
                    all.boxes.clear();
                }
                if offered(ui.ctx()) {
                    ui.weak("A JSON file can be dropped on the window too");
                }
            });
        });
        let last = forget.samples.saturating_sub(1);
        self.at = self.at.min(last);
        let before = self.at;
        self.keys(ui, last);
        let Some((_, atlas)) = self.samples.as_ref().filter(|(seed, _)| *seed == all.seed) else {
            ui.spinner();
            return;
        };
        let side = (ui.available_height() * 0.5).clamp(192.0, 384.0);
        let image = atlas.image(self.at as usize, side);
        if self.radius == 0.0 {
            self.radius = opened.config.size as f32 / 10.0;
        }
        if self.paints {
            self.canvas.paint(ui, image, side, opened.config.size, self.radius, &mut forget.area);
        } else {
            let mut boxes = all.boxes.get(&self.at).cloned().unwrap_or_default();
            if self.canvas.boxes(ui, image, side, opened.config.size, &mut boxes) {
                if boxes.is_empty() {
                    all.boxes.remove(&self.at);
                } else {
                    all.boxes.insert(self.at, boxes);
                }
            }
        }
        ui.horizontal_wrapped(|ui| {
            if ui.button("<").on_hover_text("The sample before (Left)").clicked() {
                self.at = self.at.saturating_sub(1);
            }
            if ui.button(">").on_hover_text("The next sample (Right)").clicked() {
                self.at = (self.at + 1).min(last);
            }
            ui.label(format!("sample {}", self.at));
            ui.add_space(8.0);
            ui.selectable_value(&mut self.paints, false, "Boxes")
                .on_hover_text("Drag to draw; drag a box or its corner to move it; Delete removes the chosen one");
            ui.selectable_value(&mut self.paints, true, "Where")
                .on_hover_text("Paint where filters are dropped; right button wipes");
        });
        if self.paints {
            ui.horizontal_wrapped(|ui| {
                ui.label("Brush");
                ui.add(egui::Slider::new(&mut self.radius, 1.0..=opened.config.size as f32 / 4.0).show_value(false));
                let everywhere = ui.add_enabled(forget.area.is_some(), egui::Button::new("Everywhere again"));
                if everywhere.on_hover_text("As in the paper").clicked() {
                    forget.area = None;
                }
            });
        }
        let marked = all.marked();
        ui.weak(format!("{marked} of {} samples boxed; the paper had 52 boxes on 150", forget.samples));
        egui::ScrollArea::vertical().id_salt("thumbnails").auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing = egui::Vec2::splat(3.0);
            ui.horizontal_wrapped(|ui| {
                for number in 0..=last {
                    let shown = cell(ui, Some(atlas), number as usize, 40.0, format!("boxed sample {number}"));
                    let colour = match all.boxes.get(&number).map(Vec::is_empty) {
                        Some(false) => Some(Color32::from_rgb(255, 200, 0)),
                        Some(true) => Some(Color32::from_gray(120)),
                        None => None,
                    };
                    let colour = if number == self.at { Some(ui.visuals().selection.bg_fill) } else { colour };
                    if let Some(colour) = colour {
                        ui.painter().rect_stroke(shown.rect, 0.0, Stroke::new(2.0, colour), StrokeKind::Inside);
                    }
                    if shown.clicked() {
                        self.at = number;
                    }
                    shown.on_hover_text(format!("sample {number}"));
                }
            });
        });
        if self.at != before {
            self.canvas.let_go();
        }
    }

    fn keys(&mut self, ui: &Ui, last: u64) {
        if ui.ctx().text_edit_focused() {
            return;
        }
        let pressed = |key: Key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::ArrowRight) {
            self.at = (self.at + 1).min(last);
            self.canvas.let_go();
        }
        if pressed(Key::ArrowLeft) {
            self.at = self.at.saturating_sub(1);
            self.canvas.let_go();
        }
    }

    /// The layer, what the regression found in it, and which of its filters are dropped.
    fn filters(&mut self, ui: &mut Ui, config: &ModelConfig, session: &mut Session, boxes: &Boxes) {
        let forget = &mut session.forget;
        let layer = forget.layer(config);
        let name = |layer: usize| {
            let reading = match second_highest(config).iter().position(|&l| l == layer) {
                Some(0) => ", second highest",
                Some(_) => ", second highest if the projection counts",
                None => "",
            };
            config.layer_name(layer) + reading
        };
        ui.horizontal_wrapped(|ui| {
            let mut chosen = layer;
            egui::ComboBox::from_label("layer").selected_text(name(layer)).width(330.0).show_ui(ui, |ui| {
                for layer in 0..config.stages() {
                    ui.selectable_value(&mut chosen, layer, name(layer));
                }
            });
            if chosen != layer {
                forget.layer = Some(chosen);
                forget.toggled.clear();
                forget.top = None;
            }
        });
        let found = match &self.found {
            Some((study, Ok(found))) if study.layer == forget.layer(config) => found,
            Some((_, Err(error))) => {
                ui.colored_label(ui.visuals().error_fg_color, error);
                return;
            }
            _ if boxes.marked() == 0 => {
                ui.add_space(8.0);
                ui.label(format!(
                    "Draw a box over a {} on the left, on as many samples as you like; or",
                    forget.object
                ));
                ui.label(
                    "let boxes be proposed. The filters that tell boxes from the rest are then found and dropped.",
                );
                return;
            }
            _ => {
                ui.spinner();
                return;
            }
        };
        let auc = match found.auc {
            Some(auc) => format!("held-out AUC {auc:.3}"),
            None => "one picture cannot be held out".to_owned(),
        };
        let dead = found.filters.iter().filter(|filter| filter.mean == 0.0).count();
        let silent =
            if dead > 0 { format!("; {dead} filters are never active here and tell nothing") } else { String::new() };
        let unused = match found.unused {
            0 => String::new(),
            count => format!("; {count} samples without a {} are not used", forget.object),
        };
        ui.label(format!(
            "{auc}; {} places on the {} of {} samples, {} off it on the same samples{unused}{silent}",
            found.on, forget.object, found.pictures, found.off
        ))
        .on_hover_text("How often a place in a box has the larger score, on samples the regression has not seen");
        let (count, positive) = (found.filters.len(), found.positive());
        ui.horizontal_wrapped(|ui| {
            let mut top = forget.top.unwrap_or(positive);
            ui.spacing_mut().slider_width = 180.0;
            let slider = ui.add(egui::Slider::new(&mut top, 0..=count).text("filters dropped, by weight"));
            if slider.changed() {
                forget.top = Some(top);
                forget.toggled.clear();
            }
            let paper = ui.selectable_label(forget.top.is_none(), format!("weight > 0 ({positive})"));
            if paper.on_hover_text("As in the paper").clicked() {
                forget.top = None;
                forget.toggled.clear();
            }
            let label = ui.label("times");
            ui.add(egui::DragValue::new(&mut forget.gain).range(-2.0..=4.0).speed(0.02))
                .labelled_by(label.id)
                .on_hover_text("0 drops filters, as the paper does; 2 doubles them");
        });
        let dropped: HashSet<usize> = forget.ablation(config, &found.ranked(), positive).gains.into_keys().collect();
        egui::ScrollArea::vertical().id_salt("filters").max_height(84.0).show(ui, |ui| {
            ui.spacing_mut().item_spacing = egui::Vec2::splat(2.0);
            ui.horizontal_wrapped(|ui| {
                for filter in &found.filters {
                    let on = dropped.contains(&filter.map);
                    let text = RichText::new(format!("{} {:+.2}", filter.map, filter.weight)).small();
                    let toggle = ui.selectable_label(on, text);
                    if toggle.clicked() {
                        forget.toggled.insert(filter.map, !on);
                    }
                    let about = format!(
                        "Filter {}: weight {:+.3} a standard deviation, mean activation {:.3}; click to drop or keep it",
                        filter.map, filter.weight, filter.mean
                    );
                    toggle.on_hover_text(about);
                }
            });
        });
    }

    /// With and without, live; the controls; the curve; and the named sets.
    fn compare(
        &mut self,
        ui: &mut Ui,
        inspector: &Inspector,
        dialogs: &Dialogs,
        opened: &Opened,
        session: &mut Session,
        boxes: &Boxes,
    ) {
        let config = &opened.config;
        let Some((study, Ok(found))) = &self.found else { return };
        let forget = &session.forget;
        if study.layer != forget.layer(config) {
            return;
        }
        let ablation = forget.ablation(config, &found.ranked(), found.positive());
        let chosen: Vec<usize> = ablation.gains.keys().copied().collect();
        let controls = [found.random(&chosen, 1), found.matched(&chosen)].map(|maps| ablation.of(&maps));
        let mut ablations = vec![ablation.clone()];
        if self.controls {
            ablations.extend(controls);
        }
        let boxed = boxes.boxes.iter().filter(|(_, boxes)| !boxes.is_empty()).map(|(&number, _)| number);
        let mut numbers: Vec<u64> = boxed.take(COMPARED).collect();
        // The first that nobody looks at while boxing.
        let parts = Parts { fitted: numbers.len(), fresh: forget.samples..forget.samples + COMPARED as u64 };
        numbers.extend(parts.fresh.clone());
        let looks = opened.data.as_deref() == Some(FINDS);
        let comparison = Comparison { boxes: boxes.clone(), numbers, parts, ablations, looks };
        if self.compared.as_ref() != Some(&comparison)
            && !ui.input(|input| input.pointer.any_down() && *boxes != study.boxes)
        {
            self.compared = Some(comparison.clone());
            self.results.forget_effects();
            inspector.ask(Ask::Compare(Box::new(comparison.clone())));
        }
        let of = |comparison: &Comparison| {
            let ablation = &comparison.ablations[0];
            let gain = ablation.gains.values().next().copied();
            (comparison.boxes.clone(), ablation.layer, ablation.area.clone(), gain)
        };
        if self.curved.as_ref().is_some_and(|curved| of(curved) != of(&comparison)) {
            // The curve was of other boxes, another layer, or another place.
            self.curved = None;
            self.results.curve.clear();
            inspector.ask(Ask::Stop);
        }
        let found = found.clone();
        ui.horizontal_wrapped(|ui| {
            ui.checkbox(&mut self.controls, "Controls").on_hover_text(
                "The same with equally many random filters, and with as many of nearest mean activation: what the paper lacks",
            );
            let running = self.curved.is_some() && self.results.progress.is_some_and(|(done, all)| done < all);
            if running {
                let (done, all) = self.results.progress.unwrap_or((0, 1));
                ui.add(egui::ProgressBar::new(done as f32 / all.max(1) as f32).desired_width(140.0).text("curve"));
                if ui.button("Stop").clicked() {
                    inspector.ask(Ask::Stop);
                    self.curved = None;
                    self.results.progress = None;
                }
            } else if ui
                .button("Dose-response curve")
                .on_hover_text(
                    "More and more filters dropped: what goes of the object, and what else changes. Measured on the fresh \
                     samples where windows can be looked for, otherwise on those with boxes",
                )
                .clicked()
            {
                self.results.curve.clear();
                self.results.progress = Some((0, 1));
                self.curved = Some(comparison.clone());
                inspector.ask(Ask::Curve(Box::new(comparison), Box::new(found)));
            }
            if ui.button("Save figure...").on_hover_text("A PNG: as drawn, without, and the controls").clicked()
                && let Some(figure) = self.results.figure()
            {
                dialogs.save_picture("forgotten.png", figure);
            }
            ui.separator();
            ui.add(egui::TextEdit::singleline(&mut self.name).hint_text(&ablation.name).desired_width(90.0));
            let keep = ui.add_enabled(!ablation.gains.is_empty(), egui::Button::new("Keep as a set"));
            let about = "Dropped then in every tool and export, until the set is turned off above";
            if keep.on_hover_text(about).clicked() {
                let name = std::mem::take(&mut self.name).trim().to_owned();
                let name = if name.is_empty() { ablation.name.clone() } else { name };
                session.ablations.retain(|other| other.name != name);
                session.ablations.push(Ablation { name, ..ablation });
            }
        });
        if let Some(path) = &self.written {
            ui.weak(format!("written: {}", path.display()));
        }
        if session.forget.area.is_some() {
            ui.weak("Dropped only where it is painted (Where, on the left).");
        }
        self.results.plots(ui);
        self.results.grids(ui, self.controls);
    }
}
