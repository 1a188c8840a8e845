//! The quality of a reconstruction: its edge error on a scale from the model's own samples to its average picture.

/// The relative error up to which a picture counts as reproduced. It separates pictures that two models can and
/// cannot reproduce: 93 of 96 and 126 of 126 are classified correctly (docs/MEASURES.md).
pub const REPRODUCIBLE_LIMIT: f32 = 0.9;
/// The relative error up to which the reconstruction counts as being as good as those of own samples. In
/// docs/MEASURES.md their median is at most 0.06.
const FAITHFUL_LIMIT: f32 = 0.25;

/// Edge errors that the error of a reconstruction is compared with: 0 is perfect, about 1 means unrelated.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct ReferenceErrors {
    /// The median error of the model's own samples, projected by the same search.
    #[serde(rename = "own")]
    pub own_samples: f32,
    /// The error of the model's average picture; at most 1, the error of a picture without edges.
    #[serde(rename = "average")]
    pub average_picture: f32,
    /// The error of a blurred copy of the picture.
    #[serde(rename = "blurred")]
    pub blurred_copy: f32,
}

/// The state of a projection.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectionProgress {
    /// The number of steps taken.
    pub step: usize,
    /// The total number of steps.
    pub steps: usize,
    /// The best z so far.
    pub z: Vec<f32>,
    /// The root mean square pixel error of its picture, in [0, 2].
    pub rmse: f32,
    /// The median root mean square distance from a sample to the nearest other one, for comparison.
    pub nearest_sample_rmse: f32,
    /// The edge error of its picture.
    pub edge_error: f32,
    /// The errors to compare it with.
    pub references: ReferenceErrors,
}

/// How well a model reproduces a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum ReconstructionQuality {
    /// As well as its own samples.
    #[serde(rename = "drawn")]
    Faithful,
    /// Recognizably, but not in every detail.
    #[serde(rename = "resembled")]
    Approximate,
    /// Not at all.
    #[serde(rename = "not")]
    Failed,
}

impl ReconstructionQuality {
    /// The quality in words.
    pub fn description(self) -> &'static str {
        match self {
            Self::Faithful => "the model can draw it",
            Self::Approximate => "the model can draw it, but not every detail",
            Self::Failed => "the model cannot draw this picture",
        }
    }
}

impl ProjectionProgress {
    /// The edge error on a scale from the model's own samples (0) to its average picture (1).
    pub fn relative_error(&self) -> f32 {
        let span = (self.references.average_picture - self.references.own_samples).max(0.1);
        ((self.edge_error - self.references.own_samples) / span).max(0.0)
    }

    /// The relative error as a percentage.
    pub fn relative_error_percent(&self) -> String {
        match self.relative_error() * 100.0 {
            percent if percent > 200.0 => "more than 200 %".to_owned(),
            percent => format!("{percent:.0} %"),
        }
    }

    /// How well the model reproduces the picture.
    pub fn quality(&self) -> ReconstructionQuality {
        match self.relative_error() {
            error if error <= FAITHFUL_LIMIT => ReconstructionQuality::Faithful,
            error if error <= REPRODUCIBLE_LIMIT => ReconstructionQuality::Approximate,
            _ => ReconstructionQuality::Failed,
        }
    }

    /// Whether the model reproduces the picture at least approximately.
    pub fn is_reproducible(&self) -> bool {
        self.quality() != ReconstructionQuality::Failed
    }
}
