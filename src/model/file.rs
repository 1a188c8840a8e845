//! A model file: safetensors whose header says what the networks are and where they come from.

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};

use super::import::{self, Foreign, ImportError, Origin};
use super::layer::{Initial, Layer, Parameters};
use super::newest;
use super::reading::{self, ChoiceError, Choices, Reading};
use super::tensors;
use super::{ConfigError, Discriminator, Generator, ModelConfig, Parameter, Statistics, TensorFile, TensorFileError};
use crate::extensions;
use crate::files::is_default;

/// Why a model could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file itself is at fault.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// It is another program's, and cannot be used.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A file of tensors without the note that says what they are.
    #[error("{path} has no zscape config in its header")]
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
    /// No bundled model has this name.
    #[error("no model called {name} comes with zscape; there are bundled:rooms and bundled:faces")]
    NotBundled {
        /// What was asked for.
        name: String,
    },
    /// No run with checkpoints.
    #[error("{path} is no run folder with checkpoints, nor one of them, whose generators could be averaged")]
    NoCheckpoints {
        /// What was named.
        path: PathBuf,
    },
    /// What stands after the @ of its name cannot be chosen.
    #[error(transparent)]
    Choice(#[from] ChoiceError),
    /// None of a run's checkpoints can be read.
    #[error("none of the {count} checkpoints in {path} can be read; the newest: {newest}")]
    Damaged {
        /// The folder of checkpoints.
        path: PathBuf,
        /// How many.
        count: usize,
        /// What is wrong with the newest.
        newest: Box<ModelError>,
    },
    /// A choice that only files of other programs leave open.
    #[error("{path} says itself what its networks are: {key} is only chosen for files of other programs")]
    NotForeign {
        /// The file.
        path: PathBuf,
        /// What was chosen.
        key: &'static str,
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
    /// Checkpoints of the run whose generators it is the mean of; 0 where it is one of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub averaged: usize,
    /// Another program's model: where it is from, and what was guessed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

impl Provenance {
    /// The training data's source, where it is known: other programs do not record theirs.
    pub fn source(&self) -> Option<&str> {
        (self.origin.is_none() && !self.data.is_empty()).then_some(self.data.as_str())
    }
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
    /// bundled model by its name (`bundled:faces`); another program's file; and any of these with choices after it
    /// (`netG.pth@prior=uniform`, see [`Reading`]; `RUN@average=20`).
    ///
    /// # Errors
    /// [`ModelError`] naming the file and what to do.
    pub fn open(path: &Path, device: &Device) -> Result<Self, ModelError> {
        Self::open_noting(path, device, &mut |note| tracing::warn!("{note}"))
    }

    /// As [`Self::open`]; `note` is given what should be known of it: which damaged checkpoints were passed over.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_noting(path: &Path, device: &Device, note: &mut dyn FnMut(String)) -> Result<Self, ModelError> {
        reading::check(path)?;
        let (path, choices) = reading::split(path);
        let model = match (choices.average, is_run(&path)) {
            (Some(count), _) => Self::averaged(&path, count, device, note)?,
            (None, true) => newest::whole(checkpoints(&path.join("checkpoints")), note, |checkpoint| {
                Self::open_as_it_is(checkpoint, choices, device)
            })?,
            (None, false) => Self::open_as_it_is(&path, choices, device)?,
        };
        let reading = choices.on(model.reading());
        // What was chosen of another program's file is noted even where it would have been guessed.
        let noted = model.provenance.origin.is_some() && choices.is_reading();
        if reading == model.reading() && !noted { Ok(model) } else { model.read_as(reading) }
    }

    fn open_as_it_is(path: &Path, choices: Choices, device: &Device) -> Result<Self, ModelError> {
        let own = |opened: Result<Self, ModelError>| match choices.of_other_programs() {
            Some(key) => Err(ModelError::NotForeign { path: path.to_owned(), key }),
            None => opened,
        };
        if let Some(bundled) = super::bundled::open(path, device) {
            return own(bundled);
        }
        let file = model_file(path);
        if tensors::has_note(&file) {
            return own(Self::from_file(TensorFile::read(&file)?, &file, device));
        }
        if let Some(written) = import::own(&file)? {
            return own(Self::from_file(written, &file, device));
        }
        Self::import(&file, choices, device)
    }

    /// A model of another program, as its running statistics tell that it was trained where they do.
    fn import(path: &Path, choices: Choices, device: &Device) -> Result<Self, ModelError> {
        let Foreign { config, origin, mut file } = import::read(path, &choices.wanted())?;
        let provenance =
            Provenance { data: "unknown pictures".to_owned(), origin: Some(origin), ..Provenance::default() };
        let mut model = Self::build(config, provenance, &mut file, path, device)?;
        model.measure();
        Ok(model)
    }

    /// Gives a generator whose file had no running statistics those of the reference batch.
    fn measure(&mut self) {
        if self.provenance.origin.as_ref().is_some_and(|origin| origin.measured) {
            let sampling = self.config().sampling;
            self.generator = self.generator.sampling_with(Statistics::Batch).frozen().sampling_with(sampling);
        }
    }

    /// How the model is read where its file leaves it open.
    pub fn reading(&self) -> Reading {
        Reading::of(self.config(), &self.provenance)
    }

    /// The same model, read otherwise.
    ///
    /// # Errors
    /// As [`Self::to_file`].
    pub fn read_as(&self, reading: Reading) -> Result<Self, ModelError> {
        let mut file = self.to_file()?;
        let Reading { flipped, prior, sampling, output, leak, preparation } = reading;
        let config = ModelConfig { prior, sampling, output, leak, preparation, ..self.config().clone() };
        let mut provenance = self.provenance.clone();
        if flipped != self.reading().flipped {
            import::flip(&mut file);
            provenance.origin.get_or_insert_default().flipped = flipped;
        }
        if let Some(origin) = &mut provenance.origin {
            let kernels = if flipped { "turned" } else { "as they are applied" };
            let rectifiers = config.rectifiers();
            origin.choose(format!(
                "chosen: {prior} prior, {sampling} statistics, {rectifiers}, {output}, kernels {kernels}"
            ));
        }
        let device = self.generator.learnt().next().expect("a generator has weights").value.device();
        let mut model = Self::build(config, provenance, &mut file, Path::new("the model"), &device)?;
        model.measure();
        Ok(model)
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
        let judged = file.tensors.keys().any(|name| name.starts_with("discriminator."));
        let mut stored = Stored { network: "generator", file, path, device };
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
        store(self.generator.layers(), "generator", &mut file)?;
        if let Some(discriminator) = &self.discriminator {
            store(&discriminator.layers, "discriminator", &mut file)?;
        }
        let note = Note { config: self.config().clone(), provenance: self.provenance.clone() };
        file.note = Some(serde_json::to_string(&note).expect("plain structs are always JSON"));
        Ok(file)
    }
}

/// The file that `path` means: of a checkpoint's folder its model.
fn model_file(path: &Path) -> PathBuf {
    let direct = path.join("model.safetensors");
    let checkpoint = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("step-")) && path.is_dir();
    if direct.is_file() || checkpoint { direct } else { path.to_owned() }
}

/// Whether `path` is the folder of a run with checkpoints.
fn is_run(path: &Path) -> bool {
    !path.join("model.safetensors").is_file() && !checkpoints(&path.join("checkpoints")).is_empty()
}

/// The checkpoints of the run that `name`, a run folder or one of its checkpoints, belongs to; of anything else, none.
pub fn siblings(name: &Path) -> Vec<(u64, PathBuf)> {
    let path = reading::file_of(name);
    let inside = path.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "checkpoints"));
    checkpoints(inside.unwrap_or(&path.join("checkpoints")))
}

/// Whether a file or folder looks like a model rather than like pictures, by its name and its first bytes.
pub fn is_model(path: &Path) -> bool {
    if path.is_dir() {
        return path.join("checkpoints").is_dir()
            || path.join("model.safetensors").is_file()
            || import::is_folder_of_arrays(path);
    }
    let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    // PyTorch's examples call their files .tar, and these are zips.
    let zipped = || {
        std::fs::File::open(path).is_ok_and(|mut file| {
            let mut start = [0; 2];
            std::io::Read::read_exact(&mut file, &mut start).is_ok_and(|()| &start == b"PK")
        })
    };
    extensions::WEIGHTS.contains(&end.as_str()) || (end == "tar" && zipped())
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
    use crate::model::Preset;

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
            let a = model.generator.sample(z.clone()).into_data();
            let b = back.generator.sample(z).into_data();
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
        assert!(error.to_string().contains("saved at least once"), "{error}");
    }
}
