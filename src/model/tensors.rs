//! Named arrays of numbers in a safetensors file, with a note beside them.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Tensor;
use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};

use crate::files;

/// The key of the note among safetensors' free metadata.
const NOTE: &str = "zscape";
/// Bytes of the header's length, with which a file begins, and the longest header that the format allows.
const START: u64 = 8;
const HEADER: u64 = 100_000_000;

/// Why a file of tensors could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TensorFileError {
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// The file is not safetensors, or was cut short.
    #[error("{path} is not a whole safetensors file ({cause}); it may be damaged or only half copied")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        cause: String,
    },
    /// A tensor that should be there is not, or has another shape.
    #[error("{path} holds another network than its config says: {what}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Which tensor, and how it differs.
        what: String,
    },
    /// The device failed before it gave a tensor's values.
    #[error("the device failed while {name} was read from it: {cause}")]
    Device {
        /// The tensor.
        name: String,
        /// What the device said.
        cause: String,
    },
}

/// The header of a safetensors file and where its values begin; none where the file does not begin as one. Nothing else is
/// read, however large the file is.
///
/// # Errors
/// [`TensorFileError`] naming the file.
pub(super) fn header(path: &Path) -> Result<Option<(Metadata, u64)>, TensorFileError> {
    let io = |cause| TensorFileError::Io { path: path.to_owned(), cause };
    let damaged = |cause: String| TensorFileError::Damaged { path: path.to_owned(), cause };
    let mut file = File::open(path).map_err(io)?;
    let whole = file.metadata().map_err(io)?.len();
    let mut start = Vec::new();
    (&mut file).take(START + 1).read_to_end(&mut start).map_err(io)?;
    let Some((length, b"{")) = start.split_first_chunk::<8>() else { return Ok(None) };
    let length = u64::from_le_bytes(*length);
    if length > HEADER.min(whole - START) {
        return Err(damaged(format!("its header claims {length} bytes")));
    }
    let mut text = start.split_off(START as usize);
    (&mut file).take(length - 1).read_to_end(&mut text).map_err(io)?;
    let header: Metadata = serde_json::from_slice(&text).map_err(|cause| damaged(cause.to_string()))?;
    let begin = START + length;
    let end = header.tensors().values().map(|info| info.data_offsets.1 as u64).max().unwrap_or(0);
    if begin.saturating_add(end) > whole {
        return Err(damaged(format!("it has {whole} bytes, and its header speaks of {end} after {begin}")));
    }
    Ok(Some((header, begin)))
}

/// Whether a file is one that the program wrote itself, by its header.
pub(super) fn has_note(path: &Path) -> bool {
    let noted = |header: &Metadata| header.metadata().as_ref().is_some_and(|text| text.contains_key(NOTE));
    matches!(header(path), Ok(Some((header, _))) if noted(&header))
}

/// Values of little-endian bytes; none if they are not floating-point numbers.
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
    /// Name to shape and values, row-major.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// What the header says of them: one text, so that equal contents are equal bytes.
    pub note: Option<String>,
}

impl TensorFile {
    /// Reads a file; half-precision numbers are widened.
    ///
    /// # Errors
    /// [`TensorFileError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, TensorFileError> {
        let bytes = std::fs::read(path).map_err(|cause| TensorFileError::Io { path: path.to_owned(), cause })?;
        Self::from_bytes(&bytes, path)
    }

    /// Reads a file's bytes; `path` is only named in errors.
    ///
    /// # Errors
    /// [`TensorFileError::Damaged`] when they are not safetensors.
    pub fn from_bytes(bytes: &[u8], path: &Path) -> Result<Self, TensorFileError> {
        let damaged = |cause: String| TensorFileError::Damaged { path: path.to_owned(), cause };
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
        let parsed = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in parsed.tensors() {
            // The program itself writes no doubles.
            let ours = (view.dtype() != Dtype::F64).then(|| floats(view.data(), view.dtype())).flatten();
            let values = ours
                .ok_or_else(|| damaged(format!("tensor {name} is {:?}; f32, f16 and bf16 are known", view.dtype())))?;
            tensors.insert(name, (view.shape().to_vec(), values));
        }
        let note = header.metadata().as_ref().and_then(|text| text.get(NOTE).cloned());
        Ok(Self { tensors, note })
    }

    /// Puts in the values of `tensor` as `name`, `shape` being what they stand for; waits for the device.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] when the values cannot be read from it.
    pub fn put(&mut self, name: String, shape: &[usize], tensor: &Tensor<1>) -> Result<(), TensorFileError> {
        match tensor.try_to_data() {
            Ok(data) => {
                self.tensors.insert(name, (shape.to_vec(), data.iter::<f32>().collect()));
                Ok(())
            }
            Err(cause) => Err(TensorFileError::Device { name, cause: cause.to_string() }),
        }
    }

    /// Takes the tensor `name` of `shape` out.
    ///
    /// # Errors
    /// [`TensorFileError::Mismatch`] when it is missing or differently shaped.
    pub fn take(&mut self, name: &str, shape: &[usize], path: &Path) -> Result<Vec<f32>, TensorFileError> {
        let mismatch = |what| TensorFileError::Mismatch { path: path.to_owned(), what };
        match self.tensors.remove(name) {
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => Err(mismatch(format!("{name} is {found:?}, not {shape:?}"))),
            None => Err(mismatch(format!("{name} {shape:?} is missing"))),
        }
    }

    /// The file's bytes; `half` stores 16-bit floats.
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

    /// Writes the file beside its place, makes sure it is on disk, and renames it into place.
    ///
    /// # Errors
    /// [`TensorFileError::Io`] naming the file.
    pub fn write(&self, path: &Path, half: bool) -> Result<(), TensorFileError> {
        files::write(path, |file| file.write_all(&self.to_bytes(half)).and_then(|()| file.sync_all()))
            .map_err(|cause| TensorFileError::Io { path: path.to_owned(), cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_reads_back_equal(
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
        fn damaged_bytes_are_an_error_and_never_a_panic(cut in 0usize..200, noise in prop::collection::vec(any::<u8>(), 0..64)) {
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
