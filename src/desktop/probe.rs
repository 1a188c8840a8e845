//! Probing whether a display server responds.

use super::DisplayServer;

/// Whether a display server responds at the display that the value of `DISPLAY` or `WAYLAND_DISPLAY` names. True if
/// that cannot be checked.
#[cfg(not(unix))]
pub(super) fn responds(_server: DisplayServer, _value: &str) -> bool {
    true
}

/// Whether a display server responds at the display that the value of `DISPLAY` or `WAYLAND_DISPLAY` names. True if
/// that cannot be checked.
#[cfg(unix)]
pub(super) fn responds(server: DisplayServer, value: &str) -> bool {
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    if server == DisplayServer::Wayland {
        let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
        return UnixStream::connect(Path::new(&folder).join(value)).is_ok();
    }
    let Some(display) = Display::parse(value) else { return true };
    // An X server resets when its last client disconnects, and refuses connections meanwhile: retry.
    for _ in 0..ATTEMPTS {
        match display.connect().map(handshake) {
            Ok(true) => return true,
            Ok(false) => std::thread::sleep(RETRY_DELAY),
            Err(_) => return false,
        }
    }
    false
}

/// Attempts to connect to an X server, and the delay between them.
#[cfg(unix)]
const ATTEMPTS: u32 = 10;
#[cfg(unix)]
const RETRY_DELAY: std::time::Duration = std::time::Duration::from_millis(200);
/// The timeout of an X server.
#[cfg(unix)]
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

/// A connection to an X server.
#[cfg(unix)]
trait Connection: std::io::Read + std::io::Write + Send {}

#[cfg(unix)]
impl<T: std::io::Read + std::io::Write + Send> Connection for T {}

/// Whether an X server replies to the connection setup. The connection stays open until the process ends, so that the
/// server does not reset before the window connects.
#[cfg(unix)]
fn handshake(mut server: Box<dyn Connection>) -> bool {
    static OPEN: std::sync::Mutex<Vec<Box<dyn Connection>>> = std::sync::Mutex::new(Vec::new());
    // Protocol 11.0, little endian, without authorization: any reply will do, even a refusal.
    const SETUP: [u8; 12] = [b'l', 0, 11, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let replied = server.write_all(&SETUP).and_then(|()| server.read_exact(&mut [0; 8])).is_ok();
    if replied && let Ok(mut open) = OPEN.lock() {
        open.push(server);
    }
    replied
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
    /// `None` for the local machine.
    host: Option<String>,
    number: u16,
}

#[cfg(unix)]
impl Display {
    fn parse(value: &str) -> Option<Self> {
        // On macOS, DISPLAY can be the path of a socket.
        let (host, rest) = value.rsplit_once(':').filter(|(host, _)| !host.starts_with('/'))?;
        let number = rest.split('.').next()?.parse().ok()?;
        let local = host.is_empty() || host == "unix" || host.ends_with("/unix");
        Some(Self { host: (!local).then(|| host.trim_start_matches("tcp/").to_owned()), number })
    }

    /// Connects as Xlib does: to the local socket, or to the TCP port, which `ssh -X` uses.
    fn connect(&self) -> std::io::Result<Box<dyn Connection>> {
        use std::net::{TcpStream, ToSocketAddrs};
        use std::os::unix::net::UnixStream;
        if self.host.is_none() {
            let path = format!("/tmp/.X11-unix/X{}", self.number);
            if let Ok(stream) = UnixStream::connect(&path).or_else(|_| abstract_socket(&path)) {
                stream.set_read_timeout(Some(TIMEOUT))?;
                return Ok(Box::new(stream));
            }
        }
        let unreachable = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let port = self.number.checked_add(6000).ok_or_else(unreachable)?;
        let host = self.host.as_deref().unwrap_or("localhost");
        let mut addresses = (host, port).to_socket_addrs()?;
        let stream =
            addresses.find_map(|address| TcpStream::connect_timeout(&address, TIMEOUT).ok()).ok_or_else(unreachable)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn only_a_server_that_replies_responds() {
        use std::io::{Read, Write};
        use std::os::unix::net::UnixStream;
        let responds_with = |replies: bool| {
            let (mine, mut theirs) = UnixStream::pair().unwrap();
            let server = std::thread::spawn(move || {
                theirs.read_exact(&mut [0; 12]).unwrap();
                if replies {
                    theirs.write_all(&[0; 8]).unwrap();
                }
            });
            let replied = handshake(Box::new(mine));
            server.join().unwrap();
            replied
        };
        assert!(responds_with(true) && !responds_with(false));
    }

    #[cfg(unix)]
    #[test]
    fn display_names_are_parsed_like_xlib_does() {
        let of = |value| Display::parse(value).map(|Display { host, number }| (host, number));
        assert_eq!(of(":0"), Some((None, 0)));
        assert_eq!(of("unix:3.1"), Some((None, 3)));
        assert_eq!(of("localhost:10.0"), Some((Some("localhost".to_owned()), 10)));
        assert_eq!(of("/private/tmp/org.xquartz:0"), None);
        assert_eq!(of("nonsense"), None);
        assert!(!responds(DisplayServer::X11, ":58321") && !responds(DisplayServer::Wayland, "no-such-socket"));
    }
}
