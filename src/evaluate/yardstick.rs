//! One set of real pictures in one space, that what one model after another draws is measured against.

use burn::tensor::Device;

use super::distances::{Measures, NEIGHBOUR, compare};
use super::error::MeasureError;
use super::features::{Kind, Space};
use super::labelled::read;
use super::neighbours::{draw, pick};
use super::{Progress, Table};
use crate::data::Dataset;
use crate::image::Picture;
use crate::latent::DrawError;
use crate::model::{Discriminator, Model};

/// How it is measured.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What pictures are compared by.
    pub space: Kind,
    /// Drawn pictures, real ones, and other real ones for the floor; half of the real ones where there are fewer.
    pub count: usize,
    /// Names the samples; picks pictures, directions and resamples.
    pub seed: u64,
}

/// Real pictures to compare with.
pub struct Yardstick {
    space: Space,
    real: Table,
    /// Drawn pictures, and as many real ones.
    pub count: usize,
    /// What other real pictures of the same set give.
    pub floor: Measures,
    seed: u64,
    device: Device,
}

impl Yardstick {
    /// Takes pictures of `data`, in the space of `judge`'s features or of what `settings` say.
    ///
    /// # Errors
    /// [`MeasureError`]: too few pictures, or a device that fails.
    pub fn new(
        judge: &Discriminator,
        data: &Dataset,
        settings: Settings,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, MeasureError> {
        let Settings { space, count, seed } = settings;
        let count = data.len().map_or(count, |length| count.min(length / 2));
        let (read, _) = read(data, &pick(data, 2 * count, seed), progress);
        let pictures: Vec<Picture> = read.into_iter().map(|(_, picture)| picture).collect();
        let count = pictures.len() / 2;
        if count <= NEIGHBOUR {
            let (source_name, have) = (data.source().to_string(), pictures.len());
            let hint = "a few hundred give a number that means something";
            return Err(MeasureError::TooFew { source_name, class: None, have, need: 2 * NEIGHBOUR + 2, hint });
        }
        let space = Space::new(space, judge, &pictures, seed, device);
        // Every other one, so that an order in the set does not part them.
        let mut half = |odd: usize| -> Result<Table, DrawError> {
            let half: Vec<Picture> = pictures.iter().skip(odd).step_by(2).take(count).cloned().collect();
            space.features(&half, &mut |done| progress("taking features", done, count))
        };
        let (real, other) = (half(0)?, half(1)?);
        progress("comparing real with real pictures", 0, 1);
        let floor = compare(&other, &real, seed, device)?;
        Ok(Self { space, real, count, floor, seed, device: device.clone() })
    }

    /// How far the samples of a model of the same shape are from the real pictures.
    ///
    /// # Errors
    /// [`MeasureError`] when the device fails.
    pub fn measure(&self, model: &Model, progress: &mut Progress) -> Result<Measures, MeasureError> {
        let samples = draw(model, self.count, self.seed, &self.device, progress)?;
        let features = self.space.features(&samples, &mut |done| progress("taking features", done, self.count))?;
        progress("comparing", 0, 1);
        Ok(compare(&features, &self.real, self.seed, &self.device)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::model::{Generator, ModelConfig, Preset, Provenance};

    #[test]
    fn an_untrained_model_is_further_from_rooms_than_rooms_are() {
        let device = Device::flex();
        let config = ModelConfig { size: 16, base: 4, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) };
        let judge = Discriminator::new(&config, 1, &device);
        let generator = Generator::new(&config, 1, &device);
        let model = Model { generator, discriminator: None, provenance: Provenance::default() };
        let data = Dataset::open(&Source::parse("synth:rooms").unwrap(), 16, 3, 1).unwrap();
        for space in [Kind::Discriminator, Kind::Pixels] {
            let settings = Settings { space, count: 60, seed: 1 };
            let yardstick = Yardstick::new(&judge, &data, settings, &device, &mut |_, _, _| ()).unwrap();
            let told = yardstick.measure(&model, &mut |_, _, _| ()).unwrap();
            assert_eq!(yardstick.count, 60);
            assert!(told.sliced.value > yardstick.floor.sliced.value, "{space:?}: {told:?}");
            assert!(told.coverage.value < yardstick.floor.coverage.value, "{space:?}: {told:?}");
        }
        let none = Settings { space: Kind::Pixels, count: 3, seed: 1 };
        let error = Yardstick::new(&judge, &data, none, &device, &mut |_, _, _| ()).err().unwrap();
        assert!(error.to_string().contains("synth:rooms has 6 usable pictures"), "{error}");
    }
}
