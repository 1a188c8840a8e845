//! The turn (figure 8): the vector from the average of some exemplars to the average of others, applied to samples.

use egui::{Ui, Vec2};

use super::context::PanelContext;
use super::drag::{Home, drop_zone, insert};
use super::exports::FigureButton;
use super::panel::Panel;
use super::plans::TURN_STEPS;
use super::tray::{AVERAGED, toggle};
use super::views::lines;
use super::worker::Slot;
use crate::app::action::Action;
use crate::image::grid;
use crate::latent::session::{Point, Session};

/// Exemplars of each side in the paper.
const EXEMPLARS: usize = 4;
/// Side of a tray's images, in points.
const SMALL: f32 = 56.0;

/// A tray of the turn: its label, its tool tip, and the place of its i-th member.
type TurnTray = (&'static str, &'static str, fn(usize) -> Home);

const TRAYS: [TurnTray; 3] = [
    ("From", "Exemplars that look the one way, such as left", Home::From),
    ("To", "Exemplars that look the other way, such as right", Home::To),
    ("Turned", "What is turned, a row each; none are the seed's first five samples", Home::On),
];

/// Turns samples along the difference of two trays.
#[derive(Default)]
pub(super) struct TurnPanel {
    /// The tray that clicked samples go to.
    active: usize,
    figure: FigureButton,
}

impl Panel for TurnPanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        cx.views.request(&cx.worker, Slot::Sides, &cx.plans.turn_exemplars);
        cx.views.request(&cx.worker, Slot::Turn, &cx.plans.turn);
        lines(ui, |ui| {
            let mut first = 0;
            for (i, tray) in TRAYS.into_iter().enumerate() {
                let points = match i {
                    0 => cx.session.turn.from.clone(),
                    1 => cx.session.turn.to.clone(),
                    _ => cx.session.turn_points(),
                };
                self.tray(ui, cx, i, tray, &points, first);
                first += points.len();
            }
        });
        ui.add_space(8.0);
        let (from, to) = (cx.session.turn.from.len(), cx.session.turn.to.len());
        if from == 0 || to == 0 {
            let empty = if from == 0 { "From" } else { "To" };
            ui.label(format!(
                "The tray {empty:?} is empty. Give each side a few samples (the paper takes {EXEMPLARS}) that differ in one \
                 thing, such as where a face looks."
            ));
            return None;
        }
        if from.min(to) < AVERAGED {
            ui.weak(format!("Averages of fewer than {AVERAGED} exemplars are unstable (section 6.3.2)."));
        }
        ui.horizontal(|ui| {
            ui.strong("Along the turn").on_hover_text("From half the turn back to half of it on");
            self.export(ui, cx);
        });
        figure(ui, cx);
        None
    }

    /// Adds the point to the active tray, or removes it if it is there.
    fn pick(&mut self, point: Point, cx: &mut PanelContext) {
        let Some(list) = list(&mut cx.session, self.active) else { return };
        // Once it is full, the other side is most likely next.
        if toggle(list, point) && list.len() == EXEMPLARS && self.active == 0 {
            self.active = 1;
        }
    }

    fn points<'a>(&self, session: &'a Session) -> Vec<&'a Point> {
        session.turn.from.iter().chain(&session.turn.to).collect()
    }
}

/// The members of tray `i`.
fn list(session: &mut Session, i: usize) -> Option<&mut Vec<Point>> {
    let turn = &mut session.turn;
    [&mut turn.from, &mut turn.to, &mut turn.on].into_iter().nth(i)
}

impl TurnPanel {
    /// Tray `i`, whose images begin at `first` of their slot.
    fn tray(
        &mut self,
        ui: &mut Ui,
        cx: &mut PanelContext,
        i: usize,
        (label, tip, home): TurnTray,
        points: &[Point],
        first: usize,
    ) {
        let active = self.active == i;
        let (mut removed, mut cleared) = (None, false);
        let (zone, dropped) = drop_zone(ui, active, egui::Sense::click(), |ui| {
            ui.set_min_size(Vec2::new(SMALL * 4.0 + 20.0, SMALL + 30.0));
            ui.set_max_width(SMALL * 4.0 + 28.0);
            ui.vertical(|ui| {
                ui.horizontal(|ui| {
                    if ui.selectable_label(active, label).on_hover_text(tip).clicked() {
                        self.active = i;
                    }
                    cleared = ui.small_button("Clear").on_hover_text("Takes all out").clicked();
                });
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing = Vec2::splat(4.0);
                    let own = i < 2 || !cx.session.turn.on.is_empty();
                    for (j, point) in points.iter().enumerate() {
                        let from = own.then_some(home(j));
                        let cell = cx.views.point(ui, Slot::Sides, first + j, SMALL, point, from);
                        if cell.clicked() && own {
                            removed = Some(j);
                        }
                        cell.on_hover_text(format!("{}: click to take it out, or drag it", point.name()));
                    }
                });
            });
        });
        if zone.response.clicked() {
            self.active = i;
        }
        if let Some(list) = list(&mut cx.session, i) {
            if cleared {
                list.clear();
            }
            if let Some(j) = removed.filter(|&j| j < list.len()) {
                list.remove(j);
            }
        }
        if let Some(carried) = dropped {
            insert(&mut cx.session, carried, home(usize::MAX));
        }
    }

    /// The button that writes the figure once all of it is generated.
    fn export(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let complete = cx.views.settled(Slot::Turn);
        if !self.figure.ui(ui, complete, "Save the turn...", "A PNG as the paper's figure 8") {
            return;
        }
        if let Some(pictures) = cx.views.pictures(&cx.worker, Slot::Turn) {
            self.figure.done();
            cx.files.save_png("turn.png", move || grid(&pictures, TURN_STEPS, 2));
        }
    }
}

/// A row for each sample that is turned.
fn figure(ui: &mut Ui, cx: &PanelContext) {
    let rows = cx.plans.turn.len() / TURN_STEPS;
    let side = ((ui.available_width() - 40.0) / TURN_STEPS as f32).clamp(24.0, 96.0);
    ui.spacing_mut().item_spacing = Vec2::splat(2.0);
    for row in 0..rows {
        ui.horizontal(|ui| {
            for column in 0..TURN_STEPS {
                let i = row * TURN_STEPS + column;
                let name = format!("row {row}, {:+.1} of the turn", column as f32 / (TURN_STEPS - 1) as f32 - 0.5);
                let cell = cx.views.made(ui, Slot::Turn, i, side, &name);
                cell.on_hover_text("Drag it to wherever a sample can be used");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, sample, show};

    #[test]
    fn the_clicked_tray_takes_samples_and_clear_empties_it() {
        let mut harness = show(TurnPanel::default(), context());
        assert!(harness.query_by_label_contains("The tray \"From\" is empty").is_some());
        harness.get_by_label("To").click();
        harness.run_steps(2);
        let state = harness.state_mut();
        state.panel.pick(sample(4), &mut state.cx);
        assert_eq!(state.cx.session.turn.to, [sample(4)]);
        harness.get_all_by_label("Clear").nth(1).expect("each tray has a button").click();
        harness.run_steps(2);
        assert!(harness.state().cx.session.turn.to.is_empty());
    }
}
