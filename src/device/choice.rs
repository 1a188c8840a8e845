//! The choice of a device, as `--device` and the window take it.

use std::fmt;
use std::str::FromStr;

/// A choice of device. Parses from and displays as `auto`, `cpu`, `gpu`, `gpu:1`, or part of a card's name.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The best graphics card, or the CPU if there is none.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The best graphics card; an error if there is none.
    Gpu,
    /// The graphics card with this number in the list of `zscape doctor`.
    Card(usize),
    /// The graphics card whose name contains this text.
    Named(String),
}

/// The text does not name a device.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a device: use auto, cpu, gpu, gpu:1 for a card by its number, or part of a card's name")]
pub struct DeviceChoiceError {
    text: String,
}

impl FromStr for DeviceChoice {
    type Err = DeviceChoiceError;

    fn from_str(text: &str) -> Result<Self, DeviceChoiceError> {
        let invalid = || DeviceChoiceError { text: text.to_owned() };
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "" => Err(invalid()),
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            lower => match lower.strip_prefix("gpu:") {
                Some(number) => number.trim().parse().map(Self::Card).map_err(|_error| invalid()),
                None => Ok(Self::Named(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Gpu => f.write_str("gpu"),
            Self::Card(number) => write!(f, "gpu:{number}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceChoiceError;

    fn try_from(text: String) -> Result<Self, DeviceChoiceError> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> Self {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_parse_and_survive_a_round_trip() {
        for (text, choice) in [
            ("auto", DeviceChoice::Auto),
            ("CPU", DeviceChoice::Cpu),
            ("gpu", DeviceChoice::Gpu),
            ("gpu:1", DeviceChoice::Card(1)),
            ("RTX 4090", DeviceChoice::Named("RTX 4090".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(choice.clone()));
            assert_eq!(choice.to_string().parse(), Ok(choice), "{text} survives a round trip");
        }
        for text in ["", " ", "gpu:", "gpu:x", "gpu:-1"] {
            let error = text.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains("gpu:1"), "{error}");
        }
        let choice: DeviceChoice = serde_json::from_str("\"gpu:2\"").unwrap();
        assert_eq!(
            (choice.clone(), serde_json::to_string(&choice).unwrap()),
            (DeviceChoice::Card(2), "\"gpu:2\"".to_owned())
        );
    }
}
