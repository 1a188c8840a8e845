//! z's as vectors.

/// Length of a z.
pub fn norm(z: &[f32]) -> f32 {
    z.iter().map(|v| v * v).sum::<f32>().sqrt()
}

/// The average of some z's of one width; none have none.
pub fn mean(z: &[Vec<f32>]) -> Option<Vec<f32>> {
    let mut sum = z.first()?.clone();
    for other in &z[1..] {
        sum = along(&sum, other, 1.0);
    }
    Some(sum.iter().map(|v| v / z.len() as f32).collect())
}

/// `z + amount * direction`.
pub fn along(z: &[f32], direction: &[f32], amount: f32) -> Vec<f32> {
    z.iter().zip(direction).map(|(z, d)| z + amount * d).collect()
}

/// The point a share `t` of the straight way from `a` to `b`.
pub fn lerp(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + (b - a) * t).collect()
}

/// The point a share `t` of the way on the great circle from `a` to `b`, its length going evenly from one's to the other's.
/// Where there is no one circle (parallel or opposite z's) the way is straight.
pub fn slerp(a: &[f32], b: &[f32], t: f32) -> Vec<f32> {
    let (long_a, long_b) = (norm(a), norm(b));
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    let angle = (dot / (long_a * long_b)).clamp(-1.0, 1.0).acos();
    let sine = angle.sin();
    if sine.is_nan() || sine <= 1e-4 {
        return lerp(a, b, t);
    }
    let length = long_a + (long_b - long_a) * t;
    let (from, to) = (((1.0 - t) * angle).sin() / sine, (t * angle).sin() / sine);
    a.iter().zip(b).map(|(a, b)| length * (from * a / long_a + to * b / long_b)).collect()
}

/// The distance between two z's.
pub fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ways_begin_and_end_where_they_should(
            a in prop::collection::vec(-2.0f32..2.0, 8),
            b in prop::collection::vec(-2.0f32..2.0, 8),
        ) {
            for way in [lerp, slerp] {
                prop_assert!(distance(&way(&a, &b, 0.0), &a) < 1e-3);
                prop_assert!(distance(&way(&a, &b, 1.0), &b) < 1e-3);
            }
        }
    }

    #[test]
    fn the_great_circle_keeps_the_length_and_the_straight_way_does_not() {
        let (a, b) = (vec![3.0, 0.0], vec![0.0, 3.0]);
        assert!((norm(&slerp(&a, &b, 0.5)) - 3.0).abs() < 1e-5);
        assert!(norm(&lerp(&a, &b, 0.5)) < 2.2);
        let opposite = slerp(&a, &[-3.0, 0.0], 0.5);
        assert!(opposite.iter().all(|v| v.is_finite()));
        assert!(slerp(&[0.0, 0.0], &b, 0.5).iter().all(|v| v.is_finite()));
    }

    #[test]
    fn no_zs_have_no_mean() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[vec![1.0, 3.0], vec![3.0, 5.0]]), Some(vec![2.0, 4.0]));
    }
}
