//! The walk: a timeline of keyframes that is played and scrubbed, and a meter of sudden change (section 6.1).

use egui::Ui;
use egui_plot::{Line, Plot, PlotPoints, VLine};

use super::Explorer;
use super::views::cell;
use super::worker::Slot;
use crate::image::{Picture, grid, write_gif};
use crate::latent::session::Point;
use crate::latent::walk::{Way, changes, jumps};
use crate::model::ModelConfig;

/// Frames from one keyframe to the next.
const STEPS: usize = 10;
/// Legs a second at speed 1.
const PACE: f32 = 0.7;
/// Points of the paper's figure.
const FIGURE: u64 = 9;

#[derive(Default)]
pub(super) struct Walker {
    /// Legs from the start.
    time: f32,
    playing: bool,
    /// Changes from frame to frame of the film they were measured on.
    meter: Option<(Vec<Picture>, Vec<f32>)>,
}

impl Explorer {
    pub(super) fn walk(&mut self, ui: &mut Ui, config: &ModelConfig) {
        self.keyframes(ui, config);
        let walk = self.session.walk(config);
        if walk.legs() == 0 {
            ui.label("Click at least two samples, or start with the paper's nine.");
            return;
        }
        let legs = walk.legs() as f32;
        self.walk.time = self.walk.time.min(legs);
        ui.separator();
        ui.horizontal(|ui| {
            if ui.button(if self.walk.playing { "Pause" } else { "Play" }).clicked() {
                self.walk.playing = !self.walk.playing;
            }
            ui.spacing_mut().slider_width = (ui.available_width() - 40.0).max(80.0);
            let scrub = egui::Slider::new(&mut self.walk.time, 0.0..=legs).show_value(false);
            if ui.add(scrub).on_hover_text("Drag along the walk").dragged() {
                self.walk.playing = false;
            }
        });
        if self.walk.playing {
            let step = ui.input(|input| input.stable_dt).min(0.1) * PACE;
            self.walk.time = if self.walk.time + step < legs { self.walk.time + step } else { 0.0 };
            ui.ctx().request_repaint();
        }
        let here: Vec<_> = walk.at(self.walk.time).into_iter().collect();
        let side = (ui.available_height() - 250.0).clamp(160.0, 420.0);
        let shown = self.views.of(&self.worker, Slot::Playhead, here.clone());
        cell(ui, shown, 0, side, "the walk here");
        ui.horizontal(|ui| {
            if ui.button("Keep this point").clicked() {
                let name = format!("walk at {:.2}", self.walk.time);
                here.into_iter().for_each(|z| self.keep(name.clone(), z));
            }
            self.exports(ui, config);
        });
        self.meter(ui, config);
    }

    fn keyframes(&mut self, ui: &mut Ui, config: &ModelConfig) {
        ui.horizontal_wrapped(|ui| {
            let nine = ui.button("The paper's nine").on_hover_text("Nine random samples, one after another (figure 4)");
            if nine.clicked() {
                let seed = self.session.seed;
                self.session.walk.keyframes = (0..FIGURE).map(|number| Point::Sample { seed, number }).collect();
            }
            if ui.button("Clear").clicked() {
                self.session.walk.keyframes.clear();
            }
            ui.separator();
            let way = &mut self.session.walk.way;
            ui.selectable_value(way, Way::Linear, "Straight").on_hover_text("As the paper walks");
            ui.selectable_value(way, Way::Spherical, "Great circles")
                .on_hover_text("Keeps to the lengths that a normal prior gives");
            ui.checkbox(&mut self.session.walk.closed, "Closed").on_hover_text("From the last back to the first");
        });
        let z = self.session.walk.keyframes.iter().map(|point| point.z(config)).collect();
        let shown = self.views.of(&self.worker, Slot::Keyframes, z);
        let (mut removed, mut jump) = (None, None);
        ui.horizontal_wrapped(|ui| {
            for (i, point) in self.session.walk.keyframes.iter().enumerate() {
                let response = cell(ui, shown, i, 64.0, &point.name());
                if response.clicked() {
                    jump = Some(i);
                }
                if response.secondary_clicked() {
                    removed = Some(i);
                }
                response.on_hover_text(format!("{}; click to go there, right click to remove it", point.name()));
            }
        });
        if let Some(i) = jump {
            (self.walk.time, self.walk.playing) = (i as f32, false);
        }
        removed.map(|i| self.session.walk.keyframes.remove(i));
    }

    fn exports(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let film = self.session.walk(config).film(STEPS);
        let Some(pictures) = self.views.of(&self.worker, Slot::Film, film).map(|shown| shown.pictures.clone()) else {
            ui.spinner();
            return;
        };
        if ui.button("Save strip...").on_hover_text("A PNG, one row from each keyframe to the next").clicked() {
            let strip = pictures.clone();
            self.files.save_png("walk.png", move || grid(&strip, STEPS, 2));
        }
        if ui.button("Save GIF...").clicked() {
            self.files.save("Save the walk", "walk.gif", "gif", move |path| {
                write_gif(path, &pictures, 20, 4).map_err(|error| error.to_string())
            });
        }
        if let Some(path) = &self.files.written {
            ui.weak(format!("written: {}", path.display()));
        }
    }

    fn meter(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let film = self.session.walk(config).film(STEPS);
        let Some(shown) = self.views.of(&self.worker, Slot::Film, film) else { return };
        if self.walk.meter.as_ref().is_none_or(|(of, _)| *of != shown.pictures) {
            self.walk.meter = Some((shown.pictures.clone(), changes(&shown.pictures)));
        }
        let Some((_, changes)) = &self.walk.meter else { return };
        let jumps = jumps(changes);
        let verdict = match jumps.len() {
            0 => "No sudden jump: every step changes the picture about as much.".to_owned(),
            1 => "One sudden jump: a sign of memorised pictures (section 6.1).".to_owned(),
            count => format!("{count} sudden jumps: a sign of memorised pictures (section 6.1)."),
        };
        ui.label(verdict);
        let at = |i: usize| (i as f64 + 0.5) / STEPS as f64;
        let points: Vec<[f64; 2]> = changes.iter().enumerate().map(|(i, c)| [at(i), f64::from(*c)]).collect();
        let plot = Plot::new("changes").height(120.0).include_y(0.0).allow_scroll(false).show_grid(false);
        plot.x_axis_label("keyframe").y_axis_label("change per step").show(ui, |plot| {
            plot.line(Line::new("change", PlotPoints::from(points)));
            plot.vline(VLine::new("here", f64::from(self.walk.time)));
            for jump in jumps {
                plot.vline(VLine::new("jump", at(jump)).color(egui::Color32::RED));
            }
        });
    }
}
