//! Linear support vector machines with squared hinge loss (L2-SVM, section 5), one class against the rest.
//!
//! [`SvmTrainer`] fits them by dual coordinate descent (Hsieh et al. 2008), the algorithm of LIBLINEAR and so of the authors'
//! LinearSVC, on rows of `f32`. Published crates cannot handle the paper's 50,000 rows of 28,672 features, 5.7 GB: `liblinear`
//! stores sparse nodes of 16 bytes, 23 GB; `linfa-svm` and `smartcore` compute a kernel matrix of 20 GB.

use pulp::Arch;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::table::{FeatureTable, dot};

/// The most passes over the rows.
const PASSES: usize = 200;
/// The range of projected gradients at which the descent has converged; LIBLINEAR's default is ten times as large.
const TOLERANCE: f32 = 0.01;

/// The problem of one class against the rest, and its state of the descent.
#[derive(Debug, Clone)]
struct BinaryProblem {
    class: usize,
    /// `[width]`.
    weights: Vec<f32>,
    /// The weight of a constant feature of 1.
    bias: f32,
    /// The dual variable of each row.
    alphas: Vec<f32>,
    converged: bool,
}

/// Fits machines on rows of a table, for one penalty C after another: each fit starts from the solution of the last.
pub struct SvmTrainer<'a> {
    table: &'a FeatureTable,
    rows: &'a [usize],
    labels: &'a [usize],
    /// Squared norm of each row, with the bias's constant feature.
    squares: Vec<f32>,
    problems: Vec<BinaryProblem>,
}

impl<'a> SvmTrainer<'a> {
    /// A trainer on those `rows` of `table`, with labels below `classes`; `labels` has one for each row of the table.
    pub fn new(table: &'a FeatureTable, rows: &'a [usize], labels: &'a [usize], classes: usize) -> Self {
        let squares = rows.par_iter().map(|&row| dot(table.row(row), table.row(row)) + 1.0).collect();
        let problem = |class| BinaryProblem {
            class,
            weights: vec![0.0; table.width()],
            bias: 0.0,
            alphas: vec![0.0; rows.len()],
            converged: false,
        };
        Self { table, rows, labels, squares, problems: (0..classes).map(problem).collect() }
    }

    /// Fits with the penalty `c` on margin violations. `seed` decides the order of the rows.
    pub fn fit(&mut self, c: f64, seed: u64) -> Svm {
        for problem in &mut self.problems {
            problem.converged = false;
        }
        let diagonal = (0.5 / c) as f32;
        // Each thread fits some of the classes. They are independent, so the number of threads does not change the result.
        let share = self.problems.len().div_ceil(rayon::current_num_threads()).max(1);
        let (table, rows, labels, squares) = (self.table, self.rows, self.labels, &self.squares);
        self.problems.par_chunks_mut(share).for_each(|problems| {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..PASSES {
                order.shuffle(&mut rng);
                let mut ranges = vec![[0.0f32, 0.0]; problems.len()];
                for &at in &order {
                    let row = table.row(rows[at]);
                    let active = problems.iter_mut().zip(&mut ranges).filter(|(problem, _)| !problem.converged);
                    for (problem, range) in active {
                        let gradient = problem.update(at, row, labels[rows[at]], squares[at], diagonal);
                        *range = [range[0].min(gradient), range[1].max(gradient)];
                    }
                }
                for (problem, range) in problems.iter_mut().zip(ranges) {
                    problem.converged |= range[1] - range[0] < TOLERANCE;
                }
                if problems.iter().all(|problem| problem.converged) {
                    break;
                }
            }
        });
        let hyperplanes = self.problems.iter().map(|problem| (problem.weights.clone(), problem.bias)).collect();
        Svm { hyperplanes, converged: self.problems.iter().all(|problem| problem.converged) }
    }
}

impl BinaryProblem {
    /// Minimizes over the dual variable of row `at`, all others fixed; returns the projected gradient before the update.
    fn update(&mut self, at: usize, row: &[f32], label: usize, square: f32, diagonal: f32) -> f32 {
        let sign = if label == self.class { 1.0 } else { -1.0 };
        let alpha = self.alphas[at];
        let gradient = sign * (dot(&self.weights, row) + self.bias) - 1.0 + diagonal * alpha;
        let projected = if alpha == 0.0 { gradient.min(0.0) } else { gradient };
        if projected != 0.0 {
            let next = (alpha - gradient / (square + diagonal)).max(0.0);
            let step = (next - alpha) * sign;
            self.alphas[at] = next;
            self.bias += step;
            add_scaled(&mut self.weights, step, row);
        }
        projected
    }
}

/// Fitted machines, one per class.
#[derive(Debug, Clone, PartialEq)]
pub struct Svm {
    /// Weights `[width]` and bias of each class.
    hyperplanes: Vec<(Vec<f32>, f32)>,
    /// Whether the descent converged within 200 passes.
    pub converged: bool,
}

impl Svm {
    /// The decision value of each class `[classes]` for a row `[width]`: positive on the class's side of its hyperplane.
    pub fn decision_values(&self, row: &[f32]) -> Vec<f32> {
        self.hyperplanes.iter().map(|(weights, bias)| dot(weights, row) + bias).collect()
    }

    /// The predicted class of a row `[width]`, and its decision value.
    pub fn predict(&self, row: &[f32]) -> (usize, f32) {
        argmax(&self.decision_values(row))
    }
}

/// The index of the largest value, and the value; the first of equals.
pub(super) fn argmax(values: &[f32]) -> (usize, f32) {
    let larger = |best: (usize, f32), (i, &value): (usize, &f32)| if value > best.1 { (i, value) } else { best };
    values.iter().enumerate().fold((0, f32::NEG_INFINITY), larger)
}

/// `to += scale * row`.
fn add_scaled(to: &mut [f32], scale: f32, row: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (to, value) in to.iter_mut().zip(row) {
                *to += scale * value;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(values: &[f32], width: usize, labels: &[usize], classes: usize, c: f64) -> Svm {
        let table = FeatureTable::new(values.to_vec(), width);
        let rows: Vec<usize> = (0..labels.len()).collect();
        SvmTrainer::new(&table, &rows, labels, classes).fit(c, 1)
    }

    #[test]
    fn two_points_give_the_solution_by_hand() {
        // Points 1 and -1 with C = 1: by symmetry the bias is 0, and w minimizes w^2 / 2 + 2 (1 - w)^2, so w = 4/5.
        let svm = fit(&[1.0, -1.0], 1, &[1, 0], 2, 1.0);
        let values = svm.decision_values(&[1.0]);
        assert!(svm.converged);
        assert!((values[1] - 0.8).abs() < 5e-3 && (values[0] + 0.8).abs() < 5e-3, "{values:?}");
        assert_eq!((svm.predict(&[0.3]).0, svm.predict(&[-0.3]).0), (1, 0));
    }

    #[test]
    fn weights_are_those_of_liblinear() {
        let values: Vec<f32> = (0..18 * 3)
            .map(|at| (at / 3, at % 3))
            .map(|(i, j)| ((i * 7 + j * 13 + i * i * j * 5 + i * i) % 19) as f32 / 10.0 - 0.9)
            .collect();
        let labels: Vec<usize> = (0..18).map(|i| i % 3).collect();
        let svm = fit(&values, 3, &labels, 3, 0.5);
        // scikit-fit 1.9's LinearSVC(C=0.5, tol=1e-10), which is LIBLINEAR's.
        let theirs = [
            ([-0.48658, -0.22581, 0.05024], -0.32754),
            ([0.40335, -0.08138, -0.29403], -0.28447),
            ([0.11375, 0.26001, 0.25507], -0.32172),
        ];
        for ((weights, bias), (their_weights, their_bias)) in svm.hyperplanes.iter().zip(theirs) {
            for (ours, theirs) in weights.iter().zip(their_weights) {
                assert!((ours - theirs).abs() < 5e-3, "{weights:?} {their_weights:?}");
            }
            assert!((bias - their_bias).abs() < 5e-3, "{bias} {their_bias}");
        }
    }

    /// The primal objective of one class.
    fn loss(table: &FeatureTable, labels: &[usize], class: usize, weights: &[f32], bias: f32, c: f64) -> f64 {
        let norm = f64::from(dot(weights, weights) + bias * bias);
        let hinge = |(row, &label): (&[f32], &usize)| {
            let sign = if label == class { 1.0 } else { -1.0 };
            (1.0 - sign * f64::from(dot(weights, row) + bias)).max(0.0).powi(2)
        };
        0.5 * norm + c * table.rows().zip(labels).map(hinge).sum::<f64>()
    }

    #[test]
    fn fit_is_a_minimum_and_does_not_depend_on_an_earlier_fit() {
        let (count, width, classes) = (120, 37, 3);
        let noise = |i: usize| ((i * 7919 + i * i * 31) % 2003) as f32 / 1000.0 - 1.0;
        let values: Vec<f32> =
            (0..count * width).map(|i| noise(i) + if i % width == (i / width) % classes { 0.8 } else { 0.0 }).collect();
        let labels: Vec<usize> = (0..count).map(|i| i % classes).collect();
        let table = FeatureTable::new(values, width);
        let rows: Vec<usize> = (0..count).collect();
        let mut trainer = SvmTrainer::new(&table, &rows, &labels, classes);
        trainer.fit(1e-3, 1);
        let warm = trainer.fit(0.1, 1);
        let cold = SvmTrainer::new(&table, &rows, &labels, classes).fit(0.1, 1);
        for (class, (weights, bias)) in warm.hyperplanes.iter().enumerate() {
            let least = loss(&table, &labels, class, weights, *bias, 0.1);
            for i in 0..width {
                for by in [-0.01, 0.01] {
                    let mut moved = weights.clone();
                    moved[i] += by;
                    assert!(loss(&table, &labels, class, &moved, *bias, 0.1) > least - 1e-4 * least);
                }
            }
            let (weights, bias) = &cold.hyperplanes[class];
            let other = loss(&table, &labels, class, weights, *bias, 0.1);
            assert!((least - other).abs() < 1e-3 * least, "{least} {other}");
        }
        let hits = rows.iter().filter(|&&row| warm.predict(table.row(row)).0 == labels[row]).count();
        assert!(hits > count * 3 / 4, "{hits} of {count}");
    }

    #[test]
    fn only_the_given_rows_are_used() {
        let table = FeatureTable::new(vec![1.0, f32::NAN, -1.0], 1);
        let svm = SvmTrainer::new(&table, &[0, 2], &[1, 0, 0], 2).fit(1.0, 1);
        assert_eq!(svm.predict(&[2.0]).0, 1);
    }
}
