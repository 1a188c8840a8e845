//! Runs an imported generator layer by layer and compares its activations with batch norm's running statistics.

use burn::tensor::{Device, Tensor, TensorData};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::chain::{ChainLayer, NetworkRole};
use super::conv_options::ConvOption;
use super::interpretation::{CLEARLY_NEARER, to_in_out};
use super::search::{GeneratorWeights, PartialInterpretation, SearchConstraints, SharedSettings};
use crate::device::Operands;
use crate::model::layer::{Layer, Pass};
use crate::model::{BatchNorm, LayerPlan, ModelConfig, Parameter, ParameterScope, Preset, Prior, SamplingStatistics};

/// Samples of the batch.
const SAMPLES: usize = 128;
/// Maximum number of feature map values per layer; larger maps use fewer samples.
const MAX_VALUES: usize = 1 << 24;
/// Minimum number of samples.
const MIN_SAMPLES: usize = 8;
/// Number of maps per layer that are compared.
const COMPARED_MAPS: usize = 24;
/// Added to variances before they are compared, so that dead maps do not differ.
const MIN_VARIANCE: f64 = 1e-6;
/// Maximum contribution of one map to the distance, since some maps never change.
const MAX_MAP_DISTANCE: f64 = 4.0;

/// The projection of a batch, with the prior and class conditioning that fit best.
pub(super) struct ProjectedBatch {
    /// The projection's output before batch norm.
    pub maps: Tensor<4>,
    /// Its distance from the running statistics, if there are any.
    pub distance: Option<f64>,
    pub prior: Prior,
    /// Index of the chosen combination of z and class embedding, and the distance of each.
    pub input: usize,
    pub input_distances: Vec<f64>,
}

impl GeneratorWeights<'_> {
    /// Projects a batch of z's. Chooses prior and class conditioning by the running statistics if `compared`.
    pub fn project_batch(&self, constraints: &SearchConstraints, compared: bool) -> ProjectedBatch {
        let end = &self.chain.layers[0];
        let mut priors = vec![constraints.prior.unwrap_or(self.prior)];
        if constraints.prior.is_none() && compared {
            priors = vec![Prior::Normal, Prior::Uniform];
        }
        let mut best: Option<ProjectedBatch> = None;
        let mut input_distances = vec![f64::INFINITY; self.inputs.len()];
        for (i, input) in self.inputs.iter().enumerate() {
            for &prior in &priors {
                let mut rng = ChaCha8Rng::seed_from_u64(0);
                let z_dim = input.z_dim(end.inputs);
                let z = standardized(prior.draw(SAMPLES * z_dim, &mut rng), z_dim, prior);
                let classes: Vec<usize> = (0..SAMPLES).map(|i| i % input.classes().max(1)).collect();
                let inputs = TensorData::new(input.inputs(&z, &classes), [SAMPLES, end.inputs]);
                let layer = self.projection();
                let matrix = layer.weight.value.clone().reshape([end.inputs, end.maps * end.kernel.pow(2)]);
                let product = Tensor::<2>::from_data(inputs, &Device::flex()).matmul(matrix);
                let maps = layer.add_bias(product.reshape([SAMPLES, end.maps, end.kernel, end.kernel]));
                let distance = compared.then(|| self.distance(0, maps.clone(), &self.compared_maps(0)));
                if let Some(distance) = distance {
                    input_distances[i] = input_distances[i].min(distance);
                }
                // The uniform prior must be clearly nearer.
                let factor = if prior == Prior::Uniform { CLEARLY_NEARER } else { 1.0 };
                let nearer = best
                    .as_ref()
                    .is_none_or(|best| distance.zip(best.distance).is_some_and(|(new, old)| new * factor < old));
                if nearer {
                    best = Some(ProjectedBatch { maps, distance, prior, input: i, input_distances: Vec::new() });
                }
            }
        }
        let best = best.expect("there is at least one prior and one input");
        ProjectedBatch { input_distances, ..best }
    }

    fn projection(&self) -> Layer {
        let end = &self.chain.layers[0];
        let weight = to_in_out(&self.values[&end.weight], end, false);
        self.layer(end, vec![end.inputs, end.maps, end.kernel, end.kernel], weight, None, None)
    }

    /// Convolution `i` under an option, with all of its output maps or some; `side` is the side of the input maps.
    fn convolution(&self, i: usize, option: &ConvOption, maps: Option<&[usize]>, side: usize) -> Layer {
        let layer = &self.chain.layers[i];
        let whole = to_in_out(&self.values[&layer.weight], layer, option.out_in);
        let taps = layer.kernel * layer.kernel;
        let (weight, count) = match maps {
            None => (whole, layer.maps),
            Some(maps) => {
                let row = |input: usize| maps.iter().map(move |map| (input * layer.maps + map) * taps);
                let part = (0..layer.inputs).flat_map(row).flat_map(|at| whole[at..at + taps].iter().copied());
                (part.collect(), maps.len())
            }
        };
        let plan = option.plan(layer, NetworkRole::Generator, side);
        self.layer(layer, vec![layer.inputs, count, layer.kernel, layer.kernel], weight, maps, Some(&plan))
    }

    /// A layer with weight and bias, without batch norm.
    fn layer(
        &self,
        layer: &ChainLayer,
        shape: Vec<usize>,
        weight: Vec<f32>,
        maps: Option<&[usize]>,
        plan: Option<&LayerPlan>,
    ) -> Layer {
        let bias = layer.bias.as_ref().map(|name| {
            let values = &self.values[name];
            let values = maps.map_or_else(|| values.clone(), |maps| maps.iter().map(|&map| values[map]).collect());
            parameter(vec![values.len()], &values)
        });
        Layer {
            weight: parameter(shape, &weight),
            bias,
            norm: None,
            convolution: plan.map(|plan| base().convolution(plan)),
            linear: false,
            operands: Operands::F32,
        }
    }

    /// Applies bias, batch norm and activation of layer `i`.
    pub fn activate(&self, i: usize, maps: Tensor<4>, settings: &SharedSettings) -> Tensor<4> {
        let layer = &self.chain.layers[i];
        let mut applied = self.layer(layer, vec![1], vec![0.0], None, None);
        if i == 0 {
            // The projected batch has its bias already.
            applied.bias = None;
        }
        applied.norm = layer.norm.as_ref().map(|norm| {
            let vector = |name: &Option<String>, default: f32| {
                let values = name.as_ref().and_then(|name| self.values.get(name)).cloned();
                parameter(vec![norm.length], &values.unwrap_or_else(|| vec![default; norm.length]))
            };
            BatchNorm {
                gain: vector(&norm.gain, 1.0),
                shift: vector(&norm.shift, 0.0),
                mean: vector(&norm.mean, 0.0),
                variance: vector(&norm.variance, 1.0),
            }
        });
        let slope = if settings.pytorch_gan && i == 0 { 1.0 } else { settings.leak };
        let config = ModelConfig { norm_epsilon: settings.epsilon(i), ..base() };
        applied.activate(maps, &config, slope, Pass::Infer(SamplingStatistics::Running))
    }

    /// The activations of layer `i` under the newest option of `next`, from those of the layer before.
    pub fn advance(&self, i: usize, maps: &Tensor<4>, side: usize, next: &PartialInterpretation) -> Option<Tensor<4>> {
        let option = next.options.last()?;
        let [batch, ..] = maps.dims();
        let values_per_sample = self.chain.layers[i].maps * option.side.pow(2);
        let samples = (MAX_VALUES / values_per_sample.max(1)).clamp(MIN_SAMPLES, batch.max(MIN_SAMPLES)).min(batch);
        // The bias is part of `activate`.
        let convolved = self.convolution(i, option, None, side).up(maps.clone().narrow(0, 0, samples));
        Some(self.activate(i, convolved, &next.settings))
    }

    /// Distance of layer `i` from its running statistics under an option, on some of its maps.
    pub fn distance_under(&self, i: usize, maps: Tensor<4>, option: &ConvOption, side: usize) -> f64 {
        let compared = self.compared_maps(i);
        let layer = self.convolution(i, option, Some(&compared), side);
        self.distance(i, layer.add_bias(layer.up(maps)), &compared)
    }

    /// Evenly spread maps of a layer; all maps of the projection.
    fn compared_maps(&self, i: usize) -> Vec<usize> {
        let maps = self.chain.layers[i].maps;
        let step = if i == 0 { 1 } else { maps.div_ceil(COMPARED_MAPS) };
        (0..maps).step_by(step).collect()
    }

    /// Distance between the statistics of these maps and the running statistics, averaged over the maps: the squared
    /// difference of the means in standard deviations plus the squared difference of the logarithms of the variances.
    fn distance(&self, i: usize, maps: Tensor<4>, indices: &[usize]) -> f64 {
        let layer = &self.chain.layers[i];
        let Some(norm) = &layer.norm else { return 0.0 };
        let [running_mean, running_variance] =
            [&norm.mean, &norm.variance].map(|name| name.as_ref().and_then(|name| self.values.get(name)));
        let (Some(running_mean), Some(running_variance)) = (running_mean, running_variance) else { return 0.0 };
        let [batch, count, height, width] = maps.dims();
        let values: Vec<f32> = maps.into_data().iter::<f32>().collect();
        let per_unit = layer.norm_scope == ParameterScope::Unit;
        let area = height * width;
        // With batch norm per unit, each position of each map has its own statistics.
        let (groups, positions) = if per_unit { (count * area, 1) } else { (count, area) };
        let mut sum = 0.0;
        for group in 0..groups {
            let (mut total, mut squares) = (0.0, 0.0);
            for sample in 0..batch {
                let at = sample * count * area + group * positions;
                for &value in &values[at..at + positions] {
                    let value = f64::from(value);
                    total += value;
                    squares += value * value;
                }
            }
            let n = (batch * positions) as f64;
            let mean = total / n;
            let variance = (squares / n - mean * mean).max(0.0) * n / (n - 1.0).max(1.0);
            let index = if per_unit { group } else { indices.get(group).copied().unwrap_or(group) };
            let (running_mean, running) =
                (f64::from(running_mean[index]), f64::from(running_variance[index]) + MIN_VARIANCE);
            let distance = (mean - running_mean).powi(2) / running + ((variance + MIN_VARIANCE) / running).ln().powi(2);
            // NaN counts as the maximum.
            sum += distance.min(MAX_MAP_DISTANCE);
        }
        sum / groups.max(1) as f64
    }
}

fn parameter(shape: Vec<usize>, values: &[f32]) -> Parameter {
    Parameter { name: "up".to_owned(), shape, value: Tensor::from_data(TensorData::from(values), &Device::flex()) }
}

/// Standardizes a batch of z's so that every coordinate has exactly the mean and standard deviation of its prior.
/// Otherwise sampling noise would change the statistics of so few samples as much as a negative slope of 0.1 instead of
/// 0 does, and the wrong activation would be chosen one time in seven.
fn standardized(mut z: Vec<f32>, z_dim: usize, prior: Prior) -> Vec<f32> {
    let deviation = f64::from(prior.standard_deviation());
    for coordinate in 0..z_dim {
        let values = || z.iter().skip(coordinate).step_by(z_dim).map(|&value| f64::from(value));
        let count = values().count().max(1) as f64;
        let mean = values().sum::<f64>() / count;
        let spread = (values().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
        if spread > 0.0 {
            let scaled = |value: &mut f32| *value = ((f64::from(*value) - mean) / spread * deviation) as f32;
            z.iter_mut().skip(coordinate).step_by(z_dim).for_each(scaled);
        }
    }
    z
}

fn base() -> ModelConfig {
    ModelConfig::preset(Preset::Pytorch)
}
