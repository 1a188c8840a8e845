//! Panics in plain words: where the program broke is for those who build it (`RUST_BACKTRACE=full`), what broke is for everybody.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};

thread_local! {
    /// Whether what this thread does now is caught and told by whoever catches it.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Has panics of every thread told in a sentence on standard error, and as Rust tells them where `RUST_BACKTRACE` asks for it; those
/// that are caught ([`caught`]) only where it is `full`.
pub fn install() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let wanted = std::env::var("RUST_BACKTRACE").unwrap_or_default();
        match (CAUGHT.get(), wanted.as_str()) {
            // Whoever catches it says what it means. Some have the variable set all the time.
            (_, "full") => usual(info),
            (true, _) => {}
            (false, "" | "0") => eprintln!("zscape: {}", sentence(&of_hook(info))),
            (false, _) => usual(info),
        }
    }));
}

/// What a person is told of a panic that nobody expected.
pub fn sentence(text: &str) -> String {
    let text = plain(text);
    format!(
        "something broke that should not: {text}. This is a fault of the program. Please report it with what you did and with \
         what is printed when RUST_BACKTRACE=full is set"
    )
}

fn of_hook(info: &PanicHookInfo<'_>) -> String {
    info.payload_as_str().unwrap_or("no reason was given").to_owned()
}

/// Does `work`; a panic in it is an error with the panic's text, and nothing is printed of it.
///
/// # Errors
/// What the panic said.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let before = CAUGHT.replace(true);
    let done = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    done.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        plain(&text.unwrap_or_else(|| "no reason was given".to_owned()))
    })
}

/// A message without the places in source files that libraries put into theirs (`os error at /root/.../mod.rs:765: ...`).
pub fn plain(text: &str) -> String {
    let is_place = |word: &str| {
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
            if is_place(word) {
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
    fn a_caught_panic_is_its_text() {
        assert_eq!(caught(|| 3), Ok(3));
        assert_eq!(caught(|| panic!("the device is {}", "lost")), Err::<(), _>("the device is lost".to_owned()));
        assert_eq!(caught(|| -> () { std::panic::panic_any(7) }), Err("no reason was given".to_owned()));
    }

    #[test]
    fn messages_say_what_and_not_where_in_the_source() {
        let winit = "os error at /root/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/winit-0.30.13/src/linux/mod.rs:765: \
                     neither WAYLAND_DISPLAY nor DISPLAY is set.";
        assert_eq!(plain(winit), "os error neither WAYLAND_DISPLAY nor DISPLAY is set");
        assert_eq!(plain("it broke in src/kernels/mod.rs:12:5 (again)"), "it broke (again)");
        assert_eq!(
            plain("called `Result::unwrap()` on an `Err` value: Lost\n   at src/a.rs:3\nthe end"),
            "called `Result::unwrap()` on an `Err` value: Lost\nthe end"
        );
        for text in ["pictures/a.rs cannot be read", "12:30", "C:\\pics\\a.png: no", "see docs/README.md"] {
            assert_eq!(plain(text), text);
        }
        assert!(sentence("x").contains("RUST_BACKTRACE=full"));
    }
}
