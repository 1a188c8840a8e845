//! Latent space: sampling z, vector arithmetic, interpolation walks, directions, planes, and projecting photos into
//! it.
//!
//! [`sample_zs`] gives z's by seed and sample number, and [`generate_pictures`] the generator's pictures of them. A
//! [`session::Session`] holds everything that a user explores.

pub mod arithmetic;
mod arithmetic_figure;
pub mod boxes;
pub mod change;
pub mod directions;
mod feature_arithmetic;
pub mod plane;
pub mod project;
pub mod removal;
mod sampling;
pub mod session;
pub mod vector;
pub mod walk;

pub use feature_arithmetic::{feature_sum_tensor, generate_from_feature_sums};
pub(crate) use sampling::BATCH;
pub use sampling::{
    generate_pictures, generate_values, sample_z, sample_z_tensor, sample_zs, training_z_tensor, z_tensor,
};
