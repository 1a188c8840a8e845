//! How many distinct pictures a generator draws, by the birthday paradox (Arora and Zhang 2017): of N equally likely ones, two
//! among n are the same for one pair in N.

use burn::tensor::Device;
use serde::Serialize;

use super::features::distances;
use super::statistics::poisson;
use super::svm::Table;
use crate::latent::DrawError;

/// Closest pairs that are kept to be looked at.
const KEPT: usize = 32;

/// Two samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Pair {
    /// Their numbers.
    pub samples: [usize; 2],
    /// Euclidean.
    pub distance: f32,
}

/// Pairs that look alike, and what they say of the number of distinct samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Birthday {
    /// Pairs of samples.
    pub pairs: usize,
    /// Pairs closer than `limit`.
    pub alike: usize,
    /// The least distance between two real pictures, of as many as there are samples.
    pub limit: f32,
    /// Real pictures that gave the limit.
    pub real: usize,
    /// Distinct samples: pairs by pairs that are alike. None where no two are.
    pub distinct: Option<f64>,
    /// At least and at most so many, with 95 % confidence.
    pub at_least: f64,
    /// None where no two are alike.
    pub at_most: Option<f64>,
    /// The closest pairs, for eyes to judge.
    pub closest: Vec<Pair>,
}

impl Birthday {
    /// Counts pairs of samples that are closer than any two of as many real pictures; equal ones, of which a set may have
    /// some, do not count among the real.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn count(samples: &Table, real: &Table, device: &Device) -> Result<Self, DrawError> {
        let limit = closest(real, samples.len(), device)?
            .into_iter()
            .map(|pair| pair.distance)
            .find(|&distance| distance > 1e-2)
            .unwrap_or(0.0);
        let all = closest(samples, samples.len(), device)?;
        let count = samples.len();
        let pairs = count * count.saturating_sub(1) / 2;
        let alike = all.iter().filter(|pair| pair.distance < limit).count();
        let (low, high) = poisson(alike);
        Ok(Self {
            pairs,
            alike,
            limit,
            real: real.len().min(count),
            distinct: (alike > 0).then(|| pairs as f64 / alike as f64),
            at_least: pairs as f64 / high,
            at_most: (alike > 0).then(|| pairs as f64 / low),
            closest: all.into_iter().take(KEPT).collect(),
        })
    }
}

/// All pairs of the first `count` rows, the closest first.
fn closest(table: &Table, count: usize, device: &Device) -> Result<Vec<Pair>, DrawError> {
    let count = table.len().min(count);
    let first = Table::new(table.rows().take(count).flatten().copied().collect(), table.width());
    let squares = distances(&first, &first, device)?;
    let mut pairs: Vec<Pair> = (0..count)
        .flat_map(|a| (a + 1..count).map(move |b| (a, b)))
        .map(|(a, b)| Pair { samples: [a, b], distance: squares[a * count + b].sqrt() })
        .collect();
    pairs.sort_by(|a, b| a.distance.total_cmp(&b.distance));
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latent::numbered;
    use crate::model::Prior;

    fn table(rows: impl Iterator<Item = u64>, seed: u64) -> Table {
        Table::new(rows.flat_map(|row| numbered(Prior::Normal, 16, seed, row)).collect(), 16)
    }

    #[test]
    fn a_generator_of_few_pictures_is_found_out_and_one_of_many_is_not() {
        let device = Device::flex();
        let real = table(0..400, 1);
        // 400 draws of 250 pictures.
        let few = Birthday::count(&table((0..400u64).map(|i| i * i * 31 % 251 + i % 2), 2), &real, &device).unwrap();
        let distinct = few.distinct.unwrap();
        assert!((100.0..500.0).contains(&distinct), "{few:?}");
        assert!(few.at_least < distinct && distinct < few.at_most.unwrap());
        let many = Birthday::count(&table(0..400, 3), &real, &device).unwrap();
        assert!(many.alike < 10 && many.at_least > 5000.0, "{many:?}");
        assert_eq!((many.pairs, many.closest.len()), (400 * 399 / 2, KEPT));
    }
}
