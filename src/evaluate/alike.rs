//! Whether two small pictures show the same, when one was cropped a little or encoded anew.

use crate::image::Picture;

/// Pixels that one may be moved by.
const MOVED: usize = 2;
/// The correlation of the brightness from which on they show the same.
const SURE: f64 = 0.9;

/// Whether two square pictures of one size show the same: moved by up to two pixels, their brightness correlates at 0.9.
pub(super) fn alike(a: &Picture, b: &Picture) -> bool {
    let (a, b) = (bright(a), bright(b));
    let side = (a.len() as f64).sqrt() as usize;
    let inner = side.saturating_sub(2 * MOVED);
    let part = |of: &[f64], left: usize, top: usize| -> Vec<f64> {
        of.chunks_exact(side.max(1)).skip(top).take(inner).flat_map(|row| row[left..left + inner].to_vec()).collect()
    };
    let still = part(&a, MOVED, MOVED);
    let moved = (0..=2 * MOVED).flat_map(|left| (0..=2 * MOVED).map(move |top| (left, top)));
    moved
        .into_iter()
        .any(|(left, top)| super::statistics::pearson(&still, &part(&b, left, top)).is_some_and(|r| r >= SURE))
}

fn bright(picture: &Picture) -> Vec<f64> {
    let sum = |pixel: &[u8]| pixel.iter().map(|&byte| f64::from(byte)).sum();
    picture.pixels().chunks_exact(picture.channels()).map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::Scene;

    #[test]
    fn a_moved_picture_is_alike_and_another_is_not() {
        let room = |i| Scene::Rooms.draw(1, i, 32).picture;
        let moved = |picture: &Picture, by: usize| {
            let pixels = picture.pixels();
            let at = |i: usize| pixels[(i / 96 * 96 + (i % 96 + 3 * by) % 96).min(pixels.len() - 1)];
            Picture::new(32, 32, 3, (0..pixels.len()).map(at).collect())
        };
        assert!(alike(&room(1), &room(1)) && alike(&room(1), &moved(&room(1), 2)));
        let same = (2..30).filter(|&i| alike(&room(1), &room(i))).count();
        assert!(same <= 2, "{same} of 28 other rooms");
        let flat = Picture::new(32, 32, 1, vec![7; 1024]);
        assert!(!alike(&flat, &flat), "nothing can be said of what shows nothing");
    }
}
