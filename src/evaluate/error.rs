//! What may keep a measure from being taken.

use std::path::{Path, PathBuf};

use crate::data::DataError;
use crate::latent::DrawError;
use crate::model::{Discriminator, InceptionError, Model, ModelError};
use crate::progress::Cancelled;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// The pictures cannot be had.
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
    Draw(#[from] DrawError),
    /// The caller cancelled it.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
    /// The features are the discriminator's, and there is none.
    #[error(
        "{path} holds a generator only (as bundled models do, and files made with --generator-only), and these features are \
         the discriminator's; name a run folder, or a model that was kept whole"
    )]
    NoDiscriminator {
        /// The model.
        path: PathBuf,
    },
    /// The pictures have no classes.
    #[error(
        "{source_name} has no classes; give a folder or an archive whose sub-folders are the classes, two at least"
    )]
    NoClasses {
        /// The pictures' source.
        source_name: String,
    },
    /// The test pictures have classes that nothing was learnt about.
    #[error(
        "{source_name} has a class called {class}, which the training pictures have not ({known}); use parts of one set"
    )]
    UnknownClass {
        /// The test pictures' source.
        source_name: String,
        /// The class.
        class: String,
        /// What the training pictures have.
        known: String,
    },
    /// Too few pictures.
    #[error("{source_name} has {have} usable pictures{}, and {need} are needed; {hint}", of_class(class.as_ref()))]
    TooFew {
        /// The pictures' source.
        source_name: String,
        /// Of this class, where that matters.
        class: Option<String>,
        /// How many there are.
        have: usize,
        /// How many there should be.
        need: usize,
        /// What to do.
        hint: &'static str,
    },
    /// The features would not fit into the memory that they may have.
    #[error(
        "{rows} pictures of {width} features are {:.1} GiB, and {limit} GiB are allowed; take fewer pictures (--count), or allow \
         more (--memory)",
        gib(*rows, *width)
    )]
    TooLarge {
        /// Pictures.
        rows: usize,
        /// Features of each.
        width: usize,
        /// GiB allowed.
        limit: f64,
    },
}

fn of_class(class: Option<&String>) -> String {
    class.map(|class| format!(" of class {class}")).unwrap_or_default()
}

/// The size of a table of `f32`.
pub(super) fn gib(rows: usize, width: usize) -> f64 {
    (rows * width * size_of::<f32>()) as f64 / f64::from(1u32 << 30)
}

/// The discriminator of a model, opened from `path`, that must have one.
///
/// # Errors
/// [`MeasureError::NoDiscriminator`].
pub(crate) fn judging<'a>(model: &'a Model, path: &Path) -> Result<&'a Discriminator, MeasureError> {
    model.discriminator.as_ref().ok_or_else(|| MeasureError::NoDiscriminator { path: path.to_owned() })
}
