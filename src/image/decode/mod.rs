//! Picture decoding; every reader of picture files uses this module.
//!
//! The format is detected by the first bytes. Truncated files are refused. The picture is turned upright, its
//! transparency composed onto a background, and deeper values reduced to 8 bits. A panic of a decoder is an error.
//! [`Treatment`] lists what was done.

mod notes;
mod orientation;
mod range;
#[cfg(test)]
mod tests;
mod tiff;
mod treatment;
mod whole;

use std::fmt::Display;
use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageFormat, ImageReader, Rgba};

pub(crate) use orientation::{orientation, swaps};
pub(crate) use range::Spread;
pub use range::{Range, Ranges, Samples};
pub use treatment::Treatment;

use super::picture::Picture;
use crate::panics::catch;
use crate::sniff::{self, PictureFileFormat};

/// Maximum size of a decoded picture in bytes.
pub(crate) const LIMIT: u64 = 512 << 20;

/// Decoding options.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeOptions {
    /// Background of transparent pictures: red, green and blue.
    pub background: [u8; 3],
    /// Black and white points of pictures deeper than 8 bits.
    pub ranges: Ranges,
}

impl Default for DecodeOptions {
    /// A white background, and the range of each picture.
    fn default() -> Self {
        Self { background: [255; 3], ranges: Ranges::default() }
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The upright, opaque picture at full size.
    pub picture: Picture,
    /// What was done to it.
    pub treatment: Treatment,
}

/// A picture file could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The file is truncated.
    #[error("the file ends early: {0}; it may be only half copied")]
    CutOff(String),
    /// Not a supported picture format.
    #[error("it is {0}; PNG, JPEG, WebP, BMP, GIF, TIFF and PNM are read")]
    NotAPicture(String),
    /// Larger than `LIMIT` in memory.
    #[error(
        "it has {width}x{height} pixels, which need {} MiB; at most {} MiB are decoded, so make it smaller first",
        bytes.div_ceil(1 << 20), LIMIT >> 20
    )]
    TooLarge {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
        /// Required memory in bytes.
        bytes: u64,
    },
    /// The decoder panicked.
    #[error("its decoder failed on it ({0}); the picture is damaged or of an unusual kind, so save it again as PNG")]
    Panic(String),
    /// The decoder reported an error.
    #[error("{0}")]
    Refused(String),
}

impl From<ImageError> for DecodeError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::CutOff("its pixels go on behind the last byte".to_owned())
            }
            ImageError::Unsupported(cause) => Self::unknown(cause),
            error => Self::damaged(error),
        }
    }
}

impl DecodeError {
    fn unknown(cause: impl Display) -> Self {
        Self::Refused(format!("it is of a kind that is not read ({cause}); save it as PNG"))
    }

    fn damaged(cause: impl Display) -> Self {
        Self::Refused(format!("it cannot be decoded ({cause}); it may be damaged"))
    }
}

/// Decodes a file of any supported format. Gray stays gray; everything else becomes RGB.
///
/// # Errors
/// [`DecodeError`], without the name of the file.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    catch(|| Raw::read(bytes)).unwrap_or_else(|panic| Err(DecodeError::Panic(panic)))?.finish(options)
}

/// Value range of a picture deeper than 8 bits; `None` if the file declares its white point.
///
/// # Errors
/// As [`decode`].
pub(crate) fn spread(bytes: &[u8]) -> Result<Option<(Samples, Spread)>, DecodeError> {
    let deep = match sniff::picture_format(bytes) {
        Some(PictureFileFormat::Png) => bytes.get(24) == Some(&16),
        Some(PictureFileFormat::Pnm) => whole::anymap(bytes).is_some_and(|header| header.white > 255),
        Some(PictureFileFormat::Tiff) => tiff::bits(bytes)? > 8,
        _ => false,
    };
    if !deep {
        return Ok(None);
    }
    let raw = catch(|| Raw::read(bytes)).unwrap_or_else(|panic| Err(DecodeError::Panic(panic)))?;
    let spread = if raw.declared.is_some() { None } else { raw.values.spread(raw.layout) };
    Ok(spread.map(|spread| (raw.values.samples(), spread)))
}

/// Pixel values as stored.
enum StoredValues {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
    Signed(Vec<i16>),
    Floats(Vec<f32>),
}

/// A picture as stored.
struct Raw {
    width: u32,
    height: u32,
    /// Channels: gray, gray and alpha, color, color and alpha.
    layout: usize,
    values: StoredValues,
    /// Range declared by the file.
    declared: Option<Range>,
    orientation: Orientation,
}

impl Raw {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let Some(format) = sniff::picture_format(bytes) else {
            let known = sniff::describe(bytes).map(str::to_owned);
            return Err(DecodeError::NotAPicture(known.unwrap_or_else(|| {
                let first: Vec<String> = bytes.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
                format!("no picture of a known format (it begins with the bytes {})", first.join(" "))
            })));
        };
        whole::check(format, bytes)?;
        let kind = match format {
            PictureFileFormat::Png => ImageFormat::Png,
            PictureFileFormat::Jpeg => ImageFormat::Jpeg,
            PictureFileFormat::Gif => ImageFormat::Gif,
            PictureFileFormat::WebP => ImageFormat::WebP,
            PictureFileFormat::Bmp => ImageFormat::Bmp,
            PictureFileFormat::Pnm => ImageFormat::Pnm,
            PictureFileFormat::Tiff => return tiff::read(bytes),
        };
        let mut decoder = ImageReader::with_format(Cursor::new(bytes), kind).into_decoder()?;
        let (width, height) = decoder.dimensions();
        let total = decoder.total_bytes();
        // The crate applies its limit only to the decoder's own buffers, not to the picture.
        if total > LIMIT {
            return Err(DecodeError::TooLarge { width, height, bytes: total });
        }
        // Unreadable metadata does not concern the picture.
        let marked = match format {
            PictureFileFormat::Png => notes::of_png(bytes),
            _ => {
                let [exif, xmp] = [decoder.exif_metadata(), decoder.xmp_metadata()].map(|notes| notes.ok().flatten());
                orientation(exif.as_deref(), xmp.as_deref())
            }
        };
        let decoded = DynamicImage::from_decoder(decoder)?;
        let layout = decoded.color().channel_count().into();
        let values = match decoded {
            DynamicImage::ImageLuma8(pixels) => StoredValues::Bytes(pixels.into_raw()),
            DynamicImage::ImageLumaA8(pixels) => StoredValues::Bytes(pixels.into_raw()),
            DynamicImage::ImageRgb8(pixels) => StoredValues::Bytes(pixels.into_raw()),
            DynamicImage::ImageRgba8(pixels) => StoredValues::Bytes(pixels.into_raw()),
            DynamicImage::ImageLuma16(pixels) => StoredValues::Words(pixels.into_raw()),
            DynamicImage::ImageLumaA16(pixels) => StoredValues::Words(pixels.into_raw()),
            DynamicImage::ImageRgb16(pixels) => StoredValues::Words(pixels.into_raw()),
            DynamicImage::ImageRgba16(pixels) => StoredValues::Words(pixels.into_raw()),
            DynamicImage::ImageRgb32F(pixels) => StoredValues::Floats(pixels.into_raw()),
            DynamicImage::ImageRgba32F(pixels) => StoredValues::Floats(pixels.into_raw()),
            other => StoredValues::Bytes(other.into_rgba8().into_raw()),
        };
        // If the declared white is less than two bytes can hold, the decoder has scaled the values.
        let scaled =
            format == PictureFileFormat::Pnm && whole::anymap(bytes).is_some_and(|header| header.white != 65535);
        let declared = (scaled && values.samples() == Samples::U16).then_some(Range::WORD);
        Ok(Self { width, height, layout, values, declared, orientation: marked })
    }

    /// Reduces to 8 bits, turns upright and composes onto the background.
    fn finish(self, options: &DecodeOptions) -> Result<Decoded, DecodeError> {
        let Self { width, height, layout, values, declared, orientation } = self;
        let samples = values.samples();
        let (bytes, range) = values.narrow(layout, declared.or(options.ranges.of(samples)))?;
        let mut upright = dynamic(width, height, layout, bytes);
        upright.apply_orientation(orientation);
        let (alpha, mut flattened) = (upright.color().has_alpha(), false);
        if alpha {
            (upright, flattened) = laid(upright, options.background);
        }
        let picture = Picture::from_dynamic(upright);
        let treatment = Treatment {
            channels: if layout < 3 { 1 } else { 3 },
            samples,
            range,
            alpha,
            flattened,
            turned: orientation != Orientation::NoTransforms,
            ..Treatment::none(&picture)
        };
        Ok(Decoded { picture, treatment })
    }
}

/// 8-bit pixels as a picture of the `image` crate.
fn dynamic(width: u32, height: u32, layout: usize, bytes: Vec<u8>) -> DynamicImage {
    let dynamic = match layout {
        1 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
        2 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageLumaA8),
        3 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
        _ => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgba8),
    };
    // The buffer has exactly one byte per pixel and channel.
    dynamic.unwrap_or_default()
}

/// Turns a picture upright.
pub(crate) fn turned(picture: Picture, orientation: Orientation) -> Picture {
    if orientation == Orientation::NoTransforms {
        return picture;
    }
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let mut upright = dynamic(width, height, picture.channels(), picture.pixels().to_vec());
    upright.apply_orientation(orientation);
    Picture::from_dynamic(upright)
}

impl StoredValues {
    fn samples(&self) -> Samples {
        match self {
            Self::Bytes(_) => Samples::U8,
            Self::Words(_) => Samples::U16,
            Self::Signed(_) => Samples::I16,
            Self::Floats(_) => Samples::F32,
        }
    }

    /// Value range without the alpha channel; `None` for 8 bits.
    fn spread(&self, layout: usize) -> Option<Spread> {
        fn of<T: Copy + Into<f64>>(values: &[T], layout: usize) -> Spread {
            let colors = if layout.is_multiple_of(2) { layout - 1 } else { layout };
            Spread::of(values.chunks_exact(layout).flat_map(|pixel| &pixel[..colors]).map(|&value| value.into()))
        }
        match self {
            Self::Bytes(_) => None,
            Self::Words(values) => Some(of(values, layout)),
            Self::Signed(values) => Some(of(values, layout)),
            Self::Floats(values) => Some(of(values, layout)),
        }
    }

    /// Reduces values to bytes by the range of the set, or their own, and returns the range used. Alpha uses the
    /// full range of its type.
    fn narrow(self, layout: usize, range: Option<Range>) -> Result<(Vec<u8>, Option<Range>), DecodeError> {
        let own = || self.spread(layout).map(|spread| spread.range(self.samples()));
        let Some(range) = range.or_else(own) else {
            return match self {
                Self::Bytes(bytes) => Ok((bytes, None)),
                _ => Err(DecodeError::Refused("its values have no range".to_owned())),
            };
        };
        fn of<T: Copy + Into<f64>>(values: &[T], layout: usize, range: Range, opaque: f64) -> Vec<u8> {
            let byte = |(i, &value): (usize, &T)| match layout.is_multiple_of(2) && i % layout == layout - 1 {
                true => Range { black: 0.0, white: opaque }.byte(value.into()),
                false => range.byte(value.into()),
            };
            values.iter().enumerate().map(byte).collect()
        }
        let bytes = match &self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Words(values) => of(values, layout, range, 65535.0),
            Self::Signed(values) => of(values, layout, range, 32767.0),
            Self::Floats(values) => {
                if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                    return Err(DecodeError::Refused(format!("its value {at} is no number")));
                }
                of(values, layout, range, 1.0)
            }
        };
        Ok((bytes, Some(range)))
    }
}

/// Composes a picture onto a background; also returns whether any of the background shows.
fn laid(picture: DynamicImage, background: [u8; 3]) -> (DynamicImage, bool) {
    let gray = picture.color().channel_count() < 3 && background[0] == background[1] && background[1] == background[2];
    let mut rgba = picture.into_rgba8();
    let mut shows = false;
    for Rgba([r, g, b, a]) in rgba.pixels_mut() {
        shows |= *a < 255;
        for (channel, behind) in [r, g, b].into_iter().zip(background) {
            let alpha = u16::from(*a);
            *channel = ((u16::from(*channel) * alpha + u16::from(behind) * (255 - alpha) + 127) / 255) as u8;
        }
    }
    let flat = DynamicImage::ImageRgba8(rgba);
    // All three channels are equal to the gray.
    let flat = if gray { gray_of(&flat.into_rgb8()) } else { DynamicImage::ImageRgb8(flat.into_rgb8()) };
    (flat, shows)
}

fn gray_of(rgb: &image::RgbImage) -> DynamicImage {
    let gray = rgb.pixels().map(|pixel| pixel.0[0]).collect();
    dynamic(rgb.width(), rgb.height(), 1, gray)
}
