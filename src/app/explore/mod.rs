//! The explorer. What is explored is one [`Session`]; the panels are views of it, and the worker draws what they name.

mod arithmetic;
mod directions;
mod files;
mod gallery;
mod measure;
mod pad;
mod photo;
mod undo;
mod views;
mod walk;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

use egui::{Key, KeyboardShortcut, Modifiers, Ui};

use super::Start;
use crate::device::Compute;
use crate::latent::session::{Point, Session};
use crate::model::{ModelConfig, Provenance, TensorFile, bundled};
use files::{Answer, Files};
use gallery::Gallery;
use undo::Undo;
use views::{Views, cell};
use worker::{Reply, Request, Slot, Worker};

pub use measure::{GALLERY, Latency, LatencyError, latency};

const UNDO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::Z);
const REDO: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND.plus(Modifiers::SHIFT), Key::Z);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tool {
    Gallery,
    Arithmetic,
    Walk,
    Directions,
    Plane,
    Photo,
}

impl Tool {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Gallery, "Gallery", "Only the samples"),
        (Self::Arithmetic, "Arithmetic", "Add and take away what samples have in common (the paper's figure 7)"),
        (Self::Walk, "Walk", "From sample to sample through Z (figure 4)"),
        (Self::Directions, "Directions", "Sliders that change one thing of a sample"),
        (Self::Plane, "Plane", "Drag a point over the plane through three samples"),
        (Self::Photo, "Photo", "Find the z that draws a picture of your own"),
    ];

    fn hint(self) -> &'static str {
        match self {
            Self::Gallery => "",
            Self::Arithmetic => "Click samples: they go into the framed tray.",
            Self::Walk => "Click samples: they are visited in this order.",
            Self::Directions => "Click the sample that the sliders move.",
            Self::Plane => "Click samples: they become the corner that is framed.",
            Self::Photo => "",
        }
    }
}

pub(super) struct Explorer {
    worker: Worker,
    model: Option<(ModelConfig, Provenance)>,
    error: Option<String>,
    session: Session,
    undo: Undo,
    views: Views,
    gallery: Gallery,
    tool: Tool,
    files: Files,
    arithmetic: arithmetic::Arithmetic,
    walk: walk::Walker,
    directions: directions::Found,
    corner: usize,
    photo: photo::Photo,
    /// Checkpoints of the run that the model belongs to.
    siblings: Vec<(u64, PathBuf)>,
    /// Whether the generator in training is explored as it learns.
    following: bool,
}

impl Explorer {
    pub fn new(compute: &Compute, start: &Start, ctx: &egui::Context) -> Self {
        let worker = Worker::start(compute.device.clone(), ctx);
        let model = start.model.clone().or_else(|| bundled().next().map(PathBuf::from)).unwrap_or_default();
        worker.send(Request::Open(model.clone()));
        let files = Files::new(ctx, start.kept.clone());
        match (&start.session, &start.model) {
            (Some(session), _) => files.read(session.clone()),
            (None, None) => files.restore(),
            (None, Some(_)) => {}
        }
        let session = Session::new(model);
        Self {
            worker,
            model: None,
            error: None,
            undo: Undo::new(session.clone()),
            session,
            views: Views::default(),
            gallery: Gallery::default(),
            tool: Tool::Gallery,
            files,
            arithmetic: arithmetic::Arithmetic::default(),
            walk: walk::Walker::default(),
            directions: directions::Found::default(),
            corner: 0,
            photo: photo::Photo::default(),
            siblings: Vec::new(),
            following: false,
        }
    }

    /// Whether the generator in training should be told with every preview.
    pub fn follows(&self) -> bool {
        self.following
    }

    /// Whether there are samples to see.
    pub fn shows_samples(&self) -> bool {
        self.gallery.has_samples()
    }

    /// The generator in training in the run folder `run`, as it is now.
    pub fn follow(&mut self, run: PathBuf, generator: Arc<TensorFile>) {
        if self.following {
            self.worker.send(Request::Follow(run, generator));
        }
    }

    /// Explores another model, keeping what of the session fits it.
    pub fn open(&mut self, path: PathBuf) {
        self.error = None;
        self.following = false;
        self.worker.send(Request::Open(path));
    }

    /// Looks for the z of a picture.
    pub fn project(&mut self, path: PathBuf) {
        self.tool = Tool::Photo;
        self.error = None;
        self.photo.start(&self.worker, path);
    }

    /// Opens a session file.
    pub fn open_session(&mut self, path: PathBuf) {
        self.files.read(path);
    }

    /// Whether a dropped picture would be looked for in Z.
    pub fn wants_pictures(&self) -> bool {
        self.tool == Tool::Photo
    }

    /// Takes in what other threads finished.
    pub fn receive(&mut self, ctx: &egui::Context) {
        while let Ok(answer) = self.files.answers().try_recv() {
            match answer {
                Answer::Model(path) => self.open(path),
                Answer::Photo(path) => self.project(path),
                Answer::Session(session) => {
                    self.worker.send(Request::Open(session.model.clone()));
                    self.session = *session;
                }
                Answer::Failed(error) => self.error = Some(error),
                Answer::Written(path) => self.files.written = Some(path),
            }
        }
        while let Ok(reply) = self.worker.replies.try_recv() {
            match reply {
                Reply::Opened { path, config, provenance, siblings } => {
                    self.opened(path, config, provenance);
                    self.siblings = siblings;
                }
                Reply::Followed { path, config, provenance } => {
                    let same = self.model.as_ref().is_some_and(|(old, _)| *old == config);
                    if same && self.session.model == path {
                        self.model = Some((config, provenance));
                        self.views.refresh();
                        self.gallery.refresh();
                    } else {
                        self.opened(path, config, provenance);
                        self.siblings.clear();
                    }
                }
                Reply::Drawn { seed, chunk, sheet } => self.gallery.take(ctx, seed, chunk, &sheet),
                Reply::Rendered { slot, pictures } => self.views.take(ctx, slot, pictures),
                Reply::Found { method, directions } => self.directions.take(method, directions),
                Reply::Projecting(progress) => self.photo.take(ctx, progress),
                Reply::Failed(error) => {
                    self.photo.failed();
                    self.error = Some(error);
                }
            }
        }
    }

    fn opened(&mut self, path: PathBuf, config: ModelConfig, provenance: Provenance) {
        if let Err(error) = self.session.check(&config) {
            // The z's of another model mean nothing to this one.
            self.error = Some(format!("{error}. A new session was begun"));
            self.session = Session::new(path.clone());
        }
        if self.session.model != path {
            self.session.model = path;
            // Sample numbers go on naming z's; what was found in the old model's layers does not.
            self.session.sliders.clear();
        }
        self.model = Some((config, provenance));
        self.views.forget();
        self.directions = directions::Found::default();
        self.photo = photo::Photo::default();
        self.gallery.forget(&self.worker);
    }

    /// Draws the explorer; true when training on rooms was asked for. `training` tells whether a run is going on.
    pub fn ui(&mut self, ui: &mut Ui, training: bool) -> bool {
        let ctx = ui.ctx().clone();
        if ctx.input_mut(|input| input.consume_shortcut(&REDO)) {
            self.undo.redo(&mut self.session);
        }
        if ctx.input_mut(|input| input.consume_shortcut(&UNDO)) {
            self.undo.undo(&mut self.session);
        }
        let before = self.session.model.clone();
        let train = egui::Panel::top("explore").show(ui, |ui| self.bar(ui, training)).inner;
        if let Some((config, _)) = self.model.clone() {
            self.panels(ui, &config);
        } else if self.error.is_none() {
            egui::CentralPanel::default().show(ui, |ui| ui.centered_and_justified(|ui| ui.spinner()));
        }
        if self.session.model != before {
            // An undone change may be of the model.
            self.worker.send(Request::Open(self.session.model.clone()));
        }
        if !ctx.input(|input| input.pointer.any_down()) && self.undo.note(&self.session) {
            self.files.autosave(self.session.clone());
        }
        train
    }

    fn panels(&mut self, ui: &mut Ui, config: &ModelConfig) {
        if self.tool == Tool::Gallery {
            egui::CentralPanel::default().show(ui, |ui| self.samples(ui, config));
            return;
        }
        let width = ui.available_width();
        egui::Panel::left("samples").default_size(width * 0.36).size_range(220.0..=(width * 0.6).max(221.0)).show(
            ui,
            |ui| {
                if !self.tool.hint().is_empty() {
                    ui.strong(self.tool.hint());
                }
                self.shelf(ui, config);
                self.samples(ui, config);
            },
        );
        egui::CentralPanel::default().show(ui, |ui| {
            egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| match self.tool {
                Tool::Gallery => {}
                Tool::Arithmetic => self.arithmetic(ui, config),
                Tool::Walk => self.walk(ui, config),
                Tool::Directions => self.directions(ui, config),
                Tool::Plane => self.plane(ui, config),
                Tool::Photo => self.photo(ui),
            });
        });
    }

    fn samples(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let chosen = self.chosen();
        let clicked = self.gallery.ui(ui, &self.worker, config, self.session.seed, &chosen);
        if let Some(point) = clicked {
            self.pick(point);
        }
    }

    /// The samples of the gallery's seed that the tool at hand uses.
    fn chosen(&self) -> Vec<u64> {
        let points: Vec<&Point> = match self.tool {
            Tool::Gallery | Tool::Photo => Vec::new(),
            Tool::Arithmetic => self.session.trays.iter().flat_map(|tray| &tray.members).collect(),
            Tool::Walk => self.session.walk.keyframes.iter().collect(),
            Tool::Directions => vec![&self.session.subject],
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
            Tool::Directions => self.session.subject = point,
            Tool::Plane => {
                self.session.plane[self.corner] = point;
                self.corner = (self.corner + 1) % 3;
            }
            Tool::Photo => {}
        }
    }

    /// Points that were kept: they are used as samples are.
    fn shelf(&mut self, ui: &mut Ui, config: &ModelConfig) {
        if self.session.shelf.is_empty() {
            return;
        }
        let z = self.session.shelf.iter().map(|point| point.z(config)).collect();
        let shown = self.views.of(&self.worker, Slot::Shelf, z);
        let (mut picked, mut removed) = (None, None);
        ui.horizontal_wrapped(|ui| {
            ui.label("Kept:");
            for (i, point) in self.session.shelf.iter().enumerate() {
                let response = cell(ui, shown, i, 48.0, &point.name());
                if response.clicked() {
                    picked = Some(point.clone());
                }
                if response.secondary_clicked() {
                    removed = Some(i);
                }
                response.on_hover_text(format!("{}; right click to remove it", point.name()));
            }
        });
        removed.map(|i| self.session.shelf.remove(i));
        if let Some(point) = picked {
            self.pick(point);
        }
    }

    /// Keeps a z on the shelf.
    fn keep(&mut self, name: String, z: Vec<f32>) {
        self.session.shelf.push(Point::Made { name, z });
    }

    fn bar(&mut self, ui: &mut Ui, training: bool) -> bool {
        let mut train = false;
        ui.add_space(4.0);
        ui.horizontal_wrapped(|ui| {
            for (tool, name, about) in Tool::ALL {
                ui.selectable_value(&mut self.tool, tool, name).on_hover_text(about);
            }
            ui.separator();
            ui.label("Model");
            for name in bundled() {
                let short = name.trim_start_matches("bundled:").to_owned();
                let chosen = self.session.model.as_os_str() == name.as_str();
                if ui.selectable_label(chosen, short).on_hover_text("Comes with zscape, trained by it").clicked() {
                    self.open(PathBuf::from(name));
                }
            }
            if ui.button("Open...").on_hover_text("A .safetensors file; it can also be dropped here").clicked() {
                self.files.ask_model();
            }
            ui.separator();
            let label = ui.label("Seed");
            ui.add(egui::DragValue::new(&mut self.session.seed).speed(0.1))
                .labelled_by(label.id)
                .on_hover_text("Sample number i of seed s is the same z in any window and on the command line");
            let label = ui.label("Zoom");
            ui.spacing_mut().slider_width = 70.0;
            ui.add(egui::Slider::new(&mut self.gallery.cell, 32.0..=256.0).show_value(false)).labelled_by(label.id);
            ui.separator();
            ui.add_enabled_ui(self.undo.can_undo(), |ui| {
                if ui.button("Undo").on_hover_text(ui.ctx().format_shortcut(&UNDO)).clicked() {
                    self.undo.undo(&mut self.session);
                }
            });
            ui.add_enabled_ui(self.undo.can_redo(), |ui| {
                if ui.button("Redo").on_hover_text(ui.ctx().format_shortcut(&REDO)).clicked() {
                    self.undo.redo(&mut self.session);
                }
            });
            ui.menu_button("Session", |ui| self.session_menu(ui));
            ui.separator();
            train = ui
                .button(egui::RichText::new("Train one on synth:rooms").strong())
                .on_hover_text("Starts training at once, on bedrooms that the program draws itself")
                .clicked();
        });
        ui.horizontal(|ui| {
            if let Some((config, provenance)) = &self.model {
                ui.weak(format!(
                    "{}x{} pictures of {}, after {} training steps; {} statistics",
                    config.size, config.size, provenance.data, provenance.steps, config.sampling
                ));
            }
            if training {
                ui.checkbox(&mut self.following, "Follow the training")
                    .on_hover_text("Explore the generator in training: everything is drawn again as it learns");
            }
            self.checkpoints(ui);
        });
        if let Some(error) = self.error.clone() {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(ui.visuals().error_fg_color, error);
                if ui.small_button("Close").clicked() {
                    self.error = None;
                }
            });
        }
        ui.add_space(4.0);
        train
    }

    /// A slider over the run's checkpoints: the same z's, earlier and later.
    fn checkpoints(&mut self, ui: &mut Ui) {
        let Some((_, provenance)) = self.model.as_ref().filter(|_| self.siblings.len() > 1) else { return };
        let now = self.siblings.iter().position(|(step, _)| *step >= provenance.steps);
        let mut at = now.unwrap_or(self.siblings.len() - 1);
        let label = ui.label("Checkpoint");
        let steps: Vec<u64> = self.siblings.iter().map(|(step, _)| *step).collect();
        let slider = egui::Slider::new(&mut at, 0..=self.siblings.len() - 1);
        let slider = slider.custom_formatter(move |i, _| format!("step {}", steps[(i as usize).min(steps.len() - 1)]));
        let moved = ui.add(slider).labelled_by(label.id);
        if moved.on_hover_text("Drag through the run: the same z's, earlier and later").changed() {
            self.open(self.siblings[at].1.clone());
        }
    }

    fn session_menu(&mut self, ui: &mut Ui) {
        if ui.button("New").clicked() {
            self.session = Session::new(self.session.model.clone());
        }
        if ui.button("Open...").clicked() {
            self.files.ask_session();
        }
        if ui.button("Save as...").clicked() {
            self.files.save_session(self.session.clone());
        }
        ui.weak("Saved by itself after every change, and restored at the next start");
    }
}
