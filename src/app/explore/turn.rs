//! The turn (figure 8): a vector from the average of some exemplars to that of others, and what it does to samples.

use egui::{Ui, Vec2};

use super::Explorer;
use super::arithmetic::AVERAGED;
use super::drag::{Home, drop_zone};
use super::plans::TURN_STEPS;
use super::views::lines;
use super::worker::Slot;
use crate::latent::session::Point;

/// Exemplars of each side in the paper.
pub(super) const EXEMPLARS: usize = 4;
const SMALL: f32 = 56.0;

/// A group of the turn's points: its name, what it is for, and where in it a point lies.
type Side = (&'static str, &'static str, fn(usize) -> Home);

const SIDES: [Side; 3] = [
    ("From", "Exemplars that look the one way, such as left", Home::From),
    ("To", "Exemplars that look the other way, such as right", Home::To),
    ("Turned", "What is turned, a row each; none are the seed's first five samples", Home::On),
];

impl Explorer {
    pub(super) fn turn(&mut self, ui: &mut Ui) {
        self.views.ask(&self.worker, Slot::Sides, &self.plans.sides);
        self.views.ask(&self.worker, Slot::Turn, &self.plans.turn);
        lines(ui, |ui| {
            let mut first = 0;
            for (i, side) in SIDES.into_iter().enumerate() {
                let points = match i {
                    0 => self.session.turn.from.clone(),
                    1 => self.session.turn.to.clone(),
                    _ => self.session.turn_points(),
                };
                self.side(ui, i, side, &points, first);
                first += points.len();
            }
        });
        ui.add_space(8.0);
        let (from, to) = (self.session.turn.from.len(), self.session.turn.to.len());
        if from == 0 || to == 0 {
            let empty = if from == 0 { "From" } else { "To" };
            ui.label(format!(
                "The tray {empty:?} is empty. Give each side a few samples (the paper takes {EXEMPLARS}) that differ in one \
                 thing, such as where a face looks."
            ));
            return;
        }
        if from.min(to) < AVERAGED {
            ui.weak(format!("Averages of fewer than {AVERAGED} exemplars are unstable (section 6.3.2)."));
        }
        ui.horizontal(|ui| {
            ui.strong("Along the turn").on_hover_text("From half the turn back to half of it on");
            self.export_turn(ui);
        });
        let rows = self.plans.turn.len() / TURN_STEPS;
        let side = ((ui.available_width() - 40.0) / TURN_STEPS as f32).clamp(24.0, 96.0);
        ui.spacing_mut().item_spacing = Vec2::splat(2.0);
        for row in 0..rows {
            ui.horizontal(|ui| {
                for column in 0..TURN_STEPS {
                    let i = row * TURN_STEPS + column;
                    let name = format!("row {row}, {:+.1} of the turn", column as f32 / (TURN_STEPS - 1) as f32 - 0.5);
                    let cell = self.views.made(ui, Slot::Turn, i, side, &name);
                    cell.on_hover_text("Drag it to wherever a sample can be used");
                }
            });
        }
    }

    fn side(&mut self, ui: &mut Ui, i: usize, (name, about, home): Side, points: &[Point], first: usize) {
        let active = self.arithmetic.side == i;
        let (mut removed, mut cleared) = (None, false);
        let (zone, dropped) = drop_zone(ui, active, |ui| {
            ui.set_min_size(Vec2::new(SMALL * 4.0 + 20.0, SMALL + 30.0));
            ui.set_max_width(SMALL * 4.0 + 28.0);
            ui.vertical(|ui| {
                ui.horizontal(|ui| {
                    if ui.selectable_label(active, name).on_hover_text(about).clicked() {
                        self.arithmetic.side = i;
                    }
                    cleared = ui.small_button("Clear").on_hover_text("Takes all out").clicked();
                });
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = Vec2::splat(4.0);
                    let own = i < 2 || !self.session.turn.on.is_empty();
                    for (j, point) in points.iter().enumerate() {
                        let from = own.then_some(home(j));
                        let cell = self.views.point(ui, Slot::Sides, first + j, SMALL, point, from);
                        if cell.clicked() && own {
                            removed = Some(j);
                        }
                        cell.on_hover_text(format!("{}: click to take it out, or drag it", point.name()));
                    }
                });
            });
        });
        if zone.response.interact(egui::Sense::click()).clicked() {
            self.arithmetic.side = i;
        }
        let turn = &mut self.session.turn;
        let list = [&mut turn.from, &mut turn.to, &mut turn.on].into_iter().nth(i);
        if let Some(list) = list {
            if cleared {
                list.clear();
            }
            if let Some(j) = removed.filter(|&j| j < list.len()) {
                list.remove(j);
            }
        }
        if let Some(carried) = dropped {
            self.put(carried, home(usize::MAX));
        }
    }
}
