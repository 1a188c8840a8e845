//! Preparation settings: how a picture of any size becomes the square that the networks see.
//!
//! The paper's faces are 64x64 crops; CelebA's aligned faces are commonly cropped to 108x108 or 138x138 first. This
//! module has the settings and the geometry; `data` applies them.

use std::fmt;

use super::background::Background;
use crate::files::is_default;

/// How a picture that is not square becomes square.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Fit {
    /// Take the largest centered square; the rest is lost.
    #[default]
    Crop,
    /// Keep all of it, centered in a black square (-1 for the networks).
    Pad,
    /// Keep all of it, stretched to a square.
    Stretch,
}

impl Fit {
    /// One line on what it does, for tool tips.
    pub fn about(self) -> &'static str {
        match self {
            Self::Crop => "The largest square in the center is taken; what is beside it is lost",
            Self::Pad => "The whole picture is kept, in the center of a black square",
            Self::Stretch => "The whole picture is kept, squeezed to a square",
        }
    }
}

/// Resampling filter.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    Hash,
    clap::ValueEnum,
    serde::Serialize,
    serde::Deserialize,
    strum::Display,
    strum::VariantArray,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Resize {
    /// Lanczos with three lobes over the footprint of each output pixel: sharp.
    #[default]
    Lanczos,
    /// Bilinear. When shrinking, the triangle is widened to the footprint of an output pixel (antialiasing), as
    /// in Pillow.
    Bilinear,
    /// The mean over the exact footprint of an output pixel, partial pixels by their share (OpenCV's
    /// `INTER_AREA`): soft, never ringing.
    Area,
}

impl Resize {
    /// One line on what it does, for tool tips.
    pub fn about(self) -> &'static str {
        match self {
            Self::Lanczos => "Sharp: Lanczos of three lobes over all that a new pixel covers",
            Self::Bilinear => "Bilinear, with antialiasing where it shrinks, as Pillow does it",
            Self::Area => "Soft: the mean of exactly what a new pixel covers, as OpenCV's INTER_AREA",
        }
    }
}

/// Largest crop: the maximum size of a JPEG.
pub const MAX_CROP: usize = 65_535;

/// Invalid preparation settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PreparationError {
    /// The crop is 0 or larger than any picture.
    #[error(
        "a crop of {0}x{0} pixels is not possible: --crop is 1 to {MAX_CROP}, or left out to take all of a picture"
    )]
    Crop(usize),
    /// A crop is square, so `fit` does not apply.
    #[error(
        "--fit stretch does not go with --crop {0}: the crop is a square already, so there is nothing to stretch; leave one \
         of them out"
    )]
    StretchedCrop(usize),
}

/// How pictures are prepared for the networks. The default takes the largest centered square and resizes it with
/// Lanczos.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Preparation {
    /// Side of the centered square to crop before resizing, in pixels of the original; `None` takes as much as
    /// `fit` allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crop: Option<usize>,
    /// Treatment of pictures that are not square, or smaller than the crop.
    #[serde(default, skip_serializing_if = "is_default")]
    pub fit: Fit,
    /// Resampling filter.
    #[serde(default, skip_serializing_if = "is_default")]
    pub resize: Resize,
    /// Background of transparent pictures.
    #[serde(default, skip_serializing_if = "is_default")]
    pub background: Background,
}

/// A rectangle of a picture, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SourceRect {
    /// Left edge.
    pub left: f64,
    /// Top edge.
    pub top: f64,
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
}

/// Geometry of a preparation: a source rectangle that is resized and placed on a square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Source rectangle.
    pub part: SourceRect,
    /// Size of the resized rectangle in pixels.
    pub inner: [usize; 2],
    /// Position on the square, from left and top; the rest of the square is black.
    pub at: [usize; 2],
    /// The region that the square shows, in pixels of the original: the source rectangle, or more if it extends
    /// beyond the picture.
    pub square: SourceRect,
}

impl Preparation {
    /// These settings with the given ones replaced; a `crop` of 0 means no crop.
    pub fn with(
        self,
        crop: Option<usize>,
        fit: Option<Fit>,
        resize: Option<Resize>,
        background: Option<Background>,
    ) -> Self {
        Self {
            crop: crop.map_or(self.crop, |side| (side > 0).then_some(side)),
            fit: fit.unwrap_or(self.fit),
            resize: resize.unwrap_or(self.resize),
            background: background.unwrap_or(self.background),
        }
    }

    /// Checks that the settings are consistent.
    ///
    /// # Errors
    /// [`PreparationError`], which names the flag.
    pub fn check(&self) -> Result<(), PreparationError> {
        match self.crop {
            Some(side) if !(1..=MAX_CROP).contains(&side) => Err(PreparationError::Crop(side)),
            Some(side) if self.fit == Fit::Stretch => Err(PreparationError::StretchedCrop(side)),
            _ => Ok(()),
        }
    }

    /// The geometry for a picture of `width` by `height` pixels on a square of `size` by `size`.
    ///
    /// # Errors
    /// A message if the picture is empty, or smaller than the crop and not to be padded.
    pub fn frame(&self, [width, height]: [usize; 2], size: usize) -> Result<Placement, String> {
        if width == 0 || height == 0 {
            return Err("it has no pixels".to_owned());
        }
        let (shorter, longer) = (width.min(height), width.max(height));
        if let (Some(crop), Fit::Crop | Fit::Stretch) = (self.crop, self.fit)
            && shorter < crop
        {
            return Err(format!(
                "it is {width}x{height} pixels, smaller than the {crop}x{crop} that --crop takes; --fit pad fills what is \
                 missing with black"
            ));
        }
        if self.fit == Fit::Stretch && self.crop.is_none() {
            let part = SourceRect { left: 0.0, top: 0.0, width: width as f64, height: height as f64 };
            return Ok(Placement { part, inner: [size, size], at: [0, 0], square: part });
        }
        // Side of the square in pixels of the original; it may extend beyond the picture.
        let side = match (self.crop, self.fit) {
            (Some(crop), _) => crop,
            (None, Fit::Pad) => longer,
            (None, _) => shorter,
        };
        // Per axis: offset and size of the source, size and offset of the target.
        let place = |whole: usize| {
            let part = whole.min(side);
            let inner = ((part * size) as f64 / side as f64).round().max(1.0) as usize;
            let left = ((whole - part) / 2) as f64;
            (left, part as f64, inner, (size - inner) / 2, left - ((side - part) / 2) as f64)
        };
        let [(left, across, wide, x, from_left), (top, down, high, y, from_top)] = [width, height].map(place);
        let part = SourceRect { left, top, width: across, height: down };
        let square = SourceRect { left: from_left, top: from_top, width: side as f64, height: side as f64 };
        Ok(Placement { part, inner: [wide, high], at: [x, y], square })
    }
}

impl fmt::Display for Preparation {
    /// A short description: `center 108x108, resized by lanczos`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let padded = if self.fit == Fit::Pad { ", smaller ones padded with black" } else { "" };
        match (self.crop, self.fit) {
            (Some(side), _) => write!(f, "center {side}x{side}{padded}")?,
            (None, Fit::Crop) => f.write_str("center square")?,
            (None, Fit::Pad) => f.write_str("padded to a square with black")?,
            (None, Fit::Stretch) => f.write_str("stretched to a square")?,
        }
        write!(f, ", resized by {}", self.resize)?;
        match self.background {
            Background::WHITE => Ok(()),
            background => write!(f, ", transparency on {background}"),
        }
    }
}

/// The format of prepared pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PictureFormat {
    /// Width and height in pixels.
    pub size: usize,
    /// 1 (gray) or 3 (red, green, blue).
    pub channels: usize,
    /// Preparation.
    pub preparation: Preparation,
}

impl PictureFormat {
    /// `size` by `size` pixels with `channels` channels and the default preparation.
    pub fn new(size: usize, channels: usize) -> Self {
        Self { size, channels, preparation: Preparation::default() }
    }

    /// The format with another preparation, if given.
    ///
    /// # Errors
    /// [`PreparationError`] if its settings are inconsistent.
    pub fn prepared(self, other: Option<Preparation>) -> Result<Self, PreparationError> {
        let preparation = other.unwrap_or(self.preparation);
        preparation.check().map(|()| Self { preparation, ..self })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(preparation: Preparation, sides: [usize; 2], size: usize) -> ([f64; 4], [usize; 2], [usize; 2]) {
        let Placement { part: SourceRect { left, top, width, height }, inner, at, .. } =
            preparation.frame(sides, size).unwrap();
        ([left, top, width, height], inner, at)
    }

    #[test]
    fn each_fit_takes_its_part_of_wide_and_tall_pictures() {
        let fit = |fit| Preparation { fit, ..Preparation::default() };
        let (crop, pad, stretch) = (fit(Fit::Crop), fit(Fit::Pad), fit(Fit::Stretch));
        assert_eq!(placed(crop, [30, 20], 10), ([5.0, 0.0, 20.0, 20.0], [10, 10], [0, 0]));
        assert_eq!(placed(crop, [20, 31], 10), ([0.0, 5.0, 20.0, 20.0], [10, 10], [0, 0]));
        assert_eq!(placed(pad, [40, 20], 10), ([0.0, 0.0, 40.0, 20.0], [10, 5], [0, 2]));
        assert_eq!(placed(pad, [20, 40], 10), ([0.0, 0.0, 20.0, 40.0], [5, 10], [2, 0]));
        assert_eq!(placed(pad, [1000, 1], 10), ([0.0, 0.0, 1000.0, 1.0], [10, 1], [0, 4]), "a line stays a line");
        assert_eq!(placed(stretch, [40, 20], 10), ([0.0, 0.0, 40.0, 20.0], [10, 10], [0, 0]));
        // CelebA's aligned faces are 178 wide and 218 high.
        let celeba = Preparation { crop: Some(108), ..crop };
        assert_eq!(placed(celeba, [178, 218], 64), ([35.0, 55.0, 108.0, 108.0], [64, 64], [0, 0]));
    }

    #[test]
    fn a_picture_smaller_than_the_crop_is_padded_or_refused_with_its_size() {
        let crop = Preparation { crop: Some(20), ..Preparation::default() };
        let cause = crop.frame([30, 16], 10).unwrap_err();
        assert!(cause.contains("30x16") && cause.contains("20x20") && cause.contains("--fit pad"), "{cause}");
        let pad = Preparation { fit: Fit::Pad, ..crop };
        assert_eq!(placed(pad, [30, 16], 10), ([5.0, 0.0, 20.0, 16.0], [10, 8], [0, 1]));
        assert_eq!(placed(pad, [30, 20], 10), placed(crop, [30, 20], 10), "what is large enough is not padded");
        let SourceRect { left, top, width, height } = pad.frame([30, 16], 10).unwrap().square;
        assert_eq!([left, top, width, height], [5.0, -2.0, 20.0, 20.0], "the square reaches beyond the picture");
        assert_eq!(crop.frame([0, 9], 10).unwrap_err(), "it has no pixels");
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused_by_their_flags() {
        let with = |crop, fit| Preparation { crop, fit, ..Preparation::default() }.check();
        for crop in [0, MAX_CROP + 1] {
            assert!(with(Some(crop), Fit::Crop).unwrap_err().to_string().contains("--crop is 1 to 65535"));
        }
        let message = with(Some(108), Fit::Stretch).unwrap_err().to_string();
        assert!(message.contains("--fit stretch does not go with --crop 108"), "{message}");
        assert_eq!(with(Some(108), Fit::Pad), Ok(()));
        assert_eq!(with(None, Fit::Stretch), Ok(()));
    }
}
