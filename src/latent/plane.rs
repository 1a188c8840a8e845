//! A two-dimensional plane in latent space, through three z's or spanned by two directions: the map of the *Pad*.

use super::vector::add_scaled;

/// The margin around the three z's, in multiples of the distances between them.
const MARGIN: f32 = 0.25;
/// The extent of a plane of directions to each side, in multiples of the directions (standard deviations).
const DIRECTION_EXTENT: f32 = 3.0;

/// The positions of the three z's of [`LatentPlane::through`].
pub const CORNERS: [[f32; 2]; 3] = {
    let (near, far) = (MARGIN / (1.0 + 2.0 * MARGIN), (1.0 + MARGIN) / (1.0 + 2.0 * MARGIN));
    [[near, near], [far, near], [near, far]]
};

/// A rectangular part of a plane in latent space. A position on it is `[x, y]` in [0, 1], from the upper left corner.
#[derive(Debug, Clone, PartialEq)]
pub struct LatentPlane {
    origin: Vec<f32>,
    across: Vec<f32>,
    down: Vec<f32>,
}

impl LatentPlane {
    /// The plane through three z's, with a margin around them. Their positions are [`CORNERS`].
    pub fn through([first, second, third]: &[Vec<f32>; 3]) -> Self {
        let side = |to: &Vec<f32>| add_scaled(to, first, -1.0);
        Self::spanned(first, [&side(second), &side(third)], -MARGIN, 1.0 + MARGIN)
    }

    /// The plane that two directions span around `z`, which lies in the middle.
    pub fn of_directions(z: &[f32], directions: [&[f32]; 2]) -> Self {
        Self::spanned(z, directions, -DIRECTION_EXTENT, DIRECTION_EXTENT)
    }

    fn spanned(z: &[f32], [across, down]: [&[f32]; 2], from: f32, to: f32) -> Self {
        let scaled = |vector: &[f32]| vector.iter().map(|v| v * (to - from)).collect();
        let origin = add_scaled(&add_scaled(z, across, from), down, from);
        Self { origin, across: scaled(across), down: scaled(down) }
    }

    /// The z at a position.
    pub fn at(&self, [x, y]: [f32; 2]) -> Vec<f32> {
        add_scaled(&add_scaled(&self.origin, &self.across, x), &self.down, y)
    }

    /// The z's at the cell centers of a grid of `side x side` cells, row by row.
    pub fn grid(&self, side: usize) -> Vec<Vec<f32>> {
        let center = |i: usize| (i as f32 + 0.5) / side as f32;
        (0..side * side).map(|i| self.at([center(i % side), center(i / side)])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::vector::distance;

    #[test]
    fn the_three_zs_lie_at_the_corners() {
        let corners = [vec![1.0, 0.0], vec![2.0, 0.0], vec![1.0, 4.0]];
        let plane = LatentPlane::through(&corners);
        for (corner, position) in corners.iter().zip(CORNERS) {
            assert!(distance(&plane.at(position), corner) < 1e-5, "{:?}", plane.at(position));
        }
    }

    #[test]
    fn directions_extend_three_deviations_to_each_side() {
        let plane = LatentPlane::of_directions(&[1.0, 1.0], [&[0.5, 0.0], &[0.0, 2.0]]);
        assert!(distance(&plane.at([0.5, 0.5]), &[1.0, 1.0]) < 1e-5);
        assert!(distance(&plane.at([1.0, 0.0]), &[2.5, -5.0]) < 1e-5);
        let grid = plane.grid(3);
        assert_eq!(grid.len(), 9);
        assert_eq!(grid[4], plane.at([0.5, 0.5]));
    }
}
