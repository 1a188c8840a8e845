//! How pictures are cropped, resized and mirrored: in a run, in the commands that read pictures for its model, in the window.

use std::path::{Path, PathBuf};

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use zscape::app::Start;
use zscape::data::{mirrors, read_prepared};
use zscape::image::{Fit, Picture, PictureFormat, Preparation, Resize};
use zscape::train::{Run, RunConfig};

use super::support::{json, stderr, stdout, text, until, window, zscape};

/// Wide pictures of 40x24, each with its own shades, and two of 10x10, in classes.
fn pictures(folder: &Path) -> PathBuf {
    let set = folder.join("set");
    for i in 0..12usize {
        let pixel = |p: usize| ((p / 3 % 40 * 6) as u8).wrapping_add((i * 20) as u8) ^ ((p / 3 / 40) * 3) as u8;
        let class = if i % 2 == 0 { "even" } else { "odd" };
        let picture = Picture::new(40, 24, 3, (0..40 * 24 * 3).map(pixel).collect());
        picture.write_png(&set.join(class).join(format!("{i:02}.png"))).unwrap();
    }
    for (class, shade) in [("even", 30), ("odd", 220)] {
        Picture::new(10, 10, 3, vec![shade; 300]).write_png(&set.join(class).join("small.png")).unwrap();
    }
    set
}

/// Trains a tiny network on `set` with more flags.
fn train<'a>(set: &'a Path, run: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let all = ["train", "--device", "cpu", "--data", text(set), "--run", text(run), "--size", "16", "--base", "4"];
    [&all[..], &["--batch", "4", "--steps", "2", "--z-dim", "8"], more].concat()
}

fn config(run: &Path) -> RunConfig {
    Run::open(run).unwrap().config().clone()
}

/// The first picture of a figure whose pictures have 16x16 pixels.
fn first(figure: &Path) -> Picture {
    let sheet = Picture::read(figure).unwrap();
    let row = |y: usize| &sheet.pixels()[y * sheet.width() * 3..][..16 * 3];
    Picture::new(16, 16, 3, (0..16).flat_map(row).copied().collect())
}

#[test]
fn every_command_prepares_pictures_as_the_models_run_did() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run, figure) = (pictures(folder.path()), folder.path().join("run"), folder.path().join("figure.png"));
    let more = ["--crop", "20", "--resize", "area", "--mirror", "--save-every", "1"];
    let summary = stderr(&mut zscape(&train(&set, &run, &more)), 0);
    assert!(
        summary.contains("warning: 2 pictures are smaller than the crop (even/small.png, odd/small.png)"),
        "{summary}"
    );
    let preparation = Preparation { crop: Some(20), fit: Fit::Crop, resize: Resize::Area, ..Preparation::default() };
    let kept = config(&run);
    assert_eq!((kept.model.preparation, kept.train.mirror), (preparation, true));
    let info = stdout(&mut zscape(&["info", text(&run)]));
    assert!(info.contains("real pictures: center 20x20, resized by area"), "{info}");

    let one = set.join("even/02.png");
    let format = PictureFormat { preparation, ..PictureFormat::new(16, 3) };
    let prepared = read_prepared(&one, format).unwrap();
    let stretched = Preparation { fit: Fit::Stretch, resize: Resize::Bilinear, ..Preparation::default() };
    let otherwise = read_prepared(&one, PictureFormat { preparation: stretched, ..format }).unwrap();
    assert_ne!(prepared, otherwise);
    let other = ["--crop", "0", "--fit", "stretch", "--resize", "bilinear"];
    let project = ["project", "--model", text(&run), "--picture", text(&one), "--steps", "1", "--restarts", "1"];
    let guided = ["guided", "--model", text(&run), "--picture", text(&one)];
    for command in [&project[..], &guided[..]] {
        let out = ["--device", "cpu", "--out", text(&figure)];
        zscape(&[command, &out[..]].concat()).assert().success();
        assert_eq!(first(&figure), prepared, "{command:?}");
        zscape(&[command, &out[..], &other].concat()).assert().success();
        assert_eq!(first(&figure), otherwise, "{command:?}");
    }
    // The same by the model's name, as the window gives it.
    let named = format!("{}@crop=0,fit=stretch,resize=bilinear", text(&run));
    zscape(&["guided", "--model", &named, "--picture", text(&one), "--out", text(&figure)]).assert().success();
    assert_eq!(first(&figure), otherwise);

    // Two of the pictures are smaller than the crop: named, and padded where that is asked for.
    let near = ["neighbours", "--json", "--model", text(&run), "--data", text(&set), "--samples", "8"];
    let near = [&near[..], &["--out", text(&figure)]].concat();
    let errors = stderr(&mut zscape(&near), 0);
    assert!(errors.contains("even/small.png: it is 10x10 pixels, smaller than the 20x20"), "{errors}");
    assert_eq!(json(&mut zscape(&near))["training"], 12);
    assert_eq!(json(&mut zscape(&[&near[..], &["--fit", "pad"]].concat()))["training"], 14);
    let classify = ["classify", "--json", "--model", text(&run), "--train", text(&set), "--test", text(&set)];
    let classify = [&classify[..], &["--supervised", "0", "--validation", "4"]].concat();
    assert_eq!(json(&mut zscape(&classify))["training"], 12);
    assert_eq!(json(&mut zscape(&[&classify[..], &["--crop", "0"]].concat()))["training"], 14);
    let figure5 = ["guided", "--json", "--model", text(&run), "--data", text(&set), "--out", text(&figure)];
    assert_eq!(json(&mut zscape(&figure5))["pictures"], 12);
    let distances = ["distances", "--model", text(&run), "--data", text(&set), "--count", "50"];
    let errors = stderr(&mut zscape(&[&distances[..], &["--crop", "30"]].concat()), 1);
    assert!(errors.contains("has 0 usable pictures"), "{errors}");
    let dedup = ["dedup", "--json", "--data", text(&set), "--steps", "2"];
    assert_eq!(json(&mut zscape(&dedup))["pictures"], 14);
    assert_eq!(json(&mut zscape(&[&dedup[..], &["--crop", "20"]].concat()))["pictures"], 12);
}

#[test]
fn pictures_smaller_than_the_crop_are_named_and_conflicting_settings_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (pictures(folder.path()), folder.path().join("run"));
    let summary = stderr(&mut zscape(&train(&set, &run, &["--crop", "30"])), 1);
    assert!(summary.contains("0 usable pictures") || summary.contains("cannot be read, the first is"), "{summary}");
    assert!(summary.contains("smaller than the 30x30 that --crop takes"), "{summary}");
    for (flags, said) in [
        (&["--crop", "20", "--fit", "stretch"][..], "--fit stretch does not go with --crop 20"),
        (&["--crop", "65536"], "--crop is 1 to 65535"),
    ] {
        let summary = stderr(&mut zscape(&train(&set, &folder.path().join("other"), flags)), 1);
        assert!(summary.contains(said), "{summary}");
        assert!(!folder.path().join("other/run.toml").exists(), "no run is created");
    }
}

#[test]
fn a_resumed_run_keeps_its_preparation_and_names_differences() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (pictures(folder.path()), folder.path().join("run"));
    zscape(&train(&set, &run, &["--crop", "10", "--mirror"])).assert().success();
    let resume = ["train", "--device", "cpu", "--run", text(&run), "--resume", "--steps", "3"];
    zscape(&resume).assert().success();
    let kept = config(&run);
    assert_eq!((kept.model.preparation.crop, kept.train.mirror), (Some(10), true));
    let summary =
        stderr(&mut zscape(&[&resume[..], &["--crop", "0", "--mirror", "false", "--fit", "pad"]].concat()), 1);
    assert!(summary.contains("model.preparation.crop: 10, not the default"), "{summary}");
    assert!(summary.contains("model.preparation.fit: the default, not \"pad\""), "{summary}");
    assert!(!summary.contains("mirror"), "mirroring may end in the middle of a run: {summary}");
}

#[test]
fn preview_shows_pictures_before_and_after_and_names_unusable_ones() {
    let folder = tempfile::tempdir().unwrap();
    let (set, figure) = (pictures(folder.path()), folder.path().join("preview.png"));
    let all = ["preview", "--json", "--data", text(&set), "--size", "16", "--count", "14", "--out", text(&figure)];
    let summary = json(&mut zscape(&[&all[..], &["--crop", "24", "--resize", "area"]].concat()));
    assert_eq!(summary["pictures"].as_array().unwrap().len(), 12);
    assert_eq!(summary["unusable"].as_array().unwrap().len(), 2);
    assert_eq!(summary["preparation"], serde_json::json!({ "crop": 24, "resize": "area" }));
    let sheet = Picture::read(&figure).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (12 * 196 - 4, 2 * 192 + 4));
    // Of 40 to 192 pixels each is 4.8 wide: the crop of 24 is framed from 38 to 154, across and from edge to edge down.
    let pixel = |x: usize, y: usize| &sheet.pixels()[(y * sheet.width() + x) * 3..][..3];
    assert_eq!((pixel(39, 96), pixel(152, 96)), (&[255, 120, 0][..], &[255, 120, 0][..]));
    assert_ne!(pixel(36, 96), [255, 120, 0]);

    // What is below is what the networks see; of a model it is as its run had it.
    let run = folder.path().join("run");
    zscape(&train(&set, &run, &["--fit", "pad", "--resize", "bilinear"])).assert().success();
    let all = ["preview", "--json", "--data", text(&set), "--model", text(&run), "--out", text(&figure)];
    let summary = json(&mut zscape(&[&all[..], &["--count", "1", "--mirror", "--seed", "3"]].concat()));
    assert_eq!(summary["preparation"], serde_json::json!({ "fit": "pad", "resize": "bilinear" }));
    let name = summary["pictures"][0]["name"].as_str().unwrap();
    let preparation = Preparation { fit: Fit::Pad, resize: Resize::Bilinear, ..Preparation::default() };
    let seen = read_prepared(&set.join(name), PictureFormat { preparation, ..PictureFormat::new(16, 3) }).unwrap();
    let mut names: Vec<_> = ["even", "odd"]
        .iter()
        .flat_map(|class| std::fs::read_dir(set.join(class)).unwrap().map(move |entry| (class, entry.unwrap())))
        .map(|(class, entry)| format!("{class}/{}", entry.file_name().to_string_lossy()))
        .collect();
    names.sort();
    let index = names.iter().position(|other| other == name).unwrap() as u64;
    let seen = if mirrors(3, 0, index) { seen.mirrored() } else { seen };
    let sheet = Picture::read(&figure).unwrap();
    for (x, y) in [(0, 7), (3, 5), (8, 8), (15, 9)] {
        // Sixteen pixels become 192.
        let at = ((196 + y * 12 + 6) * sheet.width() + x * 12 + 6) * 3;
        assert_eq!(sheet.pixels()[at..at + 3], seen.pixels()[(y * 16 + x) * 3..][..3], "{x}, {y}");
    }
    let summary = stderr(&mut zscape(&["preview", "--data", text(&set), "--crop", "99", "--out", text(&figure)]), 1);
    assert!(summary.contains("none of the 14 pictures"), "{summary}");
    let rooms = ["preview", "--data", "synth:rooms", "--crop", "99", "--out", text(&figure)];
    assert!(stderr(&mut zscape(&rooms), 0).contains("nothing is cropped or resized"));
}

#[test]
fn the_preview_in_the_window_follows_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let set = pictures(folder.path());
    let run = folder.path().join("run");
    let start = Start { data: Some(text(&set).to_owned()), run: Some(run), ..Start::default() };
    let mut harness = window(start);
    let shown = "pictures before and after preparation";
    until(&mut harness, "the preview", |h| h.query_by_label(shown).is_some());
    assert!(harness.query_by_label("As they are, and prepared (center square, resized by lanczos):").is_some());
    assert!(harness.query_by_label_contains("cannot be used").is_none());
    harness.get_by_role_and_label(Role::SpinButton, "Crop").set_value_accesskit(20.0);
    let now = |h: &egui_kittest::Harness<'_, Option<zscape::app::App>>, words: &str| {
        h.query_by_label(shown).is_some()
            && h.query_by_label(&format!("As they are, and prepared ({words}):")).is_some()
    };
    until(&mut harness, "the crop", |h| now(h, "center 20x20, resized by lanczos"));
    assert!(harness.query_by_label("2 pictures cannot be used").is_some(), "those smaller than the crop are counted");
    harness.get_by_label("pad").click();
    until(&mut harness, "padding", |h| now(h, "center 20x20, smaller ones padded with black, resized by lanczos"));
    assert!(harness.query_by_label("2 pictures cannot be used").is_none());
    harness.get_by_label("area").click();
    until(&mut harness, "areas", |h| now(h, "center 20x20, smaller ones padded with black, resized by area"));
    harness.get_by_label("stretch").click();
    harness.run_steps(3);
    assert!(harness.query_by_label_contains("--fit stretch does not go with --crop 20").is_some());
    harness.get_by_role_and_label(Role::SpinButton, "Crop").set_value_accesskit(0.0);
    until(&mut harness, "stretching", |h| now(h, "stretched to a square, resized by area"));
}
