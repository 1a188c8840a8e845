//! The removal of an object from generated pictures (section 6.3.1 of the paper), as the session stores it.

use std::collections::BTreeMap;

use super::boxes::Boxes;
use crate::image::Area;
use crate::model::{Ablation, ModelConfig};

/// Samples to inspect for boxes, as many as in the paper.
pub const BOXED_SAMPLES: u64 = 150;

/// The boxes around an object, and which of the filters found with them are dropped.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ObjectRemoval {
    /// The name of the object.
    pub object: String,
    /// How many samples to inspect.
    pub samples: u64,
    /// The boxes.
    pub boxes: Boxes,
    /// The hidden layer of the filters. `None` is the second of [`second_highest_layers`], where dropping filters
    /// changes the rest of rooms least.
    pub layer: Option<usize>,
    /// How many of the ranked filters to drop. `None` drops all of positive weight, as the paper does.
    pub top: Option<usize>,
    /// Filters to drop (true) or keep (false) whatever their rank.
    pub toggled: BTreeMap<usize, bool>,
    /// The factor of dropped filters, 0 in the paper.
    pub gain: f32,
    /// The area where filters are dropped. `None` drops them everywhere.
    pub area: Option<Area>,
}

impl Default for ObjectRemoval {
    fn default() -> Self {
        Self {
            object: "window".to_owned(),
            samples: BOXED_SAMPLES,
            boxes: Boxes { size: 0, seed: 1, boxes: BTreeMap::new() },
            layer: None,
            top: None,
            toggled: BTreeMap::new(),
            gain: 0.0,
            area: None,
        }
    }
}

impl ObjectRemoval {
    /// The hidden layer of the filters.
    pub fn layer(&self, config: &ModelConfig) -> usize {
        self.layer.unwrap_or_else(|| second_highest_layers(config)[1]).min(config.stages() - 1)
    }

    /// The ablation. `ranked` are the filters by descending weight, of which the first `positive` have positive
    /// weights.
    pub fn ablation(&self, config: &ModelConfig, ranked: &[usize], positive: usize) -> Ablation {
        let top = self.top.unwrap_or(positive);
        let dropped =
            |(rank, map): (usize, &usize)| self.toggled.get(map).copied().unwrap_or(rank < top).then_some(*map);
        let maps: Vec<usize> = ranked.iter().enumerate().filter_map(dropped).collect();
        Ablation {
            name: format!("no {}", self.object),
            area: self.area.clone(),
            ..Ablation::scale(self.layer(config), &maps, self.gain)
        }
    }
}

/// The two readings of the paper's "second highest convolution layer": without the projection (256 maps of 16x16 in
/// the paper's network), and with it (512 maps of 8x8).
pub fn second_highest_layers(config: &ModelConfig) -> [usize; 2] {
    let last = config.stages() - 1;
    [2.min(last), 1.min(last)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    #[test]
    fn rank_threshold_and_toggles_select_the_dropped_filters() {
        let config = ModelConfig::preset(Preset::Pytorch);
        let mut removal = ObjectRemoval::default();
        let maps =
            |removal: &ObjectRemoval| removal.ablation(&config, &[5, 3, 8, 1], 2).gains.into_keys().collect::<Vec<_>>();
        assert_eq!(maps(&removal), [3, 5], "positive weights");
        removal.top = Some(3);
        assert_eq!(maps(&removal), [3, 5, 8]);
        removal.toggled = [(5, false), (1, true)].into();
        assert_eq!(maps(&removal), [1, 3, 8]);
        assert_eq!(second_highest_layers(&config), [2, 1]);
        assert_eq!(second_highest_layers(&ModelConfig { size: 16, ..config }), [1, 1]);
    }
}
