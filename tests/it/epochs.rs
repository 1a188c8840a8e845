//! Checkpoints and samples at the ends of epochs.

use std::path::Path;

use zscape::device::Compute;
use zscape::image::Picture;
use zscape::train::{EpochEnd, Event, Trainer, TrainerOptions, epoch_ends};

use super::support::{json, stderr, stdout, text, tiny, zscape};

/// Ten small pictures in `folder`.
fn pictures(folder: &Path) {
    for i in 0..10u8 {
        let pixels = (0..16 * 16 * 3).map(|p| (p % 251) as u8 ^ (i * 20)).collect();
        Picture::new(16, 16, 3, pixels).write_png(&folder.join(format!("{i}.png"))).unwrap();
    }
}

/// Trains on the pictures in `data`, with checkpoints and previews only at its end and at the ends of epochs.
fn train(data: &Path, run: &Path, change: impl FnOnce(&mut TrainerOptions)) -> Vec<Event> {
    let rarely = 1_000_000;
    let mut options =
        TrainerOptions { keep_last: 1, keep_every: 0, save_every: rarely, preview_every: rarely, ..tiny(run, 1) };
    options.config.data = text(data).into();
    change(&mut options);
    Trainer::start(options, Compute::cpu(), || ()).events().iter().collect()
}

/// The steps with checkpoints or sample grids.
fn steps(folder: &Path) -> Vec<u64> {
    let step =
        |entry: std::fs::DirEntry| entry.path().file_stem()?.to_str()?.strip_prefix("step-")?.parse::<u64>().ok();
    let mut steps: Vec<u64> = std::fs::read_dir(folder).unwrap().flatten().filter_map(step).collect();
    steps.sort_unstable();
    steps
}

/// Ten pictures in batches of four: an epoch ends with the first step after which all ten were shown.
const ENDS: [EpochEnd; 3] =
    [EpochEnd { epoch: 1, step: 3 }, EpochEnd { epoch: 2, step: 5 }, EpochEnd { epoch: 3, step: 8 }];

#[test]
fn checkpoints_at_epoch_ends_are_kept_in_resumed_runs_too() {
    let folder = tempfile::tempdir().unwrap();
    let (data, whole, parts) = (folder.path().join("data"), folder.path().join("whole"), folder.path().join("parts"));
    pictures(&data);
    let events = train(&data, &whole, |options| options.epochs = Some(3));
    let summary: Vec<_> =
        events.iter().filter_map(|event| if let Event::EpochEnded(end) = event { Some(*end) } else { None }).collect();
    assert_eq!(summary, ENDS);
    let marked = |event: &Event| match event {
        Event::Previewed(preview) if preview.in_filmstrip => Some((preview.step, preview.epoch_end)),
        _ => None,
    };
    let marks: Vec<_> = events.iter().filter_map(marked).collect();
    assert_eq!(marks, [(0, None), (3, Some(1)), (5, Some(2)), (8, Some(3))]);
    train(&data, &parts, |options| options.epochs = Some(1));
    assert_eq!(epoch_ends(&parts.join("checkpoints")), ENDS[..1]);
    // Saved in the middle of an epoch, and resumed from there.
    train(&data, &parts, |options| (options.resume, options.steps) = (true, Some(4)));
    train(&data, &parts, |options| (options.resume, options.epochs) = (true, Some(3)));
    for run in [&whole, &parts] {
        assert_eq!(epoch_ends(&run.join("checkpoints")), ENDS, "{}", run.display());
        assert_eq!(steps(&run.join("checkpoints")), [3, 5, 8], "{}", run.display());
        assert_eq!(steps(&run.join("samples")), [0, 3, 5, 8], "{}", run.display());
    }
    let model = |run: &Path| std::fs::read(run.join("checkpoints/step-00000008/model.safetensors")).unwrap();
    assert!(model(&whole) == model(&parts), "keeping checkpoints does not change the training");
    // A run that continues by steps keeps the earlier epochs and adds none.
    train(&data, &whole, |options| (options.resume, options.steps) = (true, Some(20)));
    assert_eq!(steps(&whole.join("checkpoints")), [3, 5, 8, 20]);
}

#[test]
fn keep_epochs_keeps_every_nth_and_the_last_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), |name: &str| folder.path().join(name));
    pictures(&data);
    let kept = |run: &Path| epoch_ends(&run.join("checkpoints")).iter().map(|end| end.epoch).collect::<Vec<_>>();
    train(&data, &run("some"), |options| (options.epochs, options.keep_epochs) = (Some(5), 2));
    assert_eq!(kept(&run("some")), [2, 4, 5]);
    train(&data, &run("none"), |options| (options.epochs, options.keep_epochs) = (Some(2), 0));
    assert!(kept(&run("none")).is_empty());
    train(&data, &run("steps"), |options| options.steps = Some(8));
    assert!(kept(&run("steps")).is_empty());
    assert_eq!(steps(&run("steps").join("checkpoints")), [8]);
}

#[test]
fn unreadable_pictures_count_toward_an_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data);
    std::fs::write(data.join("0.png"), "no picture").unwrap();
    train(&data, &run, |options| options.epochs = Some(3));
    // Nine of ten: 27 pictures are seven batches, where thirty would be eight.
    let ends = epoch_ends(&run.join("checkpoints"));
    assert_eq!(ends.last(), Some(&EpochEnd { epoch: 3, step: 7 }), "{ends:?}");
    assert_eq!(steps(&run.join("checkpoints")).last(), Some(&7), "the run ends there");
}

#[test]
fn train_and_info_list_epoch_ends() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    pictures(&data);
    let small = ["--size", "16", "--base", "4", "--batch", "4", "--device", "cpu"];
    let train = |rest: &[&str]| zscape(&[&["train", "--run", text(&run)], &small[..], rest].concat());
    let said = stderr(&mut train(&["--data", text(&data), "--epochs", "2"]), 0);
    assert!(said.contains("epoch 1 ended with step 3") && said.contains("epoch 2 ended with step 5"), "{said}");
    let listed = stdout(&mut zscape(&["info", text(&run)]));
    assert!(listed.contains("epoch 2 ended with step 5: checkpoints/step-00000005"), "{listed}");
    let listed = json(&mut zscape(&["info", "--json", text(&run)]));
    assert_eq!(listed["epochs"], serde_json::json!([{"epoch": 1, "step": 3}, {"epoch": 2, "step": 5}]));
    let endless = stderr(&mut zscape(&["train", "--run", "x", "--data", "synth:rooms", "--epochs", "2"]), 1);
    assert!(endless.contains("synth:rooms never ends") && endless.contains("--steps"), "{endless}");
}
