//! Compares the first steps of every preset with PyTorch in double precision. `tests/presets/make.py` computed the
//! reference values.

use std::collections::BTreeMap;

use burn::tensor::{Device, Tensor, TensorData};

use super::instance_noise::InstanceNoise;
use super::messages::LearningRates;
use super::step::Networks;
use super::{Schedule, TrainConfig};
use crate::model::{Layer, ModelConfig, Moments, Preset};

const REFERENCE: &str = include_str!("../../tests/presets/steps.json");
const BATCH: usize = 4;

/// A preset's steps: losses of D and G if they were measured, and some values of every tensor after the last step.
#[derive(serde::Deserialize)]
struct ReferenceSteps {
    losses: Vec<[Option<f32>; 2]>,
    tensors: BTreeMap<String, ReferenceTensor>,
}

#[derive(serde::Deserialize)]
struct ReferenceTensor {
    at: Vec<usize>,
    value: Vec<f64>,
    /// Adam's first moment, which shows the gradients. Running statistics have none.
    moment: Option<Vec<f64>>,
}

fn sine(count: usize, offset: f64, step: f64) -> Vec<f32> {
    (0..count).map(|i| (offset + step * i as f64).sin() as f32).collect()
}

/// Sets the script's initial weights: sines with a different offset for each tensor, from `number` on.
fn fill(layers: &mut [Layer], mut number: usize, device: &Device) {
    for parameter in layers.iter_mut().flat_map(Layer::parameters_mut) {
        let (scale, middle) = match parameter.name.rsplit_once('.').expect("names have parts").1 {
            "weight" => (0.2, 0.0),
            "gain" => (0.1, 1.0),
            _ => (0.1, 0.0),
        };
        let value = |i: usize| middle + scale * (1.0 + 78.233 * number as f64 + 12.9898 * i as f64).sin();
        let values: Vec<f32> = (0..parameter.len()).map(|i| value(i) as f32).collect();
        parameter.value = Tensor::from_floats(values.as_slice(), device);
        number += 1;
    }
}

fn flat(tensor: &Tensor<1>) -> Vec<f64> {
    tensor.to_data().iter::<f32>().map(f64::from).collect()
}

fn check_network(
    network: &str,
    layers: &[Layer],
    moments: &[Option<Moments>],
    steps: &ReferenceSteps,
    rate: f64,
) -> usize {
    let mut compared = 0;
    let learned = layers.iter().flat_map(Layer::parameters).map(|p| p.name.clone()).collect::<Vec<_>>();
    for (layer, parameter) in layers.iter().flat_map(|layer| layer.state().map(move |parameter| (layer, parameter))) {
        let name = format!("{network}.{}", parameter.name);
        let wanted = steps.tensors.get(&name).unwrap_or_else(|| panic!("PyTorch's networks have no {name}"));
        let ours = flat(&parameter.value);
        let moment = learned.iter().position(|learned| *learned == parameter.name).map(|i| {
            let moments = moments[i].as_ref().unwrap_or_else(|| panic!("{name} was not updated"));
            flat(&moments.first)
        });
        assert_eq!(moment.is_some(), wanted.moment.is_some(), "{name}");
        for (i, (&at, &value)) in wanted.at.iter().zip(&wanted.value).enumerate() {
            let theirs = wanted.moment.as_ref().map(|moment| moment[i]);
            // Batch norm cancels the bias before it, so the bias's gradient is 0 up to rounding, and rounding decides
            // in which direction Adam moves it.
            let vanishes = theirs.is_some_and(|moment| moment.abs() < 1e-7);
            // The running mean follows such a bias by a tenth.
            let moved = layer.bias.is_some() && parameter.name.ends_with("norm.mean");
            let least = match (vanishes, moved) {
                (true, _) => 4.0 * rate,
                (_, true) => 0.2 * rate,
                _ => 2e-6,
            };
            let slack = least + 2e-5 * value.abs();
            assert!((ours[at] - value).abs() <= slack, "{name}[{at}] is {}, and PyTorch's {value}", ours[at]);
            if let (Some(ours), Some(theirs)) = (&moment, theirs) {
                let slack = if vanishes { 1e-5 } else { 1e-6 + 5e-4 * theirs.abs() };
                assert!((ours[at] - theirs).abs() <= slack, "moment of {name}[{at}]: {} and {theirs}", ours[at]);
            }
        }
        compared += 1;
    }
    compared
}

#[test]
fn the_first_steps_of_every_preset_match_pytorch() {
    let reference: BTreeMap<String, ReferenceSteps> = serde_json::from_str(REFERENCE).unwrap();
    assert_eq!(reference.len(), Preset::ALL.len());
    let device = Device::flex();
    for &preset in Preset::ALL {
        let steps = &reference[preset.name()];
        let model = ModelConfig { size: 16, base: 2, z_dim: 5, ..ModelConfig::preset(preset) };
        let train = TrainConfig { batch: BATCH, ..TrainConfig::preset(preset) };
        let mut networks = Networks::new(&model, &train, 1, &device);
        fill(networks.generator.layers_mut(), 0, &device);
        fill(&mut networks.discriminator.layers, 100, &device);
        let rates = LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate };
        let turns = matches!(train.schedule, Schedule::Alternate | Schedule::AlternateGeneratorFirst);
        assert_eq!(steps.losses.len(), if turns { 2 } else { 1 }, "{preset}");
        for (step, wanted) in (1..).zip(&steps.losses) {
            let real = sine(BATCH * model.values(), 0.3 + step as f64, 4.7);
            let real = Tensor::from_data(TensorData::new(real, [BATCH, model.channels, 16, 16]), &device);
            let z = |number: u64| {
                let z = sine(BATCH * model.z_dim, 0.5 + 9.1 * number as f64, 2.3);
                Tensor::from_data(TensorData::new(z, [BATCH, model.z_dim]), &device)
            };
            let noise = InstanceNoise::new(&train, 1, step);
            let metrics = networks.step_on(real, step, z, &noise, &train, rates).read().unwrap();
            for (ours, theirs) in [metrics.loss_d, metrics.loss_g].into_iter().zip(wanted) {
                let near = match (ours, theirs) {
                    (Some(ours), Some(theirs)) => (ours - theirs).abs() < 2e-5,
                    (None, None) => true,
                    _ => false,
                };
                assert!(near, "{preset}, step {step}: losses {metrics:?} and {wanted:?}");
            }
        }
        let Networks { generator, discriminator, optimiser_g, optimiser_d, .. } = &networks;
        let rate = train.generator_rate;
        let compared = check_network("generator", generator.layers(), &optimiser_g.moments, steps, rate)
            + check_network("discriminator", &discriminator.layers, &optimiser_d.moments, steps, rate);
        assert_eq!(compared, steps.tensors.len(), "{preset}: every tensor of PyTorch's is compared");
    }
}
