//! What is told of another program's file: what was found in it, and what it leaves open and was guessed.

use std::fmt;

/// What a file leaves open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Guess {
    /// Where z is drawn from.
    Prior,
    /// The statistics that it samples with.
    Sampling,
    /// Slope of the generator's rectifiers.
    Rectifiers,
    /// What the generator ends in.
    Output,
    /// Which way round kernels are.
    Kernels,
    /// Strides, and with them the size of the pictures.
    Stride,
    /// How a class joins z.
    Labels,
    /// What is added to the variance in batch norm.
    Epsilon,
}

impl Guess {
    /// Whether a person chooses it when a model is read otherwise.
    pub(in crate::model) fn is_chosen(self) -> bool {
        !matches!(self, Self::Stride | Self::Labels | Self::Epsilon)
    }
}

/// A sentence about a file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "Written")]
pub struct Remark {
    /// For people.
    pub text: String,
    /// What was guessed, if it is a guess.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guess: Option<Guess>,
}

impl Remark {
    /// What was guessed of something that the file leaves open; the text says so.
    pub(super) fn guessed(guess: Guess, what: impl fmt::Display) -> Self {
        Self { text: format!("guessed: {what}"), guess: Some(guess) }
    }
}

impl From<String> for Remark {
    /// What was found.
    fn from(text: String) -> Self {
        Self { text, guess: None }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Remarks as files have them.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    /// Files that were written before guesses were marked have sentences alone.
    Text(String),
    Marked {
        text: String,
        #[serde(default)]
        guess: Option<Guess>,
    },
}

impl From<Written> for Remark {
    fn from(written: Written) -> Self {
        /// How guesses began in files of sentences alone.
        const BEGINNINGS: [(&str, Guess); 6] = [
            ("guessed: z has a", Guess::Prior),
            ("guessed: it samples with", Guess::Sampling),
            ("guessed: its rectifiers are", Guess::Rectifiers),
            ("guessed: pictures come out of", Guess::Output),
            ("guessed: its kernels are", Guess::Kernels),
            ("guessed: its ", Guess::Stride),
        ];
        match written {
            Written::Marked { text, guess } => Self { text, guess },
            Written::Text(text) => {
                let guess =
                    BEGINNINGS.iter().find(|(beginning, _)| text.starts_with(beginning)).map(|(_, guess)| *guess);
                Self { text, guess }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_are_marked_also_in_files_of_sentences_alone() {
        let marked = [
            Remark::guessed(Guess::Prior, "z has a normal prior"),
            Remark::guessed(
                Guess::Stride,
                "its 2x2 kernels have stride 2; they are kept as 4x4 with zeros around them",
            ),
            Remark::from("guessing was not needed".to_owned()),
        ];
        let json = serde_json::to_string(&marked).unwrap();
        assert_eq!(serde_json::from_str::<[Remark; 3]>(&json).unwrap(), marked);
        let sentences = serde_json::to_string(&marked.each_ref().map(|remark| &remark.text)).unwrap();
        assert_eq!(serde_json::from_str::<[Remark; 3]>(&sentences).unwrap(), marked);
    }
}
