//! Before-and-after views of pictures, which show the effect of the preparation settings.

use super::dataset::{Dataset, sample_indices};
use super::error::Problem;
use super::loader::mirrors;
use super::resize::resized;
use super::to_channels;
use crate::image::{Picture, Placement, Resize, Sheet, SourceRect, grid};

/// Width of the crop frame's line, in pixels of the view.
const LINE: usize = 2;
/// Color of the crop frame, rare in photographs.
const COLOR: [u8; 3] = [255, 120, 0];
/// Gray level around the picture.
const MARGIN_SHADE: u8 = 128;
/// White pixels between the cells of a figure.
const GAP: usize = 4;

/// A picture before and after its preparation.
#[derive(Debug, Clone)]
pub struct BeforeAfter {
    /// Its name in the set.
    pub name: String,
    /// Width and height in the set.
    pub size: [usize; 2],
    /// The whole picture with the crop framed and the rest darkened; a color square.
    pub before: Picture,
    /// The network's input.
    pub after: Picture,
}

/// Up to `count` pictures before and after preparation, `side` x `side` pixels large, and those that could not be
/// used. `seed` picks them, as in [`super::preview_pictures`]. `mirror` is the seed of a run: pictures that the run
/// mirrors in its first epoch are mirrored.
///
/// Reads and decodes on the calling thread.
pub fn compare_preparation(
    dataset: &Dataset,
    count: usize,
    seed: u64,
    side: usize,
    mirror: Option<u64>,
) -> (Vec<BeforeAfter>, Vec<Problem>) {
    let (mut pictures, mut problems) = (Vec::new(), Vec::new());
    for index in sample_indices(dataset, count, seed) {
        if pictures.len() == count {
            break;
        }
        let both = dataset.original(index).and_then(|original| Ok((original, dataset.picture(index)?)));
        let compared = both.and_then(|(original, after)| {
            let size = [original.width(), original.height()];
            let problem = |cause| Problem { name: dataset.name(index), cause };
            let frame = dataset.format().preparation.frame(size, dataset.format().size).map_err(problem)?;
            let before = draw_frame(&original, frame, side).map_err(problem)?;
            let mirrored = mirror.is_some_and(|seed| mirrors(seed, 0, index));
            let after = if mirrored { after.mirrored() } else { after };
            Ok(BeforeAfter { name: dataset.name(index), size, before, after })
        });
        match compared {
            Ok(compared) => pictures.push(compared),
            Err(problem) => problems.push(problem),
        }
    }
    (pictures, problems)
}

/// Two rows: the pictures before preparation, and below each the result. Without pictures, an empty picture.
pub fn comparison_figure(pictures: &[BeforeAfter], side: usize) -> Picture {
    let large = |picture: &Picture| {
        let part = SourceRect { left: 0.0, top: 0.0, width: picture.width() as f64, height: picture.height() as f64 };
        resized(picture, part, [side, side], Resize::Area).unwrap_or_else(|_| picture.clone())
    };
    let before = pictures.iter().map(|compared| compared.before.clone());
    let after = pictures.iter().map(|compared| to_channels(&large(&compared.after), 3).into_owned());
    grid(&before.chain(after).collect::<Vec<_>>(), pictures.len(), GAP)
}

/// A picture centered on a square of `side` x `side`, with the crop framed.
fn draw_frame(original: &Picture, Placement { part, square, .. }: Placement, side: usize) -> Result<Picture, String> {
    let (width, height) = (original.width() as f64, original.height() as f64);
    // The visible area: the picture, and the crop where it extends beyond it.
    let (left, right) = (square.left.min(0.0), (square.left + square.width).max(width));
    let (top, bottom) = (square.top.min(0.0), (square.top + square.height).max(height));
    let scale = side as f64 / (right - left).max(bottom - top);
    let margin = [right - left, bottom - top].map(|length| (side as f64 - length * scale) / 2.0);
    let place = |x: f64, y: f64| {
        let [x, y] = [(x - left) * scale + margin[0], (y - top) * scale + margin[1]];
        [x, y].map(|place| place.round().clamp(0.0, side as f64) as usize)
    };
    let [from, to] = [place(0.0, 0.0), place(width, height)];
    let inner = [0, 1].map(|i| (to[i] - from[i]).max(1));
    let whole = SourceRect { left: 0.0, top: 0.0, width, height };
    let mut sheet = Sheet::new(side, side, 3);
    sheet.put(&Picture::new(side, side, 3, vec![MARGIN_SHADE; side * side * 3]), 0, 0);
    let corners = [place(square.left, square.top), place(square.left + square.width, square.top + square.height)];
    // Padding is black.
    if part != square {
        sheet.bar(corners[0][0], corners[0][1], corners[1][0] - corners[0][0], corners[1][1] - corners[0][1]);
    }
    let shown = resized(original, whole, inner, Resize::Area)?;
    sheet.put(&shown, from[0].min(side - inner[0]), from[1].min(side - inner[1]));
    let mut pixels = sheet.into_picture().pixels().to_vec();
    for (i, pixel) in pixels.as_chunks_mut::<3>().0.iter_mut().enumerate() {
        let at = [i % side, i / side];
        let within = |inset: usize| (0..2).all(|i| at[i] >= corners[0][i] + inset && at[i] + inset < corners[1][i]);
        let of_picture = (0..2).all(|i| (from[i]..from[i] + inner[i]).contains(&at[i]));
        if within(0) && !within(LINE) {
            *pixel = COLOR;
        } else if of_picture && !within(0) {
            *pixel = pixel.map(|byte| byte / 2);
        }
    }
    Ok(Picture::new(side, side, 3, pixels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::{Fit, PictureFormat, Preparation};

    fn pixel(picture: &Picture, x: usize, y: usize) -> [u8; 3] {
        let at = (y * picture.width() + x) * 3;
        picture.pixels()[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn original_is_shown_with_its_crop_beside_the_prepared_picture() {
        let folder = tempfile::tempdir().unwrap();
        let pixels = (0..800).map(|i| if i % 40 < 20 { 60 } else { 200 }).collect();
        Picture::new(40, 20, 1, pixels).write_png(&folder.path().join("a.png")).unwrap();
        Picture::new(8, 8, 1, vec![9; 64]).write_png(&folder.path().join("small.png")).unwrap();
        let compared = |preparation, mirror| {
            let format = PictureFormat { preparation, ..PictureFormat::new(10, 1) };
            let dataset = Dataset::open(&Source::Path(folder.path().to_owned()), format, 1).unwrap();
            compare_preparation(&dataset, 5, 1, 80, mirror)
        };
        let crop = Preparation { crop: Some(10), ..Preparation::default() };
        let (pictures, problems) = compared(crop, None);
        assert_eq!((pictures.len(), problems.len()), (1, 1), "smaller than the crop");
        assert!(problems[0].name == "small.png" && problems[0].cause.contains("8x8"), "{problems:?}");
        let BeforeAfter { size, before, after, .. } = &pictures[0];
        assert_eq!((*size, before.width(), before.height()), ([40, 20], 80, 80));
        // Enlarged twice, starting at row 20; the crop is the central 20 x 20.
        assert_eq!(pixel(before, 40, 10), [MARGIN_SHADE; 3]);
        assert_eq!(pixel(before, 10, 40), [30; 3], "outside the crop");
        assert_eq!([pixel(before, 36, 40), pixel(before, 44, 40)], [[60; 3], [200; 3]]);
        assert_eq!([pixel(before, 30, 40), pixel(before, 49, 40), pixel(before, 40, 30)], [COLOR; 3]);
        assert_eq!([pixel(before, 29, 40), pixel(before, 50, 40)], [[30; 3], [100; 3]]);
        assert_eq!((after.pixels()[0], after.pixels()[9]), (60, 200));
        let pad = Preparation { fit: Fit::Pad, ..Preparation::default() };
        let (pictures, problems) = compared(pad, None);
        assert_eq!((pictures.len(), problems.len()), (2, 0));
        let wide = pictures.iter().find(|compared| compared.name == "a.png").unwrap();
        assert_eq!(pixel(&wide.before, 40, 10), [0; 3], "padding is black");
        assert_eq!(pixel(&wide.before, 0, 40), COLOR);
        let mirroring = (0..64).find(|&seed| mirrors(seed, 0, 0) && !mirrors(seed, 0, 1)).unwrap();
        let (mirrored, _) = compared(pad, Some(mirroring));
        let of = |pictures: &[BeforeAfter], name: &str| {
            pictures.iter().find(|compared| compared.name == name).unwrap().after.clone()
        };
        assert_eq!(of(&mirrored, "a.png"), of(&pictures, "a.png").mirrored());
        assert_eq!(of(&mirrored, "small.png"), of(&pictures, "small.png"));
        let sheet = comparison_figure(&pictures, 80);
        assert_eq!((sheet.width(), sheet.height()), (2 * 80 + GAP, 2 * 80 + GAP));
    }
}
