//! Vector arithmetic by clicking and dragging: trays of samples, their averages, and the result among its neighbors (section
//! 6.3.2, figure 7).

use egui::{Ui, Vec2};

use super::comparison::Comparison;
use super::concepts::{self, ConceptsPanel};
use super::context::PanelContext;
use super::drag::{Home, drop_zone, insert};
use super::exports::FigureButton;
use super::model_change::ModelChange;
use super::panel::Panel;
use super::shelf::add_to_shelf;
use super::tray::{AVERAGED, toggle};
use super::turn::TurnPanel;
use super::views::lines;
use super::worker::{ExplorerResponse, Slot};
use crate::app::action::Action;
use crate::latent::arithmetic;
use crate::latent::directions::LatentDirection;
use crate::latent::session::{Point, Session, Tray};
use crate::latent::vector;
/// Side of a tray's images, in points.
const SMALL: f32 = 60.0;
/// Room beside the results, in points.
const BESIDE: f32 = 480.0;

/// Adds averages of trays up, or turns samples.
#[derive(Default)]
pub(super) struct ArithmeticPanel {
    /// The tray that clicked samples go to, unless the concepts take them.
    active: usize,
    /// Whether the turn is shown, and not the sum.
    shows_turn: bool,
    turn: TurnPanel,
    concepts: ConceptsPanel,
    comparison: Comparison,
    figure: FigureButton,
    /// The name that a concept is saved under.
    name: String,
}

impl Panel for ArithmeticPanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        ui.horizontal(|ui| {
            ui.selectable_value(&mut self.shows_turn, false, "Sum").on_hover_text("Figure 7: king - man + woman");
            ui.selectable_value(&mut self.shows_turn, true, "Turn")
                .on_hover_text("Figure 8: a vector from some exemplars to others, applied to samples");
        });
        if self.shows_turn { self.turn.ui(ui, cx) } else { self.sum(ui, cx) }
    }

    /// Adds the point to the active tray, or removes it if it is there.
    fn pick(&mut self, point: Point, cx: &mut PanelContext) {
        if self.shows_turn {
            return self.turn.pick(point, cx);
        }
        if self.concepts.takes_clicks {
            return self.concepts.pick(point, cx);
        }
        let trays = &mut cx.session.trays;
        let i = self.active.min(trays.len().saturating_sub(1));
        let Some(tray) = trays.get_mut(i) else { return };
        let full = toggle(&mut tray.members, point) && tray.members.len() == AVERAGED;
        let next = trays.get(i + 1).is_some_and(|tray| tray.members.is_empty());
        self.active = if full && next { i + 1 } else { i };
    }

    fn points<'a>(&self, session: &'a Session) -> Vec<&'a Point> {
        match self.shows_turn {
            true => self.turn.points(session),
            false => session.trays.iter().flat_map(|tray| &tray.members).collect(),
        }
    }

    fn request_changed(&self, cx: &mut PanelContext) {
        self.concepts.request_changed(cx);
        cx.views.request(&cx.worker, Slot::Result, &cx.plans.results);
    }

    fn on_response(&mut self, response: ExplorerResponse, cx: &mut PanelContext) {
        self.comparison.on_response(response, cx);
    }

    fn on_model_change(&mut self, change: ModelChange, _cx: &mut PanelContext) {
        self.comparison.on_model_change(change);
    }
}

impl ArithmeticPanel {
    /// Trays that are added and subtracted, the result, and what the same sum gives in other spaces.
    fn sum(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        cx.views.request(&cx.worker, Slot::Exemplars, &cx.plans.exemplars);
        cx.views.request(&cx.worker, Slot::Averages, &cx.plans.averages);
        cx.views.request(&cx.worker, Slot::Result, &cx.plans.results);
        self.trays(ui, cx);
        ui.add_space(4.0);
        if cx.plans.sum.is_none() {
            ui.label(
                "Every tray is empty. For a smile: three smiling faces, minus three neutral ones, plus three others.",
            );
            return self.concepts.ui(ui, cx);
        }
        hint_at_trays(ui, &cx.session);
        // Three rows of results and the comparison below them fill the room.
        let high = (ui.available_height() - 78.0) / 4.0 - 4.0;
        let side = high.min((ui.available_width() - BESIDE) / 3.0).clamp(72.0, 160.0);
        let narrow = ui.available_width() < 3.0 * side + BESIDE;
        let mut action = None;
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| results(ui, cx, side));
            ui.add_space(12.0);
            ui.vertical(|ui| {
                ui.set_max_width(220.0);
                self.result_actions(ui, cx);
            });
            if !narrow {
                ui.add_space(12.0);
                action = ui.vertical(|ui| self.concepts.ui(ui, cx)).inner;
            }
        });
        self.comparison.ui(ui, cx, side, narrow);
        if narrow {
            action = self.concepts.ui(ui, cx);
        }
        action
    }

    fn trays(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let (mut first, mut filled) = (0, 0);
        let mut closed = None;
        lines(ui, |ui| {
            for i in 0..cx.session.trays.len() {
                let members = cx.session.trays[i].members.len();
                if self.tray(ui, cx, i, first, filled) {
                    closed = Some(i);
                }
                first += members;
                filled += usize::from(members > 0);
            }
            if ui.button("Another tray").on_hover_text("Added at the end").clicked() {
                cx.session.trays.push(Tray::default());
                self.activate(cx.session.trays.len() - 1);
            }
        });
        if let Some(i) = closed {
            cx.session.trays.remove(i);
            self.activate(i.min(cx.session.trays.len().saturating_sub(1)));
        }
    }

    /// Sends clicked samples to tray `i`.
    fn activate(&mut self, i: usize) {
        self.active = i;
        self.concepts.takes_clicks = false;
    }

    /// Tray `i`, whose exemplars and average begin at `first` and `filled` of their slots; true when it was closed.
    fn tray(&mut self, ui: &mut Ui, cx: &mut PanelContext, i: usize, first: usize, filled: usize) -> bool {
        let active = self.active == i && !self.concepts.takes_clicks;
        let (mut removed, mut closed) = (None, false);
        let (zone, dropped) = drop_zone(ui, active, egui::Sense::click(), |ui| {
            let width = SMALL * 3.0 + 14.0;
            ui.set_min_size(Vec2::new(width, SMALL * 2.0 + 34.0));
            ui.set_max_width(width);
            ui.vertical(|ui| {
                ui.horizontal(|ui| {
                    let name = format!("Tray {}", i + 1);
                    if ui.selectable_label(active, name).on_hover_text("Clicked samples go here").clicked() {
                        self.activate(i);
                    }
                    let several = cx.session.trays.len() > 1;
                    let tray = &mut cx.session.trays[i];
                    let sign = if tray.minus { "minus" } else { "plus" };
                    if ui.button(sign).on_hover_text("Added or taken away: click to change").clicked() {
                        tray.minus = !tray.minus;
                    }
                    if ui.small_button("Clear").on_hover_text("Takes all out").clicked() {
                        tray.members.clear();
                    }
                    closed = several && ui.small_button("x").on_hover_text("Removes the tray").clicked();
                });
                ui.spacing_mut().item_spacing = Vec2::splat(4.0);
                ui.horizontal_wrapped(|ui| {
                    for (j, point) in cx.session.trays[i].members.iter().enumerate() {
                        let home = Home::Tray(i, j);
                        let cell = cx.views.point(ui, Slot::Exemplars, first + j, SMALL, point, Some(home));
                        if cell.clicked() {
                            removed = Some(j);
                        }
                        cell.on_hover_text(format!("{}: click to take it out, or drag it", point.name()));
                    }
                    if cx.session.trays[i].members.is_empty() {
                        ui.weak("empty: click or drag samples here");
                    }
                });
                if !cx.session.trays[i].members.is_empty() {
                    ui.horizontal(|ui| {
                        let cell = cx.views.made(ui, Slot::Averages, filled, SMALL, "average of the tray");
                        cell.on_hover_text("The average; drag it to wherever a sample can be used");
                        ui.weak("average");
                    });
                }
            });
        });
        // A click beside the images activates the tray.
        if zone.response.clicked() {
            self.activate(i);
        }
        if let Some(j) = removed.filter(|&j| j < cx.session.trays[i].members.len()) {
            cx.session.trays[i].members.remove(j);
        }
        if let Some(carried) = dropped {
            insert(&mut cx.session, carried, Home::Tray(i, usize::MAX));
        }
        closed
    }

    /// The result's norm, and buttons that use the result.
    fn result_actions(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let Some((fit, z)) = cx.plans.sum.as_ref().map(|sum| (sum.norm_fit, sum.z.clone())) else { return };
        let length =
            format!("length {:.2}, the prior's {:.2} ({:+.1} deviations)", fit.norm, fit.expected, fit.deviations);
        if fit.is_outlier() && !cx.session.normalize {
            let text = format!("Outside the prior: {length}. The generator was never asked for such a z");
            ui.colored_label(ui.visuals().warn_fg_color, text);
        } else if cx.session.normalize {
            ui.weak(format!("Brought back to the prior; it came out with {length}"));
        } else {
            ui.weak(length);
        }
        ui.checkbox(&mut cx.session.normalize, "Bring back to the prior")
            .on_hover_text("Shows the nearest z that has the length the generator was trained with");
        ui.horizontal(|ui| {
            if ui.button("Keep").on_hover_text("Puts the result on the shelf, to be used as a sample").clicked() {
                add_to_shelf(&mut cx.session, format!("arithmetic of length {:.2}", vector::norm(&z)), z);
            }
            self.export(ui, cx);
        });
        let differences = cx.session.trays.iter().any(|tray| tray.minus && !tray.members.is_empty());
        ui.horizontal(|ui| {
            let name = egui::TextEdit::singleline(&mut self.name).hint_text("smile").desired_width(80.0);
            ui.add(name).on_hover_text("The concept's name");
            let ready = differences && !self.name.trim().is_empty();
            let save = ui.add_enabled(ready, egui::Button::new("Save as concept"));
            let about = "The first tray that is added minus what is taken away, as a direction to apply to any sample";
            let missing = "Needs a name, and a tray that is taken away";
            if save.on_hover_text(about).on_disabled_hover_text(missing).clicked() {
                self.save_concept(cx);
            }
        });
    }

    /// Saves the first added tray minus the subtracted ones as a concept.
    fn save_concept(&mut self, cx: &mut PanelContext) {
        let terms = cx.session.terms(&cx.plans.config);
        let first_plus = terms.iter().find(|term| !term.minus).cloned();
        let minuses = terms.into_iter().filter(|term| term.minus);
        let concept: Vec<_> = first_plus.into_iter().chain(minuses).collect();
        if let Ok(vector) = arithmetic::sum_terms(&concept) {
            let name = std::mem::take(&mut self.name).trim().to_owned();
            let weight = vector::norm(&vector);
            let direction = LatentDirection { name, vector, weight };
            cx.session.concepts.push(direction.clone());
            concepts::apply(&mut cx.session, direction);
        }
    }

    /// The button that writes the figure once all of it is generated.
    fn export(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        const SLOTS: [Slot; 3] = [Slot::Exemplars, Slot::Averages, Slot::Result];
        let complete = cx.plans.sum.is_some() && SLOTS.iter().all(|&slot| cx.views.settled(slot));
        let tip = "A PNG laid out as the paper's figure 7";
        if !self.figure.ui(ui, complete, "Save figure...", tip) {
            return;
        }
        let pictures = SLOTS.map(|slot| cx.views.pictures(&cx.worker, slot));
        if let (Some(sum), [Some(exemplars), Some(averages), Some(results)]) = (&cx.plans.sum, pictures) {
            self.figure.done();
            if let Some(figure) = sum.figure(&exemplars, &averages, &results) {
                cx.files.save_png("arithmetic.png", move || figure.render());
            }
        }
    }
}

/// Says which trays have too few members.
fn hint_at_trays(ui: &mut Ui, session: &Session) {
    let trays = session.trays.iter().zip(1..);
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

/// The result in the middle of its neighbors.
fn results(ui: &mut Ui, cx: &PanelContext, side: f32) {
    ui.strong("Result").on_hover_text(
        "In the middle; around it with uniform noise of +-0.25 added. More exemplars in a tray make it surer: \
         `zscape arithmetic --score --exemplars 12` tells how much",
    );
    ui.spacing_mut().item_spacing = Vec2::splat(4.0);
    for row in 0..3 {
        ui.horizontal(|ui| {
            for i in row * 3..row * 3 + 3 {
                let name = if i == 4 { "result" } else { "neighbour" };
                let cell = cx.views.made(ui, Slot::Result, i, side, name);
                if i == 4 {
                    let stroke = egui::Stroke::new(2.0, ui.visuals().selection.bg_fill);
                    ui.painter().rect_stroke(cell.rect, 0.0, stroke, egui::StrokeKind::Inside);
                }
                cell.on_hover_text(format!("{name}: drag it to wherever a sample can be used"));
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
    fn clicks_fill_one_tray_after_another_and_remove_samples_again() {
        let (mut panel, mut cx) = (ArithmeticPanel::default(), context());
        for number in 0..4 {
            panel.pick(sample(number), &mut cx);
        }
        assert_eq!((cx.session.trays[0].members.len(), &cx.session.trays[1].members[..]), (3, &[sample(3)][..]));
        panel.pick(sample(3), &mut cx);
        assert!(cx.session.trays[1].members.is_empty());
        assert_eq!(panel.points(&cx.session).len(), 3);
        panel.shows_turn = true;
        for number in 0..5 {
            panel.pick(sample(number), &mut cx);
        }
        assert_eq!((cx.session.turn.from.len(), cx.session.turn.to.len()), (4, 1));
        assert_eq!(panel.points(&cx.session).len(), 5);
    }

    #[test]
    fn a_clicked_tray_takes_the_next_sample_and_a_click_on_it_removes_it() {
        let mut harness = show(ArithmeticPanel::default(), context());
        harness.get_by_label("Tray 2").click();
        harness.run_steps(2);
        let state = harness.state_mut();
        state.panel.pick(sample(7), &mut state.cx);
        assert_eq!(state.cx.session.trays[1].members, [sample(7)]);
        harness.run_steps(2);
        assert!(harness.query_by_label_contains("tray 1 is empty").is_some());
        harness.get_by_label(&sample(7).name()).click();
        harness.run_steps(2);
        assert!(harness.state().cx.session.trays[1].members.is_empty());
    }
}
