//! Furniture and decoration of a room.

use super::bed::TABLE;
use super::canvas::{Ink, P, ellipse, line, polygon};
use super::color::Rgb;
use super::layout::{DEPTH, HEIGHT, Wall};
use super::rooms::{LampKind, Room, Time, WallSlot};

/// The window's half width along its wall, and its lower and upper edge.
fn window_frame(slot: WallSlot) -> (f32, f32, f32) {
    match slot {
        WallSlot::Above => (0.76, 1.3, 2.36),
        WallSlot::Beside => (0.56, 0.85, 2.36),
        WallSlot::Near | WallSlot::Far => (0.62, 0.9, 2.36),
    }
}

/// The window, its curtains, and the light it lets in.
pub(super) fn window(room: &mut Room) {
    let truth = room.truth;
    let (wall, middle) = room.view.place(truth.window_at);
    let (half, low, high) = window_frame(truth.window_at);
    let (left, right) = (middle - half, middle + half);
    let sun = room.mood.sun;

    // Light spills over the wall around it.
    let center = room.view.on(wall, middle, (low + high) / 2.0, 0.0);
    let reach = room.view.meter(if wall == Wall::Back { DEPTH } else { middle });
    let radii = if wall == Wall::Back { (reach * 1.9, reach * 1.6) } else { (reach * 1.0, reach * 1.8) };
    room.canvas.light(center, radii, sun, room.mood.sun_power);
    sunbeam(room, wall, (left, right));

    let frame = room.lit(Rgb::hex(0xf6f2ea), if truth.time == Time::Night { 0.95 } else { 0.98 });
    let outer = room.view.panel(wall, (left, low), (right, high), 0.02);
    room.canvas.fill(
        &room.view.panel(wall, (left - 0.02, low - 0.06), (right + 0.04, high - 0.02), 0.0),
        Ink::Flat(Rgb::BLACK, 0.16),
    );
    room.canvas.mark(&outer);
    room.canvas.fill(&outer, frame);
    let glass = room.view.panel(wall, (left + 0.08, low + 0.08), (right - 0.08, high - 0.08), 0.0);
    outside(room, wall, (left, right), (low, high), &glass);
    // The bars: one upright, one across.
    let bar = 0.03;
    let upright = room.view.panel(wall, (middle - bar, low), (middle + bar, high), 0.01);
    room.canvas.fill(&upright, frame);
    let at = low + (high - low) * 0.62;
    room.canvas.fill(&room.view.panel(wall, (left, at - bar), (right, at + bar), 0.01), frame);
    let sill = room.view.panel(wall, (left - 0.06, low - 0.07), (right + 0.06, low), 0.05);
    room.canvas.fill(&sill, room.lit(Rgb::hex(0xf6f2ea), 0.9));
    if truth.curtains {
        curtain(room, wall, left, -1.0, low, high);
        curtain(room, wall, right, 1.0, low, high);
        let (a, b) =
            (room.view.on(wall, left - 0.4, high + 0.12, 0.08), room.view.on(wall, right + 0.4, high + 0.12, 0.08));
        let rod = room.lit(truth.wood, 0.75);
        room.canvas.stroke(&line(&[a, b]), 0.008, rod);
    }
}

/// Paints the view through the window.
fn outside(room: &mut Room, wall: Wall, along: P, height: P, glass: &super::canvas::OptionalPath) {
    let (low, high) = height;
    let middle = (along.0 + along.1) / 2.0;
    let (top, bottom) = (room.view.on(wall, middle, high, 0.0), room.view.on(wall, middle, low, 0.0));
    let (sky, haze, hill, wood) = match room.truth.time {
        Time::Day => (0x6fb2ea, 0xe4f3fb, 0x9cc48a, 0x6f9f66),
        Time::Evening => (0x6d7fc0, 0xffc07a, 0xa8706a, 0x7c5560),
        Time::Night => (0x0f1b42, 0x32518c, 0x18284f, 0x101c3c),
    };
    // Straight down the picture, so that the sky lies level on side walls too.
    let ink = Ink::Linear(
        (top.0, top.1),
        (top.0, bottom.1),
        vec![(0.0, Rgb::hex(sky), 1.0), (0.75, Rgb::hex(haze), 1.0), (1.0, Rgb::hex(haze), 1.0)],
    );
    room.canvas.fill(glass, ink);
    // Hills, as heights above the sill at shares of the way across.
    for (heights, color) in [([0.22, 0.34, 0.3, 0.2, 0.26], hill), ([0.16, 0.12, 0.14, 0.2, 0.13], wood)] {
        let (from, to) = (along.0 + 0.08, along.1 - 0.08);
        let mut points: Vec<P> = heights
            .iter()
            .enumerate()
            .map(|(i, h)| room.view.on(wall, from + (to - from) * i as f32 / 4.0, low + 0.08 + (high - low) * h, 0.0))
            .collect();
        points.push(room.view.on(wall, to, low + 0.08, 0.0));
        points.push(room.view.on(wall, from, low + 0.08, 0.0));
        room.canvas.fill(&polygon(&points), Rgb::hex(color));
    }
    if room.truth.time == Time::Night {
        let moon = room.view.on(wall, along.0 + (along.1 - along.0) * 0.72, low + (high - low) * 0.8, 0.0);
        let r = room.view.meter(if wall == Wall::Back { DEPTH } else { middle }) * 0.11;
        let across = if wall == Wall::Back { r } else { r * 0.6 };
        room.canvas.spot(moon, (across * 2.6, r * 2.6), Rgb::hex(0xbfd0ff), 0.5);
        room.canvas.fill(&ellipse(moon, (across, r), 0.0), Rgb::hex(0xf7f3dc));
    }
}

/// A patch of light on the floor in front of the window.
fn sunbeam(room: &mut Room, wall: Wall, along: P) {
    let (a, b) = along;
    let skew = 0.35 * room.truth.light;
    let corners = match wall {
        Wall::Back => {
            [(a, DEPTH - 0.5), (b, DEPTH - 0.5), (b + skew + 0.2, DEPTH - 2.3), (a + skew - 0.2, DEPTH - 2.3)]
        }
        Wall::Near => [(0.5, a), (0.5, b), (2.5, b + skew - 0.2), (2.5, a + skew - 0.2)],
        Wall::Far => {
            let x = room.view.width;
            [(x - 0.4, a), (x - 0.4, b), (x - 2.2, b + skew - 0.2), (x - 2.2, a + skew - 0.2)]
        }
    };
    let points = corners.map(|(x, z)| room.view.at(x, 0.0, z));
    let middle = |p: P, q: P| ((p.0 + q.0) / 2.0, (p.1 + q.1) / 2.0);
    let ink =
        Ink::fade(middle(points[0], points[1]), middle(points[2], points[3]), room.mood.sun, room.mood.sun_power * 1.7);
    room.canvas.glow(&polygon(&points), ink);
}

/// One curtain at a window's edge; `way` is -1 at the low edge, +1 at the high one.
fn curtain(room: &mut Room, wall: Wall, edge: f32, way: f32, low: f32, high: f32) {
    let (inner, outer) = (edge - 0.14 * way, edge + 0.3 * way);
    let bottom = if room.truth.window_at == WallSlot::Above { low - 0.16 } else { low - 0.5 };
    let folds = 3;
    for i in 0..folds {
        let at = |i: usize| inner + (outer - inner) * i as f32 / folds as f32;
        let shape = room.view.panel(wall, (at(i), bottom), (at(i + 1), high + 0.1), 0.06);
        let (from, to) = (room.view.on(wall, at(i), high, 0.06), room.view.on(wall, at(i + 1), high, 0.06));
        let (a, b) = (room.lit(room.truth.curtain, 1.06), room.lit(room.truth.curtain, 0.82));
        room.canvas.cover(&shape, Ink::ramp((from.0, 0.0), (to.0, 0.0), a, b));
    }
}

/// The door.
pub(super) fn door(room: &mut Room) {
    let (wall, middle) = room.view.place(room.truth.door_at);
    let (left, right, high) = (middle - 0.45, middle + 0.45, 2.12);
    let bright = room.brightness(wall);
    let color = room.truth.door_color;
    let frame = room.lit(color.mix(Rgb::hex(0xf4f0e8), 0.6), bright);
    room.canvas
        .fill(&room.view.panel(wall, (left - 0.12, 0.0), (right + 0.12, high + 0.1), 0.0), Ink::Flat(Rgb::BLACK, 0.14));
    room.canvas.fill(&room.view.panel(wall, (left - 0.09, 0.0), (right + 0.09, high + 0.09), 0.02), frame);
    let (top, bottom) = (room.view.on(wall, middle, high, 0.0), room.view.on(wall, middle, 0.0, 0.0));
    let leaf = room.view.panel(wall, (left, 0.0), (right, high), 0.0);
    room.canvas.fill(&leaf, Ink::ramp(top, bottom, room.lit(color, bright * 0.98), room.lit(color, bright * 0.86)));
    for (from, to) in [(0.2, 0.95), (1.12, 1.95)] {
        let deep = room.view.panel(wall, (left + 0.14, from), (right - 0.14, to), 0.0);
        room.canvas.fill(&deep, room.lit(color, bright * 0.74));
        let face = room.view.panel(wall, (left + 0.18, from + 0.02), (right - 0.14, to - 0.05), 0.0);
        room.canvas.fill(&face, room.lit(color, bright * 0.88));
    }
    let edge = if wall == Wall::Back { left + 0.09 } else { right - 0.09 };
    let knob = room.view.on(wall, edge, 1.04, 0.05);
    let r = room.view.meter(if wall == Wall::Back { DEPTH } else { middle }) * 0.05;
    room.canvas.fill(&ellipse(knob, (r, r), 0.0), room.lit(Rgb::hex(0xd2ad5e), 1.0));
}

/// The framed picture.
pub(super) fn picture(room: &mut Room) {
    let (wall, middle) = room.view.place(room.truth.picture_at);
    let (half, low, high) = match room.truth.picture_at {
        WallSlot::Above => (0.58, 1.45, 2.25),
        WallSlot::Beside => (0.42, 1.2, 2.25),
        WallSlot::Near | WallSlot::Far => (0.46, 1.25, 2.2),
    };
    let (left, right) = (middle - half, middle + half);
    let bright = room.brightness(wall);
    room.canvas.fill(
        &room.view.panel(wall, (left - 0.03, low - 0.08), (right + 0.07, high - 0.02), 0.0),
        Ink::Flat(Rgb::BLACK, 0.18),
    );
    room.canvas
        .fill(&room.view.panel(wall, (left, low), (right, high), 0.03), room.lit(room.truth.wood, bright * 0.72));
    room.canvas.fill(
        &room.view.panel(wall, (left + 0.05, low + 0.05), (right - 0.05, high - 0.05), 0.03),
        room.lit(Rgb::hex(0xfaf7f0), bright),
    );
    let (l, r, b, t) = (left + 0.13, right - 0.13, low + 0.13, high - 0.13);
    let art = room.truth.art;
    let inside = room.view.panel(wall, (l, b), (r, t), 0.03);
    let (top, bottom) = (room.view.on(wall, middle, t, 0.03), room.view.on(wall, middle, b, 0.03));
    let ink = Ink::ramp(
        top,
        bottom,
        room.lit(art.mix(Rgb::WHITE, 0.25), bright),
        room.lit(art.mix(Rgb::WHITE, 0.75), bright),
    );
    room.canvas.fill(&inside, ink);
    let hill = |share: f32, y: f32| room.view.on(wall, l + (r - l) * share, b + (t - b) * y, 0.03);
    let land =
        polygon(&[hill(0.0, 0.0), hill(0.0, 0.42), hill(0.3, 0.55), hill(0.65, 0.3), hill(1.0, 0.46), hill(1.0, 0.0)]);
    let sun = hill(0.66, 0.68);
    let size = room.view.meter(if wall == Wall::Back { DEPTH } else { middle }) * 0.12;
    let across = if wall == Wall::Back { size } else { size * 0.5 };
    room.canvas.fill(&ellipse(sun, (across, size), 0.0), room.lit(Rgb::hex(0xfff2cf), bright));
    room.canvas.fill(&land, room.lit(art.mix(Rgb::hex(0x2a3550), 0.55), bright));
}

/// The television: on a low cabinet on the back wall, mounted on a side wall.
pub(super) fn television(room: &mut Room) {
    let (wall, middle) = room.view.place(room.truth.tv_at);
    let (half, low, high) = if wall == Wall::Back { (0.56, 0.74, 1.46) } else { (0.62, 1.08, 1.9) };
    let (left, right) = (middle - half, middle + half);
    if wall == Wall::Back {
        let (l, r) = (middle - 0.62, (middle + 0.62).min(room.view.width - 0.04));
        let deep = 0.42;
        let z = DEPTH - deep;
        let shade = room.view.level(0.0, (l - 0.06, z - 0.12), (r + 0.06, DEPTH));
        room.canvas.fill(&shade, Ink::Flat(Rgb::BLACK, 0.2));
        let top = room.view.level(0.52, (l, z), (r, DEPTH));
        room.canvas.fill(&top, room.lit(room.truth.wood, 1.06));
        room.canvas.fill(&room.view.front(z, (l, 0.1), (r, 0.52)), room.lit(room.truth.wood, 0.8));
        for (from, to) in [(l + 0.05, middle - 0.03), (middle + 0.03, r - 0.05)] {
            room.canvas.fill(&room.view.front(z, (from, 0.16), (to, 0.47)), room.lit(room.truth.wood, 0.92));
        }
        let foot = room.view.panel(wall, (middle - 0.12, 0.52), (middle + 0.12, low), 0.2);
        room.canvas.fill(&foot, Rgb::hex(0x22242a));
    }
    let off = if wall == Wall::Back { 0.2 } else { 0.05 };
    // The screen lights the wall behind it a little.
    let center = room.view.on(wall, middle, (low + high) / 2.0, 0.0);
    let reach = room.view.meter(if wall == Wall::Back { DEPTH } else { middle });
    let power = if room.truth.time == Time::Night { 0.4 } else { 0.12 };
    let programme = room.truth.art.mix(Rgb::hex(0x3fa0f0), 0.55);
    room.canvas.light(center, (reach * 1.2, reach * 1.0), programme, power);
    room.canvas.fill(&room.view.panel(wall, (left, low), (right, high), off), Rgb::hex(0x17181d));
    let screen = room.view.panel(wall, (left + 0.06, low + 0.06), (right - 0.06, high - 0.06), off);
    let (a, b) = (room.view.on(wall, left, high, off), room.view.on(wall, right, low, off));
    let ink = Ink::Linear(
        a,
        b,
        vec![
            (0.0, programme.mix(Rgb::WHITE, 0.55), 1.0),
            (0.45, programme, 1.0),
            (1.0, programme.mix(Rgb::hex(0x15204a), 0.7), 1.0),
        ],
    );
    room.canvas.fill(&screen, ink);
}

/// The rug beside the bed.
pub(super) fn rug(room: &mut Room) {
    if !room.truth.rug {
        return;
    }
    let (x0, x1) = (room.view.bed.1 - 0.35, (room.view.bed.1 + 1.55).min(room.view.width - 0.15));
    let color = room.truth.accent.mix(Rgb::hex(0xe9e0d0), 0.35);
    let (z0, z1) = (DEPTH - 2.75, DEPTH - 0.95);
    room.canvas.fill(&room.view.level(0.0, (x0 - 0.03, z0 - 0.03), (x1 + 0.03, z1)), Ink::Flat(Rgb::BLACK, 0.14));
    room.canvas.fill(&room.view.level(0.0, (x0, z0), (x1, z1)), room.lit(color, 0.95));
    room.canvas.fill(
        &room.view.level(0.0, (x0 + 0.12, z0 + 0.14), (x1 - 0.12, z1 - 0.14)),
        room.lit(color.mix(Rgb::WHITE, 0.45), 0.97),
    );
    room.canvas.fill(&room.view.level(0.0, (x0 + 0.22, z0 + 0.26), (x1 - 0.22, z1 - 0.26)), room.lit(color, 0.98));
}

/// Position of the light bulb: x, y, z.
fn bulb(room: &Room) -> (f32, f32, f32) {
    let x = room.view.bed.1 + 0.3;
    match room.truth.lamp_kind {
        LampKind::Table => (x, TABLE + 0.44, DEPTH - 0.28),
        LampKind::Standing => (x + 0.12, 1.62, DEPTH - 0.2),
        LampKind::Hanging => (room.view.width * 0.58, 2.12, DEPTH - 1.2),
    }
}

/// The lamp.
pub(super) fn lamp(room: &mut Room) {
    let (x, y, z) = bulb(room);
    let metal = room.lit(Rgb::hex(0x4a423e), 1.0);
    let meter = room.view.meter(z);
    let (half_top, half_low, tall) = match room.truth.lamp_kind {
        LampKind::Table => (0.16, 0.27, 0.36),
        LampKind::Standing => (0.2, 0.32, 0.42),
        LampKind::Hanging => (0.12, 0.38, 0.3),
    };
    let (from, to) = match room.truth.lamp_kind {
        LampKind::Table => (y - tall / 2.0, TABLE),
        LampKind::Standing => (y - tall / 2.0, 0.0),
        LampKind::Hanging => (HEIGHT, y),
    };
    let rod = room.view.front(z, (x - 0.018, from), (x + 0.018, to));
    room.canvas.cover(&rod, metal);
    if room.truth.lamp_kind != LampKind::Hanging {
        let base = room.view.at(x, to, z);
        room.canvas.cover(&ellipse(base, (meter * 0.12, meter * 0.035), 0.0), metal);
    }
    let shade = polygon(&[
        room.view.at(x - half_low, y - tall / 2.0, z),
        room.view.at(x + half_low, y - tall / 2.0, z),
        room.view.at(x + half_top, y + tall / 2.0, z),
        room.view.at(x - half_top, y + tall / 2.0, z),
    ]);
    let (low, high) = (room.view.at(x, y - tall / 2.0, z), room.view.at(x, y + tall / 2.0, z));
    room.canvas.cover(&shade, Ink::ramp(low, high, Rgb::hex(0xfff3cf), Rgb::hex(0xf3bd6c)));
}

/// The lamp's light, over everything.
pub(super) fn lamp_light(room: &mut Room) {
    let (x, y, z) = bulb(room);
    let at = room.view.at(x, y, z);
    let meter = room.view.meter(z);
    let (color, power) = (room.mood.lamp, room.mood.lamp_power);
    room.canvas.light(at, (meter * 2.3, meter * 2.1), color.lit(0.82), power * 0.75);
    room.canvas.light(at, (meter * 0.75, meter * 0.7), color, power * 0.9);
    let floor = room.view.at(x + 0.2, 0.0, z - 0.5);
    room.canvas.light(floor, (meter * 1.5, meter * 0.6), color, power * 0.35);
}
