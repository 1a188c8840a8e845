//! A run that was interrupted and resumed equals one that never was.

use std::path::Path;
use std::time::Duration;

use zscape::device::Compute;
use zscape::image::Picture;
use zscape::model::{Model, TensorFile};
use zscape::train::{Ending, Event, LearningRates, Metrics, MetricsLog, Trainer, TrainerCommand, TrainerOptions};

use super::support::{finish, tiny, train};

fn losses(run: &Path) -> Vec<Metrics> {
    let timeless = |m: Metrics| Metrics { seconds: 0.0, ..m };
    MetricsLog::read(&run.join("metrics.csv")).unwrap().into_iter().map(timeless).collect()
}

#[test]
fn resumed_run_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, parts) = (folder.path().join("whole"), folder.path().join("parts"));
    train(TrainerOptions { steps: Some(100), ..tiny(&whole, 3) });
    train(TrainerOptions { steps: Some(50), ..tiny(&parts, 3) });
    train(TrainerOptions { steps: Some(100), resume: true, ..tiny(&parts, 3) });
    let (whole_losses, parts_losses) = (losses(&whole), losses(&parts));
    assert_eq!(whole_losses.len(), 100);
    assert_eq!(whole_losses, parts_losses);
    for file in ["model.safetensors", "optimisers.safetensors"] {
        let read = |run: &Path| std::fs::read(run.join("checkpoints/step-00000100").join(file)).unwrap();
        assert!(read(&whole) == read(&parts), "{file} differs");
    }
    let samples = |run: &Path| std::fs::read(run.join("samples/step-00000100.png")).unwrap();
    assert!(samples(&whole) == samples(&parts), "the preview differs");
}

#[test]
fn a_resumed_run_with_mirrored_pictures_equals_an_uninterrupted_one() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..10u8 {
        let pixels = (0..16 * 16).map(|p| ((p % 16) as u8 * 15) ^ i).collect();
        Picture::new(16, 16, 1, pixels).write_png(&folder.path().join(format!("set/{i}.png"))).unwrap();
    }
    let options = |run: &str, mirror, steps, resume| {
        let mut options = TrainerOptions { steps: Some(steps), resume, ..tiny(&folder.path().join(run), 5) };
        options.config.data = folder.path().join("set").into();
        options.config.train.mirror = mirror;
        options
    };
    train(options("whole", true, 12, false));
    // In the middle of an epoch: 4 x 5 of 10 pictures.
    train(options("parts", true, 5, false));
    train(options("parts", true, 12, true));
    train(options("plain", false, 12, false));
    let of = |run: &str| losses(&folder.path().join(run));
    assert_eq!(of("whole").len(), 12);
    assert_eq!(of("whole"), of("parts"));
    assert_ne!(of("whole"), of("plain"), "mirroring changes the training");
    let (ending, _) = finish(&Trainer::start(options("plain", true, 13, true), Compute::cpu(), || ()));
    assert_eq!(ending, Ending::Finished, "mirroring can start in the middle of a run");
}

#[test]
fn a_resumed_run_needs_the_same_settings() {
    let folder = tempfile::tempdir().unwrap();
    train(TrainerOptions { steps: Some(2), ..tiny(folder.path(), 1) });
    let mut other = TrainerOptions { steps: Some(3), resume: true, ..tiny(folder.path(), 1) };
    other.config.model.base = 8;
    other.config.train.batch = 6;
    let (ending, _) = finish(&Trainer::start(other, Compute::cpu(), || ()));
    let Ending::Failed(message) = ending else { panic!("it should be refused, not {ending:?}") };
    assert!(message.contains("model.base: 4, not 8") && message.contains("train.batch: 4, not 6"), "{message}");
    let (ending, _) = finish(&Trainer::start(tiny(folder.path(), 1), Compute::cpu(), || ()));
    assert!(matches!(ending, Ending::Failed(message) if message.contains("--resume")));
}

#[test]
fn the_trainer_obeys_pause_step_rates_save_and_stop() {
    let folder = tempfile::tempdir().unwrap();
    let trainer = Trainer::start(TrainerOptions { paused: true, ..tiny(folder.path(), 1) }, Compute::cpu(), || ());
    let next = |wanted: fn(&Event) -> bool| loop {
        let event = trainer.events().recv_timeout(Duration::from_secs(60)).unwrap();
        if wanted(&event) {
            return event;
        }
    };
    next(|event| matches!(event, Event::Paused));
    trainer.send(TrainerCommand::Step);
    assert!(matches!(next(|e| matches!(e, Event::Stepped(_))), Event::Stepped(p) if p.metrics.step == 1));
    trainer.send(TrainerCommand::PublishNetworks(2));
    let snapshot = |event: Event| match event {
        Event::NetworksSnapshot(file) => {
            Model::from_file(TensorFile::clone(&file), folder.path(), &Compute::cpu().device).unwrap()
        }
        event => panic!("{event:?}"),
    };
    let now = snapshot(next(|event| matches!(event, Event::NetworksSnapshot(_))));
    assert!(now.provenance.steps == 1 && now.discriminator.is_some(), "both networks, at once");
    trainer.send(TrainerCommand::Step);
    assert_eq!(snapshot(next(|event| matches!(event, Event::NetworksSnapshot(_)))).provenance.steps, 2);
    trainer.send(TrainerCommand::PublishNetworks(0));
    trainer.send(TrainerCommand::Save);
    assert!(matches!(next(|e| matches!(e, Event::Saved { .. })), Event::Saved { step: 2, folder } if folder.is_dir()));
    trainer.send(TrainerCommand::SetLearningRates(LearningRates { generator: 1e-5, discriminator: 3e-5 }));
    trainer.send(TrainerCommand::Resume);
    next(|event| matches!(event, Event::Stepped(p) if p.metrics.step >= 5));
    trainer.send(TrainerCommand::Pause);
    next(|event| matches!(event, Event::Paused));
    trainer.send(TrainerCommand::Stop);
    assert_eq!(finish(&trainer).0, Ending::Stopped);
    let checkpoints: Vec<_> = std::fs::read_dir(folder.path().join("checkpoints")).unwrap().flatten().collect();
    let newest = checkpoints.iter().map(|entry| entry.path()).max().unwrap();
    let state = std::fs::read_to_string(newest.join("state.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&state).unwrap();
    assert_eq!(state["generator_rate"], 1e-5);
    assert_eq!(state["discriminator_rate"], 3e-5);
}

#[test]
fn an_abandoned_run_saves_nothing_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    train(TrainerOptions { steps: Some(2), ..tiny(folder.path(), 1) });
    let trainer = Trainer::start(TrainerOptions { resume: true, ..tiny(folder.path(), 1) }, Compute::cpu(), || ());
    let events = trainer.events().clone();
    while !matches!(events.recv_timeout(Duration::from_secs(60)), Ok(Event::Stepped(p)) if p.metrics.step == 4) {}
    trainer.abandon();
    let rest: Vec<Event> = events.iter().collect();
    assert!(matches!(rest.last(), Some(Event::Ended(Ending::Abandoned))), "{rest:?}");
    assert!(!rest.iter().any(|event| matches!(event, Event::Saved { .. })), "{rest:?}");
    let saved: Vec<_> = std::fs::read_dir(folder.path().join("checkpoints")).unwrap().flatten().collect();
    assert_eq!(saved.iter().map(|entry| entry.file_name()).collect::<Vec<_>>(), ["step-00000002"]);
}

#[test]
fn old_checkpoints_are_removed_and_milestones_kept() {
    let folder = tempfile::tempdir().unwrap();
    let options = tiny(folder.path(), 1);
    train(TrainerOptions { steps: Some(20), save_every: 2, keep_last: 2, keep_every: 8, ..options });
    let mut kept: Vec<_> = std::fs::read_dir(folder.path().join("checkpoints"))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    kept.sort();
    assert_eq!(kept, ["step-00000008", "step-00000016", "step-00000018", "step-00000020"]);
}

#[test]
fn a_diverged_run_saves_its_last_finite_step() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = TrainerOptions { steps: Some(2000), ..tiny(folder.path(), 1) };
    options.config.train.generator_rate = 1e38;
    options.config.train.discriminator_rate = 1e38;
    let (ending, events) = finish(&Trainer::start(options, Compute::cpu(), || ()));
    let Ending::Failed(message) = ending else { panic!("it should fail, not {ending:?}") };
    assert!(message.contains("no longer numbers") && message.contains("saved"), "{message}");
    assert!(events.iter().any(|event| matches!(event, Event::Saved { .. })));
}

#[test]
fn a_run_that_cannot_write_warns_and_saves_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let options = TrainerOptions { paused: true, preview_every: 1, save_every: 1, ..tiny(folder.path(), 1) };
    let trainer = Trainer::start(options, Compute::cpu(), || ());
    let warned = |of: &str| loop {
        let event = trainer.events().recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(!matches!(event, Event::Ended(_)), "it should go on: {event:?}");
        if matches!(&event, Event::Warning(text) if text.contains(of)) {
            break;
        }
    };
    while !matches!(trainer.events().recv_timeout(Duration::from_secs(60)).unwrap(), Event::Paused) {}
    // Files in place of folders: writing there fails, as on a full disk.
    for place in ["checkpoints", "samples"].map(|name| folder.path().join(name)) {
        std::fs::remove_dir_all(&place).unwrap();
        std::fs::write(&place, "in the way").unwrap();
    }
    trainer.send(TrainerCommand::Step);
    warned("cannot save a preview");
    warned("cannot save step 1");
    trainer.send(TrainerCommand::Step);
    warned("cannot save step 2");
    std::fs::remove_file(folder.path().join("checkpoints")).unwrap();
    trainer.send(TrainerCommand::Stop);
    assert_eq!(finish(&trainer).0, Ending::Stopped);
    assert!(folder.path().join("checkpoints/step-00000002").is_dir());
}

/// Cuts a file of the run's checkpoint at `step` short.
fn damage(run: &Path, step: u64) {
    let path = run.join(format!("checkpoints/step-{step:08}/model.safetensors"));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
}

#[test]
fn resuming_skips_a_damaged_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        |steps, resume| TrainerOptions { steps: Some(steps), resume, save_every: 2, ..tiny(folder.path(), 1) };
    train(options(6, false));
    let untouched = losses(folder.path());
    damage(folder.path(), 6);
    let (ending, events) = finish(&Trainer::start(options(6, true), Compute::cpu(), || ()));
    assert_eq!(ending, Ending::Finished);
    assert!(events.iter().any(|event| matches!(event, Event::Started { step: 4, .. })), "{events:?}");
    let warned = |event: &Event| matches!(event, Event::Warning(text) if text.contains("damaged-step-00000006"));
    assert!(events.iter().any(warned), "{events:?}");
    assert_eq!(losses(folder.path()), untouched);
    // The step is saved again, completely.
    let path = folder.path().join("checkpoints/step-00000006/model.safetensors");
    TensorFile::read(&path).unwrap();

    for step in [2, 4, 6] {
        damage(folder.path(), step);
    }
    let (ending, _) = finish(&Trainer::start(options(8, true), Compute::cpu(), || ()));
    let Ending::Failed(message) = ending else { panic!("it should be refused, not {ending:?}") };
    assert!(message.contains("none") && message.contains("step-00000006"), "{message}");
}

#[test]
fn learning_rates_given_on_resume_override_those_of_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let rates = |options: TrainerOptions| {
        let (ending, events) = finish(&Trainer::start(options, Compute::cpu(), || ()));
        assert_eq!(ending, Ending::Finished);
        events
            .into_iter()
            .find_map(|event| if let Event::LearningRates(rates) = event { Some(rates) } else { None })
            .unwrap()
    };
    let options = |steps, resume| TrainerOptions { steps: Some(steps), resume, ..tiny(folder.path(), 1) };
    let begun = rates(options(1, false));
    let mut lowered = options(2, true);
    lowered.config.train.generator_rate = 5e-5;
    assert_eq!(rates(lowered), LearningRates { generator: 5e-5, ..begun });
    assert_eq!(rates(options(3, true)), LearningRates { generator: 5e-5, ..begun }, "what was changed goes on");
}
