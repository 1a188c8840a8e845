//! What is believed of a latent space, measured where the truth is known: on models of `synth:faces`.
//!
//! A small network learns to tell the attributes of rendered faces ([`Judge`]), and is asked about what a generator draws:
//! whether arithmetic with concepts gives what it should ([`triples`], the paper's figure 7), and whether faces turn
//! evenly along a turn vector ([`turn`], figure 8).

mod attributes;
mod disturb;
mod figure;
mod judge;
pub mod linear;
mod score;
pub mod statistics;
pub mod triples;
pub mod turn;

pub use attributes::{Attribute, Verdict};
pub use figure::figure;
pub use judge::{Fitting, HeldOut, Judge, Told};
pub use score::{Doing, Report, ScoreError, Scored, Seen, Settings, Way, score};
