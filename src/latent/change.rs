//! How much pictures change from frame to frame, and sudden jumps. Section 6.1 of the paper reads sharp transitions
//! in a walk as a sign of memorization.

use crate::image::Picture;

/// The least change that can be a jump: 2.5 gray levels of 255. In a nearly constant walk, three times the median is
/// less than rounding.
const MIN_JUMP: f32 = 0.02;

/// The change between two pictures of the same size, in [0, 2]: the root mean square difference, averaged over full,
/// half and quarter resolution. The lower resolutions make a slightly shifted edge count less than an object that
/// appears.
pub fn picture_change(a: &Picture, b: &Picture) -> f32 {
    let mut total = 0.0;
    for block in [1, 2, 4] {
        let (a, b) = (block_means(a, block), block_means(b, block));
        let squares: f32 = a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum();
        total += (squares / a.len().max(1) as f32).sqrt();
    }
    total / 3.0 / 127.5
}

/// The means of `block x block` pixels per channel.
fn block_means(picture: &Picture, block: usize) -> Vec<f32> {
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
pub fn picture_changes(pictures: &[Picture]) -> Vec<f32> {
    pictures.windows(2).map(|pair| picture_change(&pair[0], &pair[1])).collect()
}

/// The indices of sudden changes: those above three times the median, which the paper reads as a sign of
/// memorization. Changes below 0.02 (2.5 gray levels of 255) do not count.
pub fn find_jumps(changes: &[f32]) -> Vec<usize> {
    let mut sorted = changes.to_vec();
    sorted.sort_by(f32::total_cmp);
    let Some(&median) = sorted.get(sorted.len() / 2) else { return Vec::new() };
    (0..changes.len()).filter(|&i| changes[i] > 3.0 * median && changes[i] > MIN_JUMP).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_in_a_slow_sequence_is_a_jump() {
        let gray = |value: u8| Picture::new(8, 8, 1, vec![value; 64]);
        let frames: Vec<_> = [10, 12, 14, 16, 200, 202, 204].map(gray).into();
        let changes = picture_changes(&frames);
        assert_eq!(find_jumps(&changes), [3]);
        assert!((changes[3] - 184.0 / 127.5).abs() < 1e-3);
        assert!(find_jumps(&[]).is_empty());
    }
}
