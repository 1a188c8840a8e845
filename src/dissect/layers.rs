//! Every layer's feature maps for one picture, with shape and statistics.

use std::borrow::Borrow;

use burn::tensor::{Device, Tensor, TensorData};

use crate::image::{Picture, Sheet, grid};
use crate::latent::{self, DrawError};
use crate::model::{Discriminator, Generator, ModelConfig};

/// The feature maps of one layer for one picture, after its rectifier.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMaps {
    /// The layer's name: `up2`.
    pub name: String,
    /// Width and height.
    pub side: usize,
    /// Each map `[side, side]`.
    pub maps: Vec<Vec<f32>>,
}

/// What a layer's activations are like.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Summary {
    /// Mean of all.
    pub mean: f32,
    /// The largest.
    pub largest: f32,
    /// Share of places where a map is positive.
    pub active: f32,
    /// Maps that are nowhere positive.
    pub silent: usize,
}

impl LayerMaps {
    /// Statistics of the activations.
    pub fn summary(&self) -> Summary {
        let values = || self.maps.iter().flatten().copied();
        let count = values().count().max(1) as f32;
        Summary {
            mean: values().sum::<f32>() / count,
            largest: values().fold(f32::MIN, f32::max),
            active: values().filter(|&v| v > 0.0).count() as f32 / count,
            silent: self.maps.iter().filter(|map| map.iter().all(|&v| v <= 0.0)).count(),
        }
    }

    /// The maps as grey pictures: black is zero and less, white the layer's largest activation; by square roots, since few
    /// places come near the largest.
    pub fn pictures(&self) -> Vec<Picture> {
        let largest = self.summary().largest.max(f32::MIN_POSITIVE);
        let shade = |&v: &f32| ((v / largest).clamp(0.0, 1.0).sqrt() * 255.0).round() as u8;
        self.maps.iter().map(|map| Picture::new(self.side, self.side, 1, map.iter().map(shade).collect())).collect()
    }
}

/// The generator's feature maps of the sample at `z` `[z_dim]`, and its picture.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn of_generator(generator: &Generator, z: &[f32], device: &Device) -> Result<(Vec<LayerMaps>, Picture), DrawError> {
    let config = generator.config();
    let (layers, pictures) = generator.inside(latent::tensor(&[z.to_vec()], device));
    let names = generator.layers().iter().map(|layer| &layer.weight.name);
    let maps = names.zip(layers).map(|(name, maps)| first(name, maps)).collect::<Result<_, _>>()?;
    let values = latent::read(pictures)?;
    Ok((maps, Picture::from_chw(&values, config.channels, config.size, config.size)))
}

/// The discriminator's feature maps of `picture`, and its logit.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn of_discriminator(
    discriminator: &Discriminator,
    picture: &Picture,
    device: &Device,
) -> Result<(Vec<LayerMaps>, f32), DrawError> {
    let (layers, logits) = discriminator.inside(tensor(&[picture], discriminator.config(), device));
    let names = discriminator.layers.iter().map(|layer| &layer.weight.name);
    let maps = names.zip(layers).map(|(name, maps)| first(name, maps)).collect::<Result<_, _>>()?;
    Ok((maps, latent::read(logits)?[0]))
}

/// The logit of `picture` as it is, without map `map` of convolution `layer`, and with that map doubled.
///
/// # Errors
/// As [`of_discriminator`].
pub fn without_map(
    discriminator: &Discriminator,
    picture: &Picture,
    (layer, map): (usize, usize),
    device: &Device,
) -> Result<[f32; 3], DrawError> {
    let pictures = tensor(&[picture], discriminator.config(), device);
    let mut logits = [0.0; 3];
    for (logit, gain) in logits.iter_mut().zip([1.0, 0.0, 2.0]) {
        *logit = latent::read(discriminator.judge_with(pictures.clone(), (layer, map), gain))?[0];
    }
    Ok(logits)
}

fn first(weight: &str, maps: Tensor<4>) -> Result<LayerMaps, DrawError> {
    let [_, _, side, _] = maps.dims();
    let values = latent::read(maps)?;
    let name = weight.trim_end_matches(".weight").to_owned();
    Ok(LayerMaps { name, side, maps: values.chunks_exact(side * side).map(<[f32]>::to_vec).collect() })
}

/// Pictures as networks see them, `[count, channels, size, size]`.
pub(super) fn tensor<P: Borrow<Picture>>(pictures: &[P], config: &ModelConfig, device: &Device) -> Tensor<4> {
    let mut values = vec![0.0; pictures.len() * config.values()];
    for (picture, values) in pictures.iter().zip(values.chunks_exact_mut(config.values())) {
        picture.borrow().write_chw(values);
    }
    let shape = [pictures.len(), config.channels, config.size, config.size];
    Tensor::from_data(TensorData::new(values, shape), device)
}

/// How strongly each map of a hidden layer answers to each of `z`, at its strongest place: `[z][map]`.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn peaks(generator: &Generator, z: &[Vec<f32>], layer: usize, device: &Device) -> Result<Vec<Vec<f32>>, DrawError> {
    let mut peaks = Vec::with_capacity(z.len());
    for part in z.chunks(latent::BATCH) {
        peaks.extend(largest(generator.features(latent::tensor(part, device), layer))?);
    }
    Ok(peaks)
}

/// The same of a convolution of the discriminator to each of `pictures`.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn judged_peaks(
    discriminator: &Discriminator,
    pictures: &[Picture],
    layer: usize,
    device: &Device,
) -> Result<Vec<Vec<f32>>, DrawError> {
    let mut peaks = Vec::with_capacity(pictures.len());
    for part in pictures.chunks(latent::BATCH) {
        let (mut layers, _) = discriminator.inside(tensor(part, discriminator.config(), device));
        peaks.extend(largest(layers.swap_remove(layer))?);
    }
    Ok(peaks)
}

/// The largest value of each map: `[picture][map]`.
fn largest(features: Tensor<4>) -> Result<Vec<Vec<f32>>, DrawError> {
    let [count, maps, side, _] = features.dims();
    let largest = latent::read(features.reshape([count, maps, side * side]).max_dim(2))?;
    Ok(largest.chunks_exact(maps).map(<[f32]>::to_vec).collect())
}

/// The picture, lit where a map `side` wide and high is active: dark where it is zero, as it is where it is at its largest.
pub fn lit(picture: &Picture, map: &[f32], side: usize) -> Picture {
    let largest = map.iter().copied().fold(0.0, f32::max).max(f32::MIN_POSITIVE);
    let (width, channels) = (picture.width(), picture.channels());
    let light = |pixel: usize| {
        let (x, y) = (pixel % width * side / width, pixel / width * side / picture.height());
        0.15 + 0.85 * (map[y * side + x] / largest).clamp(0.0, 1.0).sqrt()
    };
    let pixels = picture.pixels().iter().enumerate().map(|(i, &byte)| (f32::from(byte) * light(i / channels)) as u8);
    Picture::new(width, picture.height(), channels, pixels.collect())
}

/// A sheet of strips, a layer each under the picture, as wide as fits `width` pixels at most.
pub fn sheet(picture: &Picture, layers: &[LayerMaps], width: usize) -> Picture {
    /// Pixels of a map at least, between maps, and between layers.
    const LEAST: usize = 32;
    const GAP: usize = 1;
    const APART: usize = 8;
    let mut blocks = vec![picture.enlarged(128 / picture.width().max(1))];
    for layer in layers {
        let zoom = LEAST.div_ceil(layer.side);
        let pictures: Vec<_> = layer.pictures().iter().map(|picture| picture.enlarged(zoom)).collect();
        blocks.push(grid(&pictures, (width + GAP) / (layer.side * zoom + GAP), GAP));
    }
    let height = blocks.iter().map(|block| block.height() + APART).sum::<usize>() - APART;
    let across = blocks.iter().map(Picture::width).max().unwrap_or(0);
    let mut sheet = Sheet::new(across, height, picture.channels());
    let mut y = 0;
    for block in &blocks {
        sheet.put(block, 0, y);
        y += block.height() + APART;
    }
    sheet.into_picture()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::numbered;
    use crate::model::Preset;

    #[test]
    fn every_layer_is_shown_with_its_shape_and_statistics() {
        let config = ModelConfig { size: 16, base: 4, z_dim: 6, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let generator = Generator::new(&config, 5, &device);
        let z: Vec<_> = (0..3).map(|n| numbered(config.prior, 6, 1, n)).collect();
        let (maps, picture) = of_generator(&generator, &z[0], &device).unwrap();
        let shapes: Vec<_> = maps.iter().map(|layer| (layer.name.as_str(), layer.maps.len(), layer.side)).collect();
        assert_eq!(shapes, [("project", 8, 4), ("up1", 4, 8)]);
        assert_eq!(picture, latent::pictures(&generator, &z[..1], &device).unwrap()[0]);
        let judge = Discriminator::new(&config, 5, &device);
        let (seen, logit) = of_discriminator(&judge, &picture, &device).unwrap();
        let shapes: Vec<_> = seen.iter().map(|layer| (layer.name.as_str(), layer.maps.len(), layer.side)).collect();
        assert_eq!(shapes, [("down1", 4, 8), ("down2", 8, 4)]);
        assert!(logit.is_finite());
        let peaks = peaks(&generator, &z, 1, &device).unwrap();
        for (map, peak) in maps[1].maps.iter().zip(&peaks[0]) {
            assert!((map.iter().copied().fold(0.0, f32::max) - peak).abs() < 1e-5);
        }
        let sheet = sheet(&picture, &maps, 100);
        // Eight and four maps of 32 pixels, three in a row, under the picture enlarged eight times.
        assert_eq!((sheet.width(), sheet.height()), (128, 128 + 8 + (3 * 32 + 2) + 8 + (2 * 32 + 1)));
    }

    #[test]
    fn a_summary_tells_what_is_silent() {
        let layer = LayerMaps { name: "up1".into(), side: 1, maps: vec![vec![0.0], vec![3.0], vec![-1.0]] };
        let told = layer.summary();
        assert_eq!((told.largest, told.silent), (3.0, 2));
        assert!((told.active - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(layer.pictures()[1].pixels(), [255]);
        let lit = lit(&Picture::new(2, 1, 1, vec![200, 200]), &[0.0, 4.0, 0.0, 0.0], 2);
        assert_eq!(lit.pixels(), [30, 200]);
    }
}
