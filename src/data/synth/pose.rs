//! The head's geometry: an ellipsoid that turns.

use super::canvas::P;
use super::faces::FaceTruth;

/// Half a head's width.
pub(super) const HALF: f32 = 0.18;
/// How far out the surface is at the eyes.
const EYE_OUT: f32 = 0.163;
/// Where the eyes are, in radians from the middle of the face.
const EYE_AT: f32 = 0.46;

/// A head's place, size, shape and turn. Coordinates on it: x to the right and v downwards from its middle.
#[derive(Clone, Copy)]
pub(super) struct Pose {
    /// The face's width, 1 is ordinary.
    pub(super) width: f32,
    /// Where the head is turned, -1..=1.
    pub(super) turn: f32,
    middle: P,
    scale: f32,
    jaw: f32,
    theta: f32,
}

impl Pose {
    pub(super) fn new(truth: &FaceTruth) -> Self {
        Self {
            width: truth.width,
            turn: truth.turn,
            middle: (0.5 + truth.x, 0.468 + truth.y),
            scale: 1.14 * truth.scale,
            jaw: truth.jaw,
            theta: truth.turn * 0.5,
        }
    }

    /// The angle of a longitude to the eye that looks at the head.
    pub(super) fn angle(&self, longitude: f32) -> f32 {
        longitude + self.theta
    }

    /// A place beside the middle of the head, wherever the head is turned.
    pub(super) fn at(&self, x: f32, v: f32) -> P {
        (self.middle.0 + self.scale * x, self.middle.1 + self.scale * v)
    }

    /// A length on the face as a length in the picture.
    pub(super) fn long(&self, length: f32) -> f32 {
        length * self.scale
    }

    /// How far the turned face's axis is from the head's: the chin swings further than the crown.
    pub(super) fn swing(&self, v: f32) -> f32 {
        self.turn * (0.012 + if v > 0.0 { 0.15 * v } else { 0.05 * v })
    }

    /// A place on the head's surface, `out` from its axis.
    pub(super) fn on(&self, longitude: f32, v: f32, out: f32) -> P {
        let quarter = std::f32::consts::FRAC_PI_2;
        let angle = (longitude + self.theta).clamp(-quarter, quarter);
        self.at(self.width * out * angle.sin() + self.swing(v), v)
    }

    /// A place on the skull above the eyes, where it narrows to the crown.
    pub(super) fn skull(&self, longitude: f32, v: f32) -> P {
        let up = ((-0.02 - v) / 0.245).clamp(0.0, 1.0);
        self.on(longitude, v, HALF * 0.985 * (1.0 - up * up).sqrt())
    }

    /// How far a side, -1 or +1, is turned towards us, 0..=1.
    pub(super) fn near(&self, side: f32) -> f32 {
        (-side * self.turn).max(0.0)
    }

    /// How much of a width at a longitude is seen.
    pub(super) fn seen(&self, longitude: f32) -> f32 {
        (longitude + self.theta).cos().max(0.0)
    }

    /// The head's outline, clockwise from the crown, `grow` larger.
    pub(super) fn outline(&self, grow: f32) -> Vec<P> {
        let jaw = self.jaw;
        let half = [
            (0.46, -0.24),
            (0.85, -0.165),
            (1.0, -0.04),
            (0.965, 0.07),
            (0.80 + 0.07 * jaw, 0.165),
            (0.45 + 0.1 * jaw, 0.232),
        ];
        // A skull is deeper than wide: its back shows on the side turned to us.
        let deep = |u: f32, v: f32| if v < 0.0 { 1.0 + 0.07 * self.near(u.signum()) * u.abs() } else { 1.0 };
        let place = |u: f32, v: f32| {
            self.at(u * deep(u, v) * (HALF * self.width + grow) + self.swing(v), v * (1.0 + grow / 0.25))
        };
        let mut points = vec![place(0.0, -0.262)];
        points.extend(half.iter().map(|&(u, v)| place(u, v)));
        points.push(place(0.0, 0.256));
        points.extend(half.iter().rev().map(|&(u, v)| place(-u, v)));
        points
    }

    /// Where an eye is; `side` is -1 for the picture's left.
    pub(super) fn eye(&self, side: f32) -> P {
        self.on(side * EYE_AT, 0.0, EYE_OUT)
    }

    /// How wide an eye looks.
    pub(super) fn eye_seen(&self, side: f32) -> f32 {
        // Even a far eye keeps some width: eyeballs are round, not painted on.
        0.3 + 0.7 * self.seen(side * EYE_AT * 0.8) / (EYE_AT * 0.8).cos()
    }
}
