//! One training step (section 3 and 4): non-saturating loss on logits, Adam, batch statistics.

use burn::tensor::{Device, Gradients, Tensor};

use super::config::{Schedule, TrainConfig};
use super::messages::LearningRates;
use super::noise::Noise;
use crate::device::Operands;
use crate::latent;
use crate::model::{Adam, Discriminator, Generator, Layer, ModelConfig, Optimiser, keep_statistics, logistic, track};

/// Both networks in training, and their optimisers.
#[derive(Clone)]
pub struct Networks {
    /// z to pictures.
    pub generator: Generator,
    /// Pictures to logits.
    pub discriminator: Discriminator,
    pub(super) optimiser_g: Optimiser,
    pub(super) optimiser_d: Optimiser,
    /// What losses are multiplied by before their gradients are computed: 1, except where half floats would lose these.
    pub(super) loss_scale: f32,
}

/// What a step measured, still on the device.
pub struct StepReport {
    values: [Option<Tensor<1>>; 6],
}

impl StepReport {
    /// Reads loss of D, loss of G, D(x), D(G(z)), and both gradients' norms back, waiting for the device. What an
    /// alternating step did not measure is missing.
    ///
    /// # Errors
    /// What the device says, if it failed.
    pub fn read(self) -> Result<[Option<f32>; 6], String> {
        Self::read_all(&[self]).map(|read| read[0])
    }

    /// Reads what several steps measured in one transfer.
    ///
    /// # Errors
    /// What the device says, if it failed.
    pub(super) fn read_all(reports: &[Self]) -> Result<Vec<[Option<f32>; 6]>, String> {
        let known = |report: &Self| Tensor::cat(report.values.iter().flatten().cloned().collect(), 0);
        let known: Tensor<1> = Tensor::cat(reports.iter().map(known).collect(), 0);
        let read: Vec<f32> = known.try_into_data().map_err(|e| e.to_string())?.iter::<f32>().collect();
        let mut read = read.into_iter();
        let mut next = |value: &Option<Tensor<1>>| value.as_ref().and_then(|_| read.next());
        Ok(reports.iter().map(|report| report.values.each_ref().map(&mut next)).collect())
    }
}

/// Lifts the parameters to the tape as constants: gradients flow through the network but stop at its weights.
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

    /// Networks as they are, with fresh optimisers.
    pub fn from_networks(generator: Generator, discriminator: Discriminator, train: &TrainConfig) -> Self {
        let adam = Adam { beta1: train.beta1, beta2: train.beta2, epsilon: train.epsilon, decay: train.decay };
        let optimiser_g = Optimiser::new(adam, generator.layers());
        let optimiser_d = Optimiser::new(adam, &discriminator.layers);
        Self { generator, discriminator, optimiser_g, optimiser_d, loss_scale: 1.0 }
    }

    /// Has the convolutions of both networks multiply `operands`.
    pub fn multiply(&mut self, operands: Operands) {
        let layers = self.generator.layers_mut().iter_mut().chain(&mut self.discriminator.layers);
        layers.for_each(|layer| layer.multiply(operands));
    }

    /// The gradients of a loss, scaled.
    fn gradients(&self, loss: Tensor<1>) -> Gradients {
        if self.loss_scale == 1.0 { loss.backward() } else { loss.mul_scalar(self.loss_scale).backward() }
    }

    /// Takes step number `step` (the first is 1) on real pictures `[batch, channels, size, size]` in [-1, 1].
    ///
    /// The discriminator's running statistics move with the two batches of its own update, real and drawn. In PyTorch's tutorial
    /// they move a third time, as the generator's update passes the drawn batch through it once more; that pass is made here too,
    /// with the batch's own statistics, but leaves the running ones alone. They decide no update: they are what the discriminator
    /// judges with when it is asked about single pictures, and measures take them anew from the data.
    pub fn step(
        &mut self,
        real: Tensor<4>,
        step: u64,
        seed: u64,
        train: &TrainConfig,
        rates: LearningRates,
    ) -> StepReport {
        let (device, batch) = (real.device(), real.dims()[0]);
        let (prior, z_dim) = (self.generator.config().prior, self.generator.config().z_dim);
        let noise = Noise::new(train, seed, step);
        let z = |number| latent::training(prior, z_dim, seed, number, batch, &device);
        self.step_on(real, step, z, &noise, train, rates)
    }

    /// [`Self::step`] on z's `[batch, z_dim]` that `draw` gives, each time the same by the same number.
    pub(super) fn step_on(
        &mut self,
        real: Tensor<4>,
        step: u64,
        draw: impl Fn(u64) -> Tensor<2>,
        noise: &Noise,
        train: &TrainConfig,
        rates: LearningRates,
    ) -> StepReport {
        let (update_d, updates_g) = match train.schedule {
            Schedule::Generator(times) => (true, times.max(1)),
            Schedule::Alternate => (step % 2 == 1, usize::from(step.is_multiple_of(2))),
            Schedule::AlternateGeneratorFirst => (step.is_multiple_of(2), usize::from(step % 2 == 1)),
        };
        let mut report = StepReport { values: [const { None }; 6] };
        let z = |update: usize| {
            let update = if train.same_z { 0 } else { update as u64 };
            draw(draw_of(step, update))
        };
        if updates_g == 0 {
            // The discriminator's step alone needs no gradients of what is drawn.
            let fake = self.generator.train(z(0));
            self.update_discriminator([noise.on(real.clone(), 0), noise.on(fake, 1)], rates, &mut report);
        }
        for update in 0..updates_g {
            // The first update's z's also serve the discriminator. Where all updates have the same ones, the later updates draw them
            // with the generator that the earlier ones changed.
            let (generator, fake) = self.draw(z(update));
            if update == 0 && update_d {
                let fake = noise.on(fake.clone().inner(), 1);
                self.update_discriminator([noise.on(real.clone(), 0), fake], rates, &mut report);
            }
            let fake = noise.on(fake, 2 + update as u64);
            self.update_generator(&generator, fake, rates, &mut report);
        }
        report
    }

    /// Pictures of z, on the tape, and the generator that drew them.
    fn draw(&mut self, z: Tensor<2>) -> (Generator, Tensor<4>) {
        let mut generator = self.generator.clone();
        track(generator.layers_mut());
        let fake = generator.train(z.autodiff());
        keep_statistics(self.generator.layers_mut(), generator.layers());
        (generator, fake)
    }

    fn update_discriminator(&mut self, [real, fake]: [Tensor<4>; 2], rates: LearningRates, report: &mut StepReport) {
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
        report.values[0] = Some(loss.inner());
        report.values[2] = Some(on_real.inner());
        report.values[3] = Some(on_fake.inner());
        report.values[4] = Some(norm);
    }

    fn update_generator(
        &mut self,
        generator: &Generator,
        fake: Tensor<4>,
        rates: LearningRates,
        report: &mut StepReport,
    ) {
        let mut judge = self.discriminator.clone();
        freeze(&mut judge.layers);
        let (loss, probability) = logistic(judge.batch_logits(fake), true);
        let mut grads = self.gradients(loss.clone());
        let layers = self.generator.layers_mut();
        let norm =
            self.optimiser_g.update_scaled(layers, generator.layers(), &mut grads, rates.generator, self.loss_scale);
        report.values[1] = Some(loss.inner());
        report.values[3].get_or_insert_with(|| probability.inner());
        report.values[5] = Some(norm);
    }
}

/// Bits of a number that tell the updates of a step apart.
const UPDATES: u32 = 4;

/// The number that an update's z's are drawn by, no two alike: a step's first sixteen updates share its number's last bits, as they
/// did before there could be more; the others count from the other end.
fn draw_of(step: u64, update: u64) -> u64 {
    match update.checked_sub(1 << UPDATES) {
        None => step << UPDATES | update,
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
    fn the_first_losses_are_those_of_a_coin() {
        let (model, train) = tiny();
        let device = Device::flex();
        let mut networks = Networks::new(&model, &train, 1, &device);
        let report = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        let [loss_d, loss_g, d_real, d_fake, norm_d, norm_g] = report.map(Option::unwrap);
        assert!((loss_d - 2.0 * 2f32.ln()).abs() < 0.2, "{loss_d}");
        assert!((loss_g - 2f32.ln()).abs() < 0.2, "{loss_g}");
        assert!((d_real - 0.5).abs() < 0.1 && (d_fake - 0.5).abs() < 0.1);
        assert!(norm_d > 0.0 && norm_g > 0.0);
    }

    #[test]
    fn the_generators_step_leaves_the_discriminators_weights_without_gradients() {
        let (model, train) = tiny();
        let device = Device::flex();
        let mut networks = Networks::new(&model, &train, 1, &device);
        let (generator, fake) = networks.draw(Tensor::ones([8, 8], &device));
        let mut judge = networks.discriminator.clone();
        freeze(&mut judge.layers);
        let grads = judge.train(fake).mean().backward();
        assert!(judge.learnt().all(|parameter| parameter.value.grad(&grads).is_none()));
        assert!(generator.learnt().all(|parameter| parameter.value.grad(&grads).is_some()));
    }

    /// Compares the largest gradient of each tensor with what the loss changes by: small ones drown in single-precision differences.
    fn agree(
        what: &str,
        networks: &Networks,
        layers: fn(&mut Networks) -> &mut [Layer],
        loss: impl Fn(&mut Networks) -> (Vec<Layer>, Tensor<1>),
    ) {
        let device = Device::flex();
        let (tracked, value) = loss(&mut networks.clone());
        let grads = value.backward();
        let (mut agreeing, mut compared) = (0, 0);
        let mut told = Vec::new();
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
                // Long steps meet curvature and kinks, short ones drown in rounding: the nearer one counts.
                let slopes = [1e-3, 2e-4].map(|step| (moved(step) - moved(-step)) / (2.0 * f64::from(step)));
                let [long, short] = slopes.map(|slope| (slope - computed).abs());
                let measured = slopes[usize::from(short < long)];
                compared += 1;
                if (measured - computed).abs() < 0.03 * computed.abs() + 3e-4 {
                    agreeing += 1;
                } else {
                    told.push(format!("{}: {measured} {computed}", parameter.name));
                }
            }
        }
        // A step across the kink of a rectifier or from one pooled position to another has no one slope.
        assert!(compared - agreeing <= 1, "{what}: {told:?}");
    }

    /// Both updates' gradients of networks of this config.
    fn gradients_agree(what: &str, model: &ModelConfig) {
        let train = TrainConfig { batch: 8, ..TrainConfig::preset(Preset::Pytorch) };
        let device = Device::flex();
        let mut networks = Networks::new(model, &train, 4, &device);
        // Weights as small as they are drawn leave nothing to measure where there is no batch norm.
        for layer in networks.generator.layers_mut().iter_mut().chain(&mut networks.discriminator.layers) {
            layer.weight.value = layer.weight.value.clone() * 4.0;
        }
        let z = latent::draw(model.prior, model.z_dim, 3, 0..8, &device);
        agree(
            &format!("the generator's, {what}"),
            &networks,
            |networks| networks.generator.layers_mut(),
            |networks| {
                let (generator, fake) = networks.draw(z.clone());
                let mut judge = networks.discriminator.clone();
                freeze(&mut judge.layers);
                (generator.layers().to_vec(), -log_sigmoid(judge.train(fake)).mean())
            },
        );
        agree(
            &format!("the discriminator's, {what}"),
            &networks,
            |networks| &mut networks.discriminator.layers,
            |networks| {
                let mut judge = networks.discriminator.clone();
                track(&mut judge.layers);
                let logits = judge.train(real(&device).autodiff());
                (judge.layers, -log_sigmoid(logits).mean())
            },
        );
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let (model, _) = tiny();
        gradients_agree("as the tutorial has it", &model);
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
        let report = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        assert!(report[1].is_none() && report[0].is_some(), "an odd step is the discriminator's: {report:?}");
        assert_eq!(learnt(networks.generator.layers()), before.0);
        let between = learnt(&networks.discriminator.layers);
        assert_ne!(between, before.1);
        networks.step(real(&device), 2, 1, &train, rates(&train)).read().unwrap();
        assert_ne!(learnt(networks.generator.layers()), before.0);
        assert_eq!(learnt(&networks.discriminator.layers), between);
    }

    #[test]
    fn the_generator_may_begin() {
        let (model, train) = tiny();
        let train = TrainConfig { schedule: Schedule::AlternateGeneratorFirst, ..train };
        let device = Device::flex();
        let mut networks = Networks::new(&model, &train, 1, &device);
        let first = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        assert!(first[0].is_none() && first[1].is_some(), "the first step is the generator's: {first:?}");
        let second = networks.step(real(&device), 2, 1, &train, rates(&train)).read().unwrap();
        assert!(second[0].is_some() && second[1].is_none(), "the second is the discriminator's: {second:?}");
    }

    #[test]
    fn no_two_updates_are_drawn_by_one_number() {
        let mut numbers = std::collections::BTreeSet::new();
        for step in 1..200 {
            for update in 0..20 {
                assert!(numbers.insert(draw_of(step, update)), "step {step}, update {update}");
            }
        }
        // What a run drew before there could be more than sixteen updates.
        assert_eq!((draw_of(3, 0), draw_of(3, 15)), (48, 63));
    }

    #[test]
    fn twenty_updates_of_a_step_do_not_draw_the_next_steps_z() {
        let (model, train) = tiny();
        let device = Device::flex();
        let z = |step, update| latent::training(model.prior, 8, 1, draw_of(step, update), 4, &device).into_data();
        let next = z(2, 0);
        assert!((0..20).all(|update| z(1, update) != next));
        let train = TrainConfig { schedule: Schedule::Generator(20), ..train };
        let mut networks = Networks::new(&model, &train, 1, &device);
        let report = networks.step(real(&device), 1, 1, &train, rates(&train)).read().unwrap();
        assert!(report.iter().all(|value| value.is_some_and(f32::is_finite)), "{report:?}");
    }

    #[test]
    fn updates_of_the_same_z_draw_what_the_changed_generator_makes_of_it() {
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
        assert_ne!(learnt(true), learnt(false), "the second update has other z's");
        assert_ne!(learnt(true), once, "the second update is made");
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
    fn the_same_seed_takes_the_same_steps() {
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
