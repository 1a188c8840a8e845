//! Memory for what the kernels give.

use std::cell::Cell;

use rayon::prelude::*;

/// Numbers of one part, which is cleared by one thread; and parts from which on it pays to share them out.
const PART: usize = 1024;
const PARTS: usize = 32;

/// So many zeros. Large memory is new to the program each time, and clearing it takes the system longer than filling it takes
/// a kernel: all cores do it.
pub fn zeros(length: usize) -> Vec<f32> {
    if length < PARTS * PART {
        return vec![0.0; length];
    }
    let parts = (0..length.div_ceil(PART)).into_par_iter().with_min_len(PARTS / 2).map(|_| [0.0f32; PART]);
    let mut zeros = parts.collect::<Vec<_>>().into_flattened();
    zeros.truncate(length);
    zeros
}

/// Two rows of numbers that a thread keeps from one task to the next. What they hold is left over from others.
pub type Scratch = [Vec<f32>; 2];

thread_local! {
    static KEPT: Cell<Scratch> = const { Cell::new([Vec::new(), Vec::new()]) };
}

/// Lends this thread's rows to a task, which otherwise would ask for new memory, and have it cleared, each time.
pub fn with_scratch<T>(task: impl FnOnce(&mut Scratch) -> T) -> T {
    let mut scratch = KEPT.take();
    let done = task(&mut scratch);
    KEPT.set(scratch);
    done
}

/// The first `length` numbers of a row, which grows to it.
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
            // A task within a task has rows of its own.
            with_scratch(|[row, _]| assert!(row.is_empty()));
            assert!(other.is_empty());
        });
    }
}
