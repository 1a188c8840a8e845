//! A refused start leaves nothing behind, and runs recover from damage.

use std::path::{Path, PathBuf};

use zscape::image::Picture;

use super::support::{json, stderr, text, zscape};

/// Writes pictures of these names into a folder.
fn pictures(folder: &Path, names: &[&str]) {
    for (i, name) in names.iter().enumerate() {
        let pixels = (0..16 * 16 * 3).map(|p| (p % 251) as u8 ^ (i as u8 * 20)).collect();
        Picture::new(16, 16, 3, pixels).write_png(&folder.join(name)).unwrap();
    }
}

const NAMES: [&str; 8] = ["0.png", "1.png", "2.png", "3.png", "4.png", "5.png", "6.png", "7.png"];

/// A training of a tiny network, started in `here`.
fn train(here: &Path, rest: &[&str]) -> assert_cmd::Command {
    let mut command = zscape(&["train", "--device", "cpu"]);
    command.current_dir(here).args(rest);
    command
}

const TINY: [&str; 4] = ["--size", "16", "--base", "4"];

#[test]
fn a_refused_start_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(&here.join("pics"), &NAMES);
    let start = |data: &str, more: &[&str]| {
        let mut command = train(here, &["--data", data, "--run", "runs/one", "--steps", "2"]);
        command.args(TINY).args(more);
        command
    };
    let left = || here.join("runs").exists();
    let small = stderr(&mut start("pics", &["--batch", "64"]), 1);
    assert!(small.contains("8 usable pictures, fewer than one batch of 64") && !left(), "{small}");
    assert!(stderr(&mut start("nowhere", &["--batch", "4"]), 1).contains("nowhere") && !left());
    assert!(stderr(&mut start("synth:rooms", &["--epochs", "2"]), 2).contains("--epochs") && !left());
    // Found out only with the first batch.
    for name in NAMES {
        std::fs::create_dir_all(here.join("broken")).unwrap();
        std::fs::write(here.join("broken").join(name), "no picture").unwrap();
    }
    assert!(stderr(&mut start("broken", &["--batch", "4"]), 1).contains("0 usable pictures") || !left());
    assert!(!left(), "no run remains if all pictures are broken");
    stderr(&mut start("pics", &["--batch", "4"]), 0);
    let again = stderr(&mut start("pics", &["--batch", "4"]), 1);
    assert!(again.contains("already holds a run"), "{again}");
}

#[test]
fn a_run_without_a_step_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    pictures(&here.join("pics"), &NAMES);
    let idle = || {
        let run = here.join("run");
        std::fs::create_dir_all(run.join("checkpoints")).unwrap();
        let config = zscape::train::RunConfig::preset(zscape::model::Preset::Pytorch, "pics");
        std::fs::write(run.join("run.toml"), toml::to_string(&config).unwrap()).unwrap();
    };
    for how in [&[][..], &["--resume"]] {
        idle();
        let mut command = train(here, &["--data", "pics", "--run", "run", "--batch", "4", "--steps", "1"]);
        let summary = stderr(command.args(TINY).args(how), 0);
        assert!(summary.contains("without any step; this run replaces it"), "{summary}");
        std::fs::remove_dir_all(here.join("run")).unwrap();
    }
}

#[test]
fn a_run_finds_its_pictures_from_any_folder_and_after_a_move() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_owned();
    let elsewhere = here.join("else/where");
    std::fs::create_dir_all(&elsewhere).unwrap();
    pictures(&here.join("pics"), &NAMES);
    let run = here.join("run");
    let mut begin = train(&here, &["--data", "./pics/", "--run", "run", "--batch", "4", "--steps", "2"]);
    stderr(begin.args(TINY), 0);
    let mut last = 2;
    let mut resume = |from: &Path, more: &[&str], code: i32| {
        last += 1;
        let steps = last.to_string();
        stderr(train(from, &["--run", text(&run), "--resume", "--steps", &steps]).args(more), code)
    };
    resume(&elsewhere, &[], 0);
    for same in ["pics", "pics/", "./pics", "pics/../pics", text(&here.join("pics"))] {
        let summary = resume(&here, &["--data", same], 0);
        assert!(!summary.contains("have moved") && !summary.contains("have changed"), "{same}: {summary}");
    }

    std::fs::rename(here.join("pics"), here.join("moved")).unwrap();
    let gone = resume(&here, &[], 1);
    assert!(gone.contains("--resume --data NEW"), "{gone}");
    pictures(&here.join("others"), &["0.png", "1.png", "2.png", "3.png", "4.png", "8.png", "9.png"]);
    let others = resume(&here, &["--data", "others"], 1);
    assert!(others.contains("3 are missing (5.png, 6.png, 7.png)") && others.contains("2 are new"), "{others}");
    let moved = resume(&elsewhere, &["--data", "../../moved"], 0);
    assert!(moved.contains("have moved"), "{moved}");
    let summary = resume(&elsewhere, &[], 0);
    assert!(!summary.contains("have moved"), "the new place is known now: {summary}");

    std::fs::remove_file(here.join("moved/3.png")).unwrap();
    let changed = resume(&elsewhere, &[], 0);
    assert!(changed.contains("1 is missing (3.png)"), "{changed}");
}

/// A run of synthetic rooms with checkpoints of the steps 2, 4 and 6.
fn rooms(here: &Path) -> PathBuf {
    let run = here.join("run");
    let rest = ["--data", "synth:rooms", "--run", text(&run), "--batch", "4", "--steps", "6", "--save-every", "2"];
    stderr(train(here, &rest).args(TINY).args(["--l2", "1e-5"]), 0);
    run
}

fn damage(run: &Path, step: u64) {
    let path = run.join(format!("checkpoints/step-{step:08}/model.safetensors"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn commands_skip_damaged_checkpoints_and_report_them() {
    let folder = tempfile::tempdir().unwrap();
    let run = rooms(folder.path());
    let (whole, damaged) = (folder.path().join("4.png"), folder.path().join("6.png"));
    let checkpoint = run.join("checkpoints/step-00000004");
    json(&mut zscape(&["sample", "--device", "cpu", "--json", "--model", text(&checkpoint), "--out", text(&whole)]));
    damage(&run, 6);
    let mut sample = zscape(&["sample", "--device", "cpu", "--json", "--model", text(&run), "--out", text(&damaged)]);
    let summary = json(&mut sample);
    let warning = summary["warnings"][0].as_str().unwrap();
    assert!(warning.contains("step-00000006") && warning.contains("step 4 is used instead"), "{warning}");
    assert_eq!(std::fs::read(&whole).unwrap(), std::fs::read(&damaged).unwrap());
    let info = zscape(&["info", text(&run)]).assert().success().get_output().clone();
    let (text_out, errors) = (String::from_utf8(info.stdout).unwrap(), String::from_utf8(info.stderr).unwrap());
    assert!(text_out.contains("for 4 steps") && errors.contains("step 4 is used instead"), "{text_out} {errors}");
    let mean = format!("{}@average=2", text(&run));
    assert_eq!(json(&mut zscape(&["info", "--json", &mean]))["provenance"]["averaged"], 2, "of steps 2 and 4");
    // The damaged one by its own name is refused.
    stderr(&mut zscape(&["info", text(&run.join("checkpoints/step-00000006"))]), 1);
    [2, 4].iter().for_each(|step| damage(&run, *step));
    let none = stderr(&mut zscape(&["info", text(&run)]), 1);
    assert!(none.contains("none of the 3 checkpoints") && none.contains("step-00000006"), "{none}");
}

#[test]
fn lost_settings_are_rebuilt_from_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = rooms(folder.path());
    let settings = run.join("run.toml");
    let before = std::fs::read_to_string(&settings).unwrap();
    let resume =
        |steps: &str| stderr(&mut train(folder.path(), &["--run", text(&run), "--resume", "--steps", steps]), 0);
    for (damage, steps) in [("", "7"), ("data = [", "8")] {
        std::fs::write(&settings, damage).unwrap();
        let summary = resume(steps);
        assert!(summary.contains("cannot read run.toml") && summary.contains("checkpoint of step"), "{summary}");
        assert_eq!(std::fs::read_to_string(&settings).unwrap(), before);
    }
    // Old checkpoints without a copy of the settings: what they do not store is the preset's, which is reported.
    for (_, checkpoint) in zscape::model::checkpoints(&run.join("checkpoints")) {
        std::fs::remove_file(checkpoint.join("run.toml")).unwrap();
    }
    std::fs::remove_file(&settings).unwrap();
    let summary = resume("9");
    assert!(summary.contains("the batch") && summary.contains("set to the preset pytorch"), "{summary}");
    let after = std::fs::read_to_string(&settings).unwrap();
    assert!(after.contains("batch = 4") && after.contains("decay = 0.0") && after.contains("base = 4"), "{after}");
}

#[test]
fn the_file_extension_decides_the_format() {
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name);
    let sample = |name: &str| {
        let out = format!("{}/{name}", folder.path().display());
        zscape(&[
            "sample",
            "--device",
            "cpu",
            "--model",
            "bundled:faces",
            "--count",
            "3",
            "--first",
            "5",
            "--out",
            &out,
        ])
    };
    for place in ["new", "new.d/"] {
        sample(place).assert().success();
        let mut names: Vec<_> = std::fs::read_dir(out(place)).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["000005.png", "000006.png", "000007.png"]);
    }
    assert_eq!(Picture::read(&out("new/000006.png")).unwrap().width(), 64);
    sample("grid.jpg").assert().success();
    assert!(std::fs::read(out("grid.jpg")).unwrap().starts_with(&[0xff, 0xd8, 0xff]));
    for (command, name) in
        [("sample", "grid.xyz"), ("sample", "grid.gif"), ("directions", "strip.pdf"), ("directions", "new")]
    {
        let path = out(name);
        let errors =
            stderr(&mut zscape(&[command, "--device", "cpu", "--model", "no-such-model", "--out", text(&path)]), 2);
        assert!(errors.contains(".png, .jpg"), "{errors}");
        assert!(!path.is_file());
    }
    let walk = stderr(&mut zscape(&["walk", "--model", "no-such-model", "--out", "walk.avi"]), 2);
    assert!(walk.contains(".mp4") && walk.contains(".png"), "{walk}");
}

#[test]
fn an_unknown_import_setting_lists_the_known_ones() {
    let refused = |name: &str| stderr(&mut zscape(&["info", name]), 1);
    let prior = refused("bundled:faces@prior=gauss");
    assert!(prior.contains("it must be uniform or normal"), "{prior}");
    let key = refused("bundled:faces@smoothing=3");
    assert!(key.contains("smoothing") && key.contains("average=") && key.contains("prior="), "{key}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_window_that_cannot_open_explains_why() {
    let folder = tempfile::tempdir().unwrap();
    let bare = |arguments: &[&str], display: Option<&str>| {
        let mut command = zscape(arguments);
        command.env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY").env_remove("WAYLAND_SOCKET");
        command.env("HOME", folder.path()).env("XDG_RUNTIME_DIR", folder.path());
        if let Some(display) = display {
            command.env("DISPLAY", display);
        }
        command
    };
    let none = stderr(&mut bare(&["gui", "--device", "cpu"], None), 1);
    assert!(none.contains("DISPLAY is not set") && none.contains("xvfb-run"), "{none}");
    let stale = stderr(bare(&["gui", "--device", "cpu"], Some(":58321")).env("WAYLAND_DISPLAY", "stale"), 1);
    assert!(stale.contains(":58321") && stale.contains("stale"), "{stale}");
    assert!(![none, stale].iter().any(|said| said.contains(".rs:") || said.contains(".cargo")));
    let summary = json(&mut bare(&["doctor", "--json", "--device", "cpu"], None));
    assert!(summary["window_error"].as_str().unwrap().contains("DISPLAY is not set"), "{summary}");
    assert_eq!(
        (&summary["steps"][0]["error"], &summary["steps"][0]["kind"]),
        (&serde_json::Value::Null, &"cpu".into())
    );
}
