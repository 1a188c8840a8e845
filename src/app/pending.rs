//! What is being written, so that the window does not go before it is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Counts what is being written by all threads of a window; every egui context has one.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<(Mutex<usize>, Condvar)>);

/// Something is being written until this is dropped.
pub(super) struct Writing(Pending);

impl Pending {
    /// The window's.
    pub fn of(ctx: &egui::Context) -> Self {
        ctx.data_mut(|data| data.get_temp_mut_or_default::<Self>(egui::Id::NULL).clone())
    }

    /// Something begins to be written, or will be without anybody being asked.
    pub fn begin(&self) -> Writing {
        *self.lock() += 1;
        Writing(self.clone())
    }

    /// How much is being written.
    pub fn count(&self) -> usize {
        *self.lock()
    }

    /// Waits until nothing is written any more, for so long at the most; whether it came to that.
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
    fn it_is_waited_for_until_the_last_is_written_or_patience_ends() {
        let ctx = egui::Context::default();
        let (one, other) = (Pending::of(&ctx).begin(), Pending::of(&ctx).begin());
        let pending = Pending::of(&ctx);
        assert_eq!(pending.count(), 2, "all handles of a window count together");
        assert_eq!(Pending::of(&egui::Context::default()).count(), 0);
        assert!(!pending.wait(Duration::ZERO));
        let waiting = std::thread::spawn(move || pending.wait(Duration::from_secs(60)));
        drop(one);
        // Also where its thread breaks.
        std::thread::spawn(move || {
            let _writing = other;
            std::panic::resume_unwind(Box::new("the disk is gone"));
        });
        assert!(waiting.join().unwrap());
    }
}
