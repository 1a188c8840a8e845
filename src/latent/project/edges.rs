//! The edge error: how much of a picture's detail is wrong in a reconstruction.
//!
//! Pixel errors are not enough: a blank square or a blur is close to some sample of any generator. The edge error is
//! the error of the edges relative to the picture's own edges, or the strength of invented detail, such as eyes where
//! the picture has none.
//!
//! docs/MEASURES.md lists how well the error with these constants separates 222 pictures that two models can and
//! cannot reproduce.

/// The standard deviation of the blur before edges are computed, in pixels of a 64x64 picture. It suppresses pixel
/// noise and keeps features such as eyes, a few pixels wide.
const EDGE_BLUR: f32 = 0.8;
/// The standard deviation of the blurred copy that is reported for comparison, in pixels of a 64x64 picture.
const COMPARISON_BLUR: f32 = 2.0;
/// The weight of invented detail. More rejects faces whose covered eyes were reconstructed, less accepts them;
/// pictures of the training data's kind must stay below the limit.
const INVENTED_WEIGHT: f32 = 1.7;
/// The share of windows that count as invented detail, the worst ones: 5 of the 196 windows of a 64x64 picture.
/// Small, because a few invented features are enough to make another picture.
const WORST_SHARE: f32 = 0.027;
/// The minimum edge strength that errors are relative to, as a share of the typical strength of the generator's
/// samples. Otherwise the error of a nearly blank picture would be a division by noise.
const MIN_STRENGTH: f32 = 0.2;

/// A picture prepared for comparison with reconstructions.
pub(super) struct EdgeComparison {
    channels: usize,
    size: usize,
    edges: Vec<f32>,
    strength: f32,
    /// The edge strength of each window.
    windows: Vec<f32>,
    blurred: Vec<f32>,
}

impl EdgeComparison {
    /// Prepares a picture `[channels, size, size]` in [-1, 1]. `typical_strength` is the edge strength of the
    /// generator's samples.
    pub fn new(values: &[f32], channels: usize, size: usize, typical_strength: f32) -> Self {
        let edges = edges(values, channels, size);
        let strength = root_mean_square(&edges).max(MIN_STRENGTH * typical_strength).max(1e-6);
        let blurred = blurred(values, channels, size, COMPARISON_BLUR * size as f32 / 64.0);
        Self { channels, size, strength, windows: windows(&edges, channels, size), edges, blurred }
    }

    /// The error of a reconstruction: 0 if it is equal, about 1 or more if it is unrelated.
    pub fn error(&self, other: &[f32]) -> f32 {
        let edges = edges(other, self.channels, self.size);
        let strengths = windows(&edges, self.channels, self.size);
        let mut invented: Vec<f32> =
            strengths.iter().zip(&self.windows).map(|(new, old)| (new - old).max(0.0)).collect();
        invented.sort_by(|a, b| b.total_cmp(a));
        let count = ((invented.len() as f32 * WORST_SHARE).round() as usize).clamp(1, invented.len().max(1));
        let worst = invented.iter().take(count).sum::<f32>() / count as f32;
        self.relative_error(&edges).max(INVENTED_WEIGHT * worst / self.strength)
    }

    /// The error of the edges of a reconstruction, regardless of invented detail.
    pub fn edge_error(&self, other: &[f32]) -> f32 {
        self.relative_error(&edges(other, self.channels, self.size))
    }

    fn relative_error(&self, edges: &[f32]) -> f32 {
        let difference: Vec<f32> = self.edges.iter().zip(edges).map(|(a, b)| a - b).collect();
        root_mean_square(&difference) / self.strength
    }

    /// The error of a blurred copy of the picture.
    pub fn blurred_error(&self) -> f32 {
        self.error(&self.blurred)
    }
}

/// The root mean square of a picture's edges.
pub(super) fn edge_strength(values: &[f32], channels: usize, size: usize) -> f32 {
    root_mean_square(&edges(values, channels, size))
}

fn root_mean_square(values: &[f32]) -> f32 {
    (values.iter().map(|v| v * v).sum::<f32>() / values.len().max(1) as f32).sqrt()
}

/// The differences of horizontally and vertically adjacent pixels, after a slight blur.
fn edges(values: &[f32], channels: usize, size: usize) -> Vec<f32> {
    let smooth = blurred(values, channels, size, (EDGE_BLUR * size as f32 / 64.0).max(0.4));
    let mut edges = Vec::with_capacity(2 * smooth.len());
    for plane in smooth.chunks_exact(size * size) {
        for y in 0..size - 1 {
            for x in 0..size - 1 {
                let at = y * size + x;
                edges.push(plane[at + 1] - plane[at]);
                edges.push(plane[at + size] - plane[at]);
            }
        }
    }
    edges
}

/// Blurs with a Gaussian of `deviation` pixels. Borders are extended by their edge values.
fn blurred(values: &[f32], channels: usize, size: usize, deviation: f32) -> Vec<f32> {
    let reach = (3.0 * deviation).ceil() as isize;
    let weights: Vec<f32> = (-reach..=reach).map(|i| (-0.5 * (i as f32 / deviation).powi(2)).exp()).collect();
    let sum: f32 = weights.iter().sum();
    let inside = |i: isize| i.clamp(0, size as isize - 1) as usize;
    let mut across = vec![0.0; values.len()];
    let mut down = vec![0.0; values.len()];
    for c in 0..channels {
        let plane = c * size * size;
        for y in 0..size {
            for x in 0..size {
                let taps = weights.iter().zip(-reach..);
                let at = |i: isize| values[plane + y * size + inside(x as isize + i)];
                across[plane + y * size + x] = taps.map(|(weight, i)| weight * at(i)).sum::<f32>() / sum;
            }
        }
        for y in 0..size {
            for x in 0..size {
                let taps = weights.iter().zip(-reach..);
                let at = |i: isize| across[plane + inside(y as isize + i) * size + x];
                down[plane + y * size + x] = taps.map(|(weight, i)| weight * at(i)).sum::<f32>() / sum;
            }
        }
    }
    down
}

/// The strength of edges (from [`edges`]) in small windows that overlap by half.
fn windows(edges: &[f32], channels: usize, size: usize) -> Vec<f32> {
    let across = size - 1;
    let mut energy = vec![0.0f32; across * across];
    for plane in edges.chunks_exact(2 * across * across) {
        energy
            .iter_mut()
            .zip(plane.chunks_exact(2))
            .for_each(|(sum, pair)| *sum += pair[0] * pair[0] + pair[1] * pair[1]);
    }
    let (side, stride) = ((size / 8).max(3), (size / 16).max(2));
    let mut strengths = Vec::new();
    for top in (0..=across - side).step_by(stride) {
        for left in (0..=across - side).step_by(stride) {
            let rows = (top..top + side).map(|y| &energy[y * across + left..y * across + left + side]);
            let sum: f32 = rows.flatten().sum();
            strengths.push((sum / (2 * channels * side * side) as f32).sqrt());
        }
    }
    strengths
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::Scene;

    fn face(number: u64) -> Vec<f32> {
        let picture = Scene::Faces.draw(3, number, 64).picture;
        let mut values = vec![0.0; picture.pixels().len()];
        picture.write_chw(&mut values);
        values
    }

    #[test]
    fn equal_pictures_have_no_error_and_blurred_or_other_pictures_a_large_one() {
        let (one, other) = (face(1), face(2));
        let comparison = EdgeComparison::new(&one, 3, 64, edge_strength(&other, 3, 64));
        assert_eq!(comparison.error(&one), 0.0);
        let slightly: Vec<f32> = one.iter().enumerate().map(|(i, v)| v + 0.02 * ((i % 7) as f32 / 3.0 - 1.0)).collect();
        assert!(comparison.error(&slightly) < 0.3, "{}", comparison.error(&slightly));
        assert!((0.4..0.95).contains(&comparison.blurred_error()), "{}", comparison.blurred_error());
        assert!(comparison.error(&other) > 0.95, "{}", comparison.error(&other));
        assert_eq!(comparison.error(&vec![0.3; one.len()]), 1.0, "all edges are missing");
    }

    #[test]
    fn a_faint_picture_is_not_a_reconstruction_of_a_blank_one() {
        let face = face(1);
        let blank = EdgeComparison::new(&vec![0.2; face.len()], 3, 64, edge_strength(&face, 3, 64));
        let pale: Vec<f32> = face.iter().map(|v| 0.2 + v * 0.2).collect();
        assert!(blank.error(&pale) > 0.95, "{}", blank.error(&pale));
        assert!(blank.error(&face) > 5.0);
        assert_eq!(blank.error(&vec![0.2; face.len()]), 0.0);
    }

    #[test]
    fn invented_eyes_count_more_than_wrong_edges() {
        let face = face(1);
        let mut covered = face.clone();
        for plane in covered.chunks_exact_mut(64 * 64) {
            let skin = plane[40 * 64 + 32];
            (25..36).for_each(|y| plane[y * 64 + 18..y * 64 + 46].fill(skin));
        }
        let comparison = EdgeComparison::new(&covered, 3, 64, edge_strength(&face, 3, 64));
        assert!(comparison.error(&face) > 1.3 * comparison.edge_error(&face), "{}", comparison.error(&face));
    }
}
