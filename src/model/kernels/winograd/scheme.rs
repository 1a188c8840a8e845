//! Two neighbouring outputs of a short filter by fewer products (Winograd 1980; Lavin and Gray 2015).
//!
//! Two outputs of two taps take three products instead of four, two of three taps take four instead of six; in two
//! dimensions 9 of 16 and 16 of 36. All factors are 0, 1, -1 and one half, so hardly any precision is lost.
//!
//! Filter and inputs are polynomials, multiplied at the points 0, 1, (with three taps) -1, and infinity, in this order.

use pulp::Simd;

/// One half of an axis that a strided kernel sees as two interleaved ones, and its filter: every other tap.
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
    /// What makes the outputs of one parity of a fractionally-strided convolution.
    pub fn of_output(parity: usize, kernel: usize, padding: isize) -> Self {
        Self::new(parity, kernel, |offset| parity as isize + padding - 2 * offset)
    }

    /// What meets the inputs of one parity of a strided convolution.
    pub fn of_input(parity: usize, kernel: usize, padding: isize) -> Self {
        Self::new(parity, kernel, |offset| parity as isize + padding + 2 * offset)
    }

    fn new(parity: usize, kernel: usize, tap: impl Fn(isize) -> isize) -> Self {
        let met = |offset| usize::try_from(tap(offset)).ok().filter(|&tap| tap < kernel);
        let offsets = (-1..=1).filter(|&offset| met(offset).is_some());
        Self { parity, first: offsets.clone().min().unwrap_or(0), taps: offsets.filter_map(met).collect() }
    }

    /// How many points its filter needs; also how many inputs two neighbouring outputs have.
    pub fn points(&self) -> usize {
        self.taps.len() + 1
    }

    /// What each tap counts for at each point.
    pub fn factors(&self) -> &'static [&'static [f32]] {
        match self.taps.len() {
            2 => &[&[1.0, 0.0], &[1.0, 1.0], &[0.0, 1.0]],
            _ => &[&[1.0, 0.0, 0.0], &[0.5, 0.5, 0.5], &[0.5, -0.5, 0.5], &[0.0, 0.0, 1.0]],
        }
    }
}

/// The inputs of two outputs, at each point.
#[inline(always)]
pub fn inputs<S: Simd>(simd: S, points: usize, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 4] {
    if points == 3 {
        [simd.sub_f32s(a, b), b, simd.sub_f32s(b, c), d]
    } else {
        [simd.sub_f32s(a, c), simd.add_f32s(b, c), simd.sub_f32s(c, b), simd.sub_f32s(b, d)]
    }
}

/// The two outputs of products at each point.
#[inline(always)]
pub fn outputs<S: Simd>(simd: S, points: usize, [a, b, c, d]: [S::f32s; 4]) -> [S::f32s; 2] {
    if points == 3 {
        [simd.add_f32s(a, b), simd.sub_f32s(b, c)]
    } else {
        [simd.add_f32s(simd.add_f32s(a, b), c), simd.sub_f32s(simd.sub_f32s(b, c), d)]
    }
}

/// What comes back from two outputs to the products at each point.
#[inline(always)]
pub fn outputs_backward<S: Simd>(simd: S, points: usize, [a, b]: [S::f32s; 2]) -> [S::f32s; 4] {
    let (sum, less) = (simd.add_f32s(a, b), simd.neg_f32s(b));
    if points == 3 { [a, sum, less, less] } else { [a, sum, simd.sub_f32s(a, b), less] }
}
