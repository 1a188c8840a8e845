//! Z: where pictures come from.

mod gallery;

pub use gallery::{draw, numbered, training};
