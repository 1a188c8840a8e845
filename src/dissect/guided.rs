//! What the discriminator's features look for (section 6.2, figure 5): the pictures they answer to most strongly, and what
//! in them, by guided backpropagation; and what in a picture decides its verdict.

use burn::tensor::Device;

use super::layers::tensor;
use crate::image::{LABEL_HEIGHT, LabelError, Picture, Sheet, label};
use crate::latent::{self, DrawError};
use crate::model::{Discriminator, Rule, Unit};

/// Features on each side of the paper's figure 5.
pub const FEATURES: usize = 6;
/// Pictures of each feature on each side of the paper's figure 5.
pub const PICTURES: usize = 5;

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
    keep: usize,
    /// Each feature's map, and the strongest so far.
    best: Vec<(usize, Vec<Response>)>,
}

impl Search {
    /// For `maps` of convolution `layer`, `keep` pictures each.
    pub fn new(layer: usize, maps: impl IntoIterator<Item = usize>, keep: usize) -> Self {
        Self { layer, keep, best: maps.into_iter().map(|map| (map, Vec::new())).collect() }
    }

    /// Looks at some pictures of the data, with their numbers.
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
        let (mut layers, _) = discriminator.inside(tensor(&only, discriminator.config(), device));
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
                shown(&latent::read(discriminator.backpropagate(pictures, &unit, Rule::Guided))?, discriminator)
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
    /// The signal that guided backpropagation gives for each of those pictures, gray where there is none.
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

/// Pixels between pictures, as on every sheet, and between the halves of the figure.
const GAP: usize = 2;
const APART: usize = 12;
/// The figure is in color, as its labels are, also where the pictures are gray.
const CHANNELS: usize = 3;

/// The paper's figure 5: on the left features of random weights, on the right trained ones, a row each with its feature's
/// number; below them the pictures they respond to.
///
/// # Errors
/// [`LabelError`] when titles or numbers cannot be drawn.
pub fn figure(random: &[Feature], trained: &[Feature]) -> Result<Picture, LabelError> {
    let [left, right] = [half("random filters", random)?, half("trained filters", trained)?];
    let mut sheet = Sheet::new(left.width() + APART + right.width(), left.height().max(right.height()), CHANNELS);
    sheet.put(&left, 0, 0);
    sheet.put(&right, left.width() + APART, 0);
    Ok(sheet.into_picture())
}

/// One half of the figure, under its title.
fn half(title: &str, features: &[Feature]) -> Result<Picture, LabelError> {
    let signals: Vec<&[Picture]> = features.iter().map(|feature| &feature.signals[..]).collect();
    let originals: Vec<Vec<Picture>> =
        features.iter().map(|f| f.responses.iter().map(|r| r.picture.clone()).collect()).collect();
    let originals: Vec<&[Picture]> = originals.iter().map(|row| &row[..]).collect();
    let names = features.iter().map(|feature| label(&feature.map.to_string())).collect::<Result<Vec<_>, _>>()?;
    let blocks = [
        label(title)?,
        label("feature, guided backpropagation")?,
        rows(&names, &signals),
        label("feature, strongest responses")?,
        rows(&names, &originals),
    ];
    Ok(stacked(&blocks))
}

/// Rows of pictures, each with its label on the left.
fn rows(labels: &[Picture], rows: &[&[Picture]]) -> Picture {
    let columns = rows.iter().map(|row| row.len()).max().unwrap_or(0);
    let Some(first) = rows.iter().copied().flatten().next() else { return Picture::new(0, 0, 1, Vec::new()) };
    let (width, height) = (first.width() + GAP, first.height().max(LABEL_HEIGHT) + GAP);
    let left = labels.iter().map(Picture::width).max().unwrap_or(0) + GAP;
    let mut sheet = Sheet::new(left + columns * width, rows.len() * height, CHANNELS);
    for (i, (label, row)) in labels.iter().zip(rows).enumerate() {
        sheet.put(label, 0, i * height + (height - GAP - LABEL_HEIGHT) / 2);
        for (column, picture) in row.iter().enumerate() {
            sheet.put(picture, left + column * width, i * height);
        }
    }
    sheet.into_picture()
}

fn stacked(blocks: &[Picture]) -> Picture {
    let width = blocks.iter().map(Picture::width).max().unwrap_or(0);
    let height = blocks.iter().map(|block| block.height() + GAP).sum();
    let mut sheet = Sheet::new(width, height, CHANNELS);
    let mut y = 0;
    for block in blocks.iter().filter(|block| block.width() > 0) {
        sheet.put(block, 0, y);
        y += block.height() + GAP;
    }
    sheet.into_picture()
}

/// What in a picture decides whether the discriminator takes it for real.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Above zero: real.
    pub logit: f32,
    /// How much each pixel moves the logit, `[size, size]`: the largest of its channels.
    pub saliency: Vec<f32>,
}

/// Verdicts on pictures of the discriminator's size and channels, and what decided them by `rule`.
///
/// # Errors
/// [`DrawError`] when the device fails.
pub fn verdicts(
    discriminator: &Discriminator,
    pictures: &[Picture],
    rule: Rule,
    device: &Device,
) -> Result<Vec<Verdict>, DrawError> {
    let config = discriminator.config();
    let x = tensor(pictures, config, device);
    let (_, logits) = discriminator.inside(x.clone());
    let signals = latent::read(discriminator.backpropagate(x, &Unit::Verdict, rule))?;
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
    use crate::model::{ModelConfig, Preset, Statistics};

    #[test]
    fn the_strongest_answers_of_a_set_are_found_whatever_the_batches() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let judge = Discriminator::new(&config, 2, &device);
        let pictures: Vec<_> = (0..24).map(|n| (n, Scene::Rooms.draw(1, n, 16).picture)).collect();
        let search = |batch: usize| {
            let mut search = Search::new(1, 0..FEATURES, 4);
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
        let sheet = figure(&small, &whole).unwrap();
        // Each half has two blocks of six rows of four pictures, and each is the wider for its text.
        assert!(sheet.width() >= 2 * 4 * 18 + APART);
        assert_eq!(sheet.height(), 3 * (LABEL_HEIGHT + GAP) + 2 * (6 * (LABEL_HEIGHT + GAP) + GAP));
    }

    #[test]
    fn gray_pictures_have_a_figure_too() {
        let config = ModelConfig { size: 16, base: 4, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let judge = Discriminator::new(&config, 2, &device);
        let gray = |n: u64| Picture::new(16, 16, 1, (0..256).map(|i| ((i * (n + 3)) % 251) as u8).collect());
        let pictures: Vec<_> = (0..8).map(|n| (n, gray(n))).collect();
        let mut search = Search::new(1, 0..2, 3);
        search.look(&judge, &pictures, &device).unwrap();
        let features = search.finish(&judge, &device).unwrap();
        let sheet = figure(&features, &features).unwrap();
        assert_eq!(sheet.channels(), 3);
        assert_eq!(sheet.height(), 3 * (LABEL_HEIGHT + GAP) + 2 * (2 * (LABEL_HEIGHT + GAP) + GAP));
        assert!(figure(&[], &[]).is_ok(), "no features are an empty figure");
    }

    #[test]
    fn what_a_feature_answers_to_does_not_depend_on_the_other_pictures() {
        // Batch statistics of the sampling must not reach the discriminator, whose last layer has batch norm.
        let config =
            ModelConfig { size: 16, base: 4, sampling: Statistics::Batch, ..ModelConfig::preset(Preset::Paper) };
        let device = Device::flex();
        let judge = Discriminator::new(&config, 2, &device);
        let pictures: Vec<_> = (0..12).map(|n| (n, Scene::Rooms.draw(1, n, 16).picture)).collect();
        let mut search = Search::new(1, 0..3, 4);
        search.look(&judge, &pictures, &device).unwrap();
        for feature in search.finish(&judge, &device).unwrap() {
            for (response, signal) in feature.responses.iter().zip(&feature.signals) {
                // Found among twelve; propagated back alone it is the same response with the same signal.
                let mut alone = Search::new(1, [feature.map], 1);
                alone.look(&judge, &[(response.number, response.picture.clone())], &device).unwrap();
                let alone = alone.finish(&judge, &device).unwrap().remove(0);
                assert!((alone.responses[0].value - response.value).abs() < 1e-5);
                assert_eq!(alone.signals[0], *signal);
                // All of a unit's gradient is in its own picture.
                let x = tensor(&[&response.picture, &pictures[11].1], &config, &device);
                let unit = Unit::Map { layer: 1, map: feature.map, places: vec![response.place; 2] };
                let together = latent::read(judge.backpropagate(x, &unit, Rule::Guided)).unwrap();
                let own = shown(&together, &judge).remove(0);
                assert_eq!(own, *signal);
            }
        }
    }

    #[test]
    fn a_verdict_comes_with_the_pixels_that_decide_it() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let judge = Discriminator::new(&config, 2, &Device::flex());
        let picture = Scene::Rooms.draw(1, 3, 16).picture;
        for rule in [Rule::Plain, Rule::Guided] {
            let told = verdicts(&judge, std::slice::from_ref(&picture), rule, &Device::flex()).unwrap();
            assert_eq!(told[0].saliency.len(), 256);
            assert!(told[0].logit.is_finite() && told[0].saliency.iter().any(|&v| v > 0.0), "{rule:?}");
        }
    }
}
