//! The window. It draws what it was last told: models are opened and sampled by a worker of [`explore`], pictures are looked at by
//! [`look`], training happens in [`crate::train::Trainer`]; all of them answer over channels and wake it.

mod advanced;
mod background;
mod closing;
mod devices;
mod dialogs;
mod dissect;
mod drops;
mod evaluate;
mod explore;
mod history;
mod look;
mod monitor;
mod opening;
mod pending;
mod preparation;
mod rules;
mod service;
mod settings;
mod tensor_texture;
mod texture;
mod timing;

use std::path::PathBuf;

use egui::{Key, KeyboardShortcut, Modifiers};

use crate::device::{Compute, DeviceChoice};
use crate::train::{Ending, Event, SettingsChange, Trainer, TrainerCommand, TrainerOptions};
use closing::Closing;
use devices::Devices;
pub use devices::remembered;
use dialogs::Dialogs;
use evaluate::{LeaveOut, Measures};
use explore::Explorer;
pub use explore::{GALLERY, Latency, LatencyError, latency};
use history::History;
use look::Looker;
use monitor::Monitor;
use opening::{Fitting, open};
pub use opening::{Tried, WindowError, try_window};
use pending::Pending;
use settings::{Settings, Wish};
use tensor_texture::TexturePainter;
pub use timing::{Frames, measure};

/// What the command line asked the window to open.
#[derive(Debug, Default, Clone)]
pub struct Start {
    /// A model to explore instead of the bundled ones.
    pub model: Option<PathBuf>,
    /// Pictures to have ready for training.
    pub data: Option<String>,
    /// The run folder.
    pub run: Option<PathBuf>,
    /// A session file to open.
    pub session: Option<PathBuf>,
    /// Where the session is kept between starts, if anywhere.
    pub kept: Option<PathBuf>,
    /// Where figures and films are written without asking.
    pub exports: Option<PathBuf>,
    /// The device that the command line named.
    pub device: Option<DeviceChoice>,
    /// The file that keeps the device that was chosen in the window, if any does.
    pub device_file: Option<PathBuf>,
    /// Whether the desktop's dialogs ask for files; otherwise, and where there are none, the window's own do.
    pub desktop: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Explore,
    Train,
    Measure,
}

const TOGGLE_THEME: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::T);
const SAVE: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::S);
const OPEN_DATA: KeyboardShortcut = KeyboardShortcut::new(Modifiers::COMMAND, Key::O);

/// The whole window.
pub struct App {
    compute: Compute,
    devices: Devices,
    view: View,
    explorer: Explorer,
    looker: Looker,
    settings: Settings,
    monitor: Monitor,
    history: History,
    measures: Measures,
    /// Steps after which the trainer tells its networks.
    told_every: u64,
    trainer: Option<Trainer>,
    /// What the trainer was started with.
    options: Option<TrainerOptions>,
    closing: Closing,
    pending: Pending,
    dialogs: Dialogs,
    fitting: Fitting,
    /// What was dropped in the last frames.
    fallen: Vec<PathBuf>,
    /// What a person should know, whatever view is shown.
    notice: Option<String>,
}

impl App {
    /// The window's state; nothing is opened or computed on the calling thread.
    pub fn new(compute: Compute, start: Start, ctx: &egui::Context) -> Self {
        Self::drawing(compute, start, None, ctx)
    }

    /// As [`Self::new`], with a `painter` where the window draws with the device that computes.
    fn drawing(compute: Compute, start: Start, painter: Option<TexturePainter>, ctx: &egui::Context) -> Self {
        let training = start.data.is_some() || start.run.is_some();
        let view = if training && start.model.is_none() { View::Train } else { View::Explore };
        let dialogs = Dialogs::new(ctx, start.desktop);
        let explorer = Explorer::new(&compute, &start, painter, ctx);
        let looker = Looker::new(ctx);
        let mut measures = Measures::new(&compute.device, start.exports.clone(), ctx);
        if let Some(run) = &start.run {
            looker.open_run(run.clone());
            measures.opened_run(run);
        }
        let settings = Settings::new(start.data.unwrap_or_else(|| "synth:rooms".to_owned()), start.run);
        let devices = Devices::new(&compute, start.device, start.device_file, ctx);
        Self {
            compute,
            devices,
            view,
            explorer,
            looker,
            settings,
            monitor: Monitor::default(),
            history: History::default(),
            measures,
            told_every: 0,
            trainer: None,
            options: None,
            closing: Closing::No,
            pending: Pending::of(ctx),
            dialogs,
            fitting: Fitting::default(),
            fallen: Vec::new(),
            notice: None,
        }
    }

    /// Takes in one of the trainer's events, as [`Self::ui`] does for its own trainer.
    pub fn on_event(&mut self, event: Event, ctx: &egui::Context) {
        if let Event::Started { step, folder, .. } = &event {
            self.settings.offer_resume(folder);
            if *step > 0 {
                self.looker.read_past(folder.clone(), *step);
            }
            let found = self.settings.look().and_then(|look| look.found.as_ref().ok());
            self.measures.training_began(ctx, folder, found.is_some_and(|found| found.classes > 0));
        }
        if let Event::LearningRates(rates) = &event {
            self.settings.use_rates(*rates);
        }
        if let Event::Ended(ending) = &event {
            if matches!(ending, Ending::Failed(_)) && self.history.untouched() {
                self.settings.not_started();
            }
            self.measures.training_ended();
            self.close_after(ending);
        }
        match (event, self.history.folder()) {
            (Event::NetworksSnapshot(file), _) => self.measures.take_networks(file),
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
        for (run, past) in self.looker.receive(&ctx, &mut self.settings) {
            self.history.add_past(&run, past);
        }
        self.measures.suggest(self.settings.look());
        self.measures.receive(&ctx);
        self.tell_networks();
        self.shortcuts(&ctx);
        self.dropped(&ctx);
        self.close(&ctx);
        egui::Panel::top("bar").show(ui, |ui| self.bar(ui));
        self.notice(ui);
        egui::Panel::bottom("status").show(ui, |ui| self.status(ui));
        match self.view {
            View::Explore => {
                let follows = self.explorer.follows();
                let train = self.explorer.ui(ui, self.running());
                if follows != self.explorer.follows() {
                    self.tell(TrainerCommand::PublishGenerator(!follows));
                }
                if train {
                    if !self.running() {
                        self.settings.use_data("synth:rooms".to_owned());
                        self.settings.start_when_ready();
                    }
                    self.view = View::Train;
                }
            }
            View::Train => self.train(ui),
            View::Measure => self.measure(ui),
        }
        self.dialogs.ui(&ctx);
    }

    /// Has the trainer tell its networks as often as they are measured.
    fn tell_networks(&mut self) {
        let every = if self.running() { self.measures.snapshot_interval() } else { 0 };
        if every != self.told_every {
            self.tell(TrainerCommand::PublishNetworks(every));
            self.told_every = every;
        }
    }

    fn measure(&mut self, ui: &mut egui::Ui) {
        let run = self.history.folder().map(|folder| (folder, self.running()));
        let leave_out = self.measures.ui(ui, run, self.explorer.explored());
        if let Some(LeaveOut { data, names }) = leave_out {
            self.settings.leave_out(data, names);
        }
    }

    fn train(&mut self, ui: &mut egui::Ui) {
        let running = self.running();
        let wish = egui::Panel::left("settings")
            .default_size(320.0)
            .size_range(280.0..=460.0)
            .show(ui, |ui| self.settings.ui(ui, &mut self.looker, running, self.history.paused()))
            .inner;
        match wish {
            Some(Wish::Start(options)) => self.begin(*options, ui.ctx()),
            Some(Wish::Tell(command)) => self.tell(command),
            None => {}
        }
        let accuracy = |ui: &mut egui::Ui| self.measures.accuracy(ui);
        let change = egui::CentralPanel::default()
            .show(ui, |ui| self.monitor.ui(ui, &self.history, self.settings.look(), &accuracy))
            .inner;
        if let Some(change) = change {
            self.change(change, running, ui.ctx());
        }
    }

    /// Changes the run's settings: of one that has ended by resuming it with them.
    fn change(&mut self, change: SettingsChange, running: bool, ctx: &egui::Context) {
        if running {
            self.tell(TrainerCommand::ChangeSettings(change));
        } else if let Some(options) = self.options.clone() {
            self.begin(TrainerOptions { resume: true, change, ..options }, ctx);
        }
    }

    fn begin(&mut self, mut options: TrainerOptions, ctx: &egui::Context) {
        options.background = true;
        self.history = History::default();
        self.told_every = 0;
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
            if let Some(failed) = self.devices.ui(ui, &self.compute) {
                self.notice = Some(failed);
            }
            ui.separator();
            ui.label(self.history.status());
        });
    }

    fn running(&self) -> bool {
        self.trainer.as_ref().is_some_and(Trainer::running) && !self.history.ended()
    }

    fn tell(&self, command: TrainerCommand) {
        if let Some(trainer) = &self.trainer {
            trainer.send(command);
        }
    }

    fn shortcuts(&mut self, ctx: &egui::Context) {
        let typing = ctx.egui_wants_keyboard_input();
        if ctx.input_mut(|input| input.consume_shortcut(&TOGGLE_THEME)) {
            toggle_theme(ctx);
        }
        // The explorer has its own meaning for the rest of them.
        if self.view == View::Explore {
            return;
        }
        if self.view == View::Train && ctx.input_mut(|input| input.consume_shortcut(&OPEN_DATA)) {
            self.looker.ask_folder();
        }
        if self.running() {
            if ctx.input_mut(|input| input.consume_shortcut(&SAVE)) {
                self.tell(TrainerCommand::Save);
            }
            if !typing && ctx.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Space)) {
                self.tell(if self.history.paused() { TrainerCommand::Resume } else { TrainerCommand::Pause });
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

/// Opens the window and stays until it is closed.
///
/// # Errors
/// When no window can be opened; the message says what is missing.
pub fn run(compute: Compute, start: Start) -> anyhow::Result<()> {
    open(compute, |compute, painter, ctx| Box::new(App::drawing(compute, start, painter, ctx)))
}
