//! PyTorch's file formats: zips since 1.6; before that, several pickles in sequence followed by the values; tars before
//! 0.1.10.

use fs_err::File;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pytorch_reader::{DType, PytorchReader};
use safetensors::Dtype;
use zip::ZipArchive;

use super::ImportError;
use super::pickle::{PickleError, TensorRef, TorchContents, TorchPickle};
use crate::model::tensor_file;

/// Magic number of files before 1.6, as pickle protocol 2 and later write it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
/// Bytes at the beginning of a file in which the magic number is searched.
const MAGIC_SEARCH: usize = 64;
/// Maximum length of a pickle: far more than the largest checkpoint has.
const MAX_PICKLE: u64 = 1 << 30;

/// An open PyTorch file.
#[derive(Debug)]
pub(in crate::model) struct TorchFile {
    tensors: HashMap<String, TensorRef>,
    /// Positions of the tensors in the file by name.
    pub order: HashMap<String, usize>,
    /// Classes of the objects that were not instantiated.
    pub skipped: Vec<String>,
    /// Whether it is a TorchScript file.
    pub scripted: bool,
    storages: TorchStorages,
}

/// The values of the tensors.
enum TorchStorages {
    /// Entries of a zip; their names are this prefix and the storage's key.
    Zip(Arc<Mutex<ZipArchive<File>>>, String),
    /// The bytes of the file, and the range of each storage by key.
    Sequential(Vec<u8>, HashMap<String, (usize, usize)>),
    /// Tensors of the oldest format, which the `pytorch_reader` crate reads.
    Tar(HashMap<String, pytorch_reader::Tensor>),
}

impl std::fmt::Debug for TorchStorages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zip(..) => "Zip",
            Self::Sequential(..) => "Sequential",
            Self::Tar(_) => "Tar",
        })
    }
}

/// Converts a pickle's error: the file is damaged, or its contents are not supported.
fn pickle_error(path: &Path, error: PickleError) -> ImportError {
    let path = path.to_owned();
    match error {
        PickleError::Damaged(reason) => ImportError::Damaged { path, format: "PyTorch", reason },
        PickleError::Unsupported(reason) => ImportError::Unsupported {
            path,
            kind: format!("a pickle that is not supported ({reason})"),
            advice: super::detect::STATE_DICT,
        },
    }
}

impl TorchFile {
    /// Opens a zip whose pickle is the entry `pickle`; `path` only appears in errors.
    pub fn zip(path: &Path, mut zip: ZipArchive<File>, pickle: &str) -> Result<Self, ImportError> {
        let damaged = |reason: String| ImportError::Damaged { path: path.to_owned(), format: "PyTorch", reason };
        let mut bytes = Vec::new();
        let mut entry = zip.by_name(pickle).map_err(|error| damaged(error.to_string()))?;
        (&mut entry).take(MAX_PICKLE).read_to_end(&mut bytes).map_err(|error| damaged(error.to_string()))?;
        drop(entry);
        let prefix = pickle.trim_end_matches("data.pkl").to_owned();
        let mut order = String::new();
        if let Ok(mut entry) = zip.by_name(&format!("{prefix}byteorder")) {
            (&mut entry).take(16).read_to_string(&mut order).map_err(|error| damaged(error.to_string()))?;
        }
        if order == "big" {
            let kind = "a PyTorch file from a big-endian machine".to_owned();
            return Err(ImportError::Unsupported { path: path.to_owned(), kind, advice: super::detect::STATE_DICT });
        }
        let names: Vec<String> = zip.file_names().filter_map(Result::ok).map(|name| name.into_owned()).collect();
        let scripted = names
            .iter()
            .any(|name| name == &format!("{prefix}constants.pkl") || name.starts_with(&format!("{prefix}code/")));
        let pickle = TorchPickle::read(&bytes, 0).map_err(|error| pickle_error(path, error))?;
        let found = pickle.contents();
        let known: std::collections::HashSet<&str> = names.iter().map(String::as_str).collect();
        if let Some((name, tensor)) = found
            .tensors
            .iter()
            .find(|(_, tensor)| !known.contains(format!("{prefix}data/{}", tensor.storage.key).as_str()))
        {
            return Err(damaged(format!("the values of {name} (data/{}) are missing", tensor.storage.key)));
        }
        let storages = TorchStorages::Zip(Arc::new(Mutex::new(zip)), format!("{prefix}data/"));
        Ok(Self::of(found, scripted, storages))
    }

    /// Opens a file of the format before 1.6; `None` if it has no magic number.
    pub fn legacy(path: &Path, start: &[u8]) -> Result<Option<Self>, ImportError> {
        if !start[..start.len().min(MAGIC_SEARCH)].windows(MAGIC.len()).any(|window| window == MAGIC) {
            return Ok(None);
        }
        let bytes = fs_err::read(path)?;
        let read = |from: usize| TorchPickle::read(&bytes, from).map_err(|error| pickle_error(path, error));
        let magic = read(0)?;
        let version = read(magic.end)?;
        if version.number() != Some(1001) {
            let reason = "its format version is not 1001".to_owned();
            return Err(ImportError::Damaged { path: path.to_owned(), format: "PyTorch", reason });
        }
        let system = read(version.end)?;
        let root = read(system.end)?;
        let keys = read(root.end)?;
        let found = root.contents();
        let mut at = keys.end;
        let mut ranges = HashMap::new();
        let sizes: HashMap<&str, usize> = found
            .tensors
            .iter()
            .filter_map(|(_, tensor)| Some((tensor.storage.key.as_str(), element_type(&tensor.storage.kind)?.1)))
            .collect();
        for key in keys.texts() {
            // No tensor gives the element size of an unused storage; 4 bytes is the most likely.
            let size = sizes.get(key.as_str()).copied().unwrap_or(4);
            let count = bytes.get(at..at + 8).map(|eight| u64::from_le_bytes(eight.try_into().unwrap_or_default()));
            let end = count.and_then(|count| usize::try_from(count).ok()?.checked_mul(size)?.checked_add(at + 8));
            let Some(end) = end.filter(|&end| end <= bytes.len()) else {
                let reason = "it ends before the announced values".to_owned();
                return Err(ImportError::Damaged { path: path.to_owned(), format: "PyTorch", reason });
            };
            ranges.insert(key, (at + 8, end));
            at = end;
        }
        Ok(Some(Self::of(found, false, TorchStorages::Sequential(bytes, ranges))))
    }

    /// Opens a file of the oldest format.
    pub fn tar(path: &Path) -> Result<Self, ImportError> {
        let damaged = |error: pytorch_reader::PytorchError| ImportError::Damaged {
            path: path.to_owned(),
            format: "PyTorch",
            reason: error.to_string(),
        };
        let tensors = PytorchReader::new(path).map_err(damaged)?.into_tensors();
        let mut found = Self::of(TorchContents::default(), false, TorchStorages::Tar(HashMap::new()));
        let mut names: Vec<&String> = tensors.keys().collect();
        names.sort_by(|a, b| natord::compare(a, b));
        found.order = names.into_iter().enumerate().map(|(i, name)| (name.clone(), i)).collect();
        found.storages = TorchStorages::Tar(tensors);
        Ok(found)
    }

    fn of(found: TorchContents, scripted: bool, storages: TorchStorages) -> Self {
        let mut order = HashMap::new();
        for (name, _) in &found.tensors {
            let place = order.len();
            order.entry(name.clone()).or_insert(place);
        }
        Self { tensors: found.tensors.into_iter().collect(), order, skipped: found.skipped, scripted, storages }
    }

    /// Names and shapes of the tensors.
    pub fn shapes(&self) -> Vec<(String, Vec<usize>)> {
        match &self.storages {
            TorchStorages::Tar(tensors) => {
                tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape().to_vec())).collect()
            }
            _ => self.tensors.iter().map(|(name, tensor)| (name.clone(), tensor.shape.clone())).collect(),
        }
    }

    /// Reads the values of one tensor; `None` if they are not floating-point numbers.
    ///
    /// # Errors
    /// What is wrong with the tensor.
    pub fn read(&self, name: &str) -> Result<Option<Vec<f32>>, String> {
        if let TorchStorages::Tar(tensors) = &self.storages {
            let tensor = tensors.get(name).ok_or("the tensor is missing")?;
            let bytes = tensor.read().map_err(|error| error.to_string())?;
            let kind = match tensor.dtype() {
                DType::F64 => Some(Dtype::F64),
                DType::F32 => Some(Dtype::F32),
                DType::F16 => Some(Dtype::F16),
                _ => None,
            };
            return Ok(kind.and_then(|kind| tensor_file::floats(&bytes, kind)));
        }
        let tensor = self.tensors.get(name).ok_or("the tensor is missing")?;
        let Some((kind, _)) = element_type(&tensor.storage.kind) else { return Ok(None) };
        let bytes = match &self.storages {
            TorchStorages::Zip(zip, prefix) => {
                let mut zip = zip.lock().map_err(|_error| "another thread failed while reading the file")?;
                let mut bytes = Vec::new();
                let mut entry =
                    zip.by_name(&format!("{prefix}{}", tensor.storage.key)).map_err(|error| error.to_string())?;
                entry.read_to_end(&mut bytes).map_err(|error| error.to_string())?;
                bytes
            }
            TorchStorages::Sequential(bytes, ranges) => {
                let (from, to) = ranges.get(&tensor.storage.key).ok_or("its values are missing")?;
                bytes[*from..*to].to_vec()
            }
            TorchStorages::Tar(_) => Vec::new(),
        };
        let Some(all) = tensor_file::floats(&bytes, kind) else { return Ok(None) };
        gather(&all, tensor).map(Some)
    }
}

/// Copies a strided tensor out of its storage, row-major.
fn gather(all: &[f32], tensor: &TensorRef) -> Result<Vec<f32>, String> {
    let outside = || format!("its shape {:?} reaches beyond its {} values", tensor.shape, all.len());
    let count = tensor
        .shape
        .iter()
        .try_fold(1usize, |count, side| count.checked_mul(*side))
        .filter(|count| *count <= all.len());
    // An expanded tensor would have more values than its storage, but a network's parameters are never expanded.
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

/// Element type and size in bytes of a storage class.
fn element_type(storage: &str) -> Option<(Dtype, usize)> {
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
