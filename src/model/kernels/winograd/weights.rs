//! Transformed and packed weights.

use pulp::Arch;
use rayon::prelude::*;

use super::super::shape::ConvShape;
use super::super::tile::panel_lanes;
use super::scheme::AxisHalf;

/// A range of the depth of the products: the channels around a tile that one pair of halves sees.
pub struct DepthRange {
    pub halves: [AxisHalf; 2],
    /// Offset of its inputs in a row of a tile for each pair of points.
    pub to: Vec<usize>,
    /// Product of the group for each pair of points, and the taps with their factors.
    mixes: Vec<(usize, Vec<(usize, f32)>)>,
}

/// Products that are summed into the same outputs.
pub struct ProductGroup {
    /// Row and column offset of its outputs.
    pub place: [usize; 2],
    /// Points along rows and columns.
    pub points: [usize; 2],
    pub ranges: Vec<DepthRange>,
    /// Offset of the inputs of each product in a row of a tile, and the end of the last. There is one product per
    /// pair of points.
    pub starts: Vec<usize>,
    /// Offset of the weights of the group in a panel, in units of lanes.
    first: usize,
}

impl ProductGroup {
    /// The products of some pairs of halves with `maps` channels. A two-tap filter skips the products of the
    /// point that only three taps need.
    fn new(place: [usize; 2], pairs: &[[&AxisHalf; 2]], side: usize, kernel: usize, maps: usize) -> Self {
        let points = [0, 1].map(|axis| pairs.iter().map(|pair| pair[axis].points(side)).max().unwrap_or(0));
        // Infinity is always the last point.
        let point = |of: usize, point: usize, axis: usize| if point + 1 == of { points[axis] - 1 } else { point };
        let mut products = vec![Vec::new(); points[0] * points[1]];
        let mut ranges = Vec::new();
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
            ranges.push(DepthRange { halves: pair.map(AxisHalf::clone), to: Vec::new(), mixes });
        }
        let mut starts = vec![0];
        for used in &products {
            starts.push(starts.last().unwrap_or(&0) + used.len() * maps);
        }
        for (number, range) in ranges.iter_mut().enumerate() {
            let place = |product: usize| products[product].iter().take_while(|&&other| other != number).count();
            range.to = range.mixes.iter().map(|&(product, _)| starts[product] + place(product) * maps).collect();
        }
        Self { place, points, ranges, starts, first: 0 }
    }

    /// Combinations of taps in the order of a tile row: product by product, and for each product range by range.
    fn mixes(&self) -> impl Iterator<Item = &[(usize, f32)]> {
        (0..self.starts.len() - 1).flat_map(|product| {
            let mixes = self.ranges.iter().flat_map(|range| &range.mixes);
            mixes.filter(move |(of, _)| *of == product).map(|(_, mix)| mix.as_slice())
        })
    }

    /// Values per tile row.
    pub fn row(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }
}

/// Values computed at a time: they fit in the L1 cache until they are written.
const MIXED: usize = 1024;

/// Packed weights `[panels][groups][depth of all products][lanes]`, with their groups.
pub struct WinogradWeights {
    pub groups: Vec<ProductGroup>,
    /// Rows and columns of outputs per tile.
    pub side: usize,
    values: Vec<Vec<f32>>,
    pub outputs: usize,
    pub lanes: usize,
}

impl WinogradWeights {
    /// `at(map, output)` is the offset of the taps of an input channel and an output.
    fn new(
        shape: ConvShape,
        side: usize,
        mut groups: Vec<ProductGroup>,
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
            // Tap by tap, the order in which they are combined. Memory that is written once and in order
            // is not cleared first.
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
            for mix in groups.iter().flat_map(ProductGroup::mixes) {
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

    /// WinogradWeights of a group in a panel: `[depth of all products][lanes]`.
    pub fn of(&self, panel: usize, group: &ProductGroup) -> &[f32] {
        &self.values[panel][group.first * self.lanes..][..group.row() * self.lanes]
    }
}

/// Packs weights `[small, large, kernel, kernel]` for [`super::down`].
pub fn pack_down(shape: ConvShape, side: usize, weights: &[f32]) -> WinogradWeights {
    assert_eq!(weights.len(), shape.weights_len());
    let halves = AxisHalf::of_inputs(shape);
    let pairs: Vec<_> = halves.iter().flat_map(|y| halves.iter().map(move |x| [y, x])).collect();
    let groups = vec![ProductGroup::new([0, 0], &pairs, side, shape.kernel, shape.large)];
    WinogradWeights::new(shape, side, groups, [shape.large, shape.small], weights, |map, output| {
        (output * shape.large + map) * shape.taps()
    })
}

/// Packs weights `[small, large, kernel, kernel]` for [`super::up`].
pub fn pack_up(shape: ConvShape, side: usize, weights: &[f32]) -> WinogradWeights {
    assert_eq!(weights.len(), shape.weights_len());
    let halves = AxisHalf::of_outputs(shape);
    let pairs = halves.iter().flat_map(|y| halves.iter().map(move |x| [y, x]));
    let groups = pairs
        .map(|[y, x]| ProductGroup::new([y.parity, x.parity], &[[y, x]], side, shape.kernel, shape.small))
        .collect();
    WinogradWeights::new(shape, side, groups, [shape.small, shape.large], weights, |map, output| {
        (map * shape.large + output) * shape.taps()
    })
}
