//! A map of the plane through three samples: pictures of the land, and a point that is dragged over it.

use egui::{Rect, Sense, Ui, Vec2, vec2};

use super::Explorer;
use super::views::cell;
use super::worker::Slot;
use crate::latent::directions::Method;
use crate::latent::session::Point;
use crate::latent::{arithmetic, vector};
use crate::model::ModelConfig;

/// Pictures along each side of the map.
const LAND: usize = 9;
/// How far the map reaches beyond the corners, in sides of the triangle.
const BEYOND: f32 = 0.25;

/// From a place on the map in [0, 1] to shares of the triangle's sides, and back.
fn share(place: f32) -> f32 {
    place * (1.0 + 2.0 * BEYOND) - BEYOND
}

fn place(share: f32) -> f32 {
    (share + BEYOND) / (1.0 + 2.0 * BEYOND)
}

impl Explorer {
    pub(super) fn plane(&mut self, ui: &mut Ui, config: &ModelConfig) {
        self.corners(ui, config);
        let side = ui.available_width().min(ui.available_height() - 16.0).clamp(200.0, 640.0);
        ui.horizontal_top(|ui| {
            let middle = |i: usize| share((i as f32 + 0.5) / LAND as f32);
            let places = (0..LAND * LAND).map(|i| [middle(i % LAND), middle(i / LAND)]);
            let land = places.map(|place| self.session.on_plane(config, place)).collect();
            let (rect, response) =
                ui.allocate_exact_size(Vec2::splat(side.min(ui.available_width() * 0.72)), Sense::click_and_drag());
            if let Some(at) = response.interact_pointer_pos() {
                let at = (at - rect.min) / rect.size();
                self.session.pad = [share(at.x.clamp(0.0, 1.0)), share(at.y.clamp(0.0, 1.0))];
            }
            let cell_size = rect.width() / LAND as f32;
            match self.views.of(&self.worker, Slot::Land, land) {
                Some(shown) => {
                    for i in 0..LAND * LAND {
                        let corner = rect.min + vec2((i % LAND) as f32, (i / LAND) as f32) * cell_size;
                        shown.image(i, cell_size).paint_at(ui, Rect::from_min_size(corner, Vec2::splat(cell_size)));
                    }
                }
                None => drop(ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color)),
            }
            let dot = |[x, y]: [f32; 2]| rect.min + vec2(place(x), place(y)) * rect.size();
            let painter = ui.painter_at(rect);
            for (i, corner) in [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]].into_iter().enumerate() {
                painter.circle(dot(corner), 9.0, egui::Color32::WHITE, egui::Stroke::new(2.0, egui::Color32::BLACK));
                let font = egui::FontId::proportional(12.0);
                painter.text(dot(corner), egui::Align2::CENTER_CENTER, ["A", "B", "C"][i], font, egui::Color32::BLACK);
            }
            let here = dot(self.session.pad);
            painter.circle_stroke(here, 8.0, egui::Stroke::new(4.0, egui::Color32::BLACK));
            painter.circle_stroke(here, 8.0, egui::Stroke::new(2.0, egui::Color32::YELLOW));
            response
                .on_hover_cursor(egui::CursorIcon::Crosshair)
                .on_hover_text_at_pointer("Drag the point over the land");
            self.under_pointer(ui, config);
        });
    }

    fn corners(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let z = self.session.plane.iter().map(|point| point.z(config)).collect();
        let shown = self.views.of(&self.worker, Slot::Corners, z);
        ui.horizontal(|ui| {
            ui.label("The plane through");
            for (i, name) in ["A", "B", "C"].into_iter().enumerate() {
                ui.selectable_value(&mut self.corner, i, name).on_hover_text("The next click on a sample goes here");
                cell(ui, shown, i, 56.0, &self.session.plane[i].name()).on_hover_text(self.session.plane[i].name());
            }
            let strongest = self.directions.find(&self.worker, Method::Ganspace).cloned();
            let button = ui.add_enabled(strongest.is_some(), egui::Button::new("Principal directions from A"));
            let about =
                "B and C become A moved by 3 standard deviations along the two directions that change pictures most";
            if button.on_hover_text(about).clicked() {
                let start = self.session.plane[0].z(config);
                for (corner, direction) in (1..3).zip(strongest.iter().flatten()) {
                    let z = vector::along(&start, &direction.vector, 3.0);
                    self.session.plane[corner] = Point::Made { name: format!("A + 3 {}", direction.name), z };
                }
            }
        });
        ui.add_space(4.0);
    }

    fn under_pointer(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let z = self.session.on_plane(config, self.session.pad);
        ui.vertical(|ui| {
            let side = ui.available_width().clamp(80.0, 256.0);
            let shown = self.views.of(&self.worker, Slot::Pointer, vec![z.clone()]);
            cell(ui, shown, 0, side, "under the point");
            let fit = arithmetic::fit(config.prior, &z);
            ui.weak(format!("{:+.1} deviations from the prior's length", fit.deviations));
            if ui.button("Keep this point").clicked() {
                let [x, y] = self.session.pad;
                self.keep(format!("plane at {x:.2}, {y:.2}"), z);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use egui::pos2;

    use super::*;

    #[test]
    fn places_and_shares_are_each_others_inverse() {
        for at in [0.0, 0.3, 1.0] {
            assert!((place(share(at)) - at).abs() < 1e-6);
        }
        assert_eq!(pos2(share(0.0), share(1.0)), pos2(-BEYOND, 1.0 + BEYOND));
    }
}
