//! The turn vector and its score (section 6.3.2, figure 8): from the average of four faces that look left to that of four that
//! look right; five other samples are moved along it in eleven steps.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::attributes::FaceAttributes;
use crate::evaluate::statistics::{Estimate, Proportion, bootstrap_mean, pearson};

/// Exemplars of each end.
pub const SIDE: usize = 4;
/// Samples that are moved.
pub const ROWS: usize = 5;
/// Images per row.
pub const STEPS: usize = 11;
/// The least turn of an exemplar, of -1..=1.
pub const FACING: f32 = 0.5;
/// The least correlation of an even turn.
const EVEN: f64 = 0.9;

/// The samples of one turn vector, by index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TurnTrial {
    /// Exemplars that look left.
    pub left: Vec<usize>,
    /// Exemplars that look right.
    pub right: Vec<usize>,
    /// Other samples, which are moved along the vector.
    pub rows: Vec<usize>,
}

/// Selects the samples of so many turn vectors; none if too few samples look to one side.
pub fn select(samples: &[FaceAttributes], trials: usize, seed: u64) -> Vec<TurnTrial> {
    let facing =
        |side: f32| -> Vec<usize> { (0..samples.len()).filter(|&i| samples[i].turn * side >= FACING).collect() };
    let (left, right) = (facing(-1.0), facing(1.0));
    if left.len() < SIDE || right.len() < SIDE || samples.len() < 2 * SIDE + ROWS {
        return Vec::new();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7475_726e);
    (0..trials)
        .map(|_| {
            let mut exemplars = |of: &[usize]| of.sample(&mut rng, SIDE).copied().collect::<Vec<_>>();
            let (left, right) = (exemplars(&left), exemplars(&right));
            let mut rows = Vec::with_capacity(ROWS);
            while rows.len() < ROWS {
                let row = rng.random_range(0..samples.len());
                if ![&left, &right, &rows].iter().any(|used| used.contains(&row)) {
                    rows.push(row);
                }
            }
            TurnTrial { left, right, rows }
        })
        .collect()
}

/// How evenly faces turn.
#[derive(Debug, Clone, Serialize)]
pub struct TurnScore {
    /// Turn vectors.
    #[serde(rename = "draws")]
    pub trials: usize,
    /// Rows of all vectors.
    pub rows: usize,
    /// Correlation of the measured turn with the position on the vector, averaged over rows. The interval resamples whole
    /// vectors, since the rows of one are not independent.
    pub correlation: Estimate,
    /// Rows with a correlation of at least 0.9.
    pub even: Proportion,
    /// The mean measured turn at each position, from left to right.
    pub path: Vec<f64>,
}

/// Scores measured turns `[trials][rows][steps]`; `None` if there are no rows. A row of constant turn has correlation 0.
pub fn measure(turns: &[Vec<Vec<f64>>], seed: u64) -> Option<TurnScore> {
    let mut even = Proportion::default();
    let mut means = Vec::new();
    let mut path = vec![0.0; turns.first()?.first()?.len()];
    for rows in turns {
        let mut sum = 0.0;
        for row in rows {
            let position: Vec<f64> = (0..row.len()).map(|step| step as f64).collect();
            let r = pearson(&position, row).unwrap_or(0.0);
            even.count(r >= EVEN);
            sum += r;
            for (path, turn) in path.iter_mut().zip(row) {
                *path += turn;
            }
        }
        means.push(sum / rows.len() as f64);
    }
    let path = path.iter().map(|sum| sum / even.total as f64).collect();
    let correlation = bootstrap_mean(&means, seed)?;
    Some(TurnScore { trials: turns.len(), rows: even.total, correlation, even, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facing(turn: f32) -> FaceAttributes {
        FaceAttributes { values: [0; 6], confident: [true; 6], skin: 0.0, turn }
    }

    #[test]
    fn exemplars_look_to_their_side_and_rows_are_other_samples() {
        let samples: Vec<_> = (0..60).map(|i| facing((i % 20) as f32 / 10.0 - 0.95)).collect();
        let trials = select(&samples, 20, 1);
        assert_eq!(trials.len(), 20);
        for TurnTrial { left, right, rows } in &trials {
            assert!(left.iter().all(|&i| samples[i].turn <= -FACING));
            assert!(right.iter().all(|&i| samples[i].turn >= FACING));
            assert!(rows.iter().all(|row| !left.contains(row) && !right.contains(row)));
            assert_eq!((left.len(), right.len(), rows.len()), (SIDE, SIDE, ROWS));
        }
        assert_eq!(trials, select(&samples, 20, 1));
        assert!(select(&vec![facing(0.9); 60], 20, 1).is_empty(), "no sample looks left");
    }

    #[test]
    fn even_turns_correlate_and_constant_ones_do_not() {
        let even: Vec<f64> = (0..11).map(|i| f64::from(i) / 10.0 - 0.5).collect();
        let constant = vec![0.2; 11];
        let score = measure(&[vec![even.clone(), even.clone()], vec![even, constant]], 1).unwrap();
        assert_eq!((score.trials, score.rows, score.even), (2, 4, Proportion { hits: 3, total: 4 }));
        assert!((score.correlation.value - 0.75).abs() < 1e-9);
        assert!((score.path[0] - (-0.5 * 3.0 + 0.2) / 4.0).abs() < 1e-9);
        assert!(measure(&[], 1).is_none());
    }
}
