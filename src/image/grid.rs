//! Contact sheets: grids of samples as in every GAN paper.

use super::Picture;

/// A white canvas to place pictures on.
pub struct Sheet {
    width: usize,
    channels: usize,
    pixels: Vec<u8>,
}

impl Sheet {
    /// An empty sheet.
    pub fn new(width: usize, height: usize, channels: usize) -> Self {
        Self { width, channels, pixels: vec![255; width * height * channels] }
    }

    /// Places a picture with its upper left corner at `x`, `y`. Gray pictures become RGB on a color sheet.
    ///
    /// # Panics
    /// If it does not fit on the sheet.
    pub fn put(&mut self, picture: &Picture, x: usize, y: usize) {
        let rgb;
        let source = if picture.channels() == self.channels {
            picture.pixels()
        } else {
            rgb = picture.to_rgb();
            &rgb
        };
        let row = picture.width() * self.channels;
        for (line, from) in source.chunks_exact(row).enumerate() {
            let to = ((y + line) * self.width + x) * self.channels;
            self.pixels[to..to + row].copy_from_slice(from);
        }
    }

    /// Draws a black bar, for plus and minus signs.
    ///
    /// # Panics
    /// If it does not fit on the sheet.
    pub fn bar(&mut self, x: usize, y: usize, width: usize, height: usize) {
        for line in y..y + height {
            let to = (line * self.width + x) * self.channels;
            self.pixels[to..to + width * self.channels].fill(0);
        }
    }

    /// The finished sheet.
    pub fn into_picture(self) -> Picture {
        let height = self.pixels.len() / (self.width * self.channels).max(1);
        Picture::new(self.width, height, self.channels, self.pixels)
    }
}

/// Arranges pictures in rows of `columns` with `gap` white pixels between them. Without pictures the result is an
/// empty 0x0 picture.
///
/// All pictures must have the same size; gray ones become RGB among color ones.
pub fn grid(pictures: &[Picture], columns: usize, gap: usize) -> Picture {
    let Some(first) = pictures.first() else {
        return Picture::new(0, 0, 1, Vec::new());
    };
    let columns = columns.clamp(1, pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let (cell_w, cell_h) = (first.width(), first.height());
    let channels = pictures.iter().map(Picture::channels).max().unwrap_or(1);
    let mut sheet = Sheet::new(columns * cell_w + (columns - 1) * gap, rows * cell_h + (rows - 1) * gap, channels);
    for (i, picture) in pictures.iter().enumerate() {
        sheet.put(picture, i % columns * (cell_w + gap), i / columns * (cell_h + gap));
    }
    sheet.into_picture()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_places_every_picture_and_leaves_gaps_white() {
        let cells: Vec<_> = (0..3).map(|i| Picture::new(2, 2, 1, vec![i * 10; 4])).collect();
        let sheet = grid(&cells, 2, 1);
        assert_eq!((sheet.width(), sheet.height()), (5, 5));
        let at = |x: usize, y: usize| sheet.pixels()[y * 5 + x];
        assert_eq!((at(0, 0), at(2, 0), at(3, 0)), (0, 255, 10));
        assert_eq!((at(1, 4), at(4, 4)), (20, 255));
    }

    #[test]
    fn no_pictures_are_an_empty_sheet() {
        assert_eq!(grid(&[], 8, 2).pixels().len(), 0);
    }
}
