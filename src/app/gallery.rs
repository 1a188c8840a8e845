//! The explorer: an endless grid of what a generator draws. Sample i of seed s is the same z everywhere.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crossbeam_channel::{Receiver, Sender, unbounded};
use egui::{Rect, TextureHandle, Vec2, pos2};

use super::texture::upload;
use super::worker::{BUNDLED, CHUNK, COLUMNS, Choice, Reply, Request, Worker};
use crate::device::Compute;
use crate::model::{ModelConfig, Provenance};

/// Samples that can be scrolled to; other seeds give as many more.
const SAMPLES: u64 = 64_000;
/// Textures kept: as many as any screen shows, several times over.
const KEPT: usize = 48;

pub(super) struct Gallery {
    worker: Worker,
    choice: Choice,
    model: Option<(ModelConfig, Provenance)>,
    error: Option<String>,
    seed: u64,
    cell: f32,
    sheets: BTreeMap<u64, TextureHandle>,
    asked: Vec<u64>,
    /// The chunk that was on the screen last.
    seen: u64,
    dialog: (Sender<PathBuf>, Receiver<PathBuf>),
}

impl Gallery {
    pub fn new(compute: &Compute, model: Option<PathBuf>, ctx: &egui::Context) -> Self {
        let worker = Worker::start(compute.device.clone(), ctx);
        let choice = model.map_or(Choice::Bundled(0), Choice::File);
        worker.send(Request::Open(choice.clone()));
        Self {
            worker,
            choice,
            model: None,
            error: None,
            seed: 1,
            cell: 96.0,
            sheets: BTreeMap::new(),
            asked: Vec::new(),
            seen: 0,
            dialog: unbounded(),
        }
    }

    pub fn open(&mut self, path: PathBuf) {
        self.choose(Choice::File(path));
    }

    fn choose(&mut self, choice: Choice) {
        self.worker.send(Request::Open(choice));
        self.error = None;
    }

    fn forget(&mut self) {
        self.sheets.clear();
        self.asked.clear();
        self.worker.send(Request::Forget);
    }

    /// Takes in what the worker finished.
    pub fn receive(&mut self, ctx: &egui::Context) {
        if let Ok(path) = self.dialog.1.try_recv() {
            self.open(path);
        }
        while let Ok(reply) = self.worker.replies.try_recv() {
            match reply {
                Reply::Opened { choice, config, provenance } => {
                    self.choice = choice;
                    self.model = Some((config, provenance));
                    self.forget();
                }
                Reply::Drawn { seed, chunk, sheet } if seed == self.seed => {
                    self.asked.retain(|&asked| asked != chunk);
                    self.sheets.insert(chunk, upload(ctx, &format!("samples {chunk}"), &sheet));
                }
                Reply::Drawn { .. } => {}
                Reply::Failed(error) => self.error = Some(error),
            }
        }
    }

    /// Draws the explorer; true when training on rooms was asked for.
    pub fn ui(&mut self, ui: &mut egui::Ui) -> bool {
        let mut train = false;
        egui::Panel::top("explore").show(ui, |ui| {
            ui.add_space(4.0);
            ui.horizontal_wrapped(|ui| {
                ui.label("Model");
                for (i, (name, _)) in BUNDLED.iter().enumerate() {
                    let chosen = self.choice == Choice::Bundled(i);
                    if ui.selectable_label(chosen, *name).on_hover_text("Comes with zscape, trained by it").clicked() {
                        self.choose(Choice::Bundled(i));
                    }
                }
                if ui
                    .button("Open a model...")
                    .on_hover_text("A .safetensors file; it can also be dropped here")
                    .clicked()
                {
                    self.ask_file(ui.ctx());
                }
                ui.separator();
                let label = ui.label("Seed");
                let seed = ui.add(egui::DragValue::new(&mut self.seed).speed(0.1)).labelled_by(label.id);
                if seed
                    .on_hover_text("Sample number i of seed s is the same z in any window and on the command line")
                    .changed()
                {
                    self.forget();
                }
                let label = ui.label("Zoom");
                ui.add(egui::Slider::new(&mut self.cell, 32.0..=256.0).show_value(false)).labelled_by(label.id);
                ui.separator();
                let button = egui::Button::new(egui::RichText::new("Train one on synth:rooms").strong());
                train = ui
                    .add(button)
                    .on_hover_text("Starts training at once, on bedrooms that the program draws itself")
                    .clicked();
            });
            if let Some((config, provenance)) = &self.model {
                ui.weak(format!(
                    "{}x{} pictures of {}, after {} training steps; {} statistics",
                    config.size, config.size, provenance.data, provenance.steps, config.sampling
                ));
            }
            if let Some(error) = &self.error {
                ui.colored_label(ui.visuals().error_fg_color, error);
            }
            ui.add_space(4.0);
        });
        egui::CentralPanel::default().show(ui, |ui| self.samples(ui));
        train
    }

    fn ask_file(&self, ctx: &egui::Context) {
        let (answer, ctx) = (self.dialog.0.clone(), ctx.clone());
        std::thread::spawn(move || {
            let dialog = rfd::FileDialog::new().set_title("Open a model").add_filter("Models", &["safetensors"]);
            if let Some(path) = dialog.pick_file() {
                let _ = answer.send(path);
                ctx.request_repaint();
            }
        });
    }

    fn samples(&mut self, ui: &mut egui::Ui) {
        if self.model.is_none() {
            ui.centered_and_justified(|ui| ui.spinner());
            return;
        }
        let gap = 4.0;
        ui.spacing_mut().item_spacing = Vec2::splat(gap);
        let columns = ((ui.available_width() - 12.0 + gap) / (self.cell + gap)).floor().max(1.0) as u64;
        let rows = SAMPLES.div_ceil(columns) as usize;
        egui::ScrollArea::vertical().auto_shrink(false).show_rows(ui, self.cell, rows, |ui, range| {
            for row in range {
                ui.horizontal(|ui| {
                    for number in row as u64 * columns..((row as u64 + 1) * columns).min(SAMPLES) {
                        self.sample(ui, number);
                    }
                });
            }
        });
        // Textures far from the screen are let go.
        while self.sheets.len() > KEPT {
            let far = self.sheets.keys().copied().max_by_key(|chunk| chunk.abs_diff(self.seen));
            far.and_then(|chunk| self.sheets.remove(&chunk));
        }
    }

    fn sample(&mut self, ui: &mut egui::Ui, number: u64) {
        let chunk = number / CHUNK;
        self.seen = chunk;
        let Some(sheet) = self.sheets.get(&chunk) else {
            if !self.asked.contains(&chunk) {
                self.asked.push(chunk);
                self.worker.send(Request::Draw { seed: self.seed, chunk });
            }
            let (rect, _) = ui.allocate_exact_size(Vec2::splat(self.cell), egui::Sense::hover());
            ui.painter().rect_filled(rect, 2.0, ui.visuals().faint_bg_color);
            return;
        };
        let at = (number % CHUNK) as usize;
        let (x, y) = ((at % COLUMNS) as f32, (at / COLUMNS) as f32);
        let rows = CHUNK as f32 / COLUMNS as f32;
        let step = 1.0 / COLUMNS as f32;
        let uv = Rect::from_min_max(pos2(x * step, y / rows), pos2((x + 1.0) * step, (y + 1.0) / rows));
        let picture = |side: f32| egui::Image::new((sheet.id(), Vec2::splat(side))).uv(uv);
        let shown = ui.add(picture(self.cell).alt_text(format!("sample {number}")));
        shown.on_hover_ui(|ui| {
            ui.add(picture(320.0));
            ui.label(format!("sample {number} of seed {}", self.seed));
        });
    }
}
