//! Sliders: directions of Z, each moved by standard deviations, with a strip of what it does.

use std::collections::HashMap;

use egui::Ui;

use super::Explorer;
use super::views::cell;
use super::worker::{Request, Slot, Worker};
use crate::latent::directions::{Direction, Method, strip};
use crate::latent::session::Slider;
use crate::latent::{arithmetic, vector};
use crate::model::ModelConfig;

/// The strip's positions, in standard deviations.
const STRIP: [f32; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];

/// Where a slider comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Found(Method),
    Own,
}

/// What was found in the model so far.
pub(super) struct Found {
    source: Source,
    found: HashMap<Method, Vec<Direction>>,
    asked: Vec<Method>,
    /// The direction whose strip is shown.
    shown: Option<Direction>,
    name: String,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            source: Source::Found(Method::Ganspace),
            found: HashMap::new(),
            asked: Vec::new(),
            shown: None,
            name: String::new(),
        }
    }
}

impl Found {
    /// What was found by a method; it is looked for when it is first asked for.
    pub fn find(&mut self, worker: &Worker, method: Method) -> Option<&Vec<Direction>> {
        if !self.asked.contains(&method) {
            self.asked.push(method);
            worker.send(Request::Find(method));
        }
        self.found.get(&method)
    }

    pub fn take(&mut self, method: Method, directions: Vec<Direction>) {
        self.found.insert(method, directions);
    }
}

impl Explorer {
    pub(super) fn directions(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let z = self.session.moved(config);
        ui.horizontal_top(|ui| {
            let both = vec![z.clone(), self.session.subject.z(config)];
            cell(ui, self.views.of(&self.worker, Slot::Pointer, both.clone()), 0, 240.0, "moved sample");
            ui.vertical(|ui| {
                ui.label(format!("{}, moved by the sliders", self.session.subject.name()));
                let shown = self.views.of(&self.worker, Slot::Pointer, both);
                cell(ui, shown, 1, 80.0, "sample as it was").on_hover_text("As it was");
                let fit = arithmetic::fit(config.prior, &z);
                if fit.outside() {
                    let text = format!("Outside the prior: {:+.1} deviations", fit.deviations);
                    ui.colored_label(ui.visuals().warn_fg_color, text);
                }
                self.moved_actions(ui, &z);
            });
        });
        ui.separator();
        ui.horizontal_wrapped(|ui| {
            let methods = [
                (Source::Found(Method::Ganspace), "GANSpace", "Principal directions of the first feature layer"),
                (Source::Found(Method::Sefa), "SeFa", "Directions in closed form from the first layer's weights"),
                (Source::Found(Method::Raw), "Coordinates", "Coordinates of z, those that change most first"),
                (Source::Own, "Your own", "Concepts from the arithmetic, and combinations that were saved"),
            ];
            for (source, name, about) in methods {
                ui.selectable_value(&mut self.directions.source, source, name).on_hover_text(about);
            }
        });
        let list = match self.directions.source {
            Source::Own => self.session.concepts.clone(),
            Source::Found(method) => {
                let Some(found) = self.directions.find(&self.worker, method) else {
                    ui.horizontal(|ui| {
                        ui.spinner();
                        ui.label("looking at what the generator does with Z");
                    });
                    return;
                };
                found.clone()
            }
        };
        if list.is_empty() {
            ui.label("None yet: save a concept from the arithmetic, or a combination of sliders here.");
        }
        self.sliders(ui, list);
        self.strip(ui, config);
    }

    fn moved_actions(&mut self, ui: &mut Ui, z: &[f32]) {
        ui.horizontal(|ui| {
            if ui.button("Reset sliders").clicked() {
                self.session.sliders.clear();
            }
            if ui.button("Keep").on_hover_text("Puts it on the shelf, to be used as a sample").clicked() {
                self.keep(format!("{}, moved", self.session.subject.name()), z.to_vec());
            }
        });
        ui.horizontal(|ui| {
            ui.add(egui::TextEdit::singleline(&mut self.directions.name).hint_text("name").desired_width(100.0));
            let ready = !self.session.sliders.is_empty() && !self.directions.name.trim().is_empty();
            let save = ui.add_enabled(ready, egui::Button::new("Save combination"));
            if save.on_hover_text("All sliders as they stand, as one direction of your own").clicked() {
                let zero = vec![0.0; z.len()];
                let sliders = self.session.sliders.iter();
                let sum = sliders.fold(zero, |sum, s| vector::along(&sum, &s.direction.vector, s.amount));
                let name = std::mem::take(&mut self.directions.name).trim().to_owned();
                let weight = vector::norm(&sum);
                self.session.concepts.push(Direction { name, vector: sum, weight });
            }
        });
    }

    fn sliders(&mut self, ui: &mut Ui, list: Vec<Direction>) {
        let width = ui.available_width();
        let columns = ((width / 330.0) as usize).clamp(1, 3);
        egui::Grid::new("sliders").num_columns(columns * 2).spacing([8.0, 4.0]).show(ui, |ui| {
            for (i, direction) in list.into_iter().enumerate() {
                let moved = self.session.sliders.iter().position(|slider| slider.direction == direction);
                let mut amount = moved.map_or(0.0, |at| self.session.sliders[at].amount);
                let chosen = self.directions.shown.as_ref() == Some(&direction);
                let name = ui.selectable_label(chosen, &direction.name);
                if name.on_hover_text("Click for a strip from -3 to +3").clicked() {
                    self.directions.shown = Some(direction.clone());
                }
                ui.spacing_mut().slider_width = 150.0;
                if ui.add(egui::Slider::new(&mut amount, -3.0..=3.0).fixed_decimals(1)).changed() {
                    self.directions.shown = Some(direction.clone());
                    match moved {
                        Some(at) => self.session.sliders[at].amount = amount,
                        None => self.session.sliders.push(Slider { direction, amount }),
                    }
                }
                if (i + 1) % columns == 0 {
                    ui.end_row();
                }
            }
        });
    }

    fn strip(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let Some(direction) = self.directions.shown.clone() else { return };
        ui.separator();
        ui.label(format!("{} from -3 to +3 standard deviations", direction.name));
        let z = strip(&self.session.subject.z(config), &direction.vector, STRIP);
        let side = ((ui.available_width() - 40.0) / STRIP.len() as f32).clamp(40.0, 150.0);
        let shown = self.views.of(&self.worker, Slot::Strip, z);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (i, amount) in STRIP.into_iter().enumerate() {
                cell(ui, shown, i, side, &format!("{amount:+}")).on_hover_text(format!("{amount:+} deviations"));
            }
        });
    }
}
