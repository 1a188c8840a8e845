//! The exploration session: everything that the window shows, undoes and saves, and that the command line replays.

mod compatibility;

use std::path::{Path, PathBuf};

use fs_err as fs;

use super::arithmetic::{self, ArithmeticError, ArithmeticResult, Term};
use super::boxes::BoxesError;
use super::directions::LatentDirection;
use super::plane::LatentPlane;
use super::removal::ObjectRemoval;
use super::sampling::sample_z;
use super::vector::add_scaled;
use super::walk::{Interpolation, LatentWalk};
use crate::files;
use crate::model::{Ablation, AblationError, ModelConfig, Provenance};

/// The default number of rows of the turn figure (figure 8).
const TURN_ROWS: u64 = 5;

/// Why a session cannot be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file does not contain a session.
    #[error("{path} is not a zscape session ({error}); it is damaged, or a newer version wrote it")]
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        error: serde_json::Error,
    },
    /// The session's z's have another dimension than the model's.
    #[error(
        "the session's z's have {found} dimensions, but this model's have {wanted}; open the model that the session was made with: {model}"
    )]
    Dimensions {
        /// The dimensions in the session.
        found: usize,
        /// The dimensions of the model.
        wanted: usize,
        /// The session's model.
        model: PathBuf,
    },
    /// The ablations do not fit the model.
    #[error(transparent)]
    Ablation(#[from] AblationError),
    /// The boxes do not fit the model.
    #[error(transparent)]
    Boxes(#[from] BoxesError),
    /// The model file has been replaced by a different model.
    #[error(
        "{model} is not the model that the session was made with: {difference}. Restore that model to open the session"
    )]
    ModelDiffers {
        /// The model file.
        model: PathBuf,
        /// What is different.
        difference: String,
    },
}

/// A point in latent space.
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
    /// Any other z, such as the result of arithmetic or of a projection.
    Custom {
        /// Its name.
        name: String,
        /// `[z_dim]`.
        z: Vec<f32>,
    },
}

impl Point {
    /// The z of this point under a model's prior.
    pub fn z(&self, config: &ModelConfig) -> Vec<f32> {
        match self {
            Self::Sample { seed, number } => sample_z(config.prior, config.z_dim, *seed, *number),
            Self::Custom { z, .. } => z.clone(),
        }
    }

    /// The name to display.
    pub fn name(&self) -> String {
        match self {
            Self::Sample { seed, number } => format!("sample {number} of seed {seed}"),
            Self::Custom { name, .. } => name.clone(),
        }
    }
}

/// A tray of the arithmetic panel: the exemplars of one [`Term`].
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tray {
    /// Whether the term is subtracted.
    pub minus: bool,
    /// The exemplars.
    pub members: Vec<Point>,
}

/// The timeline of the walk panel.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Timeline {
    /// The keyframes, in order.
    pub keyframes: Vec<Point>,
    /// The interpolation between keyframes.
    #[serde(rename = "way")]
    pub interpolation: Interpolation,
    /// Whether the walk returns to the first keyframe.
    #[serde(rename = "closed")]
    pub looped: bool,
}

/// A slider: how far the subject is moved along a direction.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Slider {
    /// The direction.
    pub direction: LatentDirection,
    /// The distance in standard deviations.
    pub amount: f32,
}

/// The turn of figure 8: a vector from the average of some exemplars to the average of others.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct TurnExemplars {
    /// Exemplars that face one way (the paper averages four).
    pub from: Vec<Point>,
    /// Exemplars that face the other way.
    pub to: Vec<Point>,
    /// The points to turn, one row each. If empty, the first samples of the session's seed.
    pub on: Vec<Point>,
}

/// A concept applied to a point.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct AppliedConcept {
    /// The concept.
    pub direction: LatentDirection,
    /// The factor of the concept's vector.
    pub amount: f32,
    /// The point.
    pub on: Point,
}

/// A named position on the pad.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pin {
    /// Its name.
    pub name: String,
    /// Its position on the [`LatentPlane`].
    pub at: [f32; 2],
}

impl Pin {
    fn default_pins() -> Vec<Self> {
        vec![Self { name: "point 1".to_owned(), at: [0.5, 0.5] }]
    }
}

/// The model that a session was made with, to detect that its file was replaced.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SessionModel {
    /// The configuration of the networks.
    pub config: ModelConfig,
    /// The training data and steps.
    pub provenance: Provenance,
}

/// Everything that is explored. Panels show and change it, undo restores earlier values, and [`Session::write`] saves
/// it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Session {
    /// The model: a path, or the name of a bundled model.
    pub model: PathBuf,
    /// What that model was when the session was saved.
    #[serde(default)]
    pub made_with: Option<SessionModel>,
    /// The seed of the gallery.
    pub seed: u64,
    /// Points on the shelf.
    pub shelf: Vec<Point>,
    /// The trays of the arithmetic.
    pub trays: Vec<Tray>,
    /// Whether the result of the arithmetic is normalized to the prior's length.
    #[serde(default, rename = "inside")]
    pub normalize: bool,
    /// The turn.
    #[serde(default)]
    pub turn: TurnExemplars,
    /// The concept that is applied to a point.
    #[serde(default)]
    pub applied: Option<AppliedConcept>,
    /// The walk.
    pub walk: Timeline,
    /// The point that the sliders move.
    pub subject: Point,
    /// The sliders.
    pub sliders: Vec<Slider>,
    /// Saved directions: concepts from the arithmetic, and combinations of sliders.
    pub concepts: Vec<LatentDirection>,
    /// Three points on the plane that the pad shows.
    pub plane: [Point; 3],
    /// Ablations that apply to all generated pictures.
    #[serde(default)]
    pub ablations: Vec<Ablation>,
    /// The removal of an object.
    #[serde(default)]
    pub forget: ObjectRemoval,
    /// Directions that span the plane of the pad, from the first of the three points. `None` uses all three points.
    #[serde(default)]
    pub axes: Option<[LatentDirection; 2]>,
    /// The positions on the pad.
    #[serde(default = "Pin::default_pins")]
    pub pins: Vec<Pin>,
}

impl Session {
    /// A new session: three empty trays as in the paper, and the first samples of seed 1.
    pub fn new(model: PathBuf) -> Self {
        let sample = |number| Point::Sample { seed: 1, number };
        let tray = |minus| Tray { minus, members: Vec::new() };
        Self {
            model,
            made_with: None,
            seed: 1,
            shelf: Vec::new(),
            trays: vec![tray(false), tray(true), tray(false)],
            normalize: false,
            turn: TurnExemplars::default(),
            applied: None,
            walk: Timeline::default(),
            subject: sample(0),
            sliders: Vec::new(),
            concepts: Vec::new(),
            plane: [sample(0), sample(1), sample(2)],
            ablations: Vec::new(),
            forget: ObjectRemoval::default(),
            axes: None,
            pins: Pin::default_pins(),
        }
    }

    /// Reads a session file.
    ///
    /// # Errors
    /// [`SessionError::Io`] or [`SessionError::Format`], naming the file.
    pub fn read(path: &Path) -> Result<Self, SessionError> {
        let text = fs::read_to_string(path)?;
        serde_json::from_str(&text).map_err(|error| SessionError::Format { path: path.to_owned(), error })
    }

    /// Writes a session file atomically.
    ///
    /// # Errors
    /// [`SessionError::Io`] naming the file.
    pub fn write(&self, path: &Path) -> Result<(), SessionError> {
        let json = serde_json::to_vec_pretty(self).expect("plain structs always serialize to JSON");
        Ok(files::write(path, |file| std::io::Write::write_all(file, &json))?)
    }

    /// The terms of all trays that have members.
    pub fn terms(&self, config: &ModelConfig) -> Vec<Term> {
        let filled = self.trays.iter().filter(|tray| !tray.members.is_empty());
        let term = |tray: &Tray| Term {
            minus: tray.minus,
            exemplars: tray.members.iter().map(|point| point.z(config)).collect(),
        };
        filled.map(term).collect()
    }

    /// The result of the arithmetic.
    ///
    /// # Errors
    /// [`ArithmeticError::NoExemplars`] if all trays are empty.
    pub fn arithmetic(&self, config: &ModelConfig) -> Result<ArithmeticResult, ArithmeticError> {
        ArithmeticResult::new(self.terms(config), config.prior, self.normalize, self.seed)
    }

    /// The z's of the turn figure, `steps` per row.
    ///
    /// # Errors
    /// [`ArithmeticError::EmptyTerm`] if one side has no exemplars.
    pub fn turn_rows(&self, config: &ModelConfig, steps: usize) -> Result<Vec<Vec<Vec<f32>>>, ArithmeticError> {
        let z = |points: &[Point]| points.iter().map(|point| point.z(config)).collect::<Vec<_>>();
        arithmetic::turn_rows(&z(&self.turn.from), &z(&self.turn.to), &z(&self.turn_points()), steps)
    }

    /// The points to turn, one row each.
    pub fn turn_points(&self) -> Vec<Point> {
        match &self.turn.on[..] {
            [] => (0..TURN_ROWS).map(|number| Point::Sample { seed: self.seed, number }).collect(),
            on => on.to_vec(),
        }
    }

    /// The walk through the keyframes.
    pub fn walk(&self, config: &ModelConfig) -> LatentWalk {
        LatentWalk {
            keyframes: self.walk.keyframes.iter().map(|point| point.z(config)).collect(),
            interpolation: self.walk.interpolation,
            looped: self.walk.looped,
        }
    }

    /// The z of the subject, moved by all sliders.
    pub fn moved_subject(&self, config: &ModelConfig) -> Vec<f32> {
        let start = self.subject.z(config);
        self.sliders.iter().fold(start, |z, slider| add_scaled(&z, &slider.direction.vector, slider.amount))
    }

    /// The plane that the pad shows.
    pub fn latent_plane(&self, config: &ModelConfig) -> LatentPlane {
        let [first, second, third] = &self.plane;
        match &self.axes {
            Some([across, down]) => LatentPlane::of_directions(&first.z(config), [&across.vector, &down.vector]),
            None => LatentPlane::through(&[first, second, third].map(|point| point.z(config))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::vector::distance;
    use crate::model::Preset;

    fn config() -> ModelConfig {
        ModelConfig { z_dim: 2, ..ModelConfig::preset(Preset::Pytorch) }
    }

    fn custom(z: [f32; 2]) -> Point {
        Point::Custom { name: "p".into(), z: z.to_vec() }
    }

    #[test]
    fn a_session_survives_a_round_trip_and_damage_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.zscape");
        let mut session = Session::new("bundled:faces".into());
        session.shelf.push(custom([0.25, -1.5]));
        session.walk.keyframes.push(Point::Sample { seed: 3, number: 9 });
        session.trays[1].members.push(custom([0.1, 0.7]));
        session.write(&path).unwrap();
        assert_eq!(Session::read(&path).unwrap(), session);
        fs::write(&path, "{\"model\": 3").unwrap();
        assert!(Session::read(&path).unwrap_err().to_string().contains("a.zscape"));
        assert!(Session::read(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn files_older_than_turns_and_pins_still_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.zscape");
        let old = r#"{ "model": "bundled:faces", "seed": 4, "shelf": [], "trays": [], "pad": [0.1, 0.2],
            "walk": { "keyframes": [{ "seed": 4, "number": 9 }], "way": "linear", "closed": false },
            "subject": { "seed": 1, "number": 0 }, "sliders": [], "concepts": [],
            "plane": [{ "seed": 1, "number": 0 }, { "seed": 1, "number": 1 }, { "seed": 1, "number": 2 }] }"#;
        fs::write(&path, old).unwrap();
        let session = Session::read(&path).unwrap();
        assert_eq!((session.seed, session.pins.len(), session.normalize), (4, 1, false));
    }

    #[test]
    fn sliders_and_plane_move_z() {
        let mut session = Session::new(PathBuf::new());
        session.subject = custom([1.0, 1.0]);
        let direction = LatentDirection { name: "d".into(), vector: vec![0.5, 0.0], weight: 1.0 };
        session.sliders = vec![Slider { direction, amount: -2.0 }];
        assert_eq!(session.moved_subject(&config()), [0.0, 1.0]);
        session.plane = [custom([0.0, 0.0]), custom([2.0, 0.0]), custom([0.0, 4.0])];
        assert!(distance(&session.latent_plane(&config()).at([0.5, 0.5]), &[1.0, 2.0]) < 1e-5);
        session.axes = Some([[0.5, 0.0], [0.0, 1.0]].map(|vector| LatentDirection {
            name: "d".into(),
            vector: vector.to_vec(),
            weight: 1.0,
        }));
        assert!(distance(&session.latent_plane(&config()).at([1.0, 0.5]), &[1.5, 0.0]) < 1e-5);
        assert!(session.terms(&config()).is_empty(), "empty trays have no terms");
    }

    #[test]
    fn renamed_fields_keep_their_names_in_files() {
        let mut session = Session::new("a".into());
        (session.normalize, session.walk.looped) = (true, true);
        session.walk.interpolation = Interpolation::Slerp;
        let json = serde_json::to_value(&session).unwrap();
        assert_eq!((&json["inside"], &json["walk"]["closed"]), (&true.into(), &true.into()));
        assert_eq!(json["walk"]["way"], "spherical");
    }
}
