//! Pictures as textures.

use egui::{ColorImage, Context, TextureHandle, TextureOptions};

use crate::image::Picture;

/// Uploads a picture. Enlarged pixels stay pixels: at these sizes that is what was drawn.
pub(super) fn upload(ctx: &Context, name: &str, picture: &Picture) -> TextureHandle {
    let size = [picture.width(), picture.height()];
    let image = match picture.channels() {
        1 => ColorImage::from_gray(size, picture.pixels()),
        _ => ColorImage::from_rgb(size, picture.pixels()),
    };
    let options = TextureOptions { minification: egui::TextureFilter::Linear, ..TextureOptions::NEAREST };
    ctx.load_texture(name, image, options)
}
