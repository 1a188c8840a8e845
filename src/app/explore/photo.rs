//! From a picture of the person's own to the z that draws it.

use std::path::PathBuf;

use egui::{TextureHandle, Ui, Vec2};

use super::Explorer;
use super::drag::Carried;
use super::views::place;
use super::worker::{Request, Search};
use crate::app::drops::offered;
use crate::app::texture::{replace, upload};
use crate::image::Picture;
use crate::latent::project::{
    ProjectionProgress, ProjectionSettings, REPRODUCIBLE_LIMIT, ReconstructionQuality, ReferenceErrors,
};
use crate::latent::session::Point;

#[derive(Default)]
pub(super) struct Photo {
    path: PathBuf,
    original: Option<(Picture, TextureHandle)>,
    /// What was done to it on the way.
    remarks: Vec<String>,
    searching: bool,
    /// The share of the encoder's samples that are drawn.
    fitting: f32,
    best: Option<Best>,
}

struct Best {
    drawn: TextureHandle,
    difference: TextureHandle,
    progress: ProjectionProgress,
}

impl Photo {
    /// The picture could not be looked for: what was found before stays.
    pub fn failed(&mut self) {
        self.searching = false;
    }

    /// What was found in another model means nothing to this one.
    pub fn model_changed(&mut self) {
        *self = Self::default();
    }

    pub fn take(&mut self, ctx: &egui::Context, search: Search) {
        match search {
            Search::Fitting(path, original, share) => {
                if !path.as_os_str().is_empty() {
                    let texture = upload(ctx, "original", &original);
                    *self = Self { path, original: Some((original, texture)), searching: true, ..Self::default() };
                }
                self.fitting = share;
            }
            Search::Seen(remarks) => self.remarks = remarks,
            Search::Best(drawn, progress) => {
                let Some((original, _)) = self.original.as_ref().filter(|_| self.searching) else { return };
                self.searching = progress.step < progress.steps;
                let difference = original.difference(&drawn);
                match &mut self.best {
                    Some(best) => {
                        replace(&mut best.drawn, &drawn);
                        replace(&mut best.difference, &difference);
                        best.progress = progress;
                    }
                    None => {
                        self.best = Some(Best {
                            drawn: upload(ctx, "reconstruction", &drawn),
                            difference: upload(ctx, "difference", &difference),
                            progress,
                        });
                    }
                }
            }
        }
    }

    /// The name of what was found.
    fn name(&self) -> String {
        self.path.file_name().map_or("photo".into(), |name| name.to_string_lossy().into_owned())
    }
}

impl Explorer {
    pub(super) fn photo(&mut self, ui: &mut Ui) {
        ui.heading("Which z draws this picture?");
        let how = if offered(ui.ctx()) { "Drop a picture on the window, or open one." } else { "Open a picture." };
        ui.label(format!("{how} Its centre square is looked for."));
        ui.horizontal(|ui| {
            if ui.button("Open a picture...").clicked() {
                self.files.ask_photo();
            }
            if self.photo.searching && ui.button("Stop").on_hover_text("Keeps what was found so far").clicked() {
                self.worker.send(Request::Cancel);
                self.photo.searching = false;
            }
        });
        let Some((_, original)) = &self.photo.original else { return };
        ui.weak(self.photo.path.display().to_string());
        for remark in &self.photo.remarks {
            ui.weak(format!("- {remark}"));
        }
        ui.add_space(8.0);
        let side = ((ui.available_width() - 40.0) / 3.0).clamp(80.0, 384.0);
        let image = |texture: &TextureHandle| egui::Image::new((texture.id(), Vec2::splat(side)));
        let best = self.photo.best.as_ref();
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.label("Original");
                place(ui, Some(image(original)), side, "Original", egui::Sense::hover());
            });
            ui.vertical(|ui| {
                ui.label("Drawn by the generator");
                let drawn = best.map(|best| image(&best.drawn));
                let cell = place(ui, drawn.clone(), side, "reconstruction", egui::Sense::click_and_drag());
                if let Some(best) = best {
                    let point = || Point::Custom { name: self.photo.name(), z: best.progress.z.clone() };
                    Carried::take_up(&cell, point, None, drawn.as_ref());
                    cell.on_hover_text("Drag it to where a sample can be used");
                }
            });
            ui.vertical(|ui| {
                ui.label("Difference");
                place(ui, best.map(|best| image(&best.difference)), side, "Difference", egui::Sense::hover());
            });
        });
        ui.add_space(4.0);
        let restarts = ProjectionSettings::default().restarts;
        let Some(Best { progress, .. }) = best else {
            if self.photo.searching {
                let text = format!("drawing own samples to fit an encoder on: {:.0} %", self.photo.fitting * 100.0);
                ui.add(egui::ProgressBar::new(self.photo.fitting).text(text));
                ui.weak(format!(
                    "Then {restarts} starts are optimised side by side. The encoder is kept for the next picture."
                ));
            }
            return;
        };
        let share = progress.step as f32 / progress.steps.max(1) as f32;
        let steps = format!("step {} of {}, {restarts} starts side by side", progress.step, progress.steps);
        ui.add(egui::ProgressBar::new(share).text(steps));
        scale(ui, progress);
        if !self.photo.searching {
            let verdict = format!("The verdict: {}.", progress.quality().description());
            match progress.quality() {
                ReconstructionQuality::Failed => ui.colored_label(ui.visuals().warn_fg_color, verdict),
                ReconstructionQuality::Faithful | ReconstructionQuality::Approximate => ui.label(verdict),
            };
        }
        let z = progress.z.clone();
        ui.horizontal(|ui| {
            if ui.button("Keep").on_hover_text("Puts the z on the shelf, to be used as a sample").clicked() {
                self.keep(self.photo.name(), z.clone());
            }
            let point = Point::Custom { name: self.photo.name(), z };
            if ui.button("Move by sliders").on_hover_text("Makes it the sample of Directions").clicked() {
                self.session.subject = point.clone();
                self.tool = super::tool::Tool::Directions;
            }
            if ui.button("Walk from here").on_hover_text("Adds it to the walk").clicked() {
                self.session.walk.keyframes.push(point);
                self.tool = super::tool::Tool::Walk;
            }
        });
    }
}

/// Where the picture stands between the model's own samples and its average picture.
fn scale(ui: &mut Ui, progress: &ProjectionProgress) {
    let ReferenceErrors { own_samples: own, average_picture: average, blurred_copy: blurred } = progress.references;
    let span = (average - own).max(0.1);
    let place = |lacking: f32| ((lacking - own) / span).clamp(0.0, 1.2) / 1.2;
    let width = ui.available_width().min(600.0);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 40.0), egui::Sense::hover());
    let visuals = ui.visuals();
    let (text, weak, mark) = (visuals.text_color(), visuals.weak_text_color(), visuals.selection.stroke.color);
    let bar = egui::Rect::from_min_size(rect.min + Vec2::new(0.0, 14.0), Vec2::new(width, 8.0));
    let painter = ui.painter();
    painter.rect_filled(bar, 2.0, visuals.extreme_bg_color);
    let drawn =
        egui::Rect::from_min_max(bar.min, egui::pos2(bar.left() + width * REPRODUCIBLE_LIMIT / 1.2, bar.bottom()));
    painter.rect_filled(drawn, 2.0, visuals.selection.bg_fill);
    let font = egui::TextStyle::Small.resolve(ui.style());
    let ticks = [
        (own, "own samples", egui::Align2::LEFT_TOP),
        (average, "average picture", egui::Align2::CENTER_TOP),
        (blurred, "blurred copy", egui::Align2::CENTER_TOP),
    ];
    for (lacking, name, align) in ticks {
        let x = bar.left() + width * place(lacking);
        painter.vline(x, bar.top() - 2.0..=bar.bottom() + 2.0, egui::Stroke::new(1.0, weak));
        // Two names may not lie on one another: the blurred copy's stands above.
        let (y, align) = if name == "blurred copy" {
            (bar.top() - 2.0, egui::Align2::CENTER_BOTTOM)
        } else {
            (bar.bottom() + 3.0, align)
        };
        painter.text(egui::pos2(x, y), align, name, font.clone(), weak);
    }
    let x = bar.left() + width * place(progress.edge_error);
    painter.vline(x, bar.top() - 5.0..=bar.bottom() + 5.0, egui::Stroke::new(3.0, mark));
    painter.circle_filled(egui::pos2(x, bar.center().y), 5.0, text);
    response.on_hover_text(format!(
        "What is wrong with the reconstruction's edges, or invented: {:.2}. The same search lacks {own:.2} of the model's own \
         samples; the model's average picture lacks {average:.2}, a blurred copy of the picture {blurred:.2}. The model can draw what \
         lies within the colored part, up to {:.0} % of the way.",
        progress.edge_error,
        REPRODUCIBLE_LIMIT * 100.0
    ));
    ui.label(format!(
        "{} of the way from the model's own samples to its average picture; up to {:.0} % is drawn. Pixel error {:.3}.",
        progress.relative_error_percent(),
        REPRODUCIBLE_LIMIT * 100.0,
        progress.rmse
    ));
}
