//! What the trays of the arithmetic and of the turn share.

use crate::latent::session::Point;

/// Exemplars that make a stable average (section 6.3.2).
pub(super) const AVERAGED: usize = 3;

/// Adds a point to a list, or removes it if it is there; true when it was added.
pub(super) fn toggle(list: &mut Vec<Point>, point: Point) -> bool {
    match list.iter().position(|member| *member == point) {
        Some(at) => {
            list.remove(at);
            false
        }
        None => {
            list.push(point);
            true
        }
    }
}
