//! *Classes*: how well a linear classifier tells classes by the discriminator's features (section 5), live while it trains.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use crossbeam_channel::{Sender, unbounded};
use egui::{Color32, DragValue, Ui};
use egui_plot::{Corner, HLine, Legend, Line, Plot, PlotPoints, Points};

use super::heat::Heat;
use super::judging::{Order, Told, judge};
use super::sources::Sources;
use super::work::{Work, controls, receive, until};
use crate::evaluate::Labelled;
use crate::evaluate::classify::{Scored, Settings};
use crate::evaluate::statistics::Estimate;
use crate::model::TensorFile;

/// Pictures that are learnt from, and others to be tried on, where nobody says it.
const COUNT: usize = 1000;
/// Labels of the few-label protocol, how often they are drawn, and pictures to learn from and to be tried on with it: the paper's
/// 1,000 labels of the street numbers (section 5.2), and what the command line has where nobody says it.
const FEW: [usize; 2] = [1000, 10];
const FEW_COUNT: usize = 10_000;
/// Steps of a training from one measure to the next, where nobody says it.
const EVERY: u64 = 100;

pub(super) struct Classes {
    device: Device,
    counts: [usize; 2],
    /// Whether few labels are drawn again and again, how many, and how often.
    few: bool,
    draws: [usize; 2],
    /// Pictures that batch norm's statistics are taken from; 0 for all.
    statistics: usize,
    /// Draws that a supervised network learns from; 0 for none.
    supervised: usize,
    follow: bool,
    every: u64,
    work: Option<Work<Told>>,
    /// Where networks in training go.
    outbox: Option<Sender<Arc<TensorFile>>>,
    error: Option<String>,
    found: Found,
}

/// What was measured of a network or of a run.
#[derive(Default)]
struct Found {
    network: PathBuf,
    test: Option<Arc<Labelled>>,
    training: usize,
    settings: Option<Settings>,
    /// Pictures that batch norm's statistics are taken from.
    statistics: usize,
    skipped: usize,
    /// The discriminator's features, by the steps that it took.
    learnt: BTreeMap<u64, Scored>,
    /// Random weights, pixels, and the supervised network where it was asked for.
    beside: Vec<Scored>,
    heat: Option<Heat>,
}

impl Classes {
    pub fn new(device: Device) -> Self {
        Self {
            device,
            counts: [COUNT; 2],
            few: false,
            draws: FEW,
            statistics: 0,
            supervised: 0,
            follow: true,
            every: EVERY,
            work: None,
            outbox: None,
            error: None,
            found: Found::default(),
        }
    }

    /// The steps of a training after which its networks are wanted; 0 for never.
    pub fn wants_every(&self) -> u64 {
        if self.outbox.is_some() { self.every } else { 0 }
    }

    /// Takes networks in training.
    pub fn take_networks(&mut self, file: Arc<TensorFile>) {
        if let Some(outbox) = &self.outbox
            && outbox.send(file).is_err()
        {
            // It was measured to its end, or failed.
            self.outbox = None;
        }
    }

    /// A training began in `run`: it is measured as it learns, unless that is switched off or something else is measured.
    pub fn training_began(&mut self, ctx: &egui::Context, sources: &Sources) {
        // One that has measured all of another run, and waits for more of it, gives way.
        if self.follow && self.work.as_ref().is_none_or(Work::waits) {
            self.start(ctx, sources, true);
        }
    }

    /// The training ended: what it saved last is measured, and no more comes.
    pub fn training_ended(&mut self) {
        self.outbox = None;
    }

    fn start(&mut self, ctx: &egui::Context, sources: &Sources, training: bool) {
        let order = Order {
            network: PathBuf::from(&sources.network),
            training: sources.training.clone(),
            preparation: sources.preparation,
            test: sources.test.clone(),
            counts: self.counts,
            few: self.few.then_some(self.draws),
            statistics: (self.statistics > 0).then_some(self.statistics),
            supervised: self.supervised,
            seed: sources.seed,
            follow: self.follow,
        };
        self.error = None;
        self.found = Found { network: order.network.clone(), ..Found::default() };
        let inbox = (training && self.follow).then(|| {
            let (outbox, inbox) = unbounded();
            self.outbox = Some(outbox);
            inbox
        });
        let device = self.device.clone();
        self.work = Some(Work::start(ctx, move |teller| judge(&order, inbox.as_ref(), &device, teller)));
    }

    pub fn receive(&mut self) {
        for told in receive(&mut self.work, &mut self.error) {
            match told {
                Told::Read { test, training, settings, statistics, skipped } => {
                    let found = &mut self.found;
                    (found.test, found.settings) = (Some(test), Some(settings));
                    (found.training, found.statistics, found.skipped) = (training, statistics, skipped);
                }
                Told::Learnt { step, scored, confusion } => {
                    let newest = self.found.learnt.last_key_value().is_none_or(|(last, _)| *last <= step);
                    if let (true, Some(test)) = (newest, &self.found.test) {
                        self.found.heat = Some(Heat::new(confusion, test.clone(), self.found.heat.as_ref()));
                    }
                    self.found.learnt.insert(step, *scored);
                }
                Told::Beside(scored) => self.found.beside.push(*scored),
            }
        }
        if self.work.is_none() {
            self.outbox = None;
        }
    }

    /// The settings; `training` is the run of a training that goes on.
    pub fn settings(&mut self, ui: &mut Ui, sources: &Sources, training: Option<&Path>) {
        ui.add_enabled_ui(self.work.is_none(), |ui| {
            egui::Grid::new("classes").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
                let [learnt_from, tried_on] = &mut self.counts;
                let rows = [
                    (
                        "To learn from",
                        "Labelled pictures that the classifier learns from, as many of each class",
                        learnt_from,
                    ),
                    ("To be tried on", "Test pictures that it is tried on", tried_on),
                ];
                for (name, tip, value) in rows {
                    let label = ui.label(name);
                    ui.add(DragValue::new(value).range(20..=1_000_000).speed(20))
                        .labelled_by(label.id)
                        .on_hover_text(tip);
                    ui.end_row();
                }
                let label = ui.label("Statistics of");
                let all = |count: f64, _| if count > 0.0 { format!("{count} pictures") } else { "all".to_owned() };
                let statistics = DragValue::new(&mut self.statistics).range(0..=10_000_000).speed(100);
                ui.add(statistics.custom_formatter(all)).labelled_by(label.id).on_hover_text(
                    "Training pictures, with labels or without, that the discriminator's batch norm takes its statistics from: 0 for \
                     all, as in the authors' code. It takes time anew for every network that is measured",
                );
                ui.end_row();
                let label = ui.label("Supervised draws");
                ui.add(DragValue::new(&mut self.supervised).range(0..=100)).labelled_by(label.id).on_hover_text(
                    "A network of the same shape that learns from the labels themselves, so many times: what the paper compares with. \
                     0 leaves it out, since it takes minutes",
                );
                ui.end_row();
            });
            self.few(ui);
        });
        let follow = ui.checkbox(&mut self.follow, "Live, over the steps of a run").on_hover_text(
            "Measures every checkpoint of the run, and goes on as it trains. It begins with each training on pictures that \
             have classes. On the CPU the training gets slower by what this takes. Off: the newest network alone",
        );
        if follow.changed() && !self.follow {
            (self.work, self.outbox) = (None, None);
        }
        ui.horizontal(|ui| {
            let label = ui.label("Measured every");
            ui.add_enabled(
                self.follow,
                DragValue::new(&mut self.every).range(1..=1_000_000).speed(10).suffix(" steps"),
            )
            .labelled_by(label.id)
            .on_hover_text("Steps of this window's training. Where measuring takes longer, the newest network is next");
        });
        ui.add_space(6.0);
        let live = training.is_some_and(|run| Path::new(&sources.network) == run);
        let obstacle = if sources.network.trim().is_empty() {
            Some("Choose a network")
        } else if sources.training.trim().is_empty() {
            Some("Choose training pictures that have classes")
        } else {
            None
        };
        let tip = "Teaches a linear classifier (L2-SVM) with the discriminator's features, and compares it with random weights \
            and pixels (the paper's section 5)";
        if controls(ui, &mut self.work, "Tell classes", tip, obstacle) {
            self.start(&ui.ctx().clone(), sources, live);
        }
        error(ui, &mut self.error);
    }

    /// The few-label protocol of section 5.2.
    fn few(&mut self, ui: &mut Ui) {
        let few = ui.checkbox(&mut self.few, "Few labels, drawn again and again").on_hover_text(
            "As the paper measured the street numbers (section 5.2): the classifier learns from few labels, as many of each class, \
             and its penalty is chosen on other pictures; drawn several times, the mean and its spread are told",
        );
        if few.changed() && self.few && self.counts == [COUNT; 2] {
            // So many that labels and the pictures for the penalty can be drawn from them.
            self.counts = [FEW_COUNT; 2];
        }
        ui.add_enabled_ui(self.few, |ui| {
            egui::Grid::new("few").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
                let [labels, draws] = &mut self.draws;
                let rows = [
                    ("Labels", "In all, as many of each class. The paper: 1000", 2..=1_000_000, labels),
                    ("Draws", "How often they are drawn. The command line: 10; the authors: 100", 1..=1000, draws),
                ];
                for (name, tip, range, value) in rows {
                    let label = ui.label(name);
                    ui.add(DragValue::new(value).range(range)).labelled_by(label.id).on_hover_text(tip);
                    ui.end_row();
                }
            });
        });
    }

    /// What was measured.
    pub fn results(&mut self, ui: &mut Ui) {
        if self.found.learnt.is_empty() {
            ui.heading("How well do its features tell classes?");
            ui.label(
                "A discriminator learns without labels. Here a linear classifier is taught with its features and a few labels, \
                 and tried on other pictures: the better it tells classes, the more the features mean. Random weights of the \
                 same shape and raw pixels are measured beside it.",
            );
            until(
                ui,
                self.work.as_ref(),
                "Choose a network with its discriminator, and pictures whose folders are their classes.",
            );
            return;
        }
        let found = &mut self.found;
        found.summary(ui);
        ui.separator();
        let room = ui.available_size();
        let left = (room.x * 0.56).min(room.y).max(240.0);
        ui.horizontal_top(|ui| {
            ui.allocate_ui_with_layout(egui::vec2(left, room.y), egui::Layout::top_down(egui::Align::Min), |ui| {
                ui.strong("What is taken for what").on_hover_text(
                    "A row for each class, a column for what its pictures are taken for, by the newest network",
                );
                if let Some(heat) = &mut found.heat {
                    egui::ScrollArea::both().id_salt("matrix").show(ui, |ui| heat.matrix(ui, left - 24.0));
                }
            });
            ui.vertical(|ui| {
                let height = (room.y * 0.42).clamp(160.0, 360.0);
                ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| found.curve(ui, "accuracy"));
                ui.separator();
                if let Some(heat) = &mut found.heat {
                    heat.pictures(ui);
                }
            });
        });
    }

    /// The accuracy over the steps alone, for those who watch a training.
    pub fn curve(&self, ui: &mut Ui) {
        if self.found.learnt.is_empty() {
            ui.weak(match (&self.error, &self.work) {
                (Some(error), _) => error.as_str(),
                (None, Some(_)) => "measured as soon as the first network is there",
                (None, None) => {
                    "nothing is measured: the pictures have no classes, or it is switched off (Measure, Classes)"
                }
            });
            return;
        }
        self.found.curve(ui, "accuracy beside the training");
    }
}

impl Found {
    /// Each way with its accuracy.
    fn summary(&self, ui: &mut Ui) {
        let Some((step, newest)) = self.learnt.last_key_value() else { return };
        let test = self.test.as_ref();
        let classes = test.map_or(0, |test| test.classes.len());
        let what = if *step > 0 { format!(", after step {step}") } else { ", untrained".to_owned() };
        ui.horizontal_wrapped(|ui| {
            ui.strong(format!("{}{what}", self.network.display()));
            let learnt = match self.settings.and_then(|settings| Some((settings, settings.labels?))) {
                Some((Settings { draws, validation, .. }, labels)) => {
                    let from = self.training - validation;
                    format!(
                        "{labels} labels, drawn {draws} times from {from} pictures, C chosen on {validation} others"
                    )
                }
                None => format!("{} pictures to learn from", self.training),
            };
            ui.label(format!(
                "{classes} classes; {learnt}, {} to be tried on; statistics of {} pictures",
                test.map_or(0, |test| test.pictures.len()),
                self.statistics
            ));
            if self.skipped > 0 {
                ui.colored_label(ui.visuals().warn_fg_color, format!("{} pictures cannot be read", self.skipped));
            }
        });
        ui.add_space(4.0);
        egui::Grid::new("scored").num_columns(6).striped(true).spacing([18.0, 4.0]).show(ui, |ui| {
            for (head, tip) in [
                ("Told by", "What the classifier is given"),
                ("Accuracy", "Share of the test pictures that are told rightly"),
                (
                    "95 % interval",
                    "Of one draw Wilson's, over test pictures; of several the mean's, over draws. Another training may lie outside",
                ),
                ("Spread", "What 95 % of single draws keep to, as the paper has it"),
                ("Features", "Numbers a picture"),
                ("C", "The penalty that did best on a fifth of the pictures to learn from"),
            ] {
                ui.weak(head).on_hover_text(tip);
            }
            ui.end_row();
            for (i, scored) in std::iter::once(newest).chain(&self.beside).enumerate() {
                let Estimate { value, low, high } = scored.accuracy;
                ui.colored_label(colours(ui)[i.min(3)], scored.way.name());
                ui.strong(format!("{:.1} %", value * 1e2));
                ui.label(format!("{:.1} to {:.1} %", low * 1e2, high * 1e2));
                ui.label(scored.spread.map_or(String::new(), |spread| format!("\u{b1} {:.1} %", spread * 1e2)));
                ui.label(scored.features.map_or(String::new(), |features| features.to_string()));
                let c = ui.label(scored.c.map_or(String::new(), |c| format!("{c:.0e}")));
                if !scored.settled {
                    c.on_hover_text("Stopped after 200 passes, before it was quite done");
                }
                ui.end_row();
            }
        });
        if classes > 0 {
            let many = match self.learnt.len() {
                1 => String::new(),
                count => format!(" {count} networks of the run are measured."),
            };
            ui.weak(format!("Guessing tells {:.1} % rightly.{many}", 1e2 / classes as f64));
        }
    }

    /// Accuracy over the steps, with intervals, beside what it is compared with.
    fn curve(&self, ui: &mut Ui, name: &str) {
        let colours = colours(ui);
        let legend = Legend::default().position(Corner::RightBottom).follow_insertion_order(true);
        // From zero, so that the legend has room below, and a small difference looks small.
        let plot = Plot::new(name.to_owned()).legend(legend).include_y(0.0).allow_scroll(false);
        plot.x_axis_label("step").y_axis_label("accuracy, %").show(ui, |plot| {
            let points: Vec<[f64; 2]> =
                self.learnt.iter().map(|(&step, scored)| [step as f64, scored.accuracy.value * 1e2]).collect();
            for (&step, scored) in &self.learnt {
                let Estimate { low, high, .. } = scored.accuracy;
                let bar = [low, high].map(|end| [step as f64, end * 1e2]).to_vec();
                plot.line(Line::new("", PlotPoints::from(bar)).color(colours[0].gamma_multiply(0.5)).width(1.5));
            }
            let way = self.learnt.values().next().map_or("", |scored| scored.way.name());
            plot.line(Line::new(way, PlotPoints::from(points.clone())).color(colours[0]).width(1.8));
            plot.points(Points::new(way, PlotPoints::from(points)).color(colours[0]).radius(3.0));
            for (scored, colour) in self.beside.iter().zip(&colours[1..]) {
                plot.hline(HLine::new(scored.way.name(), scored.accuracy.value * 1e2).color(*colour).width(1.5));
            }
        });
    }
}

/// Of the discriminator's features, random weights, pixels and the supervised network.
fn colours(ui: &Ui) -> [Color32; 4] {
    let [features, random, pixels, supervised] = if ui.visuals().dark_mode {
        [[110, 170, 255], [255, 165, 80], [190, 190, 190], [120, 210, 130]]
    } else {
        [[20, 90, 200], [200, 90, 0], [90, 90, 90], [20, 130, 50]]
    };
    [features, random, pixels, supervised].map(|[r, g, b]| Color32::from_rgb(r, g, b))
}

/// What went wrong, until it is closed.
pub(super) fn error(ui: &mut Ui, error: &mut Option<String>) {
    let Some(text) = error.clone() else { return };
    ui.colored_label(ui.visuals().error_fg_color, text);
    if ui.small_button("Close").on_hover_text("Hides the message").clicked() {
        *error = None;
    }
}
