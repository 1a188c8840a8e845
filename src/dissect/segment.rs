//! Finds the windows of rooms: proposes boxes on generated samples, and measures what an ablation removed.

use std::path::Path;

use burn::tensor::{Device, Tensor, TensorData};

use super::lesson;
use crate::image::{Area, Picture};
use crate::latent::{self, DrawError};
use crate::model::{Segmenter, TensorFile, TensorFileError};

/// The pictures' size that the segmenter knows; others are brought to it.
pub(super) const SIZE: usize = 64;
/// Pictures judged at once.
const BATCH: usize = 64;
/// Fewer pixels are a speck, of 64x64.
const SPECK: usize = 10;
/// The name of the bundled one in errors.
const BUNDLED: &str = "the bundled window finder";

/// Says where the windows are.
#[derive(Debug, Clone)]
pub struct Finder {
    segmenter: Segmenter,
    device: Device,
}

impl Finder {
    /// The one that comes with the program: see `assets/README.md`.
    ///
    /// # Errors
    /// [`TensorFileError`] if it is damaged.
    pub fn bundled(device: &Device) -> Result<Self, TensorFileError> {
        let name = Path::new(BUNDLED);
        let file = TensorFile::from_bytes(include_bytes!("../../assets/windows.safetensors"), name)?;
        Ok(Self { segmenter: Segmenter::from_file(file, name, device)?, device: device.clone() })
    }

    /// One from a file.
    ///
    /// # Errors
    /// [`TensorFileError`] naming the file.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TensorFileError> {
        Ok(Self { segmenter: Segmenter::open(path, device)?, device: device.clone() })
    }

    /// Trains one on rendered rooms for `steps` steps; `told` hears of each step and its loss.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn train(steps: u64, seed: u64, device: &Device, told: impl FnMut(u64, f32)) -> Result<Self, DrawError> {
        Ok(Self { segmenter: lesson::train(steps, seed, device, told)?, device: device.clone() })
    }

    /// The file that holds it.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] when the device fails.
    pub fn to_file(&self) -> Result<TensorFile, TensorFileError> {
        self.segmenter.to_file()
    }

    /// Where the windows are on square pictures; specks are left out.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn areas(&self, pictures: &[Picture]) -> Result<Vec<Area>, DrawError> {
        let mut areas = Vec::with_capacity(pictures.len());
        for part in pictures.chunks(BATCH) {
            let mut values = vec![0.0; part.len() * 3 * SIZE * SIZE];
            for (picture, values) in part.iter().zip(values.chunks_exact_mut(3 * SIZE * SIZE)) {
                known(picture).write_chw(values);
            }
            let values = TensorData::new(values, [part.len(), 3, SIZE, SIZE]);
            let logits = latent::read(self.segmenter.judge(Tensor::from_data(values, &self.device)))?;
            for (picture, logits) in part.iter().zip(logits.chunks_exact(SIZE * SIZE)) {
                let area = Area::of_pixels(SIZE, logits.iter().map(|&logit| logit > 0.0).collect());
                areas.push(without_specks(area).resized(picture.width()));
            }
        }
        Ok(areas)
    }

    /// How much what is found on rendered rooms overlaps the truth: intersection over union of all pictures together.
    /// Training uses other seeds.
    ///
    /// # Errors
    /// [`DrawError`] when the device fails.
    pub fn overlap(&self, count: u64, seed: u64) -> Result<f32, DrawError> {
        let rooms: Vec<_> = (0..count).map(|number| lesson::room(seed, number)).collect();
        let pictures: Vec<Picture> = rooms.iter().map(|(picture, _)| picture.clone()).collect();
        let pairs = self.areas(&pictures)?;
        let (both, either) = pairs.iter().zip(&rooms).fold((0, 0), |sum, (area, (_, truth))| {
            let (both, either) = area.overlap(truth);
            (sum.0 + both, sum.1 + either)
        });
        Ok(both as f32 / either.max(1) as f32)
    }
}

/// The picture as the segmenter knows pictures: in colour, at its size.
fn known(picture: &Picture) -> Picture {
    let rgb = Picture::new(picture.width(), picture.height(), 3, picture.to_rgb());
    if (picture.width(), picture.height()) == (SIZE, SIZE) {
        return rgb;
    }
    let whole = image::RgbImage::from_raw(rgb.width() as u32, rgb.height() as u32, rgb.pixels().to_vec());
    let whole = whole.expect("a picture's pixels fill it");
    let filter = image::imageops::FilterType::Triangle;
    let fitted = image::imageops::resize(&whole, SIZE as u32, SIZE as u32, filter);
    Picture::new(SIZE, SIZE, 3, fitted.into_raw())
}

fn without_specks(area: Area) -> Area {
    let kept = Area::of_boxes(area.side(), &area.boxes(SPECK));
    let both = area.pixels().iter().zip(kept.pixels()).map(|(a, b)| *a && *b).collect();
    Area::of_pixels(area.side(), both)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_finder_finds_the_windows_of_rooms_it_has_not_seen() {
        let finder = Finder::bundled(&Device::flex()).unwrap();
        let overlap = finder.overlap(128, 77).unwrap();
        assert!(overlap >= 0.9, "{overlap}");
    }

    #[test]
    fn pictures_of_other_sizes_are_looked_at_too() {
        let finder = Finder::bundled(&Device::flex()).unwrap();
        let scene = crate::data::synth::Scene::Rooms;
        let number =
            (0..).find(|&n| scene.draw(3, n, 64).mask.is_some_and(|m| Area::of_mask(&m).unwrap().count() > 150));
        let large = scene.draw(3, number.unwrap(), 128);
        let found = finder.areas(&[large.picture]).unwrap().remove(0);
        let (both, either) = found.overlap(&Area::of_mask(&large.mask.unwrap()).unwrap());
        assert!(found.side() == 128 && both * 10 > either * 7, "{both} of {either}");
    }
}
