//! The feature maps of every layer for one picture, their statistics, and peak activations over many pictures.

use burn::tensor::{Device, Tensor};

use crate::device::{ComputeError, read_tensor};
use crate::image::{Picture, Sheet, grid};
use crate::latent;
use crate::model::{Discriminator, Generator, picture_tensor};

/// The feature maps of one layer for one picture, after the activation function.
#[derive(Debug, Clone, PartialEq)]
pub struct LayerMaps {
    /// The name of the layer, such as `up2`.
    pub name: String,
    /// Width and height of each map.
    pub side: usize,
    /// The maps, `[side, side]` each.
    pub maps: Vec<Vec<f32>>,
}

/// Statistics of a layer's activations.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct ActivationSummary {
    /// The mean activation.
    pub mean: f32,
    /// The largest activation.
    pub largest: f32,
    /// The share of positive activations.
    pub active: f32,
    /// The number of maps without a positive activation.
    pub silent: usize,
}

impl LayerMaps {
    /// Statistics of the activations.
    pub fn summary(&self) -> ActivationSummary {
        let values = || self.maps.iter().flatten().copied();
        let count = values().count().max(1) as f32;
        ActivationSummary {
            mean: values().sum::<f32>() / count,
            largest: values().fold(f32::MIN, f32::max),
            active: values().filter(|&v| v > 0.0).count() as f32 / count,
            silent: self.maps.iter().filter(|map| map.iter().all(|&v| v <= 0.0)).count(),
        }
    }

    /// Renders the maps in gray, from black (zero or negative) to white (the largest activation of the layer). The
    /// scale is a square root, because few activations come close to the largest.
    pub fn pictures(&self) -> Vec<Picture> {
        let largest = self.summary().largest.max(f32::MIN_POSITIVE);
        let shade = |&v: &f32| ((v / largest).clamp(0.0, 1.0).sqrt() * 255.0).round() as u8;
        self.maps.iter().map(|map| Picture::new(self.side, self.side, 1, map.iter().map(shade).collect())).collect()
    }
}

/// The generator's feature maps for `z` `[z_dim]`, and the picture.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub fn generator_maps(
    generator: &Generator,
    z: &[f32],
    device: &Device,
) -> Result<(Vec<LayerMaps>, Picture), ComputeError> {
    let config = generator.config();
    let (layers, pictures) = generator.forward_features(latent::z_tensor(&[z.to_vec()], device));
    let names = generator.layers().iter().map(|layer| &layer.weight.name);
    let maps = names.zip(layers).map(|(name, maps)| first_maps(name, maps)).collect::<Result<_, _>>()?;
    let values = read_tensor(pictures)?;
    Ok((maps, Picture::from_chw(&values, config.channels, config.size, config.size)))
}

/// The discriminator's feature maps for `picture`, and its logit.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub fn discriminator_maps(
    discriminator: &Discriminator,
    picture: &Picture,
    device: &Device,
) -> Result<(Vec<LayerMaps>, f32), ComputeError> {
    let (layers, logits) = discriminator.forward_features(picture_tensor(&[picture], discriminator.config(), device));
    let names = discriminator.layers.iter().map(|layer| &layer.weight.name);
    let maps = names.zip(layers).map(|(name, maps)| first_maps(name, maps)).collect::<Result<_, _>>()?;
    Ok((maps, read_tensor(logits)?[0]))
}

/// The logit of `picture`, then with map `map` of convolution `layer` multiplied by 0 and by 2.
///
/// # Errors
/// As [`discriminator_maps`].
pub fn logits_with_scaled_map(
    discriminator: &Discriminator,
    picture: &Picture,
    (layer, map): (usize, usize),
    device: &Device,
) -> Result<[f32; 3], ComputeError> {
    let pictures = picture_tensor(&[picture], discriminator.config(), device);
    let mut logits = [0.0; 3];
    for (logit, gain) in logits.iter_mut().zip([1.0, 0.0, 2.0]) {
        *logit = read_tensor(discriminator.logits_with_gain(pictures.clone(), (layer, map), gain))?[0];
    }
    Ok(logits)
}

fn first_maps(weight: &str, maps: Tensor<4>) -> Result<LayerMaps, ComputeError> {
    let [_, _, side, _] = maps.dims();
    let values = read_tensor(maps)?;
    let name = weight.trim_end_matches(".weight").to_owned();
    Ok(LayerMaps { name, side, maps: values.chunks_exact(side * side).map(<[f32]>::to_vec).collect() })
}

/// The largest activation of each map of a hidden layer for each of `z`: `[z][map]`.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub fn generator_peaks(
    generator: &Generator,
    z: &[Vec<f32>],
    layer: usize,
    device: &Device,
) -> Result<Vec<Vec<f32>>, ComputeError> {
    let mut peaks = Vec::with_capacity(z.len());
    for batch in z.chunks(latent::BATCH) {
        peaks.extend(largest(generator.features(latent::z_tensor(batch, device), layer))?);
    }
    Ok(peaks)
}

/// The largest activation of each map of a discriminator convolution for each of `pictures`: `[picture][map]`.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub fn discriminator_peaks(
    discriminator: &Discriminator,
    pictures: &[Picture],
    layer: usize,
    device: &Device,
) -> Result<Vec<Vec<f32>>, ComputeError> {
    let mut peaks = Vec::with_capacity(pictures.len());
    for batch in pictures.chunks(latent::BATCH) {
        let (mut layers, _) = discriminator.forward_features(picture_tensor(batch, discriminator.config(), device));
        peaks.extend(largest(layers.swap_remove(layer))?);
    }
    Ok(peaks)
}

/// The largest value of each map: `[picture][map]`.
fn largest(features: Tensor<4>) -> Result<Vec<Vec<f32>>, ComputeError> {
    let [count, maps, side, _] = features.dims();
    let largest = read_tensor(features.reshape([count, maps, side * side]).max_dim(2))?;
    Ok(largest.chunks_exact(maps).map(<[f32]>::to_vec).collect())
}

/// Highlights in a picture where a map of `side x side` is active. Pixels are dark where it is zero and unchanged
/// where it is largest.
pub fn highlight(picture: &Picture, map: &[f32], side: usize) -> Picture {
    let largest = map.iter().copied().fold(0.0, f32::max).max(f32::MIN_POSITIVE);
    let (width, channels) = (picture.width(), picture.channels());
    let brightness = |pixel: usize| {
        let (x, y) = (pixel % width * side / width, pixel / width * side / picture.height());
        0.15 + 0.85 * (map[y * side + x] / largest).clamp(0.0, 1.0).sqrt()
    };
    let pixels =
        picture.pixels().iter().enumerate().map(|(i, &byte)| (f32::from(byte) * brightness(i / channels)) as u8);
    Picture::new(width, picture.height(), channels, pixels.collect())
}

/// Renders the picture and below it a grid of maps for each layer, at most `width` pixels wide.
pub fn render_layers(picture: &Picture, layers: &[LayerMaps], width: usize) -> Picture {
    /// The minimum size of a map, the gap between maps, and the gap between layers, in pixels.
    const MIN_MAP: usize = 32;
    const GAP: usize = 1;
    const LAYER_GAP: usize = 8;
    let mut blocks = vec![picture.enlarged(128 / picture.width().max(1))];
    for layer in layers {
        let zoom = MIN_MAP.div_ceil(layer.side);
        let pictures: Vec<_> = layer.pictures().iter().map(|picture| picture.enlarged(zoom)).collect();
        blocks.push(grid(&pictures, (width + GAP) / (layer.side * zoom + GAP), GAP));
    }
    let height = blocks.iter().map(|block| block.height() + LAYER_GAP).sum::<usize>() - LAYER_GAP;
    let across = blocks.iter().map(Picture::width).max().unwrap_or(0);
    let mut sheet = Sheet::new(across, height, picture.channels());
    let mut y = 0;
    for block in &blocks {
        sheet.put(block, 0, y);
        y += block.height() + LAYER_GAP;
    }
    sheet.into_picture()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sample_z;
    use crate::model::{ModelConfig, Preset};

    #[test]
    fn maps_of_every_layer_have_its_name_and_shape() {
        let config = ModelConfig { size: 16, base: 4, z_dim: 6, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let generator = Generator::new(&config, 5, &device);
        let z: Vec<_> = (0..3).map(|n| sample_z(config.prior, 6, 1, n)).collect();
        let (maps, picture) = generator_maps(&generator, &z[0], &device).unwrap();
        let shapes: Vec<_> = maps.iter().map(|layer| (layer.name.as_str(), layer.maps.len(), layer.side)).collect();
        assert_eq!(shapes, [("project", 8, 4), ("up1", 4, 8)]);
        assert_eq!(picture, latent::generate_pictures(&generator, &z[..1], &device).unwrap()[0]);
        let discriminator = Discriminator::new(&config, 5, &device);
        let (layers, logit) = discriminator_maps(&discriminator, &picture, &device).unwrap();
        let shapes: Vec<_> = layers.iter().map(|layer| (layer.name.as_str(), layer.maps.len(), layer.side)).collect();
        assert_eq!(shapes, [("down1", 4, 8), ("down2", 8, 4)]);
        assert!(logit.is_finite());
        let peaks = generator_peaks(&generator, &z, 1, &device).unwrap();
        for (map, peak) in maps[1].maps.iter().zip(&peaks[0]) {
            assert!((map.iter().copied().fold(0.0, f32::max) - peak).abs() < 1e-5);
        }
        let sheet = render_layers(&picture, &maps, 100);
        // Eight and four maps of 32 pixels, three in a row, under the picture enlarged eight times.
        assert_eq!((sheet.width(), sheet.height()), (128, 128 + 8 + (3 * 32 + 2) + 8 + (2 * 32 + 1)));
    }

    #[test]
    fn a_summary_counts_silent_maps() {
        let layer = LayerMaps { name: "up1".into(), side: 1, maps: vec![vec![0.0], vec![3.0], vec![-1.0]] };
        let summary = layer.summary();
        assert_eq!((summary.largest, summary.silent), (3.0, 2));
        assert!((summary.active - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(layer.pictures()[1].pixels(), [255]);
        let lit = highlight(&Picture::new(2, 1, 1, vec![200, 200]), &[0.0, 4.0, 0.0, 0.0], 2);
        assert_eq!(lit.pixels(), [30, 200]);
    }
}
