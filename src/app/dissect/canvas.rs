//! A sample, large, that boxes are drawn over, or an area is painted on.

use egui::{Color32, CursorIcon, Key, Modifiers, Pos2, Rect, Response, Sense, Stroke, StrokeKind, Ui, Vec2, pos2};

use crate::image::{Area, Rectangle};

/// How near a corner takes hold of it, in points.
const REACH: f32 = 8.0;
/// Pixels that a box has at least, across and down.
const LEAST: u32 = 2;
const BOX: Color32 = Color32::from_rgb(255, 200, 0);
const CHOSEN: Color32 = Color32::from_rgb(0, 220, 120);
const PAINT: Color32 = Color32::from_rgba_premultiplied(110, 10, 60, 110);

enum Hold {
    /// A corner follows the pointer, the opposite one stays.
    Corner { at: usize, fixed: [u32; 2] },
    /// The whole box follows, held at this distance from its corner.
    Whole { at: usize, grip: [f32; 2] },
}

#[derive(Default)]
pub(super) struct Canvas {
    chosen: Option<usize>,
    hold: Option<Hold>,
    /// Where the brush was in the frame before, while it paints.
    brush: Option<Pos2>,
}

/// From points on the screen to pixels of the picture.
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
    /// Another sample: nothing is chosen or held.
    pub fn let_go(&mut self) {
        *self = Self::default();
    }

    /// Shows the picture with its boxes, which are drawn, moved, resized and deleted here; true when they changed.
    pub fn boxes(
        &mut self,
        ui: &mut Ui,
        image: egui::Image<'_>,
        side: f32,
        size: usize,
        boxes: &mut Vec<Rectangle>,
    ) -> bool {
        let (scale, response) = place(ui, image, side, size);
        let before = boxes.clone();
        self.chosen = self.chosen.filter(|&chosen| chosen < boxes.len());
        if response.drag_started()
            && let Some(start) = ui.input(|input| input.pointer.press_origin())
        {
            self.take_hold(start, &scale, boxes);
        }
        if let (Some(hold), Some(at)) = (&self.hold, response.interact_pointer_pos()) {
            let [x, y] = scale.pixel(at);
            match hold {
                Hold::Corner { at, fixed } => boxes[*at] = ordered(*fixed, [x.round() as u32, y.round() as u32]),
                Hold::Whole { at, grip } => {
                    let [left, top, right, bottom] = boxes[*at];
                    let (width, height) = (right - left, bottom - top);
                    let corner = |at: f32, grip: f32, length: u32| {
                        (at - grip).round().clamp(0.0, (scale.size - length) as f32) as u32
                    };
                    let (left, top) = (corner(x, grip[0], width), corner(y, grip[1], height));
                    boxes[*at] = [left, top, left + width, top + height];
                }
            }
        }
        if response.drag_stopped() {
            self.hold = None;
            boxes.retain(|b| b[2] - b[0] >= LEAST && b[3] - b[1] >= LEAST);
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
            let colour = if self.chosen == Some(i) { CHOSEN } else { BOX };
            ui.painter().rect_stroke(scale.rect(rectangle), 0.0, Stroke::new(2.0, colour), StrokeKind::Middle);
        }
        if let Some(at) = response.hover_pos() {
            ui.ctx().set_cursor_icon(match grasp(at, &scale, boxes) {
                Some(Hold::Corner { .. }) => CursorIcon::Move,
                Some(Hold::Whole { .. }) => CursorIcon::Grab,
                None => CursorIcon::Crosshair,
            });
        }
        *boxes != before
    }

    fn take_hold(&mut self, start: Pos2, scale: &Scale, boxes: &mut Vec<Rectangle>) {
        let hold = grasp(start, scale, boxes).unwrap_or_else(|| {
            let [x, y] = scale.pixel(start).map(|v| v.round() as u32);
            boxes.push([x, y, x, y]);
            Hold::Corner { at: boxes.len() - 1, fixed: [x, y] }
        });
        let (Hold::Corner { at, .. } | Hold::Whole { at, .. }) = hold;
        (self.chosen, self.hold) = (Some(at), Some(hold));
    }

    /// Shows the picture with an area, which is painted with the first button and wiped with the second.
    pub fn paint(
        &mut self,
        ui: &mut Ui,
        image: egui::Image<'_>,
        side: f32,
        size: usize,
        radius: f32,
        area: &mut Option<Area>,
    ) {
        let (scale, response) = place(ui, image, side, size);
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

fn place(ui: &mut Ui, image: egui::Image<'_>, side: f32, size: usize) -> (Scale, Response) {
    let (rect, response) = ui.allocate_exact_size(Vec2::splat(side), Sense::click_and_drag());
    image.paint_at(ui, rect);
    response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Image, true, "sample to be boxed"));
    (Scale { rect, zoom: side / size as f32, size: size as u32 }, response)
}

/// What the pointer would take hold of: a corner, a box, or nothing.
fn grasp(at: Pos2, scale: &Scale, boxes: &[Rectangle]) -> Option<Hold> {
    for (i, &[left, top, right, bottom]) in boxes.iter().enumerate().rev() {
        let rect = scale.rect([left, top, right, bottom]);
        let corners = [
            (rect.left_top(), [right, bottom]),
            (rect.right_top(), [left, bottom]),
            (rect.left_bottom(), [right, top]),
            (rect.right_bottom(), [left, top]),
        ];
        let near = |corner: Pos2| corner.distance(pos2(at.x, at.y)) <= REACH;
        if let Some((_, fixed)) = corners.into_iter().find(|(corner, _)| near(*corner)) {
            return Some(Hold::Corner { at: i, fixed });
        }
        if rect.contains(at) {
            let [x, y] = scale.pixel(at);
            return Some(Hold::Whole { at: i, grip: [x - left as f32, y - top as f32] });
        }
    }
    None
}
