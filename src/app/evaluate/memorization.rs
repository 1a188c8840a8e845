//! The *Memorising* tab: samples beside their nearest training images, and an estimate of how many distinct samples there are.

use std::path::PathBuf;

use burn::tensor::Device;
use egui::{DragValue, Ui};

use super::controls::{error_label, job_controls, placeholder};
use super::sources::Sources;
use crate::app::dissect::{Atlas, cell};
use crate::app::service::{Job, Reporter};
use crate::data::{Dataset, Source};
use crate::evaluate::features::FeatureSource;
use crate::evaluate::neighbors::{NEIGHBORS, NeighborReport, NeighborSettings, SpaceNeighbors, find_neighbors};
use crate::evaluate::require_discriminator;
use crate::evaluate::statistics::Estimate;
use crate::image::{Picture, Preparation};
use crate::model::Model;

/// Rows that are shown.
const ROWS: usize = 16;
/// Closest pairs of samples that are shown for each feature space.
const PAIRS: usize = 8;
/// Smallest and largest side of an image, in points.
const SIDES: std::ops::RangeInclusive<f32> = 52.0..=104.0;
/// Space between groups of images, and between columns of them, in points.
const GAP: f32 = 12.0;
const COLUMN_GAP: f32 = 24.0;

/// The order in which samples are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SampleOrder {
    Number,
    /// Those nearest to a training image first, in the feature space of this index.
    Nearest(usize),
    /// Pairs of samples, the closest first.
    Pairs,
}

impl SampleOrder {
    const ALL: [(Self, &'static str, &'static str); 4] = [
        (
            Self::Nearest(1),
            "Nearest by features",
            "Samples that are nearest to a training picture, by the discriminator's features",
        ),
        (
            Self::Nearest(0),
            "Nearest by pixels",
            "Samples that are nearest to a training picture, by the pixels' values",
        ),
        (Self::Number, "The first samples", "Samples 0, 1, 2, ... as they come"),
        (
            Self::Pairs,
            "Closest pairs",
            "Samples that look most alike: the fewer there are, the more distinct samples there are",
        ),
    ];
}

/// A sample and its nearest training images: by pixels, then by features.
struct NeighborRow {
    sample: usize,
    /// Its index on the atlas.
    at: usize,
    /// Index on the atlas, name and distance of each neighbor.
    near: [Vec<(usize, String, f32)>; 2],
}

/// The report of the job, and the images that are shown.
struct NeighborResults {
    report: NeighborReport,
    rows: Vec<NeighborRow>,
    /// Two indices on the atlas and their distance, by pixels and by features.
    pairs: [Vec<([usize; 2], f32)>; 2],
    pictures: Vec<Picture>,
}

pub(super) struct MemorizationPanel {
    device: Device,
    samples: usize,
    count: usize,
    order: SampleOrder,
    job: Option<Job<Box<NeighborResults>>>,
    error: Option<String>,
    results: Option<(Box<NeighborResults>, Atlas)>,
}

/// What the job measures.
struct NeighborTask {
    network: PathBuf,
    training: String,
    test: String,
    settings: NeighborSettings,
    preparation: Option<Preparation>,
}

fn measure(task: &NeighborTask, device: &Device, reporter: &Reporter<Box<NeighborResults>>) -> anyhow::Result<()> {
    let NeighborTask { network, training, test, settings, preparation } = task;
    let model = Model::open(network, device)?;
    let (judge, config) = (require_discriminator(&model, network)?, model.config());
    let open = |text: &String, seed| -> anyhow::Result<Dataset> {
        Ok(Dataset::open(&Source::from(text), config.pictures().prepared(*preparation)?, seed)?)
    };
    let data = open(training, settings.seed)?;
    // Synthetic data sets give other images under another seed.
    let held = (!test.is_empty()).then(|| open(test, !settings.seed)).transpose()?;
    let mut progress = |what, done, total| reporter.report(what, done, total);
    let by = FeatureSource::Discriminator(judge);
    let report = find_neighbors(&model, by, &data, held.as_ref(), *settings, device, &mut progress)?;
    reporter.send(Box::new(NeighborResults::new(report, &data)));
    Ok(())
}

impl NeighborResults {
    fn new(report: NeighborReport, data: &Dataset) -> Self {
        let mut pictures = Vec::new();
        let mut put = |picture: Picture| {
            pictures.push(picture);
            pictures.len() - 1
        };
        let least =
            |space: &SpaceNeighbors, sample: usize| space.nearest[sample].first().map_or(f32::INFINITY, |n| n.distance);
        let mut shown: Vec<usize> = (0..report.samples.len().min(ROWS)).collect();
        for space in &report.spaces {
            let mut order: Vec<usize> = (0..report.samples.len()).collect();
            order.sort_by(|&a, &b| least(space, a).total_cmp(&least(space, b)));
            shown.extend(order.into_iter().take(ROWS));
        }
        shown.sort_unstable();
        shown.dedup();
        let mut rows = Vec::new();
        for sample in shown {
            let at = put(report.samples[sample].clone());
            let mut near = [Vec::new(), Vec::new()];
            for (near, space) in near.iter_mut().zip(&report.spaces) {
                for nearest in &space.nearest[sample] {
                    if let Ok(picture) = data.picture(nearest.number) {
                        near.push((put(picture), data.name(nearest.number), nearest.distance));
                    }
                }
            }
            rows.push(NeighborRow { sample, at, near });
        }
        let mut pairs = [Vec::new(), Vec::new()];
        for (pairs, space) in pairs.iter_mut().zip(&report.spaces) {
            for pair in space.birthday.closest.iter().take(PAIRS) {
                pairs.push((pair.samples.map(|sample| put(report.samples[sample].clone())), pair.distance));
            }
        }
        Self { report, rows, pairs, pictures }
    }

    /// The rows that are shown, in this order.
    fn rows(&self, order: SampleOrder) -> Vec<&NeighborRow> {
        let mut rows: Vec<&NeighborRow> = self.rows.iter().collect();
        if let SampleOrder::Nearest(space) = order {
            let least = |row: &&NeighborRow| row.near[space].first().map_or(f32::INFINITY, |(.., distance)| *distance);
            rows.sort_by(|a, b| least(a).total_cmp(&least(b)));
        }
        rows.truncate(ROWS);
        rows
    }
}

impl MemorizationPanel {
    pub fn new(device: Device) -> Self {
        let order = SampleOrder::Nearest(1);
        let NeighborSettings { samples, count, .. } = NeighborSettings::default();
        Self { device, samples, count, order, job: None, error: None, results: None }
    }

    pub fn receive(&mut self, ctx: &egui::Context) {
        for mut results in Job::receive(&mut self.job, &mut self.error) {
            let atlas = Atlas::new(ctx, "samples and their neighbors", std::mem::take(&mut results.pictures));
            self.results = Some((results, atlas));
        }
    }

    pub fn settings(&mut self, ui: &mut Ui, sources: &Sources) {
        ui.add_enabled_ui(self.job.is_none(), |ui| {
            egui::Grid::new("memory").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
                let label = ui.label("Samples");
                ui.add(DragValue::new(&mut self.samples).range(8..=4096).speed(10))
                    .labelled_by(label.id)
                    .on_hover_text("So many samples are drawn, and as many test pictures are compared with them");
                ui.end_row();
                let label = ui.label("Looked among");
                ui.add(DragValue::new(&mut self.count).range(1..=100_000_000).speed(1000))
                    .labelled_by(label.id)
                    .on_hover_text("Training pictures that are looked through at most");
                ui.end_row();
            });
        });
        let obstacle = if sources.network.trim().is_empty() {
            Some("Choose a network")
        } else if sources.training.trim().is_empty() {
            Some("Choose the pictures that it was trained on")
        } else {
            None
        };
        let tip =
            "Looks for the training pictures nearest to samples, by pixels and by features (the paper's section 6.1)";
        if job_controls(ui, &mut self.job, "Look for neighbours", tip, obstacle) {
            self.error = None;
            let settings = NeighborSettings {
                samples: self.samples,
                count: self.count,
                held_out: self.samples,
                seed: sources.seed,
            };
            let (training, test) = (sources.training.clone(), sources.test.clone());
            let (network, preparation) = (PathBuf::from(&sources.network), sources.preparation);
            let task = NeighborTask { network, training, test, settings, preparation };
            let device = self.device.clone();
            self.job = Some(Job::start("memorization", ui.ctx(), move |reporter| measure(&task, &device, reporter)));
        }
        error_label(ui, &mut self.error);
    }

    pub fn results(&mut self, ui: &mut Ui) {
        let Some((results, atlas)) = &self.results else {
            ui.heading("Does it memorise?");
            ui.label(
                "A generator that memorises draws its training pictures again. Here the training pictures nearest to samples are \
                 shown beside them, and it is counted whether samples are nearer to training pictures than to test pictures, \
                 and how many distinct samples there are.",
            );
            placeholder(
                ui,
                self.job.as_ref(),
                "Choose a network with its discriminator, and the pictures that it was trained on.",
            );
            return;
        };
        summary(ui, &results.report);
        ui.separator();
        ui.horizontal_wrapped(|ui| {
            for (order, name, tip) in SampleOrder::ALL {
                ui.selectable_value(&mut self.order, order, name).on_hover_text(tip);
            }
        });
        egui::ScrollArea::vertical().id_salt("neighbours").auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing = egui::Vec2::splat(2.0);
            if self.order == SampleOrder::Pairs {
                pairs(ui, results, atlas);
                return;
            }
            let pictures = (2 * NEIGHBORS + 1) as f32;
            let width = |side: f32| pictures * (side + 2.0) + 2.0 * GAP;
            let columns = ((ui.available_width() / (width(*SIDES.start()) + COLUMN_GAP)) as usize).max(1);
            let room = ui.available_width() / columns as f32 - COLUMN_GAP - 2.0 * GAP;
            let side = (room / pictures - 2.0).floor().clamp(*SIDES.start(), *SIDES.end());
            let rows = results.rows(self.order);
            ui.horizontal_top(|ui| {
                for part in rows.chunks(rows.len().div_ceil(columns).max(1)) {
                    ui.vertical(|ui| {
                        ui.set_width(width(side));
                        headings(ui, side);
                        part.iter().for_each(|row| neighbors(ui, row, atlas, side));
                    });
                    ui.add_space(COLUMN_GAP);
                }
            });
        });
    }
}

/// Draws the headings of the columns.
fn headings(ui: &mut Ui, side: f32) {
    ui.horizontal(|ui| {
        let place = |ui: &mut Ui, count: usize, name: &str| {
            let size = egui::vec2(count as f32 * (side + 2.0) - 2.0, 16.0);
            let left = egui::Layout::left_to_right(egui::Align::Center);
            ui.allocate_ui_with_layout(size, left, |ui| {
                ui.set_width(size.x);
                ui.weak(name);
            });
        };
        place(ui, 1, "sample");
        for name in ["nearest by pixels", "nearest by features"] {
            ui.add_space(GAP);
            place(ui, NEIGHBORS, name);
        }
    });
}

fn neighbors(ui: &mut Ui, row: &NeighborRow, atlas: &Atlas, side: f32) {
    ui.horizontal(|ui| {
        let name = format!("sample {}", row.sample);
        cell(ui, Some(atlas), row.at, side, name.clone()).on_hover_text(name);
        for (near, by) in row.near.iter().zip(["pixels", "features"]) {
            ui.add_space(GAP);
            for (at, name, distance) in near {
                cell(ui, Some(atlas), *at, side, format!("{name}, near by {by}"))
                    .on_hover_text(format!("{name}\n{distance:.2} away, by {by}"));
            }
        }
    });
}

fn pairs(ui: &mut Ui, results: &NeighborResults, atlas: &Atlas) {
    for (pairs, by) in results.pairs.iter().zip(["pixels", "features"]) {
        ui.weak(format!("the closest pairs of samples by {by}"));
        ui.horizontal_wrapped(|ui| {
            for (pair, distance) in pairs {
                for at in pair {
                    cell(ui, Some(atlas), *at, *SIDES.end(), format!("one of a pair by {by}"))
                        .on_hover_text(format!("{distance:.2} apart, by {by}"));
                }
                ui.add_space(14.0);
            }
        });
        ui.add_space(8.0);
    }
}

fn percent(Estimate { value, low, high }: Estimate) -> String {
    format!("{:.1} % ({:.1} to {:.1})", value * 1e2, low * 1e2, high * 1e2)
}

/// Draws the verdict and the table of measures.
fn summary(ui: &mut Ui, report: &NeighborReport) {
    let beside = if report.held_out {
        format!("{} test pictures", report.compared)
    } else {
        format!("{} training pictures, each compared with all others: no test pictures were chosen", report.compared)
    };
    let verdict = report.diagnosis();
    let text = egui::RichText::new(verdict.text).strong();
    if verdict.collapsed == Some(true) || verdict.memorizes == Some(true) {
        ui.colored_label(ui.visuals().warn_fg_color, text);
    } else {
        ui.label(text);
    }
    ui.label(format!(
        "{} samples among {} training pictures, beside {beside}. Intervals are 95 %.",
        report.samples.len(),
        report.training
    ));
    if !report.skipped.is_empty() {
        let names: Vec<_> = report.skipped.iter().take(20).map(|p| format!("{}: {}", p.name, p.cause)).collect();
        ui.colored_label(ui.visuals().warn_fg_color, format!("{} pictures cannot be read", report.skipped.len()))
            .on_hover_text(names.join("\n"));
    }
    ui.add_space(4.0);
    /// Name and explanation of a measure, and its value in a feature space.
    type Measure = (&'static str, &'static str, fn(&SpaceNeighbors) -> Option<String>);
    let measures: [Measure; 4] = [
        (
            "Nearest is a training picture",
            "Of as many training and test pictures, the share of samples whose nearest is a training picture: 50 % is no \
             memorising",
            |space| space.nearest_is_training.map(|training| percent(training.share)),
        ),
        (
            "Nearer than test pictures are",
            "How often a sample is nearer to the training pictures than a test picture is. Above 50 % for what is memorised, \
             but also for what is smooth",
            |space| space.nearer.map(percent),
        ),
        (
            "Nearer than all but 5 % of them",
            "Samples that are nearer to a training picture than 95 % of the test pictures are; 5 % of these are, by definition",
            |space| space.suspicious.wilson().map(percent),
        ),
        (
            "Distinct samples",
            "By the birthday paradox (Arora and Zhang 2017): pairs of samples by pairs that are closer than any two of as many \
             real pictures",
            |space| {
                let birthday = &space.birthday;
                Some(match (birthday.distinct, birthday.at_most) {
                    (Some(distinct), Some(most)) => {
                        format!(
                            "about {distinct:.0} ({:.0} to {most:.0}); {} pairs alike",
                            birthday.at_least, birthday.near_duplicates
                        )
                    }
                    _ => format!("at least {:.0}; no pair alike", birthday.at_least),
                })
            },
        ),
    ];
    egui::Grid::new("counts").num_columns(3).striped(true).spacing([18.0, 4.0]).show(ui, |ui| {
        ui.label("");
        for space in &report.spaces {
            ui.strong(format!("by {}", space.space.name()));
        }
        ui.end_row();
        for (name, tip, value) in measures {
            ui.label(name).on_hover_text(tip);
            for space in &report.spaces {
                ui.label(value(space).unwrap_or_else(|| "needs test pictures".to_owned())).on_hover_text(tip);
            }
            ui.end_row();
        }
    });
}
