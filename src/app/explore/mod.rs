//! The explorer: panels that change one [`Session`](crate::latent::session::Session) and show images generated from it.
//!
//! [`Explorer`] owns the panels and what they share, the [`PanelContext`]. It routes frames, responses of the worker and actions
//! to the panels; a [`Panel`] can be read and tested without it.

mod arithmetic;
mod comparison;
mod concepts;
mod context;
mod direction_search;
mod directions;
mod drag;
mod exports;
mod files;
mod gallery;
mod grid_layout;
mod inspector;
mod messages;
mod model_bar;
mod model_change;
mod panel;
mod photo;
mod plane;
mod plans;
mod sessions;
mod shelf;
#[cfg(test)]
mod testing;
mod timing;
mod toolbar;
mod tray;
mod turn;
mod undo;
mod views;
mod walk;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use egui::{CentralPanel, ScrollArea, Ui};

use super::Start;
use super::action::Action;
use super::dissect::{Inspector, InspectorTab};
use super::tensor_texture::TexturePainter;
use super::tool::{ImageUse, Tool};
use crate::device::Compute;
use crate::latent::session::{Point, Session};
use crate::model::{Ablation, TensorFile, bundled};
use context::{OpenModel, PanelContext};
use files::{FileResponse, FileTasks};
use gallery::Gallery;
use inspector::InspectorPanel;
use model_change::ModelChange;
use panel::Panel;
use sessions::SessionLoader;
use shelf::Shelf;
use worker::{ExplorerRequest, ExplorerResponse, ExplorerWorker};

pub use timing::{GALLERY, Latency, LatencyError, latency};

/// The panels of the tools.
struct ToolPanels {
    arithmetic: arithmetic::ArithmeticPanel,
    walk: walk::WalkPanel,
    directions: directions::DirectionsPanel,
    plane: plane::PlanePanel,
    photo: photo::PhotoPanel,
    inspector: InspectorPanel,
}

impl ToolPanels {
    /// The panel of a tool; the gallery has none.
    fn panel(&mut self, tool: Tool) -> Option<&mut dyn Panel> {
        if let Some(tab) = tool.inspector_tab() {
            self.inspector.tab = tab;
            return Some(&mut self.inspector);
        }
        match tool {
            Tool::Arithmetic => Some(&mut self.arithmetic),
            Tool::Walk => Some(&mut self.walk),
            Tool::Directions => Some(&mut self.directions),
            Tool::Plane => Some(&mut self.plane),
            Tool::Photo => Some(&mut self.photo),
            Tool::Gallery | Tool::Layers | Tool::Forget | Tool::Discriminator => None,
        }
    }

    fn all(&mut self) -> [&mut dyn Panel; 6] {
        let Self { arithmetic, walk, directions, plane, photo, inspector } = self;
        [arithmetic, walk, directions, plane, photo, inspector]
    }
}

/// The view *Explore*.
pub(super) struct Explorer {
    cx: PanelContext,
    tool: Tool,
    shelf: Shelf,
    gallery: Gallery,
    panels: ToolPanels,
    sessions: SessionLoader,
    /// The ablations that the worker generates images under.
    ablations: Vec<Ablation>,
}

impl Explorer {
    /// Starts the worker and opens the first model. With a `painter`, images that the window's graphics card computes stay there.
    pub fn new(compute: &Compute, start: &Start, painter: Option<TexturePainter>, ctx: &egui::Context) -> Self {
        let worker = ExplorerWorker::start(compute.device.clone(), painter, ctx);
        let model = start.model.clone().or_else(|| bundled().next().map(PathBuf::from)).unwrap_or_default();
        worker.send(ExplorerRequest::Open(model.clone(), None));
        let files = FileTasks::new(ctx, start.autosave.clone(), start.exports.clone());
        match (&start.session, &start.model) {
            (Some(session), _) => files.read(session.clone()),
            (None, None) => files.restore(),
            (None, Some(_)) => {}
        }
        let inspector = Inspector::new(compute.device.clone(), start.exports.clone(), ctx);
        Self {
            cx: PanelContext::new(ctx, worker, files, Session::new(model)),
            tool: Tool::Gallery,
            shelf: Shelf,
            gallery: Gallery::default(),
            panels: ToolPanels {
                arithmetic: Default::default(),
                walk: Default::default(),
                directions: Default::default(),
                plane: Default::default(),
                photo: Default::default(),
                inspector: InspectorPanel { inspector, tab: InspectorTab::Layers },
            },
            sessions: SessionLoader::default(),
            ablations: Vec::new(),
        }
    }

    /// Whether the trainer should publish its generator with every preview.
    pub fn following(&self) -> bool {
        self.cx.following
    }

    /// The path of the open model, and the data that it was trained on.
    pub fn open_model(&self) -> Option<(PathBuf, String)> {
        self.cx.model.as_ref().map(|model| (model.path.clone(), model.provenance.data.clone()))
    }

    /// Whether samples are on the screen.
    pub fn shows_samples(&self) -> bool {
        self.gallery.has_samples()
    }

    /// What the tool does with an image that is dropped on the window.
    pub fn image_use(&self) -> Option<ImageUse> {
        self.tool.image_use()
    }

    /// Shows what the training in the run folder `run` published, if it is followed.
    pub fn follow(&mut self, run: PathBuf, generator: Arc<TensorFile>) {
        if self.cx.following {
            self.panels.inspector.inspector.follow(run.clone(), generator.clone());
            self.cx.worker.send(ExplorerRequest::Follow(run, generator));
        }
    }

    /// Autosaves the session if it changed, even in the middle of a drag or while text is typed.
    pub fn autosave(&mut self) {
        self.cx.autosave();
    }

    /// Carries out an action that concerns the explorer; returns any other.
    pub fn apply(&mut self, action: Action) -> Option<Action> {
        match action {
            Action::Pick(point) => self.pick(point),
            Action::ShowTool(tool) => self.tool = tool,
            Action::OpenModel(path) => {
                self.cx.messages.clear();
                self.cx.following = false;
                self.cx.worker.send(ExplorerRequest::Open(path, None));
            }
            Action::OpenSession(path) => {
                self.cx.messages.clear();
                self.cx.files.read(path);
            }
            Action::OpenBoxes(path) => {
                self.tool = Tool::Forget;
                self.panels.inspector.inspector.open_boxes(path);
            }
            Action::OpenPhoto(path) if self.image_use() == Some(ImageUse::Discriminate) => {
                self.panels.inspector.inspector.judge(path);
            }
            Action::OpenPhoto(path) => {
                self.tool = Tool::Photo;
                self.cx.messages.error = None;
                self.cx.worker.send(ExplorerRequest::Project(path));
            }
            Action::FollowTraining(follow) => self.cx.following = follow,
            other => return Some(other),
        }
        None
    }

    /// Takes what other threads finished.
    pub fn receive(&mut self, ctx: &egui::Context) {
        while let Ok(response) = self.cx.files.responses().try_recv() {
            self.on_file_response(response);
        }
        self.panels.inspector.inspector.receive(ctx, &mut self.cx.session);
        while let Ok(response) = self.cx.worker.responses.try_recv() {
            self.on_response(response);
        }
    }

    /// Draws the explorer; returns an action for the rest of the window. `training` is true while a training runs.
    pub fn ui(&mut self, ui: &mut Ui, training: bool) -> Option<Action> {
        let ctx = ui.ctx().clone();
        self.cx.training = training;
        let before = self.cx.session.model.clone();
        let shown = toolbar::shortcuts(&ctx, &mut self.cx);
        self.route(shown);
        let action = egui::Panel::top("explore").show(ui, |ui| toolbar::ui(ui, &mut self.cx, self.tool)).inner;
        let action = self.route(action);
        if self.cx.session.model != before {
            // Undo or redo went back to another model.
            self.cx.following = false;
            self.cx.worker.send(ExplorerRequest::Open(self.cx.session.model.clone(), None));
        }
        if self.cx.session_fits_model() {
            self.ablate();
            self.cx.update_plans();
            self.tool_ui(ui);
            drag::show_carried(&ctx, &mut self.cx.session);
            self.request_changed();
        } else {
            CentralPanel::default().show(ui, |ui| ui.centered_and_justified(|ui| ui.spinner()));
        }
        let still = !ctx.input(|input| input.pointer.any_down()) && !ctx.text_edit_focused();
        if still {
            self.autosave();
        }
        action
    }

    /// Draws the tool, with the samples beside it.
    fn tool_ui(&mut self, ui: &mut Ui) {
        let tool = self.tool;
        match tool {
            Tool::Gallery => {
                CentralPanel::default().show(ui, |ui| self.samples(ui));
            }
            // The inspector generates its own samples, without ablations.
            Tool::Forget => {
                let action = CentralPanel::default().show(ui, |ui| self.panel_ui(ui, tool)).inner;
                self.route(action);
            }
            _ => {
                let width = ui.available_width();
                let samples = egui::Panel::left("samples").default_size(width * 0.34);
                samples.size_range(220.0..=(width * 0.6).max(221.0)).show(ui, |ui| {
                    if !tool.hint().is_empty() {
                        ui.strong(tool.hint());
                    }
                    self.samples(ui);
                });
                let action = CentralPanel::default().show(ui, |ui| {
                    if tool.scrolls() {
                        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| self.panel_ui(ui, tool)).inner
                    } else {
                        self.panel_ui(ui, tool)
                    }
                });
                self.route(action.inner);
            }
        }
    }

    fn panel_ui(&mut self, ui: &mut Ui, tool: Tool) -> Option<Action> {
        self.panels.panel(tool)?.ui(ui, &mut self.cx)
    }

    /// The shelf above the gallery.
    fn samples(&mut self, ui: &mut Ui) {
        let picked = self.shelf.ui(ui, &mut self.cx);
        self.route(picked);
        let panel = self.panels.panel(self.tool);
        let points = panel.map(|panel| panel.points(&self.cx.session)).unwrap_or_default();
        self.gallery.framed = points.into_iter().cloned().collect();
        self.gallery.arrow_keys = !self.tool.takes_arrows();
        let picked = self.gallery.ui(ui, &mut self.cx);
        self.route(picked);
    }

    /// Carries out an action of a panel, if it concerns the explorer.
    fn route(&mut self, action: Option<Action>) -> Option<Action> {
        self.apply(action?)
    }

    /// Uses a sample, or a point of the shelf, that was clicked.
    fn pick(&mut self, point: Point) {
        match self.panels.panel(self.tool) {
            Some(panel) => panel.pick(point, &mut self.cx),
            None => {
                self.cx.session.subject = point;
                self.tool = Tool::Directions;
            }
        }
    }

    /// Has everything generated under the session's ablations.
    fn ablate(&mut self) {
        if self.cx.session.ablations != self.ablations {
            self.ablations.clone_from(&self.cx.session.ablations);
            self.cx.worker.send(ExplorerRequest::Ablate(self.ablations.clone()));
            self.on_model_change(ModelChange::Weights);
        }
    }

    /// Requests what a panel changed in this frame at once, not in the next one: the pointer waits for it.
    fn request_changed(&mut self) {
        if !self.cx.session_fits_model() || !self.cx.update_plans() {
            return;
        }
        if let Some(panel) = self.panels.panel(self.tool) {
            panel.request_changed(&mut self.cx);
        }
        self.cx.egui.request_repaint();
    }

    fn on_model_change(&mut self, change: ModelChange) {
        self.cx.on_model_change(change);
        self.gallery.on_model_change(change, &mut self.cx);
        for panel in self.panels.all() {
            panel.on_model_change(change, &mut self.cx);
        }
    }

    fn on_response(&mut self, response: ExplorerResponse) {
        // The worker does one thing at a time: its next response means that a model is no longer being opened.
        self.cx.opening_since = matches!(response, ExplorerResponse::Opening).then(Instant::now);
        let cx = &mut self.cx;
        match response {
            ExplorerResponse::Opening => {}
            ExplorerResponse::Opened { path, config, provenance, siblings, session, notes } => {
                let model = OpenModel { path, config, provenance, checkpoints: siblings };
                let change = self.sessions.on_opened(model, session, &notes, cx);
                self.on_model_change(change);
            }
            ExplorerResponse::NotOpened { error, gone } => self.sessions.on_refused(error, gone, cx),
            ExplorerResponse::Followed { path, config, provenance } => {
                if let Some(change) = self.sessions.on_followed(path, config, provenance, cx) {
                    self.on_model_change(change);
                }
            }
            ExplorerResponse::Rendered { slot, z, pictures } => cx.views.insert(&cx.egui, slot, z, pictures),
            ExplorerResponse::ReadBack { slot, z, pictures } => cx.views.insert_pictures(slot, &z, pictures),
            ExplorerResponse::DirectionsFound { method, directions } => cx.directions.insert(method, directions),
            ExplorerResponse::Failed(error) => cx.messages.error = Some(error),
            ExplorerResponse::GalleryChunk { .. } => self.gallery.on_response(response, cx),
            ExplorerResponse::FeatureArithmetic { .. } => self.panels.arithmetic.on_response(response, cx),
            ExplorerResponse::Projecting(_) | ExplorerResponse::NotProjected(_) => {
                self.panels.photo.on_response(response, cx)
            }
        }
    }

    fn on_file_response(&mut self, response: FileResponse) {
        let cx = &mut self.cx;
        match response {
            FileResponse::Model(path) => _ = self.apply(Action::OpenModel(path)),
            FileResponse::Photo(path) => _ = self.apply(Action::OpenPhoto(path)),
            FileResponse::Session(file, session) => self.sessions.open(file, session, cx),
            FileResponse::Saved(path) => {
                cx.files.remember(&path);
                cx.session_file = Some(path.clone());
                cx.messages.written = Some(path);
            }
            FileResponse::Written(path) => {
                cx.files.writing = None;
                cx.messages.written = Some(path);
            }
            FileResponse::NotWritten => cx.files.writing = None,
            FileResponse::Recent(paths) => cx.files.append_recent(paths),
            FileResponse::Gone(path, error) => {
                cx.files.forget(&path);
                cx.messages.error = Some(error);
            }
            FileResponse::NotAutosaved(error) => cx.messages.notice = Some(error),
            FileResponse::Failed(error) => {
                cx.files.writing = None;
                cx.messages.error = Some(error);
            }
        }
    }
}
