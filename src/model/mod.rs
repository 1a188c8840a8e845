//! The networks: one config describes generator and discriminator, one file holds them.

mod ablation;
mod autoencoder;
mod bundled;
mod classifier;
mod config;
mod discriminator;
mod file;
mod generator;
mod inside;
mod kernels;
mod layer;
mod optimiser;
mod segmenter;
mod tensors;

pub use ablation::{Ablation, AblationError};
pub use autoencoder::Autoencoder;
pub use bundled::bundled;
pub use classifier::Classifier;
pub use config::{ConfigError, ModelConfig, Preset, Prior, Statistics};
pub use discriminator::Discriminator;
pub use file::{Model, ModelError, Provenance, checkpoints, siblings};
pub use generator::Generator;
pub use inside::{Rule, Unit};
pub use layer::{Layer, Norm, Parameter};
pub use optimiser::{Adam, Moments, Optimiser, keep_statistics, track};
pub use segmenter::Segmenter;
pub use tensors::{TensorFile, TensorFileError};
