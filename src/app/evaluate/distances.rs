//! *Distances*: how far samples are from real pictures, as sets, over a run's checkpoints.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use burn::tensor::Device;
use egui::{Color32, DragValue, Ui};
use egui_plot::{HLine, Line, Plot, PlotPoints, Points};

use super::classes::error;
use super::sources::Sources;
use super::work::{Teller, Work, controls, receive, until};
use crate::app::dialogs::Dialog;
use crate::app::errands::Errands;
use crate::data::{Dataset, Source};
use crate::evaluate::curves::curves;
use crate::evaluate::features::{By, Kind};
use crate::evaluate::yardstick::{Measured, Settings, Yardstick};
use crate::image::Preparation;
use crate::image::plot::{self, Curve, Value};
use crate::model::{Model, checkpoints};

/// What pictures can be compared by.
const SPACES: [Kind; 4] = [Kind::Discriminator, Kind::Random, Kind::Pixels, Kind::Inception];

/// What dialogs and files answer.
enum Answer {
    Inception(PathBuf),
    Saved(Result<PathBuf, String>),
}

enum Told {
    /// What real pictures give, and how many there are.
    Floor(Box<Measured>, usize),
    At(u64, Box<Measured>),
}

pub(super) struct Distances {
    device: Device,
    /// Where curves are written without asking.
    exports: Option<PathBuf>,
    count: usize,
    space: Kind,
    /// The file of an Inception network.
    inception: String,
    errands: Errands<Answer>,
    /// Where the curves were saved.
    saved: Option<PathBuf>,
    work: Option<Work<Told>>,
    error: Option<String>,
    network: String,
    floor: Option<(Box<Measured>, usize)>,
    measured: BTreeMap<u64, Measured>,
}

/// What a thread measures.
struct Task {
    network: PathBuf,
    data: String,
    space: Kind,
    inception: PathBuf,
    settings: Settings,
    preparation: Option<Preparation>,
}

/// Measures the newest checkpoint of a run, then all others from the first on; or one model.
fn measure(task: &Task, device: &Device, teller: &Teller<Told>) -> anyhow::Result<()> {
    let Task { network, data, space, inception, settings, preparation } = task;
    let mut models: Vec<PathBuf> =
        checkpoints(&network.join("checkpoints")).into_iter().map(|(_, path)| path).collect();
    let newest = models.pop().unwrap_or_else(|| network.clone());
    let first = Model::open(&newest, device)?;
    let config = first.config();
    let by = By::open(*space, &first, &newest, inception, device)?;
    let dataset = Dataset::open(&Source::parse(data)?, config.pictures().prepared(*preparation)?, settings.seed)?;
    let mut progress = |what, done, of| teller.progress(what, done, of);
    let yardstick = Yardstick::new(by, &dataset, *settings, device, &mut progress)?;
    teller.tell(Told::Floor(Box::new(yardstick.floor), yardstick.count));
    let mut tell = |model: &Model| -> anyhow::Result<()> {
        let measured = yardstick.measure(model, &mut progress)?;
        teller.tell(Told::At(model.provenance.steps, Box::new(measured)));
        Ok(())
    };
    tell(&first)?;
    for path in models {
        // A training removes old checkpoints.
        if path.is_dir() {
            let model = Model::open(&path, device).with_context(|| path.display().to_string())?;
            tell(&model)?;
        }
    }
    Ok(())
}

impl Distances {
    pub fn new(device: Device, exports: Option<PathBuf>, ctx: &egui::Context) -> Self {
        Self {
            device,
            exports,
            count: 1000,
            space: Kind::Discriminator,
            inception: String::new(),
            errands: Errands::new(ctx),
            saved: None,
            work: None,
            error: None,
            network: String::new(),
            floor: None,
            measured: BTreeMap::new(),
        }
    }

    pub fn receive(&mut self) {
        while let Ok(answer) = self.errands.answers().try_recv() {
            match answer {
                Answer::Inception(path) => self.inception = path.to_string_lossy().into_owned(),
                Answer::Saved(Ok(path)) => self.saved = Some(path),
                Answer::Saved(Err(cause)) => self.error = Some(cause),
            }
        }
        for told in receive(&mut self.work, &mut self.error) {
            match told {
                Told::Floor(measured, count) => self.floor = Some((measured, count)),
                Told::At(step, measured) => drop(self.measured.insert(step, *measured)),
            }
        }
    }

    pub fn settings(&mut self, ui: &mut Ui, sources: &Sources) {
        ui.add_enabled_ui(self.work.is_none(), |ui| {
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
            if self.space == Kind::Inception {
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
        } else if self.space == Kind::Inception && self.inception.trim().is_empty() {
            Some("Choose the Inception network's file")
        } else {
            None
        };
        let tip = "Measures the newest checkpoint of the run, then all others";
        if controls(ui, &mut self.work, "Measure distances", tip, obstacle) {
            (self.error, self.floor, self.saved) = (None, None, None);
            self.measured.clear();
            self.network.clone_from(&sources.network);
            let task = Task {
                network: PathBuf::from(&sources.network),
                data: real.clone(),
                space: self.space,
                inception: PathBuf::from(self.inception.trim()),
                settings: Settings { count: self.count, seed: sources.seed },
                preparation: sources.preparation,
            };
            let device = self.device.clone();
            self.work = Some(Work::start(ui.ctx(), move |teller| measure(&task, &device, teller)));
        }
        error(ui, &mut self.error);
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
                self.errands.choose(dialog.filter("All files", &["*"]), Answer::Inception);
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
            until(ui, self.work.as_ref(), "Choose a run and pictures like those that it was trained on.");
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
                self.errands.place(self.exports.clone(), dialog, move |path| {
                    let path = path?;
                    let written = plot::write(&path, &title, "step", &curves);
                    Some(Answer::Saved(written.map(|()| path).map_err(|cause| cause.to_string())))
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

/// One measure over the steps.
fn show(ui: &mut Ui, Curve { name, about, points, mark }: &Curve) {
    let (colour, real) = if ui.visuals().dark_mode {
        (Color32::from_rgb(110, 170, 255), Color32::from_rgb(120, 200, 120))
    } else {
        (Color32::from_rgb(20, 90, 200), Color32::from_rgb(20, 130, 50))
    };
    ui.strong(*name).on_hover_text(*about);
    let short = |Value { value, low, high }: &Value| format!("{value:.3} ({low:.3} to {high:.3})");
    let newest = points.last().map(|(step, value)| format!("step {step}: {}", short(value)));
    ui.label(newest.unwrap_or_default()).on_hover_text(*about);
    ui.colored_label(real, format!("real: {}", short(mark))).on_hover_text("What other real pictures give");
    let plot = Plot::new(*name).allow_scroll(false).include_y(0.0).x_axis_label("step");
    plot.show(ui, |plot| {
        plot.hline(HLine::new("real pictures", mark.value).color(real).width(1.5));
        for (x, Value { low, high, .. }) in points {
            let bar = PlotPoints::from(vec![[*x, *low], [*x, *high]]);
            plot.line(Line::new("", bar).color(colour.gamma_multiply(0.6)).width(1.5));
        }
        let points: Vec<[f64; 2]> = points.iter().map(|(x, value)| [*x, value.value]).collect();
        plot.line(Line::new("samples", PlotPoints::from(points.clone())).color(colour).width(1.5));
        plot.points(Points::new("samples", PlotPoints::from(points)).color(colour).radius(3.0));
    });
}
