//! Reads and writes NumPy files.

use std::io::{BufReader, BufWriter, Write};
use std::path::Path;

use anyhow::{Context, bail};
use npyz::WriterBuilder;

use crate::files;

/// Reads z's from a float32 array `[n, z_dim]`.
///
/// # Errors
/// With the file's path, if it is not such an array or has values that are infinite or NaN.
pub(super) fn read_z(path: &Path, z_dim: usize) -> anyhow::Result<Vec<Vec<f32>>> {
    let named = || format!("cannot read {} as a NumPy file of float32", path.display());
    let file = fs_err::File::open(path)?;
    let npy = npyz::NpyFile::new(BufReader::new(file)).with_context(named)?;
    let shape = npy.shape().to_vec();
    if shape.len() != 2 || shape[1] != z_dim as u64 || shape[0] == 0 {
        bail!("{} has shape {shape:?}; this model's z's are [n, {z_dim}]", path.display());
    }
    if npy.order() != npyz::Order::C {
        bail!("{} is in Fortran order; convert it with numpy.ascontiguousarray", path.display());
    }
    let values = npy.into_vec::<f32>().with_context(named)?;
    if values.iter().any(|value| !value.is_finite()) {
        bail!("{} has values that are infinite or NaN", path.display());
    }
    Ok(values.chunks_exact(z_dim).map(<[f32]>::to_vec).collect())
}

/// Writes a float32 array in C order.
pub(super) fn write(path: &Path, shape: &[u64], values: &[f32]) -> anyhow::Result<()> {
    let write = |file: &mut std::fs::File| -> std::io::Result<()> {
        let mut out = BufWriter::new(file);
        let mut writer = npyz::WriteOptions::new().default_dtype().shape(shape).writer(&mut out).begin_nd()?;
        writer.extend(values.iter().copied())?;
        writer.finish()?;
        out.flush()
    };
    Ok(files::write(path, write)?)
}
