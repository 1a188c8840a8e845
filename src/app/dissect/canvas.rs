//! A large image of a sample on which boxes are drawn, or an area is painted.

use egui::{Color32, CursorIcon, Key, Modifiers, Pos2, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2, pos2};

use crate::image::{Area, Rectangle};

/// Distance within which a corner is grabbed, in points.
const GRAB_DISTANCE: f32 = 8.0;
/// Smallest width and height of a box, in pixels.
const MIN_SIDE: u32 = 2;
const BOX: Color32 = Color32::from_rgb(255, 200, 0);
const CHOSEN: Color32 = Color32::from_rgb(0, 220, 120);
const PAINT: Color32 = Color32::from_rgba_premultiplied(110, 10, 60, 110);

/// What the pointer drags of box number `index`.
enum Grab {
    /// A corner, while the opposite one stays.
    Corner { index: usize, fixed: [u32; 2] },
    /// The whole box, grabbed at this distance from its top left corner.
    Whole { index: usize, offset: [f32; 2] },
}

#[derive(Default)]
pub(super) struct Canvas {
    chosen: Option<usize>,
    grab: Option<Grab>,
    /// The brush in the last frame, while it paints.
    brush: Option<Pos2>,
}

/// Converts between points on the screen and pixels of the image.
struct Scale {
    rect: Rect,
    zoom: f32,
    size: u32,
}

impl Scale {
    fn pixel(&self, at: Pos2) -> [f32; 2] {
        let at = (at - self.rect.min) / self.zoom;
        [at.x.clamp(0.0, self.size as f32), at.y.clamp(0.0, self.size as f32)]
    }

    fn rect(&self, [left, top, right, bottom]: Rectangle) -> Rect {
        let point = |x: u32, y: u32| self.rect.min + Vec2::new(x as f32, y as f32) * self.zoom;
        Rect::from_min_max(point(left, top), point(right, bottom))
    }
}

fn ordered([x, y]: [u32; 2], [u, v]: [u32; 2]) -> Rectangle {
    [x.min(u), y.min(v), x.max(u), y.max(v)]
}

impl Canvas {
    /// Clears the selection, for another sample.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Draws the image with its boxes and edits them: draw, move, resize, delete. Returns whether they changed.
    pub fn boxes(
        &mut self,
        ui: &mut Ui,
        image: egui::Image<'_>,
        side: f32,
        size: usize,
        boxes: &mut Vec<Rectangle>,
    ) -> bool {
        let (scale, response) = show(ui, image, side, size);
        let before = boxes.clone();
        self.chosen = self.chosen.filter(|&chosen| chosen < boxes.len());
        if response.drag_started()
            && let Some(start) = ui.input(|input| input.pointer.press_origin())
        {
            self.start_drag(start, &scale, boxes);
        }
        if let (Some(grab), Some(at)) = (&self.grab, response.interact_pointer_pos()) {
            let [x, y] = scale.pixel(at);
            match grab {
                Grab::Corner { index, fixed } => boxes[*index] = ordered(*fixed, [x.round() as u32, y.round() as u32]),
                Grab::Whole { index, offset } => {
                    let [left, top, right, bottom] = boxes[*index];
                    let (width, height) = (right - left, bottom - top);
                    let corner = |at: f32, offset: f32, length: u32| {
                        (at - offset).round().clamp(0.0, (scale.size - length) as f32) as u32
                    };
                    let (left, top) = (corner(x, offset[0], width), corner(y, offset[1], height));
                    boxes[*index] = [left, top, left + width, top + height];
                }
            }
        }
        if response.drag_stopped() {
            self.grab = None;
            boxes.retain(|b| b[2] - b[0] >= MIN_SIDE && b[3] - b[1] >= MIN_SIDE);
        }
        if response.clicked()
            && let Some(at) = response.interact_pointer_pos()
        {
            self.chosen = boxes.iter().rposition(|&b| scale.rect(b).expand(2.0).contains(at));
        }
        let typing = ui.ctx().text_edit_focused();
        let deletes = |input: &mut egui::InputState| {
            input.consume_key(Modifiers::NONE, Key::Delete) || input.consume_key(Modifiers::NONE, Key::Backspace)
        };
        if let Some(chosen) = self.chosen
            && !typing
            && ui.input_mut(deletes)
        {
            boxes.remove(chosen);
            self.chosen = None;
        }
        for (i, &rectangle) in boxes.iter().enumerate() {
            let color = if self.chosen == Some(i) { CHOSEN } else { BOX };
            ui.painter().rect_stroke(scale.rect(rectangle), 0.0, Stroke::new(2.0, color), StrokeKind::Middle);
        }
        if let Some(at) = response.hover_pos() {
            ui.ctx().set_cursor_icon(match grab_at(at, &scale, boxes) {
                Some(Grab::Corner { .. }) => CursorIcon::Move,
                Some(Grab::Whole { .. }) => CursorIcon::Grab,
                None => CursorIcon::Crosshair,
            });
        }
        *boxes != before
    }

    fn start_drag(&mut self, start: Pos2, scale: &Scale, boxes: &mut Vec<Rectangle>) {
        let grab = grab_at(start, scale, boxes).unwrap_or_else(|| {
            let [x, y] = scale.pixel(start).map(|v| v.round() as u32);
            boxes.push([x, y, x, y]);
            Grab::Corner { index: boxes.len() - 1, fixed: [x, y] }
        });
        let (Grab::Corner { index, .. } | Grab::Whole { index, .. }) = grab;
        (self.chosen, self.grab) = (Some(index), Some(grab));
    }

    /// Draws the image with an area, which the primary button paints and the secondary button wipes.
    pub fn paint(
        &mut self,
        ui: &mut Ui,
        image: egui::Image<'_>,
        side: f32,
        size: usize,
        radius: f32,
        area: &mut Option<Area>,
    ) {
        let (scale, response) = show(ui, image, side, size);
        let (paints, wipes) = ui.input(|input| (input.pointer.primary_down(), input.pointer.secondary_down()));
        let brush = response.interact_pointer_pos().filter(|_| paints || wipes);
        if let Some(at) = brush {
            let area = area.get_or_insert_with(|| Area::none(size));
            // A quick stroke leaves no gaps.
            let from = self.brush.unwrap_or(at);
            let steps = (from.distance(at) / scale.zoom / (0.5 * radius)).ceil().max(1.0);
            for step in 1..=steps as usize {
                area.paint(scale.pixel(from.lerp(at, step as f32 / steps)), radius, paints);
            }
        }
        self.brush = brush;
        if let Some(area) = area {
            for (i, _) in area.pixels().iter().enumerate().filter(|(_, inside)| **inside) {
                let (x, y) = ((i % area.side()) as u32, (i / area.side()) as u32);
                ui.painter().rect_filled(scale.rect([x, y, x + 1, y + 1]), 0.0, PAINT);
            }
        }
        if let Some(at) = response.hover_pos() {
            ui.painter().circle_stroke(at, radius * scale.zoom, Stroke::new(1.5, Color32::WHITE));
        }
    }
}

fn show(ui: &mut Ui, image: egui::Image<'_>, side: f32, size: usize) -> (Scale, Response) {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click_and_drag());
    image.paint_at(ui, rect);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, "sample to be boxed"));
    (Scale { rect, zoom: side / size as f32, size: size as u32 }, response)
}

/// What the pointer would grab: a corner, a box, or nothing.
fn grab_at(at: Pos2, scale: &Scale, boxes: &[Rectangle]) -> Option<Grab> {
    for (i, &[left, top, right, bottom]) in boxes.iter().enumerate().rev() {
        let rect = scale.rect([left, top, right, bottom]);
        let corners = [
            (rect.left_top(), [right, bottom]),
            (rect.right_top(), [left, bottom]),
            (rect.left_bottom(), [right, top]),
            (rect.right_bottom(), [left, top]),
        ];
        let near = |corner: Pos2| corner.distance(pos2(at.x, at.y)) <= GRAB_DISTANCE;
        if let Some((_, fixed)) = corners.into_iter().find(|(corner, _)| near(*corner)) {
            return Some(Grab::Corner { index: i, fixed });
        }
        if rect.contains(at) {
            let [x, y] = scale.pixel(at);
            return Some(Grab::Whole { index: i, offset: [x - left as f32, y - top as f32] });
        }
    }
    None
}
