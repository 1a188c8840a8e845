//! Inspection of the networks (sections 6.2 and 6.3.1 of the paper): feature maps, the filters that generate an
//! object and the effect of dropping them, guided backpropagation, and saliency.

pub mod calibration;
pub mod effect;
pub mod guided;
pub mod guided_figure;
mod labeled_rows;
pub mod layers;
pub mod logistic;
pub mod object;
pub mod removal_figure;
pub mod saliency;
mod segmenter_training;
pub mod window_finder;
