//! Opens the window on a display server that responds, no larger than its monitor, and explains why where it cannot be opened.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use egui::{Vec2, ViewportCommand};

use super::drops;
use super::tensor_texture::TexturePainter;
use crate::desktop::{self, DisplayServer, NoDisplay};
use crate::device::{self, Compute, Hardware};
use crate::panics;

/// Default size, and smallest size in which everything can be reached, in points.
const SIZE: [f32; 2] = [1280.0, 800.0];
const SMALLEST: Vec2 = Vec2::new(760.0, 480.0);
/// Space on the monitor for the desktop's panel and the window's title and frame, in points.
const FRAME: Vec2 = Vec2::new(16.0, 72.0);
/// Frames after which a desktop that has not reported the monitor will not do so.
const FRAMES: u8 = 100;

/// Why the window cannot be opened, or has closed.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// There is no display.
    #[error(transparent)]
    NoDisplay(#[from] NoDisplay),
    /// It cannot be opened.
    #[error("cannot open the window on {backend}: {cause}")]
    NotOpened {
        /// The display server.
        backend: DisplayServer,
        /// What is missing.
        cause: String,
    },
    /// It was open and failed.
    #[error("the window failed: {cause}")]
    Broke {
        /// What happened.
        cause: String,
    },
}

/// The result of opening a small window for a moment.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Tried {
    /// The display server.
    pub on: String,
    /// The name of the adapter that drew it.
    pub drawn_by: String,
    /// Whether files can be dropped on it.
    pub takes_drops: bool,
    /// Size of the monitor in points, where the desktop reports it.
    pub monitor: Option<[f32; 2]>,
    /// Pixels per point.
    pub scale: f32,
}

/// Opens a small window for a moment, as [`super::run`] opens the large one.
///
/// # Errors
/// When it does not open; the message says what is missing.
pub fn try_window(compute: Compute) -> Result<Tried, WindowError> {
    let tried = Arc::new(Mutex::new(None));
    let shared = tried.clone();
    open_sized(compute, [240.0, 120.0], false, move |opened| {
        let Opened { backend, drawn_by, .. } = opened;
        Box::new(Trying { backend, drawn_by, frames: 0, tried: shared })
    })?;
    let tried = tried.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
    tried.ok_or_else(|| WindowError::Broke { cause: "it closed before it was drawn".to_owned() })
}

struct Trying {
    backend: DisplayServer,
    drawn_by: String,
    frames: u32,
    tried: Arc<Mutex<Option<Tried>>>,
}

impl eframe::App for Trying {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        let ctx = ui.ctx().clone();
        ui.label("zscape doctor");
        self.frames += 1;
        if self.frames > 2 {
            // Two frames are on the screen.
            let monitor = ctx.input(|input| input.viewport().monitor_size).map(Into::into);
            let (on, drawn_by) = (self.backend.to_string(), self.drawn_by.clone());
            let takes_drops = self.backend.supports_file_drops();
            let tried = Tried { on, drawn_by, takes_drops, monitor, scale: ctx.pixels_per_point() };
            *self.tried.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(tried);
            ctx.send_viewport_cmd(ViewportCommand::Close);
        }
        ctx.request_repaint();
    }

    fn persist_egui_memory(&self) -> bool {
        false
    }
}

/// What the content of a window needs.
struct Opened {
    compute: Compute,
    painter: Option<TexturePainter>,
    ctx: egui::Context,
    backend: DisplayServer,
    drawn_by: String,
}

/// Opens a window with the content that `create` makes, and returns when it is closed.
pub(super) fn open(
    compute: Compute,
    create: impl FnOnce(Compute, Option<TexturePainter>, &egui::Context) -> Box<dyn eframe::App> + 'static,
) -> anyhow::Result<()> {
    if compute.kind == Hardware::Cpu {
        // All cores compute, but the thread that draws the window goes first.
        rayon::ThreadPoolBuilder::new().start_handler(|_| device::lower_thread_priority()).build_global()?;
    }
    open_sized(compute, SIZE, true, |Opened { compute, painter, ctx, .. }| create(compute, painter, &ctx)).map_err(
        |error| match error {
            WindowError::NotOpened { .. } => anyhow::anyhow!("{error}. `zscape doctor` tries all that a window needs"),
            error => error.into(),
        },
    )
}

/// Like [`open`]. If the first display server fails, the program restarts itself on the next one, since a process can open a display only
/// once.
fn open_sized(
    compute: Compute,
    size: [f32; 2],
    persist: bool,
    create: impl FnOnce(Opened) -> Box<dyn eframe::App> + 'static,
) -> Result<(), WindowError> {
    let backends = desktop::available_servers()?;
    let [backend, rest @ ..] = &backends[..] else { return Ok(()) };
    let backend = *backend;
    let opened = Arc::new(AtomicBool::new(false));
    let flag = opened.clone();
    let mut options = eframe::NativeOptions {
        viewport: egui::ViewportBuilder::default()
            .with_title("zscape")
            .with_app_id("zscape")
            .with_inner_size(size)
            .with_drag_and_drop(true),
        persist_window: persist,
        event_loop_builder: Some(Box::new(move |builder| force(builder, backend))),
        ..Default::default()
    };
    if let Some(setup) = &compute.wgpu {
        options.wgpu_options.wgpu_setup = egui_wgpu::WgpuSetup::Existing(egui_wgpu::WgpuSetupExisting {
            instance: setup.instance.clone(),
            adapter: setup.adapter.clone(),
            device: setup.device.clone(),
            queue: setup.queue.clone(),
        });
    }
    let create = move |cc: &eframe::CreationContext<'_>| -> Result<Box<dyn eframe::App>, _> {
        flag.store(true, Ordering::Relaxed);
        drops::offer(&cc.egui_ctx, backend.supports_file_drops());
        let state = cc.wgpu_render_state.as_ref();
        let drawn_by = state.map(|state| state.adapter.get_info().name).unwrap_or_default();
        let painter = state.filter(|_| compute.wgpu.is_some()).map(TexturePainter::new);
        Ok(create(Opened { compute, painter, ctx: cc.egui_ctx.clone(), backend, drawn_by }))
    };
    let ended = panics::catch(|| eframe::run_native("zscape", options, Box::new(create)));
    let cause = match ended {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => panic,
    };
    if opened.load(Ordering::Relaxed) {
        return Err(WindowError::Broke { cause: panics::without_source_locations(&cause) });
    }
    let cause = desktop::explain_window_error(&cause);
    match rest.first() {
        Some(next) => Err(again_on(*next, backend, cause)),
        None => Err(WindowError::NotOpened { backend, cause }),
    }
}

/// Opens the window on `backend`, whatever the environment says.
#[cfg(all(unix, not(target_os = "macos")))]
fn force(builder: &mut winit::event_loop::EventLoopBuilder<eframe::UserEvent>, backend: DisplayServer) {
    use winit::platform::wayland::EventLoopBuilderExtWayland;
    use winit::platform::x11::EventLoopBuilderExtX11;
    match backend {
        DisplayServer::X11 => _ = builder.with_x11(),
        DisplayServer::Wayland => _ = builder.with_wayland(),
        DisplayServer::System => {}
    }
}

/// Other systems have one display server.
#[cfg(not(all(unix, not(target_os = "macos"))))]
fn force<T>(_builder: &mut T, _backend: DisplayServer) {}

/// Restarts the program on another display server. Returns only if that fails.
#[cfg(unix)]
fn again_on(next: DisplayServer, failed: DisplayServer, cause: String) -> WindowError {
    use std::os::unix::process::CommandExt;
    eprintln!("zscape: no window on {failed}: {cause}. Trying {next}");
    let not_opened = |more: String| WindowError::NotOpened { backend: failed, cause: format!("{cause}{more}") };
    let Ok(program) = std::env::current_exe() else { return not_opened(String::new()) };
    let mut command = std::process::Command::new(program);
    command.args(std::env::args_os().skip(1)).env(desktop::DISPLAY_VARIABLE, next.to_string().to_ascii_lowercase());
    not_opened(format!("; and the program cannot restart on {next}: {}", command.exec()))
}

/// Only Unix has several display servers.
#[cfg(not(unix))]
fn again_on(_next: DisplayServer, failed: DisplayServer, cause: String) -> WindowError {
    WindowError::NotOpened { backend: failed, cause }
}

/// Makes the window fit its monitor once its size is known.
#[derive(Default)]
pub(super) struct Fitting {
    frames: u8,
    done: bool,
}

impl Fitting {
    /// Shrinks the window if its monitor is smaller.
    pub fn fit(&mut self, ctx: &egui::Context) {
        if self.done {
            return;
        }
        self.frames += 1;
        self.done = self.frames >= FRAMES;
        let (monitor, inner, filling) = ctx.input(|input| {
            let viewport = input.viewport();
            let filling = [viewport.maximized, viewport.fullscreen].contains(&Some(true));
            (viewport.monitor_size, viewport.inner_rect, filling)
        });
        let (Some(monitor), Some(inner)) = (monitor, inner) else { return };
        self.done = true;
        let room = room(monitor);
        ctx.send_viewport_cmd(ViewportCommand::MinInnerSize(SMALLEST.min(room)));
        if !filling && (inner.width() > room.x || inner.height() > room.y) {
            ctx.send_viewport_cmd(ViewportCommand::InnerSize(inner.size().min(room)));
        }
    }
}

/// The space for a window's content on a monitor, in points.
fn room(monitor: Vec2) -> Vec2 {
    (monitor - FRAME).max(monitor * 0.6).floor()
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;

    use super::*;

    /// The commands that a window of size `inner` sends to the desktop.
    fn asked(monitor: Option<[f32; 2]>, inner: [f32; 2], maximized: bool) -> Vec<ViewportCommand> {
        let mut fitting = Fitting::default();
        let mut harness = Harness::builder().with_size(inner).build_ui(move |ui| fitting.fit(&ui.ctx().clone()));
        harness.run_steps(1);
        let viewport = harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        viewport.monitor_size = monitor.map(Into::into);
        viewport.inner_rect = Some(egui::Rect::from_min_size(egui::Pos2::ZERO, inner.into()));
        viewport.maximized = Some(maximized);
        harness.step();
        let commands = harness.output().viewport_output[&egui::ViewportId::ROOT].commands.clone();
        harness.step();
        let again = &harness.output().viewport_output[&egui::ViewportId::ROOT].commands;
        assert!(again.is_empty(), "once is enough: {again:?}");
        commands
    }

    #[test]
    fn a_window_is_no_larger_than_its_monitor() {
        let smallest = |x, y| ViewportCommand::MinInnerSize(Vec2::new(x, y));
        let size = |x, y| ViewportCommand::InnerSize(Vec2::new(x, y));
        assert_eq!(asked(Some([1920.0, 1080.0]), SIZE, false), [smallest(760.0, 480.0)]);
        assert_eq!(asked(Some([1280.0, 800.0]), SIZE, false), [smallest(760.0, 480.0), size(1264.0, 728.0)]);
        // 1366 x 768 with two pixels a point.
        assert_eq!(asked(Some([683.0, 384.0]), [683.0, 384.0], false), [smallest(667.0, 312.0), size(667.0, 312.0)]);
        assert_eq!(asked(Some([1280.0, 800.0]), SIZE, true), [smallest(760.0, 480.0)], "a maximized one fits already");
        assert_eq!(asked(None, SIZE, false), []);
    }
}
