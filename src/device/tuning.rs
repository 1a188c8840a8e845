//! Which kernels are fastest on a card is measured once: CubeCL tunes an operation when it first meets its sizes, and the results are kept
//! in the user's cache folder for later starts.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once, PoisonError, Weak};

use cubecl::config::autotune::AutotuneLogLevel;
use cubecl::config::cache::CacheConfig;
use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
use cubecl::environment;
use tracing::field::{Field, Visit};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::Context;
use tracing_subscriber::{Layer, registry::LookupSpan};

use crate::files;

/// The name of the file of results, without its ending.
const NAME: &str = "kernels";
/// What CubeCL's log calls the tuning.
const TARGET: &str = "cubecl::autotune";
/// How it says that an operation is tuned.
const TUNED: &str = "Fastest result";

/// Has CubeCL keep what it measures and compiles in the user's cache folder. To be called before the first card is opened; later calls
/// change nothing.
pub(super) fn keep() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut config = CubeClRuntimeConfig::default();
        config.environment.name = NAME.to_owned();
        config.environment.path = CacheConfig::Directory(folder().unwrap_or_else(nowhere));
        // One line for each operation, which `Watcher` counts.
        config.autotune.logger.level = AutotuneLogLevel::Minimal;
        config.autotune.logger.log = Some(Default::default());
        if !CubeClRuntimeConfig::try_set(config.override_from_env()) {
            tracing::debug!("CubeCL has its configuration already: tuning results stay where that says");
        }
    });
}

/// Where the results are kept, unless nothing is to be kept.
pub fn folder() -> Option<PathBuf> {
    files::cache_folder().map(|folder| folder.join("tuning"))
}

/// A folder that cannot be made, since the program is no folder: without a file CubeCL keeps its results in memory.
fn nowhere() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("zscape")).join("tuning")
}

/// What is kept of earlier starts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// The file; nothing where nothing is to be kept.
    pub file: Option<PathBuf>,
    /// Its size in bytes; 0 where there is none yet.
    pub bytes: u64,
}

/// Looks for results of earlier starts, and writes nothing.
pub fn kept() -> Kept {
    let file = folder().map(|folder| folder.join(environment::file_name(NAME)));
    // What was written last may still be in the log beside it.
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let bytes = file.as_deref().map_or(0, |file| size(file) + size(&file.with_extension("db-wal")));
    Kept { file, bytes }
}

type Listening = dyn Fn(u64) + Send + Sync;

static COUNT: AtomicU64 = AtomicU64::new(0);
static WATCHES: Mutex<Vec<Weak<Listening>>> = Mutex::new(Vec::new());

/// Hears of tuned operations until it is dropped.
pub struct Watch {
    _listener: Arc<Listening>,
}

/// Calls `listener` with the number of operations that this process has tuned, as often as one more is. It is called on the thread that
/// tunes, so it must be quick and must not compute.
pub fn watch(listener: impl Fn(u64) + Send + Sync + 'static) -> Watch {
    let listener: Arc<Listening> = Arc::new(listener);
    let mut watches = WATCHES.lock().unwrap_or_else(PoisonError::into_inner);
    watches.retain(|watch| watch.strong_count() > 0);
    watches.push(Arc::downgrade(&listener));
    Watch { _listener: listener }
}

fn tuned() {
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let watches: Vec<Arc<Listening>> =
        WATCHES.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    watches.iter().for_each(|listener| listener(count));
}

/// Listens to CubeCL's log for [`watch`]; part of the program's subscriber.
pub fn listener<S: tracing::Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    Listener.with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
}

struct Listener;

impl<S: tracing::Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut read = Read(false);
        event.record(&mut read);
        if read.0 {
            tuned();
        }
    }
}

/// Whether a message says that an operation is tuned.
struct Read(bool);

impl Visit for Read {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 |= format!("{value:?}").starts_with(TUNED);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn tuned_operations_are_counted_by_what_cubecl_logs() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let subscriber = tracing_subscriber::registry().with(listener());
        tracing::subscriber::with_default(subscriber, || {
            let watch = watch(move |count| sender.send(count).unwrap());
            tracing::info!(target: "cubecl::autotune", "Fastest result matmul-key. Top 3 times: [(0, 1ms)]");
            tracing::info!(target: "cubecl::autotune", "validate checksum key=k");
            tracing::info!(target: "cubecl::memory", "Fastest result");
            tracing::info!(target: "cubecl::autotune", "Fastest result reduce-key. Top 3 times: []");
            drop(watch);
            tracing::info!(target: "cubecl::autotune", "Fastest result nobody listens");
        });
        let counts: Vec<u64> = receiver.try_iter().collect();
        assert_eq!(counts.len(), 2);
        assert_eq!(counts[1], counts[0] + 1);
    }
}
