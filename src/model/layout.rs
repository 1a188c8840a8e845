//! The layers of both networks, one by one: what the config's numbers stand for, or what another program's file holds.

use super::choices::Norms;
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
    /// By how much it doubles (generator) or halves (discriminator) the side of its maps: 2, or 1 for not at all. At the narrow
    /// end, which is a matrix, it means nothing.
    #[serde(default = "two", skip_serializing_if = "is_two")]
    pub stride: usize,
}

fn two() -> usize {
    2
}

fn is_two(value: &usize) -> bool {
    *value == 2
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
        let (stages, bias) = (config.doublings(), if config.bias { Per::Map } else { Per::None });
        let plan = |maps, kernel, norm, stride| LayerPlan { maps, kernel, bias, norm, stride };
        let width = |level: usize| config.base << (stages - 1 - level);
        let unit = |per: Per, each: bool| if each && per == Per::Map { Per::Unit } else { per };
        let [hidden, ends] = match config.norms {
            Norms::Off => [Per::None, Per::None],
            Norms::On => [Per::Map, Per::None],
            Norms::Everywhere => [Per::Map, Per::Map],
        };
        let mut generator = vec![LayerPlan {
            bias: unit(bias, config.unit_bias),
            norm: unit(hidden, config.unit_norm),
            ..plan(width(0), config.start(), hidden, 2)
        }];
        let mut discriminator = Vec::new();
        for level in 0..stages {
            let next = if level + 1 == stages { config.channels } else { width(level + 1) };
            for i in 1..=config.per_stage {
                // The picture's layer has no batch norm, and neither has the discriminator's that sees the picture.
                let maps = if i == config.per_stage { next } else { width(level) };
                let picture = level + 1 == stages && i == config.per_stage;
                let norm = if picture { ends } else { hidden };
                let stride = if i == 1 { 2 } else { 1 };
                generator.push(plan(maps, config.kernel, norm, stride));
                discriminator.push(plan(width(level), config.kernel, norm, stride));
            }
        }
        // Built from the narrow end, and applied from the picture on.
        discriminator.reverse();
        discriminator.push(plan(1, config.start(), Per::None, 2));
        Self { generator, discriminator }
    }

    /// Checks that networks of pictures of `config`'s size and channels can be built of these layers.
    pub(super) fn check(&self, config: &ModelConfig) -> Result<(), ConfigError> {
        let layers = self.generator.len();
        for (network, plans, outputs) in
            [("generator", &self.generator, config.channels), ("discriminator", &self.discriminator, 1)]
        {
            let fail = |what: String| Err(ConfigError::Layout { network, what });
            if plans.len() != layers || layers < 2 {
                return fail(format!("it has {} layers, and the generator has {layers}", plans.len()));
            }
            if let Some(plan) = plans.iter().find(|plan| !(1..=MAX_MAPS).contains(&plan.maps)) {
                return fail(format!("a layer has {} feature maps; 1 to {MAX_MAPS} are possible", plan.maps));
            }
            let projected = network == "generator";
            let (end, strided) =
                if projected { (plans.first(), &plans[1..]) } else { (plans.last(), &plans[..layers - 1]) };
            if let Some(plan) = strided.iter().find(|plan| !(3..=5).contains(&plan.kernel)) {
                return fail(format!("a kernel is {0}x{0}; 3x3, 4x4 and 5x5 are known", plan.kernel));
            }
            if let Some(plan) = strided.iter().find(|plan| !(1..=2).contains(&plan.stride)) {
                return fail(format!("a stride is {}; 1 and 2 are known", plan.stride));
            }
            let doublings = strided.iter().filter(|plan| plan.stride == 2).count();
            if doublings != config.doublings() {
                let needed = config.doublings();
                return fail(format!(
                    "{doublings} of its layers have stride 2, and {needed} are needed for its pictures"
                ));
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
        refused("2x2", &|layout| layout.discriminator[1].kernel = 2);
        refused("a stride is 3", &|layout| layout.discriminator[1].stride = 3);
        refused("have stride 2", &|layout| layout.generator[1].stride = 1);
        refused("units", &|layout| layout.discriminator[1].norm = Per::Unit);
        refused("last layer", &|layout| layout.discriminator[4].maps = 10);
    }
}
