//! Texture atlas: many images of one size on one texture.

use std::ops::Range;

use egui::{Sense, TextureHandle, Ui, Vec2};

use crate::app::texture::{tile, upload};
use crate::image::{Picture, grid};

const COLUMNS: usize = 16;

pub(in crate::app) struct Atlas {
    texture: TextureHandle,
    pub pictures: Vec<Picture>,
}

impl Atlas {
    pub fn new(ctx: &egui::Context, name: &str, pictures: Vec<Picture>) -> Self {
        Self { texture: upload(ctx, name, &grid(&pictures, COLUMNS, 0)), pictures }
    }

    /// Image `i` at `side` points.
    pub fn image(&self, i: usize, side: f32) -> egui::Image<'static> {
        tile(self.texture.id(), i, self.pictures.len(), COLUMNS, side)
    }

    /// Draws the images `shown` in rows of `columns`, each `side` points large.
    pub fn sheet(&self, ui: &mut Ui, shown: Range<usize>, columns: usize, side: f32, name: &str) {
        let shown = shown.start..shown.end.min(self.pictures.len());
        let spacing = std::mem::replace(&mut ui.spacing_mut().item_spacing, Vec2::splat(2.0));
        ui.vertical(|ui| {
            for first in shown.clone().step_by(columns) {
                ui.horizontal(|ui| {
                    for i in first..(first + columns).min(shown.end) {
                        ui.add(self.image(i, side).alt_text(format!("{name} {i}")));
                    }
                });
            }
        });
        ui.spacing_mut().item_spacing = spacing;
    }
}

/// Draws image `i` so that it can be clicked, or a placeholder until it is there.
pub(in crate::app) fn cell(ui: &mut Ui, atlas: Option<&Atlas>, i: usize, side: f32, name: String) -> egui::Response {
    match atlas.filter(|atlas| i < atlas.pictures.len()) {
        Some(atlas) => ui.add(atlas.image(i, side).sense(Sense::click()).alt_text(name)),
        None => {
            let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click());
            ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
            response
        }
    }
}
