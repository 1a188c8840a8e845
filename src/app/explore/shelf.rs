//! Points that were kept: they are used as samples are.

use egui::Ui;

use super::Explorer;
use super::drag::Carried;
use super::worker::Slot;
use crate::latent::session::Point;

/// Side of their pictures, in points.
const SIDE: f32 = 48.0;

impl Explorer {
    /// The kept points; what is dragged here is kept.
    pub(super) fn shelf(&mut self, ui: &mut Ui) {
        self.views.ask(&self.worker, Slot::Shelf, &self.plans.shelf);
        let (mut picked, mut removed, mut renamed) = (None, None, None);
        let shelf = ui.horizontal_wrapped(|ui| {
            ui.label("Kept:").on_hover_text("Drag samples here to keep them; right click for their names");
            if self.session.shelf.is_empty() {
                ui.weak("drag samples here to use them later");
            }
            for (i, point) in self.session.shelf.iter().enumerate() {
                let response = self.views.point(ui, Slot::Shelf, i, SIDE, point, None);
                if response.clicked() {
                    picked = Some(point.clone());
                }
                response.context_menu(|ui| {
                    let mut name = point.name();
                    if matches!(point, Point::Custom { .. }) && ui.text_edit_singleline(&mut name).changed() {
                        renamed = Some((i, name));
                    }
                    if ui.button("Remove").clicked() {
                        removed = Some(i);
                        ui.close();
                    }
                });
                response.on_hover_text(format!("{}; right click to name or remove it", point.name()));
            }
        });
        if let Some(carried) = Carried::dropped(&shelf.response).filter(|carried| !self.keeps(&carried.point)) {
            self.session.shelf.push(carried.point);
        }
        if let Some((i, new)) = renamed
            && let Point::Custom { name, .. } = &mut self.session.shelf[i]
        {
            *name = new;
        }
        if let Some(i) = removed {
            self.session.shelf.remove(i);
        }
        if let Some(point) = picked {
            self.pick(point);
        }
    }

    fn keeps(&self, point: &Point) -> bool {
        self.session.shelf.contains(point)
    }

    /// Keeps a z on the shelf.
    pub(super) fn keep(&mut self, name: String, z: Vec<f32>) {
        let point = Point::Custom { name, z };
        if !self.keeps(&point) {
            self.session.shelf.push(point);
        }
    }
}
