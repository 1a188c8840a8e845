//! The sum of the arithmetic computed in other spaces than Z: with pixels, as below the paper's figure 7, and with the feature
//! maps of each hidden layer.

use std::sync::Arc;

use egui::{Sense, TextureHandle, Ui, Vec2};

use super::context::PanelContext;
use super::model_change::ModelChange;
use super::views::place;
use super::worker::{ExplorerRequest, ExplorerResponse, Slot};
use crate::app::texture::{SLOT_COLUMNS, Texture, tile, upload};
use crate::image::Picture;
use crate::latent::arithmetic::Term;

/// The sum of pixels.
struct PixelSum {
    /// What it was computed from.
    exemplars: Arc<[Picture]>,
    terms: Vec<Term>,
    texture: Option<TextureHandle>,
}

/// Shows below the arithmetic's result what the same sum gives with pixels and with feature maps.
#[derive(Default)]
pub(super) struct Comparison {
    pixels: Option<PixelSum>,
    /// The sum that was requested of the feature maps.
    requested: Vec<Term>,
    /// An image for each hidden layer, and their number.
    maps: Option<(Texture, usize)>,
}

impl Comparison {
    /// Draws the comparison below results whose images have this `side`: in two columns, or in one where the room is `narrow`.
    pub fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext, side: f32, narrow: bool) {
        if narrow {
            self.pixel_sum(ui, cx, side);
            self.map_sums(ui, cx, side);
            return;
        }
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                ui.set_width(3.0 * side + 8.0);
                self.pixel_sum(ui, cx, side);
            });
            ui.add_space(12.0);
            ui.vertical(|ui| self.map_sums(ui, cx, side));
        });
    }

    /// Takes the sums of feature maps that the worker computed.
    pub fn on_response(&mut self, response: ExplorerResponse, cx: &PanelContext) {
        let ExplorerResponse::FeatureArithmetic { terms, pictures } = response else { return };
        if terms == self.requested {
            let count = pictures.count();
            let texture = || Texture::new(&cx.egui, "maps", pictures.into_sheet(SLOT_COLUMNS).0);
            self.maps = (count > 0).then(|| (texture(), count));
        }
    }

    pub fn on_model_change(&mut self, change: ModelChange) {
        match change {
            // Requested again, and shown as it is until then.
            ModelChange::Weights | ModelChange::Checkpoint => self.requested.clear(),
            ModelChange::Model => *self = Self::default(),
        }
    }

    fn pixel_sum(&mut self, ui: &mut Ui, cx: &mut PanelContext, side: f32) {
        ui.strong("The same with pixels").on_hover_text("What averaging pictures gives without a latent space");
        let exemplars = cx.views.pictures(&cx.worker, Slot::Exemplars);
        if let (Some(sum), Some(exemplars)) = (&cx.plans.sum, exemplars) {
            let same = |old: &PixelSum| Arc::ptr_eq(&old.exemplars, &exemplars) && old.terms == sum.terms;
            if !self.pixels.as_ref().is_some_and(same) {
                let picture = sum.pixel_arithmetic(&exemplars);
                let texture = picture.map(|picture| upload(ui.ctx(), "pixels", &picture));
                self.pixels = Some(PixelSum { exemplars, terms: sum.terms.clone(), texture });
            }
        }
        let texture = self.pixels.as_ref().and_then(|pixels| pixels.texture.as_ref());
        let image = texture.map(|texture| egui::Image::new((texture.id(), Vec2::splat(side))));
        ui.horizontal(|ui| {
            // Below the result, as in the paper's figure.
            ui.add_space(side);
            place(ui, image, side, "pixel arithmetic", Sense::hover());
        });
    }

    fn map_sums(&mut self, ui: &mut Ui, cx: &PanelContext, side: f32) {
        ui.strong("The same with feature maps").on_hover_text(
            "Each tray is averaged in what a hidden layer of the generator makes of its exemplars, and the later layers draw \
             from the sum. `zscape arithmetic --score` measures where sums succeed most often",
        );
        if let Some(sum) = cx.plans.sum.as_ref().filter(|sum| sum.terms != self.requested) {
            self.requested.clone_from(&sum.terms);
            cx.worker.send(ExplorerRequest::FeatureArithmetic(sum.terms.clone()));
        }
        ui.spacing_mut().item_spacing = Vec2::splat(4.0);
        ui.horizontal_wrapped(|ui| {
            for layer in 0..cx.plans.config.stages() {
                ui.vertical(|ui| {
                    ui.set_width(side);
                    let maps = self.maps.as_ref().filter(|(_, count)| layer < *count);
                    let image = maps.map(|(texture, count)| tile(texture.id(), layer, *count, SLOT_COLUMNS, side));
                    let wide = cx.plans.config.side(layer);
                    let name = image.as_ref().map_or(String::new(), |_| format!("sum of layer {layer}"));
                    place(ui, image, side, &name, Sense::hover()).on_hover_text(format!(
                        "The sum of what layer {layer} makes of the exemplars: maps of {wide}x{wide}. It has no z, so \
                         it cannot be used as a sample"
                    ));
                    ui.weak(format!("layer {layer}, {wide}x{wide}"));
                });
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, sample};
    use crate::app::texture::Pictures;

    #[test]
    fn sums_of_feature_maps_are_shown_until_another_model_is_opened() {
        let mut cx = context();
        cx.session.trays[0].members.push(sample(0));
        cx.update_plans();
        let draw = |ui: &mut Ui, (panel, cx): &mut (Comparison, PanelContext)| panel.ui(ui, cx, 80.0, false);
        let mut harness =
            Harness::builder().with_size([1280.0, 800.0]).build_ui_state(draw, (Comparison::default(), cx));
        harness.run_steps(2);
        let (panel, cx) = harness.state_mut();
        let pictures = || Pictures::Memory(vec![Picture::new(16, 16, 1, vec![90; 256]); 2]);
        panel.on_response(ExplorerResponse::FeatureArithmetic { terms: Vec::new(), pictures: pictures() }, cx);
        assert!(panel.maps.is_none(), "another sum is shown by now");
        panel.on_response(
            ExplorerResponse::FeatureArithmetic { terms: panel.requested.clone(), pictures: pictures() },
            cx,
        );
        harness.run_steps(2);
        assert!(harness.query_by_label("sum of layer 0").is_some());
        harness.state_mut().0.on_model_change(ModelChange::Model);
        harness.run_steps(2);
        assert!(harness.query_by_label("sum of layer 0").is_none());
    }
}
