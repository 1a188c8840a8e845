//! The sum made elsewhere than in Z: with pixels, as under the paper's figure 7, and with the feature maps of each hidden
//! layer.

use std::sync::Arc;

use egui::{Context, Sense, TextureHandle, Ui, Vec2};

use super::Explorer;
use super::views::place;
use super::worker::{Request, Slot};
use crate::app::texture::{Pictures, SLOT_COLUMNS, Texture, tile, upload};
use crate::image::Picture;
use crate::latent::arithmetic::Term;
use crate::model::ModelConfig;

/// The sum of pixels: what it was worked out of, and its picture.
type Pixels = (Arc<[Picture]>, Vec<Term>, Option<TextureHandle>);

#[derive(Default)]
pub(super) struct Comparison {
    pixels: Option<Pixels>,
    /// The sum that was asked for in feature maps.
    asked: Vec<Term>,
    /// A picture for each hidden layer, and how many these are.
    maps: Option<(Texture, usize)>,
}

impl Comparison {
    /// Takes in what the worker added up.
    pub fn take(&mut self, ctx: &Context, terms: &[Term], pictures: Pictures) {
        if *terms == *self.asked {
            let count = pictures.count();
            let texture = || Texture::new(ctx, "maps", pictures.into_sheet(SLOT_COLUMNS).0);
            self.maps = (count > 0).then(|| (texture(), count));
        }
    }

    /// The model has learnt: the sum is asked for again, and shown as it was until then.
    pub fn refresh(&mut self) {
        self.asked.clear();
    }

    /// Another model.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Explorer {
    /// Beneath the results, whose pictures have this `side`.
    pub(super) fn comparison(&mut self, ui: &mut Ui, config: &ModelConfig, side: f32, narrow: bool) {
        if narrow {
            self.in_pixels(ui, side);
            self.in_maps(ui, config, side);
            return;
        }
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                ui.set_width(3.0 * side + 8.0);
                self.in_pixels(ui, side);
            });
            ui.add_space(12.0);
            ui.vertical(|ui| self.in_maps(ui, config, side));
        });
    }

    fn in_pixels(&mut self, ui: &mut Ui, side: f32) {
        ui.strong("The same with pixels").on_hover_text("What averaging pictures gives without a latent space");
        let exemplars = self.views.pictures(&self.worker, Slot::Exemplars);
        if let (Some(sum), Some(exemplars)) = (&self.plans.sum, exemplars) {
            let same = self.comparison.pixels.as_ref();
            let same = same.is_some_and(|(of, terms, _)| Arc::ptr_eq(of, &exemplars) && *terms == sum.terms);
            if !same {
                let picture = sum.pixel_arithmetic(&exemplars);
                let texture = picture.map(|picture| upload(ui.ctx(), "pixels", &picture));
                self.comparison.pixels = Some((exemplars, sum.terms.clone(), texture));
            }
        }
        let texture = self.comparison.pixels.as_ref().and_then(|(_, _, texture)| texture.as_ref());
        let image = texture.map(|texture| egui::Image::new((texture.id(), Vec2::splat(side))));
        ui.horizontal(|ui| {
            // Beneath the result, as in the paper's figure.
            ui.add_space(side);
            place(ui, image, side, "pixel arithmetic", Sense::hover());
        });
    }

    fn in_maps(&mut self, ui: &mut Ui, config: &ModelConfig, side: f32) {
        ui.strong("The same with feature maps").on_hover_text(
            "Each tray is averaged in what a hidden layer of the generator makes of its exemplars, and the later layers draw \
             from the sum. `zscape arithmetic --score` measures where sums succeed most often",
        );
        if let Some(sum) = self.plans.sum.as_ref().filter(|sum| sum.terms != self.comparison.asked) {
            self.comparison.asked.clone_from(&sum.terms);
            self.worker.send(Request::Add(sum.terms.clone()));
        }
        ui.spacing_mut().item_spacing = Vec2::splat(4.0);
        ui.horizontal_wrapped(|ui| {
            for layer in 0..config.stages() {
                ui.vertical(|ui| {
                    ui.set_width(side);
                    let maps = self.comparison.maps.as_ref().filter(|(_, count)| layer < *count);
                    let image = maps.map(|(texture, count)| tile(texture.id(), layer, *count, SLOT_COLUMNS, side));
                    let wide = config.side(layer);
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
