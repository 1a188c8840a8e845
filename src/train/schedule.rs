//! The order of updates of the two networks.

use std::fmt;
use std::str::FromStr;

/// The order of the networks' updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// Each step updates the discriminator once, then the generator this many times.
    Generator(usize),
    /// Each step updates one network, in turn; step 1 the discriminator.
    Alternate,
    /// Each step updates one network, in turn; step 1 the generator. This is the authors' face code, whose updates
    /// count from 0 and are the generator's if `n_updates % (k + 1) == 0`.
    AlternateGeneratorFirst,
}

/// Most generator updates per step. Published numbers are 1 and 2; many more would make a step so long that the
/// window shows no progress.
pub const MAX_UPDATES: usize = 100;

impl Schedule {
    /// The syntax that [`FromStr`] accepts.
    pub(super) const SYNTAX: &str =
        "a number of generator updates from 1 to 100, alternate, or alternate-generator-first";
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Generator(times) => write!(f, "{times}"),
            Self::Alternate => f.write_str("alternate"),
            Self::AlternateGeneratorFirst => f.write_str("alternate-generator-first"),
        }
    }
}

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(times) if (1..=MAX_UPDATES).contains(&times) => Ok(Self::Generator(times)),
            Err(_) if text == "alternate" => Ok(Self::Alternate),
            Err(_) if text == "alternate-generator-first" => Ok(Self::AlternateGeneratorFirst),
            _ => Err(format!("expected {}", Self::SYNTAX)),
        }
    }
}
