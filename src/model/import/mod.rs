//! Models of other programs: PyTorch's files of any age, safetensors, folders of NumPy arrays. Architecture and sizes are
//! read off the tensors' shapes; what shapes cannot tell is guessed, and told.

mod assemble;
mod chain;
mod kinds;
mod labels;
mod machine;
mod normalised;
mod numpy;
mod own;
mod parts;
mod pickle;
mod remark;
mod search;
mod steps;
mod store;
mod torch;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::assemble::Opened;
use self::chain::{Chain, Kind};
pub use self::labels::{Classes, Join};
use self::normalised::Applied;
pub(super) use self::own::own;
pub use self::remark::{Guess, Remark};
pub(super) use self::search::Asked;
pub(super) use self::store::Store;
use super::config::ConfigError;
use super::{ModelConfig, TensorFile, TensorFileError};

/// Tensors that are no part of a network: optimisers' states, counters.
const BESIDES: [&str; 5] = ["optim", "exp_avg", "momentum_buffer", "num_batches_tracked", "loss"];
/// Folders of names that are searched for a network, one in another.
const DEPTH: usize = 5;
/// Pairs of words by which two files of one run are told apart.
const COMPANIONS: [(&str, &str); 5] = [
    ("netG", "netD"),
    ("generator", "discriminator"),
    ("Generator", "Discriminator"),
    ("_gen", "_discrim"),
    ("G_", "D_"),
];

/// Why a file of another program is not opened.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// A safetensors file is at fault.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// No format that is known.
    #[error(
        "{path} is no model file that zscape knows: it opens its own files, PyTorch's (.pth, .pt, .tar, .ckpt), safetensors, and folders of .npy arrays"
    )]
    Unknown {
        /// The file.
        path: PathBuf,
    },
    /// A folder without any of them.
    #[error(
        "{path} holds no model: neither a checkpoint nor .npy arrays; give a model file, or a run folder that was saved at least once"
    )]
    NoArrays {
        /// The folder.
        path: PathBuf,
    },
    /// The format is known, and the file is not whole.
    #[error("{path} cannot be read as {format}: {cause}; it may be damaged or only half copied")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What it should be.
        format: &'static str,
        /// What is wrong.
        cause: String,
    },
    /// It is something else, and whole.
    #[error("{path} is {kind}: {advice}")]
    Kind {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: String,
        /// What to do.
        advice: &'static str,
    },
    /// One array is at fault.
    #[error("{path}: {name}: {cause}")]
    Array {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no DCGAN in it.
    #[error("{path} ({format}) holds no DCGAN that zscape can draw with: {why}. It holds {found}")]
    NoNetwork {
        /// The file.
        path: PathBuf,
        /// What kind of file it is.
        format: &'static str,
        /// Why not.
        why: String,
        /// What is in it.
        found: String,
    },
    /// No reading gives what a person asked for.
    #[error("{path} cannot be read so: {why}")]
    Choice {
        /// The file.
        path: PathBuf,
        /// Why not, and what there is.
        why: String,
    },
    /// The networks are ones that cannot be built here.
    #[error("{path}: {cause}")]
    Config {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: ConfigError,
    },
}

/// Where a model of another program comes from, and what was guessed of it.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Origin {
    /// The kind of file.
    pub format: String,
    /// Whether its kernels are turned by half a turn: some programs convolve and others correlate.
    pub flipped: bool,
    /// Whether its generator came without running statistics, and some were measured.
    pub measured: bool,
    /// What was found and guessed, in sentences.
    pub remarks: Vec<Remark>,
    /// The classes of a conditional generator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<Classes>,
    /// Tensors of the file that nothing is drawn or judged with, and their shapes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unused: Vec<String>,
    /// Objects of the file that are no tensors, by their Python classes: none of them was built.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

impl Origin {
    /// Notes what a person chose in the place of what was guessed of it.
    pub(super) fn choose(&mut self, choice: String) {
        self.remarks.retain(|remark| !remark.guess.is_some_and(Guess::is_chosen));
        self.remarks.push(choice.into());
    }
}

/// What a person asks for that shapes and statistics would decide.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub asked: Asked,
    /// The class of a conditional generator.
    pub class: Option<usize>,
    /// How its row joins z.
    pub join: Option<Join>,
}

/// A network of a file, and where its tensors are.
struct Found {
    store: usize,
    root: String,
    chain: Chain,
}

/// What a foreign file holds, under the program's own names; its note is left to the caller.
pub(super) struct Foreign {
    pub config: ModelConfig,
    pub origin: Origin,
    pub file: TensorFile,
}

/// Reads a file or folder of another program.
///
/// # Errors
/// [`ImportError`] saying what was found, and why it is not a DCGAN.
pub(super) fn read(path: &Path, wanted: &Wanted) -> Result<Foreign, ImportError> {
    let mut stores = vec![(path.to_owned(), Applied::new(Store::open(path)?))];
    let (mut networks, mut why) = match search(&stores[0].1) {
        Ok(networks) => (networks, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let mut remarks = Vec::new();
    if networks.len() == 1
        && let Some((name, store)) = companion(path, networks[0].chain.kind)
        && let Ok(others) = search(&store)
    {
        remarks.push(format!("the other network is from {}, beside it", name.display()).into());
        networks.extend(others.into_iter().map(|found| Found { store: 1, ..found }));
        stores.push((name, store));
    }
    let of = |kind| networks.iter().filter(move |found: &&Found| found.chain.kind == kind);
    let averaged = |found: &&Found| found.root.to_ascii_lowercase().contains("ema");
    let generator = of(Kind::Generator).find(averaged).or_else(|| of(Kind::Generator).next());
    let Some(generator) = generator else {
        if of(Kind::Discriminator).next().is_some() {
            why = Some(
                "there is a discriminator in it, but no generator: put the generator's file beside it, or open that"
                    .to_owned(),
            );
        }
        let shapes = stores[0].1.shapes();
        return Err(ImportError::NoNetwork {
            path: path.to_owned(),
            format: stores[0].1.format(),
            why: why.unwrap_or_else(|| "there is no generator in it".to_owned()),
            found: inventory(&shapes),
        });
    };
    if of(Kind::Generator).count() > 1 {
        let roots: Vec<_> = of(Kind::Generator).map(|found| found.root.as_str()).collect();
        remarks.push(format!("of several generators ({}) {} was taken", roots.join(", "), generator.root).into());
    }
    let discriminator = of(Kind::Discriminator).find(|found| found.chain.channels == generator.chain.channels);
    if discriminator.is_none() && of(Kind::Discriminator).next().is_some() {
        remarks.push(
            "its discriminator judges pictures of other colors than its generator draws, and was left out"
                .to_owned()
                .into(),
        );
    }
    let opened = Opened { path, stores: &stores, generator, wanted };
    opened.assemble(discriminator, remarks)
}

/// Whether a folder holds the arrays of a network: a single array is pictures, a network has one for each parameter.
pub(super) fn is_folder_of_arrays(path: &Path) -> bool {
    const ARRAYS: usize = 5;
    numpy::find(path, ARRAYS).is_some()
}

/// Turns the strided convolutions' kernels by half a turn, both ways alike.
pub(super) fn flip(file: &mut TensorFile) {
    for (name, (shape, values)) in &mut file.tensors {
        let strided = name.contains(".up") || name.contains(".down");
        if let (true, &[_, _, height, width]) = (strided, shape.as_slice()) {
            values.chunks_exact_mut(height * width).for_each(<[f32]>::reverse);
        }
    }
}

/// Finds the networks among tensors: those of each name's first part, and so on, where these parts hold several and nothing
/// else; or else all tensors as one network; or else what some of the parts hold.
///
/// # Errors
/// Why there is none.
fn search(store: &Applied) -> Result<Vec<Found>, String> {
    let all = store.ordered();
    let mut tensors: Vec<(&str, &[usize])> = all
        .iter()
        .filter(|(name, shape)| {
            !shape.is_empty() && !BESIDES.iter().any(|word| name.to_ascii_lowercase().contains(word))
        })
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    // A file's own order is nearly always that in which layers are applied; otherwise their names' may be.
    search_in("", &tensors, DEPTH).or_else(|why| {
        tensors.sort_by(|(a, _), (b, _)| natord::compare(a, b));
        search_in("", &tensors, DEPTH).map_err(|_| why)
    })
}

/// Whether a tensor only counts training steps.
fn counters(name: &str) -> bool {
    name.ends_with("num_batches_tracked")
}

fn search_in(root: &str, tensors: &[(&str, &[usize])], depth: usize) -> Result<Vec<Found>, String> {
    let mut folders: BTreeMap<&str, Vec<(&str, &[usize])>> = BTreeMap::new();
    let mut whole = depth > 0;
    for &(name, shape) in tensors {
        match name[root.len()..].split_once('.') {
            Some((folder, _)) => folders.entry(&name[..root.len() + folder.len() + 1]).or_default().push((name, shape)),
            None => whole = false,
        }
    }
    let mut inside = Vec::new();
    if depth > 0 {
        for (folder, tensors) in &folders {
            match search_in(folder, tensors, depth - 1) {
                Ok(found) => inside.extend(found),
                Err(_) => whole = false,
            }
        }
    }
    if whole && inside.len() > 1 {
        return Ok(inside);
    }
    match Chain::read(tensors) {
        Ok(chain) => Ok(vec![Found { store: 0, root: root.trim_end_matches('.').to_owned(), chain }]),
        Err(_) if !inside.is_empty() => Ok(inside),
        Err(why) => Err(why),
    }
}

/// The file beside `path` that holds the other network of the same run, by its name.
fn companion(path: &Path, kind: Kind) -> Option<(PathBuf, Applied)> {
    let name = path.file_name()?.to_str()?;
    let swapped = COMPANIONS.iter().find_map(|&(generator, discriminator)| {
        let (here, there) = match kind {
            Kind::Generator => (generator, discriminator),
            Kind::Discriminator => (discriminator, generator),
        };
        name.contains(here).then(|| path.with_file_name(name.replace(here, there)))
    });
    // What the program itself writes.
    let written = (kind == Kind::Generator).then(|| super::export::beside(path));
    let other = [swapped, written].into_iter().flatten().find(|other| other.is_file())?;
    let store = Store::open(&other).ok()?;
    Some((other, Applied::new(store)))
}

/// The tensors of a file in a few words.
fn inventory(shapes: &BTreeMap<String, Vec<usize>>) -> String {
    const SHOWN: usize = 6;
    if shapes.is_empty() {
        return "no tensors".to_owned();
    }
    let mut names: Vec<_> = shapes.iter().filter(|(_, shape)| !shape.is_empty()).collect();
    names.sort_by(|(a, _), (b, _)| natord::compare(a, b));
    let mut told: Vec<String> = names.iter().take(SHOWN).map(|(name, shape)| format!("{name} {shape:?}")).collect();
    if names.len() > SHOWN {
        told.push(format!("and {} more tensors", names.len() - SHOWN));
    }
    told.join(", ")
}
