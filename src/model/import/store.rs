//! Named arrays in a file of another program: their names and shapes first, their values only when asked for.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use pytorch_reader::{DType, PickleValue, PytorchReader};
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;

use super::ImportError;
use crate::model::tensors;

/// What a pickle may name besides what it needs for tensors: values that training scripts keep beside their weights. Nothing
/// is ever called; a file that names anything else is not one that a training script wrote.
const KNOWN: [&str; 7] = ["torch.", "numpy.", "collections.", "argparse.Namespace", "pathlib.", "datetime.", "int"];

/// Where the arrays lie.
#[derive(Debug)]
pub(in crate::model) enum Store {
    /// A safetensors file: its header, and where the values begin.
    Safetensors(File, HashMap<String, TensorInfo>, u64),
    /// A file of PyTorch's, of any age.
    Pytorch(HashMap<String, pytorch_reader::Tensor>),
    /// A folder's `.npy` files.
    Numpy(HashMap<String, PathBuf>),
}

impl Store {
    /// Opens a file by what it holds, whatever it is called, or a folder with `.npy` files.
    ///
    /// # Errors
    /// [`ImportError`] naming the file.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        if path.is_dir() {
            return super::numpy::folder(path);
        }
        let io = |cause| ImportError::Io { path: path.to_owned(), cause };
        if let Some((header, begin)) = tensors::header(path)? {
            let infos = header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
            return Ok(Self::Safetensors(File::open(path).map_err(io)?, infos, begin));
        }
        let mut start = Vec::new();
        File::open(path).and_then(|file| file.take(6).read_to_end(&mut start)).map_err(io)?;
        if start == b"\x93NUMPY" {
            return super::numpy::folder(path.parent().unwrap_or(Path::new(".")));
        }
        pytorch(path)
    }

    /// The arrays' names and shapes.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            Self::Safetensors(_, infos, _) => infos.iter().map(|(name, i)| (name.clone(), i.shape.clone())).collect(),
            Self::Pytorch(tensors) => tensors.iter().map(|(name, t)| (name.clone(), t.shape().to_vec())).collect(),
            Self::Numpy(files) => {
                files.iter().filter_map(|(name, file)| Some((name.clone(), super::numpy::shape(file).ok()?))).collect()
            }
        }
    }

    /// The values of one array, row-major.
    ///
    /// # Errors
    /// [`ImportError`] naming the file and the array.
    pub fn read(&self, name: &str, path: &Path) -> Result<Vec<f32>, ImportError> {
        let fail = |cause: String| ImportError::Array { path: path.to_owned(), name: name.to_owned(), cause };
        let missing = || fail("it is not there".to_owned());
        let values = match self {
            Self::Safetensors(file, infos, start) => {
                let info = infos.get(name).ok_or_else(missing)?;
                let (from, to) = info.data_offsets;
                let mut bytes = vec![0; to - from];
                let mut file = file;
                file.seek(SeekFrom::Start(start + from as u64))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|cause| fail(cause.to_string()))?;
                tensors::floats(&bytes, info.dtype)
            }
            Self::Pytorch(tensors) => {
                let tensor = tensors.get(name).ok_or_else(missing)?;
                let bytes = tensor.read().map_err(|cause| fail(cause.to_string()))?;
                let kind = match tensor.dtype() {
                    DType::F64 => Some(Dtype::F64),
                    DType::F32 => Some(Dtype::F32),
                    DType::F16 => Some(Dtype::F16),
                    DType::BF16 => Some(Dtype::BF16),
                    _ => None,
                };
                kind.and_then(|kind| tensors::floats(&bytes, kind))
            }
            Self::Numpy(files) => {
                let file = files.get(name).ok_or_else(missing)?;
                Some(super::numpy::values(file).map_err(|cause| fail(cause.to_string()))?)
            }
        };
        let values = values.ok_or_else(|| fail("its values are no floating-point numbers".to_owned()))?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(place) => {
                Err(fail(format!("value {place} is {}; the training that wrote it broke down", values[place])))
            }
        }
    }

    /// What kind of file it is, for people.
    pub fn format(&self) -> &'static str {
        match self {
            Self::Safetensors(..) => "safetensors of another program",
            Self::Pytorch(_) => "PyTorch",
            Self::Numpy(_) => "a folder of NumPy arrays",
        }
    }
}

fn pytorch(path: &Path) -> Result<Store, ImportError> {
    use pytorch_reader::PytorchError;
    let fail = |error: PytorchError| match error {
        PytorchError::Io(cause) if cause.kind() == io::ErrorKind::NotFound => {
            ImportError::Io { path: path.to_owned(), cause }
        }
        PytorchError::InvalidFormat(cause) if cause.starts_with("not a PyTorch checkpoint") => {
            ImportError::Unknown { path: path.to_owned() }
        }
        other => ImportError::Damaged { path: path.to_owned(), format: "PyTorch", cause: other.to_string() },
    };
    if let Some(global) = unknown(&PytorchReader::read_pickle_data(path, None).map_err(fail)?) {
        return Err(ImportError::Global { path: path.to_owned(), global });
    }
    Ok(Store::Pytorch(PytorchReader::new(path).map_err(fail)?.into_tensors()))
}

/// The first thing that a pickle names and that is not known.
fn unknown(value: &PickleValue) -> Option<String> {
    match value {
        PickleValue::Unsupported(name) if !KNOWN.iter().any(|known| name.starts_with(known)) => Some(name.clone()),
        PickleValue::List(items) => items.iter().find_map(unknown),
        PickleValue::Dict(items) => items.values().find_map(unknown),
        _ => None,
    }
}
