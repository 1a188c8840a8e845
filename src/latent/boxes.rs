//! Boxes around an object in numbered samples (section 6.3.1 of the paper), stored as JSON.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::files;
use crate::image::{Area, Rectangle};
use crate::model::ModelConfig;

/// Why boxes cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoxesError {
    /// The file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The file does not contain boxes.
    #[error(
        "{path} is not a file of boxes ({error}); it should look like {{\"size\": 64, \"seed\": 1, \"boxes\": {{\"3\": [[10, 8, 26, 24]]}}}}: \
         for each sample number, the left, top, right and bottom edges of its boxes. Right and bottom are the first column and row outside the box"
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        error: serde_json::Error,
    },
    /// The boxes belong to pictures of another size.
    #[error("the boxes are for pictures of {found}x{found} pixels, but this model generates {wanted}x{wanted}")]
    Size {
        /// The size in the file.
        found: usize,
        /// The model's size.
        wanted: usize,
    },
    /// A box is empty or extends beyond the picture.
    #[error(
        "the box {rectangle:?} (left, top, right, bottom) of sample {number} is empty or outside a picture of {size}x{size} pixels"
    )]
    Outside {
        /// The sample number.
        number: u64,
        /// The box.
        rectangle: Rectangle,
        /// The width and height of the pictures.
        size: usize,
    },
}

/// Boxes by sample number.
///
/// A sample with an empty list was inspected and does not show the object; a sample without a list was not inspected.
/// Neither is used to find filters: those are fitted on the samples that have boxes.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Boxes {
    /// Width and height of the pictures, in pixels.
    pub size: usize,
    /// The seed of the samples.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The boxes of each inspected sample.
    pub boxes: BTreeMap<u64, Vec<Rectangle>>,
}

fn default_seed() -> u64 {
    1
}

impl Boxes {
    /// Reads a JSON file of boxes.
    ///
    /// # Errors
    /// [`BoxesError::Io`] or [`BoxesError::Format`], naming the file.
    pub fn read(path: &Path) -> Result<Self, BoxesError> {
        let text = fs::read_to_string(path)?;
        serde_json::from_str(&text).map_err(|error| BoxesError::Format { path: path.to_owned(), error })
    }

    /// Writes a JSON file, one line per sample.
    ///
    /// # Errors
    /// [`BoxesError::Io`] naming the file.
    pub fn write(&self, path: &Path) -> Result<(), BoxesError> {
        let rows: Vec<String> =
            self.boxes.iter().map(|(number, boxes)| format!("  \"{number}\": {}", serde_json::json!(boxes))).collect();
        let text =
            format!("{{\"size\": {}, \"seed\": {}, \"boxes\": {{\n{}\n}}}}\n", self.size, self.seed, rows.join(",\n"));
        Ok(files::write(path, |file| std::io::Write::write_all(file, text.as_bytes()))?)
    }

    /// Checks that the boxes fit the pictures of a model.
    ///
    /// # Errors
    /// [`BoxesError::Size`] or [`BoxesError::Outside`].
    pub fn check(&self, config: &ModelConfig) -> Result<(), BoxesError> {
        let size = config.size;
        if self.size != size {
            return Err(BoxesError::Size { found: self.size, wanted: size });
        }
        for (&number, boxes) in &self.boxes {
            let invalid = |&&[left, top, right, bottom]: &&Rectangle| {
                left >= right || top >= bottom || right.max(bottom) as usize > size
            };
            if let Some(&rectangle) = boxes.iter().find(invalid) {
                return Err(BoxesError::Outside { number, rectangle, size });
            }
        }
        Ok(())
    }

    /// The area that the boxes of each inspected sample cover.
    pub fn areas(&self) -> BTreeMap<u64, Area> {
        self.boxes.iter().map(|(&number, boxes)| (number, Area::of_boxes(self.size, boxes))).collect()
    }

    /// The number of samples with at least one box.
    pub fn boxed_samples(&self) -> usize {
        self.boxes.values().filter(|boxes| !boxes.is_empty()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Preset;

    fn boxes(size: usize, rectangle: Rectangle) -> Boxes {
        Boxes { size, seed: 3, boxes: [(7, vec![rectangle]), (9, vec![])].into() }
    }

    #[test]
    fn boxes_survive_a_round_trip_and_errors_say_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("boxes.json");
        let config = ModelConfig::preset(Preset::Pytorch);
        let good = boxes(64, [1, 2, 30, 40]);
        good.write(&path).unwrap();
        assert_eq!(Boxes::read(&path).unwrap(), good);
        good.check(&config).unwrap();
        assert_eq!((good.boxed_samples(), good.areas()[&7].count()), (1, 29 * 38));
        let message = |boxes: Boxes| boxes.check(&config).unwrap_err().to_string();
        assert!(
            message(boxes(32, [1, 2, 3, 4])).contains("32x32") && message(boxes(32, [1, 2, 3, 4])).contains("64x64")
        );
        for invalid in [[5, 2, 5, 4], [5, 2, 4, 4], [0, 0, 65, 4]] {
            assert!(message(boxes(64, invalid)).contains("sample 7"), "{invalid:?}");
        }
        fs::write(&path, "{\"boxes\": 3}").unwrap();
        let error = Boxes::read(&path).unwrap_err().to_string();
        assert!(error.contains("boxes.json") && error.contains("first column"), "{error}");
        assert!(Boxes::read(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
    }
}
