//! Sliders along directions of Z, in standard deviations; each has a strip of what it changes.

use std::sync::Arc;

use egui::{Key, Modifiers, Ui};

use super::concepts::{remove, rename};
use super::context::PanelContext;
use super::drag::Carried;
use super::model_change::ModelChange;
use super::panel::{Panel, has_keys};
use super::plans::{CachedZs, strips};
use super::shelf::add_to_shelf;
use super::worker::Slot;
use crate::app::action::Action;
use crate::latent::directions::{DirectionMethod, LatentDirection};
use crate::latent::session::{Point, Session, Slider};
use crate::latent::vector;

/// The strips' positions, in standard deviations.
const STRIP: [f32; 7] = [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0];
/// Side of the moved sample's image, in points.
const LARGE: f32 = 192.0;
/// Height of a slider's row, in points.
const ROW: f32 = 34.0;

/// Where a direction comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum DirectionOrigin {
    Found(DirectionMethod),
    Own,
}

const SOURCES: [(DirectionOrigin, &str, &str); 4] = [
    (DirectionOrigin::Found(DirectionMethod::Ganspace), "GANSpace", "Principal directions of the first feature layer"),
    (DirectionOrigin::Found(DirectionMethod::Sefa), "SeFa", "Directions in closed form from the first layer's weights"),
    (DirectionOrigin::Found(DirectionMethod::Raw), "Coordinates", "Coordinates of z, those that change most first"),
    (DirectionOrigin::Own, "Your own", "Concepts from the arithmetic, and combinations that were saved"),
];

/// Moves the session's subject along directions of Z.
pub(super) struct DirectionsPanel {
    source: DirectionOrigin,
    /// The direction whose strip is shown large.
    chosen: Option<LatentDirection>,
    strips: CachedZs<(Vec<LatentDirection>, Vec<f32>)>,
    strip: CachedZs<(LatentDirection, Vec<f32>)>,
    /// The name that a direction or a combination is saved under.
    name: String,
}

impl Default for DirectionsPanel {
    fn default() -> Self {
        Self {
            source: DirectionOrigin::Found(DirectionMethod::Ganspace),
            chosen: None,
            strips: CachedZs::default(),
            strip: CachedZs::default(),
            name: String::new(),
        }
    }
}

/// The amount of a direction's slider.
fn amount(session: &Session, direction: &LatentDirection) -> f32 {
    session.sliders.iter().find(|slider| slider.direction == *direction).map_or(0.0, |slider| slider.amount)
}

/// Moves a direction's slider; at zero the session has none.
fn slide(session: &mut Session, direction: &LatentDirection, amount: f32) {
    let at = session.sliders.iter().position(|slider| slider.direction == *direction);
    match (at, amount == 0.0) {
        (Some(at), true) => drop(session.sliders.remove(at)),
        (Some(at), false) => session.sliders[at].amount = amount,
        (None, true) => {}
        (None, false) => session.sliders.push(Slider { direction: direction.clone(), amount }),
    }
}

impl Panel for DirectionsPanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        let list: Arc<[LatentDirection]> = match self.source {
            DirectionOrigin::Own => cx.session.concepts.clone().into(),
            DirectionOrigin::Found(method) => cx.directions.find(&cx.worker, method).unwrap_or_default(),
        };
        if has_keys(ui) {
            self.keys(ui, &mut cx.session, &list);
        }
        cx.views.request(&cx.worker, Slot::Pointer, &cx.plans.moved);
        ui.horizontal_top(|ui| {
            subject(ui, cx);
            ui.vertical(|ui| {
                self.actions(ui, cx);
                self.large_strip(ui, cx);
            });
        });
        ui.horizontal_wrapped(|ui| {
            for (source, name, about) in SOURCES {
                ui.selectable_value(&mut self.source, source, name).on_hover_text(about);
            }
        });
        if list.is_empty() {
            if self.source == DirectionOrigin::Own {
                ui.label(
                    "None yet: save a concept from the arithmetic, or a direction or a combination of sliders here.",
                );
            } else {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label("looking at what the generator does with Z");
                });
            }
            return None;
        }
        let start = cx.plans.moved[1].clone();
        let z = self.strips.get((list.to_vec(), start), |(list, start)| strips(start, list, &STRIP));
        cx.views.request(&cx.worker, Slot::Strips, z);
        let salt = SOURCES.iter().position(|(source, ..)| *source == self.source);
        egui::ScrollArea::vertical().id_salt(("directions", salt)).auto_shrink(false).show(ui, |ui| {
            for (i, direction) in list.iter().enumerate() {
                self.row(ui, cx, i, direction);
            }
        });
        None
    }

    fn pick(&mut self, point: Point, cx: &mut PanelContext) {
        cx.session.subject = point;
    }

    fn points<'a>(&self, session: &'a Session) -> Vec<&'a Point> {
        vec![&session.subject]
    }

    fn request_changed(&self, cx: &mut PanelContext) {
        cx.views.request(&cx.worker, Slot::Pointer, &cx.plans.moved);
    }

    fn on_model_change(&mut self, change: ModelChange, _cx: &mut PanelContext) {
        if change != ModelChange::Weights {
            *self = Self::default();
        }
    }
}

impl DirectionsPanel {
    /// The sliders that are moved, and buttons that keep or save the result.
    fn actions(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        ui.label(format!("{}, moved by", cx.session.subject.name()));
        let mut reset = None;
        ui.horizontal_wrapped(|ui| {
            if cx.session.sliders.is_empty() {
                ui.weak("no slider yet");
            }
            for (i, slider) in cx.session.sliders.iter().enumerate() {
                let text = format!("{:+.1} {}", slider.amount, slider.direction.name);
                if ui.small_button(text).on_hover_text("Click to take this one back to zero").clicked() {
                    reset = Some(i);
                }
            }
        });
        if let Some(i) = reset {
            cx.session.sliders.remove(i);
        }
        let z = cx.plans.moved[0].clone();
        let fit = cx.plans.config.prior.norm_fit(&z);
        if fit.is_outlier() {
            let text = format!(
                "Outside the prior: length {:.2}, the prior's {:.2} ({:+.1} deviations)",
                fit.norm, fit.expected, fit.deviations
            );
            ui.colored_label(ui.visuals().warn_fg_color, text);
        }
        ui.horizontal_wrapped(|ui| {
            let moved = !cx.session.sliders.is_empty();
            if ui.add_enabled(moved, egui::Button::new("Reset sliders")).clicked() {
                cx.session.sliders.clear();
            }
            if ui.button("Keep").on_hover_text("Puts it on the shelf, to be used as a sample").clicked() {
                let name = format!("{}, moved", cx.session.subject.name());
                add_to_shelf(&mut cx.session, name, z.clone());
            }
        });
        ui.horizontal_wrapped(|ui| {
            let name = egui::TextEdit::singleline(&mut self.name).hint_text("name").desired_width(90.0);
            ui.add(name).on_hover_text("What a direction or a combination is saved as");
            let named = !self.name.trim().is_empty();
            let several = named && !cx.session.sliders.is_empty();
            let save = ui.add_enabled(several, egui::Button::new("Save combination"));
            let about = "All sliders as they stand, as one direction of your own";
            if save.on_hover_text(about).on_disabled_hover_text("Needs a name, and a slider that is moved").clicked() {
                let zero = vec![0.0; z.len()];
                let sliders = cx.session.sliders.iter();
                let sum = sliders.fold(zero, |sum, s| vector::add_scaled(&sum, &s.direction.vector, s.amount));
                self.save_own(&mut cx.session, sum);
            }
            let chosen = self.chosen.clone();
            let save = ui.add_enabled(named && chosen.is_some(), egui::Button::new("Save direction"));
            let about = "The direction whose strip is shown, as one of your own";
            let missing = "Needs a name, and a direction that is chosen below";
            if let Some(chosen) = chosen
                && save.on_hover_text(about).on_disabled_hover_text(missing).clicked()
            {
                self.save_own(&mut cx.session, chosen.vector);
            }
        });
    }

    /// Saves a direction under the typed name, and shows the saved ones.
    fn save_own(&mut self, session: &mut Session, vector: Vec<f32>) {
        let name = std::mem::take(&mut self.name).trim().to_owned();
        let weight = vector::norm(&vector);
        session.concepts.push(LatentDirection { name, vector, weight });
        self.source = DirectionOrigin::Own;
    }

    /// The chosen direction's strip.
    fn large_strip(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let z_dim = cx.plans.config.z_dim;
        let Some(direction) = self.chosen.clone().filter(|d| d.vector.len() == z_dim) else {
            ui.weak("Click a direction for a large strip of what it does.");
            return;
        };
        ui.label(format!("{} from -3 to +3 standard deviations", direction.name));
        let key = (direction, cx.plans.moved[1].clone());
        let z = self.strip.get(key, |(direction, start)| strips(start, std::slice::from_ref(direction), &STRIP));
        cx.views.request(&cx.worker, Slot::Strip, z);
        let side = ((ui.available_width() - 36.0) / STRIP.len() as f32).clamp(32.0, 112.0);
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            for (i, amount) in STRIP.into_iter().enumerate() {
                cx.views
                    .made(ui, Slot::Strip, i, side, &format!("{amount:+}"))
                    .on_hover_text(format!("{amount:+} deviations; drag it to wherever a sample can be used"));
            }
        });
    }

    /// A slider with its strip.
    fn row(&mut self, ui: &mut Ui, cx: &mut PanelContext, i: usize, direction: &LatentDirection) {
        let chosen = self.chosen.as_ref() == Some(direction);
        let now = amount(&cx.session, direction);
        let mut next = now;
        ui.horizontal(|ui| {
            ui.spacing_mut().item_spacing.x = 2.0;
            let name = ui.add_sized(
                [104.0, ROW],
                egui::Button::selectable(chosen, egui::RichText::new(&direction.name)).truncate(),
            );
            if name.on_hover_text(format!("{}: click for a large strip", direction.name)).clicked() {
                self.chosen = Some(direction.clone());
            }
            for (j, &amount) in STRIP.iter().enumerate() {
                let name = format!("{} at {amount:+}", direction.name);
                let cell = cx.views.cell(ui, Slot::Strips, i * STRIP.len() + j, ROW, &name);
                if (amount - now).abs() < 0.5 {
                    let stroke = egui::Stroke::new(2.0, ui.visuals().selection.bg_fill);
                    ui.painter().rect_stroke(cell.rect, 0.0, stroke, egui::StrokeKind::Inside);
                }
                if cell.on_hover_text("Click to move the slider there").clicked() {
                    next = amount;
                }
            }
            ui.spacing_mut().item_spacing.x = 6.0;
            let own = self.source == DirectionOrigin::Own;
            let reserved = if own { 240.0 } else { 116.0 };
            ui.spacing_mut().slider_width = (ui.available_width() - reserved).clamp(60.0, 480.0);
            let slider = egui::Slider::new(&mut next, -3.0..=3.0).fixed_decimals(1);
            ui.add(slider).on_hover_text("Standard deviations; type a number for more");
            if ui.add_enabled(now != 0.0, egui::Button::new("Reset").small()).clicked() {
                next = 0.0;
            }
            if own {
                self.own_actions(ui, &mut cx.session, i, direction);
            }
        });
        if next != now {
            self.chosen = Some(direction.clone());
            slide(&mut cx.session, direction, next);
        }
    }

    /// The buttons of a saved direction.
    fn own_actions(&mut self, ui: &mut Ui, session: &mut Session, i: usize, direction: &LatentDirection) {
        ui.menu_button("Rename", |ui| {
            let mut name = direction.name.clone();
            if ui.text_edit_singleline(&mut name).changed() {
                if let Some(chosen) = self.chosen.as_mut().filter(|chosen| *chosen == direction) {
                    chosen.name.clone_from(&name);
                }
                rename(session, i, name);
            }
        });
        if ui.small_button("Remove").on_hover_text("Undo brings it back").clicked() {
            remove(session, i);
            self.chosen = None;
        }
    }

    fn keys(&mut self, ui: &Ui, session: &mut Session, list: &[LatentDirection]) {
        let pressed = |key| {
            ui.input_mut(|input| {
                let large = input.count_and_consume_key(Modifiers::SHIFT, key);
                (input.count_and_consume_key(Modifiers::NONE, key) as f32, large as f32)
            })
        };
        let [up, down, left, right] = [Key::ArrowUp, Key::ArrowDown, Key::ArrowLeft, Key::ArrowRight].map(pressed);
        let at = list.iter().position(|direction| Some(direction) == self.chosen.as_ref());
        let step = (down.0 - up.0) as isize;
        if step != 0 && !list.is_empty() {
            let next = at.map_or(0, |at| at.saturating_add_signed(step).min(list.len() - 1));
            self.chosen = Some(list[next].clone());
        }
        let Some(chosen) = self.chosen.clone() else { return };
        let by = 0.1 * (right.0 - left.0) + right.1 - left.1;
        if by != 0.0 {
            // Tenths stay tenths.
            let next = ((amount(session, &chosen) + by) * 10.0).round() / 10.0;
            slide(session, &chosen, next.clamp(-3.0, 3.0));
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Backspace)) {
            slide(session, &chosen, 0.0);
        }
    }
}

/// The moved sample, and the original, which another sample can be dragged to.
fn subject(ui: &mut Ui, cx: &mut PanelContext) {
    let moved = format!("{}, moved", cx.session.subject.name());
    let zone = ui.horizontal_top(|ui| {
        cx.views.made(ui, Slot::Pointer, 0, LARGE, "moved sample").on_hover_text(moved);
        let subject = cx.session.subject.clone();
        ui.vertical(|ui| {
            cx.views
                .point(ui, Slot::Pointer, 1, 72.0, &subject, None)
                .on_hover_text(format!("{} as it was; drag another sample here", subject.name()));
            ui.weak("as it was");
        });
    });
    if let Some(carried) = Carried::dropped(&zone.response) {
        cx.session.subject = carried.point;
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, show};

    #[test]
    fn a_click_on_a_strip_moves_its_slider_and_reset_removes_it() {
        let mut cx = context();
        assert!(cx.directions.find(&cx.worker, DirectionMethod::Ganspace).is_none(), "the worker has to look first");
        let direction = LatentDirection { name: "first".into(), vector: vec![0.5; 4], weight: 1.0 };
        cx.directions.insert(DirectionMethod::Ganspace, vec![direction.clone()]);
        let mut harness = show(DirectionsPanel::default(), cx);
        harness.get_by_label("first at +2").click();
        harness.run_steps(2);
        assert_eq!(harness.state().cx.session.sliders, [Slider { direction, amount: 2.0 }]);
        harness.get_by_label("Reset sliders").click();
        harness.run_steps(2);
        assert!(harness.state().cx.session.sliders.is_empty());
    }
}
