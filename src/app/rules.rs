//! The paper's rules for stable networks as settings of a new run: what becomes of training without one.

use egui::{DragValue, Ui};

use crate::model::{Activation, ModelConfig, Norms, Resampling};

/// Slope below zero of the generator's LeakyReLU: the discriminator's.
const LEAK: f64 = 0.2;

/// Draws the rules, closed until somebody asks for them.
pub(super) fn ui(ui: &mut Ui, model: &mut ModelConfig) {
    egui::CollapsingHeader::new("The paper's rules")
        .id_salt("rules")
        .show(ui, |ui| {
            egui::Grid::new("rules").num_columns(2).spacing([12.0, 6.0]).show(ui, |ui| rows(ui, model));
        })
        .header_response
        .on_hover_text("Each can be broken, to see why the paper has it");
}

fn rows(ui: &mut Ui, model: &mut ModelConfig) {
    let tip = "The paper: on, in all layers but the generator's output and the discriminator's input; everywhere made it oscillate";
    row(ui, "Batch norm", tip, |ui| {
        for norms in [Norms::Off, Norms::On, Norms::Everywhere] {
            ui.selectable_value(&mut model.norms, norms, norms.to_string()).on_hover_text(tip);
        }
    });
    let tip = "After the generator's hidden layers. The paper: ReLU; a bounded one learnt more slowly";
    row(ui, "Activation", tip, |ui| {
        let mut chosen = (model.activation, model.leak);
        for (name, value) in [
            ("ReLU", (Activation::Rectifier, 0.0)),
            ("LeakyReLU", (Activation::Rectifier, LEAK)),
            ("tanh", (Activation::Tanh, 0.0)),
        ] {
            ui.selectable_value(&mut chosen, value, name).on_hover_text(tip);
        }
        (model.activation, model.leak) = chosen;
    });
    let tip = "How sides are halved and doubled. The paper: strided convolutions; pooling is 2x2 max pooling, and repeating positions";
    row(ui, "Resampling", tip, |ui| {
        for resampling in [Resampling::Strided, Resampling::Pooling] {
            ui.selectable_value(&mut model.resampling, resampling, resampling.to_string()).on_hover_text(tip);
        }
    });
    let label = ui.label("Hidden layer");
    let none = |units: f64, _| {
        if units > 0.0 { format!("{units} units") } else { "none".to_owned() }
    };
    ui.add(DragValue::new(&mut model.hidden).range(0..=8192).speed(8).custom_formatter(none))
        .labelled_by(label.id)
        .on_hover_text("A fully connected layer in both networks, which the paper does without");
    ui.end_row();
    let label = ui.label("Initial deviation");
    ui.add(DragValue::new(&mut model.initial.weights).range(1e-4..=1.0).speed(1e-3).max_decimals(4))
        .labelled_by(label.id)
        .on_hover_text("Of the weights before training. The paper: 0.02");
    ui.end_row();
}

fn row(ui: &mut Ui, name: &str, tip: &str, choices: impl FnOnce(&mut Ui)) {
    ui.label(name).on_hover_text(tip);
    ui.horizontal(choices);
    ui.end_row();
}
