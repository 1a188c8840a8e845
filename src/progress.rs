//! Progress reports of long-running work, which are also the points where the work can be cancelled.

/// The error of work that was cancelled by the code that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Called with what is being done, how many units of it are done, and how many there are in total; 0 of 0 for work that is not
/// counted. Long-running functions call it often and end with `?` when it returns [`Cancelled`].
pub type Progress<'a> = dyn FnMut(&'static str, usize, usize) -> Result<(), Cancelled> + 'a;
