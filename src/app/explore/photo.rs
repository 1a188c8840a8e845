//! Projection of a photo: searches for the z whose image comes nearest to it.

use std::path::PathBuf;

use egui::{TextureHandle, Ui, Vec2};

use super::context::PanelContext;
use super::drag::Carried;
use super::model_change::ModelChange;
use super::panel::Panel;
use super::shelf::add_to_shelf;
use super::views::place;
use super::worker::{ExplorerRequest, ExplorerResponse, ProjectionUpdate};
use crate::app::action::Action;
use crate::app::drops::offered;
use crate::app::texture::{replace, upload};
use crate::app::tool::Tool;
use crate::image::Picture;
use crate::latent::project::{
    ProjectionProgress, ProjectionSettings, REPRODUCIBLE_LIMIT, ReconstructionQuality, ReferenceErrors,
};
use crate::latent::session::Point;

/// Shows a photo beside the image of the best z so far.
#[derive(Default)]
pub(super) struct PhotoPanel {
    path: PathBuf,
    original: Option<(Picture, TextureHandle)>,
    /// How the photo was changed when it was read.
    remarks: Vec<String>,
    searching: bool,
    /// Share of the samples that are generated to fit the encoder on.
    fitting: f32,
    best: Option<Reconstruction>,
}

/// The best result so far.
struct Reconstruction {
    generated: TextureHandle,
    difference: TextureHandle,
    progress: ProjectionProgress,
}

impl Panel for PhotoPanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        ui.heading("Which z draws this picture?");
        let how = if offered(ui.ctx()) { "Drop a picture on the window, or open one." } else { "Open a picture." };
        ui.label(format!("{how} Its centre square is looked for."));
        ui.horizontal(|ui| {
            if ui.button("Open a picture...").clicked() {
                cx.files.ask_photo();
            }
            if self.searching && ui.button("Stop").on_hover_text("Keeps what was found so far").clicked() {
                cx.worker.send(ExplorerRequest::CancelProjection);
                self.searching = false;
            }
        });
        let (_, original) = self.original.as_ref()?;
        ui.weak(self.path.display().to_string());
        for remark in &self.remarks {
            ui.weak(format!("- {remark}"));
        }
        ui.add_space(8.0);
        let side = ((ui.available_width() - 40.0) / 3.0).clamp(80.0, 384.0);
        let view = |texture: &TextureHandle| egui::Image::new((texture.id(), Vec2::splat(side)));
        let best = self.best.as_ref();
        ui.horizontal(|ui| {
            ui.vertical(|ui| {
                ui.label("Original");
                place(ui, Some(view(original)), side, "Original", egui::Sense::hover());
            });
            ui.vertical(|ui| {
                ui.label("Drawn by the generator");
                let image = best.map(|best| view(&best.generated));
                let cell = place(ui, image.clone(), side, "reconstruction", egui::Sense::click_and_drag());
                if let Some(best) = best {
                    let point = || Point::Custom { name: self.name(), z: best.progress.z.clone() };
                    Carried::begin(&cell, point, None, image.as_ref());
                    cell.on_hover_text("Drag it to where a sample can be used");
                }
            });
            ui.vertical(|ui| {
                ui.label("Difference");
                place(ui, best.map(|best| view(&best.difference)), side, "Difference", egui::Sense::hover());
            });
        });
        ui.add_space(4.0);
        let restarts = ProjectionSettings::default().restarts;
        let Some(Reconstruction { progress, .. }) = best else {
            if self.searching {
                let text = format!("drawing own samples to fit an encoder on: {:.0} %", self.fitting * 100.0);
                ui.add(egui::ProgressBar::new(self.fitting).text(text));
                ui.weak(format!(
                    "Then {restarts} starts are optimised side by side. The encoder is kept for the next picture."
                ));
            }
            return None;
        };
        let share = progress.step as f32 / progress.steps.max(1) as f32;
        let steps = format!("step {} of {}, {restarts} starts side by side", progress.step, progress.steps);
        ui.add(egui::ProgressBar::new(share).text(steps));
        fidelity_scale(ui, progress);
        if !self.searching {
            let verdict = format!("The verdict: {}.", progress.quality().description());
            match progress.quality() {
                ReconstructionQuality::Failed => ui.colored_label(ui.visuals().warn_fg_color, verdict),
                ReconstructionQuality::Faithful | ReconstructionQuality::Approximate => ui.label(verdict),
            };
        }
        let z = progress.z.clone();
        let mut action = None;
        ui.horizontal(|ui| {
            if ui.button("Keep").on_hover_text("Puts the z on the shelf, to be used as a sample").clicked() {
                add_to_shelf(&mut cx.session, self.name(), z.clone());
            }
            let point = Point::Custom { name: self.name(), z };
            if ui.button("Move by sliders").on_hover_text("Makes it the sample of Directions").clicked() {
                cx.session.subject = point.clone();
                action = Some(Action::ShowTool(Tool::Directions));
            }
            if ui.button("Walk from here").on_hover_text("Adds it to the walk").clicked() {
                cx.session.walk.keyframes.push(point);
                action = Some(Action::ShowTool(Tool::Walk));
            }
        });
        action
    }

    fn on_response(&mut self, response: ExplorerResponse, cx: &mut PanelContext) {
        match response {
            ExplorerResponse::Projecting(search) => self.update(search, &cx.egui),
            // The photo cannot be projected: the previous result stays.
            ExplorerResponse::NotProjected(error) => {
                self.searching = false;
                cx.messages.error = Some(error);
            }
            _ => {}
        }
    }

    fn on_model_change(&mut self, change: ModelChange, _cx: &mut PanelContext) {
        if change != ModelChange::Weights {
            *self = Self::default();
        }
    }
}

impl PhotoPanel {
    fn update(&mut self, search: ProjectionUpdate, ctx: &egui::Context) {
        match search {
            ProjectionUpdate::Fitting(path, original, share) => {
                if !path.as_os_str().is_empty() {
                    let texture = upload(ctx, "original", &original);
                    *self = Self { path, original: Some((original, texture)), searching: true, ..Self::default() };
                }
                self.fitting = share;
            }
            ProjectionUpdate::Remarks(remarks) => self.remarks = remarks,
            ProjectionUpdate::Best(generated, progress) => {
                let Some((original, _)) = self.original.as_ref().filter(|_| self.searching) else { return };
                self.searching = progress.step < progress.steps;
                let difference = original.difference(&generated);
                match &mut self.best {
                    Some(best) => {
                        replace(&mut best.generated, &generated);
                        replace(&mut best.difference, &difference);
                        best.progress = progress;
                    }
                    None => {
                        self.best = Some(Reconstruction {
                            generated: upload(ctx, "reconstruction", &generated),
                            difference: upload(ctx, "difference", &difference),
                            progress,
                        });
                    }
                }
            }
        }
    }

    /// The file name of the photo, which names its z.
    fn name(&self) -> String {
        self.path.file_name().map_or("photo".into(), |name| name.to_string_lossy().into_owned())
    }
}

/// Where the photo stands between the model's own samples and its average image.
fn fidelity_scale(ui: &mut Ui, progress: &ProjectionProgress) {
    let ReferenceErrors { own_samples: own, average_picture: average, blurred_copy: blurred } = progress.references;
    let span = (average - own).max(0.1);
    let position = |lacking: f32| ((lacking - own) / span).clamp(0.0, 1.2) / 1.2;
    let width = ui.available_width().min(600.0);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, 40.0), egui::Sense::hover());
    let visuals = ui.visuals();
    let (text, weak, mark) = (visuals.text_color(), visuals.weak_text_color(), visuals.selection.stroke.color);
    let bar = egui::Rect::from_min_size(rect.min + Vec2::new(0.0, 14.0), Vec2::new(width, 8.0));
    let painter = ui.painter();
    painter.rect_filled(bar, 2.0, visuals.extreme_bg_color);
    let within_limit =
        egui::Rect::from_min_max(bar.min, egui::pos2(bar.left() + width * REPRODUCIBLE_LIMIT / 1.2, bar.bottom()));
    painter.rect_filled(within_limit, 2.0, visuals.selection.bg_fill);
    let font = egui::TextStyle::Small.resolve(ui.style());
    let ticks = [
        (own, "own samples", egui::Align2::LEFT_TOP),
        (average, "average picture", egui::Align2::CENTER_TOP),
        (blurred, "blurred copy", egui::Align2::CENTER_TOP),
    ];
    for (lacking, name, align) in ticks {
        let x = bar.left() + width * position(lacking);
        painter.vline(x, bar.top() - 2.0..=bar.bottom() + 2.0, egui::Stroke::new(1.0, weak));
        // The label of the blurred copy stands above the bar, so that it does not overlap the one beside it.
        let (y, align) = if name == "blurred copy" {
            (bar.top() - 2.0, egui::Align2::CENTER_BOTTOM)
        } else {
            (bar.bottom() + 3.0, align)
        };
        painter.text(egui::pos2(x, y), align, name, font.clone(), weak);
    }
    let x = bar.left() + width * position(progress.edge_error);
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

#[cfg(test)]
mod tests {
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, show};

    #[test]
    fn a_projected_photo_becomes_the_subject_of_directions() {
        let (mut panel, mut cx) = (PhotoPanel::default(), context());
        let picture = Picture::new(16, 16, 1, vec![90; 256]);
        let begin = ProjectionUpdate::Fitting("photos/cat.png".into(), picture.clone(), 0.0);
        panel.on_response(ExplorerResponse::Projecting(begin), &mut cx);
        assert!(panel.searching);
        let references = ReferenceErrors { own_samples: 0.1, average_picture: 0.6, blurred_copy: 0.5 };
        let z = vec![0.5; 4];
        let progress = ProjectionProgress {
            step: 4,
            steps: 4,
            z: z.clone(),
            rmse: 0.1,
            nearest_sample_rmse: 0.2,
            edge_error: 0.2,
            references,
        };
        panel.on_response(ExplorerResponse::Projecting(ProjectionUpdate::Best(picture, progress)), &mut cx);
        assert!(!panel.searching);
        let mut harness = show(panel, cx);
        harness.get_by_label("Move by sliders").click();
        harness.run_steps(2);
        let state = harness.state();
        assert_eq!(state.actions, [Action::ShowTool(Tool::Directions)]);
        assert_eq!(state.cx.session.subject, Point::Custom { name: "cat.png".into(), z });
    }

    #[test]
    fn a_photo_that_cannot_be_projected_ends_the_search_with_an_error() {
        let (mut panel, mut cx) = (PhotoPanel::default(), context());
        panel.searching = true;
        panel.on_response(ExplorerResponse::NotProjected("cat.png is damaged".into()), &mut cx);
        assert!(!panel.searching);
        assert_eq!(cx.messages.error.as_deref(), Some("cat.png is damaged"));
    }
}
