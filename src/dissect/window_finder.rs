//! Detection of windows in pictures of rooms, to propose boxes and to measure what an ablation removed.
//!
//! A [`WindowFinder`] is a small segmentation network; [`WindowFinder::bundled`] opens the one that ships with the
//! program.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::segmenter_training;
use crate::device::{ComputeError, read_tensor};
use crate::image::{Area, Picture};
use crate::model::{Segmenter, TensorFile, TensorFileError};

/// The input size of the segmenter. Pictures of other sizes are resized to it.
pub(super) const SIZE: usize = 64;
/// Pictures per batch.
const BATCH: usize = 64;
/// Detections with fewer pixels, of 64x64, are discarded.
const MIN_PIXELS: usize = 10;
/// The name of the bundled file in error messages.
const BUNDLED_NAME: &str = "the bundled window finder";

/// A network that finds windows in pictures.
#[derive(Debug, Clone)]
pub struct WindowFinder {
    segmenter: Segmenter,
    device: Device,
}

impl WindowFinder {
    /// Opens the bundled finder; see `assets/README.md`.
    ///
    /// # Errors
    /// [`TensorFileError`] if the file is damaged.
    pub fn bundled(device: &Device) -> Result<Self, TensorFileError> {
        let name = Path::new(BUNDLED_NAME);
        let file = TensorFile::from_bytes(include_bytes!("../../assets/windows.safetensors"), name)?;
        Ok(Self { segmenter: Segmenter::from_file(file, name, device)?, device: device.clone() })
    }

    /// Opens a finder file.
    ///
    /// # Errors
    /// [`TensorFileError`] naming the file.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TensorFileError> {
        Ok(Self { segmenter: Segmenter::open(path, device)?, device: device.clone() })
    }

    /// Trains a finder on rendered rooms for `steps` steps. `report` receives the number of steps taken and the loss.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn train(steps: u64, seed: u64, device: &Device, report: impl FnMut(u64, f32)) -> Result<Self, ComputeError> {
        Ok(Self { segmenter: segmenter_training::train(steps, seed, device, report)?, device: device.clone() })
    }

    /// Converts to a file.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] when the device fails.
    pub fn to_file(&self) -> Result<TensorFile, TensorFileError> {
        self.segmenter.to_file()
    }

    /// The area of the windows in each of some square pictures, without tiny detections.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn areas(&self, pictures: &[Picture]) -> Result<Vec<Area>, ComputeError> {
        let mut areas = Vec::with_capacity(pictures.len());
        for batch in pictures.chunks(BATCH) {
            let mut values = vec![0.0; batch.len() * 3 * SIZE * SIZE];
            for (picture, values) in batch.iter().zip(values.chunks_exact_mut(3 * SIZE * SIZE)) {
                segmenter_input(picture).write_chw(values);
            }
            let values = TensorData::new(values, [batch.len(), 3, SIZE, SIZE]);
            let logits = read_tensor(self.segmenter.logits(Tensor::from_data(values, &self.device)))?;
            for (picture, logits) in batch.iter().zip(logits.chunks_exact(SIZE * SIZE)) {
                let area = Area::of_pixels(SIZE, logits.iter().map(|&logit| logit > 0.0).collect());
                areas.push(without_tiny_detections(area).resized(picture.width()));
            }
        }
        Ok(areas)
    }

    /// The intersection over union of detected and true windows, over `count` rendered rooms of `seed` together. Use
    /// a seed that differs from training.
    ///
    /// # Errors
    /// [`ComputeError`] when the device fails.
    pub fn iou(&self, count: u64, seed: u64) -> Result<f32, ComputeError> {
        let rooms: Vec<_> = (0..count).map(|number| segmenter_training::render_room(seed, number)).collect();
        let pictures: Vec<Picture> = rooms.iter().map(|(picture, _)| picture.clone()).collect();
        let areas = self.areas(&pictures)?;
        let (intersection, union) = areas.iter().zip(&rooms).fold((0, 0), |sum, (area, (_, truth))| {
            let (intersection, union) = area.overlap(truth);
            (sum.0 + intersection, sum.1 + union)
        });
        Ok(intersection as f32 / union.max(1) as f32)
    }
}

/// Converts a picture to the segmenter's input: RGB, resized.
fn segmenter_input(picture: &Picture) -> Picture {
    let rgb = Picture::new(picture.width(), picture.height(), 3, picture.to_rgb());
    if (picture.width(), picture.height()) == (SIZE, SIZE) {
        return rgb;
    }
    let source = image::RgbImage::from_raw(rgb.width() as u32, rgb.height() as u32, rgb.pixels().to_vec());
    let source = source.expect("a picture's pixels fill it");
    let filter = image::imageops::FilterType::Triangle;
    let resized = image::imageops::resize(&source, SIZE as u32, SIZE as u32, filter);
    Picture::new(SIZE, SIZE, 3, resized.into_raw())
}

fn without_tiny_detections(area: Area) -> Area {
    let boxes = Area::of_boxes(area.side(), &area.boxes(MIN_PIXELS));
    let pixels = area.pixels().iter().zip(boxes.pixels()).map(|(a, b)| *a && *b).collect();
    Area::of_pixels(area.side(), pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_finder_detects_windows_in_unseen_rooms() {
        let finder = WindowFinder::bundled(&Device::flex()).unwrap();
        let iou = finder.iou(128, 77).unwrap();
        assert!(iou >= 0.9, "{iou}");
    }

    #[test]
    fn pictures_of_other_sizes_are_resized() {
        let finder = WindowFinder::bundled(&Device::flex()).unwrap();
        let scene = crate::data::synth::Scene::Rooms;
        let number =
            (0..).find(|&n| scene.draw(3, n, 64).mask.is_some_and(|m| Area::of_mask(&m).unwrap().count() > 150));
        let large = scene.draw(3, number.unwrap(), 128);
        let found = finder.areas(&[large.picture]).unwrap().remove(0);
        let (both, either) = found.overlap(&Area::of_mask(&large.mask.unwrap()).unwrap());
        assert!(found.side() == 128 && both * 10 > either * 7, "{both} of {either}");
    }
}
