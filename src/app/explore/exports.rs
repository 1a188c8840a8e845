//! What leaves the window as files: strips, films, figures; each as the command line draws it.

use egui::Ui;

use super::Explorer;
use super::plans::{STEPS, TURN_STEPS};
use super::worker::Slot;
use crate::image::{FRAME_RATE, ZOOM, grid, write_frames, write_gif, write_mp4};

/// Frames a second, and how much pixels are enlarged, of films: the command line's defaults.
pub(super) struct Film {
    rate: u32,
    zoom: usize,
}

impl Default for Film {
    fn default() -> Self {
        Self { rate: FRAME_RATE, zoom: ZOOM.into() }
    }
}

/// A figure that was asked for. Its pictures may be on the graphics card: it is laid out once they are read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Sum,
    Turn,
}

impl Explorer {
    /// Buttons that write the walk, once all of it is drawn.
    pub(super) fn export_walk(&mut self, ui: &mut Ui) {
        let Some(pictures) = self.views.pictures(&self.worker, Slot::Film) else {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.weak("drawing the walk");
            });
            return;
        };
        ui.horizontal_wrapped(|ui| {
            ui.label("Save as");
            let strip = ui.button("PNG strip").on_hover_text("A row from each keyframe to the next (figure 4)");
            if strip.clicked() {
                let (walk, pictures) = (self.plans.walk.clone(), pictures.clone());
                self.files.save_png("walk.png", move || walk.render(&pictures, STEPS));
            }
            let (rate, zoom) = (self.walk.film.rate, self.walk.film.zoom);
            if ui.button("GIF").on_hover_text("256 colours a frame").clicked() {
                let pictures = pictures.clone();
                self.files.save("Save the walk", "walk.gif", Some("gif"), move |path| {
                    write_gif(path, &pictures, rate, zoom).map_err(|error| error.to_string())
                });
            }
            let bytes = pictures.first().map_or(0, |first| first.width() * first.height() * zoom * zoom * 3 / 2);
            let about = format!("H.264, uncompressed: about {:.1} MB", (bytes * pictures.len()) as f64 / 1e6);
            if ui.button("MP4").on_hover_text(about).clicked() {
                let pictures = pictures.clone();
                self.files.save("Save the walk", "walk.mp4", Some("mp4"), move |path| {
                    write_mp4(path, &pictures, rate, zoom).map_err(|error| error.to_string())
                });
            }
            if ui.button("Frames").on_hover_text("A folder of numbered PNG files").clicked() {
                let pictures = pictures.clone();
                self.files.save("A new folder for the frames", "frames", None, move |path| {
                    write_frames(path, &pictures).map_err(|error| error.to_string())
                });
            }
            let film = &mut self.walk.film;
            let label = ui.label("at");
            ui.add(egui::DragValue::new(&mut film.rate).range(1..=50).suffix(" frames/s"))
                .labelled_by(label.id)
                .on_hover_text("Of GIF and MP4");
            let label = ui.label("enlarged");
            ui.add(egui::DragValue::new(&mut film.zoom).range(1..=16).suffix("x"))
                .labelled_by(label.id)
                .on_hover_text("Of GIF and MP4");
        });
        if self.files.writing.is_some() {
            ui.weak("writing; a dialog may be open");
        }
    }

    /// The arithmetic's figure, once all of it is drawn.
    pub(super) fn export_sum(&mut self, ui: &mut Ui) {
        const SLOTS: [Slot; 3] = [Slot::Exemplars, Slot::Averages, Slot::Result];
        let drawn = self.plans.sum.is_some() && SLOTS.iter().all(|&slot| self.views.settled(slot));
        let about = "A PNG laid out as the paper's figure 7";
        if !self.wants(ui, Figure::Sum, drawn, "Save figure...", about) {
            return;
        }
        let pictures = SLOTS.map(|slot| self.views.pictures(&self.worker, slot));
        if let (Some(sum), [Some(exemplars), Some(averages), Some(around)]) = (&self.plans.sum, pictures) {
            self.figure = None;
            if let Some(figure) = sum.figure(&exemplars, &averages, &around) {
                self.files.save_png("arithmetic.png", move || figure.render());
            }
        }
    }

    /// The turn's figure, once all of it is drawn.
    pub(super) fn export_turn(&mut self, ui: &mut Ui) {
        let drawn = self.views.settled(Slot::Turn);
        if !self.wants(ui, Figure::Turn, drawn, "Save the turn...", "A PNG as the paper's figure 8") {
            return;
        }
        if let Some(pictures) = self.views.pictures(&self.worker, Slot::Turn) {
            self.figure = None;
            self.files.save_png("turn.png", move || grid(&pictures, TURN_STEPS, 2));
        }
    }

    /// A figure's button; whether the figure is asked for, now or some frames ago. It no longer is once its pictures change.
    fn wants(&mut self, ui: &mut Ui, figure: Figure, drawn: bool, button: &str, about: &str) -> bool {
        if ui.add_enabled(drawn, egui::Button::new(button)).on_hover_text(about).clicked() {
            self.figure = Some(figure);
        }
        if self.figure == Some(figure) && !drawn {
            self.figure = None;
        }
        self.figure == Some(figure)
    }
}
