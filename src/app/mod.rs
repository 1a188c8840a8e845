//! The window: an egui application with three views (explore, train, measure).
//!
//! [`run`] opens it. [`App`] owns the views and carries out the actions that their panels return. Nothing slow runs on the
//! window's thread: a worker of the explorer opens models and generates images, another thread previews data sets, and
//! [`crate::train::Trainer`] trains. They send their results over channels and request a repaint.

mod action;
mod advanced;
mod background;
mod closing;
mod devices;
mod dialogs;
mod dissect;
mod drops;
mod evaluate;
mod explore;
mod form;
mod history;
mod metric_plot;
mod monitor;
mod opening;
mod pending;
mod preparation;
mod preview;
mod rules;
mod run_past;
mod service;
mod tensor_texture;
mod texture;
mod timing;
mod tool;
mod training_form;

use std::path::PathBuf;

use egui::{Key, KeyboardShortcut, Modifiers};

use crate::device::{Compute, DeviceChoice};
use crate::train::{Ending, Event, Trainer, TrainerCommand, TrainerOptions};
use action::Action;
use closing::Closing;
use devices::DeviceChooser;
pub use devices::remembered;
use dialogs::Dialogs;
use drops::Drops;
use evaluate::EvaluationView;
use explore::Explorer;
pub use explore::{GALLERY, Latency, LatencyError, latency};
use history::History;
use monitor::Monitor;
use opening::{Fitting, open};
pub use opening::{Tried, WindowError, try_window};
use pending::Pending;
use preview::DatasetPreview;
use run_past::RunPastReader;
use tensor_texture::TexturePainter;
pub use timing::{Frames, measure};
use training_form::TrainingForm;

/// What the window opens, as the command line says.
#[derive(Debug, Default, Clone)]
pub struct Start {
    /// A model to explore instead of the bundled ones.
    pub model: Option<PathBuf>,
    /// The data set to choose for training.
    pub data: Option<String>,
    /// The run folder to choose for training.
    pub run: Option<PathBuf>,
    /// The session file to open.
    pub session: Option<PathBuf>,
    /// The file that the session is autosaved to and restored from, if it is.
    pub autosave: Option<PathBuf>,
    /// The folder that figures and films are written to without a dialog.
    pub exports: Option<PathBuf>,
    /// The device that the command line named.
    pub device: Option<DeviceChoice>,
    /// The file that stores the device that is chosen in the window, if it is stored.
    pub device_file: Option<PathBuf>,
    /// Whether to use the desktop's file dialogs. Without them, or where the desktop has none, the window shows its own.
    pub desktop: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Explore,
    Train,
    Measure,
}

/// What the trainer publishes besides its metrics and previews.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Published {
    /// The generator, with every preview.
    generator: bool,
    /// Steps between snapshots of both networks; 0 for none.
    networks: u64,
}

const TOGGLE_THEME: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::T);
const SAVE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::S);
const OPEN_DATA: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::O);

/// The whole window.
pub struct App {
    compute: Compute,
    devices: DeviceChooser,
    view: View,
    explorer: Explorer,
    form: TrainingForm,
    run_past: RunPastReader,
    monitor: Monitor,
    history: History,
    evaluation: EvaluationView,
    /// What the trainer was last asked to publish.
    published: Published,
    trainer: Option<Trainer>,
    /// What the trainer was started with.
    options: Option<TrainerOptions>,
    closing: Closing,
    pending: Pending,
    dialogs: Dialogs,
    fitting: Fitting,
    drops: Drops,
    /// A notice above all views.
    notice: Option<String>,
}

impl App {
    /// The window's state. Models and data are opened on other threads.
    pub fn new(compute: Compute, start: Start, ctx: &egui::Context) -> Self {
        Self::with_painter(compute, start, None, ctx)
    }

    /// Like [`Self::new`], with a `painter` if the window is drawn by the device that computes.
    fn with_painter(compute: Compute, start: Start, painter: Option<TexturePainter>, ctx: &egui::Context) -> Self {
        let training = start.data.is_some() || start.run.is_some();
        let view = if training && start.model.is_none() { View::Train } else { View::Explore };
        let dialogs = Dialogs::new(ctx, start.desktop);
        let explorer = Explorer::new(&compute, &start, painter, ctx);
        let mut evaluation = EvaluationView::new(&compute.device, start.exports.clone(), ctx);
        if let Some(run) = &start.run {
            evaluation.opened_run(run);
        }
        let form = TrainingForm::new(ctx, start.data.as_deref().unwrap_or("synth:rooms").into(), start.run);
        let devices = DeviceChooser::new(&compute, start.device, start.device_file, ctx);
        Self {
            compute,
            devices,
            view,
            explorer,
            form,
            run_past: RunPastReader::new(ctx),
            monitor: Monitor::default(),
            history: History::default(),
            evaluation,
            published: Published::default(),
            trainer: None,
            options: None,
            closing: Closing::No,
            pending: Pending::of(ctx),
            dialogs,
            fitting: Fitting::default(),
            drops: Drops::new(ctx),
            notice: None,
        }
    }

    /// Handles an event of the trainer. [`Self::ui`] does so for the events of the window's own trainer.
    pub fn on_event(&mut self, event: Event, ctx: &egui::Context) {
        if let Event::Started { step, folder, .. } = &event {
            self.form.offer_resume(folder);
            if *step > 0 {
                self.run_past.read(folder.clone(), *step);
            }
            let data = self.form.preview().and_then(|preview| preview.result.as_ref().ok());
            self.evaluation.training_began(ctx, folder, data.is_some_and(|data| data.classes > 0));
        }
        if let Event::LearningRates(rates) = &event {
            self.form.use_rates(*rates);
        }
        if let Event::Ended(ending) = &event {
            if matches!(ending, Ending::Failed(_)) && self.history.untouched() {
                self.form.not_started();
            }
            self.evaluation.training_ended();
            self.close_after(ending);
        }
        match (event, self.history.folder()) {
            (Event::NetworksSnapshot(file), _) => self.evaluation.take_networks(file),
            (Event::GeneratorSnapshot(file), Some(run)) => self.explorer.follow(run.to_owned(), file),
            (event, _) => self.history.take(event),
        }
    }

    /// Draws a frame.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        let ctx = ui.ctx().clone();
        self.fitting.fit(&ctx);
        let events: Vec<Event> = self.trainer.iter().flat_map(|trainer| trainer.events().try_iter()).collect();
        for event in events {
            self.on_event(event, &ctx);
        }
        self.explorer.receive(&ctx);
        self.form.receive();
        for (run, past) in self.run_past.receive() {
            self.history.add_past(&run, past);
        }
        if let Some(DatasetPreview { request, result: Ok(data), .. }) = self.form.preview() {
            self.evaluation.suggest(&request.data.to_string(), data.test_split.as_deref());
        }
        self.evaluation.receive(&ctx);
        self.subscribe();
        self.shortcuts(&ctx);
        self.take_drops(&ctx);
        self.close(&ctx);
        egui::Panel::top("bar").show(ui, |ui| self.bar(ui));
        self.show_notice(ui);
        egui::Panel::bottom("status").show(ui, |ui| self.status(ui));
        match self.view {
            View::Explore => {
                let running = self.running();
                let action = self.explorer.ui(ui, running);
                self.apply(action, &ctx);
            }
            View::Train => self.train(ui),
            View::Measure => self.measure(ui),
        }
        self.dialogs.ui(&ctx);
    }

    /// Carries out what a panel asked for.
    fn apply(&mut self, action: impl Into<Option<Action>>, ctx: &egui::Context) {
        let Some(action) = action.into() else { return };
        match action {
            Action::OpenModel(_) | Action::OpenSession(_) => {
                self.view = View::Explore;
                self.explorer.apply(action);
            }
            Action::Pick(_)
            | Action::ShowTool(_)
            | Action::OpenBoxes(_)
            | Action::OpenPhoto(_)
            | Action::FollowTraining(_) => {
                self.explorer.apply(action);
            }
            Action::ChooseData(data) => {
                self.view = View::Train;
                self.form.use_data(data.into());
            }
            Action::TrainOnRooms => {
                if !self.running() {
                    self.form.use_data("synth:rooms".into());
                    self.form.start_when_ready();
                }
                self.view = View::Train;
            }
            Action::StartTraining(options) => self.begin(*options, ctx),
            Action::Command(command) => self.send_command(command),
            Action::ChangeRun(change) if self.running() => self.send_command(TrainerCommand::ChangeSettings(change)),
            Action::ChangeRun(change) => {
                if let Some(options) = self.options.clone() {
                    self.begin(TrainerOptions { resume: true, change, ..options }, ctx);
                }
            }
            Action::SkipImages { data, names } => self.form.leave_out(data.into(), names),
            Action::MeasureNetwork(path) => self.evaluation.take_dropped(path, true),
            Action::MeasureImages(path) => self.evaluation.take_dropped(path, false),
            Action::Notify(notice) => self.notice = Some(notice),
        }
    }

    /// Asks the trainer to publish the networks that are measured and explored, and no others.
    fn subscribe(&mut self) {
        if !self.running() {
            self.published = Published::default();
            return;
        }
        let wanted = Published { generator: self.explorer.following(), networks: self.evaluation.snapshot_interval() };
        if wanted.networks != self.published.networks {
            self.send_command(TrainerCommand::PublishNetworks(wanted.networks));
        }
        if wanted.generator != self.published.generator {
            self.send_command(TrainerCommand::PublishGenerator(wanted.generator));
        }
        self.published = wanted;
    }

    /// Does what files ask for that were dropped on the window.
    fn take_drops(&mut self, ctx: &egui::Context) {
        let dropped = match self.drops.receive(ctx) {
            Some(Ok(dropped)) => dropped,
            Some(Err(error)) => return self.apply(Action::Notify(error), ctx),
            None => return,
        };
        self.notice = None;
        let (actions, refusals) = drops::plan(self.view, self.explorer.image_use(), dropped);
        for action in actions {
            self.apply(action, ctx);
        }
        if !refusals.is_empty() {
            self.apply(Action::Notify(refusals.join(". ")), ctx);
        }
    }

    fn show_notice(&mut self, ui: &mut egui::Ui) {
        let Some(notice) = self.notice.clone() else { return };
        egui::Panel::top("notice").show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(ui.visuals().warn_fg_color, notice);
                if ui.small_button("OK").clicked() {
                    self.notice = None;
                }
            });
        });
    }

    fn measure(&mut self, ui: &mut egui::Ui) {
        let run = self.history.folder().map(|folder| (folder, self.running()));
        let action = self.evaluation.ui(ui, run, self.explorer.open_model());
        self.apply(action, ui.ctx());
    }

    fn train(&mut self, ui: &mut egui::Ui) {
        let running = self.running();
        let action = egui::Panel::left("settings")
            .default_size(320.0)
            .size_range(280.0..=460.0)
            .show(ui, |ui| self.form.ui(ui, running, self.history.paused()))
            .inner;
        self.apply(action, ui.ctx());
        let accuracy = |ui: &mut egui::Ui| self.evaluation.accuracy(ui);
        let change = egui::CentralPanel::default()
            .show(ui, |ui| self.monitor.ui(ui, &self.history, self.form.preview(), &accuracy))
            .inner;
        self.apply(change.map(Action::ChangeRun), ui.ctx());
    }

    fn begin(&mut self, mut options: TrainerOptions, ctx: &egui::Context) {
        options.background = true;
        self.history = History::default();
        self.published = Published::default();
        self.monitor.restart();
        self.options = Some(options.clone());
        let ctx = ctx.clone();
        self.trainer = Some(Trainer::start(options, self.compute.clone(), move || ctx.request_repaint()));
    }

    fn bar(&mut self, ui: &mut egui::Ui) {
        ui.add_space(4.0);
        ui.horizontal(|ui| {
            ui.label(egui::RichText::new("zscape").strong().size(18.0));
            ui.add_space(12.0);
            ui.selectable_value(&mut self.view, View::Explore, "Explore")
                .on_hover_text("Look at what a trained generator draws");
            ui.selectable_value(&mut self.view, View::Train, "Train")
                .on_hover_text("Train a DCGAN on your own pictures and watch it learn");
            ui.selectable_value(&mut self.view, View::Measure, "Measure")
                .on_hover_text("Tell what was learnt, against real pictures; find duplicates among them");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                let dark = ui.visuals().dark_mode;
                let name = if dark { "Light theme" } else { "Dark theme" };
                if ui.button(name).on_hover_text(ui.ctx().format_shortcut(&TOGGLE_THEME)).clicked() {
                    toggle_theme(ui.ctx());
                }
            });
        });
        ui.add_space(4.0);
    }

    fn status(&mut self, ui: &mut egui::Ui) {
        ui.horizontal(|ui| {
            let failure = self.devices.ui(ui, &self.compute);
            self.apply(failure.map(Action::Notify), ui.ctx());
            ui.separator();
            ui.label(self.history.status());
        });
    }

    /// Whether the explorer's first samples are on the screen.
    fn shows_samples(&self) -> bool {
        self.explorer.shows_samples()
    }

    /// Shows the view of trainings and starts one.
    fn start_training(&mut self, options: TrainerOptions, ctx: &egui::Context) {
        self.view = View::Train;
        self.begin(options, ctx);
    }

    /// Ends the training without a question.
    fn discard_training(&mut self) {
        self.trainer = None;
    }

    fn history(&self) -> &History {
        &self.history
    }

    fn running(&self) -> bool {
        self.trainer.as_ref().is_some_and(Trainer::running) && !self.history.ended()
    }

    fn send_command(&self, command: TrainerCommand) {
        if let Some(trainer) = &self.trainer {
            trainer.send(command);
        }
    }

    fn shortcuts(&mut self, ctx: &egui::Context) {
        let typing = ctx.egui_wants_keyboard_input();
        if ctx.input_mut(|input| input.consume_shortcut(&TOGGLE_THEME)) {
            toggle_theme(ctx);
        }
        // In the explorer these keys have other meanings.
        if self.view == View::Explore {
            return;
        }
        if self.view == View::Train && ctx.input_mut(|input| input.consume_shortcut(&OPEN_DATA)) {
            self.form.choose_folder();
        }
        if self.running() {
            if ctx.input_mut(|input| input.consume_shortcut(&SAVE)) {
                self.send_command(TrainerCommand::Save);
            }
            if !typing && ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Space)) {
                self.send_command(if self.history.paused() { TrainerCommand::Resume } else { TrainerCommand::Pause });
            }
        }
    }
}

fn toggle_theme(ctx: &egui::Context) {
    ctx.set_theme(match ctx.theme() {
        egui::Theme::Dark => egui::Theme::Light,
        egui::Theme::Light => egui::Theme::Dark,
    });
}

impl eframe::App for App {
    fn ui(&mut self, ui: &mut egui::Ui, _frame: &mut eframe::Frame) {
        Self::ui(self, ui);
    }

    fn on_exit(&mut self) {
        self.finish();
    }
}

/// Opens the window and returns when it is closed.
///
/// # Errors
/// If no window can be opened; the message says what is missing.
pub fn run(compute: Compute, start: Start) -> anyhow::Result<()> {
    open(compute, |compute, painter, ctx| Box::new(App::with_painter(compute, start, painter, ctx)))
}
