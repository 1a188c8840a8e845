//! Whether two small images show the same content, despite a small crop or another encoding.

use crate::image::Picture;

/// The largest shift along an axis, in pixels.
const MAX_SHIFT: usize = 2;
/// The least correlation of brightness between images of the same content.
const MIN_CORRELATION: f64 = 0.9;

/// Whether two square images of the same size show the same content: at some shift of up to two pixels, the correlation of their
/// brightness is 0.9 or more.
pub(super) fn same_content(a: &Picture, b: &Picture) -> bool {
    let (a, b) = (brightness(a), brightness(b));
    let side = (a.len() as f64).sqrt() as usize;
    let inner = side.saturating_sub(2 * MAX_SHIFT);
    let crop = |values: &[f64], left: usize, top: usize| -> Vec<f64> {
        values
            .chunks_exact(side.max(1))
            .skip(top)
            .take(inner)
            .flat_map(|row| row[left..left + inner].to_vec())
            .collect()
    };
    let center = crop(&a, MAX_SHIFT, MAX_SHIFT);
    let mut shifts = (0..=2 * MAX_SHIFT).flat_map(|left| (0..=2 * MAX_SHIFT).map(move |top| (left, top)));
    shifts.any(|(left, top)| {
        super::statistics::pearson(&center, &crop(&b, left, top)).is_some_and(|r| r >= MIN_CORRELATION)
    })
}

fn brightness(picture: &Picture) -> Vec<f64> {
    let sum = |pixel: &[u8]| pixel.iter().map(|&byte| f64::from(byte)).sum();
    picture.pixels().chunks_exact(picture.channels()).map(sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::Scene;

    #[test]
    fn shifted_images_match_and_other_images_do_not() {
        let room = |i| Scene::Rooms.draw(1, i, 32).picture;
        let shifted = |picture: &Picture, by: usize| {
            let pixels = picture.pixels();
            let at = |i: usize| pixels[(i / 96 * 96 + (i % 96 + 3 * by) % 96).min(pixels.len() - 1)];
            Picture::new(32, 32, 3, (0..pixels.len()).map(at).collect())
        };
        assert!(same_content(&room(1), &room(1)) && same_content(&room(1), &shifted(&room(1), 2)));
        let same = (2..30).filter(|&i| same_content(&room(1), &room(i))).count();
        assert!(same <= 2, "{same} of 28 other rooms");
        let flat = Picture::new(32, 32, 1, vec![7; 1024]);
        assert!(!same_content(&flat, &flat), "a uniform image has no correlation");
    }
}
