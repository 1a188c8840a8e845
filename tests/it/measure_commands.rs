//! Measurements of a model against real pictures, on the command line.

use std::path::{Path, PathBuf};

use zscape::device::Compute;
use zscape::image::Picture;

use super::support::cpu::{error, json, zscape};
use super::support::{text, trained};

/// Striped pictures in noise, across or along: `set/train/CLASS` and `set/test/CLASS`, and one file that is no picture.
pub(super) fn pictures(folder: &Path, training: usize, test: usize) -> PathBuf {
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

#[test]
fn classify_compares_features_with_its_baselines() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (pictures(folder.path(), 60, 20), trained(folder.path(), |options| options.save_every = 2));
    let (train, test, figure) = (set.join("train"), set.join("test"), folder.path().join("confusion.png"));
    let all = ["classify", "--model", text(&run), "--train", text(&train), "--test", text(&test), "--epochs", "1"];
    let summary = json(&[&all[..], &["--out", text(&figure)]].concat());
    assert_eq!((&summary["training"], &summary["test"]), (&60.into(), &20.into()));
    let scored = summary["scored"].as_array().unwrap();
    assert_eq!(scored.len(), 4);
    assert!(scored.iter().all(|one| one["accuracy"]["high"].as_f64().unwrap() <= 1.0), "{summary}");
    let counts = summary["confusion"]["counts"].as_array().unwrap();
    assert_eq!(counts.len(), 2);
    assert_eq!(Picture::read(&figure).unwrap().width(), 2 * 70 + 4);

    let few = ["--labels", "10", "--draws", "4", "--supervised", "0", "--validation", "12"];
    let summary = json(&[&all[..], &few].concat());
    assert_eq!(summary["scored"][0]["right"].as_array().unwrap().len(), 4);
    assert_eq!(
        summary["statistics"], 61,
        "batch norm's statistics are of all training pictures, not of the ten with labels"
    );
    let summary = json(&[&all[..], &few, &["--count", "40", "--statistics", "24"]].concat());
    assert_eq!((&summary["training"], &summary["statistics"]), (&40.into(), &24.into()));

    let output = zscape(&[&all[..], &few].concat()).assert().success().get_output().clone();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(out.contains("random weights' features") && out.contains("across"), "{out}");
    assert!(err.contains("along/broken.png"), "the broken picture is named: {err}");

    let classify = |model: &str, train: &str, rest: &[&str]| {
        error(&[&["classify", "--model", model, "--train", train, "--test", text(&test)], rest].concat())
    };
    assert!(classify("bundled:rooms", text(&train), &[]).contains("has no discriminator"));
    let flat = train.join("along");
    assert!(classify(text(&run), text(&flat), &[]).contains("has no classes"));
    assert!(classify(text(&run), text(&train), &["--labels", "58"]).contains("lower --labels"));
    assert!(classify(text(&run), "no/such.zip/train", &[]).contains("no/such.zip/train does not exist"));
}

#[test]
fn neighbours_finds_the_nearest_training_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (pictures(folder.path(), 40, 12), trained(folder.path(), |options| options.save_every = 2));
    let (train, test, figure) = (set.join("train"), set.join("test"), folder.path().join("figure.png"));
    let all = ["--samples", "16", "--rows", "3", "--out", text(&figure)];
    let all = [&["neighbours", "--model", text(&run), "--data", text(&train)], &all[..]].concat();
    let summary = json(&[&all[..], &["--held-out", text(&test)]].concat());
    assert_eq!((&summary["training"], &summary["held"], &summary["held_out"]), (&40.into(), &12.into(), &true.into()));
    for space in summary["spaces"].as_array().unwrap() {
        let nearest = space["nearest"].as_array().unwrap();
        assert_eq!((nearest.len(), nearest[0].as_array().unwrap().len()), (16, 4));
        assert!(nearest[0][0]["distance"].as_f64() <= nearest[0][1]["distance"].as_f64());
        assert!(space["names"][0].as_str().unwrap().ends_with(".png"));
        assert_eq!(space["birthday"]["pairs"], 16 * 15 / 2);
        assert_eq!(space["sides"]["of"], 16);
        assert!(space["nearer"]["low"].as_f64() <= space["nearer"]["high"].as_f64());
    }
    let sheet = Picture::read(&figure).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (10 * 18 - 2, (3 + 3 + 2) * 18 - 2));
    let summary = json(&all);
    let held = summary["held"].as_u64().unwrap();
    assert!(
        (15..=16).contains(&held) && summary["held_out"] == false,
        "the set, but for the broken one, stands in: {held}"
    );
    let few = train.join("few");
    Picture::new(16, 16, 3, vec![9; 768]).write_png(&few.join("a.png")).unwrap();
    let few = ["neighbours", "--model", text(&run), "--data", text(&few), "--out", text(&figure)];
    assert!(error(&few).contains("1 usable pictures"), "{}", error(&few));
}

#[test]
fn memorization_is_detected() {
    // A model whose samples are the training set, byte for byte.
    let folder = tempfile::tempdir().unwrap();
    let run = trained(folder.path(), |options| options.save_every = 2);
    let path = |name: &str| folder.path().join(name);
    let model = zscape::model::Model::open(&run, &Compute::cpu().device).unwrap();
    for (place, first) in [("drawn", 0), ("others", 32)] {
        let z = zscape::latent::sample_zs(model.config(), 1, first..first + 32);
        let drawings = zscape::latent::generate_pictures(&model.generator, &z, &Compute::cpu().device).unwrap();
        for (i, picture) in drawings.iter().enumerate() {
            picture.write_png(&path(place).join(format!("{i:02}.png"))).unwrap();
        }
    }
    let (rendered, others, figure) = (path("drawn"), path("others"), path("figure.png"));
    let sets = ["--data", text(&rendered), "--held-out", text(&others), "--samples", "32", "--out", text(&figure)];
    let summary = json(&[&["neighbours", "--model", text(&run)], &sets[..]].concat());
    for space in summary["spaces"].as_array().unwrap() {
        assert_eq!(space["names"][7], "07.png");
        assert!(space["nearer"]["value"].as_f64().unwrap() > 0.95, "{}", space["nearer"]);
        assert!(space["sides"]["hits"].as_u64().unwrap() > 30, "{}", space["sides"]);
    }
}

#[test]
fn distances_are_measured_for_a_model_and_over_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (pictures(folder.path(), 80, 0), trained(folder.path(), |options| options.save_every = 2));
    let (data, table) = (set.join("train"), folder.path().join("table.csv"));
    let all = ["distances", "--data", text(&data), "--count", "60"];
    for space in ["discriminator", "random", "pixels"] {
        let summary = json(&[&all[..], &["--model", text(&run), "--space", space]].concat());
        let rendered = summary["drawn"].as_u64().unwrap();
        assert!(
            (39..=40).contains(&rendered) && summary["space"] == space,
            "half of the set, without the broken one: {rendered}"
        );
        let measured = &summary["measured"][0];
        // Noise is further from stripes than other stripes are.
        let value = |of: &serde_json::Value, name: &str| of[name]["value"].as_f64().unwrap();
        assert!(value(measured, "sliced") > value(&summary["floor"], "sliced"), "{summary}");
        assert!(value(measured, "coverage") < value(&summary["floor"], "coverage"), "{summary}");
    }
    let plot = folder.path().join("curves.svg");
    let summary = json(&[&all[..], &["--run", text(&run), "--out", text(&table), "--plot", text(&plot)]].concat());
    let steps: Vec<_> =
        summary["measured"].as_array().unwrap().iter().map(|one| one["steps"].as_u64().unwrap()).collect();
    assert_eq!(steps, [2, 4]);
    let lines = std::fs::read_to_string(&table).unwrap();
    assert_eq!(lines.lines().count(), 4, "a header, the real pictures, two checkpoints: {lines}");
    let curves = std::fs::read_to_string(&plot).unwrap();
    assert_eq!(curves.matches("<circle").count(), 6 * 2, "six measures at two checkpoints");
    let message = error(&[&all[..], &["--run", text(&run), "--plot", "curves.pdf"]].concat());
    assert!(message.contains("curves.pdf") && message.contains(".svg"), "{message}");
    let nothing = folder.path().join("nothing");
    std::fs::create_dir(&nothing).unwrap();
    let message = error(&[&all[..], &["--run", text(&nothing)]].concat());
    assert!(message.contains("no checkpoint yet"), "{message}");
    // FID needs the published Inception network; another file is refused by name.
    let other = folder.path().join("other.safetensors");
    std::fs::write(&other, b"\x02\0\0\0\0\0\0\0{}").unwrap();
    let message = error(&[&all[..], &["--model", text(&run), "--inception", text(&other)]].concat());
    assert!(message.contains("other.safetensors") && message.contains("Conv2d_1a_3x3.conv.weight"), "{message}");
    let message = error(&["distances", "--data", text(&data), "--model", text(&run), "--count", "6000"]);
    assert!(message.contains("without --inception it goes to 5000"), "{message}");
}

#[test]
fn duplicates_are_listed_and_excluded() {
    let folder = tempfile::tempdir().unwrap();
    let set = pictures(folder.path(), 30, 0);
    let first = set.join("train/across/0.png");
    std::fs::copy(&first, set.join("train/along/again.png")).unwrap();
    let (list, left, figure) =
        (folder.path().join("list.csv"), folder.path().join("left"), folder.path().join("a.png"));
    let (list_text, left_text) = (text(&list).to_owned(), text(&left).to_owned());
    let all = ["dedup", "--data", text(&set), "--steps", "40", "--radius", "0"];
    let all = [&all[..], &["--list", &list_text, "--copy-to", &left_text]].concat();
    let summary = json(&[&all[..], &["--plant", "5", "--out", text(&figure)]].concat());
    let names = summary["names"].as_array().unwrap();
    assert!(names.contains(&serde_json::json!(["train/across/0.png", "train/along/again.png"])), "{names:?}");
    assert_eq!(summary["planted"]["found"][0]["hash"]["recall"][0]["hits"], 5, "copies are found");
    assert!(std::fs::read_to_string(&list).unwrap().contains(",no,0,train/along/again.png"));
    assert!(left.join("train/across/0.png").is_file() && !left.join("train/along/again.png").exists());
    assert_eq!(std::fs::read(left.join("train/across/0.png")).unwrap(), std::fs::read(&first).unwrap());
    assert!(error(&all).contains("is not empty"));
    assert!(error(&["dedup", "--data", "synth:rooms"]).contains("never ends"));

    // A training skips them, and still does when it resumes without the list.
    let skip = ["--skip", &list_text];
    let train = |run: &str, rest: &[&str]| {
        let run = folder.path().join(run);
        let steps = ["--size", "16", "--base", "4", "--batch", "4"];
        let fresh = [&["--data", text(&set)], &steps[..], &skip].concat();
        let resumed = rest.contains(&"--resume");
        json(&[&["train", "--run", text(&run)][..], rest, if resumed { &[][..] } else { &fresh[..] }].concat());
        let checkpoint = run.join("checkpoints/step-00000020/model.safetensors");
        (std::fs::read_to_string(run.join("run.toml")).unwrap(), std::fs::read(checkpoint).ok())
    };
    let (settings, whole) = train("whole", &["--steps", "20"]);
    assert!(settings.contains(r#"skip = ["train/along/again.png"]"#), "{settings}");
    train("parts", &["--steps", "9"]);
    std::fs::remove_file(&list).unwrap();
    let (_, parts) = train("parts", &["--resume", "--steps", "20"]);
    assert!(whole.is_some() && whole == parts, "the same pictures in the same order");
    let other = folder.path().join("other.txt");
    std::fs::write(&other, "cats/1.png\n").unwrap();
    let run = folder.path().join("other");
    let message = error(&["train", "--data", text(&set), "--run", text(&run), "--skip", text(&other)]);
    assert!(message.contains("cats/1.png") && message.contains("another set"), "{message}");
    let parts = folder.path().join("parts");
    std::fs::write(&other, "train/along/1.png\n").unwrap();
    let message = error(&["train", "--run", text(&parts), "--resume", "--skip", text(&other)]);
    assert!(message.contains("skip: 1 pictures, not 1 others"), "{message}");
}
