//! Closing the window: asks about a running training, and waits for files that are being written.

use std::time::Duration;

use egui::{Id, Modal, ViewportCommand};

use super::App;
use crate::train::{Ending, Event, Trainer, TrainerCommand};

/// Longest wait for files after the window has closed. Files are renamed when they are complete, so that an unfinished one never has
/// its final name.
const PATIENCE: Duration = Duration::from_secs(60);

/// The state of closing the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Closing {
    No,
    /// A training is running; a dialog asks what to do.
    Asking,
    /// The training is saving its checkpoint.
    Saving,
    /// No training is running; the window closes as soon as all files are written.
    Leaving,
    /// The window closes without waiting for files.
    Now,
}

impl App {
    /// Continues closing when the training has ended.
    pub(super) fn close_after(&mut self, ending: &Ending) {
        if self.closing == Closing::Saving {
            // The user must see why the checkpoint was not saved.
            self.closing = if matches!(ending, Ending::Failed(_)) { Closing::No } else { Closing::Leaving };
        }
    }

    /// Handles the window's close button, and draws the dialogs of closing.
    pub(super) fn close(&mut self, ctx: &egui::Context) {
        if ctx.input(|input| input.viewport().close_requested()) && self.closing != Closing::Now {
            if self.running() {
                ctx.send_viewport_cmd(ViewportCommand::CancelClose);
                if self.closing == Closing::No {
                    self.closing = Closing::Asking;
                }
            } else {
                self.explorer.autosave();
                if self.pending.count() > 0 {
                    ctx.send_viewport_cmd(ViewportCommand::CancelClose);
                    self.closing = Closing::Leaving;
                }
            }
        }
        match self.closing {
            Closing::No | Closing::Now => {}
            Closing::Asking => self.ask(ctx),
            Closing::Saving => {
                Modal::new(Id::unique("saving")).show(ctx, |ui| {
                    ui.heading("Saving the run");
                    ui.label("The window closes as soon as the step at hand is saved.");
                    ui.spinner();
                });
            }
            Closing::Leaving => self.leave(ctx),
        }
    }

    fn ask(&mut self, ctx: &egui::Context) {
        Modal::new(Id::unique("closing")).show(ctx, |ui| {
            ui.heading("Training is going on");
            ui.label("Saved runs can be resumed from where they are.");
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                if ui.button("Save and quit").clicked() {
                    self.send_command(TrainerCommand::Stop);
                    self.closing = Closing::Saving;
                }
                if ui.button("Keep training").clicked() {
                    self.closing = Closing::No;
                }
                let quit = ui.button("Quit without saving");
                if quit.on_hover_text("What was saved before stays; steps since then are lost").clicked() {
                    self.abandon(ctx);
                }
            });
        });
    }

    /// Ends the training without saving, and without waiting for the current step: checkpoints are complete or absent at any moment, so
    /// the step may end with the program.
    fn abandon(&mut self, ctx: &egui::Context) {
        if let Some(trainer) = self.trainer.take() {
            Trainer::abandon(trainer);
            self.on_event(Event::Ended(Ending::Abandoned), ctx);
        }
        self.closing = Closing::Leaving;
    }

    /// Closes the window once all files are written.
    fn leave(&mut self, ctx: &egui::Context) {
        self.explorer.autosave();
        let count = self.pending.count();
        if count == 0 {
            ctx.send_viewport_cmd(ViewportCommand::Close);
            return;
        }
        Modal::new(Id::unique("leaving")).show(ctx, |ui| {
            ui.heading("Writing files");
            let what = if count == 1 { "One file is".to_owned() } else { format!("{count} files are") };
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(format!("{what} still being written. The window closes as soon as that is done."));
            });
            ui.add_space(8.0);
            ui.horizontal(|ui| {
                if ui.button("Keep the window").clicked() {
                    self.closing = Closing::No;
                }
                let quit = ui.button("Quit at once");
                if quit.on_hover_text("What is being written is given up: no half of it takes a file's name").clicked()
                {
                    self.closing = Closing::Now;
                    ctx.send_viewport_cmd(ViewportCommand::Close);
                }
            });
        });
    }

    /// Waits for files after the window has closed, unless the user chose not to.
    pub(super) fn finish(&mut self) {
        if self.closing == Closing::Now {
            return;
        }
        self.explorer.autosave();
        if !self.pending.wait(PATIENCE) {
            tracing::warn!("the window closed before all files were written");
        }
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::Start;
    use crate::app::pending::Pending;
    use crate::device::Compute;

    type Window = Harness<'static, Option<App>>;

    fn window() -> Window {
        let draw = |ui: &mut egui::Ui, app: &mut Option<App>| {
            let ctx = ui.ctx().clone();
            app.get_or_insert_with(|| App::new(Compute::cpu(), Start::default(), &ctx)).ui(ui);
        };
        Harness::builder().with_size([1280.0, 800.0]).build_ui_state(draw, None)
    }

    /// Clicks the window's close button. Returns the commands that the window sends to the desktop.
    fn close(harness: &mut Window) -> Vec<ViewportCommand> {
        let viewport = harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        viewport.events.push(egui::ViewportEvent::Close);
        let asked = step(harness);
        harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default().events.clear();
        asked
    }

    fn step(harness: &mut Window) -> Vec<ViewportCommand> {
        harness.step();
        harness.output().viewport_output[&egui::ViewportId::ROOT].commands.clone()
    }

    #[test]
    fn a_closed_window_waits_until_all_files_are_written() {
        let mut harness = window();
        harness.step();
        assert_eq!(close(&mut harness), [], "where nothing is written it goes at once");
        let writing = Pending::of(&harness.ctx).begin();
        assert_eq!(close(&mut harness), [ViewportCommand::CancelClose]);
        assert_eq!(step(&mut harness), []);
        assert!(harness.query_by_label_contains("One file is still being written").is_some());
        drop(writing);
        assert_eq!(step(&mut harness), [ViewportCommand::Close]);
        assert_eq!(close(&mut harness), [ViewportCommand::Close], "and it is not held any more");
    }

    #[test]
    fn the_user_can_keep_the_window_or_quit_at_once() {
        let mut harness = window();
        harness.step();
        let _writing = Pending::of(&harness.ctx).begin();
        close(&mut harness);
        step(&mut harness);
        harness.get_by_label("Keep the window").click();
        step(&mut harness);
        step(&mut harness);
        assert!(harness.query_by_label_contains("still being written").is_none());
        close(&mut harness);
        step(&mut harness);
        harness.get_by_label("Quit at once").click();
        let asked = [step(&mut harness), step(&mut harness)].concat();
        assert_eq!(asked, [ViewportCommand::Close]);
        assert_eq!(close(&mut harness), [], "it goes");
        // The program does not wait for the file either.
        harness.state_mut().as_mut().unwrap().finish();
    }
}
