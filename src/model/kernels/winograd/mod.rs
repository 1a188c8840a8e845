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

use super::shape::Shape;

/// Whether the schemes have such a filter: two or three taps of each parity, or a kernel of three taps of stride 1.
pub fn reaches(shape: Shape) -> bool {
    const REACHED: [(usize, usize, usize); 6] = [(3, 2, 0), (3, 2, 1), (4, 2, 1), (5, 2, 1), (5, 2, 2), (3, 1, 1)];
    REACHED.contains(&(shape.kernel, shape.stride, shape.before))
}
