//! A scaled loss, for half floats: gradients below 6e-8 would be lost in them, so the loss is multiplied by a power of two and the
//! gradients are divided by it before the update (Micikevicius et al. 2018, "Mixed precision training", section 3.2).
//!
//! The scale is as large as the gradients allow: a step in which one overflows is skipped and halves it, and a long time without
//! doubles it.

/// The first scale, PyTorch's. A training that needs less finds it within a few skipped steps.
const FIRST: f32 = 65_536.0;
/// Steps without an overflow after which the scale doubles, PyTorch's.
const LONG: u32 = 2000;
/// The scale below which overflows are not its fault: the training itself has broken down.
const LEAST: f32 = 1.0;

/// The scale in force, and how it came to be.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LossScale {
    /// What the loss is multiplied by.
    pub scale: f32,
    /// Steps since the last overflow or doubling.
    since: u32,
    /// Steps that were skipped in all.
    pub skipped: u64,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { scale: FIRST, since: 0, skipped: 0 }
    }
}

impl LossScale {
    /// Takes note of a step's outcome. Returns whether training may go on: it may not after an overflow at the smallest scale.
    pub fn step(&mut self, overflowed: bool) -> bool {
        if overflowed {
            *self = Self { scale: self.scale / 2.0, since: 0, skipped: self.skipped + 1 };
            return self.scale >= LEAST;
        }
        self.since += 1;
        if self.since == LONG {
            *self = Self { scale: self.scale * 2.0, since: 0, ..*self };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overflow_halves_the_scale_and_a_long_time_without_doubles_it() {
        let mut scale = LossScale::default();
        assert!(scale.step(true));
        assert_eq!((scale.scale, scale.skipped), (FIRST / 2.0, 1));
        for _ in 1..LONG {
            scale.step(false);
        }
        assert_eq!(scale.scale, FIRST / 2.0);
        scale.step(false);
        assert_eq!((scale.scale, scale.skipped), (FIRST, 1));
    }

    #[test]
    fn overflows_at_the_smallest_scale_are_the_trainings_own() {
        let mut scale = LossScale::default();
        let halvings = (1..).take_while(|_| scale.step(true)).count();
        assert_eq!(halvings, FIRST.log2() as usize);
    }
}
