//! Measures how much pictures differ from one another.

use crate::image::Picture;

/// The values of a picture, in [-1, 1].
pub(super) fn values(picture: &Picture) -> Vec<f32> {
    let mut values = vec![0.0; picture.pixels().len()];
    picture.write_chw(&mut values);
    values
}

/// How much pictures differ from one another.
pub(super) struct Variety {
    /// Root mean square distance from their mean.
    pub spread: f32,
    /// Median distance of each to its nearest other picture.
    pub nearest: f32,
    /// Number of distinct pictures.
    pub distinct: usize,
}

impl Variety {
    /// Measures pictures, given as one row of values each. Pictures within the squared distance `same` count as
    /// identical and are left out of the nearest distances.
    pub fn measure(rows: &[Vec<f32>], same: f32) -> Self {
        let length = rows.first().map_or(0, Vec::len);
        let mut mean = vec![0.0f32; length];
        for row in rows {
            mean.iter_mut().zip(row).for_each(|(mean, value)| *mean += value / rows.len() as f32);
        }
        let distance =
            |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>() / length.max(1) as f32;
        let spread = (rows.iter().map(|row| distance(row, &mean)).sum::<f32>() / rows.len().max(1) as f32).sqrt();
        let mut nearest = vec![f32::INFINITY; rows.len()];
        let mut first_of_its_kind = vec![true; rows.len()];
        for a in 0..rows.len() {
            for b in a + 1..rows.len() {
                let distance = distance(&rows[a], &rows[b]);
                first_of_its_kind[b] &= distance > same;
                if distance > same {
                    nearest[a] = nearest[a].min(distance);
                    nearest[b] = nearest[b].min(distance);
                }
            }
        }
        nearest.retain(|distance| distance.is_finite());
        nearest.sort_by(f32::total_cmp);
        Self {
            spread,
            nearest: nearest.get(nearest.len() / 2).map_or(0.0, |square| square.sqrt()),
            distinct: first_of_its_kind.into_iter().filter(|&first| first).count(),
        }
    }
}
