//! *Distances*: how far samples are from real pictures, as sets, over a run's checkpoints.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use burn::tensor::Device;
use egui::{Color32, DragValue, Ui};
use egui_plot::{HLine, Line, Plot, PlotPoints, Points};

use super::classes::error;
use super::judging::judging;
use super::sources::Sources;
use super::work::{Teller, Work, controls, receive};
use crate::data::{Dataset, Source};
use crate::evaluate::distances::Measures;
use crate::evaluate::features::Kind;
use crate::evaluate::statistics::Estimate;
use crate::evaluate::yardstick::{Settings, Yardstick};
use crate::model::{Discriminator, Model, checkpoints};

/// What pictures can be compared by.
const SPACES: [Kind; 3] = [Kind::Discriminator, Kind::Random, Kind::Pixels];

enum Told {
    /// What real pictures give, and how many there are.
    Floor(Box<Measures>, usize),
    At(u64, Box<Measures>),
}

/// A measure with its name and what it means.
type Measure = (&'static str, &'static str, fn(&Measures) -> Estimate);

const MEASURES: [Measure; 6] = [
    (
        "Sliced Wasserstein distance",
        "Between the sets' shadows on random directions: the less the better; real pictures are not at 0, since sets are finite",
        |m| m.sliced,
    ),
    (
        "Kernel distance",
        "The squared mean discrepancy with a cubic kernel, as KID has it: the less the better; real pictures are at 0 on average",
        |m| m.kernel,
    ),
    ("Precision", "Share of the samples that lie among real pictures: do they look real?", |m| m.precision),
    ("Recall", "Share of the real pictures that lie among samples: can all be drawn?", |m| m.recall),
    ("Density", "As precision, but not fooled by outliers; 1 for real pictures", |m| m.density),
    ("Coverage", "Share of the real pictures that have a sample near by", |m| m.coverage),
];

pub(super) struct Distances {
    device: Device,
    count: usize,
    space: Kind,
    work: Option<Work<Told>>,
    error: Option<String>,
    network: String,
    floor: Option<(Box<Measures>, usize)>,
    measured: BTreeMap<u64, Measures>,
}

/// Measures the newest checkpoint of a run, then all others from the first on; or one model.
fn measure(
    network: &Path,
    data: &str,
    settings: Settings,
    device: &Device,
    teller: &Teller<Told>,
) -> anyhow::Result<()> {
    let mut models: Vec<PathBuf> =
        checkpoints(&network.join("checkpoints")).into_iter().map(|(_, path)| path).collect();
    let newest = models.pop().unwrap_or_else(|| network.to_owned());
    let first = Model::open(&newest, device)?;
    let config = first.config();
    // Without a discriminator its shape alone says which pixels there are.
    let untrained = Discriminator::new(config, settings.seed, device);
    let judge = if settings.space == Kind::Discriminator { judging(&first, &newest)? } else { &untrained };
    let dataset = Dataset::open(&Source::parse(data)?, config.size, config.channels, settings.seed)?;
    let mut progress = |what, done, of| teller.progress(what, done, of);
    let yardstick = Yardstick::new(judge, &dataset, settings, device, &mut progress)?;
    teller.tell(Told::Floor(Box::new(yardstick.floor), yardstick.count));
    let mut tell = |model: &Model| -> anyhow::Result<()> {
        let measures = yardstick.measure(model, &mut progress)?;
        teller.tell(Told::At(model.provenance.steps, Box::new(measures)));
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
    pub fn new(device: Device) -> Self {
        Self {
            device,
            count: 1000,
            space: Kind::Discriminator,
            work: None,
            error: None,
            network: String::new(),
            floor: None,
            measured: BTreeMap::new(),
        }
    }

    pub fn receive(&mut self) {
        for told in receive(&mut self.work, &mut self.error) {
            match told {
                Told::Floor(measures, count) => self.floor = Some((measures, count)),
                Told::At(step, measures) => drop(self.measured.insert(step, *measures)),
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
        } else {
            None
        };
        let tip = "Measures the newest checkpoint of the run, then all others";
        if controls(ui, &mut self.work, "Measure distances", tip, obstacle) {
            (self.error, self.floor) = (None, None);
            self.measured.clear();
            self.network.clone_from(&sources.network);
            let (network, data, device) = (PathBuf::from(&sources.network), real.clone(), self.device.clone());
            let settings = Settings { space: self.space, count: self.count, seed: sources.seed };
            self.work = Some(Work::start(ui.ctx(), move |teller| measure(&network, &data, settings, &device, teller)));
        }
        error(ui, &mut self.error);
    }

    pub fn results(&mut self, ui: &mut Ui) {
        let Some((floor, count)) = &self.floor else {
            ui.heading("How good is it?");
            ui.label(
                "Samples and real pictures are compared as sets, over the checkpoints of a run. Each measure stands beside what \
                 two sets of real pictures give, which is the mark to reach: a number beyond it is no better.",
            );
            ui.label("Choose a run and pictures like those that it was trained on.");
            return;
        };
        ui.horizontal_wrapped(|ui| {
            ui.strong(&self.network);
            ui.label(format!(
                "{count} samples and {count} real pictures; bars are 95 % intervals; the line is real pictures."
            ));
        });
        ui.add_space(4.0);
        let columns = 3;
        let room = ui.available_size();
        let size = egui::vec2(room.x / columns as f32 - 10.0, (room.y / 2.0 - 12.0).max(150.0));
        egui::ScrollArea::vertical().id_salt("distances").show(ui, |ui| {
            for part in MEASURES.chunks(columns) {
                ui.horizontal_top(|ui| {
                    for measure in part {
                        ui.allocate_ui_with_layout(size, egui::Layout::top_down(egui::Align::Min), |ui| {
                            ui.set_width(size.x);
                            curve(ui, measure, floor, &self.measured);
                        });
                    }
                });
            }
        });
    }
}

/// One measure over the steps.
fn curve(ui: &mut Ui, (name, tip, of): &Measure, floor: &Measures, measured: &BTreeMap<u64, Measures>) {
    let (colour, real) = if ui.visuals().dark_mode {
        (Color32::from_rgb(110, 170, 255), Color32::from_rgb(120, 200, 120))
    } else {
        (Color32::from_rgb(20, 90, 200), Color32::from_rgb(20, 130, 50))
    };
    ui.strong(*name).on_hover_text(*tip);
    let short = |Estimate { value, low, high }: Estimate| format!("{value:.3} ({low:.3} to {high:.3})");
    let newest = measured.last_key_value().map(|(step, m)| format!("step {step}: {}", short(of(m))));
    ui.label(newest.unwrap_or_default()).on_hover_text(*tip);
    ui.colored_label(real, format!("real: {}", short(of(floor)))).on_hover_text("What other real pictures give");
    let plot = Plot::new(*name).allow_scroll(false).include_y(0.0).x_axis_label("step");
    plot.show(ui, |plot| {
        plot.hline(HLine::new("real pictures", of(floor).value).color(real).width(1.5));
        let points: Vec<[f64; 2]> = measured.iter().map(|(&step, m)| [step as f64, of(m).value]).collect();
        for (&step, measures) in measured {
            let bar = [of(measures).low, of(measures).high].map(|end| [step as f64, end]).to_vec();
            plot.line(Line::new("", PlotPoints::from(bar)).color(colour.gamma_multiply(0.6)).width(1.5));
        }
        plot.line(Line::new("samples", PlotPoints::from(points.clone())).color(colour).width(1.5));
        plot.points(Points::new("samples", PlotPoints::from(points)).color(colour).radius(3.0));
    });
}
