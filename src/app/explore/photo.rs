//! From a picture of the person's own to the z that draws it.

use std::path::PathBuf;

use egui::{TextureHandle, Ui, Vec2};

use super::Explorer;
use super::worker::{Request, Worker};
use crate::app::texture::upload;
use crate::image::Picture;
use crate::latent::project::Progress;

#[derive(Default)]
pub(super) struct Photo {
    path: Option<PathBuf>,
    /// Nothing, then a first look, then how far it is.
    searching: bool,
    found: Option<(TextureHandle, TextureHandle, TextureHandle, Progress)>,
}

impl Photo {
    pub fn start(&mut self, worker: &Worker, path: PathBuf) {
        worker.send(Request::Project(path.clone()));
        *self = Self { path: Some(path), searching: true, found: None };
    }

    pub fn failed(&mut self) {
        self.searching = false;
    }

    pub fn take(&mut self, ctx: &egui::Context, progress: Option<(Picture, Picture, Progress)>) {
        let Some((original, drawn, progress)) = progress else { return };
        if !self.searching {
            return;
        }
        self.searching = progress.step < progress.steps;
        let difference = upload(ctx, "difference", &original.difference(&drawn));
        self.found =
            Some((upload(ctx, "original", &original), upload(ctx, "reconstruction", &drawn), difference, progress));
    }
}

impl Explorer {
    pub(super) fn photo(&mut self, ui: &mut Ui) {
        ui.heading("Which z draws this picture?");
        ui.label("Drop a picture on the window, or open one. Its centre square is looked for.");
        ui.horizontal(|ui| {
            if ui.button("Open a picture...").clicked() {
                self.files.ask_photo();
            }
            if self.photo.searching && ui.button("Stop").on_hover_text("Keeps what was found so far").clicked() {
                self.worker.send(Request::Cancel);
                self.photo.searching = false;
            }
        });
        if let Some(path) = &self.photo.path {
            ui.weak(path.display().to_string());
        }
        let Some((original, drawn, difference, progress)) = self.photo.found.clone() else {
            if self.photo.searching {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label("fitting an encoder on the generator's own samples");
                });
            }
            return;
        };
        ui.add_space(8.0);
        let side = ((ui.available_width() - 32.0) / 3.0).clamp(80.0, 256.0);
        ui.horizontal(|ui| {
            for (texture, name) in
                [(original, "Original"), (drawn, "Drawn by the generator"), (difference, "Difference")]
            {
                ui.vertical(|ui| {
                    ui.label(name);
                    ui.add(egui::Image::new((texture.id(), Vec2::splat(side))).alt_text(name));
                });
            }
        });
        let share = progress.step as f32 / progress.steps.max(1) as f32;
        ui.add(egui::ProgressBar::new(share).text(format!("step {} of {}", progress.step, progress.steps)));
        ui.label(format!(
            "Error {:.3}; the generator's own samples are {:.3} from their nearest.",
            progress.error, progress.apart
        ));
        if progress.drawable() {
            ui.label("The generator can draw this picture.");
        } else if !self.photo.searching {
            ui.colored_label(
                ui.visuals().warn_fg_color,
                "The generator cannot draw this picture: it came no nearer than its samples are to one another.",
            );
        }
        if ui.button("Keep").on_hover_text("Puts the z on the shelf, to be used as a sample").clicked() {
            let name = self.photo.path.as_ref().and_then(|path| path.file_name());
            self.keep(name.map_or("photo".into(), |name| name.to_string_lossy().into_owned()), progress.z);
        }
    }
}
