//! Assembles an imported model: chooses an interpretation of the generator and writes both networks under zscape's
//! tensor names.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::chain::{ChainLayer, LayerChain, WeightLayout};
use super::conditioning::{ClassSelection, ProjectionInput};
use super::conv_options::{cheapest_discriminator_plan, end_plan};
use super::interpretation::{EPSILONS, Interpretation, SearchResult, to_in_out};
use super::modules::NormModule;
use super::notes::{ImportNote, InferredSetting};
use super::reparameterization::EffectiveWeights;
use super::search::{GeneratorWeights, PYTORCH_GAN_EPSILON};
use super::{DetectedNetwork, ImportError, ImportInfo, ImportRequest, ImportedModel, flip, is_counter, numpy};
use crate::model::layout::Layout;
use crate::model::{
    LayerPlan, ModelConfig, OutputActivation, ParameterScope, Preset, Prior, REFERENCE_BATCH, SamplingStatistics,
    TensorFile,
};

/// Cost bonus of the paired layout (see [`Assembly::is_paired`]), which outweighs all other costs.
const PAIRED_BONUS: f64 = 100.0;

/// The generator to import, and where its tensors are.
pub(super) struct Assembly<'a> {
    pub path: &'a Path,
    pub sources: &'a [(PathBuf, EffectiveWeights)],
    pub generator: &'a DetectedNetwork,
    pub request: &'a ImportRequest,
}

impl Assembly<'_> {
    /// Interprets the generator, converts both networks, and collects the notes.
    ///
    /// # Errors
    /// [`ImportError`] if an array cannot be read, or if no interpretation fits the shapes and the user's settings.
    pub fn assemble(
        &self,
        discriminator: Option<&DetectedNetwork>,
        mut notes: Vec<ImportNote>,
    ) -> Result<ImportedModel, ImportError> {
        let Self { path, sources, generator, request } = *self;
        let chain = &generator.chain;
        let (from, source) = &sources[generator.source];
        let theano = source.is_theano();
        let mut values = HashMap::new();
        for name in chain.tensors() {
            values.insert(name.to_owned(), source.read(name, from)?);
        }
        let norms = || chain.layers.iter().filter_map(|layer| layer.norm.as_ref());
        // Without running statistics, those of a reference batch are measured.
        let measured = norms().next().is_some() && norms().any(|norm| norm.mean.is_none());
        let weights =
            GeneratorWeights { chain, values: &values, inputs: self.inputs(&values)?, prior: self.usual_prior() };
        let paired = self.is_paired();
        let mut constraints = request.constraints.clone();
        let has_statistics = |norm: &NormModule| norm.mean.is_some() && norm.variance.is_some();
        if paired
            && (measured || !norms().any(has_statistics))
            && constraints.strides.is_none()
            && constraints.size.is_none()
        {
            constraints.strides = Some((1..chain.layers.len()).map(|i| 1 + i % 2).collect());
        }
        let result = weights.search(&constraints, measured);
        let discriminator_cost = |candidate: &Interpretation| {
            discriminator.map_or(0.0, |network| {
                cheapest_discriminator_plan(&network.chain, candidate.size).map_or(1.0, |(cost, _)| 0.5 * cost)
            })
        };
        let extra_cost = |candidate: &Interpretation| {
            let pairs = candidate.options.iter().enumerate().all(|(i, option)| option.stride == 2 - i % 2);
            discriminator_cost(candidate) - if paired && pairs { PAIRED_BONUS } else { 0.0 }
        };
        let Some((chosen, others)) = result.decide(extra_cost) else { return self.reject(self.no_interpretation()) };
        let classes = self.classes(&weights, &result)?;
        let input = &weights.inputs[result.input];
        let paired = paired && extra_cost(&chosen) < -0.5 * PAIRED_BONUS;
        let discriminator_plans = discriminator.and_then(|network| {
            if paired {
                Some(paired_discriminator_plans(&network.chain))
            } else {
                cheapest_discriminator_plan(&network.chain, chosen.size).map(|(_, plans)| plans)
            }
        });
        if discriminator.is_some() && discriminator_plans.is_none() {
            let size = chosen.size;
            notes.push(format!("its discriminator does not judge pictures of {size}x{size}, and was left out").into());
        }
        let discriminator = discriminator.filter(|_| discriminator_plans.is_some());
        let mut plans = chosen.plans(chain);
        plans[0].bias = input.bias_scope(plans[0].bias);
        let mut config = self.config(&chosen, plans, discriminator_plans, paired);
        config.prior = result.prior;
        config.z_dim = input.z_dim(chain.layers[0].inputs);
        config.leak = chosen.leak;
        if !theano || constraints.epsilon.is_some() {
            config.norm_epsilon = chosen.epsilon;
        }
        if measured {
            config.sampling = SamplingStatistics::Batch;
            notes.push(format!(
                "there are no running statistics in it: those of a reference batch of {REFERENCE_BATCH} samples are used"
            ).into());
        } else {
            notes.push(ImportNote::inferred(InferredSetting::Sampling, "it samples with running statistics"));
        }
        config.check().map_err(|reason| ImportError::Config { path: path.to_owned(), reason })?;
        if let Some(normalization) = self.normalization(discriminator) {
            notes.push(format!("weights under {normalization} are kept as they were last applied").into());
        }
        if let Some(classes) = &classes {
            notes.extend(class_notes(classes, &weights, &result));
        }
        notes.extend(self.stride_notes(&chosen, &others, &extra_cost, paired));
        notes.extend(self.training_notes(&config, &chosen));
        let kernels = match theano {
            true => "its kernels are turned, since Theano convolves where others correlate",
            false => "its kernels are as they are applied",
        };
        notes.push(ImportNote::inferred(InferredSetting::Output, format!("pictures come out of a {}", config.output)));
        notes.push(ImportNote::inferred(InferredSetting::Kernels, kernels));

        let mut file = TensorFile::default();
        let class = classes.as_ref().map_or(0, |classes| classes.class);
        self.convert_generator(&chosen, input, class, &values, &mut file)?;
        if let Some(network) = discriminator {
            self.convert_discriminator(network, &mut file)?;
        }
        if theano {
            flip(&mut file);
        }
        let (unused, skipped) = (self.unused(discriminator), source.skipped());
        if !unused.is_empty() {
            notes.push(format!("not used: {}", abbreviate(&unused)).into());
        }
        if !skipped.is_empty() {
            let skipped = abbreviate(&skipped);
            notes.push(
                format!("objects that are no tensors were skipped, and nothing of them was run: {skipped}").into(),
            );
        }
        let format = source.format().to_owned();
        let origin = ImportInfo { format, flipped: theano, measured, notes, classes, unused, skipped };
        Ok(ImportedModel { config, origin, file })
    }

    fn reject<T>(&self, reason: String) -> Result<T, ImportError> {
        Err(ImportError::Settings { path: self.path.to_owned(), reason })
    }

    /// Explains that no interpretation fits.
    fn no_interpretation(&self) -> String {
        let sizes = ModelConfig::IMPORTED;
        let constraints = &self.request.constraints;
        let requested = constraints.strides.is_some() || constraints.size.is_some();
        format!(
            "no known strides and paddings lead from {0}x{0} maps to images of {1}x{1} to {2}x{2} pixels{3}",
            self.generator.chain.layers[0].kernel,
            sizes.start(),
            sizes.end(),
            if requested { " with the requested strides and size" } else { "" }
        )
    }

    /// The possible inputs of the projection. Also checks the number of requested strides.
    fn inputs(&self, values: &HashMap<String, Vec<f32>>) -> Result<Vec<ProjectionInput>, ImportError> {
        let chain = &self.generator.chain;
        if let Some(strides) = &self.request.constraints.strides
            && strides.len() != chain.layers.len() - 1
        {
            return self.reject(format!(
                "it has {} convolutions after the projection of z, but {} strides are given",
                chain.layers.len() - 1,
                strides.len()
            ));
        }
        let Some(table) = &chain.classes else { return Ok(vec![ProjectionInput::unconditional()]) };
        let mut inputs = ProjectionInput::candidates(table, &values[&table.name], chain.layers[0].inputs);
        if let Some(conditioning) = self.request.conditioning {
            inputs.retain(|input| input.conditioning() == Some(conditioning));
            if inputs.is_empty() {
                return self.reject(format!("its class embedding cannot be put {}", conditioning.describe()));
            }
        }
        Ok(inputs)
    }

    /// The prior to assume if the statistics do not decide: normal, except for the authors' own networks, whose folders
    /// are named after the prior (`.._100z_gaussian_..`) if it is normal.
    fn usual_prior(&self) -> Prior {
        let folder = if self.path.is_dir() { numpy::find(self.path, 1) } else { None };
        let name = folder.as_deref().unwrap_or(self.path).to_string_lossy().to_ascii_lowercase();
        let named_normal = name.contains("gaussian") || name.contains("normal");
        let theano = self.sources[self.generator.source].1.is_theano();
        if theano && !named_normal { Prior::Uniform } else { Prior::Normal }
    }

    /// The class to generate; `None` for an unconditional generator.
    fn classes(
        &self,
        weights: &GeneratorWeights<'_>,
        result: &SearchResult,
    ) -> Result<Option<ClassSelection>, ImportError> {
        let input = &weights.inputs[result.input];
        let (count, requested) = (input.classes(), self.request.class);
        let Some(conditioning) = input.conditioning() else {
            return match requested {
                Some(_) => self.reject("it is not conditional, so that there is no class to choose".to_owned()),
                None => Ok(None),
            };
        };
        let class = requested.unwrap_or(0);
        if class >= count {
            return self.reject(format!("there is no class {class}; its {count} classes are 0 to {}", count - 1));
        }
        Ok(Some(ClassSelection { count, class, conditioning }))
    }

    /// Whether its 3x3 convolutions may be pairs of which the second has stride 1, as in the paper's 32x32 network: if
    /// all had stride 2, the images would be larger than any DCGAN's.
    fn is_paired(&self) -> bool {
        let layers = &self.generator.chain.layers;
        let count = layers.len() - 1;
        let all_3x3 = layers[1..].iter().all(|layer| layer.kernel == 3 && layer.layout != WeightLayout::OutIn);
        all_3x3 && count.is_multiple_of(2) && layers[0].kernel << count.min(16) > ModelConfig::LARGEST
    }

    /// The architecture of the chosen interpretation.
    fn config(
        &self,
        chosen: &Interpretation,
        plans: Vec<LayerPlan>,
        discriminator: Option<Vec<LayerPlan>>,
        paired: bool,
    ) -> ModelConfig {
        let chain = &self.generator.chain;
        let theano = self.sources[self.generator.source].1.is_theano();
        let stages = chain.layers.len() - 1;
        let published = |kernel: usize| (3..=5).contains(&kernel).then_some(kernel);
        let kernel = chain.layers[1..].iter().find_map(|layer| published(layer.kernel)).unwrap_or(4);
        let preset = ModelConfig::preset(if theano { Preset::AuthorsSvhn } else { Preset::Pytorch });
        let mut config = ModelConfig {
            size: chosen.size,
            channels: chain.channels,
            kernel,
            base: chain.layers[stages - 1].maps,
            bias: chain.layers[1].bias.is_some(),
            per_stage: if paired { 2 } else { 1 },
            prior: Prior::Normal,
            output: OutputActivation::Tanh,
            sampling: SamplingStatistics::Running,
            ..preset
        };
        let implied = Layout::of(&config);
        let discriminator = discriminator.unwrap_or_else(|| implied.discriminator.clone());
        let layout = Layout { generator: plans, discriminator };
        if layout != implied || !ModelConfig::SIZES.contains(&config.size) {
            config.layout = Some(layout);
        }
        config
    }

    /// The normalization of the networks' weights, if any.
    fn normalization(&self, discriminator: Option<&DetectedNetwork>) -> Option<&'static str> {
        [Some(self.generator), discriminator].into_iter().flatten().find_map(|network| {
            let source = &self.sources[network.source].1;
            network.chain.layers.iter().find_map(|layer| source.normalization(&layer.weight))
        })
    }

    /// Adds the generator's tensors to `file`, with the class folded into the projection.
    fn convert_generator(
        &self,
        chosen: &Interpretation,
        input: &ProjectionInput,
        class: usize,
        values: &HashMap<String, Vec<f32>>,
        file: &mut TensorFile,
    ) -> Result<(), ImportError> {
        let (path, source) = &self.sources[self.generator.source];
        for (i, layer) in self.generator.chain.layers.iter().enumerate() {
            let name = if i == 0 { "generator.project".to_owned() } else { format!("generator.up{i}") };
            let out_in = i > 0 && chosen.options[i - 1].out_in;
            let mut weight = to_in_out(&values[&layer.weight], layer, out_in);
            let mut bias = layer.bias.as_ref().map(|name| values[name].clone());
            let mut inputs = layer.inputs;
            if i == 0 {
                (weight, bias) = input.fold(class, &weight, bias.as_deref(), layer);
                inputs = input.z_dim(inputs);
            }
            let shape = vec![inputs, layer.maps, layer.kernel, layer.kernel];
            // A layer's own epsilon is added to its variance, in place of the config's.
            let epsilon = if chosen.pytorch_gan && i > 0 { PYTORCH_GAN_EPSILON - EPSILONS[0] } else { 0.0 };
            add_layer((source, path), layer, &name, (shape, weight, bias), epsilon, file)?;
        }
        Ok(())
    }

    /// Adds the discriminator's tensors to `file`.
    fn convert_discriminator(&self, network: &DetectedNetwork, file: &mut TensorFile) -> Result<(), ImportError> {
        let (path, source) = &self.sources[network.source];
        let last = network.chain.layers.len() - 1;
        for (i, layer) in network.chain.layers.iter().enumerate() {
            let name = if i == last { "discriminator.head".to_owned() } else { format!("discriminator.down{}", i + 1) };
            let raw = source.read(&layer.weight, path)?;
            let weight = match layer.layout {
                WeightLayout::Matrix { transposed: true } => {
                    crate::model::export::transposed(&raw, raw.len() / layer.maps, layer.maps)
                }
                _ => raw,
            };
            let bias = layer.bias.as_ref().map(|name| source.read(name, path)).transpose()?;
            let shape = vec![layer.maps, layer.inputs, layer.kernel, layer.kernel];
            add_layer((source, path), layer, &name, (shape, weight, bias), 0.0, file)?;
        }
        Ok(())
    }

    /// Names and shapes of the tensors that neither network uses.
    fn unused(&self, discriminator: Option<&DetectedNetwork>) -> Vec<String> {
        let mut unused = Vec::new();
        for (number, (_, source)) in self.sources.iter().enumerate() {
            let networks = [Some(self.generator), discriminator].into_iter().flatten();
            let in_source = networks.filter(|network| network.source == number);
            let used: BTreeSet<&str> = in_source.flat_map(|network| network.chain.tensors()).collect();
            if number > 0 && used.is_empty() {
                continue;
            }
            let others =
                source.ordered().into_iter().filter(|(name, _)| !used.contains(name.as_str()) && !is_counter(name));
            unused.extend(others.map(|(name, shape)| format!("{name} {shape:?}")));
        }
        unused
    }
}

/// Notes about the classes of a conditional generator.
fn class_notes(classes: &ClassSelection, weights: &GeneratorWeights<'_>, result: &SearchResult) -> [ImportNote; 2] {
    let ClassSelection { count, class, conditioning } = classes;
    let selection = format!(
        "conditional, {count} classes: class {class} is drawn; another one by its name, @class=0 to @class={}",
        count - 1
    );
    let inputs = weights.inputs.iter().zip(&result.input_distances);
    let distances: Vec<String> = inputs
        .filter(|(_, distance)| distance.is_finite())
        .filter_map(|(input, distance)| Some(format!("{} {distance:.3}", input.conditioning()?.describe())))
        .collect();
    let text = format!("a row of the class joins z: {}", conditioning.describe());
    let how = match distances.len() {
        0 => {
            ImportNote::inferred(InferredSetting::Labels, format!("{text} (otherwise @labels=before or @labels=after)"))
        }
        1 => text.into(),
        _ => format!("{text}, as its running statistics say (off by {})", distances.join(", ")).into(),
    };
    [selection.into(), how]
}

/// Joins a list of names, abbreviated if it is long.
fn abbreviate(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        shown += &format!(" and {} more", names.len() - SHOWN);
    }
    shown
}

/// The plans of the discriminator that belongs to a paired generator.
fn paired_discriminator_plans(chain: &LayerChain) -> Vec<LayerPlan> {
    let plan = |(i, layer): (usize, &ChainLayer)| LayerPlan { stride: 1 + i % 2, ..end_plan(layer) };
    let mut plans: Vec<LayerPlan> = chain.layers.iter().enumerate().map(plan).collect();
    if let Some(head) = plans.last_mut() {
        (head.stride, head.norm) = (2, ParameterScope::None);
    }
    plans
}

/// Adds one layer's tensors to `file` as `name`, with `epsilon` added to batch norm's variances.
fn add_layer(
    (source, path): (&EffectiveWeights, &Path),
    layer: &ChainLayer,
    name: &str,
    (shape, weight, bias): (Vec<usize>, Vec<f32>, Option<Vec<f32>>),
    epsilon: f64,
    file: &mut TensorFile,
) -> Result<(), ImportError> {
    file.tensors.insert(format!("{name}.weight"), (shape, weight));
    if let Some(bias) = bias {
        file.tensors.insert(format!("{name}.bias"), (vec![bias.len()], bias));
    }
    let Some(norm) = &layer.norm else { return Ok(()) };
    for (part, tensor, default) in [
        ("gain", &norm.gain, 1.0),
        ("shift", &norm.shift, 0.0),
        ("mean", &norm.mean, 0.0),
        ("variance", &norm.variance, 1.0),
    ] {
        let mut values = match tensor {
            Some(tensor) => source.read(tensor, path)?,
            None => vec![default; norm.length],
        };
        if part == "variance" && epsilon != 0.0 {
            values.iter_mut().for_each(|value| *value += epsilon as f32);
        }
        file.tensors.insert(format!("{name}.norm.{part}"), (vec![norm.length], values));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_abbreviated() {
        let names: Vec<String> = (0..10).map(|i| format!("a{i}")).collect();
        assert!(abbreviate(&names).ends_with("a7 and 2 more"));
        assert_eq!(abbreviate(&names[..1]), "a0");
    }
}
