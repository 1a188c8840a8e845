//! Pictures that the tools show: each tool names its z's anew in every frame, and shows the newest pictures there are.

use std::collections::HashMap;
use std::sync::Arc;

use egui::{Response, Sense, Ui, Vec2};

use super::drag::{Carried, Home};
use super::worker::{Request, Slot, Worker, Zs};
use crate::app::texture::{Pictures, SLOT_COLUMNS, Texture, tile};
use crate::image::Picture;
use crate::latent::session::Point;

/// The pictures of a slot, on one texture.
struct Shown {
    texture: Texture,
    /// What they were drawn of.
    z: Zs,
    count: usize,
    /// The pictures themselves, where they are in memory.
    pictures: Option<Arc<[Picture]>>,
    /// Whether they are asked for, where they are on the graphics card.
    reading: bool,
}

impl Shown {
    /// Picture `i` at `side` points, if there is one.
    fn image(&self, i: usize, side: f32) -> egui::Image<'static> {
        tile(self.texture.id(), i, self.count, SLOT_COLUMNS, side)
    }
}

#[derive(Default)]
pub(super) struct Views {
    asked: HashMap<Slot, Zs>,
    shown: HashMap<Slot, Shown>,
}

impl Views {
    /// Says that a slot shows `z`, which is drawn if it is not what the slot showed already. Keeping the same shared `z`
    /// from frame to frame makes this cost nothing.
    pub fn ask(&mut self, worker: &Worker, slot: Slot, z: &Zs) {
        if z.is_empty() {
            self.asked.remove(&slot);
            self.shown.remove(&slot);
            return;
        }
        match self.asked.get_mut(&slot) {
            Some(asked) if Arc::ptr_eq(asked, z) || *asked == *z => {}
            _ => {
                self.asked.insert(slot, z.clone());
                worker.send(Request::Render { slot, z: z.clone() });
            }
        }
    }

    /// Whether the slot shows exactly what it was asked to show.
    pub fn settled(&self, slot: Slot) -> bool {
        let shown = self.shown.get(&slot);
        shown.is_some_and(|shown| self.asked.get(&slot).is_some_and(|asked| Arc::ptr_eq(asked, &shown.z)))
    }

    /// The pictures of exactly what the slot was asked to show, in memory, once they are drawn. Those on the graphics card are read
    /// back when this is called for the first time, and are here some frames later.
    pub fn pictures(&mut self, worker: &Worker, slot: Slot) -> Option<Arc<[Picture]>> {
        if !self.settled(slot) {
            return None;
        }
        let shown = self.shown.get_mut(&slot)?;
        if shown.pictures.is_none() && !shown.reading {
            shown.reading = true;
            worker.send(Request::Read { slot, z: shown.z.clone() });
        }
        shown.pictures.clone()
    }

    /// Picture `i` of what the slot shows. While its pictures are on their way the same z's picture of before is used
    /// wherever it was, and a picture in motion shows what was drawn last.
    pub fn image(&self, slot: Slot, i: usize, side: f32) -> Option<egui::Image<'static>> {
        let (asked, shown) = (self.asked.get(&slot)?, self.shown.get(&slot)?);
        let wanted = asked.get(i)?;
        let at = if Arc::ptr_eq(asked, &shown.z) {
            Some(i)
        } else {
            let moving = asked.len() == shown.z.len();
            shown.z.iter().position(|z| z == wanted).or(moving.then_some(i))
        };
        at.filter(|&at| at < shown.count).map(|at| shown.image(at, side))
    }

    pub fn take(&mut self, ctx: &egui::Context, slot: Slot, z: Zs, pictures: Pictures) {
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
                self.shown.insert(slot, Shown { texture, z, count, pictures, reading: false });
            }
        }
    }

    /// Takes in what was read back from the graphics card, if it is still shown.
    pub fn read(&mut self, slot: Slot, z: &Zs, pictures: Vec<Picture>) {
        if let Some(shown) = self.shown.get_mut(&slot).filter(|shown| Arc::ptr_eq(&shown.z, z)) {
            shown.pictures = Some(pictures.into());
        }
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

    /// Picture `i` of a slot, or an empty place until it is drawn.
    pub fn cell(&self, ui: &mut Ui, slot: Slot, i: usize, side: f32, name: &str) -> Response {
        place(ui, self.image(slot, i, side), side, name, Sense::click())
    }

    /// Picture `i` of a slot, which is `point`'s: it can be dragged to wherever a sample can be used. `home` is where it
    /// is taken from.
    pub fn point(&self, ui: &mut Ui, slot: Slot, i: usize, side: f32, point: &Point, home: Option<Home>) -> Response {
        let image = self.image(slot, i, side);
        let response = place(ui, image.clone(), side, &point.name(), Sense::click_and_drag());
        Carried::take_up(&response, || point.clone(), home, image.as_ref());
        response
    }

    /// Picture `i` of a slot, whose z has no other name than `name`: it can be dragged as a sample can.
    pub fn made(&self, ui: &mut Ui, slot: Slot, i: usize, side: f32, name: &str) -> Response {
        let image = self.image(slot, i, side);
        let response = place(ui, image.clone(), side, name, Sense::click_and_drag());
        if let Some(z) = self.asked.get(&slot).and_then(|asked| asked.get(i)) {
            let point = || Point::Custom { name: name.to_owned(), z: z.clone() };
            Carried::take_up(&response, point, None, image.as_ref());
        }
        response
    }
}

/// A picture that has a name for those who cannot see it, or an empty place.
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

/// From left to right, in as many lines as it takes, all aligned at their upper edge.
pub(super) fn lines<R>(ui: &mut Ui, contents: impl FnOnce(&mut Ui) -> R) -> R {
    let size = egui::vec2(ui.available_size_before_wrap().x, ui.spacing().interact_size.y);
    let layout = egui::Layout::left_to_right(egui::Align::TOP).with_main_wrap(true);
    ui.allocate_ui_with_layout(size, layout, contents).inner
}
