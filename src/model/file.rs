//! A model file: safetensors whose header says what the networks are and where they come from.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::layer::{Initial, Layer, Parameters};
use super::{ConfigError, Discriminator, Generator, ModelConfig, Parameter, TensorFile, TensorFileError};

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file itself is at fault.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// It is safetensors, but not one of ours.
    #[error("{path} is a safetensors file without a zscape config in its header; it was not written by zscape")]
    NotAModel {
        /// The file.
        path: PathBuf,
    },
    /// The config in the header cannot be read.
    #[error("{path}: the config in its header cannot be used: {cause}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// A folder without a checkpoint.
    #[error("{path} holds no checkpoint yet; give a model file, or a run folder that was saved at least once")]
    NoCheckpoint {
        /// The folder.
        path: PathBuf,
    },
    /// No bundled model has this name.
    #[error("no model called {name} comes with zscape; there are bundled:rooms and bundled:faces")]
    NotBundled {
        /// What was asked for.
        name: String,
    },
    /// The config cannot be built.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// What a model was trained on, and how far.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Provenance {
    /// The data's source as it was named.
    pub data: String,
    /// Training steps taken.
    pub steps: u64,
    /// Real pictures shown to the discriminator.
    pub images: u64,
    /// The run's seed.
    pub seed: u64,
    /// The version of zscape that wrote it.
    pub version: String,
}

/// What a model file's header says.
#[derive(serde::Serialize, serde::Deserialize)]
struct Note {
    config: ModelConfig,
    #[serde(default)]
    provenance: Provenance,
}

/// Networks and their story. The discriminator is missing from files that only sample.
#[derive(Debug, Clone)]
pub struct Model {
    /// z to pictures.
    pub generator: Generator,
    /// Pictures to logits.
    pub discriminator: Option<Discriminator>,
    /// Where they come from.
    pub provenance: Provenance,
}

impl Model {
    /// The config of both networks.
    pub fn config(&self) -> &ModelConfig {
        self.generator.config()
    }

    /// Opens anything the program can: a model file, a checkpoint folder, a run folder (its newest checkpoint), or a
    /// bundled model by its name (`bundled:faces`).
    ///
    /// # Errors
    /// [`ModelError`] naming the file and what to do.
    pub fn open(path: &Path, device: &Device) -> Result<Self, ModelError> {
        if let Some(bundled) = super::bundled::open(path, device) {
            return bundled;
        }
        let file = model_file(path)?;
        Self::from_file(TensorFile::read(&file)?, &file, device)
    }

    /// A model from a file's bytes, such as one the program carries; `name` is only named in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: &[u8], name: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::from_file(TensorFile::from_bytes(bytes, name)?, name, device)
    }

    /// A model from a file's contents; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_file(mut file: TensorFile, path: &Path, device: &Device) -> Result<Self, ModelError> {
        let header = |cause: serde_json::Error| ModelError::Header { path: path.to_owned(), cause: cause.to_string() };
        let note = file.note.take().ok_or_else(|| ModelError::NotAModel { path: path.to_owned() })?;
        let Note { config, provenance } = serde_json::from_str(&note).map_err(header)?;
        config.check()?;
        let judged = file.tensors.keys().any(|name| name.starts_with("discriminator."));
        let mut stored = Stored { network: "generator", file: &mut file, path, device };
        let generator = Generator::build(&config, &mut stored)?;
        stored.network = "discriminator";
        let discriminator = if judged { Some(Discriminator::build(&config, &mut stored)?) } else { None };
        Ok(Self { generator, discriminator, provenance })
    }

    /// The file that holds this model.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] when the device fails before it gave the values.
    pub fn to_file(&self) -> Result<TensorFile, TensorFileError> {
        let mut file = TensorFile::default();
        store(&self.generator.layers, "generator", &mut file)?;
        if let Some(discriminator) = &self.discriminator {
            store(&discriminator.layers, "discriminator", &mut file)?;
        }
        let note = Note { config: self.config().clone(), provenance: self.provenance.clone() };
        file.note = Some(serde_json::to_string(&note).expect("plain structs are always JSON"));
        Ok(file)
    }
}

/// The model file that `path` means.
fn model_file(path: &Path) -> Result<PathBuf, ModelError> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let direct = path.join("model.safetensors");
    if direct.is_file() {
        return Ok(direct);
    }
    match checkpoints(&path.join("checkpoints")).pop() {
        Some((_, checkpoint)) => Ok(checkpoint.join("model.safetensors")),
        None => Err(ModelError::NoCheckpoint { path: path.to_owned() }),
    }
}

/// The checkpoints of the run that `path`, a run folder or one of its checkpoints, belongs to; of anything else, none.
pub fn siblings(path: &Path) -> Vec<(u64, PathBuf)> {
    let inside = path.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "checkpoints"));
    checkpoints(inside.unwrap_or(&path.join("checkpoints")))
}

/// The checkpoints of a run in its folder `checkpoints`, oldest first, with their steps.
pub fn checkpoints(checkpoints: &Path) -> Vec<(u64, PathBuf)> {
    let mut found: Vec<_> = std::fs::read_dir(checkpoints)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let step = entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok()?;
            Some((step, entry.path()))
        })
        .collect();
    found.sort();
    found
}

/// The parameters of one network in a file.
pub(super) struct Stored<'a> {
    pub network: &'static str,
    pub file: &'a mut TensorFile,
    pub path: &'a Path,
    pub device: &'a Device,
}

impl Parameters for Stored<'_> {
    type Error = TensorFileError;

    fn parameter(&mut self, name: String, shape: Vec<usize>, _: Initial) -> Result<Parameter, TensorFileError> {
        let values = self.file.take(&format!("{}.{name}", self.network), &shape, self.path)?;
        Ok(Parameter { name, shape, value: Tensor::from_data(TensorData::from(values.as_slice()), self.device) })
    }
}

pub(super) fn store(layers: &[Layer], network: &str, file: &mut TensorFile) -> Result<(), TensorFileError> {
    for parameter in layers.iter().flat_map(Layer::kept) {
        file.put(format!("{network}.{}", parameter.name), &parameter.shape, &parameter.value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Preset, Statistics};

    fn small() -> (ModelConfig, Device) {
        (ModelConfig { size: 16, base: 4, z_dim: 6, ..ModelConfig::preset(Preset::Pytorch) }, Device::flex())
    }

    #[test]
    fn a_written_model_draws_the_same_pictures() {
        let (config, device) = small();
        let model = Model {
            generator: Generator::new(&config, 5, &device),
            discriminator: Some(Discriminator::new(&config, 5, &device)),
            provenance: Provenance { data: "synth:rooms".into(), steps: 3, ..Provenance::default() },
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        model.to_file().unwrap().write(&path, false).unwrap();
        for place in [path.as_path(), folder.path()] {
            let back = Model::open(place, &device).unwrap();
            assert_eq!(back.provenance, model.provenance);
            let z = Tensor::ones([2, 6], &device) * 0.3;
            let a = model.generator.sample(z.clone(), Statistics::Running).into_data();
            let b = back.generator.sample(z, Statistics::Running).into_data();
            assert_eq!(a, b);
        }
    }

    #[test]
    fn a_file_of_another_shape_is_refused_by_name() {
        let (config, device) = small();
        let model = Model {
            generator: Generator::new(&config, 5, &device),
            discriminator: None,
            provenance: Provenance::default(),
        };
        let mut file = model.to_file().unwrap();
        let other = Note { config: ModelConfig { base: 8, ..config }, provenance: Provenance::default() };
        file.note = Some(serde_json::to_string(&other).unwrap());
        let error = Model::from_bytes(&file.to_bytes(false), Path::new("a.safetensors"), &device).unwrap_err();
        assert!(error.to_string().contains("a.safetensors"), "{error}");
        assert!(error.to_string().contains("generator.project"), "{error}");
        file.note = None;
        let error = Model::from_bytes(&file.to_bytes(false), Path::new("a"), &device).unwrap_err();
        assert!(matches!(error, ModelError::NotAModel { .. }));
    }

    #[test]
    fn a_header_that_asks_for_endless_networks_is_refused() {
        let (config, device) = small();
        for hostile in
            [ModelConfig { base: usize::MAX >> 8, ..config.clone() }, ModelConfig { z_dim: 1 << 40, ..config }]
        {
            let note = Note { config: hostile, provenance: Provenance::default() };
            let file = TensorFile { note: Some(serde_json::to_string(&note).unwrap()), ..TensorFile::default() };
            let error = Model::from_bytes(&file.to_bytes(false), Path::new("a"), &device).unwrap_err();
            assert!(matches!(error, ModelError::Config(_)), "{error}");
        }
    }

    #[test]
    fn an_empty_run_folder_says_that_nothing_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let error = Model::open(folder.path(), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("no checkpoint yet"), "{error}");
    }
}
