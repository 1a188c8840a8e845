//! Hyperparameters that are rarely changed: update schedule, Adam, weight decay, biases, batch norm.

use std::ops::RangeInclusive;

use egui::{DragValue, Ui};

use crate::train::{MAX_UPDATES, RunConfig, Schedule};

/// Adam's betas are less than 1; the end is the largest `f32` below.
const MOMENTUM: RangeInclusive<f64> = 0.0..=1.0 - f32::EPSILON as f64 / 2.0;
/// Epsilons are greater than 0.
const EPSILON: RangeInclusive<f64> = f32::MIN_POSITIVE as f64..=1.0;

/// Draws the hyperparameters, folded at first.
pub(super) fn ui(ui: &mut Ui, config: &mut RunConfig) {
    let folded = egui::CollapsingHeader::new("Advanced").id_salt("advanced").show(ui, |ui| {
        egui::Grid::new("advanced numbers").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| {
            let (model, train) = (&mut config.model, &mut config.train);
            schedule(ui, &mut train.schedule);
            let tip = "Adam's first momentum. The paper: 0.5; with 0.9 training oscillated";
            number(ui, "Beta 1", tip, &mut train.beta1, MOMENTUM);
            number(ui, "Beta 2", "Adam's second momentum. Usual: 0.999", &mut train.beta2, MOMENTUM);
            number(ui, "Adam's epsilon", "Added to Adam's denominator. Usual: 1e-8", &mut train.epsilon, EPSILON);
            number(ui, "L2", "Penalty on the weights. The authors' face code: 1e-5", &mut train.decay, 0.0..=1.0);
            let label = ui.label("Biases");
            ui.checkbox(&mut model.bias, "").labelled_by(label.id).on_hover_text(
                "Whether the convolutions have biases; before batch norm they change nothing. The tensorflow preset has them",
            );
            ui.end_row();
            let tip = "Added to the variance in batch norm. PyTorch: 1e-5; the authors: 1e-8";
            number(ui, "Norm epsilon", tip, &mut model.norm_epsilon, EPSILON);
            let tip = "Share of the newest batch in batch norm's running statistics: PyTorch's momentum (0.1), one minus TensorFlow's";
            number(ui, "Norm momentum", tip, &mut model.norm_momentum, EPSILON);
        });
    });
    folded.header_response.on_hover_text("Numbers that the preset brings and that are rarely changed");
    ui.add_space(8.0);
}

fn schedule(ui: &mut Ui, schedule: &mut Schedule) {
    let label = ui.label("Schedule");
    ui.horizontal(|ui| {
        let mut alternate = !matches!(schedule, Schedule::Generator(_));
        let mut generator_first = *schedule == Schedule::AlternateGeneratorFirst;
        let mut updates = match *schedule {
            Schedule::Generator(updates) => updates,
            Schedule::Alternate | Schedule::AlternateGeneratorFirst => 1,
        };
        let drag = DragValue::new(&mut updates).range(1..=MAX_UPDATES).speed(0.05).suffix(" of G");
        ui.add_enabled(!alternate, drag).labelled_by(label.id).on_hover_text(
            "Updates of the generator for each of the discriminator's. The paper: 1; the tensorflow preset: 2",
        );
        ui.checkbox(&mut alternate, "alternate")
            .on_hover_text("One network a step, in turns, as the authors' face code does");
        if alternate {
            ui.checkbox(&mut generator_first, "G first")
                .on_hover_text("The authors' face code begins with the generator");
        }
        *schedule = match (alternate, generator_first) {
            (false, _) => Schedule::Generator(updates),
            (true, false) => Schedule::Alternate,
            (true, true) => Schedule::AlternateGeneratorFirst,
        };
    });
    ui.end_row();
}

/// Draws a number that may be tiny: it is shown and typed as 1e-8, and dragging changes it relative to its value.
fn number<T: egui::emath::Numeric>(ui: &mut Ui, name: &str, tip: &str, value: &mut T, range: RangeInclusive<f64>) {
    let label = ui.label(name);
    // The shortest text of the `f32`: 1e-8 instead of 9.99999993922529e-9.
    let show = |value: f64, _| match value as f32 {
        usual if usual == 0.0 || usual >= 1e-3 => usual.to_string(),
        tiny => format!("{tiny:e}"),
    };
    let speed = value.to_f64() * 0.005;
    let drag = DragValue::from_get_set(|new: Option<f64>| {
        if let Some(new) = new {
            *value = T::from_f64(new);
        }
        value.to_f64()
    });
    let drag = drag.range(range).speed(speed).custom_formatter(show).custom_parser(|text| text.trim().parse().ok());
    ui.add(drag).labelled_by(label.id).on_hover_text(tip);
    ui.end_row();
}
