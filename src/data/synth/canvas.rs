//! A small painter on top of tiny-skia: unit coordinates, soft gradients, one clip, and an optional visibility mask.
//!
//! Everything is painted in the unit square at a multiple of the final resolution and averaged down, so a picture has
//! the same content at every size.

use tiny_skia::{
    BlendMode, Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Mask, Paint, Path, PathBuilder,
    Pixmap, Point, RadialGradient, Shader, SpreadMode, Stroke, Transform,
};

use super::color::Rgb;
use crate::image::Picture;

/// A point of the unit square, y downwards.
pub(super) type P = (f32, f32);

/// A fill; the last number of a stop is its opacity.
pub(super) enum Ink {
    /// One color and its opacity.
    Flat(Rgb, f32),
    /// Colors between two points: position, color, opacity.
    Linear(P, P, Vec<(f32, Rgb, f32)>),
    /// Colors around a center, for the radii across and down.
    Radial(P, P, Vec<(f32, Rgb, f32)>),
}

impl Ink {
    /// From one opaque color to another.
    pub(super) fn ramp(from: P, to: P, a: Rgb, b: Rgb) -> Self {
        Self::Linear(from, to, vec![(0.0, a, 1.0), (1.0, b, 1.0)])
    }

    /// One color fading out between two points.
    pub(super) fn fade(from: P, to: P, color: Rgb, opacity: f32) -> Self {
        Self::Linear(from, to, vec![(0.0, color, opacity), (1.0, color, 0.0)])
    }

    /// A soft spot: opacity falls like a bell, which leaves no visible rim.
    pub(super) fn spot(center: P, radii: P, color: Rgb, opacity: f32) -> Self {
        let bell = [(0.0, 1.0), (0.25, 0.84), (0.5, 0.5), (0.75, 0.16), (1.0, 0.0)];
        Self::Radial(center, radii, bell.iter().map(|&(at, share)| (at, color, share * opacity)).collect())
    }

    fn shader(&self) -> Option<Shader<'static>> {
        let point = |p: P| Point::from_xy(p.0, p.1);
        let stop = |s: &(f32, Rgb, f32)| GradientStop::new(s.0, s.1.paint(s.2));
        match self {
            Self::Flat(color, opacity) => Some(Shader::SolidColor(color.paint(*opacity))),
            Self::Linear(from, to, stops) => LinearGradient::new(
                point(*from),
                point(*to),
                stops.iter().map(stop).collect(),
                SpreadMode::Pad,
                Transform::identity(),
            ),
            Self::Radial(center, radii, stops) => RadialGradient::new(
                Point::zero(),
                0.0,
                Point::zero(),
                1.0,
                stops.iter().map(stop).collect(),
                SpreadMode::Pad,
                Transform::from_row(radii.0, 0.0, 0.0, radii.1, center.0, center.1),
            ),
        }
    }
}

impl From<Rgb> for Ink {
    fn from(color: Rgb) -> Self {
        Self::Flat(color, 1.0)
    }
}

/// A shape, or `None` if the points do not form one (all in one place, or not finite).
pub(super) type OptionalPath = Option<Path>;

/// Straight edges through the points, closed.
pub(super) fn polygon(points: &[P]) -> OptionalPath {
    let mut b = PathBuilder::new();
    for (i, &(x, y)) in points.iter().enumerate() {
        if i == 0 { b.move_to(x, y) } else { b.line_to(x, y) }
    }
    b.close();
    b.finish()
}

/// A closed smooth curve through the points (Catmull-Rom).
pub(super) fn blob(points: &[P]) -> OptionalPath {
    let n = points.len();
    if n < 3 {
        return None;
    }
    let mut b = PathBuilder::new();
    b.move_to(points[0].0, points[0].1);
    for i in 0..n {
        curve(&mut b, points[(i + n - 1) % n], points[i], points[(i + 1) % n], points[(i + 2) % n]);
    }
    b.close();
    b.finish()
}

/// An open smooth curve through the points, for strokes.
pub(super) fn line(points: &[P]) -> OptionalPath {
    let n = points.len();
    if n < 2 {
        return None;
    }
    let mut b = PathBuilder::new();
    b.move_to(points[0].0, points[0].1);
    for i in 0..n - 1 {
        curve(&mut b, points[i.saturating_sub(1)], points[i], points[i + 1], points[(i + 2).min(n - 1)]);
    }
    b.finish()
}

fn curve(b: &mut PathBuilder, before: P, from: P, to: P, after: P) {
    let k = 1.0 / 6.0;
    b.cubic_to(
        from.0 + (to.0 - before.0) * k,
        from.1 + (to.1 - before.1) * k,
        to.0 - (after.0 - from.0) * k,
        to.1 - (after.1 - from.1) * k,
        to.0,
        to.1,
    );
}

/// An ellipse of the radii across and down, turned by `angle` radians.
pub(super) fn ellipse(center: P, radii: P, angle: f32) -> OptionalPath {
    let path = PathBuilder::from_circle(0.0, 0.0, 1.0)?;
    let (sin, cos) = angle.sin_cos();
    path.transform(Transform::from_row(radii.0 * cos, radii.0 * sin, -radii.1 * sin, radii.1 * cos, center.0, center.1))
}

/// An upright rectangle from its left top to its right bottom corner.
pub(super) fn rect(from: P, to: P) -> OptionalPath {
    polygon(&[from, (to.0, from.1), to, (from.0, to.1)])
}

/// The picture being painted, with its visibility mask.
pub(super) struct Painter {
    pixmap: Pixmap,
    size: usize,
    factor: usize,
    clip: Option<Mask>,
    seen: Option<Pixmap>,
}

impl Painter {
    /// A canvas for a square picture of `size` pixels, or nothing if that size has no pixels or overflows.
    pub(super) fn new(size: usize) -> Option<Self> {
        let factor = match size {
            0..=24 => 6,
            25..=40 => 4,
            41..=128 => 2,
            _ => 1,
        };
        let edge = u32::try_from(size * factor).ok()?;
        Some(Self { pixmap: Pixmap::new(edge, edge)?, size, factor, clip: None, seen: None })
    }

    fn transform(&self) -> Transform {
        let scale = (self.size * self.factor) as f32;
        Transform::from_scale(scale, scale)
    }

    fn paint_with(&mut self, path: &Path, ink: &Ink, blend_mode: BlendMode, stroke: Option<&Stroke>) {
        let Some(shader) = ink.shader() else { return };
        let paint = Paint { shader, blend_mode, anti_alias: true, ..Paint::default() };
        let transform = self.transform();
        match stroke {
            Some(stroke) => self.pixmap.stroke_path(path, &paint, stroke, transform, self.clip.as_ref()),
            None => self.pixmap.fill_path(path, &paint, FillRule::Winding, transform, self.clip.as_ref()),
        }
    }

    /// Fills a shape.
    pub(super) fn fill(&mut self, shape: &OptionalPath, ink: impl Into<Ink>) {
        if let Some(path) = shape {
            self.paint_with(path, &ink.into(), BlendMode::SourceOver, None);
        }
    }

    /// Fills a shape that hides whatever the visibility mask had marked behind it.
    pub(super) fn cover(&mut self, shape: &OptionalPath, ink: impl Into<Ink>) {
        self.see(shape, Color::BLACK);
        self.fill(shape, ink);
    }

    /// Adds light: colors brighten what is there instead of covering it.
    pub(super) fn glow(&mut self, shape: &OptionalPath, ink: impl Into<Ink>) {
        if let Some(path) = shape {
            self.paint_with(path, &ink.into(), BlendMode::Screen, None);
        }
    }

    /// A soft spot in the ellipse it reaches.
    pub(super) fn spot(&mut self, center: P, radii: P, color: Rgb, opacity: f32) {
        self.fill(&ellipse(center, radii, 0.0), Ink::spot(center, radii, color, opacity));
    }

    /// A soft light in the ellipse it reaches.
    pub(super) fn light(&mut self, center: P, radii: P, color: Rgb, opacity: f32) {
        self.glow(&ellipse(center, radii, 0.0), Ink::spot(center, radii, color, opacity));
    }

    /// Draws along a curve with round ends.
    pub(super) fn stroke(&mut self, shape: &OptionalPath, width: f32, ink: impl Into<Ink>) {
        let stroke = Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
        if let Some(path) = shape {
            self.paint_with(path, &ink.into(), BlendMode::SourceOver, Some(&stroke));
        }
    }

    /// Paints only inside the shape until [`Painter::unclip`].
    pub(super) fn clip(&mut self, shape: &OptionalPath) {
        let mask = Mask::new(self.pixmap.width(), self.pixmap.height());
        if let (Some(path), Some(mut mask)) = (shape, mask) {
            mask.fill_path(path, FillRule::Winding, true, self.transform());
            self.clip = Some(mask);
        }
    }

    /// Paints everywhere again.
    pub(super) fn unclip(&mut self) {
        self.clip = None;
    }

    /// Marks a shape as visible in the mask; what is drawn with [`Painter::cover`] afterwards hides it again.
    pub(super) fn mark(&mut self, shape: &OptionalPath) {
        if self.seen.is_none() {
            self.seen = Pixmap::new(self.pixmap.width(), self.pixmap.height());
        }
        self.see(shape, Color::WHITE);
    }

    fn see(&mut self, shape: &OptionalPath, color: Color) {
        let transform = self.transform();
        if let (Some(path), Some(seen)) = (shape, &mut self.seen) {
            let paint = Paint { shader: Shader::SolidColor(color), anti_alias: true, ..Paint::default() };
            seen.fill_path(path, &paint, FillRule::Winding, transform, None);
        }
    }

    /// The finished RGB picture.
    pub(super) fn picture(&self) -> Picture {
        Picture::new(self.size, self.size, 3, self.averaged(&self.pixmap, 3))
    }

    /// The mask as a gray picture of 0 and 255, or nothing if nothing was marked.
    pub(super) fn mask(&self) -> Option<Picture> {
        let gray = self.averaged(self.seen.as_ref()?, 1);
        // In a picture so small that no pixel is half covered, the window still shows somewhere.
        let most = gray.iter().copied().max().unwrap_or(0);
        let enough = most.clamp(1, 128);
        let pixels = gray.into_iter().map(|byte| if byte >= enough { 255 } else { 0 }).collect();
        Some(Picture::new(self.size, self.size, 1, pixels))
    }

    /// The mean of each block of `factor` by `factor` pixels, the first `channels` of each.
    fn averaged(&self, pixmap: &Pixmap, channels: usize) -> Vec<u8> {
        let (edge, factor) = (self.size * self.factor, self.factor);
        let mut out = vec![0; self.size * self.size * channels];
        let mut sums = vec![0u32; self.size * channels];
        let area = (factor * factor) as u32;
        for y in 0..self.size {
            sums.fill(0);
            for row in pixmap.data()[y * factor * edge * 4..(y + 1) * factor * edge * 4].chunks_exact(edge * 4) {
                for (x, block) in row.chunks_exact(factor * 4).enumerate() {
                    for pixel in block.chunks_exact(4) {
                        for c in 0..channels {
                            sums[x * channels + c] += u32::from(pixel[c]);
                        }
                    }
                }
            }
            for (to, sum) in out[y * self.size * channels..].iter_mut().zip(&sums) {
                *to = ((sum + area / 2) / area) as u8;
            }
        }
        out
    }
}
