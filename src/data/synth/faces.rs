//! Portraits with known attributes.
//!
//! A head is an ellipsoid that turns: its features have a longitude, which determines both their position and their
//! width. A turn is therefore one continuous number that a network can learn.

use serde::{Deserialize, Serialize};

use super::canvas::Painter;
use super::color::Rgb;
use super::dice::Dice;
use super::head::Face;
use super::{Sample, Truth, clothing, hair};
use crate::image::Picture;

/// A hair style.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Hair {
    /// None.
    Bald,
    /// Close to the head, parted.
    Short,
    /// Down to the shoulders.
    Long,
    /// A cloud of curls.
    Curly,
    /// Pulled back into a knot on top.
    Bun,
    /// Down to the chin, with a fringe.
    Bob,
}

/// What is worn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cloth {
    /// A round neckline.
    Round,
    /// A pointed neckline.
    Pointed,
    /// A shirt with a collar.
    Collar,
    /// A high collar around the neck.
    High,
}

/// What is behind the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backdrop {
    /// A studio wall, lighter behind the head.
    Studio,
    /// One color above, another below.
    Sky,
    /// Two walls meeting in a slanted edge.
    Split,
    /// Blurred lights.
    Lights,
}

/// Attributes of a portrait: everything needed to render it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaceTruth {
    /// Smiling with teeth, or a closed mouth.
    pub smile: bool,
    /// Wearing glasses.
    pub glasses: bool,
    /// Wearing a beard.
    pub beard: bool,
    /// The hair style.
    pub hair: Hair,
    /// The skin, 0 light to 1 dark.
    pub skin: f32,
    /// Where the head is turned: -1 to the picture's left, +1 to its right.
    pub turn: f32,
    /// Where the light comes from: -1 from the picture's left, +1 from its right.
    pub light: f32,
    /// Hair, brows and beard.
    #[serde(rename = "hair_colour")]
    pub hair_color: Rgb,
    /// The irises.
    #[serde(rename = "eye_colour")]
    pub eye_color: Rgb,
    /// The frame of the glasses, worn or not.
    #[serde(rename = "glasses_colour")]
    pub glasses_color: Rgb,
    /// What is worn.
    pub cloth: Cloth,
    /// The color of what is worn.
    #[serde(rename = "cloth_colour")]
    pub cloth_color: Rgb,
    /// What is behind the head.
    pub backdrop: Backdrop,
    /// The backdrop's first color.
    pub back: Rgb,
    /// The backdrop's second color.
    pub back_too: Rgb,
    /// The hair is parted on the picture's left, not right.
    pub part_left: bool,
    /// The face's width, 1 is ordinary.
    pub width: f32,
    /// The jaw: 0 narrow to 1 broad.
    pub jaw: f32,
    /// The eyes' size, 1 is ordinary.
    pub eyes: f32,
    /// The nose's size, 1 is ordinary.
    pub nose: f32,
    /// The lips' fullness, 1 is ordinary.
    pub lips: f32,
    /// The brows' thickness, 1 is ordinary.
    pub brows: f32,
    /// How far the head is right of its ordinary place, as a share of the picture.
    pub x: f32,
    /// How far the head is below its ordinary place, as a share of the picture.
    pub y: f32,
    /// The head's size, 1 is ordinary.
    pub scale: f32,
}

const HAIRS: [u32; 9] = [0x221a18, 0x3a271d, 0x5c3b25, 0x835530, 0xc08e4e, 0xdfbd80, 0x9c4528, 0x8f8b8a, 0xd9d5cf];
const EYES: [u32; 6] = [0x4a2f1d, 0x6e4522, 0x7c6a33, 0x4f7a52, 0x4a86b8, 0x6d8796];
const GLASSES: [u32; 4] = [0x1f1f24, 0x5a3320, 0x22385c, 0x7a2530];
const CLOTHS: [u32; 12] = [
    0x2f4a6b, 0xb5473c, 0xf0ebe2, 0x3d6b57, 0xd59a3a, 0x5b4a78, 0x2b2c33, 0x7f9db5, 0xc97b86, 0x8a7a5c, 0x3f8a95,
    0xdfd0b8,
];
const BACKS: [u32; 12] = [
    0xbcd3df, 0xe8d8c3, 0xc9d6bf, 0xe3b9a0, 0x7f9aa8, 0xd8cbe0, 0x8fa58a, 0xefe6da, 0xd9a273, 0x5f7486, 0xf0cf9c,
    0xa9b6c9,
];

impl FaceTruth {
    pub(super) fn random(dice: &mut Dice) -> Self {
        Self {
            smile: dice.coin(),
            glasses: dice.coin(),
            beard: dice.coin(),
            hair: dice.pick(&[Hair::Bald, Hair::Short, Hair::Long, Hair::Curly, Hair::Bun, Hair::Bob]),
            skin: dice.between(0.0, 1.0),
            turn: dice.between(-1.0, 1.0),
            light: dice.between(-1.0, 1.0),
            hair_color: dice.color(&HAIRS),
            eye_color: dice.color(&EYES),
            glasses_color: dice.color(&GLASSES),
            cloth: dice.pick(&[Cloth::Round, Cloth::Pointed, Cloth::Collar, Cloth::High]),
            cloth_color: dice.color(&CLOTHS),
            backdrop: dice.pick(&[Backdrop::Studio, Backdrop::Sky, Backdrop::Split, Backdrop::Lights]),
            back: dice.color(&BACKS),
            back_too: dice.color(&BACKS),
            part_left: dice.coin(),
            width: dice.between(0.95, 1.06),
            jaw: dice.between(0.0, 1.0),
            eyes: dice.between(0.92, 1.08),
            nose: dice.between(0.9, 1.12),
            lips: dice.between(0.85, 1.2),
            brows: dice.between(0.8, 1.25),
            x: dice.between(-0.012, 0.012),
            y: dice.between(-0.01, 0.01),
            scale: dice.between(0.97, 1.03),
        }
    }
}

/// Renders a portrait of `size` by `size` pixels.
pub fn draw(truth: &FaceTruth, size: usize) -> Sample {
    let mut sample =
        Sample { picture: Picture::new(0, 0, 3, Vec::new()), truth: Truth::Face(truth.clone()), mask: None };
    let Some(canvas) = Painter::new(size) else { return sample };
    let mut face = Face::new(truth, canvas);
    clothing::backdrop(&mut face);
    hair::behind(&mut face);
    face.neck();
    clothing::cloth(&mut face);
    face.ears_behind();
    face.head();
    face.eyes();
    face.nose();
    if truth.beard {
        hair::beard(&mut face);
    }
    face.mouth();
    face.brows();
    if truth.glasses {
        clothing::arms(&mut face);
    }
    // Ears are over short hair and under long hair.
    let covered = matches!(truth.hair, Hair::Long | Hair::Curly | Hair::Bob);
    if covered {
        face.ears_before();
    }
    hair::before(&mut face);
    if !covered {
        face.ears_before();
    }
    if truth.glasses {
        clothing::glasses(&mut face);
    }
    sample.picture = face.canvas.picture();
    sample
}
