//! A generator whose weights are the mean over some of a run's checkpoints. Each step moves the weights to and fro around where
//! the training is, and what only that step did shows as grain: the mean has less of it (Yazici et al. 2019, "The Unusual
//! Effectiveness of Averaging in GAN Training").
//!
//! The running statistics are averaged like the weights. Measured anew under the mean's weights, as is usual for classifiers,
//! they are a fifth smaller, and the pictures harsher: on the mean of 60 checkpoints of faces that gave a precision of 0.55 where
//! 0.89 had been (docs/MEASURES.md).

use std::path::Path;

use burn::tensor::Device;

use super::file::{ModelError, siblings};
use super::{Layer, Model, newest};

impl Model {
    /// The checkpoint at `path`, or the newest of the run there, its generator's weights and running statistics averaged over
    /// `count` checkpoints up to it, or as many as there are. Of a run, damaged ones are passed over, and `note` is given which.
    ///
    /// # Errors
    /// [`ModelError::NoCheckpoints`] where `path` is neither; [`ModelError::Header`] where an older checkpoint is of other
    /// networks; otherwise as [`Self::open`].
    pub(super) fn averaged(
        path: &Path,
        count: usize,
        device: &Device,
        note: &mut dyn FnMut(String),
    ) -> Result<Self, ModelError> {
        let mut checkpoints = siblings(path);
        if let Some(at) = checkpoints.iter().position(|(_, checkpoint)| checkpoint == path) {
            checkpoints.truncate(at + 1);
        }
        if checkpoints.is_empty() {
            return Err(ModelError::NoCheckpoints { path: path.to_owned() });
        }
        // The one that was named is meant; of a run, the newest that can be read.
        let (last, mut mean) = match checkpoints.iter().any(|(_, checkpoint)| checkpoint == path) {
            true => (path.to_owned(), Self::open(path, device)?),
            false => newest::whole(checkpoints.clone(), note, |checkpoint| {
                Ok((checkpoint.to_owned(), Self::open(checkpoint, device)?))
            })?,
        };
        let older = checkpoints.iter().rev().map(|(_, path)| path).skip_while(|path| **path != last).skip(1);
        let mut averaged = 1;
        for path in older {
            if averaged == count {
                break;
            }
            let model = match Self::open(path, device) {
                Ok(model) => model,
                Err(cause) => {
                    note(format!("{} cannot be read ({cause}): it is left out of the mean", path.display()));
                    continue;
                }
            };
            if model.config() != mean.config() {
                let cause = format!("it is not that of {}, with which its weights would be averaged", last.display());
                return Err(ModelError::Header { path: path.clone(), cause });
            }
            averaged += 1;
            let kept = model.generator.layers().iter().flat_map(Layer::kept);
            for (mean, new) in mean.generator.layers_mut().iter_mut().flat_map(Layer::kept_mut).zip(kept) {
                let apart = new.value.clone() - mean.value.clone();
                mean.value = mean.value.clone() + apart / averaged as f32;
            }
        }
        mean.provenance.averaged = averaged;
        Ok(mean)
    }
}
