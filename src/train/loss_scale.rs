//! Dynamic loss scaling for half floats (Micikevicius et al. 2018, "Mixed precision training", section 3.2).
//!
//! Gradients below 6e-8 underflow in half floats, so the loss is multiplied by a power of two before backpropagation
//! and the gradients are divided by it before the update. A step whose gradients overflow is skipped and halves the
//! scale; many steps without an overflow double it.

/// The initial scale, PyTorch's. A training that needs a smaller one finds it within a few skipped steps.
const INITIAL_SCALE: f32 = 65_536.0;
/// Steps without an overflow after which the scale doubles, PyTorch's.
const GROWTH_INTERVAL: u32 = 2000;
/// Overflows at smaller scales are not caused by the scale: the training itself diverges.
const MIN_SCALE: f32 = 1.0;

/// The loss scale and its history.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LossScale {
    /// The factor on the loss.
    pub scale: f32,
    /// Steps since the last overflow or doubling.
    since: u32,
    /// Number of skipped steps.
    pub skipped: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { scale: INITIAL_SCALE, since: 0, skipped: 0 }
    }
}

impl LossScale {
    /// Updates the scale after a step. Returns false after an overflow at the smallest scale: the training diverges.
    pub fn step(&mut self, overflowed: bool) -> bool {
        if overflowed {
            *self = Self { scale: self.scale / 2.0, since: 0, skipped: self.skipped + 1 };
            return self.scale >= MIN_SCALE;
        }
        self.since += 1;
        if self.since == GROWTH_INTERVAL {
            *self = Self { scale: self.scale * 2.0, since: 0, ..*self };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_halves_the_scale_and_many_steps_without_one_double_it() {
        let mut scale = LossScale::default();
        assert!(scale.step(true));
        assert_eq!((scale.scale, scale.skipped), (INITIAL_SCALE / 2.0, 1));
        for _ in 1..GROWTH_INTERVAL {
            scale.step(false);
        }
        assert_eq!(scale.scale, INITIAL_SCALE / 2.0);
        scale.step(false);
        assert_eq!((scale.scale, scale.skipped), (INITIAL_SCALE, 1));
    }

    #[test]
    fn an_overflow_at_the_smallest_scale_ends_the_training() {
        let mut scale = LossScale::default();
        let halvings = (1..).take_while(|_| scale.step(true)).count();
        assert_eq!(halvings, INITIAL_SCALE.log2() as usize);
    }
}
