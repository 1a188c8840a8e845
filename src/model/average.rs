//! A generator whose weights are the mean over a run's newest checkpoints. Each step moves the weights to and fro around where
//! the training is, and what only that step did shows as grain: the mean has less of it (Yazici et al. 2019, "The Unusual
//! Effectiveness of Averaging in GAN Training").

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Tensor};

use super::file::{ModelError, siblings};
use super::{Layer, Model, TensorFile};

impl Model {
    /// The newest model of the run that `name` belongs to, its generator's weights and running statistics averaged over the
    /// `count` newest checkpoints, or as many as there are.
    ///
    /// # Errors
    /// [`ModelError::NoCheckpoints`] where `name` is no run's; otherwise as [`Self::open`].
    pub fn averaged(name: &Path, count: usize, device: &Device) -> Result<Self, ModelError> {
        let all = siblings(name);
        let newest = &all[all.len().saturating_sub(count.max(1))..];
        let Some((_, last)) = newest.last() else { return Err(ModelError::NoCheckpoints { path: name.to_owned() }) };
        let mut model = Self::open(last, device)?;
        let mut sums: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (_, checkpoint) in newest {
            let file = TensorFile::read(&checkpoint.join("model.safetensors"))?;
            for (name, (_, values)) in file.tensors {
                if let Some(name) = name.strip_prefix("generator.") {
                    let sums = sums.entry(name.to_owned()).or_insert_with(|| vec![0.0; values.len()]);
                    sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(value));
                }
            }
        }
        let of = newest.len() as f64;
        for parameter in model.generator.layers.iter_mut().flat_map(Layer::kept_mut) {
            let mean: Vec<f32> = sums[&parameter.name].iter().map(|sum| (sum / of) as f32).collect();
            parameter.value = Tensor::from_floats(mean.as_slice(), device);
        }
        model.provenance.averaged = newest.len();
        Ok(model)
    }
}
