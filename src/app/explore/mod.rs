//! The explorer. What is explored is one [`Session`]; the panels are views of it, and the worker draws what they name.

mod arithmetic;
mod bar;
mod comparison;
mod concepts;
mod directions;
mod drag;
mod exports;
mod files;
mod gallery;
mod pad;
mod photo;
mod plans;
mod sessions;
mod shelf;
mod timing;
mod tool;
mod turn;
mod undo;
mod views;
mod walk;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use egui::Ui;

use super::Start;
use super::dissect::{Inside, Part};
use super::drops::What;
use super::tensor_texture::TexturePainter;
use crate::device::Compute;
use crate::latent::session::{Point, Session};
use crate::model::{Ablation, ModelConfig, Provenance, TensorFile, bundled};
use files::Files;
use gallery::Gallery;
use plans::Plans;
use sessions::Opening;
use tool::Tool;
use undo::Undo;
use views::Views;
use worker::{Reply, Request, Slot, Worker};

pub use timing::{GALLERY, Latency, LatencyError, latency};

/// What a tool does with a picture that is dropped on the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// Looks for its z.
    Photo,
    /// Has the discriminator judge it.
    Judgement,
    /// It is for no pictures.
    Nothing,
}

pub(super) struct Explorer {
    worker: Worker,
    model: Option<(ModelConfig, Provenance)>,
    /// The path of the model that the worker has open.
    explored: Option<PathBuf>,
    error: Option<String>,
    /// What a person should know, and is no error.
    notice: Option<String>,
    session: Session,
    /// The file of the session, once it has one.
    file: Option<PathBuf>,
    /// A session that waits for its model.
    opening: Option<Opening>,
    /// When the worker began to open a model, while it does.
    began_to_open: Option<Instant>,
    undo: Undo,
    plans: Plans,
    views: Views,
    gallery: Gallery,
    tool: Tool,
    files: Files,
    /// A figure that waits for its pictures.
    figure: Option<exports::Figure>,
    arithmetic: arithmetic::Arithmetic,
    comparison: comparison::Comparison,
    walk: walk::Walker,
    directions: directions::Found,
    pad: pad::Pad,
    photo: photo::Photo,
    inside: Inside,
    /// The ablations that the worker draws under.
    ablated: Vec<Ablation>,
    /// Checkpoints of the run that the model belongs to.
    siblings: Vec<(u64, PathBuf)>,
    /// Whether the generator in training is explored as it learns.
    following: bool,
    /// What was dropped on the window.
    dropped: Option<Vec<(PathBuf, What)>>,
}

impl Explorer {
    /// `painter` is there where the window draws with the device that computes.
    pub fn new(compute: &Compute, start: &Start, painter: Option<TexturePainter>, ctx: &egui::Context) -> Self {
        let worker = Worker::start(compute.device.clone(), painter, ctx);
        let model = start.model.clone().or_else(|| bundled().next().map(PathBuf::from)).unwrap_or_default();
        worker.send(Request::Open(model.clone(), None));
        let files = Files::new(ctx, start.kept.clone(), start.exports.clone());
        match (&start.session, &start.model) {
            (Some(session), _) => files.read(session.clone()),
            (None, None) => files.restore(),
            (None, Some(_)) => {}
        }
        let session = Session::new(model);
        Self {
            worker,
            model: None,
            explored: None,
            error: None,
            notice: None,
            undo: Undo::new(session.clone()),
            session,
            file: None,
            opening: None,
            began_to_open: None,
            plans: Plans::default(),
            views: Views::default(),
            gallery: Gallery::default(),
            tool: Tool::Gallery,
            files,
            figure: None,
            arithmetic: arithmetic::Arithmetic::default(),
            comparison: comparison::Comparison::default(),
            walk: walk::Walker::default(),
            directions: directions::Found::default(),
            pad: pad::Pad::default(),
            photo: photo::Photo::default(),
            inside: Inside::new(compute.device.clone(), start.exports.clone(), ctx),
            ablated: Vec::new(),
            siblings: Vec::new(),
            following: false,
            dropped: None,
        }
    }

    /// Has another thread look what was dropped on the window.
    pub fn ask_what(&self, paths: Vec<PathBuf>) {
        self.files.ask_what(paths);
    }

    /// What was dropped and looked at.
    pub fn dropped(&mut self) -> Option<Vec<(PathBuf, What)>> {
        self.dropped.take()
    }

    /// Whether the generator in training should be told with every preview.
    pub fn follows(&self) -> bool {
        self.following
    }

    /// The path of the model that is explored, and what it was trained on.
    pub fn explored(&self) -> Option<(PathBuf, String)> {
        Some((self.explored.clone()?, self.model.as_ref()?.1.data.clone()))
    }

    /// Whether there are samples to see.
    pub fn shows_samples(&self) -> bool {
        self.gallery.has_samples()
    }

    /// The generator in training in the run folder `run`, as it is now.
    pub fn follow(&mut self, run: PathBuf, generator: Arc<TensorFile>) {
        if self.following {
            self.inside.follow(run.clone(), generator.clone());
            self.worker.send(Request::Follow(run, generator));
        }
    }

    /// Looks for the z of a picture; where the discriminator is looked at, asks for its verdict instead.
    pub fn project(&mut self, path: PathBuf) {
        if self.tool == Tool::Inside(Part::Discriminator) {
            self.inside.judge(path);
            return;
        }
        self.tool = Tool::Photo;
        self.error = None;
        self.worker.send(Request::Project(path));
    }

    /// What the tool does with a picture that is dropped.
    pub fn takes(&self) -> Takes {
        match self.tool {
            Tool::Photo => Takes::Photo,
            Tool::Inside(Part::Discriminator) => Takes::Judgement,
            _ => Takes::Nothing,
        }
    }

    /// Boxes over samples, for what is to be forgotten.
    pub fn open_boxes(&mut self, path: PathBuf) {
        self.tool = Tool::Inside(Part::Forget);
        self.inside.open_boxes(path);
    }

    /// Takes in what other threads finished.
    pub fn receive(&mut self, ctx: &egui::Context) {
        self.answers();
        self.inside.receive(ctx, &mut self.session);
        while let Ok(reply) = self.worker.responses.try_recv() {
            // The worker does one thing after the other: whatever it says next, it has done with opening.
            self.began_to_open = matches!(reply, Reply::Opening).then(Instant::now);
            match reply {
                Reply::Opening => {}
                opened @ Reply::Opened { .. } => self.on_opened(opened),
                Reply::NotOpened { error, gone } => self.not_opened(error, gone),
                Reply::Followed { path, config, provenance } => self.followed(path, config, provenance),
                Reply::Drawn { seed, chunk, sheet } => self.gallery.take(ctx, seed, chunk, sheet),
                Reply::Rendered { slot, z, pictures } => self.views.take(ctx, slot, z, pictures),
                Reply::Read { slot, z, pictures } => self.views.read(slot, &z, pictures),
                Reply::Added { terms, pictures } => self.comparison.take(ctx, &terms, pictures),
                Reply::Found { method, directions } => self.directions.take(method, directions),
                Reply::Projecting(search) => self.photo.take(ctx, search),
                Reply::NotProjected(error) => {
                    self.photo.failed();
                    self.error = Some(error);
                }
                Reply::Failed(error) => self.error = Some(error),
            }
        }
    }

    /// Whether the session is one of the model that is open: an undone change may be of the model.
    fn fits(&self, config: &ModelConfig) -> bool {
        self.explored.as_ref() == Some(&self.session.model) && self.session.check_dimensions(config.z_dim).is_ok()
    }

    /// Draws the explorer; true when training on rooms was asked for. `training` tells whether a run is going on.
    pub fn ui(&mut self, ui: &mut Ui, training: bool) -> bool {
        let ctx = ui.ctx().clone();
        let before = self.session.model.clone();
        self.shortcuts(&ctx);
        let train = egui::Panel::top("explore").show(ui, |ui| self.bar(ui, training)).inner;
        if self.session.model != before {
            self.following = false;
            self.worker.send(Request::Open(self.session.model.clone(), None));
        }
        match self.model.as_ref().map(|(config, _)| config.clone()).filter(|config| self.fits(config)) {
            Some(config) => {
                self.ablate();
                self.plans.update(&self.session, &config);
                self.panels(ui, &config);
                self.carried(&ctx);
                self.ask_again(&ctx, &config);
            }
            None => {
                egui::CentralPanel::default().show(ui, |ui| ui.centered_and_justified(|ui| ui.spinner()));
            }
        }
        let still = !ctx.input(|input| input.pointer.any_down()) && !ctx.text_edit_focused();
        if still {
            self.autosave();
        }
        train
    }

    /// Has what changed since the last autosave kept, also what the pointer or the keyboard is in the middle of.
    pub fn autosave(&mut self) {
        if self.undo.note(&self.session) {
            self.files.autosave(self.session.clone());
        }
    }

    /// Has everything drawn under the session's ablations.
    fn ablate(&mut self) {
        if self.session.ablations != self.ablated {
            self.ablated.clone_from(&self.session.ablations);
            self.worker.send(Request::Ablate(self.ablated.clone()));
            self.refresh();
        }
    }

    /// Asks for all pictures again; what is on the screen stays until they are drawn.
    fn refresh(&mut self) {
        self.views.refresh();
        self.gallery.refresh();
        self.comparison.refresh();
    }

    /// What a panel changed in this frame is asked for at once, not in the next one: the pointer waits for it.
    fn ask_again(&mut self, ctx: &egui::Context, config: &ModelConfig) {
        if !self.fits(config) || !self.plans.update(&self.session, config) {
            return;
        }
        match self.tool {
            Tool::Arithmetic => {
                self.views.ask(&self.worker, Slot::Applied, &self.plans.applied);
                self.views.ask(&self.worker, Slot::Result, &self.plans.around);
            }
            Tool::Directions => self.views.ask(&self.worker, Slot::Pointer, &self.plans.moved),
            _ => {}
        }
        ctx.request_repaint();
    }

    fn panels(&mut self, ui: &mut Ui, config: &ModelConfig) {
        if self.tool == Tool::Gallery {
            egui::CentralPanel::default().show(ui, |ui| {
                self.shelf(ui);
                self.samples(ui, config);
            });
            return;
        }
        if self.tool == Tool::Inside(Part::Forget) {
            // It has samples of its own, which are drawn with everything in place.
            egui::CentralPanel::default().show(ui, |ui| self.inside.ui(ui, Part::Forget, &mut self.session));
            return;
        }
        let width = ui.available_width();
        egui::Panel::left("samples").default_size(width * 0.34).size_range(220.0..=(width * 0.6).max(221.0)).show(
            ui,
            |ui| {
                if !self.tool.hint().is_empty() {
                    ui.strong(self.tool.hint());
                }
                self.shelf(ui);
                self.samples(ui, config);
            },
        );
        egui::CentralPanel::default().show(ui, |ui| {
            let keys = ui.rect_contains_pointer(ui.max_rect()) && ui.memory(|memory| memory.focused().is_none());
            match self.tool {
                Tool::Gallery => {}
                Tool::Directions => self.directions(ui, config, keys),
                Tool::Plane => self.plane(ui, config, keys),
                Tool::Arithmetic | Tool::Walk | Tool::Photo | Tool::Inside(_) => {
                    egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| match self.tool {
                        Tool::Inside(part) => self.inside.ui(ui, part, &mut self.session),
                        Tool::Arithmetic => self.arithmetic(ui, config),
                        Tool::Walk => self.walk(ui),
                        _ => self.photo(ui),
                    });
                }
            }
        });
    }

    fn samples(&mut self, ui: &mut Ui, config: &ModelConfig) {
        self.gallery.head(ui, &mut self.session.seed);
        let chosen = self.chosen();
        let keys = !self.tool.takes_arrows();
        let clicked = self.gallery.ui(ui, &self.worker, config, self.session.seed, &chosen, keys);
        if let Some(point) = clicked {
            self.pick(point);
        }
    }

    /// The samples of the gallery's seed that the tool at hand uses.
    fn chosen(&self) -> Vec<u64> {
        let turn = &self.session.turn;
        let points: Vec<&Point> = match self.tool {
            Tool::Gallery | Tool::Photo | Tool::Inside(Part::Forget) => Vec::new(),
            Tool::Arithmetic if self.arithmetic.turns() => turn.from.iter().chain(&turn.to).collect(),
            Tool::Arithmetic => self.session.trays.iter().flat_map(|tray| &tray.members).collect(),
            Tool::Walk => self.session.walk.keyframes.iter().collect(),
            Tool::Directions | Tool::Inside(_) => vec![&self.session.subject],
            Tool::Plane => self.session.plane.iter().collect(),
        };
        let number = |point: &Point| match point {
            Point::Sample { seed, number } if *seed == self.session.seed => Some(*number),
            _ => None,
        };
        points.into_iter().filter_map(number).collect()
    }

    /// A click on a sample, or on a point of the shelf.
    fn pick(&mut self, point: Point) {
        match self.tool {
            Tool::Gallery => {
                self.session.subject = point;
                self.tool = Tool::Directions;
            }
            Tool::Arithmetic => self.arithmetic.pick(&mut self.session, point),
            Tool::Walk => self.session.walk.keyframes.push(point),
            Tool::Directions | Tool::Inside(_) => self.session.subject = point,
            Tool::Plane => self.pad.pick(&mut self.session, point),
            Tool::Photo => {}
        }
    }
}
