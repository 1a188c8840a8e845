//! The bed and its table: the largest things in every room.

use super::canvas::{Ink, P, blob, line, polygon};
use super::color::Rgb;
use super::layout::{DEPTH, FOOT};
use super::rooms::Room;

/// How high the bedside table is.
pub(super) const TABLE: f32 = 0.6;

/// The bedside table, with its shadow.
pub(super) fn table(room: &mut Room) {
    let (x0, x1, z) = (room.view.bed.1 + 0.08, room.view.bed.1 + 0.54, DEPTH - 0.5);
    shadow(room, (x0, z), (x1, DEPTH), 0.1);
    let wood = room.truth.wood;
    side(room, (x0, x1), (z, DEPTH), (0.08, TABLE), wood, 0.68);
    room.canvas.cover(&room.view.front(z, (x0, 0.08), (x1, TABLE)), room.lit(wood, 0.84));
    room.canvas.fill(&room.view.front(z, (x0 + 0.05, 0.33), (x1 - 0.05, TABLE - 0.05)), room.lit(wood, 0.94));
    room.canvas.cover(&room.view.level(TABLE, (x0, z), (x1, DEPTH)), room.lit(wood, 1.08));
}

/// A soft shadow on the floor around a box from (x, z) to (x, z).
fn shadow(room: &mut Room, from: P, to: P, reach: f32) {
    let steps = 7;
    for i in 1..=steps {
        let by = reach * i as f32 / steps as f32;
        let shape = room.view.rounded(0.0, (from.0 - by, from.1 - by), (to.0 + by, to.1), by);
        room.canvas.fill(&shape, Ink::Flat(Rgb::hex(0x140d14), 0.065));
    }
}

/// The side of a box that the eye sees, if it sees one.
fn side(room: &mut Room, x: P, z: P, y: P, color: Rgb, bright: f32) {
    let seen = room.view.seen_side(x);
    if seen == 0.0 {
        return;
    }
    let at = if seen > 0.0 { x.1 } else { x.0 };
    // The side towards the light is brighter.
    let bright = bright + 0.08 * room.truth.light * seen;
    let shape = room.view.side(at, (z.0, y.0), (z.1, y.1));
    let (top, bottom) = (room.view.at(at, y.1, z.0), room.view.at(at, y.0, z.0));
    room.canvas.cover(&shape, Ink::ramp(top, bottom, room.lit(color, bright), room.lit(color, bright - 0.14)));
}

/// The bed.
pub(super) fn bed(room: &mut Room) {
    let (x0, x1) = room.view.bed;
    let (wood, cover, accent) = (room.truth.wood, room.truth.bed, room.truth.accent);
    let linen = Rgb::hex(0xf6f2ea);
    shadow(room, (x0, FOOT), (x1, DEPTH), 0.26);

    // Headboard, its shadow on the wall first.
    let (l, r, z) = (x0 - 0.06, x1 + 0.06, DEPTH - 0.1);
    for i in 0..4 {
        let by = 0.035 * i as f32;
        let lean = 0.12 * room.truth.light;
        let cast = room.view.front(DEPTH, (l - by - lean, 0.0), (r + by - lean, 1.14 + by));
        room.canvas.cover(&cast, Ink::Flat(Rgb::hex(0x140d14), 0.05));
    }
    let corner = 0.1;
    let board = polygon(&[
        room.view.at(l, 0.0, z),
        room.view.at(l, 1.16 - corner, z),
        room.view.at(l + corner, 1.16, z),
        room.view.at(r - corner, 1.16, z),
        room.view.at(r, 1.16 - corner, z),
        room.view.at(r, 0.0, z),
    ]);
    let (top, low) = (room.view.at(x0, 1.16, z), room.view.at(x0, 0.5, z));
    room.canvas.cover(&board, Ink::ramp(top, low, room.lit(wood, 1.0), room.lit(wood, 0.74)));

    // Frame and mattress.
    side(room, (x0, x1), (FOOT, DEPTH), (0.1, 0.34), wood, 0.66);
    side(room, (x0, x1), (FOOT, DEPTH), (0.3, 0.56), linen, 0.84);
    let sheet = room.view.level(0.56, (x0, FOOT), (x1, DEPTH - 0.1));
    let (head, foot) = (room.view.at(x0, 0.56, DEPTH), room.view.at(x0, 0.56, FOOT));
    room.canvas.fill(&sheet, Ink::ramp(head, foot, room.lit(linen, 0.84), room.lit(linen, 1.0)));

    // Two pillows against the headboard.
    let half = (x1 - x0) / 2.0;
    for (i, tint) in [(0.0, linen), (1.0, linen)] {
        let middle = x0 + half * (0.5 + i);
        let (w, z) = (half * 0.43, DEPTH - 0.42);
        pillow(room, (middle, 0.74), (w, 0.21), z, tint);
    }
    pillow(room, ((x0 + x1) / 2.0, 0.68), (half * 0.34, 0.15), DEPTH - 0.62, accent);

    // The cover, over the foot and the side, turned back at the head.
    let (back, fold) = (DEPTH - 0.95, DEPTH - 0.78);
    side(room, (x0 - 0.03, x1 + 0.03), (FOOT - 0.03, back), (0.14, 0.6), cover, 0.8);
    let front = room.view.front(FOOT - 0.03, (x0 - 0.03, 0.14), (x1 + 0.03, 0.6));
    let (high, down) = (room.view.at(x0, 0.6, FOOT), room.view.at(x0, 0.14, FOOT));
    room.canvas.fill(&front, Ink::ramp(high, down, room.lit(cover, 0.88), room.lit(cover, 0.64)));
    let spread = room.view.level(0.6, (x0 - 0.03, FOOT - 0.03), (x1 + 0.03, back));
    let (far, near) = (room.view.at(x0, 0.6, back), room.view.at(x0, 0.6, FOOT));
    room.canvas.fill(&spread, Ink::ramp(far, near, room.lit(cover, 0.9), room.lit(cover, 1.1)));
    // Light across the cover, from the side the daylight comes from.
    let (a, b) = (room.view.at(x0, 0.6, FOOT + 0.8), room.view.at(x1, 0.6, FOOT + 0.8));
    let (lit, dim) = if room.truth.light < 0.0 { (a, b) } else { (b, a) };
    let strength = 0.16 * room.truth.light.abs();
    room.canvas.fill(&spread, Ink::fade(lit, dim, room.lit(cover, 1.6), strength));
    room.canvas.fill(&spread, Ink::fade(dim, lit, room.lit(cover, 0.2), strength));
    for at in [0.22, 0.5, 0.78] {
        let x = x0 + (x1 - x0) * at;
        let fold = line(&[room.view.at(x, 0.57, FOOT - 0.03), room.view.at(x + 0.02, 0.16, FOOT - 0.03)]);
        room.canvas.stroke(&fold, 0.006, Ink::Flat(room.lit(cover, 0.4), 0.4));
    }
    let band = room.view.level(0.61, (x0 - 0.035, back), (x1 + 0.035, fold));
    room.canvas.fill(&band, room.lit(linen.mix(cover, 0.12), 0.98));

    // The throw at the foot.
    let (z0, z1) = (FOOT + 0.22, FOOT + 0.72);
    side(room, (x0 - 0.05, x1 + 0.05), (z0, z1), (0.2, 0.62), accent, 0.8);
    let throw = room.view.level(0.62, (x0 - 0.05, z0), (x1 + 0.05, z1));
    let (far, near) = (room.view.at(x0, 0.62, z1), room.view.at(x0, 0.62, z0));
    room.canvas.fill(&throw, Ink::ramp(far, near, room.lit(accent, 0.9), room.lit(accent, 1.08)));
}

/// A plump pillow facing the eye.
fn pillow(room: &mut Room, middle: P, half: P, z: f32, color: Rgb) {
    let shape = [
        (-1.0, -0.85),
        (-0.5, -1.0),
        (0.5, -1.0),
        (1.0, -0.85),
        (0.97, 0.0),
        (1.0, 0.88),
        (0.5, 0.96),
        (-0.5, 0.96),
        (-1.0, 0.88),
        (-0.97, 0.0),
    ];
    let points: Vec<P> =
        shape.iter().map(|p| room.view.at(middle.0 + p.0 * half.0, middle.1 + p.1 * half.1, z)).collect();
    let (top, low) = (room.view.at(middle.0, middle.1 + half.1, z), room.view.at(middle.0, middle.1 - half.1, z));
    let under = room.view.at(middle.0, middle.1 - half.1, z);
    let meter = room.view.meter(z);
    room.canvas.spot(under, (meter * half.0 * 1.2, meter * 0.09), Rgb::hex(0x20181c), 0.35);
    room.canvas.cover(&blob(&points), Ink::ramp(top, low, room.lit(color, 1.06), room.lit(color, 0.76)));
}
