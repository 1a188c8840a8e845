//! The same z's with and without, the controls beside them, and the dose-response curve.

use egui::{Color32, Ui};
use egui_plot::{Corner, Legend, Line, Plot, PlotPoints};

use super::atlas::Atlas;
use crate::dissect::effect::{Dose, Effect};
use crate::image::{Picture, grid};

/// Columns of a grid of pictures.
const COLUMNS: usize = 8;
/// What is compared, in the order it is drawn.
const WHAT: [&str; 3] = ["without the chosen filters", "random control", "equally loud control"];

#[derive(Default)]
pub(super) struct Results {
    before: Option<Atlas>,
    after: [Option<Atlas>; 3],
    effects: [Option<Effect>; 3],
    pub curve: Vec<Dose>,
    /// How far the curve is.
    pub progress: Option<(u64, u64)>,
}

impl Results {
    pub fn take_drawn(&mut self, ctx: &egui::Context, which: Option<usize>, pictures: Vec<Picture>) {
        match which {
            None => self.before = Some(Atlas::new(ctx, "as drawn", pictures)),
            Some(i) => self.after[i] = Some(Atlas::new(ctx, WHAT[i], pictures)),
        }
    }

    pub fn take_effect(&mut self, which: usize, effect: Effect) {
        self.effects[which] = Some(effect);
    }

    /// Something else is compared: what was measured does not hold.
    pub fn forget_effects(&mut self) {
        self.effects = [None; 3];
    }

    /// Every row of the figure, as the command line lays it out.
    pub fn figure(&self) -> Option<Picture> {
        let rows = [&self.before].into_iter().chain(&self.after).flatten();
        let pictures: Vec<Vec<Picture>> = rows.map(|atlas| atlas.pictures.iter().take(16).cloned().collect()).collect();
        let columns = pictures.first()?.len();
        Some(grid(&pictures.concat(), columns, 2))
    }

    /// The grids two by two; the controls only where they are asked for.
    pub fn grids(&self, ui: &mut Ui, controls: bool) {
        let side = ((ui.available_width() - 24.0) / 2.0 / COLUMNS as f32 - 2.0).clamp(20.0, 64.0);
        let show = |ui: &mut Ui, title: &str, atlas: &Option<Atlas>, effect: Option<&Effect>| {
            ui.vertical(|ui| {
                ui.set_width(COLUMNS as f32 * (side + 2.0));
                ui.strong(title);
                ui.weak(effect.map_or_else(String::new, told));
                if let Some(atlas) = atlas {
                    atlas.sheet(ui, COLUMNS, side, title);
                }
            });
        };
        ui.horizontal_top(|ui| {
            show(ui, "as drawn", &self.before, None);
            ui.add_space(12.0);
            show(ui, WHAT[0], &self.after[0], self.effects[0].as_ref());
        });
        if controls {
            ui.add_space(8.0);
            ui.horizontal_top(|ui| {
                show(ui, WHAT[1], &self.after[1], self.effects[1].as_ref());
                ui.add_space(12.0);
                show(ui, WHAT[2], &self.after[2], self.effects[2].as_ref());
            });
        }
    }

    /// Filters dropped against object removed, and against change elsewhere.
    pub fn plots(&self, ui: &mut Ui) {
        if self.curve.is_empty() {
            return;
        }
        let colours =
            [Color32::from_rgb(240, 120, 60), Color32::from_rgb(90, 160, 240), Color32::from_rgb(150, 150, 150)];
        let names = ["ranked filters", "random", "equally loud"];
        let of = |dose: &Dose, which: usize| [dose.found, dose.random, dose.matched][which];
        let removes = self.curve.iter().all(|dose| dose.found.removed.is_some());
        let value: [(&str, &dyn Fn(Effect) -> f32); 2] = [
            if removes {
                ("object removed, %", &|effect| 100.0 * effect.removed.unwrap_or(0.0))
            } else {
                ("change in the boxes, %", &|effect| 100.0 * effect.inside)
            },
            ("change elsewhere, %", &|effect| 100.0 * effect.outside),
        ];
        let width = (ui.available_width() - 12.0) / 2.0;
        ui.horizontal(|ui| {
            for (title, value) in value {
                let legend = Legend::default().position(Corner::LeftTop);
                let plot = Plot::new(title).width(width).height(190.0).include_y(0.0).legend(legend);
                let plot = plot.allow_scroll(false).x_axis_label("filters dropped").y_axis_label(title);
                let plot = if removes && title.starts_with("object") { plot.include_y(100.0) } else { plot };
                plot.show(ui, |plot| {
                    for (i, name) in names.into_iter().enumerate() {
                        let point = |dose: &Dose| [dose.dropped as f64, f64::from(value(of(dose, i)))];
                        let points: Vec<[f64; 2]> =
                            std::iter::once([0.0, 0.0]).chain(self.curve.iter().map(point)).collect();
                        plot.line(Line::new(name, PlotPoints::from(points)).color(colours[i]).width(2.0));
                    }
                });
            }
        });
    }
}

fn told(effect: &Effect) -> String {
    let removed = effect.removed.map_or_else(String::new, |share| format!("{:.0} % removed; ", 100.0 * share));
    format!("{removed}{:.1} % change in boxes, {:.1} % elsewhere", 100.0 * effect.inside, 100.0 * effect.outside)
}
