//! The order of a network's layers, read off its tensors' shapes.
//!
//! A DCGAN is a chain: what one layer gives, the next one takes, and at one end are pictures. A fractionally-strided
//! convolution's weight is `[in, out, ..]` and a strided one's `[out, in, ..]`, so that both networks are chains of
//! weights `[a, b, ..]` from the narrow end to the picture, in which each b is the next one's a. The free number at the
//! narrow end tells them apart: a discriminator gives one verdict, and z has more coordinates.

use super::parts::{Dense, Parts, Scaling};
use crate::model::{LayerPlan, ModelConfig, Per};

/// Which of the two networks a chain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Generator,
    Discriminator,
}

/// One layer's tensors.
#[derive(Debug, Clone)]
pub(super) struct Link {
    pub plan: LayerPlan,
    pub weight: String,
    /// The shape that the weight has in the program.
    pub shape: Vec<usize>,
    /// Whether the file has the weight, a matrix, the other way round.
    pub transposed: bool,
    /// Zeros to put around the file's kernels on each side, to make them 4x4 or 5x5.
    pub border: usize,
    pub bias: Option<String>,
    pub norm: Option<Scaling>,
}

/// A network: its layers in the order in which they are applied.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub kind: Kind,
    pub links: Vec<Link>,
    /// Coordinates of z, or verdicts.
    pub free: usize,
    /// Channels of the pictures.
    pub channels: usize,
}

impl Chain {
    /// Convolutions between the narrow end and the picture.
    pub fn stages(&self) -> usize {
        self.links.len() - 1
    }

    /// The convolutions, without the narrow end.
    fn convolutions(&self) -> &[Link] {
        match self.kind {
            Kind::Generator => &self.links[1..],
            Kind::Discriminator => &self.links[..self.stages()],
        }
    }

    /// Side of the pictures.
    pub fn size(&self) -> usize {
        let end = if self.kind == Kind::Generator { self.links.first() } else { self.links.last() };
        let doublings = self.convolutions().iter().filter(|link| link.plan.stride == 2).count();
        end.map_or(0, |end| end.plan.kernel) << doublings.min(16)
    }

    /// Whether every other convolution has stride 1.
    pub fn is_paired(&self) -> bool {
        self.convolutions().iter().any(|link| link.plan.stride == 1)
    }

    /// The chain that these tensors, names and shapes, are.
    ///
    /// # Errors
    /// Why they are none.
    pub fn read(tensors: &[(&str, &[usize])]) -> Result<Self, String> {
        let Parts { convolutions, connected, norms } = Parts::sort(tensors)?;
        let ordered = order(&convolutions)?;
        let channels = ordered.last().map_or(0, |last| last.shape[1]);
        let mut ordered: Vec<&Dense> = ordered;
        let end = match connected.as_slice() {
            [] => End::convolution(ordered.remove(0))?,
            [matrix] => End::matrix(matrix, ordered[0].shape[0])?,
            [one, two, ..] => {
                return Err(format!(
                    "{} and {} are both fully connected; a DCGAN has one such layer at most",
                    one.weight, two.weight
                ));
            }
        };
        if let Some(odd) = ordered.iter().find(|dense| !KERNELS.contains(&dense.shape[2])) {
            let k = odd.shape[2];
            return Err(format!(
                "{} is a {k}x{k} kernel; the strided convolutions of a DCGAN are 4x4 or 5x5, and here 2x2 to 5x5",
                odd.weight
            ));
        }
        if ordered.len() < 2 {
            return Err(format!("it has {} strided convolutions, and two at least make a DCGAN", ordered.len()));
        }
        let kind = if end.free == 1 { Kind::Discriminator } else { Kind::Generator };
        let mut links = vec![end.link(kind)?];
        let paired = is_paired(end.side, &ordered);
        for (i, dense) in ordered.into_iter().enumerate() {
            let maps = dense.shape[usize::from(kind == Kind::Generator)];
            // A smaller kernel of stride 2 is a larger one with zeros around it: both halve and double sides exactly.
            let border = usize::from(dense.shape[2] < 4 && !paired);
            let stride = if paired && i % 2 == 1 { 1 } else { 2 };
            let kernel = dense.shape[2] + 2 * border;
            links.push(Link {
                plan: LayerPlan { maps, kernel, bias: per(&dense.bias, maps, maps)?, norm: Per::None, stride },
                weight: dense.weight.clone(),
                shape: vec![dense.shape[0], dense.shape[1], kernel, kernel],
                transposed: false,
                border,
                bias: dense.bias.as_ref().map(|(name, _)| name.clone()),
                norm: None,
            });
        }
        if kind == Kind::Discriminator {
            links.reverse();
        }
        give_norms(&mut links, norms, kind)?;
        Ok(Self { kind, links, free: end.free, channels })
    }
}

/// Whether 3x3 convolutions, counted from the narrow end of this side, are pairs of which the second has stride 1, as in the paper's
/// 32x32 network: shapes do not say it, but with stride 2 each the pictures would be larger than any that DCGANs draw.
fn is_paired(side: usize, convolutions: &[&Dense]) -> bool {
    let count = convolutions.len();
    let three = convolutions.iter().all(|dense| dense.shape[2] == 3);
    three && count.is_multiple_of(2) && side << count.min(16) > ModelConfig::LARGEST
}

/// The convolutions from the narrow end to the picture.
fn order(convolutions: &[Dense]) -> Result<Vec<&Dense>, String> {
    let pictures = |dense: &Dense| dense.shape[1] == 1 || dense.shape[1] == 3;
    let follows = |pair: &[&Dense]| pair[0].shape[1] == pair[1].shape[0];
    let whole = |chain: &[&Dense]| chain.last().is_some_and(|last| pictures(last)) && chain.windows(2).all(follows);
    let named: Vec<&Dense> = convolutions.iter().collect();
    let reversed: Vec<&Dense> = named.iter().rev().copied().collect();
    if let Some(chain) = [named, reversed].into_iter().find(|chain| whole(chain)) {
        return Ok(chain);
    }
    // Names in another order than the layers': from the picture back, each layer is one that gives what the next takes.
    for last in (0..convolutions.len()).filter(|&i| pictures(&convolutions[i])) {
        let mut chain = vec![&convolutions[last]];
        let mut left: Vec<&Dense> = (0..convolutions.len()).filter(|&i| i != last).map(|i| &convolutions[i]).collect();
        while let Some(before) = left.iter().position(|dense| dense.shape[1] == chain[chain.len() - 1].shape[0]) {
            chain.push(left.remove(before));
        }
        if left.is_empty() {
            chain.reverse();
            return Ok(chain);
        }
    }
    match convolutions {
        [] => Err("there are no convolutions in it".to_owned()),
        _ if !convolutions.iter().any(pictures) => {
            Err("no convolution has one or three channels, as the one at the picture must".to_owned())
        }
        _ => Err("its convolutions are no chain in which each takes what another gives".to_owned()),
    }
}

/// Sides that strided kernels have.
const KERNELS: std::ops::RangeInclusive<usize> = 2..=5;
/// Sides that maps have at the narrow end.
const ENDS: std::ops::Range<usize> = 4..8;

/// The narrow end: the projection of z, or the verdict.
struct End<'a> {
    dense: &'a Dense,
    free: usize,
    maps: usize,
    side: usize,
    transposed: bool,
}

impl<'a> End<'a> {
    fn convolution(dense: &'a Dense) -> Result<Self, String> {
        let &[free, maps, side, _] = dense.shape.as_slice() else {
            return Err(format!("{} has no four sides", dense.weight));
        };
        if !ENDS.contains(&side) {
            return Err(format!(
                "{} is {side}x{side} at the narrow end; zscape's networks begin and end with maps of 4x4 to 7x7",
                dense.weight
            ));
        }
        Ok(Self { dense, free, maps, side, transposed: false })
    }

    fn matrix(dense: &'a Dense, maps: usize) -> Result<Self, String> {
        let &[a, b] = dense.shape.as_slice() else { return Err(format!("{} is no matrix", dense.weight)) };
        // PyTorch has a projection's units first, the DCGAN authors last; a verdict's are first only if turned.
        let read = |side: usize| match (a == maps * side * side, b == maps * side * side) {
            (true, _) => Some((side, b, true)),
            (_, true) => Some((side, a, false)),
            _ => None,
        };
        let Some((side, free, transposed)) = ENDS.filter_map(read).next() else {
            return Err(format!(
                "{} {:?} does not lead to or from {maps} maps of 4x4 to 7x7, with which zscape's networks begin and end",
                dense.weight, dense.shape
            ));
        };
        Ok(Self { dense, free, maps, side, transposed })
    }

    fn link(&self, kind: Kind) -> Result<Link, String> {
        let units = self.maps * self.side * self.side;
        let maps = if kind == Kind::Generator { self.maps } else { self.free };
        let all = if kind == Kind::Generator { units } else { self.free };
        Ok(Link {
            plan: LayerPlan {
                maps,
                kernel: self.side,
                bias: per(&self.dense.bias, maps, all)?,
                norm: Per::None,
                stride: 2,
            },
            weight: self.dense.weight.clone(),
            shape: vec![self.free, self.maps, self.side, self.side],
            transposed: self.transposed,
            border: 0,
            bias: self.dense.bias.as_ref().map(|(name, _)| name.clone()),
            norm: None,
        })
    }
}

/// Whether there is a value for each map or each unit.
fn per(bias: &Option<(String, usize)>, maps: usize, units: usize) -> Result<Per, String> {
    match bias {
        None => Ok(Per::None),
        Some((_, length)) if *length == maps => Ok(Per::Map),
        Some((_, length)) if *length == units => Ok(Per::Unit),
        Some((name, length)) => Err(format!("{name} has {length} values, and its layer gives {maps} maps")),
    }
}

/// Gives each batch norm to the layer that it fits, in the order of their names among those of equal length. From the
/// picture's end of a discriminator nothing is missing but on the first layer, so its last layers are served first.
fn give_norms(links: &mut [Link], mut norms: Vec<Scaling>, kind: Kind) -> Result<(), String> {
    // What makes pictures or verdicts has no batch norm in any DCGAN.
    let hidden = links.len() - 1;
    let generator = kind == Kind::Generator;
    let order: Vec<usize> = if generator { (0..hidden).collect() } else { (0..hidden).rev().collect() };
    for i in order {
        let link = &mut links[i];
        let (maps, units) = (link.plan.maps, link.plan.maps * link.plan.kernel.pow(2));
        let fits = |norm: &Scaling| norm.length == maps || (generator && i == 0 && norm.length == units);
        let found = if generator { norms.iter().position(fits) } else { norms.iter().rposition(fits) };
        if let Some(found) = found {
            let norm = norms.remove(found);
            link.plan.norm = if norm.length == maps { Per::Map } else { Per::Unit };
            link.norm = Some(norm);
        }
    }
    match norms.first() {
        None => Ok(()),
        Some(left) => Err(format!("a batch norm or bias of {} values belongs to none of its layers", left.length)),
    }
}
