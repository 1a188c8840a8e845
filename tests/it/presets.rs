//! Every preset, and every rule of the paper that can be broken: trained, dissected, exported and imported.

use std::io::Read;
use std::path::Path;

use egui_kittest::kittest::Queryable;
use zscape::app::Start;
use zscape::latent::boxes::Boxes;
use zscape::model::{Activation, NormPlacement, Padding, Preset, Resampling};
use zscape::train::RunConfig;

use super::support::cpu::{error, json, zscape};
use super::support::{text, until, window};

/// Trains networks of 16x16 pictures by `arguments` in the folder `run`.
fn train(run: &Path, arguments: &[&str]) {
    let base = ["train", "--data", "synth:rooms", "--size", "16", "--base", "2", "--batch", "4", "--steps", "2"];
    zscape(&[&base[..], &["--run", text(run)], arguments].concat()).assert().success();
}

/// A record of a PyTorch file.
fn record(path: &Path, name: &str) -> String {
    let mut zip = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    zip.by_name(&format!("archive/{name}")).unwrap().read_to_string(&mut text).unwrap();
    text
}

/// Trains, samples, dissects, and imports what was exported for PyTorch; the Python modules in the export.
fn goes_everywhere(arguments: &[&str]) -> [String; 2] {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let [run, own, torch, onnx] = ["run", "own.safetensors", "torch.pth", "graph.onnx"].map(path);
    train(&run, arguments);
    let drawn = |model: &Path| {
        let tensor = path("pictures.npy");
        let grid = path("grid.png");
        let what = ["sample", "--model", text(model), "--count", "4", "--out", text(&grid), "--tensor", text(&tensor)];
        zscape(&what).assert().success();
        npyz::NpyFile::new(std::fs::read(&tensor).unwrap().as_slice()).unwrap().into_vec::<f32>().unwrap()
    };
    let before = drawn(&run);
    assert!(before.iter().all(|value| value.is_finite()) && before.iter().any(|value| *value != before[0]));
    for written in [&own, &torch, &onnx] {
        zscape(&["convert", text(&run), text(written)]).assert().success();
    }
    for written in [&own, &torch] {
        assert_eq!(drawn(written), before, "{arguments:?}: {}", written.display());
    }
    let [was, back] = [&run, &torch].map(|model| json(&["info", text(model)]));
    assert_eq!(was, back, "{arguments:?}: the note comes back whole");
    let layers = json(&["layers", "--model", text(&torch), "--sample", "1", "--out", text(&path("layers.png"))]);
    let stages = layers["layers"].as_array().unwrap().len() / 2;
    let guided = ["guided", "--model", text(&run), "--data", "synth:rooms", "--count", "8", "--out"];
    let found = json(&[&guided[..], &[text(&path("guided.png"))]].concat());
    assert!(found["learnt"].as_array().is_some_and(|features| !features.is_empty()), "{arguments:?}");
    let picture = path("guided.png");
    let verdict = ["guided", "--model", text(&run), "--picture", text(&picture), "--out", text(&path("verdict.png"))]
        .map(str::to_owned);
    json(&verdict.each_ref().map(String::as_str));
    Boxes { size: 16, seed: 1, boxes: (0..6).map(|number| (number, vec![[2, 2, 8, 8]])).collect() }
        .write(&path("boxes.json"))
        .unwrap();
    let layer = format!("up{}", stages - 1);
    let boxed = path("boxes.json");
    let forgotten = path("forgotten.png");
    let forget = ["forget", "--model", text(&run), "--boxes", text(&boxed), "--samples", "8", "--top", "1"];
    let summary = json(&[&forget[..], &["--layer", &layer, "--out", text(&forgotten)]].concat());
    assert_eq!(summary["layer"], stages - 1);
    [&torch, &path("torch-discriminator.pth")].map(|file| record(file, "modules.py"))
}

#[test]
fn every_preset_trains_and_works_in_every_command() {
    for &preset in Preset::ALL {
        let [generator, discriminator] = goes_everywhere(&["--preset", preset.name()]);
        let has = |text: &str, what: &str| assert!(text.contains(what), "{preset}: {what} is not in {text}");
        match preset {
            Preset::Pytorch => {
                has(&generator, "nn.ConvTranspose2d(100, 4, 4, 1, 0, bias=False)");
                has(&generator, "nn.ConvTranspose2d(4, 2, 4, 2, 1, bias=False)");
                has(&discriminator, "nn.Conv2d(3, 2, 4, 2, 1, bias=False)");
            }
            Preset::Tensorflow => {
                has(
                    &generator,
                    "nn.Linear(100, 64, bias=True),\n    nn.Unflatten(1, (4, 4, 4)),\n    nn.BatchNorm2d(4,",
                );
                has(&generator, "nn.ConvTranspose2d(4, 2, 5, 2, 1, bias=True),\n    nn.ZeroPad2d((0, -1, 0, -1))");
                has(&discriminator, "nn.ZeroPad2d((0, 1, 0, 1)),\n    nn.Conv2d(3, 2, 5, 2, 1, bias=True)");
            }
            Preset::PaperImagenet => {
                has(&generator, "nn.ConvTranspose2d(4, 4, 3, 2, 1, output_padding=1, bias=False)");
                has(&generator, "nn.ConvTranspose2d(4, 2, 3, 1, 1, bias=False)");
                has(&discriminator, "nn.Conv2d(3, 2, 3, 1, 1, bias=False)");
            }
            Preset::Paper => has(&generator, "nn.ConvTranspose2d(4, 2, 5, 2, 2, output_padding=1, bias=False)"),
            Preset::AuthorsFaces | Preset::AuthorsSvhn => has(&generator, "nn.BatchNorm1d(64,"),
        }
    }
}

#[test]
fn networks_that_break_a_rule_work_in_every_command() {
    for (arguments, wanted) in [
        (&["--batch-norm", "everywhere"][..], "nn.BatchNorm2d(3, eps=1e-5),\n    nn.Tanh()"),
        (&["--activation", "leaky-relu"], "nn.LeakyReLU(0.2, True)"),
        (&["--activation", "tanh"], "nn.BatchNorm2d(2, eps=1e-5),\n    nn.Tanh()"),
        (&["--resampling", "pooling"], "nn.Upsample(scale_factor=2),\n    nn.ConvTranspose2d(4, 2, 4, 1, 1"),
        (&["--hidden", "6"], "nn.ConvTranspose2d(100, 6, 1, 1, 0, bias=False),\n    nn.BatchNorm2d(6"),
        (
            &["--init-std", "0.2", "--preset", "tensorflow", "--hidden", "6"],
            "nn.Linear(100, 6, bias=True),\n    nn.BatchNorm1d(6",
        ),
    ] {
        let [generator, _] = goes_everywhere(arguments);
        assert!(generator.contains(wanted), "{arguments:?}: {generator}");
    }
    let [generator, discriminator] =
        goes_everywhere(&["--batch-norm", "off", "--resampling", "pooling", "--kernel", "5"]);
    assert!(!generator.contains("BatchNorm") && !discriminator.contains("BatchNorm"), "{generator}{discriminator}");
    assert!(discriminator.contains("nn.Conv2d(3, 2, 5, 1, 2, bias=False),\n    nn.MaxPool2d(2)"), "{discriminator}");
}

#[test]
fn a_run_is_not_resumed_under_other_rules() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(&run, &["--batch-norm", "off", "--hidden", "5", "--activation", "tanh", "--init-std", "0.05"]);
    let config: RunConfig = toml::from_str(&std::fs::read_to_string(run.join("run.toml")).unwrap()).unwrap();
    let model = &config.model;
    assert_eq!((model.norms, model.hidden, model.activation), (NormPlacement::Off, 5, Activation::Tanh));
    assert_eq!(model.initial.weights, 0.05);
    assert!(!config.train.same_z && !model.unit_norm);
    zscape(&["train", "--run", text(&run), "--resume", "--steps", "3"]).assert().success();
    let refused = error(&["train", "--run", text(&run), "--resume", "--steps", "4", "--batch-norm", "on"]);
    assert!(refused.contains("norms"), "{refused}");
    let summary =
        String::from_utf8(zscape(&["info", text(&run)]).assert().success().get_output().stdout.clone()).unwrap();
    assert!(
        summary.contains("unlike the paper's plan: batch norm off, a fully connected hidden layer of 5 units"),
        "{summary}"
    );
}

#[test]
fn details_of_the_presets_sources_have_flags() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let details =
        ["--unit-norm", "true", "--unit-bias", "true", "--gain-std", "0", "--truncated", "true", "--same-z", "true"];
    train(&run, &[&details[..], &["--per-stage", "2", "--padding", "same", "--kernel", "3"]].concat());
    let config: RunConfig = toml::from_str(&std::fs::read_to_string(run.join("run.toml")).unwrap()).unwrap();
    let model = &config.model;
    assert!(model.unit_norm && model.unit_bias && model.initial.truncated && config.train.same_z);
    assert_eq!((model.initial.gains, model.per_stage, model.padding), (0.0, 2, Padding::Same));
}

#[test]
fn impossible_architectures_are_refused_with_an_alternative() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str]| {
        let run = folder.path().join("run");
        error(&[&["train", "--data", "synth:rooms", "--run", text(&run), "--size", "16"], arguments].concat())
    };
    assert!(refused(&["--hidden", "100000"]).contains("--hidden must be 0 (no hidden layer) to 8192"));
    assert!(refused(&["--per-stage", "3"]).contains("--per-stage must be 1 to 2"));
    assert!(refused(&["--kernel", "7"]).contains("--kernel must be 3"));
    assert!(refused(&["--init-std", "0"]).contains("deviation of initial weights must be above 0"));
}

#[test]
fn features_of_the_papers_imagenet_network_classify() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    train(&path("run"), &["--preset", "paper-imagenet"]);
    for (class, gray) in [("dark", 60), ("light", 200)] {
        std::fs::create_dir_all(path("set").join(class)).unwrap();
        for i in 0..20u8 {
            let bytes = (0..768u32).map(|p| gray - (p * u32::from(i + 3) % 40) as u8).collect();
            let picture = zscape::image::Picture::new(16, 16, 3, bytes);
            picture.write_png(&path("set").join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let (run, set) = (path("run"), path("set"));
    let summary = json(&["classify", "--model", text(&run), "--train", text(&set), "--test", text(&set)]);
    let features = summary["scored"].as_array().unwrap().iter().find(|one| one["features"] == (2 + 2 + 4 + 4) * 16);
    assert!(features.is_some(), "{summary}");
}

#[test]
fn presets_and_rules_can_be_chosen_in_the_window() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut harness = window(Start { data: Some("synth:rooms".into()), run: Some(run.clone()), ..Start::default() });
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    harness.get_by_label("The paper's rules").click();
    harness.run_steps(20);
    for choice in ["everywhere", "tanh", "pooling"] {
        harness.get_by_label(choice).click();
        harness.run_steps(3);
    }
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    harness.get_by_label("Start training").click();
    until(&mut harness, "the run", |_| run.join("run.toml").is_file());
    let config: RunConfig = toml::from_str(&std::fs::read_to_string(run.join("run.toml")).unwrap()).unwrap();
    let model = &config.model;
    let rules = (model.norms, model.activation, model.resampling);
    assert_eq!(rules, (NormPlacement::Everywhere, Activation::Tanh, Resampling::Pooling));
    until(&mut harness, "the training", |h| h.query_by_label("Stop").is_some());
    harness.get_by_label("Stop").click();
    until(&mut harness, "the end", |h| h.query_by_label("Pause").is_none());
}
