//! Lower priority for threads that compute.

use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};

/// The priority of computing threads, of 0 to 99. On Linux it is a nice value of 5, which keeps about a quarter of a
/// core that another thread wants as well, so that training goes on while the window repaints continuously.
const COMPUTING: u8 = 36;

/// Lowers the priority of this thread, and of the threads that it will start, below all other threads of the machine.
/// If the system refuses, the priority stays as it is.
pub fn lower_thread_priority() {
    let value = ThreadPriorityValue::try_from(COMPUTING).expect("it is below 100");
    if let Err(error) = set_current_thread_priority(ThreadPriority::Crossplatform(value)) {
        tracing::debug!("cannot lower the priority of a computing thread: {error:?}");
    }
}
