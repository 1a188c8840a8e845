//! Proportions, correlations and means with 95 % confidence intervals.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The 97.5 % quantile of the standard normal distribution.
const Z: f64 = 1.959_964;
/// Resamples of a bootstrap.
const RESAMPLES: usize = 4000;

/// A value with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The point estimate.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
}

/// A proportion: `hits` of `total`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proportion {
    /// Cases with the property.
    pub hits: usize,
    /// All cases.
    pub total: usize,
}

impl Proportion {
    /// Counts another case.
    pub fn count(&mut self, hit: bool) {
        self.total += 1;
        self.hits += usize::from(hit);
    }

    /// `hits / total` with Wilson's score interval (1927), which stays accurate near 0 and 1; `None` of no cases.
    pub fn wilson(self) -> Option<Estimate> {
        if self.total == 0 {
            return None;
        }
        let (n, p) = (self.total as f64, self.hits as f64 / self.total as f64);
        let scale = 1.0 + Z * Z / n;
        let middle = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        Some(Estimate { value: p, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
    }
}

/// Written as `hits`, `of`, and the fields of its [`Estimate`].
impl Serialize for Proportion {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct WithInterval {
            hits: usize,
            of: usize,
            #[serde(flatten)]
            estimate: Option<Estimate>,
        }
        WithInterval { hits: self.hits, of: self.total, estimate: self.wilson() }.serialize(serializer)
    }
}

/// Pearson's correlation of two series of the same length; `None` if either is constant.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len()) as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(x), mean(y));
    let (mut xy, mut xx, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - mean_x, y - mean_y);
        (xy, xx, yy) = (xy + x * y, xx + x * x, yy + y * y);
    }
    let r = xy / (xx * yy).sqrt();
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

/// The mean with the percentile bootstrap's 95 % interval; `None` of no values.
pub fn bootstrap_mean(values: &[f64], seed: u64) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let n = values.len();
    let average = |sum: f64| sum / n as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let means = (0..RESAMPLES).map(|_| average((0..n).map(|_| values[rng.random_range(0..n)]).sum())).collect();
    let (low, high) = percentiles(means);
    Some(Estimate { value: average(values.iter().sum()), low, high })
}

/// The probability that a value of `a` is less than one of `b`, ties counting half (the Mann-Whitney statistic as a share of all
/// pairs), with the percentile bootstrap's 95 % interval over both; `None` if either is empty.
pub fn probability_less(a: &[f64], b: &[f64], seed: u64) -> Option<Estimate> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let share = |a: &[f64], b: &mut Vec<f64>| {
        b.sort_by(f64::total_cmp);
        let above = |&a: &f64| {
            let (below, up_to) = (b.partition_point(|&b| b < a), b.partition_point(|&b| b <= a));
            b.len() as f64 - (below + up_to) as f64 / 2.0
        };
        a.iter().map(above).sum::<f64>() / (a.len() * b.len()) as f64
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut resample =
        |from: &[f64]| -> Vec<f64> { (0..from.len()).map(|_| from[rng.random_range(0..from.len())]).collect() };
    let shares = (0..RESAMPLES / 4).map(|_| share(&resample(a), &mut resample(b))).collect();
    let (low, high) = percentiles(shares);
    Some(Estimate { value: share(a, &mut b.to_vec()), low, high })
}

/// The 2.5 % and the 97.5 % percentile.
fn percentiles(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

/// The exact 95 % confidence interval of the rate of a Poisson count (Garwood 1936).
pub fn poisson_interval(count: usize) -> (f64, f64) {
    // The rate at which `count` or fewer events have a probability.
    let rate = |count: usize, probability: f64| {
        let cumulative = |rate: f64| {
            let terms = (0..=count).scan(-rate, |log, k| {
                *log += if k == 0 { 0.0 } else { (rate / k as f64).ln() };
                Some(log.exp())
            });
            terms.sum::<f64>()
        };
        let (mut low, mut high) = (0.0, count as f64 + 10.0 * (count as f64 + 1.0).sqrt() + 10.0);
        for _ in 0..100 {
            let middle = (low + high) / 2.0;
            if cumulative(middle) > probability { low = middle } else { high = middle }
        }
        low
    };
    (if count == 0 { 0.0 } else { rate(count - 1, 0.975) }, rate(count, 0.025))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilsons_interval_is_the_published_one() {
        // Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
        for (hits, total, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let interval = Proportion { hits, total }.wilson().unwrap();
            assert!(
                (interval.low - low).abs() < 1e-4 && (interval.high - high).abs() < 1e-4,
                "{hits}/{total}: {interval:?}"
            );
        }
        assert_eq!(Proportion::default().wilson(), None);
        assert!((Proportion { hits: 5, total: 5 }.wilson().unwrap().high - 1.0).abs() < 1e-12);
    }

    #[test]
    fn correlation_is_pearsons() {
        let x = [1.0, 2.0, 3.0, 4.0];
        assert!((pearson(&x, &[3.0, 5.0, 7.0, 9.0]).unwrap() - 1.0).abs() < 1e-12);
        assert!((pearson(&x, &[4.0, 3.0, 2.0, 1.0]).unwrap() + 1.0).abs() < 1e-12);
        // By hand: the sums of products are 3, 5 and 2.
        assert!((pearson(&x, &[0.0, 1.0, 1.0, 2.0]).unwrap() - 3.0 / 10f64.sqrt()).abs() < 1e-12);
        assert_eq!(pearson(&x, &[2.0; 4]), None, "a constant series has no correlation");
        assert_eq!(pearson(&[], &[]), None);
    }

    #[test]
    fn probability_less_counts_ties_half() {
        let estimate = probability_less(&[1.0, 2.0, 3.0], &[2.0, 4.0], 1).unwrap();
        // Of six pairs 1 < 2, 1 < 4, 2 < 4, 3 < 4, and 2 = 2 counts half.
        assert!((estimate.value - 4.5 / 6.0).abs() < 1e-12, "{estimate:?}");
        assert!(estimate.low <= estimate.value && estimate.value <= estimate.high);
        let same: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 400)).collect();
        let estimate = probability_less(&same, &same, 1).unwrap();
        assert!(estimate.low < 0.5 && estimate.high > 0.5 && estimate.high - estimate.low < 0.1, "{estimate:?}");
        assert_eq!(probability_less(&[], &[1.0], 1), None);
    }

    #[test]
    fn poisson_interval_is_the_published_one() {
        for (count, low, high) in
            [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904), (100, 81.3640, 121.6268)]
        {
            let interval = poisson_interval(count);
            assert!((interval.0 - low).abs() < 2e-4 && (interval.1 - high).abs() < 2e-4, "{count}: {interval:?}");
        }
    }

    #[test]
    fn bootstrap_interval_agrees_with_the_standard_error() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
        let estimate = bootstrap_mean(&values, 1).unwrap();
        assert!((estimate.value - 4.5).abs() < 1e-12);
        // The standard deviation is 2.872, so the interval's half is 1.96 * 0.2872 = 0.563.
        assert!((estimate.high - estimate.low - 1.126).abs() < 0.08, "{estimate:?}");
        assert!(estimate.low < 4.5 && estimate.high > 4.5);
        assert_eq!(estimate, bootstrap_mean(&values, 1).unwrap());
        assert_eq!(bootstrap_mean(&[], 1), None);
    }
}
