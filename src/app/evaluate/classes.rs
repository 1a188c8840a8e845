//! The *Classes* tab: the accuracy of linear probes on the discriminator's features (section 5), live while it trains.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::Device;
use crossbeam_channel::{Sender, unbounded};
use egui::{Color32, DragValue, Ui};
use egui_plot::{Corner, HLine, Legend, Line, Plot, PlotPoints, Points};

use super::confusion::ConfusionView;
use super::controls::{error_label, job_controls, placeholder};
use super::probing::{self, ProbeEvent, ProbeTask};
use super::sources::Sources;
use crate::app::service::Job;
use crate::evaluate::LabeledSet;
use crate::evaluate::probe::{ProbeScore, ProbeSettings};
use crate::evaluate::statistics::Estimate;
use crate::model::TensorFile;

/// Default numbers of training and of test images.
const DEFAULT_COUNT: usize = 1000;
/// Defaults of the few-label protocol, as in the paper (section 5.2) and on the command line: labels, draws of them, and numbers of
/// training and of test images.
const FEW_LABELS: [usize; 2] = [1000, ProbeSettings::DRAWS];
const FEW_LABELS_COUNT: usize = ProbeSettings::COUNT;
/// Default number of training steps between two evaluations.
const DEFAULT_INTERVAL: u64 = 100;

pub(super) struct ClassesPanel {
    device: Device,
    /// Numbers of training and of test images.
    counts: [usize; 2],
    few_labels: bool,
    /// Labels of the few-label protocol, and how often they are drawn.
    draws: [usize; 2],
    /// Images from which batch-norm statistics are measured; 0 for all.
    statistics: usize,
    /// Label draws on which a supervised network is trained; 0 for none.
    supervised: usize,
    follow: bool,
    /// Training steps between two evaluations.
    interval: u64,
    job: Option<Job<ProbeEvent>>,
    /// Sends networks in training to the job.
    networks: Option<Sender<Arc<TensorFile>>>,
    error: Option<String>,
    results: ProbeResults,
}

/// The results of a network or of a run.
#[derive(Default)]
struct ProbeResults {
    network: PathBuf,
    test: Option<Arc<LabeledSet>>,
    /// Number of training images.
    training: usize,
    settings: Option<ProbeSettings>,
    /// Images from which batch-norm statistics are measured.
    statistics: usize,
    skipped: usize,
    /// Accuracies of the discriminator's features, by its training step.
    by_step: BTreeMap<u64, ProbeScore>,
    /// Random weights, pixels, and the supervised network if chosen.
    baselines: Vec<ProbeScore>,
    confusion: Option<ConfusionView>,
}

impl ClassesPanel {
    pub fn new(device: Device) -> Self {
        Self {
            device,
            counts: [DEFAULT_COUNT; 2],
            few_labels: false,
            draws: FEW_LABELS,
            statistics: 0,
            supervised: 0,
            follow: true,
            interval: DEFAULT_INTERVAL,
            job: None,
            networks: None,
            error: None,
            results: ProbeResults::default(),
        }
    }

    /// The number of training steps after which the trainer is to publish its networks; 0 for never.
    pub fn snapshot_interval(&self) -> u64 {
        if self.networks.is_some() { self.interval } else { 0 }
    }

    /// Evaluates networks in training.
    pub fn take_networks(&mut self, file: Arc<TensorFile>) {
        if let Some(networks) = &self.networks
            && networks.send(file).is_err()
        {
            // The job has ended or failed.
            self.networks = None;
        }
    }

    /// A training has started: evaluates it live, unless that is switched off or another evaluation runs.
    pub fn training_began(&mut self, ctx: &egui::Context, sources: &Sources) {
        // A job that waits for more checkpoints of another run is replaced.
        if self.follow && self.job.as_ref().is_none_or(Job::is_waiting) {
            self.start(ctx, sources, true);
        }
    }

    /// The training has ended: only its last checkpoint is still to be evaluated.
    pub fn training_ended(&mut self) {
        self.networks = None;
    }

    fn start(&mut self, ctx: &egui::Context, sources: &Sources, training: bool) {
        let task = ProbeTask {
            network: PathBuf::from(&sources.network),
            training: sources.training.clone(),
            preparation: sources.preparation,
            test: sources.test.clone(),
            counts: self.counts,
            few: self.few_labels.then_some(self.draws),
            statistics: (self.statistics > 0).then_some(self.statistics),
            supervised: self.supervised,
            seed: sources.seed,
            follow: self.follow,
        };
        self.error = None;
        self.results = ProbeResults { network: task.network.clone(), ..ProbeResults::default() };
        let inbox = (training && self.follow).then(|| {
            let (networks, inbox) = unbounded();
            self.networks = Some(networks);
            inbox
        });
        let device = self.device.clone();
        self.job =
            Some(Job::start("probing", ctx, move |reporter| probing::run(&task, inbox.as_ref(), &device, reporter)));
    }

    pub fn receive(&mut self) {
        for event in Job::receive(&mut self.job, &mut self.error) {
            match event {
                ProbeEvent::Read { test, training, settings, statistics, skipped } => {
                    let results = &mut self.results;
                    (results.test, results.settings) = (Some(test), Some(settings));
                    (results.training, results.statistics, results.skipped) = (training, statistics, skipped);
                }
                ProbeEvent::Evaluated { step, scored, confusion } => {
                    let results = &mut self.results;
                    let is_newest = results.by_step.last_key_value().is_none_or(|(last, _)| *last <= step);
                    if let (true, Some(test)) = (is_newest, &results.test) {
                        let view = ConfusionView::new(confusion, test.clone(), results.confusion.as_ref());
                        results.confusion = Some(view);
                    }
                    results.by_step.insert(step, *scored);
                }
                ProbeEvent::Baseline(scored) => self.results.baselines.push(*scored),
            }
        }
        if self.job.is_none() {
            self.networks = None;
        }
    }

    /// Draws the settings; `training` is the folder of the running training.
    pub fn settings(&mut self, ui: &mut Ui, sources: &Sources, training: Option<&Path>) {
        ui.add_enabled_ui(self.job.is_none(), |ui| {
            egui::Grid::new("classes").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
                let [training_count, test_count] = &mut self.counts;
                let rows = [
                    (
                        "To learn from",
                        "Labelled pictures that the classifier learns from, as many of each class",
                        training_count,
                    ),
                    ("To be tried on", "Test pictures that it is tried on", test_count),
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
            self.few_labels_ui(ui);
        });
        let follow = ui.checkbox(&mut self.follow, "Live, over the steps of a run").on_hover_text(
            "Measures every checkpoint of the run, and goes on as it trains. It begins with each training on pictures that \
             have classes. On the CPU the training gets slower by what this takes. Off: the newest network alone",
        );
        if follow.changed() && !self.follow {
            (self.job, self.networks) = (None, None);
        }
        ui.horizontal(|ui| {
            let label = ui.label("Measured every");
            ui.add_enabled(
                self.follow,
                DragValue::new(&mut self.interval).range(1..=1_000_000).speed(10).suffix(" steps"),
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
        if job_controls(ui, &mut self.job, "Tell classes", tip, obstacle) {
            self.start(&ui.ctx().clone(), sources, live);
        }
        error_label(ui, &mut self.error);
    }

    /// Draws the settings of the few-label protocol (section 5.2).
    fn few_labels_ui(&mut self, ui: &mut Ui) {
        let few = ui.checkbox(&mut self.few_labels, "Few labels, drawn again and again").on_hover_text(
            "As the paper measured the street numbers (section 5.2): the classifier learns from few labels, as many of each class, \
             and its penalty is chosen on other pictures; drawn several times, the mean and its spread are told",
        );
        if few.changed() && self.few_labels && self.counts == [DEFAULT_COUNT; 2] {
            // Enough to draw labels, and other images on which the penalty is chosen.
            self.counts = [FEW_LABELS_COUNT; 2];
        }
        ui.add_enabled_ui(self.few_labels, |ui| {
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

    /// Draws the results.
    pub fn results(&mut self, ui: &mut Ui) {
        if self.results.by_step.is_empty() {
            ui.heading("How well do its features tell classes?");
            ui.label(
                "A discriminator learns without labels. Here a linear classifier is taught with its features and a few labels, \
                 and tried on other pictures: the better it tells classes, the more the features mean. Random weights of the \
                 same shape and raw pixels are measured beside it.",
            );
            placeholder(
                ui,
                self.job.as_ref(),
                "Choose a network with its discriminator, and pictures whose folders are their classes.",
            );
            return;
        }
        let results = &mut self.results;
        results.summary(ui);
        ui.separator();
        let room = ui.available_size();
        let left = (room.x * 0.56).min(room.y).max(240.0);
        ui.horizontal_top(|ui| {
            ui.allocate_ui_with_layout(egui::vec2(left, room.y), egui::Layout::top_down(egui::Align::Min), |ui| {
                ui.strong("What is taken for what").on_hover_text(
                    "A row for each class, a column for what its pictures are taken for, by the newest network",
                );
                if let Some(confusion) = &mut results.confusion {
                    egui::ScrollArea::both().id_salt("matrix").show(ui, |ui| confusion.matrix(ui, left - 24.0));
                }
            });
            ui.vertical(|ui| {
                let height = (room.y * 0.42).clamp(160.0, 360.0);
                ui.allocate_ui(egui::vec2(ui.available_width(), height), |ui| results.curve(ui, "accuracy"));
                ui.separator();
                if let Some(confusion) = &mut results.confusion {
                    confusion.images(ui);
                }
            });
        });
    }

    /// Draws the curve of accuracies alone, for the view of the training.
    pub fn curve(&self, ui: &mut Ui) {
        if self.results.by_step.is_empty() {
            ui.weak(match (&self.error, &self.job) {
                (Some(error), _) => error.as_str(),
                (None, Some(_)) => "measured as soon as the first network is there",
                (None, None) => {
                    "nothing is measured: the pictures have no classes, or it is switched off (Measure, Classes)"
                }
            });
            return;
        }
        self.results.curve(ui, "accuracy beside the training");
    }
}

impl ProbeResults {
    /// Draws the table of accuracies.
    fn summary(&self, ui: &mut Ui) {
        let Some((step, newest)) = self.by_step.last_key_value() else { return };
        let test = self.test.as_ref();
        let classes = test.map_or(0, |test| test.classes.len());
        let what = if *step > 0 { format!(", after step {step}") } else { ", untrained".to_owned() };
        ui.horizontal_wrapped(|ui| {
            ui.strong(format!("{}{what}", self.network.display()));
            let protocol = match self.settings.and_then(|settings| Some((settings, settings.labels?))) {
                Some((ProbeSettings { draws, validation, .. }, labels)) => {
                    let from = self.training - validation;
                    format!(
                        "{labels} labels, drawn {draws} times from {from} pictures, C chosen on {validation} others"
                    )
                }
                None => format!("{} pictures to learn from", self.training),
            };
            ui.label(format!(
                "{classes} classes; {protocol}, {} to be tried on; statistics of {} pictures",
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
            for (i, scored) in std::iter::once(newest).chain(&self.baselines).enumerate() {
                let Estimate { value, low, high } = scored.accuracy;
                ui.colored_label(colors(ui)[i.min(3)], scored.method.name());
                ui.strong(format!("{:.1} %", value * 1e2));
                ui.label(format!("{:.1} to {:.1} %", low * 1e2, high * 1e2));
                ui.label(scored.spread.map_or(String::new(), |spread| format!("\u{b1} {:.1} %", spread * 1e2)));
                ui.label(scored.features.map_or(String::new(), |features| features.to_string()));
                let c = ui.label(scored.c.map_or(String::new(), |c| format!("{c:.0e}")));
                if !scored.converged {
                    c.on_hover_text("Stopped after 200 passes, before it was quite done");
                }
                ui.end_row();
            }
        });
        if classes > 0 {
            let many = match self.by_step.len() {
                1 => String::new(),
                count => format!(" {count} networks of the run are measured."),
            };
            ui.weak(format!("Guessing tells {:.1} % rightly.{many}", 1e2 / classes as f64));
        }
    }

    /// Plots the accuracy over the training steps with its intervals, and the baselines.
    fn curve(&self, ui: &mut Ui, name: &str) {
        let colors = colors(ui);
        let legend = Legend::default().position(Corner::RightBottom).follow_insertion_order(true);
        // The axis starts at zero: the legend has space below, and a small difference looks small.
        let plot = Plot::new(name.to_owned()).legend(legend).include_y(0.0).allow_scroll(false);
        plot.x_axis_label("step").y_axis_label("accuracy, %").show(ui, |plot| {
            let points: Vec<[f64; 2]> =
                self.by_step.iter().map(|(&step, scored)| [step as f64, scored.accuracy.value * 1e2]).collect();
            for (&step, scored) in &self.by_step {
                let Estimate { low, high, .. } = scored.accuracy;
                let bar = [low, high].map(|end| [step as f64, end * 1e2]).to_vec();
                plot.line(Line::new("", PlotPoints::from(bar)).color(colors[0].gamma_multiply(0.5)).width(1.5));
            }
            let way = self.by_step.values().next().map_or("", |scored| scored.method.name());
            plot.line(Line::new(way, PlotPoints::from(points.clone())).color(colors[0]).width(1.8));
            plot.points(Points::new(way, PlotPoints::from(points)).color(colors[0]).radius(3.0));
            for (scored, color) in self.baselines.iter().zip(&colors[1..]) {
                plot.hline(HLine::new(scored.method.name(), scored.accuracy.value * 1e2).color(*color).width(1.5));
            }
        });
    }
}

/// Colors of the discriminator's features, random weights, pixels and the supervised network.
fn colors(ui: &Ui) -> [Color32; 4] {
    let [features, random, pixels, supervised] = if ui.visuals().dark_mode {
        [[110, 170, 255], [255, 165, 80], [190, 190, 190], [120, 210, 130]]
    } else {
        [[20, 90, 200], [200, 90, 0], [90, 90, 90], [20, 130, 50]]
    };
    [features, random, pixels, supervised].map(|[r, g, b]| Color32::from_rgb(r, g, b))
}
