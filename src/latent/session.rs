//! Everything that is explored, as one value: what the window shows, undoes and saves, and the command line replays.

use std::path::{Path, PathBuf};

use super::arithmetic::Term;
use super::boxes::{BoxesError, Forgetting};
use super::directions::Direction;
use super::walk::{Walk, Way};
use super::{numbered, vector};
use crate::files;
use crate::model::{Ablation, AblationError, ModelConfig};

/// Why a session could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// It is no session.
    #[error("{path} is no zscape session ({cause}); it may be damaged, or of a newer version")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        cause: serde_json::Error,
    },
    /// A z of another model.
    #[error(
        "the session's z's have {found} numbers, those of this model {wanted}; open the model it was made with: {model}"
    )]
    Width {
        /// What the session has.
        found: usize,
        /// What the model has.
        wanted: usize,
        /// The session's model.
        model: PathBuf,
    },
    /// Filters of another model.
    #[error(transparent)]
    Ablation(#[from] AblationError),
    /// Boxes over pictures of another model.
    #[error(transparent)]
    Boxes(#[from] BoxesError),
}

/// A place in Z.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(untagged)]
pub enum Point {
    /// Sample `number` of `seed`.
    Sample {
        /// The seed.
        seed: u64,
        /// The number.
        number: u64,
    },
    /// A z of its own, such as a result.
    Made {
        /// What it is called.
        name: String,
        /// `[z_dim]`.
        z: Vec<f32>,
    },
}

impl Point {
    /// Its z.
    pub fn z(&self, config: &ModelConfig) -> Vec<f32> {
        match self {
            Self::Sample { seed, number } => numbered(config.prior, config.z_dim, *seed, *number),
            Self::Made { z, .. } => z.clone(),
        }
    }

    /// What it is called.
    pub fn name(&self) -> String {
        match self {
            Self::Sample { seed, number } => format!("sample {number} of seed {seed}"),
            Self::Made { name, .. } => name.clone(),
        }
    }
}

/// A tray of the arithmetic.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tray {
    /// Whether it is taken away.
    pub minus: bool,
    /// Its exemplars.
    pub members: Vec<Point>,
}

/// The walk's timeline.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Timeline {
    /// What is visited.
    pub keyframes: Vec<Point>,
    /// How.
    pub way: Way,
    /// Whether it goes back to the start.
    pub closed: bool,
}

/// A direction that is applied, and how far.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Slider {
    /// The direction.
    pub direction: Direction,
    /// Standard deviations along it.
    pub amount: f32,
}

/// Everything explored. Views show it, every change of it can be undone, a file keeps it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Session {
    /// The model: a path, or a bundled one's name.
    pub model: PathBuf,
    /// The gallery's seed.
    pub seed: u64,
    /// Points that were kept.
    pub shelf: Vec<Point>,
    /// The arithmetic's trays.
    pub trays: Vec<Tray>,
    /// The walk.
    pub walk: Timeline,
    /// What the sliders move.
    pub subject: Point,
    /// The sliders.
    pub sliders: Vec<Slider>,
    /// Named directions: concepts that were saved, and combinations of sliders.
    pub concepts: Vec<Direction>,
    /// The three points whose plane the pad shows.
    pub plane: [Point; 3],
    /// The pad's point, in shares of the ways from the first corner to the others.
    pub pad: [f32; 2],
    /// Filters that are dropped wherever pictures are drawn.
    #[serde(default)]
    pub ablations: Vec<Ablation>,
    /// What is being forgotten.
    #[serde(default)]
    pub forget: Forgetting,
}

impl Session {
    /// A fresh one: the paper's three trays, and the first samples of the seed.
    pub fn new(model: PathBuf) -> Self {
        let sample = |number| Point::Sample { seed: 1, number };
        let tray = |minus| Tray { minus, members: Vec::new() };
        Self {
            model,
            seed: 1,
            shelf: Vec::new(),
            trays: vec![tray(false), tray(true), tray(false)],
            walk: Timeline::default(),
            subject: sample(0),
            sliders: Vec::new(),
            concepts: Vec::new(),
            plane: [sample(0), sample(1), sample(2)],
            pad: [0.5, 0.5],
            ablations: Vec::new(),
            forget: Forgetting::default(),
        }
    }

    /// Reads a session file.
    ///
    /// # Errors
    /// [`SessionError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, SessionError> {
        let text = std::fs::read_to_string(path).map_err(|cause| SessionError::Io { path: path.to_owned(), cause })?;
        serde_json::from_str(&text).map_err(|cause| SessionError::Damaged { path: path.to_owned(), cause })
    }

    /// Writes a session file, beside its place and renamed.
    ///
    /// # Errors
    /// [`SessionError::Io`] naming the file.
    pub fn write(&self, path: &Path) -> Result<(), SessionError> {
        let json = serde_json::to_vec_pretty(self).expect("plain structs are always JSON");
        files::write(path, |file| std::io::Write::write_all(file, &json))
            .map_err(|cause| SessionError::Io { path: path.to_owned(), cause })
    }

    /// Checks that every z has the model's width.
    ///
    /// # Errors
    /// [`SessionError::Width`] for the first that has not.
    pub fn check(&self, config: &ModelConfig) -> Result<(), SessionError> {
        let trays = self.trays.iter().flat_map(|tray| &tray.members);
        let points = self.shelf.iter().chain(trays).chain(&self.walk.keyframes).chain(&self.plane);
        let made = points.chain([&self.subject]).filter_map(|point| match point {
            Point::Made { z, .. } => Some(z.len()),
            Point::Sample { .. } => None,
        });
        let sliders = self.sliders.iter().map(|slider| slider.direction.vector.len());
        let concepts = self.concepts.iter().map(|concept| concept.vector.len());
        match made.chain(sliders).chain(concepts).find(|&found| found != config.z_dim) {
            Some(found) => Err(SessionError::Width { found, wanted: config.z_dim, model: self.model.clone() }),
            None => Ok(()),
        }
    }

    /// Checks that what is dropped and boxed is a model's.
    ///
    /// # Errors
    /// [`SessionError::Ablation`] or [`SessionError::Boxes`].
    pub fn check_inside(&self, config: &ModelConfig) -> Result<(), SessionError> {
        self.ablations.iter().try_for_each(|ablation| ablation.check(config))?;
        if !self.forget.boxes.boxes.is_empty() {
            self.forget.boxes.check(config)?;
        }
        Ok(())
    }

    /// The trays as terms; empty trays are left out, so that a sum grows as it is filled.
    pub fn terms(&self, config: &ModelConfig) -> Vec<Term> {
        let filled = self.trays.iter().filter(|tray| !tray.members.is_empty());
        let term = |tray: &Tray| Term {
            minus: tray.minus,
            exemplars: tray.members.iter().map(|point| point.z(config)).collect(),
        };
        filled.map(term).collect()
    }

    /// The walk through the keyframes.
    pub fn walk(&self, config: &ModelConfig) -> Walk {
        Walk {
            keyframes: self.walk.keyframes.iter().map(|point| point.z(config)).collect(),
            way: self.walk.way,
            closed: self.walk.closed,
        }
    }

    /// The subject, moved by all sliders.
    pub fn moved(&self, config: &ModelConfig) -> Vec<f32> {
        let start = self.subject.z(config);
        self.sliders.iter().fold(start, |z, slider| vector::along(&z, &slider.direction.vector, slider.amount))
    }

    /// The z at a place of the pad: `corner + x * (second - corner) + y * (third - corner)`.
    pub fn on_plane(&self, config: &ModelConfig, [x, y]: [f32; 2]) -> Vec<f32> {
        let [corner, second, third] = [0, 1, 2].map(|i| self.plane[i].z(config));
        let across = vector::along(&second, &corner, -1.0);
        let down = vector::along(&third, &corner, -1.0);
        vector::along(&vector::along(&corner, &across, x), &down, y)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn config() -> ModelConfig {
        ModelConfig { z_dim: 2, ..ModelConfig::preset(Preset::Pytorch) }
    }

    fn made(z: [f32; 2]) -> Point {
        Point::Made { name: "p".into(), z: z.to_vec() }
    }

    #[test]
    fn a_session_reads_back_equal_and_damage_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zscape");
        let mut session = Session::new("bundled:faces".into());
        session.shelf.push(made([0.25, -1.5]));
        session.walk.keyframes.push(Point::Sample { seed: 3, number: 9 });
        session.trays[1].members.push(made([0.1, 0.7]));
        session.write(&path).unwrap();
        assert_eq!(Session::read(&path).unwrap(), session);
        std::fs::write(&path, "{\"model\": 3").unwrap();
        assert!(Session::read(&path).unwrap_err().to_string().contains("a.zscape"));
        assert!(Session::read(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn zs_of_another_width_are_refused_with_the_sessions_model() {
        let mut session = Session::new("rooms.safetensors".into());
        session.check(&config()).unwrap();
        session.shelf.push(Point::Made { name: "p".into(), z: vec![0.0; 3] });
        let error = session.check(&config()).unwrap_err().to_string();
        assert!(error.contains("rooms.safetensors") && error.contains('3'), "{error}");
    }

    #[test]
    fn sliders_and_plane_move_z() {
        let mut session = Session::new(PathBuf::new());
        session.subject = made([1.0, 1.0]);
        let direction = Direction { name: "d".into(), vector: vec![0.5, 0.0], weight: 1.0 };
        session.sliders = vec![Slider { direction, amount: -2.0 }];
        assert_eq!(session.moved(&config()), [0.0, 1.0]);
        session.plane = [made([0.0, 0.0]), made([2.0, 0.0]), made([0.0, 4.0])];
        assert_eq!(session.on_plane(&config(), [0.5, 0.25]), [1.0, 1.0]);
        assert!(session.terms(&config()).is_empty(), "empty trays add nothing");
    }
}
