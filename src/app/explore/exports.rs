//! Buttons that write what a tool shows: films and figures, laid out as the command line writes them.

use egui::Ui;

use super::context::PanelContext;
use super::plans::STEPS;
use super::worker::Slot;
use crate::image::{FRAME_RATE, ZOOM, write_frames, write_gif, write_mp4};

/// Writes the walk as a strip or a film.
pub(super) struct FilmExport {
    /// Frames a second.
    rate: u32,
    /// Factor by which pixels are enlarged.
    zoom: usize,
}

impl Default for FilmExport {
    /// The command line's defaults.
    fn default() -> Self {
        Self { rate: FRAME_RATE, zoom: ZOOM.into() }
    }
}

impl FilmExport {
    /// Shows the buttons once the whole walk is generated.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let Some(pictures) = cx.views.pictures(&cx.worker, Slot::Film) else {
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
                let (walk, pictures) = (cx.plans.walk.clone(), pictures.clone());
                cx.files.save_png("walk.png", move || walk.render(&pictures, STEPS));
            }
            let (rate, zoom) = (self.rate, self.zoom);
            if ui.button("GIF").on_hover_text("256 colours a frame").clicked() {
                let pictures = pictures.clone();
                cx.files.save("Save the walk", "walk.gif", Some("gif"), move |path| {
                    write_gif(path, &pictures, rate, zoom).map_err(|error| error.to_string())
                });
            }
            let bytes = pictures.first().map_or(0, |first| first.width() * first.height() * zoom * zoom * 3 / 2);
            let about = format!("H.264, uncompressed: about {:.1} MB", (bytes * pictures.len()) as f64 / 1e6);
            if ui.button("MP4").on_hover_text(about).clicked() {
                let pictures = pictures.clone();
                cx.files.save("Save the walk", "walk.mp4", Some("mp4"), move |path| {
                    write_mp4(path, &pictures, rate, zoom).map_err(|error| error.to_string())
                });
            }
            if ui.button("Frames").on_hover_text("A folder of numbered PNG files").clicked() {
                let pictures = pictures.clone();
                cx.files.save("A new folder for the frames", "frames", None, move |path| {
                    write_frames(path, &pictures).map_err(|error| error.to_string())
                });
            }
            let label = ui.label("at");
            ui.add(egui::DragValue::new(&mut self.rate).range(1..=50).suffix(" frames/s"))
                .labelled_by(label.id)
                .on_hover_text("Of GIF and MP4");
            let label = ui.label("enlarged");
            ui.add(egui::DragValue::new(&mut self.zoom).range(1..=16).suffix("x"))
                .labelled_by(label.id)
                .on_hover_text("Of GIF and MP4");
        });
        if cx.files.writing.is_some() {
            ui.weak("writing; a dialog may be open");
        }
    }
}

/// A button that writes a figure. Its images may be on the graphics card, so that the figure waits until they are read back.
#[derive(Default)]
pub(super) struct FigureButton {
    requested: bool,
}

impl FigureButton {
    /// Shows the button, enabled when the figure's images are `complete`; true from a click until [`Self::done`] is called.
    /// A figure whose images change meanwhile is dropped.
    pub fn ui(&mut self, ui: &mut Ui, complete: bool, label: &str, tip: &str) -> bool {
        let clicked = ui.add_enabled(complete, egui::Button::new(label)).on_hover_text(tip).clicked();
        self.requested = complete && (self.requested || clicked);
        self.requested
    }

    /// The figure's images are in memory, and it is being written.
    pub fn done(&mut self) {
        self.requested = false;
    }
}
