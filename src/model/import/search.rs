//! Beam search for the interpretation of an imported generator: strides, paddings, prior, activations and epsilon.
//!
//! Batch norm stored the running mean and variance of every map. With the right interpretation, a batch of z's has
//! nearly the same statistics in every layer; with a wrong stride, layout of a square weight, prior or activation it
//! has not. The search extends interpretations layer by layer, keeps the few best, and compares some of the maps
//! ([`statistics`](super::statistics)).

use std::collections::HashMap;

use burn::tensor::Tensor;

use super::chain::{ChainLayer, LayerChain, WeightLayout};
use super::conditioning::ProjectionInput;
use super::conv_options::{ConvOption, size_cost, upsampling_options};
use super::interpretation::{EPSILONS, Interpretation, SearchResult};
use super::statistics::ProjectedBatch;
use crate::model::Prior;

/// Beam width while activations are computed.
const BEAM: usize = 6;
/// Beam width while only costs are compared.
const COST_BEAM: usize = 200;
/// Number of the most usual interpretations that stay in the beam, however far they are.
const KEPT_USUAL: usize = 2;
/// Negative slopes that are tried; ReLU's first.
const LEAKS: [f64; 5] = [0.0, 0.2, 0.1, 0.3, 0.01];
/// Epsilon of PyTorch-GAN's batch norms, which pass a momentum in its place.
pub(super) const PYTORCH_GAN_EPSILON: f64 = 0.8;
/// Median variances above this multiple of Keras's epsilon are hardly changed by it, so that it need not be tried.
const EPSILON_MATTERS: f64 = 200.0;

/// Settings that the user has chosen; `None` where the search decides.
#[derive(Debug, Clone, Default)]
pub(in crate::model) struct SearchConstraints {
    pub strides: Option<Vec<usize>>,
    pub size: Option<usize>,
    pub epsilon: Option<f64>,
    pub prior: Option<Prior>,
    pub leak: Option<f64>,
}

/// The generator to interpret.
pub(super) struct GeneratorWeights<'a> {
    pub chain: &'a LayerChain,
    /// Values by the tensors' names.
    pub values: &'a HashMap<String, Vec<f32>>,
    /// Possible inputs of the projection: one, or several combinations of z and a class embedding.
    pub inputs: Vec<ProjectionInput>,
    /// The prior to assume if the statistics do not decide.
    pub prior: Prior,
}

/// Settings that are the same in all layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct SharedSettings {
    /// Negative slope.
    pub leak: f64,
    epsilon: f64,
    /// As in PyTorch-GAN: no activation after the first batch norm, and an epsilon of 0.8 in the others.
    pub pytorch_gan: bool,
}

impl SharedSettings {
    /// Epsilon of a layer's batch norm.
    pub fn epsilon(&self, layer: usize) -> f64 {
        if self.pytorch_gan && layer > 0 { PYTORCH_GAN_EPSILON } else { self.epsilon }
    }
}

/// An interpretation of the first layers.
pub(super) struct PartialInterpretation {
    pub settings: SharedSettings,
    pub options: Vec<ConvOption>,
    /// Side of the newest layer's maps.
    side: usize,
    cost: f64,
    /// Distances from the running statistics by layer.
    distances: Vec<f64>,
    /// Activations of the newest layer, while they are computed.
    maps: Option<Tensor<4>>,
}

impl PartialInterpretation {
    fn total_distance(&self) -> f64 {
        self.distances.iter().sum()
    }
}

impl GeneratorWeights<'_> {
    /// Finds the interpretations that the shapes allow, and how well each fits the running statistics. `no_statistics`
    /// tells that there are none.
    pub fn search(&self, constraints: &SearchConstraints, no_statistics: bool) -> SearchResult {
        let layers = &self.chain.layers;
        let compared = |layer: &ChainLayer| {
            !no_statistics && layer.norm.as_ref().is_some_and(|norm| norm.mean.is_some() && norm.variance.is_some())
        };
        let last_compared = layers.iter().rposition(compared);
        let mut result = SearchResult {
            prior: constraints.prior.unwrap_or(self.prior),
            input: 0,
            input_distances: Vec::new(),
            candidates: Vec::new(),
        };
        let mut first_distances = Vec::new();
        let mut projected = None;
        if let Some(last) = last_compared {
            let ProjectedBatch { maps, distance, prior, input, input_distances } =
                self.project_batch(constraints, compared(&layers[0]));
            (result.prior, result.input, result.input_distances) = (prior, input, input_distances);
            first_distances.extend(distance);
            projected = (last > 0).then_some(maps);
        }
        let shared = self.shared_settings(constraints, last_compared.is_some_and(|last| last > 0));
        let usual = shared[0];
        let mut beam: Vec<PartialInterpretation> = shared
            .into_iter()
            .map(|settings| PartialInterpretation {
                settings,
                options: Vec::new(),
                side: layers[0].kernel,
                cost: 0.0,
                distances: first_distances.clone(),
                maps: projected.clone().map(|maps| self.activate(0, maps, &settings)),
            })
            .collect();
        let even = layers[1..].iter().any(|layer| layer.kernel.is_multiple_of(2));
        for (i, layer) in layers.iter().enumerate().skip(1) {
            let stride = constraints.strides.as_ref().map(|strides| strides.get(i - 1).copied().unwrap_or(0));
            let last = i + 1 == layers.len();
            // Extended interpretations, each with the index of the one it extends.
            let mut next: Vec<(usize, PartialInterpretation)> = Vec::new();
            for (parent, partial) in beam.iter().enumerate() {
                for option in upsampling_options(layer, partial.side, last, even, stride) {
                    let mut distances = partial.distances.clone();
                    if let Some(maps) = partial.maps.as_ref().filter(|_| compared(layer)) {
                        distances.push(self.distance_under(i, maps.clone(), &option, partial.side));
                    }
                    let (settings, side, cost) = (partial.settings, option.side, partial.cost + option.cost);
                    let options = [&partial.options[..], &[option]].concat();
                    next.push((parent, PartialInterpretation { settings, options, side, cost, distances, maps: None }));
                }
            }
            let score = |partial: &PartialInterpretation| partial.total_distance() + 1e-3 * partial.cost;
            next.sort_by(|(_, a), (_, b)| score(a).total_cmp(&score(b)));
            let computing = last_compared.is_some_and(|last| i <= last);
            if computing && compared(layer) {
                prune(&mut next, usual);
            } else {
                next.truncate(if computing { 2 * BEAM } else { COST_BEAM });
            }
            let maps_needed = last_compared.is_some_and(|last| i < last);
            beam = next
                .into_iter()
                .map(|(parent, mut partial)| {
                    let before = &beam[parent];
                    if let Some(maps) = before.maps.as_ref().filter(|_| maps_needed) {
                        partial.maps = self.advance(i, maps, before.side, &partial);
                    }
                    partial
                })
                .collect();
        }
        for PartialInterpretation { settings, options, side, cost, distances, .. } in beam {
            let allowed = constraints.size.is_none_or(|size| size == side);
            if let Some(size_cost) = size_cost(side, self.chain.channels).filter(|_| allowed) {
                let SharedSettings { leak, epsilon, pytorch_gan } = settings;
                let cost = cost + size_cost;
                result.candidates.push(Interpretation {
                    options,
                    size: side,
                    leak,
                    epsilon,
                    pytorch_gan,
                    cost,
                    distances,
                });
            }
        }
        result
    }

    /// The shared settings to try, the usual ones first; only those if there are no statistics to compare with.
    fn shared_settings(&self, constraints: &SearchConstraints, compared: bool) -> Vec<SharedSettings> {
        let leaks = match constraints.leak {
            Some(leak) => vec![leak],
            None if compared => LEAKS.to_vec(),
            None => vec![0.0],
        };
        let norms = self.chain.layers.iter().filter_map(|layer| layer.norm.as_ref());
        let small_variances = norms.filter_map(|norm| norm.variance.as_ref()).any(|name| {
            let mut values = self.values.get(name).cloned().unwrap_or_default();
            values.sort_by(f32::total_cmp);
            values.get(values.len() / 2).is_some_and(|median| f64::from(*median) < EPSILON_MATTERS * EPSILONS[1])
        });
        let epsilons = match constraints.epsilon {
            Some(epsilon) => vec![epsilon],
            None if compared && small_variances => EPSILONS.to_vec(),
            None => vec![EPSILONS[0]],
        };
        let mut settings: Vec<SharedSettings> = leaks
            .iter()
            .flat_map(|&leak| epsilons.iter().map(move |&epsilon| SharedSettings { leak, epsilon, pytorch_gan: false }))
            .collect();
        let ordinary = |layer: &ChainLayer| matches!(layer.layout, WeightLayout::OutIn | WeightLayout::Either);
        if compared && self.chain.layers[1..].iter().all(ordinary) && constraints.epsilon.is_none() {
            let leak = constraints.leak.unwrap_or(0.2);
            settings.push(SharedSettings { leak, epsilon: EPSILONS[0], pytorch_gan: true });
        }
        settings
    }
}

/// Keeps the nearest interpretations, and of the others the least costly ones with the usual settings, in case nothing
/// fits.
fn prune(next: &mut Vec<(usize, PartialInterpretation)>, usual: SharedSettings) {
    let best = next.first().map_or(0.0, |(_, partial)| partial.total_distance());
    let is_near = |partial: &PartialInterpretation| partial.total_distance() <= 2.0 * best + 0.1;
    let near = next.iter().take(BEAM).take_while(|(_, partial)| is_near(partial)).count();
    let mut far = next.split_off(near);
    far.retain(|(_, partial)| partial.settings == usual);
    far.sort_by(|(_, a), (_, b)| a.cost.total_cmp(&b.cost));
    next.extend(far.into_iter().take(KEPT_USUAL));
}
