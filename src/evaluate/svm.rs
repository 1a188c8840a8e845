//! Linear support vector machines with the squared hinge (L2-SVM, section 5), one class against the rest.
//!
//! Dual coordinate descent (Hsieh et al. 2008), as the authors' LinearSVC has it from LIBLINEAR, over rows of `f32`. The
//! crates do not reach the paper's 50,000 rows of 28,672 features, 5.7 GB: `liblinear` keeps sparse nodes of 16 bytes, 23 GB;
//! `linfa-svm` and `smartcore` work on kernels, of which the matrix alone would be 20 GB.

use pulp::Arch;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Values that are multiplied side by side.
const LANES: usize = 32;
/// Passes over the rows at most.
const PASSES: usize = 200;
/// How far the projected gradients may lie apart at the end; LIBLINEAR's own choice is ten times as much.
const TOLERANCE: f32 = 0.01;

/// Rows of features, `[rows, width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    values: Vec<f32>,
    width: usize,
}

impl Table {
    /// A table of rows of `width` values.
    ///
    /// # Panics
    /// If the values are no whole rows.
    pub fn new(values: Vec<f32>, width: usize) -> Self {
        assert!(width > 0 && values.len().is_multiple_of(width), "{} values are no rows of {width}", values.len());
        Self { values, width }
    }

    /// Values of a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.width
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Row `number`, `[width]`.
    pub fn row(&self, number: usize) -> &[f32] {
        &self.values[number * self.width..(number + 1) * self.width]
    }

    /// The rows, one after another.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }
}

/// One class against the rest, being learnt.
#[derive(Debug, Clone)]
struct Problem {
    class: usize,
    /// `[width]`, and the bias: the weight of a feature that is always 1.
    weights: Vec<f32>,
    bias: f32,
    /// A multiplier for each row.
    alphas: Vec<f32>,
    done: bool,
}

/// Machines for some rows of a table, which can be learnt for one C after another: each begins where the last ended.
pub struct Learner<'a> {
    table: &'a Table,
    rows: &'a [usize],
    labels: &'a [usize],
    /// Squared length of each row, the bias's 1 among them.
    squares: Vec<f32>,
    problems: Vec<Problem>,
}

impl<'a> Learner<'a> {
    /// Will learn to tell `classes` classes by those `rows` of `table`; `labels` has one for each row of the table.
    pub fn new(table: &'a Table, rows: &'a [usize], labels: &'a [usize], classes: usize) -> Self {
        let squares = rows.par_iter().map(|&row| dot(table.row(row), table.row(row)) + 1.0).collect();
        let problem = |class| Problem {
            class,
            weights: vec![0.0; table.width],
            bias: 0.0,
            alphas: vec![0.0; rows.len()],
            done: false,
        };
        Self { table, rows, labels, squares, problems: (0..classes).map(problem).collect() }
    }

    /// Learns with the penalty `c` on what is on the wrong side of the margin. `seed` decides the order of the rows.
    pub fn learn(&mut self, c: f64, seed: u64) -> Svm {
        for problem in &mut self.problems {
            problem.done = false;
        }
        let diagonal = (0.5 / c) as f32;
        // Each thread has classes of its own, which know nothing of one another: its share does not change the outcome.
        let share = self.problems.len().div_ceil(rayon::current_num_threads()).max(1);
        let (table, rows, labels, squares) = (self.table, self.rows, self.labels, &self.squares);
        self.problems.par_chunks_mut(share).for_each(|problems| {
            let mut order: Vec<usize> = (0..rows.len()).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            for _ in 0..PASSES {
                order.shuffle(&mut rng);
                let mut spans = vec![[0.0f32, 0.0]; problems.len()];
                for &at in &order {
                    let row = table.row(rows[at]);
                    for (problem, span) in problems.iter_mut().zip(&mut spans).filter(|(problem, _)| !problem.done) {
                        let gradient = problem.visit(at, row, labels[rows[at]], squares[at], diagonal);
                        *span = [span[0].min(gradient), span[1].max(gradient)];
                    }
                }
                for (problem, span) in problems.iter_mut().zip(spans) {
                    problem.done |= span[1] - span[0] < TOLERANCE;
                }
                if problems.iter().all(|problem| problem.done) {
                    break;
                }
            }
        });
        let planes = self.problems.iter().map(|problem| (problem.weights.clone(), problem.bias)).collect();
        Svm { planes, settled: self.problems.iter().all(|problem| problem.done) }
    }
}

impl Problem {
    /// Makes the multiplier of row `at` the best for all others as they are; returns its projected gradient before.
    fn visit(&mut self, at: usize, row: &[f32], label: usize, square: f32, diagonal: f32) -> f32 {
        let sign = if label == self.class { 1.0 } else { -1.0 };
        let alpha = self.alphas[at];
        let gradient = sign * (dot(&self.weights, row) + self.bias) - 1.0 + diagonal * alpha;
        let projected = if alpha == 0.0 { gradient.min(0.0) } else { gradient };
        if projected != 0.0 {
            let next = (alpha - gradient / (square + diagonal)).max(0.0);
            let step = (next - alpha) * sign;
            self.alphas[at] = next;
            self.bias += step;
            add(&mut self.weights, step, row);
        }
        projected
    }
}

/// Learnt machines, one for each class.
#[derive(Debug, Clone, PartialEq)]
pub struct Svm {
    /// Weights `[width]` and bias of each class.
    planes: Vec<(Vec<f32>, f32)>,
    /// Whether the descent came to its end; otherwise it was stopped after 200 passes.
    pub settled: bool,
}

impl Svm {
    /// How far on the side of each class a row `[width]` lies, `[classes]`.
    pub fn heights(&self, row: &[f32]) -> Vec<f32> {
        self.planes.iter().map(|(weights, bias)| dot(weights, row) + bias).collect()
    }

    /// The class that a row `[width]` is taken for, and how far it lies on that side.
    pub fn tell(&self, row: &[f32]) -> (usize, f32) {
        highest(&self.heights(row))
    }
}

/// Which is the largest, and how large; the first of equals.
pub(super) fn highest(values: &[f32]) -> (usize, f32) {
    let larger = |best: (usize, f32), (i, &value): (usize, &f32)| if value > best.1 { (i, value) } else { best };
    values.iter().enumerate().fold((0, f32::NEG_INFINITY), larger)
}

/// The sum of products.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            let mut lanes = [0.0f32; LANES];
            let (whole_a, whole_b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
            let rest: f32 = whole_a.remainder().iter().zip(whole_b.remainder()).map(|(a, b)| a * b).sum();
            for (a, b) in whole_a.zip(whole_b) {
                for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
                    *lane += a * b;
                }
            }
            lanes.iter().sum::<f32>() + rest
        },
    )
}

fn add(to: &mut [f32], times: f32, what: &[f32]) {
    Arch::new().dispatch(
        #[inline(always)]
        || {
            for (to, what) in to.iter_mut().zip(what) {
                *to += times * what;
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(values: &[f32], width: usize, labels: &[usize], classes: usize, c: f64) -> Svm {
        let table = Table::new(values.to_vec(), width);
        let rows: Vec<usize> = (0..labels.len()).collect();
        Learner::new(&table, &rows, labels, classes).learn(c, 1)
    }

    #[test]
    fn two_points_are_parted_as_by_hand() {
        // Points 1 and -1 with C = 1: by symmetry the bias is 0, and w minimises w^2 / 2 + 2 (1 - w)^2, so w = 4/5.
        let svm = fit(&[1.0, -1.0], 1, &[1, 0], 2, 1.0);
        let heights = svm.heights(&[1.0]);
        assert!(svm.settled);
        assert!((heights[1] - 0.8).abs() < 5e-3 && (heights[0] + 0.8).abs() < 5e-3, "{heights:?}");
        assert_eq!((svm.tell(&[0.3]).0, svm.tell(&[-0.3]).0), (1, 0));
    }

    #[test]
    fn weights_are_those_of_liblinear() {
        let values: Vec<f32> = (0..18 * 3)
            .map(|at| (at / 3, at % 3))
            .map(|(i, j)| ((i * 7 + j * 13 + i * i * j * 5 + i * i) % 19) as f32 / 10.0 - 0.9)
            .collect();
        let labels: Vec<usize> = (0..18).map(|i| i % 3).collect();
        let svm = fit(&values, 3, &labels, 3, 0.5);
        // scikit-learn 1.9's LinearSVC(C=0.5, tol=1e-10), which is LIBLINEAR's.
        let theirs = [
            ([-0.48658, -0.22581, 0.05024], -0.32754),
            ([0.40335, -0.08138, -0.29403], -0.28447),
            ([0.11375, 0.26001, 0.25507], -0.32172),
        ];
        for ((weights, bias), (their_weights, their_bias)) in svm.planes.iter().zip(theirs) {
            for (ours, theirs) in weights.iter().zip(their_weights) {
                assert!((ours - theirs).abs() < 5e-3, "{weights:?} {their_weights:?}");
            }
            assert!((bias - their_bias).abs() < 5e-3, "{bias} {their_bias}");
        }
    }

    /// The objective that is minimised, for one class.
    fn loss(table: &Table, labels: &[usize], class: usize, weights: &[f32], bias: f32, c: f64) -> f64 {
        let norm = f64::from(dot(weights, weights) + bias * bias);
        let hinge = |(row, &label): (&[f32], &usize)| {
            let sign = if label == class { 1.0 } else { -1.0 };
            (1.0 - sign * f64::from(dot(weights, row) + bias)).max(0.0).powi(2)
        };
        0.5 * norm + c * table.rows().zip(labels).map(hinge).sum::<f64>()
    }

    #[test]
    fn no_step_in_any_direction_is_better_and_later_cs_are_found_from_earlier_ones() {
        let (count, width, classes) = (120, 37, 3);
        let noise = |i: usize| ((i * 7919 + i * i * 31) % 2003) as f32 / 1000.0 - 1.0;
        let values: Vec<f32> =
            (0..count * width).map(|i| noise(i) + if i % width == (i / width) % classes { 0.8 } else { 0.0 }).collect();
        let labels: Vec<usize> = (0..count).map(|i| i % classes).collect();
        let table = Table::new(values, width);
        let rows: Vec<usize> = (0..count).collect();
        let mut learner = Learner::new(&table, &rows, &labels, classes);
        learner.learn(1e-3, 1);
        let warm = learner.learn(0.1, 1);
        let cold = Learner::new(&table, &rows, &labels, classes).learn(0.1, 1);
        for (class, (weights, bias)) in warm.planes.iter().enumerate() {
            let least = loss(&table, &labels, class, weights, *bias, 0.1);
            for i in 0..width {
                for by in [-0.01, 0.01] {
                    let mut moved = weights.clone();
                    moved[i] += by;
                    assert!(loss(&table, &labels, class, &moved, *bias, 0.1) > least - 1e-4 * least);
                }
            }
            let (weights, bias) = &cold.planes[class];
            let other = loss(&table, &labels, class, weights, *bias, 0.1);
            assert!((least - other).abs() < 1e-3 * least, "{least} {other}");
        }
        let right = rows.iter().filter(|&&row| warm.tell(table.row(row)).0 == labels[row]).count();
        assert!(right > count * 3 / 4, "{right} of {count}");
    }

    #[test]
    fn rows_that_were_not_chosen_are_not_looked_at() {
        let table = Table::new(vec![1.0, f32::NAN, -1.0], 1);
        let svm = Learner::new(&table, &[0, 2], &[1, 0, 0], 2).learn(1.0, 1);
        assert_eq!(svm.tell(&[2.0]).0, 1);
    }
}
