//! `zscape doctor`: tries what the other commands need, and reports what is missing.
//!
//! A window and graphics cards are tried in child processes, since a driver may crash the process.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;

use super::CommonArgs;
use crate::app::{Tried, try_window};
use crate::desktop::Distribution;
use crate::device::{Adapter, Card, Compute, DeviceChoice, Hardware, adapters, cards, tuning};
use crate::panics;
use crate::train::SelfTest;

/// Time limit of a child process. Compiling a card's kernels takes most of it.
const TIME_LIMIT: Duration = Duration::from_secs(90);

#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    #[command(flatten)]
    common: CommonArgs,
    /// Try only this and print the result; for child processes
    #[arg(long, value_enum, hide = true)]
    attempt: Option<Attempt>,
}

/// A check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Attempt {
    /// Training steps on a device.
    Step,
    /// Opening a window.
    Window,
}

impl Attempt {
    /// The value of `--attempt`.
    fn name(self) -> &'static str {
        match self {
            Self::Step => "step",
            Self::Window => "window",
        }
    }

    /// Runs the check in this process.
    fn run(self, common: &CommonArgs) -> anyhow::Result<serde_json::Value> {
        let compute = common.compute()?;
        let value = match self {
            Self::Step => {
                let self_test = SelfTest::run(&compute.device).map_err(|error| anyhow!(error))?;
                serde_json::to_value(CardReport { self_test, memory: compute.memory })?
            }
            Self::Window => serde_json::to_value(try_window(compute)?)?,
        };
        Ok(value)
    }

    /// Runs the check in a child process. Returns its result and its other messages.
    fn run_in_child<T: serde::de::DeserializeOwned>(self, device: &DeviceChoice) -> (Result<T, String>, Vec<String>) {
        let program = match std::env::current_exe() {
            Ok(program) => program,
            Err(cause) => return (Err(format!("cannot find the program's own file: {cause}")), Vec::new()),
        };
        let mut command = Command::new(program);
        command.args(["doctor", "--json", "--device", &device.to_string(), "--attempt", self.name()]);
        command.env("ZSCAPE_LOG", "error,eframe=off,winit=error").env_remove("RUST_BACKTRACE");
        match run_with_time_limit(command) {
            Err(error) => (Err(error), Vec::new()),
            Ok(ChildOutput { failure, stdout, stderr }) => {
                let mut notes: Vec<String> =
                    stderr.lines().filter_map(|line| line.strip_prefix("zscape: ")).map(str::to_owned).collect();
                let result = stdout.lines().last().and_then(|line| serde_json::from_str(line).ok());
                let result = result.ok_or_else(|| match (notes.pop(), failure) {
                    (Some(error), _) => error,
                    (None, Some(failure)) => format!("{failure}{}", last_words(&stderr)),
                    (None, None) => "it exited without a result".to_owned(),
                });
                (result, notes)
            }
        }
    }
}

/// The last line that a process printed, in brackets.
fn last_words(stderr: &str) -> String {
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    last.map(|line| format!(" ({})", panics::without_source_locations(line.trim()))).unwrap_or_default()
}

/// The result of a child process.
struct ChildOutput {
    /// What is wrong with the exit status.
    failure: Option<String>,
    stdout: String,
    stderr: String,
}

/// Runs a command, and kills it after [`TIME_LIMIT`].
fn run_with_time_limit(mut command: Command) -> Result<ChildOutput, String> {
    let failed = |cause: std::io::Error| format!("cannot start the check: {cause}");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let began = Instant::now();
    let late = loop {
        match child.try_wait().map_err(failed)? {
            Some(_) => break false,
            None if began.elapsed() > TIME_LIMIT => break true,
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    if late {
        // An error means that it has just exited.
        let _ = child.kill();
    }
    let output = child.wait_with_output().map_err(failed)?;
    let failure = match (late, output.status.code()) {
        (true, _) => Some(format!("it did not answer within {} s", TIME_LIMIT.as_secs())),
        (false, None) => Some(format!("it crashed ({}), perhaps in a driver: update it", output.status)),
        (false, Some(0)) => None,
        (false, Some(code)) => Some(format!("it exited with code {code}")),
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(ChildOutput { failure, stdout: text(output.stdout), stderr: text(output.stderr) })
}

/// What a child process reports about a card.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct CardReport {
    self_test: SelfTest,
    memory: Option<u64>,
}

/// A graphics adapter, and its memory if known.
#[derive(Debug, serde::Serialize)]
struct AdapterReport {
    #[serde(flatten)]
    adapter: Adapter,
    memory_bytes: Option<u64>,
}

impl AdapterReport {
    fn line(&self) -> String {
        let Adapter { id, name, backend, kind, driver, .. } = &self.adapter;
        let id = id.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
        let memory = self.memory_bytes.map(|bytes| format!(", {}", format_bytes(bytes))).unwrap_or_default();
        format!("  {id}{name} ({kind}, {backend}, {driver}{memory})\n")
    }
}

/// Formats bytes.
fn format_bytes(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{} MiB", bytes >> 20),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// The result of training steps on one device.
#[derive(Debug, serde::Serialize)]
struct DeviceReport {
    device: String,
    kind: Hardware,
    seconds: Option<f64>,
    error: Option<String>,
}

impl DeviceReport {
    fn new(device: String, kind: Hardware, result: Result<SelfTest, String>) -> Self {
        match result {
            Ok(self_test) => Self { device, kind, seconds: Some(self_test.seconds), error: None },
            Err(error) => Self { device, kind, seconds: None, error: Some(error) },
        }
    }

    fn line(&self) -> String {
        match (&self.error, self.seconds) {
            (Some(error), _) => format!("  {}: {error}\n", self.device),
            (None, seconds) => format!("  {}: correct, in {:.1} s\n", self.device, seconds.unwrap_or_default()),
        }
    }
}

impl DoctorArgs {
    pub(super) fn run(&self) -> anyhow::Result<()> {
        if let Some(attempt) = self.attempt {
            let value = panics::catch(|| attempt.run(&self.common))
                .map_err(|panic| anyhow!("it failed unexpectedly: {panic}"))??;
            return self.common.print(&value, || value.to_string());
        }
        let device = self.common.device();
        let mut adapters: Vec<AdapterReport> = panics::catch(adapters)
            .unwrap_or_default()
            .into_iter()
            .map(|adapter| AdapterReport { adapter, memory_bytes: None })
            .collect();
        let all = panics::catch(cards).unwrap_or_default();
        let found = panics::catch(|| Card::find(&device)).unwrap_or(Ok(None));
        let cpu = Compute::cpu();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let on_cpu = panics::catch(|| SelfTest::run(&cpu.device)).and_then(|tried| tried);
        let mut steps = vec![DeviceReport::new(cpu.name.clone(), Hardware::Cpu, on_cpu.clone())];
        // All graphics cards, or the one that was named.
        let to_try: Vec<&Card> = match (&device, &found) {
            (DeviceChoice::Cpu, _) | (_, Err(_)) => Vec::new(),
            (DeviceChoice::Auto | DeviceChoice::Gpu, _) => {
                all.iter().filter(|card| card.kind() == Hardware::Gpu).collect()
            }
            (DeviceChoice::Card(_) | DeviceChoice::Named(_), Ok(card)) => card.iter().copied().collect(),
        };
        for card in &to_try {
            let (report, _) = Attempt::Step.run_in_child::<CardReport>(&card.choice(all));
            if let (Ok(found), Some(number)) = (&report, all.iter().position(|other| std::ptr::eq(other, *card))) {
                // Cards come first in the list of adapters.
                if let Some(card) = adapters.get_mut(number) {
                    card.memory_bytes = found.memory;
                }
            }
            let result = report.and_then(|CardReport { self_test, .. }| {
                on_cpu.as_ref().map_or(Ok(()), |right| self_test.check_against(right))?;
                Ok(self_test)
            });
            steps.push(DeviceReport::new(card.name().to_owned(), card.kind(), result));
        }
        let broken = steps.iter().any(|step| step.kind != Hardware::Cpu && step.error.is_some());
        let chosen = found.map(|card| card.map_or_else(|| cpu.name.clone(), |card| card.name().to_owned()));
        let chosen = chosen.map_err(|error| error.to_string());
        let card = to_try.first();
        let kind = card.map_or(Hardware::Cpu, |card| card.kind());
        let tuning = tuning::cache();
        let (window_report, notes) = Attempt::Window.run_in_child::<Tried>(&device);
        let window = window_report
            .as_ref()
            .map(|report| format!("on {}, by {}", report.on, report.drawn_by))
            .map_err(Clone::clone);
        let value = serde_json::json!({
            "adapters": adapters,
            "cpu_threads": cores,
            "compute": chosen.as_ref().ok().map(|name| serde_json::json!({ "kind": kind, "name": name })),
            "compute_error": chosen.as_ref().err(),
            "steps": steps,
            "tuning": tuning,
            "window": window.as_ref().ok(),
            "window_error": window.as_ref().err(),
            "window_tried": window_report.as_ref().ok(),
            "notes": notes,
            "distribution": Distribution::detect(),
        });
        self.common.print(&value, || {
            let mut text = String::from("Graphics adapters:\n");
            for adapter in &adapters {
                text += &adapter.line();
            }
            if adapters.is_empty() {
                text += "  none\n";
            }
            text += &format!("CPU: {cores} threads\n");
            text += &match &chosen {
                Ok(name) => format!("Computing: on {name}\n"),
                Err(error) => format!("Computing: {error}\n"),
            };
            text += "Training steps:\n";
            steps.iter().for_each(|step| text += &step.line());
            if broken {
                text += "  Use --device cpu until the graphics driver is fixed.\n";
            }
            if device != DeviceChoice::Cpu && card.is_none() && chosen.is_ok() {
                text += "  No graphics card was found, so training runs on the CPU, far slower.\n  If this machine has a card, install its \
                         Vulkan driver and run this again.\n";
            }
            text += &match &tuning.file {
                None => "Tuning results of graphics cards: not saved, because of ZSCAPE_CACHE\n".to_owned(),
                Some(file) if tuning.bytes == 0 => {
                    format!("Tuning results of graphics cards: none yet; they will be saved in {}\n", file.display())
                }
                Some(file) => {
                    format!("Tuning results of graphics cards: {} in {}\n", format_bytes(tuning.bytes), file.display())
                }
            };
            for note in &notes {
                text += &format!("Window: {note}\n");
            }
            match &window_report {
                Ok(report) => {
                    text += &format!("Window: opens on {}, rendered by {}", report.on, report.drawn_by);
                    if let Some([width, height]) = report.monitor {
                        text += &format!("; monitor {width:.0} x {height:.0} points of {} pixels", report.scale);
                    }
                    text += "\n";
                    if !report.takes_drops {
                        text += "  It does not accept dropped files, which needs X11 or Xwayland.\n";
                    }
                }
                Err(missing) => text += &format!("Window: {missing}\n"),
            }
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn exit_statuses_are_described() {
        let shell = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            run_with_time_limit(command).unwrap()
        };
        let well = shell("echo out; echo err >&2");
        assert_eq!((well.failure, well.stdout.as_str(), well.stderr.as_str()), (None, "out\n", "err\n"));
        assert!(shell("exit 7").failure.unwrap().contains("code 7"));
        assert!(shell("kill -SEGV $$").failure.unwrap().contains("crashed"));
        assert_eq!(last_words("a\nwhat at /r/src/x.rs:7: broke\n\n"), " (what broke)");
        assert_eq!(last_words("\n"), "");
    }
}
