//! What the networks compute on the way: every layer's feature maps, and signals propagated back from one of the
//! discriminator's units to the picture (section 6.2).
//!
//! The discriminator's batch norm uses its running statistics here, so that what it says of a picture does not depend on the
//! others. Those of the training are of real and generated pictures alike: before the network is looked into,
//! [`Discriminator::measure`] takes them anew from real ones, as the paper does before it uses the features (section 5).

use burn::tensor::activation::leaky_relu;
use burn::tensor::{Tensor, TensorData};

use super::choices::Statistics;
use super::discriminator::LEAK;
use super::layer::{Layer, Pass};
use super::{Discriminator, Generator};

/// Backward rule of a rectifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The gradient.
    Plain,
    /// Guided backpropagation (Springenberg et al. 2014): only where the unit was positive, and only what is positive.
    /// The leak of LeakyReLU is closed.
    Guided,
}

/// Where in the discriminator a signal begins.
#[derive(Debug, Clone, PartialEq)]
pub enum Unit {
    /// The logit of each picture.
    Verdict,
    /// A map of a convolution, for each picture at a place (row by row) of its own.
    Map {
        /// The convolution; 0 is the first.
        layer: usize,
        /// The map.
        map: usize,
        /// Where each picture's signal begins.
        places: Vec<usize>,
    },
}

impl Generator {
    /// Feature maps `[batch, maps, side, side]` of every hidden layer after its rectifier, the projection's first, and the
    /// pictures that [`Self::sample`] draws.
    pub fn inside(&self, z: Tensor<2>) -> (Vec<Tensor<4>>, Tensor<4>) {
        let mut maps = Vec::new();
        let pass = Pass::Sample(Statistics::Running);
        let pictures = self.frozen().forward(z, pass, |_, seen| maps.push(seen.clone()));
        (maps, pictures)
    }
}

impl Discriminator {
    /// Feature maps `[batch, maps, side, side]` of every convolution after its rectifier, the widest first, and the logits
    /// `[batch]`. Nothing is learnt.
    pub fn inside(&self, pictures: Tensor<4>) -> (Vec<Tensor<4>>, Tensor<1>) {
        let mut seen = Vec::new();
        let logits = self.judge(pictures, |_, maps| {
            seen.push(maps.clone());
            maps
        });
        (seen, logits)
    }

    /// The logits `[batch]` where map `map` of convolution `layer` counts `gain` times: 0 drops it, 2 doubles it.
    ///
    /// # Panics
    /// If there is no such map.
    pub fn judge_with(&self, pictures: Tensor<4>, (layer, map): (usize, usize), gain: f32) -> Tensor<1> {
        self.judge(pictures, |i, maps| {
            if i != layer {
                return maps;
            }
            let [batch, count, height, width] = maps.dims();
            assert!(map < count, "map {map} of {count}");
            let scaled = maps.clone().narrow(1, map, 1) * gain;
            maps.slice_assign([0..batch, map..map + 1, 0..height, 0..width], scaled)
        })
    }

    /// The logits `[batch]`; every convolution's maps after its rectifier pass through `on_the_way`.
    fn judge(&self, pictures: Tensor<4>, mut on_the_way: impl FnMut(usize, Tensor<4>) -> Tensor<4>) -> Tensor<1> {
        let (head, convolutions) = self.layers.split_last().expect("a discriminator has layers");
        let mut maps = self.config().judged(pictures);
        for (i, layer) in convolutions.iter().enumerate() {
            maps = leaky_relu(self.linear(layer, maps), LEAK);
            // The fully connected hidden layer has units, and no maps to look at.
            if !layer.is_hidden() {
                maps = on_the_way(i, maps);
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

    /// What a convolution does before its rectifier.
    fn linear(&self, layer: &Layer, maps: Tensor<4>) -> Tensor<4> {
        let mut layer = layer.clone();
        let convolved = layer.down(maps);
        // A slope of one below zero rectifies nothing.
        layer.activate(convolved, self.config(), 1.0, Pass::Sample(Statistics::Running))
    }

    /// The signal that `unit` sends back to the pictures, `[batch, channels, size, size]` like them: by [`Rule::Plain`] the
    /// gradient of the unit with respect to the pixels, by [`Rule::Guided`] guided backpropagation. No picture's signal depends
    /// on another picture.
    ///
    /// # Panics
    /// If there is no such unit.
    pub fn backpropagate(&self, pictures: Tensor<4>, unit: &Unit, rule: Rule) -> Tensor<4> {
        let (head, convolutions) = self.layers.split_last().expect("a discriminator has layers");
        let last = match unit {
            Unit::Verdict => convolutions.len() - 1,
            Unit::Map { layer, .. } => *layer,
        };
        let mut inputs = vec![self.config().judged(pictures)];
        let mut linears = Vec::new();
        for layer in &convolutions[..=last] {
            let linear = self.linear(layer, inputs[inputs.len() - 1].clone());
            inputs.push(leaky_relu(linear.clone(), LEAK));
            linears.push(linear);
        }
        let [batch, maps, height, width] = linears[last].dims();
        let mut signal = match unit {
            Unit::Verdict => head.weight.tensor::<4>().repeat_dim(0, batch),
            Unit::Map { map, places, .. } => {
                assert!(*map < maps && places.len() == batch, "map {map} of {maps}, a place for each of {batch}");
                let mut ones = vec![0.0f32; batch * maps * height * width];
                for (picture, place) in places.iter().enumerate() {
                    ones[(picture * maps + map) * height * width + place] = 1.0;
                }
                let device = linears[last].device();
                Tensor::from_data(TensorData::new(ones, [batch, maps, height, width]), &device)
            }
        };
        for i in (0..=last).rev() {
            let shut = linears[i].clone().lower_equal_elem(0.0);
            signal = match rule {
                Rule::Plain => {
                    let leaked = signal.clone() * LEAK;
                    signal.mask_where(shut, leaked)
                }
                Rule::Guided => signal.clamp_min(0.0).mask_fill(shut, 0.0),
            };
            signal = self.through(&convolutions[i], inputs[i].clone(), signal);
        }
        signal * self.config().judged_slope()
    }

    /// Propagates a signal back through a convolution and its batch norm.
    fn through(&self, layer: &Layer, input: Tensor<4>, signal: Tensor<4>) -> Tensor<4> {
        let mut lifted = layer.clone();
        for parameter in lifted.kept_mut() {
            parameter.value = parameter.value.clone().autodiff();
        }
        let input = input.autodiff().require_grad();
        let product = (self.linear(&lifted, input.clone()) * signal.autodiff()).sum();
        input.grad(&product.backward()).expect("the input is on the tape")
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::model::discriminator::forward;
    use crate::model::{ModelConfig, Output, Preset};

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
    fn gradients_of_the_verdict_and_of_maps_agree_with_finite_differences() {
        for output in [Output::Tanh, Output::Sigmoid] {
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
        let mut judge = Discriminator::new(config, 4, &Device::flex());
        // Untrained weights are so small that differences drown in single precision.
        for layer in &mut judge.layers {
            layer.weight.value = layer.weight.value.clone() * 8.0;
        }
        let x = pictures(config);
        {
            for unit in [Unit::Verdict, Unit::Map { layer: 1, map: 3, places: vec![5, 9] }] {
                let measure = |x: Tensor<4>| -> f64 {
                    let (maps, logits) = judge.inside(x);
                    match &unit {
                        Unit::Verdict => values(logits).iter().map(|&v| f64::from(v)).sum(),
                        Unit::Map { layer, map, places } => {
                            let all = values(maps[*layer].clone());
                            (0..2).map(|i| f64::from(all[(i * 8 + map) * 16 + places[i]])).sum()
                        }
                    }
                };
                let gradient = values(judge.backpropagate(x.clone(), &unit, Rule::Plain));
                let mut order: Vec<usize> = (0..gradient.len()).collect();
                order.sort_by(|&a, &b| gradient[b].abs().total_cmp(&gradient[a].abs()));
                let largest = f64::from(gradient[order[0]].abs());
                assert!(largest > 1e-3, "{unit:?}: there is something to compare");
                let agrees = |&&at: &&usize| {
                    let moved = |by: f32| {
                        let mut moved = values(x.clone());
                        moved[at] += by;
                        measure(Tensor::from_data(TensorData::new(moved, x.dims()), &Device::flex()))
                    };
                    let slope = (moved(5e-4) - moved(-5e-4)) / 1e-3;
                    let found = f64::from(gradient[at]);
                    (slope - found).abs() < 0.05 * largest
                };
                // A step across a rectifier's kink, which a few pixels take, has no one slope.
                let agreeing = order.iter().take(24).filter(agrees).count();
                assert!(agreeing >= 20, "{unit:?}: {agreeing} of 24");
            }
        }
    }

    #[test]
    fn beside_a_sigmoid_black_is_seen_as_zero() {
        let config = ModelConfig { size: 16, base: 2, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let judge = |output| Discriminator::new(&ModelConfig { output, ..config.clone() }, 4, &device);
        let x = pictures(&config);
        let seen = values(judge(Output::Sigmoid).inside(x.clone()).1);
        let halved = (x + 1.0) * 0.5;
        assert_eq!(seen, values(judge(Output::Tanh).inside(halved.clone()).1));
        let trained = judge(Output::Tanh).train(halved);
        assert_eq!(values(judge(Output::Sigmoid).train(pictures(&config))), values(trained));
    }

    #[test]
    fn the_guided_rule_gives_what_a_hand_gives() {
        // One map at each of two convolutions of a 16x16 picture, all kernels in their middle only: each unit sees the pixel
        // whose row and column are the middle of its kernel, so the whole network is a product of few numbers.
        let config = ModelConfig { size: 16, base: 1, channels: 1, bias: true, ..ModelConfig::preset(Preset::Pytorch) };
        let mut judge = Discriminator::new(&config, 1, &Device::flex());
        let device = Device::flex();
        let kernel = |centre: &[f32]| {
            let all: Vec<f32> =
                centre.iter().flat_map(|&c| (0..16).map(move |i| if i == 5 { c } else { 0.0 })).collect();
            Tensor::<1>::from_floats(all.as_slice(), &device)
        };
        let shape = judge.layers[1].weight.shape.clone();
        assert_eq!(shape, [2, 1, 4, 4]);
        judge.layers[0].weight.value = kernel(&[3.0]);
        judge.layers[0].bias.as_mut().unwrap().value = Tensor::from_floats([-1.0], &device);
        judge.layers[1].weight.value = kernel(&[2.0, -5.0]);
        for layer in &mut judge.layers {
            if let Some(norm) = &mut layer.norm {
                norm.gain.value = Tensor::from_floats([1.0, 1.0], &device);
                norm.variance.value = Tensor::from_floats([1.0 - 1e-5, 1.0 - 1e-5], &device);
            }
        }
        // Index 5 of a 4x4 kernel with padding 1 is the pixel at twice the place: place 0 of the last map sees pixel 0.
        let mut pixels = [[0.0f32; 256]; 2];
        pixels[0][0] = 1.0; // 3 * 1 - 1 = 2, positive; times 2 is 4, times -5 is -10.
        pixels[1][0] = 0.2; // 3 * 0.2 - 1 = -0.4, negative: leaks as -0.08.
        let x = Tensor::from_data(TensorData::new(pixels.concat(), [2, 1, 16, 16]), &device);
        let led = |map: usize, rule: Rule| {
            let unit = Unit::Map { layer: 1, map, places: vec![0, 0] };
            let all = values(judge.backpropagate(x.clone(), &unit, rule));
            [all[0], all[256]]
        };
        let near = |a: [f32; 2], b: [f32; 2]| (a[0] - b[0]).abs() < 1e-4 && (a[1] - b[1]).abs() < 1e-4;
        // Map 0: the first picture passes all; the second's first unit is negative, and its second too.
        assert!(near(led(0, Rule::Plain), [2.0 * 3.0, 0.2 * 2.0 * 0.2 * 3.0]), "{:?}", led(0, Rule::Plain));
        assert!(near(led(0, Rule::Guided), [2.0 * 3.0, 0.0]), "{:?}", led(0, Rule::Guided));
        // Map 1: in the first picture the unit itself is negative; in the second it is positive, but its signal turns
        // negative at the first convolution, where guided backpropagation stops it.
        assert!(near(led(1, Rule::Plain), [0.2 * -5.0 * 3.0, -5.0 * 0.2 * 3.0]), "{:?}", led(1, Rule::Plain));
        assert!(near(led(1, Rule::Guided), [0.0, 0.0]), "{:?}", led(1, Rule::Guided));
    }

    #[test]
    fn what_is_seen_on_the_way_is_what_training_sees() {
        let config = ModelConfig { size: 16, base: 4, ..ModelConfig::preset(Preset::Tensorflow) };
        let mut judge = Discriminator::new(&config, 4, &Device::flex());
        // With the statistics of this very batch, which training normalizes by.
        let mut measured = judge.clone();
        forward(&mut measured.layers, &config, pictures(&config), Pass::Freeze);
        let (maps, logits) = measured.inside(pictures(&config));
        assert_eq!(maps.iter().map(|maps| maps.dims()).collect::<Vec<_>>(), [[2, 4, 8, 8], [2, 8, 4, 4]]);
        for (a, b) in values(logits).iter().zip(values(judge.train(pictures(&config)))) {
            assert!((a - b).abs() < 1e-4, "{a} {b}");
        }
        let generator = Generator::new(&config, 4, &Device::flex());
        let z = Tensor::ones([2, 100], &Device::flex()) * 0.3;
        let (maps, drawn) = generator.inside(z.clone());
        assert_eq!(maps.iter().map(|maps| maps.dims()).collect::<Vec<_>>(), [[2, 8, 4, 4], [2, 4, 8, 8]]);
        assert_eq!(drawn.into_data(), generator.sample(z).into_data());
    }

    #[test]
    fn the_last_maps_parts_of_the_logit_are_what_dropping_and_doubling_change() {
        let config = ModelConfig { size: 16, base: 3, ..ModelConfig::preset(Preset::Pytorch) };
        let judge = Discriminator::new(&config, 3, &Device::flex());
        let (maps, plain) = judge.inside(pictures(&config));
        let with = |map, gain| values(judge.judge_with(pictures(&config), (1, map), gain));
        let plain = values(plain);
        // Of the last maps the logit is a sum: each map has its share, which is lost or counted twice.
        let weights = judge.layers[2].weight.tensor::<4>();
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
