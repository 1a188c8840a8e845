//! Arithmetic on feature maps: sums of the generator's hidden activations, between arithmetic on z (figure 7) and
//! arithmetic on pixels.

use burn::tensor::{Device, Tensor, TensorData};

use super::arithmetic::Term;
use super::sampling::z_tensor;
use crate::device::{ComputeError, read_tensor};
use crate::image::Picture;
use crate::model::{Generator, pictures_from_values};

/// Pictures of sums of feature maps. Each term contributes the mean of its exemplars' activations in hidden layer
/// `layer` (0 is the projection), and the layers after it turn each sum into a picture.
///
/// # Errors
/// [`ComputeError`] if the device fails.
///
/// # Panics
/// If `layer` is not a hidden layer.
pub fn generate_from_feature_sums(
    generator: &Generator,
    sums: &[&[Term]],
    layer: usize,
    device: &Device,
) -> Result<Vec<Picture>, ComputeError> {
    match feature_sum_tensor(generator, sums, layer, device) {
        Some(values) => Ok(pictures_from_values(&read_tensor(values)?, generator.config())),
        None => Ok(Vec::new()),
    }
}

/// The pictures of [`generate_from_feature_sums`] as a tensor `[sums, channels, size, size]` on the device. `None` if
/// the sums have no exemplars.
///
/// # Panics
/// If `layer` is not a hidden layer.
pub fn feature_sum_tensor(generator: &Generator, sums: &[&[Term]], layer: usize, device: &Device) -> Option<Tensor<4>> {
    let exemplars: Vec<Vec<f32>> = sums.iter().copied().flatten().flat_map(|term| term.exemplars.clone()).collect();
    if exemplars.is_empty() {
        return None;
    }
    // A matrix [sums, exemplars] of coefficients, zero for the exemplars of other sums.
    let mut coefficients = vec![0.0; sums.len() * exemplars.len()];
    let mut start = 0;
    for (sum, row) in sums.iter().zip(coefficients.chunks_mut(exemplars.len())) {
        for term in *sum {
            let end = start + term.exemplars.len();
            row[start..end].fill(term.sign() / term.exemplars.len() as f32);
            start = end;
        }
    }
    let coefficients = Tensor::<2>::from_data(TensorData::new(coefficients, [sums.len(), exemplars.len()]), device);
    let features = generator.features(z_tensor(&exemplars, device), layer);
    let [count, channels, height, width] = features.dims();
    let summed = coefficients.matmul(features.reshape([count, channels * height * width]));
    let summed = summed.reshape([sums.len(), channels, height, width]);
    Some(generator.forward_from(summed, layer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sampling::{generate_pictures, sample_zs};
    use crate::model::Model;

    fn term(minus: bool, exemplars: &[Vec<f32>]) -> Term {
        Term { minus, exemplars: exemplars.to_vec() }
    }

    fn largest_difference(one: &Picture, other: &Picture) -> u8 {
        one.pixels().iter().zip(other.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn later_layers_generate_pictures_from_summed_feature_maps() {
        let device = Device::flex();
        let generator = Model::open("bundled:faces".as_ref(), &device).unwrap().generator;
        let config = generator.config().clone();
        let z = sample_zs(&config, 1, 0..6);
        let samples = generate_pictures(&generator, &z, &device).unwrap();
        for layer in 0..config.stages() {
            // A term that is added and subtracted leaves the third term alone. The two sums of a batch are
            // independent.
            let cancelling = [term(false, &z[..2]), term(true, &z[..2]), term(false, &z[2..3])];
            let average = [term(false, &z[3..6])];
            let sums = generate_from_feature_sums(&generator, &[&cancelling, &average], layer, &device).unwrap();
            assert!(largest_difference(&sums[0], &samples[2]) <= 1, "layer {layer}");
            let maps = generator.features(z_tensor(&z[3..6], &device), layer).mean_dim(0);
            let expected = read_tensor(generator.forward_from(maps, layer)).unwrap();
            assert!(largest_difference(&sums[1], &pictures_from_values(&expected, &config)[0]) <= 1, "layer {layer}");
            assert!(largest_difference(&sums[1], &samples[3]) > 50, "the average of three differs from each of them");
        }
        assert!(generate_from_feature_sums(&generator, &[&[]], 0, &device).unwrap().is_empty());
    }
}
