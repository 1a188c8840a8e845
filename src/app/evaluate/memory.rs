//! *Memorising*: samples beside the training pictures nearest to them, and how many distinct samples there are.

use std::path::PathBuf;

use burn::tensor::Device;
use egui::{DragValue, Ui};

use super::classes::error;
use super::sources::Sources;
use super::work::{Teller, Work, controls, receive, until};
use crate::app::dissect::{Atlas, cell};
use crate::data::{Dataset, Source};
use crate::evaluate::features::By;
use crate::evaluate::judging;
use crate::evaluate::neighbours::{InSpace, KEPT, Report, Settings, neighbours};
use crate::evaluate::statistics::Estimate;
use crate::image::{Picture, Preparation};
use crate::model::Model;

/// Rows that are shown in each order.
const ROWS: usize = 16;
/// Closest pairs of samples that are shown in each space.
const PAIRS: usize = 8;
/// Side of a picture, in points: the least, to which many fit, and the most, to which they are drawn where there is room.
const SIDES: std::ops::RangeInclusive<f32> = 52.0..=104.0;
/// Between groups of pictures, and between columns of them.
const GAP: f32 = 12.0;
const COLUMN_GAP: f32 = 24.0;

/// In which order samples are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Number,
    /// The nearest first, in the space of this number.
    Nearest(usize),
    /// Pairs of samples, the closest first.
    Pairs,
}

impl Order {
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

/// A sample with what is nearest to it: by pixels, then by features.
struct Row {
    sample: usize,
    /// Where its picture is on the atlas.
    at: usize,
    /// Where each neighbour's picture is, what it is called, and how far it is.
    near: [Vec<(usize, String, f32)>; 2],
}

/// What a thread found, with the pictures that are shown.
struct Seen {
    report: Report,
    rows: Vec<Row>,
    /// Two places on the atlas and the distance, by pixels and by features.
    pairs: [Vec<([usize; 2], f32)>; 2],
    pictures: Vec<Picture>,
}

pub(super) struct Memory {
    device: Device,
    samples: usize,
    count: usize,
    order: Order,
    work: Option<Work<Box<Seen>>>,
    error: Option<String>,
    seen: Option<(Box<Seen>, Atlas)>,
}

/// Everything is measured with these.
struct Task {
    network: PathBuf,
    training: String,
    test: String,
    settings: Settings,
    preparation: Option<Preparation>,
}

fn measure(task: &Task, device: &Device, teller: &Teller<Box<Seen>>) -> anyhow::Result<()> {
    let Task { network, training, test, settings, preparation } = task;
    let model = Model::open(network, device)?;
    let (judge, config) = (judging(&model, network)?, model.config());
    let open = |text: &String, seed| -> anyhow::Result<Dataset> {
        Ok(Dataset::open(&Source::parse(text)?, config.pictures().prepared(*preparation)?, seed)?)
    };
    let data = open(training, settings.seed)?;
    // Of what the program draws, another seed's pictures are others.
    let held = (!test.is_empty()).then(|| open(test, !settings.seed)).transpose()?;
    let mut progress = |what, done, of| teller.progress(what, done, of);
    let by = By::Discriminator(judge);
    let report = neighbours(&model, by, &data, held.as_ref(), *settings, device, &mut progress)?;
    teller.tell(Box::new(Seen::new(report, &data)));
    Ok(())
}

impl Seen {
    fn new(report: Report, data: &Dataset) -> Self {
        let mut pictures = Vec::new();
        let mut put = |picture: Picture| {
            pictures.push(picture);
            pictures.len() - 1
        };
        let least =
            |space: &InSpace, sample: usize| space.nearest[sample].first().map_or(f32::INFINITY, |n| n.distance);
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
            rows.push(Row { sample, at, near });
        }
        let mut pairs = [Vec::new(), Vec::new()];
        for (pairs, space) in pairs.iter_mut().zip(&report.spaces) {
            for pair in space.birthday.closest.iter().take(PAIRS) {
                pairs.push((pair.samples.map(|sample| put(report.samples[sample].clone())), pair.distance));
            }
        }
        Self { report, rows, pairs, pictures }
    }

    /// The rows in an order.
    fn rows(&self, order: Order) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().collect();
        if let Order::Nearest(space) = order {
            let least = |row: &&Row| row.near[space].first().map_or(f32::INFINITY, |(.., distance)| *distance);
            rows.sort_by(|a, b| least(a).total_cmp(&least(b)));
        }
        rows.truncate(ROWS);
        rows
    }
}

impl Memory {
    pub fn new(device: Device) -> Self {
        let order = Order::Nearest(1);
        Self { device, samples: 1000, count: 100_000, order, work: None, error: None, seen: None }
    }

    pub fn receive(&mut self, ctx: &egui::Context) {
        for mut seen in receive(&mut self.work, &mut self.error) {
            let atlas = Atlas::new(ctx, "samples and their neighbours", std::mem::take(&mut seen.pictures));
            self.seen = Some((seen, atlas));
        }
    }

    pub fn settings(&mut self, ui: &mut Ui, sources: &Sources) {
        ui.add_enabled_ui(self.work.is_none(), |ui| {
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
        if controls(ui, &mut self.work, "Look for neighbours", tip, obstacle) {
            self.error = None;
            let settings =
                Settings { samples: self.samples, count: self.count, held: self.samples, seed: sources.seed };
            let (training, test) = (sources.training.clone(), sources.test.clone());
            let (network, preparation) = (PathBuf::from(&sources.network), sources.preparation);
            let task = Task { network, training, test, settings, preparation };
            let device = self.device.clone();
            self.work = Some(Work::start(ui.ctx(), move |teller| measure(&task, &device, teller)));
        }
        error(ui, &mut self.error);
    }

    pub fn results(&mut self, ui: &mut Ui) {
        let Some((seen, atlas)) = &self.seen else {
            ui.heading("Does it memorise?");
            ui.label(
                "A generator that memorises draws its training pictures again. Here the training pictures nearest to samples are \
                 shown beside them, and it is counted whether samples are nearer to training pictures than to test pictures, \
                 and how many distinct samples there are.",
            );
            until(
                ui,
                self.work.as_ref(),
                "Choose a network with its discriminator, and the pictures that it was trained on.",
            );
            return;
        };
        numbers(ui, &seen.report);
        ui.separator();
        ui.horizontal_wrapped(|ui| {
            for (order, name, tip) in Order::ALL {
                ui.selectable_value(&mut self.order, order, name).on_hover_text(tip);
            }
        });
        egui::ScrollArea::vertical().id_salt("neighbours").auto_shrink(false).show(ui, |ui| {
            ui.spacing_mut().item_spacing = egui::Vec2::splat(2.0);
            if self.order == Order::Pairs {
                pairs(ui, seen, atlas);
                return;
            }
            let pictures = (2 * KEPT + 1) as f32;
            let width = |side: f32| pictures * (side + 2.0) + 2.0 * GAP;
            let columns = ((ui.available_width() / (width(*SIDES.start()) + COLUMN_GAP)) as usize).max(1);
            let room = ui.available_width() / columns as f32 - COLUMN_GAP - 2.0 * GAP;
            let side = (room / pictures - 2.0).floor().clamp(*SIDES.start(), *SIDES.end());
            let rows = seen.rows(self.order);
            ui.horizontal_top(|ui| {
                for part in rows.chunks(rows.len().div_ceil(columns).max(1)) {
                    ui.vertical(|ui| {
                        ui.set_width(width(side));
                        heads(ui, side);
                        part.iter().for_each(|row| neighbours_of(ui, row, atlas, side));
                    });
                    ui.add_space(COLUMN_GAP);
                }
            });
        });
    }
}

/// What stands under it, each over its pictures.
fn heads(ui: &mut Ui, side: f32) {
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
            place(ui, KEPT, name);
        }
    });
}

fn neighbours_of(ui: &mut Ui, row: &Row, atlas: &Atlas, side: f32) {
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

fn pairs(ui: &mut Ui, seen: &Seen, atlas: &Atlas) {
    for (pairs, by) in seen.pairs.iter().zip(["pixels", "features"]) {
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

/// What was counted, by pixels and by features.
fn numbers(ui: &mut Ui, report: &Report) {
    let beside = if report.held_out {
        format!("{} test pictures", report.held)
    } else {
        format!("{} training pictures, each compared with all others: no test pictures were chosen", report.held)
    };
    let verdict = report.verdict();
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
    /// What is counted, why, and what it gave.
    type Count = (&'static str, &'static str, fn(&InSpace) -> Option<String>);
    let counts: [Count; 4] = [
        (
            "Nearest is a training picture",
            "Of as many training and test pictures, the share of samples whose nearest is a training picture: 50 % is no \
             memorising",
            |space| space.sides.map(|sides| percent(sides.share)),
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
                let told = &space.birthday;
                Some(match (told.distinct, told.at_most) {
                    (Some(distinct), Some(most)) => {
                        format!("about {distinct:.0} ({:.0} to {most:.0}); {} pairs alike", told.at_least, told.alike)
                    }
                    _ => format!("at least {:.0}; no pair alike", told.at_least),
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
        for (name, tip, count) in counts {
            ui.label(name).on_hover_text(tip);
            for space in &report.spaces {
                ui.label(count(space).unwrap_or_else(|| "needs test pictures".to_owned())).on_hover_text(tip);
            }
            ui.end_row();
        }
    });
}
