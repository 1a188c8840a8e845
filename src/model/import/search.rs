//! Which of the readings that a generator's shapes allow is the right one.
//!
//! Batch norm kept the mean and the variance of every map. Read rightly, a batch of z's has nearly the same ones in every layer;
//! with another stride, another side of a square weight, another prior or rectifier it has not. Layers are tried one after another,
//! a few of the best readings at a time, on some of their maps.

use std::collections::HashMap;

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::chain::{Chain, Kind, Link, Turn};
use super::labels::Joined;
use super::steps::{Step, end_plan, growing, size_cost};
use crate::device::Operands;
use crate::model::layer::{Layer, Pass};
use crate::model::{LayerPlan, ModelConfig, Norm, Parameter, Per, Preset, Prior, Statistics};

/// Samples of a batch.
const SAMPLES: usize = 128;
/// Values of a layer's maps that are computed, and samples that are always drawn.
const MOST_VALUES: usize = 1 << 24;
const FEWEST: usize = 8;
/// Maps of a layer that are compared.
const MAPS: usize = 24;
/// Readings that are followed from layer to layer while their maps are computed, and while only their cost counts.
const FOLLOWED: usize = 6;
const LISTED: usize = 200;
/// The most usual readings, which are followed however far they are.
const USUAL: usize = 2;
/// Slopes below zero that are tried: ReLU's first.
const LEAKS: [f64; 5] = [0.0, 0.2, 0.1, 0.3, 0.01];
/// PyTorch's and Keras's epsilon.
pub(super) const EPSILONS: [f64; 2] = [1e-5, 1e-3];
/// What PyTorch-GAN passes where it means a momentum.
pub(super) const MISTAKEN: f64 = 0.8;
/// Variances of so many times Keras's epsilon are hardly changed by it.
const MATTERS: f64 = 200.0;
/// Added to variances where they are compared: what is smaller is the same nothing.
const LEAST: f64 = 1e-6;
/// What one map adds to the distance at most: some never change.
const MOST: f64 = 4.0;
/// How far the worst layer of the right reading may be: a wrong stride makes variances four times larger or smaller, which is 1.9, and means
/// of checkpoints, whose statistics are means too, have up to 0.6.
pub(super) const FITS: f64 = 0.8;
/// How far a reading may be, over all layers, that decides the prior and the rectifiers: several times what sampling and the last steps
/// of training make.
pub(super) const TELLS: f64 = 0.15;
/// The uniform prior is taken where it is so many times nearer.
const NEARER: f64 = 2.0;
/// Readings that are at most so many times, and so much, further than the nearest are as good: the same z's are drawn for all, so
/// that little chance is in the difference.
const AS_NEAR: f64 = 1.5;
const NOISE: f64 = 0.0003;

/// What a person has chosen already.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct Asked {
    pub strides: Option<Vec<usize>>,
    pub size: Option<usize>,
    pub epsilon: Option<f64>,
    pub prior: Option<Prior>,
    pub leak: Option<f64>,
}

/// A generator's numbers.
pub(super) struct Network<'a> {
    pub chain: &'a Chain,
    /// By the tensors' names.
    pub values: &'a HashMap<String, Vec<f32>>,
    /// Ways in which a row of classes may join z: one where there is none.
    pub joined: Vec<Joined>,
    /// The prior that is guessed.
    pub prior: Prior,
}

/// What holds for all layers.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Family {
    leak: f64,
    epsilon: f64,
    /// As PyTorch-GAN's: no rectifier after the first batch norm, and a strange epsilon in the others.
    mistaken: bool,
}

impl Family {
    fn epsilon(&self, layer: usize) -> f64 {
        if self.mistaken && layer > 0 { MISTAKEN } else { self.epsilon }
    }
}

/// One reading of the whole generator.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub steps: Vec<Step>,
    pub size: usize,
    pub leak: f64,
    pub epsilon: f64,
    /// Whether the second and later batch norms have the epsilon 0.8, and nothing rectifies the first layer.
    pub mistaken: bool,
    pub cost: f64,
    /// How far it is from the running statistics, by layer.
    pub off: Vec<f64>,
}

impl Candidate {
    /// Strides of the convolutions, the projection's left out.
    pub fn strides(&self) -> String {
        let strides: Vec<String> = self.steps.iter().map(|step| step.stride.to_string()).collect();
        strides.join(",")
    }

    /// How far its layers are after the first, which is the same in every reading.
    pub fn distance(&self) -> f64 {
        let read = self.off.get(1..).unwrap_or_default();
        read.iter().sum::<f64>() / read.len().max(1) as f64
    }

    /// Whether every layer is near enough.
    pub fn fits(&self) -> bool {
        !self.off.is_empty() && self.off.iter().all(|off| *off < FITS)
    }

    /// The plans of all layers.
    pub fn plans(&self, chain: &Chain) -> Vec<LayerPlan> {
        let mut side = chain.links[0].kernel;
        let mut plans = vec![LayerPlan { linear: self.mistaken, ..end_plan(&chain.links[0]) }];
        for (link, step) in chain.links[1..].iter().zip(&self.steps) {
            plans.push(step.plan(link, Kind::Generator, side));
            side = step.side;
        }
        plans
    }
}

/// What the search found.
pub(super) struct Outcome {
    pub prior: Prior,
    /// Which of the ways in which classes join z, and how far each is, where statistics decide.
    pub joined: usize,
    pub joins: Vec<f64>,
    /// Every reading that was followed to the end.
    pub candidates: Vec<Candidate>,
}

/// Numbers with their shape, `[in, out, k, k]`.
pub(super) fn applied(values: &[f32], link: &Link, plain: bool) -> Vec<f32> {
    let taps = link.kernel * link.kernel;
    if let Turn::Matrix(turned) = link.turn {
        let (rows, columns) = (link.inputs, link.maps * taps);
        return if turned { crate::model::export::turned(values, columns, rows) } else { values.to_vec() };
    }
    if !plain {
        return values.to_vec();
    }
    let mut out = Vec::with_capacity(values.len());
    for input in 0..link.inputs {
        for map in 0..link.maps {
            out.extend(values[(map * link.inputs + input) * taps..][..taps].iter().rev());
        }
    }
    out
}

struct State {
    family: Family,
    steps: Vec<Step>,
    side: usize,
    cost: f64,
    off: Vec<f64>,
    maps: Option<Tensor<4>>,
}

impl State {
    fn sum(&self) -> f64 {
        self.off.iter().sum()
    }
}

impl Network<'_> {
    /// The readings that the shapes allow, and how well each fits; `measured` where there are no running statistics to compare with.
    pub fn search(&self, asked: &Asked, measured: bool) -> Outcome {
        let links = &self.chain.links;
        let compared = |link: &Link| {
            !measured && link.norm.as_ref().is_some_and(|norm| norm.mean.is_some() && norm.variance.is_some())
        };
        let last_compared = links.iter().rposition(compared);
        let mut outcome =
            Outcome { prior: asked.prior.unwrap_or(self.prior), joined: 0, joins: Vec::new(), candidates: Vec::new() };
        let mut first_off = Vec::new();
        let mut first = None;
        if let Some(last) = last_compared {
            let (linear, off) = self.enter(asked, compared(&links[0]), &mut outcome);
            first_off.extend(off);
            first = (last > 0).then_some(linear);
        }
        let families = self.families(asked, last_compared.is_some_and(|last| last > 0));
        let usual = families[0];
        let mut states: Vec<State> = families
            .into_iter()
            .map(|family| {
                let maps = first.clone().map(|linear| self.activated(0, linear, &family));
                State { family, steps: Vec::new(), side: links[0].kernel, cost: 0.0, off: first_off.clone(), maps }
            })
            .collect();
        let even = links[1..].iter().any(|link| link.kernel.is_multiple_of(2));
        for (i, link) in links.iter().enumerate().skip(1) {
            let stride = asked.strides.as_ref().map(|strides| strides.get(i - 1).copied().unwrap_or(0));
            let last = i + 1 == links.len();
            let on = last_compared.is_some_and(|last| i <= last);
            let mut next: Vec<(usize, State)> = Vec::new();
            for (parent, state) in states.iter().enumerate() {
                for step in growing(link, state.side, last, even, stride) {
                    let mut off = state.off.clone();
                    if let Some(maps) = state.maps.as_ref().filter(|_| compared(link)) {
                        off.push(self.compared(i, maps.clone(), &step, state));
                    }
                    let mut steps = state.steps.clone();
                    let (side, cost) = (step.side, state.cost + step.cost);
                    steps.push(step);
                    next.push((parent, State { family: state.family, steps, side, cost, off, maps: None }));
                }
            }
            next.sort_by(|(_, a), (_, b)| (a.sum() + 1e-3 * a.cost).total_cmp(&(b.sum() + 1e-3 * b.cost)));
            // While maps are computed few readings are followed, and none that is far behind.
            if on && compared(link) {
                let best = next.first().map_or(0.0, |(_, state)| state.sum());
                let near = next.iter().take(FOLLOWED).take_while(|(_, state)| state.sum() <= 2.0 * best + 0.1).count();
                // Where nothing fits, what is usual is wanted.
                let mut far = next.split_off(near);
                far.retain(|(_, state)| state.family == usual);
                far.sort_by(|(_, a), (_, b)| a.cost.total_cmp(&b.cost));
                next.extend(far.into_iter().take(USUAL));
            } else {
                next.truncate(if on { 2 * FOLLOWED } else { LISTED });
            }
            let needed = last_compared.is_some_and(|last| i < last);
            states = next
                .into_iter()
                .map(|(parent, mut state)| {
                    if let Some(maps) = states[parent].maps.as_ref().filter(|_| needed)
                        && let Some(step) = state.steps.last()
                    {
                        // Of many large maps fewer samples do.
                        let [batch, ..] = maps.dims();
                        let fewer =
                            (MOST_VALUES / (link.maps * step.side.pow(2)).max(1)).clamp(FEWEST, batch.max(FEWEST));
                        let maps = maps.clone().narrow(0, 0, fewer.min(batch));
                        let linear = self.layer(i, step, None, states[parent].side).up(maps);
                        state.maps = Some(self.activated(i, linear, &state.family));
                    }
                    state
                })
                .collect();
        }
        let channels = self.chain.channels;
        for State { family, steps, side, cost, off, .. } in states {
            let wanted = asked.size.is_none_or(|size| size == side);
            if let Some(more) = size_cost(side, channels).filter(|_| wanted) {
                let Family { leak, epsilon, mistaken } = family;
                outcome.candidates.push(Candidate {
                    steps,
                    size: side,
                    leak,
                    epsilon,
                    mistaken,
                    cost: cost + more,
                    off,
                });
            }
        }
        outcome
    }

    /// What may hold for all layers. Without statistics to compare with it is what is usual.
    fn families(&self, asked: &Asked, compared: bool) -> Vec<Family> {
        let leaks = match asked.leak {
            Some(leak) => vec![leak],
            None if compared => LEAKS.to_vec(),
            None => vec![0.0],
        };
        let small = self.chain.links.iter().filter_map(|link| link.norm.as_ref()?.variance.as_ref()).any(|name| {
            let mut values = self.values.get(name).cloned().unwrap_or_default();
            values.sort_by(f32::total_cmp);
            values.get(values.len() / 2).is_some_and(|median| f64::from(*median) < MATTERS * EPSILONS[1])
        });
        let epsilons = match asked.epsilon {
            Some(epsilon) => vec![epsilon],
            None if compared && small => EPSILONS.to_vec(),
            None => vec![EPSILONS[0]],
        };
        let mut families: Vec<Family> = leaks
            .iter()
            .flat_map(|&leak| epsilons.iter().map(move |&epsilon| Family { leak, epsilon, mistaken: false }))
            .collect();
        let plain = self.chain.links[1..].iter().all(|link| matches!(link.turn, Turn::Plain | Turn::Either));
        if compared && plain && asked.epsilon.is_none() {
            let leak = asked.leak.unwrap_or(0.2);
            families.push(Family { leak, epsilon: EPSILONS[0], mistaken: true });
        }
        families
    }

    /// The projection of a batch from the prior, and with the way of joining, that fit best; and how far it is.
    fn enter(&self, asked: &Asked, compared: bool, outcome: &mut Outcome) -> (Tensor<4>, Option<f64>) {
        let link = &self.chain.links[0];
        let mut best: Option<(Tensor<4>, Option<f64>)> = None;
        let mut trials = vec![outcome.prior];
        if asked.prior.is_none() && compared {
            trials = vec![Prior::Normal, Prior::Uniform];
        }
        outcome.joins = vec![f64::INFINITY; self.joined.len()];
        for (way, joined) in self.joined.iter().enumerate() {
            for &prior in &trials {
                let mut rng = ChaCha8Rng::seed_from_u64(0);
                let length = joined.z_dim(link.inputs);
                let z = standardized(prior.draw(SAMPLES * length, &mut rng), length, prior);
                let classes: Vec<usize> = (0..SAMPLES).map(|i| i % joined.classes().max(1)).collect();
                let inputs = joined.inputs(&z, &classes);
                let z = Tensor::from_data(TensorData::new(inputs, [SAMPLES, link.inputs]), &Device::flex());
                let layer = self.end();
                let matrix = layer.weight.value.clone().reshape([link.inputs, link.maps * link.kernel.pow(2)]);
                let linear = z.matmul(matrix).reshape([SAMPLES, link.maps, link.kernel, link.kernel]);
                let linear = layer.biased(linear);
                let off = compared.then(|| self.off(0, linear.clone(), &self.every(0)));
                let before = best.as_ref().and_then(|(_, off)| *off);
                let times = if prior == Prior::Uniform { NEARER } else { 1.0 };
                if let Some(off) = off {
                    outcome.joins[way] = outcome.joins[way].min(off);
                }
                if best.is_none() || off.zip(before).is_some_and(|(off, before)| off * times < before) {
                    (outcome.prior, outcome.joined) = (prior, way);
                    best = Some((linear, off));
                }
            }
        }
        best.unwrap_or_else(|| (Tensor::zeros([1, link.maps, link.kernel, link.kernel], &Device::flex()), None))
    }

    fn end(&self) -> Layer {
        let link = &self.chain.links[0];
        let weight = applied(&self.values[&link.weight], link, false);
        self.assembled(link, vec![link.inputs, link.maps, link.kernel, link.kernel], weight, None, None)
    }

    /// A convolution read so; of all its maps or of some.
    fn layer(&self, i: usize, step: &Step, maps: Option<&[usize]>, side: usize) -> Layer {
        let link = &self.chain.links[i];
        let whole = applied(&self.values[&link.weight], link, step.plain);
        let taps = link.kernel * link.kernel;
        let (weight, count) = match maps {
            None => (whole, link.maps),
            Some(maps) => {
                let row = |input: usize| maps.iter().map(move |map| (input * link.maps + map) * taps);
                let part = (0..link.inputs).flat_map(row).flat_map(|at| whole[at..at + taps].iter().copied());
                (part.collect(), maps.len())
            }
        };
        let plan = step.plan(link, Kind::Generator, side);
        self.assembled(link, vec![link.inputs, count, link.kernel, link.kernel], weight, maps, Some(&plan))
    }

    fn assembled(
        &self,
        link: &Link,
        shape: Vec<usize>,
        weight: Vec<f32>,
        maps: Option<&[usize]>,
        plan: Option<&LayerPlan>,
    ) -> Layer {
        let parameter = |name: &str, shape: Vec<usize>, values: Vec<f32>| Parameter {
            name: format!("up.{name}"),
            shape,
            value: Tensor::from_data(TensorData::from(values.as_slice()), &Device::flex()),
        };
        let bias = link.bias.as_ref().map(|name| {
            let values = &self.values[name];
            let values = maps.map_or_else(|| values.clone(), |maps| maps.iter().map(|&map| values[map]).collect());
            parameter("bias", vec![values.len()], values)
        });
        let convolution = plan.map(|plan| base().convolution(plan));
        Layer {
            weight: parameter("weight", shape, weight),
            bias,
            norm: None,
            convolution,
            linear: false,
            operands: Operands::F32,
        }
    }

    /// What a layer gives after batch norm and rectifier.
    fn activated(&self, i: usize, linear: Tensor<4>, family: &Family) -> Tensor<4> {
        let link = &self.chain.links[i];
        let nothing =
            Parameter { name: "up.none".to_owned(), shape: vec![1], value: Tensor::zeros([1], &Device::flex()) };
        let mut layer = Layer {
            weight: nothing,
            bias: None,
            norm: None,
            convolution: None,
            linear: false,
            operands: Operands::F32,
        };
        if i > 0 {
            layer.bias = self.assembled(link, vec![1], vec![0.0], None, None).bias;
        }
        layer.norm = link.norm.as_ref().map(|norm| {
            let part = |name: &Option<String>, otherwise: f32| {
                let values = name.as_ref().and_then(|name| self.values.get(name)).cloned();
                let values = values.unwrap_or_else(|| vec![otherwise; norm.length]);
                let value = Tensor::from_data(TensorData::from(values.as_slice()), &Device::flex());
                Parameter { name: "up.norm".to_owned(), shape: vec![norm.length], value }
            };
            let (gain, shift) = (part(&norm.gain, 1.0), part(&norm.shift, 0.0));
            Norm { gain, shift, mean: part(&norm.mean, 0.0), variance: part(&norm.variance, 1.0) }
        });
        let slope = if family.mistaken && i == 0 { 1.0 } else { family.leak };
        let config = ModelConfig { norm_epsilon: family.epsilon(i), ..base() };
        layer.activate(linear, &config, slope, Pass::Sample(Statistics::Running))
    }

    /// How far a layer read so is from its running statistics, on some of its maps.
    fn compared(&self, i: usize, maps: Tensor<4>, step: &Step, state: &State) -> f64 {
        let chosen = self.every(i);
        let layer = self.layer(i, step, Some(&chosen), state.side);
        self.off(i, layer.biased(layer.up(maps)), &chosen)
    }

    /// Some of a layer's maps, spread evenly; of the projection all.
    fn every(&self, i: usize) -> Vec<usize> {
        let maps = self.chain.links[i].maps;
        let step = if i == 0 { 1 } else { maps.div_ceil(MAPS) };
        (0..maps).step_by(step).collect()
    }

    /// How far the statistics of these maps are from the running ones: over all maps, the mean square of what means differ by, in
    /// deviations, and of what variances differ by, as logarithms.
    fn off(&self, i: usize, linear: Tensor<4>, maps: &[usize]) -> f64 {
        let link = &self.chain.links[i];
        let Some(norm) = &link.norm else { return 0.0 };
        let [kept_mean, kept_variance] =
            [&norm.mean, &norm.variance].map(|name| name.as_ref().and_then(|name| self.values.get(name)));
        let (Some(kept_mean), Some(kept_variance)) = (kept_mean, kept_variance) else { return 0.0 };
        let [batch, count, height, width] = linear.dims();
        let values: Vec<f32> = linear.into_data().iter::<f32>().collect();
        let by_unit = link.norm_per == Per::Unit;
        let area = height * width;
        // Where batch norm is of units, each place of each map has its own statistics.
        let (groups, places) = if by_unit { (count * area, 1) } else { (count, area) };
        let mut sum = 0.0;
        for group in 0..groups {
            let all = (0..batch).flat_map(|b| {
                let at = b * count * area + group * places;
                values[at..at + places].iter().map(|&value| f64::from(value))
            });
            let (mut total, mut squares) = (0.0, 0.0);
            for value in all {
                total += value;
                squares += value * value;
            }
            let n = (batch * places) as f64;
            let mean = total / n;
            let variance = (squares / n - mean * mean).max(0.0) * n / (n - 1.0).max(1.0);
            let kept = if by_unit { group } else { maps.get(group).copied().unwrap_or(group) };
            let (kept_mean, kept) = (f64::from(kept_mean[kept]), f64::from(kept_variance[kept]) + LEAST);
            let off = (mean - kept_mean).powi(2) / kept + ((variance + LEAST) / kept).ln().powi(2);
            // What is no number counts in full.
            sum += off.min(MOST);
        }
        sum / groups.max(1) as f64
    }
}

/// A batch of z's of `length` whose every coordinate has exactly the mean and the deviation of its prior. Without it, chance moves the
/// maps of so few samples as much as a slope of 0.1 instead of 0 does, and the wrong rectifier is taken one time in seven.
fn standardized(mut z: Vec<f32>, length: usize, prior: Prior) -> Vec<f32> {
    let deviation = match prior {
        Prior::Normal => 1.0,
        Prior::Uniform => 1.0 / 3f64.sqrt(),
    };
    for coordinate in 0..length {
        let values = || z.iter().skip(coordinate).step_by(length).map(|&value| f64::from(value));
        let count = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / count;
        let spread = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        if spread > 0.0 {
            let scaled = |value: &mut f32| *value = ((f64::from(*value) - mean) / spread * deviation) as f32;
            z.iter_mut().skip(coordinate).step_by(length).for_each(scaled);
        }
    }
    z
}

fn base() -> ModelConfig {
    ModelConfig::preset(Preset::Pytorch)
}

impl Outcome {
    /// The reading to take: of those that fit about as well as the best the most usual one, whose rectifiers and epsilon are given up
    /// only for what is clearly nearer. And the others that a person should know of, the nearest first.
    pub fn decide(&self, more: impl Fn(&Candidate) -> f64) -> Option<(Candidate, Vec<Candidate>)> {
        let nearest = self.candidates.iter().map(Candidate::distance).min_by(f64::total_cmp)?;
        let compared = self.candidates.iter().any(|candidate| !candidate.off.is_empty());
        let close = |candidate: &&Candidate| !compared || candidate.distance() <= AS_NEAR * nearest + NOISE;
        let usual = |candidate: &Candidate| {
            let family = (candidate.leak != 0.0) as u8 as f64 + f64::from(u8::from(candidate.epsilon != EPSILONS[0]));
            candidate.cost + more(candidate) + 0.1 * family + candidate.distance().min(1.0)
        };
        // Where nothing fits, what is usual is as good a guess as any, unless something is clearly nearer.
        let best = self.candidates.iter().filter(close).min_by(|a, b| usual(a).total_cmp(&usual(b)))?.clone();
        let mut chosen = best;
        if compared && !chosen.fits() {
            let plain = self.candidates.iter().min_by(|a, b| usual(a).total_cmp(&usual(b)))?;
            if plain.distance() < NEARER * chosen.distance() {
                chosen = plain.clone();
            }
        }
        let mut others: Vec<Candidate> = Vec::new();
        let mut sorted: Vec<&Candidate> = self.candidates.iter().collect();
        sorted.sort_by(|a, b| (a.distance() + 1e-3 * usual(a)).total_cmp(&(b.distance() + 1e-3 * usual(b))));
        for candidate in sorted {
            let same = |other: &Candidate| other.size == candidate.size && other.strides() == candidate.strides();
            if !same(&chosen) && !others.iter().any(same) {
                others.push(candidate.clone());
            }
        }
        Some((chosen, others))
    }
}
