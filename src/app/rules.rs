//! Settings for the paper's rules for stable networks, each of which can be switched off, and for details in which published
//! implementations differ.

use egui::{DragValue, Ui};

use crate::model::{Activation, ModelConfig, NormPlacement, Padding, Resampling};
use crate::train::TrainConfig;

/// Negative slope of the generator's LeakyReLU, as in the discriminator.
const LEAK: f64 = 0.2;

/// Draws the settings, folded at first.
pub(super) fn ui(ui: &mut Ui, model: &mut ModelConfig, train: &mut TrainConfig) {
    let mut group = |name: &str, tip: &str, rows: &mut dyn FnMut(&mut Ui)| {
        let header = egui::CollapsingHeader::new(name).show(ui, |ui| {
            egui::Grid::new(name).num_columns(2).spacing([12.0, 6.0]).show(ui, rows);
        });
        header.header_response.on_hover_text(tip);
    };
    group("The paper's rules", "Each can be broken, to see why the paper has it", &mut |ui| rules(ui, model));
    group("Details", "In which the sources of the presets differ", &mut |ui| details(ui, model, train));
}

fn rules(ui: &mut Ui, model: &mut ModelConfig) {
    let tip = "The paper: on, in all layers but the generator's output and the discriminator's input; everywhere made it oscillate";
    row(ui, "Batch norm", tip, |ui| {
        for norms in [NormPlacement::Off, NormPlacement::On, NormPlacement::Everywhere] {
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

fn details(ui: &mut Ui, model: &mut ModelConfig, train: &mut TrainConfig) {
    let tip = "Convolutions in each stage. The paper: 1, and in its 32x32 network 2, of which one has stride 1";
    row(ui, "Per stage", tip, |ui| {
        for count in [1, 2] {
            ui.selectable_value(&mut model.per_stage, count, count.to_string()).on_hover_text(tip);
        }
    });
    let tip = "Where a zero more is added if a convolution's zeros cannot be equal: before (symmetric, PyTorch) or behind (same, TensorFlow)";
    row(ui, "Padding", tip, |ui| {
        for padding in [Padding::Symmetric, Padding::Same] {
            ui.selectable_value(&mut model.padding, padding, padding.to_string()).on_hover_text(tip);
        }
    });
    for (name, tip, value) in [
        ("Batch norm of units", "Of the projection of z, and not of its maps: the authors' code", &mut model.unit_norm),
        ("Biases of units", "Of the projection, where there are biases: carpedm20's code", &mut model.unit_bias),
        (
            "Truncated weights",
            "None of the discriminator's beyond two deviations: carpedm20's code",
            &mut model.initial.truncated,
        ),
        ("Same z", "For all updates of a step: carpedm20's code", &mut train.same_z),
    ] {
        let label = ui.label(name);
        ui.checkbox(value, "").labelled_by(label.id).on_hover_text(tip);
        ui.end_row();
    }
    let label = ui.label("Gains' deviation");
    ui.add(DragValue::new(&mut model.initial.gains).range(0.0..=1.0).speed(1e-3).max_decimals(4))
        .labelled_by(label.id)
        .on_hover_text("Of batch norm's gains before training. The authors: 0.02; carpedm20: 0");
    ui.end_row();
}

fn row(ui: &mut Ui, name: &str, tip: &str, choices: impl FnOnce(&mut Ui)) {
    ui.label(name).on_hover_text(tip);
    ui.horizontal(choices);
    ui.end_row();
}
