//! Explicit layer plans of both networks, derived from a [`ModelConfig`] or inferred from an imported file.

use super::config::{ConfigError, ModelConfig};
use super::options::NormPlacement;
use crate::files::is_default;

/// Maximum feature maps of a layer: eight times the paper's widest.
const MAX_MAPS: usize = 8 * 1024;
/// Maximum layers of a network.
const MAX_LAYERS: usize = 16;
/// Maximum kernel side.
const MAX_KERNEL: usize = 8;
/// Maximum side of the smallest maps (projection and discriminator head).
pub(super) const MAX_SMALLEST_SIDE: usize = 16;
/// Maximum side of any feature map.
const MAX_SIDE: usize = 256;

/// Whether a bias or batch norm exists, and whether it has one value per feature map or per unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParameterScope {
    /// Absent.
    None,
    /// One value per feature map, as everywhere in the paper.
    Map,
    /// One value per unit of the projection, as after a fully connected layer.
    Unit,
}

impl ParameterScope {
    /// Number of values in a layer of `maps` feature maps with `units` units in total; `None` if absent.
    pub(super) fn count(self, maps: usize, units: usize) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Map => Some(maps),
            Self::Unit => Some(units),
        }
    }
}

/// Plan of one layer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LayerPlan {
    /// Output feature maps.
    pub maps: usize,
    /// Side of the kernel; for the generator's projection and the discriminator's head the side of the smallest maps.
    pub kernel: usize,
    /// Bias.
    pub bias: ParameterScope,
    /// Batch norm after the layer.
    pub norm: ParameterScope,
    /// Factor by which the side of the maps grows (generator) or shrinks (discriminator): 1 or 2. Unused for the
    /// generator's projection and the discriminator's head, which are matrices.
    #[serde(default = "two", skip_serializing_if = "is_two")]
    pub stride: usize,
    /// Explicit padding and output side, if they differ from the config's padding. Imported networks have them.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "placed")]
    pub placement: Option<ConvPlacement>,
    /// Whether this hidden layer of the generator has no activation.
    #[serde(default, skip_serializing_if = "is_default")]
    pub linear: bool,
}

/// Padding and output side of a convolution whose large map is not `stride` times the small one, or whose padding is
/// unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ConvPlacement {
    /// PyTorch's padding: zeros before the large map.
    pub padding: usize,
    /// Side of the output maps.
    pub side: usize,
    /// Whether 2x2 nearest-neighbor upsampling (`nn.Upsample`) precedes the convolution, which then has stride 1.
    #[serde(default, skip_serializing_if = "is_default", rename = "repeated")]
    pub upsampled: bool,
}

impl LayerPlan {
    /// A layer without bias and batch norm, with the config's padding.
    pub(super) fn plain(maps: usize, kernel: usize, stride: usize) -> Self {
        let absent = ParameterScope::None;
        Self { maps, kernel, bias: absent, norm: absent, stride, placement: None, linear: false }
    }

    /// Output side of this generator layer for input maps of `side`.
    pub(super) fn output_side_up(&self, side: usize) -> usize {
        self.placement.map_or(side * self.stride, |placement| placement.side)
    }

    /// Output side of this discriminator layer for input maps of `side`.
    fn output_side_down(&self, side: usize) -> usize {
        self.placement.map_or(side / self.stride.max(1), |placement| placement.side)
    }
}

fn two() -> usize {
    2
}

fn is_two(value: &usize) -> bool {
    *value == 2
}

/// Layer plans of both networks. A config stores them if its other settings cannot express the network: widths that do
/// not double, batch norm or biases in some layers only.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Layout {
    /// From the projection of z to the image.
    pub generator: Vec<LayerPlan>,
    /// From the first convolution, which sees the image, to the head.
    pub discriminator: Vec<LayerPlan>,
}

impl Layout {
    /// The layers that the settings of `config` imply, ignoring its own layout.
    pub(super) fn of(config: &ModelConfig) -> Self {
        let (stages, bias) = (config.doublings(), if config.bias { ParameterScope::Map } else { ParameterScope::None });
        let plan = |maps, kernel, norm, stride| LayerPlan { bias, norm, ..LayerPlan::plain(maps, kernel, stride) };
        let width = |level: usize| config.base << (stages - 1 - level);
        let unit = |scope: ParameterScope, per_unit: bool| {
            if per_unit && scope == ParameterScope::Map { ParameterScope::Unit } else { scope }
        };
        let [hidden, ends] = match config.norms {
            NormPlacement::Off => [ParameterScope::None, ParameterScope::None],
            NormPlacement::On => [ParameterScope::Map, ParameterScope::None],
            NormPlacement::Everywhere => [ParameterScope::Map, ParameterScope::Map],
        };
        let mut generator = vec![LayerPlan {
            bias: unit(bias, config.unit_bias),
            norm: unit(hidden, config.unit_norm),
            ..plan(width(0), config.smallest_side(), hidden, 2)
        }];
        let mut discriminator = Vec::new();
        for level in 0..stages {
            let next = if level + 1 == stages { config.channels } else { width(level + 1) };
            for i in 1..=config.per_stage {
                // Neither the generator's last layer nor the discriminator's first has batch norm.
                let maps = if i == config.per_stage { next } else { width(level) };
                let at_image = level + 1 == stages && i == config.per_stage;
                let norm = if at_image { ends } else { hidden };
                let stride = if i == 1 { 2 } else { 1 };
                generator.push(plan(maps, config.kernel, norm, stride));
                discriminator.push(plan(width(level), config.kernel, norm, stride));
            }
        }
        // They were listed from the smallest maps on; the discriminator applies them from the image on.
        discriminator.reverse();
        discriminator.push(plan(1, config.smallest_side(), ParameterScope::None, 2));
        Self { generator, discriminator }
    }

    /// Checks that these layers give networks for images of `config`'s size and channels.
    ///
    /// # Errors
    /// [`ConfigError::Layout`] with the first problem.
    pub(super) fn check(&self, config: &ModelConfig) -> Result<(), ConfigError> {
        for (network, plans, outputs) in
            [("generator", &self.generator, config.channels), ("discriminator", &self.discriminator, 1)]
        {
            let fail = |reason: String| Err(ConfigError::Layout { network, reason });
            let layers = plans.len();
            if !(2..=MAX_LAYERS).contains(&layers) {
                return fail(format!("it has {layers} layers, but 2 to {MAX_LAYERS} are supported"));
            }
            if let Some(plan) = plans.iter().find(|plan| !(1..=MAX_MAPS).contains(&plan.maps)) {
                return fail(format!("a layer has {} feature maps, but 1 to {MAX_MAPS} are supported", plan.maps));
            }
            let is_generator = network == "generator";
            let (end, convolutions) =
                if is_generator { (&plans[0], &plans[1..]) } else { (&plans[layers - 1], &plans[..layers - 1]) };
            if !(1..=MAX_SMALLEST_SIDE).contains(&end.kernel) {
                return fail(format!(
                    "its smallest maps are {0}x{0}, but up to {MAX_SMALLEST_SIDE}x{MAX_SMALLEST_SIDE} are supported",
                    end.kernel
                ));
            }
            if let Some(plan) = convolutions.iter().find(|plan| !(1..=2).contains(&plan.stride)) {
                return fail(format!("a stride is {}, but only 1 and 2 are supported", plan.stride));
            }
            if let Some(plan) = convolutions.iter().find(|plan| !(plan.stride..=MAX_KERNEL).contains(&plan.kernel)) {
                return fail(format!(
                    "a kernel is {0}x{0}, but kernels must be at least their stride and at most {MAX_KERNEL}x{MAX_KERNEL}",
                    plan.kernel
                ));
            }
            let in_range =
                |placement: ConvPlacement| (1..=MAX_SIDE).contains(&placement.side) && placement.padding <= MAX_KERNEL;
            if !convolutions.iter().all(|plan| plan.placement.is_none_or(in_range)) {
                return fail(format!("maps must have sides of 1 to {MAX_SIDE} and paddings of at most {MAX_KERNEL}"));
            }
            let output_side = |side: usize, plan: &LayerPlan| {
                if is_generator { plan.output_side_up(side).min(2 * MAX_SIDE) } else { plan.output_side_down(side) }
            };
            let (from, to) = if is_generator { (end.kernel, config.size) } else { (config.size, end.kernel) };
            let reached = convolutions.iter().fold(from, output_side);
            if reached != to {
                return fail(format!("its layers lead from {from}x{from} to {reached}x{reached}, not to {to}x{to}"));
            }
            let per_unit = |plan: &LayerPlan| plan.bias == ParameterScope::Unit || plan.norm == ParameterScope::Unit;
            if plans.iter().skip(usize::from(is_generator)).any(per_unit) {
                return fail("only the projection of z may have biases and batch norm per unit".to_owned());
            }
            if let Some(last) = plans.last().filter(|plan| plan.maps != outputs) {
                return fail(format!("its last layer has {} outputs, not {outputs}", last.maps));
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
    fn layers_that_do_not_fit_together_are_rejected_with_the_reason() {
        let config = ModelConfig::preset(Preset::Pytorch);
        let good = Layout::of(&config);
        good.check(&config).unwrap();
        let rejected = |word: &str, break_it: &dyn Fn(&mut Layout)| {
            let mut layout = good.clone();
            break_it(&mut layout);
            let error = layout.check(&config).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        };
        rejected("layers", &|layout| layout.generator.truncate(1));
        rejected("feature maps", &|layout| layout.generator[1].maps = 1 << 40);
        rejected("9x9", &|layout| layout.discriminator[1].kernel = 9);
        rejected("a stride is 3", &|layout| layout.discriminator[1].stride = 3);
        rejected("to 32x32, not to 64x64", &|layout| layout.generator[1].stride = 1);
        rejected("sides of 1", &|layout| {
            layout.generator[1].placement = Some(ConvPlacement { padding: 1, side: 1 << 40, upsampled: false });
        });
        rejected("per unit", &|layout| layout.discriminator[1].norm = ParameterScope::Unit);
        rejected("last layer", &|layout| layout.discriminator[4].maps = 10);
    }
}
