//! The panel that makes a generator forget an object (section 6.3.1): boxes are drawn over it, a regression finds the filters that
//! draw it, and samples are compared with and without these filters.

use std::collections::HashSet;
use std::path::PathBuf;

use egui::{Color32, Key, Modifiers, RichText, Stroke, StrokeKind, Ui};

use super::atlas::{Atlas, cell};
use super::canvas::Canvas;
use super::dialogs::InspectorDialogs;
use super::results::Results;
use super::worker::{AblationComparison, FilterQuery, InspectorRequest, InspectorWorker, OpenedModel};
use crate::app::drops::offered;
use crate::dissect::object::ObjectFilters;
use crate::dissect::removal_figure::SampleSplit;
use crate::latent::boxes::Boxes;
use crate::latent::removal::second_highest_layers;
use crate::latent::session::Session;
use crate::model::{Ablation, ModelConfig};

/// Most samples that are compared: so many with which the filters were found, and so many fresh ones.
const COMPARED: usize = 32;
/// The data in which the bundled network detects windows.
const WINDOW_DATA: &str = "synth:rooms";

#[derive(Default)]
pub(super) struct ForgetPanel {
    canvas: Canvas,
    /// The number of the sample that boxes are drawn on.
    current: u64,
    /// Whether an area is painted instead.
    paints: bool,
    radius: f32,
    controls: bool,
    samples: Option<(u64, Atlas)>,
    requested_samples: Option<(u64, u64)>,
    requested_fit: Option<FilterQuery>,
    found: Option<(FilterQuery, Result<ObjectFilters, String>)>,
    detecting: bool,
    compared: Option<AblationComparison>,
    pub results: Results,
    /// The comparison that the curve belongs to.
    curve_of: Option<AblationComparison>,
    name: String,
    /// The file that was written last.
    pub written: Option<PathBuf>,
}

impl ForgetPanel {
    /// Another model was opened: results of the old one are discarded.
    pub fn reopened(&mut self) {
        *self = Self { written: self.written.take(), ..Self::default() };
    }

    /// Requests everything again: the model has been trained further.
    pub fn refresh(&mut self) {
        (self.requested_samples, self.requested_fit, self.compared, self.curve_of) = (None, None, None, None);
    }

    pub fn failed(&mut self) {
        self.detecting = false;
        self.curve_of = None;
    }

    pub fn take_samples(&mut self, ctx: &egui::Context, seed: u64, pictures: &[crate::image::Picture]) {
        self.samples = Some((seed, Atlas::new(ctx, "boxed samples", pictures.to_vec())));
    }

    pub fn take_found(&mut self, query: FilterQuery, found: Result<ObjectFilters, String>) {
        self.found = Some((query, found));
    }

    pub fn stop_detecting(&mut self) {
        self.detecting = false;
    }

    pub fn ui(
        &mut self,
        ui: &mut Ui,
        inspector: &InspectorWorker,
        dialogs: &InspectorDialogs,
        opened: &OpenedModel,
        session: &mut Session,
    ) {
        let config = &opened.config;
        let mut boxes = session.forget.boxes.clone();
        if boxes.boxes.is_empty() {
            // Without boxes the samples are those of the gallery.
            (boxes.size, boxes.seed) = (config.size, session.seed);
        }
        let (seed, count) = (boxes.seed, session.forget.samples);
        if self.requested_samples != Some((seed, count)) {
            self.requested_samples = Some((seed, count));
            inspector.send(InspectorRequest::Samples { seed, count });
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

    /// Finds the filters again as soon as the pointer releases a box.
    fn fit(&mut self, ui: &Ui, inspector: &InspectorWorker, config: &ModelConfig, session: &Session, boxes: &Boxes) {
        let forget = &session.forget;
        let query = FilterQuery { samples: forget.samples, layer: forget.layer(config), boxes: boxes.clone() };
        let busy = ui.input(|input| input.pointer.any_down());
        if self.requested_fit.as_ref() != Some(&query) && !busy && boxes.boxed_samples() > 0 {
            self.requested_fit = Some(query.clone());
            inspector.send(InspectorRequest::Fit(Box::new(query)));
        }
        if boxes.boxed_samples() == 0 {
            (self.requested_fit, self.found) = (None, None);
        }
    }

    /// Draws the current sample with its boxes, and thumbnails of all samples.
    fn boxing(
        &mut self,
        ui: &mut Ui,
        inspector: &InspectorWorker,
        dialogs: &InspectorDialogs,
        opened: &OpenedModel,
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
            let propose = ui.add_enabled(!self.detecting, egui::Button::new("Propose boxes"));
            let mut about = "Finds the windows of rooms, with a small network trained on rendered rooms".to_owned();
            let data = opened.data.as_deref().unwrap_or("unknown pictures");
            if data != WINDOW_DATA {
                about += &format!("; this model was trained on {data}, where it may find nothing");
            }
            if propose.on_hover_text(about).clicked() {
                self.detecting = true;
                inspector.send(InspectorRequest::DetectWindows { seed: all.seed, count: forget.samples });
            }
            if self.detecting {
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
        self.current = self.current.min(last);
        let before = self.current;
        self.keys(ui, last);
        let Some((_, atlas)) = self.samples.as_ref().filter(|(seed, _)| *seed == all.seed) else {
            ui.spinner();
            return;
        };
        let side = (ui.available_height() * 0.5).clamp(192.0, 384.0);
        let image = atlas.image(self.current as usize, side);
        if self.radius == 0.0 {
            self.radius = opened.config.size as f32 / 10.0;
        }
        if self.paints {
            self.canvas.paint(ui, image, side, opened.config.size, self.radius, &mut forget.area);
        } else {
            let mut boxes = all.boxes.get(&self.current).cloned().unwrap_or_default();
            if self.canvas.boxes(ui, image, side, opened.config.size, &mut boxes) {
                if boxes.is_empty() {
                    all.boxes.remove(&self.current);
                } else {
                    all.boxes.insert(self.current, boxes);
                }
            }
        }
        ui.horizontal_wrapped(|ui| {
            if ui.button("<").on_hover_text("The sample before (Left)").clicked() {
                self.current = self.current.saturating_sub(1);
            }
            if ui.button(">").on_hover_text("The next sample (Right)").clicked() {
                self.current = (self.current + 1).min(last);
            }
            ui.label(format!("sample {}", self.current));
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
        let marked = all.boxed_samples();
        ui.weak(format!("{marked} of {} samples boxed; the paper had 52 boxes on 150", forget.samples));
        egui::ScrollArea::vertical().id_salt("thumbnails").auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing = egui::Vec2::splat(3.0);
            ui.horizontal_wrapped(|ui| {
                for number in 0..=last {
                    let shown = cell(ui, Some(atlas), number as usize, 40.0, format!("boxed sample {number}"));
                    let color = match all.boxes.get(&number).map(Vec::is_empty) {
                        Some(false) => Some(Color32::from_rgb(255, 200, 0)),
                        Some(true) => Some(Color32::from_gray(120)),
                        None => None,
                    };
                    let color = if number == self.current { Some(ui.visuals().selection.bg_fill) } else { color };
                    if let Some(color) = color {
                        ui.painter().rect_stroke(shown.rect, 0.0, Stroke::new(2.0, color), StrokeKind::Inside);
                    }
                    if shown.clicked() {
                        self.current = number;
                    }
                    shown.on_hover_text(format!("sample {number}"));
                }
            });
        });
        if self.current != before {
            self.canvas.reset();
        }
    }

    fn keys(&mut self, ui: &Ui, last: u64) {
        if ui.ctx().text_edit_focused() {
            return;
        }
        let pressed = |key: Key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::ArrowRight) {
            self.current = (self.current + 1).min(last);
            self.canvas.reset();
        }
        if pressed(Key::ArrowLeft) {
            self.current = self.current.saturating_sub(1);
            self.canvas.reset();
        }
    }

    /// Draws the choice of the layer, what the regression found in it, and which of its filters are dropped.
    fn filters(&mut self, ui: &mut Ui, config: &ModelConfig, session: &mut Session, boxes: &Boxes) {
        let forget = &mut session.forget;
        let layer = forget.layer(config);
        let name = |layer: usize| {
            let reading = match second_highest_layers(config).iter().position(|&l| l == layer) {
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
            Some((query, Ok(found))) if query.layer == forget.layer(config) => found,
            Some((_, Err(error))) => {
                ui.colored_label(ui.visuals().error_fg_color, error);
                return;
            }
            _ if boxes.boxed_samples() == 0 => {
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

    /// Compares samples with and without the filters, and draws the controls, the curve and the named sets.
    fn compare(
        &mut self,
        ui: &mut Ui,
        inspector: &InspectorWorker,
        dialogs: &InspectorDialogs,
        opened: &OpenedModel,
        session: &mut Session,
        boxes: &Boxes,
    ) {
        let config = &opened.config;
        let Some((query, Ok(found))) = &self.found else { return };
        let forget = &session.forget;
        if query.layer != forget.layer(config) {
            return;
        }
        let ablation = forget.ablation(config, &found.ranked(), found.positive());
        let chosen: Vec<usize> = ablation.gains.keys().copied().collect();
        let controls =
            [found.random_control(&chosen, 1), found.matched_control(&chosen)].map(|maps| ablation.of(&maps));
        let mut ablations = vec![ablation.clone()];
        if self.controls {
            ablations.extend(controls);
        }
        let boxed = boxes.boxes.iter().filter(|(_, boxes)| !boxes.is_empty()).map(|(&number, _)| number);
        let mut numbers: Vec<u64> = boxed.take(COMPARED).collect();
        // Fresh samples come after those that boxes are drawn on.
        let parts = SampleSplit { fitted: numbers.len(), fresh: forget.samples..forget.samples + COMPARED as u64 };
        numbers.extend(parts.fresh.clone());
        let detects_windows = opened.data.as_deref() == Some(WINDOW_DATA);
        let comparison = AblationComparison { boxes: boxes.clone(), numbers, parts, ablations, detects_windows };
        if self.compared.as_ref() != Some(&comparison)
            && !ui.input(|input| input.pointer.any_down() && *boxes != query.boxes)
        {
            self.compared = Some(comparison.clone());
            self.results.clear_effects();
            inspector.send(InspectorRequest::Compare(Box::new(comparison.clone())));
        }
        let of = |comparison: &AblationComparison| {
            let ablation = &comparison.ablations[0];
            let gain = ablation.gains.values().next().copied();
            (comparison.boxes.clone(), ablation.layer, ablation.area.clone(), gain)
        };
        if self.curve_of.as_ref().is_some_and(|shown| of(shown) != of(&comparison)) {
            // The curve belongs to other boxes, another layer, or another area.
            self.curve_of = None;
            self.results.curve.clear();
            inspector.send(InspectorRequest::Cancel);
        }
        let found = found.clone();
        ui.horizontal_wrapped(|ui| {
            ui.checkbox(&mut self.controls, "Controls").on_hover_text(
                "The same with equally many random filters, and with as many of nearest mean activation: what the paper lacks",
            );
            let running = self.curve_of.is_some() && self.results.progress.is_some_and(|(done, total)| done < total);
            if running {
                let (done, total) = self.results.progress.unwrap_or((0, 1));
                ui.add(egui::ProgressBar::new(done as f32 / total.max(1) as f32).desired_width(140.0).text("curve"));
                if ui.button("Stop").clicked() {
                    inspector.send(InspectorRequest::Cancel);
                    self.curve_of = None;
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
                self.curve_of = Some(comparison.clone());
                inspector.send(InspectorRequest::DoseCurve(Box::new(comparison), Box::new(found)));
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
