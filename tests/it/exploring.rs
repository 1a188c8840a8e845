//! Exploring as a user does: dragging samples, naming points, opening and saving sessions, exporting figures.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2};
use egui_kittest::kittest::{NodeT, Queryable};
use zscape::app::Start;
use zscape::image::Picture;
use zscape::latent::session::{Pin, Point, Session};
use zscape::train::TrainerOptions;

use super::support::{DroppedFile, Window, is_enabled, tiny, train, until, window};

/// A window on the bundled faces that shows samples; it saves and exports into `folder`.
fn faces(folder: &Path) -> Window {
    let start = Start {
        model: Some("bundled:faces".into()),
        autosave: Some(folder.join("last.zscape")),
        exports: Some(folder.join("exports")),
        ..Start::default()
    };
    let mut harness = window(start);
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness
}

fn middle(harness: &Window, label: &str) -> Pos2 {
    harness.get_by_label(label).rect().center()
}

/// Drags from one point to another, as slowly as a hand does.
fn drag(harness: &mut Window, from: Pos2, to: Pos2) {
    let button = |pos, pressed| egui::Event::PointerButton {
        pos,
        button: egui::PointerButton::Primary,
        pressed,
        modifiers: Modifiers::NONE,
    };
    harness.hover_at(from);
    harness.run_steps(2);
    harness.event(button(from, true));
    harness.run_steps(2);
    for share in [0.3, 0.6, 1.0] {
        harness.hover_at(from.lerp(to, share));
        harness.run_steps(2);
    }
    harness.event(button(to, false));
    harness.run_steps(3);
    harness.remove_cursor();
    harness.run_steps(2);
}

fn drop_file(harness: &mut Window, path: PathBuf) {
    harness.input_mut().dropped_files.push(Arc::new(DroppedFile(path)));
    harness.step();
}

fn press(harness: &mut Window, modifiers: Modifiers, key: Key) {
    harness.key_press_modifiers(modifiers, key);
    harness.run_steps(3);
}

/// The session that the window saved, once `done` holds for it.
fn kept(harness: &mut Window, folder: &Path, what: &str, done: impl Fn(&Session) -> bool) -> Session {
    let path = folder.join("last.zscape");
    until(harness, what, |_| Session::read(&path).is_ok_and(|session| done(&session)));
    Session::read(&path).unwrap()
}

fn sample(number: u64) -> Point {
    Point::Sample { seed: 1, number }
}

#[test]
fn samples_are_dragged_into_trays_between_them_and_out_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    press(&mut harness, Modifiers::NONE, Key::Num2);
    let tray = |harness: &Window, i: usize| middle(harness, &format!("Tray {i}")) + egui::vec2(30.0, 60.0);
    let (from, to) = (middle(&harness, "sample 0"), tray(&harness, 1));
    drag(&mut harness, from, to);
    let session = kept(&mut harness, folder.path(), "the drop", |s| !s.trays[0].members.is_empty());
    assert_eq!(session.trays[0].members, [sample(0)]);
    until(&mut harness, "the result", |h| h.query_by_label("result").is_some());

    let (from, to) = (middle(&harness, "sample 0 of seed 1"), tray(&harness, 2));
    drag(&mut harness, from, to);
    let session = kept(&mut harness, folder.path(), "the move", |s| !s.trays[1].members.is_empty());
    assert!(session.trays[0].members.is_empty(), "it was moved, not copied");

    let (from, to) = (middle(&harness, "sample 0 of seed 1"), middle(&harness, "sample 9"));
    drag(&mut harness, from, to);
    kept(&mut harness, folder.path(), "the way out", |s| s.trays[1].members.is_empty());
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    assert!(harness.query_by_label("sample 0 of seed 1").is_some(), "undo brings it back");
    press(&mut harness, Modifiers::COMMAND, Key::Y);
    assert!(harness.query_by_label("sample 0 of seed 1").is_none());
}

#[test]
fn points_can_be_named_dragged_removed_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    press(&mut harness, Modifiers::NONE, Key::Num5);
    until(&mut harness, "the point", |h| h.query_by_label("under the point").is_some());
    harness.get_by_label("New point").click();
    harness.run_steps(3);
    let map = harness.get_by_label("map of Z").rect();
    let place = |x, y| map.min + egui::vec2(x, y) * map.size();
    // Both are in the middle; a click on the empty map moves the selected one.
    harness.hover_at(place(0.25, 0.75));
    harness.run_steps(2);
    drag(&mut harness, place(0.8, 0.2), place(0.25, 0.75));
    let session = kept(&mut harness, folder.path(), "two points apart", |s| s.pins.len() == 2 && s.pins[1].at[0] < 0.3);
    let near = |pin: &Pin, x: f32, y: f32| (pin.at[0] - x).abs() < 0.01 && (pin.at[1] - y).abs() < 0.01;
    assert!(near(&session.pins[0], 0.5, 0.5) && near(&session.pins[1], 0.25, 0.75), "{:?}", session.pins);
    // Grabbing the other one drags that one.
    drag(&mut harness, place(0.5, 0.5), place(0.9, 0.1));
    let session = kept(&mut harness, folder.path(), "the other", |s| s.pins[0].at[0] > 0.8);
    assert!(near(&session.pins[0], 0.9, 0.1) && near(&session.pins[1], 0.25, 0.75), "{:?}", session.pins);

    let field = |h: &Window| {
        let fields = h.query_all_by_role(Role::TextInput);
        let field = fields.into_iter().find(|field| field.value().as_deref() == Some("point 2"));
        field.map(|field| field.rect().center())
    };
    let at = field(&harness).unwrap();
    drag(&mut harness, at, at);
    press(&mut harness, Modifiers::NONE, Key::End);
    harness.event(egui::Event::Text("!".into()));
    harness.run_steps(2);
    harness.get_by_label("map of Z").click();
    let session = kept(&mut harness, folder.path(), "the name", |s| s.pins.iter().any(|pin| pin.name == "point 2!"));
    assert_eq!(session.pins.len(), 2);
    let count = |h: &Window| h.query_all_by_label("Remove").count();
    harness.get_all_by_label("Remove").next().unwrap().click();
    harness.run_steps(3);
    assert_eq!(count(&harness), 1);
    harness.get_by_label("Undo").click();
    harness.run_steps(3);
    assert_eq!(count(&harness), 2);

    until(&mut harness, "directions to choose from", |h| is_enabled(h, "Two directions"));
    harness.get_by_label("Two directions").click();
    kept(&mut harness, folder.path(), "the directions", |s| s.axes.is_some());
}

#[test]
fn keyframes_are_reordered_by_dragging() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    press(&mut harness, Modifiers::NONE, Key::Num3);
    for number in [0, 1, 2] {
        harness.get_by_label(&format!("sample {number}")).click();
        harness.run_steps(3);
    }
    until(&mut harness, "the keyframes", |h| h.query_by_label("sample 2 of seed 1").is_some());
    let to = harness.get_by_label("sample 0 of seed 1").rect().left_center() + egui::vec2(6.0, 0.0);
    let from = middle(&harness, "sample 2 of seed 1");
    drag(&mut harness, from, to);
    let order = |s: &Session| s.walk.keyframes.clone();
    let session = kept(&mut harness, folder.path(), "the new order", |s| order(s).first() == Some(&sample(2)));
    assert_eq!(order(&session), [2, 0, 1].map(sample));
    // A sample of the gallery goes in between.
    let to = harness.get_by_label("sample 0 of seed 1").rect().right_center() - egui::vec2(6.0, 0.0);
    let from = middle(&harness, "sample 7");
    drag(&mut harness, from, to);
    let session = kept(&mut harness, folder.path(), "the insertion", |s| order(s).len() == 4);
    assert_eq!(order(&session), [2, 0, 7, 1].map(sample));
}

#[test]
fn a_session_is_saved_opened_again_and_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    let other = folder.path().join("other.zscape");
    let mut session = Session::new("bundled:rooms".into());
    session.seed = 5;
    session.write(&other).unwrap();
    drop_file(&mut harness, other.clone());
    until(&mut harness, "its model", |h| h.query_by_label_contains("of synth:rooms").is_some());
    assert!(harness.query_by_label("session other.zscape").is_some());
    // Changes are saved to the same file.
    press(&mut harness, Modifiers::NONE, Key::Num3);
    until(&mut harness, "a sample", |h| h.query_by_label("sample 3").is_some());
    harness.get_by_label("sample 3").click();
    harness.run_steps(3);
    press(&mut harness, Modifiers::COMMAND, Key::S);
    let walked = Point::Sample { seed: 5, number: 3 };
    until(&mut harness, "the save", |_| Session::read(&other).is_ok_and(|s| s.walk.keyframes == [walked.clone()]));

    // Undo goes back to the session before, and to its model.
    for _ in 0..2 {
        press(&mut harness, Modifiers::COMMAND, Key::Z);
    }
    until(&mut harness, "the model before", |h| h.query_by_label_contains("of synth:faces").is_some());

    let mut again = window(Start { autosave: Some(folder.path().join("last.zscape")), ..Start::default() });
    until(&mut again, "the list", |h| {
        h.query_by_label("Session").is_some() && folder.path().join("recent.json").exists()
    });
    until(&mut again, "a sample", |h| h.query_by_label("sample 0").is_some());
    again.get_by_label("Session").click();
    again.run_steps(4);
    again.get_by_label_contains("Recent").click();
    again.run_steps(4);
    again.get_by_label("other.zscape").click();
    until(&mut again, "the session", |h| h.query_by_label("session other.zscape").is_some());
}

#[test]
fn an_incompatible_session_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    press(&mut harness, Modifiers::NONE, Key::Num3);
    harness.get_by_label("sample 4").click();
    let before = kept(&mut harness, folder.path(), "the walk", |s| s.walk.keyframes == [sample(4)]);
    let write = |name: &str, change: &dyn Fn(&mut Session)| {
        let mut session = before.clone();
        change(&mut session);
        session.write(&folder.path().join(name)).unwrap();
        folder.path().join(name)
    };
    let narrow = write("narrow.zscape", &|s| s.shelf.push(Point::Custom { name: "p".into(), z: vec![0.0; 3] }));
    let lost = write("lost.zscape", &|s| s.model = folder.path().join("gone.safetensors"));
    let other = write("other.zscape", &|s| s.made_with.as_mut().unwrap().config.size = 32);
    let broken = folder.path().join("broken.zscape");
    std::fs::write(&broken, "{").unwrap();
    for (path, why) in [
        (narrow, "have 3 dimensions"),
        (lost, "gone.safetensors"),
        (other, "32x32"),
        (broken, "broken.zscape is not a zscape session"),
        (folder.path().join("none.zscape"), "none.zscape"),
    ] {
        drop_file(&mut harness, path);
        until(&mut harness, why, |h| h.query_all_by_label_contains(why).count() > 0);
        assert!(harness.query_by_label("sample 4 of seed 1").is_some(), "the walk is as it was");
        harness.get_by_label("Close").click();
        harness.run_steps(3);
    }
    assert_eq!(Session::read(&folder.path().join("last.zscape")).unwrap(), before);
}

#[test]
fn a_session_that_cannot_be_restored_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let last = folder.path().join("last.zscape");
    let mut session = Session::new(folder.path().join("gone.safetensors"));
    session.seed = 77;
    session.write(&last).unwrap();
    let mut harness = window(Start { autosave: Some(last), ..Start::default() });
    until(&mut harness, "the error", |h| h.query_by_label_contains("gone.safetensors").is_some());
    until(&mut harness, "a bundled model", |h| h.query_by_label("sample 0").is_some());
    assert_eq!(Session::read(&folder.path().join("not-restored.zscape")).unwrap().seed, 77);
}

#[test]
fn a_session_that_cannot_be_saved_is_reported_and_work_continues() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a file");
    std::fs::write(&file, "no folder").unwrap();
    let start =
        Start { model: Some("bundled:faces".into()), autosave: Some(file.join("last.zscape")), ..Start::default() };
    let mut harness = window(start);
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    press(&mut harness, Modifiers::NONE, Key::Num2);
    harness.get_by_label("sample 0").click();
    until(&mut harness, "why not", |h| h.query_by_label_contains("cannot be saved for the next start").is_some());
    assert!(harness.query_by_label_contains("sample 0 of seed 1").is_some(), "the tray has it all the same");
    harness.get_by_label("Close").click();
    harness.run_steps(3);
    harness.get_by_label("sample 1").click();
    until(&mut harness, "the next sample", |h| h.query_by_label_contains("sample 1 of seed 1").is_some());
    let again = harness.query_by_label_contains("cannot be saved for the next start");
    assert!(again.is_none(), "the message is not repeated");
}

#[test]
fn the_command_line_reproduces_the_windows_figures_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    press(&mut harness, Modifiers::NONE, Key::Num3);
    harness.get_by_label("The paper's nine").click();
    harness.run_steps(2);
    harness.get_by_label("Great circles").click();
    harness.run_steps(2);
    for (button, file) in [("PNG strip", "walk.png"), ("GIF", "walk.gif"), ("MP4", "walk.mp4")] {
        until(&mut harness, "the whole walk", |h| h.query_by_label(button).is_some());
        harness.get_by_label(button).click();
        until(&mut harness, file, |_| folder.path().join("exports").join(file).exists());
    }
    press(&mut harness, Modifiers::NONE, Key::Num2);
    for number in 0..8 {
        harness.get_by_label(&format!("sample {number}")).click();
        harness.run_steps(3);
    }
    harness.get_by_label("Bring back to the prior").click();
    until(&mut harness, "the result", |h| h.query_by_label("result").is_some());
    until(&mut harness, "the sums of maps", |h| h.query_by_label("sum of layer 3").is_some());
    assert!(harness.query_by_label("sum of layer 4").is_none(), "the fifth layer draws the picture");
    until(&mut harness, "the figure", |h| is_enabled(h, "Save figure..."));
    harness.get_by_label("Save figure...").click();
    until(&mut harness, "its file", |_| folder.path().join("exports/arithmetic.png").exists());
    harness.get_by_label("Turn").click();
    harness.run_steps(3);
    for number in 3..11 {
        harness.get_by_label(&format!("sample {number}")).click();
        harness.run_steps(3);
    }
    until(&mut harness, "the turn", |h| is_enabled(h, "Save the turn..."));
    harness.get_by_label("Save the turn...").click();
    until(&mut harness, "its file", |_| folder.path().join("exports/turn.png").exists());
    let session = kept(&mut harness, folder.path(), "all of it", |s| s.turn.to.len() == 4 && s.normalize);
    assert_eq!(session.trays.iter().map(|tray| tray.members.len()).collect::<Vec<_>>(), [3, 3, 2]);

    let replays: [(&[&str], &str); 5] = [
        (&["walk"], "walk.png"),
        (&["walk"], "walk.gif"),
        (&["walk"], "walk.mp4"),
        (&["arithmetic"], "arithmetic.png"),
        (&["arithmetic", "--turn"], "turn.png"),
    ];
    for (command, file) in replays {
        let out = folder.path().join(format!("replayed-{file}"));
        let mut replay = assert_cmd::Command::new(assert_cmd::cargo::cargo_bin!("zscape"));
        replay.args(command).args(["--device", "cpu", "--session"]).arg(folder.path().join("last.zscape"));
        replay.arg("--out").arg(&out).assert().success();
        let window = std::fs::read(folder.path().join("exports").join(file)).unwrap();
        assert!(window == std::fs::read(&out).unwrap(), "{file} is the same to the last byte");
    }
}

#[test]
fn any_sample_is_reached_by_number_and_the_wheel_zooms() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    press(&mut harness, Modifiers::COMMAND, Key::G);
    harness.event(egui::Event::Text("123456789".into()));
    harness.run_steps(2);
    harness.key_press(Key::Enter);
    harness.run_steps(3);
    until(&mut harness, "that sample", |h| h.query_by_label("sample 123456789").is_some());
    assert!(harness.query_by_label("sample 0").is_none());

    let before = harness.get_by_label("sample 123456789").rect();
    harness.hover_at(before.center());
    harness.run_steps(2);
    harness.event(egui::Event::Zoom(1.6));
    harness.run_steps(3);
    let after = harness.get_by_label("sample 123456789").rect();
    assert!(after.width() > before.width() * 1.3, "{before} {after}");

    // The keyboard moves from there and selects the sample.
    press(&mut harness, Modifiers::NONE, Key::ArrowRight);
    press(&mut harness, Modifiers::NONE, Key::Enter);
    let session = kept(&mut harness, folder.path(), "the sample", |s| s.subject != sample(0));
    assert_eq!(session.subject, sample(123_456_790));
}

#[test]
fn a_run_is_explored_as_the_average_of_its_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let options = TrainerOptions { steps: Some(6), save_every: 2, ..tiny(&run, 1) };
    train(options);
    let autosave = Some(folder.path().join("last.zscape"));
    let mut harness = window(Start { model: Some(run), autosave, ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    // What is rendered, and the value of the field beside the slider.
    let shown = |h: &Window, step: u64, mean: f64| {
        let story = format!("after {step} training steps; ");
        let field = h.get_by_role_and_label(Role::SpinButton, "mean of");
        h.query_all_by_label_contains(&story).count() > 0 && field.accesskit_node().numeric_value() == Some(mean)
    };
    assert!(shown(&harness, 6, 1.0));

    harness.get_by_role_and_label(Role::SpinButton, "mean of").set_value_accesskit(2.0);
    until(&mut harness, "the mean", |h| shown(h, 6, 2.0));
    harness.get_by_role_and_label(Role::Slider, "Checkpoint").set_value_accesskit(1.0);
    until(&mut harness, "an earlier mean", |h| shown(h, 4, 2.0));
    kept(&mut harness, folder.path(), "the model's name", |session| {
        session.model.to_string_lossy().ends_with("step-00000004@average=2")
    });
    press(&mut harness, Modifiers::COMMAND, Key::Z);
    until(&mut harness, "the mean before", |h| shown(h, 6, 2.0));
}

#[test]
fn a_dropped_picture_is_projected_from_any_tool() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    let picture = folder.path().join("noise.png");
    Picture::new(64, 64, 3, (0..64 * 64 * 3u32).map(|i| (i * 7919 % 251) as u8).collect()).write_png(&picture).unwrap();
    press(&mut harness, Modifiers::NONE, Key::Num4);
    drop_file(&mut harness, picture);
    until(&mut harness, "the original", |h| h.query_all_by_label("Original").count() > 0);
    until(&mut harness, "progress", |h| h.query_by_label_contains("own samples").is_some());
    // A file that is no picture changes nothing.
    let notes = folder.path().join("notes.png");
    std::fs::write(&notes, "no picture").unwrap();
    drop_file(&mut harness, notes);
    until(&mut harness, "the error", |h| h.query_by_label_contains("notes.png cannot be used").is_some());
    assert!(harness.query_by_label_contains("noise.png").is_some());
}

#[test]
fn concepts_can_be_saved_applied_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = faces(folder.path());
    press(&mut harness, Modifiers::NONE, Key::Num2);
    for number in 0..6 {
        harness.get_by_label(&format!("sample {number}")).click();
        harness.run_steps(3);
    }
    until(&mut harness, "the result", |h| h.query_by_label("result").is_some());
    // The field's hint is no label, so it is found by its role.
    let field = |h: &Window| h.query_all_by_role(Role::TextInput).last().map(|node| node.rect().center());
    let at = field(&harness).unwrap();
    drag(&mut harness, at, at);
    harness.event(egui::Event::Text("curls".into()));
    harness.run_steps(3);
    harness.get_by_label("Save as concept").click();
    let session = kept(&mut harness, folder.path(), "the concept", |s| !s.concepts.is_empty());
    assert_eq!(session.concepts[0].name, "curls");
    assert_eq!(session.applied.as_ref().unwrap().amount, 1.0);
    until(&mut harness, "its picture", |h| h.query_by_label("sample 0 of seed 1 with 1.00 curls").is_some());
    press(&mut harness, Modifiers::NONE, Key::Num4);
    harness.get_by_label("Your own").click();
    harness.run_steps(3);
    until(&mut harness, "its strip", |h| h.query_by_label("curls at +3").is_some());
    harness.get_by_label("curls at +3").click();
    kept(&mut harness, folder.path(), "the slider", |s| s.sliders.len() == 1 && s.sliders[0].amount == 3.0);
    harness.get_by_label("Remove").click();
    kept(&mut harness, folder.path(), "nothing left", |s| s.concepts.is_empty() && s.sliders.is_empty());
}
