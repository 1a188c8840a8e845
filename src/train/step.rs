//! One DCGAN training step (Radford et al. 2016, sections 3 and 4): the non-saturating loss on logits, Adam, and
//! batch normalization with the batch's own statistics.
//!
//! [`Networks::step`] trains one step and returns its [`StepMetrics`], which stay on the device until
//! [`StepMetrics::read`].

use burn::tensor::{Device, Gradients, Tensor};

use super::config::{Schedule, TrainConfig};
use super::instance_noise::InstanceNoise;
use super::messages::LearningRates;
use crate::device::Operands;
use crate::latent;
use crate::model::{Adam, Discriminator, Generator, Layer, ModelConfig, Optimiser, keep_statistics, logistic, track};

/// Both networks in training, and their optimizers.
#[derive(Clone)]
pub struct Networks {
    /// The generator: z to pictures.
    pub generator: Generator,
    /// The discriminator: pictures to logits.
    pub discriminator: Discriminator,
    pub(super) optimiser_g: Optimiser,
    pub(super) optimiser_d: Optimiser,
    /// The factor on losses before backpropagation: 1, except with half floats, in which small gradients would
    /// underflow.
    pub(super) loss_scale: f32,
}

/// What one step measured: one-element tensors on the device, or numbers. A step that trains only one network leaves
/// out the other's.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct StepMetrics<T = f32> {
    /// Loss of the discriminator, real and generated pictures added.
    pub loss_d: Option<T>,
    /// Non-saturating loss of the generator.
    pub loss_g: Option<T>,
    /// Mean D(x), 0 to 1.
    pub d_real: Option<T>,
    /// Mean D(G(z)), 0 to 1.
    pub d_fake: Option<T>,
    /// Euclidean norm of the discriminator's gradient.
    pub norm_d: Option<T>,
    /// Euclidean norm of the generator's gradient.
    pub norm_g: Option<T>,
}

impl<T> Default for StepMetrics<T> {
    fn default() -> Self {
        Self { loss_d: None, loss_g: None, d_real: None, d_fake: None, norm_d: None, norm_g: None }
    }
}

impl<T> StepMetrics<T> {
    /// All metrics, in the order of the fields.
    pub fn values(&self) -> [&Option<T>; 6] {
        let Self { loss_d, loss_g, d_real, d_fake, norm_d, norm_g } = self;
        [loss_d, loss_g, d_real, d_fake, norm_d, norm_g]
    }

    /// Applies `f` to each metric, in the order of the fields.
    pub(super) fn map<U>(&self, f: impl FnMut(&Option<T>) -> Option<U>) -> StepMetrics<U> {
        let [loss_d, loss_g, d_real, d_fake, norm_d, norm_g] = self.values().map(f);
        StepMetrics { loss_d, loss_g, d_real, d_fake, norm_d, norm_g }
    }
}

impl StepMetrics {
    /// Whether no metric is infinite or NaN.
    pub(super) fn is_finite(&self) -> bool {
        self.values().into_iter().flatten().all(|value| value.is_finite())
    }
}

impl StepMetrics<Tensor<1>> {
    /// Waits for the device and reads the numbers.
    ///
    /// # Errors
    /// The device's message, if it failed.
    pub fn read(self) -> Result<StepMetrics, String> {
        Self::read_all(&[self]).map(|read| read[0])
    }

    /// Reads the numbers of several steps in one transfer.
    ///
    /// # Errors
    /// The device's message, if it failed.
    pub(super) fn read_all(steps: &[Self]) -> Result<Vec<StepMetrics>, String> {
        let measured = |step: &Self| Tensor::cat(step.values().into_iter().flatten().cloned().collect(), 0);
        let all: Tensor<1> = Tensor::cat(steps.iter().map(measured).collect(), 0);
        let numbers: Vec<f32> = all.try_into_data().map_err(|e| e.to_string())?.iter::<f32>().collect();
        let mut numbers = numbers.into_iter();
        Ok(steps.iter().map(|step| step.map(|value| value.as_ref().and_then(|_| numbers.next()))).collect())
    }
}

/// Puts the parameters on the autodiff tape as constants: gradients flow through the network but not into its weights.
fn freeze(layers: &mut [Layer]) {
    for parameter in layers.iter_mut().flat_map(Layer::learnt_mut) {
        parameter.value = parameter.value.clone().autodiff();
    }
}

impl Networks {
    /// Untrained networks.
    pub fn new(model: &ModelConfig, train: &TrainConfig, seed: u64, device: &Device) -> Self {
        Self::from_networks(Generator::new(model, seed, device), Discriminator::new(model, seed, device), train)
    }

    /// Existing networks with fresh optimizers.
    pub fn from_networks(generator: Generator, discriminator: Discriminator, train: &TrainConfig) -> Self {
        let adam = Adam { beta1: train.beta1, beta2: train.beta2, epsilon: train.epsilon, decay: train.decay };
        let optimiser_g = Optimiser::new(adam, generator.layers());
        let optimiser_d = Optimiser::new(adam, &discriminator.layers);
        Self { generator, discriminator, optimiser_g, optimiser_d, loss_scale: 1.0 }
    }

    /// Sets the number format in which the convolutions of both networks multiply.
    pub fn multiply(&mut self, operands: Operands) {
        let layers = self.generator.layers_mut().iter_mut().chain(&mut self.discriminator.layers);
        layers.for_each(|layer| layer.multiply(operands));
    }

    /// Backpropagates the scaled loss.
    fn gradients(&self, loss: Tensor<1>) -> Gradients {
        if self.loss_scale == 1.0 { loss.backward() } else { loss.mul_scalar(self.loss_scale).backward() }
    }

    /// Trains step number `step` (the first is 1) on real pictures `[batch, channels, size, size]` in [-1, 1].
    ///
    /// The discriminator's running batch-norm statistics are updated by the two batches of its own update, real and
    /// generated. In PyTorch's DCGAN tutorial they are updated a third time when the generator's update passes the
    /// generated batch through the discriminator; here that pass also uses the batch's own statistics, but leaves the
    /// running ones alone. No update depends on them: the discriminator uses them only to classify single pictures,
    /// and evaluation estimates them anew from data.
    pub fn step(
        &mut self,
        real: Tensor<4>,
        step: u64,
        seed: u64,
        train: &TrainConfig,
        rates: LearningRates,
    ) -> StepMetrics<Tensor<1>> {
        let (device, batch) = (real.device(), real.dims()[0]);
        let (prior, z_dim) = (self.generator.config().prior, self.generator.config().z_dim);
        let noise = InstanceNoise::new(train, seed, step);
        let z = |number| latent::training_z_tensor(prior, z_dim, seed, number, batch, &device);
        self.step_on(real, step, z, &noise, train, rates)
    }

    /// [`Self::step`] with z's `[batch, z_dim]` from `draw`, which must return the same z's for the same number.
    pub(super) fn step_on(
        &mut self,
        real: Tensor<4>,
        step: u64,
        draw: impl Fn(u64) -> Tensor<2>,
        noise: &InstanceNoise,
        train: &TrainConfig,
        rates: LearningRates,
    ) -> StepMetrics<Tensor<1>> {
        let (update_d, updates_g) = match train.schedule {
            Schedule::Generator(times) => (true, times.max(1)),
            Schedule::Alternate => (step % 2 == 1, usize::from(step.is_multiple_of(2))),
            Schedule::AlternateGeneratorFirst => (step.is_multiple_of(2), usize::from(step % 2 == 1)),
        };
        let mut metrics = StepMetrics::default();
        let z = |update: usize| {
            let update = if train.same_z { 0 } else { update as u64 };
            draw(z_number(step, update))
        };
        if updates_g == 0 {
            // The discriminator's update alone needs no gradients of the generator.
            let fake = self.generator.train(z(0));
            self.update_discriminator([noise.add_to(real.clone(), 0), noise.add_to(fake, 1)], rates, &mut metrics);
        }
        for update in 0..updates_g {
            // The discriminator's update uses the z's of the first generator update. With `same_z`, later updates
            // pass the same z's through the generator as the earlier updates changed it.
            let (generator, fake) = self.generate(z(update));
            if update == 0 && update_d {
                let fake = noise.add_to(fake.clone().inner(), 1);
                self.update_discriminator([noise.add_to(real.clone(), 0), fake], rates, &mut metrics);
            }
            let fake = noise.add_to(fake, 2 + update as u64);
            self.update_generator(&generator, fake, rates, &mut metrics);
        }
        metrics
    }

    /// Generates pictures of `z` on the autodiff tape. Returns the tracked generator and the pictures.
    fn generate(&mut self, z: Tensor<2>) -> (Generator, Tensor<4>) {
        let mut generator = self.generator.clone();
        track(generator.layers_mut());
        let fake = generator.train(z.autodiff());
        keep_statistics(self.generator.layers_mut(), generator.layers());
        (generator, fake)
    }

    fn update_discriminator(
        &mut self,
        [real, fake]: [Tensor<4>; 2],
        rates: LearningRates,
        metrics: &mut StepMetrics<Tensor<1>>,
    ) {
        let mut discriminator = self.discriminator.clone();
        track(&mut discriminator.layers);
        let on_real = discriminator.train(real.autodiff());
        let on_fake = discriminator.train(fake.autodiff());
        keep_statistics(&mut self.discriminator.layers, &discriminator.layers);
        let ((loss_real, on_real), (loss_fake, on_fake)) = (logistic(on_real, true), logistic(on_fake, false));
        let loss = loss_real + loss_fake;
        let mut grads = self.gradients(loss.clone());
        let layers = &mut self.discriminator.layers;
        let (rate, scale) = (rates.discriminator, self.loss_scale);
        let norm = self.optimiser_d.update_scaled(layers, &discriminator.layers, &mut grads, rate, scale);
        metrics.loss_d = Some(loss.inner());
        metrics.d_real = Some(on_real.inner());
        metrics.d_fake = Some(on_fake.inner());
        metrics.norm_d = Some(norm);
    }

    fn update_generator(
        &mut self,
        generator: &Generator,
        fake: Tensor<4>,
        rates: LearningRates,
        metrics: &mut StepMetrics<Tensor<1>>,
    ) {
        let mut frozen = self.discriminator.clone();
        freeze(&mut frozen.layers);
        let (loss, d_fake) = logistic(frozen.batch_logits(fake), true);
        let mut grads = self.gradients(loss.clone());
        let layers = self.generator.layers_mut();
        let norm =
            self.optimiser_g.update_scaled(layers, generator.layers(), &mut grads, rates.generator, self.loss_scale);
        metrics.loss_g = Some(loss.inner());
        metrics.d_fake.get_or_insert_with(|| d_fake.inner());
        metrics.norm_g = Some(norm);
    }
}

/// Low bits of a z number that hold the update within its step.
const UPDATE_BITS: u32 = 4;

/// The number that seeds the z's of an update, unique over all updates of a run. The first 16 updates of a step use
/// the low bits of the step's number, as old runs did; further updates count down from the largest number.
fn z_number(step: u64, update: u64) -> u64 {
    match update.checked_sub(1 << UPDATE_BITS) {
        None => step << UPDATE_BITS | update,
        Some(more) => !(step << 32 | more),
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::activation::log_sigmoid;

    use super::*;
    use crate::model::{Activation, Norms, Padding, Preset, Resampling};

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
        layers.iter().flat_map(Layer::kept).flat_map(|p| p.value.to_data().try_to_vec::<f32>().unwrap()).collect()
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
        assert!(frozen.learnt().all(|parameter| parameter.value.grad(&grads).is_none()));
        assert!(generator.learnt().all(|parameter| parameter.value.grad(&grads).is_some()));
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
            for (j, parameter) in layer.learnt().enumerate() {
                let grad = parameter.value.grad(&grads).unwrap().into_data().try_to_vec::<f32>().unwrap();
                let at = (0..grad.len()).max_by(|&a, &b| grad[a].abs().total_cmp(&grad[b].abs())).unwrap();
                let moved = |by: f32| {
                    let mut moved = networks.clone();
                    let moving = layers(&mut moved)[i].learnt_mut().nth(j).unwrap();
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
                track(&mut discriminator.layers);
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
        for norms in [Norms::Off, Norms::Everywhere] {
            gradients_agree(&format!("batch norm {norms}"), &ModelConfig { norms, bias: true, ..model.clone() });
        }
        gradients_agree("tanh", &ModelConfig { activation: Activation::Tanh, ..model.clone() });
        gradients_agree("LeakyReLU", &ModelConfig { leak: 0.2, ..model.clone() });
        for kernel in [3, 4, 5] {
            let pooling = ModelConfig { kernel, resampling: Resampling::Pooling, ..model.clone() };
            gradients_agree(&format!("pooling, {kernel}x{kernel}"), &pooling);
        }
        gradients_agree("a hidden layer", &ModelConfig { hidden: 6, ..model.clone() });
        gradients_agree("a hidden layer without batch norm", &ModelConfig { hidden: 6, norms: Norms::Off, ..model });
    }

    #[test]
    fn alternating_steps_update_one_network_at_a_time() {
        let (model, train) = tiny();
        let train = TrainConfig { schedule: Schedule::Alternate, ..train };
        let device = Device::flex();
        let mut networks = Networks::new(&model, &train, 1, &device);
        let learnt = |layers: &[Layer]| -> Vec<f32> {
            layers.iter().flat_map(Layer::learnt).flat_map(|p| p.value.to_data().try_to_vec::<f32>().unwrap()).collect()
        };
        let before = (learnt(networks.generator.layers()), learnt(&networks.discriminator.layers));
        let metrics = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        assert!(metrics.loss_g.is_none() && metrics.loss_d.is_some(), "odd steps train the discriminator: {metrics:?}");
        assert_eq!(learnt(networks.generator.layers()), before.0);
        let between = learnt(&networks.discriminator.layers);
        assert_ne!(between, before.1);
        networks.step(real(&device), 2, 1, &train, rates(&train)).read().unwrap();
        assert_ne!(learnt(networks.generator.layers()), before.0);
        assert_eq!(learnt(&networks.discriminator.layers), between);
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
        let z =
            |step, update| latent::training_z_tensor(model.prior, 8, 1, z_number(step, update), 4, &device).into_data();
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
        let learnt = |same_z| {
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
        assert_ne!(learnt(true), learnt(false), "the second update uses other z's");
        assert_ne!(learnt(true), once, "there is a second update");
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
        assert!(
            all.iter().zip(&quarter).all(|(all, quarter)| (all * 0.25 - quarter).abs() < 1e-6),
            "{all:?} {quarter:?}"
        );
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
}
