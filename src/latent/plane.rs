//! A flat map of Z: the plane through three z's, or of two directions from one.

use super::vector::along;

/// How far a map reaches beyond its three z's, in sides of the triangle.
const BEYOND: f32 = 0.25;
/// How far a map of directions reaches to each side, in standard deviations.
const REACH: f32 = 3.0;

/// Where the three z's of [`Plane::through`] lie on the map.
pub const CORNERS: [[f32; 2]; 3] = {
    let (near, far) = (BEYOND / (1.0 + 2.0 * BEYOND), (1.0 + BEYOND) / (1.0 + 2.0 * BEYOND));
    [[near, near], [far, near], [near, far]]
};

/// A map: places on it are `[x, y]` from its upper left corner, in sides of the map.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    origin: Vec<f32>,
    across: Vec<f32>,
    down: Vec<f32>,
}

impl Plane {
    /// The plane through three z's, which lie at [`CORNERS`].
    pub fn through([first, second, third]: &[Vec<f32>; 3]) -> Self {
        let side = |to: &Vec<f32>| along(to, first, -1.0);
        Self::spanned(first, [&side(second), &side(third)], -BEYOND, 1.0 + BEYOND)
    }

    /// The plane of two directions, `z` in the middle of it.
    pub fn of_directions(z: &[f32], directions: [&[f32]; 2]) -> Self {
        Self::spanned(z, directions, -REACH, REACH)
    }

    fn spanned(z: &[f32], [across, down]: [&[f32]; 2], from: f32, to: f32) -> Self {
        let scaled = |vector: &[f32]| vector.iter().map(|v| v * (to - from)).collect();
        Self { origin: along(&along(z, across, from), down, from), across: scaled(across), down: scaled(down) }
    }

    /// The z at a place.
    pub fn at(&self, [x, y]: [f32; 2]) -> Vec<f32> {
        along(&along(&self.origin, &self.across, x), &self.down, y)
    }

    /// The z's in the middles of `side x side` fields of the map, row by row.
    pub fn land(&self, side: usize) -> Vec<Vec<f32>> {
        let middle = |i: usize| (i as f32 + 0.5) / side as f32;
        (0..side * side).map(|i| self.at([middle(i % side), middle(i / side)])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::vector::distance;

    #[test]
    fn corners_lie_where_the_map_says() {
        let corners = [vec![1.0, 0.0], vec![2.0, 0.0], vec![1.0, 4.0]];
        let plane = Plane::through(&corners);
        for (corner, place) in corners.iter().zip(CORNERS) {
            assert!(distance(&plane.at(place), corner) < 1e-5, "{:?}", plane.at(place));
        }
    }

    #[test]
    fn directions_are_seen_three_deviations_to_each_side() {
        let plane = Plane::of_directions(&[1.0, 1.0], [&[0.5, 0.0], &[0.0, 2.0]]);
        assert!(distance(&plane.at([0.5, 0.5]), &[1.0, 1.0]) < 1e-5);
        assert!(distance(&plane.at([1.0, 0.0]), &[2.5, -5.0]) < 1e-5);
        let land = plane.land(3);
        assert_eq!(land.len(), 9);
        assert_eq!(land[4], plane.at([0.5, 0.5]));
    }
}
