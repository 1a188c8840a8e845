//! What decoding did to a picture.

use super::{Picture, Range, Samples};

/// What was done to a picture between its file and its use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Treatment {
    /// Size of the whole upright picture.
    pub full: [usize; 2],
    /// 1 (gray) or 3 (color), as in the file.
    pub channels: usize,
    /// Sample type.
    pub samples: Samples,
    /// Range that was mapped to black and white, for files deeper than 8 bits.
    pub range: Option<Range>,
    /// Whether it has an alpha channel or a transparent color.
    pub alpha: bool,
    /// Whether any pixel was not fully opaque, so that the background shows.
    pub flattened: bool,
    /// Whether it was turned or mirrored because of its metadata (EXIF, XMP).
    pub turned: bool,
    /// Fraction of the area that was cropped.
    pub cropped: f64,
    /// Whether it was enlarged in either direction.
    pub enlarged: bool,
}

impl Treatment {
    /// A picture that was only read.
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

    /// Notes for the user about a single picture.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if let Some(range) = self.range {
            remarks.push(format!("its {} values are taken as {range}, by this picture alone", self.samples));
        }
        if self.flattened {
            remarks.push("its transparent parts are laid on the background".to_owned());
        }
        if self.turned {
            remarks.push("it was turned upright, as its notes (EXIF or XMP) say".to_owned());
        }
        if self.cropped > 0.0 {
            remarks.push(format!("{:.0} % of its area was cut away", self.cropped * 100.0));
        }
        if self.enlarged {
            let [width, height] = self.full;
            remarks.push(format!("it was enlarged from {width}x{height} pixels"));
        }
        remarks
    }
}
