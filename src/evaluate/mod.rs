//! Evaluation of GANs: FID, KID, sliced Wasserstein distance, precision and recall, nearest neighbors, linear probes, duplicates.
//!
//! Images become rows of a [`FeatureTable`] with [`features::FeatureExtractor`]; the metrics compare rows:
//! - [`probe`]: accuracy of a linear classifier on the discriminator's features (the DCGAN paper, section 5)
//! - [`neighbors`] and [`birthday`]: memorization and mode collapse (sections 4.1 and 6.1)
//! - [`reference_set`]: a generator's distance to a real set, with the metrics of [`distances`] and [`fid`]
//! - [`hash`] and [`dedup`]: near-duplicates in a data set (section 4.1)
//! - [`faces`]: vector arithmetic and the turn vector, on models of rendered faces whose attributes are known (section 6.3.2)

pub mod birthday;
mod confusion;
pub mod curves;
pub mod dedup;
pub mod diagnosis;
pub mod distances;
mod error;
pub mod faces;
pub mod features;
pub mod fid;
pub mod hash;
mod labeled;
pub mod neighbors;
mod penalty;
pub mod probe;
pub mod reference_set;
mod shuffled_set;
mod similarity;
mod split;
pub mod statistics;
mod supervised;
mod svm;
mod table;

pub use confusion::ConfusionMatrix;
pub use error::EvaluationError;
pub(crate) use error::require_discriminator;
pub use labeled::LabeledSet;
pub use shuffled_set::ShuffledSet;
pub use svm::Svm;
pub use table::FeatureTable;
