//! Looking inside the networks, on the command line and in the window.

use std::path::Path;

use egui_kittest::kittest::Queryable;
use zscape::device::Compute;
use zscape::image::{LABEL_HEIGHT, Picture};
use zscape::latent::boxes::Boxes;
use zscape::latent::session::Session;
use zscape::latent::{generate_pictures, sample_zs};
use zscape::model::{Ablation, Model};

use super::support::cpu::{error, json};
use super::support::{Window, exploring, text, trained, until};

fn read(path: &Path) -> Picture {
    Picture::read(path).unwrap()
}

/// Samples of the run's seed, rendered by its generator.
fn rendered(run: &Path, numbers: &[u64]) -> Vec<Picture> {
    let device = Compute::cpu().device;
    let model = Model::open(run, &device).unwrap();
    let z = sample_zs(model.config(), 1, numbers.iter().copied());
    generate_pictures(&model.generator, &z, &device).unwrap()
}

/// The position of a picture on a sheet, from the left and from the top.
fn place(sheet: &Picture, picture: &Picture) -> Option<(usize, usize)> {
    let row =
        |of: &Picture, x: usize, y: usize| of.pixels()[(y * of.width() + x) * 3..][..picture.width() * 3].to_vec();
    let all = (0..=sheet.height() - picture.height())
        .flat_map(|y| (0..=sheet.width() - picture.width()).map(move |x| (x, y)));
    let here =
        |&(x, y): &(usize, usize)| (0..picture.height()).all(|line| row(sheet, x, y + line) == row(picture, 0, line));
    all.into_iter().find(here)
}

#[test]
fn filters_found_from_boxes_are_ablated_in_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let run = trained(folder.path(), |_| ());
    let model = ["--model", text(&run)];
    let boxes = (0..6).map(|number| (number, vec![[2, 2, 8, 8]])).collect();
    Boxes { size: 16, seed: 1, boxes }.write(&path("boxes.json")).unwrap();
    let (boxes, figure, kept) = (path("boxes.json"), path("figure.png"), path("kept.json"));
    let forget = |rest: &[&str]| {
        let boxed = ["--boxes", text(&boxes), "--samples", "8", "--columns", "5", "--out", text(&figure)];
        json(&[&["forget"], &model[..], &boxed, rest].concat())
    };
    let summary = forget(&["--layer", "8x8", "--top", "2", "--save-ablation", text(&kept)]);
    assert_eq!((&summary["layer"], &summary["maps"], &summary["pictures"]), (&1.into(), &4.into(), &6.into()));
    assert_eq!(summary["dropped"].as_array().unwrap().len(), 2);
    assert!(summary["auc"].as_f64().is_some_and(|auc| (0.0..=1.0).contains(&auc)));
    let sheet = read(&figure);
    assert_eq!(sheet.height(), LABEL_HEIGHT + 4 * (LABEL_HEIGHT + 2), "original, ablated, and two controls");
    // Three of five columns are samples that the filters were fitted on, two are fresh.
    assert_eq!((&summary["fitted"], &summary["fresh"]), (&serde_json::json!([0, 1, 2]), &serde_json::json!([8, 9])));
    let unboxed = rendered(&run, &[6]).remove(0);
    let rendered = rendered(&run, &[0, 1, 2, 8, 9]);
    let places: Vec<_> = rendered.iter().map(|picture| place(&sheet, picture).expect("it is on the figure")).collect();
    assert!(places.iter().all(|&(_, y)| y == LABEL_HEIGHT) && places.is_sorted(), "{places:?}");
    assert!(places[3].0 - places[2].0 > 2 * 18, "fresh samples are set apart: {places:?}");
    assert_eq!(place(&sheet, &unboxed), None, "a sample without a box is not shown");
    assert_eq!(forget(&["--layer", "project", "--boxed", "3"])["pictures"], 3);

    // A saved ablation applies to every command that renders, and so does a session's.
    let sample = |out: &Path, rest: &[&str]| {
        json(&[&["sample"], &model[..], &["--count", "4", "--out", text(out)], rest].concat());
        read(out)
    };
    let (plain, dropped) = (sample(&path("a.png"), &[]), sample(&path("b.png"), &["--ablation", text(&kept)]));
    assert_ne!(plain, dropped);
    let walk = |out: &Path, rest: &[&str]| {
        json(&[&["walk", "--visit", "0,1", "--steps", "3", "--out", text(out)], rest].concat());
        read(out)
    };
    let mut session = Session::new(run.clone());
    session.ablations = serde_json::from_slice::<Vec<Ablation>>(&std::fs::read(&kept).unwrap()).unwrap();
    session.write(&path("a.zscape")).unwrap();
    let by_session = walk(&path("c.png"), &["--session", text(&path("a.zscape"))]);
    assert_eq!(by_session, walk(&path("d.png"), &["--model", text(&run), "--ablation", text(&kept)]));
    assert_ne!(by_session, walk(&path("e.png"), &model));
}

#[test]
fn unusable_boxes_explain_why() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), |_| ());
    let path = folder.path().join("boxes.json");
    let forget = |rest: &[&str]| {
        let base = ["forget", "--model", text(&run), "--samples", "8", "--out", "x.png"];
        error(&[&base[..], rest].concat())
    };
    let boxed = |size: usize, rectangle: [u32; 4]| {
        Boxes { size, seed: 1, boxes: [(0, vec![rectangle])].into() }.write(&path).unwrap();
        forget(&["--boxes", text(&path)])
    };
    assert!(forget(&[]).contains("--boxes"));
    let other = boxed(64, [2, 2, 8, 8]);
    assert!(other.contains("boxes.json") && other.contains("64x64") && other.contains("16x16"), "{other}");
    assert!(boxed(16, [0, 0, 16, 16]).contains("cover their pictures completely"));
    assert!(boxed(16, [9, 9, 3, 3]).contains("sample 0"));
    std::fs::write(&path, r#"{"size": 16, "boxes": {"3": []}}"#).unwrap();
    assert!(forget(&["--boxes", text(&path)]).contains("no sample has a box"));
    std::fs::write(&path, r#"{"size": 16, "boxes": {"30": [[1, 1, 5, 5]]}}"#).unwrap();
    assert!(forget(&["--boxes", text(&path)]).contains("sample 30"));
    std::fs::write(&path, "boxes").unwrap();
    assert!(forget(&["--boxes", text(&path)]).contains("not a file of boxes"));
    let masks = folder.path().join("masks");
    assert!(forget(&["--masks", text(&masks)]).contains("no mask"));
    Picture::new(4, 4, 1, vec![255; 16]).write_png(&masks.join("0.png")).unwrap();
    assert!(forget(&["--masks", text(&masks)]).contains("4x4"));
    assert!(forget(&["--boxes", text(&path), "--layer", "32x32"]).contains("up1 (4 maps of 8x8)"));
    let generator = error(&["guided", "--model", "bundled:rooms", "--data", "synth:rooms", "--out", "x.png"]);
    assert!(generator.contains("generator only"), "{generator}");
}

#[test]
fn layers_of_28x28_models_are_named_by_their_size() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), |options| options.config.model.size = 28);
    let (boxes, out) = (folder.path().join("boxes.json"), folder.path().join("x.png"));
    Boxes { size: 28, seed: 1, boxes: [(0, vec![[3, 3, 14, 14]])].into() }.write(&boxes).unwrap();
    let base = ["forget", "--model", text(&run), "--samples", "4", "--boxes", text(&boxes), "--out", text(&out)];
    let refused = error(&[&base[..], &["--layer", "8x8"]].concat());
    assert!(refused.contains("project (8 maps of 7x7), up1 (4 maps of 14x14)"), "{refused}");
    for (layer, size) in ["7x7", "14x14"].into_iter().enumerate() {
        assert_eq!(json(&[&base[..], &["--layer", size]].concat())["layer"], layer, "{size}");
    }
    let mut harness = exploring(text(&run));
    harness.get_by_label("Forget").click();
    until(&mut harness, "the layer", |h| h.query_by_value("up1 (4 maps of 14x14), second highest").is_some());
}

#[test]
fn masks_work_as_boxes_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), |_| ());
    let masks = folder.path().join("masks");
    for number in 0..4 {
        let bright = |i: usize| if i % 16 < 6 && i / 16 < 6 { 255 } else { 0 };
        Picture::new(16, 16, 1, (0..256).map(bright).collect())
            .write_png(&masks.join(format!("{number}.png")))
            .unwrap();
    }
    let out = folder.path().join("x.png");
    let summary = json(&[
        "forget",
        "--model",
        text(&run),
        "--samples",
        "8",
        "--masks",
        text(&masks),
        "--layer",
        "8x8",
        "--out",
        text(&out),
    ]);
    assert_eq!((&summary["pictures"], &summary["on"]), (&4.into(), &36.into()));
}

#[test]
fn windows_of_the_bundled_rooms_are_detected_and_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let found = folder.path().join("found.json");
    let summary = json(&[
        "forget",
        "--model",
        "bundled:rooms",
        "--find",
        "windows",
        "--boxed",
        "52",
        "--save-boxes",
        text(&found),
        "--score",
        "--count",
        "48",
    ]);
    assert_eq!(summary["pictures"], 52);
    assert!(summary["auc"].as_f64().unwrap() > 0.9, "{}", summary["auc"]);
    assert!(summary["score"]["windows"].as_u64().unwrap() > 10);
    let removed = |what: &str| summary["score"][what]["removed"].as_f64().unwrap();
    assert!(removed("dropped") > removed("random") + 0.3, "{} {}", removed("dropped"), removed("random"));
    let doses = summary["score"]["curve"].as_array().unwrap();
    assert!(doses.windows(2).all(|pair| pair[0]["dropped"].as_u64() < pair[1]["dropped"].as_u64()));
    assert!(Boxes::read(&found).unwrap().boxed_samples() >= 52);
}

#[test]
fn layers_and_guided_write_figures_of_both_networks() {
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), |_| ());
    let out = folder.path().join("x.png");
    let base = ["--model", text(&run), "--out", text(&out)];
    for statistics in ["data", "running"] {
        let flag: &[&str] = if statistics == "running" { &["--running-stats"] } else { &[] };
        let summary = json(&[&["layers", "--sample", "3"], flag, &base[..]].concat());
        assert_eq!(summary["discriminator_statistics"], statistics);
        let layers = summary["layers"].as_array().unwrap();
        let shapes: Vec<_> =
            layers.iter().map(|l| (l["maps"].as_u64().unwrap(), l["side"].as_u64().unwrap())).collect();
        assert_eq!(shapes, [(8, 4), (4, 8), (4, 8), (8, 4)]);
        assert!(summary["logit"].is_number());
    }
    let message = error(&[&["layers", "--batch-stats"], &base[..]].concat());
    assert!(message.contains("--running-stats"), "{message}");
    let summary = json(&[&["guided", "--data", "synth:rooms", "--count", "40"], &base[..]].concat());
    assert_eq!(summary["statistics"], "data");
    for which in ["learnt", "random"] {
        let features = summary[which].as_array().unwrap();
        assert_eq!(features.len(), 6);
        assert!(features.iter().all(|feature| feature["pictures"].as_array().unwrap().len() == 5));
    }
    let sheet = read(&out);
    assert!(sheet.width() > 2 * 5 * 18 && sheet.height() > 2 * 6 * 18, "two halves of six rows of five, twice");
    let picture = folder.path().join("mine.png");
    Picture::new(20, 20, 1, (0..400).map(|i| (i % 251) as u8).collect()).write_png(&picture).unwrap();
    let summary = json(&[&["guided", "--picture", text(&picture), "--rule", "guided"], &base[..]].concat());
    assert_eq!(summary["logits"].as_array().unwrap().len(), 1);
    assert_eq!(read(&out).width(), 2 * 16 + 2);
    let message = error(&[&["guided", "--data", "synth:rooms", "--features", "3,99"], &base[..]].concat());
    assert!(message.contains("no feature 99"), "{message}");
}

#[test]
fn a_feature_map_is_selected_ablated_and_restored() {
    let mut harness = exploring("bundled:rooms");
    harness.get_by_label("Layers").click();
    until(&mut harness, "the maps", |h| h.query_by_label("map 3 of project").is_some());
    harness.get_by_label("map 3 of project").click();
    until(&mut harness, "the map's part", |h| h.query_by_label("map doubled").is_some());
    assert!(harness.query_all_by_label_contains("top sample").count() >= 10);
    harness.get_by_label("Drop it everywhere").click();
    until(&mut harness, "the set", |h| h.query_by_label("project map 3 (1)").is_some());
    harness.get_by_label("Undo").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("project map 3 (1)").is_none(), "undo restores the map");
}

#[test]
fn a_box_is_drawn_and_proposed_boxes_become_an_ablation() {
    let mut harness = exploring("bundled:rooms");
    harness.get_by_label("Forget").click();
    until(&mut harness, "the samples", |h| h.query_by_label("boxed sample 1").is_some());
    let rect = harness.get_by_label("sample to be boxed").rect();
    let at = |share: f32| rect.min + rect.size() * share;
    let mut event = |event: egui::Event| {
        harness.input_mut().events.push(event);
        harness.step();
    };
    let button = |pos, pressed| egui::Event::PointerButton {
        pos,
        button: egui::PointerButton::Primary,
        pressed,
        modifiers: egui::Modifiers::NONE,
    };
    event(egui::Event::PointerMoved(at(0.3)));
    event(button(at(0.3), true));
    for share in [0.4, 0.5, 0.6] {
        event(egui::Event::PointerMoved(at(share)));
    }
    event(button(at(0.6), false));
    until(&mut harness, "a fit", |h| h.query_by_label_contains("one picture cannot be held out").is_some());
    assert!(harness.query_by_label_contains("1 of 150 samples boxed").is_some());

    harness.get_by_label("Propose boxes").click();
    until(&mut harness, "the fit", |h| h.query_by_label_contains("held-out AUC").is_some());
    until(&mut harness, "the samples without", |h| h.query_by_label("without the chosen filters 0").is_some());
    let removed = |h: &Window| h.query_all_by_label_contains("% removed; ").count();
    until(&mut harness, "what is removed of both parts", |h| removed(h) == 2);
    for (heading, first) in
        [("fitted: the filters were found with these", 0), ("fresh: not used, samples 150 to 181", 32)]
    {
        assert_eq!(harness.query_all_by_label(heading).count(), 2, "{heading}: as rendered and without");
        assert!(harness.query_by_label(&format!("without the chosen filters {first}")).is_some(), "{heading}");
    }
    assert!(harness.query_by_label_contains("samples without a window are not used").is_some());
    harness.get_by_label("Keep as a set").click();
    until(&mut harness, "the set", |h| h.query_by_label_contains("no window (").is_some());
}

#[test]
fn the_discriminator_tool_shows_features_or_why_it_cannot() {
    let mut harness = exploring("bundled:faces");
    harness.get_by_label("Discriminator").click();
    until(&mut harness, "the reason", |h| h.query_by_label("This model has no discriminator").is_some());

    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), |_| ());
    let mut harness = exploring(text(&run));
    harness.get_by_label("Discriminator").click();
    until(&mut harness, "a verdict", |h| h.query_by_label_contains("classified as").is_some());
    harness.get_by_label("Look").click();
    until(&mut harness, "the answers", |h| h.query_by_label("trained filters feature 0, answer 0").is_some());
    assert!(harness.query_by_label("random filters feature 5, answer 4").is_some());
}
