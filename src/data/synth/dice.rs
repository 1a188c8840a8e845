//! Random numbers of synthetic pictures.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Scene;
use super::color::Rgb;

/// The random number generator of one picture.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    /// The generator of picture `index` of a set: every (scene, seed, index) has its own stream.
    pub(super) fn new(scene: Scene, seed: u64, index: u64) -> Self {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&index.to_le_bytes());
        key[16] = scene as u8;
        key[17..24].copy_from_slice(b"zscape1");
        Self(ChaCha8Rng::from_seed(key))
    }

    /// Uniform between two values, rounded to four decimals: short in truth.jsonl, and unchanged when read back.
    pub(super) fn between(&mut self, low: f32, high: f32) -> f32 {
        let value: f32 = self.0.random_range(low..=high);
        (value * 1e4).round() / 1e4
    }

    /// A fair coin.
    pub(super) fn coin(&mut self) -> bool {
        self.0.random_bool(0.5)
    }

    /// One of `things`, uniformly.
    pub(super) fn pick<T: Copy>(&mut self, things: &[T]) -> T {
        things[self.0.random_range(0..things.len())]
    }

    /// One of some colors, slightly brightened or darkened.
    pub(super) fn color(&mut self, palette: &[u32]) -> Rgb {
        let base = Rgb::hex(self.pick(palette));
        base.lit(self.between(0.94, 1.06)).rounded()
    }
}
