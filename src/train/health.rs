//! Detects training failures from each step's metrics and from samples: a discriminator that has won, mode collapse,
//! divergence, a data set that is too small.
//!
//! [`HealthMonitor`] takes metrics and samples and returns [`HealthEvent`]s. The thresholds come from recorded runs,
//! which docs/MEASURES.md lists.

use std::collections::VecDeque;

use super::alarm::{Alarm, FailureMode, HealthEvent, Remedy};
use super::config::TrainConfig;
use super::messages::LearningRates;
use super::metrics::Metrics;
use super::schedule::Schedule;
use super::variety::{Variety, values};
use crate::image::{Picture, to_signed};

/// A smaller data set is memorized by the discriminator, and the generator copies it.
pub const MIN_PICTURES: usize = 1000;
/// Steps between two checks of the samples at most.
pub const CHECK_INTERVAL: u64 = 100;
/// Samples that are checked, and real pictures that they are compared with.
pub const SAMPLES: usize = 64;
/// Mean squared distance below which two pictures count as identical; pixels are in [-1, 1].
const SAME_PICTURE: f32 = 1e-5;
/// Decay of the exponential moving average of metrics, which so covers about 25 steps.
const DECAY: f32 = 0.96;
/// Steps after the first until the moving average means something.
const WARM_UP: u64 = 10;
/// D(x) - D(G(z)) above which the discriminator is suspected of having won, and below which it has not. Healthy runs
/// on photographs reach 0.90.
const WON_GAP: f32 = 0.9;
const NOT_WON_GAP: f32 = 0.8;
/// The discriminator has won after so many steps above [`WON_GAP`] ...
const WON_STEPS: u64 = 250;
/// ... if its loss is below this one.
const WON_LOSS: f32 = 0.15;
/// A clear victory is reported earlier: gap, loss, and number of steps.
const CLEAR_GAP: f32 = 0.98;
const CLEAR_LOSS: f32 = 0.03;
const CLEAR_STEPS: u64 = 50;
/// Losses of the discriminator and the generator that no healthy step reached.
const LARGE_LOSS: [f32; 2] = [8.0, 25.0];
/// A loss that alone proves divergence.
const HUGE_LOSS: f32 = 100.0;
/// A gradient norm that no healthy step reached.
const LARGE_NORM: f32 = 1000.0;
/// So many large steps within so many steps are a divergence.
const DIVERGING: (usize, u64) = (4, 20);
/// Steps without a large one after which a divergence is over.
const CALM_STEPS: u64 = 200;
/// Variety of samples, relative to real pictures, below which a generator has collapsed, and from which on it has
/// recovered.
const COLLAPSED: f32 = 0.25;
const VARIED: f32 = 0.5;
/// Steps that a young generator may take, at the paper's learning rate of 2e-4, before its samples must vary a
/// little, ...
const YOUNG_STEPS: u64 = 500;
/// ... and the variety that they must then reach: photographs of rooms stay at 0.2 to 0.35 for 400 steps, flat
/// drawings whose training fails at 0.1.
const COLLAPSED_YOUNG: f32 = 0.15;
/// Variety of real pictures below which samples cannot be compared with them, as with one picture in many copies.
const MIN_REAL_VARIETY: f32 = 0.02;
/// Samples of a preview that suffice for a check.
const MIN_SAMPLES: usize = 8;
/// The paper's learning rate (section 4).
const PAPER_RATE: f64 = 2e-4;

/// The alarm of a run whose metrics became infinite or NaN in `step`.
pub(super) fn divergence(step: u64, rates: LearningRates) -> Alarm {
    let remedies = vec![lower_rates(rates, calm_rate)];
    let failure = FailureMode::Divergence { loss: f32::INFINITY, norm: f32::INFINITY };
    Alarm { failure, since: step, step, remedies, checkpoint: None }
}

/// The state of one failure mode.
#[derive(Debug, Clone, Copy, Default)]
struct Suspicion {
    /// The first step that may belong to the failure.
    since: Option<u64>,
    /// Whether the failure is certain and was reported.
    reported: bool,
}

impl Suspicion {
    /// Ends the suspicion. Returns the recovery if the failure had been reported.
    fn end(&mut self, failure: FailureMode, step: u64) -> Option<HealthEvent> {
        let reported = std::mem::take(self).reported;
        reported.then_some(HealthEvent::Recovered { failure, step })
    }
}

/// Watches a run for failures.
#[derive(Debug, Default)]
pub struct HealthMonitor {
    /// The first real pictures, as values in [-1, 1].
    real: Vec<Vec<f32>>,
    real_variety: Option<RealVariety>,
    /// Moving averages of D(x), D(G(z)) and the discriminator's loss.
    average: Option<[f32; 3]>,
    won: Suspicion,
    diverged: Suspicion,
    /// Recent steps with metrics that no healthy step has, ...
    large_steps: VecDeque<u64>,
    /// ... and the largest loss and gradient norm among them.
    worst: [f32; 2],
    collapsed: Suspicion,
    /// Step and variety of the last checks of samples.
    varieties: VecDeque<(u64, f32)>,
    /// Whether samples ever varied as real pictures do.
    varied: bool,
    first_step: Option<u64>,
}

/// How much real pictures vary.
#[derive(Debug, Clone, Copy)]
struct RealVariety {
    /// Root mean square distance from their mean.
    spread: f32,
    /// Median distance to the nearest other picture. Missing if there are fewer than [`SAMPLES`] distinct pictures:
    /// samples of few pictures have to be close to one another, so only the spread counts.
    nearest: Option<f32>,
}

impl HealthMonitor {
    /// The alarm of a data set with few pictures. `None` pictures are endless data.
    pub fn check_size(pictures: Option<usize>, train: &TrainConfig) -> Option<Alarm> {
        let pictures = pictures.filter(|&pictures| pictures < MIN_PICTURES)?;
        let remedies = mirror(train).into_iter().collect();
        Some(Alarm {
            failure: FailureMode::DatasetTooSmall { pictures },
            since: 0,
            step: 0,
            remedies,
            checkpoint: None,
        })
    }

    /// Whether more real pictures are needed to compare samples with.
    pub fn needs_real(&self) -> bool {
        self.real.len() < SAMPLES
    }

    /// Adds real pictures of `length` bytes each.
    pub fn add_real(&mut self, planes: &[u8], length: usize) {
        let room = SAMPLES.saturating_sub(self.real.len());
        let values = |planes: &[u8]| planes.iter().copied().map(to_signed).collect();
        self.real.extend(planes.chunks_exact(length.max(1)).take(room).map(values));
        self.real_variety = (self.real.len() > 1).then(|| {
            let Variety { spread, nearest, distinct } = Variety::measure(&self.real, SAME_PICTURE);
            RealVariety { spread, nearest: (distinct >= SAMPLES).then_some(nearest) }
        });
    }

    /// First steps of failures that are suspected but not certain.
    pub fn suspected(&self) -> Vec<u64> {
        let uncertain = [self.won, self.collapsed, self.diverged].into_iter().filter(|suspicion| !suspicion.reported);
        uncertain.filter_map(|suspicion| suspicion.since).collect()
    }

    /// Checks the metrics of a step.
    pub fn check_step(&mut self, metrics: &Metrics, train: &TrainConfig, rates: LearningRates) -> Vec<HealthEvent> {
        let step = metrics.step;
        let first = *self.first_step.get_or_insert(step);
        let mut events = Vec::new();
        events.extend(self.check_divergence(metrics, train, rates));
        let new = [metrics.d_real, metrics.d_fake, metrics.loss_d];
        let average = match self.average {
            Some(old) => std::array::from_fn(|i| DECAY * old[i] + (1.0 - DECAY) * new[i]),
            None => new,
        };
        self.average = Some(average);
        if step >= first + WARM_UP {
            events.extend(self.check_discriminator(step, average, train, rates));
        }
        events
    }

    fn check_discriminator(
        &mut self,
        step: u64,
        [d_real, d_fake, loss_d]: [f32; 3],
        train: &TrainConfig,
        rates: LearningRates,
    ) -> Option<HealthEvent> {
        let failure = FailureMode::DiscriminatorWon { d_real, d_fake, loss_d };
        let gap = d_real - d_fake;
        if gap < NOT_WON_GAP {
            return self.won.end(failure, step);
        }
        if gap <= WON_GAP {
            if !self.won.reported {
                self.won.since = None;
            }
            return None;
        }
        let since = *self.won.since.get_or_insert(step);
        let steps = if gap > CLEAR_GAP && loss_d < CLEAR_LOSS { CLEAR_STEPS } else { WON_STEPS };
        if step < since + steps || loss_d >= WON_LOSS || self.won.reported {
            return None;
        }
        self.won.reported = true;
        let mut remedies = vec![more_noise(train)];
        // A quarter of a rate far above the paper's would win as well.
        let [generator, discriminator] = [rates.generator, rates.discriminator].map(|rate| rate.min(PAPER_RATE));
        remedies.push(Remedy::LowerRates { generator, discriminator: rounded(discriminator / 4.0) });
        remedies.extend(mirror(train));
        Some(HealthEvent::Failing(Alarm { failure, since, step, remedies, checkpoint: None }))
    }

    fn check_divergence(
        &mut self,
        metrics: &Metrics,
        train: &TrainConfig,
        rates: LearningRates,
    ) -> Option<HealthEvent> {
        let Metrics { step, loss_d, loss_g, norm_d, norm_g, .. } = *metrics;
        let [loss, norm] = [loss_d.max(loss_g), norm_d.max(norm_g)];
        if loss_d > LARGE_LOSS[0] || loss_g > LARGE_LOSS[1] || norm > LARGE_NORM {
            self.large_steps.push_back(step);
            let since = *self.diverged.since.get_or_insert(step);
            self.worst = [self.worst[0].max(loss), self.worst[1].max(norm)];
            let recent = self.large_steps.iter().filter(|&&large| large + DIVERGING.1 > step).count();
            if (loss <= HUGE_LOSS && recent < DIVERGING.0) || self.diverged.reported {
                return None;
            }
            self.diverged.reported = true;
            let failure = FailureMode::Divergence { loss: self.worst[0], norm: self.worst[1] };
            let remedies = vec![lower_rates(rates, calm_rate), more_noise(train)];
            return Some(HealthEvent::Failing(Alarm { failure, since, step, remedies, checkpoint: None }));
        }
        // A single outlier is forgotten sooner than a divergence.
        let calm = if self.diverged.reported { CALM_STEPS } else { DIVERGING.1 };
        if self.large_steps.back().is_some_and(|&last| step >= last + calm) {
            self.large_steps.clear();
            self.worst = [0.0; 2];
            return self.diverged.end(FailureMode::Divergence { loss, norm }, step);
        }
        None
    }

    /// Checks samples of the fixed z's, generated after `step`, for mode collapse.
    pub fn check_samples(
        &mut self,
        step: u64,
        samples: &[Picture],
        train: &TrainConfig,
        rates: LearningRates,
    ) -> Option<HealthEvent> {
        let real = self.real_variety?;
        let checked = self.varieties.back().is_some_and(|&(last, _)| last >= step);
        if real.spread < MIN_REAL_VARIETY || samples.len() < MIN_SAMPLES || checked {
            return None;
        }
        let samples: Vec<Vec<f32>> = samples.iter().take(SAMPLES).map(values).collect();
        let Variety { spread, nearest, .. } = Variety::measure(&samples, -1.0);
        let variety = match real.nearest {
            Some(real_nearest) if real_nearest > 0.0 && samples.len() == SAMPLES => {
                (spread / real.spread).min(nearest / real_nearest)
            }
            _ => spread / real.spread,
        };
        self.varied |= variety >= VARIED;
        self.varieties.push_back((step, variety));
        while self.varieties.len() > 2 && self.varieties[1].0 + 200 <= step {
            self.varieties.pop_front();
        }
        let failure = FailureMode::ModeCollapse { variety };
        if variety >= COLLAPSED {
            if !self.collapsed.reported {
                self.collapsed.since = None;
            }
            return if variety >= VARIED { self.collapsed.end(failure, step) } else { None };
        }
        let since = *self.collapsed.since.get_or_insert(step);
        let certain = if self.varied {
            // Samples varied and no longer do: a second check is enough.
            step >= since + 20
        } else {
            // Every generator begins with gray. A slow one may take longer, as long as its variety grows.
            let updates = if matches!(train.schedule, Schedule::Generator(_)) { 1.0 } else { 2.0 };
            let young = YOUNG_STEPS as f64 * updates * (PAPER_RATE / rates.generator).clamp(1.0, 20.0);
            let growing = self.varieties.front().is_some_and(|&(_, first)| variety > 1.25 * first);
            let limit = if step as f64 >= 4.0 * young { COLLAPSED } else { COLLAPSED_YOUNG };
            step as f64 >= young && variety < limit && !growing
        };
        if !certain || self.collapsed.reported {
            return None;
        }
        self.collapsed.reported = true;
        let lower = lower_rates(rates, |rate| if rate > PAPER_RATE { PAPER_RATE } else { rate / 2.0 });
        let remedies = [more_noise(train), lower].into_iter().chain(mirror(train)).collect();
        Some(HealthEvent::Failing(Alarm { failure, since, step, remedies, checkpoint: None }))
    }
}

/// Instance noise above the present one.
fn more_noise(train: &TrainConfig) -> Remedy {
    let deviation = if train.noise < 0.2 { 0.2 } else { (train.noise * 2.0).min(1.0) };
    Remedy::Noise { deviation, steps: 3000 }
}

/// A learning rate that ends a divergence: the paper's, or a quarter of a rate that is not above it.
fn calm_rate(rate: f64) -> f64 {
    if rate > PAPER_RATE { PAPER_RATE } else { rate / 4.0 }
}

/// Both learning rates lowered by `lower`.
fn lower_rates(rates: LearningRates, lower: impl Fn(f64) -> f64) -> Remedy {
    let [generator, discriminator] = [rates.generator, rates.discriminator].map(|rate| rounded(lower(rate)));
    Remedy::LowerRates { generator, discriminator }
}

fn mirror(train: &TrainConfig) -> Option<Remedy> {
    (!train.mirror).then_some(Remedy::Mirror)
}

/// Rounds to two significant digits.
fn rounded(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

#[cfg(test)]
mod tests;
