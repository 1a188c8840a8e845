//! [`ReferenceSet`]: real images in one feature space, that the samples of one model after another are compared with.

use burn::tensor::Device;
use serde::Serialize;

use super::distances::{NEIGHBOR, SetMetrics, compare};
use super::error::EvaluationError;
use super::features::{FeatureExtractor, FeatureKind, FeatureSource};
use super::fid::{self, FidReference, Gaussian, Kid};
use super::labeled::read;
use super::neighbors::{generate_samples, sample_indices};
use super::table::FeatureTable;
use crate::data::{Dataset, Problem};
use crate::device::ComputeError;
use crate::image::Picture;
use crate::model::Model;
use crate::progress::Progress;

/// The most images per set for [`SetMetrics`], which need the products of all pairs; FID and KID take all images.
pub const MAX_COMPARED: usize = 5000;

/// Options of a [`ReferenceSet`].
#[derive(Debug, Clone, Copy)]
pub struct ReferenceSettings {
    /// Generated images, real ones, and other real ones for the floor; half of the real ones if there are fewer than twice as many.
    pub count: usize,
    /// Seed of samples, of the selection of images, and of random directions and resamples.
    pub seed: u64,
}

/// All metrics of a set against the reference set.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SetComparison {
    /// Metrics of any feature space.
    #[serde(flatten)]
    pub metrics: SetMetrics,
    /// FID and KID, on Inception's features only.
    #[serde(flatten)]
    pub inception: Option<InceptionMetrics>,
}

/// The metrics that publications report.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct InceptionMetrics {
    /// Frechet Inception distance (Heusel et al. 2017).
    pub fid: f64,
    /// Kernel Inception distance (Binkowski et al. 2018).
    pub kid: Option<Kid>,
}

/// Real images to compare models with.
pub struct ReferenceSet {
    /// The feature space.
    pub extractor: FeatureExtractor,
    real: FeatureTable,
    /// For FID, on Inception's features only.
    fid: Option<FidReference>,
    /// Images in each set that is compared.
    pub count: usize,
    /// The metrics of other real images of the same data set: the best that a generator can reach.
    pub floor: SetComparison,
    /// Files that cannot be read.
    pub skipped: Vec<Problem>,
    seed: u64,
    device: Device,
}

impl ReferenceSet {
    /// Reads images of `data` and extracts their features with `source`.
    ///
    /// # Errors
    /// [`EvaluationError`]: too few images, a device that fails, or `progress` cancels.
    pub fn new(
        source: FeatureSource,
        data: &Dataset,
        ReferenceSettings { count, seed }: ReferenceSettings,
        device: &Device,
        progress: &mut Progress,
    ) -> Result<Self, EvaluationError> {
        let count = data.len().map_or(count, |length| count.min(length / 2));
        let (decoded, skipped) = read(data, &sample_indices(data, 2 * count, seed), progress)?;
        let pictures: Vec<Picture> = decoded.into_iter().map(|(_, picture)| picture).collect();
        let count = pictures.len() / 2;
        if count <= NEIGHBOR {
            let (source_name, have) = (data.source().to_string(), pictures.len());
            let hint = "a few hundred give a meaningful number";
            return Err(EvaluationError::TooFew { source_name, class: None, have, need: 2 * NEIGHBOR + 2, hint });
        }
        let extractor = FeatureExtractor::new(source, &pictures, seed, device);
        // Every other image, so that an order of the data set does not separate the halves.
        let mut half = |offset: usize| -> Result<FeatureTable, EvaluationError> {
            let half: Vec<Picture> = pictures.iter().skip(offset).step_by(2).take(count).cloned().collect();
            extractor.features(&half, &mut |done| progress("extracting features", done, count))
        };
        let (real, other) = (half(0)?, half(1)?);
        let fid = if extractor.kind == FeatureKind::Inception {
            progress("computing the covariance's square root", 0, 0)?;
            Some(FidReference::new(Gaussian::of(&real)))
        } else {
            None
        };
        progress("comparing real with real pictures", 0, 0)?;
        let floor = compare_sets(&other, &real, fid.as_ref(), seed, device)?;
        Ok(Self { extractor, real, fid, count, floor, skipped, seed, device: device.clone() })
    }

    /// Compares samples of a model, which has the images' size and channels, with the real images.
    ///
    /// # Errors
    /// [`EvaluationError`]: the device fails, or `progress` cancels.
    pub fn measure(&self, model: &Model, progress: &mut Progress) -> Result<SetComparison, EvaluationError> {
        let samples = generate_samples(model, self.count, self.seed, &self.device, progress)?;
        let features =
            self.extractor.features(&samples, &mut |done| progress("extracting features", done, self.count))?;
        progress("comparing samples with real pictures", 0, 0)?;
        Ok(compare_sets(&features, &self.real, self.fid.as_ref(), self.seed, &self.device)?)
    }
}

fn compare_sets(
    set: &FeatureTable,
    real: &FeatureTable,
    reference: Option<&FidReference>,
    seed: u64,
    device: &Device,
) -> Result<SetComparison, ComputeError> {
    let metrics = compare(&set.head(MAX_COMPARED), &real.head(MAX_COMPARED), seed, device)?;
    let inception = match reference {
        None => None,
        Some(reference) => {
            let kid = fid::kid(set, real, seed, device)?;
            Some(InceptionMetrics { fid: reference.distance(&Gaussian::of(set)), kid })
        }
    };
    Ok(SetComparison { metrics, inception })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Source;
    use crate::image::PictureFormat;
    use crate::model::{Discriminator, Generator, ModelConfig, Preset, Provenance};

    #[test]
    fn untrained_model_is_further_from_rooms_than_other_rooms() {
        let device = Device::flex();
        let config = ModelConfig { size: 16, base: 4, z_dim: 8, ..ModelConfig::preset(Preset::Pytorch) };
        let discriminator = Discriminator::new(&config, 1, &device);
        let generator = Generator::new(&config, 1, &device);
        let model = Model { generator, discriminator: None, provenance: Provenance::default() };
        let data = Dataset::open(&Source::from("synth:rooms"), PictureFormat::new(16, 3), 1).unwrap();
        for source in [FeatureSource::Discriminator(&discriminator), FeatureSource::Pixels(&config)] {
            let (space, settings) = (source.kind(), ReferenceSettings { count: 60, seed: 1 });
            let reference = ReferenceSet::new(source, &data, settings, &device, &mut |_, _, _| Ok(())).unwrap();
            let comparison = reference.measure(&model, &mut |_, _, _| Ok(())).unwrap();
            assert_eq!(reference.count, 60);
            assert!(comparison.inception.is_none() && reference.floor.inception.is_none());
            let (metrics, floor) = (comparison.metrics, reference.floor.metrics);
            assert!(metrics.sliced.value > floor.sliced.value, "{space:?}: {metrics:?}");
            assert!(metrics.coverage.value < floor.coverage.value, "{space:?}: {metrics:?}");
        }
        let (source, few) = (FeatureSource::Pixels(&config), ReferenceSettings { count: 3, seed: 1 });
        let error = ReferenceSet::new(source, &data, few, &device, &mut |_, _, _| Ok(())).err().unwrap();
        assert!(error.to_string().contains("synth:rooms has 6 usable pictures"), "{error}");
    }
}
