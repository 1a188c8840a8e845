//! DCGAN generator and discriminator: architecture, layers, files, import and export.
//!
//! [`ModelConfig`] describes both networks, [`Model::open`] reads them from any supported file, [`Generator::sample`]
//! generates images. The small networks that evaluate images ([`Classifier`], [`Segmenter`], [`Autoencoder`],
//! [`Inception`]) are built from the same layers. `kernels` has the fast convolutions.

mod ablation;
mod activations;
mod adam;
mod autoencoder;
mod average;
mod bundled;
mod checkpoints;
mod classifier;
mod config;
mod discriminator;
mod export;
mod file;
mod fit;
mod generator;
mod import;
mod import_settings;
mod inception;
mod kernels;
mod layer;
mod layout;
mod options;
mod pictures;
mod preset;
mod prior;
mod segmenter;
mod tensor_file;

pub use ablation::{Ablation, AblationError};
pub use activations::{BackwardRule, DiscriminatorUnit};
pub use adam::{AdamOptimizer, AdamSettings, Moments, copy_running_statistics, require_grad};
pub use autoencoder::Autoencoder;
pub use bundled::bundled;
pub use checkpoints::{checkpoints, sibling_checkpoints};
pub use classifier::Classifier;
pub use config::{ConfigError, ModelConfig};
pub use discriminator::Discriminator;
pub use export::{ExportError, ExportFormat};
pub use file::{Model, ModelError, Provenance, is_model};
pub use fit::{FitSchedule, Trainable, cosine_decay, fit};
pub use generator::{Generator, REFERENCE_BATCH};
pub use import::{ClassConditioning, ClassSelection, ImportError, ImportInfo, ImportNote, InferredSetting};
pub use import_settings::{
    ImportSettings, ImportSettingsError, averaged_checkpoints, base_path, with_average, with_class,
};
pub use inception::{INCEPTION_FEATURES, Inception, InceptionError};
pub use kernels::{benchmark, logistic};
pub use layer::{BatchNorm, Layer, Parameter};
pub use layout::{ConvPlacement, LayerPlan, Layout, ParameterScope};
pub use options::{
    Activation, InitialWeights, NormPlacement, OutputActivation, Padding, Prior, Resampling, SamplingStatistics,
};
pub(crate) use pictures::{picture_tensor, picture_values, pictures_from_values};
pub use preset::Preset;
pub use prior::NormFit;
pub use segmenter::Segmenter;
pub use tensor_file::{TensorFile, TensorFileError};
