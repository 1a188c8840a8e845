//! Black and white points of pictures deeper than 8 bits.
//!
//! Cameras and microscopes store 10, 12 or 14 bits in 16-bit files. Scaled by the nominal white of the file, these
//! pictures would be nearly black. The values show the true range, and only those of a whole set do so reliably.

use std::fmt;

/// Sample type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Samples {
    /// Up to 8 bits.
    U8,
    /// 9 to 16 bits.
    U16,
    /// Signed 16 bits.
    I16,
    /// Floating point.
    F32,
}

impl fmt::Display for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::U8 => "8-bit",
            Self::U16 => "16-bit",
            Self::I16 => "signed 16-bit",
            Self::F32 => "floating point",
        })
    }
}

/// The values that map to black and white.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    /// Values up to this become black.
    pub black: f64,
    /// Values from this become white.
    pub white: f64,
}

impl Range {
    /// Full range of 8 bits.
    pub const BYTE: Self = Self { black: 0.0, white: 255.0 };
    /// Full range of 16 bits.
    pub const WORD: Self = Self { black: 0.0, white: 65535.0 };

    /// Whether it is a common range of floats: 0 to 1, -1 to 1, or 0 to 255.
    pub(crate) fn is_usual(&self) -> bool {
        [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)].contains(&(self.black, self.white))
    }

    /// Converts a value to a byte.
    pub fn byte(&self, value: f64) -> u8 {
        ((value - self.black) / (self.white - self.black) * 255.0).round() as u8
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (black) to {} (white)", self.black, self.white)
    }
}

/// The ranges of a set, one per sample type it contains; without one, each picture uses its own.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ranges {
    /// Of [`Samples::U16`].
    pub words: Option<Range>,
    /// Of [`Samples::I16`].
    pub signed: Option<Range>,
    /// Of [`Samples::F32`].
    pub floats: Option<Range>,
}

impl Ranges {
    /// The range for a sample type.
    pub fn of(&self, samples: Samples) -> Option<Range> {
        match samples {
            Samples::U8 => None,
            Samples::U16 => self.words,
            Samples::I16 => self.signed,
            Samples::F32 => self.floats,
        }
    }
}

/// Minimum and maximum of some values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub least: f64,
    pub most: f64,
}

impl Spread {
    pub const NONE: Self = Self { least: f64::INFINITY, most: f64::NEG_INFINITY };

    pub fn of(values: impl Iterator<Item = f64>) -> Self {
        values.fold(Self::NONE, |found, value| Self { least: found.least.min(value), most: found.most.max(value) })
    }

    pub fn and(self, other: Self) -> Self {
        Self { least: self.least.min(other.least), most: self.most.max(other.most) }
    }

    /// The range that fits these values.
    ///
    /// Unsigned integers: white is the maximum of the smallest of 8, 10, 12, 14 and 16 bits that holds them all.
    /// With negative values: black is the minimum and white the maximum. Floats: 0 to 1, -1 to 1 or 0 to 255 if
    /// they fit, otherwise as integers.
    pub fn range(self, samples: Samples) -> Range {
        let Self { least, most } = self;
        if samples == Samples::F32 {
            // With a margin: resizing and normalizing overshoot.
            let usual = [(-0.05, 1.05, 0.0, 1.0), (-1.1, 1.1, -1.0, 1.0), (-0.5, 255.5, 0.0, 255.0)];
            let fits = usual.into_iter().find(|&(from, to, ..)| least >= from && most <= to);
            if let Some((.., black, white)) = fits {
                return Range { black, white };
            }
        }
        let bits = [8, 10, 12, 14, 16].map(|bits| f64::from((1u32 << bits) - 1));
        match bits.into_iter().find(|&white| least >= 0.0 && most <= white) {
            Some(white) => Range { black: 0.0, white },
            None if most > least => Range { black: least, white: most },
            // A single value, or none.
            None if least.is_finite() => Range { black: least - 1.0, white: least },
            None => Range::WORD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_bits_that_hold_all_values_give_white() {
        let range = |samples, least, most| {
            let Range { black, white } = Spread { least, most }.range(samples);
            (black, white)
        };
        for (most, white) in [(0.0, 255.0), (255.0, 255.0), (256.0, 1023.0), (1000.0, 1023.0), (4095.0, 4095.0)] {
            assert_eq!(range(Samples::U16, 0.0, most), (0.0, white), "{most}");
            assert_eq!(range(Samples::I16, 0.0, most), (0.0, white), "{most}");
        }
        assert_eq!(range(Samples::U16, 7.0, 4096.0), (0.0, 16383.0));
        assert_eq!(range(Samples::U16, 7.0, 16384.0), (0.0, 65535.0));
        assert_eq!(range(Samples::I16, -1000.0, 3000.0), (-1000.0, 3000.0));
        assert_eq!(range(Samples::I16, -5.0, -5.0), (-6.0, -5.0));
        assert_eq!(range(Samples::F32, 0.0, 1.0), (0.0, 1.0));
        assert_eq!(range(Samples::F32, -1.0, 0.3), (-1.0, 1.0));
        assert_eq!(range(Samples::F32, 0.0, 200.0), (0.0, 255.0));
        assert_eq!(range(Samples::F32, 0.0, 4000.0), (0.0, 4095.0));
        assert_eq!(range(Samples::F32, -40.0, 8000.0), (-40.0, 8000.0));
    }

    #[test]
    fn values_beyond_the_range_are_black_or_white() {
        let range = Range { black: -100.0, white: 100.0 };
        assert_eq!([-200.0, -100.0, 0.0, 100.0, 1e9].map(|value| range.byte(value)), [0, 0, 128, 255, 255]);
    }
}
