//! Models for other programs: PyTorch's state dicts under the names of its DCGAN tutorial, and ONNX.

mod onnx;
pub(super) mod pytorch;

pub(super) use pytorch::turned;

use std::io::Write;
use std::path::{Path, PathBuf};

use super::{Model, TensorFileError};
use crate::files;

/// What models are written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The program's own: safetensors with its config.
    Own,
    /// A state dict that `torch.load` reads, one file for each network.
    Pytorch,
    /// The generator as a graph from z to pictures.
    Onnx,
}

/// Why a model is not written.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Its ending says nothing.
    #[error(
        "{path}: models are written as .safetensors (zscape's own), .pth or .pt (PyTorch), or .onnx (the generator)"
    )]
    Ending {
        /// The file.
        path: PathBuf,
    },
    /// The values could not be had, or not be written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// The file system refused.
    #[error("{path} cannot be written: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
}

impl Format {
    /// The format that a file's ending names.
    ///
    /// # Errors
    /// [`ExportError::Ending`] naming those that there are.
    pub fn of(path: &Path) -> Result<Self, ExportError> {
        let end = path.extension().map(|end| end.to_string_lossy().to_ascii_lowercase());
        match end.as_deref() {
            Some("safetensors") => Ok(Self::Own),
            Some("pth" | "pt") => Ok(Self::Pytorch),
            Some("onnx") => Ok(Self::Onnx),
            _ => Err(ExportError::Ending { path: path.to_owned() }),
        }
    }
}

impl Model {
    /// Writes the model as its file's ending says, and tells which files were written: a PyTorch state dict holds one
    /// network, so that the discriminator's is a second file beside the generator's. `half` stores 16-bit floats, in the
    /// program's own format only.
    ///
    /// # Errors
    /// [`ExportError`] naming the file.
    pub fn write(&self, path: &Path, half: bool) -> Result<Vec<PathBuf>, ExportError> {
        let put = |path: &Path, bytes: Vec<u8>| {
            files::write(path, |file| file.write_all(&bytes).and_then(|()| file.sync_all()))
                .map_err(|cause| ExportError::Io { path: path.to_owned(), cause })
        };
        match Format::of(path)? {
            Format::Own => self.to_file()?.write(path, half)?,
            // Other programs know running statistics only: theirs are those that this generator samples with.
            Format::Onnx => put(path, onnx::generator(&self.frozen())?)?,
            Format::Pytorch => {
                let whole = self.frozen().to_file()?;
                put(path, pytorch::state_dict("generator", self.generator.layers(), self.config(), &whole))?;
                if let Some(discriminator) = &self.discriminator {
                    let second = beside(path);
                    put(&second, pytorch::state_dict("discriminator", &discriminator.layers, self.config(), &whole))?;
                    return Ok(vec![path.to_owned(), second]);
                }
            }
        }
        Ok(vec![path.to_owned()])
    }
}

impl Model {
    /// The same model, its generator's running statistics those that it samples with.
    fn frozen(&self) -> Self {
        Self { generator: self.generator.frozen(), ..self.clone() }
    }
}

/// Where the discriminator of the generator in `path` is written: `faces-discriminator.pth` beside `faces.pth`.
pub(super) fn beside(path: &Path) -> PathBuf {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let end = path.extension().map(|end| end.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{stem}-discriminator.{end}"))
}
