//! Clothing, glasses and backdrops of portraits.

use super::canvas::{Ink, P, blob, ellipse, line, polygon, rect};
use super::color::Rgb;
use super::faces::{Backdrop, Cloth};
use super::head::Face;
use super::pose::HALF;

/// Paints the backdrop.
pub(super) fn backdrop(face: &mut Face) {
    let (a, b) = (face.truth.back, face.truth.back_too);
    let all = rect((0.0, 0.0), (1.0, 1.0));
    match face.truth.backdrop {
        Backdrop::Studio => {
            let stops = vec![(0.0, a.lit(1.22), 1.0), (0.6, a, 1.0), (1.0, a.lit(0.74), 1.0)];
            face.canvas.fill(&all, Ink::Radial((0.5 + 0.18 * face.truth.light, 0.4), (0.85, 0.85), stops));
        }
        Backdrop::Sky => {
            face.canvas.fill(&all, Ink::ramp((0.5, 0.0), (0.5, 0.95), a.lit(0.94), b.mix(Rgb::WHITE, 0.25)));
        }
        Backdrop::Split => {
            let b = b.mix(a, 0.45);
            face.canvas.fill(&all, Ink::ramp((0.0, 0.0), (1.0, 1.0), a.lit(1.1), a.lit(0.9)));
            let wall = polygon(&[(0.62, 0.0), (1.0, 0.0), (1.0, 1.0), (0.44, 1.0)]);
            face.canvas.fill(&wall, Ink::ramp((0.5, 0.0), (1.0, 1.0), b.lit(0.96), b.lit(0.76)));
        }
        Backdrop::Lights => {
            let dusk = a.mix(Rgb::hex(0x2b3247), 0.62);
            face.canvas.fill(&all, Ink::ramp((0.5, 0.0), (0.5, 1.0), dusk.lit(1.05), dusk.lit(0.75)));
            let places = [
                (0.08, 0.16, 0.1),
                (0.3, 0.07, 0.07),
                (0.9, 0.12, 0.11),
                (0.72, 0.2, 0.06),
                (0.95, 0.45, 0.09),
                (0.05, 0.5, 0.08),
                (0.16, 0.34, 0.05),
                (0.86, 0.66, 0.06),
            ];
            for (i, (x, y, r)) in places.into_iter().enumerate() {
                let color = if i % 2 == 0 { b.mix(Rgb::hex(0xffd9a0), 0.5) } else { b };
                let stops = vec![(0.0, color, 0.3), (0.7, color, 0.36), (1.0, color, 0.0)];
                face.canvas.fill(&ellipse((x, y), (r, r), 0.0), Ink::Radial((x, y), (r, r), stops));
            }
        }
    }
}

/// A position on the chest; the shoulders do not turn with the head.
fn chest(face: &Face, x: f32, v: f32) -> P {
    face.pose.at(x, v - 0.035)
}

/// Paints shoulders and clothing.
pub(super) fn cloth(face: &mut Face) {
    let color = face.truth.cloth_color;
    let dip: &[P] = match face.truth.cloth {
        Cloth::Round => &[(-0.115, 0.372), (-0.085, 0.415), (0.0, 0.445), (0.085, 0.415), (0.115, 0.372)],
        Cloth::Pointed | Cloth::Collar => {
            &[(-0.112, 0.365), (-0.06, 0.435), (0.0, 0.488), (0.06, 0.435), (0.112, 0.365)]
        }
        Cloth::High => &[(-0.1, 0.36), (0.0, 0.37), (0.1, 0.36)],
    };
    let mut points: Vec<P> =
        [(-0.42, 0.66), (-0.4, 0.54), (-0.345, 0.455), (-0.235, 0.412)].map(|p| chest(face, p.0, p.1)).to_vec();
    points.extend(dip.iter().map(|p| chest(face, p.0, p.1)));
    points.extend([(0.235, 0.412), (0.345, 0.455), (0.4, 0.54), (0.42, 0.66)].map(|p| chest(face, p.0, p.1)));
    let shape = blob(&points);
    let light = face.truth.light;
    let (lit, dim) = (chest(face, 0.36 * light, 0.4), chest(face, -0.36 * light, 0.56));
    face.canvas.fill(&shape, Ink::ramp(lit, dim, color.lit(1.12), color.lit(0.72)));
    face.canvas.clip(&shape);
    for side in [-1.0, 1.0] {
        let fold =
            line(&[chest(face, side * 0.25, 0.5), chest(face, side * 0.235, 0.56), chest(face, side * 0.24, 0.64)]);
        face.canvas.stroke(&fold, face.pose.long(0.012), Ink::Flat(color.lit(0.5), 0.4));
    }
    face.canvas.unclip();
    match face.truth.cloth {
        Cloth::Round | Cloth::Pointed => {
            let hem: Vec<P> = dip.iter().map(|p| chest(face, p.0, p.1)).collect();
            face.canvas.stroke(&line(&hem), face.pose.long(0.014), color.lit(0.78));
        }
        Cloth::Collar => {
            for side in [-1.0, 1.0] {
                let flap = polygon(&[
                    chest(face, side * 0.098, 0.325),
                    chest(face, side * 0.14, 0.385),
                    chest(face, side * 0.115, 0.505),
                    chest(face, 0.0, 0.5),
                    chest(face, side * 0.045, 0.425),
                ]);
                let (top, low) = (chest(face, 0.0, 0.33), chest(face, 0.0, 0.5));
                let bright = if side * light > 0.0 { 1.3 } else { 1.12 };
                face.canvas.fill(&flap, Ink::ramp(top, low, color.lit(bright), color.lit(bright - 0.16)));
                let edge = line(&[chest(face, side * 0.115, 0.505), chest(face, 0.0, 0.5)]);
                face.canvas.stroke(&edge, face.pose.long(0.006), Ink::Flat(color.lit(0.5), 0.55));
            }
        }
        Cloth::High => {
            let roll = blob(&[
                chest(face, -0.092, 0.272),
                chest(face, 0.0, 0.3),
                chest(face, 0.092, 0.272),
                chest(face, 0.112, 0.33),
                chest(face, 0.116, 0.39),
                chest(face, 0.0, 0.42),
                chest(face, -0.116, 0.39),
                chest(face, -0.112, 0.33),
            ]);
            let ink = Ink::ramp(
                chest(face, 0.12 * light, 0.3),
                chest(face, -0.12 * light, 0.4),
                color.lit(1.1),
                color.lit(0.7),
            );
            face.canvas.fill(&roll, ink);
            let seam = line(&[chest(face, -0.116, 0.388), chest(face, 0.0, 0.42), chest(face, 0.116, 0.388)]);
            face.canvas.stroke(&seam, face.pose.long(0.008), Ink::Flat(color.lit(0.45), 0.5));
            // The shadow of the chin stays on the collar.
            let (under, reach) = (chest(face, 0.0, 0.275), (face.pose.long(0.13), face.pose.long(0.045)));
            face.canvas.clip(&roll);
            face.canvas.spot(under, reach, color.lit(0.3), 0.6);
            face.canvas.unclip();
        }
    }
}

/// Center and radii of a rim.
fn lens(face: &Face, side: f32) -> (P, P) {
    let (eye, seen) = (face.pose.eye(side), face.pose.eye_seen(side) * 0.92 + 0.08);
    let middle = (eye.0 + face.pose.long(0.006) * face.pose.turn, eye.1 + face.pose.long(0.004));
    (middle, (face.pose.long(0.061) * seen, face.pose.long(0.046)))
}

/// Paints the temples of the glasses, which hair may cover.
pub(super) fn arms(face: &mut Face) {
    for side in [-1.0, 1.0] {
        let (middle, (w, h)) = lens(face, side);
        let hinge = (middle.0 + side * 0.97 * w, middle.1 - 0.3 * h);
        let ear = face.pose.on(side * 1.27, -0.01, HALF);
        // A temple of the glasses is only visible where that side of the head is.
        if (ear.0 - hinge.0) * side > 0.0 {
            let color = face.truth.glasses_color.lit(0.9);
            face.canvas.stroke(&line(&[hinge, ear]), face.pose.long(0.009), color);
        }
    }
}

/// Paints the glasses: two rims and a bridge.
pub(super) fn glasses(face: &mut Face) {
    let color = face.truth.glasses_color;
    let thick = face.pose.long(0.0105);
    let mut inner = [(0.0, 0.0); 2];
    for (i, side) in [-1.0, 1.0].into_iter().enumerate() {
        let (middle, (w, h)) = lens(face, side);
        let k = 0.8;
        let p = |u: f32, v: f32| (middle.0 + u * w, middle.1 + v * h);
        let rim = blob(&[
            p(0.0, -1.0),
            p(k, -0.8),
            p(1.0, 0.0),
            p(0.72, 0.78),
            p(0.0, 1.0),
            p(-0.72, 0.78),
            p(-1.0, 0.0),
            p(-k, -0.8),
        ]);
        let glare = Ink::Linear(
            p(-0.8, -1.0),
            p(0.8, 1.0),
            vec![(0.0, Rgb::WHITE, 0.3), (0.5, Rgb::WHITE, 0.05), (1.0, Rgb::WHITE, 0.12)],
        );
        face.canvas.fill(&rim, glare);
        face.canvas.stroke(&rim, thick, color);
        inner[i] = p(-side, -0.25);
    }
    let top = ((inner[0].0 + inner[1].0) / 2.0, inner[0].1 - face.pose.long(0.008));
    face.canvas.stroke(&line(&[inner[0], top, inner[1]]), thick, color);
}
