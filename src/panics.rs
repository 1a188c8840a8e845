//! Panic handling: [`install`] prints panics as a sentence for users, [`catch`] turns a panic into an error, and
//! [`without_source_locations`] removes source locations from messages. `RUST_BACKTRACE=full` prints every panic as
//! Rust does.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Whether this thread is inside [`catch`], whose caller reports the panic.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Installs a panic hook that prints one sentence to standard error, or Rust's own message if `RUST_BACKTRACE` is
/// set. Panics inside [`catch`] are printed only if it is `full`.
pub fn install() {
    let default_hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match backtrace().as_str() {
        "" | "0" => eprintln!("zscape: {}", bug_report(&message(info))),
        _ => default_hook(info),
    }));
    silence_caught();
}

/// Wraps the panic hook so that panics inside [`catch`] are not printed.
fn silence_caught() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // Many developers set RUST_BACKTRACE=1 permanently, so only `full` prints panics that a caller handles.
            if !CAUGHT.get() || backtrace() == "full" {
                hook(info);
            }
        }));
    });
}

fn backtrace() -> String {
    std::env::var("RUST_BACKTRACE").unwrap_or_default()
}

/// The message about an unexpected panic, which asks the user to report it.
pub fn bug_report(text: &str) -> String {
    let text = without_source_locations(text);
    format!(
        "internal error: {text}. This is a bug in zscape. Please report it with what you did and with the output when \
         RUST_BACKTRACE=full is set"
    )
}

fn message(info: &PanicHookInfo<'_>) -> String {
    info.payload_as_str().unwrap_or("no message").to_owned()
}

/// Runs `work` and catches a panic in it without printing it.
///
/// # Errors
/// The message of the panic, without source locations.
pub fn catch<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    silence_caught();
    let before = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        without_source_locations(&text.unwrap_or_else(|| "no message".to_owned()))
    })
}

/// Removes source locations from an error message (`os error at /root/.../mod.rs:765: ...`), which some libraries
/// include.
pub fn without_source_locations(text: &str) -> String {
    let is_location = |word: &str| {
        let word = word.trim_matches(|c: char| matches!(c, '(' | ')' | ',' | ';' | '`' | '"' | '\''));
        word.split_once(".rs:")
            .is_some_and(|(path, line)| !path.is_empty() && line.starts_with(|c: char| c.is_ascii_digit()))
            || word.contains(".cargo/registry")
            || word.contains(".cargo\\registry")
    };
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words: Vec<&str> = Vec::new();
        for word in line.split(' ') {
            if is_location(word) {
                if words.last().is_some_and(|last| matches!(*last, "at" | "in" | "-->")) {
                    words.pop();
                }
            } else {
                words.push(word);
            }
        }
        let line = words.join(" ");
        if !line.trim().is_empty() || text.lines().count() == 1 {
            lines.push(line);
        }
    }
    lines.join("\n").trim_end_matches(['.', ' ', '\n']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caught_panic_becomes_its_message() {
        assert_eq!(catch(|| 3), Ok(3));
        assert_eq!(catch(|| panic!("the device is {}", "lost")), Err::<(), _>("the device is lost".to_owned()));
        assert_eq!(catch(|| -> () { std::panic::panic_any(7) }), Err("no message".to_owned()));
    }

    #[test]
    fn source_locations_are_removed_from_messages() {
        let winit = "os error at /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/winit-0.30.13/src/linux/mod.rs:765: \
                     neither WAYLAND_DISPLAY nor DISPLAY is set.";
        assert_eq!(without_source_locations(winit), "os error neither WAYLAND_DISPLAY nor DISPLAY is set");
        assert_eq!(without_source_locations("it broke in src/kernels/mod.rs:12:5 (again)"), "it broke (again)");
        assert_eq!(
            without_source_locations("called `Result::unwrap()` on an `Err` value: Lost\n   at src/a.rs:3\nthe end"),
            "called `Result::unwrap()` on an `Err` value: Lost\nthe end"
        );
        for text in ["pictures/a.rs cannot be read", "12:30", "C:\\pics\\a.png: no", "see docs/README.md"] {
            assert_eq!(without_source_locations(text), text);
        }
        assert!(bug_report("x").contains("RUST_BACKTRACE=full"));
    }
}
