//! Walks through latent space (section 6.1 of the paper): keyframes and the interpolation between them.

use super::vector::{lerp, slerp};
use crate::image::{Picture, grid};

/// How a walk interpolates between two keyframes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Linear, as in the paper.
    #[default]
    Linear,
    /// Spherical linear. It keeps the norms that samples of a normal prior have.
    #[serde(rename = "spherical")]
    Slerp,
}

/// A path through keyframes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LatentWalk {
    /// The z's to visit, in order.
    pub keyframes: Vec<Vec<f32>>,
    /// The interpolation between two keyframes.
    pub interpolation: Interpolation,
    /// Whether the walk returns from the last keyframe to the first.
    pub looped: bool,
}

impl LatentWalk {
    /// The number of segments, each from one keyframe to the next.
    pub fn segments(&self) -> usize {
        match (self.keyframes.len(), self.looped) {
            (0 | 1, _) => 0,
            (count, true) => count,
            (count, false) => count - 1,
        }
    }

    /// The z at `time`, where each segment takes 1. Times outside the walk are clamped. `None` without keyframes.
    pub fn at(&self, time: f32) -> Option<Vec<f32>> {
        let first = self.keyframes.first()?;
        let segments = self.segments();
        if segments == 0 {
            return Some(first.clone());
        }
        let time = time.clamp(0.0, segments as f32);
        let segment = (time as usize).min(segments - 1);
        let (from, to) = (&self.keyframes[segment], &self.keyframes[(segment + 1) % self.keyframes.len()]);
        let t = time - segment as f32;
        Some(match self.interpolation {
            Interpolation::Linear => lerp(from, to, t),
            Interpolation::Slerp => slerp(from, to, t),
        })
    }

    /// The z's of the whole walk, `steps` per segment. No keyframe appears twice; a looped walk ends before its first
    /// keyframe, so that it can repeat without a pause.
    pub fn frames(&self, steps: usize) -> Vec<Vec<f32>> {
        let segments = self.segments();
        let mut frames: Vec<_> =
            (0..segments * steps).filter_map(|frame| self.at(frame as f32 / steps as f32)).collect();
        if !self.looped || segments == 0 {
            frames.extend(self.at(segments as f32));
        }
        frames
    }

    /// Splits what belongs to [`Self::frames`] by segment, each with both of its keyframes: the rows of figure 4.
    pub fn rows<'a, T>(&self, frames: &'a [T], steps: usize) -> Vec<Vec<&'a T>> {
        let frame = |i: usize| &frames[i % frames.len()];
        (0..self.segments()).map(|segment| (segment * steps..=(segment + 1) * steps).map(frame).collect()).collect()
    }

    /// Renders figure 4 of the paper from the pictures of [`Self::frames`]: one row per segment.
    pub fn render(&self, frames: &[Picture], steps: usize) -> Picture {
        let pictures: Vec<Picture> = self.rows(frames, steps).into_iter().flatten().cloned().collect();
        grid(&pictures, steps + 1, 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(looped: bool) -> LatentWalk {
        LatentWalk {
            keyframes: vec![vec![0.0, 1.0], vec![1.0, 1.0], vec![1.0, 3.0]],
            interpolation: Interpolation::Linear,
            looped,
        }
    }

    #[test]
    fn a_walk_interpolates_between_its_keyframes() {
        let open = walk(false);
        assert_eq!((open.segments(), walk(true).segments()), (2, 3));
        assert_eq!(open.at(0.5), Some(vec![0.5, 1.0]));
        assert_eq!(open.at(9.0), Some(vec![1.0, 3.0]));
        assert_eq!(walk(true).at(2.5), Some(vec![0.5, 2.0]));
        assert_eq!(LatentWalk::default().at(0.0), None);
    }

    #[test]
    fn each_row_ends_with_the_first_keyframe_of_the_next() {
        for looped in [true, false] {
            let walk = walk(looped);
            let frames = walk.frames(10);
            let rows = walk.rows(&frames, 10);
            assert_eq!(rows.len(), walk.segments());
            assert!(rows.iter().all(|row| row.len() == 11));
            for (segment, row) in rows.iter().enumerate() {
                assert_eq!((row[0], row[10]), (&walk.keyframes[segment], &walk.keyframes[(segment + 1) % 3]));
            }
        }
    }

    #[test]
    fn frames_contain_no_keyframe_twice() {
        assert_eq!(walk(false).frames(4).len(), 9);
        assert_eq!(walk(true).frames(4).len(), 12);
        assert!(LatentWalk::default().frames(4).is_empty());
    }
}
