//! Winograd schemes: two or four neighboring outputs of a short filter with fewer multiplications (Winograd 1980;
//! Lavin and Gray 2015).
//!
//! Two outputs of a two-tap filter take three multiplications instead of four, four outputs take five instead of
//! eight; with three taps, two outputs take four instead of six, and four take six instead of twelve. In two
//! dimensions these ratios are squared. Filter and input are polynomials, evaluated at the points 0, 1, (-1, 2, -2)
//! and infinity, in this order, as many as are needed. The factors for two outputs are 0, 1, -1 and 1/2, so almost no
//! precision is lost; for four outputs they range from 1/24 to 8, which costs about one of seven decimal digits.

use pulp::Simd;

use super::super::shape::ConvShape;

/// Maximum points per axis.
pub const POINTS: usize = 6;
/// Maximum neighboring outputs per axis.
pub const OUTPUTS: usize = 4;

/// Every other position of an axis as seen by a strided kernel, and the filter taps that meet it. A kernel of stride
/// 1 has a single "half" with all taps.
#[derive(Clone, Debug)]
pub struct AxisHalf {
    /// Parity of the positions.
    pub parity: usize,
    /// Input offset of the first tap, relative to the position in the small map.
    pub first: isize,
    /// Kernel rows (or columns) in input order: two or three.
    pub taps: Vec<usize>,
}

impl AxisHalf {
    /// The halves that produce each output parity of a fractionally-strided convolution.
    pub fn of_outputs(shape: ConvShape) -> Vec<Self> {
        Self::all(shape, -1)
    }

    /// The halves that meet each input parity of a strided convolution.
    pub fn of_inputs(shape: ConvShape) -> Vec<Self> {
        Self::all(shape, 1)
    }

    fn all(shape: ConvShape, sign: isize) -> Vec<Self> {
        let (padding, step) = (shape.padding(), sign * shape.stride as isize);
        let half = |parity| Self::new(parity, shape.kernel, |offset| parity as isize + padding + step * offset);
        (0..shape.stride).map(half).collect()
    }

    fn new(parity: usize, kernel: usize, tap: impl Fn(isize) -> isize) -> Self {
        let met = |offset| usize::try_from(tap(offset)).ok().filter(|&tap| tap < kernel);
        let offsets = (-1..=1).filter(|&offset| met(offset).is_some());
        Self { parity, first: offsets.clone().min().unwrap_or(0), taps: offsets.filter_map(met).collect() }
    }

    /// Number of points for the given number of outputs; also the number of inputs.
    pub fn points(&self, outputs: usize) -> usize {
        self.taps.len() + outputs - 1
    }

    /// Factor of each tap at each point.
    pub fn factors(&self, outputs: usize) -> &'static [&'static [f32]] {
        match (outputs, self.taps.len()) {
            (2, 2) => &[&[1.0, 0.0], &[1.0, 1.0], &[0.0, 1.0]],
            (2, _) => &[&[1.0, 0.0, 0.0], &[0.5, 0.5, 0.5], &[0.5, -0.5, 0.5], &[0.0, 0.0, 1.0]],
            (_, 2) => &[&[0.5, 0.0], &[-0.5, -0.5], &[-1.0 / 6.0, 1.0 / 6.0], &[1.0 / 6.0, 1.0 / 3.0], &[0.0, 1.0]],
            _ => &[
                &[0.25, 0.0, 0.0],
                &[-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
                &[-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
                &[1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
                &[1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
                &[0.0, 0.0, 1.0],
            ],
        }
    }
}

/// Vector arithmetic of the schemes. Methods, because closures would be compiled without vector instructions.
#[derive(Clone, Copy)]
struct VectorOps<S>(S);

impl<S: Simd> VectorOps<S> {
    #[inline(always)]
    fn add(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }

    #[inline(always)]
    fn less(self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.sub_f32s(a, b)
    }

    #[inline(always)]
    fn negative(self, a: S::f32s) -> S::f32s {
        self.0.neg_f32s(a)
    }

    /// `factor * a + plus`
    #[inline(always)]
    fn times(self, factor: f32, a: S::f32s, plus: S::f32s) -> S::f32s {
        self.0.mul_add_f32s(self.0.splat_f32s(factor), a, plus)
    }
}

/// A linear transform along rows, and along columns, of a tile. A trait, because a function pointer would not be
/// inlined.
pub trait AxisTransform {
    /// Number of input values for the given number of points.
    fn values(points: usize) -> usize;

    /// Transforms `values`: three or four points for two outputs, five or six for four.
    fn line<S: Simd>(simd: S, points: usize, values: [S::f32s; POINTS]) -> [S::f32s; POINTS];
}

/// Input transform: inputs of neighboring outputs to points.
pub struct ToPoints;

impl AxisTransform for ToPoints {
    #[inline(always)]
    fn values(points: usize) -> usize {
        points
    }

    #[inline(always)]
    fn line<S: Simd>(simd: S, points: usize, inputs: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
        let [a, b, c, d, e, f] = inputs;
        let by = VectorOps(simd);
        match points {
            3 => [by.less(a, b), b, by.less(b, c), d, e, f],
            4 => [by.less(a, c), by.add(b, c), by.less(c, b), by.less(b, d), e, f],
            5 => {
                let at_two = by.less(d, b);
                [
                    by.times(2.0, by.less(a, c), at_two),
                    by.less(at_two, by.add(b, c)),
                    by.times(3.0, by.less(b, c), at_two),
                    at_two,
                    by.times(-2.0, at_two, by.less(e, c)),
                    f,
                ]
            }
            _ => {
                let (even, odd) = (by.times(-4.0, c, e), by.times(-4.0, b, d));
                let (even2, odd2) = (by.less(e, c), by.less(d, b));
                [
                    by.times(4.0, by.less(a, c), even2),
                    by.add(even, odd),
                    by.less(even, odd),
                    by.times(2.0, odd2, even2),
                    by.times(-2.0, odd2, even2),
                    by.times(4.0, by.less(b, d), by.less(f, d)),
                ]
            }
        }
    }
}

/// Output transform: two outputs of three or four points, four of five or six.
#[inline(always)]
pub fn outputs<S: Simd>(simd: S, points: usize, products: [S::f32s; POINTS]) -> [S::f32s; OUTPUTS] {
    let [a, b, c, d, e, f] = products;
    let by = VectorOps(simd);
    match points {
        3 => [by.add(a, b), by.less(b, c), c, d],
        4 => [by.add(by.add(a, b), c), by.less(by.less(b, c), d), c, d],
        5 => {
            let (sum, difference) = (by.add(b, c), by.less(b, c));
            [
                by.add(by.add(a, sum), d),
                by.times(2.0, d, difference),
                by.times(4.0, d, sum),
                by.times(8.0, d, by.add(difference, e)),
            ]
        }
        _ => {
            let (sum, difference) = (by.add(b, c), by.less(b, c));
            let (sum2, difference2) = (by.add(d, e), by.less(d, e));
            [
                by.add(by.add(a, sum), sum2),
                by.times(2.0, difference2, difference),
                by.times(4.0, sum2, sum),
                by.times(8.0, difference2, by.add(difference, f)),
            ]
        }
    }
}

/// Transposed output transform: output gradients to points.
pub struct BackToPoints;

impl AxisTransform for BackToPoints {
    #[inline(always)]
    fn values(points: usize) -> usize {
        if points < 5 { 2 } else { OUTPUTS }
    }

    #[inline(always)]
    fn line<S: Simd>(simd: S, points: usize, outputs: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
        let [a, b, c, d, ..] = outputs;
        let by = VectorOps(simd);
        match points {
            3 => [a, by.add(a, b), by.negative(b), c, c, c],
            4 => [a, by.add(a, b), by.less(a, b), by.negative(b), c, c],
            _ => {
                let (even, odd) = (by.add(a, c), by.add(b, d));
                let (even2, odd2) = (by.times(4.0, c, a), by.times(8.0, d, by.add(b, b)));
                let (two, less_two) = (by.add(even2, odd2), by.less(even2, odd2));
                [a, by.add(even, odd), by.less(even, odd), two, if points == 5 { d } else { less_two }, d]
            }
        }
    }
}
