//! Arithmetic with feature maps: between z, where the paper adds up, and pixels, where nothing but ghosts comes of it, lie
//! the generator's hidden layers.

use burn::tensor::{Device, Tensor, TensorData};

use super::arithmetic::Term;
use super::draw::{DrawError, read, tensor, unpacked};
use crate::image::Picture;
use crate::model::Generator;

/// Pictures of sums of feature maps: each term is the average of what hidden layer `layer` (0 is the projection) makes of
/// its exemplars, and the later layers draw from the sum.
///
/// # Errors
/// [`DrawError`] when the device fails.
///
/// # Panics
/// If there is no such hidden layer.
pub fn in_maps(
    generator: &Generator,
    sums: &[&[Term]],
    layer: usize,
    device: &Device,
) -> Result<Vec<Picture>, DrawError> {
    match drawn_in_maps(generator, sums, layer, device) {
        Some(drawn) => Ok(unpacked(&read(drawn)?, generator.config())),
        None => Ok(Vec::new()),
    }
}

/// What [`in_maps`] reads back, `[sums, channels, size, size]`, still on the device; nothing where the sums have no exemplars.
///
/// # Panics
/// If there is no such hidden layer.
pub fn drawn_in_maps(generator: &Generator, sums: &[&[Term]], layer: usize, device: &Device) -> Option<Tensor<4>> {
    let exemplars: Vec<Vec<f32>> = sums.iter().copied().flatten().flat_map(|term| term.exemplars.clone()).collect();
    if exemplars.is_empty() {
        return None;
    }
    // Each sum is a row of shares of all exemplars, most of them none.
    let mut shares = vec![0.0; sums.len() * exemplars.len()];
    let mut at = 0;
    for (sum, shares) in sums.iter().zip(shares.chunks_mut(exemplars.len())) {
        for term in *sum {
            let next = at + term.exemplars.len();
            shares[at..next].fill(term.sign() / term.exemplars.len() as f32);
            at = next;
        }
    }
    let shares = Tensor::<2>::from_data(TensorData::new(shares, [sums.len(), exemplars.len()]), device);
    let maps = generator.features(tensor(&exemplars, device), layer);
    let [count, channels, height, width] = maps.dims();
    let added = shares.matmul(maps.reshape([count, channels * height * width]));
    let added = added.reshape([sums.len(), channels, height, width]);
    Some(generator.finish(added, layer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::{pictures, samples};
    use crate::model::Model;

    fn term(minus: bool, exemplars: &[Vec<f32>]) -> Term {
        Term { minus, exemplars: exemplars.to_vec() }
    }

    fn farthest(one: &Picture, other: &Picture) -> u8 {
        one.pixels().iter().zip(other.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
    }

    #[test]
    fn sums_of_maps_are_drawn_by_the_later_layers() {
        let device = Device::flex();
        let generator = Model::open("bundled:faces".as_ref(), &device).unwrap().generator;
        let config = generator.config().clone();
        let z = samples(&config, 1, 0..6);
        let drawn = pictures(&generator, &z, &device).unwrap();
        for layer in 0..config.stages() {
            // What is added and taken away again leaves the other one; two sums in one batch do not meet.
            let there_and_back = [term(false, &z[..2]), term(true, &z[..2]), term(false, &z[2..3])];
            let average = [term(false, &z[3..6])];
            let sums = in_maps(&generator, &[&there_and_back, &average], layer, &device).unwrap();
            assert!(farthest(&sums[0], &drawn[2]) <= 1, "layer {layer}");
            let maps = generator.features(tensor(&z[3..6], &device), layer).mean_dim(0);
            let wanted = read(generator.finish(maps, layer)).unwrap();
            assert!(farthest(&sums[1], &unpacked(&wanted, &config)[0]) <= 1, "layer {layer}");
            assert!(farthest(&sums[1], &drawn[3]) > 50, "an average of three is none of them");
        }
        assert!(in_maps(&generator, &[&[]], 0, &device).unwrap().is_empty());
    }
}
