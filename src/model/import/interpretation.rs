//! Interpretations of an imported generator: the choices that its file leaves open, and the decision between
//! candidates.

use super::chain::{ChainLayer, LayerChain, NetworkRole, WeightLayout};
use super::conv_options::{ConvOption, end_plan};
use crate::model::{LayerPlan, Prior};

/// Epsilons of PyTorch's and Keras's batch norm.
pub(super) const EPSILONS: [f64; 2] = [1e-5, 1e-3];
/// Maximum distance of the worst layer of a correct interpretation: a wrong stride changes variances by a factor of
/// four, which is a distance of 1.9, while averaged checkpoints, whose statistics are averaged too, have up to 0.6.
pub(super) const FITS: f64 = 0.8;
/// Minimum ratio of distances at which a less usual interpretation is preferred.
pub(super) const CLEARLY_NEARER: f64 = 2.0;
/// Interpretations within this factor, and this offset, of the nearest count as equally near. All are compared on the
/// same z's, so that the difference has little sampling noise.
const EQUALLY_NEAR: f64 = 1.5;
const NOISE: f64 = 0.0003;
/// Cost of each unusual setting: LeakyReLU, or an epsilon other than PyTorch's.
const UNUSUAL_SETTING: f64 = 0.1;

/// One interpretation of a whole generator.
#[derive(Debug, Clone)]
pub(super) struct Interpretation {
    /// Options of the convolutions after the projection.
    pub options: Vec<ConvOption>,
    /// Side of the images.
    pub size: usize,
    /// Negative slope of the activations.
    pub leak: f64,
    /// Epsilon of batch norm.
    pub epsilon: f64,
    /// PyTorch-GAN's generator: all batch norms but the first have an epsilon of 0.8, and the first layer has no
    /// activation.
    pub pytorch_gan: bool,
    /// How unusual it is.
    pub cost: f64,
    /// Distances from the running statistics by layer; empty if there are none to compare with.
    pub distances: Vec<f64>,
}

impl Interpretation {
    /// Strides of the convolutions after the projection, as display text.
    pub fn strides(&self) -> String {
        let strides: Vec<String> = self.options.iter().map(|option| option.stride.to_string()).collect();
        strides.join(",")
    }

    /// Mean distance from the running statistics over the layers after the first, which is the same in all
    /// interpretations.
    pub fn distance(&self) -> f64 {
        let later = self.distances.get(1..).unwrap_or_default();
        later.iter().sum::<f64>() / later.len().max(1) as f64
    }

    /// Whether every layer is near its running statistics.
    pub fn fits(&self) -> bool {
        !self.distances.is_empty() && self.distances.iter().all(|distance| *distance < FITS)
    }

    /// The plans of all layers.
    pub fn plans(&self, chain: &LayerChain) -> Vec<LayerPlan> {
        let mut side = chain.layers[0].kernel;
        let mut plans = vec![LayerPlan { linear: self.pytorch_gan, ..end_plan(&chain.layers[0]) }];
        for (layer, option) in chain.layers[1..].iter().zip(&self.options) {
            plans.push(option.plan(layer, NetworkRole::Generator, side));
            side = option.side;
        }
        plans
    }

    fn looks_like(&self, other: &Self) -> bool {
        self.size == other.size && self.strides() == other.strides()
    }
}

/// Result of the search.
pub(super) struct SearchResult {
    pub prior: Prior,
    /// Index of the chosen combination of z and class embedding, and the distance of each.
    pub input: usize,
    pub input_distances: Vec<f64>,
    /// All complete interpretations.
    pub candidates: Vec<Interpretation>,
}

impl SearchResult {
    /// Chooses an interpretation: the most usual among those that fit about as well as the best. Returns it with the
    /// other candidates that differ in strides or size, the nearest first. `extra_cost` adds to a candidate's cost.
    pub fn decide(&self, extra_cost: impl Fn(&Interpretation) -> f64) -> Option<(Interpretation, Vec<Interpretation>)> {
        let nearest = self.candidates.iter().map(Interpretation::distance).min_by(f64::total_cmp)?;
        let compared = self.candidates.iter().any(|candidate| !candidate.distances.is_empty());
        let near = |candidate: &&Interpretation| !compared || candidate.distance() <= EQUALLY_NEAR * nearest + NOISE;
        let cost = |candidate: &Interpretation| {
            let unusual = f64::from(u8::from(candidate.leak != 0.0) + u8::from(candidate.epsilon != EPSILONS[0]));
            candidate.cost + extra_cost(candidate) + UNUSUAL_SETTING * unusual + candidate.distance().min(1.0)
        };
        let mut chosen = self.candidates.iter().filter(near).min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
        // If nothing fits, the most usual interpretation is as good a guess as any, unless another is clearly nearer.
        if compared && !chosen.fits() {
            let usual = self.candidates.iter().min_by(|a, b| cost(a).total_cmp(&cost(b)))?;
            if usual.distance() < CLEARLY_NEARER * chosen.distance() {
                chosen = usual;
            }
        }
        let mut others: Vec<Interpretation> = Vec::new();
        let mut sorted: Vec<&Interpretation> = self.candidates.iter().collect();
        sorted.sort_by(|a, b| (a.distance() + 1e-3 * cost(a)).total_cmp(&(b.distance() + 1e-3 * cost(b))));
        for candidate in sorted {
            if !chosen.looks_like(candidate) && !others.iter().any(|other| other.looks_like(candidate)) {
                others.push(candidate.clone());
            }
        }
        Some((chosen.clone(), others))
    }
}

/// A weight as `[in, out, k, k]` of a fractionally-strided convolution; `out_in` if the file has an ordinary
/// convolution's.
pub(super) fn to_in_out(values: &[f32], layer: &ChainLayer, out_in: bool) -> Vec<f32> {
    let taps = layer.kernel * layer.kernel;
    if let WeightLayout::Matrix { transposed } = layer.layout {
        let (rows, columns) = (layer.inputs, layer.maps * taps);
        return if transposed { crate::model::export::transposed(values, columns, rows) } else { values.to_vec() };
    }
    if !out_in {
        return values.to_vec();
    }
    let mut out = Vec::with_capacity(values.len());
    for input in 0..layer.inputs {
        for map in 0..layer.maps {
            out.extend(values[(map * layer.inputs + input) * taps..][..taps].iter().rev());
        }
    }
    out
}
