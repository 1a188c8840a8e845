//! Samples with and without an object's filters, control ablations beside them, and the dose-response curve.

use egui::{Color32, Ui};
use egui_plot::{Corner, Legend, Line, Plot, PlotPoints};

use super::atlas::Atlas;
use crate::dissect::effect::{AblationEffect, DosePoint};
use crate::dissect::removal_figure::{ROW_NAMES, SampleSplit, render_removal_figure};
use crate::image::{LabelError, Picture};

/// Columns of a grid of samples.
const COLUMNS: usize = 8;
/// Samples of each part in a row of the saved figure, as on the command line.
const IN_FIGURE: usize = 8;

#[derive(Default)]
pub(super) struct Results {
    before: Option<Atlas>,
    after: [Option<Atlas>; 3],
    parts: Option<SampleSplit>,
    /// Of each ablation, on the samples that the filters were found with and on fresh ones.
    effects: [Option<[AblationEffect; 2]>; 3],
    pub curve: Vec<DosePoint>,
    /// Done and total steps of the curve.
    pub progress: Option<(u64, u64)>,
}

impl Results {
    pub fn take_pictures(
        &mut self,
        ctx: &egui::Context,
        ablation: Option<usize>,
        pictures: Vec<Picture>,
        parts: SampleSplit,
    ) {
        if self.parts.as_ref() != Some(&parts) {
            // The images that are shown are of other samples.
            (self.before, self.after) = (None, [None, None, None]);
            self.parts = Some(parts);
        }
        match ablation {
            None => self.before = Some(Atlas::new(ctx, ROW_NAMES[0], pictures)),
            Some(i) => self.after[i] = Some(Atlas::new(ctx, ROW_NAMES[i + 1], pictures)),
        }
    }

    pub fn take_effects(&mut self, ablation: usize, effects: [AblationEffect; 2]) {
        self.effects[ablation] = Some(effects);
    }

    /// Discards the effects, when something else is compared.
    pub fn clear_effects(&mut self) {
        self.effects = [None; 3];
    }

    /// A closure that renders the figure as the command line does, for a background thread.
    pub fn figure(&self) -> Option<impl FnOnce() -> Result<Picture, LabelError> + Send + 'static> {
        let all = self.parts.as_ref()?;
        let ranges = all.ranges().map(|range| range.start..range.end.min(range.start + IN_FIGURE));
        let fresh = all.fresh.start..all.fresh.start + ranges[1].len() as u64;
        let parts = SampleSplit { fitted: ranges[0].len(), fresh };
        let rows = ROW_NAMES.into_iter().zip([&self.before].into_iter().chain(&self.after));
        let chosen = |atlas: &Atlas| -> Vec<Picture> {
            ranges.iter().flat_map(|range| atlas.pictures[range.clone()].iter().cloned()).collect()
        };
        let rows: Vec<_> = rows.filter_map(|(name, atlas)| Some((name, chosen(atlas.as_ref()?)))).collect();
        Some(move || render_removal_figure(&rows, &parts))
    }

    /// Draws the grids, two side by side; the control ablations below.
    pub fn grids(&self, ui: &mut Ui, controls: bool) {
        let Some(parts) = &self.parts else { return };
        let side = ((ui.available_width() - 24.0) / 2.0 / COLUMNS as f32 - 2.0).clamp(20.0, 64.0);
        let show = |ui: &mut Ui, title: &str, atlas: &Option<Atlas>, effects: Option<&[AblationEffect; 2]>| {
            ui.vertical(|ui| {
                ui.set_width(COLUMNS as f32 * (side + 2.0));
                ui.strong(title);
                for (part, (heading, range)) in parts.headings().into_iter().zip(parts.ranges()).enumerate() {
                    if range.is_empty() {
                        continue;
                    }
                    ui.label(heading);
                    ui.weak(effects.map_or_else(String::new, |effects| summary(&effects[part])));
                    if let Some(atlas) = atlas {
                        atlas.sheet(ui, range, COLUMNS, side, title);
                    }
                }
            });
        };
        let pair = |ui: &mut Ui, rows: [usize; 2]| {
            ui.horizontal_top(|ui| {
                for (place, row) in rows.into_iter().enumerate() {
                    if place > 0 {
                        ui.add_space(12.0);
                    }
                    match row.checked_sub(1) {
                        None => show(ui, ROW_NAMES[0], &self.before, None),
                        Some(i) => show(ui, ROW_NAMES[row], &self.after[i], self.effects[i].as_ref()),
                    }
                }
            });
        };
        pair(ui, [0, 1]);
        if controls {
            ui.add_space(8.0);
            pair(ui, [2, 3]);
        }
    }

    /// Plots the share of the object that is removed, and the change elsewhere, over the number of dropped filters.
    pub fn plots(&self, ui: &mut Ui) {
        if self.curve.is_empty() {
            return;
        }
        let colors =
            [Color32::from_rgb(240, 120, 60), Color32::from_rgb(90, 160, 240), Color32::from_rgb(150, 150, 150)];
        let names = ["ranked filters", "random", "equally loud"];
        let curve = |dose: &DosePoint, curve: usize| [dose.found, dose.random, dose.matched][curve];
        let removes = self.curve.iter().all(|dose| dose.found.removed.is_some());
        /// A plot: its title, a value that its axis includes, and what it shows of an effect.
        type PlottedValue<'a> = (&'a str, f64, &'a dyn Fn(AblationEffect) -> f32);
        let plots: [PlottedValue; 2] = [
            if removes {
                ("object removed, %", 100.0, &|effect| 100.0 * effect.removed.unwrap_or(0.0))
            } else {
                ("change in the boxes, %", 0.0, &|effect| 100.0 * effect.inside)
            },
            ("change elsewhere, %", 0.0, &|effect| 100.0 * effect.outside),
        ];
        let width = (ui.available_width() - 12.0) / 2.0;
        ui.horizontal(|ui| {
            for (title, top, value) in plots {
                let legend = Legend::default().position(Corner::LeftTop);
                let plot = Plot::new(title).width(width).height(190.0).include_y(0.0).include_y(top).legend(legend);
                let plot = plot.allow_scroll(false).x_axis_label("filters dropped").y_axis_label(title);
                plot.show(ui, |plot| {
                    for (i, name) in names.into_iter().enumerate() {
                        let point = |dose: &DosePoint| [dose.dropped as f64, f64::from(value(curve(dose, i)))];
                        let points: Vec<[f64; 2]> =
                            std::iter::once([0.0, 0.0]).chain(self.curve.iter().map(point)).collect();
                        plot.line(Line::new(name, PlotPoints::from(points)).color(colors[i]).width(2.0));
                    }
                });
            }
        });
    }
}

fn summary(effect: &AblationEffect) -> String {
    let removed = effect.removed.map_or_else(String::new, |share| format!("{:.0} % removed; ", 100.0 * share));
    let [inside, outside] = [effect.inside, effect.outside].map(|change| 100.0 * change);
    match effect.known {
        true => format!("{removed}{inside:.1} % change in boxes, {outside:.1} % elsewhere"),
        false => format!("{outside:.1} % change; where the object is on these is not known"),
    }
}
