//! The DCGAN authors' way to keep networks: a folder with one `.npy` file for each parameter, numbered.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use super::ImportError;
use super::store::Store;

/// Entries of a folder that are looked at for arrays, and how deep.
const LOOKED_AT: usize = 10_000;
const DEPTH: usize = 4;

/// The folder in `path`, or `path` itself, that holds a network's arrays: the first with so many of them.
pub(super) fn find(path: &Path, at_least: usize) -> Option<PathBuf> {
    let entries = walkdir::WalkDir::new(path).max_depth(DEPTH).sort_by_file_name().into_iter().flatten();
    let mut counts: HashMap<PathBuf, usize> = HashMap::new();
    for entry in entries.take(LOOKED_AT).filter(|entry| entry.path().extension().is_some_and(|end| end == "npy")) {
        let folder = entry.path().parent()?.to_owned();
        let count = counts.entry(folder.clone()).or_default();
        *count += 1;
        if *count == at_least {
            return Some(folder);
        }
    }
    None
}

/// A folder's arrays, or those of a folder in it, under the names that other files have: `200_gen_params.0.weight`, then its batch norm's.
///
/// The authors' order is that of the layers, each a weight and then, where there is batch norm, its gain and shift.
///
/// # Errors
/// [`ImportError`] naming the folder.
pub(super) fn folder(path: &Path) -> Result<Store, ImportError> {
    let io = |cause| ImportError::Io { path: path.to_owned(), cause };
    let Some(path) = find(path, 1) else { return Err(ImportError::NoArrays { path: path.to_owned() }) };
    let mut files: Vec<_> = std::fs::read_dir(&path)
        .map_err(io)?
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
        let shape = shape(&file).map_err(|cause| ImportError::Array {
            path: path.clone(),
            name: stem.clone(),
            cause: cause.to_string(),
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
    Ok(Store::Numpy(named))
}

fn open(file: &Path) -> io::Result<npyz::NpyFile<BufReader<File>>> {
    let opened = File::open(file)?;
    let whole = opened.metadata()?.len();
    let npy = npyz::NpyFile::new(BufReader::new(opened))?;
    let length = npy.shape().iter().try_fold(1u64, |length, side| length.checked_mul(*side));
    if length.is_none_or(|length| length > whole) {
        return Err(io::Error::other(format!("its header claims {:?} values, and it has {whole} bytes", npy.shape())));
    }
    Ok(npy)
}

/// The shape of an array, from its header.
pub(super) fn shape(file: &Path) -> io::Result<Vec<usize>> {
    Ok(open(file)?.shape().iter().map(|&side| side as usize).collect())
}

/// An array's values, row-major.
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
