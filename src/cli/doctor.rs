//! `zscape doctor`.

use clap::Args;

use super::Common;
use crate::device::{Adapter, Choice, Compute, adapters};

#[derive(Args, Debug)]
pub(super) struct Doctor {
    #[command(flatten)]
    common: Common,
}

/// What the window needs to be drawn: an adapter of any kind, and on Linux a display.
fn window(adapters: &[Adapter]) -> Result<String, String> {
    let Some(adapter) = adapters.first() else {
        return Err("no graphics driver at all: install a Vulkan driver (Debian, Ubuntu: apt-get install \
                    mesa-vulkan-drivers libvulkan1)"
            .to_owned());
    };
    let display = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    if cfg!(target_os = "linux") && !display {
        return Err("no display (neither DISPLAY nor WAYLAND_DISPLAY is set): every command without a window works; \
                    for the window log in to a desktop, or use ssh -X or xvfb-run"
            .to_owned());
    }
    Ok(format!("on {}", adapter.name))
}

impl Doctor {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        let adapters = adapters();
        let chosen = Compute::choose(self.common.device);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let window = window(&adapters);
        let value = serde_json::json!({
            "adapters": adapters,
            "cpu_threads": cores,
            "compute": chosen.as_ref().ok().map(|c| serde_json::json!({ "kind": c.kind, "name": c.name })),
            "compute_error": chosen.as_ref().err().map(ToString::to_string),
            "window": window.as_ref().ok(),
            "window_error": window.as_ref().err(),
        });
        self.common.print(&value, || {
            let mut text = String::from("Graphics adapters:\n");
            for adapter in &adapters {
                text += &format!("  {} ({}, {}, {})\n", adapter.name, adapter.kind, adapter.backend, adapter.driver);
            }
            if adapters.is_empty() {
                text += "  none\n";
            }
            text += &format!("CPU: {cores} threads\n");
            text += &match &chosen {
                Ok(compute) => format!("Computing: on {}\n", compute.name),
                Err(error) => format!("Computing: {error}\n"),
            };
            if self.common.device != Choice::Cpu && !adapters.iter().any(|adapter| adapter.hardware) {
                text += "  No graphics card was found, so training runs on the CPU: it works, but far \
                         slower.\n  If this machine has one, install its Vulkan driver and run this again.\n";
            }
            text += &match &window {
                Ok(place) => format!("Window: drawn {place}\n"),
                Err(missing) => format!("Window: cannot open, {missing}\n"),
            };
            text
        })
    }
}
