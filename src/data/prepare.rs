//! Picture preparation: from a file's bytes to the network's input: decode, apply the EXIF orientation, crop, resize.
//!
//! A JPEG much larger than the result is decoded at a fraction of its size.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use image::metadata::Orientation;

use super::resize::resized;
use crate::image::{
    DecodeOptions, Decoded, Picture, PictureFormat, Placement, Preparation, SourceRect, Treatment, decode, jpeg,
    orientation, swaps, turned,
};
use crate::panics::catch;

/// Pixels of a JPEG decoded small per output pixel and axis, if it is cropped or not resized by Lanczos. With 1, fine
/// patterns were visibly softer than in pictures decoded at full size.
const OVERSAMPLING: usize = 2;

/// A picture file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used as a picture: {cause}")]
pub struct UnusablePicture {
    /// The file.
    pub path: PathBuf,
    /// What the file system or the decoder reported.
    pub cause: String,
}

/// Reads and prepares one picture file, as training images are.
///
/// # Errors
/// [`UnusablePicture`] naming the file.
pub fn read_prepared(path: &Path, format: PictureFormat) -> Result<Picture, UnusablePicture> {
    read_with_treatment(path, format, &DecodeOptions::default()).map(|decoded| decoded.picture)
}

/// As [`read_prepared`], with a record of what was done to the picture.
///
/// # Errors
/// [`UnusablePicture`] naming the file.
pub fn read_with_treatment(
    path: &Path,
    format: PictureFormat,
    options: &DecodeOptions,
) -> Result<Decoded, UnusablePicture> {
    let read = || {
        let bytes = std::fs::read(path).map_err(|cause| cause.to_string())?;
        decode_and_prepare(&bytes, format, options)
    };
    read().map_err(|cause| UnusablePicture { path: path.to_owned(), cause })
}

/// Decodes a picture and prepares it, see [`fit`].
pub(super) fn decode_and_prepare(
    bytes: &[u8],
    format: PictureFormat,
    options: &DecodeOptions,
) -> Result<Decoded, String> {
    let options = &DecodeOptions { background: format.preparation.background.rgb(), ..*options };
    match catch(|| prepare_small_jpeg(bytes, format)) {
        Ok(Some(small)) => Ok(small),
        // The general decoder may succeed, and its error is better.
        Ok(None) | Err(_) => {
            decode(bytes, options).map_err(|e| e.to_string()).and_then(|decoded| prepare(decoded, format))
        }
    }
}

/// Prepares a decoded picture, see [`fit`], and records how much is cropped.
pub(super) fn prepare(Decoded { picture, treatment }: Decoded, format: PictureFormat) -> Result<Decoded, String> {
    let frame = format.preparation.frame([picture.width(), picture.height()], format.size)?;
    let picture = pad_to_square(crop_and_resize(&picture, frame.part, frame.inner, format)?, frame, format);
    Ok(Decoded { picture, treatment: framed(treatment, frame) })
}

/// Adds crop and enlargement to the record of what was done to a picture.
fn framed(treatment: Treatment, Placement { part, inner: [wide, high], .. }: Placement) -> Treatment {
    let [width, height] = treatment.full;
    let cropped = 1.0 - part.width * part.height / (width * height) as f64;
    Treatment { cropped, enlarged: wide as f64 > part.width || high as f64 > part.height, ..treatment }
}

/// [`decode_and_prepare`] for a JPEG that can be decoded at a fraction of its size; `None` for others.
fn prepare_small_jpeg(bytes: &[u8], format: PictureFormat) -> Option<Decoded> {
    let PictureFormat { size, preparation, .. } = format;
    // Crop edges lie between the pixels of a small picture, so cropping needs more of them to be as sharp. The
    // default preparation keeps the threshold of older versions, so that older runs see the same pictures.
    let usual = Preparation { background: preparation.background, ..Preparation::default() };
    let oversampling = if preparation == usual { 1 } else { OVERSAMPLING };
    let enough = |full: [usize; 2], scale: usize| {
        let has = |part: f64, wanted: usize| (part as usize * scale).div_ceil(8) >= oversampling * wanted;
        preparation
            .frame(full, size)
            .is_ok_and(|Placement { part, inner: [wide, high], .. }| has(part.width, wide) && has(part.height, high))
    };
    let jpeg::ReducedJpeg { scale, full, size: [width, height], channels, pixels, exif, xmp } =
        jpeg::decode(bytes, &enough)?;
    let orientation = orientation(exif.as_deref(), xmp.as_deref());
    let swap = |sides: [usize; 2]| if swaps(orientation) { [sides[1], sides[0]] } else { sides };
    // The same crop as of the whole upright picture. Its edges may lie between pixels of this one.
    let frame = preparation.frame(swap(full), size).ok()?;
    let SourceRect { left, top, width: across, height: down } = as_stored(frame.part, full, orientation);
    let [left, top, across, down] = [left, top, across, down].map(|pixels| pixels * scale as f64 / 8.0);
    let part = SourceRect { left, top, width: across, height: down };
    let small = Picture::new(width, height, channels, pixels);
    let turns = orientation != Orientation::NoTransforms;
    let treatment = Treatment { full: swap(full), turned: turns, ..Treatment::none(&small) };
    let resized = crop_and_resize(&small, part, swap(frame.inner), format).ok()?;
    Some(Decoded {
        picture: pad_to_square(turned(resized, orientation), frame, format),
        treatment: framed(treatment, frame),
    })
}

/// Position of a part of the upright picture in the stored one of `width` x `height` pixels.
fn as_stored(part: SourceRect, [width, height]: [usize; 2], orientation: Orientation) -> SourceRect {
    let SourceRect { left, top, width: across, height: down } = part;
    // Distances to the right and bottom edges, which a flip or rotation exchanges with those to the left and top.
    let swapped = swaps(orientation);
    let [wide, high] = [width, height].map(|side| side as f64);
    let (x, y, across, down) = if swapped { (top, left, down, across) } else { (left, top, across, down) };
    let (right, bottom) = (wide - x - across, high - y - down);
    let (left, top) = match orientation {
        Orientation::NoTransforms | Orientation::Rotate90FlipH => (x, y),
        Orientation::FlipHorizontal | Orientation::Rotate270 => (right, y),
        Orientation::FlipVertical | Orientation::Rotate90 => (x, bottom),
        Orientation::Rotate180 | Orientation::Rotate270FlipH => (right, bottom),
    };
    SourceRect { left, top, width: across, height: down }
}

/// Prepares a decoded picture: crops, resizes and pads it, with the format's channels.
///
/// # Errors
/// Why the picture cannot be used, such as that it is smaller than the crop.
pub(crate) fn fit(picture: &Picture, format: PictureFormat) -> Result<Picture, String> {
    let frame = format.preparation.frame([picture.width(), picture.height()], format.size)?;
    Ok(pad_to_square(crop_and_resize(picture, frame.part, frame.inner, format)?, frame, format))
}

/// Crops and resizes, on as few channels as possible: conversion to gray comes before, to color after.
fn crop_and_resize(
    picture: &Picture,
    part: SourceRect,
    inner: [usize; 2],
    format: PictureFormat,
) -> Result<Picture, String> {
    let narrow = if format.channels == 1 { to_channels(picture, 1) } else { Cow::Borrowed(picture) };
    resized(&narrow, part, inner, format.preparation.resize)
}

/// Centers a picture on a black square and converts it to the format's channels.
fn pad_to_square(
    part: Picture,
    Placement { at: [left, top], inner: [width, height], .. }: Placement,
    format: PictureFormat,
) -> Picture {
    let PictureFormat { size, channels, .. } = format;
    if [width, height] == [size, size] {
        return to_channels(&part, channels).into_owned();
    }
    let depth = part.channels();
    let mut pixels = vec![0; size * size * depth];
    for (line, row) in part.pixels().chunks_exact(width * depth).enumerate() {
        pixels[((top + line) * size + left) * depth..][..width * depth].copy_from_slice(row);
    }
    to_channels(&Picture::new(size, size, depth, pixels), channels).into_owned()
}

/// The picture in gray (1 channel) or color (3).
pub fn to_channels(picture: &Picture, channels: usize) -> Cow<'_, Picture> {
    let (width, height) = (picture.width(), picture.height());
    match (picture.channels(), channels) {
        (1, 3) => Cow::Owned(Picture::new(width, height, 3, picture.to_rgb())),
        (3, 1) => {
            // Luma (Rec. 709), in thousandths.
            let gray = |rgb: &[u8]| {
                ((u32::from(rgb[0]) * 213 + u32::from(rgb[1]) * 715 + u32::from(rgb[2]) * 72 + 500) / 1000) as u8
            };
            Cow::Owned(Picture::new(width, height, 1, picture.pixels().chunks_exact(3).map(gray).collect()))
        }
        _ => Cow::Borrowed(picture),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Fit, Resize, Samples};
    use proptest::prelude::*;
    use strum::VariantArray as _;

    fn fit(picture: &Picture, size: usize, channels: usize) -> Result<Picture, String> {
        super::fit(picture, PictureFormat::new(size, channels))
    }

    fn decode(bytes: &[u8]) -> Result<Picture, crate::image::DecodeError> {
        super::decode(bytes, &DecodeOptions::default()).map(|decoded| decoded.picture)
    }

    fn decode_and_prepare(bytes: &[u8], format: PictureFormat) -> Result<Picture, String> {
        super::decode_and_prepare(bytes, format, &DecodeOptions::default()).map(|decoded| decoded.picture)
    }

    fn prepared(picture: &Picture, size: usize, preparation: Preparation) -> Vec<u8> {
        let format = PictureFormat { size, channels: picture.channels(), preparation };
        super::fit(picture, format).unwrap().pixels().to_vec()
    }

    #[test]
    fn fit_and_crop_give_exact_pixels() {
        use Fit::{Crop, Pad, Stretch};
        let area = |crop, fit| Preparation { crop, fit, resize: Resize::Area, ..Preparation::default() };
        let wide = Picture::new(4, 2, 1, vec![10, 20, 30, 40, 50, 60, 70, 80]);
        let tall = Picture::new(2, 4, 1, vec![10, 20, 30, 40, 50, 60, 70, 80]);
        assert_eq!(prepared(&wide, 2, area(None, Crop)), [20, 30, 60, 70]);
        assert_eq!(prepared(&tall, 2, area(None, Crop)), [30, 40, 50, 60]);
        assert_eq!(prepared(&wide, 2, area(None, Stretch)), [15, 35, 55, 75]);
        assert_eq!(prepared(&tall, 2, area(None, Stretch)), [20, 30, 60, 70]);
        assert_eq!(
            prepared(&wide, 4, area(None, Pad)),
            [0, 0, 0, 0, 10, 20, 30, 40, 50, 60, 70, 80, 0, 0, 0, 0],
            "black above and below"
        );
        assert_eq!(prepared(&tall, 4, area(None, Pad)), [0, 10, 20, 0, 0, 30, 40, 0, 0, 50, 60, 0, 0, 70, 80, 0]);
        // Cropping precedes resizing.
        let square = Picture::new(4, 4, 1, (0..16).map(|i| i * 10).collect());
        assert_eq!(prepared(&square, 2, area(Some(2), Crop)), [50, 60, 90, 100]);
        assert_eq!(prepared(&square, 1, area(Some(2), Crop)), [75]);
        assert_eq!(prepared(&wide, 1, area(Some(2), Crop)), [45]);
        let format = PictureFormat { size: 2, channels: 1, preparation: area(Some(3), Crop) };
        let cause = super::fit(&wide, format).unwrap_err();
        assert!(cause.contains("4x2 pixels, smaller than the 3x3"), "{cause}");
        assert_eq!(prepared(&wide, 3, area(Some(3), Pad)), [10, 20, 30, 50, 60, 70, 0, 0, 0]);
        assert_eq!(
            prepared(&Picture::new(2, 2, 1, vec![100; 4]), 4, area(Some(4), Pad)),
            [0, 0, 0, 0, 0, 100, 100, 0, 0, 100, 100, 0, 0, 0, 0, 0]
        );
        // Color to gray, and gray to color, padding included.
        let red = Picture::new(2, 1, 3, vec![255, 0, 0, 255, 0, 0]);
        let preparation = area(None, Pad);
        let gray = super::fit(&red, PictureFormat { size: 2, channels: 1, preparation }).unwrap();
        assert_eq!(gray.pixels(), [54, 54, 0, 0]);
        let format = PictureFormat { size: 2, channels: 3, preparation };
        let color = super::fit(&Picture::new(1, 2, 1, vec![9, 8]), format).unwrap();
        assert_eq!(color.pixels(), [9, 9, 9, 0, 0, 0, 8, 8, 8, 0, 0, 0]);
    }

    #[test]
    fn resize_filter_is_configurable() {
        let edge = Picture::new(8, 8, 1, (0..64).map(|i| if i % 8 < 4 { 0 } else { 255 }).collect());
        let of = |resize| prepared(&edge, 2, Preparation { resize, ..Preparation::default() });
        assert_eq!(of(Resize::Area), [0, 255, 0, 255]);
        let [lanczos, bilinear] = [Resize::Lanczos, Resize::Bilinear].map(of);
        assert!(lanczos[0] > 0 && bilinear[0] > lanczos[0], "{lanczos:?} {bilinear:?}");
        assert_eq!(lanczos, fit(&edge, 2, 1).unwrap().pixels(), "Lanczos is the default");
    }

    #[test]
    fn cropping_keeps_the_center() {
        let pixels = (0..8 * 24).flat_map(|i| if (8..16).contains(&(i % 24)) { [0, 255, 0] } else { [255, 0, 0] });
        let wide = Picture::new(24, 8, 3, pixels.collect());
        let fitted = fit(&wide, 4, 3).unwrap();
        // The filter may reach slightly over the edge of the crop.
        assert!(fitted.pixels().chunks_exact(3).all(|p| p[0] < 32 && p[1] > 223), "{:?}", fitted.pixels());
    }

    #[test]
    fn shrinking_averages() {
        let board =
            Picture::new(64, 64, 1, (0..64 * 64).map(|i| if (i + i / 64) % 2 == 0 { 0 } else { 255 }).collect());
        let fitted = fit(&board, 8, 1).unwrap();
        assert!(fitted.pixels().iter().all(|&p| (120..=136).contains(&p)), "{:?}", fitted.pixels());
    }

    #[test]
    fn gray_and_color_are_converted() {
        let gray = Picture::new(2, 2, 1, vec![7; 4]);
        assert_eq!(fit(&gray, 2, 3).unwrap().pixels(), [7; 12]);
        let white = Picture::new(2, 2, 3, vec![255; 12]);
        assert_eq!(fit(&white, 2, 1).unwrap().pixels(), [255; 4]);
    }

    #[test]
    fn crop_without_resizing_keeps_pixels() {
        let wide = Picture::new(7, 4, 1, (0..28).map(|i| i * 9).collect());
        let expected: Vec<u8> = wide.pixels().chunks(7).flat_map(|row| row[1..5].to_vec()).collect();
        assert_eq!(fit(&wide, 4, 1).unwrap().pixels(), expected);
        let colored = expected.iter().flat_map(|&gray| [gray; 3]).collect::<Vec<_>>();
        assert_eq!(fit(&wide, 4, 3).unwrap().pixels(), colored);
    }

    #[test]
    fn exif_orientation_is_applied() {
        use image::ImageEncoder;
        // Dark on the left, light on the right. Orientation 6 rotates clockwise: dark on top.
        let pixels: Vec<u8> = (0..32 * 16).map(|i| if i % 32 < 16 { 0 } else { 255 }).collect();
        let mut jpeg = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 95);
        let exif = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        encoder.set_exif_metadata(exif.to_vec()).unwrap();
        encoder.write_image(&pixels, 32, 16, image::ExtendedColorType::L8).unwrap();
        let upright = decode(&jpeg).unwrap();
        assert_eq!((upright.width(), upright.height(), upright.channels()), (16, 32, 1));
        assert!(upright.pixels()[8] < 20 && upright.pixels()[31 * 16 + 8] > 235);
    }

    /// A rendered picture as JPEG files of each kind.
    const JPEGS: [(&str, &[u8]); 9] = [
        ("full", include_bytes!("../../tests/jpegs/full.jpg")),
        ("half", include_bytes!("../../tests/jpegs/half.jpg")),
        ("quarter", include_bytes!("../../tests/jpegs/quarter.jpg")),
        ("restarts", include_bytes!("../../tests/jpegs/restarts.jpg")),
        ("turned", include_bytes!("../../tests/jpegs/turned.jpg")),
        ("grey", include_bytes!("../../tests/jpegs/grey.jpg")),
        ("progressive", include_bytes!("../../tests/jpegs/progressive.jpg")),
        ("rgb", include_bytes!("../../tests/jpegs/rgb.jpg")),
        ("cmyk", include_bytes!("../../tests/jpegs/cmyk.jpg")),
    ];

    fn mean_difference(a: &Picture, b: &Picture) -> f64 {
        let sum: u64 = a.difference(b).pixels().iter().map(|&byte| u64::from(byte)).sum();
        sum as f64 / a.pixels().len() as f64
    }

    #[test]
    fn jpeg_decoded_small_resembles_jpeg_decoded_whole() {
        // Of 70 pixels in height, 1/8, 2/8, 3/8 and 4/8 are decoded.
        for ((name, bytes), size) in JPEGS.into_iter().flat_map(|jpeg| [8, 17, 24, 35].map(|size| (jpeg, size))) {
            for channels in [1, 3] {
                let is_small = prepare_small_jpeg(bytes, PictureFormat::new(size, channels)).is_some();
                assert_eq!(is_small, !["progressive", "rgb", "cmyk"].contains(&name), "{name}");
                let whole = fit(&decode(bytes).unwrap(), size, channels).unwrap();
                let small = decode_and_prepare(bytes, PictureFormat::new(size, channels)).unwrap();
                assert_eq!((small.width(), small.height(), small.channels()), (size, size, channels));
                let difference = mean_difference(&small, &whole);
                assert!(difference < 7.0, "{name} at {size}, {channels}: {difference}");
            }
        }
    }

    #[test]
    fn jpeg_decoded_small_is_cropped_padded_and_stretched_alike() {
        for (crop, fit) in [
            (Some(40), Fit::Crop),
            (Some(61), Fit::Crop),
            (Some(120), Fit::Pad),
            (None, Fit::Pad),
            (None, Fit::Stretch),
        ] {
            for (resize, (name, bytes)) in
                Resize::VARIANTS.iter().copied().flat_map(|resize| JPEGS.map(|jpeg| (resize, jpeg)))
            {
                let format = PictureFormat {
                    size: 8,
                    channels: 3,
                    preparation: Preparation { crop, fit, resize, ..Preparation::default() },
                };
                let known = !["progressive", "rgb", "cmyk"].contains(&name);
                assert_eq!(prepare_small_jpeg(bytes, format).is_some(), known, "{name}, {}", format.preparation);
                let whole = super::fit(&decode(bytes).unwrap(), format).unwrap();
                let small = decode_and_prepare(bytes, format).unwrap();
                let difference = mean_difference(&small, &whole);
                assert!(difference < 7.0, "{name}, {}: {difference}", format.preparation);
            }
        }
        // A crop with no more pixels than the result is decoded at full size and cropped exactly.
        let preparation = Preparation { crop: Some(36), ..Preparation::default() };
        for (name, bytes) in JPEGS {
            let format = PictureFormat { size: 36, channels: 3, preparation };
            assert!(prepare_small_jpeg(bytes, format).is_none(), "{name}");
            assert_eq!(
                decode_and_prepare(bytes, format).unwrap(),
                super::fit(&decode(bytes).unwrap(), format).unwrap(),
                "{name}"
            );
        }
        let preparation = Preparation { crop: Some(71), ..Preparation::default() };
        let format = PictureFormat { size: 8, channels: 3, preparation };
        let cause = decode_and_prepare(JPEGS[0].1, format).unwrap_err();
        assert!(cause.contains("smaller than the 71x71"), "{cause}");
    }

    #[test]
    fn treatment_does_not_depend_on_the_decoded_size() {
        for (name, bytes) in JPEGS {
            let treatment = |size| {
                super::decode_and_prepare(bytes, PictureFormat::new(size, 3), &DecodeOptions::default())
                    .unwrap()
                    .treatment
            };
            let (small, whole) = (treatment(8), treatment(60));
            assert_eq!(
                (small.full, small.channels, small.turned),
                (whole.full, whole.channels, whole.turned),
                "{name}"
            );
            assert_eq!((small.samples, small.cropped), (Samples::U8, whole.cropped), "{name}");
            assert_eq!(small.turned, name == "turned");
            let [width, height] = small.full.map(|side| side as f64);
            assert_eq!(small.cropped, 1.0 - width.min(height) / width.max(height), "{name}");
            assert!(!small.enlarged && treatment(200).enlarged, "{name}");
        }
    }

    #[test]
    fn crop_is_mapped_to_the_stored_orientation() {
        use Orientation::*;
        let stored = Picture::new(5, 3, 1, (0..15).map(|i| i * 10).collect());
        let part = SourceRect { left: 1.0, top: 0.0, width: 2.0, height: 1.0 };
        let take = |picture: &Picture, part: SourceRect| {
            let inner = [part.width as usize, part.height as usize];
            resized(picture, part, inner, Resize::Lanczos).unwrap()
        };
        for orientation in
            [NoTransforms, FlipHorizontal, Rotate180, FlipVertical, Rotate90FlipH, Rotate90, Rotate270FlipH, Rotate270]
        {
            let upright = turned(stored.clone(), orientation);
            let first = turned(take(&stored, as_stored(part, [5, 3], orientation)), orientation);
            assert_eq!(first, take(&upright, part), "{orientation:?}");
        }
    }

    #[test]
    fn jpeg_slightly_larger_than_the_result_is_decoded_whole() {
        for (name, bytes) in JPEGS {
            assert_eq!(
                decode_and_prepare(bytes, PictureFormat::new(36, 3)).unwrap(),
                fit(&decode(bytes).unwrap(), 36, 3).unwrap(),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn damaged_jpeg_does_not_panic(
            which in 0..JPEGS.len(), cut in 0.0f64..1.5, flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = JPEGS[which].1.to_vec();
            bytes.truncate((bytes.len() as f64 * cut) as usize);
            let whole = flips.is_empty();
            for (at, byte) in flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            // Any input must not panic, and a truncated file must not pass for a whole one.
            let small = prepare_small_jpeg(&bytes, PictureFormat::new(16, 3));
            if whole && cut < 0.9 {
                prop_assert!(small.is_none());
            }
        }
    }
}
