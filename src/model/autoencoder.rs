//! A small autoencoder of pictures, for hashes of them (section 4.1).

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::layer::{Initialiser, Layer};

/// Fully connected: values to a code of rectified units, and back.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    /// `encode`, then `decode`.
    pub layers: Vec<Layer>,
}

impl Autoencoder {
    /// One of `values` values and `code` units, with weights drawn by `seed`.
    pub fn new(values: usize, code: usize, seed: u64, device: &Device) -> Self {
        let from = &mut Initialiser::new(seed, 5, device);
        let Ok(encode) = Layer::build(from, "encode", vec![values, code], None, Some(code), None);
        let Ok(decode) = Layer::build(from, "decode", vec![code, values], None, Some(values), None);
        Self { layers: vec![encode, decode] }
    }

    /// The code `[batch, code]` of pictures `[batch, values]` before its rectifier.
    pub fn encode(&self, pictures: Tensor<2>) -> Tensor<2> {
        through(&self.layers[0], pictures)
    }

    /// What is made of pictures `[batch, values]`, whose rectified code is multiplied by `mask` `[batch, code]`: zero for
    /// units that are dropped.
    pub fn reconstruct(&self, pictures: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
        through(&self.layers[1], relu(self.encode(pictures)) * mask)
    }
}

fn through(layer: &Layer, x: Tensor<2>) -> Tensor<2> {
    let product = x.matmul(layer.weight.tensor());
    match &layer.bias {
        Some(bias) => product + bias.value.clone().reshape([1, bias.len()]),
        None => product,
    }
}
