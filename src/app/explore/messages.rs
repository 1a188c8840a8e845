//! Errors and notices below the toolbar, each with a button that closes it.

use std::path::PathBuf;

use egui::{Key, Ui};

/// Messages of the window to the user; each stays until it is closed or replaced.
#[derive(Default)]
pub(super) struct Messages {
    pub error: Option<String>,
    pub notice: Option<String>,
    /// The file that was written last.
    pub written: Option<PathBuf>,
}

impl Messages {
    /// Removes the error and the notice, as a new model or session begins.
    pub fn clear(&mut self) {
        (self.error, self.notice) = (None, None);
    }

    pub fn ui(&mut self, ui: &mut Ui) {
        let close =
            |ui: &mut Ui| ui.small_button("Close").clicked() || ui.input(|input| input.key_pressed(Key::Escape));
        let colors = [ui.visuals().error_fg_color, ui.visuals().warn_fg_color];
        for (message, color) in [&mut self.error, &mut self.notice].into_iter().zip(colors) {
            let Some(text) = message else { continue };
            let closed = ui.horizontal_wrapped(|ui| {
                ui.colored_label(color, text.as_str());
                close(ui)
            });
            if closed.inner {
                *message = None;
            }
        }
        if let Some(path) = &self.written {
            let closed = ui.horizontal_wrapped(|ui| {
                ui.label(format!("written: {}", path.display()));
                close(ui)
            });
            if closed.inner {
                self.written = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;

    #[test]
    fn a_message_stays_until_it_is_closed() {
        let messages = Messages { error: Some("damaged".into()), notice: Some("guessed".into()), written: None };
        let mut harness =
            Harness::builder().build_ui_state(|ui: &mut Ui, messages: &mut Messages| messages.ui(ui), messages);
        harness.run_steps(2);
        harness.get_all_by_label("Close").next().expect("each message has a button").click();
        harness.run_steps(2);
        assert!(harness.query_by_label("damaged").is_none());
        assert!(harness.query_by_label("guessed").is_some());
    }
}
