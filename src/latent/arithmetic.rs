//! Arithmetic with concepts (section 6.3.2, figures 7 and 8): averages of exemplars, added and taken away.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::vector::{along, lerp, mean, norm};
use crate::image::{Picture, Sheet};
use crate::model::Prior;

/// Width of the uniform noise of the neighbours round a result (figure 7).
pub const NOISE: f32 = 0.25;

/// Why there is no result.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArithmeticError {
    /// A tray has nothing in it.
    #[error("tray {0} is empty; give each at least one sample (the paper averages three)")]
    Empty(usize),
    /// Nothing at all.
    #[error("there is nothing to add up; fill at least one tray")]
    Nothing,
    /// Two z's are not of one width.
    #[error("a z of {found} numbers was met where this model's have {wanted}")]
    Width {
        /// What it has.
        found: usize,
        /// What it must have.
        wanted: usize,
    },
}

/// One tray: exemplars of a concept, added or taken away.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// Whether it is taken away.
    pub minus: bool,
    /// The exemplars' z's.
    pub exemplars: Vec<Vec<f32>>,
}

impl Term {
    pub(super) fn sign(&self) -> f32 {
        if self.minus { -1.0 } else { 1.0 }
    }
}

/// Averages each tray and adds them up by their signs.
///
/// # Errors
/// [`ArithmeticError`] naming the tray that is empty (counted from 1), or the z of another width.
pub fn result(terms: &[Term]) -> Result<Vec<f32>, ArithmeticError> {
    let wanted = terms.iter().flat_map(|term| &term.exemplars).map(Vec::len).next();
    let wanted = wanted.ok_or(ArithmeticError::Nothing)?;
    let mut sum = vec![0.0; wanted];
    for (i, term) in terms.iter().enumerate() {
        if let Some(odd) = term.exemplars.iter().find(|z| z.len() != wanted) {
            return Err(ArithmeticError::Width { found: odd.len(), wanted });
        }
        let average = mean(&term.exemplars).ok_or(ArithmeticError::Empty(i + 1))?;
        sum = along(&sum, &average, term.sign());
    }
    Ok(sum)
}

/// The result in the middle of eight neighbours, uniform noise of +-[`NOISE`] added to each: nine z's, row by row.
pub fn neighbourhood(z: &[f32], seed: u64) -> Vec<Vec<f32>> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..9)
        .map(|i| match i {
            4 => z.to_vec(),
            _ => z.iter().map(|v| v + (rng.random::<f32>() * 2.0 - 1.0) * NOISE).collect(),
        })
        .collect()
}

/// A sum worked out: every z that figure 7 draws.
#[derive(Debug, Clone, PartialEq)]
pub struct Sum {
    /// What is added and taken away.
    pub terms: Vec<Term>,
    /// Each term's average.
    pub averages: Vec<Vec<f32>>,
    /// The result, brought back to the prior where that was asked for.
    pub z: Vec<f32>,
    /// How well the sum fits the prior as it came out.
    pub fit: Fit,
    /// The result among its neighbours.
    pub around: Vec<Vec<f32>>,
}

impl Sum {
    /// Adds up `terms`; `inside` brings the result back to the prior, `seed` gives the neighbours' noise.
    ///
    /// # Errors
    /// As [`result`].
    pub fn new(terms: Vec<Term>, prior: Prior, inside: bool, seed: u64) -> Result<Self, ArithmeticError> {
        let sum = result(&terms)?;
        let fit = fit(prior, &sum);
        let z = if inside { back_to_prior(prior, &sum) } else { sum };
        let averages = terms.iter().filter_map(|term| mean(&term.exemplars)).collect();
        Ok(Self { averages, fit, around: neighbourhood(&z, seed), z, terms })
    }

    /// All exemplars, term by term.
    pub fn exemplars(&self) -> Vec<Vec<f32>> {
        self.terms.iter().flat_map(|term| term.exemplars.iter().cloned()).collect()
    }

    /// The pictures of [`Self::exemplars`], term by term again.
    fn by_term(&self, exemplars: &[Picture]) -> Vec<(bool, Vec<Picture>)> {
        let mut left = exemplars.iter().cloned();
        self.terms.iter().map(|term| (term.minus, left.by_ref().take(term.exemplars.len()).collect())).collect()
    }

    /// The same arithmetic with the exemplars' pictures.
    pub fn in_pixels(&self, exemplars: &[Picture]) -> Option<Picture> {
        in_pixels(&self.by_term(exemplars))
    }

    /// Figure 7, from the pictures of [`Self::exemplars`], of the averages and of the result among its neighbours.
    pub fn figure(&self, exemplars: &[Picture], averages: &[Picture], around: &[Picture]) -> Option<Figure> {
        let pixels = self.in_pixels(exemplars)?;
        let trays = self.by_term(exemplars).into_iter().zip(averages.iter().cloned());
        let trays = trays.map(|((minus, pictures), average)| (minus, pictures, average)).collect();
        Some(Figure { trays, results: around.to_vec(), pixels, maps: Vec::new() })
    }
}

/// The same arithmetic with the exemplars' pictures: what it gives without a latent space. `pictures` are those of each
/// term's exemplars.
pub fn in_pixels(terms: &[(bool, Vec<Picture>)]) -> Option<Picture> {
    let first = terms.iter().find_map(|(_, pictures)| pictures.first())?;
    let mut sum = vec![0.0f32; first.pixels().len()];
    for (minus, pictures) in terms {
        let share = if *minus { -1.0 } else { 1.0 } / pictures.len().max(1) as f32;
        for picture in pictures {
            for (sum, &pixel) in sum.iter_mut().zip(picture.pixels()) {
                *sum += share * f32::from(pixel);
            }
        }
    }
    let pixels = sum.iter().map(|v| v.round().clamp(0.0, 255.0) as u8).collect();
    Some(Picture::new(first.width(), first.height(), first.channels(), pixels))
}

/// How well a z belongs to the prior.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Fit {
    /// Its length.
    pub norm: f32,
    /// The length that z's of the prior have on average.
    pub expected: f32,
    /// How many standard deviations its length is from that.
    pub deviations: f32,
}

impl Fit {
    /// Whether so far out is hardly ever drawn: the generator was never asked for such a z.
    pub fn outside(&self) -> bool {
        self.deviations.abs() > 4.0
    }
}

/// Measures the length of `z` against the prior's.
pub fn fit(prior: Prior, z: &[f32]) -> Fit {
    let dim = z.len() as f32;
    // The squared length is a sum of independent squares: mean 1/3 and variance 4/45 each where uniform, 1 and 2 where normal.
    let (mean, variance) = match prior {
        Prior::Uniform => (1.0 / 3.0, 4.0 / 45.0),
        Prior::Normal => (1.0, 2.0),
    };
    let expected = (mean * dim).sqrt();
    let spread = (variance * dim).sqrt() / (2.0 * expected);
    let norm = norm(z);
    Fit { norm, expected, deviations: (norm - expected) / spread }
}

/// The nearest z in the same direction that has the prior's length; where the prior is a box, inside it.
pub fn back_to_prior(prior: Prior, z: &[f32]) -> Vec<f32> {
    let fit = fit(prior, z);
    let factor = if fit.norm > 0.0 { fit.expected / fit.norm } else { 1.0 };
    let scaled = z.iter().map(|v| v * factor);
    match prior {
        Prior::Uniform => scaled.map(|v| v.clamp(-1.0, 1.0)).collect(),
        Prior::Normal => scaled.collect(),
    }
}

/// Steps of the way from one average to another (figure 8): `rows` samples moved along the turn from `from` to `to`, each
/// in `steps` z's from the one end to the other.
///
/// # Errors
/// [`ArithmeticError::Empty`] where a side has no exemplars.
pub fn turn(
    from: &[Vec<f32>],
    to: &[Vec<f32>],
    rows: &[Vec<f32>],
    steps: usize,
) -> Result<Vec<Vec<Vec<f32>>>, ArithmeticError> {
    let from = mean(from).ok_or(ArithmeticError::Empty(1))?;
    let to = mean(to).ok_or(ArithmeticError::Empty(2))?;
    let turn = along(&to, &from, -1.0);
    let row = |z: &Vec<f32>| {
        let (start, end) = (along(z, &turn, -0.5), along(z, &turn, 0.5));
        (0..steps).map(|step| lerp(&start, &end, step as f32 / (steps.max(2) - 1) as f32)).collect()
    };
    Ok(rows.iter().map(row).collect())
}

/// Pictures of figure 7.
#[derive(Debug, Clone)]
pub struct Figure {
    /// Each tray: whether it is taken away, its exemplars, and their average's picture.
    pub trays: Vec<(bool, Vec<Picture>, Picture)>,
    /// The result among its neighbours, row by row.
    pub results: Vec<Picture>,
    /// The same in pixels.
    pub pixels: Picture,
    /// The same in the feature maps of each hidden layer, where they are wanted: the paper shows none.
    pub maps: Vec<Picture>,
}

impl Figure {
    /// The sheet: trays from left to right with their signs, each average beneath its exemplars, the nine results; and
    /// under them the arithmetic on pixels. The last row is of the arithmetic on feature maps, if there is any.
    pub fn sheet(&self) -> Picture {
        let (w, h) = (self.pixels.width(), self.pixels.height());
        let tall = self.trays.iter().map(|(_, pictures, _)| pictures.len()).max().unwrap_or(1).max(3);
        let sign = w / 2;
        let channels = self.pixels.channels();
        let left = self.trays.len() * (w + sign);
        let maps_y = (tall + 1) * (h + 2) + h / 2;
        let height = if self.maps.is_empty() { maps_y - h / 4 } else { maps_y + h };
        let width = (left + sign / 2 + 3 * (w + 2)).max(self.maps.len() * (w + 2));
        let mut sheet = Sheet::new(width, height, channels);
        let average_y = tall * (h + 2) + h / 4;
        for (i, (minus, exemplars, average)) in self.trays.iter().enumerate() {
            let x = i * (w + sign);
            for (row, picture) in exemplars.iter().enumerate() {
                sheet.put(picture, x, row * (h + 2));
            }
            sheet.put(average, x, average_y);
            if i > 0 {
                sheet.bar(x - sign + sign / 4, average_y + h / 2 - 1, sign / 2, 3);
                if !minus {
                    sheet.bar(x - sign / 2 - 1, average_y + h / 2 - sign / 4, 3, sign / 2);
                }
            }
        }
        for (i, picture) in self.results.iter().enumerate() {
            sheet.put(picture, left + sign / 2 + i % 3 * (w + 2), i / 3 * (h + 2));
        }
        for y in [average_y + h / 2 - 5, average_y + h / 2 + 3] {
            sheet.bar(left - sign + sign / 4, y, sign / 2, 3);
        }
        sheet.put(&self.pixels, left + sign / 2 + w + 2, average_y);
        for (i, picture) in self.maps.iter().enumerate() {
            sheet.put(picture, i * (w + 2), maps_y);
        }
        sheet.into_picture()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::numbered;

    fn term(minus: bool, exemplars: &[[f32; 2]]) -> Term {
        Term { minus, exemplars: exemplars.iter().map(|z| z.to_vec()).collect() }
    }

    #[test]
    fn averages_are_added_and_taken_away() {
        let terms = [
            term(false, &[[1.0, 0.0], [3.0, 0.0]]),
            term(true, &[[1.0, 1.0]]),
            term(false, &[[0.0, 5.0], [0.0, 7.0], [0.0, 6.0]]),
        ];
        assert_eq!(result(&terms), Ok(vec![1.0, 5.0]));
        assert_eq!(result(&[term(false, &[[1.0, 0.0]]), term(true, &[])]), Err(ArithmeticError::Empty(2)));
        assert_eq!(result(&[]), Err(ArithmeticError::Nothing));
        let odd = Term { minus: true, exemplars: vec![vec![0.0; 3]] };
        assert_eq!(result(&[term(false, &[[1.0, 0.0]]), odd]), Err(ArithmeticError::Width { found: 3, wanted: 2 }));
    }

    #[test]
    fn neighbours_are_near_and_the_result_is_in_the_middle() {
        let around = neighbourhood(&[1.0, 2.0, 3.0], 7);
        assert_eq!(around.len(), 9);
        assert_eq!(around[4], [1.0, 2.0, 3.0]);
        let far = |z: &Vec<f32>| z.iter().zip([1.0, 2.0, 3.0]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(around.iter().enumerate().all(|(i, z)| i == 4 || (far(z) > 0.0 && far(z) <= NOISE)));
        assert_eq!(around, neighbourhood(&[1.0, 2.0, 3.0], 7));
    }

    #[test]
    fn drawn_zs_fit_their_prior_and_sums_do_not() {
        for prior in [Prior::Uniform, Prior::Normal] {
            let z: Vec<_> = (0..200).map(|i| numbered(prior, 100, 1, i)).collect();
            let off: Vec<f32> = z.iter().map(|z| fit(prior, z).deviations).collect();
            let spread = (off.iter().map(|d| d * d).sum::<f32>() / 200.0).sqrt();
            assert!((spread - 1.0).abs() < 0.2, "{prior}: {spread}");
            let sum = along(&along(&z[0], &z[1], 1.0), &z[2], 1.0);
            assert!(fit(prior, &sum).outside());
            assert!(!fit(prior, &back_to_prior(prior, &sum)).outside());
        }
    }

    #[test]
    fn a_turn_goes_from_one_side_to_the_other() {
        let rows = turn(&[vec![0.0]], &[vec![2.0]], &[vec![5.0]], 11).unwrap();
        assert_eq!((rows.len(), rows[0].len()), (1, 11));
        assert_eq!((rows[0][0][0], rows[0][5][0], rows[0][10][0]), (4.0, 5.0, 6.0));
        assert_eq!(turn(&[], &[vec![2.0]], &[], 11), Err(ArithmeticError::Empty(1)));
    }

    #[test]
    fn pixels_add_up_too() {
        let grey = |value| Picture::new(1, 1, 1, vec![value]);
        let terms = [(false, vec![grey(100), grey(200)]), (true, vec![grey(50)]), (false, vec![grey(10)])];
        assert_eq!(in_pixels(&terms).unwrap().pixels(), [110]);
        assert!(in_pixels(&[]).is_none());
    }
}
