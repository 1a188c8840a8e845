//! Named arrays in another program's file. Opening reads names and shapes; values are read on demand.

use fs_err::File;
use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::tensor::TensorInfo;

use super::ImportError;
use super::pytorch::TorchFile;
use crate::model::tensor_file;

/// An open file or folder with named arrays.
#[derive(Debug)]
pub(in crate::model) enum TensorSource {
    /// A safetensors file: its header, and the position where the values begin.
    Safetensors(File, HashMap<String, TensorInfo>, u64),
    /// A PyTorch file of any version.
    Pytorch(Box<TorchFile>),
    /// A folder of `.npy` files.
    Numpy(HashMap<String, PathBuf>),
}

impl TensorSource {
    /// Opens a file by its content, whatever its name, or a folder with `.npy` files.
    ///
    /// # Errors
    /// [`ImportError`] naming the file.
    pub fn open(path: &Path) -> Result<Self, ImportError> {
        if path.is_dir() {
            if super::numpy::find(path, 1).is_none()
                && let Some(error) = super::detect::explain_folder(path)
            {
                return Err(error);
            }
            return super::numpy::folder(path);
        }
        if let Some((header, begin)) = tensor_file::header(path)? {
            let infos = header.tensors().into_iter().map(|(name, info)| (name, info.clone())).collect();
            return Ok(Self::Safetensors(File::open(path)?, infos, begin));
        }
        let mut start = Vec::new();
        File::open(path).and_then(|file| file.take(6).read_to_end(&mut start))?;
        if start == b"\x93NUMPY" {
            return super::numpy::folder(path.parent().unwrap_or(Path::new(".")));
        }
        Ok(Self::Pytorch(Box::new(super::detect::open_pytorch(path)?)))
    }

    /// Shapes of the arrays by name.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        match self {
            Self::Safetensors(_, infos, _) => infos.iter().map(|(name, i)| (name.clone(), i.shape.clone())).collect(),
            Self::Pytorch(torch) => torch.shapes().into_iter().collect(),
            Self::Numpy(files) => {
                files.iter().filter_map(|(name, file)| Some((name.clone(), super::numpy::shape(file).ok()?))).collect()
            }
        }
    }

    /// Positions of the arrays in the file by name, if the format has an order.
    pub fn order(&self) -> Option<&HashMap<String, usize>> {
        match self {
            Self::Pytorch(torch) => Some(&torch.order),
            _ => None,
        }
    }

    /// Classes of objects in the file that were skipped.
    pub fn skipped(&self) -> Vec<String> {
        match self {
            Self::Pytorch(torch) => torch.skipped.clone(),
            _ => Vec::new(),
        }
    }

    /// Reads the values of one array, row-major; `path` only appears in errors.
    ///
    /// # Errors
    /// [`ImportError`] naming the file and the array.
    pub fn read(&self, name: &str, path: &Path) -> Result<Vec<f32>, ImportError> {
        let fail = |reason: String| ImportError::Array { path: path.to_owned(), name: name.to_owned(), reason };
        let missing = || fail("the array is missing".to_owned());
        let values = match self {
            Self::Safetensors(file, infos, start) => {
                let info = infos.get(name).ok_or_else(missing)?;
                let (from, to) = info.data_offsets;
                let mut bytes = vec![0; to - from];
                let mut file = file;
                file.seek(SeekFrom::Start(start + from as u64))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|error| fail(error.to_string()))?;
                tensor_file::floats(&bytes, info.dtype)
            }
            Self::Pytorch(torch) => torch.read(name).map_err(fail)?,
            Self::Numpy(files) => {
                let file = files.get(name).ok_or_else(missing)?;
                Some(super::numpy::values(file).map_err(|error| fail(error.to_string()))?)
            }
        };
        let values = values.ok_or_else(|| fail("its values are not floating-point numbers".to_owned()))?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(fail(format!("value {index} is {}; the training has diverged", values[index]))),
        }
    }

    /// Display name of the file format.
    pub fn format(&self) -> &'static str {
        match self {
            Self::Safetensors(..) => "safetensors of another program",
            Self::Pytorch(torch) if torch.scripted => "PyTorch (TorchScript)",
            Self::Pytorch(_) => "PyTorch",
            Self::Numpy(_) => "a folder of NumPy arrays",
        }
    }
}
