//! Display servers for the window, and diagnosis of windows that do not open.
//!
//! [`available_servers`] returns the display servers that respond; [`explain_window_error`] turns a window error into
//! advice.

mod diagnosis;
mod distribution;
mod probe;

use std::fmt;

pub use diagnosis::explain_window_error;
pub use distribution::Distribution;

/// The display server that a window opens on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DisplayServer {
    /// An X server, or Xwayland.
    X11,
    /// A Wayland compositor.
    Wayland,
    /// The desktop of Windows or macOS.
    System,
}

impl fmt::Display for DisplayServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X11 => "X11",
            Self::Wayland => "Wayland",
            Self::System => "this system's desktop",
        })
    }
}

impl DisplayServer {
    /// Whether files can be dropped on the window. winit does not report drops on Wayland.
    pub fn supports_file_drops(self) -> bool {
        self != Self::Wayland
    }
}

/// The environment variable that selects `x11` or `wayland`.
pub const DISPLAY_VARIABLE: &str = "ZSCAPE_DISPLAY";

/// No display server responds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot open the window: {}. All other commands work without one; for the window, log in to a desktop, or use ssh -X or xvfb-run", attempts.join(", and "))]
pub struct NoDisplay {
    /// Why each display server cannot be used.
    attempts: Vec<String>,
}

/// The display servers that respond, in order of preference. X11 (including Xwayland) comes first, because files can
/// be dropped only on its windows.
///
/// # Errors
/// [`NoDisplay`] if none responds.
pub fn available_servers() -> Result<Vec<DisplayServer>, NoDisplay> {
    if cfg!(any(windows, target_os = "macos")) {
        return Ok(vec![DisplayServer::System]);
    }
    available(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), &probe::responds)
}

/// Looks up an environment variable.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

fn available(
    variable: Variable<'_>,
    responds: &dyn Fn(DisplayServer, &str) -> bool,
) -> Result<Vec<DisplayServer>, NoDisplay> {
    let candidates = match variable(DISPLAY_VARIABLE).map(|choice| choice.to_ascii_lowercase()).as_deref() {
        Some("x11") => vec![DisplayServer::X11],
        Some("wayland") => vec![DisplayServer::Wayland],
        Some(other) => {
            return Err(NoDisplay {
                attempts: vec![format!("{DISPLAY_VARIABLE} is {other:?}, but must be x11 or wayland")],
            });
        }
        None => vec![DisplayServer::X11, DisplayServer::Wayland],
    };
    let mut usable = Vec::new();
    let mut attempts = Vec::new();
    for server in candidates {
        let name = match server {
            DisplayServer::X11 => "DISPLAY",
            _ => "WAYLAND_DISPLAY",
        };
        match variable(name) {
            Some(value) if responds(server, &value) => usable.push(server),
            Some(value) => attempts.push(format!("{name} is {value:?}, but nothing responds there")),
            // The parent process passed an open socket.
            None if server == DisplayServer::Wayland && variable("WAYLAND_SOCKET").is_some() => usable.push(server),
            None => attempts.push(format!("{name} is not set")),
        }
    }
    if usable.is_empty() { Err(NoDisplay { attempts }) } else { Ok(usable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(set: &[(&str, &str)], alive: &[&str]) -> Result<Vec<DisplayServer>, String> {
        let variable = |name: &str| {
            set.iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| (*value).to_owned())
                .filter(|value| !value.is_empty())
        };
        available(&variable, &|_, value| alive.contains(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn x11_comes_first_of_the_servers_that_respond() {
        let both = [("DISPLAY", ":0"), ("WAYLAND_DISPLAY", "wayland-0")];
        assert_eq!(servers(&both, &[":0", "wayland-0"]), Ok(vec![DisplayServer::X11, DisplayServer::Wayland]));
        assert_eq!(servers(&both, &[":0"]), Ok(vec![DisplayServer::X11]), "a stale WAYLAND_DISPLAY is skipped");
        assert_eq!(servers(&both, &["wayland-0"]), Ok(vec![DisplayServer::Wayland]));
        assert_eq!(servers(&[("WAYLAND_SOCKET", "7")], &[]), Ok(vec![DisplayServer::Wayland]));
        let forced = [both[0], both[1], (DISPLAY_VARIABLE, "Wayland")];
        assert_eq!(servers(&forced, &[":0", "wayland-0"]), Ok(vec![DisplayServer::Wayland]));
        assert!(DisplayServer::X11.supports_file_drops() && !DisplayServer::Wayland.supports_file_drops());
    }

    #[test]
    fn servers_that_do_not_respond_are_named() {
        let error = servers(&[("DISPLAY", ":55"), ("WAYLAND_DISPLAY", "wayland-7")], &[]).unwrap_err();
        assert!(error.contains(":55") && error.contains("wayland-7") && error.contains("xvfb-run"), "{error}");
        let error = servers(&[("DISPLAY", "")], &[]).unwrap_err();
        assert!(error.contains("DISPLAY is not set") && error.contains("WAYLAND_DISPLAY is not set"), "{error}");
        assert!(servers(&[(DISPLAY_VARIABLE, "mir")], &[]).unwrap_err().contains("x11 or wayland"));
    }
}
