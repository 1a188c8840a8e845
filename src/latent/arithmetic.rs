//! Vector arithmetic on z (section 6.3.2 of the paper): sums of averaged exemplars (figure 7) and the turn vector
//! (figure 8).
//!
//! A [`Term`] averages its exemplars and is added or subtracted. [`ArithmeticResult::new`] computes every z of figure
//! 7, and [`turn_rows`] those of figure 8.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

pub use super::arithmetic_figure::ArithmeticFigure;
use super::vector::{add_scaled, lerp, mean};
use crate::image::Picture;
use crate::model::{NormFit, Prior};

/// Half the width of the uniform noise that gives the result its neighbors (figure 7).
pub const NEIGHBOR_NOISE: f32 = 0.25;

/// Why terms cannot be added.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArithmeticError {
    /// A term has no exemplars. Terms count from 1.
    #[error("tray {0} is empty; give each at least one sample (the paper averages three)")]
    EmptyTerm(usize),
    /// No term has an exemplar.
    #[error("there is nothing to add up; fill at least one tray")]
    NoExemplars,
    /// The z's have different dimensions.
    #[error("one z has {found} dimensions, but the others have {wanted}")]
    Dimensions {
        /// The dimensions of the odd one.
        found: usize,
        /// The dimensions of the first one.
        wanted: usize,
    },
}

/// A concept in a sum: the average of its exemplars, added or subtracted.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Whether it is subtracted.
    pub minus: bool,
    /// The z's to average.
    pub exemplars: Vec<Vec<f32>>,
}

impl Term {
    /// 1, or -1 if it is subtracted.
    pub(super) fn sign(&self) -> f32 {
        if self.minus { -1.0 } else { 1.0 }
    }
}

/// Adds the averages of all terms by their signs.
///
/// # Errors
/// [`ArithmeticError`] if a term is empty or the z's have different dimensions.
pub fn sum_terms(terms: &[Term]) -> Result<Vec<f32>, ArithmeticError> {
    let wanted = terms.iter().flat_map(|term| &term.exemplars).map(Vec::len).next();
    let wanted = wanted.ok_or(ArithmeticError::NoExemplars)?;
    let mut sum = vec![0.0; wanted];
    for (i, term) in terms.iter().enumerate() {
        if let Some(odd) = term.exemplars.iter().find(|z| z.len() != wanted) {
            return Err(ArithmeticError::Dimensions { found: odd.len(), wanted });
        }
        let average = mean(&term.exemplars).ok_or(ArithmeticError::EmptyTerm(i + 1))?;
        sum = add_scaled(&sum, &average, term.sign());
    }
    Ok(sum)
}

/// A 3x3 grid of z's, row by row: `z` in the middle, and around it eight copies with uniform noise in
/// +-[`NEIGHBOR_NOISE`].
pub fn noisy_neighbors(z: &[f32], seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..9)
        .map(|i| match i {
            4 => z.to_vec(),
            _ => z.iter().map(|v| v + (rng.random::<f32>() * 2.0 - 1.0) * NEIGHBOR_NOISE).collect(),
        })
        .collect()
}

/// The result of vector arithmetic, with every z of figure 7.
#[derive(Debug, Clone, PartialEq)]
pub struct ArithmeticResult {
    /// The terms.
    pub terms: Vec<Term>,
    /// The average of each term.
    pub averages: Vec<Vec<f32>>,
    /// The sum, normalized to the prior's length if requested.
    pub z: Vec<f32>,
    /// The norm of the sum before normalization.
    pub norm_fit: NormFit,
    /// The result among its [`noisy_neighbors`].
    pub neighbors: Vec<Vec<f32>>,
}

impl ArithmeticResult {
    /// Adds `terms`. `normalize` scales the result to the prior's length; `seed` determines the neighbors' noise.
    ///
    /// # Errors
    /// As [`sum_terms`].
    pub fn new(terms: Vec<Term>, prior: Prior, normalize: bool, seed: u64) -> Result<Self, ArithmeticError> {
        let sum = sum_terms(&terms)?;
        let norm_fit = prior.norm_fit(&sum);
        let z = if normalize { prior.normalize_length(&sum) } else { sum };
        let averages = terms.iter().filter_map(|term| mean(&term.exemplars)).collect();
        Ok(Self { averages, norm_fit, neighbors: noisy_neighbors(&z, seed), z, terms })
    }

    /// All exemplars, term by term.
    pub fn exemplars(&self) -> Vec<Vec<f32>> {
        self.terms.iter().flat_map(|term| term.exemplars.iter().cloned()).collect()
    }

    /// Splits the pictures of [`Self::exemplars`] by term.
    fn by_term(&self, exemplars: &[Picture]) -> Vec<(bool, Vec<Picture>)> {
        let mut rest = exemplars.iter().cloned();
        self.terms.iter().map(|term| (term.minus, rest.by_ref().take(term.exemplars.len()).collect())).collect()
    }

    /// [`pixel_arithmetic`] with the pictures of [`Self::exemplars`].
    pub fn pixel_arithmetic(&self, exemplars: &[Picture]) -> Option<Picture> {
        pixel_arithmetic(&self.by_term(exemplars))
    }

    /// Figure 7, from the pictures of [`Self::exemplars`], of the averages, and of the result among its neighbors.
    pub fn figure(
        &self,
        exemplars: &[Picture],
        averages: &[Picture],
        neighbors: &[Picture],
    ) -> Option<ArithmeticFigure> {
        let pixels = self.pixel_arithmetic(exemplars)?;
        let trays = self.by_term(exemplars).into_iter().zip(averages.iter().cloned());
        let trays = trays.map(|((minus, pictures), average)| (minus, pictures, average)).collect();
        Some(ArithmeticFigure { trays, results: neighbors.to_vec(), pixels, maps: Vec::new() })
    }
}

/// The same arithmetic on pixels, for comparison. Each term is whether it is subtracted, and the pictures of its
/// exemplars.
pub fn pixel_arithmetic(terms: &[(bool, Vec<Picture>)]) -> Option<Picture> {
    let first = terms.iter().find_map(|(_, pictures)| pictures.first())?;
    let mut sum = vec![0.0f32; first.pixels().len()];
    for (minus, pictures) in terms {
        let weight = if *minus { -1.0 } else { 1.0 } / pictures.len().max(1) as f32;
        for picture in pictures {
            for (sum, &pixel) in sum.iter_mut().zip(picture.pixels()) {
                *sum += weight * f32::from(pixel);
            }
        }
    }
    let pixels = sum.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    Some(Picture::new(first.width(), first.height(), first.channels(), pixels))
}

/// Interpolations along the turn vector (figure 8). The turn vector goes from the average of `from` to the average of
/// `to`. Each z of `rows` gives a row of `steps` z's, from half a turn vector before it to half a turn vector after
/// it.
///
/// # Errors
/// [`ArithmeticError::EmptyTerm`] with 1 if `from` is empty, 2 if `to` is.
pub fn turn_rows(
    from: &[Vec<f32>],
    to: &[Vec<f32>],
    rows: &[Vec<f32>],
    steps: usize,
) -> Result<Vec<Vec<Vec<f32>>>, ArithmeticError> {
    let from = mean(from).ok_or(ArithmeticError::EmptyTerm(1))?;
    let to = mean(to).ok_or(ArithmeticError::EmptyTerm(2))?;
    let turn = add_scaled(&to, &from, -1.0);
    let row = |z: &Vec<f32>| {
        let (start, end) = (add_scaled(z, &turn, -0.5), add_scaled(z, &turn, 0.5));
        (0..steps).map(|step| lerp(&start, &end, step as f32 / (steps.max(2) - 1) as f32)).collect()
    };
    Ok(rows.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn term(minus: bool, exemplars: &[[f32; 2]]) -> Term {
        Term { minus, exemplars: exemplars.iter().map(|z| z.to_vec()).collect() }
    }

    #[test]
    fn averages_are_added_and_subtracted() {
        let terms = [
            term(false, &[[1.0, 0.0], [3.0, 0.0]]),
            term(true, &[[1.0, 1.0]]),
            term(false, &[[0.0, 5.0], [0.0, 7.0], [0.0, 6.0]]),
        ];
        assert_eq!(sum_terms(&terms), Ok(vec![1.0, 5.0]));
        assert_eq!(sum_terms(&[term(false, &[[1.0, 0.0]]), term(true, &[])]), Err(ArithmeticError::EmptyTerm(2)));
        assert_eq!(sum_terms(&[]), Err(ArithmeticError::NoExemplars));
        let odd = Term { minus: true, exemplars: vec![vec![0.0; 3]] };
        assert_eq!(
            sum_terms(&[term(false, &[[1.0, 0.0]]), odd]),
            Err(ArithmeticError::Dimensions { found: 3, wanted: 2 })
        );
    }

    #[test]
    fn neighbors_surround_the_result() {
        let neighbors = noisy_neighbors(&[1.0, 2.0, 3.0], 7);
        assert_eq!(neighbors.len(), 9);
        assert_eq!(neighbors[4], [1.0, 2.0, 3.0]);
        let distance = |z: &Vec<f32>| z.iter().zip([1.0, 2.0, 3.0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(
            neighbors.iter().enumerate().all(|(i, z)| i == 4 || (distance(z) > 0.0 && distance(z) <= NEIGHBOR_NOISE))
        );
        assert_eq!(neighbors, noisy_neighbors(&[1.0, 2.0, 3.0], 7));
    }

    #[test]
    fn turn_rows_go_from_half_a_turn_before_to_half_a_turn_after() {
        let rows = turn_rows(&[vec![0.0]], &[vec![2.0]], &[vec![5.0]], 11).unwrap();
        assert_eq!((rows.len(), rows[0].len()), (1, 11));
        assert_eq!((rows[0][0][0], rows[0][5][0], rows[0][10][0]), (4.0, 5.0, 6.0));
        assert_eq!(turn_rows(&[], &[vec![2.0]], &[], 11), Err(ArithmeticError::EmptyTerm(1)));
    }

    #[test]
    fn pixel_arithmetic_averages_and_adds() {
        let gray = |value| Picture::new(1, 1, 1, vec![value]);
        let terms = [(false, vec![gray(100), gray(200)]), (true, vec![gray(50)]), (false, vec![gray(10)])];
        assert_eq!(pixel_arithmetic(&terms).unwrap().pixels(), [110]);
        assert!(pixel_arithmetic(&[]).is_none());
    }
}
