//! The background color for transparent pictures.

use std::fmt;
use std::str::FromStr;

/// Background for transparent pictures: `white`, `black`, `gray` or `#rrggbb`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Background([u8; 3]);

/// The text is not a color.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no background: give white, black, gray, or a color as #rrggbb, such as #ff8000")]
pub struct UnknownBackground(String);

impl Background {
    /// The default.
    pub const WHITE: Self = Self([255; 3]);
    /// For white drawings.
    pub const BLACK: Self = Self([0; 3]);
    /// Shows both white and black drawings.
    pub const GRAY: Self = Self([128; 3]);
    /// The named backgrounds.
    pub const NAMED: [Self; 3] = [Self::WHITE, Self::BLACK, Self::GRAY];

    /// A background of any color: red, green and blue.
    pub fn new(rgb: [u8; 3]) -> Self {
        Self(rgb)
    }

    /// Red, green and blue.
    pub fn rgb(self) -> [u8; 3] {
        self.0
    }

    /// When to choose it, for tool tips.
    pub fn about(self) -> &'static str {
        match self {
            Self::WHITE => "Transparent pictures are laid on white: right for dark drawings",
            Self::BLACK => "Transparent pictures are laid on black: right for white drawings",
            Self::GRAY => "Transparent pictures are laid on gray: dark and white drawings are both seen",
            _ => "Transparent pictures are laid on this color",
        }
    }
}

impl Default for Background {
    fn default() -> Self {
        Self::WHITE
    }
}

impl fmt::Display for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::WHITE => f.write_str("white"),
            Self::BLACK => f.write_str("black"),
            Self::GRAY => f.write_str("gray"),
            Self([red, green, blue]) => write!(f, "#{red:02x}{green:02x}{blue:02x}"),
        }
    }
}

impl FromStr for Background {
    type Err = UnknownBackground;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = |name: &str| Self::NAMED.into_iter().find(|color| color.to_string().eq_ignore_ascii_case(name));
        let found = match text.strip_prefix('#') {
            Some(digits) if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u32::from_str_radix(digits, 16).ok().map(|number| {
                    let [_, red, green, blue] = number.to_be_bytes();
                    Self([red, green, blue])
                })
            }
            Some(_) => None,
            None if text.eq_ignore_ascii_case("grey") => Some(Self::GRAY),
            None => named(text),
        };
        found.ok_or_else(|| UnknownBackground(text.to_owned()))
    }
}

impl TryFrom<String> for Background {
    type Error = UnknownBackground;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Background> for String {
    fn from(background: Background) -> Self {
        background.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_background_is_written_as_it_is_read() {
        for (text, rgb) in [("white", [255; 3]), ("black", [0; 3]), ("gray", [128; 3]), ("#0180ff", [1, 128, 255])] {
            let background: Background = text.parse().unwrap();
            assert_eq!((background.rgb(), background.to_string().as_str()), (rgb, text));
        }
        assert_eq!("#FFFFFF".parse(), Ok(Background::WHITE));
        assert_eq!("Grey".parse(), Ok(Background::GRAY));
        for text in ["", "#", "#12345", "#12345g", "#+12345", "pink", "0,0,0"] {
            let message = text.parse::<Background>().unwrap_err().to_string();
            assert!(message.contains("white, black, gray") && message.contains("#rrggbb"), "{message}");
        }
    }
}
