//! Reading tensors back from a device.

use burn::tensor::Tensor;

/// A device failed while it computed or sent back its results; for example, its driver reset it or it ran out of
/// memory.
#[derive(Debug, thiserror::Error)]
#[error("the device failed while computing: {0}")]
pub struct ComputeError(String);

/// Reads a tensor's values back, row-major. Waits until the device has computed them.
///
/// # Errors
/// [`ComputeError`] if the device fails.
pub fn read_tensor<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, ComputeError> {
    let data = tensor.try_into_data().map_err(|error| ComputeError(error.to_string()))?;
    data.try_into_vec::<f32>().map_err(|error| ComputeError(error.to_string()))
}
