//! How much of what a picture shows is wrong in another one. Errors of pixels alone do not tell: a blank square and a smear are near
//! to some sample of any generator. Its edges do, relative to the picture's own, and so does detail that was invented, such as eyes
//! where it has none.

/// Deviation of the blur that edges are taken after, in pixels of a picture of 64.
const BLUR: f32 = 0.8;
/// The blur whose result is shown for comparison, likewise.
const SMEAR: f32 = 2.0;
/// What details count that were invented, at the worst places, beside all edges that are wrong.
const INVENTED: f32 = 1.7;
/// The share of places that are the worst.
const WORST: f32 = 0.027;
/// The least strength of edges that others are measured against, as a share of that of the generator's samples: a picture with less
/// shows nothing that could be missing.
const LEAST: f32 = 0.2;

/// A picture that others are compared with.
pub(super) struct Fidelity {
    channels: usize,
    size: usize,
    edges: Vec<f32>,
    strength: f32,
    /// How strong the edges of each small window are.
    windows: Vec<f32>,
    smeared: Vec<f32>,
}

impl Fidelity {
    /// Prepares a picture `[channels, size, size]` in [-1, 1]. `usual` is how strong the edges of the generator's samples are.
    pub fn new(values: &[f32], channels: usize, size: usize, usual: f32) -> Self {
        let edges = edges(values, channels, size);
        let strength = root_mean_square(&edges).max(LEAST * usual).max(1e-6);
        let smeared = blurred(values, channels, size, SMEAR * size as f32 / 64.0);
        Self { channels, size, strength, windows: windows(&edges, channels, size), edges, smeared }
    }

    /// What of the picture is wrong in `other`: 0 for nothing, about 1 or more for another picture altogether.
    pub fn lacking(&self, other: &[f32]) -> f32 {
        let found = edges(other, self.channels, self.size);
        let there = windows(&found, self.channels, self.size);
        let mut invented: Vec<f32> = there.iter().zip(&self.windows).map(|(new, old)| (new - old).max(0.0)).collect();
        invented.sort_by(|a, b| b.total_cmp(a));
        let count = ((invented.len() as f32 * WORST).round() as usize).clamp(1, invented.len().max(1));
        let worst = invented.iter().take(count).sum::<f32>() / count as f32;
        self.wrong(&found).max(INVENTED * worst / self.strength)
    }

    /// How wrong the edges of `other` are, wherever that is.
    pub fn edges_lacking(&self, other: &[f32]) -> f32 {
        self.wrong(&edges(other, self.channels, self.size))
    }

    fn wrong(&self, found: &[f32]) -> f32 {
        let difference: Vec<f32> = self.edges.iter().zip(found).map(|(a, b)| a - b).collect();
        root_mean_square(&difference) / self.strength
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

/// How strong edges, as [`edges`] gives them, are in small windows, each of which overlaps its neighbors by half.
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
    let mut found = Vec::new();
    for top in (0..=across - side).step_by(stride) {
        for left in (0..=across - side).step_by(stride) {
            let rows = (top..top + side).map(|y| &energy[y * across + left..y * across + left + side]);
            let sum: f32 = rows.flatten().sum();
            found.push((sum / (2 * channels * side * side) as f32).sqrt());
        }
    }
    found
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
        let fidelity = Fidelity::new(&one, 3, 64, strength(&other, 3, 64));
        assert_eq!(fidelity.lacking(&one), 0.0);
        let slightly: Vec<f32> = one.iter().enumerate().map(|(i, v)| v + 0.02 * ((i % 7) as f32 / 3.0 - 1.0)).collect();
        assert!(fidelity.lacking(&slightly) < 0.3, "{}", fidelity.lacking(&slightly));
        assert!((0.4..0.95).contains(&fidelity.blurred()), "{}", fidelity.blurred());
        assert!(fidelity.lacking(&other) > 0.95, "{}", fidelity.lacking(&other));
        assert_eq!(fidelity.lacking(&vec![0.3; one.len()]), 1.0, "all edges are missing");
    }

    #[test]
    fn a_blank_picture_is_not_shown_by_one_that_is_only_near() {
        let face = face(1);
        let blank = Fidelity::new(&vec![0.2; face.len()], 3, 64, strength(&face, 3, 64));
        let pale: Vec<f32> = face.iter().map(|v| 0.2 + v * 0.2).collect();
        assert!(blank.lacking(&pale) > 0.95, "{}", blank.lacking(&pale));
        assert!(blank.lacking(&face) > 5.0);
        assert_eq!(blank.lacking(&vec![0.2; face.len()]), 0.0);
    }

    #[test]
    fn eyes_where_a_picture_has_none_are_invented() {
        let face = face(1);
        let mut covered = face.clone();
        for plane in covered.chunks_exact_mut(64 * 64) {
            let skin = plane[40 * 64 + 32];
            (25..36).for_each(|y| plane[y * 64 + 18..y * 64 + 46].fill(skin));
        }
        let fidelity = Fidelity::new(&covered, 3, 64, strength(&face, 3, 64));
        assert!(fidelity.lacking(&face) > 1.3 * fidelity.edges_lacking(&face), "{}", fidelity.lacking(&face));
    }
}
