//! The *Distances* tab: distances between the distributions of samples and of real images, over a run's checkpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use burn::tensor::Device;
use egui::{Color32, DragValue, Ui};
use egui_plot::{HLine, Line, Plot, PlotPoints, Points};

use super::controls::{error_label, job_controls, placeholder};
use super::sources::Sources;
use crate::app::background::BackgroundTasks;
use crate::app::dialogs::Dialog;
use crate::app::service::{Job, Reporter};
use crate::data::{Dataset, Source};
use crate::evaluate::curves::curves;
use crate::evaluate::features::{FeatureKind, FeatureSource};
use crate::evaluate::reference_set::{ReferenceSet, ReferenceSettings, SetComparison};
use crate::image::Preparation;
use crate::image::plot::{self, Curve, PlotValue};
use crate::model::{Model, checkpoints};

/// The feature spaces to choose from.
const SPACES: [FeatureKind; 4] =
    [FeatureKind::Discriminator, FeatureKind::Random, FeatureKind::Pixels, FeatureKind::Inception];

enum DistanceFileResponse {
    /// The chosen file of an Inception network.
    Inception(PathBuf),
    /// Where the curves were saved, or why they were not.
    Saved(Result<PathBuf, String>),
}

enum DistanceEvent {
    /// The distances between two sets of real images, and their number.
    Floor(Box<SetComparison>, usize),
    /// The distances of the samples of a training step.
    At(u64, Box<SetComparison>),
}

pub(super) struct DistancesPanel {
    device: Device,
    /// The folder where curves are written without a dialog.
    exports: Option<PathBuf>,
    count: usize,
    space: FeatureKind,
    /// The file of an Inception network.
    inception: String,
    tasks: BackgroundTasks<DistanceFileResponse>,
    /// Where the curves were saved.
    saved: Option<PathBuf>,
    job: Option<Job<DistanceEvent>>,
    error: Option<String>,
    network: String,
    floor: Option<(Box<SetComparison>, usize)>,
    measured: BTreeMap<u64, SetComparison>,
}

/// What the job measures.
struct DistanceTask {
    network: PathBuf,
    data: String,
    space: FeatureKind,
    inception: PathBuf,
    settings: ReferenceSettings,
    preparation: Option<Preparation>,
}

/// Measures the newest checkpoint of a run, then all others from the first on; or one model.
fn measure(task: &DistanceTask, device: &Device, reporter: &Reporter<DistanceEvent>) -> anyhow::Result<()> {
    let DistanceTask { network, data, space, inception, settings, preparation } = task;
    let mut models: Vec<PathBuf> =
        checkpoints(&network.join("checkpoints")).into_iter().map(|(_, path)| path).collect();
    let newest = models.pop().unwrap_or_else(|| network.clone());
    let first = Model::open(&newest, device)?;
    let config = first.config();
    let by = FeatureSource::open(*space, &first, &newest, inception, device)?;
    let dataset = Dataset::open(&Source::from(data), config.pictures().prepared(*preparation)?, settings.seed)?;
    let mut progress = |what, done, total| reporter.report(what, done, total);
    let reference = ReferenceSet::new(by, &dataset, *settings, device, &mut progress)?;
    reporter.send(DistanceEvent::Floor(Box::new(reference.floor), reference.count));
    let mut measure = |model: &Model| -> anyhow::Result<()> {
        let measured = reference.measure(model, &mut progress)?;
        reporter.send(DistanceEvent::At(model.provenance.steps, Box::new(measured)));
        Ok(())
    };
    measure(&first)?;
    for path in models {
        // A training removes old checkpoints.
        if path.is_dir() {
            let model = Model::open(&path, device).with_context(|| path.display().to_string())?;
            measure(&model)?;
        }
    }
    Ok(())
}

impl DistancesPanel {
    pub fn new(device: Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            device,
            exports,
            count: 1000,
            space: FeatureKind::Discriminator,
            inception: String::new(),
            tasks: BackgroundTasks::new(ctx, |error| DistanceFileResponse::Saved(Err(error))),
            saved: None,
            job: None,
            error: None,
            network: String::new(),
            floor: None,
            measured: BTreeMap::new(),
        }
    }

    pub fn receive(&mut self) {
        while let Ok(response) = self.tasks.responses().try_recv() {
            match response {
                DistanceFileResponse::Inception(path) => self.inception = path.to_string_lossy().into_owned(),
                DistanceFileResponse::Saved(Ok(path)) => self.saved = Some(path),
                DistanceFileResponse::Saved(Err(error)) => self.error = Some(error),
            }
        }
        for event in Job::receive(&mut self.job, &mut self.error) {
            match event {
                DistanceEvent::Floor(measured, count) => self.floor = Some((measured, count)),
                DistanceEvent::At(step, measured) => drop(self.measured.insert(step, *measured)),
            }
        }
    }

    pub fn settings(&mut self, ui: &mut Ui, sources: &Sources) {
        ui.add_enabled_ui(self.job.is_none(), |ui| {
            let label = ui.label("Compared by");
            egui::ComboBox::from_id_salt("space")
                .selected_text(self.space.name())
                .width(200.0)
                .show_ui(ui, |ui| {
                    for kind in SPACES {
                        ui.selectable_value(&mut self.space, kind, kind.name());
                    }
                })
                .response
                .labelled_by(label.id)
                .on_hover_text("The space that pictures are points of; the newest network's where it is learnt");
            if self.space == FeatureKind::Inception {
                self.inception_ui(ui);
            }
            ui.horizontal(|ui| {
                let label = ui.label("Pictures");
                ui.add(DragValue::new(&mut self.count).range(50..=5000).speed(10)).labelled_by(label.id).on_hover_text(
                    "Samples, and as many real pictures, twice: others of them say what real pictures give. Numbers of \
                     different counts cannot be compared",
                );
            });
        });
        let real = if sources.test.trim().is_empty() { &sources.training } else { &sources.test };
        ui.weak("Samples are compared with the test pictures, or with training pictures where there are none.");
        let obstacle = if sources.network.trim().is_empty() {
            Some("Choose a network")
        } else if real.trim().is_empty() {
            Some("Choose pictures to compare with")
        } else if self.space == FeatureKind::Inception && self.inception.trim().is_empty() {
            Some("Choose the Inception network's file")
        } else {
            None
        };
        let tip = "Measures the newest checkpoint of the run, then all others";
        if job_controls(ui, &mut self.job, "Measure distances", tip, obstacle) {
            (self.error, self.floor, self.saved) = (None, None, None);
            self.measured.clear();
            self.network.clone_from(&sources.network);
            let task = DistanceTask {
                network: PathBuf::from(&sources.network),
                data: real.clone(),
                space: self.space,
                inception: PathBuf::from(self.inception.trim()),
                settings: ReferenceSettings { count: self.count, seed: sources.seed },
                preparation: sources.preparation,
            };
            let device = self.device.clone();
            self.job = Some(Job::start("distances", ui.ctx(), move |reporter| measure(&task, &device, reporter)));
        }
        error_label(ui, &mut self.error);
    }

    fn inception_ui(&mut self, ui: &mut Ui) {
        const TIP: &str = "pytorch-fid's pt_inception-2015-12-05-6726825d.pth, or its tensors as safetensors: with it FID and KID are \
                           measured as they are published. On a CPU it sees about one picture a second";
        let label = ui.label("Inception network").on_hover_text(TIP);
        ui.horizontal(|ui| {
            let text = egui::TextEdit::singleline(&mut self.inception).hint_text("a .pth or .safetensors file");
            ui.add(text.desired_width(ui.available_width() - 70.0)).labelled_by(label.id).on_hover_text(TIP);
            if ui.button("File...").on_hover_text("Choose the network's file").clicked() {
                let dialog = Dialog::file("Inception network").filter("Networks", &["pth", "pt", "safetensors"]);
                self.tasks.choose(dialog.filter("All files", &["*"]), DistanceFileResponse::Inception);
            }
        });
    }

    pub fn results(&mut self, ui: &mut Ui) {
        let Some((floor, count)) = &self.floor else {
            ui.heading("How good is it?");
            ui.label(
                "Samples and real pictures are compared as sets, over the checkpoints of a run. Each measure stands beside what \
                 two sets of real pictures give, which is the mark to reach: a number beyond it is no better.",
            );
            placeholder(ui, self.job.as_ref(), "Choose a run and pictures like those that it was trained on.");
            return;
        };
        let curves = curves(floor, self.measured.iter().map(|(&step, measured)| (step, measured)));
        ui.horizontal_wrapped(|ui| {
            ui.strong(&self.network);
            ui.label(format!(
                "{count} samples and {count} real pictures; bars are 95 % intervals; the line is real pictures."
            ));
            let save = ui.button("Save curves...").on_hover_text("Draw these curves to a PNG or SVG file");
            if save.clicked() {
                let (curves, title) =
                    (curves.clone(), format!("{}: {count} samples beside {count} pictures", self.network));
                let dialog = Dialog::save("Save curves", "curves.png").filter("PNG", &["png"]).filter("SVG", &["svg"]);
                self.tasks.choose_destination(self.exports.clone(), dialog, move |path| {
                    let path = path?;
                    let written = plot::write(&path, &title, "step", &curves);
                    Some(DistanceFileResponse::Saved(written.map(|()| path).map_err(|error| error.to_string())))
                });
            }
            if let Some(path) = &self.saved {
                ui.weak(format!("saved as {}", path.display()));
            }
        });
        ui.add_space(4.0);
        let columns = if curves.len() > 6 { 4 } else { 3 };
        let room = ui.available_size();
        let size = egui::vec2(room.x / columns as f32 - 10.0, (room.y / 2.0 - 12.0).max(150.0));
        egui::ScrollArea::vertical().id_salt("distances").show(ui, |ui| {
            for part in curves.chunks(columns) {
                ui.horizontal_top(|ui| {
                    for curve in part {
                        ui.allocate_ui_with_layout(size, egui::Layout::top_down(egui::Align::Min), |ui| {
                            ui.set_width(size.x);
                            show(ui, curve);
                        });
                    }
                });
            }
        });
    }
}

/// Plots a measure over the training steps.
fn show(ui: &mut Ui, Curve { name, about, points, mark }: &Curve) {
    let (color, real) = if ui.visuals().dark_mode {
        (Color32::from_rgb(110, 170, 255), Color32::from_rgb(120, 200, 120))
    } else {
        (Color32::from_rgb(20, 90, 200), Color32::from_rgb(20, 130, 50))
    };
    ui.strong(*name).on_hover_text(*about);
    let short = |PlotValue { value, low, high }: &PlotValue| format!("{value:.3} ({low:.3} to {high:.3})");
    let newest = points.last().map(|(step, value)| format!("step {step}: {}", short(value)));
    ui.label(newest.unwrap_or_default()).on_hover_text(*about);
    ui.colored_label(real, format!("real: {}", short(mark))).on_hover_text("What other real pictures give");
    let plot = Plot::new(*name).allow_scroll(false).include_y(0.0).x_axis_label("step");
    plot.show(ui, |plot| {
        plot.hline(HLine::new("real pictures", mark.value).color(real).width(1.5));
        for (x, PlotValue { low, high, .. }) in points {
            let bar = PlotPoints::from(vec![[*x, *low], [*x, *high]]);
            plot.line(Line::new("", bar).color(color.gamma_multiply(0.6)).width(1.5));
        }
        let points: Vec<[f64; 2]> = points.iter().map(|(x, value)| [*x, value.value]).collect();
        plot.line(Line::new("samples", PlotPoints::from(points.clone())).color(color).width(1.5));
        plot.points(Points::new("samples", PlotPoints::from(points)).color(color).radius(3.0));
    });
}
