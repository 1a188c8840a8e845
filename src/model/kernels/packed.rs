//! Packed weights, kept for as long as the weights they were packed of.
//!
//! Packing costs as much as drawing a picture or two. A generator that is explored draws thousands with the same weights,
//! and a training step passes the same weights several times.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::backend::flex::FlexTensor;
use burn::tensor::Bytes;

use super::convolution::{self, Part, Shape};

/// Which of the two convolutions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Down,
    Up,
}

struct Entry {
    /// While this lives, its place in memory is no other's and its values do not change: whoever would write to them finds
    /// that they are not his alone.
    weights: Weak<Bytes>,
    way: Way,
    dims: [usize; 3],
    parts: Arc<Vec<Part>>,
}

static KEPT: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// The weights `[small, large, kernel, kernel]`, contiguous, packed for `way`.
pub fn packed(shape: Shape, way: Way, weights: &FlexTensor) -> Arc<Vec<Part>> {
    let values = weights.as_slice().expect("the weights are contiguous");
    let place = weights.data_arc();
    let dims = [shape.small, shape.large, shape.kernel];
    let is = |entry: &Entry| {
        entry.way == way && entry.dims == dims && std::ptr::eq(entry.weights.as_ptr(), Arc::as_ptr(&place))
    };
    // A view that begins within its memory has values of its own, and is packed anew each time.
    let whole = place.len() == size_of_val(values);
    let lock = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = lock().iter().find(|entry| whole && is(entry)) {
        return entry.parts.clone();
    }
    let parts = Arc::new(match way {
        Way::Down => convolution::pack_down(shape, values),
        Way::Up => convolution::pack_up(shape, values),
    });
    let mut kept = lock();
    kept.retain(|entry| entry.weights.strong_count() > 0);
    if whole {
        kept.push(Entry { weights: Arc::downgrade(&place), way, dims, parts: parts.clone() });
    }
    parts
}
