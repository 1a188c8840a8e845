//! What is believed of a GAN, measured.
//!
//! The discriminator's [`features`] are judged by the classes they tell ([`classify`], section 5). What the generator draws is
//! looked for among the training pictures ([`neighbours`], sections 4.1 and 6.1), and measured as a set beside real ones
//! ([`distances`]; [`fid`] in the published convention).
//!
//! Pictures that a set has more than once are found by [`hash`] and [`dedup`] (section 4.1).
//!
//! What is believed of a latent space is measured where the truth is known, on models of `synth:faces`. A small network
//! learns to tell the attributes of rendered faces ([`Judge`]), and is asked about what a generator draws: whether
//! arithmetic with concepts gives what it should ([`triples`], the paper's figure 7), and whether faces turn evenly along a
//! turn vector ([`turn`], figure 8).

mod alike;
mod attributes;
pub mod birthday;
pub mod classify;
mod confusion;
pub mod curves;
pub mod dedup;
pub mod distances;
mod disturb;
mod error;
pub mod features;
pub mod fid;
mod figure;
pub mod hash;
mod judge;
mod labelled;
pub mod linear;
pub mod neighbours;
mod score;
mod split;
pub mod statistics;
mod supervised;
mod svm;
pub mod triples;
pub mod turn;
pub mod verdict;
mod whole;
pub mod yardstick;

pub use attributes::{Attribute, Verdict};
pub use confusion::Confusion;
pub use error::MeasureError;
pub(crate) use error::judging;
pub use figure::figure;
pub use judge::{Fitting, HeldOut, Judge, Told};
pub use labelled::Labelled;
pub use score::{Doing, Report, ScoreError, Scored, Seen, Settings, Way, score};
pub use svm::{Svm, Table};
pub use whole::Whole;
