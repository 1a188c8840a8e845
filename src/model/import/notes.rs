//! Import notes: what was found in another program's file, and which settings were inferred because the file does not
//! store them.

use std::fmt;

/// A setting that imported files do not store, so that it is inferred.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InferredSetting {
    /// Distribution of z.
    Prior,
    /// Batch-norm statistics used when sampling.
    Sampling,
    /// Negative slope of the generator's activations.
    Rectifiers,
    /// The generator's output activation.
    Output,
    /// Whether kernels are rotated by 180 degrees.
    Kernels,
    /// Strides, and with them the image size.
    Stride,
    /// How the class embedding is combined with z.
    Labels,
    /// Epsilon of batch norm.
    Epsilon,
}

impl InferredSetting {
    /// Whether it belongs to the [`ImportSettings`](crate::model::ImportSettings), so that changing these replaces it.
    pub(in crate::model) fn is_import_setting(self) -> bool {
        !matches!(self, Self::Stride | Self::Labels | Self::Epsilon)
    }
}

/// A note about an imported file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(from = "StoredNote")]
pub struct ImportNote {
    /// The sentence to display.
    pub text: String,
    /// The inferred setting, if the note is about one.
    #[serde(rename = "guess", skip_serializing_if = "Option::is_none")]
    pub inferred: Option<InferredSetting>,
}

impl ImportNote {
    /// A note about an inferred setting.
    pub(super) fn inferred(setting: InferredSetting, text: impl fmt::Display) -> Self {
        Self { text: format!("guessed: {text}"), inferred: Some(setting) }
    }
}

impl From<String> for ImportNote {
    /// A note about a fact.
    fn from(text: String) -> Self {
        Self { text, inferred: None }
    }
}

impl fmt::Display for ImportNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A note as files store it.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum StoredNote {
    /// Older files have the sentence only.
    Text(String),
    Tagged {
        text: String,
        #[serde(default, rename = "guess")]
        inferred: Option<InferredSetting>,
    },
}

impl From<StoredNote> for ImportNote {
    fn from(stored: StoredNote) -> Self {
        /// Beginnings of the sentences about inferred settings in older files.
        const PREFIXES: [(&str, InferredSetting); 6] = [
            ("guessed: z has a", InferredSetting::Prior),
            ("guessed: it samples with", InferredSetting::Sampling),
            ("guessed: its rectifiers are", InferredSetting::Rectifiers),
            ("guessed: pictures come out of", InferredSetting::Output),
            ("guessed: its kernels are", InferredSetting::Kernels),
            ("guessed: its ", InferredSetting::Stride),
        ];
        match stored {
            StoredNote::Tagged { text, inferred } => Self { text, inferred },
            StoredNote::Text(text) => {
                let prefix = PREFIXES.iter().find(|(prefix, _)| text.starts_with(prefix));
                Self { inferred: prefix.map(|(_, setting)| *setting), text }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inferred_settings_are_recognized_in_older_files_too() {
        let notes = [
            ImportNote::inferred(InferredSetting::Prior, "z has a normal prior"),
            ImportNote::inferred(
                InferredSetting::Stride,
                "its 2x2 kernels have stride 2; they are kept as 4x4 with zeros around them",
            ),
            ImportNote::from("guessing was not needed".to_owned()),
        ];
        let json = serde_json::to_string(&notes).unwrap();
        assert_eq!(serde_json::from_str::<[ImportNote; 3]>(&json).unwrap(), notes);
        let sentences = serde_json::to_string(&notes.each_ref().map(|remark| &remark.text)).unwrap();
        assert_eq!(serde_json::from_str::<[ImportNote; 3]>(&sentences).unwrap(), notes);
    }
}
