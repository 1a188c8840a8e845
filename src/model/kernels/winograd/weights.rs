//! Weights as the products read them.

use pulp::Arch;
use rayon::prelude::*;

use super::super::shape::Shape;
use super::super::tile::panel_lanes;
use super::scheme::Half;

/// A stretch of the products' depth: the maps around a tile that one pair of halves sees.
pub struct Stretch {
    pub halves: [Half; 2],
    /// Where its inputs at each pair of points go in a tile's row.
    pub to: Vec<usize>,
    /// By which product of the group, and which taps with which factors.
    mixes: Vec<(usize, Vec<(usize, f32)>)>,
}

/// Products that are summed into the same outputs.
pub struct Group {
    /// Row and column of its outputs among those of a position.
    pub place: [usize; 2],
    /// Points along rows and along columns.
    pub points: [usize; 2],
    pub stretches: Vec<Stretch>,
    /// Where each product's inputs begin in a tile's row; one more for the end. There is one product for every pair of points.
    pub starts: Vec<usize>,
    /// Where the group's weights begin in a panel, in units of lanes.
    first: usize,
}

impl Group {
    /// The products that make outputs of what some pairs of halves see of `maps` maps. A filter of two taps leaves out the products of the point that only three need.
    fn new(place: [usize; 2], pairs: &[[&Half; 2]], side: usize, kernel: usize, maps: usize) -> Self {
        let points = [0, 1].map(|axis| pairs.iter().map(|pair| pair[axis].points(side)).max().unwrap_or(0));
        // The last point, infinity, is always the last.
        let point = |of: usize, point: usize, axis: usize| if point + 1 == of { points[axis] - 1 } else { point };
        let mut products = vec![Vec::new(); points[0] * points[1]];
        let mut stretches = Vec::new();
        for (number, pair) in pairs.iter().enumerate() {
            let [rows, columns] = pair.map(|half| half.points(side));
            let mut mixes = Vec::new();
            for (y, a) in pair[0].factors(side).iter().enumerate() {
                for (x, b) in pair[1].factors(side).iter().enumerate() {
                    let factors = pair[0].taps.iter().zip(*a).flat_map(|(row, a)| {
                        pair[1].taps.iter().zip(*b).map(move |(column, b)| (row * kernel + column, a * b))
                    });
                    let product = point(rows, y, 0) * points[1] + point(columns, x, 1);
                    products[product].push(number);
                    mixes.push((product, factors.filter(|&(_, factor)| factor != 0.0).collect()));
                }
            }
            stretches.push(Stretch { halves: pair.map(Half::clone), to: Vec::new(), mixes });
        }
        let mut starts = vec![0];
        for used in &products {
            starts.push(starts.last().unwrap_or(&0) + used.len() * maps);
        }
        for (number, stretch) in stretches.iter_mut().enumerate() {
            let place = |product: usize| products[product].iter().take_while(|&&other| other != number).count();
            stretch.to = stretch.mixes.iter().map(|&(product, _)| starts[product] + place(product) * maps).collect();
        }
        Self { place, points, stretches, starts, first: 0 }
    }

    /// What is mixed of the taps, in the order of a tile's row: product by product, and for each what every stretch gives.
    fn mixes(&self) -> impl Iterator<Item = &[(usize, f32)]> {
        (0..self.starts.len() - 1).flat_map(|product| {
            let mixes = self.stretches.iter().flat_map(|stretch| &stretch.mixes);
            mixes.filter(move |(of, _)| *of == product).map(|(_, mix)| mix.as_slice())
        })
    }

    /// Numbers of a tile's row.
    pub fn row(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }
}

/// Numbers that are mixed at a time: they stay in the first-level cache until they are written.
const MIXED: usize = 1024;

/// Weights `[panels][groups][depth of all products][lanes]` and what they belong to.
pub struct Weights {
    pub groups: Vec<Group>,
    /// Rows and columns of a tile of outputs.
    pub side: usize,
    values: Vec<Vec<f32>>,
    pub outputs: usize,
    pub lanes: usize,
}

impl Weights {
    /// `at(map, output)` is where the taps of an input map and an output lie.
    fn new(
        shape: Shape,
        side: usize,
        mut groups: Vec<Group>,
        [maps, outputs]: [usize; 2],
        weights: &[f32],
        at: impl Fn(usize, usize) -> usize + Sync,
    ) -> Self {
        let lanes = panel_lanes(outputs);
        let mut depth = 0;
        for group in &mut groups {
            group.first = depth;
            depth += group.row();
        }
        let taps = shape.taps();
        let panel = |panel: usize| {
            let (first, plane) = (panel * lanes, maps * lanes);
            let used = lanes.min(outputs - first);
            // Tap by tap, since that is how they are mixed; what is written once and in order is not cleared before.
            let mut planes = vec![0.0f32; taps * plane];
            for map in 0..maps {
                for tap in 0..taps {
                    let to = &mut planes[tap * plane + map * lanes..][..used];
                    for (lane, to) in to.iter_mut().enumerate() {
                        *to = weights[at(map, first + lane) + tap];
                    }
                }
            }
            let mut values = Vec::with_capacity(depth * lanes);
            let mut mixed = [0.0f32; MIXED];
            for mix in groups.iter().flat_map(Group::mixes) {
                for from in (0..plane).step_by(MIXED) {
                    let mixed = &mut mixed[..MIXED.min(plane - from)];
                    mixed.fill(0.0);
                    for &(tap, factor) in mix {
                        let from = &planes[tap * plane + from..][..mixed.len()];
                        for (to, from) in mixed.iter_mut().zip(from) {
                            *to += factor * from;
                        }
                    }
                    values.extend_from_slice(mixed);
                }
            }
            values
        };
        let panels = 0..outputs.div_ceil(lanes);
        let values = panels.into_par_iter().map(|number| Arch::new().dispatch(|| panel(number))).collect();
        Self { groups, side, values, outputs, lanes }
    }

    pub fn panels(&self) -> usize {
        self.outputs.div_ceil(self.lanes)
    }

    /// A group's weights in a panel: `[depth of all products][lanes]`.
    pub fn of(&self, panel: usize, group: &Group) -> &[f32] {
        &self.values[panel][group.first * self.lanes..][..group.row() * self.lanes]
    }
}

/// Weights `[small, large, kernel, kernel]` as [`super::down`] reads them.
pub fn pack_down(shape: Shape, side: usize, weights: &[f32]) -> Weights {
    assert_eq!(weights.len(), shape.weights_len());
    let halves = Half::of_inputs(shape);
    let pairs: Vec<_> = halves.iter().flat_map(|y| halves.iter().map(move |x| [y, x])).collect();
    let groups = vec![Group::new([0, 0], &pairs, side, shape.kernel, shape.large)];
    Weights::new(shape, side, groups, [shape.large, shape.small], weights, |map, output| {
        (output * shape.large + map) * shape.taps()
    })
}

/// Weights `[small, large, kernel, kernel]` as [`super::up`] reads them.
pub fn pack_up(shape: Shape, side: usize, weights: &[f32]) -> Weights {
    assert_eq!(weights.len(), shape.weights_len());
    let halves = Half::of_outputs(shape);
    let pairs = halves.iter().flat_map(|y| halves.iter().map(move |x| [y, x]));
    let groups =
        pairs.map(|[y, x]| Group::new([y.parity, x.parity], &[[y, x]], side, shape.kernel, shape.small)).collect();
    Weights::new(shape, side, groups, [shape.small, shape.large], weights, |map, output| {
        (map * shape.large + output) * shape.taps()
    })
}
