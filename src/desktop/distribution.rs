//! Linux distributions, and the packages of the libraries that a window needs.

/// A family of Linux distributions with a common package manager.
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
    /// Any other system.
    Other,
}

impl Distribution {
    /// The distribution of this machine, from `/etc/os-release`.
    pub fn detect() -> Self {
        let read = |path| std::fs::read_to_string(path).ok();
        read("/etc/os-release").or_else(|| read("/usr/lib/os-release")).map_or(Self::Other, |text| Self::parse(&text))
    }

    /// Parses the contents of an `os-release` file.
    fn parse(os_release: &str) -> Self {
        let field = |name: &str| {
            let mut lines = os_release.lines().filter_map(|line| line.trim().split_once('='));
            lines
                .find(|(field, _)| *field == name)
                .map(|(_, value)| value.trim_matches(['"', '\'']).to_ascii_lowercase())
        };
        let ids = [field("ID"), field("ID_LIKE")].map(Option::unwrap_or_default).join(" ");
        let family = |id: &str| {
            Some(match id {
                "debian" | "ubuntu" | "linuxmint" | "raspbian" | "pop" => Self::Debian,
                "fedora" | "rhel" | "centos" | "rocky" | "almalinux" => Self::Fedora,
                "arch" | "manjaro" | "endeavouros" | "steamos" => Self::Arch,
                "suse" | "opensuse" | "sles" => Self::Suse,
                "alpine" | "postmarketos" => Self::Alpine,
                "nixos" => Self::Nix,
                id if id.starts_with("opensuse") => Self::Suse,
                _ => return None,
            })
        };
        ids.split_whitespace().find_map(family).unwrap_or(Self::Other)
    }

    /// How to install these libraries.
    pub(super) fn install_command(self, libraries: &[Library]) -> String {
        let column = match self {
            Self::Debian => 0,
            Self::Fedora => 1,
            Self::Arch => 2,
            Self::Suse => 3,
            Self::Alpine => 4,
            Self::Nix => 5,
            Self::Other => {
                let files: Vec<_> = libraries.iter().map(|library| library.file).collect();
                return format!("install the packages that contain {}", files.join(", "));
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

/// A shared library and its packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Library {
    pub file: &'static str,
    /// The package of Debian, Fedora, Arch, openSUSE, Alpine and Nix.
    pub packages: [&'static str; 6],
}

const fn library(file: &'static str, packages: [&'static str; 6]) -> Library {
    Library { file, packages }
}

pub(super) const XKB: Library = library(
    "libxkbcommon.so.0",
    ["libxkbcommon0", "libxkbcommon", "libxkbcommon", "libxkbcommon0", "libxkbcommon", "libxkbcommon"],
);
pub(super) const XKB_X11: Library = library(
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
/// The libraries that a window on X11 needs.
pub(super) const X11: [Library; 5] = [
    library("libX11.so.6", ["libx11-6", "libX11", "libx11", "libX11-6", "libx11", "xorg.libX11"]),
    library("libX11-xcb.so.1", ["libx11-xcb1", "libX11-xcb", "libx11", "libX11-xcb1", "libx11", "xorg.libX11"]),
    library(
        "libXcursor.so.1",
        ["libxcursor1", "libXcursor", "libxcursor", "libXcursor1", "libxcursor", "xorg.libXcursor"],
    ),
    library("libXi.so.6", ["libxi6", "libXi", "libxi", "libXi6", "libxi", "xorg.libXi"]),
    library("libXrandr.so.2", ["libxrandr2", "libXrandr", "libxrandr", "libXrandr2", "libxrandr", "xorg.libXrandr"]),
];
pub(super) const WAYLAND: Library = library(
    "libwayland-client.so.0",
    ["libwayland-client0", "libwayland-client", "wayland", "libwayland-client0", "wayland-libs-client", "wayland"],
);
pub(super) const VULKAN: Library = library(
    "libvulkan.so.1",
    ["libvulkan1", "vulkan-loader", "vulkan-icd-loader", "libvulkan1", "vulkan-loader", "vulkan-loader"],
);
/// A Vulkan driver that works on any machine.
pub(super) const DRIVER: Library = library(
    "a Vulkan driver",
    ["mesa-vulkan-drivers", "mesa-vulkan-drivers", "vulkan-swrast", "libvulkan_lvp", "mesa-vulkan-swrast", "mesa"],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_are_recognized_by_name_or_family() {
        let of = |id: &str, like: &str| Distribution::parse(&format!("NAME=\"x\"\nID={id}\nID_LIKE=\"{like}\"\n"));
        assert_eq!(of("ubuntu", "debian"), Distribution::Debian);
        assert_eq!(of("\"zorin\"", "ubuntu debian"), Distribution::Debian);
        assert_eq!(of("rocky", "rhel centos fedora"), Distribution::Fedora);
        assert_eq!(of("opensuse-tumbleweed", "opensuse suse"), Distribution::Suse);
        assert_eq!(of("manjaro", "arch"), Distribution::Arch);
        assert_eq!([of("alpine", ""), of("nixos", "")], [Distribution::Alpine, Distribution::Nix]);
        assert_eq!(of("haiku", ""), Distribution::Other);
    }
}
