//! Two or four neighbouring outputs of a short filter by fewer products (Winograd 1980; Lavin and Gray 2015).
//!
//! Two outputs of two taps take three products instead of four, four take five instead of eight; of three taps two outputs
//! take four instead of six, and four take six instead of twelve. In two dimensions the shares are the squares. Filter and
//! inputs are polynomials, multiplied at the points 0, 1, (-1, 2, -2), and infinity, in this order, as many as are needed.
//! The factors of two outputs are 0, 1, -1 and one half, so hardly any precision is lost; of four they go up to 8 and down
//! to 1/24, which costs about a digit of seven.

use pulp::Simd;

use super::super::shape::Shape;

/// Points of an axis, at most.
pub const POINTS: usize = 6;
/// Neighbouring outputs of an axis, at most.
pub const OUTPUTS: usize = 4;

/// One half of an axis that a strided kernel sees as two interleaved ones, and its filter: every other tap. A kernel of stride
/// 1 sees one, and has all taps.
#[derive(Clone, Debug)]
pub struct Half {
    /// Which of the two.
    pub parity: usize,
    /// Where the first tap's input lies, counted from a position of the small map.
    pub first: isize,
    /// The kernel's rows (or columns) in the order of their inputs: two or three.
    pub taps: Vec<usize>,
}

impl Half {
    /// What makes the outputs of each parity of a fractionally-strided convolution.
    pub fn of_outputs(shape: Shape) -> Vec<Self> {
        Self::all(shape, -1)
    }

    /// What meets the inputs of each parity of a strided convolution.
    pub fn of_inputs(shape: Shape) -> Vec<Self> {
        Self::all(shape, 1)
    }

    fn all(shape: Shape, sign: isize) -> Vec<Self> {
        let (padding, step) = (shape.padding(), sign * shape.stride as isize);
        let half = |parity| Self::new(parity, shape.kernel, |offset| parity as isize + padding + step * offset);
        (0..shape.stride).map(half).collect()
    }

    fn new(parity: usize, kernel: usize, tap: impl Fn(isize) -> isize) -> Self {
        let met = |offset| usize::try_from(tap(offset)).ok().filter(|&tap| tap < kernel);
        let offsets = (-1..=1).filter(|&offset| met(offset).is_some());
        Self { parity, first: offsets.clone().min().unwrap_or(0), taps: offsets.filter_map(met).collect() }
    }

    /// How many points its filter needs for so many outputs; also how many inputs these have.
    pub fn points(&self, outputs: usize) -> usize {
        self.taps.len() + outputs - 1
    }

    /// What each tap counts for at each point.
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

/// Arithmetic of the schemes. Methods, since closures would be compiled without the machine's vector instructions.
#[derive(Clone, Copy)]
struct By<S>(S);

impl<S: Simd> By<S> {
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

/// A linear map of a tile's rows, and of its columns. A trait, since a function that is handed over would not be inlined.
pub trait Line {
    /// How many values it takes for so many points.
    fn values(points: usize) -> usize;

    /// What it makes of `values` for so many points: three or four for two outputs, five or six for four.
    fn line<S: Simd>(simd: S, points: usize, values: [S::f32s; POINTS]) -> [S::f32s; POINTS];
}

/// The inputs of neighbouring outputs, at each point.
pub struct ToPoints;

impl Line for ToPoints {
    #[inline(always)]
    fn values(points: usize) -> usize {
        points
    }

    #[inline(always)]
    fn line<S: Simd>(simd: S, points: usize, inputs: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
        let [a, b, c, d, e, f] = inputs;
        let by = By(simd);
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

/// The outputs of products at each point: two of three or four, four of five or six.
#[inline(always)]
pub fn outputs<S: Simd>(simd: S, points: usize, products: [S::f32s; POINTS]) -> [S::f32s; OUTPUTS] {
    let [a, b, c, d, e, f] = products;
    let by = By(simd);
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

/// What comes back from the outputs to the products at each point, [`outputs`] transposed.
pub struct BackToPoints;

impl Line for BackToPoints {
    #[inline(always)]
    fn values(points: usize) -> usize {
        if points < 5 { 2 } else { OUTPUTS }
    }

    #[inline(always)]
    fn line<S: Simd>(simd: S, points: usize, outputs: [S::f32s; POINTS]) -> [S::f32s; POINTS] {
        let [a, b, c, d, ..] = outputs;
        let by = By(simd);
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
