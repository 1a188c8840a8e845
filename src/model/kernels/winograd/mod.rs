//! The convolutions by Winograd's products: half as many, or a third, between sums that cost next to nothing where maps are
//! many.

mod gather;
mod gradient;
mod product;
mod scheme;
mod weights;

pub use gradient::weight_gradient;
pub use product::{down, up};
pub use weights::{Weights, pack_down, pack_up};
