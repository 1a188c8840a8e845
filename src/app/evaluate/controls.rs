//! Widgets that every evaluation has: the button that starts it, its progress, and its error.

use egui::Ui;

use crate::app::service::{Activity, Job};

/// Draws the button that starts a job, or the progress of a running one and the button that cancels it. Returns whether the job is to
/// start; an `obstacle` disables the button and is shown below it.
pub(super) fn job_controls<T>(
    ui: &mut Ui,
    job: &mut Option<Job<T>>,
    name: &str,
    tip: &str,
    obstacle: Option<&str>,
) -> bool {
    let Some(activity) = job.as_ref().map(Job::activity) else {
        let button = egui::Button::new(egui::RichText::new(name).strong().size(16.0));
        let clicked = ui
            .add_enabled_ui(obstacle.is_none(), |ui| {
                ui.add_sized([ui.available_width(), 34.0], button).on_hover_text(tip).clicked()
            })
            .inner;
        if let Some(obstacle) = obstacle {
            ui.weak(obstacle);
        }
        return clicked;
    };
    match activity {
        Activity::Working { what, done, total } if total > 0 => {
            let share = done as f32 / total as f32;
            ui.add(egui::ProgressBar::new(share).text(format!("{what}: {done} of {total}")));
        }
        activity => {
            ui.horizontal(|ui| {
                ui.spinner();
                ui.label(activity.what());
            });
        }
    }
    if ui.button("Stop").on_hover_text("What was measured so far stays").clicked() {
        *job = None;
    }
    false
}

/// Draws the hint that takes the place of results until there are some.
pub(super) fn placeholder<T>(ui: &mut Ui, job: Option<&Job<T>>, hint: &str) {
    match job {
        None => ui.label(hint),
        Some(job) => ui.label(format!("Results come here as soon as there are some. Now: {}.", job.activity().what())),
    };
}

/// Draws an error, until it is closed.
pub(super) fn error_label(ui: &mut Ui, error: &mut Option<String>) {
    let Some(text) = error.clone() else { return };
    ui.colored_label(ui.visuals().error_fg_color, text);
    if ui.small_button("Close").on_hover_text("Hides the message").clicked() {
        *error = None;
    }
}
