//! How much of what a picture shows is missing in another one. Errors of pixels alone do not tell: a blank square and a smear are near
//! to some sample of any generator. Edges, relative to the picture's own, and the structure of its worst places do.

/// Deviation of the blur that edges are taken after, in pixels of a picture of 64.
const BLUR: f32 = 0.8;
/// The blur whose result is shown for comparison, likewise.
const SMEAR: f32 = 2.0;
/// What the structure of the worst places counts beside the edges.
const STRUCTURE: f32 = 0.6;
/// The share of places that are the worst.
const WORST: f32 = 0.027;
/// Contrast in [-1, 1] below which a place shows nothing.
const NOTHING: f32 = 0.06;
/// The least strength of edges that others are measured against, as a share of that of the generator's samples: a picture with less
/// shows nothing that could be missing.
const LEAST: f32 = 0.2;

/// A picture that others are compared with.
pub(super) struct Fidelity {
    channels: usize,
    size: usize,
    edges: Vec<f32>,
    strength: f32,
    gray: Vec<f32>,
    smeared: Vec<f32>,
}

impl Fidelity {
    /// Prepares a picture `[channels, size, size]` in [-1, 1]. `usual` is how strong the edges of the generator's samples are.
    pub fn new(values: &[f32], channels: usize, size: usize, usual: f32) -> Self {
        let edges = edges(values, channels, size);
        let strength = root_mean_square(&edges).max(LEAST * usual).max(1e-6);
        let smeared = blurred(values, channels, size, SMEAR * size as f32 / 64.0);
        Self { channels, size, strength, edges, gray: gray(values, channels), smeared }
    }

    /// What `other` lacks of the picture: 0 for nothing, about 1.6 for another picture altogether.
    pub fn lacking(&self, other: &[f32]) -> f32 {
        let found = edges(other, self.channels, self.size);
        let difference: Vec<f32> = self.edges.iter().zip(&found).map(|(a, b)| a - b).collect();
        let structure = worst_structure(&self.gray, &gray(other, self.channels), self.size);
        root_mean_square(&difference) / self.strength + STRUCTURE * (1.0 - structure)
    }

    /// What a blurred copy of the picture lacks.
    pub fn blurred(&self) -> f32 {
        self.lacking(&self.smeared)
    }
}

/// How strong the edges of a picture are.
pub(super) fn strength(values: &[f32], channels: usize, size: usize) -> f32 {
    root_mean_square(&edges(values, channels, size))
}

fn root_mean_square(values: &[f32]) -> f32 {
    (values.iter().map(|v| v * v).sum::<f32>() / values.len().max(1) as f32).sqrt()
}

/// Differences of neighbors across and down, after a slight blur.
fn edges(values: &[f32], channels: usize, size: usize) -> Vec<f32> {
    let soft = blurred(values, channels, size, (BLUR * size as f32 / 64.0).max(0.4));
    let mut edges = Vec::with_capacity(2 * soft.len());
    for plane in soft.chunks_exact(size * size) {
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

/// The mean of the channels.
fn gray(values: &[f32], channels: usize) -> Vec<f32> {
    let length = values.len() / channels.max(1);
    (0..length).map(|i| (0..channels).map(|c| values[c * length + i]).sum::<f32>() / channels as f32).collect()
}

/// Blurred by a Gaussian of `deviation` pixels; beyond its border a picture goes on as it is there.
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

/// Contrast and structure of SSIM (Wang et al. 2004) in small windows, 1 for the same, about 0 for unrelated ones; the mean of the
/// worst windows.
fn worst_structure(a: &[f32], b: &[f32], size: usize) -> f32 {
    let (side, stride) = ((size / 8).max(4), (size / 16).max(2));
    let mut found = Vec::new();
    for top in (0..=size - side).step_by(stride) {
        for left in (0..=size - side).step_by(stride) {
            let [mut sums, mut squares, mut product] = [[0.0f32; 2], [0.0; 2], [0.0, 0.0]];
            for y in top..top + side {
                for at in y * size + left..y * size + left + side {
                    for (i, value) in [a[at], b[at]].into_iter().enumerate() {
                        sums[i] += value;
                        squares[i] += value * value;
                    }
                    product[0] += a[at] * b[at];
                }
            }
            let count = (side * side) as f32;
            let [mean_a, mean_b] = sums.map(|sum| sum / count);
            let variances = squares[0] / count - mean_a * mean_a + squares[1] / count - mean_b * mean_b;
            let covariance = product[0] / count - mean_a * mean_b;
            let least = NOTHING * NOTHING;
            found.push((2.0 * covariance + least) / (variances.max(0.0) + least));
        }
    }
    found.sort_by(f32::total_cmp);
    let count = ((found.len() as f32 * WORST).round() as usize).clamp(1, found.len().max(1));
    found.iter().take(count).sum::<f32>() / count as f32
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
    fn the_same_lacks_nothing_and_a_blur_or_another_picture_lacks_much() {
        let (one, other) = (face(1), face(2));
        let usual = strength(&other, 3, 64);
        let fidelity = Fidelity::new(&one, 3, 64, usual);
        assert!(fidelity.lacking(&one) < 1e-3);
        let slightly: Vec<f32> = one.iter().enumerate().map(|(i, v)| v + 0.02 * ((i % 7) as f32 / 3.0 - 1.0)).collect();
        assert!(fidelity.lacking(&slightly) < 0.2, "{}", fidelity.lacking(&slightly));
        assert!((0.5..1.6).contains(&fidelity.blurred()), "{}", fidelity.blurred());
        assert!(fidelity.lacking(&other) > 1.3, "{}", fidelity.lacking(&other));
        assert!(fidelity.lacking(&vec![0.3; one.len()]) > 1.3);
    }

    #[test]
    fn a_blank_picture_is_not_shown_by_one_that_is_only_near() {
        let face = face(1);
        let blank = Fidelity::new(&vec![0.2; face.len()], 3, 64, strength(&face, 3, 64));
        let pale: Vec<f32> = face.iter().map(|v| 0.2 + v * 0.1).collect();
        assert!(blank.lacking(&pale) > 0.5, "{}", blank.lacking(&pale));
        assert!(blank.lacking(&face) > 2.0);
        assert_eq!(blank.lacking(&vec![0.2; face.len()]), 0.0);
    }
}
