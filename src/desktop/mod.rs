//! The desktop that the window opens on: over which protocol, and what is missing where it does not open.

mod missing;

use std::fmt;

pub use missing::{Distribution, explain};

/// How a window reaches the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// An X server, or Xwayland.
    X11,
    /// A Wayland compositor.
    Wayland,
    /// The system's only one: Windows and macOS.
    System,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::X11 => "X11",
            Self::Wayland => "Wayland",
            Self::System => "this system's desktop",
        })
    }
}

impl Backend {
    /// Whether files can be dropped on the window. The library that opens windows does not pass on those of Wayland.
    pub fn takes_drops(self) -> bool {
        self != Self::Wayland
    }
}

/// The variable by which a person chooses X11 or Wayland where there are both.
pub const CHOICE: &str = "ZSCAPE_DISPLAY";

/// No display answers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the window cannot be opened: {}. Every command without a window works; for the window log in to a desktop, or use ssh -X or xvfb-run", found.join(", and "))]
pub struct NoDisplay {
    /// What was looked for, and why it does not do.
    found: Vec<String>,
}

/// The displays that answer, in the order in which they are tried. X11 comes first, also through Xwayland, since files can be
/// dropped on its windows alone.
///
/// # Errors
/// [`NoDisplay`] with what was looked for.
pub fn backends() -> Result<Vec<Backend>, NoDisplay> {
    if cfg!(any(windows, target_os = "macos")) {
        return Ok(vec![Backend::System]);
    }
    choose(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()), &answers)
}

/// A variable of the environment.
type Variable<'a> = &'a dyn Fn(&str) -> Option<String>;

fn choose(variable: Variable<'_>, answers: &dyn Fn(Backend, &str) -> bool) -> Result<Vec<Backend>, NoDisplay> {
    let wanted = match variable(CHOICE).map(|choice| choice.to_ascii_lowercase()).as_deref() {
        Some("x11") => vec![Backend::X11],
        Some("wayland") => vec![Backend::Wayland],
        Some(other) => {
            return Err(NoDisplay { found: vec![format!("{CHOICE} is {other:?}, and can be x11 or wayland")] });
        }
        None => vec![Backend::X11, Backend::Wayland],
    };
    let mut usable = Vec::new();
    let mut found = Vec::new();
    for backend in wanted {
        let name = match backend {
            Backend::X11 => "DISPLAY",
            _ => "WAYLAND_DISPLAY",
        };
        match variable(name) {
            Some(value) if answers(backend, &value) => usable.push(backend),
            Some(value) => found.push(format!("{name} is {value:?}, where nothing answers")),
            // A socket that was handed over.
            None if backend == Backend::Wayland && variable("WAYLAND_SOCKET").is_some() => usable.push(backend),
            None => found.push(format!("{name} is not set")),
        }
    }
    if usable.is_empty() { Err(NoDisplay { found }) } else { Ok(usable) }
}

/// Whether somebody answers at the display that this value names. What cannot be told is left to those who open windows.
#[cfg(not(unix))]
fn answers(_backend: Backend, _value: &str) -> bool {
    true
}

/// As above.
#[cfg(unix)]
fn answers(backend: Backend, value: &str) -> bool {
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    if backend == Backend::Wayland {
        let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
        return UnixStream::connect(Path::new(&folder).join(value)).is_ok();
    }
    let Some(display) = Display::parse(value) else { return true };
    // A server without clients begins anew when the last one leaves, and lets nobody in meanwhile.
    for _ in 0..TRIES {
        match display.connect().map(greet) {
            Ok(true) => return true,
            Ok(false) => std::thread::sleep(PAUSE),
            Err(_) => return false,
        }
    }
    false
}

/// Times that an X server is greeted, and the pause between them.
#[cfg(unix)]
const TRIES: u32 = 10;
#[cfg(unix)]
const PAUSE: std::time::Duration = std::time::Duration::from_millis(200);
/// How long an X server may take to answer.
#[cfg(unix)]
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// A connection to an X server.
#[cfg(unix)]
trait Connection: std::io::Read + std::io::Write + Send {}

#[cfg(unix)]
impl<T: std::io::Read + std::io::Write + Send> Connection for T {}

/// Whether an X server answers a client's first words. Its connection stays open, so that the server does not begin anew before the
/// window has one.
#[cfg(unix)]
fn greet(mut server: Box<dyn Connection>) -> bool {
    static OPEN: std::sync::Mutex<Vec<Box<dyn Connection>>> = std::sync::Mutex::new(Vec::new());
    // Version 11.0, little endian, without a name for whom to let in: whether that is refused does not matter here.
    const HELLO: [u8; 12] = [b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let answered = server.write_all(&HELLO).and_then(|()| server.read_exact(&mut [0; 8])).is_ok();
    if answered && let Ok(mut open) = OPEN.lock() {
        open.push(server);
    }
    answered
}

#[cfg(target_os = "linux")]
fn abstract_socket(path: &str) -> std::io::Result<std::os::unix::net::UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixStream};
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(path)?)
}

#[cfg(all(unix, not(target_os = "linux")))]
fn abstract_socket(_path: &str) -> std::io::Result<std::os::unix::net::UnixStream> {
    Err(std::io::ErrorKind::NotFound.into())
}

/// An X display, as `DISPLAY` names it: `:0`, `localhost:10.0`.
#[cfg(unix)]
#[derive(Debug, PartialEq, Eq)]
struct Display {
    /// None for this machine.
    host: Option<String>,
    number: u16,
}

#[cfg(unix)]
impl Display {
    fn parse(value: &str) -> Option<Self> {
        // macOS names a socket's path.
        let (host, rest) = value.rsplit_once(':').filter(|(host, _)| !host.starts_with('/'))?;
        let number = rest.split('.').next()?.parse().ok()?;
        let local = host.is_empty() || host == "unix" || host.ends_with("/unix");
        Some(Self { host: (!local).then(|| host.trim_start_matches("tcp/").to_owned()), number })
    }

    /// Connects as X's own library does: to the socket of this machine, or to the TCP port that `ssh -X` opens too.
    fn connect(&self) -> std::io::Result<Box<dyn Connection>> {
        use std::net::{TcpStream, ToSocketAddrs};
        use std::os::unix::net::UnixStream;
        if self.host.is_none() {
            let path = format!("/tmp/.X11-unix/X{}", self.number);
            if let Ok(stream) = UnixStream::connect(&path).or_else(|_| abstract_socket(&path)) {
                stream.set_read_timeout(Some(PATIENCE))?;
                return Ok(Box::new(stream));
            }
        }
        let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let port = self.number.checked_add(6000).ok_or_else(gone)?;
        let host = self.host.as_deref().unwrap_or("localhost");
        let mut addresses = (host, port).to_socket_addrs()?;
        let stream =
            addresses.find_map(|address| TcpStream::connect_timeout(&address, PATIENCE).ok()).ok_or_else(gone)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(set: &[(&str, &str)], alive: &[&str]) -> Result<Vec<Backend>, String> {
        let variable = |name: &str| {
            set.iter()
                .find(|(set, _)| *set == name)
                .map(|(_, value)| (*value).to_owned())
                .filter(|value| !value.is_empty())
        };
        choose(&variable, &|_, value| alive.contains(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_displays_that_answer_are_tried_x11_first() {
        let both = [("DISPLAY", ":0"), ("WAYLAND_DISPLAY", "wayland-0")];
        assert_eq!(chosen(&both, &[":0", "wayland-0"]), Ok(vec![Backend::X11, Backend::Wayland]));
        assert_eq!(chosen(&both, &[":0"]), Ok(vec![Backend::X11]), "a stale WAYLAND_DISPLAY is passed over");
        assert_eq!(chosen(&both, &["wayland-0"]), Ok(vec![Backend::Wayland]));
        assert_eq!(chosen(&[("WAYLAND_SOCKET", "7")], &[]), Ok(vec![Backend::Wayland]));
        let forced = [both[0], both[1], (CHOICE, "Wayland")];
        assert_eq!(chosen(&forced, &[":0", "wayland-0"]), Ok(vec![Backend::Wayland]));
        assert!(Backend::X11.takes_drops() && !Backend::Wayland.takes_drops());
    }

    #[test]
    fn what_does_not_answer_is_named() {
        let error = chosen(&[("DISPLAY", ":55"), ("WAYLAND_DISPLAY", "wayland-7")], &[]).unwrap_err();
        assert!(error.contains(":55") && error.contains("wayland-7") && error.contains("xvfb-run"), "{error}");
        let error = chosen(&[("DISPLAY", "")], &[]).unwrap_err();
        assert!(error.contains("DISPLAY is not set") && error.contains("WAYLAND_DISPLAY is not set"), "{error}");
        assert!(chosen(&[(CHOICE, "mir")], &[]).unwrap_err().contains("x11 or wayland"));
    }

    #[cfg(unix)]
    #[test]
    fn a_server_answers_only_where_it_speaks() {
        use std::io::{Read, Write};
        use std::os::unix::net::UnixStream;
        let with = |speaks: bool| {
            let (mine, mut theirs) = UnixStream::pair().unwrap();
            let server = std::thread::spawn(move || {
                theirs.read_exact(&mut [0; 12]).unwrap();
                if speaks {
                    theirs.write_all(&[0; 8]).unwrap();
                }
            });
            let answered = greet(Box::new(mine));
            server.join().unwrap();
            answered
        };
        assert!(with(true) && !with(false));
    }

    #[cfg(unix)]
    #[test]
    fn displays_are_read_as_x_writes_them() {
        let of = |value| Display::parse(value).map(|Display { host, number }| (host, number));
        assert_eq!(of(":0"), Some((None, 0)));
        assert_eq!(of("unix:3.1"), Some((None, 3)));
        assert_eq!(of("localhost:10.0"), Some((Some("localhost".to_owned()), 10)));
        assert_eq!(of("/private/tmp/org.xquartz:0"), None);
        assert_eq!(of("nonsense"), None);
        assert!(!answers(Backend::X11, ":58321") && !answers(Backend::Wayland, "no-such-socket"));
    }
}
