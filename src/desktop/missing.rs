//! Why a window does not open, and the package that helps: each distribution has names of its own.

use std::path::{Path, PathBuf};

use crate::panics::plain;

/// Families of distributions by their package managers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Distribution {
    /// Debian, Ubuntu, Mint, Raspberry Pi OS.
    Debian,
    /// Fedora, Red Hat, Rocky.
    Fedora,
    /// Arch, Manjaro.
    Arch,
    /// openSUSE, SUSE.
    Suse,
    /// Alpine, postmarketOS.
    Alpine,
    /// NixOS.
    Nix,
    /// Another one, or none.
    Other,
}

impl Distribution {
    /// This machine's, as `/etc/os-release` tells.
    pub fn of_this_machine() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).map_or(Self::Other, |text| Self::of(&text))
    }

    fn of(os_release: &str) -> Self {
        let field = |name: &str| {
            let mut lines = os_release.lines().filter_map(|line| line.trim().split_once('='));
            lines
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.trim_matches(['"', '\'']).to_ascii_lowercase())
        };
        let words = [field("ID"), field("ID_LIKE")].map(Option::unwrap_or_default).join(" ");
        let known = |word: &str| {
            Some(match word {
                "debian" | "ubuntu" | "linuxmint" | "raspbian" | "pop" => Self::Debian,
                "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => Self::Fedora,
                "arch" | "manjaro" | "endeavouros" | "steamos" => Self::Arch,
                "suse" | "opensuse" | "sles" => Self::Suse,
                "alpine" | "postmarketos" => Self::Alpine,
                "nixos" => Self::Nix,
                word if word.starts_with("opensuse") => Self::Suse,
                _ => return None,
            })
        };
        words.split_whitespace().find_map(known).unwrap_or(Self::Other)
    }

    /// What to type for packages of these names, [`Self::Debian`]'s to [`Self::Nix`]'s.
    fn install(self, libraries: &[Library]) -> String {
        let column = match self {
            Self::Debian => 0,
            Self::Fedora => 1,
            Self::Arch => 2,
            Self::Suse => 3,
            Self::Alpine => 4,
            Self::Nix => 5,
            Self::Other => {
                let files: Vec<_> = libraries.iter().map(|library| library.file).collect();
                return format!("install the packages that have {}", files.join(", "));
            }
        };
        let mut packages: Vec<&str> = libraries.iter().map(|library| library.packages[column]).collect();
        packages.sort_unstable();
        packages.dedup();
        let packages = packages.join(" ");
        match self {
            Self::Debian => format!("install it with: sudo apt-get install {packages}"),
            Self::Fedora => format!("install it with: sudo dnf install {packages}"),
            Self::Arch => format!("install it with: sudo pacman -S {packages}"),
            Self::Suse => format!("install it with: sudo zypper install {packages}"),
            Self::Alpine => format!("install it with: sudo apk add {packages}"),
            _ => format!("add its lib folder to LD_LIBRARY_PATH (nixpkgs: {packages})"),
        }
    }
}

/// A shared library, and the packages that have it: Debian's, Fedora's, Arch's, openSUSE's, Alpine's, Nix's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Library {
    file: &'static str,
    packages: [&'static str; 6],
}

const fn library(file: &'static str, packages: [&'static str; 6]) -> Library {
    Library { file, packages }
}

const XKB: Library = library(
    "libxkbcommon.so.0",
    ["libxkbcommon0", "libxkbcommon", "libxkbcommon", "libxkbcommon0", "libxkbcommon", "libxkbcommon"],
);
const XKB_X11: Library = library(
    "libxkbcommon-x11.so.0",
    [
        "libxkbcommon-x11-0",
        "libxkbcommon-x11",
        "libxkbcommon-x11",
        "libxkbcommon-x11-0",
        "libxkbcommon-x11",
        "libxkbcommon",
    ],
);
/// What is opened for a window of X11.
const X: [Library; 5] = [
    library("libX11.so.6", ["libx11-6", "libX11", "libx11", "libX11-6", "libx11", "xorg.libX11"]),
    library("libX11-xcb.so.1", ["libx11-xcb1", "libX11-xcb", "libx11", "libX11-xcb1", "libx11", "xorg.libX11"]),
    library(
        "libXcursor.so.1",
        ["libxcursor1", "libXcursor", "libxcursor", "libXcursor1", "libxcursor", "xorg.libXcursor"],
    ),
    library("libXi.so.6", ["libxi6", "libXi", "libxi", "libXi6", "libxi", "xorg.libXi"]),
    library("libXrandr.so.2", ["libxrandr2", "libXrandr", "libxrandr", "libXrandr2", "libxrandr", "xorg.libXrandr"]),
];
const WAYLAND: Library = library(
    "libwayland-client.so.0",
    ["libwayland-client0", "libwayland-client", "wayland", "libwayland-client0", "wayland-libs-client", "wayland"],
);
const VULKAN: Library = library(
    "libvulkan.so.1",
    ["libvulkan1", "vulkan-loader", "vulkan-icd-loader", "libvulkan1", "vulkan-loader", "vulkan-loader"],
);
/// A driver that draws on any machine.
const DRIVER: Library = library(
    "a Vulkan driver",
    ["mesa-vulkan-drivers", "mesa-vulkan-drivers", "vulkan-swrast", "libvulkan_lvp", "mesa-vulkan-swrast", "mesa"],
);

/// What a failure to open a window means, and what helps. `text` is the error or the panic of those who tried.
pub fn explain(text: &str) -> String {
    explained(text, Distribution::of_this_machine(), &|file| is_there(file, &folders()))
}

fn explained(text: &str, distribution: Distribution, there: &dyn Fn(&str) -> bool) -> String {
    let lower = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let lacks = |all: &[Library], what: &str| {
        let missing: Vec<Library> = all.iter().copied().filter(|library| !there(library.file)).collect();
        // The loader knows better than we do where it looked.
        let missing = if missing.is_empty() { all.to_vec() } else { missing };
        let files: Vec<_> = missing.iter().map(|library| library.file).collect();
        format!("{what}{} cannot be loaded; {}", files.join(", "), distribution.install(&missing))
    };
    if says(&["xkbcommon-x11"]) {
        return lacks(&[XKB_X11, XKB], "the library for the keyboard, ");
    }
    if says(&["xkbcommon"]) {
        return lacks(&[XKB], "the library for the keyboard, ");
    }
    if says(&["xlib's shared libraries", "libxcursor", "libx11", "libxi.so", "libxrandr"]) {
        return lacks(&X, "the library for X11, ");
    }
    if says(&["libwayland", "wayland library", "nowaylandlib"]) {
        return lacks(&[WAYLAND], "the library for Wayland, ");
    }
    if says(&["no valid format for the surface", "no supported format", "surface is not supported"]) {
        return "the display has no colors that can be drawn in, as those of 16 bits a pixel (or 8) have none: it needs 24 bits. Set \
                the color depth of the desktop to 24 or 32 bits (Xvfb: -screen 0 1280x800x24; VNC: -depth 24)"
            .to_owned();
    }
    if says(&["connection to x server", "xopendisplay", "authorization", "no protocol specified"]) {
        return "the X server does not let this program in: run it as the user whose desktop it is (after sudo or su, XAUTHORITY must \
                name that user's file)"
            .to_owned();
    }
    if says(&["wayland compositor", "nocompositor", "wayland"]) {
        return format!("the Wayland compositor does not take it ({})", plain(text));
    }
    if says(&["adapter", "no suitable", "graphics driver", "surface for any enabled backend"]) {
        return lacks(&[DRIVER, VULKAN], "there is no graphics driver to draw with, not even a slow one: ");
    }
    plain(text)
}

/// Where libraries are looked for.
fn folders() -> Vec<PathBuf> {
    let path = std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).filter(|path| !path.as_os_str().is_empty()).collect();
    let arch = std::env::consts::ARCH;
    for root in ["/lib", "/usr/lib", "/usr/local/lib"] {
        folders.push(root.into());
        folders.push(format!("{root}64").into());
        folders.push(format!("{root}/{arch}-linux-gnu").into());
    }
    let further = std::fs::read_dir("/etc/ld.so.conf.d").into_iter().flatten().flatten().map(|entry| entry.path());
    for list in further.chain(["/etc/ld.so.conf".into()]) {
        let text = std::fs::read_to_string(list).unwrap_or_default();
        folders.extend(text.lines().map(str::trim).filter(|line| line.starts_with('/')).map(PathBuf::from));
    }
    folders
}

/// Whether a library lies in one of these folders.
fn is_there(file: &str, folders: &[PathBuf]) -> bool {
    let is_library = |path: &Path| {
        let mut start = [0; 4];
        let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
        read.is_ok() && &start == b"\x7fELF"
    };
    folders.iter().any(|folder| is_library(&folder.join(file)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_library_is_told_with_the_package_of_this_distribution() {
        let panic = "Library libxkbcommon-x11.so could not be loaded.";
        let without = |file: &'static str| move |other: &str| other != file;
        for (distribution, command) in [
            (Distribution::Debian, "sudo apt-get install libxkbcommon-x11-0"),
            (Distribution::Fedora, "sudo dnf install libxkbcommon-x11"),
            (Distribution::Arch, "sudo pacman -S libxkbcommon-x11"),
            (Distribution::Suse, "sudo zypper install libxkbcommon-x11-0"),
            (Distribution::Alpine, "sudo apk add libxkbcommon-x11"),
            (Distribution::Nix, "LD_LIBRARY_PATH (nixpkgs: libxkbcommon)"),
            (Distribution::Other, "install the packages that have libxkbcommon-x11.so.0"),
        ] {
            let told = explained(panic, distribution, &without("libxkbcommon-x11.so.0"));
            assert!(told.contains(command), "{told}");
        }
        // It may be the library beneath.
        let told = explained(panic, Distribution::Debian, &without("libxkbcommon.so.0"));
        assert!(told.ends_with("apt-get install libxkbcommon0"), "{told}");
        let xlib = "winit EventLoopError: os error at /root/.cargo/registry/src/x/winit/src/mod.rs:788: Failed to load one of \
                    xlib's shared libraries";
        for (file, package) in
            [("libXcursor.so.1", "libxcursor1"), ("libXi.so.6", "libxi6"), ("libXrandr.so.2", "libxrandr2")]
        {
            let told = explained(xlib, Distribution::Debian, &without(file));
            assert!(told.contains(file) && told.ends_with(&format!("apt-get install {package}")), "{told}");
        }
        let told = explained(xlib, Distribution::Debian, &|_| true);
        assert!(X.iter().all(|library| told.contains(library.packages[0])), "one of them: {told}");
    }

    #[test]
    fn other_failures_are_told_without_source_paths() {
        let of = |text: &str| explained(text, Distribution::Debian, &|_| true);
        assert!(of("WGPU error: There was no valid format for the surface at all.").contains("24 bits"));
        assert!(of("os error at /r/mod.rs:788: Failed to open connection to X server").contains("XAUTHORITY"));
        assert!(
            of("WGPU error: Failed to create wgpu adapter, no suitable adapter found").contains("mesa-vulkan-drivers")
        );
        assert!(of("WGPU error: Failed to create surface for any enabled backend: {}").contains("mesa-vulkan-drivers"));
        assert_eq!(of("winit at /r/src/mod.rs:7: it is raining"), "winit it is raining");
    }

    #[test]
    fn distributions_are_known_by_their_own_name_or_their_family() {
        let of = |id: &str, like: &str| Distribution::of(&format!("NAME=\"x\"\nID={id}\nID_LIKE=\"{like}\"\n"));
        assert_eq!(of("ubuntu", "debian"), Distribution::Debian);
        assert_eq!(of("\"zorin\"", "ubuntu debian"), Distribution::Debian);
        assert_eq!(of("rocky", "rhel centos fedora"), Distribution::Fedora);
        assert_eq!(of("opensuse-tumbleweed", "opensuse suse"), Distribution::Suse);
        assert_eq!(of("manjaro", "arch"), Distribution::Arch);
        assert_eq!([of("alpine", ""), of("nixos", "")], [Distribution::Alpine, Distribution::Nix]);
        assert_eq!(of("haiku", ""), Distribution::Other);
    }
}
