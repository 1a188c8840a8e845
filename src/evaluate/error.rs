//! [`EvaluationError`]: why a metric cannot be measured.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::device::ComputeError;
use crate::model::{Discriminator, InceptionError, Model, ModelError};
use crate::progress::Cancelled;

/// Why a metric cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluationError {
    /// The images cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model cannot be opened.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The Inception network cannot be opened.
    #[error(transparent)]
    Inception(#[from] InceptionError),
    /// The device failed.
    #[error(transparent)]
    Draw(#[from] ComputeError),
    /// The caller cancelled it.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The features are the discriminator's, and the file holds a generator only.
    #[error(
        "{path} has no discriminator, which these features need: it is a bundled model, or was written with \
         --generator-only; give a run folder or a complete model"
    )]
    NoDiscriminator {
        /// The model's file.
        path: PathBuf,
    },
    /// The data set has no classes.
    #[error("{source_name} has no classes; give a folder or an archive with one subfolder per class, at least two")]
    NoClasses {
        /// The data set.
        source_name: String,
    },
    /// The test set has a class that the training set does not have.
    #[error(
        "{source_name} has a class \"{class}\", which the training images do not have ({known}); use two splits of the same data set"
    )]
    UnknownClass {
        /// The test set.
        source_name: String,
        /// The class.
        class: String,
        /// The classes of the training set.
        known: String,
    },
    /// There are too few images.
    #[error("{source_name} has {have} usable pictures{}; at least {need} are needed; {hint}", of_class(class.as_ref()))]
    TooFew {
        /// The data set.
        source_name: String,
        /// The class with too few, if it is about one class.
        class: Option<String>,
        /// Usable images.
        have: usize,
        /// The least number.
        need: usize,
        /// What to do.
        hint: &'static str,
    },
    /// The feature table would exceed its memory limit.
    #[error(
        "the features of {rows} pictures ({width} each) take {:.1} GiB, and the limit is {limit} GiB; use fewer pictures (--count) \
         or raise the limit (--memory)",
        gib(*rows, *width)
    )]
    TooLarge {
        /// Images.
        rows: usize,
        /// Features per image.
        width: usize,
        /// The limit in GiB.
        limit: f64,
    },
}

fn of_class(class: Option<&String>) -> String {
    class.map(|class| format!(" of class {class}")).unwrap_or_default()
}

/// Size in GiB of a table of `f32`.
pub(super) fn gib(rows: usize, width: usize) -> f64 {
    (rows * width * size_of::<f32>()) as f64 / f64::from(1u32 << 30)
}

/// The discriminator of a model that was opened from `path`.
///
/// # Errors
/// [`EvaluationError::NoDiscriminator`].
pub(crate) fn require_discriminator<'a>(model: &'a Model, path: &Path) -> Result<&'a Discriminator, EvaluationError> {
    model.discriminator.as_ref().ok_or_else(|| EvaluationError::NoDiscriminator { path: path.to_owned() })
}
