//! Evaluation of latent spaces on rendered faces, whose attributes are known (section 6.3.2).
//!
//! An [`AttributeClassifier`] is trained on rendered faces and recognizes the attributes of generated ones. With it, [`score`]
//! measures vector arithmetic on concepts ([`triples`], figure 7), how evenly faces turn along a turn vector ([`turn`], figure 8),
//! and how linear each attribute is in Z ([`linearity`]). It works on models of `synth:faces` only.

mod attributes;
mod classifier;
mod corruption;
mod figure;
pub mod linearity;
mod score;
pub mod triples;
pub mod turn;

pub use attributes::{Attribute, FaceAttributes};
pub use classifier::{AttributeAccuracy, AttributeClassifier, AttributeClassifierSettings, ClassifierAccuracy};
pub use figure::figure;
pub use score::{
    ArithmeticScore, ArithmeticSpace, AttributeCounts, ScoreError, ScoreReport, ScoreSettings, ScoreStage, score,
};
