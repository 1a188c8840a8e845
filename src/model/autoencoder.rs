//! A small fully connected autoencoder whose code is the semantic hash of an image (section 4.1, deduplication).

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};

use super::layer::{Initializer, Layer};

/// One hidden layer of ReLU units (the code) between image values and their reconstruction.
#[derive(Clone, Debug)]
pub struct Autoencoder {
    /// `encode`, then `decode`.
    pub layers: Vec<Layer>,
}

impl Autoencoder {
    /// An autoencoder for images of `values` values with `code` hidden units; `seed` initializes the weights.
    pub fn new(values: usize, code: usize, seed: u64, device: &Device) -> Self {
        let source = &mut Initializer::new(seed, 5, device);
        let Ok(encode) = Layer::build(source, "encode", vec![values, code], None, Some(code), None);
        let Ok(decode) = Layer::build(source, "decode", vec![code, values], None, Some(values), None);
        Self { layers: vec![encode, decode] }
    }

    /// The code `[batch, code]` of images `[batch, values]`, before ReLU.
    pub fn encode(&self, pictures: Tensor<2>) -> Tensor<2> {
        linear(&self.layers[0], pictures)
    }

    /// Reconstructions `[batch, values]` of images `[batch, values]`. `mask` `[batch, code]` multiplies the code after
    /// ReLU: zeros are dropout.
    pub fn reconstruct(&self, pictures: Tensor<2>, mask: Tensor<2>) -> Tensor<2> {
        linear(&self.layers[1], relu(self.encode(pictures)) * mask)
    }
}

/// A fully connected layer on rows `[batch, inputs]`.
fn linear(layer: &Layer, x: Tensor<2>) -> Tensor<2> {
    let product = x.matmul(layer.weight.tensor());
    match &layer.bias {
        Some(bias) => product + bias.value.clone().reshape([1, bias.len()]),
        None => product,
    }
}
