//! Hyperbolic tangent on the CPU. Burn's is scalar and single-threaded: it took a tenth of the time of generating
//! images.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::memory::zeros;

/// Values per parallel task.
const CHUNK: usize = 1 << 13;
/// Above this, tanh rounds to 1.
const END: f32 = 7.905_311;
/// Coefficients of the odd numerator and the even denominator, highest power first: the rational approximation of
/// Eigen's `ptanh`, accurate to a few units in the last place.
const ABOVE: [f32; 7] =
    [-2.760_768_5e-16, 2.000_188e-13, -8.604_672e-11, 5.122_297e-8, 1.485_722_4e-5, 6.372_619_3e-4, 4.893_524_6e-3];
const BELOW: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];

/// tanh of every value.
pub fn tanh(x: &[f32]) -> Vec<f32> {
    let mut y = zeros(x.len());
    y.par_chunks_mut(CHUNK).zip(x.par_chunks(CHUNK)).for_each(|(y, x)| Arch::new().dispatch(TanhOp { x, y }));
    y
}

/// Turns the gradient of the outputs `y` into the gradient of the inputs.
pub fn back(y: &[f32], gradient: &mut [f32]) {
    gradient.par_chunks_mut(CHUNK).zip(y.par_chunks(CHUNK)).for_each(|(gradient, y)| {
        Arch::new().dispatch(|| {
            for (gradient, y) in gradient.iter_mut().zip(y) {
                *gradient -= *gradient * y * y;
            }
        });
    });
}

struct TanhOp<'a> {
    x: &'a [f32],
    y: &'a mut [f32],
}

impl WithSimd for TanhOp<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let ((x, rest), (y, to)) = (S::as_simd_f32s(self.x), S::as_mut_simd_f32s(self.y));
        for (y, x) in y.iter_mut().zip(x) {
            *y = of(simd, *x);
        }
        simd.partial_store_f32s(to, of(simd, simd.partial_load_f32s(rest)));
    }
}

#[inline(always)]
fn of<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let x = simd.max_f32s(simd.min_f32s(x, simd.splat_f32s(END)), simd.splat_f32s(-END));
    let square = simd.mul_f32s(x, x);
    let (mut above, mut below) = (simd.splat_f32s(0.0), simd.splat_f32s(0.0));
    for factor in ABOVE {
        above = simd.mul_add_f32s(above, square, simd.splat_f32s(factor));
    }
    for factor in BELOW {
        below = simd.mul_add_f32s(below, square, simd.splat_f32s(factor));
    }
    simd.div_f32s(simd.mul_f32s(x, above), below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_as_near_as_floats_are() {
        let x: Vec<f32> = (-100_003..=100_003).map(|i| i as f32 / 5000.0).collect();
        for (x, y) in x.iter().zip(tanh(&x)) {
            let exact = f64::from(*x).tanh();
            assert!((f64::from(y) - exact).abs() <= 4e-7 * exact.abs(), "{x}: {y} is not {exact}");
            assert!(y.abs() <= 1.0);
        }
    }
}
