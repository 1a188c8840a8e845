//! Images that the panels show. In every frame a panel requests the z's of its slots, and shows the newest images there are.

use std::collections::HashMap;
use std::sync::Arc;

use egui::{Response, Sense, Ui, Vec2};

use super::drag::{Carried, Home};
use super::model_change::ModelChange;
use super::worker::{ExplorerRequest, ExplorerWorker, Slot, Zs};
use crate::app::texture::{Pictures, SLOT_COLUMNS, Texture, tile};
use crate::image::Picture;
use crate::latent::session::Point;

/// The images of a slot, on one texture.
struct ShownImages {
    texture: Texture,
    /// The z's that they were generated from.
    z: Zs,
    count: usize,
    /// The images, if they are in memory.
    pictures: Option<Arc<[Picture]>>,
    /// Whether reading back from the graphics card was requested.
    reading: bool,
}

impl ShownImages {
    /// Image `i` at `side` points.
    fn image(&self, i: usize, side: f32) -> egui::Image<'static> {
        tile(self.texture.id(), i, self.count, SLOT_COLUMNS, side)
    }
}

#[derive(Default)]
pub(super) struct Views {
    requested: HashMap<Slot, Zs>,
    shown: HashMap<Slot, ShownImages>,
}

impl Views {
    /// Requests the images of `z` for a slot, unless they were requested before. Costs nothing while callers pass the same
    /// allocation in every frame.
    pub fn request(&mut self, worker: &ExplorerWorker, slot: Slot, z: &Zs) {
        if z.is_empty() {
            self.requested.remove(&slot);
            self.shown.remove(&slot);
            return;
        }
        match self.requested.get_mut(&slot) {
            Some(requested) if Arc::ptr_eq(requested, z) || *requested == *z => {}
            _ => {
                self.requested.insert(slot, z.clone());
                worker.send(ExplorerRequest::Render { slot, z: z.clone() });
            }
        }
    }

    /// Whether the slot shows exactly what was requested.
    pub fn settled(&self, slot: Slot) -> bool {
        let shown = self.shown.get(&slot);
        shown.is_some_and(|shown| self.requested.get(&slot).is_some_and(|requested| Arc::ptr_eq(requested, &shown.z)))
    }

    /// The images of exactly what was requested, in memory, once they are generated. The first call for images on the graphics card
    /// has them read back, which takes some frames.
    pub fn pictures(&mut self, worker: &ExplorerWorker, slot: Slot) -> Option<Arc<[Picture]>> {
        if !self.settled(slot) {
            return None;
        }
        let shown = self.shown.get_mut(&slot)?;
        if shown.pictures.is_none() && !shown.reading {
            shown.reading = true;
            worker.send(ExplorerRequest::ReadBack { slot, z: shown.z.clone() });
        }
        shown.pictures.clone()
    }

    /// Image `i` of the slot. Until it is generated, the image of the same z is used wherever the slot showed it before, or else
    /// the one that was in its place.
    pub fn image(&self, slot: Slot, i: usize, side: f32) -> Option<egui::Image<'static>> {
        let (requested, shown) = (self.requested.get(&slot)?, self.shown.get(&slot)?);
        let wanted = requested.get(i)?;
        let at = if Arc::ptr_eq(requested, &shown.z) {
            Some(i)
        } else {
            let moving = requested.len() == shown.z.len();
            shown.z.iter().position(|z| z == wanted).or(moving.then_some(i))
        };
        at.filter(|&at| at < shown.count).map(|at| shown.image(at, side))
    }

    /// Shows images that the worker generated.
    pub fn insert(&mut self, ctx: &egui::Context, slot: Slot, z: Zs, pictures: Pictures) {
        let count = pictures.count();
        let (sheet, pictures) = pictures.into_sheet(SLOT_COLUMNS);
        let (name, pictures) = (format!("{slot:?}"), pictures.map(Arc::from));
        match self.shown.get_mut(&slot) {
            Some(shown) => {
                shown.texture.replace(ctx, &name, sheet);
                (shown.z, shown.count, shown.pictures, shown.reading) = (z, count, pictures, false);
            }
            None => {
                let texture = Texture::new(ctx, &name, sheet);
                self.shown.insert(slot, ShownImages { texture, z, count, pictures, reading: false });
            }
        }
    }

    /// Stores images that were read back from the graphics card, if the slot still shows them.
    pub fn insert_pictures(&mut self, slot: Slot, z: &Zs, pictures: Vec<Picture>) {
        if let Some(shown) = self.shown.get_mut(&slot).filter(|shown| Arc::ptr_eq(&shown.z, z)) {
            shown.pictures = Some(pictures.into());
        }
    }

    /// Has all images generated again. What other weights generated stays until then; what another model did does not.
    pub fn on_model_change(&mut self, change: ModelChange) {
        self.requested.clear();
        if change == ModelChange::Model {
            self.shown.clear();
        }
    }

    /// Image `i` of a slot, or an empty place until it is generated.
    pub fn cell(&self, ui: &mut Ui, slot: Slot, i: usize, side: f32, name: &str) -> Response {
        place(ui, self.image(slot, i, side), side, name, Sense::click())
    }

    /// Image `i` of a slot, of a point of the session. It can be dragged to wherever a sample can be used; `home` is the place that it
    /// is dragged from.
    pub fn point(&self, ui: &mut Ui, slot: Slot, i: usize, side: f32, point: &Point, home: Option<Home>) -> Response {
        let image = self.image(slot, i, side);
        let response = place(ui, image.clone(), side, &point.name(), Sense::click_and_drag());
        Carried::begin(&response, || point.clone(), home, image.as_ref());
        response
    }

    /// Image `i` of a slot, of a z that is no point of the session. It can be dragged as a sample, and is then called `name`.
    pub fn made(&self, ui: &mut Ui, slot: Slot, i: usize, side: f32, name: &str) -> Response {
        let image = self.image(slot, i, side);
        let response = place(ui, image.clone(), side, name, Sense::click_and_drag());
        if let Some(z) = self.requested.get(&slot).and_then(|requested| requested.get(i)) {
            let point = || Point::Custom { name: name.to_owned(), z: z.clone() };
            Carried::begin(&response, point, None, image.as_ref());
        }
        response
    }
}

/// An image with a name for accessibility, or an empty place.
pub(super) fn place(ui: &mut Ui, image: Option<egui::Image<'static>>, side: f32, name: &str, sense: Sense) -> Response {
    match image {
        Some(image) => ui.add(image.sense(sense).alt_text(name.to_owned())),
        None => {
            let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), sense);
            if !name.is_empty() {
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, name));
            }
            ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
            response
        }
    }
}

/// Lays contents out from left to right in lines, aligned at their upper edges.
pub(super) fn lines<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let size = egui::vec2(ui.available_size_before_wrap().x, ui.spacing().interact_size.y);
    let layout = egui::Layout::left_to_right(egui::Align::TOP).with_main_wrap(true);
    ui.allocate_ui_with_layout(size, layout, contents).inner
}
