//! Counts the files that are being written, so that the window does not close before they are complete.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The number of files that a window's threads are writing. Every egui context has one.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<(Mutex<usize>, Condvar)>);

/// A guard: a file is being written until it is dropped.
pub(super) struct Writing(Pending);

impl Pending {
    /// The counter of a window.
    pub fn of(ctx: &egui::Context) -> Self {
        ctx.data_mut(|data| data.get_temp_mut_or_default::<Self>(egui::Id::NULL).clone())
    }

    /// Counts a file until the guard is dropped.
    pub fn begin(&self) -> Writing {
        *self.lock() += 1;
        Writing(self.clone())
    }

    /// The number of files that are being written.
    pub fn count(&self) -> usize {
        *self.lock()
    }

    /// Waits until all files are written, at most for `longest`. Returns whether they are.
    pub fn wait(&self, longest: Duration) -> bool {
        let deadline = Instant::now() + longest;
        let mut count = self.lock();
        while *count > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            count = self.0.1.wait_timeout(count, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.0.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
        self.0.0.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_the_last_file_or_after_the_longest_time() {
        let ctx = egui::Context::default();
        let (one, other) = (Pending::of(&ctx).begin(), Pending::of(&ctx).begin());
        let pending = Pending::of(&ctx);
        assert_eq!(pending.count(), 2, "all handles of a window count together");
        assert_eq!(Pending::of(&egui::Context::default()).count(), 0);
        assert!(!pending.wait(Duration::ZERO));
        let waiting = std::thread::spawn(move || pending.wait(Duration::from_secs(60)));
        drop(one);
        // Even if its thread panics.
        std::thread::spawn(move || {
            let _writing = other;
            std::panic::resume_unwind(Box::new("the disk is gone"));
        });
        assert!(waiting.join().unwrap());
    }
}
