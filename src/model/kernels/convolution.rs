//! Strided and fractionally-strided convolutions on the CPU, channels last, without im2col; and those of stride 1, for which all
//! that is said of parities holds with one parity.
//!
//! A fractionally-strided convolution is four small stride-1 ones, one for each parity of the output's row and column, so no
//! multiplication by an inserted zero is ever made; a strided one sees the large map as four interleaved ones. Both, and the gradient of
//! their weights, are matrix products, made in one of three ways: [`direct`], with about half as many products by [`winograd`],
//! or, where the large map is a picture, by patches of it ([`picture`]).
//!
//! Each sum is made by one thread in one order, so results do not depend on the number of threads.

use std::borrow::Cow;

use super::memory::zeros;
pub use super::shape::Shape;
use super::{direct, picture, winograd};

/// Which of the two convolutions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Strided: the large map to the small one.
    Down,
    /// Fractionally-strided: the small map to the large one.
    Up,
}

/// How a convolution is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Tap by tap.
    Direct,
    /// By fewer products, in tiles of so many rows and columns of positions: two or four.
    Winograd(usize),
    /// By patches, where the large map has few maps.
    Picture,
}

/// Maps on either side, and tiles of four positions, from which on fewer products pay for the sums before and after them.
const MAPS: usize = 16;
const TILES: usize = 16;
/// Tiles of sixteen positions from which on still fewer products pay for packing more weights, by the kernel: of one batch, for
/// which weights are packed anew, and of a picture, which is drawn with weights that were packed once.
const LARGE_TILES: [(usize, usize); 2] = [(512, 16), (256, 16)];
/// Large maps up to which positions are made patch by patch.
const PATCHED: usize = 8;

impl Algorithm {
    /// The fastest one, as measured, for the batch `together` or for each of its pictures. It depends on nothing but the
    /// shape, so that results do not either.
    pub fn of(shape: Shape, together: bool) -> Self {
        let batch = if together { shape.batch } else { 1 };
        let tiles = |side: usize| batch * shape.height.div_ceil(side) * shape.width.div_ceil(side);
        let (for_batch, for_picture) = LARGE_TILES[usize::from(shape.kernel == 5)];
        let large = if together { for_batch } else { for_picture };
        match shape.large {
            0..=PATCHED => Self::Picture,
            _ if !winograd::reaches(shape) => Self::Direct,
            _ if shape.small.min(shape.large) < MAPS || tiles(2) < TILES => Self::Direct,
            // A tile that is not filled makes no fewer products than four small ones.
            _ if tiles(4) >= large && tiles(2) > 3 * tiles(4) => Self::Winograd(4),
            _ => Self::Winograd(2),
        }
    }
}

/// Weights as an algorithm reads them.
pub enum Packed {
    Direct(Vec<direct::Part>),
    Winograd(winograd::Weights),
    Picture(picture::Weights),
}

/// Packs weights `[small, large, kernel, kernel]`.
pub fn pack(shape: Shape, way: Way, algorithm: Algorithm, weights: &[f32]) -> Packed {
    match (algorithm, way) {
        (Algorithm::Direct, Way::Down) => Packed::Direct(direct::pack_down(shape, weights)),
        (Algorithm::Direct, Way::Up) => Packed::Direct(direct::pack_up(shape, weights)),
        (Algorithm::Winograd(side), Way::Down) => {
            Packed::Winograd(winograd::pack_down(shape.whole(), side, &widened(shape, weights)))
        }
        (Algorithm::Winograd(side), Way::Up) => {
            Packed::Winograd(winograd::pack_up(shape.whole(), side, &widened(shape, weights)))
        }
        (Algorithm::Picture, Way::Down) => Packed::Picture(picture::pack_down(shape, weights)),
        (Algorithm::Picture, Way::Up) => Packed::Picture(picture::pack_up(shape, weights)),
    }
}

/// Weights as [`Shape::whole`] has them.
fn widened(shape: Shape, weights: &[f32]) -> Cow<'_, [f32]> {
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

/// Strided convolution: the large map to the small one. `weights` are packed for [`Way::Down`].
pub fn down(shape: Shape, large: &[f32], weights: &Packed, small: &mut [f32]) {
    match weights {
        Packed::Direct(weights) => direct::down(shape, large, weights, small),
        Packed::Winograd(weights) => winograd::down(shape, large, weights, small),
        Packed::Picture(weights) => picture::down(shape, large, weights, small),
    }
}

/// Fractionally-strided convolution: the small map to the large one. `weights` are packed for [`Way::Up`].
pub fn up(shape: Shape, small: &[f32], weights: &Packed, large: &mut [f32]) {
    match weights {
        Packed::Direct(weights) => direct::up(shape, small, weights, large),
        Packed::Winograd(weights) => winograd::up(shape, small, weights, large),
        Packed::Picture(weights) => picture::up(shape, small, weights, large),
    }
}

/// Gradient of the weights of both: sums over all positions of small times large.
pub fn weight_gradient(shape: Shape, algorithm: Algorithm, small: &[f32], large: &[f32], gradient: &mut [f32]) {
    match algorithm {
        Algorithm::Direct if !winograd::reaches(shape) => direct::weight_gradient(shape, small, large, gradient),
        // Sums over positions gain from fewer products however few the positions are.
        Algorithm::Direct => few_products(shape, 2, small, large, gradient),
        Algorithm::Winograd(side) => few_products(shape, side, small, large, gradient),
        Algorithm::Picture => picture::weight_gradient(shape, small, large, gradient),
    }
}

/// [`winograd::weight_gradient`] by way of [`Shape::whole`].
fn few_products(shape: Shape, side: usize, small: &[f32], large: &[f32], gradient: &mut [f32]) {
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

    /// Calls `visit(small index, large index, weight index)` for every product the convolution is made of.
    fn products(shape: Shape, mut visit: impl FnMut(usize, usize, usize)) {
        let Shape { batch, height, width, small, large, kernel, stride, .. } = shape;
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

    fn assert_close(found: &[f32], exact: &[f64]) {
        let scale = exact.iter().fold(0.0f64, |most, v| most.max(v.abs())).max(1e-3);
        for (i, (found, exact)) in found.iter().zip(exact).enumerate() {
            assert!((f64::from(*found) - exact).abs() <= 1e-4 * scale, "{i}: {found} is not {exact}");
        }
    }

    fn check(shape: Shape) {
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
            down(shape, &large, &pack(shape, Way::Down, algorithm, &weights), &mut to_small);
            up(shape, &small, &pack(shape, Way::Up, algorithm, &weights), &mut to_large);
            weight_gradient(shape, algorithm, &small, &large, &mut gradient);
            assert_close(&to_small, &exact[0]);
            assert_close(&to_large, &exact[1]);
            assert_close(&gradient, &exact[2]);
        }
    }

    /// Kernel, stride and zeros before it: every one that a network can have.
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
        // Those of other programs' networks.
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
            check(Shape { batch, height, width, small, large, kernel, stride, before });
        }
    }

    #[test]
    fn few_products_are_for_many_maps_and_positions() {
        let shape = Shape { batch: 64, height: 4, width: 4, small: 512, large: 256, kernel: 4, stride: 2, before: 1 };
        assert_eq!(Algorithm::of(shape, true), Algorithm::Winograd(2));
        assert_eq!(Algorithm::of(shape, false), Algorithm::Direct);
        assert_eq!(Algorithm::of(Shape { batch: 1, ..shape }, true), Algorithm::Direct);
        assert_eq!(Algorithm::of(Shape { height: 8, width: 8, ..shape }, false), Algorithm::Winograd(2));
        assert_eq!(Algorithm::of(Shape { height: 16, width: 16, ..shape }, false), Algorithm::Winograd(4));
        assert_eq!(Algorithm::of(Shape { height: 16, width: 16, ..shape }, true), Algorithm::Winograd(4));
        assert_eq!(Algorithm::of(Shape { large: 3, ..shape }, true), Algorithm::Picture);
        let stride_1 = Shape { height: 16, width: 16, kernel: 3, stride: 1, ..shape };
        assert_eq!(Algorithm::of(stride_1, true), Algorithm::Winograd(4));
        assert_eq!(Algorithm::of(Shape { kernel: 5, before: 2, ..stride_1 }, true), Algorithm::Direct);
    }

    #[test]
    fn maps_deeper_and_grids_larger_than_one_block_agree_too() {
        let strided = Shape { batch: 1, height: 2, width: 3, small: 65, large: 200, kernel: 4, stride: 2, before: 1 };
        check(strided);
        check(Shape { kernel: 3, ..strided });
        check(Shape { kernel: 3, stride: 1, ..strided });
        let strided = Shape { kernel: 5, before: 2, ..strided };
        check(Shape { stride: 1, ..strided });
        check(Shape { batch: 3, height: 9, width: 11, small: 5, large: 3, ..strided });
        check(Shape { batch: 3, height: 9, width: 11, small: 21, large: 19, before: 1, ..strided });
        check(Shape { batch: 3, height: 19, width: 11, small: 21, large: 19, stride: 1, ..strided });
        check(Shape { batch: 2, height: 2, width: 2, small: 230, large: 17, ..strided });
    }
}
