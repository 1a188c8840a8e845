//! The networks: one config describes generator and discriminator, one file holds them.

mod ablation;
mod autoencoder;
mod bundled;
mod classifier;
mod config;
mod discriminator;
mod export;
mod file;
mod generator;
mod import;
mod inside;
mod kernels;
mod layer;
mod layout;
mod optimiser;
mod reading;
mod segmenter;
mod tensors;

pub use ablation::{Ablation, AblationError};
pub use autoencoder::Autoencoder;
pub use bundled::bundled;
pub use classifier::Classifier;
pub use config::{ConfigError, ModelConfig, Output, Preset, Prior, Statistics};
pub use discriminator::Discriminator;
pub use export::{ExportError, Format};
pub use file::{Model, ModelError, Provenance, checkpoints, is_model, siblings};
pub use generator::Generator;
pub use import::{ImportError, Origin};
pub use inside::{Rule, Unit};
pub use layer::{Layer, Norm, Parameter};
pub use layout::{LayerPlan, Layout, Per};
pub use optimiser::{Adam, Moments, Optimiser, keep_statistics, track};
pub use reading::{Reading, file_of};
pub use segmenter::Segmenter;
pub use tensors::{TensorFile, TensorFileError};
