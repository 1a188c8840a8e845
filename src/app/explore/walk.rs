//! The walk: a timeline of keyframes to play and scrub through, the paper's figure 4 of it, and a plot that reveals sudden
//! jumps (section 6.1).

use std::sync::Arc;

use egui::{Key, Modifiers, Response, Ui, Vec2};
use egui_plot::{Line, Plot, PlotPoints, VLine};

use super::context::PanelContext;
use super::drag::{Carried, Home, drop_zone, insert};
use super::exports::FilmExport;
use super::panel::Panel;
use super::plans::{CachedZs, STEPS};
use super::shelf::add_to_shelf;
use super::worker::Slot;
use crate::app::action::Action;
use crate::image::Picture;
use crate::latent::change::{find_jumps, picture_changes};
use crate::latent::session::{Point, Session, Timeline};
use crate::latent::walk::Interpolation;

/// Segments a second at speed 1.
const PACE: f32 = 0.7;
/// Keyframes of the paper's figure.
const FIGURE: u64 = 9;
/// Side of a keyframe, in points.
const KEYFRAME: f32 = 60.0;
/// Height of the plot of changes, in points.
const PLOT: f32 = 110.0;

/// Plays a walk through Z along the session's keyframes.
pub(super) struct WalkPanel {
    /// Segments from the start.
    time: f32,
    playing: bool,
    speed: f32,
    /// Changes from frame to frame, with the film that they were measured on.
    changes: Option<(Arc<[Picture]>, Vec<f32>)>,
    here: CachedZs<Vec<f32>>,
    film: FilmExport,
}

impl Default for WalkPanel {
    fn default() -> Self {
        Self {
            time: 0.0,
            playing: false,
            speed: 1.0,
            changes: None,
            here: CachedZs::default(),
            film: FilmExport::default(),
        }
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

impl Panel for WalkPanel {
    fn ui(&mut self, ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
        cx.views.request(&cx.worker, Slot::Keyframes, &cx.plans.keyframes);
        cx.views.request(&cx.worker, Slot::Film, &cx.plans.film);
        self.head(ui, &mut cx.session);
        self.timeline(ui, cx);
        let rows = cx.plans.walk.segments();
        if rows == 0 {
            ui.label("Click at least two samples, or start with the paper's nine.");
            return None;
        }
        let segments = rows as f32;
        self.time = self.time.min(segments);
        self.keys(ui, segments);
        self.transport(ui, segments);
        ui.horizontal_top(|ui| {
            let room = (ui.available_height() - PLOT - 84.0).max(160.0);
            let wide = ui.available_width();
            let side = room.min(wide * 0.34).clamp(140.0, 420.0);
            ui.vertical(|ui| self.playhead(ui, cx, side));
            let cell = ((wide - side - 60.0) / (STEPS + 1) as f32).min(room / rows as f32).clamp(18.0, 80.0);
            ui.vertical(|ui| self.figure(ui, cx, cell));
        });
        self.film.ui(ui, cx);
        self.plot_changes(ui, cx);
        None
    }

    fn pick(&mut self, point: Point, cx: &mut PanelContext) {
        cx.session.walk.keyframes.push(point);
    }

    fn points<'a>(&self, session: &'a Session) -> Vec<&'a Point> {
        session.walk.keyframes.iter().collect()
    }
}

impl WalkPanel {
    /// Buttons that fill the timeline, and how the walk runs along it.
    fn head(&mut self, ui: &mut Ui, session: &mut Session) {
        ui.horizontal_wrapped(|ui| {
            let nine = ui.button("The paper's nine");
            let about = "Figure 4: nine random points, a row from each to the next. Click again for nine others";
            if nine.on_hover_text(about).clicked() {
                session.walk.keyframes = next_nine(&session.walk, session.seed);
                session.walk.looped = true;
                self.time = 0.0;
            }
            if ui.button("Clear").on_hover_text("Takes all keyframes out").clicked() {
                session.walk.keyframes.clear();
            }
            ui.separator();
            let interpolation = &mut session.walk.interpolation;
            ui.selectable_value(interpolation, Interpolation::Linear, "Straight").on_hover_text("As the paper walks");
            ui.selectable_value(interpolation, Interpolation::Slerp, "Great circles")
                .on_hover_text("Keeps to the lengths that a normal prior gives");
            ui.checkbox(&mut session.walk.looped, "Closed").on_hover_text("From the last back to the first");
        });
    }

    /// The keyframes, which are sorted by dragging; samples can be dropped among them.
    fn timeline(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let (mut removed, mut jump, mut put) = (None, None, None);
        let (_, dropped) = drop_zone(ui, false, egui::Sense::hover(), |ui| {
            ui.set_min_size(Vec2::new(ui.available_width(), KEYFRAME));
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing = Vec2::splat(6.0);
                if cx.session.walk.keyframes.is_empty() {
                    ui.weak("the timeline: drag samples here");
                }
                for (i, point) in cx.session.walk.keyframes.iter().enumerate() {
                    let home = Some(Home::Keyframe(i));
                    let cell = cx.views.point(ui, Slot::Keyframes, i, KEYFRAME, point, home);
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
            insert(&mut cx.session, carried, Home::Keyframe(at));
        }
        if let Some(i) = jump {
            (self.time, self.playing) = (i as f32, false);
        }
        if let Some(i) = removed {
            cx.session.walk.keyframes.remove(i);
        }
    }

    /// The play button, the speed, and the slider along the walk.
    fn transport(&mut self, ui: &mut Ui, segments: f32) {
        ui.horizontal(|ui| {
            if ui.button(if self.playing { "Pause" } else { "Play" }).on_hover_text("Space").clicked() {
                self.playing = !self.playing;
            }
            let label = ui.label("Speed");
            ui.add(egui::DragValue::new(&mut self.speed).range(0.1..=5.0).speed(0.02).suffix("x"))
                .labelled_by(label.id);
            ui.spacing_mut().slider_width = (ui.available_width() - 40.0).max(80.0);
            let scrub = egui::Slider::new(&mut self.time, 0.0..=segments).show_value(false);
            if ui.add(scrub).on_hover_text("Drag along the walk; Left and Right go by a frame").dragged() {
                self.playing = false;
            }
        });
        if self.playing {
            let step = ui.input(|input| input.stable_dt).min(0.1) * PACE * self.speed;
            self.time = if self.time + step < segments { self.time + step } else { 0.0 };
            ui.ctx().request_repaint();
        }
    }

    fn keys(&mut self, ui: &Ui, segments: f32) {
        if ui.memory(|memory| memory.focused().is_some()) {
            return;
        }
        let pressed = |key| ui.input_mut(|input| input.count_and_consume_key(Modifiers::NONE, key)) as f32;
        if pressed(Key::Space) > 0.0 {
            self.playing = !self.playing;
        }
        if !ui.rect_contains_pointer(ui.clip_rect()) {
            return;
        }
        let frames = pressed(Key::ArrowRight) - pressed(Key::ArrowLeft);
        if frames != 0.0 {
            let frame = (self.time * STEPS as f32).round() + frames;
            (self.time, self.playing) = ((frame / STEPS as f32).clamp(0.0, segments), false);
        }
    }

    /// The image at the current time.
    fn playhead(&mut self, ui: &mut Ui, cx: &mut PanelContext, side: f32) {
        let Some(z) = cx.plans.walk.at(self.time) else { return };
        let zs = self.here.get(z, |z| vec![z.clone()]).clone();
        cx.views.request(&cx.worker, Slot::Playhead, &zs);
        let name = format!("walk at {:.2}", self.time);
        let cell = cx.views.made(ui, Slot::Playhead, 0, side, &name);
        cell.on_hover_text(format!("{name}: drag it to wherever a sample can be used"));
        ui.horizontal_wrapped(|ui| {
            let keep = ui.button("Keep this point").on_hover_text("Puts it on the shelf, to be used as a sample");
            if keep.clicked() {
                add_to_shelf(&mut cx.session, name.clone(), zs[0].clone());
            }
            let insert = ui.button("Insert keyframe").on_hover_text("Makes this point a keyframe of its own");
            if insert.clicked() {
                let at = (self.time as usize + 1).min(cx.session.walk.keyframes.len());
                cx.session.walk.keyframes.insert(at, Point::Custom { name, z: zs[0].clone() });
            }
        });
    }

    /// A row from each keyframe to the next, as the paper's figure 4.
    fn figure(&mut self, ui: &mut Ui, cx: &PanelContext, cell: f32) {
        let count = cx.plans.film.len();
        ui.spacing_mut().item_spacing = Vec2::splat(1.0);
        for segment in 0..cx.plans.walk.segments() {
            ui.horizontal(|ui| {
                for step in 0..=STEPS {
                    let frame = segment * STEPS + step;
                    let name = format!("frame {frame} of the walk");
                    let response = cx.views.made(ui, Slot::Film, frame % count.max(1), cell, &name);
                    if response.clicked() {
                        (self.time, self.playing) = (frame as f32 / STEPS as f32, false);
                    }
                    response.on_hover_text("Click to go there, or drag it to wherever a sample can be used");
                }
            });
        }
    }

    /// Plots how much each frame changes the image, and marks sudden jumps.
    fn plot_changes(&mut self, ui: &mut Ui, cx: &mut PanelContext) {
        let Some(pictures) = cx.views.pictures(&cx.worker, Slot::Film) else { return };
        if self.changes.as_ref().is_none_or(|(of, _)| !Arc::ptr_eq(of, &pictures)) {
            self.changes = Some((pictures.clone(), picture_changes(&pictures)));
        }
        let Some((_, changes)) = &self.changes else { return };
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
        let plot = Plot::new("changes").height(PLOT).include_y(0.0).allow_scroll(false).show_grid(false);
        plot.x_axis_label("keyframe").show(ui, |plot| {
            plot.line(Line::new("change", PlotPoints::from(points)).color(egui::Color32::from_rgb(90, 160, 230)));
            plot.vline(VLine::new("here", f64::from(self.time)));
            for jump in jumps {
                plot.vline(VLine::new("jump", at(jump)).color(egui::Color32::RED));
            }
        });
    }
}

/// The place in the timeline where a sample carried over keyframe `i` would be inserted: before or behind it. Paints a line there.
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
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::{context, sample, show};

    #[test]
    fn the_papers_nine_fill_the_timeline_and_space_plays_the_walk() {
        let mut harness = show(WalkPanel::default(), context());
        harness.get_by_label("The paper's nine").click();
        harness.run_steps(2);
        assert_eq!(harness.state().cx.session.walk.keyframes, (0..9).map(sample).collect::<Vec<_>>());
        harness.key_press(Key::Space);
        harness.run_steps(3);
        let panel = &harness.state().panel;
        assert!(panel.playing && panel.time > 0.0, "{}", panel.time);
        assert!(harness.query_by_label("Pause").is_some());
    }

    #[test]
    fn a_second_click_takes_the_next_nine_samples() {
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
