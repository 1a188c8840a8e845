//! Estimates how much memory a training needs and compares it with what the computer or the graphics card has.
//!
//! [`check`] does so before a training starts: the operating system kills programs that run out of memory without a
//! message, and some drivers do the same with programs that fill a graphics card.

use super::config::{RunConfig, TrainConfig};
use super::error::TrainError;
use crate::device::{Compute, Hardware, MemoryShortage, memory_shortage};
use crate::model::ModelConfig;

/// Bytes of a value.
const VALUE_BYTES: u64 = 4;
/// Bytes of the program before it trains.
const PROGRAM_BYTES: u64 = 64 << 20;
/// Copies of each weight: value, gradient, Adam's two moments, a packed copy for convolutions, and the last good
/// step's while a new one is computed.
const WEIGHT_COPIES: u64 = 8;
/// Values in memory at once during a step, per value of the generator's feature maps: both networks process the
/// batch, three times in all, and every operation keeps what its gradient needs. Measured between 16x16 and 64x64: 8
/// to 13.
const ACTIVATION_COPIES: u64 = 11;
/// Pages held by a graphics card's allocator relative to the memory in use, as a fraction: freed blocks rarely have
/// the size needed next, and the first start copies buffers to tune kernels.
const CARD_OVERHEAD: (u64, u64) = (4, 3);
/// Batches that the loader decodes ahead, and the most bytes that they take.
const PREFETCHED_BATCHES: u64 = 4;
const PREFETCHED_BYTES: u64 = 256 << 20;
/// Share of the memory, in tenths, above which a training is warned about.
const TIGHT_TENTHS: u64 = 7;

/// Checks whether the computer or the card has enough memory. Returns a warning if it may not suffice.
///
/// # Errors
/// [`TrainError::Memory`] or [`TrainError::CardMemory`] if it cannot suffice.
pub(super) fn check(config: &RunConfig, compute: &Compute) -> Result<Option<String>, TrainError> {
    let (batch, base) = (config.train.batch, config.model.base);
    if compute.kind == Hardware::Gpu {
        let name = compute.name.clone();
        return match compare_on_card(&config.model, &config.train, &name, compute.memory) {
            MemoryFit::Enough => Ok(None),
            MemoryFit::Tight(warning) => Ok(Some(warning)),
            MemoryFit::TooLarge { needed, available, fitting_batch } => {
                Err(TrainError::CardMemory { name, needed, available, fitting_batch, batch, base })
            }
        };
    }
    match compare_on_cpu(&config.model, &config.train, available()) {
        MemoryFit::Enough => Ok(None),
        MemoryFit::Tight(warning) => Ok(Some(warning)),
        MemoryFit::TooLarge { needed, available, fitting_batch } => {
            Err(TrainError::Memory { needed, available, fitting_batch, batch, base })
        }
    }
}

/// Replaces a device's error by one with advice if it is about memory.
pub(super) fn explain(error: TrainError, config: &RunConfig, compute: &Compute) -> TrainError {
    let (TrainError::Device { cause, .. } | TrainError::Panic { cause }) = &error else { return error };
    let (batch, base) = (config.train.batch, config.model.base);
    match memory_shortage(cause).filter(|_| compute.kind != Hardware::Cpu) {
        None => error,
        Some(MemoryShortage::AllocationTooLarge) => {
            TrainError::BufferTooLarge { name: compute.name.clone(), batch, base }
        }
        Some(MemoryShortage::OutOfMemory) => TrainError::CardFull {
            name: compute.name.clone(),
            needed: needed_on_card(&config.model, &config.train),
            memory: compute.memory,
            batch,
            base,
        },
    }
}

/// Estimated bytes of a training on the CPU.
pub(super) fn needed_on_cpu(model: &ModelConfig, train: &TrainConfig) -> u64 {
    let (step, weights) = step_and_weights(model, train);
    let batch_bytes = train.batch as u64 * model.values() as u64 * VALUE_BYTES;
    let prefetched = (PREFETCHED_BATCHES * batch_bytes).min(PREFETCHED_BYTES.max(batch_bytes));
    PROGRAM_BYTES.saturating_add(weights).saturating_add(prefetched).saturating_add(step)
}

/// Estimated bytes of a training on a graphics card: without what stays in the computer's memory, but with the freed
/// pages that the card's allocator keeps.
pub(super) fn needed_on_card(model: &ModelConfig, train: &TrainConfig) -> u64 {
    let (step, weights) = step_and_weights(model, train);
    weights.saturating_add(step.saturating_mul(CARD_OVERHEAD.0) / CARD_OVERHEAD.1)
}

/// Estimated bytes of the activations in memory at once during a step, and of all copies of the weights.
fn step_and_weights(model: &ModelConfig, train: &TrainConfig) -> (u64, u64) {
    let (mut weights, mut maps) = (0u64, 0u64);
    let layers = model.layers();
    let (mut inputs, mut side) = (model.z_dim as u64, model.smallest_side() as u64);
    for (i, plan) in layers.generator.iter().enumerate() {
        if i > 0 {
            side *= plan.stride as u64;
        }
        weights += inputs * plan.maps as u64 * (plan.kernel * plan.kernel) as u64;
        maps += plan.maps as u64 * side * side;
        inputs = plan.maps as u64;
    }
    inputs = model.channels as u64;
    for plan in &layers.discriminator {
        weights += inputs * plan.maps as u64 * (plan.kernel * plan.kernel) as u64;
        inputs = plan.maps as u64;
    }
    let step = (train.batch as u64).saturating_mul(maps).saturating_mul(ACTIVATION_COPIES * VALUE_BYTES);
    (step, weights * WEIGHT_COPIES * VALUE_BYTES)
}

/// Bytes that this process can still allocate, as far as the system says: the minimum of the machine's free memory,
/// its control group's limit, and its own limit.
fn available() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| parse_meminfo(&text));
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|limit| limit.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    let used = read("/proc/self/status").and_then(|text| parse_kib(&text, "VmSize")).unwrap_or(0);
    let process =
        read("/proc/self/limits").and_then(|text| parse_limits(&text)).map(|limit| limit.saturating_sub(used));
    [machine, group, process].into_iter().flatten().min()
}

/// Free memory and swap in `/proc/meminfo`.
fn parse_meminfo(text: &str) -> Option<u64> {
    Some(parse_kib(text, "MemAvailable")? + parse_kib(text, "SwapFree").unwrap_or(0))
}

/// The bytes in a line `name:  123 kB`.
fn parse_kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// The limit of the address space in `/proc/self/limits`, if there is one.
fn parse_limits(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// How a training fits into the memory.
#[derive(Debug, PartialEq)]
enum MemoryFit {
    /// It fits, or the size of the memory is unknown.
    Enough,
    /// It may not fit; a warning.
    Tight(String),
    /// It does not fit.
    TooLarge {
        /// Estimated need in bytes.
        needed: u64,
        /// Available bytes.
        available: u64,
        /// A batch size that fits, if any does.
        fitting_batch: Option<usize>,
    },
}

/// Compares the need on a graphics card with the card's memory, if its driver reports that.
fn compare_on_card(model: &ModelConfig, train: &TrainConfig, name: &str, memory: Option<u64>) -> MemoryFit {
    compare(
        train,
        memory,
        |train| needed_on_card(model, train),
        |needed, available| {
            format!(
                "this training needs about {needed} on the card, and {name} has {available}: it may run out of memory. A smaller --batch \
             (now {}) or --base (now {}) needs less",
                train.batch, model.base
            )
        },
    )
}

/// Compares the need on the CPU with the available memory.
fn compare_on_cpu(model: &ModelConfig, train: &TrainConfig, available: Option<u64>) -> MemoryFit {
    compare(
        train,
        available,
        |train| needed_on_cpu(model, train),
        |needed, available| {
            format!(
                "this training needs about {needed} of memory, and {available} are free: the system may kill it. A smaller --batch (now {}) \
             or --base (now {}) needs less",
                train.batch, model.base
            )
        },
    )
}

fn compare(
    train: &TrainConfig,
    available: Option<u64>,
    needed_for: impl Fn(&TrainConfig) -> u64,
    warning: impl FnOnce(String, String) -> String,
) -> MemoryFit {
    let (needed, Some(available)) = (needed_for(train), available) else { return MemoryFit::Enough };
    if needed > available {
        // The largest power of two that fits.
        let fits = |batch: usize| needed_for(&TrainConfig { batch, ..train.clone() }) <= available;
        let batches = (0..usize::BITS).map(|bit| 1usize << bit);
        let fitting_batch = batches.take_while(|&batch| batch < train.batch && fits(batch)).last();
        return MemoryFit::TooLarge { needed, available, fitting_batch };
    }
    if needed > available / 10 * TIGHT_TENTHS {
        return MemoryFit::Tight(warning(in_gib(needed), in_gib(available)));
    }
    MemoryFit::Enough
}

/// What to do if the memory does not suffice.
pub(super) fn advice(fitting_batch: Option<usize>, batch: usize, base: usize) -> String {
    match fitting_batch {
        Some(fitting) => format!("use --batch {fitting} or less (now {batch}), or a smaller --base (now {base})"),
        None => format!("use a smaller --base (now {base}) or --size, and a smaller --batch (now {batch})"),
    }
}

/// Formats bytes as GiB or MiB.
pub(super) fn in_gib(bytes: u64) -> String {
    let gib = bytes as f64 / f64::from(1 << 30);
    if gib < 1.0 { format!("{:.0} MiB", gib * 1024.0) } else { format!("{gib:.1} GiB") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn sized(size: usize, base: usize, batch: usize) -> (ModelConfig, TrainConfig) {
        let model = ModelConfig { size, base, ..ModelConfig::preset(Preset::Pytorch) };
        (model, TrainConfig { batch, ..TrainConfig::preset(Preset::Pytorch) })
    }

    #[test]
    fn the_estimate_is_close_to_measurements() {
        // Peak resident sizes of two steps on synth:rooms, in MiB.
        for (size, base, batch, measured) in [
            (16, 8, 16, 69),
            (32, 16, 32, 101),
            (32, 16, 256, 192),
            (64, 32, 64, 308),
            (64, 64, 64, 598),
            (64, 16, 512, 789),
        ] {
            let (model, train) = sized(size, base, batch);
            let share = needed_on_cpu(&model, &train) as f64 / f64::from(measured << 20);
            assert!((0.7..1.5).contains(&share), "{size} {base} {batch}: {share:.2} of {measured} MiB");
        }
    }

    #[test]
    fn a_training_that_cannot_fit_is_refused_and_a_tight_one_is_warned_about() {
        let (model, train) = sized(64, 64, 64);
        let needs = needed_on_cpu(&model, &train);
        assert_eq!(compare_on_cpu(&model, &train, None), MemoryFit::Enough);
        assert_eq!(compare_on_cpu(&model, &train, Some(needs * 2)), MemoryFit::Enough);
        assert!(
            matches!(compare_on_cpu(&model, &train, Some(needs)), MemoryFit::Tight(text) if text.contains("--batch"))
        );
        let MemoryFit::TooLarge { fitting_batch, .. } = compare_on_cpu(&model, &train, Some(needs / 2)) else {
            panic!("it fits")
        };
        assert_eq!(fitting_batch, Some(8));
        let (model, train) = sized(64, 64, 100_000);
        assert!(needed_on_cpu(&model, &train) > 300 << 30);
    }

    #[test]
    fn a_card_is_compared_with_its_own_memory() {
        let (model, train) = sized(64, 64, 128);
        let needs = needed_on_card(&model, &train);
        assert_eq!(compare_on_card(&model, &train, "RTX", None), MemoryFit::Enough, "its memory is unknown");
        assert_eq!(compare_on_card(&model, &train, "RTX", Some(needs * 2)), MemoryFit::Enough);
        let tight = compare_on_card(&model, &train, "RTX", Some(needs));
        assert!(matches!(tight, MemoryFit::Tight(text) if text.contains("RTX") && text.contains("--batch")));
        // Memory of two steps on the software adapter beyond that of a tiny training, in MiB.
        for (size, base, batch, measured) in [(32, 16, 64, 54), (64, 32, 64, 257)] {
            let (model, train) = sized(size, base, batch);
            let share = needed_on_card(&model, &train) as f64 / f64::from(measured << 20);
            assert!((0.7..1.5).contains(&share), "{size} {base} {batch}: {share:.2} of {measured} MiB");
        }
        let fit = compare_on_card(&model, &train, "RTX", Some(needs / 2));
        assert!(matches!(fit, MemoryFit::TooLarge { fitting_batch: Some(32), .. }), "{fit:?}");
    }

    #[test]
    fn free_memory_is_parsed_from_linux_files() {
        let meminfo = "MemTotal:  24000 kB\nMemAvailable:   1000 kB\nSwapFree:     24 kB\n";
        assert_eq!(parse_meminfo(meminfo), Some(1024 << 10));
        let limits =
            "Max cpu time  unlimited  unlimited  seconds\nMax address space         2000000  unlimited  bytes\n";
        assert_eq!(parse_limits(limits), Some(2_000_000));
        assert_eq!(parse_limits("Max address space  unlimited  unlimited  bytes"), None);
    }

    #[test]
    fn a_card_is_refused_what_it_cannot_hold_and_its_errors_are_explained() {
        let mut config = RunConfig::preset(Preset::Pytorch, "synth:rooms");
        config.train.batch = 128;
        let card = |memory| Compute { kind: Hardware::Gpu, name: "RTX 3050".to_owned(), memory, ..Compute::cpu() };
        let refused = check(&config, &card(Some(1 << 30))).unwrap_err().to_string();
        assert!(refused.contains("on the card, RTX 3050 has 1.0 GiB: use --batch 64 or less (now 128)"), "{refused}");
        assert!(check(&config, &card(None)).unwrap().is_none(), "its memory is unknown");

        let full = || TrainError::Device { step: 7, cause: "out of device memory allocating 9 bytes".to_owned() };
        let explained = explain(full(), &config, &card(Some(8 << 30))).to_string();
        assert!(
            explained.starts_with("RTX 3050 ran out of memory:") && explained.contains("the card has 8.0 GiB"),
            "{explained}"
        );
        let panicked = TrainError::Panic { cause: "wgpu error: Out of Memory".to_owned() };
        assert!(explain(panicked, &config, &card(None)).to_string().contains("smaller --batch (now 128)"));
        let large = TrainError::Panic { cause: "can't allocate buffer of size: 268435456".to_owned() };
        assert!(explain(large, &config, &card(None)).to_string().contains("in one piece"));
        assert!(matches!(explain(full(), &config, &Compute::cpu()), TrainError::Device { .. }));
        let lost = TrainError::Device { step: 7, cause: "Parent device is lost".to_owned() };
        assert!(matches!(explain(lost, &config, &card(None)), TrainError::Device { .. }));
    }
}
