//! A map of Z: a plane of images, and named points that are dragged over it.

use egui::{Align2, Color32, FontId, Key, Modifiers, Pos2, Rect, Response, Sense, Stroke, Ui, Vec2, vec2};

use super::context::PanelContext;
use super::drag::drop_zone;
use super::panel::{Panel, has_keys};
use super::plans::{CachedZs, MAP_SIDE};
use super::shelf::add_to_shelf;
use super::views::lines;
use super::worker::Slot;
use crate::app::action::Action;
use crate::latent::directions::{DirectionMethod, LatentDirection};
use crate::latent::plane::CORNERS;
use crate::latent::session::{Pin, Point, Session};

/// Largest distance between the pointer and a point that it selects, in points of the screen.
const REACH: f32 = 14.0;

/// Shows a plane through Z with the session's pins on it.
#[derive(Default)]
pub(super) struct PlanePanel {
    /// The corner that the next clicked sample becomes.
    corner: usize,
    /// The pin that is framed: keys and drags on empty parts of the map move it.
    selected: usize,
    here: CachedZs<Vec<f32>>,
}

/// A position of the map, in 0..=1 from left to right and from top to bottom, on the screen.
fn to_screen(rect: Rect, [x, y]: [f32; 2]) -> Pos2 {
    rect.min + vec2(x, y) * rect.size()
}

/// The nearest position of the map to a point on the screen.
fn to_map(rect: Rect, at: Pos2) -> [f32; 2] {
    let at = (at - rect.min) / rect.size();
    [at.x.clamp(0.0, 1.0), at.y.clamp(0.0, 1.0)]
}

/// The pin nearest to `at` on the map, if it is within reach.
fn nearest_pin(pins: &[Pin], at: Pos2, rect: Rect) -> Option<usize> {
    let distance = |pin: &Pin| to_screen(rect, pin.at).distance(at);
    let nearest = (0..pins.len()).min_by(|&a, &b| distance(&pins[a]).total_cmp(&distance(&pins[b])))?;
    (distance(&pins[nearest]) < REACH).then_some(nearest)
}

/// A name that no pin has yet.
fn free_name(pins: &[Pin]) -> String {
    let mut names = (1..).map(|i| format!("point {i}"));
    names.find(|name| pins.iter().all(|pin| pin.name != *name)).unwrap_or_default()
}

impl Panel for PlanePanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        self.selected = self.selected.min(cx.session.pins.len().saturating_sub(1));
        cx.views.request(&cx.worker, Slot::Corners, &cx.plans.corners);
        cx.views.request(&cx.worker, Slot::Land, &cx.plans.map_images);
        cx.views.request(&cx.worker, Slot::Pins, &cx.plans.pins);
        if has_keys(ui) {
            self.keys(ui, &mut cx.session);
        }
        self.choice(ui, cx);
        ui.weak("Drag a point, or click where the framed one should go; a double click makes another.");
        let room = ui.available_size();
        let side = room.y.min(room.x - 236.0).clamp(180.0, 900.0);
        ui.horizontal_top(|ui| {
            let hovered = self.map(ui, cx, side);
            ui.vertical(|ui| {
                let at = hovered.or_else(|| cx.session.pins.get(self.selected).map(|pin| pin.at));
                self.preview(ui, cx, at, hovered.is_some());
                egui::ScrollArea::vertical().id_salt("pins").show(ui, |ui| self.pins(ui, cx));
            });
        });
        None
    }

    /// Makes the point the framed corner; a map of two directions has only the first.
    fn pick(&mut self, point: Point, cx: &mut PanelContext) {
        if cx.session.axes.is_some() {
            cx.session.plane[0] = point;
            return;
        }
        cx.session.plane[self.corner] = point;
        self.corner = (self.corner + 1) % 3;
    }

    fn points<'a>(&self, session: &'a Session) -> Vec<&'a Point> {
        session.plane.iter().collect()
    }
}

impl PlanePanel {
    /// Chooses what spans the map: three samples, or two directions.
    fn choice(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        lines(ui, |ui| {
            let directions = cx.session.axes.is_some();
            if ui.selectable_label(!directions, "Through samples").clicked() {
                cx.session.axes = None;
            }
            let strongest = cx.directions.find(&cx.worker, DirectionMethod::Ganspace);
            let two = strongest.and_then(|found| Some([found.first()?.clone(), found.get(1)?.clone()]));
            let label = ui.add_enabled(two.is_some(), egui::Button::selectable(directions, "Two directions"));
            let about = "From one sample along two directions, -3 to +3 standard deviations";
            if label.on_hover_text(about).clicked() && !directions {
                cx.session.axes = two;
            }
            ui.separator();
            if cx.session.axes.is_some() {
                self.corner(ui, cx, 0, "Around");
                ui.horizontal(|ui| {
                    axis(ui, cx, 0, "across");
                    axis(ui, cx, 1, "down");
                });
            } else {
                for (i, name) in ["A", "B", "C"].into_iter().enumerate() {
                    self.corner(ui, cx, i, name);
                }
            }
        });
    }

    fn corner(&mut self, ui: &mut Ui, cx: &mut PanelContext, i: usize, name: &str) {
        let framed = self.corner == i || cx.session.axes.is_some();
        let (_, dropped) = drop_zone(ui, framed, egui::Sense::hover(), |ui| {
            ui.horizontal(|ui| {
                let label = ui.selectable_label(framed, name);
                if label.on_hover_text("The next click on a sample goes here").clicked() {
                    self.corner = i;
                }
                let point = cx.session.plane[i].clone();
                let cell = cx.views.point(ui, Slot::Corners, i, 40.0, &point, None);
                cell.on_hover_text(format!("{}: drag another one here", point.name()));
            });
        });
        if let Some(carried) = dropped {
            cx.session.plane[i] = carried.point;
        }
    }

    /// The images of the map with its pins; returns the position under the pointer.
    fn map(&mut self, ui: &mut Ui, cx: &mut PanelContext, side: f32) -> Option<[f32; 2]> {
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, "map of Z"));
        self.drag_pins(ui, &mut cx.session, rect, &response);
        let field = rect.width() / MAP_SIDE as f32;
        ui.painter().rect_filled(rect, 0.0, ui.visuals().faint_bg_color);
        for i in 0..MAP_SIDE * MAP_SIDE {
            if let Some(image) = cx.views.image(Slot::Land, i, field) {
                let corner = rect.min + vec2((i % MAP_SIDE) as f32, (i / MAP_SIDE) as f32) * field;
                image.paint_at(ui, Rect::from_min_size(corner, Vec2::splat(field)));
            }
        }
        self.marks(ui, &cx.session, rect);
        let pointer = response.hover_pos().or_else(|| response.interact_pointer_pos());
        let resting = pointer.filter(|_| !response.dragged());
        let hovered = resting.map(|at| to_map(rect, at));
        response.on_hover_cursor(egui::CursorIcon::Crosshair);
        hovered
    }

    /// Drags pins. A click or drag on an empty part moves the selected one there.
    fn drag_pins(&mut self, ui: &Ui, session: &mut Session, rect: Rect, response: &Response) {
        let Some(at) = response.interact_pointer_pos() else { return };
        if response.drag_started() || response.clicked() {
            let pressed = ui.input(|input| input.pointer.press_origin()).unwrap_or(at);
            if let Some(near) = nearest_pin(&session.pins, pressed, rect) {
                self.selected = near;
            }
        }
        if response.double_clicked() {
            self.add_pin(session, to_map(rect, at));
        } else if (response.dragged() || response.clicked())
            && let Some(pin) = session.pins.get_mut(self.selected)
        {
            pin.at = to_map(rect, at);
        }
    }

    /// Paints the corners and the pins.
    fn marks(&self, ui: &Ui, session: &Session, rect: Rect) {
        let painter = ui.painter_at(rect);
        if session.axes.is_none() {
            for (corner, name) in CORNERS.into_iter().zip(["A", "B", "C"]) {
                let at = to_screen(rect, corner);
                painter.circle(at, 9.0, Color32::WHITE, Stroke::new(2.0, Color32::BLACK));
                painter.text(at, Align2::CENTER_CENTER, name, FontId::proportional(12.0), Color32::BLACK);
            }
        }
        for (i, pin) in session.pins.iter().enumerate() {
            let at = to_screen(rect, pin.at);
            let color = if i == self.selected { Color32::YELLOW } else { Color32::WHITE };
            painter.circle_stroke(at, 8.0, Stroke::new(4.0, Color32::BLACK));
            painter.circle_stroke(at, 8.0, Stroke::new(2.0, color));
            let font = FontId::proportional(12.0);
            let galley = painter.layout_no_wrap(pin.name.clone(), font, color);
            // Beside the point, on the side where there is room.
            let left = if at.x + 14.0 + galley.size().x > rect.right() { -14.0 - galley.size().x } else { 14.0 };
            let corner = at + vec2(left, -0.5 * galley.size().y);
            painter.rect_filled(
                Rect::from_min_size(corner, galley.size()).expand(2.0),
                3.0,
                Color32::from_black_alpha(170),
            );
            painter.galley(corner, galley, color);
        }
    }

    /// The image under the pointer, or at the selected pin.
    fn preview(&mut self, ui: &mut Ui, cx: &mut PanelContext, at: Option<[f32; 2]>, hovering: bool) {
        let Some(at) = at else { return };
        let z = cx.plans.map.at(at);
        let fit = cx.plans.config.prior.norm_fit(&z);
        let z = self.here.get(z, |z| vec![z.clone()]);
        cx.views.request(&cx.worker, Slot::Pointer, z);
        let name = format!("plane at {:.2}, {:.2}", at[0], at[1]);
        ui.label(if hovering { "Under the pointer" } else { "At the framed point" });
        let side = (ui.available_width() - 8.0).clamp(80.0, 216.0);
        cx.views.cell(ui, Slot::Pointer, 0, side, "under the point").on_hover_text(name);
        ui.weak(format!("{:+.1} deviations from the prior's length", fit.deviations));
    }

    /// The pins by name.
    fn pins(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let (mut removed, mut kept) = (None, None);
        for i in 0..cx.session.pins.len() {
            let selected = self.selected == i;
            ui.horizontal(|ui| {
                let name = cx.session.pins[i].name.clone();
                let cell = cx.views.made(ui, Slot::Pins, i, 44.0, &name);
                if selected {
                    let stroke = Stroke::new(2.0, ui.visuals().selection.bg_fill);
                    ui.painter().rect_stroke(cell.rect, 0.0, stroke, egui::StrokeKind::Outside);
                }
                if cell.on_hover_text(format!("{name}: drag it to wherever a sample can be used")).clicked() {
                    self.selected = i;
                }
                ui.vertical(|ui| {
                    let pin = &mut cx.session.pins[i];
                    let edit = egui::TextEdit::singleline(&mut pin.name).desired_width(120.0);
                    if ui.add(edit).on_hover_text("Its name").gained_focus() {
                        self.selected = i;
                    }
                    ui.horizontal(|ui| {
                        let keep = ui.small_button("Keep");
                        if keep.on_hover_text("Puts it on the shelf, to be used as a sample").clicked() {
                            kept = Some(i);
                        }
                        if ui.small_button("Remove").on_hover_text("Delete").clicked() {
                            removed = Some(i);
                        }
                    });
                });
            });
        }
        if ui
            .button("New point")
            .on_hover_text("In the middle of the map (N); double click puts it elsewhere")
            .clicked()
        {
            self.add_pin(&mut cx.session, [0.5, 0.5]);
        }
        if let Some(i) = kept
            && let Some(z) = cx.plans.pins.get(i).cloned()
        {
            let name = cx.session.pins[i].name.clone();
            add_to_shelf(&mut cx.session, name, z);
        }
        if let Some(i) = removed {
            cx.session.pins.remove(i);
        }
    }

    /// Adds a pin and selects it.
    fn add_pin(&mut self, session: &mut Session, at: [f32; 2]) {
        let name = free_name(&session.pins);
        session.pins.push(Pin { name, at });
        self.selected = session.pins.len() - 1;
    }

    fn keys(&mut self, ui: &Ui, session: &mut Session) {
        let pressed = |key| {
            ui.input_mut(|input| {
                let large = input.count_and_consume_key(Modifiers::SHIFT, key) as f32;
                0.01 * input.count_and_consume_key(Modifiers::NONE, key) as f32 + 0.1 * large
            })
        };
        let [up, down, left, right] = [Key::ArrowUp, Key::ArrowDown, Key::ArrowLeft, Key::ArrowRight].map(pressed);
        if let Some(pin) = session.pins.get_mut(self.selected) {
            let [x, y] = pin.at;
            pin.at = [(x + right - left).clamp(0.0, 1.0), (y + down - up).clamp(0.0, 1.0)];
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::N)) {
            self.add_pin(session, [0.5, 0.5]);
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Delete)) && !session.pins.is_empty() {
            session.pins.remove(self.selected);
        }
    }
}

/// Chooses an axis among the directions that were found and those that were saved.
fn axis(ui: &mut Ui, cx: &mut PanelContext, i: usize, name: &str) {
    for method in [DirectionMethod::Ganspace, DirectionMethod::Sefa] {
        cx.directions.find(&cx.worker, method);
    }
    let Some(axes) = &mut cx.session.axes else { return };
    ui.label(name);
    egui::ComboBox::from_id_salt(("axis", i)).width(96.0).selected_text(&axes[i].name).show_ui(ui, |ui| {
        let all: Vec<&LatentDirection> = cx.directions.all().chain(&cx.session.concepts).collect();
        for direction in all {
            if ui.selectable_label(axes[i] == *direction, &direction.name).clicked() {
                axes[i] = direction.clone();
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use egui::pos2;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, sample, show};

    #[test]
    fn new_points_are_added_and_picked_samples_become_corners() {
        let mut harness = show(PlanePanel::default(), context());
        harness.get_by_label("New point").click();
        harness.run_steps(2);
        let state = harness.state_mut();
        assert_eq!(state.cx.session.pins.len(), 2);
        assert_eq!(state.panel.selected, 1);
        for number in [10, 11] {
            state.panel.pick(sample(number), &mut state.cx);
        }
        assert_eq!(state.cx.session.plane, [10, 11, 2].map(sample));
    }

    #[test]
    fn map_and_screen_positions_convert_both_ways() {
        let rect = Rect::from_min_size(pos2(10.0, 20.0), Vec2::splat(200.0));
        for at in [[0.0, 0.0], [0.25, 0.5], [1.0, 1.0]] {
            assert_eq!(to_map(rect, to_screen(rect, at)), at);
        }
        assert_eq!(to_map(rect, pos2(0.0, 500.0)), [0.0, 1.0], "positions are clamped to the map");
    }

    #[test]
    fn the_nearest_pin_within_reach_is_selected() {
        let rect = Rect::from_min_size(pos2(0.0, 0.0), Vec2::splat(100.0));
        let pin = |x| Pin { name: String::new(), at: [x, 0.5] };
        let pins = [pin(0.2), pin(0.3)];
        assert_eq!(nearest_pin(&pins, pos2(29.0, 50.0), rect), Some(1));
        assert_eq!(nearest_pin(&pins, pos2(80.0, 50.0), rect), None);
        assert_eq!(nearest_pin(&[], pos2(80.0, 50.0), rect), None);
    }

    #[test]
    fn new_pins_have_unused_names() {
        let pin = |name: &str| Pin { name: name.into(), at: [0.5, 0.5] };
        assert_eq!(free_name(&[pin("point 1"), pin("point 3")]), "point 2");
    }
}
