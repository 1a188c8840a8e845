//! The layers of both networks, one by one: what the config's numbers stand for, or what another program's file holds.

use super::choices::Norms;
use super::config::{ConfigError, ModelConfig};
use crate::files::is_default;

/// Most feature maps of a layer that a file may ask for: eight times the paper's widest.
const MAX_MAPS: usize = 8 * 1024;

/// Most layers of a network that a file may ask for.
const MAX_LAYERS: usize = 16;
/// Largest kernel, narrowest maps' largest side, and the largest side of any maps.
const MAX_KERNEL: usize = 8;
pub(super) const MAX_END: usize = 16;
const MAX_SIDE: usize = 256;

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
    /// Where its kernel lies, if not where the config's padding says. Networks of other programs have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placed: Option<Placed>,
    /// Whether no rectifier follows this hidden layer of the generator.
    #[serde(default, skip_serializing_if = "is_default")]
    pub linear: bool,
}

/// Padding and result of a convolution whose large map is not `stride` times the small one, or that is padded in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Placed {
    /// PyTorch's padding: zeros before the large map.
    pub padding: usize,
    /// Side of the maps that it gives.
    pub side: usize,
    /// Whether each position is repeated 2x2 times first, as `nn.Upsample` does; the convolution itself then has stride 1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub repeated: bool,
}

impl LayerPlan {
    /// A layer without biases and batch norm, of this stride and the config's padding.
    pub(super) fn plain(maps: usize, kernel: usize, stride: usize) -> Self {
        Self { maps, kernel, bias: Per::None, norm: Per::None, stride, placed: None, linear: false }
    }

    /// Side of the maps that this layer of the generator makes of maps of `side`.
    pub(super) fn grown(&self, side: usize) -> usize {
        self.placed.map_or(side * self.stride, |placed| placed.side)
    }

    /// Side of the maps that this layer of the discriminator makes of maps of `side`.
    fn shrunk(&self, side: usize) -> usize {
        self.placed.map_or(side / self.stride.max(1), |placed| placed.side)
    }
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
        let plan = |maps, kernel, norm, stride| LayerPlan { bias, norm, ..LayerPlan::plain(maps, kernel, stride) };
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
        for (network, plans, outputs) in
            [("generator", &self.generator, config.channels), ("discriminator", &self.discriminator, 1)]
        {
            let fail = |what: String| Err(ConfigError::Layout { network, what });
            let layers = plans.len();
            if !(2..=MAX_LAYERS).contains(&layers) {
                return fail(format!("it has {layers} layers; 2 to {MAX_LAYERS} are possible"));
            }
            if let Some(plan) = plans.iter().find(|plan| !(1..=MAX_MAPS).contains(&plan.maps)) {
                return fail(format!("a layer has {} feature maps; 1 to {MAX_MAPS} are possible", plan.maps));
            }
            let projected = network == "generator";
            let (end, convolutions) =
                if projected { (&plans[0], &plans[1..]) } else { (&plans[layers - 1], &plans[..layers - 1]) };
            if !(1..=MAX_END).contains(&end.kernel) {
                return fail(format!("its narrow end is {0}x{0}; up to {MAX_END}x{MAX_END} is possible", end.kernel));
            }
            if let Some(plan) = convolutions.iter().find(|plan| !(1..=2).contains(&plan.stride)) {
                return fail(format!("a stride is {}; 1 and 2 are possible", plan.stride));
            }
            if let Some(plan) = convolutions.iter().find(|plan| !(plan.stride..=MAX_KERNEL).contains(&plan.kernel)) {
                return fail(format!(
                    "a kernel is {0}x{0}; from its stride to {MAX_KERNEL}x{MAX_KERNEL} is possible",
                    plan.kernel
                ));
            }
            let sides = |plan: &LayerPlan| plan.placed.is_none_or(|placed| (1..=MAX_SIDE).contains(&placed.side));
            let padded = |plan: &LayerPlan| plan.placed.is_none_or(|placed| placed.padding <= MAX_KERNEL);
            if !convolutions.iter().all(|plan| sides(plan) && padded(plan)) {
                return fail(format!("maps have sides of 1 to {MAX_SIDE}, and paddings are at most {MAX_KERNEL}"));
            }
            let walk = |side: usize, plan: &LayerPlan| {
                if projected { plan.grown(side).min(2 * MAX_SIDE) } else { plan.shrunk(side) }
            };
            let (from, to) = if projected { (end.kernel, config.size) } else { (config.size, end.kernel) };
            let found = convolutions.iter().fold(from, walk);
            if found != to {
                return fail(format!("its layers lead from {from}x{from} to {found}x{found}, not to {to}x{to}"));
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
        refused("layers", &|layout| layout.generator.truncate(1));
        refused("feature maps", &|layout| layout.generator[1].maps = 1 << 40);
        refused("9x9", &|layout| layout.discriminator[1].kernel = 9);
        refused("a stride is 3", &|layout| layout.discriminator[1].stride = 3);
        refused("to 32x32, not to 64x64", &|layout| layout.generator[1].stride = 1);
        refused("sides of 1", &|layout| {
            layout.generator[1].placed = Some(Placed { padding: 1, side: 1 << 40, repeated: false });
        });
        refused("units", &|layout| layout.discriminator[1].norm = Per::Unit);
        refused("last layer", &|layout| layout.discriminator[4].maps = 10);
    }
}
