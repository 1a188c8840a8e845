//! A child process that is killed with the test that started it.

use std::process::{Child, Command, ExitStatus, Output};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long a program may take to exit: far more than saving a tiny run takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running program. It is killed and waited for when this is dropped, so that a test that fails leaves nothing behind.
pub struct Running(Option<Child>);

impl Running {
    pub fn start(command: &mut Command) -> Self {
        Self(Some(command.spawn().unwrap()))
    }

    fn child(&mut self) -> &mut Child {
        self.0.as_mut().expect("it is only taken at its end")
    }

    pub fn pid(&mut self) -> Pid {
        Pid::from_raw(i32::try_from(self.child().id()).unwrap())
    }

    /// Its exit status, if it has exited.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child().try_wait().unwrap()
    }

    /// Sends what Ctrl-C sends.
    pub fn interrupt(&mut self) {
        kill(self.pid(), Signal::SIGINT).unwrap();
    }

    /// Waits for it to end by itself, and returns what it printed. It must not print more than a pipe holds before.
    pub fn output(mut self) -> Output {
        let deadline = Instant::now() + PATIENCE;
        while self.ended().is_none() {
            assert!(Instant::now() < deadline, "the program did not exit");
            std::thread::sleep(Duration::from_millis(10));
        }
        self.0.take().expect("it is only taken here").wait_with_output().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_failed_test_kills_its_child_process() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, started) = std::sync::mpsc::channel();
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("zscape"));
        command.args(["train", "--device", "cpu", "--data", "synth:rooms", "--size", "16", "--base", "4"]);
        command.args(["--batch", "4", "--run"]).arg(folder.path().join("run"));
        let mut running = Running::start(command.stderr(std::process::Stdio::null()));
        assert_eq!(kill(running.pid(), None), Ok(()), "it runs");
        sender.send(running.pid()).unwrap();
        // Without a panic message, since this failure is intended.
        std::panic::resume_unwind(Box::new("the test failed"));
    }));
    assert!(failed.is_err());
    assert_eq!(kill(started.recv().unwrap(), None), Err(nix::errno::Errno::ESRCH), "it is gone");
}
