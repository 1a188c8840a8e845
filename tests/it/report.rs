//! The report on a set of pictures: what is skipped, what is done to the rest, and what is wrong with it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use egui_kittest::kittest::Queryable;
use zscape::app::Start;
use zscape::image::{Background, Picture};
use zscape::train::Run;

use super::support::{json, stderr, stdout, text, until, window, zscape};

/// Pictures of 24x16, and files that are skipped.
fn mixed(folder: &Path) -> PathBuf {
    let set = folder.join("set");
    for i in 0..8usize {
        let pixels = (0..24 * 16 * 3).map(|p| (p % 251) as u8 ^ (i * 20) as u8).collect();
        Picture::new(24, 16, 3, pixels).write_png(&set.join(format!("{i}.png"))).unwrap();
    }
    for name in ["a.avif", "b.HEIC", "c.svg", "d.nef", "e.mp4", "notes.txt", "@eaDir/0.png/thumb.jpg", "._0.png"] {
        fs::create_dir_all(set.join(name).parent().unwrap()).unwrap();
        fs::write(set.join(name), "not read").unwrap();
    }
    fs::write(set.join("broken.png"), "no picture").unwrap();
    // A picture, whatever it is called.
    fs::copy(set.join("0.png"), set.join("0.png_large")).unwrap();
    set
}

/// White lines on a transparent background.
fn drawings(folder: &Path) -> PathBuf {
    let set = folder.join("drawings");
    fs::create_dir_all(&set).unwrap();
    for i in 0..8u8 {
        let pixel = |x: u32, y: u32| image::Rgba([255, 255, 255, if (x + y + u32::from(i)) % 8 < 2 { 255 } else { 0 }]);
        image::RgbaImage::from_fn(32, 32, pixel).save(set.join(format!("{i}.png"))).unwrap();
    }
    set
}

fn train<'a>(data: &'a str, run: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let all = ["train", "--device", "cpu", "--data", data, "--run", text(run), "--size", "16", "--base", "4"];
    [&all[..], &["--batch", "4", "--steps", "1", "--z-dim", "8"], more].concat()
}

#[test]
fn a_training_reports_what_it_skips_and_stores_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (mixed(folder.path()), folder.path().join("run"));
    let summary = stderr(&mut zscape(&train(text(&set), &run, &[])), 0);
    for said in [
        "training on 10 pictures",
        "0.png_large is a picture by its first bytes, though not by its name",
        "warning: 1 picture cannot be read (broken.png)",
        "warning: 1 AVIF file left out: that format is not read (a.avif)",
        "warning: 1 HEIC file left out: that format is not read (b.HEIC)",
        "warning: 1 SVG file left out",
        "warning: 1 camera raw file left out",
        "warning: 1 video file left out",
        "33 % of the area is cropped away",
        "1 hidden or system file skipped (._0.png)",
        "1 hidden or system folder skipped (@eaDir)",
        "1 other file left out (.txt)",
    ] {
        assert!(summary.contains(said), "{said}: {summary}");
    }
    // The run stores the report, and still reads its own settings and resumes.
    let kept: toml::Table = toml::from_str(&fs::read_to_string(run.join("run.toml")).unwrap()).unwrap();
    assert_eq!(kept["report"]["looked_at"].as_integer(), Some(10));
    assert_eq!(kept["report"]["left_out"].as_array().unwrap().len(), 8);
    let resumed = ["train", "--json", "--device", "cpu", "--run", text(&run), "--resume", "--steps", "2"];
    let report = json(&mut zscape(&resumed))["report"].clone();
    assert_eq!(report["unusable"][0]["names"], serde_json::json!(["broken.png"]));
    assert_eq!(Run::open(&run).unwrap().config().data.to_string(), text(&set));
}

#[test]
fn the_background_of_transparent_pictures_is_stored_with_the_model() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run, figure) = (drawings(folder.path()), folder.path().join("run"), folder.path().join("figure.png"));
    let preview = ["preview", "--data", text(&set), "--size", "16", "--out", text(&figure)];
    let summary = stdout(&mut zscape(&preview));
    assert!(summary.contains("warning: the pictures are nearly of one color"), "{summary}");
    assert!(summary.contains("laid on white") && summary.contains("--background black"), "{summary}");
    let summary = json(&mut zscape(&[&preview[..], &["--json", "--background", "#102030"]].concat()));
    assert_eq!(summary["preparation"], serde_json::json!({ "background": "#102030" }));
    assert_eq!((&summary["report"]["flattened"], &summary["report"]["blank"]), (&8.into(), &0.into()));
    let summary = stderr(&mut zscape(&[&preview[..], &["--background", "pink"]].concat()), 2);
    assert!(summary.contains("white, black, gray"), "{summary}");

    let summary = stderr(&mut zscape(&train(text(&set), &run, &["--background", "black"])), 0);
    assert!(!summary.contains("nearly of one color"), "{summary}");
    assert_eq!(Run::open(&run).unwrap().config().model.preparation.background, Background::BLACK);
    let summary = stdout(&mut zscape(&["info", text(&run)]));
    assert!(summary.contains("transparency on black"), "{summary}");
    // Every command uses the model's background.
    let one = set.join("0.png");
    let corner = |model: &str, more: &[&str]| {
        let guided = ["guided", "--device", "cpu", "--model", model, "--picture", text(&one), "--out", text(&figure)];
        zscape(&[&guided[..], more].concat()).assert().success();
        let sheet = Picture::read(&figure).unwrap();
        sheet.pixels()[..16 * 3].iter().copied().min()
    };
    assert_eq!((corner(text(&run), &[]), corner(text(&run), &["--background", "white"])), (Some(0), Some(255)));
    assert_eq!(corner(&format!("{}@background=white", text(&run)), &[]), Some(255));
    let other = ["train", "--device", "cpu", "--run", text(&run), "--resume", "--background", "white", "--steps", "2"];
    let summary = stderr(&mut zscape(&other), 1);
    assert!(summary.contains("model.preparation.background: \"black\", not the default"), "{summary}");
}

#[test]
fn the_window_warns_of_white_drawings_until_the_background_changes() {
    let folder = tempfile::tempdir().unwrap();
    let set = drawings(folder.path());
    fs::write(set.join("photo.heic"), "not read").unwrap();
    let start = Start { data: Some(text(&set).to_owned()), ..Start::default() };
    let mut harness = window(start);
    let one_color = |h: &egui_kittest::Harness<'_, Option<zscape::app::App>>| {
        h.query_by_label_contains("the pictures are nearly of one color").is_some()
    };
    until(&mut harness, "the warning", one_color);
    assert!(harness.query_by_label_contains("1 HEIC file left out").is_some());
    harness.get_by_label("What is done to the pictures").click();
    until(&mut harness, "the details", |h| {
        h.query_by_label_contains("8 of 8 pictures are transparent and laid on white").is_some()
    });
    harness.get_by_label("black").click();
    until(&mut harness, "the other background", |h| {
        h.query_by_label_contains("8 of 8 pictures are transparent and laid on black").is_some()
    });
    assert!(!one_color(&harness));
}

#[test]
fn stylegan_classes_come_from_dataset_json() {
    let folder = tempfile::tempdir().unwrap();
    let (zip_path, figure) = (folder.path().join("set.zip"), folder.path().join("figure.png"));
    let mut zip = zip::ZipWriter::new(fs::File::create(&zip_path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    let mut labels = Vec::new();
    for i in 0..6u8 {
        let name = format!("{:05}/img{i:08}.png", i / 2);
        zip.start_file(&name, options).unwrap();
        zip.write_all(&Picture::new(16, 16, 1, (0..=255).map(|p: u8| p ^ i).collect()).to_png().unwrap()).unwrap();
        labels.push(serde_json::json!([name, i % 2]));
    }
    zip.start_file("dataset.json", options).unwrap();
    zip.write_all(serde_json::json!({ "labels": labels }).to_string().as_bytes()).unwrap();
    zip.finish().unwrap();
    let preview = |data: &Path| {
        let report = &json(&mut zscape(&["preview", "--json", "--data", text(data), "--out", text(&figure)]))["report"];
        (report["classes"].clone(), report["notes"].to_string())
    };
    let two = serde_json::json!({ "count": 2, "from": "dataset-json" });
    assert_eq!(preview(&zip_path), (two.clone(), "[]".to_owned()));
    // Unpacked it is the same; without its labels it has no classes.
    let set = folder.path().join("set");
    zip::ZipArchive::new(fs::File::open(&zip_path).unwrap()).unwrap().extract(&set).unwrap();
    assert_eq!(preview(&set).0, two);
    fs::remove_file(set.join("dataset.json")).unwrap();
    let (classes, notes) = preview(&set);
    assert!(classes.is_null() && notes.contains("00000, 00001, 00002 are numbered shards"), "{classes} {notes}");
}

#[test]
fn a_set_without_a_training_split_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let set = folder.path().join("mnist");
    fs::create_dir(&set).unwrap();
    let pixels = (0..6 * 28 * 28).map(|p| (p * 7 % 256) as u8);
    let header = [0u32, 6, 28, 28].map(|number| if number == 0 { 0x0803 } else { number }.to_be_bytes());
    let idx: Vec<u8> = header.concat().into_iter().chain(pixels).collect();
    fs::write(set.join("t10k-images-idx3-ubyte"), &idx).unwrap();
    let run = folder.path().join("run");
    let summary = stderr(&mut zscape(&train(text(&set), &run, &[])), 1);
    for said in ["train-images-idx3-ubyte, is missing", "mnist/t10k", "test split"] {
        assert!(summary.contains(said), "{said}: {summary}");
    }
    let part = set.join("t10k");
    assert!(stderr(&mut zscape(&train(text(&part), &run, &[])), 0).contains("training on 6 pictures"));
    let file = set.join("t10k-images-idx3-ubyte");
    let other = folder.path().join("other");
    let summary = stderr(&mut zscape(&train(text(&file), &other, &[])), 0);
    assert!(summary.contains("t10k-images-idx3-ubyte belongs to the 't10k' split"), "{summary}");
    fs::write(set.join("train-images-idx3-ubyte"), idx).unwrap();
    let summary = stderr(&mut zscape(&train(text(&set), &folder.path().join("third"), &[])), 0);
    assert!(summary.contains("skipped the 't10k' split (t10k-images-idx3-ubyte)"), "{summary}");
}

#[test]
fn a_folder_without_pictures_lists_what_it_contains() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.heic"), "not read").unwrap();
    let summary = stderr(&mut zscape(&train(text(folder.path()), &folder.path().join("run"), &[])), 1);
    assert!(
        summary.contains("holds no pictures that can be read") && summary.contains("1 HEIC file left out"),
        "{summary}"
    );
}
