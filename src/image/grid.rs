//! Contact sheets: many pictures on one, as every GAN paper shows its samples.

use super::Picture;

/// Pictures in rows of `columns`, `gap` pixels of white between them; no pictures give an empty 0x0 picture.
///
/// All pictures must be of one size; grey ones are drawn among coloured ones as RGB.
pub fn grid(pictures: &[Picture], columns: usize, gap: usize) -> Picture {
    let Some(first) = pictures.first() else {
        return Picture::new(0, 0, 1, Vec::new());
    };
    let columns = columns.clamp(1, pictures.len());
    let rows = pictures.len().div_ceil(columns);
    let (cell_w, cell_h) = (first.width(), first.height());
    let width = columns * cell_w + (columns - 1) * gap;
    let height = rows * cell_h + (rows - 1) * gap;
    let channels = pictures.iter().map(Picture::channels).max().unwrap_or(1);
    let mut pixels = vec![255; width * height * channels];
    for (i, picture) in pictures.iter().enumerate() {
        let (x0, y0) = ((i % columns) * (cell_w + gap), (i / columns) * (cell_h + gap));
        let rgb;
        let source = if picture.channels() == channels {
            picture.pixels()
        } else {
            rgb = picture.to_rgb();
            &rgb
        };
        for y in 0..cell_h {
            let from = y * cell_w * channels;
            let to = ((y0 + y) * width + x0) * channels;
            pixels[to..to + cell_w * channels].copy_from_slice(&source[from..from + cell_w * channels]);
        }
    }
    Picture::new(width, height, channels, pixels)
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
