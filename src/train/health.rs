//! Whether a training fails, from what each step measures and from the fixed previews: the discriminator has won, the samples
//! are all alike, the values exploded, the set is too small. Thresholds come from recorded runs; docs/MEASURES.md has them.

use std::collections::VecDeque;

use super::alarm::{Alarm, FailureMode, HealthEvent, Remedy};
use super::config::{Schedule, TrainConfig};
use super::messages::LearningRates;
use super::metrics::Metrics;
use crate::image::{Picture, to_signed};

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
pub(super) fn diverged(step: u64, rates: LearningRates) -> Alarm {
    let (generator, discriminator) = (calmer(rates.generator), calmer(rates.discriminator));
    let remedies = vec![Remedy::LowerRates { generator, discriminator }];
    let failure = FailureMode::Divergence { loss: f32::INFINITY, norm: f32::INFINITY };
    Alarm { failure, since: step, step, remedies, checkpoint: None }
}

/// The paper's learning rate (section 4).
const PAPER_RATE: f64 = 2e-4;

/// The paper's rate for one that is above it, and a quarter of any other.
fn calmer(rate: f64) -> f64 {
    if rate > PAPER_RATE { PAPER_RATE } else { rounded(rate / 4.0) }
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
        Some(Alarm {
            failure: FailureMode::DatasetTooSmall { pictures },
            since: 0,
            step: 0,
            remedies,
            checkpoint: None,
        })
    }

    /// Whether more real pictures are wanted to compare samples with.
    pub fn wants_real(&self) -> bool {
        self.real.len() < REAL
    }

    /// Takes real pictures of `length` bytes each.
    pub fn real(&mut self, planes: &[u8], length: usize) {
        let room = REAL.saturating_sub(self.real.len());
        let values = |planes: &[u8]| planes.iter().copied().map(to_signed).collect();
        self.real.extend(planes.chunks_exact(length.max(1)).take(room).map(values));
        self.varieties = (self.real.len() > 1).then(|| {
            let (spread, nearest, distinct) = variety(&self.real, SAME);
            // Samples of few pictures have to be near one another: then only their spread counts.
            (spread, (distinct >= REAL).then_some(nearest))
        });
    }

    /// The steps with which something may have begun that is not certain yet.
    pub fn suspected(&self) -> Vec<u64> {
        let watches = [self.won, self.alike, self.exploded].into_iter().filter(|watch| !watch.sure);
        watches.filter_map(|watch| watch.suspected).collect()
    }

    /// Takes in what a step measured.
    pub fn step(&mut self, metrics: &Metrics, train: &TrainConfig, rates: LearningRates) -> Vec<HealthEvent> {
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
        rates: LearningRates,
    ) -> Option<HealthEvent> {
        let failure = FailureMode::DiscriminatorWon { d_real, d_fake, loss_d };
        let apart = d_real - d_fake;
        if apart < 0.8 {
            return self.won.over(failure, step);
        }
        if apart > 0.9 {
            let since = *self.won.suspected.get_or_insert(step);
            // The clearer it is, the sooner it is said.
            let patience = if apart > 0.98 && loss_d < 0.03 { 50 } else { 250 };
            if step >= since + patience && loss_d < 0.15 && !self.won.sure {
                self.won.sure = true;
                let mut remedies = noise(train);
                // A quarter of a rate far above the paper's would win as well.
                let [generator, discriminator] =
                    [rates.generator, rates.discriminator].map(|rate| rate.min(PAPER_RATE));
                let discriminator = rounded(discriminator / 4.0);
                remedies.push(Remedy::LowerRates { generator, discriminator });
                remedies.extend(mirror(train));
                return Some(HealthEvent::Failing(Alarm { failure, since, step, remedies, checkpoint: None }));
            }
        } else if !self.won.sure {
            self.won.suspected = None;
        }
        None
    }

    fn explosion(&mut self, metrics: &Metrics, train: &TrainConfig, rates: LearningRates) -> Option<HealthEvent> {
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
                let failure = FailureMode::Divergence { loss: self.worst[0], norm: self.worst[1] };
                return Some(HealthEvent::Failing(Alarm { failure, since, step, remedies, checkpoint: None }));
            }
            return None;
        }
        // A single outlier is forgotten sooner than an explosion.
        let calm = if self.exploded.sure { CALM } else { EXPLODING.1 };
        if self.large.back().is_some_and(|&last| step >= last + calm) {
            self.large.clear();
            self.worst = [0.0; 2];
            return self.exploded.over(FailureMode::Divergence { loss, norm }, step);
        }
        None
    }

    /// Takes in the fixed z's pictures after `step`.
    pub fn preview(
        &mut self,
        step: u64,
        pictures: &[Picture],
        train: &TrainConfig,
        rates: LearningRates,
    ) -> Option<HealthEvent> {
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
        let failure = FailureMode::ModeCollapse { variety: share };
        if share >= ALIKE {
            if !self.alike.sure {
                self.alike.suspected = None;
            }
            return if share >= VARIED { self.alike.over(failure, step) } else { None };
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
        let lower = |rate: f64| if rate > 2e-4 { 2e-4 } else { rounded(rate / 2.0) };
        remedies
            .push(Remedy::LowerRates { generator: lower(rates.generator), discriminator: lower(rates.discriminator) });
        remedies.extend(mirror(train));
        Some(HealthEvent::Failing(Alarm { failure, since, step, remedies, checkpoint: None }))
    }
}

impl Watch {
    /// The trouble is over; says so where it was announced.
    fn over(&mut self, failure: FailureMode, step: u64) -> Option<HealthEvent> {
        let sure = std::mem::take(self).sure;
        sure.then_some(HealthEvent::Recovered { failure, step })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn train() -> TrainConfig {
        TrainConfig::preset(Preset::Pytorch)
    }

    fn rates() -> LearningRates {
        LearningRates { generator: 2e-4, discriminator: 2e-4 }
    }

    /// What is found in a recorded run: loss D, loss G, D(x), D(G(z)), and both gradients, of every `every`-th step.
    fn watched(every: u64, recorded: &[[f32; 6]]) -> Vec<HealthEvent> {
        let mut monitor = Monitor::default();
        let steps = recorded.len() as u64 * every;
        (1..=steps)
            .flat_map(|step| {
                let [loss_d, loss_g, d_real, d_fake, norm_d, norm_g] = recorded[((step - 1) / every) as usize];
                let metrics = Metrics { step, loss_d, loss_g, d_real, d_fake, norm_d, norm_g, seconds: 0.0 };
                monitor.step(&metrics, &train(), rates())
            })
            .collect()
    }

    fn alarms(found: &[HealthEvent]) -> Vec<(&'static str, u64, u64)> {
        found
            .iter()
            .map(|health| match health {
                HealthEvent::Failing(alarm) => (alarm.failure.name(), alarm.since, alarm.step),
                HealthEvent::Recovered { failure, step } => (failure.name(), 0, *step),
            })
            .collect()
    }

    /// Sixteen flat drawings at the paper's rate: every hundredth step of 2,000, the first being number 50.
    const FLAT: [[f32; 4]; 20] = [
        [0.975, 0.615, 0.84, 0.551],
        [0.866, 0.675, 0.871, 0.516],
        [0.77, 0.793, 0.889, 0.477],
        [0.565, 1.078, 0.888, 0.358],
        [0.46, 1.14, 0.878, 0.279],
        [0.276, 1.725, 0.933, 0.187],
        [0.217, 1.799, 0.976, 0.175],
        [0.129, 2.261, 0.985, 0.107],
        [0.093, 2.558, 0.989, 0.079],
        [0.066, 2.891, 0.992, 0.056],
        [0.046, 3.253, 0.994, 0.039],
        [0.035, 3.525, 0.995, 0.03],
        [0.028, 3.771, 0.996, 0.023],
        [0.023, 3.983, 0.996, 0.019],
        [0.073, 3.291, 0.967, 0.039],
        [0.078, 3.278, 0.97, 0.047],
        [0.062, 3.362, 0.966, 0.027],
        [0.04, 4.068, 0.98, 0.02],
        [0.029, 4.409, 0.986, 0.014],
        [0.017, 4.872, 0.991, 0.008],
    ];
    /// `synth:rooms` at 32x32 with its noise, likewise.
    const ROOMS: [[f32; 4]; 12] = [
        [0.339, 2.031, 0.853, 0.154],
        [0.462, 2.29, 0.744, 0.122],
        [1.017, 2.307, 0.815, 0.501],
        [0.912, 1.482, 0.648, 0.33],
        [0.913, 1.369, 0.698, 0.376],
        [0.652, 1.927, 0.694, 0.214],
        [0.958, 1.425, 0.628, 0.34],
        [0.839, 1.699, 0.675, 0.324],
        [1.142, 1.22, 0.64, 0.454],
        [0.704, 1.684, 0.692, 0.25],
        [0.551, 1.824, 0.75, 0.205],
        [0.542, 1.727, 0.676, 0.113],
    ];

    fn calm(recorded: &[[f32; 4]]) -> Vec<[f32; 6]> {
        recorded.iter().map(|&[loss_d, loss_g, d_real, d_fake]| [loss_d, loss_g, d_real, d_fake, 15.0, 15.0]).collect()
    }

    #[test]
    fn a_discriminator_that_wins_is_announced_once_and_healthy_runs_are_not() {
        let found = watched(100, &calm(&FLAT));
        let [(name, since, step)] = alarms(&found)[..] else { panic!("{found:?}") };
        assert_eq!(name, "the discriminator has won");
        assert!((800..1000).contains(&since) && (since + 50..since + 300).contains(&step), "{since} {step}");
        let HealthEvent::Failing(alarm) = &found[0] else { panic!("{found:?}") };
        let flags: Vec<String> = alarm.remedies.iter().map(Remedy::flags).collect();
        assert_eq!(
            flags,
            ["--noise 0.2 --noise-steps 3000", "--generator-lr 0.0002 --discriminator-lr 0.00005", "--mirror"]
        );
        assert_eq!(watched(100, &calm(&ROOMS)), []);
        // Of photographs the discriminator is surer for a while.
        assert_eq!(watched(100, &calm(&[[0.17, 3.95, 0.92, 0.07], [0.3, 3.2, 0.9, 0.12]])), []);
    }

    #[test]
    fn a_discriminator_that_no_longer_wins_is_announced_too() {
        let found = watched(100, &calm(&[&FLAT[..], &ROOMS[3..]].concat()));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(matches!(found[1], HealthEvent::Recovered { step, .. } if (2001..2060).contains(&step)), "{found:?}");
        assert_eq!(HealthEvent::failing(&found).count(), 0);
        assert_eq!(HealthEvent::failing(&found[..1]).count(), 1);
    }

    #[test]
    fn an_explosion_is_found_within_its_first_steps() {
        // The same drawings at a rate of 0.5.
        let recorded = [
            [1.45, 0.0, 0.485, 0.516, 6.36, 0.0],
            [14.7, 54.4, 1.0, 1.0, 25.3, 3.22],
            [50.4, 7.73, 0.0, 0.761, 18.3, 6.12],
            [0.934, 0.0, 0.732, 0.127, 2.47, 0.0],
            [10.5, 28.1, 1.0, 1.0, 15.7, 0.388],
            [15.3, 14.5, 0.0, 0.0, 11.4, 2.41],
            [0.0389, 0.742, 0.971, 0.0006, 0.309, 1.24],
        ];
        let found = watched(1, &recorded);
        assert_eq!(alarms(&found), [("the training diverges", 2, 6)]);
        assert!(found[0].to_string().contains("--lr 0.00005"), "{}", found[0]);
        let [mut huge, single] = [recorded; 2];
        huge[1][1] = 787.0;
        assert_eq!(alarms(&watched(1, &huge)), [("the training diverges", 2, 2)]);
        assert_eq!(watched(1, &single[..3]), [], "one young step with large losses is none");
    }

    /// Pictures whose values are `gray` with a pattern of its own of `amount` for each.
    fn pictures(amount: f32, count: u32, distinct: u32) -> Vec<Picture> {
        let pixel = |i: u32, p: u32| {
            let pattern =
                ((i % distinct).wrapping_mul(7919) ^ p.wrapping_mul(104_729)).wrapping_mul(2_654_435_761) >> 24;
            (128.0 + (pattern as f32 - 128.0) * amount) as u8
        };
        (0..count).map(|i| Picture::new(8, 8, 1, (0..64).map(|p| pixel(i, p)).collect())).collect()
    }

    fn looked(shares: &[(u64, f32)]) -> Vec<HealthEvent> {
        let mut monitor = Monitor::default();
        let real: Vec<u8> = pictures(1.0, 64, 64).iter().flat_map(Picture::planes).collect();
        monitor.real(&real, 64);
        assert!(!monitor.wants_real());
        let look = |&(step, share): &(u64, f32)| monitor.preview(step, &pictures(share, 64, 64), &train(), rates());
        shares.iter().filter_map(look).collect()
    }

    #[test]
    fn samples_that_stay_or_become_alike_are_announced() {
        let young = |last: f32| (0..=20).map(|i| (i * 25, if i < 10 { 0.1 } else { last })).collect::<Vec<_>>();
        assert_eq!(alarms(&looked(&young(0.08))), [("mode collapse", 0, 500)]);
        assert_eq!(looked(&young(0.3)), [], "one that is slow goes on");
        let collapse = [(0, 0.02), (25, 1.2), (50, 0.6), (75, 0.1), (100, 0.05), (125, 0.05), (150, 0.9)];
        let found = looked(&collapse);
        assert_eq!(alarms(&found), [("mode collapse", 75, 100), ("mode collapse", 0, 150)]);
    }

    #[test]
    fn few_modes_are_alike_even_where_they_differ() {
        let mut monitor = Monitor::default();
        let real: Vec<u8> = pictures(1.0, 64, 64).iter().flat_map(Picture::planes).collect();
        monitor.real(&real, 64);
        assert!(monitor.preview(100, &pictures(1.0, 64, 64), &train(), rates()).is_none());
        assert!(monitor.preview(125, &pictures(1.0, 64, 9), &train(), rates()).is_none());
        assert!(monitor.preview(150, &pictures(1.0, 64, 9), &train(), rates()).is_some());
        assert!(monitor.suspected().is_empty() && monitor.alike.suspected == Some(125), "it is certain");
    }

    #[test]
    fn a_small_set_is_named_at_the_start() {
        assert_eq!(Monitor::start(None, &train()), None);
        assert_eq!(Monitor::start(Some(FEW_PICTURES), &train()), None);
        let alarm = Monitor::start(Some(16), &train()).unwrap().to_string();
        assert!(alarm.contains("16 pictures") && alarm.contains("--mirror"), "{alarm}");
        assert_eq!(
            HealthEvent::failing(&[HealthEvent::Failing(Monitor::start(Some(16), &train()).unwrap())]).count(),
            0
        );
    }
}
