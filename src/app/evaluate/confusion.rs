//! Confusion matrix view: the matrix as a heat map, and the test images of the cell that is clicked.

use std::sync::Arc;

use egui::epaint::TextShape;
use egui::{Align2, Color32, FontId, Rect, Sense, Stroke, Ui, Vec2, pos2, vec2};

use crate::app::dissect::Atlas;
use crate::evaluate::{ConfusionMatrix, LabeledSet};

/// Smallest and largest side of a cell, and the smallest one that shows its count, in points.
const SIDES: [f32; 2] = [6.0, 56.0];
const LABELED_SIDE: f32 = 20.0;
/// Space for class names beside and above the matrix, in points.
const NAME_SPACE: f32 = 84.0;
/// Most images of a cell that are shown.
const MAX_SHOWN: usize = 96;
/// Side of an image, in points.
const IMAGE_SIDE: f32 = 52.0;

const RIGHT: Color32 = Color32::from_rgb(40, 150, 80);
const WRONG: Color32 = Color32::from_rgb(205, 60, 45);

/// The confusion matrix of a network on the test images.
pub(super) struct ConfusionView {
    confusion: ConfusionMatrix,
    test: Arc<LabeledSet>,
    /// The selected cell: `[true class, predicted class]`.
    chosen: Option<[usize; 2]>,
    /// The images of a cell.
    images: Option<([usize; 2], Atlas)>,
}

impl ConfusionView {
    /// Shows a matrix. If `before` is of the same test images, its selected cell stays selected.
    pub fn new(confusion: ConfusionMatrix, test: Arc<LabeledSet>, before: Option<&Self>) -> Self {
        let same = before.filter(|before| Arc::ptr_eq(&before.test, &test));
        Self { confusion, test, chosen: same.and_then(|before| before.chosen), images: None }
    }

    /// Draws the matrix, at most `room` points wide.
    pub fn matrix(&mut self, ui: &mut Ui, room: f32) {
        let classes = &self.test.classes;
        let count = classes.len();
        let side = ((room - NAME_SPACE) / count as f32).floor().clamp(SIDES[0], SIDES[1]);
        let named = side >= 11.0;
        let margin = if named { NAME_SPACE } else { 4.0 };
        let size = Vec2::splat(margin + side * count as f32);
        let (all, _) = ui.allocate_exact_size(size, Sense::hover());
        let origin = all.min + Vec2::splat(margin);
        let (dark, text, line) =
            (ui.visuals().extreme_bg_color, ui.visuals().text_color(), ui.visuals().widgets.noninteractive.bg_stroke);
        let painter = ui.painter().clone();
        painter.rect_filled(Rect::from_min_max(origin, all.max), 0.0, dark);
        let font = FontId::proportional(12.0f32.min(side));
        if named {
            for (i, class) in classes.iter().enumerate() {
                let name: String = class.chars().take(13).collect();
                let middle = (i as f32 + 0.5) * side;
                let row = pos2(origin.x - 6.0, origin.y + middle);
                painter.text(row, Align2::RIGHT_CENTER, &name, font.clone(), text);
                let galley = painter.layout_no_wrap(name, font.clone(), text);
                // Rotated, to be read from below.
                let foot = pos2(origin.x + middle - galley.size().y / 2.0, origin.y - 6.0);
                painter.add(TextShape::new(foot, galley, text).with_angle(-std::f32::consts::FRAC_PI_2));
            }
        }
        for truth in 0..count {
            let of: usize = self.confusion.counts[truth].iter().sum();
            for predicted in 0..count {
                let hits = self.confusion.counts[truth][predicted];
                let corner = origin + vec2(predicted as f32 * side, truth as f32 * side);
                let cell = Rect::from_min_size(corner, Vec2::splat(side));
                if hits == 0 {
                    continue;
                }
                let share = hits as f32 / of.max(1) as f32;
                let color = if truth == predicted { RIGHT } else { WRONG };
                // The square root keeps small shares visible, as most mistakes are.
                let fill = dark.lerp_to_gamma(color, share.sqrt());
                painter.rect_filled(cell.shrink(0.5), 1.0, fill);
                if side >= LABELED_SIDE {
                    let ink = if fill.intensity() < 0.5 { Color32::WHITE } else { Color32::from_gray(20) };
                    painter.text(cell.center(), Align2::CENTER_CENTER, hits.to_string(), font.clone(), ink);
                }
                let name = self.sentence([truth, predicted]);
                let response = ui.interact(cell, ui.scope_id().with(("cell", truth, predicted)), Sense::click());
                response.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, &name));
                if response.hovered() || self.chosen == Some([truth, predicted]) {
                    painter.rect_stroke(cell, 1.0, Stroke::new(2.0, text), egui::StrokeKind::Inside);
                }
                if response.clicked() {
                    self.chosen = Some([truth, predicted]);
                }
                response.on_hover_text(format!("{name}, {:.0} % of them. Click to see them", 100.0 * share));
            }
        }
        painter.rect_stroke(Rect::from_min_max(origin, all.max), 0.0, line, egui::StrokeKind::Outside);
    }

    /// "7 of 100 cats are taken for dogs".
    fn sentence(&self, [truth, predicted]: [usize; 2]) -> String {
        let (counts, classes) = (&self.confusion.counts[truth], &self.test.classes);
        let (hits, of): (usize, usize) = (counts[predicted], counts.iter().sum());
        let outcome =
            if truth == predicted { "told rightly".to_owned() } else { format!("taken for {}", classes[predicted]) };
        format!("{}: {hits} of {of} {outcome}", classes[truth])
    }

    /// Draws the images of the selected cell.
    pub fn images(&mut self, ui: &mut Ui) {
        let Some(chosen) = self.chosen else {
            ui.weak("Click a cell of the matrix to see the test pictures behind it.");
            return;
        };
        let numbers = &self.confusion.members[chosen[0]][chosen[1]];
        if self.images.as_ref().is_none_or(|(of, _)| *of != chosen) {
            let pictures = numbers.iter().take(MAX_SHOWN).map(|&number| self.test.pictures[number].clone()).collect();
            self.images = Some((chosen, Atlas::new(ui.ctx(), "behind a cell", pictures)));
        }
        ui.strong(self.sentence(chosen));
        let more = numbers.len().saturating_sub(MAX_SHOWN);
        ui.weak(match more {
            0 => "Those told most surely come first.".to_owned(),
            _ => format!("Those told most surely come first; {more} more are not shown."),
        });
        let Some((_, atlas)) = &self.images else { return };
        egui::ScrollArea::vertical().id_salt("behind").auto_shrink(false).show(ui, |ui| {
            let columns = ((ui.available_width() / (IMAGE_SIDE + 2.0)) as usize).max(1);
            atlas.sheet(ui, 0..atlas.pictures.len(), columns, IMAGE_SIDE, "test picture");
        });
    }
}
