//! Commands on real files.

use std::path::Path;

use zscape::image::Picture;

use super::support::{json, stderr, stdout, text, zscape};

/// A folder of small pictures, one of them broken, and a run trained on it.
fn trained(folder: &Path) -> (String, String) {
    let pictures = folder.join("pictures");
    for i in 0..12u8 {
        let pixels = (0..24 * 20 * 3).map(|p| (p % 251) as u8 ^ (i * 20)).collect();
        let class = if i % 2 == 0 { "even" } else { "odd" };
        Picture::new(24, 20, 3, pixels).write_png(&pictures.join(class).join(format!("{i}.png"))).unwrap();
    }
    std::fs::write(pictures.join("odd/broken.png"), "this is no picture").unwrap();
    let (data, run) = (text(&pictures).to_owned(), text(&folder.join("run")).to_owned());
    let errors = stderr(
        &mut zscape(&[
            "train",
            "--device",
            "cpu",
            "--data",
            &data,
            "--run",
            &run,
            "--size",
            "16",
            "--base",
            "4",
            "--batch",
            "4",
            "--steps",
            "6",
            "--save-every",
            "3",
            "--preview-every",
            "2",
        ]),
        0,
    );
    assert!(errors.contains("odd/broken.png"), "the broken picture is named: {errors}");
    (data, run)
}

#[test]
fn a_model_trained_on_a_folder_samples() {
    let folder = tempfile::tempdir().unwrap();
    let (_, run) = trained(folder.path());
    let place = Path::new(&run);
    assert!(place.join("samples/step-00000006.png").is_file());
    let lines = std::fs::read_to_string(place.join("metrics.csv")).unwrap();
    assert_eq!(lines.lines().count(), 7, "a header and six steps: {lines}");

    let info = json(&mut zscape(&["info", "--json", &run]));
    assert_eq!(info["config"]["size"], 16);
    assert_eq!(info["provenance"]["steps"], 6);
    assert!(stdout(&mut zscape(&["info", &run])).contains("generator: "));

    let (all, some) = (folder.path().join("all.png"), folder.path().join("some.png"));
    let tensor = |name: &str| folder.path().join(name);
    zscape(&["sample", "--device", "cpu", "--model", &run, "--count", "5", "--tensor", text(&tensor("all.npy"))])
        .args(["--out", text(&all)])
        .assert()
        .success();
    zscape(&["sample", "--device", "cpu", "--model", &run, "--count", "2", "--first", "3"])
        .args(["--tensor", text(&tensor("some.npy")), "--out", text(&some)])
        .assert()
        .success();
    let read = |path: &Path| {
        let npy = npyz::NpyFile::new(std::fs::File::open(path).unwrap()).unwrap();
        (npy.shape().to_vec(), npy.into_vec::<f32>().unwrap())
    };
    let ((all_shape, all_values), (_, some_values)) = (read(&tensor("all.npy")), read(&tensor("some.npy")));
    assert_eq!(all_shape, [5, 3, 16, 16]);
    for (a, b) in all_values[3 * 768..].iter().zip(&some_values) {
        assert!((a - b).abs() < 1e-5, "sample 3 does not depend on its batch");
    }
    let sheet = Picture::read(&all).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (5 * 16 + 4 * 2, 16));
}

#[test]
fn z_from_a_file_renders_the_picture_of_that_z() {
    use npyz::WriterBuilder;
    let folder = tempfile::tempdir().unwrap();
    let (_, run) = trained(folder.path());
    let z = zscape::latent::sample_z(zscape::model::Prior::Normal, 100, 1, 2);
    let path = folder.path().join("z.npy");
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&[1, 100]).writer(file).begin_nd().unwrap();
    writer.extend(z).unwrap();
    writer.finish().unwrap();
    let (by_file, by_number) = (folder.path().join("a.png"), folder.path().join("b.png"));
    let sample = |rest: &[&str]| zscape(&["sample", "--device", "cpu", "--model", &run]).args(rest).assert().success();
    sample(&["--z", text(&path), "--out", text(&by_file)]);
    sample(&["--first", "2", "--count", "1", "--out", text(&by_number)]);
    assert_eq!(Picture::read(&by_file).unwrap(), Picture::read(&by_number).unwrap());
}

#[test]
fn resuming_with_other_settings_names_the_setting() {
    let folder = tempfile::tempdir().unwrap();
    let (_, run) = trained(folder.path());
    let errors = stderr(&mut zscape(&["train", "--device", "cpu", "--run", &run, "--resume", "--base", "8"]), 1);
    assert!(errors.contains("model.base: 4, not 8"), "{errors}");
    let summary = json(&mut zscape(&["train", "--device", "cpu", "--json", "--run", &run, "--resume", "--steps", "8"]));
    assert_eq!((&summary["finished"], &summary["step"]), (&true.into(), &8.into()));
}

#[test]
fn errors_name_the_file_and_say_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let train = |data: &str| {
        stderr(&mut zscape(&["train", "--device", "cpu", "--data", data, "--run", text(&run), "--size", "16"]), 1)
    };
    assert!(train("no/such/folder").contains("no/such/folder does not exist"));
    assert!(train("synth:gardens").contains("synth:rooms"));
    let few = folder.path().join("few");
    Picture::new(4, 4, 1, vec![0; 16]).write_png(&few.join("a.png")).unwrap();
    let message = train(text(&few));
    assert!(message.contains("fewer than one batch of 64") && message.contains("--batch"), "{message}");
    for (flag, value) in [("--noise", "1.5"), ("--noise", "-0.1"), ("--lr", "0"), ("--generator-lr", "NaN")] {
        let message =
            stderr(&mut zscape(&["train", "--data", "synth:rooms", &format!("{flag}={value}"), "--run", "r"]), 2);
        assert!(message.contains(flag) && message.contains(value), "{message}");
    }

    let damaged = folder.path().join("damaged.safetensors");
    std::fs::write(&damaged, "not a model").unwrap();
    let message = stderr(&mut zscape(&["info", text(&damaged)]), 1);
    assert!(message.contains("damaged.safetensors") && !message.contains("panicked"), "{message}");
    let usage = stderr(&mut zscape(&["train", "--run", "x"]), 2);
    assert!(usage.contains("--data"), "{usage}");
}

#[test]
fn synthetic_sets_include_ground_truth() {
    let folder = tempfile::tempdir().unwrap();
    for scene in ["rooms", "faces"] {
        let out = folder.path().join(scene);
        zscape(&["synth", scene, "--count", "6", "--size", "32", "--out", text(&out)]).assert().success();
        let truth = std::fs::read_to_string(out.join("truth.jsonl")).unwrap();
        assert_eq!(truth.lines().count(), 6);
        for line in truth.lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            let picture = Picture::read(&out.join(line["file"].as_str().unwrap())).unwrap();
            assert_eq!((picture.width(), picture.channels()), (32, 3));
        }
    }
}

#[test]
fn doctor_prints_the_device_that_will_be_used() {
    let found = json(&mut zscape(&["doctor", "--json", "--device", "cpu"]));
    assert_eq!(found["compute"]["kind"], "cpu");
    assert!(stdout(&mut zscape(&["doctor"])).contains("Computing: "));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command = std::process::Command::new(assert_cmd::cargo::cargo_bin!("zscape"));
    command
        .args(["train", "--device", "cpu", "--data", "synth:rooms", "--size", "16", "--base", "4", "--batch", "4"])
        .args(["--run", text(&run)])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null());
    let mut child = super::child::Running::start(&mut command);
    let metrics = run.join("metrics.csv");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while std::fs::metadata(&metrics).map_or(0, |file| file.len()) < 500 {
        assert!(std::time::Instant::now() < deadline, "no steps were taken");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.interrupt();
    let output = child.output();
    assert!(output.status.success(), "Ctrl-C is a way to end, not a failure");
    assert!(String::from_utf8_lossy(&output.stdout).contains("stopped after step"));
    let saved = std::fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert_eq!(saved, 1);
}

#[test]
fn walks_arithmetic_directions_and_projections_are_repeatable() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| text(&folder.path().join(name)).to_owned();
    let model = ["--model", "bundled:faces", "--device", "cpu", "--json"];
    let run = |command: &str, rest: &[&str]| json(&mut zscape(&[&[command], &model[..], rest].concat()));

    let walk = run("walk", &["--points", "3", "--steps", "5", "--loop", "--out", &path("walk.png")]);
    assert_eq!((&walk["legs"], &walk["frames"]), (&3.into(), &12.into()));
    let strip = Picture::read(&folder.path().join("walk.png")).unwrap();
    assert_eq!((strip.width(), strip.height()), (5 * 66 - 2, 3 * 66 - 2));
    run("walk", &["--visit", "4,9", "--steps", "3", "--out", &path("frames")]);
    assert_eq!(std::fs::read_dir(folder.path().join("frames")).unwrap().count(), 3);
    run("walk", &["--visit", "4,9", "--steps", "3", "--slerp", "--out", &path("walk.gif")]);
    assert!(std::fs::read(folder.path().join("walk.gif")).unwrap().starts_with(b"GIF89a"));

    run("walk", &["--visit", "4,9", "--steps", "3", "--out", &path("walk.mp4")]);
    assert_eq!(&std::fs::read(folder.path().join("walk.mp4")).unwrap()[4..8], b"ftyp");

    let sum = ["--plus", "3,17,42", "--minus", "5,8,9", "--plus", "11,12,30", "--out"];
    let first = run("arithmetic", &[&sum[..], &[&path("a.png")]].concat());
    let second = run("arithmetic", &[&sum[..], &[&path("b.png")]].concat());
    assert_eq!(first["z"], second["z"]);
    assert_eq!(
        std::fs::read(folder.path().join("a.png")).unwrap(),
        std::fs::read(folder.path().join("b.png")).unwrap()
    );
    assert!(first["fit"]["deviations"].is_number());
    run("arithmetic", &[&sum[..], &[&path("maps.png"), "--maps"]].concat());
    let [plain, maps] = ["a.png", "maps.png"].map(|name| Picture::read(&folder.path().join(name)).unwrap());
    assert_eq!((maps.width(), maps.height()), (plain.width(), plain.height() + 64 + 16));
    let row = |y: usize| &maps.pixels()[y * maps.width() * 3..][..4 * 66 * 3];
    let shown: std::collections::BTreeSet<&[u8]> = row(maps.height() - 32).chunks(66 * 3).collect();
    assert_eq!(shown.len(), 4, "each layer's sum is a different picture");
    run("arithmetic", &["--from", "1,2", "--to", "3,4", "--on", "5,6", "--out", &path("turn.png")]);
    assert_eq!(Picture::read(&folder.path().join("turn.png")).unwrap().width(), 11 * 66 - 2);

    let found = run("directions", &["--method", "sefa", "--count", "2", "--out", &path("directions.png")]);
    assert_eq!(found["directions"].as_array().unwrap().len(), 2);

    run("sample", &["--count", "1", "--first", "77", "--out", &path("own.png")]);
    let own = path("own.png");
    let project = ["--picture", &own, "--steps", "60", "--restarts", "8", "--out", &path("photo.png")];
    let photo = run("project", &project);
    assert_eq!(photo["z"].as_array().unwrap().len(), 100);
    assert!(photo["drawable"].as_bool().unwrap(), "its own sample: {}", photo["error"]);
}

#[test]
fn a_session_replays_to_the_same_picture() {
    use zscape::latent::session::{Point, Session};
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut session = Session::new("bundled:rooms".into());
    session.seed = 4;
    session.walk.keyframes = [2, 7].map(|number| Point::Sample { seed: 4, number }).to_vec();
    for (tray, number) in [(0, 1), (1, 2), (2, 3)] {
        session.trays[tray].members.push(Point::Sample { seed: 4, number });
    }
    session.write(&path("a.zscape")).unwrap();
    let pairs = [("walk", vec!["--visit", "2,7"]), ("arithmetic", vec!["--plus", "1", "--minus", "2", "--plus", "3"])];
    for (command, by_hand) in pairs {
        let (a, b) = (path("a.png"), path("b.png"));
        zscape(&[command, "--session", text(&path("a.zscape")), "--out", text(&a)]).assert().success();
        let rest = [&[command, "--model", "bundled:rooms", "--seed", "4", "--out", text(&b)], &by_hand[..]].concat();
        zscape(&rest).assert().success();
        assert_eq!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap(), "{command}");
    }
    std::fs::write(path("broken.zscape"), "{").unwrap();
    let errors = stderr(&mut zscape(&["walk", "--session", text(&path("broken.zscape")), "--out", "x.png"]), 1);
    assert!(errors.contains("broken.zscape"), "{errors}");
    session.model = path("gone.safetensors");
    session.write(&path("lost.zscape")).unwrap();
    let errors = stderr(&mut zscape(&["walk", "--session", text(&path("lost.zscape")), "--out", "x.png"]), 1);
    assert!(errors.contains("gone.safetensors"), "{errors}");
}

#[test]
fn impossible_walks_and_arithmetic_explain_why() {
    let model = ["--model", "bundled:faces", "--device", "cpu"];
    let run = |command: &str, rest: &[&str], code| stderr(&mut zscape(&[&[command], &model[..], rest].concat()), code);
    assert!(run("walk", &["--out", "a.avi"], 2).contains(".mp4"));
    assert!(run("walk", &["--visit", "3", "--out", "a.png"], 1).contains("at least two"));
    assert!(run("arithmetic", &["--plus", "3,x", "--out", "a.png"], 2).contains("is not a number"));
    assert!(run("arithmetic", &["--out", "a.png"], 2).contains("--plus"));
    assert!(run("project", &["--picture", "no/such.png", "--out", "a.png"], 1).contains("no/such.png"));
    let unknown = stderr(&mut zscape(&["walk", "--model", "bundled:cats", "--out", "a.png"]), 1);
    assert!(unknown.contains("bundled:rooms"), "{unknown}");
}

#[test]
fn arithmetic_is_scored_against_ground_truth() {
    let folder = tempfile::tempdir().unwrap();
    let (run, figure) = (folder.path().join("run"), folder.path().join("figure.png"));
    zscape(&["train", "--device", "cpu", "--data", "synth:faces", "--size", "16", "--base", "8", "--batch", "16"])
        .args(["--steps", "60", "--run", text(&run)])
        .assert()
        .success();
    let score = |model: &str, rest: &[&str]| {
        zscape(&[&["arithmetic", "--score", "--device", "cpu", "--model", model], rest].concat())
    };
    // A classifier trained so briefly is hardly ever certain, and need not be here.
    let small = ["--triples", "8", "--turns", "1", "--pool", "256", "--fit-steps", "40", "--sure", "0.5"];
    let rest = ["--rows", "2", "--json", "--out", text(&figure)];
    let reply = json(&mut score(text(&run), &[&small[..], &rest].concat()));
    let list = |name: &str| reply[name].as_array().unwrap().clone();
    assert_eq!((list("triples").len(), list("expected").len(), list("scored").len()), (8, 8, 10));
    for scored in list("scored") {
        let outcomes = scored["outcomes"].as_array().unwrap();
        let both = outcomes.iter().filter(|one| one["obtained"] == true && one["kept"] == true).count();
        assert_eq!((outcomes.len(), &scored["success"]["hits"]), (8, &both.into()));
        assert!(scored["success"]["high"].as_f64().unwrap() <= 1.0);
    }
    assert_eq!(reply["judge"]["told"].as_array().unwrap().len(), 6);
    assert!(Picture::read(&figure).unwrap().width() > 13 * 16);
    let more = json(&mut score(text(&run), &[&small[..], &["--exemplars", "5", "--json"]].concat()));
    assert_eq!(more["triples"][0]["samples"][2].as_array().unwrap().len(), 5);
    assert_eq!((&more["scored"][0]["exemplars"], &more["scored"][9]["exemplars"]), (&1.into(), &5.into()));
    let errors = stderr(&mut score(text(&run), &[&small[..], &["--exemplars", "100"]].concat()), 1);
    assert!(errors.contains("no triple has 100 exemplars"), "{errors}");

    let errors = stderr(&mut score("bundled:rooms", &small), 1);
    assert!(errors.contains("synth:faces") && errors.contains("synth:rooms"), "{errors}");
    let errors = stderr(&mut zscape(&["arithmetic", "--model", "bundled:faces", "--score", "--plus", "1"]), 2);
    assert!(errors.contains("--plus"), "{errors}");
    let errors = stderr(&mut zscape(&["arithmetic", "--model", "bundled:faces", "--plus", "1"]), 2);
    assert!(errors.contains("--out"), "{errors}");
}

#[test]
fn bench_prints_positive_times() {
    let reply =
        json(&mut zscape(&["bench", "--device", "cpu", "--base", "4", "--batch", "4", "--steps", "2", "--json"]));
    let times = ["latency_ms_median", "latency_ms_95", "gallery256_ms", "read250_per_s", "read1000_per_s"];
    for what in ["step_ms", "images_per_s", "infer1_ms", "infer64_ms"].into_iter().chain(times) {
        assert!(reply[what].as_f64().unwrap() > 0.0, "{what}");
    }
}

#[test]
fn commands_have_their_standard_names_as_aliases() {
    for (alias, command) in [
        ("ablate", "forget"),
        ("benchmark", "bench"),
        ("duplicates", "dedup"),
        ("feature-maps", "layers"),
        ("guided-backprop", "guided"),
        ("interpolate", "walk"),
        ("invert", "project"),
        ("linear-probe", "classify"),
        ("nearest", "neighbours"),
        ("render", "synth"),
        ("train-segmenter", "finder"),
    ] {
        let [by_alias, by_name] = [alias, command].map(|name| stdout(&mut zscape(&[name, "--help"])));
        assert_eq!(by_alias, by_name, "{alias}");
    }
    let help = stdout(&mut zscape(&["--help"]));
    assert!(help.contains("ablate") && help.contains("train-segmenter"), "{help}");
}
