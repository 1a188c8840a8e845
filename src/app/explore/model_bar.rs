//! The open model in the toolbar: what it is, its import settings, and the checkpoints of its run.

use std::path::Path;
use std::time::Duration;

use egui::containers::menu::{MenuButton, MenuConfig};
use egui::{PopupCloseBehavior, Ui};

use super::context::{OpenModel, PanelContext};
use crate::app::action::Action;
use crate::app::preparation;
use crate::model::{
    ImportSettings, InferredSetting, OutputActivation, Prior, SamplingStatistics, averaged_checkpoints, base_path,
    with_average, with_class,
};

/// Opening that takes no longer is not mentioned.
const MOMENT: Duration = Duration::from_millis(300);

/// What the open model is, and the settings it is imported with; returns the same file with other settings.
pub(super) fn about(ui: &mut Ui, cx: &PanelContext) -> Option<Action> {
    let OpenModel { path, config, provenance, checkpoints } = cx.model.as_ref()?;
    let story = match &provenance.origin {
        Some(origin) => format!("from {}", origin.format),
        None => format!("of {}, after {} training steps", provenance.data, provenance.steps),
    };
    // Beside the slider over checkpoints a field shows the number.
    let mean = match provenance.averaged {
        count if count > 0 && checkpoints.len() < 2 => format!(", the mean of {count} checkpoints"),
        _ => String::new(),
    };
    let file = base_path(path);
    if let Some(name) = short_name(&file) {
        ui.label(name).on_hover_text(file.display().to_string());
    }
    ui.weak(format!("{0}x{0} pictures {story}{mean}; {1} statistics", config.size, config.sampling))
        .on_hover_text(format!("Sampled with {}", config.sampling.describe()));
    for remark in provenance.origin.iter().flat_map(|origin| &origin.notes) {
        // If one of these is wrong, all images are.
        let what = match remark.inferred {
            Some(InferredSetting::Stride) => "strides are a guess",
            Some(InferredSetting::Labels) => "the place of its class is a guess",
            _ => continue,
        };
        ui.colored_label(ui.visuals().warn_fg_color, what).on_hover_text(&remark.text);
    }
    let before = ImportSettings::of(config, provenance);
    let mut reading = before;
    let stays = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
    let (button, _) = MenuButton::new("Read as...").config(stays).ui(ui, |ui| {
        if let Some(origin) = &provenance.origin {
            origin.notes.iter().for_each(|remark| drop(ui.weak(&remark.text)));
            ui.separator();
        }
        egui::Grid::new("reading").num_columns(2).show(ui, |ui| import_settings(ui, &mut reading));
    });
    button.on_hover_text(
        "What a file leaves open and a wrong guess spoils: prior, statistics, rectifiers, output, which way round kernels are; and how real pictures are prepared for it",
    );
    let mut chosen = None;
    if let Some(classes) = provenance.origin.as_ref().and_then(|origin| origin.classes.as_ref()) {
        let mut class = classes.class;
        let label = ui.label("Class");
        let last = classes.count.saturating_sub(1);
        let choice = egui::DragValue::new(&mut class).range(0..=last).speed(0.1).update_while_editing(false);
        let choice = ui.add(choice).labelled_by(label.id).on_hover_text(format!(
            "A conditional generator of {} classes, 0 to {last}: the same z's of another class",
            classes.count
        ));
        // Arrows reach the next class with one click.
        let mut arrow = |ui: &mut Ui, sign: &str, about: &str, to: Option<usize>| {
            let button = ui.add_enabled(to.is_some(), egui::Button::new(sign).small());
            button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, to.is_some(), about));
            if button.on_hover_text(about).clicked() {
                chosen = to;
            }
        };
        arrow(ui, "<", "previous class", class.checked_sub(1));
        arrow(ui, ">", "next class", Some(class + 1).filter(|next| *next <= last));
        if choice.changed() && class != classes.class {
            chosen = Some(class);
        }
        ui.weak(format!("of {}", classes.count));
    }
    // The session of another model, which is still being opened, is no base for these settings.
    if *path != cx.session.model {
        None
    } else if let Some(class) = chosen {
        Some(Action::OpenModel(with_class(path, class)))
    } else {
        (reading != before).then(|| Action::OpenModel(reading.name(path)))
    }
}

/// Says that a model is being opened, if that takes longer than a moment.
pub(super) fn opening(ui: &mut Ui, cx: &PanelContext) {
    let Some(began) = cx.opening_since else { return };
    let left = MOMENT.saturating_sub(began.elapsed());
    if left.is_zero() {
        ui.spinner();
        ui.weak("opening the model");
    } else {
        ui.ctx().request_repaint_after(left);
    }
}

/// A slider over the checkpoints of the model's run; returns the chosen one.
pub(super) fn checkpoints(ui: &mut Ui, cx: &PanelContext) -> Option<Action> {
    let OpenModel { provenance, checkpoints, .. } = cx.model.as_ref()?;
    if checkpoints.len() < 2 {
        return None;
    }
    let now = checkpoints.iter().position(|(step, _)| *step >= provenance.steps);
    let mut at = now.unwrap_or(checkpoints.len() - 1);
    let label = ui.label("Checkpoint");
    let steps: Vec<u64> = checkpoints.iter().map(|(step, _)| *step).collect();
    let slider = egui::Slider::new(&mut at, 0..=checkpoints.len() - 1);
    let slider = slider.custom_formatter(move |i, _| format!("step {}", steps[(i as usize).min(steps.len() - 1)]));
    let moved = ui.add(slider).labelled_by(label.id);
    let label = ui.label("mean of");
    let mut average = averaged_checkpoints(&cx.session.model);
    let fewer = match provenance.averaged {
        count if (1..average).contains(&count) => format!("; there are {count}"),
        _ => String::new(),
    };
    let mean = egui::DragValue::new(&mut average).range(1..=checkpoints.len()).update_while_editing(false);
    let mean = ui.add(mean).labelled_by(label.id).on_hover_text(format!(
        "Draw with the mean of the weights of so many checkpoints up to this one{fewer}: less grain, and smoother ways \
         through Z"
    ));
    if moved.on_hover_text("Drag through the run: the same z's, earlier and later").changed() {
        Some(Action::OpenModel(with_average(&checkpoints[at].1, average)))
    } else {
        mean.changed().then(|| Action::OpenModel(with_average(&cx.session.model, average)))
    }
}

/// The name of a model's file or folder; of a checkpoint the run's. None for bundled models, whose buttons say it.
fn short_name(file: &Path) -> Option<String> {
    let in_run = file.parent().filter(|folder| folder.ends_with("checkpoints")).and_then(Path::parent);
    let named = in_run.unwrap_or(file).file_name()?.to_string_lossy();
    (!named.starts_with("bundled:")).then(|| named.into_owned())
}

/// Common slopes of LeakyReLU: the paper's (for its discriminator) and PyTorch's default.
const SLOPES: [f64; 2] = [0.2, 0.01];

/// Settings that a model file does not store.
fn import_settings(ui: &mut Ui, reading: &mut ImportSettings) {
    ui.label("z is drawn")
        .on_hover_text("Uniform in -1..1 (the paper and the authors' code) or normal (PyTorch's tutorial)");
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.prior, Prior::Normal, "normal");
        ui.selectable_value(&mut reading.prior, Prior::Uniform, "uniform");
    });
    ui.end_row();
    ui.label("Batch norm").on_hover_text("Running: the averages over the training. Batch: the statistics of a fixed reference batch of 128 samples, which stand for the batches that the authors draw");
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.sampling, SamplingStatistics::Running, "running");
        ui.selectable_value(&mut reading.sampling, SamplingStatistics::Batch, "batch");
    });
    ui.end_row();
    ui.label("Rectifiers").on_hover_text(
        "No file says whether the generator has ReLU (the paper) or LeakyReLU, and with which slope. Where its running statistics do not tell: pictures that are burnt or washed out speak for another one",
    );
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.leak, 0.0, "ReLU");
        for leak in SLOPES {
            ui.selectable_value(&mut reading.leak, leak, format!("leaky {leak}"))
                .on_hover_text("LeakyReLU of this slope; another one by the model's name: netG.pth@leak=0.3");
        }
    });
    ui.end_row();
    ui.label("Output")
        .on_hover_text("What the last layer ends in. Grey where black should be speaks for the other one");
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.output, OutputActivation::Tanh, "tanh");
        ui.selectable_value(&mut reading.output, OutputActivation::Sigmoid, "sigmoid");
    });
    ui.end_row();
    ui.label("Kernels").on_hover_text("Theano convolves, others correlate: if all is noise, the kernels may be turned");
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.flipped, false, "as in the file");
        ui.selectable_value(&mut reading.flipped, true, "turned by 180°");
    });
    ui.end_row();
    preparation::choices(ui, &mut reading.preparation);
}
