//! Boxes that were drawn over an object on numbered samples (section 6.3.1), and what is to be forgotten with them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files;
use crate::image::{Area, Rectangle};
use crate::model::{Ablation, ModelConfig};

/// Samples that are looked at, as in the paper.
pub const SAMPLES: u64 = 150;

/// Why boxes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoxesError {
    /// The file system refused.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        cause: std::io::Error,
    },
    /// It is no file of boxes.
    #[error(
        "{path} is no file of boxes ({cause}); it should be like {{\"size\": 64, \"seed\": 1, \"boxes\": {{\"3\": [[10, 8, 26, 24]]}}}}: \
         by sample number, left, top, and the first column and row after the box"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        cause: serde_json::Error,
    },
    /// They were drawn over pictures of another size.
    #[error("the boxes were drawn over pictures of {found}x{found} pixels; this model draws {wanted}x{wanted}")]
    Size {
        /// Their size.
        found: usize,
        /// The model's.
        wanted: usize,
    },
    /// A box has no inside, or reaches beyond the picture.
    #[error(
        "the box {rectangle:?} of sample {number} is not one inside a picture of {size}x{size}: left, top, right, bottom"
    )]
    Outside {
        /// The sample.
        number: u64,
        /// The box.
        rectangle: Rectangle,
        /// The pictures' size.
        size: usize,
    },
}

/// Boxes by sample number. A sample with an empty list was looked at and shows no object; one without a list was not looked
/// at. Neither is used to find filters, which are told from other places of the samples that have boxes.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Boxes {
    /// Width and height of the pictures they were drawn over.
    pub size: usize,
    /// The seed of the samples.
    #[serde(default = "first_seed")]
    pub seed: u64,
    /// Sample number to its boxes.
    pub boxes: BTreeMap<u64, Vec<Rectangle>>,
}

fn first_seed() -> u64 {
    1
}

impl Boxes {
    /// Reads a JSON file of boxes.
    ///
    /// # Errors
    /// [`BoxesError`] naming the file.
    pub fn read(path: &Path) -> Result<Self, BoxesError> {
        let text = std::fs::read_to_string(path).map_err(|cause| BoxesError::Io { path: path.to_owned(), cause })?;
        serde_json::from_str(&text).map_err(|cause| BoxesError::Damaged { path: path.to_owned(), cause })
    }

    /// Writes them, a line a sample.
    ///
    /// # Errors
    /// [`BoxesError::Io`] naming the file.
    pub fn write(&self, path: &Path) -> Result<(), BoxesError> {
        let rows: Vec<String> =
            self.boxes.iter().map(|(number, boxes)| format!("  \"{number}\": {}", serde_json::json!(boxes))).collect();
        let text =
            format!("{{\"size\": {}, \"seed\": {}, \"boxes\": {{\n{}\n}}}}\n", self.size, self.seed, rows.join(",\n"));
        files::write(path, |file| std::io::Write::write_all(file, text.as_bytes()))
            .map_err(|cause| BoxesError::Io { path: path.to_owned(), cause })
    }

    /// Checks that they lie on the pictures of a model.
    ///
    /// # Errors
    /// [`BoxesError::Size`] or [`BoxesError::Outside`].
    pub fn check(&self, config: &ModelConfig) -> Result<(), BoxesError> {
        let size = config.size;
        if self.size != size {
            return Err(BoxesError::Size { found: self.size, wanted: size });
        }
        for (&number, boxes) in &self.boxes {
            let wrong = |&&[left, top, right, bottom]: &&Rectangle| {
                left >= right || top >= bottom || right.max(bottom) as usize > size
            };
            if let Some(&rectangle) = boxes.iter().find(wrong) {
                return Err(BoxesError::Outside { number, rectangle, size });
            }
        }
        Ok(())
    }

    /// What the boxes of each sample that was looked at cover.
    pub fn areas(&self) -> BTreeMap<u64, Area> {
        self.boxes.iter().map(|(&number, boxes)| (number, Area::of_boxes(self.size, boxes))).collect()
    }

    /// Samples with at least one box.
    pub fn marked(&self) -> usize {
        self.boxes.values().filter(|boxes| !boxes.is_empty()).count()
    }
}

/// What is being forgotten: the boxes, and which of the filters that they lead to are dropped.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Forgetting {
    /// What is boxed.
    pub object: String,
    /// How many samples are looked at.
    pub samples: u64,
    /// The boxes.
    pub boxes: Boxes,
    /// The hidden layer; the default is the second of [`second_highest`], where dropping harms the rest of rooms least.
    pub layer: Option<usize>,
    /// How many of the ranked filters are dropped; all of positive weight if nothing is said, as in the paper.
    pub top: Option<usize>,
    /// Filters that are dropped, or not, whatever their rank.
    pub toggled: BTreeMap<usize, bool>,
    /// What dropped filters are multiplied by.
    pub gain: f32,
    /// Where they are dropped; everywhere if nothing is said.
    pub area: Option<Area>,
}

impl Default for Forgetting {
    fn default() -> Self {
        Self {
            object: "window".to_owned(),
            samples: SAMPLES,
            boxes: Boxes { size: 0, seed: 1, boxes: BTreeMap::new() },
            layer: None,
            top: None,
            toggled: BTreeMap::new(),
            gain: 0.0,
            area: None,
        }
    }
}

impl Forgetting {
    /// The hidden layer that filters are looked for in.
    pub fn layer(&self, config: &ModelConfig) -> usize {
        self.layer.unwrap_or_else(|| second_highest(config)[1]).min(config.stages() - 1)
    }

    /// The ablation of filters in the order of their rank, the first `positive` of them with positive weights.
    pub fn ablation(&self, config: &ModelConfig, ranked: &[usize], positive: usize) -> Ablation {
        let top = self.top.unwrap_or(positive);
        let chosen =
            |(rank, map): (usize, &usize)| self.toggled.get(map).copied().unwrap_or(rank < top).then_some(*map);
        let maps: Vec<usize> = ranked.iter().enumerate().filter_map(chosen).collect();
        Ablation {
            name: format!("no {}", self.object),
            area: self.area.clone(),
            ..Ablation::scale(self.layer(config), &maps, self.gain)
        }
    }
}

/// Both readings of the paper's "second highest convolution layer": counted from z the projection's 4x4 apart (256 maps
/// at 16x16 in the paper's network), and with it (512 at 8x8).
pub fn second_highest(config: &ModelConfig) -> [usize; 2] {
    let last = config.stages() - 1;
    [2.min(last), 1.min(last)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn boxes(size: usize, rectangle: Rectangle) -> Boxes {
        Boxes { size, seed: 3, boxes: [(7, vec![rectangle]), (9, vec![])].into() }
    }

    #[test]
    fn boxes_read_back_equal_and_what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.json");
        let config = ModelConfig::preset(Preset::Pytorch);
        let good = boxes(64, [1, 2, 30, 40]);
        good.write(&path).unwrap();
        assert_eq!(Boxes::read(&path).unwrap(), good);
        good.check(&config).unwrap();
        assert_eq!((good.marked(), good.areas()[&7].count()), (1, 29 * 38));
        let said = |boxes: Boxes| boxes.check(&config).unwrap_err().to_string();
        assert!(said(boxes(32, [1, 2, 3, 4])).contains("32x32") && said(boxes(32, [1, 2, 3, 4])).contains("64x64"));
        for wrong in [[5, 2, 5, 4], [5, 2, 4, 4], [0, 0, 65, 4]] {
            assert!(said(boxes(64, wrong)).contains("sample 7"), "{wrong:?}");
        }
        std::fs::write(&path, "{\"boxes\": 3}").unwrap();
        let error = Boxes::read(&path).unwrap_err().to_string();
        assert!(error.contains("boxes.json") && error.contains("first column"), "{error}");
        assert!(Boxes::read(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn ranks_threshold_and_single_filters_make_the_ablation() {
        let config = ModelConfig::preset(Preset::Pytorch);
        let mut forgetting = Forgetting::default();
        let maps = |forgetting: &Forgetting| {
            forgetting.ablation(&config, &[5, 3, 8, 1], 2).gains.into_keys().collect::<Vec<_>>()
        };
        assert_eq!(maps(&forgetting), [3, 5], "positive weights");
        forgetting.top = Some(3);
        assert_eq!(maps(&forgetting), [3, 5, 8]);
        forgetting.toggled = [(5, false), (1, true)].into();
        assert_eq!(maps(&forgetting), [1, 3, 8]);
        assert_eq!(second_highest(&config), [2, 1]);
        assert_eq!(second_highest(&ModelConfig { size: 16, ..config }), [1, 1]);
    }
}
