//! Selection of the penalty C of a linear probe, on validation images.

use rayon::prelude::*;

use super::labeled::LabeledSet;
use super::split::ProbeSplit;
use super::svm::SvmTrainer;
use super::table::FeatureTable;
use crate::progress::{Cancelled, Progress};

/// The exponent where the search for C starts: 1e-4, the authors' least C.
const FIRST: i32 = -12;
/// The limits of the search: 1e-8 and 1e4.
const LIMITS: [i32; 2] = [-24, 12];
/// The search turns after this many Cs in a row without an improvement.
const PATIENCE: usize = 2;

/// The C with the best validation accuracy, and that accuracy. The search goes from the authors' least C upwards while that helps,
/// then downwards if the least was the best.
pub(super) fn select_c(
    table: &FeatureTable,
    set: &LabeledSet,
    split: &ProbeSplit,
    seed: u64,
    progress: &mut Progress,
) -> Result<(f64, f64), Cancelled> {
    let trainer = |rows| SvmTrainer::new(table, rows, &set.labels, set.classes.len());
    let mut trainers: Vec<SvmTrainer> = split.selection.iter().map(|rows| trainer(rows)).collect();
    let mut tried = 0;
    let mut best = (FIRST, 0.0);
    for direction in [1, -1] {
        let (mut exponent, mut worse) = (if direction == 1 { FIRST } else { FIRST - 1 }, 0);
        while worse < PATIENCE && (LIMITS[0]..=LIMITS[1]).contains(&exponent) && (direction == 1 || best.0 < FIRST + 1)
        {
            progress("choosing C", tried, tried + PATIENCE)?;
            let hits = trainers.iter_mut().map(|trainer| {
                let machine = trainer.fit(penalty(exponent), seed);
                let hit = |&&row: &&usize| machine.predict(table.row(row)).0 == set.labels[row];
                split.validation.par_iter().filter(|row| hit(row)).count() as f64
            });
            let share = hits.sum::<f64>() / (split.validation.len() * split.selection.len()) as f64;
            tried += 1;
            worse = if share > best.1 { 0 } else { worse + 1 };
            if share > best.1 {
                best = (exponent, share);
            }
            exponent += direction;
        }
    }
    Ok((penalty(best.0), best.1))
}

/// C on the scale 1, 2, 5, 10, 20 ... with three steps per decade: 1 at 0, 1e-4 at -12.
fn penalty(exponent: i32) -> f64 {
    [1.0, 2.0, 5.0][exponent.rem_euclid(3) as usize] * 10f64.powi(exponent.div_euclid(3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_are_the_authors_cs() {
        let cs: Vec<f64> = (FIRST..FIRST + 7).map(penalty).collect();
        for (ours, authors) in cs.iter().zip([1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]) {
            assert!((ours / authors - 1.0).abs() < 1e-9, "{cs:?}");
        }
    }
}
