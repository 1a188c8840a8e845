//! An encoder and decoder of the program's own layers that says of every pixel whether it shows an object.

use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::choices::Statistics;
use super::config::ModelConfig;
use super::discriminator::LEAK;
use super::file::{Stored, store};
use super::layer::{Convolution, Initialiser, Layer, Parameters, Pass};
use super::preset::Preset;
use super::{TensorFile, TensorFileError};

/// Feature maps at half, quarter, eighth and sixteenth size.
const MAPS: [usize; 4] = [12, 24, 48, 48];

/// Strided convolutions down to a sixteenth and fractionally-strided ones up again, each given what the encoder saw at its
/// size (U-Net, Ronneberger et al. 2015).
#[derive(Clone, Debug)]
pub struct Segmenter {
    config: ModelConfig,
    /// `down1` to `down4`, then `up1` to `up4`.
    pub layers: Vec<Layer>,
}

impl Segmenter {
    /// One with weights drawn by `seed`.
    pub fn new(seed: u64, device: &Device) -> Self {
        let Ok(drawn) = Self::build(&mut Initialiser::new(seed, 4, device));
        drawn
    }

    fn build<P: Parameters>(from: &mut P) -> Result<Self, P::Error> {
        let config = ModelConfig::preset(Preset::Pytorch);
        let k = config.kernel;
        let convolution = Some(Convolution::strided(k));
        let mut layers = Vec::new();
        let mut inputs = 3;
        for (i, maps) in MAPS.into_iter().enumerate() {
            let (name, shape) = (format!("down{}", i + 1), vec![maps, inputs, k, k]);
            layers.push(Layer::build(from, &name, shape, convolution, None, Some(maps))?);
            inputs = maps;
        }
        for i in 0..MAPS.len() {
            let last = i + 1 == MAPS.len();
            let outputs = if last { 1 } else { MAPS[MAPS.len() - 2 - i] };
            let shape = vec![inputs, outputs, k, k];
            layers.push(Layer::build(
                from,
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

    /// The one a file holds.
    ///
    /// # Errors
    /// [`TensorFileError`] naming the file.
    pub fn open(path: &Path, device: &Device) -> Result<Self, TensorFileError> {
        Self::from_file(TensorFile::read(path)?, path, device)
    }

    /// The one in a file's contents; `path` is only named in errors.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn from_file(mut file: TensorFile, path: &Path, device: &Device) -> Result<Self, TensorFileError> {
        Self::build(&mut Stored { network: "segmenter", file: &mut file, path, device })
    }

    /// The file that holds it.
    ///
    /// # Errors
    /// [`TensorFileError::Device`] when the device fails before it gave the values.
    pub fn to_file(&self) -> Result<TensorFile, TensorFileError> {
        let mut file = TensorFile::default();
        store(&self.layers, "segmenter", &mut file)?;
        Ok(file)
    }

    /// Logits `[batch, 1, size, size]` that pixels of colour pictures `[batch, 3, size, size]` show the object, with batch
    /// statistics, which also move the running ones. The size is a multiple of 16.
    pub fn train(&mut self, pictures: Tensor<4>) -> Tensor<4> {
        self.forward(pictures, Pass::Train)
    }

    /// The same with running statistics: each picture's own, whatever is beside it.
    pub fn judge(&self, pictures: Tensor<4>) -> Tensor<4> {
        self.clone().forward(pictures, Pass::Sample(Statistics::Running))
    }

    fn forward(&mut self, pictures: Tensor<4>, pass: Pass) -> Tensor<4> {
        let (down, up) = self.layers.split_at_mut(MAPS.len());
        let mut seen = Vec::new();
        let mut x = pictures;
        for layer in down {
            x = layer.activate(layer.down(x), &self.config, LEAK, pass);
            seen.push(x.clone());
        }
        // The smallest maps are where the way up begins, not something to be reminded of.
        seen.pop();
        for layer in up {
            let larger = layer.up(x);
            match seen.pop() {
                None => return layer.biased(larger),
                Some(seen) => x = Tensor::cat(vec![layer.activate(larger, &self.config, LEAK, pass), seen], 1),
            }
        }
        unreachable!("there is one layer more than there are reminders")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_segmenter_judges_as_before_and_another_file_is_named() {
        let device = Device::flex();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("windows.safetensors");
        let segmenter = Segmenter::new(3, &device);
        segmenter.to_file().unwrap().write(&path, false).unwrap();
        let x = Tensor::ones([2, 3, 32, 32], &device) * 0.2;
        let back = Segmenter::open(&path, &device).unwrap();
        assert_eq!(back.judge(x.clone()).dims(), [2, 1, 32, 32]);
        assert_eq!(back.judge(x.clone()).into_data(), segmenter.judge(x).into_data());
        let mut other = TensorFile::default();
        other.tensors.insert("up1.weight".into(), (vec![1], vec![0.0]));
        other.write(&path, false).unwrap();
        let error = Segmenter::open(&path, &device).unwrap_err().to_string();
        assert!(error.contains("windows.safetensors") && error.contains("segmenter.down1"), "{error}");
    }
}
