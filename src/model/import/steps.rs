//! The ways in which a convolution of known kernel can be applied: published strides and paddings, and how usual each is.

use super::chain::{Chain, Kind, Link, Turn};
use crate::model::{LayerPlan, ModelConfig, Per, Placed};

/// One way to apply a convolution.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Whether the file has the weight as `[out, in, ..]`.
    pub plain: bool,
    /// 2 where it doubles or halves the side, by its stride or by repeating each position.
    pub stride: usize,
    /// PyTorch's padding of the convolution that the file is of.
    pub padding: usize,
    /// Whether each position is repeated 2x2 times first.
    pub repeated: bool,
    /// Side of the maps that it gives.
    pub side: usize,
    /// How unusual it is.
    pub cost: f64,
}

impl Step {
    /// The layer's plan; `before` is the side of the maps that come in.
    pub fn plan(&self, link: &Link, kind: Kind, before: usize) -> LayerPlan {
        let kernel = link.kernel;
        let generator = kind == Kind::Generator;
        // A plain convolution in the generator is a fractionally-strided one of stride 1 by the kernel turned around.
        let padding = if generator && self.plain { kernel - 1 - self.padding } else { self.padding };
        let usual_side = if generator { before * self.stride } else { before / self.stride };
        let divides = generator || before.is_multiple_of(self.stride);
        let usual = !self.repeated && divides && padding == (kernel - 1) / 2 && self.side == usual_side;
        let placed = (!usual).then_some(Placed { padding, side: self.side, repeated: self.repeated });
        LayerPlan {
            bias: link.bias_per,
            norm: link.norm_per,
            placed,
            ..LayerPlan::plain(link.maps, kernel, self.stride)
        }
    }
}

/// The plan of the narrow end.
pub(super) fn end_plan(link: &Link) -> LayerPlan {
    LayerPlan { bias: link.bias_per, norm: link.norm_per, ..LayerPlan::plain(link.maps, link.kernel, 2) }
}

/// The ways in which a convolution of the generator may grow maps of `side`. Sizes are from (side - 1) stride - 2 padding + kernel.
///
/// `last` is the one at the picture; `even` says that other kernels of the network have even sides, beside which an odd one rarely
/// doubles.
pub(super) fn growing(link: &Link, side: usize, last: bool, even: bool, stride: Option<usize>) -> Vec<Step> {
    let (k, n) = (link.kernel, side as isize);
    let odd = k % 2 == 1;
    let mut steps = Vec::new();
    let mut add = |plain, stride, padding: usize, repeated, side: isize, cost| {
        if let Some(side) = usize::try_from(side).ok().filter(|side| (2..=ModelConfig::LARGEST).contains(side)) {
            steps.push(Step { plain, stride, padding, repeated, side, cost });
        }
    };
    let same = (k - 1) / 2;
    if link.turn != Turn::Plain {
        // Doubling: 2x2 without padding, 3x3, 5x5 and 7x7 with an output padding of one.
        if k >= 2 {
            add(false, 2, (k - 1) / 2, false, 2 * n, if odd && even { 0.8 } else { 0.0 });
        }
        if odd {
            add(false, 1, same, false, n, if even { 0.2 } else { [0.5, 1.0, 1.0, 0.3][k / 2] });
        }
        // As 4x4 becomes 7x7 on the way to 28x28.
        if k == 3 || k == 5 {
            add(false, 2, same, false, 2 * n - 1, if side == 4 { 0.6 } else { 2.0 });
        }
        // Without padding, as 3x3 becomes 6x6, 13x13 and 28x28.
        if (3..=8).contains(&k) {
            let known = matches!((side, k), (3, 4) | (6, 3) | (13, 4));
            add(false, 2, 0, false, 2 * n + k as isize - 2, if known && side > 3 { 0.4 } else { 2.0 });
            let cost = if known && side == 3 { 0.4 } else { 2.0 + 0.5 * f64::from(u8::from(k != 4)) };
            add(false, 1, 0, false, n + k as isize - 1, cost);
        }
        if k == 4 {
            add(false, 2, 2, false, 2 * n - 2, 3.0);
        }
        // A 1x1 kernel that cuts a border of two, as from 32x32 to 28x28.
        if k == 1 && last {
            add(false, 1, 2, false, n - 4, 0.3);
        }
        if odd && k > 1 {
            add(false, 2, same, true, 2 * n, 3.0);
        }
    }
    if link.turn != Turn::Transposed {
        let square = if link.turn == Turn::Either { 0.2 } else { 0.0 };
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
    steps.retain(|step| stride.is_none_or(|stride| stride == step.stride));
    steps
}

/// How unusual pictures of this size are: MNIST's 28 for gray ones, powers of two for others.
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

/// The cheapest way in which a discriminator's convolutions lead from pictures of `size` to its narrow end.
pub(super) fn shrinking(chain: &Chain, size: usize) -> Option<(f64, Vec<LayerPlan>)> {
    let (end, convolutions) = chain.links.split_last()?;
    // By side: the cheapest way there.
    let mut ways: Vec<(usize, f64, Vec<LayerPlan>)> = vec![(size, 0.0, Vec::new())];
    for link in convolutions {
        let mut next: Vec<(usize, f64, Vec<LayerPlan>)> = Vec::new();
        for (side, cost, plans) in ways {
            let k = link.kernel;
            let of = |stride: usize, padding: usize| (side + 2 * padding).checked_sub(k).map(|left| left / stride + 1);
            let mut tried = vec![(2, (k - 1) / 2, 0.0)];
            if k % 2 == 1 {
                tried.push((1, (k - 1) / 2, if k == 1 { 0.0 } else { 1.0 }));
            }
            tried.extend([(2, 0, 2.0), (1, 0, 2.5)]);
            for (stride, padding, more) in tried {
                let Some(small) = of(stride, padding).filter(|&small| small > 0 && k >= stride) else { continue };
                let step = Step { plain: true, stride, padding, repeated: false, side: small, cost: more };
                let cost = cost + more;
                let known = next.iter_mut().find(|(side, ..)| *side == small);
                if known.as_ref().is_some_and(|(_, known, _)| *known <= cost) {
                    continue;
                }
                let mut plans = plans.clone();
                plans.push(step.plan(link, Kind::Discriminator, side));
                match known {
                    Some(known) => *known = (small, cost, plans),
                    None => next.push((small, cost, plans)),
                }
            }
        }
        ways = next;
    }
    let (_, cost, mut plans) = ways.into_iter().find(|(side, ..)| *side == end.kernel)?;
    plans.push(LayerPlan { norm: Per::None, ..end_plan(end) });
    Some((cost, plans))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(turn: Turn, kernel: usize) -> Link {
        Link::of(turn, (8, 4), kernel)
    }

    #[test]
    fn published_paddings_give_the_sides_that_pytorch_gives() {
        let sides = |turn, kernel, side| -> Vec<usize> {
            growing(&link(turn, kernel), side, true, false, None).iter().map(|step| step.side).collect()
        };
        assert_eq!(sides(Turn::Transposed, 4, 4)[0], 8);
        assert!(sides(Turn::Transposed, 3, 4).contains(&7), "4 to 7, as on the way to 28");
        assert!(sides(Turn::Transposed, 1, 32).contains(&28));
        assert!(sides(Turn::Transposed, 4, 3).contains(&6) && sides(Turn::Transposed, 4, 13).contains(&28));
        assert_eq!(sides(Turn::Plain, 3, 16)[..2], [16, 32]);
        assert_eq!(
            growing(&link(Turn::Transposed, 5), 7, false, false, Some(1)).iter().filter(|s| s.side == 7).count(),
            1
        );
    }
}
