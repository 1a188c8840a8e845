//! The device chooser of the status bar. The window draws and computes with one device, so a choice takes effect at the next start.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use egui::containers::menu::{MenuButton, MenuConfig};
use egui::{PopupCloseBehavior, RichText, Ui};

use crate::device::tuning::{self, TuningSubscription};
use crate::device::{Card, Compute, DeviceChoice, Hardware, cards};
use crate::files;

/// How long the status bar mentions the tuning after an operation was tuned: the next one may take as long.
const LINGER: Duration = Duration::from_secs(3);

/// The device that was chosen in the window before, from the settings `file`.
pub fn remembered(file: &Path) -> Option<DeviceChoice> {
    std::fs::read_to_string(file).ok()?.parse().ok()
}

pub(super) struct DeviceChooser {
    /// The choice on the command line.
    asked: Option<DeviceChoice>,
    /// The settings file.
    file: Option<PathBuf>,
    chosen: DeviceChoice,
    /// The choice when the window opened.
    before: DeviceChoice,
    tuning: Option<TuningStatus>,
}

impl DeviceChooser {
    pub fn new(compute: &Compute, asked: Option<DeviceChoice>, file: Option<PathBuf>, ctx: &egui::Context) -> Self {
        let chosen = file.as_deref().and_then(remembered).unwrap_or_default();
        let tuning = compute.wgpu.is_some().then(|| TuningStatus::new(ctx));
        Self { asked, file, before: chosen.clone(), chosen, tuning }
    }

    /// Draws the device as a button with a menu of all devices. Returns the error if a choice cannot be saved.
    pub fn ui(&mut self, ui: &mut Ui, compute: &Compute) -> Option<String> {
        let name = match compute.kind {
            Hardware::Cpu => format!("{} (no graphics card in use)", compute.name),
            Hardware::Gpu | Hardware::Software => compute.name.clone(),
        };
        let button = egui::Button::new(name).small();
        let stays = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
        let (button, menu) = MenuButton::from_button(button).config(stays).ui(ui, |ui| self.menu(ui, cards()));
        button
            .on_hover_text("What the networks compute on. Click to choose another device; `zscape doctor` tries them");
        let tuning = self.tuning.as_mut().and_then(|tuning| tuning.text(ui.ctx()));
        if let Some(tuning) = tuning {
            ui.separator();
            ui.label(tuning).on_hover_text(
                "Each operation is timed in several variants when this card first meets its size. The results are kept, so that the next \
                 start is quick",
            );
        }
        menu.and_then(|menu| menu.inner)
    }

    fn menu(&mut self, ui: &mut Ui, cards: &[Card]) -> Option<String> {
        ui.set_max_width(420.0);
        let hardware: Vec<&Card> = cards.iter().filter(|card| card.number().is_some()).collect();
        if hardware.is_empty() {
            let found = match cards.first() {
                Some(card) => format!("only {}, {}", card.name(), card.description()),
                None => "no graphics driver at all".to_owned(),
            };
            ui.label(format!("The CPU is the only choice: no graphics card was found ({found})."));
            ui.label(
                RichText::new("If this machine has one, install its Vulkan driver and start zscape again.").weak(),
            );
            return None;
        }
        ui.strong("Compute and draw on");
        let before = self.chosen.clone();
        let first = hardware[0].name();
        ui.radio_value(&mut self.chosen, DeviceChoice::Auto, format!("Automatic: the best graphics card ({first})"));
        for card in &hardware {
            let name = format!(
                "{}: {}, {}",
                card.number().map_or(String::new(), |n| format!("gpu:{n}")),
                card.name(),
                card.description()
            );
            ui.radio_value(&mut self.chosen, card.choice(cards), name);
        }
        ui.radio_value(&mut self.chosen, DeviceChoice::Cpu, "CPU");
        if let Some(asked) = &self.asked {
            ui.label(format!("--device {asked} was given on the command line, and comes before what is chosen here."));
        }
        if self.chosen != self.before {
            ui.label(RichText::new("Takes effect when zscape starts again.").color(ui.visuals().warn_fg_color));
        }
        if self.chosen == before { None } else { self.save().err() }
    }

    /// Saves the choice for the next start.
    fn save(&self) -> Result<(), String> {
        let Some(file) = &self.file else {
            return Err("the device is not remembered: this system has no folder for settings".to_owned());
        };
        files::write(file, |to| write!(to, "{}", self.chosen))
            .map_err(|cause| format!("the device is not remembered: {}: {cause}", file.display()))
    }
}

/// Shows in the status bar that a graphics card's kernels are being tuned.
struct TuningStatus {
    subscription: TuningSubscription,
    /// The newest count, and when it came.
    newest: Option<(u64, Instant)>,
}

impl TuningStatus {
    fn new(ctx: &egui::Context) -> Self {
        let ctx = ctx.clone();
        Self { subscription: tuning::subscribe(move |_| ctx.request_repaint()), newest: None }
    }

    fn text(&mut self, ctx: &egui::Context) -> Option<String> {
        let count = self.subscription.count()?;
        if self.newest.is_none_or(|(newest, _)| newest != count) {
            self.newest = Some((count, Instant::now()));
        }
        let (_, since) = self.newest?;
        let left = LINGER.checked_sub(since.elapsed())?;
        ctx.request_repaint_after(left);
        Some(format!("Tuning kernels for this GPU: {count} so far"))
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::device::two_equal_cards;

    fn window(asked: Option<DeviceChoice>, file: &Path, cards: Vec<Card>) -> Harness<'static, Option<DeviceChooser>> {
        let file = file.to_owned();
        let draw = move |ui: &mut Ui, devices: &mut Option<DeviceChooser>| {
            let ctx = ui.ctx().clone();
            let new = || DeviceChooser::new(&Compute::cpu(), asked.clone(), Some(file.clone()), &ctx);
            let failed = devices.get_or_insert_with(new).menu(ui, &cards);
            assert_eq!(failed, None);
        };
        Harness::builder().with_size([460.0, 240.0]).build_ui_state(draw, None)
    }

    #[test]
    fn a_card_that_is_chosen_is_remembered_for_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings/device");
        let mut harness = window(None, &file, two_equal_cards());
        harness.run();
        assert!(harness.query_by_label_contains("starts again").is_none());
        harness.get_by_label_contains("gpu:1").click();
        harness.run();
        assert!(harness.query_by_label_contains("Takes effect when zscape starts again").is_some());
        assert_eq!(remembered(&file), Some(DeviceChoice::Card(1)));

        let mut next = window(Some(DeviceChoice::Cpu), &file, two_equal_cards());
        next.run();
        assert!(next.query_by_label_contains("starts again").is_none(), "it has taken effect");
        assert!(next.query_by_label_contains("--device cpu was given").is_some());
        next.get_by_label("CPU").click();
        next.run();
        assert_eq!(remembered(&file), Some(DeviceChoice::Cpu));
    }

    #[test]
    fn where_there_is_no_card_the_chooser_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let mut harness = window(None, &folder.path().join("device"), Vec::new());
        harness.run();
        assert!(harness.query_by_label_contains("The CPU is the only choice").is_some());
        assert!(harness.query_by_label_contains("Automatic").is_none());
    }
}
