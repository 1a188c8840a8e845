//! Finds the test split that belongs to a training split.

use std::path::{Path, PathBuf};

use super::formats::TEST_SPLITS;
use super::{Dataset, Source};
use crate::image::PictureFormat;

/// The test split beside the training data `data`: `set.zip/test` beside `set.zip/train`, or the split that a data set's folder leaves
/// out. Opens files.
pub fn find_test_split(data: &str) -> Option<String> {
    let path = Path::new(data);
    let name = path.file_name()?.to_str()?;
    let candidates: Vec<PathBuf> = match ["training", "train"].into_iter().find(|word| name.contains(word)) {
        Some(word) => TEST_SPLITS.iter().map(|split| path.with_file_name(name.replacen(word, split, 1))).collect(),
        None if path.is_dir() => {
            TEST_SPLITS.iter().map(|split| path.join(split)).filter(|split| !split.exists()).collect()
        }
        None => Vec::new(),
    };
    // A file is not opened, since a compressed one would be unpacked for it.
    let is_usable = |split: &PathBuf| {
        let source = Source::from(split.clone());
        match split.is_file() {
            true => source.check().is_ok(),
            false => Dataset::open(&source, PictureFormat::new(16, 1), 1).is_ok(),
        }
    };
    candidates.into_iter().find(is_usable).map(|split| split.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Picture;

    #[test]
    fn the_test_split_is_found_beside_the_training_split() {
        let folder = tempfile::tempdir().unwrap();
        for split in ["train", "val"] {
            Picture::new(8, 8, 1, vec![0; 64]).write_png(&folder.path().join(split).join("a/1.png")).unwrap();
        }
        let path = |split: &str| folder.path().join(split).to_string_lossy().into_owned();
        assert_eq!(find_test_split(&path("train")), Some(path("val")));
        assert_eq!(find_test_split(&path("val")), None);
        assert_eq!(find_test_split(&folder.path().to_string_lossy()), None, "all of its images are for training");
        assert_eq!(find_test_split("synth:rooms"), None);
        std::fs::create_dir(folder.path().join("test")).unwrap();
        assert_eq!(find_test_split(&path("train")), Some(path("val")), "an empty folder is no data set");

        let batches = tempfile::tempdir().unwrap();
        for split in ["data_batch_1.bin", "test_batch.bin"] {
            std::fs::write(batches.path().join(split), vec![0; 3073]).unwrap();
        }
        let path = |split: &str| batches.path().join(split).to_string_lossy().into_owned();
        assert_eq!(find_test_split(&path("")), Some(path("test")));
    }
}
