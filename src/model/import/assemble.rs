//! A generator of another program, read as its statistics say, and its discriminator under the program's own names.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::chain::{Chain, Link, Turn};
use super::labels::{Classes, Joined};
use super::normalised::Applied;
use super::parts::Scaling;
use super::remark::{Guess, Remark};
use super::search::{Candidate, Network, Outcome, applied};
use super::steps::{end_plan, shrinking};
use super::{Foreign, Found, ImportError, Origin, Wanted, counters, flip, numpy};
use crate::model::layout::Layout;
use crate::model::{LayerPlan, ModelConfig, Output, Per, Preset, Prior, REFERENCE_BATCH, Statistics, TensorFile};

/// Other readings that are named.
const NAMED: usize = 3;
/// A reading whose distance is so many times the chosen one's, and this much more, is named as one that may be meant.
const NEARLY: f64 = 4.0;
const NEAR: f64 = 0.004;
/// How much further the next reading is that is worth a word.
const NEXT: f64 = 0.005;
/// Without statistics a reading is named that is so little less usual.
const LESS_USUAL: f64 = 1.3;

/// A file whose networks were found.
pub(super) struct Opened<'a> {
    pub path: &'a Path,
    pub stores: &'a [(PathBuf, Applied)],
    pub generator: &'a Found,
    pub wanted: &'a Wanted,
}

impl Opened<'_> {
    /// Puts the networks' tensors under the program's own names.
    pub fn assemble(&self, discriminator: Option<&Found>, mut remarks: Vec<Remark>) -> Result<Foreign, ImportError> {
        let Self { path, stores, generator, wanted } = *self;
        let chain = &generator.chain;
        let (from, store) = &stores[generator.store];
        let theano = store.is_theanos();
        let mut values = HashMap::new();
        for name in chain.tensors() {
            values.insert(name.to_owned(), store.read(name, from)?);
        }
        let norms = || chain.links.iter().filter_map(|link| link.norm.as_ref());
        let measured = norms().next().is_some() && norms().any(|norm| norm.mean.is_none());
        // The authors' folders are called by what the networks are: `.._100z_gaussian_..`.
        let folder = if path.is_dir() { numpy::find(path, 1) } else { None };
        let name = folder.as_deref().unwrap_or(path).to_string_lossy().to_ascii_lowercase();
        let gaussian = name.contains("gaussian") || name.contains("normal");
        let joined = match &chain.labels {
            None => vec![Joined::none()],
            Some(labels) => {
                let mut ways = Joined::ways(labels, &values[&labels.table], chain.links[0].inputs);
                if let Some(join) = wanted.join {
                    ways.retain(|way| way.join() == Some(join));
                    if ways.is_empty() {
                        return self.refuse(format!("its classes cannot join z {}", join.describe()));
                    }
                }
                ways
            }
        };
        if let Some(asked) = &wanted.asked.strides
            && asked.len() != chain.links.len() - 1
        {
            return self.refuse(format!(
                "it has {} convolutions after the projection of z, and {} strides are given",
                chain.links.len() - 1,
                asked.len()
            ));
        }
        let prior = if theano && !gaussian { Prior::Uniform } else { Prior::Normal };
        let network = Network { chain, values: &values, joined, prior };
        let pairs = self.pairs();
        let mut asked = wanted.asked.clone();
        let tells = |norm: &Scaling| norm.mean.is_some() && norm.variance.is_some();
        if pairs && (measured || !norms().any(tells)) && asked.strides.is_none() && asked.size.is_none() {
            asked.strides = Some((1..chain.links.len()).map(|i| 1 + i % 2).collect());
        }
        let outcome = network.search(&asked, measured);
        let judged = |candidate: &Candidate| match discriminator.map(|found| shrinking(&found.chain, candidate.size)) {
            None => 0.0,
            Some(None) => 1.0,
            Some(Some((cost, _))) => 0.5 * cost,
        };
        let usual = |candidate: &Candidate| {
            let paired = pairs && candidate.steps.iter().enumerate().all(|(i, step)| step.stride == 2 - i % 2);
            judged(candidate) - if paired { 100.0 } else { 0.0 }
        };
        let Some((chosen, others)) = outcome.decide(usual) else {
            let sides = ModelConfig::IMPORTED;
            let asked = wanted.asked.strides.is_some() || wanted.asked.size.is_some();
            let why = format!(
                "no strides and paddings that are known lead from {0}x{0} maps to pictures of {1} to {2} pixels a side{3}",
                chain.links[0].kernel,
                sides.start(),
                sides.end(),
                if asked { " as asked for" } else { "" }
            );
            return self.refuse(why);
        };
        let classes = self.classes(&network, &outcome)?;
        let joined = &network.joined[outcome.joined];
        let paired = pairs && usual(&chosen) < -50.0;
        let judge_plans = discriminator.and_then(|found| {
            if paired {
                Some(paired_judge(&found.chain))
            } else {
                shrinking(&found.chain, chosen.size).map(|(_, plans)| plans)
            }
        });
        let had_judge = discriminator.is_some();
        let discriminator = discriminator.filter(|_| judge_plans.is_some());
        if had_judge && judge_plans.is_none() {
            let size = chosen.size;
            remarks
                .push(format!("its discriminator does not judge pictures of {size}x{size}, and was left out").into());
        }
        let mut plans = chosen.plans(chain);
        plans[0].bias = joined.bias_per(plans[0].bias);
        let mut config = self.config(&chosen, plans, judge_plans, paired);
        config.prior = outcome.prior;
        config.z_dim = joined.z_dim(chain.links[0].inputs);
        config.leak = chosen.leak;
        if !theano || wanted.asked.epsilon.is_some() {
            config.norm_epsilon = chosen.epsilon;
        }
        if measured {
            config.sampling = Statistics::Batch;
            remarks.push(format!(
                "there are no running statistics in it: those of a reference batch of {REFERENCE_BATCH} samples are used"
            ).into());
        } else {
            remarks.push(Remark::guessed(Guess::Sampling, "it samples with running statistics"));
        }
        config.check().map_err(|cause| ImportError::Config { path: path.to_owned(), cause })?;
        let links = || {
            [Some(generator), discriminator]
                .into_iter()
                .flatten()
                .flat_map(|found| found.chain.links.iter().map(|link| (&stores[found.store].1, link)))
        };
        if let Some(under) = links().find_map(|(store, link)| store.under(&link.weight)) {
            remarks.push(format!("weights under {under} are kept as they were last applied").into());
        }
        if let Some(classes) = &classes {
            let Classes { count, class, join } = classes;
            remarks.push(format!(
                "conditional, {count} classes: class {class} is drawn; another one by its name, @class=0 to @class={}",
                count - 1
            ).into());
            let distances: Vec<String> = network
                .joined
                .iter()
                .zip(&outcome.joins)
                .filter_map(|(way, off)| {
                    Some(format!("{} {off:.3}", way.join()?.describe())).filter(|_| off.is_finite())
                })
                .collect();
            let what = format!("a row of the class joins z: {}", join.describe());
            remarks.push(match distances.len() {
                0 => Remark::guessed(Guess::Labels, format!("{what} (otherwise @labels=before or @labels=after)")),
                1 => what.into(),
                _ => format!("{what}, as its running statistics say (off by {})", distances.join(", ")).into(),
            });
        }
        remarks.extend(self.strides(&chosen, &others, &usual, paired));
        remarks.extend(self.training(&config, &chosen, theano));
        let kernels = match theano {
            true => "its kernels are turned, since Theano convolves where others correlate",
            false => "its kernels are as they are applied",
        };
        remarks.push(Remark::guessed(Guess::Output, format!("pictures come out of a {}", config.output)));
        remarks.push(Remark::guessed(Guess::Kernels, kernels));

        let mut file = TensorFile::default();
        for (i, link) in chain.links.iter().enumerate() {
            let layer = if i == 0 { "generator.project".to_owned() } else { format!("generator.up{i}") };
            let plain = i > 0 && chosen.steps[i - 1].plain;
            let mut weight = applied(&values[&link.weight], link, plain);
            let mut bias = link.bias.as_ref().map(|name| values[name].clone());
            let mut inputs = link.inputs;
            if i == 0 {
                let class = classes.as_ref().map_or(0, |classes| classes.class);
                (weight, bias) = joined.folded(class, &weight, bias.as_deref(), link);
                inputs = config.z_dim;
            }
            let shape = vec![inputs, link.maps, link.kernel, link.kernel];
            let strange = chosen.mistaken && i > 0;
            put(store, from, link, &layer, (shape, weight, bias), strange, &mut file)?;
        }
        if let Some(found) = discriminator {
            let (from, store) = &stores[found.store];
            let last = found.chain.links.len() - 1;
            for (i, link) in found.chain.links.iter().enumerate() {
                let layer =
                    if i == last { "discriminator.head".to_owned() } else { format!("discriminator.down{}", i + 1) };
                let raw = store.read(&link.weight, from)?;
                let weight = match link.turn {
                    Turn::Matrix(turned) if turned => {
                        crate::model::export::turned(&raw, raw.len() / link.maps, link.maps)
                    }
                    _ => raw,
                };
                let bias = link.bias.as_ref().map(|name| store.read(name, from)).transpose()?;
                let shape = vec![link.maps, link.inputs, link.kernel, link.kernel];
                put(store, from, link, &layer, (shape, weight, bias), false, &mut file)?;
            }
        }
        if theano {
            flip(&mut file);
        }
        let (unused, skipped) = (self.unused(discriminator), store.skipped());
        if !unused.is_empty() {
            remarks.push(format!("not used: {}", brief(&unused)).into());
        }
        if !skipped.is_empty() {
            remarks.push(
                format!("objects that are no tensors were skipped, and nothing of them was run: {}", brief(&skipped))
                    .into(),
            );
        }
        let format = store.format().to_owned();
        let origin = Origin { format, flipped: theano, measured, remarks, classes, unused, skipped };
        Ok(Foreign { config, origin, file })
    }

    fn refuse<T>(&self, why: String) -> Result<T, ImportError> {
        Err(ImportError::Choice { path: self.path.to_owned(), why })
    }

    /// The class that is drawn.
    fn classes(&self, network: &Network<'_>, outcome: &Outcome) -> Result<Option<Classes>, ImportError> {
        let joined = &network.joined[outcome.joined];
        let (count, asked) = (joined.classes(), self.wanted.class);
        let Some(join) = joined.join() else {
            return match asked {
                Some(_) => {
                    self.refuse("there is no table of classes in it, so that it has no classes to choose".to_owned())
                }
                None => Ok(None),
            };
        };
        let class = asked.unwrap_or(0);
        if class >= count {
            return self.refuse(format!("there is no class {class}; it has {count}, 0 to {}", count - 1));
        }
        Ok(Some(Classes { count, class, join }))
    }

    /// Whether its 3x3 convolutions are pairs of which the second has stride 1, as in the paper's 32x32 network: with stride 2 each
    /// the pictures would be larger than any that DCGANs draw.
    fn pairs(&self) -> bool {
        let links = &self.generator.chain.links;
        let count = links.len() - 1;
        let three = links[1..].iter().all(|link| link.kernel == 3 && link.turn != Turn::Plain);
        three && count.is_multiple_of(2) && links[0].kernel << count.min(16) > ModelConfig::LARGEST
    }

    /// What shapes and statistics say of the networks.
    fn config(
        &self,
        chosen: &Candidate,
        plans: Vec<LayerPlan>,
        judge: Option<Vec<LayerPlan>>,
        paired: bool,
    ) -> ModelConfig {
        let chain = &self.generator.chain;
        let theano = self.stores[self.generator.store].1.is_theanos();
        let stages = chain.links.len() - 1;
        let known = |kernel: usize| (3..=5).contains(&kernel).then_some(kernel);
        let kernel = chain.links[1..].iter().find_map(|link| known(link.kernel)).unwrap_or(4);
        let preset = ModelConfig::preset(if theano { Preset::AuthorsSvhn } else { Preset::Pytorch });
        let mut config = ModelConfig {
            size: chosen.size,
            channels: chain.channels,
            kernel,
            base: chain.links[stages - 1].maps,
            bias: chain.links[1].bias.is_some(),
            per_stage: if paired { 2 } else { 1 },
            prior: Prior::Normal,
            output: Output::Tanh,
            sampling: Statistics::Running,
            ..preset
        };
        let usual = Layout::of(&config);
        let layout = Layout { generator: plans, discriminator: judge.unwrap_or_else(|| usual.discriminator.clone()) };
        if layout != usual || !ModelConfig::SIZES.contains(&config.size) {
            config.layout = Some(layout);
        }
        config
    }

    /// What is said of the strides.
    fn strides(
        &self,
        chosen: &Candidate,
        others: &[Candidate],
        usual: &dyn Fn(&Candidate) -> f64,
        paired: bool,
    ) -> Vec<Remark> {
        let (size, strides) = (chosen.size, chosen.strides());
        let mut said = Vec::new();
        if let Some(asked) = &self.wanted.asked.strides {
            let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
            said.push(format!("chosen: strides {}, {size}x{size} pictures", asked.join(",")).into());
            return said;
        }
        if paired {
            said.push(Remark::guessed(
                Guess::Stride,
                format!("every other of its 3x3 kernels has stride 1, as in the paper's 32x32 network, and its pictures are {size}x{size}"),
            ));
            return said;
        }
        let other = |candidate: &Candidate| {
            let at = if chosen.strides() == candidate.strides() {
                format!("@size={}", candidate.size)
            } else {
                format!("@strides={}", candidate.strides())
            };
            let off =
                if candidate.off.is_empty() { String::new() } else { format!(", off by {:.3}", candidate.distance()) };
            format!("{at} ({0}x{0}{off})", candidate.size)
        };
        // The first layer has no stride.
        let compared = chosen.off.len() > 1;
        let rate = |candidate: &Candidate| candidate.cost + usual(candidate);
        let near: Vec<&Candidate> = others
            .iter()
            .filter(|candidate| {
                rate(candidate) < rate(chosen) + LESS_USUAL
                    || compared && candidate.distance() < 0.7 * chosen.distance()
            })
            .filter(|candidate| !compared || candidate.distance() < NEARLY * chosen.distance() + NEAR || !chosen.fits())
            .take(NAMED)
            .collect();
        let near_text: Vec<String> = near.iter().map(|candidate| other(candidate)).collect();
        if compared && !chosen.fits() {
            let worst = chosen.off.iter().copied().fold(0.0, f64::max);
            let or = if near.is_empty() { String::new() } else { format!("; otherwise {}", near_text.join(", ")) };
            said.push(Remark::guessed(
                Guess::Stride,
                format!(
                    "strides {strides} and {size}x{size} pictures; its running statistics fit none of the readings that are known \
                     (this one is off by {:.3}, its worst layer by {worst:.3}; what fits is below {}){or}",
                    chosen.distance(),
                    super::search::FITS
                ),
            ));
        } else if !near.is_empty() || !compared {
            let fit = if compared {
                format!(", off from its running statistics by {:.3}", chosen.distance())
            } else {
                ", as is usual for such kernels: no running statistics decide it".to_owned()
            };
            let or = if near.is_empty() { String::new() } else { format!("; otherwise {}", near_text.join(", ")) };
            said.push(Remark::guessed(Guess::Stride, format!("strides {strides}, {size}x{size} pictures{fit}{or}")));
        } else if compared {
            let next = others.iter().find(|other| other.distance() > 1.2 * chosen.distance() + NEXT);
            let next = next.map(|next| format!("; the next reading is {}", other(next))).unwrap_or_default();
            said.push(
                format!(
                    "its running statistics fit strides {strides} and {size}x{size} pictures (off by {:.3}{next})",
                    chosen.distance()
                )
                .into(),
            );
        }
        said
    }

    /// What is said of the prior, the rectifiers and batch norm's epsilon.
    fn training(&self, config: &ModelConfig, chosen: &Candidate, theano: bool) -> Vec<Remark> {
        let asked = &self.wanted.asked;
        let (prior, rectifiers) = (config.prior, config.rectifiers());
        let mut said = Vec::new();
        // The prior is seen in the first layer, rectifiers in the others.
        let deep = chosen.off.len() > 1;
        if chosen.distance() < super::search::TELLS && deep {
            said.push(format!("its running statistics fit a {prior} prior and {rectifiers}").into());
        } else {
            said.push(Remark::guessed(Guess::Prior, format!("z has a {prior} prior")));
            said.push(Remark::guessed(Guess::Rectifiers, format!("its rectifiers are {rectifiers}")));
        }
        if chosen.mistaken {
            said.push(
                "its running statistics fit batch norm with an epsilon of 0.8 after its convolutions, and no rectifier before the first"
                    .to_owned()
                    .into(),
            );
        } else if let Some(epsilon) = asked.epsilon {
            said.push(format!("chosen: an epsilon of {epsilon} in batch norm").into());
        } else if chosen.epsilon != super::search::EPSILONS[0] {
            said.push(
                format!("its running statistics fit an epsilon of {} in batch norm, as Keras has it", chosen.epsilon)
                    .into(),
            );
        } else if !theano && self.generator.chain.links.iter().any(|link| link.norm.is_some()) {
            let what = "an epsilon of 1e-5 in batch norm, PyTorch's; Keras's is @eps=1e-3";
            said.push(Remark::guessed(Guess::Epsilon, what));
        }
        said
    }

    /// Tensors of the file that no network has.
    fn unused(&self, discriminator: Option<&Found>) -> Vec<String> {
        let mut unused = Vec::new();
        for (number, (_, store)) in self.stores.iter().enumerate() {
            let found =
                [Some(self.generator), discriminator].into_iter().flatten().filter(|found| found.store == number);
            let used: BTreeSet<&str> = found.flat_map(|found| found.chain.tensors()).collect();
            if number > 0 && used.is_empty() {
                continue;
            }
            let all = store.ordered().into_iter().filter(|(name, _)| !used.contains(name.as_str()) && !counters(name));
            unused.extend(all.map(|(name, shape)| format!("{name} {shape:?}")));
        }
        unused
    }
}

/// A list of names, as far as people read one.
fn brief(names: &[String]) -> String {
    const SHOWN: usize = 8;
    let mut shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        shown += &format!(" and {} more", names.len() - SHOWN);
    }
    shown
}

/// The plans of a discriminator beside a generator of pairs.
fn paired_judge(chain: &Chain) -> Vec<LayerPlan> {
    let plan = |(i, link): (usize, &Link)| LayerPlan { stride: 1 + i % 2, ..end_plan(link) };
    let mut plans: Vec<LayerPlan> = chain.links.iter().enumerate().map(plan).collect();
    if let Some(end) = plans.last_mut() {
        (end.stride, end.norm) = (2, Per::None);
    }
    plans
}

/// Puts one layer's tensors into `file`.
fn put(
    store: &Applied,
    from: &Path,
    link: &Link,
    name: &str,
    (shape, weight, bias): (Vec<usize>, Vec<f32>, Option<Vec<f32>>),
    mistaken: bool,
    file: &mut TensorFile,
) -> Result<(), ImportError> {
    file.tensors.insert(format!("{name}.weight"), (shape, weight));
    if let Some(bias) = bias {
        file.tensors.insert(format!("{name}.bias"), (vec![bias.len()], bias));
    }
    let Some(norm) = &link.norm else { return Ok(()) };
    for (part, tensor, otherwise) in [
        ("gain", &norm.gain, 1.0),
        ("shift", &norm.shift, 0.0),
        ("mean", &norm.mean, 0.0),
        ("variance", &norm.variance, 1.0),
    ] {
        let mut values =
            tensor.as_ref().map_or_else(|| Ok(vec![otherwise; norm.length]), |tensor| store.read(tensor, from))?;
        if mistaken && part == "variance" {
            // The layer's own epsilon, in place of all layers'.
            values.iter_mut().for_each(|value| *value += (super::search::MISTAKEN - super::search::EPSILONS[0]) as f32);
        }
        file.tensors.insert(format!("{name}.norm.{part}"), (vec![norm.length], values));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_shortened() {
        let names: Vec<String> = (0..10).map(|i| format!("a{i}")).collect();
        assert!(brief(&names).ends_with("a7 and 2 more"));
        assert_eq!(brief(&names[..1]), "a0");
    }
}
