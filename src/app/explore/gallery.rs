//! An endless grid of what a generator draws. Sample i of seed s is the same z everywhere.

use std::collections::{BTreeMap, BTreeSet};

use egui::{Rect, Sense, TextureHandle, Vec2, pos2};

use super::worker::{CHUNK, COLUMNS, Request, Worker};
use crate::app::texture::upload;
use crate::image::Picture;
use crate::latent::session::Point;
use crate::latent::{numbered, vector};
use crate::model::ModelConfig;

/// Samples that can be scrolled to; other seeds give as many more.
const SAMPLES: u64 = 64_000;
/// Textures kept: as many as any screen shows, several times over.
const KEPT: usize = 48;
/// Samples that a sample's neighbours are looked for among, and how many are shown.
const NEIGHBOURHOOD: u64 = 512;
const NEIGHBOURS: usize = 4;

pub(super) struct Gallery {
    /// Side of a sample, in points.
    pub cell: f32,
    seed: u64,
    sheets: BTreeMap<u64, TextureHandle>,
    asked: Vec<u64>,
    /// Chunks drawn by a model that has learnt since.
    stale: BTreeSet<u64>,
    /// The chunk that was on the screen last.
    seen: u64,
    /// The sample under the pointer, and those nearest to it in Z.
    near: Option<(u64, Vec<u64>)>,
}

impl Default for Gallery {
    fn default() -> Self {
        Self {
            cell: 80.0,
            seed: 1,
            sheets: BTreeMap::new(),
            asked: Vec::new(),
            stale: BTreeSet::new(),
            seen: 0,
            near: None,
        }
    }
}

impl Gallery {
    /// Another model or seed: everything is drawn anew.
    pub fn forget(&mut self, worker: &Worker) {
        self.sheets.clear();
        self.asked.clear();
        self.stale.clear();
        self.near = None;
        worker.send(Request::Forget);
    }

    /// Whether there are samples to see.
    pub fn has_samples(&self) -> bool {
        !self.sheets.is_empty()
    }

    /// The model has learnt: what is on the screen is drawn again, and shown as it was until then.
    pub fn refresh(&mut self) {
        self.stale = self.sheets.keys().copied().collect();
    }

    pub fn take(&mut self, ctx: &egui::Context, seed: u64, chunk: u64, sheet: &Picture) {
        if seed == self.seed {
            self.asked.retain(|&asked| asked != chunk);
            self.sheets.insert(chunk, upload(ctx, &format!("samples {chunk}"), sheet));
        }
    }

    /// Draws the samples of `seed`, the `chosen` ones framed; returns the one that was clicked.
    pub fn ui(
        &mut self,
        ui: &mut egui::Ui,
        worker: &Worker,
        config: &ModelConfig,
        seed: u64,
        chosen: &[u64],
    ) -> Option<Point> {
        if seed != self.seed {
            self.seed = seed;
            self.forget(worker);
        }
        let gap = 4.0;
        ui.spacing_mut().item_spacing = Vec2::splat(gap);
        let columns = ((ui.available_width() - 12.0 + gap) / (self.cell + gap)).floor().max(1.0) as u64;
        let rows = SAMPLES.div_ceil(columns) as usize;
        let mut clicked = None;
        egui::ScrollArea::vertical().auto_shrink(false).show_rows(ui, self.cell, rows, |ui, range| {
            for row in range {
                ui.horizontal(|ui| {
                    for number in row as u64 * columns..((row as u64 + 1) * columns).min(SAMPLES) {
                        if self.sample(ui, worker, config, number, chosen.contains(&number)) {
                            clicked = Some(Point::Sample { seed, number });
                        }
                    }
                });
            }
        });
        // Textures far from the screen are let go.
        while self.sheets.len() > KEPT {
            let far = self.sheets.keys().copied().max_by_key(|chunk| chunk.abs_diff(self.seen));
            far.and_then(|chunk| self.sheets.remove(&chunk));
        }
        clicked
    }

    /// A sample's place on its texture, if it is drawn already.
    fn image(&self, number: u64, side: f32) -> Option<egui::Image<'static>> {
        let sheet = self.sheets.get(&(number / CHUNK))?;
        let at = (number % CHUNK) as usize;
        let (x, y) = ((at % COLUMNS) as f32, (at / COLUMNS) as f32);
        let (step, rows) = (1.0 / COLUMNS as f32, CHUNK as f32 / COLUMNS as f32);
        let uv = Rect::from_min_max(pos2(x * step, y / rows), pos2((x + 1.0) * step, (y + 1.0) / rows));
        Some(egui::Image::new((sheet.id(), Vec2::splat(side))).uv(uv))
    }

    fn ask(&mut self, worker: &Worker, chunk: u64) {
        if !self.asked.contains(&chunk) && !self.sheets.contains_key(&chunk) {
            self.asked.push(chunk);
            worker.send(Request::Draw { seed: self.seed, chunk });
        }
    }

    /// Draws a sample; true when it was clicked.
    fn sample(&mut self, ui: &mut egui::Ui, worker: &Worker, config: &ModelConfig, number: u64, chosen: bool) -> bool {
        let chunk = number / CHUNK;
        self.seen = chunk;
        if self.stale.remove(&chunk) {
            worker.send(Request::Draw { seed: self.seed, chunk });
        }
        let Some(image) = self.image(number, self.cell) else {
            self.ask(worker, chunk);
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(self.cell), Sense::hover());
            ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
            return false;
        };
        let shown = ui.add(image.sense(Sense::click()).alt_text(format!("sample {number}")));
        if chosen {
            let stroke = egui::Stroke::new(3.0, ui.visuals().selection.bg_fill);
            ui.painter().rect_stroke(shown.rect, 2.0, stroke, egui::StrokeKind::Inside);
        }
        if shown.hovered() && self.near.as_ref().is_none_or(|(of, _)| *of != number) {
            let near = self.nearest(config, number);
            near.iter().for_each(|number| self.ask(worker, number / CHUNK));
            self.near = Some((number, near));
        }
        let clicked = shown.clicked();
        shown.on_hover_ui(|ui| {
            if let Some(large) = self.image(number, 256.0) {
                ui.add(large);
            }
            ui.label(format!("sample {number} of seed {}", self.seed));
            let near = self.near.iter().filter(|(of, _)| *of == number).flat_map(|(_, near)| near);
            let drawn: Vec<_> = near.filter_map(|&number| self.image(number, 60.0)).collect();
            if !drawn.is_empty() {
                ui.weak("nearest in Z among the samples round it:");
                ui.horizontal(|ui| {
                    for image in drawn {
                        ui.add(image);
                    }
                });
            }
        });
        clicked
    }

    /// The samples nearest to `number` in Z, among those around it in the gallery.
    fn nearest(&self, config: &ModelConfig, number: u64) -> Vec<u64> {
        let z = |number| numbered(config.prior, config.z_dim, self.seed, number);
        let here = z(number);
        let first = number.saturating_sub(NEIGHBOURHOOD / 2);
        let others = (first..first + NEIGHBOURHOOD).filter(|&other| other != number);
        let mut far: Vec<_> = others.map(|other| (vector::distance(&here, &z(other)), other)).collect();
        far.sort_by(|a, b| a.0.total_cmp(&b.0));
        far.into_iter().take(NEIGHBOURS).map(|(_, other)| other).collect()
    }
}
