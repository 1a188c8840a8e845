//! The geometry of a room: meters to the unit square in one-point perspective, and the positions of things.

use super::canvas::{OptionalPath, P, polygon};
use super::rooms::{RoomTruth, WallSlot};

/// From the eye to the back wall.
pub(super) const DEPTH: f32 = 4.6;
/// From the floor to the ceiling.
pub(super) const HEIGHT: f32 = 2.62;
/// Where the foot of the bed is.
pub(super) const FOOT: f32 = DEPTH - 2.15;

/// A wall; things on it are placed by their distance along it and above the floor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Wall {
    /// The wall the eye looks at, along x.
    Back,
    /// The wall the bed stands at, along z.
    Near,
    /// The wall across the room, along z.
    Far,
}

/// The viewpoint. x runs from the wall of the bed, y upward, z away from the viewer.
pub(super) struct Viewpoint {
    /// How wide the room is.
    pub(super) width: f32,
    /// The bed's sides in x.
    pub(super) bed: (f32, f32),
    eye: P,
    vanish: P,
    focal: f32,
    mirrored: bool,
}

impl Viewpoint {
    /// The eye of a room; the back wall stays near the middle of the picture whatever the eye's place.
    pub(super) fn new(room: &RoomTruth) -> Self {
        let focal = room.focal;
        let eye = (room.width * (0.5 + 0.16 * room.eye), room.eye_height);
        let middle = 0.5 + room.shift;
        let vanish = (middle + focal * (eye.0 - room.width / 2.0) / DEPTH, room.horizon);
        let bed = (room.bed_gap, room.bed_gap + room.bed_width);
        Self { width: room.width, bed, eye, vanish, focal, mirrored: room.mirrored }
    }

    /// Where a point of the room is in the picture.
    pub(super) fn at(&self, x: f32, y: f32, z: f32) -> P {
        let z = z.max(0.2);
        let right = self.vanish.0 + self.focal * (x - self.eye.0) / z;
        let down = self.vanish.1 - self.focal * (y - self.eye.1) / z;
        (if self.mirrored { 1.0 - right } else { right }, down)
    }

    /// How large a meter is at a distance.
    pub(super) fn meter(&self, z: f32) -> f32 {
        self.focal / z
    }

    /// A point on a wall, `off` meters in front of it.
    pub(super) fn on(&self, wall: Wall, along: f32, y: f32, off: f32) -> P {
        match wall {
            Wall::Back => self.at(along, y, DEPTH - off),
            Wall::Near => self.at(off, y, along),
            Wall::Far => self.at(self.width - off, y, along),
        }
    }

    /// A rectangle on a wall from (along, y) to (along, y).
    pub(super) fn panel(&self, wall: Wall, from: P, to: P, off: f32) -> OptionalPath {
        polygon(&[
            self.on(wall, from.0, from.1, off),
            self.on(wall, to.0, from.1, off),
            self.on(wall, to.0, to.1, off),
            self.on(wall, from.0, to.1, off),
        ])
    }

    /// A level rectangle at a height, from (x, z) to (x, z).
    pub(super) fn level(&self, y: f32, from: P, to: P) -> OptionalPath {
        polygon(&[
            self.at(from.0, y, from.1),
            self.at(to.0, y, from.1),
            self.at(to.0, y, to.1),
            self.at(from.0, y, to.1),
        ])
    }

    /// A level rectangle from (x, z) to (x, z), its two corners towards the eye rounded by `radius`.
    pub(super) fn rounded(&self, y: f32, from: P, to: P, radius: f32) -> OptionalPath {
        let (cut, bend) = (radius, radius * 0.3);
        polygon(&[
            self.at(from.0, y, to.1),
            self.at(from.0, y, from.1 + cut),
            self.at(from.0 + bend, y, from.1 + bend),
            self.at(from.0 + cut, y, from.1),
            self.at(to.0 - cut, y, from.1),
            self.at(to.0 - bend, y, from.1 + bend),
            self.at(to.0, y, from.1 + cut),
            self.at(to.0, y, to.1),
        ])
    }

    /// A rectangle facing the eye at distance z, from (x, y) to (x, y).
    pub(super) fn front(&self, z: f32, from: P, to: P) -> OptionalPath {
        polygon(&[
            self.at(from.0, from.1, z),
            self.at(to.0, from.1, z),
            self.at(to.0, to.1, z),
            self.at(from.0, to.1, z),
        ])
    }

    /// A rectangle facing sideways at x, from (z, y) to (z, y).
    pub(super) fn side(&self, x: f32, from: P, to: P) -> OptionalPath {
        polygon(&[
            self.at(x, from.1, from.0),
            self.at(x, from.1, to.0),
            self.at(x, to.1, to.0),
            self.at(x, to.1, from.0),
        ])
    }

    /// Which side of something at x the eye sees: the low one (-1), the high one (+1), or neither.
    pub(super) fn seen_side(&self, x: (f32, f32)) -> f32 {
        if self.eye.0 > x.1 {
            1.0
        } else if self.eye.0 < x.0 {
            -1.0
        } else {
            0.0
        }
    }

    /// The wall of a place, and the middle of it along that wall.
    pub(super) fn place(&self, slot: WallSlot) -> (Wall, f32) {
        match slot {
            WallSlot::Above => (Wall::Back, (self.bed.0 + self.bed.1) / 2.0),
            WallSlot::Beside => (Wall::Back, (self.bed.1 + 0.5 + self.width) / 2.0),
            WallSlot::Near => (Wall::Near, 3.7),
            WallSlot::Far => (Wall::Far, 3.7),
        }
    }
}
