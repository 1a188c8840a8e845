//! Sliders: directions of Z, each moved by standard deviations, each with a strip of what it does.

use std::collections::HashMap;
use std::sync::Arc;

use egui::{Key, Modifiers, Ui};

use super::Explorer;
use super::concepts::{remove, rename};
use super::drag::Carried;
use super::plans::{Kept, strips};
use super::worker::{Request, Slot, Worker};
use crate::latent::directions::{DirectionMethod, LatentDirection};
use crate::latent::session::{Session, Slider};
use crate::latent::vector;
use crate::model::ModelConfig;

/// The strips' positions, in standard deviations.
const STRIP: [f32; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];
/// Side of the moved sample's picture, in points.
const LARGE: f32 = 192.0;
/// Height of a slider's row.
const ROW: f32 = 34.0;

/// Where a slider comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Found(DirectionMethod),
    Own,
}

const SOURCES: [(Source, &str, &str); 4] = [
    (Source::Found(DirectionMethod::Ganspace), "GANSpace", "Principal directions of the first feature layer"),
    (Source::Found(DirectionMethod::Sefa), "SeFa", "Directions in closed form from the first layer's weights"),
    (Source::Found(DirectionMethod::Raw), "Coordinates", "Coordinates of z, those that change most first"),
    (Source::Own, "Your own", "Concepts from the arithmetic, and combinations that were saved"),
];

/// What was found in the model so far.
pub(super) struct Found {
    source: Source,
    found: HashMap<DirectionMethod, Arc<[LatentDirection]>>,
    asked: Vec<DirectionMethod>,
    /// The direction whose strip is shown large.
    chosen: Option<LatentDirection>,
    strips: Kept<(Vec<LatentDirection>, Vec<f32>)>,
    strip: Kept<(LatentDirection, Vec<f32>)>,
    /// The name that a direction or a combination is saved under.
    name: String,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            source: Source::Found(DirectionMethod::Ganspace),
            found: HashMap::new(),
            asked: Vec::new(),
            chosen: None,
            strips: Kept::default(),
            strip: Kept::default(),
            name: String::new(),
        }
    }
}

impl Found {
    /// What was found by a method; it is looked for when it is first asked for.
    pub fn find(&mut self, worker: &Worker, method: DirectionMethod) -> Option<Arc<[LatentDirection]>> {
        if !self.asked.contains(&method) {
            self.asked.push(method);
            worker.send(Request::Find(method));
        }
        self.found.get(&method).cloned()
    }

    /// Everything that was found so far.
    pub fn all(&self) -> impl Iterator<Item = &LatentDirection> {
        [DirectionMethod::Ganspace, DirectionMethod::Sefa, DirectionMethod::Raw]
            .iter()
            .filter_map(|method| self.found.get(method))
            .flat_map(|d| d.iter())
    }

    pub fn take(&mut self, method: DirectionMethod, directions: Vec<LatentDirection>) {
        self.found.insert(method, directions.into());
    }
}

/// How far a direction is moved.
fn amount(session: &Session, direction: &LatentDirection) -> f32 {
    session.sliders.iter().find(|slider| slider.direction == *direction).map_or(0.0, |slider| slider.amount)
}

/// Moves a direction; at zero it leaves no trace.
fn slide(session: &mut Session, direction: &LatentDirection, amount: f32) {
    let at = session.sliders.iter().position(|slider| slider.direction == *direction);
    match (at, amount == 0.0) {
        (Some(at), true) => drop(session.sliders.remove(at)),
        (Some(at), false) => session.sliders[at].amount = amount,
        (None, true) => {}
        (None, false) => session.sliders.push(Slider { direction: direction.clone(), amount }),
    }
}

impl Explorer {
    pub(super) fn directions(&mut self, ui: &mut Ui, config: &ModelConfig, keys: bool) {
        let list: Arc<[LatentDirection]> = match self.directions.source {
            Source::Own => self.session.concepts.clone().into(),
            Source::Found(method) => self.directions.find(&self.worker, method).unwrap_or_default(),
        };
        if keys {
            self.direction_keys(ui, &list);
        }
        self.views.ask(&self.worker, Slot::Pointer, &self.plans.moved);
        ui.horizontal_top(|ui| {
            self.subject(ui);
            ui.vertical(|ui| {
                self.moved_actions(ui, config);
                self.large_strip(ui, config);
            });
        });
        ui.horizontal_wrapped(|ui| {
            for (source, name, about) in SOURCES {
                ui.selectable_value(&mut self.directions.source, source, name).on_hover_text(about);
            }
        });
        if list.is_empty() {
            if self.directions.source == Source::Own {
                ui.label(
                    "None yet: save a concept from the arithmetic, or a direction or a combination of sliders here.",
                );
            } else {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label("looking at what the generator does with Z");
                });
            }
            return;
        }
        let start = self.plans.moved[1].clone();
        let z = self.directions.strips.of((list.to_vec(), start), |(list, start)| strips(start, list, &STRIP));
        self.views.ask(&self.worker, Slot::Strips, z);
        let salt = SOURCES.iter().position(|(source, ..)| *source == self.directions.source);
        egui::ScrollArea::vertical().id_salt(("directions", salt)).auto_shrink(false).show(ui, |ui| {
            for (i, direction) in list.iter().enumerate() {
                self.row(ui, i, direction);
            }
        });
    }

    /// The moved sample, and the sample as it was, which another one can be dragged to.
    fn subject(&mut self, ui: &mut Ui) {
        let moved = format!("{}, moved", self.session.subject.name());
        let zone = ui.horizontal_top(|ui| {
            self.views.made(ui, Slot::Pointer, 0, LARGE, "moved sample").on_hover_text(moved);
            let subject = self.session.subject.clone();
            ui.vertical(|ui| {
                self.views
                    .point(ui, Slot::Pointer, 1, 72.0, &subject, None)
                    .on_hover_text(format!("{} as it was; drag another sample here", subject.name()));
                ui.weak("as it was");
            });
        });
        if let Some(carried) = Carried::dropped(&zone.response) {
            self.session.subject = carried.point;
        }
    }

    fn moved_actions(&mut self, ui: &mut Ui, config: &ModelConfig) {
        ui.label(format!("{}, moved by", self.session.subject.name()));
        let mut reset = None;
        ui.horizontal_wrapped(|ui| {
            if self.session.sliders.is_empty() {
                ui.weak("no slider yet");
            }
            for (i, slider) in self.session.sliders.iter().enumerate() {
                let text = format!("{:+.1} {}", slider.amount, slider.direction.name);
                if ui.small_button(text).on_hover_text("Click to take this one back to zero").clicked() {
                    reset = Some(i);
                }
            }
        });
        if let Some(i) = reset {
            self.session.sliders.remove(i);
        }
        let z = self.plans.moved[0].clone();
        let fit = config.prior.norm_fit(&z);
        if fit.is_outlier() {
            let text = format!(
                "Outside the prior: length {:.2}, the prior's {:.2} ({:+.1} deviations)",
                fit.norm, fit.expected, fit.deviations
            );
            ui.colored_label(ui.visuals().warn_fg_color, text);
        }
        ui.horizontal_wrapped(|ui| {
            let moved = !self.session.sliders.is_empty();
            if ui.add_enabled(moved, egui::Button::new("Reset sliders")).clicked() {
                self.session.sliders.clear();
            }
            if ui.button("Keep").on_hover_text("Puts it on the shelf, to be used as a sample").clicked() {
                self.keep(format!("{}, moved", self.session.subject.name()), z.clone());
            }
        });
        ui.horizontal_wrapped(|ui| {
            let name = egui::TextEdit::singleline(&mut self.directions.name).hint_text("name").desired_width(90.0);
            ui.add(name).on_hover_text("What a direction or a combination is saved as");
            let named = !self.directions.name.trim().is_empty();
            let several = named && !self.session.sliders.is_empty();
            let save = ui.add_enabled(several, egui::Button::new("Save combination"));
            let about = "All sliders as they stand, as one direction of your own";
            if save.on_hover_text(about).on_disabled_hover_text("Needs a name, and a slider that is moved").clicked() {
                let zero = vec![0.0; z.len()];
                let sliders = self.session.sliders.iter();
                let sum = sliders.fold(zero, |sum, s| vector::add_scaled(&sum, &s.direction.vector, s.amount));
                self.save_own(sum);
            }
            let chosen = self.directions.chosen.clone();
            let save = ui.add_enabled(named && chosen.is_some(), egui::Button::new("Save direction"));
            let about = "The direction whose strip is shown, as one of your own";
            let missing = "Needs a name, and a direction that is chosen below";
            if let Some(chosen) = chosen
                && save.on_hover_text(about).on_disabled_hover_text(missing).clicked()
            {
                self.save_own(chosen.vector);
            }
        });
    }

    fn save_own(&mut self, vector: Vec<f32>) {
        let name = std::mem::take(&mut self.directions.name).trim().to_owned();
        let weight = vector::norm(&vector);
        self.session.concepts.push(LatentDirection { name, vector, weight });
        self.directions.source = Source::Own;
    }

    /// The chosen direction's strip.
    fn large_strip(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let Some(direction) = self.directions.chosen.clone().filter(|d| d.vector.len() == config.z_dim) else {
            ui.weak("Click a direction for a large strip of what it does.");
            return;
        };
        ui.label(format!("{} from -3 to +3 standard deviations", direction.name));
        let key = (direction, self.plans.moved[1].clone());
        let z =
            self.directions.strip.of(key, |(direction, start)| strips(start, std::slice::from_ref(direction), &STRIP));
        self.views.ask(&self.worker, Slot::Strip, z);
        let side = ((ui.available_width() - 36.0) / STRIP.len() as f32).clamp(32.0, 112.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (i, amount) in STRIP.into_iter().enumerate() {
                self.views
                    .made(ui, Slot::Strip, i, side, &format!("{amount:+}"))
                    .on_hover_text(format!("{amount:+} deviations; drag it to wherever a sample can be used"));
            }
        });
    }

    /// A slider with its strip.
    fn row(&mut self, ui: &mut Ui, i: usize, direction: &LatentDirection) {
        let chosen = self.directions.chosen.as_ref() == Some(direction);
        let now = amount(&self.session, direction);
        let mut next = now;
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            let name = ui.add_sized(
                [104.0, ROW],
                egui::Button::selectable(chosen, egui::RichText::new(&direction.name)).truncate(),
            );
            if name.on_hover_text(format!("{}: click for a large strip", direction.name)).clicked() {
                self.directions.chosen = Some(direction.clone());
            }
            for (j, &amount) in STRIP.iter().enumerate() {
                let name = format!("{} at {amount:+}", direction.name);
                let cell = self.views.cell(ui, Slot::Strips, i * STRIP.len() + j, ROW, &name);
                if (amount - now).abs() < 0.5 {
                    let stroke = egui::Stroke::new(2.0, ui.visuals().selection.bg_fill);
                    ui.painter().rect_stroke(cell.rect, 0.0, stroke, egui::StrokeKind::Inside);
                }
                if cell.on_hover_text("Click to move the slider there").clicked() {
                    next = amount;
                }
            }
            ui.spacing_mut().item_spacing.x = 6.0;
            let own = self.directions.source == Source::Own;
            let reserved = if own { 240.0 } else { 116.0 };
            ui.spacing_mut().slider_width = (ui.available_width() - reserved).clamp(60.0, 480.0);
            let slider = egui::Slider::new(&mut next, -3.0..=3.0).fixed_decimals(1);
            ui.add(slider).on_hover_text("Standard deviations; type a number for more");
            if ui.add_enabled(now != 0.0, egui::Button::new("Reset").small()).clicked() {
                next = 0.0;
            }
            if own {
                self.own_actions(ui, i, direction);
            }
        });
        if next != now {
            self.directions.chosen = Some(direction.clone());
            slide(&mut self.session, direction, next);
        }
    }

    fn own_actions(&mut self, ui: &mut Ui, i: usize, direction: &LatentDirection) {
        ui.menu_button("Rename", |ui| {
            let mut name = direction.name.clone();
            if ui.text_edit_singleline(&mut name).changed() {
                if let Some(chosen) = self.directions.chosen.as_mut().filter(|chosen| *chosen == direction) {
                    chosen.name.clone_from(&name);
                }
                rename(&mut self.session, i, name);
            }
        });
        if ui.small_button("Remove").on_hover_text("Undo brings it back").clicked() {
            remove(&mut self.session, i);
            self.directions.chosen = None;
        }
    }

    fn direction_keys(&mut self, ui: &Ui, list: &[LatentDirection]) {
        let pressed = |key| {
            ui.input_mut(|input| {
                let large = input.count_and_consume_key(Modifiers::SHIFT, key);
                (input.count_and_consume_key(Modifiers::NONE, key) as f32, large as f32)
            })
        };
        let [up, down, left, right] = [Key::ArrowUp, Key::ArrowDown, Key::ArrowLeft, Key::ArrowRight].map(pressed);
        let at = list.iter().position(|direction| Some(direction) == self.directions.chosen.as_ref());
        let step = (down.0 - up.0) as isize;
        if step != 0 && !list.is_empty() {
            let next = at.map_or(0, |at| at.saturating_add_signed(step).min(list.len() - 1));
            self.directions.chosen = Some(list[next].clone());
        }
        let Some(chosen) = self.directions.chosen.clone() else { return };
        let by = 0.1 * (right.0 - left.0) + right.1 - left.1;
        if by != 0.0 {
            // Tenths stay tenths.
            let next = ((amount(&self.session, &chosen) + by) * 10.0).round() / 10.0;
            slide(&mut self.session, &chosen, next.clamp(-3.0, 3.0));
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Backspace)) {
            slide(&mut self.session, &chosen, 0.0);
        }
    }
}
