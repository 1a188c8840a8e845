//! [`FeatureExtractor`]: images to rows of features, of the discriminator (section 5), a random discriminator, Inception, or raw
//! pixels.

use std::convert::Infallible;
use std::path::Path;

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor, TensorData};
use serde::Serialize;

use super::error::{EvaluationError, gib, require_discriminator};
use super::shuffled_set::ShuffledSet;
use super::table::FeatureTable;
use crate::device::read_tensor;
use crate::image::Picture;
use crate::model::{Discriminator, INCEPTION_FEATURES, Inception, Model, ModelConfig, picture_tensor, picture_values};
use crate::progress::{Cancelled, Progress};

/// Images per pass through the discriminator, as in the authors' code.
const BATCH: usize = 128;
/// Images per pass through Inception: at 299x299 the first feature maps of 160 images take a gigabyte.
const INCEPTION_BATCH: usize = 16;
/// Side of the grid that feature maps are pooled to (section 5.1).
const GRID: usize = 4;
/// The most images that batch norm statistics are measured on by [`FeatureExtractor::new`].
const MAX_MEASURED: usize = 10_240;

/// A feature space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum FeatureKind {
    /// The discriminator's features.
    Discriminator,
    /// The features of an untrained discriminator.
    Random,
    /// The values of the pixels, in [-1, 1].
    Pixels,
    /// The features of an Inception network from a file.
    #[value(skip)]
    Inception,
}

impl FeatureKind {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discriminator => "discriminator's features",
            Self::Random => "random weights' features",
            Self::Pixels => "raw pixels",
            Self::Inception => "Inception's features",
        }
    }
}

/// What a [`FeatureExtractor`] is built from.
#[derive(Debug, Clone)]
pub enum FeatureSource<'a> {
    /// A trained discriminator.
    Discriminator(&'a Discriminator),
    /// An untrained discriminator with this configuration.
    Random(&'a ModelConfig),
    /// Pixels at the size and channels of this configuration.
    Pixels(&'a ModelConfig),
    /// An Inception network, the same for all models.
    Inception(Inception),
}

impl<'a> FeatureSource<'a> {
    /// The source of the feature space `kind` for `model`, which was opened from `path`. `inception` is the file of the Inception
    /// network; other spaces do not read it.
    ///
    /// # Errors
    /// [`EvaluationError::NoDiscriminator`]; [`EvaluationError::Inception`] naming the file.
    pub fn open(
        kind: FeatureKind,
        model: &'a Model,
        path: &Path,
        inception: &Path,
        device: &Device,
    ) -> Result<Self, EvaluationError> {
        Ok(match kind {
            FeatureKind::Discriminator => Self::Discriminator(require_discriminator(model, path)?),
            FeatureKind::Random => Self::Random(model.config()),
            FeatureKind::Pixels => Self::Pixels(model.config()),
            FeatureKind::Inception => Self::Inception(Inception::open(inception, device)?),
        })
    }

    /// The feature space that it gives.
    pub fn kind(&self) -> FeatureKind {
        match self {
            Self::Discriminator(_) => FeatureKind::Discriminator,
            Self::Random(_) => FeatureKind::Random,
            Self::Pixels(_) => FeatureKind::Pixels,
            Self::Inception(_) => FeatureKind::Inception,
        }
    }
}

/// Turns images into features.
///
/// A discriminator's features are the outputs of all its convolutions after their activation, each map max-pooled to 4x4,
/// flattened and concatenated. They are not scaled, as in the authors' code.
#[derive(Debug, Clone)]
pub struct FeatureExtractor {
    /// The feature space.
    pub kind: FeatureKind,
    width: usize,
    backbone: Backbone,
    device: Device,
}

#[derive(Debug, Clone)]
enum Backbone {
    /// No network.
    Pixels,
    Discriminator(Box<Discriminator>),
    Inception(Box<Inception>),
}

impl FeatureExtractor {
    /// An extractor from `source`. The batch norm statistics of a discriminator are measured anew on `pictures`, since those of
    /// the training include generated images; `seed` draws random weights.
    pub fn new(source: FeatureSource, pictures: &[Picture], seed: u64, device: &Device) -> Self {
        let batches = pictures[..pictures.len().min(MAX_MEASURED)].chunks(BATCH).map(<[Picture]>::to_vec);
        let Ok(extractor) = Self::measured_on(source, batches.map(Ok::<_, Infallible>), seed, device);
        extractor
    }

    /// As [`Self::new`], with batch norm statistics of a whole training set, labeled or not (section 5.2).
    ///
    /// # Errors
    /// [`Cancelled`] when `progress` cancels.
    pub fn over(
        source: FeatureSource,
        images: &ShuffledSet,
        seed: u64,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, Cancelled> {
        let (mut done, all) = (0, images.len());
        let batches = images.batches(BATCH).map(|batch| {
            done += batch.len();
            progress("measuring batch norm statistics", done, all)?;
            Ok(batch)
        });
        Self::measured_on(source, batches, seed, device)
    }

    fn measured_on<E>(
        source: FeatureSource,
        batches: impl Iterator<Item = Result<Vec<Picture>, E>>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, E> {
        let kind = source.kind();
        let measure = |mut network: Discriminator| {
            let config = network.config().clone();
            for (number, pictures) in batches.enumerate() {
                let pictures = pictures?;
                // A short last batch would weigh as much as a full one.
                if number == 0 || pictures.len() == BATCH {
                    network.calibrate(picture_tensor(&pictures, &config, device), number);
                }
            }
            Ok((feature_width(kind, &config), Backbone::Discriminator(Box::new(network))))
        };
        let (width, backbone) = match source {
            FeatureSource::Discriminator(discriminator) => measure(discriminator.clone())?,
            FeatureSource::Random(config) => measure(Discriminator::new(config, seed, device))?,
            FeatureSource::Pixels(config) => (feature_width(kind, config), Backbone::Pixels),
            FeatureSource::Inception(network) => (INCEPTION_FEATURES, Backbone::Inception(Box::new(network))),
        };
        Ok(Self { kind, width, backbone, device: device.clone() })
    }

    /// Features per image.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The features `[pictures, width]` of images at the model's size and channels. `progress` is called with the number done.
    ///
    /// # Errors
    /// [`EvaluationError`]: the device fails, or `progress` cancels.
    pub fn features(
        &self,
        pictures: &[Picture],
        progress: &mut dyn FnMut(usize) -> Result<(), Cancelled>,
    ) -> Result<FeatureTable, EvaluationError> {
        let batch = if matches!(self.backbone, Backbone::Inception(_)) { INCEPTION_BATCH } else { BATCH };
        let mut features = Vec::with_capacity(pictures.len() * self.width);
        for (number, pictures) in pictures.chunks(batch).enumerate() {
            match &self.backbone {
                Backbone::Pixels => features.extend(picture_values(pictures)),
                Backbone::Discriminator(network) => {
                    let pictures = picture_tensor(pictures, network.config(), &self.device);
                    features.extend(read_tensor(pooled(network, pictures))?);
                }
                Backbone::Inception(network) => {
                    features.extend(read_tensor(network.features(rgb_tensor(pictures, &self.device)))?);
                }
            }
            progress(number * batch + pictures.len())?;
        }
        Ok(FeatureTable::new(features, self.width))
    }
}

/// Features per image in the space `kind`, for networks of `config`.
pub fn feature_width(kind: FeatureKind, config: &ModelConfig) -> usize {
    match kind {
        FeatureKind::Pixels => config.values(),
        FeatureKind::Inception => INCEPTION_FEATURES,
        FeatureKind::Discriminator | FeatureKind::Random => {
            (0..config.discriminator_stages()).map(|layer| config.discriminator_maps(layer) * GRID * GRID).sum()
        }
    }
}

/// Refuses a feature table of more than `limit` GiB.
///
/// # Errors
/// [`EvaluationError::TooLarge`].
pub(super) fn check_memory(rows: usize, width: usize, limit: f64) -> Result<(), EvaluationError> {
    if gib(rows, width) > limit {
        return Err(EvaluationError::TooLarge { rows, width, limit });
    }
    Ok(())
}

/// Features `[batch, width]` of images `[batch, channels, size, size]`.
fn pooled(network: &Discriminator, pictures: Tensor<4>) -> Tensor<2> {
    let (layers, _) = network.forward_features(pictures);
    let flat = layers.into_iter().map(|maps| {
        let [batch, count, side, _] = maps.dims();
        // Windows overlap where the grid does not divide the maps, as in 7x7.
        let (stride, window) = (side / GRID, side - side / GRID * (GRID - 1));
        let options = MaxPoolOptions::new([window, window]).with_stride([stride, stride]);
        let maps = if window > 1 { max_pool2d(maps, options) } else { maps };
        maps.reshape([batch, count * GRID * GRID])
    });
    Tensor::cat(flat.collect(), 1)
}

/// Values `[pictures, 3, height, width]` in [0, 1], Inception's input.
fn rgb_tensor(pictures: &[Picture], device: &Device) -> Tensor<4> {
    let [height, width] = pictures.first().map_or([0, 0], |picture| [picture.height(), picture.width()]);
    let plane = |rgb: &[u8], channel: usize| -> Vec<f32> {
        rgb.iter().skip(channel).step_by(3).map(|&byte| f32::from(byte) / 255.0).collect()
    };
    let values = pictures.iter().flat_map(|picture| {
        let rgb = picture.to_rgb();
        [0, 1, 2].map(|channel| plane(&rgb, channel)).concat()
    });
    let values: Vec<f32> = values.collect();
    Tensor::from_data(TensorData::new(values, [pictures.len(), 3, height, width]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn pictures(count: usize, config: &ModelConfig) -> Vec<Picture> {
        let one = |i: usize| {
            let bytes = (0..config.values()).map(|p| ((p * 37 + p * p * 11 + i * 71) % 251) as u8).collect();
            Picture::new(config.size, config.size, config.channels, bytes)
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn feature_width_of_the_papers_imagenet_network() {
        // Section 5.1: six convolutions of 128 to 512 maps, each pooled to 4x4.
        let config = ModelConfig::preset(Preset::PaperImagenet);
        assert_eq!(feature_width(FeatureKind::Discriminator, &config), (2 * 128 + 2 * 256 + 2 * 512) * 16);
        assert_eq!(feature_width(FeatureKind::Discriminator, &config), 28_672, "the paper's number");
        assert_eq!(feature_width(FeatureKind::Pixels, &config), 3072);
    }

    #[test]
    fn every_convolution_of_strides_1_and_2_gives_features() {
        let device = Device::flex();
        let config = ModelConfig { base: 2, ..ModelConfig::preset(Preset::PaperImagenet) };
        let discriminator = Discriminator::new(&config, 4, &device);
        let extractor = FeatureExtractor::new(FeatureSource::Discriminator(&discriminator), &[], 1, &device);
        let features = extractor.features(&pictures(2, &config), &mut |_| Ok(())).unwrap();
        assert_eq!((features.len(), features.width()), (2, (2 + 2 + 4 + 4 + 8 + 8) * 16));
    }

    #[test]
    fn features_are_the_maxima_of_a_grid_on_each_map() {
        let device = Device::flex();
        let config = ModelConfig { size: 32, base: 3, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let discriminator = Discriminator::new(&config, 4, &device);
        let pictures = pictures(3, &config);
        let extractor = FeatureExtractor::new(FeatureSource::Discriminator(&discriminator), &[], 1, &device);
        let features = extractor.features(&pictures, &mut |_| Ok(())).unwrap();
        assert_eq!((features.len(), features.width(), extractor.width()), (3, (3 + 6 + 12) * 16, (3 + 6 + 12) * 16));
        let (layers, _) = discriminator.forward_features(picture_tensor(&pictures, &config, &device));
        let mut first = 0;
        for maps in layers {
            let [_, count, side, _] = maps.dims();
            let all: Vec<f32> = maps.into_data().iter::<f32>().collect();
            for (picture, map, place) in [(0, 0, 0), (1, 1, 7), (2, count - 1, 15)] {
                let (top, left) = (place / 4 * side / 4, place % 4 * side / 4);
                let cell = (0..side / 4).flat_map(|y| (0..side / 4).map(move |x| (top + y) * side + left + x));
                let largest =
                    cell.map(|at| all[(picture * count + map) * side * side + at]).fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(features.row(picture)[first + map * 16 + place], largest, "{side}: {picture} {map} {place}");
            }
            first += count * 16;
        }
    }

    #[test]
    fn statistics_are_those_of_the_images_and_features_do_not_depend_on_the_batch() {
        let device = Device::flex();
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let discriminator = Discriminator::new(&config, 4, &device);
        let pictures = pictures(40, &config);
        let extractor = FeatureExtractor::new(FeatureSource::Discriminator(&discriminator), &pictures, 1, &device);
        let together = extractor.features(&pictures, &mut |_| Ok(())).unwrap();
        let alone = extractor.features(&pictures[7..8], &mut |_| Ok(())).unwrap();
        for (a, b) in together.row(7).iter().zip(alone.row(0)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        let mut measured = discriminator.clone();
        measured.calibrate(picture_tensor(&pictures, &config, &device), 0);
        let (layers, _) = measured.forward_features(picture_tensor(&pictures, &config, &device));
        let last: Vec<f32> = layers.last().unwrap().clone().into_data().iter::<f32>().collect();
        for (a, b) in together.row(0)[4 * 16..].iter().zip(&last) {
            assert!((a - b).abs() < 5e-3, "{a} {b}");
        }
    }
}
