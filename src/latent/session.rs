//! Everything that is explored, as one value: what the window shows, undoes and saves, and the command line replays.

use std::path::{Path, PathBuf};

use super::arithmetic::{self, ArithmeticError, Sum, Term};
use super::boxes::{BoxesError, Forgetting};
use super::directions::Direction;
use super::plane::Plane;
use super::walk::{Walk, Way};
use super::{numbered, vector};
use crate::files;
use crate::model::{Ablation, AblationError, ModelConfig, Provenance};

/// Rows of the turn's figure where nobody chose others (figure 8).
const TURN_ROWS: u64 = 5;

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
    /// The file of the session's model holds another one now.
    #[error(
        "{model} is not the model that the session was made with: {how}. Put that model back in its place to open the session"
    )]
    Differs {
        /// The model.
        model: PathBuf,
        /// What differs.
        how: String,
    },
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

/// The turn of figure 8: from the average of some exemplars to that of others.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Turn {
    /// Exemplars that look the one way; the paper takes four.
    pub from: Vec<Point>,
    /// Exemplars that look the other way.
    pub to: Vec<Point>,
    /// What is turned, a row each; none means the first samples of the seed.
    pub on: Vec<Point>,
}

/// A concept that is tried on a sample.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Applied {
    /// The concept.
    pub direction: Direction,
    /// How much of it; 1 is all.
    pub amount: f32,
    /// The sample.
    pub on: Point,
}

/// A named point of the pad.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Pin {
    /// What it is called.
    pub name: String,
    /// Its place on the [`Plane`].
    pub at: [f32; 2],
}

impl Pin {
    fn first() -> Vec<Self> {
        vec![Self { name: "point 1".to_owned(), at: [0.5, 0.5] }]
    }
}

/// What a session was made with, so that another model in the same place is noticed.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct MadeWith {
    /// The networks.
    pub config: ModelConfig,
    /// What they had learnt from.
    pub provenance: Provenance,
}

/// Everything explored. Views show it, every change of it can be undone, a file keeps it.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Session {
    /// The model: a path, or a bundled one's name.
    pub model: PathBuf,
    /// What that model was.
    #[serde(default)]
    pub made_with: Option<MadeWith>,
    /// The gallery's seed.
    pub seed: u64,
    /// Points that were kept.
    pub shelf: Vec<Point>,
    /// The arithmetic's trays.
    pub trays: Vec<Tray>,
    /// Whether the arithmetic's result is brought back to the prior.
    #[serde(default)]
    pub inside: bool,
    /// The turn.
    #[serde(default)]
    pub turn: Turn,
    /// The concept that is tried on a sample.
    #[serde(default)]
    pub applied: Option<Applied>,
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
    /// Filters that are dropped wherever pictures are drawn.
    #[serde(default)]
    pub ablations: Vec<Ablation>,
    /// What is being forgotten.
    #[serde(default)]
    pub forget: Forgetting,
    /// The directions that the pad shows instead, from the first of the three.
    #[serde(default)]
    pub axes: Option<[Direction; 2]>,
    /// The pad's points.
    #[serde(default = "Pin::first")]
    pub pins: Vec<Pin>,
}

impl Session {
    /// A fresh one: the paper's three trays, and the first samples of the seed.
    pub fn new(model: PathBuf) -> Self {
        let sample = |number| Point::Sample { seed: 1, number };
        let tray = |minus| Tray { minus, members: Vec::new() };
        Self {
            model,
            made_with: None,
            seed: 1,
            shelf: Vec::new(),
            trays: vec![tray(false), tray(true), tray(false)],
            inside: false,
            turn: Turn::default(),
            applied: None,
            walk: Timeline::default(),
            subject: sample(0),
            sliders: Vec::new(),
            concepts: Vec::new(),
            plane: [sample(0), sample(1), sample(2)],
            ablations: Vec::new(),
            forget: Forgetting::default(),
            axes: None,
            pins: Pin::first(),
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

    /// Checks that the session can be explored with a model: that it is of the networks the session was made with, that
    /// what is dropped and boxed is the model's, and that every z has its width.
    ///
    /// # Errors
    /// [`SessionError::Differs`], those of [`Self::check_inside`], or [`SessionError::Width`] for the first z that does not
    /// fit.
    pub fn check(&self, config: &ModelConfig) -> Result<(), SessionError> {
        if let Some(made) = self.made_with.as_ref().filter(|made| made.config.z_dim == config.z_dim) {
            let differs = |how| Err(SessionError::Differs { model: self.model.clone(), how });
            let (was, now) = (&made.config, config);
            if was.prior != now.prior {
                return differs(format!("its z's were {}, now they are {}", was.prior, now.prior));
            }
            if (was.size, was.channels) != (now.size, now.channels) {
                let [was, now] = [was, now].map(|config| format!("{0}x{0}x{1}", config.size, config.channels));
                return differs(format!("its pictures were {was}, now they are {now}"));
            }
        }
        self.check_inside(config)?;
        self.check_width(config.z_dim)
    }

    /// Checks that every z that is kept in the session has `wanted` numbers.
    ///
    /// # Errors
    /// [`SessionError::Width`] for the first that has not.
    pub fn check_width(&self, wanted: usize) -> Result<(), SessionError> {
        let trays = self.trays.iter().flat_map(|tray| &tray.members);
        let turn = self.turn.from.iter().chain(&self.turn.to).chain(&self.turn.on);
        let points = self.shelf.iter().chain(trays).chain(turn).chain(&self.walk.keyframes).chain(&self.plane);
        let points = points.chain([&self.subject]).chain(self.applied.iter().map(|applied| &applied.on));
        let made = points.filter_map(|point| match point {
            Point::Made { z, .. } => Some(z.len()),
            Point::Sample { .. } => None,
        });
        let sliders = self.sliders.iter().map(|slider| &slider.direction);
        let directions = sliders.chain(&self.concepts).chain(self.axes.iter().flatten());
        let directions = directions.chain(self.applied.iter().map(|applied| &applied.direction));
        match made.chain(directions.map(|direction| direction.vector.len())).find(|&found| found != wanted) {
            Some(found) => Err(SessionError::Width { found, wanted, model: self.model.clone() }),
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

    /// What a person should know who opens the session with a model that fits but has learnt more, or less, since.
    pub fn learnt_since(&self, provenance: &Provenance) -> Option<String> {
        let was = &self.made_with.as_ref().filter(|made| made.provenance != *provenance)?.provenance;
        Some(format!(
            "{} has changed since the session was made: it had taken {} training steps on {}, now {} on {}. Pictures of the same \
             z's differ from then",
            self.model.display(),
            was.steps,
            was.data,
            provenance.steps,
            provenance.data
        ))
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

    /// The trays added up.
    ///
    /// # Errors
    /// [`ArithmeticError::Nothing`] while all trays are empty.
    pub fn sum(&self, config: &ModelConfig) -> Result<Sum, ArithmeticError> {
        Sum::new(self.terms(config), config.prior, self.inside, self.seed)
    }

    /// The turn's figure, row by row in `steps` z's each.
    ///
    /// # Errors
    /// [`ArithmeticError::Empty`] for the side that has no exemplars.
    pub fn turned(&self, config: &ModelConfig, steps: usize) -> Result<Vec<Vec<Vec<f32>>>, ArithmeticError> {
        let z = |points: &[Point]| points.iter().map(|point| point.z(config)).collect::<Vec<_>>();
        arithmetic::turn(&z(&self.turn.from), &z(&self.turn.to), &z(&self.turn_on()), steps)
    }

    /// What is turned, a row each.
    pub fn turn_on(&self) -> Vec<Point> {
        match &self.turn.on[..] {
            [] => (0..TURN_ROWS).map(|number| Point::Sample { seed: self.seed, number }).collect(),
            on => on.to_vec(),
        }
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

    /// The pad's map.
    pub fn map(&self, config: &ModelConfig) -> Plane {
        let [first, second, third] = &self.plane;
        match &self.axes {
            Some([across, down]) => Plane::of_directions(&first.z(config), [&across.vector, &down.vector]),
            None => Plane::through(&[first, second, third].map(|point| point.z(config))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Preset, Prior};

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
    fn another_model_in_the_same_place_is_noticed() {
        let mut session = Session::new("a.safetensors".into());
        let provenance = Provenance { data: "faces".into(), steps: 10, ..Provenance::default() };
        session.made_with = Some(MadeWith { config: config(), provenance: provenance.clone() });
        session.check(&config()).unwrap();
        assert_eq!(session.learnt_since(&provenance), None);
        let error = session.check(&ModelConfig { size: 32, ..config() }).unwrap_err().to_string();
        assert!(error.contains("a.safetensors") && error.contains("32x32"), "{error}");
        let other = if config().prior == Prior::Normal { Prior::Uniform } else { Prior::Normal };
        assert!(session.check(&ModelConfig { prior: other, ..config() }).is_err());
        // Samples are numbers: they go on naming z's where there are no others.
        session.check(&ModelConfig { z_dim: 5, ..config() }).unwrap();
        let told = session.learnt_since(&Provenance { steps: 20, ..provenance }).unwrap();
        assert!(told.contains("10") && told.contains("20"), "{told}");
    }

    #[test]
    fn a_file_of_before_the_turn_and_the_pins_still_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.zscape");
        let old = r#"{ "model": "bundled:faces", "seed": 4, "shelf": [], "trays": [], "pad": [0.1, 0.2],
            "walk": { "keyframes": [{ "seed": 4, "number": 9 }], "way": "linear", "closed": false },
            "subject": { "seed": 1, "number": 0 }, "sliders": [], "concepts": [],
            "plane": [{ "seed": 1, "number": 0 }, { "seed": 1, "number": 1 }, { "seed": 1, "number": 2 }] }"#;
        std::fs::write(&path, old).unwrap();
        let session = Session::read(&path).unwrap();
        assert_eq!((session.seed, session.pins.len(), session.inside), (4, 1, false));
    }

    #[test]
    fn sliders_and_plane_move_z() {
        let mut session = Session::new(PathBuf::new());
        session.subject = made([1.0, 1.0]);
        let direction = Direction { name: "d".into(), vector: vec![0.5, 0.0], weight: 1.0 };
        session.sliders = vec![Slider { direction, amount: -2.0 }];
        assert_eq!(session.moved(&config()), [0.0, 1.0]);
        session.plane = [made([0.0, 0.0]), made([2.0, 0.0]), made([0.0, 4.0])];
        assert!(vector::distance(&session.map(&config()).at([0.5, 0.5]), &[1.0, 2.0]) < 1e-5);
        session.axes = Some([[0.5, 0.0], [0.0, 1.0]].map(|vector| Direction {
            name: "d".into(),
            vector: vector.to_vec(),
            weight: 1.0,
        }));
        assert!(vector::distance(&session.map(&config()).at([1.0, 0.5]), &[1.5, 0.0]) < 1e-5);
        assert!(session.terms(&config()).is_empty(), "empty trays add nothing");
    }
}
