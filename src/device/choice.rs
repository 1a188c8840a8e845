//! What a person asks for with `--device`, or chooses in the window.

use std::fmt;
use std::str::FromStr;

/// Where to compute.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Choice {
    /// The best graphics card, or the CPU where there is none.
    #[default]
    Auto,
    /// The CPU, whatever the machine has.
    Cpu,
    /// The best graphics card, or an error that says what is missing.
    Gpu,
    /// The graphics card that `zscape doctor` lists with this number.
    Card(usize),
    /// The graphics card with this in its name.
    Named(String),
}

/// A text that names no device.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no device: use auto, cpu, gpu, gpu:1 for a card by its number, or part of a card's name")]
pub struct ChoiceError {
    text: String,
}

impl FromStr for Choice {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Self, ChoiceError> {
        let wrong = || ChoiceError { text: text.to_owned() };
        let text = text.trim();
        match text.to_ascii_lowercase().as_str() {
            "" => Err(wrong()),
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "gpu" => Ok(Self::Gpu),
            lower => match lower.strip_prefix("gpu:") {
                Some(number) => number.trim().parse().map(Self::Card).map_err(|_| wrong()),
                None => Ok(Self::Named(text.to_owned())),
            },
        }
    }
}

impl fmt::Display for Choice {
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

impl TryFrom<String> for Choice {
    type Error = ChoiceError;

    fn try_from(text: String) -> Result<Self, ChoiceError> {
        text.parse()
    }
}

impl From<Choice> for String {
    fn from(choice: Choice) -> Self {
        choice.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_a_word_a_number_or_part_of_a_name() {
        for (text, choice) in [
            ("auto", Choice::Auto),
            ("CPU", Choice::Cpu),
            ("gpu", Choice::Gpu),
            ("gpu:1", Choice::Card(1)),
            ("RTX 4090", Choice::Named("RTX 4090".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(choice.clone()));
            assert_eq!(choice.to_string().parse(), Ok(choice), "{text} survives being written");
        }
        for text in ["", " ", "gpu:", "gpu:x", "gpu:-1"] {
            let error = text.parse::<Choice>().unwrap_err().to_string();
            assert!(error.contains("gpu:1"), "{error}");
        }
        let kept: Choice = serde_json::from_str("\"gpu:2\"").unwrap();
        assert_eq!((kept.clone(), serde_json::to_string(&kept).unwrap()), (Choice::Card(2), "\"gpu:2\"".to_owned()));
    }
}
