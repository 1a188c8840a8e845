//! The discriminator's features by their strongest responses and guided backpropagation (section 6.2 and figure 5 of
//! the paper).
//!
//! A [`ResponseSearch`] scans a data set batch by batch for the pictures with the strongest responses, and its
//! [`finish`](ResponseSearch::finish) backpropagates from them.

use burn::tensor::Device;

use crate::device::{ComputeError, read_tensor};
use crate::image::Picture;
use crate::model::{BackwardRule, Discriminator, DiscriminatorUnit, picture_tensor};

/// The number of features in each half of figure 5.
pub const FIGURE_FEATURES: usize = 6;
/// The number of pictures per feature in figure 5.
pub const FIGURE_PICTURES: usize = 5;

/// The seed of the random weights that trained weights are compared with.
pub const RANDOM_WEIGHTS_SEED: u64 = 0x7261_6e64_6f6d;

/// A picture and a feature's response to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The number of the picture in the data set.
    pub number: u64,
    /// The picture.
    pub picture: Picture,
    /// The largest activation, after the activation function.
    pub value: f32,
    /// The position of the largest activation in the map, in row-major order.
    position: usize,
}

/// Searches a data set for the pictures with the strongest responses of some features, batch by batch.
#[derive(Debug, Clone)]
pub struct ResponseSearch {
    layer: usize,
    keep: usize,
    /// The map of each feature, and its strongest responses so far in descending order.
    best: Vec<(usize, Vec<Response>)>,
}

impl ResponseSearch {
    /// Searches for the `keep` strongest responses of each of `maps` of convolution `layer`.
    pub fn new(layer: usize, maps: impl IntoIterator<Item = usize>, keep: usize) -> Self {
        Self { layer, keep, best: maps.into_iter().map(|map| (map, Vec::new())).collect() }
    }

    /// Scans some pictures of the data set, given with their numbers.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn scan(
        &mut self,
        discriminator: &Discriminator,
        pictures: &[(u64, Picture)],
        device: &Device,
    ) -> Result<(), ComputeError> {
        let unnumbered: Vec<Picture> = pictures.iter().map(|(_, picture)| picture.clone()).collect();
        let (mut layers, _) =
            discriminator.forward_features(picture_tensor(&unnumbered, discriminator.config(), device));
        let maps = layers.swap_remove(self.layer);
        let [_, count, side, _] = maps.dims();
        let values = read_tensor(maps)?;
        for (map, best) in &mut self.best {
            for (i, (number, picture)) in pictures.iter().enumerate() {
                let map = &values[(i * count + *map) * side * side..][..side * side];
                let position = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap_or(0);
                let rank = best.partition_point(|response| response.value >= map[position]);
                if rank < self.keep {
                    let response =
                        Response { number: *number, picture: picture.clone(), value: map[position], position };
                    best.insert(rank, response);
                    best.truncate(self.keep);
                }
            }
        }
        Ok(())
    }

    /// The strongest responses, with the guided backpropagation signal of each.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn finish(self, discriminator: &Discriminator, device: &Device) -> Result<Vec<FeatureResponses>, ComputeError> {
        let feature = |(map, responses): (usize, Vec<Response>)| {
            let pictures: Vec<Picture> = responses.iter().map(|response| response.picture.clone()).collect();
            let positions = responses.iter().map(|response| response.position).collect();
            let unit = DiscriminatorUnit::Map { layer: self.layer, map, places: positions };
            let signals = if pictures.is_empty() {
                Vec::new()
            } else {
                let pictures = picture_tensor(&pictures, discriminator.config(), device);
                signal_pictures(
                    &read_tensor(discriminator.backpropagate(pictures, &unit, BackwardRule::Guided))?,
                    discriminator,
                )
            };
            Ok(FeatureResponses { map, responses, signals })
        };
        self.best.into_iter().map(feature).collect()
    }
}

/// The strongest responses of one feature of the discriminator.
#[derive(Debug, Clone)]
pub struct FeatureResponses {
    /// The index of the feature map.
    pub map: usize,
    /// The strongest responses, in descending order.
    pub responses: Vec<Response>,
    /// The guided backpropagation signal for each of these pictures; gray is zero.
    pub signals: Vec<Picture>,
}

/// Renders signals as pictures. Gray is zero, and each signal is scaled to its own range.
fn signal_pictures(signals: &[f32], discriminator: &Discriminator) -> Vec<Picture> {
    let config = discriminator.config();
    let picture = |signal: &[f32]| {
        let largest = signal.iter().fold(f32::MIN_POSITIVE, |largest, v| largest.max(v.abs()));
        let scaled: Vec<f32> = signal.iter().map(|v| v / largest).collect();
        Picture::from_chw(&scaled, config.channels, config.size, config.size)
    };
    signals.chunks_exact(config.values()).map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::Scene;
    use crate::model::{ModelConfig, Preset, SamplingStatistics};

    #[test]
    fn the_strongest_responses_do_not_depend_on_the_batch_size() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let discriminator = Discriminator::new(&config, 2, &device);
        let pictures: Vec<_> = (0..24).map(|n| (n, Scene::Rooms.draw(1, n, 16).picture)).collect();
        let search = |batch: usize| {
            let mut search = ResponseSearch::new(1, 0..FIGURE_FEATURES, 4);
            for part in pictures.chunks(batch) {
                search.scan(&discriminator, part, &device).unwrap();
            }
            search.finish(&discriminator, &device).unwrap()
        };
        let (small, whole) = (search(5), search(24));
        for (a, b) in small.iter().zip(&whole) {
            let numbers = |feature: &FeatureResponses| feature.responses.iter().map(|r| r.number).collect::<Vec<_>>();
            assert_eq!(numbers(a), numbers(b));
            assert!(a.responses.windows(2).all(|pair| pair[0].value >= pair[1].value));
            assert_eq!(a.signals.len(), 4);
        }
    }

    #[test]
    fn signals_do_not_depend_on_the_other_pictures_of_the_batch() {
        // The last layer has batch norm: sampling with batch statistics must not affect the discriminator.
        let config = ModelConfig {
            size: 16,
            base: 4,
            sampling: SamplingStatistics::Batch,
            ..ModelConfig::preset(Preset::Paper)
        };
        let device = Device::flex();
        let discriminator = Discriminator::new(&config, 2, &device);
        let pictures: Vec<_> = (0..12).map(|n| (n, Scene::Rooms.draw(1, n, 16).picture)).collect();
        let mut search = ResponseSearch::new(1, 0..3, 4);
        search.scan(&discriminator, &pictures, &device).unwrap();
        for feature in search.finish(&discriminator, &device).unwrap() {
            for (response, signal) in feature.responses.iter().zip(&feature.signals) {
                // Found among twelve; propagated back alone it is the same response with the same signal.
                let mut alone = ResponseSearch::new(1, [feature.map], 1);
                alone.scan(&discriminator, &[(response.number, response.picture.clone())], &device).unwrap();
                let alone = alone.finish(&discriminator, &device).unwrap().remove(0);
                assert!((alone.responses[0].value - response.value).abs() < 1e-5);
                assert_eq!(alone.signals[0], *signal);
                // All of a unit's gradient is in its own picture.
                let x = picture_tensor(&[&response.picture, &pictures[11].1], &config, &device);
                let unit = DiscriminatorUnit::Map { layer: 1, map: feature.map, places: vec![response.position; 2] };
                let together = read_tensor(discriminator.backpropagate(x, &unit, BackwardRule::Guided)).unwrap();
                let own = signal_pictures(&together, &discriminator).remove(0);
                assert_eq!(own, *signal);
            }
        }
    }
}
