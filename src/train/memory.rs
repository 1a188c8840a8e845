//! How much memory a training needs, and how much there is: said before the start, since the system ends a program that runs out of
//! memory without a word, and a driver may do the same to one that fills a graphics card.

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
/// Bytes of pages that a card's allocator holds for each byte of a step, as a fraction: what is freed is not of the right size for what comes
/// next, and a first start copies what it tunes with.
const PAGES: (u64, u64) = (4, 3);
/// Batches that are decoded ahead.
const BATCHES: u64 = 4;
const AHEAD: u64 = 256 << 20;

/// About how many bytes a training on the CPU needs.
pub(super) fn needed(model: &ModelConfig, train: &TrainConfig) -> u64 {
    let (step, weights) = in_use(model, train);
    let (batch, picture) = (train.batch as u64, model.values() as u64);
    let ahead = (BATCHES * batch * picture * VALUE).min(AHEAD.max(batch * picture * VALUE));
    PROGRAM.saturating_add(weights).saturating_add(ahead).saturating_add(step)
}

/// Bytes of what a step holds at once, and of all copies of the weights.
fn in_use(model: &ModelConfig, train: &TrainConfig) -> (u64, u64) {
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
    let step = (train.batch as u64).saturating_mul(maps).saturating_mul(OF_MAPS * VALUE);
    (step, weights * OF_WEIGHTS * VALUE)
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

/// About how many bytes a training needs on a graphics card: as on the CPU, without what never leaves the computer's own memory.
/// Its allocator keeps freed pages, so that the card must have more than a step holds at once.
pub(super) fn needed_on_card(model: &ModelConfig, train: &TrainConfig) -> u64 {
    let (step, weights) = in_use(model, train);
    weights.saturating_add(step.saturating_mul(PAGES.0) / PAGES.1)
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

/// The largest batch that fits into `available` bytes where this one does not, by powers of two.
fn fitting(train: &TrainConfig, available: u64, needed: impl Fn(&TrainConfig) -> u64) -> Option<usize> {
    let fits = |batch: usize| needed(&TrainConfig { batch, ..train.clone() }) <= available;
    (0..usize::BITS).map(|bit| 1usize << bit).take_while(|&batch| batch < train.batch && fits(batch)).last()
}

/// What helps where the memory does not do.
pub(super) fn smaller(batch: Option<usize>, now: usize, base: usize) -> String {
    match batch {
        Some(batch) => format!("use --batch {batch} or less (now {now}), or a smaller --base (now {base})"),
        None => format!("use a smaller --base (now {base}) or --size, and a smaller --batch (now {now})"),
    }
}

/// Compares what is needed on a graphics card with the memory of it, where its driver says how much that is.
pub(super) fn on_card(model: &ModelConfig, train: &TrainConfig, name: &str, memory: Option<u64>) -> Verdict {
    let (needed, Some(available)) = (needed_on_card(model, train), memory) else { return Verdict::Enough };
    if needed > available {
        let batch = fitting(train, available, |train| needed_on_card(model, train));
        return Verdict::TooMuch { needed, available, batch };
    }
    if needed > available / 10 * 7 {
        return Verdict::Tight(format!(
            "this training needs about {} on the card, and {name} has {}: it may run out of memory. A smaller --batch (now {}) or \
             --base (now {}) needs less",
            gib(needed),
            gib(available),
            train.batch,
            model.base
        ));
    }
    Verdict::Enough
}

/// Compares what is needed with what is there.
pub(super) fn verdict(model: &ModelConfig, train: &TrainConfig, available: Option<u64>) -> Verdict {
    let (needed, Some(available)) = (needed(model, train), available) else { return Verdict::Enough };
    if needed > available {
        let batch = fitting(train, available, |train| self::needed(model, train));
        return Verdict::TooMuch { needed, available, batch };
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
        assert_eq!(batch, Some(8));
        let (model, train) = sized(64, 64, 100_000);
        assert!(needed(&model, &train) > 300 << 30);
    }

    #[test]
    fn a_card_is_measured_by_its_own_memory() {
        let (model, train) = sized(64, 64, 128);
        let needs = needed_on_card(&model, &train);
        assert_eq!(on_card(&model, &train, "RTX", None), Verdict::Enough, "nobody knows");
        assert_eq!(on_card(&model, &train, "RTX", Some(needs * 2)), Verdict::Enough);
        let tight = on_card(&model, &train, "RTX", Some(needs));
        assert!(matches!(tight, Verdict::Tight(text) if text.contains("RTX") && text.contains("--batch")));
        // What two steps on the software adapter took beyond a tiny training there, in MiB.
        for (size, base, batch, measured) in [(32, 16, 64, 54), (64, 32, 64, 257)] {
            let (model, train) = sized(size, base, batch);
            let share = needed_on_card(&model, &train) as f64 / f64::from(measured << 20);
            assert!((0.7..1.5).contains(&share), "{size} {base} {batch}: {share:.2} of {measured} MiB");
        }
        let verdict = on_card(&model, &train, "RTX", Some(needs / 2));
        assert!(matches!(verdict, Verdict::TooMuch { batch: Some(32), .. }), "{verdict:?}");
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
