//! The panes of a training: preview grid and filmstrip, plots, log. They can be dragged and resized.

use std::collections::BTreeMap;

use egui::{TextureHandle, Ui, Vec2};
use egui_tiles::{SimplificationOptions, Tile, TileId, Tiles, Tree, UiResponse};

use super::history::History;
use super::metric_plot::plot;
use super::preview::{DatasetPreview, PreviewedDataset};
use super::texture::upload;
use crate::image::Picture;
use crate::train::{Alarm, FailureMode, HealthEvent, Remedy, SettingsChange};

/// Most warnings that are shown above the dataset preview.
const MAX_WARNINGS: usize = 5;
/// Largest share of the height for images before and after their preparation, above the dataset preview.
const COMPARED_SHARE: f32 = 0.4;
/// Side of a filmstrip's frame, in points.
const FRAME: f32 = 72.0;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Pane {
    Preview,
    Losses,
    Probabilities,
    Gradients,
    Accuracy,
    Log,
}

pub(super) struct Monitor {
    tree: Tree<Pane>,
    film: Film,
}

/// The filmstrip's textures and the chosen frame.
#[derive(Default)]
struct Film {
    /// `None` to follow the newest preview.
    chosen: Option<u64>,
    frames: BTreeMap<u64, TextureHandle>,
    large: Option<(u64, TextureHandle)>,
}

impl Default for Monitor {
    fn default() -> Self {
        let mut tiles = Tiles::default();
        let preview = tiles.insert_pane(Pane::Preview);
        let plots = [Pane::Losses, Pane::Probabilities].map(|pane| tiles.insert_pane(pane));
        let tabs = [Pane::Log, Pane::Gradients, Pane::Accuracy].map(|pane| tiles.insert_pane(pane));
        let below = tiles.insert_tab_tile(tabs.to_vec());
        let right = tiles.insert_vertical_tile(vec![plots[0], plots[1], below]);
        let root = tiles.insert_horizontal_tile(vec![preview, right]);
        if let Some(Tile::Container(egui_tiles::Container::Linear(linear))) = tiles.get_mut(root) {
            linear.shares.set_share(preview, 1.3);
        }
        Self { tree: Tree::new(egui::Id::unique("monitor"), root, tiles), film: Film::default() }
    }
}

impl Monitor {
    /// Discards the textures of the last run, which are stored by step.
    pub fn restart(&mut self) {
        self.film = Film::default();
    }

    /// Draws the alarms of the training and the panes. Before training, the dataset preview takes the place of the preview grid.
    /// `accuracy` draws the probe accuracies. Returns the remedy that was clicked.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        history: &History,
        dataset: Option<&DatasetPreview>,
        accuracy: &dyn Fn(&mut Ui),
    ) -> Option<SettingsChange> {
        let change = banner(ui, history);
        let mut panes = Panes { history, dataset, accuracy, film: &mut self.film };
        self.tree.ui(&mut panes, ui);
        change
    }
}

/// Draws the alarms, each with buttons for its remedies.
fn banner(ui: &mut Ui, history: &History) -> Option<SettingsChange> {
    let mut change = None;
    for health in &history.health {
        if let HealthEvent::Failing(Alarm { failure: failure @ FailureMode::DatasetTooSmall { .. }, .. }) = health {
            ui.colored_label(ui.visuals().warn_fg_color, failure.to_string());
        }
    }
    for alarm in HealthEvent::failing(&history.health) {
        let color = ui.visuals().warn_fg_color;
        egui::Frame::new().stroke(egui::Stroke::new(1.0, color)).corner_radius(4.0).inner_margin(8.0).show(ui, |ui| {
            ui.set_width(ui.available_width());
            ui.colored_label(color, format!("Since step {}: {}", alarm.since, alarm.failure));
            ui.horizontal_wrapped(|ui| {
                for remedy in &alarm.remedies {
                    change = button(ui, remedy, alarm.checkpoint).or(change);
                }
            });
        });
        ui.add_space(4.0);
    }
    change
}

/// Draws the button of a remedy, which restores a checkpoint from before the trouble if there is one.
fn button(ui: &mut Ui, remedy: &Remedy, kept: Option<u64>) -> Option<SettingsChange> {
    let (text, tip) = match kept {
        Some(step) => (
            format!("{} from step {step}", remedy.label()),
            format!(
                "Goes back to the checkpoint of step {step}, from before it began, and goes on with {}",
                remedy.flags()
            ),
        ),
        None => (remedy.label(), format!("Goes on with {}", remedy.flags())),
    };
    ui.button(text).on_hover_text(tip).clicked().then(|| remedy.change(kept))
}

struct Panes<'a> {
    history: &'a History,
    dataset: Option<&'a DatasetPreview>,
    accuracy: &'a dyn Fn(&mut Ui),
    film: &'a mut Film,
}

impl egui_tiles::Behavior<Pane> for Panes<'_> {
    fn pane_ui(&mut self, ui: &mut Ui, _id: TileId, pane: &mut Pane) -> UiResponse {
        egui::Frame::new().inner_margin(8.0).show(ui, |ui| match pane {
            Pane::Preview => self.preview(ui),
            Pane::Losses => {
                plot(ui, "losses", self.history, 0.0, [("discriminator", |m| m.loss_d), ("generator", |m| m.loss_g)]);
            }
            Pane::Probabilities => {
                plot(
                    ui,
                    "probabilities",
                    self.history,
                    1.0,
                    [("D(x), real", |m| m.d_real), ("D(G(z)), drawn", |m| m.d_fake)],
                );
            }
            Pane::Gradients => {
                plot(
                    ui,
                    "gradients",
                    self.history,
                    0.0,
                    [("discriminator", |m| m.norm_d), ("generator", |m| m.norm_g)],
                );
            }
            Pane::Accuracy => (self.accuracy)(ui),
            Pane::Log => self.log(ui),
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> egui::WidgetText {
        match pane {
            Pane::Preview => "Preview: the same z's, as they learn".into(),
            Pane::Losses => "Losses".into(),
            Pane::Probabilities => "How sure the discriminator is".into(),
            Pane::Gradients => "Gradient norms".into(),
            Pane::Accuracy => "Accuracy by features".into(),
            Pane::Log if self.history.problem_count > 0 => {
                format!("Log ({} pictures skipped)", self.history.problem_count).into()
            }
            Pane::Log => "Log".into(),
        }
    }

    fn simplification_options(&self) -> SimplificationOptions {
        // Every pane keeps its title.
        SimplificationOptions { all_panes_must_have_tabs: true, ..Default::default() }
    }
}

impl Panes<'_> {
    fn preview(&mut self, ui: &mut Ui) {
        let Some((newest, _)) = &self.history.newest else {
            self.dataset_preview(ui);
            return;
        };
        let newest = *newest;
        if self.history.frames.len() > 1 {
            self.filmstrip(ui, newest);
        }
        let (step, sheet) = match self.film.chosen.and_then(|step| self.history.frames.get_key_value(&step)) {
            Some((step, sheet)) => (*step, sheet),
            None => match &self.history.newest {
                Some((step, sheet)) => (*step, sheet),
                None => return,
            },
        };
        ui.label(if step == 0 {
            "before the first step: noise".to_owned()
        } else {
            format!("after {}", self.history.name(step))
        });
        let texture = self.film.large(ui, step, sheet);
        fit(ui, &texture, &format!("preview after step {step}"));
    }

    /// Draws the report on how images are prepared: warnings and notes, and the rest folded away.
    fn report(&self, ui: &mut Ui, data: &PreviewedDataset) {
        let Some(report) = &data.report else {
            data.notes.iter().for_each(|note| {
                ui.label(note);
            });
            return;
        };
        let mut warnings = report.warnings();
        // More would leave no space for the images.
        let more = warnings.split_off(warnings.len().min(MAX_WARNINGS));
        for warning in warnings {
            ui.colored_label(ui.visuals().warn_fg_color, warning);
        }
        if !more.is_empty() {
            ui.colored_label(ui.visuals().warn_fg_color, format!("{} more warnings", more.len()))
                .on_hover_text(more.join("\n"));
        }
        data.notes.iter().for_each(|note| {
            ui.label(note);
        });
        let facts = report.facts();
        if !facts.is_empty() {
            egui::CollapsingHeader::new("What is done to the pictures").id_salt("report").show(ui, |ui| {
                facts.into_iter().for_each(|fact| {
                    ui.label(fact);
                });
            });
        }
    }

    fn dataset_preview(&self, ui: &mut Ui) {
        match self.dataset.map(|preview| (preview, &preview.result)) {
            Some((preview, Ok(data))) => {
                self.report(ui, data);
                if let Some(compared) = &data.compared {
                    ui.label(format!("As they are, and prepared ({}):", preview.request.format.preparation));
                    let room = egui::vec2(ui.available_width(), ui.available_height() * COMPARED_SHARE);
                    let text =
                        if preview.stale { "preparing the pictures" } else { "pictures before and after preparation" };
                    ui.add(egui::Image::new(compared).max_size(room).maintain_aspect_ratio(true).alt_text(text));
                }
                ui.label(format!(
                    "Some of the pictures to learn from, as the networks will see them ({}):",
                    data.summary
                ));
                if let Some(sheet) = &data.sheet {
                    fit(ui, sheet, "a look at the data");
                }
            }
            Some((_, Err(error))) => {
                ui.colored_label(ui.visuals().error_fg_color, error);
            }
            None => {
                ui.horizontal(|ui| {
                    ui.spinner();
                    ui.label("looking at the pictures");
                });
            }
        }
    }

    /// Draws the filmstrip of all kept previews.
    fn filmstrip(&mut self, ui: &mut Ui, newest: u64) {
        let steps: Vec<u64> = self.history.frames.keys().copied().collect();
        let film = &mut *self.film;
        let mut at = film.chosen.and_then(|step| steps.binary_search(&step).ok()).unwrap_or(steps.len());
        ui.horizontal(|ui| {
            ui.spacing_mut().slider_width = (ui.available_width() - 150.0).max(80.0);
            let label = ui.label("Filmstrip");
            let slider = egui::Slider::new(&mut at, 0..=steps.len()).show_value(false);
            let moved = ui.add(slider).labelled_by(label.id);
            if moved.on_hover_text("Drag through the run: the same z's from noise to pictures").changed() {
                film.chosen = steps.get(at).copied();
            }
            if ui.selectable_label(film.chosen.is_none(), "newest").clicked() {
                film.chosen = None;
            }
        });
        egui::ScrollArea::horizontal().id_salt("film").stick_to_right(true).show(ui, |ui| {
            ui.horizontal(|ui| {
                for (&step, sheet) in &self.history.frames {
                    let frame = film
                        .frames
                        .entry(step)
                        .or_insert_with(|| upload(ui.ctx(), &format!("frame {step}"), &corner(sheet)));
                    let chosen = film.chosen.unwrap_or(newest) == step;
                    let image = egui::Image::new((frame.id(), Vec2::splat(FRAME))).alt_text(format!("frame {step}"));
                    let button = egui::Button::image(image).selected(chosen).frame(chosen);
                    let shown = ui.add(button).on_hover_text(self.history.name(step));
                    if shown.clicked() {
                        film.chosen = Some(step);
                    }
                    if let Some(epoch) = self.history.epochs.get(&step) {
                        mark(ui, shown.rect, &format!("epoch {epoch}"));
                    }
                }
            });
        });
        ui.separator();
    }

    fn log(&self, ui: &mut Ui) {
        egui::ScrollArea::vertical().auto_shrink(false).stick_to_bottom(true).show(ui, |ui| {
            if let Some(cause) = self.history.failure() {
                ui.colored_label(ui.visuals().error_fg_color, cause);
            }
            for problem in &self.history.problems {
                ui.weak(format!("skipped {}: {}", problem.name, problem.cause));
            }
            let more = self.history.problem_count.saturating_sub(self.history.problems.len() as u64);
            if more > 0 {
                ui.weak(format!("and {more} more"));
            }
            for line in &self.history.log {
                ui.label(line);
            }
        });
    }
}

impl Film {
    fn large(&mut self, ui: &Ui, step: u64, sheet: &Picture) -> TextureHandle {
        match &self.large {
            Some((shown, texture)) if *shown == step => texture.clone(),
            _ => {
                let texture = upload(ui.ctx(), "preview", sheet);
                self.large = Some((step, texture.clone()));
                texture
            }
        }
    }
}

/// The upper left 2x2 samples of an 8x8 preview grid, as the thumbnail of a frame.
fn corner(sheet: &Picture) -> Picture {
    let side = (sheet.width() / 4).min(sheet.height());
    let channels = sheet.channels();
    let rows = (0..side).flat_map(|y| {
        let from = y * sheet.width() * channels;
        sheet.pixels()[from..from + side * channels].iter().copied()
    });
    Picture::new(side, side, channels, rows.collect())
}

/// Draws `text` over the bottom of a frame, so that marked frames are not higher than others.
fn mark(ui: &mut Ui, frame: egui::Rect, text: &str) {
    let foot = egui::Rect::from_min_max(egui::pos2(frame.left(), frame.bottom() - 16.0), frame.max);
    ui.painter().rect_filled(foot, 0.0, ui.visuals().selection.bg_fill);
    let label = egui::Label::new(egui::RichText::new(text).small().color(ui.visuals().selection.stroke.color));
    ui.put(foot, label.selectable(false).sense(egui::Sense::empty()));
}

fn fit(ui: &mut Ui, texture: &TextureHandle, text: &str) {
    ui.centered_and_justified(|ui| {
        let image = egui::Image::new(texture).fit_to_exact_size(ui.available_size()).maintain_aspect_ratio(true);
        ui.add(image.alt_text(text));
    });
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::train::{Event, Preview};
    use std::time::Instant;

    fn previewed(steps: [u64; 2], gray: u8) -> History {
        let mut history = History::default();
        for step in steps {
            let pictures = vec![Picture::new(16, 16, 1, vec![gray; 256]); 64];
            let epoch_end = (step > 0).then_some(step);
            history.take(Event::Previewed(Preview {
                step,
                step_ended: Instant::now(),
                pictures,
                in_filmstrip: true,
                epoch_end,
            }));
        }
        history
    }

    #[test]
    fn the_filmstrip_marks_the_ends_of_epochs() {
        let draw = |ui: &mut Ui, (monitor, history): &mut (Monitor, History)| {
            monitor.ui(ui, history, None, &|_| ());
        };
        let mut harness = Harness::builder()
            .with_size([1280.0, 800.0])
            .build_ui_state(draw, (Monitor::default(), previewed([0, 1], 40)));
        harness.run_steps(2);
        assert_eq!(harness.query_all_by_label_contains("epoch 1").count(), 2, "at its frame and over the preview");
        assert!(harness.query_by_label("after step 1, the end of epoch 1").is_some());
        let [frame, mark] = ["frame 1", "epoch 1"].map(|label| harness.get_by_label(label).rect());
        assert!(frame.expand(4.0).contains_rect(mark), "{mark:?} is at the foot of {frame:?}");
        harness.get_by_label("frame 0").click();
        harness.run_steps(2);
        assert_eq!(harness.query_all_by_label_contains("epoch 1").count(), 1, "noise is no epoch's end");
    }

    #[test]
    fn a_new_run_shows_no_picture_of_the_one_before() {
        let draw = |ui: &mut Ui, (monitor, history): &mut (Monitor, History)| {
            monitor.ui(ui, history, None, &|_| ());
        };
        let mut harness = Harness::builder()
            .with_size([1280.0, 800.0])
            .build_ui_state(draw, (Monitor::default(), previewed([0, 1], 40)));
        harness.run_steps(2);
        harness.get_by_label("frame 0").click();
        harness.run_steps(2);
        let shown = |harness: &Harness<'_, (Monitor, History)>| {
            let film = &harness.state().0.film;
            let frames: Vec<_> = film.frames.values().map(TextureHandle::id).collect();
            (film.chosen, film.large.as_ref().map(|(step, texture)| (*step, texture.id())), frames)
        };
        let old = shown(&harness);
        assert_eq!((old.0, old.2.len()), (Some(0), 2));
        let (monitor, history) = harness.state_mut();
        monitor.restart();
        *history = previewed([0, 1], 200);
        harness.run_steps(2);
        let new = shown(&harness);
        assert_eq!((new.0, new.2.len()), (None, 2), "the newest preview is followed again");
        assert_ne!(new.1, old.1);
        assert!(new.2.iter().all(|id| !old.2.contains(id)), "thumbnails are drawn anew");
    }

    #[test]
    fn a_failing_training_has_a_banner_with_a_button_for_each_remedy() {
        let mut history = previewed([0, 1], 40);
        let remedies = vec![Remedy::Noise { deviation: 0.2, steps: 3000 }, Remedy::Mirror];
        let alarm =
            |failure, checkpoint| Alarm { failure, since: 50, step: 90, remedies: remedies.clone(), checkpoint };
        history.take(Event::Health(HealthEvent::Failing(alarm(FailureMode::DatasetTooSmall { pictures: 16 }, None))));
        history.take(Event::Health(HealthEvent::Failing(alarm(FailureMode::ModeCollapse { variety: 0.1 }, Some(25)))));
        let draw = |ui: &mut Ui, (monitor, history, changes): &mut (Monitor, History, Vec<SettingsChange>)| {
            changes.extend(monitor.ui(ui, history, None, &|_| ()));
        };
        let mut harness = Harness::builder()
            .with_size([1280.0, 800.0])
            .build_ui_state(draw, (Monitor::default(), history, Vec::new()));
        harness.run_steps(2);
        assert!(harness.query_by_label_contains("Since step 50: mode collapse").is_some());
        assert_eq!(harness.query_all_by_label_contains("Since step").count(), 1, "a small set is no failure");
        assert!(harness.query_all_by_label_contains("the data set is small, 16 pictures").count() > 0);
        harness.get_by_label("Add noise of 0.2 from step 25").click();
        harness.run_steps(2);
        let wanted = SettingsChange { back_to: Some(25), noise: Some((0.2, 3000)), ..SettingsChange::default() };
        assert_eq!(harness.state().2, [wanted]);
        harness.state_mut().1.take(Event::RolledBack(25));
        harness.run_steps(2);
        assert!(harness.query_by_label_contains("Since step").is_none(), "it begins anew");
    }
}
