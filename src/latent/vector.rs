//! Vector operations on z: norm, mean, distance, linear and spherical interpolation.

/// The Euclidean norm.
pub fn norm(z: &[f32]) -> f32 {
    z.iter().map(|v| v * v).sum::<f32>().sqrt()
}

/// The mean of z's of the same dimension. `None` if there are none.
pub fn mean(z: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut sum = z.first()?.clone();
    for other in &z[1..] {
        sum = add_scaled(&sum, other, 1.0);
    }
    Some(sum.iter().map(|v| v / z.len() as f32).collect())
}

/// `z + amount * direction`.
pub fn add_scaled(z: &[f32], direction: &[f32], amount: f32) -> Vec<f32> {
    z.iter().zip(direction).map(|(z, d)| z + amount * d).collect()
}

/// Linear interpolation from `a` at `t` = 0 to `b` at `t` = 1.
pub fn lerp(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + (b - a) * t).collect()
}

/// Spherical linear interpolation from `a` at `t` = 0 to `b` at `t` = 1; the norm changes linearly from one to the
/// other. Parallel and opposite z's do not define a great circle and are interpolated linearly.
pub fn slerp(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    let (norm_a, norm_b) = (norm(a), norm(b));
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let angle = (dot / (norm_a * norm_b)).clamp(-1.0, 1.0).acos();
    let sine = angle.sin();
    if sine.is_nan() || sine <= 1e-4 {
        return lerp(a, b, t);
    }
    let length = norm_a + (norm_b - norm_a) * t;
    let (from, to) = (((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine);
    a.iter().zip(b).map(|(a, b)| length * (from * a / norm_a + to * b / norm_b)).collect()
}

/// The Euclidean distance.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn interpolations_begin_and_end_at_their_arguments(
            a in prop::collection::vec(-2.0f32..2.0, 8),
            b in prop::collection::vec(-2.0f32..2.0, 8),
        ) {
            for interpolate in [lerp, slerp] {
                prop_assert!(distance(&interpolate(&a, &b, 0.0), &a) < 1e-3);
                prop_assert!(distance(&interpolate(&a, &b, 1.0), &b) < 1e-3);
            }
        }
    }

    #[test]
    fn slerp_keeps_the_norm_and_lerp_does_not() {
        let (a, b) = (vec![3.0, 0.0], vec![0.0, 3.0]);
        assert!((norm(&slerp(&a, &b, 0.5)) - 3.0).abs() < 1e-5);
        assert!(norm(&lerp(&a, &b, 0.5)) < 2.2);
        let opposite = slerp(&a, &[-3.0, 0.0], 0.5);
        assert!(opposite.iter().all(|v| v.is_finite()));
        assert!(slerp(&[0.0, 0.0], &b, 0.5).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn the_mean_of_nothing_is_none() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[vec![1.0, 3.0], vec![3.0, 5.0]]), Some(vec![2.0, 4.0]));
    }
}
