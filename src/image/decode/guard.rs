//! Catches panics of decoders and returns their text as an error, without printing.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`guarded`].
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` and returns the text of a panic as an error. The panic hook stays silent.
///
/// # Errors
/// The text of the panic.
pub(crate) fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info: &PanicHookInfo| {
            if !GUARDED.get() {
                before(info);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.map_err(|panic| text(&*panic))
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it gave no reason".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_with_its_text_and_the_guard_ends_with_it() {
        assert_eq!(guarded(|| 3), Ok(3));
        let inner: Result<(), String> = guarded(|| panic!("index {} of {}", 4, 3));
        assert_eq!(inner, Err("index 4 of 3".to_owned()));
        assert!(!GUARDED.get());
        let nested = guarded(|| {
            let _ = guarded(|| panic!("inside"));
            GUARDED.get()
        });
        assert_eq!(nested, Ok(true), "the outer guard still holds");
    }
}
