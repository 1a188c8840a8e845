//! Cache of packed weights; an entry lives as long as the weights it was packed from.
//!
//! Packing costs as much as one or two forward passes of a single image. Exploring a generator uses the same weights
//! thousands of times, and a training step uses them several times.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use burn::backend::flex::FlexTensor;
use burn::tensor::Bytes;

use super::convolution::{self, Algorithm, ConvDirection, ConvShape, PackedWeights};

struct CacheEntry {
    /// While this weak reference exists, the allocation is not reused and its values cannot change: a writer sees
    /// that it is shared and copies.
    weights: Weak<Bytes>,
    direction: ConvDirection,
    algorithm: Algorithm,
    /// small, large, kernel, stride, padding before. Batch and map size do not matter.
    dims: [usize; 5],
    packed: Arc<PackedWeights>,
}

static CACHE: Mutex<Vec<CacheEntry>> = Mutex::new(Vec::new());

/// Contiguous weights `[small, large, kernel, kernel]`, packed for `direction` and `algorithm`.
pub fn packed(
    shape: ConvShape,
    direction: ConvDirection,
    algorithm: Algorithm,
    weights: &FlexTensor,
) -> Arc<PackedWeights> {
    let values = weights.as_slice().expect("the weights are contiguous");
    let allocation = weights.data_arc();
    let dims = [shape.small, shape.large, shape.kernel, shape.stride, shape.before];
    let matches = |entry: &CacheEntry| {
        let kind = (entry.direction, entry.algorithm, entry.dims);
        kind == (direction, algorithm, dims) && std::ptr::eq(entry.weights.as_ptr(), Arc::as_ptr(&allocation))
    };
    // A view into a larger allocation cannot be identified by its address, so it is packed each time.
    let whole = allocation.len() == size_of_val(values);
    let lock = || CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(entry) = lock().iter().find(|entry| whole && matches(entry)) {
        return entry.packed.clone();
    }
    let packed = Arc::new(convolution::pack(shape, direction, algorithm, values));
    let mut cache = lock();
    cache.retain(|entry| entry.weights.strong_count() > 0);
    if whole {
        cache.push(CacheEntry {
            weights: Arc::downgrade(&allocation),
            direction,
            algorithm,
            dims,
            packed: packed.clone(),
        });
    }
    packed
}
