//! One set of real pictures in one space, that what one model after another draws is measured against.

use burn::tensor::Device;
use serde::Serialize;

use super::Table;
use super::distances::{Measures, NEIGHBOUR, compare};
use super::error::MeasureError;
use super::features::{By, Kind, Space};
use super::fid::{self, Gaussian, Kid, Reference};
use super::labelled::read;
use super::neighbours::{draw, pick};
use crate::data::{Dataset, Problem};
use crate::image::Picture;
use crate::latent::DrawError;
use crate::model::Model;
use crate::progress::Progress;

/// Pictures of each set that all but FID and KID are taken of at most: they keep the products of all pairs.
pub const MOST_COMPARED: usize = 5000;

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Drawn pictures, real ones, and other real ones for the floor; half of the real ones where there are fewer.
    pub count: usize,
    /// Names the samples; picks pictures, directions and resamples.
    pub seed: u64,
}

/// How far a set is from the real pictures.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Measured {
    /// In any space.
    #[serde(flatten)]
    pub measures: Measures,
    /// By Inception.
    #[serde(flatten)]
    pub published: Option<Published>,
}

/// The measures as they are published.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Published {
    /// Heusel et al. 2017.
    pub fid: f64,
    /// Binkowski et al. 2018.
    pub kid: Option<Kid>,
}

/// Real pictures to compare with.
pub struct Yardstick {
    /// What pictures are compared by.
    pub space: Space,
    real: Table,
    /// For FID, where that is taken.
    reference: Option<Reference>,
    /// Drawn pictures, and as many real ones.
    pub count: usize,
    /// What other real pictures of the same set give.
    pub floor: Measured,
    /// Pictures that could not be read.
    pub skipped: Vec<Problem>,
    seed: u64,
    device: Device,
}

impl Yardstick {
    /// Takes pictures of `data`, in the space that `by` makes.
    ///
    /// # Errors
    /// [`MeasureError`]: too few pictures, or a device that fails.
    pub fn new(
        by: By,
        data: &Dataset,
        Settings { count, seed }: Settings,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, MeasureError> {
        let count = data.len().map_or(count, |length| count.min(length / 2));
        let (read, skipped) = read(data, &pick(data, 2 * count, seed), progress)?;
        let pictures: Vec<Picture> = read.into_iter().map(|(_, picture)| picture).collect();
        let count = pictures.len() / 2;
        if count <= NEIGHBOUR {
            let (source_name, have) = (data.source().to_string(), pictures.len());
            let hint = "a few hundred give a number that means something";
            return Err(MeasureError::TooFew { source_name, class: None, have, need: 2 * NEIGHBOUR + 2, hint });
        }
        let space = Space::new(by, &pictures, seed, device);
        // Every other one, so that an order in the set does not part them.
        let mut half = |odd: usize| -> Result<Table, MeasureError> {
            let half: Vec<Picture> = pictures.iter().skip(odd).step_by(2).take(count).cloned().collect();
            space.features(&half, &mut |done| progress("taking features", done, count))
        };
        let (real, other) = (half(0)?, half(1)?);
        let reference = if space.kind == Kind::Inception {
            progress("taking the covariance's root", 0, 0)?;
            Some(Reference::new(Gaussian::of(&real)))
        } else {
            None
        };
        progress("comparing real with real pictures", 0, 0)?;
        let floor = beside(&other, &real, reference.as_ref(), seed, device)?;
        Ok(Self { space, real, reference, count, floor, skipped, seed, device: device.clone() })
    }

    /// How far the samples of a model of the same shape are from the real pictures.
    ///
    /// # Errors
    /// [`MeasureError`] when the device fails.
    pub fn measure(&self, model: &Model, progress: &mut Progress) -> Result<Measured, MeasureError> {
        let samples = draw(model, self.count, self.seed, &self.device, progress)?;
        let features = self.space.features(&samples, &mut |done| progress("taking features", done, self.count))?;
        progress("comparing samples with real pictures", 0, 0)?;
        Ok(beside(&features, &self.real, self.reference.as_ref(), self.seed, &self.device)?)
    }
}

/// Compares a set with the real one.
fn beside(
    set: &Table,
    real: &Table,
    reference: Option<&Reference>,
    seed: u64,
    device: &Device,
) -> Result<Measured, DrawError> {
    let first = |table: &Table| {
        let rows = table.rows().take(MOST_COMPARED).flatten().copied();
        Table::new(rows.collect(), table.width())
    };
    let measures = compare(&first(set), &first(real), seed, device)?;
    let published = match reference {
        None => None,
        Some(reference) => {
            let kid = fid::kid(set, real, seed, device)?;
            Some(Published { fid: reference.distance(&Gaussian::of(set)), kid })
        }
    };
    Ok(Measured { measures, published })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::PictureFormat;
    use crate::model::{Discriminator, Generator, ModelConfig, Preset, Provenance};

    #[test]
    fn an_untrained_model_is_further_from_rooms_than_rooms_are() {
        let device = Device::flex();
        let config = ModelConfig { size: 16, base: 4, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) };
        let judge = Discriminator::new(&config, 1, &device);
        let generator = Generator::new(&config, 1, &device);
        let model = Model { generator, discriminator: None, provenance: Provenance::default() };
        let data = Dataset::open(&Source::parse("synth:rooms").unwrap(), PictureFormat::new(16, 3), 1).unwrap();
        for by in [By::Discriminator(&judge), By::Pixels(&config)] {
            let (space, settings) = (by.kind(), Settings { count: 60, seed: 1 });
            let yardstick = Yardstick::new(by, &data, settings, &device, &mut |_, _, _| Ok(())).unwrap();
            let told = yardstick.measure(&model, &mut |_, _, _| Ok(())).unwrap();
            assert_eq!(yardstick.count, 60);
            assert!(told.published.is_none() && yardstick.floor.published.is_none());
            let (told, floor) = (told.measures, yardstick.floor.measures);
            assert!(told.sliced.value > floor.sliced.value, "{space:?}: {told:?}");
            assert!(told.coverage.value < floor.coverage.value, "{space:?}: {told:?}");
        }
        let (by, none) = (By::Pixels(&config), Settings { count: 3, seed: 1 });
        let error = Yardstick::new(by, &data, none, &device, &mut |_, _, _| Ok(())).err().unwrap();
        assert!(error.to_string().contains("synth:rooms has 6 usable pictures"), "{error}");
    }
}
