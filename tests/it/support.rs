//! What the tests share: running the program, training tiny networks, and driving the window by the labels that a user reads.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use assert_cmd::Command;
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT, Queryable};
use zscape::app::{App, Start};
use zscape::device::Compute;
use zscape::model::{ModelConfig, Preset};
use zscape::train::{Ending, Event, RunConfig, TrainConfig, Trainer, TrainerOptions};

/// The program with `arguments`.
pub fn zscape(arguments: &[&str]) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("zscape"));
    command.args(arguments).timeout(Duration::from_secs(300));
    command
}

/// What it prints on standard error, once it has exited with `code`.
pub fn stderr(command: &mut Command, code: i32) -> String {
    let output = command.assert().code(code).get_output().clone();
    String::from_utf8(output.stderr).unwrap()
}

/// What it prints on standard output, once it has succeeded.
pub fn stdout(command: &mut Command) -> String {
    String::from_utf8(command.assert().success().get_output().stdout.clone()).unwrap()
}

/// The JSON object that it prints, once it has succeeded.
pub fn json(command: &mut Command) -> serde_json::Value {
    let output = command.assert().success().get_output().clone();
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The same with `--device cpu` added, straight from the arguments.
pub mod cpu {
    use assert_cmd::Command;

    /// The program with `arguments`, computing on the CPU.
    pub fn zscape(arguments: &[&str]) -> Command {
        let mut command = super::zscape(arguments);
        command.args(["--device", "cpu"]);
        command
    }

    /// The JSON object that it prints with `--json`.
    pub fn json(arguments: &[&str]) -> serde_json::Value {
        super::json(zscape(arguments).arg("--json"))
    }

    /// The message that it fails with.
    pub fn error(arguments: &[&str]) -> String {
        super::stderr(&mut zscape(arguments), 1)
    }
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Options of a training of networks so small that a step takes milliseconds.
pub fn tiny(run: &Path, seed: u64) -> TrainerOptions {
    let config = RunConfig {
        data: "synth:rooms".into(),
        seed,
        skip: Vec::new(),
        model: ModelConfig { size: 16, base: 4, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) },
        train: TrainConfig { batch: 4, ..TrainConfig::preset(Preset::Pytorch) },
    };
    TrainerOptions { preview_count: 4, ..TrainerOptions::new(config, run) }
}

/// Waits for a training to end; how it ended, and all events before.
pub fn finish(trainer: &Trainer) -> (Ending, Vec<Event>) {
    let mut events = Vec::new();
    loop {
        let event = trainer.events().recv_timeout(Duration::from_secs(120)).expect("the trainer reports how it ended");
        if let Event::Ended(ending) = event {
            return (ending, events);
        }
        events.push(event);
    }
}

/// Trains on the CPU to the last step.
pub fn train(options: TrainerOptions) {
    let trainer = Trainer::start(options, Compute::cpu(), || ());
    assert_eq!(finish(&trainer).0, Ending::Finished);
}

/// The run folder of a tiny training of four steps, with `change` applied to its options before.
pub fn trained(folder: &Path, change: impl FnOnce(&mut TrainerOptions)) -> PathBuf {
    let run = folder.join("run");
    let mut options = TrainerOptions { steps: Some(4), ..tiny(&run, 1) };
    change(&mut options);
    train(options);
    run
}

/// The window without a screen.
pub type Window = Harness<'static, Option<App>>;

/// A window of 1280x800 points.
pub fn window(start: Start) -> Window {
    sized([1280.0, 800.0], start)
}

/// A window of `size`, which looks the same on every machine.
pub fn sized(size: [f32; 2], start: Start) -> Window {
    let compute = Compute { name: "CPU".to_owned(), ..Compute::cpu() };
    let draw = move |ui: &mut egui::Ui, app: &mut Option<App>| {
        let ctx = ui.ctx().clone();
        app.get_or_insert_with(|| App::new(compute.clone(), start.clone(), &ctx)).ui(ui);
    };
    Harness::builder().with_size(size).with_theme(egui::Theme::Dark).build_ui_state(draw, None)
}

/// Steps the window until `done`, while its threads work.
pub fn until(harness: &mut Window, what: &str, done: impl Fn(&Window) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done(harness) {
        assert!(Instant::now() < deadline, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(10));
        harness.step();
    }
}

/// A window on `model` that shows its first sample.
pub fn exploring(model: &str) -> Window {
    let mut harness = window(Start { model: Some(model.into()), ..Start::default() });
    until(&mut harness, "a sample", |h| h.query_by_label("sample 0").is_some());
    harness
}

/// Hands `events` of a training to the window.
pub fn send_events(harness: &mut Window, events: impl IntoIterator<Item = Event>) {
    let ctx = harness.ctx.clone();
    for event in events {
        harness.state_mut().as_mut().unwrap().on_event(event, &ctx);
    }
    harness.step();
    harness.step();
}

/// Whether the widget with this label exists and can be used.
pub fn is_enabled(harness: &Window, label: &str) -> bool {
    harness.query_by_label(label).is_some_and(|node| !node.accesskit_node().is_disabled())
}

/// A file dropped on the window.
#[derive(Debug)]
pub struct DroppedFile(pub PathBuf);

impl egui::DroppedFile for DroppedFile {
    fn path(&self) -> &Path {
        &self.0
    }

    fn bytes(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.0).map_err(|error| error.to_string())
    }
}
