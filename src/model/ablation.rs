//! Ablations: feature maps of the generator that are dropped or scaled while it samples (section 6.3.1).
//!
//! [`Ablation`] names the maps, their gains and optionally a region of the image; apply it with
//! [`Generator::with_ablations`](super::Generator::with_ablations).

use std::collections::BTreeMap;

use burn::tensor::{Tensor, TensorData};

use super::config::ModelConfig;
use crate::image::Area;

/// An ablation that does not fit the model.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AblationError {
    /// The generator has no such hidden layer.
    #[error("the ablation {name:?} is for layer {layer}, but the generator's hidden layers are 0 to {last}")]
    Layer {
        /// Name of the ablation.
        name: String,
        /// The missing layer.
        layer: usize,
        /// The generator's last hidden layer.
        last: usize,
    },
    /// The layer has no such map.
    #[error("the ablation {name:?} drops map {map} of layer {layer}, which has maps 0 to {last}")]
    Map {
        /// Name of the ablation.
        name: String,
        /// The hidden layer.
        layer: usize,
        /// The missing map.
        map: usize,
        /// The layer's last map.
        last: usize,
    },
}

/// Gains for feature maps of one hidden layer, applied after its activation.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ablation {
    /// Name, as the user gave it.
    pub name: String,
    /// Whether it is enabled.
    pub on: bool,
    /// The hidden layer; 0 is the projection.
    pub layer: usize,
    /// Gain by map number: 0 drops the map, 2 doubles it. Other maps keep their values.
    pub gains: BTreeMap<usize, f32>,
    /// Region of the image where the gains apply; `None` is the whole image, as in the paper.
    #[serde(default)]
    pub area: Option<Area>,
}

impl Ablation {
    /// Drops maps of a layer everywhere, as the paper does.
    pub fn drop(layer: usize, maps: &[usize]) -> Self {
        Self::scale(layer, maps, 0.0)
    }

    /// Multiplies maps of a layer by `gain` everywhere.
    pub fn scale(layer: usize, maps: &[usize], gain: f32) -> Self {
        let gains = maps.iter().map(|&map| (map, gain)).collect();
        Self { name: String::new(), on: true, layer, gains, area: None }
    }

    /// The same gain and region for other maps, as a control experiment.
    pub fn of(&self, maps: &[usize]) -> Self {
        let gain = self.gains.values().next().copied().unwrap_or(0.0);
        Self { gains: maps.iter().map(|&map| (map, gain)).collect(), ..self.clone() }
    }

    /// Checks that a model has this layer and these maps.
    ///
    /// # Errors
    /// [`AblationError`] with the ablation's name.
    pub fn check(&self, config: &ModelConfig) -> Result<(), AblationError> {
        let (name, layer) = (self.name.clone(), self.layer);
        if layer >= config.stages() {
            return Err(AblationError::Layer { name, layer, last: config.stages() - 1 });
        }
        let last = config.maps(layer) - 1;
        match self.gains.keys().find(|&&map| map > last) {
            Some(&map) => Err(AblationError::Map { name, layer, map, last }),
            None => Ok(()),
        }
    }

    /// Multiplies feature maps `[batch, maps, side, side]` by their gains inside the area.
    pub(super) fn apply(&self, maps: Tensor<4>) -> Tensor<4> {
        let [_, count, side, _] = maps.dims();
        let mut gains = vec![1.0; count];
        for (&map, &gain) in &self.gains {
            gains[map] = gain;
        }
        let device = maps.device();
        let (values, side) = match &self.area {
            None => (gains, 1),
            Some(area) => {
                let shares = area.shares(side);
                let factor = |gain: f32| shares.iter().map(move |share| 1.0 + share * (gain - 1.0));
                (gains.iter().flat_map(|&gain| factor(gain)).collect(), side)
            }
        };
        maps * Tensor::from_data(TensorData::new(values, [1, count, side, side]), &device)
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::latent;
    use crate::model::{Generator, Preset};

    fn generator() -> Generator {
        let config = ModelConfig { size: 16, base: 4, z_dim: 6, ..ModelConfig::preset(Preset::Pytorch) };
        Generator::new(&config, 5, &Device::flex())
    }

    fn features(generator: &Generator, layer: usize) -> Vec<f32> {
        let z = latent::sample_z_tensor(generator.config().prior, 6, 1, 0..2, &Device::flex());
        generator.features(z, layer).into_data().iter::<f32>().collect()
    }

    #[test]
    fn dropped_maps_are_zero_and_the_others_unchanged() {
        let plain = generator();
        let dropped = plain.with_ablations(&[Ablation::drop(1, &[2])]);
        let (before, after) = (features(&plain, 1), features(&dropped, 1));
        for (i, (before, after)) in before.iter().zip(&after).enumerate() {
            let map = i / 64 % 4;
            assert_eq!(*after, if map == 2 { 0.0 } else { *before });
        }
        assert!(before.iter().skip(128).take(64).any(|v| *v > 0.0), "there was something to drop");
        assert_eq!(features(&plain, 0), features(&dropped, 0), "earlier layers are unchanged");
        let z = latent::sample_z_tensor(plain.config().prior, 6, 1, 0..2, &Device::flex());
        let sample = |generator: &Generator| generator.sample(z.clone()).into_data();
        assert_ne!(sample(&plain), sample(&dropped), "the image changes");
        let off = plain.with_ablations(&[Ablation { on: false, ..Ablation::drop(1, &[2]) }]);
        assert_eq!(sample(&plain), sample(&off), "a disabled ablation changes nothing");
    }

    #[test]
    fn gains_apply_only_inside_the_area() {
        let plain = generator();
        let area = Area::of_boxes(16, &[[0, 0, 8, 16]]);
        let doubled = plain.with_ablations(&[Ablation { area: Some(area), ..Ablation::scale(1, &[0, 1, 2, 3], 2.0) }]);
        for (i, (before, after)) in features(&plain, 1).iter().zip(features(&doubled, 1)).enumerate() {
            let left = i % 8 < 4;
            assert_eq!(after, if left { 2.0 * before } else { *before });
        }
    }

    #[test]
    fn training_ignores_ablations() {
        let z = || Tensor::ones([2, 6], &Device::flex()) * 0.4;
        let generated = |mut generator: Generator| generator.train(z()).into_data();
        assert_eq!(generated(generator()), generated(generator().with_ablations(&[Ablation::drop(0, &[0, 1, 2, 3])])));
    }

    #[test]
    fn missing_layers_and_maps_are_rejected() {
        let config = generator().config().clone();
        Ablation::drop(1, &[3]).check(&config).unwrap();
        let error = Ablation::drop(1, &[4]).check(&config).unwrap_err().to_string();
        assert!(error.contains("map 4") && error.contains("0 to 3"), "{error}");
        let error = Ablation { name: "doors".into(), ..Ablation::drop(2, &[]) }.check(&config).unwrap_err().to_string();
        assert!(error.contains("doors") && error.contains("0 to 1"), "{error}");
    }
}
