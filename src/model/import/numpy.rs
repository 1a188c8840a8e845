//! Networks as the DCGAN authors saved them: a folder with one numbered `.npy` file per parameter.

use fs_err::File;
use std::collections::HashMap;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::ImportError;
use super::tensor_source::TensorSource;
use fs_err as fs;

/// Maximum number of folder entries searched for arrays.
const MAX_ENTRIES: usize = 10_000;
/// Maximum depth of the search.
const MAX_DEPTH: usize = 4;

/// The first folder at or below `path` with at least `at_least` arrays.
pub(super) fn find(path: &Path, at_least: usize) -> Option<PathBuf> {
    let entries = walkdir::WalkDir::new(path).max_depth(MAX_DEPTH).sort_by_file_name().into_iter().flatten();
    let mut counts: HashMap<PathBuf, usize> = HashMap::new();
    for entry in entries.take(MAX_ENTRIES).filter(|entry| entry.path().extension().is_some_and(|end| end == "npy")) {
        let folder = entry.path().parent()?.to_owned();
        let count = counts.entry(folder.clone()).or_default();
        *count += 1;
        if *count == at_least {
            return Some(folder);
        }
    }
    None
}

/// Opens the arrays of a folder, or of a folder inside it, under names like other formats': `200_gen_params.0.weight`,
/// then those of its batch norm.
///
/// The authors number the arrays in layer order: a weight, then the gain and shift of its batch norm, if any.
///
/// # Errors
/// [`ImportError`] naming the folder.
pub(super) fn folder(path: &Path) -> Result<TensorSource, ImportError> {
    let Some(path) = find(path, 1) else { return Err(ImportError::NoArrays { path: path.to_owned() }) };
    let mut files: Vec<_> = fs::read_dir(&path)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|end| end == "npy"))
        .collect();
    files.sort_by(|a, b| natord::compare(&a.to_string_lossy(), &b.to_string_lossy()));
    let mut named = HashMap::new();
    let (mut network, mut layer, mut vectors) = (String::new(), 0, 0);
    for file in files {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let of =
            stem.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(['_', '-', '.']).replace('.', "_");
        if of != network {
            (network, layer, vectors) = (of, 0, 0);
        }
        let shape = shape(&file).map_err(|error| ImportError::Array {
            path: path.clone(),
            name: stem.clone(),
            reason: error.to_string(),
        })?;
        let name = if shape.len() > 1 {
            (layer, vectors) = (layer + 1, 0);
            format!("{network}.{layer}.weight")
        } else {
            vectors += 1;
            let part = ["weight", "bias", "running_mean", "running_var"].get(vectors - 1).copied().unwrap_or("more");
            format!("{network}.{layer}.norm.{part}")
        };
        named.insert(name, file);
    }
    Ok(TensorSource::Numpy(named))
}

fn open(file: &Path) -> io::Result<npyz::NpyFile<BufReader<File>>> {
    let opened = File::open(file)?;
    let bytes = opened.metadata()?.len();
    let npy = npyz::NpyFile::new(BufReader::new(opened))?;
    let length = npy.shape().iter().try_fold(1u64, |length, side| length.checked_mul(*side));
    if length.is_none_or(|length| length > bytes) {
        return Err(io::Error::other(format!("its header claims {:?} values, but it has {bytes} bytes", npy.shape())));
    }
    Ok(npy)
}

/// Reads the shape of an array from its header.
pub(super) fn shape(file: &Path) -> io::Result<Vec<usize>> {
    Ok(open(file)?.shape().iter().map(|&side| side as usize).collect())
}

/// Reads the values of an array, row-major.
pub(super) fn values(file: &Path) -> io::Result<Vec<f32>> {
    let npy = open(file)?;
    if npy.order() != npyz::Order::C && npy.shape().len() > 1 {
        return Err(io::Error::other("it is in Fortran order; save it with numpy.ascontiguousarray"));
    }
    match npy.try_data::<f32>() {
        Ok(values) => values.collect(),
        Err(npy) => match npy.try_data::<f64>() {
            Ok(values) => values.map(|value| value.map(|value| value as f32)).collect(),
            Err(_) => Err(io::Error::other("its values are neither float32 nor float64")),
        },
    }
}
