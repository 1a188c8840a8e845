//! Pictures that the tools show: each names its z's anew in every frame, and is given the newest pictures there are.

use std::collections::HashMap;

use egui::{Rect, Response, Sense, TextureHandle, Ui, Vec2, pos2};

use super::worker::{Request, Slot, Worker};
use crate::app::texture::upload;
use crate::image::{Picture, grid};

/// Columns of a texture that holds many pictures.
const COLUMNS: usize = 16;

/// The pictures of a slot, on one texture.
pub(super) struct Shown {
    texture: TextureHandle,
    pub pictures: Vec<Picture>,
}

impl Shown {
    /// Picture `i` at `side` points, if there is one; it can be clicked and dragged.
    pub fn image(&self, i: usize, side: f32) -> egui::Image<'static> {
        let columns = COLUMNS.min(self.pictures.len()).max(1);
        let rows = self.pictures.len().div_ceil(columns).max(1);
        let (x, y) = ((i % columns) as f32, (i / columns) as f32);
        let (w, h) = (1.0 / columns as f32, 1.0 / rows as f32);
        let uv = Rect::from_min_max(pos2(x * w, y * h), pos2((x + 1.0) * w, (y + 1.0) * h));
        egui::Image::new((self.texture.id(), Vec2::splat(side))).uv(uv)
    }
}

#[derive(Default)]
pub(super) struct Views {
    asked: HashMap<Slot, Vec<Vec<f32>>>,
    shown: HashMap<Slot, Shown>,
}

impl Views {
    /// The newest pictures of a slot, which should be those of `z`; they are asked for when `z` changed.
    pub fn of(&mut self, worker: &Worker, slot: Slot, z: Vec<Vec<f32>>) -> Option<&Shown> {
        if z.is_empty() {
            self.asked.remove(&slot);
            self.shown.remove(&slot);
            return None;
        }
        if self.asked.get(&slot) != Some(&z) {
            self.asked.insert(slot, z.clone());
            worker.send(Request::Render { slot, z });
        }
        self.shown.get(&slot)
    }

    pub fn take(&mut self, ctx: &egui::Context, slot: Slot, pictures: Vec<Picture>) {
        let texture = upload(ctx, &format!("{slot:?}"), &grid(&pictures, COLUMNS, 0));
        self.shown.insert(slot, Shown { texture, pictures });
    }

    /// The model has learnt: everything is asked for again, and shown as it was until then.
    pub fn refresh(&mut self) {
        self.asked.clear();
    }

    /// Another model: everything is asked for again.
    pub fn forget(&mut self) {
        self.asked.clear();
        self.shown.clear();
    }
}

/// Picture `i` of a slot, or an empty place until it is drawn.
pub(super) fn cell(ui: &mut Ui, shown: Option<&Shown>, i: usize, side: f32, name: &str) -> Response {
    match shown.filter(|shown| i < shown.pictures.len()) {
        Some(shown) => {
            let image = shown.image(i, side).sense(Sense::click()).alt_text(name.to_owned());
            ui.add(image)
        }
        None => {
            let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click());
            ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
            response
        }
    }
}
