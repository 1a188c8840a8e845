//! Images as textures.

use egui::{ColorImage, Context, Image, Rect, TextureHandle, TextureId, TextureOptions, Vec2, pos2};

use super::tensor_texture::PaintedTexture;
use crate::image::{Picture, grid};

/// Enlarged images show their pixels instead of a blur.
const OPTIONS: TextureOptions = TextureOptions { minification: egui::TextureFilter::Linear, ..TextureOptions::NEAREST };

/// Columns of a texture that holds a tool's images.
pub(super) const SLOT_COLUMNS: usize = 16;

/// A grid of images: in memory, or already on the graphics card.
pub(super) enum PictureSheet {
    Memory(Picture),
    Card(PaintedTexture),
}

/// Generated images: in memory, or on a texture of the graphics card that was never read back.
pub(super) enum Pictures {
    Memory(Vec<Picture>),
    Card(PaintedTexture),
}

impl Pictures {
    pub fn count(&self) -> usize {
        match self {
            Self::Memory(pictures) => pictures.len(),
            Self::Card(painted) => painted.count(),
        }
    }

    /// For the screen, in rows of `columns`, as those on the card lie already; the pictures themselves, where they are in memory.
    pub fn into_sheet(self, columns: usize) -> (PictureSheet, Option<Vec<Picture>>) {
        match self {
            Self::Memory(pictures) => (PictureSheet::Memory(grid(&pictures, columns, 0)), Some(pictures)),
            Self::Card(painted) => (PictureSheet::Card(painted), None),
        }
    }
}

/// A texture that was uploaded, or painted on the graphics card.
pub(super) enum Texture {
    Uploaded(TextureHandle),
    Painted(PaintedTexture),
}

impl Texture {
    pub fn new(ctx: &Context, name: &str, sheet: PictureSheet) -> Self {
        match sheet {
            PictureSheet::Memory(picture) => Self::Uploaded(upload(ctx, name, &picture)),
            PictureSheet::Card(painted) => Self::Painted(painted),
        }
    }

    /// Replaces the images. Widgets that show the texture show the new ones.
    pub fn replace(&mut self, ctx: &Context, name: &str, sheet: PictureSheet) {
        match (&mut *self, sheet) {
            (Self::Uploaded(texture), PictureSheet::Memory(picture)) => replace(texture, &picture),
            (Self::Painted(shown), PictureSheet::Card(painted)) => shown.replace(painted),
            (_, sheet) => *self = Self::new(ctx, name, sheet),
        }
    }

    pub fn id(&self) -> TextureId {
        match self {
            Self::Uploaded(texture) => texture.id(),
            Self::Painted(painted) => painted.id(),
        }
    }
}

/// Image `i` of `count` on a texture with at most `columns` columns, `side` points large.
pub(super) fn tile(texture: TextureId, i: usize, count: usize, columns: usize, side: f32) -> Image<'static> {
    let columns = columns.min(count).max(1);
    let rows = count.div_ceil(columns).max(1);
    let (x, y) = ((i % columns) as f32, (i / columns) as f32);
    let (w, h) = (1.0 / columns as f32, 1.0 / rows as f32);
    let uv = Rect::from_min_max(pos2(x * w, y * h), pos2((x + 1.0) * w, (y + 1.0) * h));
    Image::new((texture, Vec2::splat(side))).uv(uv)
}

/// Uploads an image as a texture.
pub(super) fn upload(ctx: &Context, name: &str, picture: &Picture) -> TextureHandle {
    ctx.load_texture(name, image(picture), OPTIONS)
}

/// Uploads an image in place of another one.
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
