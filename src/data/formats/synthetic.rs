//! Synthetic sets: endless pictures that the program renders.

use super::{PictureData, PictureSet, PictureStore};
use crate::data::synth::Scene;

#[derive(Debug)]
struct SyntheticPictures {
    scene: Scene,
    seed: u64,
}

/// The endless set of a scene, determined by `seed`.
pub(in crate::data) fn open_synthetic(scene: Scene, seed: u64) -> PictureSet {
    PictureSet { pictures: Box::new(SyntheticPictures { scene, seed }), labels: Default::default(), notes: Vec::new() }
}

impl PictureStore for SyntheticPictures {
    fn len(&self) -> Option<u64> {
        None
    }

    fn name(&self, index: u64) -> String {
        format!("{} {index} of seed {}", self.scene, self.seed)
    }

    fn read(&self, index: u64, size: usize) -> Result<PictureData, String> {
        Ok(PictureData::Decoded(self.scene.draw(self.seed, index, size).picture))
    }
}
