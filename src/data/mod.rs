//! Pictures in: where they come from, how they are cut to size, and how they reach the trainer as batches.

mod compare;
mod dataset;
mod depth;
mod formats;
mod left_out;
mod loader;
mod place;
mod prepare;
mod report;
mod resize;
mod skip;
mod source;
pub mod synth;
mod test_split;

pub use compare::{Compared, compare, figure};
pub use dataset::{Dataset, Problem, peek};
pub use formats::{ClassesFrom, FILE_ENDINGS};
pub use left_out::{LeftOut, Reason};
pub use loader::{Batch, Loader, Place, mirrors};
pub use place::{absolute, same_place};
pub(crate) use prepare::fit;
pub use prepare::{UnusablePicture, read_examined, read_fitted, to_channels};
pub use report::{Classes, Cropped, Report};
pub use skip::{Listed, read_skipped, write_list};
pub use source::{DataError, Source};
pub use test_split::find_test_split;
