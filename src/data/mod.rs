//! Training images: open a data set, prepare its pictures, and hand them to the trainer as batches.
//!
//! A [`Source`] names a folder, an archive, a data set's own file or a synthetic scene. [`Dataset::open`] indexes it,
//! a [`Loader`] decodes and shuffles batches ahead of the trainer, and a [`DatasetReport`] summarizes what was skipped
//! and how the pictures were changed.

mod bit_depth;
mod cache;
mod comparison;
mod dataset;
mod error;
mod formats;
mod loader;
mod prepare;
mod report;
mod resize;
mod skip_list;
mod skipped;
mod source;
pub mod synth;
mod test_split;

pub use comparison::{BeforeAfter, compare_preparation, comparison_figure};
pub use dataset::{Dataset, preview_pictures};
pub use error::{DataError, Problem};
pub use formats::ClassSource;
pub use loader::{Batch, DataPosition, Loader, mirrors};
pub(crate) use prepare::fit;
pub use prepare::{UnusablePicture, read_prepared, read_with_treatment, to_channels};
pub use report::{ClassSummary, CropStats, DatasetReport};
pub use skip_list::{DuplicateRow, read_skip_list, write_duplicate_list};
pub use skipped::{SkipReason, SkippedGroup};
pub use source::Source;
pub use test_split::find_test_split;
