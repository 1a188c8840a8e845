//! Conversion between pictures and tensors of values in [-1, 1].

use std::borrow::Borrow;

use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;

use super::ModelConfig;
use crate::image::Picture;

/// The values `[pictures, channels, size, size]` in [-1, 1] of pictures of the same size and channels.
pub(crate) fn picture_values<P: Borrow<Picture> + Sync>(pictures: &[P]) -> Vec<f32> {
    let length = pictures.first().map_or(1, |picture| picture.borrow().pixels().len());
    let mut values = vec![0.0; pictures.len() * length];
    let rows = values.par_chunks_exact_mut(length).zip(pictures);
    rows.for_each(|(values, picture)| picture.borrow().write_chw(values));
    values
}

/// [`picture_values`] as a tensor on a device, for networks of `config`.
pub(crate) fn picture_tensor<P: Borrow<Picture> + Sync>(
    pictures: &[P],
    config: &ModelConfig,
    device: &Device,
) -> Tensor<4> {
    let shape = [pictures.len(), config.channels, config.size, config.size];
    Tensor::from_data(TensorData::new(picture_values(pictures), shape), device)
}

/// The pictures of values `[pictures, channels, size, size]` in [-1, 1], as networks of `config` give them.
pub(crate) fn pictures_from_values(values: &[f32], config: &ModelConfig) -> Vec<Picture> {
    let picture = |values: &[f32]| Picture::from_chw(values, config.channels, config.size, config.size);
    values.chunks_exact(config.values()).map(picture).collect()
}
