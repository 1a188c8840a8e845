//! The window's own file dialogs, for desktops that have none.

use std::path::Path;

use egui::accesskit::Role;
use egui::{Key, Modifiers};
use egui_kittest::Node;
use egui_kittest::kittest::{NodeT, Queryable};
use zscape::image::Picture;

use super::support::{Window, exploring, until};

/// Types over the folder that the dialog is in.
fn go_to(harness: &mut Window, path: &Path) {
    let here = std::env::current_dir().unwrap();
    let field = |harness: &Window, then: &dyn Fn(&Node<'_>)| {
        let fields = harness.query_all_by_role(Role::TextInput);
        let mut here = fields.filter(|field| field.accesskit_node().value().as_deref() == here.to_str());
        then(&here.next().expect("the dialog shows its folder"));
    };
    field(harness, &|field| field.focus());
    harness.run_steps(2);
    harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
    harness.run_steps(2);
    field(harness, &|field| field.type_text(path.to_str().unwrap()));
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(3);
}

#[test]
fn a_model_is_opened_by_its_path() {
    let mut harness = exploring("bundled:faces");
    harness.get_by_label("Open...").click();
    harness.run_steps(3);
    harness.get_by_label("A model file...").click();
    until(&mut harness, "the dialog", |h| h.query_by_label_contains("Open a model").is_some());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/models/unlike.pth");
    go_to(&mut harness, &file);
    until(&mut harness, "the model", |h| h.query_by_label("unlike.pth").is_some());
    assert!(harness.query_by_label_contains("Open a model").is_none());
}

#[test]
fn a_figure_is_saved_where_asked_and_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = exploring("bundled:faces");
    harness.key_press(Key::Num2);
    harness.run_steps(3);
    harness.get_by_label("sample 0").click();
    let ready =
        |h: &Window| h.query_by_label("Save figure...").is_some_and(|node| !node.accesskit_node().is_disabled());
    until(&mut harness, "the figure", ready);
    for (name, first) in [("arithmetic.png", true), ("arithmetic-2.png", false)] {
        harness.get_by_label("Save figure...").click();
        until(&mut harness, "the dialog", |h| h.query_by_label("Save").is_some());
        if first {
            go_to(&mut harness, folder.path());
        }
        harness.get_by_label("Save").click();
        until(&mut harness, name, |_| folder.path().join(name).exists());
        until(&mut harness, "what was written", |h| h.query_by_label_contains(&format!("/{name}")).is_some());
        Picture::read(&folder.path().join(name)).unwrap();
    }
}

#[test]
fn a_closed_dialog_leaves_nothing_waiting() {
    let mut harness = exploring("bundled:faces");
    harness.key_press(Key::Num3);
    harness.run_steps(3);
    harness.get_by_label("The paper's nine").click();
    until(&mut harness, "the walk", |h| h.query_by_label("PNG strip").is_some());
    harness.get_by_label("PNG strip").click();
    until(&mut harness, "the dialog", |h| h.query_by_label("Cancel").is_some());
    assert!(harness.query_by_label_contains("a dialog may be open").is_some());
    harness.get_by_label("Cancel").click();
    until(&mut harness, "the end of waiting", |h| h.query_by_label_contains("a dialog may be open").is_none());
    assert!(harness.query_by_label("Cancel").is_none());
}
