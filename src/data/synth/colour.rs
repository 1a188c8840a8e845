//! Colours of the drawings: mixing, lighting, and their form in truth.jsonl.

use serde::{Deserialize, Serialize};
use tiny_skia::Color;

/// An sRGB colour, 0..=1 each; written as `#rrggbb`, which every other program can read.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rgb(pub [f32; 3]);

/// A colour that is not written as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a colour is written #rrggbb, not {0:?}")]
pub struct ColourError(String);

impl From<Rgb> for String {
    fn from(colour: Rgb) -> Self {
        let [r, g, b] = colour.0.map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8);
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

impl TryFrom<String> for Rgb {
    type Error = ColourError;

    fn try_from(text: String) -> Result<Self, ColourError> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(number) => Ok(Self::hex(number)),
            None => Err(ColourError(text)),
        }
    }
}

impl Rgb {
    /// White.
    pub const WHITE: Self = Self([1.0; 3]);
    /// Black.
    pub const BLACK: Self = Self([0.0; 3]);

    /// A colour from 0xrrggbb.
    pub const fn hex(number: u32) -> Self {
        Self([
            ((number >> 16) & 255) as f32 / 255.0,
            ((number >> 8) & 255) as f32 / 255.0,
            (number & 255) as f32 / 255.0,
        ])
    }

    /// This colour, `share` of the way to another.
    pub fn mix(self, other: Self, share: f32) -> Self {
        Self(std::array::from_fn(|c| self.0[c] + (other.0[c] - self.0[c]) * share))
    }

    /// Each channel times that of a light.
    pub fn under(self, light: Self) -> Self {
        Self(std::array::from_fn(|c| (self.0[c] * light.0[c]).clamp(0.0, 1.0)))
    }

    /// Brighter (above 1) or darker (below 1), towards white and towards a cool black, which keeps shadows clean.
    pub fn lit(self, amount: f32) -> Self {
        if amount >= 1.0 {
            self.mix(Self::WHITE, (amount - 1.0).min(1.0))
        } else {
            self.mix(Self([0.055, 0.045, 0.085]), (1.0 - amount).min(1.0))
        }
    }

    /// The nearest colour of 8 bits a channel: what is written reads back equal.
    pub fn rounded(self) -> Self {
        Self(self.0.map(|v| (v.clamp(0.0, 1.0) * 255.0).round() / 255.0))
    }

    pub(super) fn paint(self, opacity: f32) -> Color {
        let [r, g, b] = self.0.map(|v| v.clamp(0.0, 1.0));
        Color::from_rgba(r, g, b, opacity.clamp(0.0, 1.0)).unwrap_or(Color::BLACK)
    }
}
