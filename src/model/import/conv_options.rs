//! Possible strides, paddings and upsampling of a convolution whose kernel size is known, each with a cost for how
//! unusual it is.
//!
//! [`upsampling_options`] lists the options for a generator's layer; [`cheapest_discriminator_plan`] chooses those of a
//! discriminator.

use super::chain::{ChainLayer, LayerChain, NetworkRole, WeightLayout};
use crate::model::{ConvPlacement, LayerPlan, ModelConfig, ParameterScope};

/// One interpretation of a convolution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ConvOption {
    /// Whether the weight is an ordinary convolution's, `[out, in, ..]`.
    pub out_in: bool,
    /// 2 if it doubles or halves the side, by its stride or by upsampling.
    pub stride: usize,
    /// PyTorch's padding.
    pub padding: usize,
    /// Whether 2x2 nearest-neighbor upsampling precedes it.
    pub upsampled: bool,
    /// Side of the output maps.
    pub side: usize,
    /// How unusual it is; 0 for the standard choice.
    pub cost: f64,
}

impl ConvOption {
    /// The layer's plan; `before` is the side of the input maps.
    pub fn plan(&self, layer: &ChainLayer, kind: NetworkRole, before: usize) -> LayerPlan {
        let kernel = layer.kernel;
        let generator = kind == NetworkRole::Generator;
        // An ordinary convolution in the generator is a fractionally-strided one of stride 1 with the kernel rotated by
        // 180 degrees.
        let padding = if generator && self.out_in { kernel - 1 - self.padding } else { self.padding };
        let usual_side = if generator { before * self.stride } else { before / self.stride };
        let divides = generator || before.is_multiple_of(self.stride);
        let usual = !self.upsampled && divides && padding == (kernel - 1) / 2 && self.side == usual_side;
        let placement = (!usual).then_some(ConvPlacement { padding, side: self.side, upsampled: self.upsampled });
        LayerPlan {
            bias: layer.bias_scope,
            norm: layer.norm_scope,
            placement,
            ..LayerPlan::plain(layer.maps, kernel, self.stride)
        }
    }
}

/// The plan of the layer at the smallest maps: the projection or the head.
pub(super) fn end_plan(layer: &ChainLayer) -> LayerPlan {
    LayerPlan { bias: layer.bias_scope, norm: layer.norm_scope, ..LayerPlan::plain(layer.maps, layer.kernel, 2) }
}

/// The options of a generator's convolution for input maps of `side`. The output side is (side - 1) stride - 2 padding
/// + kernel plus the output padding.
///
/// `last` is the convolution at the image. `even` tells that other kernels of the network have even sides; an odd
/// kernel beside them rarely doubles. `stride` restricts the options to one stride.
pub(super) fn upsampling_options(
    layer: &ChainLayer,
    side: usize,
    last: bool,
    even: bool,
    stride: Option<usize>,
) -> Vec<ConvOption> {
    let (k, n) = (layer.kernel, side as isize);
    let odd = k % 2 == 1;
    let mut options = Vec::new();
    let mut add = |out_in, stride, padding: usize, upsampled, side: isize, cost| {
        if let Some(side) = usize::try_from(side).ok().filter(|side| (2..=ModelConfig::LARGEST).contains(side)) {
            options.push(ConvOption { out_in, stride, padding, upsampled, side, cost });
        }
    };
    let same = (k - 1) / 2;
    if layer.layout != WeightLayout::OutIn {
        // Doubling: 2x2 and 4x4 kernels exactly; 3x3, 5x5 and 7x7 with an output padding of one.
        if k >= 2 {
            add(false, 2, (k - 1) / 2, false, 2 * n, if odd && even { 0.8 } else { 0.0 });
        }
        if odd {
            add(false, 1, same, false, n, if even { 0.2 } else { [0.5, 1.0, 1.0, 0.3][k / 2] });
        }
        // Without output padding, as from 4x4 to 7x7 on the way to 28x28.
        if k == 3 || k == 5 {
            add(false, 2, same, false, 2 * n - 1, if side == 4 { 0.6 } else { 2.0 });
        }
        // Without padding, as from 3x3 to 6x6, 13x13 and 28x28.
        if (3..=8).contains(&k) {
            let known = matches!((side, k), (3, 4) | (6, 3) | (13, 4));
            add(false, 2, 0, false, 2 * n + k as isize - 2, if known && side > 3 { 0.4 } else { 2.0 });
            let cost = if known && side == 3 { 0.4 } else { 2.0 + 0.5 * f64::from(u8::from(k != 4)) };
            add(false, 1, 0, false, n + k as isize - 1, cost);
        }
        if k == 4 {
            add(false, 2, 2, false, 2 * n - 2, 3.0);
        }
        // A 1x1 kernel that crops a border of two, as from 32x32 to 28x28.
        if k == 1 && last {
            add(false, 1, 2, false, n - 4, 0.3);
        }
        if odd && k > 1 {
            add(false, 2, same, true, 2 * n, 3.0);
        }
    }
    if layer.layout != WeightLayout::InOut {
        let square = if layer.layout == WeightLayout::Either { 0.2 } else { 0.0 };
        if odd {
            add(true, 1, same, false, n, square + 0.5);
        }
        if odd && k > 1 {
            add(true, 2, same, true, 2 * n, square + if last { 1.0 } else { 0.4 });
        }
        if k > 1 && last {
            add(true, 1, 0, false, n - k as isize + 1, square + 3.0);
        }
    }
    options.retain(|option| stride.is_none_or(|stride| stride == option.stride));
    options
}

/// Cost of an image size: MNIST's 28 is usual for gray images, powers of two for color. `None` for unsupported sizes.
pub(super) fn size_cost(size: usize, channels: usize) -> Option<f64> {
    match size {
        28 => Some(if channels == 1 { 0.0 } else { 1.0 }),
        32 | 64 => Some(if channels == 1 { 0.7 } else { 0.0 }),
        128 => Some(0.8),
        16 => Some(0.9),
        48 | 96 => Some(1.0),
        56 | 112 => Some(2.0),
        _ if ModelConfig::IMPORTED.contains(&size) => Some(3.0),
        _ => None,
    }
}

/// The cheapest strides and paddings with which a discriminator's convolutions lead from images of `size` to its
/// smallest maps, and their cost; `None` if there are none.
pub(super) fn cheapest_discriminator_plan(chain: &LayerChain, size: usize) -> Option<(f64, Vec<LayerPlan>)> {
    let (end, convolutions) = chain.layers.split_last()?;
    // The cheapest plans to reach each side: (side, cost, plans).
    let mut reachable: Vec<(usize, f64, Vec<LayerPlan>)> = vec![(size, 0.0, Vec::new())];
    for layer in convolutions {
        let mut next: Vec<(usize, f64, Vec<LayerPlan>)> = Vec::new();
        for (side, cost, plans) in reachable {
            let k = layer.kernel;
            let output_side =
                |stride: usize, padding: usize| (side + 2 * padding).checked_sub(k).map(|left| left / stride + 1);
            // (stride, padding, cost)
            let mut options = vec![(2, (k - 1) / 2, 0.0)];
            if k % 2 == 1 {
                options.push((1, (k - 1) / 2, if k == 1 { 0.0 } else { 1.0 }));
            }
            options.extend([(2, 0, 2.0), (1, 0, 2.5)]);
            for (stride, padding, more) in options {
                let Some(small) = output_side(stride, padding).filter(|&small| small > 0 && k >= stride) else {
                    continue;
                };
                let option = ConvOption { out_in: true, stride, padding, upsampled: false, side: small, cost: more };
                let cost = cost + more;
                let known = next.iter_mut().find(|(side, ..)| *side == small);
                if known.as_ref().is_some_and(|(_, known, _)| *known <= cost) {
                    continue;
                }
                let mut plans = plans.clone();
                plans.push(option.plan(layer, NetworkRole::Discriminator, side));
                match known {
                    Some(known) => *known = (small, cost, plans),
                    None => next.push((small, cost, plans)),
                }
            }
        }
        reachable = next;
    }
    let (_, cost, mut plans) = reachable.into_iter().find(|(side, ..)| *side == end.kernel)?;
    plans.push(LayerPlan { norm: ParameterScope::None, ..end_plan(end) });
    Some((cost, plans))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(turn: WeightLayout, kernel: usize) -> ChainLayer {
        ChainLayer::of(turn, (8, 4), kernel)
    }

    #[test]
    fn published_paddings_give_the_sides_that_pytorch_gives() {
        let sides = |turn, kernel, side| -> Vec<usize> {
            upsampling_options(&layer(turn, kernel), side, true, false, None).iter().map(|option| option.side).collect()
        };
        assert_eq!(sides(WeightLayout::InOut, 4, 4)[0], 8);
        assert!(sides(WeightLayout::InOut, 3, 4).contains(&7), "4 to 7, as on the way to 28");
        assert!(sides(WeightLayout::InOut, 1, 32).contains(&28));
        assert!(sides(WeightLayout::InOut, 4, 3).contains(&6) && sides(WeightLayout::InOut, 4, 13).contains(&28));
        assert_eq!(sides(WeightLayout::OutIn, 3, 16)[..2], [16, 32]);
        assert_eq!(
            upsampling_options(&layer(WeightLayout::InOut, 5), 7, false, false, Some(1))
                .iter()
                .filter(|s| s.side == 7)
                .count(),
            1
        );
    }
}
