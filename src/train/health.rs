//! Whether a training fails, from what each step measures and from the fixed previews: the discriminator has won, the samples
//! are all alike, the values exploded, the set is too small. Thresholds come from recorded runs; docs/MEASURES.md has them.

use std::collections::VecDeque;

use super::alarm::{Alarm, Health, Remedy, Trouble};
use super::config::{Schedule, TrainConfig};
use super::messages::Rates;
use super::metrics::Metrics;
use crate::image::Picture;

/// A set with fewer pictures is too small: the discriminator learns it by heart, and the generator copies it.
pub const FEW_PICTURES: usize = 1000;
/// Steps between two looks at the samples at most.
pub const LOOK_EVERY: u64 = 100;
/// Real pictures that the samples are compared with, and as many samples.
pub const REAL: usize = 64;
/// Squared distance under which two pictures are the same one, a mean over values of [-1, 1].
const SAME: f32 = 1e-5;
/// What is left of the last value in an average over steps: about 25 of them count.
const KEPT: f32 = 0.96;
/// A loss of the discriminator or the generator that no healthy step has, and one that settles it alone.
const LARGE: [f32; 2] = [8.0, 25.0];
const HUGE: f32 = 100.0;
/// A gradient that no healthy step has.
const STEEP: f32 = 1000.0;
/// So many such steps among so many are an explosion.
const EXPLODING: (usize, u64) = (4, 20);
/// Steps without any after which it is over.
const CALM: u64 = 200;
/// Variety of the samples, as a share of that of real pictures: below the first they are all alike, from the second on they are not.
const ALIKE: f32 = 0.25;
const VARIED: f32 = 0.5;
/// Steps that a young generator may take, at the paper's rate of 2e-4, before its samples have to differ a little, and by how much:
/// photographs of rooms stay at 0.2 to 0.35 for 400 steps, flat drawings that fail at 0.1.
const YOUTH: u64 = 500;
const ALIKE_YOUNG: f32 = 0.15;

/// The alarm of a run whose losses are no longer numbers after `step`.
pub(super) fn diverged(step: u64, rates: Rates) -> Alarm {
    let (generator, discriminator) = (calmer(rates.generator), calmer(rates.discriminator));
    let remedies = vec![Remedy::LowerRates { generator, discriminator }];
    let trouble = Trouble::ValuesExploded { loss: f32::INFINITY, norm: f32::INFINITY };
    Alarm { trouble, since: step, step, remedies, kept: None }
}

/// The paper's rate for one that is above it, and a quarter of any other.
fn calmer(rate: f64) -> f64 {
    if rate > 2e-4 { 2e-4 } else { rounded(rate / 4.0) }
}

/// A trouble in the making.
#[derive(Debug, Clone, Copy, Default)]
struct Watch {
    /// The first step that may belong to it.
    suspected: Option<u64>,
    /// Whether it is certain, and was announced.
    sure: bool,
}

/// Watches a run. What goes in are numbers and pictures, what comes out is what is to be said.
#[derive(Debug, Default)]
pub struct Monitor {
    real: Vec<Vec<f32>>,
    /// Spread and nearest distance of the real pictures, once there are enough.
    varieties: Option<(f32, Option<f32>)>,
    average: Option<[f32; 3]>,
    won: Watch,
    exploded: Watch,
    /// Steps with values that no healthy one has, and the largest loss and gradient among them.
    large: VecDeque<u64>,
    worst: [f32; 2],
    alike: Watch,
    /// Varieties of the previews so far: step and share.
    seen: VecDeque<(u64, f32)>,
    /// Whether the samples ever differed as real pictures do.
    varied: bool,
    begun: Option<u64>,
}

impl Monitor {
    /// Says at the start that `pictures` are few.
    pub fn start(pictures: Option<usize>, train: &TrainConfig) -> Option<Alarm> {
        let pictures = pictures.filter(|&pictures| pictures < FEW_PICTURES)?;
        let remedies = if train.mirror { Vec::new() } else { vec![Remedy::Mirror] };
        Some(Alarm { trouble: Trouble::SetTooSmall { pictures }, since: 0, step: 0, remedies, kept: None })
    }

    /// Whether more real pictures are wanted to compare samples with.
    pub fn wants_real(&self) -> bool {
        self.real.len() < REAL
    }

    /// Takes real pictures of `length` values each.
    pub fn real(&mut self, pixels: &[f32], length: usize) {
        let room = REAL.saturating_sub(self.real.len());
        self.real.extend(pixels.chunks_exact(length.max(1)).take(room).map(<[f32]>::to_vec));
        self.varieties = (self.real.len() > 1).then(|| {
            let (spread, nearest, distinct) = variety(&self.real, SAME);
            // Samples of few pictures have to be near one another: then only their spread counts.
            (spread, (distinct >= REAL).then_some(nearest))
        });
    }

    /// The first step that any trouble may have begun with.
    pub fn suspected(&self) -> Option<u64> {
        [self.won, self.alike, self.exploded].into_iter().filter_map(|watch| watch.suspected).min()
    }

    /// Takes in what a step measured.
    pub fn step(&mut self, metrics: &Metrics, train: &TrainConfig, rates: Rates) -> Vec<Health> {
        let step = metrics.step;
        let begun = *self.begun.get_or_insert(step);
        let mut found = Vec::new();
        found.extend(self.explosion(metrics, train, rates));
        let new = [metrics.d_real, metrics.d_fake, metrics.loss_d];
        let average = match self.average {
            Some(old) => std::array::from_fn(|i| KEPT * old[i] + (1.0 - KEPT) * new[i]),
            None => new,
        };
        self.average = Some(average);
        // The average needs some steps before it says anything.
        if step >= begun + 10 {
            found.extend(self.victory(step, average, train, rates));
        }
        found
    }

    fn victory(
        &mut self,
        step: u64,
        [d_real, d_fake, loss_d]: [f32; 3],
        train: &TrainConfig,
        rates: Rates,
    ) -> Option<Health> {
        let trouble = Trouble::DiscriminatorWon { d_real, d_fake, loss_d };
        let apart = d_real - d_fake;
        if apart < 0.8 {
            return self.won.over(trouble, step);
        }
        if apart > 0.9 {
            let since = *self.won.suspected.get_or_insert(step);
            // The clearer it is, the sooner it is said.
            let patience = if apart > 0.98 && loss_d < 0.03 { 50 } else { 250 };
            if step >= since + patience && loss_d < 0.15 && !self.won.sure {
                self.won.sure = true;
                let mut remedies = noise(train);
                let discriminator = rounded(rates.discriminator / 4.0);
                remedies.push(Remedy::LowerRates { generator: rates.generator, discriminator });
                remedies.extend(mirror(train));
                return Some(Health::Failing(Alarm { trouble, since, step, remedies, kept: None }));
            }
        } else if !self.won.sure {
            self.won.suspected = None;
        }
        None
    }

    fn explosion(&mut self, metrics: &Metrics, train: &TrainConfig, rates: Rates) -> Option<Health> {
        let Metrics { step, loss_d, loss_g, norm_d, norm_g, .. } = *metrics;
        let [loss, norm] = [loss_d.max(loss_g), norm_d.max(norm_g)];
        let huge = loss > HUGE;
        if loss_d > LARGE[0] || loss_g > LARGE[1] || norm > STEEP {
            self.large.push_back(step);
            let since = *self.exploded.suspected.get_or_insert(step);
            self.worst = [self.worst[0].max(loss), self.worst[1].max(norm)];
            let often = self.large.iter().filter(|&&at| at + EXPLODING.1 > step).count() >= EXPLODING.0;
            if (huge || often) && !self.exploded.sure {
                self.exploded.sure = true;
                let (generator, discriminator) = (calmer(rates.generator), calmer(rates.discriminator));
                let mut remedies = vec![Remedy::LowerRates { generator, discriminator }];
                remedies.extend(noise(train));
                let trouble = Trouble::ValuesExploded { loss: self.worst[0], norm: self.worst[1] };
                return Some(Health::Failing(Alarm { trouble, since, step, remedies, kept: None }));
            }
            return None;
        }
        // A single outlier is forgotten sooner than an explosion.
        let calm = if self.exploded.sure { CALM } else { EXPLODING.1 };
        if self.large.back().is_some_and(|&last| step >= last + calm) {
            self.large.clear();
            self.worst = [0.0; 2];
            return self.exploded.over(Trouble::ValuesExploded { loss, norm }, step);
        }
        None
    }

    /// Takes in the fixed z's pictures after `step`.
    pub fn preview(&mut self, step: u64, pictures: &[Picture], train: &TrainConfig, rates: Rates) -> Option<Health> {
        let (real, near) = self.varieties?;
        // What hardly differs itself, such as one picture in many copies, is no measure.
        if real < 0.02 || pictures.len() < 8 || self.seen.back().is_some_and(|&(last, _)| last >= step) {
            return None;
        }
        let rows: Vec<Vec<f32>> = pictures.iter().take(REAL).map(values).collect();
        let (spread, nearest, _) = variety(&rows, -1.0);
        let share = match near {
            Some(near) if near > 0.0 && rows.len() == REAL => (spread / real).min(nearest / near),
            _ => spread / real,
        };
        self.varied |= share >= VARIED;
        self.seen.push_back((step, share));
        while self.seen.len() > 2 && self.seen[1].0 + 200 <= step {
            self.seen.pop_front();
        }
        let trouble = Trouble::SamplesAlike { variety: share };
        if share >= ALIKE {
            if !self.alike.sure {
                self.alike.suspected = None;
            }
            return if share >= VARIED { self.alike.over(trouble, step) } else { None };
        }
        let since = *self.alike.suspected.get_or_insert(step);
        let sure = if self.varied {
            // They differed and no longer do: a second look is enough.
            step >= since + 20
        } else {
            // Every generator begins with gray. A slow one may take longer, as long as it goes on.
            let turns = if matches!(train.schedule, Schedule::Generator(_)) { 1.0 } else { 2.0 };
            let youth = YOUTH as f64 * turns * (2e-4 / rates.generator).clamp(1.0, 20.0);
            let rising = self.seen.front().is_some_and(|&(_, first)| share > 1.25 * first);
            let limit = if step as f64 >= 4.0 * youth { ALIKE } else { ALIKE_YOUNG };
            step as f64 >= youth && share < limit && !rising
        };
        if !sure || self.alike.sure {
            return None;
        }
        self.alike.sure = true;
        let mut remedies = noise(train);
        let lower = |rate: f64| rounded(rate / 2.0);
        remedies
            .push(Remedy::LowerRates { generator: lower(rates.generator), discriminator: lower(rates.discriminator) });
        remedies.extend(mirror(train));
        Some(Health::Failing(Alarm { trouble, since, step, remedies, kept: None }))
    }
}

impl Watch {
    /// The trouble is over; says so where it was announced.
    fn over(&mut self, trouble: Trouble, step: u64) -> Option<Health> {
        let sure = std::mem::take(self).sure;
        sure.then_some(Health::Recovered { trouble, step })
    }
}

/// More noise than there is.
fn noise(train: &TrainConfig) -> Vec<Remedy> {
    let deviation = if train.noise < 0.2 { 0.2 } else { (train.noise * 2.0).min(1.0) };
    vec![Remedy::Noise { deviation, steps: 3000 }]
}

fn mirror(train: &TrainConfig) -> Option<Remedy> {
    (!train.mirror).then_some(Remedy::Mirror)
}

/// Two significant digits.
fn rounded(rate: f64) -> f64 {
    format!("{rate:.1e}").parse().unwrap_or(rate)
}

fn values(picture: &Picture) -> Vec<f32> {
    let mut values = vec![0.0; picture.pixels().len()];
    picture.write_chw(&mut values);
    values
}

/// How much pictures differ: the root mean square distance from their mean, the median distance of each to the nearest other
/// one that is not the `same`, and how many are distinct.
fn variety(rows: &[Vec<f32>], same: f32) -> (f32, f32, usize) {
    let length = rows.first().map_or(0, Vec::len);
    let mut mean = vec![0.0f32; length];
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / rows.len() as f32);
    }
    let apart =
        |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / length.max(1) as f32;
    let spread = (rows.iter().map(|row| apart(row, &mean)).sum::<f32>() / rows.len().max(1) as f32).sqrt();
    let mut nearest = vec![f32::INFINITY; rows.len()];
    let mut first = vec![true; rows.len()];
    for a in 0..rows.len() {
        for b in a + 1..rows.len() {
            let distance = apart(&rows[a], &rows[b]);
            first[b] &= distance > same;
            if distance > same {
                nearest[a] = nearest[a].min(distance);
                nearest[b] = nearest[b].min(distance);
            }
        }
    }
    nearest.retain(|distance| distance.is_finite());
    nearest.sort_by(f32::total_cmp);
    let median = nearest.get(nearest.len() / 2).map_or(0.0, |square| square.sqrt());
    (spread, median, first.into_iter().filter(|&first| first).count())
}
