//! Synthetic picture sets: rooms and faces, drawn from a seed with nothing to download.
//!
//! The paper trains on bedrooms and faces that nobody may redistribute. These stand in for them, and because every
//! picture is drawn from known attributes they also say what is true in it: which room has a window and where, which
//! face smiles. Attributes are drawn independently of each other, so that a direction found for one is not secretly
//! another.
//!
//! A picture is a pure function of (scene, seed, index); at every size it has the same content.

mod bed;
mod canvas;
mod colour;
mod dice;
pub mod faces;
mod furniture;
mod hair;
mod head;
mod layout;
mod pose;
pub mod rooms;
mod wear;
mod write;

pub use colour::{ColourError, Rgb};
pub use faces::{Backdrop, Cloth, FaceTruth, Hair};
pub use rooms::{Floor, LampKind, RoomTruth, Slot, Time};
pub use write::{SynthError, write_set};

use serde::{Deserialize, Serialize};

use crate::image::Picture;

/// A synthetic picture set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scene {
    /// Bedrooms in one-point perspective.
    Rooms,
    /// Portraits, head and shoulders.
    Faces,
}

/// A name that is no scene's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no synthetic set {0:?}; there are \"rooms\" and \"faces\"")]
pub struct UnknownScene(pub String);

impl std::fmt::Display for Scene {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Rooms => "rooms",
            Self::Faces => "faces",
        })
    }
}

impl std::str::FromStr for Scene {
    type Err = UnknownScene;

    fn from_str(name: &str) -> Result<Self, UnknownScene> {
        match name {
            "rooms" => Ok(Self::Rooms),
            "faces" => Ok(Self::Faces),
            _ => Err(UnknownScene(name.to_owned())),
        }
    }
}

/// A drawn picture and what is true in it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The picture, RGB.
    pub picture: Picture,
    /// What it shows; drawing this again gives the same picture.
    pub truth: Truth,
    /// Rooms only: grey, 255 where the window is visible and 0 elsewhere; none if there is no window.
    pub mask: Option<Picture>,
}

/// What a picture shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "scene")]
pub enum Truth {
    /// A room.
    #[serde(rename = "rooms")]
    Room(RoomTruth),
    /// A face.
    #[serde(rename = "faces")]
    Face(FaceTruth),
}

impl Scene {
    /// Both sets.
    pub const ALL: [Self; 2] = [Self::Rooms, Self::Faces];

    /// The attributes of picture `index` of the set that `seed` names, without drawing it.
    ///
    /// A room's `window_box` depends on the drawn size and is none here.
    pub fn truth(self, seed: u64, index: u64) -> Truth {
        let mut dice = dice::Dice::new(self, seed, index);
        match self {
            Self::Rooms => Truth::Room(RoomTruth::random(&mut dice)),
            Self::Faces => Truth::Face(FaceTruth::random(&mut dice)),
        }
    }

    /// Draws picture `index` of the set that `seed` names, `size` pixels wide and high.
    pub fn draw(self, seed: u64, index: u64, size: usize) -> Sample {
        match self.truth(seed, index) {
            Truth::Room(room) => rooms::draw(&room, size),
            Truth::Face(face) => faces::draw(&face, size),
        }
    }
}

#[cfg(test)]
mod tests;
