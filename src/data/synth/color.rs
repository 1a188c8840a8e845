//! Colors of synthetic pictures: mixing, lighting, and their form in truth.jsonl.

use serde::{Deserialize, Serialize};
use tiny_skia::Color;

/// An sRGB color, 0..=1 per channel; serialized as `#rrggbb`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Rgb(pub [f32; 3]);

/// The text is not of the form `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a color is written #rrggbb, not {0:?}")]
pub struct ColorError(String);

impl From<Rgb> for String {
    fn from(color: Rgb) -> Self {
        let [r, g, b] = color.0.map(|v| (v * 255.0).round().clamp(0.0, 255.0) as u8);
        format!("#{r:02x}{g:02x}{b:02x}")
    }
}

impl TryFrom<String> for Rgb {
    type Error = ColorError;

    fn try_from(text: String) -> Result<Self, ColorError> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(number) => Ok(Self::hex(number)),
            None => Err(ColorError(text)),
        }
    }
}

impl Rgb {
    /// White.
    pub const WHITE: Self = Self([1.0; 3]);
    /// Black.
    pub const BLACK: Self = Self([0.0; 3]);

    /// A color from 0xrrggbb.
    pub const fn hex(number: u32) -> Self {
        Self([
            ((number >> 16) & 255) as f32 / 255.0,
            ((number >> 8) & 255) as f32 / 255.0,
            (number & 255) as f32 / 255.0,
        ])
    }

    /// Mixes with another color: 0 gives this one, 1 the other.
    pub fn mix(self, other: Self, share: f32) -> Self {
        Self(std::array::from_fn(|c| self.0[c] + (other.0[c] - self.0[c]) * share))
    }

    /// Multiplies each channel with that of a light.
    pub fn under(self, light: Self) -> Self {
        Self(std::array::from_fn(|c| (self.0[c] * light.0[c]).clamp(0.0, 1.0)))
    }

    /// Brightens (above 1) toward white or darkens (below 1) toward a cool black, which keeps shadows clean.
    pub fn lit(self, amount: f32) -> Self {
        if amount >= 1.0 {
            self.mix(Self::WHITE, (amount - 1.0).min(1.0))
        } else {
            self.mix(Self([0.055, 0.045, 0.085]), (1.0 - amount).min(1.0))
        }
    }

    /// Rounds to 8 bits per channel, so that a written color reads back equal.
    pub fn rounded(self) -> Self {
        Self(self.0.map(|v| (v.clamp(0.0, 1.0) * 255.0).round() / 255.0))
    }

    pub(super) fn paint(self, opacity: f32) -> Color {
        let [r, g, b] = self.0.map(|v| v.clamp(0.0, 1.0));
        Color::from_rgba(r, g, b, opacity.clamp(0.0, 1.0)).unwrap_or(Color::BLACK)
    }
}
