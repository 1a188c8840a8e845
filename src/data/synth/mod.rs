//! Synthetic data sets: rooms and faces, rendered from a seed, with nothing to download.
//!
//! The paper trains on bedrooms and faces that may not be redistributed. These replace them. Because every picture is
//! rendered from known attributes, the truth about it is known: which room has a window and where, which face smiles.
//! Attributes are drawn independently, so a direction found for one is not secretly another.
//!
//! A picture is a pure function of (scene, seed, index), with the same content at every size.

mod bed;
mod canvas;
mod clothing;
mod color;
mod dice;
pub mod faces;
mod furniture;
mod hair;
mod head;
mod layout;
mod pose;
pub mod rooms;
mod write;

pub use color::{ColorError, Rgb};
pub use faces::{Backdrop, Cloth, FaceTruth, Hair};
pub use rooms::{Floor, LampKind, RoomTruth, Time, WallSlot};
pub use write::{SynthError, write_set};

use serde::{Deserialize, Serialize};

use crate::image::Picture;

/// A synthetic data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scene {
    /// Bedrooms in one-point perspective.
    Rooms,
    /// Portraits, head and shoulders.
    Faces,
}

/// The name is not that of a scene.
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

/// A rendered picture and its attributes.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The picture, RGB.
    pub picture: Picture,
    /// Its attributes; rendering them again gives the same picture.
    pub truth: Truth,
    /// Rooms only: gray, 255 where the window is visible and 0 elsewhere; `None` without a window.
    pub mask: Option<Picture>,
}

/// The attributes of a picture.
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

    /// The attributes of picture `index` of the set with this seed, without rendering it.
    ///
    /// The `window_box` of a room depends on the rendered size and is `None` here.
    pub fn truth(self, seed: u64, index: u64) -> Truth {
        let mut dice = dice::Dice::new(self, seed, index);
        match self {
            Self::Rooms => Truth::Room(RoomTruth::random(&mut dice)),
            Self::Faces => Truth::Face(FaceTruth::random(&mut dice)),
        }
    }

    /// Renders picture `index` of the set with this seed at `size` by `size` pixels.
    pub fn draw(self, seed: u64, index: u64, size: usize) -> Sample {
        match self.truth(seed, index) {
            Truth::Room(room) => rooms::draw(&room, size),
            Truth::Face(face) => faces::draw(&face, size),
        }
    }
}

#[cfg(test)]
mod tests;
