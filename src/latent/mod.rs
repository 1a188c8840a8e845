//! Z: where pictures come from, and the ways through it.

pub mod arithmetic;
pub mod boxes;
pub mod directions;
mod draw;
mod fidelity;
mod gallery;
mod maps;
pub mod plane;
pub mod project;
pub mod session;
pub mod vector;
pub mod walk;

pub(crate) use draw::{BATCH, read, unpacked};
pub use draw::{DrawError, pictures, tensor, values};
pub use gallery::{draw, numbered, samples, training};
pub use maps::{drawn_in_maps, in_maps};
