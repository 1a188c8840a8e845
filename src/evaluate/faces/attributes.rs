//! [`FaceAttributes`]: what a face shows, as the truth of a rendered face or as the classifier's prediction.

use serde::Serialize;

use crate::data::synth::{FaceTruth, Hair};

/// Columns of the classifier's output.
pub(super) const OUTPUTS: usize = 11;
/// Logits of smile, glasses and beard.
pub(super) const BINARY: std::ops::Range<usize> = 0..3;
/// Logits of the hair styles.
pub(super) const HAIR: std::ops::Range<usize> = 3..9;
/// Skin and turn, in -1..=1.
pub(super) const CONTINUOUS: std::ops::Range<usize> = 9..11;

/// Skin and turn are confident at this distance from the middle of -1..=1.
pub const CONFIDENT_DISTANCE: f32 = 0.35;

const STYLES: [Hair; 6] = [Hair::Bald, Hair::Short, Hair::Long, Hair::Curly, Hair::Bun, Hair::Bob];

/// An attribute of a face. Each has a few values; the continuous ones, skin and turn, have two halves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, strum::IntoStaticStr)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
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
    /// The head turned to the left or right of the image.
    Turn,
}

impl Attribute {
    /// All attributes, in the order of [`FaceAttributes::values`].
    pub const ALL: [Self; 6] = [Self::Smile, Self::Glasses, Self::Beard, Self::Hair, Self::Skin, Self::Turn];

    /// Its name in lower case.
    pub fn name(self) -> &'static str {
        self.into()
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

    /// Its index in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The attributes of a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaceAttributes {
    /// The value of each attribute, an index into [`Attribute::values`].
    pub values: [usize; 6],
    /// Whether each value is confident.
    pub confident: [bool; 6],
    /// Skin, from -1 for light to 1 for dark.
    pub skin: f32,
    /// Turn, from -1 for the left of the image to 1 for its right.
    pub turn: f32,
}

impl FaceAttributes {
    /// The attributes of a rendered face; skin and turn near their middle are not confident.
    pub fn from_truth(face: &FaceTruth) -> Self {
        let style = STYLES.iter().position(|&style| style == face.hair).expect("every style is listed");
        let binary = [face.smile, face.glasses, face.beard].map(usize::from);
        Self::assemble(binary, style, [true; 4], face.skin * 2.0 - 1.0, face.turn)
    }

    /// The attributes that a row of the classifier's output predicts; those with a probability below `threshold` are not confident.
    pub(super) fn from_outputs(outputs: &[f32], threshold: f32) -> Self {
        let logits = &outputs[BINARY];
        let styles = &outputs[HAIR];
        let style = (0..styles.len()).max_by(|&a, &b| styles[a].total_cmp(&styles[b])).unwrap_or(0);
        let normalizer: f32 = styles.iter().map(|logit| (logit - styles[style]).exp()).sum();
        let probability = |logit: f32| 1.0 / (1.0 + (-logit.abs()).exp());
        let confident = [probability(logits[0]), probability(logits[1]), probability(logits[2]), 1.0 / normalizer]
            .map(|probability| probability >= threshold);
        let binary = [logits[0], logits[1], logits[2]].map(|logit| usize::from(logit > 0.0));
        let continuous = &outputs[CONTINUOUS];
        Self::assemble(binary, style, confident, continuous[0], continuous[1])
    }

    fn assemble(binary: [usize; 3], style: usize, confident: [bool; 4], skin: f32, turn: f32) -> Self {
        let half = |value: f32| usize::from(value > 0.0);
        let [smile, glasses, beard, hair] = confident;
        let far = |value: f32| value.abs() >= CONFIDENT_DISTANCE;
        Self {
            values: [binary[0], binary[1], binary[2], style, half(skin), half(turn)],
            confident: [smile, glasses, beard, hair, far(skin), far(turn)],
            skin,
            turn,
        }
    }

    /// The value of an attribute.
    pub fn value(&self, attribute: Attribute) -> usize {
        self.values[attribute.index()]
    }

    /// The value of an attribute if it is confident.
    pub fn confident_value(&self, attribute: Attribute) -> Option<usize> {
        self.confident[attribute.index()].then(|| self.value(attribute))
    }

    /// The training targets of the classifier's output: signs of the binary logits, one hot hair style, skin and turn.
    pub(super) fn targets(&self) -> [f32; OUTPUTS] {
        let mut targets = [0.0; OUTPUTS];
        for (target, &value) in targets[BINARY].iter_mut().zip(&self.values) {
            *target = if value == 1 { 1.0 } else { -1.0 };
        }
        targets[HAIR][self.value(Attribute::Hair)] = 1.0;
        targets[CONTINUOUS].copy_from_slice(&[self.skin, self.turn]);
        targets
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::{Scene, Truth};

    #[test]
    fn outputs_give_values_and_their_confidence() {
        let mut outputs = [-9.0, 9.0, 0.5, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.1, -0.8];
        let predicted = FaceAttributes::from_outputs(&outputs, 0.95);
        assert_eq!(predicted.values, [0, 1, 1, 2, 1, 0]);
        assert_eq!(predicted.confident, [true, true, false, true, false, true]);
        assert_eq!(
            (predicted.confident_value(Attribute::Beard), predicted.confident_value(Attribute::Turn)),
            (None, Some(0))
        );
        outputs[3] = 8.5;
        assert!(!FaceAttributes::from_outputs(&outputs, 0.95).confident[3], "two styles are nearly as likely");
    }

    #[test]
    fn targets_of_a_truth_predict_that_truth() {
        for index in 0..30 {
            let Truth::Face(face) = Scene::Faces.truth(5, index) else { panic!("faces are faces") };
            let truth = FaceAttributes::from_truth(&face);
            let predicted = FaceAttributes::from_outputs(&truth.targets(), 0.95);
            assert_eq!((predicted.values, predicted.turn), (truth.values, face.turn));
        }
    }
}
