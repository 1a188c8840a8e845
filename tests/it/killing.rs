//! A run killed at any moment, even while it saves, resumes from its last complete checkpoint.
#![cfg(unix)]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};

use super::child::Running;

const KILLS: u64 = 16;

fn start(run: &Path, resume: bool) -> Running {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("zscape"));
    command.args(["train", "--device", "cpu", "--save-every", "1", "--run"]).arg(run);
    if resume {
        command.arg("--resume");
    } else {
        command.args(["--data", "synth:faces", "--size", "16", "--base", "8", "--batch", "4"]);
    }
    Running::start(command.stdout(Stdio::null()).stderr(Stdio::piped()))
}

fn newest(run: &Path) -> u64 {
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    entries.filter_map(|e| e.file_name().to_str()?.strip_prefix("step-")?.parse().ok()).max().unwrap_or(0)
}

/// Checkpoints that are half written.
fn writing(run: &Path) -> usize {
    let entries = std::fs::read_dir(run.join("checkpoints")).into_iter().flatten().flatten();
    entries.filter(|e| e.file_name().to_string_lossy().starts_with(".writing-")).count()
}

#[test]
fn a_killed_run_resumes_from_its_last_complete_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let mut interrupted = 0;
    for kill in 0..KILLS {
        let before = newest(&run);
        let mut child = start(&run, kill > 0);
        let deadline = Instant::now() + Duration::from_secs(60);
        while newest(&run) < before + 3 {
            if let Some(status) = child.ended() {
                let output = child.output();
                panic!("kill {kill}: ended by itself, {status}: {}", String::from_utf8_lossy(&output.stderr));
            }
            assert!(Instant::now() < deadline, "kill {kill}: no progress beyond step {before}");
            std::thread::sleep(Duration::from_millis(1));
        }
        if kill % 2 == 0 {
            // While a checkpoint is being written ...
            while writing(&run) == 0 {
                assert!(Instant::now() < deadline, "kill {kill}: nothing more was saved after step {before}");
                std::hint::spin_loop();
            }
        } else {
            // ... or whenever the seed says.
            std::thread::sleep(Duration::from_micros(rng.random_range(0..30_000)));
        }
        // Killed, not interrupted.
        drop(child);
        interrupted += writing(&run);
        let step = newest(&run);
        let whole = run.join(format!("checkpoints/step-{step:08}"));
        for file in ["model.safetensors", "optimisers.safetensors"] {
            zscape::model::TensorFile::read(&whole.join(file)).unwrap_or_else(|e| panic!("kill {kill}: {e}"));
        }
        let info = Command::new(assert_cmd::cargo::cargo_bin!("zscape")).args(["info", "--json"]).arg(&run).output();
        let info: serde_json::Value = serde_json::from_slice(&info.unwrap().stdout).unwrap();
        assert_eq!(info["provenance"]["steps"], step, "kill {kill}");
    }
    assert!(newest(&run) >= 3 * KILLS, "every start resumed from the last checkpoint");
    assert!(interrupted > 0, "no kill interrupted a save, so this test proved nothing");
}
