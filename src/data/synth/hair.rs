//! Hair and beards. Behind the head first, then over it.

use super::canvas::{Ink, P, blob, ellipse, line};
use super::color::Rgb;
use super::faces::Hair;
use super::head::Face;
use super::pose::HALF;

/// The outline of a mass of hair: places beside the head for the right side from the top, mirrored to the left.
fn mass(face: &Face, half: &[P], shift: f32) -> Vec<P> {
    let width = face.pose.width;
    let right = half.iter().map(|&(x, v)| face.pose.at(x * width + shift, v));
    let left = half.iter().rev().filter(|p| p.0 != 0.0).map(|&(x, v)| face.pose.at(-x * width + shift, v));
    right.chain(left).collect()
}

/// Hair's color from the crown down.
fn ink(face: &Face, top: f32, low: f32, bright: f32) -> Ink {
    let color = face.truth.hair_color;
    let x = 0.12 * face.truth.light;
    let stops = vec![
        (0.0, color.lit(1.16 * bright), 1.0),
        (0.45, color.lit(bright), 1.0),
        (1.0, color.lit(0.68 * bright), 1.0),
    ];
    Ink::Linear(face.pose.at(x, top), face.pose.at(-x, low), stops)
}

/// Hair behind the neck and shoulders.
pub(super) fn behind(face: &mut Face) {
    let back = -0.016 * face.pose.turn;
    match face.truth.hair {
        Hair::Long => {
            let half = [
                (0.0, -0.3),
                (0.12, -0.283),
                (0.205, -0.2),
                (0.232, -0.06),
                (0.238, 0.1),
                (0.25, 0.25),
                (0.255, 0.36),
                (0.2, 0.44),
                (0.1, 0.46),
                (0.0, 0.44),
            ];
            let shape = blob(&mass(face, &half, back));
            face.canvas.fill(&shape, ink(face, -0.3, 0.42, 0.72));
        }
        Hair::Bob => {
            let half = [
                (0.0, -0.295),
                (0.12, -0.278),
                (0.202, -0.195),
                (0.226, -0.05),
                (0.232, 0.1),
                (0.218, 0.2),
                (0.13, 0.235),
                (0.0, 0.22),
            ];
            let shape = blob(&mass(face, &half, back));
            face.canvas.fill(&shape, ink(face, -0.3, 0.26, 0.7));
        }
        Hair::Curly => curls(face, back),
        Hair::Bun => {
            let at = face.pose.at(back * 3.0, -0.3);
            let r = face.pose.long(0.078);
            let color = face.truth.hair_color;
            let lit = (at.0 + r * 0.35 * face.truth.light, at.1 - r * 0.35);
            let stops = vec![(0.0, color.lit(1.2), 1.0), (0.6, color.lit(0.95), 1.0), (1.0, color.lit(0.6), 1.0)];
            face.canvas.fill(&ellipse(at, (r * 1.06, r), 0.0), Ink::Radial(lit, (r * 1.4, r * 1.4), stops));
        }
        Hair::Bald | Hair::Short => {}
    }
}

/// A cloud of curls around the head.
fn curls(face: &mut Face, shift: f32) {
    let color = face.truth.hair_color;
    let half = [(0.0, -0.325), (0.14, -0.3), (0.23, -0.2), (0.262, -0.06), (0.245, 0.06), (0.16, 0.13), (0.0, 0.12)];
    let shape = blob(&mass(face, &half, shift));
    face.canvas.fill(&shape, color.lit(0.72));
    for i in 0..23 {
        // From one side over the top to the other.
        let angle = (-136.0 + 272.0 * i as f32 / 22.0).to_radians();
        let wobble = [0.0, 0.016, -0.006, 0.01][i % 4];
        let (sin, cos) = angle.sin_cos();
        let at = face.pose.at((0.222 + wobble) * sin * face.pose.width + shift, -0.06 - (0.23 + wobble) * cos);
        let r = face.pose.long(0.052 + wobble * 0.5);
        curl(face, at, r, 0.92);
    }
}

fn curl(face: &mut Face, at: P, r: f32, bright: f32) {
    let color = face.truth.hair_color;
    let lit = (at.0 + r * 0.35 * face.truth.light, at.1 - r * 0.4);
    let stops =
        vec![(0.0, color.lit(1.1 * bright), 1.0), (0.55, color.lit(bright), 1.0), (1.0, color.lit(0.82 * bright), 1.0)];
    face.canvas.fill(&ellipse(at, (r, r), 0.0), Ink::Radial(lit, (r * 1.35, r * 1.35), stops));
}

/// A cap of hair: the skull's outline, grown, down to the ears, and a hairline of (longitude, v) from the picture's
/// left to its right.
fn cap(face: &Face, grow: f32, ear: f32, hairline: &[P]) -> Vec<P> {
    let outline = face.pose.outline(grow);
    let n = outline.len();
    // The outline's upper half: three places on each side of the crown.
    let mut points: Vec<P> = (n - 3..n).chain(0..4).map(|i| outline[i % n]).collect();
    let edge = (HALF + grow) * face.pose.width * 0.98;
    // On the side turned to us the hair goes on behind the ear down to the neck.
    let nape = |side: f32| {
        let low = ear + 0.1 * face.pose.near(side);
        let behind = face.pose.on(side * 1.38, low, HALF);
        [
            face.pose.at(side * edge + 0.012 * face.pose.turn, ear),
            face.pose.at(side * edge * 0.93 + 0.02 * face.pose.turn, low),
            behind,
        ]
    };
    points.extend(nape(1.0));
    points.extend(hairline.iter().rev().map(|&(longitude, v)| face.pose.skull(longitude, v)));
    points.extend(nape(-1.0).into_iter().rev());
    points
}

/// A soft band of light over the crown.
fn gloss(face: &mut Face, strength: f32) {
    let color = face.truth.hair_color;
    let at = face.pose.at(0.07 * face.truth.light, -0.215);
    face.canvas.spot(at, (face.pose.long(0.13), face.pose.long(0.045)), color.lit(1.5), strength);
}

/// Hair over the forehead, the temples and the shoulders.
pub(super) fn before(face: &mut Face) {
    let part = if face.truth.part_left { -1.0 } else { 1.0 };
    // A hairline for hair parted on the right, mirrored if it is parted on the left.
    let parted = |points: &[P]| -> Vec<P> {
        if part > 0.0 { points.to_vec() } else { points.iter().rev().map(|p| (-p.0, p.1)).collect() }
    };
    match face.truth.hair {
        Hair::Bald => {
            let at = face.pose.on(0.25 * face.truth.light, -0.195, 0.15);
            face.canvas.spot(at, (face.pose.long(0.075), face.pose.long(0.035)), face.shine.lit(1.35), 0.6);
        }
        Hair::Short => {
            let hairline = parted(&[
                (-1.2, 0.03),
                (-1.1, -0.05),
                (-0.98, -0.1),
                (-0.7, -0.135),
                (-0.2, -0.128),
                (0.3, -0.145),
                (0.55, -0.18),
                (0.8, -0.14),
                (0.98, -0.1),
                (1.1, -0.05),
                (1.2, 0.03),
            ]);
            let shape = blob(&cap(face, 0.026, 0.02, &hairline));
            face.canvas.fill(&shape, ink(face, -0.29, 0.05, 1.0));
            face.canvas.clip(&shape);
            gloss(face, 0.5);
            strands(face, &[(0.55 * part, -0.178), (0.1 * part, -0.2), (-0.5 * part, -0.19), (-0.9 * part, -0.12)]);
            face.canvas.unclip();
        }
        Hair::Bun => {
            let hairline = [
                (-1.2, 0.02),
                (-1.08, -0.06),
                (-0.9, -0.12),
                (-0.45, -0.168),
                (0.0, -0.18),
                (0.45, -0.168),
                (0.9, -0.12),
                (1.08, -0.06),
                (1.2, 0.02),
            ];
            let shape = blob(&cap(face, 0.014, 0.02, &hairline));
            face.canvas.fill(&shape, ink(face, -0.28, 0.05, 1.0));
            face.canvas.clip(&shape);
            gloss(face, 0.55);
            face.canvas.unclip();
        }
        Hair::Curly => {
            // Hair under the curls, so that no skin shows between them.
            let hairline = [
                (-1.22, 0.02),
                (-1.1, -0.07),
                (-0.9, -0.125),
                (-0.45, -0.165),
                (0.0, -0.175),
                (0.45, -0.165),
                (0.9, -0.125),
                (1.1, -0.07),
                (1.22, 0.02),
            ];
            let shape = blob(&cap(face, 0.04, 0.03, &hairline));
            face.canvas.fill(&shape, face.truth.hair_color.lit(0.86));
            for (i, longitude) in
                [-1.25, -1.0, -0.72, -0.42, -0.12, 0.18, 0.48, 0.78, 1.05, 1.28].into_iter().enumerate()
            {
                let v = -0.205 + 0.085 * f32::powi(longitude, 2) + [0.0, 0.012][i % 2];
                let at = face.pose.on(longitude, v, HALF * 1.04);
                let r = face.pose.long(0.05 + [0.004, 0.0, 0.007][i % 3]) * (0.62 + 0.38 * face.pose.seen(longitude));
                curl(face, at, r, 1.0);
            }
            for side in [-1.0, 1.0] {
                // The back of a turned head.
                let near = (face.pose.near(side) * 2.0).min(1.0);
                for v in [-0.24, -0.18, -0.12, -0.06, 0.0, 0.06, 0.11] {
                    let at = face.pose.at(side * (0.175 - 0.9 * v * v), v);
                    let r = face.pose.long(0.05) * near;
                    curl(face, at, r, 0.94);
                }
                for (longitude, v) in
                    [(1.42, -0.16), (1.3, -0.09), (1.48, -0.03), (1.25, 0.0), (1.05, -0.215), (1.12, -0.13)]
                {
                    let at = face.pose.on(side * longitude, v, HALF * 1.1);
                    let r = face.pose.long(0.048) * (0.6 + 0.4 * face.pose.seen(side * longitude));
                    curl(face, at, r, 0.96);
                }
            }
            for (i, longitude) in [-0.85, -0.5, -0.15, 0.2, 0.55, 0.88].into_iter().enumerate() {
                let at = face.pose.on(longitude, -0.262 + 0.04 * longitude * longitude + [0.0, 0.01][i % 2], HALF);
                let r = face.pose.long(0.052);
                curl(face, at, r, 1.06);
            }
        }
        Hair::Long => {
            let hairline = parted(&[
                (-1.04, 0.03),
                (-0.99, -0.02),
                (-0.88, -0.08),
                (-0.5, -0.15),
                (0.2, -0.205),
                (0.42, -0.222),
                (0.6, -0.17),
                (0.88, -0.08),
                (0.99, -0.02),
                (1.04, 0.03),
            ]);
            lengths(face, 0.43);
            let shape = blob(&cap(face, 0.032, 0.05, &hairline));
            face.canvas.fill(&shape, ink(face, -0.3, 0.3, 1.0));
            face.canvas.clip(&shape);
            gloss(face, 0.5);
            strands(face, &[(0.42 * part, -0.222), (-0.1 * part, -0.19), (-0.7 * part, -0.12), (-1.1 * part, 0.02)]);
            face.canvas.unclip();
        }
        Hair::Bob => {
            let hairline = [
                (-1.04, 0.03),
                (-0.96, -0.03),
                (-0.86, -0.082),
                (-0.6, -0.09),
                (-0.2, -0.096),
                (0.2, -0.096),
                (0.6, -0.09),
                (0.86, -0.082),
                (0.96, -0.03),
                (1.04, 0.03),
            ];
            lengths(face, 0.205);
            let shape = blob(&cap(face, 0.03, 0.05, &hairline));
            face.canvas.fill(&shape, ink(face, -0.29, 0.2, 1.0));
            face.canvas.clip(&shape);
            gloss(face, 0.55);
            for longitude in [-0.55, -0.18, 0.22, 0.6] {
                strands(face, &[(longitude * 0.5, -0.22), (longitude * 0.8, -0.16), (longitude, -0.1)]);
            }
            face.canvas.unclip();
        }
    }
}

/// A faint line along the hair through (longitude, v).
fn strands(face: &mut Face, points: &[P]) {
    let along: Vec<P> = points.iter().map(|&(longitude, v)| face.pose.skull(longitude, v)).collect();
    let color = face.truth.hair_color.lit(0.5);
    face.canvas.stroke(&line(&along), face.pose.long(0.006), Ink::Flat(color, 0.45));
}

/// Hair falling beside the cheeks down to a height.
fn lengths(face: &mut Face, low: f32) {
    for side in [-1.0, 1.0] {
        let pose = face.pose;
        let outer = |x: f32, v: f32| pose.at(side * x * pose.width + 0.004 * pose.turn, v);
        // The inner edge leaves the cheek of the turned head and comes to hang beside the neck.
        let inner = |v: f32| {
            let share = ((v - 0.03) / (low - 0.03)).clamp(0.0, 1.0);
            let (cheek, hang) = (pose.on(side * 1.04, v, HALF * 0.98), outer(0.135, v));
            (cheek.0 + (hang.0 - cheek.0) * share * share * (3.0 - 2.0 * share), cheek.1)
        };
        let mut points = vec![pose.on(side, -0.14, HALF), outer(0.2, -0.12), outer(0.224, 0.02)];
        points.extend([
            outer(0.234, low * 0.55),
            outer(0.236, low - 0.04),
            outer(0.19, low + 0.012),
            outer(0.14, low - 0.012),
        ]);
        points.extend([0.8, 0.6, 0.4, 0.2].map(|share| inner(0.03 + (low - 0.03) * share)));
        points.extend([inner(0.0), pose.on(side, -0.07, HALF * 0.98)]);
        face.canvas.fill(&blob(&points), ink(face, -0.25, low + 0.06, 0.95));
        let fold = line(&[outer(0.195, -0.05), outer(0.2, low * 0.5), outer(0.192, low - 0.05)]);
        let dark = face.truth.hair_color.lit(0.5);
        face.canvas.stroke(&fold, pose.long(0.007), Ink::Flat(dark, 0.4));
    }
}

/// A full beard with a moustache.
pub(super) fn beard(face: &mut Face) {
    let outline = face.pose.outline(0.012);
    let n = outline.len();
    let p = |longitude: f32, v: f32| face.pose.on(longitude, v, 0.164);
    // Clockwise from the right sideburn along the jaw to the left one, then back over the cheeks and the lip.
    // Where the cheek turns away the beard's edge is lower, or it would leave a sliver along the cheek.
    let hidden = |side: f32| 1.0 - (face.pose.seen(side * 1.2) * 3.0).min(1.0);
    let burn = |side: f32| face.pose.on(side * 1.2, 0.035 + 0.095 * hidden(side), HALF);
    let cheek = |side: f32| face.pose.on(side * 1.02, 0.085 + 0.05 * hidden(side), HALF * 0.97);
    let mut points = vec![burn(1.0)];
    points.extend((5..=n - 5).map(|i| outline[i]));
    points.extend([burn(-1.0), cheek(-1.0)]);
    points.extend([
        p(-0.72, 0.138),
        p(-0.42, 0.128),
        p(-0.12, 0.117),
        p(0.0, 0.121),
        p(0.12, 0.117),
        p(0.42, 0.128),
        p(0.72, 0.138),
    ]);
    points.push(cheek(1.0));
    let color = face.truth.hair_color.mix(Rgb::hex(0x2a1a14), 0.14);
    let (a, b) = (face.pose.at(0.2 * face.truth.light, 0.08), face.pose.at(-0.1 * face.truth.light, 0.27));
    let shape = blob(&points);
    let ink = Ink::Linear(a, b, vec![(0.0, color.lit(1.1), 0.96), (0.5, color, 0.96), (1.0, color.lit(0.66), 0.97)]);
    face.canvas.clip(&blob(&face.pose.outline(0.005)));
    face.canvas.fill(&shape, ink);
    face.canvas.unclip();
    let chin = face.pose.on(0.0, 0.215, 0.15);
    face.canvas.spot(chin, (face.pose.long(0.07), face.pose.long(0.035)), color.lit(1.3), 0.4);
}
