//! Strided and fractionally-strided convolutions on the CPU, channels last, without im2col. At stride 1 there is a
//! single phase.
//!
//! A fractionally-strided convolution is computed as four stride-1 convolutions, one for each phase (parity of the
//! output row and column), so that no inserted zero is multiplied. A strided convolution sees the large map as four
//! interleaved ones. Both, and the gradient of their weights, are matrix products, computed by one of three
//! algorithms: [`direct`], [`winograd`] (about half as many multiplications), or [`picture`] (patches, for large maps
//! with few channels, such as images).
//!
//! Each sum is computed by one thread in a fixed order, so results do not depend on the number of threads.

use std::borrow::Cow;

use super::memory::zeros;
pub use super::shape::ConvShape;
use super::{direct, picture, winograd};

/// The direction of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConvDirection {
    /// Strided: the large map to the small one.
    Down,
    /// Fractionally-strided: the small map to the large one.
    Up,
}

/// The algorithm of a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// One product per kernel tap.
    Direct,
    /// Winograd, with tiles of 2x2 or 4x4 outputs.
    Winograd(usize),
    /// One product per patch, for large maps with few channels.
    Picture,
}

/// Minimum number of channels on both sides, and of 2x2 tiles, for which Winograd's fewer multiplications outweigh
/// its transforms.
const MAPS: usize = 16;
const TILES: usize = 16;
/// Minimum number of 4x4 tiles for which they outweigh packing more weights: for a batch (weights are packed each
/// time) and for a single image (weights stay packed). The second entry is for 5x5 kernels.
const LARGE_TILES: [(usize, usize); 2] = [(512, 16), (256, 16)];
/// Maximum number of large-map channels for [`Algorithm::Picture`].
const PATCHED: usize = 8;

impl Algorithm {
    /// The fastest algorithm as measured, for the whole batch or for each image separately. It depends on nothing
    /// but the shape, so neither do results.
    pub fn of(shape: ConvShape, whole_batch: bool) -> Self {
        let batch = if whole_batch { shape.batch } else { 1 };
        let tiles = |side: usize| batch * shape.height.div_ceil(side) * shape.width.div_ceil(side);
        let (for_batch, for_picture) = LARGE_TILES[usize::from(shape.kernel == 5)];
        let large = if whole_batch { for_batch } else { for_picture };
        match shape.large {
            0..=PATCHED => Self::Picture,
            _ if !winograd::reaches(shape) => Self::Direct,
            _ if shape.small.min(shape.large) < MAPS || tiles(2) < TILES => Self::Direct,
            // A partly filled tile saves nothing over four small ones.
            _ if tiles(4) >= large && tiles(2) > 3 * tiles(4) => Self::Winograd(4),
            _ => Self::Winograd(2),
        }
    }
}

/// Weights in the layout of an algorithm.
pub enum PackedWeights {
    Direct(Vec<direct::PhaseWeights>),
    Winograd(winograd::WinogradWeights),
    Picture(picture::PatchWeights),
}

/// Packs weights `[small, large, kernel, kernel]`.
pub fn pack(shape: ConvShape, direction: ConvDirection, algorithm: Algorithm, weights: &[f32]) -> PackedWeights {
    match (algorithm, direction) {
        (Algorithm::Direct, ConvDirection::Down) => PackedWeights::Direct(direct::pack_down(shape, weights)),
        (Algorithm::Direct, ConvDirection::Up) => PackedWeights::Direct(direct::pack_up(shape, weights)),
        (Algorithm::Winograd(side), ConvDirection::Down) => {
            PackedWeights::Winograd(winograd::pack_down(shape.whole(), side, &widened(shape, weights)))
        }
        (Algorithm::Winograd(side), ConvDirection::Up) => {
            PackedWeights::Winograd(winograd::pack_up(shape.whole(), side, &widened(shape, weights)))
        }
        (Algorithm::Picture, ConvDirection::Down) => PackedWeights::Picture(picture::pack_down(shape, weights)),
        (Algorithm::Picture, ConvDirection::Up) => PackedWeights::Picture(picture::pack_up(shape, weights)),
    }
}

/// Weights padded with zero taps to the kernel of [`ConvShape::whole`].
fn widened(shape: ConvShape, weights: &[f32]) -> Cow<'_, [f32]> {
    let whole = shape.whole();
    if whole == shape {
        return Cow::Borrowed(weights);
    }
    let mut wide = vec![0.0; whole.weights_len()];
    for (wide, weights) in wide.chunks_exact_mut(whole.taps()).zip(weights.chunks_exact(shape.taps())) {
        shape.taps_in_whole(|tap, to| wide[to] = weights[tap]);
    }
    Cow::Owned(wide)
}

/// Strided convolution, large map to small map. `weights` must be packed for [`ConvDirection::Down`].
pub fn down(shape: ConvShape, large: &[f32], weights: &PackedWeights, small: &mut [f32]) {
    match weights {
        PackedWeights::Direct(weights) => direct::down(shape, large, weights, small),
        PackedWeights::Winograd(weights) => winograd::down(shape, large, weights, small),
        PackedWeights::Picture(weights) => picture::down(shape, large, weights, small),
    }
}

/// Fractionally-strided convolution, small map to large map. `weights` must be packed for [`ConvDirection::Up`].
pub fn up(shape: ConvShape, small: &[f32], weights: &PackedWeights, large: &mut [f32]) {
    match weights {
        PackedWeights::Direct(weights) => direct::up(shape, small, weights, large),
        PackedWeights::Winograd(weights) => winograd::up(shape, small, weights, large),
        PackedWeights::Picture(weights) => picture::up(shape, small, weights, large),
    }
}

/// Gradient of the weights in either direction: the sum over all positions of small times large.
pub fn weight_gradient(shape: ConvShape, algorithm: Algorithm, small: &[f32], large: &[f32], gradient: &mut [f32]) {
    match algorithm {
        Algorithm::Direct if !winograd::reaches(shape) => direct::weight_gradient(shape, small, large, gradient),
        // Winograd pays for sums over positions even when there are few of them.
        Algorithm::Direct => few_products(shape, 2, small, large, gradient),
        Algorithm::Winograd(side) => few_products(shape, side, small, large, gradient),
        Algorithm::Picture => picture::weight_gradient(shape, small, large, gradient),
    }
}

/// [`winograd::weight_gradient`] on the padded kernel of [`ConvShape::whole`].
fn few_products(shape: ConvShape, side: usize, small: &[f32], large: &[f32], gradient: &mut [f32]) {
    let whole = shape.whole();
    if whole == shape {
        return winograd::weight_gradient(shape, side, small, large, gradient);
    }
    let mut wide = zeros(whole.weights_len());
    winograd::weight_gradient(whole, side, small, large, &mut wide);
    for (wide, gradient) in wide.chunks_exact(whole.taps()).zip(gradient.chunks_exact_mut(shape.taps())) {
        shape.taps_in_whole(|tap, from| gradient[tap] = wide[from]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Calls `visit(small index, large index, weight index)` for every product in the definition of the
    /// convolution.
    fn products(shape: ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
        let ConvShape { batch, height, width, small, large, kernel, stride, .. } = shape;
        let padding = shape.padding();
        for position in 0..batch * height * width {
            let (n, row, column) = (position / (height * width), position / width % height, position % width);
            for tap in 0..kernel * kernel {
                let y = (stride * row + tap / kernel) as isize - padding;
                let x = (stride * column + tap % kernel) as isize - padding;
                if y < 0 || x < 0 || y >= (stride * height) as isize || x >= (stride * width) as isize {
                    continue;
                }
                let at = (n * stride * height + y as usize) * stride * width + x as usize;
                for s in 0..small {
                    for l in 0..large {
                        let weight = (s * large + l) * kernel * kernel + tap;
                        visit(position * small + s, at * large + l, weight);
                    }
                }
            }
        }
    }

    fn noise(count: usize, seed: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 7919 + seed * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
    }

    fn assert_close(result: &[f32], exact: &[f64]) {
        let scale = exact.iter().fold(0.0f64, |most, v| most.max(v.abs())).max(1e-3);
        for (i, (result, exact)) in result.iter().zip(exact).enumerate() {
            assert!((f64::from(*result) - exact).abs() <= 1e-4 * scale, "{i}: {result} is not {exact}");
        }
    }

    fn check(shape: ConvShape) {
        let (small, large) = (noise(shape.small_len(), 1), noise(shape.large_len(), 2));
        let weights = noise(shape.weights_len(), 3);
        let mut exact = [small.len(), large.len(), weights.len()].map(|len| vec![0.0f64; len]);
        products(shape, |s, l, w| {
            exact[0][s] += f64::from(large[l]) * f64::from(weights[w]);
            exact[1][l] += f64::from(small[s]) * f64::from(weights[w]);
            exact[2][w] += f64::from(small[s]) * f64::from(large[l]);
        });
        let [mut to_small, mut to_large, mut gradient] =
            [small.len(), large.len(), weights.len()].map(|len| vec![f32::NAN; len]);
        for algorithm in [Algorithm::Direct, Algorithm::Winograd(2), Algorithm::Winograd(4), Algorithm::Picture] {
            if matches!(algorithm, Algorithm::Winograd(_)) && !winograd::reaches(shape) {
                continue;
            }
            down(shape, &large, &pack(shape, ConvDirection::Down, algorithm, &weights), &mut to_small);
            up(shape, &small, &pack(shape, ConvDirection::Up, algorithm, &weights), &mut to_large);
            weight_gradient(shape, algorithm, &small, &large, &mut gradient);
            assert_close(&to_small, &exact[0]);
            assert_close(&to_large, &exact[1]);
            assert_close(&gradient, &exact[2]);
        }
    }

    /// (kernel, stride, padding before): all geometries that networks can have.
    const GEOMETRIES: [(usize, usize, usize); 21] = [
        (4, 2, 1),
        (5, 2, 2),
        (5, 2, 1),
        (3, 2, 1),
        (3, 2, 0),
        (3, 1, 1),
        (4, 1, 1),
        (5, 1, 2),
        (5, 1, 1),
        // Imported networks.
        (1, 1, 0),
        (2, 2, 0),
        (2, 1, 0),
        (4, 2, 0),
        (4, 2, 2),
        (4, 1, 0),
        (4, 1, 3),
        (6, 2, 2),
        (7, 1, 3),
        (7, 2, 3),
        (7, 1, 6),
        (8, 2, 3),
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn all_directions_agree_with_the_definition(
            batch in 1usize..4, height in 1usize..6, width in 1usize..6,
            small in 1usize..70, large in 1usize..40, geometry in 0usize..GEOMETRIES.len(),
        ) {
            let (kernel, stride, before) = GEOMETRIES[geometry];
            check(ConvShape { batch, height, width, small, large, kernel, stride, before });
        }
    }

    #[test]
    fn few_products_are_for_many_maps_and_positions() {
        let shape =
            ConvShape { batch: 64, height: 4, width: 4, small: 512, large: 256, kernel: 4, stride: 2, before: 1 };
        assert_eq!(Algorithm::of(shape, true), Algorithm::Winograd(2));
        assert_eq!(Algorithm::of(shape, false), Algorithm::Direct);
        assert_eq!(Algorithm::of(ConvShape { batch: 1, ..shape }, true), Algorithm::Direct);
        assert_eq!(Algorithm::of(ConvShape { height: 8, width: 8, ..shape }, false), Algorithm::Winograd(2));
        assert_eq!(Algorithm::of(ConvShape { height: 16, width: 16, ..shape }, false), Algorithm::Winograd(4));
        assert_eq!(Algorithm::of(ConvShape { height: 16, width: 16, ..shape }, true), Algorithm::Winograd(4));
        assert_eq!(Algorithm::of(ConvShape { large: 3, ..shape }, true), Algorithm::Picture);
        let stride_1 = ConvShape { height: 16, width: 16, kernel: 3, stride: 1, ..shape };
        assert_eq!(Algorithm::of(stride_1, true), Algorithm::Winograd(4));
        assert_eq!(Algorithm::of(ConvShape { kernel: 5, before: 2, ..stride_1 }, true), Algorithm::Direct);
    }

    #[test]
    fn maps_deeper_and_grids_larger_than_one_block_agree_too() {
        let strided =
            ConvShape { batch: 1, height: 2, width: 3, small: 65, large: 200, kernel: 4, stride: 2, before: 1 };
        check(strided);
        check(ConvShape { kernel: 3, ..strided });
        check(ConvShape { kernel: 3, stride: 1, ..strided });
        let strided = ConvShape { kernel: 5, before: 2, ..strided };
        check(ConvShape { stride: 1, ..strided });
        check(ConvShape { batch: 3, height: 9, width: 11, small: 5, large: 3, ..strided });
        check(ConvShape { batch: 3, height: 9, width: 11, small: 21, large: 19, before: 1, ..strided });
        check(ConvShape { batch: 3, height: 19, width: 11, small: 21, large: 19, stride: 1, ..strided });
        check(ConvShape { batch: 2, height: 2, width: 2, small: 230, large: 17, ..strided });
    }
}
