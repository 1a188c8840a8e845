//! What the discriminator's features look for (section 6.2, figure 5): the pictures they answer to most strongly, and what
//! in them, by guided backpropagation; and what in a picture decides its verdict.

use burn::tensor::Device;

use super::layers::tensor;
use crate::image::{Picture, grid};
use crate::latent::{self, DrawError};
use crate::model::{Discriminator, Rule, Statistics, Unit};

/// Features and pictures of each in the paper's figure.
pub const FEATURES: usize = 6;
/// Pictures of each.
pub const PICTURES: usize = 10;

/// Seed of the weights that the learnt ones are compared with.
pub const RANDOM: u64 = 0x7261_6e64_6f6d;

/// A picture that a feature answers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Its number in the data.
    pub number: u64,
    /// The picture.
    pub picture: Picture,
    /// How strongly, after the rectifier.
    pub value: f32,
    /// The place of the map that answers, row by row.
    place: usize,
}

/// Looks for the pictures that some features answer to most strongly, batch by batch.
#[derive(Debug, Clone)]
pub struct Search {
    layer: usize,
    statistics: Statistics,
    keep: usize,
    /// Each feature's map, and the strongest so far.
    best: Vec<(usize, Vec<Response>)>,
}

impl Search {
    /// For `maps` of convolution `layer`, `keep` pictures each.
    pub fn new(layer: usize, maps: impl IntoIterator<Item = usize>, keep: usize, statistics: Statistics) -> Self {
        Self { layer, statistics, keep, best: maps.into_iter().map(|map| (map, Vec::new())).collect() }
    }

    /// Looks at some pictures of the data, with their numbers. With batch statistics they are one batch.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn look(
        &mut self,
        discriminator: &Discriminator,
        pictures: &[(u64, Picture)],
        device: &Device,
    ) -> Result<(), DrawError> {
        let only: Vec<Picture> = pictures.iter().map(|(_, picture)| picture.clone()).collect();
        let (mut layers, _) = discriminator.inside(tensor(&only, discriminator.config(), device), self.statistics);
        let maps = layers.swap_remove(self.layer);
        let [_, count, side, _] = maps.dims();
        let values = latent::read(maps)?;
        for (map, best) in &mut self.best {
            for (i, (number, picture)) in pictures.iter().enumerate() {
                let map = &values[(i * count + *map) * side * side..][..side * side];
                let place = (0..map.len()).max_by(|&a, &b| map[a].total_cmp(&map[b])).unwrap_or(0);
                let at = best.partition_point(|response| response.value >= map[place]);
                if at < self.keep {
                    let response = Response { number: *number, picture: picture.clone(), value: map[place], place };
                    best.insert(at, response);
                    best.truncate(self.keep);
                }
            }
        }
        Ok(())
    }

    /// What was found, and what in each picture the feature answers to.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn finish(self, discriminator: &Discriminator, device: &Device) -> Result<Vec<Feature>, DrawError> {
        let feature = |(map, responses): (usize, Vec<Response>)| {
            let pictures: Vec<Picture> = responses.iter().map(|response| response.picture.clone()).collect();
            let places = responses.iter().map(|response| response.place).collect();
            let unit = Unit::Map { layer: self.layer, map, places };
            let signals = if pictures.is_empty() {
                Vec::new()
            } else {
                let pictures = tensor(&pictures, discriminator.config(), device);
                shown(
                    &latent::read(discriminator.lead_back(pictures, &unit, Rule::Guided, self.statistics))?,
                    discriminator,
                )
            };
            Ok(Feature { map, responses, signals })
        };
        self.best.into_iter().map(feature).collect()
    }
}

/// A feature of the discriminator, by what it answers to.
#[derive(Debug, Clone)]
pub struct Feature {
    /// Its map.
    pub map: usize,
    /// The strongest answers, strongest first.
    pub responses: Vec<Response>,
    /// What is led back to each of those pictures, grey where nothing is.
    pub signals: Vec<Picture>,
}

/// Signals as pictures: grey is none, each at its own full range.
fn shown(signals: &[f32], discriminator: &Discriminator) -> Vec<Picture> {
    let config = discriminator.config();
    let picture = |signal: &[f32]| {
        let largest = signal.iter().fold(f32::MIN_POSITIVE, |largest, v| largest.max(v.abs()));
        let scaled: Vec<f32> = signal.iter().map(|v| v / largest).collect();
        Picture::from_chw(&scaled, config.channels, config.size, config.size)
    };
    signals.chunks_exact(config.values()).map(picture).collect()
}

/// The paper's figure 5: on the left features of random weights, on the right learnt ones, a row each; below them the
/// pictures they answer to.
pub fn figure(random: &[Feature], learnt: &[Feature]) -> Picture {
    let side = |features: &[Feature]| {
        let of = |pictures: &dyn Fn(&Feature) -> Vec<Picture>| -> Vec<Picture> {
            features.iter().flat_map(pictures).collect()
        };
        let columns = features.iter().map(|feature| feature.signals.len()).max().unwrap_or(1);
        let signals = grid(&of(&|feature| feature.signals.clone()), columns, 2);
        let originals = grid(&of(&|feature| feature.responses.iter().map(|r| r.picture.clone()).collect()), columns, 2);
        grid(&[signals, originals], 1, 12)
    };
    grid(&[side(random), side(learnt)], 2, 12)
}

/// What in a picture decides whether the discriminator takes it for real.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Above zero: real.
    pub logit: f32,
    /// How much each pixel moves the logit, `[size, size]`: the largest of its channels.
    pub saliency: Vec<f32>,
}

/// Verdicts on pictures of the discriminator's size and channels (with batch statistics, all of them one batch), and what
/// decided them by `rule`.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn verdicts(
    discriminator: &Discriminator,
    pictures: &[Picture],
    rule: Rule,
    statistics: Statistics,
    device: &Device,
) -> Result<Vec<Verdict>, DrawError> {
    let config = discriminator.config();
    let x = tensor(pictures, config, device);
    let (_, logits) = discriminator.inside(x.clone(), statistics);
    let signals = latent::read(discriminator.lead_back(x, &Unit::Verdict, rule, statistics))?;
    let plane = config.size * config.size;
    let verdict = |(logit, signal): (f32, &[f32])| {
        let strongest = |pixel: usize| signal.iter().skip(pixel).step_by(plane).fold(0.0f32, |a, v| a.max(v.abs()));
        Verdict { logit, saliency: (0..plane).map(strongest).collect() }
    };
    Ok(latent::read(logits)?.into_iter().zip(signals.chunks_exact(config.values())).map(verdict).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::Scene;
    use crate::model::{ModelConfig, Preset};

    #[test]
    fn the_strongest_answers_of_a_set_are_found_whatever_the_batches() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let judge = Discriminator::new(&config, 2, &device);
        let pictures: Vec<_> = (0..24).map(|n| (n, Scene::Rooms.draw(1, n, 16).picture)).collect();
        let search = |batch: usize| {
            let mut search = Search::new(1, 0..FEATURES, 4, Statistics::Running);
            for part in pictures.chunks(batch) {
                search.look(&judge, part, &device).unwrap();
            }
            search.finish(&judge, &device).unwrap()
        };
        let (small, whole) = (search(5), search(24));
        for (a, b) in small.iter().zip(&whole) {
            let numbers = |feature: &Feature| feature.responses.iter().map(|r| r.number).collect::<Vec<_>>();
            assert_eq!(numbers(a), numbers(b));
            assert!(a.responses.windows(2).all(|pair| pair[0].value >= pair[1].value));
            assert_eq!(a.signals.len(), 4);
        }
        let sheet = figure(&small, &whole);
        let wide = 4 * 16 + 3 * 2;
        assert_eq!((sheet.width(), sheet.height()), (2 * wide + 12, 2 * (6 * 16 + 5 * 2) + 12));
    }

    #[test]
    fn a_verdict_comes_with_the_pixels_that_decide_it() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let judge = Discriminator::new(&config, 2, &Device::flex());
        let picture = Scene::Rooms.draw(1, 3, 16).picture;
        for rule in [Rule::Plain, Rule::Guided] {
            let told =
                verdicts(&judge, std::slice::from_ref(&picture), rule, Statistics::Running, &Device::flex()).unwrap();
            assert_eq!(told[0].saliency.len(), 256);
            assert!(told[0].logit.is_finite() && told[0].saliency.iter().any(|&v| v > 0.0), "{rule:?}");
        }
    }
}
