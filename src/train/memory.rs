//! How much memory a training on the CPU needs, and how much there is: said before the start, since a program that runs out of it
//! is ended by the system without a word.

use super::config::TrainConfig;
use crate::model::ModelConfig;

/// Bytes of a value.
const VALUE: u64 = 4;
/// What the program holds before it trains.
const PROGRAM: u64 = 64 << 20;
/// Copies of each weight: its value, gradient, both of Adam's moments, a packing for the convolutions, and those of the last
/// good step while a new one is taken.
const OF_WEIGHTS: u64 = 8;
/// Values that a step holds at once for each value of the generator's maps: both networks see the batch, three times in all, and
/// every operation keeps what its gradient needs. Measured between 16x16 and 64x64: 8 to 13.
const OF_MAPS: u64 = 11;
/// Batches that are decoded ahead.
const BATCHES: u64 = 4;
const AHEAD: u64 = 256 << 20;

/// About how many bytes a training on the CPU needs.
pub(super) fn needed(model: &ModelConfig, train: &TrainConfig) -> u64 {
    let (mut weights, mut maps) = (0u64, 0u64);
    let layers = model.layers();
    let (mut before, mut side) = (model.z_dim as u64, model.start() as u64);
    for (i, plan) in layers.generator.iter().enumerate() {
        if i > 0 {
            side *= plan.stride as u64;
        }
        weights += before * plan.maps as u64 * (plan.kernel * plan.kernel) as u64;
        maps += plan.maps as u64 * side * side;
        before = plan.maps as u64;
    }
    before = model.channels as u64;
    for plan in &layers.discriminator {
        weights += before * plan.maps as u64 * (plan.kernel * plan.kernel) as u64;
        before = plan.maps as u64;
    }
    let picture = model.values() as u64;
    let batch = train.batch as u64;
    let ahead = (BATCHES * batch * picture * VALUE).min(AHEAD.max(batch * picture * VALUE));
    let step = batch.saturating_mul(maps).saturating_mul(OF_MAPS * VALUE);
    PROGRAM.saturating_add(weights * OF_WEIGHTS * VALUE).saturating_add(ahead).saturating_add(step)
}

/// How many bytes this process may still take, as far as the system says: the machine's, its control group's, and its own limit.
pub(super) fn available() -> Option<u64> {
    let read = |path: &str| std::fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| in_meminfo(&text));
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max")
        .map(|most| most.saturating_sub(number("/sys/fs/cgroup/memory.current").unwrap_or(0)));
    let taken = read("/proc/self/status").and_then(|text| of(&text, "VmSize")).unwrap_or(0);
    let own = read("/proc/self/limits").and_then(|text| in_limits(&text)).map(|most| most.saturating_sub(taken));
    [machine, group, own].into_iter().flatten().min()
}

/// Memory and swap that are free, in `/proc/meminfo`.
fn in_meminfo(text: &str) -> Option<u64> {
    Some(of(text, "MemAvailable")? + of(text, "SwapFree").unwrap_or(0))
}

/// The bytes of a line `name:  123 kB`.
fn of(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// The limit of the address space in `/proc/self/limits`, where there is one.
fn in_limits(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What to say of a need.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// There is enough, or nobody knows.
    Enough,
    /// It may not do.
    Tight(String),
    /// It cannot do.
    TooMuch {
        /// Bytes.
        needed: u64,
        /// Bytes.
        available: u64,
        /// The largest batch that would do, if any does.
        batch: Option<usize>,
    },
}

/// Compares what is needed with what is there.
pub(super) fn verdict(model: &ModelConfig, train: &TrainConfig, available: Option<u64>) -> Verdict {
    let (needed, Some(available)) = (needed(model, train), available) else { return Verdict::Enough };
    if needed > available {
        let fits = |batch: usize| self::needed(model, &TrainConfig { batch, ..train.clone() }) <= available;
        let batch = (0..usize::BITS).map(|bit| 1usize << bit).take_while(|&batch| batch < train.batch && fits(batch));
        return Verdict::TooMuch { needed, available, batch: batch.last() };
    }
    if needed > available / 10 * 7 {
        return Verdict::Tight(format!(
            "this training needs about {} of memory, and {} are free: the system may end it. A smaller --batch (now {}) or \
             --base (now {}) needs less",
            gib(needed),
            gib(available),
            train.batch,
            model.base
        ));
    }
    Verdict::Enough
}

/// Bytes for people.
pub(super) fn gib(bytes: u64) -> String {
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
    fn the_estimate_is_near_what_was_measured() {
        // Largest resident sizes of two steps on synth:rooms, in MiB.
        for (size, base, batch, measured) in [
            (16, 8, 16, 69),
            (32, 16, 32, 101),
            (32, 16, 256, 192),
            (64, 32, 64, 308),
            (64, 64, 64, 598),
            (64, 16, 512, 789),
        ] {
            let (model, train) = sized(size, base, batch);
            let share = needed(&model, &train) as f64 / f64::from(measured << 20);
            assert!((0.7..1.5).contains(&share), "{size} {base} {batch}: {share:.2} of {measured} MiB");
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_and_what_may_not_is_said() {
        let (model, train) = sized(64, 64, 64);
        let needs = needed(&model, &train);
        assert_eq!(verdict(&model, &train, None), Verdict::Enough);
        assert_eq!(verdict(&model, &train, Some(needs * 2)), Verdict::Enough);
        assert!(matches!(verdict(&model, &train, Some(needs)), Verdict::Tight(text) if text.contains("--batch")));
        let Verdict::TooMuch { batch, .. } = verdict(&model, &train, Some(needs / 2)) else { panic!("it fits") };
        assert_eq!(batch, Some(16));
        let (model, train) = sized(64, 64, 100_000);
        assert!(needed(&model, &train) > 300 << 30);
    }

    #[test]
    fn free_memory_is_read_as_linux_writes_it() {
        let meminfo = "MemTotal:  24000 kB\nMemAvailable:   1000 kB\nSwapFree:     24 kB\n";
        assert_eq!(in_meminfo(meminfo), Some(1024 << 10));
        let limits =
            "Max cpu time  unlimited  unlimited  seconds\nMax address space         2000000  unlimited  bytes\n";
        assert_eq!(in_limits(limits), Some(2_000_000));
        assert_eq!(in_limits("Max address space  unlimited  unlimited  bytes"), None);
    }
}
