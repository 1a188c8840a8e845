//! *Measure* in the window: classification, memorization, distances and duplicates.

use std::path::Path;

use egui::accesskit::Role;
use egui_kittest::kittest::{NodeT, Queryable};
use zscape::app::Start;

use super::measure_commands::pictures;
use super::support::cpu::json;
use super::support::{DroppedFile, Window, is_enabled, trained, until, window};

fn click(harness: &mut Window, label: &str) {
    harness.get_by_label(label).click();
    harness.run_steps(3);
}

/// Chooses pictures of 16x16.
fn smallest(harness: &mut Window) {
    harness.get_by_role_and_label(Role::ComboBox, "Size").click();
    harness.run_steps(3);
    click(harness, "16 x 16");
}

fn shows(harness: &Window, text: &str) -> bool {
    harness.query_all_by_label_contains(text).count() > 0
}

/// *Measure* for a run whose pictures have classes.
fn measuring(folder: &Path) -> Window {
    let set = pictures(folder, 60, 20);
    let run = trained(folder, |options| {
        options.save_every = 2;
        options.config.data = set.join("train").into();
    });
    let mut harness = window(Start { run: Some(run), ..Start::default() });
    let test = set.join("test").to_string_lossy().into_owned();
    // The pictures are suggested once the Train view has read them, which takes long on a busy machine.
    until(&mut harness, "the run's settings", |h| h.query_by_label("Resume training").is_some());
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    click(&mut harness, "Measure");
    until(&mut harness, "the run's pictures", |h| h.query_all_by_value(&test).count() > 0);
    harness
}

#[test]
fn classification_covers_a_run_and_a_cell_shows_its_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measuring(folder.path());
    click(&mut harness, "Tell classes");
    until(&mut harness, "the comparisons", |h| shows(h, "random weights' features") && shows(h, "raw pixels"));
    until(&mut harness, "both checkpoints", |h| shows(h, "2 networks of the run are measured"));
    assert!(
        shows(&harness, "after step 4")
            && shows(&harness, "2 classes; 60 pictures to learn from, 20 to be tried on; statistics of 61 pictures")
    );
    assert!(shows(&harness, "1 pictures cannot be read"), "the broken one");
    until(&mut harness, "the wait for more", |h| shows(h, "waiting for the next step"));
    assert!(!shows(&harness, "test picture 0"));
    let cell = harness.query_all_by_label_contains("of 10 ").next().expect("a cell of the matrix");
    cell.click();
    harness.run_steps(3);
    assert!(shows(&harness, "test picture 0"), "the pictures behind the cell");
    click(&mut harness, "Stop");
    assert!(is_enabled(&harness, "Tell classes"));
}

#[test]
fn few_label_accuracy_matches_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measuring(folder.path());
    click(&mut harness, "Few labels, drawn again and again");
    for (label, value) in
        [("To learn from", 10_000.0), ("To be tried on", 10_000.0), ("Labels", 1000.0), ("Draws", 10.0)]
    {
        let shown = harness.get_by_role_and_label(Role::SpinButton, label).accesskit_node().numeric_value();
        assert_eq!(shown, Some(value), "{label}: the paper's protocol");
    }
    for (label, value) in [("Labels", 16.0), ("Draws", 4.0), ("Supervised draws", 1.0)] {
        harness.get_by_role_and_label(Role::SpinButton, label).set_value_accesskit(value);
        harness.run_steps(2);
    }
    click(&mut harness, "Live, over the steps of a run");
    click(&mut harness, "Tell classes");
    until(&mut harness, "the comparisons", |h| shows(h, "supervised network") && is_enabled(h, "Tell classes"));
    let how = "16 labels, drawn 4 times from 48 pictures, C chosen on 12 others, 20 to be tried on; statistics of 61 pictures";
    assert!(shows(&harness, how));
    assert_eq!(harness.query_all_by_label_contains("\u{b1} ").count(), 3, "a spread for each way with several draws");
    // The command line draws the same labels and so reports the same accuracy.
    let (set, run) = (folder.path().join("set"), folder.path().join("run"));
    let [train, test] = ["train", "test"].map(|part| set.join(part).to_string_lossy().into_owned());
    let model = run.to_string_lossy();
    let summary = json(&[
        "classify",
        "--model",
        &model,
        "--train",
        &train,
        "--test",
        &test,
        "--labels",
        "16",
        "--draws",
        "4",
        "--supervised",
        "0",
    ]);
    assert_eq!(summary["statistics"], 61);
    let accuracy = summary["scored"][0]["accuracy"]["value"].as_f64().unwrap();
    assert!(shows(&harness, &format!("{:.1} %", accuracy * 1e2)), "{accuracy}");
}

#[test]
fn accuracy_during_a_training_can_be_switched_off() {
    let folder = tempfile::tempdir().unwrap();
    let data = pictures(folder.path(), 80, 20).join("train").to_string_lossy().into_owned();
    let run = folder.path().join("live");
    let mut harness = window(Start { data: Some(data), run: Some(run), ..Start::default() });
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    smallest(&mut harness);
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    click(&mut harness, "Start training");
    until(&mut harness, "the first step", |h| h.query_by_label("Pause").is_some());
    click(&mut harness, "Measure");
    until(&mut harness, "the accuracy of a network in training", |h| shows(h, "discriminator's features"));
    harness.get_by_role_and_label(Role::SpinButton, "Measured every").set_value_accesskit(1.0);
    until(&mut harness, "more of them", |h| shows(h, "networks of the run are measured"));
    click(&mut harness, "Live, over the steps of a run");
    assert!(is_enabled(&harness, "Tell classes"), "it is off");
    click(&mut harness, "Train");
    click(&mut harness, "Stop");
    until(&mut harness, "the end", |h| h.query_by_label("Resume training").is_some());
}

#[test]
fn impossible_measurements_explain_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = window(Start { model: Some("bundled:rooms".into()), ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    click(&mut harness, "Measure");
    assert!(shows(&harness, "Choose a network") && !is_enabled(&harness, "Tell classes"));
    click(&mut harness, "The explored model");
    until(&mut harness, "suggested pictures", |h| is_enabled(h, "Tell classes"));
    click(&mut harness, "Tell classes");
    until(&mut harness, "an error", |h| shows(h, "synth:rooms has no classes"));
    click(&mut harness, "Distances");
    click(&mut harness, "Measure distances");
    until(&mut harness, "another", |h| shows(h, "bundled:rooms has no discriminator"));
    click(&mut harness, "Duplicates");
    click(&mut harness, "Look for duplicates");
    until(&mut harness, "a third", |h| shows(h, "is endless"));

    // A drop asks for confirmation.
    let set = pictures(folder.path(), 4, 0);
    harness.input_mut().dropped_files.push(std::sync::Arc::new(DroppedFile(set.join("train"))));
    until(&mut harness, "the question", |h| shows(h, "train was dropped"));
    harness.get_by_role_and_label(Role::Button, "Test pictures").click();
    harness.run_steps(3);
    assert!(!shows(&harness, "was dropped"));
    assert!(harness.query_all_by_value(&set.join("train").to_string_lossy()).count() > 0);
}

#[test]
fn nearest_neighbors_and_distances_over_a_run_are_shown() {
    let folder = tempfile::tempdir().unwrap();
    let mut harness = measuring(folder.path());
    click(&mut harness, "Memorising");
    harness.get_by_role_and_label(Role::SpinButton, "Samples").set_value_accesskit(24.0);
    harness.run_steps(2);
    click(&mut harness, "Look for neighbours");
    until(&mut harness, "the report", |h| shows(h, "24 samples among 60 training pictures, beside 20 test pictures"));
    assert!(shows(&harness, "Distinct samples") && shows(&harness, "Nearest is a training picture"));
    assert!(shows(&harness, ".png, near by features") && shows(&harness, ".png, near by pixels"));
    click(&mut harness, "The first samples");
    assert!(harness.query_by_label("sample 1").is_some());
    click(&mut harness, "Closest pairs");
    assert!(shows(&harness, "one of a pair by features"));

    click(&mut harness, "Distances");
    click(&mut harness, "Measure distances");
    // Ten, ten others: the test set is small.
    until(&mut harness, "both checkpoints", |h| shows(h, "step 4: ") && is_enabled(h, "Measure distances"));
    assert!(shows(&harness, "10 samples and 10 real pictures") && shows(&harness, "real: "));
    for name in ["Sliced Wasserstein distance", "Kernel distance", "Precision", "Recall", "Density", "Coverage"] {
        assert!(harness.query_by_label(name).is_some(), "{name}");
    }
}

#[test]
fn duplicates_are_shown_and_excluded_from_the_next_training() {
    let folder = tempfile::tempdir().unwrap();
    let set = pictures(folder.path(), 80, 0).join("train");
    std::fs::copy(set.join("across/0.png"), set.join("along/again.png")).unwrap();
    let (run, exports) = (folder.path().join("run"), folder.path().join("exports"));
    let data = set.to_string_lossy().into_owned();
    let start = Start { data: Some(data), run: Some(run.clone()), exports: Some(exports.clone()), ..Start::default() };
    let mut harness = window(start);
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    smallest(&mut harness);
    harness.get_by_role_and_label(Role::SpinButton, "Batch").set_value_accesskit(8.0);
    harness.run_steps(2);
    click(&mut harness, "Measure");
    click(&mut harness, "Duplicates");
    harness.get_by_role_and_label(Role::SpinButton, "The hash learns for").set_value_accesskit(40.0);
    harness.get_by_role_and_label(Role::Slider, "Bits that may differ").set_value_accesskit(0.0);
    harness.run_steps(2);
    click(&mut harness, "Look for duplicates");
    until(&mut harness, "the copy", |h| h.query_by_label("along/again.png, left out").is_some());
    assert!(harness.query_by_label("across/0.png, kept").is_some() && shows(&harness, "exact"));
    click(&mut harness, "along/again.png, left out");
    assert!(harness.query_by_label("along/again.png, kept").is_some(), "a click keeps it");
    click(&mut harness, "Cross all again");
    // Exact duplicates remain, however many bits may differ.
    for bits in [3.0, 0.0] {
        harness.get_by_role_and_label(Role::Slider, "Bits that may differ").set_value_accesskit(bits);
        harness.run_steps(3);
        until(&mut harness, "the groups", |h| h.query_all_by_role(Role::ProgressIndicator).count() == 0);
        assert!(harness.query_by_label("along/again.png, left out").is_some(), "within {bits} bits");
    }
    click(&mut harness, "Save list...");
    until(&mut harness, "the list", |h| shows(h, "duplicates.csv"));
    let list = std::fs::read_to_string(exports.join("duplicates.csv")).unwrap();
    assert!(list.contains("yes,0,across/0.png") && list.contains("no,0,along/again.png"), "{list}");

    harness.get_by_label_contains("pictures out of training").click();
    harness.run_steps(3);
    click(&mut harness, "Train");
    assert!(shows(&harness, "pictures are left out"));
    until(&mut harness, "the look at the data", |h| is_enabled(h, "Start training"));
    click(&mut harness, "Start training");
    until(&mut harness, "the first step", |h| h.query_by_label("Pause").is_some());
    until(&mut harness, "the log", |h| shows(h, "pictures of the run's skip list"));
    click(&mut harness, "Stop");
    until(&mut harness, "the end", |h| h.query_by_label("Resume training").is_some());
    let settings = std::fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(settings.contains("skip = [") && settings.contains("\"along/again.png\""), "{settings}");
}
