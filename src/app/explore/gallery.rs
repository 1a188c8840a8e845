//! The gallery: an endless grid of samples. Sample i of seed s is the same z everywhere.

use std::collections::{BTreeMap, BTreeSet};

use egui::{Key, Rect, Sense, Vec2};

use super::context::PanelContext;
use super::drag::Carried;
use super::grid_layout::{GAP, GridLayout, ROWS, SIDES};
use super::model_change::ModelChange;
use super::panel::Panel;
use super::views::place;
use super::worker::{CHUNK, COLUMNS, ExplorerRequest, ExplorerResponse, ExplorerWorker};
use crate::app::action::Action;
use crate::app::texture::{Texture, tile};
use crate::app::tool::GO_TO;
use crate::latent::session::Point;
use crate::latent::{sample_z, vector};
use crate::model::ModelConfig;

/// Textures in memory: several times as many as any screen shows.
const TEXTURES: usize = 64;
/// Samples among which a sample's nearest neighbors are searched, and how many of them are shown.
const NEIGHBORHOOD: u64 = 512;
const NEIGHBORS: usize = 4;

/// Shows the samples of the session's seed.
pub(super) struct Gallery {
    /// Points of the session that are framed, as far as they are samples of the seed.
    pub framed: Vec<Point>,
    /// Whether the arrow keys move among the samples wherever the pointer is; otherwise only over the gallery.
    pub arrow_keys: bool,
    layout: GridLayout,
    seed: u64,
    /// One texture for each chunk of samples.
    sheets: BTreeMap<u64, Texture>,
    requested: Vec<u64>,
    /// Chunks that earlier weights generated.
    stale: BTreeSet<u64>,
    /// The sample under the pointer, and those nearest to it in Z.
    neighbors: Option<(u64, Vec<u64>)>,
    /// The sample that the keyboard is at.
    cursor: Option<u64>,
    /// The sample number that is being typed.
    number: String,
}

impl Default for Gallery {
    fn default() -> Self {
        Self {
            framed: Vec::new(),
            arrow_keys: true,
            layout: GridLayout::default(),
            seed: 1,
            sheets: BTreeMap::new(),
            requested: Vec::new(),
            stale: BTreeSet::new(),
            neighbors: None,
            cursor: None,
            number: String::new(),
        }
    }
}

impl Panel for Gallery {
    fn ui(&mut self, ui: &mut egui::Ui, cx: &mut PanelContext) -> Option<Action> {
        self.head(ui, &mut cx.session.seed);
        let seed = cx.session.seed;
        if seed != self.seed {
            self.seed = seed;
            self.clear(&cx.worker);
        }
        let number = self.grid(ui, &cx.worker, &cx.plans.config)?;
        Some(Action::Pick(Point::Sample { seed, number }))
    }

    fn on_response(&mut self, response: ExplorerResponse, cx: &mut PanelContext) {
        let ExplorerResponse::GalleryChunk { seed, chunk, sheet } = response else { return };
        if seed == self.seed {
            self.requested.retain(|&requested| requested != chunk);
            self.sheets.insert(chunk, Texture::new(&cx.egui, &format!("samples {chunk}"), sheet));
        }
    }

    fn on_model_change(&mut self, change: ModelChange, cx: &mut PanelContext) {
        match change {
            ModelChange::Weights | ModelChange::Checkpoint => self.stale = self.sheets.keys().copied().collect(),
            ModelChange::Model => self.clear(&cx.worker),
        }
    }
}

impl Gallery {
    /// Whether samples are on the screen.
    pub fn has_samples(&self) -> bool {
        !self.sheets.is_empty()
    }

    fn clear(&mut self, worker: &ExplorerWorker) {
        self.sheets.clear();
        self.requested.clear();
        self.stale.clear();
        self.neighbors = None;
        worker.send(ExplorerRequest::ClearGallery);
    }

    /// The seed, the sample to go to, and the zoom.
    fn head(&mut self, ui: &mut egui::Ui, seed: &mut u64) {
        ui.horizontal_wrapped(|ui| {
            let label = ui.label("Seed");
            ui.add(egui::DragValue::new(seed).speed(0.1))
                .labelled_by(label.id)
                .on_hover_text("Sample number i of seed s is the same z in any window and on the command line");
            let label = ui.label("Go to");
            let field = egui::TextEdit::singleline(&mut self.number).hint_text("number").desired_width(72.0);
            let field = ui.add(field).labelled_by(label.id);
            if ui.ctx().input_mut(|input| input.consume_shortcut(&GO_TO)) {
                field.request_focus();
            }
            // Consumed: in the gallery the key would pick a sample.
            if field.lost_focus() && ui.input_mut(|input| input.consume_key(egui::Modifiers::NONE, Key::Enter)) {
                self.go_to_typed();
            }
            field.on_hover_text(format!("A sample's number, then Enter ({})", ui.ctx().format_shortcut(&GO_TO)));
            let label = ui.label("Zoom");
            ui.spacing_mut().slider_width = 70.0;
            let mut side = self.layout.zoom();
            let zoom = ui.add(egui::Slider::new(&mut side, SIDES).show_value(false)).labelled_by(label.id);
            if zoom.on_hover_text("Ctrl and the wheel, a pinch, or + and - do the same").changed() {
                self.layout.resize(side);
            }
        });
    }

    fn go_to_typed(&mut self) {
        if let Ok(number) = self.number.trim().parse() {
            self.cursor = Some(number);
            self.layout.go_to(number);
        }
        self.number.clear();
    }

    /// The grid of samples; returns the number of the one that was clicked, or chosen by the keyboard.
    fn grid(&mut self, ui: &mut egui::Ui, worker: &ExplorerWorker, config: &ModelConfig) -> Option<u64> {
        let framed: BTreeSet<u64> = self.framed.iter().filter_map(|point| self.number_of(point)).collect();
        ui.spacing_mut().item_spacing = Vec2::splat(GAP);
        let area = ui.available_rect_before_wrap();
        let over = ui.rect_contains_pointer(area);
        let mut clicked = None;
        if (self.arrow_keys || over) && ui.memory(|memory| memory.focused().is_none()) {
            clicked = self.keyboard(ui);
        }
        if over {
            self.pinch(ui, area);
        }
        self.layout.fit(area.width() - 12.0, area.height());
        let mut scroll = egui::ScrollArea::vertical().auto_shrink(false);
        if let Some(offset) = self.layout.scroll_offset() {
            scroll = scroll.vertical_scroll_offset(offset);
        }
        let output = scroll.show_rows(ui, self.layout.side(), ROWS as usize, |ui, range| {
            for row in range {
                ui.horizontal(|ui| {
                    for number in self.layout.row(row) {
                        if self.sample(ui, worker, config, number, framed.contains(&number)) {
                            clicked = Some(number);
                        }
                    }
                });
            }
        });
        self.layout.scrolled(output.state.clamped_offset().y);
        // Removes the textures farthest from the screen.
        while self.sheets.len() > TEXTURES {
            let far = self.sheets.keys().copied().max_by_key(|chunk| chunk.abs_diff(self.layout.top() / CHUNK));
            far.and_then(|chunk| self.sheets.remove(&chunk));
        }
        clicked
    }

    /// The number of a point that is a sample of the seed.
    fn number_of(&self, point: &Point) -> Option<u64> {
        match point {
            Point::Sample { seed, number } if *seed == self.seed => Some(*number),
            _ => None,
        }
    }

    /// Zooms by Ctrl and the wheel or by a pinch; what is under the pointer stays there.
    fn pinch(&mut self, ui: &egui::Ui, area: Rect) {
        let factor = ui.input(egui::InputState::zoom_delta);
        if (factor - 1.0).abs() < 1e-3 {
            return;
        }
        let height = ui.input(|input| input.pointer.hover_pos()).map_or(0.0, |at| at.y - area.top());
        self.layout.zoom_at(factor, height);
    }

    /// Moves the cursor by the keyboard; returns the sample at it when Enter picks it.
    fn keyboard(&mut self, ui: &egui::Ui) -> Option<u64> {
        let (columns, page) = (self.layout.columns() as i64, self.layout.page() as i64);
        let moves = [
            (Key::ArrowLeft, -1),
            (Key::ArrowRight, 1),
            (Key::ArrowUp, -columns),
            (Key::ArrowDown, columns),
            (Key::PageUp, -columns * page),
            (Key::PageDown, columns * page),
        ];
        let plain = egui::Modifiers::NONE;
        let (mut moved, mut picked) = (None, None);
        ui.input_mut(|input| {
            for (key, by) in moves {
                for _ in 0..input.count_and_consume_key(plain, key) {
                    moved = Some(moved.unwrap_or(0) + by);
                }
            }
            if input.consume_key(plain, Key::Home) {
                moved = Some(i64::MIN);
            }
            for (keys, factor) in [([Key::Plus, Key::Equals], 1.2), ([Key::Minus, Key::Minus], 1.0 / 1.2)] {
                if keys.into_iter().any(|key| input.consume_key(plain, key)) {
                    self.layout.resize(self.layout.zoom() * factor);
                }
            }
            if input.consume_key(plain, Key::Enter) {
                picked = self.cursor;
            }
        });
        if let Some(by) = moved {
            let now = match self.cursor {
                Some(at) => at.saturating_add_signed(by),
                None => self.layout.top(),
            };
            self.cursor = Some(now);
            self.layout.show(now);
        }
        picked
    }

    /// A sample's image, once it is generated.
    fn image(&self, number: u64, side: f32) -> Option<egui::Image<'static>> {
        let sheet = self.sheets.get(&(number / CHUNK))?;
        let at = (number % CHUNK) as usize;
        Some(tile(sheet.id(), at, CHUNK as usize, COLUMNS, side))
    }

    fn request(&mut self, worker: &ExplorerWorker, chunk: u64) {
        let missing = !self.sheets.contains_key(&chunk) && !self.requested.contains(&chunk);
        if self.stale.remove(&chunk) || missing {
            self.requested.push(chunk);
            worker.send(ExplorerRequest::GalleryChunk { seed: self.seed, chunk });
        }
    }

    fn sample(
        &mut self,
        ui: &mut egui::Ui,
        worker: &ExplorerWorker,
        config: &ModelConfig,
        number: u64,
        framed: bool,
    ) -> bool {
        let chunk = number / CHUNK;
        self.request(worker, chunk);
        let Some(image) = self.image(number, self.layout.side()) else {
            place(ui, None, self.layout.side(), "", Sense::hover());
            return false;
        };
        let shown =
            place(ui, Some(image.clone()), self.layout.side(), &format!("sample {number}"), Sense::click_and_drag());
        Carried::begin(&shown, || Point::Sample { seed: self.seed, number }, None, Some(&image));
        if framed {
            let stroke = egui::Stroke::new(3.0, ui.visuals().selection.bg_fill);
            ui.painter().rect_stroke(shown.rect, 2.0, stroke, egui::StrokeKind::Inside);
        }
        if self.cursor == Some(number) {
            let stroke = egui::Stroke::new(2.0, ui.visuals().strong_text_color());
            ui.painter().rect_stroke(shown.rect, 2.0, stroke, egui::StrokeKind::Outside);
        }
        if shown.hovered() && self.neighbors.as_ref().is_none_or(|(of, _)| *of != number) {
            let near = self.nearest(config, number);
            for number in &near {
                self.request(worker, number / CHUNK);
            }
            self.neighbors = Some((number, near));
        }
        let clicked = shown.clicked();
        if clicked {
            self.cursor = Some(number);
        }
        if !shown.dragged() {
            shown.on_hover_ui(|ui| self.large(ui, number));
        }
        clicked
    }

    /// The tool tip of a sample: its image enlarged, and its nearest neighbors.
    fn large(&self, ui: &mut egui::Ui, number: u64) {
        if let Some(large) = self.image(number, 256.0) {
            ui.add(large);
        }
        ui.label(format!("sample {number} of seed {}", self.seed));
        let near = self.neighbors.iter().filter(|(of, _)| *of == number).flat_map(|(_, near)| near);
        let images: Vec<_> = near.filter_map(|&number| Some((number, self.image(number, 60.0)?))).collect();
        if !images.is_empty() {
            ui.weak(format!("nearest in Z among the {NEIGHBORHOOD} samples round it:"));
            ui.horizontal(|ui| {
                for (number, image) in images {
                    ui.vertical(|ui| {
                        ui.add(image.alt_text(format!("near {number}")));
                        ui.weak(number.to_string());
                    });
                }
            });
        }
    }

    /// The samples nearest to `number` in Z among those around it in the gallery.
    fn nearest(&self, config: &ModelConfig, number: u64) -> Vec<u64> {
        let z = |number| sample_z(config.prior, config.z_dim, self.seed, number);
        let here = z(number);
        let first = number.saturating_sub(NEIGHBORHOOD / 2);
        let others = (first..first.saturating_add(NEIGHBORHOOD)).filter(|&other| other != number);
        let mut distances: Vec<_> = others.map(|other| (vector::distance(&here, &z(other)), other)).collect();
        distances.sort_by(|a, b| a.0.total_cmp(&b.0));
        distances.into_iter().take(NEIGHBORS).map(|(_, other)| other).collect()
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, sample, show};
    use crate::app::texture::PictureSheet;
    use crate::image::{Picture, grid};

    #[test]
    fn a_click_on_a_sample_picks_it() {
        let mut cx = context();
        let pictures = vec![Picture::new(16, 16, 1, vec![90; 256]); CHUNK as usize];
        let sheet = PictureSheet::Memory(grid(&pictures, COLUMNS, 0));
        let mut gallery = Gallery::default();
        gallery.on_response(
            ExplorerResponse::GalleryChunk { seed: 2, chunk: 0, sheet: PictureSheet::Memory(pictures[0].clone()) },
            &mut cx,
        );
        assert!(!gallery.has_samples(), "those of another seed come too late");
        gallery.on_response(ExplorerResponse::GalleryChunk { seed: 1, chunk: 0, sheet }, &mut cx);
        let mut harness = show(gallery, cx);
        harness.get_by_label("sample 3").click();
        harness.run_steps(2);
        assert_eq!(harness.state().actions, [Action::Pick(sample(3))]);
    }

    #[test]
    fn a_typed_number_moves_the_cursor_there() {
        let mut gallery = Gallery { number: " 1234 ".into(), ..Gallery::default() };
        gallery.go_to_typed();
        assert_eq!((gallery.cursor, gallery.number.as_str()), (Some(1234), ""));
        gallery.number = "no number".into();
        gallery.go_to_typed();
        assert_eq!((gallery.cursor, gallery.number.as_str()), (Some(1234), ""));
    }
}
