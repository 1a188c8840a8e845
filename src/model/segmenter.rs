//! A small U-Net that segments an object: one logit per pixel.
//!
//! It is built from the same layers as the GAN, trained on rendered rooms, and measures what an ablation removed.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::config::ModelConfig;
use super::discriminator::LEAK;
use super::file::{FileParameters, store_layers};
use super::layer::{Initializer, Layer, LayerConvolution, ParameterSource, Pass};
use super::options::SamplingStatistics;
use super::preset::Preset;
use super::{TensorFile, TensorFileError};

/// Feature maps at half, quarter, eighth and sixteenth size.
const MAPS: [usize; 4] = [12, 24, 48, 48];

/// Strided convolutions down to a sixteenth of the size and fractionally-strided ones up again, with skip connections
/// (U-Net, Ronneberger et al. 2015).
#[derive(Clone, Debug)]
pub struct Segmenter {
    config: ModelConfig,
    /// `down1` to `down4`, then `up1` to `up4`.
    pub layers: Vec<Layer>,
}

impl Segmenter {
    /// A segmenter with random weights initialized from `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        let Ok(segmenter) = Self::build(&mut Initializer::new(seed, 4, device));
        segmenter
    }

    fn build<S: ParameterSource>(source: &mut S) -> Result<Self, S::Error> {
        let config = ModelConfig::preset(Preset::Pytorch);
        let k = config.kernel;
        let convolution = Some(LayerConvolution::strided(k));
        let mut layers = Vec::new();
        let mut inputs = 3;
        for (i, maps) in MAPS.into_iter().enumerate() {
            let (name, shape) = (format!("down{}", i + 1), vec![maps, inputs, k, k]);
            layers.push(Layer::build(source, &name, shape, convolution, None, Some(maps))?);
            inputs = maps;
        }
        for i in 0..MAPS.len() {
            let last = i + 1 == MAPS.len();
            let outputs = if last { 1 } else { MAPS[MAPS.len() - 2 - i] };
            let shape = vec![inputs, outputs, k, k];
            layers.push(Layer::build(
                source,
                &format!("up{}", i + 1),
                shape,
                convolution,
                last.then_some(1),
                (!last).then_some(outputs),
            )?);
            inputs = 2 * outputs;
        }
        Ok(Self { config, layers })
    }

    /// Reads a segmenter from a file.
    ///
    /// # Errors
    /// [`TensorFileError`] naming the file.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TensorFileError> {
        Self::from_file(TensorFile::read(path)?, path, device)
    }

    /// Builds a segmenter from a file's contents; `path` only appears in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_file(mut file: TensorFile, path: &Path, device: &Device) -> Result<Self, TensorFileError> {
        Self::build(&mut FileParameters { network: "segmenter", file: &mut file, path, device })
    }

    /// Converts the segmenter to a tensor file.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] if the device fails to return the values.
    pub fn to_file(&self) -> Result<TensorFile, TensorFileError> {
        let mut file = TensorFile::default();
        store_layers(&self.layers, "segmenter", &mut file)?;
        Ok(file)
    }

    /// Logits `[batch, 1, size, size]` per pixel (positive: object) of color images `[batch, 3, size, size]` with batch
    /// statistics; updates the running statistics. `size` must be a multiple of 16.
    pub fn train(&mut self, pictures: Tensor<4>) -> Tensor<4> {
        self.forward(pictures, Pass::Train)
    }

    /// As [`Self::train`] with running statistics, so that an image's logits do not depend on the rest of the batch.
    pub fn logits(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.clone().forward(pictures, Pass::Infer(SamplingStatistics::Running))
    }

    fn forward(&mut self, pictures: Tensor<4>, pass: Pass) -> Tensor<4> {
        let (down, up) = self.layers.split_at_mut(MAPS.len());
        let mut skips = Vec::new();
        let mut x = pictures;
        for layer in down {
            x = layer.activate(layer.down(x), &self.config, LEAK, pass);
            skips.push(x.clone());
        }
        // The decoder starts from the smallest maps, so they need no skip connection.
        skips.pop();
        for layer in up {
            let larger = layer.up(x);
            match skips.pop() {
                None => return layer.add_bias(larger),
                Some(skip) => x = Tensor::cat(vec![layer.activate(larger, &self.config, LEAK, pass), skip], 1),
            }
        }
        unreachable!("the decoder has one layer more than there are skip connections")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_segmenter_gives_the_same_logits_and_a_foreign_file_is_rejected_by_name() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows.safetensors");
        let segmenter = Segmenter::new(3, &device);
        segmenter.to_file().unwrap().write(&path, false).unwrap();
        let x = Tensor::ones([2, 3, 32, 32], &device) * 0.2;
        let back = Segmenter::open(&path, &device).unwrap();
        assert_eq!(back.logits(x.clone()).dims(), [2, 1, 32, 32]);
        assert_eq!(back.logits(x.clone()).into_data(), segmenter.logits(x).into_data());
        let mut other = TensorFile::default();
        other.tensors.insert("up1.weight".into(), (vec![1], vec![0.0]));
        other.write(&path, false).unwrap();
        let error = Segmenter::open(&path, &device).unwrap_err().to_string();
        assert!(error.contains("windows.safetensors") && error.contains("segmenter.down1"), "{error}");
    }
}
