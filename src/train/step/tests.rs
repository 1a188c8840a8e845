//! Gradients, schedules, and determinism of training steps.

use burn::tensor::activation::log_sigmoid;

use super::*;
use crate::model::{Activation, NormPlacement, Padding, Preset, Resampling};

fn tiny() -> (ModelConfig, TrainConfig) {
    let model = ModelConfig { size: 16, base: 4, z_dim: 8, channels: 1, ..ModelConfig::preset(Preset::Pytorch) };
    (model, TrainConfig { batch: 8, ..TrainConfig::preset(Preset::Pytorch) })
}

fn rates(train: &TrainConfig) -> LearningRates {
    LearningRates { generator: train.generator_rate, discriminator: train.discriminator_rate }
}

fn real(device: &Device) -> Tensor<4> {
    let values: Vec<f32> = (0..8 * 256).map(|i| ((i * 37 % 101) as f32 / 50.0) - 1.0).collect();
    Tensor::<1>::from_floats(values.as_slice(), device).reshape([8, 1, 16, 16])
}

fn weights(layers: &[Layer]) -> Vec<f32> {
    layers.iter().flat_map(Layer::state).flat_map(|p| p.value.to_data().try_to_vec::<f32>().unwrap()).collect()
}

#[test]
fn the_first_losses_are_those_of_random_guessing() {
    let (model, train) = tiny();
    let device = Device::flex();
    let mut networks = Networks::new(&model, &train, 1, &device);
    let metrics = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
    let [loss_d, loss_g, d_real, d_fake, norm_d, norm_g] = metrics.values().map(|value| value.unwrap());
    assert!((loss_d - 2.0 * 2f32.ln()).abs() < 0.2, "{loss_d}");
    assert!((loss_g - 2f32.ln()).abs() < 0.2, "{loss_g}");
    assert!((d_real - 0.5).abs() < 0.1 && (d_fake - 0.5).abs() < 0.1);
    assert!(norm_d > 0.0 && norm_g > 0.0);
}

#[test]
fn the_generator_update_computes_no_gradients_of_the_discriminator() {
    let (model, train) = tiny();
    let device = Device::flex();
    let mut networks = Networks::new(&model, &train, 1, &device);
    let (generator, fake) = networks.generate(Tensor::ones([8, 8], &device));
    let mut frozen = networks.discriminator.clone();
    freeze(&mut frozen.layers);
    let grads = frozen.train(fake).mean().backward();
    assert!(frozen.parameters().all(|parameter| parameter.value.grad(&grads).is_none()));
    assert!(generator.parameters().all(|parameter| parameter.value.grad(&grads).is_some()));
}

/// Compares the largest gradient of each tensor with finite differences of the loss. Smaller gradients would be
/// lost in rounding.
fn check_gradients(
    what: &str,
    networks: &Networks,
    layers: fn(&mut Networks) -> &mut [Layer],
    loss: impl Fn(&mut Networks) -> (Vec<Layer>, Tensor<1>),
) {
    let device = Device::flex();
    let (tracked, value) = loss(&mut networks.clone());
    let grads = value.backward();
    let (mut agreeing, mut compared) = (0, 0);
    let mut differences = Vec::new();
    for (i, layer) in tracked.iter().enumerate() {
        for (j, parameter) in layer.parameters().enumerate() {
            let grad = parameter.value.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap();
            let at = (0..grad.len()).max_by(|&a, &b| grad[a].abs().total_cmp(&grad[b].abs())).unwrap();
            let moved = |by: f32| {
                let mut moved = networks.clone();
                let moving = layers(&mut moved)[i].parameters_mut().nth(j).unwrap();
                let mut values = moving.value.to_data().try_to_vec::<f32>().unwrap();
                values[at] += by;
                moving.value = Tensor::from_floats(values.as_slice(), &device);
                f64::from(loss(&mut moved).1.inner().into_scalar::<f32>())
            };
            let computed = f64::from(grad[at]);
            // Long steps suffer from curvature and kinks, short ones from rounding: the better one counts.
            let slopes = [1e-3, 2e-4].map(|step| (moved(step) - moved(-step)) / (2.0 * f64::from(step)));
            let [long, short] = slopes.map(|slope| (slope - computed).abs());
            let measured = slopes[usize::from(short < long)];
            compared += 1;
            if (measured - computed).abs() < 0.03 * computed.abs() + 3e-4 {
                agreeing += 1;
            } else {
                differences.push(format!("{}: {measured} {computed}", parameter.name));
            }
        }
    }
    // The loss has no single slope across the kink of a rectifier or where max pooling changes position.
    assert!(compared - agreeing <= 1, "{what}: {differences:?}");
}

/// Checks the gradients of both updates.
fn gradients_agree(what: &str, model: &ModelConfig) {
    let train = TrainConfig { batch: 8, ..TrainConfig::preset(Preset::Pytorch) };
    let device = Device::flex();
    let mut networks = Networks::new(model, &train, 4, &device);
    // Without batch norm, initial weights are too small for measurable gradients.
    for layer in networks.generator.layers_mut().iter_mut().chain(&mut networks.discriminator.layers) {
        layer.weight.value = layer.weight.value.clone() * 4.0;
    }
    let z = latent::sample_z_tensor(model.prior, model.z_dim, 3, 0..8, &device);
    check_gradients(
        &format!("the generator's, {what}"),
        &networks,
        |networks| networks.generator.layers_mut(),
        |networks| {
            let (generator, fake) = networks.generate(z.clone());
            let mut frozen = networks.discriminator.clone();
            freeze(&mut frozen.layers);
            (generator.layers().to_vec(), -log_sigmoid(frozen.train(fake)).mean())
        },
    );
    check_gradients(
        &format!("the discriminator's, {what}"),
        &networks,
        |networks| &mut networks.discriminator.layers,
        |networks| {
            let mut discriminator = networks.discriminator.clone();
            require_grad(&mut discriminator.layers);
            let logits = discriminator.train(real(&device).autodiff());
            (discriminator.layers, -log_sigmoid(logits).mean())
        },
    );
}

#[test]
fn gradients_agree_with_finite_differences() {
    let (model, _) = tiny();
    gradients_agree("PyTorch tutorial", &model);
    gradients_agree("SAME padding", &ModelConfig { kernel: 5, padding: Padding::Same, ..model.clone() });
    gradients_agree("strides of 1", &ModelConfig { kernel: 3, per_stage: 2, ..model.clone() });
    gradients_agree(
        "biases and batch norm of units",
        &ModelConfig { bias: true, unit_bias: true, unit_norm: true, ..model },
    );
}

#[test]
fn gradients_without_the_papers_rules_agree_with_finite_differences() {
    let (model, _) = tiny();
    for norms in [NormPlacement::Off, NormPlacement::Everywhere] {
        gradients_agree(&format!("batch norm {norms}"), &ModelConfig { norms, bias: true, ..model.clone() });
    }
    gradients_agree("tanh", &ModelConfig { activation: Activation::Tanh, ..model.clone() });
    gradients_agree("LeakyReLU", &ModelConfig { leak: 0.2, ..model.clone() });
    for kernel in [3, 4, 5] {
        let pooling = ModelConfig { kernel, resampling: Resampling::Pooling, ..model.clone() };
        gradients_agree(&format!("pooling, {kernel}x{kernel}"), &pooling);
    }
    gradients_agree("a hidden layer", &ModelConfig { hidden: 6, ..model.clone() });
    gradients_agree(
        "a hidden layer without batch norm",
        &ModelConfig { hidden: 6, norms: NormPlacement::Off, ..model },
    );
}

#[test]
fn alternating_steps_update_one_network_at_a_time() {
    let (model, train) = tiny();
    let train = TrainConfig { schedule: Schedule::Alternate, ..train };
    let device = Device::flex();
    let mut networks = Networks::new(&model, &train, 1, &device);
    let learned = |layers: &[Layer]| -> Vec<f32> {
        layers.iter().flat_map(Layer::parameters).flat_map(|p| p.value.to_data().try_to_vec::<f32>().unwrap()).collect()
    };
    let before = (learned(networks.generator.layers()), learned(&networks.discriminator.layers));
    let metrics = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
    assert!(metrics.loss_g.is_none() && metrics.loss_d.is_some(), "odd steps train the discriminator: {metrics:?}");
    assert_eq!(learned(networks.generator.layers()), before.0);
    let between = learned(&networks.discriminator.layers);
    assert_ne!(between, before.1);
    networks.step(real(&device), 2, 1, &train, rates(&train)).read().unwrap();
    assert_ne!(learned(networks.generator.layers()), before.0);
    assert_eq!(learned(&networks.discriminator.layers), between);
}

#[test]
fn alternation_can_begin_with_the_generator() {
    let (model, train) = tiny();
    let train = TrainConfig { schedule: Schedule::AlternateGeneratorFirst, ..train };
    let device = Device::flex();
    let mut networks = Networks::new(&model, &train, 1, &device);
    let first = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
    assert!(first.loss_d.is_none() && first.loss_g.is_some(), "step 1 trains the generator: {first:?}");
    let second = networks.step(real(&device), 2, 1, &train, rates(&train)).read().unwrap();
    assert!(second.loss_d.is_some() && second.loss_g.is_none(), "step 2 trains the discriminator: {second:?}");
}

#[test]
fn every_update_has_its_own_z_number() {
    let mut numbers = std::collections::BTreeSet::new();
    for step in 1..200 {
        for update in 0..20 {
            assert!(numbers.insert(z_number(step, update)), "step {step}, update {update}");
        }
    }
    // As in old runs, which could not have more than sixteen updates.
    assert_eq!((z_number(3, 0), z_number(3, 15)), (48, 63));
}

#[test]
fn twenty_updates_of_a_step_share_no_z_with_the_next_step() {
    let (model, train) = tiny();
    let device = Device::flex();
    let z = |step, update| latent::training_z_tensor(model.prior, 8, 1, z_number(step, update), 4, &device).into_data();
    let next = z(2, 0);
    assert!((0..20).all(|update| z(1, update) != next));
    let train = TrainConfig { schedule: Schedule::Generator(20), ..train };
    let mut networks = Networks::new(&model, &train, 1, &device);
    let metrics = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
    assert!(metrics.values().iter().all(|value| value.is_some_and(f32::is_finite)), "{metrics:?}");
}

#[test]
fn updates_with_the_same_z_use_the_generator_as_changed_so_far() {
    let (model, train) = tiny();
    let device = Device::flex();
    let learned = |same_z| {
        let train = TrainConfig { schedule: Schedule::Generator(2), same_z, ..train.clone() };
        let mut networks = Networks::new(&model, &train, 1, &device);
        networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        weights(networks.generator.layers())
    };
    let once = {
        let train = TrainConfig { same_z: true, ..train.clone() };
        let mut networks = Networks::new(&model, &train, 1, &device);
        networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        weights(networks.generator.layers())
    };
    assert_ne!(learned(true), learned(false), "the second update uses other z's");
    assert_ne!(learned(true), once, "there is a second update");
}

#[test]
fn running_statistics_move_by_the_momentum() {
    let device = Device::flex();
    let means = |norm_momentum| {
        let (model, train) = tiny();
        let model = ModelConfig { norm_momentum, ..model };
        let mut networks = Networks::new(&model, &train, 1, &device);
        networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        let norm = networks.generator.layers()[0].norm.as_ref().unwrap();
        norm.mean.value.to_data().try_to_vec::<f32>().unwrap()
    };
    // The generator sees one batch, and its means begin at 0.
    let (all, quarter) = (means(1.0), means(0.25));
    assert!(all.iter().any(|mean| mean.abs() > 1e-4), "{all:?}");
    assert!(all.iter().zip(&quarter).all(|(all, quarter)| (all * 0.25 - quarter).abs() < 1e-6), "{all:?} {quarter:?}");
}

#[test]
fn the_same_seed_trains_identically() {
    let (model, train) = tiny();
    let device = Device::flex();
    let run = || {
        let mut networks = Networks::new(&model, &train, 1, &device);
        for step in 1..=3 {
            networks.step(real(&device), step, 1, &train, rates(&train)).read().unwrap();
        }
        (weights(networks.generator.layers()), weights(&networks.discriminator.layers))
    };
    assert_eq!(run(), run());
}
