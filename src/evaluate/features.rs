//! What pictures are compared by: the discriminator's features (section 5), the same with random weights, or raw pixels.

use std::convert::Infallible;
use std::path::Path;

use burn::tensor::module::max_pool2d;
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor, TensorData};
use rayon::prelude::*;
use serde::Serialize;

use super::error::{MeasureError, judging};
use super::svm::{Table, dot};
use super::{Whole, fid};
use crate::image::Picture;
use crate::latent::{DrawError, read};
use crate::model::{Discriminator, FEATURES, Inception, Model, ModelConfig};
use crate::progress::{Cancelled, Progress};

/// Pictures that go through the network at a time, as in the authors' code.
const BATCH: usize = 128;
/// Side of the grid that each layer's maps are pooled to (section 5.1).
const GRID: usize = 4;
/// Pictures that the batch norm's statistics are taken from at most.
const MEASURED: usize = 10_240;

/// A space that pictures are points of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The discriminator's features.
    Discriminator,
    /// The features of a discriminator that learnt nothing.
    Random,
    /// The values of the pixels, in [-1, 1].
    Pixels,
    /// The features of an Inception network that somebody gives.
    #[value(skip)]
    Inception,
}

impl Kind {
    /// For tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discriminator => "discriminator's features",
            Self::Random => "random weights' features",
            Self::Pixels => "raw pixels",
            Self::Inception => "Inception's features",
        }
    }
}

/// What makes a space.
#[derive(Debug, Clone)]
pub enum By<'a> {
    /// What this discriminator learnt.
    Discriminator(&'a Discriminator),
    /// A discriminator of this config that learnt nothing.
    Random(&'a ModelConfig),
    /// The pixels that networks of this config see.
    Pixels(&'a ModelConfig),
    /// An Inception network, whatever model is looked at.
    Inception(Inception),
}

impl<'a> By<'a> {
    /// What makes the space `kind` for pictures like those of `model`, which was opened from `path`; `inception` is the file of
    /// the Inception network, where that is it.
    ///
    /// # Errors
    /// [`MeasureError::NoDiscriminator`]; [`MeasureError::Inception`] naming the file.
    pub fn open(
        kind: Kind,
        model: &'a Model,
        path: &Path,
        inception: &Path,
        device: &Device,
    ) -> Result<Self, MeasureError> {
        Ok(match kind {
            Kind::Discriminator => Self::Discriminator(judging(model, path)?),
            Kind::Random => Self::Random(model.config()),
            Kind::Pixels => Self::Pixels(model.config()),
            Kind::Inception => Self::Inception(Inception::open(inception, device)?),
        })
    }

    /// Which space it makes.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Discriminator(_) => Kind::Discriminator,
            Self::Random(_) => Kind::Random,
            Self::Pixels(_) => Kind::Pixels,
            Self::Inception(_) => Kind::Inception,
        }
    }
}

/// Turns pictures into features.
///
/// The discriminator's are the outputs of all convolutions after their rectifiers, each map max-pooled to 4x4, flattened,
/// concatenated. They are not scaled: neither does the authors' code.
#[derive(Debug, Clone)]
pub struct Space {
    /// Which it is.
    pub kind: Kind,
    width: usize,
    network: Network,
    device: Device,
}

#[derive(Debug, Clone)]
enum Network {
    /// None: the pixels.
    Pixels,
    Discriminator(Box<Discriminator>),
    Inception(Box<Inception>),
}

impl Space {
    /// The space that `by` makes. The statistics of a discriminator's batch norm are taken anew from `pictures`, since those of
    /// the training are of drawn ones too; `seed` draws random weights.
    pub fn new(by: By, pictures: &[Picture], seed: u64, device: &Device) -> Self {
        let batches = pictures[..pictures.len().min(MEASURED)].chunks(BATCH).map(<[Picture]>::to_vec);
        let Ok(space) = Self::taking(by, batches.map(Ok::<_, Infallible>), seed, device);
        space
    }

    /// As [`Self::new`], with the statistics of a whole training set, whether its pictures have labels or not (section 5.2).
    ///
    /// # Errors
    /// [`Cancelled`] when `progress` cancels.
    pub fn over(by: By, whole: &Whole, seed: u64, device: &Device, progress: &mut Progress) -> Result<Self, Cancelled> {
        let (mut done, all) = (0, whole.len());
        let batches = whole.batches(BATCH).map(|batch| {
            done += batch.len();
            progress("taking batch norm's statistics", done, all)?;
            Ok(batch)
        });
        Self::taking(by, batches, seed, device)
    }

    fn taking<E>(
        by: By,
        batches: impl Iterator<Item = Result<Vec<Picture>, E>>,
        seed: u64,
        device: &Device,
    ) -> Result<Self, E> {
        let kind = by.kind();
        let measured = |mut network: Discriminator| {
            let config = network.config().clone();
            for (number, pictures) in batches.enumerate() {
                let pictures = pictures?;
                // A short last batch would count as much as a whole one.
                if number == 0 || pictures.len() == BATCH {
                    network.measure(tensor(&pictures, &config, device), number);
                }
            }
            Ok((width(kind, &config), Network::Discriminator(Box::new(network))))
        };
        let (width, network) = match by {
            By::Discriminator(discriminator) => measured(discriminator.clone())?,
            By::Random(config) => measured(Discriminator::new(config, seed, device))?,
            By::Pixels(config) => (width(kind, config), Network::Pixels),
            By::Inception(network) => (FEATURES, Network::Inception(Box::new(network))),
        };
        Ok(Self { kind, width, network, device: device.clone() })
    }

    /// Features of a picture.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The features of pictures of the model's size and channels, `[pictures, width]`. `progress` is called with the number done.
    ///
    /// # Errors
    /// [`MeasureError`]: the device fails, or `progress` cancels.
    pub fn features(
        &self,
        pictures: &[Picture],
        progress: &mut dyn FnMut(usize) -> Result<(), Cancelled>,
    ) -> Result<Table, MeasureError> {
        let network = match &self.network {
            Network::Inception(network) => return fid::features(network, pictures, &self.device, progress),
            Network::Pixels => None,
            Network::Discriminator(network) => Some(network),
        };
        let mut features = Vec::with_capacity(pictures.len() * self.width());
        for (number, pictures) in pictures.chunks(BATCH).enumerate() {
            match network {
                None => features.extend(values(pictures)),
                Some(network) => {
                    let pictures = tensor(pictures, network.config(), &self.device);
                    features.extend(read(pooled(network, pictures))?);
                }
            }
            progress(number * BATCH + pictures.len())?;
        }
        Ok(Table::new(features, self.width()))
    }
}

/// Features of a picture in the space `kind` of networks of `config`.
pub fn width(kind: Kind, config: &ModelConfig) -> usize {
    match kind {
        Kind::Pixels => config.values(),
        Kind::Inception => FEATURES,
        Kind::Discriminator | Kind::Random => {
            (0..config.judging_stages()).map(|layer| config.seen(layer) * GRID * GRID).sum()
        }
    }
}

/// Refuses a table that would not fit into `limit` GiB.
///
/// # Errors
/// [`MeasureError::TooLarge`].
pub(super) fn fits(rows: usize, width: usize, limit: f64) -> Result<(), MeasureError> {
    if super::error::gib(rows, width) > limit {
        return Err(MeasureError::TooLarge { rows, width, limit });
    }
    Ok(())
}

/// Features `[batch, width]` of pictures `[batch, channels, size, size]`.
fn pooled(network: &Discriminator, pictures: Tensor<4>) -> Tensor<2> {
    let (layers, _) = network.inside(pictures);
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

/// Squared distances `[a, b]` between the rows of two tables.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub(super) fn distances(a: &Table, b: &Table, device: &Device) -> Result<Vec<f32>, DrawError> {
    let squares = |table: &Table| -> Vec<f32> { table.rows().map(|row| dot(row, row)).collect() };
    let (of_a, of_b) = (squares(a), squares(b));
    let mut all = products(a, b, device)?;
    all.par_chunks_exact_mut(b.len().max(1)).zip(&of_a).for_each(|(row, a)| {
        for (value, b) in row.iter_mut().zip(&of_b) {
            *value = (a + b - 2.0 * *value).max(0.0);
        }
    });
    Ok(all)
}

/// Products `[a, b]` of the rows of two tables.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub(super) fn products(a: &Table, b: &Table, device: &Device) -> Result<Vec<f32>, DrawError> {
    let on_device = |table: &Table| {
        let values: Vec<f32> = table.rows().flatten().copied().collect();
        Tensor::<2>::from_data(TensorData::new(values, [table.len(), table.width()]), device)
    };
    read(on_device(a).matmul(on_device(b).transpose()))
}

/// Values `[pictures, channels, size, size]` in [-1, 1].
pub(super) fn values(pictures: &[Picture]) -> Vec<f32> {
    let each = pictures.first().map_or(1, |picture| picture.pixels().len());
    let mut values = vec![0.0; pictures.len() * each];
    let rows = values.par_chunks_exact_mut(each).zip(pictures);
    rows.for_each(|(values, picture)| picture.write_chw(values));
    values
}

/// The same on a device.
pub(super) fn tensor(pictures: &[Picture], config: &ModelConfig, device: &Device) -> Tensor<4> {
    let shape = [pictures.len(), config.channels, config.size, config.size];
    Tensor::from_data(TensorData::new(values(pictures), shape), device)
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
    fn the_papers_imagenet_network_has_a_feature_for_each_map_and_place() {
        // Section 5.1: six convolutions of 128 to 512 maps, each pooled to 4x4.
        let config = ModelConfig::preset(Preset::PaperImagenet);
        assert_eq!(width(Kind::Discriminator, &config), (2 * 128 + 2 * 256 + 2 * 512) * 16);
        assert_eq!(width(Kind::Discriminator, &config), 28_672, "the paper's number");
        assert_eq!(width(Kind::Pixels, &config), 3072);
    }

    #[test]
    fn every_convolution_of_strides_1_and_2_gives_features() {
        let device = Device::flex();
        let config = ModelConfig { base: 2, ..ModelConfig::preset(Preset::PaperImagenet) };
        let judge = Discriminator::new(&config, 4, &device);
        let space = Space::new(By::Discriminator(&judge), &[], 1, &device);
        let features = space.features(&pictures(2, &config), &mut |_| Ok(())).unwrap();
        assert_eq!((features.len(), features.width()), (2, (2 + 2 + 4 + 4 + 8 + 8) * 16));
    }

    #[test]
    fn features_are_the_largest_answers_of_each_part_of_each_map() {
        let device = Device::flex();
        let config = ModelConfig { size: 32, base: 3, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let judge = Discriminator::new(&config, 4, &device);
        let pictures = pictures(3, &config);
        let space = Space::new(By::Discriminator(&judge), &[], 1, &device);
        let features = space.features(&pictures, &mut |_| Ok(())).unwrap();
        assert_eq!((features.len(), features.width(), space.width()), (3, (3 + 6 + 12) * 16, (3 + 6 + 12) * 16));
        let (layers, _) = judge.inside(tensor(&pictures, &config, &device));
        let mut first = 0;
        for maps in layers {
            let [_, count, side, _] = maps.dims();
            let all: Vec<f32> = maps.into_data().iter::<f32>().collect();
            for (picture, map, place) in [(0, 0, 0), (1, 1, 7), (2, count - 1, 15)] {
                let (top, left) = (place / 4 * side / 4, place % 4 * side / 4);
                let part = (0..side / 4).flat_map(|y| (0..side / 4).map(move |x| (top + y) * side + left + x));
                let largest =
                    part.map(|at| all[(picture * count + map) * side * side + at]).fold(f32::NEG_INFINITY, f32::max);
                assert_eq!(features.row(picture)[first + map * 16 + place], largest, "{side}: {picture} {map} {place}");
            }
            first += count * 16;
        }
    }

    #[test]
    fn the_statistics_are_those_of_the_pictures_and_a_picture_has_its_features_in_any_company() {
        let device = Device::flex();
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let judge = Discriminator::new(&config, 4, &device);
        let pictures = pictures(40, &config);
        let space = Space::new(By::Discriminator(&judge), &pictures, 1, &device);
        let together = space.features(&pictures, &mut |_| Ok(())).unwrap();
        let alone = space.features(&pictures[7..8], &mut |_| Ok(())).unwrap();
        for (a, b) in together.row(7).iter().zip(alone.row(0)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
        let mut measured = judge.clone();
        measured.measure(tensor(&pictures, &config, &device), 0);
        let (layers, _) = measured.inside(tensor(&pictures, &config, &device));
        let last: Vec<f32> = layers.last().unwrap().clone().into_data().iter::<f32>().collect();
        for (a, b) in together.row(0)[4 * 16..].iter().zip(&last) {
            assert!((a - b).abs() < 5e-3, "{a} {b}");
        }
    }
}
