//! Arithmetic by clicking: trays of samples, their averages, the result among its neighbours (section 6.3.2, figure 7).

use egui::Ui;

use super::Explorer;
use super::views::cell;
use super::worker::Slot;
use crate::image::Picture;
use crate::latent::arithmetic::{self, Figure};
use crate::latent::directions::Direction;
use crate::latent::session::{Point, Session, Tray};
use crate::latent::vector;
use crate::model::ModelConfig;

/// Rows and columns of the turn (figure 8).
const TURN: (u64, usize) = (5, 11);
/// Side of a tray's pictures and of the results, in points.
const SMALL: f32 = 64.0;
const LARGE: f32 = 96.0;

#[derive(Default)]
pub(super) struct Arithmetic {
    /// The tray that clicks go to.
    active: usize,
    /// The name a concept is saved under.
    name: String,
}

impl Arithmetic {
    /// Puts a point into the active tray, or takes it out if it is there.
    pub fn pick(&mut self, session: &mut Session, point: Point) {
        self.active = self.active.min(session.trays.len().saturating_sub(1));
        let Some(tray) = session.trays.get_mut(self.active) else { return };
        match tray.members.iter().position(|member| *member == point) {
            Some(at) => drop(tray.members.remove(at)),
            None => {
                tray.members.push(point);
                // Three exemplars make a stable average (section 6.3.2); the next tray is most likely next.
                if tray.members.len() == 3 && session.trays.get(self.active + 1).is_some_and(|t| t.members.is_empty()) {
                    self.active += 1;
                }
            }
        }
    }
}

impl Explorer {
    pub(super) fn arithmetic(&mut self, ui: &mut Ui, config: &ModelConfig) {
        self.trays(ui, config);
        ui.add_space(8.0);
        let terms = self.session.terms(config);
        let Ok(z) = arithmetic::result(&terms) else {
            ui.label("Fill the trays: for a smile, three smiling faces, minus three neutral ones, plus three others.");
            return;
        };
        let around = arithmetic::neighbourhood(&z, self.session.seed);
        let trays = &self.session.trays;
        let exemplars: Vec<_> = trays.iter().flat_map(|tray| &tray.members).map(|point| point.z(config)).collect();
        let pixels = self
            .views
            .of(&self.worker, Slot::Exemplars, exemplars)
            .and_then(|shown| arithmetic::in_pixels(&by_tray(trays, &shown.pictures)));
        ui.horizontal_top(|ui| {
            ui.vertical(|ui| {
                ui.strong("Result").on_hover_text("In the middle; around it with uniform noise of +-0.25 added");
                let shown = self.views.of(&self.worker, Slot::Result, around);
                egui::Grid::new("results").spacing([4.0, 4.0]).show(ui, |ui| {
                    for i in 0..9 {
                        cell(ui, shown, i, LARGE, if i == 4 { "result" } else { "neighbour" });
                        if i % 3 == 2 {
                            ui.end_row();
                        }
                    }
                });
            });
            ui.add_space(16.0);
            ui.vertical(|ui| {
                ui.strong("The same with pixels").on_hover_text("What averaging pictures gives without a latent space");
                if let Some(picture) = pixels {
                    let texture = crate::app::texture::upload(ui.ctx(), "pixels", &picture);
                    ui.add(egui::Image::new((texture.id(), egui::Vec2::splat(LARGE))).alt_text("pixel arithmetic"));
                }
                ui.add_space(8.0);
                self.result_actions(ui, config, &z);
            });
        });
        self.turn(ui, config);
    }

    /// The turn from what is taken away to what is added, on the seed's first samples (figure 8).
    fn turn(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let terms = self.session.terms(config);
        let [to, from] = &terms[..] else { return };
        if to.minus == from.minus {
            return;
        }
        let (from, to) = if from.minus { (from, to) } else { (to, from) };
        let seed = self.session.seed;
        let on: Vec<_> = (0..TURN.0).map(|number| Point::Sample { seed, number }.z(config)).collect();
        let Ok(rows) = arithmetic::turn(&from.exemplars, &to.exemplars, &on, TURN.1) else { return };
        ui.separator();
        ui.strong("The turn")
            .on_hover_text("From the minus tray's average to the plus tray's, on samples 0 to 4 (figure 8)");
        let side = ((ui.available_width() - 60.0) / TURN.1 as f32).clamp(24.0, 72.0);
        let Some(shown) = self.views.of(&self.worker, Slot::Turn, rows.concat()) else { return };
        ui.spacing_mut().item_spacing = egui::Vec2::splat(2.0);
        for row in 0..TURN.0 as usize {
            ui.horizontal(|ui| {
                for column in 0..TURN.1 {
                    cell(ui, Some(shown), row * TURN.1 + column, side, "turn");
                }
            });
        }
        let pictures = shown.pictures.clone();
        if ui.button("Save the turn...").clicked() {
            self.files.save_png("turn.png", move || crate::image::grid(&pictures, TURN.1, 2));
        }
    }

    fn trays(&mut self, ui: &mut Ui, config: &ModelConfig) {
        let trays = &self.session.trays;
        let members: Vec<_> = trays.iter().flat_map(|tray| &tray.members).map(|point| point.z(config)).collect();
        let averages: Vec<_> = self.session.terms(config).iter().filter_map(|t| vector::mean(&t.exemplars)).collect();
        self.views.of(&self.worker, Slot::Averages, averages.clone());
        let mut removed = None;
        let (mut first, mut filled) = (0, 0);
        ui.horizontal_wrapped(|ui| {
            for i in 0..self.session.trays.len() {
                let active = self.arithmetic.active == i;
                let stroke = if active {
                    egui::Stroke::new(2.0, ui.visuals().selection.bg_fill)
                } else {
                    ui.visuals().widgets.noninteractive.bg_stroke
                };
                let frame = egui::Frame::group(ui.style()).stroke(stroke);
                frame.show(ui, |ui| {
                    ui.set_min_size([SMALL * 3.0 + 12.0, SMALL * 2.0 + 56.0].into());
                    ui.vertical(|ui| {
                        ui.horizontal(|ui| {
                            if ui.selectable_label(active, format!("Tray {}", i + 1)).clicked() {
                                self.arithmetic.active = i;
                            }
                            let tray = &mut self.session.trays[i];
                            let sign = if tray.minus { "minus" } else { "plus" };
                            if ui.button(sign).on_hover_text("Added or taken away: click to change").clicked() {
                                tray.minus = !tray.minus;
                            }
                            if ui.button("Clear").clicked() {
                                tray.members.clear();
                            }
                        });
                        let shown = self.views.of(&self.worker, Slot::Exemplars, members.clone());
                        ui.horizontal_wrapped(|ui| {
                            for (j, point) in self.session.trays[i].members.iter().enumerate() {
                                let response = cell(ui, shown, first + j, SMALL, &point.name());
                                if response.clicked() {
                                    removed = Some((i, j));
                                }
                                response.on_hover_text(format!("{}: click to take it out", point.name()));
                            }
                        });
                        if !self.session.trays[i].members.is_empty() {
                            ui.weak("average");
                            let shown = self.views.of(&self.worker, Slot::Averages, averages.clone());
                            cell(ui, shown, filled, SMALL, "average of the tray");
                        }
                    });
                });
                first += self.session.trays[i].members.len();
                filled += usize::from(!self.session.trays[i].members.is_empty());
            }
            if ui.button("Another tray").clicked() {
                self.session.trays.push(Tray::default());
                self.arithmetic.active = self.session.trays.len() - 1;
            }
        });
        if let Some((tray, member)) = removed {
            self.session.trays[tray].members.remove(member);
        }
    }

    fn result_actions(&mut self, ui: &mut Ui, config: &ModelConfig, z: &[f32]) {
        let fit = arithmetic::fit(config.prior, z);
        let length =
            format!("length {:.2}, the prior's {:.2} ({:+.1} deviations)", fit.norm, fit.expected, fit.deviations);
        if fit.outside() {
            ui.colored_label(ui.visuals().warn_fg_color, format!("Outside the prior: {length}"));
        } else {
            ui.weak(length);
        }
        ui.horizontal(|ui| {
            if ui.button("Keep").on_hover_text("Puts the result on the shelf, to be used as a sample").clicked() {
                self.keep("arithmetic".to_owned(), z.to_vec());
            }
            let back = ui.button("Keep inside the prior");
            if back.on_hover_text("Keeps it at the length that the generator was trained with").clicked() {
                self.keep("arithmetic, in the prior".to_owned(), arithmetic::back_to_prior(config.prior, z));
            }
        });
        let differences = self.session.trays.iter().any(|tray| tray.minus && !tray.members.is_empty());
        ui.horizontal(|ui| {
            ui.add(egui::TextEdit::singleline(&mut self.arithmetic.name).hint_text("smile").desired_width(100.0));
            let ready = differences && !self.arithmetic.name.trim().is_empty();
            let save = ui.add_enabled(ready, egui::Button::new("Save as concept"));
            let about = "The first tray minus what is taken away, as a direction with a slider (Directions)";
            if save.on_hover_text(about).on_disabled_hover_text("Needs a name, and a tray that is taken away").clicked()
            {
                let terms = self.session.terms(config);
                let first_plus = terms.iter().find(|term| !term.minus).cloned();
                let minuses = terms.into_iter().filter(|term| term.minus);
                let concept: Vec<_> = first_plus.into_iter().chain(minuses).collect();
                if let Ok(vector) = arithmetic::result(&concept) {
                    let name = std::mem::take(&mut self.arithmetic.name).trim().to_owned();
                    let weight = vector::norm(&vector);
                    self.session.concepts.push(Direction { name, vector, weight });
                }
            }
        });
        if ui.button("Save figure...").on_hover_text("A PNG laid out as the paper's figure 7").clicked() {
            self.save_figure(config);
        }
        if let Some(path) = &self.files.written {
            ui.weak(format!("written: {}", path.display()));
        }
    }

    fn save_figure(&mut self, config: &ModelConfig) {
        let terms = self.session.terms(config);
        let averages = terms.iter().filter_map(|term| vector::mean(&term.exemplars)).collect();
        let exemplars = terms.iter().flat_map(|term| term.exemplars.clone()).collect();
        let averages = self.views.of(&self.worker, Slot::Averages, averages).map(|shown| shown.pictures.clone());
        let exemplars = self.views.of(&self.worker, Slot::Exemplars, exemplars).map(|shown| shown.pictures.clone());
        let Ok(z) = arithmetic::result(&terms) else { return };
        let around = arithmetic::neighbourhood(&z, self.session.seed);
        let results = self.views.of(&self.worker, Slot::Result, around).map(|shown| shown.pictures.clone());
        let (Some(averages), Some(exemplars), Some(results)) = (averages, exemplars, results) else { return };
        let trays = by_tray(&self.session.trays, &exemplars);
        let Some(pixels) = arithmetic::in_pixels(&trays) else { return };
        let trays = trays.into_iter().zip(averages).map(|((minus, pictures), average)| (minus, pictures, average));
        let figure = Figure { trays: trays.collect(), results, pixels };
        self.files.save_png("arithmetic.png", move || figure.sheet());
    }
}

/// The exemplars' pictures, tray by tray; empty trays have no place among them.
fn by_tray(trays: &[Tray], pictures: &[Picture]) -> Vec<(bool, Vec<Picture>)> {
    let mut left = pictures.iter().cloned();
    let filled = trays.iter().filter(|tray| !tray.members.is_empty());
    filled.map(|tray| (tray.minus, left.by_ref().take(tray.members.len()).collect())).collect()
}
