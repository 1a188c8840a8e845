//! A map of Z: pictures of the land, and named points that are dragged over it.

use egui::{Align2, Color32, FontId, Key, Modifiers, Pos2, Rect, Response, Sense, Stroke, Ui, Vec2, vec2};

use super::Explorer;
use super::drag::drop_zone;
use super::plans::{Kept, LAND};
use super::views::lines;
use super::worker::Slot;
use crate::latent::directions::{DirectionMethod, LatentDirection};
use crate::latent::plane::CORNERS;
use crate::latent::session::{Pin, Point, Session};
use crate::model::ModelConfig;

/// How near the pointer must be to a point to take hold of it, in points of the screen.
const REACH: f32 = 14.0;

#[derive(Default)]
pub(super) struct Pad {
    /// The corner that the next clicked sample becomes.
    corner: usize,
    /// The point that keys and drags on empty land move.
    held: usize,
    here: Kept<Vec<f32>>,
}

impl Pad {
    /// A clicked sample becomes the framed corner; on a map of directions there is only the first.
    pub fn pick(&mut self, session: &mut Session, point: Point) {
        if session.axes.is_some() {
            session.plane[0] = point;
            return;
        }
        session.plane[self.corner] = point;
        self.corner = (self.corner + 1) % 3;
    }

    /// The point nearest to `at` on the map, if it is within reach.
    fn near(pins: &[Pin], at: Pos2, rect: Rect) -> Option<usize> {
        let far = |pin: &Pin| spot(rect, pin.at).distance(at);
        let nearest = (0..pins.len()).min_by(|&a, &b| far(&pins[a]).total_cmp(&far(&pins[b])))?;
        (far(&pins[nearest]) < REACH).then_some(nearest)
    }
}

/// A place of the map on the screen, and back.
fn spot(rect: Rect, [x, y]: [f32; 2]) -> Pos2 {
    rect.min + vec2(x, y) * rect.size()
}

fn place(rect: Rect, at: Pos2) -> [f32; 2] {
    let at = (at - rect.min) / rect.size();
    [at.x.clamp(0.0, 1.0), at.y.clamp(0.0, 1.0)]
}

/// A name that no point has yet.
fn free_name(pins: &[Pin]) -> String {
    let mut names = (1..).map(|i| format!("point {i}"));
    names.find(|name| pins.iter().all(|pin| pin.name != *name)).unwrap_or_default()
}

impl Explorer {
    pub(super) fn plane(&mut self, ui: &mut Ui, config: &ModelConfig, keys: bool) {
        self.pad.held = self.pad.held.min(self.session.pins.len().saturating_sub(1));
        self.views.ask(&self.worker, Slot::Corners, &self.plans.corners);
        self.views.ask(&self.worker, Slot::Land, &self.plans.land);
        self.views.ask(&self.worker, Slot::Pins, &self.plans.pins);
        if keys {
            self.pad_keys(ui);
        }
        self.choice(ui);
        ui.weak("Drag a point, or click where the framed one should go; a double click makes another.");
        let room = ui.available_size();
        let side = room.y.min(room.x - 236.0).clamp(180.0, 900.0);
        ui.horizontal_top(|ui| {
            let hovered = self.map(ui, side);
            ui.vertical(|ui| {
                let at = hovered.or_else(|| self.session.pins.get(self.pad.held).map(|pin| pin.at));
                self.under_pointer(ui, config, at, hovered.is_some());
                egui::ScrollArea::vertical().id_salt("pins").show(ui, |ui| self.pins(ui));
            });
        });
    }

    /// What the map shows: a plane through samples, or two directions.
    fn choice(&mut self, ui: &mut Ui) {
        lines(ui, |ui| {
            let directions = self.session.axes.is_some();
            if ui.selectable_label(!directions, "Through samples").clicked() {
                self.session.axes = None;
            }
            let strongest = self.directions.find(&self.worker, DirectionMethod::Ganspace);
            let two = strongest.and_then(|found| Some([found.first()?.clone(), found.get(1)?.clone()]));
            let label = ui.add_enabled(two.is_some(), egui::Button::selectable(directions, "Two directions"));
            let about = "From one sample along two directions, -3 to +3 standard deviations";
            if label.on_hover_text(about).clicked() && !directions {
                self.session.axes = two;
            }
            ui.separator();
            if self.session.axes.is_some() {
                self.corner(ui, 0, "Around");
                ui.horizontal(|ui| {
                    self.axis(ui, 0, "across");
                    self.axis(ui, 1, "down");
                });
            } else {
                for (i, name) in ["A", "B", "C"].into_iter().enumerate() {
                    self.corner(ui, i, name);
                }
            }
        });
    }

    fn corner(&mut self, ui: &mut Ui, i: usize, name: &str) {
        let framed = self.pad.corner == i || self.session.axes.is_some();
        let (_, dropped) = drop_zone(ui, framed, |ui| {
            ui.horizontal(|ui| {
                let label = ui.selectable_label(framed, name);
                if label.on_hover_text("The next click on a sample goes here").clicked() {
                    self.pad.corner = i;
                }
                let point = self.session.plane[i].clone();
                let cell = self.views.point(ui, Slot::Corners, i, 40.0, &point, None);
                cell.on_hover_text(format!("{}: drag another one here", point.name()));
            });
        });
        if let Some(carried) = dropped {
            self.session.plane[i] = carried.point;
        }
    }

    /// A choice among everything that was found, and the person's own.
    fn axis(&mut self, ui: &mut Ui, i: usize, name: &str) {
        for method in [DirectionMethod::Ganspace, DirectionMethod::Sefa] {
            self.directions.find(&self.worker, method);
        }
        let Some(axes) = &mut self.session.axes else { return };
        ui.label(name);
        egui::ComboBox::from_id_salt(("axis", i)).width(96.0).selected_text(&axes[i].name).show_ui(ui, |ui| {
            let all: Vec<&LatentDirection> = self.directions.all().chain(&self.session.concepts).collect();
            for direction in all {
                if ui.selectable_label(axes[i] == *direction, &direction.name).clicked() {
                    axes[i] = direction.clone();
                }
            }
        });
    }

    /// The land with its points; where the pointer is, if it is over it.
    fn map(&mut self, ui: &mut Ui, side: f32) -> Option<[f32; 2]> {
        let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click_and_drag());
        response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, "map of Z"));
        self.grasp(ui, rect, &response);
        let field = rect.width() / LAND as f32;
        ui.painter().rect_filled(rect, 0.0, ui.visuals().faint_bg_color);
        for i in 0..LAND * LAND {
            if let Some(image) = self.views.image(Slot::Land, i, field) {
                let corner = rect.min + vec2((i % LAND) as f32, (i / LAND) as f32) * field;
                image.paint_at(ui, Rect::from_min_size(corner, Vec2::splat(field)));
            }
        }
        self.marks(ui, rect);
        let pointer = response.hover_pos().or_else(|| response.interact_pointer_pos());
        let resting = pointer.filter(|_| !response.dragged());
        let hovered = resting.map(|at| place(rect, at));
        response.on_hover_cursor(egui::CursorIcon::Crosshair);
        hovered
    }

    /// Points are dragged; empty land is where the held one goes.
    fn grasp(&mut self, ui: &Ui, rect: Rect, response: &Response) {
        let Some(at) = response.interact_pointer_pos() else { return };
        if response.drag_started() || response.clicked() {
            let pressed = ui.input(|input| input.pointer.press_origin()).unwrap_or(at);
            if let Some(near) = Pad::near(&self.session.pins, pressed, rect) {
                self.pad.held = near;
            }
        }
        if response.double_clicked() {
            self.new_pin(place(rect, at));
        } else if (response.dragged() || response.clicked())
            && let Some(pin) = self.session.pins.get_mut(self.pad.held)
        {
            pin.at = place(rect, at);
        }
    }

    fn marks(&self, ui: &Ui, rect: Rect) {
        let painter = ui.painter_at(rect);
        if self.session.axes.is_none() {
            for (corner, name) in CORNERS.into_iter().zip(["A", "B", "C"]) {
                let at = spot(rect, corner);
                painter.circle(at, 9.0, Color32::WHITE, Stroke::new(2.0, Color32::BLACK));
                painter.text(at, Align2::CENTER_CENTER, name, FontId::proportional(12.0), Color32::BLACK);
            }
        }
        for (i, pin) in self.session.pins.iter().enumerate() {
            let at = spot(rect, pin.at);
            let colour = if i == self.pad.held { Color32::YELLOW } else { Color32::WHITE };
            painter.circle_stroke(at, 8.0, Stroke::new(4.0, Color32::BLACK));
            painter.circle_stroke(at, 8.0, Stroke::new(2.0, colour));
            let font = FontId::proportional(12.0);
            let galley = painter.layout_no_wrap(pin.name.clone(), font, colour);
            // Beside the point, on the side where there is room.
            let left = if at.x + 14.0 + galley.size().x > rect.right() { -14.0 - galley.size().x } else { 14.0 };
            let corner = at + vec2(left, -0.5 * galley.size().y);
            painter.rect_filled(
                Rect::from_min_size(corner, galley.size()).expand(2.0),
                3.0,
                Color32::from_black_alpha(170),
            );
            painter.galley(corner, galley, colour);
        }
    }

    /// The picture under the pointer, or of the held point.
    fn under_pointer(&mut self, ui: &mut Ui, config: &ModelConfig, at: Option<[f32; 2]>, hovering: bool) {
        let Some(at) = at else { return };
        let z = self.plans.map.at(at);
        let fit = config.prior.norm_fit(&z);
        let z = self.pad.here.of(z, |z| vec![z.clone()]);
        self.views.ask(&self.worker, Slot::Pointer, z);
        let name = format!("plane at {:.2}, {:.2}", at[0], at[1]);
        ui.label(if hovering { "Under the pointer" } else { "At the framed point" });
        let side = (ui.available_width() - 8.0).clamp(80.0, 216.0);
        self.views.cell(ui, Slot::Pointer, 0, side, "under the point").on_hover_text(name);
        ui.weak(format!("{:+.1} deviations from the prior's length", fit.deviations));
    }

    fn pins(&mut self, ui: &mut Ui) {
        let (mut removed, mut kept) = (None, None);
        for i in 0..self.session.pins.len() {
            let held = self.pad.held == i;
            ui.horizontal(|ui| {
                let name = self.session.pins[i].name.clone();
                let cell = self.views.made(ui, Slot::Pins, i, 44.0, &name);
                if held {
                    let stroke = Stroke::new(2.0, ui.visuals().selection.bg_fill);
                    ui.painter().rect_stroke(cell.rect, 0.0, stroke, egui::StrokeKind::Outside);
                }
                if cell.on_hover_text(format!("{name}: drag it to wherever a sample can be used")).clicked() {
                    self.pad.held = i;
                }
                ui.vertical(|ui| {
                    let pin = &mut self.session.pins[i];
                    let edit = egui::TextEdit::singleline(&mut pin.name).desired_width(120.0);
                    if ui.add(edit).on_hover_text("Its name").gained_focus() {
                        self.pad.held = i;
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
            self.new_pin([0.5, 0.5]);
        }
        if let Some(i) = kept
            && let Some(z) = self.plans.pins.get(i).cloned()
        {
            self.keep(self.session.pins[i].name.clone(), z);
        }
        if let Some(i) = removed {
            self.session.pins.remove(i);
        }
    }

    fn new_pin(&mut self, at: [f32; 2]) {
        let name = free_name(&self.session.pins);
        self.session.pins.push(Pin { name, at });
        self.pad.held = self.session.pins.len() - 1;
    }

    fn pad_keys(&mut self, ui: &Ui) {
        let pressed = |key| {
            ui.input_mut(|input| {
                let large = input.count_and_consume_key(Modifiers::SHIFT, key) as f32;
                0.01 * input.count_and_consume_key(Modifiers::NONE, key) as f32 + 0.1 * large
            })
        };
        let [up, down, left, right] = [Key::ArrowUp, Key::ArrowDown, Key::ArrowLeft, Key::ArrowRight].map(pressed);
        if let Some(pin) = self.session.pins.get_mut(self.pad.held) {
            let [x, y] = pin.at;
            pin.at = [(x + right - left).clamp(0.0, 1.0), (y + down - up).clamp(0.0, 1.0)];
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::N)) {
            self.new_pin([0.5, 0.5]);
        }
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Delete)) && !self.session.pins.is_empty() {
            self.session.pins.remove(self.pad.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    #[test]
    fn places_and_spots_are_each_others_inverse() {
        let rect = Rect::from_min_size(pos2(10.0, 20.0), Vec2::splat(200.0));
        for at in [[0.0, 0.0], [0.25, 0.5], [1.0, 1.0]] {
            assert_eq!(place(rect, spot(rect, at)), at);
        }
        assert_eq!(place(rect, pos2(0.0, 500.0)), [0.0, 1.0], "beyond the edge is the edge");
    }

    #[test]
    fn the_nearest_point_within_reach_is_taken_hold_of() {
        let rect = Rect::from_min_size(pos2(0.0, 0.0), Vec2::splat(100.0));
        let pin = |x| Pin { name: String::new(), at: [x, 0.5] };
        let pins = [pin(0.2), pin(0.3)];
        assert_eq!(Pad::near(&pins, pos2(29.0, 50.0), rect), Some(1));
        assert_eq!(Pad::near(&pins, pos2(80.0, 50.0), rect), None);
        assert_eq!(Pad::near(&[], pos2(80.0, 50.0), rect), None);
    }

    #[test]
    fn new_points_have_names_of_their_own() {
        let pin = |name: &str| Pin { name: name.into(), at: [0.5, 0.5] };
        assert_eq!(free_name(&[pin("point 1"), pin("point 3")]), "point 2");
    }
}
