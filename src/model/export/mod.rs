//! Exporting models: zscape's format, PyTorch state dicts with the DCGAN tutorial's names, and ONNX.
//!
//! [`Model::write`] chooses the format by the file's extension.

mod onnx;
pub(super) mod pytorch;

pub(super) use pytorch::transposed;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{Model, TensorFileError};
use crate::files;

/// File format of an exported model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// zscape's own: safetensors with the config in the header.
    Zscape,
    /// State dicts for `torch.load`, one file per network.
    Pytorch,
    /// The generator as a graph from z to images.
    Onnx,
}

/// Failure to export a model.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file's extension names no format.
    #[error(
        "{path}: unknown extension; models are written as .safetensors (zscape), .pth or .pt (PyTorch), or .onnx (the generator)"
    )]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// The values cannot be read from the device or written.
    #[error(transparent)]
    Tensors(#[from] TensorFileError),
    /// An I/O error. Its message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ExportFormat {
    /// The format for a file's extension.
    ///
    /// # Errors
    /// [`ExportError::Extension`] with the known extensions.
    pub fn of(path: &Path) -> Result<Self, ExportError> {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_ascii_lowercase());
        match extension.as_deref() {
            Some("safetensors") => Ok(Self::Zscape),
            Some("pth" | "pt") => Ok(Self::Pytorch),
            Some("onnx") => Ok(Self::Onnx),
            _ => Err(ExportError::Extension { path: path.to_owned() }),
        }
    }
}

impl Model {
    /// Writes the model in the format of the file's extension and returns the files written. A PyTorch state dict holds
    /// one network, so the discriminator is written to a second file beside the generator's. `half` stores 16-bit
    /// floats, in zscape's own format only.
    ///
    /// # Errors
    /// [`ExportError`] naming the file.
    pub fn write(&self, path: &Path, half: bool) -> Result<Vec<PathBuf>, ExportError> {
        let put = |path: &Path, bytes: Vec<u8>| {
            files::write(path, |file| file.write_all(&bytes).and_then(|()| file.sync_all()))
        };
        match ExportFormat::of(path)? {
            ExportFormat::Zscape => self.to_file()?.write(path, half)?,
            // Other programs support running statistics only, so these become the ones that this generator samples
            // with.
            ExportFormat::Onnx => put(path, onnx::generator(&self.frozen())?)?,
            ExportFormat::Pytorch => {
                let whole = self.frozen().to_file()?;
                put(path, pytorch::state_dict("generator", self.generator.layers(), self.config(), &whole))?;
                if let Some(discriminator) = &self.discriminator {
                    let second = discriminator_path(path);
                    put(&second, pytorch::state_dict("discriminator", &discriminator.layers, self.config(), &whole))?;
                    return Ok(vec![path.to_owned(), second]);
                }
            }
        }
        Ok(vec![path.to_owned()])
    }

    /// The same model with the generator's sampling statistics as its running statistics.
    fn frozen(&self) -> Self {
        Self { generator: self.generator.frozen(), ..self.clone() }
    }
}

/// Path of the discriminator that belongs to the exported generator at `path`: `faces-discriminator.pth` beside
/// `faces.pth`.
pub(super) fn discriminator_path(path: &Path) -> PathBuf {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let extension = path.extension().map(|end| end.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!("{stem}-discriminator.{extension}"))
}
