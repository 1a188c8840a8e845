//! The turn vector, measured (section 6.3.2, figure 8): from the average of four faces that look left to that of four that
//! look right, and five samples moved along it in eleven steps.

use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::attributes::Verdict;
use super::statistics::{Estimate, Share, mean, pearson};

/// Exemplars of a side.
pub const SIDE: usize = 4;
/// Samples that are moved.
pub const ROWS: usize = 5;
/// Pictures of a row.
pub const STEPS: usize = 11;
/// An exemplar is turned this far, of -1..=1, at least.
pub const FACING: f32 = 0.5;
/// A row that correlates as much is an even turn.
const EVEN: f64 = 0.9;

/// Samples of one turn vector and of those that it moves, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Draw {
    /// Facing the picture's left.
    pub left: Vec<usize>,
    /// Facing its right.
    pub right: Vec<usize>,
    /// Moved along the vector: any samples but the exemplars.
    pub rows: Vec<usize>,
}

/// Chooses exemplars and rows, `draws` times; none where too few samples face a side.
pub fn choose(samples: &[Verdict], draws: usize, seed: u64) -> Vec<Draw> {
    let facing =
        |side: f32| -> Vec<usize> { (0..samples.len()).filter(|&i| samples[i].turn * side >= FACING).collect() };
    let (left, right) = (facing(-1.0), facing(1.0));
    if left.len() < SIDE || right.len() < SIDE || samples.len() < 2 * SIDE + ROWS {
        return Vec::new();
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x7475_726e);
    (0..draws)
        .map(|_| {
            let mut some = |of: &[usize]| of.sample(&mut rng, SIDE).copied().collect::<Vec<_>>();
            let (left, right) = (some(&left), some(&right));
            let mut rows = Vec::with_capacity(ROWS);
            while rows.len() < ROWS {
                let row = rng.random_range(0..samples.len());
                if ![&left, &right, &rows].iter().any(|taken| taken.contains(&row)) {
                    rows.push(row);
                }
            }
            Draw { left, right, rows }
        })
        .collect()
}

/// How evenly faces turn.
#[derive(Debug, Clone, Serialize)]
pub struct Turning {
    /// Turn vectors.
    pub draws: usize,
    /// Rows of all of them.
    pub rows: usize,
    /// Correlation of the measured turn with the place on the vector: mean over rows, its interval from resampling whole
    /// draws, since rows of one share their vector.
    pub correlation: Estimate,
    /// Rows that correlate at least 0.9.
    pub even: Share,
    /// The mean measured turn at each place on the vector, from left to right.
    pub path: Vec<f64>,
}

/// Measures rows of turns, `[draws][rows][steps]`; none where there are no rows. A row that does not move at all correlates 0.
pub fn measure(turns: &[Vec<Vec<f64>>], seed: u64) -> Option<Turning> {
    let mut even = Share::default();
    let mut means = Vec::new();
    let mut path = vec![0.0; turns.first()?.first()?.len()];
    for rows in turns {
        let mut sum = 0.0;
        for row in rows {
            let place: Vec<f64> = (0..row.len()).map(|step| step as f64).collect();
            let r = pearson(&place, row).unwrap_or(0.0);
            even.count(r >= EVEN);
            sum += r;
            for (path, turn) in path.iter_mut().zip(row) {
                *path += turn;
            }
        }
        means.push(sum / rows.len() as f64);
    }
    let path = path.iter().map(|sum| sum / even.of as f64).collect();
    Some(Turning { draws: turns.len(), rows: even.of, correlation: mean(&means, seed)?, even, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facing(turn: f32) -> Verdict {
        Verdict { values: [0; 6], sure: [true; 6], skin: 0.0, turn }
    }

    #[test]
    fn exemplars_face_their_side_and_rows_are_other_samples() {
        let samples: Vec<_> = (0..60).map(|i| facing((i % 20) as f32 / 10.0 - 0.95)).collect();
        let draws = choose(&samples, 20, 1);
        assert_eq!(draws.len(), 20);
        for Draw { left, right, rows } in &draws {
            assert!(left.iter().all(|&i| samples[i].turn <= -FACING));
            assert!(right.iter().all(|&i| samples[i].turn >= FACING));
            assert!(rows.iter().all(|row| !left.contains(row) && !right.contains(row)));
            assert_eq!((left.len(), right.len(), rows.len()), (SIDE, SIDE, ROWS));
        }
        assert_eq!(draws, choose(&samples, 20, 1));
        assert!(choose(&vec![facing(0.9); 60], 20, 1).is_empty(), "nobody faces left");
    }

    #[test]
    fn even_turns_correlate_and_still_faces_do_not() {
        let even: Vec<f64> = (0..11).map(|i| f64::from(i) / 10.0 - 0.5).collect();
        let still = vec![0.2; 11];
        let told = measure(&[vec![even.clone(), even.clone()], vec![even, still]], 1).unwrap();
        assert_eq!((told.draws, told.rows, told.even), (2, 4, Share { hits: 3, of: 4 }));
        assert!((told.correlation.value - 0.75).abs() < 1e-9);
        assert!((told.path[0] - (-0.5 * 3.0 + 0.2) / 4.0).abs() < 1e-9);
        assert!(measure(&[], 1).is_none());
    }
}
