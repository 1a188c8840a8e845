//! Intermediate activations of both networks, and backpropagation from a discriminator unit to the image (section 6.2).
//!
//! [`Generator::forward_features`] and [`Discriminator::forward_features`] return every layer's feature maps;
//! [`Discriminator::backpropagate`] computes gradients and guided backpropagation.
//!
//! The discriminator's batch norm uses running statistics here, so that an image's result does not depend on the rest
//! of the batch. The running statistics of the training mix real and generated images; call
//! [`Discriminator::calibrate`] first to recompute them from real images, as the paper does before it uses the features
//! (section 5).

use burn::tensor::activation::leaky_relu;
use burn::tensor::{Tensor, TensorData};

use super::discriminator::LEAK;
use super::layer::{Layer, Pass};
use super::options::SamplingStatistics;
use super::{Discriminator, Generator};

/// Backward rule of a rectifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BackwardRule {
    /// The gradient.
    Plain,
    /// Guided backpropagation (Springenberg et al. 2014): only positive signals pass, and only where the activation was
    /// positive. LeakyReLU's negative slope counts as 0.
    Guided,
}

/// The discriminator unit whose signal is propagated back.
#[derive(Debug, Clone, PartialEq)]
pub enum DiscriminatorUnit {
    /// The logit of each picture.
    Logit,
    /// One position of a convolution's feature map, chosen per image.
    Map {
        /// Index of the convolution; 0 is the first.
        layer: usize,
        /// Index of the feature map.
        map: usize,
        /// Position in the map for each image of the batch, counted row by row.
        places: Vec<usize>,
    },
}

impl Generator {
    /// Feature maps `[batch, maps, side, side]` of every hidden layer after its activation, the projection's first, and
    /// the same images as [`Self::sample`].
    pub fn forward_features(&self, z: Tensor<2>) -> (Vec<Tensor<4>>, Tensor<4>) {
        let mut maps = Vec::new();
        let pass = Pass::Infer(SamplingStatistics::Running);
        let pictures = self.frozen().forward(z, pass, |_, layer| maps.push(layer.clone()));
        (maps, pictures)
    }
}

impl Discriminator {
    /// Feature maps `[batch, maps, side, side]` of every convolution after its activation, the largest first, and the
    /// logits `[batch]`.
    pub fn forward_features(&self, pictures: Tensor<4>) -> (Vec<Tensor<4>>, Tensor<1>) {
        let mut features = Vec::new();
        let logits = self.forward_with(pictures, |_, maps| {
            features.push(maps.clone());
            maps
        });
        (features, logits)
    }

    /// The logits `[batch]` with map `map` of convolution `layer` multiplied by `gain`: 0 drops it, 2 doubles it.
    ///
    /// # Panics
    /// If the layer has no such map.
    pub fn logits_with_gain(&self, pictures: Tensor<4>, (layer, map): (usize, usize), gain: f32) -> Tensor<1> {
        self.forward_with(pictures, |i, maps| {
            if i != layer {
                return maps;
            }
            let [batch, count, height, width] = maps.dims();
            assert!(map < count, "map {map} of {count}");
            let scaled = maps.clone().narrow(1, map, 1) * gain;
            maps.slice_assign([0..batch, map..map + 1, 0..height, 0..width], scaled)
        })
    }

    /// The logits `[batch]`; `edit` may replace the feature maps of each convolution after its activation.
    fn forward_with(&self, pictures: Tensor<4>, mut edit: impl FnMut(usize, Tensor<4>) -> Tensor<4>) -> Tensor<1> {
        let (head, convolutions) = self.layers.split_last().expect("a discriminator has layers");
        let mut maps = self.config().discriminator_input(pictures);
        for (i, layer) in convolutions.iter().enumerate() {
            maps = leaky_relu(self.pre_activation(layer, maps), LEAK);
            // The fully connected hidden layer has units instead of maps.
            if !layer.is_hidden() {
                maps = edit(i, maps);
            }
        }
        let [batch, count, height, width] = maps.dims();
        let inputs = count * height * width;
        let flat = maps.reshape([batch, inputs]);
        let logits = flat.matmul(head.weight.value.clone().reshape([inputs, 1])).reshape([batch]);
        match &head.bias {
            Some(bias) => logits + bias.value.clone(),
            None => logits,
        }
    }

    /// A layer's output before its activation: convolution, bias and batch norm.
    fn pre_activation(&self, layer: &Layer, maps: Tensor<4>) -> Tensor<4> {
        let mut layer = layer.clone();
        let convolved = layer.down(maps);
        // A negative slope of 1 is the identity.
        layer.activate(convolved, self.config(), 1.0, Pass::Infer(SamplingStatistics::Running))
    }

    /// Backpropagates from `unit` to the images; returns a tensor of their shape `[batch, channels, size, size]`. With
    /// [`BackwardRule::Plain`] it is the gradient of the unit with respect to the pixels, with [`BackwardRule::Guided`]
    /// guided backpropagation. Images of a batch do not affect one another.
    ///
    /// # Panics
    /// If the discriminator has no such unit.
    pub fn backpropagate(&self, pictures: Tensor<4>, unit: &DiscriminatorUnit, rule: BackwardRule) -> Tensor<4> {
        let (head, convolutions) = self.layers.split_last().expect("a discriminator has layers");
        let last = match unit {
            DiscriminatorUnit::Logit => convolutions.len() - 1,
            DiscriminatorUnit::Map { layer, .. } => *layer,
        };
        let mut inputs = vec![self.config().discriminator_input(pictures)];
        let mut pre_activations = Vec::new();
        for layer in &convolutions[..=last] {
            let pre_activation = self.pre_activation(layer, inputs[inputs.len() - 1].clone());
            inputs.push(leaky_relu(pre_activation.clone(), LEAK));
            pre_activations.push(pre_activation);
        }
        let [batch, maps, height, width] = pre_activations[last].dims();
        let mut signal = match unit {
            DiscriminatorUnit::Logit => head.weight.tensor::<4>().repeat_dim(0, batch),
            DiscriminatorUnit::Map { map, places, .. } => {
                assert!(*map < maps && places.len() == batch, "map {map} of {maps}, a place for each of {batch}");
                let mut ones = vec![0.0f32; batch * maps * height * width];
                for (picture, place) in places.iter().enumerate() {
                    ones[(picture * maps + map) * height * width + place] = 1.0;
                }
                let device = pre_activations[last].device();
                Tensor::from_data(TensorData::new(ones, [batch, maps, height, width]), &device)
            }
        };
        for i in (0..=last).rev() {
            let inactive = pre_activations[i].clone().lower_equal_elem(0.0);
            signal = match rule {
                BackwardRule::Plain => {
                    let leaked = signal.clone() * LEAK;
                    signal.mask_where(inactive, leaked)
                }
                BackwardRule::Guided => signal.clamp_min(0.0).mask_fill(inactive, 0.0),
            };
            signal = self.vector_jacobian(&convolutions[i], inputs[i].clone(), signal);
        }
        signal * self.config().discriminator_input_scale()
    }

    /// Propagates a signal back through a convolution and its batch norm: the vector-Jacobian product at `input`.
    fn vector_jacobian(&self, layer: &Layer, input: Tensor<4>, signal: Tensor<4>) -> Tensor<4> {
        let mut lifted = layer.clone();
        for parameter in lifted.state_mut() {
            parameter.value = parameter.value.clone().autodiff();
        }
        let input = input.autodiff().require_grad();
        let product = (self.pre_activation(&lifted, input.clone()) * signal.autodiff()).sum();
        input.grad(&product.backward()).expect("the input is on the tape")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::discriminator::forward;
    use crate::model::{ModelConfig, OutputActivation, Preset};

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter::<f32>().collect()
    }

    fn pictures(config: &ModelConfig) -> Tensor<4> {
        let count = 2 * config.values();
        let values: Vec<f32> = (0..count).map(|i| ((i * 37 + i * i * 11) % 101) as f32 / 50.0 - 1.0).collect();
        let shape = [2, config.channels, config.size, config.size];
        Tensor::from_data(TensorData::new(values, shape), &Device::flex())
    }

    #[test]
    fn gradients_of_logits_and_of_maps_agree_with_finite_differences() {
        for output in [OutputActivation::Tanh, OutputActivation::Sigmoid] {
            gradients_agree(&ModelConfig {
                size: 16,
                base: 4,
                channels: 1,
                output,
                ..ModelConfig::preset(Preset::Pytorch)
            });
        }
    }

    fn gradients_agree(config: &ModelConfig) {
        let mut discriminator = Discriminator::new(config, 4, &Device::flex());
        // Initial weights are so small that finite differences drown in single precision.
        for layer in &mut discriminator.layers {
            layer.weight.value = layer.weight.value.clone() * 8.0;
        }
        let x = pictures(config);
        for unit in [DiscriminatorUnit::Logit, DiscriminatorUnit::Map { layer: 1, map: 3, places: vec![5, 9] }] {
            let output = |x: Tensor<4>| -> f64 {
                let (maps, logits) = discriminator.forward_features(x);
                match &unit {
                    DiscriminatorUnit::Logit => values(logits).iter().map(|&v| f64::from(v)).sum(),
                    DiscriminatorUnit::Map { layer, map, places } => {
                        let all = values(maps[*layer].clone());
                        (0..2).map(|i| f64::from(all[(i * 8 + map) * 16 + places[i]])).sum()
                    }
                }
            };
            let gradient = values(discriminator.backpropagate(x.clone(), &unit, BackwardRule::Plain));
            let mut order: Vec<usize> = (0..gradient.len()).collect();
            order.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
            let largest = f64::from(gradient[order[0]].abs());
            assert!(largest > 1e-3, "{unit:?}: the gradient is not zero");
            let agrees = |&&pixel: &&usize| {
                let shifted = |by: f32| {
                    let mut shifted = values(x.clone());
                    shifted[pixel] += by;
                    output(Tensor::from_data(TensorData::new(shifted, x.dims()), &Device::flex()))
                };
                let slope = (shifted(5e-4) - shifted(-5e-4)) / 1e-3;
                (slope - f64::from(gradient[pixel])).abs() < 0.05 * largest
            };
            // For a few pixels the step crosses the kink of a LeakyReLU, where the slope is not defined.
            let agreeing = order.iter().take(24).filter(agrees).count();
            assert!(agreeing >= 20, "{unit:?}: {agreeing} of 24");
        }
    }

    #[test]
    fn with_a_sigmoid_generator_the_discriminator_sees_black_as_zero() {
        let config = ModelConfig { size: 16, base: 2, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let with = |output| Discriminator::new(&ModelConfig { output, ..config.clone() }, 4, &device);
        let x = pictures(&config);
        let logits = values(with(OutputActivation::Sigmoid).forward_features(x.clone()).1);
        let halved = (x + 1.0) * 0.5;
        assert_eq!(logits, values(with(OutputActivation::Tanh).forward_features(halved.clone()).1));
        let trained = with(OutputActivation::Tanh).train(halved);
        assert_eq!(values(with(OutputActivation::Sigmoid).train(pictures(&config))), values(trained));
    }

    #[test]
    fn guided_backpropagation_agrees_with_a_calculation_by_hand() {
        // One map at each of two convolutions of a 16x16 image, all kernels zero except their center: each unit sees
        // one pixel, so the network is a product of a few numbers.
        let config = ModelConfig { size: 16, base: 1, channels: 1, bias: true, ..ModelConfig::preset(Preset::Pytorch) };
        let mut discriminator = Discriminator::new(&config, 1, &Device::flex());
        let device = Device::flex();
        let kernel = |center: &[f32]| {
            let all: Vec<f32> =
                center.iter().flat_map(|&c| (0..16).map(move |i| if i == 5 { c } else { 0.0 })).collect();
            Tensor::<1>::from_floats(all.as_slice(), &device)
        };
        let shape = discriminator.layers[1].weight.shape.clone();
        assert_eq!(shape, [2, 1, 4, 4]);
        discriminator.layers[0].weight.value = kernel(&[3.0]);
        discriminator.layers[0].bias.as_mut().unwrap().value = Tensor::from_floats([-1.0], &device);
        discriminator.layers[1].weight.value = kernel(&[2.0, -5.0]);
        for layer in &mut discriminator.layers {
            if let Some(norm) = &mut layer.norm {
                norm.gain.value = Tensor::from_floats([1.0, 1.0], &device);
                norm.variance.value = Tensor::from_floats([1.0 - 1e-5, 1.0 - 1e-5], &device);
            }
        }
        // With padding 1, index 5 of a 4x4 kernel is the pixel at twice the position: position 0 of the last map sees
        // pixel 0.
        let mut pixels = [[0.0f32; 256]; 2];
        pixels[0][0] = 1.0; // 3 * 1 - 1 = 2, positive; times 2 is 4, times -5 is -10.
        pixels[1][0] = 0.2; // 3 * 0.2 - 1 = -0.4, negative: leaks as -0.08.
        let x = Tensor::from_data(TensorData::new(pixels.concat(), [2, 1, 16, 16]), &device);
        let signal = |map: usize, rule: BackwardRule| {
            let unit = DiscriminatorUnit::Map { layer: 1, map, places: vec![0, 0] };
            let all = values(discriminator.backpropagate(x.clone(), &unit, rule));
            [all[0], all[256]]
        };
        let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() < 1e-4 && (a[1] - b[1]).abs() < 1e-4;
        // Map 0: in the first image all units are active; in the second neither is.
        assert!(
            near(signal(0, BackwardRule::Plain), [2.0 * 3.0, 0.2 * 2.0 * 0.2 * 3.0]),
            "{:?}",
            signal(0, BackwardRule::Plain)
        );
        assert!(near(signal(0, BackwardRule::Guided), [2.0 * 3.0, 0.0]), "{:?}", signal(0, BackwardRule::Guided));
        // Map 1: in the first image the unit itself is negative; in the second it is positive, but its signal turns
        // negative at the first convolution, where guided backpropagation stops it.
        assert!(
            near(signal(1, BackwardRule::Plain), [0.2 * -5.0 * 3.0, -5.0 * 0.2 * 3.0]),
            "{:?}",
            signal(1, BackwardRule::Plain)
        );
        assert!(near(signal(1, BackwardRule::Guided), [0.0, 0.0]), "{:?}", signal(1, BackwardRule::Guided));
    }

    #[test]
    fn intermediate_features_match_the_training_pass() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Tensorflow) };
        let mut discriminator = Discriminator::new(&config, 4, &Device::flex());
        // With this batch's statistics, which the training pass uses.
        let mut measured = discriminator.clone();
        forward(&mut measured.layers, &config, pictures(&config), Pass::Freeze);
        let (maps, logits) = measured.forward_features(pictures(&config));
        assert_eq!(maps.iter().map(|maps| maps.dims()).collect::<Vec<_>>(), [[2, 4, 8, 8], [2, 8, 4, 4]]);
        for (a, b) in values(logits).iter().zip(values(discriminator.train(pictures(&config)))) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        let generator = Generator::new(&config, 4, &Device::flex());
        let z = Tensor::ones([2, 100], &Device::flex()) * 0.3;
        let (maps, generated) = generator.forward_features(z.clone());
        assert_eq!(maps.iter().map(|maps| maps.dims()).collect::<Vec<_>>(), [[2, 8, 4, 4], [2, 4, 8, 8]]);
        assert_eq!(generated.into_data(), generator.sample(z).into_data());
    }

    #[test]
    fn a_gain_on_a_last_map_changes_the_logit_by_its_contribution() {
        let config = ModelConfig { size: 16, base: 3, ..ModelConfig::preset(Preset::Pytorch) };
        let discriminator = Discriminator::new(&config, 3, &Device::flex());
        let (maps, plain) = discriminator.forward_features(pictures(&config));
        let with = |map, gain| values(discriminator.logits_with_gain(pictures(&config), (1, map), gain));
        let plain = values(plain);
        // The logit is a sum over the last maps: dropping or doubling one changes it by that map's share.
        let weights = discriminator.layers[2].weight.tensor::<4>();
        let shares = values((maps[1].clone() * weights).sum_dims(&[2, 3]));
        for map in 0..6 {
            for picture in 0..2 {
                let share = shares[picture * 6 + map];
                assert!((with(map, 0.0)[picture] - (plain[picture] - share)).abs() < 1e-5);
                assert!((with(map, 2.0)[picture] - (plain[picture] + share)).abs() < 1e-5);
            }
            assert_eq!(with(map, 1.0), plain);
        }
    }
}
