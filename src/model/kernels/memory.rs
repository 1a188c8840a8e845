//! Memory for what the kernels compute, used again and again.
//!
//! A training step asks for hundreds of megabytes and frees them. The system clears memory before it hands it out, which takes a tenth
//! of a step, and clearing it here for kernels that overwrite it takes half as long again. So large memory is kept for a while.

use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

/// Numbers of one part, which is cleared by one thread; and parts from which on it pays to share them out.
const PART: usize = 1024;
const PARTS: usize = 32;
/// Requests after which memory that fitted none of them is freed: a few training steps' worth.
const REQUESTS: u64 = 512;

/// Large memory that is free, the longest unused first.
static FREE: Mutex<Free> = Mutex::new(Free { requests: 0, rows: VecDeque::new() });

struct Free {
    requests: u64,
    /// Each with the number of requests when it became free.
    rows: VecDeque<(u64, Vec<f32>)>,
}

impl Free {
    /// The smallest row that holds `length` numbers and wastes little.
    fn take(&mut self, length: usize) -> Option<Vec<f32>> {
        self.requests += 1;
        while self.rows.front().is_some_and(|(since, _)| since + REQUESTS < self.requests) {
            self.rows.pop_front();
        }
        let fits = |row: &Vec<f32>| (length..=length + length / 4).contains(&row.capacity());
        let rows = self.rows.iter().enumerate().filter(|(_, (_, row))| fits(row));
        let (best, _) = rows.min_by_key(|(_, (_, row))| row.capacity())?;
        self.rows.remove(best).map(|(_, row)| row)
    }
}

fn is_large(length: usize) -> bool {
    length >= PARTS * PART
}

fn free() -> std::sync::MutexGuard<'static, Free> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps memory that is not needed any more for a later request.
pub fn give_back(row: Vec<f32>) {
    if is_large(row.capacity()) {
        let mut free = free();
        let requests = free.requests;
        free.rows.push_back((requests, row));
    }
}

/// So many numbers to be overwritten: they may be left over from anything.
pub fn leftover(length: usize) -> Vec<f32> {
    match is_large(length).then(|| free().take(length)).flatten() {
        Some(mut row) => {
            row.resize(length, 0.0);
            row
        }
        None => zeros(length),
    }
}

/// An empty row with room for so many numbers.
pub fn room(length: usize) -> Vec<f32> {
    match is_large(length).then(|| free().take(length)).flatten() {
        Some(mut row) => {
            row.clear();
            row
        }
        None => Vec::with_capacity(length),
    }
}

/// So many zeros. Large memory is new to the program, and clearing it takes the system longer than filling it takes
/// a kernel: all cores do it.
fn zeros(length: usize) -> Vec<f32> {
    if !is_large(length) {
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
    fn memory_is_used_again_where_it_fits() {
        let length = PARTS * PART + 12_345;
        let mut free = Free { requests: 0, rows: VecDeque::new() };
        for capacity in [2 * length, length + 7, length + 3, length - 1] {
            free.rows.push_back((0, Vec::with_capacity(capacity)));
        }
        assert_eq!(free.take(length).map(|row| row.capacity()), Some(length + 3));
        assert_eq!(free.take(length).map(|row| row.capacity()), Some(length + 7));
        assert!(free.take(length).is_none(), "one is too small and one wastes half");
        assert_eq!(free.rows.len(), 2);
        for _ in 0..REQUESTS {
            free.take(1);
        }
        assert!(free.rows.is_empty(), "nobody asked for it in so many requests");
    }

    #[test]
    fn small_memory_is_not_kept() {
        give_back(vec![7.0; 10]);
        assert_eq!(leftover(10), [0.0; 10]);
        assert!(room(10).is_empty());
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
