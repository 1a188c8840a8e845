//! Every hyperparameter has a flag, is stored in the run, and is refused out of range.

use egui::accesskit::Role;
use egui_kittest::kittest::Queryable;
use zscape::app::Start;
use zscape::image::Picture;
use zscape::train::{Run, Schedule};

use super::support::{json, sized, stderr, text, until, zscape};

const TINY: [&str; 12] =
    ["train", "--device", "cpu", "--data", "synth:rooms", "--size", "16", "--base", "4", "--batch", "4", "--steps"];

#[test]
fn every_hyperparameter_has_a_flag_and_is_stored_in_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        ["--z-dim", "12"],
        ["--bias", "true"],
        ["--norm-epsilon", "2e-4"],
        ["--norm-momentum", "0.25"],
        ["--beta1", "0.9"],
        ["--beta2", "0.99"],
        ["--adam-epsilon", "1e-6"],
        ["--l2", "3e-5"],
        ["--schedule", "3"],
    ];
    let run = text(folder.path());
    zscape(&[&TINY[..], &["1", "--run", run], &flags.concat()].concat()).assert().success();
    let config = Run::open(folder.path()).unwrap().config().clone();
    let (model, train) = (&config.model, &config.train);
    assert_eq!((model.z_dim, model.bias, model.norm_epsilon, model.norm_momentum), (12, true, 2e-4, 0.25));
    assert_eq!((train.beta1, train.beta2, train.epsilon, train.decay), (0.9, 0.99, 1e-6, 3e-5));
    assert_eq!(train.schedule, Schedule::Generator(3));
    let info = json(&mut zscape(&["info", "--json", run]));
    assert_eq!((&info["config"]["z_dim"], &info["config"]["norm_momentum"]), (&12.into(), &0.25.into()));
    // Settings that are not given are the preset's; settings that are not stored have their default.
    let plain = folder.path().join("plain");
    zscape(&[&TINY[..], &["1", "--run", text(&plain), "--schedule", "alternate", "--bias", "false"]].concat())
        .assert()
        .success();
    let written = std::fs::read_to_string(plain.join("run.toml")).unwrap();
    assert!(!written.contains("norm_momentum"), "{written}");
    let config = Run::open(&plain).unwrap().config().clone();
    assert_eq!(
        (config.model.norm_momentum, config.train.beta1, config.train.schedule),
        (0.1, 0.5, Schedule::Alternate)
    );
    // A resumed run keeps its own settings and names those that differ.
    zscape(&["train", "--device", "cpu", "--run", run, "--resume", "--steps", "2"]).assert().success();
    let other = ["--beta1", "0.5", "--norm-momentum", "0.1", "--schedule", "alternate"];
    let summary = stderr(&mut zscape(&[&["train", "--run", run, "--resume", "--steps", "3"][..], &other].concat()), 1);
    assert!(
        summary.contains("train.beta1: 0.8999999761581421, not 0.5") || summary.contains("train.beta1: 0.9, not 0.5"),
        "{summary}"
    );
    assert!(summary.contains("model.norm_momentum: 0.25, not the default"), "{summary}");
    assert!(summary.contains("train.schedule: {\"generator\":3}, not \"alternate\""), "{summary}");
}

#[test]
fn out_of_range_hyperparameters_are_refused_with_the_range() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, value, code, said) in [
        ("--z-dim", "0", 1, "--z-dim must be 1 to 4096"),
        ("--z-dim", "5000", 1, "--z-dim must be 1 to 4096"),
        ("--norm-epsilon", "0", 1, "--norm-epsilon must be above 0 and at most 1"),
        ("--norm-epsilon", "nan", 1, "at most 1 (PyTorch: 1e-5, the authors: 1e-8), got NaN"),
        ("--norm-momentum", "0", 1, "--norm-momentum must be above 0 and at most 1"),
        ("--norm-momentum", "1.5", 1, "at most 1 (PyTorch: 0.1), got 1.5"),
        ("--beta1", "1", 1, "--beta1 must be at least 0 and below 1, got 1"),
        ("--beta1", "-0.1", 1, "--beta1 must be at least 0 and below 1, got -0.1"),
        ("--beta2", "1", 1, "--beta2 must be at least 0 and below 1, got 1"),
        ("--adam-epsilon", "0", 1, "--adam-epsilon must be above 0 and at most 1, got 0"),
        ("--l2", "-1", 1, "--l2 must be from 0 to 1, got -1"),
        ("--schedule", "0", 2, "expected a number of generator updates from 1 to 100, alternate"),
        ("--schedule", "both", 2, "alternate-generator-first"),
        ("--bias", "maybe", 2, "maybe"),
    ] {
        let run = folder.path().join("run");
        let summary = stderr(&mut zscape(&[&TINY[..], &["1", "--run", text(&run), flag, value]].concat()), code);
        assert!(summary.contains(said), "{flag} {value}: {summary}");
        assert!(!run.exists(), "no run is created");
    }
}

#[test]
fn hyperparameters_set_in_the_window_are_stored_in_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (set, run) = (folder.path().join("set"), folder.path().join("run"));
    for i in 0..8u8 {
        Picture::new(16, 16, 3, vec![i * 30; 768]).write_png(&set.join(format!("{i}.png"))).unwrap();
    }
    let start = Start { data: Some(text(&set).to_owned()), run: Some(run.clone()), ..Start::default() };
    let mut harness = sized([1280.0, 2400.0], start);
    until(&mut harness, "the preview", |h| h.query_by_label("a look at the data").is_some());
    harness.get_by_label("Advanced").click();
    until(&mut harness, "the numbers", |h| h.query_by_role_and_label(Role::SpinButton, "Beta 1").is_some());
    for (name, value) in [
        ("Batch", 4.0),
        ("Base filters", 4.0),
        ("Length of z", 12.0),
        ("Beta 1", 0.25),
        ("Beta 2", 0.75),
        ("Adam's epsilon", 0.125),
        ("L2", 0.5),
        ("Norm epsilon", 0.25),
        ("Norm momentum", 0.5),
        ("Schedule", 2.0),
        ("Steps", 1.0),
    ] {
        harness.get_by_role_and_label(Role::SpinButton, name).set_value_accesskit(value);
        harness.run_steps(2);
    }
    harness.get_by_role_and_label(Role::CheckBox, "Biases").click();
    harness.get_by_role_and_label(Role::CheckBox, "Mirror").click();
    harness.run_steps(2);
    until(&mut harness, "the look at mirrored pictures", |h| h.query_by_label("Looking at the pictures").is_none());
    harness.get_by_label("Start training").click();
    until(&mut harness, "the end", |h| h.query_by_label("Resume training").is_some());
    let config = Run::open(&run).unwrap().config().clone();
    let (model, train) = (&config.model, &config.train);
    assert_eq!((model.z_dim, model.bias, model.norm_epsilon, model.norm_momentum), (12, true, 0.25, 0.5));
    assert_eq!((train.beta1, train.beta2, train.epsilon, train.decay), (0.25, 0.75, 0.125, 0.5));
    assert_eq!((train.schedule, train.mirror), (Schedule::Generator(2), true));
}
