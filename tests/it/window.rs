//! The window, driven by the labels that a user reads.

use std::path::PathBuf;
use std::time::Instant;

use egui::accesskit::Role;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use zscape::app::{App, Start};
use zscape::data::Problem;
use zscape::image::Picture;
use zscape::latent::session::Session;
use zscape::train::{Ending, Event, Metrics, Preview, TrainerOptions, TrainingProgress};

use super::support::{DroppedFile, Window, send_events, tiny, train, until, window};

fn started() -> Event {
    Event::Started { step: 0, last: Some(10), folder: "some-run".into(), device: "a device".into() }
}

fn stepped(step: u64) -> Event {
    Event::Stepped(TrainingProgress {
        metrics: Metrics { step, loss_d: 1.0, loss_g: 2.0, d_real: 0.7, d_fake: 0.3, ..Metrics::default() },
        images: step * 4,
        epoch: Some(0.5),
        images_per_second: 12.5,
        seconds_left: Some(90.0),
    })
}

#[test]
fn the_first_start_shows_samples_of_a_bundled_model() {
    let mut harness = window(Start::default());
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    assert!(harness.query_by_label("Train one on synth:rooms").is_some());
    harness.get_by_label("faces").click();
    until(&mut harness, "the other model", |h| h.query_by_label_contains("of synth:faces").is_some());
}

#[test]
fn arithmetic_by_clicking_can_be_undone() {
    let mut harness = window(Start { model: Some("bundled:faces".into()), ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness.get_by_label("Arithmetic").click();
    harness.run_steps(2);
    for (tray, sample) in [(1, 0), (2, 1), (3, 2)] {
        harness.get_by_label(&format!("Tray {tray}")).click();
        harness.run_steps(2);
        harness.get_by_label(&format!("sample {sample}")).click();
        harness.run_steps(3);
    }
    until(&mut harness, "the result", |h| h.query_by_label("result").is_some());
    assert_eq!(harness.query_all_by_label("neighbour").count(), 8);
    assert!(harness.query_by_label_contains("length").is_some(), "the fit to the prior is shown");
    until(&mut harness, "three averages", |h| h.query_all_by_label("average of the tray").count() == 3);
    harness.get_by_label("Undo").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("sample 2 of seed 1").is_none(), "the last exemplar is gone");
    harness.get_by_label("Redo").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("sample 2 of seed 1").is_some());
}

#[test]
fn every_tool_of_the_explorer_works() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("last.zscape");
    let start = Start { model: Some("bundled:rooms".into()), autosave: Some(kept.clone()), ..Start::default() };
    let mut harness = window(start);
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness.get_by_label("Walk").click();
    harness.run_steps(2);
    harness.get_by_label("The paper's nine").click();
    until(&mut harness, "the jump meter", |h| h.query_by_label_contains("sudden jump").is_some());
    harness.get_by_label("Directions").click();
    until(&mut harness, "the directions", |h| h.query_by_label("GANSpace 1").is_some());
    harness.get_by_label("GANSpace 1").click();
    until(&mut harness, "the strip", |h| h.query_by_label("+3").is_some());
    harness.get_by_label("Plane").click();
    until(&mut harness, "the point", |h| h.query_by_label("under the point").is_some());
    assert_eq!(harness.query_all_by_label("point 1").count(), 1);
    harness.get_by_label("Keep").click();
    harness.run_steps(3);
    assert_eq!(harness.query_all_by_label("point 1").count(), 2, "on the map's list and on the shelf");
    until(&mut harness, "the saved session", |_| {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("\"shelf\": [\n    {"))
    });

    // A second window starts where the first one was.
    let mut again = window(Start { autosave: Some(kept), ..Start::default() });
    until(&mut again, "the model", |h| h.query_by_label_contains("of synth:rooms").is_some());
    again.get_by_label("Plane").click();
    until(&mut again, "the shelf", |h| h.query_all_by_label("point 1").count() == 2);
}

#[test]
fn the_photo_tool_names_a_file_that_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.png");
    std::fs::write(&path, "no picture").unwrap();
    let mut harness = window(Start { model: Some("bundled:faces".into()), ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness.get_by_label("Photo").click();
    harness.run_steps(2);
    harness.input_mut().dropped_files.push(std::sync::Arc::new(DroppedFile(path)));
    until(&mut harness, "the error", |h| h.query_by_label_contains("notes.png cannot be used as a picture").is_some());
}

#[test]
fn unusable_data_explains_why_and_does_not_start() {
    let mut harness = window(Start { data: Some("no/such/folder".into()), ..Start::default() });
    until(&mut harness, "the error", |h| h.query_all_by_label_contains("no/such/folder does not exist").count() > 0);
    let start = harness.get_by_label("Start training");
    assert!(start.accesskit_node().is_disabled());
}

#[test]
fn the_trainers_events_are_shown() {
    let mut harness = window(Start { data: Some("synth:rooms".into()), ..Start::default() });
    let preview = |step| {
        Event::Previewed(Preview {
            step,
            step_ended: Instant::now(),
            pictures: vec![Picture::new(16, 16, 3, vec![step as u8; 768]); 64],
            in_filmstrip: true,
            epoch_end: None,
        })
    };
    send_events(&mut harness, [started(), preview(0), stepped(1), preview(1), stepped(7)]);
    assert!(harness.query_by_label_contains("step 7 of 10").is_some());
    assert!(harness.query_by_label_contains("12.5 images/s").is_some());
    assert!(harness.query_by_label("after step 1").is_some());
    harness.get_by_label("frame 0").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("before the first step: noise").is_some(), "the filmstrip goes back in time");
    let problem = Problem { name: "cats/9.png".into(), cause: "not a picture".into() };
    send_events(&mut harness, [Event::Problems { new: vec![problem], total: 1 }]);
    assert!(harness.query_by_label_contains("cats/9.png").is_some());
    send_events(&mut harness, [Event::Ended(Ending::Failed("the disk is full".into()))]);
    assert!(harness.query_all_by_label_contains("the disk is full").count() > 0);
}

#[test]
fn a_run_is_paused_stepped_and_saved_before_the_window_closes() {
    let folder = tempfile::tempdir().unwrap();
    let run: PathBuf = folder.path().join("run");
    let pictures = folder.path().join("pictures");
    for i in 0..80u8 {
        Picture::new(16, 16, 3, vec![i; 768]).write_png(&pictures.join(format!("{i}.png"))).unwrap();
    }
    let data = pictures.to_string_lossy().into_owned();
    let mut harness = window(Start { data: Some(data), run: Some(run.clone()), ..Start::default() });
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    harness.get_by_role_and_label(Role::ComboBox, "Size").click();
    harness.step();
    harness.step();
    harness.get_by_label("16 x 16").click();
    // The click is input of this frame; the next one requests a new preview.
    harness.step();
    harness.step();
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    harness.get_by_label("Start training").click();
    until(&mut harness, "the first step", |h| h.query_by_label("Pause").is_some());
    harness.get_by_label("Pause").click();
    until(&mut harness, "the pause", |h| h.query_by_label("Go on").is_some());
    harness.get_by_label("Step").click();
    until(&mut harness, "a step", |h| h.query_by_label_contains("   paused").is_some());

    // The explorer shows the generator as it learns.
    harness.get_by_label("Explore").click();
    harness.run_steps(2);
    harness.get_by_label("Follow the training").click();
    until(&mut harness, "the generator in training", |h| h.query_by_label_contains("16x16 pictures of").is_some());
    until(&mut harness, "a sample of it", |h| h.query_by_label("sample 0").is_some());
    harness.get_by_label("Train").click();
    harness.run_steps(2);

    // The user closes the window.
    let close = |harness: &mut Window| {
        let viewport = harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
        viewport.events.push(egui::ViewportEvent::Close);
        harness.step();
    };
    close(&mut harness);
    until(&mut harness, "the question", |h| h.query_by_label("Training is going on").is_some());
    harness.get_by_label("Keep training").click();
    harness.run_steps(3);
    assert!(harness.query_by_label("Training is going on").is_none());
    close(&mut harness);
    until(&mut harness, "the question", |h| h.query_by_label("Save and quit").is_some());
    harness.get_by_label("Save and quit").click();
    until(&mut harness, "the end", |h| h.query_all_by_label_contains("stopped").count() > 0);
    let saved = std::fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert_eq!(saved, 1, "the training is saved");
    until(&mut harness, "the window's end", goes);
}

/// Whether the window asked to be closed.
fn goes(harness: &Window) -> bool {
    harness.output().viewport_output[&egui::ViewportId::ROOT].commands.contains(&egui::ViewportCommand::Close)
}

#[test]
fn quitting_without_saving_keeps_the_session_and_exports() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, exports) = (folder.path().join("last.zscape"), folder.path().join("exports"));
    let run = folder.path().join("run");
    train(TrainerOptions { steps: Some(2), ..tiny(&run, 1) });
    let start = Start {
        model: Some("bundled:faces".into()),
        run: Some(run.clone()),
        autosave: Some(kept.clone()),
        exports: Some(exports.clone()),
        ..Start::default()
    };
    let mut harness = window(start);
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness.get_by_label("Walk").click();
    harness.run_steps(2);
    harness.get_by_label("The paper's nine").click();
    until(&mut harness, "the drawn walk", |h| h.query_by_label("GIF").is_some());
    harness.get_by_label("Train").click();
    harness.run_steps(2);
    until(&mut harness, "the run's settings", |h| h.query_by_label("Resume training").is_some());
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    harness.get_by_label("Resume training").click();
    until(&mut harness, "a step", |h| h.query_by_label_contains("images/s").is_some());
    // In successive frames: an export, another change, and closing the window.
    harness.get_by_label("Explore").click();
    harness.run_steps(2);
    until(&mut harness, "the drawn walk", |h| h.query_by_label("GIF").is_some());
    harness.get_by_label("GIF").click();
    harness.step();
    harness.get_by_label("Closed").click();
    harness.step();
    let viewport = harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default();
    viewport.events.push(egui::ViewportEvent::Close);
    until(&mut harness, "the question", |h| h.query_by_label("Quit without saving").is_some());
    harness.input_mut().viewports.entry(egui::ViewportId::ROOT).or_default().events.clear();
    harness.get_by_label("Quit without saving").click();
    until(&mut harness, "the window's end", goes);
    let film = std::fs::read(exports.join("walk.gif")).expect("the film is whole when the window goes");
    assert!(film.starts_with(b"GIF89a") && film.ends_with(&[0x3b]), "its last byte is a GIF's end");
    let session = Session::read(&kept).expect("what was explored is kept");
    assert!(!session.walk.looped, "with the last change");
    let saved = std::fs::read_dir(run.join("checkpoints")).unwrap().count();
    assert_eq!(saved, 1, "no step is saved");
}

#[test]
fn an_existing_run_is_resumed_and_offered_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    train(TrainerOptions { steps: Some(2), ..tiny(&run, 1) });
    let mut harness = window(Start { run: Some(run.clone()), ..Start::default() });
    until(&mut harness, "the run's settings", |h| h.query_by_label("Resume training").is_some());
    until(&mut harness, "the look at the data", |h| h.query_by_label("a look at the data").is_some());
    // The run's own settings are used, or resuming would be refused.
    harness.get_by_label("Resume training").click();
    until(&mut harness, "the resumption", |h| h.query_all_by_label_contains("resumed after step 2").count() > 0);
    until(&mut harness, "a step", |h| h.query_by_label_contains("images/s").is_some());
    harness.get_by_label("Stop").click();
    until(&mut harness, "the end", |h| h.query_by_label("Resume training").is_some());
    let offered = |h: &Harness<'_, Option<App>>| h.query_all_by_value(&run.to_string_lossy()).count() > 0;
    assert!(offered(&harness), "the same folder is offered");
    // The settings are longer than the window is high.
    harness.get_by_label("Resume the run in this folder").scroll_to_me();
    harness.run_steps(5);
    harness.get_by_label("Resume the run in this folder").click();
    until(&mut harness, "a new run", |h| h.query_by_label("Start training").is_some() && !offered(h));
}
