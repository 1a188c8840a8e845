//! The birthday paradox test of mode collapse (Arora and Zhang 2017): if a generator had N equally likely images, one pair of
//! samples in N would be the same, so near-duplicates among samples estimate the size of its support.

use burn::tensor::Device;
use serde::Serialize;

use super::statistics::poisson_interval;
use super::table::{FeatureTable, squared_distances};
use crate::device::ComputeError;

/// Closest pairs to show.
const CLOSEST: usize = 32;
/// Real images at a smaller distance are exact duplicates, which many data sets have.
const EXACT: f32 = 1e-2;

/// Two samples and their distance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct SamplePair {
    /// Their indices.
    pub samples: [usize; 2],
    /// Euclidean distance of their features.
    pub distance: f32,
}

/// Near-duplicates among samples, and the number of distinct samples that they imply.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BirthdayTest {
    /// All pairs of samples.
    pub pairs: usize,
    /// Pairs closer than `threshold`.
    #[serde(rename = "alike")]
    pub near_duplicates: usize,
    /// The least distance between two real images, of as many as there are samples.
    #[serde(rename = "limit")]
    pub threshold: f32,
    /// Real images that the threshold was measured on.
    pub real: usize,
    /// Estimated number of distinct samples, `pairs / near_duplicates`; `None` without near-duplicates.
    pub distinct: Option<f64>,
    /// Lower end of the 95 % confidence interval of `distinct`.
    pub at_least: f64,
    /// Upper end of the interval; `None` without near-duplicates.
    pub at_most: Option<f64>,
    /// The closest pairs, for a person to look at.
    pub closest: Vec<SamplePair>,
}

impl BirthdayTest {
    /// Counts the pairs of samples that are closer than any two of as many real images. Exact duplicates among the real images do
    /// not set the threshold.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn count(samples: &FeatureTable, real: &FeatureTable, device: &Device) -> Result<Self, ComputeError> {
        let threshold = sorted_pairs(real, samples.len(), device)?
            .into_iter()
            .map(|pair| pair.distance)
            .find(|&distance| distance > EXACT)
            .unwrap_or(0.0);
        let all = sorted_pairs(samples, samples.len(), device)?;
        let count = samples.len();
        let pairs = count * count.saturating_sub(1) / 2;
        let near_duplicates = all.iter().filter(|pair| pair.distance < threshold).count();
        let (low, high) = poisson_interval(near_duplicates);
        Ok(Self {
            pairs,
            near_duplicates,
            threshold,
            real: real.len().min(count),
            distinct: (near_duplicates > 0).then(|| pairs as f64 / near_duplicates as f64),
            at_least: pairs as f64 / high,
            at_most: (near_duplicates > 0).then(|| pairs as f64 / low),
            closest: all.into_iter().take(CLOSEST).collect(),
        })
    }
}

/// All pairs of the first `count` rows, the closest first.
fn sorted_pairs(table: &FeatureTable, count: usize, device: &Device) -> Result<Vec<SamplePair>, ComputeError> {
    let first = table.head(count);
    let count = first.len();
    let squares = squared_distances(&first, &first, device)?;
    let mut pairs: Vec<SamplePair> = (0..count)
        .flat_map(|a| (a + 1..count).map(move |b| (a, b)))
        .map(|(a, b)| SamplePair { samples: [a, b], distance: squares[a * count + b].sqrt() })
        .collect();
    pairs.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::sample_z;
    use crate::model::Prior;

    fn table(rows: impl Iterator<Item = u64>, seed: u64) -> FeatureTable {
        FeatureTable::new(rows.flat_map(|row| sample_z(Prior::Normal, 16, seed, row)).collect(), 16)
    }

    #[test]
    fn test_detects_a_generator_of_few_images_and_not_one_of_many() {
        let device = Device::flex();
        let real = table(0..400, 1);
        // 400 samples of a generator with 250 images.
        let few =
            BirthdayTest::count(&table((0..400u64).map(|i| i * i * 31 % 251 + i % 2), 2), &real, &device).unwrap();
        let distinct = few.distinct.unwrap();
        assert!((100.0..500.0).contains(&distinct), "{few:?}");
        assert!(few.at_least < distinct && distinct < few.at_most.unwrap());
        let many = BirthdayTest::count(&table(0..400, 3), &real, &device).unwrap();
        assert!(many.near_duplicates < 10 && many.at_least > 5000.0, "{many:?}");
        assert_eq!((many.pairs, many.closest.len()), (400 * 399 / 2, CLOSEST));
    }
}
