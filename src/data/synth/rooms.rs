//! Bedrooms with known attributes.
//!
//! A layout assigns positions to the window, the door, the television and the picture whether or not they are
//! present, so nothing collides, and adding one thing changes nothing else.

use serde::{Deserialize, Serialize};

use super::canvas::{Ink, Painter, rect};
use super::color::Rgb;
use super::dice::Dice;
use super::layout::{DEPTH, HEIGHT, Viewpoint, Wall};
use super::{Sample, Truth, bed, furniture};
use crate::image::Picture;

/// A position on the walls, as seen from the bed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WallSlot {
    /// On the back wall above the bed.
    Above,
    /// On the back wall beside the bed.
    Beside,
    /// On the side wall the bed stands at.
    Near,
    /// On the side wall across the room.
    Far,
}

/// When it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Time {
    /// Neutral, bright.
    Day,
    /// Warm and low.
    Evening,
    /// Blue and dim.
    Night,
}

/// What the floor is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Floor {
    /// Boards towards the eye.
    Planks,
    /// One soft color.
    Carpet,
}

/// Where the lamp is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LampKind {
    /// On the bedside table.
    Table,
    /// Standing behind the bedside table.
    Standing,
    /// Hanging from the ceiling.
    Hanging,
}

/// Attributes of a room: everything needed to render it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RoomTruth {
    /// There is a window.
    pub window: bool,
    /// There is a television.
    pub tv: bool,
    /// There is a lamp, and it is on.
    pub lamp: bool,
    /// There is a picture on a wall.
    pub picture: bool,
    /// There is a door.
    pub door: bool,
    /// The visible window in pixels of the drawn size: left, top, and the first column and row after it.
    /// Set by drawing.
    pub window_box: Option<[u32; 4]>,
    /// Where the window is, or would be.
    pub window_at: WallSlot,
    /// Where the television is, or would be.
    pub tv_at: WallSlot,
    /// Where the picture is, or would be.
    pub picture_at: WallSlot,
    /// Where the door is, or would be.
    pub door_at: WallSlot,
    /// Which lamp it is, or would be.
    pub lamp_kind: LampKind,
    /// The bed stands at the right wall, not the left.
    pub mirrored: bool,
    /// When it is.
    pub time: Time,
    /// Where the daylight comes from: -1 from the bed's side, +1 from across.
    pub light: f32,
    /// What the floor is made of.
    pub floor_kind: Floor,
    /// A rug lies beside the bed.
    pub rug: bool,
    /// The window has curtains.
    pub curtains: bool,
    /// The walls.
    pub wall: Rgb,
    /// The floor.
    pub floor: Rgb,
    /// The bed's cover.
    pub bed: Rgb,
    /// The folded throw at the bed's foot and the rug.
    pub accent: Rgb,
    /// Headboard, table, frames.
    pub wood: Rgb,
    /// The curtains.
    pub curtain: Rgb,
    /// The door.
    #[serde(rename = "door_colour")]
    pub door_color: Rgb,
    /// The sky or ground color of the picture and the television's programme.
    pub art: Rgb,
    /// How wide the room is, in meters.
    pub width: f32,
    /// From the wall to the bed, in meters.
    pub bed_gap: f32,
    /// How wide the bed is, in meters.
    pub bed_width: f32,
    /// Where the eye is across the room, -1..=1.
    pub eye: f32,
    /// How high the eye is, in meters.
    pub eye_height: f32,
    /// Where the horizon is, as a share of the picture's height.
    pub horizon: f32,
    /// How far the back wall's middle is from the picture's.
    pub shift: f32,
    /// How large a meter is at one meter.
    pub focal: f32,
}

const WALLS: [u32; 14] = [
    0xe9e2d6, 0xdcd3c3, 0xc9d2c2, 0xa9b8a4, 0xb9cbd4, 0x93aec0, 0xe6cfc4, 0xdab3a2, 0xe3cf9f, 0xc9c6d6, 0xd6d9da,
    0x6f8f93, 0x8b9b7c, 0xefe9e0,
];
const WOODS: [u32; 6] = [0xb98d5f, 0x8a5f3e, 0xd2b48a, 0x5d4336, 0xa5744a, 0xe8e0d4];
const PLANKS: [u32; 5] = [0xc79e6e, 0xa87a50, 0xdcc29a, 0x7f5a40, 0xb99f82];
const CARPETS: [u32; 5] = [0xb7afa6, 0xcbbfae, 0x9aa3aa, 0xa9a28d, 0xc2b1ac];
const COVERS: [u32; 12] = [
    0x3f6a8a, 0xf1ece2, 0xb5543c, 0x6d8a5e, 0xd9a441, 0x8d6a93, 0x2f4858, 0xd98f86, 0x9fb7c4, 0x4f7d78, 0xc9bba6,
    0x8f2f3f,
];
const ACCENTS: [u32; 8] = [0xd8893b, 0x345a73, 0xefe6d4, 0xa63f35, 0x5e7f5b, 0xe0b84c, 0xc98c9a, 0x46424f];
const CURTAINS: [u32; 6] = [0xf3eee4, 0xd9c7ab, 0x9fb0a2, 0xc98a6b, 0x8199ad, 0xcfc2d2];
const DOORS: [u32; 5] = [0xf1ede4, 0xa8754a, 0x7a5238, 0xd9dfdc, 0x5f7b82];
const ART: [u32; 8] = [0xe07a4a, 0x2f7f9f, 0xe6b84a, 0x3f8f6f, 0xc85a72, 0x6a5fa8, 0x58a0c8, 0x9fbf5a];

/// The places of window, picture, television and door. Doors and televisions stand on the floor, so they are never
/// above the bed; only what hangs high is behind it.
const LAYOUTS: [[WallSlot; 4]; 8] = {
    use WallSlot::{Above as A, Beside as B, Far as F, Near as N};
    [[A, N, F, B], [A, F, N, B], [A, N, B, F], [A, B, N, F], [N, A, F, B], [F, A, N, B], [N, A, B, F], [B, A, N, F]]
};

impl RoomTruth {
    pub(super) fn random(dice: &mut Dice) -> Self {
        let [window_at, picture_at, tv_at, door_at] = dice.pick(&LAYOUTS);
        let floor_kind = dice.pick(&[Floor::Planks, Floor::Planks, Floor::Carpet]);
        Self {
            window: dice.coin(),
            tv: dice.coin(),
            lamp: dice.coin(),
            picture: dice.coin(),
            door: dice.coin(),
            window_box: None,
            window_at,
            tv_at,
            picture_at,
            door_at,
            lamp_kind: dice.pick(&[LampKind::Table, LampKind::Standing, LampKind::Hanging]),
            mirrored: dice.coin(),
            time: dice.pick(&[Time::Day, Time::Day, Time::Day, Time::Evening, Time::Night]),
            light: dice.between(-1.0, 1.0),
            floor_kind,
            rug: dice.coin(),
            curtains: dice.coin(),
            wall: dice.color(&WALLS),
            floor: dice.color(if floor_kind == Floor::Planks { &PLANKS } else { &CARPETS }),
            bed: dice.color(&COVERS),
            accent: dice.color(&ACCENTS),
            wood: dice.color(&WOODS),
            curtain: dice.color(&CURTAINS),
            door_color: dice.color(&DOORS),
            art: dice.color(&ART),
            width: dice.between(3.6, 4.1),
            bed_gap: dice.between(0.15, 0.4),
            bed_width: dice.between(1.45, 1.65),
            eye: dice.between(-1.0, 1.0),
            eye_height: dice.between(1.4, 1.65),
            horizon: dice.between(0.40, 0.45),
            shift: dice.between(-0.03, 0.03),
            focal: dice.between(0.72, 0.8),
        }
    }
}

/// The lights of a room.
pub(super) struct Mood {
    /// What white paint looks like.
    pub(super) ambient: Rgb,
    /// What comes through the window.
    pub(super) sun: Rgb,
    /// What the lamp gives.
    pub(super) lamp: Rgb,
    /// How much the lamp matters.
    pub(super) lamp_power: f32,
    /// How much the window brightens the room.
    pub(super) sun_power: f32,
}

impl Mood {
    fn of(time: Time) -> Self {
        let lamp = Rgb::hex(if time == Time::Night { 0xffb765 } else { 0xffd08a });
        match time {
            Time::Day => {
                Self { ambient: Rgb::hex(0xfffcf6), sun: Rgb::hex(0xfff3d8), lamp, lamp_power: 0.42, sun_power: 0.34 }
            }
            Time::Evening => {
                Self { ambient: Rgb::hex(0xf4d6b8), sun: Rgb::hex(0xffb070), lamp, lamp_power: 0.55, sun_power: 0.42 }
            }
            Time::Night => {
                Self { ambient: Rgb::hex(0x8b95c2), sun: Rgb::hex(0x9db8ff), lamp, lamp_power: 0.7, sun_power: 0.22 }
            }
        }
    }
}

/// Everything that painting furniture needs.
pub(super) struct Room<'a> {
    pub(super) truth: &'a RoomTruth,
    pub(super) view: Viewpoint,
    pub(super) mood: Mood,
    pub(super) canvas: Painter,
}

impl Room<'_> {
    /// A paint in this room's light.
    pub(super) fn lit(&self, color: Rgb, amount: f32) -> Rgb {
        color.under(self.mood.ambient).lit(amount)
    }

    /// How bright a wall is.
    pub(super) fn brightness(&self, wall: Wall) -> f32 {
        match wall {
            Wall::Back => 0.97,
            // Light from one side falls on the wall across.
            Wall::Near => 0.87 + 0.09 * self.truth.light,
            Wall::Far => 0.87 - 0.09 * self.truth.light,
        }
    }
}

/// Renders a room of `size` by `size` pixels. The attributes of the sample are the given ones with `window_box` set.
pub fn draw(truth: &RoomTruth, size: usize) -> Sample {
    let mut done = RoomTruth { window_box: None, ..truth.clone() };
    let Some(canvas) = Painter::new(size) else {
        return Sample { picture: Picture::new(0, 0, 3, Vec::new()), truth: Truth::Room(done), mask: None };
    };
    let mut room = Room { truth, view: Viewpoint::new(truth), mood: Mood::of(truth.time), canvas };
    shell(&mut room);
    if truth.window {
        furniture::window(&mut room);
    }
    if truth.door {
        furniture::door(&mut room);
    }
    if truth.picture {
        furniture::picture(&mut room);
    }
    if truth.tv {
        furniture::television(&mut room);
    }
    furniture::rug(&mut room);
    bed::table(&mut room);
    if truth.lamp && truth.lamp_kind != LampKind::Hanging {
        furniture::lamp(&mut room);
    }
    bed::bed(&mut room);
    if truth.lamp && truth.lamp_kind == LampKind::Hanging {
        furniture::lamp(&mut room);
    }
    if truth.lamp {
        furniture::lamp_light(&mut room);
    }
    let mask = room.canvas.mask();
    done.window_box = mask.as_ref().and_then(bounds);
    Sample { picture: room.canvas.picture(), truth: Truth::Room(done), mask }
}

/// Bounding box of the white pixels of a mask.
fn bounds(mask: &Picture) -> Option<[u32; 4]> {
    let white = mask.pixels().iter().enumerate().filter(|&(_, &byte)| byte > 0);
    white.fold(None, |found, (i, _)| {
        let (x, y) = ((i % mask.width()) as u32, (i / mask.width()) as u32);
        let [x0, y0, x1, y1] = found.unwrap_or([x, y, x + 1, y + 1]);
        Some([x0.min(x), y0.min(y), x1.max(x + 1), y1.max(y + 1)])
    })
}

/// Walls, ceiling and floor.
fn shell(room: &mut Room) {
    let (truth, width) = (room.truth, room.view.width);
    let near = 0.9;
    let ceiling = truth.wall.mix(Rgb::hex(0xf8f5ef), 0.75);
    let (high, low) = (room.view.at(width / 2.0, HEIGHT, DEPTH).1, room.view.at(width / 2.0, 0.0, DEPTH).1);

    let ink = Ink::ramp((0.5, high), (0.5, 0.0), room.lit(ceiling, 0.9), room.lit(ceiling, 1.0));
    room.canvas.fill(&rect((0.0, 0.0), (1.0, 1.0)), ink);

    let ink = Ink::ramp((0.5, low), (0.5, 1.0), room.lit(truth.floor, 0.86), room.lit(truth.floor, 1.04));
    room.canvas.fill(&rect((0.0, low), (1.0, 1.0)), ink);
    if truth.floor_kind == Floor::Planks {
        planks(room);
    }

    for wall in [Wall::Near, Wall::Far, Wall::Back] {
        let (from, to) = if wall == Wall::Back { (0.0, width) } else { (near, DEPTH) };
        let bright = room.brightness(wall);
        let shape = room.view.panel(wall, (from, 0.0), (to, HEIGHT), 0.0);
        // Across the light on the back wall, into the corner on the side walls.
        let (a, b, dim_a, dim_b) = match wall {
            Wall::Back => {
                let tilt = 0.05 * truth.light;
                (room.view.on(wall, 0.0, 1.4, 0.0), room.view.on(wall, width, 1.4, 0.0), bright - tilt, bright + tilt)
            }
            _ => (room.view.on(wall, 2.4, 1.4, 0.0), room.view.on(wall, DEPTH, 1.4, 0.0), bright + 0.04, bright - 0.1),
        };
        let ink = Ink::ramp(a, b, room.lit(truth.wall, dim_a), room.lit(truth.wall, dim_b));
        room.canvas.fill(&shape, ink);
        // Corners gather shadow from the floor and the ceiling.
        let dark = room.lit(truth.wall, 0.35);
        let (bottom, middle, top) = (
            room.view.at(width / 2.0, 0.0, DEPTH),
            room.view.at(width / 2.0, 0.9, DEPTH),
            room.view.at(width / 2.0, HEIGHT, DEPTH),
        );
        if wall == Wall::Back {
            room.canvas.fill(&shape, Ink::fade(bottom, middle, dark, 0.2));
            let under = room.view.at(width / 2.0, HEIGHT - 0.6, DEPTH);
            room.canvas.fill(&shape, Ink::fade(top, under, dark, 0.12));
        }
        let skirting = room.view.panel(wall, (from, 0.0), (to, 0.13), 0.0);
        room.canvas.fill(&skirting, room.lit(ceiling, bright - 0.02));
    }
}

fn planks(room: &mut Room) {
    let board = 0.42;
    let count = (room.view.width / board).ceil() as usize;
    for i in 0..count {
        let (x0, x1) = (i as f32 * board, ((i + 1) as f32 * board).min(room.view.width));
        let (dark, light) = (room.lit(room.truth.floor, 0.62), room.lit(room.truth.floor, 1.2));
        // A fixed pattern looks like wood and is easy to learn.
        let shade = [0.0, 0.5, -0.3, 0.2, -0.5, 0.35][i % 6];
        let color = if shade < 0.0 { dark } else { light };
        let shape = room.view.level(0.0, (x0, 0.9), (x1, DEPTH));
        room.canvas.fill(&shape, Ink::Flat(color, 0.28 * f32::abs(shade)));
        let seam = super::canvas::line(&[room.view.at(x1, 0.0, 0.9), room.view.at(x1, 0.0, DEPTH)]);
        room.canvas.stroke(&seam, 0.003, Ink::Flat(dark, 0.4));
    }
}
