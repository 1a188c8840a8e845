//! z's to pictures, in batches that any memory holds.

use burn::tensor::{Device, Tensor, TensorData};

use crate::image::Picture;
use crate::model::{Generator, ModelConfig};

/// Pictures drawn at a time. They do not depend on one another; more at once are no faster and need more memory.
pub(crate) const BATCH: usize = 64;

/// What the device said when it could not draw.
#[derive(Debug, thiserror::Error)]
#[error("the device failed while drawing: {0}")]
pub struct DrawError(String);

/// z's as a tensor `[count, z_dim]`.
pub fn tensor(z: &[Vec<f32>], device: &Device) -> Tensor<2> {
    let z_dim = z.first().map_or(0, Vec::len);
    Tensor::from_data(TensorData::new(z.concat(), [z.len(), z_dim]), device)
}

/// Values `[count, channels, size, size]` in [-1, 1] that the generator draws of `z`.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn values(generator: &Generator, z: &[Vec<f32>], device: &Device) -> Result<Vec<f32>, DrawError> {
    let mut drawn = Vec::with_capacity(z.len() * generator.config().values());
    for part in z.chunks(BATCH) {
        drawn.extend(read(generator.sample(tensor(part, device)))?);
    }
    Ok(drawn)
}

/// The pictures the generator draws of `z`.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn pictures(generator: &Generator, z: &[Vec<f32>], device: &Device) -> Result<Vec<Picture>, DrawError> {
    Ok(unpacked(&values(generator, z, device)?, generator.config()))
}

/// Values `[count, channels, size, size]` in [-1, 1] as pictures.
pub(crate) fn unpacked(values: &[f32], config: &ModelConfig) -> Vec<Picture> {
    let picture = |values: &[f32]| Picture::from_chw(values, config.channels, config.size, config.size);
    values.chunks_exact(config.values()).map(picture).collect()
}

/// Reads a tensor's numbers back, row-major.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub(crate) fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, DrawError> {
    let data = tensor.try_into_data().map_err(|cause| DrawError(cause.to_string()))?;
    data.try_into_vec::<f32>().map_err(|cause| DrawError(cause.to_string()))
}
