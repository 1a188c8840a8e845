//! The walk: a timeline of keyframes that is played and scrubbed, the paper's figure of it, and a meter of sudden change
//! (section 6.1).

use std::sync::Arc;

use egui::{Key, Modifiers, Response, Ui, Vec2};
use egui_plot::{Line, Plot, PlotPoints, VLine};

use super::Explorer;
use super::drag::{Carried, Home, drop_zone};
use super::exports::Film;
use super::plans::{Kept, STEPS};
use super::worker::Slot;
use crate::image::Picture;
use crate::latent::change::{find_jumps, picture_changes};
use crate::latent::session::{Point, Timeline};
use crate::latent::walk::Interpolation;

/// Legs a second at speed 1.
const PACE: f32 = 0.7;
/// Points of the paper's figure.
const FIGURE: u64 = 9;
/// Side of a keyframe, in points.
const KEYFRAME: f32 = 60.0;
/// Height of the jump meter.
const METER: f32 = 110.0;

pub(super) struct Walker {
    /// Legs from the start.
    time: f32,
    playing: bool,
    speed: f32,
    /// Changes from frame to frame of the film they were measured on.
    meter: Option<(Arc<[Picture]>, Vec<f32>)>,
    here: Kept<Vec<f32>>,
    /// How films are written.
    pub film: Film,
}

impl Default for Walker {
    fn default() -> Self {
        Self { time: 0.0, playing: false, speed: 1.0, meter: None, here: Kept::default(), film: Film::default() }
    }
}

/// The next nine samples of the seed, or the first nine if the walk is no such series yet.
fn next_nine(walk: &Timeline, seed: u64) -> Vec<Point> {
    let series = |first: u64| (first..first + FIGURE).map(|number| Point::Sample { seed, number }).collect::<Vec<_>>();
    match walk.keyframes.first() {
        Some(Point::Sample { number, .. }) if walk.keyframes == series(*number) => series(number + FIGURE),
        _ => series(0),
    }
}

impl Explorer {
    pub(super) fn walk(&mut self, ui: &mut Ui) {
        self.views.ask(&self.worker, Slot::Keyframes, &self.plans.keyframes);
        self.views.ask(&self.worker, Slot::Film, &self.plans.film);
        self.walk_head(ui);
        self.timeline(ui);
        if self.plans.walk.segments() == 0 {
            ui.label("Click at least two samples, or start with the paper's nine.");
            return;
        }
        let legs = self.plans.walk.segments() as f32;
        self.walk.time = self.walk.time.min(legs);
        self.walk_keys(ui, legs);
        self.transport(ui, legs);
        ui.horizontal_top(|ui| {
            let rows = self.plans.walk.segments();
            let room = (ui.available_height() - METER - 84.0).max(160.0);
            let wide = ui.available_width();
            let side = room.min(wide * 0.34).clamp(140.0, 420.0);
            ui.vertical(|ui| self.playhead(ui, side));
            let cell = ((wide - side - 60.0) / (STEPS + 1) as f32).min(room / rows as f32).clamp(18.0, 80.0);
            ui.vertical(|ui| self.figure(ui, cell));
        });
        self.export_walk(ui);
        self.meter(ui);
    }

    fn walk_head(&mut self, ui: &mut Ui) {
        ui.horizontal_wrapped(|ui| {
            let nine = ui.button("The paper's nine");
            let about = "Figure 4: nine random points, a row from each to the next. Click again for nine others";
            if nine.on_hover_text(about).clicked() {
                self.session.walk.keyframes = next_nine(&self.session.walk, self.session.seed);
                self.session.walk.looped = true;
                self.walk.time = 0.0;
            }
            if ui.button("Clear").on_hover_text("Takes all keyframes out").clicked() {
                self.session.walk.keyframes.clear();
            }
            ui.separator();
            let interpolation = &mut self.session.walk.interpolation;
            ui.selectable_value(interpolation, Interpolation::Linear, "Straight").on_hover_text("As the paper walks");
            ui.selectable_value(interpolation, Interpolation::Slerp, "Great circles")
                .on_hover_text("Keeps to the lengths that a normal prior gives");
            ui.checkbox(&mut self.session.walk.looped, "Closed").on_hover_text("From the last back to the first");
        });
    }

    /// The keyframes: put in order by dragging, and filled from anywhere.
    fn timeline(&mut self, ui: &mut Ui) {
        let (mut removed, mut jump, mut put) = (None, None, None);
        let (_, dropped) = drop_zone(ui, false, |ui| {
            ui.set_min_size(Vec2::new(ui.available_width(), KEYFRAME));
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(6.0);
                if self.session.walk.keyframes.is_empty() {
                    ui.weak("the timeline: drag samples here");
                }
                for (i, point) in self.session.walk.keyframes.iter().enumerate() {
                    let home = Some(Home::Keyframe(i));
                    let cell = self.views.point(ui, Slot::Keyframes, i, KEYFRAME, point, home);
                    if let Some(at) = insertion(ui, &cell, i)
                        && let Some(carried) = Carried::dropped(&cell)
                    {
                        put = Some((carried, at));
                    }
                    if cell.clicked() {
                        jump = Some(i);
                    }
                    if cell.secondary_clicked() {
                        removed = Some(i);
                    }
                    let about = "click to go there, drag to another place, right click to remove it";
                    cell.on_hover_text(format!("{}: {about}", point.name()));
                }
            });
        });
        if let Some((carried, at)) = put.or(dropped.map(|carried| (carried, usize::MAX))) {
            self.put(carried, Home::Keyframe(at));
        }
        if let Some(i) = jump {
            (self.walk.time, self.walk.playing) = (i as f32, false);
        }
        if let Some(i) = removed {
            self.session.walk.keyframes.remove(i);
        }
    }

    fn transport(&mut self, ui: &mut Ui, legs: f32) {
        ui.horizontal(|ui| {
            if ui.button(if self.walk.playing { "Pause" } else { "Play" }).on_hover_text("Space").clicked() {
                self.walk.playing = !self.walk.playing;
            }
            let label = ui.label("Speed");
            ui.add(egui::DragValue::new(&mut self.walk.speed).range(0.1..=5.0).speed(0.02).suffix("x"))
                .labelled_by(label.id);
            ui.spacing_mut().slider_width = (ui.available_width() - 40.0).max(80.0);
            let scrub = egui::Slider::new(&mut self.walk.time, 0.0..=legs).show_value(false);
            if ui.add(scrub).on_hover_text("Drag along the walk; Left and Right go by a frame").dragged() {
                self.walk.playing = false;
            }
        });
        if self.walk.playing {
            let step = ui.input(|input| input.stable_dt).min(0.1) * PACE * self.walk.speed;
            self.walk.time = if self.walk.time + step < legs { self.walk.time + step } else { 0.0 };
            ui.ctx().request_repaint();
        }
    }

    fn walk_keys(&mut self, ui: &Ui, legs: f32) {
        if ui.memory(|memory| memory.focused().is_some()) {
            return;
        }
        let pressed = |key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key)) as f32;
        if pressed(Key::Space) > 0.0 {
            self.walk.playing = !self.walk.playing;
        }
        if !ui.rect_contains_pointer(ui.clip_rect()) {
            return;
        }
        let frames = pressed(Key::ArrowRight) - pressed(Key::ArrowLeft);
        if frames != 0.0 {
            let frame = (self.walk.time * STEPS as f32).round() + frames;
            (self.walk.time, self.walk.playing) = ((frame / STEPS as f32).clamp(0.0, legs), false);
        }
    }

    fn playhead(&mut self, ui: &mut Ui, side: f32) {
        let Some(z) = self.plans.walk.at(self.walk.time) else { return };
        let zs = self.walk.here.of(z, |z| vec![z.clone()]).clone();
        self.views.ask(&self.worker, Slot::Playhead, &zs);
        let name = format!("walk at {:.2}", self.walk.time);
        let cell = self.views.made(ui, Slot::Playhead, 0, side, &name);
        cell.on_hover_text(format!("{name}: drag it to wherever a sample can be used"));
        ui.horizontal_wrapped(|ui| {
            let keep = ui.button("Keep this point").on_hover_text("Puts it on the shelf, to be used as a sample");
            if keep.clicked() {
                self.keep(name.clone(), zs[0].clone());
            }
            let insert = ui.button("Insert keyframe").on_hover_text("Makes this point a keyframe of its own");
            if insert.clicked() {
                let at = (self.walk.time as usize + 1).min(self.session.walk.keyframes.len());
                self.session.walk.keyframes.insert(at, Point::Custom { name, z: zs[0].clone() });
            }
        });
    }

    /// A row from each keyframe to the next, as the paper's figure 4.
    fn figure(&mut self, ui: &mut Ui, cell: f32) {
        let count = self.plans.film.len();
        ui.spacing_mut().item_spacing = Vec2::splat(1.0);
        for leg in 0..self.plans.walk.segments() {
            ui.horizontal(|ui| {
                for step in 0..=STEPS {
                    let frame = leg * STEPS + step;
                    let name = format!("frame {frame} of the walk");
                    let response = self.views.made(ui, Slot::Film, frame % count.max(1), cell, &name);
                    if response.clicked() {
                        (self.walk.time, self.walk.playing) = (frame as f32 / STEPS as f32, false);
                    }
                    response.on_hover_text("Click to go there, or drag it to wherever a sample can be used");
                }
            });
        }
    }

    fn meter(&mut self, ui: &mut Ui) {
        let Some(pictures) = self.views.pictures(&self.worker, Slot::Film) else { return };
        if self.walk.meter.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &pictures)) {
            self.walk.meter = Some((pictures.clone(), picture_changes(&pictures)));
        }
        let Some((_, changes)) = &self.walk.meter else { return };
        let jumps = find_jumps(changes);
        let verdict = match jumps.len() {
            0 => "No sudden jump: every step changes the picture about as much.".to_owned(),
            1 => "One sudden jump: a sign of memorised pictures (section 6.1).".to_owned(),
            count => format!("{count} sudden jumps: a sign of memorised pictures (section 6.1)."),
        };
        ui.label(verdict).on_hover_text(
            "Plotted: how much each frame changes the picture. Steps of over three times the median are jumps",
        );
        let at = |i: usize| (i as f64 + 0.5) / STEPS as f64;
        let points: Vec<[f64; 2]> = changes.iter().enumerate().map(|(i, c)| [at(i), f64::from(*c)]).collect();
        let plot = Plot::new("changes").height(METER).include_y(0.0).allow_scroll(false).show_grid(false);
        plot.x_axis_label("keyframe").show(ui, |plot| {
            plot.line(Line::new("change", PlotPoints::from(points)).color(egui::Color32::from_rgb(90, 160, 230)));
            plot.vline(VLine::new("here", f64::from(self.walk.time)));
            for jump in jumps {
                plot.vline(VLine::new("jump", at(jump)).color(egui::Color32::RED));
            }
        });
    }
}

/// Where among the keyframes what is carried over keyframe `i` would go: before or behind it, as a line shows.
fn insertion(ui: &Ui, cell: &Response, i: usize) -> Option<usize> {
    if !Carried::hovers(cell) {
        return None;
    }
    let pointer = ui.input(|input| input.pointer.latest_pos())?;
    let behind = pointer.x > cell.rect.center().x;
    let x = if behind { cell.rect.right() + 3.0 } else { cell.rect.left() - 3.0 };
    let stroke = egui::Stroke::new(3.0, ui.visuals().warn_fg_color);
    ui.painter().vline(x, cell.rect.y_range(), stroke);
    Some(i + usize::from(behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_nine_are_followed_by_nine_others() {
        let mut walk = Timeline::default();
        let first = |walk: &Timeline| match walk.keyframes[0] {
            Point::Sample { number, .. } => number,
            Point::Custom { .. } => panic!("no sample"),
        };
        for expected in [0, 9, 18] {
            walk.keyframes = next_nine(&walk, 4);
            assert_eq!((walk.keyframes.len(), first(&walk)), (9, expected));
        }
        walk.keyframes.pop();
        assert_eq!(next_nine(&walk, 4)[0], Point::Sample { seed: 4, number: 0 });
    }
}
