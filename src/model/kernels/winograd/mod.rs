//! Winograd convolutions: a half or a third of the multiplications, with transforms that cost little when there are
//! many channels.

mod gather;
mod gradient;
mod product;
mod scheme;
mod weights;

pub use gradient::weight_gradient;
pub use product::{down, up};
pub use weights::{WinogradWeights, pack_down, pack_up};

use super::shape::ConvShape;

/// Whether a scheme exists for the kernel: two or three taps per parity, or three taps at stride 1.
pub fn reaches(shape: ConvShape) -> bool {
    const REACHED: [(usize, usize, usize); 6] = [(3, 2, 0), (3, 2, 1), (4, 2, 1), (5, 2, 1), (5, 2, 2), (3, 1, 1)];
    REACHED.contains(&(shape.kernel, shape.stride, shape.before))
}
