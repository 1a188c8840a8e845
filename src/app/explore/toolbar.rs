//! The toolbar above the panels, and the shortcuts that work wherever the pointer is.

use std::path::PathBuf;

use egui::{Modifiers, Ui};
use strum::VariantArray;

use super::context::PanelContext;
use super::model_bar;
use super::sessions::session_menu;
use crate::app::action::Action;
use crate::app::dissect::ablation_sets;
use crate::app::drops::offered;
use crate::app::tool::{OPEN, REDO, REDO_ALTERNATIVE, SAVE, SAVE_AS, SHORTCUTS, Tool, UNDO};
use crate::model::bundled;

/// Handles the shortcuts; returns the tool that one of them shows.
pub(super) fn shortcuts(ctx: &egui::Context, cx: &mut PanelContext) -> Option<Action> {
    if ctx.text_edit_focused() {
        return None;
    }
    let pressed = |shortcut| ctx.input_mut(|input| input.consume_shortcut(shortcut));
    // Those with Shift come first: the others match them, too.
    if pressed(&REDO) || pressed(&REDO_ALTERNATIVE) {
        cx.undo.redo(&mut cx.session);
    }
    if pressed(&UNDO) {
        cx.undo.undo(&mut cx.session);
    }
    if pressed(&SAVE_AS) {
        cx.save_session(true);
    }
    if pressed(&SAVE) {
        cx.save_session(false);
    }
    if pressed(&OPEN) {
        cx.files.ask_session();
    }
    let mut action = None;
    for &tool in Tool::VARIANTS {
        if ctx.input_mut(|input| input.consume_key(Modifiers::NONE, tool.key())) {
            action = Some(Action::ShowTool(tool));
        }
    }
    action
}

/// Draws the toolbar while `shown` is the tool below it.
pub(super) fn ui(ui: &mut Ui, cx: &mut PanelContext, shown: Tool) -> Option<Action> {
    ui.add_space(4.0);
    let first = ui.horizontal_wrapped(|ui| first_row(ui, cx, shown)).inner;
    let second = ui.horizontal_wrapped(|ui| second_row(ui, cx)).inner;
    cx.messages.ui(ui);
    ui.add_space(4.0);
    first.or(second)
}

/// Tools, models, undo, the session, and the list of shortcuts.
fn first_row(ui: &mut Ui, cx: &mut PanelContext, shown: Tool) -> Option<Action> {
    let mut action = None;
    for &tool in Tool::VARIANTS {
        let button = ui.selectable_label(shown == tool, tool.label());
        if button.on_hover_text(format!("{} ({})", tool.tip(), tool.key().symbol_or_name())).clicked() {
            action = Some(Action::ShowTool(tool));
        }
    }
    ui.separator();
    ui.label("Model");
    for name in bundled() {
        let short = name.trim_start_matches("bundled:").to_owned();
        let chosen = cx.session.model.as_os_str() == name.as_str();
        if ui.selectable_label(chosen, short).on_hover_text("Comes with zscape, trained by it").clicked() {
            action = Some(Action::OpenModel(PathBuf::from(name)));
        }
    }
    ui.menu_button("Open...", |ui| {
        let tip = "A file of zscape's, or a DCGAN of another program: .safetensors, PyTorch's .pth, .pt, .tar, .ckpt, or .npy arrays";
        if ui.button("A model file...").on_hover_text(tip).clicked() {
            cx.files.ask_model();
            ui.close();
        }
        if ui.button("A folder...").on_hover_text("A run's newest checkpoint, or a folder of .npy arrays").clicked() {
            cx.files.ask_run();
            ui.close();
        }
        if offered(ui.ctx()) {
            ui.weak("A file can also be dropped on the window");
        }
    });
    ui.separator();
    ui.add_enabled_ui(cx.undo.can_undo(), |ui| {
        if ui.button("Undo").on_hover_text(ui.ctx().format_shortcut(&UNDO)).clicked() {
            cx.undo.undo(&mut cx.session);
        }
    });
    ui.add_enabled_ui(cx.undo.can_redo(), |ui| {
        if ui.button("Redo").on_hover_text(ui.ctx().format_shortcut(&REDO)).clicked() {
            cx.undo.redo(&mut cx.session);
        }
    });
    let session = ui.menu_button("Session", |ui| session_menu(ui, cx)).inner.flatten();
    ui.menu_button("Keys", |ui| {
        egui::Grid::new("keys").num_columns(2).show(ui, |ui| {
            for (key, about) in SHORTCUTS {
                ui.strong(key);
                ui.label(about);
                ui.end_row();
            }
        });
    });
    action.or(session)
}

/// The open model, trainings, and ablations.
fn second_row(ui: &mut Ui, cx: &mut PanelContext) -> Option<Action> {
    let mut action = model_bar::about(ui, cx);
    let train = ui.button("Train one on synth:rooms");
    if train.on_hover_text("Starts training at once, on bedrooms that the program draws itself").clicked() {
        action = Some(Action::TrainOnRooms);
    }
    if let Some(name) = cx.session_file.as_ref().and_then(|file| file.file_name()) {
        ui.separator();
        ui.weak(format!("session {}", name.to_string_lossy()));
    }
    if cx.training {
        let mut following = cx.following;
        let follow = ui.checkbox(&mut following, "Follow the training");
        let tip = "Explore the generator in training: everything is drawn again as it learns";
        if follow.on_hover_text(tip).changed() {
            action = Some(Action::FollowTraining(following));
        }
    }
    let checkpoint = model_bar::checkpoints(ui, cx);
    ablation_sets(ui, &mut cx.session);
    model_bar::opening(ui, cx);
    checkpoint.or(action)
}

#[cfg(test)]
mod tests {
    use egui::Key;
    use egui_kittest::Harness;
    use egui_kittest::kittest::Queryable;

    use super::*;
    use crate::app::explore::testing::context;

    #[test]
    fn buttons_and_keys_ask_for_tools_models_and_trainings() {
        let draw = |ui: &mut Ui, (cx, actions): &mut (PanelContext, Vec<Action>)| {
            let ctx = ui.ctx().clone();
            actions.extend(shortcuts(&ctx, cx));
            actions.extend(super::ui(ui, cx, Tool::Gallery));
        };
        let mut cx = context();
        cx.training = true;
        let mut harness = Harness::builder().with_size([1280.0, 400.0]).build_ui_state(draw, (cx, Vec::new()));
        harness.run_steps(2);
        for label in ["Walk", "Train one on synth:rooms", "Follow the training"] {
            harness.get_by_label(label).click();
            harness.run_steps(2);
        }
        harness.key_press(Key::Num6);
        harness.run_steps(2);
        let expected = [
            Action::ShowTool(Tool::Walk),
            Action::TrainOnRooms,
            Action::FollowTraining(true),
            Action::ShowTool(Tool::Photo),
        ];
        assert_eq!(harness.state().1, expected);
    }
}
