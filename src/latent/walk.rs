//! Walks through Z (section 6.1): keyframes, the way between them, and a measure of sudden change.

use super::vector::{lerp, slerp};
use crate::image::{Picture, grid};

/// The way from one keyframe to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// Straight, as the paper walks.
    #[default]
    Linear,
    /// On the great circle, which keeps to the lengths that a normal prior has.
    Spherical,
}

/// A way through keyframes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Walk {
    /// The z's that are visited.
    pub keyframes: Vec<Vec<f32>>,
    /// How.
    pub way: Way,
    /// Whether the last is followed by the first.
    pub closed: bool,
}

impl Walk {
    /// Ways between neighbours: one fewer than keyframes, or as many where the walk is closed.
    pub fn legs(&self) -> usize {
        match (self.keyframes.len(), self.closed) {
            (0 | 1, _) => 0,
            (count, true) => count,
            (count, false) => count - 1,
        }
    }

    /// The z at `time`, in legs from the start; `None` without keyframes.
    pub fn at(&self, time: f32) -> Option<Vec<f32>> {
        let first = self.keyframes.first()?;
        let legs = self.legs();
        if legs == 0 {
            return Some(first.clone());
        }
        let time = time.clamp(0.0, legs as f32);
        let leg = (time as usize).min(legs - 1);
        let (from, to) = (&self.keyframes[leg], &self.keyframes[(leg + 1) % self.keyframes.len()]);
        let t = time - leg as f32;
        Some(match self.way {
            Way::Linear => lerp(from, to, t),
            Way::Spherical => slerp(from, to, t),
        })
    }

    /// The frames of [`Self::film`] by legs, each with both keyframes: a row of the paper's figure 4 each.
    pub fn rows<'a, T>(&self, film: &'a [T], steps: usize) -> Vec<Vec<&'a T>> {
        let frame = |i: usize| &film[i % film.len()];
        (0..self.legs()).map(|leg| (leg * steps..=(leg + 1) * steps).map(frame).collect()).collect()
    }

    /// The paper's figure 4: [`Self::rows`] of the film's pictures as one.
    pub fn strip(&self, film: &[Picture], steps: usize) -> Picture {
        let pictures: Vec<Picture> = self.rows(film, steps).into_iter().flatten().cloned().collect();
        grid(&pictures, steps + 1, 2)
    }

    /// The whole walk as one film, `steps` frames a leg, no keyframe twice; a closed one goes round without a pause.
    pub fn film(&self, steps: usize) -> Vec<Vec<f32>> {
        let legs = self.legs();
        let mut frames: Vec<_> = (0..legs * steps).filter_map(|frame| self.at(frame as f32 / steps as f32)).collect();
        if !self.closed || legs == 0 {
            frames.extend(self.at(legs as f32));
        }
        frames
    }
}

/// How much two pictures of one size differ, in [0, 2]: root mean square differences at full, half and quarter size,
/// averaged, so that an edge that moves a little counts less than a thing that appears.
pub fn change(a: &Picture, b: &Picture) -> f32 {
    let mut total = 0.0;
    for block in [1, 2, 4] {
        let (a, b) = (blocks(a, block), blocks(b, block));
        let squares: f32 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
        total += (squares / a.len().max(1) as f32).sqrt();
    }
    total / 3.0 / 127.5
}

/// Averages of `block x block` pixels, channel by channel.
fn blocks(picture: &Picture, block: usize) -> Vec<f32> {
    let (columns, rows, channels) = (picture.width() / block, picture.height() / block, picture.channels());
    let mut sums = vec![0.0f32; columns * rows * channels];
    for y in 0..rows * block {
        for x in 0..columns * block {
            for c in 0..channels {
                let pixel = picture.pixels()[(y * picture.width() + x) * channels + c];
                sums[(y / block * columns + x / block) * channels + c] += f32::from(pixel);
            }
        }
    }
    let count = (block * block) as f32;
    sums.iter().map(|sum| sum / count).collect()
}

/// The change from each picture to the next.
pub fn changes(pictures: &[Picture]) -> Vec<f32> {
    pictures.windows(2).map(|pair| change(&pair[0], &pair[1])).collect()
}

/// Steps that change the picture more than three times as much as the median step does: the paper's sign of memorised
/// pictures.
pub fn jumps(changes: &[f32]) -> Vec<usize> {
    let mut sorted = changes.to_vec();
    sorted.sort_by(f32::total_cmp);
    let Some(&median) = sorted.get(sorted.len() / 2) else { return Vec::new() };
    (0..changes.len()).filter(|&i| changes[i] > 3.0 * median && changes[i] > 0.02).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(closed: bool) -> Walk {
        Walk { keyframes: vec![vec![0.0, 1.0], vec![1.0, 1.0], vec![1.0, 3.0]], way: Way::Linear, closed }
    }

    #[test]
    fn a_walk_visits_its_keyframes_and_what_lies_between() {
        let open = walk(false);
        assert_eq!((open.legs(), walk(true).legs()), (2, 3));
        assert_eq!(open.at(0.5), Some(vec![0.5, 1.0]));
        assert_eq!(open.at(9.0), Some(vec![1.0, 3.0]));
        assert_eq!(walk(true).at(2.5), Some(vec![0.5, 2.0]));
        assert_eq!(Walk::default().at(0.0), None);
    }

    #[test]
    fn rows_end_where_the_next_begins() {
        for closed in [true, false] {
            let walk = walk(closed);
            let film = walk.film(10);
            let rows = walk.rows(&film, 10);
            assert_eq!(rows.len(), walk.legs());
            assert!(rows.iter().all(|row| row.len() == 11));
            for (leg, row) in rows.iter().enumerate() {
                assert_eq!((row[0], row[10]), (&walk.keyframes[leg], &walk.keyframes[(leg + 1) % 3]));
            }
        }
    }

    #[test]
    fn films_show_no_keyframe_twice() {
        assert_eq!(walk(false).film(4).len(), 9);
        assert_eq!(walk(true).film(4).len(), 12);
        assert!(Walk::default().film(4).is_empty());
    }

    #[test]
    fn a_cut_in_a_slow_film_is_a_jump() {
        let grey = |value: u8| Picture::new(8, 8, 1, vec![value; 64]);
        let film: Vec<_> = [10, 12, 14, 16, 200, 202, 204].map(grey).into();
        let changes = changes(&film);
        assert_eq!(jumps(&changes), [3]);
        assert!((changes[3] - 184.0 / 127.5).abs() < 1e-3);
        assert!(jumps(&[]).is_empty());
    }
}
