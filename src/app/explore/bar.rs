//! The explorer's toolbar and its keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use egui::containers::menu::{MenuButton, MenuConfig};
use egui::{Key, Modifiers, PopupCloseBehavior, Ui};

use super::Explorer;
use super::tool::{KEYS, OPEN, REDO, REDO_TOO, SAVE, SAVE_AS, Tool, UNDO};
use crate::app::dissect::ablation_sets;
use crate::app::drops::offered;
use crate::app::preparation;
use crate::model::{
    Guess, Output, Prior, Reading, Statistics, average_of, averaging, bundled, choosing_class, file_of,
};

/// What takes no longer needs no word.
const SOON: Duration = Duration::from_millis(300);

impl Explorer {
    /// What the keys ask for, wherever the pointer is.
    pub(super) fn shortcuts(&mut self, ctx: &egui::Context) {
        if ctx.text_edit_focused() {
            return;
        }
        let pressed = |shortcut| ctx.input_mut(|input| input.consume_shortcut(shortcut));
        // The longer ones first: without Shift they would be taken for the others.
        if pressed(&REDO) || pressed(&REDO_TOO) {
            self.undo.redo(&mut self.session);
        }
        if pressed(&UNDO) {
            self.undo.undo(&mut self.session);
        }
        if pressed(&SAVE_AS) {
            self.save_session(true);
        }
        if pressed(&SAVE) {
            self.save_session(false);
        }
        if pressed(&OPEN) {
            self.files.ask_session();
        }
        for (tool, _, _, key) in Tool::ALL {
            if ctx.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
                self.tool = tool;
            }
        }
    }

    pub(super) fn bar(&mut self, ui: &mut Ui, training: bool) -> bool {
        let mut train = false;
        ui.add_space(4.0);
        ui.horizontal_wrapped(|ui| {
            for (tool, name, about, key) in Tool::ALL {
                ui.selectable_value(&mut self.tool, tool, name)
                    .on_hover_text(format!("{about} ({})", key.symbol_or_name()));
            }
            ui.separator();
            ui.label("Model");
            for name in bundled() {
                let short = name.trim_start_matches("bundled:").to_owned();
                let chosen = self.session.model.as_os_str() == name.as_str();
                if ui.selectable_label(chosen, short).on_hover_text("Comes with zscape, trained by it").clicked() {
                    self.open(PathBuf::from(name));
                }
            }
            ui.menu_button("Open...", |ui| {
                if ui.button("A model file...").on_hover_text("A file of zscape's, or a DCGAN of another program: .safetensors, PyTorch's .pth, .pt, .tar, .ckpt, or .npy arrays").clicked() {
                    self.files.ask_model();
                    ui.close();
                }
                if ui.button("A folder...").on_hover_text("A run's newest checkpoint, or a folder of .npy arrays").clicked() {
                    self.files.ask_run();
                    ui.close();
                }
                if offered(ui.ctx()) {
                    ui.weak("A file can also be dropped on the window");
                }
            });
            ui.separator();
            ui.add_enabled_ui(self.undo.can_undo(), |ui| {
                if ui.button("Undo").on_hover_text(ui.ctx().format_shortcut(&UNDO)).clicked() {
                    self.undo.undo(&mut self.session);
                }
            });
            ui.add_enabled_ui(self.undo.can_redo(), |ui| {
                if ui.button("Redo").on_hover_text(ui.ctx().format_shortcut(&REDO)).clicked() {
                    self.undo.redo(&mut self.session);
                }
            });
            ui.menu_button("Session", |ui| self.session_menu(ui));
            ui.menu_button("Keys", |ui| {
                egui::Grid::new("keys").num_columns(2).show(ui, |ui| {
                    for (key, about) in KEYS {
                        ui.strong(key);
                        ui.label(about);
                        ui.end_row();
                    }
                });
            });
        });
        ui.horizontal_wrapped(|ui| {
            self.about(ui);
            train = ui
                .button("Train one on synth:rooms")
                .on_hover_text("Starts training at once, on bedrooms that the program draws itself")
                .clicked();
            if let Some(name) = self.file.as_ref().and_then(|file| file.file_name()) {
                ui.separator();
                ui.weak(format!("session {}", name.to_string_lossy()));
            }
            if training {
                ui.checkbox(&mut self.following, "Follow the training")
                    .on_hover_text("Explore the generator in training: everything is drawn again as it learns");
            }
            self.checkpoints(ui);
            ablation_sets(ui, &mut self.session);
            self.opening_model(ui);
        });
        self.messages(ui);
        ui.add_space(4.0);
        train
    }

    /// What the model is, and how it is read.
    fn about(&mut self, ui: &mut Ui) {
        let Some((config, provenance)) = &self.model else { return };
        let story = match &provenance.origin {
            Some(origin) => format!("from {}", origin.format),
            None => format!("of {}, after {} training steps", provenance.data, provenance.steps),
        };
        // Beside the slider over a run's checkpoints the mean has a field of its own.
        let mean = match provenance.averaged {
            count if count > 0 && self.siblings.len() < 2 => format!(", the mean of {count} checkpoints"),
            _ => String::new(),
        };
        let file = self.explored.as_deref().map(file_of).unwrap_or_default();
        if let Some(name) = short(&file) {
            ui.label(name).on_hover_text(file.display().to_string());
        }
        ui.weak(format!("{0}x{0} pictures {story}{mean}; {1} statistics", config.size, config.sampling))
            .on_hover_text(format!("Sampled with {}", config.sampling.describe()));
        for remark in provenance.origin.iter().flat_map(|origin| &origin.remarks) {
            // A wrong one of these draws other pictures altogether.
            let what = match remark.guess {
                Some(Guess::Stride) => "strides are a guess",
                Some(Guess::Labels) => "the place of its class is a guess",
                _ => continue,
            };
            ui.colored_label(ui.visuals().warn_fg_color, what).on_hover_text(&remark.text);
        }
        let before = Reading::of(config, provenance);
        let mut reading = before;
        let stays = MenuConfig::new().close_behavior(PopupCloseBehavior::CloseOnClickOutside);
        let (button, _) = MenuButton::new("Read as...").config(stays).ui(ui, |ui| {
            if let Some(origin) = &provenance.origin {
                origin.remarks.iter().for_each(|remark| drop(ui.weak(&remark.text)));
                ui.separator();
            }
            egui::Grid::new("reading").num_columns(2).show(ui, |ui| read_as(ui, &mut reading));
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
            // Arrows, so that a class is one click away.
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
        if let Some(class) = chosen.filter(|_| self.explored.as_ref() == Some(&self.session.model)) {
            self.open(choosing_class(&self.session.model, class));
        } else if reading != before && self.explored.as_ref() == Some(&self.session.model) {
            self.open(reading.name(&self.session.model));
        }
    }

    /// That a model is being opened, where one waits for it.
    fn opening_model(&self, ui: &mut Ui) {
        let Some(began) = self.began_to_open else { return };
        let left = SOON.saturating_sub(began.elapsed());
        if left.is_zero() {
            ui.spinner();
            ui.weak("opening the model");
        } else {
            ui.ctx().request_repaint_after(left);
        }
    }

    /// What went wrong, what should be known, and what was written.
    fn messages(&mut self, ui: &mut Ui) {
        let close =
            |ui: &mut Ui| ui.small_button("Close").clicked() || ui.input(|input| input.key_pressed(Key::Escape));
        if let Some(error) = self.error.clone() {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(ui.visuals().error_fg_color, error);
                if close(ui) {
                    self.error = None;
                }
            });
        }
        if let Some(notice) = self.notice.clone() {
            ui.horizontal_wrapped(|ui| {
                ui.colored_label(ui.visuals().warn_fg_color, notice);
                if close(ui) {
                    self.notice = None;
                }
            });
        }
        if let Some(path) = self.files.written.clone() {
            ui.horizontal_wrapped(|ui| {
                ui.label(format!("written: {}", path.display()));
                if close(ui) {
                    self.files.written = None;
                }
            });
        }
    }

    /// A slider over the run's checkpoints: the same z's, earlier and later.
    fn checkpoints(&mut self, ui: &mut Ui) {
        let Some((_, provenance)) = self.model.as_ref().filter(|_| self.siblings.len() > 1) else { return };
        let now = self.siblings.iter().position(|(step, _)| *step >= provenance.steps);
        let mut at = now.unwrap_or(self.siblings.len() - 1);
        let label = ui.label("Checkpoint");
        let steps: Vec<u64> = self.siblings.iter().map(|(step, _)| *step).collect();
        let slider = egui::Slider::new(&mut at, 0..=self.siblings.len() - 1);
        let slider = slider.custom_formatter(move |i, _| format!("step {}", steps[(i as usize).min(steps.len() - 1)]));
        let moved = ui.add(slider).labelled_by(label.id);
        let label = ui.label("mean of");
        let mut average = average_of(&self.session.model);
        let fewer = match provenance.averaged {
            count if (1..average).contains(&count) => format!("; there are {count}"),
            _ => String::new(),
        };
        let mean = egui::DragValue::new(&mut average).range(1..=self.siblings.len()).update_while_editing(false);
        let mean = ui.add(mean).labelled_by(label.id).on_hover_text(format!(
            "Draw with the mean of the weights of so many checkpoints up to this one{fewer}: less grain, and smoother ways \
             through Z"
        ));
        if moved.on_hover_text("Drag through the run: the same z's, earlier and later").changed() {
            self.open(averaging(&self.siblings[at].1, average));
        } else if mean.changed() {
            self.open(averaging(&self.session.model, average));
        }
    }
}

/// What a model's file or folder is called: a checkpoint after its run. The bundled ones have buttons that say it.
fn short(file: &Path) -> Option<String> {
    let in_run = file.parent().filter(|folder| folder.ends_with("checkpoints")).and_then(Path::parent);
    let named = in_run.unwrap_or(file).file_name()?.to_string_lossy();
    (!named.starts_with("bundled:")).then(|| named.into_owned())
}

/// Slopes of nearly all generators that have LeakyReLU: the paper's for its discriminator, and PyTorch's own.
const LEAKS: [f64; 2] = [0.2, 0.01];

fn read_as(ui: &mut Ui, reading: &mut Reading) {
    ui.label("z is drawn")
        .on_hover_text("Uniform in -1..1 (the paper and the authors' code) or normal (PyTorch's tutorial)");
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.prior, Prior::Normal, "normal");
        ui.selectable_value(&mut reading.prior, Prior::Uniform, "uniform");
    });
    ui.end_row();
    ui.label("Batch norm").on_hover_text("Running: the averages over the training. Batch: the statistics of a fixed reference batch of 128 samples, which stand for the batches that the authors draw");
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.sampling, Statistics::Running, "running");
        ui.selectable_value(&mut reading.sampling, Statistics::Batch, "batch");
    });
    ui.end_row();
    ui.label("Rectifiers").on_hover_text(
        "No file says whether the generator has ReLU (the paper) or LeakyReLU, and with which slope. Where its running statistics do not tell: pictures that are burnt or washed out speak for another one",
    );
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.leak, 0.0, "ReLU");
        for leak in LEAKS {
            ui.selectable_value(&mut reading.leak, leak, format!("leaky {leak}"))
                .on_hover_text("LeakyReLU of this slope; another one by the model's name: netG.pth@leak=0.3");
        }
    });
    ui.end_row();
    ui.label("Output")
        .on_hover_text("What the last layer ends in. Grey where black should be speaks for the other one");
    ui.horizontal(|ui| {
        ui.selectable_value(&mut reading.output, Output::Tanh, "tanh");
        ui.selectable_value(&mut reading.output, Output::Sigmoid, "sigmoid");
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
