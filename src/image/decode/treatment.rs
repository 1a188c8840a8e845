//! What was done to a picture on its way from the file.

use super::{Picture, Range, Samples};

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

    /// What a person should know of one picture that was read by itself.
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
