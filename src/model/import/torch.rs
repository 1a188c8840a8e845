//! PyTorch's files: zips since 1.6, and before that pickles one after another with the numbers behind them.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pytorch_reader::{DType, PytorchReader};
use safetensors::Dtype;
use zip::ZipArchive;

use super::ImportError;
use super::pickle::{Found, Pickle, PickleError, Tensor};
use crate::model::tensors;

/// The number that files before 1.6 begin with, as protocol 2 and later write it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// How far into the file it is looked for.
const SEARCHED: usize = 64;
/// Longest pickle: many times what the largest checkpoint has.
const LONGEST: u64 = 1 << 30;

/// A file of PyTorch's.
#[derive(Debug)]
pub(in crate::model) struct Torch {
    tensors: HashMap<String, Tensor>,
    /// The tensors' names in the file's order.
    pub order: HashMap<String, usize>,
    /// Classes of the objects that were not built.
    pub skipped: Vec<String>,
    /// Whether it is a program with its weights.
    pub scripted: bool,
    numbers: Numbers,
}

/// Where the numbers are.
enum Numbers {
    /// In a zip, under these names before the storage's key.
    Zip(Arc<Mutex<ZipArchive<File>>>, String),
    /// In the whole file, from and to these places.
    Whole(Vec<u8>, HashMap<String, (usize, usize)>),
    /// In the oldest files, which another reader reads.
    Tar(HashMap<String, pytorch_reader::Tensor>),
}

impl std::fmt::Debug for Numbers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zip(..) => "Zip",
            Self::Whole(..) => "Whole",
            Self::Tar(_) => "Tar",
        })
    }
}

/// Why a file is not read: damaged, or not known.
fn fail(path: &Path, error: PickleError) -> ImportError {
    let path = path.to_owned();
    match error {
        PickleError::Damaged(cause) => ImportError::Damaged { path, format: "PyTorch", cause },
        PickleError::Unknown(why) => ImportError::Kind {
            path,
            kind: format!("a pickle that is not known ({why})"),
            advice: super::kinds::STATE_DICT,
        },
    }
}

impl Torch {
    /// Reads what the zip at `path` holds, whose pickle is the entry of this name.
    pub fn zip(path: &Path, mut zip: ZipArchive<File>, pickle: &str) -> Result<Self, ImportError> {
        let damaged = |cause: String| ImportError::Damaged { path: path.to_owned(), format: "PyTorch", cause };
        let mut bytes = Vec::new();
        let mut entry = zip.by_name(pickle).map_err(|cause| damaged(cause.to_string()))?;
        (&mut entry).take(LONGEST).read_to_end(&mut bytes).map_err(|cause| damaged(cause.to_string()))?;
        drop(entry);
        let prefix = pickle.trim_end_matches("data.pkl").to_owned();
        let mut order = String::new();
        if let Ok(mut entry) = zip.by_name(&format!("{prefix}byteorder")) {
            (&mut entry).take(16).read_to_string(&mut order).map_err(|cause| damaged(cause.to_string()))?;
        }
        if order == "big" {
            let kind = "a PyTorch file of a machine with its highest bytes first".to_owned();
            return Err(ImportError::Kind { path: path.to_owned(), kind, advice: super::kinds::STATE_DICT });
        }
        let names: Vec<String> = zip.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect();
        let scripted = names
            .iter()
            .any(|name| name == &format!("{prefix}constants.pkl") || name.starts_with(&format!("{prefix}code/")));
        let pickle = Pickle::read(&bytes, 0).map_err(|error| fail(path, error))?;
        let found = pickle.tensors();
        let known: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
        if let Some((name, tensor)) = found
            .tensors
            .iter()
            .find(|(_, tensor)| !known.contains(format!("{prefix}data/{}", tensor.storage.key).as_str()))
        {
            return Err(damaged(format!("the values of {name} (data/{}) are missing", tensor.storage.key)));
        }
        let numbers = Numbers::Zip(Arc::new(Mutex::new(zip)), format!("{prefix}data/"));
        Ok(Self::of(found, scripted, numbers))
    }

    /// Reads a file of pickles one after another; none where it is no such file.
    pub fn legacy(path: &Path, start: &[u8]) -> Result<Option<Self>, ImportError> {
        if !start[..start.len().min(SEARCHED)].windows(MAGIC.len()).any(|window| window == MAGIC) {
            return Ok(None);
        }
        let io = |cause| ImportError::Io { path: path.to_owned(), cause };
        let bytes = std::fs::read(path).map_err(io)?;
        let read = |from: usize| Pickle::read(&bytes, from).map_err(|error| fail(path, error));
        let magic = read(0)?;
        let version = read(magic.end)?;
        if version.number() != Some(1001) {
            let cause = "it is of another version than 1001".to_owned();
            return Err(ImportError::Damaged { path: path.to_owned(), format: "PyTorch", cause });
        }
        let system = read(version.end)?;
        let root = read(system.end)?;
        let keys = read(root.end)?;
        let found = root.tensors();
        let mut at = keys.end;
        let mut places = HashMap::new();
        let sizes: HashMap<&str, usize> = found
            .tensors
            .iter()
            .filter_map(|(_, tensor)| Some((tensor.storage.key.as_str(), kind(&tensor.storage.kind)?.1)))
            .collect();
        for key in keys.texts() {
            // Of a storage that no tensor is in the length is not known; those are ordered by nothing that helps.
            let size = sizes.get(key.as_str()).copied().unwrap_or(4);
            let count = bytes.get(at..at + 8).map(|eight| u64::from_le_bytes(eight.try_into().unwrap_or_default()));
            let end = count.and_then(|count| usize::try_from(count).ok()?.checked_mul(size)?.checked_add(at + 8));
            let Some(end) = end.filter(|&end| end <= bytes.len()) else {
                let cause = "it ends before the values that it announces".to_owned();
                return Err(ImportError::Damaged { path: path.to_owned(), format: "PyTorch", cause });
            };
            places.insert(key, (at + 8, end));
            at = end;
        }
        Ok(Some(Self::of(found, false, Numbers::Whole(bytes, places))))
    }

    /// Reads one of the oldest files.
    pub fn tar(path: &Path) -> Result<Self, ImportError> {
        let damaged = |cause: pytorch_reader::PytorchError| ImportError::Damaged {
            path: path.to_owned(),
            format: "PyTorch",
            cause: cause.to_string(),
        };
        let tensors = PytorchReader::new(path).map_err(damaged)?.into_tensors();
        let mut found = Self::of(Found::default(), false, Numbers::Tar(HashMap::new()));
        let mut names: Vec<&String> = tensors.keys().collect();
        names.sort_by(|a, b| natord::compare(a, b));
        found.order = names.into_iter().enumerate().map(|(i, name)| (name.clone(), i)).collect();
        found.numbers = Numbers::Tar(tensors);
        Ok(found)
    }

    fn of(found: Found, scripted: bool, numbers: Numbers) -> Self {
        let mut order = HashMap::new();
        for (name, _) in &found.tensors {
            let place = order.len();
            order.entry(name.clone()).or_insert(place);
        }
        Self { tensors: found.tensors.into_iter().collect(), order, skipped: found.skipped, scripted, numbers }
    }

    /// Names and shapes.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        match &self.numbers {
            Numbers::Tar(tensors) => {
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect()
            }
            _ => self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect(),
        }
    }

    /// The values of one tensor; none if they are no floating-point numbers.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(&self, name: &str) -> Result<Option<Vec<f32>>, String> {
        if let Numbers::Tar(tensors) = &self.numbers {
            let tensor = tensors.get(name).ok_or("it is not there")?;
            let bytes = tensor.read().map_err(|cause| cause.to_string())?;
            let kind = match tensor.dtype() {
                DType::F64 => Some(Dtype::F64),
                DType::F32 => Some(Dtype::F32),
                DType::F16 => Some(Dtype::F16),
                _ => None,
            };
            return Ok(kind.and_then(|kind| tensors::floats(&bytes, kind)));
        }
        let tensor = self.tensors.get(name).ok_or("it is not there")?;
        let Some((kind, _)) = kind(&tensor.storage.kind) else { return Ok(None) };
        let bytes = match &self.numbers {
            Numbers::Zip(zip, prefix) => {
                let mut zip = zip.lock().map_err(|_| "another reader of it failed")?;
                let mut bytes = Vec::new();
                let mut entry =
                    zip.by_name(&format!("{prefix}{}", tensor.storage.key)).map_err(|cause| cause.to_string())?;
                entry.read_to_end(&mut bytes).map_err(|cause| cause.to_string())?;
                bytes
            }
            Numbers::Whole(bytes, places) => {
                let (from, to) = places.get(&tensor.storage.key).ok_or("its values are not there")?;
                bytes[*from..*to].to_vec()
            }
            Numbers::Tar(_) => Vec::new(),
        };
        let Some(all) = tensors::floats(&bytes, kind) else { return Ok(None) };
        gather(&all, tensor).map(Some)
    }
}

/// A tensor's values, row-major, from those of its storage.
fn gather(all: &[f32], tensor: &Tensor) -> Result<Vec<f32>, String> {
    let outside = || format!("its shape {:?} reaches beyond its {} values", tensor.shape, all.len());
    let count = tensor
        .shape
        .iter()
        .try_fold(1usize, |count, side| count.checked_mul(*side))
        .filter(|count| *count <= all.len());
    // A tensor that repeats its values has more than its storage; none of a network's does.
    let count = count.ok_or_else(outside)?;
    let mut out = Vec::with_capacity(count);
    let mut index = vec![0usize; tensor.shape.len()];
    for _ in 0..count {
        let at = index
            .iter()
            .zip(&tensor.strides)
            .try_fold(tensor.offset, |at, (i, stride)| at.checked_add(i.checked_mul(*stride)?));
        out.push(*at.and_then(|at| all.get(at)).ok_or_else(outside)?);
        for (i, side) in index.iter_mut().zip(&tensor.shape).rev() {
            *i += 1;
            if *i < *side {
                break;
            }
            *i = 0;
        }
    }
    Ok(out)
}

/// Floating-point numbers of a storage's class, and the bytes of one; of whole numbers their bytes alone.
fn kind(storage: &str) -> Option<(Dtype, usize)> {
    let name = storage.rsplit('.').next().unwrap_or_default();
    Some(match name {
        "FloatStorage" | "float32" => (Dtype::F32, 4),
        "DoubleStorage" | "float64" => (Dtype::F64, 8),
        "HalfStorage" | "float16" => (Dtype::F16, 2),
        "BFloat16Storage" | "bfloat16" => (Dtype::BF16, 2),
        "LongStorage" | "int64" => (Dtype::I64, 8),
        "IntStorage" | "int32" => (Dtype::I32, 4),
        "ShortStorage" | "int16" => (Dtype::I16, 2),
        "CharStorage" | "int8" => (Dtype::I8, 1),
        "ByteStorage" | "uint8" => (Dtype::U8, 1),
        "BoolStorage" | "bool" => (Dtype::BOOL, 1),
        _ => return None,
    })
}
