//! Why a window cannot be opened, and which package or setting helps.

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::distribution::{DRIVER, Distribution, Library, VULKAN, WAYLAND, X11, XKB, XKB_X11};
use crate::panics::without_source_locations;

/// Explains the error or panic message of a failed attempt to open a window, and what to do about it.
pub fn explain_window_error(text: &str) -> String {
    explain(text, Distribution::detect(), &|file| is_installed(file, &library_folders()))
}

fn explain(text: &str, distribution: Distribution, installed: &dyn Fn(&str) -> bool) -> String {
    let lower = text.to_ascii_lowercase();
    let mentions = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let missing = |all: &[Library], what: &str| {
        let absent: Vec<Library> = all.iter().copied().filter(|library| !installed(library.file)).collect();
        // The loader searches other folders as well: if all seem to be installed, name all.
        let absent = if absent.is_empty() { all.to_vec() } else { absent };
        let files: Vec<_> = absent.iter().map(|library| library.file).collect();
        format!("{what}{} cannot be loaded; {}", files.join(", "), distribution.install_command(&absent))
    };
    if mentions(&["xkbcommon-x11"]) {
        return missing(&[XKB_X11, XKB], "the library for the keyboard, ");
    }
    if mentions(&["xkbcommon"]) {
        return missing(&[XKB], "the library for the keyboard, ");
    }
    if mentions(&["xlib's shared libraries", "libxcursor", "libx11", "libxi.so", "libxrandr"]) {
        return missing(&X11, "the library for X11, ");
    }
    if mentions(&["libwayland", "wayland library", "nowaylandlib"]) {
        return missing(&[WAYLAND], "the library for Wayland, ");
    }
    if mentions(&["no valid format for the surface", "no supported format", "surface is not supported"]) {
        return "the display has no color format that the window can draw in; displays of 8 or 16 bits per pixel have none. Set the color \
                depth of the desktop to 24 or 32 bits (Xvfb: -screen 0 1280x800x24; VNC: -depth 24)"
            .to_owned();
    }
    if mentions(&["connection to x server", "xopendisplay", "authorization", "no protocol specified"]) {
        return "the X server refuses the connection: run the program as the user of the desktop (after sudo or su, XAUTHORITY must name \
                that user's file)"
            .to_owned();
    }
    if mentions(&["wayland compositor", "nocompositor", "wayland"]) {
        return format!("the Wayland compositor refuses the window ({})", without_source_locations(text));
    }
    if mentions(&["adapter", "no suitable", "graphics driver", "surface for any enabled backend"]) {
        return missing(&[DRIVER, VULKAN], "no graphics driver is installed, not even a software driver: ");
    }
    without_source_locations(text)
}

/// The folders where the loader searches for libraries.
fn library_folders() -> Vec<PathBuf> {
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|path| !path.as_os_str().is_empty()).collect();
    let arch = std::env::consts::ARCH;
    for root in ["/lib", "/usr/lib", "/usr/local/lib"] {
        folders.push(root.into());
        folders.push(format!("{root}64").into());
        folders.push(format!("{root}/{arch}-linux-gnu").into());
    }
    let configured = fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().flatten().map(|entry| entry.path());
    for list in configured.chain(["/etc/ld.so.conf".into()]) {
        let text = fs::read_to_string(list).unwrap_or_default();
        folders.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    folders
}

/// Whether one of the folders contains the library.
fn is_installed(file: &str, folders: &[PathBuf]) -> bool {
    let is_library = |path: &Path| {
        let mut start = [0; 4];
        let read = fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
        read.is_ok() && &start == b"\x7fELF"
    };
    folders.iter().any(|folder| is_library(&folder.join(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_reported_with_the_package_of_the_distribution() {
        let panic = "Library libxkbcommon-x11.so could not be loaded.";
        let without = |file: &'static str| move |other: &str| other != file;
        for (distribution, command) in [
            (Distribution::Debian, "sudo apt-get install libxkbcommon-x11-0"),
            (Distribution::Fedora, "sudo dnf install libxkbcommon-x11"),
            (Distribution::Arch, "sudo pacman -S libxkbcommon-x11"),
            (Distribution::Suse, "sudo zypper install libxkbcommon-x11-0"),
            (Distribution::Alpine, "sudo apk add libxkbcommon-x11"),
            (Distribution::Nix, "LD_LIBRARY_PATH (nixpkgs: libxkbcommon)"),
            (Distribution::Other, "install the packages that contain libxkbcommon-x11.so.0"),
        ] {
            let message = explain(panic, distribution, &without("libxkbcommon-x11.so.0"));
            assert!(message.contains(command), "{message}");
        }
        // The library that it depends on may be missing instead.
        let message = explain(panic, Distribution::Debian, &without("libxkbcommon.so.0"));
        assert!(message.ends_with("apt-get install libxkbcommon0"), "{message}");
        let xlib = "winit EventLoopError: os error at /root/.cargo/registry/src/x/winit/src/mod.rs:788: Failed to load one of \
                    xlib's shared libraries";
        for (file, package) in
            [("libXcursor.so.1", "libxcursor1"), ("libXi.so.6", "libxi6"), ("libXrandr.so.2", "libxrandr2")]
        {
            let message = explain(xlib, Distribution::Debian, &without(file));
            assert!(message.contains(file) && message.ends_with(&format!("apt-get install {package}")), "{message}");
        }
        let message = explain(xlib, Distribution::Debian, &|_| true);
        assert!(X11.iter().all(|library| message.contains(library.packages[0])), "all candidates: {message}");
    }

    #[test]
    fn other_errors_are_reported_without_source_locations() {
        let of = |text: &str| explain(text, Distribution::Debian, &|_| true);
        assert!(of("WGPU error: There was no valid format for the surface at all.").contains("24 or 32 bits"));
        assert!(of("os error at /r/mod.rs:788: Failed to open connection to X server").contains("XAUTHORITY"));
        assert!(
            of("WGPU error: Failed to create wgpu adapter, no suitable adapter found").contains("mesa-vulkan-drivers")
        );
        assert!(of("WGPU error: Failed to create surface for any enabled backend: {}").contains("mesa-vulkan-drivers"));
        assert_eq!(of("winit at /r/src/mod.rs:7: it is raining"), "winit it is raining");
    }
}
