//! Convolutions whose large map is an image or has few channels.
//!
//! There are too few channels to fill a vector, but a kernel row times the channels is contiguous. Everything that a
//! position of the small map sees is a patch `[kernel, kernel, large]`, and each convolution is one matrix product of
//! small maps and patches.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::shape::ConvShape;
use super::tile::{Rows, multiply, outer, panel_lanes, with_tile};

/// Positions per block: their patches fit in the L2 cache.
const POSITIONS: usize = 192;

/// Packed weights `[panels][depth][lanes]`.
pub struct PatchWeights {
    values: Vec<f32>,
    depth: usize,
    outputs: usize,
    lanes: usize,
}

impl PatchWeights {
    fn new(depth: usize, outputs: usize, at: impl Fn(usize, usize) -> f32) -> Self {
        let lanes = panel_lanes(outputs);
        let mut values = vec![0.0; outputs.div_ceil(lanes) * depth * lanes];
        for output in 0..outputs {
            let (panel, lane) = (output / lanes, output % lanes);
            for d in 0..depth {
                values[(panel * depth + d) * lanes + lane] = at(d, output);
            }
        }
        Self { values, depth, outputs, lanes }
    }
}

/// Number of values in a patch.
fn patch_len(shape: ConvShape) -> usize {
    shape.taps() * shape.large
}

/// Index of the weight of a patch value within the weights of one small-map channel.
fn weight_of(shape: ConvShape, value: usize) -> usize {
    value % shape.large * shape.taps() + value / shape.large
}

/// Packs weights `[small, large, kernel, kernel]` for [`down`].
pub fn pack_down(shape: ConvShape, weights: &[f32]) -> PatchWeights {
    assert_eq!(weights.len(), shape.weights_len());
    PatchWeights::new(patch_len(shape), shape.small, |value, map| {
        weights[map * patch_len(shape) + weight_of(shape, value)]
    })
}

/// Packs weights `[small, large, kernel, kernel]` for [`up`].
pub fn pack_up(shape: ConvShape, weights: &[f32]) -> PatchWeights {
    assert_eq!(weights.len(), shape.weights_len());
    PatchWeights::new(shape.small, patch_len(shape), |map, value| {
        weights[map * patch_len(shape) + weight_of(shape, value)]
    })
}

/// Calls `visit(offset in the patch, offset in the large map, count)` for each row of the patch, clipped to the
/// image.
#[inline(always)]
fn rows_of(shape: ConvShape, position: usize, mut visit: impl FnMut(usize, usize, usize)) {
    let stride = shape.stride as isize;
    let (height, width) = (stride * shape.height as isize, stride * shape.width as isize);
    let (picture, row, column) = shape.over_large().place(position);
    let (kernel, padding) = (shape.kernel as isize, shape.padding());
    let left = stride * column as isize - padding;
    let (start, end) = (left.max(0), (left + kernel).min(width));
    for i in 0..kernel {
        let y = stride * row as isize + i - padding;
        if (0..height).contains(&y) {
            let to = (i * kernel + start - left) as usize * shape.large;
            let from = ((picture * height as usize + y as usize) * width as usize + start as usize) * shape.large;
            visit(to, from, (end - start) as usize * shape.large);
        }
    }
}

/// Copies the patches of the positions from `first` into the rows of `patches`. Values outside the image are zero.
#[inline(always)]
fn gather(shape: ConvShape, large: &[f32], first: usize, length: usize, patches: &mut [f32]) {
    for (i, patch) in patches.chunks_exact_mut(length).enumerate() {
        patch.fill(0.0);
        rows_of(shape, first + i, |to, from, count| patch[to..to + count].copy_from_slice(&large[from..from + count]));
    }
}

/// Strided convolution, large map to small map, with weights from [`pack_down`].
pub fn down(shape: ConvShape, large: &[f32], weights: &PatchWeights, small: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    small.par_chunks_mut(POSITIONS * shape.small).enumerate().for_each(|(i, small)| {
        let first = i * POSITIONS;
        let count = small.len() / shape.small;
        let depth = patch_len(shape);
        let mut patches = vec![0.0; count * depth];
        Arch::new().dispatch(|| gather(shape, large, first, depth, &mut patches));
        Arch::new().dispatch(PatchProduct { rows: &patches, weights, output: small });
    });
}

/// Fractionally-strided convolution, small map to large map, with weights from [`pack_up`].
pub fn up(shape: ConvShape, small: &[f32], weights: &PatchWeights, large: &mut [f32]) {
    assert_eq!((large.len(), small.len()), (shape.large_len(), shape.small_len()));
    let (positions, values) = (shape.height * shape.width, patch_len(shape));
    let one = ConvShape { batch: 1, ..shape };
    large.par_chunks_mut(one.large_len()).zip(small.par_chunks(one.small_len())).for_each(|(large, small)| {
        let mut patches = vec![0.0; positions.min(POSITIONS) * values];
        large.fill(0.0);
        for (i, small) in small.chunks(POSITIONS * shape.small).enumerate() {
            let patches = &mut patches[..small.len() / shape.small * values];
            Arch::new().dispatch(PatchProduct { rows: small, weights, output: patches });
            Arch::new().dispatch(|| {
                for (j, patch) in patches.chunks_exact(values).enumerate() {
                    rows_of(one, i * POSITIONS + j, |from, to, count| {
                        for (sum, value) in large[to..to + count].iter_mut().zip(&patch[from..from + count]) {
                            *sum += value;
                        }
                    });
                }
            });
        }
    });
}

/// Matrix product of `rows` `[count, depth]` and the weights: `output` `[count, outputs]`.
struct PatchProduct<'a> {
    rows: &'a [f32],
    weights: &'a PatchWeights,
    output: &'a mut [f32],
}

impl WithSimd for PatchProduct<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        with_tile!(self.weights.outputs, simd, self.run);
    }
}

impl PatchProduct<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S) {
        let Self { rows, weights, output } = self;
        let (depth, outputs, lanes) = (weights.depth, weights.outputs, weights.lanes);
        debug_assert_eq!(lanes, V * S::F32_LANES);
        let whole = rows.len() / (R * depth) * (R * depth);
        let mut last = rows[whole..].to_vec();
        last.resize(last.len().next_multiple_of(R * depth), 0.0);
        let tiles = rows[..whole].chunks_exact(R * depth).chain(last.chunks_exact(R * depth));
        let mut sums = vec![[[simd.splat_f32s(0.0); V]; R]; tiles.clone().count()];
        for (panel, weights) in weights.values.chunks_exact(depth * lanes).enumerate() {
            sums.fill([[simd.splat_f32s(0.0); V]; R]);
            multiply(simd, tiles.clone(), depth, 0..depth, S::as_simd_f32s(weights).0, &mut sums);
            let from = panel * lanes;
            let used = lanes.min(outputs - from);
            let sums: &[f32] = pulp::bytemuck::cast_slice(sums.as_flattened().as_flattened());
            for (row, sums) in output.chunks_exact_mut(outputs).zip(sums.chunks_exact(lanes)) {
                row[from..from + used].copy_from_slice(&sums[..used]);
            }
        }
    }
}

/// PatchGradient of the weights in either direction: the sum over all positions of small times large.
pub fn weight_gradient(shape: ConvShape, small: &[f32], large: &[f32], gradient: &mut [f32]) {
    assert_eq!((large.len(), gradient.len(), small.len()), (shape.large_len(), shape.weights_len(), shape.small_len()));
    // Blocks of a fixed length, combined in order: no sum depends on the number of threads.
    let part = shape.positions().div_ceil(16).next_multiple_of(POSITIONS);
    let parts: Vec<(usize, Vec<f32>)> = (0..shape.positions())
        .into_par_iter()
        .step_by(part)
        .map(|first| {
            let count = part.min(shape.positions() - first);
            Arch::new().dispatch(PatchGradient { shape, small, large, first, count })
        })
        .collect();
    for (map, gradient) in gradient.chunks_exact_mut(patch_len(shape)).enumerate() {
        for value in 0..patch_len(shape) {
            gradient[weight_of(shape, value)] = parts.iter().map(|(length, sums)| sums[map * length + value]).sum();
        }
    }
}

/// The gradient over a range of positions: the padded patch length, and the sums `[small padded][patch padded]`.
struct PatchGradient<'a> {
    shape: ConvShape,
    small: &'a [f32],
    large: &'a [f32],
    first: usize,
    count: usize,
}

impl WithSimd for PatchGradient<'_> {
    type Output = (usize, Vec<f32>);

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> (usize, Vec<f32>) {
        if S::REGISTER_COUNT >= 32 { self.run::<S, 12, 2>(simd) } else { self.run::<S, 6, 2>(simd) }
    }
}

impl PatchGradient<'_> {
    #[inline(always)]
    fn run<S: Simd, const R: usize, const V: usize>(self, simd: S) -> (usize, Vec<f32>) {
        let Self { shape, small, large, first, count } = self;
        let (maps, values) = (shape.small.next_multiple_of(R), patch_len(shape).next_multiple_of(V * S::F32_LANES));
        let mut sums = vec![0.0; maps * values];
        let (mut smalls, mut patches) = (vec![0.0; POSITIONS * maps], vec![0.0; POSITIONS * values]);
        for from in (first..first + count).step_by(POSITIONS) {
            let count = POSITIONS.min(first + count - from);
            let rows = small[from * shape.small..].chunks_exact(shape.small);
            for (to, from) in smalls.chunks_exact_mut(maps).zip(rows).take(count) {
                to[..shape.small].copy_from_slice(from);
            }
            gather(shape, large, from, values, &mut patches[..count * values]);
            let smalls = Rows { values: &smalls[..count * maps], length: maps, from: 0, width: maps };
            let larges = Rows { values: &patches[..count * values], length: values, from: 0, width: values };
            outer::<S, R, V>(simd, smalls, larges, &mut sums);
        }
        (values, sums)
    }
}
