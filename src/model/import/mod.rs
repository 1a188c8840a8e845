//! Models of other programs: PyTorch's files of any age, safetensors, folders of NumPy arrays. Architecture and sizes are
//! read off the tensors' shapes; what shapes cannot tell is guessed, and told.

mod chain;
mod normalised;
mod numpy;
mod own;
mod parts;
mod remark;
mod statistics;
mod store;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::chain::{Chain, Kind, Link};
use self::normalised::Applied;
pub(super) use self::own::own;
pub use self::remark::{Guess, Remark};
pub(super) use self::statistics::told;
pub(super) use self::store::Store;
use super::config::ConfigError;
use super::layout::{Layout, Per};
use super::{ModelConfig, Output, Preset, Prior, REFERENCE_BATCH, Statistics, TensorFile, TensorFileError};

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
    /// A pickle that asks for something to be called.
    #[error(
        "{path} asks for {global} when it is read, which no saved network needs; it was not called, and the file is not opened"
    )]
    Global {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        global: String,
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
}

impl Origin {
    /// Notes what the running statistics tell in the place of what was guessed of it.
    pub(super) fn tell(&mut self, prior: Prior, rectifiers: &str) {
        self.remarks.retain(|remark| !matches!(remark.guess, Some(Guess::Prior | Guess::Rectifiers)));
        self.remarks.push(format!("its running statistics fit a {prior} prior and {rectifiers}").into());
    }

    /// Notes what a person chose in the place of what was guessed of it.
    pub(super) fn choose(&mut self, choice: String) {
        self.remarks.retain(|remark| !remark.guess.is_some_and(Guess::is_chosen));
        self.remarks.push(choice.into());
    }
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
pub(super) fn read(path: &Path) -> Result<Foreign, ImportError> {
    let mut stores = vec![(path.to_owned(), Applied::new(Store::open(path)?))];
    let (mut networks, mut why) = match search(&stores[0].1.shapes()) {
        Ok(networks) => (networks, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let mut remarks = Vec::new();
    if networks.len() == 1
        && let Some((name, store)) = companion(path, networks[0].chain.kind)
        && let Ok(others) = search(&store.shapes())
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
    let fits = |found: &&Found| {
        found.chain.channels == generator.chain.channels && found.chain.size() == generator.chain.size()
    };
    let discriminator = of(Kind::Discriminator).find(fits);
    if discriminator.is_none() && of(Kind::Discriminator).next().is_some() {
        remarks.push(
            "its discriminator judges pictures of another size or colour than its generator draws, and was left out"
                .to_owned()
                .into(),
        );
    }
    assemble(path, &stores, generator, discriminator, remarks)
}

/// Whether a folder holds the arrays of a network: a single array is pictures, a network has one for each parameter.
pub(super) fn is_folder_of_arrays(path: &Path) -> bool {
    const ARRAYS: usize = 5;
    numpy::find(path, ARRAYS).is_some()
}

/// Puts the networks' tensors under the program's own names.
fn assemble(
    path: &Path,
    stores: &[(PathBuf, Applied)],
    generator: &Found,
    discriminator: Option<&Found>,
    mut remarks: Vec<Remark>,
) -> Result<Foreign, ImportError> {
    let theano = stores[generator.store].1.is_theanos();
    let mut config = config(generator, discriminator, theano);
    config.check().map_err(|cause| ImportError::Config { path: path.to_owned(), cause })?;
    let normed = generator.chain.links.iter().filter_map(|link| link.norm.as_ref());
    let measured = normed.clone().next().is_some() && normed.clone().any(|norm| norm.mean.is_none());
    // The authors' folders are called by what the networks are: `.._100z_gaussian_..`.
    let folder = if path.is_dir() { numpy::find(path, 1) } else { None };
    let name = folder.as_deref().unwrap_or(path).to_string_lossy().to_ascii_lowercase();
    if measured {
        config.sampling = Statistics::Batch;
        remarks.push(format!(
            "there are no running statistics in it: those of a reference batch of {REFERENCE_BATCH} samples are used"
        ).into());
    } else {
        remarks.push(Remark::guessed(Guess::Sampling, "it samples with running statistics"));
    }
    if theano && !name.contains("gaussian") && !name.contains("normal") {
        config.prior = Prior::Uniform;
    }
    let links = || {
        [Some(generator), discriminator]
            .into_iter()
            .flatten()
            .flat_map(|found| found.chain.links.iter().map(|link| (&stores[found.store].1, link)))
    };
    if let Some(under) = links().find_map(|(store, link)| store.under(&link.weight)) {
        remarks.push(format!("weights under {under} are kept as they were last applied").into());
    }
    if let Some((_, link)) = links().find(|(_, link)| link.border > 0) {
        let (ours, its) = (link.plan.kernel, link.plan.kernel - 2 * link.border);
        let what =
            format!("its {its}x{its} kernels have stride 2; they are kept as {ours}x{ours} with zeros around them");
        remarks.push(Remark::guessed(Guess::Stride, what));
    }
    if generator.chain.is_paired() {
        let size = config.size;
        remarks.push(Remark::guessed(
            Guess::Stride,
            format!("every other of its 3x3 kernels has stride 1, as in the paper's 32x32 network, and its pictures are {size}x{size}"),
        ));
    }
    let kernels = match theano {
        true => "its kernels are turned, since Theano convolves where others correlate",
        false => "its kernels are as they are applied",
    };
    remarks.extend([
        Remark::guessed(Guess::Prior, format!("z has a {} prior", config.prior)),
        Remark::guessed(Guess::Rectifiers, format!("its rectifiers are {}", config.rectifiers())),
        Remark::guessed(Guess::Output, format!("pictures come out of a {}", config.output)),
        Remark::guessed(Guess::Kernels, kernels),
    ]);
    let mut file = TensorFile::default();
    for (network, found) in [("generator", Some(generator)), ("discriminator", discriminator)] {
        let Some(found) = found else { continue };
        let (from, store) = &stores[found.store];
        let last = found.chain.links.len() - 1;
        for (i, link) in found.chain.links.iter().enumerate() {
            let layer = match found.chain.kind {
                Kind::Generator if i == 0 => "project".to_owned(),
                Kind::Generator => format!("up{i}"),
                Kind::Discriminator if i == last => "head".to_owned(),
                Kind::Discriminator => format!("down{}", i + 1),
            };
            take(store, from, link, &format!("{network}.{layer}"), &mut file)?;
        }
    }
    if theano {
        flip(&mut file);
    }
    let origin = Origin { format: stores[generator.store].1.format().to_owned(), flipped: theano, measured, remarks };
    Ok(Foreign { config, origin, file })
}

/// What the shapes tell of the networks.
fn config(generator: &Found, discriminator: Option<&Found>, theano: bool) -> ModelConfig {
    let chain = &generator.chain;
    let stages = chain.stages();
    let plans = |chain: &Chain| chain.links.iter().map(|link| link.plan.clone()).collect::<Vec<_>>();
    let preset = ModelConfig::preset(if theano { Preset::AuthorsSvhn } else { Preset::Pytorch });
    let mut config = ModelConfig {
        size: chain.size(),
        channels: chain.channels,
        kernel: chain.links[1].plan.kernel,
        base: chain.links[stages - 1].plan.maps,
        z_dim: chain.free,
        bias: chain.links[1].plan.bias != Per::None,
        per_stage: if chain.is_paired() { 2 } else { 1 },
        prior: Prior::Normal,
        output: Output::Tanh,
        sampling: Statistics::Running,
        ..preset
    };
    let usual = Layout::of(&config);
    let layout = Layout {
        generator: plans(chain),
        discriminator: discriminator.map_or_else(|| usual.discriminator.clone(), |found| plans(&found.chain)),
    };
    config.layout = (layout != usual).then_some(layout);
    config
}

/// Puts one layer's tensors into `file`.
fn take(store: &Applied, from: &Path, link: &Link, name: &str, file: &mut TensorFile) -> Result<(), ImportError> {
    let mut values = store.read(&link.weight, from)?;
    if link.transposed {
        let rows = link.shape[0];
        let columns = values.len() / rows;
        values = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| values[column * rows + row])
            .collect();
    }
    if link.border > 0 {
        values = bordered(&values, link.plan.kernel, link.border);
    }
    file.tensors.insert(format!("{name}.weight"), (link.shape.clone(), values));
    if let Some(bias) = &link.bias {
        let values = store.read(bias, from)?;
        file.tensors.insert(format!("{name}.bias"), (vec![values.len()], values));
    }
    if let Some(norm) = &link.norm {
        for (part, tensor, otherwise) in [
            ("gain", &norm.gain, 1.0),
            ("shift", &norm.shift, 0.0),
            ("mean", &norm.mean, 0.0),
            ("variance", &norm.variance, 1.0),
        ] {
            let values =
                tensor.as_ref().map_or_else(|| Ok(vec![otherwise; norm.length]), |tensor| store.read(tensor, from))?;
            file.tensors.insert(format!("{name}.norm.{part}"), (vec![norm.length], values));
        }
    }
    Ok(())
}

/// Kernels in kernels of side `kernel`, with zeros around them.
fn bordered(values: &[f32], kernel: usize, border: usize) -> Vec<f32> {
    let inner = kernel - 2 * border;
    let mut out = vec![0.0; values.len() / (inner * inner) * kernel * kernel];
    for (out, kernels) in out.chunks_exact_mut(kernel * kernel).zip(values.chunks_exact(inner * inner)) {
        for (row, values) in kernels.chunks_exact(inner).enumerate() {
            let at = (row + border) * kernel + border;
            out[at..at + inner].copy_from_slice(values);
        }
    }
    out
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
fn search(shapes: &BTreeMap<String, Vec<usize>>) -> Result<Vec<Found>, String> {
    let tensors: Vec<(&str, &[usize])> = shapes
        .iter()
        .filter(|(name, shape)| {
            !shape.is_empty() && !BESIDES.iter().any(|word| name.to_ascii_lowercase().contains(word))
        })
        .map(|(name, shape)| (name.as_str(), shape.as_slice()))
        .collect();
    search_in("", &tensors, DEPTH)
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
