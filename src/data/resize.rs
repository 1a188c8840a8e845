//! Crop and resize.

use fast_image_resize as fir;

use crate::image::{Picture, Resize, SourceRect};

/// Crops `part` and resizes it to `width` x `height`. A part of whole pixels that already has this size is copied.
pub(super) fn resized(
    picture: &Picture,
    part: SourceRect,
    [width, height]: [usize; 2],
    how: Resize,
) -> Result<Picture, String> {
    let depth = picture.channels();
    let SourceRect { left, top, width: across, height: down } = part;
    let whole = [left, top].iter().all(|place| place.fract() == 0.0);
    let pixels = if whole && across == width as f64 && down == height as f64 {
        let rows = picture.pixels().chunks_exact(picture.width() * depth).skip(top as usize).take(height);
        let columns = left as usize * depth..(left as usize + width) * depth;
        rows.flat_map(|row| &row[columns.clone()]).copied().collect()
    } else {
        match how {
            Resize::Area => averaged(picture, part, [width, height]),
            Resize::Lanczos => filtered(picture, part, [width, height], fir::FilterType::Lanczos3)?,
            Resize::Bilinear => filtered(picture, part, [width, height], fir::FilterType::Bilinear)?,
        }
    };
    Ok(Picture::new(width, height, depth, pixels))
}

/// Convolution with a filter scaled to the footprint of each output pixel, so that shrinking averages.
fn filtered(
    picture: &Picture,
    SourceRect { left, top, width: across, height: down }: SourceRect,
    [width, height]: [usize; 2],
    filter: fir::FilterType,
) -> Result<Vec<u8>, String> {
    let kind = if picture.channels() == 1 { fir::PixelType::U8 } else { fir::PixelType::U8x3 };
    let from = fir::images::ImageRef::new(picture.width() as u32, picture.height() as u32, picture.pixels(), kind)
        .map_err(|e| e.to_string())?;
    let mut to = fir::images::Image::new(width as u32, height as u32, kind);
    let options =
        fir::ResizeOptions::new().resize_alg(fir::ResizeAlg::Convolution(filter)).crop(left, top, across, down);
    fir::Resizer::new().resize(&from, &mut to, &options).map_err(|e| e.to_string())?;
    Ok(to.into_vec())
}

/// The input pixels that one output pixel covers in a row or column: the first, and the weight of each.
struct PixelCoverage {
    first: usize,
    shares: Vec<f32>,
}

/// The coverage of each of `count` output pixels over `length` of `all` input pixels, beginning at `start`.
fn covers(start: f64, length: f64, count: usize, all: usize) -> Vec<PixelCoverage> {
    let step = length / count as f64;
    let cover = |i: usize| {
        let (from, to) = (start + i as f64 * step, start + (i + 1) as f64 * step);
        let first = (from.floor() as usize).min(all - 1);
        let end = (to.ceil() as usize).clamp(first + 1, all);
        let overlap = |old: usize| (to.min((old + 1) as f64) - from.max(old as f64)).max(0.0);
        let sum: f64 = (first..end).map(overlap).sum();
        // Rounding may leave an empty last pixel; it takes the input pixel there.
        let share = |old| if sum > 0.0 { overlap(old) / sum } else { 1.0 / (end - first) as f64 };
        PixelCoverage { first, shares: (first..end).map(|old| share(old) as f32).collect() }
    };
    (0..count).map(cover).collect()
}

/// Area averaging: each output pixel is the weighted mean of the pixels that it covers, rows first.
fn averaged(picture: &Picture, part: SourceRect, [width, height]: [usize; 2]) -> Vec<u8> {
    let depth = picture.channels();
    let across = covers(part.left, part.width, width, picture.width());
    let down = covers(part.top, part.height, height, picture.height());
    let mut pixels = Vec::with_capacity(width * height * depth);
    for PixelCoverage { first, shares } in &down {
        let mut row = vec![0.0f32; picture.width() * depth];
        for (y, share) in (*first..).zip(shares) {
            let line = &picture.pixels()[y * picture.width() * depth..][..picture.width() * depth];
            row.iter_mut().zip(line).for_each(|(sum, &byte)| *sum += share * f32::from(byte));
        }
        for PixelCoverage { first, shares } in &across {
            for channel in 0..depth {
                let values = row[first * depth + channel..].iter().step_by(depth);
                let mean: f32 = shares.iter().zip(values).map(|(share, value)| share * value).sum();
                pixels.push(mean.round().clamp(0.0, 255.0) as u8);
            }
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;
    use strum::VariantArray as _;

    fn whole(picture: &Picture) -> SourceRect {
        SourceRect { left: 0.0, top: 0.0, width: picture.width() as f64, height: picture.height() as f64 }
    }

    #[test]
    fn area_filter_averages_covered_pixels() {
        let gray = Picture::new(4, 2, 1, vec![0, 10, 20, 30, 40, 50, 60, 70]);
        assert_eq!(resized(&gray, whole(&gray), [2, 1], Resize::Area).unwrap().pixels(), [25, 45]);
        // Three pixels to two: each gets half of the middle one.
        let row = Picture::new(3, 1, 1, vec![30, 60, 240]);
        assert_eq!(resized(&row, whole(&row), [2, 1], Resize::Area).unwrap().pixels(), [40, 180]);
        let pair = Picture::new(2, 1, 1, vec![0, 100]);
        assert_eq!(resized(&pair, whole(&pair), [3, 1], Resize::Area).unwrap().pixels(), [0, 50, 100]);
        let color = Picture::new(2, 1, 3, vec![0, 100, 200, 50, 0, 100]);
        assert_eq!(resized(&color, whole(&color), [1, 1], Resize::Area).unwrap().pixels(), [25, 50, 150]);
    }

    #[test]
    fn bilinear_filter_widens_when_shrinking() {
        let edge = Picture::new(8, 1, 1, vec![0, 0, 0, 0, 255, 255, 255, 255]);
        // Eight to two: weights 1, 3, 5, 7, 7, 5, 3, 1 around each center, cut off at the ends.
        let expected = ((3.0 + 1.0) / (5.0 + 7.0 + 7.0 + 5.0 + 3.0 + 1.0) * 255.0f64).round() as u8;
        let shrunk = resized(&edge, whole(&edge), [2, 1], Resize::Bilinear).unwrap();
        assert!(shrunk.pixels()[0].abs_diff(expected) <= 1, "{:?} beside {expected}", shrunk.pixels());
        assert!(shrunk.pixels()[1].abs_diff(255 - expected) <= 1, "{:?}", shrunk.pixels());
        // Lanczos keeps the edge sharper, and area averaging does not blur it at all.
        let lanczos = resized(&edge, whole(&edge), [2, 1], Resize::Lanczos).unwrap();
        assert!(lanczos.pixels()[0] < shrunk.pixels()[0], "{:?}", lanczos.pixels());
        assert_eq!(resized(&edge, whole(&edge), [2, 1], Resize::Area).unwrap().pixels(), [0, 255]);
        // Two to four: a quarter of the way between the centers.
        let pair = Picture::new(2, 1, 1, vec![0, 100]);
        assert_eq!(resized(&pair, whole(&pair), [4, 1], Resize::Bilinear).unwrap().pixels(), [0, 25, 75, 100]);
    }

    #[test]
    fn crop_of_the_right_size_is_copied_by_every_filter() {
        let picture = Picture::new(5, 4, 1, (0..20).map(|i| i * 12).collect());
        let part = SourceRect { left: 1.0, top: 2.0, width: 3.0, height: 2.0 };
        for how in Resize::VARIANTS.iter().copied() {
            let copied = resized(&picture, part, [3, 2], how).unwrap();
            assert_eq!(copied.pixels(), [11, 12, 13, 16, 17, 18].map(|i| i * 12), "{how}");
        }
    }

    #[test]
    fn area_filter_weighs_fractional_pixels() {
        let row = Picture::new(4, 1, 1, vec![0, 100, 200, 40]);
        let part = SourceRect { left: 0.5, top: 0.0, width: 2.0, height: 1.0 };
        assert_eq!(resized(&row, part, [1, 1], Resize::Area).unwrap().pixels(), [100]);
        assert_eq!(resized(&row, part, [2, 1], Resize::Area).unwrap().pixels(), [50, 150]);
    }
}
