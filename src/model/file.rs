//! Opening models: zscape's own files (safetensors with config and provenance in the header), checkpoints, runs,
//! bundled models and other programs' files.
//!
//! [`Model::open`] takes any of them, with optional settings after an `@`; [`Model::to_file`] is its inverse for
//! zscape's format.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::checkpoints::{checkpoints, open_newest_readable};
use super::import::{self, ImportError, ImportInfo, ImportedModel};
use super::import_settings::{self, ImportSettings, ImportSettingsError, Overrides};
use super::layer::{Layer, ParameterRole, ParameterSource};
use super::tensor_file;
use super::{
    ConfigError, Discriminator, Generator, ModelConfig, Parameter, SamplingStatistics, TensorFile, TensorFileError,
};
use crate::extensions;
use crate::files::is_default;

/// Failure to open a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// Another program's file cannot be imported.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A tensor file without zscape's note.
    #[error("{path} has no zscape config in its header")]
    NotAModel {
        /// The file.
        path: PathBuf,
    },
    /// The config in the header cannot be read.
    #[error("{path}: cannot use the config in its header: {reason}")]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// No bundled model has this name.
    #[error("there is no bundled model {name}; choose bundled:rooms or bundled:faces")]
    NotBundled {
        /// The requested name.
        name: String,
    },
    /// Weight averaging of something that has no checkpoints.
    #[error("cannot average checkpoints: {path} is neither a run folder with checkpoints nor one of its checkpoints")]
    NoCheckpoints {
        /// The path.
        path: PathBuf,
    },
    /// The settings after the `@` of the name are invalid.
    #[error(transparent)]
    Settings(#[from] ImportSettingsError),
    /// None of a run's checkpoints can be read.
    #[error("none of the {count} checkpoints in {path} can be read; the newest: {newest}")]
    Damaged {
        /// The folder of checkpoints.
        path: PathBuf,
        /// Number of checkpoints.
        count: usize,
        /// Error of the newest checkpoint.
        newest: Box<ModelError>,
    },
    /// A setting that applies only to other programs' files.
    #[error("{path} stores its own architecture: {key} can only be set for files of other programs")]
    NotImported {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: &'static str,
    },
    /// No network can be built from the config.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A model's training data, progress and origin.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Provenance {
    /// Source of the training data, as the user named it.
    pub data: String,
    /// Training steps.
    pub steps: u64,
    /// Real images shown to the discriminator.
    pub images: u64,
    /// Seed of the run.
    pub seed: u64,
    /// Version of zscape that wrote the file.
    pub version: String,
    /// Number of checkpoints whose weights are averaged; 0 for a single checkpoint.
    #[serde(default, skip_serializing_if = "is_default")]
    pub averaged: usize,
    /// For an imported model: its file format and the inferred settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<ImportInfo>,
}

impl Provenance {
    /// Source of the training data, if known. Imported files do not record it.
    pub fn source(&self) -> Option<&str> {
        (self.origin.is_none() && !self.data.is_empty()).then_some(self.data.as_str())
    }
}

/// The note in a model file's header.
#[derive(serde::Serialize, serde::Deserialize)]
struct ModelHeader {
    config: ModelConfig,
    #[serde(default)]
    provenance: Provenance,
}

/// A generator, its discriminator if the file has one, and their provenance.
#[derive(Debug, Clone)]
pub struct Model {
    /// Maps z to images.
    pub generator: Generator,
    /// Maps images to logits.
    pub discriminator: Option<Discriminator>,
    /// Training data, progress and origin.
    pub provenance: Provenance,
}

impl Model {
    /// The config of both networks.
    pub fn config(&self) -> &ModelConfig {
        self.generator.config()
    }

    /// Opens a model file, a checkpoint folder, a run folder (its newest checkpoint), a bundled model (`bundled:faces`)
    /// or another program's file, each optionally with settings after it (`netG.pth@prior=uniform`, see
    /// [`ImportSettings`]; `RUN@average=20`).
    ///
    /// # Errors
    /// [`ModelError`] naming the file and the remedy.
    pub fn open(path: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::open_noting(path, device, &mut |note| tracing::warn!("{note}"))
    }

    /// As [`Self::open`]; `note` receives a message for each damaged checkpoint that was skipped.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_noting(path: &Path, device: &Device, note: &mut dyn FnMut(String)) -> Result<Self, ModelError> {
        import_settings::validate(path)?;
        let (path, overrides) = import_settings::split(path);
        let model = match (overrides.average, is_run(&path)) {
            (Some(count), _) => Self::open_averaged(&path, count, device, note)?,
            (None, true) => open_newest_readable(checkpoints(&path.join("checkpoints")), note, |checkpoint| {
                Self::open_single(checkpoint, overrides, device)
            })?,
            (None, false) => Self::open_single(&path, overrides, device)?,
        };
        let settings = overrides.apply(model.import_settings());
        // An imported model notes what the user set, even if the same value would have been inferred.
        let noted = model.provenance.origin.is_some() && overrides.has_import_settings();
        if settings == model.import_settings() && !noted { Ok(model) } else { model.with_import_settings(settings) }
    }

    /// Opens a bundled model or a single file.
    fn open_single(path: &Path, overrides: Overrides, device: &Device) -> Result<Self, ModelError> {
        let own = |opened: Result<Self, ModelError>| match overrides.first_for_imports_only() {
            Some(key) => Err(ModelError::NotImported { path: path.to_owned(), key }),
            None => opened,
        };
        if let Some(bundled) = super::bundled::open(path, device) {
            return own(bundled);
        }
        let file = model_file(path);
        if tensor_file::has_note(&file) {
            return own(Self::from_file(TensorFile::read(&file)?, &file, device));
        }
        if let Some(exported) = import::read_exported(&file)? {
            return own(Self::from_file(exported, &file, device));
        }
        Self::import(&file, overrides, device)
    }

    /// Imports another program's file.
    fn import(path: &Path, overrides: Overrides, device: &Device) -> Result<Self, ModelError> {
        let ImportedModel { config, origin, mut file } = import::read(path, &overrides.import_request())?;
        let provenance =
            Provenance { data: "unknown pictures".to_owned(), origin: Some(origin), ..Provenance::default() };
        let mut model = Self::build(config, provenance, &mut file, path, device)?;
        model.fill_running_statistics();
        Ok(model)
    }

    /// Sets the running statistics of an imported generator whose file had none to those of the reference batch.
    fn fill_running_statistics(&mut self) {
        if self.provenance.origin.as_ref().is_some_and(|origin| origin.measured) {
            let sampling = self.config().sampling;
            self.generator = self
                .generator
                .with_sampling_statistics(SamplingStatistics::Batch)
                .frozen()
                .with_sampling_statistics(sampling);
        }
    }

    /// The model's current values of the settings that imported files do not store.
    pub fn import_settings(&self) -> ImportSettings {
        ImportSettings::of(self.config(), &self.provenance)
    }

    /// The same weights with other import settings.
    ///
    /// # Errors
    /// As [`Self::to_file`].
    pub fn with_import_settings(&self, settings: ImportSettings) -> Result<Self, ModelError> {
        let mut file = self.to_file()?;
        let ImportSettings { flipped, prior, sampling, output, leak, preparation } = settings;
        let config = ModelConfig { prior, sampling, output, leak, preparation, ..self.config().clone() };
        let mut provenance = self.provenance.clone();
        if flipped != self.import_settings().flipped {
            import::flip(&mut file);
            provenance.origin.get_or_insert_default().flipped = flipped;
        }
        if let Some(origin) = &mut provenance.origin {
            let kernels = if flipped { "turned" } else { "as they are applied" };
            let activation = config.hidden_activation();
            origin.replace_inferred(format!(
                "chosen: {prior} prior, {sampling} statistics, {activation}, {output}, kernels {kernels}"
            ));
        }
        let device = self.generator.parameters().next().expect("a generator has weights").value.device();
        let mut model = Self::build(config, provenance, &mut file, Path::new("the model"), &device)?;
        model.fill_running_statistics();
        Ok(model)
    }

    /// Opens a model from a file's bytes, such as a bundled one; `name` only appears in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_bytes(bytes: &[u8], name: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::from_file(TensorFile::from_bytes(bytes, name)?, name, device)
    }

    /// Opens a model from a file's contents; `path` only appears in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_file(mut file: TensorFile, path: &Path, device: &Device) -> Result<Self, ModelError> {
        let invalid =
            |error: serde_json::Error| ModelError::Header { path: path.to_owned(), reason: error.to_string() };
        let note = file.note.take().ok_or_else(|| ModelError::NotAModel { path: path.to_owned() })?;
        let ModelHeader { config, provenance } = serde_json::from_str(&note).map_err(invalid)?;
        Self::build(config, provenance, &mut file, path, device)
    }

    fn build(
        config: ModelConfig,
        provenance: Provenance,
        file: &mut TensorFile,
        path: &Path,
        device: &Device,
    ) -> Result<Self, ModelError> {
        config.check()?;
        let has_discriminator = file.tensors.keys().any(|name| name.starts_with("discriminator."));
        let mut source = FileParameters { network: "generator", file, path, device };
        let generator = Generator::build(&config, &mut source)?;
        source.network = "discriminator";
        let discriminator = has_discriminator.then(|| Discriminator::build(&config, &mut source)).transpose()?;
        Ok(Self { generator, discriminator, provenance })
    }

    /// Converts the model to zscape's file format.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] if the device fails to return the values.
    pub fn to_file(&self) -> Result<TensorFile, TensorFileError> {
        let mut file = TensorFile::default();
        store_layers(self.generator.layers(), "generator", &mut file)?;
        if let Some(discriminator) = &self.discriminator {
            store_layers(&discriminator.layers, "discriminator", &mut file)?;
        }
        let header = ModelHeader { config: self.config().clone(), provenance: self.provenance.clone() };
        file.note = Some(serde_json::to_string(&header).expect("plain structs serialize to JSON"));
        Ok(file)
    }
}

/// The file to open for `path`: the model file inside a checkpoint folder, otherwise `path` itself.
fn model_file(path: &Path) -> PathBuf {
    let inside = path.join("model.safetensors");
    let checkpoint = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-")) && path.is_dir();
    if inside.is_file() || checkpoint { inside } else { path.to_owned() }
}

/// Whether `path` is a run folder with checkpoints.
fn is_run(path: &Path) -> bool {
    !path.join("model.safetensors").is_file() && !checkpoints(&path.join("checkpoints")).is_empty()
}

/// Whether a file or folder looks like a model rather than like images, by its name and first bytes.
pub fn is_model(path: &Path) -> bool {
    if path.is_dir() {
        return path.join("checkpoints").is_dir()
            || path.join("model.safetensors").is_file()
            || import::is_folder_of_arrays(path);
    }
    let extension = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    // PyTorch's examples name their files .tar although they are zips.
    let is_zip = || {
        fs_err::File::open(path).is_ok_and(|mut file| {
            let mut start = [0; 2];
            std::io::Read::read_exact(&mut file, &mut start).is_ok_and(|()| &start == b"PK")
        })
    };
    extensions::WEIGHTS.contains(&extension.as_str()) || (extension == "tar" && is_zip())
}

/// The parameters of one network in a tensor file.
pub(super) struct FileParameters<'a> {
    /// Prefix of the tensors' names: `generator`.
    pub network: &'static str,
    pub file: &'a mut TensorFile,
    pub path: &'a Path,
    pub device: &'a Device,
}

impl ParameterSource for FileParameters<'_> {
    type Error = TensorFileError;

    fn parameter(&mut self, name: String, shape: Vec<usize>, _: ParameterRole) -> Result<Parameter, TensorFileError> {
        let values = self.file.take(&format!("{}.{name}", self.network), &shape, self.path)?;
        Ok(Parameter { name, shape, value: Tensor::from_data(TensorData::from(values.as_slice()), self.device) })
    }
}

/// Adds the parameters and running statistics of a network's layers to a file.
pub(super) fn store_layers(layers: &[Layer], network: &str, file: &mut TensorFile) -> Result<(), TensorFileError> {
    for parameter in layers.iter().flat_map(Layer::state) {
        file.put(format!("{network}.{}", parameter.name), &parameter.shape, &parameter.value)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn small() -> (ModelConfig, Device) {
        (ModelConfig { size: 16, base: 4, z_dim: 6, ..ModelConfig::preset(Preset::Pytorch) }, Device::flex())
    }

    #[test]
    fn a_saved_model_generates_the_same_images() {
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
            let a = model.generator.sample(z.clone()).into_data();
            let b = back.generator.sample(z).into_data();
            assert_eq!(a, b);
        }
    }

    #[test]
    fn a_tensor_of_the_wrong_shape_is_rejected_by_name() {
        let (config, device) = small();
        let model = Model {
            generator: Generator::new(&config, 5, &device),
            discriminator: None,
            provenance: Provenance::default(),
        };
        let mut file = model.to_file().unwrap();
        let other = ModelHeader { config: ModelConfig { base: 8, ..config }, provenance: Provenance::default() };
        file.note = Some(serde_json::to_string(&other).unwrap());
        let error = Model::from_bytes(&file.to_bytes(false), Path::new("a.safetensors"), &device).unwrap_err();
        assert!(error.to_string().contains("a.safetensors"), "{error}");
        assert!(error.to_string().contains("generator.project"), "{error}");
        file.note = None;
        let error = Model::from_bytes(&file.to_bytes(false), Path::new("a"), &device).unwrap_err();
        assert!(matches!(error, ModelError::NotAModel { .. }));
    }

    #[test]
    fn a_header_with_a_huge_network_is_rejected() {
        let (config, device) = small();
        for hostile in
            [ModelConfig { base: usize::MAX >> 8, ..config.clone() }, ModelConfig { z_dim: 1 << 40, ..config }]
        {
            let note = ModelHeader { config: hostile, provenance: Provenance::default() };
            let file = TensorFile { note: Some(serde_json::to_string(&note).unwrap()), ..TensorFile::default() };
            let error = Model::from_bytes(&file.to_bytes(false), Path::new("a"), &device).unwrap_err();
            assert!(matches!(error, ModelError::Config(_)), "{error}");
        }
    }

    #[test]
    fn the_error_for_an_empty_run_folder_says_that_nothing_was_saved() {
        let folder = tempfile::tempdir().unwrap();
        let error = Model::open(folder.path(), &Device::flex()).unwrap_err();
        assert!(error.to_string().contains("saved at least once"), "{error}");
    }
}
