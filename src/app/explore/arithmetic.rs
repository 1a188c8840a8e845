//! Arithmetic by clicking and dragging: trays of samples, their averages, the result among its neighbours (section 6.3.2,
//! figure 7).

use egui::{Ui, Vec2};

use super::Explorer;
use super::drag::{Home, drop_zone};
use super::turn::EXEMPLARS;
use super::views::lines;
use super::worker::Slot;
use crate::latent::arithmetic;
use crate::latent::directions::LatentDirection;
use crate::latent::session::{Point, Session, Tray};
use crate::latent::vector;
use crate::model::ModelConfig;

/// Exemplars that make a stable average (section 6.3.2).
pub(super) const AVERAGED: usize = 3;
/// Side of a tray's pictures, in points.
const SMALL: f32 = 60.0;
/// What stands beside the results.
const BESIDE: f32 = 480.0;

/// What clicked samples go to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Active {
    Tray(usize),
    /// The sample that a concept is tried on.
    Applied,
}

pub(super) struct Arithmetic {
    pub active: Active,
    /// The turn's side that clicks go to.
    pub side: usize,
    /// Whether the turn is shown, and not the sum.
    turns: bool,
    /// The name a concept is saved under.
    name: String,
}

impl Default for Arithmetic {
    fn default() -> Self {
        Self { active: Active::Tray(0), side: 0, turns: false, name: String::new() }
    }
}

impl Arithmetic {
    pub fn turns(&self) -> bool {
        self.turns
    }

    /// Puts a point where clicks go to, or takes it out if it is there.
    pub fn pick(&mut self, session: &mut Session, point: Point) {
        if self.turns {
            let turn = &mut session.turn;
            let Some(list) = [&mut turn.from, &mut turn.to, &mut turn.on].into_iter().nth(self.side) else { return };
            // The other side is most likely next.
            if toggle(list, point) && list.len() == EXEMPLARS && self.side == 0 {
                self.side = 1;
            }
            return;
        }
        match self.active {
            Active::Applied => match &mut session.applied {
                Some(applied) => applied.on = point,
                None => session.subject = point,
            },
            Active::Tray(i) => {
                let i = i.min(session.trays.len().saturating_sub(1));
                let Some(tray) = session.trays.get_mut(i) else { return };
                let full = toggle(&mut tray.members, point) && tray.members.len() == AVERAGED;
                let next = session.trays.get(i + 1).is_some_and(|tray| tray.members.is_empty());
                self.active = Active::Tray(if full && next { i + 1 } else { i });
            }
        }
    }
}

/// Adds a point to a list, or takes it out if it is there; true when it was added.
fn toggle(list: &mut Vec<Point>, point: Point) -> bool {
    match list.iter().position(|member| *member == point) {
        Some(at) => {
            list.remove(at);
            false
        }
        None => {
            list.push(point);
            true
        }
    }
}

impl Explorer {
    pub(super) fn arithmetic(&mut self, ui: &mut Ui, config: &ModelConfig) {
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.arithmetic.turns, false, "Sum").on_hover_text("Figure 7: king - man + woman");
            ui.selectable_value(&mut self.arithmetic.turns, true, "Turn")
                .on_hover_text("Figure 8: a vector from some exemplars to others, applied to samples");
        });
        if self.arithmetic.turns {
            self.turn(ui);
            return;
        }
        self.views.ask(&self.worker, Slot::Exemplars, &self.plans.exemplars);
        self.views.ask(&self.worker, Slot::Averages, &self.plans.averages);
        self.views.ask(&self.worker, Slot::Result, &self.plans.around);
        self.trays(ui);
        ui.add_space(4.0);
        if self.plans.sum.is_none() {
            ui.label(
                "Every tray is empty. For a smile: three smiling faces, minus three neutral ones, plus three others.",
            );
            self.concepts(ui);
            return;
        }
        self.hint_at_trays(ui);
        // Three rows, and what they are compared with beneath them, in the room that there is.
        let high = (ui.available_height() - 78.0) / 4.0 - 4.0;
        let side = high.min((ui.available_width() - BESIDE) / 3.0).clamp(72.0, 160.0);
        let narrow = ui.available_width() < 3.0 * side + BESIDE;
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| self.results(ui, side));
            ui.add_space(12.0);
            ui.vertical(|ui| {
                ui.set_max_width(220.0);
                self.result_actions(ui, config);
            });
            if !narrow {
                ui.add_space(12.0);
                ui.vertical(|ui| self.concepts(ui));
            }
        });
        self.comparison(ui, config, side, narrow);
        if narrow {
            self.concepts(ui);
        }
    }

    /// What is wrong with the trays, if anything.
    fn hint_at_trays(&self, ui: &mut Ui) {
        let trays = self.session.trays.iter().zip(1..);
        let few: Vec<String> = trays
            .filter(|(tray, _)| tray.members.len() < AVERAGED)
            .map(|(tray, number)| match tray.members.len() {
                0 => format!("tray {number} is empty and left out"),
                count => format!("tray {number} has {count}"),
            })
            .collect();
        if !few.is_empty() {
            ui.weak(format!("{}; averages of fewer than {AVERAGED} are unstable (section 6.3.2).", few.join(", ")));
        }
    }

    fn results(&mut self, ui: &mut Ui, side: f32) {
        ui.strong("Result").on_hover_text(
            "In the middle; around it with uniform noise of +-0.25 added. More exemplars in a tray make it surer: \
             `zscape arithmetic --score --exemplars 12` tells how much",
        );
        ui.spacing_mut().item_spacing = Vec2::splat(4.0);
        for row in 0..3 {
            ui.horizontal(|ui| {
                for i in row * 3..row * 3 + 3 {
                    let name = if i == 4 { "result" } else { "neighbour" };
                    let cell = self.views.made(ui, Slot::Result, i, side, name);
                    if i == 4 {
                        let stroke = egui::Stroke::new(2.0, ui.visuals().selection.bg_fill);
                        ui.painter().rect_stroke(cell.rect, 0.0, stroke, egui::StrokeKind::Inside);
                    }
                    cell.on_hover_text(format!("{name}: drag it to wherever a sample can be used"));
                }
            });
        }
    }

    fn trays(&mut self, ui: &mut Ui) {
        let (mut first, mut filled) = (0, 0);
        let mut gone = None;
        lines(ui, |ui| {
            for i in 0..self.session.trays.len() {
                let members = self.session.trays[i].members.len();
                if self.tray(ui, i, first, filled) {
                    gone = Some(i);
                }
                first += members;
                filled += usize::from(members > 0);
            }
            if ui.button("Another tray").on_hover_text("Added at the end").clicked() {
                self.session.trays.push(Tray::default());
                self.arithmetic.active = Active::Tray(self.session.trays.len() - 1);
            }
        });
        if let Some(i) = gone {
            self.session.trays.remove(i);
            self.arithmetic.active = Active::Tray(i.min(self.session.trays.len().saturating_sub(1)));
        }
    }

    /// Tray `i`, whose exemplars and average begin at `first` and `filled` of their slots; true when it is to go.
    fn tray(&mut self, ui: &mut Ui, i: usize, first: usize, filled: usize) -> bool {
        let active = self.arithmetic.active == Active::Tray(i);
        let (mut removed, mut gone) = (None, false);
        let (zone, dropped) = drop_zone(ui, active, |ui| {
            let width = SMALL * 3.0 + 14.0;
            ui.set_min_size(Vec2::new(width, SMALL * 2.0 + 34.0));
            ui.set_max_width(width);
            ui.vertical(|ui| {
                ui.horizontal(|ui| {
                    let name = format!("Tray {}", i + 1);
                    if ui.selectable_label(active, name).on_hover_text("Clicked samples go here").clicked() {
                        self.arithmetic.active = Active::Tray(i);
                    }
                    let several = self.session.trays.len() > 1;
                    let tray = &mut self.session.trays[i];
                    let sign = if tray.minus { "minus" } else { "plus" };
                    if ui.button(sign).on_hover_text("Added or taken away: click to change").clicked() {
                        tray.minus = !tray.minus;
                    }
                    if ui.small_button("Clear").on_hover_text("Takes all out").clicked() {
                        tray.members.clear();
                    }
                    gone = several && ui.small_button("x").on_hover_text("Removes the tray").clicked();
                });
                ui.spacing_mut().item_spacing = Vec2::splat(4.0);
                ui.horizontal_wrapped(|ui| {
                    for (j, point) in self.session.trays[i].members.iter().enumerate() {
                        let home = Home::Tray(i, j);
                        let cell = self.views.point(ui, Slot::Exemplars, first + j, SMALL, point, Some(home));
                        if cell.clicked() {
                            removed = Some(j);
                        }
                        cell.on_hover_text(format!("{}: click to take it out, or drag it", point.name()));
                    }
                    if self.session.trays[i].members.is_empty() {
                        ui.weak("empty: click or drag samples here");
                    }
                });
                if !self.session.trays[i].members.is_empty() {
                    ui.horizontal(|ui| {
                        let cell = self.views.made(ui, Slot::Averages, filled, SMALL, "average of the tray");
                        cell.on_hover_text("The average; drag it to wherever a sample can be used");
                        ui.weak("average");
                    });
                }
            });
        });
        // A click beside the pictures makes the tray the one that samples go to.
        if zone.response.interact(egui::Sense::click()).clicked() {
            self.arithmetic.active = Active::Tray(i);
        }
        if let Some(j) = removed.filter(|&j| j < self.session.trays[i].members.len()) {
            self.session.trays[i].members.remove(j);
        }
        if let Some(carried) = dropped {
            self.put(carried, Home::Tray(i, usize::MAX));
        }
        gone
    }

    fn result_actions(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let Some((fit, z)) = self.plans.sum.as_ref().map(|sum| (sum.norm_fit, sum.z.clone())) else { return };
        let length =
            format!("length {:.2}, the prior's {:.2} ({:+.1} deviations)", fit.norm, fit.expected, fit.deviations);
        if fit.is_outlier() && !self.session.normalize {
            let text = format!("Outside the prior: {length}. The generator was never asked for such a z");
            ui.colored_label(ui.visuals().warn_fg_color, text);
        } else if self.session.normalize {
            ui.weak(format!("Brought back to the prior; it came out with {length}"));
        } else {
            ui.weak(length);
        }
        ui.checkbox(&mut self.session.normalize, "Bring back to the prior")
            .on_hover_text("Shows the nearest z that has the length the generator was trained with");
        ui.horizontal(|ui| {
            if ui.button("Keep").on_hover_text("Puts the result on the shelf, to be used as a sample").clicked() {
                self.keep(format!("arithmetic of length {:.2}", vector::norm(&z)), z);
            }
            self.export_sum(ui);
        });
        let differences = self.session.trays.iter().any(|tray| tray.minus && !tray.members.is_empty());
        ui.horizontal(|ui| {
            let name = egui::TextEdit::singleline(&mut self.arithmetic.name).hint_text("smile").desired_width(80.0);
            ui.add(name).on_hover_text("The concept's name");
            let ready = differences && !self.arithmetic.name.trim().is_empty();
            let save = ui.add_enabled(ready, egui::Button::new("Save as concept"));
            let about = "The first tray that is added minus what is taken away, as a direction to apply to any sample";
            let missing = "Needs a name, and a tray that is taken away";
            if save.on_hover_text(about).on_disabled_hover_text(missing).clicked() {
                self.save_concept(config);
            }
        });
    }

    fn save_concept(&mut self, config: &ModelConfig) {
        let terms = self.session.terms(config);
        let first_plus = terms.iter().find(|term| !term.minus).cloned();
        let minuses = terms.into_iter().filter(|term| term.minus);
        let concept: Vec<_> = first_plus.into_iter().chain(minuses).collect();
        if let Ok(vector) = arithmetic::sum_terms(&concept) {
            let name = std::mem::take(&mut self.arithmetic.name).trim().to_owned();
            let weight = vector::norm(&vector);
            let direction = LatentDirection { name, vector, weight };
            self.session.concepts.push(direction.clone());
            self.apply(direction);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clicks_fill_one_tray_after_another_and_take_out_again() {
        let mut session = Session::new("bundled:faces".into());
        let mut arithmetic = Arithmetic::default();
        let sample = |number| Point::Sample { seed: 1, number };
        for number in 0..4 {
            arithmetic.pick(&mut session, sample(number));
        }
        assert_eq!((session.trays[0].members.len(), &session.trays[1].members[..]), (3, &[sample(3)][..]));
        arithmetic.pick(&mut session, sample(3));
        assert!(session.trays[1].members.is_empty());
        arithmetic.turns = true;
        for number in 0..5 {
            arithmetic.pick(&mut session, sample(number));
        }
        assert_eq!((session.turn.from.len(), session.turn.to.len()), (4, 1));
    }
}
