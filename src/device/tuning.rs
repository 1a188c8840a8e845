//! CubeCL's kernel tuning: where its results are cached, and notifications while it tunes.
//!
//! CubeCL times several kernels for an operation when it first runs with new sizes. `configure_cache` makes it store
//! the results in the user's cache folder for later starts. [`subscribe`] reports tuned operations, which
//! [`log_layer`] detects in CubeCL's log.

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

/// The stem of the file of results.
const FILE_STEM: &str = "kernels";
/// The target of CubeCL's log messages about tuning.
const TARGET: &str = "cubecl::autotune";
/// The start of the message that an operation has been tuned.
const TUNED_MESSAGE: &str = "Fastest result";

/// Makes CubeCL store what it measures and compiles in the user's cache folder. Must be called before the first card
/// is opened; later calls have no effect.
pub(super) fn configure_cache() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut config = CubeClRuntimeConfig::default();
        config.environment.name = FILE_STEM.to_owned();
        config.environment.path = CacheConfig::Directory(cache_folder().unwrap_or_else(invalid_folder));
        // One message per operation, which `TuningLayer` counts.
        config.autotune.logger.level = AutotuneLogLevel::Minimal;
        config.autotune.logger.log = Some(Default::default());
        if !CubeClRuntimeConfig::try_set(config.override_from_env()) {
            tracing::debug!("CubeCL is already configured, so its tuning cache stays where it is");
        }
    });
}

/// The folder of the results. `None` if caching is off.
pub fn cache_folder() -> Option<PathBuf> {
    files::cache_folder().map(|folder| folder.join("tuning"))
}

/// A path below the executable, where no folder can be created: CubeCL then keeps its results in memory.
fn invalid_folder() -> PathBuf {
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("zscape")).join("tuning")
}

/// The tuning cache on disk.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TuningCache {
    /// The file. `None` if caching is off.
    pub file: Option<PathBuf>,
    /// Its size in bytes; 0 if it does not exist yet.
    pub bytes: u64,
}

/// The state of the tuning cache. Writes nothing.
pub fn cache() -> TuningCache {
    let file = cache_folder().map(|folder| folder.join(environment::file_name(FILE_STEM)));
    // The latest results may still be in the write-ahead log beside it.
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let bytes = file.as_deref().map_or(0, |file| size(file) + size(&file.with_extension("db-wal")));
    TuningCache { file, bytes }
}

type Listener = dyn Fn(u64) + Send + Sync;

static COUNT: AtomicU64 = AtomicU64::new(0);
static LISTENERS: Mutex<Vec<Weak<Listener>>> = Mutex::new(Vec::new());

/// A subscription to tuned operations; dropping it ends the subscription.
pub struct TuningSubscription {
    count: Arc<AtomicU64>,
    _listener: Arc<Listener>,
}

impl TuningSubscription {
    /// The number of operations that this process has tuned; `None` if none was tuned since the subscription began.
    pub fn count(&self) -> Option<u64> {
        Some(self.count.load(Ordering::Relaxed)).filter(|&count| count > 0)
    }
}

/// Calls `listener` after each tuned operation with the number of operations that this process has tuned. The call
/// comes from the thread that tunes, so it must be quick and must not compute.
pub fn subscribe(listener: impl Fn(u64) + Send + Sync + 'static) -> TuningSubscription {
    let count = Arc::new(AtomicU64::new(0));
    let newest = count.clone();
    let listener: Arc<Listener> = Arc::new(move |count| {
        newest.store(count, Ordering::Relaxed);
        listener(count);
    });
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    listeners.retain(|listener| listener.strong_count() > 0);
    listeners.push(Arc::downgrade(&listener));
    TuningSubscription { count, _listener: listener }
}

fn notify() {
    let count = COUNT.fetch_add(1, Ordering::Relaxed) + 1;
    let listeners: Vec<Arc<Listener>> =
        LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).iter().filter_map(Weak::upgrade).collect();
    listeners.iter().for_each(|listener| listener(count));
}

/// A layer for the program's tracing subscriber that detects tuned operations in CubeCL's log for [`subscribe`].
pub fn log_layer<S: tracing::Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    TuningLayer.with_filter(Targets::new().with_target(TARGET, LevelFilter::INFO))
}

struct TuningLayer;

impl<S: tracing::Subscriber> Layer<S> for TuningLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut message = TunedMessage(false);
        event.record(&mut message);
        if message.0 {
            notify();
        }
    }
}

/// Whether a message reports a tuned operation.
struct TunedMessage(bool);

impl Visit for TunedMessage {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 |= format!("{value:?}").starts_with(TUNED_MESSAGE);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[test]
    fn tuned_operations_are_counted_from_cubecls_log() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let subscriber = tracing_subscriber::registry().with(log_layer());
        tracing::subscriber::with_default(subscriber, || {
            let subscription = subscribe(move |count| sender.send(count).unwrap());
            tracing::info!(target: "cubecl::autotune", "Fastest result matmul-key. Top 3 times: [(0, 1ms)]");
            tracing::info!(target: "cubecl::autotune", "validate checksum key=k");
            tracing::info!(target: "cubecl::memory", "Fastest result");
            tracing::info!(target: "cubecl::autotune", "Fastest result reduce-key. Top 3 times: []");
            drop(subscription);
            tracing::info!(target: "cubecl::autotune", "Fastest result without a listener");
        });
        let counts: Vec<u64> = receiver.try_iter().collect();
        assert_eq!(counts.len(), 2);
        assert_eq!(counts[1], counts[0] + 1);
    }
}
