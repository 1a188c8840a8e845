//! The layers of both networks, one by one: what the config's numbers stand for, or what another program's file holds.

use super::config::{ConfigError, ModelConfig};

/// Most feature maps of a layer that a file may ask for: eight times the paper's widest.
const MAX_MAPS: usize = 8 * 1024;

/// How many values a bias or a batch norm has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Per {
    /// It is not there.
    None,
    /// One for each feature map, as everywhere in the paper.
    Map,
    /// One for each unit of the projection, as after a fully connected layer.
    Unit,
}

impl Per {
    /// How many there are in a layer of `maps` feature maps with `units` units in all.
    pub(super) fn count(self, maps: usize, units: usize) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Map => Some(maps),
            Self::Unit => Some(units),
        }
    }
}

/// One layer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerPlan {
    /// Feature maps that it gives.
    pub maps: usize,
    /// Side of its kernel; that of the narrowest maps where z is projected and where the discriminator's last maps are judged.
    pub kernel: usize,
    /// Its biases.
    pub bias: Per,
    /// The batch norm after it.
    pub norm: Per,
}

/// The layers of both networks where they are not what the config's numbers say: widths that do not double, batch norm or
/// biases in some layers only.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// The projection of z first, the picture last.
    pub generator: Vec<LayerPlan>,
    /// The picture's convolution first, the verdict last.
    pub discriminator: Vec<LayerPlan>,
}

impl Layout {
    /// What the numbers of `config` stand for.
    pub(super) fn of(config: &ModelConfig) -> Self {
        let (stages, bias) = (config.stages(), if config.bias { Per::Map } else { Per::None });
        let plan = |maps, kernel, norm| LayerPlan { maps, kernel, bias, norm };
        let width = |level: usize| config.base << (stages - 1 - level);
        let hidden = (1..stages).map(|level| plan(width(level), config.kernel, Per::Map));
        let generator = std::iter::once(plan(width(0), config.start(), Per::Map))
            .chain(hidden)
            .chain([plan(config.channels, config.kernel, Per::None)])
            .collect();
        let discriminator = (0..stages)
            .rev()
            .map(|level| plan(width(level), config.kernel, if level + 1 == stages { Per::None } else { Per::Map }))
            .chain([plan(1, config.start(), Per::None)])
            .collect();
        Self { generator, discriminator }
    }

    /// Checks that networks of pictures of `config`'s size and channels can be built of these layers.
    pub(super) fn check(&self, config: &ModelConfig) -> Result<(), ConfigError> {
        let layers = config.stages() + 1;
        for (network, plans, outputs) in
            [("generator", &self.generator, config.channels), ("discriminator", &self.discriminator, 1)]
        {
            let fail = |what: String| Err(ConfigError::Layout { network, what });
            if plans.len() != layers {
                return fail(format!("it has {} layers, and {} are needed for its pictures", plans.len(), layers));
            }
            if let Some(plan) = plans.iter().find(|plan| !(1..=MAX_MAPS).contains(&plan.maps)) {
                return fail(format!("a layer has {} feature maps; 1 to {MAX_MAPS} are possible", plan.maps));
            }
            let projected = network == "generator";
            let (end, strided) =
                if projected { (plans.first(), &plans[1..]) } else { (plans.last(), &plans[..layers - 1]) };
            if let Some(plan) = strided.iter().find(|plan| plan.kernel != 4 && plan.kernel != 5) {
                return fail(format!("a kernel is {0}x{0}; 4x4 and 5x5 are known", plan.kernel));
            }
            let start = config.start();
            if let Some(plan) = end.filter(|plan| plan.kernel != start) {
                return fail(format!("its narrow end is {0}x{0}, and for its pictures {start}x{start}", plan.kernel));
            }
            let unit = |plan: &LayerPlan| plan.bias == Per::Unit || plan.norm == Per::Unit;
            if plans.iter().skip(usize::from(projected)).any(unit) {
                return fail("only the projection of z has biases and batch norm of single units".to_owned());
            }
            if let Some(last) = plans.last().filter(|plan| plan.maps != outputs) {
                return fail(format!("its last layer gives {}, not {outputs}", last.maps));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    #[test]
    fn layers_that_do_not_fit_their_pictures_are_refused_and_named() {
        let config = ModelConfig::preset(Preset::Pytorch);
        let good = Layout::of(&config);
        good.check(&config).unwrap();
        let refused = |word: &str, spoil: &dyn Fn(&mut Layout)| {
            let mut layout = good.clone();
            spoil(&mut layout);
            let error = layout.check(&config).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        };
        refused("layers", &|layout| layout.generator.truncate(4));
        refused("feature maps", &|layout| layout.generator[1].maps = 1 << 40);
        refused("3x3", &|layout| layout.discriminator[1].kernel = 3);
        refused("units", &|layout| layout.discriminator[1].norm = Per::Unit);
        refused("last layer", &|layout| layout.discriminator[4].maps = 10);
    }
}
