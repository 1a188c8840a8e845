//! Output buffers and per-thread scratch space.

use std::cell::Cell;

use rayon::prelude::*;

/// Values cleared per task, and the minimum number of tasks for which clearing in parallel pays.
const PART: usize = 1024;
const PARTS: usize = 32;

/// A vector of `length` zeros. The system maps and clears fresh pages on first touch, which takes longer than a
/// kernel takes to fill them, so all cores do it.
pub fn zeros(length: usize) -> Vec<f32> {
    if length < PARTS * PART {
        return vec![0.0; length];
    }
    let parts = (0..length.div_ceil(PART)).into_par_iter().with_min_len(PARTS / 2).map(|_| [0.0f32; PART]);
    let mut zeros = parts.collect::<Vec<_>>().into_flattened();
    zeros.truncate(length);
    zeros
}

/// Two scratch buffers that a thread reuses. Their contents are unspecified.
pub type Scratch = [Vec<f32>; 2];

thread_local! {
    static KEPT: Cell<Scratch> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Lends this thread's scratch buffers to `task`, which avoids allocating and clearing memory each time.
pub fn with_scratch<T>(task: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut scratch = KEPT.take();
    let done = task(&mut scratch);
    KEPT.set(scratch);
    done
}

/// The first `length` values of a buffer, grown if necessary.
pub fn at_least(row: &mut Vec<f32>, length: usize) -> &mut [f32] {
    if row.len() < length {
        row.resize(length, 0.0);
    }
    &mut row[..length]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_so_many_of_them() {
        for length in [0, 1, PART, PARTS * PART - 1, PARTS * PART, 99 * PART + 7] {
            let zeros = zeros(length);
            assert_eq!(zeros.len(), length);
            assert!(zeros.iter().all(|&zero| zero == 0.0));
        }
    }

    #[test]
    fn a_thread_keeps_its_rows() {
        with_scratch(|[row, _]| at_least(row, 5).fill(2.0));
        with_scratch(|[row, other]| {
            assert_eq!(at_least(row, 7), [2.0, 2.0, 2.0, 2.0, 2.0, 0.0, 0.0]);
            assert_eq!(at_least(row, 3), [2.0; 3]);
            // A nested task has its own buffers.
            with_scratch(|[row, _]| assert!(row.is_empty()));
            assert!(other.is_empty());
        });
    }
}
