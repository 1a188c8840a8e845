//! Safetensors files: named `f32` arrays and a JSON note in the header.
//!
//! [`TensorFile`] holds a file of zscape in memory. For other programs' files, [`header`] reads names, shapes and
//! positions only.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use fs_err as fs;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};

use crate::files;

/// Key of the note in safetensors' metadata.
const NOTE: &str = "zscape";
/// Bytes of the header's length, at the beginning of a file.
const LENGTH_BYTES: u64 = 8;
/// Maximum length of a header, by the format's specification.
const MAX_HEADER: u64 = 100_000_000;

/// Failure to read or write a tensor file.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// An I/O error. Its message names the file.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The file is not safetensors, or is truncated.
    #[error("{path} is not a complete safetensors file ({reason}); it may be damaged or only partly copied")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser reports.
        reason: String,
    },
    /// A tensor is missing or has the wrong shape.
    #[error("{path} does not match the network in its header: {mismatch}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Which tensor, and how it differs.
        mismatch: String,
    },
    /// The device failed to return a tensor's values.
    #[error("the device failed while reading {name} from it: {reason}")]
    Device {
        /// Name of the tensor.
        name: String,
        /// The device's error.
        reason: String,
    },
}

/// Reads the header of a safetensors file and the position where its values begin; `None` if the file does not start
/// like safetensors. The values are not read.
///
/// # Errors
/// [`TensorFileError`] naming the file.
pub(super) fn header(path: &Path) -> Result<Option<(Metadata, u64)>, TensorFileError> {
    let damaged = |reason: String| TensorFileError::Damaged { path: path.to_owned(), reason };
    let mut file = fs::File::open(path)?;
    let file_length = file.metadata()?.len();
    let mut start = Vec::new();
    (&mut file).take(LENGTH_BYTES + 1).read_to_end(&mut start)?;
    let Some((length, b"{")) = start.split_first_chunk::<8>() else { return Ok(None) };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER.min(file_length - LENGTH_BYTES) {
        return Err(damaged(format!("its header claims {length} bytes")));
    }
    let mut text = start.split_off(LENGTH_BYTES as usize);
    (&mut file).take(length - 1).read_to_end(&mut text)?;
    let header: Metadata = serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
    let begin = LENGTH_BYTES + length;
    let end = header.tensors().values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    if begin.saturating_add(end) > file_length {
        return Err(damaged(format!(
            "it has {file_length} bytes, but its header announces {end} after the first {begin}"
        )));
    }
    Ok(Some((header, begin)))
}

/// Whether the header of a file has zscape's note.
pub(super) fn has_note(path: &Path) -> bool {
    let has_key = |header: &Metadata| header.metadata().as_ref().is_some_and(|text| text.contains_key(NOTE));
    matches!(header(path), Ok(Some((header, _))) if has_key(&header))
}

/// Converts little-endian bytes of type `kind` to `f32`; `None` if the type is not a floating-point type.
pub(super) fn floats(bytes: &[u8], kind: Dtype) -> Option<Vec<f32>> {
    Some(match kind {
        Dtype::F64 => bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32).collect(),
        Dtype::F32 => bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
        Dtype::F16 => bytes.as_chunks().0.iter().map(|b| f16::from_le_bytes(*b).to_f32()).collect(),
        Dtype::BF16 => bytes.as_chunks().0.iter().map(|b| bf16::from_le_bytes(*b).to_f32()).collect(),
        _ => return None,
    })
}

/// A safetensors file in memory: named `f32` arrays and a note.
#[derive(Debug, Default, Clone)]
pub struct TensorFile {
    /// Shape and row-major values by name.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// The note: a single metadata entry, so that equal contents give equal bytes.
    pub note: Option<String>,
}

impl TensorFile {
    /// Reads a file. Half-precision values are converted to `f32`.
    ///
    /// # Errors
    /// [`TensorFileError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        Self::from_bytes(&fs::read(path)?, path)
    }

    /// Parses the bytes of a file; `path` only appears in errors.
    ///
    /// # Errors
    /// [`TensorFileError::Damaged`] if the bytes are not safetensors.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, TensorFileError> {
        let damaged = |reason: String| TensorFileError::Damaged { path: path.to_owned(), reason };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
        let parsed = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in parsed.tensors() {
            // zscape itself writes no doubles.
            let single = (view.dtype() != Dtype::F64).then(|| floats(view.data(), view.dtype())).flatten();
            let values = single.ok_or_else(|| {
                damaged(format!("tensor {name} is {:?}, but only f32, f16 and bf16 are supported", view.dtype()))
            })?;
            tensors.insert(name, (view.shape().to_vec(), values));
        }
        let note = header.metadata().as_ref().and_then(|text| text.get(NOTE).cloned());
        Ok(Self { tensors, note })
    }

    /// Adds the values of `tensor` as `name` with `shape`. Waits for the device.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] if the values cannot be read from the device.
    pub fn put(&mut self, name: String, shape: &[usize], tensor: &Tensor<1>) -> Result<(), TensorFileError> {
        match tensor.try_to_data() {
            Ok(data) => {
                self.tensors.insert(name, (shape.to_vec(), data.iter::<f32>().collect()));
                Ok(())
            }
            Err(error) => Err(TensorFileError::Device { name, reason: error.to_string() }),
        }
    }

    /// Removes the tensor `name`, which must have `shape`, and returns its values; `path` only appears in errors.
    ///
    /// # Errors
    /// [`TensorFileError::Mismatch`] if it is missing or has another shape.
    pub fn take(&mut self, name: &str, shape: &[usize], path: &Path) -> Result<Vec<f32>, TensorFileError> {
        let mismatch = |mismatch| TensorFileError::Mismatch { path: path.to_owned(), mismatch };
        match self.tensors.remove(name) {
            Some((stored, values)) if stored == shape => Ok(values),
            Some((stored, _)) => Err(mismatch(format!("{name} is {stored:?}, not {shape:?}"))),
            None => Err(mismatch(format!("{name} {shape:?} is missing"))),
        }
    }

    /// Serializes the file; `half` stores 16-bit floats.
    pub fn to_bytes(&self, half: bool) -> Vec<u8> {
        let packed: Vec<(&String, &Vec<usize>, Vec<u8>)> = self
            .tensors
            .iter()
            .map(|(name, (shape, values))| {
                let bytes = if half {
                    values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect()
                } else {
                    values.iter().flat_map(|v| v.to_le_bytes()).collect()
                };
                (name, shape, bytes)
            })
            .collect();
        let dtype = if half { Dtype::F16 } else { Dtype::F32 };
        let views = packed.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(dtype, (*shape).clone(), bytes).expect("the bytes were made from the values");
            (name.as_str(), view)
        });
        let text = self.note.iter().map(|note| (NOTE.to_owned(), note.clone())).collect::<HashMap<_, _>>();
        safetensors::serialize(views, Some(text)).expect("names and shapes are valid")
    }

    /// Writes the file atomically and syncs it to disk; `half` stores 16-bit floats.
    ///
    /// # Errors
    /// [`TensorFileError::Io`] naming the file.
    pub fn write(&self, path: &Path, half: bool) -> Result<(), TensorFileError> {
        files::write(path, |file| file.write_all(&self.to_bytes(half)).and_then(|()| file.sync_all()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_written_file_reads_back_equal(
            values in prop::collection::vec(-1e6f32..1e6, 1..50),
            name in "[a-z.0-9]{1,20}",
            note in ".{0,40}",
        ) {
            let mut file = TensorFile::default();
            file.tensors.insert(name, (vec![values.len()], values));
            file.note = Some(note);
            let back = TensorFile::from_bytes(&file.to_bytes(false), Path::new("x")).unwrap();
            prop_assert_eq!(back.tensors, file.tensors);
            prop_assert_eq!(back.note, file.note);
        }

        #[test]
        fn damaged_bytes_give_an_error_and_never_a_panic(cut in 0usize..200, noise in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut file = TensorFile::default();
            file.tensors.insert("w".into(), (vec![20], vec![0.5; 20]));
            let bytes = file.to_bytes(false);
            let cut = cut.min(bytes.len() - 1);
            prop_assert!(TensorFile::from_bytes(&bytes[..cut], Path::new("x")).is_err());
            let _ = TensorFile::from_bytes(&noise, Path::new("x"));
        }
    }

    #[test]
    fn half_precision_is_close() {
        let mut file = TensorFile::default();
        file.tensors.insert("w".into(), (vec![3], vec![0.1, -0.02, 1.5]));
        let back = TensorFile::from_bytes(&file.to_bytes(true), Path::new("x")).unwrap();
        for (a, b) in back.tensors["w"].1.iter().zip([0.1, -0.02, 1.5]) {
            assert!((a - b).abs() < 1e-3);
        }
    }
}
