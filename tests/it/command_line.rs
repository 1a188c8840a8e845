//! The command line on real files.

use std::path::Path;

use assert_cmd::Command;
use zscape::image::Picture;

fn zscape(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("zscape"));
    command.args(arguments).timeout(std::time::Duration::from_secs(300));
    command
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn stderr(command: &mut Command, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

fn json(command: &mut Command) -> serde_json::Value {
    let output = command.assert().success().get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

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
fn a_folder_of_pictures_becomes_a_model_that_samples() {
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
        assert!((a - b).abs() < 1e-5, "sample 3 is the same in any company");
    }
    let sheet = Picture::read(&all).unwrap();
    assert_eq!((sheet.width(), sheet.height()), (5 * 16 + 4 * 2, 16));
}

#[test]
fn z_from_a_file_draws_the_picture_of_that_z() {
    use npyz::WriterBuilder;
    let folder = tempfile::tempdir().unwrap();
    let (_, run) = trained(folder.path());
    let z = zscape::latent::numbered(zscape::model::Prior::Normal, 100, 1, 2);
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
fn a_resumed_run_with_other_settings_is_refused_by_name() {
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

    let damaged = folder.path().join("damaged.safetensors");
    std::fs::write(&damaged, "not a model").unwrap();
    let message = stderr(&mut zscape(&["info", text(&damaged)]), 1);
    assert!(message.contains("damaged.safetensors") && !message.contains("panicked"), "{message}");
    let usage = stderr(&mut zscape(&["train", "--run", "x"]), 2);
    assert!(usage.contains("--data"), "{usage}");
}

#[test]
fn synthetic_sets_come_with_their_truth() {
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
fn the_doctor_says_what_will_be_used() {
    let found = json(&mut zscape(&["doctor", "--json", "--device", "cpu"]));
    assert_eq!(found["compute"]["kind"], "cpu");
    assert!(stdout(&mut zscape(&["doctor"])).contains("Computing: "));
}

#[cfg(unix)]
#[test]
fn ctrl_c_saves_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let child = std::process::Command::new(assert_cmd::cargo::cargo_bin!("zscape"))
        .args(["train", "--device", "cpu", "--data", "synth:rooms", "--size", "16", "--base", "4", "--batch", "4"])
        .args(["--run", text(&run)])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let metrics = run.join("metrics.csv");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while std::fs::metadata(&metrics).map_or(0, |file| file.len()) < 500 {
        assert!(std::time::Instant::now() < deadline, "no steps were taken");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let interrupt = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "Ctrl-C is a way to end, not a failure");
    assert!(String::from_utf8_lossy(&output.stdout).contains("stopped after step"));
    let saved = std::fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert_eq!(saved, 1);
}
