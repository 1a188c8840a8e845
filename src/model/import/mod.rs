//! Importing models of other programs: PyTorch files of any version, safetensors, and folders of NumPy arrays.
//!
//! [`read`] is the entry point. A [`TensorSource`] lists the tensors; [`LayerChain`] orders them into layers by their
//! shapes; the search compares possible strides, paddings and activations with the batch-norm statistics; [`Assembly`]
//! writes the result under zscape's names. Settings that remain open are inferred and listed as [`ImportNote`]s.

mod assemble;
mod chain;
mod conditioning;
mod conv_options;
mod detect;
mod explanation;
mod exported;
mod interpretation;
mod modules;
mod notes;
mod numpy;
mod pickle;
mod pickle_machine;
mod pytorch;
mod reparameterization;
mod search;
mod statistics;
mod tensor_source;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::assemble::Assembly;
use self::chain::{LayerChain, NetworkRole};
pub use self::conditioning::{ClassConditioning, ClassSelection};
pub(super) use self::exported::read_exported;
pub use self::notes::{ImportNote, InferredSetting};
use self::reparameterization::EffectiveWeights;
pub(super) use self::search::SearchConstraints;
pub(super) use self::tensor_source::TensorSource;
use super::config::ConfigError;
use super::{ModelConfig, TensorFile, TensorFileError};

/// Words in the names of tensors that do not belong to a network: optimizer state and counters.
const NON_NETWORK_WORDS: [&str; 5] = ["optim", "exp_avg", "momentum_buffer", "num_batches_tracked", "loss"];
/// Maximum nesting of name prefixes that are searched for networks.
const MAX_DEPTH: usize = 5;
/// Words that distinguish the names of a generator's and a discriminator's file.
const COMPANION_WORDS: [(&str, &str); 5] = [
    ("netG", "netD"),
    ("generator", "discriminator"),
    ("Generator", "Discriminator"),
    ("_gen", "_discrim"),
    ("G_", "D_"),
];

/// Failure to import another program's file.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// An I/O error. Its message names the file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A safetensors file cannot be read.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// The file's format is unknown.
    #[error(
        "{path} is not a known model file: zscape opens its own files, PyTorch's (.pth, .pt, .tar, .ckpt), safetensors, and folders of .npy arrays"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// The folder contains no model.
    #[error(
        "{path} contains no model: neither a checkpoint nor .npy arrays; give a model file, or a run folder that was saved at least once"
    )]
    NoArrays {
        /// The folder.
        path: PathBuf,
    },
    /// The format is known, but the file is incomplete or corrupt.
    #[error("{path} cannot be read as {format}: {reason}; it may be damaged or only partly copied")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The expected format.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// An intact file of a kind that cannot be imported.
    #[error("{path} is {kind}: {advice}")]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: String,
        /// What to do instead.
        advice: &'static str,
    },
    /// An array cannot be used.
    #[error("{path}: {name}: {reason}")]
    Array {
        /// The file.
        path: PathBuf,
        /// Name of the array.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file contains no DCGAN generator.
    #[error("{path} ({format}) contains no DCGAN generator: {reason}. It contains {contents}")]
    NoNetwork {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: &'static str,
        /// Why its tensors are no DCGAN.
        reason: String,
        /// Summary of its tensors.
        contents: String,
    },
    /// The requested settings do not fit the file.
    #[error("{path} cannot be opened with these settings: {reason}")]
    Settings {
        /// The file.
        path: PathBuf,
        /// Why they do not fit, and which would.
        reason: String,
    },
    /// The networks are not supported.
    #[error("{path}: {reason}")]
    Config {
        /// The file.
        path: PathBuf,
        /// The invalid setting.
        reason: ConfigError,
    },
}

/// Provenance of an imported model: its file format, inferred settings and unused contents.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ImportInfo {
    /// Display name of the file format.
    pub format: String,
    /// Whether the kernels were rotated by 180 degrees: Theano convolves where other programs correlate.
    pub flipped: bool,
    /// Whether the file has no running statistics, so that those of a reference batch are used.
    pub measured: bool,
    /// Notes about the file and the inferred settings.
    #[serde(rename = "remarks")]
    pub notes: Vec<ImportNote>,
    /// Classes of a conditional generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<ClassSelection>,
    /// Names and shapes of the file's tensors that neither network uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<String>,
    /// Python classes of the file's objects that are not tensors. They were not instantiated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

impl ImportInfo {
    /// Replaces the notes about inferred settings by one about the settings that the user chose.
    pub(super) fn replace_inferred(&mut self, note: String) {
        self.notes.retain(|note| !note.inferred.is_some_and(InferredSetting::is_import_setting));
        self.notes.push(note.into());
    }
}

/// The user's settings for an import; `None` where the importer decides.
#[derive(Debug, Clone, Default)]
pub(super) struct ImportRequest {
    pub constraints: SearchConstraints,
    /// Class of a conditional generator.
    pub class: Option<usize>,
    /// How the class embedding is combined with z.
    pub conditioning: Option<ClassConditioning>,
}

/// A network found in a file.
struct DetectedNetwork {
    /// Index of the file.
    source: usize,
    /// Common prefix of its tensors' names.
    prefix: String,
    chain: LayerChain,
}

/// An imported model under zscape's tensor names, without a note.
pub(super) struct ImportedModel {
    pub config: ModelConfig,
    pub origin: ImportInfo,
    pub file: TensorFile,
}

/// Imports a file or folder of another program.
///
/// # Errors
/// [`ImportError`] with what was found, and why it is not a DCGAN.
pub(super) fn read(path: &Path, request: &ImportRequest) -> Result<ImportedModel, ImportError> {
    let mut sources = vec![(path.to_owned(), EffectiveWeights::new(TensorSource::open(path)?))];
    let (mut networks, mut reason) = match detect_networks(&sources[0].1) {
        Ok(networks) => (networks, None),
        Err(reason) => (Vec::new(), Some(reason)),
    };
    let mut notes = Vec::new();
    if networks.len() == 1
        && let Some((name, source)) = companion(path, networks[0].chain.kind)
        && let Ok(others) = detect_networks(&source)
    {
        notes.push(format!("the other network is from {}, beside it", name.display()).into());
        networks.extend(others.into_iter().map(|network| DetectedNetwork { source: 1, ..network }));
        sources.push((name, source));
    }
    let of = |kind| networks.iter().filter(move |network: &&DetectedNetwork| network.chain.kind == kind);
    // Training scripts call exponential moving averages of the weights "ema".
    let averaged = |network: &&DetectedNetwork| network.prefix.to_ascii_lowercase().contains("ema");
    let generator = of(NetworkRole::Generator).find(averaged).or_else(|| of(NetworkRole::Generator).next());
    let Some(generator) = generator else {
        if of(NetworkRole::Discriminator).next().is_some() {
            reason = Some(
                "it has a discriminator but no generator; put the generator's file beside it, or open that".to_owned(),
            );
        }
        let shapes = sources[0].1.shapes();
        return Err(ImportError::NoNetwork {
            path: path.to_owned(),
            format: sources[0].1.format(),
            reason: reason.unwrap_or_else(|| "it has no generator".to_owned()),
            contents: summarize(&shapes),
        });
    };
    if of(NetworkRole::Generator).count() > 1 {
        let prefixes: Vec<_> = of(NetworkRole::Generator).map(|network| network.prefix.as_str()).collect();
        notes.push(format!("of several generators ({}) {} was taken", prefixes.join(", "), generator.prefix).into());
    }
    let discriminator =
        of(NetworkRole::Discriminator).find(|network| network.chain.channels == generator.chain.channels);
    if discriminator.is_none() && of(NetworkRole::Discriminator).next().is_some() {
        notes.push(
            "its discriminator judges pictures of other colors than its generator draws, and was left out"
                .to_owned()
                .into(),
        );
    }
    Assembly { path, sources: &sources, generator, request }.assemble(discriminator, notes)
}

/// Whether a folder contains the arrays of a network: a network has one per parameter, while a single array is a data
/// set.
pub(super) fn is_folder_of_arrays(path: &Path) -> bool {
    const MIN_ARRAYS: usize = 5;
    numpy::find(path, MIN_ARRAYS).is_some()
}

/// Rotates the kernels of all strided convolutions by 180 degrees.
pub(super) fn flip(file: &mut TensorFile) {
    for (name, (shape, values)) in &mut file.tensors {
        let strided = name.contains(".up") || name.contains(".down");
        if let (true, &[_, _, height, width]) = (strided, shape.as_slice()) {
            values.chunks_exact_mut(height * width).for_each(<[f32]>::reverse);
        }
    }
}

/// Finds the networks among a file's tensors. Prefixes of the names are tried first, recursively: if each holds a
/// network and there are several, these are the networks. Otherwise all tensors are tried as one network, then the
/// prefixes that hold one.
///
/// # Errors
/// Why the tensors are no network.
fn detect_networks(source: &EffectiveWeights) -> Result<Vec<DetectedNetwork>, String> {
    let all = source.ordered();
    let mut tensors: Vec<(&str, &[usize])> = all
        .iter()
        .filter(|(name, shape)| {
            !shape.is_empty() && !NON_NETWORK_WORDS.iter().any(|word| name.to_ascii_lowercase().contains(word))
        })
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    // Most files list the layers in forward order; otherwise the order of the names may be the forward order.
    detect_under("", &tensors, MAX_DEPTH).or_else(|reason| {
        tensors.sort_by(|(a, _), (b, _)| natord::compare(a, b));
        detect_under("", &tensors, MAX_DEPTH).map_err(|_error| reason)
    })
}

/// Whether a tensor only counts training steps.
fn is_counter(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

/// Finds the networks among the tensors whose names start with `prefix`.
fn detect_under(prefix: &str, tensors: &[(&str, &[usize])], depth: usize) -> Result<Vec<DetectedNetwork>, String> {
    let mut groups: BTreeMap<&str, Vec<(&str, &[usize])>> = BTreeMap::new();
    // Whether every tensor belongs to a group that holds a network.
    let mut complete = depth > 0;
    for &(name, shape) in tensors {
        match name[prefix.len()..].split_once('.') {
            Some((part, _)) => groups.entry(&name[..prefix.len() + part.len() + 1]).or_default().push((name, shape)),
            None => complete = false,
        }
    }
    let mut nested = Vec::new();
    if depth > 0 {
        for (prefix, tensors) in &groups {
            match detect_under(prefix, tensors, depth - 1) {
                Ok(networks) => nested.extend(networks),
                Err(_) => complete = false,
            }
        }
    }
    if complete && nested.len() > 1 {
        return Ok(nested);
    }
    match LayerChain::read(tensors) {
        Ok(chain) => Ok(vec![DetectedNetwork { source: 0, prefix: prefix.trim_end_matches('.').to_owned(), chain }]),
        Err(_) if !nested.is_empty() => Ok(nested),
        Err(reason) => Err(reason),
    }
}

/// Opens the file beside `path` with the other network of the same run, found by its name.
fn companion(path: &Path, kind: NetworkRole) -> Option<(PathBuf, EffectiveWeights)> {
    let name = path.file_name()?.to_str()?;
    let swapped = COMPANION_WORDS.iter().find_map(|&(generator, discriminator)| {
        let (here, there) = match kind {
            NetworkRole::Generator => (generator, discriminator),
            NetworkRole::Discriminator => (discriminator, generator),
        };
        name.contains(here).then(|| path.with_file_name(name.replace(here, there)))
    });
    // The name that zscape's own export uses.
    let exported = (kind == NetworkRole::Generator).then(|| super::export::discriminator_path(path));
    let other = [swapped, exported].into_iter().flatten().find(|other| other.is_file())?;
    let source = TensorSource::open(&other).ok()?;
    Some((other, EffectiveWeights::new(source)))
}

/// Lists the first tensors of a file with their shapes.
fn summarize(shapes: &BTreeMap<String, Vec<usize>>) -> String {
    const SHOWN: usize = 6;
    if shapes.is_empty() {
        return "no tensors".to_owned();
    }
    let mut names: Vec<_> = shapes.iter().filter(|(_, shape)| !shape.is_empty()).collect();
    names.sort_by(|(a, _), (b, _)| natord::compare(a, b));
    let mut parts: Vec<String> = names.iter().take(SHOWN).map(|(name, shape)| format!("{name} {shape:?}")).collect();
    if names.len() > SHOWN {
        parts.push(format!("and {} more tensors", names.len() - SHOWN));
    }
    parts.join(", ")
}
