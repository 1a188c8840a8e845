//! The head: an ellipsoid that turns, and what is on it.

use super::canvas::{Ink, Painter, blob, ellipse, line};
use super::color::Rgb;
use super::faces::FaceTruth;
use super::pose::{HALF, Pose};

/// A face being drawn.
pub(super) struct Face<'a> {
    pub(super) truth: &'a FaceTruth,
    pub(super) canvas: Painter,
    /// Where everything is.
    pub(super) pose: Pose,
    /// The skin in full light.
    pub(super) skin: Rgb,
    /// The skin in shadow.
    pub(super) shade: Rgb,
    /// The skin where light catches it.
    pub(super) shine: Rgb,
}

/// A skin tone, 0 light to 1 dark.
fn skin(tone: f32) -> Rgb {
    let tones = [0xf8ddca, 0xf0c6a8, 0xdba781, 0xb9825e, 0x8d5c40, 0x613f2f].map(Rgb::hex);
    let at = tone.clamp(0.0, 1.0) * 5.0;
    let low = (at as usize).min(4);
    tones[low].mix(tones[low + 1], at - low as f32)
}

impl<'a> Face<'a> {
    pub(super) fn new(truth: &'a FaceTruth, canvas: Painter) -> Self {
        let skin = skin(truth.skin);
        let shade = skin.under(Rgb([0.80, 0.675, 0.645]));
        let shine = skin.mix(Rgb::hex(0xfff1e0), 0.26);
        Self { truth, canvas, pose: Pose::new(truth), skin, shade, shine }
    }

    /// Neck and chest, with the chin's shadow.
    pub(super) fn neck(&mut self) {
        let lean = 0.012 * self.truth.turn;
        let half = 0.082 * self.truth.width;
        let points = [
            self.pose.at(-half + lean, 0.1),
            self.pose.at(half + lean, 0.1),
            self.pose.at(half + lean * 0.5, 0.27),
            self.pose.at(half + 0.02, 0.335),
            self.pose.at(0.2, 0.39),
            self.pose.at(0.2, 0.62),
            self.pose.at(-0.2, 0.62),
            self.pose.at(-0.2, 0.39),
            self.pose.at(-half - 0.02, 0.335),
            self.pose.at(-half + lean * 0.5, 0.27),
        ];
        let shape = blob(&points);
        let (lit, dim) = if self.truth.light < 0.0 { (-0.14, 0.14) } else { (0.14, -0.14) };
        let ink = Ink::ramp(self.pose.at(lit, 0.3), self.pose.at(dim, 0.3), self.skin, self.skin.mix(self.shade, 0.75));
        self.canvas.fill(&shape, ink);
        self.canvas.clip(&shape);
        let under = self.pose.at(self.pose.swing(0.25) * 0.7, 0.235);
        let radii = (self.pose.long(0.19), self.pose.long(0.135));
        let deep = self.shade.mix(Rgb::hex(0x3a1520), 0.25);
        self.canvas.spot(under, radii, deep, 0.9);
        self.canvas.unclip();
    }

    /// Ears, where the head hides part of them.
    pub(super) fn ears_behind(&mut self) {
        for side in [-1.0, 1.0] {
            self.ear(side, 1.0);
        }
    }

    /// The ear of the side turned to us.
    pub(super) fn ears_before(&mut self) {
        for side in [-1.0f32, 1.0] {
            let angle = (self.pose.angle(side * 1.3)).abs();
            self.ear(side, ((1.24 - angle) / 0.12).clamp(0.0, 1.0));
        }
    }

    fn ear(&mut self, side: f32, opacity: f32) {
        if opacity <= 0.0 {
            return;
        }
        let angle = self.pose.angle(side * 1.3);
        let x = self.truth.width * HALF * angle.sin() + side * 0.012 * angle.sin().abs() + self.pose.swing(0.02);
        // The ear of the far side goes behind the head.
        let x = x - side * 0.07 * (angle.abs() - 1.35).max(0.0);
        let middle = self.pose.at(x, 0.022);
        let width = 0.022 + 0.017 * angle.cos().max(0.0);
        let (r, tall) = (self.pose.long(width), self.pose.long(0.046));
        let lean = side * 0.16;
        let edge = self.skin.mix(self.shade, 0.25);
        self.canvas.fill(&ellipse(middle, (r, tall), lean), Ink::Flat(edge, opacity));
        let inner = (middle.0 - side * r * 0.15, middle.1);
        self.canvas.fill(&ellipse(inner, (r * 0.55, tall * 0.62), lean), Ink::Flat(self.shade, opacity * 0.6));
    }

    /// The skin of the face, modeled by light.
    pub(super) fn head(&mut self) {
        let shape = blob(&self.pose.outline(0.0));
        let light = self.truth.light;
        let bright = self.pose.at(0.075 * light + self.pose.swing(0.0) * 2.0, -0.07);
        let radii = (self.pose.long(0.30), self.pose.long(0.38));
        let stops = vec![
            (0.0, self.shine, 1.0),
            (0.45, self.skin, 1.0),
            (0.8, self.skin.mix(self.shade, 0.55), 1.0),
            (1.0, self.shade, 1.0),
        ];
        self.canvas.fill(&shape, Ink::Radial(bright, radii, stops));
        self.canvas.clip(&shape);
        // The side away from the light.
        let far = self.pose.at(-0.21 * light.signum(), 0.04);
        let deep = self.shade;
        self.canvas.spot(far, (self.pose.long(0.17), self.pose.long(0.3)), deep, 0.3 + 0.4 * light.abs());
        let chin = self.pose.on(0.0, 0.275, 0.15);
        self.canvas.spot(chin, (self.pose.long(0.16), self.pose.long(0.06)), deep, 0.5);
        // Cheeks.
        let rose = self.skin.mix(Rgb::hex(0xd8524a), 0.36);
        for side in [-1.0, 1.0] {
            let at = self.pose.on(side * 0.66, 0.088, 0.165);
            let wide = self.pose.long(0.062) * (0.35 + 0.65 * self.pose.seen(side * 0.66));
            self.canvas.spot(at, (wide, self.pose.long(0.05)), rose, if self.truth.smile { 0.46 } else { 0.32 });
            // Sockets.
            let at = self.pose.eye(side);
            let wide = self.pose.long(0.066) * self.pose.eye_seen(side);
            self.canvas.spot((at.0, at.1 - self.pose.long(0.012)), (wide, self.pose.long(0.05)), self.shade, 0.5);
        }
        let brow = self.pose.on(0.0, -0.13, 0.15);
        self.canvas.spot(brow, (self.pose.long(0.1), self.pose.long(0.06)), self.shine, 0.45);
        let chin = self.pose.on(0.0, 0.218, 0.15);
        self.canvas.spot(chin, (self.pose.long(0.045), self.pose.long(0.03)), self.shine, 0.5);
        self.canvas.unclip();
    }

    /// Both eyes.
    pub(super) fn eyes(&mut self) {
        let lash = Rgb::hex(0x2a1a18);
        for side in [-1.0, 1.0] {
            let middle = self.pose.eye(side);
            let size = self.truth.eyes;
            let w = self.pose.long(0.041) * size * self.pose.eye_seen(side);
            let h = self.pose.long(if self.truth.smile { 0.0185 } else { 0.021 }) * size;
            let p = |u: f32, v: f32| (middle.0 + side * u * w, middle.1 + v * h);
            let shape = blob(&[
                p(-1.0, 0.3),
                p(-0.5, -0.62),
                p(0.15, -1.0),
                p(0.72, -0.6),
                p(1.0, 0.0),
                p(0.5, 0.75),
                p(-0.3, 0.85),
            ]);
            let white = Rgb::hex(0xfbf7f2);
            let ink = Ink::ramp(p(0.0, -1.0), p(0.0, 0.6), white.mix(self.shade, 0.45), white);
            self.canvas.fill(&shape, ink);
            self.canvas.clip(&shape);
            let r = self.pose.long(0.0205) * size;
            let look = (middle.0 + self.pose.long(0.004) * self.truth.turn, middle.1 - h * 0.06);
            let round = (r * (0.45 + 0.55 * self.pose.eye_seen(side)), r);
            let iris = self.truth.eye_color;
            let stops = vec![(0.0, iris.lit(1.25), 1.0), (0.6, iris, 1.0), (1.0, iris.lit(0.45), 1.0)];
            self.canvas
                .fill(&ellipse(look, round, 0.0), Ink::Radial((look.0, look.1 + r * 0.3), (r * 1.1, r * 1.1), stops));
            self.canvas.fill(&ellipse(look, (round.0 * 0.48, r * 0.48), 0.0), Rgb::hex(0x120c0c));
            let glint = (look.0 + r * 0.32 * if self.truth.light < 0.0 { -1.0 } else { 1.0 }, look.1 - r * 0.36);
            self.canvas.fill(&ellipse(glint, (r * 0.24, r * 0.24), 0.0), Rgb::WHITE);
            self.canvas.unclip();
            // Lids: a heavy upper line, a fold above it, a faint lower one.
            let upper = line(&[p(-1.0, 0.3), p(-0.5, -0.66), p(0.15, -1.04), p(0.72, -0.64), p(1.1, -0.15)]);
            self.canvas.stroke(&upper, self.pose.long(0.0095), lash);
            let fold = line(&[p(-0.7, -0.95), p(0.1, -1.55), p(0.95, -0.95)]);
            self.canvas.stroke(&fold, self.pose.long(0.005), Ink::Flat(self.shade.lit(0.75), 0.55));
            let lower = line(&[p(-0.6, 0.85), p(0.1, 1.0), p(0.85, 0.5)]);
            self.canvas.stroke(&lower, self.pose.long(0.004), Ink::Flat(self.shade.lit(0.7), 0.6));
        }
    }

    /// Both brows.
    pub(super) fn brows(&mut self) {
        // Fair hair has darker brows, or the face loses them.
        let color = self.truth.hair_color.mix(Rgb::hex(0x3a2820), 0.45);
        let thick = 0.0075 * self.truth.brows;
        let lift = if self.truth.smile { -0.006 } else { 0.0 };
        for side in [-1.0, 1.0] {
            let p = |longitude: f32, v: f32| self.pose.on(side * longitude, v + lift, 0.166);
            let points = [
                p(0.17, -0.053),
                p(0.38, -0.064),
                p(0.6, -0.064),
                p(0.82, -0.05),
                p(0.6, -0.064 + thick * 1.7),
                p(0.38, -0.063 + thick * 2.0),
                p(0.17, -0.053 + thick * 2.1),
            ];
            self.canvas.fill(&blob(&points), Ink::Flat(color, 0.94));
        }
    }

    /// The nose: a shaded flank, a lit ridge and tip, and nostrils.
    pub(super) fn nose(&mut self) {
        let size = self.truth.nose;
        let (tip_v, out) = (0.093 + 0.008 * size, 0.198);
        let root = self.pose.on(0.0, -0.012, 0.168);
        let tip = self.pose.on(0.0, tip_v, out);
        // The flank away from the light, or behind the ridge of a turned head.
        let away = if self.truth.light - self.truth.turn * 1.4 > 0.0 { -1.0 } else { 1.0 };
        let wing = |side: f32| self.pose.on(side * 0.19 * size, tip_v + 0.006, 0.176);
        let flank = blob(&[
            (root.0, root.1),
            ((root.0 + tip.0) / 2.0 + self.pose.long(0.004) * away, (root.1 + tip.1) / 2.0),
            (tip.0 + self.pose.long(0.008) * away, tip.1),
            (wing(away).0 + self.pose.long(0.002) * away, wing(away).1),
            (
                (root.0 + wing(away).0) / 2.0 + self.pose.long(0.006) * away,
                (root.1 + tip.1) / 2.0 + self.pose.long(0.012),
            ),
        ]);
        self.canvas.fill(&flank, Ink::fade(wing(away), root, self.shade, 0.75));
        let under = ((tip.0 * 2.0 + wing(away).0) / 3.0, tip.1 + self.pose.long(0.018));
        self.canvas.spot(under, (self.pose.long(0.045) * size, self.pose.long(0.02)), self.shade.lit(0.8), 0.6);
        for side in [-1.0, 1.0] {
            let at = self.pose.on(side * 0.1 * size, tip_v + 0.0135, 0.184);
            let wide = self.pose.long(0.0095) * size * (0.35 + 0.65 * self.pose.seen(side * 0.5));
            let nostril = ellipse(at, (wide, self.pose.long(0.0052)), side * -0.25);
            self.canvas.fill(&nostril, Ink::Flat(self.shade.under(Rgb([0.55, 0.42, 0.42])), 0.85));
            let (edge, seen) = (wing(side), 0.3 + 0.7 * self.pose.seen(side * 0.4));
            let curve = line(&[
                (edge.0 - side * self.pose.long(0.004), edge.1 - self.pose.long(0.017)),
                (edge.0 + side * self.pose.long(0.004) * seen, edge.1 - self.pose.long(0.002)),
                (edge.0 - side * self.pose.long(0.006), edge.1 + self.pose.long(0.008)),
            ]);
            self.canvas.stroke(&curve, self.pose.long(0.005), Ink::Flat(self.shade.lit(0.8), 0.75));
        }
        let ridge = ((root.0 + tip.0) / 2.0, (root.1 + tip.1) / 2.0);
        self.canvas.spot(ridge, (self.pose.long(0.014), self.pose.long(0.05)), self.shine.lit(1.15), 0.45);
        self.canvas.spot(
            (tip.0, tip.1 - self.pose.long(0.008)),
            (self.pose.long(0.019), self.pose.long(0.016)),
            self.shine.lit(1.25),
            0.7,
        );
    }

    /// The mouth.
    pub(super) fn mouth(&mut self) {
        let full = self.truth.lips;
        let lip = self.skin.under(Rgb([0.88, 0.58, 0.57])).mix(Rgb::hex(0xb8433f), 0.22);
        let dark = lip.under(Rgb([0.55, 0.4, 0.42]));
        let p = |longitude: f32, v: f32| self.pose.on(longitude, v, 0.152);
        if self.truth.smile {
            let (w, v) = (0.47, 0.140);
            let upper = [
                p(-w, v),
                p(-0.24, v + 0.011 - 0.012 * full),
                p(0.0, v + 0.012 - 0.008 * full),
                p(0.24, v + 0.011 - 0.012 * full),
                p(w, v),
            ];
            let lower =
                [p(0.3, v + 0.031 + 0.008 * full), p(0.0, v + 0.044 + 0.011 * full), p(-0.3, v + 0.031 + 0.008 * full)];
            self.canvas.fill(&blob(&[&upper[..], &lower[..]].concat()), lip);
            let teeth_top = [
                p(-w * 0.93, v + 0.003),
                p(-0.24, v + 0.013),
                p(0.0, v + 0.016),
                p(0.24, v + 0.013),
                p(w * 0.93, v + 0.003),
            ];
            let teeth_low = [p(0.28, v + 0.031), p(0.0, v + 0.042), p(-0.28, v + 0.031)];
            let teeth = blob(&[&teeth_top[..], &teeth_low[..]].concat());
            self.canvas.fill(&teeth, dark.lit(0.7));
            let white = [p(0.27, v + 0.026), p(0.0, v + 0.035), p(-0.27, v + 0.026)];
            self.canvas.fill(&blob(&[&teeth_top[..], &white[..]].concat()), Rgb::hex(0xfdfaf4));
            for side in [-1.0, 1.0] {
                let crease = line(&[
                    self.pose.on(side * 0.33, 0.1, 0.17),
                    self.pose.on(side * 0.52, 0.122, 0.162),
                    self.pose.on(side * 0.6, 0.148, 0.158),
                ]);
                self.canvas.stroke(
                    &crease,
                    self.pose.long(0.0055),
                    Ink::Flat(self.shade.lit(0.85), if self.truth.beard { 0.2 } else { 0.45 }),
                );
            }
        } else {
            let (w, v) = (0.36, 0.160);
            let upper = blob(&[
                p(-w, v),
                p(-0.09, v - 0.012 * full),
                p(0.0, v - 0.009 * full),
                p(0.09, v - 0.012 * full),
                p(w, v),
                p(0.0, v + 0.004),
            ]);
            let lower =
                blob(&[p(-w, v), p(0.0, v + 0.002), p(w, v), p(0.16, v + 0.016 * full), p(-0.16, v + 0.016 * full)]);
            self.canvas.fill(&lower, lip.lit(1.08));
            self.canvas.fill(&upper, lip.lit(0.9));
            let part = line(&[
                p(-w - 0.02, v - 0.001),
                p(-0.14, v + 0.001),
                p(0.0, v + 0.003),
                p(0.14, v + 0.001),
                p(w + 0.02, v - 0.001),
            ]);
            self.canvas.stroke(&part, self.pose.long(0.0055), Ink::Flat(dark, 0.9));
            let under = p(0.0, v + 0.03 + 0.004 * full);
            self.canvas.spot(
                under,
                (self.pose.long(0.04), self.pose.long(0.014)),
                self.shade,
                if self.truth.beard { 0.0 } else { 0.6 },
            );
        }
    }
}
