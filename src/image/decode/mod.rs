//! The one place where files of pictures become pixels.
//!
//! Whatever reads a picture reads it here: it is told apart by its first bytes, refused where its end is missing, turned
//! upright, its transparency laid on a background, its deeper values brought to 8 bits; and a decoder that panics is an error.
//! What was done on the way is in the [`Treatment`].

mod guard;
mod orientation;
mod range;

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageError, ImageReader, Limits, Rgba};

pub(crate) use guard::guarded;
pub(crate) use orientation::{orientation, swaps};
pub(crate) use range::Spread;
pub use range::{Range, Ranges, Samples};

use super::picture::Picture;

/// Bytes that a picture may have at full size.
pub(crate) const LIMIT: u64 = 512 << 20;

/// How pictures are decoded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodeOptions {
    /// What transparent pictures are laid on: red, green and blue.
    pub background: [u8; 3],
    /// What black and white are in pictures deeper than 8 bits.
    pub ranges: Ranges,
}

impl Default for DecodeOptions {
    /// A white background, and each picture's own range.
    fn default() -> Self {
        Self { background: [255; 3], ranges: Ranges::default() }
    }
}

/// What was done to a picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Treatment {
    /// Width and height of the whole upright picture.
    pub full: [usize; 2],
    /// 1 (gray) or 3 (color), as the file has it.
    pub channels: usize,
    /// How the file stores its values.
    pub samples: Samples,
    /// The values that became black and white, where the file is deeper than 8 bits.
    pub range: Option<Range>,
    /// Whether the file has an alpha channel or a transparent color.
    pub alpha: bool,
    /// Whether a pixel was not wholly opaque, so that it was laid on the background.
    pub flattened: bool,
    /// Whether it was turned or mirrored as its notes (EXIF, XMP) say.
    pub turned: bool,
    /// The share of its area that was cut away.
    pub cropped: f64,
    /// Whether what was taken of it had fewer pixels than it has now, across or down.
    pub enlarged: bool,
}

impl Treatment {
    /// Nothing was done to the picture but to read it.
    pub fn none(picture: &Picture) -> Self {
        Self {
            full: [picture.width(), picture.height()],
            channels: picture.channels(),
            samples: Samples::U8,
            range: None,
            alpha: false,
            flattened: false,
            turned: false,
            cropped: 0.0,
            enlarged: false,
        }
    }
}

/// A decoded picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// Upright and opaque, at full size.
    pub picture: Picture,
    /// What was done to it.
    pub treatment: Treatment,
}

/// Why a file could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Its end is missing.
    #[error("the file ends early: {0}; it may be only half copied")]
    CutOff(String),
    /// It is something else.
    #[error("it is {0}")]
    NotAPicture(String),
    /// More pixels than are decoded.
    #[error(
        "it has {width}x{height} pixels, which need {} MiB; at most {} MiB are decoded, so make it smaller first",
        bytes.div_ceil(1 << 20), LIMIT >> 20
    )]
    TooLarge {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
        /// What it would need.
        bytes: u64,
    },
    /// The decoder panicked.
    #[error("its decoder failed on it ({0}); the picture is damaged or of an unusual kind, so save it again as PNG")]
    Panic(String),
    /// The decoder refused it.
    #[error("{0}")]
    Refused(String),
}

impl From<ImageError> for DecodeError {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::IoError(cause) if cause.kind() == std::io::ErrorKind::UnexpectedEof => {
                Self::CutOff("its pixels go on behind the last byte".to_owned())
            }
            error => Self::Refused(error.to_string()),
        }
    }
}

/// Decodes the bytes of a file of any format that is known. Gray stays gray, and everything else becomes red, green and blue.
///
/// # Errors
/// [`DecodeError`], which does not name the file.
pub fn decode(bytes: &[u8], options: &DecodeOptions) -> Result<Decoded, DecodeError> {
    guarded(|| Raw::read(bytes)).unwrap_or_else(|panic| Err(DecodeError::Panic(panic)))?.finish(options)
}

/// The least and greatest value of a picture deeper than 8 bits; none where the file says itself what white is.
///
/// # Errors
/// As [`decode`].
pub(crate) fn spread(bytes: &[u8]) -> Result<Option<(Samples, Spread)>, DecodeError> {
    let raw = guarded(|| Raw::read(bytes)).unwrap_or_else(|panic| Err(DecodeError::Panic(panic)))?;
    let spread = if raw.declared.is_some() { None } else { raw.values.spread(raw.layout) };
    Ok(spread.map(|spread| (raw.values.samples(), spread)))
}

/// Values as the file stores them.
enum Values {
    Bytes(Vec<u8>),
    Words(Vec<u16>),
    Floats(Vec<f32>),
}

/// A picture before anything is done to it.
struct Raw {
    width: u32,
    height: u32,
    /// Channels: gray, gray and alpha, color, color and alpha.
    layout: usize,
    values: Values,
    /// The range that the file itself declares.
    declared: Option<Range>,
    orientation: Orientation,
}

impl Raw {
    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder =
            ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(ImageError::IoError)?.into_decoder()?;
        let (width, height) = decoder.dimensions();
        let total = decoder.total_bytes();
        // The crate holds only the decoders' own buffers to its limit, not the picture they fill.
        if total > LIMIT {
            return Err(DecodeError::TooLarge { width, height, bytes: total });
        }
        decoder.set_limits(Limits::default())?;
        // Unreadable notes say nothing about the picture.
        let [exif, xmp] = [decoder.exif_metadata(), decoder.xmp_metadata()].map(|notes| notes.ok().flatten());
        let marked = match decoder.orientation() {
            Ok(marked) if marked != Orientation::NoTransforms => marked,
            _ => orientation(exif.as_deref(), xmp.as_deref()),
        };
        let decoded = DynamicImage::from_decoder(decoder)?;
        let layout = decoded.color().channel_count().into();
        let values = match decoded {
            DynamicImage::ImageLuma8(pixels) => Values::Bytes(pixels.into_raw()),
            DynamicImage::ImageLumaA8(pixels) => Values::Bytes(pixels.into_raw()),
            DynamicImage::ImageRgb8(pixels) => Values::Bytes(pixels.into_raw()),
            DynamicImage::ImageRgba8(pixels) => Values::Bytes(pixels.into_raw()),
            DynamicImage::ImageLuma16(pixels) => Values::Words(pixels.into_raw()),
            DynamicImage::ImageLumaA16(pixels) => Values::Words(pixels.into_raw()),
            DynamicImage::ImageRgb16(pixels) => Values::Words(pixels.into_raw()),
            DynamicImage::ImageRgba16(pixels) => Values::Words(pixels.into_raw()),
            DynamicImage::ImageRgb32F(pixels) => Values::Floats(pixels.into_raw()),
            DynamicImage::ImageRgba32F(pixels) => Values::Floats(pixels.into_raw()),
            other => Values::Bytes(other.into_rgba8().into_raw()),
        };
        let declared = matches!(values, Values::Words(_)) && pnm_white(bytes).is_some_and(|white| white != 65535);
        let declared = declared.then_some(Range::WORD);
        Ok(Self { width, height, layout, values, declared, orientation: marked })
    }

    /// Brings it to 8 bits, turns it upright and lays it on the background.
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

/// The white that a portable anymap declares. Where that is not all that its bits can hold, the decoder has scaled the values.
fn pnm_white(bytes: &[u8]) -> Option<u32> {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse().ok();
    let kind = bytes.strip_prefix(b"P")?.first()?;
    // Comments reach from a # to the end of their line.
    let lines = bytes.get(2..bytes.len().min(4096))?.split(|&byte| byte == b'\n');
    let lines = lines.map(|line| line.split(|&byte| byte == b'#').next().unwrap_or_default());
    let mut words = lines.flat_map(|line| line.split(u8::is_ascii_whitespace)).filter(|word| !word.is_empty());
    match kind {
        b'2' | b'3' | b'5' | b'6' => text(words.nth(2)?),
        b'7' => text(words.skip_while(|word| *word != b"MAXVAL").nth(1)?),
        _ => None,
    }
}

/// 8-bit pixels as the `image` crate's picture.
fn dynamic(width: u32, height: u32, layout: usize, bytes: Vec<u8>) -> DynamicImage {
    let dynamic = match layout {
        1 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageLuma8),
        2 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageLumaA8),
        3 => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgb8),
        _ => ImageBuffer::from_raw(width, height, bytes).map(DynamicImage::ImageRgba8),
    };
    // There are as many bytes as pixels and channels.
    dynamic.unwrap_or_default()
}

/// A picture turned upright.
pub(crate) fn turned(picture: Picture, orientation: Orientation) -> Picture {
    if orientation == Orientation::NoTransforms {
        return picture;
    }
    let (width, height) = (picture.width() as u32, picture.height() as u32);
    let mut upright = dynamic(width, height, picture.channels(), picture.pixels().to_vec());
    upright.apply_orientation(orientation);
    Picture::from_dynamic(upright)
}

impl Values {
    fn samples(&self) -> Samples {
        match self {
            Self::Bytes(_) => Samples::U8,
            Self::Words(_) => Samples::U16,
            Self::Floats(_) => Samples::F32,
        }
    }

    /// The least and greatest value, transparency left out; none of 8 bits.
    fn spread(&self, layout: usize) -> Option<Spread> {
        fn of<T: Copy + Into<f64>>(values: &[T], layout: usize) -> Spread {
            let colors = if layout.is_multiple_of(2) { layout - 1 } else { layout };
            Spread::of(values.chunks_exact(layout).flat_map(|pixel| &pixel[..colors]).map(|&value| value.into()))
        }
        match self {
            Self::Bytes(_) => None,
            Self::Words(values) => Some(of(values, layout)),
            Self::Floats(values) => Some(of(values, layout)),
        }
    }

    /// The values as bytes by the set's `range` or their own, and which that is. Transparency has all that the type can hold.
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

/// A picture laid on a background, and whether any of it shows through.
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
    // All three channels are equal, so that each of them is the gray.
    let flat = if gray { gray_of(&flat.into_rgb8()) } else { DynamicImage::ImageRgb8(flat.into_rgb8()) };
    (flat, shows)
}

fn gray_of(rgb: &image::RgbImage) -> DynamicImage {
    let gray = rgb.pixels().map(|pixel| pixel.0[0]).collect();
    dynamic(rgb.width(), rgb.height(), 1, gray)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(picture: &DynamicImage, format: image::ImageFormat) -> Vec<u8> {
        let mut bytes = Vec::new();
        picture.write_to(&mut Cursor::new(&mut bytes), format).unwrap();
        bytes
    }

    fn png(picture: impl Into<DynamicImage>) -> Vec<u8> {
        encoded(&picture.into(), image::ImageFormat::Png)
    }

    fn read(bytes: &[u8]) -> Picture {
        decode(bytes, &DecodeOptions::default()).unwrap().picture
    }

    #[test]
    fn transparency_is_laid_on_the_background_and_reported() {
        let clear = png(image::RgbaImage::from_pixel(2, 2, Rgba([0, 0, 0, 0])));
        let Decoded { picture, treatment } = decode(&clear, &DecodeOptions::default()).unwrap();
        assert_eq!(picture.pixels(), [255; 12]);
        assert!(treatment.alpha && treatment.flattened && treatment.channels == 3, "{treatment:?}");
        let red = DecodeOptions { background: [200, 0, 0], ..DecodeOptions::default() };
        assert_eq!(decode(&clear, &red).unwrap().picture.pixels(), [200, 0, 0].repeat(4));
        // Gray with alpha stays gray on a gray background.
        let gray = png(image::GrayAlphaImage::from_raw(2, 1, vec![10, 255, 10, 0]).unwrap());
        let Decoded { picture, treatment } = decode(&gray, &DecodeOptions::default()).unwrap();
        assert_eq!((picture.channels(), picture.pixels()), (1, &[10, 255][..]));
        assert!(treatment.flattened && treatment.channels == 1);
        let on_red = decode(&gray, &red).unwrap().picture;
        assert_eq!((on_red.channels(), on_red.pixels()), (3, &[10, 10, 10, 200, 0, 0][..]));
        let opaque = png(image::RgbaImage::from_pixel(2, 2, Rgba([1, 2, 3, 255])));
        let treatment = decode(&opaque, &red).unwrap().treatment;
        assert!(treatment.alpha && !treatment.flattened, "{treatment:?}");
        assert!(decode(&clear[..20], &red).is_err() && decode(b"", &red).is_err());
    }

    #[test]
    fn sixteen_bits_become_eight() {
        let deep = image::ImageBuffer::<image::Luma<u16>, _>::from_pixel(2, 2, image::Luma([0x8080]));
        assert_eq!(read(&png(DynamicImage::ImageLuma16(deep))), Picture::new(2, 2, 1, vec![0x80; 4]));
    }

    #[test]
    fn a_picture_of_absurd_size_is_refused_before_it_fills_the_memory() {
        // A portable graymap needs no more than a header to announce 90 GB.
        let cause = decode(b"P5 300000 300000 255\n", &DecodeOptions::default()).unwrap_err().to_string();
        assert!(cause.contains("300000x300000") && cause.contains("512 MiB"), "{cause}");
    }
}
