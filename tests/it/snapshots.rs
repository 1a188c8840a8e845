//! Screenshots of the Train view, compared with those in `tests/snapshots`. After an intended change
//! `UPDATE_SNAPSHOTS=1 cargo test --release snapshots` writes new ones: look at them before committing them.

use std::time::Instant;

use egui_kittest::kittest::Queryable;
use egui_kittest::{SnapshotOptions, SnapshotResults};
use zscape::app::Start;
use zscape::image::Picture;
use zscape::train::{Ending, Event, Metrics, Preview, TrainingProgress};

use super::support::{Window, send_events, sized, until};

/// Pixels that may differ between drivers.
const DIFFERENT: usize = 10;
const STEPS: u64 = 200;

/// Compares the Train view at both sizes after `events`. Without a graphics adapter to render it, the test fails instead of passing
/// unseen.
fn compare(name: &str, events: &[Event]) {
    assert!(
        !zscape::device::adapters().is_empty(),
        "no graphics adapter renders the window here; install a software one (Debian: mesa-vulkan-drivers)"
    );
    let mut results = SnapshotResults::new();
    for size in [[1280.0, 800.0], [1920.0, 1080.0]] {
        let mut harness = sized(size, Start { run: Some("a-run".into()), ..Start::default() });
        until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
        send_events(&mut harness, events.iter().cloned());
        settle(&mut harness);
        let options = SnapshotOptions::new().max_failed_pixels(DIFFERENT);
        results.add(harness.try_snapshot_options(format!("{name}-{}", size[0]), &options));
    }
    results.unwrap();
}

/// Waits until nothing moves any more.
fn settle(harness: &mut Window) {
    harness.run_steps(20);
}

/// A preview sheet whose noise gives way to colors.
fn previewed(step: u64) -> Event {
    let picture = |i: u64| {
        let pixel = |at: u64| {
            let noise = (at * 7919 + i * 104_729) % 251;
            let learned = [i * 4, 255 - i * 3, at % 256].map(|color| (color * step + noise * (STEPS - step)) / STEPS);
            learned.map(|color| color as u8)
        };
        Picture::new(16, 16, 3, (0..256).flat_map(pixel).collect())
    };
    let pictures = (0..64).map(picture).collect();
    // Two epochs, whose ends the filmstrip marks.
    let epoch_end = [100, 200].iter().position(|&end| end == step).map(|before| before as u64 + 1);
    Event::Previewed(Preview { step, step_ended: Instant::now(), pictures, in_filmstrip: true, epoch_end })
}

fn stepped(step: u64) -> Event {
    let wave = (step as f32 * 0.37).sin() * 0.1;
    let learned = 1.0 - (-(step as f32) / 60.0).exp();
    let metrics = Metrics {
        step,
        loss_d: 1.4 - 0.5 * learned + wave,
        loss_g: 0.7 + 1.6 * learned - 2.0 * wave,
        d_real: 0.5 + 0.3 * learned + wave,
        d_fake: 0.5 - 0.3 * learned - wave,
        norm_d: 1.0 + wave,
        norm_g: 2.0 - wave,
        seconds: step as f64,
    };
    let progress =
        TrainingProgress { metrics, images: step * 64, epoch: None, images_per_second: 64.0, seconds_left: Some(0.0) };
    Event::Stepped(progress)
}

#[test]
fn train_view_before_training_matches_the_snapshot() {
    compare("before-training", &[]);
}

#[test]
fn train_view_of_a_finished_run_matches_the_snapshot() {
    let started = Event::Started { step: 0, last: Some(STEPS), folder: "a-run".into(), device: "CPU".into() };
    let steps = (1..=STEPS).flat_map(|step| {
        let preview = step.is_multiple_of(25).then(|| previewed(step));
        std::iter::once(stepped(step)).chain(preview)
    });
    let saved = Event::Saved { step: STEPS, folder: "a-run/checkpoints/step-00000200".into() };
    let events: Vec<_> =
        [started, previewed(0)].into_iter().chain(steps).chain([saved, Event::Ended(Ending::Finished)]).collect();
    compare("finished", &events);
}
