//! Inside the networks: feature maps as pictures, the filters that draw an object and what dropping them does, what the
//! discriminator's features look for (sections 6.2 and 6.3.1).

pub mod calibration;
pub mod effect;
pub mod figure;
pub mod guided;
pub mod layers;
mod lesson;
pub mod logistic;
pub mod object;
pub mod segment;
