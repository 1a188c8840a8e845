//! From a file's bytes to a square picture of the networks' size: decode, turn upright, crop the centre, resize.
//!
//! A JPEG that is at least twice as large as wanted is decoded at a fraction of its size.

use std::borrow::Cow;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use fast_image_resize as fir;
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageReader, Limits, Rgba};

use super::jpeg;
use crate::image::Picture;

/// Why one picture cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be used as a picture: {cause}")]
pub struct UnusablePicture {
    /// The file.
    pub path: PathBuf,
    /// What the file system or the decoder said.
    pub cause: String,
}

/// Reads one picture as the networks see those they train on: its centre square, `size x size`, `channels` channels.
///
/// # Errors
/// [`UnusablePicture`] naming the file.
pub fn read_fitted(path: &Path, size: usize, channels: usize) -> Result<Picture, UnusablePicture> {
    let read = || {
        let bytes = std::fs::read(path).map_err(|cause| cause.to_string())?;
        fitted(&bytes, size, channels)
    };
    read().map_err(|cause| UnusablePicture { path: path.to_owned(), cause })
}

/// Decodes a picture, and gives the centre square of it as [`fit`] does.
pub(super) fn fitted(bytes: &[u8], size: usize, channels: usize) -> Result<Picture, String> {
    match fitted_small(bytes, size, channels) {
        Some(picture) => Ok(picture),
        None => fit(&decode(bytes)?, size, channels),
    }
}

/// The same of a JPEG of which fewer pixels will do; none where it has to be decoded at full size.
fn fitted_small(bytes: &[u8], size: usize, channels: usize) -> Option<Picture> {
    let jpeg::Small { scale, full, size: [width, height], channels: depth, pixels, exif } = jpeg::decode(bytes, size)?;
    // The same square as of the whole picture, whose edges need not lie between two pixels.
    let small = |pixels: usize| pixels as f64 * scale as f64 / 8.0;
    let side = full[0].min(full[1]);
    let [left, top] = full.map(|whole| small((whole - side) / 2));
    let square = Square { left, top, side: small(side) };
    let fitted = cut(&Picture::new(width, height, depth, pixels), square, size, channels).ok()?;
    match exif.and_then(|exif| Orientation::from_exif_chunk(&exif)) {
        None | Some(Orientation::NoTransforms) => Some(fitted),
        Some(orientation) => {
            let (side, pixels) = (size as u32, fitted.pixels().to_vec());
            let mut turned = match channels {
                1 => DynamicImage::ImageLuma8(ImageBuffer::from_raw(side, side, pixels)?),
                _ => DynamicImage::ImageRgb8(ImageBuffer::from_raw(side, side, pixels)?),
            };
            turned.apply_orientation(orientation);
            Some(Picture::from_dynamic(turned))
        }
    }
}

/// Decodes a picture; transparent ones are laid on white, and a camera's orientation mark is obeyed.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, String> {
    let read = || -> image::ImageResult<DynamicImage> {
        let mut decoder = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?.into_decoder()?;
        // The crate holds only the decoders' own buffers to its limit (512 MiB), not the picture they fill.
        Limits::default().reserve(decoder.total_bytes())?;
        // An unreadable mark says nothing about the picture.
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        let mut decoded = DynamicImage::from_decoder(decoder)?;
        decoded.apply_orientation(orientation);
        Ok(decoded)
    };
    let decoded = read().map_err(|e| e.to_string())?;
    Ok(Picture::from_dynamic(if decoded.color().has_alpha() { on_white(&decoded) } else { decoded }))
}

fn on_white(decoded: &DynamicImage) -> DynamicImage {
    let mut rgba = decoded.to_rgba8();
    for Rgba([r, g, b, a]) in rgba.pixels_mut() {
        for channel in [r, g, b] {
            let alpha = u16::from(*a);
            *channel = ((u16::from(*channel) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
    DynamicImage::ImageRgb8(DynamicImage::ImageRgba8(rgba).to_rgb8())
}

/// The centre square of a picture, `size` x `size`, with `channels` channels; Lanczos over the whole footprint of each
/// new pixel, so that shrinking averages instead of skipping. A square that has the size already keeps its pixels.
pub(crate) fn fit(picture: &Picture, size: usize, channels: usize) -> Result<Picture, String> {
    let (width, height) = (picture.width(), picture.height());
    if width == 0 || height == 0 {
        return Err("it has no pixels".to_owned());
    }
    let side = width.min(height);
    let [left, top] = [width, height].map(|whole| ((whole - side) / 2) as f64);
    cut(picture, Square { left, top, side: side as f64 }, size, channels)
}

/// A part of a picture, in pixels.
#[derive(Debug, Clone, Copy)]
struct Square {
    left: f64,
    top: f64,
    side: f64,
}

fn cut(picture: &Picture, Square { left, top, side }: Square, size: usize, channels: usize) -> Result<Picture, String> {
    let (width, height) = (picture.width(), picture.height());
    // The fewer channels are resized: to grey before, to colour after.
    let narrow = if channels == 1 { to_channels(picture, 1) } else { Cow::Borrowed(picture) };
    let depth = narrow.channels();
    let fitted = if side == size as f64 && left.fract() == 0.0 && top.fract() == 0.0 {
        let (left, top) = (left as usize, top as usize);
        let rows = narrow.pixels().chunks_exact(width * depth).skip(top).take(size);
        rows.flat_map(|row| &row[left * depth..(left + size) * depth]).copied().collect()
    } else {
        let kind = if depth == 1 { fir::PixelType::U8 } else { fir::PixelType::U8x3 };
        let from = fir::images::ImageRef::new(width as u32, height as u32, narrow.pixels(), kind)
            .map_err(|e| e.to_string())?;
        let mut to = fir::images::Image::new(size as u32, size as u32, kind);
        let options = fir::ResizeOptions::new()
            .resize_alg(fir::ResizeAlg::Convolution(fir::FilterType::Lanczos3))
            .crop(left, top, side, side);
        fir::Resizer::new().resize(&from, &mut to, &options).map_err(|e| e.to_string())?;
        to.into_vec()
    };
    Ok(to_channels(&Picture::new(size, size, depth, fitted), channels).into_owned())
}

/// A picture as grey (1) or colour (3).
pub fn to_channels(picture: &Picture, channels: usize) -> Cow<'_, Picture> {
    let (width, height) = (picture.width(), picture.height());
    match (picture.channels(), channels) {
        (1, 3) => Cow::Owned(Picture::new(width, height, 3, picture.to_rgb())),
        (3, 1) => {
            // Luma of sRGB (Rec. 709), in thousandths.
            let grey = |rgb: &[u8]| {
                ((u32::from(rgb[0]) * 213 + u32::from(rgb[1]) * 715 + u32::from(rgb[2]) * 72 + 500) / 1000) as u8
            };
            Cow::Owned(Picture::new(width, height, 1, picture.pixels().chunks_exact(3).map(grey).collect()))
        }
        _ => Cow::Borrowed(picture),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_centre_is_what_remains() {
        // Red sides, a green square in the middle.
        let pixels = (0..8 * 24).flat_map(|i| if (8..16).contains(&(i % 24)) { [0, 255, 0] } else { [255, 0, 0] });
        let wide = Picture::new(24, 8, 3, pixels.collect());
        let fitted = fit(&wide, 4, 3).unwrap();
        // The filter may look a little over the edge of the crop, no more.
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
    fn grey_and_colour_become_each_other() {
        let grey = Picture::new(2, 2, 1, vec![7; 4]);
        assert_eq!(fit(&grey, 2, 3).unwrap().pixels(), [7; 12]);
        let white = Picture::new(2, 2, 3, vec![255; 12]);
        assert_eq!(fit(&white, 2, 1).unwrap().pixels(), [255; 4]);
    }

    #[test]
    fn transparency_is_laid_on_white() {
        let mut png = Vec::new();
        let clear = image::RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 0]));
        clear.write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
        assert_eq!(decode(&png).unwrap().pixels(), [255; 12]);
        assert!(decode(&png[..20]).is_err());
        assert!(decode(b"").is_err());
    }

    #[test]
    fn a_crop_of_the_right_size_keeps_its_pixels() {
        let wide = Picture::new(7, 4, 1, (0..28).map(|i| i * 9).collect());
        let expected: Vec<u8> = wide.pixels().chunks(7).flat_map(|row| row[1..5].to_vec()).collect();
        assert_eq!(fit(&wide, 4, 1).unwrap().pixels(), expected);
        let coloured = expected.iter().flat_map(|&grey| [grey; 3]).collect::<Vec<_>>();
        assert_eq!(fit(&wide, 4, 3).unwrap().pixels(), coloured);
    }

    #[test]
    fn a_camera_held_upright_gives_an_upright_picture() {
        use image::ImageEncoder;
        // Dark on the left, light on the right; mark 6 turns it clockwise: dark on top.
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

    /// One drawn picture as JPEG files of each kind.
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
    fn a_jpeg_decoded_small_is_the_picture_decoded_whole() {
        // 70 pixels high: an eighth, a quarter, three eighths and a half of them are decoded.
        for ((name, bytes), size) in JPEGS.into_iter().flat_map(|jpeg| [8, 17, 24, 35].map(|size| (jpeg, size))) {
            for channels in [1, 3] {
                let small = fitted_small(bytes, size, channels);
                let known = !["progressive", "rgb", "cmyk"].contains(&name);
                assert_eq!(small.is_some(), known, "{name}");
                let whole = fit(&decode(bytes).unwrap(), size, channels).unwrap();
                let told = fitted(bytes, size, channels).unwrap();
                assert_eq!((told.width(), told.height(), told.channels()), (size, size, channels));
                let difference = mean_difference(&told, &whole);
                assert!(difference < 7.0, "{name} at {size}, {channels}: {difference}");
            }
        }
    }

    #[test]
    fn a_jpeg_that_is_not_much_larger_is_decoded_as_before() {
        for (name, bytes) in JPEGS {
            assert_eq!(fitted(bytes, 36, 3).unwrap(), fit(&decode(bytes).unwrap(), 36, 3).unwrap(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_damaged_jpeg_is_read_or_refused_as_it_is_at_full_size(
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
            // Whatever it gives, it does not panic; and what is cut off is never taken for a whole picture.
            let small = fitted_small(&bytes, 16, 3);
            if whole && cut < 0.9 {
                prop_assert!(small.is_none());
            }
        }
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let mut png = Vec::new();
        let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(2, 2, image::Luma([0x8080]));
        deep.write_to(&mut Cursor::new(&mut png), image::ImageFormat::Png).unwrap();
        assert_eq!(decode(&png).unwrap(), Picture::new(2, 2, 1, vec![0x80; 4]));
    }

    #[test]
    fn a_picture_of_absurd_size_is_refused_before_it_fills_the_memory() {
        // A portable graymap needs no more than a header to announce 90 GB.
        let cause = decode(b"P5 300000 300000 255\n").unwrap_err();
        assert!(cause.to_lowercase().contains("memory") || cause.contains("limit"), "{cause}");
    }
}
