//! What is told of a face.

use serde::Serialize;

use crate::data::synth::{FaceTruth, Hair};

/// Columns of the network's output.
pub(super) const OUTPUTS: usize = 11;
/// The first columns: a logit for each of smile, glasses, beard.
pub(super) const COINS: std::ops::Range<usize> = 0..3;
/// Then a logit for each hair style.
pub(super) const HAIRS: std::ops::Range<usize> = 3..9;
/// Then skin and turn themselves, both in -1..=1.
pub(super) const MEASURES: std::ops::Range<usize> = 9..11;

/// A verdict on skin or turn is sure this far from the middle of -1..=1.
pub const FAR: f32 = 0.35;

const STYLES: [Hair; 6] = [Hair::Bald, Hair::Short, Hair::Long, Hair::Curly, Hair::Bun, Hair::Bob];

/// Something that is told of a face. Every one has a few values; skin and turn, which are continuous, have two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Attribute {
    /// A smile with teeth, or a closed mouth.
    Smile,
    /// Glasses or none.
    Glasses,
    /// A beard or none.
    Beard,
    /// The hair style.
    Hair,
    /// Light or dark skin.
    Skin,
    /// The head turned to the picture's left or right.
    Turn,
}

impl Attribute {
    /// All of them, in the order of a [`Verdict`].
    pub const ALL: [Self; 6] = [Self::Smile, Self::Glasses, Self::Beard, Self::Hair, Self::Skin, Self::Turn];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Smile => "smile",
            Self::Glasses => "glasses",
            Self::Beard => "beard",
            Self::Hair => "hair",
            Self::Skin => "skin",
            Self::Turn => "turn",
        }
    }

    /// The names of its values.
    pub fn values(self) -> &'static [&'static str] {
        match self {
            Self::Smile => &["no smile", "smile"],
            Self::Glasses => &["no glasses", "glasses"],
            Self::Beard => &["no beard", "beard"],
            Self::Hair => &["bald", "short hair", "long hair", "curly hair", "a bun", "a bob"],
            Self::Skin => &["light skin", "dark skin"],
            Self::Turn => &["turned left", "turned right"],
        }
    }

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What a face shows: by the truth of a rendered one, or by the network's word.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Verdict {
    /// The value of each attribute, an index into [`Attribute::values`].
    pub values: [usize; 6],
    /// Whether it is sure.
    pub sure: [bool; 6],
    /// The skin, -1 light to 1 dark.
    pub skin: f32,
    /// The turn, -1 the picture's left to 1 its right.
    pub turn: f32,
}

impl Verdict {
    /// The truth of a rendered face; skin and turn near their middle are not sure.
    pub fn truth(face: &FaceTruth) -> Self {
        let style = STYLES.iter().position(|&style| style == face.hair).expect("every style is listed");
        let coins = [face.smile, face.glasses, face.beard].map(usize::from);
        Self::assemble(coins, style, [true; 4], face.skin * 2.0 - 1.0, face.turn)
    }

    /// What a row of the network's output says; it is sure of kinds that have the probability `sure` at least.
    pub(super) fn told(outputs: &[f32], sure: f32) -> Self {
        let coins = &outputs[COINS];
        let styles = &outputs[HAIRS];
        let style = (0..styles.len()).max_by(|&a, &b| styles[a].total_cmp(&styles[b])).unwrap_or(0);
        let whole: f32 = styles.iter().map(|logit| (logit - styles[style]).exp()).sum();
        let chance = |logit: f32| 1.0 / (1.0 + (-logit.abs()).exp());
        let sure = [chance(coins[0]), chance(coins[1]), chance(coins[2]), 1.0 / whole].map(|chance| chance >= sure);
        let coins = [coins[0], coins[1], coins[2]].map(|logit| usize::from(logit > 0.0));
        let measures = &outputs[MEASURES];
        Self::assemble(coins, style, sure, measures[0], measures[1])
    }

    fn assemble(coins: [usize; 3], style: usize, sure: [bool; 4], skin: f32, turn: f32) -> Self {
        let half = |measure: f32| usize::from(measure > 0.0);
        Self {
            values: [coins[0], coins[1], coins[2], style, half(skin), half(turn)],
            sure: [sure[0], sure[1], sure[2], sure[3], skin.abs() >= FAR, turn.abs() >= FAR],
            skin,
            turn,
        }
    }

    /// The value of an attribute.
    pub fn value(&self, attribute: Attribute) -> usize {
        self.values[attribute.index()]
    }

    /// The value of an attribute, if it is sure.
    pub fn sure_value(&self, attribute: Attribute) -> Option<usize> {
        self.sure[attribute.index()].then(|| self.value(attribute))
    }

    /// The output that the network should give: signs for coins, one of the styles, skin and turn.
    pub(super) fn wanted(&self) -> [f32; OUTPUTS] {
        let mut wanted = [0.0; OUTPUTS];
        for (wanted, &value) in wanted[COINS].iter_mut().zip(&self.values) {
            *wanted = if value == 1 { 1.0 } else { -1.0 };
        }
        wanted[HAIRS][self.value(Attribute::Hair)] = 1.0;
        wanted[MEASURES].copy_from_slice(&[self.skin, self.turn]);
        wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::{Scene, Truth};

    #[test]
    fn a_verdict_says_what_the_outputs_say_and_how_surely() {
        let mut outputs = [-9.0, 9.0, 0.5, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.1, -0.8];
        let told = Verdict::told(&outputs, 0.95);
        assert_eq!(told.values, [0, 1, 1, 2, 1, 0]);
        assert_eq!(told.sure, [true, true, false, true, false, true]);
        assert_eq!((told.sure_value(Attribute::Beard), told.sure_value(Attribute::Turn)), (None, Some(0)));
        outputs[3] = 8.5;
        assert!(!Verdict::told(&outputs, 0.95).sure[3], "two styles are nearly as likely");
    }

    #[test]
    fn the_wanted_output_of_a_truth_is_told_as_that_truth() {
        for index in 0..30 {
            let Truth::Face(face) = Scene::Faces.truth(5, index) else { panic!("faces are faces") };
            let truth = Verdict::truth(&face);
            let told = Verdict::told(&truth.wanted(), 0.95);
            assert_eq!((told.values, told.turn), (truth.values, face.turn));
        }
    }
}
