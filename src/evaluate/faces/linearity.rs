//! How linear an attribute is in Z. Vector arithmetic adds z's, so it can only move attributes that a hyperplane separates: if no
//! hyperplane separates smiling faces from others, there is no smile vector, whichever exemplars are averaged.

use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

use super::attributes::{Attribute, FaceAttributes};
use crate::evaluate::statistics::Proportion;

/// Strength of the ridge penalty, as a share of the number of samples.
const RIDGE: f32 = 0.02;
/// The least number of samples to fit on.
const MIN_SAMPLES: usize = 40;

/// Test accuracy of a linear classifier of an attribute on z (ridge regression, each value against the rest): fitted on the first
/// half of the samples with a confident value, tested on the second. `None` if there are too few, or only one value.
pub fn linear_separability(attribute: Attribute, z: &[Vec<f32>], samples: &[FaceAttributes]) -> Option<Proportion> {
    let confident: Vec<_> =
        z.iter().zip(samples).filter_map(|(z, sample)| Some((z, sample.confident_value(attribute)?))).collect();
    let (training, test) = confident.split_at(confident.len() / 2);
    let first = training.first()?.1;
    if training.len() < MIN_SAMPLES || training.iter().all(|&(_, value)| value == first) {
        return None;
    }
    // The last column is the constant.
    let width = z.first()?.len() + 1;
    let entry = |z: &[f32], j: usize| z.get(j).copied().unwrap_or(1.0);
    let x = Mat::from_fn(training.len(), width, |i, j| entry(training[i].0, j));
    let values = attribute.values().len();
    let y = Mat::from_fn(training.len(), values, |i, j| if training[i].1 == j { 1.0 } else { 0.0f32 });
    let mut gram = x.transpose() * &x;
    (0..width).for_each(|i| gram[(i, i)] += RIDGE * training.len() as f32);
    let weights = gram.llt(Side::Lower).ok()?.solve(x.transpose() * &y);
    let mut accuracy = Proportion::default();
    for &(z, value) in test {
        let output = |of: usize| (0..width).map(|j| entry(z, j) * weights[(j, of)]).sum::<f32>();
        let predicted = (0..values).max_by(|&a, &b| output(a).total_cmp(&output(b)));
        accuracy.count(predicted == Some(value));
    }
    Some(accuracy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sample_z;
    use crate::model::Prior;

    #[test]
    fn linear_attributes_are_separable_and_others_are_not() {
        let z: Vec<_> = (0..800).map(|i| sample_z(Prior::Normal, 8, 1, i)).collect();
        let attributes = |z: &Vec<f32>| {
            let hair = (0..6).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap();
            let folded = usize::from(z[0] * z[1] > 0.0);
            FaceAttributes {
                values: [usize::from(z[2] > 0.0), folded, 1, hair, 0, 0],
                confident: [true; 6],
                skin: 0.0,
                turn: 0.0,
            }
        };
        let samples: Vec<_> = z.iter().map(attributes).collect();
        let accuracy =
            |attribute| linear_separability(attribute, &z, &samples).map(|accuracy| accuracy.wilson().unwrap().value);
        assert!(accuracy(Attribute::Smile).unwrap() > 0.9);
        assert!(accuracy(Attribute::Hair).unwrap() > 0.7);
        assert!(accuracy(Attribute::Glasses).unwrap() < 0.6, "no plane separates equal from opposite signs");
        assert_eq!(accuracy(Attribute::Beard), None, "it has one value only");
    }
}
