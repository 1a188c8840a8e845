//! Packed weights, kept for as long as the weights they were packed of.
//!
//! Packing costs as much as drawing a picture or two. A generator that is explored draws thousands with the same weights,
//! and a training step passes the same weights several times.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::backend::flex::FlexTensor;
use burn::tensor::Bytes;

use super::convolution::{self, Algorithm, Packed, Shape, Way};

struct Entry {
    /// While this lives, its place in memory is no other's and its values do not change: whoever would write to them finds
    /// that they are not his alone.
    weights: Weak<Bytes>,
    way: Way,
    algorithm: Algorithm,
    /// What it was packed for; the batch and the sides of the maps do not matter.
    dims: [usize; 5],
    packed: Arc<Packed>,
}

static KEPT: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// The weights `[small, large, kernel, kernel]`, contiguous, packed for `way` and `algorithm`.
pub fn packed(shape: Shape, way: Way, algorithm: Algorithm, weights: &FlexTensor) -> Arc<Packed> {
    let values = weights.as_slice().expect("the weights are contiguous");
    let place = weights.data_arc();
    let dims = [shape.small, shape.large, shape.kernel, shape.stride, shape.before];
    let is = |entry: &Entry| {
        let kind = (entry.way, entry.algorithm, entry.dims);
        kind == (way, algorithm, dims) && std::ptr::eq(entry.weights.as_ptr(), Arc::as_ptr(&place))
    };
    // A view that begins within its memory has values of its own, and is packed anew each time.
    let whole = place.len() == size_of_val(values);
    let lock = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = lock().iter().find(|entry| whole && is(entry)) {
        return entry.packed.clone();
    }
    let packed = Arc::new(convolution::pack(shape, way, algorithm, values));
    let mut kept = lock();
    kept.retain(|entry| entry.weights.strong_count() > 0);
    if whole {
        kept.push(Entry { weights: Arc::downgrade(&place), way, algorithm, dims, packed: packed.clone() });
    }
    packed
}
