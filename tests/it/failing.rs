//! Trainings that fail raise an alarm and keep a checkpoint from before.

use std::path::Path;

use zscape::image::Picture;

use super::support::{json, stderr, text, zscape};

/// Sixteen small drawings, a red square on white in each: too few and too flat for a GAN.
fn flat(folder: &Path) -> String {
    for i in 0..16usize {
        let (across, down) = (4 + i * 7 % 8, 4 + i * 5 % 8);
        let red = |p: usize| (p % 16).abs_diff(across) < 3 && (p / 16).abs_diff(down) < 3;
        let pixels = (0..256).flat_map(|p| if red(p) { [200, 30, 30] } else { [255; 3] }).collect();
        Picture::new(16, 16, 3, pixels).write_png(&folder.join("flat").join(format!("{i}.png"))).unwrap();
    }
    text(&folder.join("flat")).to_owned()
}

/// The arguments of a training of small networks.
fn train<'a>(data: &'a str, run: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let small = ["train", "--json", "--device", "cpu", "--size", "16", "--base", "8", "--batch", "16", "--data", data];
    [&small[..], &["--run", run], more].concat()
}

fn troubles(summary: &serde_json::Value) -> Vec<&str> {
    let failing = summary["health"].as_array().unwrap().iter().filter(|health| health["health"] == "failing");
    failing.map(|alarm| alarm["trouble"].as_str().unwrap()).collect()
}

/// The markers of checkpoints kept from before an alarm, with their steps.
fn kept(run: &Path) -> Vec<(u64, String)> {
    let mark = |(step, folder): (u64, std::path::PathBuf)| {
        Some((step, std::fs::read_to_string(folder.join("before-alarm.txt")).ok()?))
    };
    zscape::model::checkpoints(&run.join("checkpoints")).into_iter().filter_map(mark).collect()
}

#[test]
fn collapse_is_reported_and_early_checkpoints_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (flat(folder.path()), folder.path().join("run"));
    let more = ["--steps", "1400", "--save-every", "200", "--keep-last", "1"];
    let mut command = zscape(&train(&data, text(&run), &more));
    let summary = json(&mut command);
    assert_eq!(summary["finished"], true);
    let found = troubles(&summary);
    for trouble in ["set-too-small", "samples-alike", "discriminator-won"] {
        assert!(found.contains(&trouble), "{trouble}: {found:?}");
    }
    assert!(summary["failing"].as_array().unwrap().len() >= 2, "{summary}");
    let marks = kept(&run);
    assert!(marks.iter().any(|(step, why)| *step == 0 && why.contains("mode collapse")), "{marks:?}");
    assert!(marks.iter().any(|(step, why)| (200..1200).contains(step) && why.contains("has won")), "{marks:?}");
    let log = std::fs::read_to_string(run.join("health.log")).unwrap();
    assert!(log.contains("--noise 0.2") && log.contains("--back-to 0"), "{log}");
    assert!(!run.join("unfinished.txt").exists());
}

#[test]
fn an_exploded_run_continues_from_before_with_a_lower_rate() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (flat(folder.path()), folder.path().join("run"));
    let errors = stderr(&mut zscape(&train(&data, text(&run), &["--steps", "60", "--lr", "0.5"])), 0);
    assert!(errors.contains("the training diverges") && errors.contains("--resume --back-to 0"), "{errors}");
    assert!(kept(&run)[0].0 == 0 && kept(&run)[0].1.contains("diverges"), "{:?}", kept(&run));
    let back =
        ["--resume", "--back-to", "0", "--steps", "20", "--lr", "2e-4", "--noise", "0.2", "--noise-steps", "3000"];
    let summary = json(&mut zscape(&train(&data, text(&run), &back)));
    assert_eq!((summary["step"].as_u64(), troubles(&summary)), (Some(20), vec!["set-too-small"]));
    assert!(run.join("checkpoints/abandoned-step-00000060").exists());
    let state = std::fs::read_to_string(run.join("checkpoints/step-00000020/state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["noise"][1], 3000, "{state}");
    assert_eq!(state["generator_rate"], 2e-4);
    let lines = zscape::train::MetricsLog::read(&run.join("metrics.csv")).unwrap();
    assert_eq!(lines.iter().map(|line| line.step).collect::<Vec<_>>(), (1..=20).collect::<Vec<_>>());
    let nowhere = ["--resume", "--back-to", "7", "--steps", "30"];
    let refused = stderr(&mut zscape(&train(&data, text(&run), &nowhere)), 1);
    assert!(refused.contains("no checkpoint of step 7") && refused.contains("0, 20"), "{refused}");
}

#[test]
fn healthy_runs_raise_no_alarm() {
    let folder = tempfile::tempdir().unwrap();
    for scene in ["synth:rooms", "synth:faces"] {
        let run = folder.path().join(scene.replace(':', "-"));
        let summary = json(&mut zscape(&train(scene, text(&run), &["--steps", "300"])));
        assert_eq!(summary["health"], serde_json::json!([]), "{scene}");
        assert_eq!(kept(&run), []);
    }
}

#[test]
fn a_training_that_exceeds_memory_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let huge = [
        "train",
        "--device",
        "cpu",
        "--data",
        "synth:rooms",
        "--base",
        "512",
        "--batch",
        "1000000",
        "--run",
        text(&run),
    ];
    let refused = stderr(&mut zscape(&huge), 1);
    #[cfg(target_os = "linux")]
    {
        assert!(refused.contains("GiB of memory") && refused.contains("--batch"), "{refused}");
        assert!(!run.exists());
    }
    assert!(!refused.is_empty());
}

#[test]
fn a_run_killed_before_it_could_save_is_reported_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (flat(folder.path()), folder.path().join("run"));
    zscape(&train(&data, text(&run), &["--steps", "2"])).assert().success();
    std::fs::write(run.join("unfinished.txt"), "").unwrap();
    let errors = stderr(&mut zscape(&train(&data, text(&run), &["--steps", "3", "--resume"])), 0);
    assert!(errors.contains("before it could save") && errors.contains("MiB"), "{errors}");
    assert!(!run.join("unfinished.txt").exists());
}
