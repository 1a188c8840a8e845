//! Rows that choose how images are prepared: in the training form, for an opened model, and for duplicates.

use egui::{DragValue, Ui};
use strum::VariantArray as _;

use super::form::options;
use crate::image::{Background, Fit, MAX_CROP, Preparation, Resize};

/// Draws the rows.
pub(super) fn rows(ui: &mut Ui, preparation: &mut Preparation) {
    let label = ui.label("Crop");
    let mut side = preparation.crop.unwrap_or(0);
    let none = |side: f64, _| if side > 0.0 { format!("{side} x {side}") } else { "none".to_owned() };
    // The text as it is shown, or a number.
    let parse = |text: &str| match text.trim() {
        "none" | "" => Some(0.0),
        text => text.split('x').next()?.trim().parse().ok(),
    };
    let drag = DragValue::new(&mut side).range(0..=MAX_CROP).speed(0.5).custom_formatter(none).custom_parser(parse);
    ui.add(drag).labelled_by(label.id).on_hover_text(
        "Pixels in the center of each picture that are taken before it is resized; 0 for none. CelebA is commonly cropped to \
         108 or 138",
    );
    preparation.crop = (side > 0).then_some(side);
    ui.end_row();
    fit_and_resize(ui, preparation);
    ui.label("Background").on_hover_text(BACKGROUND);
    ui.horizontal(|ui| {
        named_backgrounds(ui, &mut preparation.background);
        let mut rgb = preparation.background.rgb();
        if ui.color_edit_button_srgb(&mut rgb).on_hover_text("Another color").changed() {
            preparation.background = Background::new(rgb);
        }
    });
    ui.end_row();
}

const BACKGROUND: &str = "The color that transparent pictures are laid on. White drawings are not seen on white";

fn named_backgrounds(ui: &mut Ui, background: &mut Background) {
    for color in Background::NAMED {
        ui.selectable_value(background, color, color.to_string()).on_hover_text(color.about());
    }
}

/// Common sides of crops, and 0 for none: CelebA's faces, and the authors'.
const CROPS: [usize; 4] = [0, 64, 108, 138];

/// Draws the rows for an open model, which is opened again with each change: crops are selected, not dragged.
pub(super) fn choices(ui: &mut Ui, preparation: &mut Preparation) {
    ui.label("Crop").on_hover_text("Of real pictures that are read for this model, before they are resized");
    ui.horizontal(|ui| {
        let now = preparation.crop.unwrap_or(0);
        let other = Some(now).filter(|side| !CROPS.contains(side));
        for side in CROPS.into_iter().chain(other) {
            let name = if side > 0 { side.to_string() } else { "none".to_owned() };
            let tip = "Pixels in the center of each picture; another number by the model's name: RUN@crop=96";
            if ui.selectable_label(side == now, name).on_hover_text(tip).clicked() {
                preparation.crop = (side > 0).then_some(side);
                // A crop is square, so there is nothing to stretch.
                if preparation.fit == Fit::Stretch && side > 0 {
                    preparation.fit = Fit::Crop;
                }
            }
        }
    });
    ui.end_row();
    let before = preparation.fit;
    fit_and_resize(ui, preparation);
    if preparation.fit == Fit::Stretch && before != Fit::Stretch {
        preparation.crop = None;
    }
    ui.label("Background").on_hover_text(BACKGROUND);
    ui.horizontal(|ui| {
        named_backgrounds(ui, &mut preparation.background);
        let other = Some(preparation.background).filter(|color| !Background::NAMED.contains(color));
        if let Some(color) = other {
            let _ = ui.selectable_label(true, color.to_string());
        }
    });
    ui.end_row();
}

fn fit_and_resize(ui: &mut Ui, preparation: &mut Preparation) {
    let fit = "What is done with pictures that are not square, or smaller than the crop";
    options(ui, "Fit", fit, &mut preparation.fit, Fit::VARIANTS, Fit::about);
    let resize = "How the part that is taken gets the networks' size";
    options(ui, "Resize by", resize, &mut preparation.resize, Resize::VARIANTS, Resize::about);
}
