//! Saliency of the discriminator's decision: which pixels of a picture change its logit.

use burn::tensor::Device;

use crate::device::{ComputeError, read_tensor};
use crate::image::Picture;
use crate::model::{BackwardRule, Discriminator, DiscriminatorUnit, picture_tensor};

/// The discriminator's logit for a picture, and the saliency of its pixels.
#[derive(Debug, Clone, PartialEq)]
pub struct LogitSaliency {
    /// The logit; positive means real.
    pub logit: f32,
    /// The absolute gradient of the logit with respect to each pixel, `[size, size]`: the largest over its channels.
    pub saliency: Vec<f32>,
}

/// Logits and saliency maps of pictures of the discriminator's size and channels. `rule` is the backward rule of the
/// rectifiers.
///
/// # Errors
/// [`ComputeError`] when the device fails.
pub fn logit_saliency(
    discriminator: &Discriminator,
    pictures: &[Picture],
    rule: BackwardRule,
    device: &Device,
) -> Result<Vec<LogitSaliency>, ComputeError> {
    let config = discriminator.config();
    let x = picture_tensor(pictures, config, device);
    let (_, logits) = discriminator.forward_features(x.clone());
    let signals = read_tensor(discriminator.backpropagate(x, &DiscriminatorUnit::Logit, rule))?;
    let plane = config.size * config.size;
    let saliency = |(logit, signal): (f32, &[f32])| {
        let strongest = |pixel: usize| signal.iter().skip(pixel).step_by(plane).fold(0.0f32, |a, v| a.max(v.abs()));
        LogitSaliency { logit, saliency: (0..plane).map(strongest).collect() }
    };
    Ok(read_tensor(logits)?.into_iter().zip(signals.chunks_exact(config.values())).map(saliency).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::synth::Scene;
    use crate::model::{ModelConfig, Preset};

    #[test]
    fn every_logit_comes_with_a_saliency_map() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Pytorch) };
        let discriminator = Discriminator::new(&config, 2, &Device::flex());
        let picture = Scene::Rooms.draw(1, 3, 16).picture;
        for rule in [BackwardRule::Plain, BackwardRule::Guided] {
            let results =
                logit_saliency(&discriminator, std::slice::from_ref(&picture), rule, &Device::flex()).unwrap();
            assert_eq!(results[0].saliency.len(), 256);
            assert!(results[0].logit.is_finite() && results[0].saliency.iter().any(|&v| v > 0.0), "{rule:?}");
        }
    }
}
