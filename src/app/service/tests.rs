use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;

/// Responds with each request.
struct Echo {
    /// Holds request 1 up.
    gate: Receiver<()>,
    endless: bool,
    /// Held as long as the thread lives.
    _alive: Arc<()>,
}

const HELD: u32 = 1;
const REFUSED: u32 = 7;
const PANICS: u32 = 13;
const ENDLESS: u32 = 99;

impl Handler for Echo {
    type Request = u32;
    type Response = Result<u32, String>;

    fn handle(&mut self, request: u32, outbox: &Outbox<Self::Response>) -> anyhow::Result<()> {
        match request {
            HELD => self.gate.recv()?,
            REFUSED => anyhow::bail!("7 is refused"),
            PANICS => panic!("the device was lost"),
            ENDLESS => self.endless = true,
            _ => {}
        }
        outbox.send(Ok(request));
        Ok(())
    }

    fn is_busy(&self) -> bool {
        self.endless
    }

    /// Of even requests only the newest is served.
    fn supersedes(newer: &u32, older: &u32) -> bool {
        newer.is_multiple_of(2) && older.is_multiple_of(2)
    }

    fn activity(request: Option<&u32>) -> &'static str {
        if request.is_some() { "echoing" } else { "working" }
    }

    fn recover(&mut self) {
        self.endless = false;
    }

    fn failure(error: String) -> Self::Response {
        Err(error)
    }
}

type EchoService = Service<u32, Result<u32, String>>;

/// A service, the sender that lets its held request go, and what its thread holds.
fn echo() -> (EchoService, Sender<()>, Arc<()>) {
    let alive = Arc::new(());
    let held = alive.clone();
    let (go, gate) = unbounded();
    let ctx = egui::Context::default();
    (Service::spawn("echo", &ctx, || Echo { gate, endless: false, _alive: held }), go, alive)
}

fn receive<T>(responses: &Receiver<T>) -> T {
    responses.recv_timeout(Duration::from_secs(30)).expect("a response")
}

fn wait(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn the_newest_request_wins_and_the_others_keep_their_order() {
    let (service, go, _alive) = echo();
    for request in [HELD, 2, 3, 4, 5, 6] {
        service.send(request);
    }
    go.send(()).unwrap();
    let served: Vec<u32> = (0..4).map(|_| receive(&service.responses).unwrap()).collect();
    assert_eq!(served, [HELD, 3, 5, 6]);
}

#[test]
fn a_panic_arrives_with_its_text_and_the_thread_serves_on() {
    let (service, _go, _alive) = echo();
    service.send(PANICS);
    let error = receive(&service.responses).unwrap_err();
    assert!(error.contains("echoing failed") && error.contains("the device was lost"), "{error}");
    service.send(REFUSED);
    assert_eq!(receive(&service.responses), Err("7 is refused".to_owned()));
    service.send(3);
    assert_eq!(receive(&service.responses), Ok(3));
}

#[test]
fn dropping_the_handle_ends_the_thread_even_in_the_middle_of_work() {
    let (service, _go, alive) = echo();
    service.send(ENDLESS);
    assert_eq!(receive(&service.responses), Ok(ENDLESS));
    drop(service);
    wait("the thread ends", || Arc::strong_count(&alive) == 1);
}

#[test]
fn a_job_sends_results_and_ends_with_its_error() {
    let ctx = egui::Context::default();
    let mut job = Some(Job::start("test", &ctx, |reporter| {
        reporter.report("counting", 1, 2)?;
        reporter.send(7);
        anyhow::bail!("set.zip is damaged")
    }));
    let (mut results, mut error) = (Vec::new(), None);
    wait("it ends", || {
        results.extend(Job::receive(&mut job, &mut error));
        job.is_none()
    });
    assert_eq!((results, error.as_deref()), (vec![7], Some("set.zip is damaged")));
}

#[test]
fn a_panic_of_a_job_is_an_error_that_names_what_was_being_done() {
    let ctx = egui::Context::default();
    let mut job: Option<Job<u8>> = Some(Job::start("test", &ctx, |reporter| {
        reporter.report("hashing", 1, 2)?;
        panic!("a device was lost")
    }));
    let mut error = None;
    wait("it ends", || {
        Job::receive(&mut job, &mut error);
        job.is_none()
    });
    let error = error.unwrap();
    assert!(error.contains("hashing failed") && error.contains("a device was lost"), "{error}");
}

#[test]
fn a_job_that_waits_is_known_by_its_state_and_not_by_its_text() {
    let ctx = egui::Context::default();
    let (go, hold) = unbounded::<()>();
    let mut job: Option<Job<u8>> = Some(Job::start("test", &ctx, move |reporter| {
        reporter.report("waiting for a disk", 0, 0)?;
        hold.recv()?;
        reporter.waiting("waiting for more")?;
        hold.recv()?;
        Ok(())
    }));
    let mut error = None;
    wait("it works", || {
        Job::receive(&mut job, &mut error);
        job.as_ref().is_some_and(|job| job.activity().what() == "waiting for a disk")
    });
    assert!(!job.as_ref().unwrap().is_waiting());
    go.send(()).unwrap();
    wait("it waits", || {
        Job::receive(&mut job, &mut error);
        job.as_ref().is_some_and(Job::is_waiting)
    });
    go.send(()).unwrap();
    wait("it ends", || {
        Job::receive(&mut job, &mut error);
        job.is_none()
    });
    assert_eq!(error, None);
}

#[test]
fn a_cancelled_job_ends_with_a_value_and_sends_nothing_more() {
    let ctx = egui::Context::default();
    let (go, hold) = unbounded::<()>();
    let ended = Arc::new(AtomicUsize::new(0));
    let cancelled = ended.clone();
    let job: Job<u8> = Job::start("test", &ctx, move |reporter| {
        reporter.report("working", 0, 0)?;
        hold.recv()?;
        reporter.send(1);
        let reported = reporter.report("working", 1, 2);
        cancelled.store(if reported.is_err() { 1 } else { 2 }, Ordering::Relaxed);
        Ok(reported?)
    });
    let events = job.events.clone();
    assert!(matches!(receive(&events), job::JobEvent::Activity(_)));
    drop(job);
    go.send(()).unwrap();
    wait("the thread ends", || ended.load(Ordering::Relaxed) > 0);
    assert_eq!(ended.load(Ordering::Relaxed), 1, "the report returns Cancelled");
    assert!(events.recv().is_err(), "the channel closes without another event");
}
