//! The form of a training: data, networks, hyperparameters and run folder, and the buttons that start and control a run.

use std::path::{Path, PathBuf};

use egui::{DragValue, RichText, Ui};

use super::action::Action;
use super::background::BackgroundTasks;
use super::dialogs::Dialog;
use super::form::{choice, number};
use super::preview::{DatasetPreview, PreviewRequest, Previewer};
use super::{advanced, preparation};
use crate::app::drops::with_drops;
use crate::data::Source;
use crate::data::synth::Scene;
use crate::device::Precision;
use crate::model::{ModelConfig, Preset, Prior, SamplingStatistics};
use crate::train::{LearningRates, Run, RunConfig, TrainConfig, TrainerCommand, TrainerOptions};

/// Default of the base filters: a CPU trains 64x64 images with them in an hour; graphics cards can take the preset's 64.
pub(super) const DEFAULT_BASE: usize = 32;
/// Synthetic data sets.
const SCENES: [Source; 2] = [Source::Synthetic(Scene::Rooms), Source::Synthetic(Scene::Faces)];

/// What dialogs and files respond.
enum FormResponse {
    /// The chosen data.
    Data(PathBuf),
    /// Where the data of a resumed run is now.
    MovedData(PathBuf),
    /// An unused run folder.
    UnusedFolder(PathBuf),
    /// The settings of a run folder.
    Run(PathBuf, Box<RunConfig>),
    Failed(String),
}

pub(super) struct TrainingForm {
    config: RunConfig,
    folder: String,
    /// Whether the user chose the folder; otherwise it is named after the data.
    folder_chosen: bool,
    /// The data that the folder was named after; `None` when a new name is due.
    named_after: Option<Source>,
    resume: bool,
    /// The last step; 0 for endless training.
    steps: u64,
    /// The last epoch; 0 where epochs are not counted.
    epochs: u64,
    previewer: Previewer,
    tasks: BackgroundTasks<FormResponse>,
    start_when_ready: bool,
}

impl TrainingForm {
    pub fn new(ctx: &egui::Context, data: Source, run: Option<PathBuf>) -> Self {
        let mut config = RunConfig::preset(Preset::Pytorch, data);
        config.model.base = DEFAULT_BASE;
        let form = Self {
            config,
            folder: run.as_ref().map(|run| run.to_string_lossy().into_owned()).unwrap_or_default(),
            folder_chosen: run.is_some(),
            named_after: None,
            resume: false,
            steps: 0,
            epochs: 0,
            previewer: Previewer::new(ctx),
            tasks: BackgroundTasks::new(ctx, FormResponse::Failed),
            start_when_ready: false,
        };
        if let Some(run) = run {
            form.open_run(run);
        }
        form
    }

    /// Chooses the data of a new run.
    pub fn use_data(&mut self, data: Source) {
        self.config.use_data(data);
        self.start_anew();
    }

    /// Chooses the data of a new run, and the images that it skips.
    pub fn leave_out(&mut self, data: Source, names: Vec<String>) {
        if data != self.config.data {
            self.config.use_data(data);
        }
        self.config.skip = names;
        self.start_anew();
    }

    /// Names the place where the data of a resumed run is now.
    fn moved(&mut self, data: Source) {
        self.config.data = data;
    }

    /// The run ended before its first step, so there is nothing to resume. Its folder's name stays.
    pub fn not_started(&mut self) {
        self.resume = false;
        self.named_after = Some(self.config.data.clone());
    }

    fn start_anew(&mut self) {
        self.resume = false;
        self.named_after = None;
    }

    /// Takes over the settings of the run in `folder`, unless another folder was chosen meanwhile.
    fn use_run(&mut self, folder: &Path, config: RunConfig) {
        if Path::new(&self.folder) == folder {
            self.config = config;
            self.offer_resume(folder);
        }
    }

    /// Shows the learning rates in force.
    pub fn use_rates(&mut self, rates: LearningRates) {
        self.config.train.generator_rate = rates.generator;
        self.config.train.discriminator_rate = rates.discriminator;
    }

    /// Offers to resume the run in `folder`, whose settings the form shows.
    pub fn offer_resume(&mut self, folder: &Path) {
        self.folder = folder.to_string_lossy().into_owned();
        self.folder_chosen = false;
        self.resume = true;
    }

    pub fn start_when_ready(&mut self) {
        self.start_when_ready = true;
    }

    fn use_folder(&mut self, folder: PathBuf) {
        if !self.folder_chosen && !self.resume {
            self.folder = folder.to_string_lossy().into_owned();
        }
    }

    /// Names the folder of a new run, once for each choice of data.
    fn name_folder(&mut self) {
        let data = &self.config.data;
        if self.resume || self.folder_chosen || self.named_after.as_ref() == Some(data) {
            return;
        }
        let data = data.clone();
        let stem = match &data {
            Source::Path(path) => path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            Source::Synthetic(scene) => scene.to_string(),
        };
        self.tasks.run(move || {
            let mut folders = (1..).map(|i| Path::new("runs").join(format!("{stem}-{i}")));
            folders.find(|folder| !folder.exists()).map(FormResponse::UnusedFolder)
        });
        self.named_after = Some(data);
        self.folder.clear();
    }

    /// Asks for a folder of images.
    pub fn choose_folder(&self) {
        self.tasks.choose(Dialog::folder("A folder of pictures"), FormResponse::Data);
    }

    /// Asks for an archive of images or the file of a known data set.
    fn choose_file(&self) {
        // CIFAR's pickles and IDX files have no extension to filter by.
        let dialog = Dialog::file("An archive of pictures, or a data set's own file")
            .filter("Pictures", &crate::extensions::DATA_SETS)
            .filter("All files", &["*"]);
        self.tasks.choose(dialog, FormResponse::Data);
    }

    /// Asks where the data of a resumed run is now.
    fn choose_moved(&self, folder: bool) {
        let title = "Where the run's pictures are now";
        let dialog = if folder { Dialog::folder(title) } else { Dialog::file(title) };
        self.tasks.choose(dialog, FormResponse::MovedData);
    }

    /// Reads the settings of the run in `folder`, if there is one.
    pub fn open_run(&self, folder: PathBuf) {
        self.tasks.run(move || {
            let config = Run::open(&folder).ok()?.config().clone();
            Some(FormResponse::Run(folder, Box::new(config)))
        });
    }

    /// Takes the responses of background threads.
    pub fn receive(&mut self) {
        self.previewer.receive();
        while let Ok(response) = self.tasks.responses().try_recv() {
            match response {
                FormResponse::Data(path) => self.use_data(path.into()),
                FormResponse::MovedData(path) => self.moved(path.into()),
                FormResponse::UnusedFolder(path) => self.use_folder(path),
                FormResponse::Run(folder, config) => self.use_run(&folder, *config),
                FormResponse::Failed(error) => tracing::error!("{error}"),
            }
        }
    }

    fn update_preview(&mut self) {
        let RunConfig { data, seed, model, train, .. } = &self.config;
        let mirror = train.mirror.then_some(*seed);
        let request = PreviewRequest { data: data.clone(), format: model.pictures(), mirror };
        self.previewer.update(request, model.check().is_ok());
    }

    /// The preview of the data that is chosen.
    pub fn preview(&self) -> Option<&DatasetPreview> {
        self.previewer.preview()
    }

    /// Whether the data set is finite and so has epochs.
    fn has_epochs(&self) -> bool {
        matches!(self.preview(), Some(DatasetPreview { result: Ok(data), .. }) if data.images.is_some())
    }

    /// Why training cannot start.
    fn obstacle(&self) -> Option<String> {
        if let Err(error) = self.config.model.check() {
            return Some(error.to_string());
        }
        if let Err(error) = self.config.train.check() {
            return Some(error.to_string());
        }
        if self.folder.trim().is_empty() {
            return Some("Name a run folder".to_owned());
        }
        match self.preview() {
            None | Some(DatasetPreview { stale: true, .. }) => Some("Looking at the pictures".to_owned()),
            Some(DatasetPreview { result: Err(error), .. }) => Some(error.clone()),
            Some(DatasetPreview { result: Ok(data), .. }) => match data.images {
                Some(count) if count.saturating_sub(self.config.skip.len()) < self.config.train.batch => {
                    let count = count.saturating_sub(self.config.skip.len());
                    Some(format!("{count} pictures are fewer than one batch of {}", self.config.train.batch))
                }
                _ => None,
            },
        }
    }

    /// Draws the form.
    pub fn ui(&mut self, ui: &mut Ui, running: bool, paused: bool) -> Option<Action> {
        self.update_preview();
        self.name_folder();
        ui.add_space(6.0);
        let action = if running { self.running(ui, paused) } else { self.start(ui) };
        ui.separator();
        egui::ScrollArea::vertical()
            .auto_shrink(false)
            .show(ui, |ui| {
                ui.add_enabled_ui(!running, |ui| {
                    self.data(ui);
                    self.network(ui);
                });
                let rates = self.rates(ui, running);
                ui.add_enabled_ui(!running, |ui| {
                    self.noise(ui);
                    advanced::ui(ui, &mut self.config);
                    self.run_folder(ui);
                });
                rates
            })
            .inner
            .or(action)
    }

    fn start(&mut self, ui: &mut Ui) -> Option<Action> {
        let obstacle = self.obstacle();
        let name = if self.resume { "Resume training" } else { "Start training" };
        let button = egui::Button::new(RichText::new(name).strong().size(16.0));
        let clicked = ui
            .add_enabled_ui(obstacle.is_none(), |ui| ui.add_sized([ui.available_width(), 34.0], button).clicked())
            .inner;
        if let Some(obstacle) = &obstacle {
            ui.weak(obstacle);
        }
        let now = obstacle.is_none() && (clicked || std::mem::take(&mut self.start_when_ready));
        now.then(|| {
            let folder = Path::new(self.folder.trim());
            Action::StartTraining(Box::new(TrainerOptions {
                resume: self.resume,
                steps: (self.steps > 0).then_some(self.steps),
                epochs: (self.epochs > 0 && self.has_epochs()).then_some(self.epochs),
                ..TrainerOptions::new(self.config.clone(), folder)
            }))
        })
    }

    fn running(&self, ui: &mut Ui, paused: bool) -> Option<Action> {
        let mut action = None;
        ui.horizontal_wrapped(|ui| {
            let mut button = |text: &str, tip: &str, command, enabled| {
                if ui.add_enabled(enabled, egui::Button::new(text)).on_hover_text(tip).clicked() {
                    action = Some(Action::Command(command));
                }
            };
            if paused {
                button("Go on", "Space", TrainerCommand::Resume, true);
            } else {
                button("Pause", "Space; after the step at hand", TrainerCommand::Pause, true);
            }
            button("Step", "One step, then wait (while paused)", TrainerCommand::Step, paused);
            button("Save now", "Ctrl+S; writes a checkpoint", TrainerCommand::Save, true);
            button("Stop", "Saves and ends; it can be resumed", TrainerCommand::Stop, true);
        });
        action
    }

    fn data(&mut self, ui: &mut Ui) {
        ui.strong("Pictures");
        ui.horizontal_wrapped(|ui| {
            let tip = with_drops(ui.ctx(), "Ctrl+O; sub-folders are classes", ". A folder can also be dropped here");
            if ui.button("Folder...").on_hover_text(tip).clicked() {
                self.choose_folder();
            }
            let tip =
                "A .zip or .tar of pictures, a CIFAR batch, an SVHN .mat, an IDX file, .parquet, .mdb, .npy or .npz";
            let tip = with_drops(ui.ctx(), tip, "; it can also be dropped here");
            if ui.button("File...").on_hover_text(tip).clicked() {
                self.choose_file();
            }
        });
        ui.horizontal(|ui| {
            for scene in SCENES {
                let chosen = self.config.data == scene;
                let label =
                    ui.selectable_label(chosen, scene.to_string()).on_hover_text("Drawn by the program, endless");
                if label.clicked() && !chosen {
                    self.use_data(scene);
                }
            }
        });
        if !self.config.data.is_synthetic() {
            ui.add(egui::Label::new(RichText::new(self.config.data.to_string()).monospace()).truncate())
                .on_hover_text(self.config.data.to_string());
        }
        if self.resume && matches!(self.preview(), Some(DatasetPreview { result: Err(_), .. })) {
            ui.horizontal_wrapped(|ui| {
                ui.label("Were they moved?");
                let tip = "The run goes on with them where their names and their number are those of before";
                if ui.button("Moved to a folder...").on_hover_text(tip).clicked() {
                    self.choose_moved(true);
                }
                if ui.button("Moved to a file...").on_hover_text(tip).clicked() {
                    self.choose_moved(false);
                }
            });
        }
        if !self.config.skip.is_empty() {
            let names: Vec<String> = self.config.skip.iter().take(20).cloned().collect();
            ui.horizontal_wrapped(|ui| {
                ui.label(format!("{} pictures are left out", self.config.skip.len())).on_hover_text(names.join("\n"));
                if ui.small_button("Use all").on_hover_text("Leaves none out").clicked() {
                    self.config.skip.clear();
                    self.start_anew();
                }
            });
        }
        if let Some(DatasetPreview { result: Ok(data), .. }) = self.preview()
            && !data.problems.is_empty()
        {
            let names: Vec<_> = data.problems.iter().map(|p| format!("{}: {}", p.name, p.cause)).collect();
            ui.colored_label(ui.visuals().warn_fg_color, format!("{} pictures cannot be used", names.len()))
                .on_hover_text(names.join("\n"));
        }
        self.preparation(ui);
        ui.add_space(8.0);
    }

    /// Draws how images are prepared for the networks.
    fn preparation(&mut self, ui: &mut Ui) {
        let synthetic = self.config.data.is_synthetic();
        egui::Grid::new("preparation").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            // Synthetic images are rendered in the size of the networks.
            if !synthetic {
                preparation::rows(ui, &mut self.config.model.preparation);
            }
            let label = ui.label("Mirror");
            ui.checkbox(&mut self.config.train.mirror, "").labelled_by(label.id).on_hover_text(
                "Mirrors each picture in half of the epochs; which, the seed decides. The paper mirrors none",
            );
            ui.end_row();
        });
    }

    fn network(&mut self, ui: &mut Ui) {
        ui.strong("Networks");
        let before = self.config.model.preset;
        let model = &mut self.config.model;
        egui::Grid::new("networks").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            let preset = ui.label("Preset");
            egui::ComboBox::from_id_salt("preset")
                .selected_text(model.preset.name())
                .show_ui(ui, |ui| {
                    for &preset in Preset::ALL {
                        ui.selectable_value(&mut model.preset, preset, preset.name()).on_hover_text(preset.description());
                    }
                })
                .response
                .labelled_by(preset.id)
                .on_hover_text(before.description());
            ui.end_row();
            let size = ui.label("Size");
            egui::ComboBox::from_id_salt("size")
                .selected_text(format!("{0} x {0}", model.size))
                .show_ui(ui, |ui| {
                    for side in ModelConfig::SIZES {
                        ui.selectable_value(&mut model.size, side, format!("{side} x {side}"));
                    }
                })
                .response
                .labelled_by(size.id)
                .on_hover_text("Of the pictures. The paper: 64 x 64; MNIST: 28 x 28. The networks begin with 4x4 to 7x7 and double it");
            ui.end_row();
            choice(ui, "Channels", "1 is grey, 3 is colour", &mut model.channels, &[1, 3]);
            choice(ui, "Kernel", "Side of the convolutions. The paper: 5, and 3 in its 32x32 network; the PyTorch tutorial: 4, which divides by the stride of 2 and so avoids checkerboards", &mut model.kernel, &[3, 4, 5]);
            number(ui, "Base filters", "Feature maps of the widest layer; each stage towards the narrowest doubles them. The paper: 128; 64 is common; 32 suits a CPU", &mut model.base, 1..=512);
            number(ui, "Length of z", "Coordinates of the latent space. The paper: 100", &mut model.z_dim, 1..=4096);
            choice(ui, "Prior", "Where z is drawn from. The paper: uniform in [-1, 1]; PyTorch: normal", &mut model.prior, &[Prior::Uniform, Prior::Normal]);
            choice(
                ui,
                "Statistics",
                "Batch-norm statistics when sampling. Batch: those of a fixed reference batch of 128 samples, which stand \
                 for the authors' batches; running: averages over the training (PyTorch's tutorial)",
                &mut model.sampling,
                &[SamplingStatistics::Batch, SamplingStatistics::Running],
            );
            number(ui, "Batch", "Pictures a step. The paper: 128; PyTorch: 64", &mut self.config.train.batch, 2..=4096);
            choice(ui, "Precision", "What convolutions multiply on a graphics card. f32: single precision; mixed: half floats or brain floats, added up in single precision. The CPU always uses single precision", &mut self.config.train.precision, &[Precision::F32, Precision::Mixed]);
        });
        super::rules::ui(ui, model, &mut self.config.train);
        if model.preset != before {
            // Another preset changes all numbers but these.
            let RunConfig { data, seed, skip, .. } = self.config.clone();
            let (channels, preparation) = (self.config.model.channels, self.config.model.preparation);
            let TrainConfig { mirror, precision, .. } = self.config.train;
            self.config = RunConfig { seed, skip, ..RunConfig::preset(self.config.model.preset, data) };
            (self.config.model.channels, self.config.model.preparation) = (channels, preparation);
            (self.config.train.mirror, self.config.train.precision) = (mirror, precision);
        }
        ui.add_space(8.0);
    }

    /// Draws the learning rates, which can be changed while training runs.
    fn rates(&mut self, ui: &mut Ui, running: bool) -> Option<Action> {
        ui.strong("Learning rates").on_hover_text("Adam's. They can be changed while training goes on");
        let train = &mut self.config.train;
        let mut changed = false;
        egui::Grid::new("rates").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            for (name, rate) in
                [("Generator", &mut train.generator_rate), ("Discriminator", &mut train.discriminator_rate)]
            {
                let label = ui.label(name);
                let drag = DragValue::new(rate).range(1e-6..=1.0).speed(2e-6).max_decimals(6);
                let tip = "The paper: 0.0002; 0.001 was too high, training became unstable";
                changed |= ui.add(drag).labelled_by(label.id).on_hover_text(tip).changed();
                ui.end_row();
            }
        });
        ui.add_space(8.0);
        let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
        (changed && running).then_some(Action::Command(TrainerCommand::SetLearningRates(rates)))
    }

    /// Draws the instance noise, which keeps the discriminator from winning too early.
    fn noise(&mut self, ui: &mut Ui) {
        ui.strong("Instance noise").on_hover_text("Noise on everything the discriminator sees, real or drawn");
        let train = &mut self.config.train;
        egui::Grid::new("noise").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            let label = ui.label("Deviation");
            ui.add(DragValue::new(&mut train.noise).range(0.0..=1.0).speed(0.005).max_decimals(3))
                .labelled_by(label.id)
                .on_hover_text(
                    "The paper: 0, which suits photographs. A discriminator that is never in doubt teaches nothing: 0.2 \
                     helps where pictures have no grain of their own, as drawn ones (Sønderby et al. 2017)",
                );
            ui.end_row();
            let label = ui.label("Fades over");
            let never = |steps: f64, _| if steps > 0.0 { format!("{steps} steps") } else { "never".to_owned() };
            ui.add(DragValue::new(&mut train.noise_steps).range(0..=100_000_000).speed(100).custom_formatter(never))
                .labelled_by(label.id)
                .on_hover_text("Steps until the noise is gone; 0 for never");
            ui.end_row();
        });
        ui.add_space(8.0);
    }

    fn run_folder(&mut self, ui: &mut Ui) {
        ui.strong("Run");
        egui::Grid::new("run").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            let label = ui.label("Folder");
            let folder =
                ui.add(egui::TextEdit::singleline(&mut self.folder).desired_width(170.0)).labelled_by(label.id);
            self.folder_chosen |=
                folder.on_hover_text("Checkpoints, metrics.csv and sample grids are kept here").changed();
            ui.end_row();
            let label = ui.label("Steps");
            let endless = |steps: f64, _| if steps > 0.0 { steps.to_string() } else { "until stopped".to_owned() };
            ui.add(DragValue::new(&mut self.steps).range(0..=100_000_000).speed(100).custom_formatter(endless))
                .labelled_by(label.id)
                .on_hover_text("The last step; 0 goes on until stopped");
            ui.end_row();
            let label = ui.label("Epochs");
            let uncounted = |epochs: f64, _| if epochs > 0.0 { epochs.to_string() } else { "not counted".to_owned() };
            let ends = self.has_epochs();
            ui.add_enabled(ends, DragValue::new(&mut self.epochs).range(0..=1_000_000).custom_formatter(uncounted))
                .labelled_by(label.id)
                .on_hover_text(
                    "Passes through the pictures after which it ends, where the steps have not ended it before. At the end of \
                     each one a sample grid and a checkpoint are kept, and marked in the filmstrip",
                )
                .on_disabled_hover_text("These pictures never end, so they have no epochs");
            ui.end_row();
            let label = ui.label("Seed");
            ui.add(DragValue::new(&mut self.config.seed))
                .labelled_by(label.id)
                .on_hover_text("Decides weights, order and every z: the same seed is the same run");
            ui.end_row();
        });
        let resume = ui
            .checkbox(&mut self.resume, "Resume the run in this folder")
            .on_hover_text("Goes on from its newest checkpoint; the settings must be the run's own");
        if resume.changed() && !self.resume {
            self.start_anew();
        }
    }
}
