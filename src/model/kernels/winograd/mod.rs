//! The convolutions by Winograd's products: a little more than half as many, between sums that cost next to nothing where maps
//! are many.

mod gather;
mod gradient;
mod product;
mod scheme;
mod weights;

pub use gradient::weight_gradient;
pub use product::{down, up};
pub use weights::{Weights, pack_down, pack_up};
