//! Pictures as textures.

use egui::{ColorImage, Context, TextureHandle, TextureOptions};

use crate::image::Picture;

/// Enlarged pixels stay pixels: at these sizes that is what was drawn.
const OPTIONS: TextureOptions = TextureOptions { minification: egui::TextureFilter::Linear, ..TextureOptions::NEAREST };

/// Uploads a picture.
pub(super) fn upload(ctx: &Context, name: &str, picture: &Picture) -> TextureHandle {
    ctx.load_texture(name, image(picture), OPTIONS)
}

/// Uploads a picture in the place of another one.
pub(super) fn replace(texture: &mut TextureHandle, picture: &Picture) {
    texture.set(image(picture), OPTIONS);
}

fn image(picture: &Picture) -> ColorImage {
    let size = [picture.width(), picture.height()];
    match picture.channels() {
        1 => ColorImage::from_gray(size, picture.pixels()),
        _ => ColorImage::from_rgb(size, picture.pixels()),
    }
}
