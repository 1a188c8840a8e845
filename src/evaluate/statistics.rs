//! Shares, correlations, and how sure they are.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

/// The normal distribution's 97.5 % point: intervals are of 95 %.
const Z: f64 = 1.959_964;
/// Resamples of a bootstrap.
const RESAMPLES: usize = 4000;

/// A value and the ends of its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The value itself.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// How many of how many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    /// Those that count.
    pub hits: usize,
    /// All of them.
    pub of: usize,
}

impl Share {
    /// Counts one more.
    pub fn count(&mut self, hit: bool) {
        self.of += 1;
        self.hits += usize::from(hit);
    }

    /// The share with Wilson's score interval (1927), which is honest near 0 and 1; of nothing there is none.
    pub fn wilson(self) -> Option<Estimate> {
        if self.of == 0 {
            return None;
        }
        let (n, p) = (self.of as f64, self.hits as f64 / self.of as f64);
        let scale = 1.0 + Z * Z / n;
        let middle = (p + Z * Z / (2.0 * n)) / scale;
        let half = Z / scale * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
        Some(Estimate { value: p, low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Whole {
            hits: usize,
            of: usize,
            #[serde(flatten)]
            share: Option<Estimate>,
        }
        Whole { hits: self.hits, of: self.of, share: self.wilson() }.serialize(to)
    }
}

/// Pearson's correlation of two series of one length; none where one of them does not vary.
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

/// The mean with the percentile bootstrap's 95 % interval; of nothing there is none.
pub fn mean(values: &[f64], seed: u64) -> Option<Estimate> {
    if values.is_empty() {
        return None;
    }
    let n = values.len();
    let average = |sum: f64| sum / n as f64;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let means = (0..RESAMPLES).map(|_| average((0..n).map(|_| values[rng.random_range(0..n)]).sum())).collect();
    let (low, high) = ends(means);
    Some(Estimate { value: average(values.iter().sum()), low, high })
}

/// How often one of `a` is less than one of `b`, ties counting half, with the percentile bootstrap's 95 % interval over
/// both; of nothing there is none.
pub fn less(a: &[f64], b: &[f64], seed: u64) -> Option<Estimate> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let share = |a: &[f64], b: &mut Vec<f64>| {
        b.sort_by(f64::total_cmp);
        let above = |&a: &f64| {
            let (below, upto) = (b.partition_point(|&b| b < a), b.partition_point(|&b| b <= a));
            b.len() as f64 - (below + upto) as f64 / 2.0
        };
        a.iter().map(above).sum::<f64>() / (a.len() * b.len()) as f64
    };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn =
        |from: &[f64]| -> Vec<f64> { (0..from.len()).map(|_| from[rng.random_range(0..from.len())]).collect() };
    let shares = (0..RESAMPLES / 4).map(|_| share(&drawn(a), &mut drawn(b))).collect();
    let (low, high) = ends(shares);
    Some(Estimate { value: share(a, &mut b.to_vec()), low, high })
}

/// What 2.5 % of resampled values lie below, and what 2.5 % lie above.
fn ends(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    (at(0.025), at(0.975))
}

/// The 95 % interval of the rate of a Poisson count (Garwood 1936).
pub fn poisson(count: usize) -> (f64, f64) {
    // The rate at which so many or fewer have a probability.
    let rate = |count: usize, probability: f64| {
        let upto = |rate: f64| {
            let terms = (0..=count).scan(-rate, |log, k| {
                *log += if k == 0 { 0.0 } else { (rate / k as f64).ln() };
                Some(log.exp())
            });
            terms.sum::<f64>()
        };
        let (mut low, mut high) = (0.0, count as f64 + 10.0 * (count as f64 + 1.0).sqrt() + 10.0);
        for _ in 0..100 {
            let middle = (low + high) / 2.0;
            if upto(middle) > probability { low = middle } else { high = middle }
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
        for (hits, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let told = Share { hits, of }.wilson().unwrap();
            assert!((told.low - low).abs() < 1e-4 && (told.high - high).abs() < 1e-4, "{hits}/{of}: {told:?}");
        }
        assert_eq!(Share::default().wilson(), None);
        assert!((Share { hits: 5, of: 5 }.wilson().unwrap().high - 1.0).abs() < 1e-12);
    }

    #[test]
    fn correlation_is_pearsons() {
        let x = [1.0, 2.0, 3.0, 4.0];
        assert!((pearson(&x, &[3.0, 5.0, 7.0, 9.0]).unwrap() - 1.0).abs() < 1e-12);
        assert!((pearson(&x, &[4.0, 3.0, 2.0, 1.0]).unwrap() + 1.0).abs() < 1e-12);
        // By hand: the sums of products are 3, 5 and 2.
        assert!((pearson(&x, &[0.0, 1.0, 1.0, 2.0]).unwrap() - 3.0 / 10f64.sqrt()).abs() < 1e-12);
        assert_eq!(pearson(&x, &[2.0; 4]), None, "what does not vary correlates with nothing");
        assert_eq!(pearson(&[], &[]), None);
    }

    #[test]
    fn pairs_are_compared() {
        let told = less(&[1.0, 2.0, 3.0], &[2.0, 4.0], 1).unwrap();
        // Of six pairs 1 < 2, 1 < 4, 2 < 4, 3 < 4, and 2 = 2 counts half.
        assert!((told.value - 4.5 / 6.0).abs() < 1e-12, "{told:?}");
        assert!(told.low <= told.value && told.value <= told.high);
        let same: Vec<f64> = (0..400).map(|i| f64::from(i * 37 % 400)).collect();
        let told = less(&same, &same, 1).unwrap();
        assert!(told.low < 0.5 && told.high > 0.5 && told.high - told.low < 0.1, "{told:?}");
        assert_eq!(less(&[], &[1.0], 1), None);
    }

    #[test]
    fn the_interval_of_a_count_is_the_published_one() {
        for (count, low, high) in
            [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (10, 4.7954, 18.3904), (100, 81.3640, 121.6268)]
        {
            let told = poisson(count);
            assert!((told.0 - low).abs() < 2e-4 && (told.1 - high).abs() < 2e-4, "{count}: {told:?}");
        }
    }

    #[test]
    fn a_bootstrapped_mean_is_as_sure_as_the_standard_error_says() {
        let values: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
        let told = mean(&values, 1).unwrap();
        assert!((told.value - 4.5).abs() < 1e-12);
        // The standard deviation is 2.872, so the interval's half is 1.96 * 0.2872 = 0.563.
        assert!((told.high - told.low - 1.126).abs() < 0.08, "{told:?}");
        assert!(told.low < 4.5 && told.high > 4.5);
        assert_eq!(told, mean(&values, 1).unwrap());
        assert_eq!(mean(&[], 1), None);
    }
}
