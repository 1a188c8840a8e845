//! Files dropped on the window are used, or the window explains why not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use egui_kittest::kittest::Queryable;
use zscape::app::Start;
use zscape::image::Picture;

use super::support::{DroppedFile, tiny, until, window};

fn set(folder: &Path, name: &str) -> PathBuf {
    for i in 0..3u8 {
        Picture::new(16, 16, 3, vec![i * 60; 768]).write_png(&folder.join(name).join(format!("{i}.png"))).unwrap();
    }
    folder.join(name)
}

#[test]
fn photo_explains_why_folders_and_further_pictures_are_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let pictures = set(folder.path(), "holidays");
    let mut harness = window(Start { model: Some("bundled:faces".into()), ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness.get_by_label("Photo").click();
    harness.run_steps(2);
    harness.input_mut().dropped_files.push(Arc::new(DroppedFile(pictures.clone())));
    until(&mut harness, "the notice", |h| {
        h.query_by_label_contains("holidays is a folder: Photo looks for one picture").is_some()
    });
    assert!(harness.query_by_label_contains("Which z draws this picture?").is_some(), "Photo is still open");
    harness.get_by_label("OK").click();
    harness.run_steps(2);
    assert!(harness.query_by_label_contains("holidays is a folder").is_none());
    for name in ["0.png", "1.png"] {
        harness.input_mut().dropped_files.push(Arc::new(DroppedFile(pictures.join(name))));
    }
    until(&mut harness, "the first", |h| h.query_by_label_contains("holidays/0.png").is_some());
    assert!(harness.query_by_label_contains("1.png is not used: Photo looks for one picture at a time").is_some());
}

#[test]
fn train_takes_one_of_two_dropped_sets_and_explains_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (set(folder.path(), "one"), set(folder.path(), "two"));
    let mut harness = window(Start { data: Some("synth:rooms".into()), ..Start::default() });
    harness.run_steps(2);
    for path in [&one, &two] {
        harness.input_mut().dropped_files.push(Arc::new(DroppedFile(path.clone())));
    }
    until(&mut harness, "the set", |h| h.query_all_by_label_contains(&one.to_string_lossy()).count() > 0);
    assert!(harness.query_by_label_contains("two is not used: one set is trained on at a time").is_some());
}

#[test]
fn a_run_with_missing_pictures_asks_where_they_moved() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut config = tiny(&run, 1).config;
    config.data = folder.path().join("gone").into();
    std::fs::create_dir_all(run.join("checkpoints/step-00000002")).unwrap();
    std::fs::write(run.join("run.toml"), toml::to_string(&config).unwrap()).unwrap();
    let mut harness = window(Start { run: Some(run), ..Start::default() });
    until(&mut harness, "the question", |h| h.query_by_label("Moved to a folder...").is_some());
    assert!(harness.query_by_label("Moved to a file...").is_some());
    assert!(harness.query_by_label("Resume training").is_some());
}
