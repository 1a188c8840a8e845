//! How much of an attribute is a plane in Z. Arithmetic adds z's up, so it can move only what is: where no plane tells smiles
//! from closed mouths, no "smile" vector exists, however the exemplars are chosen.

use nalgebra::{Cholesky, DMatrix};

use super::attributes::{Attribute, Verdict};
use super::statistics::Share;

/// Strength of the ridge, as a share of the samples.
const RIDGE: f32 = 0.02;
/// Fewest samples that planes are fitted to and tried on.
const FEWEST: usize = 40;

/// Fits planes (ridge regression, one value against the rest) to those z's of the first half of which the judge is sure,
/// and counts those of the second half whose value they tell. None where there is little to fit, or one value only.
pub fn planes(attribute: Attribute, z: &[Vec<f32>], verdicts: &[Verdict]) -> Option<Share> {
    let known: Vec<_> =
        z.iter().zip(verdicts).filter_map(|(z, verdict)| Some((z, verdict.sure_value(attribute)?))).collect();
    let (fitted, tried) = known.split_at(known.len() / 2);
    let first = fitted.first()?.1;
    if fitted.len() < FEWEST || fitted.iter().all(|&(_, value)| value == first) {
        return None;
    }
    let width = z.first()?.len() + 1;
    let entry = |z: &[f32], j: usize| z.get(j).copied().unwrap_or(1.0);
    let x = DMatrix::from_fn(fitted.len(), width, |i, j| entry(fitted[i].0, j));
    let values = attribute.values().len();
    let y = DMatrix::from_fn(fitted.len(), values, |i, j| if fitted[i].1 == j { 1.0 } else { 0.0f32 });
    let gram = x.tr_mul(&x) + DMatrix::identity(width, width) * (RIDGE * fitted.len() as f32);
    let planes = Cholesky::new(gram)?.solve(&x.tr_mul(&y));
    let mut share = Share::default();
    for &(z, value) in tried {
        let height = |plane: usize| (0..width).map(|j| entry(z, j) * planes[(j, plane)]).sum::<f32>();
        let told = (0..values).max_by(|&a, &b| height(a).total_cmp(&height(b)));
        share.count(told == Some(value));
    }
    Some(share)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::numbered;
    use crate::model::Prior;

    #[test]
    fn a_plane_tells_what_is_linear_and_not_what_is_folded() {
        let z: Vec<_> = (0..800).map(|i| numbered(Prior::Normal, 8, 1, i)).collect();
        let verdict = |z: &Vec<f32>| {
            let hair = (0..6).max_by(|&a, &b| z[a].total_cmp(&z[b])).unwrap();
            let folded = usize::from(z[0] * z[1] > 0.0);
            Verdict { values: [usize::from(z[2] > 0.0), folded, 1, hair, 0, 0], sure: [true; 6], skin: 0.0, turn: 0.0 }
        };
        let verdicts: Vec<_> = z.iter().map(verdict).collect();
        let told = |attribute| planes(attribute, &z, &verdicts).map(|share| share.wilson().unwrap().value);
        assert!(told(Attribute::Smile).unwrap() > 0.9);
        assert!(told(Attribute::Hair).unwrap() > 0.7);
        assert!(told(Attribute::Glasses).unwrap() < 0.6, "two like signs are no side of any plane");
        assert_eq!(told(Attribute::Beard), None, "there is one value only");
    }
}
