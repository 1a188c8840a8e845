//! Measures of a model against real pictures, on the command line.

use std::path::{Path, PathBuf};

use zscape::device::Compute;
use zscape::image::Picture;
use zscape::train::{Options, Trainer};

use super::inside::{error, json, text, zscape};

/// Striped pictures in noise, across or along: `set/train/CLASS` and `set/test/CLASS`, and one file that is no picture.
fn pictures(folder: &Path, training: usize, test: usize) -> PathBuf {
    let set = folder.join("set");
    for i in 0..training + test {
        let (part, along) = (if i < training { "train" } else { "test" }, i % 2 == 1);
        let pixel = |p: usize| {
            let at = if along { p / 3 / 16 } else { p / 3 % 16 };
            let noise = ((p * 7919 + i * 104_729 + p * p * i) % 97) as u8;
            if (at + i * 7) % 4 < 2 { 30 + noise } else { 130 + noise }
        };
        let place = set.join(part).join(if along { "along" } else { "across" });
        Picture::new(16, 16, 3, (0..768).map(pixel).collect()).write_png(&place.join(format!("{i}.png"))).unwrap();
    }
    std::fs::write(set.join("train/along/broken.png"), "no picture").unwrap();
    set
}

/// A tiny run.
fn trained(folder: &Path) -> PathBuf {
    let run = folder.join("run");
    let options = Options { steps: Some(4), save_every: 2, ..super::tiny(&run, 1) };
    Trainer::start(options, Compute::cpu(), || ()).events().iter().for_each(drop);
    run
}

#[test]
fn classes_are_told_by_features_beside_what_they_are_compared_with() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (pictures(folder.path(), 60, 20), trained(folder.path()));
    let (train, test, figure) = (set.join("train"), set.join("test"), folder.path().join("confusion.png"));
    let all = ["classify", "--model", text(&run), "--train", text(&train), "--test", text(&test), "--epochs", "1"];
    let told = json(&[&all[..], &["--out", text(&figure)]].concat());
    assert_eq!((&told["training"], &told["test"]), (&60.into(), &20.into()));
    let scored = told["scored"].as_array().unwrap();
    assert_eq!(scored.len(), 4);
    assert!(scored.iter().all(|one| one["accuracy"]["high"].as_f64().unwrap() <= 1.0), "{told}");
    let counts = told["confusion"]["counts"].as_array().unwrap();
    assert_eq!(counts.len(), 2);
    assert_eq!(Picture::read(&figure).unwrap().width(), 2 * 70 + 4);

    let few = ["--labels", "10", "--draws", "4", "--supervised", "0", "--validation", "12"];
    let told = json(&[&all[..], &few].concat());
    assert_eq!(told["scored"][0]["right"].as_array().unwrap().len(), 4);

    let output = zscape(&[&all[..], &few].concat()).assert().success().get_output().clone();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("random weights' features") && out.contains("across"), "{out}");
    assert!(err.contains("along/broken.png"), "the broken picture is named: {err}");

    let classify = |model: &str, train: &str, rest: &[&str]| {
        error(&[&["classify", "--model", model, "--train", train, "--test", text(&test)], rest].concat())
    };
    assert!(classify("bundled:rooms", text(&train), &[]).contains("holds a generator only"));
    let flat = train.join("along");
    assert!(classify(text(&run), text(&flat), &[]).contains("has no classes"));
    assert!(classify(text(&run), text(&train), &["--labels", "58"]).contains("lower --labels"));
    assert!(classify(text(&run), "no/such.zip/train", &[]).contains("no/such.zip/train does not exist"));
}
