//! Named arrays in a file of another program: their names and shapes first, their values only when asked for.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorInfo;

use super::ImportError;
use super::torch::Torch;
use crate::model::tensors;

/// Where the arrays lie.
#[derive(Debug)]
pub(in crate::model) enum Store {
    /// A safetensors file: its header, and where the values begin.
    Safetensors(File, HashMap<String, TensorInfo>, u64),
    /// A file of PyTorch's, of any age.
    Pytorch(Box<Torch>),
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
            if super::numpy::find(path, 1).is_none()
                && let Some(error) = super::kinds::folder(path)
            {
                return Err(error);
            }
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
        Ok(Self::Pytorch(Box::new(super::kinds::torch(path)?)))
    }

    /// The arrays' names and shapes.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            Self::Safetensors(_, infos, _) => infos.iter().map(|(name, i)| (name.clone(), i.shape.clone())).collect(),
            Self::Pytorch(torch) => torch.shapes().into_iter().collect(),
            Self::Numpy(files) => {
                files.iter().filter_map(|(name, file)| Some((name.clone(), super::numpy::shape(file).ok()?))).collect()
            }
        }
    }

    /// The places of the arrays' names in the file, where it has an order.
    pub fn order(&self) -> Option<&HashMap<String, usize>> {
        match self {
            Self::Pytorch(torch) => Some(&torch.order),
            _ => None,
        }
    }

    /// Classes of objects in the file that were passed over.
    pub fn skipped(&self) -> Vec<String> {
        match self {
            Self::Pytorch(torch) => torch.skipped.clone(),
            _ => Vec::new(),
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
            Self::Pytorch(torch) => torch.read(name).map_err(fail)?,
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
            Self::Pytorch(torch) if torch.scripted => "PyTorch (TorchScript)",
            Self::Pytorch(_) => "PyTorch",
            Self::Numpy(_) => "a folder of NumPy arrays",
        }
    }
}
