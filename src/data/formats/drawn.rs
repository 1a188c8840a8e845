//! Pictures that the program draws itself, without end.

use super::{Found, Opened, Pictures};
use crate::data::synth::Scene;

#[derive(Debug)]
struct Drawn {
    scene: Scene,
    seed: u64,
}

/// The endless set of a scene that `seed` names.
pub(in crate::data) fn draw(scene: Scene, seed: u64) -> Opened {
    Opened { pictures: Box::new(Drawn { scene, seed }), labels: Default::default(), notes: Vec::new() }
}

impl Pictures for Drawn {
    fn len(&self) -> Option<u64> {
        None
    }

    fn name(&self, index: u64) -> String {
        format!("{} {index} of seed {}", self.scene, self.seed)
    }

    fn read(&self, index: u64, size: usize) -> Result<Found, String> {
        Ok(Found::Decoded(self.scene.draw(self.seed, index, size).picture))
    }
}
